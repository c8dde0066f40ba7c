"""The renaming of a cluster, as ModifyDBCluster asks for it.

The old name is held until the end and the new one from the beginning; what has the name of neither follows: members,
tags, settings and sessions stay with their cluster, and snapshots keep the name that they were taken under (whether RDS
rewrites it is not verified). How long it takes, what a second rename is answered meanwhile, and whether the endpoints
are absent from the beginning are not documented for Aurora; "about two minutes", in which the old name is deleted at
once, is the RDS User Guide's answer for Multi-AZ clusters ("Renaming a Multi-AZ DB cluster").
"""

from __future__ import annotations

from collections.abc import Callable

from scripts.local_aws.aurora import rules
from scripts.local_aws.aurora.addresses import publish
from scripts.local_aws.aurora.events import CLUSTER_RENAMED, announce, report
from scripts.local_aws.aurora.memberships import put_into
from scripts.local_aws.aurora.records import Cluster
from scripts.local_aws.moto_fixes.resource_shares import shares_with


def new_name(cluster: Cluster, parameters: rules.Parameters) -> str | None:
    """Return the name that a call asks for, or that is pending and would be applied by it.

    ModifyDBCluster in the API reference: ApplyImmediately applies "the modifications in this request and any pending
    modifications"; without it a new identifier waits for the maintenance window.
    """
    if "NewDBClusterIdentifier" in parameters:
        return rules.identifier(parameters, "NewDBClusterIdentifier")
    waiting: str | None = cluster.pending.get("DBClusterIdentifier")
    return waiting if parameters.get("ApplyImmediately") else None


def check_rename(cluster: Cluster, name: str) -> None:
    """Refuse a name that is taken, and clusters that cannot be renamed."""
    region = cluster.region
    if cluster.global_cluster:
        # Declared among ModifyDBCluster's errors (botocore's model); that a member cannot be renamed is not verified.
        message = f"DB cluster {cluster.identifier} is part of a global cluster and cannot be renamed."
        rules.refuse("InvalidGlobalClusterStateFault", message)
    if shares_with(cluster.arn, region.account_id, region.region_name):
        # Aurora User Guide, "Cloning a volume": a cluster that is shared cannot be renamed. The code is not verified.
        cluster.refuse("is shared through AWS RAM and cannot be renamed.")
    if cluster.attributes.get("ReadReplicaIdentifiers") or "ReplicationSourceIdentifier" in cluster.attributes:
        cluster.refuse("replicates, which is not modelled for a cluster that is renamed.")
    if name in region.instances:
        rules.refuse("DBInstanceAlreadyExists", "DB Instance already exists")
    region.check_free(name, "DBClusterAlreadyExistsFault", "DB Cluster")


def begin_rename(cluster: Cluster, name: str, then: Callable[[], None]) -> None:
    """Let the cluster be `renaming`, and then give it its new name, unless a fault leaves it the old one."""
    world = cluster.region.world
    fault = world.faults.lifecycle("rename-cluster", cluster.identifier)

    def ended() -> None:
        before = cluster.describe()
        cluster.becoming = None
        if not fault:
            _give_name(cluster, name)
        then()
        cluster.previously = before
        publish(cluster)

    if not fault:
        announce(cluster, CLUSTER_RENAMED, cluster.identifier, name)
    cluster.becoming = name
    cluster.enter("renaming", world.durations.rename_cluster, then=ended)
    publish(cluster)


def _give_name(cluster: Cluster, name: str) -> None:
    region, before = cluster.region, cluster.identifier
    del region.clusters[before]
    region.clusters[name] = cluster
    cluster.identifier, cluster.arn = name, region.arn(Cluster.kind, name)
    cluster.place = region.place(cluster.arn, cluster.place.port)
    # Aurora User Guide, "Working with the Data API", troubleshooting: turn it off and on again after a rename.
    cluster.data_api_is_stale = bool(cluster.attributes["HttpEndpointEnabled"])
    put_into(cluster, cluster.attributes["VpcSecurityGroups"])
    report(cluster, CLUSTER_RENAMED, before, name)
