"""Every policy of the translated template that says what a role may do, with example names in place of references."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.checks.expansion import translated
from scripts.local_aws.cloudformation.intrinsics import Created, Evaluator

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
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
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
    "SourceReaderSecrets": "arn:aws:rds:eu-central-1:111122223333:cluster:prod="
    "arn:aws:secretsmanager:eu-central-1:111122223333:secret:prod/reader-a1b2c3",
    "VerificationPolicies": "nightly=s3://policies/checks/nightly.yaml?versionId=3HL4kqtJlcpXroDTDmJ",
    "MaskingPolicies": "staging=s3://policies/masking/staging.yaml?versionId=3HL4kqtJlcpXroDTDmJ",
}


def resolved(value: Any) -> Any:
    """Return the value with parameters' defaults and example names and ARNs in it."""
    return _examples().value(value)


class _Examples(Evaluator):
    """The template with every option taken, so that what only some stacks may do is checked as well."""

    def __init__(self) -> None:
        template = translated()
        defaults = {name: str(rules.get("Default", name)) for name, rules in template["Parameters"].items()}
        given = {name: default or _EXAMPLES.get(name, "") for name, default in defaults.items()}
        super().__init__(template, given, _PSEUDO)
        self._functions["Fn::If"] = lambda operands: self.value(operands[1]) or self.value(operands[2])
        for name, resource in template["Resources"].items():
            if resource["Type"] in _ARNS:
                arn = _ARNS[resource["Type"]].format(name)
                self.created[name] = Created(resource["Type"], arn, {"Arn": arn})


_examples = functools.cache(_Examples)


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


def gathered(logical_id: str) -> Mapping[str, dict[str, Any]]:
    """Return all that a role is allowed, by service: each action once, with every resource of every statement.

    What a call needs may be spread over statements, each with its own conditions; here a missing piece shows.
    """
    template = translated()["Resources"]
    properties = template[logical_id]["Properties"]
    own = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    managed = [template[arn["Ref"]]["Properties"]["PolicyDocument"] for arn in properties.get("ManagedPolicyArns", [])]
    resources: dict[str, set[str]] = {}
    for policy in [*own, *managed]:
        for statement in resolved(policy)["Statement"]:
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


def as_list(value: Any) -> list[Any]:
    """Return the value as a list: policies and templates take one value for a list of one."""
    return value if isinstance(value, list) else [value]


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
