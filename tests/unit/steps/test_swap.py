"""The decision table of a swap: what is due in one situation, and what any course of events ends in.

`swap_model` has the clusters, AWS and the faults, `swap_exploration` the promises. An exploration that finds nothing
proves little unless it finds something where a protection is missing: so each is taken away once.
"""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from tests.unit.steps import swap_model
from tests.unit.steps.swap_exploration import explore
from tests.unit.steps.swap_model import (
    ELSEWHERE,
    LIVE,
    NOW,
    OWN,
    PREVIOUS,
    TEMPORARY,
    Rules,
    World,
    first_night,
    rollback,
)
from utils.contracts.swap import (
    Door,
    End,
    FirstLook,
    ObservedCluster,
    Presence,
    Restart,
    Side,
    Status,
    SwapObserved,
    SwapRecord,
)
from utils.state.unseen import APART
from utils.steps import swap
from utils.steps.swap import OTHER, PATIENCE, Parts, SwapAction, SwapDue, due, resumed, turned_back

STARTS: dict[str, Callable[[int], World]] = {
    "the first night": lambda faults: first_night(faults=faults),
    "the first night, without a login to old": lambda faults: first_night(faults=faults, has_login=False),
    "a rollback": lambda faults: rollback(faults=faults),
}


# --- Any course of events ---


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS.keys())
def test_undisturbed_it_ends_with_new_in_service(start: Callable[[int], World]) -> None:
    found = explore(start(0))
    assert (found.violation, found.trace) == (None, [])
    assert found.ends == {"done, forward": 1}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS.keys())
def test_no_single_fault_breaks_a_promise(start: Callable[[int], World]) -> None:
    """At every point, also between a look and the call that follows from it."""
    found = explore(start(1))
    assert (found.violation, found.trace) == (None, [])
    assert found.states > 1_000, "most faults were not met"


# Part of the fault's name, and where it ends: the undisturbed run is among those that end forward.
FORWARD, EITHER = {"done, forward"}, {"done, forward", "done, back"}
ENDS_OF_A_FAULT = {
    "dies before the call": FORWARD,
    "repeated at once": FORWARD,
    "repeated late": FORWARD,
    "arrives late": FORWARD,
    "is delayed": FORWARD,
    "stale, misled": FORWARD,
    "not described": FORWARD,
    "a session appears": FORWARD,
    "is stopped": FORWARD,
    "is restarted": FORWARD,
    "has a busy member": FORWARD,
    "is renamed": FORWARD,
    "old is deleted": FORWARD,
    "new is deleted": EITHER,
    "a person puts a secret": FORWARD,
    "rename is undone": FORWARD,
    "certificate stays": FORWARD,
    "refused for good": EITHER,
    "the proof fails": EITHER,
    "the live name leads elsewhere": EITHER,
    "StopExecution": EITHER,
    "the deadline passes": EITHER,
    "breaks": EITHER | {"broken, forward", "broken, back"},
    f"a stranger takes {LIVE}-": FORWARD,
    f"a stranger takes {LIVE}": FORWARD | {"stranger, back"},
}


@pytest.mark.parametrize(("fault", "ends"), ENDS_OF_A_FAULT.items(), ids=ENDS_OF_A_FAULT.keys())
def test_what_a_fault_ends_in(fault: str, ends: set[str]) -> None:
    """A function that dies, or a person who renames a cluster, costs time and no more."""
    found = explore(first_night(faults=1), Rules(faults=fault))
    assert (found.violation, set(found.ends)) == (None, ends)


def test_a_stop_after_the_commit_is_finished_forward() -> None:
    world = first_night(faults=1)
    committed = world._replace(
        old=world.old._replace(name=PREVIOUS, door="shut", groups=("sg-door",), sessions=False, data_api=False),
        new=world.new._replace(name=LIVE, certificate=LIVE),
        record=a_swap(**COMMITTED),
        secret="new",
    )
    assert set(explore(committed, Rules(faults="StopExecution")).ends) == FORWARD


@pytest.mark.full
@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS.keys())
def test_no_two_faults_break_a_promise(start: Callable[[int], World]) -> None:
    found = explore(start(2))
    assert (found.violation, found.trace) == (None, [])
    assert found.states > 20_000, "most faults were not met"
    assert {each.split(",")[0] for each in found.ends} == {"done", "stranger", "nothing-left", "not-proven", "broken"}


# --- Without a protection ---


class Removed(NamedTuple):
    """What takes a protection away, and after how many faults that shows."""

    what: str
    faults: int
    remove: Callable[[pytest.MonkeyPatch], Rules]
    start: Callable[[int], World] = STARTS["the first night"]


def _without_row(row: Callable[[Parts], SwapDue | None]) -> Callable[[pytest.MonkeyPatch], Rules]:
    def remove(monkeypatch: pytest.MonkeyPatch) -> Rules:
        monkeypatch.setattr(swap, "TABLE", tuple(each for each in swap.TABLE if each is not row))
        return Rules()

    return remove


def _row_first(row: Callable[[Parts], SwapDue | None]) -> Callable[[pytest.MonkeyPatch], Rules]:
    """Before the fence and the names."""

    def move(monkeypatch: pytest.MonkeyPatch) -> Rules:
        rows = [each for each in swap.TABLE if each is not row]
        rows.insert(rows.index(swap.due_to_expire), row)
        monkeypatch.setattr(swap, "TABLE", tuple(rows))
        return Rules()

    return move


def _one_look(shown: str) -> Callable[[pytest.MonkeyPatch], Rules]:
    def remove(monkeypatch: pytest.MonkeyPatch) -> Rules:
        confirmed = Parts.is_confirmed
        monkeypatch.setattr(Parts, "is_confirmed", lambda self, each: each == shown or confirmed(self, each))
        return Rules()

    return remove


def _gone_after_one_look(monkeypatch: pytest.MonkeyPatch) -> Rules:
    monkeypatch.setattr(Parts, "is_gone", lambda self, side: not self.observed.of(side).is_seen)
    return Rules()


def _gone_with_its_writes(monkeypatch: pytest.MonkeyPatch) -> Rules:
    def is_gone(self: Parts, side: Side) -> bool:
        presence = self.observed.of(side).presence
        return presence == "deleted" or (
            presence == "unseen" and (side in self.recorded.gone or self.is_confirmed(side))
        )

    monkeypatch.setattr(Parts, "is_gone", is_gone)
    return Rules()


def _any_door_is_open(monkeypatch: pytest.MonkeyPatch) -> Rules:
    """A door that a misdirected call has opened for the other cluster's clients is good enough."""
    shut_only = swap.winner_shut

    def winner_shut(s: Parts) -> SwapDue | None:
        return None if s.winner.door == "open" else shut_only(s)

    monkeypatch.setattr(swap, "TABLE", tuple(winner_shut if each is shut_only else each for each in swap.TABLE))
    return Rules()


def _back_after_the_commit(record: SwapRecord, now: dt.datetime) -> SwapRecord:
    return replace(record, end="back", turned_at=now, committed_at=None)


def _any_record_is_written(monkeypatch: pytest.MonkeyPatch) -> Rules:
    monkeypatch.setattr(swap_model, "may_be_written", lambda stored, read: True)
    return Rules()


def _one_name_each(faults: int) -> World:
    world = first_night(faults=faults)
    old, new = (replace(each, other_names=each.other_names[:1]) for each in (world.record.old, world.record.new))
    return world._replace(record=replace(world.record, old=old, new=new))


def _no_data_api(faults: int) -> World:
    """The door is the first thing that the fence changes."""
    world = first_night(faults=faults)
    return world._replace(old=world.old._replace(data_api=False))


def _nothing(monkeypatch: pytest.MonkeyPatch) -> Rules:
    return Rules()


PROTECTIONS = [
    Removed("old's sessions are ended before the names move", 0, _without_row(swap.sessions_left)),
    Removed("the winner's door opens last", 0, _row_first(swap.winner_shut)),
    Removed("what was committed is never taken back", 1, lambda _: Rules(turned_back=_back_after_the_commit)),
    Removed("a record replaces only the one that was read", 2, _any_record_is_written),
    Removed("two looks agree at the end", 1, _one_look("settled")),
    Removed("two looks agree on a deletion", 2, _gone_after_one_look),
    Removed("what may hold writes is gone only when RDS reports it", 2, _gone_with_its_writes),
    Removed("a door is opened for its own cluster's clients", 2, _any_door_is_open),
    Removed("old's groups are recorded before they are replaced", 2, lambda _: Rules(record_first=False), _no_data_api),
    Removed("IAM admits calls of the two clusters only", 2, lambda _: Rules(strangers_are_refused=False)),
    Removed("each cluster has a second name", 2, _nothing, _one_name_each),
]
# RDS refuses what comes too late; that nobody waits for ever is a matter of the clock, which the model has not.
ROWS_OF_THE_CLOCK = (swap.time_is_up, swap.nothing_due)
ROWS = [
    Removed(row.__name__, 2 if row is swap.nothing_left else 1, _without_row(row))
    for row in swap.TABLE
    if row not in ROWS_OF_THE_CLOCK
]


# They are found only when most of what two faults lead to was visited.
FOUND_LATE = (
    "what may hold writes is gone only when RDS reports it",
    "a door is opened for its own cluster's clients",
    "each cluster has a second name",
    swap.nothing_left.__name__,
)


@pytest.mark.parametrize(
    "removed",
    [
        pytest.param(each, id=each.what, marks=[pytest.mark.full] if each.what in FOUND_LATE else [])
        for each in (*PROTECTIONS, *ROWS)
    ],
)
def test_without_a_protection_there_is_damage(removed: Removed, monkeypatch: pytest.MonkeyPatch) -> None:
    """So each is needed, and the exploration can fail."""
    assert explore(removed.start(removed.faults), removed.remove(monkeypatch)).violation is not None


# --- One situation ---

EARLIER, LONG_AGO = NOW - APART, NOW - PATIENCE


def a_swap(**recorded: Any) -> SwapRecord:
    """One that has recorded old's groups."""
    record = first_night(faults=0).record
    return replace(record, old=replace(record.old, security_group_ids=OWN["old"]), **recorded)


def fenced_old(**seen: Any) -> ObservedCluster:
    return ObservedCluster(**{"identifier": PREVIOUS, "security_group_ids": ("sg-door",), "role": "previous"} | seen)


def live_new(**seen: Any) -> ObservedCluster:
    return ObservedCluster(
        **{"identifier": LIVE, "door": "open", "security_group_ids": OWN["new"], "role": "live"} | seen
    )


def seen(old: ObservedCluster, new: ObservedCluster, **others: Any) -> SwapObserved:
    """What is seen of both, with the names that follow from it."""
    holders = {each.identifier: f"{side}-id" for side, each in (("old", old), ("new", new)) if each.is_seen}
    return SwapObserved(old=old, new=new, **{"holders": holders, "current_version": "new"} | others)


PROVEN: dict[str, Any] = {"proven": "new"}
COMMITTED: dict[str, Any] = PROVEN | {"committed_at": NOW}
BACK: dict[str, Any] = {"end": "back", "turned_at": NOW}
SHUT: dict[str, Any] = {"door": "shut", "security_group_ids": ("sg-door",)}


@pytest.mark.parametrize(
    ("old", "new", "recorded", "others", "expected"),
    [
        pytest.param(old, new, recorded, others, expected, id=name)
        for name, old, new, recorded, others, expected in [
            ("a look that misses new", {}, {"presence": "unseen"}, {}, {}, "look-again"),
            ("one that RDS has deleted", {}, {"presence": "deleted"}, {}, {}, "choose-end"),
            ("both deleted", {"presence": "deleted"}, {"presence": "deleted"}, {}, {}, "fail nothing-left"),
            ("half an hour without new", {}, SHUT, {"began_at": LONG_AGO}, {}, "turn-back time-is-up"),
            ("half an hour since the commit", {}, SHUT, COMMITTED | {"began_at": LONG_AGO}, {}, "open-door new"),
            ("half an hour, but in service", {}, {}, COMMITTED | {"began_at": LONG_AGO, "committed_at": LONG_AGO}, {},
             "look-again"),
            ("half an hour of the way back", {}, SHUT, BACK | {"began_at": LONG_AGO, "turned_at": LONG_AGO}, {},
             "fail time-is-up"),
            ("a rename refused", {}, SHUT, {"refused": ("rename",)}, {}, "turn-back refused"),
            ("the secret's move refused before the commit", {}, SHUT, PROVEN | {"refused": ("move-label",)}, {},
             "turn-back refused"),
            ("the secret's move refused on the way back", {"identifier": LIVE, "role": "live"},
             {"identifier": TEMPORARY, **SHUT}, BACK | {"proven": "old", "refused": ("move-label",)}, {},
             "open-door old"),
            ("the Data API's return refused", {}, {"missing_settings": ("data_api",)},
             COMMITTED | {"refused": ("data_api",)}, {}, "look-again"),
            ("a backup of old", {"status": "passing"}, SHUT, {}, {}, "wait"),
            ("a busy member of old", {"status": "member-busy"}, SHUT, {}, {}, "wait"),
            ("a member that is busy for longer than the swap may take", {"status": "member-busy", "identifier": LIVE},
             {"identifier": TEMPORARY, **SHUT}, {"began_at": LONG_AGO}, {}, "turn-back time-is-up"),
            ("a busy member of old on the way back", {"status": "member-busy", "identifier": LIVE, "role": "live"},
             {"identifier": TEMPORARY, **SHUT}, BACK | {"proven": "old"}, {"current_version": "old"}, "open-door old"),
            ("a busy member of new on the way back", {"role": "live"}, SHUT | {"status": "member-busy"}, BACK, {},
             f"rename new {TEMPORARY}"),
            ("a busy member of new after the commit", {}, SHUT | {"status": "member-busy"}, COMMITTED, {},
             "open-door new"),
            ("new broken before the commit", {}, SHUT | {"status": "broken"}, {}, {}, "turn-back broken"),
            ("new broken after it", {}, {"status": "broken"}, COMMITTED, {}, "fail broken"),
            ("old broken when nothing needs it", {"status": "broken"}, {}, COMMITTED, {}, "look-again"),
            ("new stopped", {}, {"status": "stopped"}, COMMITTED, {}, "start new"),
            ("old stopped under the live name", {"status": "stopped", "identifier": LIVE},
             {"identifier": TEMPORARY}, {}, {}, "start old"),
            ("old stopped under its own", {"status": "stopped"}, {}, COMMITTED, {}, "look-again"),
            ("a stranger under the live name", {}, {"identifier": TEMPORARY}, {},
             {"holders": {LIVE: "stranger-id"}}, "look-again"),
            ("a stranger for good", {}, {"identifier": TEMPORARY, **SHUT},
             {"first_look": FirstLook(("stranger",), EARLIER)}, {"holders": {LIVE: "stranger-id"}},
             "turn-back stranger"),
            ("a stranger on the way back", {"role": "live"}, {"identifier": TEMPORARY, **SHUT},
             BACK | {"first_look": FirstLook(("stranger",), EARLIER)}, {"holders": {LIVE: "stranger-id"}},
             "open-door old"),
            ("a winner that the expiry may delete", {}, {"identifier": TEMPORARY, "role": "previous"}, {}, {},
             "tag-as-swapping new"),
            ("old's Data API", {"data_api": True}, SHUT, {}, {}, "disable-data-api old"),
            ("old's door", {"door": "open"}, SHUT, {}, {}, "shut-door old"),
            ("old's door, shutting", {"door": "shutting"}, SHUT, {}, {}, "wait"),
            ("old's sessions", {"sessions_left": True}, SHUT, {}, {}, "end-sessions old"),
            ("old's sessions without a login", {"sessions_left": True, "has_login": False}, SHUT, {}, {},
             "reboot-members old"),
            ("old has the live name", {"identifier": LIVE}, {"identifier": TEMPORARY}, {}, {},
             f"rename old {PREVIOUS}"),
            ("old's name is taken", {"identifier": LIVE}, {"identifier": TEMPORARY}, {},
             {"holders": {LIVE: "old-id", PREVIOUS: "stranger-id"}}, f"rename old {PREVIOUS}-2"),
            ("new was renamed by a person", {}, {"identifier": ELSEWHERE}, COMMITTED, {}, f"rename new {LIVE}"),
            ("a stale certificate", {}, SHUT | {"certificate_has_live_name": False}, {}, {}, "reboot-members new"),
            ("a stale certificate after a reboot", {},
             SHUT | {"certificate_has_live_name": False, "restarted": "rebooted"}, {}, {}, "stop new"),
            ("a reboot that has not renewed it before", {}, SHUT | {"certificate_has_live_name": False},
             {"restart_that_renews": "stopped-and-started"}, {}, "stop new"),
            ("a certificate stale for good", {},
             SHUT | {"certificate_has_live_name": False, "restarted": "stopped-and-started"}, {}, {},
             "turn-back stale-certificate"),
            ("no proof yet", {}, SHUT, {}, {}, "prove new"),
            ("one proof failed", {}, SHUT, {"failed_proofs": 1}, {}, "prove new"),
            ("both proofs failed", {}, SHUT, {"failed_proofs": 2}, {}, "turn-back not-proven"),
            ("both proofs failed without old", {"presence": "deleted"}, SHUT, {"failed_proofs": 2, "gone": ("old",)},
             {}, "fail not-proven"),
            ("both proofs failed on the way back", {"identifier": LIVE, "role": "live"},
             {"identifier": TEMPORARY, **SHUT}, BACK | {"failed_proofs": 2}, {"current_version": "old"},
             "open-door old"),
            ("old's secret is the current one", {}, SHUT, PROVEN, {"current_version": "old"}, "move-label new"),
            ("a person's secret is the current one", {}, SHUT, PROVEN, {"current_version": "other"}, "commit new"),
            ("new's door, not committed", {}, SHUT, PROVEN, {}, "commit new"),
            ("new's door, committed", {}, SHUT, COMMITTED, {}, "open-door new"),
            ("new's door, opening", {}, {"door": "opening"}, COMMITTED, {}, "wait"),
            ("new's door, with a group that its owner added", {}, {"security_group_ids": (*OWN["new"], "sg-more")},
             COMMITTED, {}, "look-again"),
            ("old's role", {"role": "live"}, {}, COMMITTED, {}, "set-roles new"),
            ("a setting", {}, {"missing_settings": ("scaling", "data_api")}, COMMITTED, {}, "restore-setting new"),
            ("nothing", {}, {}, COMMITTED, {}, "look-again"),
            ("nothing, twice", {}, {}, COMMITTED | {"first_look": FirstLook(("settled",), EARLIER)}, {}, "done"),
        ]
    ],
)  # fmt: skip
def test_the_first_row_that_applies_is_due(
    old: dict[str, Any], new: dict[str, Any], recorded: dict[str, Any], others: dict[str, Any], expected: str
) -> None:
    found = due(seen(fenced_old(**old), live_new(**new), **others), a_swap(**{"began_at": NOW} | recorded), NOW)
    action, *details = expected.split()
    assert found.action.value == action
    assert set(details) <= {found.side, found.reason, found.new_name}


def test_a_second_look_keeps_the_time_of_the_first() -> None:
    """Polls that come sooner do not put off the moment when two looks agree."""
    first = FirstLook(("settled",), NOW - APART / 2)
    found = due(seen(fenced_old(), live_new()), a_swap(**COMMITTED, first_look=first), NOW)
    assert (found.action, found.record.first_look) == (SwapAction.LOOK_AGAIN, first)


def test_a_look_that_shows_something_else_ends_the_doubt() -> None:
    first = FirstLook(("settled",), EARLIER)
    found = due(seen(fenced_old(), live_new(role="none")), a_swap(**COMMITTED, first_look=first), NOW)
    assert (found.action, found.record.first_look) == (SwapAction.SET_ROLES, None)


def test_the_groups_that_a_fence_replaces_are_recorded_once() -> None:
    world = first_night(faults=0)
    old = fenced_old(identifier=LIVE, door="open", security_group_ids=("sg-old",))
    new = live_new(identifier=TEMPORARY, **SHUT)
    found = due(seen(old, new), world.record, NOW)
    assert (found.action, found.record.old.security_group_ids) == (SwapAction.SHUT_DOOR, ("sg-old",))
    reopened = replace(old, security_group_ids=("sg-somebody",))
    assert due(seen(reopened, new), found.record, NOW).record.old.security_group_ids == ("sg-old",)


def test_an_execution_that_was_stopped_turns_back_only_before_the_commit() -> None:
    turned = turned_back(a_swap(proven="new", failed_proofs=1, refused=("rename",)), NOW)
    assert (turned.end, turned.turned_at, turned.proven, turned.failed_proofs, turned.refused) == (
        "back", NOW, None, 0, (),
    )  # fmt: skip
    assert turned_back(turned, NOW + APART) == turned
    committed = a_swap(committed_at=NOW)
    assert turned_back(committed, NOW) == committed


def test_a_swap_that_is_resumed_has_its_time_and_its_tries_again() -> None:
    failed = a_swap(**BACK | {"began_at": LONG_AGO, "turned_at": LONG_AGO, "refused": ("rename",)})
    back = seen(fenced_old(identifier=LIVE, role="live"), live_new(identifier=TEMPORARY, **SHUT))
    assert due(back, failed, NOW).reason == "time-is-up"
    assert due(back, resumed(failed, NOW), NOW).action is SwapAction.PROVE


# --- Every situation ---

NAMES: dict[Side, tuple[str, ...]] = {"old": (LIVE, PREVIOUS, ELSEWHERE), "new": (LIVE, TEMPORARY, ELSEWHERE)}
STATUSES: tuple[Status, ...] = ("available", "renaming", "passing", "member-busy", "stopped", "broken")
DOORS: tuple[Door, ...] = ("open", "opening", "shutting", "shut")
CERTIFICATES: tuple[tuple[bool, Restart], ...] = (
    (True, "none"),
    (False, "none"),
    (False, "rebooted"),
    (False, "stopped-and-started"),
)
ENDS: tuple[End, ...] = ("forward", "back")
GONE: tuple[tuple[Side, ...], ...] = ((), ("old",), ("new",))
PROVEN_ONES: tuple[Side | None, ...] = (None, "old", "new")
LOOKS = (
    None,
    *(FirstLook(each, EARLIER) for each in (("old",), ("new",), ("old", "new"), ("stranger",), ("settled",))),
)


def every_cluster(side: Side) -> list[ObservedCluster]:
    """Every combination of what the table asks of one cluster that one field does not decide alone."""
    unseen: list[Presence] = ["unseen", "deleted"]
    return [ObservedCluster(presence=each, identifier=LIVE) for each in unseen] + [
        ObservedCluster(
            identifier=name,
            status=status,
            door=door,
            security_group_ids=OWN[side] if door in ("open", "opening") else ("sg-door",),
            sessions_left=sessions_left,
            certificate_has_live_name=certificate,
            restarted=restarted,
        )
        for name, status, door, sessions_left, (certificate, restarted) in itertools.product(
            NAMES[side],
            STATUSES,
            DOORS,
            (True, False),
            CERTIFICATES,
        )
    ]


def every_record() -> list[SwapRecord]:
    """Every combination of what is recorded, but for moments."""
    return [
        a_swap(end=end, committed_at=committed, gone=gone, proven=proven, first_look=look)
        for end, committed, gone, proven, look in itertools.product(ENDS, (None, NOW), GONE, PROVEN_ONES, LOOKS)
    ]


def why_wrong(observed: SwapObserved, recorded: SwapRecord) -> str | None:
    """Return what is wrong with the action that is due; None where it can be carried out and does no harm."""
    found = due(observed, recorded, NOW)
    winning: Side = "new" if recorded.end == "forward" else "old"
    if (found.wait_seconds > 0) != (found.action in (SwapAction.LOOK_AGAIN, SwapAction.WAIT)):
        return "waits without need, or not at all"
    if (found.reason is not None) != (found.action in (SwapAction.TURN_BACK, SwapAction.FAIL)):
        return "gives up without a reason, or a reason without giving up"
    if found.action is SwapAction.TURN_BACK:
        return None if (recorded.end, recorded.committed_at) == ("forward", None) else "turns back where it may not"
    if found.side is None or found.action is SwapAction.COMMIT:
        return None
    cluster, other = observed.of(found.side), observed.of(OTHER[found.side])
    if not cluster.is_seen or found.name != cluster.identifier:
        return "acts on what is not there"
    # A call that RDS refuses because of a busy member is repeated, but only where waiting would lock clients out.
    tried = ("available", "member-busy") if recorded.end == "back" or recorded.committed_at else ("available",)
    if cluster.status not in (("stopped",) if found.action is SwapAction.START else tried):
        return "acts on what RDS does not change now"
    if found.action is SwapAction.RENAME and (
        found.new_name in observed.holders or not _is_fenced_or_gone(other, cluster)
    ):
        return "renames to a name that is taken, or without a fence"
    if found.action is SwapAction.OPEN_DOOR and (found.side != winning or (other.is_seen and not other.is_fenced)):
        return "opens the loser, or the winner beside an open loser"
    if found.action is SwapAction.OPEN_DOOR and found.side == "new" and recorded.committed_at is None:
        return "opens new without a commit"
    if found.action in (SwapAction.SHUT_DOOR, SwapAction.END_SESSIONS) and found.side == winning:
        return "fences the winner"
    return None


def _is_fenced_or_gone(*clusters: ObservedCluster) -> bool:
    """One of the two is: the loser, whichever that is."""
    return any(not each.is_seen or each.is_fenced for each in clusters)


def situations() -> tuple[list[tuple[ObservedCluster, ObservedCluster]], list[SwapRecord], list[str]]:
    """Return the pairs of clusters that have two names, the records, and the names that a stranger may have."""
    pairs = itertools.product(every_cluster("old"), every_cluster("new"))
    possible = [
        (old, new) for old, new in pairs if not (old.is_seen and new.is_seen and old.identifier == new.identifier)
    ]
    return possible, every_record(), ["", LIVE, PREVIOUS]


def assert_right(old: ObservedCluster, new: ObservedCluster, recorded: SwapRecord, taken: str) -> None:
    observed = seen(old, new)
    if taken and taken not in observed.holders:
        observed.holders[taken] = "stranger-id"
    assert why_wrong(observed, recorded) is None, (observed, recorded)


def test_any_situation_has_one_action_that_can_be_carried_out() -> None:
    """A sample of all that could be observed, whether or not a run can come to it."""
    chance = random.Random(14)
    pairs, records, strangers = situations()
    for _ in range(20_000):
        assert_right(*chance.choice(pairs), chance.choice(records), chance.choice(strangers))


@pytest.mark.full
def test_every_situation_has_one_action_that_can_be_carried_out() -> None:
    """Every pair of clusters; the records, and the names that a stranger may have, take turns."""
    pairs, records, strangers = situations()
    others = itertools.cycle(itertools.product(records, strangers))
    for old, new in pairs:
        assert_right(old, new, *next(others))
