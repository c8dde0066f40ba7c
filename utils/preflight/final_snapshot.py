"""Why RDS could not take a final snapshot: of a source cluster, and of a replaced one that others have created."""

from __future__ import annotations

from collections.abc import Iterator

from utils.aurora_utils import AuroraReader
from utils.aurora_utils.offers import encryption_key
from utils.aurora_utils.resources import Cluster
from utils.preflight.keys import how_to_enable


def final_snapshot_obstacles(cluster: Cluster, region: str) -> Iterator[str]:
    """Yield why RDS could not take a final snapshot of the cluster, under any name."""
    name = cluster.identifier
    if not cluster.is_restorable:
        yield (
            f"RDS cannot take a final snapshot of {name!r} yet: it reports no time to which the cluster could be "
            "restored, as long as the cluster's own restore is not complete. Wait until it reports one: aws rds "
            f"describe-db-clusters --db-cluster-identifier {name} --query 'DBClusters[0].LatestRestorableTime' "
            f"--region {region}"
        )
    key = cluster.encrypted_under
    if key is None:
        return
    found = encryption_key(key, region)
    if found is None:
        yield (
            f"the key of {name!r} ({key}) no longer exists, and no final snapshot can be taken without it. "
            f"To see the keys: aws kms list-keys --region {region}"
        )
    elif found.state != "Enabled":
        yield f"no final snapshot can be taken: the key of {name!r} ({key}) is {how_to_enable(found, region)}"


def final_snapshot_name_obstacles(
    final_snapshot: str, cluster: Cluster, source: AuroraReader, *, has_begun: bool
) -> Iterator[str]:
    """Yield why the name or the room is taken: a plan checks the room for all copies, here only one snapshot is left.

    RDS may report a cluster as available for a while after it accepted the deletion: then the snapshot is ours.
    """
    found = source.snapshot(final_snapshot)
    if found is not None and has_begun and found.cluster_resource_id == cluster.resource_id:
        return
    if found is not None:
        yield (
            f"a snapshot named {final_snapshot!r} exists in {source.region} already, and the final snapshot would bear "
            "its name. Look at it, and delete it if nobody needs it: aws rds describe-db-cluster-snapshots "
            f"--db-cluster-snapshot-identifier {final_snapshot} --region {source.region}"
        )
    room = source.room_for_snapshots()
    if room is not None and room < 1:
        yield (
            f"{source.region} has no room for one more manual snapshot, and the final snapshot is one. Delete some "
            "that nobody needs. What there is: aws rds describe-db-cluster-snapshots --snapshot-type manual "
            f"--region {source.region}"
        )
