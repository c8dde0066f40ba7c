"""Who decides a setting of the new cluster: the request, the stack, the source cluster, or a default of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.setting_values import UNUSUAL, reported_by_cluster, reported_by_instance
from tests.unit.fakes.rds import FakeRds
from tests.unit.support import (
    ACCOUNT,
    DEFAULTS,
    LIMITS,
    OPERATION,
    REGION,
    SECURITY_GROUP,
    SOURCE,
    SOURCE_REGION,
    STACK,
    TARGET,
    a_cluster_plan,
    an_execution,
    set_defaults,
)
from utils.aurora_utils import Aurora
from utils.aurora_utils.reported_settings import read_cluster_settings, read_instance_settings
from utils.aurora_utils.source_account import Source, SourceSharedByHand
from utils.changes import asking_once
from utils.contracts.plan import ClusterPlan, Plan
from utils.contracts.settings import OF_THE_INSTANCES, SETTINGS, Setting
from utils.errors import RequestRefused
from utils.names import instance_name
from utils.planning.cluster import cluster_plan, plan_problems
from utils.planning.like_source import SourceSettings, UnreadableSource, source_settings
from utils.planning.restore import plan_restore
from utils.request.reading import read_request

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import DBClusterTypeDef, DBInstanceTypeDef

pytestmark = pytest.mark.usefixtures("surroundings")

WITHOUT_CLASS = {name: value for name, value in DEFAULTS.items() if name != "db_instance_class"}
LIKE_SOURCE = WITHOUT_CLASS | {"like_source": "true"}
PRODUCTION = {
    "EngineVersion": "16.4",
    "Port": 6543,
    "DBClusterParameterGroup": "tuned-cluster",
    "StorageType": "aurora-iopt1",
    "NetworkType": "DUAL",
    "EnabledCloudwatchLogsExports": ["postgresql", "instance"],
    "IAMDatabaseAuthenticationEnabled": True,
    "BackupRetentionPeriod": 21,
    "PreferredBackupWindow": "01:00-02:00",
    "PreferredMaintenanceWindow": "Tue:03:00-Tue:04:00",
    "DatabaseInsightsMode": "advanced",
    "PerformanceInsightsEnabled": True,
    "PerformanceInsightsRetentionPeriod": 465,
    "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.0, "MaxCapacity": 16.0, "SecondsUntilAutoPause": 900},
    "DeletionProtection": True,
    "EngineLifecycleSupport": "open-source-rds-extended-support",
    "HttpEndpointEnabled": True,
}


@pytest.fixture
def production(rds: FakeRds) -> dict[str, Any]:
    """A source that is unusual in everything, and what the target region needs for one like it."""
    rds.add_snapshot("tuesday")
    rds.cluster_parameter_groups["tuned-cluster"] = rds.parameter_groups["tuned"] = "aurora-postgresql16"
    rds.subnet_groups["databases"]["SupportedNetworkTypes"] = ["IPV4", "DUAL"]
    cluster = rds.add_cluster(SOURCE, **PRODUCTION)
    for number, (instance_class, tier) in enumerate((("db.r6g.xlarge", 1), ("db.serverless", 3), ("db.r6g.large", 15))):
        rds.add_instance(
            f"{SOURCE}-{number}",
            SOURCE,
            DBInstanceClass=instance_class,
            PromotionTier=tier,
            AutoMinorVersionUpgrade=False,
            DBParameterGroups=[{"DBParameterGroupName": "tuned", "ParameterApplyStatus": "in-sync"}],
        )
    return cluster


def plan_of(stack: dict[str, str] = LIKE_SOURCE, /, **given: Any) -> Plan:
    source = Source(ACCOUNT, given.get("source_region", REGION))
    return plan_restore(read_request(given, stack), OPERATION, an_execution(), source, Aurora(REGION), LIMITS)


def cluster_of(stack: dict[str, str] = LIKE_SOURCE, /, **given: Any) -> ClusterPlan:
    return plan_of(stack, **given).cluster


def refusal_of(stack: dict[str, str] = LIKE_SOURCE, /, **given: Any) -> str:
    with pytest.raises(RequestRefused) as refused:
        plan_of(stack, **given)
    return str(refused.value)


def test_a_first_run_needs_no_class_the_source_says_everything(production: dict[str, Any]) -> None:
    cluster = cluster_of()
    assert (cluster.engine_version, cluster.port, cluster.network_type) == ("16.4", 6543, "DUAL")
    assert (cluster.db_cluster_parameter_group_name, cluster.db_parameter_group_name) == ("tuned-cluster", "tuned")
    assert (cluster.storage_type, cluster.iam_database_authentication) == ("aurora-iopt1", True)
    assert cluster.enabled_cloudwatch_logs_exports == ["instance", "postgresql"]
    assert (cluster.backup_retention_days, cluster.preferred_backup_window) == (21, "01:00-02:00")
    assert cluster.preferred_maintenance_window == "tue:03:00-tue:04:00"
    assert (cluster.database_insights_mode, cluster.performance_insights_retention_days) == ("advanced", 465)
    assert (cluster.serverless_v2_min_capacity, cluster.serverless_v2_max_capacity) == (0, 16)
    assert cluster.serverless_v2_seconds_until_auto_pause == 900
    assert cluster.auto_minor_version_upgrade is False
    made = [(each.identifier, each.db_instance_class, each.promotion_tier) for each in cluster.instances]
    assert made == [
        (instance_name("staging-orders", 1, OPERATION), "db.r6g.xlarge", 1),
        (instance_name("staging-orders", 2, OPERATION), "db.serverless", 3),
        (instance_name("staging-orders", 3, OPERATION), "db.r6g.large", 15),
    ]
    assert cluster.origins["port"] == cluster.origins["db_instance_class"] == "source"


@pytest.mark.parametrize(
    "setting", [each for each in SETTINGS if each.name not in OF_THE_INSTANCES], ids=lambda each: str(each.name)
)
def test_each_setting_comes_from_the_source_as_its_row_says(
    rds: FakeRds, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONITORING_ROLE_ARN", f"arn:aws:iam::{ACCOUNT}:role/rds-monitoring")
    rds.add_snapshot("tuesday")
    snapshot = Aurora(REGION).snapshot("tuesday")
    assert snapshot is not None
    source = SourceSettings(
        cluster=read_cluster_settings(cast("DBClusterTypeDef", reported_by_cluster())),
        instances=[read_instance_settings(cast("DBInstanceTypeDef", reported_by_instance()))],
        own_keys=f":kms:{REGION}:{ACCOUNT}:key/",
    )
    plan = cluster_plan(read_request({}, LIKE_SOURCE), "staging-orders", snapshot, None, OPERATION, source)
    is_taken = (getattr(plan, setting.name), plan.origins.get(setting.name)) == (UNUSUAL[setting.name], "source")
    assert is_taken == (setting.from_source != "never")


@pytest.mark.parametrize(
    ("mode", "days", "wanted"),
    [
        ("standard", 31, ("standard", "request", 31, "request")),
        ("advanced", None, ("advanced", "request", 465, "source")),
        ("standard", None, ("standard", "request", 465, "source")),
        (None, 465, ("advanced", "source", 465, "request")),
        (None, 496, ("advanced", "source", 496, "request")),
        (None, 731, ("advanced", "source", 731, "request")),
        (None, 434, ("standard", "default", 434, "request")),
        (None, 31, ("standard", "default", 31, "request")),
        (None, None, ("advanced", "source", 465, "source")),
    ],
)
def test_mode_and_days_of_insights_are_decided_together(
    production: dict[str, Any], mode: str | None, days: int | None, wanted: tuple[str, str, int, str]
) -> None:
    """The source has the advanced mode, with 465 days."""
    cluster = cluster_of(database_insights_mode=mode, performance_insights_retention_days=days)
    names = ("database_insights_mode", "performance_insights_retention_days")
    assert tuple(each for name in names for each in (getattr(cluster, name), cluster.origins[name])) == wanted


@pytest.mark.parametrize(
    ("version", "is_refused"),
    [("13.20", True), ("14.12", True), ("14.13", False), ("16.3", True), ("16.4", False), ("17.4", False)],
)
def test_local_write_forwarding_needs_a_version_that_has_it(version: str, is_refused: bool) -> None:
    plan = a_cluster_plan(engine_version=version, local_write_forwarding=True)
    found = list(plan_problems(read_request({}, DEFAULTS), plan, None, SOURCE))
    assert any(each.startswith("local_write_forwarding: true") for each in found) == is_refused


def test_what_protects_costs_or_opens_a_door_is_never_taken_from_the_source(production: dict[str, Any]) -> None:
    cluster = cluster_of()
    assert (cluster.deletion_protection, cluster.extended_support, cluster.data_api) == (False, False, False)
    assert cluster.vpc_security_group_ids == [SECURITY_GROUP]
    assert cluster.db_subnet_group_name == "databases"


def test_the_request_comes_before_the_stack_and_the_stack_before_the_source(
    production: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = {"port": "5544", "backup_retention_days": "2"}
    set_defaults(monkeypatch, **stack)
    cluster = cluster_of(LIKE_SOURCE | stack, port=5555)
    assert (cluster.port, cluster.origins["port"]) == (5555, "request")
    assert (cluster.backup_retention_days, cluster.origins["backup_retention_days"]) == (2, "stack")
    assert (cluster.storage_type, cluster.origins["storage_type"]) == ("aurora-iopt1", "source")
    assert (cluster.data_api, cluster.origins["data_api"]) == (False, "default")


def test_without_like_source_the_source_is_only_asked_which_cluster_it_is(
    rds: FakeRds, production: dict[str, Any]
) -> None:
    rds.calls.clear()
    with asking_once():
        cluster = cluster_of(LIKE_SOURCE, like_source=False, db_instance_class="db.r6g.large")
    assert (cluster.port, cluster.origins["port"]) == (None, "snapshot"), "RDS keeps the snapshot's own"
    assert cluster.backup_retention_days == 1
    assert rds.asked("DescribeDBClusters") == {"Filters": [{"Name": "db-cluster-id", "Values": [SOURCE, TARGET]}]}
    filters = [given["Filters"][0] for operation, given in rds.calls if operation == "DescribeDBInstances"]
    assert "db-cluster-id" not in [each["Name"] for each in filters], "its members are nobody's model"


def test_a_class_of_the_request_is_every_instances_and_the_number_the_sources(production: dict[str, Any]) -> None:
    classes = [each.db_instance_class for each in cluster_of(db_instance_class="db.r6g.large").instances]
    assert classes == ["db.r6g.large"] * 3
    classes = [each.db_instance_class for each in cluster_of(reader_instance_class="db.r6g.large").instances]
    assert classes == ["db.r6g.xlarge", "db.r6g.large", "db.r6g.large"]


def test_more_readers_than_the_source_has_are_like_its_last(production: dict[str, Any]) -> None:
    classes = [each.db_instance_class for each in cluster_of(instance_count=5).instances]
    assert classes == ["db.r6g.xlarge", "db.serverless", "db.r6g.large", "db.r6g.large", "db.r6g.large"]
    assert [each.db_instance_class for each in cluster_of(instance_count=1).instances] == ["db.r6g.xlarge"]


def test_zones_are_given_to_the_instances_in_turn(production: dict[str, Any]) -> None:
    cluster = cluster_of(availability_zones=["us-east-1b", "us-east-1a"])
    zones = [each.availability_zone for each in cluster.instances]
    assert zones == ["us-east-1b", "us-east-1a", "us-east-1b"]
    assert "availability_zones: 'us-east-1d' is not covered" in refusal_of(availability_zones=["us-east-1d"])


def test_a_source_upgraded_since_is_followed_but_never_to_a_lower_version(
    rds: FakeRds, production: dict[str, Any]
) -> None:
    production["EngineVersion"] = "16.6"
    cluster = cluster_of()
    assert (cluster.engine_version, cluster.origins["engine_version"]) == ("16.6", "source")
    production["EngineVersion"] = "15.10"
    cluster = cluster_of()
    assert (cluster.engine_version, cluster.origins["engine_version"]) == ("16.4", "snapshot")


def test_default_groups_of_another_version_give_way_to_those_of_the_version_restored(
    production: dict[str, Any],
) -> None:
    production["DBClusterParameterGroup"] = "default.aurora-postgresql15"
    assert cluster_of().db_cluster_parameter_group_name == "default.aurora-postgresql16"


def test_a_group_that_isnt_here_is_refused_with_the_command_that_makes_it(
    rds: FakeRds, source_rds: FakeRds, production: dict[str, Any]
) -> None:
    source_rds.add_snapshot("tuesday")
    source_rds.clusters[SOURCE] = dict(production)
    source_rds.instances.update(rds.instances)
    del rds.clusters[SOURCE], rds.cluster_parameter_groups["tuned-cluster"]
    message = refusal_of(source_region=SOURCE_REGION)
    assert message.startswith(
        "db_cluster_parameter_group_name: 'tuned-cluster' does not exist in us-east-1 (the source"
    )
    assert (
        "create-db-cluster-parameter-group --db-cluster-parameter-group-name tuned-cluster "
        "--db-parameter-group-family aurora-postgresql16" in message
    )


# A source that can't be read


def test_a_source_that_is_gone_is_told_with_what_is_missing_now(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday")
    message = refusal_of(port=5432)
    assert message.startswith(f"like_source: the source cluster '{SOURCE}' no longer exists in {REGION}")
    assert "so these settings are unknown: engine_version, db_instance_class, instance_count" in message
    assert " port" not in message, "the request says it"
    assert '"like_source": false and a db_instance_class' in message
    assert len(message.splitlines()) == 1


def test_a_source_that_may_not_be_read_is_told_as_well(rds: FakeRds, production: dict[str, Any]) -> None:
    rds.refuse("DescribeDBClusters", "AccessDenied", "No.", status=403, times=3)
    message = refusal_of(db_instance_class="db.r6g.large")
    assert "cannot be read (DescribeDBClusters is not allowed)" in message
    assert "serverless" not in message, "capacity doesn't matter to this class"
    assert '"like_source": false, and what is still omitted' in message


def test_a_source_of_another_account_that_only_shares_a_snapshot_is_told_as_well() -> None:
    shared = SourceSharedByHand("aws", "210987654321", REGION, "the stack's SourceRoleName is empty")
    found = source_settings(read_request({}, LIKE_SOURCE), shared, SOURCE)
    assert isinstance(found, UnreadableSource)
    assert found.why == "of account 210987654321 cannot be seen (the stack's SourceRoleName is empty)"


def test_without_like_source_a_missing_class_is_refused_as_ever(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday")
    assert refusal_of(WITHOUT_CLASS).startswith("db_instance_class: missing. RDS's own default is never used")


# Settings that belong together


def test_advanced_insights_bring_their_days_along(production: dict[str, Any]) -> None:
    production["PerformanceInsightsRetentionPeriod"], production["DatabaseInsightsMode"] = 31, "standard"
    cluster = cluster_of(database_insights_mode="advanced")
    assert cluster.performance_insights_retention_days == 465
    assert cluster_of().performance_insights_retention_days == 31


def test_more_days_than_the_advanced_mode_needs_are_kept(production: dict[str, Any]) -> None:
    production["PerformanceInsightsRetentionPeriod"] = 731
    cluster = cluster_of()
    assert (cluster.database_insights_mode, cluster.performance_insights_retention_days) == ("advanced", 731)
    production["DatabaseInsightsMode"] = "standard"
    cluster = cluster_of(database_insights_mode="advanced")
    assert (cluster.database_insights_mode, cluster.performance_insights_retention_days) == ("advanced", 731)


def test_fewer_days_bring_the_standard_mode_along(production: dict[str, Any]) -> None:
    assert cluster_of(performance_insights_retention_days=7).database_insights_mode == "standard"


def test_without_a_minimum_of_zero_nothing_is_paused(production: dict[str, Any]) -> None:
    cluster = cluster_of(serverless_v2_min_capacity=1)
    assert (cluster.serverless_v2_min_capacity, cluster.serverless_v2_max_capacity) == (1, 16)
    assert cluster.serverless_v2_seconds_until_auto_pause is None


def test_a_pause_of_nobodys_is_ours(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday")
    cluster = cluster_of(
        DEFAULTS, db_instance_class="db.serverless", serverless_v2_min_capacity=0, serverless_v2_max_capacity=2
    )
    assert cluster.serverless_v2_seconds_until_auto_pause == 300


def test_a_window_of_the_request_that_overlaps_the_sources_is_refused(production: dict[str, Any]) -> None:
    message = refusal_of(preferred_backup_window="03:30-04:30")
    assert message.startswith("preferred_maintenance_window: 'tue:03:00-tue:04:00' overlaps the backup window")


@pytest.mark.parametrize(
    ("given", "backup", "maintenance"),
    [
        ({"preferred_maintenance_window": "sun:05:00-sun:06:00"}, "07:00-07:30", "sun:05:00-sun:06:00"),
        ({"preferred_backup_window": "05:00-06:00"}, "05:00-06:00", "sun:07:00-sun:07:30"),
        ({}, None, None),
    ],
)
def test_a_window_alone_gets_the_other_one_beside_it(
    rds: FakeRds, given: dict[str, str], backup: str | None, maintenance: str | None
) -> None:
    """RDS would pick the other one at random, and refuse it an hour later where the two overlap."""
    rds.add_snapshot("tuesday")
    cluster = cluster_of(DEFAULTS, **given)
    assert (cluster.preferred_backup_window, cluster.preferred_maintenance_window) == (backup, maintenance)
    for name in {"preferred_backup_window", "preferred_maintenance_window"} - given.keys():
        assert cluster.origins[name] == "default"


def test_a_window_that_leaves_no_room_for_the_other_is_refused(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday")
    for given in ({"preferred_backup_window": "00:00-23:45"}, {"preferred_maintenance_window": "sun:01:00-mon:00:45"}):
        ((name, window),) = given.items()
        assert refusal_of(DEFAULTS, **given).startswith(f"{name}: {window!r} leaves no 30 minutes of the day for a")


def test_serverless_instances_of_a_source_without_capacity_are_refused(production: dict[str, Any]) -> None:
    del production["ServerlessV2ScalingConfiguration"]
    assert "db.serverless needs its capacity" in refusal_of()


def test_a_class_for_readers_that_there_wont_be_is_refused(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday")
    assert "there are none: instance_count is 1 (default)" in refusal_of(DEFAULTS, reader_instance_class="db.r6g.large")


def test_only_a_login_that_rds_keeps_is_put_under_a_key(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday")
    assert cluster_of(DEFAULTS).master_secret_kms_key_id is None
    key = cluster_of(DEFAULTS, master_login="rds_managed").master_secret_kms_key_id
    assert key == STACK["MASTER_SECRET_KEY"]


def test_what_was_only_shared_can_be_looked_at_and_not_changed() -> None:
    """Its calls would go to our own account, where other clusters and snapshots may have the same names."""
    changing = {name for name in vars(Aurora) if not name.startswith("_")}
    assert {"delete_cluster", "delete_instance", "delete_snapshot", "copy_snapshot", "restore_cluster"} <= changing
    assert [name for name in sorted(changing) if hasattr(SourceSharedByHand, name) or hasattr(Source, name)] == []


def test_a_cluster_of_ours_is_not_taken_for_one_of_those_who_shared(production: dict[str, Any]) -> None:
    shared = SourceSharedByHand("aws", "210987654321", REGION, "the stack's SourceRoleName is empty")
    assert shared.cluster(SOURCE) is None
    assert shared.cluster_with_id(production["DbClusterResourceId"]) is None
    assert shared.instances_of(SOURCE) == []
    assert all(shared.instance(each["DBInstanceIdentifier"]) is None for each in production["DBClusterMembers"])
