"""The calls of a deletion: a proved source, or what an operation created; instances first, then their cluster."""

from __future__ import annotations

from botocore.exceptions import ClientError

from utils.aurora_utils import Aurora
from utils.aurora_utils.resources import Cluster, in_order_of_deletion
from utils.aurora_utils.source_left import what_is_left_of_source
from utils.aws_errors import as_step_error
from utils.contracts.plan import SourceDeletion
from utils.errors import TemporaryFailure
from utils.messages.source_left import state_of_source
from utils.state.operation import OperationRecord, OperationState
from utils.state.values import iso


def end_source(
    deletion: SourceDeletion, cluster: Cluster, source: Aurora, state: OperationState, record: OperationRecord
) -> None:
    """Switch the deletion protection of a proved source off, or where it is off, delete it. Both are recorded first."""
    if cluster.deletion_protection:
        state.remember(protection_off_at=iso(state.now))
        state.audit("delete-rds", "switching-protection-off", {"cluster": cluster.arn})
        source.switch_deletion_protection_off(cluster.identifier)
        return
    # Before the first call: from here on the restored cluster may be the only one left, and is never cleaned up.
    state.remember(source_deletion_at=record.source_deletion_at or iso(state.now))
    delete_source_cluster(deletion, cluster, source)


def delete_source_cluster(deletion: SourceDeletion, cluster: Cluster, source: Aurora) -> None:
    """Delete the source. What RDS refuses all the same is reported with what is left of production at that moment."""
    try:
        delete_with_instances(
            source, cluster, deletion.final_snapshot_identifier, keep_backups=not deletion.delete_automated_backups
        )
    except ClientError as error:
        failure = as_step_error(error)
        raise type(failure)(f"{state_of_source(what_is_left_of_source(deletion, source))}\n{failure}") from error
    except TemporaryFailure as failure:
        raise TemporaryFailure(f"{state_of_source(what_is_left_of_source(deletion, source))}\n{failure}") from failure


def delete_own_cluster(cluster: Cluster, target: Aurora) -> None:
    """Delete a cluster that an operation created, with all its backups but AWS Backup's, which RDS does not delete."""
    keeps = cluster.backup_recovery_point is not None
    delete_with_instances(target, cluster, final_snapshot=None, keep_backups=keeps)


def delete_with_instances(aurora: Aurora, cluster: Cluster, final_snapshot: str | None, keep_backups: bool) -> None:
    """Delete readers first, then the writer, then the cluster. Called again, it continues where it stopped."""
    if cluster.is_being_deleted:
        return
    instances = aurora.instances_of(cluster.identifier)
    for instance in in_order_of_deletion(cluster, instances):
        if not instance.is_being_deleted:
            aurora.delete_instance(instance.identifier)
    still_there = [each.identifier for each in aurora.instances_of(cluster.identifier) if not each.is_being_deleted]
    if still_there:
        raise TemporaryFailure(
            f"{', '.join(still_there)} cannot be deleted yet. Cluster {cluster.identifier} is deleted after them."
        )
    aurora.delete_cluster(cluster.identifier, final_snapshot, keep_backups)
