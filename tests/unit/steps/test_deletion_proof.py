"""Nothing is deleted without its proof, and each proof fails alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.fakes.rds import FakeRds
from tests.unit.support import OWN_TAGS, REGION, SOURCE, TARGET, a_deletion, a_record
from utils.aurora_utils import Aurora
from utils.errors import StepFailed, TemporaryFailure
from utils.state.operation import OperationRecord
from utils.steps.deletion_proof import deletable_unfinished, prove_restored, prove_source

OTHER_TAGS = [{"Key": "aurora-restore:operation-id", "Value": "another-operation"}]


@pytest.fixture
def restored(rds: FakeRds) -> dict[str, Any]:
    rds.add_instance("staging-orders-1", TARGET, TagList=OWN_TAGS)
    return rds.add_cluster(TARGET, TagList=OWN_TAGS)


@pytest.fixture
def source(rds: FakeRds) -> dict[str, Any]:
    for number in (1, 2):
        rds.add_instance(f"prod-orders-{number}", SOURCE)
    return rds.add_cluster(SOURCE)


def proved(cluster: dict[str, Any], **changes: Any) -> OperationRecord:
    """The record of an operation whose restored cluster has let us in."""
    known = {
        "cluster_resource_id": cluster["DbClusterResourceId"],
        "login_proven_at": "2026-03-10T03:40:00.000Z",
        "door_open_at": "2026-03-10T03:50:00.000Z",
    }
    return a_record(**known | changes)


# Rule 3: the restored cluster proves itself first


def test_a_restored_cluster_that_let_us_in_is_proof(restored: dict[str, Any]) -> None:
    prove_restored(proved(restored), Aurora(REGION), TARGET)


@pytest.mark.parametrize("missing", ["login_proven_at", "cluster_resource_id"])
def test_rule_3_without_a_proven_login_nothing_may_be_deleted(restored: dict[str, Any], missing: str) -> None:
    with pytest.raises(StepFailed, match=r"No login to staging-orders has worked yet.*Nothing was deleted"):
        prove_restored(proved(restored, **{missing: None}), Aurora(REGION), TARGET)


def test_rule_3_while_the_door_is_shut_nothing_may_be_deleted(restored: dict[str, Any]) -> None:
    with pytest.raises(
        StepFailed, match=r"The door of the restored cluster staging-orders is not open.*Nothing was del"
    ):
        prove_restored(proved(restored, door_open_at=None), Aurora(REGION), TARGET)


def test_rule_3_for_a_copy_that_lacks_a_role_or_a_database_no_source_goes(restored: dict[str, Any]) -> None:
    """Whatever else of the run may end: its copied snapshot goes, and an export is made."""
    users = {"unfinished": ["'orders_app' was not set up: the master user may not alter it (permission denied)"]}
    record = proved(restored, users=users)
    prove_restored(record, Aurora(REGION), TARGET)
    with pytest.raises(StepFailed, match=r"'orders_app' was not set up.*Nothing was deleted.*then resume"):
        prove_source(a_deletion(), record, Aurora(REGION))


def test_rule_3_without_a_restored_cluster_nothing_may_be_deleted(rds: FakeRds, restored: dict[str, Any]) -> None:
    del rds.clusters[TARGET]
    with pytest.raises(TemporaryFailure, match=r"RDS does not show the restored cluster .* nothing may be deleted"):
        prove_restored(proved(restored), Aurora(REGION), TARGET)


@pytest.mark.parametrize("status", ["failed", "stopped", "deleting", "inaccessible-encryption-credentials"])
def test_rule_3_a_broken_restored_cluster_proves_nothing(restored: dict[str, Any], status: str) -> None:
    restored["Status"] = status
    with pytest.raises(StepFailed, match=f"is {status} .*Nothing was deleted"):
        prove_restored(proved(restored), Aurora(REGION), TARGET)


@pytest.mark.parametrize("status", ["backing-up", "modifying", "maintenance"])
def test_rule_3_a_restored_cluster_that_is_busy_is_asked_again(restored: dict[str, Any], status: str) -> None:
    restored["Status"] = status
    with pytest.raises(TemporaryFailure, match=f"is {status} .*Nothing was deleted"):
        prove_restored(proved(restored), Aurora(REGION), TARGET)


def test_rule_1_another_cluster_under_the_targets_name_proves_nothing(restored: dict[str, Any]) -> None:
    with pytest.raises(StepFailed, match="Nothing was deleted"):
        prove_restored(proved(restored, cluster_resource_id="cluster-ANOTHER"), Aurora(REGION), TARGET)


# Rules 1 and 3: the source is the one that was named


def test_the_source_that_the_plan_recorded_may_go(restored: dict[str, Any], source: dict[str, Any]) -> None:
    cluster = prove_source(a_deletion(source["DbClusterResourceId"]), proved(restored), Aurora(REGION))
    assert cluster is not None
    assert cluster.resource_id == source["DbClusterResourceId"]


@pytest.mark.parametrize(("planned", "unplanned"), [(["prod-orders-1"], "prod-orders-2"), ([], "prod-orders-1")])
def test_rule_1_an_instance_that_the_plan_doesnt_name_keeps_its_cluster_from_being_deleted(
    restored: dict[str, Any], source: dict[str, Any], planned: list[str], unplanned: str
) -> None:
    deletion = a_deletion(source["DbClusterResourceId"], instance_identifiers=planned)
    with pytest.raises(StepFailed, match=rf"nothing of it was deleted\.\n.*the plan does not name: {unplanned}[.,]"):
        prove_source(deletion, proved(restored), Aurora(REGION))


@pytest.mark.parametrize(
    "planned", [None, ["prod-orders-2", "prod-orders-1"], ["gone-since", "prod-orders-2", "prod-orders-1"]]
)
def test_a_source_with_no_more_than_its_planned_instances_may_go(
    restored: dict[str, Any], source: dict[str, Any], planned: list[str] | None
) -> None:
    deletion = a_deletion(source["DbClusterResourceId"], instance_identifiers=planned)
    assert prove_source(deletion, proved(restored), Aurora(REGION)) is not None


def test_a_source_that_is_gone_already_is_as_good(restored: dict[str, Any]) -> None:
    assert prove_source(a_deletion(), proved(restored), Aurora(REGION)) is None


def test_rule_1_another_cluster_under_the_sources_name_is_left_alone(
    restored: dict[str, Any], source: dict[str, Any]
) -> None:
    with pytest.raises(StepFailed, match=r"and the plan deletes cluster-RENAMED: .* was left alone"):
        prove_source(a_deletion("cluster-RENAMED"), proved(restored), Aurora(REGION))


def test_rule_3_the_restored_cluster_is_never_deleted_as_the_source(restored: dict[str, Any]) -> None:
    """Say, after somebody swapped the two names while the pipeline ran."""
    deletion = a_deletion(restored["DbClusterResourceId"], cluster_identifier=TARGET)
    with pytest.raises(StepFailed, match=r"is the restored cluster itself. It was left alone"):
        prove_source(deletion, proved(restored), Aurora(REGION))


def test_deletion_protection_that_was_switched_on_meanwhile_is_respected(
    restored: dict[str, Any], source: dict[str, Any]
) -> None:
    source["DeletionProtection"] = True
    with pytest.raises(StepFailed, match=r"nothing of it was deleted\.\n.*has deletion protection now"):
        prove_source(a_deletion(source["DbClusterResourceId"]), proved(restored), Aurora(REGION))


# Rule 1: cleaning up takes what this operation made, and only while nobody can rely on it


def reason_to_keep(record: OperationRecord) -> str:
    cluster, reason = deletable_unfinished(record, Aurora(REGION), TARGET)
    assert cluster is None
    return reason


def test_a_cluster_that_this_operation_made_and_didnt_finish_may_go(restored: dict[str, Any]) -> None:
    cluster, reason = deletable_unfinished(proved(restored), Aurora(REGION), TARGET)
    assert cluster is not None
    assert cluster.resource_id == restored["DbClusterResourceId"]
    assert reason == ""


def test_a_cluster_whose_id_could_not_be_written_down_is_known_by_its_tag(restored: dict[str, Any]) -> None:
    cluster, _ = deletable_unfinished(a_record(), Aurora(REGION), TARGET)
    assert cluster is not None


def test_rule_1_a_cluster_with_our_tag_that_nobody_asked_for_is_left_alone(restored: dict[str, Any]) -> None:
    cluster, why = deletable_unfinished(a_record(cluster_asked_at=None), Aurora(REGION), TARGET)
    assert cluster is None
    assert why == f"staging-orders is {restored['DbClusterResourceId']}, this operation made none"


def test_rule_1_a_cluster_without_our_tag_is_left_alone(restored: dict[str, Any]) -> None:
    for tags in ([], OTHER_TAGS):
        restored["TagList"] = tags
        assert reason_to_keep(proved(restored)) == "staging-orders is not tagged as this operation's"


def test_rule_1_a_cluster_with_our_tag_but_another_id_is_left_alone(restored: dict[str, Any]) -> None:
    reason = reason_to_keep(proved(restored, cluster_resource_id="cluster-OURS"))
    assert reason == f"staging-orders is {restored['DbClusterResourceId']}, this operation made cluster-OURS"


def test_a_complete_cluster_is_kept(restored: dict[str, Any]) -> None:
    assert "people may rely on it" in reason_to_keep(proved(restored, door_opening_at="2026-03-10T03:45:00.000Z"))


def test_behind_its_door_a_cluster_with_users_is_not_kept(restored: dict[str, Any]) -> None:
    """Nobody but the pipeline has reached it."""
    record = proved(restored, users_ready_at="2026-03-10T03:45:00.000Z")
    assert deletable_unfinished(record, Aurora(REGION), TARGET)[0] is not None


def test_once_the_sources_deletion_began_the_restored_cluster_is_kept(restored: dict[str, Any]) -> None:
    assert "the only one left" in reason_to_keep(proved(restored, source_deletion_at="2026-03-10T03:50:00.000Z"))


def test_a_protected_cluster_is_kept(restored: dict[str, Any]) -> None:
    restored["DeletionProtection"] = True
    assert "with deletion protection" in reason_to_keep(proved(restored))


def test_where_no_cluster_was_made_there_is_nothing_to_clean_up(rds: FakeRds) -> None:
    assert reason_to_keep(a_record()) == "no cluster was created"
