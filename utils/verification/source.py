"""What was found in the restored cluster, compared with its source as it is now, changed since the snapshot."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

from utils.contracts.verification import CheckResult
from utils.foreign_text import MAX_SENTENCE, listed, one_line
from utils.masking.policy import DatabaseRules, Keep
from utils.policies.patterns import matches
from utils.verification.found import DatabaseFound, TableRows, totals_of
from utils.verification.policy import SourceRules

MAX_NAMED = 10
DATABASES, SCHEMA, ROWS = "databases as in the source", "schema as in the source", "rows as in the source"
# The columns of each table, by schema and table.
Columns = Mapping[tuple[str, str], frozenset[str]]


def source_result(
    scope: str, name: str, expected: str, actual: str, *, held: bool | None, error: str | None = None
) -> CheckResult:
    """Return a result of the comparison. `held` is None where it could not be made, and `error` says why."""
    return CheckResult(
        name=one_line(name),
        kind="source",
        scope=one_line(scope),
        expected=expected,
        actual=one_line(actual, MAX_SENTENCE),
        held=held,
        took_ms=0,
        limit_ms=0,
        error=None if error is None else one_line(error, MAX_SENTENCE),
    )


def databases_compared(cluster: str, here: Sequence[str], there: Sequence[str], rules: SourceRules) -> CheckResult:
    """Return whether the restored cluster and its source have the same databases."""
    return _same(
        cluster,
        DATABASES,
        [
            *_named("only in the source", set(there) - set(here)),
            *_named("only in the restored cluster", set(here) - set(there)),
        ],
        rules,
    )


def schema_compared(
    found: DatabaseFound, fingerprint: Mapping[str, str], here: Columns, there: Columns, rules: SourceRules
) -> CheckResult:
    """Return what of the schema has changed in the source since the snapshot, with some names of what came and went."""
    if not found.fingerprint:
        error = "the restored schema could not be read"
        return source_result(found.database, SCHEMA, "as in the source", "unknown", held=None, error=error)
    kinds = {*found.fingerprint, *fingerprint}
    both = here.keys() & there.keys()
    return _same(
        found.database,
        SCHEMA,
        [
            *_named("changed", (kind for kind in kinds if found.fingerprint.get(kind) != fingerprint.get(kind))),
            *_named("tables only in the source", (".".join(table) for table in there.keys() - here.keys())),
            *_named("tables only in the restored cluster", (".".join(table) for table in here.keys() - there.keys())),
            *_named("columns only in the source", _columns(both, there, here)),
            *_named("columns only in the restored cluster", _columns(both, here, there)),
        ],
        rules,
    )


def comparable(found: DatabaseFound, masking: DatabaseRules | None) -> set[str]:
    """Return the tables of which every row was counted in the restored database, without those that masking emptied."""
    emptied = {each.whole for each in found.tables if empties(masking, each)}
    return {name for name, total in found.totals().items() if total.exact and total.rows is not None} - emptied


def empties(masking: DatabaseRules | None, table: TableRows) -> bool:
    """Return whether a masking policy deletes the rows of a table."""
    names = ((table.schema, table.table), (table.parent_schema, table.parent))
    return masking is not None and any(matches(rule.pattern, name) for rule in masking.tables for name in names)


def changes(masking: DatabaseRules | None, column: Sequence[str]) -> bool:
    """Return whether a masking policy gives a column of schema, table and name other values, or deletes its rows.

    A rule that names a column exactly takes precedence over one with wildcards, as in the masking itself.
    """
    if masking is None:
        return False
    rules = [rule for rule in masking.columns if matches(rule.pattern, column)]
    best = [rule for rule in rules if rule.pattern.exact] or rules
    emptied = any(matches(rule.pattern, column[:2]) for rule in masking.tables)
    return emptied or any(not isinstance(rule.action, Keep) for rule in best)


def rows_compared(found: DatabaseFound, masking: DatabaseRules | None, rules: SourceRules) -> Iterator[CheckResult]:
    """Yield one result if every table that was counted in both has about as many rows, else one for each other one."""
    most = rules.max_difference_percent
    here, there = found.totals(), totals_of(found.source_tables)
    wrong, compared = 0, 0
    for table, total in sorted(there.items()):
        scope = f"{found.database}.{table}"
        if total.rows is None:
            wrong += 1
            why = next(each.why for each in found.source_tables if each.whole == table and each.rows is None)
            yield source_result(scope, ROWS, "its rows counted in the source", "unknown", held=None, error=why)
            continue
        compared += 1
        rows = here[table].rows or 0
        if abs(total.rows - rows) * 100 > most * max(total.rows, rows):
            wrong += 1
            expected = f"at most {most} % more or fewer than the {total.rows} rows of the source"
            yield source_result(scope, ROWS, expected, f"{rows} rows", held=False)
    if wrong:
        return
    beside = {each.whole for each in found.tables if not empties(masking, each)} - there.keys()
    expected = f"no table differs from the source by more than {most} % of its rows"
    actual = f"{compared} tables compared" + (f", {len(beside)} not" if beside else "")
    if beside and not compared:
        error = "no table was counted in both. Name tables in `count`, or raise `count_below_mb`"
        yield source_result(found.database, ROWS, expected, actual, held=None, error=error)
    else:
        yield source_result(found.database, ROWS, expected, actual, held=True)


def newest_compared(
    scope: str, column: str, here: dt.datetime | None, there: dt.datetime | None, rules: SourceRules
) -> CheckResult:
    """Return how much older the restored newest row is than the source's: the true age of the data."""
    most = rules.max_hours_behind
    expected = "how far behind the source" if most is None else f"at most {most} hours behind the source"
    if here is None or there is None:
        actual = "the source has no row" if there is None else "the source has rows, and the restored cluster has none"
        return source_result(scope, column, expected, actual, held=there is None or most is None)
    behind = max(there - here, dt.timedelta())
    hours, minutes = divmod(round(behind.total_seconds() / 60), 60)
    held = most is None or behind <= dt.timedelta(hours=most)
    return source_result(scope, column, expected, f"{hours} h {minutes} min behind", held=held)


def _same(scope: str, name: str, differences: Sequence[str], rules: SourceRules) -> CheckResult:
    """Return whether there is no difference. Where the policy says so, each is only reported."""
    expected = "as in the source" if rules.schema_changes == "fail" else "any difference is reported"
    held = not differences or rules.schema_changes == "report"
    return source_result(scope, name, expected, "; ".join(differences) or "the same", held=held)


def _columns(tables: set[tuple[str, str]], those: Columns, others: Columns) -> Iterator[str]:
    for table in tables:
        yield from (".".join((*table, column)) for column in those[table] - others[table])


def _named(what: str, names: Iterator[str] | set[str]) -> Iterator[str]:
    """Yield some of the names with what they have in common, where there are any."""
    if found := sorted(names):
        yield f"{what}: {listed(found, MAX_NAMED)}"
