"""What hangs on masked tables and cannot be dropped, holds for no older row, or fails with masked values."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from scripts.local_aws.postgres.servers import Servers
from tests.integration.postgres.cluster_support import Cluster, started
from tests.integration.postgres.masking_support import finish, mask, schema_of
from tests.integration.tiers import one_and_the_rest
from utils.errors import StepFailed

POLICY = """
version: 1
types: {integer: keep}
databases:
  orders:
    columns:
"""


@pytest.fixture
def production(servers: Servers) -> Iterator[Cluster]:
    running = started(servers)
    running.superuser("orders", "grant all on schema public to boss")
    yield running
    running.postgres.destroy()


def policy(**columns: str) -> str:
    return policy_of({f"public.{name.replace('__', '.')}": rule for name, rule in columns.items()})


def policy_of(columns: dict[str, str]) -> str:
    return POLICY + "".join(f"      {name}: {rule}\n" for name, rule in columns.items())


# Cases that are masked together have a schema each: nothing refers from one to another. Where a failure names no table,
# mask one schema alone.


def in_schema(schema: str, *statements: str) -> tuple[str, ...]:
    """Return the statements in a schema of their own instead of in public."""
    found = (each.replace("public.", f"{schema}.") for each in statements)
    return (f"create schema {schema}", f"set search_path = {schema}", *found)


def masks(cluster: Cluster, text: str) -> None:
    """Mask, and the schema is what it was."""
    before = schema_of(cluster, "orders")
    mask(cluster, text)
    finish(cluster)
    assert schema_of(cluster, "orders") == before


def refused(cluster: Cluster, text: str) -> str:
    with pytest.raises(StepFailed) as failed:
        mask(cluster, text)
    return str(failed.value)


# Views that group by a key: PostgreSQL keeps its constraint as long as the view.

PLAIN = ("create table public.accounts (login text primary key, number int not null, name text)",)
PARTED = (
    "create table public.accounts (login text primary key, number int not null, name text) partition by hash (login)",
    "create table public.accounts_0 partition of public.accounts for values with (modulus 2, remainder 0)",
    "create table public.accounts_1 partition of public.accounts for values with (modulus 2, remainder 1)",
)
BY_NUMBER = (
    "create table public.accounts (login text, number int, name text, primary key (login, number))"
    " partition by range (number)",
    "create table public.accounts_0 partition of public.accounts for values from (0) to (300)",
    "create table public.accounts_1 partition of public.accounts for values from (300) to (1000)",
)
GROUPED = {
    "view": "create view public.grouped as select login, name, count(*) from public.accounts group by login",
    "materialized view": "create materialized view public.grouped as select login, name, count(*)"
    " from public.accounts group by login",
}


def accounts(cluster: Cluster, table: tuple[str, ...], *statements: str, schema: str = "public") -> None:
    key = "login, number" if table == BY_NUMBER else "login"
    made = (
        *table,
        "insert into public.accounts select 'ann' || i, i, 'Ann ' || i from generate_series(1, 900) i",
        "create table public.uses (login text, number int)",
        f"alter table public.uses add foreign key ({key}) references public.accounts",
        "insert into public.uses select login, number from public.accounts",
        *(statement.replace("by login", f"by {key}") for statement in statements),
        "analyze",
    )
    cluster.as_master("orders", *(made if schema == "public" else in_schema(schema, *made)))


def test_a_view_that_groups_by_a_masked_key_keeps_it(production: Cluster) -> None:
    tables = {"plain": PLAIN, "parted": PARTED, "by_number": BY_NUMBER}
    cases = {
        f"{name}_{kind.replace(' ', '_')}": (table, view)
        for name, table in tables.items()
        for kind, view in GROUPED.items()
    }
    for schema, (table, view) in cases.items():
        accounts(production, table, view, schema=schema)
    columns = {"login": "hash", "name": "name"}
    masks(
        production,
        policy_of({f"{schema}.accounts.{column}": rule for schema in cases for column, rule in columns.items()}),
    )
    found = "select count(*), count(distinct login) from {0}.accounts join {0}.uses using (login, number)"
    masked = {
        schema: production.superuser("orders", f"{found.format(schema)} where login ~ '^m[0-9a-f]{{31}}$'")
        for schema in cases
    }
    assert masked == {schema: [(900, 900)] for schema in cases}


def test_a_view_that_groups_by_a_key_whose_masked_values_could_be_original_ones_is_refused_by_name(
    production: Cluster,
) -> None:
    view = "create view public.grouped as select number, name, count(*) from public.accounts group by number"
    accounts(production, PLAIN, "drop table public.uses", "alter table public.accounts drop constraint accounts_pkey")
    production.as_master("orders", "alter table public.accounts add primary key (number)", view)
    before = production.superuser("orders", "select * from public.accounts order by number")
    message = refused(production, policy(accounts__login="hash", accounts__number="hash", accounts__name="name"))
    assert "view public.grouped" in message
    assert "'accounts_pkey' of public.accounts" in message
    assert "GROUP BY" in message
    assert production.superuser("orders", "select * from public.accounts order by number") == before


def test_a_view_that_groups_by_a_key_that_looks_masked_already_is_refused_by_name(production: Cluster) -> None:
    accounts(production, PLAIN, GROUPED["view"])
    production.as_master("orders", f"insert into public.accounts values ('m{31 * '0'}', 0, 'x')")
    message = refused(production, policy(accounts__login="hash", accounts__name="name"))
    assert "1 rows of public.accounts.login" in message
    assert "'accounts_pkey'" in message
    assert "view public.grouped" in message
    assert production.superuser("orders", "select count(*) from public.accounts where name ~ '^Ann'") == [(900,)]


# CHECKs that are not valid, and older rows for which they are false.

CHILDREN = (
    "create table public.children (school text) inherits (public.people)",
    "insert into public.children values (20, 'bob@real.org', 'x'), (90, 'eve@real.org', 'x')",
)
UNCHECKED = {
    "plain": ("alter table people add constraint given check (id < 50) not valid",),
    "comment": (
        "alter table people add constraint given check (id < 50) not valid",
        "comment on constraint given on people is 'since 2019'",
    ),
    "no inherit": (*CHILDREN, "alter table people add constraint given check (id < 50) no inherit not valid"),
    "inherited": (
        *CHILDREN,
        "alter table people add constraint given check (id < 50) not valid",
        "comment on constraint given on children is 'of theirs'",
    ),
    "inherited and own": (
        *CHILDREN,
        "alter table children add constraint given check (id < 50) not valid",
        "alter table people add constraint given check (id < 50) not valid",
    ),
    "child's alone": (*CHILDREN, "alter table children add constraint given check (id < 50) not valid"),
    "valid in a child": (
        *CHILDREN,
        "delete from children where id = 90",
        "alter table people add constraint given check (id < 50) not valid",
        "alter table children validate constraint given",
    ),
    "valid in a child that has it itself": (
        *CHILDREN,
        "delete from children where id = 90",
        "alter table children add constraint given check (id < 50)",
        "alter table people add constraint given check (id < 50) not valid",
    ),
    "of two parents": (
        "create table public.members (id int, email text)",
        "create table public.children () inherits (public.people, public.members)",
        "insert into public.children values (20, 'bob@real.org'), (90, 'eve@real.org')",
        "alter table people add constraint given check (id < 50) not valid",
        "alter table members add constraint given check (id < 50) not valid",
        "alter table children add constraint given check (id < 50) not valid",
    ),
    "partitions": (
        "drop table people",
        "create table people (id int, email text) partition by range (id)",
        "create table people_0 partition of people for values from (0) to (40)",
        "create table people_1 partition of people for values from (40) to (100)",
        "insert into people values (1, 'ann@real.org'), (70, 'zoe@real.org')",
        "alter table people add constraint given check (id < 50) not valid",
        "alter table people_0 validate constraint given",
    ),
}


def test_older_rows_for_which_a_check_that_is_not_valid_is_false_are_masked(production: Cluster) -> None:
    schemas = {kind: re.sub(r"\W", "_", kind) for kind in UNCHECKED}
    columns = {}
    for kind, statements in UNCHECKED.items():
        schema = schemas[kind]
        production.as_master(
            "orders",
            *in_schema(
                schema,
                "create table public.people (id int, email text)",
                "insert into public.people select i, 'ann' || i || '@real.org' from generate_series(1, 60) i",
                *statements,
            ),
        )
        columns[f"{schema}.people.email"] = "email"
        if "members" in "".join(statements):
            columns[f"{schema}.members.email"] = "email"
        if "school" in "".join(statements):
            columns[f"{schema}.children.school"] = "keep"
    inherited = (
        "select conrelid::regclass::text, conislocal, coninhcount, convalidated, connoinherit from pg_constraint"
    )
    before = production.superuser("orders", f"{inherited} where conname = 'given' order by 1")
    assert {name.partition(".")[0] for name, *_ in before} == {*schemas.values()}
    masks(production, policy_of(columns))
    assert production.superuser("orders", f"{inherited} where conname = 'given' order by 1") == before
    left = {
        kind: production.superuser("orders", f"select email from {schema}.people where email !~ '@example.com$'")
        for kind, schema in schemas.items()
    }
    assert left == {kind: [] for kind in UNCHECKED}


# What is computed of masked values, for an index or statistics, and fails.

COMPUTED = {
    "expression": "create index numbers on public.payments ((reference::bigint))",
    "several": "create index numbers on public.payments (id, lower(label), (1 / length(label)), (reference::bigint))",
    "predicate": "create index numbers on public.payments (id) where reference::bigint > 100",
    "where the predicate is true": "create index numbers on public.payments ((reference::bigint)) where label = 'x'",
    "statistics": "create statistics public.numbers on (reference::bigint), id from public.payments",
}
COMPUTING = policy(payments__reference="hash", payments__label="keep")


def payments(cluster: Cluster, *statements: str) -> None:
    cluster.as_master(
        "orders",
        "create table public.payments (id int primary key, reference text, label text)",
        "insert into public.payments select i, i, 'x' from generate_series(1, 500) i",
        *statements,
    )


@pytest.mark.parametrize("kind", one_and_the_rest(COMPUTED))
def test_what_cannot_be_computed_of_masked_values_is_refused_by_name_before_a_row_is_masked(
    production: Cluster, kind: str
) -> None:
    if kind == "statistics" and production.version < 14:
        pytest.skip("statistics of expressions are there since 14")
    payments(production, COMPUTED[kind])
    message = refused(production, COMPUTING)
    assert "Masking has not begun" in message
    assert "public.numbers" in message
    assert "22P02" in message
    assert production.superuser("orders", "select 1 from public.payments where reference ~ '^m'") == []


def test_an_expression_is_not_computed_where_its_index_has_no_row(production: Cluster) -> None:
    payments(production, "create index numbers on public.payments ((reference::bigint)) where label = 'y'")
    masks(production, COMPUTING)


def test_an_index_that_only_a_later_row_breaks_is_named(production: Cluster) -> None:
    payments(
        production,
        "update public.payments set label = 'y' where id = 400",
        "create index numbers on public.payments ((reference::bigint)) where label = 'y'",
    )
    message = refused(production, COMPUTING)
    assert "index numbers of public.payments" in message
    assert "22P02" in message


def test_what_is_computed_of_partitions_whose_rows_move_is_refused_by_name(production: Cluster) -> None:
    production.as_master(
        "orders",
        "create table public.payments (id int, reference text, label text) partition by hash (reference)",
        "create table public.payments_0 partition of public.payments for values with (modulus 1, remainder 0)",
        "insert into public.payments select i, i, 'x' from generate_series(1, 500) i",
        "create index numbers on public.payments ((reference::bigint))",
    )
    message = refused(production, COMPUTING)
    assert "Masking has not begun" in message
    assert "of public.payments_0" in message
