"""EventBridge: which of the entries of PutEvents are refused, and what the others are as events.

A refused entry does not fail the call: it is counted in FailedEntryCount and named in its place. Sources: API
reference, PutEvents (ten entries; "Source ... must not begin with aws." as NotAuthorizedForSourceException, which
people met in puts of aws.guardduty and the like) and "Calculating Amazon EventBridge PutEvents event entry size". The
guide has said 256 KB for the entries together for years and 1 MB of late; here the stricter one holds.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from moto.events.models import EventsBackend

from scripts.local_aws.core.clock import Clock
from scripts.local_aws.core.errors import AwsError

LARGEST_REQUEST = 256 * 1024
_TIME_BYTES = 14
_put_events = EventsBackend.put_events
Entry = dict[str, Any]


def install(clock: Clock) -> None:
    """Replace moto's PutEvents for this process, with this clock."""

    def put_events(backend: EventsBackend, events: list[Entry]) -> list[Entry]:
        if sum(map(_size, events)) > LARGEST_REQUEST:
            message = "Total size of the entries in the request is over the limit."
            raise AwsError("ValidationException", message)
        taken = [each | {"Time": _time(each, clock)} for each in events if not _is_reserved(each)]
        answers = iter(_put_events(backend, taken))
        return [dict(_NOT_AUTHORIZED) if _is_reserved(each) else next(answers) for each in events]

    EventsBackend.put_events = put_events  # type: ignore[method-assign,assignment]


_NOT_AUTHORIZED = {
    "ErrorCode": "NotAuthorizedForSourceException",
    "ErrorMessage": "Not authorized for the source.",
}


def _time(entry: Entry, clock: Clock) -> str:
    """Return an event's time as rules see it, to the second: the caller's, or now."""
    given = entry.get("Time")
    moment = clock.now() if given is None else dt.datetime.fromtimestamp(float(given), dt.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _is_reserved(entry: Entry) -> bool:
    return str(entry.get("Source") or "").startswith("aws.")


def _size(entry: Entry) -> int:
    texts = [entry.get("Source"), entry.get("DetailType"), entry.get("Detail"), *(entry.get("Resources") or [])]
    return sum(len(str(each).encode()) for each in texts if each) + (_TIME_BYTES if "Time" in entry else 0)
