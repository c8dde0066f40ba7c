"""The functions' environment, as the template sets it."""

from __future__ import annotations

import os

from utils.errors import StepFailed
from utils.foreign_text import one_line


def text(name: str) -> str:
    """Return a variable that the function can't work without."""
    value = os.environ.get(name, "")
    if not value:
        raise StepFailed(f"The function's environment lacks {name}. Deploy the stack again from its template.")
    return value


def optional(name: str) -> str:
    """Return a variable that may be empty."""
    return os.environ.get(name, "")


def whole_number(name: str) -> int:
    """Return a variable that is a number above 0."""
    value = text(name)
    if not value.isdecimal() or int(value) < 1:
        raise StepFailed(f"The function's environment has {name}={value!r}, which is no number above 0. Redeploy.")
    return int(value)


def region() -> str:
    """Return the target region: where the stack lives."""
    return text("AWS_REGION")


def request_defaults() -> dict[str, str]:
    """Return what the stack says of fields that a request leaves out, as text. An empty parameter says nothing.

    Each has a line of its own, such as port=5432. Lambda takes any text as a value (botocore's service model of Lambda
    has a pattern for EnvironmentVariableName, and none for EnvironmentVariableValue).
    """
    found = {}
    for line in text("REQUEST_DEFAULTS").strip("\n").split("\n"):
        name, equals, value = line.partition("=")
        if not equals or not name.isidentifier():
            raise StepFailed(
                f"The function's environment has {one_line(repr(line), 200)} in REQUEST_DEFAULTS, where each line is a "
                "field with its value, such as port=5432. Deploy the stack again from its template."
            )
        if value:
            found[name] = value
    return found
