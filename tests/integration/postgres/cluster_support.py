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
from utils.logins.roles import ApplicationLogins, Profile, RoleWanted
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
        """Return the statement that makes the master user a member with all rights, which are options since 16."""
        return f"grant {role} to {MASTER}" + (" with inherit true, set true" if self.version >= 16 else "")

    def set_up(self, logins: ApplicationLogins = LOGINS) -> RolesReport:
        return set_up_roles(self.server, self.master, logins)

    def superuser(self, database: str, *statements: str | sql.Composable) -> Rows:
        """Run statements as a superuser, which on Aurora is AWS alone: to arrange things and to look at everything."""
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
        """Let only a superuser silence event triggers, as in PostgreSQL itself."""
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


def a_role(name: str, profile: Profile, **where: Any) -> RoleWanted:
    return RoleWanted(name=name, password=f"{name}-password-1", profile=profile, **where)


def with_roles(*roles: RoleWanted) -> ApplicationLogins:
    return ApplicationLogins(
        app_username=LOGINS.app_username,
        app_password=LOGINS.app_password,
        readonly_user=LOGINS.readonly_user,
        readonly_pwd=LOGINS.readonly_pwd,
        roles=list(roles),
    )


def set_up(cluster: Cluster, *roles: RoleWanted, **how: Any) -> RolesReport:
    return set_up_roles(cluster.server, cluster.master, with_roles(*roles), **how)


# pg_cron's own table, row security and function, as far as they matter here; who may alter what is the C code's.
PG_CRON = (
    "create schema cron",
    "create table cron.job (jobid bigserial primary key, schedule text not null, command text not null,"
    " nodename text not null default 'localhost', nodeport int not null default 5432,"
    " database text not null default current_database(), username text not null default current_user,"
    " active boolean not null default true, jobname text)",
    "grant select on cron.job to public",
    "alter table cron.job enable row level security",
    "create policy cron_job_policy on cron.job using (username = current_user)",
    "create function cron.changed(job_number bigint, caller text, active boolean) returns void language plpgsql"
    " security definer as $$begin"
    " update cron.job set active = changed.active where jobid = job_number and username = caller;"
    " if not found then raise 'Job % does not exist or you don''t own it', job_number; end if; end$$",
    "create function cron.alter_job(job_id bigint, schedule text default null, command text default null,"
    " database text default null, username text default null, active boolean default null) returns void"
    " language plpgsql as $$begin perform cron.changed(job_id, current_user, active); end$$",
    "revoke all on function cron.alter_job(bigint, text, text, text, text, boolean) from public",
    # An extension's, as the real one; its control file isn't on this machine.
    "insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)"
    " values (99999, 'pg_cron', 10, 11, false, '1.6')",
    "alter extension pg_cron add schema cron",
    "alter extension pg_cron add table cron.job",
    "alter extension pg_cron add sequence cron.job_jobid_seq",
    "alter extension pg_cron add function cron.changed(bigint, text, boolean)",
    "alter extension pg_cron add function cron.alter_job(bigint, text, text, text, text, boolean)",
    "create role etl login password 'Etl-password-1'",
    "grant etl to boss with admin option",
    "grant usage on schema cron to boss, etl, owner",
    "grant execute on function cron.alter_job(bigint, text, text, text, text, boolean) to boss, etl",
    "insert into cron.job (schedule, command, username, jobname) values"
    " ('* * * * *', 'select ''s3cret''', 'etl', 'nightly'), ('* * * * *', 'select 2', 'boss', null)",
)
