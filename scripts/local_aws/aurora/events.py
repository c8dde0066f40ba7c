"""The events of RDS: one message for each thing that happened to a cluster or an instance.

The messages are those of the Aurora guide, "Amazon RDS event categories and event messages for Aurora".
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from scripts.local_aws.aurora import rules
from scripts.local_aws.aurora.records import Cluster, Instance
from scripts.local_aws.aurora.region import AuroraBackend, operation

# RDS-EVENT-0354 of a cluster, with its reason, and RDS-EVENT-0031 of an instance, with its state.
CLUSTER_FAILED = "You can't create the DB cluster because of incompatible resources."
INSTANCE_FAILED = "DB instance put into {} state. RDS recommends that you initiate a point-in-time-restore."
_SOURCE_TYPES = {Cluster.kind: "db-cluster", Instance.kind: "db-instance"}


def report(resource: Cluster | Instance, message: str, category: str) -> None:
    """Add one event of a cluster or an instance."""
    resource.region.events.append(
        {
            "SourceIdentifier": resource.identifier,
            "SourceType": _SOURCE_TYPES[resource.kind],
            "SourceArn": resource.arn,
            "Message": message,
            "EventCategories": [category],
            "Date": resource.region.world.clock.now(),
        }
    )


@operation("DescribeEvents", "SourceIdentifier SourceType StartTime EndTime Duration EventCategories MaxRecords Marker")
def describe_events(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Describe the last hour unless a time is given, and never more than 14 days (API reference, DescribeEvents)."""
    if "SourceIdentifier" in parameters and "SourceType" not in parameters:
        rules.refuse_combination("SourceType must be provided if SourceIdentifier is provided.")
    now = region.world.clock.now()
    start = _in_utc(parameters.get("StartTime")) or now - dt.timedelta(minutes=int(parameters.get("Duration", 60)))
    earliest = max(start, now - dt.timedelta(days=14))
    latest = _in_utc(parameters.get("EndTime")) or now
    wanted = set(parameters.get("EventCategories", []))
    found = [
        each
        for each in region.events
        if earliest <= each["Date"] <= latest
        and parameters.get("SourceType") in (None, each["SourceType"])
        and parameters.get("SourceIdentifier", "").lower() in ("", each["SourceIdentifier"])
        and (not wanted or wanted & set(each["EventCategories"]))
    ]
    return rules.listing("Events", found, parameters)


def _in_utc(moment: dt.datetime | None) -> dt.datetime | None:
    """Return the moment in UTC: the protocol's times are, whether or not they say so."""
    return moment.replace(tzinfo=dt.UTC) if moment and moment.tzinfo is None else moment
