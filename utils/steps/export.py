"""The archive of a restored snapshot as Parquet files: what has to be there for it, what is planned, how far it is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from msgspec.structs import replace

from utils import environment
from utils.aurora_utils import Aurora
from utils.aurora_utils.exports import Exports, ExportTask
from utils.aurora_utils.offers import encryption_key
from utils.aurora_utils.resources import Snapshot
from utils.aws import client, none_when
from utils.contracts.payloads import Archived
from utils.contracts.plan import SnapshotCopy, SnapshotExport
from utils.contracts.stack_limits import StackLimits
from utils.errors import StepFailed
from utils.names import name_for
from utils.pauses import seconds_to_wait
from utils.preflight.limits import prove_export_allowed
from utils.preflight.service_roles import EXPORTS, role_problems
from utils.request.fields import RestoreRequest

# An export's name has at most 60 characters, and a resumed operation may have to number it.
_LONGEST_BASE = 36
_PREFIX = "aurora-restore"
_PARAMETERS = ("ExportBucketName", "ExportRoleArn", "ExportKmsKeyId")


def plan_export(
    request: RestoreRequest, snapshot: Snapshot, copy: SnapshotCopy | None, operation_id: str
) -> SnapshotExport | None:
    """Of the copy, or of the snapshot that was found when it is restored directly."""
    if request.archive_snapshot != "export":
        return None
    return SnapshotExport(
        identifier=name_for("export", snapshot.cluster_identifier[:_LONGEST_BASE].rstrip("-"), operation_id),
        source_arn=copy.arn if copy else snapshot.arn,
        bucket=environment.optional("EXPORT_BUCKET"),
        prefix=_PREFIX,
        role_arn=environment.optional("EXPORT_ROLE_ARN"),
        kms_key_id=environment.optional("EXPORT_KMS_KEY_ID"),
    )


def export_problems(export: SnapshotExport | None, region: str) -> Iterator[str]:
    """What stands in the way of an export, before anything is made."""
    if export is None:
        return
    if wrong := list(destination_problems(export, region)):
        yield from wrong
        return
    if Exports(region).task(export.identifier) is not None:
        yield (
            f"operation_id: it was used before: its export {export.identifier!r} exists in {region}. "
            "Start the execution under another name, or give another operation_id."
        )


def destination_problems(export: SnapshotExport, region: str) -> Iterator[str]:
    """Of bucket, role and key: the stack's as they were when the export was planned."""
    given = dict(zip(_PARAMETERS, (export.bucket, export.role_arn, export.kms_key_id), strict=True))
    missing = [parameter for parameter in _PARAMETERS if not given[parameter]]
    if missing:
        yield (
            f"archive_snapshot: 'export' needs the stack's {', '.join(missing)}. "
            "Set them and update the stack, or give delete or keep."
        )
        return
    yield from _bucket_problems(export.bucket, region)
    yield from role_problems(export.role_arn, EXPORTS, "archive_snapshot", "ExportRoleArn")
    key = encryption_key(export.kms_key_id, region)
    if key is None or key.state != "Enabled":
        state = key.state if key else "not there"
        yield (
            f"archive_snapshot: the key of the stack's ExportKmsKeyId, {export.kms_key_id!r}, is {state} in {region}. "
            f"Enable it, or set another: aws kms list-keys --region {region}"
        )


def _bucket_problems(bucket: str, region: str) -> Iterator[str]:
    answer = none_when("NoSuchBucket", lambda: client("s3", region).get_bucket_location(Bucket=bucket))
    if answer is None:
        yield (
            f"archive_snapshot: the stack's ExportBucketName, {bucket!r}, doesn't exist. Make it: "
            f"aws s3 mb s3://{bucket} --region {region}"
        )
    elif (found := _region_of(answer["LocationConstraint"])) != region:
        yield (
            f"archive_snapshot: the stack's ExportBucketName, {bucket!r}, is in {found}; RDS exports only within "
            f"{region}. Set a bucket of {region}."
        )


def _region_of(constraint: str | None) -> str:
    """S3's word for its two oldest regions is nothing, and EU."""
    return {None: "us-east-1", "": "us-east-1", "EU": "eu-west-1"}.get(constraint, constraint or "")


def begin_export(
    export: SnapshotExport, copy: SnapshotCopy | None, operation_id: str, target: Aurora, limits: StackLimits
) -> ExportTask | str:
    """Return the export, which is begun where it isn't yet; or why RDS can't begin with it for now.

    Raises StepFailed where the stack may not export the snapshot. An export that has begun is only followed.
    """
    exports = Exports(target.region)
    task = exports.task(export.identifier)
    if task is not None:
        return task
    prove_export_allowed(export, copy, operation_id, target, limits)
    return exports.start(export)


def export_progress(
    export: SnapshotExport,
    task: ExportTask | str,
    kept: str,
    region: str,
    began: dt.datetime,
    now: dt.datetime,
    unit: int,
) -> Archived:
    """Return how far the export is. `kept` is the snapshot that stays: an export can't be restored.

    Raises StepFailed when it has failed, was cancelled, or takes longer than the stack allows.
    """
    where = f"s3://{export.bucket}/{export.prefix}/{export.identifier}/"
    look = f"aws rds describe-export-tasks --export-task-identifier {export.identifier} --region {region}"
    if not isinstance(task, str) and task.source_arn != export.source_arn:
        raise StepFailed(
            f"The export {export.identifier} isn't of {export.source_arn} but of {task.source_arn}. It was left alone. "
            f"Find out who made it. {look}"
        )
    elapsed = (now - began).total_seconds()
    why = task if isinstance(task, str) else f"export {export.identifier} is {task.status} at {task.percent} %"
    if not isinstance(task, str):
        if task.is_complete:
            warning = f" (RDS warns: {task.warning})" if task.warning else ""
            why = f"exported to {where} as Parquet{warning}; {kept} is kept, since an export can't be restored"
            return Archived(deleted_snapshot_arn=None, why=why, exported_to=where)
        if task.is_broken:
            raise StepFailed(
                f"The export {export.identifier} to {where} is {task.status}: {task.failure_cause}. "
                f"{kept} is kept. Mend that, then resume, which exports under a new name. {look}"
            )
    hours = environment.whole_number("EXPORT_DEADLINE_HOURS")
    if elapsed >= hours * 3600:
        raise StepFailed(
            f"After {hours} hours: {why}. {kept} is kept. RDS goes on by itself; resume to follow it, or raise the "
            f"stack's ExportDeadlineHours. {look}"
        )
    percent = 0 if isinstance(task, str) else task.percent
    return Archived(
        deleted_snapshot_arn=None,
        why=why,
        ready=False,
        percent=percent,
        wait_seconds=seconds_to_wait(elapsed, unit, percent),
    )


def renewed(export: SnapshotExport, region: str) -> SnapshotExport:
    """The export that a resumed operation goes on with: one that has failed keeps its name for good."""
    name, number = export.identifier, 1
    exports = Exports(region)
    while (task := exports.task(name)) is not None and task.is_broken:
        number += 1
        name = f"{export.identifier}-{number}"
    return replace(export, identifier=name)
