"""The deletion of a replaced cluster that others created: never without a final snapshot, which outlives it.

The plan has decided the snapshot's name and tags (`utils.planning.replaced_deletion`). That the cluster may go at all
is decided by `utils.expiry.due`. Here is what RDS would refuse half-way, looked at before each call: instances are
deleted before their cluster, and a cluster whose snapshot fails would stand there without any.
"""

from __future__ import annotations

from utils import environment
from utils.aurora_utils import Aurora
from utils.aurora_utils.resources import Cluster, Snapshot
from utils.contracts.plan import ReplacedDeletion
from utils.errors import StepFailed, TemporaryFailure
from utils.preflight.deletion import backup_obstacles
from utils.preflight.final_snapshot import final_snapshot_name_obstacles, final_snapshot_obstacles
from utils.state.expiry import ExpiringCluster
from utils.steps.delete_calls import delete_with_instances
from utils.steps.final_snapshot import FinalSnapshot, settled_snapshot, why_lost


def prove_snapshot_possible(deletion: ReplacedDeletion, cluster: Cluster, aurora: Aurora, *, has_begun: bool) -> None:
    """Raise StepFailed where RDS could not take the final snapshot. TemporaryFailure: not at this moment."""
    name = deletion.final_snapshot_identifier
    obstacles = [
        *final_snapshot_obstacles(cluster, aurora.region),
        *final_snapshot_name_obstacles(name, cluster, aurora, has_begun=has_begun),
        *backup_obstacles(cluster, aurora, deletes_them=False),
    ]
    if obstacles:
        so_far = "Nothing more was deleted." if has_begun else "Nothing was deleted."
        raise StepFailed("\n".join([*obstacles, so_far]))
    if not cluster.is_available:
        raise TemporaryFailure(
            f"Cluster {cluster.identifier} is {cluster.status} at the moment, and RDS takes a final snapshot of an "
            "available one alone."
        )


def delete_with_final_snapshot(deletion: ReplacedDeletion, cluster: Cluster, aurora: Aurora) -> None:
    """Take the next step of the deletion. The automated backups stay for as long as their owner has them kept."""
    delete_with_instances(aurora, cluster, deletion.final_snapshot_identifier, keep_backups=True)


class FinalSnapshotOfOthers:
    """The final snapshot of one entry of the register, so long after its cluster was first seen to be gone."""

    def __init__(
        self, entry: ExpiringCluster, deletion: ReplacedDeletion, aurora: Aurora, elapsed_seconds: float
    ) -> None:
        self._final = FinalSnapshot(
            identifier=deletion.final_snapshot_identifier,
            cluster_identifier=entry.cluster_identifier,
            cluster_resource_id=entry.resource_id,
            tags=deletion.tags,
        )
        self._aurora, self._elapsed = aurora, elapsed_seconds

    def why_lost(self) -> str | None:
        """Return why there will never be one, the cluster being gone; None where there is, or may be one."""
        return why_lost(self._final, self._aurora.snapshot(self._final.identifier), self._aurora, self._elapsed)

    def settled(self) -> Snapshot | None:
        """Return it, available and tagged; None while it is waited for. Raise StepFailed where that takes too long."""
        return settled_snapshot(
            self._final, self._aurora, self._elapsed, environment.whole_number("DELETE_DEADLINE_HOURS")
        )
