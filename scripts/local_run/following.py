"""Watch an execution until it ends."""

from __future__ import annotations

import datetime as dt
import json
import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as LiveLine

from scripts.aurora_restore.executions import ENDS, events_after, message_of
from scripts.aurora_restore.progress import Progress
from scripts.local_aws.server import LocalAws

LOOK_EVERY_SECONDS = 0.5


@dataclass
class Followed:
    """What an execution did, counted from its history."""

    status: str
    started_at: dt.datetime
    stopped_at: dt.datetime
    output: Any
    error: str | None
    cause: str | None
    history: list[dict[str, Any]] = field(repr=False)

    @property
    def virtual_seconds(self) -> float:
        """Return the duration by the embedded AWS's clock."""
        return (self.stopped_at - self.started_at).total_seconds()

    @property
    def state_transitions(self) -> int:
        """Return the transitions that AWS bills: every state entered, and every retry."""
        entered: int = sum(event["type"].endswith("StateEntered") for event in self.history)
        tasks: int = sum(event["type"] == "TaskStateEntered" for event in self.history)
        attempts: int = sum(event["type"] in ("LambdaFunctionScheduled", "TaskScheduled") for event in self.history)
        return entered + max(0, attempts - tasks)

    def reason(self) -> str | None:
        """Return the error and its message, without the stack trace."""
        return f"{self.error}: {message_of(self.cause)}" if self.error else None


def follow(aws: LocalAws, execution_arn: str, console: Console, *, verbose: bool = False) -> Followed:
    """Show the execution until it has ended: its phases, or with `verbose` every state."""
    states = aws.client("stepfunctions")
    description = states.describe_execution(executionArn=execution_arn)
    history: list[dict[str, Any]] = []
    progress = Progress(description["startDate"], console, verbose=verbose)
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[expected]}")
    with LiveLine(*columns, console=console, transient=True, disable=not console.is_terminal) as line:
        task = line.add_task("", total=None, visible=False, expected="")
        while not history or history[-1]["type"] not in ENDS:
            fresh = events_after(states, execution_arn, known=len(history))
            for event in fresh:
                progress.show(event)
            history += fresh
            line.update(task, **progress.live(aws.clock.now()))
            time.sleep(LOOK_EVERY_SECONDS)
    while description["status"] == "RUNNING":  # still, for a moment after the last event
        time.sleep(LOOK_EVERY_SECONDS / 20)
        description = states.describe_execution(executionArn=execution_arn)
    return Followed(
        status=description["status"],
        started_at=description["startDate"],
        stopped_at=description["stopDate"],
        output=json.loads(description.get("output") or "null"),
        error=description.get("error") or (None if description["status"] == "SUCCEEDED" else description["status"]),
        cause=description.get("cause"),
        history=history,
    )
