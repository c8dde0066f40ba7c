"""What exists in the local Aurora, and how all that was added since goes at once, its servers and files included.

This is no operation of RDS's. Who shares one embedded AWS among many tests would otherwise keep every server and volume
of all of them until its end.
"""

from __future__ import annotations

from scripts.local_aws.aurora.addresses import publish, withdraw
from scripts.local_aws.aurora.global_databases import stop_replicating
from scripts.local_aws.aurora.managed_password import stop_managing
from scripts.local_aws.aurora.records import Cluster, Resource
from scripts.local_aws.aurora.region import all_backends
from scripts.local_aws.aurora.world import World


def existing(world: World) -> set[Resource]:
    """Return every cluster and snapshot of every account and region."""
    with world.lock:
        return {
            each
            for region in all_backends()
            for each in (*region.clusters.values(), *region.cluster_snapshots.values())
        }


def remove_all_but(world: World, kept: set[Resource]) -> None:
    """Remove every cluster and snapshot but the kept ones, in any state, and wait until their files are gone.

    Work that was begun ends before, so that it does not write into what is removed.
    """
    world.tasks.settle()
    with world.lock:
        for region in all_backends():
            for snapshot in set(region.cluster_snapshots.values()) - kept:
                snapshot.discard()
            for cluster in set(region.clusters.values()) - kept:
                _remove(cluster)
    world.tasks.settle()


def _remove(cluster: Cluster) -> None:
    region = cluster.region
    for member in cluster.members:
        member.rest("deleting")
        withdraw(member)
        del region.instances[member.identifier]
    cluster.elect_writer()
    publish(cluster)
    cluster.rest("deleting")
    del region.clusters[cluster.identifier]
    stop_managing(cluster)
    stop_replicating(cluster)
    if cluster.global_cluster:
        region.global_clusters[cluster.global_cluster].members.remove(cluster)
    region.world.tasks.start(cluster.postgres.destroy, name=f"destroy {cluster.identifier}")
