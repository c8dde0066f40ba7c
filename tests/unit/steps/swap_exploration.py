"""Every course that a swap can take in the model, and the promises that no state on the way may break.

I1: old and new are never both open to writes. I2: a run ends with the live name leading to a whole cluster, open, and
the other one shut; or, where that is impossible, it says so and leaves one of ours open. I3: what clients have written
to a cluster that they were let in to again is not given up. I4: no stranger is changed. I5: the end turns from forward
to back, and from back to forward only where old is gone. I6: the expiry can delete no cluster that has the live name
or is given it.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.unit.steps.swap_model import (
    LIVE,
    MISLED,
    OWN,
    SIDES,
    Body,
    Rules,
    World,
    other,
    successors,
)
from utils.contracts.swap import Side
from utils.steps.swap import SwapAction


def violation(before: World, label: str, world: World) -> str | None:
    """Return which promise a state breaks, or the step that led to it."""
    if world.old.is_writable and world.new.is_writable:
        return "I1: both clusters can be written to"
    if world.stranger_changed:
        return "I4: a stranger was changed"
    changed, record = before.record.end != world.record.end, world.record
    if changed and record.end == "forward" and "old" not in record.gone:
        return "I5: the end changed from back to forward"
    if _expiring_while_renamed(before, world) and MISLED not in label:
        return "I6: names moved while the expiry may delete the winner"
    return _bad_end(world) if world.ended else None


def _winner(world: World) -> Side:
    return "new" if world.record.end == "forward" else "old"


def _expiring_while_renamed(before: World, world: World) -> bool:
    side = _winner(world)
    begins = any(before.body(each).status != "renaming" and world.body(each).status == "renaming" for each in SIDES)
    return begins and world.body(side).exists and world.body(side).role == "previous"


def _bad_end(world: World) -> str | None:
    winner, loser = world.body(_winner(world)), world.body(other(_winner(world)))
    lost = [side for side in world.served_again if side != _winner(world) and world.body(side).exists]
    if lost:
        return f"I3: what clients have written to {lost[0]} is given up"
    if loser.is_writable:
        return "I2: the loser can be written to"
    if world.ended == "done":
        return _bad_service(world, winner, loser)
    if world.ended == "nothing-left":
        return "I2: one is left" if world.old.exists or world.new.exists else None
    if world.ended in ("stale-certificate", "not-proven"):
        return "I2: old is left" if world.old.exists else "I2: new is open" if winner.door != "shut" else None
    if world.ended == "broken":
        return None if "broken" in (winner.status, loser.status) else "I2: none is broken"
    if world.ended in ("no-free-name", "groups-unknown"):
        return f"I2: {world.ended}"
    if world.ended == "stranger" and world.stranger != LIVE:
        return "I2: no stranger has the name"
    if winner.exists and winner.door == "shut" and (world.old.exists or world.record.committed_at):
        return f"I2: {world.ended}, and neither is open"
    return None


def _bad_service(world: World, winner: Body, loser: Body) -> str | None:
    groups = OWN[_winner(world)]
    if not winner.exists or winner.name != LIVE or not winner.serves:
        return "I2: the live name does not lead to the winner"
    if winner.door != "open" or winner.groups != groups:
        return "I2: the winner's door is not open with its groups"
    if world.leads_elsewhere and world.record.end == "forward" and world.old.exists:
        return "I2: the live name leads elsewhere, and nobody has noticed"
    if winner.role == "previous":
        return "I6: the expiry may delete the live cluster"
    if winner.missing_settings and "data_api" not in world.record.refused:
        return "I2: a setting of the winner's is missing"
    beside = world.record.of(other(_winner(world))).role_beside
    roles_wrong = winner.role != "live" or (loser.exists and loser.role != beside)
    if roles_wrong and SwapAction.SET_ROLES.value not in world.record.refused:
        return "I2: the roles are wrong"
    if world.secret == other(_winner(world)) and SwapAction.MOVE_LABEL.value not in world.record.refused:
        return "I2: the secret opens the loser"
    if winner.certificate != LIVE and winner.restarted != "stopped-and-started":
        return "I2: the winner's certificate lacks the live name"
    return None


class Explored(NamedTuple):
    """What an exploration has found. `trace` is the shortest way to the first violation."""

    states: int
    ends: dict[str, int]
    violation: str | None
    trace: list[str]


def explore(start: World, rules: Rules = Rules()) -> Explored:  # noqa: B008  # immutable
    """Visit every state that can be reached, the nearest first, until one breaks a promise."""
    came_from: dict[World, tuple[World, str] | None] = {start: None}
    free: dict[World, list[World]] = {}
    ends: dict[str, int] = {}
    new = [start]
    while new:
        following: list[World] = []
        for world in new:
            free[world] = []
            if world.ended:
                end = f"{world.ended}, {world.record.end}"
                ends[end] = ends.get(end, 0) + 1
            for label, is_fault, after in successors(world, rules):
                if not is_fault and after != world:
                    free[world].append(after)
                if (broken := violation(world, label, after)) is not None:
                    return Explored(len(came_from), ends, broken, [*_way(came_from, world), label])
                if after not in came_from:
                    came_from[after] = (world, label)
                    following.append(after)
        new = following
    endless = _endless(free)
    if endless is not None:
        return Explored(len(came_from), ends, "I2: it never ends", _way(came_from, endless))
    return Explored(len(came_from), ends, None, [])


def _way(came_from: dict[World, tuple[World, str] | None], world: World) -> list[str]:
    found: list[str] = []
    while (step := came_from[world]) is not None:
        world, label = step
        found.append(label)
    return found[::-1]


def _endless(free: dict[World, list[World]]) -> World | None:
    """Return a state from which a run without further faults does not end: it is stuck, or goes in a circle."""
    done: set[World] = set()
    for start in free:
        if start in done:
            continue
        on_way = {start}
        stack = [(start, iter(free[start]))]
        while stack:
            world, rest = stack[-1]
            if not free[world] and not world.ended:
                return world
            after = next(rest, None)
            if after is None:
                stack.pop()
                on_way.discard(world)
                done.add(world)
            elif after in on_way:
                return after
            elif after not in done:
                on_way.add(after)
                stack.append((after, iter(free[after])))
    return None
