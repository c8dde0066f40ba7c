"""Take the next action of the restore that is due: cluster, writer, readers, master login, later settings."""

from msgspec.structs import replace

from utils import settings
from utils.aurora_shapes import Cluster
from utils.common import Work, step
from utils.credentials import AdminSecret
from utils.errors import TemporaryFailure
from utils.payloads import RestoreProgress, RestoreTask
from utils.plans import ClusterPlan
from utils.restoration import Action, after_action, assess, managed_secret
from utils.state import iso

NOTHING_INHERITED = "none"


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
        reset_master_password(plan, cluster, work)
    elif due is Action.MANAGE_MASTER_PASSWORD:
        hand_over_master_password(plan, cluster, work)
    elif due is Action.CHANGE_SETTINGS:
        work.aurora().change_after_restore(plan)
        work.state.remember(settings_changed_at=iso(work.run.now))
    elif due is Action.ENABLE_DATA_API:
        work.aurora().enable_data_api(cluster)
        work.state.remember(data_api_enabled_at=iso(work.run.now))


def reset_master_password(plan: ClusterPlan, cluster: Cluster, work: Work) -> None:
    """Production's password must not open the copy. The new one is stored before RDS hears of it."""
    version = AdminSecret.version_for(cluster.resource_id)
    login = AdminSecret(settings.text("ADMIN_SECRET_ARN")).stage(
        version, cluster.master_username, endpoint_of(cluster), cluster.port, plan.identifier
    )
    work.aurora().reset_master_password(plan.identifier, login.password)
    work.state.remember(password_version_id=version, password_reset_at=iso(work.run.now))


def hand_over_master_password(plan: ClusterPlan, cluster: Cluster, work: Work) -> None:
    """Which secret the cluster shows now is written down first: it is its source's, and never taken for its own."""
    endpoint, record = endpoint_of(cluster), work.record()
    if record.inherited_secret_arn is None:
        inherited = cluster.master_secret.arn if cluster.master_secret else NOTHING_INHERITED
        work.state.remember(inherited_secret_arn=inherited, endpoint=endpoint, port=cluster.port)
        record = replace(record, inherited_secret_arn=inherited)
    if managed_secret(cluster, record) is None:
        work.aurora().manage_master_password(plan)
    work.state.remember(password_reset_at=iso(work.run.now))


def endpoint_of(cluster: Cluster) -> str:
    if cluster.endpoint is None:
        raise TemporaryFailure(f"Cluster {cluster.identifier} has no endpoint yet.")
    return cluster.endpoint
