"""Instances: members of a cluster, which is reachable as long as it has one."""

from __future__ import annotations

from typing import Any

from scripts.local_aws.aurora import quotas, rules
from scripts.local_aws.aurora import setting_rules as settings
from scripts.local_aws.aurora.addresses import NOWHERE, certify, publish, serve, withdraw
from scripts.local_aws.aurora.events import INSTANCE_CREATED, INSTANCE_DELETED, INSTANCE_FAILED, announce, report
from scripts.local_aws.aurora.managed_password import managed_password_applied
from scripts.local_aws.aurora.memberships import put_into, settled
from scripts.local_aws.aurora.modifications import performance_insights_of, reset_pending_password, rest
from scripts.local_aws.aurora.records import Cluster, Instance
from scripts.local_aws.aurora.region import AuroraBackend, operation, resource_id
from scripts.local_aws.aurora.settings_table import OF_INSTANCES, defaults, members

_SETTINGS = members(OF_INSTANCES)
_DEFAULTS: dict[str, Any] = {
    **defaults(OF_INSTANCES),
    "AllocatedStorage": 1,
    "DbInstancePort": 0,
    "LicenseModel": "postgresql-license",
    "MultiAZ": False,
}
_THE_CLUSTER_S = (
    "MasterUsername MasterUserPassword AllocatedStorage StorageType StorageEncrypted KmsKeyId BackupRetentionPeriod "
    "PreferredBackupWindow VpcSecurityGroupIds Port MultiAZ DBName DeletionProtection EnableIAMDatabaseAuthentication "
    "EnableCloudwatchLogsExports CopyTagsToSnapshot DatabaseInsightsMode"
).split()
"""What a member cannot have of its own."""
_BEING_CHANGED = ("modifying", "resetting-master-credentials")


@operation(
    "CreateDBInstance",
    "DBInstanceIdentifier DBInstanceClass Engine EngineVersion DBClusterIdentifier AvailabilityZone "
    "DBParameterGroupName DBSubnetGroupName Tags",
    *_SETTINGS,
    *_THE_CLUSTER_S,
)
def create_db_instance(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Create an instance. The first one that is available starts the cluster's server, and is its writer."""
    for name in _THE_CLUSTER_S:
        if name in parameters:
            message = f"The requested DB Instance will be a member of a DB Cluster. Set {name} for the DB Cluster."
            rules.refuse_combination(message)
    identifier = rules.identifier(parameters, "DBInstanceIdentifier")
    engine = rules.engine(parameters)
    if "DBClusterIdentifier" not in parameters:
        rules.refuse_combination(f"The engine {engine} requires DBClusterIdentifier.")
    region.check_free(identifier, "DBInstanceAlreadyExists", "DB instance")
    cluster = region.cluster(parameters["DBClusterIdentifier"])
    cluster.require_status("available", *(_BEING_CHANGED if region.world.accepts_instances_while_modifying else ()))
    instance = Instance(region, identifier, _attributes(region, cluster, parameters), rules.tags(parameters))
    instance.cluster = cluster
    instance.place = region.place(instance.arn, cluster.place.port)
    quotas.check_instances(region)
    put_into(instance, settled([each["VpcSecurityGroupId"] for each in cluster.attributes["VpcSecurityGroups"]]))
    region.instances[identifier] = instance
    _begin(instance)
    return {"DBInstance": instance.describe()}


def _attributes(region: AuroraBackend, cluster: Cluster, parameters: rules.Parameters) -> dict[str, Any]:
    """Return what the instance is. Refuse one that does not fit its cluster."""
    version, subnets = cluster.attributes["EngineVersion"], region.subnet_group(cluster.attributes["DBSubnetGroup"])
    if parameters.get("EngineVersion", version) != version:
        message = f"The engine version that you requested does not match the DB cluster's, which is {version}."
        rules.refuse_combination(message)
    if parameters.get("DBSubnetGroupName", subnets["DBSubnetGroupName"]).lower() != subnets["DBSubnetGroupName"]:
        rules.refuse_combination(f"The DB subnet group must be the DB cluster's: {subnets['DBSubnetGroupName']}.")
    instance_class = rules.instance_class(parameters)
    if instance_class == "db.serverless" and "ServerlessV2ScalingConfiguration" not in cluster.attributes:
        rules.refuse_combination(
            "Set the Serverless v2 scaling configuration on the DB cluster before creating a db.serverless instance."
        )
    settings.check_instance_settings(parameters)
    settings.check_monitoring(parameters, region.world.permissions)
    zones = cluster.attributes["AvailabilityZones"]
    zone = parameters.get("AvailabilityZone", zones[len(cluster.members) % len(zones)])
    settings.check_zone(zone, settings.zones(subnets))
    parameter_group = region.parameter_group("pg", parameters.get("DBParameterGroupName"), version)
    own = {_SETTINGS[name]: value for name, value in parameters.items() if name in _SETTINGS}
    inherited = {} if own.get("PerformanceInsightsEnabled") is False else performance_insights_of(cluster.attributes)
    described = {**_DEFAULTS, **inherited, **own}
    mode = cluster.attributes["DatabaseInsightsMode"]
    settings.check_performance_insights({**described, "DatabaseInsightsMode": mode})
    return {
        **settings.with_insights_defaults(described),
        "AvailabilityZone": zone,
        "DBInstanceClass": instance_class,
        "DBParameterGroups": [{"DBParameterGroupName": parameter_group, "ParameterApplyStatus": "in-sync"}],
        "DbiResourceId": resource_id("db"),
    }


def _begin(instance: Instance) -> None:
    """Let the instance be creating, available, configuring something for a while, and available for good."""
    world, cluster = instance.region.world, instance.cluster
    durations = world.durations

    def start_server() -> None:
        instance.enter("creating", 0, then=available, work=lambda: serve(instance))

    def available() -> None:
        instance.enter("available", durations.settle, then=settle)
        instance.is_up = True
        cluster.elect_writer()
        publish(cluster)
        reset_pending_password(cluster)
        managed_password_applied(cluster)
        report(instance, INSTANCE_CREATED)

    def settle() -> None:
        instance.enter(_settling(instance), durations.settle, then=lambda: rest(instance))

    def fail(status: str) -> None:
        instance.rest(status)
        if status != "insufficient-capacity":
            # Of a lack of capacity, no event is documented.
            report(instance, INSTANCE_FAILED, status)

    fault = world.faults.lifecycle("create-instance", instance.identifier)
    seconds = durations.create_instance + cluster.members.index(instance) * durations.further_instance
    seconds *= fault.at_percent / 100 if fault else 1
    if fault and fault.status != "available":
        instance.enter("creating", seconds, then=lambda: fail(fault.status))
    else:
        announce(instance, INSTANCE_CREATED)
        instance.enter("creating", seconds, then=start_server)


def _settling(instance: Instance) -> str:
    if instance.attributes["MonitoringInterval"]:
        return "configuring-enhanced-monitoring"
    exports = instance.cluster.attributes.get("EnabledCloudwatchLogsExports")
    return "configuring-log-exports" if exports else "modifying"


@operation("DescribeDBInstances", "DBInstanceIdentifier Filters MaxRecords Marker")
def describe_db_instances(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    name = parameters.get("DBInstanceIdentifier")
    found = [region.instance(name)] if name else sorted(region.instances.values(), key=lambda each: each.identifier)
    filters = {
        "db-cluster-id": lambda each: (each.cluster.identifier, each.cluster.arn),
        "db-instance-id": lambda each: (each.identifier, each.arn),
        "dbi-resource-id": lambda each: (each.attributes["DbiResourceId"],),
        "engine": lambda each: (each.cluster.attributes["Engine"],),
    }
    return rules.listing("DBInstances", found, parameters, filters, Instance.describe)


@operation(
    "DeleteDBInstance",
    "DBInstanceIdentifier SkipFinalSnapshot FinalDBSnapshotIdentifier DeleteAutomatedBackups",
)
def delete_db_instance(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Delete an instance. Once the last member is gone the cluster cannot be reached; its volume stays."""
    instance = region.instance(parameters["DBInstanceIdentifier"])
    cluster = instance.cluster
    if "FinalDBSnapshotIdentifier" in parameters:
        rules.refuse_combination("FinalDBSnapshotIdentifier can not be specified when deleting a cluster instance")
    if cluster.status in NOWHERE - {"renaming"}:
        # Aurora User Guide, "Stopping and starting an Aurora DB cluster": start it first. The code is not verified.
        cluster.refuse(f"is {cluster.status}: start it first.")
    if instance.status == "deleting":
        rules.refuse("InvalidDBInstanceState", f"Instance {instance.identifier} is already being deleted.")

    staying = [each for each in cluster.members if each.status != "deleting"]
    if "ReplicationSourceIdentifier" in cluster.attributes and staying == [instance]:
        message = f"{instance.identifier} is the last instance of a read replica cluster: promote the cluster first."
        rules.refuse("InvalidDBClusterStateFault", message)

    def gone() -> None:
        del region.instances[instance.identifier]
        cluster.elect_writer()
        withdraw(instance)
        publish(cluster)
        report(instance, INSTANCE_DELETED)
        if cluster.members:
            region.world.tasks.start(lambda: certify(cluster), name=f"certify {cluster.identifier}")
        else:
            region.world.tasks.start(cluster.postgres.stop, name=f"stop {cluster.identifier}")

    announce(instance, INSTANCE_DELETED)
    instance.enter("deleting", region.world.durations.delete_instance, then=gone)
    return {"DBInstance": instance.describe()}
