"""What an earlier stack has left that a new one would make again under the same name, which would fail."""

from __future__ import annotations

from typing import Any

from scripts.deploy.aws_cli import AwsCli, AwsError
from scripts.deploy.removal import commands
from scripts.local_aws.cloudformation.intrinsics import Evaluator, TemplateError

_NAMED = {
    "AWS::DynamoDB::Table": ("TableName", ("dynamodb", "describe-table", "--table-name")),
    "AWS::SecretsManager::Secret": ("Name", ("secretsmanager", "describe-secret", "--secret-id")),
}


def leftovers(aws: AwsCli, document: dict[str, Any], given: dict[str, str], stack: str, account: str) -> list[str]:
    """A sentence for each, with the way out."""
    evaluator = values_of(aws, document, given, stack, account)
    found = []
    for logical_id, resource in document["Resources"].items():
        if resource["Type"] in _NAMED and evaluator.exists(logical_id):
            key, words = _NAMED[resource["Type"]]
            try:
                name = str(evaluator.value(resource["Properties"][key]))
                aws(*words, name)
            except (AwsError, TemplateError, KeyError):
                continue  # there is none, or nobody may look: the deployment tells
            kept = [{"ResourceType": resource["Type"], "PhysicalResourceId": name}]
            ways = "\n    ".join(commands(aws, kept))
            found.append(
                f"{name} exists already, from an earlier stack. Choose another NamePrefix, or delete it with all "
                f"it holds:\n    {ways}"
            )
    return found


def values_of(aws: AwsCli, document: dict[str, Any], given: dict[str, str], stack: str, account: str) -> Evaluator:
    """The template's conditions and names with these parameters, as far as they need no resource."""
    declared = document["Parameters"]
    values = {name: given.get(name, str(rules.get("Default", ""))) for name, rules in declared.items()}
    pseudo = {"AWS::Region": aws.region, "AWS::AccountId": account, "AWS::StackName": stack}
    return Evaluator(document, values, pseudo)
