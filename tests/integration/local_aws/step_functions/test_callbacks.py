"""A task that puts an item waits until its token comes back, its time is over, or its execution ends.

What is answered and recorded is as in LocalStack's validated snapshots, tests/aws/services/stepfunctions/v2: of
callback/test_callback.py unless another file is named.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.core.credentials import aws_client
from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora_support import refused
from tests.integration.local_aws.conftest import Answer, MakeRole, allow, finished, history, wait_until

PUT_ITEM_AND_WAIT = "arn:aws:states:::aws-sdk:dynamodb:putItem.waitForTaskToken"
OF = {"resourceType": "aws-sdk:dynamodb", "resource": "putItem.waitForTaskToken"}
CAUGHT = {"Caught": {"Type": "Pass", "End": True}}


@pytest.fixture(scope="module")
def table(aws: LocalAws) -> str:
    name = f"waits-{uuid.uuid4().hex[:8]}"
    aws.client("dynamodb").create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


@pytest.fixture(scope="module")
def waiting_role(make_role: MakeRole, table: str) -> str:
    statement = allow("dynamodb:PutItem", f"arn:aws:dynamodb:us-east-1:123456789012:table/{table}")
    condition: Answer = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["wait-*"]}}
    return make_role("states", {**statement, "Condition": condition})


Begin = Callable[..., str]


@pytest.fixture
def begin(aws: LocalAws, make_machine: Callable[..., str], waiting_role: str, table: str) -> Begin:
    """begin(TimeoutSeconds=5): start an execution whose first state waits for its token; its ARN."""

    def start(
        execution_input: Any = None, *, key: str = "wait-1", settings: Answer | None = None, **fields: Any
    ) -> str:
        item = {"id": {"S": key}, "token": {"S.$": "$$.Task.Token"}}
        parameters = {"TableName": table, "Item": item}
        state = {"Type": "Task", "Resource": PUT_ITEM_AND_WAIT, "Parameters": parameters, "End": True}
        states = {"Wait": {**state, **fields}, **(CAUGHT if "Catch" in fields else {})}
        machine = make_machine(states, **{"roleArn": waiting_role, **(settings or {})})
        given = json.dumps({} if execution_input is None else execution_input)
        arn: str = aws.client("stepfunctions").start_execution(stateMachineArn=machine, input=given)["executionArn"]
        return arn

    return start


def token_of(aws: LocalAws, execution: str, attempt: int = 0) -> str:
    """The token of an attempt that waits for it."""

    def submitted() -> list[Answer]:
        events = history(aws, execution)
        scheduled = [each for each in events if each["type"] == "TaskScheduled"]
        return scheduled if sum(each["type"] == "TaskSubmitted" for each in events) > attempt else []

    scheduled = wait_until(submitted, "the item")[attempt]
    item = json.loads(scheduled["taskScheduledEventDetails"]["parameters"])["Item"]
    token: str = item["token"]["S"]
    return token


def kinds(aws: LocalAws, execution: str) -> list[str]:
    return [each["type"] for each in history(aws, execution)]


def details(aws: LocalAws, execution: str, kind: str) -> list[Answer]:
    key = f"{kind[0].lower()}{kind[1:]}EventDetails"
    return [each[key] for each in history(aws, execution) if each["type"] == kind]


def test_a_task_ends_with_what_its_token_comes_back_with(aws: LocalAws, begin: Begin, table: str) -> None:
    execution = begin({"kept": 1}, ResultPath="$.sent")
    token = token_of(aws, execution)
    assert 600 <= len(token) <= 800
    stored = aws.client("dynamodb").get_item(TableName=table, Key={"id": {"S": "wait-1"}})["Item"]
    assert stored["token"]["S"] == token
    aws.client("stepfunctions").send_task_success(taskToken=token, output='{"found": [1]}')
    assert finished(aws, execution)["output"] == {"kept": 1, "sent": {"found": [1]}}
    assert kinds(aws, execution) == [
        "ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded",
        "TaskStateExited", "ExecutionSucceeded",
    ]  # fmt: skip
    [scheduled] = details(aws, execution, "TaskScheduled")
    assert scheduled == {**OF, "region": "us-east-1", "parameters": scheduled["parameters"]}
    assert details(aws, execution, "TaskStarted") == [OF]
    # services/test_aws_sdk_task_service.py test_dynamodb_put_get_item: PutItem's answer is an empty document.
    shown = {"truncated": False}
    assert details(aws, execution, "TaskSubmitted") == [{**OF, "output": "{}", "outputDetails": shown}]
    assert details(aws, execution, "TaskSucceeded") == [{**OF, "output": '{"found":[1]}', "outputDetails": shown}]


def test_a_role_sends_the_tokens_of_machines_that_it_may(aws: LocalAws, begin: Begin, make_role: MakeRole) -> None:
    execution = begin()
    machine = aws.client("stepfunctions").describe_execution(executionArn=execution)["stateMachineArn"]

    def client(allowed: str) -> Any:
        role = make_role("lambda", allow("states:SendTaskSuccess", allowed))
        credentials = aws.permissions.assume(
            role, service="lambda.amazonaws.com", session_name="sender", region="us-east-1"
        )
        return aws_client("stepfunctions", "us-east-1", aws.endpoint_url, credentials, attempts=1)

    sent = {"taskToken": token_of(aws, execution), "output": '"sent"'}
    # On the machine's ARN: NOAA-OWP/hydrovis#837, aws/aws-cdk#8486.
    with refused("AccessDeniedException", f"to perform: states:SendTaskSuccess on resource: {machine} "):
        client(f"{machine}-other").send_task_success(**sent)
    client(machine).send_task_success(**sent)
    assert finished(aws, execution)["output"] == "sent"
    with refused("AccessDeniedException", "on resource: *"):
        client(machine).send_task_success(taskToken="NoSuchTaskToken", output="1")


def test_a_token_that_comes_back_as_a_failure_fails_the_task(aws: LocalAws, begin: Begin) -> None:
    execution = begin()
    token = token_of(aws, execution)
    aws.client("stepfunctions").send_task_failure(taskToken=token, error="Failure error", cause="Failure cause")
    ended = finished(aws, execution)
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "Failure error", "Failure cause")
    assert details(aws, execution, "TaskFailed") == [{**OF, "error": "Failure error", "cause": "Failure cause"}]


def test_a_failure_without_a_name_is_caught_as_nothing(aws: LocalAws, begin: Begin) -> None:
    # test_sqs_failure_in_wait_for_task_tok_no_error_field[SQS_WAIT_FOR_TASK_TOKEN_CATCH]
    execution = begin(Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Caught"}])
    aws.client("stepfunctions").send_task_failure(taskToken=token_of(aws, execution))
    assert finished(aws, execution)["output"] == {"Error": None, "Cause": None}
    assert details(aws, execution, "TaskFailed") == [OF]


def test_the_timeout_passes_on_the_clock_to_the_second(aws: LocalAws, begin: Begin) -> None:
    execution = begin({"seconds": 3600}, TimeoutSecondsPath="$.seconds")
    ended = finished(aws, execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Timeout")
    assert "cause" not in ended
    assert 3600 <= (ended["stopDate"] - ended["startDate"]).total_seconds() < 3605
    assert details(aws, execution, "TaskScheduled")[0]["timeoutInSeconds"] == 3600
    assert details(aws, execution, "TaskTimedOut") == [{**OF, "error": "States.Timeout"}]


@pytest.mark.parametrize("error", ["States.Timeout", "States.ALL"])
def test_a_timeout_can_be_caught(aws: LocalAws, begin: Begin, error: str) -> None:
    execution = begin(TimeoutSeconds=60, Catch=[{"ErrorEquals": [error], "Next": "Caught"}])
    assert finished(aws, execution)["output"]["Error"] == "States.Timeout"


def test_each_attempt_has_a_token_of_its_own(aws: LocalAws, begin: Begin) -> None:
    retry = [{"ErrorEquals": ["Again"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    execution = begin(Retry=retry)
    first = token_of(aws, execution)
    aws.client("stepfunctions").send_task_failure(taskToken=first, error="Again")
    second = token_of(aws, execution, attempt=1)
    assert second != first
    with refused("TaskTimedOut"):
        aws.client("stepfunctions").send_task_success(taskToken=first, output="1")
    aws.client("stepfunctions").send_task_success(taskToken=second, output="2")
    assert finished(aws, execution)["output"] == 2


def test_the_clock_jumps_no_further_than_to_the_moment_at_which_the_token_comes_back(
    aws: LocalAws, begin: Begin
) -> None:
    client = aws.client("stepfunctions")
    with aws.clock.busy():  # so that nothing passes until the timer is set
        execution = begin(TimeoutSeconds=86_400)
        token = token_of(aws, execution)

        def send() -> None:
            client.send_task_success(taskToken=token, output="null")

        aws.clock.call_at(aws.clock.time() + 600, lambda: aws.clock.start_thread(send, name="sender"))
    ended = finished(aws, execution)
    assert ended["status"] == "SUCCEEDED"
    assert 600 <= (ended["stopDate"] - ended["startDate"]).total_seconds() < 605


def test_stopping_the_execution_ends_the_wait(aws: LocalAws, begin: Begin) -> None:
    execution = begin()
    token = token_of(aws, execution)
    aws.client("stepfunctions").stop_execution(executionArn=execution)
    assert finished(aws, execution)["status"] == "ABORTED"
    with refused("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'"):
        aws.client("stepfunctions").send_task_success(taskToken=token, output="1")
    assert kinds(aws, execution)[-1] == "ExecutionAborted"


@pytest.mark.parametrize("limit", [{}, {"TimeoutSeconds": 600}])
def test_the_machine_s_own_time_ends_the_wait_past_every_catch(aws: LocalAws, begin: Begin, limit: Answer) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    execution = begin(Catch=catch, settings={"TimeoutSeconds": 300}, **limit)
    ended = finished(aws, execution)
    assert ended["status"] == "TIMED_OUT"
    assert 300 <= (ended["stopDate"] - ended["startDate"]).total_seconds() < 305


def test_a_redriven_execution_waits_anew(aws: LocalAws, begin: Begin) -> None:
    client = aws.client("stepfunctions")
    execution = begin()
    first = token_of(aws, execution)
    client.send_task_failure(taskToken=first, error="Failed")
    finished(aws, execution)
    client.redrive_execution(executionArn=execution)
    second = token_of(aws, execution, attempt=1)
    assert second != first
    client.send_task_success(taskToken=second, output='"anew"')
    assert finished(aws, execution)["output"] == "anew"


def test_an_ended_or_unknown_task_is_refused(aws: LocalAws, begin: Begin) -> None:
    client = aws.client("stepfunctions")
    execution = begin()
    token = token_of(aws, execution)
    # services/test_aws_sdk_task_service.py test_sfn_send_task_outcome_with_no_such_token
    for unknown in ("NoSuchTaskToken", token[:-1]):
        with refused("InvalidToken", "Invalid Token: 'Invalid token'"):
            client.send_task_success(taskToken=unknown, output="1")
        with refused("InvalidToken", "Invalid Token: 'Invalid token'"):
            client.send_task_failure(taskToken=unknown)
    # Developer guide: "The tokens won't work if you send them from principals in a different AWS account."
    with refused("InvalidToken"):
        aws.client("stepfunctions", account="222222222222").send_task_success(taskToken=token, output="1")
    # API reference, SendTaskSuccess, InvalidOutput: "The provided JSON output data is not valid."
    for output in ("ParameterOutput", "", "NaN"):
        with refused("InvalidOutput"):
            client.send_task_success(taskToken=token, output=output)
    # API reference: at most 262144, "expressed as bytes in UTF-8 encoding"
    for output in (json.dumps("x" * 262_143), json.dumps("é" * 131_072, ensure_ascii=False)):
        with refused("ValidationException", "262144"):
            client.send_task_success(taskToken=token, output=output)
    client.send_task_success(taskToken=token, output="1")
    finished(aws, execution)
    with refused("TaskTimedOut"):
        client.send_task_failure(taskToken=token)
    with refused("NotImplementedByLocalAws", status=501):
        client.send_task_heartbeat(taskToken=token)


def test_a_role_that_may_not_put_the_item_fails_the_task(aws: LocalAws, begin: Begin, table: str) -> None:
    execution = begin(key="other", Catch=[{"ErrorEquals": ["DynamoDb.DynamoDbException"], "Next": "Caught"}])
    caught = finished(aws, execution)["output"]
    assert caught["Error"] == "DynamoDb.DynamoDbException"
    place = f"arn:aws:dynamodb:us-east-1:123456789012:table/{table}"
    assert f"is not authorized to perform: dynamodb:PutItem on resource: {place} " in caught["Cause"]
    assert kinds(aws, execution)[2:6] == ["TaskScheduled", "TaskStarted", "TaskFailed", "TaskStateExited"]


def test_a_table_that_is_not_there_has_an_error_of_its_own(aws: LocalAws, begin: Begin, make_role: MakeRole) -> None:
    # error_handling/test_aws_sdk.py test_dynamodb_put_item_no_such_table
    parameters = {"TableName": "nowhere", "Item": {"id": {"S.$": "$$.Task.Token"}}}
    role = make_role("states", allow("dynamodb:PutItem"))
    ended = finished(aws, begin(Parameters=parameters, settings={"roleArn": role}))
    assert ended["error"] == "DynamoDb.ResourceNotFoundException"
    assert ended["cause"].startswith("Requested resource not found (Service: DynamoDb, Status Code: 400, Request ID: ")


def test_a_task_that_hands_its_token_to_nobody_times_out(aws: LocalAws, begin: Begin, table: str) -> None:
    # test_sqs_wait_for_task_token_no_token_parameter
    parameters = {"TableName": table, "Item": {"id": {"S": "wait-1"}}}
    assert finished(aws, begin(Parameters=parameters, TimeoutSeconds=5))["error"] == "States.Timeout"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"Parameters": {"TableName": "t"}}, "'Item' is required"),
        ({"Parameters": {"Item": {}}}, "'TableName' is required"),
        # aws/aws-cdk#29968
        ({"Parameters": {"TableName": "t", "Item": {}, "table": 1}},
         'The field "table" is not supported by Step Functions at /States/Wait/Parameters'),
    ],
)  # fmt: skip
def test_parameters_that_put_item_does_not_take_are_refused(begin: Begin, fields: Answer, problem: str) -> None:
    with refused("InvalidDefinition", problem):
        begin(**fields)


@pytest.mark.parametrize("resource", ["arn:aws:states:::aws-sdk:dynamodb:putItem", "arn:aws:states:::dynamodb:putItem",
                                      "arn:aws:states:::aws-sdk:dynamodb:updateItem.waitForTaskToken"])  # fmt: skip
def test_other_integrations_stay_unknown(begin: Begin, resource: str) -> None:
    with pytest.raises(ClientError, match="NotImplementedByLocalAws"):
        begin(Resource=resource)


def test_only_a_task_that_waits_has_a_token(aws: LocalAws, make_machine: Callable[..., str]) -> None:
    machine = make_machine({"A": {"Type": "Pass", "Parameters": {"x.$": "$$.Task.Token"}, "End": True}})
    execution = aws.client("stepfunctions").start_execution(stateMachineArn=machine)["executionArn"]
    assert finished(aws, execution)["status"] == "FAILED"
