"""What people are told of a failure: how production stands, why, what exists now, and which command comes next.

Every command works as it is typed, and names its region: elsewhere, a cluster of the same name may be production's.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from utils.aurora_shapes import Cluster, Instance, Snapshot
from utils.foreign_text import listed, one_line, own_lines
from utils.identifiers import scheduled_operation_id
from utils.payloads import ExecutionError
from utils.plans import RouteStep, SourceDeletion
from utils.redaction import without_secrets
from utils.restore_request import NEVER_BY_DEFAULT
from utils.routes import command_for, still_there
from utils.source_left import SourceLeft, bring_back_lines, state_of_source
from utils.state import OperationRecord

MAX_CAUSE = 8_000
# The names under which steps of ours fail: their causes are our own sentences, line by line.
OWN_ERRORS = frozenset(
    {"CapacityShortage", "DuplicateRefused", "MasterLoginRefused", "RequestRefused", "StepFailed", "TemporaryFailure"}
)
# A longer input is taken from the execution itself, so that the command stays whole.
MAX_INPUT = 6_000

# Said by a refusal to resume. Then the next command begins anew.
START_ANEW = "To start a new operation instead, leave operation_id out."
# Said by one whose snapshot is gone. Then the next command takes another one.
TAKE_ANOTHER = "Start a new operation from another snapshot."
# Said of a schedule's second event when the first one's run hasn't done its work. Then the next command resumes that.
RESUME_THE_EARLIER = "Resume that operation, or start a new one without scheduled_at."


class Remains(Struct, frozen=True, kw_only=True):
    """What exists after a failure, as RDS describes it now.

    `may_appear`: the execution was stopped or timed out, and a step that was at work may still make what is missing.
    """

    cluster: Cluster | None = None
    members: list[Instance] = []
    copy: Snapshot | None = None
    unknown: str | None = None
    # Calls that would take back what was opened on the snapshot's way.
    on_the_way: list[RouteStep] = []
    # Of a source whose deletion, or the end of whose protection, has begun.
    deletion: SourceDeletion | None = None
    source: SourceLeft | None = None
    # Nothing is left to go on from: the snapshot is gone, and no copy or cluster was made of it.
    snapshot_is_gone: bool = False
    may_appear: bool = False
    # What became of the operation's secrets, a sentence or a command each.
    about_secrets: list[str] = []

    @property
    def is_usable(self) -> bool:
        """Whether the restored cluster answers."""
        return (
            self.cluster is not None
            and self.cluster.is_available
            and bool(self.members)
            and all(each.is_usable for each in self.members)
        )


def cause_lines(error: ExecutionError) -> list[str]:
    """Return the message alone; a Lambda function's cause is a JSON text with a stack trace that helps nobody here.

    Only what steps of ours say has lines of its own: whatever else stands in a cause was written by others.
    """
    text = error.cause
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = None
    if isinstance(parsed, dict) and isinstance(parsed.get("errorMessage"), str):
        text = parsed["errorMessage"]
    if not text:
        return ["(no cause was given)"]
    # Whatever a cause may hold, the commands behind it must still fit into the message.
    return own_lines(text, MAX_CAUSE) if error.error in OWN_ERRORS else [one_line(text, MAX_CAUSE)]


def production_lines(remains: Remains) -> Iterator[str]:
    """Return how production stands, where something was done to it: before everything else."""
    if remains.source is not None:
        yield state_of_source(remains.source)
        yield ""
    elif remains.deletion is not None:
        yield (
            f"The deletion of source cluster {remains.deletion.cluster_identifier} has begun, and RDS could not be "
            "asked what is left of it. Look: aws rds describe-db-clusters --db-cluster-identifier "
            f"{remains.deletion.cluster_identifier} --region {remains.deletion.region}"
        )
        yield ""


def remains_lines(record: OperationRecord | None, remains: Remains, clean_up: Mapping[str, Any]) -> Iterable[str]:
    if remains.unknown:
        yield f"RDS could not be asked ({one_line(remains.unknown, MAX_CAUSE)}); look for yourself."
    elif remains.cluster is None and remains.copy is None and not remains.on_the_way:
        yield "Nothing of this operation's: no cluster, no copied snapshot."
    if remains.cluster is not None:
        yield f"Cluster {remains.cluster.identifier} ({remains.cluster.resource_id}), {remains.cluster.status}."
        if record:
            yield from _door_lines(record, remains.cluster)
        if record and record.login_proven_at is None:
            yield "No login with a new master password has worked on it: the source's may still open it."
    if remains.copy is not None:
        yield f"Copied snapshot {remains.copy.arn}, {remains.copy.status}."
    yield from (still_there(step) for step in remains.on_the_way)
    if record and record.protection_off_at and not record.source_deletion_at:
        yield f"The source cluster's deletion protection was switched off at {record.protection_off_at}."
    if record and record.source_deletion_at:
        yield "The deletion of the source cluster has begun. Keep the restored cluster and the final snapshot."
    yield from _clean_up_lines(record, clean_up)
    yield from remains.about_secrets
    if remains.may_appear and record is not None:
        yield from _may_appear_lines(record, remains)


def _door_of(record: OperationRecord) -> tuple[str, list[str]]:
    """Return the security group of the planned cluster's door, and those that open it."""
    planned = record.plan.get("cluster", {})
    return planned.get("door_security_group_id", ""), planned.get("vpc_security_group_ids", [])


def _is_shut(record: OperationRecord, cluster: Cluster) -> bool:
    return cluster.security_groups.ids == [_door_of(record)[0]]


def _door_lines(record: OperationRecord, cluster: Cluster) -> Iterator[str]:
    """Who can reach the cluster, as RDS has it on record."""
    door, _ = _door_of(record)
    groups = ", ".join(cluster.security_groups.ids)
    if _is_shut(record, cluster):
        yield f"Its door is shut: its one security group, {door}, admits only the pipeline."
    elif groups and record.door_open_at is None:
        yield f"Its door isn't shut any more, or not yet open on all its instances: it is in security groups {groups}."


def _open_door_lines(record: OperationRecord, cluster: Cluster, here: str) -> Iterator[str]:
    """The command that opens it, and what that means before the users are set up."""
    if record.users_ready_at is None:
        yield "Its door can be opened by hand. Whoever knows a password of production's may get in then: nobody has"
        yield "locked production's logins, and perhaps the master password wasn't replaced either."
    else:
        yield "Or use the cluster as it is. Its users can log in once you open its door:"
    groups = " ".join(_door_of(record)[1])
    yield (
        f"aws rds modify-db-cluster --db-cluster-identifier {cluster.identifier} --vpc-security-group-ids {groups} "
        f"--apply-immediately {here}"
    )


def _clean_up_lines(record: OperationRecord | None, clean_up: Mapping[str, Any]) -> Iterator[str]:
    """What was cleaned up, and what wasn't: cluster and copy are two things."""
    if clean_up.get("cluster_resource_id") and clean_up.get("ready"):
        cluster = f"{clean_up.get('cluster_identifier')} ({clean_up['cluster_resource_id']})"
        yield f"Cleaned up: cluster {one_line(cluster)} was deleted."
    if record and record.copy_clean_up_at and record.plan.get("copy"):
        yield "Cleaned up: the copied snapshot was deleted, and what was opened on the snapshot's way was taken back."
    if clean_up.get("error"):
        raw = clean_up["error"]
        error = ExecutionError(error=raw.get("Error", ""), cause=raw.get("Cause", ""))
        yield "Cleaning up failed as well: " + " ".join(cause_lines(error))
    elif clean_up.get("skipped"):
        yield f"No cluster was deleted: {one_line(clean_up['skipped'], MAX_CAUSE)}."


def _may_appear_lines(record: OperationRecord, remains: Remains) -> Iterator[str]:
    """The execution has ended, its last step perhaps not: what that makes has a name already."""
    names = []
    if remains.cluster is None and record.plan.get("target_cluster_id"):
        names.append(f"cluster {record.plan['target_cluster_id']}")
    elif remains.cluster is not None:
        planned = set(record.planned_instances) - {each.identifier for each in remains.members}
        names += [f"instance {each}" for each in sorted(planned)]
    if remains.copy is None and record.plan.get("copy") and remains.cluster is None:
        names.append(f"snapshot {record.plan['copy'].get('identifier')}")
    if names:
        yield (
            f"The step that was at work may still be finishing, so these may appear within minutes: {listed(names)}. "
            "They carry this operation's tag, and resuming it takes them up."
        )


def next_lines(
    error: ExecutionError,
    record: OperationRecord | None,
    request: Any,
    remains: Remains,
    execution_id: str,
    asked_before: Mapping[str, Any],
) -> Iterable[str]:
    """Return what to do next. `asked_before` is what an operation was asked for that this request could not resume."""
    here = f"--region {execution_id.split(':')[3]}"
    repeated = without_secrets(request) if isinstance(request, dict) else {}
    # A start by hand isn't the schedule's.
    moment = repeated.pop("scheduled_at", None)
    if error.error == "RequestRefused":
        said = " ".join(cause_lines(error))
        if RESUME_THE_EARLIER in said and isinstance(moment, str):
            yield "Nothing was created, changed or deleted by this execution. Fix what the message of the earlier one"
            yield "says, then resume the operation, unless somebody has done so by now:"
            earlier = str(scheduled_operation_id(moment))
            yield from _resume(execution_id, _shown_whole(repeated, request), earlier, here)
            return
        yield "Correct the input as said above. Nothing was created, changed or deleted. Then start again:"
        if START_ANEW in said or TAKE_ANOTHER in said:
            repeated = _anew({**asked_before, **repeated})
        yield from _start(execution_id, _with_another_snapshot(repeated) if TAKE_ANOTHER in said else repeated, here)
        return
    if record is None or not record.plan:
        yield "Fix the cause, then start again:"
        yield from _start(execution_id, _anew(repeated), here)
        return
    # What was asked for at first is the whole of it: a request to resume may leave out everything.
    asked = {**as_asked(record), **repeated}
    if remains.snapshot_is_gone:
        yield from _another_snapshot_lines(record, asked, execution_id, here)
        return
    if remains.copy is not None and remains.copy.is_broken:
        yield "The copied snapshot can't be used. Delete it before you resume:"
        yield _delete_copy(remains.copy, here)
    if record.source_deletion_at:
        yield "Fix the cause, then resume this operation: it finishes the deletion of the source cluster. The restored"
        yield "cluster may be the only one left, so nothing here tells you to delete it."
    else:
        yield "Fix the cause, then resume this operation: it goes on with what it has made."
    yield from _resume(execution_id, _shown_whole(repeated, request), record.operation_id, here)
    if remains.cluster is not None:
        yield f"aws rds describe-db-clusters --db-cluster-identifier {remains.cluster.identifier} {here}"
    elif remains.may_appear:
        target = record.plan.get("target_cluster_id")
        yield "What has appeared meanwhile:"
        yield f"aws rds describe-db-clusters --filters Name=db-cluster-id,Values={target} {here}"
    if remains.source is not None and remains.deletion is not None:
        yield from _keep_source_lines(remains.source, remains.deletion)
    if not record.source_deletion_at:
        yield from _giving_up_lines(record, asked, remains, execution_id, here)


def as_asked(record: OperationRecord) -> dict[str, Any]:
    """Return the operation's own request, with the stack's defaults of that time in it."""
    found = {name: value for name, value in record.parameters.items() if value is not None}
    return dict(without_secrets(found))


def _anew(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name not in ("operation_id", "resume", "scheduled_at")}


def _with_another_snapshot(request: Mapping[str, Any]) -> dict[str, Any]:
    """Without naming one, the newest that is available is taken."""
    named = ("snapshot_identifier", "snapshot_date")
    return {name: value for name, value in request.items() if name not in named}


def _another_snapshot_lines(
    record: OperationRecord, asked: Mapping[str, Any], execution_id: str, here: str
) -> Iterator[str]:
    snapshot = record.plan["snapshot"]
    region, source = snapshot["arn"].split(":")[3], snapshot["cluster_identifier"]
    yield f"Snapshot {one_line(snapshot['arn'])} doesn't exist any more, so this operation can't be resumed."
    yield f"What there is of {one_line(source)}:"
    yield f"aws rds describe-db-cluster-snapshots --db-cluster-identifier {source} --region {region}"
    yield "Start a new operation. It takes the newest snapshot that is available, or the one that you name as"
    yield "snapshot_identifier:"
    anew = _with_another_snapshot(_anew(asked)) | {"source_cluster_id": source, "source_region": region}
    yield from _start(execution_id, anew, here)


def _keep_source_lines(source: SourceLeft, deletion: SourceDeletion) -> Iterator[str]:
    commands = list(bring_back_lines(source, deletion))
    if commands:
        yield f"Or keep source cluster {source.cluster_identifier}. This brings back what was taken, in this order:"
        yield from commands


def _giving_up_lines(
    record: OperationRecord, asked: Mapping[str, Any], remains: Remains, execution_id: str, here: str
) -> Iterator[str]:
    if remains.cluster is not None:
        name = remains.cluster.identifier
        if remains.cluster.is_available and _is_shut(record, remains.cluster):
            yield from _open_door_lines(record, remains.cluster, here)
        elif remains.is_usable and record.users_ready_at:
            yield "Or use the cluster as it is: its users can log in."
        yield "Or give it up: delete it with its instances, which frees its name, and start a new operation:"
        if remains.cluster.deletion_protection:
            unprotected = f"--db-cluster-identifier {name} --no-deletion-protection --apply-immediately"
            yield f"aws rds modify-db-cluster {unprotected} {here}"
        # RDS refuses to delete what is being deleted (InvalidDBInstanceState).
        going = {each.identifier for each in remains.members if each.is_being_deleted}
        for member in (each for each in remains.cluster.member_identifiers if each not in going):
            yield f"aws rds delete-db-instance --db-instance-identifier {member} {here}"
        yield f"aws rds delete-db-cluster --db-cluster-identifier {name} --skip-final-snapshot {here}"
        yield f"aws rds wait db-cluster-deleted --db-cluster-identifier {name} {here}"
        yield from _start(execution_id, _anew(asked), here)
    if remains.on_the_way:
        yield "Take back what was opened on the snapshot's way only if you don't resume:"
    for step in remains.on_the_way:
        yield f"In account {step.snapshot_arn.split(':')[4]}: {command_for(step)}"
    if remains.copy is not None and not remains.copy.is_broken:
        yield "Delete the copied snapshot only if you don't resume:"
        yield _delete_copy(remains.copy, here)


def _delete_copy(copy: Snapshot, here: str) -> str:
    return f"aws rds delete-db-cluster-snapshot --db-cluster-snapshot-identifier {copy.identifier} {here}"


def _shown_whole(repeated: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what may not be shown: it is the operation's own then, and *** would be refused as another value."""
    return {name: value for name, value in repeated.items() if value == request[name]}


def _resume(execution_id: str, request: Mapping[str, Any], operation_id: str, here: str) -> Iterator[str]:
    """What a request to resume leaves out is the operation's; only what deletes the source is asked for each time."""
    named = {"operation_id": operation_id, "resume": True}
    whole = {**request, **named}
    if len(json.dumps(whole)) > MAX_INPUT:
        whole = {name: value for name, value in request.items() if name in NEVER_BY_DEFAULT} | named
    yield from _start(execution_id, whole, here)


def _start(execution_id: str, request: Mapping[str, Any], here: str) -> Iterator[str]:
    parts = execution_id.split(":")
    machine = ":".join([*parts[:5], "stateMachine", parts[6]])
    start, given = f"aws stepfunctions start-execution --state-machine-arn {machine}", json.dumps(request)
    if len(given) <= MAX_INPUT:
        yield f"{start} --input {shlex.quote(given)} {here}"
        return
    # The message would be cut within so long an input.
    whole = f"aws stepfunctions describe-execution --execution-arn {execution_id} --query input --output text {here}"
    yield f"{whole} > request.json"
    yield f"{start} --input file://request.json {here}"
