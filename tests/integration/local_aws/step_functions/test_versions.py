"""An execution that was started through a version or an alias runs that version, whatever becomes of its machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.core.credentials import aws_client
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


def test_a_version_can_be_published_with_its_machine(aws: LocalAws, make_machine: MakeMachine) -> None:
    """As recorded on AWS: LocalStack's validated snapshots, test_sfn_api_versioning.py (localstack/localstack).

    test_create_with_publish, test_update_state_machine, test_empty_revision_with_publish_and_publish_on_creation,
    test_version_ids_between_deletions.
    """
    client = aws.client("stepfunctions")
    machine = make_machine(says("first"), publish=True, versionDescription="the first")
    first = client.describe_state_machine(stateMachineArn=f"{machine}:1")
    assert (first["stateMachineArn"], first["description"]) == (f"{machine}:1", "the first")

    def update(word: str) -> str:
        changed = client.update_state_machine(stateMachineArn=machine, definition=definition(word), publish=True)
        return str(changed["stateMachineVersionArn"])

    assert update("first") == f"{machine}:1"
    assert update("second") == f"{machine}:2"
    client.delete_state_machine_version(stateMachineVersionArn=f"{machine}:2")
    assert published(aws, machine) == f"{machine}:3"


def test_executions_are_listed_by_version_and_by_alias(aws: LocalAws, machine: str) -> None:
    """As recorded on AWS: test_sfn_api.py test_list_executions_versions_pagination, test_sfn_api_aliasing.py."""
    client = aws.client("stepfunctions")
    version = published(aws, machine)
    routes = [{"stateMachineVersionArn": version, "weight": 100}]
    alias = client.create_state_machine_alias(name="live", routingConfiguration=routes)["stateMachineAliasArn"]
    runs = {arn: started(aws, arn)["executionArn"] for arn in (machine, version, alias)}
    listed = {
        arn: {each["executionArn"] for each in client.list_executions(stateMachineArn=arn)["executions"]}
        for arn in runs
    }
    assert listed == {
        machine: set(runs.values()),
        version: {runs[version], runs[alias]},
        alias: {runs[alias]},
    }


def test_an_alias_is_created_once_and_its_routes_must_be_right(aws: LocalAws, machine: str) -> None:
    """As recorded on AWS: test_sfn_api_aliasing.py test_idempotent_create_alias, test_error_create_alias_…."""
    client = aws.client("stepfunctions")
    first = published(aws, machine)
    client.update_state_machine(stateMachineArn=machine, definition=definition("second"))
    second = published(aws, machine)

    def create(*routes: tuple[str, int], **more: str) -> str:
        configuration = [{"stateMachineVersionArn": arn, "weight": weight} for arn, weight in routes]
        alias = client.create_state_machine_alias(name="live", routingConfiguration=configuration, **more)
        return str(alias["stateMachineAliasArn"])

    assert create((first, 100)) == create((first, 100))
    for routes, more, problem in [
        ([(second, 100)], {}, "an alias with the same name and a different routing configuration already exists."),
        ([(first, 100)], {"description": "d"}, "an alias with the same name and a different routing configuration"),
        ([(first, 50), (first, 50)], {}, "must contain distinct state machine version ARNs. Received: "),
        ([(machine, 50), (first, 50)], {}, "must contain state machine version ARNs. Received: "),
        ([(first, 70), (second, 29)], {}, r"Sum of routing configuration weights must equal 100. Received: \[70, 29\]"),
        ([(first, 101)], {}, "Value '101' at 'routingConfiguration.1.member.weight' failed to satisfy constraint: "),
    ]:
        with pytest.raises(ClientError, match=problem):
            create(*routes, **more)
    with pytest.raises(ClientError, match=r"Current list of aliases referencing this version: \[live\]"):
        client.delete_state_machine_version(stateMachineVersionArn=first)
    for no_version in (machine, f"{machine}:live"):
        with pytest.raises(ClientError, match="InvalidArn"):
            client.delete_state_machine_version(stateMachineVersionArn=no_version)
    client.delete_state_machine_alias(stateMachineAliasArn=f"{machine}:live")
    client.delete_state_machine_alias(stateMachineAliasArn=f"{machine}:live")
    with pytest.raises(ClientError, match="Request references a resource that does not exist"):
        client.update_state_machine_alias(stateMachineAliasArn=f"{machine}:live", description="d")
    with pytest.raises(ClientError, match="Invalid Token: 'Invalid token'"):
        client.list_state_machine_aliases(stateMachineArn=machine, nextToken="x")
