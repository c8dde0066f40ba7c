"""What is shown of an execution: phases for a person, every state with --verbose, and one live line at a terminal."""

from __future__ import annotations

import datetime as dt
import io
import json
from typing import Any

import pytest
from rich.console import Console

from scripts.aurora_restore.progress import Progress, key_of, phase_of
from scripts.local_run.stage import PROJECT

BEGAN = dt.datetime(2026, 11, 28, 2, 0, tzinfo=dt.UTC)
Event = dict[str, Any]


def at(seconds: int, kind: str, **details: Any) -> Event:
    return {"timestamp": BEGAN + dt.timedelta(seconds=seconds), "type": kind, **details}


def entered(seconds: int, kind: str, name: str, **given: Any) -> Event:
    return at(seconds, f"{kind}StateEntered", stateEnteredEventDetails={"name": name, "input": json.dumps(given)})


RUN = [
    at(0, "ExecutionStarted"),
    entered(0, "Pass", "Receive Request"),
    entered(0, "Task", "Check Snapshot Exists"),
    at(1, "LambdaFunctionSucceeded"),
    entered(1, "Choice", "Copy Needed?"),
    entered(1, "Task", "Restore Snapshot"),
    entered(2, "Wait", "Wait for Restore", restore={"wait_seconds": 240, "waiting_for": "the cluster"}),
    entered(242, "Task", "Check Restore Status"),
    at(243, "LambdaFunctionSucceeded"),
    entered(243, "Task", "Polish Everything"),
    at(248, "ExecutionSucceeded"),
]


def shown(events: list[Event], *, verbose: bool = False) -> list[str]:
    out = io.StringIO()
    progress = Progress(BEGAN, Console(file=out, width=120), verbose=verbose)
    for event in events:
        progress.show(event)
    return [line.partition(" s  ")[2] for line in out.getvalue().splitlines()]


def test_each_phase_is_one_line_with_its_result_whatever_its_states_are() -> None:
    assert shown(RUN) == [
        "Check and plan  done in 1 s",
        "Restore         done in 4 min 2 s, 1 wait",
        "Polish Everything done in 5 s",
    ]


def test_every_state_is_shown_where_that_is_asked_for() -> None:
    assert shown(RUN, verbose=True) == [
        "Receive Request",
        "Check Snapshot Exists",
        "Copy Needed?",
        "Restore Snapshot",
        "Wait for Restore  240 s, the cluster",
        "Check Restore Status",
        "Polish Everything",
    ]


def test_a_failure_is_told_at_once_and_its_phase_has_failed() -> None:
    failure = {"error": "StepFailed", "cause": json.dumps({"errorMessage": "no such key\nat line 3"})}
    events = [
        *RUN[:6],
        at(3, "LambdaFunctionFailed", lambdaFunctionFailedEventDetails=failure),
        entered(3, "Choice", "Clean Up?"),
        entered(3, "Task", "Send Failure Notification"),
        at(4, "LambdaFunctionSucceeded"),
        at(4, "ExecutionFailed"),
    ]
    assert shown(events)[1:] == [
        "  StepFailed no such key",
        "Restore         failed in 2 s",
        "Notification    done in 1 s",
    ]


def test_an_attempt_that_was_repeated_with_success_is_no_failed_phase() -> None:
    failed = at(1, "LambdaFunctionTimedOut", lambdaFunctionTimedOutEventDetails={"error": "Timeout"})
    assert shown([*RUN[:3], failed, *RUN[3:]])[1] == "Check and plan  done in 1 s"


def test_a_wait_that_an_event_or_its_time_ends_is_a_wait_and_no_failed_attempt() -> None:
    waiting = entered(2, "Task", "Wait for Restore", restore={"wait_seconds": 240, "waiting_for": "the cluster"})
    timed_out = at(242, "TaskTimedOut", taskTimedOutEventDetails={"error": "States.Timeout"})
    unkept = at(3, "TaskFailed", taskFailedEventDetails={"error": "DynamoDb.DynamoDbException", "cause": "no"})
    by_time = entered(
        3, "Wait", "Wait for Restore by Time", restore={"wait_seconds": 240, "waiting_for": "the cluster"}
    )
    assert shown([*RUN[:6], waiting, timed_out, *RUN[7:]]) == shown(RUN)
    assert shown([*RUN[:6], waiting, timed_out, *RUN[7:]], verbose=True) == shown(RUN, verbose=True)
    assert shown([*RUN[:6], waiting, unkept, by_time, *RUN[7:]])[1:3] == [
        "  DynamoDb.DynamoDbException no",
        "Restore         done in 4 min 2 s, 1 wait",
    ]


def live(waiting: dict[str, Any], seconds_later: int) -> dict[str, Any]:
    progress = Progress(BEGAN, Console(quiet=True), verbose=False)
    for event in [*RUN[:6], entered(2, "Wait", "Wait for Restore", restore=waiting)]:
        progress.show(event)
    return progress.live(BEGAN + dt.timedelta(seconds=2 + seconds_later))


def test_the_live_line_says_what_is_waited_for_and_when_the_next_look_is() -> None:
    line = live({"wait_seconds": 240, "waiting_for": "the cluster"}, 60)
    assert (line["description"], line["expected"]) == ("Restore: the cluster", "next look in 3 min 0 s")
    assert line["completed"] / line["total"] == pytest.approx(0.25)


def test_the_live_line_says_when_the_phase_should_end_where_that_is_known() -> None:
    ends = [(BEGAN + dt.timedelta(seconds=seconds)).isoformat() for seconds in (301, 401)]
    line = live({"wait_seconds": 30, "waiting_for": "the cluster", "expected_end": ends}, 99)
    assert line["expected"] == "ends in 3 min 20 s to 5 min 0 s"
    assert line["completed"] / line["total"] == pytest.approx(0.25)
    assert live({"expected_end": ends}, 900)["expected"] == "ends in 0 s"


def test_every_wait_is_read_where_its_step_has_written() -> None:
    machine = json.loads((PROJECT / "infrastructure" / "state_machine.asl.json").read_text())
    paths = {
        name: state.get("SecondsPath") or state.get("TimeoutSecondsPath")
        for name, state in machine["States"].items()
        if name.startswith("Wait ")
    }
    # The others wait for as long as it takes a step that was stopped to end.
    until = {name: path for name, path in paths.items() if path is not None}
    assert len(until) > 10
    assert {name: f"$.{key_of(name)}.wait_seconds" for name in until} == until


def test_every_state_that_takes_time_is_part_of_a_phase_that_a_person_knows() -> None:
    machine = json.loads((PROJECT / "infrastructure" / "state_machine.asl.json").read_text())
    timed = [name for name, state in machine["States"].items() if state["Type"] in ("Task", "Wait")]
    assert len(timed) > 10
    assert [name for name in timed if phase_of(name) == name] == []
