"""How a step runs: read the task, hold the target's lock, do the work, record what happened, count it.

A handler states its step's name and task type and does its work with what `Work` offers. Waiting is a value that it
returns; failure is one of the errors, whose names the state machine matches.

A look that finds nothing new writes nothing. But a call that changes something in AWS comes after the proof, in the
same run of the function and by conditional writes, that the lock is ours and the operation is not closed.
"""

from __future__ import annotations

import datetime as dt
import functools
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct
from msgspec.structs import replace

from utils import environment, metrics
from utils.aurora_utils import Aurora
from utils.aws_errors import as_step_error
from utils.changes import asking_once, proving
from utils.contracts.payloads import StepRun
from utils.errors import OWN_ERRORS, DuplicateRefused, MasterLoginRefused, StepFailed, TemporaryFailure
from utils.foreign_text import MAX_CAUSE, one_line, own_lines
from utils.state.attempts import ended
from utils.state.lock import LOCK_SECONDS, SPARE_SECONDS, TargetLock
from utils.state.operation import OperationRecord, OperationState
from utils.state.values import iso
from utils.steps.pace import Pace

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

log = Logger(service=metrics.SERVICE)
logging.getLogger("botocore").setLevel(logging.WARNING)


class OperationTask(Protocol):
    """A task of a step inside an operation."""

    @property
    def run(self) -> StepRun:
        """Return the operation that the step belongs to."""
        ...


Task = TypeVar("Task")
TaskInOperation = TypeVar("TaskInOperation", bound=OperationTask)
Event = Mapping[str, Any]
Handler = Callable[[Event, "LambdaContext"], Any]


def always(_: object) -> bool:
    """Return that a step has a deadline, for any task of it."""
    return True


class Work:
    """What a step inside an operation works with."""

    def __init__(self, name: str, run: StepRun) -> None:
        self.run = run
        self.state = OperationState(run.operation_id, run.execution_id, run.now, run.redrive_count)
        self.poll_seconds = environment.whole_number("POLL_SECONDS")
        # Whether something was, or was about to be, changed in this call.
        self.has_proved = False
        self._has_held = self._has_entered = self._looks = self._is_first = False
        self._name = name
        self._lock = TargetLock(run.target_cluster_id, run.operation_id, run.execution_id, run.redrive_count)
        self._locked_until = run.now
        self._record: OperationRecord | None = None

    def aurora(self, region: str | None = None) -> Aurora:
        """Return Aurora in the target region, or in another one."""
        return Aurora(region or environment.region())

    def pace(self, record: OperationRecord, region: str | None = None) -> Pace:
        """Return when to look again, by the stack's PollSeconds and by what the operation expects.

        No event ends the waits of a clean-up, and those of another region reach no rule of the stack's.
        """
        return Pace(
            unit_seconds=self.poll_seconds,
            expected=record.expected,
            announced=record.announced_before,
            hears=not self.run.cleaning_up and region in (None, environment.region()),
            phases=record.phases,
            took=record.took,
        )

    def prove_at_work(self) -> None:
        """Prove by writes, once in a call, that this execution holds the lock and its operation is not closed.

        That comes before anything is changed in AWS: a read alone says what was, and an execution may be stopped, and
        another one take over, while its last step is at work. Raises StepFailed then.
        """
        if not self._has_held:
            self._hold_lock()
        self.enter()
        self.has_proved = True

    def begin_look(self, *, is_timed: bool) -> None:
        """Read the lock and the record, and write nothing where nothing is in doubt.

        What is in doubt is written, so that the write's condition refuses it. That the step is running is recorded with
        the first fact that it records, or by `end_look`. `prove_at_work` comes before a change.
        """
        record, lock = self.state.recall_beside(self._lock.key)
        until = self._lock.held_until(lock)
        if until is None or until < self.run.now + dt.timedelta(seconds=SPARE_SECONDS):
            self._hold_lock()
        else:
            self._locked_until = until
        self._record = record
        if record is None or not self.state.is_at_work(record):
            self.enter()
        elif not self.run.cleaning_up:
            self._looks, self.state.entering = True, self._name
            self._is_first = is_timed and self._name not in record.step_times
            self._record = replace(record, step_times={self._name: iso(self.run.now)} | record.step_times)

    def end_look(self) -> None:
        """Record when a step that has a deadline was first entered, and what is noted, unless a write has done so."""
        if self.state.has_unwritten:
            self.state.remember()
        elif self._is_first and self.state.entering is not None:
            self.enter()

    def keep_lock(self, pause_seconds: int) -> None:
        """Renew the lock unless it lasts beyond the pause after this step."""
        if self._locked_until < self.run.now + dt.timedelta(seconds=pause_seconds + SPARE_SECONDS):
            self._hold_lock(pause_seconds)

    def record(self) -> OperationRecord:
        """Return what the steps before this one have recorded. Raise StepFailed where this step must not act on it."""
        record = self._record = self._record or self.state.recall()
        if record is not None and record.execution_id != self.run.execution_id:
            raise StepFailed(
                f"Execution {record.execution_id} has resumed operation {self.run.operation_id}. "
                "This execution stopped without further changes. No action is needed."
            )
        if record is None:
            raise StepFailed(
                f"The state table has nothing on operation {self.run.operation_id}, so nothing proves what it created. "
                "This step changed nothing. Check the stack's state table and what exists in RDS."
            )
        if record.ended_redrive_count >= self.run.redrive_count:
            raise ended(self.run.operation_id, self.run.execution_id)
        return record

    def enter(self) -> None:
        """Record, once in a call, that the step is running. A clean-up leaves the state as the failed step left it."""
        is_recorded = self._looks and self.state.entering is None
        if not self._has_entered and not is_recorded and not self.run.cleaning_up:
            self._record = self.state.enter(self._name)
        self._has_entered = True

    def _hold_lock(self, pause_seconds: int = 0) -> None:
        run = self.run
        holder = self._lock.hold(run.now, pause_seconds)
        if holder is not None and holder.execution_id == run.execution_id:
            raise ended(run.operation_id, run.execution_id)
        if holder is not None:
            raise StepFailed(
                f"This execution no longer holds the lock on {run.target_cluster_id}: {holder.execution_id} has taken "
                "it. It stopped before it changed anything else. Wait until the other execution ends, then resume this "
                "operation."
            )
        self._has_held = True
        self._locked_until = run.now + dt.timedelta(seconds=pause_seconds + LOCK_SECONDS)


def step(
    name: str,
    task_type: type[TaskInOperation],
    *,
    looks: bool = False,
    is_timed: Callable[[TaskInOperation], bool] = lambda _: False,
) -> Callable[[Callable[[TaskInOperation, Work], Struct]], Handler]:
    """Make a handler of a step inside an operation. It runs only while this execution holds the target's lock.

    One that `looks` mostly finds nothing new, and such a call writes nothing. What it changes and how it ends is
    audited; that the next action is due is to be seen by the action. `is_timed`: its deadline counts from when it was
    first entered, so that this is recorded at once. The record that a step gets is without the plan.
    """

    def decorate(do: Callable[[TaskInOperation, Work], Struct]) -> Handler:
        def in_operation(task: TaskInOperation) -> Struct:
            work = Work(name, task.run)
            if looks:
                work.begin_look(is_timed=is_timed(task))
            else:
                work.prove_at_work()
            try:
                with proving(work.prove_at_work):
                    result = do(task, work)
                work.end_look()
                outcome = _outcome(result)
                if outcome == "waiting":
                    work.keep_lock(getattr(result, "wait_seconds", 0))
            except Exception as error:
                _audit_failure(work, name, _in_our_words(error))
                raise
            is_over = getattr(result, "answer", "done") == "done"
            if is_over or not looks or (work.has_proved and not work.state.has_audited):
                work.state.audit(name, outcome, msgspec.to_builtins(result))
            return result

        read = functools.partial(msgspec.convert, type=task_type)
        return functools.wraps(do)(_reported(name, read, in_operation, lambda task: task.run.operation_id))

    return decorate


def edge_step(
    name: str, read: Callable[[Event], Task], operation_of: Callable[[Task], str], *, counts_success: bool = True
) -> Callable[[Callable[[Task], Struct]], Handler]:
    """Make a handler of a step before an operation is known or after it has ended: it keeps its state itself.

    Without `counts_success` only failures are counted: of what is called each hour, metrics would cost the most.
    """
    return lambda do: functools.wraps(do)(_reported(name, read, do, operation_of, counts_success=counts_success))


def _reported(
    name: str,
    read: Callable[[Event], Task],
    do: Callable[[Task], Struct],
    operation_of: Callable[[Task], str],
    *,
    counts_success: bool = True,
) -> Handler:
    """Make the handler: read the task, call, count and log. Errors get the names that the state machine knows."""

    def lambda_handler(event: Event, context: LambdaContext) -> Any:
        began, operation_id = time.monotonic(), "unknown"
        # A warm function still has the keys of its last call.
        log.append_keys(step=name, operation_id=operation_id, function_request_id=context.aws_request_id)
        try:
            task = _read_task(name, read, event)
            # At the edge it is an execution's name, which the person who starts it chooses.
            operation_id = one_line(operation_of(task))
            log.append_keys(operation_id=operation_id)
            with asking_once():
                result = do(task)
        except Exception as error:
            failure = _in_our_words(error)
            _report_failure(name, operation_id, failure)
            if failure is error:
                raise
            raise failure from error
        if counts_success:
            metrics.count_success(name, operation_id, time.monotonic() - began)
        log.info("step finished", extra={"outcome": _outcome(result)})
        return msgspec.to_builtins(result)

    return lambda_handler


def _read_task(name: str, read: Callable[[Event], Task], event: Event) -> Task:
    try:
        return read(event)
    except msgspec.ValidationError as error:
        raise StepFailed(f"The input of {name} is not valid: {error}. Redeploy the stack.") from None


def _in_our_words(error: Exception) -> Exception:
    """Return an error of AWS's as one that the state machine knows, and one of ours no longer than it accepts."""
    if isinstance(error, (ClientError, BotoCoreError)):
        return as_step_error(error)
    ours = isinstance(error, OWN_ERRORS)
    return type(error)(_cause(error)) if ours and _cause(error) != str(error) else error


def _outcome(result: Struct) -> str:
    """Return `waiting` for a step that is going to be called again, `done` for everything else."""
    return "waiting" if getattr(result, "answer", None) == "wait" else "done"


def _audit_failure(work: Work, name: str, error: Exception) -> None:
    """Record the error in the audit trail. If even that fails, the error itself matters more."""
    status = "retrying" if isinstance(error, (TemporaryFailure, MasterLoginRefused)) else "failed"
    with suppress(ClientError, BotoCoreError, StepFailed):
        work.enter()
        if work.state.has_unwritten:
            work.state.remember()
    with suppress(ClientError, BotoCoreError):
        work.state.audit(name, status, {"error": type(error).__name__, "cause": _cause(error)})


def _report_failure(name: str, operation_id: str, error: Exception) -> None:
    if isinstance(error, DuplicateRefused):
        log.info("duplicate start", extra={"cause": _cause(error)})
        return
    metrics.count_failure(name, operation_id, type(error).__name__)
    log.error("step failed", extra={"error": type(error).__name__, "cause": _cause(error)})


def _cause(error: Exception) -> str:
    """Return the error's text. Ours has lines, in which foreign texts are escaped; another's is foreign itself."""
    if isinstance(error, OWN_ERRORS):
        return "\n".join(own_lines(str(error), MAX_CAUSE))
    return one_line(error, MAX_CAUSE)
