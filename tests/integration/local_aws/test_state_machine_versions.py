"""An execution that was started through a version or an alias runs that version, whatever becomes of its machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.credentials import aws_client
from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.conftest import allow, finished

MakeMachine = Callable[..., str]


def says(word: str) -> dict[str, Any]:
    return {"Say": {"Type": "Pass", "Result": word, "End": True}}


def definition(word: str) -> str:
    return json.dumps({"StartAt": "Say", "States": says(word)})


@pytest.fixture
def machine(make_machine: MakeMachine) -> str:
    return make_machine(says("first"))


def started(aws: LocalAws, arn: str) -> dict[str, Any]:
    execution = aws.client("stepfunctions").start_execution(stateMachineArn=arn)["executionArn"]
    return finished(aws, execution)


def published(aws: LocalAws, machine: str) -> str:
    return str(
        aws.client("stepfunctions").publish_state_machine_version(stateMachineArn=machine)["stateMachineVersionArn"]
    )


def test_a_version_stays_as_it_was_published(aws: LocalAws, machine: str) -> None:
    version = published(aws, machine)
    aws.client("stepfunctions").update_state_machine(stateMachineArn=machine, definition=definition("second"))
    execution = started(aws, version)
    assert execution["output"] == "first"
    assert execution["stateMachineVersionArn"] == version
    assert execution["stateMachineArn"] == machine
    assert execution["executionArn"].startswith(machine.replace(":stateMachine:", ":execution:") + ":")
    assert started(aws, machine)["output"] == "second"


def test_an_alias_can_be_led_to_another_version(aws: LocalAws, machine: str) -> None:
    client = aws.client("stepfunctions")
    first = published(aws, machine)
    client.update_state_machine(stateMachineArn=machine, definition=definition("second"))
    second = published(aws, machine)
    routes = [{"stateMachineVersionArn": first, "weight": 100}]
    alias = client.create_state_machine_alias(name="live", routingConfiguration=routes)["stateMachineAliasArn"]
    assert started(aws, alias)["output"] == "first"
    routes = [{"stateMachineVersionArn": second, "weight": 100}]
    client.update_state_machine_alias(stateMachineAliasArn=alias, routingConfiguration=routes)
    execution = started(aws, alias)
    assert (execution["output"], execution["stateMachineAliasArn"]) == ("second", alias)
    listed = client.list_executions(stateMachineArn=machine)["executions"]
    assert {each["stateMachineVersionArn"] for each in listed} == {first, second}
    with pytest.raises(ClientError, match="must not be referenced by an alias"):
        client.delete_state_machine_version(stateMachineVersionArn=second)


def test_nothing_new_is_published_of_a_revision_that_was(aws: LocalAws, machine: str) -> None:
    client = aws.client("stepfunctions")
    first = published(aws, machine)
    client.update_state_machine(stateMachineArn=machine, definition=definition("first"))
    assert published(aws, machine) == first
    client.update_state_machine(stateMachineArn=machine, definition=definition("second"))
    with pytest.raises(ClientError, match="ConflictException"):
        client.publish_state_machine_version(stateMachineArn=machine, revisionId="INITIAL")
    assert published(aws, machine) != first
    assert len(client.list_state_machine_versions(stateMachineArn=machine)["stateMachineVersions"]) == 2


def test_a_start_through_an_alias_is_authorized_by_the_machines_arn(
    aws: LocalAws, machine: str, make_role: Callable[..., str]
) -> None:
    client = aws.client("stepfunctions")
    routes = [{"stateMachineVersionArn": published(aws, machine), "weight": 100}]
    alias = client.create_state_machine_alias(name="live", routingConfiguration=routes)["stateMachineAliasArn"]

    def start(allowed: str) -> None:
        role = make_role("lambda", allow("states:StartExecution", allowed))
        session = aws.permissions.assume(role, service="lambda.amazonaws.com", session_name="t", region="us-east-1")
        caller = aws_client("stepfunctions", "us-east-1", aws.endpoint_url, session, attempts=1)
        caller.start_execution(stateMachineArn=alias)

    start(machine)
    with pytest.raises(ClientError, match="AccessDeniedException"):
        start(alias)
