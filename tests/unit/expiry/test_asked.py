"""A cluster that a person asks to delete before its time: the clock and the warning are passed by, and no proof is."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.expiry import test_due, test_replaced
from tests.unit.expiry.test_due import CLUSTER, ENTRY, EXPIRES, LATER, PROTECTED, RECORD, a_cluster, an_instance, tags
from tests.unit.expiry.test_sweep import DRILL, HOUR, LATER_SWEEP, SWEEP, Sweeps, ask, secrets, sweeps
from tests.unit.expiry.test_sweep_of_replaced import OLD, replaced
from tests.unit.fakes.rds import FakeRds
from tests.unit.support import EXECUTION, NOW, OPERATION, OWN_TAGS
from utils.aurora_utils.resources import EXPIRY_TAG, PROTECTED_TAG, ROLE_TAG
from utils.errors import RequestRefused, StepFailed
from utils.expiry.due import ExpiryAction, decide
from utils.state.expiry import ExpiringCluster, ExpiryRegister, expiry_text
from utils.state.lock import TargetLock
from utils.state.values import iso

pytestmark = pytest.mark.usefixtures("account", "sweeps")
__all__ = ["sweeps"]

DECIDED_AT = NOW + dt.timedelta(hours=1)
ASKED = {"expire": {"operation_id": OPERATION, "cluster": DRILL}}


def look(sweeps: Sweeps, given: Any = ASKED, progress: Any = None, started_at: dt.datetime | None = None) -> Any:
    now = sweeps.clock.now
    about = {"execution_id": SWEEP, "execution_name": SWEEP[-1], "now": now, "started_at": started_at or now}
    return ask({"execution": about, "progress": progress or {}, "given": given})


def sweep(sweeps: Sweeps, given: Any = ASKED) -> Any:
    """The state machine's loop."""
    began, progress = sweeps.clock.now, look(sweeps, given)
    for _ in range(100):
        if progress["answer"] == "done":
            return progress
        sweeps.clock.pass_seconds(progress["wait_seconds"])
        progress = look(sweeps, given, progress, began)
    raise AssertionError("it never ended")


def cases(test: Any) -> Any:
    """The cases of another test, which hold here as well."""
    [mark] = test.pytestmark
    return mark.args[1]


def untouched(sweeps: Sweeps, rds: FakeRds, given: Any, why: str) -> None:
    """Refuse it, change nothing, write nothing down and leave the lock to others."""
    before = ExpiryRegister().entries()
    with pytest.raises(RequestRefused, match=why):
        look(sweeps, given)
    assert rds.changes() == []
    assert (sweeps.subjects(), sweeps.audit()) == ([], [])
    assert ExpiryRegister().entries() == before
    assert TargetLock(DRILL, "another", EXECUTION).take(sweeps.clock.now) is None


# What is due.


@pytest.mark.parametrize(
    ("entry", "cluster", "action"),
    [
        # Not warned of, and long before its time.
        (ENTRY, CLUSTER, ExpiryAction.DELETE),
        (ENTRY, a_cluster(TagList=tags(expires="2026-03-10T03:00:00Z")), ExpiryAction.DELETE),
        # Somebody has extended it.
        (ENTRY, a_cluster(TagList=tags(expires=LATER)), ExpiryAction.KEEP),
        (ENTRY, None, ExpiryAction.FORGET),
        (ENTRY, a_cluster(Status="deleting"), ExpiryAction.NOTHING),
    ],
)
def test_what_is_due_of_one_that_a_person_asks_for(entry: ExpiringCluster, cluster: Any, action: ExpiryAction) -> None:
    found = decide(entry, RECORD, cluster, [an_instance()], DECIDED_AT, asked=True)
    assert (found.action, bool(found.why)) == (action, action is not ExpiryAction.DELETE)


def test_its_protection_is_switched_off_only_where_the_plan_gave_it() -> None:
    cluster = a_cluster(DeletionProtection=True)
    assert decide(ENTRY, PROTECTED, cluster, [], DECIDED_AT, asked=True).action is ExpiryAction.SWITCH_PROTECTION_OFF
    assert decide(ENTRY, RECORD, cluster, [], DECIDED_AT, asked=True).action is ExpiryAction.KEEP


@pytest.mark.parametrize(
    ("cluster", "instances", "why"),
    cases(test_due.test_what_somebody_has_changed_keeps_the_cluster),
)
def test_every_reason_to_keep_it_at_its_end_keeps_it_before(cluster: Any, instances: Any, why: str) -> None:
    found = decide(ENTRY, RECORD, cluster, instances, DECIDED_AT, asked=True)
    assert found.action is ExpiryAction.KEEP
    assert why in found.why


@pytest.mark.parametrize(
    ("cluster", "swap", "why"),
    cases(test_replaced.test_what_does_not_fit_the_swap_is_kept),
)
def test_so_does_every_reason_to_keep_a_replaced_one(cluster: Any, swap: Any, why: str) -> None:
    entry = replace(test_replaced.PREVIOUS, warned_of=None, warned_at=None)
    found = decide(entry, test_replaced.NIGHT, cluster, [], DECIDED_AT, swap, asked=True)
    assert found.action is ExpiryAction.KEEP
    assert why in found.why


def test_what_a_record_does_not_know_and_what_is_swapping_stays() -> None:
    for record in (
        None,
        replace(RECORD, cluster_resource_id="cluster-NEWER"),
        replace(RECORD, cluster_expires_at=None),
    ):
        assert decide(ENTRY, record, CLUSTER, [], DECIDED_AT, asked=True).action is ExpiryAction.KEEP
    swapping = a_cluster(TagList=[*tags(), {"Key": ROLE_TAG, "Value": "swapping"}])
    assert decide(ENTRY, RECORD, swapping, [], DECIDED_AT, asked=True).action is ExpiryAction.NOTHING


def test_one_whose_deletion_was_asked_for_and_has_begun_is_finished_by_any_sweep_unless_it_is_extended() -> None:
    begun = replace(ENTRY, deletion_began_at=iso(DECIDED_AT), asked_at=iso(DECIDED_AT))
    assert decide(begun, RECORD, CLUSTER, [], DECIDED_AT).action is ExpiryAction.DELETE
    extended = a_cluster(TagList=tags(expires=LATER))
    assert decide(begun, RECORD, extended, [], DECIDED_AT).action is ExpiryAction.KEEP
    assert decide(begun, RECORD, extended, [], EXPIRES + dt.timedelta(hours=24)).action is ExpiryAction.WARN


def test_what_was_asked_for_a_day_ago_and_kept_since_expires_when_it_would_have() -> None:
    begun = replace(ENTRY, deletion_began_at=iso(DECIDED_AT), asked_at=iso(DECIDED_AT - dt.timedelta(hours=25)))
    assert decide(begun, RECORD, CLUSTER, [], DECIDED_AT).action is not ExpiryAction.DELETE


def begun(sweeps: Sweeps, rds: FakeRds) -> dict[str, Any]:
    """A cluster whose deletion a person has asked for: one of its instances cannot be deleted yet."""
    cluster = sweeps.restored()
    rds.refuse("DeleteDBInstance", "InvalidDBInstanceState", "busy", times=1)
    rds.refuse("DeleteDBCluster", "InvalidDBClusterStateFault", "busy", times=1)
    look(sweeps)
    (entry,) = ExpiryRegister().entries()
    assert entry.asked_at is not None
    return cluster


PROTECTED_NOW = {"Key": PROTECTED_TAG, "Value": "true"}
MORE_TIME = {"Key": EXPIRY_TAG, "Value": expiry_text(EXPIRES + dt.timedelta(hours=1))}
AS_IT_WAS = {"Key": EXPIRY_TAG, "Value": expiry_text(EXPIRES)}


@pytest.mark.parametrize("tags_now", [[AS_IT_WAS, PROTECTED_NOW], [MORE_TIME]], ids=["protected", "extended"])
def test_what_somebody_keeps_after_it_was_asked_for_has_to_be_asked_for_again(
    sweeps: Sweeps, rds: FakeRds, tags_now: list[dict[str, str]]
) -> None:
    cluster = begun(sweeps, rds)
    cluster["TagList"] = [*OWN_TAGS, *tags_now]
    assert look(sweeps, None)["kept"] == [DRILL]
    (entry,) = ExpiryRegister().entries()
    assert (entry.asked_at, entry.deletion_began_at is not None) == (None, True)
    cluster["TagList"] = [*OWN_TAGS, AS_IT_WAS]
    rds.calls.clear()
    look(sweeps, None)
    assert rds.changes() == [], "who kept it did not ask for its end"
    assert sweep(sweeps)["deleted"] == [DRILL]


# The sweep.


def test_it_is_deleted_with_its_secrets_and_the_message_says_that_somebody_has_asked(
    sweeps: Sweeps, rds: FakeRds
) -> None:
    sweeps.restored()
    rds.seconds = {"DeleteDBInstance": 300, "DeleteDBCluster": 400}
    assert sweep(sweeps)["deleted"] == [DRILL]
    assert (rds.clusters, rds.instances, secrets()) == ({}, {}, [])
    assert (sweeps.subjects(), sweeps.audit()) == (["EXPIRED"], ["deleting", "deleted"])
    assert "before its time, because somebody has asked for that" in sweeps.last_message()
    assert ExpiryRegister().entries() == []


def test_no_other_cluster_is_touched_or_even_warned_of(sweeps: Sweeps, rds: FakeRds) -> None:
    sweeps.restored()
    sweeps.restored("drill-two", "another-operation")
    sweeps.until(EXPIRES - dt.timedelta(hours=18))
    assert sweep(sweeps) | {"wait_seconds": 0} == {
        "answer": "done",
        "wait_seconds": 0,
        "waiting_for": [],
        "warned": [],
        "kept": [],
        "deleted": [DRILL],
        "failed": {},
    }
    assert list(rds.clusters) == ["drill-two"]


def test_a_replaced_one_goes_and_the_live_one_stays_with_its_secrets(sweeps: Sweeps, rds: FakeRds) -> None:
    replaced(sweeps, rds)
    asked = {"expire": {"operation_id": "the-night", "cluster": OLD}}
    assert sweep(sweeps, asked)["deleted"] == [OLD]
    assert list(rds.clusters) == [DRILL]
    assert secrets() != []


def test_the_live_target_is_never_deleted(sweeps: Sweeps, rds: FakeRds) -> None:
    replaced(sweeps, rds)
    asked = {"expire": {"operation_id": "the-night", "cluster": DRILL}}
    untouched(sweeps, rds, asked, "is not registered to expire")


@pytest.mark.parametrize(
    "given", [{}, None, [], "expire", {"Expire": 1}, {"operation_id": OPERATION, "cluster": DRILL}]
)
def test_any_other_input_is_a_sweep_as_ever(sweeps: Sweeps, rds: FakeRds, given: Any) -> None:
    sweeps.restored()
    assert look(sweeps, given)["answer"] == "done"
    assert rds.changes() == []


@pytest.mark.parametrize(
    "given",
    [
        {"expire": None},
        {"expire": DRILL},
        {"expire": {}},
        {"expire": {"operation_id": OPERATION}},
        {"expire": {"operation_id": OPERATION, "cluster": [DRILL]}},
        {"expire": {"operation_id": OPERATION, "cluster": None}},
        {"expire": {"operation_id": OPERATION, "cluster": DRILL, "force": True}},
        {**ASKED, "dry_run": True},
    ],
)
def test_what_is_not_understood_is_refused(sweeps: Sweeps, rds: FakeRds, given: Any) -> None:
    sweeps.restored()
    untouched(sweeps, rds, given, r"Nothing was deleted. Give \{")


@pytest.mark.parametrize(
    ("operation", "cluster"),
    [(OPERATION, "drill-two"), ("another", DRILL), (OPERATION, DRILL.upper()), (OPERATION, f"{DRILL} "), ("", "")],
)
def test_what_is_not_registered_under_both_names_is_refused(
    sweeps: Sweeps, rds: FakeRds, operation: str, cluster: str
) -> None:
    sweeps.restored()
    rds.add_cluster("drill-two")
    untouched(sweeps, rds, {"expire": {"operation_id": operation, "cluster": cluster}}, "is not registered to expire")


def test_a_name_that_is_asked_for_forges_no_line(sweeps: Sweeps, rds: FakeRds) -> None:
    with pytest.raises(RequestRefused) as refused:
        look(sweeps, {"expire": {"operation_id": "a\nb" * 9_000, "cluster": "c\x1b[2J"}})
    assert "\n" not in str(refused.value)
    assert "\x1b" not in str(refused.value)
    assert len(str(refused.value)) < 1_000


def test_what_somebody_has_extended_or_protected_is_refused_and_says_why(sweeps: Sweeps, rds: FakeRds) -> None:
    cluster = sweeps.restored()
    later = {"Key": EXPIRY_TAG, "Value": expiry_text(EXPIRES + dt.timedelta(hours=1))}
    cluster["TagList"] = [*OWN_TAGS, later]
    untouched(sweeps, rds, ASKED, r"has been extended by its tag .* until 2026-03-13T04:00:00Z")
    cluster["TagList"] = [*OWN_TAGS, {**later, "Value": expiry_text(EXPIRES)}, {"Key": PROTECTED_TAG, "Value": "true"}]
    with pytest.raises(RequestRefused, match="is protected by the tag"):
        look(sweeps)
    assert rds.changes() == []


def test_what_is_gone_or_going_is_refused(sweeps: Sweeps, rds: FakeRds) -> None:
    cluster = sweeps.restored()
    cluster["Status"] = "deleting"
    untouched(sweeps, rds, ASKED, "is being deleted already")
    rds.clusters.clear()
    with pytest.raises(RequestRefused, match="no longer exists"):
        look(sweeps)


def test_while_another_execution_works_on_the_target_it_is_refused(sweeps: Sweeps, rds: FakeRds) -> None:
    sweeps.restored()
    TargetLock(DRILL, "newer", EXECUTION).take(sweeps.clock.now)
    with pytest.raises(RequestRefused, match=r"is locked by .*: retry when that has ended"):
        look(sweeps)
    assert (rds.changes(), sweeps.audit()) == ([], [])


def test_what_was_extended_before_the_lock_was_held_is_refused_and_the_lock_is_free(
    sweeps: Sweeps, rds: FakeRds, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = sweeps.restored()
    claim = TargetLock.claim

    def extended_meanwhile(lock: TargetLock, now: dt.datetime) -> Any:
        cluster["TagList"] = [*OWN_TAGS, {"Key": EXPIRY_TAG, "Value": LATER}]
        return claim(lock, now)

    monkeypatch.setattr(TargetLock, "claim", extended_meanwhile)
    untouched(sweeps, rds, ASKED, "has been extended")


def test_what_is_extended_while_its_protection_is_switched_off_stays_until_its_new_time(
    sweeps: Sweeps, rds: FakeRds
) -> None:
    cluster = sweeps.restored(DeletionProtection=True)
    rds.seconds = {"ModifyDBCluster": 60}
    progress = look(sweeps)
    assert progress["waiting_for"] == [DRILL]
    cluster["TagList"] = [*OWN_TAGS, {"Key": EXPIRY_TAG, "Value": expiry_text(EXPIRES + dt.timedelta(hours=72))}]
    sweeps.clock.pass_seconds(60)
    ended = look(sweeps, progress=progress)
    assert (ended["answer"], ended["deleted"], rds.changes()) == ("done", [], ["ModifyDBCluster"])
    assert TargetLock(DRILL, "newer", EXECUTION).take(sweeps.clock.now) is None


@pytest.mark.parametrize("operation", ["DeleteDBInstance", "DeleteDBCluster"])
def test_one_that_died_half_way_is_continued_by_an_ordinary_sweep(sweeps: Sweeps, rds: FakeRds, operation: str) -> None:
    sweeps.restored()
    rds.seconds = {"DeleteDBInstance": 300, "DeleteDBCluster": 400}
    rds.lose_answer(operation)
    look(sweeps)
    sweeps.clock.pass_seconds(HOUR)
    sweeps.machine.statuses[SWEEP] = "ABORTED"
    assert sweeps.sweep(LATER_SWEEP)["deleted"] == [DRILL]
    assert (rds.clusters, secrets()) == ({}, [])


def test_a_last_look_whose_answer_was_lost_is_repeated_without_a_refusal(sweeps: Sweeps, rds: FakeRds) -> None:
    sweeps.restored()
    rds.seconds = {"DeleteDBInstance": 300, "DeleteDBCluster": 400}
    progress = before = look(sweeps)
    while ExpiryRegister().entries():
        sweeps.clock.pass_seconds(progress["wait_seconds"])
        before, progress = progress, look(sweeps, progress=progress)
    assert look(sweeps, progress=before)["answer"] == "done"
    assert sweeps.audit() == ["deleting", "deleted"]


def test_one_that_cannot_be_deleted_fails_as_any_other(sweeps: Sweeps, rds: FakeRds) -> None:
    sweeps.restored()
    rds.refuse("DeleteDBInstance", "AccessDenied", status=403)
    rds.refuse("DeleteDBCluster", "AccessDenied", status=403)
    with pytest.raises(StepFailed, match=DRILL):
        sweep(sweeps)
    assert sweeps.subjects() == ["FAILED"]
