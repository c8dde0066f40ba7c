"""Secrets that are deleted: their names stay taken while they can be restored, and a moment longer when that is forced.

moto frees a name at once, and lets a secret that is going be written. Sources: the API reference on DeleteSecret
(ForceDeleteWithoutRecovery: "an asynchronous background process, so there might be a short delay ... If you delete a
secret and then immediately create a secret with the same name, use appropriate back off and retry logic") and on
InvalidRequestException ("The secret is scheduled for deletion"); the message of CreateSecret as pasted in
redpanda-data/console#1835. How short the delay is, is not said anywhere.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from moto.secretsmanager.exceptions import InvalidRequestException
from moto.secretsmanager.models import FakeSecret, SecretsManagerBackend, secretsmanager_backends

from scripts.local_aws.core.clock import Clock

DELAY_SECONDS = 20
_DEFAULT_WINDOW_DAYS = 30
NAME_IS_TAKEN = "You can't create this secret because a secret with this name is already scheduled for deletion."
IS_GOING = "You can't perform this operation on the secret because it was marked for deletion."
_create = SecretsManagerBackend.create_secret
_delete = SecretsManagerBackend.delete_secret
_put = SecretsManagerBackend.put_secret_value


def install(clock: Clock) -> None:
    """Replace moto's deletion for this process, with this clock."""

    def create_secret(backend: SecretsManagerBackend, name: str, *rest: Any, **given: Any) -> str:
        if _going(backend, name) is not None:
            raise InvalidRequestException(NAME_IS_TAKEN)
        return _create(backend, name, *rest, **given)

    def delete_secret(
        backend: SecretsManagerBackend,
        secret_id: str,
        recovery_window_in_days: int | None,
        force_delete_without_recovery: bool,
    ) -> tuple[str, str, float]:
        secret = backend.secrets.get(secret_id)
        if not isinstance(secret, FakeSecret) or not force_delete_without_recovery or recovery_window_in_days:
            answer = _delete(backend, secret_id, recovery_window_in_days, force_delete_without_recovery)
            if isinstance(secret, FakeSecret):
                days = recovery_window_in_days or _DEFAULT_WINDOW_DAYS
                secret.delete((clock.now() + dt.timedelta(days=days)).timestamp())
            return answer
        now = clock.time()
        secret.delete(now)
        clock.call_at(now + DELAY_SECONDS, lambda: _forget(backend, secret))
        return secret.arn, secret.name, now

    def put_secret_value(backend: SecretsManagerBackend, secret_id: str, *rest: Any, **given: Any) -> str:
        if _going(backend, secret_id) is not None:
            raise InvalidRequestException(IS_GOING)
        return _put(backend, secret_id, *rest, **given)

    SecretsManagerBackend.create_secret = create_secret  # type: ignore[method-assign,assignment]
    SecretsManagerBackend.delete_secret = delete_secret  # type: ignore[method-assign,assignment]
    SecretsManagerBackend.put_secret_value = put_secret_value  # type: ignore[method-assign,assignment]


def forget(account_id: str, region: str, secret_id: str) -> None:
    """Free the name of a secret that is going at once, for a caller that has waited for it."""
    backend = secretsmanager_backends[account_id][region]
    if (secret := _going(backend, secret_id)) is not None:
        _forget(backend, secret)


def _going(backend: SecretsManagerBackend, secret_id: str) -> FakeSecret | None:
    secret = backend.secrets.get(secret_id)
    return secret if isinstance(secret, FakeSecret) and secret.is_deleted() else None


def _forget(backend: SecretsManagerBackend, secret: FakeSecret) -> None:
    """Free the name, unless the secret was restored: AWS does not say that it could not be."""
    if secret.is_deleted() and backend.secrets.get(secret.arn) is secret:
        backend.secrets.pop(secret.arn)
