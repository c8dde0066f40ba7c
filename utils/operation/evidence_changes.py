"""What an operation has created, shared, masked, locked and deleted, as its record knows it, for the evidence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from utils.contracts.evidence import Change
from utils.contracts.payloads import Archived
from utils.contracts.plan import Plan, ReplacedCluster
from utils.contracts.route import RouteStep
from utils.foreign_text import one_line
from utils.state.operation import OperationRecord

_BY_ANSWER = "RDS's answer to the call"
_GONE = "RDS reported no cluster of this id"
_NOT_SEEN = "its deletion has begun; its end was not seen"


def changes_of(plan: Plan, record: OperationRecord, archive: Archived | None, *, source_is_gone: bool) -> list[Change]:
    """Return the changes in the order of the workflow. `archive` is what became of the copy, where that is known."""
    return [
        *_on_the_route(plan, record),
        *_of_the_export(plan, record, archive),
        *_of_the_cluster(plan, record),
        *_of_the_target(plan, record),
        *_of_the_source(plan, record, is_gone=source_is_gone),
        *_of_the_copy(plan, record, archive),
    ]


def _on_the_route(plan: Plan, record: OperationRecord) -> Iterator[Change]:
    for step in plan.copy.steps if plan.copy else []:
        if step.is_copy and _was_made(step, record):
            yield _of_step(step, record.route_times.get(step.made), _BY_ANSWER)
        elif step.name in record.route_times:
            yield _of_step(step, record.route_times[step.name], "RDS reported it done")


def _was_made(copy: RouteStep, record: OperationRecord) -> bool:
    """Return whether the copy was made. The record forgets which it is once it is deleted, and not when it was made."""
    return copy.made in record.route_times or copy.name in record.made_snapshots


def _of_step(step: RouteStep, at: str | None, proof: str) -> Change:
    shared = f", with account {step.shared_with}" if step.shared_with else ""
    return Change(
        what=step.done,
        on=step.snapshot_arn,
        resource_id=None,
        at=moment(at),
        proof=f"{step.api_call}{shared}; {proof}",
    )


def _of_the_export(plan: Plan, record: OperationRecord, archive: Archived | None) -> Iterator[Change]:
    """Yield that the snapshot's tables went to a bucket. An export continues by itself, also after a failure."""
    export = plan.export
    if export is None or record.export_begun != export.identifier:
        return
    is_complete = archive is not None and archive.exported_to is not None
    end = "RDS reported it complete" if is_complete else "its end was not seen"
    if record.export_cancelled_at is not None:
        end = f"cancelled at {record.export_cancelled_at}; what it has written stays"
    yield Change(
        what="exported" if is_complete else "export begun",
        on=f"s3://{export.bucket}/{export.prefix}/{export.identifier}/",
        resource_id=None,
        at=moment(record.step_times.get("archive-snapshot")),
        proof=f"rds:StartExportTask of {export.source_arn}; {end}",
    )


def _of_the_cluster(plan: Plan, record: OperationRecord) -> Iterator[Change]:
    """Yield what became of the cluster that exists, or of the last one that was deleted again."""
    removed = record.removed_here
    exists = record.cluster_resource_id is not None and plan.rolls_back is None
    if exists:
        yield _created(plan.cluster.identifier, record.cluster_resource_id, record.cluster_asked_at)
    if removed and not (exists and removed["resource_id"] == record.cluster_resource_id):
        yield _created(removed["identifier"], removed["resource_id"], removed["created_at"])
    known = record.masked_at if exists else removed.get("masked_at")
    if plan.masking is not None and known is not None:
        yield Change(
            what="masked",
            on=f"every database of {plan.target_cluster_id}",
            resource_id=record.cluster_resource_id if exists else removed.get("resource_id"),
            at=moment(known),
            proof=f"the gate of policy {plan.masking.policy}, version {plan.masking.version_id}, has passed",
        )
    locked = record.logins_locked if exists else int(removed.get("locked_logins", 0))
    if locked:
        yield Change(
            what="locked",
            on=f"{locked} logins that came with the data",
            resource_id=None,
            at=moment(record.users_ready_at if exists else removed.get("users_ready_at")),
            proof="set to NOLOGIN, by PostgreSQL's answer",
        )
    if removed:
        yield _removed(removed)


def _removed(removed: dict[str, Any]) -> Change:
    """Return what became of a cluster that is gone, or was to go. Nobody but the operation says when it began."""
    gone, began = removed.get("gone_at"), removed["began_at"]
    return Change(
        what="deletion begun" if not gone else "found gone" if began is None else "deleted",
        on=one_line(removed["identifier"]),
        resource_id=removed["resource_id"],
        at=moment(gone or began),
        proof=_NOT_SEEN if not gone else f"{_GONE}; somebody else has deleted it" if began is None else _GONE,
    )


def _created(identifier: str, resource_id: str | None, asked_at: str | None) -> Change:
    return Change(
        what="created", on=one_line(identifier), resource_id=resource_id, at=moment(asked_at), proof=_BY_ANSWER
    )


def _of_the_target(plan: Plan, record: OperationRecord) -> Iterator[Change]:
    replaced = plan.replaces or plan.replaced
    if replaced is not None and record.swap_end == "forward":
        yield Change(
            what="replaced",
            on=plan.target_cluster_id,
            resource_id=replaced.resource_id,
            at=moment(record.door_open_at),
            proof=f"kept as {replaced.other_names[0]}, or under the next name that was free{_end_of(replaced)}",
        )


def _end_of(replaced: ReplacedCluster) -> str:
    """Return what was asked for twice of a replaced cluster that the pipeline did not create."""
    if replaced.deletion is None:
        return ""
    final = replaced.deletion.final_snapshot_identifier
    return f"; to be deleted after {replaced.keep_hours} h, with a final snapshot {final}, as asked for twice"


def _of_the_source(plan: Plan, record: OperationRecord, *, is_gone: bool) -> Iterator[Change]:
    deletion = plan.source_deletion
    if deletion is None:
        return
    named = {"on": deletion.cluster_identifier, "resource_id": deletion.cluster_resource_id}
    if record.protection_off_at is not None:
        asked = "asked for; RDS's answer to the call"
        yield Change(what="protection off", at=moment(record.protection_off_at), proof=asked, **named)
    if record.source_deletion_at is None:
        return
    final = record.final_snapshot_arn
    kept = f"; its final snapshot {final} is available" if final else ""
    yield Change(
        what="deleted" if is_gone else "deletion begun",
        at=moment(record.source_deletion_at),
        proof=f"asked for twice; {_GONE if is_gone else _NOT_SEEN}{kept}",
        **named,
    )


def _of_the_copy(plan: Plan, record: OperationRecord, archive: Archived | None) -> Iterator[Change]:
    if plan.copy is None or not _was_made(plan.copy.final, record):
        return
    deleted_at = record.route_times.get(plan.copy.final.deleted)
    if deleted_at is not None or (archive is not None and archive.deleted_snapshot_arn is not None):
        at, proof = deleted_at, _BY_ANSWER
    elif record.copy_clean_up_at is not None and plan.archive_snapshot != "keep":
        at, proof = record.copy_clean_up_at, "the clean-up has found it gone"
    else:
        return
    yield Change(what="deleted", on=plan.copy.arn, resource_id=None, at=moment(at), proof=proof)


def moment(text: str | None) -> dt.datetime | None:
    """Return a moment that the record has; None where it has none."""
    return dt.datetime.fromisoformat(text) if text else None
