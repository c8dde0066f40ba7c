"""What ModifyDBCluster changes, and how a new master password takes effect."""

from __future__ import annotations

from typing import Any

from scripts.local_aws import aurora_rules as rules
from scripts.local_aws.aurora_clusters import IDLE, SETTINGS
from scripts.local_aws.aurora_records import Cluster
from scripts.local_aws.aurora_region import AuroraBackend, operation

_NOT_ON_MODIFY = {"EnableCloudwatchLogsExports", "EngineLifecycleSupport", "NetworkType", "StorageType"}
_AT_ONCE = {"DeletionProtection", "CopyTagsToSnapshot"}


@operation(
    "ModifyDBCluster",
    *("DBClusterIdentifier", "ApplyImmediately", "MasterUserPassword", "VpcSecurityGroupIds"),
    *("DBClusterParameterGroupName", "CloudwatchLogsExportConfiguration"),
    *(name for name in SETTINGS if name not in _NOT_ON_MODIFY),
)
def modify_db_cluster(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Everything is applied at once, whatever ApplyImmediately says; only a password takes its time."""
    cluster = region.cluster(parameters["DBClusterIdentifier"])
    rules.check_cluster_settings(parameters)
    password = rules.master_password(parameters) if "MasterUserPassword" in parameters else None
    changes = {name: value for name, value in parameters.items() if name in SETTINGS}
    attributes = {SETTINGS[name]: value for name, value in changes.items()}
    if "VpcSecurityGroupIds" in parameters:
        vpc_id = region.subnet_group(cluster.attributes["DBSubnetGroup"])["VpcId"]
        attributes["VpcSecurityGroups"] = region.security_groups(parameters["VpcSecurityGroupIds"], vpc_id)
    if "DBClusterParameterGroupName" in parameters:
        attributes["DBClusterParameterGroup"] = region.parameter_group(
            "cluster-pg", parameters["DBClusterParameterGroupName"], cluster.attributes["EngineVersion"]
        )
    if "CloudwatchLogsExportConfiguration" in parameters:
        logs = set(cluster.attributes.get("EnabledCloudwatchLogsExports", []))
        wanted = parameters["CloudwatchLogsExportConfiguration"]
        logs = (logs | set(wanted.get("EnableLogTypes", []))) - set(wanted.get("DisableLogTypes", []))
        attributes["EnabledCloudwatchLogsExports"] = sorted(logs)
    slow = attributes.keys() - _AT_ONCE
    if cluster.status != "available" and (slow or password or cluster.status not in IDLE):
        message = f"DB cluster {cluster.identifier} is not in available state: it is {cluster.status}."
        rules.refuse("InvalidDBClusterStateFault", message)
    cluster.attributes |= attributes
    if password:
        cluster.pending_password = password
    if password or slow:
        cluster.password_reset_begun = False
    if slow:
        cluster.enter("modifying", region.world.durations.modify_cluster, then=lambda: _modified(cluster))
    else:
        reset_pending_password(cluster)
    return {"DBCluster": cluster.describe()}


def _modified(cluster: Cluster) -> None:
    cluster.rest()
    reset_pending_password(cluster)


def reset_pending_password(cluster: Cluster) -> None:
    """For a third of the time the status still reads `available`, then `resetting-master-credentials`.

    Without an available instance the change stays pending until there is one. A fault lets it stay for ever.
    """
    password = cluster.pending_password
    reachable = cluster.status == "available" and any(member.status == "available" for member in cluster.members)
    if password is None or cluster.password_reset_begun or not reachable:
        return
    cluster.password_reset_begun = True
    seconds = cluster.region.world.durations.reset_master_password
    never = cluster.region.world.faults.lifecycle("reset-master-password", cluster.identifier)

    def apply() -> None:
        cluster.rest()
        if not never:
            cluster.postgres.set_password(cluster.attributes["MasterUsername"], password)
            cluster.pending_password = None

    def reset() -> None:
        cluster.enter("resetting-master-credentials", seconds * 2 / 3, then=apply)

    cluster.enter("available", seconds / 3, then=reset)
