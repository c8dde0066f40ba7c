"""Watch an execution: every state as it is entered, what it waits for, virtual and real time."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from scripts.local_aws.server import LocalAws

LOOK_EVERY_SECONDS = 0.2
EVENTS_A_PAGE = 20
ENDS = ("ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut")


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
        """The duration by the embedded AWS's clock."""
        return (self.stopped_at - self.started_at).total_seconds()

    @property
    def state_transitions(self) -> int:
        """The transitions that AWS bills: every state entered, and every retry."""
        entered: int = sum(event["type"].endswith("StateEntered") for event in self.history)
        tasks: int = sum(event["type"] == "TaskStateEntered" for event in self.history)
        attempts: int = sum(event["type"] in ("LambdaFunctionScheduled", "TaskScheduled") for event in self.history)
        return entered + max(0, attempts - tasks)

    def reason(self) -> str | None:
        """Return the error and its message, without the stack trace."""
        return f"{self.error}: {_message(self.cause)}" if self.error else None


def follow(aws: LocalAws, execution_arn: str, console: Console) -> Followed:
    """Show the execution until it has ended."""
    states = aws.client("stepfunctions")
    description = states.describe_execution(executionArn=execution_arn)
    history: list[dict[str, Any]] = []
    began = time.monotonic()
    columns = Progress.get_default_columns()[:3]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=1.0, visible=False)
        while not history or history[-1]["type"] not in ENDS:
            fresh = _events_after(states, execution_arn, known=len(history))
            for event in fresh:
                _show(event, description["startDate"], time.monotonic() - began, console)
            history += fresh
            bar.update(task, **_bar(history[-1] if history else {}, aws.clock.now()))
            time.sleep(LOOK_EVERY_SECONDS)
    while description["status"] == "RUNNING":  # still, for a moment after the last event
        time.sleep(LOOK_EVERY_SECONDS / 10)
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


def _events_after(states: Any, execution_arn: str, known: int) -> list[dict[str, Any]]:
    """Return those that are not known yet, read from the newest back: a long history would cost seconds each time."""
    pages = states.get_paginator("get_execution_history").paginate(
        executionArn=execution_arn, reverseOrder=True, PaginationConfig={"PageSize": EVENTS_A_PAGE}
    )
    newest_first = (event for page in pages for event in page["events"])
    return list(itertools.takewhile(lambda event: event["id"] > known, newest_first))[::-1]


def _show(event: dict[str, Any], started_at: dt.datetime, real_seconds: float, console: Console) -> None:
    virtual = str(dt.timedelta(seconds=round((event["timestamp"] - started_at).total_seconds())))
    when = f"[dim]{virtual:>8}  {real_seconds:5.1f} s[/]  "
    if details := event.get("stateEnteredEventDetails"):
        console.print(f"{when}{details['name']}{_waiting_for(event['type'], details)}", highlight=False)
    elif event["type"] in ("LambdaFunctionFailed", "LambdaFunctionTimedOut", "TaskFailed", "TaskTimedOut"):
        failure = next(value for key, value in event.items() if key.endswith("EventDetails"))
        cause = escape(_message(failure.get("cause")).split("\n")[0][:160])
        console.print(f"{when}[yellow]  {failure.get('error')}[/] {cause}", highlight=False)


def _message(cause: str | None) -> str:
    """Return the message of a failure's cause, without the stack trace."""
    try:
        return str(json.loads(cause or "")["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return cause or "no cause given"


def _waiting_for(kind: str, details: dict[str, Any]) -> str:
    if kind != "WaitStateEntered":
        return ""
    progress = _progress(details)
    text = progress.get("waiting_for") or (f"{progress['percent']} %" if "percent" in progress else "")
    return f"  [dim]{progress.get('wait_seconds', '?')} s, {text}[/]" if text else ""


def _progress(details: dict[str, Any]) -> dict[str, Any]:
    """Return what the wait is for: the part of its input that the step before `Wait for Clean-up` wrote to clean_up."""
    key = details["name"].removeprefix("Wait for ").replace("-", "_").lower()
    return dict(json.loads(details["input"]).get(key, {}))


def _bar(last: dict[str, Any], now: dt.datetime) -> dict[str, Any]:
    """Return what the bar shows after the last event: how much of a wait is over, or nothing."""
    if last.get("type") != "WaitStateEntered":
        return {"visible": False}
    details = last["stateEnteredEventDetails"]
    waiting = _progress(details)
    return {
        "visible": True,
        "description": f"{details['name']}: {waiting.get('waiting_for', '')}",
        "completed": (now - last["timestamp"]).total_seconds() / max(1, waiting.get("wait_seconds", 1)),
    }
