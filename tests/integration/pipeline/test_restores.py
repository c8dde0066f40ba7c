"""Every way to a restored cluster ends with production's data in it and the application's roles able to use it."""

from __future__ import annotations

import pytest

from scripts.local_run.production import CLUSTER, SNAPSHOT, Production
from scripts.local_run.proof import Proof
from scripts.local_run.stage import OTHER_REGION, REGION
from tests.integration.pipeline.support import Pipeline, Run, until


def assert_proved(pipeline: Pipeline, production: Production, run: Run) -> None:
    assert run.status == "SUCCEEDED", run.reason
    proof = Proof(pipeline.place, production, run.followed, run.messages, run.calls)
    checks = proof.checks()
    assert all(checks.values()), proof.failures


def test_a_restore_within_a_region_makes_a_cluster_that_people_can_use(
    pipeline: Pipeline, production: Production, target: str
) -> None:
    run = pipeline.run({"target_cluster_id": target, "instance_count": 2})
    assert_proved(pipeline, production, run)
    assert "Copy Snapshot" not in run.states()
    assert run.followed.virtual_seconds > 30 * 60
    assert run.followed.state_transitions <= 300
    assert run.output["restore"]["expected_end"] > [run.output["restore"]["started_at"]]


@pytest.mark.full
def test_a_source_that_was_restored_before_needs_few_looks_and_ends_within_what_was_expected(
    pipeline: Pipeline, production: Production, target: str
) -> None:
    request = {"target_cluster_id": target, "instance_count": 2}
    pipeline.run(request)
    pipeline.remove(target)
    run = pipeline.run(request)
    assert run.status == "SUCCEEDED", run.reason
    assert set(run.output["plan"]["expected_seconds"]) >= {"create-cluster", "create-instances", "open-door"}
    least, most = run.output["plan"]["expected_minutes"]
    assert least * 60 <= run.followed.virtual_seconds <= most * 60
    assert run.followed.state_transitions <= 60


@pytest.mark.full
def test_a_snapshot_in_another_region_is_copied_under_a_key_of_this_one(
    pipeline: Pipeline, distant_production: Production, key: str, target: str
) -> None:
    run = pipeline.run({"target_cluster_id": target, "source_region": OTHER_REGION, "kms_key_id": key})
    assert_proved(pipeline, distant_production, run)
    cluster = pipeline.cluster(target)
    assert cluster is not None
    assert cluster["KmsKeyId"] == key
    assert run.output["archive"]["deleted_snapshot_arn"] == run.output["plan"]["cluster"]["snapshot_arn"]


@pytest.mark.full
def test_a_copy_is_kept_when_that_is_asked_for(
    pipeline: Pipeline, distant_production: Production, key: str, target: str
) -> None:
    run = pipeline.run(
        {
            "target_cluster_id": target,
            "source_region": OTHER_REGION,
            "kms_key_id": key,
            "archive_snapshot": "keep",
            "tags": {"team": "orders"},
        }
    )
    copy = run.output["plan"]["cluster"]["snapshot_arn"].rpartition(":")[2]
    assert copy in pipeline.snapshots()
    found = pipeline.rds().describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=copy)["DBClusterSnapshots"][0]
    tags = {tag["Key"]: tag["Value"] for tag in found["TagList"]}
    assert tags == {"team": "orders", "aurora-restore:operation-id": run.operation_id}
    pipeline.rds().delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=copy)


@pytest.mark.full
@pytest.mark.parametrize("way", ["name", "ARN", "day"])
def test_a_snapshot_is_found_by(way: str, pipeline: Pipeline, target: str) -> None:
    answer = pipeline.rds().describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=SNAPSHOT)
    snapshot = answer["DBClusterSnapshots"][0]
    day = f"{snapshot['SnapshotCreateTime']:%Y-%m-%d}"
    chosen = {
        "name": {"snapshot_identifier": SNAPSHOT},
        "ARN": {"snapshot_identifier": snapshot["DBClusterSnapshotArn"]},
        "day": {"snapshot_date": day},
    }[way]
    run = pipeline.run({"target_cluster_id": target, "dry_run": True, **chosen})
    assert run.status == "SUCCEEDED", run.reason
    if way == "day":
        assert run.output["snapshot"]["created_at"].startswith(day)
    else:
        assert run.output["snapshot"]["identifier"] == SNAPSHOT


@pytest.mark.full
def test_a_newer_copy_of_another_clusters_snapshot_is_passed_over_and_told(pipeline: Pipeline, target: str) -> None:
    """A cluster of another account bears the same name, and so does what is copied from there."""
    aws, theirs = pipeline.aws, pipeline.aws.client("rds", account="333333333333")
    theirs.create_db_cluster(
        DBClusterIdentifier=CLUSTER,
        Engine="aurora-postgresql",
        MasterUsername="boss",
        MasterUserPassword="Somebody-elses-1",
    )
    aws.clock.sleep(aws.aurora.durations.create_cluster + 1)
    taken = theirs.create_db_cluster_snapshot(DBClusterIdentifier=CLUSTER, DBClusterSnapshotIdentifier="theirs")
    aws.clock.sleep(aws.aurora.durations.create_snapshot + 1)
    theirs.modify_db_cluster_snapshot_attribute(
        DBClusterSnapshotIdentifier="theirs", AttributeName="restore", ValuesToAdd=["123456789012"]
    )
    pipeline.rds().copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier=taken["DBClusterSnapshot"]["DBClusterSnapshotArn"],
        TargetDBClusterSnapshotIdentifier="borrowed",
    )
    aws.clock.sleep(aws.aurora.durations.copy_snapshot + 1)
    run = pipeline.run({"target_cluster_id": target, "dry_run": True})
    pipeline.rds().delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="borrowed")
    assert run.status == "SUCCEEDED", run.reason
    assert run.output["snapshot"]["identifier"] != "borrowed"
    assert run.output["snapshot"]["cluster_identifier"] == CLUSTER
    (message,) = run.messages
    assert "note that borrowed is of another cluster of that name (created" in message["message"]
    assert "it is newer, and was passed over" in message["message"]


@pytest.mark.full
def test_the_latest_snapshot_may_be_an_automated_one(pipeline: Pipeline, target: str) -> None:
    automated = pipeline.aws.aurora.take_automated_snapshot(CLUSTER)
    pipeline.aws.clock.sleep(600)
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "SUCCEEDED", run.reason
    assert run.output["plan"]["snapshot"]["identifier"] == automated
    assert automated in pipeline.automated_snapshots()


def test_a_dry_run_changes_nothing_and_says_everything(pipeline: Pipeline, key: str, target: str) -> None:
    pipeline.aws.client("kms").create_alias(AliasName="alias/staging", TargetKeyId=key)
    run = pipeline.run(
        {
            "target_cluster_id": target,
            "snapshot_identifier": SNAPSHOT,
            "dry_run": True,
            "kms_key_id": "alias/staging",
        }
    )
    assert run.status == "SUCCEEDED", run.reason
    assert run.changes == []
    assert pipeline.holder(target) is None
    assert run.output["cluster"]["kms_key_id"] == "alias/staging"
    (message,) = run.messages
    assert "PLANNED" in message["subject"]
    for word in (target, SNAPSHOT, "alias/staging", "nothing was created, changed or deleted"):
        assert word in message["message"]


@pytest.mark.full
def test_serverless_instances_get_the_capacity_that_was_asked_for(pipeline: Pipeline, target: str) -> None:
    run = pipeline.run(
        {
            "target_cluster_id": target,
            "db_instance_class": "db.serverless",
            "serverless_v2_min_capacity": 0.5,
            "serverless_v2_max_capacity": 4,
        }
    )
    assert run.status == "SUCCEEDED", run.reason
    cluster = pipeline.cluster(target)
    assert cluster is not None
    assert cluster["ServerlessV2ScalingConfiguration"] == {"MinCapacity": 0.5, "MaxCapacity": 4.0}


@pytest.mark.full
def test_nothing_falls_back_to_rds_defaults(pipeline: Pipeline, target: str) -> None:
    rds = pipeline.rds()
    for create, key, group in (
        (rds.create_db_cluster_parameter_group, "DBClusterParameterGroupName", "own-cluster-settings"),
        (rds.create_db_parameter_group, "DBParameterGroupName", "own-settings"),
    ):
        create(**{key: group}, DBParameterGroupFamily="aurora-postgresql17", Description="for a test")
    asked = {
        "target_cluster_id": target,
        "db_cluster_parameter_group_name": "own-cluster-settings",
        "db_parameter_group_name": "own-settings",
        "port": 5499,
        "backup_retention_days": 9,
        "iam_database_authentication": True,
        "enabled_cloudwatch_logs_exports": ["postgresql"],
    }
    run = pipeline.run(asked)
    assert run.status == "SUCCEEDED", run.reason
    cluster = pipeline.cluster(target)
    assert cluster is not None
    plan = run.output["plan"]["cluster"]
    assert cluster["EngineVersion"] == plan["engine_version"] == "17.5"
    assert cluster["Port"] == 5499
    assert cluster["BackupRetentionPeriod"] == 9
    assert cluster["IAMDatabaseAuthenticationEnabled"] is True
    assert cluster["DBClusterParameterGroup"] == "own-cluster-settings"
    assert cluster["EngineLifecycleSupport"] == "open-source-rds-extended-support-disabled"
    assert [each["VpcSecurityGroupId"] for each in cluster["VpcSecurityGroups"]] == plan["vpc_security_group_ids"]
    assert cluster["DBSubnetGroup"] == plan["db_subnet_group_name"] != "default"
    assert cluster["EnabledCloudwatchLogsExports"] == ["postgresql"]
    member = cluster["DBClusterMembers"][0]["DBInstanceIdentifier"]
    instance = rds.describe_db_instances(DBInstanceIdentifier=member)["DBInstances"][0]
    assert instance["DBParameterGroups"][0]["DBParameterGroupName"] == "own-settings"
    assert instance["PubliclyAccessible"] is False


@pytest.mark.full
def test_the_day_in_a_targets_name_lets_a_schedule_run_every_day(pipeline: Pipeline) -> None:
    run = pipeline.run({"target_cluster_id": "target-{date}", "dry_run": True})
    assert run.output["target_cluster_id"] == f"target-{run.followed.started_at:%Y%m%d}"


@pytest.mark.full
def test_a_copy_of_two_days_stays_far_below_the_limit_of_events(
    pipeline: Pipeline, distant_production: Production, key: str, target: str
) -> None:
    durations = pipeline.aws.aurora.durations
    pipeline.aws.aurora.durations = durations.scaled(172_800 / durations.copy_snapshot)
    try:
        arn = pipeline.start({"target_cluster_id": target, "source_region": OTHER_REGION, "kms_key_id": key})
        until(lambda: "made_snapshots" in (pipeline.state(arn.rsplit(":", 1)[-1]) or {}), "the copy")
    finally:
        pipeline.aws.aurora.durations = durations
    run = pipeline.end(arn)
    assert run.status == "SUCCEEDED", run.reason
    assert run.followed.virtual_seconds > 172_800
    assert len(run.followed.history) < 5_000


@pytest.mark.full
def test_region_of_the_stack_is_the_default_region_of_the_source(pipeline: Pipeline, target: str) -> None:
    run = pipeline.run({"target_cluster_id": target, "dry_run": True})
    assert f":{REGION}:" in run.output["snapshot"]["arn"]
