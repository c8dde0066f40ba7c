"""The restored cluster of an operation, under the name that it has now.

Where it replaces another cluster, names move between the two: then only its resource id says which one it is.
"""

from __future__ import annotations

from utils.aurora_utils import AuroraReader, Cluster
from utils.state.operation import OperationRecord


def restored_cluster(record: OperationRecord, aurora: AuroraReader, target_cluster_id: str) -> Cluster | None:
    """Return the cluster that the operation has restored, or None. Callers prove that it is the operation's."""
    if record.temporary_name is None:
        return aurora.cluster(target_cluster_id)
    if record.cluster_resource_id is None:
        return aurora.cluster(record.temporary_name)
    return aurora.cluster_with_id(record.cluster_resource_id)
