"""The nightly restore: EventBridge Scheduler starts it by itself, and nobody silences it."""

from __future__ import annotations

import datetime as dt
import json
import shlex
import zoneinfo
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.local_aws.server import LocalAws
from scripts.local_run import stage
from scripts.local_run.production import Production
from scripts.local_run.stage import REGION, SOURCE, Stage
from tests.integration.pipeline.support import Pipeline, Run

PREFIX, ZONE, HOUR = "nights", "Europe/Berlin", 3


@pytest.fixture(scope="module")
def place(aws: LocalAws) -> Iterator[Stage]:
    """A stack of its own, whose schedule is on."""
    names = {"NamePrefix": PREFIX, "StateTableName": "NightsState", "AuditTableName": "NightsAudit"}
    schedule = {"ScheduleState": "ENABLED", "ScheduleExpression": f"cron(0 {HOUR} * * ? *)", "ScheduleTimezone": ZONE}
    wanted = {"SourceClusterId": SOURCE, "TargetClusterId": "nightly-{date}", "InstanceCount": "1"}
    made = stage.deploy(aws, cross_region=False, overrides=names | schedule | wanted, stack_name=PREFIX)
    yield made
    aws.client("scheduler").delete_schedule(Name=made.stack.resources["Schedule"])


class Nights:
    """The schedule's moments, and the executions that it started."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline, self.aws = pipeline, pipeline.aws
        self.targets: list[str] = []

    def next(self) -> dt.datetime:
        """Return the next moment at which the clock on the wall says three."""
        local = self.aws.clock.now().astimezone(zoneinfo.ZoneInfo(ZONE))
        night = local.replace(hour=HOUR, minute=0, second=0, microsecond=0)
        return (night + dt.timedelta(days=night <= local)).astimezone(dt.UTC)

    def wait_for(self, moment: dt.datetime, more_seconds: float = 1) -> None:
        self.aws.clock.sleep(moment.timestamp() + more_seconds - self.aws.clock.time())
        self.aws.schedules.settle()
        self.targets.append(f"nightly-{moment:%Y%m%d}")

    def started(self, moment: dt.datetime) -> list[str]:
        """Return the executions that began at a moment or later with what the schedule brings, oldest first."""
        states = self.aws.client("stepfunctions", REGION)
        found = states.list_executions(stateMachineArn=self.pipeline.place.state_machine_arn)["executions"]
        wanted = {"scheduled_at": text_of(moment)}
        later = [each for each in found if each["startDate"] >= moment]
        arns = [each["executionArn"] for each in sorted(later, key=lambda each: each["startDate"])]
        return [arn for arn in arns if json.loads(states.describe_execution(executionArn=arn)["input"]) == wanted]

    def dead_letters(self) -> list[dict[str, str]]:
        sqs = self.aws.client("sqs")
        url = sqs.get_queue_url(QueueName=f"{PREFIX}-dead-letters")["QueueUrl"]
        letters = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages", [])
        return [{name: each["StringValue"] for name, each in one["MessageAttributes"].items()} for one in letters]


@pytest.fixture
def nights(place: Stage, production: Production) -> Iterator[Nights]:
    made = Nights(Pipeline(place))
    place.received_messages()
    yield made
    made.aws.faults.clear()
    for target in made.targets:
        made.pipeline.remove(target)


def text_of(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def operation_of(moment: dt.datetime) -> str:
    return f"scheduled-{moment:%Y%m%dT%H%M%SZ}"


def ended(run: Run, status: str) -> Run:
    assert run.status == status, run.reason
    return run


@pytest.mark.full
def test_it_restores_every_night_whatever_was_planned_or_refused_before(nights: Nights) -> None:
    """Its event comes twice, and each night has a cluster of its own."""
    pipeline, moment = nights.pipeline, nights.next()
    plan = ended(pipeline.run({"scheduled_at": text_of(moment), "dry_run": True}), "SUCCEEDED")
    assert plan.output["operation_id"] == plan.operation_id
    for taking in (
        {"scheduled_at": text_of(moment)},
        {"scheduled_at": text_of(moment), "port": 80},
        {"operation_id": operation_of(moment)},
        {"operation_id": operation_of(moment), "dry_run": True},
    ):
        refused = ended(pipeline.run(taking), "FAILED")
        assert (refused.followed.error, refused.changes) == ("RequestRefused", [])
    assert ended(pipeline.run({}, name=operation_of(moment)), "FAILED").followed.error == "RequestRefused"
    assert pipeline.state(operation_of(moment)) is None

    nights.aws.faults.add(schedule="*", seconds=30)
    nights.wait_for(moment, more_seconds=31)
    first, second = nights.started(moment)
    night = ended(pipeline.end(first), "SUCCEEDED")
    assert night.output["plan"]["operation_id"] == operation_of(moment)
    assert pipeline.cluster(f"nightly-{moment:%Y%m%d}") is not None
    assert 0 <= (night.followed.started_at - moment).total_seconds() < 60
    twice = ended(pipeline.end(second), "FAILED")
    assert twice.followed.error == "DuplicateRefused"
    assert [each["subject"].split(":")[0].split()[-1] for each in night.messages + twice.messages] == ["SUCCEEDED"]

    following = nights.next()
    assert following.date() > moment.date()
    nights.wait_for(following)
    (only,) = nights.started(following)
    assert ended(pipeline.end(only), "SUCCEEDED").output["plan"]["operation_id"] == operation_of(following)
    assert pipeline.cluster(f"nightly-{following:%Y%m%d}") is not None
    assert pipeline.cluster(f"nightly-{moment:%Y%m%d}") is not None


@pytest.mark.full
def test_a_second_event_is_told_when_the_nights_run_has_failed_and_its_command_resumes_it(nights: Nights) -> None:
    pipeline, moment = nights.pipeline, nights.next()
    nights.aws.faults.add(schedule="*", seconds=3 * 3600)
    nights.aws.faults.add(lifecycle="create-instance", status="incompatible-network")
    nights.wait_for(moment)
    (first,) = nights.started(moment)
    assert "resume" in ended(pipeline.end(first), "FAILED").messages[0]["message"]

    nights.wait_for(moment, more_seconds=3 * 3600 + 1)
    _, second = nights.started(moment)
    repeated = ended(pipeline.end(second), "FAILED")
    (message,) = repeated.messages
    assert f"whose execution {first} has ended without success" in message["message"]
    (command,) = [line for line in message["message"].splitlines() if "start-execution" in line]
    words: list[Any] = shlex.split(command)
    request = json.loads(words[words.index("--input") + 1])
    assert request == {"operation_id": operation_of(moment), "resume": True}
    assert ended(pipeline.run(request), "SUCCEEDED").output["plan"]["operation_id"] == operation_of(moment)


@pytest.mark.full
def test_a_night_on_which_nothing_can_be_started_leaves_a_letter_and_the_next_one_restores(nights: Nights) -> None:
    moment = nights.next()
    nights.aws.faults.add(operation="states:StartExecution", code="ThrottlingException", seconds=3600)
    nights.wait_for(moment, more_seconds=2 * 3600)
    assert nights.started(moment) == []
    (letter,) = nights.dead_letters()
    assert (letter["SCHEDULED_TIME"], letter["ERROR_CODE"]) == (text_of(moment), "ThrottlingException")
    following = nights.next()
    nights.wait_for(following)
    (only,) = nights.started(following)
    ended(nights.pipeline.end(only), "SUCCEEDED")
