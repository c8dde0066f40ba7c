"""When the command uses colours, and for which words. A colour says nothing that the word beside it does not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import click
from rich.console import Console

When = Literal["auto", "always", "never"]
WHEN: tuple[When, ...] = ("auto", "always", "never")

# The words that a line begins with, and their colour.
_GOOD, _BAD, _OPEN = "green", "red", "yellow"
_COLOURS = {
    "NOT VERIFIED": _BAD,
    "CONSISTENT, SIGNER NOT PROVEN": _OPEN,
    "VERIFIED": _GOOD,
    "SUCCEEDED": _GOOD,
    "PASSED": _GOOD,
    "FAILED": _BAD,
    "FINDINGS": _BAD,
    "TIMED_OUT": _BAD,
    "STOPPED": _BAD,
    "REFUSED": _BAD,
    "RUNNING": _OPEN,
    "DESTROYS OR REPLACES": _BAD,
    "Error": _BAD,
    "FAIL": _BAD,
    "ok": _GOOD,
}


def wanted(when: When, environment: Mapping[str, str]) -> bool | None:
    """Return whether to use colours; None where each output decides, by being a terminal or not.

    What the person types takes precedence over the environment (https://no-color.org).
    """
    if when == "auto":
        return False if environment.get("NO_COLOR") or environment.get("TERM") == "dumb" else None
    return when == "always"


def painted(line: str) -> str:
    """Return a line with its first words in their colour. click takes the colour away where it is not wanted."""
    for words, colour in _COLOURS.items():
        rest = line.removeprefix(words)
        if rest != line and not rest[:1].isalnum():
            return click.style(words, fg=colour, bold=True) + rest
    return line


def console() -> Console:
    """Return where the progress of an operation is shown, with colours or not. Redrawing is the terminal's matter."""
    context = click.get_current_context(silent=True)
    color = context.color if context else None
    system: Literal["auto", "standard"] | None = {None: "auto", True: "standard", False: None}[color]
    return Console(stderr=True, emoji=False, soft_wrap=True, color_system=system)
