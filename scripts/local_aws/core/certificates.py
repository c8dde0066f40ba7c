"""A certificate authority as small as RDS's is large: it vouches for the local clusters' names, for one run.

Clients trust it through its bundle (`sslrootcert`), as they trust RDS's through the global bundle.
"""

from __future__ import annotations

import datetime
import ipaddress
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_LIFETIME = datetime.timedelta(days=30)
_CLOCK_SKEW = datetime.timedelta(days=1)


class Authority:
    """Signs server certificates with a key that never leaves this process."""

    def __init__(self, bundle: pathlib.Path) -> None:
        """Write the authority's own certificate to `bundle`."""
        self.bundle = bundle
        self._key = ec.generate_private_key(ec.SECP256R1())
        # Of two authorities with one name OpenSSL tries the wrong key instead of reporting that it does not know one.
        self._name = _named(f"Local Aurora root {x509.random_serial_number():x}")
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        certificate = self._sign(self._name, self._key.public_key(), constraints)
        bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, certificate: pathlib.Path, key: pathlib.Path, addresses: list[str]) -> None:
        """Write a certificate and its key (mode 0600) for these IP addresses and `localhost`."""
        private = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName("localhost"), *(x509.IPAddress(ipaddress.ip_address(each)) for each in addresses)]
        signed = self._sign(
            _named(addresses[0]),
            private.public_key(),
            x509.BasicConstraints(ca=False, path_length=None),
            x509.SubjectAlternativeName(names),
        )
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        key.touch(mode=0o600)
        key.write_bytes(
            private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def _sign(
        self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLOCK_SKEW)
            .not_valid_after(now + _LIFETIME)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self._key, hashes.SHA256())


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
