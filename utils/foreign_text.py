"""Text of others, made fit for a person, a log or a service to read.

Names of roles and databases, what an extension raises, fields of a request, errors of other services: all of it may
hold line breaks, escape sequences, characters that turn the direction of writing, and megabytes. Every such text passes
`one_line` where it enters a message, a cause, a log, an audit event or a plan, so that it can forge no line of ours.
"""

from __future__ import annotations

from collections.abc import Iterable

# PostgreSQL's names have 63 bytes, RDS's 255 characters: a whole name fits.
MAX_NAME = 255
# Of a tag's value: enough to recognise it.
MAX_TAG_SHOWN = 100
# What another service says of an error: its first sentences, and IAM's whole explanation of a refusal.
MAX_SENTENCE = 2_000
# All that an error of ours says. Step Functions takes no cause beyond 32,768 characters.
MAX_CAUSE = 20_000
# How many names a sentence lists.
MAX_LISTED = 50


def one_line(text: object, most: int = MAX_NAME) -> str:
    """Return the text on one line of printable characters, with at most `most` of the text's own.

    What Unicode calls a control, format, surrogate, private, unassigned or separating character, save the space, is
    shown as Python escapes it, such as a line feed or a change of direction. Doing it twice escapes nothing twice.
    """
    whole = str(text)
    shown = "".join(each if each.isprintable() else _escaped(each) for each in whole[:most])
    return shown if len(whole) <= most else f"{shown}… ({len(whole)} characters)"


def own_lines(text: str, most: int) -> list[str]:
    """Return the lines of a text of ours, in which foreign texts have passed `one_line` already.

    Line feeds are ours, therefore. All else is escaped here, because a foreign text may have come by another way.
    """
    lines = [one_line(line, most) for line in text[:most].split("\n")]
    return lines if len(text) <= most else [*lines, f"… ({len(text)} characters)"]


def listed(names: Iterable[object], most: int = MAX_LISTED) -> str:
    """Return foreign names as a list within a sentence; of many, the first ones and how many more there are."""
    shown = [one_line(name) for name in names]
    rest = len(shown) - most
    return ", ".join(shown[:most]) + (f" and {rest} more" if rest > 0 else "")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
