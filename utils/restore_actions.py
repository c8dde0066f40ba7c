"""The calls of a restore: each action that is due, and what is made of RDS's refusing it for now."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from utils.aurora_shapes import Cluster
from utils.aurora_utils import Aurora, ClusterBusy, NoRoom
from utils.master_login import hand_over_master_password, reset_master_password
from utils.plans import ClusterPlan, PlannedInstance
from utils.restoration import Action, Refusal, Situation
from utils.state import OperationRecord, OperationState, iso


def take(
    situation: Situation, plan: ClusterPlan, aurora: Aurora, state: OperationState, record: OperationRecord
) -> Refusal | None:
    """Take the action that is due. Return why RDS doesn't take it for now; None where it does, or nothing is due."""
    try:
        if situation.due is Action.CREATE_CLUSTER:
            remember_cluster(aurora.restore_cluster(plan, record.operation_id), state)
        elif situation.due is Action.CREATE_INSTANCES and situation.cluster is not None:
            return _create_instances(situation, plan, situation.cluster, aurora, record)
        elif situation.cluster is not None:
            _change(situation.due, plan, situation.cluster, aurora, state, record)
    except ClusterBusy as busy:
        return Refusal(why=str(busy))
    except NoRoom as lacking:
        return Refusal(why=f"room for cluster {plan.identifier} in {aurora.region} ({lacking})", shortage=True)
    return None


def remember_cluster(cluster: Cluster, state: OperationState) -> None:
    """Record what every later proof of ownership needs."""
    state.remember(cluster_arn=cluster.arn, cluster_resource_id=cluster.resource_id)


def _change(
    due: Action, plan: ClusterPlan, cluster: Cluster, aurora: Aurora, state: OperationState, record: OperationRecord
) -> None:
    if due is Action.MODIFY_CLUSTER and plan.master_login == "rds_managed":
        hand_over_master_password(plan, cluster, aurora, state, record)
    elif due is Action.MODIFY_CLUSTER:
        reset_master_password(plan, cluster, aurora, state, record)
    elif due is Action.CHANGE_WRITER:
        state.remember(writer_changed_at=iso(state.now))
        aurora.change_writer(cluster, plan.instances[0].identifier)
    elif due is Action.ENABLE_DATA_API:
        aurora.enable_data_api(cluster)
        state.remember(data_api_enabled_at=iso(state.now))


def _create_instances(
    situation: Situation, plan: ClusterPlan, cluster: Cluster, aurora: Aurora, record: OperationRecord
) -> Refusal | None:
    """Ask for all that are missing. One that finds no room doesn't keep the others from being made."""
    lacking = [
        refused
        for instance in situation.missing_instances
        if (refused := _create_somewhere(instance, plan, cluster, aurora, record)) is not None
    ]
    return Refusal(why=" ".join(lacking), shortage=True) if lacking else None


def _create_somewhere(
    instance: PlannedInstance, plan: ClusterPlan, cluster: Cluster, aurora: Aurora, record: OperationRecord
) -> str | None:
    """Create an instance as planned, else in another zone, else of another class. Return what there is no room for."""
    refusals: dict[str, str] = {}
    for candidate in candidates(instance, plan.alternative_instance_classes, cluster.availability_zones):
        try:
            aurora.create_instance(plan, candidate, record.operation_id)
        except NoRoom as lacking:
            refusals.setdefault(candidate.db_instance_class, str(lacking))
        else:
            return None
    zones = ", ".join(cluster.availability_zones) or aurora.region
    why = " ".join(dict.fromkeys(refusals.values()))
    return f"room for {instance.identifier} ({' or '.join(refusals)} in {zones}: {why})"


def candidates(
    planned: PlannedInstance, alternative_classes: list[str], cluster_zones: list[str]
) -> Iterator[PlannedInstance]:
    """The instance as planned, then in the cluster's other zones; then the same of each alternative class in turn."""
    for db_instance_class in dict.fromkeys([planned.db_instance_class, *alternative_classes]):
        for zone in dict.fromkeys([planned.availability_zone, *cluster_zones]):
            yield replace(planned, db_instance_class=db_instance_class, availability_zone=zone)
