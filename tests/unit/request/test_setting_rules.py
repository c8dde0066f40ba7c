"""Settings of the new cluster, each by itself and all together: refused before AWS is asked anything."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.request.test_request import DEFAULTS, refusal_of
from utils.request.reading import read_request


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("reader_instance_class", "r6g.large", "Give one such as db.r6g.large"),
        ("serverless_v2_seconds_until_auto_pause", 299, "from 300 to 86400"),
        ("serverless_v2_seconds_until_auto_pause", 86401, "from 300 to 86400"),
        ("availability_zones", ["us-east-1"], "Give zones such as us-east-1a"),
        ("alternative_instance_classes", ["r7g.large"], "Give classes such as db.r7g.large"),
        ("alternative_instance_classes", [f"db.r{n}g.large" for n in range(4)], "Give at most 3"),
        ("availability_zones", [], "omit it to let RDS choose"),
        ("vpc_security_group_ids", [f"sg-0000000{n}" for n in range(6)], "Give at most 5"),
        ("enabled_cloudwatch_logs_exports", ["audit"], "Give some of postgresql, instance, iam-db-auth-error"),
        ("enabled_cloudwatch_logs_exports", ["instance", "instance"], "Name each once"),
        ("performance_insights_retention_days", 8, "Give 0 (off), 7, a multiple of 31"),
        ("performance_insights_retention_days", 744, "or 731"),
        ("performance_insights_retention_days", -31, "or 731"),
        ("ca_certificate_identifier", "RDS CA", "such as rds-ca-rsa2048-g1"),
        ("monitoring_interval_seconds", 20, "Give one of 0, 1, 5, 10, 15, 30, 60"),
        ("performance_insights_kms_key_id", "alias/insights", "is not the ARN of a key"),
        ("preferred_backup_window", "2:00-2:30", "such as 02:00-02:30"),
        ("preferred_backup_window", "02:00-24:30", "such as 02:00-02:30"),
        ("preferred_backup_window", "02:00-02:29", "has 29 minutes"),
        ("preferred_maintenance_window", "02:00-02:30", "such as sun:05:00-sun:05:30"),
        ("preferred_maintenance_window", "son:02:00-son:02:30", "such as sun:05:00-sun:05:30"),
        ("preferred_maintenance_window", "sun:23:50-mon:00:10", "has 20 minutes"),
    ],
)
def test_a_setting_that_rds_doesnt_take_is_refused_with_its_value_and_a_remedy(
    field: str, value: Any, remedy: str
) -> None:
    # Capacities from 0 on, so that a pause is wrong for its own sake.
    capacity = {"serverless_v2_min_capacity": 0, "serverless_v2_max_capacity": 4}
    message = refusal_of({field: value} | capacity)
    assert message.startswith(f"{field}: ")
    assert remedy in message
    assert len(message.splitlines()) == 1


def test_five_security_groups_are_taken() -> None:
    groups = [f"sg-0000000{n}" for n in range(5)]
    assert read_request({"vpc_security_group_ids": groups}, DEFAULTS).vpc_security_group_ids == groups


@pytest.mark.parametrize("days", [0, 7, 31, 465, 713, 731])
def test_every_period_of_performance_insights_is_taken(days: int) -> None:
    request = read_request({"performance_insights_retention_days": days}, DEFAULTS)
    assert request.performance_insights_retention_days == days


@pytest.mark.parametrize("days", [465, 496, 731])
def test_the_advanced_mode_takes_any_period_from_465_days_on(days: int) -> None:
    given = {"database_insights_mode": "advanced", "performance_insights_retention_days": days}
    assert read_request(given, DEFAULTS).performance_insights_retention_days == days


TOGETHER: list[tuple[dict[str, Any], str, str]] = [
    (
        {
            "serverless_v2_min_capacity": 0.5,
            "serverless_v2_max_capacity": 4,
            "serverless_v2_seconds_until_auto_pause": 600,
        },
        "serverless_v2_seconds_until_auto_pause: 600 works only with a minimum capacity of 0",
        "Drop it, or",
    ),
    (
        {"serverless_v2_seconds_until_auto_pause": 600},
        "serverless_v2_seconds_until_auto_pause: nothing is paused",
        "Drop it, or",
    ),
    (
        {"database_insights_mode": "advanced", "performance_insights_retention_days": 7},
        "database_insights_mode: 'advanced' needs at least 465 days",
        "or the mode 'standard'",
    ),
    (
        {"reader_instance_class": "db.r6g.large", "instance_count": 1},
        "reader_instance_class: 'db.r6g.large' is for readers",
        "at least 2",
    ),
    (
        {
            "performance_insights_kms_key_id": "arn:aws:kms:us-east-1:123456789012:key/x",
            "performance_insights_retention_days": 0,
        },
        "performance_insights_kms_key_id: 'arn:aws:kms:us-east-1:123456789012:key/x' is given, and",
        "Drop it, or give days",
    ),
    (
        {"preferred_backup_window": "05:00-06:00", "preferred_maintenance_window": "sun:05:30-sun:06:30"},
        "preferred_maintenance_window: 'sun:05:30-sun:06:30' overlaps",
        "Move one of them",
    ),
]


@pytest.mark.parametrize(("settings", "problem", "remedy"), TOGETHER)
def test_settings_that_dont_go_together_are_refused(settings: dict[str, Any], problem: str, remedy: str) -> None:
    message = refusal_of(settings)
    assert message.startswith(problem)
    assert remedy in message


@pytest.mark.parametrize(
    ("backup", "maintenance", "overlap"),
    [
        ("02:00-02:30", "sun:05:00-sun:05:30", False),
        ("04:30-05:00", "sun:05:00-sun:05:30", False),
        ("05:30-06:00", "sun:05:00-sun:05:30", False),
        ("04:30-05:01", "sun:05:00-sun:05:30", True),
        ("05:29-06:00", "sun:05:00-sun:05:30", True),
        ("23:45-00:15", "mon:00:00-mon:00:30", True),
        ("23:30-00:00", "mon:00:00-mon:00:30", False),
        ("00:10-00:40", "sat:23:45-sun:00:15", True),
        ("12:00-12:30", "mon:06:00-tue:05:00", True),
        ("05:15-05:45", "SUN:05:00-SUN:05:30", True),
    ],
)
def test_a_daily_and_a_weekly_window_may_touch_but_not_overlap(backup: str, maintenance: str, overlap: bool) -> None:
    asked = {"preferred_backup_window": backup, "preferred_maintenance_window": maintenance}
    if overlap:
        assert "overlaps the backup window" in refusal_of(asked)
    else:
        assert read_request(asked, DEFAULTS).preferred_backup_window == backup


def test_with_like_source_a_class_may_be_serverless_and_leave_its_capacity_to_the_source() -> None:
    asked = {"db_instance_class": "db.serverless", "serverless_v2_max_capacity": 4, "like_source": True}
    assert read_request(asked, DEFAULTS).serverless_v2_max_capacity == 4


# The stack's words for lists and tags


def test_the_stack_gives_lists_separated_by_commas_and_says_that_there_are_to_be_none() -> None:
    stack = DEFAULTS | {"availability_zones": "us-east-1a,us-east-1c"}
    stack |= {"enabled_cloudwatch_logs_exports": "none"}
    request = read_request({}, stack)
    assert request.availability_zones == ["us-east-1a", "us-east-1c"]
    assert request.enabled_cloudwatch_logs_exports == []


def test_a_requests_tags_are_added_to_the_stacks_cost_tags() -> None:
    stack = DEFAULTS | {"tags": "CostCenter=42,Team=data"}
    assert read_request({}, stack).tags == {"CostCenter": "42", "Team": "data"}
    assert read_request({"tags": {"Team": "orders"}}, stack).tags == {"CostCenter": "42", "Team": "orders"}


def test_cost_tags_are_checked_like_a_requests() -> None:
    assert "starts with a reserved prefix" in refusal_of({}, DEFAULTS | {"tags": "aws:x=1"})
