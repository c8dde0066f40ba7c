"""Ask Aurora whether the copied snapshot is ready to restore from."""

from utils import settings
from utils.common import Work, step
from utils.errors import StepFailed
from utils.payloads import CheckCopyTask, CopyProgress
from utils.waiting import seconds_to_wait


@step("check-copy-status", CheckCopyTask)
def lambda_handler(task: CheckCopyTask, work: Work) -> CopyProgress:
    """A copy still running is an answer; a copy that can never finish raises StepFailed."""
    snapshot = work.aurora().snapshot(task.copy.identifier)
    if snapshot is None or snapshot.is_broken:
        raise StepFailed(
            f"The copy {task.copy.identifier} is {snapshot.status if snapshot else 'gone'} and won't become available. "
            f"Check the keys of {task.copy.source_arn} and of the copy, and who may have deleted it; then start again."
        )
    elapsed_seconds = (task.run.now - task.progress.started_at).total_seconds()
    deadline_hours = settings.whole_number("COPY_DEADLINE_HOURS")
    if not snapshot.is_available and elapsed_seconds >= deadline_hours * 3600:
        raise StepFailed(
            f"The copy {task.copy.identifier} is at {snapshot.percent} % after {deadline_hours} hours. "
            "Raise the stack's CopyDeadlineHours if it is only slow, then start again."
        )
    return CopyProgress(
        started_at=task.progress.started_at,
        ready=snapshot.is_available,
        percent=snapshot.percent,
        wait_seconds=seconds_to_wait(elapsed_seconds, work.poll_seconds, snapshot.percent),
    )
