"""Snapshots: taken, listed, copied between regions, shared between accounts, deleted."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.local_aws.aurora.region import backend
from scripts.local_aws.aurora.service import OPERATIONS
from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora_support import (
    PASSWORD,
    add_instance,
    log_in,
    name,
    new_cluster,
    query,
    refused,
    restore,
    running_cluster,
    snapshot,
    take_snapshot,
)

WEST = "us-west-2"
OTHER_ACCOUNT = "222222222222"


@pytest.fixture(scope="module")
def plain(aws: LocalAws) -> str:
    """A cluster under AWS's own key, without instances."""
    identifier: str = new_cluster(aws, name("plain"), Tags=[{"Key": "team", "Value": "red"}])["DBClusterIdentifier"]
    return identifier


@pytest.fixture(scope="module")
def taken(aws: LocalAws, plain: str) -> str:
    return take_snapshot(aws, plain)


@pytest.fixture(scope="module")
def encrypted(aws: LocalAws) -> str:
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    identifier: str = new_cluster(aws, name("encrypted"), KmsKeyId=key)["DBClusterIdentifier"]
    return identifier


def copy(aws: LocalAws, source: str, region: str = "us-east-1", **settings: Any) -> dict[str, Any]:
    client = aws.client("rds", region)
    parameters = {
        "SourceDBClusterSnapshotIdentifier": source,
        "TargetDBClusterSnapshotIdentifier": name("copy"),
        **settings,
    }
    answer: dict[str, Any] = client.copy_db_cluster_snapshot(**parameters)["DBClusterSnapshot"]
    return answer


def test_a_snapshot_says_when_it_was_taken_from_its_beginning(aws: LocalAws, plain: str) -> None:
    identifier = name("young")
    rds = aws.client("rds")
    answer = rds.create_db_cluster_snapshot(DBClusterIdentifier=plain, DBClusterSnapshotIdentifier=identifier)
    assert answer["DBClusterSnapshot"]["Status"] == "creating"
    began = answer["DBClusterSnapshot"]["SnapshotCreateTime"]
    with refused("InvalidDBClusterSnapshotStateFault"):
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=identifier)
    aws.clock.sleep(aws.aurora.durations.create_snapshot + 1)
    done = snapshot(aws, identifier)
    assert (done["Status"], done["PercentProgress"], done["SnapshotType"]) == ("available", 100, "manual")
    assert done["SnapshotCreateTime"] == began
    with refused("DBClusterSnapshotAlreadyExistsFault"):
        rds.create_db_cluster_snapshot(DBClusterIdentifier=plain, DBClusterSnapshotIdentifier=identifier)


def test_a_snapshot_tells_neither_port_nor_size_nor_the_standard_storage_type_and_a_restore_keeps_the_port(
    aws: LocalAws,
) -> None:
    source = new_cluster(aws, name("elsewhere"), Port=5433)
    assert (source["Port"], "StorageType" in source) == (5433, False)
    taken = snapshot(aws, take_snapshot(aws, source["DBClusterIdentifier"]))
    assert (taken["Port"], taken["AllocatedStorage"], "StorageType" in taken) == (0, 0, False)
    copied = copy(aws, taken["DBClusterSnapshotIdentifier"])
    aws.clock.sleep(aws.aurora.durations.copy_snapshot + 1)
    for each in (taken, copied):
        restored = restore(aws, each["DBClusterSnapshotIdentifier"])
        assert (restored["Port"], restored["AllocatedStorage"], "StorageType" in restored) == (5433, 1, False)


def test_the_storage_type_that_costs_more_is_told(aws: LocalAws) -> None:
    source = new_cluster(aws, name("optimized"), StorageType="aurora-iopt1")
    assert source["StorageType"] == "aurora-iopt1"
    assert snapshot(aws, take_snapshot(aws, source["DBClusterIdentifier"]))["StorageType"] == "aurora-iopt1"


def test_a_cluster_that_is_not_available_is_not_photographed(aws: LocalAws, taken: str) -> None:
    rds = aws.client("rds")
    young = restore(aws, taken)["DBClusterIdentifier"]
    with refused("InvalidDBClusterStateFault"):
        rds.create_db_cluster_snapshot(DBClusterIdentifier=young, DBClusterSnapshotIdentifier=name("early"))
    with refused("DBClusterNotFoundFault", status=404):
        rds.create_db_cluster_snapshot(DBClusterIdentifier="nobody", DBClusterSnapshotIdentifier=name("nothing"))


def test_tags_come_along_only_if_the_cluster_says_so(aws: LocalAws, taken: str) -> None:
    assert snapshot(aws, taken)["TagList"] == []
    generous = new_cluster(aws, name("generous"), CopyTagsToSnapshot=True, Tags=[{"Key": "team", "Value": "blue"}])[
        "DBClusterIdentifier"
    ]
    tagged = take_snapshot(aws, generous, Tags=[{"Key": "run", "Value": "7"}])
    tags = {tag["Key"]: tag["Value"] for tag in snapshot(aws, tagged)["TagList"]}
    assert tags == {"team": "blue", "run": "7"}


# Listing


def test_snapshots_are_found_by_cluster_type_filter_and_page(aws: LocalAws) -> None:
    identifier = new_cluster(aws, name("many"))["DBClusterIdentifier"]
    rds = aws.client("rds")
    first_of_all = take_snapshot(aws, identifier)
    all_of_them = sorted([first_of_all, *(copy(aws, first_of_all)["DBClusterSnapshotIdentifier"] for _ in range(22))])
    first = rds.describe_db_cluster_snapshots(DBClusterIdentifier=identifier, MaxRecords=20)
    assert len(first["DBClusterSnapshots"]) == 20
    pages = rds.get_paginator("describe_db_cluster_snapshots").paginate(
        Filters=[{"Name": "db-cluster-id", "Values": [identifier]}], PaginationConfig={"PageSize": 20}
    )
    found = [each["DBClusterSnapshotIdentifier"] for page in pages for each in page["DBClusterSnapshots"]]
    assert sorted(found) == all_of_them
    with refused("InvalidParameterValue", "MaxRecords"):
        rds.describe_db_cluster_snapshots(MaxRecords=5)
    assert rds.describe_db_cluster_snapshots(DBClusterIdentifier="nobody")["DBClusterSnapshots"] == []


def test_a_snapshot_asked_for_by_name_must_exist(aws: LocalAws, plain: str, taken: str) -> None:
    with refused("DBClusterSnapshotNotFoundFault", status=404):
        snapshot(aws, "nothing")
    assert snapshot(aws, snapshot(aws, taken)["DBClusterSnapshotArn"])["DBClusterSnapshotIdentifier"] == taken
    with refused("InvalidParameterCombination"):
        aws.client("rds").describe_db_cluster_snapshots(DBClusterIdentifier=plain, DBClusterSnapshotIdentifier=taken)


def test_automated_snapshots_are_asked_for_as_such_and_not_deleted_by_hand(aws: LocalAws, plain: str) -> None:
    automated, rds = aws.aurora.take_automated_snapshot(plain), aws.client("rds")
    assert automated.startswith(f"rds:{plain}-")
    with refused("DBClusterSnapshotNotFoundFault", status=404):
        snapshot(aws, automated)
    by_name = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=automated, SnapshotType="automated")
    assert by_name["DBClusterSnapshots"][0]["SnapshotType"] == "automated"
    of_cluster = rds.describe_db_cluster_snapshots(DBClusterIdentifier=plain)["DBClusterSnapshots"]
    assert automated in [each["DBClusterSnapshotIdentifier"] for each in of_cluster]
    aws.clock.sleep(aws.aurora.durations.create_snapshot + 1)
    with refused("InvalidDBClusterSnapshotStateFault"):
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=automated)
    assert copy(aws, automated)["SnapshotType"] == "manual"


def test_automated_snapshots_go_with_their_cluster_and_manual_ones_stay(aws: LocalAws) -> None:
    identifier, rds = new_cluster(aws, name("leaving"))["DBClusterIdentifier"], aws.client("rds")
    manual = take_snapshot(aws, identifier)
    aws.aurora.take_automated_snapshot(identifier)
    aws.clock.sleep(aws.aurora.durations.create_snapshot + 1)
    rds.delete_db_cluster(DBClusterIdentifier=identifier, SkipFinalSnapshot=True)
    aws.clock.sleep(aws.aurora.durations.delete_cluster + 1)
    left = rds.describe_db_cluster_snapshots(DBClusterIdentifier=identifier)["DBClusterSnapshots"]
    assert [each["DBClusterSnapshotIdentifier"] for each in left] == [manual]


# Copying


def test_a_copy_shows_its_progress_and_arrives_with_the_data(aws: LocalAws) -> None:
    described = running_cluster(aws, name("source"))
    query(log_in(aws, described, PASSWORD), "create table cargo as select 42 as crate")
    source = snapshot(aws, take_snapshot(aws, described["DBClusterIdentifier"]))["DBClusterSnapshotArn"]
    started = copy(aws, source, WEST, SourceRegion="us-east-1", Tags=[{"Key": "run", "Value": "1"}])
    identifier, seconds = started["DBClusterSnapshotIdentifier"], aws.aurora.durations.copy_snapshot
    assert (started["Status"], started["PercentProgress"]) == ("copying", 0)
    assert started["SourceDBClusterSnapshotArn"] == source
    with refused("InvalidDBClusterSnapshotStateFault"):
        restore(aws, identifier, WEST)
    aws.clock.sleep(seconds * 0.6)
    assert 55 < snapshot(aws, identifier, WEST)["PercentProgress"] < 65
    aws.clock.sleep(seconds * 0.4)
    assert snapshot(aws, identifier, WEST)["Status"] == "available"
    restored = restore(aws, identifier, WEST)
    aws.clock.sleep(aws.aurora.durations.restore_cluster + 1)
    add_instance(aws, restored["DBClusterIdentifier"], WEST)
    aws.clock.sleep(aws.aurora.durations.create_instance + 1)
    assert query(log_in(aws, restored, PASSWORD), "select crate from cargo") == [(42,)]


@pytest.mark.parametrize("region", ["us-east-1", WEST])
def test_a_copy_has_its_originals_times_and_doesnt_say_which_clusters_it_is(
    aws: LocalAws, plain: str, region: str
) -> None:
    original = snapshot(aws, take_snapshot(aws, plain))
    aws.clock.sleep(3600)
    started = copy(aws, original["DBClusterSnapshotArn"], region)
    aws.clock.sleep(aws.aurora.durations.copy_snapshot + 1)
    finished = snapshot(aws, started["DBClusterSnapshotIdentifier"], region)
    for each in (started, finished):
        for same in ("SnapshotCreateTime", "ClusterCreateTime", "DBClusterIdentifier"):
            assert each[same] == original[same]
        assert "DbClusterResourceId" not in each
        assert each["SourceDBClusterSnapshotArn"] == original["DBClusterSnapshotArn"]
    resource = original["DbClusterResourceId"]
    rds = aws.client("rds", region)
    found = rds.describe_db_cluster_snapshots(DbClusterResourceId=resource)["DBClusterSnapshots"]
    assert started["DBClusterSnapshotIdentifier"] not in [each["DBClusterSnapshotIdentifier"] for each in found]


def test_another_region_s_snapshot_is_known_by_arn_only_and_must_be_copied_first(aws: LocalAws, taken: str) -> None:
    with refused("DBClusterSnapshotNotFoundFault", status=404):
        copy(aws, taken, WEST)
    with refused("DBClusterSnapshotNotFoundFault", status=404):
        restore(aws, snapshot(aws, taken)["DBClusterSnapshotArn"], WEST)


def test_a_taken_name_is_not_copied_over(aws: LocalAws, taken: str) -> None:
    with refused("DBClusterSnapshotAlreadyExistsFault"):
        copy(aws, taken, TargetDBClusterSnapshotIdentifier=taken)


def test_a_key_does_not_cross_regions(aws: LocalAws, encrypted: str) -> None:
    taken = snapshot(aws, take_snapshot(aws, encrypted))
    source, here = taken["DBClusterSnapshotArn"], taken["KmsKeyId"]
    with refused("InvalidParameterCombination", "KmsKeyId"):
        copy(aws, source, WEST)
    with refused("KMSKeyNotAccessibleFault"):
        copy(aws, source, WEST, KmsKeyId=here)
    there = aws.client("kms", WEST).create_key()["KeyMetadata"]["Arn"]
    copied = copy(aws, source, WEST, KmsKeyId=there)
    assert (copied["KmsKeyId"], copied["StorageEncryptionType"]) == (there, "sse-kms")
    assert copy(aws, source)["KmsKeyId"] == here


def test_a_copy_without_a_key_of_its_own_takes_none(aws: LocalAws, taken: str) -> None:
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    with refused("InvalidParameterCombination", "KMS key"):
        copy(aws, taken, KmsKeyId=key)


def test_a_key_that_was_disabled_stops_the_copy(aws: LocalAws, encrypted: str) -> None:
    kms, locked = aws.client("kms"), take_snapshot(aws, encrypted)
    key = snapshot(aws, locked)["KmsKeyId"].rpartition("/")[2]
    kms.disable_key(KeyId=key)
    with refused("KMSKeyNotAccessibleFault"):
        copy(aws, locked)
    kms.enable_key(KeyId=key)


def test_tags_are_copied_only_on_demand_and_given_tags_win(aws: LocalAws, plain: str) -> None:
    tagged = take_snapshot(aws, plain, Tags=[{"Key": "kept", "Value": "yes"}])
    assert copy(aws, tagged)["TagList"] == []
    assert copy(aws, tagged, CopyTags=True)["TagList"] == [{"Key": "kept", "Value": "yes"}]
    given = [{"Key": "given", "Value": "instead"}]
    assert copy(aws, tagged, CopyTags=True, Tags=given)["TagList"] == given


def test_deleting_a_copy_in_progress_cancels_it(aws: LocalAws, taken: str) -> None:
    rds, identifier = aws.client("rds"), copy(aws, taken)["DBClusterSnapshotIdentifier"]
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=identifier)
    aws.clock.sleep(2 * aws.aurora.durations.copy_snapshot)
    with refused("DBClusterSnapshotNotFoundFault", status=404):
        snapshot(aws, identifier)
    with refused("DBClusterSnapshotNotFoundFault", status=404):
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=identifier)


def test_a_deletion_answers_with_the_status_that_the_snapshot_had(aws: LocalAws, plain: str) -> None:
    doomed = take_snapshot(aws, plain)
    answer = aws.client("rds").delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=doomed)
    assert answer["DBClusterSnapshot"]["Status"] == "available"
    with refused("DBClusterSnapshotNotFoundFault", status=404):
        snapshot(aws, doomed)


def test_a_source_that_is_deleted_too_early_lets_the_copy_fail(aws: LocalAws, plain: str) -> None:
    source = take_snapshot(aws, plain)
    identifier = copy(aws, source)["DBClusterSnapshotIdentifier"]
    aws.client("rds").delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=source)
    aws.clock.sleep(aws.aurora.durations.copy_snapshot + 1)
    assert snapshot(aws, identifier)["Status"] == "failed"


def test_a_copy_can_be_made_to_fail_half_way(aws: LocalAws, taken: str) -> None:
    aws.faults.add(lifecycle="copy-snapshot", identifier="doomed-*", status="failed", at_percent=40)
    identifier = copy(aws, taken, TargetDBClusterSnapshotIdentifier=name("doomed"))["DBClusterSnapshotIdentifier"]
    seconds = aws.aurora.durations.copy_snapshot
    aws.clock.sleep(seconds * 0.2)
    assert (snapshot(aws, identifier)["Status"], snapshot(aws, identifier)["PercentProgress"]) == ("copying", 20)
    aws.clock.sleep(seconds * 0.3)
    assert (snapshot(aws, identifier)["Status"], snapshot(aws, identifier)["PercentProgress"]) == ("failed", 40)
    with refused("InvalidDBClusterSnapshotStateFault"):
        restore(aws, identifier)
    aws.client("rds").delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=identifier)


# Sharing


def test_a_snapshot_is_seen_by_the_accounts_it_is_shared_with(aws: LocalAws, encrypted: str) -> None:
    rds, lent = aws.client("rds"), take_snapshot(aws, encrypted)
    other = backend(OTHER_ACCOUNT, "us-east-1")
    ours = aws.aurora.region("us-east-1")
    assert other is not None
    assert ours is not other
    answer = rds.modify_db_cluster_snapshot_attribute(
        DBClusterSnapshotIdentifier=lent, AttributeName="restore", ValuesToAdd=[OTHER_ACCOUNT]
    )["DBClusterSnapshotAttributesResult"]
    assert answer["DBClusterSnapshotAttributes"][0]["AttributeValues"] == [OTHER_ACCOUNT]
    describe = OPERATIONS["DescribeDBClusterSnapshots"]
    assert describe(other, {})["DBClusterSnapshots"] == []
    shared = describe(other, {"IncludeShared": True})["DBClusterSnapshots"]
    assert [each["DBClusterSnapshotIdentifier"] for each in shared] == [lent]
    rds.modify_db_cluster_snapshot_attribute(
        DBClusterSnapshotIdentifier=lent, AttributeName="restore", ValuesToRemove=[OTHER_ACCOUNT]
    )
    assert describe(other, {"SnapshotType": "shared"})["DBClusterSnapshots"] == []


def test_twenty_accounts_can_be_given_a_snapshot_and_no_more(aws: LocalAws, plain: str) -> None:
    """Aurora User Guide, "Sharing a DB cluster snapshot"."""
    rds, lent = aws.client("rds"), take_snapshot(aws, plain)
    accounts = [str(300000000000 + number) for number in range(21)]

    def share(**values: list[str]) -> list[str]:
        answer = rds.modify_db_cluster_snapshot_attribute(
            DBClusterSnapshotIdentifier=lent, AttributeName="restore", **values
        )["DBClusterSnapshotAttributesResult"]
        shared: list[str] = answer["DBClusterSnapshotAttributes"][0]["AttributeValues"]
        return shared

    assert share(ValuesToAdd=accounts[:19]) == accounts[:19]
    assert share(ValuesToAdd=accounts[19:20]) == accounts[:20]
    with refused("SharedSnapshotQuotaExceeded"):
        share(ValuesToAdd=accounts[20:])
    assert share(ValuesToAdd=accounts[:1]) == accounts[:20]
    assert share(ValuesToAdd=accounts[20:], ValuesToRemove=accounts[:1]) == accounts[1:]


def test_the_default_key_and_automated_snapshots_are_not_shared(aws: LocalAws) -> None:
    identifier = new_cluster(aws, name("default-key"), StorageEncrypted=True)["DBClusterIdentifier"]
    automated, manual = aws.aurora.take_automated_snapshot(identifier), take_snapshot(aws, identifier)
    rds = aws.client("rds")
    for each, code in ((manual, "InvalidParameterCombination"), (automated, "InvalidDBClusterSnapshotStateFault")):
        with refused(code):
            rds.modify_db_cluster_snapshot_attribute(
                DBClusterSnapshotIdentifier=each, AttributeName="restore", ValuesToAdd=[OTHER_ACCOUNT]
            )
