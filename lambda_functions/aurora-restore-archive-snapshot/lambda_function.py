"""Take back what is still open on the snapshot's way, and delete, keep or export the copy that this operation made.

The snapshot that was found is never touched.
"""

from msgspec.structs import replace

from utils.common import Work, step
from utils.contracts.payloads import Archived, ArchiveTask
from utils.contracts.plan import SnapshotCopy, SnapshotExport
from utils.state.operation import OperationRecord, iso
from utils.steps.copy import Places
from utils.steps.copy_calls import RouteCalls
from utils.steps.delete import prove_own_copy, prove_restored
from utils.steps.export import begin_export, export_progress


@step("archive-snapshot", ArchiveTask)
def lambda_handler(task: ArchiveTask, work: Work) -> Archived:
    record, warnings = work.record(), list[str]()
    if task.copy is not None:
        places = Places(task.run, "archive-snapshot", task.copy)
        warnings = RouteCalls(task.copy, places, work.state, record).take_everything_back()
    if task.export is not None and not task.run.cleaning_up:
        return replace(export(task, task.export, record, work), warnings=warnings)
    if task.copy is None:
        return Archived(deleted_snapshot_arn=None, why="the snapshot was restored directly, there is no copy")
    deleted, why = archive(task, task.copy, record, work)
    if task.run.cleaning_up and task.archive_snapshot != "keep":
        # A resumed run goes the snapshot's way anew.
        work.state.remember(copied_snapshot_arn=None, copy_clean_up_at=iso(task.run.now))
    elif deleted:
        work.state.remember(copied_snapshot_arn=None)
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
    prove_own_copy(copied, copy, record)
    work.aurora().delete_snapshot(copied.identifier)
    return copied.arn, "the copy had served its purpose"


def export(task: ArchiveTask, wanted: SnapshotExport, record: OperationRecord, work: Work) -> Archived:
    """RDS goes on with it by itself; the state machine waits and asks again."""
    aurora = work.aurora()
    prove_restored(record, aurora, task.run.target_cluster_id)
    begun = begin_export(wanted, task.copy, record.operation_id, aurora, task.limits)
    kept = f"the copy {task.copy.identifier}" if task.copy else "the snapshot that was restored"
    began = record.entered("archive-snapshot")
    return export_progress(wanted, begun, kept, aurora.region, began, task.run.now, work.poll_seconds)
