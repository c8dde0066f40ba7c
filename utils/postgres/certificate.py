"""The names in a server's certificate, read by a TLS handshake without a login.

A certificate of Aurora's has the names of the cluster's endpoints beside the instance's own (seen on Aurora MySQL:
github.com/mysql-net/MySqlConnector, issue 498; not verified for PostgreSQL). So the member's own address leads to it,
and the cluster's name is not resolved: a resolver would keep for minutes that a name does not exist (RFC 2308).
"""

from __future__ import annotations

import socket
import ssl
from typing import Any

from utils.errors import StepFailed, TemporaryFailure
from utils.foreign_text import MAX_SENTENCE, one_line

TIMEOUT_SECONDS = 10
# PostgreSQL's documentation, "Message Formats": SSLRequest is its own length, 8, and this code.
_SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
_ACCEPTED = b"S"


def names_in_certificate(host: str, port: int, ca_bundle: str) -> tuple[str, ...]:
    """Return the DNS names, and the addresses, that a member's certificate is for.

    Raises StepFailed for a certificate that the bundle does not vouch for or that is not the host's, and
    TemporaryFailure while the server cannot be reached, as during its restart.
    """
    context = ssl.create_default_context(cafile=ca_bundle)
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT_SECONDS) as connected:
            connected.sendall(_SSL_REQUEST)
            # Only one byte: what came beside it in clear text would be taken for the server's encrypted answer
            # (PostgreSQL's documentation, "SSL Session Encryption").
            answer = connected.recv(1)
            if answer != _ACCEPTED:
                raise TemporaryFailure(f"{host}:{port} does not accept TLS yet (it answered {answer!r}).")
            with context.wrap_socket(connected, server_hostname=host) as encrypted:
                names: Any = (encrypted.getpeercert() or {}).get("subjectAltName", ())
    except ssl.SSLCertVerificationError as error:
        reason = one_line(error.verify_message, MAX_SENTENCE)
        raise StepFailed(
            f"The certificate of {host}:{port} is not valid: {reason}. Find out which server has this address, and "
            "whether RDS has a newer certificate authority than the bundle of this release."
        ) from None
    except OSError as error:
        raise TemporaryFailure(f"No TLS with {host}:{port} yet: {one_line(str(error), MAX_SENTENCE)}") from None
    return tuple(name for kind, name in names if kind in ("DNS", "IP Address"))
