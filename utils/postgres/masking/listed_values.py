"""What statistics list, held against the rows: a value that no row has is one of production's, for any reason.

ANALYZE lists what rows have, and replaces all that it has of a column at once (PostgreSQL's source, update_attstats).
So what it has replaced since the last row was masked lists nothing that the rows do not show; what it has not, does. No
mark is needed of when that was, which autovacuum could set as well, half-way through a table.

No value leaves the server: hashes of them are compared, which begin with one of a key that is made from the salt. The
salt itself is not there, since expressions of indexes are code of the data.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from psycopg2 import sql

from utils.foreign_text import one_line
from utils.postgres.masking.salt_table import SALT_TABLE, give_salt
from utils.postgres.masking.sessions import Place, read_only
from utils.postgres.masking.state import Task, seal
from utils.postgres.session import Session
from utils.postgres.slice_clock import SliceClock

PAGES = 32768
QUICK_SECONDS = 10.0
# pg_stats shows the bounds of ranges since then (PostgreSQL's source, commit bc3c8db8ae2f).
BOUNDS_SINCE = 170000

# Of a table at work the masked columns and those that are generated; of what is emptied, of materialized views and of
# partitioned tables without partitions all columns; of all of them the expressions of indexes. `inherited` ones are of
# a table with all that it consists of; where a foreign table is a part, nothing masks what its server has.
_LISTINGS = sql.SQL("""
    WITH RECURSIVE masked(rel, name, not_masked) AS (
        SELECT * FROM unnest({rels}::oid[], {names}::text[], {forms}::text[])
        UNION SELECT CASE WHEN i.inhrelid = masked.rel THEN i.inhparent ELSE i.inhrelid END, name, not_masked
          FROM masked JOIN pg_class c ON c.oid = masked.rel
          JOIN pg_inherits i ON i.inhrelid = masked.rel OR (i.inhparent = masked.rel AND c.relkind = 'p')
    ), emptied(rel, own) AS (
        SELECT unnest({emptied}::oid[]), true
        UNION SELECT i.inhparent, false FROM emptied JOIN pg_inherits i ON i.inhrelid = emptied.rel
    ), whole(rel, own) AS (
        SELECT rel, own FROM emptied
        UNION SELECT oid, true FROM pg_class
         WHERE relkind = 'm' OR (relkind = 'p' AND NOT EXISTS (SELECT FROM pg_partition_tree(oid) WHERE isleaf))
    ), parts(top, rel) AS (
        SELECT inhparent, inhrelid FROM pg_inherits
        UNION SELECT parts.top, i.inhrelid FROM parts JOIN pg_inherits i ON i.inhparent = parts.rel
    ), bases(type, base) AS (
        SELECT oid, oid FROM pg_type
        UNION ALL SELECT b.type, t.typbasetype FROM bases b JOIN pg_type t ON t.oid = b.base WHERE t.typtype = 'd'
    )
    SELECT k.kind, c.oid, s.inherited, s.schemaname, s.tablename, s.attname, coalesce(i.indrelid, c.oid),
           CASE WHEN i.indexrelid IS NULL THEN quote_ident(a.attname)
                ELSE pg_get_indexdef(i.indexrelid, a.attnum, false) END,
           coalesce(pg_get_expr(i.indpred, i.indrelid), 'true'),
           (SELECT format_type({range}, NULL) FROM bases b JOIN pg_type t ON t.oid = b.base
             WHERE b.type = a.atttypid AND t.typtype <> 'd'),
           (SELECT min(not_masked) FROM masked m WHERE m.rel = c.oid AND m.name = a.attname::text)
      FROM pg_stats s JOIN pg_namespace n ON n.nspname = s.schemaname
      JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.tablename
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = s.attname
      LEFT JOIN pg_index i ON i.indexrelid = c.oid,
           LATERAL (VALUES ('values', s.most_common_vals IS NOT NULL OR s.histogram_bounds IS NOT NULL),
                           ('elements', s.most_common_elems IS NOT NULL), ('bounds', {bounds})) k(kind, given)
     WHERE k.given
       AND (EXISTS (SELECT FROM masked m
                     WHERE m.rel = coalesce(i.indrelid, c.oid)
                       AND (i.indexrelid IS NOT NULL OR m.name = a.attname::text OR a.attgenerated <> ''))
            OR EXISTS (SELECT FROM whole w WHERE w.rel = coalesce(i.indrelid, c.oid) AND (w.own OR s.inherited)))
       AND NOT (s.inherited AND EXISTS (SELECT FROM parts p JOIN pg_class f ON f.oid = p.rel AND f.relkind = 'f'
                                         WHERE p.top = c.oid))
     ORDER BY s.schemaname, s.tablename, a.attnum, s.inherited, k.kind
""")
_TABLES = sql.SQL("""
    WITH RECURSIVE parts(rel) AS (
        SELECT {rel}::oid UNION SELECT inhrelid FROM parts JOIN pg_inherits ON inhparent = parts.rel WHERE {inherited}
    )
    SELECT c.oid, n.nspname, c.relname, pg_relation_size(c.oid) / current_setting('block_size')::bigint
      FROM parts JOIN pg_class c ON c.oid = parts.rel AND c.relkind IN ('r', 'm')
      JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY c.oid
""")
# What pg_stats lists, and the same of an expression over a row: as texts that the types' output functions write, which
# is what concat takes, so that no cast of a user's is looked up.
_LISTED = {
    "values": sql.SQL("unnest(s.most_common_vals::text::text[] || s.histogram_bounds::text::text[])"),
    "elements": sql.SQL("unnest(s.most_common_elems::text::text[])"),
    "bounds": sql.SQL(
        "(SELECT unnest(ARRAY['[' || concat(lower(r.b)), ']' || concat(upper(r.b))])"
        " FROM (SELECT CAST(unnest(s.range_bounds_histogram::text::text[]) AS {type}) AS b) r)"
    ),
}
_SHOWN = {
    "values": sql.SQL("concat({shown})"),
    "elements": sql.SQL(
        "unnest(CASE WHEN pg_typeof({shown})::oid = ANY({lexemes}::oid[])"
        " THEN tsvector_to_array(concat({shown})::tsvector)"
        " WHEN left(concat({shown}), 1) IN ('{{', '[') THEN concat({shown})::text[] END)"
    ),
    "bounds": sql.SQL("unnest(ARRAY['[' || concat(lower({shown})), ']' || concat(upper({shown}))])"),
}
_TEXTS = "text", "character varying"
_LEXEMES = sql.SQL("""
    WITH RECURSIVE made_of(type) AS (
        SELECT 'tsvector'::regtype::oid UNION SELECT t.oid FROM made_of JOIN pg_type t ON t.typbasetype = made_of.type
    )
    SELECT array_agg(type) FROM made_of
""")
_HASHES = sql.SQL("""
    SELECT hashtextextended(v.shown COLLATE "C", (SELECT hashtextextended(salt, 0) FROM {salt}))
      FROM ({shown}) AS v(shown) WHERE v.shown IS NOT NULL
""")


class _Listing(NamedTuple):
    """Values of one kind that statistics list of one column, or of an index's expression."""

    kind: str
    oid: int
    inherited: bool
    schema: str
    relation: str
    column: str
    rel: int
    """The table or materialized view whose rows have them."""
    expression: str
    condition: str
    type: str
    not_masked: str | None
    """A condition over a value of a masked column: whether it has not the masked form."""

    @property
    def key(self) -> str:
        return f"{self.oid} {self.inherited} {self.kind} {self.column}"

    def __str__(self) -> str:
        return f"column {one_line(self.column)} of {one_line(self.schema)}.{one_line(self.relation)}"


class _Table(NamedTuple):
    rel: int
    name: sql.Identifier
    pages: int


def values_of_no_row(place: Place, clock: SliceClock, tasks: list[Task]) -> list[str]:
    """Return of which columns statistics list a value that no row has. Everything has to be lent.

    What is left is recorded after each range of pages, for the next slice. Once something is returned, that is
    forgotten: when the gate is run again, somebody has acted on it.
    """
    found = dict[str, None]()
    with place.as_master() as known:
        recorded = {
            key: ((rel, page), set(unseen))
            for key, rel, page, unseen in known.rows(sql.SQL("SELECT * FROM {}").format(place.state("listed")))
        }
    with place.as_masker() as opened:
        give_salt(opened, seal(place, "listed"))
        _go_on(opened, clock)
        ((lexemes,),) = opened.rows(_LEXEMES)
        for listing in [_Listing(*row) for row in opened.rows(_listings(opened, tasks))]:
            at, unseen = recorded.get(listing.key, ((0, 0), None))
            if unseen is None:
                unseen = {number for (number,) in opened.rows(_listed(listing))}
            for table in _tables(opened, listing) if unseen else ():
                # An expression may take any time for a row, and a slice has to come further by a range at least.
                pages = PAGES if listing.oid == listing.rel else 1
                low = at[1] if table.rel == at[0] else 0
                while unseen and table.rel >= at[0] and low < table.pages:
                    _go_on(opened, clock)
                    began, high = time.monotonic(), min(low + pages, table.pages)
                    question = _seen(listing, table.name, (low, high), unseen, lexemes)
                    unseen -= {number for (number,) in opened.rows(question)}
                    _record(place, listing, (table.rel, high), unseen)
                    pages = min(pages * 2, PAGES) if time.monotonic() - began < QUICK_SECONDS else pages
                    low = high
            if unseen:
                found[str(listing)] = None
    if found:
        with place.as_master() as known:
            known.run(sql.SQL("TRUNCATE {}").format(place.state("listed")))
    return list(found)


def _listings(opened: Session, tasks: list[Task]) -> sql.Composed:
    masked = [(task.rel, column.name, column.not_masked) for task in tasks for column in task.columns]
    has_bounds = opened.version >= BOUNDS_SINCE
    return _LISTINGS.format(
        rels=sql.Literal([rel for rel, _, _ in masked]),
        names=sql.Literal([name for _, name, _ in masked]),
        forms=sql.Literal([not_masked for _, _, not_masked in masked]),
        emptied=sql.Literal([task.rel for task in tasks if task.is_empty]),
        bounds=sql.SQL("s.range_bounds_histogram IS NOT NULL" if has_bounds else "false"),
        # The bounds of a multirange are those of a range (PostgreSQL's source, multirange_typanalyze).
        range=sql.SQL(
            "coalesce((SELECT rngtypid FROM pg_range WHERE rngmultitypid = b.base), b.base)" if has_bounds else "b.base"
        ),
    )


def _tables(opened: Session, listing: _Listing) -> list[_Table]:
    tables = _TABLES.format(rel=sql.Literal(listing.rel), inherited=sql.Literal(listing.inherited))
    return [_Table(rel, sql.Identifier(schema, name), pages) for rel, schema, name, pages in opened.rows(tables)]


def _listed(listing: _Listing) -> sql.Composed:
    """Return the query for what is listed. Texts that have the masked form are no values of production's."""
    shown = sql.SQL(
        "SELECT v.shown FROM pg_stats s, LATERAL {} AS v(shown) WHERE s.schemaname = {} AND s.tablename = {}"
        " AND s.attname = {} AND s.inherited = {}"
    ).format(
        _LISTED[listing.kind].format(type=sql.SQL(listing.type)),
        *(sql.Literal(part) for part in (listing.schema, listing.relation, listing.column, listing.inherited)),
    )
    if listing.not_masked is not None and listing.kind == "values" and listing.type in _TEXTS:
        shown = sql.SQL("SELECT {name} FROM ({shown}) AS v({name}) WHERE {not_masked}").format(
            name=sql.Identifier(listing.column), shown=shown, not_masked=sql.SQL(listing.not_masked)
        )
    return _HASHES.format(salt=SALT_TABLE, shown=shown)


def _seen(
    listing: _Listing, table: sql.Identifier, pages: tuple[int, int], unseen: set[int], lexemes: list[int]
) -> sql.Composed:
    expression = sql.SQL("({})").format(sql.SQL(listing.expression))
    shown = sql.SQL("SELECT {} FROM ONLY {} WHERE ctid >= {}::tid AND ctid < {}::tid AND ({})").format(
        _SHOWN[listing.kind].format(shown=expression, lexemes=sql.Literal(lexemes)),
        table,
        *(sql.Literal(f"({page},0)") for page in pages),
        sql.SQL(listing.condition),
    )
    return sql.SQL("SELECT DISTINCT number FROM ({} OFFSET 0) AS h(number) WHERE number = ANY({}::bigint[])").format(
        _HASHES.format(salt=SALT_TABLE, shown=shown), sql.Literal(sorted(unseen))
    )


def _record(place: Place, listing: _Listing, at: tuple[int, int], unseen: set[int]) -> None:
    with place.as_master() as opened:
        opened.run(
            sql.SQL(
                "INSERT INTO {} VALUES (%s, %s, %s, %s::bigint[]) ON CONFLICT (listing) DO UPDATE"
                " SET rel = excluded.rel, page = excluded.page, unseen = excluded.unseen"
            ).format(place.state("listed")),
            (listing.key, *at, sorted(unseen)),
        )


def _go_on(opened: Session, clock: SliceClock) -> None:
    """End the transaction, with the locks that it holds, and begin another one that cannot write either."""
    opened.connection.commit()
    read_only(opened, clock)
