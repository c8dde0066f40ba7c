"""What an operation has left behind at its end, as RDS has it then: its cluster, its copy, the source, the names."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError
from msgspec.structs import replace

from utils import environment, metrics
from utils.arns import Arn
from utils.aurora_utils import AuroraReader
from utils.aurora_utils.ownership import owns_cluster, owns_recorded_copy
from utils.aurora_utils.source_left import what_is_left_of_source
from utils.aws_errors import as_step_error
from utils.contracts.plan import SourceDeletion
from utils.contracts.route import RouteStep
from utils.foreign_text import one_line
from utils.messages.cluster import cost_now
from utils.messages.remains import Lost, Remains
from utils.messages.swap import ReplacedNow, TargetNow
from utils.state.operation import OperationRecord
from utils.state.restored import restored_cluster
from utils.state.swap import stored_swap
from utils.state.unseen import is_gone, name_of_cluster

# RDS's word for a snapshot that is gone, in the cause of a step that looked for it in its own account.
SNAPSHOT_NOT_FOUND = "DBClusterSnapshotNotFoundFault"
log = Logger(service=metrics.SERVICE, child=True)


def with_remains(known: Remains, record: OperationRecord, execution_id: str, cause: str, now: dt.datetime) -> Remains:
    """Return what is known with what RDS still has. A failure to look is stated in `unknown`, and raises nothing.

    `execution_id` is the ARN of the execution that ends, and `cause` that of its failure. One look that does not show
    a cluster is no proof that it is gone.
    """
    deletion = _begun_deletion(record)
    known = replace(known, on_the_way=left_on_the_way(record), deletion=deletion)
    try:
        if deletion is not None:
            source = what_is_left_of_source(deletion, AuroraReader(deletion.region))
            resource_id = deletion.cluster_resource_id
            is_proved = not source.is_gone or record.source_gone_at is not None or is_gone(record, resource_id, now)
            known = replace(known, source=source if is_proved else None)
        aurora = AuroraReader(environment.region())
        cluster = restored_cluster(record, aurora, record.plan["target_cluster_id"])
        if cluster is not None and owns_cluster(cluster, record):
            known = replace(known, cluster=cluster, members=aurora.instances_of(cluster.identifier))
        if cluster is None and (unseen := _unseen_cluster(record, now)):
            known = replace(known, unknown=unseen)
        copy = aurora.snapshot(record.copied_snapshot_arn) if record.copied_snapshot_arn else None
        known = replace(known, unseen_copy=record.copied_snapshot_arn if copy is None else None)
        if copy is not None and owns_recorded_copy(copy, record):
            known = replace(known, copy=copy)
        known = replace(known, lost=_lost(record, known, cause), target=_target_now(record, aurora, execution_id))
        known = replace(known, target_is_another=_is_another(record, aurora))
        if known.lost is None and _resumes_from_snapshot(record, known) and not _is_own_snapshot(record):
            known = replace(known, snapshot_is_out_of_sight=True)
    except (ClientError, BotoCoreError) as error:
        return replace(known, unknown=str(as_step_error(error)))
    return known


def replaced_now(record: OperationRecord) -> ReplacedNow | None:
    """Return what became of the cluster that was replaced; None where none was, or RDS did not report it."""
    planned: Mapping[str, Any] | None = record.plan.get("replaces") or record.plan.get("replaced")
    if not planned:
        return None
    try:
        aurora = AuroraReader(environment.region())
        found = aurora.cluster_with_id(str(planned["resource_id"]))
        if found is None or found.is_being_deleted:
            return ReplacedNow(None)
        swap = stored_swap(record.operation_id)
        return ReplacedNow(
            found.identifier,
            costs=cost_now(found, aurora.instances_of(found.identifier)),
            is_previous=found.is_previous,
            undone=swap.record.refused if swap is not None else (),
            in_doubt=swap.sessions_in_doubt if swap is not None else 0,
            prepared_transactions=swap.prepared_transactions if swap is not None else 0,
        )
    except (ClientError, BotoCoreError) as error:
        log.warning("replaced cluster not looked at", extra={"cause": one_line(error)})
        return None


def left_on_the_way(record: OperationRecord) -> list[RouteStep]:
    """Return the steps of the snapshot's route that are known to be done and have not been undone."""
    copy = record.planned_copy
    if copy is None:
        return []
    left = copy.outstanding(record.route_times)
    return [step for step in left if step.effect == "unshare" or copy.undone_by(step).name in record.made_snapshots]


def _target_now(record: OperationRecord, aurora: AuroraReader, execution_id: str) -> TargetNow | None:
    """Return who has the target's name, and both clusters of the swap; None where none has begun."""
    planned = record.plan.get("replaces") or record.plan.get("replaced")
    if not planned or record.swap_began_at is None:
        return None
    swap = stored_swap(record.operation_id)
    if swap is not None and record.swap_end == "back" and not swap.is_of(execution_id):
        # An earlier execution has turned it back: what has failed since is no swap.
        return None
    restored_id = swap.record.new.resource_id if swap is not None else record.cluster_resource_id or ""
    by_id = {each.resource_id: each for each in aurora.clusters()}
    target, replaced = record.plan["target_cluster_id"], by_id.get(planned["resource_id"])
    return TargetNow(
        holder=next((each for each in by_id.values() if each.identifier == target), None),
        replaced_id=planned["resource_id"],
        restored_id=restored_id,
        replaced=replaced,
        restored=by_id.get(restored_id),
        replaced_members=aurora.instances_of(replaced.identifier) if replaced is not None else [],
        door_group=record.door_group_id,
        committed_at=swap.record.committed_at if swap is not None else None,
        because=swap.turned_because if swap is not None else "",
        undone=swap.record.refused if swap is not None else (),
    )


def _is_another(record: OperationRecord, aurora: AuroraReader) -> bool:
    """Return whether the target's name leads to another cluster than the one that is to be replaced, before a swap."""
    planned = record.plan.get("replaces")
    if not planned or record.swap_began_at is not None:
        return False
    holder = aurora.cluster(record.plan["target_cluster_id"])
    return holder is not None and holder.resource_id != planned["resource_id"]


def _unseen_cluster(record: OperationRecord, now: dt.datetime) -> str:
    """Return that RDS does not show a cluster which may exist; nothing where it is gone, or was never created."""
    asked = record.cluster_resource_id is not None or record.cluster_asked_at is not None
    name = record.named(record.plan["target_cluster_id"])
    if not asked or record.is_swapping or is_gone(record, name_of_cluster(record, name), now):
        return ""
    return f"one look did not show cluster {name}, which this operation has asked for, and that proves nothing"


def _lost(record: OperationRecord, known: Remains, cause: str) -> Lost | None:
    """Return what a resume would need and would not find, as far as that can be seen from here."""
    if known.cluster is not None or known.unknown or record.plan.get("rolls_back"):
        return None
    if record.cluster_resource_id is not None and record.clean_up_at is None:
        return "cluster"
    if known.deletion is not None or not _resumes_from_snapshot(record, known):
        return None
    if not _is_own_snapshot(record):
        return "snapshot" if SNAPSHOT_NOT_FOUND in cause else None
    snapshot = record.plan["snapshot"]
    found = AuroraReader(Arn.parse(snapshot["arn"]).region).snapshot(snapshot["identifier"])
    return "snapshot" if found is None else None


def _begun_deletion(record: OperationRecord) -> SourceDeletion | None:
    """Return the source's deletion, once anything was done to the source."""
    if record.source_deletion_at is None and record.protection_off_at is None:
        return None
    planned = record.plan.get("source_deletion")
    return msgspec.convert(planned, SourceDeletion) if planned else None


def _resumes_from_snapshot(record: OperationRecord, known: Remains) -> bool:
    """Return whether nothing was created from the snapshot yet, or all of that was removed."""
    copy_is_gone = record.copied_snapshot_arn is not None and known.copy is None
    made = {} if copy_is_gone or record.copy_clean_up_at is not None else record.made_snapshots
    return bool(record.plan.get("snapshot")) and known.cluster is None and known.copy is None and not made


def _is_own_snapshot(record: OperationRecord) -> bool:
    """Return whether the snapshot is of this account: another one's cannot be looked at from here."""
    return Arn.parse(record.plan["snapshot"]["arn"]).account_id == Arn.parse(record.execution_id).account_id
