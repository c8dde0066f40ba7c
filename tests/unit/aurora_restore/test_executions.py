"""Starting and following: nothing is started twice, and what was started is never kept quiet about."""

from __future__ import annotations

import datetime as dt
import io
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.session import Session
from click.testing import CliRunner
from rich.console import Console

from scripts.aurora_restore import calling, commands, executions, starting, watching
from scripts.aurora_restore.exits import CommandError
from scripts.aurora_restore.published import Record
from scripts.aurora_restore.stack import Stack

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:aurora-restore"
AWAY = EndpointConnectionError(endpoint_url="https://states.us-east-1.amazonaws.com")
BEGAN = dt.datetime(2026, 11, 28, 2, 0, tzinfo=dt.UTC)


class Exists(ClientError):
    """StartExecution of a name that was used."""


class Missing(ClientError):
    """DescribeExecution of what is not known."""


class States:
    """A client of Step Functions with one execution, whose answers may be lost."""

    def __init__(self, *answers: Any) -> None:
        self.started: list[tuple[str, str]] = []
        self._answers = list(answers)
        self.exceptions = type("exceptions", (), {
            "ExecutionAlreadyExists": Exists, "ExecutionDoesNotExist": Missing, "InvalidArn": Missing,
        })  # fmt: skip

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> dict[str, str]:  # noqa: N803
        self.started.append((name, input))
        if self._answers and self._answers[0] is Exists:
            raise Exists({"Error": {"Code": "ExecutionAlreadyExists"}}, "StartExecution")
        return {"executionArn": f"{stateMachineArn.replace('stateMachine', 'execution')}:{name}"}

    def describe_execution(self, **_: Any) -> dict[str, Any]:
        if self._answers and isinstance(self._answers[0], BaseException):
            raise self._answers.pop(0)
        return {"status": "RUNNING", "startDate": BEGAN}

    def get_paginator(self, _: str) -> States:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return [{"events": answer}]


def a_stack(states: States) -> Stack:
    made = Stack("aurora-restore", Session(), {"StateMachineArn": MACHINE}, {}, BEGAN)
    made._clients["stepfunctions"] = states
    return made


def test_an_execution_always_has_a_name_so_that_a_repeated_call_starts_nothing() -> None:
    states = States()
    arn = executions.start(a_stack(states), {"dry_run": True})
    [(name, given)] = states.started
    assert (len(name), json.loads(given)) == (36, {"dry_run": True})
    assert arn.endswith(f":execution:aurora-restore:{name}")


def test_an_own_name_that_exists_is_ours_and_a_given_one_is_refused() -> None:
    states = States(Exists)
    arn = executions.start(a_stack(states), {})
    assert arn.rpartition(":")[2] == states.started[0][0]
    with pytest.raises(CommandError) as refused:
        executions.start(a_stack(states), {}, "monday")
    assert (refused.value.code, refused.value.exit_code) == ("OperationExists", 3)


@pytest.mark.parametrize(("what", "code"), [(AWAY, 1), (KeyboardInterrupt(), 130)])
def test_what_was_started_is_named_also_where_nothing_more_was_seen_of_it(what: BaseException, code: int) -> None:
    with pytest.raises(CommandError) as ended:
        starting.start_checked(a_stack(States(what)), {}, "monday", 0.01)
    assert ended.value.exit_code == code
    assert "execution:aurora-restore:monday was started and continues" in ended.value.message
    assert ended.value.next_commands == ["aurora-restore watch monday"]


def test_a_network_that_is_away_for_a_moment_ends_no_watching() -> None:
    end = {"id": 1, "type": "ExecutionSucceeded", "timestamp": BEGAN}
    assert followed(AWAY, AWAY, [end])


def test_a_network_that_stays_away_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PATIENCE_SECONDS", 0)
    with pytest.raises(EndpointConnectionError):
        followed(AWAY, AWAY)


def test_the_time_may_be_up_before_the_execution_has_ended() -> None:
    assert not followed([], timeout_seconds=0.0)


def a_plan(status: str = "planned") -> Record:
    plan = {
        "target_cluster_id": "staging-20261128",
        "snapshot": {"arn": "arn:aws:rds:us-east-1:1:cluster-snapshot:one"},
    }
    return Record(operation_id="plan-1", execution_id="arn:plan-1", status=status, raw_plan=plan)


def test_a_plan_is_started_from_the_snapshot_and_for_the_target_that_it_showed() -> None:
    request = {
        "dry_run": True,
        "target_cluster_id": "staging-{date}",
        "quarantine": True,
        "snapshot_date": "2026-11-27",
    }
    assert starting.planned_request(a_stack(Planned(request)), a_plan()) == {
        "target_cluster_id": "staging-20261128",
        "snapshot_identifier": "arn:aws:rds:us-east-1:1:cluster-snapshot:one",
        "snapshot_date": "2026-11-27",
        "quarantine": True,
    }


def test_a_plan_from_before_the_stacks_update_and_what_is_no_plan_are_refused() -> None:
    stack = a_stack(Planned({}))
    with pytest.raises(CommandError, match="is no plan"):
        starting.planned_request(stack, a_plan("succeeded"))
    stack.updated_at = BEGAN + dt.timedelta(seconds=1)
    with pytest.raises(CommandError, match="after this plan") as refused:
        starting.planned_request(stack, a_plan())
    assert (refused.value.exit_code, refused.value.next_commands) == (3, ["aurora-restore plan"])


def test_what_is_not_understood_is_an_error_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tables(States):
        def get_item(self, **_: Any) -> dict[str, Any]:
            item = {"operation_id": {"S": "one"}, "started_at": {"S": "yesterday"}}
            return {"Item": item}

    stack = a_stack(States())
    stack.outputs["StateTableName"] = "AuroraRestoreState"
    stack._clients["dynamodb"] = Tables()
    monkeypatch.setattr(calling, "find_stack", lambda *_: stack)
    ended = CliRunner().invoke(commands.cli, ["show", "one-operation", "--json"])
    assert (ended.exit_code, json.loads(ended.stdout)["error"]["code"]) == (1, "NotUnderstood")


def test_an_interrupted_watch_says_that_the_operation_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(calling, "find_stack", lambda *_: a_stack(States()))
    monkeypatch.setattr(commands, "_found", lambda *_: a_plan("running"))
    monkeypatch.setattr(commands, "follow", interrupted)
    ended = CliRunner().invoke(commands.cli, ["watch", "plan-1", "--json"])
    answer = json.loads(ended.stdout)["answer"]
    assert (ended.exit_code, answer["exit_code"], answer["error"]["code"]) == (130, 130, "Interrupted")
    assert "continues" in answer["error"]["message"]


def followed(*answers: Any, timeout_seconds: float | None = None) -> bool:
    stack = a_stack(Looked(*answers))
    console = Console(file=io.StringIO())
    return watching.follow(
        stack,
        "arn",
        console,
        verbose=False,
        every_seconds=0.001,
        timeout_seconds=timeout_seconds,
        report=None,
    )


class Planned(States):
    """One whose execution was a dry run with this input."""

    def __init__(self, request: dict[str, Any]) -> None:
        super().__init__()
        self._request = request

    def describe_execution(self, **_: Any) -> dict[str, Any]:
        return {"status": "SUCCEEDED", "startDate": BEGAN, "input": json.dumps(self._request)}


class Looked(States):
    """One that is described whatever its history answers."""

    def describe_execution(self, **_: Any) -> dict[str, Any]:
        return {"status": "RUNNING", "startDate": BEGAN}
