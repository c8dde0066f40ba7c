"""Secrets Manager's labels: a secret read without naming a version is its AWSCURRENT one, also after that has moved.

moto answers with the version that was put last. See the API's GetSecretValue, VersionStage. Nor does it refuse a label
that is attached to another version than RemoveFromVersionId says ("If the label is attached and you either do not
specify this parameter, or the version ID does not match, then the operation fails": UpdateSecretVersionStage). And it
overwrites a pending version, where PutSecretValue ignores a ClientRequestToken that comes again with the same value
and refuses it with another one (API, PutSecretValue, ClientRequestToken).
"""

from __future__ import annotations

from moto.secretsmanager.exceptions import (
    InvalidParameterException,
    InvalidRequestException,
    ResourceExistsException,
)
from moto.secretsmanager.models import FakeSecret, SecretsManagerBackend

from scripts.local_aws.moto_fixes.secret_deletions import IS_GOING

VERSION_IN_USE = "You can't use ClientRequestToken {} because that value is already in use for a version of secret {}."
_move_label = SecretsManagerBackend.update_secret_version_stage
_look_for_version = SecretsManagerBackend._check_with_existing_secrets_and_versions


def install() -> None:
    """Replace moto's way with labels for this process, once and for all."""
    SecretsManagerBackend.update_secret_version_stage = _update_secret_version_stage  # type: ignore[assignment]
    SecretsManagerBackend._check_with_existing_secrets_and_versions = _known_version  # type: ignore[assignment]


def _known_version(
    backend: SecretsManagerBackend,
    secret_name: str,
    client_request_token: str | None,
    secret_string: str | None,
    secret_binary: str | None,
    on_create: bool = False,
) -> FakeSecret | None:
    secret = backend.secrets.get(secret_name)
    version = secret.versions.get(client_request_token or "") if isinstance(secret, FakeSecret) else None
    if not isinstance(secret, FakeSecret) or version is None:
        return _look_for_version(
            backend, secret_name, client_request_token, secret_string, secret_binary, on_create=on_create
        )
    if (version.get("secret_string"), version.get("secret_binary")) == (secret_string, secret_binary):
        return secret
    raise ResourceExistsException(VERSION_IN_USE.format(client_request_token, secret.arn))


def _update_secret_version_stage(
    backend: SecretsManagerBackend,
    secret_id: str,
    version_stage: str,
    remove_from_version_id: str,
    move_to_version_id: str,
) -> tuple[str, str]:
    secret = backend.secrets.get(secret_id)
    if isinstance(secret, FakeSecret):
        if secret.is_deleted():
            raise InvalidRequestException(IS_GOING)
        _check_where_it_is(secret, version_stage, remove_from_version_id, move_to_version_id)
    answer = _move_label(backend, secret_id, version_stage, remove_from_version_id, move_to_version_id)
    if version_stage == "AWSCURRENT" and move_to_version_id and isinstance(secret, FakeSecret):
        secret.set_default_version_id(move_to_version_id)
    return answer


def _check_where_it_is(secret: FakeSecret, label: str, removed_from: str | None, moved_to: str | None) -> None:
    attached = next((name for name, each in secret.versions.items() if label in each["version_stages"]), None)
    if attached is not None and attached not in (removed_from, moved_to):
        raise InvalidParameterException(
            f"Staging label {label} is currently attached to version {attached}, so you must explicitly reference "
            "that version in RemoveFromVersionId."
        )
