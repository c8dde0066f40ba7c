"""Executions of the stack's state machine: started, described, followed and stopped."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import uuid
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from .arns import execution_of
from .exits import REFUSED, CommandError
from .stack import Stack
from .words import one_line

ENDS = ("ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut")
EVENTS_A_PAGE = 20
REFUSALS = ("RequestRefused", "DuplicateRefused")


class Execution(Struct, frozen=True, kw_only=True):
    """An execution as Step Functions describes it."""

    arn: str
    status: str
    started_at: dt.datetime
    stopped_at: dt.datetime | None = None
    given: str = "{}"
    output: str | None = None
    error: str | None = None
    cause: str | None = None

    @property
    def is_running(self) -> bool:
        """Return whether the execution's steps may still run."""
        return self.status in ("RUNNING", "PENDING_REDRIVE")

    @property
    def was_refused(self) -> bool:
        """Return whether the request was refused, so that nothing was touched."""
        return self.error in REFUSALS

    @property
    def reasons(self) -> list[str]:
        """Return why the execution failed, line by line, without the stack trace of a function."""
        text = message_of(self.cause) if self.cause else ""
        return [one_line(line) for line in text.splitlines() if line.strip()]

    @property
    def request(self) -> dict[str, Any]:
        """Return the input, empty where it is not an object."""
        found = json.loads(self.given or "{}")
        return found if isinstance(found, dict) else {}


def start(stack: Stack, request: Mapping[str, Any], name: str | None = None, machine_arn: str | None = None) -> str:
    """Start an execution, and return its ARN. Raise CommandError where the name was used within 90 days.

    `machine_arn`: of another state machine than the one that carries operations out. It always has a name:
    StartExecution is idempotent for the same name and input while the execution is running (Step Functions API
    reference), so that botocore's retry after a lost answer does not start another one.
    """
    client, own_name = stack.client("stepfunctions"), name or str(uuid.uuid4())
    machine = machine_arn or stack.state_machine_arn
    try:
        answer = client.start_execution(stateMachineArn=machine, name=own_name, input=json.dumps(request))
    except client.exceptions.ExecutionAlreadyExists as error:
        if name is None:  # ours, which has ended before the call was repeated
            return execution_of(machine, own_name)
        raise CommandError(
            "OperationExists",
            f"There is an execution {name!r} already, with another input. Choose another name.",
            REFUSED,
            next_commands=[f"aurora-restore show {name}"],
        ) from error
    return str(answer["executionArn"])


def describe(stack: Stack, arn: str) -> Execution | None:
    """Return the execution; None where Step Functions does not know it: it forgets them 90 days after their end."""
    client = stack.client("stepfunctions")
    try:
        answer = client.describe_execution(executionArn=arn)
    except (client.exceptions.ExecutionDoesNotExist, client.exceptions.InvalidArn):
        return None
    return Execution(
        arn=arn,
        status=answer["status"],
        started_at=answer["startDate"],
        stopped_at=answer.get("stopDate"),
        given=answer.get("input") or "{}",
        output=answer.get("output"),
        error=answer.get("error"),
        cause=answer.get("cause"),
    )


def stop(stack: Stack, arn: str, cause: str) -> None:
    """Stop an execution. EventBridge has the stack close its operation."""
    stack.client("stepfunctions").stop_execution(executionArn=arn, error="Stopped", cause=cause)


def events_after(client: Any, arn: str, known: int) -> list[dict[str, Any]]:
    """Return the events of the history that are not known yet, the oldest first.

    They are read from the newest back: a long history would cost seconds each time.
    """
    pages = client.get_paginator("get_execution_history").paginate(
        executionArn=arn, reverseOrder=True, PaginationConfig={"PageSize": EVENTS_A_PAGE}
    )
    newest_first = (event for page in pages for event in page["events"])
    return list(itertools.takewhile(lambda event: event["id"] > known, newest_first))[::-1]


def message_of(cause: str | None) -> str:
    """Return the message of a failure's cause, without the stack trace."""
    try:
        return str(json.loads(cause or "")["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return cause or "no cause given"
