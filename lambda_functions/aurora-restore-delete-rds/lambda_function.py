"""Delete the source cluster that the request named twice, or the cluster that a failed operation made itself."""

from typing import Literal

from utils import environment
from utils.aurora_utils.resources import Cluster
from utils.common import Work, step
from utils.contracts.payloads import DeleteProgress, DeleteTask
from utils.errors import StepFailed
from utils.state.operation import iso
from utils.steps.delete_calls import delete_own_cluster, end_source
from utils.steps.delete_watch import deletion_begun, waited_for
from utils.steps.deletion_proof import (
    prove_drill_ends,
    prove_source_may_go,
    prove_stopped_drill,
    prove_unfinished,
)
from utils.steps.removed import found_gone, removal_begun


@step("delete-rds", DeleteTask)
def lambda_handler(task: DeleteTask, work: Work) -> DeleteProgress:
    """Delete instances first, then the cluster. Nothing is deleted before everything is proved."""
    return clean_up(task, work) if task.run.cleaning_up else delete_source(task, work)


def delete_source(task: DeleteTask, work: Work) -> DeleteProgress:
    """Take the next step of the source's deletion."""
    deletion = task.deletion
    if deletion is None:
        raise StepFailed("The plan names no source cluster to delete. Nothing was deleted. Redeploy the stack.")
    record, source = work.state.with_plan(work.record()), work.aurora(deletion.region)
    target, target_id = work.aurora(), task.run.target_cluster_id
    cluster = prove_source_may_go(deletion, record, source, target, target_id, task.limits)
    if cluster is not None:
        end_source(deletion, cluster, source, work.state, record)
    switching = cluster is not None and cluster.deletion_protection
    return deletion_begun(deletion, record, task.run.now, work.pace(record), switching=switching)


def clean_up(task: DeleteTask, work: Work) -> DeleteProgress:
    """Delete the cluster that the operation created, because it failed or was a drill."""
    record, going = work.record(), None
    if record.is_drill_ended:
        return end_stopped_drill(task, work)
    cluster, kept_because = prove_unfinished(record, work.aurora(), task.run.target_cluster_id)
    if task.ends_drill:
        going = prove_drill_ends(cluster, kept_because, work.state.with_plan(record), work.aurora())
    if cluster is not None:
        # From here on its absence is our doing: a resumed run makes another one.
        removed = removal_begun(cluster, record, task.run.now, ends_drill=task.ends_drill)
        work.state.remember(clean_up_at=iso(task.run.now), removed=removed)
        delete_own_cluster(cluster, work.aurora())
        going = cluster.resource_id
    return begun(task, work, cluster, going, skipped=kept_because or None)


def end_stopped_drill(task: DeleteTask, work: Work) -> DeleteProgress:
    """Delete the cluster of a drill whose execution has died, once RDS is no longer at work on it.

    That may still be creating it, since nobody has waited for it.
    """
    record, target_id = work.state.with_plan(work.record()), task.run.target_cluster_id
    cluster = prove_stopped_drill(record, work.aurora(), target_id)
    if cluster is None and record.cluster_resource_id is None:
        return begun(task, work, None, None, skipped="it is gone" if record.removed else "no cluster was made")
    if cluster is None:
        work.state.remember(removed=found_gone(record, target_id))
        return begun(task, work, None, record.cluster_resource_id)
    if cluster.is_busy:
        return begun(task, work, cluster, cluster.resource_id, doing="waiting-to-delete")
    removed = removal_begun(cluster, record, task.run.now, ends_drill=False)
    work.state.remember(clean_up_at=iso(task.run.now), removed=removed)
    delete_own_cluster(cluster, work.aurora())
    return begun(task, work, cluster, cluster.resource_id)


def begun(
    task: DeleteTask,
    work: Work,
    cluster: Cluster | None,
    going: str | None,
    *,
    skipped: str | None = None,
    doing: Literal["deleting", "waiting-to-delete"] = "deleting",
) -> DeleteProgress:
    """Return what is waited for: that the cluster with the id `going` is gone, or nothing where there is none."""
    record, target_id = work.record(), task.run.target_cluster_id
    progress = DeleteProgress(
        cluster_identifier=cluster.identifier if cluster else record.named(target_id),
        region=environment.region(),
        cluster_resource_id=going,
        final_snapshot_identifier=None,
        started_at=task.run.now,
        answer="wait" if going else "done",
        wait_seconds=0,
        skipped=skipped,
        doing=doing,
    )
    return waited_for(progress, task.run.now, work.pace(record))
