"""The start of an operation: the lock on its target, its first state, and what a schedule has started before.

A schedule's moment belongs to the execution that does the schedule's work. Nothing else may take it: a dry run and a
refused request do not count as one, an operation id that looks like a moment's may not be chosen, and a moment counts
only around the time at which a schedule may bring it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from utils.arns import Arn
from utils.contracts.payloads import Execution
from utils.contracts.plan import Plan
from utils.errors import DuplicateRefused, RequestRefused, StepFailed
from utils.logins.target_secrets import make_secrets
from utils.preflight.masking import planned_text
from utils.preflight.verification import planned_checks
from utils.request.corrections import RESUME_THE_EARLIER
from utils.request.fields import RestoreRequest
from utils.request.next_command import resume_command
from utils.schedules import SCHEDULED_PREFIX
from utils.state.executions import are_of_one_machine, has_ended
from utils.state.lock import TargetLock
from utils.state.operation import OperationRecord, OperationState
from utils.state.policy_text import keep_policy
from utils.state.values import iso, plain, unstored

# Step Functions may not know an execution yet that has just begun: DescribeExecution is eventually consistent (its API
# reference). Events that come twice come close together.
KNOWN_AFTER = dt.timedelta(minutes=1)


def is_another_runs(record: OperationRecord, execution: Execution) -> bool:
    """Return whether an earlier execution began the operation, so that it has to be resumed or left alone.

    The first step of an execution that has resumed it may be retried: the record is its own then.
    """
    return record.execution_id != execution.execution_id or record.resumed_from is not None


def refuse_if_reserved(request: RestoreRequest, operation_id: str) -> None:
    """Raise RequestRefused where a new operation would get a name that is reserved for a schedule's moment.

    A scheduled operation that is known is resumed by its id, so this is called only where none is known.
    """
    scheduled = request.scheduled_at is not None and not request.dry_run
    if scheduled or not operation_id.startswith(SCHEDULED_PREFIX):
        return
    if request.operation_id is not None:
        raise RequestRefused(
            f"operation_id: no operation {operation_id!r} is known, and names that begin with {SCHEDULED_PREFIX} are "
            "reserved for schedules. Correct it to resume such an operation, or choose another name for a new one."
        )
    raise RequestRefused(
        f"The execution's name, {operation_id!r}, would be the operation's id, and names that begin with "
        f"{SCHEDULED_PREFIX} are reserved for schedules. Start it under another name, or give an operation_id."
    )


def refuse_if_repeated(request: RestoreRequest, record: OperationRecord, execution: Execution) -> None:
    """Refuse a schedule's second event: a schedule never resumes an operation.

    Raises DuplicateRefused, which is not reported to people, while the first execution is running or after it has
    succeeded. Raises RequestRefused, which is, where the work is not being done, or is not what this event asks for.
    """
    if request.scheduled_at is None:
        return
    target, asked = record.parameters.get("target_cluster_id"), request.target_cluster_id
    moment = f"scheduled_at: {request.scheduled_at!r} is the moment of operation {record.operation_id}"
    if not record.plan:
        raise RequestRefused(
            f"{moment}, whose execution {record.execution_id} was stopped before it began. The schedule's event came a "
            "second time, and nothing was done. Omit scheduled_at to start the operation yourself."
        )
    if target != asked:
        raise RequestRefused(
            f"{moment} too, whose target is {target!r}, not {asked!r}. Set the two schedules a minute apart."
        )
    if not _asks_for_the_same(request, record):
        raise RequestRefused(
            f"{moment} too, for which {record.execution_id} asked for something else. Set two schedules a minute "
            "apart, and omit scheduled_at when you start an operation yourself."
        )
    if record.status == "succeeded" or _is_at_work(record, execution):
        raise _duplicate(request, record.execution_id)
    raise RequestRefused(
        f"{moment}, whose execution {record.execution_id} has ended without success. The schedule's event came a "
        f"second time, and a schedule never resumes an operation: nothing was done. {RESUME_THE_EARLIER}"
    )


def begin_operation(request: RestoreRequest, state: OperationState, plan: Plan, execution: Execution) -> list[str]:
    """Take the target's lock, write the operation's first state, create the target's secrets: the first side effects.

    Return the secrets that were created. A dry run takes no lock and creates nothing. An operation that is refused here
    keeps no lock.
    """
    if plan.dry_run:
        state.open("snapshot-check", request, plan, "planned")
        return []
    lock = _take_target(request, state, plan)
    try:
        if plan.masking is not None:
            keep_policy(planned_text(plan.masking), state)
        checks = planned_checks(plan.verification) if plan.verification is not None else None
        if checks is not None:
            keep_policy(checks, state, "verification")
        facts = {**_expectations(plan, state.now), **_of_the_rollback(plan)}
        state.open("snapshot-check", request, plan, "running", facts=facts)
    except StepFailed:
        lock.give_back(state.now)
        raise
    except RequestRefused:
        lock.give_back(state.now)
        # Another execution was quicker.
        if (known := state.recall()) is not None:
            refuse_if_repeated(request, known, execution)
        raise
    return make_secrets(plan, state) if plan.rolls_back is None else []


def take_over(
    request: RestoreRequest, state: OperationState, known: OperationRecord, plan: Plan, facts: Mapping[str, Any]
) -> None:
    """Take the target's lock, and the operation from the execution that has ended; if refused, keep neither."""
    lock = _take_target(request, state, plan)
    try:
        state.hand_over(known, plan, {**facts, **_expectations(plan, state.now), "took": {}, "announced": []})
    except StepFailed:
        lock.give_back(state.now)
        raise


def _expectations(plan: Plan, now: dt.datetime) -> dict[str, Any]:
    """Return what each step has to know of the plan to decide when to look, and when the end is expected."""
    end = [iso(now + dt.timedelta(minutes=minutes)) for minutes in plan.expected_minutes]
    return {
        "phases": plan.phases,
        "expected": plan.expected_seconds,
        "announced_before": plan.announced,
        "expected_end": end,
    }


def _of_the_rollback(plan: Plan) -> dict[str, Any]:
    """Return what the steps of other operations record when they create it, and a rollback finds there."""
    undone = plan.rolls_back
    if undone is None:
        return {}
    return {
        "cluster_resource_id": undone.resource_id,
        "admin_secret_arn": undone.admin_secret_arn,
        "application_secret_arn": undone.application_secret_arn,
        "port": plan.replaces.port if plan.replaces else None,
    }


def _take_target(request: RestoreRequest, state: OperationState, plan: Plan) -> TargetLock:
    """Take the lock on the target, also from an execution that has ended without releasing it."""
    target = plan.target_cluster_id
    lock = TargetLock(target, plan.operation_id, state.execution_id, state.redrive_count)
    taking = lock.claim(state.now)
    if (holder := taking.held_by) is not None:
        if request.scheduled_at is not None and holder.operation_id == plan.operation_id:
            raise _duplicate(request, holder.execution_id)
        if taking.is_swapping:
            command = " ".join(resume_command(holder.execution_id, {}, holder.operation_id))
            raise RequestRefused(
                f"target_cluster_id: operation {holder.operation_id} has not ended its swap of {target!r}, which is "
                "between two clusters. Until that has ended, no other operation may work on it. Resume that operation "
                f"to finish the swap, then start again: {command}"
            )
        raise RequestRefused(
            f"target_cluster_id: another execution is working on {target!r}: {holder.execution_id} (operation "
            f"{holder.operation_id}). Wait until it ends, or stop it: aws stepfunctions stop-execution "
            f"--execution-arn {holder.execution_id} --region {Arn.parse(state.execution_id).region}"
        )
    if (dead := taking.taken_from) is not None:
        details = {"lock_of": target, "execution_id": dead.execution_id, "operation_id": dead.operation_id}
        state.audit("lock", "taken-over", details)
    return lock


def _asks_for_the_same(request: RestoreRequest, record: OperationRecord) -> bool:
    """Return whether both ask for the same, but for the moment, which has several spellings."""
    asked: dict[str, object] = unstored(plain(request))
    # What was not given is not stored.
    before = {**dict.fromkeys(asked), **record.parameters}
    return {**asked, "scheduled_at": None} == {**before, "scheduled_at": None}


def _is_at_work(record: OperationRecord, execution: Execution) -> bool:
    """Return whether its execution is still running. One that died before it could record that has ended as well."""
    if record.status != "running" or not are_of_one_machine(record.execution_id, execution.execution_id):
        return False
    has_just_begun = execution.now - dt.datetime.fromisoformat(record.last_updated) < KNOWN_AFTER
    return has_just_begun or not has_ended(record.execution_id)


def _duplicate(request: RestoreRequest, execution: str) -> DuplicateRefused:
    return DuplicateRefused(
        f"scheduled_at: the schedule's event of {request.scheduled_at} came twice; execution {execution} does its "
        "work. This execution did nothing. No action is needed."
    )
