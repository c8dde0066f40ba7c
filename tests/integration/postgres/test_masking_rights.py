"""What the data's code leaves behind while it runs as the masking role gets nobody's rights when that role goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local_aws.postgres.servers import Servers
from tests.integration.postgres.cluster_support import Cluster, started
from tests.integration.postgres.masking_support import finish, mask, readable
from tests.integration.tiers import one_and_the_rest

POLICY = """
version: 1
types: {integer: keep}
databases:
  orders:
    columns:
      public.people.email: email
"""
PEOPLE = (
    "create role mallory login password 'Mallory-password-1'",
    "create table public.people (id int primary key, email text)",
    "insert into public.people select i, i || '@real.org' from generate_series(1, 40) i",
)


@pytest.fixture
def production(servers: Servers) -> Iterator[Cluster]:
    running = started(servers)
    running.superuser("orders", *PEOPLE, "alter table public.people owner to boss")
    yield running
    running.postgres.destroy()


def test_what_code_of_the_data_creates_never_becomes_the_master_users(production: Cluster) -> None:
    production.superuser(
        "orders",
        "create function public.code(text) returns boolean language plpgsql as $code$begin"
        " if current_user ~ 'masker' and to_regprocedure('public.gift()') is null then"
        "  execute 'create function public.gift() returns void security definer language plpgsql as"
        "  $x$begin grant rds_superuser to mallory; end$x$';"
        "  execute 'create view public.window as select * from public.people';"
        " end if; return true; end$code$",
        "alter function public.code(text) owner to mallory",
        "alter table public.people add check (public.code(email))",
    )
    mask(production, POLICY)
    finish(production)
    made = (
        "select pg_get_userbyid(proowner) from pg_proc where proname = 'gift'"
        " union all select pg_get_userbyid(relowner) from pg_class where relname = 'window'"
    )
    assert production.superuser("orders", made) == []


@pytest.mark.parametrize(
    "hung",
    one_and_the_rest(
        [
            "create index on public.people (id) where array[email::public.picky] <> '{tell}'::public.picky[]",
            "create statistics public.joint on ((array[email::public.picky] = '{tell}'::public.picky[])), id"
            " from public.people",
            "alter table public.people add check (array[email::public.picky] <> '{tell}'::public.picky[]) not valid",
        ]
    ),
)
def test_a_constant_of_the_datas_type_is_never_read_with_the_master_users_rights(
    production: Cluster, hung: str
) -> None:
    production.superuser(
        "orders",
        "create function public.code(text) returns boolean language plpgsql immutable as $code$begin"
        " raise log 'CONSTANT as %', current_user; return true; end$code$",
        "create domain public.picky as text check (public.code(value))",
        hung,
        *(["alter statistics public.joint owner to boss"] if "statistics" in hung else []),
    )
    already = len(runs(production))
    mask(production, POLICY)
    finish(production)
    during = runs(production)[already:]
    assert {line.split(" as ")[1].split()[0] for line in during} == {"aurora_restore_masker_1a2b3c4d"}


def runs(cluster: Cluster) -> list[str]:
    lines = cluster.postgres.log.read_text(errors="replace").splitlines()
    return [line for line in lines if "LOG:  CONSTANT as" in line]


def test_statistics_of_a_view_that_analyze_passes_over_do_not_outlive_the_masking(production: Cluster) -> None:
    production.superuser(
        "orders",
        "insert into public.people select 1000 + i, 'often@real.org' from generate_series(1, 40) i",
        "create materialized view public.seen as select id, email from public.people",
        "create index on public.seen (lower(email))",
        "create statistics public.together (mcv) on id, email from public.seen",
        "alter materialized view public.seen owner to boss",
        "alter statistics public.together owner to boss",
        "analyze public.seen",
        "alter materialized view public.seen alter column email set statistics 0",
        "alter index public.seen_lower_idx alter column 1 set statistics 0",
        "alter statistics public.together set statistics 0",
    )
    mask(production, POLICY)
    finish(production)
    assert readable(production, "orders", "real.org") == []
    targets = "select attstattarget from pg_attribute where attrelid = 'public.seen'::regclass and attname = 'email'"
    assert production.superuser("orders", targets) == [(0,)]
