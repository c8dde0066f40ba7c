"""Maintenance that is pending for a cluster or an instance, as RDS reports it."""

from __future__ import annotations

import datetime as dt

from msgspec import Struct

from utils.aws import client


class PendingMaintenance(Struct, frozen=True, kw_only=True):
    """What AWS is going to do to a cluster or an instance (API reference, PendingMaintenanceAction).

    `is_opted_in`: somebody has asked for it at once. `forced_from`: the date from which AWS waits for no maintenance
    window, though it may be days late. `applies_from`: the date that follows from everybody's wishes, from which on the
    next maintenance window counts; None while the action is only on offer.
    """

    action: str
    is_opted_in: bool
    forced_from: dt.datetime | None
    applies_from: dt.datetime | None


def pending_maintenance_of(resource_arn: str, region: str) -> list[PendingMaintenance]:
    """Return what AWS is going to do to one cluster or one instance."""
    paginator = client("rds", region).get_paginator("describe_pending_maintenance_actions")
    return [
        PendingMaintenance(
            action=action.get("Action", ""),
            is_opted_in=action.get("OptInStatus") == "immediate",
            forced_from=action.get("ForcedApplyDate"),
            applies_from=action.get("CurrentApplyDate"),
        )
        for page in paginator.paginate(ResourceIdentifier=resource_arn)
        for each in page["PendingMaintenanceActions"]
        for action in each.get("PendingMaintenanceActionDetails", [])
    ]
