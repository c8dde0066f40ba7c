"""The message on a failure: how production and the target are, why it failed, and what exists now at which price."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from utils import environment
from utils.aurora_utils.door import is_door_shut
from utils.aurora_utils.resources import Cluster
from utils.contracts.payloads import ExecutionError
from utils.contracts.route import FINAL
from utils.errors import OWN_ERRORS
from utils.foreign_text import listed, one_line, own_lines
from utils.messages.cluster import cost_now
from utils.messages.drill import how_drill_ended, what_ended_drill_has_left
from utils.messages.expiry import spoken
from utils.messages.remains import Remains
from utils.messages.rollback import state_after_failure
from utils.messages.source_left import state_of_source
from utils.messages.swap import what_is_lost, where_both_are
from utils.state.operation import OperationRecord

# What a message shows of a cause: however long that is, the commands behind it must still fit.
MAX_CAUSE_SHOWN = 8_000


def cause_lines(error: ExecutionError) -> list[str]:
    """Return the error's message; a Lambda function's cause is a JSON text with a stack trace, which is left away.

    Only the causes of our own steps have several lines: what another cause says was written by others.
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
    is_ours = error.error in {each.__name__ for each in OWN_ERRORS}
    return own_lines(text, MAX_CAUSE_SHOWN) if is_ours else [one_line(text, MAX_CAUSE_SHOWN)]


def state_lines(error: ExecutionError, record: OperationRecord | None, remains: Remains) -> Iterator[str]:
    """Yield how production and the target are, before everything else: somebody may read no further."""
    if remains.source is not None:
        yield state_of_source(remains.source)
    elif remains.deletion is not None:
        yield (
            f"The deletion of source cluster {remains.deletion.cluster_identifier} has begun, and RDS did not report "
            "what is left of it. Check it: aws rds describe-db-clusters --db-cluster-identifier "
            f"{remains.deletion.cluster_identifier} --region {remains.deletion.region}"
        )
    elif record is None or not record.plan or error.error == "RequestRefused":
        yield "Nothing was created, changed or deleted by this execution."
        return
    if record is not None and record.plan.get("rolls_back"):
        yield _swap_has_not_ended(record) if record.is_swapping else state_after_failure(record, remains.target)
        yield from _where_both_are(record, remains)
        return
    target = record.named(record.plan.get("target_cluster_id", "")) if record else ""
    if record is not None and record.is_drill_ended:
        yield how_drill_ended(record)
        if remains.finished_by is None:
            # Its id is on record until RDS has reported that it is gone.
            is_unknown = remains.unknown or record.cluster_resource_id is not None
            exists = True if remains.cluster is not None else None if is_unknown else False
            yield what_ended_drill_has_left(record, exists=exists)
    if record is not None and record.is_swapping:
        yield _swap_has_not_ended(record)
    if record is not None:
        yield from _where_both_are(record, remains)
    untouched = "" if remains.deletion is not None else "The source cluster was not changed. "
    yield untouched + _state_of_target(target, record, remains)


def _swap_has_not_ended(record: OperationRecord) -> str:
    return f"The swap of {record.plan['target_cluster_id']} has not ended: clients may be locked out until it has."


def _where_both_are(record: OperationRecord, remains: Remains) -> Iterator[str]:
    if remains.target is not None:
        yield from where_both_are(record.plan["target_cluster_id"], remains.target)
        yield from what_is_lost(record.swap_end, remains.target)


def _state_of_target(target: str, record: OperationRecord | None, remains: Remains) -> str:
    if remains.unknown and remains.cluster is None:
        return f"RDS did not report whether cluster {target} exists."
    if remains.cluster is None:
        return f"This operation has no cluster {target}."
    if not remains.is_usable:
        statuses = sorted({remains.cluster.status, *(each.status for each in remains.members)} - {"available"})
        why = f"it is {listed(statuses)}" if statuses else "it has no instances"
        return f"Cluster {target} is not ready for use: {why}."
    if record is not None and record.is_unmasked and is_door_shut(remains.cluster, record.door_group_id):
        return f"Cluster {target} is not masked. Its door is shut: only the pipeline can reach it."
    if record is not None and record.is_unmasked:
        return f"Cluster {target} is not masked, and its door is not shut: others than the pipeline may reach it."
    if record is None or record.users_ready_at is None:
        return f"Cluster {target} is not ready for use: its users are not set up."
    if is_door_shut(remains.cluster, record.door_group_id):
        return f"Cluster {target} is complete, but its door is shut: only the pipeline can reach it."
    return f"Cluster {target} is complete, and its users can log in."


def remains_lines(record: OperationRecord | None, remains: Remains, clean_up: Mapping[str, Any]) -> Iterable[str]:
    """Yield what exists now and what it costs, and what was cleaned up."""
    if record is not None and record.plan.get("rolls_back"):
        yield "A rollback creates nothing: there are the two clusters that there were before, and both cost money."
        return
    if remains.unknown:
        yield f"RDS did not report what exists ({one_line(remains.unknown, MAX_CAUSE_SHOWN)}). Check it yourself."
    elif remains.cluster is None and not (remains.copy or remains.unseen_copy or remains.on_the_way):
        yield "Nothing of this operation exists: no cluster and no copied snapshot."
    if remains.cluster is not None:
        yield f"Cluster {remains.cluster.identifier} ({remains.cluster.resource_id}), {remains.cluster.status}."
        if record:
            yield from _door_lines(record, remains.cluster)
        if record and record.is_unmasked:
            yield _how_far_masked(record)
        if record and record.cluster_expires_at:
            yield f"It expires at {spoken(record.cluster_expires_at)}, and is deleted then."
        if record and record.login_proven_at is None:
            yield "No login with a new master password has worked yet: the source's password may still open it."
        costs = cost_now(remains.cluster, remains.members)
        yield f"While it exists, {costs}."
    yield from _replaced_lines(remains)
    if remains.copy is not None:
        size = f" of up to {remains.copy.allocated_gib} GiB" if remains.copy.allocated_gib else ""
        yield f"Copied snapshot {remains.copy.arn}, {remains.copy.status}. Its storage{size} costs money."
    if remains.unseen_copy is not None:
        yield f"RDS did not show the copied snapshot {remains.unseen_copy}. If it exists, its storage costs money."
    yield from (step.still_there for step in remains.on_the_way)
    if record is not None:
        yield from _export_lines(record)
    if record and record.protection_off_at and not record.source_deletion_at:
        yield f"The source cluster's deletion protection was switched off at {record.protection_off_at}."
    if record and record.source_deletion_at:
        yield "The deletion of the source cluster has begun. Keep the restored cluster and the final snapshot."
    yield from _clean_up_lines(record, clean_up, remains)
    yield from remains.about_secrets
    if remains.may_appear and record is not None:
        yield from _may_appear_lines(record, remains)


def _replaced_lines(remains: Remains) -> Iterator[str]:
    """Yield what the cluster costs that was replaced and is left running."""
    now = remains.target
    if now is None or now.replaced is None or now.holder is None or now.holder.resource_id == now.replaced_id:
        return
    costs = cost_now(now.replaced, now.replaced_members)
    name = now.replaced.identifier
    yield f"Cluster {name} ({now.replaced_id}) was replaced and still exists. While it does, {costs}."


def _how_far_masked(record: OperationRecord) -> str:
    policy = one_line((record.plan.get("masking") or {}).get("policy", ""))
    done, tables = record.masking.get("tables_done", 0), record.masking.get("tables", 0)
    how_far = f"{done} of {tables} tables are" if tables else "nothing is"
    return f"It holds production's data: by masking policy {policy}, {how_far} masked, and its gate is not passed."


def _door_lines(record: OperationRecord, cluster: Cluster) -> Iterator[str]:
    """Yield who can reach the cluster, as RDS reports it."""
    door = record.door_group_id
    groups = ", ".join(cluster.security_groups.ids)
    if is_door_shut(cluster, door):
        yield f"Its door is shut: its one security group, {door}, admits only the pipeline."
    elif groups and record.door_open_at is None:
        yield f"Its door is no longer shut, or not open on all its instances yet: it has the security groups {groups}."


def _export_lines(record: OperationRecord) -> Iterator[str]:
    """Yield that RDS continues an export that was begun beside the step that failed: nothing has cancelled it."""
    identifier, region = record.export_begun, environment.region()
    # A resumed operation exports under a new name where the earlier export has failed.
    is_planned = identifier is not None and identifier == (record.plan.get("export") or {}).get("identifier")
    if not is_planned or record.export_cancelled_at or record.state == "archive-snapshot":
        return
    yield (
        f"The export {identifier} was begun, and RDS continues it by itself. Look at it: aws rds describe-export-tasks "
        f"--export-task-identifier {identifier} --region {region}"
    )
    yield (
        "If it is not wanted without the cluster, cancel it: aws rds cancel-export-task "
        f"--export-task-identifier {identifier} --region {region}"
    )


def _clean_up_lines(record: OperationRecord | None, clean_up: Mapping[str, Any], remains: Remains) -> Iterator[str]:
    """Yield what was cleaned up and what was not: cluster and copy are cleaned up separately."""
    if clean_up.get("cluster_resource_id") and clean_up.get("answer") == "done":
        cluster = f"{clean_up.get('cluster_identifier')} ({clean_up['cluster_resource_id']})"
        yield f"Cleaned up: cluster {one_line(cluster)} was deleted."
    if record and record.copy_clean_up_at and record.plan.get("copy"):
        deleted = f"{FINAL}_deleted" in record.route_times
        copy = "the copied snapshot was deleted" if deleted else "there is no copied snapshot"
        undone = "" if remains.on_the_way else ", and what was opened on the snapshot's route was undone"
        yield f"Cleaned up: {copy}{undone}."
    yield from failed_clean_up_lines(record, clean_up)
    if clean_up.get("skipped") and not clean_up.get("error"):
        yield f"No cluster was deleted: {one_line(clean_up['skipped'], MAX_CAUSE_SHOWN)}."


def failed_clean_up_lines(record: OperationRecord | None, clean_up: Mapping[str, Any]) -> Iterator[str]:
    """Yield why a clean-up, or the end of a swap, has failed as well."""
    if clean_up.get("error"):
        raw = clean_up["error"]
        error = ExecutionError(error=raw.get("Error", ""), cause=raw.get("Cause", ""))
        what = "The swap could not be finished" if record and record.is_swapping else "The clean-up failed as well"
        yield f"{what}: " + " ".join(cause_lines(error))


def _may_appear_lines(record: OperationRecord, remains: Remains) -> Iterator[str]:
    """Yield what a step may still create that has outlived its execution: it has a name already."""
    names = []
    if remains.cluster is None and record.plan.get("target_cluster_id"):
        names.append(f"cluster {record.named(record.plan['target_cluster_id'])}")
    elif remains.cluster is not None:
        planned = set(record.planned_instances) - {each.identifier for each in remains.members}
        names += [f"instance {each}" for each in sorted(planned)]
    if remains.copy is None and record.planned_copy is not None and remains.cluster is None:
        names.append(f"snapshot {record.planned_copy.identifier}")
    if names:
        then = "uses them" if not record.is_drill_ended else "deletes them"
        yield (
            f"The step that was running may still be finishing, so these may appear within minutes: {listed(names)}. "
            f"They have this operation's tag, and resuming the operation {then}."
        )
