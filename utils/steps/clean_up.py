"""The end of a cluster that the operation created itself: because it failed, or was a drill, or a drill that died."""

from __future__ import annotations

from typing import Any, Literal

from msgspec.structs import replace

from utils import environment
from utils.aurora_utils import Aurora
from utils.aurora_utils.resources import Cluster
from utils.contracts.payloads import DeleteProgress, DeleteTask
from utils.state.operation import OperationRecord, OperationState
from utils.state.restored import restored_cluster
from utils.state.unseen import PAUSE_SECONDS, is_gone, name_of_cluster, note_looks
from utils.state.values import iso
from utils.steps.delete_calls import delete_own_cluster
from utils.steps.delete_watch import waited_for
from utils.steps.deletion_proof import deletable_unfinished, prove_drill_ends, prove_stopped_drill
from utils.steps.pace import Pace
from utils.steps.removed import found_gone, removal_begun


def clean_up(
    task: DeleteTask, record: OperationRecord, aurora: Aurora, state: OperationState, pace: Pace
) -> DeleteProgress:
    """Delete the cluster once it is proved to be the operation's own, and return what is waited for."""
    if _is_unsure(record, aurora, state, task.run.target_cluster_id):
        return _look_again(task, record, pace)
    if record.is_drill_ended:
        return _end_stopped_drill(task, record, aurora, state, pace)
    going, removed = None, record.removed_here
    cluster, kept_because = deletable_unfinished(record, aurora, task.run.target_cluster_id)
    if task.ends_drill:
        going = prove_drill_ends(cluster, kept_because, state.with_plan(record), aurora)
    elif cluster is None and record.removed.get("resource_id") == record.cluster_resource_id:
        # The answer to its deletion was lost, and it was quick.
        going = record.cluster_resource_id
    if cluster is not None and cluster.is_busy:
        return _begun(task, record, pace, cluster, cluster.resource_id, doing="waiting-to-delete")
    if cluster is not None:
        going, removed = cluster.resource_id, _delete(cluster, record, aurora, state, ends_drill=task.ends_drill)
    skipped = kept_because if going is None else None
    return _begun(task, record, pace, cluster, going, skipped=skipped, since=removed.get("began_at"))


def _is_unsure(record: OperationRecord, aurora: Aurora, state: OperationState, target_cluster_id: str) -> bool:
    """Return whether RDS does not show a cluster that the operation has asked for, or not at every look.

    Somebody has deleted it, or RDS's answer was late: a second look says which. One that was renamed is there.
    """
    known = record.cluster_resource_id
    if (known is None and record.cluster_asked_at is None) or record.is_swapping:
        return False
    what, named = name_of_cluster(record, target_cluster_id), restored_cluster(record, aurora, target_cluster_id)
    found = aurora.cluster_with_id(known) if named is None and known is not None else named
    if found is not None:
        note_looks(state, record, shown=[what])
        return named is None and found.identifier == record.named(target_cluster_id)
    note_looks(state, record, missed=[what])
    return not is_gone(record, what, state.now)


def _look_again(task: DeleteTask, record: OperationRecord, pace: Pace) -> DeleteProgress:
    known = record.cluster_resource_id
    progress = _begun(task, record, pace, None, known, doing="waiting-to-delete")
    return replace(progress, answer="wait", wait_seconds=PAUSE_SECONDS)


def _end_stopped_drill(
    task: DeleteTask, record: OperationRecord, aurora: Aurora, state: OperationState, pace: Pace
) -> DeleteProgress:
    """Delete the cluster of a drill whose execution has died, once RDS is no longer at work on it.

    That may still be creating it, since nobody has waited for it.
    """
    target_id = task.run.target_cluster_id
    cluster = prove_stopped_drill(state.with_plan(record), aurora, target_id)
    if cluster is None and record.cluster_resource_id is None:
        if record.cluster_asked_at is not None:
            # RDS has shown none at two looks: nothing is left that anybody would have to look for.
            state.remember(cluster_asked_at=None)
        skipped = "it is gone" if record.removed else "no cluster was created"
        return _begun(task, record, pace, None, None, skipped=skipped)
    if cluster is None:
        state.remember(removed=found_gone(record, target_id))
        return _begun(task, record, pace, None, record.cluster_resource_id)
    if cluster.is_busy:
        return _begun(task, record, pace, cluster, cluster.resource_id, doing="waiting-to-delete")
    removed = _delete(cluster, record, aurora, state, ends_drill=False)
    return _begun(task, record, pace, cluster, cluster.resource_id, since=removed["began_at"])


def _delete(
    cluster: Cluster, record: OperationRecord, aurora: Aurora, state: OperationState, *, ends_drill: bool
) -> dict[str, Any]:
    """Delete a proved cluster, and return what stays known of it.

    What is recorded first is that its absence is our doing: a resumed run makes another one.
    """
    removed = removal_begun(cluster, record, state.now, ends_drill=ends_drill)
    state.remember(clean_up_at=iso(state.now), removed=removed)
    delete_own_cluster(cluster, aurora)
    return removed


def _begun(
    task: DeleteTask,
    record: OperationRecord,
    pace: Pace,
    cluster: Cluster | None,
    going: str | None,
    *,
    skipped: str | None = None,
    doing: Literal["deleting", "waiting-to-delete"] = "deleting",
    since: str | None = None,
) -> DeleteProgress:
    """Return what is waited for: that the cluster with the id `going` is gone, or nothing where there is none.

    `since`: when RDS was asked to delete it, if this operation did.
    """
    progress = DeleteProgress(
        cluster_identifier=cluster.identifier if cluster else record.named(task.run.target_cluster_id),
        region=environment.region(),
        cluster_resource_id=going,
        final_snapshot_identifier=None,
        started_at=task.run.now,
        answer="wait" if going else "done",
        wait_seconds=0,
        skipped=skipped,
        doing=doing,
        doing_since=record.seen(since),
        is_accepted=cluster is not None and doing == "deleting",
    )
    return waited_for(progress, task.run.now, pace)
