"""How long a slice of work in the databases may last: Lambda ends every call after a quarter of an hour."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct


class OutOfTime(Exception):
    """The slice has no time left; the next one continues. Never leaves a step."""


class SliceClock(Struct, frozen=True):
    """The seconds of a slice. `margin_seconds`: what has to be left of it when no further work may begin."""

    time_left: Callable[[], float]
    margin_seconds: float

    def remaining(self) -> float:
        """Return the seconds for further work. Raises OutOfTime where there are none."""
        if (seconds := self.time_left() - self.margin_seconds) <= 0:
            raise OutOfTime
        return seconds
