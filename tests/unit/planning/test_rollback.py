"""A replacement that is undone: what the plan says of it, and everything for which it must not be."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests.unit.fakes.machine import FakeMachine
from tests.unit.fakes.rds import FakeRds
from tests.unit.fakes.scaling import FakeScaling
from tests.unit.operation.test_finishing import REPLACES
from tests.unit.operation.test_resume import again, check
from tests.unit.planning.test_replacement import scaling
from tests.unit.support import (
    EXECUTION,
    LIMITS,
    NOW,
    OPERATION,
    OTHER_EXECUTION,
    OWN_TAGS,
    SECURITY_GROUP,
    TARGET,
    a_cluster_plan,
    a_plan,
)
from utils.errors import RequestRefused
from utils.names import name_for
from utils.state.expiry import ExpiringCluster, ExpiryRegister, Replaced
from utils.state.operation import OperationState
from utils.state.values import iso

__all__ = ["scaling"]

KEPT = REPLACES.other_names[0]
ROLLBACK = OTHER_EXECUTION.rsplit(":", 1)[-1]


def tags(**named: str) -> list[dict[str, str]]:
    return [{"Key": f"aurora-restore:{name.replace('_', '-')}", "Value": value} for name, value in named.items()]


class Replacement:
    """An operation that has replaced the target, and the cluster that it keeps."""

    def __init__(self, machine: FakeMachine, rds: FakeRds) -> None:
        self.live = rds.add_cluster(TARGET, TagList=[*OWN_TAGS, *tags(role="live")])
        kept = tags(operation_id="the-night-before", role="previous", expires_at="2026-03-12T00:00:00Z")
        self.kept = rds.add_cluster(KEPT, TagList=kept)
        rds.add_instance(f"{KEPT}-1", KEPT)
        replaces = replace(REPLACES, resource_id=self.kept["DbClusterResourceId"], security_group_ids=[SECURITY_GROUP])
        self.plan = a_plan(cluster=a_cluster_plan(), replaces=replaces)
        self.state = OperationState(OPERATION, EXECUTION, NOW)
        self.state.open("snapshot-check", {}, self.plan, "running")
        self.state.remember(
            cluster_resource_id=self.live["DbClusterResourceId"],
            swap_began_at=iso(NOW),
            swap_end="forward",
            door_open_at=iso(NOW),
        )
        self.state.close("succeeded")
        machine.statuses[EXECUTION] = "SUCCEEDED"


@pytest.fixture(autouse=True)
def replacement(surroundings: None, scaling: FakeScaling, machine: FakeMachine, rds: FakeRds) -> Replacement:
    return Replacement(machine, rds)


def roll_back(**request: Any) -> dict[str, Any]:
    plan: dict[str, Any] = check(again(rollback=True, **request))
    return plan


def test_the_parts_of_the_two_are_exchanged(replacement: Replacement) -> None:
    plan = roll_back()
    assert (plan["operation_id"], plan["target_cluster_id"]) == (ROLLBACK, TARGET)
    undone, replaces, cluster = plan["rolls_back"], plan["replaces"], plan["cluster"]
    assert (undone["operation_id"], undone["resource_id"]) == (OPERATION, replacement.kept["DbClusterResourceId"])
    assert replaces["resource_id"] == replacement.live["DbClusterResourceId"]
    assert replaces["other_names"][0] == name_for("old", TARGET, ROLLBACK)
    assert (cluster["identifier"], cluster["vpc_security_group_ids"]) == (KEPT, [SECURITY_GROUP])


def test_nothing_is_restored_copied_or_deleted() -> None:
    plan = roll_back()
    assert not [each["call"] for each in plan["calls"] if "Restore" in each["call"] or "Delete" in each["call"]]
    assert (plan["copy_needed"], plan["delete_source"], plan["export"], plan["masking"]) == (False, False, None, None)
    assert (plan["on_failure"], plan["expires_after_hours"]) == ("keep", None)


def test_the_first_state_has_the_kept_cluster_as_the_one_that_gets_the_name(replacement: Replacement) -> None:
    roll_back()
    record = OperationState(ROLLBACK, OTHER_EXECUTION, NOW).recall()
    assert record is not None
    assert record.cluster_resource_id == replacement.kept["DbClusterResourceId"]
    assert (record.temporary_name, record.status) == (KEPT, "running")


def test_a_dry_run_plans_the_same_and_holds_nothing() -> None:
    assert roll_back(dry_run=True)["rolls_back"]["operation_id"] == OPERATION
    assert roll_back(dry_run=True)["dry_run"]


def test_it_is_kept_as_long_as_the_request_says() -> None:
    assert roll_back(keep_previous_hours=3)["replaces"]["keep_hours"] == 3


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"snapshot_date": "2026-03-10"}, "snapshot_date: '2026-03-10' is given with rollback"),
        ({"resume": True}, "resume: true is given with rollback"),
        ({"target_cluster_id": "another"}, "target_cluster_id: 'another' is not the target of operation"),
        ({"operation_id": "nobody-knows"}, "is no operation that is known"),
        ({"operation_id": None}, "operation_id: missing, and rollback is true"),
        ({"keep_previous_hours": 0}, "keep_previous_hours: 0 is not between"),
    ],
)
def test_a_request_that_asks_for_something_else_is_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestRefused, match=said):
        roll_back(**asked)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"swap_end": "back"}, "was turned back"),
        ({"swap_end": None}, "has not ended"),
        ({"swap_end": None, "swap_began_at": None}, "has replaced no cluster"),
    ],
)
def test_an_operation_that_has_replaced_nothing_is_not_rolled_back(
    facts: dict[str, Any], said: str, replacement: Replacement
) -> None:
    replacement.state.remember_at_end(**facts)
    with pytest.raises(RequestRefused, match=said):
        roll_back()


def test_one_that_another_night_has_replaced_since_is_not_rolled_back(rds: FakeRds) -> None:
    del rds.clusters[TARGET]
    with pytest.raises(RequestRefused, match="no cluster has that name"):
        roll_back()
    rds.add_cluster(TARGET)
    with pytest.raises(RequestRefused, match="Only the newest replacement of a target is rolled back"):
        roll_back()


def test_a_kept_cluster_that_is_gone_or_going_is_not_waited_for(replacement: Replacement, rds: FakeRds) -> None:
    replacement.kept["Status"] = "deleting"
    with pytest.raises(RequestRefused, match="is being deleted"):
        roll_back()
    del rds.clusters[KEPT]
    with pytest.raises(RequestRefused, match="no longer exists"):
        roll_back()


def test_one_whose_expiry_has_begun_is_left_to_it(replacement: Replacement) -> None:
    replaced = Replaced(
        target_cluster_id=TARGET, expires_at="2026-03-12T00:00:00Z", is_ours=True, deletion_protection=False
    )
    entry = ExpiringCluster(
        resource_id=replacement.kept["DbClusterResourceId"],
        cluster_identifier=KEPT,
        operation_id=OPERATION,
        hours=24,
        replaced=replaced,
        deletion_began_at=iso(NOW),
    )
    ExpiryRegister().add(entry)
    with pytest.raises(RequestRefused, match="is being deleted"):
        roll_back()


def test_every_problem_of_the_kept_cluster_is_said_at_once(replacement: Replacement) -> None:
    replacement.kept["TagList"] = tags(operation_id="the-night-before", role="failed", protected="true")
    replacement.kept["Status"] = "upgrading"
    replacement.kept["PendingModifiedValues"] = {"EngineVersion": "17.6"}
    with pytest.raises(RequestRefused) as refused:
        roll_back()
    for said in ("is failed, not previous", "is upgrading, not available", "is protected by the tag", "EngineVersion"):
        assert said in str(refused.value)


def test_one_that_a_person_has_renamed_is_named_with_its_own_name(replacement: Replacement, rds: FakeRds) -> None:
    del rds.clusters[KEPT]
    replacement.kept["DBClusterIdentifier"] = "precious"
    rds.clusters["precious"] = replacement.kept
    with pytest.raises(RequestRefused, match=f"was renamed since.*Rename it to {KEPT} first"):
        roll_back()


def test_what_prevents_a_replacement_of_the_present_cluster_prevents_this_too(replacement: Replacement) -> None:
    replacement.live["GlobalClusterIdentifier"] = "worldwide"
    with pytest.raises(RequestRefused, match=f"Cluster '{TARGET}' belongs to the global database worldwide"):
        roll_back()


def test_one_that_was_not_masked_lets_nobody_in_where_the_stack_requires_it(replacement: Replacement) -> None:
    asked = again(rollback=True)
    asked["limits"] = msgspec.to_builtins(replace(LIMITS, require_masking="true"))
    with pytest.raises(RequestRefused, match="was not masked, and this stack lets nobody into"):
        check(asked)
    earlier = OperationState("the-night-before", f"{EXECUTION}-before", NOW)
    earlier.open("snapshot-check", {}, a_plan(), "running")
    earlier.remember(masked_at=iso(NOW), cluster_resource_id="cluster-ANOTHER")
    with pytest.raises(RequestRefused, match="was not masked, and this stack lets nobody into"):
        check(asked)
    earlier.remember(cluster_resource_id=replacement.kept["DbClusterResourceId"])
    assert check(asked)["rolls_back"]["resource_id"] == replacement.kept["DbClusterResourceId"]


def test_one_whose_operation_was_resumed_after_its_swap_is_undone_as_well(
    replacement: Replacement, machine: FakeMachine
) -> None:
    """Its plan has nothing to replace any longer."""
    replaced = replacement.plan.replaces
    state = OperationState("resumed", f"{EXECUTION}-resumed", NOW)
    state.open("snapshot-check", {}, replace(replacement.plan, replaces=None, replaced=replaced), "running")
    facts = {"cluster_resource_id": replacement.live["DbClusterResourceId"], "door_open_at": iso(NOW)}
    state.remember(**facts, swap_began_at=iso(NOW), swap_end="forward")
    state.close("succeeded")
    assert roll_back(operation_id="resumed")["rolls_back"]["operation_id"] == "resumed"


# Resuming


def resumed(machine: FakeMachine, **facts: Any) -> dict[str, Any]:
    roll_back()
    state = OperationState(ROLLBACK, OTHER_EXECUTION, NOW)
    state.remember(**facts)
    machine.statuses[OTHER_EXECUTION] = "FAILED"
    state.close("failed")
    plan: dict[str, Any] = check(again(execution=f"{OTHER_EXECUTION}-again", operation_id=ROLLBACK, resume=True))
    return plan


def test_one_that_was_turned_back_is_resumed_as_it_was_planned(machine: FakeMachine) -> None:
    plan = resumed(machine, swap_began_at=iso(NOW), swap_end="back")
    assert (plan["finishes_swap"], plan["rolls_back"]["operation_id"]) == (False, OPERATION)


def test_one_that_may_not_have_its_name_back_by_now_is_not_resumed(
    machine: FakeMachine, replacement: Replacement
) -> None:
    """The plan's question is asked again, not a smaller one."""
    replacement.kept["TagList"] = tags(operation_id="the-night-before", role="previous")
    roll_back()
    replacement.kept["TagList"] = tags(operation_id="the-night-before", role="live", protected="true")
    state = OperationState(ROLLBACK, OTHER_EXECUTION, NOW)
    machine.statuses[OTHER_EXECUTION] = "FAILED"
    state.close("failed")
    with pytest.raises(RequestRefused) as refused:
        check(again(execution=f"{OTHER_EXECUTION}-again", operation_id=ROLLBACK, resume=True))
    for said in ("is live, not previous", "is protected by the tag"):
        assert said in str(refused.value)


def test_one_that_was_stopped_within_its_swap_is_only_finished(machine: FakeMachine) -> None:
    assert resumed(machine, swap_began_at=iso(NOW))["finishes_swap"] is True


def test_one_that_has_ended_has_nothing_to_resume(machine: FakeMachine) -> None:
    with pytest.raises(RequestRefused, match="only its report is missing"):
        resumed(machine, swap_began_at=iso(NOW), swap_end="forward")
