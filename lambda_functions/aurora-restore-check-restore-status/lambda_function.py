"""Observe the restore and say what comes next: advance, wait or done."""

from utils import settings
from utils.common import Work, step
from utils.payloads import CheckRestoreTask, RestoreProgress
from utils.restoration import after_check, assess


@step("check-restore-status", CheckRestoreTask)
def lambda_handler(task: CheckRestoreTask, work: Work) -> RestoreProgress:
    """`done` means settled: every status and every pending change said so twice in a row."""
    situation = assess(task.cluster, work.aurora(), work.record())
    deadline_hours = settings.whole_number("RESTORE_DEADLINE_HOURS")
    return after_check(situation, task.progress, task.run.now, work.poll_seconds, deadline_hours)
