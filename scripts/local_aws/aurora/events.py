"""The events of RDS: one message for each thing that happened to a cluster or an instance.

Ids, messages and categories are those of the Aurora guide, "Amazon RDS event categories and event messages for Aurora";
its tables end each message with a full stop, which the messages do not have in its examples ("Database cluster has been
patched"). EventBridge gets them in the shape of these examples ("Examples of Amazon RDS events"), without the tags of
the resource, which belong to an event as well.

Not documented, and decided here:

* when RDS-EVENT-0170 and RDS-EVENT-0005 come, relative to `available`: right after the status has changed;
* that a restore reports 0170 as a creation does: no other event is documented for it;
* whether a copied cluster snapshot and changed security groups are reported: no event is documented, so none comes;
* whether what does not reach EventBridge is missing in DescribeEvents, too: that has everything here, and at once.

RDS sends events "on a best effort basis"; they "might be out of sequence or missing" (guide, "Monitoring Amazon Aurora
events"). World.event_delivery has them lost, late or early.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from scripts.local_aws.aurora import rules
from scripts.local_aws.aurora.records import Cluster, Instance
from scripts.local_aws.aurora.region import AuroraBackend, operation


class Event(NamedTuple):
    """One kind of event. The message's braces are filled with what `report` is given."""

    event_id: str
    message: str
    category: str


CLUSTER_CREATED = Event("RDS-EVENT-0170", "DB cluster created", "creation")
CLUSTER_DELETED = Event("RDS-EVENT-0171", "DB cluster deleted", "deletion")
CLUSTER_RENAMED = Event("RDS-EVENT-0172", "Renamed cluster from {} to {}", "notification")
CLUSTER_STOPPED = Event("RDS-EVENT-0150", "DB cluster stopped", "notification")
CLUSTER_STARTED = Event("RDS-EVENT-0151", "DB cluster started", "notification")
CLUSTER_FAILED_OVER = Event("RDS-EVENT-0071", "Completed failover to DB instance: {}", "failover")
PASSWORD_RESET = Event("RDS-EVENT-0016", "Reset master credentials", "configuration change")
INSTANCE_CREATED = Event("RDS-EVENT-0005", "DB instance created", "creation")
INSTANCE_DELETED = Event("RDS-EVENT-0003", "DB instance deleted", "deletion")
INSTANCE_RESTARTED = Event("RDS-EVENT-0006", "DB instance restarted", "availability")
CLUSTER_FAILED = Event(
    "RDS-EVENT-0354", "You can't create the DB cluster because of incompatible resources. {}.", "failure"
)
INSTANCE_FAILED = Event(
    "RDS-EVENT-0031",
    "DB instance put into {} state. RDS recommends that you initiate a point-in-time-restore.",
    "failure",
)
# The guide has this id among those of instances alone.
PASSWORD_NOT_RESET = Event(
    "RDS-EVENT-0067", "An attempt to reset the master password for the DB cluster has failed.", "failure"
)
# What the API, `SourceType` in EventBridge and its `detail-type` call a kind of resource.
_KINDS = {Cluster.kind: ("db-cluster", "CLUSTER", "Cluster"), Instance.kind: ("db-instance", "DB_INSTANCE", "Instance")}


def announce(resource: Cluster | Instance, event: Event, *words: str) -> None:
    """Send an event to EventBridge before its work is done, if events come early. Call it where the work begins."""
    if resource.region.world.event_delivery.early:
        _send(resource, event, event.message.format(*words))


def report(resource: Cluster | Instance, event: Event, *words: str) -> None:
    """Record that something has happened to a cluster or an instance, and send it to EventBridge.

    Where events come early this one has been announced, unless it is a failure, which nobody can announce.
    """
    world, message = resource.region.world, event.message.format(*words)
    resource.region.events.append(
        {
            "SourceIdentifier": resource.identifier,
            "SourceType": _KINDS[resource.kind][0],
            "SourceArn": resource.arn,
            "Message": message,
            "EventCategories": [event.category],
            "Date": world.clock.now(),
        }
    )
    if not world.event_delivery.early or event.category == "failure":
        _send(resource, event, message)


def _send(resource: Cluster | Instance, event: Event, message: str) -> None:
    region = resource.region
    world, delivery = region.world, region.world.event_delivery
    _, source_type, kind = _KINDS[resource.kind]
    detail: dict[str, object] = {
        "EventCategories": [event.category],
        "SourceType": source_type,
        "SourceArn": resource.arn,
        "Date": world.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "Message": message,
        "SourceIdentifier": resource.identifier,
        "EventID": event.event_id,
    }

    def send() -> None:
        world.send_event(region.account_id, region.region_name, f"RDS DB {kind} Event", detail)

    if delivery.lost:
        return
    if delivery.late_seconds:
        world.clock.call_at(world.clock.time() + delivery.late_seconds, send)
    else:
        send()


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
