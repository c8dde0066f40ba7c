"""EventBridge Scheduler: an enabled schedule starts its machine on the virtual clock, by its role, at least once."""

from __future__ import annotations

import datetime as dt
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.core.clock import Clock
from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.conftest import Answer, MakeRole, allow

DAY = 86_400
INPUT = json.dumps(
    {
        "moment": "<aws.scheduler.scheduled-time>",
        "schedule": "<aws.scheduler.schedule-arn>",
        "attempt": "<aws.scheduler.attempt-number>",
        "id": "<aws.scheduler.execution-id>",
        "other": "<aws.scheduler.nothing>",
    }
)


class Nightly:
    """A schedule of a machine that does nothing, and what it started."""

    def __init__(self, aws: LocalAws, machine: str, role: str, queue: str) -> None:
        self.aws, self.machine, self.role, self.queue = aws, machine, role, queue
        self.name = f"nightly-{uuid.uuid4().hex[:8]}"

    def settings(self, expression: str, **changes: Any) -> Answer:
        target = {
            "Arn": self.machine,
            "RoleArn": self.role,
            "Input": INPUT,
            "RetryPolicy": {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 3},
            "DeadLetterConfig": {"Arn": self.queue},
            **changes.pop("target", {}),
        }
        given = {"Name": self.name, "ScheduleExpression": expression, "FlexibleTimeWindow": {"Mode": "OFF"}}
        return {**given, "Target": target, **changes}

    def create(self, expression: str, **changes: Any) -> None:
        self.aws.client("scheduler").create_schedule(**self.settings(expression, **changes))

    def update(self, expression: str, **changes: Any) -> None:
        self.aws.client("scheduler").update_schedule(**self.settings(expression, **changes))

    def pass_time(self, seconds: float) -> None:
        self.aws.clock.sleep(seconds)
        self.aws.schedules.settle()

    def inputs(self) -> list[Answer]:
        """Return what the machine was started with, in the order of the starts."""
        states = self.aws.client("stepfunctions")
        found = states.list_executions(stateMachineArn=self.machine)["executions"]
        texts = [states.describe_execution(executionArn=each["executionArn"]) for each in found]
        return [json.loads(each["input"]) for each in sorted(texts, key=lambda each: each["startDate"])]

    def moments(self) -> list[str]:
        return [given["moment"] for given in self.inputs()]

    def dead_letters(self) -> list[Answer]:
        sqs = self.aws.client("sqs")
        url = sqs.get_queue_url(QueueName=self.queue.rsplit(":", 1)[-1])["QueueUrl"]
        given = {"QueueUrl": url, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]}
        return list(sqs.receive_message(**given).get("Messages", []))


@pytest.fixture
def nightly(aws: LocalAws, make_machine: Callable[..., str], make_role: MakeRole) -> Iterator[Nightly]:
    machine = make_machine({"A": {"Type": "Pass", "End": True}})
    queue = f"dead-{uuid.uuid4().hex[:8]}"
    aws.client("sqs").create_queue(QueueName=queue)
    arn = f"arn:aws:sqs:us-east-1:123456789012:{queue}"
    role = make_role("scheduler", allow("states:StartExecution", machine), allow("sqs:SendMessage", arn))
    made = Nightly(aws, machine, role, arn)
    yield made
    aws.faults.clear()
    scheduler = aws.client("scheduler")
    if any(each["Name"] == made.name for each in scheduler.list_schedules()["Schedules"]):
        scheduler.delete_schedule(Name=made.name)


def nights(after: dt.datetime, hour: int, count: int, minute: int = 0) -> list[str]:
    """Return that time, UTC, of the next days."""
    first = after.replace(hour=hour, minute=minute, second=0, microsecond=0)
    first += dt.timedelta(days=first <= after)
    return [f"{first + dt.timedelta(days=day):%Y-%m-%dT%H:%M:%SZ}" for day in range(count)]


def test_it_fires_every_night_when_time_passes_and_says_the_moment(aws: LocalAws, nightly: Nightly) -> None:
    begin = aws.clock.now()
    nightly.create("cron(0 2 * * ? *)")
    nightly.pass_time(3 * DAY)
    assert nightly.moments() == nights(begin, 2, 3)
    given = nightly.inputs()
    assert {each["schedule"] for each in given} == {
        f"arn:aws:scheduler:us-east-1:123456789012:schedule/default/{nightly.name}"
    }
    assert {each["attempt"] for each in given} == {"1"}
    assert len({each["id"] for each in given}) == 3
    assert {each["other"] for each in given} == {"<aws.scheduler.nothing>"}, "what isn't known stays as it is"
    started = aws.client("stepfunctions").list_executions(stateMachineArn=nightly.machine)["executions"]
    late = (
        sorted(each["startDate"].timestamp() for each in started)[0]
        - dt.datetime.fromisoformat(nights(begin, 2, 1)[0]).timestamp()
    )
    assert 0 <= late < 60, "within the minute, as documented, and never before"


def test_a_time_zone_counts(aws: LocalAws, nightly: Nightly) -> None:
    begin = aws.clock.now()
    nightly.create("cron(0 2 * * ? *)", ScheduleExpressionTimezone="Asia/Kolkata")
    nightly.pass_time(DAY)
    assert nightly.moments() == nights(begin, 20, 1, minute=30)


def test_a_rate_begins_at_once_and_an_end_date_ends_it(aws: LocalAws, nightly: Nightly) -> None:
    nightly.create("rate(1 hour)", EndDate=aws.clock.now() + dt.timedelta(hours=2, minutes=30))
    nightly.pass_time(5)
    assert len(nightly.moments()) == 1
    nightly.pass_time(DAY)
    assert len(nightly.moments()) == 3


@pytest.mark.full
def test_a_start_date_is_waited_for(aws: LocalAws, nightly: Nightly) -> None:
    begin = aws.clock.now().replace(microsecond=0) + dt.timedelta(days=2)
    nightly.create("rate(1 day)", StartDate=begin)
    nightly.pass_time(2 * DAY + 60)
    assert nightly.moments() == [f"{begin:%Y-%m-%dT%H:%M:%SZ}"]


def test_a_disabled_one_fires_nothing_until_it_is_enabled(aws: LocalAws, nightly: Nightly) -> None:
    nightly.create("cron(0 2 * * ? *)", State="DISABLED")
    nightly.pass_time(2 * DAY)
    assert nightly.moments() == []
    begin = aws.clock.now()
    nightly.update("cron(0 2 * * ? *)", State="ENABLED")
    nightly.pass_time(DAY)
    assert nightly.moments() == nights(begin, 2, 1)
    nightly.update("cron(0 2 * * ? *)", State="DISABLED")
    nightly.pass_time(2 * DAY)
    assert nightly.moments() == nights(begin, 2, 1)


@pytest.mark.full
def test_an_update_moves_it_and_a_deletion_ends_it(aws: LocalAws, nightly: Nightly) -> None:
    nightly.create("cron(0 2 * * ? *)")
    begin = aws.clock.now()
    nightly.update("cron(0 5 * * ? *)")
    nightly.pass_time(DAY)
    assert nightly.moments() == nights(begin, 5, 1)
    aws.client("scheduler").delete_schedule(Name=nightly.name)
    nightly.pass_time(2 * DAY)
    assert len(nightly.moments()) == 1


@pytest.mark.full
def test_an_event_may_come_twice(aws: LocalAws, nightly: Nightly) -> None:
    begin = aws.clock.now()
    aws.faults.add(schedule=nightly.name, seconds=600)
    nightly.create("cron(0 2 * * ? *)")
    nightly.pass_time(2 * DAY)
    first, second = nights(begin, 2, 2)
    assert nightly.moments() == [first, first, second]
    assert len({given["id"] for given in nightly.inputs()}) == 3
    assert aws.faults.pending() == []


def test_a_refused_start_is_tried_again(aws: LocalAws, nightly: Nightly) -> None:
    begin = aws.clock.now()
    # Its own machine's starts alone: the server is shared, and a stack that another test left has schedules too.
    own = {"stateMachineArn": nightly.machine}
    aws.faults.add(operation="states:StartExecution", parameters=own, code="ThrottlingException", times=2)
    nightly.create("cron(0 2 * * ? *)")
    nightly.pass_time(DAY)
    assert nightly.moments() == nights(begin, 2, 1), "of the moment that was meant, not of the attempt's"
    assert [given["attempt"] for given in nightly.inputs()] == ["3"]
    assert nightly.dead_letters() == []


@pytest.mark.parametrize(
    ("policy", "exhausted", "attempts"),
    [
        ({"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 2}, "MaximumRetryAttempts", "2"),
        ({"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 9}, "MaximumEventAgeInSeconds", "2"),
    ],
)
def test_without_the_right_to_start_it_becomes_a_dead_letter(
    aws: LocalAws, nightly: Nightly, make_role: MakeRole, policy: Answer, exhausted: str, attempts: str
) -> None:
    begin = aws.clock.now()
    role = make_role("scheduler", allow("sqs:SendMessage", nightly.queue))
    nightly.create("cron(0 2 * * ? *)", target={"RoleArn": role, "RetryPolicy": policy})
    nightly.pass_time(DAY + 3600)
    assert nightly.moments() == []
    (letter,) = nightly.dead_letters()[:1]
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert attributes["ERROR_CODE"] == "AccessDeniedException"
    assert attributes["EXHAUSTED_RETRY_CONDITION"] == exhausted
    assert attributes["RETRY_ATTEMPTS"] == attempts
    assert attributes["SCHEDULED_TIME"] == nights(begin, 2, 1)[0]
    assert attributes["TARGET_ARN"] == nightly.machine
    assert json.loads(json.loads(letter["Body"])["Input"])["moment"] == nights(begin, 2, 1)[0]


def test_a_letter_that_the_role_may_not_leave_is_remembered(
    aws: LocalAws, nightly: Nightly, make_role: MakeRole
) -> None:
    nightly.create("cron(0 2 * * ? *)", target={"RoleArn": make_role("scheduler")})
    nightly.pass_time(DAY + 3600)
    (lost,) = [each for each in aws.schedules.undelivered if each["target"] == nightly.machine][:1]
    assert "is not authorized to perform: states:StartExecution" in lost["error"]
    assert "sqs:SendMessage" in lost["queue_error"].lower().replace("sqs:sendmessage", "sqs:SendMessage")


@pytest.mark.parametrize("given", ["cron(0 2 * * *)", "rate(5 seconds)", "at(2026-12-24)"])
def test_what_aws_refuses_is_refused_also_of_a_disabled_one(nightly: Nightly, given: str) -> None:
    with pytest.raises(ClientError, match="Invalid Schedule Expression") as refused:
        nightly.create(given, State="DISABLED")
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    nightly.create("rate(1 day)", State="DISABLED")
    with pytest.raises(ClientError, match="Invalid Schedule Expression"):
        nightly.update(given)
    kept = nightly.aws.client("scheduler").get_schedule(Name=nightly.name)
    assert (kept["ScheduleExpression"], kept["State"]) == ("rate(1 day)", "DISABLED")


def test_a_role_that_scheduler_may_not_take_on_is_refused(nightly: Nightly, make_role: MakeRole) -> None:
    with pytest.raises(ClientError, match="must allow AWS EventBridge Scheduler to assume the role"):
        nightly.create("rate(1 day)", target={"RoleArn": make_role("lambda")})


@pytest.mark.parametrize(
    "changes",
    [
        {"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}},
        {"ActionAfterCompletion": "DELETE"},
        {"target": {"Arn": "arn:aws:lambda:us-east-1:123456789012:function:f"}},
        {"target": {"SqsParameters": {"MessageGroupId": "g"}}},
    ],
)
def test_what_only_aws_knows_is_refused_by_name(nightly: Nightly, changes: Answer) -> None:
    with pytest.raises(ClientError, match="NotImplementedByLocalAws"):
        nightly.create("rate(1 day)", **changes)


def test_a_clock_that_moves_for_somebody_who_watches_doesnt_run_through_the_nights() -> None:
    clock, stop = Clock(real_time=False), threading.Event()
    fired: list[str] = []

    def again(after: float) -> None:
        fired.append("night")
        clock.call_at(after + DAY, lambda: again(after + DAY), recurring=True)

    begin = clock.time()
    clock.call_at(begin + DAY, lambda: again(begin + DAY), recurring=True)
    clock.call_at(begin + 600, lambda: fired.append("cluster"))
    watching = threading.Thread(target=clock.keep_moving, args=(stop, 0.01))
    watching.start()
    stop.wait(0.3)
    assert fired == ["cluster"]
    clock.sleep(DAY)
    stop.set()
    watching.join()
    assert fired == ["cluster", "night"]
    clock.close()
