"""What can be wrong with the settings of a cluster before AWS is called: each by itself, and all of them together.

The request is checked by itself when it is read. Combinations of settings are checked twice: as the request and the
stack give them, and after the source cluster and the pipeline's defaults have filled in the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from utils.aurora_utils import windows
from utils.aurora_utils.reported_settings import MOST_SECURITY_GROUPS
from utils.contracts.settings import SETTINGS

if TYPE_CHECKING:
    from utils.request.fields import RestoreRequest

SERVERLESS = "db.serverless"
LOG_TYPES = ("postgresql", "instance", "iam-db-auth-error")
# The least: "at least 465 days (15 months)" in the Aurora User Guide, "Considerations for Database Insights", and in
# RDS's refusal (pulumi/pulumi-aws#5286). The API reference has "465", which is the least as well.
ADVANCED_INSIGHTS_DAYS = 465
_VERSION = re.compile(r"\d+(\.\d+)*", re.ASCII)
_SECURITY_GROUP = re.compile(r"sg-[0-9a-f]{8,17}", re.ASCII)
MONITORING_INTERVALS = (0, 1, 5, 10, 15, 30, 60)
_CERTIFICATE_AUTHORITY = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_KEY_ARN = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]{1,256}", re.ASCII)
# With the requested class and three zones that is sixteen calls to RDS in one step.
MAX_ALTERNATIVES = 3
_INSTANCE_CLASS = re.compile(r"db\.[a-z0-9-]+(\.[a-z0-9]+)?", re.ASCII)
_ZONE = re.compile(r"[a-z]{2}(-[a-z]+)+-\d+[a-z]|[a-z]{2}(-[a-z]+)+-\d+(-[a-z]+)+-\d+[a-z]", re.ASCII)


class Settings(Protocol):
    """What request and plan have in common. None: not given, or RDS chooses."""

    @property
    def serverless_v2_min_capacity(self) -> float | None:
        """Return the least capacity, in ACUs."""

    @property
    def serverless_v2_max_capacity(self) -> float | None:
        """Return the greatest capacity, in ACUs."""

    @property
    def serverless_v2_seconds_until_auto_pause(self) -> int | None:
        """Return after how many idle seconds an instance pauses."""

    @property
    def database_insights_mode(self) -> str | None:
        """Return the mode of Database Insights: standard or advanced."""

    @property
    def performance_insights_retention_days(self) -> int | None:
        """Return for how many days Performance Insights keeps its data; 0 switches it off."""

    @property
    def preferred_backup_window(self) -> str | None:
        """Return the daily backup window, in UTC."""

    @property
    def preferred_maintenance_window(self) -> str | None:
        """Return the weekly maintenance window, in UTC."""


def setting_problems(request: RestoreRequest) -> Iterator[str]:
    """Yield what is wrong with the settings that the request, or the stack for it, gives."""
    if request.engine_version is not None and not _VERSION.fullmatch(request.engine_version):
        yield f"engine_version: {request.engine_version!r} is no version. Give one such as 17.5, or omit it."
    for setting in SETTINGS:
        value = getattr(request, setting.name)
        if value is not None and setting.limits is not None:
            lowest, highest = setting.limits
            if not lowest <= value <= highest:
                yield f"{setting.name}: {value} is out of range. Give a whole number from {lowest} to {highest}."
    for name in ("db_instance_class", "reader_instance_class"):
        value = getattr(request, name)
        if value is not None and not _INSTANCE_CLASS.fullmatch(value):
            yield f"{name}: {value!r} is no instance class. Give one such as db.r6g.large or db.serverless."
    if request.reader_instance_class is not None and request.instance_count == 1:
        yield (
            f"reader_instance_class: {request.reader_instance_class!r} is for readers, and instance_count is 1. "
            "Drop it, or give an instance_count of at least 2."
        )
    yield from _list_problems(request)
    yield from _insights_problems(request.performance_insights_retention_days)
    yield from _watching_problems(request)
    yield from _window_problems(request)
    yield from _capacity_problems(request)
    yield from combination_problems(request)


def combination_problems(settings: Settings) -> Iterator[str]:
    """Yield which given settings contradict each other. Each by itself has been checked before, or AWS reported it."""
    low, high = settings.serverless_v2_min_capacity, settings.serverless_v2_max_capacity
    if low is not None and high is not None and _are_capacities(low, high) and (low > high or high < 1):
        yield (
            f"serverless_v2_max_capacity: {high} does not go with a minimum of {low}. "
            "Give a maximum of at least 1 that is not below the minimum."
        )
    pause = settings.serverless_v2_seconds_until_auto_pause
    if pause is not None and low is not None and low > 0:
        yield (
            f"serverless_v2_seconds_until_auto_pause: {pause} works only with a minimum capacity of 0, not of {low}. "
            "Drop it, or give a serverless_v2_min_capacity of 0."
        )
    days = settings.performance_insights_retention_days
    if settings.database_insights_mode == "advanced" and days is not None and days < ADVANCED_INSIGHTS_DAYS:
        yield (
            f"database_insights_mode: 'advanced' needs at least {ADVANCED_INSIGHTS_DAYS} days of Performance Insights, "
            f"not {days}. Give a performance_insights_retention_days of {ADVANCED_INSIGHTS_DAYS} or more, or the mode "
            "'standard'."
        )
    backup, maintenance = settings.preferred_backup_window, settings.preferred_maintenance_window
    if backup and maintenance and windows.overlap(backup, maintenance):
        yield (
            f"preferred_maintenance_window: {maintenance!r} overlaps the backup window {backup!r}, which RDS refuses. "
            "Move one of them: give preferred_maintenance_window or preferred_backup_window."
        )


def missing_capacity(settings: Settings, classes: list[str]) -> Iterator[str]:
    """Yield which capacity is missing for serverless instances."""
    low, high = settings.serverless_v2_min_capacity, settings.serverless_v2_max_capacity
    if (low is None) != (high is None):
        yield "serverless_v2_min_capacity and serverless_v2_max_capacity go together. Give both or neither."
    elif low is None and SERVERLESS in classes:
        yield (
            "db_instance_class: db.serverless needs its capacity. "
            "Give serverless_v2_min_capacity and serverless_v2_max_capacity."
        )
    elif low is None and settings.serverless_v2_seconds_until_auto_pause is not None:
        yield (
            "serverless_v2_seconds_until_auto_pause: nothing is paused without a minimum capacity of 0. "
            "Drop it, or give serverless_v2_min_capacity and serverless_v2_max_capacity with it."
        )


def _list_problems(request: RestoreRequest) -> Iterator[str]:
    alternatives = len(request.alternative_instance_classes or ())
    if alternatives > MAX_ALTERNATIVES:
        yield (
            f"alternative_instance_classes: {alternatives} classes are more than one step can try in every zone. "
            f"Give at most {MAX_ALTERNATIVES}."
        )
    for alternative in request.alternative_instance_classes or ():
        if not _INSTANCE_CLASS.fullmatch(alternative):
            yield (
                f"alternative_instance_classes: {alternative!r} is no instance class. Give classes such as "
                "db.r7g.large, or omit it."
            )
    # The door is not counted: a cluster is in its group alone, and in the wanted ones instead of it once it is open.
    groups = len(set(request.vpc_security_group_ids or ()))
    if groups > MOST_SECURITY_GROUPS:
        yield (
            f"vpc_security_group_ids: {groups} groups are more than RDS allows a cluster, and its quota cannot be "
            f"raised. Give at most {MOST_SECURITY_GROUPS}: one group may have the rules of several."
        )
    for group in request.vpc_security_group_ids or ():
        if not _SECURITY_GROUP.fullmatch(group):
            yield f"vpc_security_group_ids: {group!r} is no security group's id. Give ids such as sg-0123456789abcdef0."
    if request.availability_zones == []:
        yield "availability_zones: is empty. Name at least one zone, or omit it to let RDS choose."
    for zone in request.availability_zones or ():
        if not _ZONE.fullmatch(zone):
            yield f"availability_zones: {zone!r} is no availability zone. Give zones such as us-east-1a."
    logs = request.enabled_cloudwatch_logs_exports or []
    for log in dict.fromkeys(logs):
        if log not in LOG_TYPES:
            yield (
                f"enabled_cloudwatch_logs_exports: {log!r} is no log of Aurora PostgreSQL's. "
                f"Give some of {', '.join(LOG_TYPES)}, or [] for none."
            )
    if len(set(logs)) < len(logs):
        yield "enabled_cloudwatch_logs_exports: names a log twice. Name each once."


def _insights_problems(days: int | None) -> Iterator[str]:
    if days is not None and days not in (0, 7, 731) and not (days % 31 == 0 and 1 <= days // 31 <= 23):
        yield (
            f"performance_insights_retention_days: {days} is no period that RDS has. Give 0 (off), 7, a multiple of 31 "
            f"up to 713 such as {ADVANCED_INSIGHTS_DAYS}, or 731."
        )


def _watching_problems(request: RestoreRequest) -> Iterator[str]:
    """Yield what is wrong with the instances' certificate, Enhanced Monitoring, or Performance Insights' key."""
    authority = request.ca_certificate_identifier
    if authority is not None and not _CERTIFICATE_AUTHORITY.fullmatch(authority):
        yield (
            f"ca_certificate_identifier: {authority!r} is no CA's identifier. Give one such as rds-ca-rsa2048-g1: "
            "aws rds describe-certificates --region REGION"
        )
    interval = request.monitoring_interval_seconds
    if interval is not None and interval not in MONITORING_INTERVALS:
        yield (
            f"monitoring_interval_seconds: {interval} is no interval that RDS has. "
            f"Give one of {', '.join(map(str, MONITORING_INTERVALS))}; 0 switches Enhanced Monitoring off."
        )
    key = request.performance_insights_kms_key_id
    if key is not None and not _KEY_ARN.fullmatch(key):
        yield (
            f"performance_insights_kms_key_id: {key!r} is not the ARN of a key. Give it as RDS reports it: "
            "arn:aws:kms:REGION:ACCOUNT:key/ID"
        )
    elif key is not None and request.performance_insights_retention_days == 0:
        yield (
            f"performance_insights_kms_key_id: {key!r} is given, and performance_insights_retention_days is 0. "
            "Drop it, or give days."
        )


def _window_problems(request: RestoreRequest) -> Iterator[str]:
    for name, window, is_window, example in (
        ("preferred_backup_window", request.preferred_backup_window, windows.is_backup_window, "02:00-02:30"),
        (
            "preferred_maintenance_window",
            request.preferred_maintenance_window,
            windows.is_maintenance_window,
            "sun:05:00-sun:05:30",
        ),
    ):
        if window is None:
            continue
        if not is_window(window):
            yield f"{name}: {window!r} is no window. Write it in UTC, such as {example}."
        elif windows.length_minutes(window) < windows.SHORTEST_MINUTES:
            yield (
                f"{name}: {window!r} has {windows.length_minutes(window)} minutes. "
                f"Give at least {windows.SHORTEST_MINUTES} minutes, such as {example}."
            )
        elif windows.leaves_no_room(window):
            other = "maintenance" if name == "preferred_backup_window" else "backup"
            yield (
                f"{name}: {window!r} leaves no {windows.SHORTEST_MINUTES} minutes of the day for a {other} window, "
                f"and RDS refuses two that overlap. Give a shorter one, such as {example}."
            )


def _capacity_problems(request: RestoreRequest) -> Iterator[str]:
    low, high = request.serverless_v2_min_capacity, request.serverless_v2_max_capacity
    for name, value in (("serverless_v2_min_capacity", low), ("serverless_v2_max_capacity", high)):
        if value is not None and not _are_capacities(value):
            yield f"{name}: {value} is no capacity. Give 0 to 256 ACUs in steps of 0.5."
            return
    if not request.like_source:
        # With it, the source cluster may give the rest.
        classes = [each for each in (request.db_instance_class, request.reader_instance_class) if each]
        yield from missing_capacity(request, classes)


def _are_capacities(*values: float) -> bool:
    return all(0 <= value <= 256 and value * 2 == int(value * 2) for value in values)
