"""Observe how far the snapshot has come and say what is next: advance, wait or done."""

from utils import settings
from utils.common import Work, step
from utils.copying import Places, assess, copy_after_check
from utils.payloads import CheckCopyTask, CopyProgress


@step("check-copy-status", CheckCopyTask)
def lambda_handler(task: CheckCopyTask, work: Work) -> CopyProgress:
    """A copy still running is an answer; a copy that can never finish raises StepFailed."""
    places = Places(task.run, "check-copy-status", task.copy)
    situation = assess(task.copy, places, work.record())
    deadline_hours = settings.whole_number("COPY_DEADLINE_HOURS")
    return copy_after_check(situation, task.progress, task.run.now, work.poll_seconds, deadline_hours)
