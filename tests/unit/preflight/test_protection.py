"""What is protected loses nothing at all: neither itself nor, before IAM could refuse, its instances."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.fakes.rds import FakeRds
from tests.unit.support import (
    ACCOUNT,
    DEFAULTS,
    LIMITS,
    OPERATION,
    OWN_TAGS,
    REGION,
    SOURCE,
    TARGET,
    a_deletion,
    a_record,
    an_execution,
)
from utils.aurora_utils import Aurora
from utils.aurora_utils.source_account import Source
from utils.errors import RequestRefused, StepFailed
from utils.planning.restore import plan_restore
from utils.request.reading import read_request
from utils.steps.delete_calls import delete_with_instances
from utils.steps.deletion_proof import deletable_unfinished, prove_source

PROTECTED = [{"Key": "aurora-restore:protected", "Value": "true"}]


pytestmark = pytest.mark.usefixtures("surroundings")


@pytest.fixture
def production(rds: FakeRds) -> dict[str, Any]:
    rds.add_snapshot("tuesday")
    rds.add_instance("prod-orders-1", SOURCE)
    rds.add_instance("prod-orders-2", SOURCE)
    return rds.add_cluster(SOURCE)


def protect(rds: FakeRds, protected: str) -> None:
    (rds.clusters.get(protected) or rds.instances[protected])["TagList"] = PROTECTED


def plan_its_deletion() -> None:
    request = read_request({"delete_source": True, "confirm_delete_source": SOURCE}, DEFAULTS)
    plan_restore(request, OPERATION, an_execution(), Source(ACCOUNT, REGION), Aurora(REGION), LIMITS)


@pytest.mark.parametrize("protected", ["prod-orders", "prod-orders-2"])
def test_a_request_to_delete_what_is_protected_is_refused(
    rds: FakeRds, production: dict[str, Any], protected: str
) -> None:
    protect(rds, protected)
    with pytest.raises(RequestRefused) as refused:
        plan_its_deletion()
    assert str(refused.value).startswith(
        f"delete_source: 'prod-orders' is protected by the tag aurora-restore:protected = true on {protected}."
    )


@pytest.mark.parametrize("protected", ["prod-orders", "prod-orders-2"])
def test_a_source_that_was_protected_meanwhile_is_left_alone(
    rds: FakeRds, production: dict[str, Any], protected: str
) -> None:
    protect(rds, protected)
    with pytest.raises(StepFailed, match=rf"nothing of it was deleted\.\n.*= true on {protected}\."):
        prove_source(a_deletion(production["DbClusterResourceId"]), a_record(), Aurora(REGION))


@pytest.mark.parametrize(
    ("pattern", "deletable"), [("*", True), ("prod-*", True), ("prod-order?", True), ("staging-*", False), ("p", False)]
)
def test_only_a_source_within_the_stacks_pattern_may_go(
    production: dict[str, Any], monkeypatch: pytest.MonkeyPatch, pattern: str, deletable: bool
) -> None:
    monkeypatch.setenv("DELETABLE_CLUSTER_PATTERN", pattern)
    deletion = a_deletion(production["DbClusterResourceId"])
    if deletable:
        plan_its_deletion()
        assert prove_source(deletion, a_record(), Aurora(REGION)) is not None
        return
    with pytest.raises(RequestRefused, match="delete_source: 'prod-orders' does not match the stack's"):
        plan_its_deletion()
    with pytest.raises(StepFailed, match=r"nothing of it was deleted\.\n.*DeletableClusterPattern"):
        prove_source(deletion, a_record(), Aurora(REGION))


def test_only_a_source_whose_instances_the_policy_lets_go_may_go(
    rds: FakeRds, production: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else IAM would refuse one instance after others have gone."""
    monkeypatch.setenv("DELETABLE_INSTANCE_PATTERN", "prod-*")
    plan_its_deletion()
    rds.add_instance("the-writer", SOURCE)
    with pytest.raises(RequestRefused, match=r"'prod-orders' has instances \(the-writer\) that do not match"):
        plan_its_deletion()


@pytest.mark.parametrize("protected", ["staging-orders", "staging-orders-1"])
def test_a_clean_up_leaves_alone_what_somebody_protected(rds: FakeRds, protected: str) -> None:
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    rds.add_instance("staging-orders-1", TARGET, TagList=OWN_TAGS)
    (rds.clusters.get(protected) or rds.instances[protected])["TagList"] = OWN_TAGS + PROTECTED
    cluster, reason = deletable_unfinished(a_record(), Aurora(REGION), TARGET)
    assert cluster is None
    assert reason == f"staging-orders is protected by the tag aurora-restore:protected = true on {protected}"


def test_a_tag_that_says_no_protects_nothing(rds: FakeRds, production: dict[str, Any]) -> None:
    production["TagList"] = [{"Key": "aurora-restore:protected", "Value": "false"}]
    plan_its_deletion()


@pytest.mark.parametrize(
    ("dependence", "why"),
    [
        ({"GlobalClusterIdentifier": "world"}, "belongs to the global database world"),
        ({"ReadReplicaIdentifiers": ["arn:aws:rds:eu-west-1:1:cluster:replica"]}, "feeds the replicas"),
        ({"ReplicationSourceIdentifier": "arn:aws:rds:eu-west-1:1:cluster:first"}, "is a replica of arn:"),
    ],
)
def test_a_source_that_others_depend_on_keeps_its_instances_too(
    production: dict[str, Any], dependence: dict[str, Any], why: str
) -> None:
    production.update(dependence)
    with pytest.raises(RequestRefused, match=f"delete_source: 'prod-orders' {why}"):
        plan_its_deletion()


def test_the_writer_goes_last(rds: FakeRds, production: dict[str, Any]) -> None:
    cluster = Aurora(REGION).cluster(SOURCE)
    assert cluster is not None
    last_writer = replace(cluster, writer_identifier="prod-orders-1")
    delete_with_instances(Aurora(REGION), last_writer, final_snapshot=None, keep_backups=True)
    deleted = [given["DBInstanceIdentifier"] for operation, given in rds.calls if operation == "DeleteDBInstance"]
    assert deleted == ["prod-orders-2", "prod-orders-1"]
