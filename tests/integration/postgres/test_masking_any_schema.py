"""Of any schema, drawn by chance, no original value of a masked column can be read by SQL when it is masked."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from scripts.local_aws.postgres.servers import Servers
from tests.integration.postgres.cluster_support import Cluster, started
from tests.integration.postgres.masking_support import finish, mask, readable, schema_of, traces
from tests.integration.tiers import one_and_the_rest

# Of each type: what makes an original value of a number, which always shows the canary, and what may become of it.
CANARY = "quetzal"
TYPES = {
    "text": ("'quetzal' || {}", ["name", "{text: {length: 30}}", "{hash: {length: 20}}", "email", "{constant: x}"]),
    "varchar(60)": ("'quetzal' || {}", ["set_null", "{hash: {length: 16}}", "email"]),
    "text[]": ("array['quetzal' || {0}, 'quetzal' || {0} % 3]", ["{each: {hash: {length: 12}}}", "set_null"]),
    "jsonb": (
        "jsonb_build_object('who', 'quetzal' || {0}, 'list', jsonb_build_array('quetzal' || {0} % 2))",
        ["set_null", "{json: {$.who: {hash: {length: 12}}}, other_paths: remove}"],
    ),
    "public.mail": ("'quetzal' || {} || '@real.org'", ["email"]),
    "bytea": ("convert_to('quetzal' || {}, 'UTF8')", ["hash", "set_null"]),
    # Longer than what a page takes: in the TOAST table, as it is.
    "text storage external": ("repeat('quetzal' || {}, 400)", ["name", "{hash: {length: 16}}", "set_null"]),
}
# The clause is known since 16.
EXTERNAL = " storage external"
PREPARED = (
    "create domain public.mail as text check (value ~ '@')",
    "create function public.fold(text) returns text immutable language sql as 'select lower($1)'",
)
ROWS = 300


# Drawn schemas that are masked together: their tables refer to none of the others'.
TOGETHER = [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11]]


class Drawn:
    """Schemas and their policy."""

    def __init__(self, seeds: list[int]) -> None:
        self.statements: list[str] = []
        self.columns: list[str] = []
        self.emptied: list[str] = []
        self.late: list[str] = []
        for seed in seeds:
            self.chance = random.Random(seed)
            for number in range(5):
                self._table(f"public.t{seed}_{number}")

    @property
    def policy(self) -> str:
        text = "version: 1\ntypes: {integer: keep}\ndatabases:\n  orders:\n    columns:\n"
        text += "".join(f"      {column}\n" for column in self.columns)
        return text + "".join(
            ["    tables:\n", *(f"      {name}: empty\n" for name in self.emptied)] * bool(self.emptied)
        )

    def _table(self, name: str) -> None:
        some = self.chance
        types = [some.choice(list(TYPES)) for _ in range(some.randint(1, 4))]
        kinds = ["plain", "plain", "parted", "parent"]
        kind = some.choice(kinds)
        listed = "".join(f", c{place} {each.removesuffix(EXTERNAL)}" for place, each in enumerate(types))
        end = " partition by range (id)" if kind == "parted" else ""
        self.statements.append(f"create table {name} (id int not null{listed}){end}")
        if kind == "parted":
            for part in range(3):
                bounds = (
                    f"from ({part * 100}) to ({part * 100 + 101})"
                    if part == 2
                    else f"from ({part * 100}) to ({part * 100 + 100})"
                )
                self.statements.append(f"create table {name}_{part} partition of {name} for values {bounds}")
        for place, each in enumerate(types):
            if each.endswith(EXTERNAL):
                self.statements.append(f"alter table {name} alter c{place} set{EXTERNAL}")
        values = "".join(", " + TYPES[each][0].format("(i % 90)" if some.random() < 0.5 else "i") for each in types)
        self.statements.append(f"insert into {name} select i{values} from generate_series(1, {ROWS}) i")
        if kind == "parent":
            self.statements.append(f"create table {name}_child () inherits ({name})")
            self.statements.append(f"insert into {name}_child select * from {name}")
        self.statements.append(f"delete from {name} where id % {some.randint(2, 9)} = 0")
        empty, was_emptied = some.random() < 0.25, some.random() < 0.25
        # A row without values fits into no partition: what shows values of none that has rows is refused.
        self._hanging(name, types, views=kind != "parted" or not empty)
        if was_emptied and kind != "parted":
            self.late.append(f"delete from {name}")
        if some.random() < 0.5:
            older = f"alter table {name} add column older text default '{CANARY}'"
            self.statements += [older, f"alter table {name} alter older drop default"]
            if not empty:
                self.columns.append(f"{name}.older: {some.choice(TYPES['text'][1])}")
        if empty:
            self.emptied += [name, *([f"{name}_child"] if kind == "parent" else [])]
        else:
            self.columns += [f"{name}.c{place}: {some.choice(TYPES[each][1])}" for place, each in enumerate(types)]

    def _hanging(self, name: str, types: list[str], *, views: bool) -> None:
        some = self.chance
        for place, each in enumerate(types):
            column = f"c{place}"
            if each in ("text", "varchar(60)", "public.mail"):
                drawn = [
                    f"create index on {name} ({column})",
                    f"create index on {name} (public.fold({column}), id)",
                    f"create index on {name} (id) where {column} > 'd'",
                    f"create statistics {name}_{column} on id, {column} from {name}",
                    f"create statistics {name}_{column}e on (lower({column})), id from {name}",
                    f"alter table {name} add column g{place} text generated always as (upper({column})) stored",
                    f"alter table {name} alter column {column} set statistics 0",
                ]
                self.statements += some.sample(drawn[:-1], 2)
                self.late += some.sample(drawn[-1:], some.randint(0, 1))
                if some.random() < 0.4:
                    self.statements.append(f"create view {name}_look{place} as select {column} from {name}")
            if views and some.random() < 0.4:
                view = f"{name}_view{place}"
                self.statements.append(f"create materialized view {view} as select id, {column} from {name}")
                self.statements.append(f"create materialized view {view}_2 as select {column} as again from {view}")


@pytest.fixture
def cluster(servers: Servers) -> Iterator[Cluster]:
    running = started(servers)
    yield running
    running.postgres.destroy()


@pytest.mark.parametrize("seeds", one_and_the_rest(TOGETHER), ids=str)
def test_no_original_value_is_readable(cluster: Cluster, seeds: list[int]) -> None:
    drawn = Drawn(seeds)
    cluster.as_master("orders", *PREPARED, *drawn.statements)
    cluster.superuser("orders", "analyze")
    cluster.superuser("orders", *drawn.late)
    before = schema_of(cluster, "orders")
    assert readable(cluster, "orders", CANARY) != []
    mask(cluster, drawn.policy)
    finish(cluster)
    assert readable(cluster, "orders", CANARY) == []
    assert schema_of(cluster, "orders") == before
    assert traces(cluster, "orders") == []
