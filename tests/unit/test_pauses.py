"""Pauses: rare enough for days of work, often enough for minutes of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.pauses import LONG_CAP_UNITS, seconds_to_wait

HOUR = 3600
DEFAULT_UNIT = 60
# Wait: entered, exited. Check: entered, scheduled, started, succeeded, exited. Choice: entered, exited. One to spare.
EVENTS_PER_POLL = 10

elapsed = st.floats(0, 5 * 24 * HOUR)
units = st.integers(1, 600)


def polls(seconds: float, unit: int = DEFAULT_UNIT, percent_at: Callable[[float], int] = lambda _: 0) -> list[float]:
    """When it is asked whether work of this length is done, until it is. The first pause is the copy step's."""
    asked = [2.0 * unit]
    while asked[-1] < seconds:
        pause = seconds_to_wait(asked[-1], unit, percent_at(asked[-1]))
        assert pause > 0, "it would be asked for ever"
        asked.append(asked[-1] + pause)
    return asked


@given(elapsed, units, st.integers(0, 100))
def test_a_pause_is_never_shorter_than_half_a_unit_nor_longer_than_fifteen(
    elapsed_seconds: float, unit: int, percent: int
) -> None:
    pause = seconds_to_wait(elapsed_seconds, unit, percent)
    assert isinstance(pause, int)
    assert max(1, unit / 2 - 0.5) <= pause <= LONG_CAP_UNITS * unit


@given(elapsed, elapsed, units)
def test_pauses_only_grow_while_nothing_is_known_of_the_progress(one: float, other: float, unit: int) -> None:
    earlier, later = sorted((one, other))
    assert seconds_to_wait(earlier, unit) <= seconds_to_wait(later, unit)


@given(elapsed, units, st.integers(1, 99))
def test_progress_can_only_shorten_a_pause(elapsed_seconds: float, unit: int, percent: int) -> None:
    assert seconds_to_wait(elapsed_seconds, unit, percent) <= seconds_to_wait(elapsed_seconds, unit)


@given(st.floats(60, 48 * HOUR))
def test_little_time_is_lost_at_the_end(seconds: float) -> None:
    """Not more than a pause that was allowed then: three fifths of what had passed, or a quarter of an hour."""
    last = polls(seconds)[-1]
    assert last - seconds <= max(2 * DEFAULT_UNIT, min(0.6 * seconds, LONG_CAP_UNITS * DEFAULT_UNIT))


@pytest.mark.parametrize("percent_at", [lambda _: 0, lambda now: min(99, int(now / (48 * HOUR) * 100))])
def test_a_copy_of_two_days_stays_under_5000_events(percent_at: Callable[[float], int]) -> None:
    assert len(polls(48 * HOUR, percent_at=percent_at)) * EVENTS_PER_POLL < 5000


def test_a_copy_of_two_days_stays_within_an_executions_history_even_with_short_polls() -> None:
    assert len(polls(48 * HOUR, unit=10)) * EVENTS_PER_POLL < 25_000


def test_a_copy_of_two_days_that_is_at_99_percent_for_its_second_day_stays_under_5000_events() -> None:
    assert len(polls(48 * HOUR, percent_at=lambda now: 99 if now > 24 * HOUR else 50)) * EVENTS_PER_POLL < 5000


def test_known_progress_meets_the_end_closely() -> None:
    end = 10 * HOUR
    asked = polls(end, percent_at=lambda now: min(99, int(now / end * 100)))
    assert asked[-1] - end < 5 * DEFAULT_UNIT


def test_forty_minutes_of_work_need_few_polls() -> None:
    """Each phase of a restore starts anew, here as one: a poll is three transitions of the sixty that we allow."""
    assert len(polls(40 * 60)) <= 12


def test_a_stack_that_polls_each_second_waits_a_second_at_least() -> None:
    assert seconds_to_wait(0, 1) == 1
