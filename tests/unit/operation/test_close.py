"""The end of an operation: told once, closed once, and never somebody else's."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.sns.models import sns_backends
from msgspec.structs import replace

from tests.unit.conftest import LogLines
from tests.unit.fakes.rds import FakeRds
from tests.unit.fakes.trail import ALICE, FakeTrail, a_start
from tests.unit.support import (
    ACCOUNT,
    AUDIT_TABLE,
    EXECUTION,
    NOW,
    OPERATION,
    OTHER_EXECUTION,
    OWN_TAGS,
    REGION,
    SOURCE,
    STATE_TABLE,
    TARGET,
    a_copy,
    a_deletion,
    a_plan,
    an_execution,
    calling,
    lost_answer,
    nothing_archived,
    some_users,
)
from utils.aws import client
from utils.contracts.payloads import ExecutionError, NotificationTask
from utils.contracts.plan import Plan, SourceInstance
from utils.errors import StepFailed, TemporaryFailure
from utils.operation.end_task import read_task
from utils.request.corrections import KEEP_BACKUPS, START_ANEW
from utils.state.durations import SourceDurations
from utils.state.lock import TargetLock
from utils.state.operation import OperationRecord, OperationState

pytestmark = pytest.mark.usefixtures("account", "rds")

END = NOW + dt.timedelta(minutes=50)
# RDS has refused the cluster, or has not shown it for long.
NOT_ASKED: dict[str, Any] = {"cluster_asked_at": None}
MISSED = {"cluster-OURS": "2026-03-10T03:10:00.000Z"}
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


def redriven() -> OperationState:
    return OperationState(OPERATION, EXECUTION, NOW, redrive_count=1)


def started(plan: Plan | None = None, operation_id: str = OPERATION) -> OperationState:
    """An operation that holds its lock and restores."""
    opened = state(operation_id)
    opened.open("snapshot-check", {}, plan or a_plan(), "running")
    opened.enter("restore-snapshot")
    opened.remember(cluster_asked_at="2026-03-10T03:00:05.000Z")
    assert TargetLock(TARGET, operation_id, EXECUTION).take(NOW) is None
    return opened


def lock_is_free() -> bool:
    return TargetLock(TARGET, "the-next", OTHER_EXECUTION).take(END) is None


def a_task(outcome: Any, **known: Any) -> NotificationTask:
    return NotificationTask(execution=an_execution(now=END), outcome=outcome, **known)


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


def test_a_drill_does_not_count_as_a_restore_that_leaves_fresh_data(
    inbox: Inbox, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, known = a_plan(drill=True), ("identifier", "resource_id", "ready_at", "masked_at", "gone_at")
    started(plan).remember(removed=dict.fromkeys((*known, "began_at"), NOW.isoformat()))
    notify(a_success(plan))
    counted = counted_in(capsys)
    assert {name for name, step in counted if step == "drill"} == {"RestoreDuration", "DataAge", "RestoredSize"}
    assert ("RestoreDuration", "restore") not in counted


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
    started().remember(made_snapshots={"copy": a_copy().arn})
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
    started().remember(made_snapshots={"copy": a_copy().arn})
    notify(a_task("failed", error=FAILURE, request={}))
    ((_, body),) = inbox.messages()
    assert "Nothing of this operation exists: no cluster and no copied snapshot." in body
    assert "aws rds delete" not in body


def test_rule_1_nor_is_a_cluster_with_our_tag_that_was_never_asked_for(inbox: Inbox, rds: FakeRds) -> None:
    """Others may set a tag, and the message's commands delete what they name."""
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    started().remember(cluster_asked_at=None)
    assert "aws rds delete" not in body_of_failure(inbox)


def test_rule_7_an_rds_that_doesnt_answer_never_hides_the_first_error(inbox: Inbox, rds: FakeRds) -> None:
    started()
    rds.refuse("DescribeDBClusters", "Throttling", "Rate exceeded", times=10)
    notify(a_task("failed", error=FAILURE, request={}))
    ((_, body),) = inbox.messages()
    assert "The copy is gone." in body
    assert "RDS did not report what exists (DescribeDBClusters answered Throttling: Rate exceeded)" in body


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
    redriven().enter("restore-snapshot")
    assert TargetLock(TARGET, OPERATION, EXECUTION, redrive_count=1).hold(NOW) is None
    notify(replace(a_success(), execution=an_execution(now=END, redrive_count=1)))
    assert [subject.split()[1] for subject in inbox.subjects()] == ["FAILED:", "SUCCEEDED:"]
    assert record().status == "succeeded"
    assert lock_is_free()


def test_a_late_word_on_the_end_before_the_redrive_closes_nothing(inbox: Inbox) -> None:
    """EventBridge delivers at least once."""
    started()
    notify(an_event("ABORTED"))
    redriven().enter("restore-snapshot")
    lock = TargetLock(TARGET, OPERATION, EXECUTION, redrive_count=1)
    assert lock.hold(NOW) is None
    notify(an_event("ABORTED"))
    assert len(inbox.messages()) == 1
    assert record().status == "running"
    assert lock.hold(END) is None
    with pytest.raises(StepFailed, match="was closed while this step was still running"):
        state().close("failed")


def test_a_redriven_run_that_is_stopped_again_is_told_and_closed_again(inbox: Inbox) -> None:
    started()
    notify(an_event("ABORTED"))
    redriven().enter("restore-snapshot")
    notify(an_event("ABORTED", redriveCount=1))
    assert len(inbox.messages()) == 2
    assert record().status == "failed"
    assert lock_is_free()


# The step that was at work when the execution was stopped


def test_a_step_that_outlives_its_execution_writes_nothing() -> None:
    started()
    notify(an_event("ABORTED"))
    writes: list[Callable[[], object]] = [
        lambda: state().enter("restore-snapshot"),
        lambda: state().remember(cluster_arn="arn"),
        lambda: state().open("snapshot-check", {}, a_plan(), "running"),
    ]
    for write in writes:
        with pytest.raises(StepFailed, match=f"{EXECUTION} was stopped"):
            write()
    assert (record().status, record().cluster_arn) == ("failed", None)
    assert lock_is_free()


def test_a_step_that_was_stopped_before_its_operation_was_known_begins_none() -> None:
    notify(an_event("ABORTED"))
    with pytest.raises(StepFailed, match=f"{EXECUTION} was stopped"):
        state().open("snapshot-check", {}, a_plan(), "running")
    assert (record().status, record().plan) == ("failed", {})


def test_a_run_that_was_stopped_doesnt_resume_an_operation_any_more(inbox: Inbox) -> None:
    other = OperationState("nightly-7", OTHER_EXECUTION, NOW)
    other.open("snapshot-check", {}, a_plan(), "running")
    other.close("failed")
    known = record("nightly-7")
    notify(an_event("ABORTED", input='{"operation_id": "nightly-7"}'))
    with pytest.raises(StepFailed):
        state("nightly-7").hand_over(known, a_plan(), {})
    assert (record("nightly-7").execution_id, record("nightly-7").status) == (OTHER_EXECUTION, "failed")
    OperationState("nightly-7", EXECUTION, NOW, redrive_count=1).hand_over(known, a_plan(), {})
    assert record("nightly-7").status == "running"


# Who started it


@pytest.mark.parametrize("ended", [a_success(), an_event("ABORTED"), a_task("failed", error=FAILURE, request={})])
def test_who_started_it_is_told_recorded_and_audited(inbox: Inbox, trail: FakeTrail, ended: Any) -> None:
    started()
    trail.events = [a_start()]
    notify(ended)
    ((_, body),) = inbox.messages()
    assert f"/{EXECUTION}\nStarted by {ALICE['arn']} (IAMUser), from 203.0.113.7" in body
    assert record().started_by["arn"] == ALICE["arn"]
    (event,) = client("dynamodb").scan(TableName=AUDIT_TABLE)["Items"]
    assert event["event_details"]["M"]["started_by"]["M"]["arn"] == {"S": ALICE["arn"]}


def test_that_it_is_unknown_is_told_and_recorded_too(inbox: Inbox, trail: FakeTrail) -> None:
    started()
    trail.refuse("LookupEvents", "ThrottlingException", times=9)
    notify(a_success())
    ((_, body),) = inbox.messages()
    said = "CloudTrail could not be read (LookupEvents: ThrottlingException)"
    told, _, command = body.partition("Started by ")[2].partition("\n")
    assert told == f"unknown: {said}. Look it up later:"
    assert command.startswith("  aws cloudtrail lookup-events ")
    assert record().started_by["unknown"] == said


@pytest.mark.parametrize(
    "ended", [a_task("planned", plan=a_plan(), request={}), a_task("failed", error=FAILURE, request={})]
)
def test_the_command_that_comes_next_comes_last(inbox: Inbox, ended: Any) -> None:
    """Also behind the one that looks up who started the run."""
    notify(ended)
    ((_, body),) = inbox.messages()
    assert "Started by unknown" in body
    assert body.splitlines()[-1].startswith("  aws stepfunctions start-execution ")


def test_who_resumes_an_operation_is_its_starter_from_then_on(trail: FakeTrail) -> None:
    started()
    trail.events = [a_start()]
    notify(an_event("ABORTED"))
    OperationState(OPERATION, OTHER_EXECUTION, END).hand_over(record(), a_plan(), {})
    assert record().started_by == {}


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
    assert f"The execution ended {status}, and the step that was running reported nothing" in body
    assert record().status == "failed"
    assert lock_is_free()


def test_eventbridges_milliseconds_are_the_executions_start() -> None:
    execution = read_task(an_event("ABORTED")).execution
    assert (execution.started_at, execution.now) == (NOW, END)
    assert (execution.execution_id, execution.execution_name) == (EXECUTION, OPERATION)


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
    assert TargetLock(TARGET, "drill-7", OTHER_EXECUTION).take(NOW) is None
    notify(a_task("failed", error=FAILURE, request={"operation_id": "drill-7"}))
    found = other.recall()
    assert found is not None
    assert (found.status, found.notified_at) == ("running", None)
    assert TargetLock(TARGET, "mine", EXECUTION).take(NOW) is not None
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
        assert where.count("***") >= 2, "that something was there is said"
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
    begun = msgspec.structs.replace(an_execution(), execution_id=execution, execution_name=str(name))
    notify(NotificationTask(execution=begun, outcome="failed", request=request_given, error=FAILURE))
    assert len(inbox.messages()) == before + 1


# Stopped in its last state: one operation, one word


def test_what_was_told_as_succeeded_is_never_told_as_failed(inbox: Inbox) -> None:
    """The execution was stopped after its message had gone out: everything was done."""
    started()
    notify(a_success())
    notify(an_event("ABORTED", error="Stopped"))
    assert [subject.split()[1] for subject in inbox.subjects()] == ["SUCCEEDED:"]
    assert record().status == "succeeded"


def test_a_success_that_was_told_as_failed_too_early_says_so(inbox: Inbox) -> None:
    """EventBridge's word on the stop was heard before the last state's own."""
    started()
    notify(an_event("ABORTED", error="Stopped"))
    notify(a_success())
    (_, (subject, body)) = inbox.messages()
    assert subject.split()[1] == "SUCCEEDED:"
    assert body.splitlines()[0] == (
        "Corrects   the message FAILED of 2026-03-10T03:50:00.000Z: the operation has succeeded"
    )
    assert record().status == "succeeded"


# What production is told of first


def deleting(rds: FakeRds, **changes: Any) -> OperationState:
    """An operation that has begun to delete its source."""
    source = rds.add_cluster(SOURCE)
    deletion = a_deletion(source["DbClusterResourceId"], instance_identifiers=["prod-orders-2", "prod-orders-1"])
    deletion = replace(
        deletion,
        instances=[
            SourceInstance(identifier=each, db_instance_class="db.r6g.large")
            for each in ("prod-orders-2", "prod-orders-1")
        ],
        **changes,
    )
    operation = started(a_plan(delete_source=True, source_deletion=deletion))
    operation.remember(source_deletion_at="2026-03-10T03:40:00.000Z")
    return operation


def body_of_failure(inbox: Inbox) -> str:
    notify(a_task("failed", error=FAILURE, request={}))
    ((_, body),) = inbox.messages()
    return body


def test_rule_3_production_without_instances_is_the_first_line(inbox: Inbox, rds: FakeRds) -> None:
    deleting(rds)
    body = body_of_failure(inbox)
    assert body.splitlines()[0].startswith("Source cluster prod-orders is WITHOUT INSTANCES")
    creations = [line.split()[4] for line in body.splitlines() if "aws rds create-db-instance" in line]
    assert creations == ["prod-orders-1", "prod-orders-2"], "the writer, which was the last to go, comes first"


def test_rule_3_so_is_one_that_has_lost_a_part(inbox: Inbox, rds: FakeRds) -> None:
    deleting(rds)
    rds.add_instance("prod-orders-1", SOURCE, DBInstanceStatus="deleting")
    rds.add_instance("prod-orders-9", SOURCE)
    assert body_of_failure(inbox).splitlines()[0] == (
        "Source cluster prod-orders is PARTLY deleted. Instances deleted: prod-orders-2; being deleted: prod-orders-1. "
        "Still there: prod-orders-9. None of its data is lost: the cluster's volume exists."
    )


def test_a_source_that_is_gone_or_going_is_said_so_and_isnt_brought_back(inbox: Inbox, rds: FakeRds) -> None:
    deleting(rds)
    rds.clusters[SOURCE]["Status"] = "deleting"
    body = body_of_failure(inbox)
    assert body.splitlines()[0] == "Source cluster prod-orders is being deleted by RDS, and nothing can stop that."
    assert "create-db-instance" not in body


def test_protection_that_was_switched_off_is_given_back(inbox: Inbox, rds: FakeRds) -> None:
    operation = deleting(rds, switches_protection_off=True)
    operation.remember(source_deletion_at=None, protection_off_at="2026-03-10T03:39:00.000Z")
    for name in ("prod-orders-1", "prod-orders-2"):
        rds.add_instance(name, SOURCE)
    body = body_of_failure(inbox)
    assert body.splitlines()[0] == (
        "Source cluster prod-orders exists with all its instances: nothing of it was deleted."
    )
    assert (
        "aws rds modify-db-cluster --db-cluster-identifier prod-orders --deletion-protection --apply-immediately "
        "--region us-east-1" in body
    )


def test_where_rds_doesnt_answer_the_first_line_says_that_too(inbox: Inbox, rds: FakeRds) -> None:
    deleting(rds)
    rds.refuse("DescribeDBClusters", "AccessDenied", times=10)
    assert body_of_failure(inbox).startswith("The deletion of source cluster prod-orders has begun, and RDS did not")


def test_a_run_without_a_deletion_says_first_that_production_is_as_it_was_and_how_the_target_is(
    inbox: Inbox, rds: FakeRds
) -> None:
    started().remember(**NOT_ASKED)
    assert body_of_failure(inbox).splitlines()[0] == (
        "The source cluster was not changed. This operation has no cluster staging-orders."
    )


# What there is to go on from


def test_an_operation_whose_snapshot_is_gone_isnt_to_be_resumed(inbox: Inbox, rds: FakeRds) -> None:
    started().remember(**NOT_ASKED)
    body = body_of_failure(inbox)
    assert "no longer exists, so this operation cannot be resumed." in body
    (start,) = [line for line in body.splitlines() if "start-execution" in line]
    assert "operation_id" not in start
    assert "snapshot_identifier" not in start
    assert '"source_cluster_id": "prod-orders"' in start


@pytest.mark.parametrize("left", ["snapshot", "cluster", "copy", "on its way", "deletion"])
def test_with_anything_to_go_on_from_it_is(inbox: Inbox, rds: FakeRds, left: str) -> None:
    operation = started()
    if left == "snapshot":
        rds.add_snapshot("prod-orders-tuesday")
    elif left == "cluster":
        rds.add_cluster(TARGET, TagList=OWN_TAGS)
    elif left == "copy":
        rds.add_snapshot(a_copy().identifier, TagList=OWN_TAGS)
        operation.remember(made_snapshots={"copy": a_copy().arn})
    elif left == "on its way":
        operation.remember(made_snapshots={"copy_at_owner": "arn:aws:rds:eu-west-1:111111111111:cluster-snapshot:x"})
    else:
        operation.remember(
            plan_item=None,
            own_secrets=None,
            plan=a_plan(source_deletion=a_deletion()),
            source_deletion_at="2026-03-10T03:40:00.000Z",
        )
    body = body_of_failure(inbox)
    assert "then resume this operation" in body
    assert f'"operation_id": "{OPERATION}", "resume": true' in body


def test_a_cluster_that_somebody_deleted_isnt_gone_on_from(inbox: Inbox, rds: FakeRds) -> None:
    """Resuming is refused without it, though the snapshot is there: the same is asked for once more."""
    rds.add_snapshot("prod-orders-tuesday")
    started().remember(cluster_resource_id="cluster-OURS", unseen=MISSED)
    body = body_of_failure(inbox)
    assert "Cluster staging-orders (cluster-OURS), which this operation created, no longer exists" in body
    assert "then resume" not in body
    (start,) = [line for line in body.splitlines() if "start-execution" in line]
    assert body.splitlines()[-1] == start
    assert "operation_id" not in start


def test_a_cluster_that_one_look_misses_is_neither_gone_nor_lost(inbox: Inbox, rds: FakeRds) -> None:
    """Nor are its logins: RDS may not show it at this moment."""
    rds.add_snapshot("prod-orders-tuesday")
    started().remember(cluster_resource_id="cluster-OURS")
    body = body_of_failure(inbox)
    assert body.splitlines()[0] == (
        "The source cluster was not changed. RDS did not report whether cluster staging-orders exists."
    )
    assert "RDS did not report what exists (one look did not show cluster staging-orders" in body
    assert "no longer exists" not in body
    assert "then resume this operation" in body


@pytest.mark.parametrize("is_there", [True, False])
def test_a_copy_that_somebody_deleted_is_made_anew_from_its_snapshot(
    inbox: Inbox, rds: FakeRds, is_there: bool
) -> None:
    if is_there:
        rds.add_snapshot("prod-orders-tuesday")
    started().remember(**NOT_ASKED, made_snapshots={"copy": a_copy().arn})
    body = body_of_failure(inbox)
    assert ("then resume this operation" in body) is is_there
    assert ("so this operation cannot be resumed" in body) is not is_there


def test_without_the_restored_cluster_nothing_deletes_the_source_any_more(inbox: Inbox, rds: FakeRds) -> None:
    operation = deleting(rds)
    planned, asked = record().plan, {"delete_source": True, "port": 5544}
    operation.remember(
        cluster_resource_id="cluster-OURS",
        unseen=MISSED,
        plan_item=None,
        own_secrets=None,
        plan=planned,
        parameters=asked,
    )
    body = body_of_failure(inbox)
    (start,) = [line for line in body.splitlines() if "start-execution" in line]
    assert """--input '{"port": 5544}'""" in start
    assert "aws rds create-db-instance" in body, "and it can have its instances back"


def of_another_account() -> Plan:
    snapshot = a_plan().snapshot
    return a_plan(snapshot=replace(snapshot, arn=snapshot.arn.replace(ACCOUNT, "210987654321")))


def test_another_accounts_snapshot_may_be_gone_without_being_missed(inbox: Inbox, rds: FakeRds) -> None:
    """It can't be seen from here: both commands are given, and when each of them works."""
    started(of_another_account())
    body = body_of_failure(inbox)
    resume, anew = [line for line in body.splitlines() if "start-execution" in line]
    assert '"resume": true' in resume
    assert "is gone, or no longer shared, resuming is refused" in body
    assert "resume" not in anew
    assert '"source_account_id": "210987654321"' in anew


def test_where_rds_says_in_that_account_that_it_is_gone_only_a_new_start_is_named(inbox: Inbox, rds: FakeRds) -> None:
    started(of_another_account()).remember(**NOT_ASKED)
    cause = "CopyDBClusterSnapshot answered DBClusterSnapshotNotFoundFault: No. It was deleted."
    notify(a_task("failed", error=ExecutionError(error="StepFailed", cause=cause), request={}))
    ((_, body),) = inbox.messages()
    assert "no longer exists, so this operation cannot be" in body
    (start,) = [line for line in body.splitlines() if "start-execution" in line]
    assert "operation_id" not in start


def test_backups_that_cant_be_deleted_are_kept_by_the_command_that_resumes(inbox: Inbox, rds: FakeRds) -> None:
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    started()
    request = {"delete_source": True, "confirm_delete_source": SOURCE, "delete_automated_backups": True}
    cause = f"'prod-orders' has a continuous backup of AWS Backup's. {KEEP_BACKUPS}"
    notify(a_task("failed", error=ExecutionError(error="StepFailed", cause=cause), request=request))
    ((_, body),) = inbox.messages()
    commands = [line for line in body.splitlines() if "start-execution" in line]
    assert '"delete_source": true' in commands[0]
    assert not [line for line in commands if "delete_automated_backups" in line]
    assert "The automated backups are kept if you resume this operation" in body


def test_a_broken_copy_is_to_be_deleted_before_it_is_resumed(inbox: Inbox, rds: FakeRds) -> None:
    rds.add_snapshot(a_copy().identifier, Status="failed", TagList=OWN_TAGS)
    started().remember(made_snapshots={"copy": a_copy().arn})
    _, _, what_to_do = body_of_failure(inbox).partition("What to do next:")
    commands = [line.split()[2] for line in what_to_do.splitlines() if line.startswith("  aws ")]
    assert commands == ["delete-db-cluster-snapshot", "start-execution"]


@pytest.mark.parametrize(("status", "usable"), [("available", True), ("incompatible-parameters", False)])
def test_only_a_cluster_that_answers_is_offered_for_use(inbox: Inbox, rds: FakeRds, status: str, usable: bool) -> None:
    rds.add_cluster(TARGET, Status=status, TagList=OWN_TAGS)
    rds.add_instance(f"{TARGET}-1", TARGET)
    started().remember(users_ready_at="2026-03-10T03:40:00.000Z")
    assert ("Or use the cluster as it is" in body_of_failure(inbox)) is usable


def test_without_its_users_nor(inbox: Inbox, rds: FakeRds) -> None:
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    rds.add_instance(f"{TARGET}-1", TARGET)
    started()
    assert "Or use the cluster as it is" not in body_of_failure(inbox)


def test_a_resumption_that_was_refused_for_good_begins_anew_with_all_that_was_asked(inbox: Inbox) -> None:
    """A request to resume may leave out everything but the id."""
    state().open("snapshot-check", {"target_cluster_id": TARGET, "port": 5544}, a_plan(), "failed")
    refusal = ExecutionError(error="RequestRefused", cause=f"operation_id: It has succeeded. {START_ANEW}")
    execution = an_execution(execution_id=OTHER_EXECUTION, execution_name="somebody-elses")
    request = {"operation_id": OPERATION, "resume": True}
    notify(NotificationTask(execution=execution, outcome="failed", error=refusal, request=request))
    ((_, body),) = inbox.messages()
    assert f"""--input '{{"target_cluster_id": "{TARGET}", "port": 5544}}'""" in body


# What a stop leaves open


def test_what_a_stopped_step_may_still_make_is_named(inbox: Inbox, rds: FakeRds) -> None:
    rds.add_snapshot("prod-orders-tuesday")
    started()
    notify(an_event("ABORTED", error="Stopped", cause="me\nDeleted    prod-orders"))
    ((_, body),) = inbox.messages()
    assert f"these may appear within minutes: cluster {TARGET}." in body
    assert f"aws rds describe-db-clusters --filters Name=db-cluster-id,Values={TARGET} --region {REGION}" in body
    assert "me\\nDeleted    prod-orders" in body, "somebody else's line isn't one of ours"


def test_a_step_that_was_caught_makes_nothing_any_more(inbox: Inbox, rds: FakeRds) -> None:
    started()
    assert "may appear" not in body_of_failure(inbox)


# What the next operation of the source learns of it

DURATIONS = {"create-cluster": 1200.0, "open-door": 40.0}


def learned() -> dict[str, float]:
    return SourceDurations(a_plan().snapshot).expected()


@pytest.mark.parametrize("task", [a_success(), a_task("failed", error=FAILURE)], ids=["succeeded", "failed"])
def test_how_long_each_phase_took_is_kept_for_the_next_operation_of_the_source(task: NotificationTask) -> None:
    started().remember(took=DURATIONS)
    notify(task)
    assert learned() == DURATIONS
    notify(task)
    assert learned() == DURATIONS


def test_durations_that_cannot_be_kept_fail_nothing_and_are_logged(inbox: Inbox, logs: LogLines) -> None:
    started().remember(took=DURATIONS)

    def refuse(params: dict[str, Any], **_: object) -> None:
        if params.get("Item", {}).get("operation_id", {}).get("S", "").startswith("durations#"):
            raise EndpointConnectionError(endpoint_url="https://dynamodb.us-east-1.amazonaws.com/")

    events = client("dynamodb").meta.events
    events.register("provide-client-params.dynamodb.PutItem", refuse)
    try:
        notify(a_success())
    finally:
        events.unregister("provide-client-params.dynamodb.PutItem", refuse)
    assert learned() == {}
    assert [subject.split(":")[0] for subject in inbox.subjects()] == ["[aurora-restore] SUCCEEDED"]
    assert [each["cause"] for each in logs.entries() if each["message"] == "durations not kept"] == [
        'Could not connect to the endpoint URL: "https://dynamodb.us-east-1.amazonaws.com/"'
    ]


def test_the_message_says_what_was_expected_beside_what_it_took(inbox: Inbox) -> None:
    plan = a_plan(expected_minutes=[24, 130])
    started(plan)
    notify(a_success(plan))
    ((_, body),) = inbox.messages()
    assert "Took       50 min 0 s; 24 min to 2 h 10 min were expected" in body
