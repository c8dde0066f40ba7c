"""Read a masking policy from its text, and report everything that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from utils.foreign_text import listed, one_line
from utils.masking.actions import read_action
from utils.masking.policy import (
    KEEPABLE_TYPES,
    Check,
    ColumnRule,
    DatabaseRules,
    LargeObjects,
    MaskingPolicy,
    OwnSql,
    TableRule,
    Unclassified,
)
from utils.policies.fields import FieldReader, read_policy_text
from utils.policies.yaml_nodes import Mapping, Node, Scalar

MAX_CANARIES = 100
CANARY_LENGTHS = (6, 200)


def read_policy(text: str) -> MaskingPolicy:
    """Return the policy. Raises InvalidPolicy with everything that is wrong with it."""
    return read_policy_text(text, lambda faults, node: _Reader(faults).policy(node))


class _Reader(FieldReader):
    """Reads each part of a policy. What is wrong is noted, and the rest is read all the same."""

    def policy(self, node: Node) -> MaskingPolicy:
        fields = self.head(node, {"databases"}, {"unclassified", "types"})
        return MaskingPolicy(
            unclassified=self.choice(fields, "unclassified", get_args(Unclassified)),
            kept_types=frozenset(self._kept_types(fields.get("types"))),
            databases=list(self._databases(fields.get("databases"))),
        )

    def _kept_types(self, node: Node | None) -> Iterator[str]:
        for key, value in self.entries(node, "`types`"):
            if key.text not in KEEPABLE_TYPES:
                self.faults.add(
                    key.line,
                    f"columns of the type {one_line(key.text)!r} are not kept by their type, only by a rule for each."
                    f" By their type, these can be: {listed(KEEPABLE_TYPES)}.",
                )
            elif value != Scalar(value.line, "keep"):
                self.faults.add(value.line, "by its type, a column can only be kept. Write `keep`.")
            else:
                yield key.text

    def _databases(self, node: Node | None) -> Iterator[DatabaseRules]:
        for key, value in self.entries(node, "`databases`"):
            fields = self.fields(
                value,
                f"database {one_line(key.text)!r}",
                set(),
                {"columns", "tables", "large_objects", "foreign_servers", "sql", "checks", "canaries"},
            )
            yield DatabaseRules(
                patterns=self.patterns(key, 1),
                line=key.line,
                columns=list(self._columns(fields.get("columns"))),
                tables=list(self._tables(fields.get("tables"))),
                large_objects=self.choice(fields, "large_objects", get_args(LargeObjects)),
                foreign_servers=list(self.texts(fields.get("foreign_servers"), "foreign_servers")),
                sql=list(self._own_sql(fields.get("sql"))),
                checks=[Check(name, text) for name, text in self._named_texts(fields.get("checks"), "checks")],
                canaries=list(self._canaries(fields.get("canaries"))),
            )

    def _columns(self, node: Node | None) -> Iterator[ColumnRule]:
        for key, value in self.entries(node, "`columns`"):
            action = read_action(value, self.faults)
            for pattern in self.patterns(key, 3):
                if action is not None:
                    yield ColumnRule(pattern, action, key.line)

    def _tables(self, node: Node | None) -> Iterator[TableRule]:
        for key, value in self.entries(node, "`tables`"):
            if value != Scalar(value.line, "empty"):
                self.faults.add(value.line, "a table can only be emptied. Write `empty`, or rules for its columns.")
            for pattern in self.patterns(key, 2):
                yield TableRule(pattern, key.line)

    def _own_sql(self, node: Node | None) -> Iterator[OwnSql]:
        for key, value in self.names(node, "sql"):
            if isinstance(value, Mapping):
                fields = self.fields(value, f"`sql` {one_line(key.text)!r}", {"owner", "text"}, set())
                text, owner = fields.get("text"), fields.get("owner")
                if owner is not None and not (isinstance(owner, Scalar) and owner.text):
                    self.faults.add(owner.line, "`owner` is the name of a role.")
                elif text is not None and owner is not None:
                    yield OwnSql(key.text, self.sql_text(text, "sql"), owner.text)
            else:
                yield OwnSql(key.text, self.sql_text(value, "sql"))

    def _named_texts(self, node: Node | None, what: str) -> Iterator[tuple[str, str]]:
        for key, value in self.names(node, what):
            yield key.text, self.sql_text(value, what)

    def _canaries(self, node: Node | None) -> Iterator[str]:
        """Yield values to look for. One that is short stands anywhere by chance. No fault shows a value."""
        found = list(self.texts(node, "canaries"))
        if node is not None and len(found) > MAX_CANARIES:
            self.faults.add(node.line, f"`canaries` has {len(found)} values. It may have {MAX_CANARIES}.")
        if node is not None and any(not CANARY_LENGTHS[0] <= len(each) <= CANARY_LENGTHS[1] for each in found):
            least, most = CANARY_LENGTHS
            self.faults.add(node.line, f"each of `canaries` has {least} to {most} characters.")
        yield from found
