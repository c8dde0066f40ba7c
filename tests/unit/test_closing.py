"""The end of an operation: told once, closed once, and never somebody else's."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.sns.models import sns_backends

from tests.unit.fake_rds import FakeRds
from tests.unit.support import (
    ACCOUNT,
    AUDIT_TABLE,
    EXECUTION,
    NOW,
    OPERATION,
    OTHER_EXECUTION,
    OWN_TAGS,
    REGION,
    STATE_TABLE,
    TARGET,
    a_copy,
    a_plan,
    an_execution,
    calling,
    lost_answer,
    nothing_archived,
    some_users,
)
from utils.aws import client
from utils.closing import read_task
from utils.errors import StepFailed, TemporaryFailure
from utils.lock import TargetLock
from utils.payloads import ExecutionError, NotificationTask
from utils.plans import Plan
from utils.state import OperationRecord, OperationState

pytestmark = pytest.mark.usefixtures("account", "rds")

END = NOW + dt.timedelta(minutes=50)
FAILURE = ExecutionError(error="StepFailed", cause=json.dumps({"errorMessage": "The copy is gone."}))
notify = calling("sns-notification")


class Inbox:
    """What the topic's subscribers have been told."""

    def __init__(self) -> None:
        self.arn = client("sns").create_topic(Name="aurora-restore")["TopicArn"]

    def messages(self) -> list[tuple[str, str]]:
        sent = sns_backends[ACCOUNT][REGION].topics[self.arn].sent_notifications
        return [(str(subject), body) for _, body, subject, *_ in sent]

    def subjects(self) -> list[str]:
        return [subject for subject, _ in self.messages()]


@pytest.fixture(autouse=True)
def inbox(account: None, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    topic = Inbox()
    monkeypatch.setenv("TOPIC_ARN", topic.arn)
    return topic


def state(operation_id: str = OPERATION, execution_id: str = EXECUTION) -> OperationState:
    return OperationState(operation_id, execution_id, NOW)


def record(operation_id: str = OPERATION) -> OperationRecord:
    found = state(operation_id).recall()
    assert found is not None
    return found


def started(plan: Plan | None = None, operation_id: str = OPERATION) -> OperationState:
    """An operation that holds its lock and restores."""
    opened = state(operation_id)
    opened.open("snapshot-check", {}, plan or a_plan(), "running")
    opened.enter("restore-snapshot")
    assert TargetLock(TARGET, operation_id, EXECUTION).hold(NOW) is None
    return opened


def lock_is_free() -> bool:
    return TargetLock(TARGET, "the-next", OTHER_EXECUTION).hold(END) is None


def a_task(outcome: Any, **known: Any) -> NotificationTask:
    return NotificationTask(run=an_execution(now=END), outcome=outcome, **known)


def a_success(plan: Plan | None = None) -> NotificationTask:
    return a_task("succeeded", plan=plan or a_plan(), users=some_users(), archive=nothing_archived())


def an_event(status: str, **detail: Any) -> dict[str, Any]:
    """EventBridge's word on an execution's end, as Step Functions sends it."""
    return {
        "version": "0",
        "id": "315c1398-40ff-a850-213b-158f73e60175",
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "account": ACCOUNT,
        "time": "2026-03-10T03:50:00Z",
        "region": REGION,
        "resources": [EXECUTION],
        "detail": {
            "executionArn": EXECUTION,
            "stateMachineArn": EXECUTION.replace("execution", "stateMachine").rsplit(":", 1)[0],
            "name": OPERATION,
            "status": status,
            "startDate": int(NOW.timestamp() * 1000),
            "stopDate": int(END.timestamp() * 1000),
            "input": "{}",
            "output": None,
            "inputDetails": {"included": True},
            "error": None,
            "cause": None,
            **detail,
        },
    }


def counted_in(capsys: pytest.CaptureFixture[str]) -> dict[tuple[str, str], float]:
    """The metrics in the log, by name and step."""
    counted = {}
    for line in map(json.loads, capsys.readouterr().out.splitlines()):
        if "_aws" in line:
            name = line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"]
            counted[name, line["Step"]] = line[name][0]
    return counted


# Success, plan, failure


def test_a_success_closes_the_operation_frees_the_lock_and_is_told(
    inbox: Inbox, capsys: pytest.CaptureFixture[str]
) -> None:
    started()
    answer = notify(a_success())
    assert record().status == "succeeded"
    assert lock_is_free()
    ((subject, body),) = inbox.messages()
    assert answer["subject"] == subject
    assert subject.startswith("[aurora-restore] SUCCEEDED: staging-orders")
    assert "Took       50 min 0 s" in body
    counted = counted_in(capsys)
    assert counted["RestoreDuration", "restore"] == 3000
    assert counted["DataAge", "restore"] == 3 * 3600 + 3000
    assert counted["RestoredSize", "restore"] == 100
    assert ("OperationFailed", "restore") not in counted


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT", "FAILED"])
def test_every_bad_end_is_counted_for_the_alarm(status: str, inbox: Inbox, capsys: pytest.CaptureFixture[str]) -> None:
    started()
    notify(an_event(status))
    assert counted_in(capsys)["OperationFailed", "restore"] == 1


@pytest.mark.parametrize(
    ("asked", "counted"), [({}, "OperationRefused"), ({"scheduled_at": "2026-11-24T02:00:00Z"}, "OperationFailed")]
)
def test_a_refusal_wakes_somebody_only_where_nobody_sees_it(
    asked: dict[str, Any], counted: str, inbox: Inbox, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = ExecutionError(error="RequestRefused", cause="No.")
    for _ in range(2):
        notify(a_task("failed", error=refusal, request=asked))
    ended = [name for name, _ in counted_in(capsys) if name.startswith("Operation")]
    assert ended == [counted]


def test_the_word_on_an_execution_whose_operation_another_has_resumed_changes_nothing(inbox: Inbox) -> None:
    state = started()
    state.close("failed")
    OperationState(OPERATION, OTHER_EXECUTION, NOW).hand_over(record(), a_plan(), {})
    notify(an_event("FAILED", error="StepFailed"))
    assert inbox.messages() == []
    assert (record().execution_id, record().status) == (OTHER_EXECUTION, "running")


def test_a_dry_run_is_told_as_a_plan(inbox: Inbox) -> None:
    plan = a_plan(dry_run=True)
    state().open("snapshot-check", {}, plan, "planned")
    notify(a_task("planned", plan=plan))
    assert inbox.subjects() == ["[aurora-restore] PLANNED: staging-orders from prod-orders-tuesday"]
    assert record().status == "planned"


def test_rule_7_a_failure_says_what_exists_now(inbox: Inbox, rds: FakeRds) -> None:
    rds.add_cluster(TARGET, Status="failed", TagList=OWN_TAGS)
    rds.add_snapshot(a_copy().identifier, TagList=OWN_TAGS)
    started().remember(copied_snapshot_arn=a_copy().arn)
    notify(a_task("failed", error=FAILURE, request={}))
    ((subject, body),) = inbox.messages()
    assert subject == "[aurora-restore] FAILED: staging-orders at restore-snapshot: StepFailed"
    assert "The copy is gone." in body
    assert "Cluster staging-orders" in body
    assert f"Copied snapshot {a_copy().arn}, available." in body
    assert record().status == "failed"
    assert lock_is_free()


def test_rule_1_what_isnt_ours_is_never_told_as_left_behind_by_us(inbox: Inbox, rds: FakeRds) -> None:
    rds.add_cluster(TARGET)
    rds.add_snapshot(a_copy().identifier)
    started().remember(copied_snapshot_arn=a_copy().arn)
    notify(a_task("failed", error=FAILURE, request={}))
    ((_, body),) = inbox.messages()
    assert "Nothing of this operation's: no cluster, no copied snapshot." in body
    assert "aws rds delete" not in body


def test_rule_7_an_rds_that_doesnt_answer_never_hides_the_first_error(inbox: Inbox, rds: FakeRds) -> None:
    started()
    rds.refuse("DescribeDBClusters", "Throttling", "Rate exceeded", times=10)
    notify(a_task("failed", error=FAILURE, request={}))
    ((_, body),) = inbox.messages()
    assert "The copy is gone." in body
    assert "RDS could not be asked (DescribeDBClusters answered Throttling: Rate exceeded)" in body


def test_a_topic_that_doesnt_answer_blocks_no_other_run(inbox: Inbox) -> None:
    started()
    client("sns").delete_topic(TopicArn=inbox.arn)
    with pytest.raises(StepFailed, match="Publish answered NotFound"):
        notify(a_success())
    assert record().status == "succeeded"
    assert lock_is_free()


def test_the_audit_holds_how_it_ended_and_why() -> None:
    started()
    notify(a_task("failed", error=FAILURE, request={}))
    (event,) = client("dynamodb").scan(TableName=AUDIT_TABLE)["Items"]
    assert event["event_type"] == {"S": "sns-notification"}
    assert event["status"] == {"S": "failed"}
    assert event["event_details"]["M"]["error"] == {"S": "StepFailed"}


# Once


def test_rule_5_nobody_is_told_twice(inbox: Inbox) -> None:
    started()
    notify(a_success())
    assert notify(a_success()) == {"message_id": None, "subject": ""}
    assert len(inbox.messages()) == 1


def test_rule_5_people_are_told_rather_twice_than_never(inbox: Inbox) -> None:
    started()
    with lost_answer(client("sns"), "sns", "Publish"), pytest.raises(TemporaryFailure):
        notify(a_success())
    notify(a_success())
    assert len(inbox.messages()) == 2


def test_a_failure_told_by_the_machine_is_not_told_again_by_eventbridge(inbox: Inbox) -> None:
    started()
    notify(a_task("failed", error=FAILURE, request={}))
    notify(an_event("FAILED", error="StepFailed"))
    assert len(inbox.messages()) == 1


def test_a_run_that_was_redriven_after_a_failure_is_told_and_closed_again(inbox: Inbox) -> None:
    started()
    notify(an_event("TIMED_OUT"))
    state().enter("restore-snapshot")
    assert TargetLock(TARGET, OPERATION, EXECUTION).hold(NOW) is None
    notify(a_success())
    assert [subject.split()[1] for subject in inbox.subjects()] == ["FAILED:", "SUCCEEDED:"]
    assert record().status == "succeeded"
    assert lock_is_free()


# What no Catch could see


@pytest.mark.parametrize(
    ("status", "error"),
    [("TIMED_OUT", "ExecutionTimedOut"), ("ABORTED", "ExecutionAborted")],
)
def test_an_execution_that_ended_without_a_word_is_closed_and_told(inbox: Inbox, status: str, error: str) -> None:
    started()
    notify(an_event(status))
    ((subject, body),) = inbox.messages()
    assert subject == f"[aurora-restore] FAILED: staging-orders at restore-snapshot: {error}"
    assert f"The execution ended {status} without a word" in body
    assert record().status == "failed"
    assert lock_is_free()


def test_eventbridges_milliseconds_are_the_executions_start() -> None:
    run = read_task(an_event("ABORTED")).run
    assert (run.started_at, run.now) == (NOW, END)
    assert (run.execution_id, run.execution_name) == (EXECUTION, OPERATION)


def test_an_execution_that_was_aborted_tells_the_reason_it_was_given(inbox: Inbox) -> None:
    started()
    notify(an_event("ABORTED", error="Cancelled", cause="Wrong cluster, sorry."))
    ((subject, body),) = inbox.messages()
    assert subject.endswith(": Cancelled")
    assert "Wrong cluster, sorry." in body


@pytest.mark.parametrize("given", [None, "", "{broken", "[1]", '"text"', "{}"])
def test_an_execution_whose_input_is_odd_or_too_large_to_be_included_is_told_too(inbox: Inbox, given: Any) -> None:
    notify(an_event("FAILED", error="States.Runtime", cause="It broke.", input=given))
    assert inbox.subjects() == ["[aurora-restore] FAILED: restore at snapshot-check: States.Runtime"]


# Whose end it is


def test_an_operation_with_an_id_of_its_own_is_found(inbox: Inbox) -> None:
    started(a_plan(operation_id="drill-7"), "drill-7")
    notify(a_task("failed", error=FAILURE, request={"operation_id": "drill-7"}))
    assert record("drill-7").status == "failed"
    assert state(OPERATION).recall() is None
    assert lock_is_free()


def test_rule_6_a_refused_run_closes_nothing_of_the_operation_whose_id_it_tried_to_use(inbox: Inbox) -> None:
    other = OperationState("drill-7", OTHER_EXECUTION, NOW)
    other.open("snapshot-check", {}, a_plan(), "running")
    assert TargetLock(TARGET, "drill-7", OTHER_EXECUTION).hold(NOW) is None
    notify(a_task("failed", error=FAILURE, request={"operation_id": "drill-7"}))
    found = other.recall()
    assert found is not None
    assert (found.status, found.notified_at) == ("running", None)
    assert TargetLock(TARGET, "mine", EXECUTION).hold(NOW) is not None
    assert record().status == "failed"
    assert len(inbox.messages()) == 1


def test_a_refused_run_whose_own_name_is_taken_gets_a_record_beside_it(inbox: Inbox) -> None:
    other = OperationState(OPERATION, OTHER_EXECUTION, NOW)
    other.open("snapshot-check", {}, a_plan(), "succeeded")
    task = a_task("failed", error=ExecutionError(error="RequestRefused", cause="Taken."), request={})
    notify(task)
    notify(task)
    assert record(f"execution#{OPERATION}").status == "failed"
    assert len(inbox.messages()) == 1
    found = other.recall()
    assert found is not None
    assert found.status == "succeeded"


def test_a_refused_request_leaves_a_record_with_what_was_asked(inbox: Inbox) -> None:
    notify(a_task("failed", error=ExecutionError(error="RequestRefused", cause="No."), request={"prot": 1}))
    assert record().status == "failed"
    assert record().parameters == {"request": '{"prot": 1}'}


WITH_PASSWORDS = {
    "target_cluster_id": TARGET,
    "master_password": "not-a-secret-1",
    "tags": {"db_token": "not-a-secret-2", "team": "orders"},
    "roles": [{"name": "etl", "pwd": "not-a-secret-3"}],
}


def test_a_password_in_a_refused_request_is_neither_stored_nor_told(inbox: Inbox) -> None:
    """There is no field for one, so it is refused; and what was asked is repeated to people and kept in the table."""
    refusal = ExecutionError(error="RequestRefused", cause="master_password: unknown field (value '***').")
    notify(a_task("failed", error=refusal, request=WITH_PASSWORDS))
    tables = client("dynamodb")
    stored = json.dumps([tables.scan(TableName=name)["Items"] for name in (STATE_TABLE, AUDIT_TABLE)])
    ((_, body),) = inbox.messages()
    for where in (stored, body):
        assert "not-a-secret" not in where
        assert where.count("***") >= 3, "that something was there is said"
        assert "orders" in where, "and what is no secret is repeated"


def test_a_refused_request_of_any_size_fits_into_the_table(inbox: Inbox) -> None:
    notify(a_task("failed", error=FAILURE, request={"tags": "語" * 80_000}))
    assert len(inbox.messages()) == 1


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(odd | st.fixed_dictionaries({"operation_id": odd, "target_cluster_id": odd}))
def test_people_are_told_however_odd_the_request_was(inbox: Inbox, request_given: Any) -> None:
    before, name = len(inbox.messages()), uuid.uuid4()
    execution = EXECUTION.replace(OPERATION, str(name))
    run = msgspec.structs.replace(an_execution(), execution_id=execution, execution_name=str(name))
    notify(NotificationTask(run=run, outcome="failed", request=request_given, error=FAILURE))
    assert len(inbox.messages()) == before + 1
