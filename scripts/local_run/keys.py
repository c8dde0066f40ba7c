"""KMS keys with which production's data are encrypted, and which other accounts may be allowed to use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import boto3

from scripts.local_aws.server import LocalAws


def create_key(aws: LocalAws, region: str, account: str, description: str, users: Sequence[str] = ()) -> str:
    """Create a key and return its ARN. `users` are other accounts that may copy what it encrypts."""
    created = aws.client("kms", region, account).create_key(
        Description=description, Policy=_policy(account, region, users)
    )
    return str(created["KeyMetadata"]["Arn"])


def _policy(account: str, region: str, users: Sequence[str]) -> str:
    """Return a policy that leaves the account's roles to theirs, and lets other accounts copy what it encrypts."""
    partition = boto3.session.Session().get_partition_for_region(region)

    def allow(accounts: Sequence[str], actions: str | list[str], **condition: Any) -> dict[str, Any]:
        roots = [f"arn:{partition}:iam::{each}:root" for each in accounts]
        return {"Effect": "Allow", "Principal": {"AWS": roots}, "Action": actions, "Resource": "*", **condition}

    statements = [allow([account], "kms:*")]
    if users:
        use = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
        for_aws = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
        statements.append(allow(users, use))
        statements.append(allow(users, ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"], Condition=for_aws))
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
