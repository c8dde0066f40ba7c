"""A restored cluster is set against its source as it is now, which has moved on since the snapshot."""

from __future__ import annotations

import datetime as dt

import pytest

from utils.contracts.verification import CheckResult
from utils.masking.policy import DatabaseRules
from utils.masking.reading import read_policy
from utils.verification.found import DatabaseFound, TableRows
from utils.verification.policy import SourceRules
from utils.verification.source import (
    changes,
    comparable,
    databases_compared,
    newest_compared,
    rows_compared,
    schema_compared,
)

AT = dt.datetime(2026, 3, 10, 4, tzinfo=dt.UTC)
RULES = SourceRules()
MASKING = read_policy("""
version: 1
databases:
  shop:
    columns:
      "app.*.at": {date_shift: {days: 3}}
      app.orders.at: keep
      app.orders.paid_at: {date_shift: {days: 3}}
    tables: {app.audit: empty}
""").databases[0]


def table(name: str, rows: int | None, *, exact: bool = True, parent: str = "", why: str = "") -> TableRows:
    return TableRows("app", name, "app", parent or name, rows, exact, why)


def results(
    here: list[TableRows], there: list[TableRows], masking: DatabaseRules | None = None, percent: int = 10
) -> list[CheckResult]:
    found = DatabaseFound(database="shop", fingerprint={"tables": "a"}, tables=here, source_tables=there)
    return list(rows_compared(found, masking, SourceRules(max_difference_percent=percent)))


@pytest.mark.parametrize(
    ("here", "there", "percent", "held"),
    [
        (90, 100, 10, True),
        (89, 100, 10, False),
        (100, 90, 10, True),
        (100, 89, 10, False),
        (0, 0, 0, True),
        (100, 101, 0, False),
        (0, 1, 99, False),
        (0, 1, 100, True),
    ],
)
def test_a_table_may_differ_by_a_share_of_the_larger_number(here: int, there: int, percent: int, held: bool) -> None:
    (only,) = results([table("orders", here)], [table("orders", there)], percent=percent)
    assert only.held is held
    assert only.scope == ("shop" if held else "shop.app.orders")


def test_a_partitioned_table_is_compared_as_a_whole() -> None:
    here = [table("events_1", 40, parent="events"), table("events_2", 60, parent="events")]
    assert results(here, [table("events_3", 100, parent="events")])[0].held


def test_a_table_that_could_not_be_counted_there_says_why_and_is_no_pass() -> None:
    here = [table("orders", 5), table("lines", 5)]
    (only,) = results(here, [table("orders", None, exact=False, why="it was cut off"), table("lines", 5)])
    assert (only.scope, only.held, only.error) == ("shop.app.orders", None, "it was cut off")


def test_a_comparison_of_no_table_is_no_pass_unless_there_is_none_to_compare() -> None:
    (nothing,) = results([table("orders", 5, exact=False)], [])
    assert nothing.held is None
    assert "Name tables in `count`" in (nothing.error or "")
    assert results([], [])[0].held
    assert results([table("audit", 0)], [], MASKING)[0].held


def test_only_what_was_counted_here_and_has_not_been_emptied_is_comparable() -> None:
    tables = [
        table("orders", 5),
        table("big", 5, exact=False),
        table("closed", None),
        table("audit", 0),
        table("events_1", 5, parent="events"),
        table("events_2", 5, exact=False, parent="events"),
    ]
    assert comparable(DatabaseFound(database="shop", tables=tables), MASKING) == {"app.orders"}


def test_columns_that_the_masking_has_given_other_values_are_known() -> None:
    assert not changes(None, ("app", "users", "at"))
    assert changes(MASKING, ("app", "users", "at"))
    assert not changes(MASKING, ("app", "orders", "at"))
    assert changes(MASKING, ("app", "orders", "paid_at"))
    assert changes(MASKING, ("app", "audit", "written_at"))


@pytest.mark.parametrize(
    ("here", "there", "most", "held", "said"),
    [
        (AT, AT + dt.timedelta(hours=26), None, True, "26 h 0 min behind"),
        (AT, AT + dt.timedelta(hours=26), 26, True, "26 h 0 min behind"),
        (AT, AT + dt.timedelta(hours=26, minutes=1), 26, False, "26 h 1 min behind"),
        (AT, AT - dt.timedelta(hours=1), 1, True, "0 h 0 min behind"),
        (AT, None, 1, True, "the source has no row"),
        (None, AT, 1, False, "the source has rows, and the restored cluster has none"),
        (None, AT, None, True, "the source has rows, and the restored cluster has none"),
    ],
)
def test_the_true_age_is_said_and_a_finding_beyond_its_bound(
    here: dt.datetime | None, there: dt.datetime | None, most: int | None, held: bool, said: str
) -> None:
    result = newest_compared("shop.app.orders", "at", here, there, SourceRules(max_hours_behind=most))
    assert (result.held, result.actual) == (held, said)


def test_of_many_changes_of_the_schema_some_are_named() -> None:
    found = DatabaseFound(database="shop", fingerprint={"tables": "a"})
    there = {("app", f"new_{number:02}"): frozenset({"id"}) for number in range(12)}
    result = schema_compared(found, {"tables": "b"}, {}, there, RULES)
    assert result.held
    assert result.actual.startswith("changed: tables; tables only in the source: app.new_00, ")
    assert result.actual.endswith("app.new_09 and 2 more")


def test_names_of_the_source_stay_on_their_line() -> None:
    result = databases_compared("prod", ["shop"], ["shop", "a\nb"], SourceRules(schema_changes="fail"))
    assert (result.held, result.actual) == (False, "only in the source: a\\nb")
