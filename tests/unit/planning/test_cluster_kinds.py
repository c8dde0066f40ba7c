"""Limitless databases, clusters of express configuration and Babelfish are refused by their names, before a plan."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.fakes.rds import FakeRds
from tests.unit.support import ACCOUNT, DEFAULTS, LIMITS, OPERATION, REGION, SOURCE, SOURCE_REGION, an_execution
from utils.aurora_utils import Aurora
from utils.aurora_utils.source_account import Source
from utils.contracts.plan import Plan
from utils.errors import RequestRefused
from utils.planning.restore import plan_restore
from utils.request.reading import read_request

GROUP, FAMILY = "speaks-tds", "aurora-postgresql16"

pytestmark = pytest.mark.usefixtures("surroundings")


def plan_of(region: str = REGION, **raw: Any) -> Plan:
    return plan_restore(
        read_request(raw, DEFAULTS | {"like_source": "true"}),
        OPERATION,
        an_execution(),
        Source(ACCOUNT, region),
        Aurora(REGION),
        LIMITS,
    )


def refusal_of(**raw: Any) -> str:
    with pytest.raises(RequestRefused) as refused:
        plan_of(**raw)
    return str(refused.value)


def add_source(rds: FakeRds, **described: Any) -> None:
    rds.add_cluster(SOURCE, **described)
    rds.add_instance(f"{SOURCE}-1", SOURCE, DBInstanceClass="db.r6g.large")


def group_with(rds: FakeRds, name: str, status: str | None) -> None:
    rds.cluster_parameter_groups[name] = FAMILY
    rds.parameters[name] = {"rds.babelfish_status": status}


@pytest.mark.parametrize("living", [True, False])
def test_a_limitless_database_is_known_by_its_version(rds: FakeRds, living: bool) -> None:
    rds.add_snapshot("tuesday", EngineVersion="16.4-limitless")
    if living:
        rds.add_cluster(SOURCE, EngineVersion="16.4-limitless", ClusterScalabilityType="limitless")
    message = refusal_of()
    assert message.startswith("snapshot_identifier: 'tuesday' (16.4-limitless) is of an Aurora Limitless Database")
    assert "DB shard group" in message


def test_a_limitless_database_is_known_by_its_cluster(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday")
    add_source(rds, ClusterScalabilityType="limitless")
    assert "Aurora Limitless Database" in refusal_of()


@pytest.mark.parametrize("described", [{"VPCNetworkingEnabled": False}, {"InternetAccessGatewayEnabled": True}])
def test_a_cluster_of_express_configuration_is_known_by_its_network(rds: FakeRds, described: dict[str, bool]) -> None:
    """As it is described: without an endpoint's VPC, security groups or subnet group (create-db-cluster.rst)."""
    rds.add_snapshot("tuesday", VpcId=None, IAMDatabaseAuthenticationEnabled=True)
    add_source(rds, VpcSecurityGroups=[], **described)
    message = refusal_of()
    assert message.startswith("snapshot_identifier: 'tuesday' is of a cluster that express configuration created")
    assert "--no-enable-vpc-networking --enable-internet-access-gateway --enable-iam-database-auth" in message


def test_a_snapshot_without_a_vpc_that_needs_iam_is_one_of_express_configuration(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday", VpcId=None, IAMDatabaseAuthenticationEnabled=True)
    assert "express configuration" in refusal_of(db_instance_class="db.r6g.large")


@pytest.mark.parametrize(
    "described", [{"VpcId": None}, {"IAMDatabaseAuthenticationEnabled": True}, {"VpcId": None, "hours_old": 1}]
)
def test_what_says_only_half_of_it_is_none(rds: FakeRds, described: dict[str, Any]) -> None:
    rds.add_snapshot("tuesday", **described)
    add_source(rds, VPCNetworkingEnabled=True)
    assert plan_of().snapshot.identifier == "tuesday"


def test_another_cluster_of_that_name_says_nothing_of_the_kind(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday", DbClusterResourceId="cluster-EARLIER")
    add_source(rds, VPCNetworkingEnabled=False)
    assert plan_of(snapshot_identifier="tuesday").snapshot.identifier == "tuesday"


@pytest.mark.parametrize("status", ["on", "ON"])
def test_a_group_that_switches_babelfish_on_is_refused(rds: FakeRds, status: str) -> None:
    rds.add_snapshot("tuesday")
    add_source(rds, DBClusterParameterGroup=GROUP)
    group_with(rds, GROUP, status)
    message = refusal_of()
    assert message.startswith(f"db_cluster_parameter_group_name: '{GROUP}' switches Babelfish on (rds.babelfish_status")
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("status", ["off", "datatypesonly", None])
def test_a_group_that_doesnt_is_fine(rds: FakeRds, status: str | None) -> None:
    rds.add_snapshot("tuesday")
    add_source(rds, DBClusterParameterGroup=GROUP)
    group_with(rds, GROUP, status)
    assert plan_of().cluster.db_cluster_parameter_group_name == GROUP


def test_babelfish_of_the_source_is_told_unless_the_request_names_a_group_without_it(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday")
    add_source(rds, DBClusterParameterGroup=GROUP)
    group_with(rds, GROUP, "on")
    group_with(rds, "plain", "off")
    message = refusal_of(like_source=False, db_instance_class="db.r6g.large")
    assert message.startswith(f"source_cluster_id: '{SOURCE}' has Babelfish on (rds.babelfish_status in {GROUP})")
    assert plan_of(db_cluster_parameter_group_name="plain").cluster.db_cluster_parameter_group_name == "plain"


def test_a_group_of_another_region_isnt_taken_for_one_of_this_region(rds: FakeRds, source_rds: FakeRds) -> None:
    source_rds.add_snapshot("tuesday")
    source_rds.add_cluster(SOURCE, DBClusterParameterGroup=GROUP)
    group_with(rds, GROUP, "on")
    plan = plan_of(SOURCE_REGION, like_source=False, db_instance_class="db.r6g.large")
    assert plan.cluster.db_cluster_parameter_group_name == "default.aurora-postgresql16"
