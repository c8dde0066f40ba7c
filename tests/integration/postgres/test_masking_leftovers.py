"""Where original values stay when every row is masked or deleted: the catalogue, and statistics of what has no rows."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator

import pytest

from scripts.local_aws.postgres.servers import Servers
from tests.integration.postgres.cluster_support import MASTER, MASTER_PASSWORD, Cluster, started
from tests.integration.postgres.masking_support import finish, mask, one_slice, readable, schema_of
from tests.integration.tiers import one_and_the_rest
from utils.errors import MaskingGateFailed, StepFailed
from utils.postgres.masking import gate, listed_values, sessions
from utils.postgres.masking import mask as engine
from utils.postgres.masking.sessions import Place
from utils.postgres.session import Session
from utils.postgres.slice_clock import OutOfTime, SliceClock

ORIGINAL = "quetzal"
# Questions for which there is time in a slice.
FEW = 4
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


@pytest.mark.parametrize("rule", one_and_the_rest([OF_THE_QUEUE, EMPTIED]), ids=["masked", "emptied"])
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
def test_a_parent_that_belongs_to_another_shows_nothing_of_an_emptied_child(production: Cluster) -> None:
    production.superuser(
        "orders",
        "alter table public.people alter note drop default",
        "create table public.parent (email text)",
        "create table public.child () inherits (public.parent)",
        "insert into public.child select 'quetzal' || i % 9 from generate_series(1, 90) i",
        "alter table public.parent owner to boss",
        "alter table public.child owner to app",
        "analyze public.parent",
    )
    leaves_nothing(
        production,
        POLICY.replace(
            "    canaries", "      public.parent.email: keep\n    tables: {public.child: empty}\n    canaries"
        ),
    )


OF_NO_ROW = "alter table public.people alter note drop default"
CHILD = "create table public.people_2019 () inherits (public.people)"
FORMER_PARENT = (
    OF_NO_ROW,
    CHILD,
    "insert into public.people_2019 select 1000 + i, 'quetzal-old' || i % 9 from generate_series(1, 90) i",
    "analyze public.people",
    "drop table public.people_2019",
)
# A trigger that would note the row that is made up for ANALYZE, and with it change a table that is masked.
PARTITIONED = (
    OF_NO_ROW,
    "create table public.visits (id int {key}, email text not null) partition by {by}",
    "create table public.visits_1 partition of public.visits {bounds}",
    "create table public.referring (id int {references})",
    "alter table public.referring owner to app",
    "insert into public.visits select i, 'quetzal' || i % 9 from generate_series(1, 90) i",
    "create index on public.visits (lower(email))",
    "create statistics public.both (mcv) on id, email from public.visits",
    "alter statistics public.both owner to app",
    "create function public.note() returns trigger language plpgsql as"
    " $$begin insert into public.people values (1000, 'noted'); return null; end$$",
    "create trigger note after insert on public.visits for each row execute function public.note()",
    "create trigger notes after insert on public.visits for each statement execute function public.note()",
    "alter table public.visits owner to app",
    "analyze public.visits",
    "alter table public.visits alter email set statistics 0",
    "alter table public.visits detach partition public.visits_1",
    "drop table public.visits_1",
)
OF_VISITS = "      public.visits.email: {hash: {length: 20}}\n    canaries"
BOUNDS = {
    "range": ("range (id)", "for values from (0) to (1000)"),
    "list": ("list (email)", "default"),
    "hash": ("hash (id, email)", "for values with (modulus 1, remainder 0)"),
}


@pytest.mark.full
def test_a_former_parent_shows_nothing_of_its_children(production: Cluster) -> None:
    production.superuser("orders", *FORMER_PARENT)
    leaves_nothing(production, POLICY)
    production.set_up()
    shown = production.as_reader(
        "orders", "select inherited, most_common_vals::text from pg_stats where tablename = 'people'"
    )
    assert {inherited for inherited, _ in shown} == {False, True}
    assert "quetzal" not in str(shown)


@pytest.mark.full
def test_a_former_parent_that_has_no_rows_either_shows_nothing_of_its_children(production: Cluster) -> None:
    production.superuser("orders", *FORMER_PARENT, "truncate public.people")
    leaves_nothing(production, POLICY)


@pytest.mark.parametrize(("by", "bounds"), one_and_the_rest(BOUNDS.values()), ids=BOUNDS)
def test_a_partitioned_table_without_partitions_shows_nothing_of_them(
    production: Cluster, by: str, bounds: str
) -> None:
    key, references = ("primary key", "references public.visits") if by.startswith("range") else ("not null", "")
    statements = [
        each.format(by=by, bounds=bounds, key=key, references=references) if "{" in each else each
        for each in PARTITIONED
    ]
    production.superuser("orders", *statements)
    rule = EMPTIED.replace("queue", "visits") if by.startswith("list") else OF_VISITS
    leaves_nothing(production, POLICY.replace("    canaries", rule))


@pytest.mark.full
def test_partitions_without_partitions_show_nothing_of_them(production: Cluster) -> None:
    production.superuser(
        "orders",
        OF_NO_ROW,
        "create table public.visits (id int, email text) partition by range (id)",
        "create table public.visits_1 partition of public.visits default partition by list (id)",
        "create table public.visits_2 partition of public.visits_1 default",
        "insert into public.visits select i, 'quetzal' || i % 9 from generate_series(1, 90) i",
        "alter table public.visits owner to app",
        "alter table public.visits_1 owner to app",
        "analyze public.visits",
        "analyze public.visits_1",
        "drop table public.visits_2",
    )
    leaves_nothing(production, POLICY.replace("    canaries", OF_VISITS))


def test_an_index_into_which_no_row_of_a_materialized_view_fits_any_more_shows_nothing(production: Cluster) -> None:
    production.superuser(
        "orders",
        OF_NO_ROW,
        "create materialized view public.stored as select id, email from public.people",
        "create index stored_low on public.stored (lower(email)) where email like '%@real.org'",
        "comment on index public.stored_low is 'in small letters'",
        "alter materialized view public.stored owner to app",
        "analyze public.stored",
    )
    leaves_nothing(production, POLICY)


@pytest.mark.full
def test_an_index_into_which_the_last_row_of_an_emptied_table_does_not_fit_shows_nothing(production: Cluster) -> None:
    production.superuser(
        "orders", OF_NO_ROW, *QUEUE, "create index on queue (lower(email)) where id > 50", "analyze queue"
    )
    leaves_nothing(production, POLICY.replace("    canaries", EMPTIED))


@pytest.mark.full
def test_rows_behind_more_empty_pages_than_analyze_reads_are_found(production: Cluster) -> None:
    production.superuser(
        "orders",
        OF_NO_ROW,
        "create table public.queue (id int, email text, at date, more text) with (autovacuum_enabled = off)",
        "alter table public.queue alter more set storage plain, owner to app",
        "insert into public.queue select i, 'quetzal' || i % 9, '2026-01-01', repeat('x', 3500)"
        " from generate_series(1, 8000) i",
        "analyze public.queue",
        "delete from public.queue where id < 7999",
        "vacuum public.queue",
        "alter database orders set default_statistics_target = 1",
    )
    rule = OF_THE_QUEUE.replace("    canaries", "      public.queue.more: {text: {length: 10}}\n    canaries")
    leaves_nothing(production, POLICY.replace("    canaries", rule))
    assert production.superuser("orders", "select count(*) from public.queue where more like 'masked %'") == [(2,)]


REFERENCES = ["", "on delete cascade", "on delete cascade not valid"]


@pytest.mark.parametrize("kind", one_and_the_rest(REFERENCES))
def test_an_empty_table_that_others_refer_to_shows_nothing_of_its_former_rows(production: Cluster, kind: str) -> None:
    production.superuser(
        "orders",
        OF_NO_ROW,
        "create table public.parent (id int primary key, email text)",
        "insert into public.parent select i, 'quetzal' || i % 9 from generate_series(1, 90) i",
        "create table public.child (parent int)",
        "insert into public.child select 0 where {}".format("not valid" in kind),
        f"alter table public.child add foreign key (parent) references public.parent {kind}",
        "alter table public.parent owner to boss",
        "alter table public.child owner to app",
        "analyze public.parent",
        "delete from public.parent",
    )
    policy = POLICY.replace("    canaries", "      public.parent.email: email\n    canaries")
    if "not valid" in kind:
        with pytest.raises(StepFailed, match=r"Masking has not begun: public\.parent has no rows"):
            mask(production, policy)
    else:
        leaves_nothing(production, policy)
    assert production.superuser("orders", "select count(*) from public.child") == [(int("not valid" in kind),)]


@pytest.mark.full
def test_a_foreign_table_that_was_analyzed_is_reported(production: Cluster) -> None:
    far = f"host '{production.server.host}', port '{production.server.port}', dbname 'orders', sslmode 'require'"
    production.superuser(
        "orders",
        "create extension postgres_fdw",
        f"create server far foreign data wrapper postgres_fdw options ({far})",
        f"create user mapping for public server far options (user '{MASTER}', password '{MASTER_PASSWORD}')",
        "create foreign table public.far_people (id int, email text) server far options (table_name 'people')",
        "create foreign table public.far_others (id int, email text) server far options (table_name 'people')",
        "analyze public.far_people",
    )
    progress = mask(production, POLICY.replace("    canaries", "    foreign_servers: [far]\n    canaries"))
    assert [finding for finding in progress.findings if "pg_stats" in finding] == [
        "orders: pg_stats shows what ANALYZE read from the server of foreign table public.far_people"
    ]


# Statistics of every kind that pg_stats shows, of columns whose masked values have no form of their own either.
ODD = (
    "create type public.mood as enum ('sad', 'glad')",
    "create table public.odd (id int, number int, at date, tags text[], words tsvector, during int4range, mood mood)",
    "insert into public.odd select i, i % 9, '2026-01-01'::date + i % 9, array['quetzal' || i % 9, 'x,\"y\\\\'],"
    " to_tsvector('simple', 'quetzal' || i % 9), int4range(i % 9, 20), 'glad' from generate_series(1, 90) i",
    "create index on public.odd (lower(tags[1]))",
    "create materialized view public.odder as select * from public.odd",
    "create index on public.odder (array_remove(tags, 'y'), mood) where number > 0",
    "alter table public.odd owner to app",
    "alter materialized view public.odder owner to app",
    "analyze",
)
OF_ODD = """\
      public.odd.number: hash
      public.odd.at: {date_shift: {days: 9}}
      public.odd.tags: {each: {hash: {length: 12}}}
      public.odd.mood: {constant: sad}
      public.odd.words: {sql: "array_to_tsvector(array['masked', 'x' || id % 9])"}
      public.odd.during: {sql: "int4range(id % 9, 30)"}
    canaries"""
# What inheritance connects has no expression that could give each another value.
ALIKE = (
    OF_ODD.partition("      public.odd.words")[0]
    + """\
      public.odd.words: {constant: masked}
      public.odd.during: {constant: "[1,2)"}
    canaries"""
)


def test_every_kind_of_statistics_is_held_against_the_rows(production: Cluster) -> None:
    production.superuser("orders", OF_NO_ROW, *ODD)
    leaves_nothing(production, POLICY.replace("    canaries", OF_ODD))
    kinds = "most_common_vals, histogram_bounds, most_common_elems".split(", ")
    for kind in [*kinds, *["range_bounds_histogram"] * (production.version >= 17)]:
        shown = production.superuser("orders", f"select 1 from pg_stats where tablename = 'odd' and {kind} is not null")
        assert shown != [], kind


# Whatever it was that left them there: production's rows have gone when the gate looks. The gate lists all of them. A
# child's column is named as its parent's is, so it has a run of its own.
STALE = {
    "of a table": {
        "number of public.odd": "insert into public.odd (number) select 7 from generate_series(1, 9)",
        "tags of public.odd": "insert into public.odd (tags) select '{quetzal}' from generate_series(1, 9)",
        "words of public.odd": "insert into public.odd (words) select 'quetzal' from generate_series(1, 9)",
        "lower of public.odd_lower_idx": "select 'by what stands in tags'",
    },
    "of a child": {"number of public.odd": "insert into public.young select 7, 7 from generate_series(1, 9)"},
}


@pytest.mark.parametrize("inserts", one_and_the_rest(STALE.values()), ids=STALE)
def test_what_no_row_has_any_more_is_a_finding_of_the_gate_whatever_left_it_there(
    production: Cluster, monkeypatch: pytest.MonkeyPatch, inserts: dict[str, str]
) -> None:
    production.superuser(
        "orders",
        OF_NO_ROW,
        *ODD,
        "create table public.young () inherits (public.odd)",
        "alter table public.young owner to app",
    )
    at_the_gate = gate.examine

    def after_others(place: Place, clock: SliceClock) -> None:
        if place.database == "orders":
            production.superuser(
                "orders",
                *inserts.values(),
                "analyze public.odd",
                "delete from public.odd where id is null",
                "truncate public.young",
            )
        at_the_gate(place, clock)

    changed = [(stage, after_others if stage == "examined" else work) for stage, work in engine._THEN]
    monkeypatch.setattr(engine, "_THEN", tuple(changed))
    with pytest.raises(MaskingGateFailed, match="pg_stats still shows values that no row has") as failed:
        mask(production, POLICY.replace("    canaries", ALIKE))
    assert [named for named in inserts if named not in str(failed.value)] == [], failed.value
    assert "quetzal" not in str(failed.value)


@pytest.mark.parametrize("stale", one_and_the_rest([True, False]))
def test_a_slice_goes_on_where_the_last_one_has_stopped_to_hold_statistics_against_rows(
    production: Cluster, monkeypatch: pytest.MonkeyPatch, *, stale: bool
) -> None:
    production.superuser(
        "orders",
        OF_NO_ROW,
        "alter table public.people add number int, add at date",
        "insert into public.people select i, 'quetzal' || i, repeat('x', 90), i, '2026-01-01'::date + i"
        " from generate_series(91, 499) i",
    )
    masked = "      public.people.number: hash\n      public.people.at: {date_shift: {days: 9}}\n    canaries"
    policy = POLICY.replace("    canaries", masked)
    left = itertools.count(1)
    monkeypatch.setattr(listed_values, "PAGES", 1)
    examine = gate.examine
    ended = []

    def read_only(opened: Session, clock: SliceClock) -> None:
        if next(left) > FEW:
            ended.append(True)
            raise OutOfTime
        sessions.read_only(opened, clock)

    def in_short_slices(place: Place, clock: SliceClock) -> None:
        nonlocal left
        left = itertools.count(1)
        if stale and not ended and place.database == "orders":
            production.superuser(
                "orders",
                "insert into public.people select i, 'x', 'x', -i from generate_series(1000, 1500) i",
                "analyze public.people",
                "delete from public.people where id >= 1000",
            )
        examine(place, clock)

    monkeypatch.setattr(listed_values, "read_only", read_only)
    changed = [(stage, in_short_slices if stage == "examined" else work) for stage, work in engine._THEN]
    monkeypatch.setattr(engine, "_THEN", tuple(changed))
    if stale:
        with pytest.raises(MaskingGateFailed, match=r"no row has.*column number of public\.people"):
            mask(production, policy)
    else:
        mask(production, policy)
    assert len(ended) > 1


# By how each is named. The gate lists all of them.
PLACES = {
    "a comment on column id of table public.people": "comment on column public.people.id is 'as for quetzal7@real.org'",
    "default value for column email of table public.people": "alter table public.people alter email set default"
    " 'quetzal7@real.org'",
    "constraint people_email_check on table public.people": "alter table public.people add check"
    " (email <> 'quetzal7@real.org') not valid",
    "index public.people_id_idx": "create index on public.people (id) where id > length('quetzal7@real.org')",
    "rule _RETURN on view public.seen": "create view public.seen as select id from public.people"
    " where email <> 'quetzal7@real.org'",
    "function public.f()": "create function public.f() returns text language sql as $$select 'quetzal7@real.org'$$",
    "policy of_one on table public.people": "create policy of_one on public.people using (email = 'quetzal7@real.org')",
    "a label of type public.who": "create type public.who as enum ('quetzal7@real.org')",
    "the value of older rows of column kept of table public.old": "create table public.old as select 1 as id;"
    " alter table public.old add kept varchar default 'quetzal7@real.org'; alter table public.old alter kept drop"
    " default; update public.old set kept = 'x'; alter table public.old owner to app",
}


def test_a_canary_in_what_is_no_row_fails_the_gate(production: Cluster) -> None:
    production.superuser("orders", *(each for statement in PLACES.values() for each in statement.split("; ")))
    kept = "      public.old.kept: keep\n"
    with pytest.raises(MaskingGateFailed, match="the policy's canaries stand in ") as failed:
        mask(production, POLICY.replace("    canaries", f"{kept}    canaries"))
    (said,) = re.findall(r"canaries stand in (.*?)\. Change that", str(failed.value))
    assert set(said.split(", ")) == PLACES.keys(), said
    assert "quetzal7" not in str(failed.value)


@pytest.mark.parametrize("dropped_after", one_and_the_rest(["tried", "masked", "restored", "refreshed"]))
def test_a_table_that_vanishes_is_a_failure_that_says_so(
    production: Cluster, monkeypatch: pytest.MonkeyPatch, dropped_after: str
) -> None:
    def and_then_gone(work: Callable[[Place, SliceClock], None]) -> Callable[[Place, SliceClock], None]:
        def both(place: Place, clock: SliceClock) -> None:
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
