"""A snapshot's whole way out of another account: planned, taken call by call, and taken back, whatever fails."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.fakes.groups import FakeKeys
from tests.unit.fakes.rds import Clock, FakeRds
from tests.unit.fakes.sts import FakeSts
from tests.unit.support import (
    ACCOUNT,
    AUDIT_TABLE,
    DEFAULTS,
    EXECUTION,
    KEY_ID,
    LIMITS,
    NOW,
    OPERATION,
    OWNER,
    REGION,
    SOURCE_REGION,
    STATE_TABLE,
    TARGET,
    a_run,
    an_execution,
    calling,
)
from utils.aurora_utils import Aurora
from utils.aurora_utils.source_account import _role, open_source, through_role
from utils.aurora_utils.source_sessions import planning_session
from utils.aws import client
from utils.contracts.payloads import ArchiveTask, CopyTask
from utils.contracts.plan import Plan
from utils.contracts.route import SnapshotCopy
from utils.errors import RequestRefused, StepFailed
from utils.planning.restore import plan_restore
from utils.planning.snapshot_place import source_account, source_region
from utils.request.reading import read_request
from utils.state.operation import OperationState
from utils.steps.copy_calls import SEEN_WITHIN

pytestmark = pytest.mark.usefixtures("surroundings")

start, look, archive = calling("copy-snapshot"), calling("check-copy-status"), calling("archive-snapshot")
MOST_LOOKS = 500
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{KEY_ID}"
SHAREABLE = f"arn:aws:kms:{REGION}:{OWNER}:key/shareable"
THEIR_KEY = f"arn:aws:kms:{REGION}:{OWNER}:key/{KEY_ID}"
UNDER_THEIR_KEY: dict[str, Any] = {"StorageEncryptionType": "sse-kms", "StorageEncrypted": True, "KmsKeyId": THEIR_KEY}


def plan_of(**raw: Any) -> Plan:
    request = read_request({"source_account_id": OWNER, "kms_key_id": KEY, **raw}, DEFAULTS)
    account, region = source_account(request, ACCOUNT), source_region(request, REGION)
    source = open_source(account, region, EXECUTION, OPERATION, NOW)
    return plan_restore(request, OPERATION, an_execution(), source, Aurora(REGION), LIMITS)


def refusal_of(**raw: Any) -> str:
    with pytest.raises(RequestRefused) as refused:
        plan_of(**raw)
    return str(refused.value)


@pytest.fixture
def snapshot(their_rds: FakeRds, their_keys: FakeKeys, keys: FakeKeys, rds: FakeRds) -> dict[str, Any]:
    """A manual one under a key that admits us."""
    keys.admitted = {KEY_ID}
    return their_rds.add_snapshot("tuesday", **UNDER_THEIR_KEY)


@pytest.fixture
def automated(their_rds: FakeRds, snapshot: dict[str, Any]) -> dict[str, Any]:
    del their_rds.snapshots["tuesday"]
    return their_rds.add_snapshot("rds:tuesday", **UNDER_THEIR_KEY)


def opened(plan: Plan) -> OperationState:
    state = OperationState(OPERATION, EXECUTION, NOW)
    state.open("snapshot-check", {}, plan, "running")
    return state


def take_the_route(plan: Plan, clock: Clock, before: Callable[[], None] = lambda: None) -> list[str]:
    """As the state machine does; the last action of each call of the step, in their order."""
    actions: list[str] = []
    progress: dict[str, Any] = {"answer": "advance"}
    for _ in range(MOST_LOOKS):
        if progress["answer"] == "advance":
            progress = start(CopyTask(limits=LIMITS, run=a_run(now=clock.now), copy=copy_of(plan)))
            actions.append(progress["action"])
            if progress["answer"] == "done":
                return actions
        clock.pass_seconds(progress["wait_seconds"])
        before()
        progress = look({"run": a_run(now=clock.now), "copy": copy_of(plan), "progress": progress})
        if progress["answer"] == "done":
            return actions
    raise AssertionError(f"it is never done: {actions[-20:]}")


def copy_of(plan: Plan) -> SnapshotCopy:
    assert plan.copy is not None
    return plan.copy


def archiving(plan: Plan, **changes: Any) -> ArchiveTask:
    return ArchiveTask(
        run=a_run(cleaning_up=True, **changes), archive_snapshot="delete", limits=LIMITS, copy=copy_of(plan)
    )


def audited() -> list[tuple[str, str]]:
    items = client("dynamodb").scan(TableName=AUDIT_TABLE)["Items"]
    events = [(item["event_type"]["S"], item["status"]["S"]) for item in items]
    return [each for each in events if each[0] not in ("copy-snapshot", "check-copy-status", "archive-snapshot")]


# The whole way


def test_a_manual_snapshot_is_shared_copied_and_unshared(
    snapshot: dict[str, Any], rds: FakeRds, their_rds: FakeRds, clock: Clock
) -> None:
    plan = plan_of()
    state = opened(plan)
    rds.seconds = {"CopyDBClusterSnapshot": 3600}
    assert take_the_route(plan, clock) == ["copy", "unshare"]
    assert their_rds.shared_with["tuesday"] == set()
    assert list(their_rds.snapshots) == ["tuesday"], "the snapshot that was found stays"
    assert list(rds.snapshots) == [copy_of(plan).identifier]
    assert rds.asked("CopyDBClusterSnapshot")["KmsKeyId"] == KEY
    assert sorted(audited()) == [("share-snapshot", "done"), ("unshare-snapshot", "done")]
    record = state.recall()
    assert record is not None
    assert record.copied_snapshot_arn == copy_of(plan).arn
    assert set(record.route_times) == {"share_begun", "share", "copy_made", "unshare"}


def test_an_automated_snapshot_is_copied_there_first_and_that_copy_removed_again(
    automated: dict[str, Any], rds: FakeRds, their_rds: FakeRds, clock: Clock
) -> None:
    plan = plan_of()
    state = opened(plan)
    rds.seconds = their_rds.seconds = {"CopyDBClusterSnapshot": 3600}
    assert take_the_route(plan, clock) == ["copy_at_owner", "copy", "remove_at_owner"]
    assert list(their_rds.snapshots) == ["rds:tuesday"]
    record = state.recall()
    assert record is not None
    assert record.made_snapshots == {"copy": copy_of(plan).arn}, "what is gone is forgotten"
    assert "copy_at_owner_made" in record.route_times, "and that it was made is not"
    made = their_rds.asked("CopyDBClusterSnapshot")
    assert made["SourceDBClusterSnapshotIdentifier"] == "rds:tuesday"
    assert {"Key": "aurora-restore:operation-id", "Value": OPERATION} in made["Tags"]


def test_in_two_steps_what_was_shared_is_closed_before_the_long_way(
    their_distant_rds: FakeRds, source_rds: FakeRds, rds: FakeRds, clock: Clock
) -> None:
    their_distant_rds.add_snapshot("rds:tuesday")
    plan = plan_of(source_region=SOURCE_REGION, cross_account_copy="two_steps")
    state = opened(plan)
    assert take_the_route(plan, clock) == ["copy_at_owner", "copy_into_account", "copy", "remove_in_account"]
    record = state.recall()
    assert record is not None
    done = list(dict.fromkeys([*record.route_times, *record.made_snapshots]))
    assert {"unshare", "remove_at_owner"} <= set(done)
    assert list(their_distant_rds.snapshots) == ["rds:tuesday"]
    assert source_rds.snapshots == {}
    assert list(rds.snapshots) == [copy_of(plan).identifier]


def test_what_is_taken_back_while_the_region_makes_no_further_copy_is_not_the_end(
    their_distant_rds: FakeRds, source_rds: FakeRds, rds: FakeRds, clock: Clock
) -> None:
    their_distant_rds.add_snapshot("rds:tuesday")
    plan = plan_of(source_region=SOURCE_REGION, cross_account_copy="two_steps")
    opened(plan)
    for number in range(5):
        rds.add_snapshot(f"somebodys-{number}", Status="copying")

    def free_in_time() -> None:
        if any(action == "remove_at_owner" for action in actions):
            rds.snapshots["somebodys-0"]["Status"] = "available"

    actions: list[str] = []
    progress = start(CopyTask(limits=LIMITS, run=a_run(now=clock.now), copy=copy_of(plan)))
    while progress["answer"] != "done":
        actions.append(progress["action"])
        free_in_time()
        progress = start(CopyTask(limits=LIMITS, run=a_run(now=clock.now), copy=copy_of(plan)))
    assert actions == ["copy_at_owner", "copy_into_account", "remove_at_owner", "copy"]
    assert rds.snapshots[copy_of(plan).identifier]["Status"] == "available"


def test_a_snapshot_that_the_copying_account_does_not_see_yet_is_asked_for_again(
    snapshot: dict[str, Any], rds: FakeRds, clock: Clock
) -> None:
    plan = plan_of()
    opened(plan)
    rds.refuse("CopyDBClusterSnapshot", "DBClusterSnapshotNotFoundFault", "Not here.")
    task = CopyTask(limits=LIMITS, run=a_run(now=clock.now), copy=copy_of(plan))
    progress = start(task)
    assert (progress["answer"], progress["action"], progress["wait_seconds"]) == ("wait", "none", 60)
    assert progress["waiting_for"].endswith(":tuesday, which has just been shared, to become visible")
    assert take_the_route(plan, clock) == ["copy", "unshare"]


def test_a_snapshot_that_the_copying_account_never_sees_ends_the_run(
    snapshot: dict[str, Any], rds: FakeRds, clock: Clock
) -> None:
    plan = plan_of()
    opened(plan)
    rds.refuse("CopyDBClusterSnapshot", "DBClusterSnapshotNotFoundFault", "Not here.", times=99)
    with pytest.raises(StepFailed, match=f":tuesday was shared with account {ACCOUNT} at .* still does not show it"):
        take_the_route(plan, clock)
    assert SEEN_WITHIN <= clock.now - NOW < SEEN_WITHIN * 1.2


def test_a_step_that_is_repeated_once_all_is_taken_back_is_done_again(
    snapshot: dict[str, Any], rds: FakeRds, clock: Clock
) -> None:
    plan = plan_of()
    opened(plan)
    take_the_route(plan, clock)
    again = start(CopyTask(limits=LIMITS, run=a_run(now=clock.now), copy=copy_of(plan)))
    assert (again["answer"], again["action"], again["percent"]) == ("done", "none", 100)


@pytest.mark.parametrize("call", ["ModifyDBClusterSnapshotAttribute", "CopyDBClusterSnapshot"])
def test_rule_5_a_call_whose_answer_was_lost_is_made_once_in_effect(
    call: str, automated: dict[str, Any], rds: FakeRds, their_rds: FakeRds, clock: Clock
) -> None:
    plan = plan_of()
    opened(plan)
    their_rds.lose_answer(call)
    with pytest.raises(Exception, match="could not be reached"):
        take_the_route(plan, clock)
    take_the_route(plan, clock)
    assert list(their_rds.snapshots) == ["rds:tuesday"]
    assert their_rds.shared_with[copy_of(plan).identifier] == set()
    assert list(rds.snapshots) == [copy_of(plan).identifier]


# Taking back, whatever fails


def test_a_run_that_fails_while_it_copies_takes_everything_back(
    automated: dict[str, Any], rds: FakeRds, their_rds: FakeRds, clock: Clock
) -> None:
    plan = plan_of()
    opened(plan)
    rds.seconds = {"CopyDBClusterSnapshot": 3600}

    def fail() -> None:
        for each in rds.snapshots.values():
            each["Status"] = "failed"

    with pytest.raises(StepFailed, match="is failed and will not become available"):
        take_the_route(plan, clock, fail)
    name = copy_of(plan).identifier
    assert their_rds.shared_with[name] == {ACCOUNT}
    answer = archive(archiving(plan, now=clock.now))
    assert (answer["deleted_snapshot_arn"], answer["warnings"]) == (copy_of(plan).arn, [])
    assert their_rds.shared_with[name] == set()
    assert list(their_rds.snapshots) == ["rds:tuesday"]
    assert rds.snapshots == {}
    assert ("unshare-snapshot", "done") in audited()


def test_sharing_that_was_begun_is_taken_back_even_if_nobody_heard_that_it_worked(
    snapshot: dict[str, Any], their_rds: FakeRds
) -> None:
    plan = plan_of()
    opened(plan)
    their_rds.lose_answer("ModifyDBClusterSnapshotAttribute")
    with pytest.raises(Exception, match="could not be reached"):
        start(CopyTask(limits=LIMITS, run=a_run(), copy=copy_of(plan)))
    assert their_rds.shared_with["tuesday"] == {ACCOUNT}
    archive(archiving(plan))
    assert their_rds.shared_with["tuesday"] == set()


def test_what_cant_be_taken_back_doesnt_stop_the_restore_and_is_said_at_the_end(
    snapshot: dict[str, Any], rds: FakeRds, their_rds: FakeRds, clock: Clock
) -> None:
    plan = plan_of()
    opened(plan)

    def forbid() -> None:
        if rds.snapshots:
            their_rds.refuse("ModifyDBClusterSnapshotAttribute", "AccessDenied", "Not any more.", times=9)

    assert take_the_route(plan, clock, forbid) == ["copy", "unshare"]
    assert ("unshare-snapshot", "failed") in audited()
    (warning,) = archive(archiving(plan))["warnings"]
    assert f"cluster-snapshot:tuesday of account {OWNER} is still shared with {ACCOUNT}" in warning
    assert "Not any more." in warning
    assert (
        "--db-cluster-snapshot-identifier tuesday --attribute-name restore --values-to-remove 123456789012" in warning
    )


def test_what_couldnt_be_taken_back_at_once_is_tried_again_at_the_end(
    snapshot: dict[str, Any], rds: FakeRds, their_rds: FakeRds, clock: Clock
) -> None:
    plan = plan_of()
    opened(plan)

    def forbid_once() -> None:
        if rds.snapshots and not their_rds._refusals.get("ModifyDBClusterSnapshotAttribute"):
            their_rds.refuse("ModifyDBClusterSnapshotAttribute", "AccessDenied")

    take_the_route(plan, clock, forbid_once)
    their_rds._refusals.clear()
    assert archive(archiving(plan))["warnings"] == []
    assert their_rds.shared_with["tuesday"] == set()


def test_rule_1_a_snapshot_of_the_copys_name_that_isnt_ours_is_not_removed(
    automated: dict[str, Any], their_rds: FakeRds
) -> None:
    plan = plan_of()
    opened(plan)
    their_rds.add_snapshot(copy_of(plan).identifier)
    (warning,) = archive(archiving(plan))["warnings"]
    assert "is not the copy that operation" in warning
    assert copy_of(plan).identifier in their_rds.snapshots


# What is refused, and how it is mended


def test_an_automated_snapshot_under_the_default_key_is_copied_to_a_key_that_can_be_shared(
    snapshot: dict[str, Any], their_keys: FakeKeys, keys: FakeKeys
) -> None:
    their_keys.keys[KEY_ID]["KeyManager"] = "AWS"
    message = refusal_of()
    assert message.startswith("source_kms_key_id: missing. The key of 'tuesday'")
    assert "is managed by AWS, and no snapshot under it can be shared" in message
    their_keys.add("shareable")
    assert "does not admit account 123456789012. Add to its policy" in refusal_of(source_kms_key_id="shareable")
    keys.admitted.add("shareable")
    steps = copy_of(plan_of(source_kms_key_id="shareable")).steps
    assert (steps[0].name, steps[0].kms_key_id) == ("copy_at_owner", SHAREABLE)


def test_a_key_that_doesnt_admit_us_is_refused_with_the_statement_that_its_policy_lacks(
    snapshot: dict[str, Any], keys: FakeKeys
) -> None:
    keys.admitted.clear()
    message = refusal_of()
    assert f"({THEIR_KEY}) does not admit account {ACCOUNT}. Add to its policy, in account {OWNER}:" in message
    assert f'"Principal": {{"AWS": "arn:aws:iam::{ACCOUNT}:root"}}' in message
    assert '"kms:CreateGrant"' in message


@pytest.mark.parametrize(
    ("given", "changes", "why"),
    [
        ("nothing-like-it", {}, f"does not exist in {REGION} of account {OWNER}"),
        ("shareable", {"KeyState": "Disabled"}, "is Disabled, not Enabled. Enable it: aws kms enable-key"),
        ("shareable", {"KeyManager": "AWS"}, "is not a customer managed, symmetric key"),
        ("shareable", {"KeySpec": "RSA_2048"}, "is not a customer managed, symmetric key"),
        ("alias/aws/rds", {}, "is managed by AWS and cannot be shared"),
        (KEY, {}, f"is a key of another place. Give a customer managed key of {REGION} in account {OWNER}"),
    ],
)
def test_a_key_for_sharing_that_wont_do_is_refused(
    given: str, changes: dict[str, Any], why: str, snapshot: dict[str, Any], their_keys: FakeKeys, keys: FakeKeys
) -> None:
    keys.admitted = {"shareable"}
    their_keys.add("shareable", **changes)
    message = refusal_of(source_kms_key_id=given)
    assert message.startswith(f"source_kms_key_id: {given!r} ")
    assert why in message


def test_a_role_that_cant_be_assumed_and_nothing_shared_is_refused_with_both_ways_out(
    snapshot: dict[str, Any], sts: FakeSts, monkeypatch: pytest.MonkeyPatch
) -> None:
    _role.cache_clear()
    sts.refuse("AssumeRole", "AccessDenied", "User is not authorized to perform: sts:AssumeRole", times=9)
    message = refusal_of(snapshot_identifier="tuesday")
    assert f"is not shared with this account by {OWNER}" in message
    assert "sts:AssumeRole" in message
    assert "Deploy infrastructure/source-account-role.yaml there" in message
    assert "aws rds modify-db-cluster-snapshot-attribute" in message


def test_without_a_role_what_was_shared_by_hand_is_copied_and_left_shared(
    snapshot: dict[str, Any], rds: FakeRds, their_rds: FakeRds, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_ROLE_NAME", "")
    their_rds.shared_with["tuesday"] = {ACCOUNT}
    # A cluster of ours that has the source's name is not the source.
    rds.add_cluster("prod-orders")
    plan = plan_of()
    by_name = plan_of(snapshot_identifier="tuesday")
    by_arn = plan_of(snapshot_identifier=snapshot["DBClusterSnapshotArn"], source_account_id=None)
    assert plan.copy == by_name.copy == by_arn.copy
    opened(plan)
    assert take_the_route(plan, clock) == ["copy"]
    assert their_rds.shared_with["tuesday"] == {ACCOUNT}
    assert their_rds.operations() == [], "nothing is asked of an account that gave us no role"


def test_what_was_shared_before_is_not_unshared(snapshot: dict[str, Any], their_rds: FakeRds) -> None:
    their_rds.shared_with["tuesday"] = {ACCOUNT}
    assert [step.name for step in copy_of(plan_of()).steps] == ["copy"]


def test_a_snapshot_shared_with_twenty_accounts_is_refused(snapshot: dict[str, Any], their_rds: FakeRds) -> None:
    their_rds.shared_with["tuesday"] = {f"{number:012}" for number in range(20)}
    assert "is shared with 20 accounts, and RDS allows 20. Remove one, in account" in refusal_of()


def test_an_account_that_the_stack_doesnt_know_is_refused(snapshot: dict[str, Any]) -> None:
    message = refusal_of(source_account_id="111111111111")
    assert message.startswith("source_account_id: account 111111111111 is neither the stack's own (123456789012) nor")
    assert "Set the stack's SourceAccountId" in message


def test_a_cluster_of_another_account_is_never_deleted(snapshot: dict[str, Any], their_rds: FakeRds) -> None:
    their_rds.add_cluster("prod-orders")
    message = refusal_of(delete_source=True, confirm_delete_source="prod-orders")
    assert message.startswith(f"delete_source: the source is in account {OWNER}")


def test_an_encrypted_snapshot_of_another_account_needs_a_key_here(snapshot: dict[str, Any]) -> None:
    message = refusal_of(kms_key_id=None)
    assert message.startswith(f"kms_key_id: missing. 'tuesday' is encrypted with a key of account {OWNER}")


def test_in_another_account_the_source_may_have_the_targets_name(their_rds: FakeRds, rds: FakeRds) -> None:
    their_rds.add_snapshot("tuesday", cluster=TARGET)
    assert plan_of(source_cluster_id=TARGET).target_cluster_id == TARGET


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_a_quota_that_the_copies_dont_fit_into_is_refused(
    whose: str, automated: dict[str, Any], rds: FakeRds, their_rds: FakeRds
) -> None:
    full, account = (rds, ACCOUNT) if whose == "ours" else (their_rds, OWNER)
    full.quotas["ManualClusterSnapshots"] = 0
    message = refusal_of()
    assert message.startswith(f"snapshot_quota: {REGION} of account {account} has room for 0 more manual snapshots")
    assert "--quota-code L-9B510759" in message


def test_credentials_are_used_until_shortly_before_they_end(sts: FakeSts) -> None:
    sts.lasting = dt.timedelta(hours=1)
    for minutes, assumed in ((0, 1), (14, 1), (16, 2), (29, 2)):
        sts.now = NOW + dt.timedelta(minutes=minutes)
        through_role(OWNER, REGION, "aws", planning_session(OPERATION), sts.now)
        assert len(sts.calls) == assumed
    assert sts.calls[-1][1] == {
        "RoleArn": f"arn:aws:iam::{OWNER}:role/aurora-restore-source",
        "RoleSessionName": f"snapshot-check-{OPERATION}",
        "Policy": planning_session(OPERATION).policy,
        "ExternalId": "an-external-id",
    }


def test_a_secret_of_the_role_is_in_nothing_that_is_written(
    snapshot: dict[str, Any], rds: FakeRds, clock: Clock, logs: Any
) -> None:
    plan = plan_of()
    opened(plan)
    take_the_route(plan, clock)
    tables = client("dynamodb")
    written = logs.text.getvalue() + "".join(str(tables.scan(TableName=table)) for table in (STATE_TABLE, AUDIT_TABLE))
    assert "share-snapshot" in written
    assert "nobody-may-see-this" not in written
    assert "nor-this" not in written


@pytest.mark.parametrize(
    ("partition", "region"), [("aws-us-gov", "us-gov-west-1"), ("aws-cn", "cn-north-1"), ("aws", REGION)]
)
def test_the_role_is_of_the_stacks_own_partition(partition: str, region: str, sts: FakeSts) -> None:
    through_role(OWNER, region, partition, planning_session("another-operation"), NOW)
    assert sts.calls[-1][1]["RoleArn"] == f"arn:{partition}:iam::{OWNER}:role/aurora-restore-source"
