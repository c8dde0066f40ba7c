"""The results of all checks as one whole of bounded size: what did not hold comes first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from utils.contracts.verification import CheckKind, CheckResult, Verification
from utils.foreign_text import one_line
from utils.verification.found import DatabaseFound, VerificationFound

# With names, errors and numbers as long as they come, so many results fit, compressed, into an item of the state table.
MAX_LISTED = 300
# Of those that held, the ones that say most come first.
_ORDER: tuple[CheckKind, ...] = (
    "own_rows",
    "own_number",
    "newest_row",
    "comparison",
    "source",
    "foreign_keys",
    "sequences",
    "indexes",
    "extensions",
    "schema",
    "rows",
)


def summarised(
    policy: str,
    found: VerificationFound,
    comparison: Sequence[CheckResult],
    compared_with: str | None,
    limit_ms: int,
    finished_at: dt.datetime,
    source: str | None = None,
) -> Verification:
    """Return all of it. `source` is the cluster with which the restored one was to be compared."""
    results = [*found.results, *comparison]
    tables = [each for database in found.databases.values() for each in database.tables]
    for database in found.databases.values():
        results += row_results(database, limit_ms)
    results.sort(key=_rank)
    return Verification(
        policy=policy,
        checks=results[:MAX_LISTED],
        held=sum(each.held is True for each in results),
        failed=sum(each.held is False for each in results),
        not_run=sum(each.held is None for each in results),
        not_listed=max(len(results) - MAX_LISTED, 0),
        tables=len(tables),
        tables_counted=sum(each.exact and each.rows is not None for each in tables),
        rows=sum(each.rows or 0 for each in tables),
        fingerprint=found.fingerprint,
        newest_row_at=found.newest_row_at,
        compared_with=compared_with,
        compared_with_source=source if _was_compared(found.results) else None,
        finished_at=finished_at,
    )


def _was_compared(results: Sequence[CheckResult]) -> bool:
    """Return whether anything was compared with the source."""
    return any(each.kind == "source" and each.held is not None for each in results)


def row_results(database: DatabaseFound, limit_ms: int) -> Iterator[CheckResult]:
    """Yield the result of each table: how many rows it has."""
    for each in database.tables:
        wanted = "its rows counted" if each.was_to_be_counted else "its rows counted or estimated"
        missing = each.rows is None or (each.was_to_be_counted and not each.exact)
        number = f"{each.rows} rows" if each.exact else f"about {each.rows} rows"
        yield CheckResult(
            name="rows",
            kind="rows",
            scope=one_line(f"{database.database}.{each.schema}.{each.table}"),
            expected=wanted,
            actual="unknown" if each.rows is None else number,
            exact=each.exact,
            held=None if missing else True,
            took_ms=each.took_ms,
            limit_ms=limit_ms,
            error=each.why or None,
        )


def finding_lines(verification: Verification, most: int) -> list[str]:
    """Return what did not hold, a sentence each, and how many more there are."""
    wrong = [each for each in verification.checks if not each.held]
    lines = [_sentence(each) for each in wrong[:most]]
    more = verification.failed + verification.not_run - len(lines)
    return [*lines, f"and {more} more"] if more else lines


def _sentence(check: CheckResult) -> str:
    what = f"{check.name} ({check.kind}) of {check.scope}"
    if check.held is None:
        return f"{what} was not run: {check.error}"
    return f"{what}: expected {check.expected}, found {check.actual}"


def _rank(check: CheckResult) -> tuple[int, int, bool]:
    worst = {False: 0, None: 1, True: 2}[check.held]
    # An estimate says less than a number, and is listed first, so that it is seen.
    return worst, _ORDER.index(check.kind), check.exact
