"""The key that signs the links: a pair of KMS's, whose private half never leaves it.

Signed is the message itself (`RAW`), which KMS hashes: at most 4,096 bytes (KMS API reference, Sign, Message). The
signature of an ECDSA key is in DER (ANSI X9.62-2005 and RFC 3279, as the reference says), as openssl reads it.
"""

from __future__ import annotations

import base64
import hashlib
import textwrap

from msgspec import Struct

from utils import environment
from utils.aws import client
from utils.contracts.evidence import SIGNING_ALGORITHM, SigningKey
from utils.errors import StepFailed

MAX_MESSAGE_BYTES = 4_096


class Signer(Struct, frozen=True, kw_only=True):
    """The key, and its public half: `public_key` is its SubjectPublicKeyInfo in DER."""

    arn: str
    public_key: bytes

    @classmethod
    def of_stack(cls) -> Signer:
        """Ask KMS for the public half of the stack's key."""
        arn = environment.text("EVIDENCE_KEY_ARN")
        return cls(arn=arn, public_key=client("kms").get_public_key(KeyId=arn)["PublicKey"])

    @property
    def key(self) -> SigningKey:
        """Return how a link names the key."""
        return SigningKey(arn=self.arn, sha256=hashlib.sha256(self.public_key).hexdigest())

    @property
    def pem(self) -> bytes:
        """Return the public half in PEM (RFC 7468), as openssl takes it."""
        lines = textwrap.wrap(base64.b64encode(self.public_key).decode(), 64)
        return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""]).encode()

    def sign(self, message: bytes) -> bytes:
        """Return the signature. Raises StepFailed where the message is longer than KMS signs."""
        if len(message) > MAX_MESSAGE_BYTES:
            raise StepFailed(
                f"The link of the evidence has {len(message)} bytes, and KMS signs at most {MAX_MESSAGE_BYTES}. The "
                "operation's id is too long: give the next one a shorter operation_id."
            )
        answer = client("kms").sign(
            KeyId=self.arn, Message=message, MessageType="RAW", SigningAlgorithm=SIGNING_ALGORITHM
        )
        return answer["Signature"]
