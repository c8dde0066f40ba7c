"""The end of a cluster that the operation created itself: because it failed, or was a drill, or a drill that died."""

from __future__ import annotations

from typing import Literal

from utils import environment
from utils.aurora_utils import Aurora
from utils.aurora_utils.resources import Cluster
from utils.contracts.payloads import DeleteProgress, DeleteTask
from utils.state.operation import OperationRecord, OperationState, iso
from utils.steps.delete_calls import delete_own_cluster
from utils.steps.delete_watch import waited_for
from utils.steps.deletion_proof import prove_drill_ends, prove_stopped_drill, prove_unfinished
from utils.steps.pace import Pace
from utils.steps.removed import found_gone, removal_begun


def clean_up(
    task: DeleteTask, record: OperationRecord, aurora: Aurora, state: OperationState, pace: Pace
) -> DeleteProgress:
    """Delete the cluster once it is proved to be the operation's own, and return what is waited for."""
    if record.is_drill_ended:
        return _end_stopped_drill(task, record, aurora, state, pace)
    going = None
    cluster, kept_because = prove_unfinished(record, aurora, task.run.target_cluster_id)
    if task.ends_drill:
        going = prove_drill_ends(cluster, kept_because, state.with_plan(record), aurora)
    if cluster is not None:
        going = _delete(cluster, record, aurora, state, ends_drill=task.ends_drill)
    return _begun(task, record, pace, cluster, going, skipped=kept_because or None)


def _end_stopped_drill(
    task: DeleteTask, record: OperationRecord, aurora: Aurora, state: OperationState, pace: Pace
) -> DeleteProgress:
    """Delete the cluster of a drill whose execution has died, once RDS is no longer at work on it.

    That may still be creating it, since nobody has waited for it.
    """
    target_id = task.run.target_cluster_id
    cluster = prove_stopped_drill(state.with_plan(record), aurora, target_id)
    if cluster is None and record.cluster_resource_id is None:
        skipped = "it is gone" if record.removed else "no cluster was made"
        return _begun(task, record, pace, None, None, skipped=skipped)
    if cluster is None:
        state.remember(removed=found_gone(record, target_id))
        return _begun(task, record, pace, None, record.cluster_resource_id)
    if cluster.is_busy:
        return _begun(task, record, pace, cluster, cluster.resource_id, doing="waiting-to-delete")
    going = _delete(cluster, record, aurora, state, ends_drill=False)
    return _begun(task, record, pace, cluster, going)


def _delete(
    cluster: Cluster, record: OperationRecord, aurora: Aurora, state: OperationState, *, ends_drill: bool
) -> str:
    """Delete a proved cluster, and return its resource id.

    What is recorded first is that its absence is our doing: a resumed run makes another one.
    """
    removed = removal_begun(cluster, record, state.now, ends_drill=ends_drill)
    state.remember(clean_up_at=iso(state.now), removed=removed)
    delete_own_cluster(cluster, aurora)
    return cluster.resource_id


def _begun(
    task: DeleteTask,
    record: OperationRecord,
    pace: Pace,
    cluster: Cluster | None,
    going: str | None,
    *,
    skipped: str | None = None,
    doing: Literal["deleting", "waiting-to-delete"] = "deleting",
) -> DeleteProgress:
    """Return what is waited for: that the cluster with the id `going` is gone, or nothing where there is none."""
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
    )
    return waited_for(progress, task.run.now, pace)
