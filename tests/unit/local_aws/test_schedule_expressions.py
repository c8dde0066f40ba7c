"""When the embedded EventBridge Scheduler fires, and what it refuses."""

from __future__ import annotations

import datetime as dt

import pytest

from scripts.local_aws.core.errors import AwsError, NotImplementedByLocalAws
from scripts.local_aws.events.schedule_expressions import schedule_of

NOW = dt.datetime(2026, 11, 27, 20, 0, tzinfo=dt.UTC)  # a Friday


def following(expression: str, zone: str = "UTC", after: dt.datetime = NOW, count: int = 3) -> list[str]:
    """Return the next moments, in UTC."""
    due = schedule_of(expression, zone, after.replace(microsecond=0))
    found: list[str] = []
    moment: dt.datetime | None = after
    while len(found) < count and moment is not None and (moment := due(moment)) is not None:
        found.append(f"{moment:%Y-%m-%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("expression", "zone", "moments"),
    [
        # The template's default, and the examples of the documentation: EventBridge Scheduler's User Guide, "Schedule
        # types"; EventBridge's User Guide, "Cron expressions reference".
        ("cron(0 2 * * ? *)", "UTC", ["2026-11-28 02:00", "2026-11-29 02:00", "2026-11-30 02:00"]),
        ("cron(0 2 * * ? *)", "Europe/Berlin", ["2026-11-28 01:00", "2026-11-29 01:00", "2026-11-30 01:00"]),
        ("cron(15 10 ? * 6L 2022-2027)", "UTC", ["2026-12-25 10:15", "2027-01-29 10:15", "2027-02-26 10:15"]),
        ("cron(15 12 * * ? *)", "UTC", ["2026-11-28 12:15", "2026-11-29 12:15", "2026-11-30 12:15"]),
        ("cron(0 18 ? * MON-FRI *)", "UTC", ["2026-11-30 18:00", "2026-12-01 18:00", "2026-12-02 18:00"]),
        ("cron(0 8 1 * ? *)", "UTC", ["2026-12-01 08:00", "2027-01-01 08:00", "2027-02-01 08:00"]),
        ("cron(0/10 * ? * MON-FRI *)", "UTC", ["2026-11-27 20:10", "2026-11-27 20:20", "2026-11-27 20:30"]),
        ("cron(0/30 20-2 ? * FRI-MON *)", "UTC", ["2026-11-27 20:30", "2026-11-27 21:00", "2026-11-27 21:30"]),
        ("cron(0 9 ? * 2#1 *)", "UTC", ["2026-12-07 09:00", "2027-01-04 09:00", "2027-02-01 09:00"]),
        ("cron(0 0 3W * ? *)", "UTC", ["2026-12-03 00:00", "2027-01-04 00:00", "2027-02-03 00:00"]),
        ("cron(0 0 L * ? *)", "UTC", ["2026-11-30 00:00", "2026-12-31 00:00", "2027-01-31 00:00"]),
        ("cron(0 2 29 2 ? *)", "UTC", ["2028-02-29 02:00", "2032-02-29 02:00", "2036-02-29 02:00"]),
        ("cron(0 0 1 1 ? 2027)", "UTC", ["2027-01-01 00:00"]),
        ("cron(0 0 1 1 ? 2026)", "UTC", []),
        # Taken by AWS, and at first not by LocalStack: localstack/localstack issue 13572.
        ("cron(0-15/1 8-8 ? * 2,3,4,5,6,7 *)", "UTC", ["2026-11-28 08:00", "2026-11-28 08:01", "2026-11-28 08:02"]),
        ("cron(30-30 13-13 ? * 2,4,6 *)", "UTC", ["2026-11-30 13:30", "2026-12-02 13:30", "2026-12-04 13:30"]),
        ("cron(1-31/30 1-1 ? * 1,7 *)", "UTC", ["2026-11-28 01:01", "2026-11-28 01:31", "2026-11-29 01:01"]),
        # A rate begins with its first moment; its days have 24 hours.
        ("rate(5 minutes)", "UTC", ["2026-11-27 20:05", "2026-11-27 20:10", "2026-11-27 20:15"]),
        ("rate(2 minute)", "UTC", ["2026-11-27 20:02", "2026-11-27 20:04", "2026-11-27 20:06"]),
        ("rate(1 hours)", "UTC", ["2026-11-27 21:00", "2026-11-27 22:00", "2026-11-27 23:00"]),
        ("rate(10 days)", "Europe/Berlin", ["2026-12-07 20:00", "2026-12-17 20:00", "2026-12-27 20:00"]),
        ("at(2026-12-01T08:30:00)", "America/New_York", ["2026-12-01 13:30"]),
        ("at(2022-12-31T23:59:59)", "UTC", []),
    ],
)  # fmt: skip
def test_a_schedule_is_due_when_the_documentation_says(expression: str, zone: str, moments: list[str]) -> None:
    assert following(expression, zone) == moments


def test_a_rates_first_moment_is_where_it_begins() -> None:
    first = NOW + dt.timedelta(days=3)
    assert schedule_of("rate(1 day)", "UTC", first)(NOW) == first


@pytest.mark.parametrize(
    ("expression", "after", "moments"),
    [
        # In spring 02:30 doesn't come on 29 March: no run. In autumn it comes twice on 25 October: one run.
        ("cron(30 2 * * ? *)", "2026-03-27 12:00", ["2026-03-28 01:30", "2026-03-30 00:30", "2026-03-31 00:30"]),
        ("cron(30 2 * * ? *)", "2026-10-24 12:00", ["2026-10-25 00:30", "2026-10-26 01:30", "2026-10-27 01:30"]),
        ("cron(30 2 * * ? *)", "2026-10-25 00:45", ["2026-10-26 01:30", "2026-10-27 01:30", "2026-10-28 01:30"]),
        ("cron(0 * * * ? *)", "2026-10-25 00:30", ["2026-10-25 02:00", "2026-10-25 03:00", "2026-10-25 04:00"]),
        ("at(2026-03-29T02:30:00)", "2026-03-27 12:00", []),
        ("rate(1 day)", "2026-03-28 12:00", ["2026-03-29 12:00", "2026-03-30 12:00", "2026-03-31 12:00"]),
    ],
)  # fmt: skip
def test_summer_time_neither_doubles_nor_moves_a_run(expression: str, after: str, moments: list[str]) -> None:
    begin = dt.datetime.fromisoformat(after).replace(tzinfo=dt.UTC)
    assert following(expression, "Europe/Berlin", begin) == moments


@pytest.mark.parametrize(
    "expression",
    [
        # As recorded on AWS: LocalStack's validated snapshots, services/scheduler test_scheduler.py.
        "cron(0 1 * * * *)", "cron(7 20 * * NOT *)", "cron(INVALID)", "cron(0 dummy ? * MON-FRI *)",
        "cron(71 8 1 * ? *)",
        "cron()", "rate(10 seconds)", "rate(10 years)", "rate()", "rate(10)", "rate(10 minutess)", "rate(foo minutes)",
        "rate(-10 minutes)", "rate( 10 minutes )", " rate(10 minutes)", "at(2021-12-31T23:59:59Z)", "at(2021-12-31)",
        # By the documentation: six fields, one of the days is ?, a positive number.
        "cron(0 2 * * ?)", "cron(0 2 ? * ? *)", "cron(0 2 1 * MON *)", "rate(0 minutes)", "0 2 * * ? *",
        "at(2026-02-30T00:00:00)", "",
    ],
)  # fmt: skip
def test_what_aws_refuses_is_refused_in_its_words(expression: str) -> None:
    with pytest.raises(AwsError) as refused:
        schedule_of(expression, "UTC", NOW)
    assert (refused.value.code, refused.value.message) == (
        "ValidationException",
        f"Invalid Schedule Expression {expression}.",
    )


@pytest.mark.parametrize("zone", ["Berlin", "Europe", "../etc/passwd", "europe/berlin "])
def test_a_time_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(AwsError, match="Invalid Schedule Expression Timezone"):
        schedule_of("rate(1 day)", zone, NOW)


@pytest.mark.parametrize("fields", ["0 0 LW * ? *", "0 0 ? * L *", "0 0 1 1 ? 2026/2"])
def test_what_the_library_would_get_wrong_is_refused_by_name(fields: str) -> None:
    with pytest.raises(NotImplementedByLocalAws, match="are not known locally"):
        schedule_of(f"cron({fields})", "UTC", NOW)
