"""The settings of a drill's cluster, held against its plan. Of others that is done when their door is open."""

from __future__ import annotations

from utils.aurora_utils import AuroraReader
from utils.contracts.plan import ClusterPlan
from utils.state.operation import OperationRecord, OperationState, iso
from utils.steps.differences import differences, with_failures
from utils.steps.restore import Action, Situation, until_settled


def compare_settings(
    plan: ClusterPlan, situation: Situation, aurora: AuroraReader, record: OperationRecord, state: OperationState
) -> Situation:
    """Record where RDS reports other settings than were asked for, and which changes its events call failed.

    That is once every instance is up, and before all goes.

    Return the situation as it was, or the wait for what RDS still configures.
    """
    if not record.is_drill or situation.due is not Action.NOTHING or situation.cluster is None:
        return situation
    told = differences(plan, situation.cluster, situation.instances, aurora.region, record.recorded_door)
    not_yet = until_settled(situation.cluster, situation.instances, told, record.users_ready_at, state.now)
    if not_yet is None:
        told = with_failures(told, situation.cluster, aurora, record)
        state.remember(differences=told, settings_compared_at=iso(state.now))
    return not_yet or situation
