"""Taking a stack away: never while an execution runs, and with a word on what stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console

from scripts.deploy import following
from scripts.deploy.aws_cli import AwsCli, Refused
from scripts.local_aws.cloudformation.template import read

_COMMANDS = {
    "AWS::DynamoDB::Table": (
        ("dynamodb", "update-table", "--no-deletion-protection-enabled", "--table-name", "{}"),
        ("dynamodb", "delete-table", "--table-name", "{}"),
    ),
    "AWS::SecretsManager::Secret": (("secretsmanager", "delete-secret", "--secret-id", "{}"),),
    "AWS::KMS::Key": (("kms", "schedule-key-deletion", "--pending-window-in-days", "7", "--key-id", "{}"),),
    "AWS::RDS::DBSubnetGroup": (("rds", "delete-db-subnet-group", "--db-subnet-group-name", "{}"),),
    "AWS::EC2::SecurityGroup": (("ec2", "delete-security-group", "--group-id", "{}"),),
}
_MACHINE = "AWS::StepFunctions::StateMachine"


def remove(console: Console, aws: AwsCli, name: str, agreed: Callable[[str], None], *, dry_run: bool) -> None:
    """Refused while executions run. `agreed(question)` asks."""
    stack = following.status(aws, name)
    if stack is None:
        console.print(f"There is no stack {name} in {aws.region}. Nothing to delete.")
        return
    if stack["StackStatus"].endswith("_IN_PROGRESS") and stack["StackStatus"] != "REVIEW_IN_PROGRESS":
        raise Refused(f"The stack {name} is {stack['StackStatus']}. Wait until that is over.")
    resources = _resources(aws, name)
    _refuse_while_executions_run(aws, resources)
    kept = _kept(aws, name, resources)
    console.print(f"The stack {name} in {aws.region} will be deleted: {len(resources)} resources, of which stay")
    for each in kept:
        console.print(
            f"  {each['ResourceType'].removeprefix('AWS::'):<24} {each['PhysicalResourceId']}", soft_wrap=True
        )
    console.print("and so do the clusters, snapshots and final snapshots that it ever made." if kept else "  none")
    if dry_run:
        console.print("Nothing was deleted.")
        return
    agreed(f"Delete {name}?")
    since = following.last_event(aws, name)
    aws("cloudformation", "delete-stack", "--stack-name", name)
    following.follow(console, aws, stack["StackId"], since, ("DELETE_COMPLETE",))
    console.print(f"\nThe stack {name} is deleted.")
    if kept:
        console.print("What stays is in use no more. To be rid of it as well (audit and passwords go with it):")
        for command in commands(aws, kept):
            console.print(f"  {command}", soft_wrap=True)


def commands(aws: AwsCli, kept: list[dict[str, Any]]) -> list[str]:
    """How a person deletes what a stack has left."""
    return [
        aws.typed(*(word.format(each["PhysicalResourceId"]) for word in words))
        for each in kept
        for words in _COMMANDS.get(each["ResourceType"], ())
    ]


def _resources(aws: AwsCli, name: str) -> list[dict[str, Any]]:
    """Those that exist. CloudFormation lists what a failed deployment has taken back as well."""
    listed = aws("cloudformation", "list-stack-resources", "--stack-name", name)["StackResourceSummaries"]
    return [each for each in listed if each["ResourceStatus"] != "DELETE_COMPLETE"]


def _refuse_while_executions_run(aws: AwsCli, resources: list[dict[str, Any]]) -> None:
    for each in resources:
        if each["ResourceType"] == _MACHINE and each.get("PhysicalResourceId"):
            arn = each["PhysicalResourceId"]
            words = ("stepfunctions", "list-executions", "--state-machine-arn", arn, "--status-filter", "RUNNING")
            running = aws(*words)["executions"]
            if running:
                named = ", ".join(execution["name"] for execution in running[:10])
                stop = aws.typed("stepfunctions", "stop-execution", "--execution-arn", running[0]["executionArn"])
                more = f" and {len(running) - 10} more" if len(running) > 10 else ""
                raise Refused(
                    f"Running: {named}{more}. Nothing was deleted. Wait for their end, or stop them, for instance:\n"
                    f"  {stop}"
                )


def _kept(aws: AwsCli, name: str, resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    body = aws("cloudformation", "get-template", "--stack-name", name, "--template-stage", "Original")["TemplateBody"]
    declared = (read(body) if isinstance(body, str) else body)["Resources"] if body else {}
    return [
        each
        for each in resources
        if declared.get(each["LogicalResourceId"], {}).get("DeletionPolicy", "Delete").startswith("Retain")
        and each.get("PhysicalResourceId")
    ]
