"""Make the calls of the snapshot's route that are due: copy, share, copy on, take back what was opened for it."""

from msgspec.structs import replace

from utils import environment
from utils.common import Work, step
from utils.contracts.payloads import CopyProgress, CopyTask
from utils.preflight.limits import prove_copy_allowed
from utils.steps.copy import assess, note_unseen
from utils.steps.copy_calls import RouteCalls
from utils.steps.copy_progress import copy_after_action
from utils.steps.route_places import Places


@step("copy-snapshot", CopyTask)
def lambda_handler(task: CopyTask, work: Work) -> CopyProgress:
    """Make the calls that are due, if any. What exists decides, so a repeated call does no harm."""
    record, places = work.record(), Places(task.run, "copy-snapshot", task.copy)
    due = assess(task.copy, places, record, task.run.now)
    note_unseen(due, work.state, record)
    calls = RouteCalls(task.copy, places, work.state, record)
    calls.remember_reached(due)
    for each in due.steps:
        if not each.takes_back:
            prove_copy_allowed(each, task.copy.tags, places.source_of(each), places.own_account, task.limits)
        if (postponed := calls.take(each)) is not None:
            due = replace(due, waiting_for=postponed.why, shared_at=postponed.shared_at, steps=[])
    deadline_hours = environment.whole_number("COPY_DEADLINE_HOURS")
    pace = work.pace(record).until(record.entered("copy-snapshot"), deadline_hours)
    return copy_after_action(due, record, task.run.now, pace)
