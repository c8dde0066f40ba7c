"""Policies that AWS manages, one at a time. moto has all of them, and would make every one in each account or none."""

from __future__ import annotations

import functools
import json
from typing import Any

from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, iam_backends

from scripts.local_aws.cloudformation.intrinsics import TemplateError
from scripts.local_aws.core.arns import Arn


def provide(arn: str, account_id: str) -> None:
    """Make the policy attachable in the account. Refuse one that AWS does not have."""
    parsed, name = Arn.parse_or_none(arn), arn.rpartition("/")[2]
    known = _all().get(name)
    if parsed is None or known is None or parsed.resource != f"policy{known['Path']}{name}":
        raise TemplateError(f"The embedded AWS does not know {arn}: AWS manages no policy of that path and name")
    policies: dict[str, Any] = iam_backends[account_id][parsed.partition].managed_policies
    if arn not in policies:
        policies[arn] = AWSManagedPolicy.from_data(name, account_id, parsed.partition, known)


@functools.cache
def _all() -> dict[str, Any]:
    return dict(json.loads(aws_managed_policies_data))
