"""Refuse to let anybody into a cluster whose masking has not passed its gate."""

from __future__ import annotations

from utils.errors import StepFailed
from utils.state.operation import OperationRecord


def refuse_unmasked(record: OperationRecord) -> None:
    """Raise StepFailed where the plan has a masking policy, and the masking has not passed its gate."""
    if record.is_unmasked:
        raise StepFailed(
            f"Operation {record.operation_id} has a masking policy, and its cluster is not masked. Nobody was let in. "
            "Check the steps before this one, then resume this operation."
        )
