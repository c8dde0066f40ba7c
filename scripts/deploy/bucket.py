"""The bucket that code and template go through: the user's, or one of ours per account and region."""

from __future__ import annotations

import json

from scripts.deploy.aws_cli import AwsCli, AwsError, Refused

_MISSING = ("404", "NoSuchBucket", "NotFound")


def own_name(account: str, region: str) -> str:
    return f"aurora-restore-deploy-{account}-{region}"


def exists(aws: AwsCli, name: str, account: str) -> bool:
    try:
        aws("s3api", "head-bucket", "--bucket", name, "--expected-bucket-owner", account)
    except AwsError as error:
        if error.code in _MISSING:
            return False
        if error.code in ("403", "Forbidden", "AccessDenied"):
            raise Refused(
                f"The bucket {name} isn't yours to use, or belongs to another account. Name another: --bucket NAME"
            ) from None
        raise
    return True


def refuse_another_region(aws: AwsCli, name: str) -> None:
    """Lambda takes code from a bucket of its own region alone, and would say so after everything is uploaded."""
    try:
        place = aws("s3api", "get-bucket-location", "--bucket", name)["LocationConstraint"]
    except AwsError:
        return  # whoever may not look is told by the deployment itself
    region = {None: "us-east-1", "EU": "eu-west-1"}.get(place, place)  # as S3 calls its two oldest
    if region != aws.region:
        raise Refused(f"The bucket {name} is in {region}, the stack in {aws.region}. Name a bucket of {aws.region}.")


def make(aws: AwsCli, name: str) -> None:
    """Encrypted, private, versioned."""
    # S3 knows its oldest region by no name.
    place = [] if aws.region == "us-east-1" else ["--create-bucket-configuration", f"LocationConstraint={aws.region}"]
    aws("s3api", "create-bucket", "--bucket", name, *place)
    blocked = "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"
    aws("s3api", "put-public-access-block", "--bucket", name, "--public-access-block-configuration", blocked)
    rule = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    encryption = ["--server-side-encryption-configuration", json.dumps(rule)]
    aws("s3api", "put-bucket-encryption", "--bucket", name, *encryption)
    aws("s3api", "put-bucket-versioning", "--bucket", name, "--versioning-configuration", "Status=Enabled")


def template_url(aws: AwsCli, bucket: str, key: str) -> str:
    """As CloudFormation takes it. In China and in AWS GovCloud S3 has other names."""
    if aws.endpoint_url:
        return f"{aws.endpoint_url}/{bucket}/{key}"
    suffix = "amazonaws.com.cn" if aws.region.startswith("cn-") else "amazonaws.com"
    return f"https://{bucket}.s3.{aws.region}.{suffix}/{key}"
