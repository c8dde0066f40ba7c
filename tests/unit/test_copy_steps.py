"""aurora-restore-copy-snapshot and aurora-restore-check-copy-status: one copy, watched to its end."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.unit.fake_rds import Clock, FakeRds
from tests.unit.support import (
    EXECUTION,
    NOW,
    OPERATION,
    OWN_TAGS,
    a_copy,
    a_plan,
    a_run,
    calling,
)
from utils.errors import StepFailed, TemporaryFailure
from utils.payloads import CheckCopyTask, CopyProgress, CopyTask
from utils.state import OperationState

pytestmark = pytest.mark.usefixtures("account")

start, look = calling("copy-snapshot"), calling("check-copy-status")
COPY = a_copy()


@pytest.fixture(autouse=True)
def operation(account: None) -> OperationState:
    state = OperationState(OPERATION, EXECUTION, NOW)
    state.open("snapshot-check", {}, a_plan(copy=COPY, copy_needed=True), "running")
    return state


def starting() -> CopyTask:
    return CopyTask(run=a_run(), copy=COPY)


def looking(after: dt.timedelta) -> CheckCopyTask:
    progress = CopyProgress(started_at=NOW, ready=False, percent=0, wait_seconds=120)
    return CheckCopyTask(run=a_run(now=NOW + after), copy=COPY, progress=progress)


def recorded(operation: OperationState) -> str | None:
    found = operation.recall()
    assert found is not None
    return found.copied_snapshot_arn


@pytest.fixture
def copying(rds: FakeRds) -> dict[str, Any]:
    return rds.add_snapshot(COPY.identifier, Status="copying", PercentProgress=40, TagList=OWN_TAGS)


def test_a_copy_is_started_and_recorded_at_once(rds: FakeRds, operation: OperationState) -> None:
    rds.seconds = {"CopyDBClusterSnapshot": 3600}
    answer = start(starting())
    assert answer == {"started_at": "2026-03-10T03:00:00Z", "ready": False, "percent": 0, "wait_seconds": 120}
    assert recorded(operation) == COPY.arn


def test_rule_5_a_copy_started_twice_is_one_copy(rds: FakeRds) -> None:
    rds.seconds = {"CopyDBClusterSnapshot": 3600}
    assert start(starting()) == start(starting())
    assert list(rds.snapshots) == [COPY.identifier]


def test_rule_5_a_copy_started_again_after_a_lost_answer_is_one_copy_and_recorded(
    rds: FakeRds, operation: OperationState
) -> None:
    rds.seconds = {"CopyDBClusterSnapshot": 3600}
    rds.lose_answer("CopyDBClusterSnapshot")
    with pytest.raises(TemporaryFailure):
        start(starting())
    assert recorded(operation) is None
    start(starting())
    assert list(rds.snapshots) == [COPY.identifier]
    assert recorded(operation) == COPY.arn


def test_rule_4_a_snapshot_of_the_copys_name_that_isnt_ours_is_left_alone(
    rds: FakeRds, operation: OperationState
) -> None:
    rds.add_snapshot(COPY.identifier)
    with pytest.raises(StepFailed, match="isn't this operation's"):
        start(starting())
    assert recorded(operation) is None


@pytest.mark.parametrize(
    ("code", "error"), [("KMSKeyNotAccessibleFault", StepFailed), ("SnapshotQuotaExceeded", StepFailed)]
)
def test_a_copy_that_rds_refuses_stops_the_run(rds: FakeRds, code: str, error: type[Exception]) -> None:
    rds.refuse("CopyDBClusterSnapshot", code, "Because.")
    with pytest.raises(error, match=f"CopyDBClusterSnapshot answered {code}: Because."):
        start(starting())


def test_a_copy_under_way_is_an_answer_and_not_an_error(copying: dict[str, Any]) -> None:
    answer = look(looking(dt.timedelta(minutes=20)))
    assert (answer["ready"], answer["percent"], answer["wait_seconds"]) == (False, 40, 300)


def test_progress_shortens_the_pause_before_the_end(copying: dict[str, Any]) -> None:
    copying["PercentProgress"] = 90
    assert look(looking(dt.timedelta(minutes=20)))["wait_seconds"] == 133


def test_a_copy_that_is_available_is_ready(copying: dict[str, Any]) -> None:
    copying.update(Status="available", PercentProgress=100)
    assert look(looking(dt.timedelta(minutes=20)))["ready"] is True


@pytest.mark.parametrize("status", ["failed", "deleting", "incompatible-restore"])
def test_a_failed_copy_stops_the_restore(copying: dict[str, Any], status: str) -> None:
    copying["Status"] = status
    with pytest.raises(
        StepFailed, match=f"is {status} and won't become available. Check the keys of {COPY.source_arn}"
    ):
        look(looking(dt.timedelta(minutes=20)))


def test_a_copy_that_somebody_deleted_stops_the_restore(rds: FakeRds) -> None:
    with pytest.raises(StepFailed, match="is gone and won't become available"):
        look(looking(dt.timedelta(minutes=20)))


def test_a_copy_past_its_deadline_stops_the_restore(copying: dict[str, Any]) -> None:
    with pytest.raises(StepFailed, match=r"is at 40 % after 60 hours. Raise the stack's CopyDeadlineHours"):
        look(looking(dt.timedelta(hours=60)))


def test_a_copy_that_is_ready_at_its_deadline_is_ready(copying: dict[str, Any]) -> None:
    copying["Status"] = "available"
    assert look(looking(dt.timedelta(hours=60)))["ready"] is True


def test_a_day_of_copying_is_watched_with_few_looks(rds: FakeRds, clock: Clock) -> None:
    rds.seconds = {"CopyDBClusterSnapshot": 24 * 3600}
    progress, looks = start(starting()), 0
    while not progress["ready"]:
        clock.pass_seconds(progress["wait_seconds"])
        known = {"started_at": NOW.isoformat(), **progress}
        progress = look({"run": a_run(now=clock.now), "copy": COPY, "progress": known})
        looks += 1
    assert looks < 150
    assert clock.now - NOW < dt.timedelta(hours=24, minutes=16)
