"""What ties a cluster to others from which it gets its data, or which get theirs from it, as clauses about the cluster.

What follows from that, and who has to end it, is said by who asks.
"""

from __future__ import annotations

from utils.aurora_utils.resources import Cluster


def global_membership(cluster: Cluster) -> str | None:
    """Return that the cluster is in a global database; None if it is in none."""
    return f"belongs to the global database {cluster.global_cluster}" if cluster.global_cluster else None


def replicas_fed(cluster: Cluster) -> str | None:
    """Return that other clusters are replicas of this one; None if none are."""
    return f"feeds the replicas {', '.join(cluster.replicas)}" if cluster.replicas else None
