"""The commands: what each reads, what it starts or stops, and what it answers."""

from __future__ import annotations

import datetime as dt
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
import msgspec

from . import colours, executions, kept_plans
from .answers import Listing, Planned, Started, Stopped
from .calling import Answer, Called, command, offline_command
from .evidence_commands import report, verify_report
from .exits import INTERRUPTED, REFUSED, CommandError
from .expiring import expire
from .explained import drilled_sources, exit_code_of, explain, next_commands, summaries
from .explained_text import details, drilled_lines, first_screen, listing_lines
from .operations import Operations
from .plan_digest import SHORT as DIGITS
from .plan_digest import digest_of, lasting_lines
from .plan_text import plan_lines
from .progress import News
from .published import Plan, Record
from .stack import Stack
from .starting import (
    destroyed_by,
    dry_run,
    operation_of,
    planned_again,
    planned_request,
    read_request,
    resuming_request,
    start_checked,
)
from .watching import follow
from .words import age, moment

POLL_SECONDS = 5.0
CLOSED_WITHIN_SECONDS = 30
Function = TypeVar("Function", bound=Callable[..., Any])


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--color",
    type=click.Choice(colours.WHEN),
    default="auto",
    show_default=True,
    help="In auto a terminal gets colours, unless NO_COLOR is set or TERM is dumb.",
)
@click.pass_context
def cli(context: click.Context, color: colours.When) -> None:
    """Plan, start, follow and explain the operations of a deployed Aurora Restore Pipeline.

    Profile, region, credentials and AWS_ENDPOINT_URL work as they do for the AWS CLI. OPERATION is an operation's id,
    at least 6 characters of its beginning, or one of the words latest, last-failed and running.

    Exit codes: 0 done, 1 unexpected, 2 usage, 3 refused and nothing touched, 4 the operation did not succeed, 5
    it did, and checks of its data did not hold, 6 evidence not verified or its signer not pinned, 7 not found, 8 still
    running, 9 a confirmation is needed, 130 interrupted, 141 nobody read the output.
    """
    context.color = colours.wanted(color, os.environ)


_input = click.option("--input", "given", metavar="JSON|@FILE", help="The whole request; what it omits is the stack's.")
_set = click.option(
    "--set", "settings", multiple=True, metavar="FIELD=VALUE", help="A field of the request; may be repeated."
)
_name = click.option("--name", metavar="ID", help="The id of the operation. Default: a new one.")
_yes = click.option("--yes", is_flag=True, help="Do not ask. Needed where there is no terminal.")
_every = click.option("--every", default=POLL_SECONDS, show_default=True, metavar="SECONDS", help="How often to look.")
_operation = click.argument("operation")


@_every
@_name
@_set
@_input
def plan(called: Called, given: str | None, settings: Sequence[str], name: str | None, every: float) -> Answer:
    """Show what a request would do, call by call. Nothing is created, changed or deleted."""
    request = read_request(given, settings)
    execution, raw = dry_run(called.stack, request, name, every)
    planned, lines = msgspec.convert(raw, Plan), lasting_lines(raw)
    digest, hints = digest_of(lines), [called.stack.where]
    follow_up = f"aurora-restore start --plan {digest[:DIGITS]}"
    try:
        kept_plans.keep(called.stack, request, lines)
    except OSError as error:
        follow_up = f"aurora-restore start --plan {planned.operation_id}"
        hints.append(f"Warning: the plan could not be kept on this machine ({error}).")
    return Answer(
        Planned(
            operation_id=planned.operation_id,
            execution_arn=execution.arn,
            digest=digest,
            destroys=planned.destroys,
            plan=raw,
        ),
        [*plan_lines(planned, digest[:DIGITS], _now()), f"Start exactly this: {follow_up}"],
        hints,
        next=[follow_up],
    )


@_yes
@_every
@click.option(
    "--plan",
    "planned",
    metavar="DIGEST|OPERATION",
    help="Start what this plan showed; by its digest only if it still says the same.",
)
@_name
@_set
@_input
def start(
    called: Called,
    given: str | None,
    settings: Sequence[str],
    name: str | None,
    planned: str | None,
    every: float,
    yes: bool,
) -> Answer:
    """Start an operation, and print its id once its request is accepted. It continues without this command."""
    if planned and (given or settings):
        raise click.UsageError("--plan starts what was planned: it takes neither --input nor --set.")
    if planned:
        record = _planned(called.stack, planned, every)
        request, destroyed = planned_request(called.stack, record), record.plan.destroys
    else:
        request = read_request(given, settings)
        destroyed = destroyed_by(called.stack, request)
    if not request.get("dry_run"):
        called.confirm(destroyed, "This deletes or replaces", yes=yes)
    execution = start_checked(called.stack, request, name, every)
    return _started(called, operation_of(request, execution.arn), execution.arn, "Started.")


@click.option("--verbose", is_flag=True, help="Show every state of the state machine.")
@click.option("--timeout", type=float, metavar="SECONDS", help="Stop watching after this time, with exit code 8.")
@_every
@_operation
def watch(called: Called, operation: str, every: float, timeout: float | None, verbose: bool) -> Answer:
    """Follow an operation until it ends, and end as it does."""
    record = _found(called, operation)
    console = colours.console()
    try:
        has_ended = follow(
            called.stack,
            record.execution_id,
            console,
            verbose=verbose,
            every_seconds=every,
            timeout_seconds=timeout,
            report=_print_news if called.as_json else None,
        )
        record = _closed(called, record) if has_ended else record
    except KeyboardInterrupt:
        message = f"Watching was interrupted. The operation continues: aurora-restore watch {record.operation_id}"
        return Answer(None, [], [message], INTERRUPTED, CommandError("Interrupted", message, INTERRUPTED))
    shown = explain(called.stack, record, _now())
    return Answer(shown, first_screen(shown), exit_code=exit_code_of(shown), next=next_commands(shown))


@click.option("--keep-backups", is_flag=True, help="Leave the source's automated backups, as a refusal asks for.")
@_yes
@_every
@_operation
def resume(called: Called, operation: str, every: float, yes: bool, keep_backups: bool) -> Answer:
    """Resume an operation that failed or was stopped: it keeps what it had done."""
    record = Operations(called.stack).find(operation)
    shown = explain(called.stack, record, _now())
    if shown.operation.status not in ("FAILED", "STOPPED", "TIMED_OUT"):
        raise CommandError(
            "NotResumable",
            f"Operation {record.operation_id} is {shown.operation.status}: only one that failed, was stopped or ran "
            "out of time can be resumed.",
            REFUSED,
            next_commands=next_commands(shown),
        )
    called.confirm(record.plan.destroys, "The operation deletes or replaces", yes=yes)
    execution = start_checked(called.stack, resuming_request(record, keep_backups=keep_backups), None, every)
    return _started(called, record.operation_id, execution.arn, "Resumed.")


@click.option("--keep-hours", type=int, metavar="HOURS", help="Keep the present cluster for so long.")
@_yes
@_every
@_operation
def rollback(called: Called, operation: str, every: float, yes: bool, keep_hours: int | None) -> Answer:
    """Undo a replacement: the cluster that OPERATION has replaced gets its name back."""
    record = Operations(called.stack).find(operation)
    target, opened = record.plan.target_cluster_id, record.door_open_at
    request: dict[str, Any] = {"operation_id": record.operation_id, "rollback": True}
    if keep_hours is not None:
        request["keep_previous_hours"] = keep_hours
    since = f"since {moment(opened)} ({age((_now() - opened).total_seconds())})" if opened else "since then"
    called.confirm([target] if target else [], f"What was written {since} is LOST for", yes=yes)
    execution = start_checked(called.stack, request, None, every)
    return _started(called, operation_of(request, execution.arn), execution.arn, "Started.")


@_yes
@_operation
def stop(called: Called, operation: str, yes: bool) -> Answer:
    """Stop an operation. Nothing is cleaned up; it can be resumed. Another execution ends a drill or a swap."""
    record = _found(called, operation)
    execution = _described(called, record.execution_id)
    if not execution.is_running:
        raise CommandError(
            "NotRunning",
            f"Operation {record.operation_id} is not running: its execution is {execution.status}.",
            REFUSED,
            next_commands=[f"aurora-restore show {record.operation_id}"],
        )
    danger = (
        "The deletion of the source, or an exchange of names, HAS BEGUN. " if record.is_in_danger_if_stopped else ""
    )
    target = record.plan.target_cluster_id or "no target yet"
    called.ask(f"{danger}Stop operation {record.operation_id} ({target}; {called.stack.where})?", yes=yes)
    executions.stop(called.stack, execution.arn, "by aurora-restore stop")
    shows, resumes = f"aurora-restore show {record.operation_id}", f"aurora-restore resume {record.operation_id}"
    is_drill, is_swapping = record.plan.kind == "drill", record.is_swapping
    what = "Another execution deletes what the drill has left" if is_drill else "Nothing is cleaned up"
    if is_swapping:
        what = "Another execution finishes the swap, and cleans up after it as on_failure says"
    return Answer(
        Stopped(operation_id=record.operation_id, execution_arn=execution.arn),
        [record.operation_id],
        [called.stack.where, f"Stopped. {what}; the message of its end says what exists."],
        next=[shows] if is_drill or is_swapping else [shows, resumes],
    )


@click.option("--limit", default=20, show_default=True, help="How many to show.")
@click.option("--target", help="Only those of this target.")
@click.option("--source", help="Only those of this source.")
def list_operations(called: Called, source: str | None, target: str | None, limit: int) -> Answer:
    """List operations, the latest first."""
    known = Operations(called.stack).all()
    matching = [
        each
        for each in known
        if source in (None, each.plan.snapshot.cluster_identifier) and target in (None, each.plan.target_cluster_id)
    ]
    good = [each for each in matching if each.status == "succeeded" and each.plan.kind in ("restore", "refresh")][:1]
    last_good = next(iter(summaries(called.stack, good)), None)
    listing = Listing(
        operations=summaries(called.stack, matching[:limit]),
        matching=len(matching),
        known=len(known),
        last_good=last_good,
        drilled=drilled_sources(matching, _now()),
    )
    ended = last_good.ended_at if last_good else None
    good_line = f"last good one {age((_now() - ended).total_seconds())} ago" if ended else "none of them is good yet"
    counted = f"{len(listing.operations)} of {len(matching)} operations, {good_line}" if matching else "No operations."
    lines = [*listing_lines(listing.operations), *drilled_lines(listing.drilled)]
    return Answer(listing, lines, [counted])


@click.option("--exit-status", is_flag=True, help="End as the operation does, as watch would.")
@click.option("--all", "everything", is_flag=True, help="Show also who started it, what differs, and its trail.")
@_operation
def show(called: Called, operation: str, everything: bool, exit_status: bool) -> Answer:
    """Say whether an operation worked, how old its data is, what exists now, and what to do."""
    shown = explain(called.stack, Operations(called.stack).find(operation), _now())
    lines = [*first_screen(shown), *(details(shown) if everything else [])]
    return Answer(shown, lines, exit_code=exit_code_of(shown) if exit_status else 0, next=next_commands(shown))


for _known_as, _function in (
    ("plan", plan),
    ("start", start),
    ("watch", watch),
    ("resume", resume),
    ("rollback", rollback),
    ("stop", stop),
    ("expire", expire),
    ("list", list_operations),
    ("show", show),
    ("report", report),
):
    command(cli, _known_as)(_function)
offline_command(cli, "verify-report")(verify_report)


def _planned(stack: Stack, typed: str, every: float) -> Record:
    """Return the operation of a plan that was named. By its digest it is a new plan, which says the same."""
    operations = Operations(stack)
    if not kept_plans.is_digest(typed):
        return operations.find(typed)
    if (kept := kept_plans.find(stack, typed)) is not None:
        return operations.find(planned_again(stack, kept, every))
    try:
        return operations.find(typed)
    except CommandError as error:
        message = f"{error.message} The digest of a plan is known only to the user and on the machine that planned."
        raise CommandError(error.code, message, error.exit_code, next_commands=["aurora-restore plan"]) from None


def _started(called: Called, operation_id: str, arn: str, said: str) -> Answer:
    follow_up = f"aurora-restore watch {operation_id}"
    return Answer(
        Started(operation_id=operation_id, execution_arn=arn),
        [operation_id],
        [called.stack.where, f"{said} It continues if you close this terminal. Follow it: {follow_up}"],
        next=[follow_up],
    )


def _found(called: Called, typed: str) -> Record:
    """Return the operation; one that has just begun is known by its execution before the state table has it."""
    try:
        return Operations(called.stack).find(typed)
    except CommandError:
        execution = executions.describe(called.stack, called.stack.execution_arn(typed))
        if execution is None:
            raise
        return Record(operation_id=typed, execution_id=execution.arn, status="running")


def _closed(called: Called, record: Record) -> Record:
    """Return the record once the end of its execution is written there: what was stopped, EventBridge has closed."""
    until = time.monotonic() + CLOSED_WITHIN_SECONDS
    while True:
        found = Operations(called.stack).read(record.operation_id)
        if found is not None and (found.status != "running" or time.monotonic() > until):
            return found
        if time.monotonic() > until:
            return record
        time.sleep(1)


def _described(called: Called, arn: str) -> executions.Execution:
    found = executions.describe(called.stack, arn)
    if found is None:
        raise CommandError("ExecutionForgotten", f"Step Functions no longer knows execution {arn}.", REFUSED)
    return found


def _print_news(news: News) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(news) + b"\n")
    sys.stdout.flush()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
