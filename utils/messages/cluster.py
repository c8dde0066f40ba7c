"""The settings of a planned cluster as a DBA reads them: a line for each group, and who decided each value."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from utils.contracts.plan import ClusterPlan, PlannedInstance
from utils.foreign_text import MAX_SENTENCE, one_line

_LABEL_WIDTH = 12


def setting_lines(plan: ClusterPlan) -> Iterator[str]:
    """Yield every setting of the cluster; those of its instances are in `instance_lines`."""
    for label, parts in (
        ("version", _version(plan)),
        ("network", _network(plan)),
        ("parameters", _parameters(plan)),
        ("storage", _storage(plan)),
        ("capacity", _capacity(plan)),
        ("access", _access(plan)),
        ("backups", _backups(plan)),
        ("maintenance", _maintenance(plan)),
        ("insights", _insights(plan)),
        ("logs", _logs(plan)),
        ("tags", [", ".join(one_line(f"{key}={value}", MAX_SENTENCE) for key, value in plan.tags.items())]),
    ):
        text = ", ".join(parts)
        if text:
            yield f"{label:{_LABEL_WIDTH}} {text}"


def instance_lines(plan: ClusterPlan) -> Iterator[str]:
    """Yield the writer's line, then the readers'."""
    of_class = plan.origins.get("db_instance_class")
    yield f"create the writer {_instance(plan.instances[0])} [class: {of_class}]"
    if len(plan.instances) > 1:
        readers = "; ".join(_instance(each) for each in plan.instances[1:])
        class_origin = plan.origins.get("reader_instance_class", of_class)
        count = plan.origins.get("instance_count")
        yield f"create {_count(len(plan.instances) - 1, 'reader')}: {readers} [class: {class_origin}, number: {count}]"


def alternative_lines(plan: ClusterPlan) -> Iterator[str]:
    """Yield what is used where AWS has no capacity for an instance as planned."""
    if plan.alternative_instance_classes:
        classes = ", ".join(plan.alternative_instance_classes)
        whose = plan.origins.get("alternative_instance_classes")
        yield f"where AWS has no capacity for them in any of the cluster's zones, use {classes} instead [{whose}]"


def login_line(plan: ClusterPlan) -> str:
    """Return how the master password is replaced."""
    whose = plan.origins.get("master_login")
    if plan.master_login == "rds_managed":
        return (
            "have RDS set a new master password and keep it in a secret of its own "
            f"under key {plan.master_secret_kms_key_id} [{whose}]"
        )
    return f"set a new master password and keep it in the target's admin secret [{whose}]"


def first_change_line(plan: ClusterPlan) -> str:
    """Return what is changed while the cluster has no instance: the master login, and what a restore cannot set."""
    also = [f"{_count(plan.backup_retention_days, 'day')} of backups"]
    if plan.preferred_backup_window:
        also.append("the backup window")
    if plan.preferred_maintenance_window:
        also.append("the maintenance window")
    if plan.database_insights_mode == "advanced":
        also.append("advanced Database Insights")
    return f"before it has an instance: {login_line(plan)}; {', '.join(also)}"


def opening_lines(plan: ClusterPlan) -> Iterator[str]:
    """Yield the last change of the cluster, then the Data API, to which security groups do not apply."""
    groups = _said(plan, "vpc_security_group_ids", f"security groups {', '.join(plan.vpc_security_group_ids)}")
    yield f"open its door: {groups} instead of {plan.door_security_group_id}"
    if plan.data_api:
        yield f"switch its Data API on [{plan.origins.get('data_api')}]"


def summary(plan: ClusterPlan) -> str:
    """Return the instances in a few words, such as 1 x db.r6g.large, 2 x db.serverless."""
    classes = [each.db_instance_class for each in plan.instances]
    return ", ".join(f"{len(list(group))} x {name}" for name, group in groupby(classes))


def _instance(instance: PlannedInstance) -> str:
    zone = f" in {instance.availability_zone}" if instance.availability_zone else ""
    return f"{instance.identifier}, {instance.db_instance_class}{zone}, promotion tier {instance.promotion_tier}"


def _said(plan: ClusterPlan, name: str, text: str) -> str:
    """Return the value, and who decided it."""
    return f"{text} [{plan.origins.get(name, 'default')}]"


def _version(plan: ClusterPlan) -> list[str]:
    return [
        _said(plan, "engine_version", f"PostgreSQL {plan.engine_version}"),
        _said(plan, "auto_minor_version_upgrade", f"automatic minor upgrades {_on(plan.auto_minor_version_upgrade)}"),
        _said(plan, "extended_support", f"Extended Support {_on(plan.extended_support)}"),
    ]


def _network(plan: ClusterPlan) -> list[str]:
    return [
        _said(plan, "db_subnet_group_name", f"subnet group {plan.db_subnet_group_name}"),
        f"behind its door: security group {plan.door_security_group_id}, which admits only the pipeline",
        _said(plan, "port", "the port that its source had" if plan.port is None else f"port {plan.port}"),
        _said(plan, "network_type", plan.network_type),
        "not publicly accessible",
        _said(plan, "ca_certificate_identifier", f"CA {plan.ca_certificate_identifier or 'as RDS chooses'}"),
    ]


def _parameters(plan: ClusterPlan) -> list[str]:
    return [
        _said(plan, "db_cluster_parameter_group_name", f"cluster's {plan.db_cluster_parameter_group_name}"),
        _said(plan, "db_parameter_group_name", f"instances' {plan.db_parameter_group_name}"),
    ]


def _storage(plan: ClusterPlan) -> list[str]:
    if plan.kms_key_id:
        key = _said(plan, "kms_key_id", f"under key {plan.kms_key_id}")
    else:
        key = (
            f"under the snapshot's own key {plan.data_key_id}" if plan.data_key_id else "under no key of the account's"
        )
    return [_said(plan, "storage_type", plan.storage_type), key]


def _capacity(plan: ClusterPlan) -> list[str]:
    low, high = plan.serverless_v2_min_capacity, plan.serverless_v2_max_capacity
    if low is None or high is None:
        return []
    parts = [
        _said(plan, "serverless_v2_min_capacity", f"at least {low:g} ACUs"),
        _said(plan, "serverless_v2_max_capacity", f"at most {high:g}"),
    ]
    pause = plan.serverless_v2_seconds_until_auto_pause
    if pause is not None:
        parts.append(_said(plan, "serverless_v2_seconds_until_auto_pause", f"paused after {pause} seconds"))
    return parts


def _access(plan: ClusterPlan) -> list[str]:
    return [
        _said(plan, "iam_database_authentication", f"IAM authentication {_on(plan.iam_database_authentication)}"),
        _said(plan, "data_api", f"Data API {_on(plan.data_api)}"),
        _said(plan, "deletion_protection", f"deletion protection {_on(plan.deletion_protection)}"),
    ]


def _backups(plan: ClusterPlan) -> list[str]:
    window = plan.preferred_backup_window
    return [
        _said(plan, "backup_retention_days", f"kept {_count(plan.backup_retention_days, 'day')}"),
        _said(plan, "preferred_backup_window", f"at {window}" if window else "when RDS chooses"),
        "tags copied to snapshots",
    ]


def _maintenance(plan: ClusterPlan) -> list[str]:
    window = plan.preferred_maintenance_window
    return [_said(plan, "preferred_maintenance_window", window or "when RDS chooses")]


def _insights(plan: ClusterPlan) -> list[str]:
    days, interval = plan.performance_insights_retention_days, plan.monitoring_interval_seconds
    key = plan.performance_insights_kms_key_id
    return [
        _said(plan, "database_insights_mode", f"Database Insights {plan.database_insights_mode}"),
        _said(
            plan,
            "performance_insights_retention_days",
            f"Performance Insights kept {_count(days, 'day')}" if days else "Performance Insights off",
        ),
        *([_said(plan, "performance_insights_kms_key_id", f"under key {key}")] if key else []),
        _said(
            plan,
            "monitoring_interval_seconds",
            f"Enhanced Monitoring every {_count(interval, 'second')} with role {plan.monitoring_role_arn}"
            if interval
            else "Enhanced Monitoring off",
        ),
    ]


def _logs(plan: ClusterPlan) -> list[str]:
    logs = " and ".join(plan.enabled_cloudwatch_logs_exports)
    return [_said(plan, "enabled_cloudwatch_logs_exports", f"{logs} to CloudWatch" if logs else "none to CloudWatch")]


def _on(value: bool) -> str:
    return "on" if value else "off"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
