"""The login that may only read in a source cluster, from the secret in which the owner of that cluster keeps it."""

from __future__ import annotations

from contextlib import suppress

import msgspec
from botocore.exceptions import ClientError
from msgspec import Struct

from utils.aws import client
from utils.aws_errors import error_code
from utils.error_codes import DENIED_CODES
from utils.errors import StepFailed

# That the secret is gone or being deleted, or that its key is not to be used (API reference, GetSecretValue).
_NOT_GIVEN = ("ResourceNotFoundException", "InvalidRequestException", "DecryptionFailure", *DENIED_CODES)


class ReaderLogin(Struct, frozen=True, kw_only=True):
    """The login, by the keys that AWS gives to the secrets of databases. Where it leads is not the secret's to say."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"ReaderLogin({self.username})"


def read_source_login(secret_arn: str) -> ReaderLogin:
    """Return the login of a source. Raises StepFailed, without anything of the secret, where it cannot be read."""
    try:
        answer = client("secretsmanager").get_secret_value(SecretId=secret_arn)
    except ClientError as error:
        if error_code(error) not in _NOT_GIVEN:
            raise
        raise StepFailed(
            f"the secret {secret_arn} cannot be read: {error_code(error)}. Check that it exists, and that its policy "
            "and its key's let the roles of snapshot-check and verify-data read it"
        ) from None
    with suppress(KeyError, msgspec.MsgspecError):
        login = msgspec.json.decode(answer["SecretString"], type=ReaderLogin)
        if login.username and login.password:
            return login
    raise StepFailed(
        f"the secret {secret_arn} is no JSON with a username and a password. Store the login of the source so: "
        '{"username": "copy_reader", "password": "..."}'
    )
