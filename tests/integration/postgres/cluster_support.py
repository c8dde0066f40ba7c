"""A restored cluster for the tests of what happens in databases: a real PostgreSQL with a master user as Aurora's."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import psycopg2
import psycopg2.errors
from psycopg2 import sql

from scripts.local_aws.postgres.servers import Postgres, Servers
from scripts.local_aws.postgres.volumes import Volume
from utils.logins.master import MasterLogin
from utils.logins.roles import ApplicationLogins
from utils.postgres.session import Server
from utils.postgres.setup import RolesReport, set_up_roles

MASTER, MASTER_PASSWORD = "boss", "Masters-password-1"

LOGINS = ApplicationLogins(
    app_username="orders_app",
    app_password="Applications-password-1",
    readonly_user="orders_report",
    readonly_pwd="Reports-password-1",
)

Rows = list[tuple[Any, ...]]

ACCESS_CONTROL_LISTS = {
    "relations": "select oid::regclass::text, relacl::text from pg_class where relkind <> 'i' order by 1",
    "schemas": "select nspname, nspacl::text from pg_namespace order by 1",
    "routines": "select oid::regprocedure::text, proacl::text from pg_proc where proacl is not null order by 1",
    "defaults": "select defaclrole::regrole::text, defaclobjtype, defaclacl::text from pg_default_acl order by 1, 2",
}


class Cluster:
    """A restored cluster: production's data and roles, and a master user as Aurora's."""

    def __init__(self, postgres: Postgres, ca_bundle: str) -> None:
        self.postgres = postgres
        self.server = Server(host=postgres.address, port=postgres.port, ca_bundle=ca_bundle)
        self.master = MasterLogin(username=MASTER, password=MASTER_PASSWORD, host=postgres.address, port=postgres.port)

    @property
    def version(self) -> int:
        ((number,),) = self.superuser("postgres", "select current_setting('server_version_num')::int / 10000")
        return int(number)

    def joining(self, role: str) -> str:
        """The statement that makes the master user a member with a member's rights; they are options since 16."""
        return f"grant {role} to {MASTER}" + (" with inherit true, set true" if self.version >= 16 else "")

    def set_up(self, logins: ApplicationLogins = LOGINS) -> RolesReport:
        return set_up_roles(self.server, self.master, logins)

    def superuser(self, database: str, *statements: str | sql.Composable) -> Rows:
        """What only AWS can do on Aurora; here to arrange things and to look at everything."""
        return _run(self.postgres.connect(database), statements)

    def as_master(self, database: str, *statements: str | sql.Composable) -> Rows:
        return self.as_user(MASTER, MASTER_PASSWORD, database, *statements)

    def as_user(self, user: str, password: str, database: str, *statements: str | sql.Composable) -> Rows:
        connected = psycopg2.connect(
            host=self.server.host,
            port=self.server.port,
            dbname=database,
            user=user,
            password=password,
            sslmode="verify-full",
            sslrootcert=self.server.ca_bundle,
        )
        connected.autocommit = True
        return _run(connected, statements)

    def as_application(self, database: str, *statements: str | sql.Composable) -> Rows:
        return self.as_user(LOGINS.app_username, LOGINS.app_password, database, *statements)

    def as_reader(self, database: str, *statements: str | sql.Composable) -> Rows:
        return self.as_user(LOGINS.readonly_user, LOGINS.readonly_pwd, database, *statements)

    def privileges(self) -> dict[str, Rows]:
        """Every access control list, membership and password of the cluster."""
        found = {
            "roles": self.superuser("postgres", "select rolname, rolpassword, rolvaliduntil from pg_authid order by 1"),
            "members": self.memberships(),
            "databases": self.superuser("postgres", "select datname, datacl::text from pg_database order by 1"),
        }
        for (database,) in self.superuser("postgres", "select datname from pg_database where datallowconn"):
            with closing(self.postgres.connect(database)) as connected, connected.cursor() as cursor:
                for catalog, query in ACCESS_CONTROL_LISTS.items():
                    cursor.execute(query)
                    found[f"{database}: {catalog}"] = cursor.fetchall()
        return found

    def memberships(self) -> Rows:
        """Who belongs to whom; except that whoever creates a role may administer it, as PostgreSQL sees to itself."""
        return self.superuser(
            "postgres",
            "select roleid::regrole::text, member::regrole::text, grantor::regrole::text, admin_option"
            " from pg_auth_members where not (roleid::regrole::text ~ '^orders_' and admin_option) order by 1, 2, 3",
        )

    def forbid_silence(self) -> None:
        """As in PostgreSQL itself: only a superuser may silence event triggers."""
        names = ["session_replication_role"] * (self.version >= 15) + ["event_triggers"] * (self.version >= 17)
        for name in names:
            self.superuser("postgres", f"revoke set on parameter {name} from rds_superuser")
        # A server that has once taken an option of a session isn't believed to refuse it later.
        self.server = Server(host=self.server.host, port=self.server.port, ca_bundle=self.server.ca_bundle)


NO_GRANTS_TODAY = (
    "create function refuse() returns event_trigger language plpgsql as $$begin raise 'No grants today'; end$$",
    "create event trigger refuse on ddl_command_end when tag in ('GRANT') execute function refuse()",
)


def _run(connected: psycopg2.extensions.connection, statements: Sequence[str | sql.Composable]) -> Rows:
    rows: Rows = []
    with closing(connected), connected.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
    return rows


def started(servers: Servers, volume: Volume | None = None) -> Cluster:
    postgres = servers.new(5432)
    if volume is None:
        postgres.create(MASTER, MASTER_PASSWORD, "orders")
    else:
        postgres.create_from(volume)
    postgres.start()
    cluster = Cluster(postgres, str(servers.authority.bundle))
    if volume is None and cluster.version < 15:
        # As it is since: until then everybody may create in it, which would be told by every test.
        as_since = "revoke create on schema public from public", f"alter schema public owner to {MASTER}"
        for database in ("template1", "orders", "postgres"):
            cluster.superuser(database, *as_since)
    return cluster


def kept(cluster: Cluster, servers: Servers) -> Volume:
    """Return a cluster's data, from which each test starts one of its own; the cluster itself ends."""
    volume = servers.new_volume()
    cluster.postgres.stop()
    cluster.postgres.copy_to(volume)
    cluster.postgres.destroy()
    return volume
