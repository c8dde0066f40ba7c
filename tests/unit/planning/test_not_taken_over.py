"""What a source cluster has beyond what a new one gets: carried, or said; never dropped in silence."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.fakes.rds import FakeRds
from tests.unit.fakes.scaling import FakeScaling
from tests.unit.support import (
    ACCOUNT,
    DEFAULTS,
    EXECUTION,
    EXTERNAL_ID,
    KEY_ID,
    LIMITS,
    NOW,
    OPERATION,
    OWNER,
    REGION,
    SOURCE,
    SOURCE_REGION,
    SOURCE_ROLE,
    a_cluster_plan,
    a_plan,
    a_record,
    an_execution,
    nothing_archived,
    set_defaults,
    some_users,
)
from utils.aurora_utils import Aurora
from utils.aurora_utils.reader_scaling import ReaderScaling
from utils.aurora_utils.source_account import Source, _role, open_source
from utils.aurora_utils.source_sessions import planning_session
from utils.aws import client
from utils.contracts.plan import Plan
from utils.errors import RequestRefused
from utils.messages import outcome
from utils.messages.plan import MAX_NOT_TAKEN_OVER, not_taken_over_lines
from utils.planning.like_source import SourceSettings, UnreadableSource, source_settings
from utils.planning.not_taken_over import MAX_SENTENCES, not_taken_over
from utils.planning.restore import plan_restore
from utils.request.reading import read_request

pytestmark = pytest.mark.usefixtures("surroundings")

LIKE_SOURCE = {name: value for name, value in DEFAULTS.items() if name != "db_instance_class"} | {"like_source": "true"}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/rds-monitoring-role"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{KEY_ID}"
# Production's, in RDS's words.
WATCHED = {
    "CACertificateIdentifier": "rds-ca-ecc384-g1",
    "MonitoringInterval": 30,
    "MonitoringRoleArn": f"arn:aws:iam::{ACCOUNT}:role/rds-monitoring",
    "PerformanceInsightsEnabled": True,
    "PerformanceInsightsKMSKeyId": KEY,
    "PerformanceInsightsRetentionPeriod": 93,
}


@pytest.fixture
def scaling(stack: None) -> Iterator[FakeScaling]:
    fake, made = FakeScaling(REGION), client("application-autoscaling", REGION)
    fake.connect(made)
    yield fake
    fake.disconnect(made)


@pytest.fixture
def monitoring_role(account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack's, which RDS may assume."""
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "monitoring.rds.amazonaws.com"}}]}
    client("iam").create_role(RoleName="rds-monitoring-role", AssumeRolePolicyDocument=json.dumps(trust))
    monkeypatch.setenv("MONITORING_ROLE_ARN", ROLE)


@pytest.fixture
def production(rds: FakeRds) -> dict[str, Any]:
    """One instance, and everything on it that a cluster doesn't say of its instances."""
    rds.add_snapshot("tuesday")
    cluster = rds.add_cluster(
        SOURCE,
        TagList=[{"Key": "CostCenter", "Value": "42"}, {"Key": "aws:cloudformation:stack-name", "Value": "prod"}],
        AssociatedRoles=[{"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/s3-import", "FeatureName": "s3Import"}],
        CustomEndpoints=[f"reports.cluster-custom-c0ffee.{REGION}.rds.amazonaws.com"],
        DBClusterMembers=[{"DBInstanceIdentifier": f"{SOURCE}-1", "IsClusterWriter": True}],
    )
    rds.add_instance(f"{SOURCE}-1", SOURCE, DBInstanceClass="db.r6g.large", PromotionTier=1, **WATCHED)
    return cluster


def plan_of(stack: dict[str, str] = LIKE_SOURCE, /, **given: Any) -> Plan:
    source = Source(ACCOUNT, given.get("source_region", REGION))
    return plan_restore(read_request(given, stack), OPERATION, an_execution(), source, Aurora(REGION), LIMITS)


def refusal_of(stack: dict[str, str] = LIKE_SOURCE, /, **given: Any) -> str:
    with pytest.raises(RequestRefused) as refused:
        plan_of(stack, **given)
    return str(refused.value)


# Carried


@pytest.mark.usefixtures("monitoring_role")
def test_certificate_monitoring_and_instance_level_insights_are_the_sources(
    production: dict[str, Any], scaling: FakeScaling
) -> None:
    """The cluster itself reports nothing of them. The role is the stack's, whatever the source's is."""
    cluster = plan_of().cluster
    assert cluster.ca_certificate_identifier == "rds-ca-ecc384-g1"
    assert (cluster.monitoring_interval_seconds, cluster.monitoring_role_arn) == (30, ROLE)
    assert cluster.performance_insights_retention_days == 93
    assert cluster.performance_insights_kms_key_id == KEY
    for name in (
        "ca_certificate_identifier",
        "monitoring_interval_seconds",
        "performance_insights_retention_days",
        "performance_insights_kms_key_id",
    ):
        assert cluster.origins[name] == "source", name


@pytest.mark.usefixtures("monitoring_role")
def test_insights_that_the_cluster_reports_to_be_off_may_be_its_instances_alone(
    production: dict[str, Any], scaling: FakeScaling
) -> None:
    production["PerformanceInsightsEnabled"] = False
    assert plan_of().cluster.performance_insights_retention_days == 93


@pytest.mark.usefixtures("monitoring_role")
def test_request_and_stack_come_before_the_source(
    production: dict[str, Any], scaling: FakeScaling, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_defaults(monkeypatch, ca_certificate_identifier="rds-ca-rsa4096-g1")
    stack = LIKE_SOURCE | {"ca_certificate_identifier": "rds-ca-rsa4096-g1"}
    cluster = plan_of(stack, monitoring_interval_seconds=0, performance_insights_retention_days=0).cluster
    assert (cluster.ca_certificate_identifier, cluster.origins["ca_certificate_identifier"]) == (
        "rds-ca-rsa4096-g1",
        "stack",
    )
    assert (cluster.monitoring_interval_seconds, cluster.monitoring_role_arn) == (0, None)
    assert cluster.performance_insights_kms_key_id is None


def test_a_key_of_another_region_isnt_carried_but_said(
    rds: FakeRds, source_rds: FakeRds, production: dict[str, Any]
) -> None:
    """RDS takes its own key of the new cluster's region."""
    source_rds.add_snapshot("tuesday")
    source_rds.clusters[SOURCE] = dict(production)
    distant = f"arn:aws:kms:{SOURCE_REGION}:{ACCOUNT}:key/{KEY_ID}"
    source_rds.add_instance(
        f"{SOURCE}-1", SOURCE, **{**WATCHED, "DBInstanceClass": "db.r6g.large", "PerformanceInsightsKMSKeyId": distant}
    )
    plan = plan_of(source_region=SOURCE_REGION)
    assert plan.cluster.performance_insights_kms_key_id is None
    assert any(each.startswith(f"the key of Performance Insights {distant}") for each in plan.not_taken_over)


# Said


def test_everything_else_that_the_source_has_is_said(production: dict[str, Any], scaling: FakeScaling) -> None:
    scaling.targets[SOURCE] = (1, 5)
    assert plan_of().not_taken_over == [
        "Aurora Auto Scaling of 1 to 5 readers, with its policies",
        "Enhanced Monitoring every 30 seconds: the stack's MonitoringRoleArn, which it needs, is empty",
        "tags: CostCenter",
        "custom endpoints: reports",
        f"associated roles: arn:aws:iam::{ACCOUNT}:role/s3-import (s3Import)",
    ]


def test_a_tag_that_the_new_cluster_gets_as_well_isnt_missed(production: dict[str, Any], scaling: FakeScaling) -> None:
    assert "tags: CostCenter" not in plan_of(tags={"CostCenter": "42"}).not_taken_over
    assert "tags: CostCenter" in plan_of(tags={"CostCenter": "43"}).not_taken_over


def test_what_instances_have_is_said_once_for_all_of_them(
    rds: FakeRds, production: dict[str, Any], scaling: FakeScaling
) -> None:
    production["ActivityStreamStatus"] = "started"
    for number in (1, 2):
        rds.add_instance(
            f"{SOURCE}-{number}",
            SOURCE,
            DBInstanceClass="db.r6g.large",
            ActivityStreamStatus="started",
            PubliclyAccessible=True,
            TagList=[{"Key": "team", "Value": "orders"}],
        )
    said = plan_of().not_taken_over
    assert "database activity stream (started)" in said, "once, as the cluster's"
    assert f"tags: team (of {SOURCE}-1, {SOURCE}-2)" in said
    assert any(each.startswith("public accessibility") and each.endswith(f"{SOURCE}-2)") for each in said)
    assert len(said) == len(set(said))


def test_a_reader_that_is_unlike_the_writer_is_said(
    rds: FakeRds, production: dict[str, Any], scaling: FakeScaling
) -> None:
    unlike = WATCHED | {"CACertificateIdentifier": "rds-ca-rsa2048-g1", "AutoMinorVersionUpgrade": False}
    rds.instances[f"{SOURCE}-1"]["AutoMinorVersionUpgrade"] = True
    rds.add_instance(f"{SOURCE}-2", SOURCE, DBInstanceClass="db.r6g.large", **unlike)
    said = plan_of().not_taken_over
    assert (
        f"CA certificate: {SOURCE}-2 has rds-ca-rsa2048-g1; every new instance gets the writer's, rds-ca-ecc384-g1"
        in said
    )
    assert f"automatic minor upgrades: {SOURCE}-2 has off; every new instance gets the writer's, on" in said


# Readers of a busy hour


@pytest.fixture
def busy(rds: FakeRds, scaling: FakeScaling) -> None:
    rds.add_snapshot("tuesday")
    rds.add_cluster(SOURCE, DBClusterMembers=[{"DBInstanceIdentifier": f"{SOURCE}-1", "IsClusterWriter": True}])
    rds.add_instance(f"{SOURCE}-1", SOURCE, DBInstanceClass="db.r6g.xlarge", PromotionTier=1)
    for number in range(1, 5):
        rds.add_instance(
            f"application-autoscaling-0{number}", SOURCE, DBInstanceClass="db.r6g.xlarge", PromotionTier=15
        )
    scaling.targets[SOURCE] = (1, 15)


@pytest.mark.usefixtures("busy")
def test_readers_that_aurora_auto_scaling_added_arent_taken_for_fixed_ones() -> None:
    plan = plan_of()
    assert [each.db_instance_class for each in plan.cluster.instances] == ["db.r6g.xlarge"]
    assert plan.not_taken_over == [
        "4 readers that Aurora Auto Scaling added, and removes again: application-autoscaling-01, "
        "application-autoscaling-02, application-autoscaling-03, application-autoscaling-04",
        "Aurora Auto Scaling of 1 to 15 readers, with its policies",
    ]


@pytest.mark.usefixtures("busy")
def test_a_number_that_the_request_gives_needs_no_word_of_them() -> None:
    plan = plan_of(instance_count=3)
    assert len(plan.cluster.instances) == 3
    assert not any("added" in each for each in plan.not_taken_over)


@pytest.mark.usefixtures("busy")
def test_one_that_was_promoted_is_the_writer_all_the_same(rds: FakeRds) -> None:
    promoted = "application-autoscaling-02"
    rds.instances = {promoted: rds.instances[promoted]} | rds.instances
    assert len(plan_of().cluster.instances) == 2


# In another account


def test_a_source_in_another_account_is_looked_at_through_its_role(
    their_rds: FakeRds, rds: FakeRds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its key and its account's scaling are asked for there. The key works nowhere else."""
    role = _role(f"arn:aws:iam::{OWNER}:role/{SOURCE_ROLE}", EXTERNAL_ID, planning_session(OPERATION))
    theirs, there = FakeScaling(REGION), role.client_of("application-autoscaling", REGION, NOW)
    theirs.connect(there)
    theirs.targets[SOURCE] = (2, 4)
    their_rds.add_cluster(SOURCE)
    their_key = f"arn:aws:kms:{REGION}:{OWNER}:key/{KEY_ID}"
    watched = WATCHED | {"PerformanceInsightsKMSKeyId": their_key}
    their_rds.add_instance(f"{SOURCE}-1", SOURCE, DBInstanceClass="db.r6g.large", **watched)
    source = open_source(OWNER, REGION, EXECUTION, OPERATION, NOW)
    found = source_settings(read_request({}, LIKE_SOURCE), source, SOURCE)
    theirs.disconnect(there)
    assert isinstance(found, SourceSettings)
    assert found.scaling == ReaderScaling(least=2, most=4)
    assert found.value("performance_insights_kms_key_id") is None
    assert found.value("ca_certificate_identifier") == "rds-ca-ecc384-g1"


# What can't be looked at


def test_a_scaling_that_may_not_be_looked_at_is_said_and_stops_nothing(
    production: dict[str, Any], scaling: FakeScaling
) -> None:
    scaling.refuse("DescribeScalableTargets", "AccessDeniedException", status=400)
    assert plan_of().not_taken_over[-1].endswith("application-autoscaling:DescribeScalableTargets is not allowed")


def test_a_scaling_that_fails_otherwise_isnt_taken_for_a_missing_permission(
    production: dict[str, Any], scaling: FakeScaling
) -> None:
    scaling.refuse("DescribeScalableTargets", "ValidationException", times=3)
    with pytest.raises(Exception, match="ValidationException"):
        plan_of()


def test_a_source_that_nobody_looks_at_is_said_too(production: dict[str, Any]) -> None:
    (sentence,) = plan_of(like_source=False, db_instance_class="db.r6g.large").not_taken_over
    assert sentence.startswith("like_source is false")


def test_a_source_that_cant_be_read_is_said_where_nothing_is_left_to_it(rds: FakeRds) -> None:
    request = read_request({}, DEFAULTS)
    said = not_taken_over(request, a_cluster_plan(), UnreadableSource(why="no longer exists in us-east-1"), SOURCE)
    assert said == [f"what else the source cluster {SOURCE} has is not known: it no longer exists in us-east-1"]


def test_a_source_is_looked_at_although_request_and_stack_say_everything_it_could(
    production: dict[str, Any], scaling: FakeScaling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utils.planning.like_source.REQUIRED", ())
    found = source_settings(read_request({}, LIKE_SOURCE), Source(ACCOUNT, REGION), SOURCE)
    assert isinstance(found, SourceSettings)
    assert "custom endpoints: reports" in found.left_behind


def test_a_source_that_is_gone_refuses_nothing_where_nothing_is_left_to_it(
    rds: FakeRds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utils.planning.like_source.REQUIRED", ())
    rds.add_snapshot("tuesday")
    (sentence,) = plan_of(db_instance_class="db.r6g.large").not_taken_over
    assert sentence.startswith(f"what else the source cluster {SOURCE} has is not known: it no longer exists in")


# As people read it


def test_a_message_lists_a_score_and_counts_the_rest() -> None:
    plan = a_plan(not_taken_over=[f"thing {number}" for number in range(30)])
    lines = list(not_taken_over_lines(plan))
    assert len(lines) == MAX_NOT_TAKEN_OVER + 2
    assert lines[0] == f"Not taken over from {SOURCE}:"
    assert lines[-1] == "  and 10 more: the plan in the execution's output lists them as not_taken_over"
    assert list(not_taken_over_lines(a_plan())) == []


def test_a_plan_of_ever_so_many_things_stays_bounded(rds: FakeRds) -> None:
    source = SourceSettings(
        cluster=Any,  # type: ignore[arg-type]  # not looked at
        instances=[],
        left_behind=[f"{'x' * 500} {number}" for number in range(500)],
    )
    said = not_taken_over(read_request({}, DEFAULTS), a_cluster_plan(), source, SOURCE)
    assert len(said) == MAX_SENTENCES + 1
    assert said[-1] == f"and {500 - MAX_SENTENCES} more"
    assert max(map(len, said)) <= 240


def test_a_dry_run_and_a_result_say_it() -> None:
    plan = a_plan(not_taken_over=["custom endpoints: reports"], warnings=["PostgreSQL 11 is old"])
    execution = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:x:y"
    record = a_record(step_times={"snapshot-check": NOW.isoformat()})
    users, archived = some_users(), nothing_archived()
    for message in (
        outcome.planned(plan, execution, {}),
        outcome.succeeded(plan, users, archived, record, execution, NOW),
    ):
        assert "Warning    PostgreSQL 11 is old" in message.body
        assert f"Not taken over from {SOURCE}:\n  custom endpoints: reports\n" in message.body


# Extended Support


def test_a_version_past_its_standard_support_is_warned_of_with_rdss_own_dates(
    rds: FakeRds, production: dict[str, Any], scaling: FakeScaling
) -> None:
    rds.support["16"] = (dt.date(2026, 2, 28), dt.date(2029, 2, 28))
    (warning,) = plan_of().warnings
    assert warning.startswith(
        "PostgreSQL 16 has been past its standard support since 28 Feb 2026, and Extended Support"
    )
    assert "is off [default]: RDS upgrades the new cluster to a later major version by itself" in warning
    assert warning.endswith("to keep PostgreSQL 16 for a price until 28 Feb 2029")
    (warning,) = plan_of(extended_support=True).warnings
    assert warning.endswith("enrolled in Extended Support [request], which is paid for until 28 Feb 2029")
    assert plan_of(engine_version="17.5").warnings == []


def test_a_version_that_is_still_supported_or_unknown_needs_no_warning(
    rds: FakeRds, production: dict[str, Any], scaling: FakeScaling
) -> None:
    assert plan_of().warnings == []
    del rds.support["16"]
    assert plan_of().warnings == []


# Refused before anything is made


def test_enhanced_monitoring_without_a_role_of_the_stacks_is_refused(
    production: dict[str, Any], scaling: FakeScaling
) -> None:
    message = refusal_of(monitoring_interval_seconds=60)
    assert message.startswith("monitoring_interval_seconds: 60 needs a role")
    assert "Set the stack's MonitoringRoleArn, or give 0." in message


@pytest.mark.usefixtures("account")
def test_a_role_that_isnt_there_or_that_rds_may_not_assume_is_refused(
    production: dict[str, Any], scaling: FakeScaling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONITORING_ROLE_ARN", ROLE)
    assert f"the stack's MonitoringRoleArn, {ROLE!r}, does not exist" in refusal_of()
    client("iam").create_role(RoleName="rds-monitoring-role", AssumeRolePolicyDocument="{}")
    assert "does not allow monitoring.rds.amazonaws.com to assume it" in refusal_of()


def test_a_key_of_performance_insights_has_to_work(rds: FakeRds, production: dict[str, Any], keys: Any) -> None:
    keys.keys[KEY_ID]["KeyState"] = "Disabled"
    message = refusal_of()
    assert message.startswith(f"performance_insights_kms_key_id: {KEY!r} (the source cluster's) is Disabled")
    gone = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/gone"
    assert "does not exist in us-east-1" in refusal_of(performance_insights_kms_key_id=gone)
    distant = f"arn:aws:kms:{SOURCE_REGION}:{ACCOUNT}:key/{KEY_ID}"
    assert f"is a key of {SOURCE_REGION}" in refusal_of(performance_insights_kms_key_id=distant)


def test_a_certificate_that_the_version_doesnt_have_is_refused(
    rds: FakeRds, production: dict[str, Any], scaling: FakeScaling
) -> None:
    rds.versions["16.4"]["SupportedCACertificateIdentifiers"] = ["rds-ca-rsa2048-g1"]
    message = refusal_of()
    assert message.startswith("ca_certificate_identifier: 'rds-ca-ecc384-g1' (the source cluster's) is not available ")
    assert message.endswith("Give one of rds-ca-rsa2048-g1.")
    assert plan_of(ca_certificate_identifier="rds-ca-rsa2048-g1").cluster.ca_certificate_identifier
