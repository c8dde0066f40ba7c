"""When a schedule of EventBridge Scheduler is due: cron(...), rate(...) and at(...), in a time zone.

Sources: EventBridge Scheduler's User Guide, "Schedule types" (the fields; a time that summer time skips is no run, one
that comes twice is one run; a day of a rate has 24 hours) and API reference, "CreateSchedule" (the units of a rate).
What is refused, and in which words, was recorded on AWS: LocalStack's validated snapshots, services/scheduler
test_scheduler.py. They also show that AWS takes "rate(2 minute)", and an at(...) of the past.
"""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from collections.abc import Callable
from typing import Any

from aws_croniter import AwsCroniter  # type: ignore[import-untyped]

from scripts.local_aws.core.errors import AwsError, NotImplementedByLocalAws

Next = Callable[[dt.datetime], dt.datetime | None]
"""From a moment to the first one after it at which the schedule is due; None when there is none left."""

_KIND = re.compile(r"(at|cron|rate)\((.*)\)", re.ASCII)
_RATE = re.compile(r"([1-9]\d*) (minute|hour|day)s?", re.ASCII)
_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", re.ASCII)


def schedule_of(expression: str, time_zone: str, first: dt.datetime) -> Next:
    """Return when a schedule is due. A rate counts from `first`, which is its first moment.

    Raises ValidationException for what AWS refuses, NotImplementedByLocalAws for what only AWS knows.
    """
    zone = _zone(time_zone)
    kind, content = match.groups() if (match := _KIND.fullmatch(expression)) else ("", "")
    try:
        if kind == "rate" and (rate := _RATE.fullmatch(content)):
            return _every(dt.timedelta(**{f"{rate[2]}s": int(rate[1])}), first)
        if kind == "at" and _AT.fullmatch(content):
            return _once(_local(dt.datetime.fromisoformat(content), zone))
        if kind == "cron":
            return _by_the_clock(_cron(content), zone)
    except (ValueError, OverflowError):
        pass
    raise AwsError("ValidationException", f"Invalid Schedule Expression {expression}.")


def _zone(name: str) -> zoneinfo.ZoneInfo:
    """Return the time zone. AWS's own words for one that does not exist are not known."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise AwsError("ValidationException", f"Invalid Schedule Expression Timezone {name}.") from None


def _cron(content: str) -> Any:
    """Return the library's expression. Refuse three forms that AWS documents and the library evaluates otherwise."""
    fields = content.split(" ")
    if len(fields) == 6 and (fields[2] == "LW" or fields[4] == "L" or "/" in fields[5]):
        raise NotImplementedByLocalAws(f"cron({content}): LW, L as a weekday and steps of years are not known locally")
    return AwsCroniter(content)


def _every(interval: dt.timedelta, first: dt.datetime) -> Next:
    def after(moment: dt.datetime) -> dt.datetime:
        return first if moment < first else first + ((moment - first) // interval + 1) * interval

    return after


def _once(due: dt.datetime | None) -> Next:
    return lambda moment: due if due is not None and due > moment else None


def _by_the_clock(cron: Any, zone: zoneinfo.ZoneInfo) -> Next:
    def after(moment: dt.datetime) -> dt.datetime | None:
        # The library knows no zones: the clock on the wall is handed to it as if it were UTC's.
        wall = moment.astimezone(zone).replace(tzinfo=dt.UTC, fold=0)
        while (wall := cron.get_next(wall)[0]) is not None:
            due = _local(wall.replace(tzinfo=None), zone)
            if due is not None and due > moment:
                return due
        return None

    return after


def _local(wall: dt.datetime, zone: zoneinfo.ZoneInfo) -> dt.datetime | None:
    """Return the moment of a time of day: the first one where it comes twice, None where it is skipped."""
    moment = wall.replace(tzinfo=zone).astimezone(dt.UTC)
    return moment if moment.astimezone(zone).replace(tzinfo=None) == wall else None
