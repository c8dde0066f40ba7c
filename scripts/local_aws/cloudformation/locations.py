"""Where the template's code and definitions lie: in a bucket, or at a path of this machine."""

from __future__ import annotations

import pathlib

from botocore.exceptions import ClientError

from scripts.local_aws.cloudformation.deployment import Deployment, Properties
from scripts.local_aws.cloudformation.intrinsics import TemplateError, text
from scripts.local_aws.cloudformation.template import LOCAL_BUCKET


def uploaded(deployment: Deployment, location: Properties, where: str) -> bytes | None:
    """Return what lies in S3 there; None for code that is no object in a bucket."""
    bucket = location.get("S3Bucket") or location.get("Bucket")
    if bucket in (None, LOCAL_BUCKET):
        return None
    place = {"Bucket": text(bucket), "Key": text(location.get("S3Key") or location["Key"])}
    if version := location.get("S3ObjectVersion") or location.get("Version"):
        place["VersionId"] = text(version)
    try:
        content: bytes = deployment.account.client("s3", deployment.region).get_object(**place)["Body"].read()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        message = (
            f"Error occurred while GetObject. S3 Error Code: {code}. {where}: s3://{place['Bucket']}/{place['Key']}"
        )
        raise TemplateError(message) from None
    return content


def local_path(location: Properties, where: str) -> pathlib.Path:
    """Return the path at which code lies. Refuse a bucket in which nothing is."""
    bucket = location.get("S3Bucket") or location.get("Bucket")
    path = pathlib.Path(location.get("S3Key") or location["Key"])
    if bucket != LOCAL_BUCKET:
        raise TemplateError(f"{where} must be a local path: nothing is in the bucket {bucket}")
    if not path.exists():
        raise TemplateError(f"{where}: {path} does not exist")
    return path
