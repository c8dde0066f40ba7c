"""Start the copy of the snapshot into the target region."""

from utils.common import Work, step
from utils.payloads import CopyProgress, CopyTask


@step("copy-snapshot", CopyTask)
def lambda_handler(task: CopyTask, work: Work) -> CopyProgress:
    """Started twice, it is one copy: its name is the operation's own."""
    snapshot = work.aurora().copy_snapshot(task.copy, task.run.operation_id)
    work.state.remember(copied_snapshot_arn=snapshot.arn)
    return CopyProgress(
        started_at=task.run.now,
        ready=snapshot.is_available,
        percent=snapshot.percent,
        wait_seconds=2 * work.poll_seconds,
    )
