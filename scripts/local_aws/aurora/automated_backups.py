"""Automated backups of clusters that exist, and retained ones of clusters that were deleted.

Deviation: a retained one does not end with its retention period.
"""

from __future__ import annotations

from typing import Any

from scripts.local_aws.aurora import rules
from scripts.local_aws.aurora.records import Cluster
from scripts.local_aws.aurora.region import AuroraBackend, operation

_OF_THE_CLUSTER = (
    "AllocatedStorage AvailabilityZones AwsBackupRecoveryPointArn BackupRetentionPeriod DbClusterResourceId Engine "
    "EngineMode EngineVersion IAMDatabaseAuthenticationEnabled KmsKeyId MasterUsername PreferredBackupWindow "
    "StorageEncrypted StorageEncryptionType"
).split()


def check_retained_backups(region: AuroraBackend) -> None:
    """Refuse to retain more than there may be clusters (the quota of botocore's model has a code of its own)."""
    most = region.world.quotas.clusters
    if len(region.retained_backups) >= most:
        message = f"You cannot retain the automated backups of more than {most} deleted DB clusters."
        rules.refuse("DBClusterAutomatedBackupQuotaExceededFault", message)


def deletes_backups(cluster: Cluster, parameters: rules.Parameters) -> bool:
    """Return whether a deletion includes the automated backups.

    By default it does, unless a rule of AWS Backup's keeps them (botocore's model, DeleteAutomatedBackups). Then
    asking for it is refused, in RDS's words of cloudposse/terraform-aws-rds-cluster's pull request 283.
    """
    recovery_point = cluster.attributes.get("AwsBackupRecoveryPointArn")
    if recovery_point and parameters.get("DeleteAutomatedBackups"):
        rules.refuse_combination(
            f"RDS cluster {cluster.identifier} is associated with the following AwsBackupRecoveryPointArn: "
            f"{recovery_point}. NoDeleteAutomatedBackups must be specified. For more details, see the AWS Backup "
            "documentation.",
        )
    return bool(parameters.get("DeleteAutomatedBackups", not recovery_point))


def retain(region: AuroraBackend, cluster: Cluster) -> None:
    """Retain the automated backup of a cluster that is deleted."""
    region.retained_backups[cluster.attributes["DbClusterResourceId"]] = _described(cluster, "retained")


def delete_automated_snapshots(region: AuroraBackend, resource_id: str) -> None:
    """Delete the automated snapshots of a cluster."""
    for snapshot in list(region.cluster_snapshots.values()):
        ours = snapshot.attributes.get("DbClusterResourceId") == resource_id  # a copy says no id
        if ours and snapshot.attributes["SnapshotType"] == "automated":
            snapshot.discard()


@operation("DescribeDBClusterAutomatedBackups", "DbClusterResourceId DBClusterIdentifier Filters MaxRecords Marker")
def describe_db_cluster_automated_backups(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    found = [*(_described(each, "active") for each in region.clusters.values()), *region.retained_backups.values()]
    for name in ("DbClusterResourceId", "DBClusterIdentifier"):
        if name in parameters:
            found = [each for each in found if each[name].lower() == parameters[name].lower()]
    filters = {
        "status": lambda each: (each["Status"],),
        "db-cluster-id": lambda each: (each["DBClusterIdentifier"], each["DBClusterArn"]),
        "db-cluster-resource-id": lambda each: (each["DbClusterResourceId"],),
    }
    return rules.listing("DBClusterAutomatedBackups", found, parameters, filters)


@operation("DeleteDBClusterAutomatedBackup", "DbClusterResourceId")
def delete_db_cluster_automated_backup(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    wanted = parameters["DbClusterResourceId"].upper()
    for each in region.clusters.values():
        if each.attributes["DbClusterResourceId"].upper() == wanted:
            message = f"The automated backup of {each.identifier} is active: only retained ones can be deleted."
            rules.refuse("InvalidDBClusterAutomatedBackupStateFault", message)
    retained = next((each for each in region.retained_backups if each.upper() == wanted), None)
    if retained is None:
        message = f"No automated backup for {parameters['DbClusterResourceId']} was found."
        rules.refuse("DBClusterAutomatedBackupNotFoundFault", message)
    delete_automated_snapshots(region, retained)
    return {"DBClusterAutomatedBackup": region.retained_backups.pop(retained)}


def _described(cluster: Cluster, status: str) -> dict[str, Any]:
    attributes = cluster.attributes
    return {
        **{name: attributes[name] for name in _OF_THE_CLUSTER if name in attributes},
        "ClusterCreateTime": cluster.created_at,
        "DBClusterArn": cluster.arn,
        "DBClusterAutomatedBackupsArn": cluster.region.arn("cluster-auto-backup", attributes["DbClusterResourceId"]),
        "DBClusterIdentifier": cluster.identifier,
        "Port": cluster.postgres.port,
        "Region": cluster.region.region_name,
        "RestoreWindow": {"EarliestTime": cluster.created_at, "LatestTime": cluster.region.world.clock.now()},
        "Status": status,
    }
