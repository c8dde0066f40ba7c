"""A number of things in words."""

from __future__ import annotations


def counted(number: int, thing: str) -> str:
    """Return a number of things, as a person reads it."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
