"""The few policies managed by AWS that a template of ours may attach; moto's list of all costs memory and seconds.

Documents as published in the AWS Managed Policy Reference Guide.
"""

from __future__ import annotations

from typing import Any

from moto.iam.models import AWSManagedPolicy, iam_backends

from scripts.local_aws.cloudformation.intrinsics import TemplateError

_LOGS = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
_NETWORK = [
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
]
_TRACING = [
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:GetSamplingStatisticSummaries",
]
_ACTIONS = {
    "service-role/AWSLambdaBasicExecutionRole": _LOGS,
    "service-role/AWSLambdaVPCAccessExecutionRole": [*_LOGS, *_NETWORK],
    "AWSXRayDaemonWriteAccess": _TRACING,
    "AWSXrayWriteOnlyAccess": _TRACING,
}


def provide(arn: str, account_id: str) -> None:
    """Make the policy attachable in the account."""
    policies: dict[str, Any] = iam_backends[account_id][arn.split(":")[1]].managed_policies
    name = arn.partition(":policy/")[2]
    if name not in _ACTIONS:
        known = ", ".join(sorted(_ACTIONS))
        raise TemplateError(f"The embedded AWS doesn't know {arn}; of AWS's own policies it knows {known}")
    path, _, bare = name.rpartition("/")
    data = {
        "DefaultVersionId": "v1",
        "Path": f"/{path}/" if path else "/",
        "Document": {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": _ACTIONS[name], "Resource": "*"}],
        },
        "CreateDate": "2015-04-09T15:03:43+00:00",
        "UpdateDate": "2015-04-09T15:03:43+00:00",
    }
    if arn not in policies:
        policies[arn] = AWSManagedPolicy.from_data(bare, account_id, arn.split(":")[1], data)
