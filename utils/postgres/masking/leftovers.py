"""What still holds original values when every row is masked: row versions, statistics, materialized views.

VACUUM takes the old versions out of SQL's reach (the pages' bytes stay until they are reused), ANALYZE replaces what
pg_stats shows of common values, also of partitioned tables and of materialized views, which are refreshed before.
"""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from psycopg2 import sql

from utils.errors import StepFailed
from utils.foreign_text import one_line
from utils.postgres.masking.lending import lend_only, owners_of
from utils.postgres.masking.made_up_part import renew_inherited
from utils.postgres.masking.made_up_row import insert_made_up_row, shows_values_of_no_row
from utils.postgres.masking.restoring import restore_the_rest
from utils.postgres.masking.sessions import Place, end_with_slice, hold
from utils.postgres.masking.state import ANALYZED, REFRESHED, pass_stage
from utils.postgres.slice_clock import SliceClock

# Whether a column that was added with a default, and is masked or emptied, has it in the catalogue for rows that were
# there before. Only a table that is rewritten loses it (PostgreSQL's source, RelationClearMissing).
_HAS_MISSING = sql.SQL("""
    EXISTS (SELECT FROM pg_attribute a
             WHERE a.attrelid = {table} AND a.atthasmissing AND NOT a.attisdropped
               AND (EXISTS (SELECT FROM {work} w WHERE w.rel = a.attrelid AND w.is_empty)
                    OR EXISTS (SELECT FROM {masked_column} m
                                WHERE m.name = a.attname::text
                                  AND (m.rel = a.attrelid
                                       OR m.rel IN (SELECT pg_partition_ancestors(a.attrelid)::oid)))))
""")
# Tables first, then those that inherit from them or consist of them: these are analyzed with all of their parts.
_TABLES = sql.SQL("""
    SELECT coalesce(l.owner, pg_get_userbyid(c.relowner)), c.oid, n.nspname, c.relname,
           EXISTS (SELECT FROM {work} w WHERE w.rel = c.oid OR w.moves AND c.relispartition), {rewritten},
           EXISTS (SELECT FROM {analyzed} a WHERE a.rel = c.oid)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN {lent} l ON l.rel = c.oid
     WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND n.nspname <> {schema}
       AND (EXISTS (SELECT FROM {work} w WHERE w.rel = c.oid)
            OR NOT EXISTS (SELECT FROM pg_depend d
                            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
     ORDER BY c.relkind = 'p', EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid), 1, c.oid
""")
# Each materialized view with those that it reads, through views as well; whether a policy hides rows from its owner.
_VIEWS = sql.SQL("""
    WITH RECURSIVE reads(top, oid, relkind) AS (
        SELECT oid, oid, relkind FROM pg_class WHERE relkind = 'm'
        UNION SELECT reads.top, d.refobjid, c.relkind FROM reads JOIN pg_rewrite w ON w.ev_class = reads.oid
                JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                 AND d.refclassid = 'pg_class'::regclass
                JOIN pg_class c ON c.oid = d.refobjid
    ), owned AS (
        SELECT c.*, coalesce(l.owner, pg_get_userbyid(c.relowner)) AS owner,
               coalesce(l.forced, c.relforcerowsecurity) AS forced
          FROM pg_class c LEFT JOIN {lent} l ON l.rel = c.oid
    )
    SELECT c.oid, n.nspname, c.relname,
           ARRAY(SELECT r.oid FROM reads r WHERE r.top = c.oid AND r.oid <> c.oid AND r.relkind = 'm'),
           ARRAY(SELECT r.oid FROM reads r WHERE r.top = c.oid),
           EXISTS (SELECT FROM reads r JOIN owned t ON t.oid = r.oid
                    WHERE r.top = c.oid AND t.relrowsecurity AND (t.owner <> c.owner OR t.forced))
      FROM owned c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'm' AND c.relispopulated ORDER BY c.oid
""")


_TABLES_OF = sql.SQL("""
    SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = ANY(%s) AND c.relkind = 'r' AND NOT c.relispartition
""")


# ANALYZE counts what it found (PostgreSQL's source, do_analyze_rel); a table without rows has no page after VACUUM.
_FOUND_NONE = sql.SQL("EXISTS (SELECT FROM pg_class WHERE oid = {} AND reltuples = 0 AND pg_relation_size(oid) > 0)")
_NEVER = sql.SQL("false")


class _Table(NamedTuple):
    owner: str
    oid: int
    schema: str
    name: str
    at_work: bool
    has_missing: bool
    analyzed: bool


class _View(NamedTuple):
    oid: int
    schema: str
    name: str
    views: list[int]
    """The other materialized views that it reads."""
    reads: list[int]
    hidden_rows: bool


def analyze_tables(place: Place, clock: SliceClock) -> None:
    """Run VACUUM on the tables that were masked, and ANALYZE on all of them, so also on what own SQL has changed."""
    with place.as_master() as opened:
        found = opened.rows(
            _TABLES.format(
                work=place.state("work"),
                lent=place.state("lent"),
                analyzed=place.state("analyzed"),
                schema=sql.Literal(place.schema),
                rewritten=_has_missing(place, sql.SQL("c.oid")),
            )
        )
    for owner, of_one_owner in groupby((_Table(*row) for row in found), key=attrgetter("owner")):
        lend_only(place, clock, [owner])
        tables = list(of_one_owner)
        for table in tables:
            if not table.analyzed:
                _analyze(place, clock, table)
        with place.as_masker() as opened:
            renew_inherited(opened, [table.oid for table in tables], clock)
    with place.as_master() as opened:
        pass_stage(opened, place, ANALYZED)


def _analyze(place: Place, clock: SliceClock, table: _Table) -> None:
    """Run VACUUM on the table if it was at work, and ANALYZE it.

    Of more pages than statistics need, ANALYZE reads some (PostgreSQL's source, acquire_sample_rows), and replaces
    nothing where it finds no row in these. So a table that seems to have none then is rewritten without empty pages.
    """
    name = sql.Identifier(table.schema, table.name)
    analyze, full = sql.SQL("ANALYZE {}").format(name), sql.SQL("VACUUM FULL {}").format(name)
    if not table.at_work:
        _marked(place, clock, table.oid, analyze)
        return
    if table.has_missing:
        unless = sql.SQL("SELECT 1 WHERE NOT {}").format(_has_missing(place, sql.Literal(table.oid)))
        _vacuum(place, clock, table.oid, full, unless)
    else:
        _vacuum_once(place, clock, table.oid, name)
    found_none = _FOUND_NONE.format(sql.Literal(table.oid))
    _marked(place, clock, table.oid, analyze, unless=found_none)
    with place.as_master() as opened:
        seems_empty = opened.rows(sql.SQL("SELECT 1 WHERE {}").format(found_none))
    if seems_empty:
        _vacuum(place, clock, table.oid, full, sql.SQL("SELECT 1 WHERE NOT {}").format(found_none))
        _marked(place, clock, table.oid, analyze)


def refresh_views(place: Place, clock: SliceClock) -> None:
    """Refresh and analyze every materialized view that has data, those first that others read.

    Its query runs as its owner (PostgreSQL's source, RefreshMatViewByOid), and that is the masking role now: it sees
    all rows, but no foreign table, behind which production may be. Raises StepFailed for a view that cannot be
    refreshed, as it still holds production's rows.
    """
    with place.as_master() as opened:
        views = [_View(*row) for row in opened.rows(_VIEWS.format(lent=place.state("lent")))]
        ((done,),) = opened.rows(
            sql.SQL("SELECT coalesce(array_agg(rel), ARRAY[]::oid[]) FROM {}").format(place.state("analyzed"))
        )
    ordered = _in_order(views)
    for view in ordered:
        if view.oid not in done:
            _refresh(place, clock, view)
    for view in ordered:
        _renew_statistics(place, clock, view, [each for each in ordered if each.oid in view.views])
    restore_the_rest(place)
    with place.as_master() as opened:
        pass_stage(opened, place, REFRESHED)


def _refresh(place: Place, clock: SliceClock, view: _View) -> None:
    name = sql.Identifier(view.schema, view.name)
    shown = f"materialized view {one_line(view.schema)}.{one_line(view.name)}"
    if view.hidden_rows:
        raise StepFailed(
            f"The {shown} reads a table whose policies hide rows from its owner, so only that one can refresh it. Add "
            "DROP MATERIALIZED VIEW to the policy's own statements, then start a new operation."
        )
    with place.as_master() as opened:
        owners = owners_of(opened, place, view.reads)
    lend_only(place, clock, owners)
    try:
        _marked(place, clock, view.oid, sql.SQL("REFRESH MATERIALIZED VIEW {name}; ANALYZE {name}").format(name=name))
    except StepFailed as error:
        raise StepFailed(
            f"The {shown} still holds production's rows: {error} If it cannot be refreshed, add DROP MATERIALIZED VIEW "
            "to the policy's own statements."
        ) from None


def _renew_statistics(place: Place, clock: SliceClock, view: _View, below: list[_View]) -> None:
    """Replace what statistics show of a materialized view that no longer has a row, as its tables have none.

    With a row in each of these it has one, too, mostly. Where it has none, the gate says so. `below`: the materialized
    views that it reads.
    """
    with place.as_master() as opened:
        if opened.rows(sql.SQL("SELECT pg_relation_size({})").format(sql.Literal(view.oid))) != [(0,)]:
            return
        owners = owners_of(opened, place, view.reads)
    lend_only(place, clock, owners)
    names = [sql.Identifier(each.schema, each.name) for each in (*below, view)]
    refresh = [sql.SQL("REFRESH MATERIALIZED VIEW {}").format(name) for name in names]
    with place.as_masker() as opened:
        end_with_slice(opened, clock)
        if not shows_values_of_no_row(opened, view.schema, view.name, only=False):
            return
        filled = []
        for rel, schema, table in opened.rows(_TABLES_OF, (view.reads,)):
            table_name = sql.Identifier(schema, table)
            empty = not opened.rows(sql.SQL("SELECT 1 FROM ONLY {} LIMIT 1").format(table_name))
            if empty and insert_made_up_row(opened, rel, table_name):
                filled.append(table_name)
        for statement in refresh:
            opened.run(statement)
        opened.run(sql.SQL("ANALYZE {}").format(names[-1]))
        for table_name in filled:
            opened.run(sql.SQL("DELETE FROM ONLY {}").format(table_name))
        for statement in refresh:
            opened.run(statement)


def _has_missing(place: Place, table: sql.Composable) -> sql.Composed:
    return _HAS_MISSING.format(table=table, work=place.state("work"), masked_column=place.state("masked_column"))


def _vacuum_once(place: Place, clock: SliceClock, rel: int, name: sql.Identifier) -> None:
    began = place.state("vacuumed")
    with place.as_master() as opened:
        opened.run(sql.SQL("INSERT INTO {} VALUES ({}) ON CONFLICT DO NOTHING").format(began, sql.Literal(rel)))
    unless = sql.SQL("SELECT 1 FROM {} WHERE rel = {} AND at <= pg_stat_get_last_vacuum_time(rel)")
    _vacuum(place, clock, rel, sql.SQL("VACUUM {}").format(name), unless.format(began, sql.Literal(rel)))


def _vacuum(place: Place, clock: SliceClock, rel: int, statement: sql.Composable, unless: sql.Composable) -> None:
    """Run VACUUM on a table, or wait until that of an earlier slice has ended."""

    def work() -> None:
        with place.autocommitting(as_master=False) as opened:
            hold(opened, place, rel)
            with place.as_master() as known:
                vacuumed = bool(known.rows(unless))
            if not vacuumed:
                opened.run(statement)

    place.unattended(work, clock)


def _marked(
    place: Place, clock: SliceClock, rel: int, statements: sql.Composable, unless: sql.Composable = _NEVER
) -> None:
    """Run statements with their mark, which is not made if `unless` holds then.

    What they call runs as the relation's owner, so as the masking role.
    """
    analyzed, number = place.state("analyzed"), sql.Literal(rel)
    place.outlasting(
        statements,
        clock,
        rel,
        done=sql.SQL("EXISTS (SELECT FROM {} WHERE rel = {})").format(analyzed, number),
        mark=sql.SQL("INSERT INTO {} SELECT {} WHERE NOT {}").format(analyzed, number, unless),
    )


def _in_order(views: list[_View]) -> list[_View]:
    """Return the views so that each comes after those that it reads, which are never a circle."""
    left, ordered, done = list(views), list[_View](), set[int]()
    present = {view.oid for view in views}
    while left:
        ready = [view for view in left if done.issuperset(present.intersection(view.views))]
        ordered += ready
        done.update(view.oid for view in ready)
        left = [view for view in left if view.oid not in done]
    return ordered
