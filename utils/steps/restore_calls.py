"""The calls of a restore: each action that is due, and what is made of RDS's refusing it for now."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError
from msgspec.structs import replace

from utils import environment
from utils.aurora_utils.client import Aurora, ClusterBusy, NoRoom
from utils.aurora_utils.door import beside_the_door
from utils.aurora_utils.resources import Cluster
from utils.aws_errors import error_code, is_refused_at_once
from utils.contracts.plan import ClusterPlan, PlannedInstance
from utils.errors import StepFailed
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.logins.secret_choice import refuse_without_secrets
from utils.state.operation import OperationRecord, OperationState
from utils.state.values import iso
from utils.steps.cluster_seen import ClusterSeen, RestoreAction, RestoreDue
from utils.steps.master_password import hand_over_master_password, reset_master_password
from utils.steps.restore import due_action
from utils.steps.restore_progress import Refusal

# What RDS answers where a zone or a class is not available to the cluster, at any capacity: two are declared for
# CreateDBInstance (botocore's model), the others are what it says of combinations and values that it does not take.
NOT_TO_BE_HAD_HERE = frozenset(
    {"DBSubnetGroupDoesNotCoverEnoughAZs", "InvalidParameterCombination", "InvalidParameterValue", "InvalidSubnet"}
)


def take_due(
    plan: ClusterPlan, observed: ClusterSeen, aurora: Aurora, state: OperationState, record: OperationRecord
) -> tuple[RestoreDue, Refusal | None]:
    """Take the action that is due. Return what is waited for then, and why RDS does not take the action for now.

    The instances are requested right after the cluster's first change, without waiting for its end: RDS may accept
    that. Where it does not, the end of the change is waited for.
    """
    due = due_action(plan, observed, record, state.now)
    if due.cluster is not None and record.cluster_resource_id is None:
        # The call that created it died before it could write this down; every later proof needs it.
        remember_cluster(due.cluster, state)
    refusal = take(due, plan, aurora, state, record)
    if due.action is not RestoreAction.MODIFY_CLUSTER or refusal is not None:
        return due, refusal
    following = due_action(plan, observed, replace(record, password_reset_at=iso(state.now)), state.now)
    if following.action is not RestoreAction.CREATE_INSTANCES:
        return due, None
    refusal = take(following, plan, aurora, state, record)
    return (due, None) if refusal is not None and not refusal.shortage else (following, refusal)


def take(
    due: RestoreDue, plan: ClusterPlan, aurora: Aurora, state: OperationState, record: OperationRecord
) -> Refusal | None:
    """Take the action that is due. Return why RDS does not take it for now; None if it does, or nothing is due."""
    lacking: str | None = None
    try:
        if due.action is RestoreAction.CREATE_CLUSTER:
            _refuse_another_door(plan)
            refuse_without_secrets(record)
            remember_cluster(_ask_for_cluster(plan, aurora, state, record), state)
        elif due.action is RestoreAction.CREATE_INSTANCES and due.cluster is not None:
            lacking = _create_instances(due, plan, due.cluster, aurora, record)
        elif due.cluster is not None:
            _change(due.action, plan, due.cluster, aurora, state, record)
    except ClusterBusy as busy:
        return Refusal(why=one_line(str(busy), MAX_SENTENCE))
    except NoRoom as refused:
        lacking = f"capacity for cluster {plan.identifier} in {aurora.region} ({_said(refused)})"
    if lacking is None:
        return None
    state.remember(shortage=lacking)
    return Refusal(why=lacking, shortage=True)


def _ask_for_cluster(plan: ClusterPlan, aurora: Aurora, state: OperationState, record: OperationRecord) -> Cluster:
    """Create the cluster. That RDS was asked for it is recorded first, and forgotten where it has surely refused."""
    state.remember(cluster_asked_at=iso(state.now))
    try:
        return aurora.restore_cluster(plan, record.operation_id)
    except (ClientError, ClusterBusy, NoRoom) as refused:
        said = refused if isinstance(refused, ClientError) else refused.__cause__
        if record.cluster_asked_at is None and isinstance(said, ClientError) and is_refused_at_once(said):
            state.note(cluster_asked_at=None)
        raise


def _refuse_another_door(plan: ClusterPlan) -> None:
    """Raise StepFailed where the plan's door is not the stack's.

    A plan is data that came by another way: the stack alone says which group admits nobody but the pipeline.
    """
    door = environment.text("DOOR_SECURITY_GROUP_ID")
    if plan.door_security_group_id != door:
        raise StepFailed(
            f"The plan puts the new cluster behind security group {plan.door_security_group_id}, and the stack's door "
            f"is {door}: it was deployed again in between. Nothing was created or changed. Start a new operation."
        )


def remember_cluster(cluster: Cluster, state: OperationState) -> None:
    """Record what every later proof of ownership needs."""
    state.remember(cluster_arn=cluster.arn, cluster_resource_id=cluster.resource_id)


def _change(
    action: RestoreAction,
    plan: ClusterPlan,
    cluster: Cluster,
    aurora: Aurora,
    state: OperationState,
    record: OperationRecord,
) -> None:
    if action is RestoreAction.MODIFY_CLUSTER and plan.master_login == "rds_managed":
        hand_over_master_password(plan, cluster, aurora, state, record)
    elif action is RestoreAction.MODIFY_CLUSTER:
        reset_master_password(plan, cluster, aurora, state, record)
    elif action is RestoreAction.CHANGE_WRITER:
        # Asked for twice it is refused as busy: the instance leads by then, or is about to.
        aurora.change_writer(cluster, plan.instances[0].identifier)
        state.remember(writer_changed_at=iso(state.now))
    elif action is RestoreAction.ADMIT_PIPELINE:
        _refuse_another_door(plan)
        aurora.change_security_groups(
            plan, [*beside_the_door(cluster, plan.door_security_group_id), plan.door_security_group_id]
        )


def _create_instances(
    due: RestoreDue, plan: ClusterPlan, cluster: Cluster, aurora: Aurora, record: OperationRecord
) -> str | None:
    """Create all that are missing. One for which there is no capacity does not keep the others from being created."""
    without_capacity: dict[tuple[str, str | None], str] = {}
    lacking = [
        instance.identifier
        for instance in due.missing_instances
        if not _create_somewhere(instance, plan, cluster, aurora, record, without_capacity)
    ]
    if not lacking:
        return None
    classes = " or ".join(dict.fromkeys(db_instance_class for db_instance_class, _ in without_capacity))
    zones = ", ".join(cluster.availability_zones) or aurora.region
    why = "; ".join(dict.fromkeys(without_capacity.values()))
    return one_line(f"capacity for {', '.join(lacking)} ({classes} in {zones}: {why})", MAX_SENTENCE)


def _create_somewhere(
    instance: PlannedInstance,
    plan: ClusterPlan,
    cluster: Cluster,
    aurora: Aurora,
    record: OperationRecord,
    without_capacity: dict[tuple[str, str | None], str],
) -> bool:
    """Create an instance as planned, else in another zone, else of another class; return whether one was created.

    What this call was refused already is not requested a second time. That another zone or class is not available (it
    is not offered there, or the subnet group does not cover it) is no failure: only the planned one has to be possible.
    """
    for candidate in candidates(instance, plan.alternative_instance_classes, cluster.availability_zones):
        wanted = (candidate.db_instance_class, candidate.availability_zone)
        if wanted in without_capacity:
            continue
        try:
            aurora.create_instance(plan, candidate, record.operation_id)
        except NoRoom as refused:
            without_capacity[wanted] = _said(refused)
        except ClientError as refused:
            if candidate == instance or error_code(refused) not in NOT_TO_BE_HAD_HERE:
                raise
            without_capacity[wanted] = _said(refused)
        else:
            return True
    return False


def _said(refused: Exception) -> str:
    """Return what AWS said, without its full stop, so that a sentence can continue after it."""
    return one_line(str(refused), MAX_SENTENCE).rstrip(". ")


def candidates(
    planned: PlannedInstance, alternative_classes: list[str], cluster_zones: list[str]
) -> Iterator[PlannedInstance]:
    """Yield the instance as planned, then in the cluster's other zones; then the same of each alternative class.

    The alternative classes come in the order in which they were given.
    """
    for db_instance_class in dict.fromkeys([planned.db_instance_class, *alternative_classes]):
        for zone in dict.fromkeys([planned.availability_zone, *cluster_zones]):
            yield replace(planned, db_instance_class=db_instance_class, availability_zone=zone)
