"""The final snapshot of a cluster that is gone: a source's, or that of a replaced cluster which others created.

RDS takes it before it deletes the cluster. Whether there is one is looked at afterwards all the same, because the name
proves nothing: somebody may have taken another snapshot of that name, or deleted this one.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from utils.aurora_utils import Aurora, AuroraReader
from utils.aurora_utils.resources import Snapshot
from utils.contracts.payloads import DeleteProgress
from utils.contracts.plan import SourceDeletion
from utils.errors import StepFailed

# RDS's answers may lag behind the calls that it accepted: for so long, a broken status or a missing snapshot proves
# nothing.
LAG_SECONDS = 20 * 60


class FinalSnapshot(Struct, frozen=True, kw_only=True):
    """A final snapshot as it was planned, and the cluster that it is of, which is gone."""

    identifier: str
    cluster_identifier: str
    cluster_resource_id: str
    tags: Mapping[str, str]


def final_snapshot_of(progress: DeleteProgress, deletion: SourceDeletion | None) -> FinalSnapshot | None:
    """Return the final snapshot that a deletion leaves; None where it was planned without, or no cluster is deleted."""
    if progress.final_snapshot_identifier is None or progress.cluster_resource_id is None:
        return None
    return FinalSnapshot(
        identifier=progress.final_snapshot_identifier,
        cluster_identifier=progress.cluster_identifier,
        cluster_resource_id=progress.cluster_resource_id,
        tags=deletion.tags if deletion else {},
    )


def settled_snapshot(
    final: FinalSnapshot, aurora: Aurora, elapsed_seconds: float, deadline_hours: int
) -> Snapshot | None:
    """Return the final snapshot, available and tagged as the operation's; None while it is waited for.

    Raises StepFailed where there is none, it is of another cluster, or it is not usable: the cluster is gone then.
    """
    snapshot = aurora.snapshot(final.identifier)
    if (why := why_lost(final, snapshot, aurora, elapsed_seconds)) is not None:
        raise StepFailed(why)
    if snapshot is None:
        return None
    if not snapshot.is_available:
        if elapsed_seconds >= deadline_hours * 3600:
            raise StepFailed(_unusable(final, snapshot, aurora))
        return None
    if not final.tags.items() <= snapshot.tags.items():
        aurora.tag_final_snapshot(snapshot.arn, final.tags)
    return snapshot


def why_lost(
    final: FinalSnapshot, snapshot: Snapshot | None, aurora: AuroraReader, elapsed_seconds: float
) -> str | None:
    """Return why there is no final snapshot, and will be none; None where there is, or may be one."""
    name = final.identifier
    if snapshot is None:
        if elapsed_seconds < LAG_SECONDS:
            return None
        return (
            f"Cluster {final.cluster_identifier} is gone and its final snapshot {name} does not exist: somebody "
            f"else deleted one of them (CloudTrail, DeleteDBCluster, DeleteDBClusterSnapshot). What is left "
            f"of its data: aws rds describe-db-cluster-snapshots --region {aurora.region} "
            f"--db-cluster-identifier {final.cluster_identifier}"
        )
    if snapshot.cluster_resource_id not in (None, final.cluster_resource_id):
        return (
            f"Snapshot {name} is of {snapshot.cluster_resource_id}, not of {final.cluster_identifier} "
            f"({final.cluster_resource_id}), which is gone. It was left alone. Look at it: aws rds "
            f"describe-db-cluster-snapshots --db-cluster-snapshot-identifier {name} --region {aurora.region}"
        )
    return _unusable(final, snapshot, aurora) if snapshot.is_broken else None


def _unusable(final: FinalSnapshot, snapshot: Snapshot, aurora: AuroraReader) -> str:
    return (
        f"The final snapshot {final.identifier} is {snapshot.status} at {snapshot.percent} %, and cluster "
        f"{final.cluster_identifier} is gone. Keep the restored cluster, and ask AWS Support about "
        f"the snapshot: aws rds describe-db-cluster-snapshots --db-cluster-snapshot-identifier {final.identifier} "
        f"--region {aurora.region}"
    )
