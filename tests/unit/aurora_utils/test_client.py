"""What we ask of Aurora: every call once more is as good as once, and only our own things count as ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from msgspec.structs import replace

from tests.unit.fakes.rds import FakeRds
from tests.unit.support import (
    ACCOUNT,
    KEY_ID,
    OPERATION,
    OWN_TAGS,
    OWNER,
    REGION,
    SOURCE_REGION,
    TARGET,
    a_cluster_plan,
    a_copy,
    some_instances,
)
from utils.aurora_utils.client import Aurora, ClusterBusy, NoRoom
from utils.aurora_utils.resources import BROKEN_CLUSTER, BROKEN_INSTANCE
from utils.changes import asking_once
from utils.contracts.plan import ClusterPlan
from utils.errors import StepFailed, TemporaryFailure
from utils.messages.cluster import setting_lines
from utils.steps.differences import differences

MONITORING_ROLE = f"arn:aws:iam::{ACCOUNT}:role/rds-monitoring-role"
INSIGHTS_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{KEY_ID}"


@pytest.fixture
def aurora(rds: FakeRds, source_rds: FakeRds) -> Aurora:
    for each in (rds, source_rds):
        each.add_snapshot("prod-orders-tuesday")
    return Aurora(REGION)


def make_cluster(aurora: Aurora) -> object:
    return aurora.restore_cluster(a_cluster_plan(), OPERATION)


def make_copy(aurora: Aurora) -> object:
    return aurora.copy_snapshot(a_copy().steps[0], a_copy().tags, OPERATION)


def make_instance(aurora: Aurora) -> object:
    aurora.create_instance(a_cluster_plan(), some_instances(1)[0], OPERATION)
    return aurora.instance(f"{TARGET}-1")


MAKING: list[tuple[str, Callable[[Aurora], object]]] = [
    ("RestoreDBClusterFromSnapshot", make_cluster),
    ("CopyDBClusterSnapshot", make_copy),
    ("CreateDBInstance", make_instance),
]


def everything(rds: FakeRds) -> list[dict[str, Any]]:
    return [*rds.clusters.values(), *rds.snapshots.values(), *rds.instances.values()]


@pytest.mark.parametrize(("operation", "make"), MAKING)
def test_rule_5_making_something_twice_makes_it_once(
    rds: FakeRds, aurora: Aurora, operation: str, make: Callable[[Aurora], object]
) -> None:
    if make is make_instance:
        rds.add_cluster(TARGET, TagList=OWN_TAGS)
    assert make(aurora) == make(aurora)
    assert [bool(each["TagList"] == OWN_TAGS) for each in everything(rds)].count(True) == (
        2 if make is make_instance else 1
    )


@pytest.mark.parametrize(("operation", "make"), MAKING)
def test_rule_5_making_something_again_after_a_lost_answer_finds_it(
    rds: FakeRds, aurora: Aurora, operation: str, make: Callable[[Aurora], object]
) -> None:
    if make is make_instance:
        rds.add_cluster(TARGET, TagList=OWN_TAGS)
    rds.lose_answer(operation)
    with pytest.raises(ReadTimeoutError):
        make(aurora)
    before = len(everything(rds))
    make(aurora)
    assert len(everything(rds)) == before


@pytest.mark.parametrize("tags", [[], [{"Key": "aurora-restore:operation-id", "Value": "another"}]])
@pytest.mark.parametrize(("operation", "make"), MAKING)
def test_rule_4_what_exists_and_isnt_ours_is_never_taken_over(
    rds: FakeRds, aurora: Aurora, operation: str, make: Callable[[Aurora], object], tags: list[dict[str, str]]
) -> None:
    rds.add_cluster(TARGET, TagList=tags)
    rds.add_snapshot(a_copy().identifier, TagList=tags)
    rds.add_instance(some_instances(1)[0].identifier, TARGET, TagList=tags)
    with pytest.raises(StepFailed, match=r"is not this operation's|did not create it") as failed:
        make(aurora)
    assert "choose another" in str(failed.value).lower() or "resume this operation" in str(failed.value)
    assert rds.changes() == [operation]


@pytest.mark.parametrize(("operation", "make"), MAKING)
def test_what_exists_by_one_answer_and_is_not_shown_by_the_next_is_looked_for_again(
    rds: FakeRds, aurora: Aurora, operation: str, make: Callable[[Aurora], object]
) -> None:
    if make is make_instance:
        rds.add_cluster(TARGET, TagList=OWN_TAGS)
    code = {
        "CopyDBClusterSnapshot": "DBClusterSnapshotAlreadyExistsFault",
        "CreateDBInstance": "DBInstanceAlreadyExists",
    }
    rds.refuse(operation, code.get(operation, "DBClusterAlreadyExistsFault"), "It exists.")
    with pytest.raises(TemporaryFailure, match=r"RDS answers that .* exists in us-east-1, and does not show it"):
        make(aurora)


def test_an_instance_of_ours_in_another_cluster_is_not_taken_for_a_member(rds: FakeRds, aurora: Aurora) -> None:
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    name = some_instances(1)[0].identifier
    rds.add_instance(name, "another-cluster", TagList=OWN_TAGS)
    with pytest.raises(StepFailed, match=f"An instance named {name} exists"):
        make_instance(aurora)


@pytest.mark.parametrize(("operation", "make"), MAKING)
def test_another_refusal_is_handed_on_as_it_is(
    rds: FakeRds, aurora: Aurora, operation: str, make: Callable[[Aurora], object]
) -> None:
    rds.refuse(operation, "KMSKeyNotAccessibleFault", "The key doesn't exist")
    with pytest.raises(ClientError, match="KMSKeyNotAccessibleFault"):
        make(aurora)


def test_rule_8_every_setting_of_a_restored_cluster_is_said_aloud(rds: FakeRds, aurora: Aurora) -> None:
    """Whatever is left out here falls back to RDS's own default, not to the source's setting."""
    plan: ClusterPlan = a_cluster_plan(
        kms_key_id="alias/staging",
        port=6543,
        db_cluster_parameter_group_name="tuned-cluster",
        deletion_protection=True,
        iam_database_authentication=True,
        serverless_v2_min_capacity=0.0,
        serverless_v2_max_capacity=8.0,
        serverless_v2_seconds_until_auto_pause=600,
        network_type="DUAL",
        enabled_cloudwatch_logs_exports=["instance", "postgresql"],
        extended_support=True,
    )
    rds.cluster_parameter_groups["tuned-cluster"] = "aurora-postgresql16"
    aurora.restore_cluster(plan, OPERATION)
    asked = rds.asked("RestoreDBClusterFromSnapshot")
    assert asked == asked | {
        "DBClusterIdentifier": TARGET,
        "SnapshotIdentifier": plan.snapshot_arn,
        "Engine": "aurora-postgresql",
        "EngineVersion": "16.4",
        "Port": 6543,
        "DBSubnetGroupName": "databases",
        "VpcSecurityGroupIds": ["sg-0d00d00d00d00d000"],
        "DBClusterParameterGroupName": "tuned-cluster",
        "KmsKeyId": "alias/staging",
        "StorageType": "aurora",
        "NetworkType": "DUAL",
        "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.0, "MaxCapacity": 8.0, "SecondsUntilAutoPause": 600},
        "EnableIAMDatabaseAuthentication": True,
        "EnableCloudwatchLogsExports": ["instance", "postgresql"],
        "DeletionProtection": True,
        "CopyTagsToSnapshot": True,
        "EngineLifecycleSupport": "open-source-rds-extended-support",
        "Tags": OWN_TAGS,
    }


def test_rule_8_what_a_restore_doesnt_take_is_said_in_one_change(rds: FakeRds, aurora: Aurora) -> None:
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    plan = a_cluster_plan(
        backup_retention_days=7,
        preferred_backup_window="02:00-02:30",
        preferred_maintenance_window="sun:05:00-sun:05:30",
        database_insights_mode="advanced",
        performance_insights_retention_days=465,
    )
    aurora.modify_restored_cluster(plan, "a-new-password")
    asked = rds.asked("ModifyDBCluster")
    assert asked == asked | {
        "DBClusterIdentifier": TARGET,
        "MasterUserPassword": "a-new-password",
        "BackupRetentionPeriod": 7,
        "PreferredBackupWindow": "02:00-02:30",
        "PreferredMaintenanceWindow": "sun:05:00-sun:05:30",
        "DatabaseInsightsMode": "advanced",
        "EnablePerformanceInsights": True,
        "PerformanceInsightsRetentionPeriod": 465,
        "ApplyImmediately": True,
    }


def test_a_port_that_rds_doesnt_tell_is_left_to_it_and_planned_in_words(rds: FakeRds, aurora: Aurora) -> None:
    """It keeps the port of the snapshot's cluster, whichever that is (API reference, RestoreDBClusterFromSnapshot)."""
    plan = a_cluster_plan(port=None, origins={"port": "snapshot"})
    aurora.restore_cluster(plan, OPERATION)
    assert "Port" not in rds.asked("RestoreDBClusterFromSnapshot")
    assert any("the port that its source had [snapshot]" in line for line in setting_lines(plan))
    rds.clusters[TARGET]["Port"] = 5433
    made = aurora.cluster(TARGET)
    assert made is not None
    assert not [text for text in differences(plan, made, [], REGION, "shut") if text.startswith("port")]


def test_rule_8_what_costs_is_switched_off_aloud(rds: FakeRds, aurora: Aurora) -> None:
    plan = a_cluster_plan(performance_insights_retention_days=0)
    aurora.restore_cluster(plan, OPERATION)
    asked = rds.asked("RestoreDBClusterFromSnapshot")
    assert asked["EngineLifecycleSupport"] == "open-source-rds-extended-support-disabled"
    aurora.create_instance(plan, plan.instances[0], OPERATION)
    asked = rds.asked("CreateDBInstance")
    assert asked["EnablePerformanceInsights"] is False
    assert "PerformanceInsightsRetentionPeriod" not in asked


def test_rule_8_instances_are_private_and_in_the_planned_groups(rds: FakeRds, aurora: Aurora) -> None:
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    first, second = some_instances(2)
    rds.parameter_groups["tuned"] = "aurora-postgresql16"
    plan = a_cluster_plan(
        db_parameter_group_name="tuned",
        ca_certificate_identifier="rds-ca-ecc384-g1",
        monitoring_interval_seconds=30,
        monitoring_role_arn=MONITORING_ROLE,
        performance_insights_kms_key_id=INSIGHTS_KEY,
        preferred_maintenance_window="sun:05:00-sun:05:30",
        auto_minor_version_upgrade=False,
        instances=[
            replace(first, availability_zone="us-east-1a", promotion_tier=0),
            replace(second, db_instance_class="db.serverless"),
        ],
    )
    for instance in plan.instances:
        aurora.create_instance(plan, instance, OPERATION)
    writer, reader = (parameters for name, parameters in rds.calls if name == "CreateDBInstance")
    assert (writer["PromotionTier"], reader["PromotionTier"]) == (0, 1)
    assert (writer["DBInstanceClass"], reader["DBInstanceClass"]) == ("db.r6g.large", "db.serverless")
    assert writer["AvailabilityZone"] == "us-east-1a"
    assert "AvailabilityZone" not in reader
    for each in (writer, reader):
        assert each["AutoMinorVersionUpgrade"] is False
        assert each["PreferredMaintenanceWindow"] == "sun:05:00-sun:05:30"
        assert each["EnablePerformanceInsights"] is True
        assert each["PerformanceInsightsRetentionPeriod"] == 7
        assert each["PubliclyAccessible"] is False
        assert each["DBParameterGroupName"] == "tuned"
        assert each["CACertificateIdentifier"] == "rds-ca-ecc384-g1"
        assert (each["MonitoringInterval"], each["MonitoringRoleArn"]) == (30, MONITORING_ROLE)
        assert each["PerformanceInsightsKMSKeyId"] == INSIGHTS_KEY
        assert each["DBSubnetGroupName"] == "databases"
        assert each["Tags"] == OWN_TAGS


def test_a_default_group_isnt_named_so_that_rds_makes_it(rds: FakeRds, aurora: Aurora) -> None:
    """Named before RDS has made it in a region, it is refused there."""
    plan = a_cluster_plan()
    aurora.restore_cluster(plan, OPERATION)
    aurora.create_instance(plan, plan.instances[0], OPERATION)
    assert "DBClusterParameterGroupName" not in rds.asked("RestoreDBClusterFromSnapshot")
    assert "DBParameterGroupName" not in rds.asked("CreateDBInstance")
    cluster, (instance,) = aurora.cluster(TARGET), aurora.instances_of(TARGET)
    assert cluster is not None
    assert cluster.settings.value("db_cluster_parameter_group_name") == plan.db_cluster_parameter_group_name
    assert instance.settings.value("db_parameter_group_name") == plan.db_parameter_group_name


def test_without_enhanced_monitoring_no_role_is_passed(rds: FakeRds, aurora: Aurora) -> None:
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    aurora.create_instance(a_cluster_plan(monitoring_role_arn=MONITORING_ROLE), some_instances(1)[0], OPERATION)
    asked = rds.asked("CreateDBInstance")
    assert asked["MonitoringInterval"] == 0
    assert "MonitoringRoleArn" not in asked
    assert "CACertificateIdentifier" not in asked


def test_a_copy_is_asked_for_in_the_target_region_with_its_own_tags(rds: FakeRds, aurora: Aurora) -> None:
    copy = a_copy(kms_key_id="alias/staging")
    aurora.copy_snapshot(copy.steps[0], copy.tags, OPERATION)
    assert rds.asked("CopyDBClusterSnapshot") == {
        "SourceDBClusterSnapshotIdentifier": copy.final.source_arn,
        "TargetDBClusterSnapshotIdentifier": copy.identifier,
        "SourceRegion": SOURCE_REGION,
        "CopyTags": False,
        "Tags": OWN_TAGS,
        "KmsKeyId": "alias/staging",
    }


@pytest.mark.parametrize("account", [ACCOUNT, OWNER])
def test_a_copy_within_a_region_names_no_region(rds: FakeRds, their_rds: FakeRds, aurora: Aurora, account: str) -> None:
    """The SDK would sign a URL for it, which isn't to be sent within a region (API reference, PreSignedUrl)."""
    their_rds.add_snapshot("prod-orders-tuesday")
    their_rds.shared_with["prod-orders-tuesday"] = {ACCOUNT}
    source = f"arn:aws:rds:{REGION}:{account}:cluster-snapshot:prod-orders-tuesday"
    aurora.copy_snapshot(replace(a_copy().steps[0], source_arn=source), a_copy().tags, OPERATION)
    asked = rds.asked("CopyDBClusterSnapshot")
    assert "SourceRegion" not in asked
    assert asked["SourceDBClusterSnapshotIdentifier"] == ("prod-orders-tuesday" if account == ACCOUNT else source)


def test_a_copy_without_a_key_asks_for_none(rds: FakeRds, aurora: Aurora) -> None:
    aurora.copy_snapshot(a_copy().steps[0], a_copy().tags, OPERATION)
    assert "KmsKeyId" not in rds.asked("CopyDBClusterSnapshot")


@pytest.mark.parametrize("question", ["cluster", "instance", "snapshot"])
def test_what_doesnt_exist_is_none(aurora: Aurora, question: str) -> None:
    assert getattr(aurora, question)("nothing") is None


def test_clusters_that_were_looked_at_together_are_not_asked_for_again(rds: FakeRds, aurora: Aurora) -> None:
    there = rds.add_cluster(TARGET)["DbClusterResourceId"]
    with asking_once():
        aurora.look_at_clusters([TARGET, "nothing", TARGET])
        cluster = aurora.cluster(TARGET)
        assert cluster is not None
        assert cluster.resource_id == there
        assert aurora.cluster("nothing") is None
    assert rds.operations() == ["DescribeDBClusters"]


def test_clusters_that_could_not_be_looked_at_together_are_asked_for_alone(rds: FakeRds, aurora: Aurora) -> None:
    rds.add_cluster(TARGET)
    rds.refuse("DescribeDBClusters", "AccessDenied", status=403)
    with asking_once():
        aurora.look_at_clusters([TARGET, "nothing"])
        assert aurora.cluster(TARGET) is not None
    assert len(rds.operations()) == 2


@pytest.mark.parametrize("question", ["cluster", "instance", "snapshot"])
def test_a_question_that_failed_is_not_taken_for_nothing(rds: FakeRds, aurora: Aurora, question: str) -> None:
    for operation in ("DescribeDBClusters", "DescribeDBInstances", "DescribeDBClusterSnapshots"):
        rds.refuse(operation, "AccessDenied", status=403)
    with pytest.raises(ClientError, match="AccessDenied"):
        getattr(aurora, question)("nothing")


def test_members_are_found_behind_many_pages(rds: FakeRds, aurora: Aurora) -> None:
    rds.page_size = 2
    for number in range(5):
        rds.add_instance(f"{TARGET}-{number}", TARGET)
    rds.add_instance("bystander", "another-cluster")
    assert [each.identifier for each in aurora.instances_of(TARGET)] == [f"{TARGET}-{number}" for number in range(5)]


BUSY = [
    ("CreateDBInstance", lambda aurora: aurora.create_instance(a_cluster_plan(), some_instances(1)[0], OPERATION)),
    ("ModifyDBCluster", lambda aurora: aurora.modify_restored_cluster(a_cluster_plan(), "a-new-password")),
    ("FailoverDBCluster", lambda aurora: aurora.change_writer(aurora.cluster(TARGET), some_instances(2)[1].identifier)),
    ("EnableHttpEndpoint", lambda aurora: aurora.enable_data_api(aurora.cluster(TARGET))),
]


@pytest.mark.parametrize(("operation", "call"), BUSY)
def test_a_cluster_that_became_busy_a_moment_ago_is_told_from_one_that_refuses(
    rds: FakeRds, aurora: Aurora, operation: str, call: Callable[[Aurora], object]
) -> None:
    rds.add_cluster(TARGET)
    rds.add_instance("the-writer", TARGET)
    rds.add_instance(some_instances(2)[1].identifier, TARGET)
    rds.refuse(operation, "InvalidDBClusterStateFault", "DBCluster is backing-up")
    with pytest.raises(ClusterBusy, match=r"staging-orders, which is busy.*backing-up"):
        call(aurora)
    call(aurora)


@pytest.mark.parametrize("code", ["InsufficientDBInstanceCapacity", "InsufficientDBClusterCapacityFault"])
def test_a_lack_of_room_is_told_from_a_refusal(rds: FakeRds, aurora: Aurora, code: str) -> None:
    rds.add_cluster(TARGET)
    rds.refuse("CreateDBInstance", code, "Please try the request again at a later time.")
    with pytest.raises(NoRoom, match="Please try the request again at a later time"):
        aurora.create_instance(a_cluster_plan(), some_instances(1)[0], OPERATION)


def test_deleting_what_is_gone_is_as_good(rds: FakeRds, aurora: Aurora) -> None:
    aurora.delete_snapshot("nothing")
    aurora.delete_instance("nothing")


def test_a_deletion_that_is_refused_is_not_passed_over(rds: FakeRds, aurora: Aurora) -> None:
    rds.add_instance("one", TARGET)
    rds.add_cluster(TARGET, DeletionProtection=True)
    rds.refuse("DeleteDBInstance", "AccessDenied", status=403)
    rds.refuse("DeleteDBClusterSnapshot", "InvalidDBClusterSnapshotStateFault")
    with pytest.raises(ClientError, match="AccessDenied"):
        aurora.delete_instance("one")
    with pytest.raises(ClientError, match="InvalidDBClusterSnapshotStateFault"):
        aurora.delete_snapshot("prod-orders-tuesday")
    del rds.instances["one"]
    with pytest.raises(ClientError, match="InvalidParameterCombination"):
        aurora.delete_cluster(TARGET, None, keep_backups=False)


@pytest.mark.parametrize(
    "status", ["creating", "migrating", "modifying", "Resetting-Master-Credentials", "never-heard-of"]
)
def test_an_unknown_or_busy_status_is_one_to_wait_through(rds: FakeRds, aurora: Aurora, status: str) -> None:
    rds.add_cluster(TARGET, Status=status)
    rds.add_instance("one", TARGET, DBInstanceStatus=status)
    cluster, instance = aurora.cluster(TARGET), aurora.instance("one")
    assert cluster is not None
    assert instance is not None
    assert (cluster.is_available, cluster.is_broken) == (False, False)
    assert (instance.is_available, instance.is_broken) == (False, False)


@pytest.mark.parametrize("status", sorted(BROKEN_INSTANCE))
def test_a_broken_status_is_never_one_to_wait_through(rds: FakeRds, aurora: Aurora, status: str) -> None:
    rds.add_cluster(TARGET, Status=status.title())
    rds.add_instance("one", TARGET, DBInstanceStatus=status)
    cluster, instance = aurora.cluster(TARGET), aurora.instance("one")
    assert cluster is not None
    assert instance is not None
    assert cluster.is_broken == (status in BROKEN_CLUSTER)
    assert instance.is_broken


def test_a_snapshot_of_aws_backup_is_found_whether_or_not_rds_knows_its_type(rds: FakeRds, aurora: Aurora) -> None:
    rds.add_snapshot("awsbackup:job-1", SnapshotType="awsbackup")
    for refused in (False, True):
        if refused:
            rds.refuse("DescribeDBClusterSnapshots", "InvalidParameterValue")
            rds.snapshots["awsbackup:job-1"]["SnapshotType"] = None
        found = aurora.snapshot("awsbackup:job-1")
        assert found is not None
        assert not found.is_manual
