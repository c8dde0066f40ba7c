"""Observe the restore and say what comes next: advance, wait or done."""

from msgspec.structs import replace

from utils import environment
from utils.common import Work, step
from utils.contracts.payloads import CheckRestoreTask, RestoreProgress
from utils.steps.cluster_seen import RestoreAction, note_unseen
from utils.steps.master_password import remember_managed_secret
from utils.steps.restore import assess
from utils.steps.restore_progress import after_check, announced_ends, durations_seen, with_event
from utils.steps.settings_compared import compare_settings_of_drill
from utils.steps.wait_keys import wait_fields


@step("check-restore-status", CheckRestoreTask, looks=True)
def lambda_handler(task: CheckRestoreTask, work: Work) -> RestoreProgress:
    """Return `done` once the users can be set up, and after that once every instance exists."""
    record, now = work.record(), task.run.now
    are_requested = task.progress.action == RestoreAction.CREATE_INSTANCES.label
    aurora = work.aurora()
    due = assess(task.cluster, aurora, record, now, are_requested=are_requested)
    note_unseen(due, work.state, record)
    due = compare_settings_of_drill(task.cluster, due, aurora, record, work.state)
    if due.action is RestoreAction.SET_UP_USERS and due.cluster is not None:
        remember_managed_secret(task.cluster, due.cluster, work.state, record)
    before = with_event(task.progress, task.woken, due)
    deadline_hours = environment.whole_number("RESTORE_DEADLINE_HOURS")
    pace = work.pace(record).until(before.started_at, deadline_hours)
    progress = after_check(due, before, now, pace, deadline_hours, record.shortage, is_drill=record.is_drill)
    progress = replace(progress, **wait_fields(aurora.region, task.cluster.identifier, now))
    durations = durations_seen(due, before, record, now)
    announced = announced_ends(due, before, record, now, pace)
    if progress.answer == "advance" or (due.action is RestoreAction.SET_UP_USERS and not record.has_masking):
        return replace(progress, took=durations, announced=announced)
    if durations != record.took:
        work.state.remember(took=durations, announced=announced, expected_end=progress.expected_end)
    return progress
