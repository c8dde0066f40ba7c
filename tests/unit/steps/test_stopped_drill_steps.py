"""aurora-restore-delete-rds and -check-delete-status at the end of a drill that was stopped."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest

from tests.unit.fakes.rds import Clock, FakeRds
from tests.unit.support import (
    DOOR,
    EXECUTION,
    LIMITS,
    NOW,
    OPERATION,
    OTHER_EXECUTION,
    OWN_TAGS,
    TARGET,
    a_plan,
    a_run,
    calling,
    out_of_sight,
    some_instances,
)
from utils.contracts.payloads import DeleteTask
from utils.errors import StepFailed
from utils.state.operation import OperationRecord, OperationState
from utils.state.values import iso

pytestmark = pytest.mark.usefixtures("account")

delete, look = calling("delete-rds"), calling("check-delete-status")
EARLIER = NOW - dt.timedelta(hours=1)
ENDED = {"execution_id": OTHER_EXECUTION, "redrive_count": 0, "status": "ABORTED", "step": "verify-data"}
FIRST, _ = (each.identifier for each in some_instances(2))
REMOVED = {"identifier": TARGET, "resource_id": "cluster-GONE", "began_at": iso(EARLIER), "ready_at": iso(EARLIER)}


@pytest.fixture(autouse=True)
def operation(account: None) -> OperationState:
    state = OperationState(OPERATION, EXECUTION, NOW)
    state.open("snapshot-check", {}, a_plan(drill=True, finishes_drill=True), "running")
    state.remember(drill_ended_by=ENDED | {"at": iso(EARLIER)})
    return state


def record() -> OperationRecord:
    found = OperationState(OPERATION, EXECUTION, NOW).recall()
    assert found is not None
    return found


def left(rds: FakeRds, operation: OperationState, **changes: Any) -> dict[str, Any]:
    """Make what the drill has left: a cluster with an instance."""
    rds.seconds = {"DeleteDBInstance": 300, "DeleteDBCluster": 600}
    made = rds.add_cluster(TARGET, TagList=OWN_TAGS, **changes)
    rds.add_instance(FIRST, TARGET, TagList=OWN_TAGS)
    operation.remember(cluster_resource_id=made["DbClusterResourceId"], cluster_asked_at=iso(EARLIER))
    return made


def ending(now: dt.datetime = NOW) -> Any:
    return delete(DeleteTask(limits=LIMITS, run=a_run(now=now, cleaning_up=True)))


def looked_at(clock: Clock, progress: Any) -> Any:
    clock.pass_seconds(progress["wait_seconds"])
    return look({"run": msgspec.to_builtins(a_run(now=clock.now, cleaning_up=True)), "progress": progress})


def looked_at_twice(clock: Clock, progress: Any) -> Any:
    """Return what comes of a cluster that the first look has missed."""
    assert (progress["answer"], progress["doing"]) == ("wait", "waiting-to-delete")
    assert looked_at(clock, progress)["answer"] == "advance"
    return ending(clock.now)


def test_its_cluster_is_deleted_with_proof(rds: FakeRds, clock: Clock, operation: OperationState) -> None:
    made = left(rds, operation)
    progress = ending()
    assert rds.changes() == ["DeleteDBInstance", "DeleteDBCluster"]
    while progress["answer"] == "wait":
        progress = looked_at(clock, progress)
    assert progress["answer"] == "done"
    assert (record().cluster_resource_id, record().removed_here["resource_id"]) == (None, made["DbClusterResourceId"])
    assert record().removed["gone_at"] > record().removed["began_at"] == iso(NOW)
    assert 600 <= record().took["delete-cluster"] < 1800, "the next operation of this source knows how long it takes"


@pytest.mark.parametrize("status", ["creating", "modifying", "backing-up"])
def test_what_rds_is_still_doing_is_waited_for(
    status: str, rds: FakeRds, clock: Clock, operation: OperationState
) -> None:
    """Longer than a refused call would be retried: a restore may take hours."""
    made = left(rds, operation, Status=status)
    progress = ending()
    assert (rds.changes(), record().removed, record().clean_up_at) == ([], {}, None)
    for _ in range(20):
        progress = looked_at(clock, progress)
        assert (progress["answer"], progress["doing"]) == ("wait", "waiting-to-delete")
    made["Status"] = "available"
    assert looked_at(clock, progress)["answer"] == "advance"
    assert ending(clock.now)["doing"] == "deleting"
    assert rds.changes() == ["DeleteDBInstance", "DeleteDBCluster"]


def test_what_rds_never_comes_to_an_end_with_fails_red(rds: FakeRds, clock: Clock, operation: OperationState) -> None:
    left(rds, operation, Status="creating")
    progress = ending()
    clock.pass_seconds(48 * 3600)
    with pytest.raises(StepFailed, match=r"is creating 48\.0 hours after the wait for its deletion began"):
        looked_at(clock, progress | {"wait_seconds": 0})


def test_a_cluster_that_the_stopped_step_could_not_record_goes_by_its_tag(
    rds: FakeRds, operation: OperationState
) -> None:
    """It had asked RDS for it, and had recorded that before the call."""
    left(rds, operation)
    operation.remember(cluster_resource_id=None)
    assert ending()["answer"] == "wait"
    assert "DeleteDBCluster" in rds.changes()


@pytest.mark.parametrize("asked_at", [None, iso(EARLIER)])
def test_without_a_cluster_nothing_is_deleted(
    asked_at: str | None, rds: FakeRds, clock: Clock, operation: OperationState
) -> None:
    operation.remember(cluster_asked_at=asked_at)
    answer = ending()
    if asked_at is not None:
        answer = looked_at_twice(clock, answer)
    assert (answer["answer"], answer["skipped"], rds.changes()) == ("done", "no cluster was created", [])
    assert record().cluster_asked_at is None, "nothing is left to look for"


@pytest.mark.parametrize("is_known", [True, False])
def test_a_cluster_that_one_look_misses_is_deleted_all_the_same(
    is_known: bool, rds: FakeRds, clock: Clock, operation: OperationState
) -> None:
    made = left(rds, operation)
    operation.remember(cluster_resource_id=made["DbClusterResourceId"] if is_known else None)
    with out_of_sight(rds, TARGET):
        progress = ending()
    assert looked_at_twice(clock, progress)["doing"] == "deleting"
    assert rds.changes() == ["DeleteDBInstance", "DeleteDBCluster"]


def test_another_ones_cluster_of_that_name_is_none_of_the_drills(rds: FakeRds, operation: OperationState) -> None:
    rds.add_cluster(TARGET)
    assert ending()["answer"] == "done"
    operation.remember(cluster_asked_at=iso(EARLIER))
    with pytest.raises(StepFailed, match=r"The drill's cluster was not deleted: .* is not tagged as this operation's"):
        ending()
    assert rds.changes() == []


def test_a_deletion_that_the_drill_itself_has_begun_is_seen_to_its_end(
    rds: FakeRds, clock: Clock, operation: OperationState
) -> None:
    operation.remember(cluster_resource_id="cluster-GONE", removed=REMOVED)
    progress = looked_at_twice(clock, ending())
    assert (progress["answer"], progress["cluster_resource_id"]) == ("wait", "cluster-GONE")
    assert looked_at(clock, progress)["answer"] == "done"
    assert record().removed_here["ready_at"] == iso(EARLIER), "what was known before it was deleted"
    assert rds.changes() == []
    assert ending(clock.now)["skipped"] == "it is gone"


def test_what_somebody_else_has_deleted_is_recorded_as_that(
    rds: FakeRds, clock: Clock, operation: OperationState
) -> None:
    operation.remember(cluster_resource_id="cluster-GONE", cluster_asked_at=iso(EARLIER), removed={})
    assert looked_at(clock, looked_at_twice(clock, ending()))["answer"] == "done"
    assert (record().removed["began_at"], record().removed_here["resource_id"]) == (None, "cluster-GONE")


def renamed(rds: FakeRds, made: dict[str, Any]) -> None:
    del rds.clusters[TARGET]
    made["DBClusterIdentifier"] = "renamed"
    rds.clusters["renamed"] = made


def opened(_: FakeRds, made: dict[str, Any]) -> None:
    made["VpcSecurityGroups"] = [{"VpcSecurityGroupId": each, "Status": "active"} for each in (DOOR, "sg-0ther")]


STAYS: dict[str, tuple[Any, str]] = {
    "protected": (lambda _, made: made.update(DeletionProtection=True), "was created with deletion protection"),
    "renamed": (renamed, "somebody has renamed cluster-.* to renamed"),
    "opened": (opened, "sg-0ther, and not only"),
    "untagged": (lambda _, made: made.update(TagList=[]), "is not tagged as this operation's"),
}


@pytest.mark.parametrize("how", STAYS)
def test_a_cluster_that_somebody_may_need_stays_and_fails_red(
    how: str, rds: FakeRds, operation: OperationState
) -> None:
    change, why = STAYS[how]
    made = left(rds, operation)
    change(rds, made)
    with pytest.raises(StepFailed, match=f"The drill's cluster was not deleted: .*{why}"):
        ending()
    assert rds.changes() == []
    assert record().cluster_resource_id == made["DbClusterResourceId"], "so that nobody takes it for gone"


def test_an_operation_that_is_no_ended_drill_is_cleaned_up_as_ever(rds: FakeRds, operation: OperationState) -> None:
    """It has nothing to wait for: its own steps have."""
    left(rds, operation)
    operation.remember(drill_ended_by={})
    assert ending()["doing"] == "deleting"
