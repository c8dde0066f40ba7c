"""An account can't have more in a region than its quotas allow, and can see how much it has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scripts.local_aws.aurora.service import Quotas
from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora_support import (
    add_instance,
    cluster,
    create,
    name,
    new_cluster,
    refused,
    restore,
    take_snapshot,
)

REGION = "eu-west-3"
SetQuotas = Callable[..., None]


@pytest.fixture
def set_quotas(aws: LocalAws) -> Iterator[SetQuotas]:
    before = aws.aurora.quotas

    def change(**quotas: int) -> None:
        aws.aurora.quotas = dataclasses.replace(before, **quotas)

    yield change
    aws.aurora.quotas = before


@pytest.fixture(scope="module")
def home(aws: LocalAws) -> str:
    """The only cluster of a region that no other test uses."""
    identifier: str = new_cluster(aws, name("home"), REGION)["DBClusterIdentifier"]
    return identifier


@pytest.fixture(scope="module")
def monday(aws: LocalAws, home: str) -> str:
    return take_snapshot(aws, home, REGION)


def used(aws: LocalAws) -> dict[str, tuple[int, int]]:
    answer = aws.client("rds", REGION).describe_account_attributes()
    return {each["AccountQuotaName"]: (each["Used"], each["Max"]) for each in answer["AccountQuotas"]}


def copy(aws: LocalAws, source: str, region: str = REGION) -> str:
    target = name("copy")
    aws.client("rds", region).copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier=source, TargetDBClusterSnapshotIdentifier=target
    )
    return target


def delete(aws: LocalAws, *snapshots: str) -> None:
    for each in snapshots:
        aws.client("rds", REGION).delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=each)


def test_the_quotas_are_aws_s_unless_somebody_changes_them() -> None:
    quotas = Quotas()
    assert (quotas.clusters, quotas.instances) == (40, 40)
    assert (quotas.manual_cluster_snapshots, quotas.copies_in_progress) == (100, 5)


def test_an_account_sees_what_it_has_and_automated_snapshots_do_not_count(
    aws: LocalAws, home: str, monday: str, set_quotas: SetQuotas
) -> None:
    set_quotas(clusters=40, instances=40, manual_cluster_snapshots=100)
    aws.aurora.take_automated_snapshot(home, REGION)
    found = used(aws)
    assert found["DBClusters"] == (1, 40)
    assert found["DBInstances"] == (0, 40)
    assert found["ManualClusterSnapshots"] == (1, 100)


def test_no_snapshot_beyond_the_quota_however_it_would_be_made(
    aws: LocalAws, home: str, monday: str, set_quotas: SetQuotas
) -> None:
    """A deletion whose final snapshot can't be taken leaves everything as it was."""
    set_quotas(manual_cluster_snapshots=1)
    rds = aws.client("rds", REGION)
    with refused("SnapshotQuotaExceeded", "manual"):
        rds.create_db_cluster_snapshot(DBClusterIdentifier=home, DBClusterSnapshotIdentifier=name("more"))
    with refused("SnapshotQuotaExceeded", "manual"):
        copy(aws, monday)
    with refused("SnapshotQuotaExceeded", "manual"):
        rds.delete_db_cluster(DBClusterIdentifier=home, FinalDBSnapshotIdentifier=name("final"))
    assert cluster(aws, home, REGION)["Status"] == "available"
    assert used(aws)["ManualClusterSnapshots"] == (1, 1)


def test_at_most_five_copies_at_a_time_into_one_region(aws: LocalAws, monday: str, set_quotas: SetQuotas) -> None:
    set_quotas(copies_in_progress=Quotas().copies_in_progress)
    copies = [copy(aws, monday) for _ in range(5)]
    with refused("SnapshotQuotaExceeded", "Cannot copy more than 5"):
        copy(aws, monday)
    aws.clock.sleep(aws.aurora.durations.copy_snapshot + 1)
    copies.append(copy(aws, monday))
    delete(aws, *copies)


def test_a_cancelled_copy_makes_room(aws: LocalAws, monday: str, set_quotas: SetQuotas) -> None:
    set_quotas(copies_in_progress=1)
    delete(aws, copy(aws, monday))
    delete(aws, copy(aws, monday))


def test_no_cluster_beyond_the_quota_created_or_restored(aws: LocalAws, monday: str, set_quotas: SetQuotas) -> None:
    set_quotas(clusters=1)
    identifier = name("more")
    with refused("DBClusterQuotaExceededFault", status=403):
        create(aws, identifier, REGION)
    with refused("DBClusterQuotaExceededFault", status=403):
        restore(aws, monday, REGION, DBClusterIdentifier=identifier)
    with refused("DBClusterNotFoundFault", status=404):
        cluster(aws, identifier, REGION)


def test_no_instance_beyond_the_quota(aws: LocalAws, home: str, set_quotas: SetQuotas) -> None:
    set_quotas(instances=0)
    with refused("InstanceQuotaExceeded"):
        add_instance(aws, home, REGION)
    assert cluster(aws, home, REGION)["DBClusterMembers"] == []


def test_quotas_can_be_set_from_outside(aws: LocalAws, set_quotas: SetQuotas) -> None:
    import json
    from urllib.request import Request, urlopen

    def post(body: dict[str, Any]) -> Any:
        request = Request(f"{aws.endpoint_url}/_local/quotas", json.dumps(body).encode(), method="POST")  # noqa: S310
        with urlopen(request) as answer:  # noqa: S310 our own address
            return json.load(answer)

    set_quotas()
    assert post({"clusters": 3})["clusters"] == 3
    assert used(aws)["DBClusters"][1] == 3
    with pytest.raises(Exception, match="400"):
        post({"elephants": 3})
