"""The planned cluster as RDS shows it at one moment: what is waited for, and what can never become usable.

The restore and the opening of the door look at it through this module, and name what is due in the same words.
"""

from __future__ import annotations

import datetime as dt
from enum import Enum

from msgspec import Struct

from utils.aurora_utils import AuroraReader
from utils.aurora_utils.reported_settings import MasterSecret
from utils.aurora_utils.resources import Cluster, Instance
from utils.contracts.plan import ClusterPlan, PlannedInstance
from utils.errors import CapacityShortage, StepFailed
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.state.operation import OperationRecord, OperationState
from utils.state.unseen import is_gone, note_looks
from utils.steps.differences import unsafe_differences

# How long a change may take to show. One that never does can only be reported.
PATIENCE = dt.timedelta(minutes=15)


class RestoreAction(Enum):
    """What is due next. What AWS works on for minutes after it is the phase of the same name."""

    CREATE_CLUSTER = "create-cluster"
    # It carries the master password, and is due again where that has to be set again: utils/state/operation.py,
    # password_reset_at.
    MODIFY_CLUSTER = "modify-cluster"
    CREATE_INSTANCES = "create-instances"
    CHANGE_WRITER = "change-writer"
    SET_UP_USERS = "set-up-users"
    ADMIT_PIPELINE = "admit-pipeline"
    OPEN_DOOR = "open-door"
    RECORD_OPEN_DOOR = "record-open-door"
    SET_EXPIRY = "set-expiry"
    ENABLE_DATA_API = "enable-data-api"
    WAIT = "wait"
    NOTHING = "nothing"

    @property
    def label(self) -> str:
        """Return the action's name as the progress shows it."""
        return self.value


class ClusterSeen(Struct, frozen=True, kw_only=True):
    """What exists of the plan's cluster at one moment, as RDS describes it, and what its events say has failed."""

    region: str
    cluster: Cluster | None = None
    instances: list[Instance] = []
    failures: list[str] = []


class RestoreDue(Struct, frozen=True, kw_only=True):
    """Which action is due, and what is being waited for, in words for a person.

    `creating`: the instances that are waited for, if it is these alone. `unseen` is what is there by the record and RDS
    did not show: it is looked for again a minute later.
    """

    action: RestoreAction
    waiting_for: str
    cluster: Cluster | None = None
    instances: list[Instance] = []
    missing_instances: list[PlannedInstance] = []
    creating: list[str] = []
    unseen: list[str] = []
    all_up: bool = False


def observe(
    plan: ClusterPlan, aurora: AuroraReader, record: OperationRecord, now: dt.datetime, *, are_requested: bool = True
) -> ClusterSeen:
    """Ask RDS what exists under the plan's name. Before a cluster counts as gone, ask for its resource id as well.

    Instances are not looked for before they can have been requested. A cluster lists its members, so that one that
    lists none has none while it is being changed.
    """
    cluster, known = aurora.cluster(plan.identifier), record.cluster_resource_id
    if cluster is None and known is not None and is_gone(record, known, now):
        cluster = aurora.cluster_with_id(known)
    if cluster is None or cluster.is_being_created:
        return ClusterSeen(region=aurora.region, cluster=cluster)
    may_exist = are_requested and record.password_reset_at is not None and cluster.is_available
    instances = aurora.instances_of(plan.identifier) if cluster.member_identifiers or may_exist else []
    return ClusterSeen(region=aurora.region, cluster=cluster, instances=instances)


def wait(cluster: Cluster, waiting_for: str) -> RestoreDue:
    """Return that no action is due, and what is waited for."""
    return RestoreDue(action=RestoreAction.WAIT, waiting_for=waiting_for, cluster=cluster)


def unseen_cluster(plan: ClusterPlan, resource_id: str, record: OperationRecord, now: dt.datetime) -> RestoreDue:
    """Return the wait for a second look at a cluster that RDS does not show. Raises StepFailed once it is gone."""
    name = f"{plan.identifier} ({resource_id})"
    if is_gone(record, resource_id, now):
        raise StepFailed(
            f"Cluster {name}, which this operation created, was deleted by somebody else: RDS has shown it under no "
            f"name since {record.unseen[resource_id]}. Find out who deleted it (CloudTrail, DeleteDBCluster), then "
            "start a new operation."
        )
    return RestoreDue(
        action=RestoreAction.WAIT, waiting_for=f"cluster {name}, which RDS does not show", unseen=[resource_id]
    )


def refuse_renamed(plan: ClusterPlan, cluster: Cluster, region: str) -> None:
    """Raise StepFailed where somebody has renamed the cluster: the calls that are due would not reach it."""
    if cluster.identifier != plan.identifier:
        # A member's certificate has its cluster's name (utils/postgres/certificate.py), and that a new one comes
        # without a restart is not verified: no session opens with a member that has started under the other name.
        restarts = ", ".join(
            f"`aws rds reboot-db-instance --db-instance-identifier {each} --region {region}`"
            for each in cluster.member_identifiers
        )
        certified = f" Once it is available, restart its instances, for certificates with that name: {restarts}."
        raise StepFailed(
            f"Cluster {plan.identifier} ({cluster.resource_id}), which this operation created, was renamed to "
            f"{cluster.identifier} by somebody else (CloudTrail, ModifyDBCluster). Give it its name back: "
            f"`aws rds modify-db-cluster --db-cluster-identifier {cluster.identifier} --new-db-cluster-identifier "
            f"{plan.identifier} --apply-immediately --region {region}`.{certified if restarts else ''} Then resume "
            "this operation."
        )


def note_unseen(due: RestoreDue, state: OperationState, record: OperationRecord) -> None:
    """Note what this look has missed, and that it has shown what an earlier one had missed."""
    shown = [each for each in record.unseen if each not in due.unseen] if due.cluster is not None else []
    note_looks(state, record, missed=due.unseen, shown=shown)


def without_capacity(what: str, then: str, *, is_drill: bool) -> StepFailed | CapacityShortage:
    """Return the error of a lack of capacity. What exists is kept for a resume, except by a drill.

    A drill's cluster has unmasked data, and nobody may come to resume it.
    """
    if is_drill:
        return StepFailed(
            f"{what}A drill keeps nothing for that: start a new one later, or with another class, or with "
            "alternative_instance_classes."
        )
    return CapacityShortage(f"{what}What exists is kept. {then}")


def refuse_broken(plan: ClusterPlan, cluster: Cluster, observed: ClusterSeen, record: OperationRecord) -> None:
    """Raise StepFailed or CapacityShortage for what can never become usable, or is not safe to be used."""
    said = (
        f"RDS reports: {one_line('; '.join(each.rstrip('.') for each in observed.failures), MAX_SENTENCE)}. "
        if observed.failures
        else ""
    )
    for instance in observed.instances:
        if instance.lacks_capacity:
            raise without_capacity(
                f"AWS had no capacity for instance {instance.identifier} ({instance.status}). {said}",
                "Delete the instance, then resume this operation, which creates it again: aws rds delete-db-instance "
                f"--db-instance-identifier {instance.identifier} --region {observed.region}",
                is_drill=record.is_drill,
            )
    # An instance that is being deleted is not broken for good: once it is gone it is missing, and created again.
    staying = [each for each in observed.instances if not each.is_being_deleted]
    found: list[tuple[str, Cluster | Instance]] = [("cluster", cluster), *(("instance", each) for each in staying)]
    for kind, each in found:
        name = each.identifier
        if each.was_stopped:
            raise StepFailed(
                f"{kind.capitalize()} {name} was stopped while it was being restored. Find out by whom or by what "
                "(CloudTrail, StopDBCluster), and make sure that nothing stops a cluster that is being restored."
            )
        if each.is_broken:
            raise StepFailed(
                f"{kind.capitalize()} {name} is {each.status} and will not become available. {said}Look at its events: "
                f"aws rds describe-events --source-type db-{kind} --source-identifier {name} "
                f"--duration 1440 --region {observed.region}"
            )
    unsafe = unsafe_differences(plan, cluster, observed.instances, record.recorded_door) if cluster.is_available else []
    if unsafe:
        raise StepFailed(
            f"Nobody is let in to cluster {plan.identifier}, which is not what was asked for: {'; '.join(unsafe)}. "
            "Find out who changed it (CloudTrail), and resume this operation once it is as asked for. A key cannot be "
            "changed: then start a new operation."
        )


def until_up(plan: ClusterPlan, cluster: Cluster, instances: dict[str, Instance]) -> RestoreDue | None:
    """Return what is waited for until the cluster is available and all its instances are created; None once they are.

    What RDS configures right after their creation does not keep the door from opening.
    """
    busy = [
        f"instance {each.identifier} ({instances[each.identifier].status})"
        for each in plan.instances
        if not instances[each.identifier].is_up
    ]
    if busy:
        return wait(cluster, ", ".join(busy))
    return None if cluster.is_available else wait(cluster, f"cluster {plan.identifier} ({cluster.status})")


def managed_secret(cluster: Cluster, record: OperationRecord) -> MasterSecret | None:
    """Return the secret that RDS created for this cluster, not the one that came with the data from its source."""
    secret = cluster.master_secret
    return secret if secret is not None and secret.arn != record.inherited_secret_arn else None


def until_settled(
    cluster: Cluster, instances: list[Instance], told: list[str], since: str | None, now: dt.datetime
) -> RestoreDue | None:
    """Return the wait for instances that RDS still configures; None where that is over, or nothing differs.

    Right after their creation RDS still configures instances. That is waited for only where something differs, and
    only as long as it may pass: `since` is a moment by which they were up.
    """
    settling = [f"{each.identifier} ({each.status})" for each in instances if not each.is_settled]
    may_pass = told and settling and since is not None and is_recent(since, now)
    return wait(cluster, f"{', '.join(settling)} to settle") if may_pass else None


def is_recent(moment: str, now: dt.datetime) -> bool:
    """Return whether the moment is so recent that the change asked for then may still show."""
    return now - dt.datetime.fromisoformat(moment) < PATIENCE
