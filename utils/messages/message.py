"""A message as SNS takes it.

SNS takes a subject of fewer than 100 characters without line breaks; a message may have 256 KiB.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from utils.foreign_text import own_lines

MAX_SUBJECT = 99
MAX_MESSAGE_BYTES = 200_000


class Message(Struct, frozen=True, kw_only=True):
    """A message as SNS takes it."""

    subject: str
    body: str


def compose(subject: str, lines: Iterable[str]) -> Message:
    """Return a message as SNS takes it, with everything in it printable."""
    printable = "".join(c if " " <= c <= "~" else "?" for c in f"[aurora-restore] {subject}")
    # Foreign texts are escaped where they enter; what came by another way must not steer a terminal either.
    printable_lines = own_lines("\n".join(lines), MAX_MESSAGE_BYTES)
    body = "\n".join(printable_lines).encode(errors="replace")[:MAX_MESSAGE_BYTES].decode(errors="ignore")
    return Message(subject=printable[:MAX_SUBJECT], body=body)
