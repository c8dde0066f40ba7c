"""What masking refuses, before the first row is changed or at its gate, and what it says then; never a value."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.integration.postgres.cluster_support import Cluster
from tests.integration.postgres.masking_support import (
    POLICY,
    SALT,
    contents,
    expected_contents,
    finish,
    mask,
    one_slice,
    schema_of,
)
from utils.errors import MaskingGateFailed, StepFailed, TemporaryFailure
from utils.postgres.masking import mask as engine
from utils.postgres.masking.sessions import Place
from utils.postgres.slice_clock import SliceClock

# Many, each of a few seconds; what holds before a commit is in test_masking.py and test_masking_hostile.py.
pytestmark = pytest.mark.full


def with_sql(*statements: str) -> str:
    entries = "".join(
        f"      entry {number}:\n        owner: app\n        text: |\n          {text}\n"
        for number, text in enumerate(statements)
    )
    return POLICY.replace("    tables:", f"    sql:\n{entries}    tables:")


def refused(cluster: Cluster, policy: str = POLICY) -> str:
    """Mask, and return why it stopped before the first row was changed."""
    before = contents(cluster, "orders")
    with pytest.raises(StepFailed) as failed:
        mask(cluster, policy)
    assert contents(cluster, "orders") == before
    assert "real.org" not in str(failed.value)
    return str(failed.value)


def failed_gate(cluster: Cluster, policy: str = POLICY) -> str:
    with pytest.raises(MaskingGateFailed) as failed:
        mask(cluster, policy)
    assert "real.org" not in str(failed.value)
    with pytest.raises(MaskingGateFailed):
        mask(cluster, policy)
    return str(failed.value)


def meanwhile(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Something else changes the database when own SQL has run."""
    stages = dict(engine._THEN)

    def and_then(place: Place, clock: SliceClock) -> None:
        stages["added"](place, clock)
        if place.database == "orders":
            change()

    changed = tuple((name, and_then if name == "added" else work) for name, work in engine._THEN)
    monkeypatch.setattr(engine, "_THEN", changed)


# Before the first row


def test_what_a_check_refuses_is_found_before_the_first_row_is_changed(production: Cluster) -> None:
    production.superuser("orders", "alter table app.orders add check (user_email like '%@real.org')")
    message = refused(production)
    assert "table 'orders'" in message
    assert "23514" in message
    assert "constraint 'orders_user_email_check'" in message


def test_what_a_domain_refuses_is_found_before_the_first_row_is_changed(production: Cluster) -> None:
    production.superuser("orders", "alter domain app.mail add check (value like '%@real.org')")
    assert "23514" in refused(production)


def test_a_column_that_nobody_classified_stops_it(production: Cluster) -> None:
    production.superuser("template1", "create table public.notes (note text)")
    assert "template1" in refused(production)


@pytest.mark.parametrize("how", ["allow_connections false", "connection limit 0"])
def test_a_database_that_admits_nobody_stops_it(production: Cluster, how: str) -> None:
    production.as_master("postgres", "create database closed")
    production.superuser("postgres", f"alter database closed {how}")
    assert "'closed' admits nobody" in refused(production)


def test_a_pattern_that_names_no_database_stops_it(production: Cluster) -> None:
    assert "'orders2'" in refused(production, POLICY.replace("  orders:", "  orders2:"))


def test_an_owner_for_whom_the_master_user_cannot_act_stops_it(production: Cluster) -> None:
    production.superuser("orders", "alter table app.orders owner to rdsadmin")
    message = refused(production)
    assert "rdsadmin" in message
    assert "GRANT" in message


def test_values_that_would_become_equal_stop_it(production: Cluster) -> None:
    production.superuser("orders", "update app.users set email = upper(email) where id = 1")
    production.superuser(
        "orders",
        "insert into app.users (email, phone, tenant) select lower(email), 'x', 1 from app.users where id = 1",
    )
    lowered = POLICY.replace("{email: {group: mail}}", "{email: {group: mail, lower: true}}")
    assert "app.users.email" in refused(production, lowered)


def test_the_masking_role_and_schema_must_not_come_with_the_data(production: Cluster) -> None:
    production.superuser("orders", "create schema aurora_restore_mask_1a2b3c4d authorization app")
    assert "came with the data" in refused(production)
    production.superuser("orders", "drop schema aurora_restore_mask_1a2b3c4d")
    production.superuser("postgres", "alter role aurora_restore_masker_1a2b3c4d createrole")
    assert "has rights" in refused(production)


# At the gate


def test_an_original_that_comes_back_fails_the_gate(production: Cluster) -> None:
    message = failed_gate(
        production,
        with_sql(
            "update app.orders set amount = 0;\n          update app.events set email = 'someone@real.org' where id = 7"
        ),
    )
    assert "1 rows of app.events_" in message
    assert ".email" in message


def test_a_row_that_leads_nowhere_fails_the_gate(production: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = "user-aaaaaaaaaaaaaaaaaaaa@example.com"
    change = "set session_replication_role = replica", f"update app.orders set user_email = '{lost}' where id < 4"
    meanwhile(monkeypatch, lambda: production.superuser("orders", *change))
    assert "3 rows of app.orders refer by 'orders_user_email_fkey'" in failed_gate(production)


def test_a_row_that_was_not_masked_fails_the_gate(production: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    change = "insert into public.letters (email, body) values (null, null)"
    meanwhile(monkeypatch, lambda: production.superuser("orders", change))
    assert "public.letters has 501 rows, of which 500 were masked" in failed_gate(production)


def test_a_check_that_finds_rows_fails_the_gate(production: Cluster) -> None:
    policy = POLICY + "      nobody is left: SELECT 1 FROM app.users -- ha\n"
    assert "check 'nobody is left' found 2000 rows" in failed_gate(production, policy)


CANARY_PLACES = {
    "text": "text not null default 'seen: person1@real.org'",
    "array": "varchar(40)[] default '{x,person1@real.org}'",
    "document": """jsonb default '{"a": [{"b": "person1@real.org"}]}'""",
    "domain": "app.mail default 'person1@real.org'",
}


def test_a_canary_that_stands_anywhere_fails_the_gate(production: Cluster) -> None:
    """The policy keeps the columns, which is a mistake that no form of a value can show.

    The gate stops at the first. So each goes once it is found, and the gate, run again, comes to the next.
    """
    columns = [f"kept_{name}" for name in CANARY_PLACES]
    for column, kind in zip(columns, CANARY_PLACES.values(), strict=True):
        production.superuser("orders", f"alter table public.letters add column {column} {kind}")
    kept = "".join(f"public.letters.{column}: keep\n      " for column in columns)
    policy = POLICY.replace("public.letters.body:", f"{kept}public.letters.body:")
    missed = {}
    for column in columns:
        said = failed_gate(production, policy)
        if f"canaries stand in 500 rows of public.letters.{column}" not in said:
            missed[column] = said
        production.superuser("orders", f"alter table public.letters drop column {column}")
    assert not missed, missed


def test_a_canary_in_a_materialized_view_fails_the_gate(production: Cluster) -> None:
    view = "create materialized view app.leak as select 'person1@real.org'::text as said"
    production.superuser("orders", view, "alter materialized view app.leak owner to app")
    assert "canaries stand in 1 rows of app.leak.said" in failed_gate(production)


def test_a_check_cannot_write(production: Cluster) -> None:
    policy = POLICY + "      writes: SELECT nextval('app.audit_id_seq')\n"
    with pytest.raises(StepFailed, match="25006"):
        mask(production, policy)


def test_columns_that_appear_meanwhile_fail_the_gate(production: Cluster) -> None:
    policy = with_sql("alter table app.orders add stolen text default 'someone'")
    assert "app.orders.stolen" in failed_gate(production, policy)


def test_statistics_of_an_empty_table_that_is_kept_do_not_matter(production: Cluster) -> None:
    production.superuser(
        "orders",
        "create table public.queue (id bigint)",
        "insert into public.queue select i % 3 from generate_series(1, 100) i",
        "analyze public.queue",
        "truncate public.queue",
    )
    assert mask(production, POLICY).done


# A materialized view


@pytest.mark.parametrize(
    "query",
    [
        "select email from app.users",
        "select 1 / (count(*) - 2000) as x from app.orders where user_email ~ 'example.com'",
    ],
    ids=["hidden rows", "an error"],
)
def test_a_view_that_cannot_be_refreshed_fails_unless_the_policy_drops_it(production: Cluster, query: str) -> None:
    production.superuser("orders", "set role app", f"create materialized view app.odd as {query}")
    with pytest.raises(StepFailed, match=re.escape("app.odd")) as failed:
        mask(production, POLICY)
    assert "DROP MATERIALIZED VIEW" in str(failed.value)


def test_a_view_that_the_policy_drops_is_gone(production: Cluster) -> None:
    production.superuser("orders", "set role app", "create materialized view app.odd as select email from app.users")
    mask(production, with_sql("drop materialized view app.odd"))
    finish(production)
    assert production.superuser("orders", "select to_regclass('app.odd')") == [(None,)]


# Own SQL, and what goes on


def test_own_sql_is_one_transaction_that_it_cannot_end(production: Cluster) -> None:
    with pytest.raises(StepFailed, match="0A000"):
        mask(production, with_sql("update app.orders set amount = 0; commit"))
    assert production.superuser("orders", "select count(*) from app.orders where amount = 0") == [(0,)]


def is_done_after_slice(cluster: Cluster, policy: str) -> bool:
    """Mask for a slice of three seconds. A statement that its end has cut off is retried, as the state machine does."""
    try:
        return one_slice(cluster, policy, seconds=3).done
    except TemporaryFailure as failure:
        if "(SQLSTATE 57014)" not in str(failure):
            raise
        return False


def test_what_takes_longer_than_a_slice_goes_on_and_is_done_once(
    production: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MARGIN_SECONDS", 0.0)
    before = schema_of(production, "orders")
    policy = with_sql("update app.orders set amount = amount + 1 from (select pg_sleep(4)) s where id < 10")
    slices = 0
    while not is_done_after_slice(production, policy):
        slices += 1
        assert slices < 60
    assert slices >= 1
    finish(production)
    assert production.superuser("orders", "select amount from app.orders where id < 4 order by id") == [
        (2,),
        (3,),
        (4,),
    ]
    assert schema_of(production, "orders") == before


def test_an_index_that_takes_longer_than_a_slice_is_created_once(
    production: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MARGIN_SECONDS", 0.0)
    production.superuser(
        "orders",
        "create function app.slow(text) returns text immutable language plpgsql as"
        " $$begin perform pg_sleep(0.0015); return $1; end$$",
        "create index orders_slow on app.orders (app.slow(user_email))",
    )
    before = schema_of(production, "orders")
    slices = 0
    while not is_done_after_slice(production, POLICY):
        slices += 1
        assert slices < 60
    finish(production)
    assert slices >= 1
    assert schema_of(production, "orders") == before


# What is left out or closed


def test_databases_that_are_closed_or_empty_of_encoding_are_masked(production: Cluster) -> None:
    production.superuser(
        "postgres",
        "create database old owner app encoding 'SQL_ASCII' template template0",
        "revoke all on database old from public",
    )
    production.superuser(
        "old",
        r"""do $$begin execute E'create table public.kunden (email text, "gr\xf6\xdfe" int)'; end$$""",
        r"insert into public.kunden values (E'm\xfcller@real.org', 1), ('a@real.org', 2)",
        "alter table public.kunden owner to app",
    )
    policy = POLICY + "  old:\n    columns:\n      public.kunden.email: {constant: x}\n"
    mask(production, policy)
    finish(production)
    assert production.superuser("old", "select distinct email from public.kunden") == [("x",)]


def test_large_objects_go_and_publications_too(production: Cluster) -> None:
    production.superuser(
        "orders",
        "set role app",
        "select lo_from_bytea(0, 'someone@real.org')",
    )
    production.as_master("orders", "select lo_from_bytea(0, 'someone@real.org')")
    production.superuser(
        "orders",
        "grant create on database orders to app",
        "set role app",
        "create publication few for table app.orders",
    )
    policy = POLICY.replace("    tables:", "    large_objects: empty\n    tables:")
    expected = expected_contents(production, "orders", policy)
    progress = mask(production, policy)
    assert "orders: publication 'few' of 'app' was dropped" in progress.findings
    assert contents(production, "orders") == expected
    assert production.superuser("orders", "select count(*) from pg_largeobject_metadata") == [(0,)]


def test_neither_salt_nor_values_reach_the_servers_log(production: Cluster) -> None:
    production.superuser("postgres", "alter database orders set log_statement = 'all'")
    mask(production, POLICY)
    log = production.postgres.log.read_text(errors="replace")
    assert "UPDATE ONLY" in log
    assert SALT not in log
