"""A stack that can't be deployed to is refused by its state, with the command that helps on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from scripts.local_aws.cloudformation.stacks import StackRecord
from scripts.local_aws.server import LocalAws
from tests.integration.deployment.conftest import Type
from tests.integration.local_aws.conftest import wait_until
from tests.integration.tiers import one_and_the_rest

BROKEN = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/broken", "RetentionInDays": 8}}


@pytest.fixture(scope="module")
def failed(aws: LocalAws) -> Iterator[StackRecord]:
    """A stack whose first deployment has failed."""
    client = aws.client("cloudformation")
    named = {"StackName": "failed", "ChangeSetName": "first"}
    client.create_change_set(
        **named, ChangeSetType="CREATE", TemplateBody=json.dumps({"Resources": {"Broken": BROKEN}})
    )
    client.execute_change_set(**named)
    record = next(each for each in aws.stacks.records if each.name == "failed" and each.status != "DELETE_COMPLETE")
    wait_until(lambda: record.status == "ROLLBACK_COMPLETE", "failed")
    yield record
    aws.stacks.say(record, "DELETE_COMPLETE")


@pytest.mark.parametrize(
    ("state", "words"),
    one_and_the_rest(
        [
            ("ROLLBACK_COMPLETE", "./scripts/deploy.sh --delete --stack-name failed --region us-east-1"),
            ("ROLLBACK_FAILED", "./scripts/deploy.sh --delete --stack-name failed"),
            ("DELETE_FAILED", "Read its events, then retry: ./scripts/deploy.sh --delete --stack-name failed"),
            ("UPDATE_ROLLBACK_FAILED", "aws cloudformation continue-update-rollback --stack-name failed"),
            ("CREATE_IN_PROGRESS", "Wait until that is over"),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "Wait until that is over"),
            ("DELETE_IN_PROGRESS", "Wait until that is over"),
        ]
    ),
)
def test_a_state_that_takes_no_deployment_is_told_with_what_comes_next(
    aws: LocalAws, deploy: Type, failed: StackRecord, state: str, words: str
) -> None:
    """The embedded AWS comes to most of these by itself only for moments, or never."""
    aws.stacks.say(failed, state)
    done = deploy("--stack-name", "failed")
    assert done.status == 1
    assert f"The stack failed is {state}" in done.output
    assert words in done.output
    if state.endswith("_IN_PROGRESS"):
        deletion = deploy("--stack-name", "failed", "--delete")
        assert deletion.status == 1
        assert f"The stack failed is {state}. Wait until that is over." in deletion.output
