"""Observe the restore and say what comes next: advance, wait or done."""

from msgspec.structs import replace

from utils import environment
from utils.common import Work, step
from utils.contracts.payloads import CheckRestoreTask, RestoreProgress
from utils.steps.restore import after_check, assess, durations_seen, outcome_of


@step("check-restore-status", CheckRestoreTask)
def lambda_handler(task: CheckRestoreTask, work: Work) -> RestoreProgress:
    """`done` means settled: every status and every pending change said so twice in a row."""
    record, aurora, now = work.record(), work.aurora(), task.run.now
    situation = assess(task.cluster, aurora, record, now)
    deadline_hours = environment.whole_number("RESTORE_DEADLINE_HOURS")
    progress = after_check(situation, task.progress, now, work.pace(record), deadline_hours, record.shortage)
    durations = durations_seen(situation, task.progress, record, now)
    if progress.answer != "done":
        if durations != record.took:
            work.state.remember(took=durations, expected_end=progress.expected_end)
        return progress
    outcome = outcome_of(task.cluster, situation, record, aurora)
    facts = {"differences": outcome.differences, "master_secret_arn": outcome.master_secret_arn}
    work.state.remember(**facts, took=durations, expected_end=progress.expected_end)
    return replace(progress, differences=outcome.differences)
