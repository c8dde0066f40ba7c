"""What keeps a cluster from being deleted, and what a deletion leaves."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora_support import (
    add_instance,
    cluster,
    name,
    new_cluster,
    refused,
    restore,
    take_snapshot,
)
from tests.integration.local_aws.iam.test_gate import ACCOUNT, RDS, Caller, denied


def delete(aws: LocalAws, identifier: str, region: str = "us-east-1", **settings: Any) -> None:
    aws.client("rds", region).delete_db_cluster(
        DBClusterIdentifier=identifier, **{"SkipFinalSnapshot": True, **settings}
    )


def snapshots(aws: LocalAws, resource_id: str) -> list[str]:
    found = aws.client("rds").describe_db_cluster_snapshots(DbClusterResourceId=resource_id)["DBClusterSnapshots"]
    return [each["SnapshotType"] for each in found]


# Global databases


def test_a_global_database_keeps_its_members_until_they_are_removed(aws: LocalAws) -> None:
    rds, durations = aws.client("rds"), aws.aurora.durations
    primary, secondary = new_cluster(aws, name("primary")), new_cluster(aws, name("secondary"), "eu-west-1")
    world, arn = name("world"), primary["DBClusterArn"]
    created = rds.create_global_cluster(GlobalClusterIdentifier=world, SourceDBClusterIdentifier=arn)["GlobalCluster"]
    assert created["GlobalClusterArn"] == f"arn:aws:rds::{ACCOUNT}:global-cluster:{world}"
    with refused("GlobalClusterAlreadyExistsFault"):
        rds.create_global_cluster(GlobalClusterIdentifier=world, SourceDBClusterIdentifier=arn)
    with refused("InvalidDBClusterStateFault"):
        rds.create_global_cluster(GlobalClusterIdentifier=name("world"), SourceDBClusterIdentifier=arn)
    aws.aurora.add_to_global_cluster(world, secondary["DBClusterIdentifier"], "eu-west-1")
    members = aws.client("rds", "eu-west-1").describe_global_clusters(GlobalClusterIdentifier=world)
    writers = {each["DBClusterArn"]: each["IsWriter"] for each in members["GlobalClusters"][0]["GlobalClusterMembers"]}
    assert writers == {arn: True, secondary["DBClusterArn"]: False}
    assert cluster(aws, primary["DBClusterIdentifier"])["GlobalClusterIdentifier"] == world

    with refused("InvalidGlobalClusterStateFault"):
        delete(aws, primary["DBClusterIdentifier"])
    with refused("InvalidGlobalClusterStateFault"):
        delete(aws, secondary["DBClusterIdentifier"], "eu-west-1")
    with refused("InvalidGlobalClusterStateFault", "remove its others first"):
        rds.remove_from_global_cluster(GlobalClusterIdentifier=world, DbClusterIdentifier=arn)
    with refused("InvalidGlobalClusterStateFault", "not empty"):
        rds.delete_global_cluster(GlobalClusterIdentifier=world)
    with refused("InvalidParameterCombination", "global database"):
        rds.modify_db_cluster(DBClusterIdentifier=arn, ManageMasterUserPassword=True)

    for each in (secondary["DBClusterArn"], arn):
        rds.remove_from_global_cluster(GlobalClusterIdentifier=world, DbClusterIdentifier=each)
        if each == arn:
            assert cluster(aws, arn)["GlobalClusterIdentifier"] == world, "until its time has come"
        aws.clock.sleep(durations.modify_cluster + 1)
    assert "GlobalClusterIdentifier" not in cluster(aws, arn)
    delete(aws, primary["DBClusterIdentifier"])
    rds.delete_global_cluster(GlobalClusterIdentifier=world)
    with refused("GlobalClusterNotFoundFault", status=404):
        rds.describe_global_clusters(GlobalClusterIdentifier=world)


def test_a_global_database_is_checked_by_its_own_arn_and_its_cluster_s(aws: LocalAws) -> None:
    rds, world = Caller(aws).client("rds"), f"arn:aws:rds::{ACCOUNT}:global-cluster:world"
    assert denied(rds.delete_global_cluster, GlobalClusterIdentifier="world") == (
        f"rds:DeleteGlobalCluster on resource: {world}"
    )
    request = {"GlobalClusterIdentifier": "world", "DbClusterIdentifier": f"{RDS}:cluster:orders"}
    assert denied(rds.remove_from_global_cluster, **request) == (
        f"rds:RemoveFromGlobalCluster on resource: {RDS}:cluster:orders"
    )


# Replicas


def test_a_replica_keeps_its_source_and_its_own_last_instance_until_it_is_promoted(aws: LocalAws) -> None:
    source, replica = new_cluster(aws, name("source")), new_cluster(aws, name("replica"))
    identifier, rds = replica["DBClusterIdentifier"], aws.client("rds")
    member = add_instance(aws, identifier)
    aws.clock.sleep(aws.aurora.durations.create_instance + 3 * aws.aurora.durations.settle)
    aws.aurora.replicate((source["DBClusterIdentifier"], "us-east-1"), (identifier, "us-east-1"))
    assert cluster(aws, source["DBClusterArn"])["ReadReplicaIdentifiers"] == [replica["DBClusterArn"]]
    assert cluster(aws, identifier)["ReplicationSourceIdentifier"] == source["DBClusterArn"]
    with refused("InvalidDBClusterStateFault", "read replicas"):
        delete(aws, source["DBClusterIdentifier"])
    with refused("InvalidDBClusterStateFault", "last instance"):
        rds.delete_db_instance(DBInstanceIdentifier=member)
    with refused("InvalidDBClusterStateFault", "no read replica"):
        rds.promote_read_replica_db_cluster(DBClusterIdentifier=source["DBClusterArn"])
    rds.promote_read_replica_db_cluster(DBClusterIdentifier=identifier)
    aws.clock.sleep(aws.aurora.durations.modify_cluster + 1)
    assert "ReplicationSourceIdentifier" not in cluster(aws, identifier)
    rds.delete_db_instance(DBInstanceIdentifier=member)
    delete(aws, source["DBClusterIdentifier"])
    aws.clock.sleep(aws.aurora.durations.delete_instance + 1)


# Backups


@pytest.mark.parametrize(("settings", "left"), [({}, []), ({"DeleteAutomatedBackups": False}, ["automated"])])
def test_automated_backups_go_unless_they_are_to_stay(aws: LocalAws, settings: dict[str, Any], left: list[str]) -> None:
    described = new_cluster(aws, name("backed-up"))
    identifier, resource = described["DBClusterIdentifier"], described["DbClusterResourceId"]
    aws.aurora.take_automated_snapshot(identifier)
    take_snapshot(aws, identifier)
    delete(aws, identifier, **settings)
    aws.clock.sleep(aws.aurora.durations.delete_cluster + 1)
    assert sorted(snapshots(aws, resource)) == [*left, "manual"]


def test_too_many_backups_of_deleted_clusters_stop_a_deletion_that_would_keep_more(aws: LocalAws) -> None:
    """As many as there may be clusters (botocore, DBClusterAutomatedBackupQuotaExceededFault)."""
    identifier = new_cluster(aws, name("one-too-many"))["DBClusterIdentifier"]
    before = aws.aurora.quotas
    aws.aurora.quotas = dataclasses.replace(before, clusters=0)
    try:
        with refused("DBClusterAutomatedBackupQuotaExceededFault"):
            delete(aws, identifier, DeleteAutomatedBackups=False)
        assert cluster(aws, identifier)["Status"] == "available"
        delete(aws, identifier)
    finally:
        aws.aurora.quotas = before


def automated_backups(aws: LocalAws, **status: str) -> dict[str, str]:
    """By the resource id of their cluster, with their status."""
    filters = [{"Name": key, "Values": [value]} for key, value in status.items()]
    found = aws.client("rds").describe_db_cluster_automated_backups(Filters=filters)["DBClusterAutomatedBackups"]
    return {each["DbClusterResourceId"]: each["Status"] for each in found}


def test_backups_of_a_deleted_cluster_are_retained_until_somebody_deletes_them(aws: LocalAws) -> None:
    described, rds = new_cluster(aws, name("retained")), aws.client("rds")
    identifier, resource = described["DBClusterIdentifier"], described["DbClusterResourceId"]
    aws.aurora.take_automated_snapshot(identifier)
    aws.clock.sleep(aws.aurora.durations.create_snapshot + 1)
    assert automated_backups(aws)[resource] == "active"
    with refused("InvalidDBClusterAutomatedBackupStateFault", "active"):
        rds.delete_db_cluster_automated_backup(DbClusterResourceId=resource)
    delete(aws, identifier, DeleteAutomatedBackups=False)
    aws.clock.sleep(aws.aurora.durations.delete_cluster + 1)
    assert automated_backups(aws, status="retained")[resource] == "retained"
    rds.delete_db_cluster_automated_backup(DbClusterResourceId=resource)
    assert resource not in automated_backups(aws)
    assert snapshots(aws, resource) == []
    with refused("DBClusterAutomatedBackupNotFoundFault", status=404):
        rds.delete_db_cluster_automated_backup(DbClusterResourceId=resource)


def test_continuous_backups_of_aws_backup_are_never_deleted_with_their_cluster(aws: LocalAws) -> None:
    """RDS's answer as in cloudposse/terraform-aws-rds-cluster, pull request 283."""
    described = new_cluster(aws, name("continuous"))
    identifier, resource = described["DBClusterIdentifier"], described["DbClusterResourceId"]
    arn = aws.aurora.back_up_continuously(identifier)
    assert cluster(aws, identifier)["AwsBackupRecoveryPointArn"] == arn
    with refused("InvalidParameterCombination", f"AwsBackupRecoveryPointArn: {arn}. NoDeleteAutomatedBackups must be"):
        delete(aws, identifier, DeleteAutomatedBackups=True)
    assert cluster(aws, identifier)["Status"] == "available"
    delete(aws, identifier)
    aws.clock.sleep(aws.aurora.durations.delete_cluster + 1)
    assert automated_backups(aws, status="retained")[resource] == "retained", "unless a rule of AWS Backup's says so"


def test_without_restorable_times_no_snapshot_is_taken_not_even_a_final_one(aws: LocalAws) -> None:
    """Aurora user guide, "Backup storage and restore": both are NULL until a restore is complete."""
    identifier, rds = new_cluster(aws, name("restoring"))["DBClusterIdentifier"], aws.client("rds")
    assert {"EarliestRestorableTime", "LatestRestorableTime"} <= cluster(aws, identifier).keys()
    aws.aurora.cluster(identifier).is_restorable = False
    assert not {"EarliestRestorableTime", "LatestRestorableTime"} & cluster(aws, identifier).keys()
    with refused("InvalidDBClusterStateFault", "LatestRestorableTime"):
        take_snapshot(aws, identifier)
    with refused("InvalidDBClusterStateFault", "LatestRestorableTime"):
        rds.delete_db_cluster(DBClusterIdentifier=identifier, FinalDBSnapshotIdentifier=name("final"))
    assert cluster(aws, identifier)["Status"] == "available"
    delete(aws, identifier)


def test_a_final_snapshot_needs_the_clusters_key(aws: LocalAws) -> None:
    """KMSKeyNotAccessibleFault is among DeleteDBCluster's errors (botocore)."""
    kms = aws.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    identifier = new_cluster(aws, name("locked"), StorageEncrypted=True, KmsKeyId=key)["DBClusterIdentifier"]
    kms.disable_key(KeyId=key.rpartition("/")[2])
    with refused("KMSKeyNotAccessibleFault"):
        aws.client("rds").delete_db_cluster(DBClusterIdentifier=identifier, FinalDBSnapshotIdentifier=name("final"))
    assert cluster(aws, identifier)["Status"] == "available"
    kms.enable_key(KeyId=key.rpartition("/")[2])
    delete(aws, identifier)


# Versions


def versions(aws: LocalAws, **options: Any) -> dict[str, dict[str, Any]]:
    found = aws.client("rds").describe_db_engine_versions(Engine="aurora-postgresql", **options)["DBEngineVersions"]
    return {each["EngineVersion"]: each for each in found}


def test_versions_of_five_majors_are_offered_and_old_ones_only_told_of(aws: LocalAws) -> None:
    offered = versions(aws)
    assert {each["MajorEngineVersion"] for each in offered.values()} == {"13", "14", "15", "16", "17"}
    assert "14.6" not in offered
    assert versions(aws, EngineVersion="14.6") == {}
    assert versions(aws, EngineVersion="14.6", IncludeAll=True)["14.6"]["Status"] == "deprecated"
    assert versions(aws, EngineVersion="16").keys() == {"16.4", "16.6", "16.8", "16.9"}


def test_upgrades_lead_to_later_minors_and_to_majors_that_are_no_older(aws: LocalAws) -> None:
    targets = {
        each["EngineVersion"]: each["IsMajorVersionUpgrade"]
        for each in versions(aws, EngineVersion="15.12")["15.12"]["ValidUpgradeTarget"]
    }
    assert targets == {"16.8": True, "16.9": True, "17.4": True, "17.5": True}


def test_a_version_that_is_retired_can_not_be_restored_as_it_is(aws: LocalAws) -> None:
    snapshot = take_snapshot(aws, new_cluster(aws, name("old"), EngineVersion="14.15")["DBClusterIdentifier"])
    aws.aurora.retired_versions.add("14.15")
    with refused("InvalidParameterCombination", "Cannot find version 14.15"):
        restore(aws, snapshot, EngineVersion="14.15")
    assert restore(aws, snapshot, EngineVersion="14.17")["EngineVersion"] == "14.17"
    assert versions(aws, EngineVersion="14.15", IncludeAll=True)["14.15"]["Status"] == "deprecated"


def test_a_snapshot_is_not_restored_to_a_version_older_than_its_own(aws: LocalAws) -> None:
    snapshot = take_snapshot(aws, new_cluster(aws, name("new"), EngineVersion="16.9")["DBClusterIdentifier"])
    with refused("InvalidParameterCombination", "16.9 to version 17.4"):
        restore(aws, snapshot, EngineVersion="17.4")


# What it leaves on disk


def volumes(aws: LocalAws) -> set[str]:
    return {each.name for each in aws.aurora.servers.directory.glob("*-*") if each.name[-1].isdigit()}


@pytest.mark.full
def test_what_is_deleted_leaves_no_file_however_much_there_was(aws: LocalAws) -> None:
    """Embedded AWSs are used for hours: the disk holds what there is, not what there was."""

    before = volumes(aws)
    for _ in range(5):
        made = [new_cluster(aws, name("passing"))["DBClusterIdentifier"] for _ in range(3)]
        taken = [take_snapshot(aws, each) for each in made]
        assert len(volumes(aws) - before) == 6
        for snapshot, identifier in zip(taken, made, strict=True):
            aws.client("rds").delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=snapshot)
            delete(aws, identifier)
        aws.clock.sleep(3600)
        assert volumes(aws) - before == set()


def test_what_is_not_kept_goes_at_once_whatever_its_state(aws: LocalAws) -> None:
    """Tests that share one embedded AWS let what they made go so."""
    kept = new_cluster(aws, name("kept"))["DBClusterIdentifier"]
    snapshot = take_snapshot(aws, kept)
    shared, before = aws.aurora.existing(), volumes(aws)
    passing = new_cluster(aws, name("passing"), DeletionProtection=True)
    restored = restore(aws, snapshot)["DBClusterIdentifier"]  # it is still being made
    add_instance(aws, passing["DBClusterIdentifier"])
    taken = take_snapshot(aws, passing["DBClusterIdentifier"])

    aws.aurora.remove_all_but(shared)

    assert volumes(aws) == before
    assert aws.aurora.existing() == shared
    rds = aws.client("rds")
    for gone in (passing["DBClusterIdentifier"], restored):
        with refused("DBClusterNotFoundFault", status=404):
            rds.describe_db_clusters(DBClusterIdentifier=gone)
    with refused("DBClusterSnapshotNotFoundFault", status=404):
        rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=taken)
    aws.clock.sleep(7200)  # nothing that had been planned for them comes
    assert volumes(aws) == before
    assert cluster(aws, kept)["Status"] == "available"
    assert rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=snapshot)["DBClusterSnapshots"]
