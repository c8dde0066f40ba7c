"""Resuming an operation that replaces its target: before its swap, within it, and after either end of it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.fakes.machine import FakeMachine
from tests.unit.fakes.rds import FakeRds
from tests.unit.operation.test_finishing import REPLACES, TEMPORARY
from tests.unit.operation.test_resume import COPY, again, check, failed, found, record
from tests.unit.support import EXECUTION, NOW, OPERATION, OWN_TAGS, TARGET, a_cluster_plan, a_plan, some_users
from utils.contracts.plan import ReplacedCluster, ReplacedDeletion
from utils.errors import RequestRefused
from utils.state.operation import OperationState
from utils.state.values import iso

pytestmark = pytest.mark.usefixtures("surroundings", "rds", "found")
__all__ = ["found"]


class Night:
    """An operation that has failed with its target still there, and its own cluster beside it."""

    def __init__(self, machine: FakeMachine, rds: FakeRds) -> None:
        self.rds, self.target = rds, rds.add_cluster(TARGET)
        self.own = rds.add_cluster(TEMPORARY, TagList=OWN_TAGS)
        replaces = replace(REPLACES, resource_id=self.target["DbClusterResourceId"])
        self.machine, self.state = machine, OperationState(OPERATION, EXECUTION, NOW)
        self.plan_with(replaces)

    def plan_with(self, replaces: ReplacedCluster, asked: dict[str, Any] | None = None) -> None:
        cluster = a_cluster_plan(identifier=TEMPORARY, live_identifier=TARGET, live_endpoint=REPLACES.endpoint)
        self.state = failed(self.machine, a_plan(cluster=cluster, replaces=replaces, copy=COPY), **(asked or {}))
        self.remember(cluster_resource_id=self.own["DbClusterResourceId"], made_snapshots={"copy": COPY.arn})

    def remember(self, **facts: Any) -> None:
        self.state.remember(**facts)

    def rename(self, cluster: dict[str, Any], name: str) -> None:
        self.rds.clusters.pop(cluster["DBClusterIdentifier"], None)
        cluster["DBClusterIdentifier"] = name
        self.rds.clusters[name] = cluster


@pytest.fixture
def night(machine: FakeMachine, rds: FakeRds) -> Night:
    return Night(machine, rds)


def test_before_its_swap_it_continues_with_its_own_cluster(night: Night) -> None:
    plan = check(again())
    assert (plan["finishes_swap"], plan["cluster"]["identifier"]) == (False, TEMPORARY)
    assert plan["replaces"]["resource_id"] == night.target["DbClusterResourceId"]
    assert any(line.startswith(f"cluster already created: {TEMPORARY}") for line in plan["resumed"])


ASKED: dict[str, Any] = {"delete_replaced": True, "confirm_delete_replaced": TARGET}


@pytest.fixture
def handed(night: Night) -> Night:
    """It replaces a cluster of others, which its request has had deleted after its time."""
    deletion = ReplacedDeletion(final_snapshot_identifier="final", instance_identifiers=[], tags={})
    replaces = replace(REPLACES, resource_id=night.target["DbClusterResourceId"], is_ours=False, deletion=deletion)
    night.plan_with(replaces, ASKED)
    return night


@pytest.mark.parametrize("began", [{}, {"swap_began_at": iso(NOW)}])
@pytest.mark.parametrize("given", [{}, ASKED])
def test_what_becomes_of_a_replaced_cluster_of_others_is_not_asked_for_again(
    handed: Night, given: dict[str, Any], began: dict[str, Any]
) -> None:
    """An execution that finishes a stopped swap names the operation alone."""
    handed.remember(**began)
    assert check(again(**given))["replaces"]["deletion"]["final_snapshot_identifier"] == "final"


@pytest.mark.parametrize("given", [{"delete_replaced": False}, {**ASKED, "confirm_delete_replaced": "another"}])
def test_a_resume_changes_nothing_of_that(handed: Night, given: dict[str, Any]) -> None:
    with pytest.raises(RequestRefused, match="is not what operation"):
        check(again(**given))


def test_nor_does_a_resume_ask_for_it_first(night: Night) -> None:
    with pytest.raises(RequestRefused, match="delete_replaced: True is not what operation"):
        check(again(**ASKED))


def test_one_with_the_temporary_name_that_is_another_is_not_continued_with(night: Night, rds: FakeRds) -> None:
    del rds.clusters[TEMPORARY]
    rds.add_cluster(TEMPORARY, TagList=OWN_TAGS)
    with pytest.raises(RequestRefused, match="was deleted or renamed since"):
        check(again())


def test_its_own_under_another_name_is_not_continued_with(night: Night) -> None:
    night.rename(night.own, f"{TEMPORARY}-2")
    with pytest.raises(RequestRefused, match="was deleted or renamed since"):
        check(again())


def test_a_target_that_is_another_cluster_by_now_is_not_replaced(night: Night, rds: FakeRds) -> None:
    """A later night has replaced it, or a person has."""
    del rds.clusters[TARGET]
    with pytest.raises(RequestRefused, match="no cluster has that name now"):
        check(again())
    another = rds.add_cluster(TARGET)
    with pytest.raises(RequestRefused, match=f"now it is {another['DbClusterResourceId']}"):
        check(again())


def test_within_its_swap_it_is_only_finished_whatever_the_names_are(night: Night) -> None:
    """Nothing of the rest is asked: between two clusters there is nothing to compare with a plan."""
    night.remember(swap_began_at=iso(NOW), users_ready_at=iso(NOW))
    night.rename(night.target, str(REPLACES.other_names[0]))
    night.rename(night.own, TARGET)
    assert check(again())["finishes_swap"] is True
    assert record().is_swapping


def test_after_it_was_turned_back_the_rest_is_done_again(night: Night) -> None:
    night.remember(swap_began_at=iso(NOW), swap_end="back", users_ready_at=iso(NOW), users=some_users())
    plan = check(again())
    assert (plan["finishes_swap"], plan["cluster"]["identifier"]) == (False, TEMPORARY)
    assert plan["replaces"] is not None
    assert not record().is_swapping


def test_after_it_has_ended_forward_the_cluster_has_the_targets_name(night: Night) -> None:
    night.remember(swap_began_at=iso(NOW), swap_end="forward", users_ready_at=iso(NOW), door_opening_at=iso(NOW))
    night.rename(night.target, str(REPLACES.other_names[0]))
    night.rename(night.own, TARGET)
    plan = check(again())
    assert (plan["finishes_swap"], plan["replaces"], plan["cluster"]["identifier"]) == (False, None, TARGET)
    assert plan["replaced"]["resource_id"] == night.target["DbClusterResourceId"]
    assert record().named(TARGET) == TARGET


def test_a_clean_up_is_only_looked_for_by_its_id(night: Night, rds: FakeRds) -> None:
    """The target exists throughout: that it does says nothing of the restored one."""
    night.remember(clean_up_at=iso(NOW), swap_began_at=iso(NOW), swap_end="back")
    del rds.clusters[TEMPORARY]
    rds.add_snapshot(COPY.identifier, TagList=OWN_TAGS)
    check(again())
    assert record().cluster_resource_id is None
