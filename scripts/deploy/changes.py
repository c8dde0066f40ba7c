"""A change set: made, shown as a table, and taken away again."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from scripts.deploy.aws_cli import AwsCli, AwsError, Refused

_CAPABILITIES = ("CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")
_NOTHING = ("didn't contain changes", "No updates are to be performed")
_STATEFUL = {
    "AWS::DynamoDB::Table": "its items stay in the old table",
    "AWS::SecretsManager::Secret": "the new secret has a new password",
    "AWS::KMS::Key": "what the old key encrypts needs it further",
    "AWS::RDS::DBSubnetGroup": "clusters stay in the old group",
    "AWS::SNS::Topic": "its subscriptions are gone",
    "AWS::SQS::Queue": "its messages are gone",
    "AWS::Logs::LogGroup": "its logs are gone",
    "AWS::StepFunctions::StateMachine": "its executions are gone from view",
}
_ALWAYS_NEW = ("AWS::Lambda::Version", "AWS::StepFunctions::StateMachineVersion", "AWS::Lambda::LayerVersion")
_PAUSE_SECONDS = 2
_LONGEST_SECONDS = 600


def create(
    aws: AwsCli,
    stack: str,
    *,
    new: bool,
    template: list[str],
    parameters: dict[str, str],
    previous: set[str],
    work: Path,
) -> dict[str, Any] | None:
    """The change set once it is computed; None if there is nothing to change. `previous` keep their values."""
    name = f"deploy-{time.time_ns()}"
    values: list[dict[str, Any]] = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    values += [{"ParameterKey": key, "UsePreviousValue": True} for key in sorted(previous)]
    given = work / "parameters.json"
    given.write_text(json.dumps(values))
    kind = ["--change-set-type", "CREATE" if new else "UPDATE"]
    capabilities = ["--capabilities", *_CAPABILITIES, "--parameters", f"file://{given}"]
    try:
        aws(
            "cloudformation", "create-change-set", "--stack-name", stack, "--change-set-name", name, *kind,
            *template, *capabilities,
        )  # fmt: skip
    except AwsError as error:
        if error.code == "ValidationError":
            raise Refused(f"CloudFormation refuses the deployment: {error.message}") from None
        raise
    change_set = _computed(aws, stack, name)
    if change_set["Status"] == "FAILED":
        delete(aws, stack, name)
        if any(words in change_set.get("StatusReason", "") for words in _NOTHING):
            return None
        raise Refused(f"CloudFormation can't compute the changes: {change_set.get('StatusReason', 'no reason given')}")
    return change_set


def _computed(aws: AwsCli, stack: str, name: str) -> dict[str, Any]:
    deadline = time.monotonic() + _LONGEST_SECONDS
    while time.monotonic() < deadline:
        words = ("cloudformation", "describe-change-set", "--stack-name", stack, "--change-set-name", name)
        change_set: dict[str, Any] = aws(*words)
        if change_set["Status"] in ("CREATE_COMPLETE", "FAILED"):
            return change_set
        time.sleep(_PAUSE_SECONDS)
    raise Refused(f"CloudFormation has not computed the changes of {stack} in {_LONGEST_SECONDS} s. Try again.")


def delete(aws: AwsCli, stack: str, name: str) -> None:
    aws("cloudformation", "delete-change-set", "--stack-name", stack, "--change-set-name", name)


def show(console: Console, change_set: dict[str, Any]) -> None:
    """What is added, modified, replaced and removed; and a warning for what holds something that would be lost."""
    rows = sorted(map(_row, change_set["Changes"]))
    table = Table(box=None, header_style="bold")
    for heading in ("Change", "Resource", "Type", "What"):
        table.add_column(heading, overflow="fold")  # names often differ in their last letters alone
    for order, logical_id, kind, word, what in rows:
        style = {0: "bold red", 1: "red", 2: "yellow"}.get(order, "")
        table.add_row(word, logical_id, kind.removeprefix("AWS::"), what, style=style)
    console.print(table, soft_wrap=False)
    for order, logical_id, kind, word, _ in rows:
        if order == 0:
            console.print(f"Mind: {logical_id} is {word}: {_STATEFUL[kind]}.", style="bold red")


def _row(change: dict[str, Any]) -> tuple[int, str, str, str, str]:
    resource = change["ResourceChange"]
    kind, action, replacement = resource["ResourceType"], resource["Action"], resource.get("Replacement", "False")
    names = sorted({each["Target"].get("Name", "") for each in resource.get("Details", [])} - {""})
    word, order = {"Add": ("added", 4), "Modify": ("modified", 3), "Remove": ("removed", 1)}.get(action, (action, 3))
    if action == "Modify" and replacement in ("True", "Conditional") and kind not in _ALWAYS_NEW:
        word, order = ("REPLACED" if replacement == "True" else "maybe REPLACED"), 2
    elif action == "Modify" and kind in _ALWAYS_NEW:
        word = "published anew"
    if "Retain" in resource.get("PolicyAction", "") and order < 3:
        names.append("the old one stays")
    elif order in (1, 2) and kind in _STATEFUL:
        order = 0
    if kind in _ALWAYS_NEW and action == "Remove":
        word, order = "no longer used", 3
    return order, resource["LogicalResourceId"], kind, word, ", ".join(names)
