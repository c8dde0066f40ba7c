"""What AWS ties to a cluster itself: each is refused by name, and a look that is not allowed refuses as well."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.fakes.rds import FakeRds
from tests.unit.fakes.sharing import FakeSharing
from tests.unit.support import NOW, REGION, TARGET
from utils.aurora_utils import AuroraReader
from utils.preflight.dependents import dependent_refusals
from utils.preflight.maintenance import PLANNED_AHEAD, maintenance_refusals

ARN = f"arn:aws:rds:{REGION}:123456789012:cluster:{TARGET}"
MEMBER = f"{TARGET}-1"
MEMBER_ARN = f"arn:aws:rds:{REGION}:123456789012:db:{MEMBER}"
OTHER = f"arn:aws:rds:{REGION}:123456789012:cluster:another"
HOUR = dt.timedelta(hours=1)


@pytest.fixture(autouse=True)
def live(rds: FakeRds) -> dict[str, Any]:
    made: dict[str, Any] = rds.add_cluster(TARGET)
    rds.add_instance(MEMBER, TARGET)
    return made


def refusals() -> list[str]:
    cluster = AuroraReader(REGION).cluster(TARGET)
    assert cluster is not None
    return list(dependent_refusals(cluster, REGION))


def maintenance() -> list[str]:
    reader = AuroraReader(REGION)
    cluster = reader.cluster(TARGET)
    assert cluster is not None
    return maintenance_refusals(cluster, reader.instances_of(TARGET), NOW, REGION)


def test_a_cluster_on_which_nobody_depends_is_not_refused() -> None:
    assert refusals() == []
    assert maintenance() == []


@pytest.mark.parametrize(
    "target",
    [
        {"Type": "TRACKED_CLUSTER", "RdsResourceId": TARGET},
        {"Type": "RDS_INSTANCE", "RdsResourceId": "somebody", "TrackedClusterId": TARGET},
        {"Type": "RDS_INSTANCE", "RdsResourceId": MEMBER},
        {"Type": "TRACKED_CLUSTER", "TargetArn": ARN},
        {"Type": "TRACKED_CLUSTER", "RdsResourceId": "cluster-USEAST10001"},
    ],
)
def test_a_proxy_that_leads_to_it_is_named_with_what_ends_that(rds: FakeRds, target: dict[str, Any]) -> None:
    rds.add_proxy("of-another", {"Type": "TRACKED_CLUSTER", "RdsResourceId": "another"})
    rds.add_proxy("orders-proxy", target)
    (said,) = refusals()
    assert said.startswith("is the target of RDS Proxy orders-proxy, ")
    ends = f"--db-proxy-name orders-proxy --db-cluster-identifiers {TARGET} --region {REGION}"
    assert said.endswith(f"aws rds deregister-db-proxy-targets {ends}")


def test_proxies_of_other_engines_are_not_asked_for_their_targets(rds: FakeRds) -> None:
    rds.add_proxy("of-mysql", family="MYSQL")
    assert refusals() == []
    assert "DescribeDBProxyTargets" not in rds.operations()


def test_a_proxy_that_is_deleted_between_two_looks_is_no_obstacle(rds: FakeRds) -> None:
    rds.add_proxy("orders-proxy", {"RdsResourceId": TARGET})
    rds.refuse("DescribeDBProxyTargets", "DBProxyNotFoundFault", status=404)
    assert refusals() == []


@pytest.mark.parametrize(
    "part",
    [
        {"Source": ARN},
        {"Source": OTHER, "Target": ARN},
        {"Source": OTHER, "SwitchoverDetails": [{"SourceMember": ARN, "TargetMember": OTHER}]},
    ],
)
@pytest.mark.parametrize("status", ["AVAILABLE", "SWITCHOVER_COMPLETED"])
def test_a_blue_green_deployment_of_it_is_named_in_any_state(rds: FakeRds, part: dict[str, Any], status: str) -> None:
    rds.deployments += [
        {"BlueGreenDeploymentIdentifier": "bgd-other", "BlueGreenDeploymentName": "other", "Source": OTHER},
        {"BlueGreenDeploymentIdentifier": "bgd-1", "BlueGreenDeploymentName": "upgrade", "Status": status, **part},
    ]
    (said,) = refusals()
    assert said.startswith("is part of blue/green deployment upgrade (bgd-1), ")
    assert said.endswith(f"--blue-green-deployment-identifier bgd-1 --region {REGION}")


def test_a_share_is_named_on_one_line(sharing: FakeSharing) -> None:
    sharing.shares[OTHER] = {"of another": "ASSOCIATED"}
    sharing.shares[ARN] = {"with\nauditors": "ASSOCIATED", "ended": "DISASSOCIATED", "never began": "FAILED"}
    (said,) = refusals()
    assert said.startswith("is shared by resource share with\\nauditors of AWS RAM, ")
    arn = f"arn:aws:ram:{REGION}:123456789012:resource-share/0"
    assert said.endswith(f"--resource-share-arn {arn} --resource-arns {ARN} --region {REGION}")


def test_a_cluster_that_ram_does_not_know_is_in_no_share(sharing: FakeSharing) -> None:
    sharing.refuse("GetResourceShareAssociations", "UnknownResourceException")
    assert refusals() == []


def test_a_zero_etl_integration_is_named(rds: FakeRds) -> None:
    rds.integrations += [
        {"IntegrationArn": "arn:aws:rds:any:1:integration:2", "IntegrationName": "other", "SourceArn": OTHER},
        {"IntegrationArn": "arn:aws:rds:any:1:integration:1", "IntegrationName": "to-redshift", "SourceArn": ARN},
    ]
    (said,) = refusals()
    assert said.startswith("is the source of zero-ETL integration to-redshift, ")
    assert said.endswith(f"--integration-identifier arn:aws:rds:any:1:integration:1 --region {REGION}")


@pytest.mark.parametrize(("status", "count"), [("started", 1), ("starting", 1), ("stopping", 0), ("stopped", 0)])
def test_an_activity_stream_is_refused_unless_it_ends(live: dict[str, Any], status: str, count: int) -> None:
    live["ActivityStreamStatus"] = status
    said = refusals()
    assert [each[:33] for each in said] == ["has a database activity stream, w"] * count
    assert all(f"--resource-arn {ARN}" in each for each in said)


@pytest.mark.parametrize(
    ("dates", "said"),
    [
        ({"OptInStatus": "immediate"}, "which somebody has asked for at once"),
        ({"ForcedApplyDate": NOW - 48 * HOUR}, "which is forced from 2026-03-08 03:00 UTC on"),
        ({"ForcedApplyDate": NOW + PLANNED_AHEAD}, "which is forced from 2026-03-10 07:00 UTC on"),
        ({"CurrentApplyDate": NOW + PLANNED_AHEAD}, "which is due from 2026-03-10 07:00 UTC on"),
        ({"OptInStatus": "next-maintenance", "CurrentApplyDate": NOW + HOUR}, "which is due from 2026-03-10 04:00 UTC"),
    ],
)
@pytest.mark.parametrize("arn", [ARN, MEMBER_ARN])
def test_maintenance_of_the_next_hours_is_refused(rds: FakeRds, arn: str, dates: dict[str, Any], said: str) -> None:
    rds.add_maintenance(arn, "os-upgrade", **dates)
    (found,) = maintenance()
    assert found.startswith(f"has pending maintenance, os-upgrade of {arn.rpartition(':')[2]}, {said}")
    done = f"--resource-identifier {arn} --apply-action os-upgrade --opt-in-type immediate --region {REGION}"
    assert found.endswith(f"aws rds apply-pending-maintenance-action {done}")


@pytest.mark.parametrize(
    "dates",
    [
        {},
        {"OptInStatus": "undo-opt-in"},
        {"ForcedApplyDate": NOW + PLANNED_AHEAD + HOUR},
        {"CurrentApplyDate": NOW + PLANNED_AHEAD + HOUR},
    ],
)
def test_maintenance_that_is_on_offer_or_later_is_no_obstacle(rds: FakeRds, dates: dict[str, Any]) -> None:
    rds.add_maintenance(ARN, **dates)
    assert maintenance() == []


@pytest.mark.parametrize(
    ("window", "count"), [("tue:06:59-tue:07:29", 1), ("tue:02:45-tue:03:15", 1), ("tue:07:01-tue:07:31", 0)]
)
def test_maintenance_whose_date_has_passed_waits_for_its_own_window(rds: FakeRds, window: str, count: int) -> None:
    rds.instances[MEMBER]["PreferredMaintenanceWindow"] = window
    rds.add_maintenance(MEMBER_ARN, CurrentApplyDate=NOW - 48 * HOUR)
    assert [each for each in maintenance() if f"due in its maintenance window, {window} UTC" in each] == maintenance()
    assert len(maintenance()) == count


DENIED = [
    ("DescribeDBProxies", "rds", "be the target of an RDS Proxy"),
    ("DescribeDBProxyTargets", "rds", "be the target of an RDS Proxy"),
    ("DescribeBlueGreenDeployments", "rds", "be part of a blue/green deployment"),
    ("GetResourceShareAssociations", "ram", "be shared by AWS RAM"),
    ("DescribeIntegrations", "rds", "be the source of a zero-ETL integration"),
    ("DescribePendingMaintenanceActions", "rds", "have maintenance pending"),
]


@pytest.mark.parametrize(("operation", "service", "what"), DENIED)
def test_a_look_that_is_not_allowed_refuses_and_names_the_permission(
    rds: FakeRds, sharing: FakeSharing, operation: str, service: str, what: str
) -> None:
    rds.add_proxy("of-another", {"RdsResourceId": "another"})
    asked: Any = rds if service == "rds" else sharing
    asked.refuse(operation, "AccessDenied", "no", status=403)
    (said,) = [*refusals(), *maintenance()]
    assert said.startswith(f"may {what}, but looking for that failed: {operation} is not allowed")
    assert f"The function's role needs {service}:{operation}." in said


def test_a_look_that_fails_otherwise_is_an_error(rds: FakeRds) -> None:
    rds.refuse("DescribeIntegrations", "InternalFailure", status=500, times=3)
    with pytest.raises(ClientError):
        refusals()
