"""The bill: what is counted is multiplied by its price, and the page on costs says what the template has."""

from __future__ import annotations

import json

import pytest

from scripts.checks.documentation import idle_costs_table
from scripts.checks.expansion import source
from scripts.local_aws.front import ApiCall
from scripts.local_aws.lambda_runtime.functions import Invocation
from scripts.local_run.costs import idle_costs, run_costs, total
from utils import metrics


def a_call(service: str, operation: str, principal: str = "a-role", units: float = 0.0) -> ApiCall:
    return ApiCall(service, operation, "us-east-1", principal, {}, None, units)


def test_a_run_costs_what_was_counted_times_its_price() -> None:
    calls = [
        a_call("dynamodb", "PutItem", units=6.0),
        a_call("dynamodb", "GetItem", units=1.0),
        a_call("dynamodb", "BatchGetItem", units=1.0),
        a_call("secretsmanager", "GetSecretValue"),
        a_call("sns", "Publish"),
        a_call("rds", "DescribeDBClusters"),
    ]
    lines = run_costs(1000, [Invocation("f", True, 2000.0, None)] * 3, {"f": 512}, calls)
    assert {line.what: line.amount for line in lines} == {
        "state transition": 1000,
        "Lambda request": 3,
        "Lambda GB-second, arm64": 3.0,
        "DynamoDB write request unit": 6,
        "DynamoDB read request unit": 2,
        "Secrets Manager call": 1,
        "KMS request": 1,
        "SNS publish": 1,
    }
    assert total(lines) == pytest.approx(0.025 + 3 * 0.2e-6 + 3 * 0.0000133334 + 4e-6 + 5e-6 + 3e-6 + 0.5e-6)
    assert {line.what: line.amount for line in run_costs(0, [], {}, [], ["x" * 974] * 1000)}["log GB"] == 0.001


def test_a_signature_and_a_written_object_have_prices_of_their_own() -> None:
    """A key that signs costs five times as much a call as one that encrypts."""
    calls = [("kms", "Sign"), ("kms", "GetPublicKey"), ("s3", "PutObject"), ("s3", "PutObject"), ("s3", "GetObject")]
    lines = run_costs(0, [], {}, [a_call(*each) for each in calls])
    assert {line.what: line.amount for line in lines[1:]} == {
        "KMS signature": 1,
        "KMS request": 1,
        "S3 write": 2,
        "S3 read": 1,
    }


def test_a_metric_costs_for_each_hour_in_which_it_has_a_data_point(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        metrics.count_success("copy-snapshot", "an-operation", 1.0)
    emitted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    later = [
        {**each, "_aws": {**each["_aws"], "Timestamp": each["_aws"]["Timestamp"] + 3_600_000}} for each in emitted[:1]
    ]
    lines = {each.what: each for each in run_costs(0, [], {}, [], map(json.dumps, [*emitted, *later]))}
    assert lines["custom metric's hour"].amount == 3  # two of the first hour, one of the second
    assert lines["custom metric's hour"].dollars == pytest.approx(3 * 0.30 / 730)


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
