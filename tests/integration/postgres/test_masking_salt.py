"""Code of the data never meets the salt, by which masked values could be guessed, nor writes the masking's state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local_aws.postgres.servers import Servers
from tests.integration.postgres.cluster_support import Cluster, started
from tests.integration.postgres.masking_support import SALT, finish, mask
from tests.integration.tiers import one_and_the_rest
from utils.errors import StepFailed
from utils.logins.roles import ApplicationLogins, RoleWanted

# All that runs while a table is read, planned or changed, each with a function that looks around.
PRODUCTION = (
    "create role shop login password 'Shop-password-1'",
    "create schema shop authorization shop",
    "create table shop.stash (said text)",
    "create function shop.look(text) returns text immutable language plpgsql as $$begin return $1; end$$",
    "create function shop.ok(text) returns boolean immutable language plpgsql as"
    " $$begin perform shop.look($1); return true; end$$",
    "create function shop.fires() returns trigger language plpgsql as"
    " $$begin perform shop.look('x'); return new; end$$",
    "create domain shop.mail as text check (shop.ok(value))",
    "create domain shop.mails as text[] check (shop.ok(value::text))",
    "create table shop.people (id int primary key, email text check (shop.ok(email)), own shop.mail, many shop.mail[],"
    " all_of_them shop.mails, same text generated always as (shop.look(email)) stored, note text,"
    " check (shop.look('x') = 'x'), exclude (shop.look(note) with =))",
    "insert into shop.people (id, email, own, many, all_of_them, note)"
    " select i, i || '@real.org', i || '@real.org', array[i || '@real.org'], array[i || '@real.org'], i"
    " from generate_series(1, 40) i",
    "create index on shop.people (note) where shop.look('x') = 'x'",
    "create statistics shop.people_statistics on (shop.look(note)), (shop.look('x')) from shop.people",
    "create constraint trigger fires after update on shop.people deferrable initially deferred for each row"
    " execute function shop.fires()",
    "create policy sees on shop.people using (shop.ok(email))",
    "alter table shop.people enable row level security",
    "create table shop.parted (id int, email text, check (shop.look('x') = 'x'))"
    " partition by hash (email, (shop.look('x') || id::text))",
    "create table shop.parted_1 partition of shop.parted for values with (modulus 1, remainder 0)",
    "insert into shop.parted select i, i || '@real.org' from generate_series(1, 40) i",
    *(f"alter table shop.{name} owner to shop" for name in ("stash", "people", "parted", "parted_1")),
    *(f"alter domain shop.{name} owner to shop" for name in ("mail", "mails")),
    "alter statistics shop.people_statistics owner to shop",
    "alter function shop.look(text) owner to shop",
    "grant shop to boss with admin option",
)
LOOKS = (
    "create or replace function shop.look(text) returns text immutable language plpgsql as $code$"
    " declare found text; begin raise log 'LOOKS as %', current_user;"
    " begin execute 'select salt from pg_temp.aurora_restore_salt' into found; raise log 'MET %', found;"
    " exception when others then null; end; return $1; end$code$"
)
POLICY = """
version: 1
types: {integer: keep}
databases:
  orders:
    columns:
      "shop.people.{email,own}": email
      "shop.people.{many,all_of_them}": {each: email}
      shop.people.note: keep
      shop.parted.email: email
      shop.stash.said: keep
"""


@pytest.fixture
def production(servers: Servers) -> Iterator[Cluster]:
    running = started(servers)
    running.superuser("orders", *PRODUCTION, LOOKS)
    yield running
    running.postgres.destroy()


def test_no_code_of_the_data_runs_while_the_session_has_the_salt(production: Cluster) -> None:
    mask(production, POLICY)
    finish(production)
    log = production.postgres.log.read_text(errors="replace")
    assert log.count("LOOKS as aurora_restore_masker") > 200, "it did run"
    assert SALT not in log
    for column in ("email", "own", "many::text", "all_of_them::text", "same"):
        assert production.superuser("orders", f"select count(*) from shop.people where {column} ~ 'real'") == [(0,)]
    assert production.superuser("orders", "select count(*) from shop.parted where email ~ 'real'") == [(0,)]


def test_an_event_trigger_of_the_datas_is_off_while_rows_are_masked_and_on_again(production: Cluster) -> None:
    production.superuser(
        "orders",
        "create function public.watching() returns event_trigger language plpgsql as"
        " $$begin perform shop.look('x'); raise log 'WATCHING as %', current_user; end$$",
        "create event trigger watching on ddl_command_start execute function public.watching()",
        "alter function public.watching() owner to shop",
        # Before, no session is spared one of these.
        *(["alter event trigger watching enable always"] if production.version >= 17 else []),
        # As on RDS, where members of rds_superuser create them.
        "update pg_event_trigger set evtowner = 'boss'::regrole where evtname = 'watching'",
    )
    before = production.postgres.log.read_text(errors="replace").count("WATCHING")
    mask(production, POLICY)
    finish(production)
    assert production.postgres.log.read_text(errors="replace").count("WATCHING") == before
    enabled = "A" if production.version >= 17 else "O"
    assert production.superuser("orders", "select evtenabled from pg_event_trigger") == [(enabled,)]


def test_an_event_trigger_that_nobody_here_can_disable_is_refused_before_anything_is_masked(
    production: Cluster,
) -> None:
    production.superuser(
        "orders",
        "create function public.watching() returns event_trigger language plpgsql as $$begin end$$",
        "create event trigger watching on ddl_command_start execute function public.watching()",
        "alter function public.watching() owner to shop",
    )
    with pytest.raises(
        StepFailed, match=r"event trigger 'watching' runs a function of 'shop'.* Disable it in the source"
    ):
        mask(production, POLICY)
    assert production.superuser("orders", "select count(*) from shop.people where email ~ 'real'") == [(40,)]


LOGINS = ApplicationLogins(
    app_username="orders_app",
    app_password="Applications-password-1",
    readonly_user="orders_report",
    readonly_pwd="Reports-password-1",
    roles=[RoleWanted(name="migrator", password="Migrators-password-1", profile="owner")],
)
# What the master user executes of the masking's state would be written by a role with default privileges on it.
PLANTED = (
    "create function public.plant() returns void security definer language plpgsql as $c$ declare state text :="
    " (select nspname from pg_catalog.pg_namespace where nspname ~ '^aurora_restore_mask'); begin"
    " raise log 'PLANTS'; execute format('update %I.undo set statement = %L || statement', state,"
    " 'create function public.god() returns void security definer language plpgsql as $x$begin"
    " execute ''grant rds_superuser to '' || session_user; end$x$; '); end $c$",
    "create function public.code(text) returns boolean language plpgsql as $c$ begin"
    " if current_user ~ 'masker' then perform public.plant(); end if; return true;"
    " exception when others then raise log 'REFUSED %', sqlerrm; return true; end $c$",
    "alter table public.people add check (public.code(email))",
    "create index on public.people (email)",
)
PEOPLE = """
version: 1
types: {integer: keep}
databases:
  orders:
    columns: {public.people.email: email}
"""


@pytest.fixture
def restored_before(servers: Servers) -> Iterator[Cluster]:
    """Yield a cluster whose source the pipeline has once set up: its default privileges came with the data."""
    running = started(servers)
    running.superuser(
        "orders",
        "create table public.people (id int primary key, email text)",
        "insert into public.people select i, i || '@real.org' from generate_series(1, 40) i",
        "alter table public.people owner to boss",
    )
    running.set_up(LOGINS)
    yield running
    running.postgres.destroy()


@pytest.mark.parametrize(
    "granted",
    one_and_the_rest(
        [
            "alter default privileges for role boss grant all on tables to public",
            "alter default privileges for role boss grant all on schemas to public",
            None,
        ]
    ),
)
def test_nobody_else_writes_what_the_master_user_executes(restored_before: Cluster, granted: str | None) -> None:
    if granted:
        restored_before.superuser("orders", granted)
    restored_before.as_user("migrator", "Migrators-password-1", "orders", *PLANTED)
    mask(restored_before, PEOPLE)
    log = restored_before.postgres.log.read_text(errors="replace")
    assert "PLANTS" in log, "it did run"
    assert "REFUSED permission denied" in log
    assert restored_before.superuser("orders", "select to_regproc('public.god')") == [(None,)]


def test_what_a_role_that_may_write_every_table_has_put_there_is_not_executed(restored_before: Cluster) -> None:
    if restored_before.version < 14:
        pytest.skip("there is no pg_write_all_data before PostgreSQL 14")
    restored_before.superuser("orders", "grant pg_read_all_data, pg_write_all_data to migrator")
    restored_before.as_user("migrator", "Migrators-password-1", "orders", *PLANTED)
    with pytest.raises(StepFailed, match="somebody has changed the masking's own schema"):
        mask(restored_before, PEOPLE)
    assert restored_before.superuser("orders", "select to_regproc('public.god')") == [(None,)]


def test_rights_of_others_on_the_state_that_appear_later_end_the_masking(restored_before: Cluster) -> None:
    mask(restored_before, PEOPLE)
    restored_before.superuser("orders", "grant update on aurora_restore_mask_1a2b3c4d.undo to migrator")
    with pytest.raises(StepFailed, match="has rights of others: 'migrator' on table undo"):
        mask(restored_before, PEOPLE)


# What code of one table may do to another one of its owner's, which is masked after it.
CHANGES = (
    "create index caught on shop.zebras (shop.look('x'))",
    "create statistics shop.caught on (shop.look('x')), (id + 1) from shop.zebras",
    "alter table shop.zebras alter column email type shop.plain using email",
)


@pytest.mark.parametrize("change", one_and_the_rest(CHANGES))
def test_a_table_that_code_of_another_one_has_changed_is_not_read_with_the_salt(
    production: Cluster, change: str
) -> None:
    production.superuser(
        "orders",
        "create table shop.zebras (id int, email text)",
        "insert into shop.zebras select i, i || '@real.org' from generate_series(1, 40) i",
        "create function shop.change(text) returns boolean language plpgsql as $code$begin"
        f" if current_user ~ 'masker' then begin execute $x${change}$x$; raise log 'CHANGED';"
        " exception when others then raise log 'NOT CHANGED %', sqlerrm; end; end if; return true; end$code$",
        # A bigger one is masked before.
        "create table shop.bigger (id int, email text check (shop.change(email)))",
        "insert into shop.bigger select i, i || '@real.org' from generate_series(1, 4000) i",
        "create domain shop.plain as text",
        *(f"alter table shop.{name} owner to shop" for name in ("zebras", "bigger")),
        "alter domain shop.plain owner to shop",
    )
    with pytest.raises(StepFailed, match=r"shop.zebras was changed while others were masked: it has"):
        mask(production, POLICY + '      "shop.{zebras,bigger}.email": email\n')
    log = production.postgres.log.read_text(errors="replace")
    assert "LOG:  CHANGED" in log, "it did run"
    assert SALT not in log
