"""How a step runs: read the task, hold the target's lock, do the work, record what happened, count it.

A handler states its step's name and task type and does its work with what `Work` offers. Waiting is a value that it
returns; failure is one of the errors, whose names the state machine matches.
"""

from __future__ import annotations

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

from utils import environment, metrics
from utils.aurora_utils import Aurora
from utils.aws import as_step_error
from utils.contracts.payloads import StepRun
from utils.errors import OWN_ERRORS, DuplicateRefused, MasterLoginRefused, StepFailed, TemporaryFailure
from utils.foreign_text import MAX_CAUSE, one_line, own_lines
from utils.state.attempts import ended
from utils.state.lock import TargetLock
from utils.state.operation import OperationRecord, OperationState
from utils.steps.pace import Pace

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

log = Logger(service=metrics.SERVICE)
logging.getLogger("botocore").setLevel(logging.WARNING)


class OperationTask(Protocol):
    """A task of a step inside an operation."""

    @property
    def run(self) -> StepRun:
        """The operation that the step belongs to."""
        ...


Task = TypeVar("Task")
TaskInOperation = TypeVar("TaskInOperation", bound=OperationTask)
Event = Mapping[str, Any]
Handler = Callable[[Event, "LambdaContext"], Any]


class Work:
    """What a step inside an operation works with."""

    def __init__(self, run: StepRun) -> None:
        self.run = run
        self.state = OperationState(run.operation_id, run.execution_id, run.now, run.redrive_count)
        self.poll_seconds = environment.whole_number("POLL_SECONDS")

    def aurora(self, region: str | None = None) -> Aurora:
        """Return Aurora in the target region, or in another one."""
        return Aurora(region or environment.region())

    def pace(self, record: OperationRecord) -> Pace:
        """Return when to look again, by the stack's PollSeconds and by what the operation expects."""
        return Pace(
            unit_seconds=self.poll_seconds, expected=record.expected, phases=record.phases, over=list(record.took)
        )

    def record(self) -> OperationRecord:
        """Return what the steps before this one have recorded. Raise StepFailed where this step must not act on it."""
        record = self.state.recall()
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


def step(name: str, task_type: type[TaskInOperation]) -> Callable[[Callable[[TaskInOperation, Work], Struct]], Handler]:
    """Make a handler of a step inside an operation. It runs only while this execution holds the target's lock."""

    def decorate(do: Callable[[TaskInOperation, Work], Struct]) -> Handler:
        def in_operation(task: TaskInOperation) -> Struct:
            work = Work(task.run)
            _hold_lock(task.run)
            if not task.run.cleaning_up:
                work.state.enter(name)
            try:
                result = do(task, work)
            except Exception as error:
                _audit_failure(work.state, name, _in_our_words(error))
                raise
            work.state.audit(name, _outcome(result), msgspec.to_builtins(result))
            return result

        read = functools.partial(msgspec.convert, type=task_type)
        return functools.wraps(do)(_reported(name, read, in_operation, lambda task: task.run.operation_id))

    return decorate


def edge_step(
    name: str, read: Callable[[Event], Task], operation_of: Callable[[Task], str]
) -> Callable[[Callable[[Task], Struct]], Handler]:
    """Make a handler of a step before an operation is known or after it has ended: it keeps its state itself."""
    return lambda do: functools.wraps(do)(_reported(name, read, do, operation_of))


def _reported(
    name: str, read: Callable[[Event], Task], do: Callable[[Task], Struct], operation_of: Callable[[Task], str]
) -> Handler:
    """Make the handler: read the task, call, count and log. Errors get the names that the state machine knows."""

    def lambda_handler(event: Event, context: LambdaContext) -> Any:
        began, operation_id = time.monotonic(), "unknown"
        # A warm function still has the keys of its last call.
        log.append_keys(step=name, operation_id=operation_id, function_request_id=context.aws_request_id)
        try:
            task = _read_task(name, read, event)
            # At the edge it is an execution's name, and whoever starts that chooses it.
            operation_id = one_line(operation_of(task))
            log.append_keys(operation_id=operation_id)
            result = do(task)
        except Exception as error:
            failure = _in_our_words(error)
            _report_failure(name, operation_id, failure)
            if failure is error:
                raise
            raise failure from error
        metrics.count_success(name, operation_id, time.monotonic() - began)
        log.info("step finished", extra={"outcome": _outcome(result)})
        return msgspec.to_builtins(result)

    return lambda_handler


def _read_task(name: str, read: Callable[[Event], Task], event: Event) -> Task:
    try:
        return read(event)
    except msgspec.ValidationError as error:
        raise StepFailed(f"The state machine's input for {name} is not valid: {error}. Redeploy the stack.") from None


def _in_our_words(error: Exception) -> Exception:
    """Return an error of AWS's as one that the state machine knows, and one of ours no longer than it accepts."""
    if isinstance(error, (ClientError, BotoCoreError)):
        return as_step_error(error)
    ours = isinstance(error, OWN_ERRORS)
    return type(error)(_cause(error)) if ours and _cause(error) != str(error) else error


def _hold_lock(run: StepRun) -> None:
    holder = TargetLock(run.target_cluster_id, run.operation_id, run.execution_id, run.redrive_count).hold(run.now)
    if holder is not None and holder.execution_id == run.execution_id:
        raise ended(run.operation_id, run.execution_id)
    if holder is not None:
        raise StepFailed(
            f"This execution no longer holds the lock on {run.target_cluster_id}: {holder.execution_id} has taken it. "
            "It stopped before it changed anything else. Wait until the other execution ends, then resume this "
            "operation."
        )


def _outcome(result: Struct) -> str:
    """Return `waiting` for a step that is going to be called again, `done` for everything else."""
    return "waiting" if getattr(result, "answer", None) == "wait" else "done"


def _audit_failure(state: OperationState, name: str, error: Exception) -> None:
    """Record the error in the audit trail. If even that fails, the error itself matters more."""
    status = "retrying" if isinstance(error, (TemporaryFailure, MasterLoginRefused)) else "failed"
    with suppress(ClientError, BotoCoreError):
        state.audit(name, status, {"error": type(error).__name__, "cause": _cause(error)})


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
