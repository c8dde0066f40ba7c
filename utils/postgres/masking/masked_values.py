"""The masked values of rows, computed before anything of the data runs in the session that has the salt.

What changes a row runs its CHECKs, its domains and its generated columns: code of the data, in that very session, which
could read the salt, by which a masked value can be guessed. So the first statements of a session compute the values
into a temporary table; then the salt goes, and what changes the rows takes them from that table.

Nothing of the data runs while they are computed. They are of the types that domains are made of. While it plans,
PostgreSQL computes what has constants alone: in expressions of indexes and of extended statistics, of a partition key,
and of CHECKs where constraints may exclude a table (PostgreSQL's source, RelationGetIndexExpressions,
get_relation_statistics, RelationBuildPartitionKey, get_relation_constraints). The first two and event triggers are away
meanwhile (dependents.py), rows are read from the tables that have them, and constraints exclude none. Code that ran in
an earlier session may have changed the tables: so they are looked at once more, and locked, before the salt is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from psycopg2 import sql

from utils.errors import StepFailed
from utils.foreign_text import listed, one_line
from utils.postgres.masking.salt_table import give_salt, take_salt
from utils.postgres.masking.state import Task, parts_of, shape_of
from utils.postgres.session import Session

# The target has a name that no column has. So have the columns beside it, since a policy's expression names its own.
TARGET = sql.Identifier("aurora_restore_target")
_MASKED = sql.Identifier("aurora_restore_masked")
_REL, _TID = sql.Identifier("aurora_restore_rel"), sql.Identifier("aurora_restore_tid")
# The table itself, and its partitions where its rows are spread over these.
_WITH_ROWS = sql.SQL("""
    {parts} SELECT n.nspname::text, c.relname::text
      FROM parts JOIN pg_class c ON c.oid = parts.rel AND (c.relkind = 'r' OR c.oid = {rel})
      JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 1, 2
""")
# What is evaluated while a table is planned.
_HANGS = sql.SQL("""
    {parts} SELECT format('index %s', indexrelid::regclass) FROM parts JOIN pg_index ON indrelid = rel
     WHERE indexprs IS NOT NULL OR indpred IS NOT NULL
    UNION ALL SELECT format('statistics %s', stxname) FROM parts JOIN pg_statistic_ext ON stxrelid = rel
""")


class Rows(NamedTuple):
    """Some rows of a table at work, and the name of the temporary table for their masked values."""

    task: Task
    which: sql.Composable
    """What follows FROM, over TARGET."""
    number: int = 0

    @property
    def values(self) -> sql.Identifier:
        """Return the name of the temporary table."""
        return sql.Identifier("pg_temp", f"aurora_restore_values_{self.number}")


def compute_values(opened: Session, salt: str, all_rows: Iterable[Rows]) -> None:
    """Compute the masked values, in a session in which nothing of the data has run yet, and take the salt away again.

    The caller's transaction has everything of it, and its statements that come after are without the salt.
    """
    read = [(rows, _locked_parts(opened, rows.task)) for rows in all_rows]
    opened.run(sql.SQL("SET constraint_exclusion = off"))
    give_salt(opened, salt)
    for rows, parts in read:
        named = sql.SQL(", ").join(
            sql.SQL("{} AS {}").format(sql.SQL(column.value), _value(number))
            for number, column in enumerate(rows.task.columns)
        )
        selected = sql.SQL("SELECT {}.tableoid AS {}, {}.ctid AS {}, {}").format(TARGET, _REL, TARGET, _TID, named)
        query = sql.SQL(" UNION ALL ").join(
            sql.SQL("({} FROM ONLY {} AS {} {})").format(selected, part, TARGET, rows.which) for part in parts
        )
        opened.run(sql.SQL("CREATE TEMPORARY TABLE {} AS {}").format(rows.values, query))
    take_salt(opened)


def _locked_parts(opened: Session, task: Task) -> list[sql.Identifier]:
    """Return the tables that have the rows, which nobody changes now and on which nothing hangs that could run."""
    parts = parts_of(task.rel, moves=task.moves)
    found = opened.rows(_WITH_ROWS.format(parts=parts, rel=sql.Literal(task.rel)))
    name = f"{one_line(task.schema)}.{one_line(task.table)}"
    if not found:
        raise StepFailed(
            f"Masking failed: table {name} no longer exists. Find out what has dropped it, then start a new operation. "
            "The door of the restored cluster stays shut."
        )
    tables = [sql.Identifier(*each) for each in found]
    for part in tables:
        opened.run(sql.SQL("LOCK TABLE ONLY {} IN SHARE UPDATE EXCLUSIVE MODE").format(part))
    hangs = opened.rows(_HANGS.format(parts=parts))
    if hangs or shape_of(opened, task.rel, moves=task.moves) != task.shape:
        changed = listed(f"it has {one_line(each)} now" for (each,) in hangs) or "it has other columns now"
        raise StepFailed(
            f"Masking failed: table {name} was changed while others were masked: {changed}. Code of the data did that. "
            "Find out which, then start a new operation. The door of the restored cluster stays shut."
        )
    return tables


def masking_update(rows: Rows) -> sql.Composed:
    """Return the UPDATE that gives the rows their masked values, up to its RETURNING. It needs no salt."""
    values = sql.SQL(", ").join(
        sql.SQL("{} = {}.{}").format(sql.Identifier(column.name), _MASKED, _value(number))
        for number, column in enumerate(rows.task.columns)
    )
    return sql.SQL(
        "UPDATE {only} {table} AS {target} SET {set} FROM {values} AS {masked}"
        " WHERE {target}.tableoid = {masked}.{rel} AND {target}.ctid = {masked}.{tid}"
    ).format(
        only=rows.task.only,
        table=rows.task.name,
        target=TARGET,
        set=values,
        values=rows.values,
        masked=_MASKED,
        rel=_REL,
        tid=_TID,
    )


def _value(number: int) -> sql.Identifier:
    return sql.Identifier(f"aurora_restore_{number}")
