"""Whose operation an execution carries out, and where its state is kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from utils.contracts.payloads import Execution
from utils.errors import RequestRefused
from utils.foreign_text import one_line
from utils.names import EARLIEST, LATEST, is_brought_at, is_operation_id, scheduled_operation_id
from utils.request.fields import RestoreRequest
from utils.request.reading import refuse_if_any
from utils.state.operation import OperationState


def operation_id_of(request: RestoreRequest, execution: Execution) -> str:
    """Return the operation's id: one moment of a schedule is one operation, so that its second event is recognised.

    Raises RequestRefused for a moment that no schedule can have brought now, and for an execution's name that names no
    operation: Step Functions takes far more characters than tags and sessions do (API reference, StartExecution, name).
    A dry run takes no moment.
    """
    if request.scheduled_at is not None and not request.dry_run:
        refuse_if_any(_moment_problems(request.scheduled_at, execution.started_at))
        if (scheduled := scheduled_operation_id(request.scheduled_at)) is not None:
            return scheduled
    operation_id = request.operation_id or execution.execution_name
    if not is_operation_id(operation_id):
        raise RequestRefused(
            f"The execution's name, {one_line(repr(operation_id))}, would be the operation's, and can't name one. "
            "Start it under a name of letters, digits, hyphens and underscores, or give an operation_id."
        )
    return operation_id


def state_of(operation_id: str, execution: Execution) -> OperationState:
    """Return the operation's state, as this execution reads and writes it."""
    return OperationState(operation_id, execution.execution_id, execution.now, execution.redrive_count)


def _moment_problems(scheduled_at: str, started_at: dt.datetime) -> Iterator[str]:
    if scheduled_operation_id(scheduled_at) is not None and not is_brought_at(scheduled_at, started_at):
        yield (
            f"scheduled_at: {scheduled_at!r} is no moment of which a schedule may bring word at {started_at:%FT%TZ}: "
            f"from {LATEST.total_seconds() / 3600:.0f} hours before to {EARLIEST.total_seconds() / 60:.0f} minutes "
            "after. Let the schedule fill it in, as <aws.scheduler.scheduled-time>, or leave it out when you start a "
            "run yourself."
        )
