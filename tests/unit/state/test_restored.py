"""The restored cluster where names move: wherever a name alone misleads, the resource id decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.fakes.rds import FakeRds
from tests.unit.support import (
    EXECUTION,
    NOW,
    OPERATION,
    OWN_TAGS,
    REGION,
    SECURITY_GROUP,
    TARGET,
    a_plan,
    a_record,
    an_execution,
)
from utils.aurora_utils import Aurora
from utils.contracts.payloads import ExecutionError, NotificationTask
from utils.errors import StepFailed
from utils.names import name_for
from utils.operation.close import OperationEnd
from utils.operation.secret_endings import _is_gone
from utils.state.operation import OperationRecord, OperationState
from utils.state.restored import restored_cluster
from utils.state.unseen import APART
from utils.state.values import iso, plain, unstored
from utils.steps.deletion_proof import deletable_unfinished, prove_restored

TEMPORARY, OLD = (name_for(each, TARGET, OPERATION) for each in ("new", "old"))
BEGAN = "2026-03-10T03:50:00.000Z"


@pytest.fixture
def restored(rds: FakeRds) -> dict[str, Any]:
    """The restored cluster under its temporary name, and another one of the same tags under the target's."""
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    return rds.add_cluster(TEMPORARY, TagList=OWN_TAGS)


def replacing(cluster: dict[str, Any], **changes: Any) -> OperationRecord:
    """The record of an operation whose cluster replaces the target."""
    known = {"temporary_name": TEMPORARY, "cluster_resource_id": cluster["DbClusterResourceId"]}
    return a_record(**{**known, "plan": unstored(plain(a_plan())), **changes})


def renamed(rds: FakeRds, cluster: dict[str, Any], name: str) -> None:
    rds.clusters.pop(cluster["DBClusterIdentifier"])
    cluster["DBClusterIdentifier"] = name
    rds.clusters[name] = cluster


def identifiers(rds: FakeRds, record: OperationRecord) -> str | None:
    found = restored_cluster(record, Aurora(REGION), TARGET)
    return found.identifier if found is not None else None


def test_it_is_found_under_whatever_name_it_has(rds: FakeRds, restored: dict[str, Any]) -> None:
    record = replacing(restored)
    assert identifiers(rds, record) == TEMPORARY
    renamed(rds, restored, "called-so-by-a-person")
    assert identifiers(rds, record) == "called-so-by-a-person"
    del rds.clusters["called-so-by-a-person"]
    assert identifiers(rds, record) is None


def test_before_its_id_is_recorded_it_has_its_temporary_name(rds: FakeRds, restored: dict[str, Any]) -> None:
    assert identifiers(rds, replacing(restored, cluster_resource_id=None)) == TEMPORARY


@pytest.mark.parametrize(("end", "name"), [(None, TEMPORARY), ("back", TEMPORARY), ("forward", TARGET)])
def test_it_is_called_by_the_name_that_the_swap_has_left_it(
    end: str | None, name: str, restored: dict[str, Any]
) -> None:
    assert replacing(restored, swap_end=end).named(TARGET) == name
    assert a_record().named(TARGET) == TARGET


def test_rule_1_a_failed_operation_deletes_its_own_and_not_the_one_with_the_targets_name(
    rds: FakeRds, restored: dict[str, Any]
) -> None:
    cluster, _ = deletable_unfinished(replacing(restored), Aurora(REGION), TARGET)
    assert cluster is not None
    assert cluster.resource_id == restored["DbClusterResourceId"]
    del rds.clusters[TEMPORARY]
    assert deletable_unfinished(replacing(restored), Aurora(REGION), TARGET) == (None, f"{TEMPORARY} is gone")


def test_rule_1_one_that_a_person_has_renamed_is_kept(rds: FakeRds, restored: dict[str, Any]) -> None:
    """Whoever renames it has a use for it."""
    renamed(rds, restored, "called-so-by-a-person")
    why = f"somebody has renamed {TEMPORARY} ({restored['DbClusterResourceId']}) to called-so-by-a-person"
    assert deletable_unfinished(replacing(restored), Aurora(REGION), TARGET) == (None, why)


def test_rule_1_within_a_swap_nothing_is_cleaned_up(rds: FakeRds, restored: dict[str, Any]) -> None:
    """The cluster may have the live name, and the other one none that clients know."""
    record = replacing(restored, swap_began_at=BEGAN)
    cluster, why = deletable_unfinished(record, Aurora(REGION), TARGET)
    assert cluster is None
    assert "has begun and not ended" in why
    ended = replacing(restored, swap_began_at=BEGAN, swap_end="back")
    assert deletable_unfinished(ended, Aurora(REGION), TARGET)[0] is not None


def test_rule_3_the_cluster_with_the_targets_name_proves_nothing(rds: FakeRds, restored: dict[str, Any]) -> None:
    """Somebody has renamed them: whatever had the name is gone, or is another one."""
    facts = {"login_proven_at": BEGAN, "door_open_at": BEGAN, "swap_began_at": BEGAN, "swap_end": "forward"}
    record = replacing(restored, **facts)
    rds.clusters[TARGET]["VpcSecurityGroups"] = [{"VpcSecurityGroupId": SECURITY_GROUP, "Status": "active"}]
    del rds.clusters[TEMPORARY]
    with pytest.raises(StepFailed):
        prove_restored(record, Aurora(REGION), TARGET)


@pytest.mark.parametrize(
    "change",
    [lambda rds, cluster: None, lambda rds, cluster: renamed(rds, cluster, "elsewhere")],
    ids=["temporary", "another"],
)
@pytest.mark.usefixtures("account")
def test_the_end_of_an_operation_reports_its_own_cluster(
    change: Callable[[FakeRds, dict[str, Any]], None], rds: FakeRds, restored: dict[str, Any]
) -> None:
    change(rds, restored)
    assert _is_gone(replacing(restored), Aurora(REGION), NOW) is False
    left = remains(replacing(restored))
    assert left.cluster is not None
    assert left.cluster.resource_id == restored["DbClusterResourceId"]
    assert left.lost is None


@pytest.mark.usefixtures("account")
def test_the_end_of_an_operation_misses_its_own_cluster(rds: FakeRds, restored: dict[str, Any]) -> None:
    del rds.clusters[TEMPORARY]
    once = replacing(restored)
    assert (_is_gone(once, Aurora(REGION), NOW), remains(once).lost) == (None, None)
    assert "one look did not show" in str(remains(once).unknown)
    twice = replacing(restored, unseen={restored["DbClusterResourceId"]: iso(NOW - APART)})
    left = remains(twice)
    assert (_is_gone(twice, Aurora(REGION), NOW), left.cluster, left.lost) == (True, None, "cluster")


def remains(record: OperationRecord) -> Any:
    task = NotificationTask(execution=an_execution(), outcome="failed", error=ExecutionError(error="x", cause="y"))
    return OperationEnd(task, OperationState(OPERATION, EXECUTION, NOW), record).remains()
