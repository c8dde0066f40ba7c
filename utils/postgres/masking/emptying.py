"""Tables that are to be empty: their rows are deleted, and what statistics show of them is replaced.

ANALYZE leaves the statistics of a table alone where it finds no row. With a single row in its sample it keeps no value
(PostgreSQL's source, compute_scalar_stats: only what occurs twice is common, and a histogram takes two values).
"""

from __future__ import annotations

from psycopg2 import sql

from utils.postgres.masking.made_up_row import analyzing_with_parents
from utils.postgres.masking.sessions import Place, end_with_slice, lock
from utils.postgres.masking.state import Task, marked
from utils.postgres.session import Session
from utils.postgres.slice_clock import SliceClock

_KEPT_COLUMNS = sql.SQL("""
    SELECT a.attname, CASE WHEN t.typcategory = 'A' THEN '{{}}' WHEN t.typname = 'tsvector' THEN '' END,
           format_type(a.atttypid, a.atttypmod)
      FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = {rel} AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum
""")


def empty_table(place: Place, clock: SliceClock, task: Task) -> None:
    """Empty the table, and replace its statistics, and record it as done."""
    with place.as_masker() as opened:
        lock(opened, place, task.rel)
        end_with_slice(opened, clock)
        _keep_one_row(opened, task)
    with place.as_master() as known:
        # A second time finds no row, and changes nothing.
        known.run(marked(place, task, sql.SQL("done = true, chunks = 1")))


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
