"""The files of an export in its bucket: one of each table, and the two that describe them.

The paths are RDS's. Their content is not: where RDS writes Parquet stands a small JSON document with the table's name
and its number of rows, counted in the snapshot's data.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from scripts.local_aws.postgres.servers import Postgres, Servers
from scripts.local_aws.postgres.setup import quoted
from scripts.local_aws.postgres.volumes import Volume

_DATABASES = "select datname from pg_database where datallowconn and not datistemplate and datname <> 'rdsadmin'"
_TABLES = """
    select n.nspname, c.relname, pg_total_relation_size(c.oid)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and c.relpersistence = 'p'
      and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
    order by 1, 2
"""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the snapshot, with its size in bytes."""

    database: str
    schema: str
    name: str
    rows: int
    size: int

    @property
    def names(self) -> frozenset[str]:
        """Return the names by which ExportOnly selects it: its own, its schema's and its database's."""
        schema = f"{self.database}.{self.schema}"
        return frozenset({self.database, schema, f"{schema}.{self.name}"})


@dataclasses.dataclass(frozen=True)
class Extract:
    """The tables, and what of ExportOnly is not there."""

    tables: tuple[Table, ...]
    unknown: tuple[str, ...]

    def files(self, task_identifier: str, described: Mapping[str, Any]) -> dict[str, bytes]:
        """Return the files by their path below the task's own folder."""
        part = "1/part-00000-c000.gz.parquet"
        tables = {
            f"{table.database}/{table.schema}.{table.name}/{part}": _json(
                {"standsFor": "Parquet", "table": f"{table.schema}.{table.name}", "rows": table.rows}
            )
            for table in self.tables
        }
        statistics = [
            {"target": f"{table.database}.{table.schema}.{table.name}", "status": "COMPLETE", "rows": table.rows}
            for table in self.tables
        ]
        return {
            **tables,
            f"export_info_{task_identifier}.json": _json(described),
            f"export_tables_info_{task_identifier}_from_1_to_{len(statistics)}.json": _json(
                {"perTableStatus": statistics}
            ),
        }


def extract(servers: Servers, volume: Volume, only: Iterable[str]) -> Extract:
    """Count what the volume holds, with a server of its own that is gone afterwards. Takes a second or two."""
    server = servers.new(5432)
    try:
        server.create_from(volume)
        server.start()
        tables = [table for database in _databases(server) for table in _tables(server, database)]
    finally:
        server.destroy()
    wanted = set(only)
    known = frozenset().union(*(table.names for table in tables))
    kept = tuple(table for table in tables if not wanted or wanted & table.names)
    return Extract(kept, tuple(sorted(wanted - known)))


def _databases(server: Postgres) -> list[str]:
    with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(_DATABASES)
        return [name for (name,) in cursor.fetchall()]


def _tables(server: Postgres, database: str) -> list[Table]:
    with contextlib.closing(server.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute(_TABLES)
        found = []
        for schema, name, size in cursor.fetchall():
            cursor.execute(f"select count(*) from {quoted(schema)}.{quoted(name)}")
            (rows,) = cursor.fetchone() or (0,)
            found.append(Table(database, schema, name, rows, size))
        return found


def _json(document: object) -> bytes:
    return json.dumps(document, indent=1, default=str).encode()
