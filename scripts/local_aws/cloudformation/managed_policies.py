"""Policies that AWS manages, one at a time. moto has all of them, and would make every one in each account or none."""

from __future__ import annotations

import functools
import json
from typing import Any

from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, iam_backends

from scripts.local_aws.cloudformation.intrinsics import TemplateError


def provide(arn: str, account_id: str) -> None:
    """Make the policy attachable in the account. Refuse one that AWS does not have."""
    partition = arn.split(":")[1]
    policies: dict[str, Any] = iam_backends[account_id][partition].managed_policies
    path, _, name = arn.partition(":policy/")[2].rpartition("/")
    known = _all().get(name)
    if known is None or known["Path"].strip("/") != path:
        raise TemplateError(f"The embedded AWS does not know {arn}: AWS manages no policy of that path and name")
    if arn not in policies:
        policies[arn] = AWSManagedPolicy.from_data(name, account_id, partition, known)


@functools.cache
def _all() -> dict[str, Any]:
    return dict(json.loads(aws_managed_policies_data))
