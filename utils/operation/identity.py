"""Whose operation an execution carries out, and where its state is kept: asked by the first step and by the last.

An operation's id is the one of the schedule's moment, else the one that the request names, else the execution's name.
A rollback is an operation of its own: what its request names is the one that it undoes. The first step takes the first
of these that there is. The last step has a request that may have been refused, or never read, so it looks for the one
that this execution has really begun or resumed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from utils.contracts.payloads import Execution
from utils.errors import RequestRefused
from utils.foreign_text import one_line
from utils.names import is_operation_id
from utils.request.fields import RestoreRequest
from utils.request.reading import refuse_if_any
from utils.schedules import EARLIEST, LATEST, SCHEDULED_PREFIX, is_brought_at, scheduled_operation_id
from utils.state.operation import OperationRecord, OperationState


class Identity(NamedTuple):
    """The operation of an execution: its state, and its record where there is one.

    `named` is another execution's operation, which the request named and which this execution did not resume.
    """

    state: OperationState
    record: OperationRecord | None
    named: OperationRecord | None = None


def operation_id_of(request: RestoreRequest, execution: Execution) -> str:
    """Return the operation's id: one moment of a schedule is one operation, so that its second event is recognised.

    Raises RequestRefused for a moment that no schedule can have brought now, and for an execution's name that cannot be
    an operation's id: Step Functions takes far more characters than tags and sessions do (API reference,
    StartExecution, name). A dry run takes no moment.
    """
    moment = None if request.dry_run else request.scheduled_at
    if moment is not None:
        refuse_if_any(_moment_problems(moment, execution.started_at))
    given = None if request.rollback else request.operation_id
    operation_id = _possible_ids(moment, given, execution)[0]
    if not is_operation_id(operation_id):
        raise RequestRefused(
            f"The execution's name, {one_line(repr(operation_id))}, cannot be used as the operation's id. Start it "
            "under a name of letters, digits, hyphens and underscores, or give an operation_id."
        )
    return operation_id


def operation_at_end(request: Any, execution: Execution, *, stopped: bool, beside: Sequence[str] = ()) -> Identity:
    """Return the operation that an execution which has ended has to close. `beside`: as `OperationState.recall` has it.

    Another execution's record of the same id is not ours to close. An execution that ended before it had an operation
    gets a record of its own, under an id that nothing else uses.
    """
    asked = request if isinstance(request, Mapping) else {}
    named = None
    given = None if asked.get("rollback") else asked.get("operation_id")
    for operation_id in _possible_ids(asked.get("scheduled_at"), given, execution):
        state = state_of(operation_id, execution)
        record = state.recall(*beside)
        if record is not None and stopped and not _is_of(record, execution) and not state.shut_out(record.execution_id):
            record = state.recall()
        if record is not None and _is_of(record, execution):
            return Identity(state, record)
        named = named or record
    return _without_operation(asked, execution, named, stopped=stopped)


def is_scheduled(request: Any) -> bool:
    """Return whether the request, which may not be valid, names a schedule's moment."""
    return isinstance(request, Mapping) and _scheduled_id(request.get("scheduled_at")) is not None


def state_of(operation_id: str, execution: Execution) -> OperationState:
    """Return the operation's state, as this execution reads and writes it."""
    return OperationState(operation_id, execution.execution_id, execution.now, execution.redrive_count)


def _possible_ids(moment: object, given: object, execution: Execution) -> list[str]:
    """Return the ids that an execution's operation may have, in their order of precedence."""
    named = [_scheduled_id(moment), given if isinstance(given, str) and is_operation_id(given) else None]
    return [*(each for each in named if each), execution.execution_name]


def _scheduled_id(moment: object) -> str | None:
    return scheduled_operation_id(moment) if isinstance(moment, str) else None


def _without_operation(
    asked: Mapping[str, Any], execution: Execution, named: OperationRecord | None, *, stopped: bool
) -> Identity:
    """Return where an execution that ended before it had an operation is recorded: under the first free id.

    That must take neither a schedule's moment nor another operation's name. But the first step of a schedule's
    execution that was stopped may outlive it, and has to find the moment closed. No operation has a # in its id.
    """
    own_name, scheduled = execution.execution_name, _scheduled_id(asked.get("scheduled_at"))
    names = []
    if scheduled and stopped and named is None and _took_the_moment(asked, execution):
        names.append(scheduled)
    if not own_name.startswith(SCHEDULED_PREFIX):
        names.append(own_name)
    for name in names:
        state = state_of(name, execution)
        if state.recall() is None:
            return Identity(state, None, named)
    beside = state_of(f"execution#{own_name}", execution)
    return Identity(beside, beside.recall(), named)


def _is_of(record: OperationRecord, execution: Execution) -> bool:
    return execution.execution_id in (record.execution_id, *record.earlier_executions)


def _took_the_moment(asked: Mapping[str, Any], execution: Execution) -> bool:
    """Return whether the first step, had it come so far, would have begun the operation of a schedule's moment."""
    return not asked.get("dry_run") and is_brought_at(asked["scheduled_at"], execution.started_at)


def _moment_problems(scheduled_at: str, started_at: dt.datetime) -> Iterator[str]:
    if scheduled_operation_id(scheduled_at) is not None and not is_brought_at(scheduled_at, started_at):
        yield (
            f"scheduled_at: {scheduled_at!r} is not a moment that a schedule may bring at {started_at:%FT%TZ}: from "
            f"{LATEST.total_seconds() / 3600:.0f} hours before to {EARLIEST.total_seconds() / 60:.0f} minutes after. "
            "Let the schedule fill it in, as <aws.scheduler.scheduled-time>, or omit it when you start an operation "
            "yourself."
        )
