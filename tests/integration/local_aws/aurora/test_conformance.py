"""The unit tests' RDS and the embedded AWS's answer alike, so that they can't disagree unnoticed.

What they answer is RDS's own: the embedded Aurora's tests name their sources. What only the embedded Aurora knows is
not here.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scripts.local_aws.aurora import offers
from scripts.local_aws.aurora.settings_table import OF_CLUSTERS, OF_INSTANCES, defaults
from tests.integration.local_aws.aurora.conformance_support import (
    FAMILY,
    REGION,
    VERSION,
    Answer,
    Embedded,
    Faked,
    Rds,
    possible_answers,
)
from tests.integration.local_aws.aurora_support import ENGINE, name, refused
from tests.unit.support import ACCOUNT

TAGS = [{"Key": "made-by", "Value": "a-test"}]
ARNS = f"arn:aws:rds:{REGION}:{ACCOUNT}:"
CLUSTER_GONE, SNAPSHOT_GONE = ("DBClusterNotFoundFault", "", 404), ("DBClusterSnapshotNotFoundFault", "", 404)


@pytest.fixture(params=["the unit tests'", "the embedded AWS's"])
def rds(request: pytest.FixtureRequest) -> Iterator[Rds]:
    found: Rds = Faked() if request.param == "the unit tests'" else Embedded(request.getfixturevalue("aws"))
    yield found
    found.close()


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


def add_instance(rds: Rds, cluster: str, identifier: str | None = None, **settings: Any) -> str:
    common = {"DBClusterIdentifier": cluster, "Engine": ENGINE, "DBInstanceClass": "db.r6g.large", "Tags": TAGS}
    given = {**common, **settings}
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


def arn_of(rds: Rds, snapshot: str) -> str:
    return str(of_snapshot(rds, snapshot)["DBClusterSnapshotArn"])


def of_instance(rds: Rds, instance: str) -> dict[str, Any]:
    return dict(rds.client.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"][0])


def instance_status(rds: Rds, instance: str) -> str:
    return str(of_instance(rds, instance)["DBInstanceStatus"])


def modify(rds: Rds, cluster: str, **change: Any) -> None:
    rds.client.modify_db_cluster(DBClusterIdentifier=cluster, ApplyImmediately=True, **change)


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
    "describe_db_cluster_parameters": ({"DBClusterParameterGroupName": "none"}, ("DBParameterGroupNotFound", "", 404)),
    "describe_db_parameters": ({"DBParameterGroupName": "none"}, ("DBParameterGroupNotFound", "", 404)),
    "describe_db_proxy_targets": ({"DBProxyName": "none"}, ("DBProxyNotFoundFault", "", 404)),
    "failover_db_cluster": ({"DBClusterIdentifier": "none", "TargetDBInstanceIdentifier": "none"}, CLUSTER_GONE),
    "stop_db_cluster": ({"DBClusterIdentifier": "none"}, CLUSTER_GONE),
    "start_db_cluster": ({"DBClusterIdentifier": "none"}, CLUSTER_GONE),
    "enable_http_endpoint": ({"ResourceArn": f"{ARNS}cluster:none"}, ("ResourceNotFoundFault", "", 404)),
    "disable_http_endpoint": ({"ResourceArn": f"{ARNS}cluster:none"}, ("ResourceNotFoundFault", "", 404)),
    "add_tags_to_resource": ({"ResourceName": f"{ARNS}cluster:none", "Tags": TAGS}, CLUSTER_GONE),
    "cancel_export_task": ({"ExportTaskIdentifier": "none"}, ("ExportTaskNotFound", "", 404)),
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


def test_a_copy_of_a_snapshot_that_isnt_there(rds: Rds) -> None:
    for source in ("none", f"{ARNS}cluster-snapshot:none"):
        with refused(*SNAPSHOT_GONE):
            copy(rds, source)


def test_an_export_of_a_snapshot_that_isnt_there(rds: Rds) -> None:
    with refused(*SNAPSHOT_GONE):
        rds.client.start_export_task(**rds.export_of(f"{ARNS}cluster-snapshot:none"))


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ("DBClusterParameterGroupName", "DBClusterParameterGroupNotFound"),
        ("DBSubnetGroupName", "DBSubnetGroupNotFoundFault"),
    ],
)
def test_a_restore_into_a_group_that_isnt_there(rds: Rds, named: str, code: str) -> None:
    """The codes are those that botocore's model declares for the operation."""
    with refused(code, status=404):
        restore(rds, rds.snapshot(), **{named: "none"})


def test_an_instance_with_a_group_that_isnt_there(rds: Rds) -> None:
    with refused("DBParameterGroupNotFound", status=404):
        add_instance(rds, rds.cluster(), DBParameterGroupName="none")


def test_no_cluster_has_a_resource_id_that_nobody_has(rds: Rds) -> None:
    nobodys = [{"Name": "db-cluster-resource-id", "Values": ["cluster-NOBODYS"]}]
    assert rds.client.describe_db_clusters(Filters=nobodys)["DBClusters"] == []


# What is there already


def test_a_cluster_of_that_name(rds: Rds) -> None:
    with refused("DBClusterAlreadyExistsFault"):
        restore(rds, rds.snapshot(), DBClusterIdentifier=rds.cluster())


def test_clusters_and_instances_share_their_names(rds: Rds) -> None:
    """API reference, RestoreDBClusterFromSnapshot: the name must not match an existing identifier."""
    cluster, instance = with_an_instance(rds)
    with refused("DBClusterAlreadyExistsFault"):
        restore(rds, rds.snapshot(), DBClusterIdentifier=instance)
    with refused("DBInstanceAlreadyExists"):
        add_instance(rds, cluster, cluster)


def test_an_export_of_that_name(rds: Rds) -> None:
    given = rds.export_of(arn_of(rds, rds.snapshot()))
    rds.client.start_export_task(**given)
    with refused("ExportTaskAlreadyExists"):
        rds.client.start_export_task(**given)


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
    assert found["DBClusterParameterGroup"] == f"default.{FAMILY}"
    chosen = defaults(OF_CLUSTERS)
    assert chosen.pop("StorageType") == "aurora"
    assert "StorageType" not in found, "the standard one is not reported"
    assert {member: found.get(member) for member in chosen} == chosen


def test_a_restored_cluster_has_the_groups_that_it_was_given(rds: Rds) -> None:
    parameters, subnets = rds.cluster_parameter_group(), rds.subnet_group()
    cluster = restore(rds, rds.snapshot(), DBClusterParameterGroupName=parameters, DBSubnetGroupName=subnets)
    rds.settle()
    found = described(rds, cluster)
    assert (found["DBClusterParameterGroup"], found["DBSubnetGroup"]) == (parameters, subnets)
    assert found["VpcSecurityGroups"] == [{"VpcSecurityGroupId": rds.security_group, "Status": "active"}]


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


def test_a_copy_that_is_on_its_way_is_neither_restored_nor_copied_nor_exported(rds: Rds) -> None:
    copied = copy(rds, rds.snapshot())
    with refused("InvalidDBClusterSnapshotStateFault"):
        restore(rds, copied)
    with refused("InvalidDBClusterSnapshotStateFault"):
        copy(rds, copied)
    with refused("InvalidExportSourceState"):
        rds.client.start_export_task(**rds.export_of(arn_of(rds, copied)))


def test_an_instance_is_creating_and_then_the_writer(rds: Rds) -> None:
    cluster = rds.cluster()
    instance = add_instance(rds, cluster)
    assert instance_status(rds, instance) == "creating"
    rds.settle()
    assert instance_status(rds, instance) == "available"
    members = described(rds, cluster)["DBClusterMembers"]
    assert [(each["DBInstanceIdentifier"], each["IsClusterWriter"]) for each in members] == [(instance, True)]
    found, chosen = of_instance(rds, instance), defaults(OF_INSTANCES)
    assert {member: found.get(member) for member in chosen} == chosen
    assert [each["DBParameterGroupName"] for each in found["DBParameterGroups"]] == [f"default.{FAMILY}"]


def test_an_instance_has_the_group_that_it_was_given(rds: Rds) -> None:
    group = rds.parameter_group()
    instance = add_instance(rds, rds.cluster(), DBParameterGroupName=group)
    assert [each["DBParameterGroupName"] for each in of_instance(rds, instance)["DBParameterGroups"]] == [group]


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


def test_changed_groups_are_adding_and_removing_and_then_active_also_for_the_members(rds: Rds) -> None:
    """That they are no less than this is CloudFormation's handler's view (scripts/local_aws/aurora/memberships.py)."""
    cluster, instance = with_an_instance(rds)
    old, new = rds.security_group, rds.another_security_group()
    given = {"DBClusterIdentifier": cluster, "ApplyImmediately": True, "VpcSecurityGroupIds": [new]}
    answer = rds.client.modify_db_cluster(**given)["DBCluster"]
    statuses = {each["VpcSecurityGroupId"]: each["Status"] for each in answer["VpcSecurityGroups"]}
    assert statuses == {old: "removing", new: "adding"}
    rds.settle()
    wanted = [{"VpcSecurityGroupId": new, "Status": "active"}]
    assert described(rds, cluster)["VpcSecurityGroups"] == of_instance(rds, instance)["VpcSecurityGroups"] == wanted


def test_a_secret_that_rds_keeps_is_creating_until_there_is_an_instance(rds: Rds) -> None:
    cluster = rds.cluster()
    modify(rds, cluster, ManageMasterUserPassword=True)
    rds.settle()
    assert described(rds, cluster)["MasterUserSecret"]["SecretStatus"] == "creating"
    add_instance(rds, cluster)
    rds.settle()
    assert described(rds, cluster)["MasterUserSecret"]["SecretStatus"] == "active"


def test_a_password_that_rds_doesnt_keep_isnt_taken_from_it(rds: Rds) -> None:
    with refused("InvalidParameterCombination"):
        modify(rds, rds.cluster(), ManageMasterUserPassword=False, MasterUserPassword="Another-password-1")


def test_an_aurora_cluster_takes_no_settings_of_enhanced_monitoring(rds: Rds) -> None:
    with refused("InvalidParameterCombination"):
        modify(rds, rds.cluster(), MonitoringInterval=60)


@pytest.mark.parametrize("switch", ["enable_http_endpoint", "disable_http_endpoint"])
def test_the_data_api_is_switched_after_the_answer(rds: Rds, switch: str) -> None:
    cluster = rds.cluster()
    arn, wanted = described(rds, cluster)["DBClusterArn"], switch == "enable_http_endpoint"
    if not wanted:
        rds.client.enable_http_endpoint(ResourceArn=arn)
        rds.settle()
    answer = getattr(rds.client, switch)(ResourceArn=arn)
    assert (answer["ResourceArn"], answer["HttpEndpointEnabled"]) == (arn, wanted)
    found = described(rds, cluster)
    assert (found["Status"], found.get("HttpEndpointEnabled", False)) == ("modifying", not wanted)
    with refused("InvalidResourceStateFault"):
        getattr(rds.client, switch)(ResourceArn=arn)
    rds.settle()
    found = described(rds, cluster)
    assert (found["Status"], found["HttpEndpointEnabled"]) == ("available", wanted)
    getattr(rds.client, switch)(ResourceArn=arn)
    assert described(rds, cluster)["Status"] == "available", "nothing is to do"


def test_a_cluster_is_stopped_and_started_with_its_instances(rds: Rds) -> None:
    cluster, instance = with_an_instance(rds)
    named = {"DBClusterIdentifier": cluster}

    def statuses() -> tuple[str, str]:
        return str(described(rds, cluster)["Status"]), instance_status(rds, instance)

    with refused("InvalidDBClusterStateFault"):
        rds.client.start_db_cluster(**named)
    assert rds.client.stop_db_cluster(**named)["DBCluster"]["Status"] == "stopping"
    assert statuses() == ("stopping", "stopping")
    with refused("InvalidDBClusterStateFault"):
        rds.client.stop_db_cluster(**named)
    rds.settle()
    assert statuses() == ("stopped", "stopped")
    assert rds.client.start_db_cluster(**named)["DBCluster"]["Status"] == "starting"
    assert statuses() == ("starting", "starting")
    rds.settle()
    assert statuses() == ("available", "available")


def test_a_cluster_with_an_instance_that_is_busy_isnt_stopped(rds: Rds) -> None:
    cluster, instance = with_an_instance(rds)
    rds.client.reboot_db_instance(DBInstanceIdentifier=instance)
    with refused("InvalidDBInstanceState"):
        rds.client.stop_db_cluster(DBClusterIdentifier=cluster)


def test_an_export_begins_is_cancelled_and_can_be_cancelled_no_more(rds: Rds) -> None:
    given = rds.export_of(arn_of(rds, rds.snapshot()))
    begun = rds.client.start_export_task(**given)
    (found,) = rds.client.describe_export_tasks(ExportTaskIdentifier=given["ExportTaskIdentifier"])["ExportTasks"]
    kept = ("ExportTaskIdentifier", "SourceArn", "S3Prefix", "IamRoleArn", "KmsKeyId")
    for answer in (begun, found):
        assert {member: answer[member] for member in kept} == {member: given[member] for member in kept}
        assert (answer["S3Bucket"], answer["Status"], answer["PercentProgress"]) == (
            given["S3BucketName"],
            "STARTING",
            0,
        )
    named = {"ExportTaskIdentifier": given["ExportTaskIdentifier"]}
    assert rds.client.cancel_export_task(**named)["Status"] == "CANCELING"
    with refused("InvalidExportTaskStateFault"):
        rds.client.cancel_export_task(**named)
    rds.settle()
    assert rds.client.describe_export_tasks(**named)["ExportTasks"][0]["Status"] == "CANCELED"
    with refused("InvalidExportTaskStateFault"):
        rds.client.cancel_export_task(**named)


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
    with refused("InvalidDBClusterStateFault"):
        rds.client.delete_db_cluster(DBClusterIdentifier=cluster, SkipFinalSnapshot=True)
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


def test_automated_backups_go_with_their_cluster_or_are_retained(rds: Rds) -> None:
    retained = [{"Name": "status", "Values": ["retained"]}]
    for deleted in (True, False):
        snapshot = rds.automated_snapshot()
        (found,) = rds.client.describe_db_cluster_snapshots(
            DBClusterSnapshotIdentifier=snapshot, SnapshotType="automated"
        )["DBClusterSnapshots"]
        cluster = found["DBClusterIdentifier"]
        resource_id = described(rds, cluster)["DbClusterResourceId"]
        rds.settle()
        given = {"DBClusterIdentifier": cluster, "SkipFinalSnapshot": True, "DeleteAutomatedBackups": deleted}
        rds.client.delete_db_cluster(**given)
        rds.settle()
        left = rds.client.describe_db_cluster_snapshots(DBClusterIdentifier=cluster)["DBClusterSnapshots"]
        assert [each["DBClusterSnapshotIdentifier"] for each in left] == ([] if deleted else [snapshot])
        backups = rds.client.describe_db_cluster_automated_backups(Filters=retained)["DBClusterAutomatedBackups"]
        of_it = [each for each in backups if each["DbClusterResourceId"] == resource_id]
        assert [each["DBClusterIdentifier"] for each in of_it] == ([] if deleted else [cluster])


def test_an_automated_snapshot_isnt_deleted_by_a_call(rds: Rds) -> None:
    """API reference, DeleteDBClusterSnapshot: it must be a manual one."""
    with refused("InvalidDBClusterSnapshotStateFault"):
        rds.client.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=rds.automated_snapshot())


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


def test_an_automated_snapshot_must_be_asked_for_as_one(rds: Rds) -> None:
    named = {"DBClusterSnapshotIdentifier": rds.automated_snapshot()}
    with refused(*SNAPSHOT_GONE):
        rds.client.describe_db_cluster_snapshots(**named)
    with refused(*SNAPSHOT_GONE):
        rds.client.describe_db_cluster_snapshots(**named, SnapshotType="manual")
    (found,) = rds.client.describe_db_cluster_snapshots(**named, SnapshotType="automated")["DBClusterSnapshots"]
    assert found["SnapshotType"] == "automated"
    manual = {"DBClusterSnapshotIdentifier": rds.snapshot()}
    (found,) = rds.client.describe_db_cluster_snapshots(**manual, SnapshotType="manual")["DBClusterSnapshots"]
    assert found["SnapshotType"] == "manual"


def test_instances_are_found_by_their_names_those_that_exist(rds: Rds) -> None:
    _, instance = with_an_instance(rds)
    wanted = [{"Name": "db-instance-id", "Values": [instance, "nobodys"]}]
    found = rds.client.describe_db_instances(Filters=wanted)["DBInstances"]
    assert [each["DBInstanceIdentifier"] for each in found] == [instance]


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
    (found,) = rds.client.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=arn, IncludeShared=True)[
        "DBClusterSnapshots"
    ]
    assert not found.get("TagList"), "only its owner sees a snapshot's tags"
    assert of_snapshot(rds, copy(rds, arn))["SourceDBClusterSnapshotArn"] == arn
    assert shared_with(theirs, snapshot) == [rds.account]
    answer = theirs.modify_db_cluster_snapshot_attribute(**share, ValuesToRemove=[rds.account])
    (attribute,) = answer["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"]
    assert (attribute["AttributeName"], attribute["AttributeValues"]) == ("restore", [])
    assert shared_with(theirs, snapshot) == []
    assert not seen()


def shared_with(owner: Any, snapshot: str) -> list[str]:
    answer = owner.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier=snapshot)
    (attribute,) = answer["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"]
    return list(attribute["AttributeValues"])


def test_a_copy_names_its_source_by_its_arn(rds: Rds) -> None:
    snapshot = rds.snapshot()
    copied = of_snapshot(rds, copy(rds, snapshot))
    assert copied["SourceDBClusterSnapshotArn"] == arn_of(rds, snapshot)
    assert "DbClusterResourceId" not in copied


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


def test_only_an_available_reader_of_an_available_cluster_becomes_the_writer(rds: Rds) -> None:
    """The codes are those that botocore's model declares for the operation."""
    cluster, writer = with_an_instance(rds)

    def fail_over(target: str) -> None:
        rds.client.failover_db_cluster(DBClusterIdentifier=cluster, TargetDBInstanceIdentifier=target)

    with refused("InvalidDBClusterStateFault"):
        fail_over(writer)
    reader = add_instance(rds, cluster)
    rds.settle()
    for target in (writer, "nobodys"):
        with refused("InvalidDBInstanceState"):
            fail_over(target)
    fail_over(reader)
    assert described(rds, cluster)["Status"] == "failing-over"
    with refused("InvalidDBClusterStateFault"):
        fail_over(reader)
    rds.settle()
    assert described(rds, cluster)["Status"] == "available"


def test_tags_are_added_and_replaced(rds: Rds) -> None:
    cluster, snapshot = rds.cluster(), rds.snapshot()
    for arn in (described(rds, cluster)["DBClusterArn"], arn_of(rds, snapshot)):
        for tags in ([*TAGS, {"Key": "expires", "Value": "today"}], [{"Key": "expires", "Value": "tomorrow"}]):
            rds.client.add_tags_to_resource(ResourceName=arn, Tags=tags)
    for found in (described(rds, cluster), of_snapshot(rds, snapshot)):
        assert found["TagList"] == [*TAGS, {"Key": "expires", "Value": "tomorrow"}]


def test_what_has_happened_is_among_the_events_of_its_kind_and_name(rds: Rds) -> None:
    before = rds.now()
    cluster, instance = with_an_instance(rds)
    other, _ = with_an_instance(rds)
    gone = rds.cluster()
    rds.client.reboot_db_instance(DBInstanceIdentifier=instance)
    rds.client.delete_db_cluster(DBClusterIdentifier=gone, SkipFinalSnapshot=True)
    rds.settle()

    def happened(**asked: Any) -> list[tuple[str, str, list[str]]]:
        events = rds.client.describe_events(**{"StartTime": before, **asked})["Events"]
        found = [(each["SourceIdentifier"], each["Message"], each["EventCategories"]) for each in events]
        return [each for each in found if each in (restart, deletion)]

    restart = (instance, "DB instance restarted", ["availability"])
    deletion = (gone, "DB cluster deleted", ["deletion"])
    assert sorted(happened()) == sorted([restart, deletion])
    assert happened(SourceType="db-cluster") == [deletion]
    assert happened(SourceType="db-instance", SourceIdentifier=instance) == [restart]
    assert happened(SourceType="db-cluster", SourceIdentifier=other) == []
    assert happened(StartTime=rds.now()) == []
    with refused("InvalidParameterCombination", "SourceType must be provided"):
        happened(SourceIdentifier=cluster)


# What is on offer, what may be, and what depends on a cluster


@pytest.mark.parametrize("asked", ["16", "16.6", "16.1", "15.2", "99"])
@pytest.mark.parametrize("all_of_them", [True, False])
def test_versions_are_those_of_the_one_table(rds: Rds, asked: str, all_of_them: bool) -> None:
    answer = rds.client.describe_db_engine_versions(Engine=ENGINE, EngineVersion=asked, IncludeAll=all_of_them)
    found = {each["EngineVersion"]: each for each in answer["DBEngineVersions"]}
    known = [each for each in offers.RELEASES if all_of_them or each not in offers.RETIRED_VERSIONS]
    assert found.keys() == {each for each in known if each == asked or each.startswith(f"{asked}.")}
    for version, each in found.items():
        assert each["Status"] == ("deprecated" if version in offers.RETIRED_VERSIONS else "available")
        targets = [target["EngineVersion"] for target in each["ValidUpgradeTarget"]]
        assert targets == offers.upgrade_targets(version)


@pytest.mark.parametrize("major", ["13", "17", "99"])
def test_support_ends_on_the_days_of_the_one_table(rds: Rds, major: str) -> None:
    answer = rds.client.describe_db_major_engine_versions(Engine=ENGINE, MajorEngineVersion=major)
    found = [
        [each["LifecycleSupportEndDate"].date() for each in described["SupportedEngineLifecycles"]]
        for described in answer["DBMajorEngineVersions"]
    ]
    assert found == [list(ends) for known, ends in offers.SUPPORT_ENDS.items() if known == major]


def test_classes_are_offered_with_versions_that_are(rds: Rds) -> None:
    def storages(version: str, instance_class: str) -> list[str]:
        given = {"Engine": ENGINE, "EngineVersion": version, "DBInstanceClass": instance_class}
        options = rds.client.describe_orderable_db_instance_options(**given)["OrderableDBInstanceOptions"]
        return sorted(each["StorageType"] for each in options)

    assert storages(VERSION, "db.r6g.large") == sorted(offers.STORAGE_TYPES)
    assert (
        storages(VERSION, "db.r99.large") == storages("15.2", "db.r6g.large") == storages("99.1", "db.r6g.large") == []
    )


def test_quotas_count_what_is_there(rds: Rds) -> None:
    def used() -> dict[str, int]:
        quotas = rds.client.describe_account_attributes()["AccountQuotas"]
        assert all(each["Max"] >= each["Used"] for each in quotas)
        wanted = ("DBClusters", "DBInstances", "ManualClusterSnapshots")
        return {each["AccountQuotaName"]: each["Used"] for each in quotas if each["AccountQuotaName"] in wanted}

    before = used()
    with_an_instance(rds)
    rds.automated_snapshot()
    copy(rds, rds.snapshot())
    grown = {each: number - before[each] for each, number in used().items()}
    assert grown == {"DBClusters": 3, "DBInstances": 1, "ManualClusterSnapshots": 2}


def test_groups_are_described_with_what_a_restore_has_to_know(rds: Rds) -> None:
    client = rds.client
    clusters, instances, subnets = rds.cluster_parameter_group(), rds.parameter_group(), rds.subnet_group()
    (found,) = client.describe_db_cluster_parameter_groups(DBClusterParameterGroupName=clusters)[
        "DBClusterParameterGroups"
    ]
    assert (found["DBClusterParameterGroupName"], found["DBParameterGroupFamily"]) == (clusters, FAMILY)
    (found,) = client.describe_db_parameter_groups(DBParameterGroupName=instances)["DBParameterGroups"]
    assert (found["DBParameterGroupName"], found["DBParameterGroupFamily"]) == (instances, FAMILY)
    (found,) = client.describe_db_subnet_groups(DBSubnetGroupName=subnets)["DBSubnetGroups"]
    assert (found["DBSubnetGroupName"], found["VpcId"][:4]) == (subnets, "vpc-")
    zones = {each["SubnetAvailabilityZone"]["Name"] for each in found["Subnets"]}
    assert {"us-east-1a", "us-east-1b"} <= zones


def test_a_groups_parameters_come_with_their_values(rds: Rds) -> None:
    group = rds.cluster_parameter_group(**{"rds.logical_replication": "1", "cron.database_name": "app"})
    pages = rds.client.get_paginator("describe_db_cluster_parameters").paginate(DBClusterParameterGroupName=group)
    found = {each["ParameterName"]: each.get("ParameterValue") for page in pages for each in page["Parameters"]}
    assert (found["rds.logical_replication"], found["cron.database_name"]) == ("1", "app")
    assert rds.client.describe_db_parameters(DBParameterGroupName=rds.parameter_group())["Parameters"] == []


def test_a_proxy_is_found_with_the_cluster_that_it_leads_to(rds: Rds) -> None:
    cluster = rds.cluster()
    proxy = rds.proxy_for(cluster)
    families = {each["DBProxyName"]: each["EngineFamily"] for each in rds.client.describe_db_proxies()["DBProxies"]}
    assert families[proxy] == "POSTGRESQL"
    (target,) = rds.client.describe_db_proxy_targets(DBProxyName=proxy)["Targets"]
    assert (target["Type"], target["RdsResourceId"]) == ("TRACKED_CLUSTER", cluster)


def test_deployments_and_integrations_name_their_source(rds: Rds) -> None:
    cluster = rds.cluster()
    arn = described(rds, cluster)["DBClusterArn"]
    rds.depended_on(cluster)
    deployments = rds.client.describe_blue_green_deployments()["BlueGreenDeployments"]
    assert [each["Source"] for each in deployments if each["Source"] == arn] == [arn]
    integrations = rds.client.describe_integrations()["Integrations"]
    assert [each["SourceArn"] for each in integrations if each["SourceArn"] == arn] == [arn]


def test_maintenance_is_pending_for_what_it_is_planned_for(rds: Rds) -> None:
    cluster, other = rds.cluster(), rds.cluster()
    rds.planned_for(cluster)

    def planned(arn: str) -> list[str]:
        found = rds.client.describe_pending_maintenance_actions(ResourceIdentifier=arn)["PendingMaintenanceActions"]
        assert {each["ResourceIdentifier"] for each in found} <= {arn}
        return [action["Action"] for each in found for action in each["PendingMaintenanceActionDetails"]]

    assert planned(described(rds, cluster)["DBClusterArn"]) == ["system-update"]
    assert planned(described(rds, other)["DBClusterArn"]) == []


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


# Nothing else is known to the unit tests' RDS


def cases() -> Iterator[Callable[[Rds], None]]:
    """Yield each test of this file, once for each of its parameters, as a function of the RDS that it asks."""
    for test in vars(sys.modules[__name__]).values():
        if not inspect.isfunction(test) or not test.__name__.startswith("test_"):
            continue
        rows: list[dict[str, Any]] = [{}]
        for mark in getattr(test, "pytestmark", ()):
            names, values = mark.args
            several = [(each,) for each in values] if isinstance(names, str) else values
            wanted = (names,) if isinstance(names, str) else names
            rows = [{**row, **dict(zip(wanted, each, strict=True))} for row in rows for each in several]
        if inspect.signature(test).parameters.keys() >= {"rds"}:
            yield from (functools.partial(test, **row) for row in rows)


def test_the_unit_tests_rds_answers_nothing_that_has_no_case_here() -> None:
    """Whoever teaches it an operation or a refusal adds a case, so that the embedded Aurora is asked the same."""
    heard: set[Answer] = set()
    for case in cases():
        case(Faked(heard))
    assert possible_answers() == heard
