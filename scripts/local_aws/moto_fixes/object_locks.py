"""S3: conditional writes and Object Lock, where moto lets through what S3 refuses, or refuses what S3 takes.

Sources: S3 user guide, "How to prevent object overwrites with conditional writes" (of several writes of one key the
first to finish succeeds, and the others get 412), "Locking objects with Object Lock" (a configuration may be set on a
bucket with objects; versioning cannot be suspended) and "Managing Object Lock" (a lock is extended by anybody who may
set one; it is shortened or taken away with s3:BypassGovernanceRetention, and in compliance mode by nobody).
"""

from __future__ import annotations

import threading
from typing import Any

from moto.s3.exceptions import AccessDeniedByLock, InvalidBucketState
from moto.s3.models import S3Backend
from moto.s3.responses import S3Response

_VERSIONING_STAYS = "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
_put_object, _put_retention = S3Response.put_object, S3Response.put_object_retention
_put_versioning = S3Backend.put_bucket_versioning
_one_after_the_other = threading.Lock()


def install() -> None:
    """Replace moto's ways for this process, once and for all."""
    S3Response.put_object = _put_one_after_the_other  # type: ignore[method-assign,assignment]
    S3Response.put_object_retention = _put_checked_retention  # type: ignore[method-assign,assignment]
    S3Backend.put_bucket_versioning = _put_checked_versioning  # type: ignore[method-assign,assignment]
    S3Backend.put_object_lock_configuration = _put_lock_configuration  # type: ignore[method-assign,assignment]


def _put_one_after_the_other(response: Any) -> Any:
    """Write an object while nobody else does: moto looks whether it is there, and writes it later."""
    with _one_after_the_other:
        return _put_object(response)


def _put_checked_retention(response: Any) -> Any:
    version = response._get_param("versionId")
    key = response.backend.get_object(response.bucket_name, response.parse_key_name(), version_id=version)
    bypasses = response.headers.get("x-amz-bypass-governance-retention", "").lower() == "true"
    if key is not None and key.is_locked(governance_bypass=bypasses):
        mode, until = response._mode_until_from_body()
        if mode != key.lock_mode or not until or until < key.lock_until:
            raise AccessDeniedByLock
    return _put_retention(response)


def _put_checked_versioning(backend: S3Backend, bucket_name: str, status: str) -> None:
    if backend.get_bucket(bucket_name).object_lock_enabled and status != "Enabled":
        raise InvalidBucketState(_VERSIONING_STAYS)
    _put_versioning(backend, bucket_name, status)


def _put_lock_configuration(
    backend: S3Backend,
    bucket_name: str,
    lock_enabled: bool,
    mode: str | None = None,
    days: int | None = None,
    years: int | None = None,
) -> None:
    bucket = backend.get_bucket(bucket_name)
    if not bucket.is_versioned:
        raise InvalidBucketState("Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
    bucket.object_lock_enabled = bucket.object_lock_enabled or lock_enabled
    bucket.default_lock_mode, bucket.default_lock_days, bucket.default_lock_years = mode, days, years
