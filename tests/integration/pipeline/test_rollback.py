"""A replacement that is undone: the cluster of before has its name back, with its data and its logins."""

from __future__ import annotations

import datetime as dt
import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.local_aws.server import LocalAws
from scripts.local_run.production import Production
from scripts.local_run.stage import Stage
from tests.integration.pipeline.reader import commands
from tests.integration.pipeline.refreshing import HOURLY, Refreshing, deployed, refreshing, tags_of
from tests.integration.pipeline.support import Run, numbers, settle
from utils.aurora_utils.resources import EXPIRY_TAG, ROLE_TAG

PREFIX = "returns"


@pytest.fixture(scope="module")
def place(aws: LocalAws) -> Iterator[Stage]:
    with deployed(aws, PREFIX, ExpirySchedule=HOURLY) as made:
        yield made


@pytest.fixture
def nights(place: Stage, production: Production) -> Iterator[Refreshing]:
    with refreshing(place, f"returns-{next(numbers)}") as made:
        yield made


def roll_back(nights: Refreshing, run: Run, **request: object) -> Run:
    return nights.pipeline.run({"operation_id": run.operation_id, "rollback": True, **request})


def two_nights(nights: Refreshing, **request: Any) -> tuple[Any, Run]:
    """Return the cluster of a first night, and the second night, which has replaced it by this request."""
    assert nights.night().status == "SUCCEEDED"
    before = nights.live()
    night = nights.night(**request)
    assert night.status == "SUCCEEDED", night.reason
    return before, night


def roles(nights: Refreshing) -> dict[str, str]:
    return {each["DbClusterResourceId"]: tags_of(each).get(ROLE_TAG, "") for each in nights.ours()}


def test_the_cluster_of_before_has_its_name_back_and_what_was_written_since_is_kept(nights: Refreshing) -> None:
    before, night = two_nights(nights)
    after = nights.live()
    with nights.client() as client:
        planned = roll_back(nights, night, dry_run=True)
        assert planned.status == "SUCCEEDED", planned.reason
        (plan,) = planned.messages
        assert f"LOSE for {nights.target} what was written to it since" in plan["message"]
        (command,) = commands(plan["message"], "start-execution")
        assert json.loads(shlex.split(command)[shlex.split(command).index("--input") + 1]) == {
            "operation_id": night.operation_id,
            "rollback": True,
        }
        assert nights.live()["DbClusterResourceId"] == after["DbClusterResourceId"]
        back = roll_back(nights, night)
        assert back.status == "SUCCEEDED", back.reason
        nights.aws.clock.sleep(30)
    (message,) = back.messages
    live = nights.live()
    assert live["DbClusterResourceId"] == before["DbClusterResourceId"]
    assert not nights.door_is_shut(live)
    kept = nights.by_id(after["DbClusterResourceId"])
    assert kept is not None
    assert nights.door_is_shut(kept)
    assert roles(nights) == {before["DbClusterResourceId"]: "live", after["DbClusterResourceId"]: "previous"}
    # Each acknowledged row is in exactly one of the two, the last one in that which has the name.
    old, new = nights.rows_in(live["DBClusterIdentifier"]), nights.rows_in(kept["DBClusterIdentifier"])
    keys = {row.key for row in client.acknowledged}
    assert keys <= old | new
    assert not keys & old & new
    assert client.acknowledged[-1].key in old
    assert message["subject"].startswith("[aurora-restore] SUCCEEDED")
    evidence = nights.pipeline.evidence(back.operation_id)
    assert evidence.target is not None
    assert (evidence.kind, evidence.outcome) == ("rollback", "passed")
    assert (evidence.target.resource_id, evidence.target.exists) == (before["DbClusterResourceId"], True)
    assert [(each.what, each.resource_id) for each in evidence.changes] == [("replaced", after["DbClusterResourceId"])]
    refreshed = nights.pipeline.evidence(night.operation_id)
    assert (refreshed.kind, [each.what for each in refreshed.changes]) == ("refresh", ["created", "locked", "replaced"])
    assert f"it is in {after['DbClusterResourceId']}, which is kept as" in message["message"]


@pytest.mark.full
def test_a_rollback_that_fails_before_its_commit_is_resumed_undone_by_another_and_followed_by_a_night(
    nights: Refreshing,
) -> None:
    """Failed, it has changed nothing. Resumed, it leaves what one that succeeds at once leaves."""
    before, night = two_nights(nights)
    after = nights.live()
    denied = {"NewDBClusterIdentifier": nights.target}
    nights.aws.faults.add(operation="rds:ModifyDBCluster", parameters=denied, code="AccessDenied", times=1)
    with nights.client() as client:
        failed = roll_back(nights, night)
        assert failed.status == "FAILED"
        nights.aws.clock.sleep(30)
    (message,) = failed.messages
    assert f"{nights.target} was not rolled back" in message["message"]
    assert nights.live()["DbClusterResourceId"] == after["DbClusterResourceId"]
    assert not nights.door_is_shut(nights.live())
    assert {row.key for row in client.acknowledged} <= nights.rows_in(nights.target)
    assert roles(nights) == {before["DbClusterResourceId"]: "previous", after["DbClusterResourceId"]: "live"}
    (command,) = commands(message["message"], "start-execution")
    asked = json.loads(shlex.split(command)[shlex.split(command).index("--input") + 1])
    assert asked == {"operation_id": failed.operation_id, "resume": True}
    again = nights.pipeline.run(asked)
    assert again.status == "SUCCEEDED", again.reason
    assert nights.live()["DbClusterResourceId"] == before["DbClusterResourceId"]
    assert roles(nights) == {before["DbClusterResourceId"]: "live", after["DbClusterResourceId"]: "previous"}

    refused = roll_back(nights, night)
    assert refused.status == "FAILED"
    assert "Only the newest replacement of a target is rolled back" in refused.reason
    forward = roll_back(nights, failed)
    assert forward.status == "SUCCEEDED", forward.reason
    assert nights.live()["DbClusterResourceId"] == after["DbClusterResourceId"]
    assert nights.night().status == "SUCCEEDED"
    settle(nights.pipeline)
    assert sorted(roles(nights).values()).count("live") == 1


@pytest.mark.full
def test_what_is_due_while_it_is_given_its_name_back_stays_and_what_was_rolled_back_expires(
    nights: Refreshing,
) -> None:
    """The rollback has the lock on the target, and waits for hours with it: the kept cluster is being backed up."""
    before, night = two_nights(nights, keep_previous_hours=8)
    kept = nights.present(before)
    expires = dt.datetime.fromisoformat(tags_of(kept)[EXPIRY_TAG])
    aws = nights.aws
    aws.clock.sleep(expires.timestamp() - 60 * 60 - aws.clock.time())
    aws.schedules.settle()
    opens, closes = (aws.clock.now() + dt.timedelta(minutes=each) for each in (30, 3 * 60 + 30))
    nights.pipeline.rds().modify_db_cluster(
        DBClusterIdentifier=kept["DBClusterIdentifier"],
        PreferredBackupWindow=f"{opens:%H:%M}-{closes:%H:%M}",
        ApplyImmediately=True,
    )
    settle(nights.pipeline)
    back = roll_back(nights, night, keep_previous_hours=8)
    assert back.status == "SUCCEEDED", back.reason
    assert aws.clock.now() > expires + dt.timedelta(hours=2), "it has waited, and sweeps have come meanwhile"
    aws.clock.sleep(12 * 3600)
    aws.schedules.settle()
    settle(nights.pipeline)
    (left,) = nights.ours()
    assert left["DBClusterIdentifier"] == nights.target
    assert left["DbClusterResourceId"] == before["DbClusterResourceId"]
    assert not nights.door_is_shut(left)
