"""Pauses: rare enough for days of work, often enough for minutes of it, and learned where that is possible."""

from __future__ import annotations

import random
from collections.abc import Callable
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.pauses import LONGEST_ANNOUNCED_SECONDS, LONGEST_PAUSE_SECONDS, seconds_to_wait

HOUR = 3600
DEFAULT_UNIT = 60
# Wait: entered, exited. Check: entered, scheduled, started, succeeded, exited. Choice: entered, exited. One to spare.
EVENTS_PER_POLL = 10
# Where an event of RDS may end the wait, it is a Task, which is scheduled, started, submitted and times out as well. Of
# that nothing has a percentage.
EVENTS_PER_TOKEN = 14
MOST_EVENTS = 25_000

elapsed = st.floats(0, 5 * 24 * HOUR)
units = st.integers(1, 300)
durations = st.none() | st.floats(1, 48 * HOUR)
Percent = Callable[[float], int]


def unknown(_: float) -> int:
    return 0


def linear(seconds: float) -> Percent:
    return lambda now: min(99, int(now / seconds * 100))


def looks(
    seconds: float,
    expected: float | None = None,
    percent_at: Percent = unknown,
    unit: int = DEFAULT_UNIT,
    first_look: float = 0,
) -> list[float]:
    """When it is asked whether work of this length is done, until it is. Nothing is known right after the action."""
    asked = [float(seconds_to_wait(0, unit, expected, 0, first_look))]
    while asked[-1] < seconds:
        pause = seconds_to_wait(asked[-1], unit, expected, percent_at(asked[-1]), first_look)
        assert pause > 0, "it would be asked for ever"
        asked.append(asked[-1] + pause)
    return asked


def lateness(seconds: float, expected: float | None = None, percent_at: Percent = unknown) -> float:
    """How much later than its end the end is seen, as a part of the work's length."""
    return looks(seconds, expected, percent_at, first_look=120)[-1] / seconds - 1


@given(elapsed, units, durations, st.integers(0, 100), st.floats(0, 600))
def test_a_pause_is_never_shorter_than_a_sixth_of_a_unit_nor_longer_than_the_longest(
    elapsed_seconds: float, unit: int, expected: float | None, percent: int, first_look: float
) -> None:
    pause = seconds_to_wait(elapsed_seconds, unit, expected, percent, first_look)
    assert isinstance(pause, int)
    assert max(1, unit / 6 - 0.5) <= pause <= LONGEST_PAUSE_SECONDS


@given(elapsed, elapsed, units)
def test_pauses_only_grow_while_nothing_is_known(one: float, other: float, unit: int) -> None:
    earlier, later = sorted((one, other))
    assert seconds_to_wait(earlier, unit) <= seconds_to_wait(later, unit)


@given(st.floats(120, 48 * HOUR))
def test_the_end_of_unknown_work_is_seen_within_a_sixth_of_its_length(seconds: float) -> None:
    assert lateness(seconds) < 1 / 6


@pytest.mark.parametrize(("hours", "most"), [(0.5, 25), (6, 50), (48, 85)])
def test_unknown_work_needs_few_looks_for_its_length(hours: float, most: int) -> None:
    assert len(looks(hours * HOUR, first_look=120)) <= most


def test_the_first_look_at_unknown_work_is_when_it_may_be_done_at_the_earliest() -> None:
    assert seconds_to_wait(0, DEFAULT_UNIT, first_look_seconds=120) == 120
    assert seconds_to_wait(100, DEFAULT_UNIT, first_look_seconds=120) == 20
    assert seconds_to_wait(0, DEFAULT_UNIT) == DEFAULT_UNIT / 6


@pytest.mark.parametrize(("seconds", "most"), [(30, 1), (80, 1), (180, 1), (300, 4), (600, 4), (1200, 4)])
def test_work_that_takes_as_long_as_before_is_seen_at_once_with_few_looks(seconds: int, most: int) -> None:
    asked = looks(seconds, expected=seconds)
    assert asked[-1] == pytest.approx(seconds, abs=10)
    assert len(asked) == most


@pytest.mark.parametrize("usual", [600, 1200, 6 * HOUR])
def test_work_that_deviates_by_up_to_30_percent_is_seen_late_by_a_few_percent_on_average(usual: int) -> None:
    drawn = random.Random(usual)
    assert mean(lateness(usual * drawn.uniform(0.7, 1.3), usual) for _ in range(500)) < 0.035


@given(st.floats(60, 48 * HOUR), st.floats(1, 48 * HOUR))
def test_what_was_learned_wrongly_costs_the_longest_pause_or_a_sixth_beyond_what_it_takes_for_sure(
    seconds: float, expected: float
) -> None:
    """Who expects far too much looks too late, but never by more than one pause."""
    assert looks(seconds, expected)[-1] - seconds <= max(LONGEST_PAUSE_SECONDS, seconds / 6)


@given(st.floats(600, 48 * HOUR))
def test_reported_progress_predicts_the_end_within_a_few_percent(seconds: float) -> None:
    assert lateness(seconds, percent_at=linear(seconds)) < 0.025
    assert len(looks(seconds, percent_at=linear(seconds), first_look=120)) < 180


def test_progress_that_was_learned_too_is_seen_with_few_looks() -> None:
    for longer in (0.8, 1, 1.3):
        asked = looks(longer * HOUR, expected=HOUR, percent_at=linear(longer * HOUR))
        assert asked[-1] / (longer * HOUR) < 1.015
        assert len(asked) == 2


def test_progress_that_contradicts_what_was_learned_is_trusted_for_some_time_only() -> None:
    """Half of it is done after three quarters of the expected time: as much again would be a pause of 46 minutes."""
    assert seconds_to_wait(0.775 * HOUR, DEFAULT_UNIT, HOUR, percent=50) == round(0.25 * 0.775 * HOUR)


def test_progress_that_says_nothing_never_adds_more_than_a_quarter() -> None:
    assert looks(HOUR, percent_at=lambda _: 10)[-1] <= 1.25 * HOUR


@pytest.mark.parametrize(
    "percent_at",
    [unknown, linear(48 * HOUR), lambda now: 99 if now > 24 * HOUR else 50, lambda _: 99],
    ids=["unknown", "linear", "stuck-for-a-day", "stuck-always"],
)
@pytest.mark.parametrize("expected", [None, 60.0, 24.0 * HOUR])
def test_work_of_two_days_stays_within_an_executions_history_even_with_short_polls(
    percent_at: Percent, expected: float | None
) -> None:
    """Of the 25,000 events that an execution may have, copy, restore, deletion and export get a quarter each."""
    events = EVENTS_PER_TOKEN if percent_at is unknown else EVENTS_PER_POLL
    assert len(looks(48 * HOUR, expected, percent_at)) * events < MOST_EVENTS / 4
    assert len(looks(48 * HOUR, expected, percent_at, unit=1)) * events < MOST_EVENTS / 2


def test_a_stack_that_polls_each_second_waits_a_second_at_least() -> None:
    assert seconds_to_wait(0, 1) == 1


# An event of RDS


def test_where_an_event_is_expected_to_come_few_looks_remain() -> None:
    asked, elapsed_seconds = [], 0.0
    while elapsed_seconds < 1.3 * HOUR:
        elapsed_seconds += seconds_to_wait(elapsed_seconds, DEFAULT_UNIT, HOUR, is_announced=True)
        asked.append(round(elapsed_seconds / HOUR, 2))
    assert asked == [1.33]


def test_what_takes_hours_is_looked_at_on_the_way_though_an_event_is_expected() -> None:
    asked, elapsed_seconds = [], 0.0
    while elapsed_seconds < 6.5 * HOUR:
        elapsed_seconds += seconds_to_wait(elapsed_seconds, DEFAULT_UNIT, 5 * HOUR, is_announced=True)
        asked.append(round(elapsed_seconds / HOUR, 2))
    assert asked == [3, 6.67]


@given(st.floats(60, 48 * HOUR), st.floats(1, 48 * HOUR))
def test_an_event_that_does_not_come_costs_no_more_than_what_was_learned_wrongly(
    seconds: float, expected: float
) -> None:
    now = 0.0
    while now < seconds:
        now += seconds_to_wait(now, DEFAULT_UNIT, expected, is_announced=True)
    between = min((4 / 3 - 0.6 if expected > 100 * 60 else 4 / 3) * expected, LONGEST_ANNOUNCED_SECONDS)
    assert now - seconds <= max(between, seconds / 6, DEFAULT_UNIT) + 1


@given(elapsed, units, durations, st.floats(0, 24 * HOUR), st.booleans())
def test_after_an_event_it_is_looked_at_soon_and_never_later_than_without_it(
    elapsed_seconds: float, unit: int, expected: float | None, ago: float, announced: bool
) -> None:
    pause = seconds_to_wait(
        elapsed_seconds, unit, expected, is_announced=announced, event_ago_seconds=min(ago, elapsed_seconds)
    )
    assert pause <= max(1, round(unit / 2), round(min(ago, elapsed_seconds)))
    assert 1 <= pause <= seconds_to_wait(elapsed_seconds, unit, expected, is_announced=announced)


def test_an_event_that_was_of_something_else_costs_a_few_looks() -> None:
    """It came in the third minute of an hour: the pauses after it grow until the next look is due anyhow."""
    now, asked = 180.0, 0
    while now < 0.775 * HOUR:
        now += seconds_to_wait(now, DEFAULT_UNIT, HOUR, event_ago_seconds=now - 180)
        asked += 1
    assert asked <= 10
