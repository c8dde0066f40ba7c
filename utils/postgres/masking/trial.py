"""The trial: some rows of each table are masked and taken back, before a first row is changed for good.

What CHECKs and domains accept stands in no catalogue, nor what indexes and statistics can be computed of. The trial
also looks for values that the policy refuses or that would become equal, and for keys that stay and have the masked
form already; and what statistics show of a table that has had no row for longer is replaced meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import psycopg2
from psycopg2 import sql

from utils.errors import StepFailed
from utils.foreign_text import one_line
from utils.postgres.masking.computed import Computed, computed
from utils.postgres.masking.kept_keys import KeptKey, kept_keys, key_refusal
from utils.postgres.masking.lending import lend_only
from utils.postgres.masking.made_up_row import analyzing_with_parents, insert_made_up_row, shows_values_of_no_row
from utils.postgres.masking.masked_values import TARGET, Rows, compute_values, masking_update
from utils.postgres.masking.sessions import Place, end_with_slice
from utils.postgres.masking.state import Task, marked, tasks
from utils.postgres.session import Session
from utils.postgres.slice_clock import SliceClock
from utils.sqlstates import passes

TRIED_ROWS = 100
# Tables whose rows are tried in one session. A slice that ends in between tries these once more.
TRIED_AT_ONCE = 20
_TRIED = sql.SQL("{update} RETURNING {target}.tableoid, {target}.ctid::text")


def try_tables(place: Place, clock: SliceClock) -> None:
    """Mask some rows of each table and take it back, and look for values that the policy refuses.

    Raises StepFailed before a first row is changed.
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
        end_with_slice(opened, clock)
        compute_values(opened, place.salt, tried.values())
        opened.connection.commit()
        for task in some:
            end_with_slice(opened, clock)
            _renew_statistics(opened, task)
            opened.connection.commit()
            end_with_slice(opened, clock)
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
            known.run(marked(place, task, sql.SQL("tried = true")))
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
            "Insert a row in the source, ANALYZE the table, delete the row, then start a new operation."
        )
    opened.run(analyzing_with_parents(opened, task.rel))
    # TRUNCATE is refused where a foreign key refers to the table, with rows or without (PostgreSQL's documentation).
    opened.run(sql.SQL("DELETE FROM {} {}").format(task.only, task.name))


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
        only=task.only,
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
            "start a new operation."
        ) from None


def _look_at_values(opened: Session, task: Task) -> None:
    """Raise StepFailed where original values are refused, or would become equal in a column that has to be unique."""
    for column in task.columns:
        where = f"{one_line(task.schema)}.{one_line(task.table)}.{one_line(column.name)}"
        if column.refused is not None:
            question = sql.SQL("SELECT count(*) FROM {} {} WHERE {}").format(
                task.only, task.name, sql.SQL(column.refused)
            )
            ((refused,),) = opened.rows(question)
            if refused:
                raise StepFailed(
                    f"Masking has not begun: {refused} rows of {where} have a value that the policy refuses. Correct "
                    "the policy's rule for that column, then start a new operation."
                )
        if column.distinct_by is not None:
            name = sql.Identifier(column.name)
            question = sql.SQL("SELECT count(DISTINCT {name}), count(DISTINCT {by}) FROM {only} {table}").format(
                name=name, by=sql.SQL(column.distinct_by), only=task.only, table=task.name
            )
            ((different, left),) = opened.rows(question)
            if left < different:
                raise StepFailed(
                    f"Masking has not begun: {different - left} values of {where}, which are unique, would become "
                    "equal to others. Correct the policy's rule for that column, then start a new operation."
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
            task.only, task.name, sql.Identifier(column.name), sql.SQL(column.not_masked)
        )
        ((alike,),) = opened.rows(question)
        if alike:
            where = f"{one_line(task.schema)}.{one_line(task.table)}.{one_line(column.name)}"
            raise key_refusal(place, f"{alike} rows of {where} have the masked form already", of_this)
