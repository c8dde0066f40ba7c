"""The table of changes marks what is replaced, and says in words what would be lost by it."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from scripts.deploy.changes import show


def shown(*changes: dict[str, Any], width: int = 200) -> str:
    output = io.StringIO()
    wrapped = [{"ResourceChange": each} for each in changes]
    show(Console(file=output, width=width, highlight=False, markup=False), {"Changes": wrapped})
    return output.getvalue()


def change(name: str, kind: str, action: str = "Modify", **more: Any) -> dict[str, Any]:
    return {"LogicalResourceId": name, "ResourceType": f"AWS::{kind}", "Action": action, **more}


def test_a_replaced_table_is_marked_and_what_it_means_is_said() -> None:
    details = [{"Target": {"Name": "TableName"}}]
    text = shown(
        change("New", "SNS::Topic", "Add"),
        change("StateTable", "DynamoDB::Table", Replacement="True", Details=details, PolicyAction="ReplaceAndDelete"),
    )
    assert text.index("StateTable") < text.index("New")
    assert "REPLACED" in text
    assert "TableName" in text
    assert "Mind: StateTable is REPLACED: its items stay in the old table." in text


def test_what_stays_when_it_is_replaced_or_removed_is_no_loss() -> None:
    text = shown(change("StateTable", "DynamoDB::Table", "Remove", PolicyAction="Retain"))
    assert "the old one stays" in text
    assert "Mind" not in text


def test_versions_are_published_anew_with_every_change_and_alarm_nobody() -> None:
    text = shown(
        change("Version", "Lambda::Version", Replacement="True"),
        change("Old", "Lambda::Version", "Remove", PolicyAction="Retain"),
    )
    assert "REPLACED" not in text
    assert "published anew" in text
    assert "no longer used" in text


def test_a_narrow_terminal_cuts_no_name() -> None:
    """Those of a function, its version and its alias differ in their ends alone."""
    text = shown(change("SnsNotificationFunctionAliaslive", "StepFunctions::StateMachineVersion"), width=60)
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert "live" in text
