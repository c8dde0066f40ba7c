"""Which two secrets a run uses: those that its first step made for its target, or the stack's own two."""

from __future__ import annotations

from utils import environment
from utils.errors import StepFailed
from utils.state.operation import OperationRecord


def admin_secret_of(record: OperationRecord) -> str:
    """Where the master login of the operation's cluster is kept by the pipeline."""
    return _recorded(record.admin_secret_arn, record) or environment.text("ADMIN_SECRET_ARN")


def application_secret_of(record: OperationRecord) -> str:
    """Where the application's roles and their passwords stand."""
    return _recorded(record.application_secret_arn, record) or environment.text("APP_SECRET_ARN")


def refuse_without_secrets(record: OperationRecord) -> None:
    """Raise StepFailed where nobody could keep the logins of a cluster. Both secrets are made and removed together."""
    _recorded(record.application_secret_arn, record)


def _recorded(arn: str | None, record: OperationRecord) -> str | None:
    """The record decides and not the plan: it has the ARN of the very secret whose tags were looked at.

    Raises StepFailed where the target has secrets of its own and they are unknown: the stack's are another target's.
    """
    if arn is None and record.plan.get("target_secrets"):
        raise StepFailed(
            f"Operation {record.operation_id} has no secrets for its target: they were removed when it failed before. "
            "Resume it instead of redriving its execution: its first step makes them anew."
        )
    return arn
