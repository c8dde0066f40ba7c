"""Starting again with an ended run's operation id: when it goes on, with what, and when it is refused."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests.unit.fakes.machine import FakeMachine
from tests.unit.fakes.rds import FakeRds
from tests.unit.support import (
    ACCOUNT,
    APP_SECRET,
    AUDIT_TABLE,
    EXECUTION,
    LIMITS,
    NOW,
    OPERATION,
    OTHER_EXECUTION,
    OWN_TAGS,
    OWNER,
    REGION,
    SOURCE,
    SOURCE_REGION,
    STATE_TABLE,
    TARGET,
    a_cluster_plan,
    a_copy,
    a_deletion,
    a_plan,
    a_record,
    a_run,
    calling,
    lost_answer,
    some_users,
)
from utils.aws import client
from utils.contracts.payloads import DeleteTask, RestoreTask
from utils.contracts.plan import MaskingPlan, Plan, TargetSecrets, VerificationPlan
from utils.contracts.route import RouteStep, SnapshotCopy, StepName
from utils.contracts.stack_limits import StackLimits
from utils.errors import RequestRefused, StepFailed, TemporaryFailure
from utils.logins.target_secrets import make_secrets
from utils.names import fingerprint
from utils.operation.resume import _route_again
from utils.request.fields import RestoreRequest
from utils.state.lock import TargetLock
from utils.state.operation import NO_CLUSTER, OperationRecord, OperationState

pytestmark = pytest.mark.usefixtures("surroundings", "rds", "found")

check, restore, delete = calling("snapshot-check"), calling("restore-snapshot"), calling("delete-rds")
look, archive = calling("check-delete-status"), calling("archive-snapshot")
COPY = a_copy()
LATER = NOW + dt.timedelta(hours=30)


@pytest.fixture
def found(rds: FakeRds) -> None:
    """What the plan restores is still there."""
    rds.add_snapshot("prod-orders-tuesday")


def failed(machine: FakeMachine, plan: Plan | None = None, **asked: Any) -> OperationState:
    """An operation of EXECUTION, which has ended. Nothing has closed it yet: a test may go on with its state."""
    state = OperationState(OPERATION, EXECUTION, NOW)
    request = RestoreRequest(target_cluster_id=TARGET, source_cluster_id=SOURCE, **asked)
    state.open("snapshot-check", request, plan or a_plan(copy=COPY, copy_needed=True), "running")
    state.enter("restore-snapshot")
    machine.statuses[EXECUTION] = "FAILED"
    return state


def again(execution: str = OTHER_EXECUTION, **request: Any) -> dict[str, Any]:
    begun = {
        "execution_id": execution,
        "execution_name": execution.rsplit(":", 1)[-1],
        "started_at": LATER.isoformat(),
        "now": LATER.isoformat(),
    }
    return {"execution": begun, "request": {"operation_id": OPERATION, **request}}


def record() -> OperationRecord:
    found = OperationState(OPERATION, OTHER_EXECUTION, LATER).recall()
    assert found is not None
    return found


def made(rds: FakeRds, state: OperationState, **facts: Any) -> dict[str, Any]:
    """The cluster that the operation has made so far."""
    cluster = rds.add_cluster(TARGET, TagList=OWN_TAGS)
    state.remember(cluster_arn=cluster["DBClusterArn"], cluster_resource_id=cluster["DbClusterResourceId"], **facts)
    return cluster


# It goes on


def test_an_ended_runs_operation_goes_on_as_it_was_planned(machine: FakeMachine, rds: FakeRds) -> None:
    state = failed(machine)
    made(rds, state, made_snapshots={"copy": COPY.arn})
    state.close("failed")
    plan = check(again())
    assert plan["operation_id"] == OPERATION
    assert plan["cluster"]["identifier"] == TARGET
    assert plan["copy_needed"] is False, "the cluster was made from the copy already"
    assert f"already copied: {COPY.arn}" in plan["resumed"]
    assert any(line.startswith(f"cluster already created: {TARGET}") for line in plan["resumed"])
    assert rds.changes() == []


def test_the_operation_is_the_new_runs_from_then_on(machine: FakeMachine) -> None:
    state = failed(machine)
    state.close("failed")
    check(again())
    assert (record().execution_id, record().status, record().resumed_from) == (OTHER_EXECUTION, "running", EXECUTION)
    with pytest.raises(StepFailed, match="nothing of this execution"):
        state.enter("restore-snapshot")
    assert TargetLock(TARGET, OPERATION, EXECUTION).take(LATER) is not None
    audited = [each["status"]["S"] for each in client("dynamodb").scan(TableName=AUDIT_TABLE)["Items"]]
    assert audited == ["resumed"]


def test_deadlines_count_from_the_resumption(machine: FakeMachine) -> None:
    failed(machine)
    check(again())
    assert record().step_times == {"snapshot-check": "2026-03-11T09:00:00.000Z"}
    assert record().started_at == "2026-03-10T03:00:00.000Z"


def test_a_resumption_measures_and_expects_anew(machine: FakeMachine) -> None:
    failed(machine).remember(took={"copy": 1500.0}, expected={"copy": 9000.0}, phases=["copy"])
    check(again())
    found = record()
    assert (found.took, found.expected) == ({}, {})
    assert found.phases == ["copy", "create-cluster", "modify-cluster", "create-instances", "open-door"]
    assert found.expected_end[0] > "2026-03-11T09:00:00.000Z"


@pytest.mark.parametrize(
    ("found", "kept"), [({"held": 3, "failed": 1, "not_run": 0}, False), ({"pieces": {"number": 1}}, True)]
)
def test_checks_that_did_not_hold_are_made_again_and_those_under_way_continue(
    machine: FakeMachine, rds: FakeRds, found: dict[str, Any], kept: bool
) -> None:
    made(rds, failed(machine), verification=found)
    check(again())
    assert bool(record().verification) is kept


def test_a_copy_that_somebody_deleted_is_made_anew(machine: FakeMachine) -> None:
    """As the message says of one that can't be used."""
    facts: dict[str, Any] = {"made_snapshots": {"copy": COPY.arn}, "route_times": {"copy_begun": "2026-03-10T03:01Z"}}
    failed(machine).remember(**facts)
    plan = check(again())
    assert plan["copy_needed"] is True
    assert not [line for line in plan["resumed"] if line.startswith("already copied")]
    assert (record().copied_snapshot_arn, record().made_snapshots, record().route_times) == (None, {}, {})


def test_a_copy_that_is_done_is_adopted_by_the_step_that_copies(machine: FakeMachine, rds: FakeRds) -> None:
    failed(machine).remember(made_snapshots={"copy": COPY.arn})
    rds.add_snapshot(COPY.identifier, TagList=OWN_TAGS)
    del rds.snapshots["prod-orders-tuesday"]
    assert check(again())["copy_needed"] is True, "and the source's snapshot isn't needed any more"


# What is in its way by now is told before it goes on


def test_what_was_to_be_restored_has_to_be_there_still(machine: FakeMachine, rds: FakeRds) -> None:
    failed(machine).close("failed")
    del rds.snapshots["prod-orders-tuesday"]
    with pytest.raises(
        RequestRefused, match=r"the snapshot that '.*' restores, .*prod-orders-tuesday, no longer exists"
    ):
        check(again())
    assert record().status == "failed"


def test_unless_the_route_has_something_to_go_on_from(machine: FakeMachine, rds: FakeRds) -> None:
    """An automated snapshot may be gone by then; its copy at the owner's isn't."""
    failed(machine).remember(made_snapshots={"copy_at_owner": COPY.arn})
    del rds.snapshots["prod-orders-tuesday"]
    assert check(again())["operation_id"] == OPERATION


def test_a_subnet_group_and_a_secret_that_are_gone_since_are_told_together(machine: FakeMachine, rds: FakeRds) -> None:
    failed(machine).close("failed")
    rds.subnet_groups.clear()
    client("secretsmanager").put_secret_value(SecretId=APP_SECRET, SecretString="{}")
    with pytest.raises(RequestRefused) as refused:
        check(again())
    told = [line.split(":")[0] for line in str(refused.value).splitlines()]
    assert told == ["application_secret", "db_subnet_group_name"]
    assert record().status == "failed"


def test_where_the_cluster_is_made_its_place_doesnt_matter_any_more(machine: FakeMachine, rds: FakeRds) -> None:
    made(rds, failed(machine))
    rds.subnet_groups.clear()
    del rds.snapshots["prod-orders-tuesday"]
    assert check(again())["operation_id"] == OPERATION


def test_nor_where_it_was_made_and_nobody_wrote_it_down(machine: FakeMachine, rds: FakeRds) -> None:
    failed(machine).remember(cluster_asked_at="2026-03-10T03:00:05.000Z")
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    rds.subnet_groups.clear()
    assert check(again())["operation_id"] == OPERATION


def test_users_that_are_set_up_need_no_secret(machine: FakeMachine, rds: FakeRds) -> None:
    made(rds, failed(machine), users_ready_at=NOW)
    client("secretsmanager").put_secret_value(SecretId=APP_SECRET, SecretString="{}")
    assert check(again())["operation_id"] == OPERATION


def test_a_run_that_died_before_it_could_say_so_is_resumed_too(machine: FakeMachine) -> None:
    failed(machine)
    machine.statuses[EXECUTION] = "ABORTED"
    assert check(again())["operation_id"] == OPERATION


def test_rule_5_taking_over_is_as_good_twice_as_once_until_it_is_closed(machine: FakeMachine) -> None:
    """The client itself repeats a call whose answer is lost."""
    failed(machine)
    former, successor = record(), OperationState(OPERATION, OTHER_EXECUTION, NOW)
    for _ in range(2):
        successor.hand_over(former, a_plan(), {})
    assert record().earlier_executions == [EXECUTION]
    successor.close("failed")
    with pytest.raises(StepFailed, match="was closed while this step was still running"):
        successor.hand_over(former, a_plan(), {})


def test_rule_5_resuming_again_after_a_lost_answer_is_as_good_as_once(machine: FakeMachine, rds: FakeRds) -> None:
    made(rds, failed(machine))
    with lost_answer(client("dynamodb"), "dynamodb", "UpdateItem"), pytest.raises(TemporaryFailure):
        check(again())
    plan = check(again())
    assert check(again()) == plan
    assert (record().resumed_from, record().earlier_executions) == (EXECUTION, [EXECUTION])


def test_an_operation_can_be_resumed_more_than_once(machine: FakeMachine) -> None:
    failed(machine)
    check(again())
    machine.statuses[OTHER_EXECUTION] = "FAILED"
    third = EXECUTION.replace(OPERATION, "third")
    check(again(third))
    assert record().earlier_executions == [EXECUTION, OTHER_EXECUTION]


def test_a_password_that_never_let_anybody_in_is_set_once_more(machine: FakeMachine, rds: FakeRds) -> None:
    made(rds, failed(machine), password_version_id="v", password_reset_at="2026-03-10T03:30:00.000Z")
    check(again())
    assert (record().password_reset_at, record().password_version_id) == (None, "v")


def test_a_login_that_was_proved_stays_proved(machine: FakeMachine, rds: FakeRds) -> None:
    times = {"password_reset_at": "2026-03-10T03:30:00.000Z", "login_proven_at": "2026-03-10T03:40:00.000Z"}
    made(rds, failed(machine), **times)
    check(again())
    assert (record().password_reset_at, record().login_proven_at) == tuple(times.values())


# What the clean-up has taken away


def clean_up(clock_at: dt.datetime, progress: dict[str, Any] | None = None) -> dict[str, Any]:
    run = a_run(cleaning_up=True, now=clock_at)
    if progress is None:
        return dict(delete(DeleteTask(limits=LIMITS, run=run)))
    return dict(look({"run": run, "progress": progress}))


def test_what_the_clean_up_deleted_is_made_anew(machine: FakeMachine, rds: FakeRds) -> None:
    state = failed(machine)
    made(rds, state, password_reset_at="2026-03-10T03:30:00.000Z")
    assert clean_up(NOW, clean_up(NOW))["answer"] == "done"
    plan = check(again())
    assert plan["copy_needed"] is True
    assert (record().cluster_resource_id, record().password_reset_at) == (None, None)


def test_so_it_is_when_the_clean_up_died_before_it_saw_the_end(machine: FakeMachine, rds: FakeRds) -> None:
    made(rds, failed(machine))
    clean_up(NOW)
    check(again())
    assert record().cluster_resource_id is None


def test_a_clean_up_that_is_still_deleting_is_waited_for(machine: FakeMachine, rds: FakeRds) -> None:
    made(rds, failed(machine))
    rds.seconds = {"DeleteDBCluster": 600}
    clean_up(NOW)
    with pytest.raises(RequestRefused, match=r"is still deleting staging-orders\. Resume it once"):
        check(again())
    assert record().execution_id == EXECUTION


def test_a_copy_that_the_clean_up_deleted_is_forgotten(machine: FakeMachine, rds: FakeRds) -> None:
    failed(machine).remember(made_snapshots={"copy": COPY.arn})
    rds.add_snapshot(COPY.identifier, TagList=OWN_TAGS)
    archive({"run": a_run(cleaning_up=True), "archive_snapshot": "delete", "copy": COPY})
    assert record().copied_snapshot_arn is None
    plan = check(again())
    assert plan["copy_needed"] is True
    assert not any(line.startswith("already copied") for line in plan["resumed"])
    assert record().copy_clean_up_at is None


def test_nor_is_what_was_made_on_its_way_taken_for_there(machine: FakeMachine, rds: FakeRds) -> None:
    """The clean-up has removed it: a resumed run that counted on it would copy from nothing."""
    state = failed(machine)
    state.remember(made_snapshots={"copy": COPY.arn}, route_times={"copy_made": "2026-03-10T03:10:00.000Z"})
    archive({"run": a_run(cleaning_up=True), "archive_snapshot": "delete", "copy": COPY})
    check(again())
    assert (record().made_snapshots, record().route_times) == ({}, {})


AT = "2026-03-10T03:10:00.000Z"
THEIRS = f"arn:aws:rds:us-east-1:{OWNER}:cluster-snapshot"


def the_way(*names: StepName) -> SnapshotCopy:
    """A route of these steps, through an account and a region in between where it has the steps for that."""
    here = COPY.final.snapshot_arn
    between, theirs = here.replace(REGION, SOURCE_REGION), f"{THEIRS}:{COPY.identifier}"
    on: dict[StepName, str] = {"copy": here, "copy_into_account": between, "remove_in_account": between}
    steps = [
        RouteStep(name=name, snapshot_arn=on.get(name, theirs), source_arn="any" if "copy" in name else None)
        for name in names
    ]
    return SnapshotCopy(steps=steps, tags={})


SHARED, OWNERS = ("share", "copy", "unshare"), ("copy_at_owner", "share", "copy", "unshare", "remove_at_owner")
TWO: tuple[StepName, ...] = (
    "copy_at_owner",
    "share",
    "copy_into_account",
    "unshare",
    "remove_at_owner",
    "copy",
    "remove_in_account",
)


@pytest.mark.parametrize(
    ("route", "times", "made", "left"),
    [
        # A share that is taken back is made anew. One that could not be is remembered, and shared once more.
        (SHARED, "share_begun share unshare", "", ""),
        (SHARED, "share_begun share unshare_failed", "", "share_begun"),
        (SHARED, "share_begun", "", "share_begun"),
        # The copy is there: nothing of its way is needed again.
        (SHARED, "share_begun share copy_made unshare", "copy", "share_begun share copy_made unshare"),
        # It was deleted after that.
        (SHARED, "share_begun share copy_made unshare copy_deleted", "", ""),
        # The owner's copy is removed, or is not.
        (OWNERS, "copy_at_owner_made share_begun share unshare remove_at_owner", "copy_at_owner", ""),
        (
            OWNERS,
            "copy_at_owner_made share_begun share unshare remove_at_owner_failed",
            "copy_at_owner",
            "copy_at_owner_made",
        ),
        # What is in between is there, and goes on from there; or is removed as well.
        (
            TWO,
            "copy_at_owner_made share_begun share copy_into_account_made unshare remove_at_owner",
            "copy_at_owner copy_into_account",
            "copy_at_owner_made share_begun share copy_into_account_made unshare remove_at_owner",
        ),
        (
            TWO,
            "copy_at_owner_made share_begun share copy_into_account_made unshare remove_at_owner remove_in_account",
            "copy_at_owner copy_into_account",
            "",
        ),
    ],
)
def test_of_the_way_what_was_taken_back_is_made_anew_and_what_stands_is_remembered(
    route: tuple[StepName, ...], times: str, made: str, left: str
) -> None:
    copy = the_way(*route)
    known = a_record(
        route_times=dict.fromkeys(times.split(), AT),
        made_snapshots={name: step.snapshot_arn for step in copy.steps if (name := step.name) in made.split()},
    )
    facts = _route_again(copy, known)
    assert list(facts["route_times"]) == left.split()
    stands = {name for name in made.split() if f"{name}_made" in facts["route_times"]}
    assert set(facts["made_snapshots"]) >= stands - {"copy_at_owner"}
    # Nothing that was removed counts as there, and what is still open is taken back in the end.
    removed = {step.name for step in copy.steps if step.effect == "remove"} & set(times.split())
    assert not {copy.undone_by(step).name for step in copy.steps if step.name in removed} & set(facts["made_snapshots"])
    if "share_begun" in facts["route_times"] and "unshare" not in facts["route_times"]:
        assert "unshare" in [step.name for step in copy.outstanding(facts["route_times"])]


def test_a_broken_copy_that_was_kept_has_to_go_first(machine: FakeMachine, rds: FakeRds) -> None:
    failed(machine).remember(made_snapshots={"copy": COPY.arn})
    rds.add_snapshot(COPY.identifier, Status="failed", TagList=OWN_TAGS)
    with pytest.raises(
        RequestRefused, match=f"Delete it in account {ACCOUNT}, then resume: .* --region us-east-1 .*{COPY.identifier}"
    ):
        check(again())


def on_the_way(machine: FakeMachine) -> SnapshotCopy:
    """A route in two steps that stopped at its second copy, of which nothing was cleaned up."""
    copy = the_way(*TWO)
    state = failed(machine, a_plan(copy=copy, copy_needed=True))
    times = dict.fromkeys(("copy_at_owner_made", "share_begun", "share", "copy_into_account_made"), AT)
    made = {step.name: step.snapshot_arn for step in copy.steps if step.name in ("copy_at_owner", "copy_into_account")}
    state.remember(made_snapshots=made, route_times=times)
    return copy


def test_a_copy_on_the_way_that_is_there_is_what_a_resume_continues_from(
    machine: FakeMachine, source_rds: FakeRds, their_rds: FakeRds
) -> None:
    on_the_way(machine)
    source_rds.add_snapshot(COPY.identifier, TagList=OWN_TAGS)
    check(again())
    assert set(record().made_snapshots) == {"copy_at_owner", "copy_into_account"}
    assert their_rds.calls == [], "the last copy decides"


def test_a_copy_on_the_way_that_somebody_deleted_is_made_again(
    machine: FakeMachine, source_rds: FakeRds, their_rds: FakeRds
) -> None:
    """From the last one that is there: it is shared once more."""
    on_the_way(machine)
    their_rds.add_snapshot(COPY.identifier, TagList=OWN_TAGS)
    check(again())
    assert set(record().made_snapshots) == {"copy_at_owner"}
    assert set(record().route_times) == {"copy_at_owner_made", "share_begun"}


def test_the_whole_way_is_gone_again_where_no_copy_on_it_is_left(
    machine: FakeMachine, source_rds: FakeRds, their_rds: FakeRds
) -> None:
    on_the_way(machine)
    check(again())
    assert (record().made_snapshots, record().route_times) == ({}, {"share_begun": AT})


@pytest.mark.parametrize("of_owner", [True, False])
def test_a_copy_on_the_way_that_failed_has_to_go_first(
    machine: FakeMachine, source_rds: FakeRds, their_rds: FakeRds, of_owner: bool
) -> None:
    """Else the step that copies would fail at it again, at every resume."""
    on_the_way(machine)
    where, account, region = (their_rds, OWNER, REGION) if of_owner else (source_rds, ACCOUNT, SOURCE_REGION)
    where.add_snapshot(COPY.identifier, Status="failed", TagList=OWN_TAGS)
    command = f"aws rds delete-db-cluster-snapshot --region {region} --db-cluster-snapshot-identifier {COPY.identifier}"
    with pytest.raises(RequestRefused, match=f"is failed. Delete it in account {account}, then resume: {command}"):
        check(again())
    del where.snapshots[COPY.identifier]
    check(again())


def test_rule_1_nobody_is_told_to_delete_a_snapshot_of_others_under_a_copys_name(
    machine: FakeMachine, source_rds: FakeRds, their_rds: FakeRds
) -> None:
    """The step that copies refuses it, and leaves it alone."""
    on_the_way(machine)
    source_rds.add_snapshot(COPY.identifier, Status="failed")
    check(again())
    assert set(record().made_snapshots) == {"copy_at_owner", "copy_into_account"}


def test_a_copy_of_an_account_that_shows_nothing_is_not_taken_for_gone(
    machine: FakeMachine, source_rds: FakeRds, their_rds: FakeRds, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_the_way(machine)
    monkeypatch.setenv("SOURCE_ROLE_NAME", "")
    check(again())
    assert set(record().made_snapshots) == {"copy_at_owner"}


def test_a_cluster_that_somebody_else_deleted_is_no_reason_to_go_on(machine: FakeMachine, rds: FakeRds) -> None:
    made(rds, failed(machine))
    del rds.clusters[TARGET]
    with pytest.raises(RequestRefused, match=r"was deleted or renamed since.*leave operation_id out"):
        check(again())
    assert rds.changes() == []


def test_users_of_which_one_was_left_out_are_set_up_once_more(machine: FakeMachine, rds: FakeRds) -> None:
    """And nothing cleans the cluster up meanwhile: people may rely on it."""
    state = failed(machine)
    made(rds, state)
    moment = "2026-03-10T04:00:00.000Z"
    unfinished = {"unfinished": ["'orders_app' was not set up"]}
    state.remember(users=unfinished, users_ready_at=moment, door_opening_at=moment, door_open_at=moment)
    check(again())
    found = state.recall()
    assert found is not None
    assert found.users is None
    assert found.users_ready_at is not None
    assert found.recorded_door == "open"


def test_a_cluster_that_was_cleaned_up_with_its_users_gets_secrets_again(machine: FakeMachine, rds: FakeRds) -> None:
    """Its readers failed behind the door. The clean-up had begun when its execution was stopped."""
    names = TargetSecrets(admin="aurora-restore/targets/x/admin", application="aurora-restore/targets/x/application")
    state = failed(machine, a_plan(target_secrets=names))
    made(rds, state, users=some_users(), users_ready_at="2026-03-10T04:00:00.000Z")
    state.remember(clean_up_at="2026-03-10T04:10:00.000Z")
    del rds.clusters[TARGET]
    check(again())
    assert (record().users_ready_at, record().cluster_resource_id) == (None, None)
    secrets = client("secretsmanager")
    for arn in (record().admin_secret_arn, record().application_secret_arn):
        assert arn is not None
        assert secrets.describe_secret(SecretId=arn)["Name"] in (names.admin, names.application)


def test_a_copy_that_a_resumed_runs_clean_up_took_is_made_anew(machine: FakeMachine, rds: FakeRds) -> None:
    """The resumed run needed none, since its cluster was there; the next one does."""
    failed(machine, a_plan(copy=a_copy(), copy_needed=False))
    plan = check(again())
    assert plan["copy_needed"] is True


# What is known of it is written down at once, and read as it is


def test_rule_1_a_cluster_is_known_by_its_id_from_the_moment_it_is_made(machine: FakeMachine, rds: FakeRds) -> None:
    """Else another one under its name, tagged like it, would be taken for it and cleaned up."""
    state = failed(machine, a_plan())
    state.enter("restore-snapshot")
    restore(RestoreTask(limits=LIMITS, run=a_run(), cluster=a_plan().cluster))
    assert record().cluster_resource_id == rds.clusters[TARGET]["DbClusterResourceId"]
    rds.clusters[TARGET]["DbClusterResourceId"] = "cluster-SOMEBODY-ELSES"
    assert "this operation made" in clean_up(NOW)["skipped"]
    assert "DeleteDBCluster" not in rds.changes()


def test_what_a_step_wrote_is_what_the_next_one_reads(machine: FakeMachine) -> None:
    """A read that isn't consistent may answer with what stood there before."""
    events, read = client("dynamodb").meta.events, list[bool]()

    def note(params: dict[str, Any], **_: object) -> None:
        read.append(params.get("ConsistentRead", False))

    failed(machine)
    TargetLock(TARGET, "another", OTHER_EXECUTION).take(LATER)
    events.register("provide-client-params.dynamodb.GetItem", note)
    try:
        TargetLock(TARGET, "third", EXECUTION).take(LATER)
        check(again())
    finally:
        events.unregister("provide-client-params.dynamodb.GetItem", note)
    assert len(read) >= 2
    assert set(read) == {True}


# It is refused


@pytest.mark.parametrize("status", ["RUNNING", "PENDING_REDRIVE"])
def test_rule_6_an_operation_whose_run_is_at_work_isnt_resumed(machine: FakeMachine, status: str) -> None:
    failed(machine)
    machine.statuses[EXECUTION] = status
    with pytest.raises(RequestRefused, match=f"still running: {EXECUTION}. Wait until it ends"):
        check(again())


def test_an_execution_that_finishes_a_swap_or_a_drill_is_waited_for_and_not_to_be_stopped(machine: FakeMachine) -> None:
    finishing = f"{EXECUTION.rpartition(':')[0]}:finish-0123456789ab-01234567"
    state = OperationState(OPERATION, finishing, NOW)
    state.open("snapshot-check", RestoreRequest(target_cluster_id=TARGET), a_plan(), "running")
    machine.statuses[finishing] = "RUNNING"
    with pytest.raises(RequestRefused, match="wait until it ends, and do not stop it") as refused:
        check(again())
    assert "stop-execution" not in str(refused.value)


@pytest.mark.parametrize(("status", "reason"), [("succeeded", "has succeeded"), ("planned", "a dry run")])
def test_what_has_ended_well_isnt_resumed(machine: FakeMachine, status: Any, reason: str) -> None:
    failed(machine).close(status)
    with pytest.raises(RequestRefused, match=f"{reason}.*leave operation_id out"):
        check(again())


def test_what_was_refused_has_nothing_to_resume(machine: FakeMachine) -> None:
    OperationState(OPERATION, EXECUTION, NOW).open("snapshot-check", {"request": "{}"}, {}, "failed")
    with pytest.raises(RequestRefused, match="was refused and created nothing"):
        check(again())


@pytest.mark.parametrize(
    "different",
    [
        {"target_cluster_id": "another"},
        {"port": 6000},
        {"instance_count": 3},
        {"dry_run": True},
        {"serverless_v2_max_capacity": 1.5, "serverless_v2_min_capacity": 0.5},
        {"on_failure": "keep"},
    ],
)
def test_a_request_for_something_else_is_refused_by_the_field_that_differs(
    machine: FakeMachine, different: dict[str, Any]
) -> None:
    failed(machine, port=5433, instance_count=2)
    message = f"{next(iter(different))}: .* is not what operation {OPERATION} was asked"
    with pytest.raises(RequestRefused, match=message):
        check(again(**different))
    assert record().execution_id == EXECUTION
    assert TargetLock(TARGET, "x", OTHER_EXECUTION).take(LATER) is None, "a refused resumption holds no lock"


def test_the_same_request_is_the_same_however_it_is_said(machine: FakeMachine) -> None:
    failed(machine, port=5433, max_snapshot_age_hours=26.5, tags={"team": "orders"})
    same: dict[str, Any] = {
        "port": 5433,
        "max_snapshot_age_hours": 26.5,
        "tags": {"team": "orders"},
        "target_cluster_id": TARGET,
    }
    assert check(again(**same, dry_run=False, final_snapshot=True))["operation_id"] == OPERATION


@pytest.mark.parametrize(
    ("settings", "field", "value", "other"),
    [
        # Nobody asked, and the source or a default of ours decided.
        ({"deletion_protection": True}, "deletion_protection", True, False),
        ({"deletion_protection": False}, "deletion_protection", False, True),
        ({"auto_minor_version_upgrade": True}, "auto_minor_version_upgrade", True, False),
        ({"data_api": True}, "data_api", True, False),
        ({"port": 5544}, "port", 5544, 5432),
        ({"backup_retention_days": 7}, "backup_retention_days", 7, 1),
    ],
)
def test_what_is_asked_is_held_against_the_plan_where_nobody_asked_at_first(
    machine: FakeMachine, settings: dict[str, Any], field: str, value: Any, other: Any
) -> None:
    failed(machine, a_plan(cluster=a_cluster_plan(**settings)))
    with pytest.raises(RequestRefused, match=rf"{field}: {other} is not what operation .* was asked for \({value}\)"):
        check(again(**{field: other}))
    assert check(again(**{field: value}))["operation_id"] == OPERATION


def test_a_default_of_the_stacks_counts_as_asked(machine: FakeMachine) -> None:
    """The stack says it for all of them: the plan has it, whoever says so again, and nobody can take it back."""
    failed(machine, a_plan(cluster=a_cluster_plan(deletion_protection=True)), deletion_protection=True)
    with pytest.raises(RequestRefused, match="deletion_protection: False is not what operation"):
        check(again(deletion_protection=False))
    assert check(again(deletion_protection=True))["operation_id"] == OPERATION


def test_what_was_switched_off_on_request_stays_off(machine: FakeMachine) -> None:
    failed(machine, a_plan(cluster=a_cluster_plan(auto_minor_version_upgrade=False)), auto_minor_version_upgrade=False)
    with pytest.raises(RequestRefused, match="auto_minor_version_upgrade: True is not what operation"):
        check(again(auto_minor_version_upgrade=True))
    assert check(again(auto_minor_version_upgrade=False))["operation_id"] == OPERATION


@pytest.mark.parametrize(
    ("field", "value"),
    [("override_deletion_protection", True), ("delete_automated_backups", True), ("final_snapshot", False)],
)
def test_rule_3_so_has_each_thing_that_makes_a_deletion_worse(machine: FakeMachine, field: str, value: bool) -> None:
    deletion: dict[str, Any] = {"delete_source": True, "confirm_delete_source": SOURCE}
    failed(machine, **deletion | {field: value})
    if field != "delete_automated_backups":
        with pytest.raises(RequestRefused, match=f"{field}: None is not what operation"):
            check(again(**deletion))
        with pytest.raises(RequestRefused, match=f"{field}: {not value} is not what operation"):
            check(again(**deletion | {field: not value}))
    assert check(again(**deletion | {field: value}))["operation_id"] == OPERATION


@pytest.mark.parametrize("left_out", [{}, {"delete_automated_backups": False}])
def test_backups_that_were_to_go_may_be_kept_by_a_resume_and_then_they_stay(
    machine: FakeMachine, left_out: dict[str, Any]
) -> None:
    """AWS Backup may have taken them over meanwhile, and RDS refuses to delete those."""
    deletion: dict[str, Any] = {"delete_source": True, "confirm_delete_source": SOURCE}
    plan = a_plan(delete_source=True, source_deletion=a_deletion(delete_automated_backups=True))
    failed(machine, plan, **deletion, delete_automated_backups=True)
    assert check(again(**deletion, **left_out))["source_deletion"]["delete_automated_backups"] is False
    OperationState(OPERATION, OTHER_EXECUTION, LATER).close("failed")
    machine.statuses[OTHER_EXECUTION] = "FAILED"
    with pytest.raises(RequestRefused, match="delete_automated_backups: True is not what operation"):
        check(again(f"{OTHER_EXECUTION}-third", **deletion, delete_automated_backups=True))


@pytest.mark.parametrize(
    ("field", "value"),
    [("override_deletion_protection", True), ("delete_automated_backups", True), ("final_snapshot", False)],
)
def test_rule_3_nor_can_it_be_added(machine: FakeMachine, field: str, value: bool) -> None:
    deletion: dict[str, Any] = {"delete_source": True, "confirm_delete_source": SOURCE}
    failed(machine, **deletion)
    with pytest.raises(RequestRefused, match=f"{field}: {value} is not what operation"):
        check(again(**deletion | {field: value}))
    assert check(again(**deletion | {field: not value}))["operation_id"] == OPERATION


# A mistyped id


def test_a_mistyped_operation_id_doesnt_begin_a_restore(machine: FakeMachine, rds: FakeRds) -> None:
    failed(machine)
    mistyped = again(resume=True)
    mistyped["request"]["operation_id"] = "nightly-2026-03-01"
    with pytest.raises(RequestRefused, match=r"no operation 'nightly-2026-03-01' is known.*aws stepfunctions list"):
        check(mistyped)
    assert OperationState("nightly-2026-03-01", OTHER_EXECUTION, LATER).recall() is None
    assert rds.changes() == []


def test_a_known_one_is_resumed_with_the_word_and_without(machine: FakeMachine) -> None:
    failed(machine)
    assert check(again(resume=True))["resumed"]
    assert check(again())["resumed"]


def test_the_word_alone_says_nothing(machine: FakeMachine) -> None:
    nameless = again(resume=True)
    del nameless["request"]["operation_id"]
    with pytest.raises(RequestRefused, match="operation_id: missing, and resume is true"):
        check(nameless)


def test_rule_3_what_deletes_has_to_be_asked_for_again(machine: FakeMachine) -> None:
    failed(machine, delete_source=True, confirm_delete_source=SOURCE)
    with pytest.raises(RequestRefused, match="delete_source: None is not what operation"):
        check(again())
    assert check(again(delete_source=True, confirm_delete_source=SOURCE))["operation_id"] == OPERATION


def test_rule_3_nor_can_a_deletion_be_added(machine: FakeMachine) -> None:
    failed(machine)
    with pytest.raises(RequestRefused, match="delete_source: True is not what operation"):
        check(again(delete_source=True, confirm_delete_source=SOURCE))


def test_a_plan_of_another_version_of_the_stack_isnt_guessed_at(machine: FakeMachine) -> None:
    failed(machine).remember(
        plan_item=None, own_secrets=None, plan={"operation_id": OPERATION, "target_cluster_id": TARGET}
    )
    with pytest.raises(RequestRefused, match="planned by another version of this stack"):
        check(again())


def test_rule_6_a_target_that_another_operation_works_on_is_refused(machine: FakeMachine) -> None:
    failed(machine)
    third = EXECUTION.replace(OPERATION, "third")
    machine.statuses[third] = "RUNNING"
    TargetLock(TARGET, "third", third).take(LATER)
    with pytest.raises(RequestRefused, match=f"another execution is working on 'staging-orders': {third}"):
        check(again())
    assert record().execution_id == EXECUTION


def test_a_run_whose_operation_was_resumed_touches_nothing_more(machine: FakeMachine, rds: FakeRds) -> None:
    """It was redriven after another run had gone on with its operation, and that has ended too."""
    made(rds, failed(machine))
    check(again())
    TargetLock(TARGET, OPERATION, OTHER_EXECUTION).release(LATER)
    with pytest.raises(StepFailed, match=f"no longer holds the lock on {TARGET}: {OTHER_EXECUTION} has taken it"):
        delete(DeleteTask(limits=LIMITS, run=a_run(cleaning_up=True, redrive_count=1)))
    assert rds.changes() == []


def test_nor_does_it_when_the_lock_was_forgotten(machine: FakeMachine, rds: FakeRds) -> None:
    made(rds, failed(machine))
    check(again())
    client("dynamodb").delete_item(TableName=STATE_TABLE, Key={"operation_id": {"S": f"lock#{TARGET}"}})
    with pytest.raises(StepFailed, match=f"Execution {OTHER_EXECUTION} has resumed operation"):
        delete(DeleteTask(limits=LIMITS, run=a_run(cleaning_up=True, redrive_count=1)))
    assert rds.changes() == []


def test_the_clean_up_of_a_run_that_isnt_the_operations_forgets_nothing(machine: FakeMachine, rds: FakeRds) -> None:
    state = failed(machine)
    made(rds, state)
    progress = delete(DeleteTask(limits=LIMITS, run=a_run(cleaning_up=True)))
    check(again())
    TargetLock(TARGET, OPERATION, OTHER_EXECUTION).release(LATER)
    with pytest.raises(StepFailed):
        look({"run": a_run(cleaning_up=True), "progress": progress})
    assert record().clean_up_at is None
    assert record().execution_id == OTHER_EXECUTION


# A masked cluster

MASKING = MaskingPlan(policy="staging", bucket="policies", key="staging.yaml", version_id="v1", sha256="0" * 64)
MASKED = a_plan(masking=MASKING)
NAMED = replace(LIMITS, masking_policies="staging=s3://policies/staging.yaml?versionId=v1", require_masking="true")
RENEWED = replace(NAMED, masking_policies="staging=s3://policies/staging.yaml?versionId=v2")
SALT = f"aurora-restore/masking/{fingerprint(OPERATION)}"


def masked_again(limits: StackLimits = NAMED) -> Any:
    return check(again() | {"limits": limits})


def salt() -> str | None:
    names = {each["Name"] for each in client("secretsmanager").list_secrets()["SecretList"]}
    return client("secretsmanager").get_secret_value(SecretId=SALT)["SecretString"] if SALT in names else None


def test_a_masking_goes_on_by_the_planned_version_and_with_its_salt(machine: FakeMachine, rds: FakeRds) -> None:
    state = failed(machine, MASKED, masking_policy="staging")
    made(rds, state)
    make_secrets(MASKED, state)
    state.remember(salt_version_id="the-first")
    before = salt()
    plan = masked_again()
    assert plan["masking"] == msgspec.to_builtins(MASKING)
    assert "mask-data" in plan["phases"]
    assert salt() == before is not None
    assert record().salt_version_id == "the-first"


def test_a_masking_is_not_resumed_by_a_version_that_the_stack_no_longer_names(
    machine: FakeMachine, rds: FakeRds
) -> None:
    made(rds, failed(machine, MASKED, masking_policy="staging"))
    with pytest.raises(RequestRefused, match="was planned with version v1 of masking policy 'staging'"):
        masked_again(RENEWED)


def test_what_is_masked_is_resumed_whatever_the_stack_names_now(machine: FakeMachine, rds: FakeRds) -> None:
    state = failed(machine, MASKED, masking_policy="staging")
    made(rds, state, masked_at="2026-03-10T04:00:00.000Z")
    plan = masked_again(RENEWED)
    assert "data already masked, at 2026-03-10T04:00:00.000Z" in plan["resumed"]
    assert "mask-data" not in plan["phases"]
    assert salt() is None


def test_a_masking_whose_salt_is_gone_is_not_resumed(machine: FakeMachine, rds: FakeRds) -> None:
    """What is masked already would not match the rest: joins would break, and nobody would see it."""
    made(rds, failed(machine, MASKED, masking_policy="staging"), salt_version_id="the-first")
    with pytest.raises(RequestRefused, match=r"and secret aurora-restore/masking/[0-9a-f]{12} with its salt is gone"):
        masked_again()
    assert salt() is None


def test_what_was_cleaned_up_is_masked_anew_with_another_salt(machine: FakeMachine) -> None:
    state = failed(machine, MASKED, masking_policy="staging")
    state.remember(**NO_CLUSTER)
    masked_again()
    assert salt() is not None
    assert record().masked_at is None


def test_an_operation_without_masking_is_not_resumed_once_that_is_required(machine: FakeMachine, rds: FakeRds) -> None:
    made(rds, failed(machine))
    with pytest.raises(RequestRefused, match="this stack restores no cluster unmasked"):
        masked_again()


def test_a_resumption_may_not_switch_the_masking_off(machine: FakeMachine, rds: FakeRds) -> None:
    made(rds, failed(machine, MASKED, masking_policy="staging"))
    with pytest.raises(RequestRefused, match="masking_policy: '' is not what operation"):
        check(again(masking_policy="") | {"limits": NAMED})


# A verified cluster

CHECKED = a_plan(verification=VerificationPlan(policy="basic", on_findings="report"))


def test_what_is_verified_is_not_verified_again(machine: FakeMachine, rds: FakeRds) -> None:
    state = failed(machine, CHECKED, verification="basic", on_findings="report")
    made(rds, state, verified_at="2026-03-10T04:00:00.000Z", verification={"held": 7})
    plan = check(again())
    assert "data already verified, at 2026-03-10T04:00:00.000Z" in plan["resumed"]
    assert "verify-data" not in plan["phases"]
    assert plan["verification"] == msgspec.to_builtins(CHECKED.verification)


def test_another_cluster_than_the_one_that_was_verified_is_verified(machine: FakeMachine) -> None:
    state = failed(machine, CHECKED, verification="basic", on_findings="report")
    state.remember(verified_at="2026-03-10T04:00:00.000Z", verification={"held": 7})
    state.remember(**NO_CLUSTER)
    assert "verify-data" in check(again())["phases"]
    assert (record().verified_at, record().verification) == (None, {})


@pytest.mark.parametrize("asked", [{"verification": ""}, {"on_findings": "fail"}])
def test_a_resumption_may_not_ask_for_other_checks(machine: FakeMachine, rds: FakeRds, asked: dict[str, str]) -> None:
    made(rds, failed(machine, CHECKED, verification="basic", on_findings="report"))
    with pytest.raises(RequestRefused, match="is not what operation"):
        check(again(**asked))
