"""Parameters: each is used, each stands in the console's form, and the example file fits."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from scripts.checks.expansion import INFRASTRUCTURE, TEMPLATE, source

PARAMETERS: dict[str, dict[str, Any]] = source()["Parameters"]
EXAMPLE: dict[str, str] = {
    each["ParameterKey"]: each["ParameterValue"]
    for each in json.loads((INFRASTRUCTURE / "parameters.json").read_text())
}


def test_every_parameter_is_used() -> None:
    text = TEMPLATE.read_text()
    body = text[text.index("\nConditions:") :]
    assert [name for name in PARAMETERS if not re.search(rf"\b{name}\b", body)] == []


def test_every_parameter_has_its_place_in_the_consoles_form() -> None:
    groups = source()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    placed = [name for group in groups for name in group["Parameters"]]
    assert sorted(placed) == sorted(PARAMETERS)


def test_every_parameter_says_what_it_is_for() -> None:
    assert [name for name, each in PARAMETERS.items() if not each.get("Description")] == []


def test_the_example_names_no_parameter_that_is_not_declared() -> None:
    assert set(EXAMPLE) <= set(PARAMETERS)


def test_the_example_gives_every_parameter_that_has_no_default() -> None:
    assert {name for name, each in PARAMETERS.items() if "Default" not in each} <= set(EXAMPLE)


@pytest.mark.parametrize("name", PARAMETERS)
def test_defaults_and_examples_are_values_that_the_parameter_takes(name: str) -> None:
    rules = PARAMETERS[name]
    for value in [str(rules["Default"])] if "Default" in rules else []:
        assert taken(value, rules)
    if name in EXAMPLE:
        assert taken(EXAMPLE[name], rules)


def taken(value: str, rules: dict[str, Any]) -> bool:
    if "AllowedValues" in rules and value not in map(str, rules["AllowedValues"]):
        return False
    if "AllowedPattern" in rules and not re.fullmatch(rules["AllowedPattern"], value):
        return False
    return rules["Type"] != "Number" or float(rules.get("MinValue", value)) <= float(value) <= float(
        rules.get("MaxValue", value)
    )
