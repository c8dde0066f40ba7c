"""What is to be done in one database: the policy's rules, held against its catalogue, as SQL for each table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from msgspec import Struct, field
from msgspec.structs import replace
from psycopg2 import sql

from utils.foreign_text import listed, one_line
from utils.masking.classification import Classified, classify, rules_for
from utils.masking.columns import Catalogue, ColumnKey, Relation
from utils.masking.policy import Check, Keep, MaskingPolicy, OwnSql
from utils.postgres.masking.expressions import distinct_by, masked_value, not_masked, refused


class PolicyRefused(Exception):
    """What of a policy does not fit a database, all of it. Never leaves a step."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class MaskedColumn(Struct, frozen=True, kw_only=True):
    """One column as SQL over a row of its table, whose columns stand in it without the table's name.

    All of it is sent without values beside it: a % stands for itself. It reads `pg_temp.aurora_restore_salt (salt)`.
    """

    name: str
    value: sql.Composable
    """What replaces the value, in the column's declared type."""
    not_masked: sql.Composable | None
    """True for a value that does not have the masked form, else false or NULL. None where there is no such form."""
    refused: sql.Composable | None = None
    """True for an original value that the policy refuses: to be looked for before the first row is changed."""
    distinct_by: sql.Composable | None = None
    """Of a unique column, what two values must not have in common: where they do, they would become the same.

    None where every two different values stay different. `count(DISTINCT distinct_by)` has to be that of the column.
    """


class TableWork(Struct, frozen=True, kw_only=True):
    """What is to be done with one table: with its own rows only (ONLY), not those of tables that inherit from it."""

    oid: int
    schema: str
    table: str
    owner: str
    pages: int
    empty: bool = False
    """Whether all of its rows are deleted; then no column is masked."""
    moves: bool = False
    """Whether it is a partitioned table whose rows change their partition: one UPDATE of it and all of its parts."""
    columns: list[MaskedColumn] = field(default_factory=list)


class DatabaseWork(Struct, frozen=True, kw_only=True):
    """What is to be done in one database. Tables without work are not among its tables, the biggest come first."""

    database: str
    tables: list[TableWork]
    unclassified: list[str]
    """Columns, as schema.table.column, that the policy lists and leaves as they are."""
    own_sql: list[OwnSql]
    checks: list[Check]
    empty_large_objects: bool


def plan_work(policy: MaskingPolicy, catalogue: Catalogue) -> DatabaseWork:
    """Return what the policy means for the database. Raises PolicyRefused with all that does not fit."""
    rules, faults = rules_for(policy, catalogue.database)
    classified = classify(policy, rules, catalogue)
    own_sql, unowned = _own_sql(rules.sql if rules else [], catalogue)
    if faults := [*faults, *classified.faults, *unowned]:
        raise PolicyRefused(faults)
    return DatabaseWork(
        database=catalogue.database,
        tables=sorted(_tables(catalogue, classified), key=lambda table: -table.pages),
        unclassified=[str(key) for key in classified.unclassified],
        own_sql=own_sql,
        checks=rules.checks if rules else [],
        empty_large_objects=catalogue.large_objects and rules is not None and rules.large_objects == "empty",
    )


def _own_sql(entries: list[OwnSql], catalogue: Catalogue) -> tuple[list[OwnSql], list[str]]:
    """Return the entries, each with the owner of the tables that it works on, and what is wrong with these."""
    owners = sorted({each.owner for each in catalogue.relations if each.kind in "rpm" and not each.of_extension})
    found, faults = list[OwnSql](), list[str]()
    for entry in entries:
        if entry.owner is None and len(owners) > 1:
            faults.append(
                f"The tables belong to {listed(owners)}. Say in `sql` {entry.name!r} for whose tables it is: "
                "{owner: ROLE, text: STATEMENTS}."
            )
        elif entry.owner is not None and entry.owner not in owners:
            faults.append(f"`sql` {entry.name!r} names {one_line(entry.owner)!r}, who owns no table here.")
        else:
            found.append(replace(entry, owner=entry.owner or next(iter(owners), None)))
    return found, faults


def _tables(catalogue: Catalogue, classified: Classified) -> Iterator[TableWork]:
    masked: dict[tuple[str, str], list[ColumnKey]] = defaultdict(list)
    for key, action in classified.actions.items():
        if not isinstance(action, Keep):
            masked[key.schema, key.table].append(key)
    names = {relation.oid: (relation.schema, relation.name) for relation in catalogue.relations}
    for relation in catalogue.relations:
        columns = masked[names[relation.root]]
        moves = any(classified.columns[key].partition_strategies for key in columns)
        if relation.oid in classified.emptied:
            if relation.kind == "r":
                yield _table_work(relation, empty=True)
        elif columns and (relation.oid == relation.root if moves else relation.kind == "r"):
            masked_columns = [_masked_column(key, classified) for key in sorted(columns)]
            yield _table_work(relation, moves=moves, columns=masked_columns)


def _table_work(
    relation: Relation, *, empty: bool = False, moves: bool = False, columns: list[MaskedColumn] | None = None
) -> TableWork:
    return TableWork(
        oid=relation.oid,
        schema=relation.schema,
        table=relation.name,
        owner=relation.owner,
        pages=relation.pages,
        empty=empty,
        moves=moves,
        columns=columns or [],
    )


def _masked_column(key: ColumnKey, classified: Classified) -> MaskedColumn:
    column, action = classified.columns[key], classified.actions[key]
    return MaskedColumn(
        name=column.name,
        value=masked_value(column, action, classified.groups[key]),
        not_masked=not_masked(column, action),
        refused=refused(column, action),
        distinct_by=distinct_by(column, action) if column.unique else None,
    )
