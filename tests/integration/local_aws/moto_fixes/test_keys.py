"""A key signs what KMS signs, in the states in which KMS does, and refuses the rest by KMS's codes."""

from __future__ import annotations

import pathlib
import subprocess
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.moto_fixes.keys import LONGEST_MESSAGE
from scripts.local_aws.server import LocalAws
from utils.evidence.signing import Signer

ALGORITHM = "ECDSA_SHA_256"


@pytest.fixture
def key(aws: LocalAws) -> str:
    created = aws.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    arn: str = created["KeyMetadata"]["Arn"]
    return arn


def refused(aws: LocalAws, operation: str, **given: Any) -> str:
    with pytest.raises(ClientError) as caught:
        getattr(aws.client("kms"), operation)(**given)
    return str(caught.value.response["Error"]["Code"])


def test_a_signature_verifies_with_openssl(aws: LocalAws, key: str, tmp_path: pathlib.Path) -> None:
    kms, message = aws.client("kms"), b"x" * LONGEST_MESSAGE
    signature = kms.sign(KeyId=key, Message=message, MessageType="RAW", SigningAlgorithm=ALGORITHM)["Signature"]
    pem = Signer(arn=key, public_key=kms.get_public_key(KeyId=key)["PublicKey"]).pem
    for name, content in {"key.pem": pem, "message": message, "signature": signature}.items():
        (tmp_path / name).write_bytes(content)
    command = "openssl dgst -sha256 -verify key.pem -signature signature message".split()
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).stdout == b"Verified OK\n"
    (tmp_path / "message").write_bytes(message[1:] + b"y")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"Message": b"x" * (LONGEST_MESSAGE + 1)}, "ValidationException"),
        ({"MessageType": "HASH"}, "ValidationException"),
        ({"SigningAlgorithm": "ECDSA_SHA_384"}, "InvalidKeyUsageException"),
        ({"SigningAlgorithm": "RSASSA_PSS_SHA_256"}, "InvalidKeyUsageException"),
        # moto would hash the digest once more, and nobody could verify it.
        ({"MessageType": "DIGEST", "Message": b"x" * 32}, "NotImplementedByLocalAws"),
        ({"KeyId": "0d1f3c5e-0000-4000-8000-00000000000f"}, "NotFoundException"),
    ],
)
def test_what_kms_does_not_sign_is_refused(aws: LocalAws, key: str, given: dict[str, Any], code: str) -> None:
    whole = {"KeyId": key, "Message": b"x", "SigningAlgorithm": ALGORITHM, **given}
    assert refused(aws, "sign", **whole) == code


def test_a_key_that_encrypts_does_not_sign(aws: LocalAws) -> None:
    arn = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    code = refused(aws, "sign", KeyId=arn, Message=b"x", SigningAlgorithm=ALGORITHM)
    assert code == "InvalidKeyUsageException"
    assert refused(aws, "get_public_key", KeyId=arn) == "UnsupportedOperationException"


def test_a_key_that_signs_neither_encrypts_nor_is_rotated(aws: LocalAws, key: str) -> None:
    assert refused(aws, "encrypt", KeyId=key, Plaintext=b"x") == "InvalidKeyUsageException"
    assert refused(aws, "enable_key_rotation", KeyId=key) == "UnsupportedOperationException"
    kms = aws.client("kms")
    symmetric = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.enable_key_rotation(KeyId=symmetric)
    assert kms.get_key_rotation_status(KeyId=symmetric)["KeyRotationEnabled"]
    encrypted = kms.encrypt(KeyId=symmetric, Plaintext=b"x")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=encrypted)["Plaintext"] == b"x"


@pytest.mark.parametrize(
    ("end", "given", "code"),
    [
        ("disable_key", {}, "DisabledException"),
        ("schedule_key_deletion", {"PendingWindowInDays": 7}, "KMSInvalidStateException"),
    ],
)
def test_a_key_that_is_out_of_use_does_not_sign(
    aws: LocalAws, key: str, end: str, given: dict[str, int], code: str
) -> None:
    getattr(aws.client("kms"), end)(KeyId=key.rpartition("/")[2], **given)
    assert refused(aws, "sign", KeyId=key, Message=b"x", SigningAlgorithm=ALGORITHM) == code
    assert refused(aws, "get_public_key", KeyId=key) == code
