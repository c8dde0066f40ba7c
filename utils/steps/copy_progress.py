"""What the steps of a copy hand to the state machine: whether to advance, how long to wait, and when it ends."""

from __future__ import annotations

import datetime as dt

from utils.contracts.payloads import Answer, CopyProgress
from utils.errors import StepFailed
from utils.state.operation import OperationRecord
from utils.state.unseen import PAUSE_SECONDS
from utils.steps.copy import CopyDue
from utils.steps.pace import Pace, took


def copy_after_action(due: CopyDue, record: OperationRecord, now: dt.datetime, pace: Pace) -> CopyProgress:
    """Return what Copy Snapshot hands to the wait after it.

    No copy is complete at once, every other call is: once the last of what was opened is taken back, all is done.
    """
    last, unit = due.steps[-1] if due.steps else None, pace.unit_seconds
    pause = pace.within(5 * unit, now) if last is None else 1
    if last is not None and last.is_copy:
        pause = pace.pause(last.name, now, now)
    elif due.shared_at is not None:
        pause = pace.pause("share", due.shared_at, now)
    action = last.name if last else "none"
    is_done = due.is_done or due.is_done_after
    return CopyProgress(
        answer="done" if is_done else "wait",
        action=action,
        waiting_for="nothing" if is_done else due.waiting_for,
        started_at=dt.datetime.fromisoformat(record.step_times["copy-snapshot"]),
        action_at=now,
        percent=100 if is_done else due.percent,
        wait_seconds=pause,
        expected_end=pace.expected_end(action, now, now),
    )


def copy_after_check(
    due: CopyDue, before: CopyProgress, now: dt.datetime, pace: Pace, deadline_hours: int
) -> CopyProgress:
    """Return what Check Copy Status answers. Raises StepFailed once the deadline has passed."""
    answer: Answer
    answer = "done" if due.is_done else "advance" if due.steps else "wait"
    if answer != "done" and now - before.started_at >= dt.timedelta(hours=deadline_hours):
        raise StepFailed(
            f"After {deadline_hours} hours the copy still waits for {due.waiting_for}. "
            "Raise the stack's CopyDeadlineHours if it is only slow, then resume this operation."
        )
    return CopyProgress(
        answer=answer,
        action=before.action,
        waiting_for=due.waiting_for,
        started_at=before.started_at,
        action_at=before.action_at,
        percent=due.percent,
        wait_seconds=(PAUSE_SECONDS if due.unseen else pace.pause(before.action, before.action_at, now, due.percent)),
        expected_end=pace.expected_end(before.action, before.action_at, now),
    )


def durations_seen(due: CopyDue, before: CopyProgress, record: OperationRecord, now: dt.datetime) -> dict[str, float]:
    """Return how long phases took, with the copy that has ended; none has while something is waited for."""
    repeated = before.action in [step.name for step in due.steps]
    goes_on = not due.is_done and (not due.steps or repeated)
    return record.took if goes_on else took(record, now, {before.action: before.action_at}, before.wait_seconds)
