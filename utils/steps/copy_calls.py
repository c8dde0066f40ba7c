"""The calls of a route, each made once in effect, written down, and where it opens something, in the audit trail."""

from __future__ import annotations

import datetime as dt

from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from utils.aurora_utils.ownership import prove_own_snapshot
from utils.aws_errors import as_step_error, error_code
from utils.contracts.route import RouteStep, SnapshotCopy
from utils.errors import StepFailed, TemporaryFailure
from utils.state.operation import OperationRecord, OperationState
from utils.state.unseen import is_gone, note_looks
from utils.state.values import iso
from utils.steps.copy import CopyDue, a_free_copy
from utils.steps.route_places import Places

# Nobody has published how soon the account that a snapshot is shared with sees it. Until then RDS knows no such
# snapshot there, and the call is retried for as long.
SEEN_WITHIN = dt.timedelta(minutes=15)


class Postponed(Struct, frozen=True, kw_only=True):
    """Why RDS does not create a copy yet, in words for a progress.

    `shared_at`: when the snapshot was shared, where the copying account does not see it yet.
    """

    why: str
    shared_at: dt.datetime | None = None


class RouteCalls:
    """Make the calls of one operation's route."""

    def __init__(self, copy: SnapshotCopy, places: Places, state: OperationState, record: OperationRecord) -> None:
        self._copy, self._places, self._state, self._record = copy, places, state, record
        self._made, self._times = dict(record.made_snapshots), dict(record.route_times)

    def take(self, step: RouteStep) -> Postponed | None:
        """Make the call of a step. Return what is waited for where RDS does not accept it yet; None once it is made.

        Taking back may fail: nothing waits for it.
        """
        if step.is_copy:
            return self._make_copy(step)
        if step.effect == "share":
            # First the record: a call whose answer is lost must still be taken back.
            self._note(step.begun)
            self._places.at_owner(step).share(step.snapshot_arn, step.shared_with or "")
            self._audit("share-snapshot", "done", step)
            self._note(step.name)
        elif self._why_not_taken_back(step) is not None:
            self._note(step.gave_up)
        return None

    def take_everything_back(self) -> list[str]:
        """Take back all that was opened or created on the way and still stands.

        Return a warning, with its command, for each thing that is left.
        """
        outstanding = self._copy.outstanding(self._record.route_times)
        tried = [(step, self._why_not_taken_back(step)) for step in outstanding]
        return [
            f"{step.still_there} ({why}) Run in that account: {step.command}" for step, why in tried if why is not None
        ]

    def _why_not_taken_back(self, step: RouteStep) -> str | None:
        """Take back what a step is for. Return why that is not possible, and None once it is done.

        Raises TemporaryFailure for what is worth another try.
        """
        try:
            self._take_back(step)
        except (ClientError, BotoCoreError, StepFailed) as error:
            failure = error if isinstance(error, StepFailed) else as_step_error(error)
            if isinstance(failure, TemporaryFailure):
                raise failure from error
            self._audit(_event(step), "failed", step, str(failure))
            return str(failure)
        return None

    def _make_copy(self, step: RouteStep) -> Postponed | None:
        where = self._places.of(step)
        try:
            made = where.copy_snapshot(step, self._copy.tags, self._state.operation_id)
        except ClientError as error:
            if error_code(error) == "DBClusterSnapshotNotFoundFault" and (shared_at := self._shared_at(step)):
                return self._until_seen(step, shared_at)
            if error_code(error) != "SnapshotQuotaExceeded":
                raise
            room = where.room_for_snapshots()
            if room is None or room <= 0:
                raise StepFailed(
                    f"No room for the copy {step.snapshot_arn}: {error}. Delete manual snapshots that nobody needs in "
                    f"{where.region}, or have the quota raised; then resume this operation."
                ) from error
            return Postponed(why=a_free_copy(step))
        self._remember(step, made.arn)
        return None

    def _shared_at(self, copy: RouteStep) -> dt.datetime | None:
        """Return when the snapshot of a copy was shared for it; None where that was not necessary."""
        for step in self._copy.steps:
            if (step.effect, step.snapshot_arn) == ("share", copy.source_arn) and step.name in self._times:
                return dt.datetime.fromisoformat(self._times[step.name])
        return None

    def _until_seen(self, copy: RouteStep, shared_at: dt.datetime) -> Postponed:
        """Return the wait for a shared snapshot. It is there: the owner's account was just asked for it."""
        if self._state.now - shared_at < SEEN_WITHIN:
            return Postponed(
                why=f"{copy.source_arn}, which has just been shared, to become visible", shared_at=shared_at
            )
        _, account = copy.place
        raise StepFailed(
            f"Snapshot {copy.source_arn} was shared with account {account} at {iso(shared_at)}, and RDS still does not "
            "show it there. Look in its own account whether it is still shared (DescribeDBClusterSnapshotAttributes), "
            "then resume this operation."
        )

    def remember_reached(self, due: CopyDue) -> None:
        """Record the copy that was reached, as every later proof needs it.

        The call that created the copy may have died before it could record it.
        """
        if due.reached is not None and due.reached.name not in self._made:
            self._remember(due.reached, due.reached.snapshot_arn)

    def _remember(self, step: RouteStep, arn: str) -> None:
        self._made[step.name] = arn
        self._times[step.made] = iso(self._state.now)
        self._state.remember(made_snapshots=self._made, route_times=self._times)

    def _take_back(self, step: RouteStep) -> None:
        if step.effect == "unshare":
            self._places.at_owner(step).unshare(step.snapshot_arn, step.shared_with or "")
            self._audit("unshare-snapshot", "done", step)
        else:
            where, name = self._places.of(step), step.snapshot_name
            found, maker = where.snapshot(name), self._copy.undone_by(step)
            if found is None and maker.name in self._record.made_snapshots:
                self._prove_gone(maker)
            if found is not None and not found.is_being_deleted:
                prove_own_snapshot(found, maker, self._record)
                where.delete_snapshot(name)
            if self._made.pop(maker.name, None) is not None:
                self._state.note(made_snapshots=self._made)
        self._note(step.name)

    def _prove_gone(self, maker: RouteStep) -> None:
        """Raise StepFailed for a copy that RDS does not show, unless an earlier look has missed it as well.

        Nothing waits for its removal, which is tried again at the end.
        """
        arn = maker.snapshot_arn
        note_looks(self._state, self._record, missed=[arn])
        if not is_gone(self._record, arn, self._state.now):
            region, account = maker.place
            raise StepFailed(
                f"RDS did not show snapshot {arn}, and one look does not prove that it is gone. Look for it in account "
                f"{account}: aws rds describe-db-cluster-snapshots --db-cluster-snapshot-identifier "
                f"{maker.snapshot_name} --region {region}"
            )

    def _note(self, what: str) -> None:
        self._times[what] = iso(self._state.now)
        self._state.remember(route_times=self._times)

    def _audit(self, event: str, status: str, step: RouteStep, cause: str | None = None) -> None:
        details = {"snapshot_arn": step.snapshot_arn, "shared_with": step.shared_with}
        self._state.audit(event, status, details | ({"cause": cause} if cause else {}))


def _event(step: RouteStep) -> str:
    return "unshare-snapshot" if step.effect == "unshare" else step.name.replace("_", "-")
