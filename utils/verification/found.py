"""What the checks have found so far: of each database its tables and its fingerprint, and the results of all checks.

It is kept between the slices of a verification, and of a good run as what the next one is compared with.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Sequence

from msgspec import Struct, field

from utils.contracts.verification import CheckResult


class TableRows(Struct, frozen=True, array_like=True):
    """How many rows a table has; None where that is unknown, and `why` it was not counted.

    `parent_schema` and `parent` are those of the table whose partition it is, else its own.
    """

    schema: str
    table: str
    parent_schema: str
    parent: str
    rows: int | None
    exact: bool
    why: str = ""
    was_to_be_counted: bool = False
    took_ms: int = 0

    @property
    def whole(self) -> str:
        """Return the table that this one is a part of; its own name where it is no partition."""
        return f"{self.parent_schema}.{self.parent}"


class Total(Struct, frozen=True, array_like=True):
    """The rows of a table with all of its partitions."""

    rows: int | None
    exact: bool


class DatabaseFound(Struct, kw_only=True):
    """One database. `fingerprint` has a hash for each kind of thing that its schema is made of.

    `newest` has the newest moment of a column by its number among the policy's. `source_tables` are those that were
    counted in the source as well.
    """

    database: str
    fingerprint: dict[str, str] = field(default_factory=dict)
    tables: list[TableRows] = field(default_factory=list)
    newest: dict[int, dt.datetime] = field(default_factory=dict)
    source_tables: list[TableRows] = field(default_factory=list)

    def totals(self) -> dict[str, Total]:
        """Return the rows by table, of a partitioned one all together: partitions come and go."""
        return totals_of(self.tables)


class VerificationFound(Struct, kw_only=True):
    """All of it. `done` has what came to its end, so that the next slice continues after it.

    `strangers` are instances to which the source's address led, and which RDS had not listed as its instances.
    `looked_at`: all checks are done, after a look at the source then; another one says whether it has stayed the same.
    `unseen_since`: RDS has not shown the source since a look then.
    """

    databases: dict[str, DatabaseFound] = field(default_factory=dict)
    results: list[CheckResult] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    newest_row_at: dt.datetime | None = None
    strangers: list[str] = field(default_factory=list)
    looked_at: dt.datetime | None = None
    unseen_since: dt.datetime | None = None

    def drop_comparison(self) -> None:
        """Forget all that was compared with the source: it may have been another cluster."""
        self.results = [each for each in self.results if each.kind != "source"]
        for each in self.databases.values():
            each.source_tables.clear()

    @property
    def fingerprint(self) -> str:
        """Return a hash over the schemas of all databases."""
        lines = [
            f"{name} {kind} {digest}\n"
            for name, found in sorted(self.databases.items())
            for kind, digest in sorted(found.fingerprint.items())
        ]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


class KnownDatabase(Struct, frozen=True, kw_only=True):
    """What the last good run has found in a database."""

    fingerprint: dict[str, str]
    tables: dict[str, Total]


class Baseline(Struct, frozen=True, kw_only=True):
    """The last good run of a source, with which the next one is compared. It was of the snapshot of that time."""

    operation_id: str
    snapshot_at: dt.datetime
    databases: dict[str, KnownDatabase]


def baseline_of(operation_id: str, snapshot_at: dt.datetime, found: VerificationFound) -> Baseline:
    """Return what the next run is to be compared with."""
    return Baseline(
        operation_id=operation_id,
        snapshot_at=snapshot_at,
        databases={
            name: KnownDatabase(fingerprint=each.fingerprint, tables=each.totals())
            for name, each in found.databases.items()
        },
    )


def totals_of(tables: Sequence[TableRows]) -> dict[str, Total]:
    """Return the rows by table, of a partitioned one all together."""
    parts: dict[str, list[TableRows]] = defaultdict(list)
    for each in tables:
        parts[each.whole].append(each)
    return {name: _total(of_one) for name, of_one in parts.items()}


def _total(parts: list[TableRows]) -> Total:
    known = [each.rows for each in parts if each.rows is not None]
    rows = sum(known) if len(known) == len(parts) else None
    return Total(rows, all(each.exact for each in parts))
