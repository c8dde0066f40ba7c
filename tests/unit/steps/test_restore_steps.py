"""aurora-restore-restore-snapshot and aurora-restore-check-restore-status: the next action, until all is settled."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.conftest import LogLines
from tests.unit.fakes.rds import Clock, FakeRds, in_groups
from tests.unit.support import (
    ADMIN_SECRET,
    AUDIT_TABLE,
    DOOR,
    EXECUTION,
    NOW,
    OPERATION,
    OWN_TAGS,
    STATE_TABLE,
    TARGET,
    a_cluster_plan,
    a_plan,
    a_run,
    calling,
)
from utils.aws import client
from utils.contracts.plan import ClusterPlan
from utils.errors import CapacityShortage, StepFailed, TemporaryFailure
from utils.state.operation import OperationRecord, OperationState
from utils.state.values import iso

pytestmark = pytest.mark.usefixtures("account")

advance, look = calling("restore-snapshot"), calling("check-restore-status")
PLAN = a_cluster_plan()
MOST_LOOKS = 1000
OWNERS = "sg-0000000000000add"
MEMBERS = sorted(each.identifier for each in PLAN.instances)


@pytest.fixture(autouse=True)
def operation(account: None, rds: FakeRds) -> OperationState:
    rds.add_snapshot("prod-orders-tuesday")
    state = OperationState(OPERATION, EXECUTION, NOW)
    state.open("snapshot-check", {}, a_plan(), "running")
    return state


def record() -> OperationRecord:
    found = OperationState(OPERATION, EXECUTION, NOW).recall()
    assert found is not None
    return found


def act(clock: Clock, plan: ClusterPlan = PLAN, after: Any = None) -> Any:
    return advance({"run": a_run(now=clock.now), "cluster": plan, "after": after})


def observe(clock: Clock, progress: Any, plan: ClusterPlan = PLAN) -> Any:
    return look({"run": a_run(now=clock.now), "cluster": plan, "progress": progress})


def staged_password() -> str:
    text = client("secretsmanager").get_secret_value(SecretId=ADMIN_SECRET, VersionStage="AWSPENDING")["SecretString"]
    return str(json.loads(text)["password"])


def restore(clock: Clock, plan: ClusterPlan = PLAN) -> list[str]:
    """The state machine's loop, from the first action until the users can be set up; the transitions that it took."""
    transitions = []
    progress = None
    for _ in range(MOST_LOOKS):
        if progress is not None and progress["answer"] == "done":
            return transitions
        if progress is None or progress["answer"] == "advance":
            progress = act(clock, plan, progress)
            transitions.append("Restore Snapshot")
        clock.pass_seconds(progress["wait_seconds"])
        progress = observe(clock, progress, plan)
        transitions += ["Wait for Restore", "Check Restore Status", "Restore Done?"]
    raise AssertionError(f"it is never done: {progress}")


def test_a_restore_makes_the_cluster_then_its_password_then_all_instances(rds: FakeRds, clock: Clock) -> None:
    restore(clock)
    assert rds.changes() == [
        "RestoreDBClusterFromSnapshot",
        "ModifyDBCluster",
        "CreateDBInstance",
        "CreateDBInstance",
    ]
    assert sorted(rds.instances) == MEMBERS


def test_a_failure_that_rds_reports_before_its_status_shows_it_is_looked_for_soon(
    rds: FakeRds, clock: Clock, operation: OperationState
) -> None:
    rds.seconds = {"RestoreDBClusterFromSnapshot": 20_000}
    operation.remember(expected={"create-cluster": 10_800}, announced_before=["create-cluster"])
    progress = act(clock)
    assert progress["wait_seconds"] == 0.6 * 10_800
    clock.pass_seconds(600)
    woken = {"at": clock.now.isoformat(), "event": "RDS-EVENT-0355", "source": TARGET}
    pauses = []
    for _ in range(6):
        clock.pass_seconds(5)
        progress = look({"run": a_run(now=clock.now), "cluster": PLAN, "progress": progress, "woken": woken})
        pauses.append(progress["wait_seconds"])
        clock.pass_seconds(progress["wait_seconds"])
        woken = {"Error": "States.Timeout"}
    assert pauses == [30, 40, 85, 175, 355, 715]
    assert record().announced == []


def test_a_plan_with_another_door_than_the_stacks_makes_nothing(rds: FakeRds, clock: Clock) -> None:
    with pytest.raises(
        StepFailed, match=r"the stack's door is sg-0d00d00d00d00d000.*Nothing was created or changed. Start"
    ):
        act(clock, a_cluster_plan(door_security_group_id="sg-0000000000000dead"))
    assert rds.changes() == []


@pytest.mark.parametrize("master_login", ["pipeline", "rds_managed"])
def test_without_the_targets_own_secrets_no_cluster_is_made(
    rds: FakeRds, clock: Clock, operation: OperationState, master_login: Any
) -> None:
    """A failed run's end has removed them, and its execution was redriven."""
    operation.remember(
        plan_item=None,
        own_secrets=None,
        plan={"target_secrets": {"admin": None, "application": "aurora-restore/targets/x/application"}},
    )
    with pytest.raises(StepFailed, match="Resume it instead of redriving"):
        act(clock, a_cluster_plan(master_login=master_login))
    assert rds.changes() == []


def test_users_that_are_set_up_once_more_let_nobody_in_but_the_pipeline(
    rds: FakeRds, clock: Clock, operation: OperationState
) -> None:
    """Of an open cluster the groups are its owner's: one that was planned, and taken away since, stays away."""
    restore(clock)
    operation.remember(users_ready_at=iso(NOW), door_opening_at=iso(NOW), door_open_at=iso(NOW))
    rds.clusters[TARGET]["VpcSecurityGroups"] = in_groups([OWNERS])
    for name in MEMBERS:
        rds.instances[name]["VpcSecurityGroups"] = in_groups([OWNERS])
    restore(clock)
    for each in (rds.clusters[TARGET], *rds.instances.values()):
        assert each["VpcSecurityGroups"] == in_groups([OWNERS, DOOR])


# What a restore doesn't take

LATER = a_cluster_plan(
    master_login="rds_managed",
    master_secret_kms_key_id="arn:aws:kms:us-east-1:123456789012:key/stacks",
    preferred_maintenance_window="sun:05:00-sun:05:30",
    performance_insights_retention_days=465,
    database_insights_mode="advanced",
    auto_minor_version_upgrade=False,
)


def test_what_a_restore_doesnt_take_follows_in_one_change_before_the_instances(rds: FakeRds, clock: Clock) -> None:
    rds.seconds = {"ModifyDBCluster": 90}
    restore(clock, LATER)
    _, changed, *instances = rds.calls_that_change()
    assert changed == (
        "ModifyDBCluster",
        {
            "DBClusterIdentifier": TARGET,
            "ManageMasterUserPassword": True,
            "MasterUserSecretKmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/stacks",
            "BackupRetentionPeriod": 1,
            "PreferredMaintenanceWindow": "sun:05:00-sun:05:30",
            "DatabaseInsightsMode": "advanced",
            "EnablePerformanceInsights": True,
            "PerformanceInsightsRetentionPeriod": 465,
            "ApplyImmediately": True,
        },
    )
    assert [given["AutoMinorVersionUpgrade"] for _, given in instances] == [False, False]


def test_a_login_that_rds_keeps_leaves_the_stacks_secret_alone(rds: FakeRds, clock: Clock) -> None:
    restore(clock, LATER)
    found = record()
    assert found.master_secret_arn == rds.managed_secret
    assert (found.password_version_id, found.endpoint, found.port) == (None, rds.clusters[TARGET]["Endpoint"], 5432)
    stages = client("secretsmanager").describe_secret(SecretId=ADMIN_SECRET)["VersionIdsToStages"]
    assert list(stages.values()) == [["AWSCURRENT"]]


def test_rule_9_the_sources_secret_on_a_new_cluster_is_waited_out(rds: FakeRds, clock: Clock) -> None:
    """Restored clusters may report the secret of their source, although nobody manages it for them."""
    rds.seconds = {"RestoreDBClusterFromSnapshot": 60}
    act(clock, LATER)
    productions = rds.managed_secret.replace("5a1e", "production")
    rds.clusters[TARGET]["MasterUserSecret"] = {"SecretArn": productions, "SecretStatus": "active"}
    clock.pass_seconds(60)
    restore(clock, LATER)
    assert record().inherited_secret_arn == productions
    assert record().master_secret_arn == rds.managed_secret


def test_rule_5_what_a_restore_doesnt_take_is_found_done_after_a_lost_answer(rds: FakeRds, clock: Clock) -> None:
    rds.lose_answer("ModifyDBCluster")
    with pytest.raises(TemporaryFailure):
        restore(clock, LATER)
    restore(clock, LATER)
    assert record().master_secret_arn == rds.managed_secret
    handed_over = [given for _, given in rds.calls_that_change() if "ManageMasterUserPassword" in given]
    assert len(handed_over) == 1


DURATIONS = {"RestoreDBClusterFromSnapshot": 1200, "CreateDBInstance": 540, "ModifyDBCluster": 45}


def test_durations_that_nobody_knows_are_met_closely_with_fewer_than_300_transitions(
    rds: FakeRds, clock: Clock
) -> None:
    """The rest of a run without copy takes eleven: from Receive Request to Restored."""
    rds.seconds = dict(DURATIONS)
    assert len(restore(clock)) + 11 < 300
    assert (clock.now - NOW).total_seconds() < 1.1 * sum(DURATIONS.values())
    took = record().took
    assert sorted(took) == ["create-cluster"], "the last one is recorded with the users"
    assert 1200 <= took["create-cluster"] < 1.1 * 1200


def test_a_look_leaves_what_it_has_seen_to_the_step_that_it_calls_for(
    rds: FakeRds, clock: Clock, operation: OperationState
) -> None:
    rds.seconds = dict(DURATIONS)
    operation.remember(phases=["create-cluster", "create-instances"])
    progress = act(clock)
    while progress["answer"] != "advance":
        clock.pass_seconds(progress["wait_seconds"])
        progress = observe(clock, progress)
    assert progress["took"].keys() == {"create-cluster"}
    assert record().took == {}
    assert record().expected_end == []
    act(clock, after=progress)
    assert record().took == progress["took"]
    assert len(record().expected_end) == 2


def test_before_a_masking_the_last_look_records_what_it_has_seen(
    rds: FakeRds, clock: Clock, operation: OperationState
) -> None:
    rds.seconds = dict(DURATIONS)
    operation.remember(is_to_be_masked=True)
    restore(clock)
    assert sorted(record().took) == ["create-cluster", "create-instances"]


def test_what_a_look_has_seen_is_recorded_also_where_nothing_is_due_any_more(rds: FakeRds, clock: Clock) -> None:
    rds.seconds = dict(DURATIONS)
    seen = act(clock) | {"took": {"copy": 60.0}}
    act(clock, after=seen)
    act(clock, after=seen)
    assert record().took == {"copy": 60.0}


def test_durations_that_are_known_are_met_closely_with_fewer_than_60_transitions(
    rds: FakeRds, clock: Clock, operation: OperationState
) -> None:
    rds.seconds = dict(DURATIONS)
    operation.remember(expected={"create-cluster": 1250, "create-instances": 560})
    assert len(restore(clock)) + 11 <= 60
    assert (clock.now - NOW).total_seconds() < 1.1 * sum(DURATIONS.values())


def test_while_no_instance_is_up_a_look_asks_for_nothing_else(rds: FakeRds, clock: Clock) -> None:
    rds.seconds = dict(DURATIONS)
    progress = act(clock)
    looks: dict[str, set[tuple[str, tuple[str, ...]]]] = {
        "create-cluster": set(),
        "modify-cluster": set(),
        "create-instances": set(),
    }
    while progress["answer"] != "done":
        if progress["answer"] == "advance":
            progress = act(clock, after=progress)
        clock.pass_seconds(progress["wait_seconds"])
        before = len(rds.calls)
        progress = observe(clock, progress)
        looks[progress["action"]].add((progress["answer"], tuple(rds.operations()[before:])))
    assert looks == {
        "create-cluster": {("wait", ("DescribeDBClusters",)), ("advance", ("DescribeDBClusters",))},
        "modify-cluster": set(),
        "create-instances": {
            ("wait", ("DescribeDBInstances",)),
            ("done", ("DescribeDBInstances", "DescribeDBClusters")),
        },
    }


@pytest.mark.parametrize("status", ["incompatible-restore", "insufficient-capacity", "deleting"])
def test_one_instance_that_is_not_just_being_created_has_the_whole_looked_at(
    rds: FakeRds, clock: Clock, status: str
) -> None:
    rds.seconds = dict(DURATIONS)
    progress = act(clock)
    while progress["action"] != "create-instances":
        clock.pass_seconds(progress["wait_seconds"])
        progress = observe(clock, progress)
        if progress["answer"] == "advance":
            progress = act(clock, after=progress)
    rds.instances[MEMBERS[1]]["DBInstanceStatus"] = status
    rds.calls.clear()
    with suppress(StepFailed, CapacityShortage):
        observe(clock, progress)
    assert "DescribeDBClusters" in rds.operations()


# What RDS refuses for now


def test_instances_that_rds_refuses_while_it_modifies_the_cluster_are_asked_for_again(
    rds: FakeRds, clock: Clock
) -> None:
    rds.seconds = {"ModifyDBCluster": 240}
    rds.refuse("CreateDBInstance", "InvalidDBClusterStateFault", "it is modifying", times=5)
    restore(clock)
    assert sorted(rds.instances) == MEMBERS


def test_a_change_that_a_busy_cluster_refuses_is_asked_for_again(rds: FakeRds, clock: Clock) -> None:
    rds.refuse("ModifyDBCluster", "InvalidDBClusterStateFault", "it is backing-up", times=3)
    restore(clock)
    assert rds.passwords[TARGET] == staged_password()


def test_without_room_in_a_zone_the_others_are_tried_then_the_other_classes(rds: FakeRds, clock: Clock) -> None:
    plan = replace(PLAN, alternative_instance_classes=["db.r7g.large"], instances=PLAN.instances[:1])
    act(clock, plan)
    rds.clusters[TARGET]["AvailabilityZones"] = ["us-east-1a", "us-east-1b"]
    rds.refuse("CreateDBInstance", "InsufficientDBInstanceCapacity", "Please try again later.", times=4)
    restore(clock, plan)
    tried = [
        (given["DBInstanceClass"], given.get("AvailabilityZone"))
        for name, given in rds.calls
        if name == "CreateDBInstance"
    ]
    assert tried == [
        ("db.r6g.large", None),
        ("db.r6g.large", "us-east-1a"),
        ("db.r6g.large", "us-east-1b"),
        ("db.r7g.large", None),
        ("db.r7g.large", "us-east-1a"),
    ]


def test_another_zone_or_class_that_cant_be_had_is_passed_over(rds: FakeRds, clock: Clock) -> None:
    plan = replace(PLAN, alternative_instance_classes=["db.r7g.large"], instances=PLAN.instances[:1])
    act(clock, plan)
    rds.clusters[TARGET]["AvailabilityZones"] = ["us-east-1e"]
    rds.refuse("CreateDBInstance", "InsufficientDBInstanceCapacity", "Please try again later.")
    rds.refuse("CreateDBInstance", "InvalidParameterCombination", "The subnet group doesn't cover it.")
    restore(clock, plan)
    assert rds.instances[plan.instances[0].identifier]["DBInstanceClass"] == "db.r7g.large"


def test_the_planned_class_that_cant_be_had_at_all_stops_the_restore(rds: FakeRds, clock: Clock) -> None:
    rds.refuse("CreateDBInstance", "InvalidParameterCombination", "No such class.")
    with pytest.raises(StepFailed, match="No such class"):
        restore(clock)


@pytest.mark.full
def test_without_any_room_the_restore_waits_and_at_its_deadline_keeps_what_exists(rds: FakeRds, clock: Clock) -> None:
    rds.refuse("CreateDBInstance", "InsufficientDBInstanceCapacity", "Please try again later.", times=10_000)
    with pytest.raises(
        CapacityShortage,
        match=r"for lack of capacity for .*db.r6g.large.*Please try again later\). What exists is kept",
    ):
        restore(clock)
    assert list(rds.clusters) == [TARGET]


@pytest.mark.parametrize("code", ["InsufficientDBClusterCapacityFault", "InsufficientStorageClusterCapacity"])
def test_room_for_the_cluster_itself_is_waited_for_as_well(rds: FakeRds, clock: Clock, code: str) -> None:
    rds.refuse("RestoreDBClusterFromSnapshot", code, "Please try again later.", times=4)
    restore(clock)
    assert rds.changes().count("RestoreDBClusterFromSnapshot") == 5


def test_the_planned_writer_takes_over_where_instances_are_unlike(rds: FakeRds, clock: Clock) -> None:
    first, second = PLAN.instances
    plan = replace(PLAN, instances=[replace(first, db_instance_class="db.r6g.4xlarge"), second])
    act(clock, plan)
    rds.writers[TARGET] = second.identifier
    restore(clock, plan)
    assert rds.writers[TARGET] == first.identifier
    assert rds.changes()[-1] == "FailoverDBCluster"


def test_rule_9_the_new_password_is_stored_before_rds_hears_of_it(rds: FakeRds, clock: Clock) -> None:
    rds.refuse("ModifyDBCluster", "InvalidParameterCombination", "No.")
    with pytest.raises(StepFailed):
        restore(clock)
    assert len(staged_password()) == 36
    assert rds.passwords == {}
    assert record().password_reset_at is None


def test_rule_9_rds_gets_the_stored_password_and_nobody_else_sees_it(
    rds: FakeRds, clock: Clock, logs: LogLines, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: list[Any] = []
    progress = act(clock)
    for _ in range(MOST_LOOKS):
        if progress["answer"] == "done":
            break
        answers.append(progress)
        clock.pass_seconds(progress["wait_seconds"])
        progress = act(clock) if progress["answer"] == "advance" else observe(clock, progress)
    password = rds.passwords[TARGET]
    assert password == staged_password()
    tables = [client("dynamodb").scan(TableName=table)["Items"] for table in (STATE_TABLE, AUDIT_TABLE)]
    for place in (answers, tables, logs.text.getvalue(), capsys.readouterr().out):
        assert password not in str(place)


@pytest.mark.parametrize("times", [1, 3])
def test_rule_5_an_action_taken_twice_is_taken_once(rds: FakeRds, clock: Clock, times: int) -> None:
    rds.seconds = {"RestoreDBClusterFromSnapshot": 1200, "CreateDBInstance": 540, "ModifyDBCluster": 45}
    for _ in range(16):
        for _ in range(times):
            act(clock)
        clock.pass_seconds(200)
    assert sorted(rds.instances) == MEMBERS
    assert rds.changes().count("RestoreDBClusterFromSnapshot") == 1
    assert rds.changes().count("ModifyDBCluster") == 1


@pytest.mark.parametrize("operation_lost", ["RestoreDBClusterFromSnapshot", "CreateDBInstance", "ModifyDBCluster"])
def test_rule_5_an_action_whose_answer_was_lost_is_found_done(rds: FakeRds, clock: Clock, operation_lost: str) -> None:
    rds.lose_answer(operation_lost)
    with pytest.raises(TemporaryFailure):
        restore(clock)
    restore(clock)
    assert sorted(rds.clusters) == [TARGET]
    assert sorted(rds.instances) == MEMBERS
    assert rds.passwords[TARGET] == staged_password()
    assert record().cluster_resource_id == rds.clusters[TARGET]["DbClusterResourceId"]
    assert record().cluster_arn == rds.clusters[TARGET]["DBClusterArn"]


def test_rule_4_an_existing_cluster_is_never_adopted(rds: FakeRds, clock: Clock) -> None:
    rds.add_cluster(TARGET)
    with pytest.raises(StepFailed, match="It was left alone"):
        act(clock)
    assert rds.changes() == []
    assert record().cluster_resource_id is None


def test_rule_4_a_cluster_that_appears_at_the_last_moment_is_never_adopted(rds: FakeRds, clock: Clock) -> None:
    rds.refuse("DescribeDBClusters", "DBClusterNotFoundFault", status=404)
    rds.add_cluster(TARGET)
    with pytest.raises(StepFailed, match=r"this operation did not create it. It was left alone"):
        act(clock)
    assert record().cluster_resource_id is None


@pytest.mark.parametrize("step_taken", [act, lambda clock: observe(clock, a_progress())])
def test_a_broken_cluster_stops_both_steps(
    rds: FakeRds, clock: Clock, operation: OperationState, step_taken: Any
) -> None:
    operation.remember(cluster_asked_at=iso(NOW))
    rds.add_cluster(TARGET, Status="incompatible-restore", TagList=OWN_TAGS)
    with pytest.raises(StepFailed, match="is incompatible-restore and will not become available"):
        step_taken(clock)


@pytest.mark.parametrize(("page_size", "questions"), [(100, 1), (1, 2)], ids=["few-events", "many-of-others"])
def test_what_rds_says_of_a_failure_is_in_the_error_since_what_failed_may_be_gone_afterwards(
    rds: FakeRds, clock: Clock, operation: OperationState, page_size: int, questions: int
) -> None:
    """Where one answer does not hold all events of the region, those of the cluster are asked for."""
    rds.page_size = page_size
    operation.remember(cluster_asked_at=iso(NOW))
    rds.add_cluster(TARGET, Status="failed", TagList=OWN_TAGS)
    because = "You can't create the DB cluster because of incompatible resources. No\nsubnets."
    rds.events = [
        {"SourceIdentifier": "another", "Message": "No.", "EventCategories": ["failure"]},
        {"SourceIdentifier": TARGET, "Message": because, "EventCategories": ["failure"]},
    ]
    with pytest.raises(StepFailed) as failed:
        observe(clock, a_progress())
    said = f"RDS reports: {TARGET}: {because} Look at its events: ".replace("\n", "\\n")
    assert said in str(failed.value)
    assert "another" not in str(failed.value)
    assert [name for name, _ in rds.calls].count("DescribeEvents") == questions


@pytest.mark.parametrize("code", ["AccessDenied", "Throttling"])
def test_events_that_cannot_be_read_hide_no_failure(
    code: str, rds: FakeRds, clock: Clock, operation: OperationState
) -> None:
    operation.remember(cluster_asked_at=iso(NOW))
    rds.add_cluster(TARGET, Status="failed", TagList=OWN_TAGS)
    rds.refuse("DescribeEvents", code, times=9)
    with pytest.raises(StepFailed, match=r"is failed and will not become available\. Look at its events"):
        observe(clock, a_progress())


def a_progress(**changes: Any) -> dict[str, Any]:
    known = {
        "answer": "wait",
        "action": "create-cluster",
        "waiting_for": "the cluster",
        "started_at": NOW.isoformat(),
        "action_at": NOW.isoformat(),
        "wait_seconds": 240,
    }
    return known | changes


def test_a_restore_past_its_deadline_stops(rds: FakeRds, clock: Clock, operation: OperationState) -> None:
    operation.remember(cluster_asked_at=iso(NOW))
    rds.add_cluster(TARGET, Status="creating", TagList=OWN_TAGS)
    clock.pass_seconds(12 * 3600)
    with pytest.raises(StepFailed, match="After 12 hours the restore still waits for cluster staging-orders"):
        observe(clock, a_progress())


@pytest.mark.parametrize("code", ["Throttling", "ServiceUnavailable"])
def test_an_aurora_that_is_busy_is_asked_again(rds: FakeRds, clock: Clock, code: str) -> None:
    rds.refuse("RestoreDBClusterFromSnapshot", code)
    with pytest.raises(TemporaryFailure):
        act(clock)
    assert act(clock)["action"] == "create-cluster"


@pytest.mark.parametrize(
    ("operation_refused", "code"),
    [
        ("RestoreDBClusterFromSnapshot", "DBSubnetGroupNotFoundFault"),
        ("CreateDBInstance", "InstanceQuotaExceeded"),
        ("ModifyDBCluster", "InvalidParameterCombination"),
    ],
)
def test_an_action_that_rds_refuses_stops_the_restore(
    rds: FakeRds, clock: Clock, operation_refused: str, code: str
) -> None:
    rds.refuse(operation_refused, code, "Because.")
    with pytest.raises(StepFailed, match=f"{operation_refused} answered {code}: Because."):
        restore(clock)


def test_a_cluster_without_an_endpoint_is_asked_again(rds: FakeRds, clock: Clock, operation: OperationState) -> None:
    operation.remember(cluster_asked_at=iso(NOW))
    cluster = rds.add_cluster(TARGET, TagList=OWN_TAGS)
    for number in (1, 2):
        rds.add_instance(f"{TARGET}-{number}", TARGET)
    del cluster["Endpoint"]
    with pytest.raises(TemporaryFailure, match="has no endpoint yet"):
        act(clock)
    assert rds.passwords == {}
