"""Take the next call of the snapshot's route that is due: copy, share, copy on, take back what was opened for it."""

from msgspec.structs import replace

from utils.common import Work, step
from utils.contracts.payloads import CopyProgress, CopyTask
from utils.preflight.limits import prove_copy_allowed
from utils.steps.copy import Places, a_free_copy, assess, copy_after_action
from utils.steps.copy_calls import RouteCalls


@step("copy-snapshot", CopyTask)
def lambda_handler(task: CopyTask, work: Work) -> CopyProgress:
    """Make the one call that is due, if any. What exists decides, so a repeated call does no harm."""
    record, places = work.record(), Places(task.run, "copy-snapshot", task.copy)
    situation = assess(task.copy, places, record)
    calls = RouteCalls(task.copy, places, work.state, record)
    calls.remember_reached(situation)
    if situation.due is not None and not situation.due.takes_back:
        source = places.source_of(situation.due)
        prove_copy_allowed(situation.due, task.copy.tags, source, places.own_account, task.limits)
    if situation.due is not None and not calls.take(situation.due):
        situation = replace(situation, waiting_for=a_free_copy(situation.due), due=None)
    return copy_after_action(situation, record, task.run.now, work.pace(record))
