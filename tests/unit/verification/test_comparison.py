"""What was found is set against the last good run: losses are findings, changes of the schema are said."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from utils.contracts.verification import CheckResult
from utils.verification.comparison import compared
from utils.verification.found import Baseline, DatabaseFound, TableRows, VerificationFound, baseline_of
from utils.verification.policy import VerificationPolicy
from utils.verification.reading import read_verification_policy
from utils.verification.summary import MAX_LISTED, finding_lines, summarised

NOW = dt.datetime(2026, 3, 10, 4, tzinfo=dt.UTC)
SCHEMA = {"tables": "a" * 64, "columns": "b" * 64}


def table(name: str, rows: int | None, *, exact: bool = True, parent: str = "") -> TableRows:
    return TableRows("app", name, "app", parent or name, rows, exact)


def found(*tables: TableRows, schema: dict[str, str] = SCHEMA, database: str = "shop") -> VerificationFound:
    return VerificationFound(
        databases={database: DatabaseFound(database=database, fingerprint=dict(schema), tables=list(tables))}
    )


def comparison(
    before: VerificationFound,
    after: VerificationFound,
    policy: VerificationPolicy = VerificationPolicy(),  # noqa: B008 - it is frozen
) -> list[CheckResult]:
    stored = msgspec.json.decode(msgspec.json.encode(baseline_of("op-1", NOW, before)), type=Baseline)
    return list(compared(after, stored, policy))


@pytest.mark.parametrize(
    ("before", "after", "percent", "lost"),
    [
        (100, 50, 50, False),
        (100, 49, 50, True),
        (3, 1, 50, True),
        (3, 2, 50, False),
        (0, 0, 50, False),
        (1, 0, 50, True),
        (100, 0, 100, False),
        (100, 99, 0, True),
        (100, 5000, 0, False),
    ],
)
def test_a_table_that_lost_more_than_its_share_is_a_finding(before: int, after: int, percent: int, lost: bool) -> None:
    results = comparison(
        found(table("orders", before)), found(table("orders", after)), VerificationPolicy(max_loss_percent=percent)
    )
    assert [each.scope for each in results if not each.held] == (["shop.app.orders"] if lost else [])


def test_a_table_or_a_database_that_is_missing_is_a_finding() -> None:
    (lost, _) = comparison(found(table("orders", 1)), found())
    assert (lost.scope, lost.actual, lost.held) == ("shop.app.orders", "it is missing", False)
    (gone,) = comparison(found(table("orders", 1)), found(database="other"))
    assert (gone.scope, gone.actual) == ("shop", "it is missing")


def test_a_database_that_the_policy_leaves_out_is_not_compared() -> None:
    policy = read_verification_policy("version: 1\nleave_out: [shop]\n")
    assert comparison(found(table("orders", 1)), found(database="other"), policy) == []


def test_partitions_are_compared_together() -> None:
    before = found(table("events_1", 50, parent="events"), table("events_2", 50, parent="events"))
    after = found(table("events_2", 50, parent="events"), table("events_3", 40, parent="events"))
    assert all(each.held for each in comparison(before, after))


def test_what_was_not_counted_is_not_compared_and_estimates_are_said() -> None:
    unknown, _ = comparison(found(table("orders", 100)), found(table("orders", None)))
    assert (unknown.held, unknown.actual) == (True, "0 tables compared")
    estimated, _ = comparison(found(table("orders", 100)), found(table("orders", 10, exact=False)))
    assert (estimated.held, estimated.exact) == (False, False)


@pytest.mark.parametrize(("changes", "held"), [("report", True), ("fail", False)])
def test_a_changed_schema_is_said_by_what_changed(changes: str, held: bool) -> None:
    policy = msgspec.convert({"schema_changes": changes}, VerificationPolicy)
    after = found(table("orders", 1), table("lines", 1), schema={**SCHEMA, "columns": "c" * 64, "views": "d" * 64})
    results = comparison(found(table("orders", 1)), after, policy)
    (schema,) = [each for each in results if each.name == "schema unchanged"]
    assert schema.actual == "changed: columns, views; tables added: app.lines"
    assert schema.held is held


def test_a_run_that_finds_everything_as_before_holds() -> None:
    same = found(table("orders", 10))
    assert [(each.name, each.held) for each in comparison(same, same)] == [
        ("rows kept", True),
        ("schema unchanged", True),
    ]


def result(name: str, held: bool | None) -> CheckResult:
    return CheckResult(
        name=name, kind="own_rows", scope="shop", expected="0 rows", actual="1 rows", held=held, took_ms=1, limit_ms=9,
        error="it was cut off after 9 seconds" if held is None else None,
    )  # fmt: skip


def test_what_did_not_hold_comes_first_and_the_rest_is_counted() -> None:
    whole = found(*(table(f"t{number}", number) for number in range(1000)))
    whole.results = [result("good", held=True), result("hung", held=None), result("bad", held=False)]
    verification = summarised("nightly", whole, [], "op-1", 9000, NOW)
    assert [each.name for each in verification.checks[:3]] == ["bad", "hung", "good"]
    assert (verification.held, verification.failed, verification.not_run) == (1001, 1, 1)
    assert len(verification.checks) == MAX_LISTED
    assert verification.not_listed == 1003 - MAX_LISTED
    assert (verification.tables, verification.tables_counted, verification.rows) == (1000, 1000, 499_500)
    assert not verification.all_held
    assert finding_lines(verification, 1) == [
        "bad (own_rows) of shop: expected 0 rows, found 1 rows",
        "and 1 more",
    ]
    assert finding_lines(verification, 9)[1] == "hung (own_rows) of shop was not run: it was cut off after 9 seconds"


def test_a_table_that_had_to_be_counted_and_was_not_was_not_proved() -> None:
    wanted = TableRows("app", "big", "app", "big", 7, False, "row security", True)
    assert summarised("p", found(wanted), [], None, 9000, NOW).not_run == 1
    estimated = TableRows("app", "big", "app", "big", 7, False)
    (listed,) = summarised("p", found(estimated), [], None, 9000, NOW).checks
    assert (listed.actual, listed.exact, listed.held) == ("about 7 rows", False, True)
