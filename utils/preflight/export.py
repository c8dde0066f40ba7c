"""The export of a snapshot: the stack's bucket, role and key, and the export's name."""

from __future__ import annotations

from collections.abc import Iterator

from utils.aurora_utils.exports import Exports
from utils.aurora_utils.offers import encryption_key
from utils.aws import client
from utils.aws_errors import none_when
from utils.contracts.plan import SnapshotExport
from utils.preflight.service_roles import EXPORTS, role_problems

_PARAMETERS = ("ExportBucketName", "ExportRoleArn", "ExportKmsKeyId")


def export_problems(export: SnapshotExport | None, region: str) -> Iterator[str]:
    """Yield what prevents an export, before anything is created."""
    if export is None:
        return
    if wrong := list(destination_problems(export, region)):
        yield from wrong
        return
    if Exports(region).task(export.identifier) is not None:
        yield (
            f"operation_id: it was used before: its export {export.identifier!r} exists in {region}. "
            "Start the execution under another name, or give another operation_id."
        )


def destination_problems(export: SnapshotExport, region: str) -> Iterator[str]:
    """Yield what is wrong with bucket, role and key, as the stack had them when the export was planned."""
    given = dict(zip(_PARAMETERS, (export.bucket, export.role_arn, export.kms_key_id), strict=True))
    missing = [parameter for parameter in _PARAMETERS if not given[parameter]]
    if missing:
        yield (
            f"archive_snapshot: 'export' needs the stack's {', '.join(missing)}. "
            "Set them and update the stack, or give delete or keep."
        )
        return
    yield from _bucket_problems(export.bucket, region)
    yield from role_problems(export.role_arn, EXPORTS, "archive_snapshot", "ExportRoleArn")
    key = encryption_key(export.kms_key_id, region)
    if key is None or key.state != "Enabled":
        state = key.state if key else "not there"
        yield (
            f"archive_snapshot: the key of the stack's ExportKmsKeyId, {export.kms_key_id!r}, is {state} in {region}. "
            f"Enable it, or set another: aws kms list-keys --region {region}"
        )


def _bucket_problems(bucket: str, region: str) -> Iterator[str]:
    answer = none_when("NoSuchBucket", lambda: client("s3", region).get_bucket_location(Bucket=bucket))
    if answer is None:
        yield (
            f"archive_snapshot: the stack's ExportBucketName, {bucket!r}, does not exist. Create it: "
            f"aws s3 mb s3://{bucket} --region {region}"
        )
    elif (found := _region_of(answer["LocationConstraint"])) != region:
        yield (
            f"archive_snapshot: the stack's ExportBucketName, {bucket!r}, is in {found}; RDS exports only within "
            f"{region}. Set a bucket of {region}."
        )


def _region_of(constraint: str | None) -> str:
    """Return the region. S3 calls its two oldest regions nothing, and EU."""
    return {None: "us-east-1", "": "us-east-1", "EU": "eu-west-1"}.get(constraint, constraint or "")
