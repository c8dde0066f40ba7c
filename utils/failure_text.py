"""What people are told of a failure: why, what exists now, and which command comes next."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from utils.aurora_shapes import Cluster, Snapshot
from utils.payloads import ExecutionError
from utils.plans import RouteStep
from utils.redaction import without_secrets
from utils.routes import command_for, still_there
from utils.state import OperationRecord

MAX_CAUSE = 8_000


class Remains(Struct, frozen=True, kw_only=True):
    """What exists after a failure, as RDS describes it now."""

    cluster: Cluster | None = None
    copy: Snapshot | None = None
    unknown: str | None = None
    # Calls that would take back what was opened on the snapshot's way.
    on_the_way: list[RouteStep] = []


def cause_lines(error: ExecutionError) -> list[str]:
    """The message alone; a Lambda function's cause is a JSON text with a stack trace that helps nobody here."""
    text = error.cause
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = None
    if isinstance(parsed, dict) and isinstance(parsed.get("errorMessage"), str):
        text = parsed["errorMessage"]
    # Whatever a cause may hold, the commands behind it must still fit into the message.
    return text[:MAX_CAUSE].splitlines() or ["(no cause was given)"]


def remains_lines(record: OperationRecord | None, remains: Remains, clean_up: Mapping[str, Any]) -> Iterable[str]:
    if remains.unknown:
        yield f"RDS could not be asked ({remains.unknown}); look for yourself."
    elif remains.cluster is None and remains.copy is None and not remains.on_the_way:
        yield "Nothing of this operation's: no cluster, no copied snapshot."
    if remains.cluster is not None:
        yield f"Cluster {remains.cluster.identifier} ({remains.cluster.resource_id}), {remains.cluster.status}."
        if record and record.login_proven_at is None:
            yield "No login with a new master password has worked on it: the source's may still open it."
    if remains.copy is not None:
        yield f"Copied snapshot {remains.copy.arn}, {remains.copy.status}."
    yield from (still_there(step) for step in remains.on_the_way)
    if record and record.protection_off_at and not record.source_deletion_at:
        yield f"The source cluster's deletion protection was switched off at {record.protection_off_at}."
    if record and record.source_deletion_at:
        yield "The deletion of the source cluster has begun. Keep the restored cluster and the final snapshot."
    if clean_up.get("error"):
        raw = clean_up["error"]
        error = ExecutionError(error=raw.get("Error", ""), cause=raw.get("Cause", ""))
        yield "Cleaning up failed as well: " + " ".join(cause_lines(error))
    elif clean_up.get("skipped"):
        yield f"Nothing was cleaned up: {clean_up['skipped']}."


def next_lines(
    error: ExecutionError, record: OperationRecord | None, request: Any, remains: Remains, execution_id: str
) -> Iterable[str]:
    # Always with the region: in another one, a cluster of the same name may be production's.
    here = f"--region {execution_id.split(':')[3]}"
    repeated = without_secrets(request) if isinstance(request, dict) else {}
    if error.error == "RequestRefused":
        yield "Correct the input as said above. Nothing was created, changed or deleted. Then start again:"
        # A start by hand isn't the schedule's, and its id is still free.
        repeated.pop("scheduled_at", None)
        yield _start(execution_id, repeated, here)
        return
    if record is None or not record.plan:
        yield "Mend the cause, then start again:"
        repeated.pop("operation_id", None)
        repeated.pop("scheduled_at", None)
        yield _start(execution_id, repeated, here)
        return
    if record.source_deletion_at:
        yield "Mend the cause, then resume this operation: it finishes the deletion of the source cluster. The restored"
        yield "cluster may be the only one left, so nothing here tells you to delete it."
    else:
        yield "Mend the cause, then resume this operation: it goes on with what it has made."
    repeated.pop("scheduled_at", None)
    yield _start(execution_id, repeated | {"operation_id": record.operation_id}, here)
    if remains.cluster is not None:
        yield f"aws rds describe-db-clusters --db-cluster-identifier {remains.cluster.identifier} {here}"
    if not record.source_deletion_at:
        yield from _giving_up_lines(remains, here)


def _giving_up_lines(remains: Remains, here: str) -> Iterable[str]:
    if remains.cluster is not None:
        name = remains.cluster.identifier
        yield "Or use the cluster as it is. Or give it up and delete it with its instances, which frees its name:"
        for member in remains.cluster.member_identifiers:
            yield f"aws rds delete-db-instance --db-instance-identifier {member} {here}"
        yield f"aws rds delete-db-cluster --db-cluster-identifier {name} --skip-final-snapshot {here}"
    if remains.on_the_way:
        yield "Take back what was opened on the snapshot's way only if you don't resume:"
    for step in remains.on_the_way:
        yield f"In account {step.snapshot_arn.split(':')[4]}: {command_for(step)}"
    if remains.copy is not None:
        yield "Delete the copied snapshot only if you don't resume:"
        yield f"aws rds delete-db-cluster-snapshot --db-cluster-snapshot-identifier {remains.copy.identifier} {here}"


def _start(execution_id: str, request: Mapping[str, Any], here: str) -> str:
    parts = execution_id.split(":")
    machine = ":".join([*parts[:5], "stateMachine", parts[6]])
    given = shlex.quote(json.dumps(request))
    return f"aws stepfunctions start-execution --state-machine-arn {machine} --input {given} {here}"
