"""The pre-flight checks: what the restore needs besides its snapshot, looked at before anything is created.

Each check yields what is wrong. A sentence names the field, its value, why it cannot be used and what to do about it. A
missing permission is no answer: it is raised. Nothing is changed here, and no call is made whose answer cannot matter.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from utils import environment
from utils.aurora_utils import ENGINE
from utils.aurora_utils.offers import Surroundings
from utils.aurora_utils.resources import Snapshot
from utils.contracts.plan import ClusterPlan, TargetSecrets
from utils.contracts.route import SnapshotCopy
from utils.logins.application import ApplicationSecret
from utils.logins.master import AdminSecret
from utils.logins.roles import RoleNames
from utils.logins.target_secrets import secret_with_roles, target_secret_problems
from utils.preflight.cluster import engine_problems, network_problems, room_problems
from utils.preflight.keys import insights_key_problems, key_problems
from utils.preflight.service_roles import MONITORING, role_problems


def place_and_key_problems(
    cluster: ClusterPlan, copy: SnapshotCopy | None, snapshot: Snapshot, region: str
) -> Iterator[str]:
    """Yield what prevents the creation of this cluster. A missing setting is reported elsewhere."""
    around = Surroundings(region)
    yield from network_problems(cluster, around)
    if snapshot.engine == ENGINE:
        yield from engine_problems(cluster, snapshot, around)
    yield from room_problems(cluster, around)
    yield from key_problems(cluster.kms_key_id, copy, snapshot, region)
    yield from watching_problems(cluster, region)


def watching_problems(cluster: ClusterPlan, region: str) -> Iterator[str]:
    """Yield what is wrong with the key of Performance Insights and the role of Enhanced Monitoring."""
    key_origin = cluster.origins.get("performance_insights_kms_key_id")
    whose = {"source": " (the source cluster's)", "stack": " (the stack's)"}.get(key_origin or "", "")
    yield from insights_key_problems(cluster.performance_insights_kms_key_id, whose, region)
    if cluster.monitoring_role_arn is not None:
        yield from role_problems(
            cluster.monitoring_role_arn, MONITORING, "monitoring_interval_seconds", "MonitoringRoleArn"
        )


def secret_problems(
    master_username: str, cluster: ClusterPlan, secrets: TargetSecrets | None, now: dt.datetime
) -> Iterator[str]:
    """Yield what is wrong with the two secrets. The admin secret is not used where RDS keeps the login.

    Another target than the stack's own has secrets of its own, or gets them: `secrets` names them.
    """
    admin = AdminSecret(environment.text("ADMIN_SECRET_ARN"))
    names = RoleNames(environment.optional("APPLICATION_USERNAME"), environment.optional("READ_ONLY_USERNAME"))
    if secrets is not None:
        yield from target_secret_problems(secrets, cluster.identifier, now)
        application = ApplicationSecret(secret_with_roles(secrets, cluster.identifier), names)
    else:
        application = ApplicationSecret(environment.text("APP_SECRET_ARN"), names)
        if cluster.master_login == "pipeline" and (why := admin.why_unusable()) is not None:
            yield f"admin_secret: {admin.arn!r} {why}"
    for wrong in application.whats_wrong(master_username):
        yield f"application_secret: {application.arn!r} {wrong}"
