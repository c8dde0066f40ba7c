"""KMS: another account's key is found by its ARN. moto looks only among the caller's own.

Whether the caller may use it is decided before (iam/gate.py). A key's ARN is good in the key's region only.
"""

from __future__ import annotations

import json
from typing import Any

from moto.kms.models import KmsBackend, kms_backends
from moto.kms.responses import KmsResponse

from scripts.local_aws.core.arns import Arn

OPERATIONS = frozenset({
    "CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext",
    "GetPublicKey", "ListGrants", "ReEncrypt", "RetireGrant", "RevokeGrant", "Sign", "Verify",
})  # fmt: skip
"""What one may do with another account's key at all (KMS developer guide, "Allowing users in other accounts")."""


def install() -> None:
    """Replace moto's look-up for this process, once and for all."""
    KmsResponse.kms_backend = property(_backend)  # type: ignore[assignment,method-assign]


def _backend(response: Any) -> KmsBackend:
    key = json.loads(response.body or "{}").get("KeyId") or ""
    arn = Arn.parse_or_none(str(key))
    account = response.current_account
    if arn and arn.region == response.region and response._get_action() in OPERATIONS:
        account = arn.account_id
    return kms_backends[account][response.region]
