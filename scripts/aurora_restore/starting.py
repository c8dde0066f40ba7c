"""Requests: read from what a person types, started, and waited for until the pipeline has checked them."""

from __future__ import annotations

import datetime as dt
import json
import pathlib
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from .answers import Problem
from .arns import name_in
from .executions import Execution, describe, start
from .exits import INTERRUPTED, REFUSED, STILL_RUNNING, UNEXPECTED, USAGE, CommandError
from .kept_plans import KeptPlan
from .operations import Operations
from .plan_digest import SHORT, differing_lines, digest_of, lasting_lines
from .published import Record
from .stack import Stack

# A function's time-out, and some retries of what passes.
CHECKED_WITHIN_SECONDS = 300
# The first step takes some seconds.
MOST_PAUSE_SECONDS = 1.0
# Each request itself has to ask for what deletes a cluster of others, also when it resumes.
DELETING = (
    "delete_source",
    "confirm_delete_source",
    "final_snapshot",
    "delete_automated_backups",
    "override_deletion_protection",
    "delete_replaced",
    "confirm_delete_replaced",
)
# What names the operation of a plan: another one is needed for what follows from it.
_OF_ONE_PLAN = ("dry_run", "operation_id", "scheduled_at")
_TEXTS = ("_id", "_identifier", "_name", "_version", "_date", "_at")
_FIELD = re.compile(r"(\w+): ")


def read_request(given: str | None, settings: Iterable[str]) -> dict[str, Any]:
    """Return the request that `--input` and `--set` make together. Raise CommandError where they cannot be read."""
    request = _read_input(given) if given else {}
    for each in settings:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise CommandError("InvalidInput", f"{each!r} is not FIELD=VALUE.", USAGE)
        request[name] = value if name.endswith(_TEXTS) else _value(value)
    return request


def _read_input(text: str) -> dict[str, Any]:
    try:
        if text.startswith("@"):
            text = pathlib.Path(text[1:]).read_text(encoding="utf-8")
        found = json.loads(text)
    except (OSError, ValueError) as error:
        raise CommandError("InvalidInput", f"--input {text[:60]!r} cannot be read as JSON: {error}", USAGE) from None
    if not isinstance(found, dict):
        raise CommandError(
            "InvalidInput", f'--input {text[:60]!r} is no JSON object, such as {{"quarantine": true}}.', USAGE
        )
    return found


def _value(text: str) -> Any:
    """Return the value as JSON, and as a text where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def destroyed_by(stack: Stack, request: Mapping[str, Any]) -> list[str]:
    """Return the clusters that exist and that a request deletes or replaces, as far as request and stack say so."""
    found = []
    if request.get("delete_source"):
        found.append(str(request.get("source_cluster_id") or stack.parameters.get("SourceClusterId")))
    if request.get("rollback"):
        return [Operations(stack).find(str(request.get("operation_id") or "")).plan.target_cluster_id]
    replaces = request.get("replace_target")
    if replaces or (replaces is None and stack.parameters.get("ReplaceTarget") == "true"):
        found.append(str(request.get("target_cluster_id") or stack.parameters.get("TargetClusterId")))
    return found


def planned_request(stack: Stack, record: Record) -> dict[str, Any]:
    """Return the request of a plan, with the snapshot and the target that it showed.

    Raise CommandError where that is no plan, or where the stack was updated since: it could do something else then.
    """
    execution = describe(stack, record.execution_id)
    if record.status != "planned" or execution is None:
        raise CommandError(
            "NotAPlan",
            f"Operation {record.operation_id} is no plan whose execution is still known. Plan again.",
            REFUSED,
            next_commands=["aurora-restore plan"],
        )
    updated_at = stack.updated_at.astimezone(dt.UTC)
    if updated_at > execution.started_at:
        raise CommandError(
            "PlanIsStale",
            f"Stack {stack.name} was updated at {updated_at:%Y-%m-%d %H:%M:%S} UTC, after this plan. Plan again.",
            REFUSED,
            next_commands=["aurora-restore plan"],
        )
    plan = record.plan
    pinned = {"snapshot_identifier": plan.snapshot.arn, "target_cluster_id": plan.target_cluster_id}
    if plan.rolls_back:
        return {name: value for name, value in execution.request.items() if name != "dry_run"}
    return {name: value for name, value in execution.request.items() if name not in _OF_ONE_PLAN} | pinned


def dry_run(
    stack: Stack, request: Mapping[str, Any], name: str | None, every_seconds: float
) -> tuple[Execution, dict[str, Any]]:
    """Return the execution that has planned a request, and the plan. Raise CommandError where there is none."""
    execution = start_checked(stack, {**request, "dry_run": True}, name, every_seconds, until_ended=True)
    if execution.status != "SUCCEEDED":
        raise CommandError(execution.error or execution.status, "The plan failed.", problems=execution.reasons)
    return execution, dict(json.loads(execution.output or "{}"))


def planned_again(stack: Stack, kept: KeptPlan, every_seconds: float) -> str:
    """Plan a request once more, and return that plan's operation.

    Raise CommandError with every difference where it is another plan than the one that was kept.
    """
    again = {name: value for name, value in kept.request.items() if name not in _OF_ONE_PLAN}
    _, raw = dry_run(stack, kept.request if kept.request.get("rollback") else again, None, every_seconds)
    if (lines := lasting_lines(raw)) != kept.lines:
        raise CommandError(
            "PlanDiffers",
            f"The plan is no longer {kept.digest[:SHORT]}, but {digest_of(lines)[:SHORT]}. Nothing was started.",
            REFUSED,
            problems=differing_lines(kept.lines, lines),
            next_commands=["aurora-restore plan"],
        )
    return str(raw["operation_id"])


def resuming_request(record: Record, *, keep_backups: bool = False) -> dict[str, Any]:
    """Return the request that resumes an operation: it repeats what deletes, and leaves the rest to the operation.

    `keep_backups`: the source's automated backups are not deleted with it, as the operation was asked to.
    """
    left_out = {"delete_automated_backups"} if keep_backups else set[str]()
    names = [name for name in DELETING if name not in left_out and record.parameters.get(name) is not None]
    repeated = {name: record.parameters[name] for name in names}
    return {"operation_id": record.operation_id, "resume": True, **repeated}


def start_checked(
    stack: Stack, request: Mapping[str, Any], name: str | None, every_seconds: float, *, until_ended: bool = False
) -> Execution:
    """Start an execution, and return it when the pipeline has accepted its request, or when it has ended.

    Raise CommandError where the request was refused: then nothing was touched.
    """
    arn = start(stack, request, name)
    try:
        return _checked(stack, arn, every_seconds, until_ended=until_ended)
    except (KeyboardInterrupt, BotoCoreError, ClientError) as error:
        reason, code = ("interrupted", INTERRUPTED) if isinstance(error, KeyboardInterrupt) else (error, UNEXPECTED)
        raise CommandError(
            "StartedUnseen",
            f"Execution {arn} was started and continues. Whether its request was accepted was not seen: {reason}.",
            code,
            next_commands=[f"aurora-restore watch {operation_of(request, arn)}"],
        ) from error


def _checked(stack: Stack, arn: str, every_seconds: float, *, until_ended: bool) -> Execution:
    until = time.monotonic() + CHECKED_WITHIN_SECONDS
    while time.monotonic() < until:
        found = describe(stack, arn)
        if found is not None and not found.is_running:
            raise_if_refused(found)
            return found
        if found is not None and not until_ended and _is_accepted(stack, found):
            return found
        time.sleep(min(MOST_PAUSE_SECONDS, every_seconds))
    raise CommandError(
        "NotCheckedYet",
        f"Execution {arn} was started, and its request was not checked within {CHECKED_WITHIN_SECONDS} s.",
        STILL_RUNNING,
        next_commands=[f"aurora-restore watch {name_in(arn)}"],
    )


def raise_if_refused(execution: Execution) -> None:
    """Raise CommandError with every reason where the request was refused."""
    if execution.was_refused:
        reasons = execution.reasons
        raise CommandError(
            execution.error or "RequestRefused",
            "The request was refused, and nothing was touched.",
            REFUSED,
            problems=reasons,
        )


def problem_of(reason: str) -> Problem:
    """Return one reason of a refusal with the field that it is about."""
    found = _FIELD.match(reason)
    return Problem(field=found[1] if found else None, message=reason)


def operation_of(request: Mapping[str, Any], arn: str) -> str:
    """Return the id of the operation that an execution carries out: the request's, else the execution's name.

    A rollback names the operation that it undoes, and is one of its own.
    """
    named = None if request.get("rollback") else request.get("operation_id")
    return str(named or name_in(arn))


def _is_accepted(stack: Stack, execution: Execution) -> bool:
    """Return whether the first step has written the operation's state for this execution."""
    record = Operations(stack).read(operation_of(execution.request, execution.arn))
    return record is not None and record.execution_id == execution.arn and record.status != "failed"
