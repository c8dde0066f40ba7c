"""Code of the data that runs while rows are masked can neither write how far the masking came, nor outlast its turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local_aws.postgres.servers import Servers
from tests.integration.postgres.masking_support import finish, mask
from tests.integration.postgres.test_roles import Cluster, started

# The first owner's code runs while the second one's rows are still as they were.
FORGED = (
    "update {state}.progress set tried = true, bound = 0, done = true, masked_rows = 40 where rel ="
    " (select oid from pg_class where relname = 'salaries')",
    "insert into {state}.moved select (select oid from pg_class where relname = 'salaries'), format('(0,%s)', i)::tid"
    " from generate_series(1, 100) i",
    "insert into {state}.moved select format('(0,%s)', i)::tid from generate_series(1, 100) i",
    "insert into {state}.own_done values (0), (1)",
    "insert into {state}.stage (name) select unnest(array['tried', 'masked', 'examined', 'passed'])",
    "insert into {state}.examined values ((select oid from pg_class where relname = 'salaries'), 0, 40, true)",
    "insert into {state}.begun values (-1, pg_current_xact_id(), 'select 1')",
    "delete from {state}.work where rel = (select oid from pg_class where relname = 'salaries')",
)
PRODUCTION = (
    "create role a_app",
    "create role b_app",
    "create schema a authorization a_app",
    "create schema b authorization b_app",
    "create table b.salaries (id int primary key, amount int)",
    "insert into b.salaries select i, 1000000 + i from generate_series(1, 40) i",
    "alter table b.salaries owner to b_app",
    "create table a.marks (said text)",
    "alter table a.marks owner to a_app",
    "create function a.code(text) returns boolean language plpgsql as $$begin return true; end$$",
    "create table a.people (id int primary key, email text check (a.code(email)))",
    "insert into a.people values (1, '1@real.org')",
    "alter table a.people owner to a_app",
    "alter function a.code(text) owner to a_app",
    "grant a_app, b_app to boss with admin option",
    "create or replace function a.code(text) returns boolean language plpgsql as $code$"
    " declare state text := (select nspname from pg_namespace where nspname ~ '^aurora_restore_mask_');"
    " begin raise log 'FORGES as %', current_user;"
    + "".join(
        f" begin execute replace($x${each}$x$, '{{state}}', state); exception when others then null; end;"
        for each in FORGED
    )
    + " return true; end$code$",
)
POLICY = """
version: 1
types: {integer: keep}
databases:
  orders:
    columns:
      a.people.email: email
      a.marks.said: keep
      b.salaries.amount: hash
    sql:
      first: INSERT INTO a.marks VALUES ('first')
      second: INSERT INTO a.marks VALUES ('second')
"""


@pytest.fixture
def production(servers: Servers) -> Iterator[Cluster]:
    running = started(servers)
    running.superuser("orders", *PRODUCTION)
    yield running
    running.postgres.destroy()


def test_code_of_the_data_cannot_say_that_others_rows_are_masked(production: Cluster) -> None:
    mask(production, POLICY)
    finish(production)
    assert "FORGES as aurora_restore_masker" in production.postgres.log.read_text(errors="replace"), "it did run"
    assert production.superuser("orders", "select count(*) from b.salaries where amount = 1000000 + id") == [(0,)]
    assert production.superuser("orders", "select said from a.marks order by 1") == [("first",), ("second",)]
