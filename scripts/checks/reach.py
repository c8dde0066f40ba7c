"""The reach of a handler's code: calls of AWS, and variables of its environment. Read from the source, not run.

From the handler on, every function, class and method that is mentioned is followed through utils. Methods are known by
name alone: `x.cluster()` reaches every method of that name in the modules that the handler imports, directly or not.
So the answer may hold too much, never too little, as long as clients are made by `client("<service>")`.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import boto3

from scripts.checks.handlers import DIRECTORY

UTILS = Path(__file__).parents[2] / "utils"
_ENVIRONMENT_READERS = {
    f"{module}{name}" for module in ("environment.", "") for name in ("optional", "text", "whole_number")
}


class Definition(NamedTuple):
    """A function, method or class of a module."""

    module: str
    name: str
    node: ast.AST
    is_method: bool
    is_property: bool


class Reached(NamedTuple):
    """The calls and variables that a handler's code can reach."""

    variables: frozenset[str]
    places: frozenset[tuple[str, str]]
    """Each call with a function that makes it, such as ("rds:CopyDBClusterSnapshot", "aurora_utils.copy_snapshot")."""


@functools.cache
def reached(folder: str) -> Reached:
    """Return all that a handler's code mentions, and all that this mentions in turn."""
    entry = ast.parse((DIRECTORY / folder / "lambda_function.py").read_text())
    modules = _imported_modules(entry)
    known = [definition for module in modules for definition in _definitions(module)]
    variables, places = set[str](), set[tuple[str, str]]()
    seen = set[int]()
    # A module's own statements run when it is imported.
    new: list[tuple[str, ast.AST]] = [("", entry), *((module, each) for module in modules for each in _loose(module))]
    while new:
        module, node = new.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        made = _aws_calls(node, _clients(_tree(module) if module else entry))
        places |= {(call, f"{module or 'lambda_function'}.{getattr(node, 'name', '')}") for call in made}
        variables |= set(_variables(node))
        mentioned = _mentioned_in(node)
        new.extend((each.module, each.node) for each in known if mentioned.includes(each))
    return Reached(frozenset(variables), frozenset(places))


@functools.cache
def _tree(module: str) -> ast.Module:
    return ast.parse(source_of(module).read_text())


def source_of(module: str) -> Path:
    """Return the file of a module of utils, such as "state.lock", or of a package, such as "aurora_utils"."""
    path = UTILS.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imported_modules(entry: ast.Module) -> list[str]:
    found, new = [], [entry]
    while new:
        for module in imports(new.pop()):
            if module not in found:
                found.append(module)
                new.append(_tree(module))
    return found


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield the modules of utils that a module imports, with the packages on their way, whose own code runs as well.

    What only a type checker imports is in an `if` and is skipped.
    """
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] != "utils":
            continue
        names = (node.module or "").split(".")[1:]
        for depth in range(1, len(names) + 1):
            yield ".".join(names[:depth])
        for alias in node.names:
            module = ".".join([*names, alias.name])
            if source_of(module).exists():
                yield module


@functools.cache
def _definitions(module: str) -> list[Definition]:
    found = []
    for node in _tree(module).body:
        if isinstance(node, ast.FunctionDef):
            found.append(Definition(module, node.name, node, is_method=False, is_property=False))
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    own = "property" in {each.id for each in method.decorator_list if isinstance(each, ast.Name)}
                    # Making an object runs its __init__, so that stands under the class's name.
                    name, is_method = (node.name, False) if method.name == "__init__" else (method.name, True)
                    found.append(Definition(module, name, method, is_method, is_property=own))
    return found


def _loose(module: str) -> Iterator[ast.AST]:
    kept = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.If)
    return (node for node in _tree(module).body if not isinstance(node, kept))


class _Mentioned(NamedTuple):
    """The names that stand in a piece of code."""

    called: set[str]
    """The names that are called as methods: x.name()."""
    attributes: set[str]
    plain: set[str]
    """Without those of a function's own parameters, which are no function of a module in it."""

    def includes(self, definition: Definition) -> bool:
        name = definition.name
        if definition.is_method and not definition.is_property:
            return name in self.called
        return name in self.attributes or (not definition.is_method and name in self.plain)


@functools.cache
def _mentioned_in(node: ast.AST) -> _Mentioned:
    found = _Mentioned(set(), set(), set())
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute):
            found.called.add(each.func.attr)
        elif isinstance(each, ast.Attribute):
            found.attributes.add(each.attr)
        elif isinstance(each, ast.Name):
            found.plain.add(each.id)
    if isinstance(node, ast.FunctionDef):
        own = node.args
        ours = (*own.posonlyargs, *own.args, *own.kwonlyargs, own.vararg, own.kwarg)
        parameters = {each.arg for each in ours if each is not None}
        # Decorators and defaults are evaluated outside.
        outside = {each.id for part in (node.args, *node.decorator_list) for each in _names(part)}
        found.plain.difference_update(parameters - outside)
    return found


def _names(node: ast.AST) -> Iterator[ast.Name]:
    return (each for each in ast.walk(node) if isinstance(each, ast.Name))


def _service_of(node: ast.AST) -> str | None:
    """Return the service of a `client("...")` anywhere in an expression."""
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "client" and each.args:
            first = each.args[0]
            if isinstance(first, ast.Constant):
                return str(first.value)
    return None


@functools.cache
def _clients(tree: ast.Module) -> dict[str, str]:
    """Return the attributes of a module's classes that hold a client, with its service."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                service = _service_of(node.value)
                if service and isinstance(target, ast.Attribute):
                    found[target.attr] = service
    return found


def _aws_calls(node: ast.AST, clients: dict[str, str]) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute):
            owner = each.func.value
            service = clients.get(owner.attr) if isinstance(owner, ast.Attribute) else None
            service = service or (_service_of(owner) if isinstance(owner, ast.Call) else None)
            if service:
                method = each.func.attr
                if method == "get_paginator":
                    (named,) = each.args
                    method = str(named.value) if isinstance(named, ast.Constant) else method
                yield f"{service}:{_operations(service)[method]}"


@functools.cache
def _operations(service: str) -> dict[str, str]:
    made = boto3.Session(region_name="eu-central-1").client(service)  # type: ignore[call-overload]  # any service
    return dict(made.meta.method_to_api_mapping)


def _variables(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Subscript) and ast.unparse(each.value) == "os.environ":
            yield str(ast.literal_eval(each.slice))
        elif isinstance(each, ast.Call) and ast.unparse(each.func) in _ENVIRONMENT_READERS:
            # Inside utils.environment a reader passes its own argument on; that is no variable's name.
            yield from (str(argument.value) for argument in each.args if isinstance(argument, ast.Constant))
