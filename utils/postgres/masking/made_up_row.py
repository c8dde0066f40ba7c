"""A row without values, which a table has for a moment: ANALYZE replaces statistics only where it finds a row.

Of a single row PostgreSQL keeps no value (PostgreSQL's source, compute_scalar_stats: only what occurs twice is common,
and a histogram takes two values).
"""

from __future__ import annotations

from psycopg2 import sql

from utils.postgres.session import Session

# NULL where a column takes it; else the least that its type, or what a domain is made of in the end, can be.
_VALUES = sql.SQL("""
    WITH RECURSIVE made_of(attnum, name, needed, type, declared) AS (
        SELECT attnum, attname, attnotnull, atttypid, format_type(atttypid, atttypmod) FROM pg_attribute
         WHERE attrelid = {rel} AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
        UNION ALL
        SELECT attnum, name, needed OR t.typnotnull, t.typbasetype, declared
          FROM made_of JOIN pg_type t ON t.oid = type WHERE t.typtype = 'd'
    )
    SELECT name, declared,
           CASE WHEN NOT needed THEN NULL
                WHEN t.typtype = 'e'
                THEN (SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder LIMIT 1)
                WHEN typname = 'uuid' THEN '00000000-0000-0000-0000-000000000000'
                WHEN typname IN ('json', 'jsonb') THEN '{{}}'
                ELSE CASE typcategory WHEN 'A' THEN '{{}}' WHEN 'B' THEN 'false' WHEN 'D' THEN '2000-01-01 00:00+00'
                                      WHEN 'I' THEN '0.0.0.0' WHEN 'N' THEN '0' WHEN 'R' THEN 'empty'
                                      WHEN 'T' THEN '0' ELSE '' END
           END
      FROM made_of JOIN pg_type t ON t.oid = type WHERE t.typtype <> 'd' ORDER BY attnum
""")


# Deleting a row takes along, or is refused by, what refers to it. A key that was never validated may have had rows that
# refer to nothing (PostgreSQL's documentation, ALTER TABLE, NOT VALID): perhaps to what the made-up row is known by.
_KEYS_WITHOUT_PROOF = sql.SQL(
    "SELECT 1 FROM pg_constraint WHERE confrelid = {rel} AND contype = 'f' AND NOT convalidated"
)


def made_up_row(opened: Session, rel: int, into: sql.Identifier) -> sql.Composed | None:
    """Return the statement that inserts such a row, of the relation's columns, and None where it has no columns."""
    columns = opened.rows(_VALUES.format(rel=sql.Literal(rel)))
    values = [sql.SQL("CAST({} AS {})").format(sql.Literal(value), sql.SQL(declared)) for _, declared, value in columns]
    insert = sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})").format(
        into, sql.SQL(", ").join(sql.Identifier(column) for column, _, _ in columns), sql.SQL(", ").join(values)
    )
    return insert if columns else None


def insert_made_up_row(opened: Session, rel: int, name: sql.Identifier) -> bool:
    """Insert such a row into the table itself, and return whether it takes it and can be deleted again."""
    if opened.rows(_KEYS_WITHOUT_PROOF.format(rel=sql.Literal(rel))):
        return False
    insert = made_up_row(opened, rel, name)
    return insert is not None and opened.why_not(insert) is None


# What is analyzed with one row, so also what consists of the table: the last of its parts to be emptied decides.
_WITH_PARENTS = sql.SQL("""
    WITH RECURSIVE up(rel) AS (
        SELECT {rel}::oid UNION SELECT inhparent FROM up JOIN pg_inherits ON inhrelid = up.rel
    )
    SELECT n.nspname, c.relname FROM up JOIN pg_class c ON c.oid = up.rel JOIN pg_namespace n ON n.oid = c.relnamespace
""")


def analyzing_with_parents(opened: Session, rel: int) -> sql.Composed:
    """Return statements that analyze the table and all that it is a part of. PostgreSQL passes over another's."""
    names = [sql.Identifier(*row) for row in opened.rows(_WITH_PARENTS.format(rel=sql.Literal(rel)))]
    return sql.SQL("; ").join(sql.SQL("ANALYZE {}").format(name) for name in names)


def shows_values_of_no_row(opened: Session, schema: str, table: str, *, only: bool) -> bool:
    """Return whether statistics show values of a table or materialized view that has no row."""
    shown = opened.rows(
        sql.SQL(
            "SELECT 1 FROM pg_stats WHERE schemaname = %s AND tablename = %s AND (most_common_vals IS NOT NULL"
            " OR histogram_bounds IS NOT NULL OR most_common_elems IS NOT NULL)"
        ),
        (schema, table),
    )
    question = sql.SQL("SELECT 1 FROM {} {} LIMIT 1").format(
        sql.SQL("ONLY" if only else ""), sql.Identifier(schema, table)
    )
    return bool(shown) and not opened.rows(question)
