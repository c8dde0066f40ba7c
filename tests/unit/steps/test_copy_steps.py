"""aurora-restore-copy-snapshot and aurora-restore-check-copy-status: one copy, watched to its end."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.unit.fakes.rds import Clock, FakeRds
from tests.unit.support import (
    ACCOUNT,
    EXECUTION,
    LIMITS,
    NOW,
    OPERATION,
    OWN_TAGS,
    REGION,
    a_copy,
    a_plan,
    a_run,
    calling,
)
from utils.contracts.payloads import CheckCopyTask, CopyProgress, CopyTask
from utils.errors import StepFailed, TemporaryFailure
from utils.pauses import LONGEST_PAUSE_SECONDS
from utils.state.operation import OperationState

pytestmark = pytest.mark.usefixtures("account")

start, look = calling("copy-snapshot"), calling("check-copy-status")
COPY = a_copy()


@pytest.fixture(autouse=True)
def operation(account: None, source_rds: FakeRds) -> OperationState:
    source_rds.add_snapshot("prod-orders-tuesday")
    state = OperationState(OPERATION, EXECUTION, NOW)
    state.open("snapshot-check", {}, a_plan(copy=COPY, copy_needed=True), "running")
    return state


def starting(after: dt.timedelta = dt.timedelta()) -> CopyTask:
    return CopyTask(limits=LIMITS, run=a_run(now=NOW + after), copy=COPY)


def looking(after: dt.timedelta) -> CheckCopyTask:
    progress = CopyProgress(
        answer="wait",
        action="copy",
        waiting_for="the copy",
        started_at=NOW,
        action_at=NOW,
        percent=0,
        wait_seconds=120,
    )
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
    assert (answer["answer"], answer["action"], answer["wait_seconds"]) == ("wait", "copy", 120)
    assert answer["waiting_for"] == f"the copy in {REGION} of {ACCOUNT}"
    assert recorded(operation) == COPY.arn


def test_rule_5_a_copy_started_twice_is_one_copy(rds: FakeRds) -> None:
    rds.seconds = {"CopyDBClusterSnapshot": 3600}
    start(starting())
    assert start(starting())["action"] == "none"
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
    with pytest.raises(StepFailed, match=r"is not the copy that operation .* made .none recorded.. It was left alone"):
        start(starting())
    assert recorded(operation) is None


def test_a_copy_that_rds_refuses_stops_the_run(rds: FakeRds) -> None:
    rds.refuse("CopyDBClusterSnapshot", "KMSKeyNotAccessibleFault", "Because.")
    with pytest.raises(StepFailed, match=r"CopyDBClusterSnapshot answered KMSKeyNotAccessibleFault: Because\."):
        start(starting())


def test_while_a_region_makes_as_many_copies_as_it_can_the_run_waits(rds: FakeRds, operation: OperationState) -> None:
    for number in range(5):
        rds.add_snapshot(f"somebodys-{number}", Status="copying")
    for answer in (start(starting()), look(looking(dt.timedelta(minutes=20)))):
        assert answer["answer"] == "wait"
        assert answer["waiting_for"].startswith(f"a free place: {REGION} makes 5 copies already")
    assert rds.changes() == []
    rds.snapshots["somebodys-0"]["Status"] = "available"
    assert look(looking(dt.timedelta(minutes=25)))["answer"] == "advance"
    assert start(starting())["action"] == "copy"


def test_rdss_word_for_too_many_copies_is_waited_for_as_well(rds: FakeRds) -> None:
    rds.refuse("CopyDBClusterSnapshot", "SnapshotQuotaExceeded")
    answer = start(starting())
    assert (answer["answer"], answer["action"]) == ("wait", "none")
    assert answer["waiting_for"].startswith("a free place")
    assert start(starting())["action"] == "copy"


def test_a_quota_of_snapshots_that_is_used_up_is_no_matter_of_waiting(rds: FakeRds) -> None:
    rds.quotas["ManualClusterSnapshots"] = 0
    rds.refuse("CopyDBClusterSnapshot", "SnapshotQuotaExceeded")
    with pytest.raises(StepFailed, match=r"No room for the copy .* Delete manual snapshots that nobody needs"):
        start(starting())


def test_a_run_that_finds_no_free_copy_until_its_deadline_says_so(rds: FakeRds) -> None:
    for number in range(5):
        rds.add_snapshot(f"somebodys-{number}", Status="copying")
    start(starting())
    with pytest.raises(StepFailed, match="After 60 hours the copy still waits for a free place"):
        look(looking(dt.timedelta(hours=60)))


def test_a_copy_under_way_is_an_answer_and_not_an_error(copying: dict[str, Any]) -> None:
    answer = look(looking(dt.timedelta(minutes=20)))
    assert (answer["answer"], answer["percent"], answer["wait_seconds"]) == ("wait", 40, 300)


def test_progress_shortens_the_pause_before_the_end(copying: dict[str, Any]) -> None:
    copying["PercentProgress"] = 90
    assert look(looking(dt.timedelta(minutes=20)))["wait_seconds"] == 133


def test_a_copy_that_is_available_is_ready_and_how_long_it_took_is_recorded(
    copying: dict[str, Any], operation: OperationState
) -> None:
    copying.update(Status="available", PercentProgress=100)
    assert look(looking(dt.timedelta(minutes=20)))["answer"] == "done"
    found = operation.recall()
    assert found is not None
    assert found.took == {"copy": 1170}, "it ended at some time in the two minutes before"


def test_a_copy_that_was_seen_before_is_looked_at_shortly_before_its_end(
    rds: FakeRds, operation: OperationState
) -> None:
    rds.seconds = {"CopyDBClusterSnapshot": 3600}
    operation.remember(expected={"copy": 4000})
    assert start(starting())["wait_seconds"] == 3100
    operation.remember(expected={"copy": 1000})
    assert start(starting(dt.timedelta(hours=1)))["action"] == "none"
    assert look(looking(dt.timedelta(minutes=1)))["wait_seconds"] == 715


@pytest.mark.parametrize("status", ["failed", "deleting", "incompatible-restore"])
def test_a_failed_copy_stops_the_restore(copying: dict[str, Any], status: str) -> None:
    copying["Status"] = status
    with pytest.raises(
        StepFailed, match=f"is {status} and will not become available. Check the keys of {COPY.final.source_arn}"
    ):
        look(looking(dt.timedelta(minutes=20)))


def test_a_copy_that_somebody_deleted_stops_the_restore(rds: FakeRds) -> None:
    start(starting())
    rds.snapshots.clear()
    assert look(looking(dt.timedelta(minutes=20)))["answer"] == "wait"
    with pytest.raises(StepFailed, match="is gone and will not become available"):
        look(looking(dt.timedelta(minutes=21)))


def test_a_copy_that_one_look_misses_is_neither_gone_nor_made_again(rds: FakeRds) -> None:
    start(starting())
    hidden = dict(rds.snapshots)
    rds.snapshots.clear()
    progress = look(looking(dt.timedelta(minutes=20)))
    assert (progress["answer"], progress["wait_seconds"]) == ("wait", 60)
    assert progress["waiting_for"] == f"the copy {COPY.final.snapshot_arn}, which RDS does not show"
    rds.snapshots.update(hidden)
    assert look(looking(dt.timedelta(minutes=21)))["answer"] in ("wait", "done")
    rds.snapshots.clear()
    assert look(looking(dt.timedelta(minutes=22)))["answer"] == "wait", "what was shown since is not gone"
    assert rds.changes() == ["CopyDBClusterSnapshot"]


def test_a_copy_past_its_deadline_stops_the_restore(copying: dict[str, Any]) -> None:
    with pytest.raises(StepFailed, match=r"copying, 40 %.*Raise the stack's CopyDeadlineHours"):
        look(looking(dt.timedelta(hours=60)))


def test_a_copy_that_is_ready_at_its_deadline_is_ready(copying: dict[str, Any]) -> None:
    copying["Status"] = "available"
    assert look(looking(dt.timedelta(hours=60)))["answer"] == "done"


@pytest.mark.full
def test_a_day_of_copying_is_watched_with_few_looks(rds: FakeRds, clock: Clock) -> None:
    rds.seconds = {"CopyDBClusterSnapshot": 24 * 3600}
    progress, looks = start(starting()), 0
    while progress["answer"] != "done" and looks < 150:
        clock.pass_seconds(progress["wait_seconds"])
        known = {"started_at": NOW.isoformat(), **progress}
        progress = look({"run": a_run(now=clock.now), "copy": COPY, "progress": known})
        looks += 1
    assert looks < 75
    # Nothing is known of this copy, so the pauses have grown up to the longest one.
    assert clock.now - NOW < dt.timedelta(hours=24, seconds=LONGEST_PAUSE_SECONDS)
