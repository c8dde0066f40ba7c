"""A cluster gets another name: what follows the name, what follows the cluster, and what is refused."""

from __future__ import annotations

import socket
from typing import Any

import psycopg2
import pytest

from scripts.local_aws.core.credentials import aws_client
from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora_support import (
    PASSWORD,
    Answer,
    add_instance,
    cluster,
    log_in,
    name,
    new_cluster,
    query,
    refused,
    running_cluster,
)
from tests.integration.local_aws.conftest import MakeRole, allow


def rename(aws: LocalAws, old: str, new: str, **settings: Any) -> Answer:
    given = {"DBClusterIdentifier": old, "NewDBClusterIdentifier": new, "ApplyImmediately": True, **settings}
    answer: Answer = aws.client("rds").modify_db_cluster(**given)["DBCluster"]
    return answer


def renamed(aws: LocalAws, old: str, new: str | None = None) -> Answer:
    """Rename and wait until it is done; the description under the new name."""
    new = new or name("renamed")
    rename(aws, old, new)
    aws.clock.sleep(aws.aurora.durations.rename_cluster + 1)
    return cluster(aws, new)


def as_role(aws: LocalAws, arn: str) -> Any:
    given = {"service": "lambda.amazonaws.com", "session_name": "test", "region": "us-east-1"}
    return aws_client("rds", "us-east-1", aws.endpoint_url, aws.permissions.assume(arn, **given), attempts=1)


def by_resource_id(aws: LocalAws, resource_id: str) -> list[Answer]:
    wanted = [{"Name": "db-cluster-resource-id", "Values": [resource_id]}]
    found: list[Answer] = aws.client("rds").describe_db_clusters(Filters=wanted)["DBClusters"]
    return found


def answers(described: Answer) -> bool:
    try:
        socket.create_connection((described["Endpoint"], described["Port"]), 2).close()
    except ConnectionRefusedError:
        return False
    return True


def test_the_old_name_is_held_until_the_new_one_is_there(aws: LocalAws) -> None:
    old, new = name("old"), name("new")
    before = new_cluster(aws, old)
    answer = rename(aws, old, new)
    assert (answer["DBClusterIdentifier"], answer["Status"]) == (old, "renaming")
    assert cluster(aws, old)["Status"] == "renaming"
    with refused("DBClusterNotFoundFault", status=404):
        cluster(aws, new)
    aws.clock.sleep(aws.aurora.durations.rename_cluster + 1)
    with refused("DBClusterNotFoundFault", status=404):
        cluster(aws, old)
    after = cluster(aws, new)
    assert (after["Status"], after["DbClusterResourceId"]) == ("available", before["DbClusterResourceId"])
    assert after["DBClusterArn"] == before["DBClusterArn"].replace(old, new)
    assert [each["DBClusterIdentifier"] for each in by_resource_id(aws, before["DbClusterResourceId"])] == [new]


def test_neither_name_is_free_while_the_cluster_is_renamed_and_the_old_one_is_afterwards(aws: LocalAws) -> None:
    old, new, other = name("old"), name("new"), name("other")
    new_cluster(aws, old)
    new_cluster(aws, other)
    rename(aws, old, new)
    for taken in (old, new):
        with refused("DBClusterAlreadyExistsFault"):
            rename(aws, other, taken)
        with refused("DBClusterAlreadyExistsFault"):
            new_cluster(aws, taken)
        with refused("DBInstanceAlreadyExists"):
            add_instance(aws, other, DBInstanceIdentifier=taken)
    aws.clock.sleep(aws.aurora.durations.rename_cluster + 1)
    assert renamed(aws, other, old)["DBClusterIdentifier"] == old


def test_a_name_of_a_cluster_or_an_instance_is_refused(aws: LocalAws) -> None:
    first, second = name("first"), name("second")
    new_cluster(aws, first)
    new_cluster(aws, second)
    member = add_instance(aws, second)
    with refused("DBClusterAlreadyExistsFault"):
        rename(aws, first, second)
    with refused("DBInstanceAlreadyExists"):
        rename(aws, first, member)
    with refused("InvalidParameterValue", "is not a valid identifier"):
        rename(aws, first, "two--hyphens")
    assert cluster(aws, first)["Status"] == "available"


@pytest.mark.parametrize("status", ["renaming", "backing-up", "modifying", "stopped", "stopping", "starting"])
def test_a_cluster_that_is_not_available_is_not_renamed(aws: LocalAws, status: str) -> None:
    identifier = name("busy")
    new_cluster(aws, identifier)
    aws.aurora.cluster(identifier).rest(status)
    with refused("InvalidDBClusterStateFault", status):
        rename(aws, identifier, name("renamed"))


def test_nothing_else_is_changed_while_a_cluster_is_renamed(aws: LocalAws) -> None:
    identifier = name("old")
    new_cluster(aws, identifier)
    rename(aws, identifier, name("new"))
    rds = aws.client("rds")
    with refused("InvalidDBClusterStateFault"):
        rds.modify_db_cluster(DBClusterIdentifier=identifier, DeletionProtection=True, ApplyImmediately=True)
    with refused("InvalidDBClusterStateFault"):
        rds.delete_db_cluster(DBClusterIdentifier=identifier, SkipFinalSnapshot=True)
    with refused("InvalidDBClusterStateFault"):
        add_instance(aws, identifier)


@pytest.mark.full
def test_without_apply_immediately_a_rename_is_pending_until_something_is_applied(aws: LocalAws) -> None:
    old, new = name("old"), name("new")
    new_cluster(aws, old)
    answer = rename(aws, old, new, ApplyImmediately=False)
    assert (answer["Status"], answer["PendingModifiedValues"]) == ("available", {"DBClusterIdentifier": new})
    aws.clock.sleep(8 * 86_400)
    assert cluster(aws, old)["PendingModifiedValues"] == {"DBClusterIdentifier": new}
    aws.client("rds").modify_db_cluster(DBClusterIdentifier=old, BackupRetentionPeriod=9, ApplyImmediately=True)
    assert cluster(aws, old)["Status"] == "renaming"
    aws.clock.sleep(aws.aurora.durations.rename_cluster + 1)
    after = cluster(aws, new)
    assert (after["BackupRetentionPeriod"], after.get("PendingModifiedValues", {})) == (9, {})


def test_a_rename_applies_what_is_pending(aws: LocalAws) -> None:
    identifier = name("old")
    new_cluster(aws, identifier, EngineVersion="16.6")
    aws.aurora.cluster(identifier).pending = {"EngineVersion": "16.8"}
    assert cluster(aws, identifier)["PendingModifiedValues"] == {"EngineVersion": "16.8"}
    after = renamed(aws, identifier)
    assert (after["EngineVersion"], after.get("PendingModifiedValues", {})) == ("16.8", {})


def test_members_tags_and_protection_stay_with_the_cluster(aws: LocalAws) -> None:
    old, new = name("old"), name("new")
    tags = [{"Key": "team", "Value": "orders"}]
    before = new_cluster(aws, old, DeletionProtection=True, Tags=tags, PreferredBackupWindow="03:00-04:00")
    member = add_instance(aws, old)
    after = renamed(aws, old, new)
    kept = ("DeletionProtection", "TagList", "PreferredBackupWindow", "DbClusterResourceId", "VpcSecurityGroups")
    assert {each: after[each] for each in kept} == {each: before[each] for each in kept}
    assert [each["DBInstanceIdentifier"] for each in after["DBClusterMembers"]] == [member]
    (instance,) = aws.client("rds").describe_db_instances(DBInstanceIdentifier=member)["DBInstances"]
    assert instance["DBClusterIdentifier"] == new
    assert aws.client("rds").list_tags_for_resource(ResourceName=after["DBClusterArn"])["TagList"] == tags


def test_two_clusters_change_places_and_keep_what_is_theirs(aws: LocalAws) -> None:
    live, beside = name("live"), name("beside")
    first, second = new_cluster(aws, live), new_cluster(aws, beside)
    previous = name("previous")
    renamed(aws, live, previous)
    renamed(aws, beside, live)
    assert cluster(aws, live)["DbClusterResourceId"] == second["DbClusterResourceId"]
    assert cluster(aws, previous)["DbClusterResourceId"] == first["DbClusterResourceId"]
    assert (cluster(aws, live)["Endpoint"], cluster(aws, live)["Port"]) == (first["Endpoint"], first["Port"])


def test_members_of_global_databases_and_shared_clusters_are_not_renamed(aws: LocalAws) -> None:
    identifier, database = name("global"), name("database")
    arn = new_cluster(aws, identifier)["DBClusterArn"]
    rds = aws.client("rds")
    sharing = aws.client("ram")
    share = sharing.create_resource_share(name="with-others", resourceArns=[arn])["resourceShare"]["resourceShareArn"]
    with refused("InvalidDBClusterStateFault", "shared"):
        rename(aws, identifier, name("renamed"))
    sharing.disassociate_resource_share(resourceShareArn=share, resourceArns=[arn])
    rds.create_global_cluster(GlobalClusterIdentifier=database, SourceDBClusterIdentifier=arn)
    with refused("InvalidGlobalClusterStateFault"):
        rename(aws, identifier, name("renamed"))
    rds.remove_from_global_cluster(GlobalClusterIdentifier=database, DbClusterIdentifier=arn)
    aws.clock.sleep(aws.aurora.durations.modify_cluster + 1)
    rds.delete_global_cluster(GlobalClusterIdentifier=database)


def test_a_snapshot_keeps_the_name_that_it_was_taken_under(aws: LocalAws) -> None:
    identifier = name("old")
    new_cluster(aws, identifier)
    taken = aws.aurora.take_automated_snapshot(identifier)
    aws.clock.sleep(aws.aurora.durations.create_snapshot + 1)
    renamed(aws, identifier)
    kept = aws.client("rds").describe_db_cluster_snapshots(DBClusterIdentifier=identifier)["DBClusterSnapshots"]
    assert [each["DBClusterSnapshotIdentifier"] for each in kept] == [taken]


def test_an_event_reports_both_names(aws: LocalAws) -> None:
    old, new = name("old"), name("new")
    new_cluster(aws, old)
    renamed(aws, old, new)
    found = aws.client("rds").describe_events(SourceType="db-cluster", SourceIdentifier=new)["Events"]
    assert [(each["Message"], each["EventCategories"]) for each in found] == [
        (f"Renamed cluster from {old} to {new}", ["notification"])
    ]


def test_a_rename_that_a_fault_strikes_ends_under_the_old_name(aws: LocalAws) -> None:
    old, new = name("old"), name("new")
    new_cluster(aws, old)
    aws.faults.add(lifecycle="rename-cluster", identifier=old)
    rename(aws, old, new)
    aws.clock.sleep(aws.aurora.durations.rename_cluster + 1)
    assert cluster(aws, old)["Status"] == "available"
    assert renamed(aws, old, new)["DBClusterIdentifier"] == new


def test_the_address_follows_the_name_and_sessions_stay(aws: LocalAws) -> None:
    live, beside, previous = name("live"), name("beside"), name("previous")
    old, fresh = running_cluster(aws, live), running_cluster(aws, beside)
    session = log_in(aws, old, PASSWORD)
    query(session, "create table here as select 'old' as cluster")
    query(log_in(aws, fresh, PASSWORD), "create table here as select 'new' as cluster")
    rename(aws, live, previous)
    assert not answers(old), "the name does not exist while its cluster is renamed"
    aws.clock.sleep(aws.aurora.durations.rename_cluster + 1)
    kept = cluster(aws, previous)
    assert not answers(old)
    assert answers(kept)
    assert kept["Endpoint"] != old["Endpoint"]
    rename(aws, beside, live)
    assert not answers(old)
    aws.clock.sleep(aws.aurora.durations.rename_cluster + 1)
    assert not answers(fresh)
    assert cluster(aws, live)["Endpoint"] == old["Endpoint"]
    assert query(log_in(aws, cluster(aws, live), PASSWORD, sslmode="require"), "select * from here") == [("new",)]
    assert query(session, "select * from here") == [("old",)], "nobody has ended this session"
    # Neither has been restarted: each has the certificate of the name that it had.
    for each in (live, previous):
        with pytest.raises(psycopg2.OperationalError, match="certificate"):
            log_in(aws, cluster(aws, each), PASSWORD)


# What is seen late, or not at all


def test_a_stale_view_shows_the_old_name(aws: LocalAws) -> None:
    old, new = name("old"), name("new")
    resource_id = new_cluster(aws, old)["DbClusterResourceId"]
    rename(aws, old, new)
    stale = {"operation": "rds:DescribeDBClusters", "answer": "stale"}
    aws.faults.add(**stale)
    assert cluster(aws, old)["Status"] == "available"
    assert cluster(aws, old)["Status"] == "renaming"
    aws.clock.sleep(aws.aurora.durations.rename_cluster + 1)
    aws.faults.add(**stale)
    (found,) = by_resource_id(aws, resource_id)
    assert (found["DBClusterIdentifier"], found["Status"]) == (old, "renaming")
    aws.faults.add(**stale)
    with refused("DBClusterNotFoundFault", status=404):
        cluster(aws, new)
    assert cluster(aws, new)["Status"] == "available"


def test_a_cluster_can_be_unseen_once(aws: LocalAws) -> None:
    identifier = name("there")
    resource_id = new_cluster(aws, identifier)["DbClusterResourceId"]
    aws.faults.add(operation="rds:DescribeDBClusters", answer="empty", times=2)
    assert by_resource_id(aws, resource_id) == []
    with refused("DBClusterNotFoundFault", status=404):
        cluster(aws, identifier)
    assert len(by_resource_id(aws, resource_id)) == 1
    with pytest.raises(ValueError, match="only rds:DescribeDBClusters can be stale"):
        aws.faults.add(operation="rds:DescribeDBInstances", answer="stale")


# The Data API


def test_the_data_api_is_dead_after_a_rename_until_it_is_switched_off_and_on(aws: LocalAws) -> None:
    old, new = name("old"), name("new")
    rds, settle = aws.client("rds"), aws.aurora.durations.modify_cluster + 1
    rds.enable_http_endpoint(ResourceArn=new_cluster(aws, old)["DBClusterArn"])
    aws.clock.sleep(settle)
    assert aws.aurora.cluster(old).data_api_answers
    after = renamed(aws, old, new)
    assert after["HttpEndpointEnabled"], "whether a description shows it is not verified"
    assert not aws.aurora.cluster(new).data_api_answers
    rds.enable_http_endpoint(ResourceArn=after["DBClusterArn"])
    aws.clock.sleep(settle)
    assert not aws.aurora.cluster(new).data_api_answers, "it was on already"
    for switch in (rds.disable_http_endpoint, rds.enable_http_endpoint):
        switch(ResourceArn=after["DBClusterArn"])
        aws.clock.sleep(settle)
    assert aws.aurora.cluster(new).data_api_answers


# Who may


def test_a_role_needs_permission_for_both_names(aws: LocalAws, make_role: MakeRole) -> None:
    """Whether AWS checks the new name too, and with whose tags, is not verified: it is the stricter assumption."""
    old, new = name("old"), name("new")
    arn = new_cluster(aws, old, Tags=[{"Key": "ours", "Value": "yes"}])["DBClusterArn"]
    given = {"DBClusterIdentifier": old, "NewDBClusterIdentifier": new, "ApplyImmediately": True}
    by_tag = {
        **allow("rds:ModifyDBCluster"),
        "Condition": {"StringEquals": {"aws:ResourceTag/ours": "yes"}},
    }
    by_name = allow("rds:ModifyDBCluster", arn.replace(old, new))
    for statements in ([by_tag], [by_name]):
        with refused("AccessDenied", status=403):
            as_role(aws, make_role("lambda", *statements)).modify_db_cluster(**given)
    as_role(aws, make_role("lambda", by_tag, by_name)).modify_db_cluster(**given)
    assert cluster(aws, old)["Status"] == "renaming"


def test_a_name_that_a_resolver_has_forgotten_leads_nowhere_for_so_long(aws: LocalAws) -> None:
    old, new = name("old"), name("new")
    running_cluster(aws, old)
    aws.faults.add(name=new, seconds=600)
    after = renamed(aws, old, new)
    assert not answers(after)
    aws.clock.sleep(598)
    assert not answers(after)
    aws.clock.sleep(4)
    assert answers(after)
    assert not aws.faults.pending()


def test_a_name_that_a_resolver_remembers_leads_to_the_cluster_that_had_it(aws: LocalAws) -> None:
    shop, kept, new = name("shop"), name("kept"), name("new")
    before = running_cluster(aws, shop)
    running_cluster(aws, new)
    (member,) = [each["DBInstanceIdentifier"] for each in before["DBClusterMembers"]]
    renamed(aws, shop, kept)
    aws.faults.add(name=shop, seconds=300, leads=kept)
    after = renamed(aws, new, shop)
    asked = "select aurora_db_instance_identifier()"
    # It is the old server: its certificate has its name since it was last started.
    assert query(log_in(aws, after, PASSWORD), asked) == [(member,)]
    aws.clock.sleep(301)
    (own,) = [each["DBInstanceIdentifier"] for each in after["DBClusterMembers"]]
    assert query(log_in(aws, after, PASSWORD, sslmode="require"), asked) == [(own,)]


def test_a_cluster_that_is_backed_up_is_not_renamed_meanwhile(aws: LocalAws) -> None:
    identifier = name("busy")
    new_cluster(aws, identifier)
    aws.aurora.keep_busy(identifier, "backing-up", 300)
    assert cluster(aws, identifier)["Status"] == "backing-up"
    with refused("InvalidDBClusterStateFault", "backing-up"):
        rename(aws, identifier, name("renamed"))
    aws.clock.sleep(301)
    renamed(aws, identifier)


def test_a_cluster_that_is_deleted_is_reported_under_the_name_that_it_had(aws: LocalAws) -> None:
    old = name("old")
    new_cluster(aws, old)
    new = renamed(aws, old)["DBClusterIdentifier"]
    aws.client("rds").delete_db_cluster(DBClusterIdentifier=new, SkipFinalSnapshot=True)
    aws.clock.sleep(aws.aurora.durations.delete_cluster + 1)
    events = aws.client("rds").describe_events(SourceType="db-cluster", EventCategories=["deletion"])["Events"]
    reported = {each["SourceIdentifier"]: each["Message"] for each in events}
    assert reported.get(new) == "DB cluster deleted"
    assert old not in reported
