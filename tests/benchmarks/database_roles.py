"""What setting up the roles costs beside the bare GRANT statements that do the same: 10,000 tables in 200 schemas.

Both give the same roles the same privileges on the same copies of one volume, as the same master user, in transactions
of their own; that they did the same is compared afterwards, access control list by access control list. The bare
statements come in three ways to write them, and are held against ours in turn, round by round: ON ALL TABLES IN SCHEMA
for each schema, for all schemas in one statement, and as lists of names that are known beforehand. They prove nothing,
and the last one doesn't even look for what there is: it is the floor, not a way that anybody could take. Exit status 1
when the median ratio to the faster one of the first two is over LIMIT.

    .venv/bin/python tests/benchmarks/database_roles.py [--tables 10000] [--schemas 200] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import encrypt_password

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from scripts.local_aws.postgres.servers import Postgres, Servers  # noqa: E402 - needs the path that is set above
from scripts.local_aws.postgres.volumes import Volume  # noqa: E402
from utils.logins.master import MasterLogin  # noqa: E402
from utils.logins.roles import ApplicationLogins  # noqa: E402
from utils.postgres.session import Server, Session, session  # noqa: E402
from utils.postgres.setup import set_up_roles  # noqa: E402

LIMIT = 1.3
MASTER, MASTER_PASSWORD = "boss", "Masters-password-1"
LOGINS = ApplicationLogins(
    app_username="orders_app",
    app_password="Applications-password-1",
    readonly_user="orders_report",
    readonly_pwd="Reports-password-1",
)
OWNERS = ("owner_1", "owner_2", "owner_3", "owner_4")
# What both are to have, as (privileges, kind of object, kind in a statement about a schema, role).
GRANTS = (
    ("SELECT, INSERT, UPDATE, DELETE", "TABLE", "TABLES", LOGINS.app_username),
    ("SELECT", "TABLE", "TABLES", LOGINS.readonly_user),
    ("USAGE, SELECT, UPDATE", "SEQUENCE", "SEQUENCES", LOGINS.app_username),
    ("SELECT", "SEQUENCE", "SEQUENCES", LOGINS.readonly_user),
)
STATE = (
    "select nspname, relname, relkind, (select array_agg(a::text order by a::text) from unnest(relacl) a)"
    " from pg_class c join pg_namespace n on n.oid = relnamespace where relkind in ('r', 'S') order by 1, 2",
    "select nspname, (select array_agg(a::text order by a::text) from unnest(nspacl) a) from pg_namespace order by 1",
    "select defaclrole::regrole::text, defaclobjtype::text, (select array_agg(a::text order by a::text)"
    " from unnest(defaclacl) a) from pg_default_acl order by 1, 2",
    "select roleid::regrole::text, member::regrole::text from pg_auth_members order by 1, 2",
)


class Cluster:
    """A copy of the volume, with the master user's login."""

    def __init__(self, servers: Servers, volume: Volume) -> None:
        self.postgres: Postgres = servers.new(5432)
        self.postgres.create_from(volume)
        self.postgres.start()
        self.server = Server(
            host=self.postgres.address, port=self.postgres.port, ca_bundle=str(self.postgres.ca_bundle)
        )
        self.master = MasterLogin(username=MASTER, password=MASTER_PASSWORD, host=self.server.host, port=5432)

    def ours(self) -> None:
        set_up_roles(self.server, self.master, LOGINS)

    def bare(self, grant: Callable[[Session, str, list[str], list[tuple[Any, ...]]], None], tables: Any) -> None:
        """The roles, and in each database the owners' rights, the grants, and the default privileges."""
        with session(self.server, "postgres", MASTER, MASTER_PASSWORD) as opened:
            for name, password in (
                (LOGINS.app_username, LOGINS.app_password),
                (LOGINS.readonly_user, LOGINS.readonly_pwd),
            ):
                verifier = encrypt_password(password, name, scope=opened.connection, algorithm="scram-sha-256")
                opened.run(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} VALID UNTIL 'infinity'").format(
                        sql.Identifier(name), sql.Literal(verifier)
                    )
                )
            for database in ("orders", "postgres"):
                opened.run(
                    sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO orders_app, orders_report").format(
                        sql.Identifier(database)
                    )
                )
        for database, (schemas, relations, owners) in tables.items():
            with session(self.server, database, MASTER, MASTER_PASSWORD) as opened:
                joined = [name for name in owners if name != MASTER]
                if joined:
                    opened.run(sql.SQL("GRANT {} TO CURRENT_USER").format(_listed(joined)))
                grant(opened, database, schemas, relations)
                for kind, privileges, role in (
                    ("SCHEMAS", "USAGE", "orders_app"),
                    ("SCHEMAS", "USAGE", "orders_report"),
                    *((several, privileges, role) for privileges, _, several, role in GRANTS),
                ):
                    opened.run(
                        sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT {} ON {} TO {}").format(
                            _listed(owners), sql.SQL(privileges), sql.SQL(kind), sql.Identifier(role)
                        )
                    )
                if joined:
                    opened.run(sql.SQL("REVOKE {} FROM CURRENT_USER").format(_listed(joined)))

    def state(self) -> list[Any]:
        found = []
        for database in ("orders", "postgres"):
            connected = self.postgres.connect(database)
            with connected.cursor() as cursor:
                for question in STATE:
                    cursor.execute(question)
                    found.append(cursor.fetchall())
            connected.close()
        return found


def by_schema(opened: Session, database: str, schemas: list[str], relations: list[tuple[Any, ...]]) -> None:
    for schema in schemas:
        _usage(opened, [schema])
        _in_schemas(opened, [schema])


def all_schemas(opened: Session, database: str, schemas: list[str], relations: list[tuple[Any, ...]]) -> None:
    _usage(opened, schemas)
    _in_schemas(opened, schemas)


def by_name(opened: Session, database: str, schemas: list[str], relations: list[tuple[Any, ...]]) -> None:
    _usage(opened, schemas)
    for privileges, kind, _, role in GRANTS:
        names = [sql.Identifier(*name) for *name, relkind in relations if (relkind == "S") == (kind == "SEQUENCE")]
        for start in range(0, len(names), 1000):
            opened.run(
                sql.SQL("GRANT {} ON {} {} TO {}").format(
                    sql.SQL(privileges),
                    sql.SQL(kind),
                    sql.SQL(", ").join(names[start : start + 1000]),
                    sql.Identifier(role),
                )
            )


def _usage(opened: Session, schemas: list[str]) -> None:
    """Everybody may use the schema public already."""
    if closed := [schema for schema in schemas if schema != "public"]:
        opened.run(sql.SQL("GRANT USAGE ON SCHEMA {} TO orders_app, orders_report").format(_listed(closed)))


def _in_schemas(opened: Session, schemas: list[str]) -> None:
    for privileges, _, several, role in GRANTS:
        opened.run(
            sql.SQL("GRANT {} ON ALL {} IN SCHEMA {} TO {}").format(
                sql.SQL(privileges), sql.SQL(several), _listed(schemas), sql.Identifier(role)
            )
        )


def _listed(names: Any) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, names))


WAYS = {"one schema at a time": by_schema, "all schemas at once": all_schemas, "names known beforehand": by_name}


def production(servers: Servers, tables: int, schemas: int) -> tuple[Volume, dict[str, Any]]:
    """A volume whose tables belong to four roles that the master made and is no member of, and what is in it."""
    postgres, volume = servers.new(5432), servers.new_volume()
    postgres.create(MASTER, MASTER_PASSWORD, "orders")
    postgres.start()
    server = Server(host=postgres.address, port=postgres.port, ca_bundle=str(postgres.ca_bundle))
    with session(server, "orders", MASTER, MASTER_PASSWORD) as opened:
        for owner in OWNERS:
            opened.run(sql.SQL("CREATE ROLE {}").format(sql.Identifier(owner)))
    connected = postgres.connect("orders")
    connected.autocommit = True
    with connected.cursor() as cursor:
        for number in range(schemas):
            owner = OWNERS[number % len(OWNERS)]
            inside = ";".join(
                f"create table tenant_{number}.table_{each} (id int)" for each in range(tables // schemas)
            )
            cursor.execute(
                f"create schema tenant_{number} authorization {owner}; set role {owner}; {inside};"
                f"create sequence tenant_{number}.numbers; reset role"
            )
        cursor.execute("vacuum analyze")
    connected.close()
    contents: dict[str, Any] = {}
    for database in ("orders", "postgres"):
        with session(server, database, MASTER, MASTER_PASSWORD) as opened:
            relations = opened.rows(
                sql.SQL(
                    "SELECT n.nspname, relname, relkind FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
                    " WHERE relkind IN ('r', 'S') AND nspname !~ '^pg_' AND nspname <> 'information_schema'"
                )
            )
            named = [
                name
                for (name,) in opened.rows(
                    sql.SQL(
                        "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
                    )
                )
            ]
        contents[database] = (named, relations, sorted({*OWNERS, MASTER} if database == "orders" else {MASTER}))
    postgres.stop()
    postgres.copy_to(volume)
    postgres.destroy()
    return volume, contents


def rounds(servers: Servers, volume: Volume, contents: Any, number: int) -> Iterator[dict[str, float]]:
    """Each way once, in an order that turns from round to round, each on a fresh copy."""
    ways = ["ours", *WAYS]
    for turn in range(number):
        taken: dict[str, float] = {}
        states = {}
        for way in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
            cluster = Cluster(servers, volume)
            began = time.perf_counter()
            if way == "ours":
                cluster.ours()
            else:
                cluster.bare(WAYS[way], contents)
            taken[way] = time.perf_counter() - began
            if way == "ours":
                began = time.perf_counter()
                cluster.ours()
                taken["ours again"] = time.perf_counter() - began
            states[way] = cluster.state()
            cluster.postgres.destroy()
        for way, state in states.items():
            if state != states["ours"]:
                sys.exit(f"{way}: not the same privileges as ours; the comparison would mean nothing")
        yield taken


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tables", type=int, default=10_000)
    parser.add_argument("--schemas", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        servers = Servers(Path(directory) / "servers")
        try:
            volume, contents = production(servers, given.tables, given.schemas)
            taken = list(rounds(servers, volume, contents, given.rounds))
            version = servers.binaries.version
        finally:
            servers.close()
    fastest = min(
        (way for way in WAYS if WAYS[way] is not by_name),
        key=lambda way: statistics.median(each[way] for each in taken),
    )
    print(f"{given.tables} tables in {given.schemas} schemas, PostgreSQL {version}, {given.rounds} rounds\n")
    print(f"{'':28}{'seconds (median, from - to)':>32}   {'ours / this (median, from - to)':>34}")
    for way in ("ours", "ours again", *WAYS):
        seconds = [each[way] for each in taken]
        ratios = [each["ours"] / each[way] for each in taken]
        ratio = f"{statistics.median(ratios):.2f}   {min(ratios):.2f} - {max(ratios):.2f}" if way in WAYS else ""
        spread = f"{statistics.median(seconds):.2f}   {min(seconds):.2f} - {max(seconds):.2f}"
        print(f"{way:28}{spread:>32}   {ratio:>34}{'   held against the limit' if way == fastest else ''}")
    worst = statistics.median(each["ours"] / each[fastest] for each in taken)
    sys.exit(f"{worst:.2f} is over the limit of {LIMIT}" if worst > LIMIT else 0)


if __name__ == "__main__":
    main()
