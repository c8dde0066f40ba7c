"""The door of a cluster: the stack's security group that admits the pipeline alone.

The door is shut while a cluster is in that group and in no other. Every question about it is answered here, from the
groups that RDS has on record for the cluster and its instances.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from utils.aurora_utils.resources import Cluster, Instance
from utils.contracts.swap import Door


def is_shut(group_ids: Sequence[str], door: str) -> bool:
    """Return whether these groups admit the pipeline alone."""
    return list(group_ids) == [door]


def is_door_shut(cluster: Cluster, door: str) -> bool:
    """Return whether RDS has the door's group on record for a cluster, and no other, not even one that is leaving."""
    return is_shut(cluster.security_groups.ids, door)


def door_of(cluster: Cluster, instances: Iterable[Instance], door: str) -> Door:
    """Return how far the door is. It is shut, or open, once that is settled on the cluster and on every instance."""
    groups = cluster.security_groups
    settled = groups.are(groups.ids) and all(each.security_groups.are(groups.ids) for each in instances)
    if groups.are_to_be([door]):
        return "shut" if settled else "shutting"
    return "open" if settled else "opening"


def admits_pipeline(each: Cluster | Instance, door: str) -> bool:
    """Return whether the door's group is among the groups, and none of them is still changing."""
    return door in each.security_groups.ids and not each.security_groups.unsettled


def beside_the_door(cluster: Cluster, door: str) -> list[str]:
    """Return the groups other than the door's that the cluster is in, planned or not: its owner decides."""
    return [group for group in cluster.security_groups.staying if group != door]
