"""Two clusters, a stranger, a step that may die anywhere, and AWS between them: all that a swap can meet.

A state is everything that a run depends on; `successors` yields each state that can follow. What costs nothing is what
AWS and the step do by themselves, in any order; a fault costs one of those that are left. RDS is called by name, a
rename holds both names until it ends, doors change after the call, and a session outlives the door that let it in.

Time is only whether the two looks of a doubt are far enough apart, and whether the deadline has passed: a moment is now
or long ago. A call that is repeated late arrives at any time, and a function that is delayed continues at any time, but
before a wait between two looks is over.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from msgspec.structs import replace

from utils.contracts.swap import (
    Door,
    FirstLook,
    ObservedCluster,
    RecordedCluster,
    Restart,
    Role,
    Side,
    Status,
    SwapObserved,
    SwapRecord,
    VersionOwner,
)
from utils.state.unseen import APART
from utils.steps import swap
from utils.steps.swap import PATIENCE, SwapAction, SwapDue, resumed, turned_back

NOW = dt.datetime(2026, 11, 28, 3, 0, tzinfo=dt.UTC)
LIVE, PREVIOUS, TEMPORARY, ELSEWHERE = "shop", "shop-old", "shop-new", "elsewhere"
DOOR, OWN = ("sg-door",), {"old": ("sg-old",), "new": ("sg-wanted",)}
SIDES: tuple[Side, Side] = ("old", "new")
# A deletion is visible in the describes before RDS has an event of it.
EXISTS, DELETED, DELETION_REPORTED = "exists", "deleted", "deletion-reported"
STATUSES: dict[str, Status] = {
    "available": "available",
    "renaming": "renaming",
    "member-busy": "member-busy",
    "stopped": "stopped",
    "broken": "broken",
}
MISLED = "misled"
# The others end when a person has had the operation resumed.
FINAL = ("nothing-left", "stranger", "no-free-name", "stale-certificate", "not-proven", "broken", "groups-unknown")


class Body(NamedTuple):
    """A cluster as it is. `wanted_name` while it is renamed; `ends_as` is what a passing status becomes."""

    name: str
    existence: str = EXISTS
    status: str = "available"
    wanted_name: str = ""
    door: Door = "shut"
    groups: tuple[str, ...] = DOOR
    sessions: bool = False
    certificate: str = ""
    restarted: Restart = "none"
    data_api: bool = False
    role: Role = "none"
    missing_settings: bool = False

    @property
    def exists(self) -> bool:
        return self.existence == EXISTS

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, self.wanted_name) if self.exists else ()

    @property
    def serves(self) -> bool:
        """Whether it can be reached: one that has a busy member can, by the others at least."""
        return self.status in ("available", "member-busy")

    @property
    def is_writable(self) -> bool:
        is_up = self.exists and self.status not in ("stopped", "broken")
        return is_up and (self.door != "shut" or self.sessions or self.data_api)


class Call(NamedTuple):
    """A call of AWS: by name, or of one cluster's members, which have names of their own."""

    action: SwapAction
    side: Side
    name: str
    new_name: str
    groups: tuple[str, ...] = ()
    role: Role = "none"


class World(NamedTuple):
    """Everything that a run depends on."""

    old: Body
    new: Body
    record: SwapRecord
    secret: VersionOwner = "old"
    stranger: str = ""
    # What AWS refuses until a person has seen to it.
    refusing: SwapAction | None = None
    has_login: bool = True
    # The live name leads elsewhere, also where new has it.
    leads_elsewhere: bool = False
    # What a stale look shows: each cluster before its last change. Empty once no fault is left.
    before: tuple[Body | None, Body | None] = (None, None)
    late: Call | None = None
    # A function that has decided, has not written yet, and continues later, beside the next one.
    delayed: tuple[SwapDue, SwapRecord] | None = None
    faults_left: int = 0
    ended: str = ""
    # What no state may lose sight of: where clients were let in again, and whether a stranger was changed.
    served_again: tuple[Side, ...] = ()
    stranger_changed: bool = False

    def body(self, side: Side) -> Body:
        return self.old if side == "old" else self.new

    def showing(self, side: Side, body: Body) -> World:
        return self._replace(old=body) if side == "old" else self._replace(new=body)


class Rules(NamedTuple):
    """What protects a run beside the decision table. A test takes one away and looks for the damage."""

    due: Callable[[SwapObserved, SwapRecord, dt.datetime], SwapDue] = swap.due
    turned_back: Callable[[SwapRecord, dt.datetime], SwapRecord] = turned_back
    record_first: bool = True
    strangers_are_refused: bool = True
    # Part of the name of the faults that may happen.
    faults: str = ""


def first_night(*, faults: int, has_login: bool = True) -> World:
    """Old is live; new is restored, verified and behind the door."""
    return World(
        old=Body(LIVE, door="open", groups=OWN["old"], sessions=True, certificate=LIVE, data_api=True, role="live"),
        new=Body(TEMPORARY, certificate=TEMPORARY, missing_settings=True),
        record=SwapRecord(
            live_name=LIVE,
            began_at=NOW,
            old=RecordedCluster(resource_id="old-id", other_names=(PREVIOUS, PREVIOUS + "-2")),
            new=RecordedCluster(
                resource_id="new-id",
                other_names=(TEMPORARY, TEMPORARY + "-2"),
                security_group_ids=OWN["new"],
                role_beside="failed",
            ),
        ),
        has_login=has_login,
        faults_left=faults,
    )


def rollback(*, faults: int) -> World:
    """The replaced cluster is to be live once more: today's live one is old, and the kept one, tagged so, is new."""
    world = first_night(faults=faults)
    kept = replace(world.record.new, other_names=(PREVIOUS, PREVIOUS + "-2"), role_beside="previous")
    replaced = replace(world.record.old, other_names=("shop-rolledback", "shop-rolledback-2"))
    return world._replace(
        new=world.new._replace(name=PREVIOUS, certificate=LIVE, role="previous"),
        record=replace(world.record, old=replaced, new=kept),
    )


def settled_world(world: World) -> World:
    """Let in clients where a door isn't shut, and forget what no stale look can show any longer."""
    changes: dict[str, Any] = {}
    for side in SIDES:
        body = world.body(side)
        if body.exists and body.serves and body.door != "shut" and not body.sessions:
            changes[side] = body._replace(sessions=True)
    if world.faults_left == 0 and world.before != (None, None):
        changes["before"] = (None, None)
    return world._replace(**changes) if changes else world


def with_body(world: World, side: Side, body: Body) -> World:
    """Change one cluster, and keep what a stale look may show of it."""
    old, new = world.before
    if world.faults_left > 0:
        old, new = (world.old, new) if side == "old" else (old, world.new)
    return world.showing(side, body)._replace(before=(old, new))


def view(world: World) -> SwapObserved:
    """What RDS describes."""
    holders = {world.stranger: "stranger-id"} if world.stranger else {}
    for side in SIDES:
        holders |= dict.fromkeys((each for each in world.body(side).names if each), f"{side}-id")
    return SwapObserved(
        old=_described(world.old, world.has_login),
        new=_described(world.new, has_login=True),
        holders=holders,
        current_version=world.secret,
    )


def _described(body: Body, has_login: bool) -> ObservedCluster:
    return ObservedCluster(
        presence="seen" if body.exists else "unseen" if body.existence == DELETED else "deleted",
        identifier=body.name,
        status=STATUSES.get(body.status, "passing"),
        door=body.door,
        security_group_ids=body.groups,
        sessions_left=body.sessions,
        has_login=has_login,
        data_api=body.data_api,
        certificate_has_live_name=body.certificate == LIVE,
        restarted=body.restarted,
        role=body.role,
        missing_settings=("data_api",) if body.missing_settings else (),
    )


# --- What the step does ---


def may_be_written(stored: SwapRecord, read: SwapRecord) -> bool:
    """Return whether the record may be replaced by what follows from one that was read, as `keep_swap` decides it."""
    return stored == read


def written(world: World, read: SwapRecord, due: SwapDue) -> World | None:
    """Write the record before the call; None where it has changed since it was read."""
    return world._replace(record=due.record) if may_be_written(world.record, read) else None


def call_of(due: SwapDue, world: World) -> Call | None:
    """The call of AWS that an action makes."""
    calling = set(SwapAction) - {
        SwapAction.LOOK_AGAIN, SwapAction.WAIT, SwapAction.FAIL, SwapAction.DONE,
        SwapAction.CHOOSE_END, SwapAction.TURN_BACK, SwapAction.COMMIT, SwapAction.PROVE,
    }  # fmt: skip
    if due.action not in calling or due.side is None:
        return None
    groups = due.record.of(due.side).security_group_ids if due.action is SwapAction.OPEN_DOOR else DOOR
    return Call(due.action, due.side, due.name, due.new_name, groups, due.record.of(other(due.side)).role_beside)


def other(side: Side) -> Side:
    return "new" if side == "old" else "old"


def execute(world: World, due: SwapDue, read: SwapRecord, rules: Rules) -> World:
    """Write the record, make the call, and record its result."""
    wrote = written(world, read, due)
    if wrote is None:
        return world
    call = call_of(due, wrote)
    if call is None:
        return concluded(wrote, due, rules)
    if call.action is wrote.refusing:
        return wrote._replace(record=swap.refusal_noted(wrote.record, due))
    return called(wrote, call, rules)


def concluded(world: World, due: SwapDue, rules: Rules) -> World:
    """The actions that call nothing: a proof, an end, and the wait between two looks."""
    record = world.record
    if due.action is SwapAction.PROVE and due.side is not None:
        body = world.body(due.side)
        reached = body.exists and body.name == LIVE and body.serves
        reached = reached and not world.leads_elsewhere
        verified = body.certificate == LIVE or record.end == "back"
        return world._replace(record=swap.proved(record, due.side, reached=reached and verified))
    if due.action is SwapAction.LOOK_AGAIN and record.first_look is not None:
        world = world._replace(record=replace(record, first_look=FirstLook(record.first_look.shown, NOW - APART)))
        world = arrived(world, rules) if world.late else world
        world = continued(world, rules) if world.delayed else world
        return world._replace(before=(None, None))
    if due.action is SwapAction.DONE:
        # A call that is still on its way arrives after the end, and nobody looks any longer.
        world = arrived(world, rules) if world.late else world
        return world._replace(ended="done")
    if due.action is SwapAction.FAIL and due.reason in FINAL:
        return world._replace(ended=str(due.reason))
    if due.action is SwapAction.FAIL:
        return world._replace(record=resumed(record, NOW), refusing=None)
    return world


def arrived(world: World, rules: Rules) -> World:
    """Let the late repetition of a call arrive."""
    assert world.late is not None
    return called(world._replace(late=None), world.late, rules)


def continued(world: World, rules: Rules) -> World:
    """Let the function that was delayed write and call what it has decided."""
    assert world.delayed is not None
    due, read = world.delayed
    return execute(world._replace(delayed=None), due, read, rules)


# --- What AWS does ---


def called(world: World, call: Call, rules: Rules) -> World:
    """The effect of a call: on the cluster that has the name when it arrives."""
    if call.action is SwapAction.MOVE_LABEL:
        return world._replace(secret=call.side) if world.secret != "other" else world
    if call.action in (SwapAction.END_SESSIONS, SwapAction.REBOOT_MEMBERS):
        return _on_members(world, call)
    if call.name and call.name == world.stranger:
        return world if rules.strangers_are_refused else world._replace(stranger_changed=True)
    for side in SIDES:
        body = world.body(side)
        if body.exists and body.name == call.name:
            changed = _changed(world, side, body, call)
            if call.action is SwapAction.SET_ROLES:
                return _loser_tagged(with_body(world, side, changed), side, call)
            return with_body(world, side, changed) if changed != body else world
    return world


def _on_members(world: World, call: Call) -> World:
    body = world.body(call.side)
    if not body.exists or body.status != "available":
        return world
    if call.action is SwapAction.END_SESSIONS:
        return with_body(world, call.side, body._replace(sessions=False))
    return with_body(world, call.side, body._replace(status="rebooting", sessions=False))


def _changed(world: World, side: Side, body: Body, call: Call) -> Body:
    """The cluster after a call that RDS accepts, or as it is where RDS refuses the call."""
    action = call.action
    if action is SwapAction.SET_ROLES:
        return body._replace(role="live")
    if action is SwapAction.TAG_AS_SWAPPING:
        return body._replace(role="swapping")
    if action is SwapAction.START:
        return body._replace(status="starting") if body.status == "stopped" else body
    if not body.serves:
        return body
    if action is SwapAction.RENAME:
        taken = {world.stranger, *world.old.names, *world.new.names}
        return body if call.new_name in taken else body._replace(status="renaming", wanted_name=call.new_name)
    if action is SwapAction.SHUT_DOOR:
        return body if body.door == "shut" else body._replace(door="shutting", groups=DOOR)
    if action is SwapAction.OPEN_DOOR:
        return body._replace(door="opening", groups=call.groups)
    if action is SwapAction.STOP:
        return body._replace(status="stopping", sessions=False)
    if action is SwapAction.DISABLE_DATA_API:
        return body._replace(data_api=False)
    assert action is SwapAction.RESTORE_SETTING, action
    return body._replace(missing_settings=False)


def _loser_tagged(world: World, winner: Side, call: Call) -> World:
    """The other cluster's tag, which the same step sets."""
    loser = world.body(other(winner))
    return with_body(world, other(winner), loser._replace(role=call.role)) if loser.exists else world


def progressed(body: Body) -> Iterator[Body]:
    """What AWS finishes by itself."""
    if body.existence == DELETED:
        yield body._replace(existence=DELETION_REPORTED)
    if not body.exists:
        return
    if body.door in ("opening", "shutting"):
        yield body._replace(door="open" if body.door == "opening" else "shut")
    if body.status == "renaming":
        yield body._replace(status="available", name=body.wanted_name, wanted_name="", restarted="none")
    elif body.status == "rebooting":
        restarted: Restart = "rebooted" if body.restarted == "none" else body.restarted
        yield body._replace(status="available", certificate=body.name, restarted=restarted)
    elif body.status == "member-busy":
        yield body._replace(status="available")
    elif body.status == "stopping":
        yield body._replace(status="stopped", sessions=False)
    elif body.status == "starting":
        yield body._replace(status="available", certificate=body.name, restarted="stopped-and-started")


def _progress(world: World) -> Iterator[tuple[str, World]]:
    for side in SIDES:
        for body in progressed(world.body(side)):
            yield f"AWS: {side} {body.existence} {body.status} {body.door}", with_body(world, side, body)


# --- What goes wrong ---


def _stale_views(world: World) -> Iterator[tuple[str, SwapObserved]]:
    for side, before in zip(SIDES, world.before, strict=True):
        if before is not None:
            yield f"{side} stale", view(world.showing(side, before))
        if world.body(side).exists:
            yield f"{side} not described", view(world.showing(side, world.body(side)._replace(existence=DELETED)))
    if world.stranger:
        yield "the stranger not described", view(world._replace(stranger=""))


def _failures(world: World, due: SwapDue) -> Iterator[tuple[str, World]]:
    """What an action meets instead of its success. The record is written."""
    record = world.record
    if due.action is SwapAction.PROVE:
        yield "the proof fails", world._replace(record=replace(record, failed_proofs=swap.TRIES_OF_A_PROOF))
    if world.refusing is None and call_of(due, world) is not None:
        noted = swap.refusal_noted(record, due)
        yield "refused for good", world._replace(record=noted, refusing=due.action)


def _failing_progress(world: World) -> Iterator[tuple[str, World]]:
    for side in SIDES:
        body = world.body(side)
        for after in progressed(body):
            if body.status == "renaming":
                yield (
                    f"{side}'s rename is undone",
                    with_body(world, side, body._replace(status="available", wanted_name="")),
                )
            elif after.certificate != body.certificate:
                yield (
                    f"{side}'s certificate stays",
                    with_body(world, side, after._replace(certificate=body.certificate)),
                )


def _stopped_execution(world: World, rules: Rules) -> World:
    return world._replace(record=rules.turned_back(world.record, NOW))


def _too_late(record: SwapRecord) -> SwapRecord:
    moments = {
        name: NOW - PATIENCE
        for name in ("began_at", "fenced_at", "turned_at", "committed_at", "resumed_at")
        if getattr(record, name) is not None
    }
    return replace(record, **moments)


def _third_parties(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """What happens beside the run, at any point."""
    yield "StopExecution", _stopped_execution(world, rules)
    yield "the deadline passes", world._replace(record=_too_late(world.record))
    if not world.leads_elsewhere and world.record.committed_at is None and world.record.proven != "new":
        yield "the live name leads elsewhere", world._replace(leads_elsewhere=True)
    if world.secret != "other":
        yield "a person puts a secret", world._replace(secret="other")
    taken = {world.stranger, *world.old.names, *world.new.names}
    if not world.stranger:
        for name in {LIVE, *world.record.old.other_names, *world.record.new.other_names} - taken:
            yield f"a stranger takes {name}", world._replace(stranger=name)
    for side in SIDES:
        body = world.body(side)
        if not body.exists:
            continue
        gone = body._replace(existence=DELETED, wanted_name="", sessions=False, status="available")
        yield f"{side} is deleted", with_body(world, side, gone)
        if body.status != "available":
            continue
        yield f"{side} breaks", with_body(world, side, body._replace(status="broken", sessions=False))
        yield f"{side} is stopped", with_body(world, side, body._replace(status="stopped", sessions=False))
        yield f"{side} has a busy member", with_body(world, side, body._replace(status="member-busy"))
        if side == "old" and body.door == "shut" and not body.sessions and world.record.committed_at is None:
            # By a rule that nobody tracks, or with a reader that has just been added.
            yield f"a session appears on {side}", with_body(world, side, body._replace(sessions=True))
        restarted = body._replace(certificate=body.name, sessions=False)
        if restarted != body:
            yield f"{side} is restarted", with_body(world, side, restarted)
        for name in {LIVE, ELSEWHERE} - taken:
            yield f"{side} is renamed to {name}", with_body(world, side, body._replace(name=name, restarted="none"))


def successors(world: World, rules: Rules) -> Iterator[tuple[str, bool, World]]:
    """Yield each state that can follow: what happens, whether it costs a fault, and the state."""
    if world.ended:
        return
    for label, is_fault, after in _all_successors(world, rules):
        if is_fault and rules.faults not in label:
            continue
        following = after._replace(faults_left=world.faults_left - 1) if is_fault else after
        yield label, is_fault, settled_world(_remembered(world, following))


def _all_successors(world: World, rules: Rules) -> Iterator[tuple[str, bool, World]]:
    read = world.record
    due = rules.due(view(world), read, NOW)
    label = f"{due.action.value} {due.side or ''} {due.reason or ''} {due.new_name}".strip()
    yield label, False, execute(world, due, read, rules)
    for what, after in _progress(world):
        yield what, False, after
    if world.delayed is not None:
        yield f"continues: {world.delayed[0].action.value}", False, continued(world, rules)
    if world.late is not None:
        yield f"late: {world.late.action.value} {world.late.name}", False, arrived(world, rules)
    if world.faults_left == 0:
        return
    wrote = written(world, read, due)
    assert wrote is not None
    call = call_of(due, wrote)
    if call is not None:
        yield f"{label}, dies before the call", True, _died(world, wrote, due, call, rules)
        yield f"{label}, repeated at once", True, called(called(wrote, call, rules), call, rules)
        if world.late is None:
            yield f"{label}, repeated late", True, called(wrote, call, rules)._replace(late=call)
            yield f"{label}, arrives late", True, wrote._replace(late=call)
    if world.delayed is None and due.action not in (
        SwapAction.LOOK_AGAIN,
        SwapAction.WAIT,
        SwapAction.DONE,
        SwapAction.FAIL,
    ):
        yield f"{label}, is delayed", True, world._replace(delayed=(due, read))
    for what, after in _failures(wrote, due):
        yield f"{label}: {what}", True, after
    for what, after in _failing_progress(world):
        yield what, True, after
    for what, seen in _stale_views(world):
        misled = rules.due(seen, read, NOW)
        if misled.action is SwapAction.DONE:
            continue  # what a last look does not show yet happens as after the run
        yield f"{what}, {MISLED}: {misled.action.value} {misled.side or ''}", True, execute(world, misled, read, rules)
    for what, after in _third_parties(world, rules):
        yield what, True, after
        # What happens after the last look happens after the run; nobody gets in between a look and a call.
        if due.action not in (SwapAction.DONE, SwapAction.FAIL) and "session" not in what:
            yield f"{what}, before {label}", True, execute(after, due, read, rules)


def _died(world: World, wrote: World, due: SwapDue, call: Call, rules: Rules) -> World:
    """A function that dies between record and call, in whichever order it makes them."""
    return wrote if rules.record_first else called(world, call, rules)


def _remembered(before: World, after: World) -> World:
    """Note where clients were let in again: what they write there is kept."""
    for side in SIDES:
        if before.body(side).door != "opening" and after.body(side).door == "opening":
            served = after.served_again
            after = after if side in served else after._replace(served_again=(*served, side))
    return after
