"""Paths into JSON documents: `$.address.street`, `$.contacts[*].value`, `$."a.b"`, `$.prefs.**`."""

from __future__ import annotations

import json
import re

from utils.masking.policy import EVERYTHING_BELOW

_STEP = re.compile(r'\.("(?:[^"\\]|\\.)*")|\.(\*\*)$|\.([^."\[\]*\s$]+)|(\[\*\])')
Steps = tuple[str | None, ...]


class InvalidPath(ValueError):
    """What is wrong with a path."""


def parse_path(text: str) -> tuple[Steps, bool]:
    """Return the path's steps, and whether it means all that is below them. Raises InvalidPath."""
    if not text.startswith("$"):
        raise InvalidPath("does not begin with $, the document itself")
    steps: list[str | None] = []
    position, below = 1, False
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None:
            raise InvalidPath(
                f'cannot be read from character {position + 1} on. Steps are .key, ."key" and [*];'
                f" the last one may be .{EVERYTHING_BELOW}"
            )
        quoted, everything, plain, _ = step.groups()
        if everything:
            below = True
        else:
            steps.append(_unquoted(quoted) if quoted else plain)
        position = step.end()
    return tuple(steps), below


def _unquoted(quoted: str) -> str:
    try:
        return str(json.loads(quoted))
    except ValueError:
        raise InvalidPath(f"has the key {quoted}, which is no JSON string") from None


def conflict(first: Steps, second: Steps) -> bool:
    """Return whether one of the paths is, or leads through, the other."""
    shorter = min(len(first), len(second))
    return first[:shorter] == second[:shorter]
