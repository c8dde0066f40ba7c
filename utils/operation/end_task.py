"""What has ended: the task of the state machine, or of EventBridge for an execution that reached no Catch."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import msgspec

from utils.contracts.payloads import Execution, ExecutionDetail, ExecutionError, ExecutionStatusChange, NotificationTask
from utils.foreign_text import one_line
from utils.messages.failure import MAX_CAUSE_SHOWN
from utils.state.executions import STOPPED


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
