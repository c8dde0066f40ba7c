"""Delete a stack by the SAM CLI: never while an execution runs, and with the commands for what stays."""

from __future__ import annotations

from typing import Any

from scripts.deploy.place import Place, Refused, sam
from scripts.local_aws.cloudformation.template import read

Kept = list[tuple[str, str]]
"""Type and physical id of each resource that outlives its stack."""
_MACHINE = "AWS::StepFunctions::StateMachine"
# A secret that is not deleted for good keeps its name for as long as it could be brought back: 7 to 30 days.
_COMMANDS = {
    # First, a copy: without the key that encrypts it nobody can read it. The evidence itself is not deleted.
    "AWS::S3::Bucket": (("s3", "sync", "s3://{}", "evidence-of-{}"),),
    "AWS::DynamoDB::Table": (
        ("dynamodb", "update-table", "--no-deletion-protection-enabled", "--table-name", "{}"),
        ("dynamodb", "delete-table", "--table-name", "{}"),
    ),
    "AWS::SecretsManager::Secret": (
        ("secretsmanager", "delete-secret", "--force-delete-without-recovery", "--secret-id", "{}"),
    ),
    "AWS::RDS::DBSubnetGroup": (("rds", "delete-db-subnet-group", "--db-subnet-group-name", "{}"),),
    "AWS::EC2::SecurityGroup": (("ec2", "delete-security-group", "--group-id", "{}"),),
    # Last, since it encrypts the others.
    "AWS::KMS::Key": (("kms", "schedule-key-deletion", "--pending-window-in-days", "7", "--key-id", "{}"),),
}


def remove(place: Place, name: str, options: list[str]) -> int:
    """Delete the stack and return the exit status of `sam delete`."""
    if place.stack(name) is None:
        print(f"There is no stack {name} in {place.region}. Nothing to delete.")
        return 0
    client = place.client("cloudformation")
    pages = client.get_paginator("list_stack_resources").paginate(StackName=name)
    # CloudFormation lists what a failed deployment has taken back as well.
    listed = [each for page in pages for each in page["StackResourceSummaries"]]
    resources = [each for each in listed if each["ResourceStatus"] != "DELETE_COMPLETE"]
    _refuse_while_executions_run(place, resources)
    kept = _kept(client.get_template(StackName=name, TemplateStage="Original")["TemplateBody"], resources)
    status = sam("delete", "--stack-name", name, *place.options(), *options)
    if status == 0 and kept and place.stack(name) is None:
        print("\nWhat holds data stays, and so do all clusters and snapshots. To delete it as well, for good:")
        print("\n".join(f"  {command}" for command in commands(place, kept)))
    return status


def commands(place: Place, kept: Kept) -> list[str]:
    """Return how a person deletes what a stack has left."""
    return [
        place.typed(*(word.format(identifier) for word in words))
        for kind, identifier in kept
        for words in _COMMANDS.get(kind, ())
    ]


def _refuse_while_executions_run(place: Place, resources: list[dict[str, Any]]) -> None:
    """Refuse while executions run, since they would lose their functions and permissions half-way."""
    for each in resources:
        if each["ResourceType"] != _MACHINE or not each.get("PhysicalResourceId"):
            continue
        machine = {"stateMachineArn": each["PhysicalResourceId"], "statusFilter": "RUNNING"}
        running = place.client("stepfunctions").list_executions(**machine, maxResults=10)["executions"]
        if running:
            named = ", ".join(execution["name"] for execution in running)
            stop = place.typed("stepfunctions", "stop-execution", "--execution-arn", running[0]["executionArn"])
            raise Refused(
                f"Running: {named}. Nothing was deleted. Wait for their end, or stop them, for instance:\n  {stop}"
            )


def _kept(template: Any, resources: list[dict[str, Any]]) -> Kept:
    declared = (read(template) if isinstance(template, str) else template)["Resources"]
    found = [
        (each["ResourceType"], each["PhysicalResourceId"])
        for each in resources
        if declared.get(each["LogicalResourceId"], {}).get("DeletionPolicy", "Delete").startswith("Retain")
        and each.get("PhysicalResourceId")
    ]
    return sorted(found, key=lambda kept: list(_COMMANDS).index(kept[0]) if kept[0] in _COMMANDS else -1)
