"""What would prevent the creation of the planned cluster: its network, version, classes, keys and roles."""

from __future__ import annotations

from collections.abc import Iterator

from utils.aurora_utils import ENGINE
from utils.aurora_utils.offers import Surroundings
from utils.aurora_utils.resources import Snapshot
from utils.contracts.plan import ClusterPlan
from utils.contracts.route import SnapshotCopy
from utils.preflight.cluster import engine_problems, network_problems, room_problems
from utils.preflight.keys import insights_key_problems, key_problems
from utils.preflight.service_roles import MONITORING, role_problems


def creation_problems(
    cluster: ClusterPlan, copy: SnapshotCopy | None, snapshot: Snapshot, region: str
) -> Iterator[str]:
    """Yield what prevents the creation of this cluster. A missing setting is reported elsewhere."""
    around = Surroundings(region)
    yield from network_problems(cluster, around)
    if snapshot.engine == ENGINE:
        yield from engine_problems(cluster, snapshot, around)
    yield from room_problems(cluster, region)
    yield from key_problems(cluster.kms_key_id, copy, snapshot, region)
    yield from _watching_problems(cluster, region)


def _watching_problems(cluster: ClusterPlan, region: str) -> Iterator[str]:
    """Yield what is wrong with the key of Performance Insights and the role of Enhanced Monitoring."""
    key_origin = cluster.origins.get("performance_insights_kms_key_id")
    whose = {"source": " (the source cluster's)", "stack": " (the stack's)"}.get(key_origin or "", "")
    yield from insights_key_problems(cluster.performance_insights_kms_key_id, whose, region)
    if cluster.monitoring_role_arn is not None:
        yield from role_problems(
            cluster.monitoring_role_arn, MONITORING, "monitoring_interval_seconds", "MonitoringRoleArn"
        )
