"""Read a masking policy from its text, and report everything that is wrong with it at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

from utils.foreign_text import listed, one_line
from utils.masking.actions import read_action
from utils.masking.patterns import InvalidPattern, parse_patterns
from utils.masking.policy import (
    KEEPABLE_TYPES,
    Check,
    ColumnRule,
    DatabaseRules,
    LargeObjects,
    MaskingPolicy,
    OwnSql,
    Pattern,
    TableRule,
    Unclassified,
)
from utils.masking.yaml_nodes import Faults, Mapping, Node, Scalar, Sequence, read_yaml

VERSION = "1"
# What fits, compressed, into an item of the state table beside all else.
MAX_BYTES = 256 * 1024
MAX_CANARIES = 100
CANARY_LENGTHS = (6, 200)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,99}")


class InvalidPolicy(Exception):
    """What is wrong with a masking policy, all of it, each with its line."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def read_policy(text: str) -> MaskingPolicy:
    """Return the policy. Raises InvalidPolicy with everything that is wrong with it."""
    if (size := len(text.encode(errors="replace"))) > MAX_BYTES:
        raise InvalidPolicy([f"The policy has {size} bytes. It may have {MAX_BYTES}."])
    faults = Faults()
    policy = _Reader(faults).policy(read_yaml(text, faults))
    if faults or policy is None:
        raise InvalidPolicy(faults.sentences())
    return policy


class _Reader:
    """Reads each part of a policy. What is wrong is noted, and the rest is read all the same."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def policy(self, node: Node | None) -> MaskingPolicy | None:
        if node is None:
            return None
        fields = self._fields(node, "the policy", {"version", "databases"}, {"unclassified", "types"})
        if "version" in fields and fields["version"] != Scalar(fields["version"].line, VERSION):
            self._faults.add(fields["version"].line, f"`version` is {VERSION}: no other is known.")
        return MaskingPolicy(
            unclassified=self._choice(fields, "unclassified", get_args(Unclassified)),
            kept_types=frozenset(self._kept_types(fields.get("types"))),
            databases=list(self._databases(fields.get("databases"))),
        )

    def _kept_types(self, node: Node | None) -> Iterator[str]:
        for key, value in self._entries(node, "`types`"):
            if key.text not in KEEPABLE_TYPES:
                self._faults.add(
                    key.line,
                    f"columns of the type {one_line(key.text)!r} are not kept by their type, only by a rule for each."
                    f" By their type, these can be: {listed(KEEPABLE_TYPES)}.",
                )
            elif value != Scalar(value.line, "keep"):
                self._faults.add(value.line, "by its type, a column can only be kept. Write `keep`.")
            else:
                yield key.text

    def _databases(self, node: Node | None) -> Iterator[DatabaseRules]:
        for key, value in self._entries(node, "`databases`"):
            fields = self._fields(
                value,
                f"database {one_line(key.text)!r}",
                set(),
                {"columns", "tables", "large_objects", "foreign_servers", "sql", "checks", "canaries"},
            )
            yield DatabaseRules(
                patterns=self._patterns(key, 1),
                line=key.line,
                columns=list(self._columns(fields.get("columns"))),
                tables=list(self._tables(fields.get("tables"))),
                large_objects=self._choice(fields, "large_objects", get_args(LargeObjects)),
                foreign_servers=list(self._texts(fields.get("foreign_servers"), "foreign_servers")),
                sql=list(self._own_sql(fields.get("sql"))),
                checks=[Check(name, text) for name, text in self._named_texts(fields.get("checks"), "checks")],
                canaries=list(self._canaries(fields.get("canaries"))),
            )

    def _columns(self, node: Node | None) -> Iterator[ColumnRule]:
        for key, value in self._entries(node, "`columns`"):
            action = read_action(value, self._faults)
            for pattern in self._patterns(key, 3):
                if action is not None:
                    yield ColumnRule(pattern, action, key.line)

    def _tables(self, node: Node | None) -> Iterator[TableRule]:
        for key, value in self._entries(node, "`tables`"):
            if value != Scalar(value.line, "empty"):
                self._faults.add(value.line, "a table can only be emptied. Write `empty`, or rules for its columns.")
            for pattern in self._patterns(key, 2):
                yield TableRule(pattern, key.line)

    def _own_sql(self, node: Node | None) -> Iterator[OwnSql]:
        for key, value in self._names(node, "sql"):
            if isinstance(value, Mapping):
                fields = self._fields(value, f"`sql` {one_line(key.text)!r}", {"owner", "text"}, set())
                text, owner = fields.get("text"), fields.get("owner")
                if owner is not None and not (isinstance(owner, Scalar) and owner.text):
                    self._faults.add(owner.line, "`owner` is the name of a role.")
                elif text is not None and owner is not None:
                    yield OwnSql(key.text, self._sql_text(text, "sql"), owner.text)
            else:
                yield OwnSql(key.text, self._sql_text(value, "sql"))

    def _named_texts(self, node: Node | None, what: str) -> Iterator[tuple[str, str]]:
        for key, value in self._names(node, what):
            yield key.text, self._sql_text(value, what)

    def _names(self, node: Node | None, what: str) -> Iterator[tuple[Scalar, Node]]:
        for key, value in self._entries(node, f"`{what}`"):
            if not _NAME.fullmatch(key.text):
                self._faults.add(
                    key.line, f"{one_line(key.text)!r} is no name. Use letters, digits and _ - . within 100."
                )
            yield key, value

    def _sql_text(self, node: Node, what: str) -> str:
        if isinstance(node, Scalar) and node.text.strip():
            return node.text
        self._faults.add(node.line, f"`{what}` needs SQL as a text, such as a block that begins with |.")
        return ""

    def _texts(self, node: Node | None, what: str) -> Iterator[str]:
        if node is None:
            return
        if not isinstance(node, Sequence):
            self._faults.add(node.line, f"`{what}` is a list, such as [one, two].")
            return
        for item in node.items:
            if isinstance(item, Scalar) and item.text:
                yield item.text
            else:
                self._faults.add(item.line, f"`{what}` is a list of names.")

    def _canaries(self, node: Node | None) -> Iterator[str]:
        """Yield values to look for. One that is short stands anywhere by chance. No fault shows a value."""
        found = list(self._texts(node, "canaries"))
        if node is not None and len(found) > MAX_CANARIES:
            self._faults.add(node.line, f"`canaries` has {len(found)} values. It may have {MAX_CANARIES}.")
        if node is not None and any(not CANARY_LENGTHS[0] <= len(each) <= CANARY_LENGTHS[1] for each in found):
            least, most = CANARY_LENGTHS
            self._faults.add(node.line, f"each of `canaries` has {least} to {most} characters.")
        yield from found

    def _patterns(self, key: Scalar, parts: int) -> list[Pattern]:
        try:
            return parse_patterns(key.text, parts)
        except InvalidPattern as error:
            self._faults.add(key.line, f"{one_line(key.text)!r} {error}.")
            return []

    def _choice(self, fields: dict[str, Node], name: str, choices: tuple[Any, ...]) -> Any:
        """Return the field's value. The first choice is the default."""
        node = fields.get(name)
        if node is None:
            return choices[0]
        if isinstance(node, Scalar) and node.text in choices:
            return node.text
        self._faults.add(node.line, f"`{name}` is one of {listed(choices)}.")
        return choices[0]

    def _entries(self, node: Node | None, what: str) -> list[tuple[Scalar, Node]]:
        if node is None:
            return []
        if isinstance(node, Mapping):
            return node.entries
        self._faults.add(node.line, f"{what} needs keys with values, each after a colon.")
        return []

    def _fields(self, node: Node, what: str, needed: set[str], optional: set[str]) -> dict[str, Node]:
        fields = {key.text: (key, value) for key, value in self._entries(node, what)}
        if not isinstance(node, Mapping):
            return {}
        known = sorted(needed | optional)
        for name in fields.keys() - known:
            self._faults.add(fields[name][0].line, f"{what} has no field {one_line(name)!r}. It has {listed(known)}.")
        for name in sorted(needed - fields.keys()):
            self._faults.add(node.line, f"{what} needs the field {name!r}.")
        return {name: value for name, (_, value) in fields.items()}
