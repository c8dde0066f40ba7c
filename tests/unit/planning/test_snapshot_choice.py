"""Which snapshot "the latest of prod-orders" is: of the cluster that has this name today, originals before copies.

What a copy says was recorded of AWS: scripts/local_aws/aurora/snapshot_copies.py names where.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.unit.fakes.rds import CLUSTERS_CREATED, FakeRds
from tests.unit.support import (
    ACCOUNT,
    DEFAULTS,
    LIMITS,
    NOW,
    OPERATION,
    REGION,
    SOURCE,
    SOURCE_REGION,
    a_plan,
    a_snapshot_found,
    an_execution,
)
from utils.aurora_utils import Aurora
from utils.aurora_utils.source_account import Source
from utils.contracts.plan import FoundSnapshot
from utils.errors import RequestRefused
from utils.messages.plan import plan_lines
from utils.planning.restore import plan_restore
from utils.request.reading import read_request

EARLIER = CLUSTERS_CREATED - dt.timedelta(days=300)
ORIGINAL = f"arn:aws:rds:{SOURCE_REGION}:{ACCOUNT}:cluster-snapshot:tuesday"

pytestmark = pytest.mark.usefixtures("surroundings")


def chosen(**raw: Any) -> FoundSnapshot:
    request = read_request(raw, DEFAULTS)
    return plan_restore(request, OPERATION, an_execution(), Source(ACCOUNT, REGION), Aurora(REGION), LIMITS).snapshot


def refusal_of(**raw: Any) -> str:
    with pytest.raises(RequestRefused) as refused:
        chosen(**raw)
    return str(refused.value)


@pytest.fixture
def living(rds: FakeRds) -> str:
    """The resource id of today's cluster."""
    resource_id: str = rds.add_cluster(SOURCE)["DbClusterResourceId"]
    return resource_id


def test_of_an_original_and_its_copies_the_original_is_taken_whatever_the_order(rds: FakeRds) -> None:
    copied: dict[str, Any] = {"SourceDBClusterSnapshotArn": ORIGINAL, "DbClusterResourceId": None}
    rds.add_snapshot("a-copy", **copied)
    rds.add_snapshot("nightly")
    rds.add_snapshot("z-copy", **copied)
    found = chosen()
    assert (found.identifier, found.notes) == ("nightly", [])
    assert [other.split(",")[0] for other in found.others] == ["z-copy", "a-copy"]


def test_of_a_copy_it_is_told_what_it_is_a_copy_of(rds: FakeRds) -> None:
    rds.add_snapshot("nightly-copy", SourceDBClusterSnapshotArn=ORIGINAL)
    assert chosen().notes == [f"nightly-copy is a copy of {ORIGINAL}"]


@pytest.mark.parametrize(
    ("described", "whose"),
    [
        ({"DbClusterResourceId": "cluster-EARLIER"}, "(cluster-EARLIER)"),
        # A copy tells no id, but when its cluster was created.
        ({"ClusterCreateTime": EARLIER, "SourceDBClusterSnapshotArn": ORIGINAL}, "(created 2024-04-09 03:00 UTC)"),
    ],
)
def test_a_newer_snapshot_of_another_cluster_of_that_name_is_passed_over_and_told(
    rds: FakeRds, living: str, described: dict[str, Any], whose: str
) -> None:
    rds.add_snapshot("todays", hours_old=5, DbClusterResourceId=living)
    rds.add_snapshot("strangers", hours_old=1, **described)
    rds.add_snapshot("strangers-old", hours_old=9, **described)
    found = chosen()
    assert (found.identifier, found.why, found.others) == ("todays", "the latest of 1 available", [])
    assert found.notes == [
        f"strangers is of another cluster of that name {whose}, not of today's {SOURCE} ({living}): it is newer, and "
        "was passed over"
    ]


def test_with_snapshots_of_another_cluster_alone_it_is_refused_and_told_how_to_have_them(
    rds: FakeRds, living: str
) -> None:
    rds.add_snapshot("strangers", DbClusterResourceId="cluster-EARLIER")
    rds.add_snapshot("older", hours_old=9, ClusterCreateTime=EARLIER)
    message = refusal_of()
    assert message.startswith(
        f"source_cluster_id: today's '{SOURCE}' ({living}) has no available snapshot in {REGION}."
    )
    assert "'strangers', is of another cluster of that name (cluster-EARLIER)" in message
    assert f"aws rds create-db-cluster-snapshot --region {REGION} --db-cluster-identifier {SOURCE}" in message
    assert '"snapshot_identifier": "strangers"' in message
    named = chosen(snapshot_identifier="strangers")
    assert named.why == "named in the request"
    assert named.notes == [
        f"strangers is of another cluster of that name (cluster-EARLIER), not of today's {SOURCE} ({living})"
    ]


def test_a_snapshot_of_todays_cluster_that_is_named_needs_no_word(rds: FakeRds, living: str) -> None:
    rds.add_snapshot("mine", DbClusterResourceId=living)
    rds.add_snapshot("my-copy", SourceDBClusterSnapshotArn=ORIGINAL)
    assert chosen(snapshot_identifier="mine").notes == chosen(snapshot_identifier="my-copy").notes == []


def test_of_a_snapshot_that_tells_nothing_of_its_cluster_that_is_told(rds: FakeRds, living: str) -> None:
    rds.add_snapshot("silent", ClusterCreateTime=None)
    assert chosen().notes == [f"RDS does not say whether silent is of today's {SOURCE} ({living})"]


def test_without_a_cluster_of_that_name_the_newest_is_taken_and_told_of_which_it_is(rds: FakeRds) -> None:
    rds.add_snapshot("before", hours_old=50, ClusterCreateTime=EARLIER)
    rds.add_snapshot("after", hours_old=5)
    found = chosen()
    assert found.identifier == "after"
    assert found.notes == [
        f"these are snapshots of 2 clusters that were all called {SOURCE}, and none has that name today, "
        "as far as this stack can see: after is of the one created 2025-02-03 03:00 UTC"
    ]


@pytest.mark.parametrize("status", ["creating", "copying"])
@pytest.mark.parametrize("taken", [NOW - dt.timedelta(hours=1), None])
def test_a_newer_one_still_under_way_is_told(rds: FakeRds, status: str, taken: dt.datetime | None) -> None:
    rds.add_snapshot("ready", hours_old=5)
    rds.add_snapshot("fresh", Status=status, SnapshotCreateTime=taken)
    rds.add_snapshot("older", hours_old=9, Status="copying")
    rds.add_snapshot("broken", hours_old=1, Status="failed")
    found = chosen()
    assert (found.identifier, found.notes) == ("ready", [f"fresh is newer and still {status}: it is not waited for"])


def test_one_under_way_of_another_cluster_or_another_day_is_no_news(rds: FakeRds, living: str) -> None:
    rds.add_snapshot("ready", hours_old=30, DbClusterResourceId=living)
    rds.add_snapshot("strangers", hours_old=1, Status="creating", DbClusterResourceId="cluster-EARLIER")
    assert chosen().notes == []
    rds.add_snapshot("fresh", hours_old=1, Status="creating", DbClusterResourceId=living)
    assert len(chosen().notes) == 1
    day = (NOW - dt.timedelta(hours=30)).date().isoformat()
    assert chosen(snapshot_date=day).notes == []


def test_a_day_is_looked_for_among_todays_clusters_snapshots(rds: FakeRds, living: str) -> None:
    rds.add_snapshot("todays", hours_old=1, DbClusterResourceId=living)
    rds.add_snapshot("strangers", hours_old=49, DbClusterResourceId="cluster-EARLIER")
    day = (NOW - dt.timedelta(hours=49)).date().isoformat()
    assert refusal_of(snapshot_date=day).startswith(f"snapshot_date: {day!r} has no available snapshot of {SOURCE}")


def test_that_the_only_snapshot_is_still_under_way_is_told_with_the_refusal(rds: FakeRds) -> None:
    rds.add_snapshot("fresh", Status="creating")
    assert "has no available snapshot in us-east-1. fresh is still creating. Take one" in refusal_of()


def test_a_cluster_that_may_not_be_looked_at_is_no_obstacle(rds: FakeRds) -> None:
    rds.add_snapshot("nightly")
    rds.refuse("DescribeDBClusters", "AccessDenied", status=403, times=2)
    assert chosen().identifier == "nightly"


def test_what_is_to_be_minded_stands_in_the_plan() -> None:
    lines = list(plan_lines(a_plan(snapshot=a_snapshot_found(notes=["this", "that"]))))
    assert lines[1:3] == ["note that this", "note that that"]
