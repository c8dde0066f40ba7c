"""Of a stack whose first deployment failed CloudFormation lists everything, also what it has taken back itself."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from scripts.deploy.aws_cli import AwsCli
from scripts.deploy.removal import remove

TEMPLATE = {"Resources": {name: {"DeletionPolicy": "Retain"} for name in ("Kept", "TakenBack")}}


class RolledBack(AwsCli):
    """Answers as AWS does about such a stack, and refuses to be asked about its state machine, which is gone."""

    def __call__(self, *words: str) -> Any:
        listed = [
            ("Machine", "AWS::StepFunctions::StateMachine", "arn:gone", "DELETE_COMPLETE"),
            ("TakenBack", "AWS::SecretsManager::Secret", "gone-secret", "DELETE_COMPLETE"),
            ("Kept", "AWS::DynamoDB::Table", "kept-table", "DELETE_SKIPPED"),
        ]
        names = ("LogicalResourceId", "ResourceType", "PhysicalResourceId", "ResourceStatus")
        return {
            "describe-stacks": {"Stacks": [{"StackStatus": "ROLLBACK_COMPLETE", "StackId": "arn:stack"}]},
            "list-stack-resources": {
                "StackResourceSummaries": [dict(zip(names, each, strict=True)) for each in listed]
            },
            "get-template": {"TemplateBody": TEMPLATE},
        }[words[1]]


def test_what_is_gone_already_is_neither_asked_about_nor_said_to_stay() -> None:
    output = io.StringIO()
    console = Console(file=output, width=200, highlight=False, markup=False)
    remove(console, RolledBack("us-east-1"), "failed", lambda question: None, dry_run=True)
    text = output.getvalue()
    assert "1 resources, of which stay" in text
    assert "kept-table" in text
    assert "gone" not in text
