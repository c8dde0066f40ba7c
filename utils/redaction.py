"""Redaction of a request before it is shown: somebody may have put a password where no field for it is."""

from __future__ import annotations

import re
from typing import Any

_SECRET_NAME = re.compile(r"pass|pwd|secret|token|credential", re.IGNORECASE)


def without_secrets(value: Any) -> Any:
    """Return the value with *** in place of everything, at any depth, whose name is one that secrets have."""
    if isinstance(value, dict):
        return {
            name: "***" if _SECRET_NAME.search(str(name)) else without_secrets(each) for name, each in value.items()
        }
    return [without_secrets(each) for each in value] if isinstance(value, list) else value
