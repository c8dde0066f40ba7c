"""aurora-restore-expire-clusters: a warning, the deletion under the lock, the secrets, and what each message says."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.sns.models import sns_backends

from tests.unit.fakes.machine import FakeMachine
from tests.unit.fakes.rds import Clock, FakeRds
from tests.unit.support import (
    ACCOUNT,
    AUDIT_TABLE,
    EXECUTION,
    NOW,
    OPERATION,
    OWN_TAGS,
    REGION,
    a_cluster_plan,
    a_plan,
    calling,
    out_of_sight,
)
from utils.aurora_utils.resources import EXPIRY_TAG, OPERATION_TAG
from utils.aws import client
from utils.contracts.plan import TargetSecrets
from utils.errors import StepFailed
from utils.logins.target_secrets import make_secrets
from utils.state.expiry import ExpiringCluster, ExpiryRegister, expiry_text
from utils.state.lock import TargetLock
from utils.state.operation import OperationState
from utils.state.values import iso

pytestmark = pytest.mark.usefixtures("account")

ask = calling("expire-clusters")
DRILL, MEMBER = "drill-orders", "drill-orders-0123456789ab-1"
HOUR = 3600
EXPIRES = NOW + dt.timedelta(hours=72)
NAMES = TargetSecrets(
    admin=f"aurora-restore/targets/{DRILL}/admin", application=f"aurora-restore/targets/{DRILL}/application"
)
SWEEP, LATER_SWEEP = (f"arn:aws:states:{REGION}:{ACCOUNT}:execution:aurora-restore-expiry:{name}" for name in "ab")


class Sweeps:
    """The expiry machine, its topic, and a restored cluster that expires after three days."""

    def __init__(self, rds: FakeRds, clock: Clock, machine: FakeMachine, topic: str) -> None:
        self.rds, self.clock, self.machine, self.topic = rds, clock, machine, topic

    def restored(self, name: str = DRILL, operation: str = OPERATION, **changes: Any) -> dict[str, Any]:
        """A cluster as an operation leaves it: open, tagged, recorded and registered."""
        tags = [{"Key": OPERATION_TAG, "Value": operation}]
        expiry = {"Key": EXPIRY_TAG, "Value": expiry_text(EXPIRES)}
        cluster = self.rds.add_cluster(name, TagList=[*tags, expiry], **changes)
        self.rds.add_instance(f"{name}-0123456789ab-1", name, TagList=tags)
        names = TargetSecrets(admin=None, application=f"aurora-restore/targets/{name}/application")
        plan = a_plan(
            operation_id=operation,
            target_cluster_id=name,
            cluster=a_cluster_plan(identifier=name, deletion_protection=changes.get("DeletionProtection", False)),
            target_secrets=NAMES if name == DRILL else names,
            expires_after_hours=72,
        )
        state = OperationState(operation, EXECUTION, NOW)
        state.open("snapshot-check", {}, plan, "running")
        make_secrets(plan, state)
        resource_id = cluster["DbClusterResourceId"]
        state.remember(cluster_resource_id=resource_id, cluster_expires_at=expiry_text(EXPIRES))
        state.close("succeeded")
        ExpiryRegister().add(
            ExpiringCluster(resource_id=resource_id, cluster_identifier=name, operation_id=operation, hours=72)
        )
        return cluster

    def look(self, progress: Any = None, execution: str = SWEEP, started_at: dt.datetime | None = None) -> Any:
        about = {"execution_id": execution, "execution_name": execution[-1], "now": self.clock.now}
        about["started_at"] = started_at or self.clock.now
        return ask({"execution": about, "progress": progress or {}})

    def sweep(self, execution: str = SWEEP) -> Any:
        """The state machine's loop."""
        began, progress = self.clock.now, self.look(execution=execution)
        for _ in range(100):
            if progress["answer"] == "done":
                return progress
            self.clock.pass_seconds(progress["wait_seconds"])
            progress = self.look(progress, execution, began)
        raise AssertionError("it never ended")

    def until(self, moment: dt.datetime) -> None:
        self.clock.now = moment

    def warn_and_expire(self) -> None:
        self.until(EXPIRES - dt.timedelta(hours=18))
        assert self.sweep()["warned"]
        self.until(EXPIRES)

    def subjects(self) -> list[str]:
        sent = sns_backends[ACCOUNT][REGION].topics[self.topic].sent_notifications
        return [str(each[2]).removeprefix("[aurora-restore] ").split(":")[0] for each in sent]

    def last_message(self) -> str:
        return str(sns_backends[ACCOUNT][REGION].topics[self.topic].sent_notifications[-1][1])

    def audit(self) -> list[str]:
        items = client("dynamodb").scan(TableName=AUDIT_TABLE)["Items"]
        found = [item for item in items if item["event_type"]["S"] == "expiry"]
        return [item["status"]["S"] for item in sorted(found, key=lambda item: item["timestamp"]["S"])]


@pytest.fixture
def sweeps(account: None, rds: FakeRds, clock: Clock, machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> Sweeps:
    topic = client("sns").create_topic(Name="aurora-restore")["TopicArn"]
    monkeypatch.setenv("TOPIC_ARN", topic)
    machine.statuses |= {SWEEP: "RUNNING", LATER_SWEEP: "RUNNING"}
    return Sweeps(rds, clock, machine, topic)


def secrets() -> list[str]:
    found = client("secretsmanager").list_secrets()["SecretList"]
    return sorted(each["Name"] for each in found if "/targets/" in each["Name"])


def test_where_nothing_expires_nothing_is_asked_of_rds(sweeps: Sweeps, rds: FakeRds) -> None:
    rds.add_cluster("prod-orders")
    assert sweeps.look()["answer"] == "done"
    assert rds.calls == []


def test_each_look_writes_down_what_exists_and_when_it_expires(sweeps: Sweeps, logs: Any) -> None:
    """The stack's dashboard makes its table of these lines."""
    sweeps.restored()
    sweeps.look()
    (line,) = [each for each in logs.entries() if each["message"] == "a cluster expires"]
    shown = {name: line[name] for name in ("cluster", "of_operation", "expires_at", "due")}
    assert shown == {
        "cluster": DRILL,
        "of_operation": OPERATION,
        "expires_at": expiry_text(EXPIRES),
        "due": "nothing",
    }


def test_an_hourly_look_costs_no_metric_and_a_failure_is_counted(
    sweeps: Sweeps, rds: FakeRds, capsys: pytest.CaptureFixture[str]
) -> None:
    sweeps.restored()
    sweeps.sweep()
    assert "AuroraRestore" not in capsys.readouterr().out
    rds.refuse("DescribeDBClusters", "AccessDenied", status=403)
    with pytest.raises(StepFailed):
        sweeps.look()
    assert "StepFailure" in capsys.readouterr().out


def test_it_is_announced_once_and_then_deleted_with_its_secrets(sweeps: Sweeps, rds: FakeRds) -> None:
    sweeps.restored()
    rds.seconds = {"DeleteDBInstance": 300, "DeleteDBCluster": 400}
    assert sweeps.sweep()["warned"] == []
    sweeps.until(EXPIRES - dt.timedelta(hours=18))
    assert sweeps.sweep()["warned"] == [DRILL]
    assert sweeps.sweep()["warned"] == []
    assert "2026-03-13 03:00 UTC" in sweeps.last_message()
    assert f"Key={EXPIRY_TAG},Value=2026-03-16T03:00:00Z --region {REGION}" in sweeps.last_message()
    assert rds.changes() == []
    sweeps.until(EXPIRES)
    assert sweeps.sweep()["deleted"] == [DRILL]
    assert (rds.clusters, rds.instances, secrets()) == ({}, {}, [])
    assert sweeps.subjects() == ["EXPIRES", "EXPIRED"]
    assert sweeps.audit() == ["warned", "deleting", "deleted"]
    assert ExpiryRegister().entries() == []
    (deleted,) = [given for name, given in rds.calls_that_change() if name == "DeleteDBCluster"]
    assert deleted == {"DBClusterIdentifier": DRILL, "SkipFinalSnapshot": True, "DeleteAutomatedBackups": True}


def test_secrets_that_are_not_tagged_as_the_targets_stay(sweeps: Sweeps) -> None:
    sweeps.restored()
    for tag in ("application", "aurora-restore:target"):
        client("secretsmanager").untag_resource(SecretId=str(NAMES.application), TagKeys=[tag])
    sweeps.warn_and_expire()
    sweeps.sweep()
    assert secrets() == [NAMES.application]
    assert f"Secret {NAMES.application} was not changed" in sweeps.last_message()


def test_protection_that_the_plan_gave_is_switched_off_first(sweeps: Sweeps, rds: FakeRds) -> None:
    sweeps.restored(DeletionProtection=True)
    rds.seconds = {"ModifyDBCluster": 60}
    sweeps.warn_and_expire()
    assert "deletion protection is switched off first" in sweeps.last_message()
    assert sweeps.sweep()["deleted"] == [DRILL]
    assert rds.changes()[0] == "ModifyDBCluster"
    assert rds.calls_that_change()[0][1] == {
        "DBClusterIdentifier": DRILL, "DeletionProtection": False, "ApplyImmediately": True,
    }  # fmt: skip


def test_what_is_kept_is_reported_once_and_fails_nothing(sweeps: Sweeps, rds: FakeRds) -> None:
    cluster = sweeps.restored()
    sweeps.warn_and_expire()
    cluster["DeletionProtection"] = True
    for _ in range(3):
        assert sweeps.sweep()["kept"] == [DRILL]
    assert sweeps.subjects() == ["EXPIRES", "KEPT"]
    assert "NOT deleted: it has deletion protection, which" in sweeps.last_message()
    cluster["DeletionProtection"] = False
    assert sweeps.sweep()["deleted"] == [DRILL]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Status": "stopped"}, "RDS starts a stopped cluster after seven days, and then it is deleted."),
        ({"DeletionProtection": True}, "If it is to be kept for good, nothing more is needed."),
    ],
)
def test_a_reason_that_passes_does_not_keep_a_cluster_for_good(
    sweeps: Sweeps, rds: FakeRds, changes: dict[str, Any], said: str
) -> None:
    cluster = sweeps.restored()
    sweeps.warn_and_expire()
    cluster.update(changes)
    assert sweeps.sweep()["kept"] == [DRILL]
    message = sweeps.last_message()
    assert said in message
    assert ("aws rds remove-tags-from-resource" in message) is ("stopped" in changes.values())


def test_what_is_stopped_and_protected_is_not_said_to_go_once_it_is_started(sweeps: Sweeps) -> None:
    cluster = sweeps.restored()
    sweeps.warn_and_expire()
    cluster["Status"] = "stopped"
    cluster["TagList"].append({"Key": "aurora-restore:protected", "Value": "true"})
    assert sweeps.sweep()["kept"] == [DRILL]
    assert "is protected by the tag" in sweeps.last_message()
    assert "start-db-cluster" not in sweeps.last_message()


def test_a_cluster_that_has_lost_its_tags_is_reported_and_never_deleted(sweeps: Sweeps, rds: FakeRds) -> None:
    cluster = sweeps.restored()
    sweeps.warn_and_expire()
    cluster["TagList"] = []
    assert sweeps.sweep()["kept"] == [DRILL]
    assert rds.changes() == []
    assert "is not tagged as this operation's" in sweeps.last_message()


def test_a_strangers_cluster_with_forged_tags_is_not_even_looked_at(sweeps: Sweeps, rds: FakeRds) -> None:
    ours = sweeps.restored()
    stranger = rds.add_cluster("prod-payroll", TagList=list(ours["TagList"]))
    sweeps.warn_and_expire()
    sweeps.sweep()
    assert rds.clusters == {"prod-payroll": stranger}


def test_a_newer_cluster_of_the_name_survives_with_its_secrets(sweeps: Sweeps, rds: FakeRds) -> None:
    """The expired one was deleted by hand, and another operation has restored under its name since."""
    sweeps.restored()
    sweeps.warn_and_expire()
    del rds.clusters[DRILL], rds.instances[MEMBER]
    newer = rds.add_cluster(DRILL, TagList=[{"Key": OPERATION_TAG, "Value": "newer"}])
    assert sweeps.sweep()["deleted"] == []
    assert rds.clusters == {DRILL: newer}
    assert secrets() == [NAMES.admin, NAMES.application]
    (entry,) = ExpiryRegister().entries()
    assert entry.gone_at is not None, "one look proves nothing"
    sweeps.clock.pass_seconds(3600)
    sweeps.sweep()
    assert ExpiryRegister().entries() == []
    assert sweeps.audit()[-1] == "gone"


def test_a_cluster_that_one_sweep_misses_expires_all_the_same(sweeps: Sweeps, rds: FakeRds) -> None:
    sweeps.restored()
    with out_of_sight(rds, DRILL):
        sweeps.sweep()
    sweeps.warn_and_expire()
    (entry,) = ExpiryRegister().entries()
    assert entry.gone_at is None
    assert sweeps.sweep()["deleted"] == [DRILL]


def test_a_deletion_that_was_refused_is_not_taken_for_done_because_one_look_misses_the_cluster(
    sweeps: Sweeps, rds: FakeRds
) -> None:
    sweeps.restored()
    sweeps.warn_and_expire()
    rds.refuse("DeleteDBCluster", "InvalidDBClusterStateFault", "It is busy.")
    began = sweeps.clock.now
    progress = sweeps.look()
    sweeps.clock.pass_seconds(30)
    with out_of_sight(rds, DRILL):
        progress = sweeps.look(progress, started_at=began)
    assert (progress["waiting_for"], progress["deleted"]) == ([DRILL], [])
    assert secrets() == [NAMES.admin, NAMES.application]
    sweeps.clock.pass_seconds(60)
    while progress["answer"] == "wait":
        progress = sweeps.look(progress, started_at=began)
        sweeps.clock.pass_seconds(60)
    assert (progress["deleted"], rds.clusters, secrets()) == ([DRILL], {}, [])


@pytest.mark.parametrize("missed", ["first", "second"])
def test_the_secrets_of_a_newer_cluster_stay_whichever_look_misses_it(
    missed: str, sweeps: Sweeps, rds: FakeRds
) -> None:
    sweeps.restored()
    sweeps.warn_and_expire()
    progress, began = sweeps.look(), sweeps.clock.now
    rds.clusters.clear()
    rds.instances.clear()
    for look in ("first", "second"):
        sweeps.clock.pass_seconds(60)
        if look != missed:
            rds.add_cluster(DRILL, TagList=[{"Key": OPERATION_TAG, "Value": "newer"}])
        progress = sweeps.look(progress, started_at=began)
        rds.clusters.clear()
    assert progress["deleted"] == [DRILL]
    assert secrets() == [NAMES.admin, NAMES.application]


def test_secrets_of_a_newer_cluster_stay_when_the_older_ones_end_is_only_noticed_later(
    sweeps: Sweeps, rds: FakeRds
) -> None:
    cluster = sweeps.restored()
    sweeps.warn_and_expire()
    sweeps.look()
    ExpiryRegister().note(cluster["DbClusterResourceId"], deletion_began_at=iso(EXPIRES))
    rds.add_cluster(DRILL, TagList=[{"Key": OPERATION_TAG, "Value": "newer"}])
    assert sweeps.sweep()["deleted"] == [DRILL]
    assert secrets() == [NAMES.admin, NAMES.application]
    assert "there is a new cluster of that name" in sweeps.last_message()


def test_while_another_execution_works_on_the_target_it_stays(sweeps: Sweeps, rds: FakeRds) -> None:
    sweeps.restored()
    sweeps.warn_and_expire()
    lock = TargetLock(DRILL, "newer", EXECUTION)
    assert lock.take(sweeps.clock.now) is None
    assert sweeps.sweep()["deleted"] == []
    assert rds.changes() == []
    lock.release(sweeps.clock.now)
    assert sweeps.sweep()["deleted"] == [DRILL]
    assert TargetLock(DRILL, "next", "arn:aws:states:us-east-1:1:execution:m:n").take(sweeps.clock.now) is None


def test_what_was_extended_before_the_lock_was_held_is_read_again(
    sweeps: Sweeps, rds: FakeRds, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = sweeps.restored()
    sweeps.warn_and_expire()
    claim = TargetLock.claim

    def extended_meanwhile(lock: TargetLock, now: dt.datetime) -> Any:
        later = {"Key": EXPIRY_TAG, "Value": expiry_text(EXPIRES + dt.timedelta(hours=72))}
        cluster["TagList"] = [*OWN_TAGS, later]
        return claim(lock, now)

    monkeypatch.setattr(TargetLock, "claim", extended_meanwhile)
    assert sweeps.sweep()["deleted"] == []
    assert rds.changes() == []


def test_what_is_extended_while_its_protection_is_switched_off_stays_and_its_lock_is_free(
    sweeps: Sweeps, rds: FakeRds
) -> None:
    cluster = sweeps.restored(DeletionProtection=True)
    rds.seconds = {"ModifyDBCluster": 60}
    sweeps.warn_and_expire()
    began, progress = sweeps.clock.now, sweeps.look()
    assert progress["waiting_for"] == [DRILL]
    cluster["TagList"] = [*OWN_TAGS, {"Key": EXPIRY_TAG, "Value": expiry_text(EXPIRES + dt.timedelta(hours=72))}]
    sweeps.clock.pass_seconds(60)
    assert sweeps.look(progress, started_at=began)["answer"] == "done"
    assert TargetLock(DRILL, "newer", EXECUTION).take(sweeps.clock.now) is None
    assert rds.changes() == ["ModifyDBCluster"]


@pytest.mark.parametrize("operation", ["DeleteDBInstance", "DeleteDBCluster"])
def test_a_sweep_that_died_half_way_is_continued_by_the_next(sweeps: Sweeps, rds: FakeRds, operation: str) -> None:
    sweeps.restored()
    rds.seconds = {"DeleteDBInstance": 300, "DeleteDBCluster": 400}
    sweeps.warn_and_expire()
    rds.lose_answer(operation)
    sweeps.look()
    sweeps.clock.pass_seconds(HOUR)
    # The first one still has the lock, until Step Functions says that it has ended.
    assert sweeps.sweep(LATER_SWEEP)["deleted"] == []
    sweeps.machine.statuses[SWEEP] = "ABORTED"
    assert sweeps.sweep(LATER_SWEEP)["deleted"] == [DRILL]
    assert (rds.clusters, secrets()) == ({}, [])


def test_one_that_cannot_be_deleted_keeps_none_of_the_others_and_fails_the_sweep(sweeps: Sweeps, rds: FakeRds) -> None:
    sweeps.restored("target-a", "operation-a")
    sweeps.restored("target-b", "operation-b")
    sweeps.until(EXPIRES - dt.timedelta(hours=18))
    assert sweeps.sweep()["warned"] == ["target-a", "target-b"]
    sweeps.until(EXPIRES)
    rds.refuse("DeleteDBInstance", "AccessDenied", "not authorized", 403)
    with pytest.raises(StepFailed, match=r"^target-a: DeleteDBInstance is not allowed"):
        sweeps.sweep()
    assert list(rds.clusters) == ["target-a"]
    assert sorted(sweeps.subjects()) == ["EXPIRED", "EXPIRES", "EXPIRES", "FAILED"]
    # It is tried again, and reported again only after a day.
    rds.refuse("DeleteDBInstance", "AccessDenied", "not authorized", 403)
    with pytest.raises(StepFailed):
        sweeps.sweep()
    assert sweeps.subjects().count("FAILED") == 1
    assert sweeps.sweep()["deleted"] == ["target-a"]


def test_a_deletion_that_never_ends_fails_after_its_deadline(sweeps: Sweeps, rds: FakeRds) -> None:
    cluster = sweeps.restored()
    rds.seconds = {"DeleteDBInstance": 300, "DeleteDBCluster": 1_000_000}
    sweeps.warn_and_expire()
    with pytest.raises(StepFailed, match="still deleting"):
        sweeps.sweep()
    assert cluster["Status"] == "deleting"
    assert sweeps.subjects() == ["EXPIRES", "FAILED"]


def test_a_topic_that_is_gone_keeps_nothing_from_being_deleted_and_fails_the_sweep(
    sweeps: Sweeps, rds: FakeRds
) -> None:
    sweeps.restored()
    sweeps.warn_and_expire()
    client("sns").delete_topic(TopicArn=sweeps.topic)
    with pytest.raises(StepFailed, match=f"{DRILL}: Publish answered NotFound"):
        sweeps.sweep()
    assert rds.clusters == {}


def test_a_state_table_that_cannot_be_read_is_no_reason_to_delete(sweeps: Sweeps, rds: FakeRds) -> None:
    sweeps.restored()
    sweeps.warn_and_expire()
    client("dynamodb").delete_table(TableName=AUDIT_TABLE.replace("Audit", "State"))
    with pytest.raises((StepFailed, ClientError)):
        sweeps.look()
    assert rds.changes() == []
