"""Undo a replacement: which cluster gets its target's name back, and everything for which it must not.

A rollback is the swap of the replacement with the parts exchanged: the kept cluster is the one that is to have the
name, and the present one is fenced, renamed and kept in its place. It creates nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from utils.arns import Arn
from utils.aurora_utils import AuroraReader, Cluster
from utils.aurora_utils.ownership import is_recorded_cluster
from utils.contracts.payloads import Execution
from utils.contracts.plan import Plan, ReplacedCluster, RolledBack
from utils.contracts.stack_limits import StackLimits, target_problems
from utils.errors import RequestRefused
from utils.planning.calls import planned_calls
from utils.planning.replacement import login_of, plan_replacement, planned_admin_secret
from utils.preflight.kept import busy_problems, kept_problems, unmasked_problems
from utils.preflight.replaceable import replaceable_problems
from utils.preflight.taken_names import previous_name_problems
from utils.request.fields import RestoreRequest
from utils.request.reading import refuse_if_any
from utils.state.operation import OperationRecord

# What a request for a rollback may have. Everything else was decided by the operation that is undone.
FIELDS_OF_ROLLBACK = frozenset({"operation_id", "rollback", "target_cluster_id", "keep_previous_hours", "dry_run"})


def plan_rollback(
    request: RestoreRequest,
    given: Mapping[str, Any],
    undone: OperationRecord | None,
    operation_id: str,
    execution: Execution,
    limits: StackLimits,
) -> Plan:
    """Return the plan, or raise RequestRefused with everything that prevents it. Only reads.

    `undone` is the record of the operation whose replacement is undone; None where none is known. `given` is what the
    request says itself.
    """
    place = Arn.parse(execution.execution_id)
    target = AuroraReader(place.region)
    refuse_if_any(_field_problems(given))
    earlier, replaced, record = _replacement_of(request, undone)
    target_id = earlier.target_cluster_id
    if given.get("target_cluster_id") not in (None, target_id):
        raise RequestRefused(
            f"target_cluster_id: {given['target_cluster_id']!r} is not the target of operation {record.operation_id}, "
            f"which is {target_id!r}. Omit it, or give that one."
        )
    refuse_if_any(target_problems(limits, target_id))
    live, kept = target.cluster(target_id), target.cluster_with_id(replaced.resource_id)
    if live is None or not is_recorded_cluster(live, record):
        raise RequestRefused(_not_the_live_one(record, target_id, live))
    admin = planned_admin_secret(earlier.target_secrets)
    refuse_if_any(
        [
            *kept_problems(kept, replaced.resource_id, replaced.other_names, target),
            *busy_problems(kept),
            *unmasked_problems(kept, execution, limits),
            *(_of_no_field(each) for each in replaceable_problems(live, admin, target, execution.now)),
        ]
    )
    replaces = plan_replacement(request, live, operation_id, admin, execution)
    if kept is None or replaces is None:
        raise AssertionError("both clusters exist: else the request was refused")
    refuse_if_any(previous_name_problems(replaces.other_names, operation_id, target))
    cluster = replace(
        earlier.cluster,
        identifier=kept.identifier,
        live_identifier=target_id,
        live_endpoint=live.endpoint,
        vpc_security_group_ids=replaced.security_group_ids,
        data_api=replaced.data_api,
        instances=[],
    )
    plan = replace(
        earlier,
        operation_id=operation_id,
        cluster=cluster,
        replaces=replaces,
        replaced=None,
        rolls_back=RolledBack(
            operation_id=record.operation_id,
            resource_id=kept.resource_id,
            other_names=replaced.other_names,
            replaced_at=dt.datetime.fromisoformat(str(record.door_open_at)),
            login_version_id=login_of(kept, admin),
            admin_secret_arn=record.admin_secret_arn,
            application_secret_arn=record.application_secret_arn,
        ),
        copy_needed=False,
        copy=None,
        masking=None,
        export=None,
        delete_source=False,
        source_deletion=None,
        quarantine=False,
        expires_after_hours=None,
        finishes_swap=False,
        # Nothing is created that could be cleaned up.
        on_failure="keep",
        dry_run=bool(request.dry_run),
        resumed=[],
        not_taken_over=[],
        phases=[],
        expected_seconds={},
        expected_minutes=[],
        warnings=list(_warnings(kept, login_of(kept, admin))),
    )
    return replace(plan, calls=planned_calls(plan, place.account_id, target.region))


def _of_no_field(problem: str) -> str:
    """Return a problem of a replacement that no other value in the request for a rollback would solve."""
    text = problem.removeprefix("replace_target: ")
    return f"Cluster {text}" if text.startswith("'") else f"{text[0].upper()}{text[1:]}"


def _field_problems(given: Mapping[str, Any]) -> Iterator[str]:
    for name in given:
        if name not in FIELDS_OF_ROLLBACK and given[name] is not None:
            yield (
                f"{name}: {given[name]!r} is given with rollback, which takes {', '.join(sorted(FIELDS_OF_ROLLBACK))} "
                "alone. Omit it."
            )


def _replacement_of(
    request: RestoreRequest, undone: OperationRecord | None
) -> tuple[Plan, ReplacedCluster, OperationRecord]:
    """Return the plan of the replacement, what it has replaced, and its record, or raise RequestRefused."""
    named = f"operation_id: {request.operation_id!r}"
    if undone is None:
        raise RequestRefused(f"{named} is no operation that is known, so there is nothing to roll back. Correct it.")
    try:
        plan = msgspec.convert(undone.plan, Plan) if undone.plan else None
    except msgspec.ValidationError as error:
        raise RequestRefused(
            f"{named} was planned by another version of this stack ({error}) and cannot be rolled back."
        ) from None
    if undone.is_swapping or undone.status == "running":
        raise RequestRefused(
            f"{named} has not ended. Wait until it has, or resume it where its execution was stopped, then start again."
        )
    replaced = plan.replaces or plan.replaced if plan is not None else None
    if plan is None or replaced is None or undone.swap_end is None:
        raise RequestRefused(
            f"{named} has replaced no cluster, so there is nothing to roll back. Give the operation_id that the "
            "message of the replacement names."
        )
    if undone.swap_end != "forward" or undone.door_open_at is None or undone.cluster_resource_id is None:
        raise RequestRefused(
            f"{named} was turned back: {plan.target_cluster_id!r} leads to the cluster of before already. Nothing has "
            "to be rolled back."
        )
    return plan, replaced, undone


def _not_the_live_one(record: OperationRecord, target_id: str, live: Cluster | None) -> str:
    now = "no cluster has that name" if live is None else f"{live.resource_id} has that name"
    return (
        f"operation_id: {target_id!r} no longer leads to the cluster of operation {record.operation_id} "
        f"({record.cluster_resource_id}): {now}. Only the newest replacement of a target is rolled back: give its "
        "operation_id."
    )


def _warnings(kept: Cluster, login_version_id: str | None) -> Iterator[str]:
    yield (
        f"The application's logins are those that {kept.identifier} had when it was replaced: a password that was "
        "changed in the application's secret since then does not open it."
    )
    if login_version_id is None:
        yield (
            f"The pipeline has no login to {kept.identifier}: that the name leads to it is proved by its certificate "
            "alone, and the admin secret keeps the login of the cluster that is rolled back."
        )
