"""The rows of each table, masked in ranges of pages, each of them a transaction of its own with its mark.

A row that is updated moves, often to a page that comes later: without care it is masked twice, which breaks every join
with it. So each transaction notes those of its rows that moved beyond its range and below the end that the table had in
the beginning, and the ranges that follow leave these out. What code of the data adds to these is not masked, and counts
as such at the gate.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import psycopg2
from psycopg2 import sql

from utils.errors import StepFailed
from utils.foreign_text import one_line
from utils.postgres.borrowed_owners import borrowed_owners
from utils.postgres.masking.computed import Computed, computed
from utils.postgres.masking.kept_keys import KeptKey, kept_keys, key_refusal
from utils.postgres.masking.lending import lend_only
from utils.postgres.masking.made_up_row import analyzing_with_parents, insert_made_up_row, shows_values_of_no_row
from utils.postgres.masking.masked_values import TARGET, Rows, compute_values, masking_update
from utils.postgres.masking.sessions import Place, lock
from utils.postgres.masking.state import MASKED, Task, pass_stage, tasks
from utils.postgres.masking.transactions import begin, note, settle
from utils.postgres.session import Session
from utils.postgres.slice_clock import OutOfTime, SliceClock
from utils.sqlstates import passes

TRIED_ROWS = 100
# Tables whose rows are tried in one session. A slice that ends in between tries these once more.
TRIED_AT_ONCE = 20
# PostgreSQL scans a range of pages by itself (release notes of 14, "TID Range Scan").
SCANS_RANGES_SINCE = 140000
FIRST_PAGES, MOST_PAGES = 256, 65536
CHUNK_SECONDS = 20.0
LARGE_OBJECTS_AT_ONCE = 1000

# The range stands in the UPDATE as well: by it PostgreSQL finds the pages.
_IN_RANGE = sql.SQL("{target}.ctid >= {low}::tid AND {target}.ctid < {high}::tid")
_NOT_MOVED = sql.SQL("""
    WHERE {in_range} AND NOT EXISTS (SELECT FROM {moved} m WHERE m.tid = {target}.ctid
                                        AND m.tid >= {low}::tid AND m.tid < {high}::tid)
""")
_CHUNK = sql.SQL("""
    WITH updated AS (
        {update} AND {in_range} RETURNING {target}.ctid AS tid
    ), noted AS (
        INSERT INTO {moved} SELECT tid FROM updated WHERE tid >= {high}::tid AND tid < {end}::tid
    )
    SELECT count(*) FROM updated
""")

_TRIED = sql.SQL("{update} RETURNING {target}.tableoid, {target}.ctid::text")
_KEPT_COLUMNS = sql.SQL("""
    SELECT a.attname, CASE WHEN t.typcategory = 'A' THEN '{{}}' WHEN t.typname = 'tsvector' THEN '' END,
           format_type(a.atttypid, a.atttypmod)
      FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = {rel} AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum
""")


class _Position(NamedTuple):
    bound: int
    next: int
    done: bool


def try_tables(place: Place, clock: SliceClock) -> None:
    """Mask some rows of each table and take it back, and look for values that the policy refuses.

    What CHECKs and domains accept stands in no catalogue. Raises StepFailed before a first row is changed.
    """
    with place.as_master() as known:
        left = [task for task in tasks(known, place) if not _is_tried(known, place, task)]
        keys, of_rows = kept_keys(known, place), computed(known, place)
        known.connection.commit()
        for owners, of_one_owner in groupby(left, key=lambda task: task.owners):
            lend_only(place, clock, owners)
            tried = list(of_one_owner)
            for first in range(0, len(tried), TRIED_AT_ONCE):
                _try_some(place, clock, known, tried[first : first + TRIED_AT_ONCE], keys, of_rows)


def _try_some(
    place: Place,
    clock: SliceClock,
    known: Session,
    some: Sequence[Task],
    keys: list[KeptKey],
    of_rows: list[Computed],
) -> None:
    limited = sql.SQL("LIMIT {}").format(sql.Literal(TRIED_ROWS))
    tried = {task.rel: Rows(task, limited, number) for number, task in enumerate(some) if task.columns}
    with place.as_masker() as opened:
        _limit(opened, clock)
        compute_values(opened, place.salt, tried.values())
        opened.connection.commit()
        for task in some:
            _limit(opened, clock)
            _renew_statistics(opened, task)
            opened.connection.commit()
            _limit(opened, clock)
            _look_at_values(opened, task)
            _look_at_keys(opened, place, task, keys)
            if task.columns:
                update = masking_update(tried[task.rel])
                rows = opened.rows(_TRIED.format(update=update, target=TARGET))
                opened.run(sql.SQL("SET CONSTRAINTS ALL IMMEDIATE"))
                for each in of_rows:
                    if each.rel == task.rel:
                        _compute(opened, place, task, each, rows)
            opened.connection.rollback()
            known.run(_marked(place, task, sql.SQL("tried = true")))
            known.connection.commit()


def _renew_statistics(opened: Session, task: Task) -> None:
    """Replace what statistics show of a table that has had no row for longer: masking it replaces nothing."""
    if not shows_values_of_no_row(opened, task.schema, task.table, only=not task.moves):
        return
    leaves = sql.SQL("SELECT 1 FROM pg_partition_tree({}) WHERE isleaf").format(sql.Literal(task.rel))
    if task.moves and not opened.rows(leaves):
        return  # without partitions it takes no row, and is given one when it is analyzed
    if not insert_made_up_row(opened, task.rel, task.name):
        raise StepFailed(
            f"Masking has not begun: {one_line(task.schema)}.{one_line(task.table)} has no rows, but pg_stats shows "
            "values of earlier ones, and the table takes no row without values by which ANALYZE would replace them, or "
            "a foreign key that is NOT VALID refers to it. "
            "Insert a row in the source, ANALYZE the table, delete the row, then start again."
        )
    opened.run(analyzing_with_parents(opened, task.rel))
    # TRUNCATE is refused where a foreign key refers to the table, with rows or without (PostgreSQL's documentation).
    opened.run(sql.SQL("DELETE FROM {} {}").format(_only(task), task.name))


def _marked(place: Place, task: Task, values: sql.Composable) -> sql.Composed:
    """Return the statement that records something of a table."""
    return sql.SQL("UPDATE {} SET {} WHERE rel = {}").format(place.state("progress"), values, sql.Literal(task.rel))


def _is_tried(opened: Session, place: Place, task: Task) -> bool:
    question = sql.SQL("SELECT tried FROM {} WHERE rel = {}").format(place.state("progress"), sql.Literal(task.rel))
    return opened.rows(question) == [(True,)]


def _compute(opened: Session, place: Place, task: Task, each: Computed, tried: list[tuple[int, str]]) -> None:
    """Compute of rows on trial what an index or statistics need. Raises StepFailed with the name of one that fails.

    Rows of other partitions in the same places are their original ones, of which it has been computed before.
    """
    question = sql.SQL(
        "SELECT sum(num_nulls({expressions})) FROM {only} {table} WHERE tableoid = ANY({tables}::oid[])"
        " AND ctid = ANY({rows}::tid[]) AND ({condition})"
    ).format(
        expressions=sql.SQL(each.expressions or "true"),
        only=_only(task),
        table=task.name,
        tables=sql.Literal(sorted({table for table, _ in tried})),
        rows=sql.Literal([row for _, row in tried]),
        condition=sql.SQL(each.condition or "true"),
    )
    try:
        opened.run(question)
    except psycopg2.Error as error:
        if not error.pgcode or passes(error.pgcode, error.diag.message_primary or ""):
            raise
        raise StepFailed(
            f"Masking has not begun: {one_line(each.name)} cannot be computed of masked values "
            f"{place.described(error)}. Correct the policy's rules for its columns, or drop it in the source, then "
            "start again."
        ) from None


def _look_at_values(opened: Session, task: Task) -> None:
    """Raise StepFailed where original values are refused, or would become equal in a column that has to be unique."""
    for column in task.columns:
        where = f"{one_line(task.schema)}.{one_line(task.table)}.{one_line(column.name)}"
        if column.refused is not None:
            question = sql.SQL("SELECT count(*) FROM {} {} WHERE {}").format(
                _only(task), task.name, sql.SQL(column.refused)
            )
            ((refused,),) = opened.rows(question)
            if refused:
                raise StepFailed(
                    f"Masking has not begun: {refused} rows of {where} have a value that the policy refuses. Correct "
                    "the policy's rule for that column, then start again."
                )
        if column.distinct_by is not None:
            name = sql.Identifier(column.name)
            question = sql.SQL("SELECT count(DISTINCT {name}), count(DISTINCT {by}) FROM {only} {table}").format(
                name=name, by=sql.SQL(column.distinct_by), only=_only(task), table=task.name
            )
            ((different, left),) = opened.rows(question)
            if left < different:
                raise StepFailed(
                    f"Masking has not begun: {different - left} values of {where}, which are unique, would become "
                    "equal to others. Correct the policy's rule for that column, then start again."
                )


def _look_at_keys(opened: Session, place: Place, task: Task, keys: list[KeptKey]) -> None:
    """Raise StepFailed where a value of a key that stays has the masked form already, so that one of these could be it.

    Where none has, no row that is masked meets one that is not, and what is masked stays different among itself.
    """
    for column in task.columns:
        of_this = [key for key in keys if key.column == column.name and key.rel == task.rel]
        if not of_this or column.not_masked is None:
            continue
        question = sql.SQL("SELECT count(*) FROM {} {} WHERE {} IS NOT NULL AND ({}) IS NOT TRUE").format(
            _only(task), task.name, sql.Identifier(column.name), sql.SQL(column.not_masked)
        )
        ((alike,),) = opened.rows(question)
        if alike:
            where = f"{one_line(task.schema)}.{one_line(task.table)}.{one_line(column.name)}"
            raise key_refusal(place, f"{alike} rows of {where} have the masked form already", of_this)


def mask_tables(place: Place, clock: SliceClock) -> None:
    """Delete the rows of the tables that are to be empty, and mask those of all others."""
    with place.as_master() as opened:
        left = [task for task in tasks(opened, place) if not _position(opened, place, task).done]
    # Empty ones first: with what is left of them then goes what a partitioned table's statistics show.
    left.sort(key=lambda task: not task.is_empty)
    for owners, of_one_owner in groupby(left, key=lambda task: task.owners):
        lend_only(place, clock, owners)
        for task in of_one_owner:
            if task.is_empty:
                _truncate(place, clock, task)
            elif task.columns:
                _mask(place, clock, task)
    _unlink_large_objects(place, clock)
    with place.as_master() as opened:
        pass_stage(opened, place, MASKED)


def _truncate(place: Place, clock: SliceClock, task: Task) -> None:
    """Empty the table, and replace its statistics, which ANALYZE leaves alone where it finds no row.

    With a single row in its sample it keeps no value (PostgreSQL's source, compute_scalar_stats: only what occurs twice
    is common, and a histogram takes two values).
    """
    with place.as_masker() as opened:
        lock(opened, place, task.rel)
        _limit(opened, clock)
        _keep_one_row(opened, task)
    with place.as_master() as known:
        # A second time finds no row, and changes nothing.
        known.run(_marked(place, task, sql.SQL("done = true, chunks = 1")))


def _keep_one_row(opened: Session, task: Task) -> None:
    """Empty the table, with statistics of one row; where a CHECK refuses that row, the gate finds the old ones."""
    columns = opened.rows(_KEPT_COLUMNS.format(rel=sql.Literal(task.rel)))
    names = sql.SQL(", ").join(sql.Identifier(name) for name, _, _ in columns)
    # Of an array or a tsvector, the elements of a single row are common ones.
    kept = sql.SQL(", ").join(
        sql.Identifier(name)
        if empty is None
        else sql.SQL("CAST({} AS {}) AS {}").format(sql.Literal(empty), sql.SQL(type_), sql.Identifier(name))
        for name, empty, type_ in columns
    )
    table = sql.Identifier("pg_temp", "aurora_restore_kept")
    if columns:
        opened.run(
            sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM ONLY {} LIMIT 1").format(
                table, kept, task.name
            )
        )
    opened.run(sql.SQL("TRUNCATE ONLY {}").format(task.name))
    insert = sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT * FROM {}").format(task.name, names, table)
    if columns and opened.why_not(insert) is None:
        opened.run(analyzing_with_parents(opened, task.rel))
        opened.run(sql.SQL("TRUNCATE ONLY {}").format(task.name))


def _mask(place: Place, clock: SliceClock, task: Task) -> None:
    """Mask the table, each range of pages in a session of its own, since the one before is left to the data's code."""
    pages = FIRST_PAGES
    with place.as_master() as known:
        _begin_table(known, place, task)
        while True:
            began = time.monotonic()
            with place.as_masker() as opened:
                _limit(opened, clock)
                number = begin(opened, known, place, task.rel)
                at = _position(known, place, task)
                if at.done:
                    return
                mark = _mask_at_once(opened, place, task) if task.moves else _mask_chunk(opened, place, task, at, pages)
                note(known, place, task.rel, number, mark)
                opened.connection.commit()
                settle(known, place, task.rel)
            took = time.monotonic() - began
            pages = _next_size(pages, took)
            if took * 1.5 > clock.time_left():
                raise OutOfTime


def _begin_table(known: Session, place: Place, task: Task) -> None:
    """Record how many pages the table has before its first row is masked. What the last one moved is forgotten."""
    if known.rows(
        sql.SQL(
            "UPDATE {} SET bound = pg_relation_size({rel}) / current_setting('block_size')::bigint"
            " WHERE rel = {rel} AND bound IS NULL RETURNING 1"
        ).format(place.state("progress"), rel=sql.Literal(task.rel))
    ):
        known.run(sql.SQL("TRUNCATE {}").format(place.state("moved")))
    known.connection.commit()


def _next_size(pages: int, took: float) -> int:
    if took < CHUNK_SECONDS / 2:
        return min(pages * 2, MOST_PAGES)
    return max(pages // 2, 1) if took > CHUNK_SECONDS * 2 else pages


def _mask_at_once(opened: Session, place: Place, task: Task) -> sql.Composed:
    """Mask a partitioned table whose rows move between partitions: only one statement sees each of them once.

    Return what to record when it is committed. Such a table is small, else the policy is refused.
    """
    rows = Rows(task, sql.SQL(""))
    compute_values(opened, place.salt, [rows])
    ((masked,),) = opened.rows(
        sql.SQL("WITH updated AS ({} RETURNING 1) SELECT count(*) FROM updated").format(masking_update(rows))
    )
    values = sql.SQL("masked_rows = {}, chunks = 1, done = true").format(sql.Literal(masked))
    return _marked(place, task, values)


def _mask_chunk(opened: Session, place: Place, task: Task, at: _Position, pages: int) -> sql.Composed:
    """Mask a range of pages, and return what to record when it is committed."""
    until = min(at.next + pages, at.bound)
    names = {"target": TARGET, "moved": place.state("moved"), "low": _tid(at.next), "high": _tid(until)}
    names["in_range"] = _IN_RANGE.format(**names)
    rows = Rows(task, _NOT_MOVED.format(**names))
    compute_values(opened, place.salt, [rows])
    if opened.version < SCANS_RANGES_SINCE:
        # Else it might read the whole table for each range.
        opened.run(sql.SQL("SET enable_seqscan = off"))
    ((masked,),) = opened.rows(_CHUNK.format(update=masking_update(rows), end=_tid(at.bound), **names))
    values = sql.SQL("next = {}, done = {}, masked_rows = masked_rows + {}, chunks = chunks + 1").format(
        sql.Literal(until), sql.Literal(until >= at.bound), sql.Literal(masked)
    )
    return _marked(place, task, values)


def _position(opened: Session, place: Place, task: Task) -> _Position:
    (found,) = opened.rows(
        sql.SQL("SELECT coalesce(bound, 0), next, done FROM {} WHERE rel = {}").format(
            place.state("progress"), sql.Literal(task.rel)
        )
    )
    return _Position(*found)


def _limit(opened: Session, clock: SliceClock) -> None:
    milliseconds = int(clock.remaining() * 1000)
    opened.run(sql.SQL("SET statement_timeout = {}").format(sql.Literal(milliseconds)))


def _tid(page: int) -> sql.Composable:
    return sql.Literal(f"({page},0)")


def _only(task: Task) -> sql.SQL:
    return sql.SQL("" if task.moves else "ONLY")


def _unlink_large_objects(place: Place, clock: SliceClock) -> None:
    """Delete all large objects where the policy says so. Only their owners may."""
    with place.as_master() as opened:
        wanted = opened.rows(sql.SQL("SELECT empty_large_objects FROM {}").format(place.state("policy"))) == [(True,)]
    while wanted:
        clock.remaining()
        with place.as_master() as opened:
            found = opened.rows(
                sql.SQL(
                    "SELECT oid, pg_get_userbyid(lomowner) FROM pg_largeobject_metadata ORDER BY oid LIMIT {}"
                ).format(sql.Literal(LARGE_OBJECTS_AT_ONCE))
            )
            with borrowed_owners(opened, {owner for _, owner in found}):
                opened.rows(
                    sql.SQL("SELECT lo_unlink(object) FROM unnest({}::oid[]) AS object").format(
                        sql.Literal([number for number, _ in found])
                    )
                )
        wanted = len(found) == LARGE_OBJECTS_AT_ONCE
