"""Which keys a call uses through the service that it calls.

AWS services use a customer managed key in the caller's name, so the caller needs a right to the key as well, and each
service hides a refusal behind a code of its own. Sources: each service's "encryption at rest" page; for RDS the Aurora
user guide, "Key management" and "Sharing encrypted snapshots", of which the stricter list is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from scripts.local_aws.core.arns import Arn
from scripts.local_aws.iam import stored_resources as stored
from scripts.local_aws.iam.calls import Call, Need

_OWN_KEY = ("DescribeKey", "CreateGrant", "Decrypt", "GenerateDataKey")
_FOREIGN_KEY = (*_OWN_KEY, "Encrypt", "ReEncryptFrom", "ReEncryptTo")
_SECRET_KEY_USE = {
    "GetSecretValue": ("Decrypt",),
    "PutSecretValue": ("GenerateDataKey", "Decrypt"),
    "CreateSecret": ("GenerateDataKey", "Decrypt"),
    "UpdateSecret": ("GenerateDataKey", "Decrypt"),
}


def keys_used(call: Call) -> Iterator[Need]:
    """Yield the KMS permissions that the called service uses in the caller's name."""
    parameters = call.parameters
    if call.service == "rds" and call.operation.startswith(("Copy", "Restore", "Create")):
        source = parameters.get("SourceDBClusterSnapshotIdentifier") or parameters.get("SnapshotIdentifier")
        snapshot_key = stored.snapshot_key(str(source), call.account, call.region) if source else None
        for key in (parameters.get("KmsKeyId"), parameters.get("PerformanceInsightsKMSKeyId"), snapshot_key):
            # What is no whole ARN is RDS's to refuse.
            arn = Arn.parse_or_none(str(key))
            foreign = arn is not None and arn.account_id != call.account
            yield from _through_kms(call, key, _FOREIGN_KEY if foreign else _OWN_KEY, _key_not_accessible(key))
    elif call.operation == "ModifyDBCluster" and (key := parameters.get("MasterUserSecretKmsKeyId")):
        # Whether KMS sees RDS or Secrets Manager as the service between is not verified: both must be allowed.
        refusal = _key_not_accessible(key)
        for through in ("rds", "secretsmanager"):
            yield from _through_kms(call, key, _OWN_KEY, refusal, through)
    elif call.operation == "StartExportTask":
        key = str(parameters["KmsKeyId"])
        yield from _through_kms(call, key, ("DescribeKey", "CreateGrant"), _key_not_accessible(key))
    elif call.service == "secretsmanager" and call.operation in _SECRET_KEY_USE:
        secret = stored.secret(str(parameters.get("SecretId", "")), call.account, call.region)
        key = parameters.get("KmsKeyId") or (secret.kms_key_id if secret else None)
        refusal = ("AccessDeniedException", "Access to KMS is not allowed")
        # Secrets Manager User Guide, "Secret encryption and decryption", "Encryption context".
        context = {"kms:encryptioncontext:secretarn": str(secret.arn)} if secret else {}
        yield from _through_kms(call, key, _SECRET_KEY_USE[call.operation], refusal, context=context)
    elif call.service == "sns" and call.operation in ("Publish", "PublishBatch"):
        key = stored.topic_key(str(parameters.get("TopicArn", "")))
        refusal = ("KMSAccessDenied", "The ciphertext refers to a key that you are not allowed to use.")
        yield from _through_kms(call, key, ("GenerateDataKey", "Decrypt"), refusal)
    elif call.service == "dynamodb" and re.search("Items?$|^Query$|^Scan$", call.operation):
        for table in call.tables:
            key = stored.table_key(table, call.account, call.region)
            yield from _through_kms(call, key, ("Decrypt",), ("AccessDeniedException", ""))


def keys_of_objects(call: Call, bucket: str) -> Iterator[Need]:
    """Yield the KMS permissions with which S3 encrypts an object that is put, and decrypts one that is read.

    S3 user guide, "Using server-side encryption with AWS KMS keys". A bucket key (S3's own, which it keeps for a while)
    makes these calls rare, and needs the same rights.
    """
    actions = {
        "PutObject": ("GenerateDataKey",),
        "GetObject": ("Decrypt",),
        "GetObjectVersion": ("Decrypt",),
        # Of the parts of an upload the user guide asks for both; a copy reads as well.
        "CreateMultipartUpload": ("GenerateDataKey", "Decrypt"),
        "CopyObject": ("GenerateDataKey", "Decrypt"),
    }.get(call.operation, ())
    yield from _through_kms(call, stored.bucket_key(bucket), actions, ("AccessDenied", "Access Denied"))


def _key_not_accessible(key: str | None) -> tuple[str, str]:
    why = "does not exist, is not enabled or you do not have permissions to access it."
    return "KMSKeyNotAccessibleFault", f"The specified KMS key [{key}] {why}"


def _through_kms(
    call: Call,
    key: str | None,
    actions: tuple[str, ...],
    refusal: tuple[str, str],
    through: str | None = None,
    context: Mapping[str, str] | None = None,
) -> Iterator[Need]:
    """Yield what a call needs of a key. AWS managed keys need nothing: they admit the account by their service."""
    arn = stored.customer_key_arn(key, call.account, call.region) if key else None
    if arn:
        suffix = "amazonaws.com.cn" if call.partition == "aws-cn" else "amazonaws.com"
        service = f"{through or call.service}.{Arn.parse(arn).region}.{suffix}"
        via = {"kms:viaservice": service, "aws:viaawsservice": "true"}
        for action in actions:
            grant = {"kms:grantisforawsresource": "true"} if action == "CreateGrant" else {}
            yield Need(f"kms:{action}", arn, {**via, **grant, **(context or {})}, refusal)
