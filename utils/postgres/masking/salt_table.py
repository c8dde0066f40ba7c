"""The salt of the hashes in one session: in a temporary table, which reaches neither a log, nor WAL, nor a backup.

A literal would stand in pg_stat_activity and in the server's log, a parameter in the log. COPY's data are in neither.
Temporary tables are not logged and end with their session (PostgreSQL's documentation, "CREATE TABLE").
"""

from __future__ import annotations

import io

from psycopg2 import sql

from utils.postgres.session import Session

SALT_TABLE = sql.Identifier("pg_temp", "aurora_restore_salt")


def give_salt(opened: Session, salt: str) -> None:
    """Create the session's table with the salt in its only row. The salt has no character that COPY would escape."""
    if not salt.isalnum():
        raise ValueError("a salt is letters and digits")
    opened.run(sql.SQL("CREATE TEMPORARY TABLE {} (salt pg_catalog.text NOT NULL)").format(SALT_TABLE))
    with opened.connection.cursor() as cursor:
        copy = sql.SQL("COPY {} FROM STDIN").format(SALT_TABLE)
        cursor.copy_expert(copy, io.StringIO(salt + "\n"))


def take_salt(opened: Session) -> None:
    """Drop the session's table: what comes after may be code of the data."""
    opened.run(sql.SQL("DROP TABLE {}").format(SALT_TABLE))
