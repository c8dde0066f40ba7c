"""What a plan says of its cluster, in the words of RDS's calls: all of it, so that RDS decides nothing by itself.

Which call carries what follows AWS's own CloudFormation handlers and HashiCorp's provider, parameter by parameter;
tests/unit/aurora_utils/test_rds_calls.py has the table with its sources. RestoreDBClusterFromSnapshot takes only a
part, whatever its model declares; the rest follows in one ModifyDBCluster while there is no instance, and in the
instances.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from utils.aurora_utils.reported_settings import default_group_of, lifecycle

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import TagTypeDef

    from utils.contracts.plan import ClusterPlan, PlannedInstance


def restore_arguments(plan: ClusterPlan) -> dict[str, Any]:
    """Of RestoreDBClusterFromSnapshot, which makes the cluster's volume and no instance."""
    optional: dict[str, Any] = {"KmsKeyId": plan.kms_key_id} if plan.kms_key_id else {}
    if plan.port is not None:
        optional["Port"] = plan.port
    if plan.serverless_v2_max_capacity is not None:
        optional["ServerlessV2ScalingConfiguration"] = _scaling(plan)
    return {
        "DBClusterIdentifier": plan.identifier,
        "SnapshotIdentifier": plan.snapshot_arn,
        "EngineVersion": plan.engine_version,
        "DBSubnetGroupName": plan.db_subnet_group_name,
        # Behind the door: the wanted groups follow in a change of their own, once the users are set up.
        "VpcSecurityGroupIds": [plan.door_security_group_id],
        **_group(plan, "DBClusterParameterGroupName", plan.db_cluster_parameter_group_name),
        "StorageType": plan.storage_type,
        "NetworkType": plan.network_type,
        "EnableIAMDatabaseAuthentication": plan.iam_database_authentication,
        "EnableCloudwatchLogsExports": plan.enabled_cloudwatch_logs_exports,
        "DeletionProtection": plan.deletion_protection,
        "CopyTagsToSnapshot": True,
        "EngineLifecycleSupport": lifecycle(plan.extended_support),
        "Tags": tag_list(plan.tags),
        **optional,
    }


def first_modify_arguments(plan: ClusterPlan, password: str | None) -> dict[str, Any]:
    """Of the one ModifyDBCluster that follows the restore, while the cluster has no instance.

    `password` is the new master password; None has RDS make one and keep it in a secret of its own. (To say
    ManageMasterUserPassword=False of an unmanaged cluster is an error of its own.) Never an EngineVersion: without an
    instance RDS refuses it.
    """
    login: dict[str, Any] = {"ManageMasterUserPassword": True} if password is None else {"MasterUserPassword": password}
    if password is None and plan.master_secret_kms_key_id:
        login["MasterUserSecretKmsKeyId"] = plan.master_secret_kms_key_id
    optional: dict[str, Any] = {}
    if plan.preferred_backup_window:
        optional["PreferredBackupWindow"] = plan.preferred_backup_window
    if plan.preferred_maintenance_window:
        optional["PreferredMaintenanceWindow"] = plan.preferred_maintenance_window
    if plan.database_insights_mode == "advanced":
        # Only together with the advanced mode does an Aurora cluster take Performance Insights itself.
        optional |= {"DatabaseInsightsMode": "advanced", **_insights(plan)}
    return {
        "DBClusterIdentifier": plan.identifier,
        "BackupRetentionPeriod": plan.backup_retention_days,
        "ApplyImmediately": True,
        **login,
        **optional,
    }


def security_group_arguments(plan: ClusterPlan, groups: list[str]) -> dict[str, Any]:
    """Of the ModifyDBCluster that opens the door: the groups, and nothing else."""
    return {"DBClusterIdentifier": plan.identifier, "VpcSecurityGroupIds": groups, "ApplyImmediately": True}


def instance_arguments(plan: ClusterPlan, instance: PlannedInstance) -> dict[str, Any]:
    """Of CreateDBInstance, for a member of the cluster."""
    optional: dict[str, Any] = {}
    if instance.availability_zone:
        optional["AvailabilityZone"] = instance.availability_zone
    if plan.preferred_maintenance_window:
        optional["PreferredMaintenanceWindow"] = plan.preferred_maintenance_window
    if plan.ca_certificate_identifier:
        optional["CACertificateIdentifier"] = plan.ca_certificate_identifier
    return {
        "DBInstanceIdentifier": instance.identifier,
        "DBClusterIdentifier": plan.identifier,
        "DBInstanceClass": instance.db_instance_class,
        **_group(plan, "DBParameterGroupName", plan.db_parameter_group_name),
        "DBSubnetGroupName": plan.db_subnet_group_name,
        "PromotionTier": instance.promotion_tier,
        "PubliclyAccessible": False,
        "AutoMinorVersionUpgrade": plan.auto_minor_version_upgrade,
        **_monitoring(plan),
        **_insights(plan),
        "Tags": tag_list(plan.tags),
        **optional,
    }


def tag_list(tags: Mapping[str, str]) -> list[TagTypeDef]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _scaling(plan: ClusterPlan) -> dict[str, float]:
    scaling = {"MinCapacity": plan.serverless_v2_min_capacity, "MaxCapacity": plan.serverless_v2_max_capacity}
    if plan.serverless_v2_seconds_until_auto_pause is not None:
        scaling["SecondsUntilAutoPause"] = plan.serverless_v2_seconds_until_auto_pause
    return {name: value for name, value in scaling.items() if value is not None}


def _insights(plan: ClusterPlan) -> dict[str, Any]:
    days = plan.performance_insights_retention_days
    if not days:
        return {"EnablePerformanceInsights": False}
    key = plan.performance_insights_kms_key_id
    return {
        "EnablePerformanceInsights": True,
        "PerformanceInsightsRetentionPeriod": days,
        **({"PerformanceInsightsKMSKeyId": key} if key else {}),
    }


def _monitoring(plan: ClusterPlan) -> dict[str, Any]:
    """RDS takes an interval only with a role, and a role only with an interval (CreateDBInstance, API reference)."""
    interval, role = plan.monitoring_interval_seconds, plan.monitoring_role_arn
    return {"MonitoringInterval": interval, **({"MonitoringRoleArn": role} if interval and role else {})}


def _group(plan: ClusterPlan, name: str, group: str) -> dict[str, str]:
    """Leave the default group of the version's family unnamed: RDS takes its own where none is named, and makes it with
    the first such cluster of a region, where the name alone would be refused (DBClusterParameterGroupNotFound, as in
    aws/aws-cdk#719).
    """
    return {} if group == default_group_of(plan.engine_version) else {name: group}
