"""The order of a deletion: readers, the writer, the cluster, however often it is called."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.fakes.rds import FakeRds
from tests.unit.support import REGION, SOURCE
from utils.aurora_utils import Aurora
from utils.errors import TemporaryFailure
from utils.steps.delete_calls import delete_with_instances


@pytest.fixture
def source(rds: FakeRds) -> dict[str, Any]:
    for number in (1, 2):
        rds.add_instance(f"prod-orders-{number}", SOURCE)
    return rds.add_cluster(SOURCE)


def delete(name: str, final_snapshot: str | None = None) -> None:
    cluster = Aurora(REGION).cluster(name)
    assert cluster is not None
    delete_with_instances(Aurora(REGION), cluster, final_snapshot, keep_backups=True)


def test_instances_go_first_then_the_cluster_with_its_final_snapshot(rds: FakeRds, source: dict[str, Any]) -> None:
    rds.seconds = {"DeleteDBInstance": 300, "DeleteDBCluster": 300}
    rds.add_instance("bystander-1", "another-cluster")
    delete(SOURCE, "prod-orders-final")
    assert rds.changes() == ["DeleteDBInstance", "DeleteDBInstance", "DeleteDBCluster"]
    assert rds.asked("DeleteDBCluster") == {
        "DBClusterIdentifier": SOURCE,
        "SkipFinalSnapshot": False,
        "FinalDBSnapshotIdentifier": "prod-orders-final",
        "DeleteAutomatedBackups": False,
    }
    assert rds.snapshots["prod-orders-final"]["DBClusterIdentifier"] == SOURCE
    assert rds.instances["bystander-1"]["DBInstanceStatus"] == "available"


def test_a_deletion_that_is_asked_for_again_goes_on_where_it_stopped(rds: FakeRds, source: dict[str, Any]) -> None:
    rds.seconds = {"DeleteDBInstance": 300, "DeleteDBCluster": 300}
    rds.instances["prod-orders-1"]["DBInstanceStatus"] = "deleting"
    delete(SOURCE)
    assert rds.changes() == ["DeleteDBInstance", "DeleteDBCluster"]
    delete(SOURCE)
    assert rds.changes() == ["DeleteDBInstance", "DeleteDBCluster"]


def test_an_instance_that_cant_be_deleted_yet_holds_back_the_cluster(rds: FakeRds, source: dict[str, Any]) -> None:
    rds.refuse("DeleteDBInstance", "InvalidDBInstanceState")
    with pytest.raises(TemporaryFailure, match="prod-orders-2 cannot be deleted yet"):
        delete(SOURCE)
    assert "DeleteDBCluster" not in rds.operations()


def test_a_cluster_that_rds_isnt_ready_to_delete_is_asked_for_again(rds: FakeRds, source: dict[str, Any]) -> None:
    rds.refuse("DeleteDBCluster", "InvalidDBClusterStateFault", "it still contains DB instances")
    with pytest.raises(TemporaryFailure, match="Cluster prod-orders cannot be deleted yet"):
        delete(SOURCE)
