"""A stack while it changes: a line for each step, and when it fails the first reason."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console

from scripts.deploy.aws_cli import AwsCli, AwsError, Refused

_PAUSE_SECONDS = 3
_CONSEQUENCES = ("Resource creation cancelled", "Resource update cancelled", "Resource deletion cancelled")
_STACK = "AWS::CloudFormation::Stack"


def status(aws: AwsCli, stack: str) -> dict[str, Any] | None:
    """The stack as CloudFormation describes it, by name or id; None if there is none."""
    try:
        found: dict[str, Any] = aws("cloudformation", "describe-stacks", "--stack-name", stack)["Stacks"][0]
    except AwsError as error:
        if error.code == "ValidationError" and "does not exist" in error.message:
            return None
        raise
    return found


def last_event(aws: AwsCli, stack: str) -> str:
    """A mark, so that what happened before isn't told again."""
    events = _events(aws, stack)
    return str(events[-1]["EventId"]) if events else ""


def follow(console: Console, aws: AwsCli, stack_id: str, since: str, wanted: tuple[str, ...]) -> dict[str, Any]:
    """Print what happens until the stack rests; raises Refused with the first reason if it isn't as wanted then."""
    began, told, failures = time.monotonic(), {since}, list[dict[str, Any]]()
    while True:
        stack, rests = status(aws, stack_id), False
        assert stack is not None, stack_id
        for event in _since(_events(aws, stack_id), since):
            # Its own event says that this is the end, and not the state before the beginning.
            rests = event["ResourceType"] == _STACK and event["ResourceStatus"] == stack["StackStatus"]
            if event["EventId"] in told:
                continue
            told.add(event["EventId"])
            _print(console, event, time.monotonic() - began)
            if event["ResourceStatus"].endswith("_FAILED") and event["ResourceType"] != _STACK:
                failures.append(event)
        state = stack["StackStatus"]
        if rests and not state.endswith("_IN_PROGRESS"):
            if state in wanted:
                return stack
            raise Refused(_first_reason(stack, failures))
        time.sleep(_PAUSE_SECONDS)


def _first_reason(stack: dict[str, Any], failures: list[dict[str, Any]]) -> str:
    causes = [each for each in failures if not each.get("ResourceStatusReason", "").startswith(_CONSEQUENCES)]
    state = stack["StackStatus"]
    if not causes:
        return f"The stack is {state}: {stack.get('StackStatusReason', 'no reason given')}"
    first = causes[0]
    reason = first.get("ResourceStatusReason", "no reason given")
    return f"{first['LogicalResourceId']} ({first['ResourceType']}) failed: {reason}\nThe stack is {state} now."


def _events(aws: AwsCli, stack: str) -> list[dict[str, Any]]:
    """Oldest first."""
    events: list[dict[str, Any]] = aws("cloudformation", "describe-stack-events", "--stack-name", stack)["StackEvents"]
    return events[::-1]


def _since(events: list[dict[str, Any]], mark: str) -> list[dict[str, Any]]:
    at = next((position for position, event in enumerate(events) if event["EventId"] == mark), -1)
    return events[at + 1 :]


def _print(console: Console, event: dict[str, Any], seconds: float) -> None:
    state = event["ResourceStatus"]
    if state.endswith("_IN_PROGRESS") and event["ResourceType"] != _STACK:
        return
    reason = f"  {event['ResourceStatusReason']}" if state.endswith("_FAILED") else ""
    style = "red" if state.endswith("_FAILED") or "ROLLBACK" in state else ""
    console.print(f"{seconds:5.0f} s  {state:<36} {event['LogicalResourceId']}{reason}", style=style, soft_wrap=True)
