"""A part that a table has for a moment: without one, ANALYZE leaves what it has of the table's former parts.

It finds no child, or no row in any of them, and replaces nothing (PostgreSQL's source, acquire_inherited_sample_rows);
what was read from tables that were dropped since stays for ever, with `inherited` set in pg_stats.
"""

from __future__ import annotations

from psycopg2 import sql

from utils.postgres.masking.made_up_row import analyzing_with_parents, made_up_row
from utils.postgres.session import Session
from utils.postgres.slice_clock import SliceClock

# Tables of which statistics list what they and their parts have, the deepest first; and whether they have such parts.
# A partitioned one among these counts for its partitions only. No foreign table is a part, as it would be read.
_INHERITED = sql.SQL("""
    WITH RECURSIVE parts(top, rel) AS (
        SELECT inhparent, inhrelid FROM pg_inherits WHERE inhparent = ANY({rels}::oid[])
        UNION SELECT parts.top, i.inhrelid FROM parts JOIN pg_inherits i ON i.inhparent = parts.rel
    )
    SELECT c.oid, n.nspname, c.relname, p.partstrat,
           EXISTS (SELECT FROM parts JOIN pg_class m ON m.oid = parts.rel
                    WHERE parts.top = c.oid AND (c.relkind = 'r' OR m.relkind <> 'p'))
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_partitioned_table p ON p.partrelid = c.oid
     WHERE c.oid = ANY({rels}::oid[])
       AND NOT EXISTS (SELECT FROM parts JOIN pg_class f ON f.oid = parts.rel WHERE top = c.oid AND f.relkind = 'f')
       AND EXISTS (SELECT FROM pg_stats s WHERE s.schemaname = n.nspname AND s.tablename = c.relname AND s.inherited
                      AND (s.most_common_vals IS NOT NULL OR s.histogram_bounds IS NOT NULL
                           OR s.most_common_elems IS NOT NULL))
     ORDER BY (SELECT count(*) FROM pg_partition_ancestors(c.oid)) DESC, c.oid
""")


def renew_inherited(opened: Session, rels: list[int], clock: SliceClock) -> None:
    """Replace what statistics show of former parts of these tables, each of them in a transaction.

    The new part has a row if nothing else has one, and is dropped again. It comes as a whole with that row, so no
    trigger and no rule of the table's fires. Where it is refused, as by a CHECK, the gate finds what stays.
    """
    for rel, schema, table, strategy, has_parts in opened.rows(_INHERITED.format(rels=sql.Literal(rels))):
        milliseconds = int(clock.remaining() * 1000)
        opened.run(sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(milliseconds)))
        name = sql.Identifier(schema, table)
        has_rows = bool(opened.rows(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(name)))
        if not (has_rows and has_parts):
            part = sql.Identifier("pg_temp" if strategy is None else schema, "aurora_restore_part")
            steps = [
                _part_of(part, name, strategy),
                None if has_rows else made_up_row(opened, rel, part),
                _joining(part, name, strategy),
                analyzing_with_parents(opened, rel),
                _leaving(part, name, strategy),
                sql.SQL("DROP TABLE {}").format(part),
            ]
            opened.why_not(sql.SQL("; ").join(step for step in steps if step is not None))
        opened.connection.commit()


def _part_of(part: sql.Identifier, table: sql.Identifier, strategy: str | None) -> sql.Composed:
    if strategy is None:
        return sql.SQL("CREATE TEMPORARY TABLE {} () INHERITS ({})").format(part, table)
    return sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING CONSTRAINTS INCLUDING GENERATED)").format(part, table)


def _joining(part: sql.Identifier, table: sql.Identifier, strategy: str | None) -> sql.Composed | None:
    if strategy is None:
        return None
    # A table that is partitioned by hash takes no default partition (PostgreSQL's documentation, CREATE TABLE).
    bounds = sql.SQL("FOR VALUES WITH (MODULUS 1, REMAINDER 0)" if strategy == "h" else "DEFAULT")
    return sql.SQL("ALTER TABLE {} ATTACH PARTITION {} {}").format(table, part, bounds)


def _leaving(part: sql.Identifier, table: sql.Identifier, strategy: str | None) -> sql.Composed | None:
    # A foreign key that refers to the table depends on each of its partitions, which cannot be dropped then.
    return None if strategy is None else sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(table, part)
