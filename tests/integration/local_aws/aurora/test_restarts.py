"""What ends sessions and renews certificates: reboots, and a cluster that is stopped and started."""

from __future__ import annotations

from typing import Any

import psycopg2
import pytest

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora.test_renames import answers, renamed
from tests.integration.local_aws.aurora_support import (
    PASSWORD,
    Answer,
    add_instance,
    cluster,
    instance_status,
    log_in,
    name,
    new_cluster,
    query,
    refused,
    running_cluster,
)


def with_a_reader(aws: LocalAws) -> tuple[Answer, str, str]:
    """A running cluster, its writer and a reader."""
    found = running_cluster(aws, name("production"))
    add_instance(aws, found["DBClusterIdentifier"])
    aws.clock.sleep(aws.aurora.durations.create_instance + 3 * aws.aurora.durations.settle)
    found = cluster(aws, found["DBClusterIdentifier"])
    writer, reader = sorted(found["DBClusterMembers"], key=lambda each: not each["IsClusterWriter"])
    return found, writer["DBInstanceIdentifier"], reader["DBInstanceIdentifier"]


def at(aws: LocalAws, described: Answer, instance: str) -> Answer:
    """The cluster as one connects to it at the endpoint of one instance."""
    (found,) = aws.client("rds").describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"]
    return {**described, "Endpoint": found["Endpoint"]["Address"], "Port": found["Endpoint"]["Port"]}


def reboot(aws: LocalAws, *instances: str) -> None:
    for each in instances:
        aws.client("rds").reboot_db_instance(DBInstanceIdentifier=each)
    aws.clock.sleep(aws.aurora.durations.reboot_instance + 1)
    assert {instance_status(aws, each) for each in instances} == {"available"}


def stop(aws: LocalAws, identifier: str) -> None:
    aws.client("rds").stop_db_cluster(DBClusterIdentifier=identifier)
    aws.clock.sleep(aws.aurora.durations.stop_cluster + 1)
    assert cluster(aws, identifier)["Status"] == "stopped"


def verifies(aws: LocalAws, described: Answer) -> bool:
    try:
        log_in(aws, described, PASSWORD).close()
    except psycopg2.OperationalError as error:
        if "certificate" not in str(error):
            raise
        return False
    return True


def is_open(session: Any) -> bool:
    try:
        query(session, "select 1")
    except psycopg2.OperationalError:
        return False
    return True


def test_a_certificate_has_the_new_name_when_every_member_has_been_rebooted(aws: LocalAws) -> None:
    before, writer, reader = with_a_reader(aws)
    assert verifies(aws, before)
    after = renamed(aws, before["DBClusterIdentifier"])
    assert not verifies(aws, after)
    assert verifies(aws, at(aws, after, writer)), "an instance's own name stays in its certificate"
    reboot(aws, writer)
    assert not verifies(aws, after), "the reader has not been restarted"
    reboot(aws, reader)
    assert verifies(aws, after)
    assert verifies(aws, at(aws, after, reader))


def test_a_cluster_that_is_stopped_and_started_has_a_new_certificate(aws: LocalAws) -> None:
    before = running_cluster(aws, name("old"))
    after = renamed(aws, before["DBClusterIdentifier"])
    session = log_in(aws, after, PASSWORD, sslmode="require")
    stop(aws, after["DBClusterIdentifier"])
    assert not is_open(session)
    assert not answers(after)
    aws.client("rds").start_db_cluster(DBClusterIdentifier=after["DBClusterIdentifier"])
    assert cluster(aws, after["DBClusterIdentifier"])["Status"] == "starting"
    aws.clock.sleep(aws.aurora.durations.start_cluster + 1)
    assert cluster(aws, after["DBClusterIdentifier"])["Status"] == "available"
    assert verifies(aws, after)


def test_a_restart_that_a_fault_strikes_leaves_the_certificate_as_it_was(aws: LocalAws) -> None:
    before = running_cluster(aws, name("old"))
    after = renamed(aws, before["DBClusterIdentifier"])
    (member,) = after["DBClusterMembers"]
    aws.faults.add(lifecycle="renew-certificate", identifier=member["DBInstanceIdentifier"])
    reboot(aws, member["DBInstanceIdentifier"])
    assert not verifies(aws, after)
    reboot(aws, member["DBInstanceIdentifier"])
    assert verifies(aws, after)


def test_a_reboot_ends_the_sessions_of_its_own_instance(aws: LocalAws) -> None:
    found, writer, reader = with_a_reader(aws)
    of_writer, of_reader = log_in(aws, found, PASSWORD), log_in(aws, at(aws, found, reader), PASSWORD)
    aws.client("rds").reboot_db_instance(DBInstanceIdentifier=writer)
    aws.aurora.tasks.settle()
    assert instance_status(aws, writer) == "rebooting"
    assert not is_open(of_writer)
    assert is_open(of_reader)
    assert not answers(found)
    assert answers(at(aws, found, reader))
    aws.clock.sleep(aws.aurora.durations.reboot_instance + 1)
    assert answers(found)
    events = aws.client("rds").describe_events(SourceType="db-instance", SourceIdentifier=writer)["Events"]
    assert [each["Message"] for each in events] == ["DB instance created", "DB instance restarted"]


def test_a_transaction_that_a_reboot_interrupts_is_rolled_back(aws: LocalAws) -> None:
    found = running_cluster(aws, name("production"))
    session = log_in(aws, found, PASSWORD)
    query(session, "create table kept ()")
    query(session, "begin")
    query(session, "insert into kept default values")
    reboot(aws, found["DBClusterMembers"][0]["DBInstanceIdentifier"])
    assert not is_open(session)
    assert query(log_in(aws, found, PASSWORD), "select count(*) from kept") == [(0,)]


def test_a_session_knows_its_instance(aws: LocalAws) -> None:
    found, writer, reader = with_a_reader(aws)
    asked = "select aurora_db_instance_identifier()"
    assert query(log_in(aws, found, PASSWORD), asked) == [(writer,)]
    assert query(log_in(aws, at(aws, found, reader), PASSWORD, "postgres"), asked) == [(reader,)]


def test_the_master_user_ends_another_session(aws: LocalAws) -> None:
    found = running_cluster(aws, name("production"))
    idle, ender = log_in(aws, found, PASSWORD), log_in(aws, found, PASSWORD)
    own = "pid <> pg_backend_pid() and backend_type = 'client backend' and usename = 'postgres'"
    assert query(ender, f"select pg_terminate_backend(pid) from pg_stat_activity where {own}") == [(True,)]
    assert not is_open(idle)
    assert is_open(ender)


def test_what_is_not_available_is_neither_rebooted_nor_stopped_nor_started(aws: LocalAws) -> None:
    identifier = name("busy")
    new_cluster(aws, identifier)
    member = add_instance(aws, identifier)
    rds = aws.client("rds")
    with refused("InvalidDBInstanceState"):
        rds.reboot_db_instance(DBInstanceIdentifier=member)
    with refused("DBInstanceNotFound", status=404):
        rds.reboot_db_instance(DBInstanceIdentifier="none")
    with refused("InvalidDBInstanceState"):
        rds.stop_db_cluster(DBClusterIdentifier=identifier)
    with refused("InvalidDBClusterStateFault"):
        rds.start_db_cluster(DBClusterIdentifier=identifier)


@pytest.mark.full
def test_a_stopped_cluster_takes_no_changes_and_starts_after_a_week(aws: LocalAws) -> None:
    identifier = name("stopped")
    found = running_cluster(aws, identifier)
    member = found["DBClusterMembers"][0]["DBInstanceIdentifier"]
    stop(aws, identifier)
    rds = aws.client("rds")
    assert instance_status(aws, member) == "stopped"
    with refused("InvalidDBClusterStateFault"):
        rds.modify_db_cluster(DBClusterIdentifier=identifier, DeletionProtection=True, ApplyImmediately=True)
    with refused("InvalidDBClusterStateFault", "start it first"):
        rds.delete_db_instance(DBInstanceIdentifier=member, SkipFinalSnapshot=True)
    aws.clock.sleep(7 * 86_400 + aws.aurora.durations.start_cluster)
    assert (cluster(aws, identifier)["Status"], instance_status(aws, member)) == ("available", "available")
    messages = [
        each["Message"]
        for each in rds.describe_events(SourceType="db-cluster", SourceIdentifier=identifier, Duration=14 * 1440)[
            "Events"
        ]
    ]
    assert messages == ["DB cluster created", "DB cluster stopped", "DB cluster started"]
