"""Where a new cluster's settings come from, that they arrive, and that it is told where they don't."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from scripts.local_aws.server import LocalAws
from scripts.local_run import stage
from scripts.local_run.databases import database_session
from scripts.local_run.production import Production
from scripts.local_run.proof import Server
from scripts.local_run.stage import REGION
from scripts.local_run.waiting import wait_until
from tests.integration.pipeline.support import Pipeline, Run
from tests.setting_values import UNUSUAL as VALUES
from utils.contracts.settings import SETTINGS, Sent, Setting

UNUSUAL = "prod-unusual"
ADDED_READER = "application-autoscaling-4c2d5b7e-0000-4000-8000-000000000000"
TAKEN = [each for each in SETTINGS if each.from_source != "never"]


def unusual_parameters(sent: Iterable[tuple[Setting, Sent | None]]) -> dict[str, Any]:
    """Return the parameters that carry the settings' values in tests/setting_values.py."""
    parameters: dict[str, Any] = {}
    for setting, each in sent:
        if each is not None:
            *outer, member = each.path
            structure = functools.reduce(lambda found, name: found.setdefault(name, {}), outer, parameters)
            structure[member] = VALUES[setting.name]
    return parameters


# A new setting that is taken from the source is in these by itself.
CREATED_WITH = unusual_parameters((each, each.first_change or each.restore) for each in TAKEN if each.of_cluster) | {
    # The family of the groups, and what the VPC's subnets have.
    "EngineVersion": "17.5",
    "NetworkType": "IPV4",
    "DBClusterParameterGroupName": "tuned-cluster",
    "EnablePerformanceInsights": True,
}
WATCHED = unusual_parameters(
    # The cluster has the key, which is made for it.
    (each, each.instance)
    for each in TAKEN
    if each.of_instance and not each.of_cluster and each.name != "performance_insights_kms_key_id"
) | {"DBParameterGroupName": "tuned-instances"}
# What RDS reports of each of them.
SAME = {each.of_cluster.partition(".")[0] for each in TAKEN if each.of_cluster}
SAME_OF_INSTANCES = {
    each.of_instance.partition(".")[0] for each in TAKEN if each.of_instance and not each.of_cluster
} | {*("DBInstanceClass", "PromotionTier", "PerformanceInsightsEnabled")}


@pytest.fixture(scope="module")
def unusual(place: Any) -> Iterator[dict[str, Any]]:
    """A source that is unlike RDS's defaults in everything, protected, and with a snapshot."""
    pipeline = Pipeline(place)
    rds = pipeline.rds()
    insights_key = pipeline.aws.client("kms").create_key(Description="Insights")["KeyMetadata"]["Arn"]
    for create, key, group in (
        (rds.create_db_cluster_parameter_group, "DBClusterParameterGroupName", "tuned-cluster"),
        (rds.create_db_parameter_group, "DBParameterGroupName", "tuned-instances"),
    ):
        create(**{key: group}, DBParameterGroupFamily="aurora-postgresql17", Description="tuned")
    rds.create_db_cluster(
        DBClusterIdentifier=UNUSUAL,
        Engine="aurora-postgresql",
        MasterUsername="boss",
        MasterUserPassword="Productions-password-1",
        DatabaseName="shop",
        DeletionProtection=True,
        PerformanceInsightsKMSKeyId=insights_key,
        Tags=[{"Key": "CostCenter", "Value": "42"}],
        **CREATED_WITH,
    )
    wait_until(pipeline.aws, lambda: (pipeline.cluster(UNUSUAL) or {}).get("Status") == "available", UNUSUAL)
    for number, (instance_class, tier) in enumerate((("db.r6g.xlarge", 2), ("db.serverless", 9))):
        rds.create_db_instance(
            DBInstanceIdentifier=f"{UNUSUAL}-{number}",
            DBClusterIdentifier=UNUSUAL,
            Engine="aurora-postgresql",
            DBInstanceClass=instance_class,
            PromotionTier=tier,
            MonitoringRoleArn=f"arn:aws:iam::{pipeline.aws.account_id}:role/rds-monitoring-role",
            **WATCHED,
        )
        wait_until(pipeline.aws, lambda: all_available(pipeline, UNUSUAL), UNUSUAL)
    scale_readers(pipeline)
    rds.create_db_cluster_endpoint(
        DBClusterIdentifier=UNUSUAL, DBClusterEndpointIdentifier="reports", EndpointType="READER"
    )
    rds.create_db_cluster_snapshot(DBClusterIdentifier=UNUSUAL, DBClusterSnapshotIdentifier="unusual-nightly")
    pipeline.aws.clock.sleep(1800)
    yield pipeline.cluster(UNUSUAL) or {}
    rds.modify_db_cluster(DBClusterIdentifier=UNUSUAL, DeletionProtection=False, ApplyImmediately=True)
    pipeline.remove(UNUSUAL)


def scale_readers(pipeline: Pipeline) -> None:
    """Let Aurora Auto Scaling keep up to five readers, and have added one."""
    pipeline.aws.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="rds",
        ResourceId=f"cluster:{UNUSUAL}",
        ScalableDimension="rds:cluster:ReadReplicaCount",
        MinCapacity=1,
        MaxCapacity=5,
    )
    pipeline.rds().create_db_instance(
        DBInstanceIdentifier=ADDED_READER,
        DBClusterIdentifier=UNUSUAL,
        Engine="aurora-postgresql",
        DBInstanceClass="db.r6g.xlarge",
        PromotionTier=15,
    )
    wait_until(pipeline.aws, lambda: all_available(pipeline, UNUSUAL), UNUSUAL)


def instances_of(pipeline: Pipeline, cluster: str) -> list[dict[str, Any]]:
    filters = [{"Name": "db-cluster-id", "Values": [cluster]}]
    found = pipeline.rds().describe_db_instances(Filters=filters)["DBInstances"]
    return sorted(found, key=lambda each: str(each["DBInstanceIdentifier"]))


def all_available(pipeline: Pipeline, cluster: str) -> bool:
    return all(each["DBInstanceStatus"] == "available" for each in instances_of(pipeline, cluster))


def opens(pipeline: Pipeline, run: Run, login: dict[str, Any], database: str) -> bool:
    server = Server(run.output["users"]["endpoint"], run.output["users"]["port"])
    with database_session(pipeline.aws, server, database, login["username"], login["password"]):
        return True


def test_a_copy_of_an_unusual_source_arrives_like_it_and_a_request_may_say_otherwise(
    pipeline: Pipeline, unusual: dict[str, Any], target: str
) -> None:
    """`instance_count` is the stack's own parameter here, so the request says it."""
    run = pipeline.run(
        {
            "target_cluster_id": target,
            "source_cluster_id": UNUSUAL,
            "instance_count": 2,
            "backup_retention_days": 3,
            "tags": {"team": "trial"},
        }
    )
    assert run.status == "SUCCEEDED", run.reason
    cluster = pipeline.cluster(target)
    assert cluster is not None
    differing = {name for name in SAME if cluster.get(name) != unusual.get(name)}
    assert differing == {"BackupRetentionPeriod"}
    assert cluster["BackupRetentionPeriod"] == 3
    assert (cluster["DeletionProtection"], cluster["CopyTagsToSnapshot"]) == (False, True)
    assert cluster["EngineLifecycleSupport"] == "open-source-rds-extended-support-disabled"
    made, models = instances_of(pipeline, target), instances_of(pipeline, UNUSUAL)
    models = [each for each in models if each["DBInstanceIdentifier"] != ADDED_READER]
    for name in SAME_OF_INSTANCES:
        assert [each.get(name) for each in made] == [each.get(name) for each in models], name
    for each in made:
        assert {tag["Key"]: tag["Value"] for tag in each["TagList"]}["team"] == "trial"
        assert each["PubliclyAccessible"] is False
        assert each["DBParameterGroups"][0]["DBParameterGroupName"] == "tuned-instances"
        assert each["MonitoringRoleArn"] == f"arn:aws:iam::{pipeline.aws.account_id}:role/rds-monitoring-role"
    assert run.output["opening"]["differences"] == []
    said = ["Aurora Auto Scaling of 1 to 5 readers, with its policies", "tags: CostCenter", "custom endpoints: reports"]
    assert run.output["plan"]["not_taken_over"][:3] == said
    (message,) = run.messages
    assert f"Not taken over from {UNUSUAL}:\n  {said[0]}\n  {said[1]}\n  {said[2]}" in message["message"]
    origins = run.output["plan"]["cluster"]["origins"]
    assert (origins["port"], origins["backup_retention_days"]) == ("source", "request")


def test_a_dry_run_says_every_setting_and_who_decided_it(
    pipeline: Pipeline, unusual: dict[str, Any], target: str
) -> None:
    run = pipeline.run({"target_cluster_id": target, "source_cluster_id": UNUSUAL, "dry_run": True, "port": 6000})
    assert run.status == "SUCCEEDED", run.reason
    assert run.changes == []
    (message,) = run.messages
    for part in (
        "PostgreSQL 17.5 [source]",
        "port 6000 [request]",
        "aurora-iopt1 [source]",
        "at least 0 ACUs [source], at most 4 [source], paused after 600 seconds [source]",
        "deletion protection off [stack]",
        "Extended Support off [stack]",
        "local write forwarding on [source]",
        f"maintenance  {VALUES['preferred_maintenance_window']} [source]",
        "advanced Database Insights",
        "Enhanced Monitoring every 30 seconds with role",
        "CA rds-ca-ecc384-g1 [source]",
        f"Not taken over from {UNUSUAL}:",
    ):
        assert part in message["message"], message["message"]


@pytest.mark.full
def test_a_version_past_its_standard_support_is_warned_of(pipeline: Pipeline, target: str) -> None:
    """With a default group that RDS has to make, and a maintenance window alone."""
    rds, name = pipeline.rds(), f"prod-old-{target}"
    login = {"MasterUsername": "boss", "MasterUserPassword": "Productions-password-1"}
    rds.create_db_cluster(DBClusterIdentifier=name, Engine="aurora-postgresql", EngineVersion="13.18", **login)
    wait_until(pipeline.aws, lambda: (pipeline.cluster(name) or {}).get("Status") == "available", name)
    rds.create_db_cluster_snapshot(DBClusterIdentifier=name, DBClusterSnapshotIdentifier=f"{name}-nightly")
    pipeline.aws.clock.sleep(1800)
    request = {"target_cluster_id": target, "source_cluster_id": name, "like_source": False, "dry_run": True}
    window = {"preferred_maintenance_window": "sun:07:00-sun:07:30"}
    run = pipeline.run(request | window | {"db_instance_class": "db.r6g.large"})
    pipeline.remove(name)
    assert run.status == "SUCCEEDED", run.reason
    (message,) = run.messages
    assert "PostgreSQL 13 has been past its standard support since 28 Feb 2026" in message["message"]
    assert "at 08:30-09:00 [default]" in message["message"]


@pytest.mark.full
def test_a_difference_that_aws_makes_is_told_and_doesnt_fail_the_run(
    pipeline: Pipeline, production: Production, target: str
) -> None:
    clock, region = pipeline.aws.clock, pipeline.aws.aurora.region(REGION)

    def somebody_changes_it() -> None:
        # With the instances, the pipeline has asked for its settings for the last time.
        if any(each.cluster is region.clusters.get(target) for each in region.instances.values()):
            region.cluster(target).attributes["BackupRetentionPeriod"] = 7
        else:
            clock.call_at(clock.time() + 10, somebody_changes_it)

    somebody_changes_it()
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "SUCCEEDED", run.reason
    told = "backup_retention_days: asked for 1, RDS reports 7"
    assert run.output["opening"]["differences"] == [told]
    (message,) = run.messages
    assert f"Differs    {told}" in message["message"]
    item = pipeline.state(run.operation_id)
    assert item is not None
    assert item["differences"]["L"] == [{"S": told}]


@pytest.fixture
def keeping(aws: LocalAws, production: Production) -> Pipeline:
    """A stack whose master logins RDS keeps, and which may use no clusters' key but production's."""
    names = {"NamePrefix": "keeping", "StateTableName": "KeepingState", "AuditTableName": "KeepingAudit"}
    key = Pipeline.key_of(aws, production.cluster).rpartition("/")[2]
    limits = {"MasterLogin": "rds_managed", "TargetClusterPattern": "target-*", "AllowedKmsKeyPattern": key}
    overrides = names | limits | {"InstanceCount": "1"}
    return Pipeline(stage.deploy(aws, cross_region=False, overrides=overrides, stack_name="keeping"))


@pytest.mark.full
def test_a_login_that_rds_keeps_opens_and_the_data_api_is_on(
    keeping: Pipeline, production: Production, target: str
) -> None:
    pipeline = keeping
    secrets, admin = pipeline.aws.client("secretsmanager"), pipeline.place.stack.outputs["AdminSecretArn"]
    before = secrets.describe_secret(SecretId=admin)["VersionIdsToStages"]
    # The checks open it by that login as well.
    run = pipeline.run({"target_cluster_id": target, "data_api": True, "verification": "basic"})
    assert run.status == "SUCCEEDED", run.reason
    cluster = pipeline.cluster(target)
    assert cluster is not None
    assert cluster["HttpEndpointEnabled"] is True
    kept = cluster["MasterUserSecret"]
    assert kept["SecretStatus"] == "active"
    login = json.loads(secrets.get_secret_value(SecretId=kept["SecretArn"])["SecretString"])
    assert opens(pipeline, run, login, "orders")
    assert secrets.describe_secret(SecretId=admin)["VersionIdsToStages"] == before
    (message,) = run.messages
    assert f"Login      RDS keeps the master login in {kept['SecretArn']}" in message["message"]
    for place in (run.output, run.messages, pipeline.state(run.operation_id), run.followed.history):
        assert login["password"] not in str(place)


@pytest.mark.full
def test_the_port_of_a_source_that_isnt_asked_is_kept_although_its_snapshot_doesnt_tell_it(
    pipeline: Pipeline, unusual: dict[str, Any], target: str
) -> None:
    """RDS says port 0 of Aurora's snapshots; the login of the run itself proves where the cluster listens."""
    snapshot = pipeline.rds().describe_db_cluster_snapshots(DBClusterSnapshotIdentifier="unusual-nightly")
    assert snapshot["DBClusterSnapshots"][0]["Port"] == 0
    run = pipeline.run(
        {
            "snapshot_identifier": "unusual-nightly",
            "source_cluster_id": UNUSUAL,
            "target_cluster_id": target,
            "like_source": False,
            "db_instance_class": "db.r6g.large",
        }
    )
    assert run.status == "SUCCEEDED", run.reason
    assert run.output["plan"]["cluster"]["port"] is None
    assert (pipeline.cluster(target) or {})["Port"] == unusual["Port"] == VALUES["port"]
    (message,) = run.messages
    assert f":{VALUES['port']}\n" in message["message"]
