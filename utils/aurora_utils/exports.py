"""Exports of snapshots to S3, as RDS writes them: the tables as Parquet files, from which no cluster can be restored.

Sources: Aurora User Guide, "Exporting DB cluster snapshot data to Amazon S3"; the API's ExportTask shape.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from msgspec import Struct
from msgspec.structs import replace

from utils.aws import client
from utils.aws_errors import error_code, none_when
from utils.contracts.plan import SnapshotExport
from utils.errors import TemporaryFailure

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient


class ExportTask(Struct, frozen=True, kw_only=True):
    """An export as RDS describes it."""

    identifier: str
    status: str
    percent: int
    source_arn: str
    failure_cause: str
    warning: str
    # RDS's own times, as far as it reports them (API reference, ExportTask).
    started_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None

    @property
    def seconds(self) -> float | None:
        """Return how long the export took, once it has ended."""
        return (self.ended_at - self.started_at).total_seconds() if self.started_at and self.ended_at else None

    @property
    def is_complete(self) -> bool:
        """Return whether all of the tables are exported."""
        return self.status == "complete"

    @property
    def is_running(self) -> bool:
        """Return whether it can still be cancelled."""
        return self.status in ("starting", "in_progress")

    @property
    def is_cancelled(self) -> bool:
        """Return whether the export was cancelled, or is being."""
        return self.status in ("canceling", "canceled")

    @property
    def is_broken(self) -> bool:
        """Return whether the export has failed, or was or is being cancelled."""
        return self.status == "failed" or self.is_cancelled


# Five exports at a time, and one of a snapshot: room comes when another one ends. The first code is not in the API's
# model. People quote it: "An error occurred (ExportTaskLimitReachedFault) when calling the StartExportTask operation:
# You have reached the limit of 5 concurrent export tasks", and public handlers wait on it.
_NOT_YET = ("ExportTaskLimitReachedFault", "InvalidExportSourceState")


class Exports:
    """The exports of the snapshots in one region."""

    def __init__(self, region: str) -> None:
        self._rds: RDSClient = client("rds", region)

    def task(self, identifier: str) -> ExportTask | None:
        """Return the export of this name, or None."""
        answer = none_when(
            "ExportTaskNotFound", lambda: self._rds.describe_export_tasks(ExportTaskIdentifier=identifier)
        )
        found = answer["ExportTasks"] if answer else []
        return _read(found[0]) if found else None

    def start(self, export: SnapshotExport) -> ExportTask | str:
        """Start the export, which RDS continues by itself; or return why RDS does not begin it yet.

        Whether one that existed already is of this snapshot is for the caller to check.
        """
        try:
            answer = self._rds.start_export_task(
                ExportTaskIdentifier=export.identifier,
                SourceArn=export.source_arn,
                S3BucketName=export.bucket,
                S3Prefix=export.prefix,
                IamRoleArn=export.role_arn,
                KmsKeyId=export.kms_key_id,
            )
        except ClientError as error:
            if error_code(error) in _NOT_YET:
                return str(error)
            if error_code(error) != "ExportTaskAlreadyExists":
                raise
            existing = self.task(export.identifier)
            if existing is None:
                raise TemporaryFailure(
                    f"RDS answers that the export {export.identifier} exists, and does not show it at this moment."
                ) from error
            return existing
        return _read(answer)

    def cancel(self, task: ExportTask) -> bool:
        """Cancel an export. Return False where it has ended since. What it has written to the bucket stays there.

        Source: the API's CancelExportTask, whose error says that an export task that has completed cannot be cancelled.
        """
        answer = none_when(
            "InvalidExportTaskStateFault", lambda: self._rds.cancel_export_task(ExportTaskIdentifier=task.identifier)
        )
        return answer is not None


def _read(raw: Any) -> ExportTask:
    return ExportTask(
        identifier=raw["ExportTaskIdentifier"],
        status=raw["Status"].lower(),
        percent=raw.get("PercentProgress", 0),
        source_arn=raw.get("SourceArn", ""),
        failure_cause=raw.get("FailureCause") or "no cause was given",
        warning=raw.get("WarningMessage") or "",
        started_at=raw.get("TaskStartTime"),
        ended_at=raw.get("TaskEndTime"),
    )


def renewed(export: SnapshotExport, region: str) -> SnapshotExport:
    """Return the export that a resumed operation continues: one that has failed keeps its name for good."""
    name, number = export.identifier, 1
    exports = Exports(region)
    while (task := exports.task(name)) is not None and task.is_broken:
        number += 1
        name = f"{export.identifier}-{number}"
    return replace(export, identifier=name)
