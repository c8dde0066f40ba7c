"""The end of the copy: deleted once the restored cluster has proved itself, kept, or exported and kept.

The snapshot that was found is never touched.
"""

from __future__ import annotations

from utils.aurora_utils import Aurora
from utils.aurora_utils.ownership import prove_own_snapshot
from utils.contracts.payloads import Archived, ArchiveTask
from utils.contracts.plan import SnapshotExport
from utils.contracts.route import FINAL, SnapshotCopy
from utils.state.operation import OperationRecord, OperationState
from utils.state.unseen import PAUSE_SECONDS, is_gone, note_looks
from utils.state.values import iso
from utils.steps.copy_calls import RouteCalls
from utils.steps.deletion_proof import prove_restored
from utils.steps.export import begin_export, export_progress
from utils.steps.pace import Pace
from utils.steps.route_places import Places


def take_back(task: ArchiveTask, state: OperationState, record: OperationRecord) -> list[str]:
    """Take back what is still open on the snapshot's way. Return a warning, with its command, for what is left."""
    if task.copy is None:
        return []
    places = Places(task.run, "archive-snapshot", task.copy)
    return RouteCalls(task.copy, places, state, record).take_everything_back()


def follow_export(
    task: ArchiveTask,
    export: SnapshotExport,
    state: OperationState,
    record: OperationRecord,
    target: Aurora,
    pace: Pace,
) -> Archived:
    """Start the export unless it was started before, and return how far it is. RDS continues it by itself."""
    if not task.begins_export:
        prove_restored(record, target, task.run.target_cluster_id)
    begun = begin_export(export, task.copy, record, target, task.limits)
    if not isinstance(begun, str) and record.export_begun != export.identifier:
        # A run that fails meanwhile reports that the export continues.
        state.remember(export_begun=export.identifier, export_cancelled_at=None)
    kept = f"the copy {task.copy.identifier}" if task.copy else "the snapshot that was restored"
    began = record.entered("archive-snapshot")
    opened = None if task.begins_export else record.seen(record.door_open_at)
    if opened is not None and (isinstance(begun, str) or begun.started_at is None):
        # One that RDS has refused beside the restore has its time from the end of that.
        began = max(began, opened)
    archived = export_progress(export, begun, kept, target.region, began, task.run.now, pace)
    if archived.answer == "done" and not isinstance(begun, str) and begun.seconds is not None:
        state.remember(took=record.took | {"export": begun.seconds})
    return archived


def settle_copy(task: ArchiveTask, state: OperationState, record: OperationRecord, target: Aurora) -> Archived:
    """Delete the copy or keep it, as the plan says, and forget what no longer exists."""
    if task.copy is None:
        return Archived()
    settled = _delete_or_keep(task, task.copy, record, state, target)
    if settled.answer == "wait" or settled.warnings:
        return settled
    is_deleted = settled.deleted_snapshot_arn is not None
    cleans_up = task.run.cleaning_up and task.archive_snapshot != "keep"
    if is_deleted or cleans_up:
        # What was taken back before this is in the record now.
        now_known = state.recall() or record
        facts: dict[str, object] = {"made_snapshots": _without_copy(now_known)}
        if is_deleted:
            facts["route_times"] = now_known.route_times | {task.copy.final.deleted: iso(task.run.now)}
        if cleans_up:
            # A resumed run goes the snapshot's way again.
            facts["copy_clean_up_at"] = iso(task.run.now)
        state.remember(**facts)
    return settled


def _delete_or_keep(
    task: ArchiveTask, copy: SnapshotCopy, record: OperationRecord, state: OperationState, target: Aurora
) -> Archived:
    """Delete only a copy that is proved to be this operation's own."""
    if task.archive_snapshot == "keep":
        return Archived(deleted_snapshot_arn=None, why=f"the copy {copy.identifier} is kept, as asked")
    if not task.run.cleaning_up:
        prove_restored(record, target, task.run.target_cluster_id)
    copied = target.snapshot(copy.identifier)
    arn = record.copied_snapshot_arn
    if copied is None and arn is not None and not is_gone(record, arn, task.run.now):
        note_looks(state, record, missed=[arn])
        return _look_again(task, copy, target)
    if copied is None:
        return Archived(deleted_snapshot_arn=None, why=f"the copy {copy.identifier} is gone already")
    prove_own_snapshot(copied, copy.final, record)
    target.delete_snapshot(copied.identifier)
    return Archived(deleted_snapshot_arn=copied.arn, why="the copy had served its purpose")


def _look_again(task: ArchiveTask, copy: SnapshotCopy, target: Aurora) -> Archived:
    """Return the wait for a second look at a copy that RDS does not show. At a clean-up a person has to look."""
    why = f"RDS did not show the copy {copy.identifier}, which this operation has made"
    if not task.run.cleaning_up:
        return Archived(answer="wait", wait_seconds=PAUSE_SECONDS, why=why)
    return Archived(
        why=why,
        warnings=[
            f"{why}, so it was not deleted. If it is there, delete it: aws rds delete-db-cluster-snapshot "
            f"--db-cluster-snapshot-identifier {copy.identifier} --region {target.region}"
        ],
    )


def _without_copy(record: OperationRecord) -> dict[str, str]:
    return {step: arn for step, arn in record.made_snapshots.items() if step != FINAL}
