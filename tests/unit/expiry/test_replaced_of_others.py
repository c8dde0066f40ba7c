"""A replaced cluster of others whose deletion was asked for twice: it goes with a final snapshot, or it stays."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.expiry.test_sweep import DRILL, EXPIRES, HOUR, LATER_SWEEP, Sweeps, secrets, sweeps
from tests.unit.expiry.test_sweep_of_replaced import NIGHT, OLD, replaced
from tests.unit.fakes.rds import FakeRds, in_groups
from tests.unit.support import DOOR
from utils.aurora_utils.resources import EXPIRY_TAG, OPERATION_TAG, PROTECTED_TAG, REPLACEABLE_TAG, ROLE_TAG
from utils.contracts.plan import ReplacedDeletion
from utils.errors import StepFailed
from utils.names import name_for
from utils.state.expiry import ExpiryRegister, expiry_text

pytestmark = pytest.mark.usefixtures("account", "sweeps")
__all__ = ["sweeps"]

WRITER = "their-writer"
FINAL = name_for("final", DRILL, NIGHT)
DELETION = ReplacedDeletion(
    final_snapshot_identifier=FINAL, instance_identifiers=[WRITER], tags={OPERATION_TAG: NIGHT, "team": "orders"}
)
CONSENT = {REPLACEABLE_TAG: "true"}


def listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOW_DELETION_OF_REPLACED", "true")


@pytest.fixture
def old(sweeps: Sweeps, rds: FakeRds) -> dict[str, Any]:
    """It as the swap has left it, behind the stack's door, and after the warning."""
    made = theirs(sweeps, rds)
    sweeps.warn_and_expire()
    return made


def theirs(sweeps: Sweeps, rds: FakeRds, deletion: ReplacedDeletion | None = DELETION) -> dict[str, Any]:
    _, made = replaced(sweeps, rds)
    rds.instances.clear()
    rds.add_instance(WRITER, OLD, TagList=listed(CONSENT))
    made["TagList"] = listed({**CONSENT, ROLE_TAG: "previous", EXPIRY_TAG: expiry_text(EXPIRES)})
    made["VpcSecurityGroups"] = in_groups([DOOR])
    (entry,) = ExpiryRegister().entries()
    assert entry.replaced is not None
    ExpiryRegister().remove(entry.resource_id)
    facts = replace(entry.replaced, is_ours=False, deletion=deletion)
    ExpiryRegister().add(replace(entry, replaced=facts))
    return made


def test_the_register_keeps_what_was_asked_for(sweeps: Sweeps, rds: FakeRds) -> None:
    theirs(sweeps, rds)
    (entry,) = ExpiryRegister().entries()
    assert entry.deletion_of_others == DELETION


def test_it_is_announced_deleted_with_a_final_snapshot_and_reported(sweeps: Sweeps, rds: FakeRds) -> None:
    theirs(sweeps, rds)
    before, found = secrets(), set(rds.snapshots)
    sweeps.until(EXPIRES - dt.timedelta(hours=18))
    assert sweeps.sweep()["warned"] == [OLD]
    assert f"It is deleted then, after a final snapshot {FINAL}:" in sweeps.last_message()
    assert "its automated backups stay" in sweeps.last_message()
    sweeps.until(EXPIRES)
    assert sweeps.sweep()["deleted"] == [OLD]
    assert set(rds.clusters) == {DRILL}
    assert set(rds.snapshots) - found == {FINAL}
    snapshot = rds.snapshots[FINAL]
    assert {each["Key"]: each["Value"] for each in snapshot["TagList"]} == DELETION.tags
    (call,) = [given for name, given in rds.calls if name == "DeleteDBCluster"]
    assert (call["FinalDBSnapshotIdentifier"], call["DeleteAutomatedBackups"]) == (FINAL, False)
    told = sweeps.last_message()
    assert f"Snapshot   {snapshot['DBClusterSnapshotArn']}" in told
    assert "It costs backup storage until somebody deletes it; the pipeline never does:" in told
    assert f"aws rds delete-db-cluster-snapshot --db-cluster-snapshot-identifier {FINAL} --region" in told
    assert f"Those of {DRILL} stay" in told
    assert secrets() == before
    assert ExpiryRegister().entries() == []
    assert sweeps.audit() == ["warned", "deleting", "deleted"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"DeletionProtection": True}, "has deletion protection, which the pipeline did not give it"),
        ({"tags": {PROTECTED_TAG: "true"}}, f"is protected by the tag {PROTECTED_TAG} = true on {OLD}"),
        ({"tags": {REPLACEABLE_TAG: "false"}}, f"no longer has its owner's tag {REPLACEABLE_TAG} = true on {OLD}"),
        ({"tags": {ROLE_TAG: "live"}}, "no longer has the tag"),
        ({"tags": {EXPIRY_TAG: "never"}}, "which is no moment in UTC"),
        ({"VpcSecurityGroups": in_groups([DOOR, "sg-theirs"])}, f"is in the security groups {DOOR}, sg-theirs"),
        ({"VpcSecurityGroups": in_groups(["sg-theirs"])}, "not behind the stack's door alone"),
        ({"HttpEndpointEnabled": True}, "has its Data API on"),
        ({"GlobalClusterIdentifier": "worldwide"}, "belongs to the global database"),
        ({"ReadReplicaIdentifiers": ["a-replica"]}, "feeds the replicas"),
        ({"Status": "stopped"}, "is stopped"),
    ],
)
def test_what_somebody_has_changed_since_keeps_it(
    sweeps: Sweeps, rds: FakeRds, old: dict[str, Any], changes: dict[str, Any], why: str
) -> None:
    had = {each["Key"]: each["Value"] for each in old["TagList"]}
    old["TagList"] = listed(had | changes.get("tags", {}))
    old.update({name: value for name, value in changes.items() if name != "tags"})
    assert sweeps.sweep()["kept"] == [OLD]
    assert why in sweeps.last_message()
    assert rds.changes() == []


@pytest.mark.parametrize(
    ("name", "tags", "why"),
    [
        ("added-since", CONSENT, "has instances that were added since it was replaced: added-since"),
        (WRITER, {}, f"no longer has its owner's tag {REPLACEABLE_TAG} = true on {WRITER}"),
        (WRITER, {**CONSENT, PROTECTED_TAG: "true"}, "is protected by the tag"),
    ],
)
def test_an_instance_keeps_it(
    sweeps: Sweeps, rds: FakeRds, old: dict[str, Any], name: str, tags: dict[str, str], why: str
) -> None:
    rds.instances.pop(name, None)
    rds.add_instance(name, OLD, TagList=listed(tags))
    assert sweeps.sweep()["kept"] == [OLD]
    assert why in sweeps.last_message()
    assert rds.changes() == []


def test_a_stack_that_no_longer_allows_it_keeps_it(
    sweeps: Sweeps, rds: FakeRds, old: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOW_DELETION_OF_REPLACED", "false")
    assert sweeps.sweep()["kept"] == [OLD]
    assert "whose AllowDeletionOfReplaced is false now" in sweeps.last_message()
    assert rds.changes() == []


def test_without_having_been_asked_for_it_stays_although_the_stack_allows_it(sweeps: Sweeps, rds: FakeRds) -> None:
    theirs(sweeps, rds, deletion=None)
    sweeps.until(EXPIRES)
    assert sweeps.sweep()["kept"] == [OLD]
    assert "which deletes nothing of others" in sweeps.last_message()
    assert "If it may be deleted, its owner does that, with a final snapshot:" in sweeps.last_message()
    assert rds.changes() == []


def test_what_rds_would_refuse_half_way_is_looked_at_before_an_instance_goes(
    sweeps: Sweeps, rds: FakeRds, old: dict[str, Any]
) -> None:
    rds.add_snapshot(FINAL)
    with pytest.raises(StepFailed, match=f"a snapshot named '{FINAL}' exists"):
        sweeps.sweep()
    assert rds.changes() == []
    assert sweeps.subjects()[-1] == "FAILED"
    assert "Nothing was deleted." in sweeps.last_message()
    del rds.snapshots[FINAL]
    assert sweeps.sweep(LATER_SWEEP)["deleted"] == [OLD]


def test_one_that_is_busy_is_waited_for(sweeps: Sweeps, rds: FakeRds, old: dict[str, Any]) -> None:
    old["Status"] = "backing-up"
    waiting = sweeps.look()
    assert waiting["waiting_for"]
    assert rds.changes() == []
    old["Status"] = "available"
    assert sweeps.sweep()["deleted"] == [OLD]


@pytest.mark.parametrize("call", ["DeleteDBInstance", "DeleteDBCluster", "AddTagsToResource"])
def test_a_call_whose_answer_was_lost_is_not_missed(
    sweeps: Sweeps, rds: FakeRds, old: dict[str, Any], call: str
) -> None:
    rds.lose_answer(call)
    progress = sweeps.sweep()
    assert progress["deleted"] == [OLD]
    assert FINAL in rds.snapshots
    assert sweeps.subjects().count("EXPIRED") == 1


def gone(sweeps: Sweeps, rds: FakeRds) -> None:
    """A sweep has begun the deletion, and RDS has ended it; of a snapshot nothing is known yet."""
    sweeps.look()
    rds.instances.clear()
    rds.clusters.pop(OLD, None)
    rds.snapshots.pop(FINAL, None)


def test_it_is_reported_once_its_snapshot_can_be_restored(sweeps: Sweeps, rds: FakeRds, old: dict[str, Any]) -> None:
    gone(sweeps, rds)
    rds.add_snapshot(FINAL, OLD, 0, DbClusterResourceId=old["DbClusterResourceId"], Status="creating")
    assert sweeps.look()["answer"] == "wait"
    assert "EXPIRED" not in sweeps.subjects()
    rds.snapshots[FINAL]["Status"] = "available"
    assert sweeps.sweep()["deleted"] == [OLD]


@pytest.mark.parametrize(
    ("snapshot", "said"),
    [
        (None, "does not exist"),
        ({"DbClusterResourceId": "cluster-ANOTHER"}, "is of cluster-ANOTHER, not of"),
        ({"Status": "failed"}, f"The final snapshot {FINAL} is failed"),
    ],
)
def test_one_that_goes_without_its_snapshot_is_reported_once_and_the_sweep_fails(
    sweeps: Sweeps, rds: FakeRds, old: dict[str, Any], snapshot: dict[str, Any] | None, said: str
) -> None:
    gone(sweeps, rds)
    if snapshot is not None:
        rds.add_snapshot(FINAL, OLD, 0, **{"DbClusterResourceId": old["DbClusterResourceId"], **snapshot})
    sweeps.clock.pass_seconds(HOUR)
    with pytest.raises(StepFailed, match=said):
        sweeps.sweep()
    assert sweeps.subjects()[-1] == "FAILED"
    assert "there is NO usable final snapshot of it" in sweeps.last_message()
    assert said in sweeps.last_message()
    told = len(sweeps.subjects())
    assert sweeps.sweep(LATER_SWEEP)["deleted"] == []
    assert len(sweeps.subjects()) == told
    assert ExpiryRegister().entries() == []


def test_a_snapshot_that_is_never_ready_is_reported_once_a_day_and_waited_for(
    sweeps: Sweeps, rds: FakeRds, old: dict[str, Any]
) -> None:
    gone(sweeps, rds)
    rds.add_snapshot(FINAL, OLD, 0, DbClusterResourceId=old["DbClusterResourceId"], Status="creating")
    with pytest.raises(StepFailed, match="is creating"):
        sweeps.sweep()
    assert sweeps.subjects()[-1] == "FAILED"
    rds.snapshots[FINAL]["Status"] = "available"
    assert sweeps.sweep(LATER_SWEEP)["deleted"] == [OLD]


def test_one_that_has_its_name_again_is_left_alone(sweeps: Sweeps, rds: FakeRds, old: dict[str, Any]) -> None:
    """A rollback has marked it as live and taken it out of the register."""
    ExpiryRegister().remove(old["DbClusterResourceId"])
    assert sweeps.sweep()["deleted"] == []
    assert rds.changes() == []
