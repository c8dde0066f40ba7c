"""What the verification of a restored cluster has found: one result for each check, and what they amount to.

No value of the data is in it, only names, numbers and times. Times are in UTC, durations in milliseconds.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from msgspec import Struct

# What a check looks at. `own_rows` and `own_number` are the user's own SQL; `comparison` and `source` compare
# the restored cluster with the last good run of its source, and with the source itself.
CheckKind = Literal[
    "schema",
    "rows",
    "newest_row",
    "indexes",
    "sequences",
    "foreign_keys",
    "extensions",
    "own_rows",
    "own_number",
    "comparison",
    "source",
]
# What becomes of a run whose checks did not all hold.
OnFindings = Literal["fail", "report"]


class CheckResult(Struct, frozen=True, kw_only=True):
    """One check. `scope` is what it looked at: a database, or database, schema and table with dots between them.

    `exact`: counted or read; else estimated from statistics. `held` is None where the check did not come to an end,
    and `error` says why. `text_sha256` is the hash of the user's own SQL.
    """

    name: str
    kind: CheckKind
    scope: str
    expected: str
    actual: str
    exact: bool = True
    held: bool | None
    took_ms: int
    limit_ms: int
    text_sha256: str | None = None
    error: str | None = None


class Verification(Struct, frozen=True, kw_only=True):
    """All checks of one cluster, those that did not hold first.

    `not_listed` of the checks, the last ones, are only counted, so that the whole has a bound. `compared_with` is the
    operation whose results these were set against, `compared_with_source` the cluster that they were set against as it
    was then. `fingerprint` is a hash over the schemas of all databases.
    `newest_row_at` is the newest moment in the columns that the policy names: what the restored cluster has of
    the source ends there.
    """

    policy: str
    checks: list[CheckResult]
    held: int
    failed: int
    not_run: int
    not_listed: int = 0
    tables: int
    tables_counted: int
    rows: int
    fingerprint: str
    newest_row_at: dt.datetime | None = None
    compared_with: str | None = None
    compared_with_source: str | None = None
    finished_at: dt.datetime

    @property
    def all_held(self) -> bool:
        """Return whether every check came to its end and held. Where nothing was checked, nothing has been proved."""
        return self.held > 0 and self.failed == 0 and self.not_run == 0
