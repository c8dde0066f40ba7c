"""What to do after a failure: each sentence is followed by the commands that do it.

Every command works as it is typed, and names its region: elsewhere, a cluster of the same name may be production's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from utils.arns import Arn
from utils.aurora_utils.door import is_door_shut
from utils.aurora_utils.resources import Cluster, Snapshot
from utils.aurora_utils.source_left import SourceLeft
from utils.contracts.payloads import ExecutionError
from utils.contracts.plan import SourceDeletion
from utils.errors import ChecksFailed
from utils.foreign_text import one_line
from utils.messages.failure import cause_lines
from utils.messages.remains import Remains
from utils.messages.source_left import bring_back_lines
from utils.redaction import without_secrets
from utils.request.corrections import (
    KEEP_BACKUPS,
    RESUME_THE_EARLIER,
    START_ANEW,
    TAKE_ANOTHER,
    corrected,
    correction_lines,
)
from utils.request.next_command import anew, resume_command, start_command, with_another_snapshot, without_deletion
from utils.schedules import scheduled_operation_id
from utils.state.operation import OperationRecord

MASKING_STEP = "transform-data"


def next_lines(
    error: ExecutionError,
    record: OperationRecord | None,
    request: Any,
    remains: Remains,
    execution_id: str,
    asked_before: Mapping[str, Any],
) -> Iterable[str]:
    """Yield what to do next. `asked_before` is what an operation was asked for that this request could not resume."""
    repeated = without_secrets(request) if isinstance(request, dict) else {}
    # A start by hand is not the schedule's.
    moment = repeated.pop("scheduled_at", None)
    if error.error == "RequestRefused":
        if RESUME_THE_EARLIER in " ".join(cause_lines(error)) and isinstance(moment, str):
            yield "Fix what the message of the earlier execution reports, then resume its operation, if nobody has:"
            earlier = str(scheduled_operation_id(moment))
            yield from resume_command(execution_id, _shown_whole(repeated, request), earlier)
            return
        yield from _after_refusal(cause_lines(error), repeated, execution_id, asked_before)
        return
    if record is None or not record.plan:
        if repeated.get("resume") and isinstance(repeated.get("operation_id"), str):
            yield "Fix the cause, then resume the operation again, of which this execution has changed nothing:"
            yield from resume_command(execution_id, _shown_whole(repeated, request), repeated["operation_id"])
            return
        yield "Fix the cause, then start again:"
        yield from start_command(execution_id, anew(repeated))
        return
    if record.is_swapping:
        yield from _swapping_lines(record, remains, execution_id)
        return
    if record.is_drill_ended:
        yield from _ended_drill_lines(record, {**as_asked(record), **repeated}, remains, execution_id)
        return
    if record.plan.get("rolls_back"):
        yield from _rollback_lines(record, remains, execution_id)
        return
    keeps_backups = KEEP_BACKUPS in " ".join(cause_lines(error))
    # What was asked for at first is the whole of it: a request to resume may omit everything.
    asked = {**as_asked(record), **repeated}
    if keeps_backups:
        for each in (asked, repeated):
            each.pop("delete_automated_backups", None)
    if remains.lost is not None:
        yield from _lost_lines(record, asked, remains, execution_id)
    elif error.error == ChecksFailed.__name__:
        yield from _checks_lines(record, request, repeated, asked, remains, execution_id)
    elif record.plan.get("replaces") and remains.target_is_another:
        yield from _target_taken_lines(record, asked, execution_id)
    else:
        yield from _resume_lines(record, request, repeated, remains, execution_id, keeps_backups=keeps_backups)
    if remains.source is not None and remains.deletion is not None:
        yield from _keep_source_lines(remains.source, remains.deletion)
    if record.is_unmasked and record.state == MASKING_STEP and remains.lost is None:
        yield from _another_policy_lines(record, asked, remains, execution_id)
    if remains.lost is None and not record.source_deletion_at:
        yield from _giving_up_lines(record, asked, remains, execution_id)


def _rollback_lines(record: OperationRecord, remains: Remains, execution_id: str) -> Iterator[str]:
    if record.swap_end == "forward":
        yield "Nothing: the rollback is complete, only its report failed."
        return
    if remains.target is not None and remains.target.restored is None:
        yield f"RDS does not show the cluster that was kept ({remains.target.restored_id}). If it is gone, there is"
        yield "nothing to go back to, and resuming is refused: restore an older snapshot by a new operation. Otherwise"
        yield "fix the cause, then resume this operation:"
    else:
        yield "Fix the cause, then resume this operation:"
    yield from resume_command(execution_id, {}, record.operation_id)


def _checks_lines(
    record: OperationRecord,
    request: Any,
    repeated: Mapping[str, Any],
    asked: Mapping[str, Any],
    remains: Remains,
    execution_id: str,
) -> Iterator[str]:
    """Yield what to do where checks did not hold: a resumed operation checks the same data by the same policy."""
    yield "A resumed operation restores the same snapshot, and checks it by the same version of the policy. Once the"
    yield "source's data or the policy are corrected, or with on_findings 'report', start a new one:"
    if remains.cluster is None:
        yield from start_command(execution_id, anew(asked))
        return
    yield "(by the commands below, which delete this operation's cluster first)"
    yield "If something else was the cause, or the data of the restored cluster were corrected, resume this operation:"
    yield from resume_command(execution_id, _shown_whole(repeated, request), record.operation_id)


def _target_taken_lines(record: OperationRecord, asked: Mapping[str, Any], execution_id: str) -> Iterator[str]:
    """Yield what to do where the target's name no longer leads to the cluster that was to be replaced."""
    target = one_line(record.plan["target_cluster_id"])
    yield f"This operation cannot be resumed: {target} no longer leads to the cluster that it was to replace. If that"
    yield "cluster is gone, the restored one may be all that is left. Start a new operation:"
    yield from start_command(execution_id, anew(asked))


def _swapping_lines(record: OperationRecord, remains: Remains, execution_id: str) -> Iterator[str]:
    """Yield who finishes the swap. Until then no command is shown that changes or deletes a cluster."""
    if remains.finished_by is not None:
        yield "Change neither of the two clusters. This execution finishes the swap, and reports how it has ended:"
        region = Arn.parse(execution_id).region
        yield f"aws stepfunctions describe-execution --execution-arn {remains.finished_by} --region {region}"
        return
    yield "Fix the cause, and change nothing else of the two clusters. Then resume this operation, which finishes the"
    yield "swap, and nothing else:"
    yield from resume_command(execution_id, {}, record.operation_id)


def _ended_drill_lines(
    record: OperationRecord, asked: Mapping[str, Any], remains: Remains, execution_id: str
) -> Iterator[str]:
    """Yield who deletes what the drill has left, or else how a person has that done."""
    if remains.finished_by is not None:
        yield "Nothing, for now. This execution waits until AWS is done with the drill's cluster, deletes it and the"
        yield "copy of its snapshot, and reports how that has ended:"
        region = Arn.parse(execution_id).region
        yield f"aws stepfunctions describe-execution --execution-arn {remains.finished_by} --region {region}"
        yield "If no message has come within a day, resume this operation, which deletes them, and does nothing else:"
        yield from resume_command(execution_id, {}, record.operation_id)
        return
    left = remains.cluster or remains.copy or remains.on_the_way or remains.unknown
    if not left and record.cluster_resource_id is None:
        yield "Nothing has to be cleaned up. To drill again, start a new operation:"
        yield from start_command(execution_id, anew(asked))
        return
    yield "Fix the cause, then resume this operation. It deletes what the drill has left, and does nothing else:"
    yield from resume_command(execution_id, {}, record.operation_id)


def _after_refusal(
    problems: list[str], repeated: dict[str, Any], execution_id: str, asked_before: Mapping[str, Any]
) -> Iterator[str]:
    said = " ".join(problems)
    if START_ANEW in said or TAKE_ANOTHER in said:
        repeated = anew({**asked_before, **repeated})
        yield "The command starts a new operation."
        if asked_before and not repeated.get("replace_target"):
            yield "It is refused while the earlier operation's cluster has the target's name: then name another"
            yield "target_cluster_id, or delete that cluster first, if nobody uses it."
    if TAKE_ANOTHER in said:
        repeated = with_another_snapshot(repeated)
        yield "It uses the newest snapshot that is available, or the one that you name as snapshot_identifier."
    correction = corrected(repeated, problems)
    yield from correction_lines(correction)
    yield from start_command(execution_id, correction.request)


def as_asked(record: OperationRecord) -> dict[str, Any]:
    """Return the operation's own request, with the stack's defaults of that time in it."""
    found = {name: value for name, value in record.parameters.items() if value is not None}
    return dict(without_secrets(found))


def _resume_lines(
    record: OperationRecord,
    request: Any,
    repeated: Mapping[str, Any],
    remains: Remains,
    execution_id: str,
    *,
    keeps_backups: bool,
) -> Iterator[str]:
    here = f"--region {Arn.parse(execution_id).region}"
    if remains.copy is not None and remains.copy.is_broken:
        yield "The copied snapshot cannot be used. Delete it before you resume:"
        yield _delete_copy(remains.copy, here)
    first = "The automated backups are kept if you" if keeps_backups else "Fix the cause, then"
    if record.source_deletion_at:
        yield f"{first} resume this operation: it finishes the deletion of the source cluster. Do not delete the"
        yield "restored cluster: it may be the only one left."
    else:
        yield f"{first} resume this operation: it continues with what it has created."
    yield from resume_command(execution_id, _shown_whole(repeated, request), record.operation_id)
    if remains.cluster is not None:
        yield "To see the cluster's state meanwhile:"
        yield f"aws rds describe-db-clusters --db-cluster-identifier {remains.cluster.identifier} {here}"
    elif remains.may_appear:
        target = record.named(record.plan["target_cluster_id"])
        yield "To see what has appeared meanwhile:"
        yield f"aws rds describe-db-clusters --filters Name=db-cluster-id,Values={target} {here}"


def _shown_whole(repeated: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request without what may not be shown: omitted, it is the operation's own; *** would be refused."""
    return {name: value for name, value in repeated.items() if value == request[name]}


def _lost_lines(
    record: OperationRecord, asked: Mapping[str, Any], remains: Remains, execution_id: str
) -> Iterator[str]:
    """Yield what to do where resuming would be refused, because what it would continue from is gone."""
    again = anew(asked)
    if remains.lost == "snapshot":
        snapshot = one_line(record.plan["snapshot"]["arn"])
        yield f"Snapshot {snapshot} no longer exists, so this operation cannot be resumed."
        yield from _another_snapshot_lines(record, again, execution_id)
        return
    name = f"{record.named(record.plan['target_cluster_id'])} ({record.cluster_resource_id})"
    yield f"Cluster {name}, which this operation created, no longer exists, so it cannot be resumed."
    if record.source_deletion_at or record.protection_off_at:
        again = without_deletion(again)
        yield "Start a new operation, which deletes no source:"
    else:
        yield "Start a new operation:"
    yield from start_command(execution_id, again)


def _another_snapshot_lines(record: OperationRecord, again: Mapping[str, Any], execution_id: str) -> Iterator[str]:
    snapshot = record.plan["snapshot"]
    region, source = Arn.parse(snapshot["arn"]).region, snapshot["cluster_identifier"]
    yield f"To see the snapshots of {one_line(source)}{_in_account(snapshot['arn'], execution_id)}:"
    yield f"aws rds describe-db-cluster-snapshots --db-cluster-identifier {source} --region {region}"
    yield "Start a new operation. It uses the newest snapshot that is available, or the one that you name as"
    yield "snapshot_identifier:"
    place = {"source_cluster_id": source, "source_region": region}
    if _in_account(snapshot["arn"], execution_id):
        place["source_account_id"] = Arn.parse(snapshot["arn"]).account_id
    yield from start_command(execution_id, with_another_snapshot(again) | place)


def _in_account(arn: str, execution_id: str) -> str:
    """Return the account in words, unless it is the stack's own, in which the reader is."""
    account = Arn.parse(arn).account_id
    return "" if account == Arn.parse(execution_id).account_id else f", in account {account}"


def _another_policy_lines(
    record: OperationRecord, asked: Mapping[str, Any], remains: Remains, execution_id: str
) -> Iterator[str]:
    """Yield what to do where the policy itself has to change: a resumed operation masks by the planned version."""
    policy = one_line(record.plan["masking"]["policy"])
    yield f"If masking policy {policy} has to change, upload the corrected file, and set the stack's MaskingPolicies to"
    yield "its new version. A resumed operation masks the same snapshot by the version that it was planned with. So"
    yield "after a change of the policy, or of the source and with a snapshot that was taken since, start a new one:"
    if remains.cluster is None:
        yield from start_command(execution_id, anew(asked))
    else:
        yield "(by the commands below, which delete this operation's cluster first)"


def _keep_source_lines(source: SourceLeft, deletion: SourceDeletion) -> Iterator[str]:
    commands = list(bring_back_lines(source, deletion))
    if commands:
        yield f"Or keep source cluster {source.cluster_identifier}. Restore what was deleted, in this order:"
        yield from commands


def _giving_up_lines(
    record: OperationRecord, asked: Mapping[str, Any], remains: Remains, execution_id: str
) -> Iterator[str]:
    here = f"--region {Arn.parse(execution_id).region}"
    if record.swap_end == "forward":
        yield from _after_swap_lines(record, remains, execution_id)
    elif remains.cluster is not None:
        name = remains.cluster.identifier
        if record.is_unmasked:
            yield "Leave its door shut: it is not masked."
        elif remains.cluster.is_available and is_door_shut(remains.cluster, record.door_group_id):
            yield from _open_door_lines(record, remains.cluster, here)
        elif remains.is_usable and record.users_ready_at:
            yield "Or use the cluster as it is: its users can log in."
        yield "Or delete it with its instances, which frees its name, and start a new operation:"
        if remains.cluster.deletion_protection:
            unprotected = "--no-deletion-protection --apply-immediately"
            yield f"aws rds modify-db-cluster --db-cluster-identifier {name} {unprotected} {here}"
        # RDS refuses to delete what is being deleted (InvalidDBInstanceState).
        going = {each.identifier for each in remains.members if each.is_being_deleted}
        for member in (each for each in remains.cluster.member_identifiers if each not in going):
            yield f"aws rds delete-db-instance --db-instance-identifier {member} {here}"
        yield f"aws rds delete-db-cluster --db-cluster-identifier {name} --skip-final-snapshot {here}"
        yield f"aws rds wait db-cluster-deleted --db-cluster-identifier {name} {here}"
        yield from start_command(execution_id, anew(asked))
    if remains.on_the_way:
        yield "Undo what was opened on the snapshot's route only if you do not resume. A copy that has failed there has"
        yield "to go in any case:"
    for step in remains.on_the_way:
        yield f"In account {step.place[1]}: {step.command}"
    if remains.copy is not None and not remains.copy.is_broken:
        yield "Delete the copied snapshot only if you do not resume:"
        yield _delete_copy(remains.copy, here)
    if remains.snapshot_is_out_of_sight:
        snapshot = record.plan["snapshot"]["arn"]
        yield f"If snapshot {one_line(snapshot)} is gone, or no longer shared, resuming is refused. Whether it is"
        yield "cannot be seen from here."
        yield from _another_snapshot_lines(record, anew(asked), execution_id)


def _after_swap_lines(record: OperationRecord, remains: Remains, execution_id: str) -> Iterator[str]:
    """Yield how the swap is undone. Nothing is shown that deletes the cluster which clients use now."""
    yield "Do not delete the cluster: it has the target's name, and clients may have written to it."
    if remains.target is None or remains.target.replaced is not None:
        yield "Or go back to the cluster that it has replaced, while that is kept. What was written since is lost:"
        yield from start_command(execution_id, {"operation_id": record.operation_id, "rollback": True})


def _open_door_lines(record: OperationRecord, cluster: Cluster, here: str) -> Iterator[str]:
    """Yield the command that opens the door, and what that means before the users are set up."""
    if record.users_ready_at is None:
        yield "Its door can be opened by hand. Then anybody who knows one of production's passwords may get in, because"
        yield "production's logins are not locked, and the master password may not have been replaced either."
    else:
        yield "Or use the cluster as it is. Its users can log in once you open its door:"
    groups = " ".join(record.plan.get("cluster", {}).get("vpc_security_group_ids", []))
    yield (
        f"aws rds modify-db-cluster --db-cluster-identifier {cluster.identifier} --vpc-security-group-ids {groups} "
        f"--apply-immediately {here}"
    )


def _delete_copy(copy: Snapshot, here: str) -> str:
    return f"aws rds delete-db-cluster-snapshot --db-cluster-snapshot-identifier {copy.identifier} {here}"
