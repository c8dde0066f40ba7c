"""The few things that most tests of the embedded AWS need."""

from __future__ import annotations

import io
import json
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scripts.local_aws.server import LocalAws
from tests.integration.conftest import leave_at_rest

Answer = dict[str, Any]
MakeRole = Callable[..., str]
MakeFunction = Callable[..., str]
Run = Callable[..., Answer]

FAR_TOO_LONG_SECONDS = 30


def allow(action: str | list[str], resource: str | list[str] = "*") -> Answer:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


@pytest.fixture(scope="module", autouse=True)
def _what_a_module_makes_goes_with_it(aws: LocalAws) -> Iterator[None]:
    yield from leave_at_rest(aws)


@pytest.fixture(autouse=True)
def _what_a_test_makes_goes_with_it(aws: LocalAws) -> Iterator[None]:
    """Remove what a test has made, and keep what its module has made for all of its tests."""
    found = aws.aurora.existing()
    yield
    aws.aurora.remove_all_but(found)


@pytest.fixture(scope="session")
def make_role(aws: LocalAws) -> MakeRole:
    """make_role("lambda", allow("rds:*")): a role for a service with an inline policy; its ARN."""

    def make(service: str, *statements: Answer) -> str:
        iam = aws.client("iam")
        name = f"{service}-{uuid.uuid4().hex[:8]}"
        principal = {"Service": f"{service}.amazonaws.com"}
        trust = [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=_policy(list(statements)))
        arn: str = role["Role"]["Arn"]
        return arn

    return make


def _policy(statements: list[Answer]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@pytest.fixture(scope="session")
def function_role(make_role: MakeRole) -> str:
    return make_role("lambda", allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]))


@pytest.fixture(scope="session")
def machine_role(make_role: MakeRole) -> str:
    return make_role("states", allow("lambda:InvokeFunction"))


@pytest.fixture(scope="session")
def make_function(aws: LocalAws, function_role: str) -> MakeFunction:
    """make_function(source): a Lambda function with this module as its code, handler `app.handler`; its ARN."""

    def make(source: str, **settings: Any) -> str:
        parameters = {
            "FunctionName": f"f-{uuid.uuid4().hex[:8]}",
            "Runtime": "python3.13",
            "Role": function_role,
            "Handler": "app.handler",
            "Code": {"ZipFile": zipped({"app.py": source})},
            **settings,
        }
        arn: str = aws.client("lambda").create_function(**parameters)["FunctionArn"]
        return arn

    return make


def zipped(files: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


@pytest.fixture(scope="session")
def make_machine(aws: LocalAws, machine_role: str) -> Callable[..., str]:
    """make_machine({"A": {...}}): a state machine that starts with the first state; its ARN."""

    def make(states: Answer, **settings: Any) -> str:
        fields: Answer = {key: settings.pop(key) for key in ("TimeoutSeconds", "StartAt") if key in settings}
        definition = {"StartAt": next(iter(states)), "States": states, **fields}
        parameters = {"name": f"m-{uuid.uuid4().hex[:8]}", "roleArn": machine_role, **settings}
        created = aws.client("stepfunctions").create_state_machine(definition=json.dumps(definition), **parameters)
        arn: str = created["stateMachineArn"]
        return arn

    return make


@pytest.fixture(scope="session")
def run(aws: LocalAws, make_machine: Callable[..., str]) -> Run:
    """run({"A": {...}}, input): DescribeExecution's answer once it is over; its `output` as a document."""

    def run_states(states: Answer, execution_input: Any = None, **settings: Any) -> Answer:
        arn = make_machine(states, **settings)
        given = json.dumps({} if execution_input is None else execution_input)
        started = aws.client("stepfunctions").start_execution(stateMachineArn=arn, input=given)
        return finished(aws, started["executionArn"])

    return run_states


def finished(aws: LocalAws, execution_arn: str) -> Answer:
    """DescribeExecution's answer once the execution is over; its `output` as a document."""
    client = aws.client("stepfunctions")
    answer: Answer = {}

    def over() -> bool:
        answer.update(client.describe_execution(executionArn=execution_arn))
        return bool(answer["status"] != "RUNNING")

    wait_until(over, f"the end of {execution_arn}")
    return {**answer, "output": json.loads(answer["output"])} if "output" in answer else answer


def wait_until(true: Callable[[], Any], what: str, seconds: float = FAR_TOO_LONG_SECONDS) -> Any:
    """Whatever `true` returns once it is true; a test that waits too long fails and says for what."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while time.monotonic() < deadline:
        if value := true():
            return value
        pause.wait(0.005)
    pytest.fail(f"waited {seconds} s for {what}")


def history(aws: LocalAws, execution_arn: str) -> list[Answer]:
    pages = aws.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=execution_arn)
    return [event for page in pages for event in page["events"]]


@pytest.fixture
def inbox(aws: LocalAws) -> tuple[str, Callable[[], list[Any]]]:
    """A topic that EventBridge may publish to, and how to read what arrived there."""
    name = f"inbox-{uuid.uuid4().hex[:8]}"
    queue = aws.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    topic = aws.client("sns").create_topic(Name=name)["TopicArn"]
    subscription = {"Protocol": "sqs", "Endpoint": f"arn:aws:sqs:us-east-1:123456789012:{name}"}
    aws.client("sns").subscribe(TopicArn=topic, Attributes={"RawMessageDelivery": "true"}, **subscription)
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sns:Publish"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Resource": topic}]})
    aws.client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    found: list[Any] = []

    def read() -> list[Any]:
        messages = aws.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        found.extend(json.loads(message["Body"]) for message in messages)
        return found

    return topic, read


def put_rule(aws: LocalAws, pattern: Answer, *targets: Answer) -> str:
    name = f"rule-{uuid.uuid4().hex[:8]}"
    events = aws.client("events")
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": str(position), **t} for position, t in enumerate(targets)])
    return name
