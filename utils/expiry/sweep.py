"""A sweep: one look at every cluster that expires, and what is due with each.

What one of them comes to does not hold up the others. A cluster that cannot be deleted is reported, left alone for the
rest of the sweep, and tried again by the next one; the sweep fails once everything else is done.
"""

from __future__ import annotations

import datetime as dt
from contextlib import suppress

from botocore.exceptions import BotoCoreError, ClientError

from utils import environment
from utils.aurora_utils import Aurora
from utils.aurora_utils.resources import Cluster
from utils.aws_errors import as_step_error
from utils.contracts.payloads import Execution, ExpiryProgress
from utils.errors import StepFailed, TemporaryFailure
from utils.expiry.asked import AskedExpiry, refused, registered
from utils.expiry.cluster import ClusterExpiry
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.pauses import seconds_to_wait
from utils.state.expiry import ExpiringCluster, ExpiryRegister


def look_at_all(execution: Execution, before: ExpiryProgress, asked: AskedExpiry | None = None) -> ExpiryProgress:
    """Do what is due with every registered cluster, and return what the sweep has done so far.

    `asked`: only with that cluster, and now. Raise RequestRefused where it is not registered, or has to stay.
    Raise StepFailed at the end of a sweep in which a cluster could not be deleted.
    """
    register, aurora = ExpiryRegister(), Aurora(environment.region())
    look = _Look(execution, before, register, aurora, asked)
    entries = register.entries() if asked is None else _only(asked, register.entries(), before)
    living = {each.resource_id: each for each in aurora.clusters()} if entries else {}
    for entry in entries:
        if entry.resource_id not in look.failed:
            look.attend_to(entry, living.get(entry.resource_id))
    if look.failed and not look.waiting_for:
        raise StepFailed("\n".join(look.failed.values()))
    return look.progress()


def _only(asked: AskedExpiry, entries: list[ExpiringCluster], before: ExpiryProgress) -> list[ExpiringCluster]:
    """Return the entry of the cluster that was asked for; none where an earlier look has seen its end."""
    entry = registered(asked, entries)
    if entry is None and not before.waiting_for:
        raise refused(asked, "is not registered to expire. Only clusters that expire by themselves are deleted earlier")
    return [entry] if entry is not None else []


class _Look:
    """One look of a sweep: what it has come to, with what the looks before it have."""

    def __init__(
        self,
        execution: Execution,
        before: ExpiryProgress,
        register: ExpiryRegister,
        aurora: Aurora,
        asked: AskedExpiry | None,
    ) -> None:
        self._asked = asked
        self.waiting_for: list[str] = []
        self.failed = dict(before.failed)
        self._done = {"warned": list(before.warned), "kept": list(before.kept), "deleted": list(before.deleted)}
        self._execution, self._register, self._aurora = execution, register, aurora
        self._elapsed = execution.now - execution.started_at

    def attend_to(self, entry: ExpiringCluster, living: Cluster | None) -> None:
        """Do what is due with one cluster. What fails is reported, and keeps nothing else from being done."""
        name = entry.cluster_identifier
        one = ClusterExpiry(entry, self._execution, self._register, self._aurora, self._asked)
        try:
            outcome = one.advance(living)
            if outcome == "waiting":
                self._raise_if_over(living, name)
        except (StepFailed, TemporaryFailure, ClientError, BotoCoreError) as error:
            failure = error if isinstance(error, (StepFailed, TemporaryFailure)) else as_step_error(error)
            said = one_line(f"{name}: {failure}", MAX_SENTENCE)
            if isinstance(failure, TemporaryFailure) and not self._is_over():
                self.waiting_for.append(said)
                return
            self.failed[entry.resource_id] = said
            # Where even that fails, the sweep's own failure raises the alarm.
            with suppress(ClientError, BotoCoreError):
                one.give_up(failure)
            return
        if outcome == "waiting":
            self.waiting_for.append(name)
        elif outcome != "nothing":
            self._done[outcome].append(name)

    def progress(self) -> ExpiryProgress:
        """Return how far the sweep is, and how long to wait before the next look."""
        pause = seconds_to_wait(self._elapsed.total_seconds(), environment.whole_number("POLL_SECONDS"))
        return ExpiryProgress(
            answer="wait" if self.waiting_for else "done",
            wait_seconds=pause if self.waiting_for else 0,
            waiting_for=self.waiting_for,
            failed=self.failed,
            **self._done,
        )

    def _raise_if_over(self, cluster: Cluster | None, name: str) -> None:
        if not self._is_over():
            return
        status = "gone, and its final snapshot not available" if cluster is None else f"still {cluster.status}"
        raise StepFailed(
            f"At the end of DeleteDeadlineHours it is {status}. Look at its events: aws rds describe-events "
            f"--source-type db-cluster --source-identifier {name} --duration 1440 --region {self._aurora.region}"
        )

    def _is_over(self) -> bool:
        """Return whether this sweep waits for nothing more."""
        return self._elapsed >= dt.timedelta(hours=environment.whole_number("DELETE_DEADLINE_HOURS"))
