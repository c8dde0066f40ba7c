"""Who started an operation is what CloudTrail says, or unknown: never what the request says."""

from __future__ import annotations

import datetime as dt
import shlex
from typing import Any

import jmespath  # type: ignore[import-untyped]
import pytest
from botocore.exceptions import ConnectTimeoutError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.unit.fakes.trail import ALICE, FakeTrail, a_start
from tests.unit.support import ACCOUNT, NOW, OPERATION, OTHER_EXECUTION, REGION, an_execution
from utils.aws import client
from utils.operation.starter import Starter, find_starter, look_up, starter_lines

pytestmark = pytest.mark.usefixtures("stack")

LATER = NOW + dt.timedelta(minutes=40)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ops/Operators"
IN_A_ROLE: dict[str, Any] = {
    "type": "AssumedRole",
    "principalId": "AROAIDPPEZS35WEXAMPLE:alice@example.com",
    "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/Operators/alice@example.com",
    "accountId": ACCOUNT,
    "sessionContext": {"sessionIssuer": {"type": "Role", "arn": ROLE, "userName": "Operators"}},
}
SCHEDULE: dict[str, Any] = {
    **IN_A_ROLE,
    "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/Operators/0d1f3c5e",
    "invokedBy": "scheduler.amazonaws.com",
}


def found(now: dt.datetime = LATER) -> Starter:
    return find_starter(an_execution(now=now))


def line(request: Any = None) -> str:
    return starter_lines(found(), an_execution(now=LATER), request)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (a_start(), f"arn:aws:iam::{ACCOUNT}:user/alice (IAMUser), from 203.0.113.7"),
        (a_start(IN_A_ROLE), f"{ROLE}, session alice@example.com (AssumedRole), from 203.0.113.7"),
        (
            a_start(SCHEDULE, sourceIPAddress="scheduler.amazonaws.com"),
            f"{ROLE}, session 0d1f3c5e (AssumedRole), invoked by scheduler.amazonaws.com",
        ),
        (a_start({"type": "Root", "arn": f"arn:aws:iam::{ACCOUNT}:root"}), f"arn:aws:iam::{ACCOUNT}:root (Root), from"),
        (
            a_start(
                {"type": "AWSService", "invokedBy": "events.amazonaws.com"}, sourceIPAddress="events.amazonaws.com"
            ),
            "events.amazonaws.com (AWSService)",
        ),
        (a_start({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "94482488-3041"}}), "94482488-3041 (Identity"),
    ],
)
def test_people_are_told_who_it_was_by_what_identity_and_from_where(
    trail: FakeTrail, event: dict[str, Any], told: str
) -> None:
    trail.events = [event]
    assert line().startswith(f"Started by {told}")


def test_the_record_has_the_event_and_its_parts(trail: FakeTrail) -> None:
    trail.events = [a_start(SCHEDULE)]
    assert found() == Starter(
        known_from="cloudtrail",
        who=f"{ROLE}, session 0d1f3c5e (AssumedRole), invoked by scheduler.amazonaws.com, from 203.0.113.7",
        identity_type="AssumedRole",
        arn=SCHEDULE["arn"],
        role_arn=ROLE,
        session_name="0d1f3c5e",
        invoked_by="scheduler.amazonaws.com",
        source_ip="203.0.113.7",
        event_id="30a20c8e-a3a1-4b07-9139-cd9cd73b5eb8",
    )


def test_another_executions_start_is_nobody_s(trail: FakeTrail) -> None:
    """By the answer, not by the request: a name in a request may be anybody's, or belong to another machine."""
    trail.events = [
        a_start(execution=OTHER_EXECUTION),
        a_start(responseElements=None, errorCode="ExecutionAlreadyExists"),
        a_start(responseElements={"executionArn": None}),
    ]
    assert found().unknown.startswith("CloudTrail had no event of it 40 min after the start")


def test_of_several_calls_that_were_answered_with_it_the_first_started_it(trail: FakeTrail) -> None:
    """StartExecution answers a second call of the same name and input with the execution that runs."""
    bob = {**ALICE, "arn": f"arn:aws:iam::{ACCOUNT}:user/bob"}
    trail.events = [a_start(bob, at=NOW + dt.timedelta(seconds=9)), a_start()]
    assert found().arn == ALICE["arn"]


def test_two_pages_are_looked_through_and_no_more(trail: FakeTrail) -> None:
    others = [a_start(execution=OTHER_EXECUTION, at=NOW + dt.timedelta(seconds=1))] * 3
    trail.page, trail.events = 2, [*others, a_start()]
    assert found().arn == ALICE["arn"]
    trail.events = [*others, *others, a_start()]
    trail.calls.clear()
    assert found().unknown
    assert trail.operations() == ["LookupEvents"] * 2


def test_only_the_minute_around_the_start_is_asked_for(trail: FakeTrail) -> None:
    found()
    ((_, asked),) = trail.calls
    assert (asked["StartTime"], asked["EndTime"]) == (NOW - dt.timedelta(seconds=30), NOW + dt.timedelta(seconds=30))


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "OperationNotPermittedException"])
def test_a_refusal_is_told_and_costs_nothing_else(trail: FakeTrail, code: str) -> None:
    trail.refuse("LookupEvents", code, times=9)
    assert found() == Starter(unknown=f"CloudTrail could not be read (LookupEvents: {code})")


def test_a_cloudtrail_that_cant_be_reached_is_told(trail: FakeTrail) -> None:
    def fail(**_: object) -> None:
        raise ConnectTimeoutError(endpoint_url="https://cloudtrail")

    client("cloudtrail").meta.events.register_first("before-call.cloudtrail.LookupEvents", fail)
    try:
        assert found() == Starter(unknown="CloudTrail could not be reached (ConnectTimeoutError)")
    finally:
        client("cloudtrail").meta.events.unregister("before-call.cloudtrail.LookupEvents", fail)


def test_where_it_is_unknown_a_command_looks_it_up(trail: FakeTrail) -> None:
    said, command = line().split(" Look it up later:\n")
    assert said.startswith("Started by unknown: CloudTrail had no event of it")
    assert shlex.split(command) == [
        *("aws", "cloudtrail", "lookup-events"),
        *("--lookup-attributes", "AttributeKey=EventName,AttributeValue=StartExecution"),
        *("--start-time", "2026-03-10T02:59:30Z", "--end-time", "2026-03-10T03:00:30Z", "--region", REGION),
        *("--output", "text", "--query", f'Events[?contains(CloudTrailEvent, `"{OPERATION}"`)].CloudTrailEvent'),
    ]


def test_a_name_with_quotes_is_looked_up_as_it_is() -> None:
    name = "it's-a-drill!"
    command = look_up(replace(an_execution(), execution_name=name))
    query = jmespath.compile(shlex.split(command)[-1])
    events = [{"CloudTrailEvent": f'{{"name":"{each}"}}'} for each in (name, "its")]
    assert query.search({"Events": events}) == [events[0]["CloudTrailEvent"]]


def test_what_the_input_says_is_a_claim(trail: FakeTrail) -> None:
    request = {"scheduled_at": "2026-03-10T03:00:00Z\nStarted by root"}
    assert r"claims to be the schedule's of 2026-03-10T03:00:00Z\nStarted by root, which anybody can write" in line(
        request
    )
    trail.events = [a_start()]
    assert "claims" not in line(request)


def test_names_of_others_forge_no_line(trail: FakeTrail) -> None:
    trail.events = [a_start({**ALICE, "arn": "x\nDeleted prod-orders\x1b[2J"}, sourceIPAddress="\u202e")]
    assert line() == r"Started by x\nDeleted prod-orders\x1b[2J (IAMUser), from \u202e"


@given(st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_an_event_that_cant_be_read_is_passed_over(trail: FakeTrail, text: str) -> None:
    trail.events, trail.texts = [a_start()], [text, "[]", "7", '{"responseElements": 7}']
    assert found().arn == ALICE["arn"]


def test_an_event_without_an_identity_is_an_identity_without_a_name(trail: FakeTrail) -> None:
    trail.events = [a_start(userIdentity=None, sourceIPAddress=None, eventTime=f"{NOW:%Y-%m-%dT%H:%M:%SZ}")]
    assert found().who == "an identity without a name"
