"""Least privilege from its other side: without any single grant, some whole run would have failed.

The embedded AWS refuses every call that no statement allows; so had an action not been granted, the run that needed it
would have failed. Here is asked of every grant whether a run needed it, and whether it rested on this grant alone: what
a second one allows as well can be taken away unnoticed. It looks back on all tests of this folder: each session of them
leaves a record (conftest.py), in whatever order it ran them, and whatever part of them.

    GRANTS_USED=DIRECTORY .venv/bin/python -m pytest -m "not series" tests/integration/pipeline
    .venv/bin/python -m tests.integration.pipeline.grants DIRECTORY

A run whose refused call is caught (an account that doesn't trust us, a thing that can't be taken back) doesn't fail by
itself. Their tests look at what the run leaves and says: planning/test_route.py, test_failures.py, test_resume.py.
"""

from __future__ import annotations

import pathlib
import re
import sys
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from scripts.checks.expansion import translated
from scripts.checks.handlers import FOLDERS
from scripts.checks.policies import as_list
from scripts.local_aws.cloudformation import template
from scripts.local_aws.iam.gate import Decision
from scripts.local_run.routes import ROLE_TEMPLATE

HERE = pathlib.Path(__file__).parent
Grant = tuple[str, str, str]
"""Role's logical id, statement's label, action."""

# Roles that write no secret's value and publish nothing: what they use the stack's key for is the tables alone.
TABLES_ALONE = (
    "ArchiveSnapshotRole",
    "CheckCopyStatusRole",
    "CheckSwapRole",
    "SwapClusterRole",
    "CheckDeleteStatusRole",
    "CheckRestoreStatusRole",
    "CopySnapshotRole",
    "DeleteRdsRole",
    "OpenClusterRole",
    "TransformDataRole",
    "VerifyDataRole",
)
# Grants that no run here needs, and why they stand: by action, or with the role, or with role and statement before it.
NOT_ASKED_HERE = {
    "ec2:AssignPrivateIpAddresses": "no network interface is attached here; Lambda's documentation asks for it",
    "ec2:DescribeSubnets": "as above",
    "ec2:UnassignPrivateIpAddresses": "as above",
    "SwapClusterRole swap-cluster#SwapReplaceableClusters rds:StopDBCluster": "on the way back, where AWS has "
    "restarted another team's cluster under its other name and a reboot renews no certificate: three faults at once",
    "SnsNotificationRole sns-notification#ReadWhatAnEarlierTryWrote s3:GetObject": "for a closing step that has died "
    "half-way: integration/local_aws/evidence",
    "SnsNotificationRole sns-notification#EncryptEvidence kms:Decrypt": "as above",
    "xray:PutTelemetryRecords": "traces are not sent here",
    "xray:PutTraceSegments": "traces are not sent here",
    "xray:GetSamplingRules": "traces are not sent here",
    "xray:GetSamplingTargets": "traces are not sent here",
    **{
        f"{statement} kms:GenerateDataKey": "DynamoDB's documentation has it among the least "
        "that a table's key must allow, and doesn't say for which calls; here they need kms:Decrypt alone"
        for statement in (
            *(f"{role} StatePolicy#UseTheStacksKey" for role in TABLES_ALONE),
            "EndWaitRole end-wait#DecryptTokens",
            "StateMachineRole pipeline#EncryptTokens",
        )
    },
}

# What one policy grants all steps: some role has to need it. With which of the two a step reads its state depends on
# what it meets, such as a lock that is another's by now.
NEEDED_BY_SOME = {
    ("StatePolicy#KeepStateAndLocks", "dynamodb:BatchGetItem"),
    ("StatePolicy#KeepStateAndLocks", "dynamodb:GetItem"),
}


SERIES_ALONE = "pytestmark = pytest.mark.series\n"
"""It stands in a file that has no test for these runs."""

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


class Record(msgspec.Struct):
    """What one session of whole runs has shown."""

    ran: list[str]
    """The tests, by their node ids."""
    left_out: list[str]
    """The tests of the same files that it was told to leave out."""
    relied_on: list[Grant]
    """The grants on which, each alone, some call rested, with the role's name in place of its logical id."""
    logs: list[str]
    """The functions' log groups in which something stands."""

    def write(self, directory: pathlib.Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{uuid.uuid4().hex}.json").write_bytes(msgspec.json.encode(self))


def relied_on(used: Iterable[Decision]) -> list[Grant]:
    return sorted(
        {(each.role_arn.rpartition("/")[2], label_of(each.statement), each.action) for each in used if each.alone}
    )


def needed_by(records: list[Record]) -> set[Grant]:
    """Return the grants that some run needed; the roles of all stacks are one."""
    names = {logical_id: re.compile(rf"-{name_of(role)}(-[a-z]+-[a-z]+-\d)?$") for logical_id, role in roles().items()}
    return {
        (logical_id, label, action)
        for record in records
        for role, label, action in record.relied_on
        for logical_id, name in names.items()
        if name.search(role)
    }


def findings(records: list[Record]) -> Iterator[str]:
    """Yield what is wrong, in a sentence each."""
    ran = {test for record in records for test in record.ran}
    files = {path.name for path in HERE.glob("test_*.py") if SERIES_ALONE not in path.read_text()}
    files -= {test.split("::")[0].rpartition("/")[2] for test in ran}
    missing = sorted(files | ({test for record in records for test in record.left_out} - ran))
    if missing:
        yield f"Only all whole runs together use everything that is granted, and these did not run: {missing}"
        return
    needed = needed_by(records)
    by_some = NEEDED_BY_SOME & {(label, action) for _, label, action in needed}
    for grant in granted():
        if grant not in needed and not exceptions_for(grant) and grant[1:] not in by_some:
            yield f"No run needed what {grant} allows: take it away, or say in NOT_ASKED_HERE why it stands."
    for exception in NOT_ASKED_HERE:
        grants = {grant for grant in granted() if exception in exceptions_for(grant)}
        if not grants:
            yield f"NOT_ASKED_HERE names {exception!r}, which nothing grants."
        elif grants & needed:
            yield f"NOT_ASKED_HERE names {exception!r}, and a run needed {sorted(grants & needed)}."
    # Lambda says nothing of a log that it may not write: no run fails for it.
    written = {group for record in records for group in record.logs}
    # A module's own stack may have another prefix.
    endings = {folder: folder.removeprefix("aurora-restore") for folder in FOLDERS}
    silent = [folder for folder, ending in endings.items() if not any(group.endswith(ending) for group in written)]
    if silent:
        yield f"These functions have written no log: {silent}"


def main(directory: pathlib.Path) -> int:
    found = list(findings([msgspec.json.decode(path.read_bytes(), type=Record) for path in directory.glob("*.json")]))
    sys.stdout.write("\n".join(found or ["Some run needed each grant."]) + "\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
