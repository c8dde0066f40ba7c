"""What was found, set against the last good run of the same source: lost rows, missing tables, a changed schema."""

from __future__ import annotations

from collections.abc import Iterator

from utils.contracts.verification import CheckResult
from utils.foreign_text import listed, one_line
from utils.policies.patterns import matches
from utils.verification.found import Baseline, DatabaseFound, KnownDatabase, Total, VerificationFound
from utils.verification.policy import VerificationPolicy

MAX_NAMED = 10


def compared(found: VerificationFound, baseline: Baseline, policy: VerificationPolicy) -> Iterator[CheckResult]:
    """Yield one result for each database whose tables have kept their rows, and one for each table that has not.

    What the policy leaves out is not compared.
    """
    for name, known in sorted(baseline.databases.items()):
        if any(matches(pattern, (name,)) for pattern in policy.leave_out):
            continue
        now = found.databases.get(name)
        if now is None:
            yield _result(name, "database", "as in the last good run", "it is missing", held=False)
        else:
            yield from _rows(name, now.totals(), known.tables, policy.max_loss_percent)
            yield _schema(name, now, known, policy)


def _rows(
    database: str, now: dict[str, Total], before: dict[str, Total], max_loss_percent: int
) -> Iterator[CheckResult]:
    at_least, lost = f"no table lost more than {max_loss_percent} % of its rows", 0
    compared_tables, exact = 0, True
    for table, known in sorted(before.items()):
        total, scope = now.get(table), f"{database}.{table}"
        if total is None:
            lost += 1
            yield _result(scope, "table", "as in the last good run", "it is missing", held=False)
        elif total.rows is not None and known.rows is not None:
            compared_tables += 1
            both = total.exact and known.exact
            exact = exact and both
            if total.rows * 100 < known.rows * (100 - max_loss_percent):
                lost += 1
                least = -(-known.rows * (100 - max_loss_percent) // 100)
                expected = f"at least {least} of {known.rows} rows"
                yield _result(scope, "rows kept", expected, f"{total.rows} rows", held=False, exact=both)
    if not lost:
        yield _result(database, "rows kept", at_least, f"{compared_tables} tables compared", held=True, exact=exact)


def _schema(database: str, now: DatabaseFound, known: KnownDatabase, policy: VerificationPolicy) -> CheckResult:
    all_kinds = {*now.fingerprint, *known.fingerprint}
    kinds = sorted(kind for kind in all_kinds if now.fingerprint.get(kind) != known.fingerprint.get(kind))
    tables = now.totals()
    added, removed = sorted(tables.keys() - known.tables.keys()), sorted(known.tables.keys() - tables.keys())
    if not now.fingerprint:
        return _result(database, "schema unchanged", "as in the last good run", "unknown", held=None)
    if not kinds:
        return _result(database, "schema unchanged", "as in the last good run", "unchanged", held=True)
    said = [f"changed: {listed(kinds)}"]
    said += [f"tables added: {listed(added, MAX_NAMED)}"] if added else []
    said += [f"tables removed: {listed(removed, MAX_NAMED)}"] if removed else []
    expected = "as in the last good run" if policy.schema_changes == "fail" else "any change is reported"
    held = policy.schema_changes == "report"
    return _result(database, "schema unchanged", expected, "; ".join(said), held=held)


def _result(scope: str, name: str, expected: str, actual: str, *, held: bool | None, exact: bool = True) -> CheckResult:
    return CheckResult(
        name=name,
        kind="comparison",
        scope=one_line(scope),
        expected=expected,
        actual=actual,
        exact=exact,
        held=held,
        took_ms=0,
        limit_ms=0,
        error="its schema could not be read" if held is None else None,
    )
