"""What ModifyDBCluster changes, and how a new master password takes effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.local_aws.aurora import rules
from scripts.local_aws.aurora import setting_rules as settings
from scripts.local_aws.aurora.clusters import SETTINGS, with_settings
from scripts.local_aws.aurora.events import PASSWORD_NOT_RESET, PASSWORD_RESET, announce, report
from scripts.local_aws.aurora.managed_password import (
    begin_to_manage,
    check_management,
    managed_password_applied,
    stop_managing,
)
from scripts.local_aws.aurora.memberships import change_groups
from scripts.local_aws.aurora.records import Cluster, Instance
from scripts.local_aws.aurora.region import AuroraBackend, operation
from scripts.local_aws.aurora.renames import begin_rename, check_rename, new_name
from scripts.local_aws.aurora.settings_table import MONITORING, OF_CLUSTERS, described

_NO_SETTINGS = {"DBClusterIdentifier", "ApplyImmediately", "NewDBClusterIdentifier"}
_AT_ONCE = {"DeletionProtection", "CopyTagsToSnapshot"}
_PERFORMANCE_INSIGHTS = (
    "PerformanceInsightsEnabled PerformanceInsightsRetentionPeriod PerformanceInsightsKMSKeyId".split()
)


@operation(
    "ModifyDBCluster",
    "DBClusterIdentifier ApplyImmediately MasterUserPassword VpcSecurityGroupIds ManageMasterUserPassword "
    "MasterUserSecretKmsKeyId DBClusterParameterGroupName CloudwatchLogsExportConfiguration NewDBClusterIdentifier",
    *(each.parameter for each in OF_CLUSTERS if each.by_modify),
)
def modify_db_cluster(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Apply everything at once, also without ApplyImmediately, but for a new name; only a password takes its time.

    An EngineVersion is not known here: without an instance RDS refuses it (hashicorp/terraform-provider-aws#30131).
    """
    cluster = region.cluster(parameters["DBClusterIdentifier"])
    settings.check_cluster_settings(parameters)
    settings.check_write_forwarding(parameters, cluster.attributes["EngineVersion"])
    name, immediately = new_name(cluster, parameters), bool(parameters.get("ApplyImmediately"))
    check_management(cluster, parameters)
    password = rules.master_password(parameters) if "MasterUserPassword" in parameters else None
    before = cluster.attributes
    after = with_settings(before, parameters) | _elsewhere(region, cluster, parameters)
    _check_insights(cluster, parameters)
    groups = None
    if "VpcSecurityGroupIds" in parameters:
        vpc_id = region.subnet_group(cluster.attributes["DBSubnetGroup"])["VpcId"]
        groups = region.security_groups(parameters["VpcSecurityGroupIds"], vpc_id)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    asked = {SETTINGS.get(each, each) for each in parameters} - _NO_SETTINGS
    slow = asked - _AT_ONCE - {"MasterUserPassword", "ManageMasterUserPassword", "MasterUserSecretKmsKeyId"}
    managed = bool(parameters.get("ManageMasterUserPassword")) and not cluster.manages_password
    cluster.require_status("available", *(rules.IDLE if not (slow or password or managed or name) else ()))
    if name:
        check_rename(cluster, name)
    cluster.attributes = after
    _keep_or_apply_pending(cluster, name, immediately=immediately)
    if groups is not None:
        change_groups(cluster, groups)
    if parameters.get("ManageMasterUserPassword") is False:
        stop_managing(cluster)
    if managed:
        password = begin_to_manage(cluster, parameters.get("MasterUserSecretKmsKeyId"))
    if password:
        cluster.pending_password = password
    if password or slow or name:
        cluster.password_reset_begun = False
    if slow:
        _pass_on_to_members(cluster, changed)
    if name and immediately:
        begin_rename(cluster, name, then=lambda: rest(cluster))
    elif slow:
        cluster.enter("modifying", region.world.durations.modify_cluster, then=lambda: rest(cluster))
    else:
        reset_pending_password(cluster)
    return {"DBCluster": cluster.describe()}


def _keep_or_apply_pending(cluster: Cluster, name: str | None, *, immediately: bool) -> None:
    if immediately:
        cluster.attributes |= {key: value for key, value in cluster.pending.items() if key != "DBClusterIdentifier"}
        cluster.pending = {}
    elif name:
        cluster.pending = {**cluster.pending, "DBClusterIdentifier": name}


def _check_insights(cluster: Cluster, parameters: rules.Parameters) -> None:
    """Refuse Enhanced Monitoring, and a change to the advanced mode that does not bring along all that this needs.

    The standard mode takes Performance Insights too (ansible-collections/amazon.aws#2543: 465 days, of a cluster with
    aurora-postgresql16). Who changes to the advanced mode has to send all three, also where the cluster has the rest
    already (the same, and hashicorp/terraform-provider-aws#43919). Enhanced Monitoring is for Multi-AZ DB clusters only
    (API reference, ModifyDBCluster); the code and text of its refusal are not verified.
    """
    asked = [name for name in MONITORING if name in parameters]
    if asked:
        rules.refuse_combination(f"{', '.join(asked)} is not for an Aurora DB cluster. Set it for its DB instances.")
    wanted, mode = parameters.get("DatabaseInsightsMode"), cluster.attributes["DatabaseInsightsMode"]
    if wanted == "advanced" and mode != "advanced":
        settings.check_advanced_insights(described(OF_CLUSTERS, parameters))


def _elsewhere(region: AuroraBackend, cluster: Cluster, parameters: rules.Parameters) -> dict[str, Any]:
    """Return the changes that name something outside the cluster, or change a list of it."""
    changes: dict[str, Any] = {}
    if "DBClusterParameterGroupName" in parameters:
        changes["DBClusterParameterGroup"] = region.parameter_group(
            "cluster-pg", parameters["DBClusterParameterGroupName"], cluster.attributes["EngineVersion"]
        )
    if "CloudwatchLogsExportConfiguration" in parameters:
        logs = set(cluster.attributes.get("EnabledCloudwatchLogsExports", []))
        wanted = parameters["CloudwatchLogsExportConfiguration"]
        logs = (logs | set(wanted.get("EnableLogTypes", []))) - set(wanted.get("DisableLogTypes", []))
        changes["EnabledCloudwatchLogsExports"] = sorted(logs)
    return changes


def performance_insights_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of Performance Insights among a cluster's attributes."""
    return {name: attributes[name] for name in _PERFORMANCE_INSIGHTS if name in attributes}


def _pass_on_to_members(cluster: Cluster, changed: set[str]) -> None:
    """Change log exports and Performance Insights of the members too, which keeps each busy for a while."""
    for member in cluster.members:
        if changed & {*_PERFORMANCE_INSIGHTS, "DatabaseInsightsMode"}:
            kept = {name: value for name, value in member.attributes.items() if name not in _PERFORMANCE_INSIGHTS}
            member.attributes = {**kept, **performance_insights_of(cluster.attributes)}
            _occupy(member, "modifying")
        elif "EnabledCloudwatchLogsExports" in changed:
            _occupy(member, "configuring-log-exports")


def _occupy(member: Instance, status: str) -> None:
    if member.status == "available":
        member.enter(status, member.region.world.durations.settle, then=lambda: rest(member))


def rest(resource: Cluster | Instance) -> None:
    """End a change, and begin to reset the cluster's password if that waited for it."""
    resource.rest()
    reset_pending_password(resource if isinstance(resource, Cluster) else resource.cluster)


def reset_pending_password(cluster: Cluster) -> None:
    """Begin to reset the password. A third of the time the status is `available`, then `resetting-master-credentials`.

    It is applied without any instance, too: CloudFormation's handler resets the password of each cluster that it has
    restored, before there is one, and waits until nothing is pending. With instances it waits until one is available.
    """
    password = cluster.pending_password
    members = cluster.members
    reachable = cluster.status == "available" and (
        not members or any(member.status in ("available", "creating") for member in members)
    )
    if password is None or cluster.password_reset_begun or not reachable:
        return
    cluster.password_reset_begun = True
    durations = cluster.region.world.durations
    seconds = durations.reset_master_password if members else durations.reset_without_instances
    fault = cluster.region.world.faults.lifecycle("reset-master-password", cluster.identifier)
    never = fault is not None and fault.status != "lost"

    def change() -> None:
        if never:
            report(cluster, PASSWORD_NOT_RESET)
        elif not fault:
            cluster.postgres.set_password(cluster.attributes["MasterUsername"], password)

    def applied() -> None:
        cluster.rest()
        if not never:
            cluster.pending_password = None
            managed_password_applied(cluster)
        if not fault:
            report(cluster, PASSWORD_RESET)

    def reset() -> None:
        if not fault:
            announce(cluster, PASSWORD_RESET)
        cluster.enter("resetting-master-credentials", seconds * 2 / 3, then=applied, work=change)

    cluster.enter("available", seconds / 3, then=reset)
