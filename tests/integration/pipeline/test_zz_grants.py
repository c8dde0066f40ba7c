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

# Grants that no run here needs: by action, or by role and action where it is one role's alone; and why they stand.
NOT_ASKED_HERE = {
    "ec2:AssignPrivateIpAddresses": "no network interface is attached here; Lambda's documentation asks for it",
    "ec2:DescribeSubnets": "as above",
    "ec2:UnassignPrivateIpAddresses": "as above",
    "ScheduleRole states:StartExecution": "schedules don't fire here",
    "ScheduleRole sqs:SendMessage": "schedules don't fire here",
    "DeleteRdsRole rds:AddTagsToResource": "AWS names it as a dependent action of DeleteDBCluster",
    # What brings these about is tested at a lower layer, with fakes.
    "SnapshotCheckRole rds:DescribeDBParameters": "only where a quarantined restore names an instance group of its own",
    "SnapshotCheckRole dynamodb:DeleteItem": "only where a run is refused after it has taken the lock",
    "CopySnapshotRole rds:DescribeAccountAttributes": "only where RDS refuses a copy for a quota",
    "ArchiveSnapshotRole sts:AssumeRole": "only where something is left to take back at a run's end",
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
    reasoned = {grant for grant in granted() if {grant[2], f"{grant[0]} {grant[2]}"} & set(NOT_ASKED_HERE)}
    unused = [grant for grant in granted() if grant not in needed | reasoned]
    assert unused == []
