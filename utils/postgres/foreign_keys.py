"""Rows whose foreign key leads nowhere: PostgreSQL's own mark of a valid key says what was true once."""

from __future__ import annotations

from typing import NamedTuple

from psycopg2 import sql

# Of partitions only those of their root. The operator is the key's own. The rows of tables that inherit neither break a
# key nor satisfy it: PostgreSQL's own query reads ONLY what is not partitioned (its source, ri_triggers.c,
# RI_Initial_Check). A foreign table is never read: as a partition of a table with a key, it is refused.
FOREIGN_KEYS = sql.SQL("""
    SELECT c.oid, c.conname, c.conrelid, c.confrelid, c.convalidated,
           c.conrelid::regclass::text AS child, c.confrelid::regclass::text AS parent,
           (SELECT relkind <> 'p' FROM pg_class WHERE oid = c.conrelid) AS child_alone,
           (SELECT relkind <> 'p' FROM pg_class WHERE oid = c.confrelid) AS parent_alone,
           string_agg(format('p.%I OPERATOR(%I.%s) c.%I', pa.attname, n.nspname, o.oprname, ca.attname), ' AND ')
             AS same,
           string_agg(format('c.%I IS NOT NULL', ca.attname), ' AND ') AS given
      FROM pg_constraint c, unnest(c.conkey, c.confkey, c.conpfeqop) AS k(child, parent, operator)
      JOIN pg_operator o ON o.oid = k.operator JOIN pg_namespace n ON n.oid = o.oprnamespace,
           pg_attribute ca, pg_attribute pa
     WHERE c.contype = 'f' AND c.conparentid = 0
       AND ca.attrelid = c.conrelid AND ca.attnum = k.child AND pa.attrelid = c.confrelid AND pa.attnum = k.parent
     GROUP BY c.oid
""")


class ForeignKeyConditions(NamedTuple):
    """A foreign key, with its tables and its conditions as PostgreSQL writes them.

    A table counts alone, without those that inherit from it, unless it is partitioned.
    """

    name: str
    child: str
    child_alone: bool
    parent: str
    parent_alone: bool
    same: str
    given: str

    @property
    def orphans(self) -> sql.Composed:
        """Return the query for the number of rows that refer to none."""
        return sql.SQL("SELECT count(*) FROM {} {} c WHERE {} AND NOT EXISTS (SELECT FROM {} {} p WHERE {})").format(
            sql.SQL("ONLY" if self.child_alone else ""),
            sql.SQL(self.child),
            sql.SQL(self.given),
            sql.SQL("ONLY" if self.parent_alone else ""),
            sql.SQL(self.parent),
            sql.SQL(self.same),
        )
