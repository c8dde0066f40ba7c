"""Clusters take their time, inherit next to nothing, and refuse what they refuse on AWS."""

from __future__ import annotations

from typing import Any

import psycopg2
import pytest

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora_support import (
    PASSWORD,
    add_instance,
    cluster,
    create,
    instance_status,
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


@pytest.fixture(scope="module")
def production(aws: LocalAws) -> str:
    """A cluster with data, everything set otherwise than by default."""
    identifier = name("production")
    ec2, rds = aws.client("ec2"), aws.client("rds")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName=name("database"), Description="database", VpcId=vpc)
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName=f"{identifier}-16", DBParameterGroupFamily="aurora-postgresql16", Description="own"
    )
    described = running_cluster(
        aws,
        identifier,
        StorageEncrypted=True,
        Port=5433,
        VpcSecurityGroupIds=[group["GroupId"]],
        DBClusterParameterGroupName=f"{identifier}-16",
        EnableIAMDatabaseAuthentication=True,
        EnableCloudwatchLogsExports=["postgresql"],
        CopyTagsToSnapshot=True,
        DeletionProtection=True,
        BackupRetentionPeriod=7,
        EngineLifecycleSupport="open-source-rds-extended-support-disabled",
        Tags=[{"Key": "environment", "Value": "production"}],
    )
    connection = log_in(aws, described, PASSWORD)
    query(connection, "create table customers as select 'Ada' as name")
    query(connection, "create role application login password 'Application-pass1'")
    query(connection, "grant select on customers to application")
    connection.close()
    return identifier


@pytest.fixture(scope="module")
def nightly(aws: LocalAws, production: str) -> str:
    return take_snapshot(aws, production)


# Creating


def test_a_new_cluster_is_creating_until_its_time_has_come(aws: LocalAws) -> None:
    identifier = name("slow")
    assert create(aws, identifier)["Status"] == "creating"
    aws.clock.sleep(aws.aurora.durations.create_cluster - 30)
    assert cluster(aws, identifier)["Status"] == "creating"
    aws.clock.sleep(31)
    assert cluster(aws, identifier)["Status"] == "available"


def test_an_existing_cluster_is_never_overwritten(aws: LocalAws, production: str) -> None:
    with refused("DBClusterAlreadyExistsFault"):
        create(aws, production.upper())
    assert cluster(aws, production)["DeletionProtection"] is True


@pytest.mark.parametrize("identifier", ["1starts-with-a-digit", "ends-", "two--hyphens", "under_score", "x" * 64])
def test_an_identifier_that_is_not_one_is_refused(aws: LocalAws, identifier: str) -> None:
    with refused("InvalidParameterValue", "is not a valid identifier"):
        create(aws, identifier)


def test_identifiers_are_kept_in_lower_case(aws: LocalAws) -> None:
    identifier = name("Mixed-Case")
    assert create(aws, identifier)["DBClusterIdentifier"] == identifier.lower()
    assert cluster(aws, identifier.upper())["DBClusterIdentifier"] == identifier.lower()


@pytest.mark.parametrize(
    ("settings", "code", "text"),
    [
        ({"Engine": "aurora-mysql"}, "InvalidParameterValue", "Invalid DB engine"),
        ({"EngineVersion": "99.9"}, "InvalidParameterCombination", "Cannot find version 99.9"),
        ({"DBSubnetGroupName": "nowhere"}, "DBSubnetGroupNotFoundFault", "nowhere"),
        ({"DBClusterParameterGroupName": "unknown"}, "DBClusterParameterGroupNotFound", "unknown"),
        ({"DBClusterParameterGroupName": "default.aurora-postgresql13"}, "DBClusterParameterGroupNotFound", "sql13"),
        ({"VpcSecurityGroupIds": ["sg-unknown"]}, "InvalidParameterValue", "sg-unknown"),
        ({"KmsKeyId": "alias/unknown"}, "KMSKeyNotAccessibleFault", "alias/unknown"),
        ({"MasterUserPassword": "short"}, "InvalidParameterValue", "shorter than 8"),
        ({"MasterUserPassword": "x" * 42}, "InvalidParameterValue", "longer than 41"),
        ({"MasterUserPassword": "with/slash"}, "InvalidParameterValue", "printable ASCII"),
        ({"MasterUsername": "rdsadmin"}, "InvalidParameterValue", "reserved"),
        ({"DatabaseName": "two words"}, "InvalidParameterValue", "DatabaseName"),
        ({"KmsKeyId": "arn:aws:kms"}, "KMSKeyNotAccessibleFault", "arn:aws:kms"),
        ({"BackupRetentionPeriod": 36}, "InvalidParameterValue", "retention"),
        ({"Port": 22}, "InvalidParameterValue", "port"),
        ({"EnableCloudwatchLogsExports": ["audit"]}, "InvalidParameterCombination", "audit"),
        ({"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.3, "MaxCapacity": 2}}, "InvalidParameterValue", "0.3"),
        ({"Tags": [{"Key": "aws:mine", "Value": ""}]}, "InvalidParameterValue", "reserved prefix"),
        ({"Tags": [{"Key": "RDS:mine", "Value": ""}]}, "InvalidParameterValue", "reserved prefix"),
        ({"Tags": [{"Key": "mine", "Value": "rds:x"}]}, "InvalidParameterValue", "reserved prefix"),
        ({"Tags": [{"Key": "", "Value": "x"}]}, "InvalidParameterValue", "from 1 to 128"),
        ({"Tags": [{"Key": "k" * 129, "Value": "x"}]}, "InvalidParameterValue", "from 1 to 128"),
        ({"Tags": [{"Key": "k", "Value": "v" * 257}]}, "InvalidParameterValue", "up to 256"),
        ({"Tags": [{"Key": "off", "Value": "(M-F,18)"}]}, "InvalidParameterValue", "Tag values may only contain"),
        ({"Tags": [{"Key": "a;b", "Value": ""}]}, "InvalidParameterValue", "Tag keys may only contain"),
        (
            {"Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "1"}, {"Key": "a", "Value": "1"}]},
            "InvalidParameterCombination",
            "Duplicate tag key found in request: a",
        ),
        ({"Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]}, "InvalidParameterValue", "at most 50"),
    ],
)
def test_a_setting_that_can_not_be_is_refused_and_nothing_is_made(
    aws: LocalAws, settings: dict[str, Any], code: str, text: str
) -> None:
    identifier = name("impossible")
    status = 404 if code in ("DBSubnetGroupNotFoundFault", "DBClusterParameterGroupNotFound") else 400
    with refused(code, text, status):
        create(aws, identifier, **settings)
    with refused("DBClusterNotFoundFault", status=404):
        cluster(aws, identifier)


def test_a_parameter_that_is_not_modelled_is_refused_by_name(aws: LocalAws) -> None:
    with refused("NotImplementedByLocalAws", "BacktrackWindow"):
        create(aws, name("mysql-only"), BacktrackWindow=3600)


def test_without_a_wish_the_key_is_aws_s_own_and_reported_as_no_encryption(aws: LocalAws) -> None:
    """Since February 2026; StorageEncrypted alone misleads."""
    described = create(aws, name("default-key"))
    assert (described["StorageEncrypted"], described["StorageEncryptionType"]) == (False, "sse-rds")
    assert "KmsKeyId" not in described


# Reaching


def test_a_cluster_can_be_reached_only_while_it_has_an_instance(aws: LocalAws) -> None:
    described = new_cluster(aws, name("lonely"))
    with pytest.raises(psycopg2.OperationalError, match="Connection refused"):
        log_in(aws, described, PASSWORD)
    member = add_instance(aws, described["DBClusterIdentifier"])
    with pytest.raises(psycopg2.OperationalError, match="Connection refused"):
        log_in(aws, described, PASSWORD)
    aws.clock.sleep(aws.aurora.durations.create_instance + 1)
    assert query(log_in(aws, described, PASSWORD), "select 1") == [(1,)]
    aws.client("rds").delete_db_instance(DBInstanceIdentifier=member)
    aws.clock.sleep(aws.aurora.durations.delete_instance + 1)
    with pytest.raises(psycopg2.OperationalError, match="Connection refused"):
        log_in(aws, described, PASSWORD)


def test_clusters_are_found_by_name_arn_filter_and_resource_id(aws: LocalAws, production: str) -> None:
    rds, described = aws.client("rds"), cluster(aws, production)
    assert cluster(aws, described["DBClusterArn"])["DBClusterIdentifier"] == production
    for filter_name, value in (
        ("db-cluster-id", production),
        ("db-cluster-id", described["DBClusterArn"]),
        ("db-cluster-resource-id", described["DbClusterResourceId"]),
    ):
        found = rds.describe_db_clusters(Filters=[{"Name": filter_name, "Values": [value]}])["DBClusters"]
        assert [each["DBClusterIdentifier"] for each in found] == [production]
    assert rds.describe_db_clusters(Filters=[{"Name": "db-cluster-id", "Values": ["none"]}])["DBClusters"] == []
    with refused("InvalidParameterValue", "Unrecognized filter name"):
        rds.describe_db_clusters(Filters=[{"Name": "colour", "Values": ["red"]}])
    many = [f"cluster-{number}" for number in range(101)]
    assert rds.describe_db_clusters(Filters=[{"Name": "db-cluster-id", "Values": many[:100]}])["DBClusters"] == []
    with refused("InvalidParameterCombination", "Only up to 100 unique filter DB Cluster Identifiers"):
        rds.describe_db_clusters(Filters=[{"Name": "db-cluster-id", "Values": many}])


def test_a_cluster_lives_in_its_region_only(aws: LocalAws, production: str) -> None:
    with refused("DBClusterNotFoundFault", status=404):
        cluster(aws, production, "us-west-2")


# Restoring


def test_a_restored_cluster_has_the_data_and_the_roles_but_no_instance(aws: LocalAws, nightly: str) -> None:
    described = restore(aws, nightly, EngineVersion="16.6")
    identifier = described["DBClusterIdentifier"]
    assert (described["Status"], described["DBClusterMembers"]) == ("creating", [])
    aws.clock.sleep(aws.aurora.durations.restore_cluster + 1)
    assert (cluster(aws, identifier)["Status"], cluster(aws, identifier)["DBClusterMembers"]) == ("available", [])
    add_instance(aws, identifier)
    aws.clock.sleep(aws.aurora.durations.create_instance + 1)
    assert query(log_in(aws, described, PASSWORD), "select name from customers") == [("Ada",)]
    as_application = log_in(aws, described, "Application-pass1", user="application")
    assert query(as_application, "select name from customers") == [("Ada",)]


def test_nothing_else_is_inherited_from_production(aws: LocalAws, production: str, nightly: str) -> None:
    """RDS's defaults take the place of every omitted setting: they bite in the night, so they bite here."""
    old, new = cluster(aws, production), restore(aws, nightly)
    assert new["EngineVersion"] == "17.4"
    assert new["DBClusterParameterGroup"] == "default.aurora-postgresql17"
    assert new["VpcSecurityGroups"] != old["VpcSecurityGroups"]
    assert new["DBSubnetGroup"] == "default"
    assert new["TagList"] == []
    assert new["DeletionProtection"] is False
    assert new["IAMDatabaseAuthenticationEnabled"] is False
    assert new["CopyTagsToSnapshot"] is False
    assert "EnabledCloudwatchLogsExports" not in new
    assert new["EngineLifecycleSupport"] == "open-source-rds-extended-support"
    assert new["DbClusterResourceId"] != old["DbClusterResourceId"]
    inherited = ("MasterUsername", "DatabaseName", "Port", "KmsKeyId", "BackupRetentionPeriod")
    assert [new[each] for each in inherited] == [old[each] for each in inherited]


def test_what_a_restore_asks_for_it_gets(aws: LocalAws, production: str, nightly: str) -> None:
    old = cluster(aws, production)
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    new = restore(
        aws,
        nightly,
        EngineVersion="16.8",
        Port=6543,
        KmsKeyId=key,
        VpcSecurityGroupIds=[each["VpcSecurityGroupId"] for each in old["VpcSecurityGroups"]],
        DBClusterParameterGroupName=f"{production}-16",
        DeletionProtection=True,
        StorageType="aurora-iopt1",
        ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 4},
        Tags=[{"Key": "purpose", "Value": "drill"}],
    )
    assert (new["EngineVersion"], new["Port"], new["KmsKeyId"]) == ("16.8", 6543, key)
    assert new["VpcSecurityGroups"] == old["VpcSecurityGroups"]
    assert new["DBClusterParameterGroup"] == f"{production}-16"
    assert (new["DeletionProtection"], new["StorageType"]) == (True, "aurora-iopt1")
    assert new["ServerlessV2ScalingConfiguration"] == {"MinCapacity": 0.5, "MaxCapacity": 4}
    assert new["TagList"] == [{"Key": "purpose", "Value": "drill"}]


def test_an_existing_cluster_is_never_restored_over(aws: LocalAws, production: str, nightly: str) -> None:
    with refused("DBClusterAlreadyExistsFault"):
        restore(aws, nightly, DBClusterIdentifier=production)


def test_an_instance_s_name_is_taken_for_clusters_too(aws: LocalAws, production: str, nightly: str) -> None:
    member = cluster(aws, production)["DBClusterMembers"][0]["DBInstanceIdentifier"]
    with refused("DBClusterAlreadyExistsFault"):
        restore(aws, nightly, DBClusterIdentifier=member)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"Engine": "aurora-mysql"}, "InvalidParameterValue"),
        ({"EngineVersion": "16.4"}, "InvalidParameterCombination"),
        ({"DBClusterParameterGroupName": "default.aurora-postgresql16"}, "InvalidParameterCombination"),
    ],
)
def test_a_restore_that_does_not_fit_its_snapshot_is_refused(
    aws: LocalAws, nightly: str, settings: dict[str, str], code: str
) -> None:
    with refused(code):
        restore(aws, nightly, **settings)


def test_a_master_password_can_not_be_given_to_a_restore(aws: LocalAws, nightly: str) -> None:
    with pytest.raises(Exception, match="Unknown parameter in input"):
        restore(aws, nightly, MasterUserPassword="Not-accepted-here1")


def test_an_unfinished_snapshot_can_not_be_restored(aws: LocalAws, production: str) -> None:
    identifier = name("unfinished")
    aws.client("rds").create_db_cluster_snapshot(DBClusterIdentifier=production, DBClusterSnapshotIdentifier=identifier)
    with refused("InvalidDBClusterSnapshotStateFault"):
        restore(aws, identifier)


def test_a_disabled_key_stops_the_restore(aws: LocalAws) -> None:
    kms = aws.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    encrypted = take_snapshot(aws, new_cluster(aws, name("keyed"), KmsKeyId=key)["DBClusterIdentifier"])
    kms.disable_key(KeyId=key)
    with refused("KMSKeyNotAccessibleFault"):
        restore(aws, encrypted)


@pytest.mark.parametrize("status", ["failed", "incompatible-restore"])
def test_a_restore_can_be_made_to_end_badly(aws: LocalAws, nightly: str, status: str) -> None:
    identifier = name("doomed")
    aws.faults.add(lifecycle="restore-cluster", identifier=identifier, status=status, at_percent=50)
    restore(aws, nightly, DBClusterIdentifier=identifier)
    aws.clock.sleep(aws.aurora.durations.restore_cluster * 0.4)
    assert cluster(aws, identifier)["Status"] == "creating"
    aws.clock.sleep(aws.aurora.durations.restore_cluster * 0.2)
    assert cluster(aws, identifier)["Status"] == status
    aws.client("rds").delete_db_cluster(DBClusterIdentifier=identifier, SkipFinalSnapshot=True)


# Changing the master password


def test_a_password_reset_reads_available_before_it_begins_and_pends_until_it_is_done(aws: LocalAws) -> None:
    """Who waits for `available` alone passes too early."""
    described = running_cluster(aws, name("reset"))
    identifier, seconds = described["DBClusterIdentifier"], aws.aurora.durations.reset_master_password
    answer = aws.client("rds").modify_db_cluster(
        DBClusterIdentifier=identifier, MasterUserPassword="Second-password2", ApplyImmediately=True
    )["DBCluster"]
    assert answer["Status"] == "available"
    assert answer["PendingModifiedValues"] == {"MasterUserPassword": "****"}
    log_in(aws, described, PASSWORD).close()
    aws.clock.sleep(seconds / 2)
    assert cluster(aws, identifier)["Status"] == "resetting-master-credentials"
    with refused("InvalidDBClusterStateFault"):
        aws.client("rds").modify_db_cluster(DBClusterIdentifier=identifier, MasterUserPassword="Third-password3")
    aws.clock.sleep(seconds)
    done = cluster(aws, identifier)
    assert done["Status"] == "available"
    assert "PendingModifiedValues" not in done
    log_in(aws, described, "Second-password2").close()
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        log_in(aws, described, PASSWORD)
    server_log = aws.aurora.cluster(identifier).postgres.log.read_text()
    assert "Second-password2" not in server_log


def test_a_password_reset_can_be_made_to_never_happen(aws: LocalAws) -> None:
    described = running_cluster(aws, name("stuck"))
    identifier = described["DBClusterIdentifier"]
    aws.faults.add(lifecycle="reset-master-password", identifier=identifier)
    rds = aws.client("rds")
    rds.modify_db_cluster(DBClusterIdentifier=identifier, MasterUserPassword="Second-password2", ApplyImmediately=True)
    aws.clock.sleep(86_400)
    assert cluster(aws, identifier)["Status"] == "available"
    assert cluster(aws, identifier)["PendingModifiedValues"] == {"MasterUserPassword": "****"}
    log_in(aws, described, PASSWORD).close()


def test_a_change_made_during_a_reset_does_not_lose_the_password(aws: LocalAws) -> None:
    described = running_cluster(aws, name("busy"))
    identifier, rds = described["DBClusterIdentifier"], aws.client("rds")
    rds.modify_db_cluster(DBClusterIdentifier=identifier, MasterUserPassword="Second-password2", ApplyImmediately=True)
    answer = rds.modify_db_cluster(DBClusterIdentifier=identifier, BackupRetentionPeriod=3, ApplyImmediately=True)
    assert (answer["DBCluster"]["Status"], answer["DBCluster"]["BackupRetentionPeriod"]) == ("modifying", 3)
    aws.clock.sleep(aws.aurora.durations.modify_cluster + aws.aurora.durations.reset_master_password + 1)
    log_in(aws, described, "Second-password2").close()


def test_a_modification_that_is_refused_changes_nothing(aws: LocalAws, production: str) -> None:
    rds = aws.client("rds")
    with refused("InvalidParameterValue", "shorter than 8"):
        rds.modify_db_cluster(DBClusterIdentifier=production, MasterUserPassword="x", DeletionProtection=False)
    assert cluster(aws, production)["DeletionProtection"] is True
    with refused("NotImplementedByLocalAws", "AllocatedStorage"):
        rds.modify_db_cluster(DBClusterIdentifier=production, AllocatedStorage=5)


# Deleting


def test_a_protected_cluster_is_not_deleted(aws: LocalAws, production: str) -> None:
    with refused("InvalidParameterCombination", "Cannot delete protected Cluster"):
        aws.client("rds").delete_db_cluster(DBClusterIdentifier=production, SkipFinalSnapshot=True)


def test_a_cluster_says_whether_it_follows_minor_versions_as_it_was_told(aws: LocalAws) -> None:
    told = create(aws, name("as-told"), AutoMinorVersionUpgrade=False)
    assert (told["AutoMinorVersionUpgrade"], create(aws, name("untold"))["AutoMinorVersionUpgrade"]) == (False, True)


def test_every_letter_and_number_and_the_symbols_may_be_in_a_tag(aws: LocalAws) -> None:
    tags = [{"Key": "k" * 128, "Value": "ü日本 Ⅷ_.:/=+-@" + "v" * 240}, {"Key": "empty", "Value": ""}]
    assert create(aws, name("tagged"), Tags=tags)["TagList"] == tags


def test_a_deletion_answers_deleting_unless_a_final_snapshot_comes_first(aws: LocalAws) -> None:
    rds = aws.client("rds")
    for final, status in (
        ({"SkipFinalSnapshot": True}, "deleting"),
        ({"FinalDBSnapshotIdentifier": name("f")}, "available"),
    ):
        identifier = new_cluster(aws, name("going"))["DBClusterIdentifier"]
        assert rds.delete_db_cluster(DBClusterIdentifier=identifier, **final)["DBCluster"]["Status"] == status
        assert cluster(aws, identifier)["Status"] == status
        with refused("InvalidDBClusterStateFault" if status == "deleting" else "DBClusterSnapshotAlreadyExistsFault"):
            rds.delete_db_cluster(DBClusterIdentifier=identifier, **final)
        aws.clock.sleep(aws.aurora.durations.create_snapshot + 1)
        assert cluster(aws, identifier)["Status"] == "deleting"
        aws.clock.sleep(aws.aurora.durations.delete_cluster + 1)
        with refused("DBClusterNotFoundFault", status=404):
            cluster(aws, identifier)


def test_a_final_snapshot_is_named_or_skipped_never_both_or_neither(aws: LocalAws) -> None:
    identifier, rds = new_cluster(aws, name("final"))["DBClusterIdentifier"], aws.client("rds")
    with refused("InvalidParameterCombination", "required unless SkipFinalSnapshot"):
        rds.delete_db_cluster(DBClusterIdentifier=identifier)
    with refused("InvalidParameterCombination", "cannot specify both"):
        rds.delete_db_cluster(DBClusterIdentifier=identifier, SkipFinalSnapshot=True, FinalDBSnapshotIdentifier="both")
    assert cluster(aws, identifier)["Status"] == "available"


def test_members_go_first(aws: LocalAws) -> None:
    described, rds = running_cluster(aws, name("members")), aws.client("rds")
    identifier, member = described["DBClusterIdentifier"], described["DBClusterMembers"][0]["DBInstanceIdentifier"]
    with refused("InvalidDBClusterStateFault", "still contains DB instances in non-deleting state"):
        rds.delete_db_cluster(DBClusterIdentifier=identifier, SkipFinalSnapshot=True)
    rds.delete_db_instance(DBInstanceIdentifier=member, SkipFinalSnapshot=True)
    rds.delete_db_cluster(DBClusterIdentifier=identifier, SkipFinalSnapshot=True)
    assert cluster(aws, identifier)["Status"] == "deleting"
    assert instance_status(aws, member) == "deleting"
    with refused("InvalidDBClusterStateFault"):
        rds.delete_db_cluster(DBClusterIdentifier=identifier, SkipFinalSnapshot=True)
    aws.clock.sleep(aws.aurora.durations.delete_cluster + aws.aurora.durations.delete_instance)
    with refused("DBClusterNotFoundFault", status=404):
        cluster(aws, identifier)
    with refused("DBInstanceNotFound", status=404):
        instance_status(aws, member)


def test_the_final_snapshot_holds_the_data_that_the_deleted_cluster_had(aws: LocalAws) -> None:
    described, rds = running_cluster(aws, name("last-words")), aws.client("rds")
    identifier, final = described["DBClusterIdentifier"], name("final")
    query(log_in(aws, described, PASSWORD), "create table last_words as select 'goodbye' as said")
    rds.delete_db_instance(DBInstanceIdentifier=described["DBClusterMembers"][0]["DBInstanceIdentifier"])
    rds.delete_db_cluster(DBClusterIdentifier=identifier, FinalDBSnapshotIdentifier=final)
    aws.clock.sleep(aws.aurora.durations.delete_cluster + aws.aurora.durations.delete_instance)
    with refused("DBClusterNotFoundFault", status=404):
        cluster(aws, identifier)
    kept = snapshot(aws, final)
    assert (kept["Status"], kept["SnapshotType"], kept["DBClusterIdentifier"]) == ("available", "manual", identifier)
    again = restore(aws, final)
    aws.clock.sleep(aws.aurora.durations.restore_cluster + 1)
    add_instance(aws, again["DBClusterIdentifier"])
    aws.clock.sleep(aws.aurora.durations.create_instance + 1)
    assert query(log_in(aws, again, PASSWORD), "select said from last_words") == [("goodbye",)]


def test_a_taken_name_for_the_final_snapshot_stops_the_deletion(aws: LocalAws) -> None:
    identifier = new_cluster(aws, name("taken"))["DBClusterIdentifier"]
    taken = take_snapshot(aws, identifier)
    with refused("DBClusterSnapshotAlreadyExistsFault"):
        aws.client("rds").delete_db_cluster(DBClusterIdentifier=identifier, FinalDBSnapshotIdentifier=taken)
    assert cluster(aws, identifier)["Status"] == "available"
