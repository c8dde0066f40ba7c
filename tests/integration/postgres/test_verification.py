"""What a restored cluster has wrong without an error is found, and no code of its data has the master's rights."""

from __future__ import annotations

import datetime as dt
import resource
from collections.abc import Iterator

import psycopg2
import pytest

from scripts.local_aws.postgres.servers import Servers
from scripts.local_aws.postgres.volumes import Volume
from tests.integration.postgres.cluster_support import MASTER, Cluster, kept, started
from tests.integration.tiers import one_and_the_rest
from utils.contracts.verification import CheckResult, Verification
from utils.postgres.databases import enter_cluster
from utils.postgres.verification.reader import NO_LOGIN
from utils.postgres.verification.verify import verify_slice
from utils.verification.comparison import compared
from utils.verification.found import VerificationFound, baseline_of
from utils.verification.policy import VerificationPolicy
from utils.verification.reading import read_verification_policy
from utils.verification.summary import summarised

FINGERPRINT = "1a2b3c4d"
SNAPSHOT_AT = dt.datetime(2026, 3, 10, 3, 0, tzinfo=dt.UTC)
NOW = SNAPSHOT_AT + dt.timedelta(hours=1)

# Production: what applications have, of a role of their own and of the master user's.
PRODUCTION = (
    "create schema app authorization shop",
    "set role shop",
    "create table app.customers (id bigserial primary key, mail text not null unique)",
    "insert into app.customers (mail) select 'person' || n || '@example.com' from generate_series(1, 100) n",
    "create table app.orders (id int generated always as identity primary key,"
    " customer bigint not null references app.customers, at timestamptz not null, total numeric)",
    "create index orders_at on app.orders (at)",
    "insert into app.orders (customer, at, total) select 1 + n % 100, timestamptz '2026-03-10 02:30:00+00'"
    " - n * interval '1 minute', n from generate_series(0, 299) n",
    "create table app.events (id int, day date not null, primary key (id, day)) partition by range (day)",
    "create table app.events_1 partition of app.events for values from ('2026-01-01') to ('2026-02-01')",
    "create table app.events_2 partition of app.events for values from ('2026-02-01') to ('2026-03-01')",
    "insert into app.events select n, date '2026-01-10' + n from generate_series(1, 40) n",
    "create table app.secrets (owner text, said text)",
    "insert into app.secrets select 'a', 'b' from generate_series(1, 30)",
    "alter table app.secrets enable row level security",
    "create policy own on app.secrets using (owner = current_user)",
    "analyze app.secrets",
    "create function app.total() returns numeric language sql as 'select sum(total) from app.orders'",
    "create view app.newest as select max(at) from app.orders",
)
POLICY = """
version: 1
check_seconds: 10
databases:
  shop:
    count: [app.orders, "app.ev*"]
    foreign_keys: ["app.*"]
    newest_rows:
      app.orders.at: 2
      app.events.day: any
    checks:
      no negative totals: SELECT 1 FROM app.orders WHERE total < 0
      enough orders: {number: "SELECT count(*) FROM app.orders", least: 300, most: 1000}
"""


@pytest.fixture(scope="module")
def produced(servers: Servers) -> Volume:
    cluster = started(servers)
    cluster.as_master("postgres", "create role shop login password 'Shop-password-1'", "create database shop")
    cluster.superuser("shop", *PRODUCTION)
    return kept(cluster, servers)


@pytest.fixture
def shop(servers: Servers, produced: Volume) -> Iterator[Cluster]:
    running = started(servers, produced)
    yield running
    running.postgres.destroy()


def look(
    shop: Cluster, text: str = POLICY, found: VerificationFound | None = None, seconds: float = 600
) -> VerificationFound:
    """Check the cluster for the time of a slice, or all of it."""
    so_far = found if found is not None else VerificationFound()
    cluster = enter_cluster(shop.server, shop.master)
    policy = read_verification_policy(text) if text else VerificationPolicy()
    verify_slice(cluster, policy, so_far, FINGERPRINT, SNAPSHOT_AT, lambda: seconds)
    assert shop.superuser("postgres", "select rolname from pg_roles where rolname ~ 'aurora_restore'") == []
    return so_far


def verified(shop: Cluster, text: str = POLICY) -> Verification:
    return summarised("nightly", look(shop, text), [], None, 10_000, NOW)


def wrong(verification: Verification) -> list[CheckResult]:
    return [each for each in verification.checks if not each.held]


def test_a_good_cluster_holds_every_check_and_says_what_it_has_counted(shop: Cluster) -> None:
    found = verified(shop)
    assert wrong(found) == []
    assert found.all_held
    assert (found.tables, found.rows) == (5, 100 + 300 + 40 + 30)
    assert found.newest_row_at == dt.datetime(2026, 3, 10, 2, 30, tzinfo=dt.UTC)
    assert {each.kind for each in found.checks} >= {
        *("schema", "rows", "newest_row", "indexes", "sequences", "foreign_keys", "extensions", "own_rows"),
        "own_number",
    }


def found_wrong(shop: Cluster, *statements: str, text: str = POLICY) -> CheckResult:
    """What is wrong with the cluster after these statements: one check, and no other."""
    shop.superuser("shop", *statements)
    (only,) = wrong(verified(shop, text))
    return only


def lost(shop: Cluster, *statements: str) -> list[CheckResult]:
    """What is found of a cluster after these statements, compared with what it was before."""
    before = look(shop)
    shop.superuser("shop", *statements)
    after = look(shop)
    return [
        each
        for each in compared(after, baseline_of("earlier", SNAPSHOT_AT, before), VerificationPolicy())
        if not each.held
    ]


def test_a_truncated_table_and_a_missing_one_are_found_against_the_last_good_run(shop: Cluster) -> None:
    truncated, secrets = lost(shop, "truncate app.customers cascade", "truncate app.secrets")[:2]
    assert (truncated.scope, truncated.actual) == ("shop.app.customers", "0 rows")
    assert truncated.expected == "at least 50 of 100 rows"
    assert secrets.scope == "shop.app.orders"
    missing = lost(shop, "drop table app.orders cascade")
    assert [(each.scope, each.actual) for each in missing] == [("shop.app.orders", "it is missing")]


@pytest.mark.full
def test_a_table_with_row_security_is_never_counted_in_part(shop: Cluster) -> None:
    (rows,) = [each for each in verified(shop).checks if each.scope == "shop.app.secrets"]
    assert (rows.actual, rows.exact) == ("about 30 rows", False)
    assert "row security" in (rows.error or "")
    named = verified(shop, "version: 1\ndatabases: {shop: {count: [app.secrets]}}")
    assert [each.held for each in wrong(named)] == [None]
    (emptied,) = lost(shop, "truncate app.secrets")
    assert (emptied.scope, emptied.actual) == ("shop.app.secrets", "0 rows")


@pytest.mark.full
def test_partitions_that_come_and_go_lose_nothing(shop: Cluster) -> None:
    assert (
        lost(
            shop,
            "create table app.events_3 partition of app.events for values from ('2026-03-01') to ('2026-04-01')",
            "insert into app.events select n, '2026-03-02' from generate_series(100, 130) n",
            "drop table app.events_1",
        )
        == []
    )


def test_an_invalid_index_is_found(shop: Cluster) -> None:
    shop.superuser("shop", "update pg_index set indisvalid = false where indexrelid = 'app.orders_at'::regclass")
    named = {(each.name, each.scope, each.actual) for each in wrong(verified(shop))}
    assert ("orders_at", "shop.app.orders", "not valid") in named


def test_a_sequence_behind_its_column_is_found(shop: Cluster) -> None:
    shop.superuser("shop", "select setval('app.customers_id_seq', 99)")
    one, all_of_them = wrong(verified(shop))
    assert (one.name, one.scope) == ("app.customers_id_seq", "shop.app.customers")
    assert one.actual == "at 99; the column has 100"
    assert all_of_them.actual == "2 sequences looked at, 1 behind or unknown"


@pytest.mark.full
def test_a_sequence_whose_next_value_is_free_is_not_behind(shop: Cluster) -> None:
    shop.superuser(
        "shop",
        "set role shop",
        "create table app.pooled (id bigserial primary key)",
        "alter sequence app.pooled_id_seq increment by 50",
        "insert into app.pooled default values",
        "insert into app.pooled select n from generate_series(2, 50) n",
        "create table app.falling (id int generated always as identity (increment by -1) primary key)",
        "insert into app.falling default values",
        "create sequence app.sn",
        "create table app.snow (id bigint default ((1234567::bigint << 22) | (nextval('app.sn') & 4095)))",
        "alter sequence app.sn owned by app.snow.id",
        "insert into app.snow default values",
        """create table app.small ("the id" smallserial)""",
        "insert into app.small default values",
    )
    assert wrong(verified(shop)) == []
    shop.superuser(
        "shop",
        "insert into app.pooled values (51)",
        "insert into app.falling (id) overriding system value values (-2)",
        "insert into app.small values (9)",
    )
    assert {each.name for each in wrong(verified(shop))} == {
        "app.pooled_id_seq",
        "app.falling_id_seq",
        "app.small_the id_seq",
        "sequences",
    }


@pytest.mark.full
def test_the_furthest_value_of_a_big_table_without_an_index_is_not_looked_for(shop: Cluster) -> None:
    shop.superuser(
        "shop",
        "set role shop",
        "create table app.big (id serial, said text)",
        "insert into app.big (said) select repeat('x', 500) from generate_series(1, 4000)",
        "select setval('app.big_id_seq', 1)",
    )
    assert {each.name for each in wrong(verified(shop))} == {"app.big_id_seq", "sequences"}
    found = verified(shop, "version: 1\ncount_below_mb: 1\n")
    assert wrong(found) == []
    (said,) = [each for each in found.checks if each.kind == "sequences" and each.scope == "shop"]
    assert said.actual.startswith("2 sequences looked at, 0 behind or unknown; 1 not looked at (")
    assert not said.exact
    shop.superuser("shop", "create index on app.big (id)")
    assert len(wrong(verified(shop, "version: 1\ncount_below_mb: 1\n"))) == 2


@pytest.mark.full
def test_a_foreign_table_is_never_read_also_as_a_partition(shop: Cluster) -> None:
    shop.superuser(
        "shop",
        "create extension file_fdw",
        "create server live foreign data wrapper file_fdw",
        "set role shop",
        "create table app.moves (id bigserial, at timestamptz) partition by range (id)",
        "create index on app.moves (id)",
        "create table app.moves_1 partition of app.moves for values from (1) to (500)",
        "create table app.trips (at timestamptz)",
        "reset role",
        # Who reads it, finds no such file.
        "create foreign table app.moves_2 partition of app.moves for values from (500) to (900)"
        " server live options (filename '/nowhere')",
        "create foreign table app.trips_1 () inherits (app.trips) server live options (filename '/nowhere')",
    )
    assert wrong(verified(shop)) == []
    newest = "version: 1\ndatabases: {shop: {newest_rows: {app.moves.at: any, app.trips.at: any}}}"
    assert [(each.held, each.error) for each in wrong(verified(shop, newest))] == [
        (None, "it has a foreign table among its partitions or children, and those are not read")
    ] * 2
    (refused,) = wrong(verified(shop, own("SELECT FROM app.moves_2")))
    assert "SQLSTATE 42501" in (refused.error or "")


@pytest.mark.full
def test_a_foreign_key_is_of_its_table_alone_and_not_of_those_that_inherit(shop: Cluster) -> None:
    shop.superuser(
        "shop",
        "set role shop",
        "create table app.parents (id int primary key)",
        "create table app.sons (parent int references app.parents)",
        "create table app.grandsons () inherits (app.sons)",
        "insert into app.grandsons values (99)",
    )
    assert wrong(verified(shop)) == []
    only = found_wrong(
        shop,
        "set role shop",
        "create table app.more_parents () inherits (app.parents)",
        "insert into app.more_parents values (5)",
        "reset role",
        "set session_replication_role = replica",
        "insert into app.sons values (5)",
    )
    assert (only.kind, only.scope, only.actual) == ("foreign_keys", "shop.app.sons", "1 rows")


def test_orphans_are_found_although_the_key_is_marked_as_valid(shop: Cluster) -> None:
    only = found_wrong(shop, "set session_replication_role = replica", "delete from app.customers where id in (1, 2)")
    assert (only.kind, only.actual) == ("foreign_keys", "6 rows")
    assert only.scope == "shop.app.orders"


def test_data_that_is_too_old_is_found(shop: Cluster) -> None:
    only = found_wrong(shop, "update app.orders set at = at - interval '5 hours'")
    assert (only.kind, only.actual) == ("newest_row", "2026-03-09 21:30:00 UTC")
    assert only.expected == "a row of at most 2 hours before the snapshot"


@pytest.mark.full
def test_a_moment_to_come_hides_no_age(shop: Cluster) -> None:
    shop.superuser(
        "shop",
        "update app.orders set at = 'infinity' where id = 5",
        "update app.orders set at = '9999-01-01' where id = 6",
        # Later than the snapshot, and earlier than now.
        "update app.orders set at = '2026-03-10 03:30:00+00' where id = 7",
        "insert into app.events values (99, '2026-02-28')",
    )
    assert verified(shop).newest_row_at == dt.datetime(2026, 3, 10, 2, 30, tzinfo=dt.UTC)


def test_an_extension_that_the_server_does_not_offer_is_found(shop: Cluster) -> None:
    only = found_wrong(
        shop,
        "insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)"
        " values (99999, 'gone', 10, 2200, false, '1.2')",
    )
    assert (only.kind, only.actual) == ("extensions", "this server does not offer gone 1.2")


@pytest.mark.full
def test_a_database_that_admits_nobody_is_reported_and_the_others_are_checked(shop: Cluster) -> None:
    shop.superuser("postgres", "create database shut allow_connections false")
    (only,) = wrong(verified(shop))
    assert (only.scope, only.held) == ("shut", None)
    assert "ALLOW_CONNECTIONS is false" in (only.error or "")
    assert verified(shop, POLICY + "leave_out: [shut]\n").all_held


@pytest.mark.full
def test_a_name_in_no_encoding_is_reported_and_the_rest_of_its_database_is_checked(shop: Cluster) -> None:
    shop.superuser(
        "postgres", "create database old encoding 'SQL_ASCII' template template0 lc_collate 'C' lc_ctype 'C'"
    )
    shop.superuser("old", "grant create on database old to shop", "grant create on schema public to shop")
    connected = shop.postgres.connect("old")
    connected.autocommit = True
    connected.set_client_encoding("LATIN1")
    with connected.cursor() as cursor:
        cursor.execute("set role shop")
        cursor.execute('create schema "caf\xe9" create table "th\xe9" (id serial)')
        cursor.execute("create table public.tea as select 1 as id")
    connected.close()
    found = look(shop)
    assert {(each.schema, each.table): each.rows for each in found.databases["old"].tables} == {
        ("caf\xe9", "th\xe9"): None,
        ("public", "tea"): 1,
    }
    assert {(each.kind, each.scope) for each in wrong(summarised("nightly", found, [], None, 10_000, NOW))} == {
        ("rows", "old.caf\xe9.th\xe9"),
        ("sequences", "old.caf\xe9.th\xe9"),
        ("sequences", "old"),
    }


def test_what_the_policy_names_and_nobody_has_is_found(shop: Cluster) -> None:
    text = (
        "version: 1\ndatabases:\n  shopp: {}\n  shop:\n    count: [app.gone]\n    newest_rows: {app.orders.gone: any,"
        " app.orders.total: any}\n"
    )
    assert {(each.scope, each.actual) for each in wrong(verified(shop, text))} == {
        ("shopp", "there is none"),
        ("shop.app.gone", "it does not exist"),
        ("shop.app.orders", "no such column"),
        ("shop.app.orders", "a column of type numeric, which is no moment"),
    }


def own(*checks: str) -> str:
    return "version: 1\ncheck_seconds: 2\ndatabases:\n  shop:\n    checks:\n" + "".join(
        f"      own {number}: {check}\n" for number, check in enumerate(checks)
    )


def test_a_check_that_hangs_is_cut_off_and_the_others_still_run(shop: Cluster) -> None:
    (only,) = wrong(verified(shop, own("SELECT pg_sleep(60)", "SELECT 1 WHERE false")))
    assert (only.held, only.error) == (None, "it was cut off after 2 seconds")
    assert only.took_ms < 10_000
    assert only.text_sha256 is not None


@pytest.mark.full
def test_data_that_ends_its_own_session_leaves_the_others_checked(shop: Cluster) -> None:
    shop.superuser(
        "shop",
        "set role shop",
        "create function app.die(x int) returns int language plpgsql immutable as $$begin"
        " if current_user ~ '^aurora_restore' then perform pg_terminate_backend(pg_backend_pid()); end if;"
        " return x; end$$",
        "create table app.deadly (id int)",
        "insert into app.deadly values (1)",
        "create index deadly_constant on app.deadly ((app.die(1) + id))",
    )
    found = wrong(verified(shop, own("SELECT pg_terminate_backend(pg_backend_pid())", "SELECT 1 WHERE false")))
    check, rows = sorted(found, key=lambda each: each.name)
    assert (rows.scope, rows.error) == ("shop.app.deadly", "its session was lost")
    assert (check.name, check.held, check.error) == ("own 0", None, "its session was lost")


STUBBORN = (
    "set role shop",
    "create function app.stuck(x int) returns int language plpgsql immutable as $$begin"
    " if current_user ~ '^aurora_restore' then for i in 1..30 loop begin perform pg_sleep(1);"
    " exception when query_canceled then null; end; end loop; end if; return x; end$$",
)


@pytest.mark.full
def test_a_check_that_catches_the_end_of_its_time_is_cut_off_from_outside(shop: Cluster) -> None:
    shop.superuser("shop", *STUBBORN)
    (only,) = wrong(verified(shop, own("SELECT app.stuck(1)", "SELECT 1 WHERE false")))
    assert (only.held, only.error) == (None, "it was cut off after 2 seconds")
    assert only.took_ms < 15_000


@pytest.mark.full
def test_a_table_whose_index_catches_the_end_of_its_time_leaves_the_others_counted(shop: Cluster) -> None:
    shop.superuser(
        "shop",
        *STUBBORN,
        "create table app.deadly (id int)",
        "insert into app.deadly values (1)",
        "create index deadly_constant on app.deadly ((app.stuck(1) + id))",
    )
    (only,) = wrong(verified(shop, own("SELECT 1 WHERE false")))
    assert (only.scope, only.error) == ("shop.app.deadly", "it was cut off after 2 seconds")


@pytest.mark.full
def test_sessions_that_a_killed_slice_has_left_are_ended(shop: Cluster) -> None:
    role = f"aurora_restore_verifier_{FINGERPRINT}"
    shop.as_master("postgres", f"create role {role} login password 'Left-behind-1'")
    left = psycopg2.connect(
        host=shop.server.host,
        port=shop.server.port,
        dbname="shop",
        user=role,
        password="Left-behind-1",
        sslmode="verify-full",
        sslrootcert=shop.server.ca_bundle,
    )
    assert verified(shop).all_held
    with pytest.raises(psycopg2.OperationalError), left.cursor() as cursor:
        cursor.execute("select 1")
    left.close()


def test_own_checks_say_how_many_rows_they_found_and_no_value(shop: Cluster) -> None:
    text = own(
        "SELECT mail FROM app.customers", '{number: "SELECT -1.5", least: 0}', '{number: "SELECT mail", most: 1}'
    )
    rows, number, broken = sorted(wrong(verified(shop, text)), key=lambda each: each.name)
    assert (rows.actual, rows.expected) == ("100 rows", "0 rows")
    assert (number.actual, number.expected) == ("-1.5", "at least 0")
    assert (broken.held, broken.error) == (None, "PostgreSQL refused it: UndefinedColumn (SQLSTATE 42703)")


NO_NUMBERS = (
    ("SELECT d FROM app.far", "what it returned is not a number"),
    ("SELECT repeat('9', 5000)::jsonb", "what it returned is not a number"),
    ("SELECT repeat('x', 40000000)", "what it returned is not a number"),
    ("SELECT true", "what it returned is not a number"),
    ("SELECT 1, 2", "it did not return one row with one number"),
    ("SELECT 1 WHERE false", "it did not return one row with one number"),
    ("SELECT generate_series(1, 3)", "it did not return one row with one number"),
    ("SELECT NULL::int", "it returned NULL"),
    ("SELECT 'NaN'::numeric", "what it returned is not a finite number"),
    ("SELECT 'Infinity'::float8", "what it returned is not a finite number"),
)


@pytest.mark.full
def test_what_is_no_number_is_not_even_fetched(shop: Cluster) -> None:
    shop.superuser("shop", "set role shop", "create view app.far as select date '10000-01-01' as d")
    text = own(*(f'{{number: "{each}", least: 0}}' for each, _ in NO_NUMBERS))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {each.name: (each.held, each.error) for each in wrong(verified(shop, text))}
    assert found == {f"own {number}": (None, why) for number, (_, why) in enumerate(NO_NUMBERS)}
    # A long text would have been twice in the memory, as bytes and as a text.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000


@pytest.mark.full
def test_a_number_of_any_type_is_taken_and_a_long_one_shortened(shop: Cluster) -> None:
    numbers = ("1::smallint", "2::real", "count(*) FROM app.orders", "repeat('9', 100000)::numeric", "-2.5")
    text = own(*(f'{{number: "SELECT {each}", least: 0}}' for each in numbers))
    found = {each.name: each for each in verified(shop, text).checks if each.kind == "own_number"}
    assert [found[f"own {number}"].held for number in range(5)] == [True, True, True, True, False]
    assert len(found["own 3"].actual) <= 100


ATTEMPTS = (
    "UPDATE app.orders SET total = 0 RETURNING id",
    "SELECT 1; UPDATE app.orders SET total = 0",
    "SELECT 1; COMMIT; UPDATE app.orders SET total = 0",
    "SELECT 1) AS x; DROP TABLE app.orders; SELECT (1",
    "SET SESSION AUTHORIZATION boss",
    "SELECT set_config('role', 'boss', false)",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "SELECT lo_create(4711)",
    "SELECT * FROM pg_authid",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "TABLE app.secrets",
)


def test_an_own_check_writes_nothing_and_becomes_nobody_else(shop: Cluster) -> None:
    """Each in a transaction of its own: none is refused only because one before it has failed (SQLSTATE 25P02)."""
    found = wrong(verified(shop, own(*(f'"{text}"' for text in ATTEMPTS), "SELECT 1 WHERE false")))
    why = {each.name: each.error or f"it ran, and found {each.actual}" for each in found}
    assert why.keys() == {f"own {number}" for number in range(len(ATTEMPTS))}, why
    ran = {
        text: why[f"own {number}"]
        for number, text in enumerate(ATTEMPTS)
        if not why[f"own {number}"].startswith("PostgreSQL refused it") or "25P02" in why[f"own {number}"]
    }
    # Large objects can be written in such a transaction before PostgreSQL 16. It is rolled back.
    assert [text for text in ran if not text.startswith("SELECT lo_") or shop.version >= 16] == [], ran
    assert shop.superuser("shop", "select count(*) from app.orders where total = 0") == [(1,)]
    assert shop.superuser("shop", "select count(*) from pg_largeobject_metadata") == [(0,)]


# Whatever calls one of these as the master user fails, and is found as a check that was not run.
HOSTILE = (
    "set role shop",
    "create function app.trap(x anyelement) returns anyelement language plpgsql immutable as"
    f" $$begin if current_user = '{MASTER}' then raise 'trapped'; end if; return x; end$$",
    "create function app.trap_int(a int, b int) returns boolean language plpgsql immutable as"
    f" $$begin if current_user = '{MASTER}' then raise 'trapped'; end if; return a operator(pg_catalog.=) b; end$$",
    # Expressions that PostgreSQL evaluates while it plans, and operators, views and policies that reading would call.
    "create table app.trapped (id int, at date)",
    "create index trapped_constant on app.trapped ((app.trap(1) + id))",
    "create view app.trap_view as select app.trap(1) as id",
    "create materialized view app.trap_matview as select 1 as id",
    "create rule trap as on update to app.trapped do also select app.trap(1)",
    "alter table app.trapped enable row level security",
    "create policy trap on app.trapped using (app.trap(true))",
    "create table app.trapped_too (id int default app.trap(1), v int generated always as (app.trap(2)) stored)",
    "create statistics app.trap_statistics on (app.trap(1) + id), id from app.trapped_too",
    "create operator app.= (leftarg = int, rightarg = int, function = app.trap_int)",
    "create function app.count(x anyelement) returns bigint language sql as 'select 666::bigint'",
    "create function app.max(x bigint) returns bigint language sql as 'select 666::bigint'",
    'create table app."Odd ""name""; drop table app.orders; --" (id serial, "at; --" timestamptz default now())',
    'create table app."new\nline" (id int)',
    "create index trapped_constant_too on app.trapped_too ((app.trap(1) + id))",
    "reset role",
    "alter database shop set search_path = app, pg_catalog",
)


def test_no_code_of_the_data_runs_with_the_masters_rights(shop: Cluster) -> None:
    allowed = HOSTILE if shop.version >= 14 else [each for each in HOSTILE if "statistics" not in each]
    shop.superuser("shop", *allowed)
    shop.superuser("postgres", "alter role all set search_path = app, pg_catalog")
    found = verified(shop)
    assert wrong(found) == []
    with pytest.raises(psycopg2.Error, match="trapped"):
        shop.as_master("shop", "set role none", "select count(*) from app.trapped_too where app.trap(1) = 1")
    assert any("new\\nline" in each.scope for each in found.checks)


def test_slices_go_on_where_the_one_before_has_ended_and_find_the_same(shop: Cluster) -> None:
    whole = verified(shop)
    so_far, slices = VerificationFound(), 0
    # Each slice has time for so many checks: the clock is asked before each.
    policy = read_verification_policy(POLICY)
    while True:
        slices += 1
        left = iter([1000.0] * 4 + [0.0] * 1000)
        cluster = enter_cluster(shop.server, shop.master)
        if verify_slice(cluster, policy, so_far, FINGERPRINT, SNAPSHOT_AT, left.__next__):
            break
    assert slices > 3
    again = summarised("nightly", so_far, [], None, 10_000, NOW)
    assert sorted((each.name, each.scope, each.actual) for each in again.checks) == sorted(
        (each.name, each.scope, each.actual) for each in whole.checks
    )
    assert again.fingerprint == whole.fingerprint


@pytest.mark.full
def test_what_a_killed_slice_has_left_is_taken_over_and_removed(shop: Cluster) -> None:
    shop.as_master("postgres", f"create role aurora_restore_verifier_{FINGERPRINT} login password 'Left-behind-1'")
    shop.superuser("shop", f"grant select on app.orders to aurora_restore_verifier_{FINGERPRINT}")
    shop.superuser("shop", "alter table app.orders owner to shop")
    assert verified(shop).all_held


# One after the other: each is held against what the one before has left.
CHANGES = (
    ("alter table app.orders alter column total type numeric(20)", "columns"),
    ("alter table app.orders add constraint positive check (total >= 0)", "constraints"),
    ("drop index app.orders_at", "indexes"),
    ("create or replace function app.total() returns numeric language sql as 'select 1::numeric'", "routines"),
    ("create or replace view app.newest as select min(at) as max from app.orders", "views"),
    ("alter table app.secrets disable row level security", "tables"),
)


@pytest.mark.parametrize("changes", one_and_the_rest([[*CHANGES[:1]], [*CHANGES[1:]]]), ids=["one", "the rest"])
def test_the_fingerprint_says_what_of_the_schema_has_changed(shop: Cluster, changes: list[tuple[str, str]]) -> None:
    before = look(shop)
    assert look(shop).fingerprint == before.fingerprint
    missed = {}
    for statement, kind in changes:
        shop.superuser("shop", statement)
        after = look(shop)
        changed = {
            name
            for name, digest in after.databases["shop"].fingerprint.items()
            if before.databases["shop"].fingerprint.get(name) != digest
        }
        (said,) = [
            each
            for each in compared(after, baseline_of("earlier", SNAPSHOT_AT, before), VerificationPolicy())
            if each.name == "schema unchanged" and each.scope == "shop"
        ]
        if kind not in changed or kind not in said.actual or not said.held:
            missed[statement] = (changed, said)
        before = after
    assert not missed, missed


@pytest.mark.full
def test_one_table_that_nobody_can_read_leaves_the_others_counted(shop: Cluster) -> None:
    """Whoever holds the lock may be a prepared transaction that came with the data: nobody finishes it."""
    shop.superuser("shop", "alter system set max_prepared_transactions = 5")
    shop.postgres.stop()
    shop.postgres.start()
    shop.superuser("shop", "begin; lock app.orders; prepare transaction 'held'")
    found = look(shop, "version: 1\ncheck_seconds: 2\n")
    rows = {each.table: each.rows for each in found.databases["shop"].tables}
    assert rows["orders"] is None
    assert rows["customers"] == 100
    wrong_ones = {(each.kind, each.scope) for each in wrong(summarised("p", found, [], None, 2000, NOW))}
    # Some versions wait for the lock as well when they write a table's definition down.
    assert wrong_ones - {("schema", "shop")} == {
        ("rows", "shop.app.orders"),
        ("sequences", "shop.app.orders"),
        ("sequences", "shop"),
    }


@pytest.mark.full
def test_one_table_that_nobody_can_grant_leaves_its_database_verified(shop: Cluster) -> None:
    """A prepared transaction that came with the data has changed it, and nobody finishes it."""
    shop.superuser("shop", "alter system set max_prepared_transactions = 5")
    shop.postgres.stop()
    shop.postgres.start()
    shop.superuser("shop", "begin; alter table app.orders add column late int; prepare transaction 'held'")
    found = look(shop, "version: 1\ncheck_seconds: 2\n")
    rows = {each.table: each.rows for each in found.databases["shop"].tables}
    assert rows["customers"] == 100
    wrong_ones = wrong(summarised("p", found, [], None, 2000, NOW))
    missed = [each for each in wrong_ones if each.name == "access"]
    assert [(each.scope, each.held) for each in missed] == [("shop.app.orders", None)]
    assert "perhaps a prepared one" in (missed[0].error or "")
    (rows_of_it,) = [
        each for each in wrong_ones if (each.kind, each.scope) == ("rows", "shop.app.orders") and each not in missed
    ]
    assert "another transaction holds it (the check access says so then)" in (rows_of_it.error or "")
    assert "end that transaction" in (rows_of_it.error or "")


def on_login(shop: Cluster, statement: str) -> None:
    """Let the data do something whenever the role that reads logs in."""
    if shop.version < 17:
        pytest.skip("event triggers on login came with 17")
    shop.superuser(
        "shop",
        "create function greet() returns event_trigger language plpgsql security definer as"
        f" $$begin if session_user like 'aurora_restore%' then {statement}; end if; end$$",
        "create event trigger greet on login execute function greet()",
        "alter event trigger greet enable always",
    )


@pytest.mark.full
def test_a_database_whose_login_trigger_refuses_the_role_is_reported_without_its_words(shop: Cluster) -> None:
    on_login(shop, "raise '%', (select string_agg(mail, ',') from app.customers)")
    (only,) = wrong(verified(shop, ""))
    assert (only.scope, only.held) == ("shop", None)
    assert only.error == NO_LOGIN


@pytest.mark.full
def test_a_role_that_can_no_longer_log_in_ends_no_verification(shop: Cluster) -> None:
    """Whoever may change its password can be a login trigger of a role that came with the data."""
    shop.superuser("postgres", "create database other")
    on_login(shop, "execute format('alter role %I password %L', session_user, 'known')")
    found = verified(shop, "")
    assert {each.error for each in wrong(found) if each.scope.startswith("shop")} == {NO_LOGIN}
    assert any(each.scope == "other" and each.held for each in found.checks)


def test_event_triggers_that_nobody_may_silence_are_not_run(shop: Cluster) -> None:
    """Granting and revoking would run them with the master user's rights."""
    shop.forbid_silence()
    shop.superuser(
        "shop",
        "create function spring() returns event_trigger language plpgsql as $$begin raise 'trapped'; end$$",
        "create event trigger spring on ddl_command_end execute function spring()",
    )
    (only,) = wrong(verified(shop, ""))
    assert (only.scope, only.held) == ("shop", None)
