"""Kinds of Aurora PostgreSQL clusters that the pipeline refuses to restore, before anything else is planned.

Each would fail late, or end half set up: the pipeline creates instances in a VPC, and roles and logins of PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterator

from utils.aurora_utils.offers import ParameterGroup, Surroundings
from utils.aurora_utils.resources import Cluster, Snapshot
from utils.contracts.plan import ClusterPlan

# "Aurora PostgreSQL Limitless Database uses special Aurora PostgreSQL DB engine versions" (Aurora User Guide,
# "Aurora PostgreSQL Limitless Database requirements and considerations").
LIMITLESS_SUFFIX = "-limitless"
# Aurora User Guide, "DB cluster parameter group settings for Babelfish".
BABELFISH = "rds.babelfish_status"
_CLUSTER_GROUP: ParameterGroup = "db_cluster_parameter_group"


def kind_problems(snapshot: Snapshot, living: Cluster | None, region: str) -> Iterator[str]:
    """Yield why this kind of cluster is refused: it is Limitless, or express configuration created it.

    `living` is the cluster that has the name today.
    """
    own = living if living is not None and snapshot.is_of(living) is not False else None
    name = snapshot.identifier
    if snapshot.engine_version.endswith(LIMITLESS_SUFFIX) or (own is not None and own.is_limitless):
        yield (
            f"snapshot_identifier: {name!r} ({snapshot.engine_version}) is of an Aurora Limitless Database, which has "
            "a DB shard group instead of instances; this pipeline creates instances. Restore it as the Aurora User "
            'Guide says under "Aurora PostgreSQL Limitless Database", or choose a snapshot of another cluster.'
        )
    elif _is_outside_vpc(snapshot, own):
        yield (
            f"snapshot_identifier: {name!r} is of a cluster that express configuration created: it is in no VPC, and "
            "its master user logs in by IAM alone; this pipeline creates clusters in a VPC and gives the master user a "
            "password. Restore it yourself: aws rds restore-db-cluster-from-snapshot --engine aurora-postgresql "
            f"--snapshot-identifier {snapshot.arn} --db-cluster-identifier NAME --no-enable-vpc-networking "
            f"--enable-internet-access-gateway --enable-iam-database-authentication --region {region}"
        )


def _is_outside_vpc(snapshot: Snapshot, cluster: Cluster | None) -> bool:
    """Return whether it is outside any VPC, as the cluster itself says (API reference, DBCluster).

    That its snapshots name no VPC is not verified. So a snapshot counts only if it also requires IAM, as clusters of
    express configuration do.
    """
    if cluster is not None:
        return cluster.is_outside_vpc
    return snapshot.vpc_id is None and snapshot.iam_authentication


def babelfish_problems(
    plan: ClusterPlan, living: Cluster | None, around: Surroundings, *, is_here: bool
) -> Iterator[str]:
    """Yield which parameter group switches Babelfish on: the planned one, or a source's of this region and account.

    A request that names a group itself has decided, so the source's is not examined. RDS's default groups have it off.
    """
    of_source = living.settings.value("db_cluster_parameter_group_name") or "" if living is not None else ""
    if _speaks_tds(plan.db_cluster_parameter_group_name, around):
        yield (
            f"db_cluster_parameter_group_name: {plan.db_cluster_parameter_group_name!r} switches Babelfish on "
            f"({BABELFISH} = on), and this pipeline sets up roles and logins for PostgreSQL alone. Give a group "
            "without it if the data needs no Babelfish; else restore the snapshot yourself."
        )
    elif (
        living is not None
        and is_here
        and plan.origins.get("db_cluster_parameter_group_name") != "request"
        and _speaks_tds(of_source, around)
    ):
        yield (
            f"source_cluster_id: {living.identifier!r} has Babelfish on ({BABELFISH} in "
            f"{of_source}), and this pipeline sets up roles and logins for PostgreSQL alone. "
            "Restore the snapshot yourself; or, if its data needs no Babelfish, give a "
            "db_cluster_parameter_group_name without it."
        )


def _speaks_tds(group: str, around: Surroundings) -> bool:
    """Return whether a group switches Babelfish on. A group that does not exist is reported elsewhere."""
    if not group or group.startswith("default."):
        return False
    values = around.parameters(_CLUSTER_GROUP, group) or {}
    return (values.get(BABELFISH) or "").lower() == "on"
