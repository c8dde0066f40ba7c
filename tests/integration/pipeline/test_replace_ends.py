"""How a replacement ends whose execution was stopped within its swap, and how the cluster ends that was replaced."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.local_aws.server import LocalAws
from scripts.local_run.production import Production
from scripts.local_run.stage import Stage
from tests.integration.pipeline.reader import Reader, commands, reading
from tests.integration.pipeline.refreshing import (
    HOURLY,
    MODIFY,
    Refreshing,
    deployed,
    operation_of,
    refreshing,
    tags_of,
)
from tests.integration.pipeline.support import Run, numbers, settle, until
from utils.aurora_utils.resources import EXPIRY_TAG

pytestmark = pytest.mark.full

PREFIX = "weeks"
KEPT_HOURS = 8


@pytest.fixture(scope="module")
def place(aws: LocalAws) -> Iterator[Stage]:
    """Its pattern matches no name that a swap gives."""
    named = {"TargetClusterId": "weeks-0-own", "TargetClusterPattern": "weeks-*-own"}
    with deployed(aws, PREFIX, **named, ExpirySchedule=HOURLY) as made:
        yield made


@pytest.fixture
def nights(place: Stage, production: Production) -> Iterator[Refreshing]:
    with refreshing(place, f"weeks-{next(numbers)}-own") as made:
        yield made


def stopped_at(nights: Refreshing, call: dict[str, str], then: dict[str, str] | None = None) -> Run:
    """A night that is stopped while the swap's call is held, which AWS carries out all the same.

    `then`: the call of the execution which finishes the swap that is held in turn.
    """
    aws = nights.aws
    aws.faults.add(operation=MODIFY, parameters=call, answer="held")
    arn = nights.start(keep_previous_hours=KEPT_HOURS)
    until(lambda: aws.faults.held, "that the swap's call is held")
    stop(nights, arn)
    run = nights.pipeline.end(arn)
    assert run.status == "ABORTED"
    if then is not None:
        aws.faults.add(operation=MODIFY, parameters=then, answer="held")
    aws.faults.release()
    return run


def stop(nights: Refreshing, arn: str) -> None:
    nights.aws.client("stepfunctions").stop_execution(executionArn=arn, error="Stopped", cause="by a test")


def finishers(nights: Refreshing) -> list[dict[str, Any]]:
    """The executions that finish swaps, the newest first."""
    states, machine = nights.aws.client("stepfunctions"), nights.place.state_machine_arn
    listed = states.list_executions(stateMachineArn=machine, maxResults=8)["executions"]
    return [dict(each) for each in listed if each["name"].startswith("finish-")]


def finishing(nights: Refreshing) -> str:
    """The status of the execution that finishes the swap, once it has ended."""

    def found() -> str | None:
        return next((each["status"] for each in finishers(nights)[:1] if each["status"] != "RUNNING"), None)

    return until(found, "the end of the execution that finishes the swap")


def resource_id(cluster: dict[str, Any]) -> str:
    return str(cluster["DbClusterResourceId"])


def said_at_last(nights: Refreshing) -> list[str]:
    """The lines of the newest message, which is that of the execution that has finished the swap."""
    return str(nights.place.received_messages()[-1]["message"]).splitlines()


def swap_end(nights: Refreshing, run: Run) -> str:
    state = nights.pipeline.state(run.operation_id)
    assert state is not None
    return str(state["swap_end"]["S"])


def test_a_night_that_is_stopped_before_the_commit_ends_with_the_old_cluster(nights: Refreshing) -> None:
    """The stopped function's rename of the old cluster comes after the stop."""
    assert nights.night().status == "SUCCEEDED"
    old = nights.live()
    with nights.client() as client:
        run = stopped_at(nights, {"NewDBClusterIdentifier": f"{nights.target}-old-*"})
        (message,) = run.messages
        assert "This execution finishes the swap, and reports how it has ended:" in message["message"]
        assert "aws rds delete" not in message["message"]
        assert finishing(nights) == "FAILED"
        nights.aws.clock.sleep(60)
    live, told = nights.live(), said_at_last(nights)
    assert f"{nights.target} leads to the cluster that it led to before this operation: {resource_id(old)}" in told[0]
    assert "its door is open" in told[0]
    assert any("nothing that clients have written is lost" in line for line in told[:5])
    assert live["DbClusterResourceId"] == old["DbClusterResourceId"]
    assert not nights.door_is_shut(live)
    assert {row.key for row in client.acknowledged} <= nights.rows_in(nights.target)
    assert client.acknowledged[-1] is client.rows[-1], "clients are let in again"
    settle(nights.pipeline)
    assert [each["DBClusterIdentifier"] for each in nights.ours()] == [nights.target]
    assert swap_end(nights, run) == "back"
    assert nights.pipeline.holder(nights.target) is None
    assert nights.night().status == "SUCCEEDED"


def test_a_night_that_is_stopped_after_the_commit_ends_with_the_new_cluster(nights: Refreshing) -> None:
    first = nights.night()
    assert first.status == "SUCCEEDED", first.reason
    old = nights.live()
    door = nights.place.stack.outputs["DoorSecurityGroupId"]
    opened = [each["VpcSecurityGroupId"] for each in old["VpcSecurityGroups"] if each["VpcSecurityGroupId"] != door]
    opening = {"DBClusterIdentifier": nights.target, "VpcSecurityGroupIds.VpcSecurityGroupId.1": opened[0]}
    with nights.client(pooled=False) as client:
        run = stopped_at(nights, opening)
        assert finishing(nights) == "FAILED"
        nights.aws.clock.sleep(60)
    live, told = nights.live(), said_at_last(nights)
    assert f"{nights.target} leads to the cluster that this operation gives the name to: {resource_id(live)}" in told[0]
    assert "its door is open" in told[0]
    assert any(
        f"{resource_id(old)}) was replaced and still exists. While it does, it costs about" in line for line in told
    )
    assert live["DbClusterResourceId"] != old["DbClusterResourceId"]
    assert operation_of(live) == run.operation_id
    assert not nights.door_is_shut(live)
    assert client.acknowledged[-1].key in nights.rows_in(nights.target)
    assert swap_end(nights, run) == "forward"
    # What is left of the operation is done once somebody resumes it.
    again = nights.pipeline.run({"operation_id": run.operation_id, "resume": True})
    assert again.status == "SUCCEEDED", again.reason


# By the call at which a night is stopped: that at which the execution is stopped which finishes its swap.
STOPPED_TWICE = {
    "at the fence": ({"DBClusterIdentifier": "{}", "VpcSecurityGroupIds": "*"}, {"DBClusterIdentifier": "{}"}),
    "between the names": ({"NewDBClusterIdentifier": "{}-old-*"}, {"NewDBClusterIdentifier": "{}"}),
    "at the new name": ({"DBClusterIdentifier": "{}-new-*"}, {"NewDBClusterIdentifier": "{}-new-*"}),
}


@pytest.mark.parametrize("stage", STOPPED_TWICE)
def test_what_finishes_a_stopped_swap_may_be_stopped_as_well_and_is_finished(nights: Refreshing, stage: str) -> None:
    first, then = ({name: text.format(nights.target) for name, text in call.items()} for call in STOPPED_TWICE[stage])
    if stage == "at the new name":
        first["NewDBClusterIdentifier"] = nights.target
    assert nights.night().status == "SUCCEEDED"
    old, aws = nights.live(), nights.aws
    with nights.client(pooled=False) as client:
        run = stopped_at(nights, first, then)
        until(lambda: aws.faults.held, "that the call of the way back is held")
        (finisher, *_) = finishers(nights)
        stop(nights, finisher["executionArn"])
        aws.faults.release()
        until(lambda: finishers(nights)[0]["name"] != finisher["name"], "that another execution finishes it")
        assert finishing(nights) == "FAILED"
        aws.clock.sleep(60)
    live = nights.live()
    assert resource_id(live) == resource_id(old)
    assert not nights.door_is_shut(live)
    assert {row.key for row in client.acknowledged} <= nights.rows_in(nights.target)
    assert client.acknowledged[-1] is client.rows[-1], "clients are let in again"
    assert swap_end(nights, run) == "back"
    settle(nights.pipeline)
    assert [each["DBClusterIdentifier"] for each in nights.ours()] == [nights.target]
    assert nights.pipeline.holder(nights.target) is None


def test_a_redrive_of_a_stopped_night_leaves_the_swap_to_what_finishes_it(nights: Refreshing) -> None:
    """Both would work on the same two clusters."""
    assert nights.night().status == "SUCCEEDED"
    old, aws = nights.live(), nights.aws
    run = stopped_at(
        nights, {"NewDBClusterIdentifier": f"{nights.target}-old-*"}, {"NewDBClusterIdentifier": nights.target}
    )
    until(lambda: aws.faults.held, "that the call of the way back is held")
    aws.client("stepfunctions").redrive_execution(executionArn=run.execution_arn)
    nights.wait_until_running(run.execution_arn)
    aws.faults.release()
    assert finishing(nights) == "FAILED"
    live = nights.live()
    assert resource_id(live) == resource_id(old)
    assert not nights.door_is_shut(live)
    assert swap_end(nights, run) == "back"
    assert nights.pipeline.holder(nights.target) is None


@pytest.fixture
def reader(nights: Refreshing, request: pytest.FixtureRequest) -> Iterator[Reader]:
    yield from reading(nights.pipeline, request)


def beside(nights: Refreshing) -> dict[str, Any]:
    """The one cluster of the target's that has not its name."""
    (found,) = [each for each in nights.ours() if each["DBClusterIdentifier"] != nights.target]
    return found


def test_what_its_owner_has_protected_goes_once_its_owner_says_so(nights: Refreshing, reader: Reader) -> None:
    """The pipeline has not switched its protection on, and so does not switch it off."""
    assert nights.night().status == "SUCCEEDED"
    nights.pipeline.rds().modify_db_cluster(
        DBClusterIdentifier=nights.target, DeletionProtection=True, ApplyImmediately=True
    )
    settle(nights.pipeline)
    second = nights.night(keep_previous_hours=KEPT_HOURS)
    assert second.status == "SUCCEEDED", second.reason
    why = "is not deleted by the pipeline, because somebody has switched its deletion protection on"
    assert why in second.message
    nights.place.received_messages()
    expires = dt.datetime.fromisoformat(tags_of(beside(nights))[EXPIRY_TAG])
    nights.aws.clock.sleep(expires.timestamp() + 2 * 3600 - nights.aws.clock.time())
    nights.aws.schedules.settle()
    (kept,) = nights.place.received_messages()
    assert kept["subject"].startswith("[aurora-restore] KEPT")
    (command,) = commands(kept["message"], "modify-db-cluster")
    assert len(nights.ours()) == 2
    reader.type(command)
    assert wait_until(nights, nights.aws.clock.now() + dt.timedelta(hours=6)) == ["EXPIRES", "EXPIRED"]
    assert len(nights.ours()) == 1


def test_what_others_created_is_deleted_by_them_as_the_message_says(nights: Refreshing, reader: Reader) -> None:
    """The tag by which its owner lets it be replaced is no word on its end."""
    nights.of_others()
    night = nights.night(keep_previous_hours=KEPT_HOURS)
    assert night.status == "SUCCEEDED", night.reason
    assert "is not deleted by the pipeline, because this stack did not create it" in night.message
    nights.place.received_messages()
    expires = dt.datetime.fromisoformat(tags_of(beside(nights))[EXPIRY_TAG])
    nights.aws.clock.sleep(expires.timestamp() + 2 * 3600 - nights.aws.clock.time())
    nights.aws.schedules.settle()
    (kept,) = nights.place.received_messages()
    assert len(nights.ours()) == 2
    for command in commands(kept["message"], "delete-db"):
        reader.type(command)
    settle(nights.pipeline)
    assert len(nights.ours()) == 1
    rds = nights.pipeline.rds()
    taken = rds.describe_db_cluster_snapshots(SnapshotType="manual")["DBClusterSnapshots"]
    (final,) = [each for each in taken if each["DBClusterSnapshotIdentifier"].startswith(nights.target)]
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=final["DBClusterSnapshotIdentifier"])


def test_what_is_due_while_its_target_is_replaced_again_expires_when_that_has_ended_and_the_login_serves_on(
    nights: Refreshing,
) -> None:
    """The night has the lock on the target. It also ends the earlier one's time, so that the next sweep acts."""
    # The request that asked for the protection has asked for the end.
    assert nights.night(deletion_protection=True).status == "SUCCEEDED"
    night = nights.night(keep_previous_hours=KEPT_HOURS)
    assert night.status == "SUCCEEDED", night.reason
    first = beside(nights)
    second, expires = nights.live(), dt.datetime.fromisoformat(tags_of(first)[EXPIRY_TAG])
    assert wait_until(nights, expires - dt.timedelta(minutes=30)) == ["EXPIRES"]
    assert len(nights.ours()) == 2
    aurora, before = nights.aws.aurora, sweeps(nights)
    quick = aurora.durations
    aurora.durations = dataclasses.replace(quick, restore_cluster=3 * 3600)
    try:
        third = nights.night(keep_previous_hours=KEPT_HOURS)
    finally:
        aurora.durations = quick
    assert third.status == "SUCCEEDED", third.reason
    assert sweeps(nights) - before >= 2
    assert nights.aws.clock.now() > expires + dt.timedelta(hours=2)
    assert not {"DeleteDBCluster", "DeleteDBInstance"} & set(third.changes)
    assert wait_until(nights, nights.aws.clock.now() + dt.timedelta(hours=2)) == ["EXPIRED"]
    left = {each["DbClusterResourceId"] for each in nights.ours()}
    assert left == {nights.live()["DbClusterResourceId"], second["DbClusterResourceId"]}
    with nights.client(pooled=False) as client:
        until(lambda: client.acknowledged, "that somebody writes with the target's login")


def sweeps(nights: Refreshing) -> int:
    """Return how many sweeps have ended."""
    machine = nights.place.stack.outputs["ExpiryMachineArn"]
    pages = nights.aws.client("stepfunctions").get_paginator("list_executions").paginate(stateMachineArn=machine)
    return sum(each["status"] == "SUCCEEDED" for page in pages for each in page["executions"])


def wait_until(nights: Refreshing, moment: dt.datetime) -> list[str]:
    """Pass the time, with all sweeps on the way, and return what people were told."""
    aws = nights.aws
    aws.clock.sleep(moment.timestamp() - aws.clock.time())
    aws.schedules.settle()
    settle(nights.pipeline)
    messages: list[dict[str, Any]] = nights.place.received_messages()
    return [each["subject"].removeprefix("[aurora-restore] ").split(":")[0] for each in messages]
