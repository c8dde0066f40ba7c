"""Production's data as an attacker would leave them: nothing of them runs with the master user's rights, or decides.

On each PostgreSQL that this machine has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg2.errors
import pytest
from psycopg2 import sql

from scripts.local_aws.postgres.servers import Servers
from scripts.local_aws.postgres.volumes import Volume
from tests.integration.postgres.cluster_support import MASTER, PG_CRON, Cluster, a_role, kept, set_up, started
from tests.integration.postgres.hostile_support import (
    ATTACKER,
    ATTACKER_PASSWORD,
    body,
    plant,
    sprung,
)
from tests.integration.tiers import one_and_the_rest
from utils.postgres import session, setup
from utils.postgres.setup import RolesReport

EVERYTHING: dict[str, Any] = {"lock": True, "quarantine": True}


@pytest.fixture
def cluster(servers: Servers) -> Iterator[Cluster]:
    running = attacked(servers)
    yield running
    running.postgres.destroy()


def attacked(servers: Servers) -> Cluster:
    """A database of before PostgreSQL 15, in whose schema public everybody may create, and a login of production's."""
    running = started(servers)
    running.as_master(
        "postgres",
        f"create role {ATTACKER} login password '{ATTACKER_PASSWORD}'",
        "create role owner login password 'Owners-password-1'",
    )
    running.superuser(
        "orders",
        "grant create on schema public to public",
        "create schema sales authorization owner",
        "create table sales.items (id serial, note text)",
        "alter table sales.items owner to owner",
        "create view sales.notes as select note from sales.items",
        "alter view sales.notes owner to owner",
        "create function sales.one() returns int language sql as 'select 1'",
        "alter function sales.one() owner to owner",
        "create type sales.mood as enum ('good', 'bad')",
        "alter type sales.mood owner to owner",
    )
    return running


def as_attacker(cluster: Cluster, *statements: str | sql.Composable) -> Any:
    return cluster.as_user(ATTACKER, ATTACKER_PASSWORD, "orders", *statements)


# The search path

PUBLIC_FIRST = "the database's has public first"
PATHS = {
    "as PostgreSQL has it": (),
    PUBLIC_FIRST: ("alter database orders set search_path = public, pg_catalog",),
    "the master's has public first": (
        f"alter role {MASTER} in database orders set search_path = public, pg_catalog",
        f"alter role {MASTER} set search_path = public, pg_catalog",
    ),
}


@pytest.fixture(scope="module")
def planted(servers: Servers) -> Volume:
    """Return what `cluster` has, with a shadow in public of all that our SQL names: thousands, planted once."""
    running = attacked(servers)
    count = plant(running)
    assert count["functions"] > 5000
    assert count["operators"] > 500
    assert count["types"] >= 8
    assert count["relations"] >= 20
    return kept(running, servers)


@pytest.fixture
def shadowed(servers: Servers, planted: Volume) -> Iterator[Cluster]:
    running = started(servers, planted)
    assert sprung(running) == [], "its log is its own"
    yield running
    running.postgres.destroy()


@pytest.mark.parametrize("path", one_and_the_rest(PATHS, PUBLIC_FIRST))
def test_no_shadow_of_anything_that_our_sql_names_is_ever_used(shadowed: Cluster, path: str) -> None:
    shadowed.superuser("orders", *PATHS[path])
    report = set_up(shadowed, a_role("migrator", "owner", databases=["orders"], schemas=["sales"]), **EVERYTHING)
    assert report.unfinished == []
    assert sprung(shadowed) == []


@pytest.mark.parametrize("path", one_and_the_rest(list(PATHS)[1:], PUBLIC_FIRST))
def test_the_shadows_are_used_where_the_path_is_not_pinned(
    shadowed: Cluster, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the test above could never fail."""
    monkeypatch.delitem(session.PINNED, "search_path")
    shadowed.superuser("orders", *PATHS[path])
    with suppress(Exception):
        set_up(shadowed, **EVERYTHING)
    assert any(line.endswith(f"by {MASTER}") for line in sprung(shadowed))


def test_a_login_that_may_create_in_public_gets_no_right_by_it(cluster: Cluster) -> None:
    """CVE-2018-1058: a function that fits a call better than PostgreSQL's own is taken, wherever it is on the path."""
    cluster.as_master("orders", "create role dba_owner", cluster.joining("dba_owner"))
    cluster.as_master(
        "orders",
        "create schema finance authorization dba_owner",
        "create table finance.salaries (amount int)",
        "alter table finance.salaries owner to dba_owner",
    )
    granting = (
        "begin begin grant usage on schema finance to shop_app; grant select on finance.salaries to shop_app;"
        " exception when others then null; end;"
    )
    as_attacker(
        cluster,
        f"create function public.format(text, name) returns text language plpgsql as $$ {granting}"
        " return pg_catalog.quote_ident($2); end $$",
        f"create function public.format(text, name, name) returns text language plpgsql as $$ {granting}"
        " return pg_catalog.quote_ident($2) || '.' || pg_catalog.quote_ident($3); end $$",
    )
    assert set_up(cluster).unfinished == []
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        as_attacker(cluster, "select * from finance.salaries")


def test_hints_arent_read_from_a_table_of_the_datas(cluster: Cluster) -> None:
    """Older versions of pg_hint_plan take any relation of that name; without the library the setting is nobody's."""
    cluster.superuser("orders", "alter database orders set pg_hint_plan.enable_hint_table = on")
    with session.session(cluster.server, "orders", MASTER, cluster.master.password) as opened:
        setting = opened.rows(sql.SQL("SELECT current_setting('pg_hint_plan.enable_hint_table')"))
    assert setting == [("off",)]


# Event triggers

SAYING = "raise 'the database system is starting up'"


@pytest.mark.parametrize("enabled", one_and_the_rest(["enable", "enable always"], "enable"))
def test_event_triggers_are_silenced_and_reported(cluster: Cluster, enabled: str) -> None:
    """Where the server lets the master user do that, as RDS does; those of replication too, from PostgreSQL 17 on."""
    _plant_event_trigger(cluster, "ddl_command_end", enabled)
    report = set_up(cluster, **EVERYTHING)
    if cluster.version < 17 and enabled == "enable always":
        _left_out(cluster, report)
        return
    assert report.unfinished == []
    (warning,) = [each for each in report.warnings if "event trigger" in each]
    assert warning.startswith("orders: event trigger 'watching' (ddl_command_end) runs public.watching, which belongs")
    assert sprung(cluster) == []
    cluster.as_application("orders", "insert into sales.items (note) values ('x')")


def test_where_event_triggers_cant_be_silenced_somebody_elses_leave_a_database_out(cluster: Cluster) -> None:
    cluster.forbid_silence()
    _plant_event_trigger(cluster, "ddl_command_end", "enable")
    _left_out(cluster, set_up(cluster, **EVERYTHING))


@pytest.mark.full
def test_an_event_trigger_of_the_masters_own_is_only_reported(cluster: Cluster) -> None:
    cluster.forbid_silence()
    cluster.superuser(
        "orders",
        "create function public.own() returns event_trigger language plpgsql as $$begin end$$",
        f"alter function public.own() owner to {MASTER}",
        "create event trigger own on ddl_command_end execute function public.own()",
    )
    report = set_up(cluster)
    assert report.unfinished == []
    assert any("event trigger 'own'" in each for each in report.warnings)


def test_an_event_trigger_on_login_is_silenced_or_its_database_not_entered(cluster: Cluster) -> None:
    if cluster.version < 17:
        pytest.skip("there are none before PostgreSQL 17")
    _plant_event_trigger(cluster, "login", "enable always")
    assert set_up(cluster).unfinished == []
    # The application's roles meet it as they will whenever they log in.
    assert {line.rpartition(" by ")[2] for line in sprung(cluster)} == {"orders_app", "orders_report"}
    cluster.forbid_silence()
    report = set_up(cluster)
    (left_out,) = report.unfinished
    assert left_out.startswith("orders: skipped: it has an event trigger on login")
    assert "orders" not in report.databases
    assert not any(line.endswith(f"by {MASTER}") for line in sprung(cluster))


@pytest.mark.full
def test_nobody_talks_us_out_of_silencing_event_triggers_on_login(cluster: Cluster) -> None:
    """The owner of one database chose a library by the name of our option, and the server's refusal has that name."""
    if cluster.version < 17:
        pytest.skip("there are none before PostgreSQL 17")
    cluster.as_master("postgres", "create database archive")
    cluster.superuser(
        "postgres",
        f"alter database archive owner to {ATTACKER}",
        "alter database archive set local_preload_libraries = 'event_triggers'",
    )
    _plant_event_trigger(cluster, "login", "enable always")
    report = set_up(cluster, **EVERYTHING)
    assert not any(line.endswith(f"by {MASTER}") for line in sprung(cluster))
    # The roles can't log in where its owner shut it; the rest is done.
    assert all("cannot log in to 'archive'" in each for each in report.unfinished)
    assert report.databases == ["archive", "orders", "postgres"]


@pytest.mark.full
def test_an_option_that_the_server_has_taken_is_never_left_out(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else may come to stand in a refusal."""
    monkeypatch.delitem(session.PINNED, "local_preload_libraries")
    cluster.superuser("postgres", "alter database orders set local_preload_libraries = 'session_replication_role'")
    set_up(cluster)
    assert (session.REPLICATION_ROLE in cluster.server.refused_options) == (cluster.version < 15)


@pytest.mark.parametrize("how", one_and_the_rest([SAYING, "perform pg_sleep(600)"], SAYING))
def test_what_a_trigger_on_login_says_costs_its_database(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if cluster.version < 17:
        pytest.skip("there are none before PostgreSQL 17")
    monkeypatch.setattr(session, "CONNECT_TIMEOUT_SECONDS", 2)
    monkeypatch.setattr(setup, "CONNECT_TIMEOUT_SECONDS", 0)
    cluster.superuser(
        "orders",
        "create function public.no() returns event_trigger language plpgsql as $$begin"
        f" if session_user = 'orders_app' then {how}; end if; end$$",
        "create event trigger no on login execute function public.no()",
    )
    report = set_up(cluster)
    (shut,) = report.unfinished
    assert shut.startswith("'orders_app' was set up, but cannot log in to 'orders'")
    assert cluster.as_application("postgres", "select current_user") == [("orders_app",)]


def _plant_event_trigger(cluster: Cluster, event: str, enabled: str) -> None:
    cluster.superuser(
        "orders",
        f"create function public.watching() returns event_trigger language plpgsql as {body(event, '')}",
        f"alter function public.watching() owner to {ATTACKER}",
        f"create event trigger watching on {event} execute function public.watching()",
        f"alter event trigger watching {enabled}",
    )


def _left_out(cluster: Cluster, report: RolesReport) -> None:
    (left_out,) = [each for each in report.unfinished if each.startswith("orders: ")]
    assert "the event trigger 'watching' would run another role's function" in left_out
    assert left_out in report.warnings
    assert report.databases == ["postgres"]
    assert sprung(cluster) == []


# What only looks like pg_cron

FAKE_CRON = (
    "create schema cron",
    "create table cron.job (jobid bigint, jobname text, username text, database text, active boolean)",
    f"insert into cron.job values (1, 'x', '{MASTER}', current_database(), true)",
    "grant usage on schema cron to public",
    "grant select on cron.job to public",
    "create function cron.alter_job(job_id bigint, active boolean) returns void language plpgsql as " + body("job", ""),
    f"create function cron.seen() returns boolean language plpgsql as {body('policy', 'true')}",
    "alter table cron.job enable row level security",
    "create policy seen on cron.job using (cron.seen())",
)
NOT_GENUINE = "orders: could not be checked: cron.job: it is not the extension pg_cron's, or it was changed"


@pytest.mark.parametrize("quarantine", [True, pytest.param(False, marks=pytest.mark.full)])
def test_a_schema_of_that_name_is_not_pg_cron(cluster: Cluster, quarantine: bool) -> None:
    cluster.superuser("orders", f"grant create on database orders to {ATTACKER}")
    as_attacker(cluster, *FAKE_CRON)
    report = set_up(cluster, quarantine=quarantine)
    assert report.unfinished == []
    assert any(each.startswith(NOT_GENUINE) for each in report.warnings)
    assert sprung(cluster) == []


@pytest.mark.full
def test_a_relation_of_that_name_with_other_columns_costs_nothing(cluster: Cluster) -> None:
    cluster.as_master("orders", "create schema cron", "create view cron.job as select 1 as number")
    report = set_up(cluster, **EVERYTHING)
    assert report.unfinished == []
    assert any(each.startswith(NOT_GENUINE) for each in report.warnings)


ADDITIONS = {
    "an overloaded function": (
        "grant create on schema cron to shop_app",
        f"create function cron.alter_job(job_id bigint, active boolean) returns void language plpgsql"
        f" as {body('an overloaded function', '')}",
    ),
    "a trigger": (
        "grant trigger on cron.job to shop_app",
        f"create function public.changed() returns trigger language plpgsql as {body('a trigger', 'new')}",
        "create trigger changed before update on cron.job for each row execute function public.changed()",
    ),
}


@pytest.mark.parametrize("addition", one_and_the_rest(ADDITIONS, "a trigger"))
def test_what_somebody_added_to_pg_cron_is_not_run(cluster: Cluster, addition: str) -> None:
    cluster.superuser("orders", *PG_CRON)
    permission, *statements = ADDITIONS[addition]
    cluster.superuser("orders", "grant usage on schema cron to shop_app", permission)
    as_attacker(cluster, *statements)
    report = set_up(cluster, quarantine=True)
    assert report.disabled == []
    assert any(each.startswith(NOT_GENUINE) for each in report.warnings)
    assert sprung(cluster) == []


# Borrowed code


def test_an_owner_gets_no_relation_that_runs_somebodys_code(cluster: Cluster) -> None:
    """ANALYZE and REINDEX run it as the relation's owner, by themselves (CVE-2020-25695)."""
    cluster.superuser(
        "orders",
        f"create function sales.borrowed(int) returns int language plpgsql immutable as {body('code', '$1')}",
        "alter function sales.borrowed(int) owner to owner",
        "create domain sales.checked as int check (sales.borrowed(value) is not null)",
        "create table sales.indexed (id int)",
        "create index on sales.indexed (sales.borrowed(id))",
        "create table sales.partial (id int)",
        "create index on sales.partial (id) where sales.borrowed(id) > 0",
        "create table sales.measured (id int, other int)",
        "create statistics sales.measure on (sales.borrowed(id)), other from sales.measured",
        "create table sales.generated (id int, other int generated always as (sales.borrowed(id)) stored)",
        "create table sales.divided (id int) partition by range (sales.borrowed(id))",
        "create table sales.cast_to_it (id int)",
        "create index on sales.cast_to_it ((id::sales.checked))",
        "create table sales.honest (id int, note text)",
        "create index on sales.honest (lower(note)) where id > 0",
        *(f"alter table sales.{name} owner to owner" for name in (*RUNNING_CODE, "honest")),
    )
    report = set_up(cluster, a_role("migrator", "owner", databases=["orders"], schemas=["sales"]))
    assert report.unfinished == []
    owners = _owners(cluster)
    assert {name: owners[name] for name in RUNNING_CODE} == dict.fromkeys(RUNNING_CODE, "owner")
    assert owners["honest"] == owners["items"] == "migrator"
    (warning,) = [each for each in report.warnings if "calls a user's function" in each]
    assert warning.startswith("orders: 'migrator' does not own sales.cast_to_it, sales.divided, sales.generated")


RUNNING_CODE = ("cast_to_it", "divided", "generated", "indexed", "measured", "partial")


def test_a_relation_whose_range_type_or_query_calls_somebodys_function_keeps_its_owner(cluster: Cluster) -> None:
    """ANALYZE calls a range type's subtype_diff; since 17 who was the owner may REFRESH, by MAINTAIN (GRANT ALL)."""
    cluster.superuser("orders", f"grant usage, create on schema sales to {ATTACKER}")
    as_attacker(
        cluster,
        f"create function sales.difference(int, int) returns float8 language plpgsql as {body('a range', '1.0')}",
        "alter function sales.difference(int, int) immutable",
        "create type sales.span as range (subtype = int, subtype_diff = sales.difference)",
        "create domain sales.narrow as sales.span",
        "create table sales.spans (during sales.narrow)",
        "insert into sales.spans select sales.span(n, n + 1) from generate_series(1, 50) n",
        f"create function sales.called() returns int language plpgsql as {body('a query', '1')}",
        "create view sales.calling as select sales.called() as number",
        "create materialized view sales.kept as select number from sales.calling",
        "create materialized view sales.honest as select 1 as number",
    )
    report = set_up(cluster, a_role("migrator", "owner", databases=["orders"], schemas=["sales"]))
    owners = _owners(cluster)
    assert (owners["spans"], owners["kept"], owners["honest"]) == (ATTACKER, ATTACKER, "migrator")
    assert any("sales.kept, sales.spans, whose index, statistics" in each for each in report.warnings)
    cluster.superuser("orders", "analyze sales.spans")
    as_attacker(cluster, "refresh materialized view sales.kept")
    assert sprung(cluster) == []


def test_a_view_or_rule_gives_nobody_what_its_new_owner_may_read(cluster: Cluster) -> None:
    cluster.superuser(
        "orders",
        f"grant usage, create on schema sales to {ATTACKER}",
        "create table sales.salaries (amount int)",
        "alter table sales.salaries owner to owner",
    )
    as_attacker(
        cluster,
        "create view sales.peek as select * from sales.salaries",
        "create table sales.stolen (amount int)",
        "create table sales.lever (id int)",
        "create rule pull as on insert to sales.lever do also insert into sales.stolen select * from sales.salaries",
    )
    report = set_up(cluster, a_role("migrator", "owner", databases=["orders"], schemas=["sales"]))
    owners = _owners(cluster)
    assert {name: owners[name] for name in ("peek", "lever", "stolen", "notes")} == {
        "peek": ATTACKER,
        "lever": ATTACKER,
        "stolen": "migrator",
        "notes": "migrator",
    }
    for statement in ("select * from sales.peek", "insert into sales.lever values (1)"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            as_attacker(cluster, statement)
    assert any("'migrator' does not own sales.lever, sales.peek, which reaches" in each for each in report.warnings)


def _owners(cluster: Cluster) -> dict[str, str]:
    question = "select relname, relowner::regrole::text from pg_class where relnamespace = 'sales'::regnamespace"
    return dict(cluster.superuser("orders", question))


# Foreign servers


def test_in_quarantine_productions_logins_elsewhere_are_dropped(cluster: Cluster) -> None:
    cluster.superuser(
        "orders",
        "create foreign data wrapper nowhere",
        "create server warehouse foreign data wrapper nowhere",
        f"alter server warehouse owner to {MASTER}",
        "create user mapping for public server warehouse options (user 'dw', password 's3cret')",
        f"create user mapping for {ATTACKER} server warehouse options (user 'dw', password 's3cret')",
        "create server vault foreign data wrapper nowhere",
        "create user mapping for public server vault options (user 'dw', password 's3cret')",
        "create foreign table sales.far (id int) server warehouse",
        "alter foreign table sales.far owner to owner",
    )
    first = set_up(cluster, a_role("migrator", "owner", databases=["orders"], schemas=["sales"]), quarantine=True)
    assert first.disabled == [
        "orders: login for PUBLIC to the foreign server 'warehouse'",
        "orders: login for 'shop_app' to the foreign server 'warehouse'",
    ]
    told = "\n".join(first.warnings)
    assert "NOT DROPPED: login for PUBLIC to the foreign server 'vault'" in told
    assert "'migrator' does not own sales.far, a foreign table" in told
    assert "s3cret" not in told
    assert cluster.superuser("orders", "select srvname from pg_user_mappings") == [("vault",)]
    for role in ("orders_app", "orders_report", "migrator"):
        may = f"select has_table_privilege('{role}', 'sales.far', 'insert, update, delete, truncate')"
        assert cluster.superuser("orders", may) == [(False,)]
