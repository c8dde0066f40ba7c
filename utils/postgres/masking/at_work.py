"""What the questions about the tables at work share: their partitions, what of them is masked, and trees of indexes."""

from __future__ import annotations

from psycopg2 import sql

from utils.postgres.masking.sessions import Place

# Tables with work; the partitions of those whose rows move; what is to be masked in each. What has no rows of its own,
# or no longer has any, and what is analyzed in place of it.
AT_WORK = sql.SQL("""
    WITH RECURSIVE own AS (
        SELECT FROM {policy} WHERE own_sql <> '[]'
    ), parts(rel, top) AS (
        SELECT rel, rel FROM {work}
        UNION SELECT i.inhrelid, parts.top FROM parts JOIN pg_inherits i ON i.inhparent = parts.rel
                JOIN {work} w ON w.rel = parts.top AND w.moves
    ), emptied(rel) AS (
        SELECT rel FROM {work} WHERE is_empty
    ), masked(rel, attnum, name, has_form) AS (
        SELECT DISTINCT a.attrelid, a.attnum, a.attname, m.not_masked IS NOT NULL
          FROM parts JOIN {masked_column} m ON m.rel = parts.top
          JOIN pg_attribute a ON a.attrelid = parts.rel AND a.attname::text = m.name
    ), above(rel, attnum) AS (
        SELECT rel, attnum FROM masked
        UNION SELECT i.inhparent, a.attnum FROM above JOIN pg_inherits i ON i.inhrelid = above.rel
                JOIN pg_class p ON p.oid = i.inhparent AND p.relkind = 'p'
                JOIN pg_attribute c ON c.attrelid = above.rel AND c.attnum = above.attnum
                JOIN pg_attribute a ON a.attrelid = i.inhparent AND a.attname = c.attname
    ), above_emptied(rel) AS (
        SELECT rel FROM emptied
        UNION SELECT i.inhparent FROM above_emptied JOIN pg_inherits i ON i.inhrelid = above_emptied.rel
                JOIN pg_class p ON p.oid = i.inhparent AND p.relkind = 'p'
    ), of_nothing(rel) AS (
        SELECT oid FROM pg_class WHERE relkind = 'p' AND NOT EXISTS (SELECT FROM pg_partition_tree(oid) WHERE isleaf)
    ), renewed(rel) AS (
        SELECT rel FROM emptied UNION SELECT oid FROM pg_class WHERE relkind = 'm'
    ), analyzed(rel) AS (
        SELECT rel FROM parts UNION SELECT rel FROM above UNION SELECT rel FROM above_emptied
        UNION SELECT rel FROM of_nothing UNION SELECT rel FROM renewed
    )
""")
# Indexes with all that are joined with them, of partitions and their tables, by the topmost one; and those of keys that
# views and functions lean on: who groups by a primary key may select the other columns, and PostgreSQL keeps the
# constraint as long as such a view (PostgreSQL's documentation, SELECT, "GROUP BY Clause", and its source,
# check_functional_grouping).
TREES = sql.SQL("""
    tops(oid) AS (
        SELECT oid FROM touched
        UNION SELECT h.inhparent FROM tops JOIN pg_inherits h ON h.inhrelid = tops.oid
    ), trees(oid, top) AS (
        SELECT oid, oid FROM tops WHERE NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = tops.oid)
        UNION SELECT h.inhrelid, trees.top FROM trees JOIN pg_inherits h ON h.inhparent = trees.oid
    ), leaning(top, con, classid, objid) AS (
        SELECT t.top, k.oid, d.classid, d.objid FROM trees t
          JOIN pg_constraint k ON k.conindid = t.oid AND k.contype IN ('p', 'u')
          JOIN pg_depend d ON d.refclassid = 'pg_constraint'::regclass AND d.refobjid = k.oid AND d.deptype = 'n'
    )
""")


def asked(question: sql.Composable, place: Place) -> sql.Composed:
    """Return a question that begins with the tables at work."""
    at_work = AT_WORK.format(
        work=place.state("work"), masked_column=place.state("masked_column"), policy=place.state("policy")
    )
    return at_work + question
