"""The end of an operation: its state is closed exactly once, and its evidence sealed."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError
from msgspec.structs import replace

from utils import metrics
from utils.arns import Arn
from utils.contracts.payloads import Execution, ExecutionDetail, ExecutionError, ExecutionStatusChange, NotificationTask
from utils.contracts.plan import FoundSnapshot, Plan
from utils.contracts.verification import Verification
from utils.errors import DuplicateRefused, RequestRefused
from utils.foreign_text import one_line
from utils.messages.failure import MAX_CAUSE_SHOWN, cause_lines, failed_clean_up_lines
from utils.messages.next_steps import as_asked, next_lines
from utils.messages.outcome import NOT_SETTLED, phase_seconds, total_seconds
from utils.messages.remains import Remains
from utils.messages.swap import ReplacedNow
from utils.operation.evidence import Known, evidence_of
from utils.operation.finishing import finishing_arn, finishing_name, start_finishing
from utils.operation.identity import is_scheduled, operation_at_end
from utils.operation.remains import replaced_now, with_remains
from utils.operation.sealing import ChainBegun, Witness, chain_begun, seal_end
from utils.operation.secret_endings import settle_secrets
from utils.operation.starter import Starter
from utils.redaction import without_secrets
from utils.state.durations import SourceDurations, durations_key
from utils.state.executions import STOPPED
from utils.state.lock import TargetLock
from utils.state.operation import OperationRecord, OperationState, iso, plan_key
from utils.state.verification import kept_verification

# A table's item has 400 KiB, and a character up to four bytes.
MAX_REQUEST = 50_000
log = Logger(service=metrics.SERVICE, child=True)


def read_task(event: Mapping[str, Any]) -> NotificationTask:
    """Read the task of the state machine, or of EventBridge where an execution ended without reaching a Catch."""
    if "detail-type" not in event:
        return msgspec.convert(event, NotificationTask)
    change = msgspec.convert(event, ExecutionStatusChange)
    detail = change.detail
    return NotificationTask(
        execution=Execution(
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
        died=True,
        ended_as=detail.status,
    )


def _error_name(detail: ExecutionDetail) -> str:
    return one_line(detail.error or f"Execution{detail.status.title().replace('_', '')}")


def _cause(detail: ExecutionDetail) -> str:
    """Return the cause. What a person says who stops an execution is put on one line."""
    if not detail.cause:
        return f"The execution ended {detail.status}, and the step that was running reported nothing."
    return one_line(detail.cause, MAX_CAUSE_SHOWN) if detail.status == "ABORTED" else detail.cause


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
        """`named` is another execution's operation, which the request named and which was not resumed."""
        self.record = record
        self.asked_before = as_asked(named) if named is not None and named.plan else {}
        self.error = task.error or ExecutionError(error="Unknown", cause="The state machine passed no error.")
        self.clean_up: Mapping[str, Any] = task.clean_up if isinstance(task.clean_up, dict) else {}
        # What became of the operation's secrets when it was closed.
        self.about_secrets: list[str] = []
        self._task = task
        self._state = state
        # Which link the chain ends with before this end is added to it.
        self._begun = ChainBegun()

    @property
    def is_reported(self) -> bool:
        """Whether this end has been reported to people.

        The end of an execution that was redriven is reported again: its steps have made it `running` once more. One
        that continues, in a later attempt or resumed by another execution, had been reported before that; a duplicate
        start is not reported at all. An operation that was reported as succeeded stays so: then the execution was
        stopped in its last state, with everything done.
        """
        record = self.record
        if self.is_duplicate or record is None:
            return self.is_duplicate
        execution = self._task.execution
        continues = record.execution_id != execution.execution_id or record.redrive_count > execution.redrive_count
        reported = record.notified_at is not None and record.status in (self._task.outcome, "succeeded")
        return continues or reported

    @property
    def corrects(self) -> str | None:
        """When it was reported, too early, that what has succeeded had failed; None where it was not.

        It was stopped in its last state: EventBridge may report that before the state itself does.
        """
        record = self.record
        wrong = record is not None and self._task.outcome == "succeeded" and record.status == "failed"
        return record.notified_at if record is not None and wrong else None

    @property
    def is_duplicate(self) -> bool:
        """Whether the execution was a schedule's second one for a moment, and did nothing."""
        return self._task.outcome == "failed" and self.error.error == DuplicateRefused.__name__

    @property
    def is_to_be_finished(self) -> bool:
        """Whether another execution has to finish the swap, or the drill, which this one has left.

        One whose own states have reported its end has tried to finish the swap, or to delete the drill's cluster, and
        failed: a person is needed then. Where the end was reported before, it was decided then.
        """
        record, execution = self.record, self._task.execution
        if record is None or record.execution_id != execution.execution_id:
            return False
        if record.redrive_count > execution.redrive_count or not (record.is_swapping or self._leaves_drill):
            return False
        decided = record.finished_by == finishing_name(record.operation_id, execution)
        return decided if self.is_reported else self._task.died

    @property
    def _leaves_drill(self) -> bool:
        """Whether this execution was to carry out a drill.

        One that only had to end the drill of another one has none to leave: else executions would start each other for
        ever, against a person who stops them.
        """
        record = self.record
        if record is None or not record.is_drill or record.plan.get("dry_run"):
            return False
        return record.drill_ended_by.get("execution_id") in (None, record.execution_id)

    def have_it_finished(self) -> None:
        """Have another execution finish what this one has left, where that is due. Twice has the effect of once."""
        if self.record is not None and self.is_to_be_finished:
            start_finishing(self.record.operation_id, self._task.execution)

    def close(self) -> None:
        """Record how it ended, settle its secrets, release the lock. Doing it twice has the effect of one."""
        task, status = self._task, self._task.outcome
        if status != "planned":
            self._begun = chain_begun(self.record, self._attempt)
        begun: dict[str, Any] = {"evidence_begun": self._begun.recorded} if self._begun.recorded else {}
        if self.record is None or self.record.status != status or status == "planned":
            metrics.count_operation(self._outcome(), self._state.operation_id, self.error.error if task.error else "")
        if self.record is None:
            # As a text: a request that was refused may hold what no table takes.
            asked = json.dumps(without_secrets(task.request), ensure_ascii=False)[:MAX_REQUEST]
            self._state.open("snapshot-check", {"request": asked}, {}, status, facts=begun, closed=True)
        else:
            if self._leaves_drill and self.is_to_be_finished:
                # From here on the operation is only ended, whoever resumes it.
                self.record = replace(self.record, drill_ended_by=self._ended_drill(self.record))
                begun |= {"drill_ended_by": self.record.drill_ended_by}
            self._state.close(status, **begun)
            if self.record.is_swapping and (closed := self._state.recall()) is not None:
                # Until it was closed, a step that outlived the execution may have recorded the swap's end.
                self.record = replace(self.record, swap_end=closed.swap_end)
            target = self.record.plan.get("target_cluster_id")
            # Names, labels and sessions are between two clusters: the lock stays for who finishes the swap.
            if target and not self.record.is_swapping:
                execution = task.execution
                lock = TargetLock(target, self.record.operation_id, execution.execution_id, execution.redrive_count)
                # While it is held: the next execution for the target may use the same secrets.
                self.about_secrets = settle_secrets(self.record, self._state, lock, ended=self._leaves_nothing)
                lock.release(execution.now)
        if task.outcome == "succeeded" and self.record and task.plan and task.plan.rolls_back is None:
            self._count(self.record, task.plan)

    def _ended_drill(self, record: OperationRecord) -> dict[str, Any]:
        execution = self._task.execution
        return {
            "execution_id": execution.execution_id,
            "redrive_count": execution.redrive_count,
            "status": self._task.ended_as,
            "step": record.state,
            "at": iso(execution.now),
        }

    @property
    def _leaves_nothing(self) -> bool:
        """Whether the operation's cluster may be gone, because it failed or was a drill."""
        return self._task.outcome == "failed" or (self.record is not None and self.record.is_drill)

    def learn(self) -> None:
        """Keep how long each phase took, also those of a failed operation, for the next one of its source.

        A failure here costs the next operation some time and this one nothing: it is only logged.
        """
        record = self.record
        if record is None or not record.took or not record.plan.get("snapshot") or record.plan.get("rolls_back"):
            return
        try:
            snapshot = msgspec.convert(record.plan["snapshot"], FoundSnapshot)
            began, now = record.entered("snapshot-check"), self._task.execution.now
            SourceDurations(snapshot).add(record.took, began, now, record.announced)
        except (ClientError, BotoCoreError, msgspec.ValidationError) as error:
            log.warning("durations not kept", extra={"cause": one_line(error)})

    def seal(self, starter: Starter, left: Remains) -> Witness | None:
        """Write the evidence of this end; None for a dry run, of which there is nothing to show."""
        if self._task.outcome == "planned":
            return None
        operation_id = self._state.operation_id
        return seal_end(
            lambda: evidence_of(self._known(starter, left)),
            operation_id,
            self._attempt,
            self._begun,
            self._note_begun,
        )

    def _known(self, starter: Starter, left: Remains) -> Known:
        """Return what the evidence is put together from. What is asked here of AWS may fail as any of the evidence."""
        task = self._task
        has_failed = task.outcome == "failed"
        return Known(
            operation_id=self._state.operation_id,
            execution=task.execution,
            succeeded=task.outcome == "succeeded",
            stopped=task.stopped,
            request=task.request,
            record=self.record,
            starter=starter,
            remains=left,
            exists=self._exists(left),
            error=self.error if has_failed else None,
            archive=task.archive,
            left=[
                *_warnings_of(task),
                *(_still_open(left) if has_failed else ()),
                *failed_clean_up_lines(self.record, self.clean_up),
                *(each for each in self.about_secrets if each.startswith(NOT_SETTLED)),
            ],
            verification=self._verification(),
            next=list(self.next_lines(left)) if has_failed else [],
        )

    def _verification(self) -> Verification | None:
        """Return what the checks of the cluster have found; None where none were made of this one.

        What an earlier execution has found counts where its cluster passed: a resumed operation may have another one.
        """
        record = self.record
        if record is None or not record.plan.get("verification"):
            return None
        found = kept_verification(record.operation_id)
        of_this = "verify-data" in record.step_times and found is not None
        if of_this and found is not None and found.finished_at >= record.entered("verify-data"):
            return found
        gone = record.cluster_resource_id is None and record.removed_here.get("verified_at")
        return found if record.verified_at or gone else None

    def next_lines(self, left: Remains) -> Iterable[str]:
        """Return what to do after a failure, as the message says it."""
        task = self._task
        return next_lines(self.error, self.record, task.request, left, task.execution.execution_id, self.asked_before)

    @property
    def _attempt(self) -> str:
        """Return which end this is: an execution may end several times, redriven, or reported too early as failed."""
        execution = self._task.execution
        redriven = f"-redrive-{execution.redrive_count}" if execution.redrive_count else ""
        return f"{execution.execution_name}{redriven}-{'stopped' if self._task.stopped else self._task.outcome}"

    def _note_begun(self, begun: dict[str, object]) -> None:
        self._state.remember_at_end(evidence_begun=begun)

    def _exists(self, left: Remains) -> bool | None:
        """Return whether RDS had the operation's cluster when it was looked at last; None where that is not known.

        Of a success, the last step has looked: asking once more could use up the time that the message needs.
        """
        record = self.record
        if record is None or left.unknown:
            return None
        if self._task.outcome == "succeeded" or left.cluster is not None:
            return not record.is_drill or left.cluster is not None
        return None if record.cluster_resource_id is not None else False

    def record_report(self, subject: str, starter: Starter, witness: Witness | None = None) -> None:
        """Record that the end was reported to people, and what about."""
        details: dict[str, Any] = {"outcome": self._task.outcome, "subject": subject, "started_by": starter}
        if self._task.outcome == "failed":
            details |= {"error": self.error.error, "cause": "\n".join(cause_lines(self.error))[:2000]}
        facts: dict[str, Any] = {"notified_at": iso(self._task.execution.now), "started_by": starter}
        if witness is not None:
            # Where it could not be written, that of an earlier end is not this one's.
            facts["evidence"] = details["evidence"] = witness.sealed
            facts["outcome"] = witness.outcome if witness.sealed is not None else None
        if self.record is not None and self.is_to_be_finished:
            facts["finished_by"] = finishing_name(self.record.operation_id, self._task.execution)
            details["finished_by"] = facts["finished_by"]
        self._state.remember_at_end(**facts)
        self._state.audit("sns-notification", self._task.outcome, details)

    def remains(self) -> Remains:
        """Return what this operation has left behind, as RDS has it. A failure here must not hide the operation's."""
        if self.record is None or "target_cluster_id" not in self.record.plan:
            return Remains()
        finished_by = finishing_arn(self.record.operation_id, self._task.execution) if self.is_to_be_finished else None
        known = Remains(may_appear=self._task.stopped, about_secrets=self.about_secrets, finished_by=finished_by)
        execution = self._task.execution
        return with_remains(known, self.record, execution.execution_id, self.error.cause, execution.now)

    def replaced(self) -> ReplacedNow | None:
        """Return what became of the cluster that was replaced; None where none was, or RDS did not report it."""
        return replaced_now(self.record) if self.record is not None else None

    def count_duplicate(self) -> None:
        """Count a start that came twice."""
        metrics.count_operation("Duplicate", self._state.operation_id)

    def _outcome(self) -> str:
        refused = self._task.outcome == "failed" and self.error.error == RequestRefused.__name__
        by_a_person = not is_scheduled(self._task.request)
        return "Refused" if refused and by_a_person else self._task.outcome.title()

    def _count(self, record: OperationRecord, plan: Plan) -> None:
        now = self._task.execution.now
        for name, seconds in phase_seconds(record, now).items():
            metrics.record_phase(name, record.operation_id, seconds)
        metrics.record_restore(
            record.operation_id,
            total_seconds(record, now),
            (now - plan.snapshot.created_at).total_seconds(),
            plan.snapshot.allocated_gib,
            is_drill=plan.drill,
        )


def _still_open(left: Remains) -> Iterator[str]:
    """Yield what a failed operation has left on the snapshot's way, which a success has as warnings of its archive."""
    yield from (step.still_there for step in left.on_the_way)
    if left.unseen_copy is not None:
        yield f"RDS did not show the copied snapshot {left.unseen_copy}, so it was not deleted."


def _warnings_of(task: NotificationTask) -> list[str]:
    """Return what of the snapshot's route could not be taken back."""
    return task.archive.warnings if task.archive is not None else []


def end_of_execution(task: NotificationTask) -> OperationEnd:
    """Return the end of this execution's operation."""
    plan, beside = task.plan, []
    if plan is not None:
        beside.append(plan_key(plan.operation_id, task.execution.execution_id, plan))
    if plan is not None and plan.rolls_back is None:
        found = plan.snapshot
        beside.append(durations_key(Arn.parse(found.arn).place, found.cluster_identifier))
    state, record, named = operation_at_end(task.request, task.execution, stopped=task.stopped, beside=beside)
    return OperationEnd(task, state, record, named)
