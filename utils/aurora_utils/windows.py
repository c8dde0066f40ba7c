"""The two windows of a cluster in UTC: one for backups, every day, and one for maintenance, once a week.

RDS refuses two that overlap: "InvalidParameterValue: The backup window and maintenance window must not overlap"
(hashicorp/terraform-provider-aws#49828). A window that nobody names is one that RDS picks at random out of eight hours
(CreateDBCluster's PreferredBackupWindow in the API reference), so it may overlap the one that was named.
"""

from __future__ import annotations

import datetime as dt
import re

SHORTEST_MINUTES = 30
_CLOCK = r"([01]\d|2[0-3]):([0-5]\d)"
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = f"({'|'.join(_DAYS)})"
_BACKUP = re.compile(rf"{_CLOCK}-{_CLOCK}", re.ASCII)
_MAINTENANCE = re.compile(rf"{_DAY}:{_CLOCK}-{_DAY}:{_CLOCK}", re.ASCII | re.IGNORECASE)
_DAY_MINUTES = 24 * 60
_WEEK_MINUTES = 7 * _DAY_MINUTES
# Between the window that was named and the one chosen for it: a backup may take longer than its window.
_PAUSE_MINUTES = 60
_MAINTENANCE_DAY = _DAYS.index("sun")


def is_backup_window(text: str) -> bool:
    """Return whether a text is a well-formed daily window."""
    return _BACKUP.fullmatch(text) is not None


def is_maintenance_window(text: str) -> bool:
    """Return whether a text is a well-formed weekly window."""
    return _MAINTENANCE.fullmatch(text) is not None


def length_minutes(window: str) -> int:
    """Return how long a well-formed window of either kind lasts."""
    begin, end = _minutes(window)
    return (end - begin) % (_DAY_MINUTES if window[0].isdigit() else _WEEK_MINUTES)


def overlap(backup: str, maintenance: str) -> bool:
    """Return whether two windows overlap; both may run past midnight. One that is not well formed overlaps nothing."""
    if not (is_backup_window(backup) and is_maintenance_window(maintenance)):
        return False
    every_day, _ = _minutes(backup)
    begin, _ = _minutes(maintenance)
    # From where the week's window begins: does a day's window begin within it, or still run when it begins?
    until_backup = (every_day - begin) % _DAY_MINUTES
    return until_backup < length_minutes(maintenance) or until_backup + length_minutes(backup) > _DAY_MINUTES


def minutes_until(window: str, now: dt.datetime) -> int:
    """Return in how many minutes a well-formed window of either kind opens; 0 while it is open."""
    cycle = _DAY_MINUTES if window[0].isdigit() else _WEEK_MINUTES
    moment = now.astimezone(dt.UTC)
    begin, _ = _minutes(window)
    left = (begin - (moment.weekday() * _DAY_MINUTES + moment.hour * 60 + moment.minute)) % cycle
    return 0 if left + length_minutes(window) > cycle else left


def leaves_no_room(window: str) -> bool:
    """Return whether a well-formed window of either kind leaves less of each day than the other one needs."""
    return length_minutes(window) > _DAY_MINUTES - SHORTEST_MINUTES


def backup_window_beside(maintenance: str) -> str | None:
    """Return a daily window that does not overlap the weekly one; None where that leaves no room for one."""
    begin = _begin_beside(maintenance)
    return None if begin is None else f"{_clock(begin)}-{_clock(begin + SHORTEST_MINUTES)}"


def maintenance_window_beside(backup: str) -> str | None:
    """Return a weekly window, on a Sunday, that does not overlap the daily one; None where there is no room."""
    begin = _begin_beside(backup)
    if begin is None:
        return None
    begin += _MAINTENANCE_DAY * _DAY_MINUTES
    return f"{_moment(begin)}-{_moment(begin + SHORTEST_MINUTES)}"


def _begin_beside(window: str) -> int | None:
    """Return the minute of the day at which a shortest window begins: an hour after this one, or amid what is left."""
    if not (is_backup_window(window) or is_maintenance_window(window)) or leaves_no_room(window):
        return None
    left = _DAY_MINUTES - length_minutes(window) - SHORTEST_MINUTES
    _, end = _minutes(window)
    return (end + min(_PAUSE_MINUTES, left // 2)) % _DAY_MINUTES


def _minutes(window: str) -> tuple[int, int]:
    """Return begin and end, counted from the day's or the week's beginning."""
    begin, end = (_minute(each) for each in window.lower().split("-"))
    return begin, end


def _minute(moment: str) -> int:
    *day, hour, minute = moment.split(":")
    return (_DAYS.index(day[0]) if day else 0) * _DAY_MINUTES + int(hour) * 60 + int(minute)


def _clock(minute: int) -> str:
    return f"{minute % _DAY_MINUTES // 60:02}:{minute % 60:02}"


def _moment(minute: int) -> str:
    return f"{_DAYS[minute // _DAY_MINUTES % len(_DAYS)]}:{_clock(minute)}"
