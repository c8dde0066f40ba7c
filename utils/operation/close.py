"""The end of an operation: whose end it is, what is left of it, and closing its state exactly once."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from msgspec.structs import replace

from utils import environment, metrics
from utils.arns import Arn, execution_name
from utils.aurora_utils import AuroraReader
from utils.aurora_utils.ownership import owns_cluster, owns_recorded_copy
from utils.aws import as_step_error
from utils.contracts.payloads import Execution, ExecutionDetail, ExecutionError, ExecutionStatusChange, NotificationTask
from utils.contracts.plan import Plan, SourceDeletion
from utils.contracts.route import RouteStep
from utils.errors import DuplicateRefused, RequestRefused
from utils.foreign_text import one_line
from utils.messages.failure import MAX_CAUSE, Lost, Remains, cause_lines
from utils.messages.next_steps import as_asked
from utils.messages.outcome import phase_seconds, total_seconds
from utils.messages.source_left import look_at_source
from utils.names import SCHEDULED_PREFIX, is_brought_at, is_operation_id, scheduled_operation_id
from utils.operation.secret_endings import settle_secrets
from utils.operation.starter import Starter
from utils.redaction import without_secrets
from utils.state.lock import TargetLock
from utils.state.operation import OperationRecord, OperationState, Status, iso

# A table's item has 400 KiB, and a character up to four bytes.
MAX_REQUEST = 50_000
# Ends at which a step may have been at work, which nobody waited for.
STOPPED = frozenset({"ABORTED", "TIMED_OUT"})
# RDS's word for a snapshot that is gone, in the cause of a step that looked for it in its own account.
SNAPSHOT_NOT_FOUND = "DBClusterSnapshotNotFoundFault"
STATUS_OF: dict[str, Status] = {"planned": "planned", "succeeded": "succeeded", "failed": "failed"}


def read_task(event: Mapping[str, Any]) -> NotificationTask:
    """From the state machine, or from EventBridge when the execution ended where no Catch could see it."""
    if "detail-type" not in event:
        return msgspec.convert(event, NotificationTask)
    change = msgspec.convert(event, ExecutionStatusChange)
    detail = change.detail
    return NotificationTask(
        run=Execution(
            execution_id=detail.execution_arn,
            execution_name=detail.name,
            started_at=dt.datetime.fromtimestamp(detail.start_date / 1000, dt.UTC),
            now=change.time,
            redrive_count=detail.redrive_count,
        ),
        outcome="failed",
        request=_parsed(detail.input),
        error=ExecutionError(error=_error_name(detail), cause=_cause(detail)),
        stopped=detail.status in STOPPED,
    )


def _error_name(detail: ExecutionDetail) -> str:
    return one_line(detail.error or f"Execution{detail.status.title().replace('_', '')}")


def _cause(detail: ExecutionDetail) -> str:
    """What somebody says who stops an execution is theirs: on one line, so that it can't be taken for ours."""
    if not detail.cause:
        return f"The execution ended {detail.status} without a word from the step it was in."
    return one_line(detail.cause, MAX_CAUSE) if detail.status == "ABORTED" else detail.cause


def _parsed(text: str | None) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return {}


class OperationEnd:
    """One execution at its end."""

    def __init__(
        self,
        task: NotificationTask,
        state: OperationState,
        record: OperationRecord | None,
        named: OperationRecord | None = None,
    ) -> None:
        """`named` is another execution's operation, which the request named and which wasn't resumed."""
        self.record = record
        self.asked_before = as_asked(named) if named is not None and named.plan else {}
        self.error = task.error or ExecutionError(error="Unknown", cause="The state machine handed on no error.")
        self.clean_up: Mapping[str, Any] = task.clean_up if isinstance(task.clean_up, dict) else {}
        # What became of the operation's secrets when it was closed.
        self.about_secrets: list[str] = []
        self._task = task
        self._state = state

    @property
    def already_told(self) -> bool:
        """Whether people have been told of this end.

        A run that was redriven after its end is told again: its steps have made it `running` once more. One that goes
        on, in a later attempt or resumed by another execution, had been told before that; a duplicate start is nothing
        to tell of at all. An operation that was told as succeeded stays so: then the execution was stopped in its last
        state, with everything done.
        """
        record = self.record
        if self.is_duplicate or record is None:
            return self.is_duplicate
        run = self._task.run
        goes_on = record.execution_id != run.execution_id or record.redrive_count > run.redrive_count
        told = record.notified_at is not None and record.status in (STATUS_OF[self._task.outcome], "succeeded")
        return goes_on or told

    @property
    def corrects(self) -> str | None:
        """When people were told, too early, that what has succeeded had failed; None where they weren't.

        It was stopped in its last state: EventBridge's word on it may be heard before that state's own.
        """
        record = self.record
        wrong = record is not None and self._task.outcome == "succeeded" and record.status == "failed"
        return record.notified_at if record is not None and wrong else None

    @property
    def is_duplicate(self) -> bool:
        return self._task.outcome == "failed" and self.error.error == DuplicateRefused.__name__

    def close(self) -> None:
        """Write down how it ended, settle its secrets, give the lock back. Doing it twice is as good as once."""
        task, status = self._task, STATUS_OF[self._task.outcome]
        if self.record is None or self.record.status != status or status == "planned":
            metrics.count_operation(self._outcome(), self._state.operation_id, self.error.error if task.error else "")
        if self.record is None:
            # As a text: a request that was refused may hold what no table takes.
            asked = json.dumps(without_secrets(task.request), ensure_ascii=False)[:MAX_REQUEST]
            self._state.open("snapshot-check", {"request": asked}, {}, status, closed=True)
        else:
            self._state.close(status)
            target = self.record.plan.get("target_cluster_id")
            if target:
                run = task.run
                lock = TargetLock(target, self.record.operation_id, run.execution_id, run.redrive_count)
                # While it is held: the next run for the target may go on with the same secrets.
                self.about_secrets = settle_secrets(self.record, self._state, lock, failed=task.outcome == "failed")
                lock.release(run.now)
        if task.outcome == "succeeded" and self.record and task.plan:
            self._count(self.record, task.plan)

    def told(self, subject: str, starter: Starter) -> None:
        details: dict[str, Any] = {"outcome": self._task.outcome, "subject": subject, "started_by": starter}
        if self._task.outcome == "failed":
            details |= {"error": self.error.error, "cause": "\n".join(cause_lines(self.error))[:2000]}
        self._state.remember_at_end(notified_at=iso(self._task.run.now), started_by=starter)
        self._state.audit("sns-notification", self._task.outcome, details)

    def remains(self) -> Remains:
        """Ask RDS what this operation has left behind. That this fails must not hide why the operation did."""
        record = self.record
        if record is None or "target_cluster_id" not in record.plan:
            return Remains()
        deletion = _begun_deletion(record)
        known = Remains(
            on_the_way=left_on_the_way(record),
            deletion=deletion,
            may_appear=self._task.stopped,
            about_secrets=self.about_secrets,
        )
        try:
            if deletion is not None:
                known = replace(known, source=look_at_source(deletion, AuroraReader(deletion.region)))
            aurora = AuroraReader(environment.region())
            cluster = aurora.cluster(record.plan["target_cluster_id"])
            if cluster is not None and owns_cluster(cluster, record):
                known = replace(known, cluster=cluster, members=aurora.instances_of(cluster.identifier))
            copy = aurora.snapshot(record.copied_snapshot_arn) if record.copied_snapshot_arn else None
            if copy is not None and owns_recorded_copy(copy, record):
                known = replace(known, copy=copy)
            known = replace(known, lost=self._lost(record, known))
            if known.lost is None and _goes_on_from_snapshot(record, known) and not _is_own_snapshot(record):
                known = replace(known, snapshot_is_out_of_sight=True)
        except (ClientError, BotoCoreError) as error:
            return replace(known, unknown=str(as_step_error(error)))
        return known

    def _lost(self, record: OperationRecord, known: Remains) -> Lost | None:
        """What a resumed run would go on from and wouldn't find, as far as it can be seen from here."""
        if known.cluster is not None:
            return None
        if record.cluster_resource_id is not None and record.clean_up_at is None:
            return "cluster"
        if known.deletion is not None or not _goes_on_from_snapshot(record, known):
            return None
        if not _is_own_snapshot(record):
            return "snapshot" if SNAPSHOT_NOT_FOUND in self.error.cause else None
        snapshot = record.plan["snapshot"]
        found = AuroraReader(Arn.parse(snapshot["arn"]).region).snapshot(snapshot["identifier"])
        return "snapshot" if found is None else None

    def count_duplicate(self) -> None:
        metrics.count_operation("Duplicate", self._state.operation_id)

    def _outcome(self) -> str:
        refused = self._task.outcome == "failed" and self.error.error == RequestRefused.__name__
        by_a_person = not _named_operations(self._task.request)[0]
        return "Refused" if refused and by_a_person else self._task.outcome.title()

    def _count(self, record: OperationRecord, plan: Plan) -> None:
        now = self._task.run.now
        for name, seconds in phase_seconds(record, now).items():
            metrics.record_phase(name, record.operation_id, seconds)
        metrics.record_restore(
            record.operation_id,
            total_seconds(record, now),
            (now - plan.snapshot.created_at).total_seconds(),
            plan.snapshot.allocated_gib,
        )


def _begun_deletion(record: OperationRecord) -> SourceDeletion | None:
    """The source's deletion, once anything was done to the source."""
    if record.source_deletion_at is None and record.protection_off_at is None:
        return None
    planned = record.plan.get("source_deletion")
    return msgspec.convert(planned, SourceDeletion) if planned else None


def _goes_on_from_snapshot(record: OperationRecord, known: Remains) -> bool:
    """Whether nothing was made of the snapshot yet, or all of it was taken away."""
    copy_is_gone = record.copied_snapshot_arn is not None and known.copy is None
    made = {} if copy_is_gone or record.copy_clean_up_at is not None else record.made_snapshots
    return bool(record.plan.get("snapshot")) and known.cluster is None and known.copy is None and not made


def _is_own_snapshot(record: OperationRecord) -> bool:
    """Another account's can't be asked for from here."""
    return Arn.parse(record.plan["snapshot"]["arn"]).account_id == Arn.parse(record.execution_id).account_id


def left_on_the_way(record: OperationRecord) -> list[RouteStep]:
    """What of the snapshot's route was opened or made, as far as is known, and hasn't been taken back."""
    copy = record.planned_copy
    if copy is None:
        return []
    left = copy.outstanding(record.route_times)
    return [step for step in left if step.effect == "unshare" or copy.maker_of(step).name in record.made_snapshots]


def end_of_execution(task: NotificationTask) -> OperationEnd:
    """The operation of this execution. Another execution's record of the same operation id isn't ours to close."""
    run = task.run
    own_name = execution_name(run.execution_id)
    scheduled, given = _named_operations(task.request)
    named = None
    for operation_id in [*scheduled, *given, own_name]:
        state = _state_of(operation_id, run)
        record = state.recall()
        if record is not None and task.stopped and not _is_of(record, run) and not state.shut_out(record.execution_id):
            record = state.recall()
        if record is not None and _is_of(record, run):
            return OperationEnd(task, state, record)
        named = named or record
    # Ended before it became an operation: that takes neither a schedule's moment nor another operation's name. But the
    # first step of a schedule's execution that was stopped may outlive it, and has to find the moment closed. No
    # operation has a # in its id.
    if task.stopped and named is None and _took_a_moment(task.request, run):
        return OperationEnd(task, _state_of(scheduled[0], run), None)
    state = _state_of(own_name, run)
    if own_name.startswith(SCHEDULED_PREFIX) or state.recall() is not None:
        state = _state_of(f"execution#{own_name}", run)
    return OperationEnd(task, state, state.recall(), named)


def _state_of(operation_id: str, run: Execution) -> OperationState:
    return OperationState(operation_id, run.execution_id, run.now, run.redrive_count)


def _is_of(record: OperationRecord, run: Execution) -> bool:
    return run.execution_id in (record.execution_id, *record.earlier_executions)


def _took_a_moment(request: Any, run: Execution) -> bool:
    """Whether the first step, had it come so far, would have begun the operation of a schedule's moment."""
    asked = request if isinstance(request, dict) else {}
    moment = asked.get("scheduled_at")
    return isinstance(moment, str) and not asked.get("dry_run") and is_brought_at(moment, run.started_at)


def _named_operations(request: Any) -> tuple[list[str], list[str]]:
    """The operation of the moment that a schedule has named in a request, and the one that the request names itself."""
    asked = request if isinstance(request, dict) else {}
    moment, given = asked.get("scheduled_at"), asked.get("operation_id")
    scheduled = scheduled_operation_id(moment) if isinstance(moment, str) else None
    return ([scheduled] if scheduled else []), ([given] if isinstance(given, str) and is_operation_id(given) else [])
