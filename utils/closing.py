"""The end of an operation: whose end it is, what is left of it, and closing its state exactly once."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from utils import metrics, settings
from utils.aurora_utils import Aurora
from utils.aws import as_step_error
from utils.errors import DuplicateRefused, RequestRefused
from utils.failure_text import Remains
from utils.identifiers import is_operation_id, scheduled_operation_id
from utils.lock import TargetLock
from utils.notifications import execution_name, phase_seconds, total_seconds
from utils.payloads import Execution, ExecutionDetail, ExecutionError, ExecutionStatusChange, NotificationTask
from utils.plans import Plan, RouteStep, SnapshotCopy
from utils.redaction import without_secrets
from utils.routes import maker_of, outstanding
from utils.state import OperationRecord, OperationState, Status, iso

# A table's item has 400 KiB, and a character up to four bytes.
MAX_REQUEST = 50_000
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
        ),
        outcome="failed",
        request=_parsed(detail.input),
        error=ExecutionError(
            error=detail.error or f"Execution{detail.status.title().replace('_', '')}",
            cause=_cause(detail),
        ),
    )


def _cause(detail: ExecutionDetail) -> str:
    cause = detail.cause or f"The execution ended {detail.status} without a word from the step it was in."
    if detail.status in ("ABORTED", "TIMED_OUT"):
        cause += "\nA step that was at work may still be finishing: look at what exists again in a few minutes."
    return cause


def _parsed(text: str | None) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return {}


class OperationEnd:
    """One execution at its end."""

    def __init__(self, task: NotificationTask, state: OperationState, record: OperationRecord | None) -> None:
        self.record = record
        self.error = task.error or ExecutionError(error="Unknown", cause="The state machine handed on no error.")
        self.clean_up: Mapping[str, Any] = task.clean_up if isinstance(task.clean_up, dict) else {}
        self._task = task
        self._state = state

    @property
    def already_told(self) -> bool:
        """A run that was redriven after its end is told again: its steps have made it `running` once more.

        One whose operation was resumed had been told before that; a duplicate start is nothing to tell of at all.
        """
        record = self.record
        if self.is_duplicate or record is None:
            return self.is_duplicate
        resumed_by_another = record.execution_id != self._task.run.execution_id
        told = record.notified_at is not None and record.status == STATUS_OF[self._task.outcome]
        return resumed_by_another or told

    @property
    def is_duplicate(self) -> bool:
        return self._task.outcome == "failed" and self.error.error == DuplicateRefused.__name__

    def close(self) -> None:
        """Write down how it ended and give the lock back. Doing it twice is as good as once."""
        task, status = self._task, STATUS_OF[self._task.outcome]
        if self.record is None or self.record.status != status or status == "planned":
            metrics.count_operation(self._outcome(), self._state.operation_id, self.error.error if task.error else "")
        if self.record is None:
            # As a text: a request that was refused may hold what no table takes.
            asked = json.dumps(without_secrets(task.request), ensure_ascii=False)[:MAX_REQUEST]
            self._state.open("snapshot-check", {"request": asked}, {}, status)
        else:
            self._state.close(status)
            target = self.record.plan.get("target_cluster_id")
            if target:
                TargetLock(target, self.record.operation_id, task.run.execution_id).release()
        if task.outcome == "succeeded" and self.record and task.plan:
            self._count(self.record, task.plan)

    def told(self, subject: str) -> None:
        details: dict[str, Any] = {"outcome": self._task.outcome, "subject": subject}
        if self._task.outcome == "failed":
            details |= {"error": self.error.error, "cause": self.error.cause[:2000]}
        self._state.remember(notified_at=iso(self._task.run.now))
        self._state.audit("sns-notification", self._task.outcome, details)

    def remains(self) -> Remains:
        """Ask RDS what this operation has left behind. That this fails must not hide why the operation did."""
        record = self.record
        if record is None or "target_cluster_id" not in record.plan:
            return Remains()
        try:
            aurora = Aurora(settings.region())
            cluster = aurora.cluster(record.plan["target_cluster_id"])
            copy = aurora.snapshot(record.copied_snapshot_arn) if record.copied_snapshot_arn else None
        except (ClientError, BotoCoreError) as error:
            return Remains(unknown=str(as_step_error(error)), on_the_way=left_on_the_way(record))
        return Remains(
            on_the_way=left_on_the_way(record),
            cluster=cluster if cluster and cluster.belongs_to(record.operation_id) else None,
            copy=copy if copy and copy.belongs_to(record.operation_id) else None,
        )

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


def left_on_the_way(record: OperationRecord) -> list[RouteStep]:
    """What of the snapshot's route was opened or made, as far as is known, and hasn't been taken back."""
    if not record.plan.get("copy"):
        return []
    copy = msgspec.convert(record.plan["copy"], SnapshotCopy)
    left = outstanding(copy, record.route_times)
    return [step for step in left if step.name == "unshare" or maker_of(step, copy).name in record.made_snapshots]


def end_of_execution(task: NotificationTask) -> OperationEnd:
    """The operation of this execution. Another execution's record of the same operation id isn't ours to close."""
    run = task.run
    own_name = execution_name(run.execution_id)
    scheduled, given = _named_operations(task.request)
    for operation_id in [*scheduled, *given, own_name]:
        state = OperationState(operation_id, run.execution_id, run.now)
        record = state.recall()
        if record is not None and run.execution_id in (record.execution_id, *record.earlier_executions):
            return OperationEnd(task, state, record)
    # Refused before it became an operation. What was refused of a schedule's is known by its moment all the same.
    state = OperationState([*scheduled, own_name][0], run.execution_id, run.now)
    if scheduled and state.recall() is not None:
        state = OperationState(own_name, run.execution_id, run.now)
    # Another operation may bear this execution's name; none has a # in its id.
    if state.recall() is not None:
        state = OperationState(f"execution#{own_name}", run.execution_id, run.now)
    return OperationEnd(task, state, state.recall())


def _named_operations(request: Any) -> tuple[list[str], list[str]]:
    """The operation of the moment that a schedule has named in a request, and the one that the request names itself."""
    asked = request if isinstance(request, dict) else {}
    moment, given = asked.get("scheduled_at"), asked.get("operation_id")
    scheduled = scheduled_operation_id(moment) if isinstance(moment, str) else None
    return ([scheduled] if scheduled else []), ([given] if isinstance(given, str) and is_operation_id(given) else [])
