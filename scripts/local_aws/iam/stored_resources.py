"""What the backends hold that access checks must know: tags, keys, resource policies, by ARN or name.

An unknown resource has no tags, key or policy: whether it exists is for the called service to say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from moto.dynamodb.models import dynamodb_backends
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.rds.models import rds_backends
from moto.s3.models import s3_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.stepfunctions.models import stepfunctions_backends

from scripts.local_aws.core.arns import Arn

_Found = TypeVar("_Found")
_Reader = Callable[[str, str, str], Any]


def tags(arn: str) -> dict[str, str]:
    """Return the resource's tags as they are now."""
    found = _or_none(lambda: _read(_TAGS, arn))
    if isinstance(found, Mapping):
        return dict(found)
    return {tag.get("Key", tag.get("TagKey")): tag.get("Value", tag.get("TagValue")) for tag in found or []}


def role_tags(arn: str) -> dict[str, str]:
    """Return the tags of a role that exists."""
    parsed = Arn.parse(arn)
    role = iam_backends[parsed.account_id][parsed.partition].get_role_by_arn(arn)
    return {tag["Key"]: tag["Value"] for tag in role.tags}


def resource_policy(arn: str) -> str | None:
    """Return the policy of a bucket, topic, queue, secret, key or function; it can refuse what the caller's allows."""
    policy = _or_none(lambda: _read(_POLICIES, arn))
    return policy if policy is None or isinstance(policy, str) else json.dumps(policy)


def secret(identifier: str, account: str, region: str) -> Any | None:
    """Return a secret by its name, ARN or partial ARN."""
    return _or_none(lambda: secretsmanager_backends[account][region].secrets[identifier])


def key_arn(identifier: str, account: str, region: str) -> str | None:
    """Return a key's ARN by id, ARN or alias; a foreign ARN is looked up where it says."""
    if arn := Arn.parse_or_none(identifier):
        region, account = arn.place
    return _or_none(lambda: str(kms_backends[account][region].describe_key(identifier).arn))


def customer_key_arn(identifier: str, account: str, region: str) -> str | None:
    """Return a key's ARN, or None for an AWS managed one, which the whole account may use through its service."""
    named = Arn.parse_or_none(identifier)
    if (named.resource if named else identifier).startswith("alias/aws/"):
        return None
    arn = key_arn(identifier, account, region)
    if arn is None:
        return None
    key = _of_place(kms_backends, arn).describe_key(arn)
    managed = any(alias.startswith("alias/aws/") for alias in key.aliases)
    return None if managed and key.account_id == account else arn


def snapshot_key(identifier: str, account: str, region: str) -> str | None:
    """Return the key of a cluster snapshot, by name or ARN; the name of an automated one has a colon itself."""
    if arn := Arn.parse_or_none(identifier):
        identifier = arn.name
        region, account = arn.place
    return _or_none(lambda: rds_backends[account][region].cluster_snapshots[identifier.lower()].kms_key_id)


def copies_tags_to_snapshots(arn: str) -> bool:
    """Return whether a cluster's snapshots get its tags."""
    cluster: Any = _or_none(lambda: _of_place(rds_backends, arn).clusters[Arn.parse(arn).name])
    return cluster is not None and bool(cluster.attributes["CopyTagsToSnapshot"])


def topic_key(arn: str) -> str | None:
    """Return the key with which a topic is encrypted."""
    return _or_none(lambda: _of_place(sns_backends, arn).topics[arn].kms_master_key_id)


def table_key(name: str, account: str, region: str) -> str | None:
    """Return the key with which a table is encrypted."""
    table = _or_none(lambda: dynamodb_backends[account][region].get_table(name))
    return (table.sse_specification or {}).get("KMSMasterKeyId") if table else None


def bucket_key(name: str) -> str | None:
    """Return the key with which a bucket encrypts what is put into it."""
    bucket = _or_none(lambda: _bucket(name))
    rule = bucket.encryption["Rule"] if bucket and bucket.encryption else None
    default = (rule[0] if isinstance(rule, list) else rule or {}).get("ApplyServerSideEncryptionByDefault", {})
    key = default.get("KMSMasterKeyID")
    return str(key) if key else None


def _bucket(name: str) -> Any:
    partition, account = s3_backends.bucket_accounts[name]
    return s3_backends[account][partition].buckets[name]


def _bucket_policy(arn: str) -> str | None:
    policy = _bucket(Arn.parse(arn).resource.partition("/")[0]).policy
    return policy.decode() if policy else None


def table_hash_key(name: str, account: str, region: str) -> str | None:
    """Return the name of a table's partition key."""
    return _or_none(lambda: dynamodb_backends[account][region].get_table(name).hash_key_attr)


def machine_of_task(token: str, account: str, region: str) -> str | None:
    """Return the ARN of the state machine in which a task waits or has waited for this token."""
    backend: Any = stepfunctions_backends[account][region]
    return _or_none(lambda: backend.machine_of_task(token))


def _or_none(look_up: Callable[[], _Found]) -> _Found | None:
    """Return what is looked up, or None: backends say "not there" with exceptions of their own, one kind each."""
    try:
        return look_up()
    except Exception:  # noqa: BLE001 the kinds have no common ancestor
        return None


def _read(readers: Mapping[str, _Reader], arn: str) -> Any:
    parsed = Arn.parse(arn)
    return readers[parsed.service](arn, parsed.account_id, parsed.region)


def _of_place(backends: Any, arn: str) -> Any:
    region, account = Arn.parse(arn).place
    return backends[account][region]


def _functions(account: str, region: str) -> Any:
    from moto.awslambda.utils import get_backend

    return get_backend(account, region)


_TAGS: dict[str, _Reader] = {
    "rds": lambda arn, account, region: rds_backends[account][region].list_tags_for_resource(arn),
    "dynamodb": lambda arn, account, region: dynamodb_backends[account][region].list_tags_of_resource(arn),
    "secretsmanager": lambda arn, account, region: secretsmanager_backends[account][region].secrets[arn].tags,
    "sns": lambda arn, account, region: sns_backends[account][region].topics[arn]._tags,
    "lambda": lambda arn, account, region: _functions(account, region).list_tags(arn),
    "kms": lambda arn, account, region: kms_backends[account][region].list_resource_tags(arn)["Tags"],
    "iam": lambda arn, account, region: role_tags(arn),
}
_POLICIES: dict[str, _Reader] = {
    "s3": lambda arn, account, region: _bucket_policy(arn),
    "sns": lambda arn, account, region: sns_backends[account][region].topics[arn].policy,
    "sqs": lambda arn, account, region: sqs_backends[account][region].get_queue(Arn.parse(arn).resource).policy,
    "secretsmanager": lambda arn, account, region: getattr(secret(arn, account, region), "policy", None),
    "kms": lambda arn, account, region: kms_backends[account][region].get_key_policy(arn),
    "lambda": lambda arn, account, region: _functions(account, region).get_function(arn).policy.get_policy()["Policy"],
}
