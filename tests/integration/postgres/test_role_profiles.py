"""Any number of roles, production's own logins, jobs and subscriptions: on each PostgreSQL that this machine has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import psycopg2.errors
import pytest
from psycopg2 import sql

from scripts.local_aws.postgres.servers import Servers
from tests.integration.postgres.cluster_support import (
    ACCESS_CONTROL_LISTS,
    LOGINS,
    PG_CRON,
    Cluster,
    Rows,
    a_role,
    set_up,
    started,
)
from tests.integration.postgres.test_roles import ODD_NAMES, ODD_PASSWORDS
from tests.integration.tiers import one_and_the_rest
from utils.logins.roles import Profile, RoleWanted
from utils.postgres.session import can_log_in


@pytest.fixture
def cluster(servers: Servers) -> Iterator[Cluster]:
    """Two schemas of one owner, whom the master user made and doesn't belong to."""
    with closing(Closing(started(servers))) as opened:
        made = opened.cluster
        modern = servers.binaries.version >= 16
        joined = "grant owner to boss with inherit true, set true" if modern else "grant owner to boss"
        made.as_master("postgres", "create role owner login password 'Owners-password-1'", "create database archive")
        for database in ("orders", "archive"):
            made.as_master(
                database,
                joined,
                "create schema sales authorization owner",
                "create schema billing authorization owner",
                "set role owner",
                "create table sales.items (id serial primary key, note text)",
                "create table sales.events (at date) partition by range (at)",
                "create table sales.events_2026 partition of sales.events"
                " for values from ('2026-01-01') to ('2027-01-01')",
                "create table billing.invoices (id int primary key)",
                "create view sales.item_notes as select note from sales.items",
                "create view sales.invoice_count as select count(*) as n from billing.invoices",
                "create view billing.item_count as select count(*) as n from sales.items",
                "create function sales.one() returns int language sql as 'select 1'",
                "create function sales.secret() returns int language sql security definer as 'select 2'",
                "create type sales.mood as enum ('good', 'bad')",
                "reset role",
                "revoke owner from boss",
            )
        for database in ("orders", "archive", "postgres"):
            # Before PostgreSQL 15 everybody may create here, which would be told each time.
            made.superuser(database, "revoke create on schema public from public")
        yield made


class Closing:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def close(self) -> None:
        self.cluster.postgres.destroy()


def as_role(cluster: Cluster, role: RoleWanted, database: str, *statements: str | sql.Composable) -> Rows:
    return cluster.as_user(role.name, role.password, database, *statements)


def refused(cluster: Cluster, role: RoleWanted, database: str, *statements: str) -> None:
    for statement in statements:
        with pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.errors.InvalidSchemaName)):
            as_role(cluster, role, database, statement)


def acls(cluster: Cluster) -> dict[str, Rows]:
    return {
        f"{database}: {catalog}": cluster.superuser(database, query)
        for database in ("orders", "archive", "postgres")
        for catalog, query in ACCESS_CONTROL_LISTS.items()
    } | {"members": cluster.memberships()}


# Profiles, databases, schemas


def test_a_reader_of_one_schema_in_one_database_reads_there_and_nowhere_else(cluster: Cluster) -> None:
    reader = a_role("reader", "read_only", databases=["orders"], schemas=["sales"])
    report = set_up(cluster, reader)
    assert report.warnings == []
    assert "reader (read only, databases orders, schemas sales)" in report.roles
    as_role(cluster, reader, "orders", "select * from sales.items", "select * from sales.events_2026")
    refused(cluster, reader, "orders", "select * from billing.invoices", "insert into sales.items default values")
    refused(cluster, reader, "archive", "select * from sales.items")


@pytest.mark.full
def test_what_comes_later_is_open_to_a_role_in_its_schemas_only(cluster: Cluster) -> None:
    writer = a_role("writer", "read_write", schemas=["sales"])
    set_up(cluster, writer)
    cluster.as_user(
        "owner",
        "Owners-password-1",
        "archive",
        "create table sales.later (id serial)",
        "create table billing.later (id serial)",
    )
    as_role(cluster, writer, "archive", "insert into sales.later default values")
    refused(cluster, writer, "archive", "select * from billing.later")
    cluster.as_application("archive", "insert into billing.later default values")


def test_an_owner_creates_alters_and_drops_in_its_schema_and_not_beside_it(cluster: Cluster) -> None:
    migrator = a_role("migrator", "owner", databases=["orders"], schemas=["sales"])
    report = set_up(cluster, migrator)
    assert report.warnings == [
        "orders: 'migrator' does not own sales.invoice_count, which reaches, with its owner's rights, beyond the "
        "schemas or another owner's objects",
        "orders: 'migrator' does not own sales.secret(), which is SECURITY DEFINER: it would run with other rights",
    ]
    as_role(
        cluster,
        migrator,
        "orders",
        "alter table sales.items add more int",
        "insert into sales.items (note) values ('x')",
        "alter table sales.events add more int",
        "drop table sales.events_2026",
        "create or replace function sales.one() returns int language sql as 'select 11'",
        "alter type sales.mood add value 'so so'",
        "create table sales.mine (id serial)",
        "drop view sales.item_notes",
    )
    refused(cluster, migrator, "orders", "drop table billing.invoices", "create table billing.mine (id int)")
    refused(cluster, migrator, "archive", "alter table sales.items add more int", "drop table sales.items")
    cluster.as_application("orders", "insert into sales.mine default values")
    assert cluster.as_reader("orders", "select id from sales.mine") == [(1,)]


def test_who_owned_it_before_goes_on_using_it(cluster: Cluster) -> None:
    set_up(cluster, a_role("migrator", "owner", schemas=["sales"]))
    cluster.as_user(
        "owner",
        "Owners-password-1",
        "orders",
        "insert into sales.items (note) values ('x')",
        "select * from sales.item_notes",
        "select * from billing.item_count",
        "select * from sales.invoice_count",
        "create table sales.after (id int)",
    )
    assert cluster.as_reader("orders", "select n from billing.item_count") == [(1,)]
    cluster.as_user("migrator", "migrator-password-1", "orders", "insert into sales.after values (1)")


def test_an_owner_of_everything_makes_schemas_too(cluster: Cluster) -> None:
    everything = a_role("everything", "owner", databases=["orders"])
    set_up(cluster, everything)
    as_role(
        cluster,
        everything,
        "orders",
        "create schema mine",
        "create table mine.items (id int)",
        "alter table billing.invoices add more int",
        "drop schema sales cascade",
    )
    cluster.as_application("orders", "insert into mine.items values (1)")


def test_rule_5_a_second_run_changes_nothing_whatever_the_roles(cluster: Cluster) -> None:
    roles = (
        a_role("reader", "read_only", schemas=["sales"]),
        a_role("writer", "read_write", databases=["archive"]),
        a_role("migrator", "owner", databases=["orders"], schemas=["sales"]),
        a_role("all_of_it", "owner", databases=["archive"]),
    )
    first = set_up(cluster, *roles)
    before = acls(cluster)
    assert set_up(cluster, *roles) == first
    assert acls(cluster) == before


def test_databases_and_schemas_that_arent_there_are_told(cluster: Cluster) -> None:
    nowhere = a_role("nowhere", "read_only", databases=["gone"])
    astray = a_role("astray", "read_only", databases=["orders"], schemas=["sales", "gone"])
    assert set_up(cluster, nowhere, astray).warnings == [
        "'nowhere' is for the database gone, which is not in the cluster or cannot be entered",
        "'astray' is for the schema gone, which is in none of its databases",
    ]
    as_role(cluster, astray, "orders", "select * from sales.items")


def test_a_role_that_came_with_more_than_it_shall_have_is_told(cluster: Cluster) -> None:
    cluster.as_master("postgres", "create role reader login password 'x'")
    cluster.as_user(
        "owner",
        "Owners-password-1",
        "orders",
        "grant usage on schema billing to reader",
        "grant select on billing.invoices to reader",
    )
    assert set_up(cluster, a_role("reader", "read_only", databases=["orders"], schemas=["sales"])).warnings == [
        "orders: 'reader' reaches billing.invoices outside its schemas, through PUBLIC or a role it belongs to"
    ]


@pytest.mark.parametrize("profile", one_and_the_rest(["read_only", "read_write", "owner"]))
def test_any_name_works_for_each_profile(cluster: Cluster, profile: Profile) -> None:
    names = [*ODD_NAMES, "x" * 63]
    made = cluster.as_user
    for name in names:
        cluster.as_master("postgres", sql.SQL("create database {}").format(sql.Identifier(name)))
        cluster.as_master(
            name,
            sql.SQL("create schema {}").format(sql.Identifier(name)),
            sql.SQL("create table {0}.{0} ({0} int)").format(sql.Identifier(name)),
        )
    roles = [a_role(name, profile, databases=[name], schemas=[name]) for name in names]
    told = set_up(cluster, *roles).warnings
    assert [each for each in told if "can create objects in public" not in each] == []
    for role in roles:
        (place,) = role.schemas or []
        made(role.name, role.password, place, sql.SQL("select * from {0}.{0}").format(sql.Identifier(place)))


@pytest.mark.full
def test_any_password_opens_the_door_also_where_saslprep_changes_it(cluster: Cluster) -> None:
    passwords = [*ODD_PASSWORDS, "a\u00a0b\u00adc", "\u2168", "tab\tand\nline", "\u0627\u0031", "e\u0301", "x" * 2000]
    roles = [
        RoleWanted(name=f"role_{number}", password=password, profile="read_only")
        for number, password in enumerate(passwords)
    ]
    set_up(cluster, *roles)
    for role in roles:
        assert can_log_in(cluster.server, "orders", role.name, role.password), ascii(role.password)


# Production's own logins


def test_locked_logins_cant_log_in_and_their_sessions_end(cluster: Cluster) -> None:
    cluster.as_master("postgres", 'create role "Al ""ice""" login password $$x$$', "create role nobody nologin")
    server = cluster.server
    inside = psycopg2.connect(
        host=server.host, port=server.port, dbname="orders", user="owner", password="Owners-password-1"
    )
    inside.autocommit = True
    report = set_up(cluster, lock=True)
    assert report.locked_logins == ['Al "ice"', "owner"]
    assert report.inherited_logins == []
    assert report.warnings == []
    assert not can_log_in(server, "orders", "owner", "Owners-password-1")
    with pytest.raises(psycopg2.OperationalError), inside.cursor() as cursor:
        cursor.execute("select 1")
    assert set_up(cluster, lock=True).inherited_logins == []
    for name, password in (("orders_app", LOGINS.app_password), ("boss", cluster.master.password)):
        assert can_log_in(server, "orders", name, password)


@pytest.mark.full
def test_a_login_that_the_master_cant_alter_is_told_and_the_others_are_locked(cluster: Cluster) -> None:
    cluster.superuser("postgres", "create role other_superuser superuser login")
    report = set_up(cluster, lock=True)
    assert report.locked_logins == ["owner"]
    assert report.inherited_logins == ["other_superuser"]
    (warning,) = report.warnings
    assert warning.startswith("'other_superuser' can still log in, because it could not be locked: ")


def test_a_locked_login_keeps_everything_else(cluster: Cluster) -> None:
    cluster.superuser("postgres", "alter role owner createdb connection limit 7 valid until '2030-01-01'")
    question = "select rolcreatedb, rolconnlimit, rolvaliduntil, rolpassword from pg_authid where rolname = 'owner'"
    before = cluster.superuser("postgres", question)
    set_up(cluster, lock=True)
    assert cluster.superuser("postgres", question) == before


# Jobs and subscriptions


def jobs(cluster: Cluster) -> Rows:
    return cluster.superuser("postgres", "select jobid, active from cron.job order by 1")


def test_jobs_are_told_whomever_they_run_as_and_left_alone_without_quarantine(cluster: Cluster) -> None:
    cluster.superuser("postgres", *PG_CRON)
    report = set_up(cluster)
    assert report.warnings == [
        f"postgres: pg_cron job {job} in 'postgres' came with the data and may run in the restored cluster"
        for job in ("1 'nightly' of 'etl'", "2 of 'boss'")
    ]
    assert "s3cret" not in str(report)
    assert jobs(cluster) == [(1, True), (2, True)]


def test_in_quarantine_every_job_is_disabled(cluster: Cluster) -> None:
    cluster.superuser("postgres", *PG_CRON)
    members = cluster.memberships()
    report = set_up(cluster, quarantine=True)
    assert report.disabled == [
        "postgres: pg_cron job 1 'nightly' of 'etl' in 'postgres'",
        "postgres: pg_cron job 2 of 'boss' in 'postgres'",
    ]
    assert report.warnings == []
    assert jobs(cluster) == [(1, False), (2, False)]
    assert cluster.memberships() == members
    assert set_up(cluster, quarantine=True).warnings == []


@pytest.mark.full
def test_a_job_that_cant_be_disabled_is_told_loudly(cluster: Cluster) -> None:
    """As when the library isn't loaded: neither the function nor the table's trigger can run."""
    cluster.superuser(
        "postgres",
        *PG_CRON,
        "create or replace function cron.changed(job_number bigint, caller text, active boolean) returns void"
        " language plpgsql as $$begin raise 'pg_cron can only be loaded via shared_preload_libraries'; end$$",
        "create function cron.invalidated() returns trigger language plpgsql as $$begin"
        " raise 'pg_cron can only be loaded via shared_preload_libraries'; end$$",
        "alter extension pg_cron add function cron.invalidated()",
        "create trigger cron_job_cache_invalidate after update on cron.job for statement"
        " execute function cron.invalidated()",
    )
    report = set_up(cluster, quarantine=True)
    assert report.disabled == []
    first, second = report.warnings
    assert first.startswith("postgres: NOT DISABLED: pg_cron job 1 'nightly' of 'etl' in 'postgres'")
    assert "pg_cron can only be loaded via shared_preload_libraries" in second


def test_a_locked_login_that_jobs_run_as_is_told(cluster: Cluster) -> None:
    cluster.superuser("postgres", *PG_CRON)
    report = set_up(cluster, lock=True, quarantine=True)
    assert "etl" in report.locked_logins
    assert report.warnings == ["postgres: 'etl' was locked, and jobs or subscriptions run as it: they will fail"]


def test_subscriptions_are_told_and_disabled_in_quarantine(cluster: Cluster) -> None:
    """Of the master user itself, from PostgreSQL 16 on; before that only a superuser owns one outside Aurora."""
    own = cluster.version >= 16
    cluster.superuser(
        "orders",
        'create subscription "From ""Prod""" connection \'host=127.0.0.1 port=1 dbname=x password=s3cret\''
        " publication p with (connect = false)",
        'alter subscription "From ""Prod""" enable' if not own else "select 1",
    )
    if own:
        cluster.superuser(
            "orders",
            'alter subscription "From ""Prod""" set (slot_name = none)',
            'alter subscription "From ""Prod""" set (slot_name = prod)',
            'alter subscription "From ""Prod""" enable',
            "grant pg_create_subscription to owner",
            "grant create on database orders to owner",
            'alter subscription "From ""Prod""" owner to owner',
        )
    told = set_up(cluster)
    owner = "owner" if own else "rdsadmin"
    text = f"subscription 'From \"Prod\"' of {owner!r}"
    assert f"orders: {text} came with the data and may run in the restored cluster" in told.warnings
    quiet = set_up(cluster, quarantine=True)
    assert "s3cret" not in str(quiet)
    if own:
        assert quiet.disabled == [f"orders: {text}"]
        assert cluster.superuser("orders", "select subenabled from pg_subscription") == [(False,)]
    else:
        assert any(each.startswith(f"orders: NOT DISABLED: {text} (must be owner of") for each in quiet.warnings)
