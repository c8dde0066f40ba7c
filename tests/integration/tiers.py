"""Which of many cases run before a commit, and which only before a change lands: tests/README.md."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import pytest


def one_and_the_rest(cases: Iterable[Any], one: Any = None) -> list[Any]:
    """Return the cases of a parametrized test: one of them, or the first, in every tier, its siblings in full."""
    cases = list(cases)
    chosen = cases[0] if one is None else one
    return [_case(case, in_full_only=case != chosen) for case in cases]


def one_of_each_kind(cases: Iterable[Any], kind: Callable[[Any], Hashable]) -> list[Any]:
    """Return the cases of a parametrized test: the first of each kind in every tier, its siblings in full."""
    seen = set[Hashable]()
    found = []
    for case in cases:
        found.append(_case(case, in_full_only=kind(case) in seen))
        seen.add(kind(case))
    return found


def _case(case: Any, *, in_full_only: bool) -> Any:
    return pytest.param(
        *(case if isinstance(case, tuple) else (case,)), marks=[pytest.mark.full] if in_full_only else []
    )
