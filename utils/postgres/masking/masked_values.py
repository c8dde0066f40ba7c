"""The masked values of rows, computed before anything of the data runs in the session that has the salt.

What changes a row runs its CHECKs, its domains and its generated columns: code of the data, in that very session, which
could read the salt, and whoever has the salt can guess what a masked value was. So the first statements of a session
compute the values into a temporary table; then the salt goes, and what changes the rows takes them from that table.

Nothing of the data runs while they are computed. They are of the types that domains are made of. Rows are read from the
tables that have them, as PostgreSQL computes expressions of a partition key while it opens a partitioned table, and
functions of constants in CHECKs where constraints may exclude a table (PostgreSQL's source, RelationBuildPartitionKey,
get_relation_constraints). Indexes of expressions, extended statistics and event triggers are away meanwhile
(dependents.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from psycopg2 import sql

from utils.errors import StepFailed
from utils.foreign_text import one_line
from utils.postgres.masking.salt_table import give_salt, take_salt
from utils.postgres.masking.state import Task
from utils.postgres.session import Session

# The target has a name that no column has. So have the columns beside it, since a policy's expression names its own.
TARGET = sql.Identifier("aurora_restore_target")
_MASKED = sql.Identifier("aurora_restore_masked")
_REL, _TID = sql.Identifier("aurora_restore_rel"), sql.Identifier("aurora_restore_tid")
# The table itself, and its partitions where its rows are spread over these.
_WITH_ROWS = sql.SQL("""
    WITH RECURSIVE parts(rel) AS (
        SELECT {rel}::oid UNION SELECT inhrelid FROM parts JOIN pg_inherits ON inhparent = parts.rel WHERE {moves}
    )
    SELECT n.nspname::text, c.relname::text
      FROM parts JOIN pg_class c ON c.oid = parts.rel AND (c.relkind = 'r' OR c.oid = {rel})
      JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 1, 2
""")


class Rows(NamedTuple):
    """Some rows of a table at work, and the name of the temporary table for their masked values."""

    task: Task
    which: sql.Composable
    """What follows FROM, over TARGET."""
    number: int = 0

    @property
    def values(self) -> sql.Identifier:
        """The temporary table."""
        return sql.Identifier("pg_temp", f"aurora_restore_values_{self.number}")


def compute_values(opened: Session, salt: str, all_rows: Iterable[Rows]) -> None:
    """Compute the masked values, in a session in which nothing of the data has run yet, and take the salt away again.

    The caller's transaction has everything of it, and its statements that come after are without the salt.
    """
    give_salt(opened, salt)
    opened.run(sql.SQL("SET constraint_exclusion = off"))
    for rows in all_rows:
        named = sql.SQL(", ").join(
            sql.SQL("{} AS {}").format(sql.SQL(column.value), _value(number))
            for number, column in enumerate(rows.task.columns)
        )
        parts = opened.rows(_WITH_ROWS.format(rel=sql.Literal(rows.task.rel), moves=sql.Literal(rows.task.moves)))
        if not parts:
            raise StepFailed(
                f"Masking failed: table {one_line(rows.task.schema)}.{one_line(rows.task.table)} does not exist any "
                "more. Find out what has dropped it, then start again. The door of the restored cluster stays shut."
            )
        selected = sql.SQL("SELECT {}.tableoid AS {}, {}.ctid AS {}, {}").format(TARGET, _REL, TARGET, _TID, named)
        query = sql.SQL(" UNION ALL ").join(
            sql.SQL("({} FROM ONLY {} AS {} {})").format(selected, sql.Identifier(*part), TARGET, rows.which)
            for part in parts
        )
        opened.run(sql.SQL("CREATE TEMPORARY TABLE {} AS {}").format(rows.values, query))
    take_salt(opened)


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
        only=sql.SQL("" if rows.task.moves else "ONLY"),
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
