"""Where original values stay when every row is masked or deleted: the catalogue, and statistics of what has no rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from scripts.local_aws.postgres.servers import Servers
from tests.integration.postgres.masking_support import finish, mask, one_slice, readable, schema_of
from tests.integration.postgres.test_roles import Cluster, started
from tests.integration.tiers import one_and_the_rest
from utils.errors import MaskingGateFailed, StepFailed
from utils.postgres.masking import mask as engine
from utils.postgres.masking.sessions import Clock, Place

ORIGINAL = "quetzal"
POLICY = """
version: 1
types: {integer: keep}
databases:
  orders:
    columns:
      public.people.email: email
      public.people.note: {text: {length: 20}}
    canaries: [quetzal7@real.org]
"""
PEOPLE = (
    "create role app",
    "grant app to boss with admin option",
    "grant all on schema public to app, boss",
    "create table public.people (id int primary key, email text not null)",
    "insert into public.people select i, 'quetzal' || i % 9 || '@real.org' from generate_series(1, 90) i",
    "alter table public.people add note text default 'quetzal said so'",
    "alter table public.people owner to boss",
)
QUEUE = (
    "create table public.queue (id int not null, email text not null, at date not null)",
    "insert into public.queue select i, 'quetzal' || i % 9, '2026-01-01' from generate_series(1, 90) i",
    "alter table public.queue owner to app",
    "analyze public.queue",
)
OF_THE_QUEUE = "      public.queue.email: {hash: {length: 12}}\n      public.queue.at: keep\n    canaries"
EMPTIED = "    tables: {public.queue: empty}\n    canaries"


@pytest.fixture
def production(servers: Servers) -> Iterator[Cluster]:
    running = started(servers)
    running.superuser("orders", *PEOPLE)
    yield running
    running.postgres.destroy()


def leaves_nothing(cluster: Cluster, policy: str) -> None:
    before = schema_of(cluster, "orders")
    assert readable(cluster, "orders", ORIGINAL) != []
    mask(cluster, policy)
    finish(cluster)
    assert readable(cluster, "orders", ORIGINAL) == []
    assert schema_of(cluster, "orders") == before


def test_a_default_of_older_rows_goes_from_the_catalogue(production: Cluster) -> None:
    production.superuser("orders", *QUEUE, "alter table public.queue add more text default 'quetzal'")
    for column in ("people alter note", "queue alter more"):
        production.superuser("orders", f"alter table public.{column} drop default")
    leaves_nothing(production, POLICY.replace("    canaries", EMPTIED))


@pytest.mark.parametrize("rule", [OF_THE_QUEUE, EMPTIED], ids=["masked", "emptied"])
def test_statistics_of_a_table_that_had_no_rows_any_more_are_replaced(production: Cluster, rule: str) -> None:
    production.superuser("orders", "alter table public.people alter note drop default", *QUEUE)
    production.superuser("orders", "create view public.seen as select email from public.queue", "delete from queue")
    leaves_nothing(production, POLICY.replace("    canaries", rule))


def test_statistics_that_nothing_can_replace_are_refused_before_the_first_row(production: Cluster) -> None:
    production.superuser("orders", *QUEUE, "alter table queue add check (email ~ 'quetzal')", "delete from queue")
    with pytest.raises(StepFailed, match="Masking has not begun") as failed:
        mask(production, POLICY.replace("    canaries", OF_THE_QUEUE))
    assert "public.queue" in str(failed.value)
    assert production.superuser("orders", "select count(*) from people where email ~ 'quetzal'") == [(90,)]


@pytest.mark.full
def test_a_materialized_view_of_an_emptied_table_needs_no_statement(production: Cluster) -> None:
    production.superuser(
        "orders",
        "alter table public.people alter note drop default",
        *QUEUE,
        "create materialized view public.stored as select id, email from public.queue",
        "create materialized view public.again as select email from public.stored",
        *(f"alter materialized view public.{name} owner to app" for name in ("stored", "again")),
        "analyze",
    )
    leaves_nothing(production, POLICY.replace("    canaries", EMPTIED))
    assert production.superuser("orders", "select count(*) from public.stored") == [(0,)]
    assert production.superuser("orders", "select count(*) from public.queue") == [(0,)]


@pytest.mark.full
def test_a_parent_whose_child_is_emptied_shows_nothing_of_it(production: Cluster) -> None:
    production.superuser(
        "orders",
        "alter table public.people alter note drop default",
        "create table public.parent (email text)",
        "alter table public.parent owner to app",
        *QUEUE,
        "create table public.child () inherits (public.parent)",
        "insert into public.child select email from public.queue",
        "alter table public.child owner to app",
        "analyze public.parent",
    )
    policy = POLICY.replace("    canaries", "      public.parent.email: keep\n    canaries")
    leaves_nothing(
        production,
        policy.replace("    canaries", "    tables: {public.queue: empty, public.child: empty}\n    canaries"),
    )


@pytest.mark.full
def test_a_parent_that_belongs_to_another_and_still_shows_it_fails_the_gate(production: Cluster) -> None:
    production.superuser(
        "orders",
        "create table public.parent (email text)",
        "create table public.child () inherits (public.parent)",
        "insert into public.child select 'quetzal' || i % 9 from generate_series(1, 90) i",
        "alter table public.parent owner to boss",
        "alter table public.child owner to app",
        "analyze public.parent",
    )
    policy = POLICY.replace(
        "    canaries", "      public.parent.email: keep\n    tables: {public.child: empty}\n    canaries"
    )
    with pytest.raises(MaskingGateFailed, match=r"pg_stats still shows values of public\.parent"):
        mask(production, policy)


PLACES = {
    "comment": "comment on column public.people.id is 'as for quetzal7@real.org'",
    "default": "alter table public.people alter email set default 'quetzal7@real.org'",
    "constraint": "alter table public.people add check (email <> 'quetzal7@real.org') not valid",
    "index": "create index on public.people (id) where id > length('quetzal7@real.org')",
    "view": "create view public.seen as select id from public.people where email <> 'quetzal7@real.org'",
    "function": "create function public.f() returns text language sql as $$select 'quetzal7@real.org'$$",
    "policy": "create policy of_one on public.people using (email = 'quetzal7@real.org')",
    "label": "create type public.who as enum ('quetzal7@real.org')",
    "older rows": "create table public.old as select 1 as id; alter table public.old add kept varchar default"
    " 'quetzal7@real.org'; alter table public.old alter kept drop default; update public.old set kept = 'x'; alter"
    " table public.old owner to app",
}


@pytest.mark.parametrize("statement", one_and_the_rest(PLACES.values()), ids=PLACES)
def test_a_canary_in_what_is_no_row_fails_the_gate(production: Cluster, statement: str) -> None:
    production.superuser("orders", *statement.split("; "))
    kept = "      public.old.kept: keep\n" if "kept" in statement else ""
    with pytest.raises(MaskingGateFailed, match="the policy's canaries stand in ") as failed:
        mask(production, POLICY.replace("    canaries", f"{kept}    canaries"))
    assert "quetzal7" not in str(failed.value)


@pytest.mark.parametrize("dropped_after", one_and_the_rest(["tried", "masked", "restored", "refreshed"]))
def test_a_table_that_vanishes_is_a_failure_that_says_so(
    production: Cluster, monkeypatch: pytest.MonkeyPatch, dropped_after: str
) -> None:
    def and_then_gone(work: Callable[[Place, Clock], None]) -> Callable[[Place, Clock], None]:
        def both(place: Place, clock: Clock) -> None:
            work(place, clock)
            if place.database == "orders":
                production.superuser("orders", "drop table public.people cascade")

        return both

    for name in ("_BEFORE", "_THEN"):
        stages = getattr(engine, name)
        changed = [(stage, and_then_gone(work) if stage == dropped_after else work) for stage, work in stages]
        monkeypatch.setattr(engine, name, tuple(changed))

    with pytest.raises((StepFailed, MaskingGateFailed), match=r"people|42P01"):
        one_slice(production, POLICY)
