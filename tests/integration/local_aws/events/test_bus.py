"""What happens to executions reaches those whom a rule names, and nobody else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.events.bus import shape
from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.conftest import MakeFunction, MakeRole, allow, finished, put_rule, wait_until

MakeMachine = Callable[..., str]
RULE = "arn:aws:events:us-east-1:123456789012:rule/"


@pytest.fixture
def failing(make_machine: MakeMachine) -> str:
    return make_machine({"A": {"Type": "Fail", "Error": "CopyFailed", "Cause": "of reasons"}})


def start(aws: LocalAws, machine: str, execution_input: str = "{}") -> str:
    execution = aws.client("stepfunctions").start_execution(stateMachineArn=machine, input=execution_input)
    arn: str = execution["executionArn"]
    finished(aws, arn)
    return arn


def test_a_failed_execution_is_told_with_all_that_describe_execution_knows(
    aws: LocalAws, failing: str, inbox: tuple[str, Callable[[], list[Any]]]
) -> None:
    topic, read = inbox
    pattern = {"source": ["aws.states"], "detail": {"status": ["FAILED"], "stateMachineArn": [failing]}}
    put_rule(aws, pattern, {"Arn": topic})
    execution = start(aws, failing, '{"a":1}')
    wait_until(read, "the event")
    [event] = read()
    assert event["detail-type"] == "Step Functions Execution Status Change"
    assert event["resources"] == [execution]
    detail = event["detail"]
    assert (detail["status"], detail["error"], detail["cause"]) == ("FAILED", "CopyFailed", "of reasons")
    assert json.loads(detail["input"]) == {"a": 1}
    redrive = {key: value for key, value in detail.items() if key.startswith("redrive")}
    assert redrive == {
        "redriveCount": 0, "redriveDate": None, "redriveStatus": "REDRIVABLE", "redriveStatusReason": None,
    }  # fmt: skip
    assert detail["stopDate"] >= detail["startDate"] > 1_600_000_000_000


def test_every_status_is_an_event_and_a_disabled_rule_hears_none(
    aws: LocalAws, make_machine: MakeMachine, inbox: tuple[str, Callable[[], list[Any]]]
) -> None:
    topic, read = inbox
    machine = make_machine({"A": {"Type": "Pass", "End": True}})
    name = put_rule(aws, {"detail": {"stateMachineArn": [machine]}}, {"Arn": topic, "InputPath": "$.detail.status"})
    start(aws, machine)
    wait_until(lambda: len(read()) == 2, "two events")
    assert sorted(read()) == ["RUNNING", "SUCCEEDED"]
    aws.client("events").disable_rule(Name=name)
    start(aws, machine)
    aws.events.settle()
    assert len(read()) == 2


def test_a_function_hears_an_event_only_if_its_policy_lets_eventbridge_in(
    aws: LocalAws, failing: str, make_function: MakeFunction
) -> None:
    arn = make_function("def handler(event, context): print(event['detail']['status'])")
    name = put_rule(aws, {"detail": {"stateMachineArn": [failing], "status": ["FAILED"]}}, {"Arn": arn})
    function = arn.rsplit(":", 1)[1]
    start(aws, failing)
    aws.events.settle()
    assert aws.events.undelivered[-1]["target"] == arn
    assert function not in [invocation.function for invocation in aws.stats.invocations]
    aws.client("lambda").add_permission(
        FunctionName=function,
        StatementId="events",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=RULE + name,
    )
    start(aws, failing)
    wait_until(lambda: function in [i.function for i in aws.stats.invocations], "the function to be called")


def test_what_can_t_be_delivered_goes_to_the_dead_letter_queue(
    aws: LocalAws, failing: str, make_function: MakeFunction
) -> None:
    url = aws.client("sqs").create_queue(QueueName="dead-letters")["QueueUrl"]
    queue = "arn:aws:sqs:us-east-1:123456789012:dead-letters"
    arn = make_function("def handler(event, context): return 1")
    pattern = {"detail": {"stateMachineArn": [failing], "status": ["FAILED"]}}
    put_rule(aws, pattern, {"Arn": arn, "DeadLetterConfig": {"Arn": queue}})
    start(aws, failing)
    aws.events.settle()
    [message] = aws.client("sqs").receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"])["detail"]["stateMachineArn"] == failing


def test_an_event_starts_a_state_machine_with_the_rule_s_role(
    aws: LocalAws, make_machine: MakeMachine, make_role: MakeRole
) -> None:
    machine = make_machine({"A": {"Type": "Pass", "End": True}})
    target = {
        "Arn": machine,
        "RoleArn": make_role("events", allow("states:StartExecution", machine)),
        "Input": '{"by":"rule"}',
    }
    put_rule(aws, {"source": ["tests"]}, target)
    entry = {"Source": "tests", "DetailType": "go", "Detail": "{}"}
    aws.client("events").put_events(Entries=[entry])
    client = aws.client("stepfunctions")
    wait_until(lambda: client.list_executions(stateMachineArn=machine)["executions"], "the execution")
    [execution] = client.list_executions(stateMachineArn=machine)["executions"]
    assert finished(aws, execution["executionArn"])["output"] == {"by": "rule"}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('{"who": <name>, "text": "it is <name>, <n>", "all": <detail>}',
         {"who": 'a "b"', "text": 'it is a "b", 1', "all": {"n": 1}}),
        ('"<name> failed"', 'a "b" failed'),
        ('{"missing": <nowhere>}', {"missing": None}),
    ],
)  # fmt: skip
def test_an_input_transformer_quotes_what_it_fills_in(template: str, expected: Any) -> None:
    paths = {"name": "$.name", "n": "$.detail.n", "detail": "$.detail", "nowhere": "$.nowhere"}
    target = {"InputTransformer": {"InputPathsMap": paths, "InputTemplate": template}}
    assert json.loads(shape(target, {"name": 'a "b"', "detail": {"n": 1}})) == expected


def test_a_target_that_we_can_t_reach_is_refused(aws: LocalAws) -> None:
    with pytest.raises(ClientError, match="NotImplementedByLocalAws"):
        put_rule(aws, {"source": ["x"]}, {"Arn": "arn:aws:ecs:us-east-1:123456789012:cluster/c"})


def test_a_rule_with_an_enabled_schedule_is_refused_and_a_disabled_one_is_kept(aws: LocalAws) -> None:
    events = aws.client("events")
    with pytest.raises(ClientError, match="A rule's schedule does not fire locally"):
        events.put_rule(Name="nightly", ScheduleExpression="rate(1 day)")
    events.put_rule(Name="nightly", ScheduleExpression="rate(1 day)", State="DISABLED")
    with pytest.raises(ClientError, match="A rule's schedule does not fire locally"):
        events.enable_rule(Name="nightly")
    assert events.describe_rule(Name="nightly")["State"] == "DISABLED"
