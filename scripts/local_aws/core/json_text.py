"""JSON as AWS reads and writes it."""

from __future__ import annotations

import json
from typing import Any


def dumps(value: Any) -> str:
    """Return a value as Step Functions and EventBridge write it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def loads(text: str | bytes) -> Any:
    """Return the document that a JSON text stands for. Raise ValueError also for NaN, which RFC 8259 does not have."""
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")
