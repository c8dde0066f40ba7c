"""The page of deletions: each place that it names exists, and each rule of the code is on it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from scripts.checks.expansion import source as template

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "documentation" / "architecture" / "deletions.md"
TEXT = PAGE.read_text()
# Where it is decided that a cluster may be deleted. What they offer to others is a rule.
DECIDING = (
    "utils/planning/deletion.py",
    "utils/planning/replaced_deletion.py",
    "utils/preflight/deletion.py",
    "utils/steps/deletion_proof.py",
    "utils/expiry/final_snapshot.py",
    "utils/expiry/due.py",
)
RULE = re.compile(r"prove_\w+|deletable_\w+|why_\w+|\w+_problems|\w+_obstacles|decide")


def functions_of(path: str) -> set[str]:
    """Return the names of a module's own functions."""
    tree = ast.parse((ROOT / path).read_text())
    return {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


def test_every_place_that_it_names_exists() -> None:
    """A function that follows its module in brackets is there; one that stands alone is in one of them."""
    named = re.findall(r"`(utils/\S+\.py)`(?: \(([^)]*)\))?", TEXT)
    assert {path for path, _ in named} >= set(DECIDING)
    everywhere: set[str] = set()
    for path, listed in named:
        found = functions_of(path)
        everywhere |= found
        missing = set(re.findall(r"`(\w+)`", listed)) - found
        assert not missing, f"{path} has no {sorted(missing)}"
    for name in re.findall(r"`(\w+)`", TEXT):
        if RULE.fullmatch(name):
            assert name in everywhere, f"{name} is in no module that {PAGE.name} names"


@pytest.mark.parametrize("path", DECIDING)
def test_every_rule_is_on_it(path: str) -> None:
    rules = {name for name in functions_of(path) if not name.startswith("_") and RULE.fullmatch(name)}
    assert rules, f"{path} decides nothing any longer"
    missing = {name for name in rules if f"`{name}`" not in TEXT}
    assert not missing, f"{path}: give {sorted(missing)} their rows in {PAGE}"


def test_states_and_parameters_that_it_names_exist() -> None:
    states = set(re.findall(r"^  (\S[^:\n]*):$", (ROOT / "infrastructure" / "state_machine.yaml").read_text(), re.M))
    named = re.findall(r"the state `([^`]+)`", TEXT)
    assert named
    assert set(named) <= states
    parameters = re.findall(r"`((?:Deletable|Allow)\w+)`", TEXT)
    assert parameters
    assert set(parameters) <= set(template()["Parameters"])
