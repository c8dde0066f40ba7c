"""How long to wait before asking Aurora again: often enough to lose little time, rarely enough to stay cheap.

A poll costs three state transitions and about nine of the 25,000 events that an execution may have. So pauses grow
with the time already waited, first up to five units and for work of many hours up to fifteen, and shrink again when
the reported progress says that the end is near.
"""

from __future__ import annotations

SHORT_CAP_UNITS = 5
LONG_CAP_UNITS = 15


def seconds_to_wait(elapsed_seconds: float, unit_seconds: int, percent: int = 0) -> int:
    """Return the next pause in whole seconds, at least half a unit and at least one second.

    `unit_seconds` is the stack's PollSeconds. `percent` is PercentProgress as RDS estimates it; 0 means unknown.
    """
    cap = max(SHORT_CAP_UNITS * unit_seconds, min(elapsed_seconds / 12, LONG_CAP_UNITS * unit_seconds))
    pause = min(elapsed_seconds * 0.6, cap)
    if 0 < percent < 100:
        pause = min(pause, elapsed_seconds * (100 - percent) / percent)
    return max(round(max(pause, unit_seconds / 2)), 1)
