"""Snapshots that are shared with another account: what it sees, may copy, and with which keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.account_support import (
    MAIN,
    OTHER,
    WEST,
    Answer,
    Caller,
    allow,
    policy,
    root,
)
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

USE = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
GRANT = ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"]
FOR_AWS = {"Bool": {"kms:GrantIsForAWSResource": "true"}}


def open_key(aws: LocalAws, *statements: Answer) -> str:
    """A key of the other account that the main one may use, or as the statements say."""
    main = {"AWS": root(MAIN)}
    opened = statements or (allow(USE, Principal=main), allow(GRANT, Principal=main, Condition=FOR_AWS))
    own = allow("kms:*", Principal={"AWS": root(OTHER)})
    made = aws.client("kms", account=OTHER).create_key(Policy=policy(own, *opened))
    arn: str = made["KeyMetadata"]["Arn"]
    return arn


def share(aws: LocalAws, identifier: str, *accounts: str) -> None:
    aws.client("rds", account=OTHER).modify_db_cluster_snapshot_attribute(
        DBClusterSnapshotIdentifier=identifier, AttributeName="restore", ValuesToAdd=list(accounts)
    )


def unshare(aws: LocalAws, identifier: str) -> None:
    aws.client("rds", account=OTHER).modify_db_cluster_snapshot_attribute(
        DBClusterSnapshotIdentifier=identifier, AttributeName="restore", ValuesToRemove=[MAIN]
    )


def shared_snapshot(aws: LocalAws, key: str | None, **settings: str) -> Answer:
    """The owner's description of a snapshot that the main account may copy."""
    identifier = take_snapshot(aws, their_cluster(aws, key), account=OTHER, Tags=[{"Key": "theirs", "Value": "yes"}])
    share(aws, identifier, MAIN)
    return snapshot(aws, identifier, account=OTHER)


def their_cluster(aws: LocalAws, key: str | None) -> str:
    settings = {"KmsKeyId": key} if key else {}
    identifier: str = new_cluster(aws, name("theirs"), account=OTHER, **settings)["DBClusterIdentifier"]
    return identifier


def copy(aws: LocalAws, source: str, region: str = "us-east-1", **settings: object) -> Answer:
    answer: Answer = aws.client("rds", region).copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier=source, TargetDBClusterSnapshotIdentifier=name("copy"), **settings
    )["DBClusterSnapshot"]
    return answer


def our_key(aws: LocalAws, region: str = "us-east-1") -> str:
    arn: str = aws.client("kms", region).create_key()["KeyMetadata"]["Arn"]
    return arn


@pytest.fixture(autouse=True)
def _no_copy_is_left_under_way(aws: LocalAws) -> Iterator[None]:
    """Copies in progress are counted, and others have tests, too."""
    yield
    aws.clock.sleep(aws.aurora.durations.copy_snapshot + 1)


@pytest.fixture(scope="module")
def shared(aws: LocalAws) -> Answer:
    """Under a key that the main account may use."""
    return shared_snapshot(aws, open_key(aws))


# Seeing


def test_a_shared_snapshot_is_known_by_its_arn_and_only_on_demand(aws: LocalAws, shared: Answer) -> None:
    rds, arn, identifier = aws.client("rds"), shared["DBClusterSnapshotArn"], shared["DBClusterSnapshotIdentifier"]

    def listed(**parameters: object) -> bool:
        pages = rds.get_paginator("describe_db_cluster_snapshots").paginate(**parameters)
        return arn in [each["DBClusterSnapshotArn"] for page in pages for each in page["DBClusterSnapshots"]]

    assert not listed()
    assert listed(IncludeShared=True)
    assert listed(SnapshotType="shared")
    assert not listed(SnapshotType="manual", IncludeShared=True)
    assert listed(SnapshotType="shared", DBClusterSnapshotIdentifier=arn)
    for unknown in ({"DBClusterSnapshotIdentifier": arn}, {"DBClusterSnapshotIdentifier": identifier}):
        with refused("DBClusterSnapshotNotFoundFault", status=404):
            rds.describe_db_cluster_snapshots(**unknown)
    with refused("DBClusterSnapshotNotFoundFault", status=404):
        rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=identifier, SnapshotType="shared")


def test_the_owners_tags_stay_with_the_owner(aws: LocalAws, shared: Answer) -> None:
    rds, arn = aws.client("rds"), shared["DBClusterSnapshotArn"]
    assert shared["TagList"] == [{"Key": "theirs", "Value": "yes"}]
    seen = rds.describe_db_cluster_snapshots(SnapshotType="shared", DBClusterSnapshotIdentifier=arn)
    assert "TagList" not in seen["DBClusterSnapshots"][0]
    for client in (rds, Caller(aws, allow("rds:*")).client("rds")):
        with refused("AccessDenied", "rds:ListTagsForResource", status=403):
            client.list_tags_for_resource(ResourceName=arn)
        with refused("AccessDenied", "rds:AddTagsToResource", status=403):
            client.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "ours", "Value": "now"}])
    assert copy(aws, arn, KmsKeyId=our_key(aws), CopyTags=True)["TagList"] == []
    owned = allow("rds:*", Condition={"StringEquals": {"aws:ResourceTag/theirs": "yes"}})
    with refused("AccessDenied", status=403):
        Caller(aws, owned).client("rds").copy_db_cluster_snapshot(
            SourceDBClusterSnapshotIdentifier=arn, TargetDBClusterSnapshotIdentifier=name("copy")
        )


def test_only_the_owner_deletes_and_shares(aws: LocalAws, shared: Answer) -> None:
    rds = aws.client("rds")
    for call, rest in (
        (rds.delete_db_cluster_snapshot, {}),
        (rds.describe_db_cluster_snapshot_attributes, {}),
        (rds.modify_db_cluster_snapshot_attribute, {"AttributeName": "restore", "ValuesToAdd": ["111122223333"]}),
    ):
        with refused("AccessDenied", "because no resource-based policy allows", status=403):
            call(DBClusterSnapshotIdentifier=shared["DBClusterSnapshotArn"], **rest)


# Copying


@pytest.mark.parametrize("region", ["us-east-1", WEST])
def test_one_copy_crosses_accounts_and_regions(aws: LocalAws, region: str) -> None:
    described = running_cluster(aws, name("theirs"), account=OTHER, KmsKeyId=open_key(aws))
    query(log_in(aws, described, PASSWORD), "create table cargo as select 42 as crate")
    taken = take_snapshot(aws, described["DBClusterIdentifier"], account=OTHER)
    share(aws, taken, MAIN)
    source, key = snapshot(aws, taken, account=OTHER)["DBClusterSnapshotArn"], our_key(aws, region)
    copied = copy(aws, source, region, KmsKeyId=key)
    aws.clock.sleep(aws.aurora.durations.copy_snapshot + 1)
    unshare(aws, taken)
    arrived = snapshot(aws, copied["DBClusterSnapshotIdentifier"], region)
    assert (arrived["Status"], arrived["KmsKeyId"], arrived["SnapshotType"]) == ("available", key, "manual")
    assert arrived["SourceDBClusterSnapshotArn"] == source
    restored = restore(aws, arrived["DBClusterSnapshotIdentifier"], region)
    aws.clock.sleep(aws.aurora.durations.restore_cluster + 1)
    add_instance(aws, restored["DBClusterIdentifier"], region)
    aws.clock.sleep(aws.aurora.durations.create_instance + 1)
    assert query(log_in(aws, restored, PASSWORD), "select crate from cargo") == [(42,)]


def test_the_one_step_copy_can_be_refused_as_older_documentation_has_it(aws: LocalAws, shared: Answer) -> None:
    source = shared["DBClusterSnapshotArn"]
    aws.faults.add(
        operation="rds:CopyDBClusterSnapshot",
        region=WEST,
        parameters={"SourceDBClusterSnapshotIdentifier": f"arn:aws:rds:us-east-1:{OTHER}:*"},
        code="InvalidParameterCombination",
        message="Copying across accounts and regions in one step is not supported.",
        times=9,
    )
    with refused("InvalidParameterCombination", "in one step"):
        copy(aws, source, WEST, KmsKeyId=our_key(aws, WEST))
    halfway = copy(aws, source, KmsKeyId=our_key(aws))
    aws.clock.sleep(aws.aurora.durations.copy_snapshot + 1)
    copied = copy(aws, halfway["DBClusterSnapshotArn"], WEST, KmsKeyId=our_key(aws, WEST))
    aws.clock.sleep(aws.aurora.durations.copy_snapshot + 1)
    assert snapshot(aws, copied["DBClusterSnapshotIdentifier"], WEST)["Status"] == "available"


def test_an_encrypted_copy_from_another_account_needs_a_key_and_others_take_none(aws: LocalAws, shared: Answer) -> None:
    with refused("InvalidParameterCombination", "KmsKeyId"):
        copy(aws, shared["DBClusterSnapshotArn"])
    plain = shared_snapshot(aws, None)
    assert plain["StorageEncryptionType"] == "sse-rds"
    assert copy(aws, plain["DBClusterSnapshotArn"])["StorageEncryptionType"] == "sse-rds"
    with refused("InvalidParameterCombination", "KMS key"):
        copy(aws, plain["DBClusterSnapshotArn"], KmsKeyId=our_key(aws))


def test_a_copy_that_loses_its_share_fails_and_a_finished_one_stays(aws: LocalAws) -> None:
    lent = shared_snapshot(aws, open_key(aws))
    first = copy(aws, lent["DBClusterSnapshotArn"], KmsKeyId=our_key(aws))["DBClusterSnapshotIdentifier"]
    aws.clock.sleep(aws.aurora.durations.copy_snapshot + 1)
    second = copy(aws, lent["DBClusterSnapshotArn"], KmsKeyId=our_key(aws))["DBClusterSnapshotIdentifier"]
    unshare(aws, lent["DBClusterSnapshotIdentifier"])
    aws.clock.sleep(aws.aurora.durations.copy_snapshot + 1)
    assert [snapshot(aws, each)["Status"] for each in (first, second)] == ["available", "failed"]
    with refused("DBClusterSnapshotNotFoundFault", status=404):
        copy(aws, lent["DBClusterSnapshotArn"], KmsKeyId=our_key(aws))


# Keys


def test_both_the_owners_key_and_ours_are_checked(aws: LocalAws, shared: Answer) -> None:
    theirs, ours, source = shared["KmsKeyId"], our_key(aws), shared["DBClusterSnapshotArn"]
    own = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]
    through = {"StringEquals": {"kms:ViaService": "rds.us-east-1.amazonaws.com"}}
    both = [allow([*USE, "kms:CreateGrant"], theirs, Condition=through), allow(own, ours, Condition=through)]
    for grants, works in ((both, True), (both[:1], False), (both[1:], False)):
        rds = Caller(aws, allow("rds:*"), *grants).client("rds")
        request = {
            "SourceDBClusterSnapshotIdentifier": source,
            "TargetDBClusterSnapshotIdentifier": name("copy"),
            "KmsKeyId": ours,
        }
        if works:
            rds.copy_db_cluster_snapshot(**request)
        else:
            with refused("KMSKeyNotAccessibleFault"):
                rds.copy_db_cluster_snapshot(**request)


def test_a_key_is_used_from_elsewhere_only_if_its_policy_admits_us(aws: LocalAws) -> None:
    may = Caller(aws, allow(["rds:*", "kms:*"]))
    main = {"AWS": root(MAIN)}
    complete = (allow(USE, Principal=main), allow(GRANT, Principal=main, Condition=FOR_AWS))
    named = tuple({**each, "Principal": {"AWS": may.arn}} for each in complete)
    stranger = allow([*USE, *GRANT], Principal={"AWS": root("111122223333")})
    for statements, works in (
        (complete, True),
        (named, True),
        (complete[:1], False),
        (complete[1:], False),
        (
            (
                allow(USE, Principal=main),
                allow(GRANT, Principal=main, Condition={"Bool": {"kms:GrantIsForAWSResource": "false"}}),
            ),
            False,
        ),
        ((stranger,), False),
    ):
        lent = shared_snapshot(aws, open_key(aws, *statements))
        request = {
            "SourceDBClusterSnapshotIdentifier": lent["DBClusterSnapshotArn"],
            "TargetDBClusterSnapshotIdentifier": name("copy"),
            "KmsKeyId": our_key(aws),
        }
        if works:
            may.client("rds").copy_db_cluster_snapshot(**request)
        else:
            with refused("KMSKeyNotAccessibleFault", lent["KmsKeyId"]):
                may.client("rds").copy_db_cluster_snapshot(**request)


def test_a_key_that_admits_us_to_all_but_one_use_is_refused(aws: LocalAws) -> None:
    """Aurora User Guide, "Sharing encrypted snapshots": what the key's policy has to allow the other account."""
    key = open_key(aws)
    lent, ours = shared_snapshot(aws, key), our_key(aws)
    rds, kms = Caller(aws, allow(["rds:*", "kms:*"])).client("rds"), aws.client("kms", account=OTHER)
    main = {"AWS": root(MAIN)}
    grant, own = allow(GRANT, Principal=main, Condition=FOR_AWS), allow("kms:*", Principal={"AWS": root(OTHER)})

    def copied_with(actions: list[str]) -> None:
        kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy(own, allow(actions, Principal=main), grant))
        rds.copy_db_cluster_snapshot(
            SourceDBClusterSnapshotIdentifier=lent["DBClusterSnapshotArn"],
            TargetDBClusterSnapshotIdentifier=name("copy"),
            KmsKeyId=ours,
        )

    for missing in USE:
        with refused("KMSKeyNotAccessibleFault", key):
            copied_with([each for each in USE if each != missing])
    for half in ("kms:ReEncryptFrom", "kms:ReEncryptTo"):
        with refused("KMSKeyNotAccessibleFault", key):
            copied_with([*(each for each in USE if each != "kms:ReEncrypt*"), half])
    copied_with(USE)


def test_a_shared_snapshot_is_restored_under_a_key_that_both_sides_allow(aws: LocalAws, shared: Answer) -> None:
    closed = shared_snapshot(aws, open_key(aws, allow("kms:DescribeKey", Principal={"AWS": root(MAIN)})))
    with refused("KMSKeyNotAccessibleFault"):
        restore(aws, closed["DBClusterSnapshotArn"], KmsKeyId=our_key(aws))
    ours = our_key(aws)
    assert restore(aws, shared["DBClusterSnapshotArn"], KmsKeyId=ours)["KmsKeyId"] == ours
    assert restore(aws, shared["DBClusterSnapshotArn"])["KmsKeyId"] == shared["KmsKeyId"]


def test_a_key_is_described_across_accounts_exactly_when_both_sides_allow(aws: LocalAws) -> None:
    opened = open_key(aws, allow("kms:DescribeKey", Principal={"AWS": root(MAIN)}))
    closed = open_key(aws, allow("kms:Decrypt", Principal={"AWS": root(MAIN)}))
    missing = opened.rpartition("/")[0] + "/00000000-0000-4000-8000-000000000000"
    may, may_not = Caller(aws, allow("kms:DescribeKey")).client("kms"), Caller(aws).client("kms")
    assert may.describe_key(KeyId=opened)["KeyMetadata"]["AWSAccountId"] == OTHER
    for client, key in ((may, closed), (may, missing), (may_not, opened), (aws.client("kms"), closed)):
        with refused("AccessDeniedException", "kms:DescribeKey"):
            client.describe_key(KeyId=key)
    with refused("AccessDeniedException", "kms:DisableKey"):
        Caller(aws, allow("kms:*")).client("kms").disable_key(KeyId=opened)


# What is never shared


def test_only_available_manual_snapshots_under_a_key_of_ones_own_are_shared(aws: LocalAws) -> None:
    theirs = their_cluster(aws, open_key(aws))
    automated = aws.aurora.take_automated_snapshot(theirs, account=OTHER)
    backup = aws.aurora.take_backup_snapshot(theirs, account=OTHER)
    young = name("young")
    aws.client("rds", account=OTHER).create_db_cluster_snapshot(
        DBClusterIdentifier=theirs, DBClusterSnapshotIdentifier=young
    )
    with refused("InvalidDBClusterSnapshotStateFault"):
        share(aws, young, MAIN)
    aws.clock.sleep(aws.aurora.durations.create_snapshot + 1)
    for never in (automated, backup):
        with refused("InvalidDBClusterSnapshotStateFault"):
            share(aws, never, MAIN)
    with refused("InvalidParameterValue"):
        share(aws, young, "somebody")
    with refused("SharedSnapshotQuotaExceeded"):
        share(aws, young, *(str(111122223333 + number) for number in range(21)))
    share(aws, young, MAIN)
    default = new_cluster(aws, name("default"), account=OTHER, StorageEncrypted=True)["DBClusterIdentifier"]
    with refused("InvalidParameterCombination"):
        share(aws, take_snapshot(aws, default, account=OTHER), MAIN)


def test_a_snapshot_of_aws_backup_is_copied_and_restored_but_not_deleted(aws: LocalAws) -> None:
    identifier = new_cluster(aws, name("backed-up"))["DBClusterIdentifier"]
    rds, backup = aws.client("rds"), aws.aurora.take_backup_snapshot(identifier)
    assert backup.startswith("awsbackup:job-")
    aws.clock.sleep(aws.aurora.durations.create_snapshot + 1)
    listed = rds.describe_db_cluster_snapshots(DBClusterIdentifier=identifier, SnapshotType="awsbackup")
    found = listed["DBClusterSnapshots"][0]
    assert (found["SnapshotType"], found["DBClusterSnapshotIdentifier"]) == ("awsbackup", backup)
    with refused("InvalidDBClusterSnapshotStateFault", "awsbackup"):
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=backup)
    with refused("InvalidParameterValue", "aws:"):
        copy(aws, backup, CopyTags=True)
    assert copy(aws, backup)["SnapshotType"] == "manual"
    assert restore(aws, found["DBClusterSnapshotArn"])["Status"] == "creating"


def test_a_cluster_from_before_2026_is_not_encrypted_at_all(aws: LocalAws) -> None:
    identifier = new_cluster(aws, name("old"))["DBClusterIdentifier"]
    aws.aurora.make_unencrypted(identifier)
    taken = snapshot(aws, take_snapshot(aws, identifier))
    assert (taken["StorageEncrypted"], taken["StorageEncryptionType"]) == (False, "none")
    assert copy(aws, taken["DBClusterSnapshotArn"])["StorageEncryptionType"] == "none"
    encrypted = restore(aws, taken["DBClusterSnapshotIdentifier"], KmsKeyId=our_key(aws))
    assert encrypted["StorageEncryptionType"] == "sse-kms"
    assert restore(aws, taken["DBClusterSnapshotIdentifier"])["StorageEncryptionType"] == "sse-rds"
    with pytest.raises(ValueError, match="has a key"):
        aws.aurora.make_unencrypted(encrypted["DBClusterIdentifier"])
