"""The digest of a plan: equal for the same request in the same world, however often it is planned.

What differs from one planning to the next is taken out: the operation's id and what follows from it, how old the
snapshot was at that moment, why it was chosen, and when the end is expected.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from typing import Any

from .words import one_line

SHORT = 8
_VOLATILE = (
    "operation_id",
    "snapshot.age_hours",
    "snapshot.why",
    "snapshot.notes",
    "snapshot.others",
    "phases",
    "expected_seconds",
    "expected_minutes",
    "announced",
)
_OPERATION = "OPERATION"


def lasting_lines(plan: Mapping[str, Any]) -> list[str]:
    """Return what a plan says, one value a line, without what only this planning of it has."""
    operation_id = str(plan.get("operation_id", ""))
    return [
        f"{path}: {json.dumps(_neutral(value, operation_id), sort_keys=True)}"
        for path, value in _values(plan, "")
        if not any(path == each or path.startswith((f"{each}.", f"{each}[")) for each in _VOLATILE)
    ]


def digest_of(lines: Sequence[str]) -> str:
    """Return the digest: 64 hexadecimal digits, of which people use the first 8."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def differing_lines(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Return what differs: with - as it was, with + as it is now."""
    changed = unified_diff(before, now, lineterm="", n=0)
    return [f"{each[0]} {one_line(each[1:])}" for each in changed if not each.startswith(("---", "+++", "@@"))]


def fingerprint(operation_id: str) -> str:
    """Return what stands for an operation in the names of what it creates, as the pipeline computes it."""
    return hashlib.sha256(operation_id.encode()).hexdigest()[:12]


def _values(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield each value that has no parts, and each empty list or object, with its place."""
    if isinstance(value, Mapping) and value:
        for name in sorted(value):
            yield from _values(value[name], f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and value:
        for number, each in enumerate(value):
            yield from _values(each, f"{path}[{number}]")
    else:
        yield path, value


def _neutral(value: Any, operation_id: str) -> Any:
    if not isinstance(value, str) or not operation_id:
        return value
    return _OPERATION if value == operation_id else value.replace(fingerprint(operation_id), _OPERATION)
