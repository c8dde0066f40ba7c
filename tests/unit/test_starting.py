"""A schedule's events may come twice: the second one is nothing but refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.fake_machine import FakeMachine
from tests.unit.fake_rds import FakeRds
from tests.unit.support import (
    AUDIT_TABLE,
    EXECUTION,
    NOW,
    OPERATION,
    OTHER_EXECUTION,
    STATE_TABLE,
    TARGET,
    an_execution,
    calling,
)
from utils.aws import client
from utils.errors import DuplicateRefused, RequestRefused
from utils.identifiers import scheduled_operation_id
from utils.payloads import ExecutionError, NotificationTask
from utils.state import OperationState

pytestmark = pytest.mark.usefixtures("surroundings", "production")

check, notify = calling("snapshot-check"), calling("sns-notification")
MOMENT = "2026-11-24T02:00:00Z"
SCHEDULED = "scheduled-20261124T020000Z"


@pytest.fixture
def production(rds: FakeRds) -> None:
    rds.add_snapshot("weekly")
    rds.add_cluster("prod-orders")


def event(execution: str = EXECUTION, **request: Any) -> dict[str, Any]:
    run = {
        "execution_id": execution,
        "execution_name": execution.rsplit(":", 1)[-1],
        "started_at": NOW.isoformat(),
        "now": NOW.isoformat(),
    }
    return {"run": run, "request": {"scheduled_at": MOMENT, **request}}


def everything() -> list[Any]:
    return [client("dynamodb").scan(TableName=table)["Items"] for table in (STATE_TABLE, AUDIT_TABLE)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (MOMENT, SCHEDULED),
        ("2026-11-24T03:00:00+01:00", SCHEDULED),
        ("2026-11-24", None),
        ("<aws.scheduler.scheduled-time>", None),
        ("", None),
    ],
)
def test_a_moment_names_an_operation(text: str, name: str | None) -> None:
    assert scheduled_operation_id(text) == name


def test_a_scheduled_run_is_the_operation_of_its_moment() -> None:
    assert check(event())["operation_id"] == SCHEDULED


def test_a_second_event_is_refused_while_the_first_run_is_at_work_and_leaves_no_trace() -> None:
    check(event())
    before = everything()
    with pytest.raises(DuplicateRefused, match=f"came twice; {EXECUTION} is its run"):
        check(event(OTHER_EXECUTION))
    assert everything() == before


@pytest.mark.parametrize("status", ["succeeded", "failed"])
def test_so_it_is_after_the_first_run_has_ended_and_it_never_resumes(machine: FakeMachine, status: Any) -> None:
    check(event())
    OperationState(SCHEDULED, EXECUTION, NOW).close(status)
    machine.statuses[EXECUTION] = "FAILED"
    before = everything()
    with pytest.raises(DuplicateRefused):
        check(event(OTHER_EXECUTION))
    assert everything() == before


def test_so_it_is_when_both_arrive_at_once() -> None:
    """The second one looks before the first one has written anything."""
    tables = client("dynamodb")

    def be_quicker(**_: object) -> None:
        tables.meta.events.unregister("before-call.dynamodb.PutItem", be_quicker)
        check(event())

    tables.meta.events.register("before-call.dynamodb.PutItem", be_quicker)
    with pytest.raises(DuplicateRefused):
        check(event(OTHER_EXECUTION))
    found = OperationState(SCHEDULED, EXECUTION, NOW).recall()
    assert found is not None
    assert (found.execution_id, found.status) == (EXECUTION, "running")


def test_a_scheduled_run_that_was_refused_is_remembered_by_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPIC_ARN", client("sns").create_topic(Name="aurora-restore")["TopicArn"])
    request = {"scheduled_at": MOMENT, "port": 80}
    with pytest.raises(RequestRefused):
        check(event(port=80))
    refusal = ExecutionError(error="RequestRefused", cause="port: 80 is out of range.")
    notify(NotificationTask(run=an_execution(), outcome="failed", request=request, error=refusal))
    found = OperationState(SCHEDULED, EXECUTION, NOW).recall()
    assert found is not None
    assert found.status == "failed"
    with pytest.raises(DuplicateRefused):
        check(event(OTHER_EXECUTION))


def test_another_targets_schedule_of_the_same_moment_isnt_called_a_duplicate() -> None:
    check(event())
    with pytest.raises(RequestRefused, match="Let the two schedules start a minute apart"):
        check(event(OTHER_EXECUTION, target_cluster_id="drill-orders"))


@pytest.mark.parametrize(
    ("request_given", "remedy"),
    [
        ({"scheduled_at": "<aws.scheduler.scheduled-time>"}, "Let the schedule fill it in"),
        ({"scheduled_at": "tonight"}, "Let the schedule fill it in"),
        ({"operation_id": "mine"}, "Keep one of them"),
    ],
)
def test_a_moment_that_is_none_or_not_alone_is_refused(request_given: dict[str, Any], remedy: str) -> None:
    with pytest.raises(RequestRefused, match=remedy):
        check(event(**request_given))


def test_nobody_is_told_of_a_duplicate_and_no_alarm_counts_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """EventBridge tells of its end as of every other."""
    monkeypatch.setenv("TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:no-such-topic")
    check(event())
    before = everything()
    capsys.readouterr()
    answer = notify(
        {
            "detail-type": "Step Functions Execution Status Change",
            "time": "2026-03-10T03:50:00Z",
            "detail": {
                "executionArn": OTHER_EXECUTION,
                "name": "somebody-elses",
                "status": "FAILED",
                "startDate": int(NOW.timestamp() * 1000),
                "input": json.dumps({"scheduled_at": MOMENT}),
                "error": "DuplicateRefused",
                "cause": "It came twice.",
            },
        }
    )
    assert answer == {"message_id": None, "subject": ""}
    assert everything() == before
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    counted = [name for line in lines for name in line if name.startswith("Operation")]
    assert counted == ["OperationDuplicate"]


def test_a_manual_start_of_the_same_target_is_a_request_that_is_refused() -> None:
    check(event())
    started_by_hand = event(OTHER_EXECUTION)
    started_by_hand["request"] = {}
    with pytest.raises(RequestRefused, match=f"another run works on '{TARGET}': {EXECUTION} .operation {SCHEDULED}"):
        check(started_by_hand)


def test_without_a_moment_an_operation_has_its_executions_name() -> None:
    named = event()
    named["request"] = {}
    assert check(named)["operation_id"] == OPERATION
