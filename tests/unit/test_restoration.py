"""Which action of a restore is due, and when it is finished."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.unit.fake_rds import FakeRds
from tests.unit.support import NOW, OPERATION, OWN_TAGS, REGION, TARGET, a_cluster_plan, a_record, some_instances
from utils.aurora_utils import Aurora
from utils.errors import StepFailed
from utils.payloads import RestoreProgress
from utils.restoration import Action, Situation, after_action, after_check, assess, outcome_of
from utils.state import OperationRecord

UNIT = 60
WRITER, FIRST_READER, SECOND_READER = "staging-orders-1", "staging-orders-2", "staging-orders-3"


@pytest.fixture
def cluster(rds: FakeRds) -> dict[str, Any]:
    return rds.add_cluster(TARGET, TagList=OWN_TAGS)


def situation(record: OperationRecord | None = None, instance_count: int = 3, **changes: Any) -> Situation:
    plan = a_cluster_plan(instances=some_instances(instance_count), **changes)
    return assess(plan, Aurora(REGION), record or a_record(), NOW)


def ours(cluster: dict[str, Any], **changes: Any) -> OperationRecord:
    return a_record(cluster_resource_id=cluster["DbClusterResourceId"], **changes)


PASSWORD_RESET: dict[str, Any] = {"password_reset_at": "2026-03-10T03:30:00.000Z"}


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
    assert [each.identifier for each in now.missing_instances] == [WRITER]


def test_while_the_writer_isnt_available_no_reader_is_due(rds: FakeRds, cluster: dict[str, Any]) -> None:
    rds.add_instance(WRITER, TARGET, DBInstanceStatus="creating")
    now = situation(ours(cluster))
    assert now.due is Action.WAIT
    assert now.waiting_for == "instance staging-orders-1 (creating)"


def test_behind_the_writer_all_missing_readers_are_due_together(rds: FakeRds, cluster: dict[str, Any]) -> None:
    rds.add_instance(WRITER, TARGET)
    missing = situation(ours(cluster)).missing_instances
    assert [each.identifier for each in missing] == [FIRST_READER, SECOND_READER]
    rds.add_instance(SECOND_READER, TARGET, DBInstanceStatus="creating")
    now = situation(ours(cluster))
    assert now.due is Action.CREATE_READERS
    assert [each.identifier for each in now.missing_instances] == [FIRST_READER]


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


# Who keeps the master login


MANAGED: dict[str, Any] = {"master_login": "rds_managed"}
INHERITED = "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!cluster-productions"
OURS = "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!cluster-ours"
HANDED_OVER: dict[str, Any] = {**PASSWORD_RESET, "inherited_secret_arn": INHERITED}


def test_a_login_that_rds_is_to_keep_is_handed_over_to_it(members: dict[str, Any]) -> None:
    assert situation(ours(members), **MANAGED).due is Action.MANAGE_MASTER_PASSWORD


def test_rule_9_a_secret_that_came_with_the_snapshot_is_never_taken_for_our_own(members: dict[str, Any]) -> None:
    members["MasterUserSecret"] = {"SecretArn": INHERITED, "SecretStatus": "active"}
    assert situation(ours(members), **MANAGED).due is Action.MANAGE_MASTER_PASSWORD
    now = situation(ours(members, **HANDED_OVER), **MANAGED)
    assert now.due is Action.WAIT
    assert now.waiting_for == "the master login's secret (not there yet)"


def test_a_secret_that_is_being_made_is_waited_for(members: dict[str, Any]) -> None:
    members["MasterUserSecret"] = {"SecretArn": OURS, "SecretStatus": "creating"}
    assert situation(ours(members, **HANDED_OVER), **MANAGED).waiting_for == "the master login's secret (creating)"
    members["MasterUserSecret"]["SecretStatus"] = "active"
    record = ours(members, **HANDED_OVER)
    now = situation(record, **MANAGED)
    assert now.due is Action.NOTHING
    outcome = outcome_of(a_cluster_plan(instances=some_instances(3), **MANAGED), now, record, REGION)
    assert outcome.master_secret_arn == OURS


def test_a_secret_that_rds_cant_make_is_for_a_person(members: dict[str, Any]) -> None:
    members["MasterUserSecret"] = {"SecretArn": OURS, "SecretStatus": "impaired"}
    with pytest.raises(StepFailed, match=r"is impaired. Look at its key's policy"):
        situation(ours(members, **HANDED_OVER), **MANAGED)


# What a restore doesn't take


LATER: dict[str, Any] = {"preferred_maintenance_window": "sun:05:00-sun:05:30"}
JUST_NOW, LONG_AGO = "2026-03-10T02:58:00.000Z", "2026-03-10T02:30:00.000Z"


@pytest.fixture
def as_rds_chose(members: dict[str, Any]) -> dict[str, Any]:
    members |= {"PreferredMaintenanceWindow": "tue:01:00-tue:01:30", "AutoMinorVersionUpgrade": True}
    return members


def test_what_a_restore_doesnt_take_is_changed_once_the_login_is_ours(as_rds_chose: dict[str, Any]) -> None:
    members = as_rds_chose
    assert situation(ours(members), **LATER).due is Action.RESET_MASTER_PASSWORD
    assert situation(ours(members, **PASSWORD_RESET), **LATER).due is Action.CHANGE_SETTINGS


@pytest.mark.parametrize(
    "wanted", [LATER, {"database_insights_mode": "advanced"}, {"auto_minor_version_upgrade": False}]
)
def test_each_setting_that_rds_chose_otherwise_leads_to_a_change(
    as_rds_chose: dict[str, Any], wanted: dict[str, Any]
) -> None:
    assert situation(ours(as_rds_chose, **PASSWORD_RESET), **wanted).due is Action.CHANGE_SETTINGS


def test_what_rds_chose_as_it_was_asked_for_needs_no_change(as_rds_chose: dict[str, Any]) -> None:
    as_chosen: dict[str, Any] = {"preferred_maintenance_window": "tue:01:00-tue:01:30"}
    assert situation(ours(as_rds_chose, **PASSWORD_RESET), **as_chosen).due is Action.NOTHING


def test_a_change_is_asked_for_once_and_waited_for_until_it_shows(as_rds_chose: dict[str, Any]) -> None:
    members = as_rds_chose
    asked = ours(members, **PASSWORD_RESET, settings_changed_at=JUST_NOW)
    assert situation(asked, **LATER).waiting_for == "the cluster's settings"
    members["PreferredMaintenanceWindow"] = "Sun:05:00-Sun:05:30"
    assert situation(asked, **LATER).due is Action.NOTHING


def test_a_change_that_never_shows_doesnt_hold_up_the_run(as_rds_chose: dict[str, Any]) -> None:
    asked = ours(as_rds_chose, **PASSWORD_RESET, settings_changed_at=LONG_AGO)
    assert situation(asked, **LATER).due is Action.NOTHING


def test_the_data_api_is_switched_on_at_the_end_and_waited_for(members: dict[str, Any]) -> None:
    members["HttpEndpointEnabled"] = False
    assert situation(ours(members, **PASSWORD_RESET), data_api=True).due is Action.ENABLE_DATA_API
    asked = ours(members, **PASSWORD_RESET, data_api_enabled_at=JUST_NOW)
    assert situation(asked, data_api=True).waiting_for == "the Data API"
    members["HttpEndpointEnabled"] = True
    assert situation(asked, data_api=True).due is Action.NOTHING


# What nobody may be let in with


@pytest.mark.parametrize(
    ("cluster_says", "instance_says", "told"),
    [
        (
            {"VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-0000000000000dead"}]},
            {},
            "RDS reports sg-0000000000000dead",
        ),
        ({"StorageEncrypted": False}, {}, "RDS reports no key of the account"),
        ({"StorageEncrypted": True, "KmsKeyId": "arn:aws:kms:us-east-1:1:key/other"}, {}, "RDS reports arn:aws:kms"),
        ({}, {"PubliclyAccessible": True}, "instance staging-orders-1 is publicly accessible"),
    ],
)
def test_before_anybody_gets_a_password_who_can_reach_the_data_and_its_key_have_to_be_as_asked(
    rds: FakeRds,
    members: dict[str, Any],
    cluster_says: dict[str, Any],
    instance_says: dict[str, Any],
    told: str,
) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/0d1f"
    members |= {"StorageEncrypted": True, "KmsKeyId": key} | cluster_says
    rds.instances[WRITER] |= instance_says
    with pytest.raises(StepFailed, match="Nobody is let in to cluster staging-orders") as failed:
        situation(ours(members), data_key_id=key)
    assert told in str(failed.value)


def test_a_key_may_have_been_given_by_its_id_or_by_an_alias(members: dict[str, Any]) -> None:
    members |= {"StorageEncrypted": True, "KmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/0d1f"}
    for given in ("0d1f", "alias/staging", "arn:aws:kms:us-east-1:123456789012:alias/staging"):
        assert situation(ours(members), data_key_id=given).due is Action.RESET_MASTER_PASSWORD


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
