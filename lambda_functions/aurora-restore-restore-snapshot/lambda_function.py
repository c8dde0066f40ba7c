"""Take the next action of the restore that is due: cluster, writer, readers, master password."""

from utils import settings
from utils.aurora_shapes import Cluster
from utils.common import Work, step
from utils.credentials import AdminSecret
from utils.errors import TemporaryFailure
from utils.payloads import RestoreProgress, RestoreTask
from utils.plans import ClusterPlan
from utils.restoration import Action, Situation, after_action, assess
from utils.state import iso


@step("restore-snapshot", RestoreTask)
def lambda_handler(task: RestoreTask, work: Work) -> RestoreProgress:
    """One action at each call; none when nothing is due. What exists decides, so a repeated call does no harm."""
    record = work.record()
    situation = assess(task.cluster, work.aurora(), record)
    if situation.cluster is not None and record.cluster_resource_id is None:
        # The call that created it died before it could write this down; every later proof needs it.
        remember_cluster(situation.cluster, work)
    if situation.due is Action.CREATE_CLUSTER:
        remember_cluster(work.aurora().restore_cluster(task.cluster, task.run.operation_id), work)
    elif situation.due in (Action.CREATE_WRITER, Action.CREATE_READERS):
        for name in situation.missing_instances:
            work.aurora().create_instance(task.cluster, name, task.run.operation_id)
    elif situation.due is Action.RESET_MASTER_PASSWORD:
        reset_master_password(task.cluster, situation, work)
    return after_action(situation, record, task.run.now, work.poll_seconds)


def remember_cluster(cluster: Cluster, work: Work) -> None:
    work.state.remember(cluster_arn=cluster.arn, cluster_resource_id=cluster.resource_id)


def reset_master_password(plan: ClusterPlan, situation: Situation, work: Work) -> None:
    """Production's password must not open the copy. The new one is stored before RDS hears of it."""
    cluster = situation.cluster
    if cluster is None or cluster.endpoint is None:
        raise TemporaryFailure(f"Cluster {plan.identifier} has no endpoint yet.")
    version = AdminSecret.version_for(cluster.resource_id)
    login = AdminSecret(settings.text("ADMIN_SECRET_ARN")).stage(
        version, cluster.master_username, cluster.endpoint, cluster.port, plan.identifier
    )
    work.aurora().reset_master_password(plan.identifier, login.password)
    work.state.remember(password_version_id=version, password_reset_at=iso(work.run.now))
