"""Durations, ages and moments as people read them, and text of others made safe for a terminal."""

from __future__ import annotations

import datetime as dt

MAX_LINE = 2_000


def duration(seconds: float) -> str:
    """Return a duration as people read it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def age(seconds: float) -> str:
    """Return an age as people read it."""
    hours = max(0.0, seconds) / 3600
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    return f"{hours:.1f} h" if hours >= 1 else f"{max(0.0, seconds) / 60:.0f} min"


def moment(time: dt.datetime | None) -> str:
    """Return a moment in UTC, to the minute."""
    return f"{time.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC" if time else "at an unknown time"


def one_line(text: str) -> str:
    """Return the text on one line, without the characters that a terminal acts on, and cut where it is very long."""
    printable = "".join(each if each.isprintable() else " " for each in text)
    return printable if len(printable) <= MAX_LINE else f"{printable[:MAX_LINE]} ..."
