"""Buckets and their policies."""

from __future__ import annotations

import uuid

from scripts.local_aws.cloudformation.deployment import (
    Deployment,
    Properties,
    creates,
    only,
    policy,
    refuse_unknown,
    tags,
)
from scripts.local_aws.cloudformation.intrinsics import Created, text


@creates(
    "AWS::S3::Bucket",
    "BucketEncryption", "BucketName", "PublicAccessBlockConfiguration", "Tags", "VersioningConfiguration",
)  # fmt: skip
def _bucket(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    """A name that CloudFormation makes up is in lower case, and no other bucket's anywhere."""
    made_up = f"{deployment.stack_name}-{logical_id}".lower()[:50] + f"-{uuid.uuid4().hex[:12]}"
    bucket = {"Bucket": text(properties.get("BucketName") or made_up)}
    # S3 knows its oldest region by no name.
    place = {} if deployment.region == "us-east-1" else {"LocationConstraint": deployment.region}
    deployment.call("s3", "create_bucket", bucket, CreateBucketConfiguration=place or None)
    for name in only(properties, "PublicAccessBlockConfiguration", "VersioningConfiguration"):
        operation = {"PublicAccessBlockConfiguration": "put_public_access_block"}.get(name, "put_bucket_versioning")
        deployment.call("s3", operation, {**bucket, name: properties[name]})
    if encryption := properties.get("BucketEncryption"):
        refuse_unknown(encryption, ("ServerSideEncryptionConfiguration",), "BucketEncryption")
        rules = [_encryption_rule(each) for each in encryption["ServerSideEncryptionConfiguration"]]
        given = {**bucket, "ServerSideEncryptionConfiguration": {"Rules": rules}}
        deployment.call("s3", "put_bucket_encryption", given)
    if labels := tags(properties):
        deployment.call("s3", "put_bucket_tagging", bucket, Tagging={"TagSet": labels})
    return Created("AWS::S3::Bucket", bucket["Bucket"], {"Arn": f"arn:aws:s3:::{bucket['Bucket']}"})


def _encryption_rule(rule: Properties) -> Properties:
    """In the words of S3's API, which calls the default otherwise."""
    refuse_unknown(rule, ("BucketKeyEnabled", "ServerSideEncryptionByDefault"), "ServerSideEncryptionConfiguration")
    default = {"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
    return default | only(rule, "BucketKeyEnabled")


@creates("AWS::S3::BucketPolicy", "Bucket", "PolicyDocument")
def _bucket_policy(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    document = policy(properties["PolicyDocument"])
    deployment.call("s3", "put_bucket_policy", only(properties, "Bucket"), Policy=document)
    return Created("AWS::S3::BucketPolicy", text(properties["Bucket"]), {})
