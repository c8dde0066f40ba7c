"""Clusters: created, restored, described, deleted."""

from __future__ import annotations

from typing import Any

from scripts.local_aws.aurora import offers, quotas, rules
from scripts.local_aws.aurora import setting_rules as settings
from scripts.local_aws.aurora.events import CLUSTER_CREATED, CLUSTER_FAILED, announce, report
from scripts.local_aws.aurora.memberships import put_into, settled
from scripts.local_aws.aurora.records import Cluster
from scripts.local_aws.aurora.region import AuroraBackend, operation, resource_id
from scripts.local_aws.aurora.settings_table import OF_CLUSTERS, OF_LIMITLESS, defaults, described, members
from scripts.local_aws.aurora.snapshots import find_snapshot

SETTINGS = members(OF_CLUSTERS)
_DEFAULTS: dict[str, Any] = {
    **defaults(OF_CLUSTERS),
    "AllocatedStorage": 1,
    "AssociatedRoles": [],
    "CrossAccountClone": False,
    "EngineMode": "provisioned",
    "HostedZoneId": "Z0LOCAL",
    "HttpEndpointEnabled": False,
}
_PLACE = "AvailabilityZones DBSubnetGroupName VpcSecurityGroupIds DBClusterParameterGroupName EngineVersion Port Tags"


@operation(
    "CreateDBCluster",
    "DBClusterIdentifier Engine EngineMode MasterUsername MasterUserPassword DatabaseName StorageEncrypted KmsKeyId",
    _PLACE,
    *SETTINGS,
)
def create_db_cluster(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    username, password = rules.master_username(parameters), rules.master_password(parameters)
    database = rules.database_name(parameters)
    attributes = {"MasterUsername": username, "DatabaseName": database, **_encryption(region, parameters)}
    cluster = _new_cluster(region, parameters, attributes)

    def end() -> None:
        cluster.rest()
        report(cluster, CLUSTER_CREATED)

    announce(cluster, CLUSTER_CREATED)
    cluster.enter(
        "creating",
        region.world.durations.create_cluster,
        then=end,
        work=lambda: cluster.postgres.create(username, password, database),
    )
    return {"DBCluster": cluster.describe()}


@operation(
    "RestoreDBClusterFromSnapshot",
    "DBClusterIdentifier SnapshotIdentifier Engine EngineMode KmsKeyId",
    _PLACE,
    *(each.parameter for each in OF_CLUSTERS if each.at_restore),
)
def restore_db_cluster_from_snapshot(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Restore a cluster. It inherits only the data, its users, the port, the key and the backups' settings.

    A master secret that RDS kept for the old cluster is still shown, but it is not the new one's: nobody manages that.
    The text about an earlier version is AWS's (aws-samples/redcap-on-aws#99), its code is not verified. Neither is that
    a later version that the snapshot cannot be upgraded to is refused, and with which code.
    """
    snapshot = find_snapshot(region, parameters["SnapshotIdentifier"])
    if any(name in parameters for name in OF_LIMITLESS):
        # With any value: AWS's answer to the sibling call, RestoreDBClusterToPointInTime (boto/boto3#4634).
        rules.refuse_combination(
            "You can enable Performance Insights or set the Enhanced Monitoring interval only when restoring from a "
            "source Aurora Limitless DB cluster."
        )
    if snapshot.status != "available":
        message = f"DB cluster snapshot {snapshot.identifier} is in {snapshot.status} state, not available."
        rules.refuse("InvalidDBClusterSnapshotStateFault", message)
    old = snapshot.attributes
    version = rules.engine_version(parameters, region.world.retired_versions)
    if offers.parsed_version(version) < offers.parsed_version(old["EngineVersion"]):
        rules.refuse_combination(
            f"The engine version you requested for your restored DB cluster ({version}) is earlier than the engine "
            f"version of the DB cluster snapshot ({old['EngineVersion']})."
        )
    if version != old["EngineVersion"] and version not in offers.upgrade_targets(old["EngineVersion"]):
        rules.refuse_combination(f"Cannot restore a snapshot of version {old['EngineVersion']} to version {version}.")
    inherited = ("MasterUsername", "DatabaseName", "BackupRetentionPeriod", "PreferredBackupWindow")
    attributes = {
        **{name: old[name] for name in (*inherited, "MasterUserSecret") if name in old},
        **_encryption(region, {"KmsKeyId": parameters.get("KmsKeyId") or snapshot.kms_key_id}),
    }
    cluster = _new_cluster(region, {"Port": snapshot.port, **parameters}, attributes)

    seconds, ended = region.world.durations.restore_cluster, "available"
    fault = region.world.faults.lifecycle("restore-cluster", cluster.identifier)
    if fault:
        seconds, ended = seconds * fault.at_percent / 100, fault.status

    def end() -> None:
        cluster.rest(ended)
        if ended == "available":
            report(cluster, CLUSTER_CREATED)
        else:
            report(cluster, CLUSTER_FAILED, ended)

    if ended == "available":
        announce(cluster, CLUSTER_CREATED)

    cluster.enter(
        "creating",
        seconds,
        then=end,
        work=lambda: cluster.postgres.create_from(snapshot.volume),
    )
    return {"DBCluster": cluster.describe()}


def _new_cluster(region: AuroraBackend, parameters: rules.Parameters, attributes: dict[str, Any]) -> Cluster:
    """Check the rest of the parameters and register the cluster under its name."""
    identifier = rules.identifier(parameters, "DBClusterIdentifier")
    region.check_free(identifier, "DBClusterAlreadyExistsFault", "DB Cluster")
    settings.check_cluster_settings(parameters)
    settings.check_monitoring(parameters, region.world.permissions)
    if parameters.get("EngineMode", "provisioned") != "provisioned":
        rules.refuse_combination(f"The engine mode {parameters['EngineMode']} is not available.")
    version = rules.engine_version(parameters, region.world.retired_versions)
    settings.check_write_forwarding(parameters, version)
    subnets = region.subnet_group(parameters.get("DBSubnetGroupName", "default"))
    settings.check_network_type(parameters.get("NetworkType", "IPV4"), subnets)
    zones = settings.cluster_zones(parameters.get("AvailabilityZones"), subnets)
    cluster = Cluster(
        region,
        identifier,
        {
            **with_settings({**_DEFAULTS, **attributes}, parameters),
            "AvailabilityZones": zones,
            "DBClusterParameterGroup": region.parameter_group(
                "cluster-pg", parameters.get("DBClusterParameterGroupName"), version
            ),
            "DBSubnetGroup": subnets["DBSubnetGroupName"],
            "DbClusterResourceId": resource_id("cluster"),
            "Engine": rules.engine(parameters),
            "EngineVersion": version,
        },
        rules.tags(parameters),
    )
    put_into(cluster, settled(region.security_groups(parameters.get("VpcSecurityGroupIds"), subnets["VpcId"])))
    quotas.check_clusters(region)
    cluster.postgres = region.world.servers.new(parameters.get("Port", 5432))
    cluster.place = region.place(cluster.arn, cluster.postgres.port)
    region.clusters[identifier] = cluster
    return cluster


def with_settings(before: dict[str, Any], parameters: rules.Parameters) -> dict[str, Any]:
    """Return a cluster's members of the API's shape as they are after the call. Refuse what does not go together."""
    changes = described(OF_CLUSTERS, parameters)
    if changes.get("PerformanceInsightsEnabled") is False:
        before = {**before, "PerformanceInsightsRetentionPeriod": None}
    changed = {name: value for name, value in {**before, **changes}.items() if value is not None}
    settings.check_windows(changed)
    settings.check_performance_insights(changed)
    if scaling := changes.get("ServerlessV2ScalingConfiguration"):
        changed["ServerlessV2ScalingConfiguration"] = settings.described_scaling(scaling)
    return settings.with_insights_defaults(changed)


def _encryption(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Return the encryption. By default it is an AWS-owned key, reported as not encrypted (since February 2026)."""
    if parameters.get("KmsKeyId") and parameters.get("StorageEncrypted") is False:
        rules.refuse_combination("You cannot specify a KMS key for a DB cluster that is not encrypted.")
    if parameters.get("KmsKeyId") or parameters.get("StorageEncrypted"):
        key = region.key(parameters.get("KmsKeyId") or "alias/aws/rds")
        return {"StorageEncrypted": True, "StorageEncryptionType": "sse-kms", "KmsKeyId": key}
    return {"StorageEncrypted": False, "StorageEncryptionType": "sse-rds"}


@operation("DescribeDBClusters", "DBClusterIdentifier Filters MaxRecords Marker IncludeShared")
def describe_db_clusters(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Describe clusters. A filter that nothing passes leaves an empty list, and a name that nobody has is refused."""
    found = _seen(region)
    if name := parameters.get("DBClusterIdentifier"):
        found = [each for each in found if each["DBClusterIdentifier"] == region.local_name(name)]
        if not found:
            rules.refuse("DBClusterNotFoundFault", f"DBCluster {name} not found.")
    filters = {
        "db-cluster-id": lambda each: (each["DBClusterIdentifier"], each["DBClusterArn"]),
        "db-cluster-resource-id": lambda each: (each["DbClusterResourceId"],),
        "engine": lambda each: (each["Engine"],),
    }
    return rules.listing("DBClusters", found, parameters, filters)


def _seen(region: AuroraBackend) -> list[dict[str, Any]]:
    """Return the descriptions of all clusters, by name; old ones or none where a fault asks for that."""
    view = region.world.faults.view.get()
    if view == "empty":
        return []
    clusters = region.clusters.values()
    described = [each.previously if view == "stale" else each.describe() for each in clusters]
    return sorted((each for each in described if each), key=lambda each: str(each["DBClusterIdentifier"]))
