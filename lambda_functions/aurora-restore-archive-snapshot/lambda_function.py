"""Delete, keep or export the copy that this operation made. The snapshot that was found is never touched."""

import datetime as dt

from utils import settings
from utils.common import Work, step
from utils.deletion import prove_restored
from utils.errors import StepFailed
from utils.exporting import export_progress
from utils.payloads import Archived, ArchiveTask
from utils.plans import SnapshotExport


@step("archive-snapshot", ArchiveTask)
def lambda_handler(task: ArchiveTask, work: Work) -> Archived:
    """Only a copy with our tag and the ARN that was recorded when it was made is deleted."""
    if task.export is not None and not task.run.cleaning_up:
        return export(task, task.export, work)
    if task.copy is None:
        return Archived(deleted_snapshot_arn=None, why="the snapshot was restored directly, there is no copy")
    if task.archive_snapshot == "keep":
        return Archived(deleted_snapshot_arn=None, why=f"the copy {task.copy.identifier} is kept, as asked")
    record = work.record()
    if not task.run.cleaning_up:
        prove_restored(record, work.aurora(), task.run.target_cluster_id)
    copied = work.aurora().snapshot(task.copy.identifier)
    if copied is None:
        return Archived(deleted_snapshot_arn=None, why=f"the copy {task.copy.identifier} is gone already")
    recorded = record.copied_snapshot_arn in (None, copied.arn) and copied.arn == task.copy.arn
    if not recorded or not copied.belongs_to(task.run.operation_id):
        raise StepFailed(
            f"Snapshot {copied.arn} isn't the copy that operation {task.run.operation_id} made "
            f"({record.copied_snapshot_arn}). It was left alone. Look at it and delete it yourself if it isn't needed."
        )
    work.aurora().delete_snapshot(copied.identifier)
    work.state.remember(copied_snapshot_arn=None)
    return Archived(deleted_snapshot_arn=copied.arn, why="the copy had served its purpose")


def export(task: ArchiveTask, wanted: SnapshotExport, work: Work) -> Archived:
    """RDS goes on with it by itself; the state machine waits and asks again."""
    record = work.record()
    prove_restored(record, work.aurora(), task.run.target_cluster_id)
    kept = f"the copy {task.copy.identifier}" if task.copy else "the snapshot that was restored"
    began = dt.datetime.fromisoformat(record.step_times["archive-snapshot"])
    return export_progress(wanted, kept, settings.region(), began, task.run.now, work.poll_seconds)
