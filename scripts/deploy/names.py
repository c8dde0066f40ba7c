"""Check the names of tables and secrets: taken by an earlier stack, or changed by an update."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from scripts.deploy.place import Place
from scripts.deploy.removal import commands
from scripts.local_aws.cloudformation.intrinsics import Evaluator

_NAMED = {"AWS::DynamoDB::Table": "TableName", "AWS::SecretsManager::Secret": "Name"}


def taken(place: Place, names: dict[str, str]) -> list[str]:
    """Return a sentence for each name that an earlier stack has left behind, with the way out."""
    states = {name: _state_of(place, name, kind) for name, kind in names.items()}
    return [
        f"{name} {state}. Choose another NamePrefix, or delete it with all it holds:"
        + "".join(f"\n      {command}" for command in commands(place, [(names[name], name)]))
        for name, state in states.items()
        if state
    ]


def replaced(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return a sentence if an update would create tables or secrets under other names, without their content."""
    if before == after:
        return []
    gone, instead = (", ".join(sorted(each)) for each in (set(before) - set(after), set(after) - set(before)))
    return [
        f"{instead} would be created empty, in place of {gone}: NamePrefix, StateTableName and AuditTableName of a "
        "stack cannot be changed. Leave them as they are, or deploy a second stack."
    ]


def kept_names(document: dict[str, Any], values: dict[str, str], place: Place, stack: str) -> dict[str, str]:
    """Return the names of the stack's tables and secrets with these parameters, and their types."""
    evaluator = Evaluator(document, dict(values), {"AWS::Region": place.region, "AWS::StackName": stack})
    return {
        str(evaluator.value(resource["Properties"][_NAMED[resource["Type"]]])): resource["Type"]
        for logical_id, resource in document["Resources"].items()
        if resource["Type"] in _NAMED and evaluator.exists(logical_id)
    }


def _state_of(place: Place, name: str, kind: str) -> str:
    """Return what is wrong with the name; an empty text if it is free, or the caller may not look."""
    try:
        if kind == "AWS::DynamoDB::Table":
            place.client("dynamodb").describe_table(TableName=name)
            return "exists already, from an earlier stack"
        secret = place.client("secretsmanager").describe_secret(SecretId=name)
    except ClientError:
        return ""
    if "DeletedDate" not in secret:
        return "exists already, from an earlier stack"
    return f"is scheduled for deletion at {secret['DeletedDate']:%Y-%m-%d %H:%M} and has its name until then"
