"""When a step looks again, and when all is expected to end."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.unit.support import NOW, a_record
from utils.contracts.phases import AWAITED_PHASES
from utils.state.values import iso
from utils.steps.announcements import announcement, reported_failure
from utils.steps.pace import Pace, took

KNOWN = {"create-cluster": 1000, "create-instances": 500, "open-door": 100}


def later(**time: float) -> dt.datetime:
    return NOW + dt.timedelta(**time)


def minutes_left(pace: Pace, phase: str, elapsed: float) -> tuple[float, float]:
    now = later(seconds=elapsed)
    earliest, latest = pace.expected_end(phase, NOW, now)
    return (earliest - now).total_seconds() / 60, (latest - now).total_seconds() / 60


@pytest.mark.parametrize("phase", AWAITED_PHASES)
def test_the_first_look_is_before_the_phase_ends_at_the_latest(phase: str) -> None:
    pause = Pace(unit_seconds=60).pause(phase, NOW, NOW)
    assert pause == AWAITED_PHASES[phase].first_look < AWAITED_PHASES[phase].latest


def test_a_stack_that_runs_faster_than_aws_scales_the_public_figures() -> None:
    assert Pace(unit_seconds=1).pause("create-cluster", NOW, NOW) == 2


def test_what_was_seen_before_decides() -> None:
    pace = Pace(unit_seconds=60, expected=KNOWN)
    assert pace.pause("create-cluster", NOW, NOW) == 775
    assert pace.pause("create-cluster", NOW, later(seconds=1001)) == 39


def test_the_end_that_is_expected_counts_what_is_left() -> None:
    pace = Pace(unit_seconds=60, expected=KNOWN, phases=list(KNOWN))
    whole = minutes_left(pace, "create-cluster", 0)
    assert whole == pytest.approx(((0.7 * 1600 + 30) / 60, (1.3 * 1600 + 300) / 60), abs=0.01)
    half = minutes_left(pace, "create-cluster", 500)
    assert [before - after for before, after in zip(whole, half, strict=True)] == pytest.approx([500 / 60] * 2)
    assert minutes_left(pace, "open-door", 0) == pytest.approx(((70 + 30) / 60, (130 + 300) / 60), abs=0.01)


def test_a_phase_that_takes_longer_than_expected_moves_the_end() -> None:
    pace = Pace(unit_seconds=60, expected=KNOWN, phases=["open-door"])
    assert minutes_left(pace, "open-door", 1000) == pytest.approx((0.5, (250 + 300) / 60), abs=0.01)


def test_what_is_no_phase_leaves_those_that_are_not_over() -> None:
    pace = Pace(unit_seconds=60, expected=KNOWN, phases=list(KNOWN), took={"create-cluster": 900})
    assert minutes_left(pace, "wait", 60) == pytest.approx(((0.7 * 600 + 30) / 60, (1.3 * 600 + 300) / 60), abs=0.01)


def test_an_execution_that_began_before_there_was_an_expectation_has_none() -> None:
    assert Pace(unit_seconds=60).expected_end("create-cluster", NOW, NOW) == []


def test_a_phase_is_measured_from_when_this_execution_has_seen_it_begin() -> None:
    record = a_record(took={"copy": 1500.0})
    ended = {"create-cluster": later(minutes=1), "change-writer": None, "open-door": iso(NOW), "none": NOW}
    assert took(record, later(minutes=5), ended) == {"copy": 1500.0, "create-cluster": 240, "open-door": 300}
    assert took(record, later(minutes=5), {"copy": later(days=-3)}) == {"copy": 1500.0}


@pytest.mark.parametrize(("paused", "seconds"), [(0, 1000), (80, 980), (1000, 950)])
def test_what_is_seen_after_a_pause_has_ended_before(paused: int, seconds: float) -> None:
    assert took(a_record(), later(seconds=1000), {"copy": NOW}, paused) == {"copy": seconds}


def test_where_an_event_has_announced_the_end_before_the_first_look_is_after_it() -> None:
    pace = Pace(unit_seconds=60, expected=KNOWN, announced=["create-cluster"])
    assert pace.pause("create-cluster", NOW, NOW) == 1333
    assert pace.pause("create-instances", NOW, NOW) == 388


def test_an_event_announces_an_end_only_if_it_comes_right_before_it() -> None:
    pace = Pace(unit_seconds=60)
    announced = pace.announced_with("create-cluster", later(minutes=30), later(minutes=31), ["modify-cluster"])
    assert announced == ["modify-cluster", "create-cluster"]
    # It was of something else, or RDS sends it at the beginning; or there was none.
    for event_at in (later(minutes=2), None):
        found = pace.announced_with("create-cluster", event_at, later(minutes=31), ["create-cluster", "open-door"])
        assert found == ["open-door"]
    assert pace.announced_with("wait", NOW, NOW, []) == []


AT = {"at": "2026-03-10T03:40:00Z", "event": "RDS-EVENT-0170"}


def test_an_event_counts_for_the_phase_whose_end_it_announces_and_only_after_the_last_look() -> None:
    assert announcement(AT, "create-cluster", NOW) == later(minutes=40)
    assert announcement(AT, "create-instances", NOW) is None
    assert announcement(AT, "modify-cluster", NOW) is None
    assert announcement(AT, "create-cluster", later(minutes=40)) is None


def test_a_failure_that_rds_reports_is_none_of_the_ends_that_it_announces() -> None:
    failed = {**AT, "event": "RDS-EVENT-0355"}
    assert reported_failure(failed, NOW) == later(minutes=40)
    assert announcement(failed, "create-cluster", NOW) is None
    assert reported_failure(failed, later(minutes=40)) is None
    assert reported_failure(AT, NOW) is None
    assert reported_failure({"Error": "States.Timeout"}, NOW) is None


def test_what_no_event_can_announce_is_looked_at_as_if_none_had() -> None:
    pace = Pace(unit_seconds=60, expected={"copy": 20_000}, announced=["copy"])
    assert pace.pause("copy", NOW, NOW) == 3600


def test_the_event_of_an_instance_that_is_there_is_no_news_of_those_that_are_still_created() -> None:
    of_writer = {**AT, "event": "RDS-EVENT-0005", "source": "staging-1"}
    assert announcement(of_writer, "create-instances", NOW, ["staging-1", "staging-2"]) == later(minutes=40)
    assert announcement(of_writer, "create-instances", NOW, ["staging-2"]) is None


@pytest.mark.parametrize(
    "woken",
    [
        None,
        {"Error": "States.Timeout", "Cause": ""},
        "now",
        7,
        {"at": "yesterday", "event": "RDS-EVENT-0170"},
        {"at": "2026-03-10T03:40:00", "event": "RDS-EVENT-0170"},  # of no zone
        {**AT, "event": ["RDS-EVENT-0170"]},
        {**AT, "event": ""},
        {"event": "RDS-EVENT-0170"},
    ],
)
def test_whatever_a_wait_has_ended_with_a_look_follows_and_nothing_fails(woken: object) -> None:
    assert announcement(woken, "create-cluster", NOW) is None


def test_where_no_event_can_end_a_wait_none_is_relied_on_and_what_is_known_stays() -> None:
    deaf = Pace(unit_seconds=60, expected=KNOWN, announced=["create-cluster"], hears=False)
    assert deaf.pause("create-cluster", NOW, NOW) == 775
    assert deaf.announced_with("create-cluster", None, NOW, []) == ["create-cluster"]
    assert deaf.announced_with("create-instances", None, NOW, []) == []


def test_an_event_of_a_moment_that_has_not_come_changes_nothing() -> None:
    pace = Pace(unit_seconds=60, expected=KNOWN)
    assert pace.pause("create-cluster", NOW, NOW, event_at=later(days=900)) == pace.pause("create-cluster", NOW, NOW)
    assert pace.announced_with("create-cluster", later(days=900), NOW, []) == []
    # Clocks differ.
    assert pace.announced_with("create-cluster", later(seconds=2), NOW, []) == ["create-cluster"]


def test_a_deadline_is_noticed_when_it_comes() -> None:
    """However long the end is still away by what was seen before."""
    pace = Pace(unit_seconds=60, expected={"create-cluster": 36_000}, announced=["create-cluster"]).until(NOW, 5)
    assert pace.pause("create-cluster", NOW, NOW) == 4 * 3600
    assert pace.pause("create-cluster", NOW, later(hours=4)) == 3600
    assert pace.pause("create-cluster", NOW, later(hours=4, minutes=59, seconds=59.5)) == 1
    # Where the step still asks after it, at least what it has just begun gets the time that it takes.
    assert pace.pause("create-cluster", NOW, later(hours=6)) > 60
