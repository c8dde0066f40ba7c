"""A backup window and a maintenance window: whether they overlap, and one chosen beside the other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.aurora_utils.windows import (
    SHORTEST_MINUTES,
    backup_window_beside,
    is_backup_window,
    is_maintenance_window,
    leaves_no_room,
    length_minutes,
    maintenance_window_beside,
    overlap,
)

DAY, WEEK = 24 * 60, 7 * 24 * 60
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def clock(minute: int) -> str:
    return f"{minute % DAY // 60:02}:{minute % 60:02}"


def moment(minute: int) -> str:
    return f"{DAYS[minute % WEEK // DAY]}:{clock(minute)}"


def daily(begin: int, length: int) -> str:
    return f"{clock(begin)}-{clock(begin + length)}"


def weekly(begin: int, length: int) -> str:
    return f"{moment(begin)}-{moment(begin + length)}"


def minutes_of(begin: int, length: int) -> set[int]:
    return {(begin + minute) % DAY for minute in range(length)}


begins_of_day = st.integers(0, DAY - 1)
begins_of_week = st.integers(0, WEEK - 1)
lengths = st.integers(SHORTEST_MINUTES, DAY - 1)


@given(begins_of_day, lengths, begins_of_week, lengths)
def test_windows_overlap_exactly_where_they_share_a_minute(
    backup: int, backup_length: int, maintenance: int, maintenance_length: int
) -> None:
    shared = minutes_of(backup, backup_length) & minutes_of(maintenance, maintenance_length)
    assert overlap(daily(backup, backup_length), weekly(maintenance, maintenance_length)) == bool(shared)


@given(begins_of_week, lengths)
def test_a_backup_window_beside_a_maintenance_window_never_overlaps_it(begin: int, length: int) -> None:
    window = weekly(begin, length)
    beside = backup_window_beside(window)
    assert (beside is None) == leaves_no_room(window) == (length > DAY - SHORTEST_MINUTES)
    if beside is not None:
        assert is_backup_window(beside)
        assert length_minutes(beside) == SHORTEST_MINUTES
        assert not overlap(beside, window)


@given(begins_of_day, lengths)
def test_a_maintenance_window_beside_a_backup_window_never_overlaps_it(begin: int, length: int) -> None:
    window = daily(begin, length)
    beside = maintenance_window_beside(window)
    assert (beside is None) == leaves_no_room(window) == (length > DAY - SHORTEST_MINUTES)
    if beside is not None:
        assert is_maintenance_window(beside)
        assert length_minutes(beside) == SHORTEST_MINUTES
        assert not overlap(window, beside)


@pytest.mark.parametrize("unreadable", ["", "25:00-26:00", "sometimes"])
def test_beside_what_is_no_window_none_is_chosen(unreadable: str) -> None:
    assert backup_window_beside(unreadable) is None
    assert maintenance_window_beside(unreadable) is None


def test_the_chosen_one_begins_an_hour_after_the_named_one() -> None:
    assert backup_window_beside("Sun:05:00-Sun:05:30") == "06:30-07:00"
    assert maintenance_window_beside("22:30-23:30") == "sun:00:30-sun:01:00"
