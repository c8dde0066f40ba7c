"""The beginning of an operation: its id, the lock on its target, and starts that came twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from utils.errors import DuplicateRefused, RequestRefused, StepFailed
from utils.identifiers import scheduled_operation_id
from utils.lock import TargetLock
from utils.payloads import Execution
from utils.plans import Plan
from utils.restore_request import RestoreRequest
from utils.state import OperationRecord, OperationState


def operation_id_of(request: RestoreRequest, run: Execution) -> str:
    """A schedule names one operation for one moment, so that its second event of that moment is recognised."""
    scheduled = scheduled_operation_id(request.scheduled_at) if request.scheduled_at else None
    return scheduled or request.operation_id or run.execution_name


def is_another_runs(record: OperationRecord, run: Execution) -> bool:
    """Whether an earlier execution began the operation: then there is something to resume, or to leave alone.

    The first step of a run that has resumed it may be tried again: the record is its own by then.
    """
    return record.execution_id != run.execution_id or record.resumed_from is not None


def refuse_if_duplicate(request: RestoreRequest, record: OperationRecord) -> None:
    """A schedule never resumes. Another target's run at the same moment isn't the same start, though."""
    if request.scheduled_at is None:
        return
    target, asked = record.parameters.get("target_cluster_id"), request.target_cluster_id
    if record.plan and target != asked:
        raise RequestRefused(
            f"scheduled_at: {request.scheduled_at!r} is the moment of operation {record.operation_id} too, whose "
            f"target is {target!r}, not {asked!r}. Let the two schedules start a minute apart."
        )
    raise _duplicate(request, record.execution_id)


def begin_operation(request: RestoreRequest, state: OperationState, plan: Plan) -> None:
    """Take the target's lock and write the operation's first state. A dry run takes no lock; refused, it keeps none."""
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
        if request.scheduled_at is None:
            raise
        raise _duplicate(request, "another execution") from None


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
            f"--execution-arn {holder.execution_id} --region {state.execution_id.split(':')[3]}"
        )
    if (dead := taking.taken_from) is not None:
        details = {"lock_of": target, "execution_id": dead.execution_id, "operation_id": dead.operation_id}
        state.audit("lock", "taken-over", details)
    return lock


def _duplicate(request: RestoreRequest, execution: str) -> DuplicateRefused:
    return DuplicateRefused(
        f"scheduled_at: the schedule's event of {request.scheduled_at} came twice; {execution} is its run. "
        "Nothing was done and there is nothing to do."
    )
