"""Two accounts, roles in both, and clients that act as a role."""

from __future__ import annotations

import itertools
import json
from typing import Any

from scripts.local_aws.core.credentials import Credentials, aws_client
from scripts.local_aws.server import LocalAws

MAIN = "123456789012"
OTHER = "210987654321"
WEST = "us-west-2"
_numbers = itertools.count(1)

Statement = dict[str, Any]
Answer = dict[str, Any]


def allow(action: str | list[str], resource: str | list[str] = "*", **elements: Any) -> Statement:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **elements}


def trusts(*arns: str, **condition: Any) -> Statement:
    trust = {"Effect": "Allow", "Principal": {"AWS": list(arns)}, "Action": "sts:AssumeRole"}
    return {**trust, "Condition": condition} if condition else trust


def root(account: str) -> str:
    return f"arn:aws:iam::{account}:root"


def policy(*statements: Statement) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def make_role(aws: LocalAws, account: str, trust: Statement, *statements: Statement, **settings: Any) -> str:
    """Its ARN."""
    iam, name = aws.client("iam", account=account), f"role-{next(_numbers)}"
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust), **settings)
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=policy(*statements))
    arn: str = made["Role"]["Arn"]
    return arn


class Caller:
    """A function's role, and clients that act as it."""

    def __init__(self, aws: LocalAws, *statements: Statement, account: str = MAIN) -> None:
        self.aws = aws
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        self.arn = make_role(aws, account, trust, *statements)

    def client(self, service: str, region: str = "us-east-1") -> Any:
        credentials = self.aws.permissions.assume(
            self.arn, service="lambda.amazonaws.com", session_name="function", region=region
        )
        return aws_client(service, region, self.aws.endpoint_url, credentials, attempts=1)

    def assume(self, role_arn: str, service: str, region: str = "us-east-1", **parameters: Any) -> Any:
        """A client of another role, which this one assumes first."""
        answer = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="restore", **parameters)
        given = answer["Credentials"]
        credentials = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        return aws_client(service, region, self.aws.endpoint_url, credentials, attempts=1)
