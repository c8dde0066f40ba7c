"""Take the next action of the restore that is due: cluster, writer, readers, master login, later settings."""

from utils.aurora_shapes import Cluster
from utils.common import Work, step
from utils.master_login import hand_over_master_password, reset_master_password
from utils.payloads import RestoreProgress, RestoreTask
from utils.plans import ClusterPlan
from utils.restoration import Action, after_action, assess
from utils.state import iso


@step("restore-snapshot", RestoreTask)
def lambda_handler(task: RestoreTask, work: Work) -> RestoreProgress:
    """One action at each call; none when nothing is due. What exists decides, so a repeated call does no harm."""
    record = work.record()
    situation = assess(task.cluster, work.aurora(), record, task.run.now)
    if situation.cluster is not None and record.cluster_resource_id is None:
        # The call that created it died before it could write this down; every later proof needs it.
        remember_cluster(situation.cluster, work)
    if situation.due is Action.CREATE_CLUSTER:
        remember_cluster(work.aurora().restore_cluster(task.cluster, task.run.operation_id), work)
    elif situation.due in (Action.CREATE_WRITER, Action.CREATE_READERS):
        for instance in situation.missing_instances:
            work.aurora().create_instance(task.cluster, instance, task.run.operation_id)
    elif situation.cluster is not None:
        change(situation.due, task.cluster, situation.cluster, work)
    return after_action(situation, record, task.run.now, work.poll_seconds)


def remember_cluster(cluster: Cluster, work: Work) -> None:
    work.state.remember(cluster_arn=cluster.arn, cluster_resource_id=cluster.resource_id)


def change(due: Action, plan: ClusterPlan, cluster: Cluster, work: Work) -> None:
    """What is due once the instances are there."""
    if due is Action.RESET_MASTER_PASSWORD:
        reset_master_password(plan, cluster, work.aurora(), work.state)
    elif due is Action.MANAGE_MASTER_PASSWORD:
        hand_over_master_password(plan, cluster, work.aurora(), work.state, work.record())
    elif due is Action.CHANGE_SETTINGS:
        work.aurora().change_after_restore(plan)
        work.state.remember(settings_changed_at=iso(work.run.now))
    elif due is Action.ENABLE_DATA_API:
        work.aurora().enable_data_api(cluster)
        work.state.remember(data_api_enabled_at=iso(work.run.now))
