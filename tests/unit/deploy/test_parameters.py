"""What deploy.sh says of a parameter file before anything is built or made."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from scripts.deploy.aws_cli import PROJECT, Refused
from scripts.deploy.packages import TEMPLATE
from scripts.deploy.parameters import problems, read_parameters, still_the_examples
from scripts.local_aws.cloudformation.template import read

DOCUMENT: dict[str, Any] = read(TEMPLATE.read_text())
GOOD = {
    "SourceClusterId": "prod-orders",
    "TargetClusterId": "staging-orders-{date}",
    "VpcId": "vpc-00000000000000001",
    "SubnetIds": "subnet-00000000000000001,subnet-00000000000000002",
}


def test_what_a_first_deployment_needs_is_enough() -> None:
    assert problems(DOCUMENT, GOOD, new=True) == []


def test_the_example_is_right_but_for_what_only_the_reader_knows() -> None:
    example = read_parameters(PROJECT / "infrastructure" / "parameters.json")
    assert problems(DOCUMENT, example, new=True) == []
    assert sorted(each.split()[0] for each in still_the_examples(example)) == ["SubnetIds", "VpcId"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Nonsense": "1"}, "Nonsense is no parameter of the template"),
        ({"PollSeconds": "301"}, "'PollSeconds' must be a number not greater than 300"),
        ({"ScheduleState": "ON"}, "'ScheduleState' must be one of AllowedValues"),
        ({"TargetClusterId": "Staging Orders"}, "'TargetClusterId' failed to satisfy constraint"),
        ({"NotificationEmail": "nobody"}, "'NotificationEmail' must match pattern"),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_its_name_and_itself(change: dict[str, str], words: str) -> None:
    (found,) = problems(DOCUMENT, GOOD | change, new=True)
    assert words in found
    assert next(iter(change.values())) in found or "Nonsense" in found


def test_everything_wrong_is_told_at_once() -> None:
    assert len(problems(DOCUMENT, {"Nonsense": "1", "PollSeconds": "0"}, new=True)) == 2 + len(GOOD)


def test_an_update_may_leave_out_what_the_stack_has() -> None:
    assert problems(DOCUMENT, {"InstanceCount": "2"}, new=False) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not of the form"),
        ('{"VpcId": "vpc-1"}', "is not of the form"),
        (json.dumps([{"ParameterKey": "VpcId", "ParameterValue": "a"}] * 2), "gives VpcId twice"),
    ],
)
def test_a_file_of_another_form_is_refused_with_the_right_one(tmp_path: pathlib.Path, content: str, words: str) -> None:
    path = tmp_path / "parameters.json"
    path.write_text(content)
    with pytest.raises(Refused, match=words):
        read_parameters(path)


def test_a_file_that_is_not_there_is_told_with_where_to_begin(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Refused, match=r"Copy infrastructure/parameters\.json"):
        read_parameters(tmp_path / "none.json")
