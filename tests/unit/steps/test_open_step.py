"""aurora-restore-open-cluster: from the door's security group to the wanted ones, and the Data API behind it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.unit.fakes.rds import Clock, FakeRds, in_groups
from tests.unit.support import (
    AUDIT_TABLE,
    DOOR,
    EXECUTION,
    NOW,
    OPERATION,
    OWN_TAGS,
    SECURITY_GROUP,
    TARGET,
    a_cluster_plan,
    a_plan,
    a_run,
    calling,
    lost_answer,
    some_users,
)
from utils.aws import client
from utils.contracts.plan import ClusterPlan, MaskingPlan
from utils.errors import StepFailed, TemporaryFailure
from utils.state.expiry import ExpiryRegister
from utils.state.operation import OperationRecord, OperationState
from utils.state.values import iso
from utils.steps.cluster_seen import PATIENCE

pytestmark = pytest.mark.usefixtures("account")

ask = calling("open-cluster")
PLAN, WITH_DATA_API = a_cluster_plan(), a_cluster_plan(data_api=True)
MEMBERS = [each.identifier for each in PLAN.instances]


@pytest.fixture(autouse=True)
def operation(account: None, rds: FakeRds) -> OperationState:
    """A restored cluster behind its door, whose users are set up."""
    cluster = rds.add_cluster(
        TARGET, TagList=OWN_TAGS, HttpEndpointEnabled=False, EnabledCloudwatchLogsExports=["postgresql"]
    )
    for name in MEMBERS:
        rds.add_instance(name, TARGET, TagList=OWN_TAGS)
    state = OperationState(OPERATION, EXECUTION, NOW)
    state.open("snapshot-check", {}, a_plan(), "running")
    state.enter("restore-snapshot")
    state.remember(cluster_resource_id=cluster["DbClusterResourceId"], users_ready_at=iso(NOW), users=some_users())
    return state


def record() -> OperationRecord:
    found = OperationState(OPERATION, EXECUTION, NOW).recall()
    assert found is not None
    return found


def open_cluster(clock: Clock, plan: ClusterPlan = PLAN) -> Any:
    return ask({"run": a_run(now=clock.now), "cluster": plan})


def until_open(clock: Clock, plan: ClusterPlan = PLAN) -> int:
    """The state machine's loop; how often it asked."""
    for number in range(1, 50):
        answer = open_cluster(clock, plan)
        if answer["answer"] == "done":
            assert answer["open_since"] == record().door_open_at is not None
            return number
        clock.pass_seconds(answer["wait_seconds"])
    raise AssertionError("it never was open")


def door_events() -> list[str]:
    items = client("dynamodb").scan(TableName=AUDIT_TABLE)["Items"]
    found = [item for item in items if item["event_type"]["S"] == "door"]
    return [each["status"]["S"] for each in sorted(found, key=lambda item: item["timestamp"]["S"])]


def test_one_change_that_sets_the_wanted_groups_and_nothing_else_opens_the_door(rds: FakeRds, clock: Clock) -> None:
    rds.seconds = {"ModifyDBCluster": 90}
    until_open(clock)
    assert rds.calls_that_change() == [
        (
            "ModifyDBCluster",
            {"DBClusterIdentifier": TARGET, "VpcSecurityGroupIds": [SECURITY_GROUP], "ApplyImmediately": True},
        )
    ]
    found = record()
    assert (found.recorded_door, found.differences) == ("open", [])
    assert found.door_opening_at == iso(NOW)
    assert found.door_open_at is not None
    opened = dt.datetime.fromisoformat(found.door_open_at)
    assert opened - NOW >= dt.timedelta(seconds=90)
    assert door_events() == ["opening", "open"]


def test_how_long_door_and_data_api_took_is_recorded(rds: FakeRds, clock: Clock) -> None:
    rds.seconds = {"ModifyDBCluster": 90, "EnableHttpEndpoint": 90}
    until_open(clock, WITH_DATA_API)
    took = record().took
    assert sorted(took) == ["enable-data-api", "open-door"]
    assert all(90 <= seconds <= 100 for seconds in took.values())


def test_it_is_open_only_when_every_instance_is(rds: FakeRds, clock: Clock) -> None:
    assert open_cluster(clock)["answer"] == "wait"
    rds.instances[MEMBERS[1]]["VpcSecurityGroups"] = in_groups([DOOR])
    for _ in range(3):
        clock.pass_seconds(60)
        answer = open_cluster(clock)
        assert answer["answer"] == "wait"
        assert MEMBERS[1] in answer["waiting_for"]
        assert record().recorded_door == "opening"
    rds.instances[MEMBERS[1]]["VpcSecurityGroups"] = in_groups([SECURITY_GROUP])
    assert open_cluster(clock)["answer"] == "done"


@pytest.mark.parametrize(
    ("status", "groups", "asked"),
    [
        ("available", [(DOOR, "removing"), (SECURITY_GROUP, "adding")], ["DescribeDBInstances"]),
        ("modifying", [(DOOR, "removing"), (SECURITY_GROUP, "active")], ["DescribeDBInstances"]),
        ("rebooting", [(DOOR, "removing"), (SECURITY_GROUP, "active")], ["DescribeDBInstances", "DescribeDBClusters"]),
        ("available", [(DOOR, "active")], ["DescribeDBInstances", "DescribeDBClusters"]),
    ],
)
def test_while_a_member_follows_a_look_asks_for_nothing_else(
    rds: FakeRds,
    clock: Clock,
    operation: OperationState,
    status: str,
    groups: list[tuple[str, str]],
    asked: list[str],
) -> None:
    open_cluster(clock)
    rds.clusters[TARGET]["VpcSecurityGroups"] = [{"VpcSecurityGroupId": SECURITY_GROUP, "Status": "active"}]
    rds.instances[MEMBERS[1]] |= {
        "DBInstanceStatus": status,
        "VpcSecurityGroups": [{"VpcSecurityGroupId": group, "Status": each} for group, each in groups],
    }
    rds.calls.clear()
    assert open_cluster(clock)["answer"] == "wait"
    assert rds.operations() == asked


def test_the_data_api_is_enabled_only_after_the_door_is_open(rds: FakeRds, clock: Clock) -> None:
    rds.seconds = {"ModifyDBCluster": 90, "EnableHttpEndpoint": 90}
    for _ in range(10):
        if rds.changes()[1:]:
            break
        clock.pass_seconds(open_cluster(clock, WITH_DATA_API)["wait_seconds"])
    assert rds.changes() == ["ModifyDBCluster", "EnableHttpEndpoint"]
    assert record().recorded_door == "open"
    assert rds.asked("EnableHttpEndpoint") == {"ResourceArn": rds.clusters[TARGET]["DBClusterArn"]}
    until_open(clock, WITH_DATA_API)
    assert record().differences == []


def test_a_data_api_that_never_shows_is_told_and_fails_nothing(rds: FakeRds, clock: Clock) -> None:
    rds.seconds = {"EnableHttpEndpoint": 1_000_000}
    until_open(clock, WITH_DATA_API)
    assert record().differences == ["data_api: asked for on, RDS reports off"]
    assert until_open(clock, WITH_DATA_API) == 1
    assert record().differences == ["data_api: asked for on, RDS reports off"]


@pytest.mark.parametrize("lost", ["ModifyDBCluster", "EnableHttpEndpoint"])
def test_rule_5_a_call_whose_answer_is_lost_has_worked_once(rds: FakeRds, clock: Clock, lost: str) -> None:
    rds.lose_answer(lost)
    with pytest.raises(TemporaryFailure):
        until_open(clock, WITH_DATA_API)
    clock.pass_seconds(60)
    until_open(clock, WITH_DATA_API)
    assert rds.changes() == ["ModifyDBCluster", "EnableHttpEndpoint"]
    assert door_events() == ["opening", "open"]


def test_rule_5_a_step_that_died_after_its_call_finds_it_done(
    rds: FakeRds, clock: Clock, operation: OperationState
) -> None:
    """Before it could write down anything but that it was about to."""
    rds.clusters[TARGET]["VpcSecurityGroups"] = in_groups([SECURITY_GROUP])
    for name in MEMBERS:
        rds.instances[name]["VpcSecurityGroups"] = in_groups([SECURITY_GROUP])
    assert until_open(clock) == 1
    assert rds.changes() == []
    assert record().recorded_door == "open"


def test_a_busy_cluster_is_asked_again(rds: FakeRds, clock: Clock) -> None:
    rds.refuse("ModifyDBCluster", "InvalidDBClusterStateFault", "it is backing up", times=2)
    answer = open_cluster(clock)
    assert answer["answer"] == "wait"
    assert "backing up" in answer["waiting_for"]
    until_open(clock)
    assert record().recorded_door == "open"


def test_an_open_cluster_is_left_as_its_owners_have_it(rds: FakeRds, clock: Clock) -> None:
    """A resumed run comes here again; people may have let others in since."""
    until_open(clock)
    rds.clusters[TARGET]["VpcSecurityGroups"] = in_groups([SECURITY_GROUP, "sg-0000000000000add"])
    before = rds.changes()
    assert until_open(clock) == 1
    assert rds.changes() == before
    told = (
        "vpc_security_group_ids: asked for sg-0123456789abcdef0, RDS reports sg-0000000000000add, sg-0123456789abcdef0"
    )
    assert record().differences == [told]


OWNERS = "sg-0000000000000add"


def test_the_pipeline_leaves_an_open_cluster_with_the_groups_that_its_owner_has_given_it(
    rds: FakeRds, clock: Clock
) -> None:
    """It was let in beside, to set up users once more. The planned group, which the owner took away, stays away."""
    until_open(clock)
    before, opened = rds.changes(), record().door_open_at
    rds.clusters[TARGET]["VpcSecurityGroups"] = in_groups([OWNERS, DOOR])
    for name in MEMBERS:
        rds.instances[name]["VpcSecurityGroups"] = in_groups([OWNERS, DOOR])
    rds.seconds = {"ModifyDBCluster": 90}
    assert until_open(clock) > 1
    assert rds.changes() == [*before, "ModifyDBCluster"]
    for each in (rds.clusters[TARGET], *rds.instances.values()):
        assert each["VpcSecurityGroups"] == in_groups([OWNERS])
    assert record().door_open_at == opened
    assert record().differences == [f"vpc_security_group_ids: asked for {SECURITY_GROUP}, RDS reports {OWNERS}"]


def test_an_open_cluster_that_somebody_has_shut_stays_shut(rds: FakeRds, clock: Clock) -> None:
    until_open(clock)
    before = rds.changes()
    rds.clusters[TARGET]["VpcSecurityGroups"] = in_groups([DOOR])
    assert until_open(clock) == 1
    assert rds.changes() == before


# What is reported at the end


def test_what_differs_at_the_end_is_told_and_doesnt_fail_the_run(rds: FakeRds, clock: Clock) -> None:
    rds.clusters[TARGET]["NetworkType"] = "DUAL"
    rds.instances[MEMBERS[1]]["DBInstanceClass"] = "db.r7g.large"
    until_open(clock)
    assert record().differences == [
        "network_type: asked for IPV4, RDS reports DUAL",
        f"instance {MEMBERS[1]}: db_instance_class: asked for db.r6g.large, RDS reports db.r7g.large",
    ]
    rds.clusters[TARGET]["NetworkType"] = "IPV4"
    rds.instances[MEMBERS[1]]["DBInstanceClass"] = "db.r6g.large"
    until_open(clock)
    assert record().differences == [], "a resumed run reports what differs then"


def test_what_may_come_with_settling_is_reported_only_if_it_doesnt(rds: FakeRds, clock: Clock) -> None:
    """Right after its creation RDS still configures an instance."""
    member = rds.instances[MEMBERS[1]]
    member |= {"DBInstanceStatus": "configuring-enhanced-monitoring"}
    assert until_open(clock) < 4, "nothing differs, so nobody waits for it"
    member |= {"PromotionTier": 9}
    answer = open_cluster(clock)
    assert (answer["answer"], answer["waiting_for"]) == (
        "wait",
        f"{MEMBERS[1]} (configuring-enhanced-monitoring) to settle",
    )
    member |= {"PromotionTier": 1, "DBInstanceStatus": "available"}
    assert open_cluster(clock)["answer"] == "done"
    assert record().differences == []
    member |= {"PromotionTier": 9, "DBInstanceStatus": "modifying"}
    clock.pass_seconds(PATIENCE.total_seconds())
    assert open_cluster(clock)["answer"] == "done", "it is not waited for without end"
    assert record().differences == [f"instance {MEMBERS[1]}: promotion_tier: asked for 1, RDS reports 9"]


def test_what_rds_accepted_and_couldnt_do_is_reported_although_the_cluster_is_available(
    rds: FakeRds, clock: Clock
) -> None:
    rds.events = [
        {"SourceIdentifier": TARGET, "Message": "Cluster failover failed: no reason", "EventCategories": []},
        {"SourceIdentifier": MEMBERS[0], "Message": "No space", "EventCategories": ["failure"]},
        {"SourceIdentifier": MEMBERS[0], "Message": "DB instance created", "EventCategories": ["creation"]},
        {"SourceIdentifier": "another", "Message": "failed", "EventCategories": ["failure"]},
    ]
    until_open(clock)
    assert record().differences == [
        f"RDS reports a failure: {TARGET}: Cluster failover failed: no reason",
        f"RDS reports a failure: {MEMBERS[0]}: No space",
    ]


@pytest.mark.parametrize("code", ["AccessDenied", "InternalFailure", "Throttling"])
def test_events_that_cant_be_read_fail_no_restore(rds: FakeRds, clock: Clock, code: str) -> None:
    rds.refuse("DescribeEvents", code, times=9)
    until_open(clock)
    assert record().differences == []


def test_a_stranger_beside_the_door_stops_the_run(rds: FakeRds, clock: Clock) -> None:
    rds.clusters[TARGET]["VpcSecurityGroups"] = in_groups([DOOR, "sg-0000000000000dead"])
    with pytest.raises(StepFailed, match="Nobody is let in"):
        open_cluster(clock)
    assert rds.changes() == []


def test_without_users_nothing_is_opened(rds: FakeRds, clock: Clock, operation: OperationState) -> None:
    """Whoever calls the function out of turn, with whatever plan."""
    operation.remember(users_ready_at=None, users=None)
    with pytest.raises(StepFailed, match="users are not set up"):
        open_cluster(clock)
    assert rds.changes() == []


def test_a_cluster_that_is_not_masked_is_never_opened(clock: Clock, rds: FakeRds, operation: OperationState) -> None:
    """Whatever else the record says: its users are set up, and the plan has a masking policy."""
    masking = MaskingPlan(policy="staging", bucket="b", key="k", version_id="v", sha256="0" * 64)
    operation.open("snapshot-check", {}, a_plan(masking=masking), "running", facts={"users_ready_at": iso(NOW)})
    operation.remember(cluster_resource_id=rds.clusters[TARGET]["DbClusterResourceId"])
    operation.enter("restore-snapshot")
    with pytest.raises(StepFailed, match="has a masking policy, and its cluster is not masked"):
        open_cluster(clock)
    assert record().door_opening_at is None
    operation.remember(masked_at=iso(NOW))
    open_cluster(clock)
    assert record().door_opening_at is not None


# Expiry


def open_expiring(clock: Clock) -> Any:
    return ask({"run": a_run(now=clock.now), "cluster": PLAN, "expires_after_hours": 72})


def until_expiring(clock: Clock) -> None:
    for _ in range(50):
        answer = open_expiring(clock)
        if answer["answer"] == "done":
            return
        clock.pass_seconds(answer["wait_seconds"])
    raise AssertionError("it never was open")


def tag_of(rds: FakeRds) -> str | None:
    return {each["Key"]: each["Value"] for each in rds.clusters[TARGET]["TagList"]}.get("aurora-restore:expires-at")


def test_its_expiry_counts_from_the_opening_and_is_registered_tagged_and_recorded(rds: FakeRds, clock: Clock) -> None:
    rds.seconds = {"ModifyDBCluster": 90}
    until_expiring(clock)
    found = record()
    assert found.door_open_at is not None
    expires = dt.datetime.fromisoformat(found.door_open_at) + dt.timedelta(hours=72)
    assert found.cluster_expires_at == tag_of(rds) == f"{expires:%Y-%m-%dT%H:%M:%SZ}"
    (entry,) = ExpiryRegister().entries()
    assert (entry.operation_id, entry.cluster_identifier, entry.hours) == (OPERATION, TARGET, 72)
    assert entry.resource_id == rds.clusters[TARGET]["DbClusterResourceId"]
    assert rds.changes() == ["ModifyDBCluster", "AddTagsToResource"]


def test_a_cluster_that_never_expires_is_neither_tagged_nor_registered(rds: FakeRds, clock: Clock) -> None:
    until_open(clock)
    assert (tag_of(rds), record().cluster_expires_at, ExpiryRegister().entries()) == (None, None, [])


@pytest.mark.parametrize("service", ["rds", "dynamodb"])
def test_an_expiry_that_was_set_half_is_set_once(rds: FakeRds, clock: Clock, service: str) -> None:
    open_expiring(clock)
    if service == "rds":
        rds.lose_answer("AddTagsToResource")
        with pytest.raises(TemporaryFailure):
            open_expiring(clock)
    else:
        with lost_answer(client("dynamodb"), "dynamodb", "UpdateItem"), pytest.raises(TemporaryFailure):
            open_expiring(clock)
    until_expiring(clock)
    assert tag_of(rds) == record().cluster_expires_at is not None
    assert len(ExpiryRegister().entries()) == 1


def test_an_extension_by_tag_is_not_undone(rds: FakeRds, clock: Clock) -> None:
    until_expiring(clock)
    for each in rds.clusters[TARGET]["TagList"]:
        if each["Key"] == "aurora-restore:expires-at":
            each["Value"] = "2027-01-01T00:00:00Z"
    until_expiring(clock)
    assert tag_of(rds) == "2027-01-01T00:00:00Z"
