"""Delete the source cluster that the request named twice, or the cluster that a failed operation made itself."""

from utils import environment
from utils.common import Work, step
from utils.contracts.payloads import DeleteProgress, DeleteTask
from utils.errors import StepFailed
from utils.state.operation import iso
from utils.steps.delete_calls import delete_own_cluster, end_source
from utils.steps.delete_watch import deletion_begun, waited_for
from utils.steps.deletion_proof import prove_drill_ends, prove_source_may_go, prove_unfinished
from utils.steps.removed import removal_begun


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
    cluster, kept_because = prove_unfinished(record, work.aurora(), task.run.target_cluster_id)
    if task.ends_drill:
        going = prove_drill_ends(cluster, kept_because, work.state.with_plan(record), work.aurora())
    if cluster is not None:
        # From here on its absence is our doing: a resumed run makes another one.
        removed = removal_begun(cluster, record, task.run.now, ends_drill=task.ends_drill)
        work.state.remember(clean_up_at=iso(task.run.now), removed=removed)
        delete_own_cluster(cluster, work.aurora())
        going = cluster.resource_id
    progress = DeleteProgress(
        cluster_identifier=cluster.identifier if cluster else record.named(task.run.target_cluster_id),
        region=environment.region(),
        cluster_resource_id=going,
        final_snapshot_identifier=None,
        started_at=task.run.now,
        answer="wait" if going else "done",
        wait_seconds=0,
        skipped=kept_because or None,
    )
    return waited_for(progress, task.run.now, work.pace(record))
