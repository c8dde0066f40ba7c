"""Which services and operations of AWS the deployed code can call, read from its source.

Generous on purpose: an operation counts as called when any name, attribute or text in the code is that of its method.
So describe_db_clusters handed on as a function counts as well as get_paginator("describe_db_clusters"), and what is
kept in vain costs some kilobytes. What can't be read from the source is refused: services are literals in
`client("...")`, and waiters aren't used (a Lambda function that waits is paid for waiting).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

CLIENT_MAKER = "aws.py"
"""The module whose `client` hands its argument on to the SDK."""


class Mentioned(NamedTuple):
    """What the code says, before it is held against the SDK's models."""

    services: frozenset[str]
    words: frozenset[str]


class UnreadableCall(Exception):
    """The source doesn't say what is called."""


def mentioned(sources: Iterable[Path]) -> Mentioned:
    services, words = set[str](), set[str]()
    for path in sources:
        tree = ast.parse(path.read_text())
        services |= set(_services(tree, path))
        words |= set(_words(tree))
    if "get_waiter" in words:
        raise UnreadableCall("The layer ships no waiters, but get_waiter is called. Let the state machine wait.")
    return Mentioned(frozenset(services), frozenset(words))


def method_name(operation: str) -> str:
    """The client's method of an operation, as botocore.xform_name has it: DescribeDBClusters, describe_db_clusters.

    Held against botocore itself by the tests.
    """
    name = re.sub(r"[A-Z]{2,}s$", lambda found: f"_{found[0].lower()}", operation)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z\d])([A-Z])", r"\1_\2", name).lower()


def _services(tree: ast.Module, path: Path) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not _called(node).startswith("client"):
            continue
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value
        elif path.name != CLIENT_MAKER:
            raise UnreadableCall(f'{path}:{node.lineno}: name the service where its client is made: client("rds", ...)')


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _words(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
