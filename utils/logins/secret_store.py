"""Secrets of Secrets Manager from outside: whose they are, whether they are being deleted, and their labels.

Their content is the business of `master` and `application`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from msgspec import Struct

from utils import environment
from utils.aurora_utils.resources import OPERATION_TAG
from utils.aws import client
from utils.aws_errors import error_code, none_when
from utils.changes import asked_once

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.type_defs import DescribeSecretResponseTypeDef

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"
APPLICATION_TAG, TARGET_TAG = "application", "aurora-restore:target"


class SecretSeen(Struct, frozen=True, kw_only=True):
    """A secret as Secrets Manager describes it. `labels` has the version of each label.

    `is_rotated`: Secrets Manager changes the password of the cluster that its current version leads to.
    """

    arn: str
    name: str
    tags: dict[str, str]
    labels: dict[str, str]
    deleted_at: dt.datetime | None
    is_rotated: bool = False

    def is_of_target(self, name_prefix: str, target_cluster_id: str) -> bool:
        """Return whether it has all the tags that a stack gives to the secrets of a target."""
        wanted = {APPLICATION_TAG: name_prefix, TARGET_TAG: target_cluster_id}
        return wanted.items() <= self.tags.items() and OPERATION_TAG in self.tags

    def was_made_by(self, operation_id: str) -> bool:
        """Return whether its tags say that this operation created it."""
        return self.tags.get(OPERATION_TAG) == operation_id and TARGET_TAG in self.tags


def look_at_secret(secret_id: str) -> SecretSeen | None:
    """Return the secret of that name or ARN. One that is being deleted is described too, until it is gone."""
    found = asked_once(lambda: _described_secret(secret_id), "DescribeSecret", secret_id)
    if found is None:
        return None
    return SecretSeen(
        arn=found["ARN"],
        name=found["Name"],
        tags={tag.get("Key", ""): tag.get("Value", "") for tag in found.get("Tags", [])},
        labels=_by_label(found.get("VersionIdsToStages", {})),
        deleted_at=found.get("DeletedDate"),
        is_rotated=found.get("RotationEnabled", False),
    )


def _described_secret(secret_id: str) -> DescribeSecretResponseTypeDef | None:
    return none_when("ResourceNotFoundException", lambda: client("secretsmanager").describe_secret(SecretId=secret_id))


def keep_command(secret_id: str) -> str:
    """Return the command that keeps a secret which is scheduled for deletion."""
    return f"aws secretsmanager restore-secret --secret-id {secret_id} --region {environment.region()}"


def labels_of(secret_id: str) -> dict[str, str]:
    """Return the version of each label."""
    found = client("secretsmanager").describe_secret(SecretId=secret_id)
    return _by_label(found.get("VersionIdsToStages", {}))


def make_secret(name: str, description: str, key: str, tags: Mapping[str, str], content: str | None) -> str:
    """Create a secret and return its ARN. Raises what Secrets Manager answers.

    Without content it has no version (CloudFormation User Guide, AWS::SecretsManager::Secret: "To create an empty
    secret, omit both").
    """
    value: dict[str, Any] = {} if content is None else {"SecretString": content}
    answer = client("secretsmanager").create_secret(
        Name=name,
        Description=description,
        KmsKeyId=key,
        Tags=[{"Key": tag, "Value": text} for tag, text in tags.items()],
        **value,
    )
    return answer["ARN"]


def remove_secret(secret_id: str, *, at_once: bool) -> None:
    """Delete a secret, at once or with the default recovery window of 30 days, unless it is gone or being deleted."""
    arguments = {"ForceDeleteWithoutRecovery": True} if at_once else {}
    try:
        client("secretsmanager").delete_secret(SecretId=secret_id, **arguments)
    except ClientError as error:
        if error_code(error) not in ("ResourceNotFoundException", "InvalidRequestException"):
            raise


def move_label(secret_id: str, label: str, where: str | None, to: str | None) -> bool:
    """Move a label from the version on which it was seen; return whether it is where it should be now.

    False: another execution has moved it meanwhile. Secrets Manager refuses to take a label from a version that does
    not have it (API reference, UpdateSecretVersionStage, RemoveFromVersionId), also where our own first attempt has
    moved it and its answer was lost.
    """
    arguments = {"RemoveFromVersionId": where, "MoveToVersionId": to}
    try:
        client("secretsmanager").update_secret_version_stage(
            SecretId=secret_id, VersionStage=label, **{name: value for name, value in arguments.items() if value}
        )
    except ClientError as error:
        found = labels_of(secret_id).get(label)
        if error_code(error) != "InvalidParameterException" or (found == where and found != to):
            raise
        return found == to
    return True


def _by_label(stages: Mapping[str, list[str]]) -> dict[str, str]:
    return {label: version for version, labels in stages.items() for label in labels}
