"""Observe how far the snapshot has come and say what is next: advance, wait or done."""

from utils import environment
from utils.common import Work, step
from utils.contracts.payloads import CheckCopyTask, CopyProgress
from utils.steps.copy import Places, assess, copy_after_check


@step("check-copy-status", CheckCopyTask, looks=True)
def lambda_handler(task: CheckCopyTask, work: Work) -> CopyProgress:
    """Return how far the copy is. One that can never finish raises StepFailed."""
    places = Places(task.run, "check-copy-status", task.copy)
    situation = assess(task.copy, places, work.record())
    deadline_hours = environment.whole_number("COPY_DEADLINE_HOURS")
    return copy_after_check(situation, task.progress, task.run.now, work.poll_seconds, deadline_hours)
