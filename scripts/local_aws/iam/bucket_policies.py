"""S3: a bucket's policy counts with its conditions, which moto ignores. The gate evaluates it (gate.py)."""

from __future__ import annotations

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket


def install() -> None:
    """Take moto's check away for this process, once and for all."""
    FakeBucket.get_permission = _get_permission  # type: ignore[method-assign,assignment]


def _get_permission(bucket: FakeBucket, action: str, resource: str) -> PermissionResult:
    return PermissionResult.NEUTRAL
