"""Secrets Manager: a secret read without naming a version is its AWSCURRENT one, also after that label has moved.

moto answers with the version that was put last. See the API's GetSecretValue, VersionStage.
"""

from __future__ import annotations

from moto.secretsmanager.models import FakeSecret, SecretsManagerBackend

_move_label = SecretsManagerBackend.update_secret_version_stage


def install() -> None:
    """For this process, once and for all."""
    SecretsManagerBackend.update_secret_version_stage = _update_secret_version_stage  # type: ignore[assignment]


def _update_secret_version_stage(
    backend: SecretsManagerBackend,
    secret_id: str,
    version_stage: str,
    remove_from_version_id: str,
    move_to_version_id: str,
) -> tuple[str, str]:
    answer = _move_label(backend, secret_id, version_stage, remove_from_version_id, move_to_version_id)
    if version_stage == "AWSCURRENT" and move_to_version_id:
        secret = backend.secrets[secret_id]
        if isinstance(secret, FakeSecret):
            secret.set_default_version_id(move_to_version_id)
    return answer
