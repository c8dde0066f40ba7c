"""A value for each setting that is nobody's default, what RDS reports of it, and the template's defaults.

A new setting is given its own here.

The tests that ask something of every setting take it from this table.
"""

from __future__ import annotations

from typing import Any

from utils.contracts.settings import SETTINGS, Setting

UNUSUAL: dict[str, Any] = {
    "engine_version": "16.6",
    "db_instance_class": "db.serverless",
    "reader_instance_class": "db.r6g.xlarge",
    "alternative_instance_classes": ["db.r7g.large"],
    "instance_count": 3,
    "availability_zones": ["us-east-1a", "us-east-1b"],
    "auto_minor_version_upgrade": False,
    "extended_support": True,
    "db_subnet_group_name": "unusual-subnets",
    "vpc_security_group_ids": ["sg-0fedcba9876543210"],
    "kms_key_id": "alias/staging",
    "storage_type": "aurora-iopt1",
    "network_type": "DUAL",
    "port": 5433,
    "ca_certificate_identifier": "rds-ca-ecc384-g1",
    "db_cluster_parameter_group_name": "unusual-cluster",
    "db_parameter_group_name": "unusual",
    "serverless_v2_min_capacity": 0.0,
    "serverless_v2_max_capacity": 4.0,
    "serverless_v2_seconds_until_auto_pause": 600,
    "iam_database_authentication": True,
    "data_api": True,
    "deletion_protection": True,
    "local_write_forwarding": True,
    "master_login": "rds_managed",
    "backup_retention_days": 7,
    "preferred_backup_window": "23:45-00:15",
    "preferred_maintenance_window": "sun:05:00-sun:05:30",
    "database_insights_mode": "advanced",
    "performance_insights_retention_days": 465,
    "performance_insights_kms_key_id": "arn:aws:kms:us-east-1:123456789012:key/insights",
    "monitoring_interval_seconds": 30,
    "enabled_cloudwatch_logs_exports": ["instance", "postgresql"],
}
# What RDS reports where it isn't the value itself.
_REPORTED: dict[str, Any] = {
    "local_write_forwarding": "enabled",
    "extended_support": "open-source-rds-extended-support",
    "vpc_security_group_ids": [{"VpcSecurityGroupId": "sg-0fedcba9876543210", "Status": "active"}],
    "db_parameter_group_name": [{"DBParameterGroupName": "unusual", "ParameterApplyStatus": "in-sync"}],
}

# What the template says of a setting where whoever deploys it says nothing; of all others it says nothing either.
TEMPLATE_DEFAULTS = {
    "extended_support": "false",
    "data_api": "false",
    "master_login": "pipeline",
    "deletion_protection": "false",
}


def reported_of(setting: Setting, path: str) -> dict[str, Any]:
    """Return what a cluster or an instance reports that has the unusual value; `path` is where RDS reports it."""
    value = _REPORTED.get(setting.name, UNUSUAL[setting.name])
    *outer, member = path.split(".")
    reported = {member: value}
    for each in reversed(outer):
        reported = {each: reported}
    enabled = {"PerformanceInsightsEnabled": True} if setting.name == "performance_insights_retention_days" else {}
    return reported | enabled


def reported_by_cluster() -> dict[str, Any]:
    """Return what a cluster reports that is unusual in everything."""
    together: dict[str, Any] = {}
    for setting in SETTINGS:
        for member, value in reported_of(setting, setting.of_cluster).items() if setting.of_cluster else ():
            together[member] = {**together.get(member, {}), **value} if isinstance(value, dict) else value
    return together


def reported_by_instance() -> dict[str, Any]:
    """Return what an instance reports that is unusual in everything."""
    found = [reported_of(each, each.of_instance) for each in SETTINGS if each.of_instance]
    return {member: value for each in found for member, value in each.items()}


def another(value: Any) -> Any:
    """Return another value of the same type, which need not be one that RDS takes."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, list):
        return [another(value[0])]
    return f"{value}-other" if isinstance(value, str) else value + 1


def as_text(name: str) -> str:
    """Return the unusual value as the stack's parameter has it."""
    value = UNUSUAL[name]
    if isinstance(value, list):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
