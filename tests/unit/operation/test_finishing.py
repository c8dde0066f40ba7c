"""A swap whose execution has died is finished by another one, once, and nobody else works on its target meanwhile."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.fakes.machine import FakeMachine
from tests.unit.fakes.rds import FakeRds, in_groups
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
    MACHINE,
    NOW,
    OPERATION,
    OTHER_EXECUTION,
    OWN_TAGS,
    REGION,
    SECURITY_GROUP,
    TARGET,
    a_cluster_plan,
    a_plan,
    an_execution,
    calling,
    lost_answer,
    nothing_archived,
    some_users,
)
from utils.aws import client
from utils.contracts.payloads import ExecutionError
from utils.contracts.plan import ReplacedCluster
from utils.contracts.swap import RecordedCluster, SwapRecord
from utils.errors import RequestRefused, StepFailed, TemporaryFailure
from utils.names import fingerprint, name_for
from utils.operation.start import begin_operation
from utils.request.fields import RestoreRequest
from utils.state.lock import TargetLock
from utils.state.operation import OperationState
from utils.state.swap import StoredSwap, keep_swap
from utils.state.values import iso

pytestmark = pytest.mark.usefixtures("account", "rds", "inbox")
__all__ = ["inbox"]

TEMPORARY = name_for("new", TARGET, OPERATION)
OLD = name_for("old", TARGET, OPERATION)
REPLACES = ReplacedCluster(
    resource_id="cluster-OLD",
    is_ours=True,
    login_version_id=None,
    other_names=[OLD],
    endpoint=f"{TARGET}.cluster-c0ffee.{REGION}.rds.amazonaws.com",
    port=5432,
    security_group_ids=[],
    data_api=False,
    deletion_protection=False,
    keep_hours=24,
)
PLAN = a_plan(cluster=a_cluster_plan(identifier=TEMPORARY), replaces=REPLACES)
check = calling("snapshot-check")


def swapping(rds: FakeRds, end: str | None = None) -> OperationState:
    """An operation within its swap, or after it."""
    cluster = rds.add_cluster(TEMPORARY, TagList=OWN_TAGS)
    state = started(PLAN)
    state.remember(
        cluster_resource_id=cluster["DbClusterResourceId"],
        swap_began_at=iso(NOW),
        swap_end=end,
        users_ready_at=iso(NOW),
    )
    return state


def names(machine: FakeMachine) -> list[str]:
    return [arn.rpartition(":")[2] for arn in machine.started]


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT", "FAILED"])
def test_it_is_started_by_its_operations_name_and_said(
    status: str, rds: FakeRds, machine: FakeMachine, inbox: Inbox
) -> None:
    swapping(rds)
    notify(an_event(status))
    ((arn, given),) = machine.started.items()
    assert arn.startswith(f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{MACHINE}:finish-{fingerprint(OPERATION)}-")
    assert json.loads(given) == {"operation_id": OPERATION, "resume": True}
    ((_, body),) = inbox.messages()
    assert f"aws stepfunctions describe-execution --execution-arn {arn} --region {REGION}" in body
    assert f"The swap of {TARGET} has not ended" in body
    # Either cluster may be the one that clients need.
    assert "aws rds delete" not in body
    assert "aws rds modify" not in body


def test_however_often_the_end_is_delivered_one_is_started(rds: FakeRds, machine: FakeMachine, inbox: Inbox) -> None:
    swapping(rds)
    for _ in range(3):
        notify(an_event("ABORTED"))
    assert len(inbox.messages()) == 1
    assert len(machine.started) == 1
    machine.statuses |= dict.fromkeys(machine.started, "SUCCEEDED")
    notify(an_event("ABORTED"))
    assert len(machine.started) == 1


def test_one_that_could_not_be_started_is_started_by_the_next_delivery(
    rds: FakeRds, machine: FakeMachine, inbox: Inbox
) -> None:
    swapping(rds)
    machine.refuse("StartExecution", "ServiceUnavailable", status=503, times=10)
    with pytest.raises(TemporaryFailure):
        notify(an_event("ABORTED"))
    assert (machine.started, len(inbox.messages())) == ({}, 1)
    machine._refusals.clear()
    notify(an_event("ABORTED"))
    assert (len(machine.started), len(inbox.messages())) == (1, 1)


def test_one_is_started_although_the_message_was_not_delivered_at_first(
    rds: FakeRds, machine: FakeMachine, inbox: Inbox
) -> None:
    swapping(rds)
    with lost_answer(client("sns"), "sns", "Publish"), pytest.raises(TemporaryFailure):
        notify(an_event("ABORTED"))
    notify(an_event("ABORTED"))
    assert len(machine.started) == 1


def test_a_redrive_that_is_stopped_within_the_swap_again_gets_one_of_its_own(
    rds: FakeRds, machine: FakeMachine, inbox: Inbox
) -> None:
    swapping(rds)
    notify(an_event("ABORTED"))
    redriven().enter("swap-cluster")
    notify(an_event("ABORTED", redriveCount=1))
    assert len(set(names(machine))) == 2


@pytest.mark.parametrize("end", ["forward", "back"])
def test_a_swap_that_has_ended_is_not_finished(end: str, rds: FakeRds, machine: FakeMachine) -> None:
    swapping(rds, end)
    notify(an_event("ABORTED"))
    assert machine.started == {}
    assert lock_is_free()


def test_a_swap_that_ends_while_the_execution_is_closed_is_not_finished(
    rds: FakeRds, machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, close = swapping(rds), OperationState.close

    def ended_just_before(closing: OperationState, status: Any, **facts: Any) -> None:
        state.remember(swap_end="back")
        close(closing, status, **facts)

    monkeypatch.setattr(OperationState, "close", ended_just_before)
    notify(an_event("ABORTED"))
    assert machine.started == {}


def test_one_that_has_failed_to_finish_it_needs_a_person(rds: FakeRds, machine: FakeMachine, inbox: Inbox) -> None:
    """Else executions would start each other for ever."""
    swapping(rds)
    notify(a_task("failed", error=FAILURE, request={}))
    notify(an_event("FAILED"))
    assert machine.started == {}
    ((_, body),) = inbox.messages()
    assert "which finishes the" in body
    assert "aws stepfunctions start-execution" in body
    assert f'"operation_id": "{OPERATION}", "resume": true' in body
    assert "aws rds delete" not in body


def test_nobody_is_started_for_an_operation_that_somebody_has_resumed(rds: FakeRds, machine: FakeMachine) -> None:
    swapping(rds).close("failed")
    OperationState(OPERATION, OTHER_EXECUTION, NOW).hand_over(record(), record().plan, {})
    notify(an_event("ABORTED"))
    assert machine.started == {}


def test_the_lock_stays_with_the_operation_until_its_swap_has_ended(rds: FakeRds, machine: FakeMachine) -> None:
    """A night that began now would find nobody under the target's name, and would take it."""
    swapping(rds)
    notify(an_event("ABORTED"))
    machine.statuses[EXECUTION] = "ABORTED"
    assert TargetLock(TARGET, "the-next", OTHER_EXECUTION).claim(END).is_swapping
    another = OperationState("the-next", OTHER_EXECUTION, END)
    with pytest.raises(RequestRefused, match="has not ended its swap") as refused:
        begin_operation(RestoreRequest(), another, a_plan(operation_id="the-next"), another_execution())
    assert f'"operation_id": "{OPERATION}", "resume": true' in str(refused.value)
    assert TargetLock(TARGET, OPERATION, OTHER_EXECUTION).claim(END).held_by is None


def test_a_sweep_of_the_expiry_machine_does_not_get_it_either(rds: FakeRds, machine: FakeMachine) -> None:
    """It cannot look the other machine's execution up, so the lock's own expiry counts."""
    swapping(rds)
    notify(an_event("ABORTED"))
    sweep = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:aurora-restore-expiry:sweep"
    later = END.replace(day=12)
    assert TargetLock(TARGET, "an-earlier-night", sweep).claim(later).is_swapping


def test_the_execution_only_finishes_the_swap(rds: FakeRds, machine: FakeMachine) -> None:
    swapping(rds)
    notify(an_event("ABORTED"))
    machine.statuses[EXECUTION] = "ABORTED"
    ((arn, given),) = machine.started.items()
    execution = {"execution_id": arn, "execution_name": arn.rpartition(":")[2], "started_at": END, "now": END}
    plan = check({"execution": execution, "request": json.loads(given)})
    assert plan["finishes_swap"] is True
    assert plan["replaces"]["resource_id"] == "cluster-OLD"
    assert (record().execution_id, record().is_swapping) == (arn, True)
    with pytest.raises(StepFailed):
        OperationState(OPERATION, EXECUTION, END).remember(swap_end="back")


STOPPED = ExecutionError(error="SwapStopped", cause="This one was started to finish the swap, and does nothing else.")
# By the swap's end: the names of old and new, when new was opened, and what the first lines say.
ENDS: dict[str, tuple[str | None, str | None, dt.datetime | None, str | None, list[str]]] = {
    "turned back, and new cleaned up": (
        TARGET,
        None,
        None,
        "back",
        [
            f"{TARGET} leads to the cluster that it led to before this operation: cluster-OLD, available, its door is",
            "Cluster cluster-NEW, the cluster that this operation gives the name to, is gone.",
            "The swap was turned back: a person has stopped it.",
            "nothing that clients have written is lost.",
        ],
    ),
    "finished forward": (
        OLD,
        TARGET,
        NOW,
        "forward",
        [
            f"{TARGET} leads to the cluster that this operation gives the name to: cluster-NEW, available, its door is",
            f"{OLD} is the cluster that it led to before this operation: cluster-OLD, available, its door is shut.",
            "The swap was finished forward: from 2026-03-10 03:00 UTC on, clients may have written to the cluster with",
            f"Cluster {OLD} (cluster-OLD) was replaced and still exists. While it does, ",
        ],
    ),
    "back, because new was deleted once it was open": (
        TARGET,
        None,
        NOW,
        "back",
        ["Clients may have written to cluster-NEW from 2026-03-10 03:00 UTC on: that data is gone with the cluster."],
    ),
    "not to be finished": (
        OLD,
        None,
        None,
        None,
        [
            f"The swap of {TARGET} has not ended",
            f"No cluster is called {TARGET} now.",
            "The swap could not be finished: ",
        ],
    ),
}


@pytest.mark.parametrize("which", ENDS)
def test_what_has_finished_a_swap_says_which_cluster_has_the_name_and_what_is_left(
    which: str, rds: FakeRds, inbox: Inbox
) -> None:
    """What RDS has at that moment is said, not what was to happen."""
    old_name, new_name, committed_at, end, expected = ENDS[which]
    state = started(PLAN)
    state.remember(cluster_resource_id="cluster-NEW", swap_began_at=iso(NOW), swap_end=end, users_ready_at=iso(NOW))
    opened, shut = in_groups([SECURITY_GROUP]), in_groups([PLAN.cluster.door_security_group_id])
    for name, resource_id, own in ((old_name, "cluster-OLD", []), (new_name, "cluster-NEW", OWN_TAGS)):
        if name is not None:
            groups = opened if name == TARGET else shut
            rds.add_cluster(name, DbClusterResourceId=resource_id, TagList=own, VpcSecurityGroups=groups)
            rds.add_instance(f"{name}-1", name)
    record = SwapRecord(
        live_name=TARGET,
        old=RecordedCluster(resource_id="cluster-OLD", other_names=(OLD,)),
        new=RecordedCluster(resource_id="cluster-NEW", other_names=(TEMPORARY,)),
        began_at=NOW,
        committed_at=committed_at,
    )
    swap = StoredSwap(attempt=f"{EXECUTION} 0", record=record, turned_because="a person has stopped it")
    keep_swap(swap, state)
    failed = {"error": {"Error": "StepFailed", "Cause": "RDS is busy."}} if end is None else {}
    notify(a_task("failed", error=STOPPED, clean_up=failed))
    ((_, body),) = inbox.messages()
    for said in expected:
        assert said in body
    if end == "forward":
        assert "aws rds delete" not in body, "clients may have written to what would be deleted"
        assert f"""--input '{{"operation_id": "{OPERATION}", "rollback": true}}'""" in body
    lines = [line for line in body.splitlines() if "leads to" in line or "No cluster is called" in line]
    assert body.splitlines().index(lines[0]) <= 1, "it comes first"


def told_of_a_swap_turned_back(inbox: Inbox, by: str) -> str:
    """Return the message on a failure after which nothing is recorded of the restored cluster any longer."""
    state = started(PLAN)
    state.remember(cluster_resource_id=None, swap_began_at=iso(NOW), swap_end="back")
    record = SwapRecord(
        live_name=TARGET,
        old=RecordedCluster(resource_id="cluster-OLD", other_names=(OLD,)),
        new=RecordedCluster(resource_id="cluster-NEW", other_names=(TEMPORARY,)),
        began_at=NOW,
    )
    keep_swap(StoredSwap(attempt=f"{by} 0", record=record), state)
    notify(a_task("failed", error=FAILURE))
    ((_, body),) = inbox.messages()
    return body


def test_a_failure_after_a_swap_that_was_turned_back_long_ago_says_nothing_of_it(rds: FakeRds, inbox: Inbox) -> None:
    """The operation was resumed, and its new cluster failed before it had a swap of its own."""
    body = told_of_a_swap_turned_back(inbox, by=OTHER_EXECUTION)
    assert "gives the name to" not in body
    assert "turned back" not in body


def test_a_swap_that_this_execution_has_turned_back_is_told_although_its_cluster_was_cleaned_up(
    rds: FakeRds, inbox: Inbox
) -> None:
    rds.add_cluster(TARGET, DbClusterResourceId="cluster-OLD", VpcSecurityGroups=in_groups([SECURITY_GROUP]))
    body = told_of_a_swap_turned_back(inbox, by=EXECUTION)
    assert f"{TARGET} leads to the cluster that it led to before this operation: cluster-OLD" in body
    assert "Nobody but the pipeline was let into cluster-NEW: nothing that clients have written is lost." in body


def another_execution() -> Any:
    return replace(an_execution(now=END), execution_id=OTHER_EXECUTION, execution_name="somebody-elses")


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({"name": f"{TARGET}-by-hand"}, f"which is kept as {TARGET}-by-hand"),
        ({"name": f"{TARGET}-by-hand", "Status": "deleting"}, "was deleted by somebody else"),
        (None, "was deleted by somebody else"),
        ("throttled", f"which is kept as {REPLACES.other_names[0]}"),
    ],
    ids=["renamed", "being deleted", "gone", "not reported"],
)
def test_a_success_says_what_the_replaced_cluster_is_now(rds: FakeRds, inbox: Inbox, seen: Any, expected: str) -> None:
    state = swapping(rds, "forward")
    state.remember(door_open_at=iso(NOW))
    if isinstance(seen, dict):
        rds.add_cluster(seen["name"], DbClusterResourceId="cluster-OLD", Status=seen.get("Status", "available"))
    elif seen == "throttled":
        rds.refuse("DescribeDBClusters", "Throttling", "Rate exceeded", times=20)
    notify(a_task("succeeded", plan=PLAN, users=some_users(), archive=nothing_archived()))
    ((_, body),) = inbox.messages()
    assert expected in body
