"""The snapshot's way into the target's account and region, as a series of calls that become due one after another.

As in a restore, one step makes the calls that are due and the other observes, and both ask the same question here. What
answers it is what exists: the last copy of the route that is there says how far it is.
"""

from __future__ import annotations

import datetime as dt

from msgspec import Struct

from utils.aurora_utils.ownership import prove_own_snapshot
from utils.aurora_utils.resources import Snapshot
from utils.contracts.route import RouteStep, SnapshotCopy
from utils.errors import StepFailed
from utils.state.operation import OperationRecord, OperationState
from utils.state.unseen import is_gone, note_looks
from utils.steps.route_places import Places

MAX_COPIES_AT_A_TIME = 5


class CopyDue(Struct, frozen=True, kw_only=True):
    """The route's steps whose calls are due, in their order; only the last one can be a copy, which takes its time.

    There are none while something is waited for, and when everything `is_done`. `is_done_after`: everything is done
    once these calls are made. `reached`: the last copy there is.
    `unseen`: the ARN of the copy that was made and that RDS did not show, which is looked for again. `shared_at`: when
    the snapshot was shared that the copying account does not see yet.
    """

    waiting_for: str
    reached: RouteStep | None = None
    unseen: str | None = None
    steps: list[RouteStep] = []
    is_done: bool = False
    is_done_after: bool = False
    shared_at: dt.datetime | None = None
    percent: int = 0


def assess(copy: SnapshotCopy, places: Places, record: OperationRecord, now: dt.datetime) -> CopyDue:
    """Observe how far the snapshot has come. Raises StepFailed for a copy that can never become available."""
    number, snapshot = _last_copy(copy, places, record, now)
    if number >= 0 and snapshot is None:
        arn = copy.steps[number].snapshot_arn
        return CopyDue(waiting_for=f"the copy {arn}, which RDS does not show", unseen=arn)
    reached = copy.steps[number] if snapshot else None
    if reached is not None and snapshot is not None and not snapshot.is_available:
        words = f"{reached.awaited} ({snapshot.status}, {snapshot.percent} %)"
        return CopyDue(waiting_for=words, reached=reached, percent=snapshot.percent)
    due: list[RouteStep] = []
    for position, step in enumerate(copy.steps):
        behind_us = position <= number and not step.takes_back
        if behind_us or _is_settled(step, record):
            continue
        if step.is_copy and places.of(step).copies_under_way() >= MAX_COPIES_AT_A_TIME:
            return CopyDue(waiting_for=a_free_copy(step), reached=reached, steps=due)
        due.append(step)
        if step.is_copy:
            break
    if due:
        completes = due[-1].takes_back
        return CopyDue(waiting_for=due[-1].awaited, reached=reached, steps=due, is_done_after=completes)
    return CopyDue(waiting_for="nothing", reached=reached, is_done=True, percent=100)


def a_free_copy(step: RouteStep) -> str:
    """Return the words for the wait until RDS accepts another copy in the step's region."""
    region, _ = step.place
    return f"a free place: {region} makes {MAX_COPIES_AT_A_TIME} copies already, as many as RDS allows at a time"


def note_unseen(due: CopyDue, state: OperationState, record: OperationRecord) -> None:
    """Note that this look has missed a copy, or has shown what an earlier one had missed."""
    missed = [due.unseen] if due.unseen is not None else []
    note_looks(state, record, missed=missed, shown=[] if missed else list(record.unseen))


def _last_copy(
    copy: SnapshotCopy, places: Places, record: OperationRecord, now: dt.datetime
) -> tuple[int, Snapshot | None]:
    """Return the number of the route's last existing copy and that copy; -1 and None while there is none.

    None with a number: RDS does not show a copy that was made.
    """
    for number, step in reversed(list(enumerate(copy.steps))):
        if not step.is_copy:
            continue
        found = places.of(step).snapshot(step.snapshot_name)
        if found is None and step.name not in record.made_snapshots:
            continue
        if found is None and not is_gone(record, step.snapshot_arn, now):
            return number, None
        if found is not None:
            prove_own_snapshot(found, step, record)
        if found is None or found.is_broken:
            raise StepFailed(
                f"The copy {step.snapshot_arn} is {found.status if found else 'gone'} and will not become available. "
                f"Check the keys of {step.source_arn} and of the copy, and who may have deleted it; then resume this "
                "operation."
            )
        return number, found
    return -1, None


def _is_settled(step: RouteStep, record: OperationRecord) -> bool:
    """Return whether the record says that the step was done, or given up until the end of the run.

    Sharing, un-sharing and removing leave no trace where a copy is looked for. That a copy is there, only RDS says.
    """
    if step.is_copy:
        return False
    return step.name in record.route_times or step.gave_up in record.route_times
