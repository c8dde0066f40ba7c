"""What a person sees of an execution: a line for each phase, and at a terminal what it waits for; or every state."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from .executions import message_of
from .words import duration, one_line

# The first word that is in a state's name decides. A state that has none is a phase of its own, by its name.
_PHASE_BY_WORD = {
    "Notification": "Notification",
    "Clean": "Clean up",
    # Before the copy: it is removed with the drill's cluster.
    "Drill": "Deletion",
    "Swap": "Swap",
    "Roll": "Swap",
    "Stopped": "Swap",
    "Exists": "Check and plan",
    "Export": "Export",
    "Copy": "Copy",
    "Instances": "Instances",
    "Mask": "Masking",
    "Transform": "Masking",
    "Users": "Users",
    "Look": "Verification",
    "Verif": "Verification",
    "Open": "Opening",
    "Delet": "Deletion",
    "Archive": "Archive",
    "Restore": "Restore",
}
# Choices and the ends take no time: they belong to the phase before them.
_ENTERED = ("TaskStateEntered", "WaitStateEntered")
_FAILED = ("LambdaFunctionFailed", "LambdaFunctionTimedOut", "TaskFailed", "TaskTimedOut")
# A wait is a Wait, or a Task that an event of RDS or its time ends.
_WAIT, _BY_TIME = "Wait ", " by Time"
_WRITTEN_ELSEWHERE = {
    "Wait for Rollback": "swap",
    "Wait to Finish Swap": "swap",
    "Wait for End of Drill": "clean_up",
}
_BAD_ENDS = ("ExecutionAborted", "ExecutionTimedOut")
_SUCCEEDED = ("LambdaFunctionSucceeded", "TaskSucceeded")


def phase_of(state: str) -> str:
    """Return the phase that a state of the state machine is part of."""
    return next((phase for word, phase in _PHASE_BY_WORD.items() if word in state), state)


class PhaseEnded(Struct, frozen=True, kw_only=True, tag_field="event", tag="phase"):
    """A phase that has ended: how, after which time, and how often the state machine waited in it."""

    at: dt.datetime
    phase: str
    outcome: Literal["done", "failed"]
    seconds: float
    waits: int


class AttemptFailed(Struct, frozen=True, kw_only=True, tag_field="event", tag="attempt_failed"):
    """A step's attempt that has failed. The state machine may repeat it."""

    at: dt.datetime
    error: str
    message: str


class StateEntered(Struct, frozen=True, kw_only=True, tag_field="event", tag="state"):
    """A state of the state machine that was entered, with the seconds of a pause and what is waited for."""

    at: dt.datetime
    name: str
    waiting: str


News = PhaseEnded | AttemptFailed | StateEntered


class Progress:
    """Shows events as they come: each phase when it has ended, with its result, or with `verbose` every state.

    `shows_wall_clock`: where another clock than ours is the execution's, a second column has ours.
    """

    def __init__(
        self, started_at: dt.datetime, console: Console, *, verbose: bool, shows_wall_clock: bool = True
    ) -> None:
        self._started_at = started_at
        self._shows_wall_clock = shows_wall_clock
        self._began = time.monotonic()
        self._console = console
        self._verbose = verbose
        self._phase = ""
        self._phase_began = started_at
        self._waits = 0
        self._failed = False
        self._wait: dict[str, Any] | None = None
        """The event that the present wait began with."""

    def show(self, event: dict[str, Any]) -> None:
        """Take the next event of the history, and print what a person should know of it."""
        for news in self.take(event):
            self._print(news.at, _text(news))

    def take(self, event: dict[str, Any]) -> Iterator[News]:
        """Take the next event of the history, and yield what a person should know of it."""
        kind, details, at = event["type"], event.get("stateEnteredEventDetails"), event["timestamp"]
        if details:
            is_wait = details["name"].startswith(_WAIT)
            self._wait = event if is_wait else None
            if self._verbose:
                yield StateEntered(at=at, name=details["name"], waiting=_waiting_for(details) if is_wait else "")
            elif kind in _ENTERED:
                yield from self._enter(event, phase_of(details["name"]))
            self._waits += is_wait and not details["name"].endswith(_BY_TIME)
        elif self._wait is not None and kind in ("TaskTimedOut", "TaskSucceeded"):
            return  # how a wait ends says nothing of the step
        elif kind in _FAILED:
            self._failed = self._wait is None
            failure = next(value for key, value in event.items() if key.endswith("EventDetails"))
            message = one_line(message_of(failure.get("cause")).split("\n")[0])[:160]
            yield AttemptFailed(at=at, error=str(failure.get("error")), message=message)
        elif kind in _SUCCEEDED:
            self._failed = False
        elif kind.startswith("Execution") and kind != "ExecutionStarted" and not self._verbose:
            yield from self._enter(event, "")

    def live(self, now: dt.datetime) -> dict[str, Any]:
        """Return what the bar shows: the phase, what it waits for, how much of that is over, and when it should end."""
        if self._wait is None:
            return {
                "visible": bool(self._phase),
                "description": self._phase,
                "completed": 0,
                "total": None,
                "expected": "",
            }
        details, since = self._wait["stateEnteredEventDetails"], self._wait["timestamp"]
        waiting = _progress(details)
        earliest = latest = since + dt.timedelta(seconds=waiting.get("wait_seconds", 1))
        wanted = "next look"
        if expected := waiting.get("expected_end"):
            earliest, latest = (dt.datetime.fromisoformat(each) for each in expected)
            since, wanted = self._phase_began, "ends"
        return {
            "visible": True,
            "description": f"{phase_of(details['name'])}: {escape(waiting.get('waiting_for', ''))[:60]}",
            "total": max(1.0, (latest - since).total_seconds()),
            "completed": max(0.0, (now - since).total_seconds()),
            "expected": f"{wanted} {_between(earliest - now, latest - now)}",
        }

    def _enter(self, event: dict[str, Any], phase: str) -> Iterator[PhaseEnded]:
        if phase == self._phase:
            return
        if self._phase:
            yield PhaseEnded(
                at=event["timestamp"],
                phase=self._phase,
                outcome="failed" if self._failed or event["type"] in _BAD_ENDS else "done",
                seconds=(event["timestamp"] - self._phase_began).total_seconds(),
                waits=self._waits,
            )
        self._phase, self._phase_began, self._waits = phase, event["timestamp"], 0

    def _print(self, at: dt.datetime, text: str) -> None:
        elapsed = str(dt.timedelta(seconds=round((at - self._started_at).total_seconds())))
        wall = f"  {time.monotonic() - self._began:5.1f} s" if self._shows_wall_clock else ""
        self._console.print(f"[dim]{elapsed:>8}{wall}[/]  {text}", highlight=False)


def _text(news: News) -> str:
    if isinstance(news, PhaseEnded):
        waits = f", {news.waits} wait{'s' if news.waits > 1 else ''}" if news.waits else ""
        return f"{news.phase:15} {news.outcome} in {duration(news.seconds)}{waits}"
    if isinstance(news, AttemptFailed):
        return f"[yellow]  {escape(news.error)}[/] {escape(news.message)}"
    return f"{news.name}{f'  [dim]{escape(news.waiting)}[/]' if news.waiting else ''}"


def _between(earliest: dt.timedelta, latest: dt.timedelta) -> str:
    first, last = (duration(max(0.0, each.total_seconds())) for each in (earliest, latest))
    return f"in {first}" if first == last else f"in {first} to {last}"


def _waiting_for(details: dict[str, Any]) -> str:
    progress = _progress(details)
    text = progress.get("waiting_for") or (f"{progress['percent']} %" if "percent" in progress else "")
    return f"{progress.get('wait_seconds', '?')} s, {text}" if text else ""


def _progress(details: dict[str, Any]) -> dict[str, Any]:
    """Return what the wait is for: the part of its input that the step before it wrote."""
    return dict(json.loads(details["input"]).get(key_of(details["name"]), {}))


def key_of(wait: str) -> str:
    """Return under which name a wait's input has the progress: that of `Wait for Clean-up` is clean_up's."""
    name = wait.removesuffix(_BY_TIME)
    return _WRITTEN_ELSEWHERE.get(name, name.removeprefix("Wait for ").replace("-", "_").lower())
