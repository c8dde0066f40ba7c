"""The settings of a drill's cluster, held against its plan. Of others that is done when their door is open."""

from __future__ import annotations

from utils.aurora_utils import AuroraReader
from utils.contracts.plan import ClusterPlan
from utils.state.operation import OperationRecord, OperationState, iso
from utils.steps.cluster_seen import RestoreAction, RestoreDue, until_settled
from utils.steps.differences import differences, with_failures


def compare_settings(
    plan: ClusterPlan, due: RestoreDue, aurora: AuroraReader, record: OperationRecord, state: OperationState
) -> RestoreDue:
    """Record where RDS reports other settings than were asked for, and which changes its events call failed.

    This is done once every instance is up, and before the cluster is deleted. Return what was due already, or the wait
    for what RDS still configures.
    """
    if not record.is_drill or due.action is not RestoreAction.NOTHING or due.cluster is None:
        return due
    told = differences(plan, due.cluster, due.instances, aurora.region, record.recorded_door)
    not_yet = until_settled(due.cluster, due.instances, told, record.users_ready_at, state.now)
    if not_yet is None:
        told = with_failures(told, due.cluster, aurora, record)
        state.remember(differences=told, settings_compared_at=iso(state.now))
    return not_yet or due
