"""No text is taken apart at its colons outside the modules that know ARNs, unless its colons are no ARN's.

A part of an ARN is asked for by its name (utils/arns.py, and a module each for what may not import that): counted
colons say nothing to a reader, and are wrong in a resource that has colons of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.support import ROOT

_AT_COLONS = {"count", "find", "index", "partition", "rfind", "rindex", "rpartition", "rsplit", "split"}
# The modules that take ARNs apart for all others.
READING = {"utils/arns.py", "scripts/aurora_restore/arns.py", "scripts/local_aws/core/arns.py"}
# What else is taken apart at a colon, and what its colon is.
OTHERS = {
    ("scripts/checks/grants.py", "call"): "an action of IAM, service:Operation",
    ("scripts/checks/policies.py", "action"): "an action of IAM, service:Operation",
    ("scripts/local_aws/events/trail.py", "session.user_id"): "a role's id and its session's name",
    ("scripts/local_aws/iam/policy.py", "arn"): "compared with a pattern, segment by segment",
    ("scripts/local_aws/iam/policy.py", "operator"): "a set operator before a condition's own, ForAnyValue:StringLike",
    ("scripts/local_aws/iam/policy.py", "pattern"): "a pattern of ARNs, which may end before an ARN would",
    ("scripts/local_aws/iam/refusals.py", "need.action"): "an action of IAM, service:Operation",
    ("utils/aurora_utils/windows.py", "moment"): "a moment of a window, day:hour:minute",
    ("utils/denials.py", "action"): "an action of IAM, service:Operation",
    ("utils/names.py", "name"): "RDS's prefix of a snapshot that it takes itself, rds:",
    ("utils/request/reading.py", "each"): "a problem, which begins with its field",
}
MODULES = [
    path for folder in ("utils", "lambda_functions", "scripts") for path in sorted((ROOT / folder).rglob("*.py"))
]


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def taken_apart(tree: ast.AST) -> Iterator[str]:
    """Yield what is taken apart at a colon, or at a mark between colons such as :cluster-snapshot:."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _AT_COLONS:
            marks = [*node.args[:1], *(each.value for each in node.keywords if each.arg == "sep")]
            if any(isinstance(mark, ast.Constant) and str(mark.value).startswith(":") for mark in marks):
                yield ast.unparse(node.func.value)


def places() -> set[tuple[str, str]]:
    return {(place(path), each) for path in MODULES for each in taken_apart(ast.parse(path.read_text()))}


def test_arns_are_taken_apart_in_their_own_modules_alone() -> None:
    assert {found for found in places() if found[0] not in READING} - set(OTHERS) == set()


def test_each_exception_is_still_needed() -> None:
    assert set(OTHERS) <= places()
    assert {module for module, _ in places()} >= READING


@pytest.mark.parametrize(
    "source",
    [
        'region = arn.split(":")[3]',
        'account = made["arn"].split(":", 5)[4]',
        'name = str(arn).rsplit(sep=":", maxsplit=1)[-1]',
        'kept = [each.partition(":cluster-snapshot:")[2] for each in found]',
        "f\"{arn.rpartition(':')[2]}\"",
        'if key.count(":") == 5: pass',
    ],
)
def test_what_takes_an_arn_apart_is_seen(source: str) -> None:
    assert len(list(taken_apart(ast.parse(source)))) == 1


@pytest.mark.parametrize("source", ['path.split("/")', 'version.partition(".")', "text.split()", "index.find(colon)"])
def test_other_texts_are_left(source: str) -> None:
    assert list(taken_apart(ast.parse(source))) == []
