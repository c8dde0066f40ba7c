"""Code that came with the data runs while its tables are masked, and gains nothing by that: neither rights nor rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local_aws.postgres.servers import Servers
from tests.integration.postgres.cluster_support import Cluster, started
from tests.integration.postgres.masking_support import finish, mask

# All that it tries, each for itself; whoever it runs as is written where no rollback takes it back.
ATTEMPTS = (
    "alter role shop_app createrole",
    "alter role shop_app superuser",
    "grant rds_superuser to shop_app",
    "grant boss to shop_app",
    "reset role",
    "set role boss",
    "set session authorization boss",
    "create role made_by_code login",
    "insert into shop.stolen select who, amount from hr.salaries",
    "create table shop.more_stolen as select * from hr.salaries",
    "grant select on hr.salaries to shop_app",
    "select hr.promote('shop_app')",
    "alter table public.people owner to shop_app",
    "grant all on schema hr to shop_app",
)
HOSTILE = (
    "create role shop_app login password 'Shop-password-1'",
    "create role hr login password 'Hr-password-1'",
    "create schema shop authorization shop_app",
    "create schema hr authorization hr",
    "create table hr.salaries (who text, amount int)",
    "insert into hr.salaries values ('someone', 100)",
    "alter table hr.salaries owner to hr",
    # What only those are to call who may use the schema.
    "create function hr.promote(name text) returns void security definer language plpgsql as"
    " $$begin execute format('alter role %I createrole', name); end$$",
    "create table shop.stolen (who text, amount int)",
    "alter table shop.stolen owner to shop_app",
    "create function shop.code(text) returns boolean language plpgsql as $$begin return true; end$$",
    # PostgreSQL believes that it is immutable.
    "create function shop.same(text) returns text immutable language plpgsql as"
    " $code$begin perform shop.code($1); return $1; end$code$",
    "alter function shop.code(text) owner to shop_app",
    "alter function shop.same(text) owner to shop_app",
    "create function shop.fires() returns trigger language plpgsql as"
    " $$begin perform shop.code('x'); return new; end$$",
    "create domain shop.text_like as text check (shop.code(value))",
)
# Only when its tables have been made, by somebody whom none of it would stop.
TURNED = (
    "create or replace function shop.code(text) returns boolean language plpgsql as $code$begin"
    " raise log 'HOSTILE as % in the session of %', current_user, session_user;"
    + "".join(f" begin execute $x${each}$x$; exception when others then null; end;" for each in ATTEMPTS)
    + " return true; end$code$"
)
TABLE = (
    "create table {name} (id int primary key, email text check (shop.code(email)), label shop.text_like,"
    " same text generated always as (shop.same(email)) stored, age int)",
    "insert into {name} (id, email, label, age)"
    " select i, i || '@real.org', 'label', i % 9 from generate_series(1, 40) i",
    "create index on {name} (shop.same(email))",
    "create index on {name} (age) where shop.same(email) <> ''",
    "create trigger fires before update on {name} for each row execute function shop.fires()",
    "create statistics {name}_statistics on (shop.same(email)), age from {name}",
    "create materialized view {name}_view as select id, shop.same(email) as email from {name}",
    "alter table {name} enable row level security",
    "create policy sees on {name} using (shop.code(email))",
    "alter table {name} owner to {owner}",
    "alter statistics {name}_statistics owner to hr",
    "alter materialized view {name}_view owner to {owner}",
)
POLICY = """
version: 1
types: {integer: keep}
databases:
  orders:
    columns:
      "{public,shop}.people.email": email
      "{public,shop}.people.label": {constant: x}
      "*.*.who": keep
    tables: {}
""".replace("    tables: {}\n", "")
STATE = (
    "select rolname, rolsuper, rolcreaterole, rolcreatedb, rolcanlogin from pg_roles order by 1",
    "select roleid::regrole::text, member::regrole::text from pg_auth_members order by 1, 2",
)


@pytest.fixture
def production(servers: Servers) -> Iterator[Cluster]:
    running = started(servers)
    running.superuser(
        "orders",
        *HOSTILE,
        *(each.format(name="public.people", owner="boss") for each in TABLE),
        *(each.format(name="shop.people", owner="shop_app") for each in TABLE),
        "grant shop_app, hr to boss with admin option",
        TURNED,
    )
    yield running
    running.postgres.destroy()


def test_code_of_the_data_gains_neither_rights_nor_rows(production: Cluster) -> None:
    before = [production.superuser("postgres", question) for question in STATE]
    already = len(runs(production))
    mask(production, POLICY)
    finish(production)
    during = runs(production)[already:]
    assert len(during) > 40, "it did run"
    assert {line.split(" as ")[1].split(" ")[0] for line in during} == {"aurora_restore_masker_1a2b3c4d"}
    assert [production.superuser("postgres", question) for question in STATE] == before
    assert production.superuser("orders", "select * from shop.stolen") == []
    assert production.superuser("orders", "select to_regclass('shop.more_stolen')") == [(None,)]
    access = "select relacl::text ~ 'shop_app' from pg_class where relname = 'salaries'"
    assert production.superuser("orders", access) in ([(None,)], [(False,)])
    emails = "select count(*) from {} where email !~ 'example.com$' or same <> email"
    for table in ("public.people", "shop.people"):
        assert production.superuser("orders", emails.format(table)) == [(0,)]
        assert production.superuser("orders", f"select count(*) from {table}_view where email ~ 'real.org'") == [(0,)]


def runs(cluster: Cluster) -> list[str]:
    lines = cluster.postgres.log.read_text(errors="replace").splitlines()
    return [line for line in lines if "LOG:  HOSTILE as" in line]
