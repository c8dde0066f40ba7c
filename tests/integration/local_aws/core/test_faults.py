"""A failure that was asked for strikes as the real one would, as often as asked, and nothing else."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from scripts.local_aws.core.faults import Faults
from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.conftest import MakeFunction


def client_without_retries(aws: LocalAws, service: str) -> Any:
    session: Any = boto3.session.Session()
    return session.client(
        service,
        region_name="us-east-1",
        endpoint_url=aws.endpoint_url,
        aws_access_key_id=aws.operator.access_key_id,
        aws_secret_access_key=aws.operator.secret_access_key,
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.mark.parametrize(
    ("service", "operation", "name", "arguments"),
    [
        ("sts", "sts:GetCallerIdentity", "get_caller_identity", {}),
        ("dynamodb", "dynamodb:ListTables", "list_tables", {}),
        ("secretsmanager", "secretsmanager:ListSecrets", "list_secrets", {}),
        ("rds", "rds:DescribeDBClusters", "describe_db_clusters", {}),
        ("sns", "sns:ListTopics", "list_topics", {}),
        ("sqs", "sqs:ListQueues", "list_queues", {}),
        ("lambda", "lambda:ListFunctions", "list_functions", {}),
        ("ec2", "ec2:DescribeVpcs", "describe_vpcs", {}),
        ("s3", "s3:ListBuckets", "list_buckets", {}),
        ("cloudwatch", "cloudwatch:DescribeAlarms", "describe_alarms", {}),
        ("logs", "logs:DescribeLogGroups", "describe_log_groups", {}),
        ("stepfunctions", "states:ListStateMachines", "list_state_machines", {}),
        ("scheduler", "scheduler:ListSchedules", "list_schedules", {}),
    ],
)
def test_a_refused_call_has_its_protocol_s_own_error_shape(
    aws: LocalAws, service: str, operation: str, name: str, arguments: dict[str, Any]
) -> None:
    client = client_without_retries(aws, service)
    aws.faults.add(operation=operation, code="Throttling", message="Rate exceeded", http_status=400, times=1)
    with pytest.raises(ClientError) as refused:
        getattr(client, name)(**arguments)
    assert refused.value.response["Error"]["Code"] == "Throttling"
    assert refused.value.response["Error"]["Message"] == "Rate exceeded"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    getattr(client, name)(**arguments)


def test_a_modelled_error_is_raised_as_its_own_class(aws: LocalAws) -> None:
    client = client_without_retries(aws, "dynamodb")
    aws.faults.add(operation="dynamodb:PutItem", code="ConditionalCheckFailedException")
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        client.put_item(TableName="t", Item={"id": {"S": "1"}})


def test_a_refused_call_has_no_effect_and_a_lost_answer_has(aws: LocalAws) -> None:
    client = client_without_retries(aws, "sns")
    aws.faults.add(operation="sns:CreateTopic", code="Throttling")
    aws.faults.add(operation="sns:CreateTopic", answer="lost")
    with pytest.raises(ClientError):
        client.create_topic(Name="refused")
    with pytest.raises(ClientError) as lost:
        client.create_topic(Name="lost")
    assert lost.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    topics = [topic["TopicArn"].rsplit(":", 1)[1] for topic in client.list_topics()["Topics"]]
    assert "refused" not in topics
    assert "lost" in topics


def test_rules_strike_in_order_and_only_as_often_as_they_say() -> None:
    faults = Faults()
    faults.add(operation="rds:*", code="Throttling", times=2)
    faults.add(operation="rds:CopyDBClusterSnapshot", code="InternalFailure")
    struck = [faults.api("rds:CopyDBClusterSnapshot", "us-east-1", {}) for _ in range(4)]
    assert [fault.code if fault else None for fault in struck] == ["Throttling", "Throttling", "InternalFailure", None]
    assert faults.pending() == []


def test_a_lifecycle_s_fault_waits_for_its_own_identifier() -> None:
    faults = Faults()
    faults.add(lifecycle="copy-snapshot", identifier="nightly-*", status="failed", at_percent=40)
    assert faults.lifecycle("copy-snapshot", "weekly-1") is None
    assert faults.lifecycle("restore-cluster", "nightly-1") is None
    fault = faults.lifecycle("copy-snapshot", "nightly-1")
    assert fault is not None
    assert fault.at_percent == 40
    assert faults.lifecycle("copy-snapshot", "nightly-1") is None


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"operation": "rds:X"},
        {"operation": "rds:X", "code": "Y", "answer": "maybe"},
        {"operation": "rds:X", "code": "Y", "tmes": 2},
        {"operation": "rds:X", "code": "Y", "times": 0},
        {"operation": "rds:X", "code": "Y", "times": "2"},
        {"operation": "rds:X", "code": "Y", "parameters": "arn:*"},
        {"lifecycle": "copy"},
        {"lifecycle": "copy-snapshot", "at_percent": 101},
        {"function": "f", "die": "sometimes"},
        {"operation": "rds:X", "code": "Y", "seconds": -1},
        {"operation": "rds:X", "code": "Y", "seconds": 9, "times": 2},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Faults().add(**rule)


def test_a_rule_can_strike_only_some_calls_of_an_operation() -> None:
    faults = Faults()
    source = {"SourceDBClusterSnapshotIdentifier": "arn:aws:rds:us-east-1:210987654321:*"}
    faults.add(operation="rds:CopyDBClusterSnapshot", region="us-west-2", parameters=source, code="Refused", times=9)
    theirs = {"SourceDBClusterSnapshotIdentifier": "arn:aws:rds:us-east-1:210987654321:cluster-snapshot:a"}
    ours = {"SourceDBClusterSnapshotIdentifier": "arn:aws:rds:us-east-1:123456789012:cluster-snapshot:a"}
    assert faults.api("rds:CopyDBClusterSnapshot", "us-west-2", theirs)
    for region, parameters in (("us-east-1", theirs), ("us-west-2", ours), ("us-west-2", {})):
        assert faults.api("rds:CopyDBClusterSnapshot", region, parameters) is None


def test_a_rule_with_seconds_strikes_every_call_until_they_are_over() -> None:
    now = 1_000.0
    faults = Faults(lambda: now)
    faults.add(operation="lambda:Invoke", code="ENINotReadyException", seconds=106)
    faults.add(operation="lambda:Invoke", code="ENINotReadyException", seconds=106)
    now += 500  # they are counted from the first strike
    assert faults.api("lambda:Invoke", "us-east-1", {})
    now += 105
    assert faults.api("lambda:Invoke", "us-east-1", {})
    assert len(faults.pending()) == 2
    now += 1
    assert faults.api("lambda:Invoke", "us-east-1", {}), "the second rule begins where the first ends"
    assert len(faults.pending()) == 1
    now += 106
    assert faults.api("lambda:Invoke", "us-east-1", {}) is None
    assert faults.pending() == []


def test_an_invocation_is_refused_by_the_function_s_name_with_the_status_that_lambda_has_for_it(
    aws: LocalAws, make_function: MakeFunction
) -> None:
    """Every error that Invoke declares can be asked for, and arrives as itself."""
    client = client_without_retries(aws, "lambda")
    asleep, awake = (make_function("def handler(event, context): return 1").rsplit(":", 1)[1] for _ in range(2))
    for shape in client.meta.service_model.operation_model("Invoke").error_shapes:
        aws.faults.add(operation="lambda:Invoke", parameters={"FunctionName": f"*{asleep}"}, code=shape.name)
        assert client.invoke(FunctionName=awake)["StatusCode"] == 200
        with pytest.raises(client.exceptions.from_code(shape.name)) as refused:
            client.invoke(FunctionName=asleep)
        answer = refused.value.response
        assert answer["Error"]["Code"] == shape.name
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == shape.metadata["error"]["httpStatusCode"]
