"""The bill: what is counted is multiplied by its price, and the page on costs says what the template has."""

from __future__ import annotations

import pytest

from scripts.checks.documentation import idle_costs_table
from scripts.checks.expansion import source
from scripts.local_aws.front import ApiCall
from scripts.local_aws.functions import Invocation
from scripts.local_run.costs import idle_costs, run_costs, total


def a_call(service: str, operation: str, principal: str = "a-role") -> ApiCall:
    return ApiCall(service, operation, "us-east-1", principal, {}, None)


def test_a_run_costs_what_was_counted_times_its_price() -> None:
    calls = [
        a_call("dynamodb", "PutItem"),
        a_call("dynamodb", "GetItem"),
        a_call("secretsmanager", "GetSecretValue"),
        a_call("sns", "Publish"),
        a_call("rds", "DescribeDBClusters"),
    ]
    lines = run_costs(1000, [Invocation("f", True, 2000.0, None)] * 3, {"f": 512}, calls)
    assert {line.what: line.amount for line in lines} == {
        "state transition": 1000,
        "Lambda request": 3,
        "Lambda GB-second, arm64": 3.0,
        "DynamoDB write request unit": 1,
        "DynamoDB read request unit": 1,
        "Secrets Manager call": 1,
        "KMS request": 1,
        "SNS publish": 1,
    }
    assert total(lines) == pytest.approx(0.025 + 3 * 0.2e-6 + 3 * 0.0000133334 + 0.75e-6 + 5e-6 + 3e-6 + 0.5e-6)


def test_what_a_person_asks_isnt_on_the_bill_of_the_run() -> None:
    assert [line.what for line in run_costs(1, [], {}, [a_call("sns", "Publish", "operator")])][:1] == [
        "state transition"
    ]
    assert total(run_costs(0, [], {}, [a_call("sns", "Publish", "operator")])) == 0


def test_an_interface_endpoint_costs_by_the_hour_and_a_gateway_nothing() -> None:
    endpoints = {
        "a": {"Type": "AWS::EC2::VPCEndpoint", "Properties": {"VpcEndpointType": "Interface"}},
        "b": {"Type": "AWS::EC2::VPCEndpoint", "Properties": {"VpcEndpointType": "Gateway"}},
    }
    assert total(idle_costs(endpoints)) == pytest.approx(14.6)


def test_the_stack_costs_what_the_template_has_in_it() -> None:
    resources = source()["Resources"]
    alarms = sum(each["Type"] == "AWS::CloudWatch::Alarm" for each in resources.values())
    by_kind = {line.what: line.amount for line in idle_costs(resources)}
    assert by_kind["AWS::CloudWatch::Alarm"] == alarms > 3
    assert f"{total(idle_costs(resources)):.2f}" in idle_costs_table()
