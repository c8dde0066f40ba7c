"""The settings of a planned cluster as a DBA reads them: a line for each group, and who decided each value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from utils.arns import Arn
from utils.aurora_utils.resources import Cluster, Instance
from utils.contracts.plan import ClusterPlan, PlannedInstance
from utils.contracts.settings import SETTINGS, Setting
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.messages.prices import counted_classes, hourly_cost
from utils.plurals import counted

_LABEL_WIDTH = 12
# What the line of the first change says in words of its own.
_SAID_TOGETHER = {
    *("backup_retention_days", "database_insights_mode"),
    *("performance_insights_retention_days", "performance_insights_kms_key_id"),
}


def setting_lines(plan: ClusterPlan) -> Iterator[str]:
    """Yield a line for each group of settings; those of the instances stand in `instance_lines`."""
    for label in dict.fromkeys(each.line for each in SETTINGS if each.line):
        parts = [text for each in SETTINGS if each.line == label and (text := _setting(plan, each))]
        yield from _line(label, [*parts, *_beside_the_settings(plan, label)])
    yield from _line("tags", [one_line(f"{key}={value}", MAX_SENTENCE) for key, value in plan.tags.items()])


def _line(label: str, parts: list[str]) -> Iterator[str]:
    if parts:
        yield f"{label:{_LABEL_WIDTH}} {', '.join(parts)}"


def _setting(plan: ClusterPlan, setting: Setting) -> str:
    """Return the value in words, and who decided it; nothing where there is nothing to say."""
    value = getattr(plan, setting.name)
    if setting.said is not None:
        text = setting.said(plan)
    elif value is None or value == []:
        text = setting.unset
    else:
        text = (setting.words or f"{setting.called} {{}}").format(_spoken(value))
    return _said(plan, setting.name, text) if text else ""


def _beside_the_settings(plan: ClusterPlan, label: str) -> list[str]:
    """Return what belongs into a line, and no request decides by itself."""
    if label == "network":
        door = f"behind its door: security group {plan.door_security_group_id}, which admits only the pipeline"
        return [door, "not publicly accessible"]
    if label == "storage":
        return [_key(plan)]
    return ["tags copied to snapshots"] if label == "backups" else []


def _key(plan: ClusterPlan) -> str:
    if plan.kms_key_id:
        return _said(plan, "kms_key_id", f"under key {plan.kms_key_id}")
    return f"under the snapshot's own key {plan.data_key_id}" if plan.data_key_id else "under no key of the account's"


def instance_lines(plan: ClusterPlan) -> Iterator[str]:
    """Yield the writer's line, then the readers'."""
    of_class = plan.origins.get("db_instance_class")
    yield f"create the writer {_instance(plan.instances[0])} [class: {of_class}]"
    if len(plan.instances) > 1:
        readers = "; ".join(_instance(each) for each in plan.instances[1:])
        class_origin = plan.origins.get("reader_instance_class", of_class)
        count = plan.origins.get("instance_count")
        yield f"create {counted(len(plan.instances) - 1, 'reader')}: {readers} [class: {class_origin}, number: {count}]"


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
    also = [f"{counted(plan.backup_retention_days, 'day')} of backups"]
    also += [
        each.called
        for each in SETTINGS
        if each.name not in _SAID_TOGETHER and each.argument(plan, "ModifyDBCluster") is not None
    ]
    if plan.is_advanced:
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
    return counted_classes([each.db_instance_class for each in plan.instances])


def cost(plan: ClusterPlan, region: str) -> str:
    """Return what the planned cluster costs in an hour, as a predicate."""
    capacity = (plan.serverless_v2_min_capacity, plan.serverless_v2_max_capacity)
    return hourly_cost(region, plan.storage_type, [each.db_instance_class for each in plan.instances], capacity)


def cost_now(cluster: Cluster, members: Sequence[Instance]) -> str:
    """Return what it costs, as a clause: in an hour if all instances are up, since RDS does not charge for others."""
    classes = sorted(each.settings.db_instance_class or "unknown" for each in members)
    if not classes:
        return "its storage costs money: it has no instance"
    if not all(each.is_up for each in members):
        return f"its storage and its instances cost money: {counted_classes(classes)}"
    storage, *capacity = (
        cluster.settings.value(name)
        for name in ("storage_type", "serverless_v2_min_capacity", "serverless_v2_max_capacity")
    )
    return f"it {hourly_cost(Arn.parse(cluster.arn).region, storage, classes, capacity)}"


def _instance(instance: PlannedInstance) -> str:
    zone = f" in {instance.availability_zone}" if instance.availability_zone else ""
    return f"{instance.identifier}, {instance.db_instance_class}{zone}, promotion tier {instance.promotion_tier}"


def _said(plan: ClusterPlan, name: str, text: str) -> str:
    """Return the value, and who decided it."""
    return f"{text} [{plan.origins.get(name, 'default')}]"


def _spoken(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return " and ".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
