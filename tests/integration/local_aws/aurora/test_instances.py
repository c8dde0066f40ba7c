"""Instances, and the groups, versions and tags around them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora_support import (
    add_instance,
    cluster,
    create,
    instance_status,
    name,
    new_cluster,
    refused,
)


@pytest.fixture(scope="module")
def home(aws: LocalAws) -> str:
    """A cluster to have members."""
    identifier: str = new_cluster(aws, name("home"))["DBClusterIdentifier"]
    return identifier


def test_an_instance_settles_after_it_was_first_available(aws: LocalAws) -> None:
    """Who takes the first `available` for the end meets `configuring-log-exports` next."""
    identifier = new_cluster(aws, name("settling"), EnableCloudwatchLogsExports=["postgresql"])["DBClusterIdentifier"]
    member, durations = add_instance(aws, identifier), aws.aurora.durations
    assert instance_status(aws, member) == "creating"
    aws.clock.sleep(durations.create_instance + 1)
    assert instance_status(aws, member) == "available"
    aws.clock.sleep(durations.settle)
    assert instance_status(aws, member) == "configuring-log-exports"
    aws.clock.sleep(durations.settle)
    assert instance_status(aws, member) == "available"
    aws.clock.sleep(86_400)
    assert instance_status(aws, member) == "available"


def test_a_further_instance_may_take_longer_than_the_one_before_it(aws: LocalAws) -> None:
    before = aws.aurora.durations
    aws.aurora.durations = dataclasses.replace(before, further_instance=100)
    try:
        identifier = new_cluster(aws, name("several"))["DBClusterIdentifier"]
        members = [add_instance(aws, identifier) for _ in range(3)]
        aws.clock.sleep(before.create_instance + 150)
        assert [instance_status(aws, each) == "creating" for each in members] == [False, False, True]
        aws.clock.sleep(100)
        assert instance_status(aws, members[2]) == "available"
    finally:
        aws.aurora.durations = before


def test_the_instance_that_is_ready_first_is_the_writer_and_has_the_cluster_s_endpoint(
    aws: LocalAws, home: str
) -> None:
    rds = aws.client("rds")
    first = add_instance(aws, home, PromotionTier=0)
    add_instance(aws, home)
    aws.clock.sleep(aws.aurora.durations.create_instance + 1)
    members = cluster(aws, home)["DBClusterMembers"]
    assert [each["DBInstanceIdentifier"] for each in members if each["IsClusterWriter"]] == [first]
    found = rds.describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": [home]}])["DBInstances"]
    assert len(found) == len(members)
    assert all(each["Endpoint"]["Port"] == cluster(aws, home)["Port"] for each in found)
    assert len({cluster(aws, home)["Endpoint"], *(each["Endpoint"]["Address"] for each in found)}) == 1 + len(found)
    aws.clock.sleep(3 * aws.aurora.durations.settle)


@pytest.mark.parametrize(
    ("settings", "code", "status"),
    [
        ({"DBInstanceClass": "db.zz.bogus"}, "InvalidParameterValue", 400),
        ({"DBInstanceClass": "db.serverless"}, "InvalidParameterCombination", 400),
        ({"DBInstanceIdentifier": "1bad--"}, "InvalidParameterValue", 400),
        ({"EngineVersion": "17.4"}, "InvalidParameterCombination", 400),
        ({"MasterUserPassword": "Some-password1"}, "InvalidParameterCombination", 400),
        ({"DeletionProtection": True}, "InvalidParameterCombination", 400),
        ({"DBParameterGroupName": "unknown"}, "DBParameterGroupNotFound", 404),
        ({"DBParameterGroupName": "default.aurora-postgresql13"}, "DBParameterGroupNotFound", 404),
        ({"AvailabilityZone": "us-east-1z"}, "InvalidParameterCombination", 400),
        ({"Domain": "d-123"}, "NotImplementedByLocalAws", 400),
    ],
)
def test_what_a_member_can_not_be_is_refused(
    aws: LocalAws, home: str, settings: dict[str, Any], code: str, status: int
) -> None:
    with refused(code, status=status):
        add_instance(aws, home, **settings)


def test_a_cluster_that_is_not_available_or_not_there_takes_no_members(aws: LocalAws) -> None:
    young = create(aws, name("young"))["DBClusterIdentifier"]
    with refused("InvalidDBClusterStateFault"):
        add_instance(aws, young)
    with refused("DBClusterNotFoundFault", status=404):
        add_instance(aws, "nobody")


def test_names_are_unique_among_clusters_and_instances(aws: LocalAws, home: str) -> None:
    with refused("DBInstanceAlreadyExists"):
        add_instance(aws, home, DBInstanceIdentifier=home)
    member = add_instance(aws, home)
    with refused("DBInstanceAlreadyExists"):
        add_instance(aws, home, DBInstanceIdentifier=member.upper())
    aws.clock.sleep(aws.aurora.durations.create_instance + 1)


def test_a_serverless_instance_needs_the_cluster_s_scaling(aws: LocalAws) -> None:
    scaling = {"MinCapacity": 0.5, "MaxCapacity": 8}
    identifier = new_cluster(aws, name("elastic"), ServerlessV2ScalingConfiguration=scaling)["DBClusterIdentifier"]
    member = add_instance(aws, identifier, DBInstanceClass="db.serverless")
    assert instance_status(aws, member) == "creating"
    aws.clock.sleep(aws.aurora.durations.create_instance + 1)


def test_deleting_takes_its_time_and_happens_once(aws: LocalAws, home: str) -> None:
    rds, member = aws.client("rds"), add_instance(aws, home)
    with refused("InvalidParameterCombination", "FinalDBSnapshotIdentifier can not be specified"):
        rds.delete_db_instance(DBInstanceIdentifier=member, FinalDBSnapshotIdentifier="final")
    rds.delete_db_instance(DBInstanceIdentifier=member, SkipFinalSnapshot=True)
    assert instance_status(aws, member) == "deleting"
    with refused("InvalidDBInstanceState"):
        rds.delete_db_instance(DBInstanceIdentifier=member)
    aws.clock.sleep(aws.aurora.durations.delete_instance + 1)
    with refused("DBInstanceNotFound", status=404):
        rds.delete_db_instance(DBInstanceIdentifier=member)


@pytest.mark.parametrize("status", ["failed", "incompatible-network"])
def test_an_instance_can_be_made_to_end_badly(aws: LocalAws, home: str, status: str) -> None:
    member = name("doomed")
    aws.faults.add(lifecycle="create-instance", identifier=member, status=status, at_percent=10)
    add_instance(aws, home, DBInstanceIdentifier=member)
    aws.clock.sleep(aws.aurora.durations.create_instance * 0.2)
    assert instance_status(aws, member) == status
    aws.client("rds").delete_db_instance(DBInstanceIdentifier=member)
    aws.clock.sleep(aws.aurora.durations.delete_instance + 1)


def test_a_subnet_group_needs_two_zones_that_exist(aws: LocalAws) -> None:
    rds, ec2 = aws.client("rds"), aws.client("ec2")
    subnets = ec2.describe_subnets()["Subnets"]
    first = subnets[0]
    second = next(each for each in subnets if each["AvailabilityZone"] != first["AvailabilityZone"])
    group = {"DBSubnetGroupName": name("Subnets"), "DBSubnetGroupDescription": "for databases"}
    with refused("DBSubnetGroupDoesNotCoverEnoughAZs"):
        rds.create_db_subnet_group(**group, SubnetIds=[first["SubnetId"]])
    with refused("InvalidSubnet"):
        rds.create_db_subnet_group(**group, SubnetIds=["subnet-unknown"])
    made = rds.create_db_subnet_group(**group, SubnetIds=[first["SubnetId"], second["SubnetId"]])["DBSubnetGroup"]
    assert made["DBSubnetGroupName"] == group["DBSubnetGroupName"].lower()
    with refused("DBSubnetGroupAlreadyExists"):
        rds.create_db_subnet_group(**group, SubnetIds=[first["SubnetId"], second["SubnetId"]])
    listed = rds.describe_db_subnet_groups()["DBSubnetGroups"]
    assert {"default", made["DBSubnetGroupName"]} <= {each["DBSubnetGroupName"] for each in listed}
    with refused("DBSubnetGroupNotFoundFault", status=404):
        rds.describe_db_subnet_groups(DBSubnetGroupName="nowhere")


def test_a_default_parameter_group_is_made_with_the_first_that_names_none(aws: LocalAws) -> None:
    """In a region of its own, which no other test has clusters in."""
    region, default = "ap-northeast-3", "default.aurora-postgresql16"
    rds = aws.client("rds", region)
    with refused("DBParameterGroupNotFound", status=404):
        rds.describe_db_cluster_parameter_groups(DBClusterParameterGroupName=default)
    with refused("DBParameterGroupNotFound", status=404):
        rds.describe_db_cluster_parameters(DBClusterParameterGroupName=default)
    with refused("DBClusterParameterGroupNotFound", default, 404):
        create(aws, name("named"), region, DBClusterParameterGroupName=default)
    identifier = name("unnamed")
    assert new_cluster(aws, identifier, region)["DBClusterParameterGroup"] == default
    (made,) = rds.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
    assert made["DBClusterParameterGroupName"] == default
    assert new_cluster(aws, name("named"), region, DBClusterParameterGroupName=default)
    with refused("InvalidParameterCombination", "aurora-postgresql15"):
        create(aws, name("other"), region, EngineVersion="15.10", DBClusterParameterGroupName=default)
    instance = {
        "DBClusterIdentifier": identifier,
        "Engine": "aurora-postgresql",
        "DBInstanceClass": "db.r6g.large",
    }
    with refused("DBParameterGroupNotFound", default, 404):
        rds.create_db_instance(DBInstanceIdentifier=name("i"), DBParameterGroupName=default, **instance)
    rds.create_db_instance(DBInstanceIdentifier=name("i"), **instance)
    (made,) = rds.describe_db_parameter_groups()["DBParameterGroups"]
    assert made["DBParameterGroupName"] == default


def test_a_major_version_says_until_when_it_is_supported(aws: LocalAws) -> None:
    """As AWS's own example of the call answers for 17."""
    rds = aws.client("rds")
    wanted = {"Engine": "aurora-postgresql", "MajorEngineVersion": "17"}
    (found,) = rds.describe_db_major_engine_versions(**wanted)["DBMajorEngineVersions"]
    standard, extended = found["SupportedEngineLifecycles"]
    assert standard["LifecycleSupportName"] == "open-source-rds-standard-support"
    assert standard["LifecycleSupportEndDate"].isoformat() == "2030-02-28T23:59:59.999000+00:00"
    assert extended["LifecycleSupportName"] == "open-source-rds-extended-support"
    assert extended["LifecycleSupportStartDate"].isoformat() == "2030-03-01T00:00:00+00:00"
    assert extended["LifecycleSupportEndDate"].isoformat() == "2033-02-28T23:59:59.999000+00:00"
    assert len(rds.describe_db_major_engine_versions()["DBMajorEngineVersions"]) == 5


def test_a_custom_endpoint_is_its_clusters_and_has_a_name_of_its_own(aws: LocalAws) -> None:
    rds, identifier, endpoint = aws.client("rds"), name("with-endpoint"), name("reports")
    new_cluster(aws, identifier)
    asked = {"DBClusterIdentifier": identifier, "DBClusterEndpointIdentifier": endpoint, "EndpointType": "READER"}
    made = rds.create_db_cluster_endpoint(**asked)
    assert (made["EndpointType"], made["CustomEndpointType"]) == ("CUSTOM", "READER")
    assert cluster(aws, identifier)["CustomEndpoints"] == [made["Endpoint"]]
    with refused("DBClusterEndpointAlreadyExistsFault"):
        rds.create_db_cluster_endpoint(**asked)


def test_default_parameter_groups_are_of_the_versions_families(aws: LocalAws) -> None:
    rds = aws.client("rds")
    versions = rds.describe_db_engine_versions(Engine="aurora-postgresql")["DBEngineVersions"]
    families = {each["DBParameterGroupFamily"] for each in versions}
    assert {f"aurora-postgresql{major}" for major in range(13, 18)} == families
    defaults = {f"default.{family}" for family in families}
    for each in rds.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]:
        group = each["DBClusterParameterGroupName"]
        assert group in defaults or not group.startswith("default.")
    with refused("DBParameterGroupNotFound", status=404):
        rds.describe_db_parameter_groups(DBParameterGroupName="nothing")
    default = rds.describe_db_engine_versions(Engine="aurora-postgresql", DefaultOnly=True)["DBEngineVersions"]
    assert [each["EngineVersion"] for each in default] == ["17.4"]


def test_a_class_can_be_ordered_with_every_version_if_both_exist(aws: LocalAws) -> None:
    def orderable(**wanted: str) -> set[tuple[str, str]]:
        rds = aws.client("rds")
        pages = rds.get_paginator("describe_orderable_db_instance_options").paginate(
            Engine="aurora-postgresql", **wanted
        )
        options = [each for page in pages for each in page["OrderableDBInstanceOptions"]]
        return {(each["DBInstanceClass"], each["EngineVersion"]) for each in options}

    assert orderable(DBInstanceClass="db.serverless", EngineVersion="16.4") == {("db.serverless", "16.4")}
    assert orderable(DBInstanceClass="db.r9z.large") == set()
    assert orderable(DBInstanceClass="db.r6g.large", EngineVersion="9.6") == set()
    assert ("db.r6g.large", "17.5") in orderable(EngineVersion="17.5")


def test_a_parameter_group_is_made_once_and_for_a_family_that_exists(aws: LocalAws) -> None:
    rds, group = aws.client("rds"), {"DBParameterGroupName": name("parameters"), "Description": "own"}
    with refused("InvalidParameterValue", "aurora-postgresql9"):
        rds.create_db_parameter_group(**group, DBParameterGroupFamily="aurora-postgresql9")
    rds.create_db_parameter_group(**group, DBParameterGroupFamily="aurora-postgresql16")
    with refused("DBParameterGroupAlreadyExists"):
        rds.create_db_parameter_group(**group, DBParameterGroupFamily="aurora-postgresql16")


def test_tags_are_added_read_and_removed(aws: LocalAws, home: str) -> None:
    rds, arn = aws.client("rds"), cluster(aws, home)["DBClusterArn"]
    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["a"])
    assert rds.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "b", "Value": "2"}]
    assert cluster(aws, home)["TagList"] == [{"Key": "b", "Value": "2"}]
    with refused("DBClusterNotFoundFault", status=404):
        rds.list_tags_for_resource(ResourceName=arn.replace(home, "nobody"))
    with refused("InvalidParameterValue"):
        rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "aws:x", "Value": "1"}])


def test_an_operation_that_is_not_modelled_is_refused_by_name(aws: LocalAws) -> None:
    with pytest.raises(Exception, match=r"NotImplementedByLocalAws.*DescribeDBLogFiles"):
        aws.client("rds").describe_db_log_files(DBInstanceIdentifier="any")
