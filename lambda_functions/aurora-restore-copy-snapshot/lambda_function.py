"""Make the calls of the snapshot's route that are due: copy, share, copy on, take back what was opened for it."""

from msgspec.structs import replace

from utils import environment
from utils.common import Work, step
from utils.contracts.payloads import CopyProgress, CopyTask
from utils.preflight.limits import prove_copy_allowed
from utils.steps.copy import Places, assess, copy_after_action, note_unseen
from utils.steps.copy_calls import RouteCalls


@step("copy-snapshot", CopyTask)
def lambda_handler(task: CopyTask, work: Work) -> CopyProgress:
    """Make the calls that are due, if any. What exists decides, so a repeated call does no harm."""
    record, places = work.record(), Places(task.run, "copy-snapshot", task.copy)
    situation = assess(task.copy, places, record, task.run.now)
    note_unseen(situation, work.state, record)
    calls = RouteCalls(task.copy, places, work.state, record)
    calls.remember_reached(situation)
    for due in situation.due:
        if not due.takes_back:
            prove_copy_allowed(due, task.copy.tags, places.source_of(due), places.own_account, task.limits)
        if (postponed := calls.take(due)) is not None:
            situation = replace(situation, waiting_for=postponed.why, shared_at=postponed.shared_at, due=[])
    deadline_hours = environment.whole_number("COPY_DEADLINE_HOURS")
    pace = work.pace(record).until(record.entered("copy-snapshot"), deadline_hours)
    return copy_after_action(situation, record, task.run.now, pace)
