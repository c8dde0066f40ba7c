"""The settings of clusters and instances as RDS reports them, under the names that a plan has for them.

None stands for what RDS doesn't report, which is no answer: it is neither taken over nor compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import DBClusterTypeDef, DBInstanceTypeDef

IN_SYNC = "in-sync"
EXTENDED_SUPPORT = "open-source-rds-extended-support"
NO_EXTENDED_SUPPORT = f"{EXTENDED_SUPPORT}-disabled"


class ClusterSettings(Struct, frozen=True, kw_only=True):
    """Of a cluster. Lists are sorted: RDS promises no order."""

    engine_version: str | None
    port: int | None
    db_subnet_group_name: str | None
    vpc_security_group_ids: list[str]
    db_cluster_parameter_group_name: str | None
    storage_type: str
    network_type: str | None
    enabled_cloudwatch_logs_exports: list[str]
    iam_database_authentication: bool | None
    deletion_protection: bool | None
    backup_retention_days: int | None
    preferred_backup_window: str | None
    preferred_maintenance_window: str | None
    copy_tags_to_snapshot: bool | None
    extended_support: bool | None
    serverless_v2_min_capacity: float | None
    serverless_v2_max_capacity: float | None
    serverless_v2_seconds_until_auto_pause: int | None
    database_insights_mode: str | None
    performance_insights_retention_days: int | None
    data_api: bool | None


class InstanceSettings(Struct, frozen=True, kw_only=True):
    """Of a member. `waiting_parameters`: groups whose static parameters wait for a reboot."""

    parameters_applying: bool

    db_instance_class: str | None
    availability_zone: str | None
    promotion_tier: int | None
    db_parameter_group_name: str | None
    auto_minor_version_upgrade: bool | None
    publicly_accessible: bool | None
    performance_insights_retention_days: int | None
    preferred_maintenance_window: str | None
    ca_certificate_identifier: str | None
    monitoring_interval_seconds: int | None
    monitoring_role_arn: str | None
    performance_insights_kms_key_id: str | None
    waiting_parameters: list[str]


class SecurityGroups(Struct, frozen=True, kw_only=True):
    """All that RDS has on record for a cluster or a member: each group's status by its id.

    The API's reference knows no other status than `active` (VpcSecurityGroupMembership); CloudFormation's handler waits
    for it on every group of an instance all the same (DBInstancePredicates.isVpcSecurityGroupsActive).
    """

    statuses: dict[str, str]

    @property
    def ids(self) -> list[str]:
        """Sorted, with those that are being added or removed."""
        return sorted(self.statuses)

    @property
    def unsettled(self) -> list[str]:
        return [f"{group} ({status})" for group, status in sorted(self.statuses.items()) if status != "active"]

    @property
    def staying(self) -> list[str]:
        """Sorted, without those that are being removed."""
        return [group for group, status in sorted(self.statuses.items()) if status != "removing"]

    def are_to_be(self, wanted: Iterable[str]) -> bool:
        """Whether a change to these groups has been accepted, or made."""
        return set(self.staying) == set(wanted)

    def are(self, wanted: Iterable[str]) -> bool:
        """Whether it has these groups and no others, each of them active."""
        return set(self.statuses) == set(wanted) and not self.unsettled


class MasterSecret(Struct, frozen=True, kw_only=True):
    """The secret in which RDS keeps a master password. A restored cluster may report its source's for a while."""

    arn: str
    status: str

    @property
    def is_ready(self) -> bool:
        return self.status in ("active", "rotating")

    @property
    def is_broken(self) -> bool:
        return self.status == "impaired"


def read_cluster_settings(raw: DBClusterTypeDef) -> ClusterSettings:
    scaling = raw.get("ServerlessV2ScalingConfiguration") or {}
    support = raw.get("EngineLifecycleSupport")
    return ClusterSettings(
        engine_version=raw.get("EngineVersion"),
        port=raw.get("Port"),
        db_subnet_group_name=raw.get("DBSubnetGroup"),
        vpc_security_group_ids=sorted(each.get("VpcSecurityGroupId", "") for each in raw.get("VpcSecurityGroups", [])),
        db_cluster_parameter_group_name=raw.get("DBClusterParameterGroup"),
        storage_type=raw.get("StorageType") or "aurora",
        network_type=raw.get("NetworkType"),
        enabled_cloudwatch_logs_exports=sorted(raw.get("EnabledCloudwatchLogsExports", [])),
        iam_database_authentication=raw.get("IAMDatabaseAuthenticationEnabled"),
        deletion_protection=raw.get("DeletionProtection"),
        backup_retention_days=raw.get("BackupRetentionPeriod"),
        preferred_backup_window=raw.get("PreferredBackupWindow"),
        preferred_maintenance_window=_lower(raw.get("PreferredMaintenanceWindow")),
        copy_tags_to_snapshot=raw.get("CopyTagsToSnapshot"),
        extended_support=None if support is None else support == EXTENDED_SUPPORT,
        serverless_v2_min_capacity=scaling.get("MinCapacity"),
        serverless_v2_max_capacity=scaling.get("MaxCapacity"),
        serverless_v2_seconds_until_auto_pause=scaling.get("SecondsUntilAutoPause"),
        database_insights_mode=raw.get("DatabaseInsightsMode") or "standard",
        performance_insights_retention_days=_insights_days(raw),
        data_api=raw.get("HttpEndpointEnabled"),
    )


def read_instance_settings(raw: DBInstanceTypeDef) -> InstanceSettings:
    groups = raw.get("DBParameterGroups", [])
    return InstanceSettings(
        parameters_applying=any(each.get("ParameterApplyStatus") == "applying" for each in groups),
        db_instance_class=raw.get("DBInstanceClass"),
        availability_zone=raw.get("AvailabilityZone"),
        promotion_tier=raw.get("PromotionTier"),
        db_parameter_group_name=groups[0].get("DBParameterGroupName") if groups else None,
        auto_minor_version_upgrade=raw.get("AutoMinorVersionUpgrade"),
        publicly_accessible=raw.get("PubliclyAccessible"),
        performance_insights_retention_days=_insights_days(raw),
        preferred_maintenance_window=_lower(raw.get("PreferredMaintenanceWindow")),
        ca_certificate_identifier=raw.get("CACertificateIdentifier"),
        monitoring_interval_seconds=raw.get("MonitoringInterval"),
        monitoring_role_arn=raw.get("MonitoringRoleArn"),
        performance_insights_kms_key_id=raw.get("PerformanceInsightsKMSKeyId"),
        waiting_parameters=[
            each.get("DBParameterGroupName", "")
            for each in groups
            if each.get("ParameterApplyStatus", IN_SYNC) not in (IN_SYNC, "applying")
        ],
    )


def read_security_groups(raw: DBClusterTypeDef | DBInstanceTypeDef) -> SecurityGroups:
    found = raw.get("VpcSecurityGroups", [])
    return SecurityGroups(
        statuses={each.get("VpcSecurityGroupId", ""): each.get("Status", "no status") for each in found}
    )


def read_master_secret(raw: DBClusterTypeDef) -> MasterSecret | None:
    secret = raw.get("MasterUserSecret") or {}
    if not secret.get("SecretArn"):
        return None
    return MasterSecret(arn=secret.get("SecretArn", ""), status=secret.get("SecretStatus", "").lower())


def family_of(version: str) -> str:
    """Return the parameter groups' family that a version needs, such as aurora-postgresql17."""
    return f"aurora-postgresql{version.split('.')[0]}"


def default_group_of(version: str) -> str:
    """Return the name of RDS's own parameter groups for a version, a cluster's and an instance's alike."""
    return f"default.{family_of(version)}"


def lifecycle(extended_support: bool) -> str:
    """RDS enrols a cluster in paid Extended Support unless it is told not to."""
    return EXTENDED_SUPPORT if extended_support else NO_EXTENDED_SUPPORT


def _insights_days(raw: DBClusterTypeDef | DBInstanceTypeDef) -> int | None:
    enabled = raw.get("PerformanceInsightsEnabled")
    if enabled is None:
        return None
    return raw.get("PerformanceInsightsRetentionPeriod", 7) if enabled else 0


def _lower(text: str | None) -> str | None:
    return text.lower() if text else None
