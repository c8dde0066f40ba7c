"""A drill whose execution has died is ended by another one, once: nobody else is going to delete its cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.fakes.machine import FakeMachine
from tests.unit.fakes.rds import FakeRds
from tests.unit.operation.test_close import (
    END,
    FAILURE,
    Inbox,
    a_task,
    an_event,
    inbox,
    lock_is_free,
    notify,
    record,
    redriven,
    started,
)
from tests.unit.support import (
    ACCOUNT,
    EXECUTION,
    LIMITS,
    MACHINE,
    NOW,
    OPERATION,
    OTHER_EXECUTION,
    OWN_TAGS,
    REGION,
    TARGET,
    a_copy,
    a_plan,
    an_execution,
    calling,
)
from utils.aws import client
from utils.contracts.payloads import ExecutionError
from utils.contracts.plan import TargetSecrets
from utils.errors import RequestRefused, StepFailed, TemporaryFailure
from utils.names import fingerprint
from utils.operation.close import OperationEnd
from utils.operation.resume import resume
from utils.request.reading import read_request
from utils.state.operation import NO_CLUSTER, OperationRecord, OperationState
from utils.state.values import iso

pytestmark = pytest.mark.usefixtures("account", "rds", "inbox")
__all__ = ["inbox"]

PLAN = a_plan(drill=True)
RESUME = {"operation_id": OPERATION, "resume": True}
STOPPED = ExecutionError(error="DrillStopped", cause="An earlier execution of this drill was stopped.")
check = calling("snapshot-check")


def drilling(rds: FakeRds, **facts: Any) -> dict[str, Any]:
    """A drill that has restored its cluster and verifies it."""
    cluster = rds.add_cluster(TARGET, TagList=OWN_TAGS)
    state = started(PLAN)
    state.remember(cluster_resource_id=cluster["DbClusterResourceId"], users_ready_at=iso(NOW), **facts)
    state.enter("verify-data")
    return cluster


def finisher(machine: FakeMachine) -> str:
    (arn,) = machine.started
    return arn


def resumed(machine: FakeMachine, execution_id: str, ended: str = EXECUTION) -> dict[str, Any]:
    """Return what the first step plans where an execution resumes the operation, as the one that ends the drill."""
    machine.statuses[ended] = "ABORTED"
    name = execution_id.rpartition(":")[2]
    execution = {"execution_id": execution_id, "execution_name": name, "started_at": END, "now": END}
    return dict(check({"execution": execution, "request": RESUME}))


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT", "FAILED"])
def test_it_is_started_by_its_operations_name_and_said(
    status: str, rds: FakeRds, machine: FakeMachine, inbox: Inbox
) -> None:
    drilling(rds)
    notify(an_event(status))
    ((arn, given),) = machine.started.items()
    assert arn.startswith(f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{MACHINE}:finish-{fingerprint(OPERATION)}-")
    assert json.loads(given) == RESUME
    ((_, body),) = inbox.messages()
    how = {"ABORTED": "was stopped", "TIMED_OUT": "has timed out", "FAILED": "has died"}[status]
    assert f"The drill has ended in verify-data, because its execution {how}: {EXECUTION}." in body
    assert f"aws stepfunctions describe-execution --execution-arn {arn} --region {REGION}" in body
    assert "aws rds delete" not in body, "it would be deleted twice, and without proof"
    assert lock_is_free()


def test_however_often_the_end_is_delivered_one_is_started(rds: FakeRds, machine: FakeMachine, inbox: Inbox) -> None:
    drilling(rds)
    for _ in range(3):
        notify(an_event("ABORTED"))
    assert (len(inbox.messages()), len(machine.started)) == (1, 1)


def test_one_that_could_not_be_started_is_started_by_the_next_delivery(
    rds: FakeRds, machine: FakeMachine, inbox: Inbox
) -> None:
    drilling(rds)
    machine.refuse("StartExecution", "ServiceUnavailable", status=503, times=10)
    with pytest.raises(TemporaryFailure):
        notify(an_event("ABORTED"))
    assert (machine.started, record().is_drill_ended) == ({}, True)
    machine._refusals.clear()
    notify(an_event("ABORTED"))
    assert (len(machine.started), len(inbox.messages())) == (1, 1)


def test_a_drill_whose_own_states_have_reported_its_end_was_cleaned_up_by_them(
    rds: FakeRds, machine: FakeMachine
) -> None:
    drilling(rds)
    notify(a_task("failed", error=FAILURE, request={}))
    notify(an_event("FAILED"))
    assert (machine.started, record().drill_ended_by) == ({}, {})


@pytest.mark.parametrize("plan", [a_plan(), a_plan(drill=True, dry_run=True)], ids=["a restore", "a dry run"])
def test_what_is_no_drill_or_only_planned_one_is_not_ended_by_another(plan: Any, machine: FakeMachine) -> None:
    started(plan)
    notify(an_event("ABORTED"))
    assert (machine.started, record().drill_ended_by) == ({}, {})


def test_the_execution_only_ends_the_drill_and_makes_no_secrets(rds: FakeRds, machine: FakeMachine) -> None:
    """Those that the stopped one had made for its target are gone when its cluster never came."""
    secrets = TargetSecrets(admin="aurora-restore/targets/t/admin", application="aurora-restore/targets/t/application")
    started(replace(PLAN, target_secrets=secrets))
    notify(an_event("ABORTED"))
    before = client("secretsmanager").list_secrets()["SecretList"]
    plan = resumed(machine, finisher(machine))
    assert (plan["finishes_drill"], plan["drill"], plan["phases"]) == (True, True, ["delete-cluster"])
    assert client("secretsmanager").list_secrets()["SecretList"] == before
    assert record().execution_id == finisher(machine)
    assert record().state == "restore-snapshot", "the step in which the drill has ended"
    with pytest.raises(StepFailed):
        OperationState(OPERATION, EXECUTION, END).remember(endpoint="the stopped one's")


def test_nothing_that_only_a_restore_needs_keeps_it_from_ending_the_drill(rds: FakeRds, machine: FakeMachine) -> None:
    """The cluster is renamed, the snapshot is gone: a resume of another operation would be refused."""
    drilling(rds)
    rds.clusters["renamed"] = rds.clusters.pop(TARGET) | {"DBClusterIdentifier": "renamed"}
    rds.snapshots.clear()
    notify(an_event("ABORTED"))
    assert resumed(machine, finisher(machine))["finishes_drill"] is True


def test_who_ends_a_drill_and_is_stopped_as_well_needs_a_person(
    rds: FakeRds, machine: FakeMachine, inbox: Inbox
) -> None:
    """Else executions would start each other against whoever stops them."""
    drilling(rds)
    notify(an_event("ABORTED"))
    arn = finisher(machine)
    resumed(machine, arn)
    notify(an_event("ABORTED", executionArn=arn, name=arn.rpartition(":")[2], input=json.dumps(RESUME)))
    assert len(machine.started) == 1
    (_, (_, body)) = inbox.messages()
    assert (
        "Fix the cause, then resume this operation. It deletes what the drill has left, and does nothing else:" in body
    )
    assert f'"operation_id": "{OPERATION}", "resume": true' in body
    assert resumed(machine, OTHER_EXECUTION, ended=arn)["finishes_drill"] is True


def test_a_redrive_that_was_quicker_continues_the_drill(rds: FakeRds, machine: FakeMachine) -> None:
    drilling(rds)
    notify(an_event("ABORTED"))
    redriven().enter("verify-data")
    assert not record().is_drill_ended
    machine.statuses[EXECUTION] = "RUNNING"
    execution = an_execution(now=END, execution_id=finisher(machine), execution_name="finish")
    with pytest.raises(RequestRefused, match="which is still running"):
        resume(read_request(RESUME), RESUME, record(), execution, LIMITS)


def test_a_redrive_that_dies_as_well_is_ended_by_another_one(rds: FakeRds, machine: FakeMachine) -> None:
    drilling(rds)
    notify(an_event("ABORTED"))
    redriven().enter("verify-data")
    notify(an_event("TIMED_OUT", redriveCount=1))
    assert len(machine.started) == 2
    ended = record().drill_ended_by
    assert (ended["status"], ended["redrive_count"], record().is_drill_ended) == ("TIMED_OUT", 1, True)


def test_nobody_is_started_for_a_drill_that_somebody_has_resumed(rds: FakeRds, machine: FakeMachine) -> None:
    state = started(PLAN)
    state.close("failed")
    OperationState(OPERATION, OTHER_EXECUTION, NOW).hand_over(record(), record().plan, {})
    notify(an_event("ABORTED"))
    assert machine.started == {}


def test_an_operation_of_the_release_before_is_resumed_as_ever() -> None:
    started(PLAN).close("failed")
    item = client("dynamodb").get_item(TableName="AuroraRestoreState", Key={"operation_id": {"S": OPERATION}})["Item"]
    assert "drill_ended_by" not in item
    assert (record().is_drill_ended, record().removed_here) == (False, {})


# What people read of the end

GONE: dict[str, Any] = {
    "identifier": TARGET,
    "resource_id": "cluster-GONE",
    "security_groups": [],
    "created_at": iso(NOW),
    "endpoint": None,
    "ready_at": None,
    "users_ready_at": None,
    "login_proven_at": None,
    "masked_at": None,
    "verified_at": None,
    "verification": {},
    "locked_logins": 0,
    "differences": [],
    "settings_compared_at": None,
    "began_at": iso(NOW),
    "gone_at": iso(END),
}


def ended(machine: FakeMachine, inbox: Inbox, clean_up: dict[str, Any], **facts: Any) -> str:
    """The message of the execution that has ended a drill, and left these facts."""
    notify(an_event("ABORTED"))
    arn = finisher(machine)
    resumed(machine, arn)
    OperationState(OPERATION, arn, END).remember(**facts)
    execution = an_execution(now=END, execution_id=arn, execution_name=arn.rpartition(":")[2])
    notify(replace(a_task("failed", error=STOPPED, request=RESUME, clean_up=clean_up), execution=execution))
    return inbox.messages()[-1][1]


def test_its_end_says_what_was_deleted_by_whom_and_that_nothing_is_to_do(
    rds: FakeRds, machine: FakeMachine, inbox: Inbox
) -> None:
    drilling(rds)
    rds.clusters.clear()
    done = {"answer": "done", "cluster_identifier": TARGET, "cluster_resource_id": "cluster-GONE"}
    body = ended(machine, inbox, done, **NO_CLUSTER, removed=GONE)
    assert f"The drill has ended in verify-data, because its execution was stopped: {EXECUTION}." in body
    assert f"Its cluster {TARGET} (cluster-GONE) was deleted; at {iso(END)} RDS reported no cluster of that id" in body
    assert finisher(machine) in body
    assert "Nothing has to be cleaned up. To drill again, start a new operation:" in body
    assert '"resume": true' not in body


def test_what_somebody_else_has_deleted_is_said_to_be_that(rds: FakeRds, machine: FakeMachine, inbox: Inbox) -> None:
    drilling(rds)
    rds.clusters.clear()
    body = ended(machine, inbox, {"answer": "done"}, **NO_CLUSTER, removed=GONE | {"began_at": None})
    assert f"Its cluster {TARGET} (cluster-GONE) was deleted by somebody else: at {iso(END)} RDS reported no" in body


@pytest.mark.parametrize("named", [TARGET, "renamed"])
def test_a_cluster_that_stays_is_said_with_the_command_that_deletes_it(
    named: str, rds: FakeRds, machine: FakeMachine, inbox: Inbox
) -> None:
    cluster = drilling(rds)
    rds.clusters[named] = rds.clusters.pop(TARGET) | {"DBClusterIdentifier": named}
    why = json.dumps({"errorMessage": "The drill's cluster was not deleted: it is protected."})
    body = ended(machine, inbox, {"error": {"Error": "StepFailed", "Cause": why}})
    assert "The clean-up failed as well: The drill's cluster was not deleted: it is protected." in body
    exists = "Its cluster still exists, and costs money." if named == TARGET else "Whether it has left a cluster is not"
    assert exists in body
    assert "Nothing has to be cleaned up" not in body
    assert f'"operation_id": "{OPERATION}", "resume": true' in body
    assert cluster["DbClusterResourceId"] == record().cluster_resource_id


def test_what_a_step_may_still_create_is_said_to_be_deleted(rds: FakeRds, machine: FakeMachine, inbox: Inbox) -> None:
    started(replace(PLAN, copy=a_copy(), copy_needed=True))
    notify(an_event("ABORTED"))
    ((_, body),) = inbox.messages()
    assert "They have this operation's tag, and resuming the operation deletes them." in body


def test_a_copy_that_could_not_be_deleted_is_something_to_clean_up(
    rds: FakeRds, machine: FakeMachine, inbox: Inbox
) -> None:
    copy = a_copy()
    started(replace(PLAN, copy=copy)).remember(made_snapshots={"copy": copy.arn}, cluster_asked_at=None)
    rds.add_snapshot(copy.identifier, TagList=OWN_TAGS)
    body = ended(machine, inbox, {"error": {"Error": "StepFailed", "Cause": "RDS is busy."}})
    assert "It has left no cluster." in body
    assert "It deletes what the drill has left, and does nothing else:" in body


def of(**facts: Any) -> OperationRecord:
    known = {"operation_id": OPERATION, "state": "verify-data", "status": "failed", "execution_id": EXECUTION}
    times = {"started_at": iso(NOW), "last_updated": iso(NOW), "step_times": {"snapshot-check": iso(NOW)}}
    return OperationRecord(**{**known, **times, **facts})


ENDED = {"execution_id": EXECUTION, "redrive_count": 0, "status": "ABORTED", "step": "verify-data", "at": iso(END)}


@pytest.mark.parametrize(
    ("facts", "is_ended"),
    [
        ({}, False),
        ({"drill_ended_by": ENDED}, True),
        ({"drill_ended_by": ENDED, "redrive_count": 1}, False),
        ({"drill_ended_by": ENDED, "execution_id": OTHER_EXECUTION}, True),
        ({"drill_ended_by": ENDED, "execution_id": OTHER_EXECUTION, "redrive_count": 2}, True),
    ],
)
def test_a_drill_is_ended_until_the_execution_that_has_died_is_redriven(facts: dict[str, Any], is_ended: bool) -> None:
    assert of(**facts).is_drill_ended is is_ended


def test_one_without_a_record_leaves_nothing_to_end() -> None:
    task = a_task("failed", error=FAILURE, died=True)
    assert not OperationEnd(task, OperationState(OPERATION, EXECUTION, END), None).is_to_be_finished
