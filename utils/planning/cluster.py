"""The settings of the cluster to create: each one is explicit, and the plan says where it comes from.

The request decides, then the stack, then (like_source) the source cluster as it is now, then the pipeline's default.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from utils import environment
from utils.aurora_utils import windows
from utils.aurora_utils.reported_settings import InstanceSettings
from utils.aurora_utils.resources import Snapshot
from utils.contracts.plan import ClusterPlan, Origin, PlannedInstance
from utils.contracts.route import SnapshotCopy
from utils.contracts.settings import BY_NAME, OF_THE_INSTANCES, SETTINGS
from utils.names import instance_name
from utils.planning.like_source import SourceSettings, UnreadableSource, open_settings
from utils.request.fields import RestoreRequest
from utils.request.reading import own_tags, said_by
from utils.request.setting_rules import ADVANCED_INSIGHTS_DAYS, combination_problems, missing_capacity
from utils.versions import default_group_of, is_lower_version

# For settings that have no sensible default: the request, the stack or the source must give them.
_MISSING = "{}: missing. RDS's own default is never used: give it, or set the stack's parameter for it."
# RDS's own default (API reference, CreateDBInstance).
RDS_PROMOTION_TIER = 1
# The first versions that forward writes, by major version (Aurora User Guide, "Local write forwarding in Aurora
# PostgreSQL", which ends with 16; that later ones do is assumed).
_FORWARDS_SINCE = {"14": "14.13", "15": "15.8", "16": "16.4"}
_FORWARDS_FIRST = "14.13"
# The settings that are decided together.
_LEAST_CAPACITY = "serverless_v2_min_capacity"
_GREATEST_CAPACITY = "serverless_v2_max_capacity"
_PAUSE = "serverless_v2_seconds_until_auto_pause"
_MODE = "database_insights_mode"
_DAYS = "performance_insights_retention_days"
_KEY = "performance_insights_kms_key_id"


class Choice:
    """Decides one setting after the other, and remembers where each value comes from."""

    def __init__(self, request: RestoreRequest, source: SourceSettings | None) -> None:
        self.request = request
        self.source = source
        self.origins: dict[str, Origin] = {}

    def given(self, name: str) -> Any:
        """Return what the request or the stack says, or None."""
        value = getattr(self.request, name)
        if value is not None:
            self.origins[name] = said_by(self.request, name)
        return value

    def of_source(self, name: str) -> Any:
        """Return what the source has; None also for a setting that is never taken from it."""
        taken = self.source is not None and BY_NAME[name].from_source != "never"
        value = self.source.value(name) if self.source and taken else None
        if value is not None:
            self.origins[name] = "source"
        return value

    def default(self, name: str) -> Any:
        """Return the pipeline's default, even where the source has another value."""
        self.origins[name] = "default"
        return BY_NAME[name].default

    def of(self, name: str) -> Any:
        """Return what the request or the stack says, else what the source has, else the pipeline's default."""
        value = self.given(name)
        if value is None:
            value = self.of_source(name)
        return self.default(name) if value is None else value

    def of_snapshot(self, name: str, of_snapshot: Any) -> Any:
        """Return the same as `of`, but with the snapshot's value in place of the pipeline's default."""
        value = self.of(name)
        if self.origins[name] != "default":
            return value
        self.origins[name] = "snapshot"
        return of_snapshot


def cluster_plan(
    request: RestoreRequest,
    target_id: str,
    snapshot: Snapshot,
    copy: SnapshotCopy | None,
    operation_id: str,
    source: SourceSettings | UnreadableSource | None = None,
) -> ClusterPlan:
    """Return the plan of the cluster: each setting by its own rule where it has one, else by the table of settings."""
    choice = Choice(request, source if isinstance(source, SourceSettings) else None)
    version = _engine_version(choice, snapshot)
    settings: dict[str, Any] = {
        "engine_version": version,
        "port": choice.of_snapshot("port", snapshot.port),
        "storage_type": choice.of_snapshot("storage_type", snapshot.storage_type),
        "kms_key_id": choice.given("kms_key_id"),
        "db_cluster_parameter_group_name": _group(choice, "db_cluster_parameter_group_name", version),
        "db_parameter_group_name": _group(choice, "db_parameter_group_name", version),
        "monitoring_interval_seconds": _monitoring_interval(choice),
        **_capacity(choice),
        **_insights(choice),
        **_windows(choice),
    }
    for setting in SETTINGS:
        if setting.name not in settings and setting.name not in OF_THE_INSTANCES:
            settings[setting.name] = choice.of(setting.name)
    by_rds = settings["master_login"] == "rds_managed"
    own_key = copy.final.kms_key_id if copy else snapshot.kms_key_id
    return ClusterPlan(
        identifier=target_id,
        snapshot_arn=copy.arn if copy else snapshot.arn,
        door_security_group_id=environment.text("DOOR_SECURITY_GROUP_ID"),
        data_key_id=request.kms_key_id or own_key,
        instances=_instances(choice, target_id, operation_id),
        master_secret_kms_key_id=environment.text("MASTER_SECRET_KEY") if by_rds else None,
        monitoring_role_arn=_monitoring_role() if settings["monitoring_interval_seconds"] else None,
        tags=own_tags(request, operation_id),
        origins=choice.origins,
        **settings,
    )


def plan_problems(
    request: RestoreRequest, plan: ClusterPlan, source: SourceSettings | UnreadableSource | None, source_id: str
) -> Iterator[str]:
    """Yield what is missing and what is contradictory, after request, stack and source have all been consulted."""
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
            f"like_source: the source cluster {source_id!r} {silent}, so these settings are unknown: "
            f'{", ".join(open_settings(request))}. Give them; or give "like_source": false{needed}, and what is still '
            "omitted comes from the snapshot and the pipeline's defaults."
        )
    else:
        yield from missing_capacity(plan, classes)
    if request.reader_instance_class is not None and len(plan.instances) == 1 and silent is None:
        yield (
            f"reader_instance_class: {request.reader_instance_class!r} is for readers, and there are none: "
            f"instance_count is 1 ({plan.origins.get('instance_count')}). Drop it, or give an instance_count."
        )
    yield from _forwarding_problems(plan)
    yield from combination_problems(plan)


def _forwarding_problems(plan: ClusterPlan) -> Iterator[str]:
    version = plan.engine_version
    major = version.partition(".")[0]
    if plan.local_write_forwarding and is_lower_version(version, _FORWARDS_SINCE.get(major, _FORWARDS_FIRST)):
        yield (
            f"local_write_forwarding: true [{plan.origins.get('local_write_forwarding')}] is not supported by "
            f"PostgreSQL {version}. Give an engine_version of at least {', '.join(_FORWARDS_SINCE.values())} or a "
            'later major version, or "local_write_forwarding": false.'
        )


def missing_places(plan: ClusterPlan) -> Iterator[str]:
    """Yield what is missing of the new cluster's place in the network, which is never taken from the source."""
    if not plan.db_subnet_group_name:
        yield _MISSING.format("db_subnet_group_name")
    if not plan.vpc_security_group_ids:
        yield _MISSING.format("vpc_security_group_ids")


def _engine_version(choice: Choice, snapshot: Snapshot) -> str:
    """Return the version. A source that was upgraded since is followed, but never below the snapshot's version."""
    given = choice.given("engine_version")
    if given is not None:
        return str(given)
    of_source = choice.of_source("engine_version")
    if of_source and not is_lower_version(of_source, snapshot.engine_version):
        return str(of_source)
    choice.origins["engine_version"] = "snapshot"
    return snapshot.engine_version


def _group(choice: Choice, name: str, version: str) -> str:
    """Return a parameter group. RDS names its default groups after a version, and the source may have another one."""
    default, group = default_group_of(version), choice.of(name)
    of_another = choice.origins[name] == "source" and group.startswith("default.") and group != default
    if group is None or of_another:
        choice.origins[name] = "default"
        return default
    return str(group)


def _instances(choice: Choice, target_id: str, operation_id: str) -> list[PlannedInstance]:
    """Return instances like the source's, its writer's first, unless the request or the stack says otherwise."""
    of_source = choice.source.instances if choice.source else []
    writer_class = str(choice.of("db_instance_class"))
    count = int(choice.of("instance_count"))
    reader_class = choice.given("reader_instance_class")
    if reader_class is None and choice.origins["db_instance_class"] != "source":
        reader_class = writer_class
    zones = choice.of("availability_zones") or [None]
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


def _capacity(choice: Choice) -> dict[str, float | int | None]:
    """Return the three together. If only one of the two capacities is given, the other comes from the source."""
    capacity = {name: _given_or_of_source(choice, name) for name in (_LEAST_CAPACITY, _GREATEST_CAPACITY)}
    pause = choice.given(_PAUSE)
    if pause is None and capacity[_LEAST_CAPACITY] == 0:
        pause = choice.of(_PAUSE)
    return {**capacity, _PAUSE: pause}


def _given_or_of_source(choice: Choice, name: str) -> Any:
    value = choice.given(name)
    return choice.of_source(name) if value is None else value


def _windows(choice: Choice) -> dict[str, str | None]:
    """Return both windows or none: RDS picks an unnamed one at random, and refuses it if the two overlap."""
    backup, maintenance = choice.of("preferred_backup_window"), choice.of("preferred_maintenance_window")
    if backup is None and maintenance is not None:
        backup = windows.backup_window_beside(maintenance)
    elif maintenance is None and backup is not None:
        maintenance = windows.maintenance_window_beside(backup)
    return {"preferred_backup_window": backup, "preferred_maintenance_window": maintenance}


def _monitoring_role() -> str | None:
    """Return the role of Enhanced Monitoring. Only the stack names it, because a request must not pass roles on."""
    return environment.optional("MONITORING_ROLE_ARN") or None


def _monitoring_interval(choice: Choice) -> int:
    """Return the interval. Without a role, the source's is not taken over, and `not_taken_over` reports it."""
    name = "monitoring_interval_seconds"
    if _monitoring_role() is not None:
        return int(choice.of(name))
    given = choice.given(name)
    return int(choice.default(name) if given is None else given)


def _insights(choice: Choice) -> dict[str, str | int | None]:
    """Return mode, days and key. Mode and days depend on each other, so that either one decides the other.

    | mode  | days  | then                                                                                      |
    |-------|-------|-------------------------------------------------------------------------------------------|
    | given | given | as given                                                                                  |
    | given | -     | advanced: the source's days from 465 on, else 465; standard: the source's days, else 7    |
    | -     | given | 465 days and more go with the source's mode, else with standard; fewer with standard      |
    | -     | -     | the source's mode, else standard; its days, else 465 with advanced, 7 with standard       |
    """
    mode, days = choice.given(_MODE), choice.given(_DAYS)
    if mode is None and days is None:
        mode, days = choice.of(_MODE), choice.of(_DAYS)
    elif mode is None:
        mode = choice.of(_MODE) if days >= ADVANCED_INSIGHTS_DAYS else choice.default(_MODE)
    elif days is None:
        days = choice.of(_DAYS)
        if mode == "advanced" and days < ADVANCED_INSIGHTS_DAYS:
            days = choice.default(_DAYS)
    if mode == "advanced" and choice.origins[_DAYS] == "default":
        days = ADVANCED_INSIGHTS_DAYS
    return {_MODE: mode, _DAYS: days, _KEY: choice.of(_KEY) if days else None}
