"""Which action of a restore is due, and when it is finished."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.unit.fake_rds import FakeRds
from tests.unit.support import NOW, OPERATION, OWN_TAGS, REGION, TARGET, a_cluster_plan, a_record
from utils.aurora_utils import Aurora
from utils.errors import StepFailed
from utils.payloads import RestoreProgress
from utils.restoration import Action, Situation, after_action, after_check, assess
from utils.state import OperationRecord

UNIT = 60
WRITER, FIRST_READER, SECOND_READER = "staging-orders-1", "staging-orders-2", "staging-orders-3"


@pytest.fixture
def cluster(rds: FakeRds) -> dict[str, Any]:
    return rds.add_cluster(TARGET, TagList=OWN_TAGS)


def situation(record: OperationRecord | None = None, instance_count: int = 3) -> Situation:
    return assess(a_cluster_plan(instance_count=instance_count), Aurora(REGION), record or a_record())


def ours(cluster: dict[str, Any], **changes: Any) -> OperationRecord:
    return a_record(cluster_resource_id=cluster["DbClusterResourceId"], **changes)


PASSWORD_RESET = {"password_reset_at": "2026-03-10T03:30:00.000Z"}


# The table of due actions


def test_without_a_cluster_the_cluster_is_due(rds: FakeRds) -> None:
    assert situation().due is Action.CREATE_CLUSTER


@pytest.mark.parametrize("status", ["creating", "migrating", "modifying", "backing-up"])
def test_while_the_cluster_isnt_available_nothing_is_due(cluster: dict[str, Any], status: str) -> None:
    cluster["Status"] = status
    now = situation(ours(cluster))
    assert now.due is Action.WAIT
    assert now.waiting_for == f"cluster staging-orders ({status})"


def test_in_an_available_cluster_the_writer_is_due_alone(cluster: dict[str, Any]) -> None:
    now = situation(ours(cluster))
    assert now.due is Action.CREATE_WRITER
    assert now.missing_instances == [WRITER]


def test_while_the_writer_isnt_available_no_reader_is_due(rds: FakeRds, cluster: dict[str, Any]) -> None:
    rds.add_instance(WRITER, TARGET, DBInstanceStatus="creating")
    now = situation(ours(cluster))
    assert now.due is Action.WAIT
    assert now.waiting_for == "instance staging-orders-1 (creating)"


def test_behind_the_writer_all_missing_readers_are_due_together(rds: FakeRds, cluster: dict[str, Any]) -> None:
    rds.add_instance(WRITER, TARGET)
    assert situation(ours(cluster)).missing_instances == [FIRST_READER, SECOND_READER]
    rds.add_instance(SECOND_READER, TARGET, DBInstanceStatus="creating")
    now = situation(ours(cluster))
    assert now.due is Action.CREATE_READERS
    assert now.missing_instances == [FIRST_READER]


def test_a_cluster_of_one_needs_no_reader(rds: FakeRds, cluster: dict[str, Any]) -> None:
    rds.add_instance(WRITER, TARGET)
    assert situation(ours(cluster), instance_count=1).due is Action.RESET_MASTER_PASSWORD


@pytest.fixture
def members(rds: FakeRds, cluster: dict[str, Any]) -> dict[str, Any]:
    """The cluster with a writer and two readers, all available."""
    for name in (WRITER, FIRST_READER, SECOND_READER):
        rds.add_instance(name, TARGET, TagList=OWN_TAGS)
    return cluster


def test_rule_9_with_all_instances_there_the_master_password_is_due(members: dict[str, Any]) -> None:
    assert situation(ours(members)).due is Action.RESET_MASTER_PASSWORD


def test_a_password_that_is_still_pending_is_waited_for(members: dict[str, Any]) -> None:
    members["PendingModifiedValues"] = {"MasterUserPassword": "****"}
    now = situation(ours(members, **PASSWORD_RESET))
    assert now.due is Action.WAIT
    assert now.waiting_for == "the master password"


def test_a_status_that_follows_the_password_is_waited_for(members: dict[str, Any]) -> None:
    members["Status"] = "resetting-master-credentials"
    assert situation(ours(members, **PASSWORD_RESET)).due is Action.WAIT


@pytest.mark.parametrize("name", [WRITER, SECOND_READER])
def test_an_instance_that_settles_again_is_waited_for(rds: FakeRds, members: dict[str, Any], name: str) -> None:
    rds.instances[name]["DBInstanceStatus"] = "configuring-log-exports"
    now = situation(ours(members, **PASSWORD_RESET))
    assert now.due is Action.WAIT
    assert name in now.waiting_for


def test_with_everything_there_nothing_is_due(members: dict[str, Any]) -> None:
    assert situation(ours(members, **PASSWORD_RESET)).due is Action.NOTHING


# What can never become usable


@pytest.mark.parametrize(
    "status", ["failed", "incompatible-restore", "deleting", "inaccessible-encryption-credentials-recoverable"]
)
def test_a_broken_cluster_stops_the_restore(cluster: dict[str, Any], status: str) -> None:
    cluster["Status"] = status
    with pytest.raises(StepFailed, match=f"Cluster staging-orders is {status} and won't become available") as failed:
        situation(ours(cluster))
    assert "aws rds describe-events --source-type db-cluster --source-identifier staging-orders" in str(failed.value)


@pytest.mark.parametrize("name", [WRITER, FIRST_READER])
@pytest.mark.parametrize("status", ["failed", "incompatible-network", "insufficient-capacity", "storage-full"])
def test_a_broken_instance_stops_the_restore(rds: FakeRds, members: dict[str, Any], name: str, status: str) -> None:
    rds.instances[name]["DBInstanceStatus"] = status
    with pytest.raises(StepFailed, match=f"Instance {name} is {status} and won't become available"):
        situation(ours(members))


def test_a_cluster_that_somebody_deleted_is_not_restored_again(rds: FakeRds) -> None:
    with pytest.raises(StepFailed, match=r"Cluster staging-orders \(cluster-OURS\).*was deleted by somebody else"):
        situation(a_record(cluster_resource_id="cluster-OURS"))


# Rule 1 and 4: whose cluster it is


def test_rule_4_a_cluster_without_our_tag_is_left_alone(cluster: dict[str, Any]) -> None:
    for tags in ([], [{"Key": "aurora-restore:operation-id", "Value": "another"}]):
        cluster["TagList"] = tags
        with pytest.raises(StepFailed, match=r"isn't the one that operation.*It was left alone"):
            situation()


def test_rule_1_a_cluster_with_our_tag_but_another_id_is_left_alone(cluster: dict[str, Any]) -> None:
    with pytest.raises(StepFailed, match=r"isn't the one that operation .* made \(cluster-OURS\). It was left alone"):
        situation(a_record(cluster_resource_id="cluster-OURS"))


def test_rule_5_a_cluster_whose_id_could_not_be_written_down_is_ours_by_its_tag(cluster: dict[str, Any]) -> None:
    assert situation(a_record()).due is Action.CREATE_WRITER


# What the two steps answer

STARTED = dt.datetime(2026, 3, 10, 3, 0, 5, tzinfo=dt.UTC)


def progress(**changes: Any) -> RestoreProgress:
    known: dict[str, Any] = {
        "answer": "wait",
        "action": "create-writer",
        "waiting_for": "",
        "started_at": STARTED,
        "action_at": NOW,
        "settled_checks": 0,
        "wait_seconds": 60,
    }
    return RestoreProgress(**known | changes)


def check(due: Action, before: RestoreProgress, minutes: float = 10, deadline_hours: int = 12) -> RestoreProgress:
    now = Situation(due=due, waiting_for="something")
    return after_check(now, before, NOW + dt.timedelta(minutes=minutes), UNIT, deadline_hours)


@pytest.mark.parametrize(
    "due", [Action.CREATE_CLUSTER, Action.CREATE_WRITER, Action.CREATE_READERS, Action.RESET_MASTER_PASSWORD]
)
def test_a_due_action_is_answered_with_advance(due: Action) -> None:
    assert check(due, progress()).answer == "advance"


def test_work_in_progress_is_answered_with_wait_and_longer_and_longer_pauses() -> None:
    pauses = [check(Action.WAIT, progress(), minutes).wait_seconds for minutes in (0, 1, 3, 9, 60)]
    assert check(Action.WAIT, progress()).answer == "wait"
    assert pauses == sorted(pauses)
    assert pauses[0] == UNIT / 2
    assert pauses[-1] == 5 * UNIT


def test_everything_settled_once_is_not_yet_done() -> None:
    first = check(Action.NOTHING, progress())
    assert (first.answer, first.settled_checks, first.wait_seconds) == ("wait", 1, UNIT)
    assert check(Action.NOTHING, first).answer == "done"


def test_settling_starts_anew_when_something_changes_in_between() -> None:
    once = check(Action.NOTHING, progress())
    disturbed = check(Action.WAIT, once)
    assert disturbed.settled_checks == 0
    assert check(Action.NOTHING, disturbed).answer == "wait"


@pytest.mark.parametrize("due", [Action.WAIT, Action.CREATE_WRITER])
def test_past_its_deadline_a_restore_fails_and_says_what_it_waited_for(due: Action) -> None:
    with pytest.raises(StepFailed, match="After 1 hours the restore still waits for something") as failed:
        check(due, progress(), minutes=61, deadline_hours=1)
    assert "RestoreDeadlineHours" in str(failed.value)


def test_a_restore_that_is_done_has_no_deadline() -> None:
    assert check(Action.NOTHING, progress(settled_checks=1), minutes=61, deadline_hours=1).answer == "done"


def test_the_deadline_counts_from_the_start_of_the_restore_not_from_its_last_action() -> None:
    with pytest.raises(StepFailed):
        check(Action.WAIT, progress(action_at=NOW + dt.timedelta(minutes=59)), minutes=61, deadline_hours=1)


def test_the_pause_behind_an_action_suits_what_it_started() -> None:
    record = a_record()
    work_of_minutes = (Action.CREATE_CLUSTER, Action.CREATE_WRITER, Action.CREATE_READERS)
    for due in Action:
        units = 4 if due in work_of_minutes else 1
        answer = after_action(Situation(due=due, waiting_for="it"), record, NOW, UNIT)
        assert (answer.answer, answer.action, answer.wait_seconds) == ("wait", due.label, units * UNIT)
        assert (answer.started_at, answer.settled_checks) == (STARTED, 0)
        assert answer.action_at == NOW


def test_an_operation_is_named_in_every_refusal_of_ownership(cluster: dict[str, Any]) -> None:
    cluster["TagList"] = []
    with pytest.raises(StepFailed, match=OPERATION):
        situation()
