"""A restore, as a series of actions of which one at a time is due.

RDS creates a cluster without instances and without a password of ours, and each of these takes minutes. So the state
machine alternates: one step takes the action that is due, the other observes and says when the next one is. Both ask
the same question here, `due_action`, and what answers it is only what exists: a step that died is simply run again.
"""

from __future__ import annotations

import datetime as dt

from msgspec.structs import replace

from utils.aurora_utils import AuroraReader
from utils.aurora_utils.door import admits_pipeline, beside_the_door
from utils.aurora_utils.ownership import prove_own_cluster
from utils.aurora_utils.reported_settings import MOST_SECURITY_GROUPS
from utils.aurora_utils.resources import Cluster, Instance
from utils.contracts.plan import ClusterPlan
from utils.errors import StepFailed
from utils.state.operation import OperationRecord
from utils.steps.cluster_seen import (
    ClusterSeen,
    RestoreAction,
    RestoreDue,
    is_recent,
    managed_secret,
    observe,
    refuse_broken,
    refuse_renamed,
    unseen_cluster,
    until_up,
    wait,
)
from utils.steps.differences import writer_differs


def assess(
    plan: ClusterPlan, aurora: AuroraReader, record: OperationRecord, now: dt.datetime, *, are_requested: bool = True
) -> RestoreDue:
    """Observe the cluster and its instances and say what is due. Raises StepFailed for what can never become usable.

    `are_requested`: RDS has taken the request for the instances, which are looked at first then. Nothing is let in
    before they are up, so the cluster is not looked at until then.
    """
    not_up = _until_instances(plan, aurora.instances_of(plan.identifier), record) if are_requested else None
    if not_up is not None:
        return not_up
    observed = observe(plan, aurora, record, now, are_requested=are_requested)
    cluster = observed.cluster
    if cluster is not None and (cluster.is_broken or any(each.is_broken for each in observed.instances)):
        # A drill's cluster is deleted before anybody can look.
        failures = aurora.reported_failures(cluster, record.entered("snapshot-check"))
        observed = replace(observed, failures=failures)
    return due_action(plan, observed, record, now)


def _until_instances(plan: ClusterPlan, found: list[Instance], record: OperationRecord) -> RestoreDue | None:
    """Return the wait for instances that are all being created; None where there is more to be seen than that.

    Until the users are set up one of them is enough, and all of them afterwards.
    """
    instances = {each.identifier: each for each in found}
    planned = [instances[each.identifier] for each in plan.instances if each.identifier in instances]
    creating = [each for each in planned if each.is_being_created]
    enough = len(planned) == len(plan.instances) and all(each.is_up or each in creating for each in found)
    if not enough or not creating or (record.users is None and len(creating) < len(planned)):
        return None
    busy = ", ".join(f"instance {each.identifier} ({each.status})" for each in creating)
    return RestoreDue(action=RestoreAction.WAIT, waiting_for=busy, creating=[each.identifier for each in creating])


def due_action(plan: ClusterPlan, observed: ClusterSeen, record: OperationRecord, now: dt.datetime) -> RestoreDue:
    """Decide what is due from what exists and what was asked for already, until the door may open. Calls nothing.

    The order is that of AWS's own CloudFormation handler: the cluster; one change of it while it has no instance, which
    also replaces production's master password; then its instances. The users are due as soon as the writer is usable
    and the new password in force: readers may still be created then. Raises StepFailed for what can never become
    usable.
    """
    cluster = observed.cluster
    if cluster is None:
        if record.cluster_resource_id is not None:
            return unseen_cluster(plan, record.cluster_resource_id, record, now)
        return RestoreDue(action=RestoreAction.CREATE_CLUSTER, waiting_for="the cluster")
    prove_own_cluster(cluster, record)
    refuse_renamed(plan, cluster, observed.region)
    refuse_broken(plan, cluster, observed, record)
    if record.password_reset_at is None:
        if not cluster.is_available:
            return wait(cluster, f"cluster {plan.identifier} ({cluster.status})")
        return RestoreDue(
            action=RestoreAction.MODIFY_CLUSTER, waiting_for="the cluster's own settings", cluster=cluster
        )
    instances = {each.identifier: each for each in observed.instances}
    missing = [each for each in plan.instances if each.identifier not in instances]
    if missing:
        names = ", ".join(each.identifier for each in missing)
        if not cluster.is_available:
            # They were requested right after the change, and RDS has refused that while it modifies the cluster.
            return wait(cluster, f"cluster {plan.identifier} ({cluster.status})")
        return RestoreDue(
            action=RestoreAction.CREATE_INSTANCES, waiting_for=names, cluster=cluster, missing_instances=missing
        )
    not_up = until_up(plan, cluster, instances)
    if record.users is None:
        return (
            _until_led(plan, cluster, instances, record, now)
            or _until_login(plan, cluster, record)
            or _until_admitted(plan, cluster, instances, record, observed.region)
            or RestoreDue(
                action=RestoreAction.SET_UP_USERS, waiting_for="the users", cluster=cluster, all_up=not_up is None
            )
        )
    return not_up or RestoreDue(
        action=RestoreAction.NOTHING, waiting_for="nothing", cluster=cluster, instances=observed.instances, all_up=True
    )


def _until_login(plan: ClusterPlan, cluster: Cluster, record: OperationRecord) -> RestoreDue | None:
    """Return what is waited for until a master password of the restored cluster's own is in force.

    It is kept by the keeper that the plan names. Production's no longer opens the cluster then.
    """
    if cluster.pending_changes:
        return wait(cluster, f"changes of the cluster ({', '.join(cluster.pending_changes)})")
    if plan.master_login != "rds_managed":
        return None
    secret = managed_secret(cluster, record)
    if secret is not None and secret.is_broken:
        raise StepFailed(
            f"The secret {secret.arn}, in which RDS keeps the master login of {plan.identifier}, is {secret.status}. "
            "Look at its key's policy, then resume this operation."
        )
    if secret is None or not secret.is_ready:
        return wait(cluster, f"the master login's secret ({secret.status if secret else 'not there yet'})")
    return None


def _until_led(
    plan: ClusterPlan, cluster: Cluster, instances: dict[str, Instance], record: OperationRecord, now: dt.datetime
) -> RestoreDue | None:
    """Return the wait for a writer that is usable, or the change of the writer; None where the right instance leads.

    The instance that is ready first becomes the writer. It is changed once, and only where that matters.
    """
    differs = writer_differs(plan, cluster)
    writer = plan.instances[0].identifier if differs else cluster.writer_identifier
    found = instances.get(writer or "")
    if found is None:
        return wait(cluster, f"a writer of cluster {plan.identifier}")
    if not found.is_up:
        return wait(cluster, f"instance {found.identifier} ({found.status})")
    if not cluster.is_available:
        return wait(cluster, f"cluster {plan.identifier} ({cluster.status})")
    if not differs:
        return None
    waiting_for = f"{plan.instances[0].identifier} as the writer (it is {cluster.writer_identifier})"
    if record.writer_changed_at is None:
        return RestoreDue(action=RestoreAction.CHANGE_WRITER, waiting_for=waiting_for, cluster=cluster)
    return wait(cluster, waiting_for) if is_recent(record.writer_changed_at, now) else None


def _until_admitted(
    plan: ClusterPlan, cluster: Cluster, instances: dict[str, Instance], record: OperationRecord, region: str
) -> RestoreDue | None:
    """Return what lets the pipeline in again, for users that are set up once more; None where that is not due.

    The cluster's door has been opened since. The pipeline is let in beside everybody who is in already: people may rely
    on the cluster then. Opening it again takes the door's group away. Raises StepFailed where there is no room beside
    them.
    """
    if record.users_ready_at is None or record.users is not None:
        return None
    door = plan.door_security_group_id
    if door not in cluster.security_groups.ids:
        _refuse_without_room(plan, cluster, region)
        return RestoreDue(action=RestoreAction.ADMIT_PIPELINE, waiting_for=f"security group {door}", cluster=cluster)
    members: list[Cluster | Instance] = [cluster, *instances.values()]
    unsettled = [each.identifier for each in members if not admits_pipeline(each, door)]
    return wait(cluster, f"security group {door} of {', '.join(unsettled)}") if unsettled else None


def _refuse_without_room(plan: ClusterPlan, cluster: Cluster, region: str) -> None:
    """Raise StepFailed where the cluster is in as many groups as RDS allows. Who loses theirs is its owner's to say."""
    groups = beside_the_door(cluster, plan.door_security_group_id)
    if len(groups) < MOST_SECURITY_GROUPS:
        return
    raise StepFailed(
        f"Users of cluster {plan.identifier} have to be set up again, and the pipeline cannot be let in beside "
        f"{', '.join(groups)}: RDS allows {MOST_SECURITY_GROUPS} security groups. Remove one, for example "
        f"{groups[-1]}, resume this operation, and add it again afterwards: aws rds modify-db-cluster "
        f"--db-cluster-identifier {plan.identifier} --vpc-security-group-ids "
        f"{' '.join(groups[: MOST_SECURITY_GROUPS - 1])} --apply-immediately --region {region}"
    )
