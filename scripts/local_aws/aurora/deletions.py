"""The deletion of a cluster: what prevents it, what is taken before, and what is deleted with it."""

from __future__ import annotations

from typing import Any

from scripts.local_aws.aurora import rules
from scripts.local_aws.aurora.automated_backups import (
    check_retained_backups,
    delete_automated_snapshots,
    deletes_backups,
    retain,
)
from scripts.local_aws.aurora.events import CLUSTER_DELETED, announce, report
from scripts.local_aws.aurora.global_databases import stop_replicating
from scripts.local_aws.aurora.managed_password import stop_managing
from scripts.local_aws.aurora.region import AuroraBackend, operation
from scripts.local_aws.aurora.snapshots import snapshot_of


@operation("DeleteDBCluster", "DBClusterIdentifier SkipFinalSnapshot FinalDBSnapshotIdentifier DeleteAutomatedBackups")
def delete_db_cluster(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Delete a cluster. The final snapshot is taken before anything is gone.

    The cluster is `deleting` at once (recorded in Cloud Custodian's test_rdscluster_delete), or `available` while the
    final snapshot is taken (the AWS CLI's delete-db-cluster.rst). The answer to a second call meanwhile is not
    verified: here, that the snapshot exists.
    """
    cluster = region.cluster(parameters["DBClusterIdentifier"])
    skip, final = parameters.get("SkipFinalSnapshot", False), parameters.get("FinalDBSnapshotIdentifier")
    if skip and final:
        rules.refuse_combination("You cannot specify both FinalDBSnapshotIdentifier and SkipFinalSnapshot")
    if not skip and not final:
        rules.refuse_combination("FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.")
    if cluster.global_cluster:
        message = f"DB cluster {cluster.identifier} is part of a global cluster: remove it from that first."
        rules.refuse("InvalidGlobalClusterStateFault", message)
    if cluster.attributes.get("ReadReplicaIdentifiers"):
        cluster.refuse("still has read replicas: promote or delete them first.")
    if cluster.attributes["DeletionProtection"]:
        rules.refuse_combination("Cannot delete protected Cluster, please disable deletion protection and try again.")
    if cluster.status not in rules.IDLE:
        cluster.refuse(f"is {cluster.status}.")
    if any(member.status != "deleting" for member in cluster.members):
        message = "Cluster cannot be deleted, it still contains DB instances in non-deleting state."
        rules.refuse("InvalidDBClusterStateFault", message)
    if final and cluster.status != "available":
        cluster.refuse(f"is {cluster.status}: no final snapshot can be taken of it.")
    takes_backups = deletes_backups(cluster, parameters)
    if not takes_backups:
        check_retained_backups(region)
    if final and cluster.attributes.get("KmsKeyId"):
        # KMSKeyNotAccessibleFault is among the operation's errors (botocore's model): the snapshot needs the key.
        region.key(cluster.attributes["KmsKeyId"])
    if final:
        snapshot_of(cluster, rules.identifier(parameters, "FinalDBSnapshotIdentifier"), "manual", {})
    now, world = region.world.clock.time(), region.world
    last_member_gone = max((member.due for member in cluster.members), default=now)
    seconds = max(world.durations.delete_cluster, last_member_gone - now + 1)

    def gone() -> None:
        del region.clusters[cluster.identifier]
        report(cluster, CLUSTER_DELETED)
        stop_managing(cluster)
        stop_replicating(cluster)
        world.tasks.start(cluster.postgres.destroy, name=f"destroy {cluster.identifier}")
        if takes_backups:
            delete_automated_snapshots(region, cluster.attributes["DbClusterResourceId"])
        else:
            retain(region, cluster)

    announce(cluster, CLUSTER_DELETED)
    taken = min(world.durations.create_snapshot, seconds)
    if final:
        cluster.enter("available", taken, then=lambda: cluster.enter("deleting", seconds - taken, then=gone))
    else:
        cluster.enter("deleting", seconds, then=gone)
    return {"DBCluster": cluster.describe()}
