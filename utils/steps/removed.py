"""What stays known of a cluster that an operation has created and deleted again: the proof of both.

The record forgets such a cluster, because a resumed operation creates another one. The evidence needs both.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from utils.aurora_utils.resources import Cluster
from utils.state.operation import OperationRecord
from utils.state.values import iso


def removal_begun(cluster: Cluster, record: OperationRecord, now: dt.datetime, *, ends_drill: bool) -> dict[str, Any]:
    """Return what is known of a cluster right before it is deleted. A repeated call returns what the first one did.

    `ready_at`: since when the cluster of a drill was as it was asked for. None where the operation has failed.
    """
    known = record.removed_here
    if known.get("resource_id") == cluster.resource_id and (known["ready_at"] is not None) == ends_drill:
        return known
    named = {"identifier": cluster.identifier, "resource_id": cluster.resource_id}
    groups = cluster.security_groups.ids
    return named | {"security_groups": groups, **_known(record, iso(now) if ends_drill else None), "began_at": iso(now)}


def found_gone(record: OperationRecord, target_cluster_id: str) -> dict[str, Any]:
    """Return what is known of a drill's cluster that is gone: as it was right before the drill has deleted it.

    Without `began_at`, somebody else has deleted it.
    """
    if record.removed.get("resource_id") == record.cluster_resource_id:
        return record.removed
    named = {"identifier": record.named(target_cluster_id), "resource_id": record.cluster_resource_id}
    return named | {"security_groups": [], **_known(record, None), "began_at": None}


def _known(record: OperationRecord, ready_at: str | None) -> dict[str, Any]:
    return {
        "created_at": record.cluster_asked_at,
        "endpoint": record.endpoint or (record.users or {}).get("endpoint"),
        "ready_at": ready_at,
        "users_ready_at": record.users_ready_at,
        "login_proven_at": record.login_proven_at,
        "masked_at": record.masked_at,
        "masking_findings": record.masking.get("findings", []),
        "verified_at": record.verified_at,
        "verification": record.verification if "held" in record.verification else {},
        "locked_logins": record.logins_locked,
        "differences": record.differences,
        "settings_compared_at": record.settings_compared_at,
    }
