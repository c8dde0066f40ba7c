"""What RDS reports of the finished cluster, held against what was asked for."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.setting_values import UNUSUAL, another, reported_of
from tests.unit.fakes.rds import FakeRds
from tests.unit.support import ACCOUNT, KEY_ID, OPERATION, OWN_TAGS, REGION, TARGET, a_cluster_plan, some_instances
from utils.aurora_utils import Aurora
from utils.contracts.plan import ClusterPlan
from utils.contracts.settings import SETTINGS, Setting
from utils.steps.differences import differences

ROLE = f"arn:aws:iam::{ACCOUNT}:role/rds-monitoring-role"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{KEY_ID}"
PLAN = a_cluster_plan(
    ca_certificate_identifier="rds-ca-ecc384-g1",
    monitoring_interval_seconds=30,
    monitoring_role_arn=ROLE,
    performance_insights_kms_key_id=KEY,
    preferred_backup_window="02:00-02:30",
    preferred_maintenance_window="sun:05:00-sun:05:30",
    serverless_v2_min_capacity=0.5,
    serverless_v2_max_capacity=8.0,
)

FIRST, SECOND, THIRD = (each.identifier for each in some_instances(3))


@pytest.fixture
def made(rds: FakeRds) -> FakeRds:
    """The cluster as it was asked for."""
    rds.add_snapshot("prod-orders-tuesday")
    aurora = Aurora(REGION)
    aurora.restore_cluster(PLAN, OPERATION)
    aurora.modify_restored_cluster(PLAN, "a-new-password")
    for each in PLAN.instances:
        aurora.create_instance(PLAN, each, OPERATION)
    aurora.change_security_groups(PLAN, PLAN.vpc_security_group_ids)
    return rds


def found(plan: ClusterPlan = PLAN) -> list[str]:
    aurora = Aurora(REGION)
    cluster = aurora.cluster(TARGET)
    assert cluster is not None
    return differences(plan, cluster, aurora.instances_of(TARGET), REGION, "open")


def test_a_cluster_that_is_as_asked_differs_in_nothing(made: FakeRds) -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("reported", "told"),
    [
        ({"EngineVersion": "16.6"}, "engine_version: asked for 16.4, RDS reports 16.6"),
        ({"Port": 5433}, "port: asked for 5432, RDS reports 5433"),
        ({"DBSubnetGroup": "default"}, "db_subnet_group_name: asked for databases, RDS reports default"),
        ({"DBClusterParameterGroup": "x"}, "db_cluster_parameter_group_name: asked for default.aurora-postgresql16"),
        ({"StorageType": "aurora-iopt1"}, "storage_type: asked for aurora, RDS reports aurora-iopt1"),
        ({"NetworkType": "DUAL"}, "network_type: asked for IPV4, RDS reports DUAL"),
        (
            {"EnabledCloudwatchLogsExports": []},
            "enabled_cloudwatch_logs_exports: asked for postgresql, RDS reports none",
        ),
        ({"IAMDatabaseAuthenticationEnabled": True}, "iam_database_authentication: asked for off, RDS reports on"),
        ({"DeletionProtection": True}, "deletion_protection: asked for off, RDS reports on"),
        ({"BackupRetentionPeriod": 7}, "backup_retention_days: asked for 1, RDS reports 7"),
        ({"PreferredBackupWindow": "03:00-03:30"}, "preferred_backup_window: asked for 02:00-02:30"),
        ({"PreferredMaintenanceWindow": "mon:03:00-mon:03:30"}, "preferred_maintenance_window: asked for sun:05:00"),
        ({"CopyTagsToSnapshot": False}, "copy_tags_to_snapshot: asked for on, RDS reports off"),
        ({"EngineLifecycleSupport": "open-source-rds-extended-support"}, "extended_support: asked for off"),
        ({"ServerlessV2ScalingConfiguration": {"MinCapacity": 1.0}}, "serverless_v2_min_capacity: asked for 0.5"),
        ({"DatabaseInsightsMode": "advanced"}, "database_insights_mode: asked for standard, RDS reports advanced"),
        ({"PerformanceInsightsEnabled": False}, "performance_insights_retention_days: asked for 7, RDS reports 0"),
        ({"HttpEndpointEnabled": True}, "data_api: asked for off, RDS reports on"),
        ({"StorageEncrypted": True, "KmsKeyId": "arn:key"}, "kms_key_id: asked for no key of the account's"),
        ({"TagList": []}, f"tag aurora-restore:operation-id: asked for {OPERATION}, RDS reports none"),
    ],
)
def test_whatever_differs_in_the_cluster_is_told(made: FakeRds, reported: dict[str, Any], told: str) -> None:
    made.clusters[TARGET] |= reported
    (text,) = found()
    assert text.startswith(told)


@pytest.mark.parametrize(
    ("reported", "told"),
    [
        ({"DBInstanceClass": "db.r6g.xlarge"}, "db_instance_class: asked for db.r6g.large, RDS reports db.r6g.xlarge"),
        ({"PromotionTier": 15}, "promotion_tier: asked for 1, RDS reports 15"),
        ({"AutoMinorVersionUpgrade": False}, "auto_minor_version_upgrade: asked for on, RDS reports off"),
        ({"DBParameterGroups": [{"DBParameterGroupName": "x"}]}, "db_parameter_group_name: asked for default"),
        ({"PerformanceInsightsEnabled": False}, "performance_insights_retention_days: asked for 7, RDS reports 0"),
        ({"PreferredMaintenanceWindow": "mon:03:00-mon:03:30"}, "preferred_maintenance_window: asked for sun:05:00"),
        ({"CACertificateIdentifier": "rds-ca-x"}, "ca_certificate_identifier: asked for rds-ca-ecc384-g1, RDS reports"),
        ({"MonitoringInterval": 0}, "monitoring_interval_seconds: asked for 30, RDS reports 0"),
        ({"MonitoringRoleArn": "arn:aws:iam::1:role/x"}, f"monitoring_role_arn: asked for {ROLE}, RDS reports"),
        ({"PerformanceInsightsKMSKeyId": "arn:x"}, f"performance_insights_kms_key_id: asked for {KEY}, RDS reports"),
        ({"TagList": []}, "tag aurora-restore:operation-id: asked for"),
    ],
)
def test_whatever_differs_in_an_instance_is_told_with_its_name(
    made: FakeRds, reported: dict[str, Any], told: str
) -> None:
    made.instances[SECOND] |= reported
    (text,) = found()
    assert text.startswith(f"instance {SECOND}: {told}")


@pytest.mark.parametrize("setting", [each for each in SETTINGS if each.of_cluster], ids=lambda each: str(each.name))
def test_each_setting_that_a_cluster_reports_is_compared(made: FakeRds, setting: Setting) -> None:
    made.clusters[TARGET] |= reported_of(setting, setting.of_cluster or "")
    plan = replace(PLAN, **{setting.name: another(UNUSUAL[setting.name])})
    assert [each for each in found(plan) if each.startswith(f"{setting.name}: asked for")]


@pytest.mark.parametrize("setting", [each for each in SETTINGS if each.of_instance], ids=lambda each: str(each.name))
def test_each_setting_that_an_instance_reports_is_compared(made: FakeRds, setting: Setting) -> None:
    made.instances[SECOND] |= reported_of(setting, setting.of_instance or "")
    plan = replace(PLAN, **{setting.name: another(UNUSUAL[setting.name])})
    assert [each for each in found(plan) if each.startswith(f"instance {SECOND}: {setting.name}: asked for")]


def test_static_parameters_that_wait_for_a_reboot_are_told_with_the_command(made: FakeRds) -> None:
    made.instances[FIRST]["DBParameterGroups"][0]["ParameterApplyStatus"] = "pending-reboot"
    (text,) = found()
    assert "static parameters of default.aurora-postgresql16 wait for a reboot: aws rds reboot-db-instance" in text


def test_an_instance_too_few_or_too_many_is_told(made: FakeRds) -> None:
    assert found(replace(PLAN, instances=some_instances(3))) == [
        f"instance {THIRD} was asked for, and RDS does not report it",
    ]
    made.add_instance(f"{TARGET}-9", TARGET, TagList=OWN_TAGS)
    assert found() == [f"instance {TARGET}-9 was not asked for"]


def test_what_rds_doesnt_say_and_what_nobody_asked_for_is_no_difference(made: FakeRds) -> None:
    for name in ("NetworkType", "EngineLifecycleSupport", "PreferredBackupWindow"):
        del made.clusters[TARGET][name]
    assert found() == []
