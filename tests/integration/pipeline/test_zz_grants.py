"""Least privilege from its other side: whatever a role may do, some run of these tests needed.

The embedded AWS refuses every call that no statement allows; so had an action not been granted, the run that needed it
would have failed. Here is asked which grants no run needed. It stands last, since it looks back on all tests before it.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from scripts.checks.expansion import translated
from scripts.checks.policies import as_list
from scripts.local_aws.server import LocalAws

# Asked for by AWS, and not by the embedded one: statement or action, and why.
NOT_ASKED_HERE = {
    "xray:PutTelemetryRecords": "traces are not sent here",
    "xray:PutTraceSegments": "traces are not sent here",
    "xray:GetSamplingRules": "traces are not sent here",
    "xray:GetSamplingTargets": "traces are not sent here",
}


def granted() -> Iterator[tuple[str, str, str]]:
    """Role's logical id, statement's label, action: everything that the template allows."""
    resources = translated()["Resources"]
    for role, each in resources.items():
        if each["Type"] != "AWS::IAM::Role":
            continue
        documents = [(policy["PolicyName"], policy["PolicyDocument"]) for policy in each["Properties"]["Policies"]]
        for policy, document in documents:
            for statement in document["Statement"]:
                statement = statement["Fn::If"][1] if "Fn::If" in statement else statement
                if statement["Effect"] == "Allow":
                    for action in as_list(statement["Action"]):
                        yield role, f"{policy}#{statement['Sid']}", action


@pytest.fixture(scope="module")
def needed(request: pytest.FixtureRequest, aws: LocalAws) -> set[tuple[str, str, str]]:
    """What the runs before needed, by the same names; the roles of all stacks are one."""
    here = pathlib.Path(__file__).parent
    files = {path.name for path in here.glob("test_*.py")}
    seen = {item.path.name for item in request.session.items if item.path.parent == here}
    if seen != files:
        pytest.skip("only a run of this whole folder uses everything that is granted")
    names = {
        role: each["Properties"]["RoleName"]["Fn::Sub"].split("${NamePrefix}-")[1].split("-${")[0]
        for role, each in translated()["Resources"].items()
        if each["Type"] == "AWS::IAM::Role"
    }
    return {
        (role, decision.statement, decision.action)
        for decision in aws.permissions.used
        for role, name in names.items()
        if f"-{name}-" in decision.role_arn
    }


def test_every_grant_was_needed_by_some_run(needed: set[tuple[str, str, str]]) -> None:
    unused = [grant for grant in granted() if grant not in needed and grant[2] not in NOT_ASKED_HERE]
    assert unused == []
