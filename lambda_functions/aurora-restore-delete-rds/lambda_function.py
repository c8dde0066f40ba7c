"""Delete the source cluster that the request named twice, or the cluster that a failed operation made itself."""

from utils.common import Work, step
from utils.contracts.payloads import DeleteProgress, DeleteTask
from utils.errors import StepFailed
from utils.state.unseen import note_looks
from utils.steps.clean_up import clean_up
from utils.steps.delete_calls import end_source
from utils.steps.delete_watch import deletion_begun
from utils.steps.deletion_proof import prove_source_may_go


@step("delete-rds", DeleteTask)
def lambda_handler(task: DeleteTask, work: Work) -> DeleteProgress:
    """Delete instances first, then the cluster. Nothing is deleted before everything is proved."""
    if task.run.cleaning_up:
        record = work.record()
        return clean_up(task, record, work.aurora(), work.state, work.pace(record))
    return delete_source(task, work)


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
    else:
        note_looks(work.state, record, missed=[deletion.cluster_resource_id])
    switching = cluster is not None and cluster.deletion_protection
    accepted = cluster is not None and not switching
    pace = work.pace(record, deletion.region)
    return deletion_begun(deletion, record, task.run.now, pace, switching=switching, is_accepted=accepted)
