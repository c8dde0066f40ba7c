"""Where the template's code and definitions lie: in a bucket, or at a path of this machine."""

from __future__ import annotations

import pathlib

from botocore.exceptions import ClientError

from scripts.local_aws.cloudformation.deployment import Deployment, Properties
from scripts.local_aws.cloudformation.intrinsics import TemplateError, text
from scripts.local_aws.cloudformation.template import LOCAL_BUCKET


def located(deployment: Deployment, location: Properties, where: str) -> bytes | pathlib.Path:
    """Return the object in S3, or the path on this machine. Refuse a place where nothing lies."""
    bucket, key = (text(location.get(f"S3{name}") or location[name]) for name in ("Bucket", "Key"))
    if bucket == LOCAL_BUCKET:
        path = pathlib.Path(key)
        if not path.exists():
            raise TemplateError(f"{where}: {path} does not exist")
        return path
    place = {"Bucket": bucket, "Key": key}
    if version := location.get("S3ObjectVersion") or location.get("Version"):
        place["VersionId"] = text(version)
    try:
        content: bytes = deployment.account.client("s3", deployment.region).get_object(**place)["Body"].read()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        message = f"Error occurred while GetObject. S3 Error Code: {code}. {where}: s3://{bucket}/{key}"
        raise TemplateError(message) from None
    return content
