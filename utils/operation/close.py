"""The end of an operation: what its execution has left, and its state, which is closed exactly once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from utils.arns import Arn
from utils.contracts.payloads import ExecutionError, NotificationTask
from utils.errors import DuplicateRefused
from utils.messages.failure import cause_lines
from utils.messages.next_steps import as_asked, next_lines
from utils.messages.remains import Remains
from utils.messages.swap import ReplacedNow
from utils.operation.counting import count_end, measure_success
from utils.operation.finishing import finishing_arn, finishing_name, start_finishing
from utils.operation.identity import operation_at_end
from utils.operation.remains import replaced_now, with_remains
from utils.operation.sealing import ChainBegun, Witness, chain_begun
from utils.operation.secret_endings import settle_secrets
from utils.operation.starter import Starter
from utils.redaction import without_secrets
from utils.state.durations import durations_key
from utils.state.lock import TargetLock
from utils.state.operation import OperationRecord, OperationState, plan_key
from utils.state.values import iso

# A table's item has 400 KiB, and a character up to four bytes.
MAX_REQUEST = 50_000


class OperationEnd:
    """One execution at its end."""

    def __init__(
        self,
        task: NotificationTask,
        state: OperationState,
        record: OperationRecord | None,
        named: OperationRecord | None = None,
    ) -> None:
        """Prepare the end. `named`: another execution's operation, which the request named and did not resume."""
        self.record = record
        self.asked_before = as_asked(named) if named is not None and named.plan else {}
        self.error = task.error or ExecutionError(error="Unknown", cause="The state machine passed no error.")
        self.clean_up: Mapping[str, Any] = task.clean_up if isinstance(task.clean_up, dict) else {}
        # What became of the operation's secrets when it was closed.
        self.about_secrets: list[str] = []
        self.task = task
        self.state = state
        # Which link the chain ends with before this end is added to it.
        self.begun = ChainBegun()

    @property
    def is_reported(self) -> bool:
        """Return whether this end has been reported to people.

        The end of an execution that was redriven is reported again: its steps have made it `running` once more. One
        that continues, in a later attempt or resumed by another execution, had been reported before that; a duplicate
        start is not reported at all. An operation that was reported as succeeded stays so: then the execution was
        stopped in its last state, with everything done.
        """
        record = self.record
        if self.is_duplicate or record is None:
            return self.is_duplicate
        execution = self.task.execution
        continues = record.execution_id != execution.execution_id or record.redrive_count > execution.redrive_count
        reported = record.notified_at is not None and record.status in (self.task.outcome, "succeeded")
        return continues or reported

    @property
    def corrects(self) -> str | None:
        """Return when this success was reported, too early, as a failure; None where it was not.

        It was stopped in its last state: EventBridge may report that before the state itself does.
        """
        record = self.record
        wrong = record is not None and self.task.outcome == "succeeded" and record.status == "failed"
        return record.notified_at if record is not None and wrong else None

    @property
    def is_duplicate(self) -> bool:
        """Return whether this was the second execution of a schedule for the same moment, which did nothing."""
        return self.task.outcome == "failed" and self.error.error == DuplicateRefused.__name__

    @property
    def is_to_be_finished(self) -> bool:
        """Return whether another execution has to finish the swap or the drill that this one has left.

        One whose own states have reported its end has tried to finish the swap, or to delete the drill's cluster, and
        failed: a person is needed then. Where the end was reported before, it was decided then.
        """
        record, execution = self.record, self.task.execution
        if record is None or record.execution_id != execution.execution_id:
            return False
        if record.redrive_count > execution.redrive_count or not (record.is_swapping or self._leaves_drill):
            return False
        decided = record.finished_by == finishing_name(record.operation_id, execution)
        return decided if self.is_reported else self.task.died

    @property
    def _leaves_drill(self) -> bool:
        """Return whether this execution was to carry out a drill.

        One that only had to end the drill of another one has none to leave: else executions would start each other for
        ever, against a person who stops them.
        """
        record = self.record
        if record is None or not record.is_drill or record.plan.get("dry_run"):
            return False
        return record.drill_ended_by.get("execution_id") in (None, record.execution_id)

    def have_it_finished(self) -> None:
        """Start another execution to finish what this one has left, where that is due. Twice has the effect of once."""
        if self.record is not None and self.is_to_be_finished:
            start_finishing(self.record.operation_id, self.task.execution)

    def close(self) -> None:
        """Record how it ended, settle its secrets, release the lock. Doing it twice has the effect of one."""
        task, status = self.task, self.task.outcome
        if status != "planned":
            self.begun = chain_begun(self.record, self.attempt)
        begun: dict[str, Any] = {"evidence_begun": self.begun.recorded} if self.begun.recorded else {}
        if self.record is None or self.record.status != status or status == "planned":
            count_end(task, self.state.operation_id, self.error)
        if self.record is None:
            # As a text: a request that was refused may hold what no table takes.
            asked = json.dumps(without_secrets(task.request), ensure_ascii=False)[:MAX_REQUEST]
            self.state.open("snapshot-check", {"request": asked}, {}, status, facts=begun, closed=True)
        else:
            if self._leaves_drill and self.is_to_be_finished:
                # From here on the operation is only ended, also by an execution that resumes it.
                self.record = replace(self.record, drill_ended_by=self._ended_drill(self.record))
                begun |= {"drill_ended_by": self.record.drill_ended_by}
            self.state.close(status, **begun)
            if self.record.is_swapping and (closed := self.state.recall()) is not None:
                # Until it was closed, a step that outlived the execution may have recorded the swap's end.
                self.record = replace(self.record, swap_end=closed.swap_end)
            target = self.record.plan.get("target_cluster_id")
            # Names, labels and sessions are between two clusters: the lock stays for who finishes the swap.
            if target and not self.record.is_swapping:
                execution = task.execution
                lock = TargetLock(target, self.record.operation_id, execution.execution_id, execution.redrive_count)
                # While it is held: the next execution for the target may use the same secrets.
                self.about_secrets = settle_secrets(self.record, self.state, lock, ended=self._leaves_nothing)
                lock.release(execution.now)
        if task.outcome == "succeeded" and self.record and task.plan and task.plan.rolls_back is None:
            measure_success(self.record, task.plan, task.execution)

    def _ended_drill(self, record: OperationRecord) -> dict[str, Any]:
        execution = self.task.execution
        return {
            "execution_id": execution.execution_id,
            "redrive_count": execution.redrive_count,
            "status": self.task.ended_as,
            "step": record.state,
            "at": iso(execution.now),
        }

    @property
    def _leaves_nothing(self) -> bool:
        """Return whether the operation's cluster may be gone, because it failed or was a drill."""
        return self.task.outcome == "failed" or (self.record is not None and self.record.is_drill)

    def next_lines(self, left: Remains) -> Iterable[str]:
        """Return what to do after a failure, as the message says it."""
        task = self.task
        return next_lines(self.error, self.record, task.request, left, task.execution.execution_id, self.asked_before)

    @property
    def attempt(self) -> str:
        """Return which end this is: an execution may end several times, redriven, or reported too early as failed."""
        execution = self.task.execution
        redriven = f"-redrive-{execution.redrive_count}" if execution.redrive_count else ""
        return f"{execution.execution_name}{redriven}-{'stopped' if self.task.stopped else self.task.outcome}"

    def record_report(self, subject: str, starter: Starter, witness: Witness | None = None) -> None:
        """Record that the end was reported to people, and what about."""
        details: dict[str, Any] = {"outcome": self.task.outcome, "subject": subject, "started_by": starter}
        if self.task.outcome == "failed":
            details |= {"error": self.error.error, "cause": "\n".join(cause_lines(self.error))[:2000]}
        facts: dict[str, Any] = {"notified_at": iso(self.task.execution.now), "started_by": starter}
        if witness is not None:
            # Where it could not be written, that of an earlier end is not this one's.
            facts["evidence"] = details["evidence"] = witness.sealed
            facts["outcome"] = witness.outcome if witness.sealed is not None else None
        if self.record is not None and self.is_to_be_finished:
            facts["finished_by"] = finishing_name(self.record.operation_id, self.task.execution)
            details["finished_by"] = facts["finished_by"]
        self.state.remember_at_end(**facts)
        self.state.audit("sns-notification", self.task.outcome, details)

    def remains(self) -> Remains:
        """Return what this operation has left behind, as RDS has it. A failure here must not hide the operation's."""
        if self.record is None or "target_cluster_id" not in self.record.plan:
            return Remains()
        finished_by = finishing_arn(self.record.operation_id, self.task.execution) if self.is_to_be_finished else None
        known = Remains(may_appear=self.task.stopped, about_secrets=self.about_secrets, finished_by=finished_by)
        execution = self.task.execution
        return with_remains(known, self.record, execution.execution_id, self.error.cause, execution.now)

    def replaced(self) -> ReplacedNow | None:
        """Return what became of the cluster that was replaced; None where none was, or RDS did not report it."""
        return replaced_now(self.record) if self.record is not None else None


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
