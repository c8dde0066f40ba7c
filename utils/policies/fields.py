"""What the readers of the policies have in common: fields, lists, names and SQL, each checked, with its line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from utils.foreign_text import listed, one_line
from utils.policies.patterns import InvalidPattern, Pattern, parse_patterns
from utils.policies.yaml_nodes import Faults, Mapping, Node, Scalar, Sequence, read_yaml

T = TypeVar("T")
# The only version of either policy.
VERSION = "1"
# What fits, compressed, into an item of the state table beside all else.
MAX_BYTES = 256 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,99}")


class InvalidPolicy(Exception):
    """What is wrong with a policy, all of it, each with its line."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def read_policy_text(text: str, read: Callable[[Faults, Node], T | None]) -> T:
    """Return the policy that a reader makes of a text. Raises InvalidPolicy with everything that is wrong with it."""
    if (size := len(text.encode(errors="replace"))) > MAX_BYTES:
        raise InvalidPolicy([f"The policy has {size} bytes. It may have {MAX_BYTES}."])
    faults = Faults()
    node = read_yaml(text, faults)
    policy = read(faults, node) if node is not None else None
    if faults or policy is None:
        raise InvalidPolicy(faults.sentences())
    return policy


class FieldReader:
    """Reads parts of a policy. What is wrong is noted, and the rest is read all the same."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults

    def head(self, node: Node, needed: set[str], optional: set[str]) -> dict[str, Node]:
        """Return the fields of the policy itself, whose version has to be the known one."""
        fields = self.fields(node, "the policy", {"version", *needed}, optional)
        if "version" in fields and fields["version"] != Scalar(fields["version"].line, VERSION):
            self.faults.add(fields["version"].line, f"`version` is {VERSION}: no other is known.")
        return fields

    def names(self, node: Node | None, what: str) -> Iterator[tuple[Scalar, Node]]:
        """Yield the entries of a mapping whose keys are names."""
        for key, value in self.entries(node, f"`{what}`"):
            if not _NAME.fullmatch(key.text):
                self.faults.add(
                    key.line, f"{one_line(key.text)!r} is no name. Use letters, digits and _ - . within 100."
                )
            yield key, value

    def sql_text(self, node: Node, what: str) -> str:
        """Return the SQL of an entry, and an empty text where there is none."""
        if isinstance(node, Scalar) and node.text.strip():
            return node.text
        self.faults.add(node.line, f"`{what}` needs SQL as a text, such as a block that begins with |.")
        return ""

    def texts(self, node: Node | None, what: str) -> Iterator[str]:
        """Yield the texts of a list."""
        if node is None:
            return
        if not isinstance(node, Sequence):
            self.faults.add(node.line, f"`{what}` is a list, such as [one, two].")
            return
        for item in node.items:
            if isinstance(item, Scalar) and item.text:
                yield item.text
            else:
                self.faults.add(item.line, f"`{what}` is a list of names.")

    def patterns(self, key: Scalar, parts: int) -> list[Pattern]:
        """Return the names that a key stands for."""
        try:
            return parse_patterns(key.text, parts)
        except InvalidPattern as error:
            self.faults.add(key.line, f"{one_line(key.text)!r} {error}.")
            return []

    def choice(self, fields: dict[str, Node], name: str, choices: tuple[Any, ...]) -> Any:
        """Return the field's value. The first choice is the default."""
        node = fields.get(name)
        if node is None:
            return choices[0]
        if isinstance(node, Scalar) and node.text in choices:
            return node.text
        self.faults.add(node.line, f"`{name}` is one of {listed(choices)}.")
        return choices[0]

    def entries(self, node: Node | None, what: str) -> list[tuple[Scalar, Node]]:
        """Return the entries of a mapping, and none where there is no node."""
        if node is None:
            return []
        if isinstance(node, Mapping):
            return node.entries
        self.faults.add(node.line, f"{what} needs keys with values, each after a colon.")
        return []

    def fields(self, node: Node, what: str, needed: set[str], optional: set[str]) -> dict[str, Node]:
        """Return the fields of a mapping by their names. Unknown and missing ones are noted."""
        fields = {key.text: (key, value) for key, value in self.entries(node, what)}
        if not isinstance(node, Mapping):
            return {}
        known = sorted(needed | optional)
        for name in fields.keys() - known:
            self.faults.add(fields[name][0].line, f"{what} has no field {one_line(name)!r}. It has {listed(known)}.")
        for name in sorted(needed - fields.keys()):
            self.faults.add(node.line, f"{what} needs the field {name!r}.")
        return {name: value for name, (_, value) in fields.items()}
