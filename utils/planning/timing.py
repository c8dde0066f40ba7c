"""What AWS is going to work on in an operation, and how long that may take: seen before, or else publicly known."""

from __future__ import annotations

import math
from collections.abc import Iterator

from msgspec.structs import replace

from utils.arns import Arn
from utils.contracts.payloads import Execution
from utils.contracts.phases import MASKING, SWAP, VERIFICATION, span_of, span_of_all
from utils.contracts.plan import Plan
from utils.planning.snapshot_place import source_account, source_region
from utils.request.fields import RestoreRequest
from utils.state.durations import SourceDurations, durations_key
from utils.state.operation import OperationRecord


def timed(plan: Plan, record: OperationRecord | None = None) -> Plan:
    """Return the plan with its phases and how long they are expected to take. `record` is of what is resumed."""
    if plan.rolls_back is not None:
        # Nothing is restored, and how long a swap takes is not kept.
        return plan
    phases = list(planned_phases(plan, record))
    durations = SourceDurations(plan.snapshot)
    expected = durations.expected()
    span = span_of_all({phase: span_of(phase, expected) for phase in phases})
    minutes = [math.floor(span.least / 60), math.ceil(span.most / 60)]
    return replace(
        plan,
        phases=phases,
        expected_seconds=expected,
        expected_minutes=minutes,
        announced=durations.announced(),
    )


def likely_durations(request: RestoreRequest, execution: Execution) -> list[str]:
    """Return the key of what is known of the requested source, which is read early; none where its name is unknown."""
    if request.source_cluster_id is None or request.snapshot_identifier is not None:
        return []
    own = Arn.parse(execution.execution_id)
    place = source_region(request, own.region), source_account(request, own.account_id)
    return [durations_key(place, request.source_cluster_id.lower())]


def planned_phases(plan: Plan, record: OperationRecord | None) -> Iterator[str]:
    """Yield what AWS has to work on, in the order of the plan, without what an earlier execution has seen done."""
    if plan.finishes_drill:
        yield "delete-cluster"
        return
    if plan.copy is not None and plan.copy_needed:
        yield from (step.name for step in plan.copy.steps if step.is_copy)
    if record is None or record.cluster_resource_id is None:
        yield "create-cluster"
    if record is None or record.password_reset_at is None:
        yield "modify-cluster"
    if record is None or record.users_ready_at is None:
        yield "create-instances"
    if plan.masking is not None and (record is None or record.masked_at is None):
        yield MASKING
    if plan.verification is not None and (record is None or record.verified_at is None):
        yield VERIFICATION
    if plan.drill:
        yield "delete-cluster"
    elif record is None or record.door_open_at is None:
        yield SWAP if plan.replaces is not None else "open-door"
    if plan.cluster.data_api and (record is None or record.data_api_enabled_at is None):
        yield "enable-data-api"
    if (deletion := plan.source_deletion) is not None:
        if deletion.switches_protection_off:
            yield "switch-protection-off"
        yield "delete-cluster" if deletion.final_snapshot_identifier is None else "final-snapshot"
    if plan.export is not None:
        yield "export"
