"""What hangs on masked tables and cannot be dropped, holds for no older row, or fails with masked values."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local_aws.postgres.servers import Servers
from tests.integration.postgres.masking_support import finish, mask, schema_of
from tests.integration.postgres.test_roles import Cluster, started
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
    return POLICY + "".join(f"      public.{name.replace('__', '.')}: {rule}\n" for name, rule in columns.items())


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


def accounts(cluster: Cluster, table: tuple[str, ...], *statements: str) -> None:
    key = "login, number" if table == BY_NUMBER else "login"
    cluster.as_master(
        "orders",
        *table,
        "insert into public.accounts select 'ann' || i, i, 'Ann ' || i from generate_series(1, 900) i",
        "create table public.uses (login text, number int)",
        f"alter table public.uses add foreign key ({key}) references public.accounts",
        "insert into public.uses select login, number from public.accounts",
        *(statement.replace("by login", f"by {key}") for statement in statements),
        "analyze",
    )


@pytest.mark.parametrize(
    ("table", "view"),
    one_and_the_rest([(table, view) for table in (PLAIN, PARTED, BY_NUMBER) for view in GROUPED.values()]),
)
def test_a_view_that_groups_by_a_masked_key_keeps_it(production: Cluster, table: tuple[str, ...], view: str) -> None:
    accounts(production, table, view)
    masks(production, policy(accounts__login="hash", accounts__name="name"))
    found = "select count(*), count(distinct login) from public.accounts join public.uses using (login, number)"
    assert production.superuser("orders", f"{found} where login ~ '^m[0-9a-f]{{31}}$'") == [(900, 900)]


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
