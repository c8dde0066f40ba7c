"""A session in a restored cluster, as a user of it opens one, and the rows that it sees."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg2
from psycopg2 import sql

from scripts.local_aws.server import LocalAws


@contextlib.contextmanager
def database_session(aws: LocalAws, server: Any, database: str, user: str, password: str) -> Iterator[Any]:
    """Yield a psycopg2 connection over verified TLS that is closed at the end. `server` has a host and a port."""
    connection = psycopg2.connect(
        host=server.host,
        port=server.port,
        dbname=database,
        user=user,
        password=password,
        sslmode="verify-full",
        sslrootcert=str(aws.rds_ca_bundle),
        connect_timeout=10,
    )
    try:
        yield connection
    finally:
        connection.close()


def count_rows(connection: Any, database: str) -> dict[str, int]:
    """Return the number of rows of every table and materialized view, by database.schema.name."""
    counts = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT schemaname, relname FROM pg_stat_user_tables UNION"
            " SELECT schemaname, matviewname FROM pg_matviews ORDER BY 1, 2"
        )
        for schema, table in cursor.fetchall():
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table)))
            counts[f"{database}.{schema}.{table}"] = cursor.fetchone()[0]
    return counts
