"""The page on masking shows a policy that can be read, and lists what there is."""

from __future__ import annotations

import re
from pathlib import Path

from tests.unit.support import ROOT
from utils.masking.actions import ACTIONS, name_of
from utils.masking.policy import KEEPABLE_TYPES, Action, Each, Json
from utils.masking.reading import read_policy

PAGE = Path(ROOT, "documentation/implementation_guide/masking.md").read_text()
EXAMPLE = PAGE.split("<!-- example -->\n```yaml\n")[1].split("```")[0]


def all_of(action: Action) -> list[Action]:
    if isinstance(action, Each):
        return [action, *all_of(action.action)]
    return [action, *(path.action for path in action.paths)] if isinstance(action, Json) else [action]


def test_the_example_is_a_policy_that_shows_every_action() -> None:
    (rules,) = read_policy(EXAMPLE).databases
    shown = {name_of(each) for rule in rules.columns for each in all_of(rule.action)}
    assert shown == {*ACTIONS}
    assert rules.sql
    assert rules.checks
    assert rules.tables


def test_the_table_of_actions_has_every_action() -> None:
    table = PAGE.split("## Actions")[1].split("\n## ")[0]
    assert {*re.findall(r"^\| `([a-z_]+)", table, re.MULTILINE)} == {*ACTIONS}


def test_the_page_names_the_types_that_can_be_kept() -> None:
    sentence = PAGE.split("Types that can be kept in this way are")[1].split(". ")[0]
    assert re.findall(r"`([a-z ]+)`", sentence) == [*KEEPABLE_TYPES]
