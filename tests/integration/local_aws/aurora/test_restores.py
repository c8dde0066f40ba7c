"""What a cluster takes between its restore and its first login: the order in which CloudFormation's handler calls."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora_support import (
    PASSWORD,
    add_instance,
    cluster,
    instance_status,
    log_in,
    name,
    new_cluster,
    refused,
    restore,
    running_cluster,
    take_snapshot,
)

NEW_PASSWORD = "Second-password2"


@pytest.fixture(scope="module")
def production(aws: LocalAws) -> str:
    """The snapshot of a cluster with a database."""
    return take_snapshot(aws, running_cluster(aws, name("production"))["DBClusterIdentifier"])


@pytest.fixture
def restored(aws: LocalAws, production: str) -> str:
    """A restored cluster, available and without an instance; its name."""
    identifier: str = restore(aws, production)["DBClusterIdentifier"]
    aws.clock.sleep(aws.aurora.durations.restore_cluster + 1)
    assert cluster(aws, identifier)["Status"] == "available"
    return identifier


@pytest.fixture
def accepting(aws: LocalAws) -> Iterator[None]:
    aws.aurora.accepts_instances_while_modifying = True
    yield
    aws.aurora.accepts_instances_while_modifying = False


@pytest.mark.parametrize(
    "asked",
    [
        {"EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": 7},
        {"EnablePerformanceInsights": False},
        {"MonitoringInterval": 60},
        {"MonitoringInterval": 0},
    ],
)
def test_a_restore_takes_no_insights_and_no_monitoring_whatever_they_say(
    aws: LocalAws, production: str, asked: dict[str, Any]
) -> None:
    """AWS's answer, for every source that isn't Limitless (boto/boto3#4634)."""
    with refused("InvalidParameterCombination", "only when restoring from a source Aurora Limitless DB cluster"):
        restore(aws, production, **asked)


def test_a_cluster_takes_insights_in_both_modes_and_no_monitoring(aws: LocalAws, restored: str) -> None:
    rds, seven = aws.client("rds"), {"EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": 7}
    assert "PerformanceInsightsEnabled" not in cluster(aws, restored)
    with refused("InvalidParameterCombination", "Set it for its DB instances"):
        rds.modify_db_cluster(DBClusterIdentifier=restored, MonitoringInterval=60)
    rds.modify_db_cluster(DBClusterIdentifier=restored, **seven)
    described = cluster(aws, restored)
    assert (described["DatabaseInsightsMode"], described["PerformanceInsightsRetentionPeriod"]) == ("standard", 7)
    aws.clock.sleep(aws.aurora.durations.modify_cluster + 1)
    advanced = {**seven, "PerformanceInsightsRetentionPeriod": 465, "DatabaseInsightsMode": "advanced"}
    rds.modify_db_cluster(DBClusterIdentifier=restored, **advanced)
    assert cluster(aws, restored)["PerformanceInsightsRetentionPeriod"] == 465


def test_a_new_password_is_in_force_before_there_is_an_instance(aws: LocalAws, restored: str) -> None:
    """CloudFormation's handler waits until nothing is pending, with no instance there."""
    rds, durations = aws.client("rds"), aws.aurora.durations
    rds.modify_db_cluster(
        DBClusterIdentifier=restored,
        MasterUserPassword=NEW_PASSWORD,
        BackupRetentionPeriod=7,
        PreferredBackupWindow="03:00-03:30",
        ApplyImmediately=True,
    )
    asked = cluster(aws, restored)
    assert (asked["Status"], asked["PendingModifiedValues"]) == ("modifying", {"MasterUserPassword": "****"})
    with refused("InvalidDBClusterStateFault"):
        add_instance(aws, restored)
    aws.clock.sleep(durations.modify_cluster + durations.reset_without_instances + 1)
    assert "PendingModifiedValues" not in cluster(aws, restored)
    assert not aws.aurora.cluster(restored).postgres.is_running
    add_instance(aws, restored)
    aws.clock.sleep(durations.create_instance + 1)
    described = cluster(aws, restored)
    log_in(aws, described, NEW_PASSWORD).close()
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        log_in(aws, described, PASSWORD)
    assert (described["BackupRetentionPeriod"], described["PreferredBackupWindow"]) == (7, "03:00-03:30")


@pytest.mark.usefixtures("accepting")
def test_rds_may_as_well_accept_an_instance_while_it_modifies_the_cluster(aws: LocalAws, restored: str) -> None:
    rds, durations = aws.client("rds"), aws.aurora.durations
    rds.modify_db_cluster(DBClusterIdentifier=restored, MasterUserPassword=NEW_PASSWORD, BackupRetentionPeriod=7)
    assert cluster(aws, restored)["Status"] == "modifying"
    member = add_instance(aws, restored)
    aws.clock.sleep(durations.create_instance + 1)
    assert instance_status(aws, member) == "available"
    log_in(aws, cluster(aws, restored), NEW_PASSWORD).close()


def test_a_secret_that_rds_keeps_stays_creating_until_there_is_an_instance(aws: LocalAws, restored: str) -> None:
    rds, durations = aws.client("rds"), aws.aurora.durations
    rds.modify_db_cluster(DBClusterIdentifier=restored, ManageMasterUserPassword=True, ApplyImmediately=True)
    aws.clock.sleep(10 * durations.reset_without_instances)
    alone = cluster(aws, restored)
    assert "PendingModifiedValues" not in alone
    assert alone["MasterUserSecret"]["SecretStatus"] == "creating"
    add_instance(aws, restored)
    aws.clock.sleep(durations.create_instance + 1)
    described = cluster(aws, restored)
    assert described["MasterUserSecret"]["SecretStatus"] == "active"
    kept = aws.client("secretsmanager").get_secret_value(SecretId=described["MasterUserSecret"]["SecretArn"])
    log_in(aws, described, json.loads(kept["SecretString"])["password"]).close()


def writer(aws: LocalAws, identifier: str) -> str | None:
    members = cluster(aws, identifier)["DBClusterMembers"]
    return next((each["DBInstanceIdentifier"] for each in members if each["IsClusterWriter"]), None)


def test_the_instance_that_is_ready_first_is_the_writer_whatever_its_tier(aws: LocalAws) -> None:
    identifier = new_cluster(aws, name("race"))["DBClusterIdentifier"]
    slow, quick = name("slow"), name("quick")
    aws.faults.add(lifecycle="create-instance", identifier=slow, status="available", at_percent=150)
    add_instance(aws, identifier, DBInstanceIdentifier=slow, PromotionTier=0)
    add_instance(aws, identifier, DBInstanceIdentifier=quick, PromotionTier=15)
    assert writer(aws, identifier) is None
    aws.clock.sleep(2 * aws.aurora.durations.create_instance)
    assert writer(aws, identifier) == quick
    # Another one is made the writer on demand; the cluster is failing over meanwhile.
    rds = aws.client("rds")
    answer = rds.failover_db_cluster(DBClusterIdentifier=identifier, TargetDBInstanceIdentifier=slow)["DBCluster"]
    assert answer["Status"] == "failing-over"
    assert writer(aws, identifier) == quick
    aws.clock.sleep(aws.aurora.durations.failover + 1)
    assert (cluster(aws, identifier)["Status"], writer(aws, identifier)) == ("available", slow)
    with refused("InvalidDBInstanceState"):
        rds.failover_db_cluster(DBClusterIdentifier=identifier, TargetDBInstanceIdentifier=slow)
    rds.delete_db_instance(DBInstanceIdentifier=slow, SkipFinalSnapshot=True)
    aws.clock.sleep(aws.aurora.durations.delete_instance + 1)
    assert writer(aws, identifier) == quick


def test_a_cluster_of_one_cant_fail_over(aws: LocalAws) -> None:
    identifier = running_cluster(aws, name("alone"))["DBClusterIdentifier"]
    with refused("InvalidDBClusterStateFault"):
        aws.client("rds").failover_db_cluster(DBClusterIdentifier=identifier)


def test_an_event_is_the_only_trace_of_a_password_that_was_never_set(aws: LocalAws) -> None:
    identifier = new_cluster(aws, name("silent"))["DBClusterIdentifier"]
    rds, began = aws.client("rds"), aws.clock.now()
    aws.faults.add(lifecycle="reset-master-password", identifier=identifier)
    rds.modify_db_cluster(DBClusterIdentifier=identifier, MasterUserPassword=NEW_PASSWORD, ApplyImmediately=True)
    aws.clock.sleep(10 * aws.aurora.durations.reset_without_instances)
    asked: dict[str, Any] = {"SourceType": "db-cluster", "SourceIdentifier": identifier}
    (event,) = rds.describe_events(**asked, StartTime=began)["Events"]
    assert event["EventCategories"] == ["failure"]
    assert rds.describe_events(**asked, StartTime=began, EventCategories=["creation"])["Events"] == []
    assert rds.describe_events(**asked, StartTime=aws.clock.now() + dt.timedelta(hours=1))["Events"] == []
    with refused("InvalidParameterCombination", "SourceType"):
        rds.describe_events(SourceIdentifier=identifier)
