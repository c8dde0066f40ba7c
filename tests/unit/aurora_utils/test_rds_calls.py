"""Every parameter of every call of RDS's that changes something, with how AWS's own handlers and HashiCorp's send it.

A parameter that is added to a call needs its line, with a source from outside: a setting's stands in the table of
settings (utils/contracts/settings.py, which says what "CFN", "TF" and "API" are), all others stand here. "TF" is
cluster_snapshot.go and export_task.go of internal/service/rds as well.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import botocore.session
import pytest

from tests.setting_values import UNUSUAL
from tests.unit.fakes.groups import a_subnet_group
from tests.unit.fakes.rds import FakeRds
from tests.unit.operations_in_source import operations_in_source
from tests.unit.support import (
    ACCOUNT,
    DOOR,
    KEY_ID,
    OPERATION,
    OWN_TAGS,
    OWNER,
    REGION,
    SECURITY_GROUP,
    TARGET,
    a_cluster_plan,
    a_copy,
    a_snapshot_found,
    some_instances,
)
from utils.aurora_utils import Aurora
from utils.aurora_utils.exports import Exports
from utils.aurora_utils.source_account import OwnersAurora
from utils.aws import client
from utils.contracts.plan import ClusterPlan, SnapshotExport
from utils.contracts.settings import OF_THE_INSTANCES, SETTINGS, Call

EVERYTHING = a_cluster_plan(
    **{name: value for name, value in UNUSUAL.items() if name not in OF_THE_INSTANCES}
    | {"vpc_security_group_ids": [SECURITY_GROUP]},
    monitoring_role_arn="arn:aws:iam::123456789012:role/rds-monitoring",
    master_secret_kms_key_id="alias/secrets",
)

# Their calls carry another value than the plan's: the name of the support, and the door.
IN_OTHER_WORDS = ("extended_support", "vpc_security_group_ids")


def of_settings(call: Call) -> dict[str, str]:
    """Return the lines of the settings that a call carries: they stand in the table of settings."""
    return {sent.path[0]: sent.source for each in SETTINGS if (sent := each.sent_in(call)) is not None}


RESTORE = of_settings("RestoreDBClusterFromSnapshot") | {
    "DBClusterIdentifier": "API: required",
    "SnapshotIdentifier": "API: required",
    "Engine": "API: required",
    "CopyTagsToSnapshot": "CFN and TF: at restore",
    "Tags": "CFN and TF: at restore. The source's tags aren't taken over by RDS",
}
FIRST_CHANGE = of_settings("ModifyDBCluster") | {
    "DBClusterIdentifier": "API: required",
    "ApplyImmediately": "CFN: always true; else a change waits for the maintenance window",
    "MasterUserPassword": "CFN: in the change after each restore, while there is no instance; TF: in the change",
    "EnablePerformanceInsights": "CFN: in the change, as DatabaseInsightsMode=advanced needs it in the same call",
}
MANAGED_LOGIN = {
    "ManageMasterUserPassword": "CFN: in the change, only when true: false is refused for what was never managed",
    "MasterUserSecretKmsKeyId": "CFN: in the change, with ManageMasterUserPassword",
}
OPENED = {
    "DBClusterIdentifier": "API: required",
    "VpcSecurityGroupIds": "CFN and TF: in a change of the cluster; a member's own are refused (CFN's PR 262)",
    "ApplyImmediately": "CFN: always true; else a change waits for the maintenance window",
}
RENAMED = {
    "DBClusterIdentifier": "API: required",
    "NewDBClusterIdentifier": "TF: in a change of its own (cluster.go, cluster_identifier)",
    "ApplyImmediately": "CFN: always true; else a rename waits for the maintenance window",
}
INSTANCE = of_settings("CreateDBInstance") | {
    "DBInstanceIdentifier": "API: required",
    "DBInstanceClass": "API: required",
    "Engine": "API: required",
    "DBClusterIdentifier": "CFN and TF: for a member of a cluster",
    "AvailabilityZone": "CFN and TF",
    "PromotionTier": "CFN and TF",
    "PubliclyAccessible": "CFN and TF",
    "EnablePerformanceInsights": "CFN and TF: the instance's",
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
SNAPSHOT = a_snapshot_found()
FINAL = "staging-orders-final-0123456789ab"
EXPORT = SnapshotExport(
    identifier="staging-orders-export-0123456789ab",
    source_arn=SNAPSHOT.arn,
    bucket="exports",
    prefix="aurora-restore",
    role_arn=f"arn:aws:iam::{ACCOUNT}:role/export",
    kms_key_id=f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{KEY_ID}",
)
WRITER = {"DBClusterIdentifier": "API: required", "TargetDBInstanceIdentifier": "API: who takes over"}
DATA_API = {"ResourceArn": "CFN and TF: EnableHttpEndpoint after the change; ModifyDBCluster's is Serverless v1's"}
DELETED_MEMBER = {
    "DBInstanceIdentifier": "API: required",
    "SkipFinalSnapshot": "CFN: true for a member of a cluster (DeleteHandler.java of aws-rds-dbinstance): it has none",
}
DELETED_WITHOUT = {
    "DBClusterIdentifier": "API: required",
    "SkipFinalSnapshot": "CFN and TF: true, and no name beside it; the API refuses one with the other",
    "DeleteAutomatedBackups": "TF: always said; CFN: never. API: left out, RDS removes them with the cluster",
}
DELETED_WITH = DELETED_WITHOUT | {
    "SkipFinalSnapshot": "CFN and TF: false, with the name of the snapshot; it is the API's default",
    "FinalDBSnapshotIdentifier": "CFN and TF: only with SkipFinalSnapshot=false, where the API requires it",
}
UNPROTECTED = {
    "DBClusterIdentifier": "API: required",
    "DeletionProtection": "TF: false in a ModifyDBCluster of its own, when DeleteDBCluster has refused for it",
    "ApplyImmediately": "CFN: always true; else a change waits for the maintenance window",
}
DELETED_SNAPSHOT = {"DBClusterSnapshotIdentifier": "API: required"}
SHARED = {
    "DBClusterSnapshotIdentifier": "TF, and API: required",
    "AttributeName": "TF: restore. API: that lets the accounts copy or restore it",
    "ValuesToAdd": "TF: the accounts",
}
UNSHARED = {name: why for name, why in SHARED.items() if name != "ValuesToAdd"} | {
    "ValuesToRemove": "API: the accounts",
}
TAGGED = {
    "ResourceName": "API: required, and an ARN",
    "Tags": "API: required. CFN adds them so after each creation (Tagging.java)",
}
EXPORTED = {
    "ExportTaskIdentifier": "TF, and API: required",
    "SourceArn": "TF, and API: required",
    "S3BucketName": "TF, and API: required",
    "IamRoleArn": "TF, and API: required",
    "KmsKeyId": "TF, and API: required. It encrypts what is exported",
    "S3Prefix": "TF: where there is one",
}


def restore(aurora: Aurora, plan: ClusterPlan) -> None:
    aurora.restore_cluster(plan, OPERATION)


def first_change(aurora: Aurora, plan: ClusterPlan) -> None:
    aurora.modify_restored_cluster(plan, "a-new-password")


def managed_login(aurora: Aurora, plan: ClusterPlan) -> None:
    aurora.modify_restored_cluster(plan, None)


def opening(aurora: Aurora, plan: ClusterPlan) -> None:
    aurora.change_security_groups(plan, plan.vpc_security_group_ids)


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
    aurora.change_writer(cluster, cluster.member_identifiers[-1])


def data_api(aurora: Aurora, plan: ClusterPlan) -> None:
    cluster = aurora.cluster(TARGET)
    assert cluster is not None
    aurora.enable_data_api(cluster)


def member_deletion(aurora: Aurora, plan: ClusterPlan) -> None:
    aurora.delete_instance(some_instances(1)[0].identifier)


def deletion(aurora: Aurora, final_snapshot: str | None, keep_backups: bool) -> None:
    # RDS refuses while a member isn't being deleted.
    aurora.delete_instance(some_instances(1)[0].identifier)
    aurora.delete_cluster(TARGET, final_snapshot, keep_backups)


def deletion_without_final_snapshot(aurora: Aurora, plan: ClusterPlan) -> None:
    deletion(aurora, None, keep_backups=False)


def deletion_with_final_snapshot(aurora: Aurora, plan: ClusterPlan) -> None:
    deletion(aurora, FINAL, keep_backups=False)


def deletion_that_keeps_backups(aurora: Aurora, plan: ClusterPlan) -> None:
    deletion(aurora, None, keep_backups=True)


def deletion_with_final_snapshot_that_keeps_backups(aurora: Aurora, plan: ClusterPlan) -> None:
    deletion(aurora, FINAL, keep_backups=True)


def protection_off(aurora: Aurora, plan: ClusterPlan) -> None:
    Aurora(REGION).switch_deletion_protection_off(TARGET)


def snapshot_deletion(aurora: Aurora, plan: ClusterPlan) -> None:
    aurora.delete_snapshot(SNAPSHOT.identifier)


def owner() -> OwnersAurora:
    return OwnersAurora(OWNER, REGION, client("rds", REGION), client("kms", REGION), lambda: None)


def share(aurora: Aurora, plan: ClusterPlan) -> None:
    owner().share(SNAPSHOT.arn, ACCOUNT)


def unshare(aurora: Aurora, plan: ClusterPlan) -> None:
    owner().unshare(SNAPSHOT.arn, ACCOUNT)


def tagging(aurora: Aurora, plan: ClusterPlan) -> None:
    Aurora(REGION).tag_final_snapshot(SNAPSHOT.arn, {"team": "orders"})


def export(aurora: Aurora, plan: ClusterPlan) -> None:
    Exports(REGION).start(EXPORT)


def cancellation(aurora: Aurora, plan: ClusterPlan) -> None:
    exports = Exports(REGION)
    begun = exports.start(EXPORT)
    assert not isinstance(begun, str)
    exports.cancel(begun)


def renaming(aurora: Aurora, plan: ClusterPlan) -> None:
    aurora.rename(TARGET, "another-name")


def fencing(aurora: Aurora, plan: ClusterPlan) -> None:
    aurora.put_into_groups(TARGET, [DOOR])


def reboot(aurora: Aurora, plan: ClusterPlan) -> None:
    aurora.reboot_instance(some_instances(1)[0].identifier)


def stopping(aurora: Aurora, plan: ClusterPlan) -> None:
    aurora.stop_cluster(TARGET)


def starting(aurora: Aurora, plan: ClusterPlan) -> None:
    aurora.stop_cluster(TARGET)
    aurora.start_cluster(TARGET)


def data_api_off(aurora: Aurora, plan: ClusterPlan) -> None:
    cluster = aurora.cluster(TARGET)
    assert cluster is not None
    aurora.disable_data_api(cluster)


def role_tags(aurora: Aurora, plan: ClusterPlan) -> None:
    cluster = aurora.cluster(TARGET)
    assert cluster is not None
    aurora.mark_role(cluster, "live")


CALLS: list[tuple[str, Callable[[Aurora, ClusterPlan], None], dict[str, str]]] = [
    ("RestoreDBClusterFromSnapshot", restore, RESTORE),
    ("ModifyDBCluster", first_change, FIRST_CHANGE),
    (
        "ModifyDBCluster",
        managed_login,
        {name: why for name, why in FIRST_CHANGE.items() if name != "MasterUserPassword"} | MANAGED_LOGIN,
    ),
    ("ModifyDBCluster", opening, OPENED),
    ("CreateDBInstance", instance, INSTANCE),
    ("CopyDBClusterSnapshot", copy, COPY),
    ("FailoverDBCluster", writer, WRITER),
    ("EnableHttpEndpoint", data_api, DATA_API),
    ("DeleteDBInstance", member_deletion, DELETED_MEMBER),
    ("DeleteDBCluster", deletion_without_final_snapshot, DELETED_WITHOUT),
    ("DeleteDBCluster", deletion_with_final_snapshot, DELETED_WITH),
    ("DeleteDBCluster", deletion_that_keeps_backups, DELETED_WITHOUT),
    ("DeleteDBCluster", deletion_with_final_snapshot_that_keeps_backups, DELETED_WITH),
    ("ModifyDBCluster", protection_off, UNPROTECTED),
    ("DeleteDBClusterSnapshot", snapshot_deletion, DELETED_SNAPSHOT),
    ("ModifyDBClusterSnapshotAttribute", share, SHARED),
    ("ModifyDBClusterSnapshotAttribute", unshare, UNSHARED),
    ("AddTagsToResource", tagging, TAGGED),
    ("StartExportTask", export, EXPORTED),
    ("ModifyDBCluster", renaming, RENAMED),
    ("ModifyDBCluster", fencing, OPENED),
    ("RebootDBInstance", reboot, {"DBInstanceIdentifier": "API: required. ForceFailover is not for Aurora"}),
    ("StopDBCluster", stopping, {"DBClusterIdentifier": "API: required"}),
    ("StartDBCluster", starting, {"DBClusterIdentifier": "API: required"}),
    ("DisableHttpEndpoint", data_api_off, {"ResourceArn": "CFN: DisableHttpEndpoint, as EnableHttpEndpoint"}),
    ("AddTagsToResource", role_tags, TAGGED),
    ("CancelExportTask", cancellation, {"ExportTaskIdentifier": "API: required"}),
]


@pytest.mark.parametrize(("operation", "call", "known"), CALLS, ids=[call.__name__ for _, call, _ in CALLS])
def test_every_parameter_is_sent_as_awss_own_handlers_send_it(
    rds: FakeRds,
    source_rds: FakeRds,
    operation: str,
    call: Callable[[Aurora, ClusterPlan], None],
    known: dict[str, str],
) -> None:
    rds.add_snapshot(SNAPSHOT.identifier)
    source_rds.add_snapshot("prod-orders-tuesday")
    rds.subnet_groups[EVERYTHING.db_subnet_group_name] = a_subnet_group(EVERYTHING.db_subnet_group_name, "a", "b")
    rds.cluster_parameter_groups["unusual-cluster"] = rds.parameter_groups["unusual"] = "aurora-postgresql16"
    if operation != "RestoreDBClusterFromSnapshot":
        rds.add_cluster(TARGET, TagList=OWN_TAGS)
        rds.add_instance(some_instances(1)[0].identifier, TARGET)
        if call is writer:
            rds.add_instance("a-reader", TARGET)
    call(Aurora(REGION), EVERYTHING)
    asked = rds.asked(operation)
    assert set(asked) == set(known), "every parameter has its line, and every line is sent"
    for setting in SETTINGS:
        for sent in (setting.restore, setting.first_change, setting.instance):
            if sent is not None and setting.name not in IN_OTHER_WORDS and known.get(sent.path[0]) == sent.source:
                value = functools.reduce(operator.getitem, sent.path, asked)
                assert value == getattr(EVERYTHING, setting.name)


def test_what_is_sent_exists_in_the_api(rds: FakeRds) -> None:
    model = botocore.session.get_session().get_service_model("rds")
    for operation, _, known in CALLS:
        members: Any = model.operation_model(operation).input_shape
        assert set(known) - {"SourceRegion"} <= set(members.members), operation


# Where the value decides, and not only that there is one: what is gone, kept, or seen by others afterwards.
VALUES: list[tuple[str, Callable[[Aurora, ClusterPlan], None], dict[str, Any]]] = [
    (
        "ModifyDBCluster",
        opening,
        {"DBClusterIdentifier": TARGET, "VpcSecurityGroupIds": [SECURITY_GROUP], "ApplyImmediately": True},
    ),
    (
        "DeleteDBInstance",
        member_deletion,
        {"DBInstanceIdentifier": some_instances(1)[0].identifier, "SkipFinalSnapshot": True},
    ),
    (
        "DeleteDBCluster",
        deletion_without_final_snapshot,
        {"DBClusterIdentifier": TARGET, "SkipFinalSnapshot": True, "DeleteAutomatedBackups": True},
    ),
    (
        "DeleteDBCluster",
        deletion_with_final_snapshot,
        {
            "DBClusterIdentifier": TARGET,
            "SkipFinalSnapshot": False,
            "FinalDBSnapshotIdentifier": FINAL,
            "DeleteAutomatedBackups": True,
        },
    ),
    (
        "DeleteDBCluster",
        deletion_that_keeps_backups,
        {"DBClusterIdentifier": TARGET, "SkipFinalSnapshot": True, "DeleteAutomatedBackups": False},
    ),
    (
        "DeleteDBCluster",
        deletion_with_final_snapshot_that_keeps_backups,
        {
            "DBClusterIdentifier": TARGET,
            "SkipFinalSnapshot": False,
            "FinalDBSnapshotIdentifier": FINAL,
            "DeleteAutomatedBackups": False,
        },
    ),
    (
        "ModifyDBCluster",
        protection_off,
        {"DBClusterIdentifier": TARGET, "DeletionProtection": False, "ApplyImmediately": True},
    ),
    ("DeleteDBClusterSnapshot", snapshot_deletion, {"DBClusterSnapshotIdentifier": SNAPSHOT.identifier}),
    (
        "ModifyDBClusterSnapshotAttribute",
        share,
        {"DBClusterSnapshotIdentifier": SNAPSHOT.identifier, "AttributeName": "restore", "ValuesToAdd": [ACCOUNT]},
    ),
    (
        "ModifyDBClusterSnapshotAttribute",
        unshare,
        {"DBClusterSnapshotIdentifier": SNAPSHOT.identifier, "AttributeName": "restore", "ValuesToRemove": [ACCOUNT]},
    ),
    ("AddTagsToResource", tagging, {"ResourceName": SNAPSHOT.arn, "Tags": [{"Key": "team", "Value": "orders"}]}),
    ("CancelExportTask", cancellation, {"ExportTaskIdentifier": EXPORT.identifier}),
    (
        "StartExportTask",
        export,
        {
            "ExportTaskIdentifier": EXPORT.identifier,
            "SourceArn": SNAPSHOT.arn,
            "S3BucketName": "exports",
            "S3Prefix": "aurora-restore",
            "IamRoleArn": EXPORT.role_arn,
            "KmsKeyId": EXPORT.kms_key_id,
        },
    ),
]


@pytest.mark.parametrize(("operation", "call", "sent"), VALUES, ids=[call.__name__ for _, call, _ in VALUES])
def test_what_deletes_shares_and_exports_says_exactly_this(
    rds: FakeRds, operation: str, call: Callable[[Aurora, ClusterPlan], None], sent: dict[str, Any]
) -> None:
    rds.add_snapshot(SNAPSHOT.identifier)
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    rds.add_instance(some_instances(1)[0].identifier, TARGET)
    call(Aurora(REGION), EVERYTHING)
    assert rds.asked(operation) == sent


def test_every_call_that_changes_something_has_its_lines() -> None:
    called = {each.name for each in operations_in_source() if each.service_model.service_name == "rds"}
    assert called > {"DescribeDBClusters", "DescribeDBInstances"}
    changing = {name for name in called if not name.startswith(("Describe", "List", "Download"))}
    assert changing == {operation for operation, _, _ in CALLS}


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


def test_a_restored_cluster_is_behind_its_door(rds: FakeRds) -> None:
    """In no group beside it, whatever was asked for: through a wanted one, whoever may could use what came along."""
    rds.add_snapshot("prod-orders-tuesday")
    Aurora(REGION).restore_cluster(a_cluster_plan(), OPERATION)
    assert rds.asked("RestoreDBClusterFromSnapshot")["VpcSecurityGroupIds"] == [DOOR]


def test_a_change_of_a_cluster_without_instances_never_has_a_version(rds: FakeRds) -> None:
    """RDS refuses it without a healthy primary instance (hashicorp/terraform-provider-aws#30131)."""
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    Aurora(REGION).modify_restored_cluster(EVERYTHING, "a-new-password")
    assert "EngineVersion" not in rds.asked("ModifyDBCluster")
