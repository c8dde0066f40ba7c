"""What deploy.sh says of samconfig.toml before anything is built or made."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from scripts.deploy.parameters import given_parameters, problems, read_config
from scripts.deploy.place import PROJECT, TEMPLATE, Refused
from scripts.local_aws.cloudformation.template import read

DECLARED: dict[str, Any] = read(TEMPLATE.read_text())["Parameters"]
GOOD = {
    "SourceClusterId": "prod-orders",
    "TargetClusterId": "staging-orders-{date}",
    "VpcId": "vpc-00000000000000001",
    "SubnetIds": "subnet-00000000000000001,subnet-00000000000000002",
}


def test_what_a_first_deployment_needs_is_enough() -> None:
    assert problems(DECLARED, GOOD, {}) == []


def test_the_file_in_the_repository_has_all_that_has_no_default_and_nothing_is_wrong_once_it_is_filled_in() -> None:
    config = read_config(PROJECT / "samconfig.toml", "default")
    given = given_parameters(config)
    unfilled = {name for name in given if "Default" not in DECLARED[name]}
    assert unfilled == {name for name, rules in DECLARED.items() if "Default" not in rules}
    assert problems(DECLARED, given, {}) == [f"{name} is still to be filled in: {given[name]}" for name in sorted(GOOD)]
    assert problems(DECLARED, given | GOOD, {}) == []
    assert config["capabilities"] == "CAPABILITY_NAMED_IAM"


def test_the_example_for_cloudformations_other_tools_is_right() -> None:
    entries = json.loads((PROJECT / "infrastructure" / "parameters.json").read_text())
    assert problems(DECLARED, {each["ParameterKey"]: each["ParameterValue"] for each in entries}, {}) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Nonsense": "1"}, "Nonsense is no parameter of the template"),
        ({"PollSeconds": "301"}, "'PollSeconds' must be a number not greater than 300"),
        ({"ScheduleState": "ON"}, "'ScheduleState' must be one of AllowedValues"),
        ({"TargetClusterId": "Staging Orders"}, "'TargetClusterId' failed to satisfy constraint"),
        ({"NotificationEmail": "nobody"}, "'NotificationEmail' must match pattern"),
        ({"DataApi": "True"}, 'Put it in quotes: "true" or "false".'),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_its_name_and_itself(change: dict[str, str], words: str) -> None:
    (found,) = problems(DECLARED, GOOD | change, {})
    assert words in found
    assert next(iter(change.values())) in found or "Nonsense" in found


def test_everything_wrong_is_told_at_once() -> None:
    assert len(problems(DECLARED, {"Nonsense": "1", "PollSeconds": "0"}, {})) == 2 + len(GOOD)


def test_an_update_may_leave_out_what_the_stack_has() -> None:
    assert problems(DECLARED, {"InstanceCount": "2"}, GOOD) == []


CONFIG = """
[default.global.parameters]
stack_name = "ours"
region = "eu-central-1"
[default.deploy.parameters]
region = "eu-west-1"
[default.deploy.parameters.parameter_overrides]
SubnetIds = ["subnet-1", "subnet-2"]
InstanceCount = 2
DataApi = true
"""


def test_values_are_what_the_sam_cli_makes_of_them(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "samconfig.toml"
    path.write_text(CONFIG)
    config = read_config(path, "default")
    assert (config["stack_name"], config["region"]) == ("ours", "eu-west-1")
    assert given_parameters(config) == {"SubnetIds": "subnet-1,subnet-2", "InstanceCount": "2", "DataApi": "True"}
    with pytest.raises(Refused, match="no environment prod"):
        read_config(path, "prod")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is no TOML"),
        ('[default.deploy.parameters]\nparameter_overrides = "VpcId=vpc-1"', "has to be a table of its own"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: pathlib.Path, content: str, words: str) -> None:
    path = tmp_path / "samconfig.toml"
    path.write_text(content)
    with pytest.raises(Refused, match=words):
        given_parameters(read_config(path, "default"))
    with pytest.raises(Refused, match="--config-file FILE"):
        read_config(tmp_path / "none.toml", "default")
