"""Signatures of links, as KMS makes them: ECDSA on P-256 with SHA-256, in DER, over exactly the bytes of the link."""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

MAX_KEY_BYTES = 4_096
# Of P-256 a signature in DER has at most 72 bytes.
MAX_SIGNATURE_BYTES = 128


class PublicKey:
    """A public key on P-256, known by its fingerprint: the SHA-256 of its DER."""

    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        self._key = key

    @property
    def fingerprint(self) -> str:
        """Return the hash by which a link names its key, and a person pins it."""
        der = self._key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(der).hexdigest()

    @property
    def pem(self) -> bytes:
        """Return the key as it lies beside the evidence."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Return whether the signature over the message is by this key."""
        try:
            self._key.verify(signature, message, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


def key_of_pem(pem: bytes) -> PublicKey | None:
    """Return the key of a PEM file; None where it is no key on P-256."""
    try:
        return _on_p256(load_pem_public_key(pem))
    except (ValueError, UnsupportedAlgorithm):
        return None


def key_of_der(der: bytes) -> PublicKey | None:
    """Return the key that KMS's GetPublicKey answers; None where it is no key on P-256."""
    try:
        return _on_p256(load_der_public_key(der))
    except (ValueError, UnsupportedAlgorithm):
        return None


def _on_p256(key: object) -> PublicKey | None:
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return PublicKey(key)
    return None
