"""How many rows each table has: counted, or estimated from the statistics where that is said.

A partitioned table has no rows of its own, a foreign table's are elsewhere (mostly in production), a temporary one's
are another session's: none of these is read. A partition is counted by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct
from psycopg2 import sql

from utils.policies.patterns import Pattern, matches
from utils.postgres.verification.reader import CutShort, Reader
from utils.verification.found import TableRows

# So many small tables are counted in one statement: each has a lock until its end, and a round trip of its own would
# take longer than the counting.
BATCH, BATCH_BYTES = 50, 256 * 1024 * 1024
_TABLES = sql.SQL("""
    SELECT c.oid, n.nspname, c.relname, pn.nspname, p.relname, c.relrowsecurity,
           has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
           c.reltuples::bigint, c.relpages, {size}
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_class p ON p.oid = CASE WHEN c.relispartition THEN pg_partition_root(c.oid) ELSE c.oid END
      JOIN pg_namespace pn ON pn.oid = p.relnamespace
     WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
     ORDER BY n.nspname, c.relname
""")
# It waits for the transaction that holds a table's lock, and a prepared one that came with the data may hold it for
# ever. Where it does not answer, the size is what the statistics say.
SIZE = sql.SQL("pg_relation_size(c.oid)")
LAST_SIZE = sql.SQL("nullif(c.relpages, 0) * current_setting('block_size')::bigint")
_SECURED = "row security would hide rows from the role that counts"
_CLOSED = (
    "the role that counts could not be let read it: another transaction holds it (the check access says so then), or "
    "the master user may not act for its owner. In the source, end that transaction (pg_prepared_xacts lists prepared "
    "ones), or grant the owner's role to the master user: then the next snapshot's table is counted"
)


class Table(Struct, frozen=True, kw_only=True):
    """A table as the catalogue has it, and what is to be done with it."""

    schema: str
    name: str
    parent_schema: str
    parent: str
    size: int
    estimate: int | None
    hindrance: str
    """Why it cannot be counted; empty where it can."""
    is_named: bool
    to_count: bool

    @property
    def is_closed(self) -> bool:
        """Return whether the role that counts may not read it."""
        return self.hindrance == _CLOSED

    def rows(self, counted: int | None, why: str = "", took_ms: int = 0) -> TableRows:
        """Return its rows: as counted, else as estimated where nothing went wrong, else unknown."""
        exact = counted is not None or (self.estimate == 0 and not why)
        return TableRows(
            self.schema,
            self.name,
            self.parent_schema,
            self.parent,
            self.estimate if counted is None and not why else counted,
            exact,
            why or self.hindrance,
            self.is_named,
            took_ms,
        )


def tables_here(reader: Reader, named: Sequence[Pattern], count_below: int) -> list[Table]:
    """Return the tables of this database. Those that are named, or smaller than so many bytes, are to be counted.

    Raises CutShort where they cannot be read.
    """
    try:
        with reader.quick.reading() as opened:
            rows = opened.rows(_TABLES.format(size=SIZE))
    except CutShort:
        with reader.reading() as opened:
            rows = opened.rows(_TABLES.format(size=LAST_SIZE))
    found = []
    for _, schema, name, parent_schema, parent, secured, readable, tuples, pages, size in rows:
        is_named = any(matches(each, at) for each in named for at in ((schema, name), (parent_schema, parent)))
        hindrance = _SECURED if secured else "" if readable else _CLOSED
        # Without a page there is no row. Statistics that were never gathered say nothing (reltuples is -1, or 0 with 0
        # pages before PostgreSQL 14).
        known = tuples if tuples > 0 or (tuples == 0 and pages > 0) else None
        estimate = 0 if size == 0 else known
        wanted = is_named or (size or 0) <= count_below or estimate is None
        found.append(
            Table(
                schema=schema,
                name=name,
                parent_schema=parent_schema,
                parent=parent,
                size=size or 0,
                estimate=estimate,
                hindrance=hindrance,
                is_named=is_named,
                to_count=wanted and not hindrance,
            )
        )
    return found


def unmatched(named: Sequence[Pattern], tables: Sequence[Table]) -> Iterator[str]:
    """Yield the names that no table has, as schema.table."""
    known = {(each.schema, each.name) for each in tables} | {(each.parent_schema, each.parent) for each in tables}
    yield from (".".join(each.name) for each in named if each.name is not None and each.name not in known)


def count_tables(
    reader: Reader, tables: Sequence[Table], done: set[tuple[str, str]], prove_time: Callable[[], float]
) -> Iterator[TableRows]:
    """Yield the rows of each table that is not done. `prove_time` is called before each statement, and may raise."""
    left = [each for each in tables if (each.schema, each.name) not in done]
    yield from (each.rows(None) for each in left if not each.to_count)
    for batch in _batches([each for each in left if each.to_count]):
        prove_time()
        try:
            yield from _count(reader.quick if len(batch) > 1 else reader, batch)
        except CutShort as error:
            if len(batch) == 1:
                yield batch[0].rows(None, why=str(error), took_ms=reader.limit_ms)
                continue
            # One of them is odd. By themselves, the others are counted.
            for each in batch:
                prove_time()
                yield _count_alone(reader, each)


def _batches(tables: Sequence[Table]) -> Iterator[list[Table]]:
    """Yield the tables in batches, of which each can be counted in a short time: a big table is one by itself."""
    batch: list[Table] = []
    for each in tables:
        if batch and (len(batch) == BATCH or sum(table.size for table in batch) + each.size > BATCH_BYTES):
            yield batch
            batch = []
        batch.append(each)
    if batch:
        yield batch


def _count(reader: Reader, tables: Sequence[Table]) -> list[TableRows]:
    began = time.monotonic()
    each_counted = [
        sql.SQL("SELECT {} AS number, count(*) AS found FROM ONLY {}").format(
            sql.Literal(number), sql.Identifier(table.schema, table.name)
        )
        for number, table in enumerate(tables)
    ]
    with reader.reading() as opened:
        counts = dict(opened.rows(sql.SQL(" UNION ALL ").join(each_counted)))
    took_ms = int((time.monotonic() - began) * 1000 / len(tables))
    return [table.rows(counts[number], took_ms=took_ms) for number, table in enumerate(tables)]


def _count_alone(reader: Reader, table: Table) -> TableRows:
    began = time.monotonic()
    try:
        (counted,) = _count(reader, [table])
    except CutShort as error:
        return table.rows(None, why=str(error), took_ms=int((time.monotonic() - began) * 1000))
    return counted
