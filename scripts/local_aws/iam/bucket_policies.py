"""S3: a bucket's policy counts with its conditions. moto ignores them: a denial of all but TLS would deny all.

Only that a call comes by TLS is known of it here, as of every call: plain HTTP is this machine's own.
"""

from __future__ import annotations

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket

from scripts.local_aws.iam.policy import Policy, Request, evaluate


def install() -> None:
    """Replace moto's check for this process, once and for all."""
    FakeBucket.get_permission = _get_permission  # type: ignore[method-assign,assignment]


def _get_permission(bucket: FakeBucket, action: str, resource: str) -> PermissionResult:
    if bucket.policy is None:
        return PermissionResult.NEUTRAL
    request = Request(action, resource, {"aws:securetransport": "true"})
    verdict = evaluate([Policy.parse(bucket.name, bucket.policy.decode())], request)
    if verdict.explicitly_denied:
        return PermissionResult.DENIED
    return PermissionResult.PERMITTED if verdict.allowed else PermissionResult.NEUTRAL
