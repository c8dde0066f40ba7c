"""What RDS answers in truth, and what is read of it.

Each row is written by hand, as short as it can be, after an answer that was recorded of AWS: of Cloud Custodian's
repository (tests/data/placebo/NAME) or of the AWS CLI's examples (awscli/examples/rds/NAME.rst).
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from utils.aurora_utils.resources import newest_first, read_cluster, read_instance, read_snapshot

TAKEN = dt.datetime(2024, 10, 29, 18, 30, 6, 906000, tzinfo=dt.UTC)
CREATED = dt.datetime(2024, 10, 29, 17, 56, 8, 675000, tzinfo=dt.UTC)
PLACE = "arn:aws:rds:us-east-2:123456789012"
CROSS_ACCOUNT = "test_rds_cluster_snapshot_cross_account_everyone_only"


def a_snapshot(name: str, **described: Any) -> dict[str, Any]:
    return {
        "DBClusterSnapshotIdentifier": name,
        "DBClusterSnapshotArn": f"{PLACE}:cluster-snapshot:{name}",
        "DBClusterIdentifier": "orders",
        "Engine": "aurora-postgresql",
        "Status": "available",
        "SnapshotCreateTime": TAKEN,
        "ClusterCreateTime": CREATED,
        "Port": 0,
        "AllocatedStorage": 0,
        **described,
    }


def a_cluster(**described: Any) -> dict[str, Any]:
    return {
        "DBClusterIdentifier": "orders",
        "DBClusterArn": f"{PLACE}:cluster:orders",
        "DbClusterResourceId": "cluster-BFTQNW3LT4IAW7PKENIKTOHO7A",
        "ClusterCreateTime": CREATED,
        "Engine": "aurora-postgresql",
        "Status": "available",
        "Port": 5432,
        "AllocatedStorage": 1,
        **described,
    }


SNAPSHOTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    f"{CROSS_ACCOUNT}: the original": (
        {"DbClusterResourceId": "cluster-BFTQNW3LT4IAW7PKENIKTOHO7A", "VpcId": "vpc-1", "TagList": []},
        {"cluster_resource_id": "cluster-BFTQNW3LT4IAW7PKENIKTOHO7A", "copied_from": None, "vpc_id": "vpc-1"},
    ),
    f"{CROSS_ACCOUNT}: its copy": (
        {"SourceDBClusterSnapshotArn": f"{PLACE}:cluster-snapshot:a", "TagList": []},
        {"cluster_resource_id": None, "copied_from": f"{PLACE}:cluster-snapshot:a", "created_at": TAKEN},
    ),
    "test_rds_cluster_snapshot_get_resources: an automated one, without a port, a size or a storage type": (
        {"SnapshotType": "automated", "TagList": [{"Key": "Owner", "Value": "kapil"}]},
        {"port": None, "allocated_gib": 0, "storage_type": "aurora", "kind": "automated", "tags": {"Owner": "kapil"}},
    ),
    "test_rds_cluster_snapshot_latest: no list of tags at all": ({}, {"tags": {}, "cluster_resource_id": None}),
    "test_rdscluster_snapshot_delete: the size of older ones": ({"AllocatedStorage": 1}, {"allocated_gib": 1}),
    "test_rdscluster_snapshot: creating, and its time is there": (
        {"Status": "creating", "PercentProgress": 0},
        {"status": "creating", "created_at": TAKEN, "is_available": False, "is_broken": False},
    ),
    "test_rdscluster_snapshot_count_filter: neither a size nor a port of 0": (
        {"Port": 5432, "AllocatedStorage": None},
        {"port": 5432, "allocated_gib": 0},
    ),
    "delete-db-cluster-snapshot: a deletion answers with the status before it": (
        {"Status": "available", "PercentProgress": 100},
        {"is_available": True, "is_being_deleted": False},
    ),
}
CLUSTERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "test_rdscluster_pending_maintenance: no storage type is the standard one": (
        {"AutoMinorVersionUpgrade": True},
        {"settings.values.storage_type": "aurora", "port": 5432},
    ),
    "create-db-shard-group: a Limitless database": (
        {"StorageType": "aurora-iopt1", "ClusterScalabilityType": "limitless", "EngineVersion": "16.4-limitless"},
        {"settings.values.storage_type": "aurora-iopt1", "is_limitless": True, "is_outside_vpc": False},
    ),
    "create-db-cluster: express configuration, no endpoint and no group": (
        {"VpcSecurityGroups": [], "IAMDatabaseAuthenticationEnabled": True, "VPCNetworkingEnabled": False},
        {"endpoint": None, "is_outside_vpc": True, "settings.values.vpc_security_group_ids": []},
    ),
    "test_rdscluster_delete: a deletion without a final snapshot answers deleting": (
        {"Status": "deleting"},
        {"is_being_deleted": True},
    ),
    "delete-db-cluster: one with a final snapshot answers available": ({}, {"is_being_deleted": False}),
}


def seen(found: Any, name: str) -> Any:
    for part in name.split("."):
        found = found[part] if isinstance(found, dict) else getattr(found, part)
    return found


@pytest.mark.parametrize(("described", "expected"), SNAPSHOTS.values(), ids=SNAPSHOTS)
def test_a_snapshot_is_read_as_it_is_answered(described: dict[str, Any], expected: dict[str, Any]) -> None:
    raw: Any = {key: value for key, value in a_snapshot("b", **described).items() if value is not None}
    found = read_snapshot(raw)
    assert {name: seen(found, name) for name in expected} == expected


@pytest.mark.parametrize(("described", "expected"), CLUSTERS.values(), ids=CLUSTERS)
def test_a_cluster_is_read_as_it_is_answered(described: dict[str, Any], expected: dict[str, Any]) -> None:
    raw: Any = a_cluster(**described)
    found = read_cluster(raw)
    assert {name: seen(found, name) for name in expected} == expected


def test_an_instance_of_aurora_tells_the_storage_type_that_its_cluster_doesnt() -> None:
    """test_rdscluster_delete_with_instances and all other instances of Aurora that were recorded: `aurora`, 1 GiB."""
    raw: Any = {"DBInstanceIdentifier": "orders-1", "DBInstanceStatus": "Available", "StorageType": "aurora"}
    assert read_instance(raw).is_available


def test_an_original_comes_before_its_copies_which_have_its_times() -> None:
    """test_rds_cluster_snapshot_cross_account_everyone_only: one original and two copies, all of one moment."""
    arn = f"{PLACE}:cluster-snapshot:m-private"
    raw: list[Any] = [
        a_snapshot("z-public", SourceDBClusterSnapshotArn=arn),
        a_snapshot("m-private", DbClusterResourceId="cluster-BFTQNW3LT4IAW7PKENIKTOHO7A"),
        a_snapshot("a-shared", SourceDBClusterSnapshotArn=arn),
    ]
    for order in (raw, raw[::-1]):
        found = newest_first(read_snapshot(each) for each in order)
        assert [each.identifier for each in found] == ["m-private", "z-public", "a-shared"]


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ({"DbClusterResourceId": "cluster-BFTQNW3LT4IAW7PKENIKTOHO7A"}, True),
        ({"DbClusterResourceId": "cluster-ANOTHER"}, False),
        ({}, True),
        ({"ClusterCreateTime": CREATED + dt.timedelta(seconds=30)}, False),
        ({"ClusterCreateTime": CREATED.replace(microsecond=0)}, True),
        ({"ClusterCreateTime": None}, None),
    ],
)
def test_of_which_cluster_a_snapshot_is_its_id_tells_or_a_copys_time(
    described: dict[str, Any], expected: bool | None
) -> None:
    cluster: Any = a_cluster()
    raw: Any = {key: value for key, value in a_snapshot("b", **described).items() if value is not None}
    assert read_snapshot(raw).is_of(read_cluster(cluster)) is expected
