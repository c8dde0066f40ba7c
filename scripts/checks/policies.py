"""Every policy of the translated template that says what a role may do, with example names in place of references."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.checks.expansion import translated

_PSEUDO = {
    "AWS::AccountId": "111122223333",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::URLSuffix": "amazonaws.com",
}
# What Ref (for secrets, topics, machines) and GetAtt Arn answer, by the resource's type.
_ARNS = {
    "AWS::IAM::Role": "arn:aws:iam::111122223333:role/{}",
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:eu-central-1:111122223333:table/{}",
    "AWS::KMS::Key": "arn:aws:kms:eu-central-1:111122223333:key/{}",
    "AWS::Lambda::Function": "arn:aws:lambda:eu-central-1:111122223333:function:{}",
    "AWS::Logs::LogGroup": "arn:aws:logs:eu-central-1:111122223333:log-group:{}:*",
    "AWS::RDS::DBSubnetGroup": "{}",
    "AWS::SecretsManager::Secret": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:{}-a1b2c3",
    "AWS::SNS::Topic": "arn:aws:sns:eu-central-1:111122223333:{}",
    "AWS::SQS::Queue": "arn:aws:sqs:eu-central-1:111122223333:{}",
    "AWS::StepFunctions::StateMachine": "arn:aws:states:eu-central-1:111122223333:stateMachine:{}",
}


# Parameters that are empty until somebody needs them, as somebody would fill them in.
_EXAMPLES = {
    "SourceAccountId": "444455556666",
    "ExportBucketName": "exports",
    "ExportRoleArn": "arn:aws:iam::111122223333:role/export",
    "MonitoringRoleArn": "arn:aws:iam::111122223333:role/rds-monitoring-role",
    "ExportKmsKeyId": "arn:aws:kms:eu-central-1:111122223333:key/example",
}


def arn_of(logical_id: str) -> str:
    """Return an example ARN of a resource of the template."""
    return _ARNS[translated()["Resources"][logical_id]["Type"]].format(logical_id)


def resolved(value: Any) -> Any:
    """Return the value with parameters' defaults and example names and ARNs in it."""
    match value:
        case {"Ref": str(name)}:
            return _reference(name)
        case {"Fn::GetAtt": [str(logical_id), "Arn"]}:
            return arn_of(logical_id)
        case {"Fn::Sub": str(text)}:
            return _filled(text, {})
        case {"Fn::Sub": [str(text), dict(names)]}:
            return _filled(text, {name: resolved(each) for name, each in names.items()})
        case {"Fn::If": [_, then, otherwise]}:
            return resolved(then) or resolved(otherwise)
        case {"Fn::Join": [str(between), parts]}:
            return between.join(resolved(parts))
        case {"Fn::Split": [str(between), text]}:
            return str(resolved(text)).split(between)
        case {"Fn::Select": [int(number), parts]}:
            return resolved(parts)[number]
        case dict():
            return {key: resolved(each) for key, each in value.items()}
        case list():
            return [resolved(each) for each in value]
    return value


def role_policies(logical_id: str) -> list[dict[str, Any]]:
    """Return all that a role of the template may do: its own policies and the template's managed ones."""
    resources = translated()["Resources"]
    properties = resources[logical_id]["Properties"]
    own = [resolved(policy["PolicyDocument"]) for policy in properties.get("Policies", [])]
    managed = [arn["Ref"] for arn in properties.get("ManagedPolicyArns", [])]
    return own + [resolved(resources[name]["Properties"]["PolicyDocument"]) for name in managed]


def identity_policies() -> Mapping[str, dict[str, Any]]:
    """Return the policies of identities, by a name for reports."""
    found = {}
    for logical_id, resource in translated()["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"].get("Policies", []):
                found[f"{logical_id}.{policy['PolicyName']}"] = resolved(policy["PolicyDocument"])
        elif resource["Type"] == "AWS::IAM::ManagedPolicy":
            found[logical_id] = resolved(resource["Properties"]["PolicyDocument"])
    return found


def _filled(text: str, names: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        return names[found[1]] if found[1] in names else _reference(found[1])

    return re.sub(r"\$\{([\w:.]+)\}", value, text)


def _reference(name: str) -> str:
    if name.endswith(".Arn"):
        return arn_of(name.removesuffix(".Arn"))
    if name in _PSEUDO:
        return _PSEUDO[name]
    if name in translated()["Parameters"]:
        return str(translated()["Parameters"][name].get("Default", name)) or _EXAMPLES.get(name, "")
    return arn_of(name)


def gathered(logical_id: str) -> Mapping[str, dict[str, Any]]:
    """Return all that a role is allowed, by service: each action once, with every resource of every statement.

    What a call needs may be spread over statements, each with its own conditions; here a missing piece shows.
    """
    resources: dict[str, set[str]] = {}
    for policy in role_policies(logical_id):
        for statement in policy["Statement"]:
            if statement["Effect"] == "Allow":
                for action in as_list(statement["Action"]):
                    resources.setdefault(action, set()).update(as_list(statement["Resource"]))
    services = sorted({action.split(":")[0] for action in resources})
    return {
        service: {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": action, "Resource": sorted(granted)}
                for action, granted in sorted(resources.items())
                if action.startswith(f"{service}:")
            ],
        }
        for service in services
    }


def as_list(value: str | list[str]) -> list[str]:
    """Return the value as a list: IAM takes one text for a list of one."""
    return [value] if isinstance(value, str) else value


def main(directory: Path) -> None:
    """Write every policy to policies/, and to roles/ what each role may do, one file for each service."""
    written, gathered_by_role = directory / "policies", directory / "roles"
    for each in (written, gathered_by_role):
        each.mkdir(parents=True)
    for name, document in identity_policies().items():
        (written / f"{name}.json").write_text(json.dumps(document, indent=1))
    for logical_id, resource in translated()["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            for service, document in gathered(logical_id).items():
                (gathered_by_role / f"{logical_id}.{service}.json").write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
