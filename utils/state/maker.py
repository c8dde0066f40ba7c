"""The operation that has created a cluster, where this stack knows of it.

Others may set a tag too, or restore a cluster by hand and give it the tags that its model had. So the tag says which
record to look at, and the resource id that was recorded when the cluster was made proves it.
"""

from __future__ import annotations

import datetime as dt

from utils.aurora_utils import Cluster
from utils.aurora_utils.ownership import is_recorded_cluster
from utils.aurora_utils.resources import OPERATION_TAG
from utils.names import is_operation_id
from utils.state.operation import OperationRecord, OperationState


def maker_of(cluster: Cluster, execution_id: str, now: dt.datetime) -> OperationRecord | None:
    """Return the record of the operation that the cluster's tag names, and that has recorded its resource id."""
    named = cluster.tags.get(OPERATION_TAG, "")
    record = OperationState(named, execution_id, now).recall() if is_operation_id(named) else None
    return record if record is not None and is_recorded_cluster(cluster, record) else None


def has_given_protection(record: OperationRecord | None) -> bool:
    """Return whether the operation has given its cluster deletion protection, by its plan."""
    return record is not None and bool(record.plan.get("cluster", {}).get("deletion_protection"))
