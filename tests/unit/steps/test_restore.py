"""Which action of a restore is due, and when it is finished."""

from __future__ import annotations

import datetime as dt
from typing import Any, cast

import pytest
from msgspec.structs import replace

from tests.unit.fakes.rds import Clock, FakeRds, in_groups
from tests.unit.support import (
    DOOR,
    NOW,
    OPERATION,
    OWN_TAGS,
    REGION,
    SECURITY_GROUP,
    TARGET,
    a_cluster_plan,
    a_record,
    some_instances,
)
from utils.aurora_utils import Aurora
from utils.aurora_utils.resources import read_cluster, read_instance
from utils.contracts.payloads import RestoreProgress
from utils.contracts.plan import PlannedInstance
from utils.errors import CapacityShortage, StepFailed
from utils.state.operation import OperationRecord
from utils.state.unseen import APART
from utils.state.values import iso
from utils.steps.cluster_seen import ClusterSeen, RestoreAction, RestoreDue
from utils.steps.open import DEADLINE, after_opening, due_opening
from utils.steps.pace import Pace
from utils.steps.restore import assess, due_action
from utils.steps.restore_progress import Refusal, after_action, after_check, durations_seen

UNIT = 60
UNKNOWN = Pace(unit_seconds=UNIT)
WRITER, FIRST_READER, SECOND_READER = (each.identifier for each in some_instances(3))
ALL = f"{WRITER}, {FIRST_READER}, {SECOND_READER}"


@pytest.fixture
def cluster(rds: FakeRds) -> dict[str, Any]:
    return rds.add_cluster(TARGET, TagList=OWN_TAGS)


def due_now(record: OperationRecord | None = None, instance_count: int = 3, **changes: Any) -> RestoreDue:
    plan = a_cluster_plan(instances=some_instances(instance_count), **changes)
    return assess(plan, Aurora(REGION), record or a_record(), NOW)


def ours(cluster: dict[str, Any], **changes: Any) -> OperationRecord:
    return a_record(cluster_resource_id=cluster["DbClusterResourceId"], **changes)


PASSWORD_RESET: dict[str, Any] = {"password_reset_at": "2026-03-10T03:30:00.000Z"}


# The table of due actions


def observed(cluster_status: str | None, *statuses: str, **cluster_says: Any) -> ClusterSeen:
    """A cluster of this status with the planned instances of these, in their order; "-" for one that isn't there."""
    if cluster_status is None:
        return ClusterSeen(region=REGION)
    names = [WRITER, FIRST_READER, SECOND_READER]
    members = [(name, status) for name, status in zip(names, statuses, strict=False) if status != "-"]
    writer = cluster_says.pop("writer", members[0][0] if members else None)
    raw: dict[str, Any] = {
        **FakeRds(REGION, Clock()).add_cluster(TARGET, TagList=OWN_TAGS, Status=cluster_status),
        "DBClusterMembers": [{"DBInstanceIdentifier": name, "IsClusterWriter": name == writer} for name, _ in members],
        **cluster_says,
    }
    described = [FakeRds(REGION, Clock()).add_instance(name, TARGET, DBInstanceStatus=each) for name, each in members]
    return ClusterSeen(
        region=REGION,
        cluster=read_cluster(cast("Any", raw)),
        instances=[read_instance(cast("Any", each)) for each in described],
    )


ASKED = PASSWORD_RESET
READY: dict[str, Any] = {**ASKED, "users_ready_at": "2026-03-10T02:58:00.000Z", "users": {"endpoint": "e"}}
PENDING: dict[str, Any] = {"PendingModifiedValues": {"MasterUserPassword": "****"}}
OK = "available"


@pytest.mark.parametrize(
    ("what_exists", "known", "due", "waiting_for"),
    [
        (observed(None), {}, RestoreAction.CREATE_CLUSTER, "the cluster"),
        (observed("creating"), {}, RestoreAction.WAIT, "cluster staging-orders (creating)"),
        (observed("migrating"), {}, RestoreAction.WAIT, "cluster staging-orders (migrating)"),
        (observed("backing-up"), {}, RestoreAction.WAIT, "cluster staging-orders (backing-up)"),
        (observed(OK), {}, RestoreAction.MODIFY_CLUSTER, "the cluster's own settings"),
        # Asked for all at once, while the cluster is still being changed.
        (observed(OK, **PENDING), ASKED, RestoreAction.CREATE_INSTANCES, ALL),
        # RDS has refused them while it makes the change: the end of that is waited for.
        (observed("modifying"), ASKED, RestoreAction.WAIT, "cluster staging-orders (modifying)"),
        (observed("resetting-master-credentials"), ASKED, RestoreAction.WAIT, "cluster staging-orders (resetting"),
        (observed(OK, "creating", "-", "creating"), ASKED, RestoreAction.CREATE_INSTANCES, FIRST_READER),
        (observed(OK, "creating", OK, OK), ASKED, RestoreAction.WAIT, f"instance {WRITER} (creating)"),
        (observed(OK, "rebooting", OK, OK), ASKED, RestoreAction.WAIT, f"instance {WRITER} (rebooting)"),
        (observed(OK, "modifying", OK, OK), ASKED, RestoreAction.SET_UP_USERS, "the users"),
        (
            observed(OK, "creating", "creating", "creating", writer=None),
            ASKED,
            RestoreAction.WAIT,
            "a writer of cluster stag",
        ),
        # The users need the writer; readers may still come.
        (observed(OK, OK, "creating", "creating"), ASKED, RestoreAction.SET_UP_USERS, "the users"),
        (
            observed(OK, "configuring-log-exports", "creating", "-"),
            ASKED,
            RestoreAction.CREATE_INSTANCES,
            SECOND_READER,
        ),
        (observed(OK, "configuring-log-exports", "creating", OK), ASKED, RestoreAction.SET_UP_USERS, "the users"),
        # The door needs them all, whatever RDS configures after their creation.
        (observed(OK, OK, "creating", OK), READY, RestoreAction.WAIT, f"instance {FIRST_READER} (creating)"),
        (observed(OK, OK, "-", OK), READY, RestoreAction.CREATE_INSTANCES, FIRST_READER),
        (observed("modifying", OK, OK, OK), READY, RestoreAction.WAIT, "cluster staging-orders (modifying)"),
        (observed(OK, "modifying", OK, "configuring-log-exports"), READY, RestoreAction.NOTHING, "nothing"),
        (
            observed("resetting-master-credentials", OK, OK, OK),
            ASKED,
            RestoreAction.WAIT,
            "cluster staging-orders (resetting",
        ),
        (observed(OK, OK, OK, OK, **PENDING), ASKED, RestoreAction.WAIT, "changes of the cluster (MasterUserPassword)"),
        (
            observed(OK, OK, OK, OK, PendingModifiedValues={"IAMDatabaseAuthenticationEnabled": False}),
            ASKED,
            RestoreAction.WAIT,
            "changes of the cluster (IAMDatabaseAuthenticationEnabled)",
        ),
        (observed(OK, OK, OK, OK), ASKED, RestoreAction.SET_UP_USERS, "the users"),
        (observed(OK, OK, OK, OK), READY, RestoreAction.NOTHING, "nothing"),
        # One class and one tier: whoever leads is as good as the first one planned.
        (observed(OK, OK, OK, OK, writer=SECOND_READER), ASKED, RestoreAction.SET_UP_USERS, "the users"),
        # A resumed run whose login was never proved sets the password again, instances or not.
        (observed(OK, OK, OK, OK), {}, RestoreAction.MODIFY_CLUSTER, "the cluster's own settings"),
        (observed("modifying", OK, OK, OK), {}, RestoreAction.WAIT, "cluster staging-orders (modifying)"),
    ],
)
def test_what_exists_decides_which_action_is_due(
    what_exists: ClusterSeen, known: dict[str, Any], due: RestoreAction, waiting_for: str
) -> None:
    plan = a_cluster_plan(instances=some_instances(3))
    now = due_action(plan, what_exists, a_record(**known), NOW)
    assert now.action is due
    assert now.waiting_for.startswith(waiting_for)


@pytest.mark.parametrize(
    ("what_exists", "known", "all_up"),
    [
        (observed(OK, OK, OK, OK), ASKED, True),
        (observed(OK, "modifying", OK, "configuring-log-exports"), ASKED, True),
        (observed(OK, OK, OK, OK), READY, True),
        (observed(OK, OK, "creating", OK), ASKED, False),
        (observed(OK, OK, "rebooting", OK), ASKED, False),
        (observed(OK, OK, "creating", OK), READY, False),
        (observed(OK, OK, OK, OK), {}, False),
        (observed(None), {}, False),
    ],
)
def test_a_look_says_whether_every_instance_is_up(
    what_exists: ClusterSeen, known: dict[str, Any], all_up: bool
) -> None:
    now = due_action(a_cluster_plan(instances=some_instances(3)), what_exists, a_record(**known), NOW)
    assert now.all_up is all_up
    assert after_check(now, progress(), NOW, UNKNOWN, 1).all_up is all_up


def test_all_missing_instances_are_due_together_and_only_those(rds: FakeRds, cluster: dict[str, Any]) -> None:
    missing = due_now(ours(cluster, **ASKED)).missing_instances
    assert [each.identifier for each in missing] == [WRITER, FIRST_READER, SECOND_READER]
    rds.add_instance(SECOND_READER, TARGET, DBInstanceStatus="creating")
    missing = due_now(ours(cluster, **ASKED)).missing_instances
    assert [each.identifier for each in missing] == [WRITER, FIRST_READER]


@pytest.fixture
def members(rds: FakeRds, cluster: dict[str, Any]) -> dict[str, Any]:
    """The cluster with a writer and two readers, all available."""
    for name in (WRITER, FIRST_READER, SECOND_READER):
        rds.add_instance(name, TARGET, TagList=OWN_TAGS)
    return cluster


def test_rule_9_no_instance_is_due_before_the_master_password_was_replaced(cluster: dict[str, Any]) -> None:
    assert due_now(ours(cluster)).action is RestoreAction.MODIFY_CLUSTER


# Who leads


UNLIKE = [
    PlannedInstance(identifier=WRITER, db_instance_class="db.r6g.4xlarge", availability_zone=None, promotion_tier=1),
    PlannedInstance(
        identifier=FIRST_READER, db_instance_class="db.r6g.large", availability_zone=None, promotion_tier=1
    ),
]
OF_OTHER_TIERS = [
    PlannedInstance(identifier=WRITER, db_instance_class="db.r6g.large", availability_zone=None, promotion_tier=0),
    PlannedInstance(
        identifier=FIRST_READER, db_instance_class="db.r6g.large", availability_zone=None, promotion_tier=9
    ),
]
JUST_NOW, LONG_AGO = "2026-03-10T02:58:00.000Z", "2026-03-10T02:30:00.000Z"


@pytest.mark.parametrize("instances", [UNLIKE, OF_OTHER_TIERS])
@pytest.mark.parametrize(
    ("writer", "known", "due"),
    [
        (WRITER, {}, RestoreAction.SET_UP_USERS),
        (FIRST_READER, {}, RestoreAction.CHANGE_WRITER),
        (FIRST_READER, {"writer_changed_at": JUST_NOW}, RestoreAction.WAIT),
        (FIRST_READER, {"writer_changed_at": LONG_AGO}, RestoreAction.SET_UP_USERS),
    ],
)
def test_another_writer_than_planned_is_changed_once_where_class_or_tier_differ(
    instances: list[PlannedInstance], writer: str, known: dict[str, Any], due: RestoreAction
) -> None:
    plan = a_cluster_plan(instances=instances)
    now = due_action(plan, observed(OK, OK, OK, writer=writer), a_record(**ASKED, **known), NOW)
    assert now.action is due
    if due is not RestoreAction.SET_UP_USERS:
        assert now.waiting_for == f"{WRITER} as the writer (it is {FIRST_READER})"


# Who keeps the master login


MANAGED: dict[str, Any] = {"master_login": "rds_managed"}
INHERITED = "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!cluster-productions"
OURS = "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!cluster-ours"
HANDED_OVER: dict[str, Any] = {**PASSWORD_RESET, "inherited_secret_arn": INHERITED}


def test_a_secret_that_rds_keeps_isnt_waited_for_before_there_is_an_instance(cluster: dict[str, Any]) -> None:
    cluster["MasterUserSecret"] = {"SecretArn": OURS, "SecretStatus": "creating"}
    assert due_now(ours(cluster, **HANDED_OVER), **MANAGED).action is RestoreAction.CREATE_INSTANCES


def test_rule_9_a_secret_that_came_with_the_snapshot_is_never_taken_for_our_own(members: dict[str, Any]) -> None:
    members["MasterUserSecret"] = {"SecretArn": INHERITED, "SecretStatus": "active"}
    assert due_now(ours(members), **MANAGED).action is RestoreAction.MODIFY_CLUSTER
    now = due_now(ours(members, **HANDED_OVER), **MANAGED)
    assert now.action is RestoreAction.WAIT
    assert now.waiting_for == "the master login's secret (not there yet)"


def test_a_secret_that_is_being_made_is_waited_for(members: dict[str, Any]) -> None:
    members["MasterUserSecret"] = {"SecretArn": OURS, "SecretStatus": "creating"}
    assert due_now(ours(members, **HANDED_OVER), **MANAGED).waiting_for == "the master login's secret (creating)"
    members["MasterUserSecret"]["SecretStatus"] = "active"
    assert due_now(ours(members, **HANDED_OVER), **MANAGED).action is RestoreAction.SET_UP_USERS


def test_a_secret_that_rds_cant_make_is_for_a_person(members: dict[str, Any]) -> None:
    members["MasterUserSecret"] = {"SecretArn": OURS, "SecretStatus": "impaired"}
    with pytest.raises(StepFailed, match=r"is impaired. Look at its key's policy"):
        due_now(ours(members, **HANDED_OVER), **MANAGED)


def test_a_restore_neither_opens_the_door_nor_enables_the_data_api(members: dict[str, Any]) -> None:
    members["HttpEndpointEnabled"] = False
    assert due_now(ours(members, **READY), data_api=True).action is RestoreAction.NOTHING


# The door


STRANGER = "sg-0000000000000dead"
USERS: dict[str, Any] = {**PASSWORD_RESET, "users_ready_at": JUST_NOW, "users": {"endpoint": "e"}}
OPENING: dict[str, Any] = {**USERS, "door_opening_at": JUST_NOW}
OPEN: dict[str, Any] = {**OPENING, "door_open_at": JUST_NOW}
API: dict[str, Any] = {**OPEN, "data_api_enabled_at": JUST_NOW}
LONG_SINCE: dict[str, Any] = {**OPEN, "data_api_enabled_at": LONG_AGO}
WANTED = [SECURITY_GROUP]


def behind(cluster: list[dict[str, Any]], *members: list[dict[str, Any]], data_api: bool = False) -> ClusterSeen:
    """An available cluster in these groups, with two members in those."""
    seen = observed(OK, OK, OK, VpcSecurityGroups=cluster, HttpEndpointEnabled=data_api)
    instances = [
        FakeRds(REGION, Clock()).add_instance(name, TARGET, VpcSecurityGroups=groups)
        for name, groups in zip((WRITER, FIRST_READER), members, strict=True)
    ]
    return replace(seen, instances=[read_instance(cast("Any", each)) for each in instances])


SHUT = in_groups([DOOR])
ADDING = [*in_groups(WANTED, "adding"), *in_groups([DOOR], "removing")]
DONE = in_groups(WANTED)
ADMITTED = in_groups([*WANTED, DOOR])


@pytest.mark.parametrize(
    ("what_exists", "known", "due", "waiting_for"),
    [
        (behind(SHUT, SHUT, SHUT), USERS, RestoreAction.OPEN_DOOR, f"security groups {SECURITY_GROUP}"),
        # The answer was lost, or the step died before or after its call: what exists decides.
        (behind(SHUT, SHUT, SHUT), OPENING, RestoreAction.OPEN_DOOR, f"security groups {SECURITY_GROUP}"),
        (behind(ADDING, SHUT, SHUT), OPENING, RestoreAction.WAIT, "the security groups of staging-orders (sg-01"),
        (
            behind(in_groups(WANTED, "adding"), SHUT, SHUT),
            USERS,
            RestoreAction.WAIT,
            "the security groups of staging-or",
        ),
        (
            behind(DONE, SHUT, SHUT),
            OPENING,
            RestoreAction.WAIT,
            f"the security groups of {WRITER} ({DOOR}), {FIRST_READER} (",
        ),
        (
            behind(DONE, DONE, ADDING),
            OPENING,
            RestoreAction.WAIT,
            f"the security groups of {FIRST_READER} ({SECURITY_GROUP}",
        ),
        (
            behind(DONE, DONE, in_groups(WANTED, "adding")),
            USERS,
            RestoreAction.WAIT,
            f"the security groups of {FIRST_READER}",
        ),
        (behind(DONE, DONE, DONE), USERS, RestoreAction.RECORD_OPEN_DOOR, "the door"),
        # Beside the wanted groups the door's own is one too many.
        (behind(ADMITTED, ADMITTED, ADMITTED), USERS, RestoreAction.OPEN_DOOR, f"security groups {SECURITY_GROUP}"),
        (behind(DONE, DONE, DONE), OPEN, RestoreAction.ENABLE_DATA_API, "the Data API"),
        (behind(DONE, DONE, DONE), API, RestoreAction.WAIT, "the Data API"),
        (behind(DONE, DONE, DONE), LONG_SINCE, RestoreAction.NOTHING, "nothing"),
        (behind(DONE, DONE, DONE, data_api=True), API, RestoreAction.NOTHING, "nothing"),
        # Whom an open cluster's owner lets in beside is the owner's to say.
        (behind(in_groups([STRANGER]), DONE, DONE, data_api=True), OPEN, RestoreAction.NOTHING, "nothing"),
    ],
)
def test_what_exists_decides_how_far_the_door_is(
    what_exists: ClusterSeen, known: dict[str, Any], due: RestoreAction, waiting_for: str
) -> None:
    plan = a_cluster_plan(instances=some_instances(2), data_api=True)
    now = due_opening(plan, what_exists, a_record(**known), NOW)
    assert now.action is due
    assert now.waiting_for.startswith(waiting_for)


@pytest.mark.parametrize("status", ["modifying", "backing-up", "upgrading"])
def test_a_busy_cluster_is_opened_later(status: str) -> None:
    plan = a_cluster_plan(instances=some_instances(2))
    now = due_opening(plan, observed(status, OK, OK), a_record(**USERS), NOW)
    assert (now.action, now.waiting_for) == (RestoreAction.WAIT, f"cluster staging-orders ({status})")
    now = due_opening(plan, observed(OK, OK, "rebooting"), a_record(**USERS), NOW)
    assert (now.action, now.waiting_for) == (RestoreAction.WAIT, f"instance {FIRST_READER} (rebooting)")


def test_without_the_data_api_an_open_cluster_is_done() -> None:
    plan = a_cluster_plan(instances=some_instances(2))
    assert due_opening(plan, behind(DONE, DONE, DONE), a_record(**OPEN), NOW).action is RestoreAction.NOTHING


def test_a_cluster_that_is_gone_or_lost_an_instance_isnt_opened() -> None:
    plan = a_cluster_plan(instances=some_instances(2))
    missed = {each: iso(NOW - APART) for each in ("cluster-OURS", FIRST_READER)}
    ours = a_record(**USERS, cluster_resource_id="cluster-OURS", unseen=missed)
    with pytest.raises(StepFailed, match="was deleted by somebody else: RDS has shown it under no name since 2026-03"):
        due_opening(plan, observed(None), ours, NOW)
    with pytest.raises(StepFailed, match=f"has lost {FIRST_READER}.*resume this operation"):
        due_opening(plan, observed(OK, OK, "-"), a_record(**USERS, unseen=missed), NOW)


@pytest.mark.parametrize(
    ("exists", "unseen"), [(observed(None), ["cluster-OURS"]), (observed(OK, OK, "-"), [FIRST_READER])]
)
def test_what_one_look_misses_is_looked_for_again_before_a_door_opens(exists: ClusterSeen, unseen: list[str]) -> None:
    plan = a_cluster_plan(instances=some_instances(2))
    known = "cluster-OURS" if exists.cluster is None else None
    for first in ({}, dict.fromkeys(unseen, iso(NOW - APART / 2))):
        now = due_opening(plan, exists, a_record(**USERS, cluster_resource_id=known, unseen=first), NOW)
        assert (now.action, now.unseen) == (RestoreAction.WAIT, unseen)
        record = a_record(step_times={"snapshot-check": iso(NOW), "open-cluster": iso(NOW)})
        assert after_opening(plan, now, record, NOW, UNKNOWN).wait_seconds == 60


def test_rule_4_a_cluster_that_isnt_ours_isnt_opened() -> None:
    plan = a_cluster_plan(instances=some_instances(2))
    with pytest.raises(StepFailed, match="It was left alone"):
        due_opening(plan, behind(SHUT, SHUT, SHUT), a_record(**USERS, cluster_resource_id="cluster-OURS"), NOW)


@pytest.mark.parametrize("what_exists", [behind(in_groups([STRANGER, DOOR]), SHUT, SHUT), behind(SHUT, SHUT, ADDING)])
def test_before_users_are_set_up_any_other_group_lets_nobody_in(what_exists: ClusterSeen) -> None:
    plan = a_cluster_plan(instances=some_instances(2))
    with pytest.raises(StepFailed, match=f"Nobody is let in to cluster staging-orders.*security group {DOOR} alone"):
        due_action(plan, what_exists, a_record(**PASSWORD_RESET), NOW)


def test_without_any_group_on_record_nobody_is_let_in() -> None:
    plan = a_cluster_plan(instances=some_instances(2))
    with pytest.raises(StepFailed, match="RDS reports none"):
        due_action(plan, behind([], SHUT, SHUT), a_record(**PASSWORD_RESET), NOW)


@pytest.mark.parametrize("due", [due_action, due_opening])
def test_a_stranger_beside_the_door_stops_the_opening(due: Any) -> None:
    plan = a_cluster_plan(instances=some_instances(2))
    with pytest.raises(StepFailed, match=f"RDS reports {STRANGER}, {DOOR}"):
        due(plan, behind(in_groups([STRANGER, DOOR]), SHUT, SHUT), a_record(**USERS), NOW)


# Users that are to be set up once more, in a cluster that was open
AGAIN: dict[str, Any] = {**PASSWORD_RESET, "users_ready_at": JUST_NOW}


@pytest.mark.parametrize(
    ("what_exists", "known", "due"),
    [
        (behind(DONE, DONE, DONE), AGAIN, RestoreAction.ADMIT_PIPELINE),
        (behind(ADMITTED, DONE, DONE), AGAIN, RestoreAction.WAIT),
        (behind(ADMITTED, ADMITTED, in_groups([*WANTED, DOOR], "adding")), AGAIN, RestoreAction.WAIT),
        (behind(ADMITTED, ADMITTED, ADMITTED), AGAIN, RestoreAction.SET_UP_USERS),
        # Never opened, or nothing to set up: the pipeline is in already, or isn't needed.
        (behind(SHUT, SHUT, SHUT), AGAIN, RestoreAction.SET_UP_USERS),
        (behind(DONE, DONE, DONE), OPEN, RestoreAction.NOTHING),
    ],
)
def test_a_resumed_run_that_sets_up_users_again_is_let_in_beside_whoever_is(
    what_exists: ClusterSeen, known: dict[str, Any], due: RestoreAction
) -> None:
    plan = a_cluster_plan(instances=some_instances(2))
    assert due_action(plan, what_exists, a_record(**known), NOW).action is due


def test_where_five_groups_are_in_already_the_pipeline_is_not_let_in_beside_them() -> None:
    """RDS allows five groups (RDS User Guide, "Quotas and constraints"), and the door's would be the sixth."""
    wanted = [f"sg-0000000{number}" for number in range(5)]
    plan, five = a_cluster_plan(instances=some_instances(2), vpc_security_group_ids=wanted), in_groups(wanted)
    with pytest.raises(StepFailed) as refused:
        due_action(plan, behind(five, five, five), a_record(**AGAIN), NOW)
    assert "--vpc-security-group-ids sg-00000000 sg-00000001 sg-00000002 sg-00000003 --apply-imm" in str(refused.value)
    four = five[:4]
    assert due_action(plan, behind(four, four, four), a_record(**AGAIN), NOW).action is RestoreAction.ADMIT_PIPELINE


@pytest.mark.parametrize(
    ("known", "door"),
    [({}, "shut"), (PASSWORD_RESET, "shut"), (USERS, "opening"), (OPENING, "opening"), (OPEN, "open")],
)
def test_how_far_the_door_is_follows_from_what_is_recorded(known: dict[str, Any], door: str) -> None:
    assert a_record(**known).recorded_door == door


def test_past_its_deadline_an_opening_fails_and_says_what_it_waits_for() -> None:
    plan, now = a_cluster_plan(), RestoreDue(action=RestoreAction.WAIT, waiting_for="something")
    record, late = a_record(step_times={"snapshot-check": iso(NOW), "open-cluster": iso(NOW)}), NOW + DEADLINE
    assert after_opening(plan, now, record, late - dt.timedelta(seconds=1), UNKNOWN).answer == "wait"
    with pytest.raises(StepFailed, match="After 4 hours the opening of cluster staging-orders still waits for somethi"):
        after_opening(plan, now, record, late, UNKNOWN)
    opened = RestoreDue(action=RestoreAction.NOTHING, waiting_for="")
    assert after_opening(plan, opened, record, late, UNKNOWN).answer == "done"


# What nobody may be let in with


@pytest.mark.parametrize(
    ("cluster_says", "instance_says", "told"),
    [
        (
            {"VpcSecurityGroups": in_groups(["sg-0000000000000dead"])},
            {},
            "RDS reports sg-0000000000000dead",
        ),
        ({"StorageEncrypted": False}, {}, "RDS reports no key of the account"),
        ({"StorageEncrypted": True, "KmsKeyId": "arn:aws:kms:us-east-1:1:key/other"}, {}, "RDS reports arn:aws:kms"),
        ({}, {"PubliclyAccessible": True}, f"instance {WRITER} is publicly accessible"),
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
        due_now(ours(members), data_key_id=key)
    assert told in str(failed.value)


def test_a_key_may_have_been_given_by_its_id_or_by_an_alias(members: dict[str, Any]) -> None:
    members |= {"StorageEncrypted": True, "KmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/0d1f"}
    for given in ("0d1f", "alias/staging", "arn:aws:kms:us-east-1:123456789012:alias/staging"):
        assert due_now(ours(members), data_key_id=given).action is RestoreAction.MODIFY_CLUSTER


def test_with_everything_there_nothing_is_due(members: dict[str, Any]) -> None:
    assert due_now(ours(members, **READY)).action is RestoreAction.NOTHING


# What can never become usable


@pytest.mark.parametrize(
    "status",
    [
        *("failed", "incompatible-restore", "restore-failed", "incompatible-network", "deleting", "upgrade-failed"),
        "inaccessible-encryption-credentials-recoverable",
    ],
)
def test_a_broken_cluster_stops_the_restore(cluster: dict[str, Any], status: str) -> None:
    cluster["Status"] = status
    with pytest.raises(StepFailed, match=f"Cluster staging-orders is {status} and will not become available") as failed:
        due_now(ours(cluster))
    assert "aws rds describe-events --source-type db-cluster --source-identifier staging-orders" in str(failed.value)


@pytest.mark.parametrize("name", [WRITER, FIRST_READER])
@pytest.mark.parametrize(
    "status",
    ["failed", "incompatible-network", "incompatible-credentials", "modify-failed", "upgrade-failed", "storage-full"],
)
def test_a_broken_instance_stops_the_restore(rds: FakeRds, members: dict[str, Any], name: str, status: str) -> None:
    rds.instances[name]["DBInstanceStatus"] = status
    with pytest.raises(StepFailed, match=f"Instance {name} is {status} and will not become available"):
        due_now(ours(members))


def test_an_instance_that_found_no_room_keeps_what_exists(rds: FakeRds, members: dict[str, Any]) -> None:
    rds.instances[FIRST_READER]["DBInstanceStatus"] = "insufficient-capacity"
    with pytest.raises(CapacityShortage, match=rf"no capacity for instance {FIRST_READER}.* What exists is kept"):
        due_now(ours(members, **PASSWORD_RESET))


def test_a_drill_whose_instance_found_no_room_keeps_nothing(rds: FakeRds, members: dict[str, Any]) -> None:
    rds.instances[FIRST_READER]["DBInstanceStatus"] = "insufficient-capacity"
    with pytest.raises(StepFailed, match=rf"no capacity for instance {FIRST_READER}.* A drill keeps nothing for that"):
        due_now(ours(members, **PASSWORD_RESET, is_drill=True))


def test_an_instance_that_is_going_is_waited_for_and_made_anew(rds: FakeRds, members: dict[str, Any]) -> None:
    """Such as one that found no capacity: a resumed run may begin before it is gone."""
    rds.instances[WRITER]["DBInstanceStatus"] = "deleting"
    record = ours(members, **PASSWORD_RESET)
    assert due_now(record).waiting_for == f"instance {WRITER} (deleting)"
    del rds.instances[WRITER]
    assert due_now(record).action is RestoreAction.CREATE_INSTANCES


def test_a_cluster_that_somebody_deleted_is_not_restored_again(rds: FakeRds) -> None:
    gone = a_record(cluster_resource_id="cluster-OURS", unseen={"cluster-OURS": iso(NOW - APART)})
    with pytest.raises(StepFailed, match=r"Cluster staging-orders \(cluster-OURS\).*was deleted by somebody else"):
        due_now(gone)


def test_a_cluster_that_one_look_misses_is_looked_for_again(rds: FakeRds) -> None:
    for missed in ({}, {"cluster-OURS": iso(NOW - APART / 2)}):
        now = due_now(a_record(cluster_resource_id="cluster-OURS", unseen=missed))
        assert (now.action, now.unseen) == (RestoreAction.WAIT, ["cluster-OURS"])
        assert now.waiting_for == "cluster staging-orders (cluster-OURS), which RDS does not show"


def test_a_cluster_that_has_another_name_was_not_deleted(rds: FakeRds, cluster: dict[str, Any]) -> None:
    rds.clusters["elsewhere"] = rds.clusters.pop(TARGET) | {"DBClusterIdentifier": "elsewhere"}
    with pytest.raises(StepFailed, match=r"was renamed to elsewhere by somebody else.*--new-db-cluster-identifier st"):
        due_now(ours(cluster, unseen={cluster["DbClusterResourceId"]: iso(NOW - APART)}))


# Rule 1 and 4: whose cluster it is


def test_rule_4_a_cluster_without_our_tag_is_left_alone(cluster: dict[str, Any]) -> None:
    for tags in ([], [{"Key": "aurora-restore:operation-id", "Value": "another"}]):
        cluster["TagList"] = tags
        with pytest.raises(StepFailed, match=r"is not the one that operation.*It was left alone"):
            due_now()


def test_rule_1_a_cluster_with_our_tag_but_another_id_is_left_alone(cluster: dict[str, Any]) -> None:
    with pytest.raises(StepFailed, match=r"is not the one that operation .* made \(cluster-OURS\). It was left alone"):
        due_now(a_record(cluster_resource_id="cluster-OURS"))


def test_rule_5_a_cluster_whose_id_could_not_be_written_down_is_ours_by_its_tag(cluster: dict[str, Any]) -> None:
    assert due_now(a_record()).action is RestoreAction.MODIFY_CLUSTER


def test_rule_4_a_cluster_with_our_tag_that_nobody_asked_for_is_never_taken_over(cluster: dict[str, Any]) -> None:
    """While a copy goes on for hours, others can make one under the target's name, and tags can be set by them too."""
    with pytest.raises(StepFailed, match=r"is not the one that operation .* made \(none recorded\)"):
        due_now(a_record(cluster_asked_at=None))


# What the two steps answer

STARTED = dt.datetime(2026, 3, 10, 3, 0, 5, tzinfo=dt.UTC)


def progress(**changes: Any) -> RestoreProgress:
    known: dict[str, Any] = {
        "answer": "wait",
        "action": "create-instances",
        "waiting_for": "",
        "started_at": STARTED,
        "action_at": NOW,
        "wait_seconds": 60,
    }
    return RestoreProgress(**known | changes)


def check(
    due: RestoreAction, before: RestoreProgress, minutes: float = 10, deadline_hours: int = 12, pace: Pace = UNKNOWN
) -> RestoreProgress:
    now = RestoreDue(action=due, waiting_for="something")
    return after_check(now, before, NOW + dt.timedelta(minutes=minutes), pace, deadline_hours)


@pytest.mark.parametrize(
    "due",
    [
        RestoreAction.CREATE_CLUSTER,
        RestoreAction.MODIFY_CLUSTER,
        RestoreAction.CREATE_INSTANCES,
        RestoreAction.CHANGE_WRITER,
    ],
)
def test_a_due_action_is_answered_with_advance(due: RestoreAction) -> None:
    assert check(due, progress()).answer == "advance"


def test_work_in_progress_is_answered_with_wait_and_longer_and_longer_pauses() -> None:
    pauses = [check(RestoreAction.WAIT, progress(), minutes).wait_seconds for minutes in (3, 6, 20, 40)]
    assert check(RestoreAction.WAIT, progress()).answer == "wait"
    assert pauses == sorted(pauses)
    assert pauses[0] == round(0.15 * 3 * 60)
    assert pauses[-1] == 5 * UNIT


def test_nobody_looks_before_instances_can_be_there_nor_long_before_they_were_the_last_time() -> None:
    assert check(RestoreAction.WAIT, progress(), minutes=1).wait_seconds == 120
    learned = Pace(unit_seconds=UNIT, expected={"create-instances": 600})
    waited = [check(RestoreAction.WAIT, progress(), minutes, pace=learned).wait_seconds for minutes in (1, 8, 10, 12)]
    assert waited == [405, 30, 24, 24]


def test_a_phase_that_has_ended_is_recorded_and_one_that_goes_on_is_not() -> None:
    known, ten_minutes = a_record(took={"create-cluster": 1200.0}), NOW + dt.timedelta(minutes=10)

    def seen(due: RestoreAction) -> dict[str, float]:
        return durations_seen(RestoreDue(action=due, waiting_for="it"), progress(), known, ten_minutes)

    both = {"create-cluster": 1200.0, "create-instances": 585.0}
    assert seen(RestoreAction.SET_UP_USERS) == seen(RestoreAction.CHANGE_WRITER) == both
    assert seen(RestoreAction.WAIT) == {"create-cluster": 1200.0}
    assert seen(RestoreAction.CREATE_INSTANCES) == {"create-cluster": 1200.0}, "one that was refused is due again"
    assert seen(RestoreAction.NOTHING) == {"create-cluster": 1200.0}, "readers that come later change nothing of it"


def test_what_an_earlier_execution_began_is_not_measured() -> None:
    resumed = a_record(step_times={"snapshot-check": iso(NOW)})
    before = progress(action_at=NOW - dt.timedelta(days=3))
    assert durations_seen(RestoreDue(action=RestoreAction.SET_UP_USERS, waiting_for=""), before, resumed, NOW) == {}


@pytest.mark.parametrize("due", [RestoreAction.SET_UP_USERS, RestoreAction.NOTHING])
def test_it_is_done_when_the_users_can_be_set_up_and_when_every_instance_exists(due: RestoreAction) -> None:
    assert check(due, progress()).answer == "done"


@pytest.mark.parametrize("due", [RestoreAction.WAIT, RestoreAction.CREATE_INSTANCES])
def test_past_its_deadline_a_restore_fails_and_says_what_it_waited_for(due: RestoreAction) -> None:
    with pytest.raises(StepFailed, match="After 1 hours the restore still waits for something") as failed:
        check(due, progress(), minutes=61, deadline_hours=1)
    assert "RestoreDeadlineHours" in str(failed.value)


@pytest.mark.parametrize("due", [RestoreAction.CREATE_INSTANCES, RestoreAction.WAIT])
def test_past_its_deadline_a_shortage_keeps_what_exists_even_once_it_is_over(due: RestoreAction) -> None:
    now = RestoreDue(action=due, waiting_for="something")
    late = NOW + dt.timedelta(minutes=61)
    with pytest.raises(CapacityShortage, match=r"for lack of capacity for staging-orders-1\. What exists is kept\."):
        after_check(now, progress(), late, UNKNOWN, 1, "capacity for staging-orders-1")
    with pytest.raises(StepFailed, match=r"for lack of capacity for staging-orders-1\. A drill keeps nothing for that"):
        after_check(now, progress(), late, UNKNOWN, 1, "capacity for staging-orders-1", is_drill=True)


def test_what_rds_refuses_for_now_is_waited_for_and_due_again() -> None:
    due = RestoreDue(action=RestoreAction.CREATE_INSTANCES, waiting_for="it")
    busy = after_action(due, a_record(), NOW, UNKNOWN, Refusal(why="cluster staging-orders, which is busy"))
    assert (busy.answer, busy.waiting_for, busy.wait_seconds) == ("wait", "cluster staging-orders, which is busy", UNIT)
    short = after_action(due, a_record(), NOW, UNKNOWN, Refusal(why="capacity for it", shortage=True))
    assert (short.waiting_for, short.wait_seconds) == ("capacity for it", 5 * UNIT)
    other = after_action(
        RestoreDue(action=RestoreAction.CHANGE_WRITER, waiting_for="it"),
        a_record(),
        NOW,
        UNKNOWN,
        Refusal(why="it is busy"),
    )
    assert (other.action, other.wait_seconds) == ("wait", UNIT)


def test_instances_that_are_refused_wait_for_the_change_of_the_cluster_since_it_was_asked_for() -> None:
    due, later = RestoreDue(action=RestoreAction.CREATE_INSTANCES, waiting_for="it"), NOW + dt.timedelta(minutes=1)
    learned = Pace(unit_seconds=UNIT, expected={"modify-cluster": 200})
    record = a_record(password_reset_at=iso(NOW))
    answer = after_action(due, record, later, learned, Refusal(why="it is modifying"))
    assert (answer.action, answer.action_at, answer.wait_seconds) == ("modify-cluster", NOW, 95)


def test_instances_that_an_earlier_call_asked_for_are_waited_for_since_then() -> None:
    nothing, later = RestoreDue(action=RestoreAction.WAIT, waiting_for="it"), NOW + dt.timedelta(minutes=1)
    answer = after_action(nothing, a_record(password_reset_at=iso(NOW)), later, UNKNOWN)
    assert (answer.action, answer.action_at, answer.wait_seconds) == ("create-instances", NOW, 120)


def test_a_restore_that_is_done_has_no_deadline() -> None:
    assert check(RestoreAction.NOTHING, progress(), minutes=61, deadline_hours=1).answer == "done"


def test_the_deadline_counts_from_the_start_of_the_restore_not_from_its_last_action() -> None:
    with pytest.raises(StepFailed):
        check(RestoreAction.WAIT, progress(action_at=NOW + dt.timedelta(minutes=59)), minutes=61, deadline_hours=1)


def test_the_pause_behind_an_action_suits_what_it_started() -> None:
    record = a_record()
    pauses = {RestoreAction.CREATE_CLUSTER: 120, RestoreAction.CREATE_INSTANCES: 180, RestoreAction.CHANGE_WRITER: 20}
    quick = {RestoreAction.ADMIT_PIPELINE: 30, RestoreAction.OPEN_DOOR: 30, RestoreAction.ENABLE_DATA_API: 30}
    for due in RestoreAction:
        answer = after_action(RestoreDue(action=due, waiting_for="it"), record, NOW, UNKNOWN)
        pause = (pauses | quick).get(due, UNIT)
        assert (answer.answer, answer.action, answer.wait_seconds) == ("wait", due.label, pause)
        assert answer.started_at == STARTED
        assert answer.action_at == NOW


def test_an_operation_is_named_in_every_refusal_of_ownership(cluster: dict[str, Any]) -> None:
    cluster["TagList"] = []
    with pytest.raises(StepFailed, match=OPERATION):
        due_now()
