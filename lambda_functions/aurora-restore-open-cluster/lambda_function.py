"""Open the restored cluster's door once its users are set up, and switch its Data API on where that is planned."""

from msgspec.structs import replace

from utils.common import Work, always, step
from utils.contracts.payloads import Opening, OpenTask
from utils.preflight.limits import prove_opening_allowed
from utils.steps.open import advance, after_opening


@step("open-cluster", OpenTask, looks=True, is_timed=always)
def lambda_handler(task: OpenTask, work: Work) -> Opening:
    """Open the door. The step is repeated until RDS reports every group of every member as active."""
    record = work.record()
    cluster = task.cluster
    if record.temporary_name is not None:
        cluster = replace(cluster, identifier=record.named(task.run.target_cluster_id))
    if record.door_open_at is None:
        prove_opening_allowed(cluster, task.limits)
    due, record = advance(cluster, work.aurora(), work.state, record, task.expires_after_hours)
    return after_opening(cluster, due, record, task.run.now, work.pace(record))
