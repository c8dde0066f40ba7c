"""Rules on what is deployed that import-linter can't see: handlers live in folders with hyphens, SQL in texts."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator

import pytest

from scripts.checks.handlers import DIRECTORY, FOLDERS
from scripts.checks.reach import UTILS, imports, source_of

PAGE = 60
FORBIDDEN = {"boto3", "botocore", "lambda_functions", "moto", "os", "psycopg2", "scripts", "tests"}
"""What a handler leaves to utils, or must never need: SDK and driver, its environment, other handlers, development."""


def tree(folder: str) -> ast.Module:
    return ast.parse((DIRECTORY / folder / "lambda_function.py").read_text())


def imported(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Import):
            yield from (alias.name for alias in each.names)
        elif isinstance(each, ast.ImportFrom):
            yield each.module or "."


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_handler_imports_utils_and_no_sdk_no_driver_and_no_other_handler(folder: str) -> None:
    packages = {name.split(".")[0] for name in imported(tree(folder))}
    assert not packages & FORBIDDEN
    assert packages <= {"functools", "msgspec", "utils"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_handler_is_one_file_of_one_page(folder: str) -> None:
    files = [path.name for path in (DIRECTORY / folder).iterdir() if path.name != "__pycache__"]
    assert files == ["lambda_function.py"]
    assert len((DIRECTORY / folder / "lambda_function.py").read_text().splitlines()) <= PAGE


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_handler_is_the_step_of_its_folders_name(folder: str) -> None:
    """Logs, metrics, state and audit speak of the step by this name."""
    (handler,) = [
        node for node in tree(folder).body if isinstance(node, ast.FunctionDef) and node.name == "lambda_handler"
    ]
    (decorator,) = handler.decorator_list
    assert isinstance(decorator, ast.Call)
    assert ast.literal_eval(decorator.args[0]) == folder.removeprefix("aurora-restore-")


def test_only_the_steps_that_talk_sql_reach_the_driver() -> None:
    """It costs every other cold start what only two of them need."""

    @functools.cache
    def read(module: str) -> tuple[bool, frozenset[str]]:
        return talks_and_imports(ast.parse(source_of(module).read_text()))

    def talks_and_imports(node: ast.Module) -> tuple[bool, frozenset[str]]:
        return any(name.split(".")[0] == "psycopg2" for name in imported(node)), frozenset(imports(node))

    def reaches(talks: bool, modules: frozenset[str], seen: set[str]) -> bool:
        new = modules - seen
        seen |= new
        return talks or any(reaches(*read(module), seen) for module in sorted(new))

    assert [folder for folder in FOLDERS if reaches(*talks_and_imports(tree(folder)), set())] == [
        "aurora-restore-check-swap",
        "aurora-restore-setup-db-users",
        "aurora-restore-transform-data",
        "aurora-restore-verify-data",
    ]


def test_no_two_public_classes_of_utils_share_a_name() -> None:
    """Who reads a name somewhere else has to find the one class that it means."""
    places: dict[str, list[str]] = {}
    for path in sorted(UTILS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(f"{path.relative_to(UTILS)}:{node.lineno}")
    assert len(places) > 100
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
