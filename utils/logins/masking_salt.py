"""The salt of a masking: a secret of the operation's own, from its first step until the masking has passed its gate.

A person who had it could find the original of a masked value, by trying every value that it may have been. So it is
in no state, log or message, and it is deleted as soon as nothing more is masked with it.
"""

from __future__ import annotations

import secrets

from msgspec import Struct

from utils import environment
from utils.aws import client
from utils.errors import StepFailed
from utils.logins.secret_store import look_at_secret, remove_secret
from utils.names import fingerprint

DESCRIPTION = "Salt with which an operation masks {}. The pipeline deletes it when the masking is done."


class Salt(Struct, frozen=True):
    """The salt, and the secret's version that has it."""

    value: str
    version_id: str

    def __repr__(self) -> str:
        return f"Salt({self.version_id})"


def salt_secret_name(operation_id: str) -> str:
    """Return the name of the secret with this operation's salt."""
    return f"{environment.text('NAME_PREFIX')}/masking/{fingerprint(operation_id)}"


def new_salt() -> str:
    """Return 256 random bits, as letters and digits."""
    return secrets.token_hex(32)


def read_salt(secret_id: str, version_id: str | None) -> Salt:
    """Return the operation's salt. Raises StepFailed where it is not the one with which the masking began."""
    answer = client("secretsmanager").get_secret_value(SecretId=secret_id)
    if version_id is not None and answer["VersionId"] != version_id:
        raise StepFailed(
            "The salt with which the masking of this cluster began is gone: its secret was replaced. What is masked "
            "already would no longer match the rest. Delete the cluster, then start a new operation."
        )
    return Salt(answer["SecretString"], answer["VersionId"])


def remove_salt(secret_id: str) -> None:
    """Delete the salt for good. Repeatable."""
    remove_secret(secret_id, at_once=True)


def is_salt_lost(operation_id: str) -> bool:
    """Return whether this operation no longer has a salt."""
    found = look_at_secret(salt_secret_name(operation_id))
    return found is None or found.deleted_at is not None
