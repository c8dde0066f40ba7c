"""Why a cluster may be deleted: the proof that comes before the first call of `utils.steps.delete_calls`.

The source cluster, when the request asked for it twice and the restored cluster has proved itself; what a failed
operation created itself; and a drill's cluster, at its end or after its execution has died. What is not proved is left
alone. Clusters that expire, and those that were replaced, are proved in `utils.expiry.due`.

A source is deleted only through `prove_source_may_go`, which checks everything once more: the stack, the restored
cluster, and the source (`utils.preflight.deletion` has what protects one, and what RDS would refuse half-way).
"""

from __future__ import annotations

from collections.abc import Sequence

from utils.aurora_utils import AuroraReader
from utils.aurora_utils.door import is_door_shut
from utils.aurora_utils.ownership import is_recorded_cluster, why_not_own_cluster, why_protected
from utils.aurora_utils.resources import Cluster
from utils.aurora_utils.source_left import what_is_left_of_source
from utils.contracts.plan import SourceDeletion
from utils.contracts.stack_limits import StackLimits
from utils.errors import StepFailed, TemporaryFailure
from utils.messages.source_left import state_of_source
from utils.preflight.deletion import deletion_obstacles
from utils.preflight.limits import prove_deletion_allowed
from utils.state.operation import OperationRecord
from utils.state.restored import restored_cluster


def prove_source_may_go(
    deletion: SourceDeletion,
    record: OperationRecord,
    source: AuroraReader,
    target: AuroraReader,
    target_cluster_id: str,
    limits: StackLimits,
) -> Cluster | None:
    """Return the source cluster, all of it proved; None when it is gone. Raises StepFailed where it has to stay."""
    if record.source_deletion_at is None:  # half deleted, production would be worse than gone
        prove_deletion_allowed(deletion, limits)
    prove_restored(record, target, target_cluster_id, record.planned_instances)
    return prove_source(deletion, record, source)


def prove_restored(
    record: OperationRecord, target: AuroraReader, target_cluster_id: str, instances: Sequence[str] = ()
) -> None:
    """Raise StepFailed unless the restored cluster is ours, is available, has let us in and is open.

    `instances` are those that the plan names: a cluster is `available` without any. Raises TemporaryFailure while
    Aurora is only at work on something (a backup, maintenance), or does not show what exists by the record.
    """
    cluster = target.cluster(target_cluster_id)
    so_far = _deleted_so_far(record)
    if record.login_proven_at is None or record.cluster_resource_id is None:
        raise StepFailed(
            f"No login to {target_cluster_id} has worked yet, so nothing may be deleted for it. "
            f"{so_far} Check the steps before this one."
        )
    if record.door_open_at is None:
        raise StepFailed(
            f"The door of the restored cluster {target_cluster_id} is not open yet, so nothing may be deleted for it. "
            f"{so_far} Check the steps before this one."
        )
    if cluster is None:
        raise TemporaryFailure(
            f"RDS does not show the restored cluster {target_cluster_id} ({record.cluster_resource_id}) at the moment, "
            f"so nothing may be deleted for it. {so_far} If that lasts, find out who deleted or renamed it "
            f"(CloudTrail, DeleteDBCluster, ModifyDBCluster): {_look_at(target_cluster_id, target)}"
        )
    if not is_recorded_cluster(cluster, record) or cluster.is_broken:
        raise StepFailed(
            f"The restored cluster {target_cluster_id} ({record.cluster_resource_id}) is {cluster.status} as "
            f"{cluster.resource_id}, so nothing may be deleted for it. {so_far} Look at the restored cluster first: "
            f"{_look_at(target_cluster_id, target)}"
        )
    if not cluster.is_available:
        raise TemporaryFailure(
            f"The restored cluster {target_cluster_id} is {cluster.status} at the moment; only an available one proves "
            f"that the restore is complete. {so_far}"
        )
    _prove_instances(target_cluster_id, instances, target, so_far)


def _prove_complete(record: OperationRecord) -> None:
    """Raise StepFailed where the restored cluster may lack anything: then only the source still has it.

    A database or a role was omitted; its data were masked; or checks of them did not hold, or could not be run, which
    the request only had reported.
    """
    if record.has_masking:
        raise StepFailed(
            f"The data of the restored cluster are masked, so its source is not deleted. {_deleted_so_far(record)} "
            "No action is needed."
        )
    failed, not_run = (record.verification.get(name, 0) for name in ("failed", "not_run"))
    if failed or not_run:
        raise StepFailed(
            f"Of the checks of the restored data {failed} did not hold and {not_run} could not be run, so the source "
            f"is not deleted. {_deleted_so_far(record)} The findings are in item verified#{record.operation_id} of the "
            "state table. If the source is not needed nevertheless, delete it by hand."
        )
    if unfinished := (record.users or {}).get("unfinished"):
        raise StepFailed(
            f"The restored cluster lacks what its application needs: {unfinished[0].rstrip('.')}. "
            f"So its source is not deleted. {_deleted_so_far(record)} Fix that in the restored cluster, then resume: "
            "its users are set up once more."
        )


def _prove_instances(target_cluster_id: str, planned: Sequence[str], target: AuroraReader, so_far: str) -> None:
    statuses = {each.identifier: each for each in target.instances_of(target_cluster_id)}
    missing = [name for name in planned if name not in statuses]
    broken = [f"{name} is {each.status}" for name, each in statuses.items() if name in planned and each.is_broken]
    if broken:
        raise StepFailed(
            f"The restored cluster {target_cluster_id} lacks instances ({', '.join(broken)}), so nothing may be "
            f"deleted for it. {so_far} Look at it first: {_look_at(target_cluster_id, target)}"
        )
    if missing or not statuses:
        raise TemporaryFailure(
            f"Of the restored cluster {target_cluster_id}, RDS does not show {', '.join(missing) or 'any instance'} at "
            f"the moment, so nothing may be deleted for it. {so_far} If that lasts, find out who deleted it "
            f"(CloudTrail, DeleteDBInstance): {_look_at(target_cluster_id, target)}"
        )
    busy = [f"{name} is {each.status}" for name, each in statuses.items() if name in planned and not each.is_up]
    if busy:
        raise TemporaryFailure(
            f"Of the restored cluster {target_cluster_id}, {', '.join(busy)} at the moment; only available instances "
            f"prove that the restore is complete. {so_far}"
        )


def _deleted_so_far(record: OperationRecord) -> str:
    return "Nothing was deleted." if record.source_deletion_at is None else "Nothing more was deleted."


def _look_at(cluster_identifier: str, where: AuroraReader) -> str:
    return f"aws rds describe-db-clusters --db-cluster-identifier {cluster_identifier} --region {where.region}"


def prove_source(deletion: SourceDeletion, record: OperationRecord, source: AuroraReader) -> Cluster | None:
    """Return the source cluster, or None when it is gone. Raises StepFailed where it must not or could not be deleted.

    Called right before the first call that changes something, and whenever the step is retried or resumed. Each refusal
    begins with what is left of production at that moment.
    """
    _prove_complete(record)
    cluster = source.cluster(deletion.cluster_identifier)
    if cluster is None:
        renamed = source.cluster_with_id(deletion.cluster_resource_id)
        if renamed is None or renamed.is_being_deleted:
            return renamed
        raise _not_to_go(
            f"{deletion.cluster_identifier} ({deletion.cluster_resource_id}) has been renamed to {renamed.identifier}, "
            "so it is not deleted. If it is still to be deleted, give it its name back and resume: aws rds "
            f"modify-db-cluster --db-cluster-identifier {renamed.identifier} --new-db-cluster-identifier "
            f"{deletion.cluster_identifier} --apply-immediately --region {source.region}",
            deletion,
            source,
        )
    if cluster.resource_id != deletion.cluster_resource_id:
        raise StepFailed(
            f"{deletion.cluster_identifier} is now {cluster.resource_id}, and the plan deletes "
            f"{deletion.cluster_resource_id}: the cluster was replaced or renamed. Cluster {cluster.resource_id} was "
            f"left alone. Look at it: {_look_at(cluster.identifier, source)}"
        )
    if is_recorded_cluster(cluster, record):
        raise StepFailed(
            f"{deletion.cluster_identifier} is the restored cluster itself. It was left alone. No action is needed."
        )
    if cluster.is_being_deleted:
        return cluster
    if cluster.deletion_protection and not deletion.switches_protection_off:
        raise _not_to_go(
            f"{deletion.cluster_identifier} has deletion protection now, and the plan does not switch it off. If it is "
            "still to be deleted, switch it off and resume: aws rds modify-db-cluster --db-cluster-identifier "
            f"{cluster.identifier} --no-deletion-protection --apply-immediately --region {source.region}",
            deletion,
            source,
        )
    _refuse_unplanned_instances(deletion, source)
    if obstacles := list(
        deletion_obstacles(deletion, cluster, source, has_begun=record.source_deletion_at is not None)
    ):
        raise _not_to_go("\n".join(obstacles), deletion, source)
    if cluster.is_broken:
        raise _not_to_go(
            f"{cluster.identifier} is {cluster.status}, and only an available cluster is deleted. Look at it: "
            f"{_look_at(cluster.identifier, source)}",
            deletion,
            source,
        )
    if not cluster.is_available:
        raise TemporaryFailure(
            f"{state_of_source(what_is_left_of_source(deletion, source))} It is {cluster.status} at the moment, and "
            "only an available cluster is deleted."
        )
    return cluster


def _not_to_go(why: str, deletion: SourceDeletion, source: AuroraReader) -> StepFailed:
    """Return the refusal, with production's state first: the reader may stop after the first sentence."""
    return StepFailed(f"{state_of_source(what_is_left_of_source(deletion, source))}\n{why}")


def _refuse_unplanned_instances(deletion: SourceDeletion, source: AuroraReader) -> None:
    """Raise StepFailed for an instance that the plan does not name.

    Approving the plan has approved the deletion of the instances in it, and of no others.
    """
    if deletion.instance_identifiers is None:
        return
    members = {each.identifier for each in source.instances_of(deletion.cluster_identifier)}
    if unplanned := sorted(members - set(deletion.instance_identifiers)):
        here = f"--region {source.region}"
        commands = [f"aws rds delete-db-instance --db-instance-identifier {each} {here}" for each in unplanned]
        raise _not_to_go(
            f"{deletion.cluster_identifier} has instances that the plan does not name: {', '.join(unplanned)}. They "
            "were added since, and nothing was deleted after they were seen. If the cluster is still to be deleted, "
            "delete them and resume: " + " && ".join(commands),
            deletion,
            source,
        )


def deletable_unfinished(
    record: OperationRecord, target: AuroraReader, target_cluster_id: str
) -> tuple[Cluster | None, str]:
    """Return the cluster that a failed operation created and may delete; or None, and the reason.

    A cluster that somebody may rely on stays: once its door may be open, and all the more once the source's deletion
    began.
    """
    if record.is_swapping:
        return None, f"the swap with the cluster that had the name {target_cluster_id} has begun and not ended"
    name = record.named(target_cluster_id)
    cluster = restored_cluster(record, target, target_cluster_id)
    if cluster is None and record.cluster_resource_id is None:
        return None, "no cluster was created"
    if cluster is None or cluster.identifier != name:
        return None, _where_it_went(record, name, target)
    if record.source_deletion_at is not None:
        return None, "the deletion of the source cluster had begun, so the restored cluster may be the only one left"
    if record.door_opening_at is not None:
        return None, "the door of the restored cluster was opened, so people may rely on it"
    if (why := why_not_own_cluster(cluster, record)) is not None:
        return None, f"{cluster.identifier} {why}"
    if cluster.deletion_protection:
        return None, f"{cluster.identifier} was created with deletion protection, which is never switched off"
    if (why := why_protected(cluster, target.instances_of(cluster.identifier))) is not None:
        return None, f"{cluster.identifier} {why}"
    return cluster, ""


def _where_it_went(record: OperationRecord, name: str, target: AuroraReader) -> str:
    """Return that the cluster has no longer the name that it was given: under another one it is kept."""
    renamed = target.cluster_with_id(record.cluster_resource_id or "")
    if renamed is None or renamed.identifier == name:
        return f"{name} is gone"
    return f"somebody has renamed {name} ({renamed.resource_id}) to {renamed.identifier}"


# A drill's cluster goes only while nobody can have got in.


def prove_drill_ends(
    cluster: Cluster | None, kept_because: str, record: OperationRecord, target: AuroraReader
) -> str | None:
    """Return the resource id of a cluster whose deletion an earlier call of this step has begun, and that is gone.

    `cluster` and `kept_because` are as `deletable_unfinished` returns them. Raises StepFailed where the cluster stays,
    or where its groups may have let somebody in: then people may rely on it.
    """
    if cluster is not None:
        _refuse_unless_shut(cluster, record)
        return None
    known = record.cluster_resource_id
    if known is not None and record.removed_here.get("resource_id") == known:
        if target.cluster_with_id(known) is None:
            return known
        kept_because = f"it still exists, or exists again ({known})"
    if known is not None:
        raise _drill_stays(kept_because)
    if not record.removed_here:
        raise StepFailed(
            "Nothing is recorded of the drill's cluster, so that its end cannot be proved. This step deleted nothing. "
            f"Look for it: aws rds describe-db-clusters --region {target.region}"
        )
    return None


def prove_stopped_drill(record: OperationRecord, target: AuroraReader, target_cluster_id: str) -> Cluster | None:
    """Return the cluster that a drill has left whose execution has died; None where there is none.

    It may have died before it had a cluster, before it could record which, or after the deletion. Raises StepFailed
    where there is a cluster that stays.
    """
    cluster, kept_because = deletable_unfinished(record, target, target_cluster_id)
    if cluster is not None:
        _refuse_unless_shut(cluster, record)
        return cluster
    known = record.cluster_resource_id
    found = restored_cluster(record, target, target_cluster_id) if known is None else target.cluster_with_id(known)
    if found is None or (known is None and record.cluster_asked_at is None):
        return None
    if known is not None and found.identifier != record.named(target_cluster_id):
        kept_because = f"somebody has renamed {known} to {found.identifier}"
    raise _drill_stays(kept_because)


def _refuse_unless_shut(cluster: Cluster, record: OperationRecord) -> None:
    """Raise StepFailed where the groups of a drill's cluster may have let somebody in."""
    if not cluster.is_being_deleted and not is_door_shut(cluster, record.door_group_id):
        groups = ", ".join(cluster.security_groups.ids)
        raise StepFailed(
            f"The drill's cluster was not deleted: its security groups are {groups}, and not only "
            f"{record.door_group_id}, which admits nobody but the pipeline. Somebody may use it. If nobody does, "
            "give it that group alone, and resume this operation, which deletes it."
        )


def _drill_stays(why: str) -> StepFailed:
    return StepFailed(
        f"The drill's cluster was not deleted: {why}. Remove what keeps it, then resume this operation, which deletes "
        "it."
    )
