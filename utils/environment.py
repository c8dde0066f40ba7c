"""The functions' environment, as the template sets it."""

from __future__ import annotations

import os

from utils.errors import StepFailed


def text(name: str) -> str:
    """A variable that the function can't work without."""
    value = os.environ.get(name, "")
    if not value:
        raise StepFailed(f"The function's environment lacks {name}. Deploy the stack again from its template.")
    return value


def optional(name: str) -> str:
    """A variable that may be empty."""
    return os.environ.get(name, "")


def whole_number(name: str) -> int:
    value = text(name)
    if not value.isdecimal() or int(value) < 1:
        raise StepFailed(f"The function's environment has {name}={value!r}, which is no number above 0. Redeploy.")
    return int(value)


def region() -> str:
    """The target region: where the stack lives."""
    return text("AWS_REGION")
