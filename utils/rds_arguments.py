"""What a plan says of its cluster, in the words of RDS's calls: all of it, so that RDS decides nothing by itself.

What RestoreDBClusterFromSnapshot doesn't take (a maintenance window, Database Insights' mode, the cluster's automatic
minor upgrades) follows as a change of the cluster, and the Data API as a call of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from utils.aurora_settings import default_group_of, lifecycle

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import TagTypeDef

    from utils.plans import ClusterPlan, PlannedInstance


def restore_arguments(plan: ClusterPlan) -> dict[str, Any]:
    optional: dict[str, Any] = {"KmsKeyId": plan.kms_key_id} if plan.kms_key_id else {}
    if plan.preferred_backup_window:
        optional["PreferredBackupWindow"] = plan.preferred_backup_window
    if plan.serverless_v2_max_capacity is not None:
        optional["ServerlessV2ScalingConfiguration"] = _scaling(plan)
    return {
        "DBClusterIdentifier": plan.identifier,
        "SnapshotIdentifier": plan.snapshot_arn,
        "EngineVersion": plan.engine_version,
        "Port": plan.port,
        "DBSubnetGroupName": plan.db_subnet_group_name,
        "VpcSecurityGroupIds": plan.vpc_security_group_ids,
        **_group(plan, "DBClusterParameterGroupName", plan.db_cluster_parameter_group_name),
        "StorageType": plan.storage_type,
        "NetworkType": plan.network_type,
        "EnableIAMDatabaseAuthentication": plan.iam_database_authentication,
        "EnableCloudwatchLogsExports": plan.enabled_cloudwatch_logs_exports,
        "BackupRetentionPeriod": plan.backup_retention_days,
        "DeletionProtection": plan.deletion_protection,
        "CopyTagsToSnapshot": True,
        "EngineLifecycleSupport": lifecycle(plan.extended_support),
        **_insights(plan),
        "Tags": tag_list(plan.tags),
        **optional,
    }


def instance_arguments(plan: ClusterPlan, instance: PlannedInstance) -> dict[str, Any]:
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


def later_arguments(plan: ClusterPlan) -> dict[str, Any]:
    """Of the one ModifyDBCluster that follows where the new cluster isn't like this already."""
    arguments: dict[str, Any] = {"DBClusterIdentifier": plan.identifier, "ApplyImmediately": True}
    if plan.preferred_maintenance_window:
        arguments["PreferredMaintenanceWindow"] = plan.preferred_maintenance_window
    if not plan.auto_minor_version_upgrade:
        arguments["AutoMinorVersionUpgrade"] = False
    if plan.database_insights_mode == "advanced":
        arguments |= {"DatabaseInsightsMode": plan.database_insights_mode, **_insights(plan)}
    return arguments


def managed_login_arguments(plan: ClusterPlan) -> dict[str, Any]:
    """RDS makes the secret and sets the password. To say False of an unmanaged cluster is an error of its own."""
    optional = {"MasterUserSecretKmsKeyId": plan.master_secret_kms_key_id} if plan.master_secret_kms_key_id else {}
    return {
        "DBClusterIdentifier": plan.identifier,
        "ManageMasterUserPassword": True,
        "ApplyImmediately": True,
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
