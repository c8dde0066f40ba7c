"""A replaced cluster of others that is deleted after its time: what the plan says, and all for which it must stay."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.fakes.groups import FakeKeys
from tests.unit.fakes.rds import FakeRds
from tests.unit.planning.test_plan import nothing_changes, plan_of, refusal_of
from tests.unit.planning.test_replacement import (
    OURS,
    REPLACEABLE,
    created_by_the_night_before,
    live,
    scaling,
)
from tests.unit.support import LIMITS, OPERATION, REGION, TARGET
from utils.aurora_utils.resources import OPERATION_TAG
from utils.contracts.plan import ReplacedDeletion
from utils.names import name_for
from utils.request.corrections import corrected

pytestmark = pytest.mark.usefixtures("surroundings")
__all__ = ["live", "nothing_changes", "scaling"]

ASKED: dict[str, Any] = {"replace_target": True, "delete_replaced": True, "confirm_delete_replaced": TARGET}
FINAL = name_for("final", TARGET, OPERATION)
MEMBERS = ["writer-of-others", "reader-of-others"]


@pytest.fixture(autouse=True)
def theirs(live: dict[str, Any], rds: FakeRds) -> dict[str, Any]:
    """The target, made by others, who let it be replaced."""
    live["TagList"] = list(REPLACEABLE)
    for each in MEMBERS:
        rds.add_instance(each, TARGET, TagList=list(REPLACEABLE))
    return live


def planned(**asked: Any) -> ReplacedDeletion:
    replaces = plan_of(**ASKED | asked).replaces
    assert replaces is not None
    assert replaces.deletion is not None
    assert replaces.why_it_stays == ""
    return replaces.deletion


def test_the_plan_names_its_instances_and_the_final_snapshot_with_its_tags() -> None:
    deletion = planned(tags={"team": "orders"})
    assert deletion.final_snapshot_identifier == FINAL
    assert sorted(deletion.instance_identifiers) == sorted(MEMBERS)
    assert deletion.tags == {"team": "orders", OPERATION_TAG: OPERATION}


def test_without_being_asked_for_it_stays() -> None:
    replaces = plan_of(replace_target=True).replaces
    assert replaces is not None
    assert (replaces.deletion, replaces.why_it_stays) == (None, "this stack did not create it")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"confirm_delete_replaced": None}, "confirm_delete_replaced: missing, and delete_replaced is true"),
        ({"confirm_delete_replaced": "prod-orders"}, "confirm_delete_replaced: 'prod-orders' is not the target's name"),
        ({"confirm_delete_replaced": TARGET.upper()}, "is not the target's name"),
        ({"delete_replaced": None}, f"confirm_delete_replaced: '{TARGET}' is given, but delete_replaced is not true"),
        ({"delete_replaced": False}, "but delete_replaced is not true"),
        ({"replace_target": False, "target_cluster_id": "free", "confirm_delete_replaced": "free"}, "nothing is repl"),
        ({"target_cluster_id": "free", "confirm_delete_replaced": "free"}, "no cluster is called 'free'"),
        ({"final_snapshot": False}, "final_snapshot: False is given with delete_replaced"),
    ],
)
def test_it_is_asked_for_twice_and_fits_the_rest(asked: dict[str, Any], said: str) -> None:
    assert said in refusal_of(**ASKED | asked)


def test_a_stack_that_does_not_allow_it_refuses() -> None:
    narrow = replace(LIMITS, deletion_of_replaced="false")
    message = refusal_of(limits=narrow, **ASKED)
    assert "delete_replaced: True is not allowed here: AllowDeletionOfReplaced is 'false'" in message


def test_where_nothing_sweeps_nothing_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPIRY_SCHEDULE", "")
    assert "delete_replaced: True is given, and the stack's ExpirySchedule is empty" in refusal_of(**ASKED)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"DeletionProtection": True}, "has deletion protection, by which its owner keeps it"),
        ({"LatestRestorableTime": None}, "RDS cannot take a final snapshot"),
        # It may be replaced by the tag of another stack, and its owner has said nothing of it.
        ({"TagList": [{"Key": OPERATION_TAG, "Value": "another-stacks"}]}, "has no tag of its owner's"),
    ],
)
def test_what_would_prevent_it_is_refused_before_anything_is_created(
    theirs: dict[str, Any], found: dict[str, Any], said: str
) -> None:
    theirs.update(found)
    for name in [name for name, value in found.items() if value is None]:
        theirs.pop(name)
    message = refusal_of(**ASKED)
    assert message.startswith("delete_replaced: ")
    assert said in message


def test_a_member_of_whose_owner_nothing_is_known_is_refused(rds: FakeRds) -> None:
    rds.add_instance("another-teams", TARGET)
    assert "has not tagged it, or not all of its instances" in refusal_of(**ASKED)


def test_its_key_has_to_be_there(theirs: dict[str, Any], keys: FakeKeys) -> None:
    theirs.update(StorageEncrypted=True, KmsKeyId=f"arn:aws:kms:{REGION}:123456789012:key/gone")
    assert "no longer exists, and no final snapshot can be taken without it" in refusal_of(**ASKED)


def test_a_snapshot_that_has_the_name_is_left_alone(rds: FakeRds) -> None:
    rds.add_snapshot(FINAL)
    message = refusal_of(**ASKED)
    assert f"delete_replaced: a snapshot named '{FINAL}' exists in {REGION} already" in message
    assert f"aws rds describe-db-cluster-snapshots --db-cluster-snapshot-identifier {FINAL}" in message


def test_one_of_the_stacks_own_goes_without_being_asked_for(theirs: dict[str, Any]) -> None:
    theirs["TagList"] = OURS
    created_by_the_night_before(theirs)
    assert "was created by this stack, which deletes it after keep_previous_hours in any case" in refusal_of(**ASKED)


def test_everything_is_reported_at_once(theirs: dict[str, Any], rds: FakeRds) -> None:
    theirs["DeletionProtection"] = True
    rds.add_snapshot(FINAL)
    message = refusal_of(
        limits=replace(LIMITS, deletion_of_replaced="false"), **ASKED | {"confirm_delete_replaced": "x"}
    )
    for said in ("AllowDeletionOfReplaced", "is not the target's name", "has deletion protection", FINAL):
        assert said in message


def test_the_command_that_starts_again_leaves_both_fields_out() -> None:
    refused = [
        "delete_replaced: True is not allowed here: AllowDeletionOfReplaced is 'false'. Drop it to have it kept."
    ]
    again = corrected({"target_cluster_id": TARGET, "delete_source": None, **ASKED}, refused)
    assert again.left_out == ["delete_replaced", "confirm_delete_replaced"]
    assert again.request["replace_target"]
