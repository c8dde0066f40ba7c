"""One step of a swap, against RDS's fake: what it waits for, what it writes down first, and that all of it ends."""

from __future__ import annotations

import datetime as dt
from typing import Any, get_args

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from tests.unit.fakes.rds import FakeRds, in_groups
from tests.unit.fakes.scaling import FakeScaling
from tests.unit.fakes.sharing import FakeSharing
from tests.unit.operation.test_finishing import REPLACES
from tests.unit.operation.test_secret_endings import opened
from tests.unit.planning.test_replacement import scaling
from tests.unit.support import (
    ADMIN_SECRET,
    DOOR,
    NOW,
    OWN_TAGS,
    REGION,
    SECURITY_GROUP,
    TARGET,
    a_cluster_plan,
    a_plan,
    a_run,
    calling,
)
from utils import environment
from utils.aurora_utils import Aurora, Cluster
from utils.aurora_utils.resources import EXPIRY_TAG, PROTECTED_TAG, REPLACEABLE_TAG, ROLE_TAG
from utils.aws import client
from utils.contracts.plan import RolledBack
from utils.contracts.swap import FirstLook, Restart, Side, SwapRecord
from utils.errors import StepFailed, TemporaryFailure
from utils.logins.master import AdminSecret
from utils.messages.swap import doing
from utils.state.expiry import ExpiringCluster, ExpiryRegister
from utils.state.lock import TargetLock
from utils.state.operation import OperationState
from utils.state.swap import StoredSwap, Within, keep_swap, stored_swap
from utils.steps.swap import PATIENCE, SwapAction, SwapDue
from utils.steps.swap_calls import Calls
from utils.steps.swap_observed import look
from utils.steps.swap_step import ErrandKind

pytestmark = pytest.mark.usefixtures("account")
__all__ = ["scaling"]

swap_cluster = calling("swap-cluster")
TEMPORARY, OLD_NAME = f"{TARGET}-new-0123456789ab", REPLACES.other_names[0]
PLAN = a_plan(cluster=a_cluster_plan(identifier=TEMPORARY, live_identifier=TARGET), replaces=REPLACES)
REPLACED = replace(REPLACES, security_group_ids=["sg-old"])
MEMBERS: dict[Side, str] = {"old": "old-1", "new": "new-1"}


@pytest.fixture
def state(rds: FakeRds, scaling: FakeScaling, monkeypatch: pytest.MonkeyPatch) -> OperationState:
    """Both clusters as they are before the first step, the restored one behind the door."""
    monkeypatch.setenv("DOOR_SECURITY_GROUP_ID", DOOR)
    old = rds.add_cluster(
        TARGET, DbClusterResourceId="cluster-OLD", TagList=OWN_TAGS, VpcSecurityGroups=in_groups(["sg-old"])
    )
    new = rds.add_cluster(
        TEMPORARY, DbClusterResourceId="cluster-NEW", TagList=OWN_TAGS, VpcSecurityGroups=in_groups([DOOR])
    )
    for side, cluster in (("old", old), ("new", new)):
        rds.add_instance(
            f"{side}-1", cluster["DBClusterIdentifier"], VpcSecurityGroups=cluster["VpcSecurityGroups"],
            Endpoint={"Address": f"{side}-1.example.com", "Port": 5432},
        )  # fmt: skip
    found = opened(PLAN)
    assert TargetLock(TARGET, found.operation_id, found.execution_id).take(NOW) is None
    found.remember(cluster_resource_id="cluster-NEW", users_ready_at=NOW.isoformat())
    return found


def step(after_seconds: float = 0, **changes: Any) -> Any:
    now = NOW + dt.timedelta(seconds=after_seconds)
    return swap_cluster({"run": a_run(now=now), "cluster": PLAN.cluster, "replaces": REPLACED, **changes})


def last_change(rds: FakeRds) -> Any:
    return [given for name, given in rds.calls if name == "ModifyDBCluster"][-1]


def rename(rds: FakeRds, name: str, new_name: str) -> None:
    """As RDS does it, when it is over."""
    cluster = rds.clusters.pop(name)
    rds.clusters[new_name] = cluster
    cluster["DBClusterIdentifier"] = new_name
    cluster["DBClusterArn"] = cluster["DBClusterArn"].replace(f":{name}", f":{new_name}")
    for each in rds.instances.values():
        if each["DBClusterIdentifier"] == name:
            each["DBClusterIdentifier"] = new_name


def fenced_and_renamed(rds: FakeRds, state: OperationState) -> StoredSwap:
    """The names have moved, nobody is left in the old cluster, and no certificate was looked at."""
    step()
    stored = stored_swap(state.operation_id)
    assert stored is not None
    for thing in (rds.clusters[TARGET], rds.instances["old-1"]):
        thing["VpcSecurityGroups"] = in_groups([DOOR])
    rename(rds, TARGET, OLD_NAME)
    rename(rds, TEMPORARY, TARGET)
    within = {"old": Within(sessions_ended=["old-1"])}
    return keep_swap(replace(stored, within=within), state)


def test_the_first_step_writes_down_that_the_swap_has_begun_before_it_shuts_the_door(
    rds: FakeRds, state: OperationState
) -> None:
    step()
    record = state.recall()
    assert record is not None
    assert record.is_swapping
    assert rds.changes() == ["ModifyDBCluster"]
    change = rds.asked("ModifyDBCluster")
    assert (change["DBClusterIdentifier"], change["VpcSecurityGroupIds"]) == (TARGET, [DOOR])
    stored = stored_swap(state.operation_id)
    assert stored is not None
    assert stored.record.old.security_group_ids == ("sg-old",), "what it opens with again"


def test_nothing_begins_while_a_window_of_either_cluster_is_near(rds: FakeRds, state: OperationState) -> None:
    opens = NOW + dt.timedelta(minutes=20)
    rds.clusters[TEMPORARY]["PreferredBackupWindow"] = f"{opens:%H:%M}-{opens + dt.timedelta(minutes=30):%H:%M}"
    answer = step()
    assert (answer["answer"], rds.changes()) == ("wait", [])
    assert "backup window" in answer["waiting_for"]
    assert TEMPORARY in answer["waiting_for"]
    step(60 * 60)
    assert rds.changes() == ["ModifyDBCluster"]


@pytest.mark.parametrize("cluster", [TARGET, TEMPORARY])
def test_nothing_begins_while_maintenance_is_due(rds: FakeRds, state: OperationState, cluster: str) -> None:
    arn = rds.clusters[cluster]["DBClusterArn"]
    rds.add_maintenance(arn, CurrentApplyDate=NOW + dt.timedelta(minutes=40))
    answer = step()
    assert (answer["answer"], rds.changes()) == ("wait", [])
    assert answer["waiting_for"].startswith(f"the pending maintenance, system-update of {cluster}, which is due")
    rds.maintenance.clear()
    step(60 * 60)
    assert rds.changes() == ["ModifyDBCluster"]


def test_maintenance_that_does_not_come_is_not_waited_for_without_an_end(rds: FakeRds, state: OperationState) -> None:
    """AWS may be days late with what it forces, and two clusters cost money meanwhile."""
    rds.add_maintenance(rds.clusters[TARGET]["DBClusterArn"], OptInStatus="immediate")
    assert step()["answer"] == "wait"
    with pytest.raises(StepFailed, match=f"After 12 hours {TARGET} still waits for .* nobody was locked out"):
        step(12 * 3600)
    assert rds.changes() == []


def test_who_depends_on_it_since_the_plan_stops_it_before_the_fence(
    rds: FakeRds, sharing: FakeSharing, state: OperationState
) -> None:
    sharing.shares[rds.clusters[TARGET]["DBClusterArn"]] = {"with-auditors": "ASSOCIATED"}
    rds.add_proxy("orders-proxy", {"RdsResourceId": TARGET})
    with pytest.raises(StepFailed) as failed:
        step()
    for said in ("it is the target of RDS Proxy orders-proxy", "It is shared by resource share with-auditors"):
        assert said in str(failed.value)
    assert rds.changes() == []
    assert stored_swap(state.operation_id) is None


@pytest.mark.parametrize("look", ["DescribeBlueGreenDeployments", "DescribePendingMaintenanceActions"])
def test_a_look_that_is_not_allowed_stops_it_before_the_fence(rds: FakeRds, state: OperationState, look: str) -> None:
    rds.refuse(look, "AccessDenied", status=403)
    with pytest.raises(StepFailed, match=f"{look} is not allowed"):
        step()
    assert rds.changes() == []
    assert stored_swap(state.operation_id) is None


def test_a_name_that_another_cluster_has_now_stops_it_before_anything(rds: FakeRds, state: OperationState) -> None:
    rds.clusters[TARGET]["DbClusterResourceId"] = "cluster-ANOTHER"
    with pytest.raises(StepFailed) as failed:
        step()
    said = str(failed.value)
    assert "was the name of cluster cluster-OLD when this was planned, and now cluster-ANOTHER has it" in said
    assert rds.changes() == []
    assert stored_swap(state.operation_id) is None


@pytest.mark.parametrize(
    ("of_cluster", "of_instance", "expected"),
    [
        ([*OWN_TAGS, {"Key": PROTECTED_TAG, "Value": "true"}], [], "is protected by the tag"),
        (OWN_TAGS, [{"Key": PROTECTED_TAG, "Value": "true"}], "= true on old-1"),
        ([], [], "was not created by the pipeline"),
        ([{"Key": REPLACEABLE_TAG, "Value": "true"}], [], "not all of its instances"),
    ],
)
def test_what_its_owner_has_said_since_the_plan_stops_it_before_anything(
    rds: FakeRds, state: OperationState, of_cluster: list[Any], of_instance: list[Any], expected: str
) -> None:
    rds.clusters[TARGET]["TagList"] = of_cluster
    rds.instances["old-1"]["TagList"] = of_instance
    with pytest.raises(StepFailed, match="Nothing was swapped") as failed:
        step()
    assert expected in str(failed.value)
    assert rds.changes() == []
    assert stored_swap(state.operation_id) is None


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (
            {"PendingModifiedValues": {"EngineVersion": "17.6"}},
            "has changes that wait .*EngineVersion.* would apply them",
        ),
        ({"CustomEndpoints": ["reports.cluster-custom-c0ffee"]}, "has custom endpoints"),
        ({"GlobalClusterIdentifier": "orders-worldwide"}, "belongs to the global database orders-worldwide"),
        ({"ReadReplicaIdentifiers": ["a-replica"]}, "replicates with a-replica"),
    ],
)
def test_what_has_come_up_since_the_plan_stops_it_before_anything(
    rds: FakeRds, state: OperationState, since: dict[str, Any], expected: str
) -> None:
    """A restore takes hours, and a person may do any of it meanwhile."""
    rds.clusters[TARGET] |= since
    with pytest.raises(StepFailed, match=f"{expected}.* Nothing was swapped"):
        step()
    assert rds.changes() == []
    assert stored_swap(state.operation_id) is None


def test_readers_that_are_scaled_since_the_plan_stop_it_before_anything(
    rds: FakeRds, state: OperationState, scaling: FakeScaling
) -> None:
    scaling.targets[TARGET] = (1, 3)
    with pytest.raises(StepFailed, match=r"has readers that Application Auto Scaling adds .* Nothing was swapped"):
        step()
    assert rds.changes() == []


def test_each_action_is_in_the_audit_trail_before_its_call_with_both_resource_ids(
    rds: FakeRds, state: OperationState
) -> None:
    rds.refuse("ModifyDBCluster", "Throttling", "Rate exceeded", times=20)
    with pytest.raises(TemporaryFailure):
        step()
    items = client("dynamodb").scan(TableName=environment.text("AUDIT_TABLE"))["Items"]
    (shut,) = [each["event_details"]["M"] for each in items if each["status"]["S"] == "shut-door"]
    said = {name: value["S"] for name, value in shut.items()}
    assert said == {"side": "old", "name": TARGET, "old": "cluster-OLD", "new": "cluster-NEW"}


def test_certificates_are_looked_at_before_the_address_is_proved(rds: FakeRds, state: OperationState) -> None:
    fenced_and_renamed(rds, state)
    answer = step(60)
    assert answer["answer"] == "within"
    assert (answer["errand"]["kind"], answer["errand"]["side"]) == ("look-at-certificates", "new")
    assert answer["errand"]["members"] == {"new-1": "new-1.example.com"}


def test_certificates_that_nobody_can_read_are_not_waited_for_without_an_end(
    rds: FakeRds, state: OperationState
) -> None:
    fenced_and_renamed(rds, state)
    assert step(60)["answer"] == "within"
    late = PATIENCE.total_seconds() + 120
    step(late)
    stored = stored_swap(state.operation_id)
    assert stored is not None
    assert stored.record.end == "back"
    assert stored.turned_because == "it did not come to its end in time"
    step(late + 1)
    assert last_change(rds)["NewDBClusterIdentifier"] == TEMPORARY, "the new one gives the name back"


def test_that_the_door_may_be_open_is_recorded_before_the_commit_and_the_commit_before_the_call(
    rds: FakeRds, state: OperationState
) -> None:
    stored = fenced_and_renamed(rds, state)
    record = replace(stored.record, proven="new")
    within = {**stored.within, "new": Within(has_live_name=True, certificates_of=["new-1"])}
    keep_swap(replace(stored, record=record, within=within), state)
    before = len(rds.changes())
    step(60)
    found = state.recall()
    assert found is not None
    assert found.door_opening_at is not None
    assert stored_now(state).record.committed_at is not None
    assert len(rds.changes()) == before
    step(61)
    assert last_change(rds)["VpcSecurityGroupIds"] == [SECURITY_GROUP]


def test_a_write_that_does_not_follow_from_what_is_stored_is_refused(rds: FakeRds, state: OperationState) -> None:
    read = fenced_and_renamed(rds, state)
    keep_swap(replace(read, turned_because="another was quicker"), state)
    with pytest.raises(TemporaryFailure, match="was written by another step in between"):
        keep_swap(replace(read, record=SwapRecord(**{**asdict(read.record), "committed_at": NOW})), state)


def asdict(record: SwapRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def stored_now(state: OperationState) -> StoredSwap:
    found = stored_swap(state.operation_id)
    assert found is not None
    return found


def swap_events(state: OperationState) -> list[str]:
    table = client("dynamodb").query(
        TableName=environment.text("AUDIT_TABLE"),
        KeyConditionExpression="operation_id = :id",
        ExpressionAttributeValues={":id": {"S": state.operation_id}},
    )
    return [item["status"]["S"] for item in table["Items"] if item["event_type"]["S"] == "swap"]


def test_a_call_that_finds_another_cluster_under_the_name_is_reported(rds: FakeRds, state: OperationState) -> None:
    step()
    swap = stored_now(state)
    view = look(swap, Aurora(REGION))
    rds.clusters[TARGET]["DbClusterResourceId"] = "cluster-ANOTHER"
    shut = SwapDue(action=SwapAction.SHUT_DOOR, side="old", name=TARGET, record=swap.record)
    Calls(Aurora(REGION), AdminSecret(ADMIN_SECRET), state, REPLACED, DOOR).make(shut, swap, view)
    assert "misdirected" in swap_events(state)


@pytest.mark.parametrize("code", ["AccessDenied", "KMSKeyNotAccessibleFault", "VpcEncryptionControlViolationException"])
def test_what_aws_refuses_for_good_turns_the_swap_back_and_its_reason_stays(
    rds: FakeRds, state: OperationState, code: str
) -> None:
    rds.refuse("ModifyDBCluster", code)
    step()
    step(1)
    assert stored_now(state).record.end == "back"
    assert code in stored_now(state).turned_because


@pytest.mark.parametrize("code", ["InvalidDBClusterStateFault", "DBClusterNotFoundFault"])
def test_what_passes_is_looked_at_again(rds: FakeRds, state: OperationState, code: str) -> None:
    rds.refuse("ModifyDBCluster", code)
    assert step()["answer"] == "wait"
    assert (stored_now(state).record.end, stored_now(state).record.refused) == ("forward", ())
    step(5)
    assert rds.changes() == ["ModifyDBCluster"] * 2


def restarted(rds: FakeRds, member: str, seconds: float) -> None:
    moment = NOW + dt.timedelta(seconds=seconds)
    rds.events.append(
        {"SourceIdentifier": member, "Message": "DB instance restarted", "Date": moment, "EventCategories": []}
    )


@pytest.mark.parametrize(("group", "counts"), [(DOOR, True), ("sg-old", False)])
def test_a_restart_ends_sessions_only_behind_a_shut_door(
    rds: FakeRds, state: OperationState, group: str, counts: bool
) -> None:
    step()
    keep_swap(replace(stored_now(state), restarting_since={"old": NOW}), state)
    for thing in (rds.clusters[TARGET], rds.instances["old-1"]):
        thing["VpcSecurityGroups"] = in_groups([group])
    restarted(rds, "old-1", 30)
    step(60)
    found = stored_now(state)
    assert "old" not in found.restarting_since
    within = found.within.get("old", Within())
    assert (within.sessions_ended == ["old-1"]) is counts


def test_a_swap_that_was_turned_back_fails_its_step_and_is_the_end_of_one_that_finishes_it(
    rds: FakeRds, state: OperationState
) -> None:
    step()
    assert step(1, finishing=True)["errand"]["kind"] == "look-at-certificates"
    # Nothing was done yet but the fence: the old cluster is looked at, opened, tagged, and two looks agree.
    found = stored_now(state)
    assert found.record.end == "back"
    within = {**found.within, "old": Within(has_live_name=True, certificates_of=["old-1"])}
    keep_swap(replace(found, within=within, record=replace(found.record, proven="old")), state)
    answers = [step(60 * number, finishing=True) for number in range(1, 5)]
    assert (answers[-1]["answer"], answers[-1]["end"]) == ("done", "back")
    record = state.recall()
    assert record is not None
    assert (record.swap_end, record.door_opening_at) == ("back", None)
    assert not record.is_swapping


def test_the_replaced_cluster_is_registered_before_its_tag_says_that_it_expires(
    rds: FakeRds, state: OperationState
) -> None:
    seen: list[tuple[str, list[str]]] = []

    class Watching(Aurora):
        def mark_role(self, cluster: Cluster, role: str, expires_at: str | None = None) -> None:
            seen.append((role, [each.resource_id for each in ExpiryRegister().entries()]))

    swap = fenced_and_renamed(rds, state)
    swap = replace(swap, record=replace(swap.record, committed_at=NOW))
    roles = SwapDue(action=SwapAction.SET_ROLES, side="new", name=TARGET, record=swap.record)
    calls = Calls(Watching(REGION), AdminSecret(ADMIN_SECRET), state, REPLACED, DOOR)
    calls.make(roles, swap, look(swap, Aurora(REGION)))
    assert seen == [("live", []), ("previous", ["cluster-OLD"])]


def test_a_target_that_was_to_expire_and_keeps_its_name_after_all_is_not_forgotten_in_silence(
    rds: FakeRds, state: OperationState
) -> None:
    """The next sweep keeps it, because it is live, and reports that: its owner may have counted on its end."""
    step()
    stored = stored_swap(state.operation_id)
    assert stored is not None
    moment = "2026-03-13T03:00:00Z"
    rds.clusters[TARGET]["TagList"] = [*OWN_TAGS, {"Key": EXPIRY_TAG, "Value": moment}]
    ExpiryRegister().add(
        ExpiringCluster(resource_id="cluster-OLD", cluster_identifier=TARGET, operation_id="restored-it", hours=72)
    )
    back = SwapDue(action=SwapAction.SET_ROLES, side="old", name=TARGET, record=replace(stored.record, end="back"))
    calls = Calls(Aurora(REGION), AdminSecret(ADMIN_SECRET), state, REPLACED, DOOR)
    calls.make(back, replace(stored, record=back.record), look(stored, Aurora(REGION)))
    tags = {each["Key"]: each["Value"] for each in rds.clusters[TARGET]["TagList"]}
    assert (tags[ROLE_TAG], tags[EXPIRY_TAG]) == ("live", moment)
    assert [each.resource_id for each in ExpiryRegister().entries()] == ["cluster-OLD"]


def is_deleted(rds: FakeRds, name: str, seconds: float | None) -> None:
    """The cluster is gone; RDS has an event of it from then on, if any."""
    del rds.clusters[name]
    rds.instances = {each: thing for each, thing in rds.instances.items() if thing["DBClusterIdentifier"] != name}
    if seconds is not None:
        moment = NOW + dt.timedelta(seconds=seconds)
        rds.events.append(
            {"SourceIdentifier": name, "Message": "DB cluster deleted", "Date": moment, "EventCategories": ["deletion"]}
        )


def test_two_clusters_whose_deletion_rds_reports_leave_nothing_and_free_the_target(
    rds: FakeRds, state: OperationState
) -> None:
    step()
    is_deleted(rds, TARGET, 30)
    is_deleted(rds, TEMPORARY, 30)
    with pytest.raises(StepFailed, match=r"both \(cluster-OLD, cluster-NEW\) were deleted by somebody else"):
        step(60)
    record = state.recall()
    assert record is not None
    assert not record.is_swapping


def test_two_clusters_that_are_not_seen_and_of_which_nothing_is_reported_are_looked_for_again(
    rds: FakeRds, state: OperationState
) -> None:
    step()
    is_deleted(rds, TARGET, None)
    is_deleted(rds, TEMPORARY, None)
    # Somebody else's cluster, which had another name.
    rds.events.append(
        {"SourceIdentifier": OLD_NAME, "Message": "DB cluster deleted", "Date": NOW, "EventCategories": []}
    )
    assert (step(60)["answer"], step(150)["answer"]) == ("wait", "wait")


def test_a_deletion_counts_under_the_name_under_which_the_cluster_was_last_seen(
    rds: FakeRds, state: OperationState
) -> None:
    """Also on the way back, where the replaced cluster may hold what exists nowhere else."""
    stored = fenced_and_renamed(rds, state)
    step(60)
    keep_swap(replace(stored_now(state), record=replace(stored.record, end="back", turned_at=NOW)), state)
    is_deleted(rds, OLD_NAME, 90)
    step(120)
    assert stored_now(state).record.end == "forward"
    assert stored_now(state).record.gone == ("old",)


def test_a_restored_cluster_that_somebody_deletes_is_the_reason_that_is_given(
    rds: FakeRds, state: OperationState
) -> None:
    step()
    is_deleted(rds, TEMPORARY, 30)
    step(60)
    found = stored_now(state)
    assert (found.record.end, found.turned_because) == ("back", "the restored cluster was deleted by somebody else")


def test_a_member_of_the_replaced_cluster_that_stays_busy_does_not_keep_its_door_shut(
    rds: FakeRds, state: OperationState
) -> None:
    step()
    for thing in (rds.clusters[TARGET], rds.instances["old-1"]):
        thing["VpcSecurityGroups"] = in_groups([DOOR])
    rds.instances["old-1"]["DBInstanceStatus"] = "modifying"
    assert step(60)["answer"] == "wait"
    late = PATIENCE.total_seconds() + 60
    step(late)
    found = stored_now(state)
    assert found.record.end == "back"
    keep_swap(replace(found, record=replace(found.record, proven="old")), state)
    step(late + 1)
    assert last_change(rds)["VpcSecurityGroupIds"] == ["sg-old"]


def turned_back_and_opened(
    rds: FakeRds, state: OperationState, certificate_has_name: bool, proven: Side | None, restarted: Restart = "none"
) -> str:
    """What the last step of a way back says."""
    step()
    found = stored_now(state)
    record = replace(
        found.record, end="back", turned_at=NOW, proven=proven, failed_proofs=0 if proven else 2,
        first_look=FirstLook(("settled",), NOW),
    )  # fmt: skip
    within = Within(has_live_name=certificate_has_name, certificates_of=["old-1"])
    restarts: dict[Side, Restart] = {"old": "stopped-and-started" if not certificate_has_name else restarted}
    keep_swap(replace(found, record=record, within={"old": within}, restarted=restarts), state)
    for thing in (rds.clusters[TARGET], rds.instances["old-1"]):
        thing["VpcSecurityGroups"] = in_groups(["sg-old"])
    rds.clusters[TARGET]["TagList"] = [*OWN_TAGS, {"Key": ROLE_TAG, "Value": "live"}]
    rds.clusters[TEMPORARY]["TagList"] = [*OWN_TAGS, {"Key": ROLE_TAG, "Value": "failed"}]
    with pytest.raises(StepFailed) as failed:
        step(120)
    return str(failed.value)


@pytest.mark.parametrize(
    ("certificate_has_name", "proven", "restarted", "expected"),
    [
        (True, "old", "none", ["open. Clients reach it as before. Nothing"]),
        (True, "old", "rebooted", ["which gave their certificates the name back", "Clients reach it as before."]),
        (False, "old", "none", ["sslmode=verify-full are refused"]),
        (True, None, "none", [f"That {TARGET} leads to it was not proved"]),
    ],
)
def test_what_clients_may_meet_after_the_way_back_is_said(
    rds: FakeRds,
    state: OperationState,
    certificate_has_name: bool,
    proven: Side | None,
    restarted: Restart,
    expected: list[str],
) -> None:
    said = turned_back_and_opened(rds, state, certificate_has_name, proven, restarted)
    assert all(each in said for each in expected), said
    assert ("Clients reach it as before." in said) is (certificate_has_name and proven == "old")


PREVIOUS = [{"Key": ROLE_TAG, "Value": "previous"}, *OWN_TAGS]


def rolling_back(rds: FakeRds, **of_kept: Any) -> Any:
    """Have the step begin a rollback to a cluster that was kept."""
    undone = RolledBack(
        operation_id="the-night",
        resource_id="cluster-NEW",
        other_names=[TEMPORARY, f"{TEMPORARY}-2"],
        replaced_at=NOW,
        login_version_id=AdminSecret.version_for("cluster-NEW"),
    )
    rds.clusters[TEMPORARY] |= {"TagList": PREVIOUS, **of_kept}
    return step(rolls_back=to_builtins(undone))


def test_a_rollback_waits_for_what_passes_and_begins_with_the_plans_own_question(
    rds: FakeRds, state: OperationState
) -> None:
    assert rolling_back(rds, Status="backing-up")["answer"] == "wait"
    assert rds.changes() == []
    assert stored_now(state).record.new.other_names == (TEMPORARY, f"{TEMPORARY}-2")
    assert stored_now(state).record.new.role_beside == "previous"


@pytest.mark.parametrize(
    ("of_kept", "said"),
    [
        ({"TagList": OWN_TAGS}, "is not set, not previous"),
        ({"DbClusterResourceId": "cluster-ANOTHER"}, "no longer exists"),
        ({"TagList": [*PREVIOUS, {"Key": PROTECTED_TAG, "Value": "true"}]}, "is protected by the tag"),
    ],
)
def test_a_rollback_to_what_may_not_have_its_name_back_begins_nothing(
    rds: FakeRds, state: OperationState, of_kept: dict[str, Any], said: str
) -> None:
    with pytest.raises(StepFailed, match=f"{said}.*Nothing was swapped"):
        rolling_back(rds, **of_kept)
    assert rds.changes() == []


@pytest.mark.parametrize(
    "kind",
    [*(each.value for each in SwapAction if each not in (SwapAction.FAIL, SwapAction.DONE)), *get_args(ErrandKind)],
)
def test_everything_that_a_swap_does_has_words_for_people(kind: str) -> None:
    assert doing(kind, TARGET, TEMPORARY) != kind


def test_a_committed_swap_that_ends_back_keeps_that_the_restored_cluster_may_have_been_open(
    rds: FakeRds, state: OperationState
) -> None:
    """Somebody has deleted the restored cluster meanwhile: the replaced one gets its name back."""
    step()
    state.remember(door_opening_at=NOW.isoformat())
    found = stored_now(state)
    record = replace(
        found.record, end="back", turned_at=NOW, committed_at=NOW, gone=("new",), proven="old",
        first_look=FirstLook(("settled",), NOW),
    )  # fmt: skip
    within = Within(has_live_name=True, certificates_of=["old-1"])
    keep_swap(replace(found, record=record, within={"old": within}), state)
    del rds.clusters[TEMPORARY]
    for thing in (rds.clusters[TARGET], rds.instances["old-1"]):
        thing["VpcSecurityGroups"] = in_groups(["sg-old"])
    rds.clusters[TARGET]["TagList"] = [*OWN_TAGS, {"Key": ROLE_TAG, "Value": "live"}]
    with pytest.raises(StepFailed):
        step(120)
    kept = state.recall()
    assert kept is not None
    assert (kept.swap_end, kept.door_opening_at) == ("back", NOW.isoformat())
