"""Buckets and their policies."""

from __future__ import annotations

import uuid

from scripts.local_aws.cloudformation.deployment import (
    Deployment,
    Properties,
    changed_properties,
    only,
    policy,
    refuse_unknown,
)
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text
from scripts.local_aws.cloudformation.resource_types import Made, Overwritten, ResourceType

_CALLS = {
    "PublicAccessBlockConfiguration": "put_public_access_block",
    "OwnershipControls": "put_bucket_ownership_controls",
    "VersioningConfiguration": "put_bucket_versioning",
    "ObjectLockConfiguration": "put_object_lock_configuration",
    "LifecycleConfiguration": "put_bucket_lifecycle_configuration",
}
"""The calls that set one property of a bucket each. A lock needs versions first."""


class _Bucket(ResourceType):
    type = "AWS::S3::Bucket"
    in_place = " ".join([*_CALLS, "BucketEncryption", "Tags"])
    fixed = "BucketName ObjectLockEnabled"
    deletion = "s3", "delete_bucket", "Bucket"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        """Create a bucket. A generated name is in lower case and unlike any other bucket's in the world."""
        generated = f"{name.lower()[:50]}-{uuid.uuid4().hex[:12]}"
        bucket = {"Bucket": text(properties.get("BucketName") or generated)}
        # S3 knows its oldest region by no name.
        place = {} if deployment.region == "us-east-1" else {"LocationConstraint": deployment.region}
        locks = text(properties.get("ObjectLockEnabled", "false")) == "true"
        if "ObjectLockConfiguration" in properties and not locks:
            raise TemplateError("ObjectLockConfiguration needs ObjectLockEnabled")
        given = {**bucket, **({"ObjectLockEnabledForBucket": True} if locks else {})}
        deployment.call("s3", "create_bucket", given, CreateBucketConfiguration=place or None)
        _set(deployment, bucket, properties, set(properties))
        return bucket["Bucket"], {"Arn": f"arn:aws:s3:::{bucket['Bucket']}"}

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> None:
        changed = changed_properties(old, new)
        if gone := changed - set(new):
            raise TemplateError(f"The embedded AWS cannot take {', '.join(sorted(gone))} from a bucket")
        _set(deployment, {"Bucket": made.ref}, new, changed)


def _set(deployment: Deployment, bucket: Properties, properties: Properties, names: set[str]) -> None:
    for key in (each for each in _CALLS if each in names and each in properties):
        value = properties[key]
        if key == "LifecycleConfiguration":
            refuse_unknown(value, ("Rules",), key)
            value = {"Rules": [_lifecycle_rule(rule) for rule in value["Rules"]]}
        deployment.call("s3", _CALLS[key], {**bucket, key: value})
    if "BucketEncryption" in names:
        encryption = properties["BucketEncryption"]
        refuse_unknown(encryption, ("ServerSideEncryptionConfiguration",), "BucketEncryption")
        rules = [_encryption_rule(each) for each in encryption["ServerSideEncryptionConfiguration"]]
        given = {**bucket, "ServerSideEncryptionConfiguration": {"Rules": rules}}
        deployment.call("s3", "put_bucket_encryption", given)
    if "Tags" in names:
        deployment.call("s3", "put_bucket_tagging", bucket, Tagging={"TagSet": properties["Tags"]})


def _lifecycle_rule(rule: Properties) -> Properties:
    """Return the rule in the words of S3's API, which has the prefix in a filter."""
    refuse_unknown(rule, ("Id", "NoncurrentVersionExpiration", "Prefix", "Status"), "LifecycleConfiguration.Rules")
    kept = only(rule, "NoncurrentVersionExpiration", "Status")
    return {"ID": text(rule["Id"]), "Filter": {"Prefix": text(rule.get("Prefix", ""))}, **kept}


def _encryption_rule(rule: Properties) -> Properties:
    """Return the rule in the words of S3's API, which calls the default otherwise."""
    refuse_unknown(rule, ("BucketKeyEnabled", "ServerSideEncryptionByDefault"), "ServerSideEncryptionConfiguration")
    default = {"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
    return default | only(rule, "BucketKeyEnabled")


class _BucketPolicy(Overwritten):
    type = "AWS::S3::BucketPolicy"
    in_place = "PolicyDocument"
    fixed = "Bucket"
    deletion = "s3", "delete_bucket_policy", "Bucket"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        document = policy(properties["PolicyDocument"])
        deployment.call("s3", "put_bucket_policy", only(properties, "Bucket"), Policy=document)
        return text(properties["Bucket"]), {}
