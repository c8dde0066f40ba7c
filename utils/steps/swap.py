"""Which action of a swap is due: one decision table, whose first row that applies decides.

The winner is the cluster that is to have the live name, the loser the other one. The loser is fenced before it gives
the name away, and the winner's door opens last. That is the commit point: before it, a swap that fails ends with the
old cluster under its name and open; after it, new may hold writes that exist nowhere else, and the swap is only ever
finished forward.

Nothing is called here. Each step observes both clusters again, asks `due`, writes the record that the answer carries
(over the very record that was read: `utils/state/swap.py`, `keep_swap`), makes the one call, compares the resource id
in RDS's answer with the recorded one, and notes a proof's result or a refusal (`proved`, `refusal_noted`). So a step
that died is simply run again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from utils.contracts.swap import End, FirstLook, ObservedCluster, RecordedCluster, Side, SwapObserved, SwapRecord
from utils.state.unseen import PAUSE_SECONDS, are_apart

OTHER: Mapping[Side, Side] = {"old": "new", "new": "old"}
# The end that is left without one of the clusters.
END_WITHOUT: Mapping[Side, End] = {"old": "forward", "new": "back"}
# How long a swap may take from its beginning, the fence, the turn back, the commit, and each time it is resumed.
PATIENCE = dt.timedelta(minutes=30)
POLL_SECONDS = 5
TRIES_OF_A_PROOF = 2


class SwapAction(Enum):
    """What a step has to do. The first three call nothing; the next three write the record and nothing else."""

    LOOK_AGAIN = "look-again"
    WAIT = "wait"
    FAIL = "fail"
    CHOOSE_END = "choose-end"
    TURN_BACK = "turn-back"
    COMMIT = "commit"
    START = "start"
    TAG_AS_SWAPPING = "tag-as-swapping"
    DISABLE_DATA_API = "disable-data-api"
    SHUT_DOOR = "shut-door"
    END_SESSIONS = "end-sessions"
    REBOOT_MEMBERS = "reboot-members"
    RENAME = "rename"
    STOP = "stop"
    PROVE = "prove"
    MOVE_LABEL = "move-label"
    SET_ROLES = "set-roles"
    OPEN_DOOR = "open-door"
    RESTORE_SETTING = "restore-setting"
    DONE = "done"


# What a swap ends without, and reports, once it cannot turn back.
DISPENSABLE = frozenset({SwapAction.MOVE_LABEL.value, SwapAction.SET_ROLES.value})

Reason = Literal[
    "nothing-left", "stranger", "no-free-name", "time-is-up", "refused", "broken", "stale-certificate", "not-proven",
    "groups-unknown",
]  # fmt: skip


class SwapDue(Struct, frozen=True, kw_only=True):
    """The action that is due: of which cluster, by which name it is called, and what is recorded before the call."""

    action: SwapAction
    record: SwapRecord
    side: Side | None = None
    name: str = ""
    new_name: str = ""
    setting: str = ""
    # Why it turns back or fails.
    reason: Reason | None = None
    wait_seconds: int = 0


class Parts:
    """What the rows ask: both clusters as observed, by the parts that they play."""

    def __init__(self, observed: SwapObserved, recorded: SwapRecord, now: dt.datetime) -> None:
        self.observed, self.recorded, self.now = observed, recorded, now
        self.winning: Side = "new" if recorded.end == "forward" else "old"
        self.losing: Side = "old" if recorded.end == "forward" else "new"

    @property
    def winner(self) -> ObservedCluster:
        """Return the cluster that is to have the live name."""
        return self.observed.of(self.winning)

    @property
    def loser(self) -> ObservedCluster:
        """Return the cluster that is not to have the live name."""
        return self.observed.of(self.losing)

    @property
    def can_turn_back(self) -> bool:
        """Return whether the swap can still turn back: nobody was let into new, and old is there."""
        return self.recorded.end == "forward" and self.recorded.committed_at is None and not self.is_gone("old")

    @property
    def loser_has_name(self) -> bool:
        """Return whether the loser has the live name, so that the winner cannot take it."""
        return self.loser.is_seen and self.loser.identifier == self.recorded.live_name

    @property
    def loser_may_still_write(self) -> bool:
        """Return whether the loser exists and is not fenced."""
        return self.loser.is_seen and not self.loser.is_fenced

    @property
    def stranger_has_live_name(self) -> bool:
        """Return whether a cluster that is neither of the two has the live name."""
        holder = self.observed.holders.get(self.recorded.live_name)
        return holder not in (None, self.recorded.old.resource_id, self.recorded.new.resource_id)

    @property
    def time_is_up(self) -> bool:
        """Return whether the winner has not come into service for too long."""
        winner, recorded = self.winner, self.recorded
        in_service = winner.is_seen and winner.identifier == recorded.live_name and winner.door == "open"
        moments = (
            recorded.began_at, recorded.fenced_at, recorded.turned_at, recorded.committed_at, recorded.resumed_at,
        )  # fmt: skip
        return not in_service and self.now - max(each for each in moments if each is not None) >= PATIENCE

    def is_gone(self, side: Side) -> bool:
        """Return whether a cluster was certainly deleted: one that is not seen at one look may have been missed.

        Two looks suffice where little is lost if both were wrong: the other cluster is there, and this one does not
        hold writes that exist nowhere else, as new may after the commit and old on the way back. Otherwise only
        RDS's own report of the deletion counts.
        """
        if self.observed.of(side).presence != "unseen":
            return self.observed.of(side).presence == "deleted"
        if side in self.recorded.gone:
            return True
        needed = self.recorded.committed_at is not None if side == "new" else self.recorded.end == "back"
        return self.is_confirmed(side) and not needed and self.observed.of(OTHER[side]).is_seen

    def is_confirmed(self, shown: str) -> bool:
        """Return whether an earlier look has shown the same, long enough ago."""
        first = self.recorded.first_look
        return first is not None and shown in first.shown and are_apart(first.at, self.now)

    def look_again(self, *shown: str) -> SwapDue:
        """Return a second look at what this one has shown."""
        first = self.recorded.first_look
        seen = first if first is not None and first.shown == shown else FirstLook(shown, self.now)
        return SwapDue(
            action=SwapAction.LOOK_AGAIN,
            record=replace(self.recorded, first_look=seen),
            wait_seconds=PAUSE_SECONDS,
        )

    def do(self, action: SwapAction, side: Side, *, new_name: str = "", setting: str = "") -> SwapDue:
        """Return an action on one of the clusters, under the name that it has now."""
        return SwapDue(
            action=action,
            side=side,
            name=self.observed.of(side).identifier,
            new_name=new_name,
            setting=setting,
            record=self.without_doubts(),
        )

    def wait(self) -> SwapDue:
        """Return that AWS is at work."""
        return SwapDue(action=SwapAction.WAIT, record=self.without_doubts(), wait_seconds=POLL_SECONDS)

    def without_doubts(self) -> SwapRecord:
        """Return the record without the first look, which this one does not confirm; a stranger stays known."""
        first = self.recorded.first_look
        keeps = first is not None and "stranger" in first.shown and self.stranger_has_live_name
        return replace(self.recorded, first_look=first if keeps else None)

    def give_up(self, reason: Reason) -> SwapDue:
        """Return the turn back where nothing is lost by it, and else the failure."""
        if not self.can_turn_back:
            return SwapDue(action=SwapAction.FAIL, record=self.without_doubts(), reason=reason)
        return SwapDue(action=SwapAction.TURN_BACK, record=turned_back(self.without_doubts(), self.now), reason=reason)


def due(observed: SwapObserved, recorded: SwapRecord, now: dt.datetime) -> SwapDue:
    """Return the action that is due: that of the first row of the table that applies."""
    parts = Parts(observed, recorded, now)
    for row in TABLE:
        if (found := row(parts)) is not None:
            return found
    raise AssertionError("the last row always applies")


def turned_back(recorded: SwapRecord, now: dt.datetime) -> SwapRecord:
    """Return the record of a swap that ends with old under its name: unchanged once new may have been opened.

    What a stopped execution left is finished by another one, which writes this first.
    """
    if recorded.end == "back" or recorded.committed_at is not None:
        return recorded
    return replace(recorded, end="back", turned_at=now, proven=None, failed_proofs=0, refused=())


def resumed(recorded: SwapRecord, now: dt.datetime) -> SwapRecord:
    """Return the record of a swap that failed and is to be finished from what exists."""
    return replace(recorded, resumed_at=now, first_look=None, failed_proofs=0, refused=())


def proved(recorded: SwapRecord, side: Side, *, reached: bool) -> SwapRecord:
    """Return the record after a proof: whether the live name has led to this cluster."""
    if reached:
        return replace(recorded, proven=side)
    return replace(recorded, failed_proofs=recorded.failed_proofs + 1)


def refusal_noted(recorded: SwapRecord, found: SwapDue) -> SwapRecord:
    """Return the record after AWS has refused an action for good, such as without a permission."""
    what = found.setting or found.action.value
    return replace(recorded, refused=tuple(dict.fromkeys((*recorded.refused, what))))


def unseen(s: Parts) -> SwapDue | None:
    """Look again for a cluster that is not seen and not certainly gone."""
    missed: list[Side] = [side for side in OTHER if not s.observed.of(side).is_seen]
    if all(s.is_gone(side) for side in missed):
        return None
    return s.give_up("time-is-up") if s.time_is_up else s.look_again(*missed)


def nothing_left(s: Parts) -> SwapDue | None:
    """Fail where both clusters are gone."""
    if s.is_gone("old") and s.is_gone("new"):
        return s.give_up("nothing-left")
    return None


def one_gone(s: Parts) -> SwapDue | None:
    """Choose the end that is left where one of the clusters is gone."""
    for side, end in END_WITHOUT.items():
        if s.is_gone(side) and (s.recorded.end != end or side not in s.recorded.gone):
            gone = tuple(dict.fromkeys((*s.recorded.gone, side)))
            record = replace(s.without_doubts(), end=end, gone=gone)
            if s.recorded.end != end:
                record = replace(record, turned_at=s.now, proven=None, failed_proofs=0, refused=())
            return SwapDue(action=SwapAction.CHOOSE_END, record=record)
    return None


def time_is_up(s: Parts) -> SwapDue | None:
    """Give up where it takes too long until the winner is in service."""
    return s.give_up("time-is-up") if s.time_is_up else None


def refused(s: Parts) -> SwapDue | None:
    """Give up where AWS refuses for good what the swap cannot do without."""
    needed = set(s.recorded.refused) & {each.value for each in SwapAction}
    if not s.can_turn_back:
        needed -= DISPENSABLE
    return s.give_up("refused") if needed else None


def busy(s: Parts) -> SwapDue | None:
    """Wait until both clusters have left a status that passes.

    A single member may stay busy for hours. It is waited for only while the swap can still turn back: clients are
    locked out, and what RDS refuses meanwhile is tried again.
    """
    passing = {"renaming", "passing", *(("member-busy",) if _must_be_proven(s) else ())}
    return s.wait() if any(each.is_seen and each.status in passing for each in (s.winner, s.loser)) else None


def broken(s: Parts) -> SwapDue | None:
    """Give up where a cluster that is needed will not become available."""
    if s.winner.status == "broken":
        return s.give_up("broken")
    if s.loser.status == "broken" and (s.loser_has_name or s.loser_may_still_write):
        return s.give_up("broken")
    return None


def stopped(s: Parts) -> SwapDue | None:
    """Start a cluster that has to be changed: RDS changes none that is stopped."""
    if s.winner.status == "stopped":
        return s.do(SwapAction.START, s.winning)
    if s.loser.status == "stopped" and (s.loser_has_name or s.loser_may_still_write):
        return s.do(SwapAction.START, s.losing)
    return None


def stranger(s: Parts) -> SwapDue | None:
    """Leave one of the two clusters open, and fail, where another cluster has the live name."""
    if not s.stranger_has_live_name:
        return None
    if not s.is_confirmed("stranger"):
        return s.look_again("stranger")
    return s.give_up("stranger") if s.can_turn_back else _fail_with_one_open(s, "stranger")


def due_to_expire(s: Parts) -> SwapDue | None:
    """Take the winner out of the expiry's reach before names move."""
    return s.do(SwapAction.TAG_AS_SWAPPING, s.winning) if s.winner.role == "previous" else None


def data_api_on(s: Parts) -> SwapDue | None:
    """Disable the loser's Data API, which no security group stops."""
    if not s.loser.is_seen or not s.loser.data_api:
        return None
    return _with_fence_recorded(s, s.do(SwapAction.DISABLE_DATA_API, s.losing))


def door_open(s: Parts) -> SwapDue | None:
    """Shut the loser's door."""
    if not s.loser.is_seen or s.loser.door == "shut":
        return None
    if s.loser.door == "shutting":
        return s.wait()
    return _with_fence_recorded(s, s.do(SwapAction.SHUT_DOOR, s.losing))


def sessions_left(s: Parts) -> SwapDue | None:
    """End the loser's sessions, which outlive a change of the groups: by our login, else by a restart."""
    if not s.loser.is_seen or not s.loser.sessions_left:
        return None
    return s.do(SwapAction.END_SESSIONS if s.loser.has_login else SwapAction.REBOOT_MEMBERS, s.losing)


def loser_has_live_name(s: Parts) -> SwapDue | None:
    """Rename the loser to the first free one of its names."""
    if not s.loser_has_name:
        return None
    for name in s.recorded.of(s.losing).other_names:
        if name not in s.observed.holders:
            return s.do(SwapAction.RENAME, s.losing, new_name=name)
    return s.give_up("no-free-name") if s.can_turn_back else _fail_with_one_open(s, "no-free-name")


def winner_lacks_live_name(s: Parts) -> SwapDue | None:
    """Rename the winner to the live name."""
    if s.winner.identifier == s.recorded.live_name:
        return None
    return s.do(SwapAction.RENAME, s.winning, new_name=s.recorded.live_name)


def stale_certificate(s: Parts) -> SwapDue | None:
    """Restart the winner's members, whose certificates have the name of their last restart.

    AWS names stopping and starting as the cure (Amazon Aurora User Guide, "Modifying an Amazon Aurora DB cluster"); the
    shorter reboot is tried first unless it has failed before. What neither renews is reported where it cannot be
    undone.
    """
    if s.winner.certificate_has_live_name:
        return None
    if s.winner.restarted == "none" and s.recorded.restart_that_renews != "stopped-and-started":
        return s.do(SwapAction.REBOOT_MEMBERS, s.winning)
    if s.winner.restarted != "stopped-and-started":
        return s.do(SwapAction.STOP, s.winning)
    return s.give_up("stale-certificate") if _must_be_proven(s) else None


def not_proven(s: Parts) -> SwapDue | None:
    """Prove that the live name leads to the winner. What fails is reported where it cannot be undone."""
    if s.recorded.proven == s.winning:
        return None
    if s.recorded.failed_proofs < TRIES_OF_A_PROOF:
        return s.do(SwapAction.PROVE, s.winning)
    return s.give_up("not-proven") if _must_be_proven(s) else None


def label_on_loser(s: Parts) -> SwapDue | None:
    """Make the winner's version of the admin secret the current one, unless a person has put one since."""
    if s.observed.current_version != s.losing or SwapAction.MOVE_LABEL.value in s.recorded.refused:
        return None
    return s.do(SwapAction.MOVE_LABEL, s.winning)


def wrong_roles(s: Parts) -> SwapDue | None:
    """Tag both clusters with the role that they have now."""
    beside = s.recorded.of(s.losing).role_beside
    right = s.winner.role == "live" and (not s.loser.is_seen or s.loser.role == beside)
    if right or SwapAction.SET_ROLES.value in s.recorded.refused:
        return None
    return s.do(SwapAction.SET_ROLES, s.winning)


def winner_shut(s: Parts) -> SwapDue | None:
    """Open the winner's door: new's only once it is recorded that it may have been opened.

    One that a late call has opened for others, which was meant for the other cluster, is opened for its own.
    """
    if s.winner.door == "open" and set(s.recorded.of(s.winning).security_group_ids) <= set(s.winner.security_group_ids):
        return None
    if s.winner.door == "opening":
        return s.wait()
    if s.winning == "new" and s.recorded.committed_at is None:
        return SwapDue(action=SwapAction.COMMIT, side="new", record=replace(s.without_doubts(), committed_at=s.now))
    if not s.recorded.of(s.winning).security_group_ids:
        return s.give_up("groups-unknown")
    return s.do(SwapAction.OPEN_DOOR, s.winning)


def settings_missing(s: Parts) -> SwapDue | None:
    """Restore the winner's settings, one after the other. What AWS refuses is reported."""
    for setting in s.winner.missing_settings:
        if setting not in s.recorded.refused:
            return s.do(SwapAction.RESTORE_SETTING, s.winning, setting=setting)
    return None


def nothing_due(s: Parts) -> SwapDue:
    """Finish once two looks agree that nothing is due."""
    if not s.is_confirmed("settled"):
        return s.look_again("settled")
    return SwapDue(action=SwapAction.DONE, record=s.without_doubts())


def _must_be_proven(s: Parts) -> bool:
    """Return whether the winner is opened only after its proof: new, while nobody has written to it."""
    return s.winning == "new" and s.recorded.committed_at is None


def _with_fence_recorded(s: Parts, found: SwapDue) -> SwapDue:
    """Add when clients were first locked out, and the groups that the loser's door is opened with again."""
    loser = s.recorded.of(s.losing)
    groups = loser.security_group_ids or s.loser.security_group_ids
    record = replace(found.record, fenced_at=s.recorded.fenced_at or s.now)
    return replace(found, record=_with_cluster(record, s.losing, replace(loser, security_group_ids=groups)))


def _with_cluster(record: SwapRecord, side: Side, cluster: RecordedCluster) -> SwapRecord:
    return replace(record, old=cluster) if side == "old" else replace(record, new=cluster)


def _fail_with_one_open(s: Parts, reason: Reason) -> SwapDue:
    """Return what is due before a swap fails for which nobody can have the live name.

    The loser is fenced, and the winner opened under the name that it has. New stays shut where it was never opened: it
    could not be proved.
    """
    fence = data_api_on(s) or door_open(s) or sessions_left(s)
    opening = None if _must_be_proven(s) else winner_shut(s)
    return fence or opening or SwapDue(action=SwapAction.FAIL, record=s.without_doubts(), reason=reason)


# The decision table: the first row that applies is due, and every row is looked at again after it.
TABLE: tuple[Callable[[Parts], SwapDue | None], ...] = (
    # What exists, and which end is left.
    unseen,
    nothing_left,
    one_gone,
    time_is_up,
    refused,
    # What has to pass first.
    busy,
    broken,
    stopped,
    stranger,
    # The fence: nobody writes to the loser.
    due_to_expire,
    data_api_on,
    door_open,
    sessions_left,
    # The names.
    loser_has_live_name,
    winner_lacks_live_name,
    # What has to be so before anybody is let in.
    stale_certificate,
    not_proven,
    label_on_loser,
    # The commit point.
    winner_shut,
    # Only now may the expiry delete the loser.
    wrong_roles,
    settings_missing,
    nothing_due,
)
