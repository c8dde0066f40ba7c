"""Global databases and replicas, as far as the deletion of a cluster asks for them: nothing is replicated."""

from __future__ import annotations

from typing import Any

from scripts.local_aws.aurora import rules
from scripts.local_aws.aurora.records import Cluster, GlobalCluster
from scripts.local_aws.aurora.region import AuroraBackend, all_backends, operation, resource_id

_INVALID = "InvalidGlobalClusterStateFault"


@operation("CreateGlobalCluster", "GlobalClusterIdentifier SourceDBClusterIdentifier DeletionProtection Tags")
def create_global_cluster(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Create a global database around a cluster that exists, which becomes its primary."""
    identifier, tags = rules.identifier(parameters, "GlobalClusterIdentifier"), rules.tags(parameters)
    if "SourceDBClusterIdentifier" not in parameters:
        rules.refuse_combination("SourceDBClusterIdentifier is required by the local Aurora.")
    if identifier in region.global_clusters:
        rules.refuse("GlobalClusterAlreadyExistsFault", f"Global cluster {identifier} already exists")
    most = region.world.quotas.global_clusters
    if len(region.global_clusters) >= most:
        rules.refuse("GlobalClusterQuotaExceededFault", f"You cannot create more than {most} global clusters.")
    source = region.cluster(parameters["SourceDBClusterIdentifier"])
    if source.status != "available" or source.global_cluster or source.manages_password:
        source.refuse("is not available, is global already, or has a managed password.")
    found = GlobalCluster(
        identifier,
        {
            **{name: source.attributes[name] for name in ("Engine", "EngineVersion", "EngineLifecycleSupport")},
            "DatabaseName": source.attributes.get("DatabaseName"),
            "DeletionProtection": parameters.get("DeletionProtection", False),
            "GlobalClusterArn": f"arn:{region.partition}:rds::{region.account_id}:global-cluster:{identifier}",
            "GlobalClusterResourceId": resource_id("cluster"),
            "StorageEncrypted": source.attributes["StorageEncrypted"],
            "TagList": rules.tag_list(tags),
        },
    )
    region.global_clusters[identifier] = found
    join(found, source)
    return {"GlobalCluster": found.describe()}


def join(global_cluster: GlobalCluster, cluster: Cluster) -> None:
    """Add a member to a global database. The first one is the primary."""
    global_cluster.members.append(cluster)
    cluster.global_cluster = global_cluster.identifier


@operation("DescribeGlobalClusters", "GlobalClusterIdentifier Filters MaxRecords Marker")
def describe_global_clusters(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    name = parameters.get("GlobalClusterIdentifier")
    found = [_global(region, name)] if name else [each for _, each in sorted(region.global_clusters.items())]
    return rules.listing("GlobalClusters", found, parameters, described=GlobalCluster.describe)


@operation("RemoveFromGlobalCluster", "GlobalClusterIdentifier DbClusterIdentifier")
def remove_from_global_cluster(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Begin to remove a member. It remains one until that is done, and the primary is the last."""
    found, wanted = _global(region, parameters["GlobalClusterIdentifier"]), parameters["DbClusterIdentifier"]
    cluster = next((each for each in found.members if wanted in (each.arn, each.identifier)), None)
    if cluster is None:
        rules.refuse("DBClusterNotFoundFault", f"DBCluster {wanted} is no member of {found.identifier}.")
    is_primary = cluster is found.members[0]
    if is_primary and len(found.members) > 1:
        rules.refuse(_INVALID, f"{cluster.identifier} is the primary of {found.identifier}: remove its others first.")
    if cluster.status != "available":
        cluster.refuse(f"is {cluster.status}.")

    def removed() -> None:
        found.members.remove(cluster)
        cluster.global_cluster = None
        cluster.rest()

    seconds = region.world.durations.modify_cluster
    cluster.enter("modifying" if is_primary else "promoting", seconds, then=removed)
    return {"GlobalCluster": found.describe()}


@operation("DeleteGlobalCluster", "GlobalClusterIdentifier")
def delete_global_cluster(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    found = _global(region, parameters["GlobalClusterIdentifier"])
    if found.members:
        rules.refuse(_INVALID, f"Global Cluster {found.identifier} is not empty")
    if found.attributes["DeletionProtection"]:
        message = "Cannot delete protected Global Cluster, please disable deletion protection and try again."
        rules.refuse_combination(message)
    del region.global_clusters[found.identifier]
    return {"GlobalCluster": {**found.describe(), "Status": "deleting"}}


def _global(region: AuroraBackend, name: str) -> GlobalCluster:
    found = region.global_clusters.get(name.lower())
    return found or rules.refuse("GlobalClusterNotFoundFault", f"Global cluster {name} not found")


def stop_replicating(replica: Cluster) -> None:
    """Detach a replica that is promoted or gone from its source, wherever that is."""
    for cluster in (cluster for each in all_backends() for cluster in each.clusters.values()):
        if replica.arn in (replicas := cluster.attributes.get("ReadReplicaIdentifiers", [])):
            cluster.attributes["ReadReplicaIdentifiers"] = [arn for arn in replicas if arn != replica.arn]
    replica.attributes.pop("ReplicationSourceIdentifier", None)


@operation("PromoteReadReplicaDBCluster", "DBClusterIdentifier")
def promote_read_replica_db_cluster(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    cluster = region.cluster(parameters["DBClusterIdentifier"])
    if cluster.status != "available" or "ReplicationSourceIdentifier" not in cluster.attributes:
        cluster.refuse("is no read replica, or is not in available state.")

    def promoted() -> None:
        stop_replicating(cluster)
        cluster.rest()

    cluster.enter("promoting", region.world.durations.modify_cluster, then=promoted)
    return {"DBCluster": cluster.describe()}
