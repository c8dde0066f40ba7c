"""The policies of an operation, kept beside its plan in the state table, each in an item of its own.

Its key has the text's hash in it, so that it is never changed. By this text, and no other, each execution of the
operation masks or checks, and the function in the VPC that does so needs no way to S3.
"""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
from typing import Literal

from utils import environment
from utils.aws import attribute, client, value_of
from utils.errors import StepFailed
from utils.state.operation import STATE_DAYS, OperationState
from utils.state.values import epoch, iso

PolicyKind = Literal["masking", "verification"]


def policy_hash(text: str) -> str:
    """Return what identifies a policy's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def keep_policy(text: str, state: OperationState, kind: PolicyKind = "masking") -> None:
    """Write the policy's item. Doing it twice has the effect of one."""
    item = {
        "operation_id": _key(kind, state.operation_id, policy_hash(text)),
        "execution_id": state.execution_id,
        "last_updated": iso(state.now),
        "policy": gzip.compress(text.encode(), mtime=0),
        "expires_at": epoch(state.now + dt.timedelta(days=STATE_DAYS)),
    }
    client("dynamodb").put_item(
        TableName=environment.text("STATE_TABLE"), Item={name: attribute(value) for name, value in item.items()}
    )


def kept_policy(operation_id: str, sha256: str, kind: PolicyKind = "masking") -> str:
    """Return the policy's text. Raises StepFailed where there is none, or where it is not the one that was planned."""
    answer = client("dynamodb").get_item(
        TableName=environment.text("STATE_TABLE"),
        Key={"operation_id": {"S": _key(kind, operation_id, sha256)}},
        ConsistentRead=True,
    )
    stored = value_of(answer["Item"]["policy"]) if "policy" in answer.get("Item", {}) else None
    text = gzip.decompress(bytes(stored)).decode() if stored is not None else ""
    if policy_hash(text) != sha256:
        raise StepFailed(
            f"The state table no longer has the {kind} policy with which operation {operation_id} was planned. "
            "This step has done nothing by it. Start a new operation, which reads it from S3 again."
        )
    return text


def _key(kind: PolicyKind, operation_id: str, sha256: str) -> str:
    return f"{kind}#{operation_id}#{sha256[:12]}"
