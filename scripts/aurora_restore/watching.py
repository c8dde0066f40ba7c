"""Following an execution until it ends: a line for each phase, and at a terminal what it waits for."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable

from botocore.exceptions import ConnectionError as NotConnected
from botocore.exceptions import HTTPClientError
from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as LiveLine

from .executions import ENDS, events_after
from .progress import News, Progress
from .stack import Stack

FIRST_LOOK_SECONDS = 0.5
# Of a network that is away: a run takes hours, and continues without us. botocore has repeated each call before.
PATIENCE_SECONDS = 600


def follow(
    stack: Stack,
    arn: str,
    console: Console,
    *,
    verbose: bool,
    every_seconds: float,
    timeout_seconds: float | None,
    report: Callable[[News], None] | None,
) -> bool:
    """Return whether the execution has ended; False where the time was up before.

    `report` gets each piece of news instead of the console. A network that is away is waited for.
    """
    states = stack.client("stepfunctions")
    began = time.monotonic()
    started_at = states.describe_execution(executionArn=arn)["startDate"]
    progress = Progress(started_at, console, verbose=verbose, shows_wall_clock=False)
    known, last, reached = 0, "", time.monotonic()
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[expected]}")
    with LiveLine(*columns, console=console, transient=True, disable=not console.is_terminal) as line:
        task = line.add_task("", total=None, visible=False, expected="")
        while True:
            try:
                events, reached = events_after(states, arn, known), time.monotonic()
            except (HTTPClientError, NotConnected) as error:
                if time.monotonic() - reached > PATIENCE_SECONDS:
                    raise
                events = []
                console.print(f"Not reached, trying again: {error}", style="yellow", markup=False)
            for event in events:
                known, last = event["id"], event["type"]
                if report is None:
                    progress.show(event)
                else:
                    for news in progress.take(event):
                        report(news)
            if last in ENDS:
                return True
            if timeout_seconds is not None and time.monotonic() - began >= timeout_seconds:
                return False
            line.update(task, **progress.live(dt.datetime.now(dt.UTC)))
            time.sleep(min(FIRST_LOOK_SECONDS, every_seconds) if known == 0 else every_seconds)
