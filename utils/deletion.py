"""What may be deleted, and the proof that comes before it.

Two cases only: the source cluster, when the request asked for it twice and the restored cluster has proved itself; and
what a failed operation made itself. Whatever isn't proved is left alone.
"""

from __future__ import annotations

from utils.aurora_shapes import Cluster, Snapshot, in_order_of_deletion
from utils.aurora_utils import Aurora
from utils.errors import StepFailed, TemporaryFailure
from utils.plans import SnapshotCopy, SourceDeletion
from utils.protection import protecting_tag, why_not_deletable
from utils.state import OperationRecord


def prove_restored(record: OperationRecord, target: Aurora, target_cluster_id: str) -> None:
    """Raise StepFailed unless the restored cluster is ours, is available, has let us in and has its roles.

    Raises TemporaryFailure while Aurora is only at work on it (a backup, maintenance).
    """
    cluster = target.cluster(target_cluster_id)
    if record.login_proven_at is None or record.cluster_resource_id is None:
        raise StepFailed(
            f"No login to {target_cluster_id} has worked yet, so nothing may be deleted for it. "
            "Nothing was deleted. Check the steps before this one."
        )
    if cluster is None or cluster.resource_id != record.cluster_resource_id or cluster.is_broken:
        state = "gone" if cluster is None else f"{cluster.status} as {cluster.resource_id}"
        raise StepFailed(
            f"The restored cluster {target_cluster_id} ({record.cluster_resource_id}) is {state}, so nothing may be "
            "deleted for it. Nothing was deleted. Look at the restored cluster first."
        )
    if unfinished := (record.users or {}).get("unfinished"):
        raise StepFailed(
            f"The restored cluster {target_cluster_id} isn't as the application needs it: {unfinished[0]}. So nothing "
            "may be deleted for it. Nothing was deleted. Mend that in the restored cluster, then delete the source."
        )
    if not cluster.is_available:
        raise TemporaryFailure(
            f"The restored cluster {target_cluster_id} is {cluster.status} at the moment; only an available one proves "
            "that the restore is complete. Nothing was deleted."
        )


def prove_source(deletion: SourceDeletion, record: OperationRecord, source: Aurora) -> Cluster | None:
    """The source cluster, or None when it is gone. Raises StepFailed when it was replaced, renamed or protected."""
    cluster = source.cluster(deletion.cluster_identifier)
    if cluster is None:
        renamed = source.cluster_with_id(deletion.cluster_resource_id)
        if renamed is None or renamed.is_being_deleted:
            return renamed
        raise StepFailed(
            f"{deletion.cluster_identifier} ({deletion.cluster_resource_id}) is called {renamed.identifier} by now: "
            "somebody renamed it. It was left alone. Delete it yourself, if that is still wanted."
        )
    if cluster.resource_id != deletion.cluster_resource_id:
        raise StepFailed(
            f"{deletion.cluster_identifier} is {cluster.resource_id} by now, not {deletion.cluster_resource_id} that "
            "the request meant: somebody replaced or renamed it. It was left alone. Check which one is to go."
        )
    if cluster.resource_id == record.cluster_resource_id:
        raise StepFailed(
            f"{deletion.cluster_identifier} is the restored cluster itself. It was left alone. Nothing else is to do."
        )
    if cluster.deletion_protection and not deletion.switches_protection_off:
        raise StepFailed(
            f"{deletion.cluster_identifier} has deletion protection by now, and the plan doesn't switch it off. "
            "It was left alone. Switch it off yourself and resume, if the deletion is still wanted."
        )
    if (why := why_not_deletable(cluster, source)) is not None:
        raise StepFailed(
            f"{deletion.cluster_identifier} {why}. It was left alone. Delete it yourself, if that is still wanted."
        )
    _refuse_unplanned_instances(deletion, source)
    return cluster


def _refuse_unplanned_instances(deletion: SourceDeletion, source: Aurora) -> None:
    """Whoever approved the plan has approved the deletion of the instances in it, and of no others."""
    if deletion.instance_identifiers is None:
        return
    members = {each.identifier for each in source.instances_of(deletion.cluster_identifier)}
    if unplanned := members - set(deletion.instance_identifiers):
        raise StepFailed(
            f"{deletion.cluster_identifier} has instances that the plan doesn't name: {', '.join(sorted(unplanned))}. "
            "Somebody added them since. It was left alone. Delete the cluster yourself, if that is still wanted."
        )


def prove_unfinished(record: OperationRecord, target: Aurora, target_cluster_id: str) -> tuple[Cluster | None, str]:
    """The cluster that a failed operation made and may take away again; None, with the reason, when there is none.

    A cluster that somebody may rely on stays: once its users are set up, and all the more once the source's deletion
    began.
    """
    if record.source_deletion_at is not None:
        return None, "the deletion of the source cluster had begun, so the restored cluster may be the only one left"
    if record.users_ready_at is not None:
        return None, "the restored cluster is complete and its users can log in"
    cluster = target.cluster(target_cluster_id)
    if cluster is None:
        return None, "no cluster was made"
    if not cluster.belongs_to(record.operation_id):
        return None, f"{target_cluster_id} isn't tagged as this operation's"
    if record.cluster_resource_id not in (None, cluster.resource_id):
        return None, f"{target_cluster_id} is {cluster.resource_id}, this operation made {record.cluster_resource_id}"
    if cluster.deletion_protection:
        return None, f"{target_cluster_id} was made with deletion protection, which is never switched off"
    if (why := protecting_tag(cluster, target)) is not None:
        return None, f"{target_cluster_id} {why}"
    return cluster, ""


def prove_own_copy(found: Snapshot, copy: SnapshotCopy, record: OperationRecord) -> None:
    """By the planned ARN, the one recorded when it was made, and our tag. Raises StepFailed for any other snapshot."""
    recorded = record.copied_snapshot_arn in (None, found.arn) and found.arn == copy.arn
    if not recorded or not found.belongs_to(record.operation_id):
        raise StepFailed(
            f"Snapshot {found.arn} isn't the copy that operation {record.operation_id} made "
            f"({record.copied_snapshot_arn}). It was left alone. Look at it and delete it yourself if it isn't needed."
        )


def delete_with_instances(aurora: Aurora, cluster: Cluster, final_snapshot: str | None, keep_backups: bool) -> None:
    """Readers first, then the writer, then the cluster. Called again, it goes on where it stopped."""
    if cluster.is_being_deleted:
        return
    instances = aurora.instances_of(cluster.identifier)
    for instance in in_order_of_deletion(cluster, instances):
        if not instance.is_being_deleted:
            aurora.delete_instance(instance.identifier)
    still_there = [each.identifier for each in aurora.instances_of(cluster.identifier) if not each.is_being_deleted]
    if still_there:
        raise TemporaryFailure(
            f"{', '.join(still_there)} can't be deleted yet; cluster {cluster.identifier} goes once they are."
        )
    aurora.delete_cluster(cluster.identifier, final_snapshot, keep_backups)
