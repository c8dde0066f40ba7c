"""What people are told: what happened, what exists now, and which command comes next.

SNS takes a subject of fewer than 100 characters without line breaks; a message may have 256 KiB.
"""

from __future__ import annotations

import datetime as dt
import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from utils.aurora_shapes import Cluster, Snapshot
from utils.cluster_text import summary
from utils.payloads import Archived, ExecutionError, UsersReady
from utils.plan_text import plan_lines
from utils.plans import Plan, RouteStep
from utils.redaction import without_secrets
from utils.routes import command_for, still_there
from utils.state import OperationRecord

MAX_SUBJECT = 99
MAX_MESSAGE_BYTES = 200_000
MAX_CAUSE = 8_000

# The steps at which a phase begins, in the order of the workflow, and what a person calls the phase.
PHASES = {
    "snapshot-check": "check and plan",
    "copy-snapshot": "copy",
    "restore-snapshot": "restore",
    "setup-db-users": "users",
    "delete-rds": "deletion",
    "archive-snapshot": "archive",
}
_CONSOLES = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}


class Message(Struct, frozen=True, kw_only=True):
    subject: str
    body: str


class Remains(Struct, frozen=True, kw_only=True):
    """What exists after a failure, as RDS describes it now."""

    cluster: Cluster | None = None
    copy: Snapshot | None = None
    unknown: str | None = None
    # Calls that would take back what was opened on the snapshot's way.
    on_the_way: list[RouteStep] = []


def planned(plan: Plan, execution_id: str) -> Message:
    """The message of a dry run."""
    lines = [
        "This was a dry run: nothing was created, changed or deleted. A real run would",
        *(f"  {number}. {line}" for number, line in enumerate(plan_lines(plan), start=1)),
        "",
        f"Execution  {console_link(execution_id)}",
    ]
    return _message(f"PLANNED: {plan.target_cluster_id} from {plan.snapshot.identifier}", lines)


def succeeded(
    plan: Plan, users: UsersReady, archive: Archived, record: OperationRecord, execution_id: str, now: dt.datetime
) -> Message:
    snapshot, cluster = plan.snapshot, plan.cluster
    deletion = plan.source_deletion
    lines = [
        f"Restored   {cluster.identifier} ({record.cluster_resource_id})",
        f"Endpoint   {users.endpoint}:{users.port}",
        f"From       {snapshot.identifier}, {snapshot.why}, of {snapshot.cluster_identifier}",
        f"Data of    {snapshot.created_at:%Y-%m-%d %H:%M} UTC, {age(now - snapshot.created_at)} old",
        f"Settings   {summary(cluster)}, PostgreSQL {cluster.engine_version}",
        *_role_lines(users),
        f"Databases  {', '.join(users.databases)}",
        f"Took       {duration(total_seconds(record, now))}",
        *(f"             {name:15} {duration(seconds)}" for name, seconds in phase_seconds(record, now).items()),
        "Deleted    "
        + (
            f"{deletion.cluster_identifier} ({deletion.cluster_resource_id}) in {deletion.region}, "
            + (
                f"final snapshot {deletion.final_snapshot_identifier}"
                if deletion.final_snapshot_identifier
                else "without a final snapshot, as asked"
            )
            if deletion
            else "no cluster"
        ),
        f"Copy       {archive.deleted_snapshot_arn or 'nothing deleted'}: {archive.why}",
    ]
    if record.master_secret_arn:
        lines.append(f"Login      RDS keeps the master login in {record.master_secret_arn}")
    lines += [f"Differs    {difference}" for difference in record.differences]
    if users.locked_logins:
        lines.append(f"Locked     logins that came with the data: {', '.join(users.locked_logins)}")
    lines += [f"Disabled   {text}" for text in users.disabled]
    if users.inherited_logins:
        lines.append(f"Mind       logins that came with the data still work: {', '.join(users.inherited_logins)}")
    lines += [f"Mind       {warning}" for warning in (*users.warnings, *archive.warnings)]
    lines += ["", f"Operation  {plan.operation_id}", f"Execution  {console_link(execution_id)}"]
    return _message(
        f"SUCCEEDED: {cluster.identifier} restored from {snapshot.cluster_identifier}, "
        f"data {age(now - snapshot.created_at)} old",
        lines,
    )


def failed(
    error: ExecutionError,
    record: OperationRecord | None,
    request: Any,
    remains: Remains,
    clean_up: Mapping[str, Any],
    execution_id: str,
) -> Message:
    """Which step and why, what exists now, and the command that comes next."""
    step = record.state if record and record.status != "planned" else "snapshot-check"
    target = target_of(record, request)
    lines = [
        f"Step       {step}",
        f"Error      {error.error}",
        *(f"           {line}" for line in cause_lines(error)),
        "",
        "What exists now:",
        *(f"  {line}" for line in _remains_lines(record, remains, clean_up)),
        "",
        "What to do next:",
        *(f"  {line}" for line in _next_lines(error, record, request, remains, execution_id)),
        "",
        f"Operation  {record.operation_id if record else execution_name(execution_id)}",
        f"Execution  {console_link(execution_id)}",
    ]
    return _message(f"FAILED: {target} at {step}: {error.error}", lines)


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


def phase_seconds(record: OperationRecord, now: dt.datetime) -> dict[str, float]:
    """How long each phase took: until the next one began."""
    begins = [
        (name, dt.datetime.fromisoformat(record.step_times[step]))
        for step, name in PHASES.items()
        if step in record.step_times
    ]
    ends = [begin for _, begin in begins[1:]] + [now]
    return {name: (end - begin).total_seconds() for (name, begin), end in zip(begins, ends, strict=True)}


def total_seconds(record: OperationRecord, now: dt.datetime) -> float:
    return (now - dt.datetime.fromisoformat(record.started_at)).total_seconds()


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def age(difference: dt.timedelta) -> str:
    hours = difference.total_seconds() / 3600
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours"


def console_link(execution_id: str) -> str:
    _, partition, _, region, *_ = execution_id.split(":")
    domain = _CONSOLES.get(partition, "console.aws.amazon.com")
    return f"https://{region}.{domain}/states/home?region={region}#/v2/executions/details/{execution_id}"


def execution_name(execution_id: str) -> str:
    return execution_id.rsplit(":", 1)[-1]


def target_of(record: OperationRecord | None, request: Any) -> str:
    if record and "target_cluster_id" in record.plan:
        return str(record.plan["target_cluster_id"])
    given = request.get("target_cluster_id") if isinstance(request, dict) else None
    return given if isinstance(given, str) else "restore"


def _role_lines(users: UsersReady) -> Iterable[str]:
    """The application's two on one line, each further one on its own."""
    two = [f"{users.application_role} (read and write)", f"{users.read_only_role} (read only)"]
    yield f"Roles      {', '.join(two)}"
    yield from (f"           {role}" for role in users.roles if role not in two)


def _remains_lines(record: OperationRecord | None, remains: Remains, clean_up: Mapping[str, Any]) -> Iterable[str]:
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
    if record and record.source_deletion_at:
        yield "The deletion of the source cluster has begun. Keep the restored cluster and the final snapshot."
    if clean_up.get("error"):
        yield "Cleaning up failed as well: " + " ".join(cause_lines(ExecutionError(**_lower(clean_up["error"]))))
    elif clean_up.get("skipped"):
        yield f"Nothing was cleaned up: {clean_up['skipped']}."


def _lower(raw: Mapping[str, str]) -> dict[str, str]:
    return {"error": raw.get("Error", ""), "cause": raw.get("Cause", "")}


def _next_lines(
    error: ExecutionError, record: OperationRecord | None, request: Any, remains: Remains, execution_id: str
) -> Iterable[str]:
    # Always with the region: in another one, a cluster of the same name may be production's.
    parts = execution_id.split(":")
    here = f"--region {parts[3]}"
    if record and record.source_deletion_at:
        yield "Mend the cause, then finish the deletion of the source cluster yourself. Don't start again: the restored"
        yield "cluster may be the only one left, so nothing here tells you to delete it."
        if remains.cluster is not None:
            yield f"aws rds describe-db-clusters --db-cluster-identifier {remains.cluster.identifier} {here}"
        return
    if error.error == "RequestRefused":
        yield "Correct the input as said above. Nothing was created, changed or deleted. Then start again:"
    elif remains.cluster is not None:
        name = remains.cluster.identifier
        yield f"aws rds describe-db-clusters --db-cluster-identifier {name} {here}"
        yield "Use the cluster as it is, or delete it and its instances to free its name:"
        for member in remains.cluster.member_identifiers:
            yield f"aws rds delete-db-instance --db-instance-identifier {member} {here}"
        yield f"aws rds delete-db-cluster --db-cluster-identifier {name} --skip-final-snapshot {here}"
        yield from _copy_command(remains, here)
        yield "Once the cause is mended, start again:"
    else:
        yield from _copy_command(remains, here)
        yield "Mend the cause, then start again:"
    repeated = without_secrets(request) if isinstance(request, dict) else {}
    repeated.pop("operation_id", None)
    machine = ":".join([*parts[:5], "stateMachine", parts[6]])
    given = shlex.quote(json.dumps(repeated))
    yield f"aws stepfunctions start-execution --state-machine-arn {machine} --input {given} {here}"


def _copy_command(remains: Remains, here: str) -> Iterable[str]:
    """The next run makes a copy, and shares, of its own."""
    for step in remains.on_the_way:
        yield f"In account {step.snapshot_arn.split(':')[4]}: {command_for(step)}"
    if remains.copy is not None:
        yield "Delete the copied snapshot if nobody needs it:"
        yield f"aws rds delete-db-cluster-snapshot --db-cluster-snapshot-identifier {remains.copy.identifier} {here}"


def _message(subject: str, lines: Iterable[str]) -> Message:
    printable = "".join(c if " " <= c <= "~" else "?" for c in f"[aurora-restore] {subject}")
    body = "\n".join(lines).encode(errors="replace")[:MAX_MESSAGE_BYTES].decode(errors="ignore")
    return Message(subject=printable[:MAX_SUBJECT], body=body)
