"""The application's and the read-only role, set up by a master user who is no superuser, in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import psycopg2.errors
import pytest
from psycopg2 import sql

from scripts.local_aws.core.certificates import Authority
from scripts.local_aws.postgres.servers import Servers
from scripts.local_aws.postgres.volumes import Volume
from tests.integration.postgres.cluster_support import (
    LOGINS,
    MASTER,
    MASTER_PASSWORD,
    NO_GRANTS_TODAY,
    Cluster,
    kept,
    started,
)
from tests.integration.tiers import one_and_the_rest
from utils.errors import StepFailed, TemporaryFailure
from utils.logins.master import MasterLogin
from utils.logins.roles import ApplicationLogins
from utils.postgres.session import Server, can_log_in, session
from utils.postgres.setup import check_names, prove_login


@pytest.fixture
def cluster(servers: Servers) -> Iterator[Cluster]:
    """With an empty database."""
    running = started(servers)
    yield running
    running.postgres.destroy()


PRODUCTION = (
    "create role owner login password 'Owners-password-1'",
    'create role "Other ""Owner"""',
    "create schema authorization owner",
    'create schema "Mixed Case" authorization "Other ""Owner"""',
)


@pytest.fixture(scope="module")
def production_volume(servers: Servers) -> Volume:
    cluster = started(servers)
    cluster.as_master("postgres", *PRODUCTION[:2], "create database archive")
    for database in ("orders", "archive"):
        cluster.as_master(
            database,
            cluster.joining("owner"),
            cluster.joining('"Other ""Owner"""'),
            *PRODUCTION[2:],
            "create table public.plain (id serial primary key, note text)",
            "set role owner",
            "create table owner.items (id bigint generated always as identity primary key, note text)",
            "create sequence owner.numbers",
            "create view owner.item_view as select * from owner.items",
            "create materialized view owner.item_counts as select count(*) from owner.items",
            "create table owner.events (at date) partition by range (at)",
            "create table owner.events_2026 partition of owner.events for values from ('2026-01-01') to ('2027-01-01')",
            "reset role",
            'set role "Other ""Owner"""',
            'create table "Mixed Case"."Odd ""Table""" ("Id" int)',
            "reset role",
            "revoke owner from boss",
            'revoke "Other ""Owner""" from boss',
        )
    return kept(cluster, servers)


@pytest.fixture
def production(servers: Servers, production_volume: Volume) -> Iterator[Cluster]:
    """Two databases with schemas and tables of two roles that the master user is no member of."""
    running = started(servers, production_volume)
    yield running
    running.postgres.destroy()


@pytest.fixture(scope="module")
def finished(servers: Servers, production_volume: Volume) -> Iterator[Cluster]:
    """Production with both roles set up, for tests that leave no trace that another could stumble over."""
    running = started(servers, production_volume)
    running.set_up()
    yield running
    running.postgres.destroy()


ALL_TABLES = ("public.plain", "owner.items", "owner.events", "owner.events_2026", '"Mixed Case"."Odd ""Table"""')


# Both roles, everywhere


def test_the_application_reads_and_writes_in_every_database(production: Cluster) -> None:
    report = production.set_up()
    assert report.databases == ["archive", "orders", "postgres"]
    assert report.warnings == []
    for database in ("archive", "orders"):
        production.as_application(
            database,
            "insert into public.plain (note) values ('x')",
            "insert into owner.items (note) values ('x')",
            "update owner.items set note = 'y'",
            "insert into owner.events values ('2026-03-10')",
            'insert into "Mixed Case"."Odd ""Table""" values (1)',
            'delete from "Mixed Case"."Odd ""Table"""',
            "select nextval('owner.numbers'), setval('owner.numbers', 7)",
            "select * from owner.item_view, owner.item_counts",
        )


def test_the_reader_reads_in_every_database(finished: Cluster) -> None:
    for database in ("archive", "orders"):
        for table in (*ALL_TABLES, "owner.item_view", "owner.item_counts"):
            finished.as_reader(database, f"select * from {table}")
        assert finished.as_reader(database, "select last_value from owner.numbers") == [(1,)]


WRITES = [
    *(f"insert into {table} default values" for table in ALL_TABLES),
    "update owner.items set note = 'x'",
    "delete from owner.items",
    "truncate owner.items",
    "update owner.item_view set note = 'x'",
    "refresh materialized view owner.item_counts",
    "select nextval('owner.numbers')",
    "select setval('owner.numbers', 7)",
    "create table public.mine (id int)",
    "create table owner.mine (id int)",
    "create schema mine",
    "drop table owner.items",
]


def test_the_reader_can_write_nowhere(finished: Cluster) -> None:
    for statement in WRITES:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            finished.as_reader("orders", statement)


def test_the_application_changes_data_and_no_structure(finished: Cluster) -> None:
    for statement in (
        "drop table owner.items",
        "alter table owner.items add more int",
        "create table owner.mine (id int)",
        "truncate owner.items",
        "create role mine",
        "create database mine",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            finished.as_application("orders", statement)


def test_what_an_owner_makes_later_is_open_to_both_roles(finished: Cluster) -> None:
    finished.as_user(
        "owner",
        "Owners-password-1",
        "orders",
        "create table owner.later (id serial primary key)",
        "create view owner.later_view as select * from owner.later",
    )
    finished.as_application("orders", "insert into owner.later default values", "select * from owner.later_view")
    assert finished.as_reader("orders", "select id from owner.later") == [(1,)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        finished.as_reader("orders", "insert into owner.later default values")


def test_a_schema_made_later_is_open_to_both_roles(finished: Cluster) -> None:
    finished.as_master("orders", "create schema later", "create table later.items (id int)")
    finished.as_application("orders", "insert into later.items values (1)")
    assert finished.as_reader("orders", "select * from later.items") == [(1,)]


def test_a_foreign_table_is_open_for_reading_only_and_what_it_reaches_is_reported(production: Cluster) -> None:
    production.superuser(
        "orders",
        "create foreign data wrapper nowhere",
        "create server far foreign data wrapper nowhere",
        "create user mapping for public server far options (password 's3cret')",
        "create foreign table owner.far_items (id int) server far",
        "alter foreign table owner.far_items owner to owner",
    )
    report = production.set_up()
    assert report.warnings == [
        "orders: foreign server 'far' (nowhere) with logins for PUBLIC came with the data: the restored cluster "
        "may reach it"
    ]
    question = "select has_table_privilege('orders_app', 'owner.far_items', 'insert, update, delete'),"
    question += " has_table_privilege('orders_app', 'owner.far_items', 'select'),"
    question += " has_table_privilege('orders_report', 'owner.far_items', 'select')"
    assert production.superuser("orders", question) == [(False, True, True)]


def test_many_objects_are_granted_in_batches(cluster: Cluster) -> None:
    cluster.as_master("orders", *(f"create table many_{number} (id int)" for number in range(1, 1102)))
    cluster.set_up()
    cluster.as_application("orders", "insert into many_1101 values (1)")
    assert cluster.as_reader("orders", "select * from many_1101") == [(1,)]


# Routines


def test_routines_with_the_callers_rights_are_opened_and_others_stay_as_they_were(production: Cluster) -> None:
    production.as_master(
        "orders",
        "create function public.double(x int) returns int language sql as 'select 2 * x'",
        'create function public."Odd (name)"(x text[], variadic y int[]) returns int language sql as $$select 1$$',
        "create procedure public.work() language sql as 'select 1'",
        "create aggregate public.total(int) (sfunc = int4pl, stype = int)",
        "create function public.secret() returns int language sql security definer as 'select 1'",
        "create function public.open_secret() returns int language sql security definer as 'select 1'",
        "revoke execute on all routines in schema public from public",
        "grant execute on function public.open_secret() to public",
    )
    report = production.set_up()
    production.as_application(
        "orders",
        "select public.double(2), public.total(1)",
        """select public."Odd (name)"('{}', 1)""",
        "call public.work()",
    )
    production.as_application("orders", "select public.open_secret()")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        production.as_application("orders", "select public.secret()")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        production.as_reader("orders", "select public.double(2)")
    assert report.warnings == [
        "orders: 'orders_app' may not execute public.secret(): SECURITY DEFINER and closed to PUBLIC"
    ]


# Memberships


def test_memberships_are_borrowed_and_given_back(production: Cluster) -> None:
    before = production.memberships()
    production.set_up()
    assert production.memberships() == before


def test_memberships_are_given_back_when_a_grant_fails_and_the_other_databases_are_done(production: Cluster) -> None:
    production.forbid_silence()
    production.superuser("orders", *NO_GRANTS_TODAY)
    before = production.memberships()
    report = production.set_up()
    assert report.databases == ["archive", "postgres"]
    (left_out,) = report.unfinished
    assert left_out.startswith("orders: PostgreSQL refused work in database 'orders'")
    assert "No grants today" in left_out
    assert left_out in report.warnings
    assert production.memberships() == before
    production.as_application("archive", "insert into owner.items (note) values ('x')")


@pytest.mark.full
def test_a_membership_that_the_master_had_before_is_kept(production: Cluster) -> None:
    production.as_master("postgres", production.joining("owner"))
    before = production.memberships()
    production.set_up()
    assert production.memberships() == before


@pytest.mark.full
def test_a_grant_that_would_close_a_circle_is_not_taken_for_a_failure(cluster: Cluster) -> None:
    """An owner may be a member of the master user itself, where PostgreSQL refuses by an error of its own."""
    cluster.as_master("postgres", "create role inner_role", "create role outer_role", "grant inner_role to outer_role")
    with session(cluster.server, "postgres", MASTER, MASTER_PASSWORD) as opened:
        assert not opened.try_run(sql.SQL("GRANT outer_role TO inner_role"))
        assert opened.rows(sql.SQL("SELECT current_user")) == [(MASTER,)]


def test_objects_whose_owner_cant_be_joined_are_reported_and_the_rest_is_done(production: Cluster) -> None:
    production.superuser("postgres", "create role stranger superuser")
    production.superuser(
        "orders",
        "create schema hidden authorization stranger",
        *(f"create table hidden.table_{number} (id int)" for number in range(1, 8)),
        *(f"alter table hidden.table_{number} owner to stranger" for number in range(1, 8)),
    )
    report = production.set_up()
    assert report.warnings == [
        "orders: no privileges on hidden.table_1, hidden.table_2, hidden.table_3, hidden.table_4, hidden.table_5"
        " and 2 more: the master user cannot act for their owner 'stranger'"
    ]
    production.as_application("orders", "insert into owner.items (note) values ('x')")


# What a second run changes: nothing


def test_rule_5_a_second_run_changes_nothing(production: Cluster) -> None:
    first = production.set_up()
    before = production.privileges()
    second = production.set_up()
    assert second == first
    assert production.privileges() == before


def test_rule_5_a_run_that_stopped_half_way_is_completed(production: Cluster) -> None:
    production.forbid_silence()
    production.superuser("orders", *NO_GRANTS_TODAY)
    assert production.set_up().unfinished != []
    production.superuser("orders", "drop event trigger refuse", "drop function refuse()")
    assert production.set_up().warnings == []
    production.as_application("orders", "insert into owner.items (note) values ('x')")


def test_a_new_password_in_the_secret_replaces_the_old_one(production: Cluster) -> None:
    production.set_up()
    changed = ApplicationLogins(
        app_username="orders_app", app_password="Changed-1", readonly_user="orders_report", readonly_pwd="Changed-2"
    )
    production.set_up(changed)
    assert can_log_in(production.server, "orders", "orders_app", "Changed-1")
    assert not can_log_in(production.server, "orders", "orders_app", LOGINS.app_password)


# Names and passwords

ODD_NAMES = [
    "Mixed_Case",
    'with "quotes"',
    "with space, comma; and 'apostrophe'",
    "größe_語",
    "ü" * 31 + "x",
    "select",
    "user",
    "100%s {0} $1",
    "back\\slash",
]


ODD_PASSWORDS = [
    "it's",
    'say "it"',
    "back\\slash",
    "%s %% {0}",
    "$1 $$",
    "pässwörd 語",
    " around ",
    "x" * 300,
    "SCRAM-SHA-256$",
]


@pytest.mark.parametrize("name", one_and_the_rest(ODD_NAMES))
def test_any_name_that_postgresql_takes_works(cluster: Cluster, name: str) -> None:
    """As a role, and as a database, schema, table, column, sequence and function that the roles use."""
    logins = ApplicationLogins(
        app_username=name,
        app_password="App-password-1",
        readonly_user="orders_report",
        readonly_pwd=LOGINS.readonly_pwd,
    )
    quoted = sql.Identifier(name)
    cluster.as_master("postgres", sql.SQL("create role owner"), sql.SQL("create database {}").format(quoted))
    cluster.as_master(
        name,
        cluster.joining("owner"),
        sql.SQL("create schema {0} authorization owner").format(quoted),
        "set role owner",
        sql.SQL("create table {0}.{0} ({0} int)").format(quoted),
        sql.SQL("create function {0}.{0}(x {0}.{0}) returns int language sql as 'select 1'").format(quoted),
        sql.SQL("revoke execute on function {0}.{0}({0}.{0}) from public").format(quoted),
        "reset role",
        "revoke owner from boss",
    )
    assert cluster.set_up(logins).warnings == []
    cluster.as_user(
        name,
        "App-password-1",
        name,
        sql.SQL("insert into {0}.{0} values (1)").format(quoted),
        sql.SQL("select {0}.{0}(t) from {0}.{0} t").format(quoted),
    )
    assert cluster.as_reader(name, sql.SQL("select * from {0}.{0}").format(quoted)) == [(1,)]
    before = cluster.privileges()
    cluster.set_up(logins)
    assert cluster.privileges() == before


def test_any_password_opens_the_door(cluster: Cluster) -> None:
    for password in ODD_PASSWORDS:
        logins = ApplicationLogins(
            app_username="orders_app", app_password=password, readonly_user="orders_report", readonly_pwd=password + "2"
        )
        cluster.set_up(logins)
        assert cluster.as_user("orders_app", password, "orders", "select current_user") == [("orders_app",)]
        assert not can_log_in(cluster.server, "orders", "orders_report", password)


@pytest.mark.parametrize(
    "name", ["", "x" * 64, "ü" * 32, MASTER, "pg_reader", "rdsadmin", "rds_superuser", "public", "none", "nul\0"]
)
@pytest.mark.parametrize("key", ["app_username", "readonly_user"])
def test_a_name_that_would_hit_another_role_is_refused(key: str, name: str) -> None:
    names: dict[str, Any] = {"app_username": "orders_app", "readonly_user": "orders_report", key: name}
    with pytest.raises(StepFailed, match=f"The application secret is not valid: {key} is ") as failed:
        check_names(ApplicationLogins(**names), MASTER)
    assert repr(name) in str(failed.value)
    assert "Correct it" in str(failed.value)


def test_one_name_for_both_roles_is_refused_before_anything_is_changed(cluster: Cluster) -> None:
    before = cluster.privileges()
    with pytest.raises(StepFailed, match="readonly_user is 'orders_app', as is its app_username"):
        cluster.set_up(
            ApplicationLogins(app_username="orders_app", app_password="1", readonly_user="orders_app", readonly_pwd="2")
        )
    assert cluster.privileges() == before


# Rule 9: secrets


def test_rule_9_no_password_reaches_the_servers_log(cluster: Cluster) -> None:
    """Not even if the server logs every statement, and one of them fails."""
    cluster.superuser("postgres", "alter role all set log_statement = 'all'", "alter role boss nocreaterole")
    with pytest.raises(StepFailed):
        cluster.set_up()
    cluster.superuser("postgres", "alter role boss createrole")
    cluster.set_up()
    written = cluster.postgres.log.read_text()
    assert 'STATEMENT:  CREATE ROLE "orders_app"' in written, "the log really has every statement"
    for password in (LOGINS.app_password, LOGINS.readonly_pwd, MASTER_PASSWORD):
        assert password not in written


def test_rule_9_passwords_are_stored_as_scram_verifiers(cluster: Cluster) -> None:
    cluster.set_up()
    for (stored,) in cluster.superuser("postgres", "select rolpassword from pg_authid where rolname ~ '^orders_'"):
        assert stored.startswith("SCRAM-SHA-256$")


def test_rule_9_an_error_shows_neither_password_nor_verifier(cluster: Cluster) -> None:
    cluster.superuser("postgres", "alter role boss nocreaterole")
    with pytest.raises(StepFailed, match=r"'orders_app' was not set up: the master user may not create it") as failed:
        cluster.set_up()
    assert LOGINS.app_password not in str(failed.value)
    assert "SCRAM" not in str(failed.value)
    assert failed.value.__context__ is None


# Roles that came with the data


def test_a_role_of_that_name_that_came_with_the_data_is_taken_over_with_our_password(cluster: Cluster) -> None:
    cluster.as_master("postgres", "create role orders_app nologin password 'Productions-1' valid until '2020-01-01'")
    cluster.set_up()
    assert cluster.as_application("orders", "select current_user") == [("orders_app",)]
    assert not can_log_in(cluster.server, "orders", "orders_app", "Productions-1")


@pytest.mark.full
def test_an_application_role_that_owns_its_tables_keeps_them(cluster: Cluster) -> None:
    cluster.as_master("postgres", "create role orders_app login")
    cluster.as_master(
        "orders",
        cluster.joining("orders_app"),
        "grant create on schema public to orders_app",
        "create table own (id int)",
        "alter table own owner to orders_app",
        "revoke orders_app from boss",
    )
    before = cluster.memberships()
    assert cluster.set_up().warnings == []
    cluster.as_application("orders", "insert into own values (1)", "alter table own add more int")
    assert cluster.as_reader("orders", "select id from own") == [(1,)]
    assert cluster.memberships() == before


def test_productions_own_logins_are_told(production: Cluster) -> None:
    production.as_master("postgres", "create role alice login", "create role nobody_logs_in nologin")
    assert production.set_up().inherited_logins == ["alice", "owner"]


def test_a_role_whose_password_doesnt_count_is_reported_and_the_other_is_done(cluster: Cluster) -> None:
    cluster.as_master("postgres", "create role orders_app login password 'Productions-1' connection limit 1")
    server = cluster.server
    with closing(
        psycopg2.connect(
            host=server.host, port=server.port, dbname="orders", user="orders_app", password="Productions-1"
        )
    ):
        report = cluster.set_up()
    (closed,) = report.unfinished
    assert closed.startswith("'orders_app' was set up, but cannot log in to 'orders'")
    assert report.warnings == [closed]
    assert cluster.as_reader("orders", "select current_user") == [("orders_report",)]


def test_without_any_role_that_can_log_in_there_is_no_copy_to_use(cluster: Cluster) -> None:
    for name in ("orders_app", "orders_report"):
        cluster.superuser("postgres", f"create role {name}", f"alter role {name} superuser")
    with pytest.raises(StepFailed, match=r"can connect to no database.*'orders_app' was not set up"):
        cluster.set_up()


# What a read-only role shouldn't have


@pytest.mark.full
def test_a_table_that_everybody_may_write_to_is_reported(production: Cluster) -> None:
    production.as_master("orders", "grant insert on public.plain to public")
    assert production.set_up().warnings == [
        "orders: 'orders_report' can write to public.plain, through PUBLIC or a role it belongs to"
    ]


@pytest.mark.full
def test_a_schema_in_which_everybody_may_create_is_reported(production: Cluster) -> None:
    """As in every database that was made before PostgreSQL 15."""
    production.as_master("orders", "grant create on schema public to public")
    assert production.set_up().warnings == [
        "orders: 'orders_report' can create objects in public, through PUBLIC or a role it belongs to"
    ]


def test_row_security_is_reported(production: Cluster) -> None:
    production.as_master("orders", "alter table public.plain enable row level security")
    assert production.set_up().warnings == ["orders: row security limits what the roles see in public.plain"]


# Databases


def test_a_closed_database_of_the_masters_is_opened_to_both_roles_and_to_nobody_else(production: Cluster) -> None:
    production.as_master("postgres", "create role alice login password 'Alice-1'")
    production.as_master("postgres", "revoke connect on database archive from public")
    report = production.set_up()
    assert "archive" in report.databases
    production.as_application("archive", "insert into owner.items (note) values ('x')")
    assert not can_log_in(production.server, "archive", "alice", "Alice-1")


@pytest.mark.full
def test_a_closed_database_of_another_owner_is_opened_too(production: Cluster) -> None:
    production.as_master("postgres", production.joining("owner"))
    production.as_master(
        "postgres",
        "alter database archive owner to owner",
        "revoke connect on database archive from public",
        "revoke owner from boss",
    )
    before = production.memberships()
    assert "archive" in production.set_up().databases
    production.as_application("archive", "insert into owner.items (note) values ('x')")
    assert production.memberships() == before


def test_a_database_that_cant_be_entered_is_reported_and_the_others_are_done(production: Cluster) -> None:
    production.superuser(
        "postgres",
        "create role stranger superuser",
        "alter database archive owner to stranger",
        "revoke all on database archive from public",
    )
    report = production.set_up()
    assert report.databases == ["orders", "postgres"]
    assert report.warnings == ["archive: its owner 'stranger' admits neither the master user nor the new roles"]


def test_system_databases_are_left_alone(cluster: Cluster) -> None:
    before = cluster.superuser(
        "postgres", "select datname, datacl::text from pg_database where datname ~ 'rds|template'"
    )
    assert "rdsadmin" not in cluster.set_up().databases
    after = cluster.superuser(
        "postgres", "select datname, datacl::text from pg_database where datname ~ 'rds|template'"
    )
    assert after == before


def test_a_cluster_without_a_database_for_us_is_for_a_person(cluster: Cluster) -> None:
    cluster.superuser(
        "postgres",
        "drop database orders",
        "alter database postgres owner to rdsadmin",
        "revoke all on database postgres from public",
        "grant connect on database postgres to boss",
    )
    with pytest.raises(StepFailed, match="can connect to no database"):
        cluster.set_up()


# The proof of a login


def test_the_right_password_is_proof(finished: Cluster) -> None:
    prove_login(finished.server, finished.master)


def test_a_wrong_password_is_asked_again_and_not_shown(finished: Cluster) -> None:
    wrong = MasterLogin(username=MASTER, password="Wrong-password-1", host="x", port=1)
    with pytest.raises(TemporaryFailure, match=r"No login as 'boss' to .*/postgres yet: .*password") as failed:
        prove_login(finished.server, wrong)
    assert "Wrong-password-1" not in str(failed.value)


def test_a_server_that_cant_prove_who_it_is_gets_no_password(finished: Cluster, tmp_path: Any) -> None:
    stranger = Authority(tmp_path / "another-ca.pem")
    server = Server(host=finished.server.host, port=finished.server.port, ca_bundle=str(stranger.bundle))
    with pytest.raises(TemporaryFailure, match="certificate verify failed"):
        prove_login(server, finished.master)


def test_a_server_that_isnt_up_yet_is_asked_again(cluster: Cluster) -> None:
    cluster.postgres.stop(at_once=True)
    with pytest.raises(TemporaryFailure, match="No login as 'boss'"):
        prove_login(cluster.server, cluster.master)
