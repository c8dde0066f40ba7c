"""The moments that a schedule names, and the operations that it begins."""

from __future__ import annotations

import datetime as dt

# Of an operation that a schedule began; no other may begin so.
SCHEDULED_PREFIX = "scheduled-"

# EventBridge Scheduler never starts before the moment (User Guide, "Schedule types": within the minute after it); the
# clocks of two services may differ. It gives an event up after MaximumEventAgeInSeconds, a day at most (API reference,
# "RetryPolicy"); the last attempt may be under way by then.
EARLIEST = dt.timedelta(minutes=5)
LATEST = dt.timedelta(hours=25)


def moment_of(scheduled_at: str) -> dt.datetime | None:
    """Return the moment that a schedule has named, in UTC; None when the text is no moment."""
    try:
        moment = dt.datetime.fromisoformat(scheduled_at)
        return None if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def scheduled_operation_id(scheduled_at: str) -> str | None:
    """Return the operation of a schedule's moment, such as scheduled-20261124T020000Z; None for another text."""
    moment = moment_of(scheduled_at)
    return None if moment is None else f"{SCHEDULED_PREFIX}{moment:%Y%m%dT%H%M%SZ}"


def is_brought_at(scheduled_at: str, started_at: dt.datetime) -> bool:
    """Return whether a schedule may have brought that moment to an execution that started then."""
    moment = moment_of(scheduled_at)
    return moment is not None and started_at - LATEST <= moment <= started_at + EARLIEST
