"""Take back what is still open on the snapshot's way, and delete, keep or export the copy that this operation made."""

from msgspec.structs import replace

from utils.common import Work, step
from utils.contracts.payloads import Archived, ArchiveTask
from utils.steps.archive import follow_export, settle_copy, take_back


@step("archive-snapshot", ArchiveTask, looks=True, is_timed=True)
def lambda_handler(task: ArchiveTask, work: Work) -> Archived:
    """Undo what was opened for the copy, then settle it. Only an export is waited for."""
    record, target = work.record(), work.aurora()
    warnings = take_back(task, work.state, record)
    if task.export is not None and not task.run.cleaning_up:
        archived = follow_export(task, task.export, record, target, work.poll_seconds)
    else:
        archived = settle_copy(task, work.state, record, target)
    return replace(archived, warnings=warnings)
