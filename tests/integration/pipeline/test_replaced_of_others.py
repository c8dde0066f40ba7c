"""A cluster of others that is replaced, kept, and deleted after its time, as its request has asked for twice."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.local_aws.server import LocalAws
from scripts.local_run.production import Production
from scripts.local_run.stage import Stage
from tests.integration.pipeline.reader import Reader, commands, inline, reading
from tests.integration.pipeline.refreshing import HOURLY, Refreshing, deployed, refreshing, tags_of
from tests.integration.pipeline.support import Run, numbers, settle
from utils.aurora_utils.resources import EXPIRY_TAG, OPERATION_TAG
from utils.names import name_for

pytestmark = pytest.mark.full

PREFIX = "handed"
KEPT_HOURS = 8
HOUR = dt.timedelta(hours=1)


@pytest.fixture(scope="module")
def place(aws: LocalAws) -> Iterator[Stage]:
    """Its owner lets replaced clusters of others go, and no source."""
    with deployed(aws, PREFIX, ExpirySchedule=HOURLY, AllowDeletionOfReplaced="true") as made:
        yield made


@pytest.fixture
def nights(place: Stage, production: Production) -> Iterator[Refreshing]:
    with refreshing(place, f"{PREFIX}-{next(numbers)}") as made:
        yield made
        rds = made.pipeline.rds()
        for each in taken(made):
            rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=each["DBClusterSnapshotIdentifier"])


@pytest.fixture
def reader(nights: Refreshing, request: pytest.FixtureRequest) -> Iterator[Reader]:
    yield from reading(nights.pipeline, request)


def asked(nights: Refreshing, **request: Any) -> Run:
    """A night that replaces a cluster of others and has it deleted."""
    wanted: dict[str, Any] = {"delete_replaced": True, "confirm_delete_replaced": nights.target}
    return nights.night(None, keep_previous_hours=KEPT_HOURS, **wanted | request)


def replaced(nights: Refreshing) -> tuple[Run, dict[str, Any], dt.datetime]:
    """The night, the cluster that it has replaced, and when that expires. Messages so far are read."""
    key = nights.aws.client("kms").create_key(Description="Another team's data")["KeyMetadata"]["Arn"]
    nights.of_others(StorageEncrypted=True, KmsKeyId=key)
    night = asked(nights)
    assert night.status == "SUCCEEDED", night.reason
    nights.place.received_messages()
    (old,) = [each for each in nights.ours() if each["DBClusterIdentifier"] != nights.target]
    return night, old, dt.datetime.fromisoformat(tags_of(old)[EXPIRY_TAG])


def taken(nights: Refreshing) -> list[dict[str, Any]]:
    """The manual snapshots that are named after the target."""
    found = nights.pipeline.rds().describe_db_cluster_snapshots(SnapshotType="manual")["DBClusterSnapshots"]
    return [dict(each) for each in found if each["DBClusterSnapshotIdentifier"].startswith(f"{nights.target}-")]


def told(nights: Refreshing, moment: dt.datetime) -> list[dict[str, Any]]:
    """Pass the time, with all sweeps on the way, and return what people were told."""
    aws = nights.aws
    aws.clock.sleep(moment.timestamp() - aws.clock.time())
    aws.schedules.settle()
    settle(nights.pipeline)
    return list(nights.place.received_messages())


def subjects(messages: list[dict[str, Any]]) -> list[str]:
    return [each["subject"].removeprefix("[aurora-restore] ").split(":")[0] for each in messages]


def final_of(nights: Refreshing, night: Run) -> str:
    return name_for("final", nights.target, night.operation_id)


def test_it_is_kept_announced_and_deleted_with_a_final_snapshot_that_stays(nights: Refreshing, reader: Reader) -> None:
    night, old, expires = replaced(nights)
    final, live = final_of(nights, night), nights.live()
    assert f"and is deleted after {expires:%Y-%m-%d %H:%M} UTC, with a final snapshot {final}" in night.message
    assert taken(nights) == []
    (warning,) = told(nights, expires - HOUR / 2)
    assert subjects([warning]) == ["EXPIRES"]
    assert f"It is deleted then, after a final snapshot {final}:" in warning["message"]
    # A call's answer is lost, and sweeps die: what they have done stays, and is not done twice.
    nights.aws.faults.add(operation="rds:DeleteDBCluster", answer="lost")
    nights.aws.faults.add(function=f"{PREFIX}-expire-clusters", die="after", times=5)
    (gone,) = told(nights, expires + 4 * HOUR)
    assert subjects([gone]) == ["EXPIRED"]
    (left,) = nights.ours()
    assert left["DbClusterResourceId"] == live["DbClusterResourceId"]
    (snapshot,) = taken(nights)
    assert snapshot["DBClusterSnapshotIdentifier"] == final
    assert snapshot["Status"] == "available"
    assert (snapshot["DbClusterResourceId"], snapshot["KmsKeyId"]) == (old["DbClusterResourceId"], old["KmsKeyId"])
    assert tags_of(snapshot)[OPERATION_TAG] == night.operation_id
    assert f"Snapshot   {snapshot['DBClusterSnapshotArn']}" in gone["message"]
    assert nights.pipeline.holder(nights.target) is None
    assert [status for kind, status in nights.pipeline.audit(night.operation_id) if kind == "expiry"] == [
        "warned", "deleting", "deleted",
    ]  # fmt: skip
    (command,) = commands(gone["message"], "delete-db-cluster-snapshot")
    reader.type(command)
    assert taken(nights) == []


def test_what_its_owner_protects_meanwhile_stays_and_goes_once_they_say_so(nights: Refreshing, reader: Reader) -> None:
    _, old, expires = replaced(nights)
    name = old["DBClusterIdentifier"]
    nights.pipeline.rds().modify_db_cluster(DBClusterIdentifier=name, DeletionProtection=True, ApplyImmediately=True)
    (kept,) = told(nights, expires + 2 * HOUR)
    assert subjects([kept]) == ["KEPT"]
    assert "has deletion protection, which the pipeline did not give it" in kept["message"]
    assert (len(nights.ours()), taken(nights)) == (2, [])
    (command,) = commands(kept["message"], "modify-db-cluster")
    reader.type(command)
    assert subjects(told(nights, nights.aws.clock.now() + 6 * HOUR)) == ["EXPIRES", "EXPIRED"]
    assert len(nights.ours()) == 1
    assert len(taken(nights)) == 1


def test_a_snapshot_of_somebodys_that_has_the_name_keeps_it_whole(nights: Refreshing) -> None:
    """No instance is deleted before that is known."""
    night, old, expires = replaced(nights)
    assert subjects(told(nights, expires - HOUR / 2)) == ["EXPIRES"]
    rds, final = nights.pipeline.rds(), final_of(nights, night)
    rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier=final, DBClusterIdentifier=nights.target)
    (failed,) = told(nights, expires + 3 * HOUR)
    assert subjects([failed]) == ["FAILED"]
    assert f"a snapshot named '{final}' exists" in failed["message"]
    assert "Nothing was deleted." in failed["message"]
    assert len(nights.present(old)["DBClusterMembers"]) == 1
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=final)
    settle(nights.pipeline)
    assert subjects(told(nights, nights.aws.clock.now() + 3 * HOUR)) == ["EXPIRED"]
    (snapshot,) = taken(nights)
    assert snapshot["DbClusterResourceId"] == old["DbClusterResourceId"]


def test_one_that_has_its_name_back_is_not_deleted(nights: Refreshing) -> None:
    night, old, expires = replaced(nights)
    back = nights.pipeline.run({"operation_id": night.operation_id, "rollback": True, "keep_previous_hours": 48})
    assert back.status == "SUCCEEDED", back.reason
    nights.place.received_messages()
    assert told(nights, expires + 3 * HOUR) == []
    assert nights.live()["DbClusterResourceId"] == old["DbClusterResourceId"]
    assert taken(nights) == []


def test_what_was_not_asked_for_stays_although_the_stack_would_let_it_go(nights: Refreshing) -> None:
    nights.of_others()
    night = nights.night(keep_previous_hours=KEPT_HOURS)
    assert night.status == "SUCCEEDED", night.reason
    assert "is not deleted by the pipeline, because this stack did not create it" in night.message
    nights.place.received_messages()
    (kept,) = told(nights, nights.aws.clock.now() + (KEPT_HOURS + 2) * HOUR)
    assert subjects([kept]) == ["KEPT"]
    assert (len(nights.ours()), taken(nights)) == (2, [])


def test_a_plan_refuses_what_would_prevent_the_deletion_and_creates_nothing(nights: Refreshing, reader: Reader) -> None:
    nights.of_others()
    rds = nights.pipeline.rds()
    rds.modify_db_cluster(DBClusterIdentifier=nights.target, DeletionProtection=True, ApplyImmediately=True)
    settle(nights.pipeline)
    refused = asked(nights, confirm_delete_replaced="somebody-elses")
    assert refused.status == "FAILED"
    assert refused.changes == []
    message = refused.messages[0]["message"]
    for said in (
        f"confirm_delete_replaced: 'somebody-elses' is not the target's name ({nights.target})",
        f"delete_replaced: '{nights.target}' has deletion protection, by which its owner keeps it",
    ):
        assert said in message
    reader.type(inline(message, "aws rds modify-db-cluster"))
    settle(nights.pipeline)
    planned = asked(nights, dry_run=True)
    assert planned.status == "SUCCEEDED", planned.reason
    assert planned.changes == []
    final = f"{nights.target}-final-"
    assert "then DELETED, although the pipeline did not create it, after a final snapshot " + final in planned.message
