"""The application's secret: which roles the restored cluster is to have, and their passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from botocore.exceptions import ClientError

from utils import environment
from utils.aws import client
from utils.aws_errors import error_code
from utils.changes import asked_once
from utils.errors import StepFailed
from utils.logins.master import REDEPLOY, being_deleted, new_password
from utils.logins.roles import UNNAMED, ApplicationLogins, RoleNames, read_logins, wrong_entries

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_REQUIRED = "a JSON object with the texts app_username, app_password, readonly_user and readonly_pwd"


def application_secret_text(secret_arn: str) -> str:
    """Return what is in the secret, read once in a run of the function until something is changed."""
    answer = asked_once(
        lambda: client("secretsmanager").get_secret_value(SecretId=secret_arn), "GetSecretValue", secret_arn
    )
    return answer.get("SecretString", "")


class ApplicationSecret:
    """Names and passwords of the roles that the application uses.

    The stack's `names` are used where the secret has none: what people have written into the secret takes precedence.
    They are not stored in it, so that a changed parameter takes effect with the next operation.
    """

    def __init__(self, secret_arn: str, names: RoleNames = UNNAMED) -> None:
        self.arn = secret_arn
        self._names = names
        self._secrets: SecretsManagerClient = client("secretsmanager")

    def whats_wrong(self, master: str) -> list[str]:
        """Return everything for which the roles could not be set up. Of the secret's content it shows names only."""
        try:
            text = application_secret_text(self.arn)
        except ClientError as error:
            if error_code(error) == "ResourceNotFoundException":
                return [f"has no value, or is gone. If it is gone: {REDEPLOY} Else give it a value: {self._remedy}"]
            if error_code(error) == "InvalidRequestException":
                return [being_deleted(self.arn)]
            raise
        if wrong := list(wrong_entries(text)):
            return [f"has a role that is not valid: {each}. Correct it: {self._remedy}" for each in wrong]
        logins = read_logins(text, self._names)
        if logins is None:
            return [f"is not {_REQUIRED}. Correct it: {self._remedy}"]
        return [f"has a name that is not valid: {each}. Correct it: {self._remedy}" for each in logins.wrong(master)]

    @property
    def _remedy(self) -> str:
        secret = f"--secret-id {self.arn} --region {environment.region()}"
        return f"aws secretsmanager put-secret-value {secret} --secret-string file://FILE"

    def logins(self) -> ApplicationLogins:
        """Return the roles to set up. A missing password is generated and stored first, so that it can be used."""
        text = application_secret_text(self.arn)
        if wrong := list(wrong_entries(text)):
            raise StepFailed(
                f"The application secret is not valid: {'; '.join(wrong)}. Correct the secret {self.arn}, then "
                "resume this operation."
            )
        logins = read_logins(text, self._names)
        if logins is None:
            raise StepFailed(
                f"The secret {self.arn} is not {_REQUIRED}. Correct the secret, then resume this operation."
            )
        complete = logins.with_passwords(new_password)
        if complete != logins:
            self._store(text, complete)
        return complete

    def _store(self, text: str, complete: ApplicationLogins) -> None:
        """Store the passwords. Everything else in the secret is kept."""
        content = msgspec.json.decode(text)
        passwords = {"app_password": complete.app_password, "readonly_pwd": complete.readonly_pwd}
        for entry, role in zip(content.get("roles", []), complete.roles, strict=True):
            entry["password"] = role.password
        self._secrets.put_secret_value(
            SecretId=self.arn, SecretString=msgspec.json.encode(content | passwords).decode()
        )
