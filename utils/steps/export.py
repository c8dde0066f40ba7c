"""The archive of a restored snapshot as Parquet files: begun once, beside the restore, and followed to its end."""

from __future__ import annotations

import datetime as dt

from utils import environment
from utils.aurora_utils import AuroraReader
from utils.aurora_utils.exports import Exports, ExportTask
from utils.contracts.payloads import Archived
from utils.contracts.plan import SnapshotExport
from utils.contracts.route import SnapshotCopy
from utils.contracts.stack_limits import StackLimits
from utils.errors import StepFailed, TemporaryFailure
from utils.preflight.limits import prove_export_allowed
from utils.state.operation import OperationRecord
from utils.steps.pace import Pace


def begin_export(
    export: SnapshotExport,
    copy: SnapshotCopy | None,
    record: OperationRecord,
    target: AuroraReader,
    limits: StackLimits,
) -> ExportTask | str:
    """Return the export, which is started unless it was before; or why RDS does not start it for now.

    Raises StepFailed where the stack may not export the snapshot. An export that has begun is only followed.
    """
    exports = Exports(target.region)
    task = exports.task(export.identifier)
    if task is not None:
        return task
    prove_export_allowed(export, copy, record, target, limits)
    return exports.start(export)


def cancel_export(export: SnapshotExport, record: OperationRecord, target: AuroraReader) -> bool:
    """Cancel the export of an operation whose restore has failed. Return whether one is, or was, cancelled.

    One that is of another snapshot is left alone. Raises TemporaryFailure where RDS does not show one that was begun:
    it keeps the exports that have ended, too.
    """
    exports = Exports(target.region)
    task = exports.task(export.identifier)
    if task is None and record.export_begun == export.identifier:
        raise TemporaryFailure(
            f"RDS does not show the export {export.identifier}, which this operation has begun: it was not cancelled."
        )
    if task is None or task.source_arn != export.source_arn:
        return False
    if task.is_running and exports.cancel(task):
        return True
    # The answer to an earlier call may have been lost, and a client repeats such a call by itself.
    now = exports.task(export.identifier) if task.is_running else task
    return now is not None and now.is_cancelled


def export_progress(
    export: SnapshotExport,
    task: ExportTask | str,
    kept: str,
    region: str,
    began: dt.datetime,
    now: dt.datetime,
    pace: Pace,
) -> Archived:
    """Return how far the export is. `kept` is the snapshot that stays: no cluster can be restored from an export.

    It has its time from when RDS started it, or from `began` where that is later. Raises StepFailed when it has failed,
    was cancelled, or takes longer than the stack allows.
    """
    where = f"s3://{export.bucket}/{export.prefix}/{export.identifier}/"
    look = f"aws rds describe-export-tasks --export-task-identifier {export.identifier} --region {region}"
    if not isinstance(task, str) and task.source_arn != export.source_arn:
        raise StepFailed(
            f"The export {export.identifier} is not of {export.source_arn} but of {task.source_arn}. It was left "
            f"alone. Find out who created it. {look}"
        )
    started = None if isinstance(task, str) else task.started_at
    elapsed = (now - max(began, started or began)).total_seconds()
    why = task if isinstance(task, str) else f"export {export.identifier} is {task.status} at {task.percent} %"
    if not isinstance(task, str):
        if task.is_complete:
            warning = f" (RDS warns: {task.warning})" if task.warning else ""
            kept_because = f"{kept} is kept, since no cluster can be restored from an export"
            why = f"exported to {where} as Parquet{warning}; {kept_because}"
            return Archived(deleted_snapshot_arn=None, why=why, exported_to=where)
        if task.is_broken:
            raise StepFailed(
                f"The export {export.identifier} to {where} is {task.status}: {task.failure_cause}. "
                f"{kept} is kept. Fix that, then resume, which exports under a new name. {look}"
            )
    hours = environment.whole_number("EXPORT_DEADLINE_HOURS")
    if elapsed >= hours * 3600:
        raise StepFailed(
            f"After {hours} hours: {why}. {kept} is kept. RDS continues by itself; resume to follow it, or raise the "
            f"stack's ExportDeadlineHours. {look}"
        )
    percent, until_then = 0 if isinstance(task, str) else task.percent, pace.until(max(began, started or began), hours)
    return Archived(
        deleted_snapshot_arn=None,
        why=why,
        answer="wait",
        percent=percent,
        wait_seconds=until_then.pause("export", started or began, now, percent),
        expected_end=pace.expected_end("export", started or began, now),
    )
