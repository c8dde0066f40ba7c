"""Ask Aurora whether the cluster that is being deleted is gone."""

from msgspec.structs import replace

from utils import settings
from utils.common import Work, step
from utils.errors import StepFailed
from utils.payloads import CheckDeleteTask, DeleteProgress
from utils.state import NO_CLUSTER
from utils.waiting import seconds_to_wait


@step("check-delete-status", CheckDeleteTask)
def lambda_handler(task: CheckDeleteTask, work: Work) -> DeleteProgress:
    """Gone is gone, also when another cluster has taken the name since."""
    progress = task.progress
    if progress.ready:
        return progress
    cluster = work.aurora(progress.region).cluster(progress.cluster_identifier)
    if cluster is None or cluster.resource_id != progress.cluster_resource_id:
        if task.run.cleaning_up:
            work.state.remember(**NO_CLUSTER)
        return replace(progress, ready=True)
    elapsed_seconds = (task.run.now - progress.started_at).total_seconds()
    deadline_hours = settings.whole_number("DELETE_DEADLINE_HOURS")
    # RDS may go on saying `available`, or that it takes the final snapshot; only a broken cluster won't ever go.
    hopeless = cluster.is_broken and not cluster.is_being_deleted
    if hopeless or elapsed_seconds >= deadline_hours * 3600:
        raise StepFailed(
            f"Cluster {progress.cluster_identifier} is {cluster.status} {elapsed_seconds / 3600:.1f} hours after its "
            f"deletion began. Look at it: aws rds describe-db-clusters --region {progress.region} "
            f"--db-cluster-identifier {progress.cluster_identifier}"
        )
    return replace(progress, wait_seconds=seconds_to_wait(elapsed_seconds, work.poll_seconds))
