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
    """Encrypted, private, versioned, reached by TLS alone; what a deployment has replaced goes after 90 days."""
    # S3 knows its oldest region by no name.
    place = [] if aws.region == "us-east-1" else ["--create-bucket-configuration", f"LocationConstraint={aws.region}"]
    aws("s3api", "create-bucket", "--bucket", name, *place)
    blocked = "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"
    aws("s3api", "put-public-access-block", "--bucket", name, "--public-access-block-configuration", blocked)
    rule = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    encryption = ["--server-side-encryption-configuration", json.dumps(rule)]
    aws("s3api", "put-bucket-encryption", "--bucket", name, *encryption)
    aws("s3api", "put-bucket-versioning", "--bucket", name, "--versioning-configuration", "Status=Enabled")
    partition = "aws-cn" if aws.region.startswith("cn-") else "aws-us-gov" if "-gov-" in aws.region else "aws"
    arn = f"arn:{partition}:s3:::{name}"
    refused = {
        "Sid": "OnlyByTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy = {"Version": "2012-10-17", "Statement": [refused]}
    aws("s3api", "put-bucket-policy", "--bucket", name, "--policy", json.dumps(policy))
    # The stack's own template and code are current versions: they stay.
    old = {
        "ID": "replaced-packages",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 90},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    lifecycle = ["--lifecycle-configuration", json.dumps({"Rules": [old]})]
    aws("s3api", "put-bucket-lifecycle-configuration", "--bucket", name, *lifecycle)


def template_url(aws: AwsCli, bucket: str, key: str) -> str:
    """As CloudFormation takes it. In China and in AWS GovCloud S3 has other names."""
    if aws.endpoint_url:
        return f"{aws.endpoint_url}/{bucket}/{key}"
    suffix = "amazonaws.com.cn" if aws.region.startswith("cn-") else "amazonaws.com"
    return f"https://{bucket}.s3.{aws.region}.{suffix}/{key}"
