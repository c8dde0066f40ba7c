"""A schedule's moment belongs to the run that does its work, and the second event of a moment is recognised."""

from __future__ import annotations

import datetime as dt
import json
import os
import shlex
from typing import Any

import pytest
from moto.sns.models import sns_backends

from tests.unit.fakes.machine import FakeMachine
from tests.unit.fakes.rds import FakeRds
from tests.unit.support import (
    ACCOUNT,
    AUDIT_TABLE,
    EXECUTION,
    NOW,
    OPERATION,
    OTHER_EXECUTION,
    REGION,
    STATE_TABLE,
    TARGET,
    an_execution,
    calling,
)
from utils.aws import client
from utils.contracts.payloads import ExecutionError, NotificationTask
from utils.errors import DuplicateRefused, RequestRefused, StepFailed
from utils.schedules import scheduled_operation_id
from utils.state.operation import OperationState

pytestmark = pytest.mark.usefixtures("surroundings", "production")

check, notify = calling("snapshot-check"), calling("sns-notification")
MOMENT = "2026-03-10T03:00:00Z"
SCHEDULED = "scheduled-20260310T030000Z"


@pytest.fixture
def production(rds: FakeRds) -> None:
    rds.add_snapshot("weekly")
    rds.add_cluster("prod-orders")


def event(execution: str = EXECUTION, **request: Any) -> dict[str, Any]:
    return started(execution, {"scheduled_at": MOMENT, **request})


def started(execution: str, request: dict[str, Any], now: dt.datetime = NOW) -> dict[str, Any]:
    begun = {
        "execution_id": execution,
        "execution_name": execution.rsplit(":", 1)[-1],
        "started_at": now.isoformat(),
        "now": now.isoformat(),
    }
    return {"execution": begun, "request": request}


def everything() -> list[Any]:
    return [client("dynamodb").scan(TableName=table)["Items"] for table in (STATE_TABLE, AUDIT_TABLE)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (MOMENT, SCHEDULED),
        ("2026-03-10T04:00:00+01:00", SCHEDULED),
        ("2026-03-10", None),
        ("0001-01-01T00:00:00+14:00", None),
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
    with pytest.raises(DuplicateRefused, match=f"came twice; execution {EXECUTION} does its work"):
        check(event(OTHER_EXECUTION))
    assert everything() == before


def a_request(**fields: Any) -> dict[str, Any]:
    return {"scheduled_at": MOMENT, **fields}


BY_ITS_NAME = {"operation_id": SCHEDULED}
SILENT, TOLD, BEGINS, RESUMES = "DuplicateRefused", "RequestRefused", "a run of its own", "resumed"


@pytest.mark.parametrize(
    ("earlier", "status", "now", "outcome"),
    [
        # The schedule's run is at work, has succeeded, has failed, or died without a word (its execution has ended).
        (a_request(), "running", a_request(), SILENT),
        (a_request(), "succeeded", a_request(), SILENT),
        (a_request(), "failed", a_request(), TOLD),
        (a_request(), "died", a_request(), TOLD),
        (a_request(), "forgotten", a_request(), TOLD),
        # One that took the moment for other work doesn't silence it.
        (a_request(port=5544), "running", a_request(), TOLD),
        (a_request(port=5544), "succeeded", a_request(), TOLD),
        (a_request(target_cluster_id="drill-orders"), "running", a_request(), TOLD),
        # A dry run is no earlier run, whatever its moment, and finds none.
        (a_request(dry_run=True), "planned", a_request(), BEGINS),
        (a_request(), "running", a_request(dry_run=True), BEGINS),
        (a_request(), "failed", a_request(dry_run=True), BEGINS),
        # By its name a person resumes what has failed, and nothing else.
        (a_request(), "running", BY_ITS_NAME, TOLD),
        (a_request(), "succeeded", BY_ITS_NAME, TOLD),
        (a_request(), "failed", BY_ITS_NAME, RESUMES),
        (a_request(), "died", BY_ITS_NAME, RESUMES),
        (a_request(dry_run=True), "planned", BY_ITS_NAME, TOLD),
        # After a refusal, and with nothing before it, an event begins its run.
        (a_request(port=80), "refused", a_request(), BEGINS),
        (None, "nothing", a_request(), BEGINS),
        (None, "nothing", BY_ITS_NAME, TOLD),
        (None, "nothing", {**BY_ITS_NAME, "dry_run": True}, TOLD),
        (None, "nothing", {**BY_ITS_NAME, "resume": True}, TOLD),
    ],
)
def test_what_an_event_does_after_what_came_before(
    machine: FakeMachine,
    monkeypatch: pytest.MonkeyPatch,
    earlier: dict[str, Any] | None,
    status: str,
    now: dict[str, Any],
    outcome: str,
) -> None:
    if earlier is not None:
        leave(machine, monkeypatch, earlier, status)
    before, later = everything(), NOW + dt.timedelta(minutes=10)
    if outcome in (SILENT, TOLD):
        with pytest.raises(DuplicateRefused if outcome == SILENT else RequestRefused):
            check(started(OTHER_EXECUTION, now, later))
        assert everything() == before
        return
    plan = check(started(OTHER_EXECUTION, now, later))
    assert bool(plan["resumed"]) is (outcome == RESUMES)
    of_the_moment = "scheduled_at" in now and not now.get("dry_run")
    own_name = OTHER_EXECUTION.rsplit(":", 1)[-1]
    assert plan["operation_id"] == (SCHEDULED if of_the_moment or outcome == RESUMES else own_name)


def test_an_execution_that_step_functions_doesnt_know_yet_is_at_work(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(machine, monkeypatch, a_request(), "forgotten")
    with pytest.raises(DuplicateRefused):
        check(started(OTHER_EXECUTION, a_request(), NOW + dt.timedelta(seconds=2)))


def stop(monkeypatch: pytest.MonkeyPatch, execution: str, request: dict[str, Any]) -> None:
    """Tell of an execution that was stopped before its first step had written anything."""
    monkeypatch.setenv("TOPIC_ARN", client("sns").create_topic(Name="aurora-restore")["TopicArn"])
    detail = {
        "executionArn": execution,
        "name": execution.rsplit(":", 1)[-1],
        "status": "ABORTED",
        "startDate": int(NOW.timestamp() * 1000),
        "input": json.dumps(request),
    }
    notify(
        {"detail-type": "Step Functions Execution Status Change", "time": NOW.isoformat(), "detail": detail},
    )


def test_a_schedules_run_that_was_stopped_at_once_begins_no_more_and_its_second_event_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop(monkeypatch, EXECUTION, a_request())
    with pytest.raises(StepFailed, match="was stopped"):
        check(event())
    with pytest.raises(RequestRefused, match="Omit scheduled_at to start the operation yourself"):
        check(event(OTHER_EXECUTION))


@pytest.mark.parametrize("request_given", [a_request(dry_run=True), {"scheduled_at": "2026-03-11T03:00:00Z"}])
def test_nothing_else_that_is_stopped_takes_a_moment(
    monkeypatch: pytest.MonkeyPatch, request_given: dict[str, Any]
) -> None:
    stop(monkeypatch, EXECUTION, request_given)
    named = str(scheduled_operation_id(request_given["scheduled_at"]))
    assert OperationState(named, EXECUTION, NOW).recall() is None


def leave(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, request: dict[str, Any], status: str) -> None:
    """Bring about what an earlier execution leaves behind."""
    if status == "refused":
        refuse(monkeypatch, EXECUTION, request)
        return
    check(started(EXECUTION, request))
    if status in ("succeeded", "failed"):
        OperationState(SCHEDULED, EXECUTION, NOW).close(status)  # type: ignore[arg-type]
    if status == "forgotten":
        del machine.statuses[EXECUTION]
    elif status != "running":
        machine.statuses[EXECUTION] = "FAILED"


def refuse(monkeypatch: pytest.MonkeyPatch, execution: str, request: dict[str, Any]) -> None:
    """Have an execution refused, and closed as such."""
    monkeypatch.setenv("TOPIC_ARN", client("sns").create_topic(Name="aurora-restore")["TopicArn"])
    with pytest.raises(RequestRefused) as refused:
        check(started(execution, request))
    error = ExecutionError(error="RequestRefused", cause=str(refused.value))
    begun = an_execution(execution_id=execution, execution_name=execution.rsplit(":", 1)[-1])
    notify(NotificationTask(execution=begun, outcome="failed", request=request, error=error))


@pytest.mark.parametrize("request_given", [{}, {"port": 80}, {"dry_run": True}])
def test_an_executions_name_takes_no_moment_either(
    monkeypatch: pytest.MonkeyPatch, request_given: dict[str, Any]
) -> None:
    """Neither as an operation's id nor as the name under which a refusal is remembered."""
    refuse(monkeypatch, f"{EXECUTION.rpartition(':')[0]}:{SCHEDULED}", request_given)
    assert OperationState(SCHEDULED, EXECUTION, NOW).recall() is None
    assert check(event())["operation_id"] == SCHEDULED


def test_an_execution_of_such_a_name_may_carry_an_operation_of_another() -> None:
    named = started(f"{EXECUTION.rpartition(':')[0]}:{SCHEDULED}", {"operation_id": "mine"})
    assert check(named)["operation_id"] == "mine"


@pytest.mark.parametrize(
    ("moment", "taken"),
    [
        ("2026-03-10T03:05:00Z", True),
        ("2026-03-10T03:05:01Z", False),
        ("2026-03-11T03:00:00Z", False),
        ("2026-03-09T02:00:00Z", True),
        ("2026-03-09T01:59:59Z", False),
    ],
)
def test_only_a_moment_that_a_schedule_may_bring_now_is_taken(moment: str, taken: bool) -> None:
    if taken:
        assert check(event(scheduled_at=moment))["operation_id"] == scheduled_operation_id(moment)
        return
    with pytest.raises(RequestRefused, match="omit it when you start an operation yourself"):
        check(event(scheduled_at=moment))
    assert check(event(scheduled_at=moment, dry_run=True))["operation_id"] == OPERATION, "a plan takes none"


def test_people_are_told_of_a_second_event_where_the_first_ones_run_has_failed(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a command that resumes it, and for the alarm."""
    deletion = {"delete_source": True, "confirm_delete_source": "prod-orders"}
    leave(machine, monkeypatch, a_request(**deletion), "failed")
    capsys.readouterr()
    refuse(monkeypatch, OTHER_EXECUTION, a_request(**deletion))
    ((_, body, subject, *_),) = sns_backends[ACCOUNT][REGION].topics[os.environ["TOPIC_ARN"]].sent_notifications
    assert "FAILED: " in str(subject)
    assert f"whose execution {EXECUTION} has ended without success" in body
    (command,) = [line for line in body.splitlines() if "start-execution" in line]
    words = shlex.split(command)
    request = words[words.index("--input") + 1]
    assert json.loads(request) == {**deletion, **BY_ITS_NAME, "resume": True}
    counted = [name for line in capsys.readouterr().out.splitlines() for name in json.loads(line)]
    assert "OperationFailed" in counted
    assert check(started(OTHER_EXECUTION, json.loads(request)))["resumed"], "the command works as it is typed"


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


def test_another_targets_schedule_of_the_same_moment_isnt_called_a_duplicate() -> None:
    check(event())
    with pytest.raises(RequestRefused, match="Set the two schedules a minute apart"):
        check(event(OTHER_EXECUTION, target_cluster_id="drill-orders"))


@pytest.mark.parametrize(
    ("request_given", "remedy"),
    [
        ({"scheduled_at": "<aws.scheduler.scheduled-time>"}, "Let the schedule fill it in"),
        ({"scheduled_at": "tonight"}, "Let the schedule fill it in"),
        ({"operation_id": "mine"}, "Drop one of them"),
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
    with pytest.raises(
        RequestRefused, match=f"another execution is working on '{TARGET}': {EXECUTION} .operation {SCHEDULED}"
    ):
        check(started_by_hand)


def test_without_a_moment_an_operation_has_its_executions_name() -> None:
    named = event()
    named["request"] = {}
    assert check(named)["operation_id"] == OPERATION


# Names of executions


@pytest.mark.parametrize("name", ["drill!", "drill(1)", "Bob's", "a@b", "pr\u00fcfung", "drill\u202edetelpmoc"])
def test_an_execution_whose_name_names_no_operation_is_refused(
    name: str, rds: FakeRds, capsys: pytest.CaptureFixture[str]
) -> None:
    """Step Functions takes such a name; tags, sessions and people who read a log don't."""
    execution = f"{EXECUTION.rpartition(':')[0]}:{name}"
    with pytest.raises(RequestRefused, match="cannot be used as the operation's id") as refused:
        check(started(execution, {}))
    assert str(refused.value).isprintable()
    assert all(line.isprintable() for line in capsys.readouterr().out.splitlines())
    assert rds.calls == []
    assert check(started(execution, {"operation_id": "drill-1"}))["operation_id"] == "drill-1"
