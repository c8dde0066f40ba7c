"""The settings of the cluster to create: each one explicit, whoever it comes from.

The request decides, then the stack, then (like_source) the source cluster as it is now, then a default of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from utils import environment
from utils.aurora_utils import windows
from utils.aurora_utils.reported_settings import InstanceSettings, default_group_of
from utils.aurora_utils.resources import Snapshot
from utils.contracts.plan import ClusterPlan, Origin, PlannedInstance
from utils.contracts.route import SnapshotCopy
from utils.names import instance_name, is_lower_version
from utils.planning.like_source import SourceSettings, UnreadableSource, open_settings
from utils.request.fields import RestoreRequest
from utils.request.reading import own_tags, said_by
from utils.request.setting_rules import ADVANCED_INSIGHTS_DAYS, combination_problems, missing_capacity

# Of settings that have no sensible value of their own: the request, the stack or the source must give them.
_MISSING = "{}: missing. RDS's own default is never used: give it, or set the stack's parameter for it."
DEFAULT_INSIGHTS_DAYS = 7
DEFAULT_PAUSE_SECONDS = 300
# RDS's own default (API reference, CreateDBInstance).
RDS_PROMOTION_TIER = 1


class Choice:
    """Decides one setting after the other, and remembers who did."""

    def __init__(self, request: RestoreRequest, source: SourceSettings | None) -> None:
        self.request = request
        self.source = source
        self.origins: dict[str, Origin] = {}

    def given(self, name: str) -> Any:
        """What request or stack says."""
        value = getattr(self.request, name)
        if value is not None:
            self.origins[name] = said_by(self.request, name)
        return value

    def of(self, name: str, otherwise: Any, whose: Origin = "default") -> Any:
        """By request or stack, the source, or `otherwise`."""
        value = self.given(name)
        if value is None:
            value = self.of_source(name)
        if value is None:
            value, self.origins[name] = otherwise, whose
        return value

    def of_source(self, name: str) -> Any:
        value = self.source.value(name) if self.source else None
        if value is not None:
            self.origins[name] = "source"
        return value

    def ours(self, name: str, otherwise: Any) -> Any:
        """By request or stack only: nothing that is taken over from a source."""
        value = self.given(name)
        if value is None:
            value, self.origins[name] = otherwise, "default"
        return value


def cluster_plan(
    request: RestoreRequest,
    target_id: str,
    snapshot: Snapshot,
    copy: SnapshotCopy | None,
    operation_id: str,
    source: SourceSettings | UnreadableSource | None = None,
) -> ClusterPlan:
    choice = Choice(request, source if isinstance(source, SourceSettings) else None)
    version = _engine_version(choice, snapshot)
    instances = _instances(choice, target_id, operation_id)
    low, high, pause = _capacity(choice)
    mode, days = _insights(choice)
    interval, monitoring_role = _monitoring(choice)
    backup_window, maintenance_window = _windows(choice)
    login: Literal["pipeline", "rds_managed"] = choice.ours("master_login", "pipeline")
    own_key = copy.final.kms_key_id if copy else snapshot.kms_key_id
    return ClusterPlan(
        identifier=target_id,
        snapshot_arn=copy.arn if copy else snapshot.arn,
        engine_version=version,
        port=choice.of("port", snapshot.port, "snapshot"),
        db_subnet_group_name=choice.ours("db_subnet_group_name", ""),
        vpc_security_group_ids=choice.ours("vpc_security_group_ids", []),
        door_security_group_id=environment.text("DOOR_SECURITY_GROUP_ID"),
        db_cluster_parameter_group_name=_group(choice, "db_cluster_parameter_group_name", version),
        db_parameter_group_name=_group(choice, "db_parameter_group_name", version),
        kms_key_id=choice.given("kms_key_id"),
        data_key_id=request.kms_key_id or own_key,
        storage_type=choice.of("storage_type", snapshot.storage_type, "snapshot"),
        network_type=choice.of("network_type", "IPV4"),
        enabled_cloudwatch_logs_exports=sorted(choice.of("enabled_cloudwatch_logs_exports", ["postgresql"])),
        instances=instances,
        serverless_v2_min_capacity=low,
        serverless_v2_max_capacity=high,
        serverless_v2_seconds_until_auto_pause=pause,
        deletion_protection=choice.ours("deletion_protection", False),
        backup_retention_days=choice.of("backup_retention_days", 1),
        preferred_backup_window=backup_window,
        preferred_maintenance_window=maintenance_window,
        auto_minor_version_upgrade=choice.of("auto_minor_version_upgrade", True),
        extended_support=choice.ours("extended_support", False),
        iam_database_authentication=choice.of("iam_database_authentication", False),
        performance_insights_retention_days=days,
        database_insights_mode=mode,
        data_api=choice.ours("data_api", False),
        master_login=login,
        master_secret_kms_key_id=environment.text("MASTER_SECRET_KEY") if login == "rds_managed" else None,
        tags=own_tags(request, operation_id),
        ca_certificate_identifier=choice.of("ca_certificate_identifier", None),
        performance_insights_kms_key_id=choice.of("performance_insights_kms_key_id", None) if days else None,
        monitoring_interval_seconds=interval,
        monitoring_role_arn=monitoring_role,
        alternative_instance_classes=choice.ours("alternative_instance_classes", []),
        origins=choice.origins,
    )


def plan_problems(
    request: RestoreRequest, plan: ClusterPlan, source: SourceSettings | UnreadableSource | None, source_id: str
) -> Iterator[str]:
    """What is missing, and what doesn't go together, once everybody has been asked."""
    silent = source.why if isinstance(source, UnreadableSource) and open_settings(request) else None
    classes = [*(each.db_instance_class for each in plan.instances), *plan.alternative_instance_classes]
    yield from missing_places(plan)
    if not classes[0] and silent is None:
        yield _MISSING.format("db_instance_class")
    if plan.monitoring_interval_seconds and not plan.monitoring_role_arn:
        yield (
            f"monitoring_interval_seconds: {plan.monitoring_interval_seconds} needs a role that lets RDS write its "
            "metrics, and the stack names none. Set the stack's MonitoringRoleArn, or give 0."
        )
    if silent is not None:
        needed = "" if request.db_instance_class else " and a db_instance_class"
        yield (
            f"like_source: the source cluster {source_id!r} {silent}, so nobody says "
            f'{", ".join(open_settings(request))}. Give them; or give "like_source": false{needed}, and what is still '
            "left out comes from the snapshot and the pipeline's defaults."
        )
    else:
        yield from missing_capacity(plan, classes)
    if request.reader_instance_class is not None and len(plan.instances) == 1 and silent is None:
        yield (
            f"reader_instance_class: {request.reader_instance_class!r} is for readers, and there are none: "
            f"instance_count is 1 ({plan.origins.get('instance_count')}). Give an instance_count, or drop it."
        )
    yield from combination_problems(plan)


def missing_places(plan: ClusterPlan) -> Iterator[str]:
    """Where the cluster is to be: it can't come from the source."""
    if not plan.db_subnet_group_name:
        yield _MISSING.format("db_subnet_group_name")
    if not plan.vpc_security_group_ids:
        yield _MISSING.format("vpc_security_group_ids")


def _engine_version(choice: Choice, snapshot: Snapshot) -> str:
    """The source may have been upgraded since; that it is older than its snapshot can't be followed."""
    given = choice.given("engine_version")
    if given is not None:
        return str(given)
    of_source = choice.of_source("engine_version")
    if of_source and not is_lower_version(of_source, snapshot.engine_version):
        return str(of_source)
    choice.origins["engine_version"] = "snapshot"
    return snapshot.engine_version


def _group(choice: Choice, name: str, version: str) -> str:
    """RDS's default groups are named after their version: the source's may be of another one."""
    default = default_group_of(version)
    group = str(choice.of(name, default))
    if choice.origins[name] == "source" and group.startswith("default.") and group != default:
        choice.origins[name] = "default"
        return default
    return group


def _instances(choice: Choice, target_id: str, operation_id: str) -> list[PlannedInstance]:
    """As many and such as the source has, its writer's first, unless somebody says otherwise."""
    of_source = choice.source.instances if choice.source else []
    writer_class = str(choice.of("db_instance_class", ""))
    count = int(choice.of("instance_count", 1))
    reader_class = choice.given("reader_instance_class")
    if reader_class is None and choice.origins["db_instance_class"] != "source":
        reader_class = writer_class
    zones = choice.ours("availability_zones", None) or [None]
    planned = []
    for number in range(1, count + 1):
        model = of_source[number - 1] if number <= len(of_source) else (of_source[-1] if of_source else None)
        planned.append(
            PlannedInstance(
                identifier=instance_name(target_id, number, operation_id),
                db_instance_class=writer_class if number == 1 else reader_class or _class(model) or writer_class,
                availability_zone=zones[(number - 1) % len(zones)],
                promotion_tier=_tier(model),
            )
        )
    return planned


def _class(model: InstanceSettings | None) -> str | None:
    return model.db_instance_class if model else None


def _tier(model: InstanceSettings | None) -> int:
    return model.promotion_tier if model and model.promotion_tier is not None else RDS_PROMOTION_TIER


def _capacity(choice: Choice) -> tuple[float | None, float | None, int | None]:
    """Who gives one of the two capacities may leave the other to the source."""
    low, high = choice.given("serverless_v2_min_capacity"), choice.given("serverless_v2_max_capacity")
    pause = choice.given("serverless_v2_seconds_until_auto_pause")
    low = choice.of_source("serverless_v2_min_capacity") if low is None else low
    high = choice.of_source("serverless_v2_max_capacity") if high is None else high
    if pause is None and low == 0:
        pause = choice.of("serverless_v2_seconds_until_auto_pause", DEFAULT_PAUSE_SECONDS)
    return low, high, pause


def _windows(choice: Choice) -> tuple[str | None, str | None]:
    """Both windows or none: RDS picks the one that isn't named at random, and refuses it where the two overlap."""
    backup = choice.of("preferred_backup_window", None)
    maintenance = choice.of("preferred_maintenance_window", None)
    if backup is None and maintenance is not None:
        backup = windows.backup_window_beside(maintenance)
    elif maintenance is None and backup is not None:
        maintenance = windows.maintenance_window_beside(backup)
    return backup, maintenance


def _monitoring(choice: Choice) -> tuple[int, str | None]:
    """The role is the stack's to name: it is passed on, and what may be passed on isn't the request's to say.

    Without one the source's Enhanced Monitoring can't be taken over, which the plan says.
    """
    role = environment.optional("MONITORING_ROLE_ARN") or None
    interval = choice.given("monitoring_interval_seconds")
    if interval is None and role is not None:
        interval = choice.of_source("monitoring_interval_seconds")
    if interval is None:
        interval, choice.origins["monitoring_interval_seconds"] = 0, "default"
    return int(interval), role if interval else None


def _insights(choice: Choice) -> tuple[str, int]:
    """Mode and days go together: who says one of them has said what the other must be."""
    mode, days = choice.given("database_insights_mode"), choice.given("performance_insights_retention_days")
    if mode == "advanced" and days is None:
        days, choice.origins["performance_insights_retention_days"] = ADVANCED_INSIGHTS_DAYS, "default"
    if mode is None and days not in (None, ADVANCED_INSIGHTS_DAYS):
        mode, choice.origins["database_insights_mode"] = "standard", "default"
    mode = choice.of("database_insights_mode", "standard") if mode is None else mode
    otherwise = ADVANCED_INSIGHTS_DAYS if mode == "advanced" else DEFAULT_INSIGHTS_DAYS
    days = choice.of("performance_insights_retention_days", otherwise) if days is None else days
    return str(mode), int(days)
