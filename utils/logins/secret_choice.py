"""The two secrets that an operation uses: those of its target, which its first step created, or the stack's own."""

from __future__ import annotations

from msgspec.structs import replace

from utils import environment
from utils.contracts.payloads import UsersReady
from utils.errors import StepFailed
from utils.state.operation import OperationRecord


def admin_secret_of(record: OperationRecord) -> str:
    """Return the secret in which the pipeline keeps the master login of the operation's cluster."""
    return _recorded(record.admin_secret_arn, record) or environment.text("ADMIN_SECRET_ARN")


def application_secret_of(record: OperationRecord) -> str:
    """Return the secret that has the application's roles and their passwords."""
    return _recorded(record.application_secret_arn, record) or environment.text("APP_SECRET_ARN")


def with_secrets(users: UsersReady, record: OperationRecord) -> UsersReady:
    """Return the users with where their logins are.

    The record has that elsewhere: its users are stored without it, since each write is billed by the item's size.
    """
    master = record.master_secret_arn or admin_secret_of(record)
    return replace(users, master_secret=master, application_secret=application_secret_of(record))


def refuse_without_secrets(record: OperationRecord) -> None:
    """Raise StepFailed where there is no secret for a cluster's logins. Both are created and deleted together."""
    _recorded(record.application_secret_arn, record)


def _recorded(arn: str | None, record: OperationRecord) -> str | None:
    """Return the recorded secret, not the planned one: the record has the ARN of the secret whose tags were checked.

    Raises StepFailed where the target has secrets of its own and none is recorded: the stack's are another target's.
    """
    if arn is None and record.has_own_secrets:
        raise StepFailed(
            f"Operation {record.operation_id} has no secrets for its target: they were deleted when it failed before. "
            "Resume it instead of redriving its execution: its first step creates them again."
        )
    return arn
