"""Who started a run is told, as CloudTrail has it; where it isn't there (yet), that is told."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.local_aws.core.credentials import Credentials, aws_client
from scripts.local_run.stage import REGION
from tests.integration.pipeline.reader import Reader, commands
from tests.integration.pipeline.support import Pipeline, Run, numbers, settle


@pytest.fixture
def at_once(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events appear with their calls, so that a dry run, which takes seconds, finds its own."""
    monkeypatch.setattr("scripts.local_aws.events.trail.DELAY_SECONDS", 0.0)


def told(run: Run) -> str:
    (message,) = run.messages
    (line,) = [line for line in message["message"].splitlines() if line.startswith("Started by ")]
    return line.removeprefix("Started by ")


def started_as(pipeline: Pipeline, credentials: Credentials, target: str) -> Run:
    states = aws_client("stepfunctions", REGION, pipeline.aws.endpoint_url, credentials, attempts=1)
    given = json.dumps({"target_cluster_id": target, "dry_run": True})
    machine, name = pipeline.place.state_machine_arn, f"started-{next(numbers)}"
    return pipeline.end(states.start_execution(stateMachineArn=machine, name=name, input=given)["executionArn"])


@contextlib.contextmanager
def without_permission(pipeline: Pipeline) -> Iterator[None]:
    iam, role = pipeline.aws.client("iam"), pipeline.place.stack.resources["SnsNotificationRole"]
    deny = {"Effect": "Deny", "Action": "cloudtrail:LookupEvents", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    iam.put_role_policy(RoleName=role, PolicyName="no-trail", PolicyDocument=policy)
    yield
    iam.delete_role_policy(RoleName=role, PolicyName="no-trail")


def test_whoever_started_a_restore_is_named_and_recorded(pipeline: Pipeline, target: str) -> None:
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "SUCCEEDED", run.reason
    operator = f"arn:aws:iam::{pipeline.aws.account_id}:user/operator"
    assert told(run) == f"{operator} (IAMUser), from 127.0.0.1"
    state = pipeline.state(run.operation_id)
    assert state is not None
    assert state["started_by"]["M"]["arn"] == {"S": operator}


@pytest.mark.full
@pytest.mark.usefixtures("at_once")
def test_a_person_in_a_role_is_named_by_role_and_session(pipeline: Pipeline, target: str) -> None:
    iam, sts = pipeline.aws.client("iam"), pipeline.aws.client("sts")
    account = {"Effect": "Allow", "Principal": {"AWS": pipeline.aws.account_id}, "Action": "sts:AssumeRole"}
    start = {"Effect": "Allow", "Action": "states:StartExecution", "Resource": pipeline.place.state_machine_arn}
    trust, policy = (json.dumps({"Version": "2012-10-17", "Statement": [each]}) for each in (account, start))
    name = f"operators-{next(numbers)}"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="start", PolicyDocument=policy)
    made = sts.assume_role(RoleArn=role, RoleSessionName="alice@example.com")["Credentials"]
    session = Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    assert told(started_as(pipeline, session, target)).startswith(f"{role}, session alice@example.com (AssumedRole)")


@pytest.mark.full
@pytest.mark.usefixtures("at_once")
def test_the_schedule_is_named_by_its_role(pipeline: Pipeline, target: str) -> None:
    role = f"arn:aws:iam::{pipeline.aws.account_id}:role/{pipeline.place.stack.resources['ScheduleRole']}"
    service = "scheduler.amazonaws.com"
    session = pipeline.aws.permissions.assume(role, service=service, session_name="0d1f3c5e", region=REGION)
    assert told(started_as(pipeline, session, target)).startswith(f"{role}, session 0d1f3c5e (AssumedRole)")


@pytest.mark.full
def test_of_a_run_that_ends_at_once_it_is_looked_up_later(pipeline: Pipeline, target: str) -> None:
    run = pipeline.run({"target_cluster_id": target, "dry_run": True})
    assert told(run).startswith("unknown: CloudTrail had no event of it 0 min after the start")
    settle(pipeline)
    (message,) = run.messages
    (command,) = commands(message["message"], "cloudtrail")
    (event,) = Reader(pipeline).type(command).split("\n", 1)[:1]
    assert json.loads(event)["responseElements"]["executionArn"] == run.execution_arn


@pytest.mark.full
@pytest.mark.usefixtures("at_once")
def test_nothing_about_cloudtrail_keeps_people_from_being_told(pipeline: Pipeline, target: str) -> None:
    given: dict[str, Any] = {"target_cluster_id": target, "dry_run": True}
    with without_permission(pipeline):
        assert "could not be read (LookupEvents: AccessDeniedException)" in told(pipeline.run(given))
    pipeline.aws.faults.add(operation="cloudtrail:LookupEvents", code="ThrottlingException", times=2)
    assert "could not be read (LookupEvents: ThrottlingException)" in told(pipeline.run(given))
