"""CloudTrail's event history: it knows who called, minutes later, and refuses what AWS refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.core.credentials import aws_client
from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.conftest import Answer, MakeRole, allow

MakeMachine = Callable[..., str]
STARTS = [{"AttributeKey": "EventName", "AttributeValue": "StartExecution"}]


@pytest.fixture
def machine(make_machine: MakeMachine) -> str:
    return make_machine({"A": {"Type": "Succeed"}})


def events_of(aws: LocalAws, execution: str, **asked: Any) -> list[Answer]:
    aws.clock.sleep(301)
    found = aws.client("cloudtrail").lookup_events(**{"LookupAttributes": STARTS, **asked})["Events"]
    records = [{**each, "CloudTrailEvent": json.loads(each["CloudTrailEvent"])} for each in found]
    return [each for each in records if execution in str(each["CloudTrailEvent"]["responseElements"])]


def start(aws: LocalAws, machine: str) -> str:
    return str(aws.client("stepfunctions").start_execution(stateMachineArn=machine)["executionArn"])


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as error:
        call()
    return str(error.value.response["Error"]["Code"])


def test_a_start_is_there_with_its_caller_and_its_answer(aws: LocalAws, machine: str) -> None:
    execution = start(aws, machine)
    (event,) = events_of(aws, execution)
    record = event["CloudTrailEvent"]
    operator = f"arn:aws:iam::{aws.account_id}:user/operator"
    assert (record["userIdentity"]["type"], record["userIdentity"]["arn"]) == ("IAMUser", operator)
    assert (event["Username"], event["ReadOnly"], event["EventSource"]) == ("operator", "false", "states.amazonaws.com")
    assert record["responseElements"]["executionArn"] == execution
    assert record["requestParameters"]["stateMachineArn"] == machine


def test_a_session_s_call_names_the_role_and_the_session(aws: LocalAws, machine: str, make_role: MakeRole) -> None:
    role = make_role("scheduler", allow("states:StartExecution", machine))
    session = aws.permissions.assume(
        role, service="scheduler.amazonaws.com", session_name="tonight", region="us-east-1"
    )
    states = aws_client("stepfunctions", "us-east-1", aws.endpoint_url, session, attempts=1)
    execution = states.start_execution(stateMachineArn=machine)["executionArn"]
    ((event,), name) = events_of(aws, execution), role.rpartition("/")[2]
    identity = event["CloudTrailEvent"]["userIdentity"]
    assert identity["arn"] == f"arn:aws:sts::{aws.account_id}:assumed-role/{name}/tonight"
    assert identity["sessionContext"]["sessionIssuer"]["arn"] == role


def test_an_event_appears_minutes_later(aws: LocalAws, machine: str) -> None:
    execution = start(aws, machine)
    found = aws.client("cloudtrail").lookup_events(LookupAttributes=STARTS)["Events"]
    assert not [each for each in found if execution in each["CloudTrailEvent"]]
    assert len(events_of(aws, execution)) == 1


def test_what_was_refused_is_there_with_its_error(aws: LocalAws, machine: str) -> None:
    assert refused(lambda: start(aws, f"{machine}x")) == "StateMachineDoesNotExist"
    aws.clock.sleep(301)
    newest = aws.client("cloudtrail").lookup_events(LookupAttributes=STARTS, MaxResults=1)["Events"][0]
    record = json.loads(newest["CloudTrailEvent"])
    assert (record["errorCode"], record["responseElements"]) == ("StateMachineDoesNotExist", None)


def test_data_events_are_not_in_the_history(aws: LocalAws) -> None:
    aws.client("sns").publish(TopicArn=aws.client("sns").create_topic(Name="data-events")["TopicArn"], Message="m")
    aws.clock.sleep(301)
    by_source = [{"AttributeKey": "EventSource", "AttributeValue": "sns.amazonaws.com"}]
    found = aws.client("cloudtrail").lookup_events(LookupAttributes=by_source)["Events"]
    assert {each["EventName"] for each in found} >= {"CreateTopic"}
    assert "Publish" not in {each["EventName"] for each in found}


def test_pages_are_asked_for_with_the_same_question(aws: LocalAws, machine: str) -> None:
    execution = [start(aws, machine) for _ in range(3)][-1]
    aws.clock.sleep(301)
    trail = aws.client("cloudtrail")
    first = trail.lookup_events(LookupAttributes=STARTS, MaxResults=2)
    assert execution in first["Events"][0]["CloudTrailEvent"]
    token = first["NextToken"]
    second = trail.lookup_events(LookupAttributes=STARTS, MaxResults=2, NextToken=token)
    assert not {each["EventId"] for each in first["Events"]} & {each["EventId"] for each in second["Events"]}
    aws.clock.sleep(2)
    assert refused(lambda: trail.lookup_events(NextToken=token)) == "InvalidNextTokenException"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"LookupAttributes": [*STARTS, *STARTS]}, "InvalidLookupAttributesException"),
        ({"StartTime": "2026-03-02", "EndTime": "2026-03-01"}, "InvalidTimeRangeException"),
    ],
)
def test_what_aws_refuses_is_refused(aws: LocalAws, asked: Answer, code: str) -> None:
    aws.clock.sleep(2)
    assert refused(lambda: aws.client("cloudtrail").lookup_events(**asked)) == code


def test_two_lookups_a_second_are_all(aws: LocalAws) -> None:
    aws.clock.sleep(2)
    credentials = aws.operator
    trail = aws_client("cloudtrail", "us-east-1", aws.endpoint_url, credentials, attempts=1)
    codes = set()
    for _ in range(9):
        try:
            trail.lookup_events()
        except ClientError as error:
            codes.add(error.response["Error"]["Code"])
    assert codes == {"ThrottlingException"}


def test_a_role_needs_the_permission(aws: LocalAws, make_role: MakeRole) -> None:
    aws.clock.sleep(2)
    for statements, works in (([], False), ([allow("cloudtrail:LookupEvents")], True)):
        role = make_role("lambda", *statements)
        session = aws.permissions.assume(role, service="lambda.amazonaws.com", session_name="s", region="us-east-1")
        trail = aws_client("cloudtrail", "us-east-1", aws.endpoint_url, session, attempts=1)
        if works:
            assert "Events" in trail.lookup_events()
        else:
            assert refused(trail.lookup_events) == "AccessDeniedException"


def test_other_operations_are_refused_by_name(aws: LocalAws) -> None:
    assert refused(lambda: aws.client("cloudtrail").list_trails()) == "NotImplementedByLocalAws"
