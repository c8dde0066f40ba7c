"""aurora-restore-expire-clusters with a cluster that another one has replaced: deleted under its target's lock."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.expiry.test_sweep import DRILL, EXPIRES, Sweeps, secrets, sweeps
from tests.unit.fakes.rds import FakeRds
from tests.unit.support import EXECUTION, NOW
from utils.aurora_utils.resources import EXPIRY_TAG, OPERATION_TAG, ROLE_TAG
from utils.contracts.swap import RecordedCluster, SwapRecord
from utils.names import name_for
from utils.state.expiry import ExpiringCluster, ExpiryRegister, Replaced, expiry_text
from utils.state.lock import TargetLock
from utils.state.operation import OperationState
from utils.state.swap import StoredSwap, keep_swap, stored_swap
from utils.state.values import iso

pytestmark = pytest.mark.usefixtures("account", "sweeps")
__all__ = ["sweeps"]

NIGHT, BEFORE = "the-night", "the-night-before"
OLD = name_for("old", DRILL, NIGHT)


def replaced(sweeps: Sweeps, rds: FakeRds) -> tuple[dict[str, Any], dict[str, Any]]:
    """The target as a night leaves it: the restored cluster under its name, and the one before beside it."""
    live = sweeps.restored(operation=NIGHT)
    live["TagList"] = [{"Key": OPERATION_TAG, "Value": NIGHT}, {"Key": ROLE_TAG, "Value": "live"}]
    ExpiryRegister().remove(live["DbClusterResourceId"])
    tags = {OPERATION_TAG: BEFORE, ROLE_TAG: "previous", EXPIRY_TAG: expiry_text(EXPIRES)}
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    old = rds.add_cluster(OLD, TagList=listed)
    rds.add_instance(f"{DRILL}-abcdefabcdef-1", OLD, TagList=listed[:1])
    state = OperationState(NIGHT, EXECUTION, NOW)
    keep_swap(
        StoredSwap(
            record=SwapRecord(
                live_name=DRILL,
                old=RecordedCluster(resource_id=old["DbClusterResourceId"], other_names=(OLD, f"{OLD}-2")),
                new=RecordedCluster(resource_id=live["DbClusterResourceId"], other_names=()),
                began_at=NOW,
                committed_at=NOW,
            )
        ),
        state,
    )
    facts = Replaced(target_cluster_id=DRILL, expires_at=expiry_text(EXPIRES), is_ours=True, deletion_protection=False)
    ExpiryRegister().add(
        ExpiringCluster(
            resource_id=old["DbClusterResourceId"],
            cluster_identifier=OLD,
            operation_id=NIGHT,
            hours=72,
            replaced=facts,
        )
    )
    return live, old


def test_it_goes_and_its_targets_secrets_stay(sweeps: Sweeps, rds: FakeRds) -> None:
    live, _ = replaced(sweeps, rds)
    before = secrets()
    sweeps.until(EXPIRES - dt.timedelta(hours=18))
    assert sweeps.sweep()["warned"] == [OLD]
    assert "the secrets of its target" not in sweeps.last_message()
    assert f"Was        {DRILL}" in sweeps.last_message()
    assert "Costs      while it exists, it costs money, but no public price of " in sweeps.last_message()
    # The data of the operation's snapshot are in the cluster that has replaced it.
    assert "Data of" not in sweeps.last_message()
    sweeps.until(EXPIRES)
    assert sweeps.sweep()["deleted"] == [OLD]
    assert rds.clusters == {DRILL: live}
    assert secrets() == before
    assert f"Those of {DRILL} stay" in sweeps.last_message()
    assert ExpiryRegister().entries() == []


def test_it_waits_for_the_lock_on_the_target_that_it_was(sweeps: Sweeps, rds: FakeRds) -> None:
    """Under it a rollback would give the cluster its name again."""
    replaced(sweeps, rds)
    sweeps.warn_and_expire()
    lock = TargetLock(DRILL, "newer", EXECUTION)
    assert lock.take(sweeps.clock.now) is None
    assert sweeps.sweep()["deleted"] == []
    assert rds.changes() == []
    lock.release(sweeps.clock.now)
    assert sweeps.sweep()["deleted"] == [OLD]


def test_names_that_have_changed_hands_delete_nothing(sweeps: Sweeps, rds: FakeRds) -> None:
    """The live cluster has the name of the old one, and the old one the live name: the id decides, and then nothing."""
    live, old = replaced(sweeps, rds)
    sweeps.warn_and_expire()
    old["DBClusterIdentifier"], live["DBClusterIdentifier"] = DRILL, OLD
    rds.clusters = {OLD: live, DRILL: old}
    assert sweeps.sweep()["kept"] == [OLD]
    assert rds.changes() == []


def test_a_swap_that_begins_before_the_lock_is_held_keeps_it(
    sweeps: Sweeps, rds: FakeRds, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced(sweeps, rds)
    sweeps.warn_and_expire()
    claim = TargetLock.claim

    def swapping_meanwhile(lock: TargetLock, now: dt.datetime) -> Any:
        OperationState(NIGHT, EXECUTION, NOW).remember_at_end(swap_began_at=iso(NOW), swap_end=None)
        return claim(lock, now)

    monkeypatch.setattr(TargetLock, "claim", swapping_meanwhile)
    assert sweeps.sweep()["deleted"] == []
    assert rds.changes() == []


def typed(sweeps: Sweeps, beginning: str) -> list[str]:
    return [line.strip() for line in sweeps.last_message().splitlines() if line.strip().startswith(beginning)]


def test_protection_of_its_owners_is_theirs_to_switch_off(sweeps: Sweeps, rds: FakeRds) -> None:
    """The message says who acts, and by which command. Once it is off, the cluster goes."""
    _, old = replaced(sweeps, rds)
    sweeps.warn_and_expire()
    old["DeletionProtection"] = True
    assert sweeps.sweep()["kept"] == [OLD]
    assert rds.changes() == []
    assert "the person who has switched its deletion protection on switches it off" in sweeps.last_message()
    (command,) = typed(sweeps, "aws rds modify-db-cluster")
    assert f"--db-cluster-identifier {OLD} --no-deletion-protection --apply-immediately --region" in command
    old["DeletionProtection"] = False
    assert sweeps.sweep()["deleted"] == [OLD]


def test_one_of_others_is_its_owners_to_delete(sweeps: Sweeps, rds: FakeRds) -> None:
    _, old = replaced(sweeps, rds)
    old["DeletionProtection"] = True
    (entry,) = ExpiryRegister().entries()
    assert entry.replaced is not None
    ExpiryRegister().remove(entry.resource_id)
    ExpiryRegister().add(replace(entry, replaced=replace(entry.replaced, is_ours=False)))
    sweeps.until(EXPIRES)
    assert sweeps.sweep()["kept"] == [OLD]
    commands = [line.split()[2] for line in typed(sweeps, "aws rds")]
    assert commands == ["describe-db-clusters", "modify-db-cluster", "delete-db-instance", "delete-db-cluster"]
    (deletion,) = typed(sweeps, "aws rds delete-db-cluster")
    assert "--final-db-snapshot-identifier" in deletion


def test_one_whose_swap_was_turned_back_is_reported_and_kept(sweeps: Sweeps, rds: FakeRds) -> None:
    _, old = replaced(sweeps, rds)
    sweeps.warn_and_expire()
    stored = stored_swap(NIGHT)
    assert stored is not None
    keep_swap(replace(stored, record=replace(stored.record, end="back")), OperationState(NIGHT, EXECUTION, NOW))
    assert sweeps.sweep()["kept"] == [OLD]
    assert rds.clusters[OLD] == old
