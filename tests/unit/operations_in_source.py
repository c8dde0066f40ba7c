"""Which operations of AWS the deployed code calls, read from its source.

Generous on purpose: an operation counts as called when any name, attribute or text in the code is that of its method.
So describe_db_clusters handed on as a function counts as well as get_paginator("describe_db_clusters"), and a new call
can't be overlooked.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import botocore.session
from botocore import xform_name
from botocore.model import OperationModel

ROOT = Path(__file__).parents[2]


@functools.cache
def operations_in_source() -> tuple[OperationModel, ...]:
    """Return them in the order of services and names. A client of a service that botocore lacks raises its error."""
    trees = [ast.parse(path.read_text()) for path in ROOT.glob("utils/**/*.py")]
    trees += [ast.parse(path.read_text()) for path in ROOT.glob("lambda_functions/*/*.py")]
    words = {word for tree in trees for word in _words(tree)}
    services = {service for tree in trees for service in _services(tree)}
    session = botocore.session.get_session()
    models = [session.get_service_model(service) for service in sorted(services)]
    return tuple(
        model.operation_model(name) for model in models for name in model.operation_names if xform_name(name) in words
    )


def _services(tree: ast.Module) -> Iterator[str]:
    """Clients are made by client("rds"), client_of("rds", ...): mypy lets nothing but literals pass there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and _called(node).startswith("client"):
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


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
