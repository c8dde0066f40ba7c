"""aurora-restore-delete-rds, -check-delete-status and -archive-snapshot: only what is proved goes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.unit.fakes.groups import FakeKeys
from tests.unit.fakes.rds import Clock, FakeRds
from tests.unit.support import (
    ACCOUNT,
    AUDIT_TABLE,
    EXECUTION,
    KEY_ID,
    LIMITS,
    NOW,
    OPERATION,
    OWN_TAGS,
    REGION,
    SOURCE,
    SOURCE_REGION,
    TARGET,
    a_copy,
    a_deletion,
    a_plan,
    a_run,
    calling,
    out_of_sight,
    some_instances,
)
from utils.aurora_utils import Aurora
from utils.aws import client
from utils.contracts.payloads import ArchiveTask, DeleteTask
from utils.errors import StepFailed, TemporaryFailure
from utils.state.operation import OperationRecord, OperationState

pytestmark = pytest.mark.usefixtures("account", "source_rds")

delete, look, archive = calling("delete-rds"), calling("check-delete-status"), calling("archive-snapshot")
COPY = a_copy()
FIRST, SECOND = (each.identifier for each in some_instances(2))
DELETION_SECONDS: dict[str, float] = {"DeleteDBInstance": 300, "DeleteDBCluster": 600}


@pytest.fixture(autouse=True)
def operation(account: None) -> OperationState:
    state = OperationState(OPERATION, EXECUTION, NOW)
    state.open("snapshot-check", {}, a_plan(copy=COPY, copy_needed=True), "running")
    state.enter("delete-rds")
    return state


def record() -> OperationRecord:
    found = OperationState(OPERATION, EXECUTION, NOW).recall()
    assert found is not None
    return found


@pytest.fixture
def restored(rds: FakeRds, operation: OperationState) -> dict[str, Any]:
    """The cluster that this operation restored, with a login that has worked."""
    for name in (FIRST, SECOND):
        rds.add_instance(name, TARGET, TagList=OWN_TAGS)
    cluster = rds.add_cluster(TARGET, TagList=OWN_TAGS)
    operation.remember(
        cluster_resource_id=cluster["DbClusterResourceId"],
        login_proven_at="2026-03-10T03:40:00.000Z",
        door_open_at="2026-03-10T03:50:00.000Z",
    )
    return cluster


@pytest.fixture
def production(rds: FakeRds) -> dict[str, Any]:
    rds.seconds = DELETION_SECONDS
    for number in (1, 2):
        rds.add_instance(f"prod-orders-{number}", SOURCE)
    return rds.add_cluster(SOURCE)


def deleting(cluster: dict[str, Any], now: dt.datetime = NOW, **changes: Any) -> DeleteTask:
    return DeleteTask(limits=LIMITS, run=a_run(now=now), deletion=a_deletion(cluster["DbClusterResourceId"], **changes))


def cleaning_up(now: dt.datetime = NOW) -> DeleteTask:
    return DeleteTask(limits=LIMITS, run=a_run(now=now, cleaning_up=True))


# Rule 3: the source


def test_the_source_goes_with_instances_first_and_a_final_snapshot(
    rds: FakeRds, clock: Clock, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    answer = delete(deleting(production))
    assert (answer["answer"], answer["cluster_identifier"]) == ("wait", SOURCE)
    assert rds.changes() == ["DeleteDBInstance", "DeleteDBInstance", "DeleteDBCluster"]
    assert record().source_deletion_at == "2026-03-10T03:00:00.000Z"
    answer = watched(clock, answer, production)
    assert SOURCE not in rds.clusters
    assert TARGET in rds.clusters
    seconds = (clock.now - NOW).total_seconds()
    assert 0.96 * seconds < record().took["final-snapshot"] < seconds
    final = rds.snapshots["prod-orders-final-0123456789ab"]
    assert final["DBClusterIdentifier"] == SOURCE
    assert answer["final_snapshot_arn"] == record().final_snapshot_arn == final["DBClusterSnapshotArn"]


def watched(clock: Clock, answer: dict[str, Any], production: dict[str, Any]) -> dict[str, Any]:
    """The deletion, looked at until it is ready or something is due."""
    deletion = a_deletion(production["DbClusterResourceId"])
    for _ in range(1000):
        if answer["answer"] != "wait":
            return answer
        clock.pass_seconds(answer["wait_seconds"])
        answer = look({"run": a_run(now=clock.now), "progress": answer, "deletion": deletion})
    raise AssertionError(f"it is looked at for ever: {answer}")


def test_the_final_snapshot_carries_the_operations_tags_and_stands_in_the_audit(
    rds: FakeRds, clock: Clock, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    watched(clock, delete(deleting(production)), production)
    tags = {each["Key"]: each["Value"] for each in rds.snapshots["prod-orders-final-0123456789ab"]["TagList"]}
    assert tags == {"aurora-restore:operation-id": OPERATION, "team": "orders"}
    audited = [each["event_type"]["S"] for each in client("dynamodb").scan(TableName=AUDIT_TABLE)["Items"]]
    assert "final-snapshot" in audited


def gone_with(rds: FakeRds, clock: Clock, production: dict[str, Any], **snapshot: Any) -> dict[str, Any]:
    """How the deletion looks once the cluster is gone, and half an hour has passed."""
    progress = delete(deleting(production))
    del rds.clusters[SOURCE]
    rds.snapshots["prod-orders-final-0123456789ab"].update(snapshot)
    deletion = a_deletion(production["DbClusterResourceId"])
    run = a_run(now=NOW + dt.timedelta(minutes=30))
    return dict(look({"run": run, "progress": progress, "deletion": deletion}))


def test_a_deletion_isnt_done_before_its_final_snapshot_is(
    rds: FakeRds, clock: Clock, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    assert gone_with(rds, clock, production, Status="creating", PercentProgress=60)["answer"] == "wait"
    assert rds.changes()[-1] == "DeleteDBCluster"


def test_rule_5_a_deletion_whose_answer_was_lost_isnt_begun_twice_while_rds_takes_the_final_snapshot(
    rds: FakeRds, clock: Clock, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    """RDS calls the cluster `available` until it has the snapshot, whose name is taken then."""
    rds.seconds = {**DELETION_SECONDS, "TakeFinalSnapshot": 180}
    rds.lose_answer("DeleteDBCluster")
    with pytest.raises(TemporaryFailure):
        delete(deleting(production))
    assert rds.clusters[SOURCE]["Status"] == "available"
    answer = watched(clock, delete(deleting(production, now=clock.now)), production)
    assert answer["answer"] == "done"
    assert rds.changes().count("DeleteDBCluster") == 2
    assert answer["final_snapshot_arn"] == rds.snapshots["prod-orders-final-0123456789ab"]["DBClusterSnapshotArn"]


def test_a_final_snapshot_that_failed_stops_the_run(
    rds: FakeRds, clock: Clock, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    with pytest.raises(StepFailed, match=r"is failed at 60 %.*Keep the restored cluster"):
        gone_with(rds, clock, production, Status="failed", PercentProgress=60)


def test_rule_1_a_snapshot_of_another_cluster_under_its_name_isnt_tagged(
    rds: FakeRds, clock: Clock, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    with pytest.raises(StepFailed, match=r"is of cluster-OTHER.*It was left alone"):
        gone_with(rds, clock, production, DbClusterResourceId="cluster-OTHER")
    assert "AddTagsToResource" not in rds.changes()


def test_a_source_that_somebody_else_deleted_without_our_final_snapshot_isnt_called_done(
    rds: FakeRds, restored: dict[str, Any]
) -> None:
    progress = delete(deleting({"DbClusterResourceId": "cluster-GONE"}))
    assert progress["answer"] == "wait"
    gone = a_deletion("cluster-GONE")
    assert look({"run": a_run(), "progress": progress, "deletion": gone})["answer"] == "wait"
    with pytest.raises(StepFailed, match=r"is gone and its final snapshot .* does not exist: somebody else deleted"):
        look({"run": a_run(now=NOW + dt.timedelta(hours=1)), "progress": progress, "deletion": gone})


def test_a_source_that_is_renamed_while_it_is_deleted_isnt_called_gone(
    rds: FakeRds, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    progress = delete(deleting(production))
    rds.clusters["renamed"] = {**rds.clusters.pop(SOURCE), "DBClusterIdentifier": "renamed"}
    late = a_run(now=NOW + dt.timedelta(hours=12))
    assert look({"run": a_run(), "progress": progress})["answer"] == "wait"
    with pytest.raises(StepFailed, match=r"prod-orders \(renamed to renamed\) is deleting 12.0 hours"):
        look({"run": late, "progress": progress})


# Deletion protection


@pytest.fixture
def protected(production: dict[str, Any]) -> dict[str, Any]:
    production["DeletionProtection"] = True
    return production


def test_protection_is_switched_off_only_after_everything_is_proved_and_waited_for(
    rds: FakeRds, clock: Clock, restored: dict[str, Any], protected: dict[str, Any]
) -> None:
    rds.seconds = {**DELETION_SECONDS, "ModifyDBCluster": 45}
    answer = delete(deleting(protected, switches_protection_off=True))
    assert rds.changes() == ["ModifyDBCluster"]
    assert rds.asked("ModifyDBCluster") == {
        "DBClusterIdentifier": SOURCE,
        "DeletionProtection": False,
        "ApplyImmediately": True,
    }
    assert (record().protection_off_at, record().source_deletion_at) == ("2026-03-10T03:00:00.000Z", None)
    assert look({"run": a_run(), "progress": answer})["answer"] == "wait"
    answer = watched(clock, answer, protected)
    assert answer["answer"] == "advance"
    answer = watched(clock, delete(deleting(protected, now=clock.now, switches_protection_off=True)), protected)
    assert answer["answer"] == "done"
    assert rds.changes().count("ModifyDBCluster") == 1


@pytest.mark.parametrize("why", ["no login", "renamed", "replica", "tag"])
def test_rule_3_protection_stays_on_what_isnt_proved(
    rds: FakeRds, operation: OperationState, restored: dict[str, Any], protected: dict[str, Any], why: str
) -> None:
    task = deleting(protected, switches_protection_off=True)
    if why == "no login":
        operation.remember(login_proven_at=None)
    elif why == "renamed":
        rds.clusters["renamed"] = {**rds.clusters.pop(SOURCE), "DBClusterIdentifier": "renamed"}
    elif why == "replica":
        protected["ReadReplicaIdentifiers"] = ["arn:aws:rds:eu-west-1:1:cluster:replica"]
    else:
        rds.instances["prod-orders-2"]["TagList"] = [{"Key": "aurora-restore:protected", "Value": "true"}]
    with pytest.raises(StepFailed):
        delete(task)
    assert rds.changes() == []


def test_automated_backups_go_only_when_the_plan_says_so(
    rds: FakeRds, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    delete(deleting(production, delete_automated_backups=True))
    assert rds.asked("DeleteDBCluster")["DeleteAutomatedBackups"] is True


def test_rule_2_the_automated_snapshot_that_was_restored_outlives_its_cluster(
    rds: FakeRds, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    rds.add_snapshot("rds:prod-orders-2026-03-10")
    rds.seconds = {}
    delete(deleting(production))
    assert SOURCE not in rds.clusters
    assert "rds:prod-orders-2026-03-10" in rds.snapshots


def test_the_source_of_another_region_goes_there_and_nowhere_else(
    rds: FakeRds, source_rds: FakeRds, restored: dict[str, Any]
) -> None:
    rds.add_cluster(SOURCE)
    production = source_rds.add_cluster(SOURCE)
    delete(deleting(production, region=SOURCE_REGION))
    assert SOURCE not in source_rds.clusters
    assert rds.changes() == []


def test_rule_3_without_a_proven_login_the_source_stays(
    rds: FakeRds, operation: OperationState, production: dict[str, Any]
) -> None:
    cluster = rds.add_cluster(TARGET, TagList=OWN_TAGS)
    operation.remember(cluster_resource_id=cluster["DbClusterResourceId"])
    with pytest.raises(StepFailed, match="No login to staging-orders has worked yet"):
        delete(deleting(production))
    assert rds.changes() == []
    assert record().source_deletion_at is None


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"users": {"unfinished": ["orders: skipped"]}}, "lacks what its application needs: orders: skipped"),
        ({"verification": {"held": 9, "failed": 1, "not_run": 0}}, "1 did not hold and 0 could not be run"),
        ({"verification": {"held": 9, "failed": 0, "not_run": 2}}, "0 did not hold and 2 could not be run"),
        ({"is_to_be_masked": True}, "are masked, so its source is not deleted"),
    ],
)
def test_rule_3_where_the_restored_data_may_lack_anything_the_source_stays(
    operation: OperationState,
    rds: FakeRds,
    restored: dict[str, Any],
    production: dict[str, Any],
    facts: dict[str, Any],
    why: str,
) -> None:
    operation.remember(**facts)
    with pytest.raises(StepFailed, match=why):
        delete(deleting(production))
    assert rds.changes() == []


@pytest.mark.parametrize(("status", "error"), [("failed", StepFailed), ("backing-up", TemporaryFailure)])
def test_rule_3_without_an_available_restored_cluster_the_source_stays(
    rds: FakeRds, restored: dict[str, Any], production: dict[str, Any], status: str, error: type[Exception]
) -> None:
    restored["Status"] = status
    with pytest.raises(error, match="Nothing was deleted"):
        delete(deleting(production))
    assert rds.changes() == []


def test_rule_3_a_plan_without_a_deletion_deletes_nothing(rds: FakeRds, restored: dict[str, Any]) -> None:
    with pytest.raises(StepFailed, match=r"The plan names no source cluster to delete. Nothing was deleted"):
        delete(DeleteTask(limits=LIMITS, run=a_run()))
    assert rds.changes() == []


def test_rule_1_a_source_that_was_replaced_under_its_name_stays(
    rds: FakeRds, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    production["DbClusterResourceId"] = "cluster-NEW"
    with pytest.raises(StepFailed, match="is now cluster-NEW, and the plan deletes cluster-OLD"):
        delete(deleting({"DbClusterResourceId": "cluster-OLD"}))
    assert rds.changes() == []


def test_rule_1_without_a_record_nothing_is_deleted(rds: FakeRds, production: dict[str, Any]) -> None:
    task = msgspec.structs.replace(deleting(production), run=a_run(operation_id="never-opened"))
    with pytest.raises(StepFailed):
        delete(task)
    assert rds.changes() == []


def test_rule_5_a_deletion_asked_for_twice_is_one(
    rds: FakeRds, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    assert delete(deleting(production)) == delete(deleting(production))
    assert rds.changes() == ["DeleteDBInstance", "DeleteDBInstance", "DeleteDBCluster"]


@pytest.mark.parametrize("operation_lost", ["DeleteDBInstance", "DeleteDBCluster"])
def test_rule_5_a_deletion_whose_answer_was_lost_goes_on(
    rds: FakeRds, restored: dict[str, Any], production: dict[str, Any], operation_lost: str
) -> None:
    rds.lose_answer(operation_lost)
    with pytest.raises(TemporaryFailure):
        delete(deleting(production))
    delete(deleting(production, now=NOW + dt.timedelta(minutes=1)))
    assert rds.changes() == ["DeleteDBInstance", "DeleteDBInstance", "DeleteDBCluster"]
    assert rds.clusters[SOURCE]["Status"] == "deleting"
    assert record().source_deletion_at == "2026-03-10T03:00:00.000Z"


def test_a_source_that_is_gone_at_two_looks_is_as_good(clock: Clock, restored: dict[str, Any]) -> None:
    gone = {"DbClusterResourceId": "cluster-GONE"}
    progress = delete(deleting(gone, final_snapshot_identifier=None))
    early = {"run": a_run(now=NOW + dt.timedelta(seconds=59)), "progress": progress}
    assert (look(early)["answer"], look(early)["wait_seconds"]) == ("wait", 60)
    assert record().source_gone_at is None
    assert watched(clock, progress, gone)["answer"] == "done"
    assert record().source_gone_at is not None


def test_a_source_that_one_look_misses_is_deleted_all_the_same(
    rds: FakeRds, clock: Clock, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    with out_of_sight(rds, SOURCE):
        progress = delete(deleting(production))
    progress = watched(clock, progress, production)
    assert (progress["answer"], rds.changes()) == ("advance", [])
    assert record().unseen == {}
    watched(clock, delete(deleting(production, now=clock.now)), production)
    assert SOURCE not in rds.clusters


@pytest.mark.parametrize("doing", ["switching-protection-off", "deleting"])
def test_what_rds_was_not_asked_to_delete_is_not_gone_at_one_look(
    doing: str, rds: FakeRds, production: dict[str, Any]
) -> None:
    progress = a_progress(production, doing=doing, is_accepted=False)
    with out_of_sight(rds, SOURCE):
        answer = look(looking(progress))
    assert (answer["answer"], answer["wait_seconds"]) == ("wait", 60)
    assert look(looking(answer, hours=0.6))["answer"] == "advance"


def test_a_call_that_rds_has_refused_is_not_taken_for_the_deletion_because_one_look_misses_the_cluster(
    rds: FakeRds, production: dict[str, Any]
) -> None:
    rds.refuse("DeleteDBCluster", "InvalidDBClusterStateFault", "DB cluster prod-orders is creating.")
    with out_of_sight(rds, SOURCE), pytest.raises(TemporaryFailure, match="prod-orders cannot be deleted yet"):
        Aurora(REGION).delete_cluster(SOURCE, None, keep_backups=False)


def test_a_deletion_that_rds_refuses_stops_the_run(
    rds: FakeRds, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    rds.refuse("DeleteDBCluster", "SnapshotQuotaExceeded", "Because.")
    with pytest.raises(StepFailed, match="DeleteDBCluster answered SnapshotQuotaExceeded"):
        delete(deleting(production))


def closed_key(rds: FakeRds, keys: FakeKeys, production: dict[str, Any]) -> None:
    production |= {"StorageEncrypted": True, "KmsKeyId": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{KEY_ID}"}
    keys.keys[KEY_ID]["KeyState"] = "Disabled"


def taken_name(rds: FakeRds, keys: FakeKeys, production: dict[str, Any]) -> None:
    rds.add_snapshot("prod-orders-final-0123456789ab", SOURCE)


def no_room(rds: FakeRds, keys: FakeKeys, production: dict[str, Any]) -> None:
    rds.quotas["ManualClusterSnapshots"] = len(rds.snapshots)


def no_restorable_time(rds: FakeRds, keys: FakeKeys, production: dict[str, Any]) -> None:
    del production["LatestRestorableTime"]


def too_many_retained(rds: FakeRds, keys: FakeKeys, production: dict[str, Any]) -> None:
    rds.quotas["DBClusters"] = 3
    rds.retained_backups = [{"DbClusterResourceId": f"cluster-{number}"} for number in range(3)]


def continuous_backup(rds: FakeRds, keys: FakeKeys, production: dict[str, Any]) -> None:
    production["AwsBackupRecoveryPointArn"] = "arn:aws:backup:us-east-1:123456789012:recovery-point:continuous:x"


def stopped(rds: FakeRds, keys: FakeKeys, production: dict[str, Any]) -> None:
    production["Status"] = "stopped"


OBSTACLES: list[tuple[Callable[[FakeRds, FakeKeys, dict[str, Any]], None], str]] = [
    (closed_key, r"no final snapshot can be taken: the key .* is Disabled, not Enabled.*aws kms enable-key"),
    (
        taken_name,
        r"'prod-orders-final-0123456789ab' exists in us-east-1 already.*aws rds describe-db-cluster-snapshots",
    ),
    (no_room, r"no room for one more manual snapshot.*aws rds describe-db-cluster-snapshots"),
    (no_restorable_time, r"cannot take a final snapshot of 'prod-orders' yet.*aws rds describe-db-clusters"),
    (too_many_retained, r"could not be kept.*aws rds describe-db-cluster-automated-backups"),
    (continuous_backup, r"has a continuous backup of AWS Backup's .*Leave delete_automated_backups out"),
    (stopped, r"is stopped, and RDS deletes no stopped cluster.*aws rds start-db-cluster"),
]


@pytest.mark.parametrize(("arises", "said"), OBSTACLES)
def test_rule_3_what_rds_would_refuse_half_way_is_found_before_the_first_call(
    rds: FakeRds, keys: FakeKeys, restored: dict[str, Any], production: dict[str, Any], arises: Any, said: str
) -> None:
    """Else production would stand without instances by then."""
    arises(rds, keys, production)
    deletes_backups = arises is continuous_backup
    with pytest.raises(StepFailed, match=said) as refused:
        delete(deleting(production, delete_automated_backups=deletes_backups))
    assert str(refused.value).splitlines()[0] == (
        "Source cluster prod-orders exists with all its instances: nothing of it was deleted."
    )
    assert rds.changes() == []
    assert record().source_deletion_at is None


def test_all_that_is_in_the_way_is_told_at_once(
    rds: FakeRds, keys: FakeKeys, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    for arises in (closed_key, taken_name, no_room, too_many_retained):
        arises(rds, keys, production)
    with pytest.raises(StepFailed) as refused:
        delete(deleting(production))
    assert len(str(refused.value).splitlines()) == 5


def test_a_source_that_is_busy_is_asked_again_before_anything_goes(
    rds: FakeRds, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    production["Status"] = "backing-up"
    with pytest.raises(TemporaryFailure, match="It is backing-up at the moment"):
        delete(deleting(production))
    assert rds.changes() == []


def test_a_source_that_is_broken_loses_nothing_and_is_said_to_be(
    rds: FakeRds, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    production["Status"] = "inaccessible-encryption-credentials-recoverable"
    with pytest.raises(StepFailed, match=r"nothing of it was deleted\.\nprod-orders is inaccessible-encryption"):
        delete(deleting(production))
    assert rds.changes() == []


@pytest.mark.parametrize(
    ("members", "error", "said"),
    [
        ({SECOND: None}, TemporaryFailure, f"RDS does not show {SECOND} at the moment.*Nothing was deleted"),
        ({FIRST: None, SECOND: None}, TemporaryFailure, f"RDS does not show {FIRST}, {SECOND}"),
        ({FIRST: "failed"}, StepFailed, rf"\({FIRST} is failed\)"),
        ({FIRST: "rebooting"}, TemporaryFailure, f"{FIRST} is rebooting at the moment"),
    ],
)
def test_rule_3_a_restored_cluster_without_its_instances_proves_nothing(
    rds: FakeRds,
    restored: dict[str, Any],
    production: dict[str, Any],
    members: dict[str, str | None],
    error: type[Exception],
    said: str,
) -> None:
    """A cluster is available without any."""
    for name, status in members.items():
        if status is None:
            del rds.instances[name]
        else:
            rds.instances[name]["DBInstanceStatus"] = status
    with pytest.raises(error, match=said):
        delete(deleting(production))
    assert rds.changes() == []


def test_a_reader_that_appears_while_the_source_is_going_is_told_with_what_is_gone(
    rds: FakeRds, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    """RDS takes the instances' deletion, then not the cluster's; meanwhile somebody adds a reader."""
    planned = ["prod-orders-2", "prod-orders-1"]
    rds.refuse("DeleteDBCluster", "InvalidDBClusterStateFault")
    with pytest.raises(TemporaryFailure, match="is WITHOUT INSTANCES"):
        delete(deleting(production, instance_identifiers=planned))
    del rds.instances["prod-orders-2"]
    rds.add_instance("prod-orders-9", SOURCE)
    with pytest.raises(StepFailed) as refused:
        delete(deleting(production, instance_identifiers=planned))
    first, second = str(refused.value).splitlines()
    assert first == (
        "Source cluster prod-orders is PARTLY deleted. Instances deleted: prod-orders-2; being deleted: prod-orders-1. "
        "Still there: prod-orders-9. None of its data is lost: the cluster's volume exists."
    )
    assert second.endswith("aws rds delete-db-instance --db-instance-identifier prod-orders-9 --region us-east-1")


def test_a_deletion_that_rds_refuses_after_the_instances_says_how_production_stands(
    rds: FakeRds, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    rds.refuse("DeleteDBCluster", "SnapshotQuotaExceeded", "Because.")
    with pytest.raises(StepFailed, match=r"^Source cluster prod-orders is WITHOUT INSTANCES.*\nDeleteDBCluster answ"):
        delete(deleting(production, instance_identifiers=["prod-orders-2", "prod-orders-1"]))


# Watching


def a_progress(cluster: dict[str, Any], **changes: Any) -> dict[str, Any]:
    known = {
        "cluster_identifier": SOURCE,
        "region": REGION,
        "cluster_resource_id": cluster["DbClusterResourceId"],
        "final_snapshot_identifier": None,
        "started_at": NOW.isoformat(),
        "answer": "wait",
        "wait_seconds": 120,
        "is_accepted": True,
    }
    return known | changes


def looking(progress: dict[str, Any], hours: float = 0.5) -> dict[str, Any]:
    return {"run": a_run(now=NOW + dt.timedelta(hours=hours)), "progress": progress}


@pytest.mark.parametrize("status", ["deleting", "available", "backing-up", "modifying", "deleted"])
def test_a_cluster_on_its_way_out_is_waited_for(production: dict[str, Any], status: str) -> None:
    production["Status"] = status
    answer = look(looking(a_progress(production)))
    assert (answer["answer"], answer["wait_seconds"]) == ("wait", 270)


def test_gone_is_gone_even_if_another_cluster_has_taken_the_name(production: dict[str, Any]) -> None:
    progress = a_progress(production)
    production["DbClusterResourceId"] = "cluster-SUCCESSOR"
    assert look(looking(progress))["answer"] == "done"


def test_a_deletion_that_was_skipped_needs_no_look(rds: FakeRds) -> None:
    progress = a_progress({"DbClusterResourceId": None}, answer="done", skipped="no cluster was created")
    assert look(looking(progress)) == {
        **progress,
        "started_at": "2026-03-10T03:00:00Z",
        "doing": "deleting",
        "is_accepted": True,
        "final_snapshot_arn": None,
        "doing_since": None,
        "event_at": None,
        "seen_at": None,
        "wait_key": "",
        "wait_expires_at": "0",
        "expected_end": [],
    }
    assert rds.operations() == []


@pytest.mark.parametrize("status", ["failed", "inaccessible-encryption-credentials"])
def test_a_cluster_that_will_never_go_stops_the_run(production: dict[str, Any], status: str) -> None:
    production["Status"] = status
    with pytest.raises(StepFailed, match=f"Cluster prod-orders is {status} 0.5 hours after its deletion began"):
        look(looking(a_progress(production)))


def test_a_broken_cluster_is_given_time_to_go(production: dict[str, Any]) -> None:
    """RDS deletes clusters that failed, too; what it says of them may lag."""
    production["Status"] = "failed"
    assert look(looking(a_progress(production), hours=0.1))["answer"] == "wait"


def test_a_deletion_past_its_deadline_stops_the_run(production: dict[str, Any]) -> None:
    production["Status"] = "deleting"
    with pytest.raises(StepFailed, match=r"is deleting 12.0 hours after its deletion began.*--region us-east-1"):
        look(looking(a_progress(production), hours=12))


# Cleaning up


def test_rule_1_cleaning_up_takes_away_what_this_operation_made(rds: FakeRds, restored: dict[str, Any]) -> None:
    answer = delete(cleaning_up())
    assert (answer["cluster_identifier"], answer["answer"], answer["skipped"]) == (TARGET, "wait", None)
    assert rds.changes() == ["DeleteDBInstance", "DeleteDBInstance", "DeleteDBCluster"]
    asked = rds.asked("DeleteDBCluster")
    assert (asked["SkipFinalSnapshot"], asked["DeleteAutomatedBackups"]) == (True, True)


def ending_a_drill(now: dt.datetime = NOW) -> DeleteTask:
    return DeleteTask(limits=LIMITS, run=a_run(now=now, cleaning_up=True), ends_drill=True)


def test_the_end_of_a_drill_is_known_after_its_cluster_is_forgotten(
    rds: FakeRds, clock: Clock, operation: OperationState
) -> None:
    rds.seconds = DELETION_SECONDS
    made = rds.add_cluster(TARGET, TagList=OWN_TAGS)
    rds.add_instance(FIRST, TARGET, TagList=OWN_TAGS)
    operation.remember(cluster_resource_id=made["DbClusterResourceId"], users_ready_at="2026-03-10T02:50:00.000Z")
    answer = delete(ending_a_drill())
    assert (answer["answer"], answer["skipped"]) == ("wait", None)
    begun = record().removed
    assert begun["ready_at"] == begun["began_at"] == "2026-03-10T03:00:00.000Z"
    assert delete(ending_a_drill())["answer"] == "wait", "a second call, whose cluster is going, has no other effect"
    assert record().removed == begun
    while answer["answer"] != "done":
        clock.now += dt.timedelta(minutes=1)
        answer = look({"run": msgspec.to_builtins(a_run(now=clock.now, cleaning_up=True)), "progress": answer})
    found = record()
    assert found.cluster_resource_id is None
    gone = found.removed
    assert (gone["resource_id"], gone["users_ready_at"]) == (made["DbClusterResourceId"], "2026-03-10T02:50:00.000Z")
    assert gone["gone_at"] > gone["began_at"]


def test_a_drill_whose_cluster_somebody_protects_has_failed(rds: FakeRds, operation: OperationState) -> None:
    made = rds.add_cluster(TARGET, TagList=OWN_TAGS, DeletionProtection=True)
    operation.remember(cluster_resource_id=made["DbClusterResourceId"])
    with pytest.raises(StepFailed, match=r"The drill's cluster was not deleted: .*deletion protection"):
        delete(ending_a_drill())
    assert record().removed == {}
    assert TARGET in rds.clusters


def test_a_drill_never_deletes_a_cluster_whose_door_was_opened(rds: FakeRds, operation: OperationState) -> None:
    made = rds.add_cluster(TARGET, TagList=OWN_TAGS)
    operation.remember(cluster_resource_id=made["DbClusterResourceId"], door_opening_at="2026-03-10T02:50:00.000Z")
    with pytest.raises(StepFailed, match="people may rely on it"):
        delete(ending_a_drill())
    assert TARGET in rds.clusters


def drilled(rds: FakeRds, operation: OperationState, **facts: Any) -> str:
    """A cluster that a drill has created."""
    made = rds.add_cluster(TARGET, TagList=OWN_TAGS)
    operation.remember(cluster_resource_id=made["DbClusterResourceId"], **facts)
    return str(made["DbClusterResourceId"])


REMOVED_BEFORE = {"resource_id": "cluster-BEFORE", "began_at": "2026-03-10T02:55:00.000Z", "ready_at": None}


def test_a_drill_is_not_over_because_an_earlier_cluster_of_it_was_deleted(
    rds: FakeRds, operation: OperationState
) -> None:
    drilled(rds, operation, removed=REMOVED_BEFORE)
    rds.clusters[TARGET]["DeletionProtection"] = True
    with pytest.raises(StepFailed, match="The drill's cluster was not deleted"):
        delete(ending_a_drill())
    assert TARGET in rds.clusters


def test_what_was_known_when_an_earlier_attempt_failed_is_not_the_proof_of_this_one(
    rds: FakeRds, operation: OperationState
) -> None:
    resource_id = drilled(rds, operation)
    operation.remember(removed={**REMOVED_BEFORE, "resource_id": resource_id}, verified_at="2026-03-10T02:58:00.000Z")
    delete(ending_a_drill())
    assert record().removed["ready_at"] == "2026-03-10T03:00:00.000Z"
    assert record().removed["verified_at"] == "2026-03-10T02:58:00.000Z"


def test_a_drill_whose_cluster_others_may_have_reached_is_not_deleted(rds: FakeRds, operation: OperationState) -> None:
    drilled(rds, operation)
    groups = rds.clusters[TARGET]["VpcSecurityGroups"]
    rds.clusters[TARGET]["VpcSecurityGroups"] = [*groups, {"VpcSecurityGroupId": "sg-0ther", "Status": "active"}]
    with pytest.raises(StepFailed, match="sg-0ther, and not only"):
        delete(ending_a_drill())
    assert TARGET in rds.clusters


def test_a_drill_whose_answer_was_lost_until_its_cluster_was_gone_is_still_seen_to_end(
    rds: FakeRds, operation: OperationState
) -> None:
    resource_id = drilled(rds, operation)
    delete(ending_a_drill())
    rds.clusters.pop(TARGET, None)
    answer = delete(ending_a_drill())
    assert (answer["answer"], answer["doing"]) == ("wait", "waiting-to-delete")
    later = NOW + dt.timedelta(seconds=answer["wait_seconds"])
    asked_again = {"run": msgspec.to_builtins(a_run(now=later, cleaning_up=True)), "progress": answer}
    assert look(asked_again)["answer"] == "advance"
    answer = delete(ending_a_drill(later))
    assert (answer["answer"], answer["cluster_resource_id"]) == ("wait", resource_id)
    look(asked_again | {"progress": answer})
    assert record().removed["gone_at"]


def test_a_clean_up_waits_while_rds_is_at_work_on_its_cluster(rds: FakeRds, restored: dict[str, Any]) -> None:
    """Such as creating it: a refused call would be retried for a quarter of an hour only."""
    restored["Status"] = "creating"
    progress = delete(cleaning_up())
    assert (progress["answer"], progress["doing"], rds.changes()) == ("wait", "waiting-to-delete", [])
    restored["Status"] = "available"
    assert look({"run": a_run(cleaning_up=True), "progress": progress})["answer"] == "advance"
    assert delete(cleaning_up())["doing"] == "deleting"


def test_a_clean_up_does_not_take_a_cluster_for_gone_that_one_look_misses(
    rds: FakeRds, restored: dict[str, Any]
) -> None:
    with out_of_sight(rds, TARGET):
        progress = delete(cleaning_up())
    assert (progress["answer"], progress["skipped"], progress["wait_seconds"]) == ("wait", None, 60)
    assert look({"run": a_run(cleaning_up=True), "progress": progress})["answer"] == "advance"
    assert (delete(cleaning_up())["doing"], record().unseen) == ("deleting", {})
    assert "DeleteDBCluster" in rds.changes()


def test_a_cluster_that_two_looks_miss_is_gone(rds: FakeRds, restored: dict[str, Any]) -> None:
    del rds.clusters[TARGET]
    delete(cleaning_up())
    answer = delete(cleaning_up(NOW + dt.timedelta(seconds=60)))
    assert (answer["answer"], answer["skipped"], rds.changes()) == ("done", f"{TARGET} is gone", [])


def test_a_cluster_that_somebody_has_renamed_is_kept_and_named(rds: FakeRds, restored: dict[str, Any]) -> None:
    rds.clusters["elsewhere"] = rds.clusters.pop(TARGET) | {"DBClusterIdentifier": "elsewhere"}
    skipped = f"somebody has renamed {TARGET} ({restored['DbClusterResourceId']}) to elsewhere"
    assert delete(cleaning_up())["skipped"] == skipped


def test_a_clean_up_leaves_aws_backup_its_continuous_backup(rds: FakeRds, restored: dict[str, Any]) -> None:
    """RDS would refuse to delete it, after the instances are gone."""
    restored["AwsBackupRecoveryPointArn"] = "arn:aws:backup:us-east-1:123456789012:recovery-point:continuous:x"
    delete(cleaning_up())
    assert rds.asked("DeleteDBCluster")["DeleteAutomatedBackups"] is False


def test_rule_1_cleaning_up_never_touches_the_source_even_if_the_plan_names_it(
    rds: FakeRds, restored: dict[str, Any], production: dict[str, Any]
) -> None:
    delete(
        DeleteTask(limits=LIMITS, run=a_run(cleaning_up=True), deletion=a_deletion(production["DbClusterResourceId"]))
    )
    assert rds.clusters[SOURCE]["Status"] == "available"
    assert rds.instances["prod-orders-1"]["DBInstanceStatus"] == "available"


@pytest.mark.parametrize(
    ("fact", "reason"),
    [
        ("door_opening_at", "people may rely on it"),
        ("source_deletion_at", "the only one left"),
    ],
)
def test_a_cluster_that_somebody_may_rely_on_is_never_cleaned_up(
    rds: FakeRds, operation: OperationState, restored: dict[str, Any], fact: str, reason: str
) -> None:
    operation.remember(**{fact: "2026-03-10T03:45:00.000Z"})
    answer = delete(cleaning_up())
    assert answer["answer"] == "done"
    assert reason in answer["skipped"]
    assert rds.changes() == []


def test_rule_1_a_cluster_that_isnt_ours_is_never_cleaned_up(rds: FakeRds) -> None:
    rds.add_cluster(TARGET)
    assert "is not tagged as this operation's" in delete(cleaning_up())["skipped"]
    assert rds.changes() == []


# Archiving: rule 2


def archiving(**changes: Any) -> ArchiveTask:
    known: dict[str, Any] = {"run": a_run(), "archive_snapshot": "delete", "limits": LIMITS, "copy": COPY}
    return ArchiveTask(**known | changes)


@pytest.fixture
def copied(rds: FakeRds, operation: OperationState) -> dict[str, Any]:
    rds.add_snapshot("prod-orders-tuesday")
    operation.remember(made_snapshots={"copy": COPY.arn})
    return rds.add_snapshot(COPY.identifier, TagList=OWN_TAGS)


def test_the_copy_that_this_operation_made_goes(rds: FakeRds, restored: dict[str, Any], copied: dict[str, Any]) -> None:
    assert archive(archiving())["deleted_snapshot_arn"] == COPY.arn
    assert list(rds.snapshots) == ["prod-orders-tuesday"]


def test_rule_2_the_snapshot_that_was_found_is_never_deleted(rds: FakeRds, restored: dict[str, Any]) -> None:
    rds.add_snapshot("prod-orders-tuesday")
    answer = archive(archiving(copy=None))
    assert answer["deleted_snapshot_arn"] is None
    assert answer["why"] == "the snapshot was restored directly, there is no copy"
    assert list(rds.snapshots) == ["prod-orders-tuesday"]


def test_rule_2_not_even_if_the_plan_names_it_as_the_copy(
    rds: FakeRds, restored: dict[str, Any], copied: dict[str, Any]
) -> None:
    found = rds.snapshots["prod-orders-tuesday"]
    found["TagList"] = OWN_TAGS
    plan = a_copy("prod-orders-tuesday")
    assert plan.arn == found["DBClusterSnapshotArn"]
    with pytest.raises(StepFailed, match=r"is not the copy that operation .* made.*It was left alone"):
        archive(archiving(copy=plan))
    assert rds.changes() == []


def test_rule_1_a_copy_without_our_tag_is_left_alone(
    rds: FakeRds, restored: dict[str, Any], copied: dict[str, Any]
) -> None:
    copied["TagList"] = []
    with pytest.raises(StepFailed, match="It was left alone"):
        archive(archiving())
    assert rds.changes() == []


def test_a_copy_is_kept_if_asked(rds: FakeRds, restored: dict[str, Any], copied: dict[str, Any]) -> None:
    assert "is kept, as asked" in archive(archiving(archive_snapshot="keep"))["why"]
    assert rds.changes() == []


@pytest.mark.parametrize(("status", "error"), [("failed", StepFailed), ("maintenance", TemporaryFailure)])
def test_the_copy_stays_until_the_restored_cluster_has_proved_itself(
    rds: FakeRds, restored: dict[str, Any], copied: dict[str, Any], status: str, error: type[Exception]
) -> None:
    restored["Status"] = status
    with pytest.raises(error):
        archive(archiving())
    assert rds.changes() == []


def test_cleaning_up_takes_the_copy_without_a_restored_cluster(rds: FakeRds, copied: dict[str, Any]) -> None:
    assert archive(archiving(run=a_run(cleaning_up=True)))["deleted_snapshot_arn"] == COPY.arn


def test_cleaning_up_finds_a_copy_whose_arn_could_not_be_written_down(rds: FakeRds) -> None:
    rds.add_snapshot(COPY.identifier, Status="copying", TagList=OWN_TAGS)
    assert archive(archiving(run=a_run(cleaning_up=True)))["deleted_snapshot_arn"] == COPY.arn


def test_rule_5_archiving_twice_is_as_good_as_once(
    rds: FakeRds, restored: dict[str, Any], copied: dict[str, Any]
) -> None:
    archive(archiving())
    assert "is gone already" in archive(archiving())["why"]


def test_rule_5_archiving_again_after_a_lost_answer_succeeds(
    rds: FakeRds, restored: dict[str, Any], copied: dict[str, Any]
) -> None:
    rds.lose_answer("DeleteDBClusterSnapshot")
    with pytest.raises(TemporaryFailure):
        archive(archiving())
    again = archive(archiving())
    assert (again["answer"], again["wait_seconds"]) == ("wait", 60)
    assert "is gone already" in archive(archiving(run=a_run(now=NOW + dt.timedelta(seconds=60))))["why"]


def test_a_copy_that_one_look_misses_is_deleted_all_the_same(
    rds: FakeRds, restored: dict[str, Any], copied: dict[str, Any]
) -> None:
    hidden = dict(rds.snapshots)
    rds.snapshots.clear()
    assert archive(archiving())["answer"] == "wait"
    rds.snapshots.update(hidden)
    assert archive(archiving(run=a_run(now=NOW + dt.timedelta(seconds=60))))["deleted_snapshot_arn"] == COPY.arn


def test_at_a_clean_up_a_copy_that_one_look_misses_stays_known_with_the_command_that_deletes_it(
    rds: FakeRds, restored: dict[str, Any], copied: dict[str, Any]
) -> None:
    rds.snapshots.clear()
    answer = archive(archiving(run=a_run(cleaning_up=True)))
    assert answer["answer"] == "done"
    assert answer["warnings"][0].endswith(
        f"delete-db-cluster-snapshot --db-cluster-snapshot-identifier {COPY.identifier} --region {REGION}"
    )
    assert (record().copied_snapshot_arn, record().copy_clean_up_at) == (COPY.arn, None)


def test_a_copy_that_rds_wont_delete_stops_the_run(
    rds: FakeRds, restored: dict[str, Any], copied: dict[str, Any]
) -> None:
    rds.refuse("DeleteDBClusterSnapshot", "InvalidDBClusterSnapshotStateFault", "Because.")
    with pytest.raises(StepFailed, match="DeleteDBClusterSnapshot answered InvalidDBClusterSnapshotStateFault"):
        archive(archiving())
