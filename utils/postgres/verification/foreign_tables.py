"""Foreign tables are never read: their rows are elsewhere, mostly in production, which a check must not contact."""

from __future__ import annotations

from psycopg2 import sql

# Whether a foreign table is among the partitions and the children of a table, however far below.
FOREIGN_BELOW = sql.SQL("""
    EXISTS (WITH RECURSIVE below(rel) AS (
                SELECT {table} UNION SELECT inhrelid FROM below JOIN pg_inherits ON inhparent = below.rel)
            SELECT FROM below JOIN pg_class f ON f.oid = below.rel WHERE f.relkind = 'f')
""")
