"""The end of a run, as a person reads it."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scripts.local_run.costs import Cost, total
from scripts.local_run.following import Followed
from scripts.local_run.stage import Stage
from utils.messages.units import duration


def show_summary(result: dict[str, Any], console: Console) -> None:
    """Show what was restored, where it is and how long that took."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    restored = result["restored_rows"] is not None
    for label, value in {
        "Status": result["status"],
        "Operation": result["operation_id"],
        "Execution": result["execution_arn"],
        "Endpoint": f"{result['endpoint']}:{result['port']}" if restored else None,
        "Rows": f"{result['restored_rows']:,} of {result['source_rows']:,}" if restored else None,
        "Aurora's time": duration(result["virtual_seconds"]),
        "Your time": f"{result['wall_seconds']} s",
        "State transitions": result["state_transitions"],
        "Lambda invocations": result["lambda_invocations"],
    }.items():
        if value is not None:
            table.add_row(f"[bold]{label}[/]", escape(str(value)))
    console.print()
    console.print(table)


def show_costs(lines: list[Cost], console: Console) -> None:
    """Show what the run costs without Aurora's own costs, which depend on size and time."""
    console.print("\n[bold]What the run itself would cost[/] (US dollars, us-east-1; Aurora's own costs not included)")
    for what, amount, dollars in lines:
        counted = (
            f"{amount:,.0f}" if float(amount).is_integer() else f"{amount:,.1f}" if amount >= 0.1 else f"{amount:.6f}"
        )
        console.print(f"  {counted:>8}  {what:28} {dollars:.6f}", highlight=False)
    console.print(f"  {'':8}  {'together':28} {total(lines):.6f}", highlight=False)


def show_checks(checks: dict[str, bool], failures: list[str], console: Console) -> None:
    """Show which lines of the proof held, and why others did not."""
    console.print("\n[bold]The proof[/]")
    for name, held in checks.items():
        console.print(f"  {'[green]held  [/]' if held else '[red]FAILED[/]'}  {name.replace('_', ' ')}")
    for failure in failures:
        console.print(f"  [red]{escape(failure)}[/]")


def show_messages(messages: list[dict[str, str]], console: Console) -> None:
    """Show every notification that was sent."""
    for message in messages:
        console.print("\n[bold]The notification[/]")
        console.print(f"  Subject: {escape(message['subject'])}\n", highlight=False)
        for line in message["message"].splitlines():
            console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)


def show_audit_trail(events: list[dict[str, str]], console: Console) -> None:
    """Show every event with its time and status."""
    console.print("\n[bold]The audit trail[/]")
    for event in events:
        time = event["timestamp"].split("#")[0]
        console.print(f"  {time}  {event['event_type']:22} {event['status']}", highlight=False)


def ended_early(check: str, run: Followed, place: Stage, console: Console) -> tuple[dict[str, Any], bool]:
    """Show why a demonstration ends with its first run, and return its result, and False: it has not held."""
    checks = {check: False}
    show_checks(checks, [run.reason() or run.status], console)
    messages = place.received_messages()
    show_messages(messages, console)
    return {"status": run.status, "error": run.reason(), "checks": checks, "messages": messages}, False
