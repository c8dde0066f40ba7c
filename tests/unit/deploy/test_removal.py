"""Of a stack whose first deployment failed CloudFormation lists everything, also what it has taken back itself."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.deploy import removal
from scripts.deploy.place import Place

TEMPLATE = {"Resources": {name: {"DeletionPolicy": "Retain"} for name in ("Kept", "TakenBack")}}
LISTED = [
    ("Machine", "AWS::StepFunctions::StateMachine", "arn:gone", "DELETE_COMPLETE"),
    ("TakenBack", "AWS::SecretsManager::Secret", "gone-secret", "DELETE_COMPLETE"),
    ("Kept", "AWS::DynamoDB::Table", "kept-table", "DELETE_SKIPPED"),
]


class RolledBack(Place):
    """Answers as AWS does about such a stack, and has no Step Functions to ask about a machine that is gone."""

    def stack(self, name: str) -> dict[str, Any] | None:
        return None if SAM else {"StackStatus": "ROLLBACK_COMPLETE"}

    def client(self, service: str) -> Any:
        assert service == "cloudformation"
        return self

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_stack_resources"
        return self

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        names = ("LogicalResourceId", "ResourceType", "PhysicalResourceId", "ResourceStatus")
        return [{"StackResourceSummaries": [dict(zip(names, each, strict=True)) for each in LISTED]}]

    def get_template(self, **_: str) -> dict[str, Any]:
        return {"TemplateBody": TEMPLATE}


SAM: list[tuple[str, ...]] = []


def test_what_is_gone_already_is_neither_asked_about_nor_said_to_stay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def sam(*words: str) -> int:
        SAM.append(words)
        return 0

    monkeypatch.setattr(removal, "sam", sam)
    assert removal.remove(RolledBack("us-east-1", "team"), "failed", ["--no-prompts"]) == 0
    where = ("--region", "us-east-1", "--profile", "team")
    assert [("delete", "--stack-name", "failed", *where, "--no-prompts")] == SAM
    text = capsys.readouterr().out
    assert "aws dynamodb delete-table --table-name kept-table --region us-east-1 --profile team" in text
    assert "gone" not in text
