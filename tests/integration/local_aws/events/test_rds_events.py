"""What RDS does reaches EventBridge and DescribeEvents, by the ids and messages of the Aurora guide.

"Amazon RDS event categories and event messages for Aurora", and "Examples of Amazon RDS events".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scripts.local_aws.aurora.service import EventDelivery
from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora_support import (
    Answer,
    add_instance,
    create,
    name,
    new_cluster,
    restore,
    running_cluster,
    take_snapshot,
)
from tests.integration.local_aws.conftest import put_rule, wait_until

ARN = "arn:aws:rds:us-east-1:123456789012"
Told = list[tuple[float, str, Answer]]


@pytest.fixture
def told(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Told:
    """When EventBridge was told what: the moment, the detail-type and the detail."""
    found: Told = []
    send = aws.aurora.send_event

    def listen(account: str, region: str, kind: str, detail: dict[str, object]) -> None:
        found.append((aws.clock.time(), kind, detail))
        send(account, region, kind, detail)

    monkeypatch.setattr(aws.aurora, "send_event", listen)
    return found


@pytest.fixture
def delivered(aws: LocalAws) -> Iterator[Callable[[EventDelivery], None]]:
    """delivered(EventDelivery(lost=True)): for the rest of the test."""
    before = aws.aurora.event_delivery
    yield lambda delivery: setattr(aws.aurora, "event_delivery", delivery)
    aws.aurora.event_delivery = before


def ids_of(told: Told, identifier: str) -> list[str]:
    return [detail["EventID"] for _, _, detail in told if detail["SourceIdentifier"] == identifier]


def recorded(aws: LocalAws, kind: str, identifier: str) -> list[tuple[str, list[str]]]:
    asked: Answer = {"SourceType": kind, "SourceIdentifier": identifier, "Duration": 14 * 1440}
    found = aws.client("rds").describe_events(**asked)["Events"]
    return [(each["Message"], each["EventCategories"]) for each in found]


def test_a_rule_gets_an_event_of_rds_as_the_guide_shows_it(
    aws: LocalAws, inbox: tuple[str, Callable[[], list[Any]]]
) -> None:
    topic, read = inbox
    identifier = name("created")
    pattern = {"source": ["aws.rds"], "detail": {"EventID": ["RDS-EVENT-0170"], "SourceIdentifier": [identifier]}}
    put_rule(aws, pattern, {"Arn": topic})
    new_cluster(aws, identifier)
    wait_until(read, "the event")
    [event] = read()
    arn = f"{ARN}:cluster:{identifier}"
    assert (event["source"], event["detail-type"], event["resources"]) == ("aws.rds", "RDS DB Cluster Event", [arn])
    assert (event["account"], event["region"]) == ("123456789012", "us-east-1")
    date = event["detail"].pop("Date")
    assert abs(dt.datetime.fromisoformat(date) - aws.clock.now()) < dt.timedelta(seconds=5)
    assert date.endswith("Z")
    assert event["detail"] == {
        "EventCategories": ["creation"],
        "SourceType": "CLUSTER",
        "SourceArn": arn,
        "Message": "DB cluster created",
        "SourceIdentifier": identifier,
        "EventID": "RDS-EVENT-0170",
    }


def test_the_life_of_a_cluster_is_told(aws: LocalAws, told: Told) -> None:
    rds, durations = aws.client("rds"), aws.aurora.durations
    snapshot = take_snapshot(aws, new_cluster(aws, name("source"))["DBClusterIdentifier"])
    identifier = restore(aws, snapshot)["DBClusterIdentifier"]
    aws.clock.sleep(durations.restore_cluster + 1)
    rds.modify_db_cluster(DBClusterIdentifier=identifier, MasterUserPassword="Another-pass-2", ApplyImmediately=True)
    aws.clock.sleep(durations.reset_without_instances + 1)
    member, reader = add_instance(aws, identifier), add_instance(aws, identifier)
    aws.clock.sleep(durations.create_instance + 3 * durations.settle)
    writer = aws.aurora.cluster(identifier).writer
    target = next(each for each in (member, reader) if writer and each != writer.identifier)
    rds.failover_db_cluster(DBClusterIdentifier=identifier, TargetDBInstanceIdentifier=target)
    aws.clock.sleep(durations.failover + 1)
    assert recorded(aws, "db-cluster", identifier) == [
        ("DB cluster created", ["creation"]),
        ("Reset master credentials", ["configuration change"]),
        (f"Completed failover to DB instance: {target}", ["failover"]),
    ]
    renamed = name("renamed")
    rds.modify_db_cluster(DBClusterIdentifier=identifier, NewDBClusterIdentifier=renamed, ApplyImmediately=True)
    aws.clock.sleep(durations.rename_cluster + 1)
    for each in (member, reader):
        rds.delete_db_instance(DBInstanceIdentifier=each, SkipFinalSnapshot=True)
    rds.delete_db_cluster(DBClusterIdentifier=renamed, SkipFinalSnapshot=True)
    aws.clock.sleep(durations.delete_instance + durations.delete_cluster + 2)
    assert recorded(aws, "db-cluster", renamed) == [
        (f"Renamed cluster from {identifier} to {renamed}", ["notification"]),
        ("DB cluster deleted", ["deletion"]),
    ]
    assert recorded(aws, "db-instance", member) == [
        ("DB instance created", ["creation"]),
        ("DB instance deleted", ["deletion"]),
    ]
    assert ids_of(told, identifier) == ["RDS-EVENT-0170", "RDS-EVENT-0016", "RDS-EVENT-0071"]
    assert ids_of(told, renamed) == ["RDS-EVENT-0172", "RDS-EVENT-0171"]
    assert ids_of(told, member) == ["RDS-EVENT-0005", "RDS-EVENT-0003"]
    of_member = next(each for each in told if each[2]["SourceIdentifier"] == member)
    assert (of_member[1], of_member[2]["SourceType"]) == ("RDS DB Instance Event", "DB_INSTANCE")
    assert of_member[2]["SourceArn"] == f"{ARN}:db:{member}"


def test_failures_are_told(aws: LocalAws, told: Told) -> None:
    snapshot = take_snapshot(aws, new_cluster(aws, name("source"))["DBClusterIdentifier"])
    failing, member = name("failing"), name("member")
    aws.faults.add(lifecycle="restore-cluster", identifier=failing, status="incompatible-restore")
    restore(aws, snapshot, DBClusterIdentifier=failing)
    aws.clock.sleep(aws.aurora.durations.restore_cluster + 1)
    assert ids_of(told, failing) == ["RDS-EVENT-0354"]
    aws.faults.add(lifecycle="create-instance", identifier=member, status="incompatible-network")
    add_instance(aws, new_cluster(aws, name("source"))["DBClusterIdentifier"], DBInstanceIdentifier=member)
    aws.clock.sleep(aws.aurora.durations.create_instance + 1)
    assert ids_of(told, member) == ["RDS-EVENT-0031"]


def test_a_copy_and_changed_security_groups_are_told_by_nothing(aws: LocalAws, told: Told) -> None:
    rds = aws.client("rds")
    found = running_cluster(aws, name("source"))
    identifier = found["DBClusterIdentifier"]
    snapshot = take_snapshot(aws, identifier)
    began = len(told)
    copy = {"SourceDBClusterSnapshotIdentifier": snapshot, "TargetDBClusterSnapshotIdentifier": name("copy")}
    rds.copy_db_cluster_snapshot(**copy)
    groups = [each["VpcSecurityGroupId"] for each in found["VpcSecurityGroups"]]
    rds.modify_db_cluster(DBClusterIdentifier=identifier, VpcSecurityGroupIds=groups, ApplyImmediately=True)
    aws.clock.sleep(aws.aurora.durations.copy_snapshot + 1)
    assert told[began:] == []


def test_events_can_be_lost(aws: LocalAws, told: Told, delivered: Callable[[EventDelivery], None]) -> None:
    delivered(EventDelivery(lost=True))
    identifier = new_cluster(aws, name("lost"))["DBClusterIdentifier"]
    assert told == []
    assert recorded(aws, "db-cluster", identifier) == [("DB cluster created", ["creation"])]


def test_events_can_come_late(aws: LocalAws, told: Told, delivered: Callable[[EventDelivery], None]) -> None:
    delivered(EventDelivery(late_seconds=90))
    began = aws.clock.time()
    identifier = new_cluster(aws, name("late"))["DBClusterIdentifier"]
    assert told == []
    aws.clock.sleep(91)
    [(moment, _, detail)] = told
    created = aws.aurora.durations.create_cluster
    assert created + 90 <= moment - began < created + 95
    assert detail["SourceIdentifier"] == identifier
    happened = dt.datetime.fromisoformat(detail["Date"]).timestamp()
    assert created - 1 <= happened - began < created + 5


def test_events_can_come_before_what_they_tell_of(
    aws: LocalAws, told: Told, delivered: Callable[[EventDelivery], None]
) -> None:
    delivered(EventDelivery(early=True))
    identifier = create(aws, name("early"))["DBClusterIdentifier"]
    assert ids_of(told, identifier) == ["RDS-EVENT-0170"]
    assert aws.aurora.cluster(identifier).status == "creating"
    assert recorded(aws, "db-cluster", identifier) == []
    aws.clock.sleep(aws.aurora.durations.create_cluster + 1)
    assert ids_of(told, identifier) == ["RDS-EVENT-0170"]
    assert recorded(aws, "db-cluster", identifier) == [("DB cluster created", ["creation"])]
