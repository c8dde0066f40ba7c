"""KMS: what a key refuses, and when. moto signs any length, with a key in any state, a digest as a message.

It also lets a key that signs encrypt and be rotated. For each symmetric key it makes an RSA key, which takes a tenth of
a second and is used for nothing.

Sources: the API's model (Sign: Message has at most 4,096 bytes; Sign and GetPublicKey answer DisabledException,
KMSInvalidStateException and InvalidKeyUsageException); KMS developer guide, "Key states of AWS KMS keys"; for a message
that is too long secure-systems-lab/securesystemslib#1025; Encrypt and EnableKeyRotation in the model (a KeyUsage of
ENCRYPT_DECRYPT; symmetric encryption keys only), with the words of jonathankeebler/jwt-kms#4 and the lack of any in
terraform-aws-modules/terraform-aws-kms#20.
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
_encrypt, _enable_key_rotation = KmsResponse.encrypt, KmsResponse.enable_key_rotation


def install() -> None:
    """Put the refusals before moto's answers for this process, once and for all."""
    KmsResponse.sign = _checked(_sign, _check_message)  # type: ignore[method-assign,assignment]
    KmsResponse.verify = _checked(_verify, _check_message)  # type: ignore[method-assign,assignment]
    KmsResponse.get_public_key = _checked(_get_public_key, _check_asymmetric)  # type: ignore[method-assign,assignment]
    KmsResponse.encrypt = _checked(_encrypt, _check_encryption)  # type: ignore[method-assign,assignment]
    KmsResponse.enable_key_rotation = _checked(_enable_key_rotation, _check_rotation)  # type: ignore[method-assign,assignment]
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
    _check_usage(response, key, "SIGN_VERIFY")
    if algorithm not in key.signing_algorithms:
        raise AwsError(
            "InvalidKeyUsageException", f"Algorithm {algorithm} is incompatible with key spec {key.key_spec}."
        )
    if kind != "RAW":
        raise NotImplementedByLocalAws(f"MessageType {kind} is not known locally")


def _check_usage(response: Any, key: Any, usage: str) -> None:
    own = _usage_of(key)
    if own != usage:
        message = f"{key.arn} key usage is {own} which is not valid for {response._get_action()}."
        raise AwsError("InvalidKeyUsageException", message)


def _usage_of(key: Any) -> str:
    """Return what a key is for, which moto leaves open where CreateKey does not say."""
    return str(key.key_usage or "ENCRYPT_DECRYPT")


def _check_encryption(response: Any, key: Any) -> None:
    _check_usage(response, key, "ENCRYPT_DECRYPT")


def _check_rotation(response: Any, key: Any) -> None:
    if key.key_spec != "SYMMETRIC_DEFAULT" or _usage_of(key) != "ENCRYPT_DECRYPT":
        raise AwsError("UnsupportedOperationException", "")


def _refuse_value(name: str, constraint: str) -> None:
    message = f"1 validation error detected: Value at '{name}' failed to satisfy constraint: {constraint}"
    raise AwsError("ValidationException", message)


def _check_asymmetric(response: Any, key: Any) -> None:
    if key.key_spec == "SYMMETRIC_DEFAULT" or key.key_spec.startswith("HMAC"):
        raise AwsError("UnsupportedOperationException", f"{key.arn} is not an asymmetric key.")
