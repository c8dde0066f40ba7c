"""What the steps of a restore answer: how long to wait, how long each phase took, and when it has taken too long."""

from __future__ import annotations

import datetime as dt
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from utils.contracts.payloads import Answer, RestoreProgress
from utils.errors import StepFailed
from utils.state.operation import OperationRecord, OperationState
from utils.state.unseen import PAUSE_SECONDS
from utils.steps.announcements import announcement, reported_failure
from utils.steps.cluster_seen import RestoreAction, RestoreDue, without_capacity
from utils.steps.pace import Pace, since_seen, took

# In units: capacity comes back when somebody else gives some up, which is nothing to ask about every minute.
PAUSE_FOR_ROOM = 5


class Refusal(Struct, frozen=True, kw_only=True):
    """Why RDS did not take an action for now, in words for a person. `shortage`: AWS has no room for it."""

    why: str
    shortage: bool = False


def after_action(
    due: RestoreDue, record: OperationRecord, now: dt.datetime, pace: Pace, refusal: Refusal | None = None
) -> RestoreProgress:
    """Return what Restore Snapshot hands to the wait after it. What was refused for now is due again then."""
    phase, since = _working_on(due.action, record, now, refusal)
    pause = pause_of(due, pace, phase, since, now)
    if refusal is not None and refusal.shortage:
        pause = pace.within(PAUSE_FOR_ROOM * pace.unit_seconds, now)
    return RestoreProgress(
        answer="wait",
        action=phase,
        waiting_for=refusal.why if refusal else due.waiting_for,
        started_at=record.entered("restore-snapshot"),
        action_at=since,
        seen_at=now,
        wait_seconds=pause,
        expected_end=pace.expected_end(phase, since, now),
    )


def pause_of(
    due: RestoreDue,
    pace: Pace,
    phase: str,
    since: dt.datetime,
    now: dt.datetime,
    event_at: dt.datetime | None = None,
) -> int:
    """Return how many seconds to wait before the next look. `event_at`: when RDS last reported something of it."""
    return PAUSE_SECONDS if due.unseen else pace.pause(phase, since, now, event_at=event_at)


def _working_on(
    action: RestoreAction, record: OperationRecord, now: dt.datetime, refusal: Refusal | None
) -> tuple[str, dt.datetime]:
    """Return what AWS works on after an action, and since when.

    It refuses instances while it sets the master password, and that is waited for then. Where nothing was due, they
    were requested by an earlier call, soon after that password.
    """
    if refusal is None:
        asked = record.seen(record.password_reset_at) if action is RestoreAction.WAIT else None
        return (RestoreAction.CREATE_INSTANCES.label, asked) if asked else (action.label, now)
    if action is not RestoreAction.CREATE_INSTANCES or refusal.shortage:
        return RestoreAction.WAIT.label, now
    return RestoreAction.MODIFY_CLUSTER.label, record.seen(record.password_reset_at) or now


def with_event(before: RestoreProgress, woken: Any, due: RestoreDue) -> RestoreProgress:
    """Return the progress with the event of RDS that has ended the wait, if it announces what is waited for.

    A failure may show in a status later than in an event. It is remembered apart from what announces an end.
    One that came before the last look is known: no wait stands between that and the first look at all the instances.
    """
    event_at = announcement(woken, before.action, before.seen_at or before.action_at, due.creating)
    failure_at = reported_failure(woken, before.seen_at or before.action_at)
    return replace(before, event_at=event_at or before.event_at, failure_at=failure_at or before.failure_at)


def _last_heard(before: RestoreProgress) -> dt.datetime | None:
    return max((each for each in (before.event_at, before.failure_at) if each is not None), default=None)


def durations_seen(
    due: RestoreDue, before: RestoreProgress, record: OperationRecord, now: dt.datetime
) -> dict[str, float]:
    """Return how long phases took, with the one that has ended: unless it is waited for, or has to be repeated.

    That readers exist, which is the last that is waited for, says nothing new: the writer has been there since.
    """
    if _goes_on(due, before):
        return record.took
    paused = since_seen(before.seen_at, before.wait_seconds, now)
    return took(record, now, {before.action: before.action_at}, paused)


def announced_ends(
    due: RestoreDue, before: RestoreProgress, record: OperationRecord, now: dt.datetime, pace: Pace
) -> list[str]:
    """Return the phases whose end an event of RDS has announced, with the one that has ended."""
    if _goes_on(due, before):
        return record.announced
    return pace.announced_with(before.action, before.event_at, now, record.announced)


def _goes_on(due: RestoreDue, before: RestoreProgress) -> bool:
    return due.action in (RestoreAction.WAIT, RestoreAction.NOTHING) or due.action.label == before.action


def note_seen(look: RestoreProgress | None, state: OperationState, record: OperationRecord) -> None:
    """Note for the next write how long phases took that the look before this step has seen end."""
    if look is not None and (durations := record.took | look.took) != record.took:
        state.note(took=durations, announced=look.announced, expected_end=look.expected_end)


def after_check(
    due: RestoreDue,
    before: RestoreProgress,
    now: dt.datetime,
    pace: Pace,
    deadline_hours: int,
    shortage: str | None = None,
    *,
    is_drill: bool = False,
) -> RestoreProgress:
    """Return what Check Restore Status answers: advance, wait or done.

    Once the deadline has passed it raises CapacityShortage where AWS lacked capacity on the way (`shortage`), even if
    there is some again, and StepFailed otherwise. In a drill it is always StepFailed, after which nothing is kept.
    """
    answers: dict[RestoreAction, Answer] = {
        RestoreAction.SET_UP_USERS: "done",
        RestoreAction.NOTHING: "done",
        RestoreAction.WAIT: "wait",
    }
    answer = answers.get(due.action, "advance")
    if answer != "done" and now - before.started_at >= dt.timedelta(hours=deadline_hours):
        if shortage:
            raise without_capacity(
                f"After {deadline_hours} hours the restore is not done, for lack of {shortage}. ",
                "Resume this operation later, or start a new one with another class or other zones.",
                is_drill=is_drill,
            )
        raise StepFailed(
            f"After {deadline_hours} hours the restore still waits for {due.waiting_for}. "
            "Look at the cluster's events in RDS; raise the stack's RestoreDeadlineHours if it is only slow."
        )
    return RestoreProgress(
        answer=answer,
        action=before.action,
        waiting_for=due.waiting_for,
        started_at=before.started_at,
        action_at=before.action_at,
        wait_seconds=pause_of(due, pace, before.action, before.action_at, now, _last_heard(before)),
        event_at=before.event_at if answer == "wait" else None,
        failure_at=before.failure_at if answer == "wait" else None,
        seen_at=now,
        all_up=due.all_up,
        expected_end=pace.expected_end(before.action, before.action_at, now),
    )
