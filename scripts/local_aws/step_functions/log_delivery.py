"""Whether a state machine's executions can be logged, and by which policy of CloudWatch Logs their log is delivered.

Answers are worded as recorded on AWS (LocalStack's repository, tests/aws/services/stepfunctions/v2, logs/test_logs.py
and test_sfn_api_logs.py). The policy is described in the Step Functions developer guide, "Avoiding CloudWatch Logs
resource policy size restrictions", and in the answer in aws-samples/aws-batch-runtime-monitoring#23.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from moto.logs.models import LogsBackend

from scripts.local_aws.core import logs
from scripts.local_aws.core.arns import Arn
from scripts.local_aws.core.errors import AwsError
from scripts.local_aws.iam.gate import NotAuthorized, Permissions

_INVALID = "Invalid Logging Configuration:"
_VALIDATION_STREAM = "log_stream_created_by_aws_to_validate_log_delivery_subscriptions"
_ACTIONS = (
    "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
    "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups",
)  # fmt: skip
_POLICY = "AWSLogDeliveryWrite20150319"
_POLICY_LIMIT = 5120


def complete(configuration: dict[str, Any] | None) -> dict[str, Any]:
    """Return a logging configuration with what AWS adds to it (test_incomplete_logging_configuration)."""
    return {"includeExecutionData": False, "level": "OFF", **(configuration or {})}


def log_group(configuration: dict[str, Any]) -> str:
    """Return the name of the log group to which executions are logged; an empty one for the ARN of anything else."""
    arn = Arn.parse_or_none(configuration["destinations"][0]["cloudWatchLogsLogGroup"]["logGroupArn"])
    return arn.name.removesuffix(":*") if arn and arn.kind == "log-group" else ""


def check(backend: LogsBackend, permissions: Permissions, role_arn: str, configuration: dict[str, Any]) -> None:
    """Refuse a destination that is none, or that the role may not log to; else let logs be delivered there.

    test_sfn_api_logs.py test_invalid_logging_configuration, test_multiple_destinations, test_deleted_log_group.
    """
    destinations = configuration.get("destinations", [])
    if configuration["level"] == "OFF" and not destinations:
        return
    if len(destinations) != 1:
        raise AwsError("InvalidLoggingConfiguration", f"{_INVALID} Must specify exactly one Log Destination.")
    arn = str(destinations[0]["cloudWatchLogsLogGroup"]["logGroupArn"])
    if not arn.endswith(":*"):
        message = f"{_INVALID} the log group's ARN must end with :*, {arn} does not"
        raise AwsError("InvalidLoggingConfiguration", message)
    region = backend.region_name
    for action in _ACTIONS:
        try:
            permissions.require(role_arn, f"logs:{action}", "*", session_name="StepFunctions", region=region)
        except NotAuthorized:
            message = "The state machine IAM Role is not authorized to access the Log Destination"
            raise AwsError("AccessDeniedException", message) from None
    if log_group(configuration) not in backend.groups:
        raise AwsError("InvalidLoggingConfiguration", f"{_INVALID} Log Destination not found.")
    _let_logs_be_delivered(backend, arn.removesuffix(":*"))


def _let_logs_be_delivered(backend: LogsBackend, group: str) -> None:
    """Write the log group into the policy by which services deliver logs. Refuse what makes it too long.

    All of /aws/vendedlogs/ is one entry.
    """
    arn = Arn.parse(group)
    vended = arn.name.startswith("/aws/vendedlogs/")
    resource = f"{replace(arn, resource='log-group:/aws/vendedlogs/*')}" if vended else f"{group}:log-stream:*"
    policy = backend.resource_policies.get(_POLICY)
    statements = json.loads(policy.policy_document)["Statement"] if policy else []
    if any(resource in statement["Resource"] for statement in statements):
        return
    actions = ["logs:CreateLogStream", "logs:PutLogEvents"]
    statements.append({"Effect": "Allow", "Action": actions, "Resource": [resource]})
    longer = json.dumps({"Version": "2012-10-17", "Statement": statements})
    if len(longer) > _POLICY_LIMIT:
        raise AwsError(
            "InvalidLoggingConfiguration",
            f"{_INVALID} The CloudWatch Logs Resource Policy size was exceeded. We suggest prefixing your CloudWatch "
            "log group name with /aws/vendedlogs/states/.",
        )
    backend.put_resource_policy(_POLICY, longer)


def leave_validation_stream(backend: LogsBackend, configuration: dict[str, Any]) -> None:
    """Leave the stream with which AWS tries whether it may write into a log group (logs/test_logs.py)."""
    if configuration["level"] != "OFF":
        logs.append(backend, log_group(configuration), _VALIDATION_STREAM, [], 0)
