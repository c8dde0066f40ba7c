"""Read a verification policy from its text, and report everything that is wrong with it at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import get_args

from utils.foreign_text import one_line
from utils.policies.fields import FieldReader, read_policy_text
from utils.policies.patterns import Pattern
from utils.policies.yaml_nodes import Mapping, Node, Scalar, Sequence
from utils.verification.policy import (
    DatabaseChecks,
    NewestRow,
    OwnCheck,
    SchemaChanges,
    SourceRules,
    VerificationPolicy,
)

# A check has to fit into a slice, which has twelve minutes, beside what comes before it and after it.
CHECK_SECONDS = (1, 480)
COUNT_BELOW_MB = (0, 1_000_000)
PERCENT = (0, 100)
MAX_HOURS = (1, 24 * 366)
MAX_OWN_CHECKS = 200
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,9})?")
ANY_AGE = "any"


def read_verification_policy(text: str) -> VerificationPolicy:
    """Return the policy. Raises InvalidPolicy with everything that is wrong with it."""
    return read_policy_text(text, lambda faults, node: _Reader(faults).policy(node))


class _Reader(FieldReader):
    def policy(self, node: Node) -> VerificationPolicy:
        bounds = {"check_seconds", "count_below_mb", "max_loss_percent", "schema_changes"}
        fields = self.head(node, set(), {*bounds, "leave_out", "source", "databases"})
        default = VerificationPolicy()
        return VerificationPolicy(
            check_seconds=self._whole(fields, "check_seconds", CHECK_SECONDS, default.check_seconds),
            count_below_mb=self._whole(fields, "count_below_mb", COUNT_BELOW_MB, default.count_below_mb),
            max_loss_percent=self._whole(fields, "max_loss_percent", PERCENT, default.max_loss_percent),
            schema_changes=self.choice(fields, "schema_changes", get_args(SchemaChanges)),
            leave_out=list(self._list_of_patterns(fields.get("leave_out"), "leave_out", 1)),
            databases=list(self._databases(fields.get("databases"))),
            source=self._source(fields["source"]) if "source" in fields else None,
        )

    def _source(self, node: Node) -> SourceRules:
        fields = self.fields(node, "`source`", set(), set(SourceRules.__struct_fields__))
        default, hours = SourceRules(), "max_hours_behind"
        return SourceRules(
            max_difference_percent=self._whole(
                fields, "max_difference_percent", PERCENT, default.max_difference_percent
            ),
            max_hours_behind=self._number(fields[hours], hours, MAX_HOURS) if hours in fields else None,
            schema_changes=self.choice(fields, "schema_changes", get_args(SchemaChanges)),
        )

    def _databases(self, node: Node | None) -> Iterator[DatabaseChecks]:
        for key, value in self.entries(node, "`databases`"):
            fields = self.fields(
                value,
                f"database {one_line(key.text)!r}",
                set(),
                {"count", "foreign_keys", "newest_rows", "checks"},
            )
            own = list(self._own(fields.get("checks")))
            if len(own) > MAX_OWN_CHECKS:
                self.faults.add(key.line, f"`checks` has {len(own)} entries. It may have {MAX_OWN_CHECKS}.")
            yield DatabaseChecks(
                patterns=self.patterns(key, 1),
                count=list(self._list_of_patterns(fields.get("count"), "count", 2)),
                foreign_keys=list(self._list_of_patterns(fields.get("foreign_keys"), "foreign_keys", 2)),
                newest_rows=list(self._newest_rows(fields.get("newest_rows"))),
                own=own,
            )

    def _newest_rows(self, node: Node | None) -> Iterator[NewestRow]:
        for key, value in self.entries(node, "`newest_rows`"):
            hours = None if value == Scalar(value.line, ANY_AGE) else self._number(value, key.text, MAX_HOURS)
            for pattern in self.patterns(key, 3):
                if pattern.exact:
                    yield NewestRow(column=pattern, max_hours=hours)
                else:
                    self.faults.add(key.line, "`newest_rows` names its columns without wildcards.")

    def _own(self, node: Node | None) -> Iterator[OwnCheck]:
        for key, value in self.names(node, "checks"):
            if not isinstance(value, Mapping):
                yield OwnCheck(name=key.text, text=self.sql_text(value, "checks"))
                continue
            fields = self.fields(value, f"`checks` {one_line(key.text)!r}", {"number"}, {"least", "most"})
            least, most = (self._bound(fields.get(name), name) for name in ("least", "most"))
            if least is None and most is None:
                self.faults.add(key.line, "a check of a number needs `least`, `most`, or both.")
            elif least is not None and most is not None and Decimal(least) > Decimal(most):
                self.faults.add(key.line, f"`least` is {least} and `most` is {most}: no number is between them.")
            elif "number" in fields:
                text = self.sql_text(fields["number"], "number")
                yield OwnCheck(name=key.text, text=text, is_number=True, least=least, most=most)

    def _bound(self, node: Node | None, name: str) -> str | None:
        if node is None:
            return None
        if isinstance(node, Scalar) and _NUMBER.fullmatch(node.text):
            return node.text
        self.faults.add(node.line, f"`{name}` is a number, such as 1000 or 0.5.")
        return None

    def _list_of_patterns(self, node: Node | None, what: str, parts: int) -> Iterator[Pattern]:
        # Each with its own line, which a list of texts would not have.
        items = node.items if isinstance(node, Sequence) else []
        lines = [item for item in items if isinstance(item, Scalar) and item.text]
        if len(list(self.texts(node, what))) == len(lines):
            for item in lines:
                yield from self.patterns(item, parts)

    def _whole(self, fields: dict[str, Node], name: str, bounds: tuple[int, int], default: int) -> int:
        return self._number(fields[name], name, bounds) if name in fields else default

    def _number(self, node: Node, name: str, bounds: tuple[int, int]) -> int:
        least, most = bounds
        if isinstance(node, Scalar) and re.fullmatch("[0-9]{1,9}", node.text) and least <= int(node.text) <= most:
            return int(node.text)
        self.faults.add(node.line, f"`{one_line(name)}` is a whole number from {least} to {most}.")
        return least
