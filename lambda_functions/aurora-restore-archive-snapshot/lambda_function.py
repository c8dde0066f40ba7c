"""Take back what is still open on the snapshot's way, and delete or keep the copy that this operation made.

The snapshot that was found is never touched.
"""

from utils.common import Work, step
from utils.copying import Places
from utils.deletion import prove_restored
from utils.errors import StepFailed
from utils.payloads import Archived, ArchiveTask
from utils.plans import SnapshotCopy
from utils.route_calls import RouteCalls
from utils.state import OperationRecord


@step("archive-snapshot", ArchiveTask)
def lambda_handler(task: ArchiveTask, work: Work) -> Archived:
    if task.copy is None:
        return Archived(deleted_snapshot_arn=None, why="the snapshot was restored directly, there is no copy")
    record = work.record()
    warnings = RouteCalls(task.copy, Places(task.run), work.state, record).take_everything_back()
    deleted, why = archive(task, task.copy, record, work)
    return Archived(deleted_snapshot_arn=deleted, why=why, warnings=warnings)


def archive(task: ArchiveTask, copy: SnapshotCopy, record: OperationRecord, work: Work) -> tuple[str | None, str]:
    """Only a copy with our tag and the ARN that was recorded when it was made is deleted."""
    if task.archive_snapshot == "keep":
        return None, f"the copy {copy.identifier} is kept, as asked"
    if not task.run.cleaning_up:
        prove_restored(record, work.aurora(), task.run.target_cluster_id)
    copied = work.aurora().snapshot(copy.identifier)
    if copied is None:
        return None, f"the copy {copy.identifier} is gone already"
    recorded = record.copied_snapshot_arn in (None, copied.arn) and copied.arn == copy.arn
    if not recorded or not copied.belongs_to(task.run.operation_id):
        raise StepFailed(
            f"Snapshot {copied.arn} isn't the copy that operation {task.run.operation_id} made "
            f"({record.copied_snapshot_arn}). It was left alone. Look at it and delete it yourself if it isn't needed."
        )
    work.aurora().delete_snapshot(copied.identifier)
    return copied.arn, "the copy had served its purpose"
