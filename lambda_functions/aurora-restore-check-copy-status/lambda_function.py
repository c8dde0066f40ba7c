"""Observe how far the snapshot has come and say what is next: advance, wait or done."""

from utils import environment
from utils.common import Work, step
from utils.contracts.payloads import CheckCopyTask, CopyProgress
from utils.steps.copy import assess, note_unseen
from utils.steps.copy_progress import copy_after_check, durations_seen
from utils.steps.route_places import Places


@step("check-copy-status", CheckCopyTask, looks=True)
def lambda_handler(task: CheckCopyTask, work: Work) -> CopyProgress:
    """Return how far the copy is. One that can never finish raises StepFailed."""
    places = Places(task.run, "check-copy-status", task.copy)
    record, now = work.record(), task.run.now
    due = assess(task.copy, places, record, now)
    note_unseen(due, work.state, record)
    deadline_hours = environment.whole_number("COPY_DEADLINE_HOURS")
    pace = work.pace(record).until(task.progress.started_at, deadline_hours)
    progress = copy_after_check(due, task.progress, now, pace, deadline_hours)
    if (durations := durations_seen(due, task.progress, record, now)) != record.took:
        work.state.remember(took=durations, expected_end=progress.expected_end)
    return progress
