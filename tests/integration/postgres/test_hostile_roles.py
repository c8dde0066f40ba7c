"""Logins, roles and databases of production's that are odd or hostile: reported, made harmless, and no run's end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extras
import pytest

from scripts.local_aws.postgres import servers as local_postgres
from scripts.local_aws.postgres.servers import Servers
from tests.integration.postgres.cluster_support import MASTER, Cluster, a_role, set_up, started
from tests.integration.tiers import one_and_the_rest
from utils.contracts.tle_hooks import TLE_HOOKS
from utils.errors import StepFailed, TemporaryFailure
from utils.postgres import databases, session
from utils.postgres.databases import enter_cluster
from utils.postgres.own_roles import open_own_role
from utils.postgres.session import can_log_in
from utils.postgres.setup import prove_login


@pytest.fixture
def cluster(servers: Servers) -> Iterator[Cluster]:
    running = started(servers)
    yield running
    running.postgres.destroy()


def connected(cluster: Cluster, user: str, password: str, **how: Any) -> Any:
    server = cluster.server
    return psycopg2.connect(
        host=server.host, port=server.port, user=user, password=password, **({"dbname": "orders"} | how)
    )


# pg_tle's hooks. The library is not here, so that a setting of the server's own stands for theirs.


def test_no_password_is_set_where_the_servers_configuration_runs_functions_of_the_data_then(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utils.postgres.tle_hooks.TLE_HOOKS", ("array_nulls",))
    before = cluster.superuser("postgres", "select rolname, rolpassword from pg_authid order by 1")
    with pytest.raises(StepFailed, match="the parameter group has array_nulls = on"):
        set_up(cluster)
    with pytest.raises(StepFailed, match="No password was set"):
        open_own_role(enter_cluster(cluster.server, cluster.master), "aurora_restore_masking_1")
    assert cluster.superuser("postgres", "select rolname, rolpassword from pg_authid order by 1") == before


def test_a_role_or_a_database_cannot_pretend_that_a_hook_is_on(cluster: Cluster) -> None:
    for hook in TLE_HOOKS:
        cluster.superuser(
            "postgres", f"alter role boss set {hook} = 'on'", f"alter database postgres set {hook} = 'on'"
        )
    set_up(cluster)


# Logins


def test_logins_that_are_called_like_awss_are_locked_and_awss_own_are_not(cluster: Cluster) -> None:
    names = ["rds_mcp_readonly", "rdsuser", "rds_superuser_2", "rdsadmin2"]
    cluster.as_master("postgres", *(f"create role {name} login password 'Prod-pass-2'" for name in names))
    assert set_up(cluster).inherited_logins == sorted(names)
    report = set_up(cluster, lock=True)
    assert report.locked_logins == sorted(names)
    assert not any(can_log_in(cluster.server, "orders", name, "Prod-pass-2") for name in names)
    can = "select rolname from pg_roles where rolcanlogin order by 1"
    assert [name for (name,) in cluster.superuser("postgres", can)] == [
        "boss",
        "orders_app",
        "orders_report",
        "rdsadmin",
        "rdstopmgr",
    ]


def test_a_login_with_the_name_of_one_of_awss_that_somebody_else_made_is_locked(cluster: Cluster) -> None:
    """From PostgreSQL 16 on that can be seen: who makes a role administers it."""
    if cluster.version < 16:
        pytest.skip("nobody can tell before PostgreSQL 16")
    cluster.as_master("postgres", "create role dba createrole login password 'Dba-1'")
    cluster.as_user("dba", "Dba-1", "postgres", "create role rdsproxyadmin login password 'Prod-pass-2'")
    cluster.superuser("postgres", "grant rdsproxyadmin to boss with admin option")
    assert "rdsproxyadmin" in set_up(cluster, lock=True).locked_logins


def test_what_a_connected_login_makes_meanwhile_is_locked_too(cluster: Cluster) -> None:
    cluster.as_master("postgres", "create role maker createrole login password 'Maker-1'")
    ended = threading.Event()

    def go_on_making() -> None:
        with closing(connected(cluster, "maker", "Maker-1", dbname="postgres")) as inside, inside.cursor() as cursor:
            inside.autocommit = True
            number = 0
            while not ended.is_set():
                number += 1
                with suppress(psycopg2.errors.DuplicateObject, psycopg2.errors.InternalError_):
                    cursor.execute(f"create role made_{number} createrole login password 'Made-1'")

    def until_it_is_thrown_out() -> None:
        with suppress(psycopg2.Error):
            go_on_making()

    making = threading.Thread(target=until_it_is_thrown_out)
    making.start()
    try:
        report = set_up(cluster, lock=True)
        making.join(10)
        assert not making.is_alive(), "its session was ended"
    finally:
        ended.set()
    assert report.inherited_logins == []
    left = "select rolname from pg_roles where rolcanlogin and rolname ~ '^(made|maker)'"
    assert cluster.superuser("postgres", left) == []


def test_replication_ends_with_its_login(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(local_postgres._SETTINGS, "max_wal_senders", "4")
    rules = servers.access_rules.read_text()
    servers.access_rules.write_text(f"hostssl replication all all scram-sha-256\n{rules}")
    cluster = started(servers)
    try:
        cluster.superuser("postgres", "create role follower replication login password 'Follower-1'")
        cluster.superuser("postgres", "grant follower to boss with admin option")
        factory = psycopg2.extras.PhysicalReplicationConnection
        with closing(connected(cluster, "follower", "Follower-1", connection_factory=factory)) as following:
            cursor = following.cursor()
            cursor.execute("IDENTIFY_SYSTEM")
            report = set_up(cluster, lock=True)
            if (
                cluster.version < 16
            ):  # only a superuser may alter a role with that attribute: its login stays, and is told
                assert report.inherited_logins == ["follower"]
                return
            assert report.locked_logins == ["follower"]
            with pytest.raises(psycopg2.OperationalError):
                cursor.execute("IDENTIFY_SYSTEM")
    finally:
        servers.access_rules.write_text(rules)
        cluster.postgres.destroy()


def test_a_session_whose_role_was_dropped_ends(cluster: Cluster) -> None:
    cluster.as_master("postgres", "create role gone login password 'Gone-1'")
    with closing(connected(cluster, "gone", "Gone-1")) as inside, inside.cursor() as cursor:
        cluster.as_master("postgres", "drop role gone")
        cursor.execute("select 1")  # it goes on
        assert set_up(cluster, lock=True).inherited_logins == []
        with pytest.raises(psycopg2.OperationalError):
            cursor.execute("select 1")


def test_a_login_that_is_being_changed_is_locked_when_its_session_has_ended(cluster: Cluster) -> None:
    cluster.as_master("postgres", "create role shop_app login password 'Prod-1'")
    with closing(connected(cluster, "shop_app", "Prod-1")) as inside, inside.cursor() as cursor:
        cursor.execute("alter role shop_app password 'Prod-2'")
        report = set_up(cluster, lock=True)
    assert report.locked_logins == ["shop_app"]
    assert report.warnings == []


def test_a_session_of_the_applications_role_that_productions_password_opened_ends(cluster: Cluster) -> None:
    cluster.as_master("postgres", "create role orders_app login password 'Productions-1'")
    with closing(connected(cluster, "orders_app", "Productions-1")) as inside, inside.cursor() as cursor:
        set_up(cluster, lock=True)
        with pytest.raises(psycopg2.OperationalError):
            cursor.execute("select 1")


# Application roles that came with the data


def test_an_application_role_loses_what_would_make_its_profile_untrue(cluster: Cluster) -> None:
    cluster.as_master(
        "postgres",
        "create role shop_owner",
        "create role alice",
        "create role orders_app login createrole createdb connection limit 0",
        "grant shop_owner to orders_app",
        "grant orders_app to alice",
        "alter role orders_app set role = shop_owner",
        "alter role orders_app in database orders set default_transaction_read_only = on",
        "alter role orders_app set search_path = shop, public",
        "create role orders_report login",
        "grant shop_owner to orders_report",
    )
    cluster.superuser("postgres", "grant rds_superuser to orders_app", "grant pg_write_all_data to orders_report")
    cluster.superuser("orders", "create table items (id int)", "alter table items owner to boss")
    report = set_up(cluster, lock=True)
    assert report.unfinished == []
    assert report.warnings[:4] == [
        "'orders_app' came with CREATEROLE, CREATEDB, CONNECTION LIMIT 0, which was removed",
        "'orders_app' came with settings of its own that were reset: role, default_transaction_read_only in orders",
        "'orders_app' came with settings of its own and keeps them: search_path",
        "'orders_app' belongs to 'rds_superuser', with all its rights, and the master user cannot end that"
        if cluster.version >= 16
        else "'orders_app' came as a member of 'rds_superuser', which was ended",
    ]
    assert "'orders_app' belongs to 'shop_owner', with all its rights, as in production" in report.warnings
    assert "other roles can act as 'orders_app', as in production: 'alice'" in report.warnings
    assert "'orders_report' came as a member of 'shop_owner', which was ended" in report.warnings
    cluster.as_application("orders", "insert into items values (1)")
    assert cluster.as_application("orders", "select current_user") == [("orders_app",)]


def test_an_application_role_loses_the_group_through_which_it_is_the_systems(cluster: Cluster) -> None:
    cluster.as_master(
        "postgres",
        "create role dba",
        "create role shop_owner",
        "create role orders_app login password 'Prod-1'",
        "grant rds_superuser to dba",
        "grant dba, shop_owner to orders_app",
    )
    report = set_up(cluster)
    (warning,) = [each for each in report.warnings if "'dba'" in each]
    assert warning.startswith("'orders_app' came as a member of 'dba' and through it '")
    may = "select pg_has_role('rds_superuser', 'member'), pg_has_role('shop_owner', 'member')"
    assert cluster.as_application("orders", may) == [(False, True)]


def test_a_reader_that_may_create_or_will_write_is_told(cluster: Cluster) -> None:
    cluster.as_master("orders", "create role shop_owner", cluster.joining("shop_owner"))
    cluster.as_master(
        "orders",
        "grant create on database orders to public",
        "alter default privileges for role shop_owner grant insert on tables to public",
    )
    assert set_up(cluster).warnings == [
        "orders: 'orders_report' can create schemas in the database, through PUBLIC or a role it belongs to",
        "orders: 'orders_report' will be able to write to tables that shop_owner creates later, by default privileges",
    ]


@pytest.mark.full
def test_an_application_role_with_a_superusers_attributes_is_named(cluster: Cluster) -> None:
    cluster.superuser("postgres", "create role orders_report login bypassrls replication")
    cluster.superuser("postgres", "grant orders_report to boss with admin option")
    report = set_up(cluster)
    if cluster.version < 16:  # there only a superuser may alter it at all
        (unfinished,) = report.unfinished
        assert unfinished.startswith("'orders_report' was not set up: the master user may not alter it (")
        return
    (warning,) = [each for each in report.warnings if "cannot remove" in each]
    assert warning.startswith("'orders_report' came with REPLICATION (")
    assert "BYPASSRLS (" in warning


def test_a_role_that_the_master_may_not_alter_is_named_and_the_others_are_done(cluster: Cluster) -> None:
    cluster.superuser("postgres", "create role reporting superuser login password 'Productions-1'")
    reporting = a_role("reporting", "read_only")
    report = set_up(cluster, reporting, lock=True)
    (unfinished,) = report.unfinished
    assert unfinished.startswith("'reporting' was not set up: the master user may not alter it (")
    assert unfinished in report.warnings
    assert report.inherited_logins == ["reporting"]
    assert report.roles == ["orders_app (read and write)", "orders_report (read only)"]
    assert cluster.as_reader("orders", "select current_user") == [("orders_report",)]


def test_a_role_of_ours_that_cant_log_in_yet_is_not_locked(cluster: Cluster) -> None:
    """Whoever mends what is in its way finds it with its login and the secret's password."""
    if cluster.version < 17:
        pytest.skip("there are no event triggers on login before PostgreSQL 17")
    cluster.superuser(
        "orders",
        "create function refuse() returns event_trigger language plpgsql as $$begin"
        " if session_user = 'orders_app' then raise 'Not you'; end if; end$$",
        "create event trigger refuse on login execute function refuse()",
    )
    report = set_up(cluster, lock=True)
    (closed,) = report.unfinished
    assert closed.startswith("'orders_app' was set up, but cannot log in to 'orders'")
    assert report.locked_logins == []
    assert cluster.as_application("postgres", "select current_user") == [("orders_app",)]


# The master user's own settings


WAYS_TO_DECIDE = {
    "the master's": (
        "alter role boss set role = 'nobody'",
        "alter role boss set default_transaction_read_only = on",
        "alter role boss set statement_timeout = 1",
        "alter role boss in database orders set lock_timeout = 1",
        "alter role boss set client_encoding = latin1",
        "alter role boss set datestyle = 'German, DMY'",
        "alter role boss set exit_on_error = on",
        "alter role boss set local_preload_libraries = 'missing'",
    ),
    "the database's": (
        "alter database orders set default_transaction_read_only = on",
        "alter database orders set row_security = off",
        "alter database orders set quote_all_identifiers = on",
        "alter database orders set standard_conforming_strings = off",
        "alter database orders set default_transaction_isolation = serializable",
        "alter database orders set bytea_output = escape",
    ),
}


@pytest.mark.parametrize("whose", one_and_the_rest(WAYS_TO_DECIDE, "the master's"))
def test_settings_of_the_data_decide_nothing(cluster: Cluster, whose: str) -> None:
    cluster.as_master("orders", "create role nobody", "create table items (id int)")
    cluster.superuser("orders", *WAYS_TO_DECIDE[whose])
    assert set_up(cluster, lock=True).unfinished == []
    assert cluster.as_reader("orders", "select count(*) from items") == [(0,)]


@pytest.mark.parametrize("whose", one_and_the_rest(WAYS_TO_DECIDE, "the master's"))
def test_they_decide_where_nothing_is_pinned(cluster: Cluster, whose: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the test above could never fail."""
    monkeypatch.setattr(session, "PINNED", {"client_min_messages": "error"})
    cluster.as_master("orders", "create role nobody", "create table items (id int)")
    cluster.superuser("orders", *WAYS_TO_DECIDE[whose])
    with suppress(StepFailed, TemporaryFailure):
        assert set_up(cluster, lock=True).unfinished != []


def test_settings_that_only_newer_servers_know_decide_nothing_either(cluster: Cluster) -> None:
    settings = {
        14: "idle_session_timeout = 1",
        16: "createrole_self_grant = 'set, inherit'",
        17: "transaction_timeout = 1",
    }
    for since, setting in settings.items():
        if cluster.version >= since:
            cluster.superuser("postgres", f"alter role boss set {setting}")
    before = cluster.memberships()
    assert set_up(cluster).unfinished == []
    assert cluster.memberships() == before


def test_an_error_doesnt_end_the_session_whoever_wishes_it(cluster: Cluster) -> None:
    """exit_on_error is anybody's to set, and a refusal of one role would be the end of all work."""
    cluster.superuser("postgres", "create role reporting superuser", "alter role boss set exit_on_error = on")
    (unfinished,) = set_up(cluster, a_role("reporting", "read_only")).unfinished
    assert unfinished.startswith("'reporting' was not set up: the master user may not alter it (")


def test_a_master_user_in_rds_iam_is_told_what_to_do(cluster: Cluster) -> None:
    if cluster.version >= 16:
        pytest.skip("the embedded server takes a member's password there")
    cluster.superuser("postgres", "grant rds_iam to boss")
    with pytest.raises(TemporaryFailure, match="REVOKE rds_iam FROM it where it came from"):
        prove_login(cluster.server, cluster.master)


# Databases

DROPPED = "drop database postgres"


def test_databases_that_let_nobody_in_are_reported_and_the_rest_is_done(cluster: Cluster) -> None:
    cluster.as_master(
        "postgres",
        "create database archive_2019 connection limit 0",
        "create database half_dropped",
        "create database shut allow_connections false",
        "create database crowded connection limit 1",
    )
    cluster.superuser("postgres", "update pg_database set datconnlimit = -2 where datname = 'half_dropped'")
    with closing(connected(cluster, MASTER, cluster.master.password, dbname="crowded")):
        report = set_up(cluster)
    assert report.databases == ["orders", "postgres"]
    assert report.warnings[1:4] == [
        "archive_2019: skipped: it admits nobody (CONNECTION LIMIT is 0)",
        "half_dropped: skipped: its DROP DATABASE was interrupted, and it can only be dropped",
        "shut: skipped: it admits nobody (ALLOW_CONNECTIONS is false)",
    ]
    (crowded,) = report.unfinished
    assert crowded.startswith("crowded: No login as 'boss'")
    assert report.warnings[0] == crowded


@pytest.mark.parametrize("change", one_and_the_rest([DROPPED, "alter database postgres rename to main"], DROPPED))
def test_without_the_database_postgres_another_serves(cluster: Cluster, change: str) -> None:
    cluster.superuser("orders", change)
    prove_login(cluster.server, cluster.master)
    report = set_up(cluster, lock=True)
    assert report.unfinished == []
    assert "orders" in report.databases


def test_a_database_that_was_declared_a_template_is_set_up_all_the_same(cluster: Cluster) -> None:
    cluster.superuser("postgres", "alter database orders is_template true")
    assert set_up(cluster).databases == ["orders", "postgres"]


@pytest.mark.parametrize("encoding", one_and_the_rest(["SQL_ASCII", "LATIN1"], "LATIN1"))
def test_a_database_of_another_encoding_is_set_up(cluster: Cluster, encoding: str) -> None:
    cluster.as_master("postgres", f"create database old encoding '{encoding}' template template0")
    with closing(connected(cluster, MASTER, cluster.master.password, dbname="old", client_encoding="UTF8")) as inside:
        inside.cursor().execute('create table "größe" (id int)')
        inside.commit()
    report = set_up(cluster)
    assert report.unfinished == []
    may = "select has_table_privilege('orders_report', oid, 'select') from pg_class where relname ~ '^gr.*e$'"
    assert cluster.superuser("old", may) == [(True,)]


def test_names_that_are_no_utf8_text_cost_only_what_they_name(cluster: Cluster) -> None:
    cluster.as_master("postgres", "create database old encoding 'SQL_ASCII' template template0")
    _run_bytes(cluster, b"create role \"caf\xe9\" login password 'Prod-1'", b'create database "caf\xe9"')
    _run_bytes(
        cluster,
        b'create table "caf\xe9" (id int)',
        b'alter role "caf\xe9" set search_path = "caf\xe9"',
        b'create role orders_report in role "caf\xe9"',
    )
    report = set_up(cluster, lock=True)
    assert report.databases == ["old", "orders", "postgres"]
    assert report.locked_logins == ["b'caf\\xe9'"]
    assert "b'caf\\xe9': skipped: this database's name is not UTF-8 text; rename it" in report.warnings
    (member,) = report.unfinished
    assert member.startswith("'orders_report' was not set up: ")
    may = "select has_table_privilege('orders_app', oid, 'insert') from pg_class where relname ~ '^caf'"
    assert cluster.superuser("old", may) == [(True,)]
    assert any(
        each.startswith("the settings of production's logins could not be checked: ") for each in report.warnings
    )
    can = "select count(*) from pg_roles where rolcanlogin and rolname !~ '^[a-z_]*$'"
    assert cluster.superuser("old", can) == [(0,)]


@pytest.mark.full
def test_a_database_that_cant_be_read_is_left_out(cluster: Cluster) -> None:
    """One with an encoding, in which a role owns something whose name was written in another."""
    cluster.as_master("postgres", "create database old encoding 'SQL_ASCII' template template0")
    _run_bytes(cluster, b'create role "caf\xe9"')
    cluster.superuser("orders", "create table items (id int)")
    cluster.superuser(
        "orders",
        "update pg_class set relowner = (select max(oid) from pg_roles) where relname = 'items'",
    )
    report = set_up(cluster)
    (left_out,) = report.unfinished
    assert left_out.startswith("orders: ")
    assert report.databases == ["old", "postgres"]


def _run_bytes(cluster: Cluster, *statements: bytes) -> None:
    with closing(connected(cluster, MASTER, cluster.master.password, dbname="old")) as inside:
        inside.autocommit = True
        inside.set_client_encoding("SQL_ASCII")
        with inside.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


def test_a_lock_that_nobody_gives_back_costs_one_database(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(session.PINNED, "lock_timeout", "200")
    monkeypatch.setattr(databases, "PAUSE_SECONDS", 0)
    cluster.as_master("postgres", "create database archive")
    with (
        closing(connected(cluster, MASTER, cluster.master.password, dbname="archive")) as inside,
        inside.cursor() as at,
    ):
        at.execute("create table held (id int)")
        inside.commit()
        at.execute("lock table held in access exclusive mode")
        owner = a_role("migrator", "owner", databases=["archive"])
        report = set_up(cluster, owner)
    (archive,) = report.unfinished
    assert archive.startswith("archive: PostgreSQL refused work in database 'archive'")
    assert "55P03" in archive
    assert "orders" in report.databases


@pytest.mark.full
def test_what_a_prepared_transaction_holds_costs_one_database(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came with the data, and nobody is left to finish it."""
    monkeypatch.setitem(local_postgres._SETTINGS, "max_prepared_transactions", "4")
    monkeypatch.setitem(session.PINNED, "lock_timeout", "200")
    monkeypatch.setattr(databases, "PAUSE_SECONDS", 0)
    cluster = started(servers)
    try:
        cluster.as_master("postgres", "create database archive")
        with closing(connected(cluster, MASTER, cluster.master.password, dbname="archive")) as inside:
            inside.cursor().execute("create table held (id int)")
            inside.commit()
            inside.tpc_begin("left behind")
            inside.cursor().execute("lock table held in access exclusive mode")
            inside.tpc_prepare()
        report = set_up(cluster, a_role("migrator", "owner", databases=["archive"]))
        (archive,) = report.unfinished
        assert archive.startswith("archive: PostgreSQL refused work in database 'archive'")
        assert any(each.startswith("archive: 1 prepared transactions came with the data") for each in report.warnings)
    finally:
        cluster.postgres.destroy()


def test_what_a_prepared_transaction_holds_of_roles_and_databases_costs_these(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are the whole cluster's: a login that changed its password, a database that somebody was let into."""
    monkeypatch.setitem(local_postgres._SETTINGS, "max_prepared_transactions", "4")
    monkeypatch.setitem(session.PINNED, "lock_timeout", "200")
    monkeypatch.setattr(databases, "PAUSE_SECONDS", 0)
    cluster = started(servers)
    try:
        cluster.as_master(
            "postgres",
            "create database archive",
            "create role shop_app login password 'Prod-1'",
            "create role reporting login password 'Prod-1'",
        )
        for database, user, password, statement in (
            ("orders", MASTER, cluster.master.password, "grant connect on database archive to shop_app"),
            ("orders", "shop_app", "Prod-1", "alter role shop_app password 'Prod-2'"),
            ("orders", "reporting", "Prod-1", "alter role reporting password 'Prod-2'"),
        ):
            with closing(connected(cluster, user, password, dbname=database)) as inside:
                inside.tpc_begin(f"{user} left behind")
                inside.cursor().execute(statement)
                inside.tpc_prepare()
        report = set_up(cluster, a_role("reporting", "read_only"), lock=True)
        reporting, archive = report.unfinished
        assert reporting.startswith("'reporting' was not set up: PostgreSQL refused work in database 'postgres'")
        assert archive.startswith("archive: PostgreSQL refused work in database 'postgres'")
        assert report.databases == ["orders", "postgres"]
        assert report.inherited_logins == ["reporting", "shop_app"]
        assert any(
            "'shop_app' can still log in, because it could not be locked: another tran" in each
            for each in report.warnings
        )
    finally:
        cluster.postgres.destroy()


# What no profile gives


def test_what_production_had_and_no_profile_gives_is_reported(cluster: Cluster) -> None:
    cluster.as_master("postgres", "create role shop_app login password 'x'")
    cluster.superuser(
        "orders",
        "create table documents (id int, body oid)",
        "alter table documents owner to boss",
        "grant select, insert, truncate on documents to shop_app",
        "set role shop_app",
        "select lo_from_bytea(0, 'contract')",
        "reset role",
        "alter role shop_app set search_path = shop, public",
        "alter role shop_app in database orders set statement_timeout = '30s'",
    )
    report = set_up(cluster, lock=True)
    assert report.unfinished == []
    assert [each for each in report.warnings if each.startswith("orders: ")] == [
        "orders: the roles cannot read 1 large objects of 'shop_app': to allow it, as their owner, "
        "GRANT SELECT ON LARGE OBJECT with their numbers in pg_largeobject_metadata",
        "orders: 'shop_app' may TRUNCATE 1 tables, which the profiles read_only and read_write do not give",
    ]
    assert (
        "'shop_app' has settings of its own in production, which the new roles lack: "
        "search_path = 'shop, public', statement_timeout in orders" in report.warnings
    )
