"""The beginning of an operation: its id, the lock on its target, and what a schedule has started before.

A schedule's moment belongs to the run that does the schedule's work. Nothing else may take it: a dry run and a refused
request are no earlier run, nobody else may choose an operation id that looks like a moment's, and a moment counts only
around the time at which a schedule may bring it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from utils.arns import Arn
from utils.contracts.payloads import Execution
from utils.contracts.plan import Plan
from utils.errors import DuplicateRefused, RequestRefused, StepFailed
from utils.foreign_text import one_line
from utils.logins.target_secrets import make_secrets
from utils.names import (
    EARLIEST,
    LATEST,
    SCHEDULED_PREFIX,
    is_brought_at,
    is_operation_id,
    scheduled_operation_id,
)
from utils.request.fields import RestoreRequest
from utils.request.next_command import RESUME_THE_EARLIER
from utils.request.reading import refuse_if_any
from utils.state.executions import are_of_one_machine, has_ended
from utils.state.lock import TargetLock
from utils.state.operation import OperationRecord, OperationState, plain, unstored

# Step Functions may not know an execution yet that has just begun: DescribeExecution is eventually consistent (its API
# reference). Events that come twice come close together.
KNOWN_AFTER = dt.timedelta(minutes=1)


def operation_id_of(request: RestoreRequest, run: Execution) -> str:
    """Return the operation's id: one moment of a schedule is one operation, so that its second event is recognised.

    Raises RequestRefused for a moment that no schedule can have brought now, and for an execution's name that names no
    operation: Step Functions takes far more characters than tags and sessions do (API reference, StartExecution, name).
    A dry run takes no moment.
    """
    if request.scheduled_at is not None and not request.dry_run:
        refuse_if_any(_moment_problems(request.scheduled_at, run.started_at))
        if (scheduled := scheduled_operation_id(request.scheduled_at)) is not None:
            return scheduled
    operation_id = request.operation_id or run.execution_name
    if not is_operation_id(operation_id):
        raise RequestRefused(
            f"The execution's name, {one_line(repr(operation_id))}, would be the operation's, and can't name one. "
            "Start it under a name of letters, digits, hyphens and underscores, or give an operation_id."
        )
    return operation_id


def is_another_runs(record: OperationRecord, run: Execution) -> bool:
    """Whether an earlier execution began the operation: then there is something to resume, or to leave alone.

    The first step of a run that has resumed it may be tried again: the record is its own by then.
    """
    return record.execution_id != run.execution_id or record.resumed_from is not None


def refuse_if_reserved(request: RestoreRequest, operation_id: str) -> None:
    """Raise RequestRefused where a new operation would bear a name that only a schedule's moment gives.

    A scheduled operation that is known is resumed by its id, so this is asked only where none is known.
    """
    scheduled = request.scheduled_at is not None and not request.dry_run
    if scheduled or not operation_id.startswith(SCHEDULED_PREFIX):
        return
    if request.operation_id is not None:
        raise RequestRefused(
            f"operation_id: no operation {operation_id!r} is known, and names that begin with {SCHEDULED_PREFIX} are "
            "kept for schedules. Correct it to resume such an operation, or choose another name for a new one."
        )
    raise RequestRefused(
        f"The execution's name, {operation_id!r}, would be the operation's, and names that begin with "
        f"{SCHEDULED_PREFIX} are kept for schedules. Start it under another name, or give an operation_id."
    )


def refuse_if_repeated(request: RestoreRequest, record: OperationRecord, run: Execution) -> None:
    """A schedule never resumes, and its second event is nothing as long as the first one's run does the work.

    Raises DuplicateRefused, of which nobody is told, while that run is at work or when it has succeeded. Raises
    RequestRefused, which people are told, where the work isn't being done, or is other work than this event asks for.
    """
    if request.scheduled_at is None:
        return
    target, asked = record.parameters.get("target_cluster_id"), request.target_cluster_id
    moment = f"scheduled_at: {request.scheduled_at!r} is the moment of operation {record.operation_id}"
    if not record.plan:
        raise RequestRefused(
            f"{moment}, whose execution {record.execution_id} was stopped before it had begun anything. The schedule's "
            "event came again, and nothing was done. Leave scheduled_at out to start the run yourself."
        )
    if target != asked:
        raise RequestRefused(
            f"{moment} too, whose target is {target!r}, not {asked!r}. Let the two schedules start a minute apart."
        )
    if not _asks_for_the_same(request, record):
        raise RequestRefused(
            f"{moment} too, which was asked for something else by {record.execution_id}. Let two schedules start a "
            "minute apart, and leave scheduled_at out when you start a run yourself."
        )
    if record.status == "succeeded" or _is_at_work(record, run):
        raise _duplicate(request, record.execution_id)
    raise RequestRefused(
        f"{moment}, whose execution {record.execution_id} has ended without success. The schedule's event came again, "
        f"and a schedule never resumes: nothing was done. {RESUME_THE_EARLIER}"
    )


def begin_operation(request: RestoreRequest, state: OperationState, plan: Plan, run: Execution) -> None:
    """Take the target's lock, write the operation's first state, make the target's secrets: the first side effects.

    A dry run takes no lock and makes nothing; refused, it keeps none.
    """
    if plan.dry_run:
        state.open("snapshot-check", request, plan, "planned")
        return
    lock = _take_target(request, state, plan)
    try:
        state.open("snapshot-check", request, plan, "running")
    except StepFailed:
        lock.give_back(state.now)
        raise
    except RequestRefused:
        lock.give_back(state.now)
        # Another execution was quicker.
        if (known := state.recall()) is not None:
            refuse_if_repeated(request, known, run)
        raise
    make_secrets(plan, state)


def take_over(
    request: RestoreRequest, state: OperationState, known: OperationRecord, plan: Plan, facts: Mapping[str, Any]
) -> None:
    """Take the target's lock, and the operation from the execution that has ended. Refused, keep neither."""
    lock = _take_target(request, state, plan)
    try:
        state.hand_over(known, plan, facts)
    except StepFailed:
        lock.give_back(state.now)
        raise


def _take_target(request: RestoreRequest, state: OperationState, plan: Plan) -> TargetLock:
    """Hold the lock on the target. It is taken over from a run that has ended without giving it back."""
    target = plan.target_cluster_id
    lock = TargetLock(target, plan.operation_id, state.execution_id, state.redrive_count)
    taking = lock.claim(state.now)
    if (holder := taking.held_by) is not None:
        if request.scheduled_at is not None and holder.operation_id == plan.operation_id:
            raise _duplicate(request, holder.execution_id)
        raise RequestRefused(
            f"target_cluster_id: another run works on {target!r}: {holder.execution_id} (operation "
            f"{holder.operation_id}). Wait until it ends, or stop it: aws stepfunctions stop-execution "
            f"--execution-arn {holder.execution_id} --region {Arn.parse(state.execution_id).region}"
        )
    if (dead := taking.taken_from) is not None:
        details = {"lock_of": target, "execution_id": dead.execution_id, "operation_id": dead.operation_id}
        state.audit("lock", "taken-over", details)
    return lock


def _moment_problems(scheduled_at: str, started_at: dt.datetime) -> Iterator[str]:
    if scheduled_operation_id(scheduled_at) is not None and not is_brought_at(scheduled_at, started_at):
        yield (
            f"scheduled_at: {scheduled_at!r} is no moment of which a schedule may bring word at {started_at:%FT%TZ}: "
            f"from {LATEST.total_seconds() / 3600:.0f} hours before to {EARLIEST.total_seconds() / 60:.0f} minutes "
            "after. Let the schedule fill it in, as <aws.scheduler.scheduled-time>, or leave it out when you start a "
            "run yourself."
        )


def _asks_for_the_same(request: RestoreRequest, record: OperationRecord) -> bool:
    """Compare all but the moment, which has several spellings."""
    asked: dict[str, object] = unstored(plain(request))
    return {**asked, "scheduled_at": None} == {**record.parameters, "scheduled_at": None}


def _is_at_work(record: OperationRecord, run: Execution) -> bool:
    """Whether its execution still runs. A run that died before it could say so has ended as well."""
    if record.status != "running" or not are_of_one_machine(record.execution_id, run.execution_id):
        return False
    has_just_begun = run.now - dt.datetime.fromisoformat(record.last_updated) < KNOWN_AFTER
    return has_just_begun or not has_ended(record.execution_id)


def _duplicate(request: RestoreRequest, execution: str) -> DuplicateRefused:
    return DuplicateRefused(
        f"scheduled_at: the schedule's event of {request.scheduled_at} came twice; {execution} is its run. "
        "Nothing was done and there is nothing to do."
    )
