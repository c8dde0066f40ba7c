"""aurora-restore-check-restore-status in a drill: the settings are held against the plan before the cluster goes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.unit.fakes.rds import Clock, FakeRds
from tests.unit.support import (
    EXECUTION,
    LIMITS,
    NOW,
    OPERATION,
    OWN_TAGS,
    TARGET,
    a_cluster_plan,
    a_plan,
    a_run,
    calling,
    some_users,
)
from utils.contracts.payloads import DeleteTask
from utils.state.operation import OperationRecord, OperationState
from utils.state.values import iso

pytestmark = pytest.mark.usefixtures("account")

look, delete = calling("check-restore-status"), calling("delete-rds")
PLAN = a_cluster_plan()
WRITER = PLAN.instances[0].identifier


@pytest.fixture(params=[True, False], ids=["drill", "restore"])
def is_drill(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def made(rds: FakeRds, *, drill: bool = True) -> None:
    """A cluster whose instances are up, and whose users are set up."""
    cluster = rds.add_cluster(TARGET, TagList=OWN_TAGS, EnabledCloudwatchLogsExports=["postgresql"])
    for each in PLAN.instances:
        rds.add_instance(each.identifier, TARGET, TagList=OWN_TAGS)
    state = OperationState(OPERATION, EXECUTION, NOW)
    state.open("snapshot-check", {}, a_plan(drill=drill), "running")
    state.enter("restore-snapshot")
    ours = {"cluster_resource_id": cluster["DbClusterResourceId"], "password_reset_at": iso(NOW)}
    state.remember(**ours, users_ready_at=iso(NOW), users=some_users())


def record() -> OperationRecord:
    found = OperationState(OPERATION, EXECUTION, NOW).recall()
    assert found is not None
    return found


def answer_of(clock: Clock) -> Any:
    progress = {
        "answer": "done",
        "action": "create-instances",
        "waiting_for": "",
        "started_at": NOW.isoformat(),
        "action_at": NOW.isoformat(),
        "wait_seconds": 60,
    }
    return look({"run": a_run(now=clock.now), "cluster": PLAN, "progress": progress})


def test_a_drill_compares_what_a_restore_leaves_to_its_opening(rds: FakeRds, clock: Clock, is_drill: bool) -> None:
    made(rds, drill=is_drill)
    rds.instances[WRITER]["PromotionTier"] = 9
    assert answer_of(clock)["answer"] == "done"
    found = record()
    differs = [f"instance {WRITER}: promotion_tier: asked for 1, RDS reports 9"] if is_drill else []
    assert (found.differences, found.settings_compared_at is not None) == (differs, is_drill)


def test_a_drill_says_which_changes_rds_has_failed_to_make(rds: FakeRds, clock: Clock, is_drill: bool) -> None:
    """Their only trace is an event, and the cluster is gone before anybody can look."""
    made(rds, drill=is_drill)
    rds.events = [{"SourceIdentifier": WRITER, "Message": "No role.", "EventCategories": ["failure"]}]
    answer_of(clock)
    assert record().differences == ([f"RDS reports a failure: {WRITER}: No role."] if is_drill else [])


def test_what_was_found_stays_known_when_the_cluster_goes(rds: FakeRds, clock: Clock) -> None:
    made(rds)
    answer_of(clock)
    assert record().differences == []
    delete(DeleteTask(limits=LIMITS, run=a_run(cleaning_up=True), ends_drill=True))
    removed = record().removed
    assert (removed["differences"], removed["settings_compared_at"]) == ([], iso(NOW))


def test_what_may_come_with_settling_is_waited_for_a_while(rds: FakeRds, clock: Clock) -> None:
    made(rds)
    rds.instances[WRITER] |= {"PromotionTier": 9, "DBInstanceStatus": "configuring-enhanced-monitoring"}
    answer = answer_of(clock)
    assert (answer["answer"], "to settle" in answer["waiting_for"]) == ("wait", True)
    assert record().settings_compared_at is None
    clock.now += dt.timedelta(minutes=20)
    assert answer_of(clock)["answer"] == "done"
    assert len(record().differences) == 1
