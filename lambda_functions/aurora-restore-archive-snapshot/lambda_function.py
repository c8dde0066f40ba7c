"""Export the snapshot, or delete or keep the copy that this operation made; take back what is open on its way."""

from msgspec.structs import replace

from utils.common import Work, step
from utils.contracts.payloads import Archived, ArchiveTask
from utils.state.values import iso
from utils.steps.archive import follow_export, settle_copy, take_back
from utils.steps.export import cancel_export


@step("archive-snapshot", ArchiveTask, looks=True, is_timed=lambda task: task.export is not None)
def lambda_handler(task: ArchiveTask, work: Work) -> Archived:
    """Begin the export, or undo what was opened for the copy and settle it. Only an export is waited for."""
    record, target = work.record(), work.aurora()
    if task.export is not None and task.begins_export:
        return follow_export(task, task.export, work.state, record, target, work.pace(record))
    if task.export is not None and task.run.cleaning_up and cancel_export(task.export, record, target):
        work.state.remember(export_cancelled_at=iso(task.run.now))
    if task.copy is not None and any(task.copy.outstanding(record.route_times)):
        # Taking back may fail, and that is only reported: that this step may not do so must not be.
        work.prove_at_work()
    warnings = take_back(task, work.state, record)
    if task.export is not None and not task.run.cleaning_up:
        archived = follow_export(task, task.export, work.state, record, target, work.pace(record))
    else:
        archived = settle_copy(task, work.state, record, target)
    return replace(archived, warnings=[*warnings, *archived.warnings])
