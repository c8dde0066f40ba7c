"""Security groups change at the cluster first and at its members later, with statuses on the way."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora_support import (
    add_instance,
    cluster,
    name,
    new_cluster,
    refused,
    restore,
    take_snapshot,
)


@pytest.fixture
def groups(aws: LocalAws) -> list[str]:
    """Two of the default VPC's."""
    return [group(aws), group(aws)]


def group(aws: LocalAws, vpc: str | None = None) -> str:
    ec2 = aws.client("ec2")
    given: dict[str, Any] = {"VpcId": vpc} if vpc else {}
    return str(ec2.create_security_group(GroupName=name("group"), Description="a group", **given)["GroupId"])


def on_record(described: dict[str, Any]) -> dict[str, str]:
    return {each["VpcSecurityGroupId"]: each["Status"] for each in described["VpcSecurityGroups"]}


def of_instance(aws: LocalAws, identifier: str) -> dict[str, str]:
    answer = aws.client("rds").describe_db_instances(DBInstanceIdentifier=identifier)
    return on_record(dict(answer["DBInstances"][0]))


def change(aws: LocalAws, identifier: str, wanted: list[str]) -> dict[str, str]:
    answer = aws.client("rds").modify_db_cluster(
        DBClusterIdentifier=identifier, VpcSecurityGroupIds=wanted, ApplyImmediately=True
    )
    return on_record(dict(answer["DBCluster"]))


def test_a_member_is_in_its_clusters_groups_and_follows_them(aws: LocalAws, groups: list[str]) -> None:
    first, second = groups
    identifier = name("grouped")
    new_cluster(aws, identifier, VpcSecurityGroupIds=[first])
    members = [add_instance(aws, identifier), add_instance(aws, identifier)]
    assert [of_instance(aws, each) for each in members] == [{first: "active"}] * 2
    seconds = aws.aurora.durations.change_groups
    assert change(aws, identifier, [second]) == {second: "adding", first: "removing"}
    assert of_instance(aws, members[0]) == {first: "active"}
    aws.clock.sleep(seconds + 1)
    assert on_record(cluster(aws, identifier)) == {second: "active"}
    assert [of_instance(aws, each) for each in members] == [{second: "adding", first: "removing"}] * 2
    aws.clock.sleep(seconds + 1)
    assert [of_instance(aws, each) for each in members] == [{second: "active"}] * 2
    seen = [each.groups for each in aws.aurora.groups_on_record[identifier]]
    assert seen == [{first: "active"}, {second: "adding", first: "removing"}, {second: "active"}]


def test_a_group_that_stays_is_active_all_the_time(aws: LocalAws, groups: list[str]) -> None:
    identifier = name("grouped")
    new_cluster(aws, identifier, VpcSecurityGroupIds=groups[:1])
    assert change(aws, identifier, groups) == {groups[0]: "active", groups[1]: "adding"}


def test_a_later_change_takes_an_earlier_ones_place(aws: LocalAws, groups: list[str]) -> None:
    first, second = groups
    identifier = name("grouped")
    new_cluster(aws, identifier, VpcSecurityGroupIds=[first])
    change(aws, identifier, [second])
    aws.clock.sleep(aws.aurora.durations.modify_cluster + 1)
    change(aws, identifier, [first])
    aws.clock.sleep(2 * aws.aurora.durations.change_groups + 1)
    assert on_record(cluster(aws, identifier)) == {first: "active"}


@pytest.mark.parametrize(("code", "text"), [("InvalidParameterValue", "must contain a security group")])
def test_no_group_at_all_is_refused(aws: LocalAws, groups: list[str], code: str, text: str) -> None:
    identifier = name("grouped")
    new_cluster(aws, identifier, VpcSecurityGroupIds=groups)
    with refused(code, text):
        change(aws, identifier, [])
    assert on_record(cluster(aws, identifier)) == dict.fromkeys(groups, "active")


def test_unknown_groups_and_those_of_another_vpc_are_refused(aws: LocalAws, groups: list[str]) -> None:
    identifier = name("grouped")
    new_cluster(aws, identifier, VpcSecurityGroupIds=groups)
    with refused("InvalidParameterValue", "sg-unknown"):
        change(aws, identifier, [groups[0], "sg-unknown"])
    elsewhere = aws.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    with refused("InvalidParameterCombination", "are in different VPCs"):
        change(aws, identifier, [group(aws, elsewhere)])
    assert on_record(cluster(aws, identifier)) == dict.fromkeys(groups, "active")


def test_a_cluster_is_in_five_groups_and_in_no_sixth(aws: LocalAws) -> None:
    """RDS User Guide, "Quotas and constraints"; the text is from awslabs/kubeflow-manifests#137."""
    six, identifier = [group(aws) for _ in range(6)], name("crowded")
    with refused("InvalidParameterValue", "limit on number of Ec2 VPC SecurityGroups"):
        new_cluster(aws, name("crowded"), VpcSecurityGroupIds=six)
    new_cluster(aws, identifier, VpcSecurityGroupIds=six[:5])
    with refused("InvalidParameterValue", "limit on number of Ec2 VPC SecurityGroups"):
        change(aws, identifier, six)
    assert on_record(cluster(aws, identifier)) == dict.fromkeys(six[:5], "active")
    with refused("InvalidParameterValue", "limit on number of Ec2 VPC SecurityGroups"):
        restore(aws, take_snapshot(aws, identifier), VpcSecurityGroupIds=six)
