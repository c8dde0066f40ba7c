"""The handlers as the contract tests see them: their modules, task and result types."""

from __future__ import annotations

import functools
import importlib.util
import sys
import types
import typing
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import Any

from msgspec import Struct
from msgspec.structs import fields

DIRECTORY = Path(__file__).parents[2] / "lambda_functions"
FOLDERS = sorted(path.parent.name for path in DIRECTORY.glob("*/lambda_function.py"))
"""Named as the functions are deployed with the default NamePrefix."""

PREFIX = "aurora-restore-"


def folder_of(logical_id: str) -> str:
    """Return the folder of a function: SnapshotCheckFunction is in aurora-restore-snapshot-check."""
    words = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in logical_id)
    return PREFIX + words.removeprefix("-").removesuffix("-function")


@functools.cache
def load(folder: str) -> ModuleType:
    """Load the handler's module under a name of its own: all of them are called lambda_function."""
    name = folder.replace("-", "_")
    spec = importlib.util.spec_from_file_location(name, DIRECTORY / folder / "lambda_function.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(folder)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def task_type(folder: str, given: Collection[str]) -> type[Struct]:
    """Return the type of what the state machine passes to the handler in these fields."""
    return _contract(folder, given)[0]


def result_type(folder: str, given: Collection[str]) -> type[Struct]:
    """Return the type of what the handler returns to the state machine for these fields."""
    return _contract(folder, given)[1]


def _contract(folder: str, given: Collection[str]) -> tuple[type[Struct], type[Struct]]:
    """Return the task whose required fields are given, and its result: a handler of two names them in one order."""
    hints = typing.get_type_hints(load(folder).lambda_handler.__wrapped__)
    pairs = list(zip(_members(hints["task"]), _members(hints["return"]), strict=True))
    names = {name.removesuffix(".$") for name in given}
    fitting = [pair for pair in pairs if names >= {each.encode_name for each in fields(pair[0]) if each.required}]
    (found,) = pairs if len(pairs) == 1 else fitting
    return found


def _members(hint: Any) -> tuple[type[Struct], ...]:
    return typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
