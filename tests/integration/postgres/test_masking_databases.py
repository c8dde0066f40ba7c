"""Settings of a database that came with the data: what stops the masking is refused by name, and nothing else does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.local_aws.postgres.servers import Servers
from tests.integration.postgres.cluster_support import Cluster, started
from tests.integration.postgres.masking_support import finish, mask, schema_of
from tests.integration.tiers import one_and_the_rest
from utils.errors import StepFailed, TemporaryFailure

POLICY = """
version: 1
types: {integer: keep}
databases:
  orders:
    columns:
      public.people.email: email
    sql:
      rounded: CREATE TEMPORARY TABLE rounded AS SELECT id FROM public.people
    checks:
      nobody: SELECT 1 FROM public.people WHERE email NOT LIKE 'user-%'
    canaries: [nobody@real.org]
"""
MASKED = "select count(*) from public.people where email ~ '@example.com$'"


@pytest.fixture
def production(servers: Servers) -> Iterator[Cluster]:
    running = started(servers)
    running.superuser("orders", "grant all on schema public to boss")
    running.as_master(
        "orders",
        "create table public.people (id int primary key, email text)",
        "insert into public.people select i, i || '@real.org' from generate_series(1, 9) i",
        "create index on public.people (email)",
        "create materialized view public.seen as select email from public.people",
    )
    yield running
    running.postgres.destroy()


@pytest.mark.parametrize("limit", one_and_the_rest([2, 1]))
def test_a_database_that_admits_fewer_connections_than_masking_needs_is_refused_by_name(
    production: Cluster, limit: int
) -> None:
    production.superuser("postgres", f"alter database orders connection limit {limit}")
    with pytest.raises(StepFailed, match=f"'orders' admits {limit} connections? at once") as failed:
        mask(production, POLICY)
    assert "ALTER DATABASE" in str(failed.value)
    assert production.superuser("orders", MASKED) == [(0,)]


def test_a_database_that_admits_as_many_connections_as_masking_needs_is_masked(production: Cluster) -> None:
    """A connection that was just closed may still count: such a slice is repeated, as the state machine does."""
    production.superuser("postgres", "alter database orders connection limit 3")
    for _ in range(20):
        with contextlib.suppress(TemporaryFailure):
            mask(production, POLICY)
            break
    assert production.superuser("orders", MASKED) == [(9,)]


def test_a_databases_default_tablespace_changes_nothing(production: Cluster, tmp_path: Path) -> None:
    before = schema_of(production, "orders")
    for name in ("fast", "scratch"):
        (tmp_path / name).mkdir()
        production.superuser("postgres", f"create tablespace {name} location '{tmp_path / name}'")
    production.superuser(
        "postgres",
        "alter database orders set default_tablespace = 'fast'",
        "alter database orders set temp_tablespaces = 'scratch'",
    )
    mask(production, POLICY)
    finish(production)
    assert production.superuser("orders", MASKED) == [(9,)]
    assert production.superuser("orders", "select 1 from pg_class where reltablespace <> 0 and oid >= 16384") == []
    assert schema_of(production, "orders") == before
