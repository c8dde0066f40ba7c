"""KMS: what a key refuses to sign, and when. moto signs any length, with a key in any state, a digest as a message.

For each symmetric key moto also makes an RSA key, which takes a tenth of a second and is used for nothing.

Sources: the API's model (Sign: Message has at most 4,096 bytes; Sign and GetPublicKey answer DisabledException,
KMSInvalidStateException and InvalidKeyUsageException); KMS developer guide, "Key states of AWS KMS keys"; for a message
that is too long secure-systems-lab/securesystemslib#1025.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import moto.kms.models
from moto.kms.responses import KmsResponse
from moto.kms.utils import AbstractPrivateKey, generate_private_key

from scripts.local_aws.core.errors import AwsError, NotImplementedByLocalAws

LONGEST_MESSAGE = 4_096
_sign, _verify, _get_public_key = KmsResponse.sign, KmsResponse.verify, KmsResponse.get_public_key


def install() -> None:
    """Put the refusals before moto's answers for this process, once and for all."""
    KmsResponse.sign = _checked(_sign, _check_message)  # type: ignore[method-assign,assignment]
    KmsResponse.verify = _checked(_verify, _check_message)  # type: ignore[method-assign,assignment]
    KmsResponse.get_public_key = _checked(_get_public_key, _check_asymmetric)  # type: ignore[method-assign,assignment]
    moto.kms.models.generate_private_key = _private_key  # type: ignore[attr-defined,assignment]


def _private_key(key_spec: str) -> AbstractPrivateKey | None:
    return None if key_spec == "SYMMETRIC_DEFAULT" else generate_private_key(key_spec)


def _checked(answer: Callable[[Any], str], check: Callable[[Any, Any], None]) -> Callable[[Any], str]:
    def checked(response: Any) -> str:
        identifier = response._get_param("KeyId")
        response._validate_key_id(identifier)
        key = response.kms_backend.describe_key(identifier)
        check(response, key)
        if key.key_state == "Disabled":
            raise AwsError("DisabledException", f"{key.arn} is disabled.")
        if key.key_state == "PendingDeletion":
            raise AwsError("KMSInvalidStateException", f"{key.arn} is pending deletion.")
        return answer(response)

    return checked


def _check_message(response: Any, key: Any) -> None:
    """Refuse what no key signs, then what this one does not."""
    message, kind = response._get_param("Message") or b"", response._get_param("MessageType") or "RAW"
    if len(message) > LONGEST_MESSAGE:
        _refuse_value("message", f"Member must have length less than or equal to {LONGEST_MESSAGE}")
    if kind not in ("RAW", "DIGEST", "EXTERNAL_MU"):
        _refuse_value("messageType", "Member must satisfy enum value set: [RAW, DIGEST, EXTERNAL_MU]")
    algorithm = response._get_param("SigningAlgorithm")
    if key.key_usage != "SIGN_VERIFY":
        message = f"{key.arn} key usage is {key.key_usage} which is not valid for {response._get_action()}."
        raise AwsError("InvalidKeyUsageException", message)
    if algorithm not in key.signing_algorithms:
        raise AwsError(
            "InvalidKeyUsageException", f"Algorithm {algorithm} is incompatible with key spec {key.key_spec}."
        )
    if kind != "RAW":
        raise NotImplementedByLocalAws(f"MessageType {kind} is not known locally")


def _refuse_value(name: str, constraint: str) -> None:
    message = f"1 validation error detected: Value at '{name}' failed to satisfy constraint: {constraint}"
    raise AwsError("ValidationException", message)


def _check_asymmetric(response: Any, key: Any) -> None:
    if key.key_spec == "SYMMETRIC_DEFAULT" or key.key_spec.startswith("HMAC"):
        raise AwsError("UnsupportedOperationException", f"{key.arn} is not an asymmetric key.")
