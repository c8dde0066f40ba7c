"""Buckets and their policies."""

from __future__ import annotations

import uuid

from scripts.local_aws.cloudformation.deployment import Deployment, Properties, only, policy, refuse_unknown
from scripts.local_aws.cloudformation.intrinsics import text
from scripts.local_aws.cloudformation.resource_types import Made, ResourceType

_CALLS = {
    "PublicAccessBlockConfiguration": "put_public_access_block",
    "VersioningConfiguration": "put_bucket_versioning",
}


class _Bucket(ResourceType):
    type = "AWS::S3::Bucket"
    fixed = "BucketEncryption BucketName PublicAccessBlockConfiguration Tags VersioningConfiguration"
    deletion = "s3", "delete_bucket", "Bucket"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        """Create a bucket. A generated name is in lower case and unlike any other bucket's in the world."""
        generated = f"{name.lower()[:50]}-{uuid.uuid4().hex[:12]}"
        bucket = {"Bucket": text(properties.get("BucketName") or generated)}
        # S3 knows its oldest region by no name.
        place = {} if deployment.region == "us-east-1" else {"LocationConstraint": deployment.region}
        deployment.call("s3", "create_bucket", bucket, CreateBucketConfiguration=place or None)
        for key, value in only(properties, *_CALLS).items():
            deployment.call("s3", _CALLS[key], {**bucket, key: value})
        if encryption := properties.get("BucketEncryption"):
            refuse_unknown(encryption, ("ServerSideEncryptionConfiguration",), "BucketEncryption")
            rules = [_encryption_rule(each) for each in encryption["ServerSideEncryptionConfiguration"]]
            given = {**bucket, "ServerSideEncryptionConfiguration": {"Rules": rules}}
            deployment.call("s3", "put_bucket_encryption", given)
        if tags := properties.get("Tags"):
            deployment.call("s3", "put_bucket_tagging", bucket, Tagging={"TagSet": tags})
        return bucket["Bucket"], {"Arn": f"arn:aws:s3:::{bucket['Bucket']}"}


def _encryption_rule(rule: Properties) -> Properties:
    """Return the rule in the words of S3's API, which calls the default otherwise."""
    refuse_unknown(rule, ("BucketKeyEnabled", "ServerSideEncryptionByDefault"), "ServerSideEncryptionConfiguration")
    default = {"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
    return default | only(rule, "BucketKeyEnabled")


class _BucketPolicy(ResourceType):
    type = "AWS::S3::BucketPolicy"
    fixed = "Bucket PolicyDocument"
    deletion = "s3", "delete_bucket_policy", "Bucket"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        document = policy(properties["PolicyDocument"])
        deployment.call("s3", "put_bucket_policy", only(properties, "Bucket"), Policy=document)
        return text(properties["Bucket"]), {}
