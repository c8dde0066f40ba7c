"""What no request may delete: what is tagged as protected, what the stack's pattern leaves out, what others depend on.

The role's policy says the same. But IAM judges each call by itself, and instances go before their cluster: a protected
cluster would have lost all its instances by the time that IAM refuses the cluster's own deletion.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from utils import environment
from utils.aurora_utils.client import AuroraReader
from utils.aurora_utils.resources import PROTECTED_TAG, Cluster


def protecting_tag(cluster: Cluster, aurora: AuroraReader) -> str | None:
    """Which of a cluster and its instances is tagged as protected, as a clause about the cluster; None when none is."""
    protected = [each.identifier for each in (cluster, *aurora.instances_of(cluster.identifier)) if each.is_protected]
    return f"is protected by the tag {PROTECTED_TAG} = true on {', '.join(protected)}" if protected else None


def why_not_deletable(cluster: Cluster, aurora: AuroraReader) -> str | None:
    """Why a source cluster has to stay, whatever the request says; None when it may go."""
    pattern = environment.text("DELETABLE_CLUSTER_PATTERN")
    if not fnmatchcase(cluster.identifier, pattern):
        return f"does not match the stack's DeletableClusterPattern ({pattern}), so it must not be deleted"
    names = environment.text("DELETABLE_INSTANCE_PATTERN")
    if others := [each for each in cluster.member_identifiers if not fnmatchcase(each, names)]:
        return (
            f"has instances ({', '.join(others)}) that do not match the stack's DeletableInstancePattern ({names}), so "
            "they must not be deleted"
        )
    if cluster.global_cluster:
        return f"belongs to the global database {cluster.global_cluster}, and has to be removed from it first"
    if cluster.replicas:
        return f"feeds the replicas {', '.join(cluster.replicas)}, which have to be promoted or deleted first"
    if cluster.replication_source:
        return f"is a replica of {cluster.replication_source}, and has to be promoted first"
    return protecting_tag(cluster, aurora)
