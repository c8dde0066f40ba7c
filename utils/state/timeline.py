"""How long each phase of an operation took, from what the record has: the step of the workflow that it began with."""

from __future__ import annotations

import datetime as dt

from utils.state.operation import OperationRecord

# The steps at which a phase begins, in the order of the workflow, and what a person calls the phase.
PHASE_OF_STEP = {
    "snapshot-check": "check and plan",
    "copy-snapshot": "copy",
    "restore-snapshot": "restore",
    "transform-data": "masking",
    "setup-db-users": "users",
    "verify-data": "verification",
    "swap-cluster": "swap",
    "open-cluster": "opening",
    "delete-rds": "deletion",
    "archive-snapshot": "archive",
}

# Later than any time that a record has.
LATEST = "9"


def phases_of(record: OperationRecord, now: dt.datetime) -> list[tuple[str, dt.datetime, dt.datetime]]:
    """Return each phase with its begin and its end, which is when the next one began.

    The deletion of a drill's cluster is its last: the steps of a clean-up do not record when they are entered. An
    export begins beside the restore. It is a phase of its own from when nothing else is done: the door is open, and the
    source is gone that was to be deleted. Either may have been so before this execution, which has found it then.
    """
    times = dict(record.step_times)
    if times.get("archive-snapshot", LATEST) < times.get("restore-snapshot", ""):
        del times["archive-snapshot"]
        last, is_over = (
            ("delete-rds", record.source_gone_at) if "delete-rds" in times else ("open-cluster", record.door_open_at)
        )
        if last in times and is_over is not None:
            times["archive-snapshot"] = max(is_over, *times.values())
    if record.is_drill and record.removed_here.get("ready_at") and record.seen(record.removed["began_at"]):
        times["delete-rds"] = record.removed["began_at"]
    names = [(name, dt.datetime.fromisoformat(times[step])) for step, name in PHASE_OF_STEP.items() if step in times]
    ends = [*(begin for _, begin in names), now][1:]
    return [(name, begin, end) for (name, begin), end in zip(names, ends, strict=True)]


def phase_seconds(record: OperationRecord, now: dt.datetime) -> dict[str, float]:
    """Return how long each phase took."""
    return {name: (end - begin).total_seconds() for name, begin, end in phases_of(record, now)}


def total_seconds(record: OperationRecord, now: dt.datetime) -> float:
    """Return how long the operation took."""
    return (now - dt.datetime.fromisoformat(record.started_at)).total_seconds()
