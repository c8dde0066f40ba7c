"""Observe the restore and say what comes next: advance, wait or done."""

from msgspec.structs import replace

from utils import environment
from utils.common import Work, step
from utils.contracts.payloads import CheckRestoreTask, RestoreProgress
from utils.steps.restore import after_check, assess, outcome_of


@step("check-restore-status", CheckRestoreTask, looks=True)
def lambda_handler(task: CheckRestoreTask, work: Work) -> RestoreProgress:
    """`done` means settled: every status and every pending change said so twice in a row."""
    record = work.record()
    aurora = work.aurora()
    situation = assess(task.cluster, aurora, record, task.run.now)
    deadline_hours = environment.whole_number("RESTORE_DEADLINE_HOURS")
    progress = after_check(situation, task.progress, task.run.now, work.poll_seconds, deadline_hours, record.shortage)
    if progress.answer != "done":
        return progress
    outcome = outcome_of(task.cluster, situation, record, aurora)
    work.state.remember(differences=outcome.differences, master_secret_arn=outcome.master_secret_arn)
    return replace(progress, differences=outcome.differences)
