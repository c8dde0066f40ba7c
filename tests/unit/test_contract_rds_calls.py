"""Every parameter that we send to RDS while we copy and restore, with how AWS's own handlers and HashiCorp's send it.

A parameter that is added to a call needs its line here, with a source from outside. "CFN" is AWS's own CloudFormation
handler (aws-cloudformation/aws-cloudformation-resource-providers-rds at 5a410e84: Translator.java of aws-rds-dbcluster
and aws-rds-dbinstance), "TF" is HashiCorp's provider (hashicorp/terraform-provider-aws, internal/service/rds/cluster.go
at 0168cf6 and cluster_instance.go at 0160692), "API" is RDS's model in botocore 1.44.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import botocore.session
import pytest

from tests.unit.fake_rds import FakeRds
from tests.unit.support import OPERATION, OWN_TAGS, REGION, TARGET, a_cluster_plan, a_copy, some_instances
from utils.aurora_utils import Aurora
from utils.plans import ClusterPlan

EVERYTHING = a_cluster_plan(
    kms_key_id="alias/staging",
    db_cluster_parameter_group_name="tuned-cluster",
    db_parameter_group_name="tuned",
    ca_certificate_identifier="rds-ca-ecc384-g1",
    monitoring_interval_seconds=30,
    monitoring_role_arn="arn:aws:iam::123456789012:role/rds-monitoring",
    performance_insights_kms_key_id="arn:aws:kms:us-east-1:123456789012:key/insights",
    serverless_v2_min_capacity=0.0,
    serverless_v2_max_capacity=8.0,
    serverless_v2_seconds_until_auto_pause=600,
    enabled_cloudwatch_logs_exports=["postgresql"],
    preferred_backup_window="02:00-02:30",
    preferred_maintenance_window="sun:05:00-sun:05:30",
    database_insights_mode="advanced",
    performance_insights_retention_days=465,
    master_secret_kms_key_id="alias/secrets",
    data_api=True,
)

RESTORE = {
    "DBClusterIdentifier": "API: required",
    "SnapshotIdentifier": "API: required",
    "Engine": "API: required",
    "EngineVersion": "CFN and TF: at restore. Left out, RDS takes the region's default version, not the snapshot's",
    "Port": "CFN and TF: at restore",
    "DBSubnetGroupName": "CFN and TF: at restore",
    "VpcSecurityGroupIds": "CFN and TF: at restore",
    "DBClusterParameterGroupName": "CFN: at restore since its PR 309, it was ignored before; TF: at restore",
    "KmsKeyId": "CFN and TF: at restore; it can't be changed later",
    "StorageType": "CFN and TF: at restore",
    "NetworkType": "CFN and TF: at restore",
    "ServerlessV2ScalingConfiguration": "CFN: at restore only, since its PR 428",
    "EnableIAMDatabaseAuthentication": "CFN: at restore (and again in the change after it); TF: a known bug, never",
    "EnableCloudwatchLogsExports": "CFN and TF: at restore",
    "DeletionProtection": "CFN and TF: at restore",
    "CopyTagsToSnapshot": "CFN and TF: at restore",
    "EngineLifecycleSupport": "CFN and TF: at restore; without it RDS enrols in paid Extended Support",
    "Tags": "CFN and TF: at restore. The source's tags aren't taken over by RDS",
}
FIRST_CHANGE = {
    "DBClusterIdentifier": "API: required",
    "ApplyImmediately": "CFN: always true; else a change waits for the maintenance window",
    "MasterUserPassword": "CFN: in the change after each restore, while there is no instance; TF: in the change",
    "BackupRetentionPeriod": "CFN and TF: in the change, not at restore, although the model has it there",
    "PreferredBackupWindow": "CFN and TF: in the change, not at restore, although the model has it there",
    "PreferredMaintenanceWindow": "CFN and TF: in the change; RestoreDBClusterFromSnapshot doesn't know it",
    "DatabaseInsightsMode": "CFN: in the change; RestoreDBClusterFromSnapshot doesn't know it",
    "EnablePerformanceInsights": "CFN: in the change. Aurora takes it with DatabaseInsightsMode=advanced only",
    "PerformanceInsightsRetentionPeriod": "CFN: in the change, as EnablePerformanceInsights",
    "PerformanceInsightsKMSKeyId": "CFN: in the change, only with EnablePerformanceInsights=true",
}
MANAGED_LOGIN = {
    "ManageMasterUserPassword": "CFN: in the change, only when true: false is refused for what was never managed",
    "MasterUserSecretKmsKeyId": "CFN: in the change, with ManageMasterUserPassword",
}
INSTANCE = {
    "DBInstanceIdentifier": "API: required",
    "DBInstanceClass": "API: required",
    "Engine": "API: required",
    "DBClusterIdentifier": "CFN and TF: for a member of a cluster",
    "AvailabilityZone": "CFN and TF",
    "DBParameterGroupName": "CFN and TF",
    "DBSubnetGroupName": "CFN and TF: the cluster's",
    "PromotionTier": "CFN and TF",
    "PubliclyAccessible": "CFN and TF",
    "AutoMinorVersionUpgrade": "CFN and TF: the instance's; on Aurora it doesn't apply to ModifyDBCluster",
    "PreferredMaintenanceWindow": "CFN and TF",
    "EnablePerformanceInsights": "CFN and TF: the instance's",
    "PerformanceInsightsRetentionPeriod": "CFN and TF: the instance's, with EnablePerformanceInsights",
    "PerformanceInsightsKMSKeyId": "CFN: the instance's, only with EnablePerformanceInsights=true",
    "CACertificateIdentifier": "CFN and TF: the instance's",
    "MonitoringInterval": "CFN and TF: the instance's",
    "MonitoringRoleArn": "CFN and TF: the instance's, with an interval",
    "Tags": "CFN and TF",
}
COPY = {
    "SourceDBClusterSnapshotIdentifier": "API: required",
    "TargetDBClusterSnapshotIdentifier": "API: required",
    "SourceRegion": "botocore: makes the signed URL of a copy from another region",
    "KmsKeyId": "API: required for an encrypted snapshot of another region or account",
    "CopyTags": "API: false is its default; tags of another account can't be read, `aws:` tags make it fail",
    "Tags": "API",
}
WRITER = {"DBClusterIdentifier": "API: required", "TargetDBInstanceIdentifier": "API: who takes over"}
DATA_API = {"ResourceArn": "CFN and TF: EnableHttpEndpoint after the change; ModifyDBCluster's is Serverless v1's"}


def restore(aurora: Aurora, plan: ClusterPlan) -> None:
    aurora.restore_cluster(plan, OPERATION)


def first_change(aurora: Aurora, plan: ClusterPlan) -> None:
    aurora.modify_restored_cluster(plan, "a-new-password")


def managed_login(aurora: Aurora, plan: ClusterPlan) -> None:
    aurora.modify_restored_cluster(plan, None)


def instance(aurora: Aurora, plan: ClusterPlan) -> None:
    (planned,) = some_instances(1)
    in_a_zone = type(planned)(
        identifier="another", db_instance_class="db.r6g.large", availability_zone="us-east-1a", promotion_tier=1
    )
    aurora.create_instance(plan, in_a_zone, OPERATION)


def copy(aurora: Aurora, plan: ClusterPlan) -> None:
    wanted = a_copy(kms_key_id="alias/staging")
    aurora.copy_snapshot(wanted.steps[0], wanted.tags, OPERATION)


def writer(aurora: Aurora, plan: ClusterPlan) -> None:
    cluster = aurora.cluster(TARGET)
    assert cluster is not None
    aurora.change_writer(cluster, cluster.member_identifiers[0])


def data_api(aurora: Aurora, plan: ClusterPlan) -> None:
    cluster = aurora.cluster(TARGET)
    assert cluster is not None
    aurora.enable_data_api(cluster)


CALLS: list[tuple[str, Callable[[Aurora, ClusterPlan], None], dict[str, str]]] = [
    ("RestoreDBClusterFromSnapshot", restore, RESTORE),
    ("ModifyDBCluster", first_change, FIRST_CHANGE),
    (
        "ModifyDBCluster",
        managed_login,
        {name: why for name, why in FIRST_CHANGE.items() if name != "MasterUserPassword"} | MANAGED_LOGIN,
    ),
    ("CreateDBInstance", instance, INSTANCE),
    ("CopyDBClusterSnapshot", copy, COPY),
    ("FailoverDBCluster", writer, WRITER),
    ("EnableHttpEndpoint", data_api, DATA_API),
]


@pytest.mark.parametrize(("operation", "call", "known"), CALLS, ids=[call.__name__ for _, call, _ in CALLS])
def test_every_parameter_is_sent_as_awss_own_handlers_send_it(
    rds: FakeRds, operation: str, call: Callable[[Aurora, ClusterPlan], None], known: dict[str, str]
) -> None:
    rds.add_snapshot("prod-orders-tuesday")
    rds.cluster_parameter_groups["tuned-cluster"] = rds.parameter_groups["tuned"] = "aurora-postgresql16"
    if operation != "RestoreDBClusterFromSnapshot":
        rds.add_cluster(TARGET, TagList=OWN_TAGS)
        rds.add_instance(some_instances(1)[0].identifier, TARGET)
    call(Aurora(REGION), EVERYTHING)
    assert set(rds.asked(operation)) == set(known), "every parameter has its line, and every line is sent"


def test_what_is_sent_exists_in_the_api(rds: FakeRds) -> None:
    model = botocore.session.get_session().get_service_model("rds")
    for operation, _, known in CALLS:
        members: Any = model.operation_model(operation).input_shape
        assert set(known) - {"SourceRegion"} <= set(members.members), operation


NEVER_AT_RESTORE = {
    "EnablePerformanceInsights",
    "MonitoringInterval",
    "MonitoringRoleArn",
    "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod",
}


@pytest.mark.parametrize("days", [0, 7, 465])
def test_a_restore_says_nothing_of_insights_and_monitoring_whatever_is_wanted(rds: FakeRds, days: int) -> None:
    """RDS refuses them for every source that isn't Limitless, whatever their values (boto/boto3#4634)."""
    rds.add_snapshot("prod-orders-tuesday")
    mode = "advanced" if days == 465 else "standard"
    plan = a_cluster_plan(performance_insights_retention_days=days, database_insights_mode=mode)
    Aurora(REGION).restore_cluster(plan, OPERATION)
    assert not NEVER_AT_RESTORE & set(rds.asked("RestoreDBClusterFromSnapshot"))


def test_a_change_of_a_cluster_without_instances_never_has_a_version(rds: FakeRds) -> None:
    """RDS refuses it without a healthy primary instance (hashicorp/terraform-provider-aws#30131)."""
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    Aurora(REGION).modify_restored_cluster(EVERYTHING, "a-new-password")
    assert "EngineVersion" not in rds.asked("ModifyDBCluster")
