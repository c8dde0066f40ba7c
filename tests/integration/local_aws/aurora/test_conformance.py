"""The unit tests' RDS and the embedded AWS's answer alike, so that they can't disagree unnoticed.

What they answer is RDS's own: the embedded Aurora's tests name their sources. What only one of them knows isn't here.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.local_aws.aurora.conformance_support import VERSION, Embedded, Faked, Rds
from tests.integration.local_aws.aurora_support import ENGINE, name, refused

TAGS = [{"Key": "made-by", "Value": "a-test"}]
CLUSTER_GONE, SNAPSHOT_GONE = ("DBClusterNotFoundFault", "", 404), ("DBClusterSnapshotNotFoundFault", "", 404)


@pytest.fixture(params=["the unit tests'", "the embedded AWS's"])
def rds(request: pytest.FixtureRequest) -> Rds:
    return Faked() if request.param == "the unit tests'" else Embedded(request.getfixturevalue("aws"))


def restore(rds: Rds, snapshot: str, **settings: Any) -> str:
    """Begin a restore; the cluster's name."""
    given: dict[str, Any] = {
        "DBClusterIdentifier": name("restored"),
        "SnapshotIdentifier": snapshot,
        "Engine": ENGINE,
        "EngineVersion": VERSION,
        "VpcSecurityGroupIds": [rds.security_group],
        "Tags": TAGS,
        **settings,
    }
    return str(rds.client.restore_db_cluster_from_snapshot(**given)["DBCluster"]["DBClusterIdentifier"])


def add_instance(rds: Rds, cluster: str, identifier: str | None = None) -> str:
    given = {"DBClusterIdentifier": cluster, "Engine": ENGINE, "DBInstanceClass": "db.r6g.large", "Tags": TAGS}
    made = rds.client.create_db_instance(DBInstanceIdentifier=identifier or name("member"), **given)
    return str(made["DBInstance"]["DBInstanceIdentifier"])


def with_an_instance(rds: Rds) -> tuple[str, str]:
    cluster = rds.cluster()
    instance = add_instance(rds, cluster)
    rds.settle()
    return cluster, instance


def copy(rds: Rds, snapshot: str, to: str | None = None) -> str:
    made = rds.client.copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier=snapshot, TargetDBClusterSnapshotIdentifier=to or name("copy"), Tags=TAGS
    )
    return str(made["DBClusterSnapshot"]["DBClusterSnapshotIdentifier"])


def described(rds: Rds, cluster: str) -> dict[str, Any]:
    return dict(rds.client.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0])


def of_snapshot(rds: Rds, snapshot: str) -> dict[str, Any]:
    found = rds.client.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=snapshot)
    return dict(found["DBClusterSnapshots"][0])


def instance_status(rds: Rds, instance: str) -> str:
    found = rds.client.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"]
    return str(found[0]["DBInstanceStatus"])


# What isn't there

MISSING: dict[str, tuple[dict[str, Any], tuple[str, str, int]]] = {
    "describe_db_clusters": ({"DBClusterIdentifier": "none"}, CLUSTER_GONE),
    "describe_db_instances": ({"DBInstanceIdentifier": "none"}, ("DBInstanceNotFound", "", 404)),
    "describe_db_cluster_snapshots": ({"DBClusterSnapshotIdentifier": "none"}, SNAPSHOT_GONE),
    "describe_export_tasks": ({"ExportTaskIdentifier": "none"}, ("ExportTaskNotFound", "", 404)),
    "describe_db_subnet_groups": ({"DBSubnetGroupName": "none"}, ("DBSubnetGroupNotFoundFault", "", 404)),
    "describe_db_cluster_parameter_groups": (
        {"DBClusterParameterGroupName": "none"},
        ("DBParameterGroupNotFound", "", 404),
    ),
    "describe_db_parameter_groups": ({"DBParameterGroupName": "none"}, ("DBParameterGroupNotFound", "", 404)),
    "modify_db_cluster": (
        {"DBClusterIdentifier": "none", "ApplyImmediately": True, "BackupRetentionPeriod": 2},
        CLUSTER_GONE,
    ),
    "reboot_db_instance": ({"DBInstanceIdentifier": "none"}, ("DBInstanceNotFound", "", 404)),
    "delete_db_cluster": ({"DBClusterIdentifier": "none", "SkipFinalSnapshot": True}, CLUSTER_GONE),
    "delete_db_instance": (
        {"DBInstanceIdentifier": "none", "SkipFinalSnapshot": True},
        ("DBInstanceNotFound", "", 404),
    ),
    "delete_db_cluster_snapshot": ({"DBClusterSnapshotIdentifier": "none"}, SNAPSHOT_GONE),
    "modify_db_cluster_snapshot_attribute": (
        {"DBClusterSnapshotIdentifier": "none", "AttributeName": "restore", "ValuesToAdd": ["111122223333"]},
        SNAPSHOT_GONE,
    ),
    "describe_db_cluster_snapshot_attributes": ({"DBClusterSnapshotIdentifier": "none"}, SNAPSHOT_GONE),
}


@pytest.mark.parametrize("call", MISSING)
def test_what_isnt_there_isnt_found(rds: Rds, call: str) -> None:
    given, answer = MISSING[call]
    with refused(*answer):
        getattr(rds.client, call)(**given)


def test_a_restore_of_a_snapshot_that_isnt_there(rds: Rds) -> None:
    with refused(*SNAPSHOT_GONE):
        restore(rds, "none")


def test_an_instance_of_a_cluster_that_isnt_there(rds: Rds) -> None:
    with refused(*CLUSTER_GONE):
        add_instance(rds, "none")


def test_no_cluster_has_a_resource_id_that_nobody_has(rds: Rds) -> None:
    nobodys = [{"Name": "db-cluster-resource-id", "Values": ["cluster-NOBODYS"]}]
    assert rds.client.describe_db_clusters(Filters=nobodys)["DBClusters"] == []


# What is there already


def test_a_cluster_of_that_name(rds: Rds) -> None:
    with refused("DBClusterAlreadyExistsFault"):
        restore(rds, rds.snapshot(), DBClusterIdentifier=rds.cluster())


def test_a_copy_of_that_name(rds: Rds) -> None:
    snapshot = rds.snapshot()
    copied = copy(rds, snapshot)
    with refused("DBClusterSnapshotAlreadyExistsFault"):
        copy(rds, snapshot, to=copied)


def test_an_instance_of_that_name(rds: Rds) -> None:
    cluster = rds.cluster()
    with refused("DBInstanceAlreadyExists"):
        add_instance(rds, cluster, add_instance(rds, cluster))


def test_a_final_snapshot_of_that_name(rds: Rds) -> None:
    with refused("DBClusterSnapshotAlreadyExistsFault"):
        rds.client.delete_db_cluster(
            DBClusterIdentifier=rds.cluster(), SkipFinalSnapshot=False, FinalDBSnapshotIdentifier=rds.snapshot()
        )


# What is on its way


def test_a_restored_cluster_is_creating_and_then_available(rds: Rds) -> None:
    cluster = restore(rds, rds.snapshot())
    assert described(rds, cluster)["Status"] == "creating"
    rds.settle()
    found = described(rds, cluster)
    assert (found["Status"], found["TagList"], found["DBClusterMembers"]) == ("available", TAGS, [])


def test_a_cluster_that_is_being_created_takes_no_change_and_no_instance(rds: Rds) -> None:
    cluster = restore(rds, rds.snapshot())
    with refused("InvalidDBClusterStateFault"):
        rds.client.modify_db_cluster(DBClusterIdentifier=cluster, ApplyImmediately=True, BackupRetentionPeriod=2)
    with refused("InvalidDBClusterStateFault"):
        add_instance(rds, cluster)


def test_a_copy_is_on_its_way_and_then_available(rds: Rds) -> None:
    copied = copy(rds, rds.snapshot())
    begun = of_snapshot(rds, copied)
    assert begun["Status"] != "available"
    assert begun["PercentProgress"] < 100
    rds.settle()
    found = of_snapshot(rds, copied)
    assert (found["Status"], found["PercentProgress"], found["SnapshotType"]) == ("available", 100, "manual")
    assert found["TagList"] == TAGS


def test_a_copy_that_is_on_its_way_isnt_restored(rds: Rds) -> None:
    copied = copy(rds, rds.snapshot())
    with refused("InvalidDBClusterSnapshotStateFault"):
        restore(rds, copied)


def test_an_instance_is_creating_and_then_the_writer(rds: Rds) -> None:
    cluster = rds.cluster()
    instance = add_instance(rds, cluster)
    assert instance_status(rds, instance) == "creating"
    rds.settle()
    assert instance_status(rds, instance) == "available"
    members = described(rds, cluster)["DBClusterMembers"]
    assert [(each["DBInstanceIdentifier"], each["IsClusterWriter"]) for each in members] == [(instance, True)]


def test_a_password_is_pending_and_then_set(rds: Rds) -> None:
    cluster = rds.cluster()
    rds.client.modify_db_cluster(
        DBClusterIdentifier=cluster, ApplyImmediately=True, MasterUserPassword="Another-password-1"
    )
    assert "MasterUserPassword" in described(rds, cluster)["PendingModifiedValues"]
    rds.settle()
    assert described(rds, cluster).get("PendingModifiedValues", {}) == {}


def test_a_change_of_the_backups_shows_when_it_is_done(rds: Rds) -> None:
    cluster = rds.cluster()
    rds.client.modify_db_cluster(DBClusterIdentifier=cluster, ApplyImmediately=True, BackupRetentionPeriod=9)
    rds.settle()
    assert described(rds, cluster)["BackupRetentionPeriod"] == 9


def rename(rds: Rds, cluster: str, new: str) -> dict[str, Any]:
    given = {"DBClusterIdentifier": cluster, "NewDBClusterIdentifier": new, "ApplyImmediately": True}
    return dict(rds.client.modify_db_cluster(**given)["DBCluster"])


def test_a_renamed_cluster_is_renaming_and_then_has_its_new_name(rds: Rds) -> None:
    cluster, instance = with_an_instance(rds)
    new, before = name("new"), described(rds, cluster)
    answer = rename(rds, cluster, new)
    assert (answer["DBClusterIdentifier"], answer["Status"]) == (cluster, "renaming")
    with refused(*CLUSTER_GONE):
        described(rds, new)
    rds.settle()
    with refused(*CLUSTER_GONE):
        described(rds, cluster)
    after = described(rds, new)
    assert (after["Status"], after["DbClusterResourceId"]) == ("available", before["DbClusterResourceId"])
    assert after["DBClusterArn"] == before["DBClusterArn"].replace(cluster, new)
    assert after["Endpoint"] != before["Endpoint"]
    assert [each["DBInstanceIdentifier"] for each in after["DBClusterMembers"]] == [instance]


def test_names_that_are_taken_are_not_given_to_a_cluster(rds: Rds) -> None:
    cluster, instance = with_an_instance(rds)
    other, new = rds.cluster(), name("new")
    with refused("DBInstanceAlreadyExists"):
        rename(rds, other, instance)
    rename(rds, cluster, new)
    for taken in (cluster, new):
        with refused("DBClusterAlreadyExistsFault"):
            rename(rds, other, taken)
    with refused("InvalidDBClusterStateFault"):
        rename(rds, cluster, name("another"))
    rds.settle()
    rename(rds, other, cluster)
    rds.settle()
    assert described(rds, cluster)["Status"] == "available"


def test_a_rebooted_instance_is_rebooting_and_then_available(rds: Rds) -> None:
    _, instance = with_an_instance(rds)
    rds.client.reboot_db_instance(DBInstanceIdentifier=instance)
    assert instance_status(rds, instance) == "rebooting"
    with refused("InvalidDBInstanceState"):
        rds.client.reboot_db_instance(DBInstanceIdentifier=instance)
    rds.settle()
    assert instance_status(rds, instance) == "available"


# What is going, and gone


def test_an_instance_is_deleting_and_then_gone(rds: Rds) -> None:
    _, instance = with_an_instance(rds)
    rds.client.delete_db_instance(DBInstanceIdentifier=instance, SkipFinalSnapshot=True)
    assert instance_status(rds, instance) == "deleting"
    with refused("InvalidDBInstanceState"):
        rds.client.delete_db_instance(DBInstanceIdentifier=instance, SkipFinalSnapshot=True)
    rds.settle()
    with refused("DBInstanceNotFound", status=404):
        instance_status(rds, instance)


def test_a_cluster_is_deleting_and_then_gone(rds: Rds) -> None:
    cluster = rds.cluster()
    rds.client.delete_db_cluster(DBClusterIdentifier=cluster, SkipFinalSnapshot=True)
    assert described(rds, cluster)["Status"] == "deleting"
    rds.settle()
    with refused(*CLUSTER_GONE):
        described(rds, cluster)


def test_a_final_snapshot_outlives_its_cluster(rds: Rds) -> None:
    cluster, final = rds.cluster(), name("final")
    rds.client.delete_db_cluster(DBClusterIdentifier=cluster, SkipFinalSnapshot=False, FinalDBSnapshotIdentifier=final)
    rds.settle()
    found = of_snapshot(rds, final)
    assert (found["DBClusterIdentifier"], found["SnapshotType"], found["Status"]) == (cluster, "manual", "available")


def test_a_cluster_with_instances_isnt_deleted(rds: Rds) -> None:
    cluster, _ = with_an_instance(rds)
    with refused("InvalidDBClusterStateFault"):
        rds.client.delete_db_cluster(DBClusterIdentifier=cluster, SkipFinalSnapshot=True)


def test_a_cluster_that_is_protected_isnt_deleted(rds: Rds) -> None:
    cluster = rds.cluster()
    rds.client.modify_db_cluster(DBClusterIdentifier=cluster, ApplyImmediately=True, DeletionProtection=True)
    rds.settle()
    with refused("InvalidParameterCombination", "Cannot delete protected Cluster"):
        rds.client.delete_db_cluster(DBClusterIdentifier=cluster, SkipFinalSnapshot=True)


def test_a_snapshot_is_gone_at_once(rds: Rds) -> None:
    snapshot = rds.snapshot()
    rds.client.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=snapshot)
    rds.settle()
    with refused(*SNAPSHOT_GONE):
        of_snapshot(rds, snapshot)


# Many, shared, and found by other things than their names


def test_a_long_list_comes_in_pages(rds: Rds) -> None:
    snapshot = rds.snapshot()
    cluster = of_snapshot(rds, snapshot)["DBClusterIdentifier"]
    copies = {copy(rds, snapshot) for _ in range(20)}
    rds.settle()
    first = rds.client.describe_db_cluster_snapshots(DBClusterIdentifier=cluster, MaxRecords=20)
    rest = rds.client.describe_db_cluster_snapshots(DBClusterIdentifier=cluster, MaxRecords=20, Marker=first["Marker"])
    assert [len(page["DBClusterSnapshots"]) for page in (first, rest)] == [20, 1]
    assert "Marker" not in rest
    found = {each["DBClusterSnapshotIdentifier"] for page in (first, rest) for each in page["DBClusterSnapshots"]}
    assert found == copies | {snapshot}


def test_a_cluster_is_found_by_its_resource_id(rds: Rds) -> None:
    cluster = rds.cluster()
    wanted = [{"Name": "db-cluster-resource-id", "Values": [described(rds, cluster)["DbClusterResourceId"]]}]
    found = rds.client.describe_db_clusters(Filters=wanted)["DBClusters"]
    assert [each["DBClusterIdentifier"] for each in found] == [cluster]


def test_clusters_are_found_by_their_names_those_that_exist(rds: Rds) -> None:
    cluster = rds.cluster()
    wanted = [{"Name": "db-cluster-id", "Values": [cluster, "nobodys"]}]
    found = rds.client.describe_db_clusters(Filters=wanted)["DBClusters"]
    assert [each["DBClusterIdentifier"] for each in found] == [cluster]


def test_instances_are_found_by_their_cluster(rds: Rds) -> None:
    cluster, instance = with_an_instance(rds)
    found = rds.client.describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": [cluster]}])["DBInstances"]
    assert [each["DBInstanceIdentifier"] for each in found] == [instance]


def test_an_automated_snapshot_isnt_shared(rds: Rds) -> None:
    with refused("InvalidDBClusterSnapshotStateFault"):
        rds.client.modify_db_cluster_snapshot_attribute(
            DBClusterSnapshotIdentifier=rds.automated_snapshot(),
            AttributeName="restore",
            ValuesToAdd=["111122223333"],
        )


def test_what_another_account_shares_is_seen_and_copied_for_as_long(rds: Rds) -> None:
    theirs, snapshot = rds.of_another_account()
    arn = theirs.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=snapshot)["DBClusterSnapshots"][0][
        "DBClusterSnapshotArn"
    ]

    def seen() -> bool:
        shared = rds.client.describe_db_cluster_snapshots(SnapshotType="shared", IncludeShared=True)
        return arn in [each["DBClusterSnapshotArn"] for each in shared["DBClusterSnapshots"]]

    assert not seen()
    with refused(*SNAPSHOT_GONE):
        copy(rds, arn)
    share = {"DBClusterSnapshotIdentifier": snapshot, "AttributeName": "restore"}
    theirs.modify_db_cluster_snapshot_attribute(**share, ValuesToAdd=[rds.account])
    assert seen()
    copy(rds, arn)
    answer = theirs.modify_db_cluster_snapshot_attribute(**share, ValuesToRemove=[rds.account])
    (attribute,) = answer["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"]
    assert (attribute["AttributeName"], attribute["AttributeValues"]) == ("restore", [])
    assert not seen()


def test_a_failover_makes_another_instance_the_writer(rds: Rds) -> None:
    cluster, first = with_an_instance(rds)
    second = add_instance(rds, cluster)
    rds.settle()
    rds.client.failover_db_cluster(DBClusterIdentifier=cluster, TargetDBInstanceIdentifier=second)
    rds.settle()
    writers = {
        each["DBInstanceIdentifier"]: each["IsClusterWriter"] for each in described(rds, cluster)["DBClusterMembers"]
    }
    assert writers == {first: False, second: True}


@pytest.mark.parametrize(
    "change",
    [
        {"DatabaseInsightsMode": "advanced"},
        {"DatabaseInsightsMode": "advanced", "EnablePerformanceInsights": True},
        {"DatabaseInsightsMode": "advanced", "PerformanceInsightsRetentionPeriod": 465},
        {"MonitoringInterval": 60},
    ],
)
def test_a_change_to_the_advanced_mode_brings_along_all_that_it_needs(rds: Rds, change: dict[str, Any]) -> None:
    """Also where the cluster has it already: ansible-collections/amazon.aws#2543 and terraform-provider-aws#43919."""
    insights = {"EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": 465}
    cluster = rds.cluster()
    rds.client.modify_db_cluster(DBClusterIdentifier=cluster, ApplyImmediately=True, **insights)
    rds.settle()
    assert described(rds, cluster)["PerformanceInsightsRetentionPeriod"] == 465
    with refused("InvalidParameterCombination"):
        rds.client.modify_db_cluster(DBClusterIdentifier=cluster, ApplyImmediately=True, **change)
    advanced = {**insights, "DatabaseInsightsMode": "advanced"}
    rds.client.modify_db_cluster(DBClusterIdentifier=cluster, ApplyImmediately=True, **advanced)
    rds.settle()
    assert described(rds, cluster)["DatabaseInsightsMode"] == "advanced"


@pytest.mark.parametrize("setting", [{"EnablePerformanceInsights": True}, {"PerformanceInsightsRetentionPeriod": 7}])
def test_a_restore_takes_no_settings_of_performance_insights(rds: Rds, setting: dict[str, Any]) -> None:
    with refused("InvalidParameterCombination"):
        restore(rds, rds.snapshot(), **setting)
