"""Who keeps the new cluster's master password: the target's admin secret, or RDS in one of its own.

Either way a step that died is simply run again: what was stored first is found again.
"""

from __future__ import annotations

from msgspec.structs import replace

from utils.aurora_utils import Aurora
from utils.aurora_utils.resources import Cluster
from utils.contracts.plan import ClusterPlan
from utils.errors import TemporaryFailure
from utils.logins.master import AdminSecret
from utils.logins.secret_choice import admin_secret_of
from utils.state.operation import OperationRecord, OperationState
from utils.state.values import iso
from utils.steps.cluster_seen import managed_secret

NOTHING_INHERITED = "none"


def reset_master_password(
    plan: ClusterPlan, cluster: Cluster, aurora: Aurora, state: OperationState, record: OperationRecord
) -> None:
    """Set a master password of the restored cluster's own, with the settings that a restore does not accept.

    Production's must not open the restored cluster. The new one is stored before it is sent to RDS.
    """
    version = AdminSecret.version_for(cluster.resource_id)
    if record.staged_version_id != version:
        # Written down before it bears a label, which is taken from it again should the run fail.
        state.remember(staged_version_id=version, labels_before={})
    own = _endpoint_of(cluster)
    if plan.live_endpoint is not None:
        # Until it has the target's name, the pipeline's own sessions need its address.
        state.remember(endpoint=own, port=cluster.port)
    login = AdminSecret(admin_secret_of(record)).stage(
        version,
        cluster.master_username,
        plan.live_endpoint or own,
        cluster.port,
        plan.target_identifier,
    )
    aurora.modify_restored_cluster(plan, login.password)
    state.remember(
        password_version_id=version, password_reset_at=iso(state.now), password_resets=record.password_resets + 1
    )


def hand_over_master_password(
    plan: ClusterPlan, cluster: Cluster, aurora: Aurora, state: OperationState, record: OperationRecord
) -> None:
    """Let RDS manage the master password, and send the settings that a restore does not accept.

    Which secret the cluster shows now is recorded first: it is its source's, and never taken for its own.
    """
    endpoint = _endpoint_of(cluster)
    if record.inherited_secret_arn is None:
        inherited = cluster.master_secret.arn if cluster.master_secret else NOTHING_INHERITED
        state.remember(inherited_secret_arn=inherited, endpoint=endpoint, port=cluster.port)
        record = replace(record, inherited_secret_arn=inherited)
    if managed_secret(cluster, record) is None:
        aurora.modify_restored_cluster(plan, None)
    state.remember(password_reset_at=iso(state.now))


def remember_managed_secret(
    plan: ClusterPlan, cluster: Cluster, state: OperationState, record: OperationRecord
) -> None:
    """Record the secret in which RDS keeps the new cluster's login, for the step that is out of RDS's reach."""
    if plan.master_login != "rds_managed":
        return
    secret = managed_secret(cluster, record)
    if secret is not None and secret.arn != record.master_secret_arn:
        state.remember(master_secret_arn=secret.arn)


def _endpoint_of(cluster: Cluster) -> str:
    if cluster.endpoint is None:
        raise TemporaryFailure(f"Cluster {cluster.identifier} has no endpoint yet.")
    return cluster.endpoint
