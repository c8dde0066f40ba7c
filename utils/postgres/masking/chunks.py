"""The rows of each table, masked in ranges of pages, each of them a transaction of its own with its mark.

A row that is updated moves, often to a page that comes later: without care it is masked twice, which breaks every join
with it. So each transaction notes those of its rows that moved beyond its range and below the end that the table had in
the beginning, and the ranges that follow leave these out. What code of the data adds to these is not masked, and counts
as such at the gate.
"""

from __future__ import annotations

import time
from itertools import groupby
from typing import NamedTuple

from psycopg2 import sql

from utils.postgres.masking.emptying import empty_table
from utils.postgres.masking.large_objects import unlink_large_objects
from utils.postgres.masking.lending import lend_only
from utils.postgres.masking.masked_values import TARGET, Rows, compute_values, masking_update
from utils.postgres.masking.sessions import Place, end_with_slice
from utils.postgres.masking.state import MASKED, Task, marked, pass_stage, tasks
from utils.postgres.masking.transactions import begin, note, settle
from utils.postgres.session import Session
from utils.postgres.slice_clock import OutOfTime, SliceClock

# PostgreSQL scans a range of pages by itself (release notes of 14, "TID Range Scan").
SCANS_RANGES_SINCE = 140000
FIRST_PAGES, MOST_PAGES = 256, 65536
CHUNK_SECONDS = 20.0

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


class _Position(NamedTuple):
    bound: int
    next: int
    done: bool


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
                empty_table(place, clock, task)
            elif task.columns:
                _mask(place, clock, task)
    unlink_large_objects(place, clock)
    with place.as_master() as opened:
        pass_stage(opened, place, MASKED)


def _mask(place: Place, clock: SliceClock, task: Task) -> None:
    """Mask the table, each range of pages in a session of its own, since the one before is left to the data's code."""
    pages = FIRST_PAGES
    with place.as_master() as known:
        _begin_table(known, place, task)
        while True:
            began = time.monotonic()
            with place.as_masker() as opened:
                end_with_slice(opened, clock)
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
    return marked(place, task, values)


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
    return marked(place, task, values)


def _position(opened: Session, place: Place, task: Task) -> _Position:
    (found,) = opened.rows(
        sql.SQL("SELECT coalesce(bound, 0), next, done FROM {} WHERE rel = {}").format(
            place.state("progress"), sql.Literal(task.rel)
        )
    )
    return _Position(*found)


def _tid(page: int) -> sql.Composable:
    return sql.Literal(f"({page},0)")
