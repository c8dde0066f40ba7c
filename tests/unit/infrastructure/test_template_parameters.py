"""Parameters: each is used, each stands in the console's form, and the example file fits."""

from __future__ import annotations

import json
import re
from typing import Any, Literal, get_args, get_origin

import pytest

from scripts.checks.expansion import INFRASTRUCTURE, TEMPLATE, source
from tests.setting_values import as_text
from utils.contracts.settings import SETTINGS, Setting
from utils.request.fields import FIELDS

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


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda each: str(each.name))
def test_each_setting_has_a_parameter_that_takes_its_values(setting: Setting) -> None:
    """And no others, where the field of the request names them all."""
    name = setting.parameter_of_the_stack
    assert name in PARAMETERS, f"give the template its parameter {name}, in the console's form as well"
    rules = PARAMETERS[name]
    assert taken(as_text(setting.name), rules)
    (kind,) = [each for each in get_args(get_args(FIELDS[setting.name].type)[0]) if each is not type(None)]
    if get_origin(kind) is Literal:
        assert {*map(str, rules["AllowedValues"])} - {""} == set(get_args(kind))
    for number in setting.limits or ():
        assert taken(str(number), rules)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda each: str(each.name))
def test_each_settings_parameter_reaches_the_function_that_reads_the_request(setting: Setting) -> None:
    variables = source()["Resources"]["SnapshotCheckFunction"]["Properties"]["Environment"]["Variables"]
    text, named = variables["REQUEST_DEFAULTS"]["Fn::Sub"]
    found = re.findall(rf"^{setting.name}=\$\{{(\w+)\}}$", text, re.MULTILINE)
    assert len(found) == 1, f"give {setting.name} its line in the template's REQUEST_DEFAULTS"
    (value,) = found
    assert setting.parameter_of_the_stack in json.dumps(named.get(value, value))


def taken(value: str, rules: dict[str, Any]) -> bool:
    if "AllowedValues" in rules and value not in map(str, rules["AllowedValues"]):
        return False
    if "AllowedPattern" in rules and not re.fullmatch(rules["AllowedPattern"], value):
        return False
    return rules["Type"] != "Number" or float(rules.get("MinValue", value)) <= float(value) <= float(
        rules.get("MaxValue", value)
    )
