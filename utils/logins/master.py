"""The admin secret: the restored cluster's master login.

The master password is changed in an order that a crash cannot break (Secrets Manager's rotation works the same way):
the new password is stored as the secret's pending version, then RDS is asked to set it, then a login proves it, then
the version becomes current. The pending version's id is derived from the cluster's resource id: a repeated step finds
its own password.
"""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError
from msgspec import Struct

from utils.aws import client
from utils.aws_errors import error_code, none_when
from utils.changes import asked_once
from utils.errors import StepFailed, TemporaryFailure
from utils.logins.secret_store import CURRENT, PENDING, keep_command, labels_of, move_label

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

# Within what RDS takes for a master password: printable ASCII without / ' " @ and space, at most 41 characters.
PASSWORD_LENGTH = 36
MAX_LOST_RACES = 5
_PASSWORD_CHARACTERS = string.ascii_letters + string.digits + "-_.~"
# On the login of the cluster that was replaced, for as long as that is kept.
REPLACED = "aurora-restore-replaced"
REDEPLOY = "Deploy the stack under another NamePrefix, which creates a new one: this one was deleted outside the stack."
# RDS puts it on every secret that it manages.
MANAGED_CLUSTER_TAG = "aws:rds:primaryDBClusterArn"
_NAMESPACE = uuid.UUID("6f1e4b0a-9c59-4a52-8d4f-2f8c4e1d7a31")


class MasterLogin(Struct, frozen=True, kw_only=True):
    """The admin secret's content, with the keys that AWS's own rotation functions read."""

    username: str
    password: str
    host: str
    port: int
    engine: str = "postgres"
    dbClusterIdentifier: str = ""  # noqa: N815 - the key's name is AWS's

    def __repr__(self) -> str:
        return f"MasterLogin({self.username}@{self.host}:{self.port})"


def being_deleted(secret_id: str) -> str:
    """Return what is wrong with a secret in its recovery window."""
    return f"is scheduled for deletion. Keep it: {keep_command(secret_id)}"


def new_password() -> str:
    """Return a random password that RDS accepts for a master user."""
    return "".join(secrets.choice(_PASSWORD_CHARACTERS) for _ in range(PASSWORD_LENGTH))


class AdminSecret:
    """The secret in which the pipeline keeps the master login of the restored cluster."""

    def __init__(self, secret_arn: str) -> None:
        self.arn = secret_arn
        self._secrets: SecretsManagerClient = client("secretsmanager")

    def why_unusable(self) -> str | None:
        """Return why no login could be stored in it; None where one can."""
        found: Mapping[str, Any] | None = none_when(
            "ResourceNotFoundException", lambda: self._secrets.describe_secret(SecretId=self.arn)
        )
        if found is None:
            return f"does not exist. {REDEPLOY}"
        return being_deleted(self.arn) if "DeletedDate" in found else None

    def stage(self, version: str, username: str, host: str, port: int, cluster_identifier: str) -> MasterLogin:
        """Store a new master login as pending and return it; every call for one version returns the same one.

        A version cannot be changed: one that exists is refused another value (API reference, PutSecretValue,
        ClientRequestToken), and holds the login of an earlier call.
        """
        login = MasterLogin(
            username=username, password=new_password(), host=host, port=port, dbClusterIdentifier=cluster_identifier
        )
        try:
            self._secrets.put_secret_value(
                SecretId=self.arn,
                ClientRequestToken=version,
                SecretString=msgspec.json.encode(login).decode(),
                VersionStages=["AWSPENDING"],
            )
        except ClientError as error:
            if error_code(error) != "ResourceExistsException":
                raise
            return self.staged(version)
        return login

    def staged(self, version: str) -> MasterLogin:
        """Return the pending master login."""
        login = self.kept(version)
        if login is None:
            raise StepFailed(
                f"The secret {self.arn} no longer has the version {version} with the new master password. "
                "Reset the cluster's master password in RDS and store it in the secret."
            )
        return login

    def promote(self, version: str, before_moving: Callable[[Mapping[str, str]], None] = lambda labels: None) -> None:
        """Make the version the secret's current value. Call it only after a login with it has worked.

        `before_moving` is called with the labels before they are moved. Where another execution was quicker, the
        label is moved from where that one has put it.
        """
        for _ in range(MAX_LOST_RACES):
            labels = labels_of(self.arn)
            if labels.get(CURRENT) == version:
                break
            before_moving(labels)
            if move_label(self.arn, CURRENT, where=labels.get(CURRENT), to=version):
                labels = labels_of(self.arn)
                break
        else:
            raise TemporaryFailure(f"Other executions keep moving {CURRENT} of the secret {self.arn}.")
        if labels.get(PENDING) == version:
            move_label(self.arn, PENDING, where=version, to=None)

    def is_promoted(self, version: str) -> bool:
        """Return whether the version was current already when its login was read, and is no longer pending.

        The first version of a secret is the current one as well (API reference, PutSecretValue). Its labels come with
        its login, so that they need no look of their own.
        """
        labels = self._version(version).get("VersionStages", [])
        if CURRENT in labels and PENDING in labels:
            move_label(self.arn, PENDING, where=version, to=None)
        return CURRENT in labels

    def keep(self, version: str) -> None:
        """Give the version the label of the replaced cluster's login, from where it was. One that is gone has none."""
        labelled = labels_of(self.arn).get(REPLACED)
        if labelled == version:
            return
        try:
            move_label(self.arn, REPLACED, where=labelled, to=version)
        except ClientError as error:
            if error_code(error) not in ("InvalidParameterException", "ResourceNotFoundException"):
                raise

    def is_kept(self, version: str) -> bool:
        """Return whether the version has the label of the replaced cluster's login."""
        return labels_of(self.arn).get(REPLACED) == version

    @staticmethod
    def version_for(cluster_resource_id: str) -> str:
        """Return the version that belongs to one cluster, and to no other that ever had its name or its operation's."""
        return str(uuid.uuid5(_NAMESPACE, cluster_resource_id))

    def kept(self, version: str) -> MasterLogin | None:
        """Return the login of a version, whichever label it bears; None where Secrets Manager no longer has it."""
        found = self._version(version)
        return msgspec.json.decode(found["SecretString"], type=MasterLogin) if found else None

    def _version(self, version: str) -> Mapping[str, Any]:
        """Return a version with its labels, read once in a run of the function until something is changed."""
        return asked_once(lambda: self._read(version), "GetSecretValue", self.arn, version) or {}

    def _read(self, version: str) -> Mapping[str, Any] | None:
        return none_when(
            "ResourceNotFoundException",
            lambda: self._secrets.get_secret_value(SecretId=self.arn, VersionId=version),
        )


class ManagedSecret:
    """The secret in which RDS itself keeps a cluster's master login: user name and password only."""

    def __init__(self, secret_arn: str) -> None:
        self.arn = secret_arn
        self._secrets: SecretsManagerClient = client("secretsmanager")

    def login(self, cluster_arn: str, host: str, port: int) -> MasterLogin:
        """Return the login, or raise StepFailed where the secret is not of this cluster: it may be production's."""
        tags = {tag.get("Key"): tag.get("Value") for tag in self._describe().get("Tags", [])}
        if tags.get(MANAGED_CLUSTER_TAG) != cluster_arn:
            raise StepFailed(
                f"The secret {self.arn} belongs to {tags.get(MANAGED_CLUSTER_TAG)}, not to {cluster_arn}. It was not "
                "read. Check the cluster's master secret in RDS, then resume this operation."
            )
        text = self._secrets.get_secret_value(SecretId=self.arn)["SecretString"]
        kept = msgspec.json.decode(text, type=_KeptByRds)
        return MasterLogin(username=kept.username, password=kept.password, host=host, port=port)

    def _describe(self) -> Mapping[str, Any]:
        return self._secrets.describe_secret(SecretId=self.arn)


class _KeptByRds(Struct, frozen=True, kw_only=True):
    username: str
    password: str

    def __repr__(self) -> str:
        return f"_KeptByRds({self.username})"
