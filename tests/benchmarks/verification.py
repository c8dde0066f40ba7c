"""What a verification costs beside the bare counting of the same tables: 10,000 tables in 200 schemas.

Both count the same rows on the same server, in turn, round by round: the bare way in one session, with one count(*) for
each table, whose names it is given; ours with the role that it makes and removes, the schema's fingerprint, indexes,
sequences and extensions. It says the median ratio of their times by the clock, the most memory that Python held
meanwhile, and the sizes of what the state table keeps. It measures, and has no limit.

    .venv/bin/python tests/benchmarks/verification.py [--tables 10000] [--schemas 200] [--rows 100] [--rounds 3]
"""

from __future__ import annotations

import argparse
import datetime as dt
import gzip
import statistics
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import msgspec
from psycopg2 import sql

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from scripts.local_aws.postgres.servers import Postgres, Servers  # noqa: E402 - needs the path that is set above
from utils.logins.master import MasterLogin  # noqa: E402
from utils.postgres.databases import enter_cluster  # noqa: E402
from utils.postgres.session import Server, session  # noqa: E402
from utils.postgres.verification.verify import verify_slice  # noqa: E402
from utils.verification.found import VerificationFound, baseline_of  # noqa: E402
from utils.verification.policy import VerificationPolicy  # noqa: E402
from utils.verification.summary import summarised  # noqa: E402

MASTER, MASTER_PASSWORD = "boss", "Masters-password-1"
NOW = dt.datetime(2026, 3, 10, tzinfo=dt.UTC)


def create(postgres: Postgres, tables: int, schemas: int, rows: int) -> None:
    """Create the tables as the master user's own, a hundred in a transaction."""
    postgres.create(MASTER, MASTER_PASSWORD, "orders")
    postgres.start()
    each = tables // schemas
    for schema in range(schemas):
        with session(server_of(postgres), "orders", MASTER, MASTER_PASSWORD) as opened:
            opened.run(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(f"s{schema}")))
            for table in range(each):
                name = sql.Identifier(f"s{schema}", f"t{table}")
                opened.run(
                    sql.SQL("CREATE TABLE {} (id bigserial PRIMARY KEY, at timestamptz, said text)").format(name)
                )
                opened.run(
                    sql.SQL("INSERT INTO {} (at, said) SELECT now(), 'x' FROM generate_series(1, {})").format(
                        name, sql.Literal(rows)
                    )
                )


def server_of(postgres: Postgres) -> Server:
    return Server(host=postgres.address, port=postgres.port, ca_bundle=str(postgres.ca_bundle))


def bare(postgres: Postgres, tables: int, schemas: int) -> int:
    """Count each table by a statement of its own, a hundred in a transaction."""
    counted = 0
    for schema in range(schemas):
        with session(server_of(postgres), "orders", MASTER, MASTER_PASSWORD) as opened:
            for table in range(tables // schemas):
                name = sql.Identifier(f"s{schema}", f"t{table}")
                ((number,),) = opened.rows(sql.SQL("SELECT count(*) FROM {}").format(name))
                counted += number
    return counted


def ours(postgres: Postgres) -> VerificationFound:
    """Verify all databases by the built-in checks."""
    found = VerificationFound()
    master = MasterLogin(username=MASTER, password=MASTER_PASSWORD, host=postgres.address, port=postgres.port)
    cluster = enter_cluster(server_of(postgres), master)
    assert verify_slice(cluster, VerificationPolicy(), found, "be4c1234", NOW, lambda: 10_000.0)
    return found


def main() -> None:
    """Measure, and say what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tables", type=int, default=10_000)
    parser.add_argument("--schemas", type=int, default=200)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        servers = Servers(Path(directory))
        postgres = servers.new(5432)
        create(postgres, asked.tables, asked.schemas, asked.rows)
        ratios, found = [], VerificationFound()
        for number in range(asked.rounds):
            began = time.monotonic()
            rows = bare(postgres, asked.tables, asked.schemas)
            between = time.monotonic()
            found = ours(postgres)
            ended = time.monotonic()
            verification = summarised("basic", found, [], None, 300_000, NOW)
            assert (verification.rows, verification.all_held) == (rows, True)
            ratios.append((ended - between) / (between - began))
            print(f"round {number + 1}: bare {between - began:.1f} s, ours {ended - between:.1f} s")
        tracemalloc.start()
        found = ours(postgres)
        verification = summarised("basic", found, [], None, 300_000, NOW)
        baseline = msgspec.json.encode(baseline_of("operation", NOW, found))
        _, peak = tracemalloc.get_traced_memory()
        servers.close()
    print(f"{asked.tables} tables in {asked.schemas} schemas, {asked.rows} rows each")
    print(f"ratio {statistics.median(ratios):.2f} (median of {asked.rounds})")
    print(f"peak of Python's memory {peak / 2**20:.1f} MiB")
    kept = {"progress": msgspec.json.encode(found), "baseline": baseline, "results": msgspec.json.encode(verification)}
    for name, content in kept.items():
        print(f"{name}: {len(gzip.compress(content)) / 1024:.0f} KiB compressed")


if __name__ == "__main__":
    main()
