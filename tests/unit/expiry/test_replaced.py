"""What is due with a cluster that another one has replaced: the swap proves it, and a name proves nothing."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.expiry.test_due import ENTRY, EXPIRES, HOUR, ID, NOTICE, RECORD, WARNED, a_cluster, an_instance
from tests.unit.support import OPERATION, TARGET
from utils.aurora_utils.resources import EXPIRY_TAG, OPERATION_TAG, PROTECTED_TAG, ROLE_TAG
from utils.contracts.swap import RecordedCluster, SwapRecord
from utils.expiry.due import ExpiryAction, ExpiryDue, decide
from utils.names import name_for
from utils.state.expiry import Replaced, expiry_text
from utils.state.operation import OperationRecord

OLD = name_for("old", TARGET, OPERATION)
MAKER = "the-night-before"
REPLACED = Replaced(target_cluster_id=TARGET, expires_at=expiry_text(EXPIRES), is_ours=True, deletion_protection=False)
PREVIOUS = replace(WARNED, cluster_identifier=OLD, replaced=REPLACED)
# The operation that has replaced it: its own cluster is another one.
NIGHT = replace(RECORD, cluster_resource_id="cluster-NEW", swap_began_at="2026-03-10T03:00:00.000Z", swap_end="forward")
SWAP = SwapRecord(
    live_name=TARGET,
    old=RecordedCluster(resource_id=ID, other_names=(OLD, f"{OLD}-2")),
    new=RecordedCluster(resource_id="cluster-NEW", other_names=()),
    began_at=EXPIRES - 73 * HOUR,
    committed_at=EXPIRES - 72 * HOUR,
)


def old(role: str | None = "previous", expires: str | None = expiry_text(EXPIRES), **changes: Any) -> Any:
    tags = {OPERATION_TAG: MAKER, ROLE_TAG: role, EXPIRY_TAG: expires}
    listed = [{"Key": key, "Value": value} for key, value in tags.items() if value is not None]
    return a_cluster(**{"DBClusterIdentifier": OLD, "TagList": listed, **changes})


def member(maker: str = MAKER) -> Any:
    return an_instance(TagList=[{"Key": OPERATION_TAG, "Value": maker}])


def what_is_due(
    cluster: Any,
    entry: Any = PREVIOUS,
    swap: SwapRecord | None = SWAP,
    record: OperationRecord | None = NIGHT,
    now: dt.datetime = EXPIRES,
) -> ExpiryDue:
    return decide(entry, record, cluster, [member()], now, swap)


def test_the_next_replacement_ends_its_time_early_unless_somebody_has_asked_for_more() -> None:
    superseded = EXPIRES - 48 * HOUR
    fresh = replace(PREVIOUS, warned_of=None, warned_at=None, superseded_at=superseded.isoformat())
    warned = what_is_due(old(), fresh, now=superseded)
    assert warned.action is ExpiryAction.WARN
    end = dt.datetime.fromisoformat(warned.expires_at)
    assert superseded < end < EXPIRES - 24 * HOUR
    told = replace(fresh, warned_of=warned.expires_at, warned_at=superseded.isoformat())
    assert what_is_due(old(), told, now=superseded + HOUR).action is ExpiryAction.NOTHING
    assert what_is_due(old(), told, now=end).action is ExpiryAction.DELETE
    later = old(expires=expiry_text(EXPIRES + HOUR))
    assert what_is_due(later, fresh, now=superseded).action is ExpiryAction.NOTHING


def test_it_is_announced_and_deleted_as_any_other() -> None:
    fresh = replace(PREVIOUS, warned_of=None, warned_at=None)
    assert what_is_due(old(), fresh, now=EXPIRES - NOTICE - HOUR).action is ExpiryAction.NOTHING
    assert what_is_due(old(), fresh, now=EXPIRES - NOTICE).action is ExpiryAction.WARN
    assert what_is_due(old(), now=EXPIRES - HOUR).action is ExpiryAction.NOTHING
    assert what_is_due(old()).action is ExpiryAction.DELETE


def test_the_later_of_tag_and_register_counts() -> None:
    earlier, later = (expiry_text(EXPIRES + hours * HOUR) for hours in (-60, 24))
    assert what_is_due(old(expires=earlier), now=EXPIRES - HOUR).action is ExpiryAction.NOTHING
    assert what_is_due(old(expires=later)).action is ExpiryAction.NOTHING


@pytest.mark.parametrize(
    ("cluster", "swap", "why"),
    [
        # It has the name, the tags and the entry of one that was replaced, and was not.
        (old(), None, "is not recorded as the one"),
        (old(), replace(SWAP, old=replace(SWAP.old, resource_id="cluster-OTHER")), "is not recorded as the one"),
        (old(), replace(SWAP, end="back", committed_at=None), "was turned back"),
        (old(), replace(SWAP, committed_at=None), "was turned back"),
        # It is live again, or somebody has taken the tag away.
        (old(role="live"), SWAP, "previous, which is live"),
        (old(role=None), SWAP, "previous, which is not set"),
        (old(role="x\ny"), SWAP, "previous, which is x"),
        (old(expires=None), SWAP, "no longer has a tag"),
        # Under the target's name it is what clients use, whatever its tags say.
        (old(DBClusterIdentifier=TARGET), SWAP, f"is called {TARGET}"),
        (old(DBClusterIdentifier="kept-by-me"), SWAP, "is called kept-by-me"),
        (old(DBClusterIdentifier=f"{OLD}-2"), SWAP, "was renamed"),
        (old(DeletionProtection=True), SWAP, "has deletion protection, which"),
    ],
)
def test_what_does_not_fit_the_swap_is_kept(cluster: Any, swap: SwapRecord | None, why: str) -> None:
    found = what_is_due(cluster, swap=swap)
    assert found.action is ExpiryAction.KEEP
    assert why in found.why
    assert found.why.isprintable()


def test_it_is_left_alone_while_a_swap_is_under_way() -> None:
    assert what_is_due(old(), record=replace(NIGHT, swap_end=None)).action is ExpiryAction.NOTHING
    assert what_is_due(old(role="swapping")).action is ExpiryAction.NOTHING


def test_one_that_the_pipeline_did_not_create_is_kept() -> None:
    entry = replace(PREVIOUS, replaced=replace(REPLACED, is_ours=False))
    found = what_is_due(old(), entry)
    assert found.action is ExpiryAction.KEEP
    assert "is not recorded as created by this stack" in found.why


def test_protection_that_it_had_when_it_was_replaced_is_switched_off() -> None:
    entry = replace(PREVIOUS, replaced=replace(REPLACED, deletion_protection=True))
    assert what_is_due(old(DeletionProtection=True), entry).action is ExpiryAction.SWITCH_PROTECTION_OFF


def test_an_instance_of_another_operations_keeps_it() -> None:
    assert decide(PREVIOUS, NIGHT, old(), [member("another")], EXPIRES, SWAP).action is ExpiryAction.KEEP
    protected = an_instance(TagList=[{"Key": OPERATION_TAG, "Value": MAKER}, {"Key": PROTECTED_TAG, "Value": "true"}])
    assert decide(PREVIOUS, NIGHT, old(), [protected], EXPIRES, SWAP).action is ExpiryAction.KEEP


@pytest.mark.parametrize("role", ["live", "previous", "failed"])
def test_a_restored_cluster_that_a_swap_has_tagged_does_not_go_by_its_own_expiry(role: str) -> None:
    tags = {OPERATION_TAG: OPERATION, EXPIRY_TAG: expiry_text(EXPIRES), ROLE_TAG: role}
    cluster = a_cluster(TagList=[{"Key": key, "Value": value} for key, value in tags.items()])
    found = decide(WARNED, RECORD, cluster, [], EXPIRES)
    assert found.action is ExpiryAction.KEEP
    assert f"{ROLE_TAG} = {role}" in found.why
    assert decide(ENTRY, RECORD, a_cluster(), [], EXPIRES - NOTICE).action is ExpiryAction.WARN
