"""What is counted and learned at an operation's end: its metrics, and how long each phase took."""

from __future__ import annotations

import msgspec
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from utils import metrics
from utils.contracts.payloads import Execution, ExecutionError, NotificationTask
from utils.contracts.plan import FoundSnapshot, Plan
from utils.errors import RequestRefused
from utils.foreign_text import one_line
from utils.operation.identity import is_scheduled
from utils.state.durations import SourceDurations
from utils.state.operation import OperationRecord
from utils.state.timeline import phase_seconds, total_seconds

log = Logger(service=metrics.SERVICE, child=True)


def count_duplicate(operation_id: str) -> None:
    """Count a start that came twice."""
    metrics.count_operation("Duplicate", operation_id)


def count_end(task: NotificationTask, operation_id: str, error: ExecutionError) -> None:
    """Count how an operation has ended. Where a person's request was refused, nothing has failed."""
    refused = task.outcome == "failed" and error.error == RequestRefused.__name__
    outcome = "Refused" if refused and not is_scheduled(task.request) else task.outcome.title()
    metrics.count_operation(outcome, operation_id, error.error if task.error else "")


def measure_success(record: OperationRecord, plan: Plan, execution: Execution) -> None:
    """Record how long the phases of a success took, and how old its data were."""
    for name, seconds in phase_seconds(record, execution.now).items():
        metrics.record_phase(name, record.operation_id, seconds)
    metrics.record_restore(
        record.operation_id,
        total_seconds(record, execution.now),
        (execution.now - plan.snapshot.created_at).total_seconds(),
        plan.snapshot.allocated_gib,
        is_drill=plan.drill,
    )


def learn(record: OperationRecord | None, execution: Execution) -> None:
    """Keep how long each phase took, also those of a failed operation, for the next one of its source.

    A failure here costs the next operation some time and this one nothing: it is only logged.
    """
    if record is None or not record.took or not record.plan.get("snapshot") or record.plan.get("rolls_back"):
        return
    try:
        snapshot = msgspec.convert(record.plan["snapshot"], FoundSnapshot)
        SourceDurations(snapshot).add(record.took, record.entered("snapshot-check"), execution.now, record.announced)
    except (ClientError, BotoCoreError, msgspec.ValidationError) as error:
        log.warning("durations not kept", extra={"cause": one_line(error)})
