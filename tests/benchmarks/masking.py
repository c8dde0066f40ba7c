"""What masking costs the database beside plain UPDATEs of the same columns: CPU seconds of the server, and memory.

Both work on a copy of one volume: tables of ten columns with six indexes, four of them on the four columns that are
masked. The plain UPDATEs set the same columns to the same expressions, one statement for each table, with all indexes
in place; masking does all that it always does, from the plan to its gate. The server's CPU seconds are those of all of
its processes, so another load of the machine changes little. Exit status 1 when the ratio is over LIMIT, or when what
the masking process takes of memory grows with the rows.

    .venv/bin/python tests/benchmarks/masking.py [--rows 1000000] [--tables 10]
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from scripts.local_aws.postgres.servers import Postgres, Servers  # noqa: E402 - needs the path that is set above
from scripts.local_aws.postgres.volumes import Volume  # noqa: E402
from utils.logins.master import MasterLogin  # noqa: E402
from utils.masking.reading import read_policy  # noqa: E402
from utils.postgres.databases import enter_cluster  # noqa: E402
from utils.postgres.masking.catalogue import read_catalogue  # noqa: E402
from utils.postgres.masking.mask import mask_slice, remove_masking_state  # noqa: E402
from utils.postgres.masking.salt_table import give_salt  # noqa: E402
from utils.postgres.masking.work import plan_work  # noqa: E402
from utils.postgres.session import Server, Session  # noqa: E402

LIMIT = 0.7
MOST_GROWTH_KIB = 64 * 1024
MASTER, MASTER_PASSWORD, SALT, FINGERPRINT = "boss", "Masters-password-1", "0123456789abcdefSalt", "1a2b3c4d"
POLICY = """
version: 1
types: {integer: keep, numeric: keep, timestamptz: keep}
databases:
  orders:
    columns:
      "public.*.email": email
      "public.*.phone": {hash: {length: 20}}
      "public.*.full_name": name
      "public.*.iban": {hash: {length: 22}}
      "public.*.{note,status}": keep
"""
TABLE = (
    "create table {name} (id int primary key, email text not null, phone text, full_name text, iban text, note text,"
    " status text, amount numeric(10, 2), customer int, at timestamptz)",
    "insert into {name} select i, 'person' || i || '@real.org', '+49 170 ' || i, 'Real Name ' || i % 5000,"
    " 'DE' || lpad(i::text, 20, '0'), repeat('note ', 8), 'open', i, i % 999, '2026-01-01'::timestamptz + i * interval"
    " '1 second' from generate_series(1, {rows}) i",
    "create unique index on {name} (email)",
    "create index on {name} (phone)",
    "create index on {name} (full_name)",
    "create index on {name} (iban)",
    "create index on {name} (customer)",
    "alter table {name} owner to boss",
)


def cpu_seconds(postgres: Postgres) -> float:
    """All that the server's processes have taken, those that have ended included."""
    postmaster = int((postgres._volume / "postmaster.pid").read_text().splitlines()[0])
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(entry.name) == postmaster:
                total += sum(map(int, fields[11:15]))
            elif int(fields[1]) == postmaster:
                total += sum(map(int, fields[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def on_a_copy(servers: Servers, volume: Volume, work: Callable[[Postgres], None]) -> tuple[float, float]:
    """CPU and wall-clock seconds."""
    postgres = servers.new(5432)
    postgres.create_from(volume)
    postgres.start()
    try:
        before, began = cpu_seconds(postgres), time.monotonic()
        work(postgres)
        time.sleep(1)  # until the processes have ended
        return cpu_seconds(postgres) - before, time.monotonic() - began
    finally:
        postgres.destroy()


def masked(postgres: Postgres) -> None:
    server = Server(host=postgres.address, port=postgres.port, ca_bundle=str(postgres.ca_bundle))
    master = MasterLogin(username=MASTER, password=MASTER_PASSWORD, host=postgres.address, port=postgres.port)
    cluster = enter_cluster(server, master)
    done = False
    while not done:
        ends = time.monotonic() + 720
        done = mask_slice(
            cluster,
            read_policy(POLICY),
            SALT,
            FINGERPRINT,
            lambda ends=ends: ends - time.monotonic(),  # type: ignore[misc]
        ).done
    remove_masking_state(cluster, FINGERPRINT)


def updated(postgres: Postgres) -> None:
    with closing(postgres.connect("orders")) as connected, connected.cursor() as cursor:
        cursor.execute("set search_path = pg_catalog")
        opened = Session(connected, cursor)
        give_salt(opened, SALT)
        for table in plan_work(read_policy(POLICY), read_catalogue(opened)).tables:
            values = ", ".join(f"{column.name} = {column.value.as_string(connected)}" for column in table.columns)
            cursor.execute(f"update {table.schema}.{table.table} set {values}")


def volume_of(servers: Servers, tables: int, rows: int) -> Volume:
    postgres, volume = servers.new(5432), servers.new_volume()
    postgres.create(MASTER, MASTER_PASSWORD, "orders")
    postgres.start()
    with closing(postgres.connect("orders")) as connected, connected.cursor() as cursor:
        for number in range(tables):
            for statement in TABLE:
                cursor.execute(statement.format(name=f"public.t{number}", rows=rows // tables))
        cursor.execute("vacuum analyze")
    postgres.stop()
    postgres.copy_to(volume)
    postgres.destroy()
    return volume


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--tables", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="masking-benchmark-") as directory:
        servers = Servers(Path(directory))
        try:
            small = volume_of(servers, given.tables, given.rows // 20)
            least_cpu, _ = on_a_copy(servers, small, masked)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            volume = volume_of(servers, given.tables, given.rows)
            mask_cpu, mask_wall = on_a_copy(servers, volume, masked)
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            plain_cpu, plain_wall = on_a_copy(servers, volume, updated)
        finally:
            servers.close()
    ratio = mask_cpu / plain_cpu
    print(f"{given.rows} rows in {given.tables} tables")
    print(f"masking        {mask_cpu:8.1f} s CPU {mask_wall:8.1f} s")
    print(f"plain UPDATEs  {plain_cpu:8.1f} s CPU {plain_wall:8.1f} s")
    print(f"masking a twentieth of the rows took {least_cpu:.1f} s CPU")
    print(f"ratio of CPU   {ratio:8.2f} (limit {LIMIT})")
    print(f"memory of the masking process grew by {grown} KiB from a twentieth of the rows on")
    return int(ratio > LIMIT or grown > MOST_GROWTH_KIB)


if __name__ == "__main__":
    sys.exit(main())
