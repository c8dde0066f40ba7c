"""One step of a swap: observe both clusters, write down what is due, and make its one call.

What has to be done from within the VPC is an errand, which another function does. What dies on the way is simply
run again: both clusters are observed again, and the same row of the table is due, or the next one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Literal

from botocore.exceptions import ClientError
from msgspec.structs import replace

from utils import environment
from utils.aurora_utils import Aurora
from utils.aurora_utils.client import ClusterBusy
from utils.aurora_utils.door import door_of
from utils.aws_errors import error_code
from utils.contracts.payloads import SwapErrand, SwapProgress, SwapTask
from utils.contracts.phases import SWAP
from utils.contracts.swap import Side, VersionOwner
from utils.errors import StepFailed
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.logins.master import AdminSecret
from utils.logins.secret_choice import admin_secret_of
from utils.logins.secret_store import CURRENT, labels_of
from utils.messages.swap import doing, doubts_of_old, failed, turned_back, why
from utils.names import fingerprint
from utils.state.operation import OperationRecord, OperationState
from utils.state.swap import Asked, StoredSwap, Within, keep_swap
from utils.state.values import iso
from utils.steps.pace import Pace, took
from utils.steps.swap import POLL_SECONDS, SwapAction, SwapDue, due, refusal_noted
from utils.steps.swap_begin import begin_or_continue
from utils.steps.swap_calls import Calls, before_call
from utils.steps.swap_observed import SIDES, View, look, observed, wanted_by, with_names, without_outdated

ErrandKind = Literal["end-sessions", "look-at-certificates", "prove"]

# An errand that has left something to do is not sent again at once.
ERRAND_PAUSE = dt.timedelta(seconds=10)
# For so long after a restart was requested its end is waited for: RDS may report `available` before it begins
# (boto3's issues 609 and 2613).
RESTART_PATIENCE = dt.timedelta(minutes=10)
RESTART_POLL_SECONDS = 15
# After a call that AWS works on for about so long at least. Nothing public says how long a rename takes: this is not
# verified, and a look that is too early costs a look.
FIRST_LOOK_SECONDS = {
    SwapAction.RENAME: 30,
    SwapAction.SHUT_DOOR: 10,
    SwapAction.OPEN_DOOR: 10,
    SwapAction.REBOOT_MEMBERS: 10,
    SwapAction.STOP: 60,
    SwapAction.START: 60,
}
# Between two actions: each is decided from what exists then.
NEXT_SECONDS = 1
# What RDS refuses however often it is requested.
_FOR_GOOD = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "InvalidGlobalClusterStateFault",
        "InvalidParameterCombination",
        "InvalidParameterValue",
        "KMSKeyNotAccessibleFault",
        "UnauthorizedOperation",
        "VpcEncryptionControlViolationException",
    }
)
# A name was taken, or has led to nobody, because another call was quicker: the next look says who has it.
_LOOK_AGAIN = frozenset(
    {"DBClusterAlreadyExistsFault", "DBClusterNotFoundFault", "DBInstanceAlreadyExists", "DBInstanceNotFound"}
)

# What comes after the certificates in the decision table, and what a restart that is under way is waited for before.
_AFTER_THE_CERTIFICATES = frozenset(
    {
        SwapAction.PROVE,
        SwapAction.MOVE_LABEL,
        SwapAction.COMMIT,
        SwapAction.OPEN_DOOR,
        SwapAction.SET_ROLES,
        SwapAction.RESTORE_SETTING,
        SwapAction.DONE,
    }
)
_AFTER_A_RESTART = _AFTER_THE_CERTIFICATES | {SwapAction.REBOOT_MEMBERS}


class SwapStep:
    """The swap of one operation, in one run of the function."""

    def __init__(
        self,
        task: SwapTask,
        record: OperationRecord,
        state: OperationState,
        aurora: Aurora,
        prove_at_work: Callable[[], None],
    ) -> None:
        """Begin the swap, or continue it.

        `prove_at_work` is called before each write: it raises where the execution no longer has the operation.
        """
        self._task, self._state, self._aurora, self._prove_at_work = task, state, aurora, prove_at_work
        self._record = record
        self._door = environment.text("DOOR_SECURITY_GROUP_ID")
        self._admin = AdminSecret(admin_secret_of(record))
        self._calls = Calls(aurora, self._admin, state, task.replaces, self._door)
        self._swap = begin_or_continue(task, record, state, aurora, prove_at_work)
        self._wanted = wanted_by(task, self._swap.record.new.resource_id)

    def advance(self) -> SwapProgress:
        """Do what is due, and say what comes next. Raises StepFailed where the swap cannot end as it should."""
        view = look(self._swap, self._aurora)
        self._keep(without_outdated(with_names(self._swap, view, self._state.now), view, self._door))
        self._note_restarts(view)
        known = observed(view, self._swap, self._wanted, self._door, self._current_version())
        found = due(known, self._swap.record, self._state.now)
        if (unknown := self._still_unknown(found, view)) is not None:
            return unknown
        if found.action in (SwapAction.LOOK_AGAIN, SwapAction.WAIT):
            self._keep(replace(self._swap, record=found.record))
            return _waits(found)
        if found.action is SwapAction.FAIL:
            self._keep(replace(self._swap, record=found.record))
            if found.reason == "nothing-left":
                # There is nothing to be finished, so the target is free for another operation.
                self._state.remember(swap_end="back")
            raise StepFailed(failed(found.reason, self._swap.record, view.holders))
        if found.action is SwapAction.DONE:
            return self._end(found)
        if found.action in (SwapAction.END_SESSIONS, SwapAction.PROVE) and found.side is not None:
            self._keep(replace(self._swap, record=found.record))
            return self._errand("prove" if found.action is SwapAction.PROVE else "end-sessions", found.side, view)
        return self._act(found, view)

    def _act(self, found: SwapDue, view: View) -> SwapProgress:
        """Write down what is due, and make its call."""
        because = self._swap.turned_because
        if found.action is SwapAction.COMMIT:
            # First: from here on the new cluster may be open, and is never cleaned up.
            self._state.remember(door_opening_at=iso(self._state.now))
        if found.action is SwapAction.TURN_BACK and found.reason is not None:
            because = because or why(found.reason)
        if found.action is SwapAction.CHOOSE_END and found.record.end == "back":
            because = because or why("new-deleted")
        self._keep(before_call(replace(self._swap, turned_because=because), found, self._state.now))
        self._state.audit("swap", found.action.value, _details(found))
        try:
            self._calls.make(found, self._swap, view)
        except ClusterBusy as busy:
            return _progress(one_line(str(busy), MAX_SENTENCE), POLL_SECONDS)
        except ClientError as error:
            if error_code(error) in _FOR_GOOD:
                self._state.audit("swap", "refused", {**_details(found), "error": one_line(str(error), MAX_SENTENCE)})
                refused = refusal_noted(self._swap.record, found)
                said = one_line(f"AWS has refused {waiting_for(found)}: {error}", MAX_SENTENCE)
                self._keep(replace(self._swap, record=refused, turned_because=because or said))
            elif error_code(error) not in _LOOK_AGAIN:
                raise
            else:
                return _progress(waiting_for(found), POLL_SECONDS)
        return _progress(waiting_for(found), FIRST_LOOK_SECONDS.get(found.action, NEXT_SECONDS))

    def _end(self, found: SwapDue) -> SwapProgress:
        """Record how the swap has ended. One that was turned back fails the step, unless that only finishes it."""
        end, because = found.record.end, self._swap.turned_because
        self._keep(replace(self._swap, record=found.record))
        self._state.audit("swap", "ended", {"end": end, "why": because})
        if end == "forward":
            opened = found.record.committed_at or self._state.now
            self._state.remember(
                swap_end=end,
                door_open_at=iso(opened),
                endpoint=self._task.replaces.endpoint,
                took=took(self._record, self._state.now, {SWAP: self._record.swap_began_at}),
            )
        else:
            # Of a swap that was committed the restored cluster may have been open, before somebody deleted it.
            was_shut = {"door_opening_at": None} if found.record.committed_at is None else {}
            self._state.remember(swap_end=end, **was_shut)
            if not self._task.finishing:
                doubts = self._doubts_of_old()
                raise StepFailed(turned_back(found.record, because or "one of its steps has failed", doubts))
        return SwapProgress(answer="done", waiting_for="", wait_seconds=0, end=end)

    def _doubts_of_old(self) -> list[str]:
        """Return what clients may meet at the cluster that has its name again, a sentence each."""
        swap, within = self._swap, self._swap.within.get("old", Within())
        restarted = swap.restarted.get("old", "none") != "none"
        return list(doubts_of_old(swap.record, certificate_has_name=within.has_live_name, restarted=restarted))

    def _note_restarts(self, view: View) -> None:
        """Write down the restarts that RDS has reported of every member. Behind a shut door one ends every session."""
        for side, since in self._swap.restarting_since.items():
            seen, swap = view.of(side), self._swap
            if not seen.is_available or not self._aurora.restarted_since(seen.members, since):
                continue
            if seen.cluster is not None and door_of(seen.cluster, seen.instances, self._door) == "shut":
                within = replace(swap.within.get(side, Within()), sessions_ended=seen.members)
                swap = replace(swap, within={**swap.within, side: within})
            others = {each: moment for each, moment in swap.restarting_since.items() if each != side}
            self._keep(replace(swap, restarting_since=others))

    def _still_unknown(self, found: SwapDue, view: View) -> SwapProgress | None:
        """Return what has to be known before an action that builds on it; None where nothing is missing.

        What ends the swap, such as its time, comes first: nothing here is waited for without an end.
        """
        record = self._swap.record
        winning: Side = "new" if record.end == "forward" else "old"
        side = found.side or winning
        since = self._swap.restarting_since.get(side)
        if found.action in _AFTER_A_RESTART and since is not None and self._state.now - since < RESTART_PATIENCE:
            return _progress(f"the restart of {', '.join(view.of(side).members)}", RESTART_POLL_SECONDS)
        if found.action not in _AFTER_THE_CERTIFICATES:
            return None
        seen, within = view.of(winning), self._swap.within.get(winning, Within())
        has_name = seen.cluster is not None and seen.cluster.identifier == record.live_name
        if not has_name or not seen.is_available or within.has_live_name is not None:
            return None
        return self._errand("look-at-certificates", winning, view)

    def _errand(self, kind: ErrandKind, side: Side, view: View) -> SwapProgress:
        """Return an errand, or a pause before it where the same one was not the last thing to do."""
        asked, now, seen = self._swap.asked, self._state.now, view.of(side)
        what = doing(kind, seen.cluster.identifier if seen.cluster is not None else "")
        if asked is not None and asked.kind == f"{kind} {side}" and now - asked.at < ERRAND_PAUSE:
            return _progress(what, round(ERRAND_PAUSE.total_seconds()))
        number = asked.number + 1 if asked is not None else 1
        self._keep(replace(self._swap, asked=Asked(number, f"{kind} {side}", now)))
        addresses = {each.identifier: each.endpoint for each in seen.instances if each.endpoint is not None}
        if sorted(addresses) != seen.members:
            return _progress(f"the addresses of {', '.join(seen.members)}", POLL_SECONDS)
        replaced = self._task.replaces
        errand = SwapErrand(
            kind=kind,
            side=side,
            number=number,
            members=addresses,
            host=replaced.endpoint,
            port=replaced.port,
            version_id=self._wanted[side].login_version_id,
            fingerprint=fingerprint(self._state.operation_id),
        )
        return SwapProgress(answer="within", waiting_for=what, wait_seconds=NEXT_SECONDS, errand=errand)

    def _current_version(self) -> VersionOwner:
        """Return whose login is the secret's current one, as far as the winner has a login that could be it."""
        current, record = labels_of(self._admin.arn).get(CURRENT), self._swap.record
        if self._wanted["new" if record.end == "forward" else "old"].login_version_id is None:
            return "other"
        for side in SIDES:
            if current == AdminSecret.version_for(record.of(side).resource_id):
                return side
        return "other"

    def _keep(self, swap: StoredSwap) -> None:
        """Write the swap, unless nothing of it has changed."""
        if swap != self._swap:
            self._prove_at_work()
            self._swap = keep_swap(swap, self._state)


def with_expected_end(progress: SwapProgress, record: OperationRecord, pace: Pace, now: dt.datetime) -> SwapProgress:
    """Return a swap's progress with when the operation is expected to end."""
    began = dt.datetime.fromisoformat(record.swap_began_at) if record.swap_began_at else now
    return replace(progress, expected_end=pace.expected_end(SWAP, began, now))


def _waits(found: SwapDue) -> SwapProgress:
    return _progress(waiting_for(found), found.wait_seconds)


def _progress(what: str, seconds: int) -> SwapProgress:
    return SwapProgress(answer="wait", waiting_for=what, wait_seconds=seconds)


def waiting_for(found: SwapDue) -> str:
    """Return what the swap waits for, or does, in words for a person."""
    return doing(found.action.value, found.name, found.new_name)


def _details(found: SwapDue) -> dict[str, str]:
    """Return what the audit trail has of an action. A name says who is meant at that moment alone, an id always."""
    ids = {"old": found.record.old.resource_id, "new": found.record.new.resource_id}
    about = {"name": found.name, "new_name": found.new_name, "setting": found.setting, "reason": found.reason or ""}
    said = {"side": found.side or "", **about, **ids}
    return {name: value for name, value in said.items() if value}
