"""Least privilege from its other side: without any single grant, some run of these tests would have failed.

The embedded AWS refuses every call that no statement allows; so had an action not been granted, the run that needed it
would have failed. Here is asked of every grant whether a run needed it, and whether it rested on this grant alone: what
a second one allows as well can be taken away unnoticed. It stands last, since it looks back on all tests before it.

A run whose refused call is caught (an account that doesn't trust us, a thing that can't be taken back) doesn't fail by
itself. Their tests look at what the run leaves and says: planning/test_route.py, test_failures.py, test_resume.py.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.checks.expansion import translated
from scripts.checks.handlers import FOLDERS
from scripts.checks.policies import as_list
from scripts.local_aws.cloudformation import template
from scripts.local_aws.server import LocalAws
from scripts.local_run.routes import ROLE_TEMPLATE
from scripts.local_run.stage import Stage

Grant = tuple[str, str, str]
"""Role's logical id, statement's label, action."""

# Roles that write no secret and publish nothing: what they use the stack's key for is the tables alone.
TABLES_ALONE = (
    "ArchiveSnapshotRole",
    "CheckCopyStatusRole",
    "CheckDeleteStatusRole",
    "CheckRestoreStatusRole",
    "CopySnapshotRole",
    "DeleteRdsRole",
    "OpenClusterRole",
)
# Grants that no run here needs, and why they stand: by action, or with the role, or with role and statement before it.
NOT_ASKED_HERE = {
    "ec2:AssignPrivateIpAddresses": "no network interface is attached here; Lambda's documentation asks for it",
    "ec2:DescribeSubnets": "as above",
    "ec2:UnassignPrivateIpAddresses": "as above",
    "DeleteRdsRole rds:AddTagsToResource": "AWS names it as a dependent action of DeleteDBCluster",
    "xray:PutTelemetryRecords": "traces are not sent here",
    "xray:PutTraceSegments": "traces are not sent here",
    "xray:GetSamplingRules": "traces are not sent here",
    "xray:GetSamplingTargets": "traces are not sent here",
    **{
        f"{role} StatePolicy#UseTheStacksKey kms:GenerateDataKey": "DynamoDB's documentation has it among the least "
        "that a table's key must allow, and doesn't say for which calls; here they need kms:Decrypt alone"
        for role in TABLES_ALONE
    },
}


SOURCE_ROLE = "SourceAccountRole"
"""The one of source-account-role.yaml, whose id there is just Role."""


def roles() -> dict[str, dict[str, Any]]:
    """The properties of every role, of both templates."""
    own = {name: each for name, each in translated()["Resources"].items() if each["Type"] == "AWS::IAM::Role"}
    others = {SOURCE_ROLE: template.read(ROLE_TEMPLATE.read_text())["Resources"]["Role"]}
    return {name: each["Properties"] for name, each in (own | others).items()}


def policies_of(role: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Its own, and those that it shares with others."""
    for policy in role["Policies"]:
        yield policy["PolicyName"], policy["PolicyDocument"]
    for arn in role.get("ManagedPolicyArns", []):
        yield arn["Ref"], translated()["Resources"][arn["Ref"]]["Properties"]["PolicyDocument"]


def granted() -> Iterator[Grant]:
    """Everything that the templates allow."""
    for name, role in roles().items():
        for policy, document in policies_of(role):
            for statement in document["Statement"]:
                statement = statement["Fn::If"][1] if "Fn::If" in statement else statement
                if statement["Effect"] == "Allow":
                    for action in as_list(statement["Action"]):
                        yield name, f"{policy}#{statement['Sid']}", action


def exceptions_for(grant: Grant) -> set[str]:
    role, label, action = grant
    return {action, f"{role} {action}", f"{role} {label} {action}"} & set(NOT_ASKED_HERE)


def label_of(statement: str) -> str:
    """As the template has it: CloudFormation names a managed policy STACK-LogicalId-SUFFIX."""
    return re.sub(r"^.+-(\w+)-[0-9A-Z]+#", r"\1#", statement)


def name_of(role: dict[str, Any]) -> str:
    """What all of the role's names have in common, whatever stack and region they are of."""
    name = role["RoleName"]
    return str(name["Fn::Sub"]).split("${NamePrefix}-")[1].split("-${")[0] if "Fn::Sub" in name else "restore-source"


@pytest.fixture(scope="module")
def needed(request: pytest.FixtureRequest, aws: LocalAws) -> set[Grant]:
    """The grants on which, each alone, some call of the runs before rested; the roles of all stacks are one."""
    here = pathlib.Path(__file__).parent
    files = {path.name for path in here.glob("test_*.py")}
    seen = {item.path.name for item in request.session.items if item.path.parent == here}
    if seen != files:
        pytest.skip("only a run of this whole folder uses everything that is granted")
    names = {logical_id: name_of(role) for logical_id, role in roles().items()}
    return {
        (logical_id, label_of(decision.statement), decision.action)
        for decision in aws.permissions.used
        for logical_id, name in names.items()
        if decision.alone and re.search(rf"-{name}(-[a-z]+-[a-z]+-\d)?$", decision.role_arn)
    }


def test_without_any_single_grant_some_run_would_have_failed(needed: set[Grant]) -> None:
    assert [grant for grant in granted() if grant not in needed and not exceptions_for(grant)] == []


def test_the_exceptions_are_of_what_is_granted_and_no_run_needed_them(needed: set[Grant]) -> None:
    used = {each: {grant for grant in granted() if each in exceptions_for(grant)} for each in NOT_ASKED_HERE}
    assert {each: grants for each, grants in used.items() if not grants or grants & needed} == {}


@pytest.mark.usefixtures("needed")
def test_every_function_has_written_its_log(aws: LocalAws, place: Stage) -> None:
    """Lambda says nothing of a log that it may not write: no run fails for it."""
    logs = aws.client("logs")
    groups = [name for name in place.stack.resources.values() if name.startswith("/aws/lambda/")]
    assert len(groups) == len(FOLDERS)
    assert [name for name in groups if not logs.filter_log_events(logGroupName=name)["events"]] == []
