"""A target that is replaced: what the plan says of it, and everything for which it must not be."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.fakes.rds import FakeRds, in_groups
from tests.unit.fakes.scaling import FakeScaling
from tests.unit.fakes.sharing import FakeSharing
from tests.unit.planning.test_plan import nothing_changes, plan_of, refusal_of
from tests.unit.support import (
    DEFAULTS,
    EXECUTION,
    NOW,
    OPERATION,
    REGION,
    SECURITY_GROUP,
    TARGET,
    a_cluster_plan,
    a_plan,
    set_defaults,
)
from utils.aurora_utils.windows import minutes_until
from utils.aws import client
from utils.contracts.plan import Plan, ReplacedCluster
from utils.names import MAX_IDENTIFIER, name_for
from utils.request.corrections import corrected
from utils.state.operation import OperationState

pytestmark = pytest.mark.usefixtures("surroundings")
__all__ = ["nothing_changes"]

TEMPORARY = name_for("new", TARGET, OPERATION)
PREVIOUS = name_for("old", TARGET, OPERATION)
ARN = f"arn:aws:rds:{REGION}:123456789012:cluster:{TARGET}"
OURS = [{"Key": "aurora-restore:operation-id", "Value": "the-night-before"}]
REPLACEABLE = [{"Key": "aurora-restore:replaceable", "Value": "true"}]
PROTECTED = [{"Key": "aurora-restore:protected", "Value": "true"}]


@pytest.fixture
def scaling(stack: None) -> Iterator[FakeScaling]:
    fake, made = FakeScaling(REGION), client("application-autoscaling", REGION)
    fake.connect(made)
    yield fake
    fake.disconnect(made)


@pytest.fixture(autouse=True)
def live(account: None, rds: FakeRds, scaling: FakeScaling, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The target as it is before the second night."""
    monkeypatch.setenv("EXPIRY_SCHEDULE", "rate(1 hour)")
    rds.add_snapshot("tuesday")
    made: dict[str, Any] = rds.add_cluster(TARGET, TagList=OURS, VpcSecurityGroups=in_groups([SECURITY_GROUP]))
    created_by_the_night_before(made)
    return made


def created_by_the_night_before(cluster: dict[str, Any], *, deletion_protection: bool = False) -> None:
    """Record what the night before has recorded of its cluster."""
    state = OperationState("the-night-before", EXECUTION, NOW)
    plan = a_plan(cluster=a_cluster_plan(deletion_protection=deletion_protection))
    state.open("snapshot-check", {}, plan, "running", facts={"cluster_resource_id": cluster["DbClusterResourceId"]})


def replaced_by_plan(**asked: Any) -> Plan:
    plan = plan_of(replace_target=True, **asked)
    assert plan.replaces is not None
    return plan


# What is planned


def test_it_is_restored_beside_under_a_name_of_its_own(live: dict[str, Any]) -> None:
    plan = replaced_by_plan()
    assert (plan.target_cluster_id, plan.cluster.identifier) == (TARGET, TEMPORARY)
    assert (plan.cluster.live_identifier, plan.cluster.live_endpoint) == (TARGET, live["Endpoint"])
    assert plan.replaces is not None
    assert plan.replaces.resource_id == live["DbClusterResourceId"]
    assert plan.replaces.is_ours
    assert plan.replaces.other_names == [PREVIOUS, f"{PREVIOUS}-2"]
    assert plan.replaces.security_group_ids == [SECURITY_GROUP]
    assert (plan.replaces.endpoint, plan.replaces.port) == (live["Endpoint"], 5432)


def test_where_nobody_has_the_name_it_is_an_ordinary_restore(rds: FakeRds) -> None:
    del rds.clusters[TARGET]
    plan = plan_of(replace_target=True)
    assert plan.replaces is None
    assert (plan.cluster.identifier, plan.cluster.live_identifier) == (TARGET, None)
    assert plan.warnings == []


@pytest.mark.parametrize(
    ("asked", "of_stack", "kept"), [({}, None, 24), ({}, "48", 48), ({"keep_previous_hours": 3}, "48", 3)]
)
def test_it_is_kept_as_long_as_the_request_says_else_the_stack(
    asked: dict[str, Any], of_stack: str | None, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if of_stack is not None:
        monkeypatch.setitem(DEFAULTS, "keep_previous_hours", of_stack)
    plan = replaced_by_plan(**asked)
    assert plan.replaces is not None
    assert plan.replaces.keep_hours == kept


def test_the_stacks_clusters_expire_and_a_live_target_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the stack says of clusters in general is no reason to refuse."""
    set_defaults(monkeypatch, expires_after_hours="72")
    monkeypatch.setitem(DEFAULTS, "expires_after_hours", "72")
    assert replaced_by_plan().expires_after_hours is None


def test_one_that_its_owner_has_tagged_is_replaced_and_nobody_knows_its_login(live: dict[str, Any]) -> None:
    live["TagList"] = REPLACEABLE
    plan = replaced_by_plan()
    assert plan.replaces is not None
    assert not plan.replaces.is_ours
    assert plan.replaces.login_version_id is None


def kept_by_plan() -> ReplacedCluster:
    replaces = replaced_by_plan().replaces
    assert replaces is not None
    return replaces


def test_one_that_expires_stays_in_no_way() -> None:
    assert kept_by_plan().why_it_stays == ""


def test_protection_that_the_pipeline_has_given_ends_with_the_cluster(live: dict[str, Any]) -> None:
    created_by_the_night_before(live, deletion_protection=True)
    live["DeletionProtection"] = True
    kept = kept_by_plan()
    assert (kept.protection_is_ours, kept.why_it_stays) == (True, "")


def test_protection_that_somebody_has_switched_on_since_stays_their_word(live: dict[str, Any]) -> None:
    live["DeletionProtection"] = True
    kept = kept_by_plan()
    assert not kept.protection_is_ours
    assert kept.why_it_stays == "somebody has switched its deletion protection on"


@pytest.mark.parametrize("maker", ["the-night-before", "nobody-knows", "expiry#register", "lock#" + TARGET, ""])
def test_one_whose_tag_alone_says_that_it_is_ours_does_not_expire(live: dict[str, Any], maker: str) -> None:
    """Somebody has restored it by hand, with the tags that its model had, or has made the tag up."""
    live["TagList"] = [{"Key": "aurora-restore:operation-id", "Value": maker}]
    live["DbClusterResourceId"] = "cluster-BYHAND"
    assert kept_by_plan().why_it_stays == "this stack did not create it"


def test_nothing_expires_where_nothing_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPIRY_SCHEDULE", "")
    assert kept_by_plan().why_it_stays == "the stack's ExpirySchedule is empty"


def test_a_source_of_another_region_may_have_the_targets_name(rds: FakeRds, source_rds: FakeRds) -> None:
    source_rds.add_snapshot("sunday", cluster=TARGET)
    key = f"arn:aws:kms:{REGION}:123456789012:key/0d1f3c5e-0000-4000-8000-000000000000"
    plan = replaced_by_plan(source_cluster_id=TARGET, source_region="us-west-2", kms_key_id=key)
    assert plan.cluster.identifier == TEMPORARY


def test_what_cannot_be_seen_is_a_warning() -> None:
    (warning,) = replaced_by_plan().warnings
    for said in ("single instances", "replication slots", "AWS DMS"):
        assert said in warning


def test_one_that_is_still_kept_is_a_warning(rds: FakeRds) -> None:
    tags = {"aurora-restore:role": "previous", "aurora-restore:expires-at": "2026-03-10T05:00:00Z"}
    rds.add_cluster(f"{TARGET}-old-0123456789ab", TagList=[{"Key": name, "Value": tags[name]} for name in tags])
    rds.add_cluster("others-old-0123456789ab", TagList=[{"Key": name, "Value": tags[name]} for name in tags])
    said = [each for each in replaced_by_plan().warnings if "still kept" in each]
    assert len(said) == 1
    assert said[0].startswith(f"{TARGET}-old-0123456789ab, which {TARGET} has replaced")
    assert "until 2026-03-10T05:00:00Z" in said[0]


def test_without_a_schedule_of_expiries_it_says_that_nothing_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPIRY_SCHEDULE", "")
    assert any("ExpirySchedule is empty" in each for each in replaced_by_plan().warnings)


# What is refused


def test_without_being_asked_for_nothing_is_replaced() -> None:
    assert "give replace_target to replace it" in refusal_of()


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"TagList": []}, "was not created by the pipeline, and its owner has not tagged it"),
        ({"TagList": [{"Key": "aurora-restore:replaceable", "Value": "yes"}]}, "has not tagged it"),
        ({"TagList": OURS + PROTECTED}, f"= true on {TARGET}"),
        ({"Status": "stopped"}, "is stopped, not available"),
        ({"PendingModifiedValues": {"EngineVersion": "16.6"}}, "has changes that wait for its maintenance window"),
        ({"MasterUserSecret": {"SecretArn": "arn:a", "SecretStatus": "active"}}, "has its master login kept by RDS"),
        ({"CustomEndpoints": ["reports.cluster-custom-c0ffee.us-east-1.rds.amazonaws.com"]}, "has custom endpoints"),
        ({"GlobalClusterIdentifier": "orders-worldwide"}, "belongs to the global database orders-worldwide"),
        ({"ReadReplicaIdentifiers": ["a-replica"]}, "replicates with a-replica"),
        ({"PreferredBackupWindow": "03:30-04:00"}, "has a backup window, 03:30-04:00 UTC, which opens in 30 minutes"),
        ({"PreferredBackupWindow": "02:45-03:15"}, "which is open"),
        ({"PreferredMaintenanceWindow": "tue:03:45-tue:04:15"}, "has a maintenance window, tue:03:45-tue:04:15 UTC"),
    ],
)  # fmt: skip
def test_what_would_not_follow_the_name_is_refused(live: dict[str, Any], found: dict[str, Any], said: str) -> None:
    live.update(found)
    message = refusal_of(replace_target=True)
    assert message.startswith(f"replace_target: '{TARGET}' ")
    assert said in message
    # No other value of the field helps: the command that starts again is whole.
    asked = {"target_cluster_id": TARGET, "replace_target": True}
    again = corrected(asked, message.splitlines())
    assert (again.request, again.words) == (asked, [])


@pytest.mark.parametrize("window", ["03:46-04:16", "02:15-02:45", "wed:03:10-wed:03:40", "mon:03:10-mon:03:40"])
def test_a_window_that_is_not_near_is_no_obstacle(live: dict[str, Any], window: str) -> None:
    kind = "Backup" if window[0].isdigit() else "Maintenance"
    live[f"Preferred{kind}Window"] = window
    replaced_by_plan()


@pytest.mark.parametrize(
    ("window", "minutes"),
    [("03:00-03:30", 0), ("02:31-03:01", 0), ("02:30-03:00", 1410), ("03:01-03:31", 1), ("23:00-04:00", 0),
     ("tue:03:10-tue:03:40", 10), ("MON:22:00-TUE:03:01", 0), ("mon:02:00-mon:03:00", 6 * 1440 - 60)],
)  # fmt: skip
def test_when_a_window_opens(window: str, minutes: int) -> None:
    assert NOW.strftime("%a %H:%M") == "Tue 03:00"
    assert minutes_until(window, NOW) == minutes
    elsewhere = NOW.astimezone(dt.timezone(dt.timedelta(hours=9)))
    assert minutes_until(window, elsewhere) == minutes


def test_a_protected_member_protects_it(rds: FakeRds) -> None:
    rds.add_instance("a-member", TARGET, TagList=PROTECTED)
    assert "= true on a-member" in refusal_of(replace_target=True)


def test_readers_that_are_scaled_are_refused_with_the_command_that_ends_it(scaling: FakeScaling) -> None:
    scaling.targets[TARGET] = (1, 3)
    assert "deregister-scalable-target --service-namespace rds" in refusal_of(replace_target=True)


def test_what_aws_ties_to_the_cluster_is_refused_with_all_the_rest(
    live: dict[str, Any], rds: FakeRds, sharing: FakeSharing
) -> None:
    """Each on a line of its own; tests/unit/preflight/test_dependents.py has every kind in all its forms."""
    rds.add_proxy("orders-proxy", {"RdsResourceId": TARGET})
    rds.deployments.append({"BlueGreenDeploymentIdentifier": "bgd-1", "Source": ARN})
    rds.integrations.append({"IntegrationArn": "arn:integration", "SourceArn": ARN})
    rds.add_maintenance(ARN, OptInStatus="immediate")
    sharing.shares[ARN] = {"with-auditors": "ASSOCIATED"}
    live.update(Status="modifying", ActivityStreamStatus="started")
    lines = refusal_of(replace_target=True).splitlines()
    assert all(line.startswith(f"replace_target: '{TARGET}' ") for line in lines)
    for said in (
        "RDS Proxy orders-proxy", "deployment", "with-auditors", "zero-ETL", "activity stream", "pending maintenance",
        "is modifying",
    ):  # fmt: skip
        assert len([line for line in lines if said in line]) == 1, said


def test_without_being_asked_for_nobody_looks_who_depends_on_the_target(rds: FakeRds, sharing: FakeSharing) -> None:
    refusal_of()
    del rds.clusters[TARGET]
    plan_of()
    plan_of(replace_target=True)
    looks = {"DescribeDBProxies", "DescribeBlueGreenDeployments", "DescribeIntegrations"}
    assert (looks | {"DescribePendingMaintenanceActions"}) & set(rds.operations()) == set()
    assert sharing.operations() == []


def test_a_secret_that_is_rotated_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from utils.logins import secret_store

    described = secret_store._described_secret
    monkeypatch.setattr(
        secret_store, "_described_secret", lambda name: {**(described(name) or {}), "RotationEnabled": True}
    )
    assert "is rotated by Secrets Manager" in refusal_of(replace_target=True)


def test_everything_is_reported_at_once(live: dict[str, Any]) -> None:
    live.update(Status="modifying", GlobalClusterIdentifier="orders-worldwide")
    message = refusal_of(replace_target=True, expires_after_hours=5)
    for said in ("is modifying, not available", "global database", "expires_after_hours: 5"):
        assert said in message


def test_the_source_itself_is_never_replaced(rds: FakeRds) -> None:
    rds.add_snapshot("of-itself", cluster=TARGET)
    assert "is the source cluster itself" in refusal_of(replace_target=True, source_cluster_id=TARGET)


def test_a_name_that_leaves_no_room_for_an_ending_is_refused(rds: FakeRds) -> None:
    longest = "a" * (MAX_IDENTIFIER - len("-old-0123456789ab-2"))
    assert len(name_for("old", longest, OPERATION, "-2")) == MAX_IDENTIFIER
    plan_of(replace_target=True, target_cluster_id=longest)
    assert "Shorten it" in refusal_of(replace_target=True, target_cluster_id=f"{longest}a")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"master_login": "rds_managed"}, "master_login: 'rds_managed' is given with replace_target"),
        ({"expires_after_hours": 72}, "a live target never expires"),
    ],
)
def test_what_does_not_go_with_it_is_refused(asked: dict[str, Any], said: str, rds: FakeRds) -> None:
    assert said in refusal_of(replace_target=True, **asked)
    del rds.clusters[TARGET]
    assert said in refusal_of(replace_target=True, **asked), "the first night says what the second would"


@pytest.mark.parametrize("taken", [TEMPORARY, PREVIOUS, f"{PREVIOUS}-2"])
def test_names_of_an_earlier_operation_of_the_same_id_are_refused(taken: str, rds: FakeRds) -> None:
    rds.add_cluster(taken)
    message = refusal_of(replace_target=True)
    assert message.startswith("operation_id: ")
    assert repr(taken) in message


def test_an_instance_may_have_the_name_for_the_replaced_cluster(rds: FakeRds) -> None:
    rds.add_instance(PREVIOUS, "another")
    assert repr(PREVIOUS) in refusal_of(replace_target=True)
