"""The snapshot's way into the target's account and region, as a series of calls of which one at a time is due.

As in a restore, one step takes the call that is due and the other observes, and both ask the same question here. What
answers it is what exists: the last copy of the route that is there says how far it is.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from msgspec import Struct

from utils.aurora_utils import Aurora
from utils.aurora_utils.resources import Snapshot
from utils.aurora_utils.source_account import Source, SourceOfOtherAccount, open_source, through_role
from utils.aurora_utils.source_sessions import StepOfRoute, route_session
from utils.contracts.payloads import CopyProgress, StepRun
from utils.contracts.plan import RouteStep, SnapshotCopy
from utils.errors import StepFailed
from utils.names import snapshot_name
from utils.pauses import seconds_to_wait
from utils.planning.route import COPIES, gave_up
from utils.state.operation import OperationRecord

MAX_COPIES_AT_A_TIME = 5


class Places:
    """Aurora in every account and region that a route goes through, as far as one step needs it."""

    def __init__(self, run: StepRun, step: StepOfRoute, copy: SnapshotCopy) -> None:
        _, self._partition, _, _, self.own_account, *_ = run.execution_id.split(":")
        self._run, self._step, self._copy = run, step, copy

    def of(self, step: RouteStep) -> Aurora:
        region, account = step.snapshot_arn.split(":")[3:5]
        return Aurora(region) if account == self.own_account else self.at_owner(step)

    def at_owner(self, step: RouteStep) -> SourceOfOtherAccount:
        region, account = step.snapshot_arn.split(":")[3:5]
        session = route_session(self._step, self._run.operation_id, self._copy, account)
        return through_role(account, region, self._partition, session, self._run.now)

    def source_of(self, step: RouteStep) -> Source:
        """Where the snapshot is that the step copies or shares, with whatever eyes can see it."""
        region, account = (step.source_arn or step.snapshot_arn).split(":")[3:5]
        session = route_session(self._step, self._run.operation_id, self._copy, account)
        return open_source(account, region, self._run.execution_id, self._run.operation_id, self._run.now, session)


class CopySituation(Struct, frozen=True, kw_only=True):
    """`due` is None while something is waited for, and when everything `is_done`. `reached`: the last copy there is."""

    waiting_for: str
    reached: RouteStep | None = None
    due: RouteStep | None = None
    is_done: bool = False
    percent: int = 0


def assess(copy: SnapshotCopy, places: Places, record: OperationRecord) -> CopySituation:
    """Observe how far the snapshot has come. Raises StepFailed for a copy that can never become available."""
    number, snapshot = _last_copy(copy, places, record)
    reached = copy.steps[number] if snapshot else None
    if reached is not None and snapshot is not None and not snapshot.is_available:
        words = f"{_in_words(reached)} ({snapshot.status}, {snapshot.percent} %)"
        return CopySituation(waiting_for=words, reached=reached, percent=snapshot.percent)
    for position, step in enumerate(copy.steps):
        behind_us = position <= number and (step.name in COPIES or step.name == "share")
        if behind_us or _is_settled(step, record):
            continue
        if step.name in COPIES and places.of(step).copies_under_way() >= MAX_COPIES_AT_A_TIME:
            return CopySituation(waiting_for=a_free_copy(step), reached=reached)
        return CopySituation(waiting_for=_in_words(step), reached=reached, due=step)
    return CopySituation(waiting_for="nothing", reached=reached, is_done=True, percent=100)


def a_free_copy(step: RouteStep) -> str:
    region = step.snapshot_arn.split(":")[3]
    return f"a free copy: {region} makes {MAX_COPIES_AT_A_TIME} already, as many as RDS allows at a time"


def _last_copy(copy: SnapshotCopy, places: Places, record: OperationRecord) -> tuple[int, Snapshot | None]:
    """The last copy of the route that is there, with its step's number; -1 when there is none yet."""
    for number, step in reversed(list(enumerate(copy.steps))):
        if step.name not in COPIES:
            continue
        found = places.of(step).snapshot(snapshot_name(step.snapshot_arn))
        if found is None and step.name not in record.made_snapshots:
            continue
        if found is None or found.is_broken:
            raise StepFailed(
                f"The copy {step.snapshot_arn} is {found.status if found else 'gone'} and won't become available. "
                f"Check the keys of {step.source_arn} and of the copy, and who may have deleted it; then start again."
            )
        prove_made_by_us(found, step, record)
        return number, found
    return -1, None


def prove_made_by_us(found: Snapshot, step: RouteStep, record: OperationRecord) -> None:
    """By our tag, by the planned name and place, and by the ARN recorded when it was made.

    The record is missing only when the step that made it died before it could write it down.
    """
    recorded = record.made_snapshots.get(step.name)
    same = found.arn == step.snapshot_arn and recorded in (None, found.arn)
    if not same or not found.belongs_to(record.operation_id):
        raise StepFailed(
            f"Snapshot {found.arn} isn't the copy that operation {record.operation_id} made "
            f"({recorded or 'none recorded'}). It was left alone. Look at it and delete it yourself if it isn't needed."
        )


def _is_settled(step: RouteStep, record: OperationRecord) -> bool:
    """Sharing, un-sharing and removing leave their traces elsewhere; the record says that they were done, or given up
    until the run's end.
    """
    return step.name in record.route_times or gave_up(step) in record.route_times


def _in_words(step: RouteStep) -> str:
    _, _, _, region, account, *_ = step.snapshot_arn.split(":")
    what = {
        "copy_at_owner": "the copy in the owner's account",
        "copy_into_account": "the copy into this account",
        "copy": "the copy",
        "share": "sharing",
        "unshare": "un-sharing",
        "remove_at_owner": "the removal of the copy in the owner's account",
        "remove_in_account": "the removal of the copy in between",
    }
    return f"{what[step.name]} in {region} of {account}"


def copy_after_action(situation: CopySituation, record: OperationRecord, now: dt.datetime, unit: int) -> CopyProgress:
    """What Copy Snapshot hands to the wait behind it. No copy is there at once; everything else is."""
    makes_copy = situation.due is not None and situation.due.name in COPIES
    return CopyProgress(
        answer="wait",
        action=situation.due.name if situation.due else "none",
        waiting_for=situation.waiting_for,
        started_at=dt.datetime.fromisoformat(record.step_times["copy-snapshot"]),
        action_at=now,
        percent=situation.percent,
        wait_seconds=2 * unit if makes_copy else max(1, unit // 4) if situation.due else 5 * unit,
    )


def copy_after_check(
    situation: CopySituation, before: CopyProgress, now: dt.datetime, unit: int, deadline_hours: int
) -> CopyProgress:
    """What Check Copy Status answers. Raises StepFailed once the deadline has passed."""
    answer: Literal["advance", "wait", "done"]
    answer = "done" if situation.is_done else "advance" if situation.due else "wait"
    if answer != "done" and now - before.started_at >= dt.timedelta(hours=deadline_hours):
        raise StepFailed(
            f"After {deadline_hours} hours the copy still waits for {situation.waiting_for}. "
            "Raise the stack's CopyDeadlineHours if it is only slow, then start again."
        )
    elapsed = (now - before.action_at).total_seconds()
    return CopyProgress(
        answer=answer,
        action=before.action,
        waiting_for=situation.waiting_for,
        started_at=before.started_at,
        action_at=before.action_at,
        percent=situation.percent,
        wait_seconds=seconds_to_wait(elapsed, unit, situation.percent),
    )
