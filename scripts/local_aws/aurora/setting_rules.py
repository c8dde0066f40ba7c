"""Which settings of a cluster and its instances RDS accepts, each by itself and all together.

Codes are those on the wire. Where AWS's code is not publicly known it is InvalidParameterCombination for what does not
go together and InvalidParameterValue for what cannot be at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from scripts.local_aws.aurora.offers import (
    CERTIFICATE_AUTHORITIES,
    ENGINE,
    LOG_TYPES,
    STORAGE_TYPES,
    parsed_version,
)
from scripts.local_aws.aurora.rules import Parameters, refuse, refuse_combination, refuse_value
from scripts.local_aws.aurora.settings_table import LIFECYCLE_SUPPORT

if TYPE_CHECKING:
    from scripts.local_aws.iam.gate import Permissions

ADVANCED_INSIGHTS_DAYS = 465
MONITORING_INTERVALS = (0, 1, 5, 10, 15, 30, 60)

_PERFORMANCE_DAYS = frozenset({7, 731, *(month * 31 for month in range(1, 24))})
_MOST_ZONES = 3
_SHORTEST_WINDOW = 30
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES = 24 * 60


def check_cluster_settings(parameters: Parameters) -> None:
    """Refuse what creation, restore and modification all refuse."""
    retention = parameters.get("BackupRetentionPeriod", 1)
    if not 1 <= retention <= 35:
        refuse_value(f"Invalid backup retention period: {retention}. Retention period must be between 1 and 35 days.")
    if not 1150 <= parameters.get("Port", 5432) <= 65535:
        refuse_value(f"Invalid database endpoint port {parameters['Port']}. Port must be between 1150 and 65535.")
    logs = parameters.get("CloudwatchLogsExportConfiguration", {})
    for kind in [*parameters.get("EnableCloudwatchLogsExports", []), *logs.get("EnableLogTypes", [])]:
        if kind not in LOG_TYPES:
            refuse_combination(f"You cannot use the log types '{kind}' with engine {ENGINE}.")
    if parameters.get("StorageType", "aurora") not in STORAGE_TYPES:
        refuse_combination(f"Invalid storage type: {parameters['StorageType']}")
    if parameters.get("EngineLifecycleSupport", LIFECYCLE_SUPPORT[0]) not in LIFECYCLE_SUPPORT:
        refuse_value(f"Invalid EngineLifecycleSupport: {parameters['EngineLifecycleSupport']}")
    scaling = parameters.get("ServerlessV2ScalingConfiguration")
    if scaling is not None:
        _check_scaling(scaling)


def _check_scaling(scaling: Parameters) -> None:
    lowest, highest = scaling.get("MinCapacity"), scaling.get("MaxCapacity")
    if lowest is None or highest is None:
        refuse_combination("Serverless v2 needs both MinCapacity and MaxCapacity.")
    if not (0 <= lowest <= highest and 1 <= highest <= 256 and lowest * 2 % 1 == 0 and highest * 2 % 1 == 0):
        refuse_value(
            f"Invalid serverless v2 capacity {lowest} to {highest}: half steps from 0 to 256, at least 1 at most.",
        )
    pause = scaling.get("SecondsUntilAutoPause")
    if pause is not None and lowest > 0:
        # AWS's own words (anomalyco/sst#5276).
        refuse_value("SecondsUntilAutoPause can only be specified when minimum capacity is 0.")
    if pause is not None and not 300 <= pause <= 86_400:
        refuse_value(f"Invalid SecondsUntilAutoPause {pause}. It must be between 300 and 86400.")


def described_scaling(scaling: Parameters) -> dict[str, Any]:
    """Return the scaling as DescribeDBClusters says it: what may pause has a time after which it does."""
    return {"SecondsUntilAutoPause": 300, **scaling} if scaling["MinCapacity"] == 0 else dict(scaling)


def check_write_forwarding(parameters: Parameters, version: str) -> None:
    """Refuse what the Aurora guide says that a version does not have ("Local write forwarding in Aurora PostgreSQL").

    Its list ends with 16. The code of the refusal is not verified.
    """
    first = _FORWARDS_SINCE.get(version.partition(".")[0], "14.13")
    if parameters.get("EnableLocalWriteForwarding") and parsed_version(version) < parsed_version(first):
        refuse_combination(f"Local write forwarding is not supported for {ENGINE} {version}.")


_FORWARDS_SINCE = {"14": "14.13", "15": "15.8", "16": "16.4"}


def check_network_type(wanted: str, subnet_group: Mapping[str, Any]) -> None:
    """Refuse a network type that the subnet group does not support."""
    if wanted not in ("IPV4", "DUAL"):
        refuse_value(f"Invalid network type: {wanted}")
    if wanted not in subnet_group["SupportedNetworkTypes"]:
        name = subnet_group["DBSubnetGroupName"]
        refuse("NetworkTypeNotSupported", f"The DB subnet group {name} does not support the network type {wanted}.")


def zones(subnet_group: Mapping[str, Any]) -> list[str]:
    """Return the zones that the subnet group covers."""
    return sorted({subnet["SubnetAvailabilityZone"]["Name"] for subnet in subnet_group["Subnets"]})


def cluster_zones(wanted: Iterable[str] | None, subnet_group: Mapping[str, Any]) -> list[str]:
    """Return the zones of the storage, three where there are as many: RDS adds to those that were asked for."""
    asked, covered = sorted(set(wanted or ())), zones(subnet_group)
    if len(asked) > _MOST_ZONES:
        refuse_combination(f"A DB cluster has at most {_MOST_ZONES} zones, not {len(asked)}.")
    for zone in asked:
        check_zone(zone, covered)
    return sorted([*asked, *(zone for zone in covered if zone not in asked)][:_MOST_ZONES])


def check_zone(zone: str, covered: Iterable[str]) -> None:
    """Refuse a zone that the subnet group does not cover."""
    if zone not in covered:
        refuse_combination(f"The DB subnet group does not cover the zone {zone}; it covers {', '.join(covered)}.")


def check_windows(described: Mapping[str, Any]) -> None:
    """Refuse windows that would be malformed, too short, too long or overlapping after the call."""
    backup, maintenance = described["PreferredBackupWindow"], described["PreferredMaintenanceWindow"]
    backup_minutes = _daily_window("PreferredBackupWindow", backup)
    maintenance_minutes = _weekly_window(maintenance)
    if backup_minutes & {minute % _DAY_MINUTES for minute in maintenance_minutes}:
        refuse_value(f"The backup window {backup} and the maintenance window {maintenance} must not overlap.")


def _daily_window(name: str, window: str) -> set[int]:
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", window)
    if not found:
        refuse_value(f"Invalid {name} {window}. It must be in the format hh24:mi-hh24:mi.")
    start, end = (int(found[hour]) * 60 + int(found[hour + 1]) for hour in (1, 3))
    return _minutes(name, window, start, end, _DAY_MINUTES)


def _weekly_window(window: str) -> set[int]:
    name, moment = "PreferredMaintenanceWindow", rf"({'|'.join(_DAYS)}):([01]\d|2[0-3]):([0-5]\d)"
    found = re.fullmatch(f"{moment}-{moment}", window.lower())
    if not found:
        refuse_value(f"Invalid {name} {window}. It must be in the format ddd:hh24:mi-ddd:hh24:mi.")
    start, end = (
        _DAYS.index(found[day]) * _DAY_MINUTES + int(found[day + 1]) * 60 + int(found[day + 2]) for day in (1, 4)
    )
    return _minutes(name, window, start, end, 7 * _DAY_MINUTES)


def _minutes(name: str, window: str, start: int, end: int, period: int) -> set[int]:
    length = (end - start) % period
    if not _SHORTEST_WINDOW <= length <= _DAY_MINUTES:
        refuse_value(f"Invalid {name} {window}. It must last at least {_SHORTEST_WINDOW} minutes and at most a day.")
    return {(start + minute) % period for minute in range(length)}


def check_performance_insights(described: Mapping[str, Any]) -> None:
    """Refuse Performance and Database Insights that cannot be as they would be after the call."""
    days = described.get("PerformanceInsightsRetentionPeriod")
    enabled = bool(described.get("PerformanceInsightsEnabled"))
    if days is not None and days not in _PERFORMANCE_DAYS:
        refuse_value(f"Invalid Performance Insights retention period {days}: 7, a multiple of 31 up to 713, or 731.")
    if days is not None and not enabled:
        refuse_combination("A retention period for Performance Insights needs EnablePerformanceInsights.")
    mode = described.get("DatabaseInsightsMode", "standard")
    if mode not in ("standard", "advanced"):
        refuse_value(f"Invalid DatabaseInsightsMode: {mode}")
    if mode == "advanced":
        check_advanced_insights(described)


def check_advanced_insights(described: Mapping[str, Any]) -> None:
    """Refuse the advanced mode of Database Insights without what it needs of Performance Insights.

    The text is AWS's (pulumi/pulumi-aws#5286, hashicorp/terraform-provider-aws#42539).
    """
    days = described.get("PerformanceInsightsRetentionPeriod") or 0
    if not described.get("PerformanceInsightsEnabled") or days < ADVANCED_INSIGHTS_DAYS:
        refuse_combination(
            "To enable the Advanced mode of Database Insights, modify your cluster to enable Performance Insights and "
            f"set the retention period for Performance Insights to at least {ADVANCED_INSIGHTS_DAYS} days."
        )


def with_insights_defaults(described: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with seven days where none are asked for, and none without Performance Insights."""
    if described.get("PerformanceInsightsEnabled"):
        return {"PerformanceInsightsRetentionPeriod": 7, **described}
    return {name: value for name, value in described.items() if name not in _OF_PERFORMANCE_INSIGHTS}


_OF_PERFORMANCE_INSIGHTS = ("PerformanceInsightsRetentionPeriod", "PerformanceInsightsKMSKeyId")


def check_monitoring(parameters: Parameters, permissions: Permissions) -> None:
    """Refuse Enhanced Monitoring without an interval that RDS has, or without a role that it may assume.

    Sources: the API reference, CreateDBInstance; the texts as in hashicorp/terraform#5455 and
    azavea/terraform-aws-postgresql-rds#31. The code for an interval that RDS does not have is not verified, and the
    role's own policy is not looked at.
    """
    interval, role = parameters.get("MonitoringInterval", 0), parameters.get("MonitoringRoleArn")
    if interval not in MONITORING_INTERVALS:
        intervals = ", ".join(map(str, MONITORING_INTERVALS))
        refuse_value(f"Invalid value {interval} for MonitoringInterval. It must be one of {intervals}.")
    if interval and not role:
        refuse_combination(
            "A MonitoringRoleARN value is required if you specify a MonitoringInterval value other than 0."
        )
    if role and not interval:
        refuse_combination(
            "You must specify a MonitoringInterval value other than 0 when you specify a MonitoringRoleARN value."
        )
    if role and not permissions.trusts(role, "monitoring.rds.amazonaws.com"):
        refuse_value(
            "IAM role ARN value is invalid or does not include the required permissions for: ENHANCED_MONITORING"
        )


def check_instance_settings(parameters: Parameters) -> None:
    """Refuse what no instance can have."""
    tier = parameters.get("PromotionTier", 1)
    if not 0 <= tier <= 15:
        refuse_value(f"Invalid promotion tier {tier}. It must be between 0 and 15.")
    authority = parameters.get("CACertificateIdentifier")
    if authority is not None and authority not in CERTIFICATE_AUTHORITIES:
        refuse("CertificateNotFound", f"Certificate not found: {authority}")
    if "PreferredMaintenanceWindow" in parameters:
        _weekly_window(parameters["PreferredMaintenanceWindow"])
