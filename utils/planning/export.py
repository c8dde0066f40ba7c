"""The export of a restored snapshot as Parquet files, as it is planned."""

from __future__ import annotations

from utils import environment
from utils.aurora_utils import Snapshot
from utils.contracts.plan import SnapshotExport
from utils.contracts.route import SnapshotCopy
from utils.names import name_for
from utils.request.fields import RestoreRequest

# An export's name has at most 60 characters, and a resumed operation may have to number it.
_LONGEST_BASE = 36
_PREFIX = "aurora-restore"


def plan_export(
    request: RestoreRequest, snapshot: Snapshot, copy: SnapshotCopy | None, operation_id: str
) -> SnapshotExport | None:
    """Return the export of the copy, or of the found snapshot if that is restored directly, if one is requested."""
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
