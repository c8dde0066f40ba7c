"""Watch an execution: every state as it is entered, what it waits for, virtual and real time."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

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
        return (self.stopped_at - self.started_at).total_seconds()

    @property
    def state_transitions(self) -> int:
        """As AWS bills them: every state entered, and every retry."""
        entered: int = sum(event["type"].endswith("StateEntered") for event in self.history)
        tasks: int = sum(event["type"] == "TaskStateEntered" for event in self.history)
        attempts: int = sum(event["type"] in ("LambdaFunctionScheduled", "TaskScheduled") for event in self.history)
        return entered + max(0, attempts - tasks)

    def reason(self) -> str | None:
        """Return the error and its message, without the stack trace."""
        if self.error is None:
            return None
        try:
            message = json.loads(self.cause or "")["errorMessage"]
        except (ValueError, KeyError, TypeError):
            message = self.cause or "no cause given"
        return f"{self.error}: {message}"


def follow(aws: LocalAws, execution_arn: str, console: Console) -> Followed:
    """Show the execution until it has ended."""
    states = aws.client("stepfunctions")
    description = states.describe_execution(executionArn=execution_arn)
    history: list[dict[str, Any]] = []
    began = time.monotonic()
    with _bar(console) as bar:
        while not history or history[-1]["type"] not in ENDS:
            fresh = _events_after(states, execution_arn, known=len(history))
            for event in fresh:
                _show(event, description["startDate"], time.monotonic() - began, console)
            history += fresh
            bar(history, aws.clock.now())
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
        console.print(f"{when}[yellow]  {failure.get('error')}[/] {_first_line(failure.get('cause'))}", highlight=False)


def _first_line(cause: str | None) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        cause = json.loads(cause or "")["errorMessage"]
    return (cause or "").split("\n")[0][:160].replace("[", "\\[")


def _waiting_for(kind: str, details: dict[str, Any]) -> str:
    if kind != "WaitStateEntered":
        return ""
    progress = _progress(details)
    text = progress.get("waiting_for") or (f"{progress['percent']} %" if "percent" in progress else "")
    return f"  [dim]{progress.get('wait_seconds', '?')} s, {text}[/]" if text else ""


def _progress(details: dict[str, Any]) -> dict[str, Any]:
    """Return what the wait is for: the part of the state's input that the step before it wrote."""
    key = {
        "Wait for Copy": "copy",
        "Wait for Restore": "restore",
        "Wait for Instances": "restore",
        "Wait for Opening": "opening",
        "Wait for Deletion": "deletion",
    }
    return dict(json.loads(details["input"]).get(key.get(details["name"], "clean_up"), {}))


@contextlib.contextmanager
def _bar(console: Console) -> Iterator[Any]:
    """Show a bar that fills while the execution waits; nothing at all where there is no terminal."""
    if not console.is_terminal:
        yield lambda history, now: None
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("starting", total=1.0, visible=False)

        def update(history: list[dict[str, Any]], now: dt.datetime) -> None:
            last = history[-1] if history else {}
            if last.get("type") != "WaitStateEntered":
                progress.update(task, visible=False)
                return
            details = last["stateEnteredEventDetails"]
            waiting = _progress(details)
            elapsed = (now - last["timestamp"]).total_seconds()
            progress.update(
                task,
                visible=True,
                description=f"{details['name']}: {waiting.get('waiting_for', '')}",
                completed=min(1.0, elapsed / max(1, waiting.get("wait_seconds", 1))),
            )

        yield update
