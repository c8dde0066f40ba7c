"""One cluster that expires: a warning before, and its deletion under the target's lock.

Each change of the cluster or its secrets comes after three proofs in the same run of the function: the lock on the
target is ours, the register and the operation's record, or that of its swap, name the cluster's resource id, and its
tags say that it is the operation's, or was replaced, and expires (`utils.expiry.due`). Everything is read again once
the lock is held, because what was read before it may be an hour old for another execution. Each step may be repeated,
and one that died half-way continues.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Literal, NoReturn

from aws_lambda_powertools import Logger
from msgspec.structs import replace

from utils import environment, metrics
from utils.aurora_utils import Aurora
from utils.aurora_utils.resources import Cluster, Instance
from utils.contracts.expiry import WhyKept
from utils.contracts.payloads import Execution
from utils.contracts.swap import SwapRecord
from utils.errors import RequestRefused, StepFailed
from utils.expiry.asked import AskedExpiry, refused
from utils.expiry.due import ExpiryAction, ExpiryDue, decide
from utils.expiry.final_snapshot import FinalSnapshotOfOthers, delete_with_final_snapshot, prove_snapshot_possible
from utils.expiry.secrets_of_target import remove_secrets_of_expired
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.messages.expiry_report import expired, kept, not_deleted, snapshot_lost, warning
from utils.operation.delivery import send
from utils.state.expiry import ExpiringCluster, ExpiryRegister
from utils.state.lock import TargetLock
from utils.state.operation import OperationRecord, OperationState
from utils.state.swap import stored_swap
from utils.state.unseen import are_apart
from utils.state.values import iso
from utils.steps.delete_calls import delete_own_cluster

Outcome = Literal["nothing", "warned", "kept", "waiting", "deleted"]
# A cluster that cannot be deleted is tried again by each sweep, and reported again after so long.
REPORTED_AGAIN_AFTER = dt.timedelta(hours=24)
_UNKNOWN = "The secrets of its target were not changed: its operation's record is gone."
log = Logger(service=metrics.SERVICE, child=True)


class ClusterExpiry:
    """One entry of the register in one look of a sweep. `asked`: a person has started it for this cluster alone."""

    def __init__(
        self,
        entry: ExpiringCluster,
        execution: Execution,
        register: ExpiryRegister,
        aurora: Aurora,
        asked: AskedExpiry | None = None,
    ) -> None:
        self._entry, self._register, self._aurora, self._asked = entry, register, aurora, asked
        self._now = execution.now
        who = (execution.execution_id, execution.redrive_count)
        self._state = OperationState(entry.operation_id, who[0], execution.now, who[1])
        self._lock = TargetLock(entry.target_cluster_id, entry.operation_id, *who)
        self._is_locked = False
        self._is_told = False
        self._lets_others_go = environment.optional("ALLOW_DELETION_OF_REPLACED") == "true"

    def advance(self, cluster: Cluster | None) -> Outcome:
        """Do what is due. `cluster` is the living one with the entry's resource id, under any name.

        Raise RequestRefused where a person has asked for a cluster that has to stay.
        """
        self._note_shown(cluster)
        record = self._state.recall()
        due = self._decide(record, cluster, [])
        self._log(due)
        if not due.action.needs_lock:
            if self._entry.deletion_began_at is not None:
                # Somebody keeps it since an earlier look, which may have left the lock with this execution.
                self._lock.give_back(self._now)
            return self._without_lock(due, record, cluster)
        holder = self._lock.claim(self._now).held_by
        if holder is not None:
            held = {"cluster": self._entry.cluster_identifier, "execution": holder.execution_id}
            log.info("an expired cluster waits for the lock on its target", extra=held)
            self._refuse_if_asked(f"is locked by {one_line(holder.execution_id)}: retry when that has ended")
            return "nothing"
        self._is_locked = True
        try:
            outcome = self._under_lock()
        except RequestRefused:
            self._lock.give_back(self._now)
            raise
        if outcome != "waiting":
            self._lock.give_back(self._now)
        return outcome

    def give_up(self, failure: Exception) -> None:
        """Release the lock, and report that the cluster could not be deleted, once a day."""
        if self._is_locked:
            self._lock.give_back(self._now)
        if self._is_told:
            return
        what = f"not deleted: {type(failure).__name__}"
        self._state.audit("expiry", "failed", {"cluster": self._entry.cluster_identifier, "cause": str(failure)})
        if self._is_news(what):
            send(not_deleted(self._entry, failure, self._aurora.region))
            self._note_report(what)

    def _under_lock(self) -> Outcome:
        """Read everything once more, and do what is due then."""
        entry = self._register.entry(self._entry.resource_id)
        if entry is None:
            return "nothing"
        self._entry, record = entry, self._state.recall()
        cluster = self._aurora.cluster_with_id(entry.resource_id)
        self._note_shown(cluster)
        instances = self._aurora.instances_of(cluster.identifier) if cluster is not None else []
        due = self._decide(record, cluster, instances)
        if not due.action.needs_lock:
            return self._without_lock(due, record, cluster)
        if due.action is ExpiryAction.FINISH:
            return self._finish(record)
        if cluster is not None and due.action is not ExpiryAction.WAIT:
            self._delete(cluster, switches_protection_off=due.action is ExpiryAction.SWITCH_PROTECTION_OFF)
        return "waiting"

    def _decide(
        self, record: OperationRecord | None, cluster: Cluster | None, instances: Sequence[Instance]
    ) -> ExpiryDue:
        asked = self._asked is not None and self._entry.asked_at is None
        allowed = self._lets_others_go
        return decide(
            self._entry, record, cluster, instances, self._now, self._swap(), asked=asked, lets_others_go=allowed
        )

    def _refuse_if_asked(self, why: str) -> None:
        """Raise RequestRefused where a person has asked, and nothing has begun for that yet."""
        if self._asked is not None and self._entry.asked_at is None:
            raise refused(self._asked, why)

    def _without_lock(self, due: ExpiryDue, record: OperationRecord | None, cluster: Cluster | None) -> Outcome:
        self._refuse_if_asked(due.why)
        if due.action is ExpiryAction.WARN and record is not None and cluster is not None:
            return self._warn(record, cluster, due.expires_at)
        if due.action is ExpiryAction.KEEP and due.reason is not None and cluster is not None:
            return self._keep(cluster, due.reason, due.expires_at)
        is_unseen = due.action is ExpiryAction.FORGET and self._aurora.cluster_with_id(self._entry.resource_id) is None
        if is_unseen and self._is_gone():
            self._state.audit("expiry", "gone", self._named())
            self._register.remove(self._entry.resource_id)
        return "nothing"

    def _warn(self, record: OperationRecord, cluster: Cluster, expires_at: str) -> Outcome:
        """Announce the cluster's end. It is sent before that is recorded: twice is better than never."""
        send(warning(self._entry, record, cluster, self._aurora.instances_of(cluster.identifier), expires_at))
        self._register.note(self._entry.resource_id, warned_of=expires_at, warned_at=iso(self._now))
        self._state.audit("expiry", "warned", {**self._named(), "expires_at": expires_at})
        return "warned"

    def _keep(self, cluster: Cluster, why: WhyKept, expires_at: str) -> Outcome:
        """Report once why the cluster is kept. That its deletion was asked for is forgotten."""
        if self._entry.asked_at is not None:
            self._register.withdraw(self._entry.resource_id)
        if self._entry.reported != why.clause:
            members = self._aurora.instances_of(cluster.identifier)
            send(kept(self._entry, cluster, members, why, expires_at, self._now))
            self._note_report(why.clause)
            self._state.audit("expiry", "kept", {**self._named(), "why": one_line(why.clause, MAX_SENTENCE)})
        return "kept"

    def _delete(self, cluster: Cluster, *, switches_protection_off: bool) -> None:
        """Take the next step of the deletion. That it has begun is recorded before the first call."""
        begins, of_others = self._entry.deletion_began_at is None, self._entry.deletion_of_others
        if of_others is not None:
            prove_snapshot_possible(of_others, cluster, self._aurora, has_begun=not begins)
        if begins or (self._asked is not None and self._entry.asked_at is None):
            began = {"deletion_began_at": iso(self._now)} if begins else {}
            asked = {"asked_at": iso(self._now)} if self._asked is not None else {}
            self._register.note(self._entry.resource_id, **began, **asked)
            self._state.audit("expiry", "deleting", {**self._named(), **asked})
        if switches_protection_off:
            self._aurora.switch_deletion_protection_off(cluster.identifier)
        elif of_others is not None:
            delete_with_final_snapshot(of_others, cluster, self._aurora)
        else:
            delete_own_cluster(cluster, self._aurora)

    def _finish(self, record: OperationRecord | None) -> Outcome:
        """Remove the secrets of a cluster that is gone, report its end, and forget it.

        One that others created is at its end once its final snapshot is there.
        """
        final: dict[str, str] = {}
        if not self._is_gone():
            return "waiting"
        if (deletion := self._entry.deletion_of_others) is not None:
            elapsed = self._now - dt.datetime.fromisoformat(self._entry.gone_at or iso(self._now))
            look = FinalSnapshotOfOthers(self._entry, deletion, self._aurora, elapsed.total_seconds())
            if (why := look.why_lost()) is not None:
                self._give_up_for_good(why)
            if (snapshot := look.settled()) is None:
                return "waiting"
            final = {"final_snapshot": snapshot.arn}
        about_secrets = self._about_secrets(record)
        self._state.audit("expiry", "deleted", {**self._named(), **final, "secrets": about_secrets})
        send(expired(self._entry, about_secrets, final.get("final_snapshot")))
        self._register.remove(self._entry.resource_id)
        return "deleted"

    def _note_shown(self, cluster: Cluster | None) -> None:
        """Forget that an earlier look has missed the cluster, where this one has not."""
        if cluster is not None and self._entry.gone_at is not None:
            self._register.show(self._entry.resource_id)
            self._entry = replace(self._entry, gone_at=None, name_free_at=None)

    def _is_gone(self) -> bool:
        """Return whether an earlier look has missed the cluster as well, long enough ago; else note this one."""
        if self._entry.gone_at is not None:
            return are_apart(dt.datetime.fromisoformat(self._entry.gone_at), self._now)
        moment = iso(self._now)
        facts = {"gone_at": moment}
        if self._aurora.cluster(self._entry.target_cluster_id) is None:
            facts["name_free_at"] = moment
        self._register.note(self._entry.resource_id, **facts)
        return False

    def _give_up_for_good(self, why: str) -> NoReturn:
        """Report that a cluster is gone without its final snapshot, and forget it: no later look could change that.

        Raise StepFailed, by which the sweep fails.
        """
        self._state.audit("expiry", "failed", {**self._named(), "cause": why})
        send(snapshot_lost(self._entry, why, self._aurora.region))
        self._register.remove(self._entry.resource_id)
        self._is_told = True
        raise StepFailed(why)

    def _about_secrets(self, record: OperationRecord | None) -> list[str]:
        """Remove the secrets of a target that is gone, and return what became of them. A replaced one's serve on."""
        if self._entry.replaced is not None:
            return [f"Those of {self._entry.target_cluster_id} stay: the cluster that replaced it uses them."]
        if record is None:
            return [_UNKNOWN]
        return list(remove_secrets_of_expired(record, self._aurora, is_free=self._entry.name_free_at is not None))

    def _swap(self) -> SwapRecord | None:
        """Return what is recorded of the swap, where the cluster was replaced by one."""
        stored = stored_swap(self._entry.operation_id) if self._entry.replaced is not None else None
        return stored.record if stored is not None else None

    def _is_news(self, what: str) -> bool:
        before = self._entry
        if before.reported != what or before.reported_at is None:
            return True
        return self._now - dt.datetime.fromisoformat(before.reported_at) >= REPORTED_AGAIN_AFTER

    def _note_report(self, what: str) -> None:
        self._register.note(self._entry.resource_id, reported=what, reported_at=iso(self._now))

    def _log(self, due: ExpiryDue) -> None:
        """Write what the stack's dashboard lists: a line for each cluster and look."""
        shown = {
            "cluster": self._entry.cluster_identifier,
            "of_operation": self._entry.operation_id,
            "expires_at": due.expires_at,
            "due": due.action.value,
        }
        log.info("a cluster expires", extra=shown)

    def _named(self) -> dict[str, str]:
        return {"cluster": self._entry.cluster_identifier, "cluster_resource_id": self._entry.resource_id}
