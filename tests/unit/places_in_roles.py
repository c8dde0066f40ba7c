"""How many entries of a parameter that is a list the template gives a place in a role's policy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.checks.expansion import source


def places_in_roles(parameter: str) -> int:
    """Return how many entries the roles that read them have room for: each picks out the same ones, from the first."""
    found = {name: set(_picked_out(each, parameter)) for name, each in source()["Resources"].items()}
    (picked,) = {tuple(sorted(each)) for each in found.values() if each}
    assert picked == tuple(range(len(picked)))
    return len(picked)


def _picked_out(value: Any, parameter: str) -> Iterator[int]:
    """Yield the number of each entry that a part of the template selects from the list, which it may repeat."""
    match value:
        case {"Fn::Select": [int(number), {"Fn::Split": [",", {"Fn::Sub": str(text)}]}]} if f"${{{parameter}}}" in text:
            yield number
        case dict():
            for each in value.values():
                yield from _picked_out(each, parameter)
        case list():
            for each in value:
                yield from _picked_out(each, parameter)
