"""Which masking policies a stack has, and which of them a request may have."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from scripts.checks.expansion import source
from tests.unit.places_in_roles import places_in_roles
from tests.unit.support import LIMITS
from utils.contracts.masking_policies import policy_locations, policy_problems
from utils.contracts.policy_locations import PolicyLocation
from utils.contracts.stack_limits import StackLimits

VERSION = "3HL4kqtJlcpXroDTDmJ"
TWO = f"staging=s3://company-policies/masking/staging.yaml?versionId={VERSION},drill=s3://b.c/d?versionId=null"
PATTERN = source()["Parameters"]["MaskingPolicies"]["AllowedPattern"]


def limits(text: str = TWO, *, required: bool = False) -> StackLimits:
    return replace(LIMITS, masking_policies=text, require_masking="true" if required else "false")


def test_each_policy_is_one_version_of_one_object() -> None:
    found = policy_locations(limits())
    assert found == {
        "staging": PolicyLocation(bucket="company-policies", key="masking/staging.yaml", version_id=VERSION),
        "drill": PolicyLocation(bucket="b.c", key="d", version_id="null"),
    }
    assert str(found["staging"]) == f"s3://company-policies/masking/staging.yaml?versionId={VERSION}"
    assert policy_locations(limits("")) == {}


@pytest.mark.parametrize(
    "text",
    [
        "staging=s3://bucket/key",  # the version is missing
        "staging=s3://bucket/key?versionId=",
        "staging=s3://bucket/*?versionId=v",  # IAM would take it for any object
        "staging=s3://bucket/k?y?versionId=v",
        "staging=s3://bucket/${aws:username}?versionId=v",
        "Staging=s3://bucket/key?versionId=v",
        "=s3://bucket/key?versionId=v",
        "staging=https://bucket/key?versionId=v",
    ],
)
def test_what_names_no_single_version_is_refused_while_deploying_and_is_none(text: str) -> None:
    assert not re.fullmatch(PATTERN, text)
    assert policy_locations(limits(text)) == {}


@pytest.mark.parametrize("parameter", ["MaskingPolicies", "VerificationPolicies"])
def test_the_template_takes_as_many_as_there_is_room_for_in_the_roles_policy(parameter: str) -> None:
    pattern = source()["Parameters"][parameter]["AllowedPattern"]
    one, most = f"p=s3://bucket/key?versionId={VERSION}", places_in_roles(parameter)
    assert re.fullmatch(pattern, ",".join([one] * most))
    assert not re.fullmatch(pattern, ",".join([one] * (most + 1)))
    assert re.fullmatch(pattern, "")


@pytest.mark.parametrize(
    ("name", "required", "said"),
    [
        ("staging", True, []),
        (None, False, []),
        ("", False, []),
        ("other", False, ["'other' is not one of this stack's masking policies: staging, drill."]),
        ("drill", False, ["which the next upload replaces"]),
        ("", True, ["this stack restores no cluster unmasked"]),
        (None, True, ["this stack restores no cluster unmasked"]),
    ],
)
def test_a_request_has_one_of_the_stacks_policies(name: str | None, required: bool, said: list[str]) -> None:
    found = list(policy_problems(limits(required=required), name))
    assert len(found) == len(said)
    for problem, words in zip(found, said, strict=True):
        assert problem.startswith("masking_policy: ")
        assert words in problem
