"""Decide what becomes of each column of a database: a policy's rules, held against the catalogue.

A rule that names a column exactly takes precedence over one with wildcards. Columns that a foreign key or inheritance
connects form a group: a rule for one of them is a rule for all, so that joins hold. A partition's columns are those of
its partitioned table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct, field

from utils.foreign_text import listed, one_line
from utils.masking.columns import Catalogue, Column, ColumnKey, ForeignKey, Relation
from utils.masking.expressions import names_in
from utils.masking.fitting import column_faults, group_faults
from utils.masking.policy import (
    KEEPABLE_TYPES,
    Action,
    ColumnRule,
    DatabaseRules,
    Expression,
    Keep,
    MaskingPolicy,
    SetNull,
)
from utils.policies.patterns import matches

_NOT_TABLES = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}


class Classified(Struct, frozen=True, kw_only=True):
    """What becomes of each column of the tables that are no partitions, and all that does not fit."""

    actions: dict[ColumnKey, Action] = field(default_factory=dict)
    groups: dict[ColumnKey, str] = field(default_factory=dict)
    """Under which name a column's values are hashed, unless its action has a name of its own."""
    columns: dict[ColumnKey, Column] = field(default_factory=dict)
    emptied: set[int] = field(default_factory=set)
    """The tables, partitions among them, whose rows are deleted."""
    unclassified: list[ColumnKey] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def rules_for(policy: MaskingPolicy, database: str) -> tuple[DatabaseRules | None, list[str]]:
    """Return the rules for a database, and what is wrong with them: several patterns that match it."""
    found = [
        (pattern.exact, rules)
        for rules in policy.databases
        for pattern in rules.patterns
        if matches(pattern, [database])
    ]
    best = [rules for exact, rules in found if exact] or [rules for _, rules in found]
    if len({id(rules) for rules in best}) > 1:
        lines = listed(sorted({rules.line for rules in best}))
        return None, [f"Database {one_line(database)!r} matches several patterns of `databases`, of lines {lines}."]
    return (best[0] if best else None), []


def unmatched_databases(policy: MaskingPolicy, databases: Iterable[str]) -> list[str]:
    """Return what is wrong with the databases' patterns: those that match none of the cluster's databases."""
    names = list(databases)
    return [
        f"Line {rules.line}: no database of the cluster is named {one_line(pattern.text)!r}."
        for rules in policy.databases
        for pattern in rules.patterns
        if not any(matches(pattern, [name]) for name in names)
    ]


def classify(policy: MaskingPolicy, rules: DatabaseRules | None, catalogue: Catalogue) -> Classified:
    """Return what becomes of each column. Without rules, all that is not kept by its type is unclassified."""
    return _Classification(policy, rules, catalogue).result()


class _Classification:
    """The rules of one database, held against its catalogue step by step."""

    def __init__(self, policy: MaskingPolicy, rules: DatabaseRules | None, catalogue: Catalogue) -> None:
        self.policy = policy
        self.no_rules = rules is None
        self.rules = rules or DatabaseRules(patterns=[], line=0)
        self.catalogue = catalogue
        self.faults: list[str] = []
        self.by_oid = {relation.oid: relation for relation in catalogue.relations}
        self.tables = [each for each in catalogue.relations if each.kind in "rp" and not each.is_partition]
        self.parts: dict[int, list[Relation]] = defaultdict(list)
        for relation in catalogue.relations:
            self.parts[relation.root].append(relation)
        self.columns = {
            ColumnKey(table.schema, table.name, column.name): column
            for table in self.tables
            for column in self._with_partitions(table)
        }
        self.table_of = {
            ColumnKey(table.schema, table.name, column.name): table for table in self.tables for column in table.columns
        }

    def result(self) -> Classified:
        roots = {*self._emptied()}
        emptied = {part.oid for root in roots for part in self.parts[root]}
        given = self._given_actions()
        relevant = {key for key, table in self.table_of.items() if table.oid not in emptied}
        self._foreign_keys_to_nothing(emptied, given)
        groups = self._groups(relevant, given)
        actions = self._of_groups(groups, given, relevant)
        unclassified = sorted(
            key
            for key in relevant - actions.keys()
            if not self.columns[key].generated and not self._kept_by_type(self.columns[key])
        )
        self._what_does_not_fit(actions)
        if self.policy.unclassified == "fail" and unclassified:
            if self.no_rules:
                self.faults.append(f"No pattern of `databases` matches {one_line(self.catalogue.database)!r}.")
            self.faults += _without_rule(unclassified)
        self._what_is_in_no_column()
        return Classified(
            actions=actions,
            groups={key: str(group) for key, group in groups.items()},
            columns=self.columns,
            emptied=emptied,
            unclassified=unclassified,
            faults=self.faults,
        )

    def _with_partitions(self, table: Relation) -> Iterator[Column]:
        """Yield the table's columns, each with what holds of it in any of its partitions."""
        same: dict[str, list[Column]] = defaultdict(list)
        for part in self.parts[table.oid]:
            for column in part.columns:
                same[column.name].append(column)
        for column in table.columns:
            yield msgspec.structs.replace(
                column,
                not_null=any(each.not_null for each in same[column.name]),
                unique=any(each.unique for each in same[column.name]),
                excluded=any(each.excluded for each in same[column.name]),
                partition_strategies="".join(each.partition_strategies for each in same[column.name]),
            )

    def _emptied(self) -> Iterator[int]:
        for rule in self.rules.tables:
            found = [table.oid for table in self.tables if matches(rule.pattern, (table.schema, table.name))]
            if not found:
                others = [each for each in self.catalogue.relations if matches(rule.pattern, (each.schema, each.name))]
                self.faults.append(f"Line {rule.line}: {one_line(rule.pattern.text)} {self._no_table(others)}")
            yield from found

    def _no_table(self, others: list[Relation]) -> str:
        if not others:
            return "matches no table."
        other = others[0]
        if other.is_partition:
            root = self.by_oid[other.root]
            return f"matches only partitions. Name their table {one_line(f'{root.schema}.{root.name}')}."
        return (
            f"matches {one_line(f'{other.schema}.{other.name}')}, {_NOT_TABLES[other.kind]}: it has no rows of its own."
        )

    def _given_actions(self) -> dict[ColumnKey, Action]:
        """Return the action of each column that a rule matches."""
        found: dict[ColumnKey, list[ColumnRule]] = defaultdict(list)
        for rule in self.rules.columns:
            matched = list(self._matched(rule))
            maskable = [key for key in matched if not self.columns[key].generated]
            if matched and not maskable:
                self.faults.append(
                    f"Line {rule.line}: {one_line(matched[0])} is a generated column. Mask those that it is made of."
                )
            elif not matched:
                others = [
                    each
                    for each in self.catalogue.relations
                    if any(matches(rule.pattern, (each.schema, each.name, column.name)) for column in each.columns)
                ]
                said = self._no_table(others) if others else "matches no column."
                self.faults.append(f"Line {rule.line}: {one_line(rule.pattern.text)} {said}")
            for key in maskable:
                found[key].append(rule)
        return dict(self._chosen(found))

    def _matched(self, rule: ColumnRule) -> Iterator[ColumnKey]:
        if rule.pattern.name is None:
            yield from (key for key in self.columns if matches(rule.pattern, key))
        elif (key := ColumnKey(*rule.pattern.name)) in self.columns:
            yield key

    def _chosen(self, found: dict[ColumnKey, list[ColumnRule]]) -> Iterator[tuple[ColumnKey, Action]]:
        for key, rules in found.items():
            best = [rule for rule in rules if rule.pattern.exact] or rules
            if any(rule.action != best[0].action for rule in best):
                lines = listed(sorted({rule.line for rule in best}))
                self.faults.append(
                    f"{one_line(key)} has rules of equal rank with different actions, in lines {lines}."
                    " Name it exactly in a rule of its own, or narrow the patterns."
                )
            yield key, best[0].action

    def _foreign_keys_to_nothing(self, emptied: set[int], given: dict[ColumnKey, Action]) -> None:
        for key in self.catalogue.foreign_keys:
            if key.referenced in emptied and key.table not in emptied:
                left = [column for column, _ in self._pairs(key) if not isinstance(given.get(column), SetNull)]
                if len(left) == len(key.columns):
                    self.faults.append(
                        f"{one_line(left[0])} refers to a table that is emptied. Empty its own, too, or use set_null."
                    )

    def _pairs(self, key: ForeignKey) -> list[tuple[ColumnKey, ColumnKey]]:
        """Return each referring column with the one that it refers to. Those of partitions are their table's."""
        table, referenced = self._root(key.table), self._root(key.referenced)
        return [
            (ColumnKey(table.schema, table.name, one), ColumnKey(referenced.schema, referenced.name, other))
            for one, other in zip(key.columns, key.referenced_columns, strict=True)
        ]

    def _root(self, oid: int) -> Relation:
        return self.by_oid[self.by_oid[oid].root]

    def _groups(self, relevant: set[ColumnKey], given: dict[ColumnKey, Action]) -> dict[ColumnKey, ColumnKey]:
        """Return, for each column, the first of those that are to stay equal to it."""
        first: dict[ColumnKey, ColumnKey] = {key: key for key in relevant}

        def find(key: ColumnKey) -> ColumnKey:
            while first[key] != key:
                first[key] = first[first[key]]
                key = first[key]
            return key

        for one, other in self._connected(given):
            if one in first and other in first:
                lower, higher = sorted((find(one), find(other)))
                first[higher] = lower
        return {key: find(key) for key in relevant}

    def _connected(self, given: dict[ColumnKey, Action]) -> Iterator[tuple[ColumnKey, ColumnKey]]:
        for foreign_key in self.catalogue.foreign_keys:
            # A reference that is set to NULL needs nothing of the column that it referred to.
            yield from (pair for pair in self._pairs(foreign_key) if not isinstance(given.get(pair[0]), SetNull))
        for table in self.tables:
            for parent in (self.by_oid[oid] for oid in table.parents if oid in self.by_oid):
                names = {column.name for column in parent.columns}
                for column in table.columns:
                    if column.name in names:
                        yield (
                            ColumnKey(table.schema, table.name, column.name),
                            ColumnKey(parent.schema, parent.name, column.name),
                        )

    def _of_groups(
        self, groups: dict[ColumnKey, ColumnKey], given: dict[ColumnKey, Action], relevant: set[ColumnKey]
    ) -> dict[ColumnKey, Action]:
        """Return the action of each column: its own rule's, or that of a column which it is connected with."""
        members: dict[ColumnKey, list[ColumnKey]] = defaultdict(list)
        for key in sorted(relevant):
            members[groups[key]].append(key)
        actions: dict[ColumnKey, Action] = {}
        for connected in members.values():
            ruled = [key for key in connected if key in given]
            if not ruled:
                continue
            action = given[ruled[0]]
            for other in ruled[1:]:
                if given[other] != action:
                    self.faults.append(
                        f"{one_line(ruled[0])} and {one_line(other)} have different actions, but a foreign key or"
                        " inheritance connects them. Give both the same, or remove one of the rules."
                    )
            actions.update(dict.fromkeys(connected, action))
            if len(connected) > 1:
                self.faults += group_faults({key: self.columns[key] for key in connected}, action)
        return actions

    def _kept_by_type(self, column: Column) -> bool:
        if column.array:
            return False
        names = {KEEPABLE_TYPES[name] for name in self.policy.kept_types}
        return "enum" in names if column.labels is not None else column.trusted and column.base in names - {"enum"}

    def _what_does_not_fit(self, actions: dict[ColumnKey, Action]) -> None:
        for key, action in sorted(actions.items()):
            if not isinstance(action, Keep):
                pages = sum(part.pages for part in self.parts[self.table_of[key].oid])
                found = column_faults(self.columns[key], action, pages)
                self.faults += [f"{one_line(key)}: {fault}" for fault in found]
            if isinstance(action, Expression):
                self._names_in_expression(key, action)

    def _names_in_expression(self, key: ColumnKey, action: Expression) -> None:
        """Note columns whose types are a user's: PostgreSQL could run the user's casts, with the owner's rights."""
        foreign = {each.name for each in self.table_of[key].columns if not each.trusted}
        named = names_in(action.sql) & (foreign | ({key.table} if foreign else set()))
        if named:
            self.faults.append(
                f"{one_line(key)}: `sql` names {listed(sorted(named))}. Columns of a user's types, such as enums,"
                " stand in no expression, nor does the whole row with them."
            )

    def _what_is_in_no_column(self) -> None:
        if foreign := sorted({*self.catalogue.foreign_servers} - {*self.rules.foreign_servers}):
            self.faults.append(
                f"The foreign servers {listed(foreign)} came with the data. Name them under `foreign_servers` if their"
                " data needs no masking: what they reach is not masked."
            )
        if self.catalogue.large_objects and self.rules.large_objects == "refuse":
            self.faults.append(
                "There are large objects, which no rule masks. Write `large_objects: empty` to delete them."
            )


def _without_rule(unclassified: list[ColumnKey]) -> Iterator[str]:
    by_table: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key in unclassified:
        by_table[key.schema, key.table].append(key.column)
    for table, columns in by_table.items():
        yield f"{one_line('.'.join(table))} has columns without a rule: {listed(columns)}."
