"""The export of a restored snapshot as Parquet files, as it is planned."""

from __future__ import annotations

from utils import environment
from utils.contracts.plan import ClusterPlan, SnapshotExport
from utils.names import name_for
from utils.request.fields import RestoreRequest

# An export's name has at most 60 characters, and a resumed operation may have to number it.
_LONGEST_BASE = 36
_PREFIX = "aurora-restore"


def plan_export(
    request: RestoreRequest, cluster: ClusterPlan, source_id: str, operation_id: str
) -> SnapshotExport | None:
    """Return the export of the snapshot that the cluster is restored from, if one is requested."""
    if request.archive_snapshot != "export":
        return None
    return SnapshotExport(
        identifier=name_for("export", source_id[:_LONGEST_BASE].rstrip("-"), operation_id),
        source_arn=cluster.snapshot_arn,
        bucket=environment.optional("EXPORT_BUCKET"),
        prefix=_PREFIX,
        role_arn=environment.optional("EXPORT_ROLE_ARN"),
        kms_key_id=environment.optional("EXPORT_KMS_KEY_ID"),
    )
