"""Take the next action of the restore that is due: cluster, its own settings, instances, writer."""

from msgspec.structs import replace

from utils import environment
from utils.common import Work, always, step
from utils.contracts.payloads import RestoreProgress, RestoreTask
from utils.preflight.limits import prove_restore_allowed
from utils.steps.cluster_seen import RestoreAction, note_unseen, observe
from utils.steps.restore_calls import take_due
from utils.steps.restore_progress import after_action, note_seen
from utils.steps.wait_keys import wait_fields


@step("restore-snapshot", RestoreTask, looks=True, is_timed=always)
def lambda_handler(task: RestoreTask, work: Work) -> RestoreProgress:
    """Take the action that is due, if any. What exists decides, so a repeated call does no harm."""
    record, aurora = work.record(), work.aurora()
    note_seen(task.after, work.state, record)
    # Instances that RDS has refused with the cluster's first change are asked for again. One that exists all the same
    # is found then.
    are_requested = task.after is None or task.after.action != RestoreAction.MODIFY_CLUSTER.label
    observed = observe(task.cluster, aurora, record, task.run.now, are_requested=are_requested)
    if observed.cluster is None and record.cluster_resource_id is None:
        prove_restore_allowed(task.cluster, aurora, task.limits)
    due, refusal = take_due(task.cluster, observed, aurora, work.state, record)
    note_unseen(due, work.state, record)
    deadline_hours = environment.whole_number("RESTORE_DEADLINE_HOURS")
    pace = work.pace(record).until(record.entered("restore-snapshot"), deadline_hours)
    progress = after_action(due, record, task.run.now, pace, refusal)
    return replace(progress, **wait_fields(aurora.region, task.cluster.identifier, task.run.now))
