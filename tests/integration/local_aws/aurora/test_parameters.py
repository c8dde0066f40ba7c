"""What stands in cluster parameter groups, and the Data API's switch."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora_support import cluster, create, name, new_cluster, refused
from tests.integration.local_aws.iam.test_gate import RDS, Caller, denied


@pytest.fixture
def group(aws: LocalAws) -> str:
    found = name("group")
    aws.client("rds").create_db_cluster_parameter_group(
        DBClusterParameterGroupName=found, DBParameterGroupFamily="aurora-postgresql16", Description="own"
    )
    return found


def change(aws: LocalAws, group: str, parameter: str, value: str, method: str = "pending-reboot") -> None:
    parameters = [{"ParameterName": parameter, "ParameterValue": value, "ApplyMethod": method}]
    aws.client("rds").modify_db_cluster_parameter_group(DBClusterParameterGroupName=group, Parameters=parameters)


def parameters(aws: LocalAws, group: str, **options: Any) -> dict[str, dict[str, Any]]:
    pages = aws.client("rds").get_paginator("describe_db_cluster_parameters")
    found = pages.paginate(DBClusterParameterGroupName=group, PaginationConfig={"PageSize": 20}, **options)
    return {each["ParameterName"]: each for page in found for each in page["Parameters"]}


def test_a_new_group_has_the_engine_s_defaults_and_nothing_of_a_user_s(aws: LocalAws, group: str) -> None:
    found = parameters(aws, group)
    assert found["shared_preload_libraries"]["ParameterValue"] == "pg_stat_statements"
    assert (found["cron.database_name"]["ParameterValue"], found["cron.max_running_jobs"]["ApplyType"]) == (
        "postgres",
        "static",
    )
    assert "ParameterValue" not in found["max_logical_replication_workers"]
    assert {each["Source"] for each in found.values()} == {"engine-default", "system"}
    assert parameters(aws, group, Source="user") == {}


def test_tls_is_forced_from_version_17_on(aws: LocalAws) -> None:
    for major, forced in ((16, "0"), (17, "1")):
        new_cluster(aws, name("first"), EngineVersion={16: "16.6", 17: "17.5"}[major])
        assert parameters(aws, f"default.aurora-postgresql{major}")["rds.force_ssl"]["ParameterValue"] == forced


def test_what_is_set_is_the_user_s(aws: LocalAws, group: str) -> None:
    change(aws, group, "shared_preload_libraries", "pg_stat_statements,pg_cron")
    change(aws, group, "log_statement", "ddl", "immediate")
    found = parameters(aws, group, Source="user")
    assert {key: (each["ParameterValue"], each["ApplyMethod"]) for key, each in found.items()} == {
        "shared_preload_libraries": ("pg_stat_statements,pg_cron", "pending-reboot"),
        "log_statement": ("ddl", "immediate"),
    }
    named = [{"Name": "parameter-name", "Values": ["rds.logical_replication"]}]
    assert parameters(aws, group, Filters=named).keys() == {"rds.logical_replication"}


@pytest.mark.parametrize(
    ("parameter", "value", "method", "code", "text"),
    [
        ("no.such", "1", "immediate", "InvalidParameterValue", "Could not find parameter"),
        ("ssl", "0", "immediate", "InvalidParameterValue", "cannot be modified"),
        ("cron.max_running_jobs", "5", "immediate", "InvalidParameterCombination", "static"),
        ("cron.max_running_jobs", "500", "pending-reboot", "InvalidParameterValue", "0-100"),
        ("log_statement", "some", "immediate", "InvalidParameterValue", "none,ddl,mod,all"),
        ("shared_preload_libraries", "pg_cron,mine", "pending-reboot", "InvalidParameterValue", "mine"),
    ],
)
def test_a_value_that_can_not_be_changes_nothing(
    aws: LocalAws, group: str, parameter: str, value: str, method: str, code: str, text: str
) -> None:
    good = {"ParameterName": "work_mem", "ParameterValue": "4096", "ApplyMethod": "immediate"}
    bad = {"ParameterName": parameter, "ParameterValue": value, "ApplyMethod": method}
    with refused(code, text):
        aws.client("rds").modify_db_cluster_parameter_group(DBClusterParameterGroupName=group, Parameters=[good, bad])
    assert parameters(aws, group, Source="user") == {}


def test_default_groups_can_not_be_modified_and_unknown_ones_not_be_found(aws: LocalAws) -> None:
    new_cluster(aws, name("first"))
    with refused("InvalidParameterValue", "cannot be modified"):
        change(aws, "default.aurora-postgresql16", "work_mem", "4096", "immediate")
    with refused("DBParameterGroupNotFound", status=404):
        change(aws, "unknown", "work_mem", "4096", "immediate")
    for unknown in ("unknown", "default.aurora-postgresql9"):
        with refused("DBParameterGroupNotFound", status=404):
            parameters(aws, unknown)
    with refused("InvalidParameterValue", "source"):
        parameters(aws, "default.aurora-postgresql16", Source="me")


# The Data API


def test_the_data_api_is_on_once_the_cluster_is_available_again(aws: LocalAws) -> None:
    described, rds = new_cluster(aws, name("data-api")), aws.client("rds")
    identifier, arn = described["DBClusterIdentifier"], described["DBClusterArn"]
    assert described["HttpEndpointEnabled"] is False
    assert rds.enable_http_endpoint(ResourceArn=arn)["HttpEndpointEnabled"] is True
    assert (cluster(aws, identifier)["Status"], cluster(aws, identifier)["HttpEndpointEnabled"]) == ("modifying", False)
    with refused("InvalidResourceStateFault"):
        rds.disable_http_endpoint(ResourceArn=arn)
    aws.clock.sleep(aws.aurora.durations.modify_cluster + 1)
    assert cluster(aws, identifier)["HttpEndpointEnabled"] is True
    rds.disable_http_endpoint(ResourceArn=arn)
    aws.clock.sleep(aws.aurora.durations.modify_cluster + 1)
    assert cluster(aws, identifier)["HttpEndpointEnabled"] is False


def test_the_data_api_of_nobody_is_not_found(aws: LocalAws) -> None:
    for unknown in (f"{RDS}:cluster:nobody", "arn:aws:rds:us-west-2:123456789012:cluster:nobody", "nobody"):
        with refused("ResourceNotFoundFault", status=404):
            aws.client("rds").enable_http_endpoint(ResourceArn=unknown)


def test_each_call_needs_its_own_right_to_its_own_resource(aws: LocalAws, group: str) -> None:
    rds, arn = Caller(aws).client("rds"), create(aws, name("rights"))["DBClusterArn"]
    assert denied(rds.enable_http_endpoint, ResourceArn=arn) == f"rds:EnableHttpEndpoint on resource: {arn}"
    assert denied(rds.describe_db_cluster_parameters, DBClusterParameterGroupName=group) == (
        f"rds:DescribeDBClusterParameters on resource: {RDS}:cluster-pg:{group}"
    )
    change = {"DBClusterParameterGroupName": group, "Parameters": [{"ParameterName": "work_mem"}]}
    assert denied(rds.modify_db_cluster_parameter_group, **change) == (
        f"rds:ModifyDBClusterParameterGroup on resource: {RDS}:cluster-pg:{group}"
    )
    assert denied(rds.describe_account_attributes) == "rds:DescribeAccountAttributes on resource: *"
