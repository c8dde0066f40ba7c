"""The settings of a new cluster, held against its plan once RDS has settled it.

Of most clusters that is done when their door is open (`utils.steps.open`); of a drill's, before it is deleted.
"""

from __future__ import annotations

import datetime as dt

from utils.aurora_utils import AuroraReader
from utils.aurora_utils.resources import Cluster
from utils.contracts.plan import ClusterPlan
from utils.state.operation import OperationRecord, OperationState
from utils.state.values import iso
from utils.steps.cluster_seen import RestoreAction, RestoreDue, until_settled
from utils.steps.differences import differences, with_failures


def settled_differences(
    plan: ClusterPlan,
    due: RestoreDue,
    cluster: Cluster,
    aurora: AuroraReader,
    record: OperationRecord,
    since: str | None,
    now: dt.datetime,
) -> RestoreDue | list[str]:
    """Return where RDS reports other settings than were asked for, and which changes its events call failed.

    Return the wait instead while RDS still configures what differs; `since` is a moment by which the instances were up.
    """
    told = differences(plan, cluster, due.instances, aurora.region, record.recorded_door)
    not_yet = until_settled(cluster, due.instances, told, since, now)
    return with_failures(told, cluster, aurora, record) if not_yet is None else not_yet


def compare_settings_of_drill(
    plan: ClusterPlan, due: RestoreDue, aurora: AuroraReader, record: OperationRecord, state: OperationState
) -> RestoreDue:
    """Record how the settings of a drill's cluster differ, once every instance is up, before the cluster is deleted.

    Return what was due already, or the wait for what RDS still configures.
    """
    if not record.is_drill or due.action is not RestoreAction.NOTHING or due.cluster is None:
        return due
    found = settled_differences(plan, due, due.cluster, aurora, record, record.users_ready_at, state.now)
    if isinstance(found, RestoreDue):
        return found
    state.remember(differences=found, settings_compared_at=iso(state.now))
    return due
