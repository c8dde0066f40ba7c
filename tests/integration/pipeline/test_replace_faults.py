"""A replacement on bad nights: each fault ends as promised, and no row that a client was promised is lost.

F: the new cluster has the name and is open. K: the old one has it, and is open. One target is replaced night after
night: each begins with the cluster that the one before has left.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from scripts.local_aws.aurora.records import Resource
from scripts.local_aws.server import LocalAws
from scripts.local_run import stage
from scripts.local_run.client import Client
from scripts.local_run.production import Production
from scripts.local_run.stage import SOURCE, Stage
from tests.integration.pipeline.refreshing import MODIFY, Refreshing, meeting
from tests.integration.pipeline.support import Run, settle, until
from utils.names import name_for

pytestmark = pytest.mark.series

PREFIX, TARGET = "faulty", "faulty-orders"
RENAMED_AWAY = {"DBClusterIdentifier": TARGET, "NewDBClusterIdentifier": f"{TARGET}-old-*"}
RENAMED_IN = {"DBClusterIdentifier": f"{TARGET}-new-*", "NewDBClusterIdentifier": TARGET}
Rule = dict[str, Any]


@pytest.fixture(scope="module")
def place(aws: LocalAws) -> Stage:
    names = {"NamePrefix": PREFIX, "StateTableName": "FaultyState", "AuditTableName": "FaultyAudit"}
    wanted = {"SourceClusterId": SOURCE, "TargetClusterId": TARGET, "TargetClusterPattern": "faulty-*"}
    made = stage.deploy(aws, cross_region=False, overrides={**names, **wanted, "InstanceCount": "2"}, stack_name=PREFIX)
    made.shut_its_door()
    return made


@pytest.fixture(scope="module")
def target(place: Stage, production: Production) -> Refreshing:
    made = Refreshing(place, TARGET)
    first = made.night()
    assert first.status == "SUCCEEDED", first.reason
    return made


@pytest.fixture
def nights(target: Refreshing, kept: set[Resource]) -> Iterator[Refreshing]:
    """The target with one cluster alone, whatever the last night has left."""
    if target.pipeline.cluster(TARGET) is None:
        first = target.night()
        assert first.status == "SUCCEEDED", first.reason
    yield target
    target.aws.faults.clear()
    settle(target.pipeline)
    for each in target.ours():
        if each["DBClusterIdentifier"] != TARGET:
            target.pipeline.remove(each["DBClusterIdentifier"])
    kept |= target.aws.aurora.existing()


def assert_ends(nights: Refreshing, old: dict[str, Any], run: Run, client: Client, end: str) -> None:
    """What a client was promised is in exactly one cluster, and the live name leads where it should."""
    live = nights.live()
    assert run.status == ("SUCCEEDED" if end == "F" else "FAILED"), run.reason
    assert (live["DbClusterResourceId"] == old["DbClusterResourceId"]) == (end == "K"), run.reason
    assert not nights.door_is_shut(live)
    kept = nights.by_id(old["DbClusterResourceId"])
    in_live = nights.rows_in(TARGET)
    in_old = nights.rows_in(kept["DBClusterIdentifier"]) if kept is not None and end == "F" else set()
    for row in client.acknowledged:
        assert (row.key in in_live) != (row.key in in_old), row
    assert client.acknowledged[-1].key in in_live
    if end == "F" and kept is not None:
        assert nights.door_is_shut(kept)


def a_night(nights: Refreshing, end: str, *rules: Rule) -> Run:
    old = nights.live()
    for rule in rules:
        nights.aws.faults.add(**rule)
    with nights.client(pooled=False) as client:
        run = nights.night()
        nights.aws.clock.sleep(60)
        until(lambda: client.acknowledged, "that a row is acknowledged")
        settled = len(client.rows)
        until(lambda: len(client.rows) > settled + 3, "that the client has tried again")
    assert_ends(nights, old, run, client, end)
    return run


def dies(function: str, die: str) -> Rule:
    return {"function": f"{PREFIX}-{function}", "die": die, "times": 3}


def loses(operation: str, times: int) -> Rule:
    return {"operation": operation, "answer": "lost", "times": times}


NIGHTS: dict[str, tuple[str, list[Rule]]] = {
    "1 the step dies before its calls": ("F", [dies("swap-cluster", "before")]),
    "1 the step dies after its calls": ("F", [dies("swap-cluster", "after")]),
    "1 the errand dies before it is done": ("F", [dies("check-swap", "before")]),
    "1 the errand dies after it was done": ("F", [dies("check-swap", "after")]),
    "2 answers are lost": (
        "F",
        [
            {**loses(MODIFY, 1), "parameters": RENAMED_AWAY},
            {**loses(MODIFY, 1), "parameters": RENAMED_IN},
            loses("rds:RebootDBInstance", 2),
            loses("secretsmanager:UpdateSecretVersionStage", 2),
        ],
    ),
    "2 the answer of the fence is lost": ("F", [{**loses(MODIFY, 1), "parameters": {"DBClusterIdentifier": TARGET}}]),
    "3 renames are throttled": (
        "F",
        [
            {"operation": MODIFY, "code": "Throttling", "times": 9, "parameters": RENAMED_AWAY},
            {"operation": MODIFY, "code": "Throttling", "times": 9, "parameters": RENAMED_IN},
        ],
    ),
    "11 the name is not free yet": (
        "F",
        [{"operation": MODIFY, "code": "DBClusterAlreadyExistsFault", "times": 3, "parameters": RENAMED_IN}],
    ),
    "12 a rename ends under the old name": ("F", [{"lifecycle": "rename-cluster", "identifier": TARGET}]),
    "12 renames end under the old name for good": (
        "K",
        [{"lifecycle": "rename-cluster", "identifier": TARGET, "times": 99}],
    ),
    "13 the first rename is refused": (
        "K",
        [{"operation": MODIFY, "code": "AccessDenied", "times": 9, "parameters": RENAMED_AWAY}],
    ),
    "13 the second rename is refused": (
        "K",
        [{"operation": MODIFY, "code": "AccessDenied", "times": 9, "parameters": RENAMED_IN}],
    ),
}


@pytest.mark.parametrize("name", NIGHTS)
def test_a_fault_ends_as_promised(nights: Refreshing, name: str) -> None:
    end, rules = NIGHTS[name]
    a_night(nights, end, *rules)


@pytest.mark.parametrize("view", ["stale", "empty"])
def test_9_and_10_what_rds_shows_late_or_not_at_all_ends_with_the_new_cluster(nights: Refreshing, view: str) -> None:
    """From the fence on, so that it is the swap that is misled."""

    def mislead() -> None:
        nights.aws.faults.add(operation="rds:DescribeDBClusters", answer=view, times=1 if view == "empty" else 6)

    with meeting(nights, {"DBClusterIdentifier": TARGET}, mislead):
        a_night(nights, "F")


def test_17_a_login_that_no_longer_opens_the_old_cluster_leads_to_restarts(nights: Refreshing) -> None:
    nights.pipeline.rds().modify_db_cluster(
        DBClusterIdentifier=TARGET, MasterUserPassword="somebody-has-set-it-1", ApplyImmediately=True
    )
    settle(nights.pipeline)
    a_night(nights, "F")


def test_23_an_old_cluster_that_a_person_renames_keeps_that_name(nights: Refreshing) -> None:
    def rename() -> None:
        nights.pipeline.rds().modify_db_cluster(
            DBClusterIdentifier=TARGET, NewDBClusterIdentifier=f"{TARGET}-by-hand", ApplyImmediately=True
        )

    with meeting(nights, RENAMED_AWAY, rename):
        a_night(nights, "F")
    assert nights.pipeline.cluster(f"{TARGET}-by-hand") is not None


def test_26_a_stranger_that_takes_the_name_is_left_alone_and_the_old_cluster_opens(nights: Refreshing) -> None:
    old = nights.live()

    def take() -> None:
        nights.pipeline.rds().create_db_cluster(
            DBClusterIdentifier=TARGET,
            Engine="aurora-postgresql",
            MasterUsername="boss",
            MasterUserPassword="not-a-secret-1",
        )

    with meeting(nights, RENAMED_IN, take):
        run = nights.night()
    assert run.status == "FAILED"
    stranger, kept = nights.live(), nights.by_id(old["DbClusterResourceId"])
    try:
        assert "aurora-restore:role" not in {each["Key"] for each in stranger["TagList"]}
        assert not nights.door_is_shut(stranger)
        assert kept is not None
        assert not nights.door_is_shut(kept)
        assert "another cluster has taken the name" in run.reason + run.messages[-1]["message"]
    finally:
        nights.aws.faults.clear()
        settle(nights.pipeline)
        nights.pipeline.remove(TARGET)
    # Once the stranger is gone, the operation finishes its swap.
    nights.pipeline.run({"operation_id": run.operation_id, "resume": True})
    assert nights.live()["DbClusterResourceId"] == old["DbClusterResourceId"]


def test_27_a_previous_name_that_is_taken_meanwhile_is_replaced_by_the_second(nights: Refreshing) -> None:
    """One that is taken before is refused by the plan."""
    taken = name_for("old", TARGET, "night-27")

    def take() -> None:
        nights.pipeline.rds().create_db_cluster(
            DBClusterIdentifier=taken,
            Engine="aurora-postgresql",
            MasterUsername="boss",
            MasterUserPassword="not-a-secret-1",
        )

    old = nights.live()
    with meeting(nights, {"DBClusterIdentifier": TARGET, "VpcSecurityGroupIds": "*"}, take):
        run = nights.night("night-27")
    assert run.status == "SUCCEEDED", run.reason
    kept = nights.by_id(old["DbClusterResourceId"])
    assert kept is not None
    assert kept["DBClusterIdentifier"] == f"{taken}-2"


@pytest.mark.parametrize("name", [TARGET, f"{TARGET}-new-*"], ids=["old", "new"])
def test_28_a_cluster_that_a_person_stops_is_started(nights: Refreshing, name: str) -> None:
    def stop() -> None:
        (found,) = [
            each["DBClusterIdentifier"]
            for each in nights.ours()
            if each["DBClusterIdentifier"] == name or (name != TARGET and "-new-" in each["DBClusterIdentifier"])
        ]
        nights.pipeline.rds().stop_db_cluster(DBClusterIdentifier=found)

    with meeting(nights, {"DBClusterIdentifier": TARGET, "VpcSecurityGroupIds": "*"}, stop):
        a_night(nights, "F")
