"""Take the next action of the restore that is due: cluster, its own settings, instances, writer."""

from utils.common import Work, step
from utils.contracts.payloads import RestoreProgress, RestoreTask
from utils.preflight.limits import prove_restore_allowed
from utils.steps.restore import Action, after_action, assess
from utils.steps.restore_calls import remember_cluster, take


@step("restore-snapshot", RestoreTask)
def lambda_handler(task: RestoreTask, work: Work) -> RestoreProgress:
    """Take the one action that is due, if any. What exists decides, so a repeated call does no harm."""
    record, aurora = work.record(), work.aurora()
    situation = assess(task.cluster, aurora, record, task.run.now)
    if situation.cluster is not None and record.cluster_resource_id is None:
        # The call that created it died before it could write this down; every later proof needs it.
        remember_cluster(situation.cluster, work.state)
    if situation.due is Action.CREATE_CLUSTER:
        prove_restore_allowed(task.cluster, aurora, task.limits)
    refusal = take(situation, task.cluster, aurora, work.state, record)
    return after_action(situation, record, task.run.now, work.pace(record), refusal)
