"""Whatever is in the data or the request, it forges no line that people, logs or the audit trail take for ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.sns.models import sns_backends

from tests.unit.conftest import LogLines
from tests.unit.fakes.machine import FakeMachine
from tests.unit.fakes.rds import FakeRds
from tests.unit.support import (
    ACCOUNT,
    AUDIT_TABLE,
    EXECUTION,
    LIMITS,
    NOW,
    OPERATION,
    REGION,
    TARGET,
    a_cluster_plan,
    a_plan,
    a_record,
    a_run,
    an_execution,
    calling,
    nothing_archived,
    some_users,
)
from utils.aws import client
from utils.aws_errors import as_step_error
from utils.contracts.payloads import DeleteTask, ExecutionError, NotificationTask
from utils.errors import RequestRefused, StepFailed
from utils.messages import outcome
from utils.messages.message import MAX_MESSAGE_BYTES, Message
from utils.messages.remains import Remains
from utils.postgres.bounded import shortened
from utils.state.operation import OperationState

FORGED = "Deleted    prod-orders (cluster-PROD) in us-east-1"
ESCAPE, BIDI, NEXT_LINE, SEPARATOR = "\x1b[2J\x1b]0;owned\x07", "\u202e\u2066", "\x85", "\u2028"
HOSTILE = [f"a\n{FORGED}", f"a\r\n{FORGED}", f"a{NEXT_LINE}{FORGED}", f"a{SEPARATOR}{FORGED}", f"a{ESCAPE}", f"a{BIDI}"]
MEGABYTES = "x" * 3_000_000

check, notify, delete = calling("snapshot-check"), calling("sns-notification"), calling("delete-rds")


def assert_fit(text: str, most: int = MAX_MESSAGE_BYTES) -> None:
    """No line of it is forged, none steers a terminal or turns the direction of writing, and it is bounded."""
    for line in text.splitlines():
        assert not line.strip().startswith("Deleted    prod-orders"), line
    assert all(line.isprintable() for line in text.split("\n"))
    assert len(text.encode()) <= most


def body_of(message: Message) -> str:
    assert message.subject.isprintable()
    return message.body


# What the data holds


@pytest.mark.parametrize("name", [*HOSTILE, MEGABYTES])
@pytest.mark.parametrize(
    "where", ["databases", "inherited_logins", "locked_logins", "disabled", "warnings", "roles", "application_role"]
)
def test_names_of_the_data_forge_no_line_of_a_success(name: str, where: str) -> None:
    users = some_users(**{where: name if where == "application_role" else [name]})
    record = a_record(cluster_resource_id="cluster-OURS")
    message = outcome.succeeded(a_plan(), users, nothing_archived(), record, EXECUTION, NOW)
    assert_fit(body_of(message))


@pytest.mark.parametrize("name", [*HOSTILE, MEGABYTES])
def test_names_are_fit_to_read_before_they_are_written_down(name: str) -> None:
    (shown,) = shortened([name])
    assert_fit(shown, 100_000)
    assert "\n" not in shown


@pytest.mark.parametrize("value", [*HOSTILE, MEGABYTES])
def test_tags_and_differences_forge_no_line(value: str) -> None:
    plan = a_plan(cluster=a_cluster_plan(tags={"team": value, value[:100]: "x"}))
    assert_fit(body_of(outcome.planned(plan, EXECUTION, {})))
    record = a_record(cluster_resource_id="cluster-OURS", differences=[f"tags: {value}"])
    message = outcome.succeeded(a_plan(), some_users(), nothing_archived(), record, EXECUTION, NOW)
    assert_fit(body_of(message))


# What others say of an error


@pytest.mark.parametrize("text", [*HOSTILE, MEGABYTES])
def test_what_aws_repeats_of_a_name_stays_on_one_line(text: str) -> None:
    answer: Any = {"Error": {"Code": "InvalidParameterValue", "Message": text}, "ResponseMetadata": {}}
    said = str(as_step_error(ClientError(answer, "DeleteDBCluster")))
    assert_fit(said, 10_000)
    assert "\n" not in said


@pytest.mark.parametrize("text", [*HOSTILE, MEGABYTES])
@pytest.mark.parametrize("error", ["StepFailed", "KeyError", "States.Runtime", "Stopped\nDeleted    prod-orders"])
def test_no_cause_forges_a_line_or_hides_the_next_command(text: str, error: str) -> None:
    """A cause of ours has passed the one function already; of all others nothing is known."""
    cause = text if error != "StepFailed" else "A sentence of ours."
    message = outcome.failed(
        ExecutionError(error=error, cause=cause), a_record(), {"tags": {"k": text}}, Remains(), {}, EXECUTION
    )
    assert_fit(body_of(message))
    assert "aws stepfunctions start-execution" in message.body
    assert message.body.splitlines()[-1].startswith("  aws stepfunctions start-execution ")


def test_the_command_of_an_input_of_megabytes_isnt_cut() -> None:
    message = outcome.failed(
        ExecutionError(error="RequestRefused", cause="No."), None, {"tags": {"k": MEGABYTES}}, Remains(), {}, EXECUTION
    )
    commands = [line.strip() for line in message.body.splitlines() if line.strip().startswith("aws ")]
    assert [command.rpartition("--")[0].split()[2] for command in commands] == ["describe-execution", "start-execution"]
    assert commands[0].endswith("> request.json")
    assert "--input file://request.json" in commands[1]


def test_a_resumption_of_an_input_of_megabytes_repeats_what_deletes() -> None:
    request = {"tags": {"k": MEGABYTES}, "delete_source": True, "confirm_delete_source": "prod-orders"}
    message = outcome.failed(
        ExecutionError(error="StepFailed", cause="No."), a_record(), request, Remains(), {}, EXECUTION
    )
    (start,) = [line for line in message.body.splitlines() if "start-execution" in line]
    given = json.loads(start[start.index("'") + 1 : start.rindex("'")])
    assert given == {
        "delete_source": True,
        "confirm_delete_source": "prod-orders",
        "operation_id": OPERATION,
        "resume": True,
    }


# What a request holds


@pytest.mark.usefixtures("surroundings", "rds")
@pytest.mark.parametrize("text", [*HOSTILE, MEGABYTES])
@pytest.mark.parametrize("where", ["field", "value", "key", "operation_id", "snapshot_identifier", "tags"])
def test_no_request_forges_a_line_of_its_refusal(
    text: str, where: str, logs: LogLines, machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPIC_ARN", client("sns").create_topic(Name="aurora-restore")["TopicArn"])
    requests: dict[str, dict[str, Any]] = {
        "field": {text: 1},
        "value": {"port": text},
        "key": {"target_cluster_id": {text: text}},
        "tags": {"tags": {text: text}},
    }
    request = requests.get(where, {where: text})
    execution = an_execution()
    with pytest.raises(RequestRefused) as refused:
        check({"execution": execution, "request": request})
    assert_fit(str(refused.value), 32_768)
    error = ExecutionError(error="RequestRefused", cause=json.dumps({"errorMessage": str(refused.value)}))
    notify(NotificationTask(execution=execution, outcome="failed", request=request, error=error))
    ((_, body, *_),) = (
        sns_backends[ACCOUNT][REGION].topics[f"arn:aws:sns:{REGION}:{ACCOUNT}:aurora-restore"].sent_notifications
    )
    assert_fit(body)
    for entry in logs.entries():
        assert_fit(str(entry.get("cause", "")), 32_768)
    for item in client("dynamodb").scan(TableName=AUDIT_TABLE)["Items"]:
        assert_fit(item["event_details"]["M"].get("cause", {"S": ""})["S"], 32_768)


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("text", [*HOSTILE, MEGABYTES])
def test_a_step_that_fails_writes_nothing_forged_into_log_and_audit(text: str, logs: LogLines, rds: FakeRds) -> None:
    state = OperationState(OPERATION, EXECUTION, NOW)
    state.open("snapshot-check", {}, a_plan(), "running")
    rds.add_cluster(TARGET)
    rds.refuse("DescribeDBClusters", "InvalidParameterValue", text, times=3)
    state.remember(
        cluster_resource_id="cluster-OURS",
        login_proven_at="2026-03-10T03:40:00.000Z",
        door_open_at="2026-03-10T03:50:00.000Z",
    )
    with pytest.raises(StepFailed) as failed:
        delete(DeleteTask(limits=LIMITS, run=a_run(cleaning_up=True)))
    assert_fit(str(failed.value), 32_768)
    (event,) = client("dynamodb").scan(TableName=AUDIT_TABLE)["Items"]
    assert_fit(event["event_details"]["M"]["cause"]["S"], 32_768)
    assert any(entry.get("cause") for entry in logs.entries())
    for entry in logs.entries():
        assert_fit(str(entry.get("cause", "")), 32_768)
