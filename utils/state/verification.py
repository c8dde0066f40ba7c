"""What the verification of an operation has found, and the last good run of a source, in items of the state table.

No operation's id has a # in it, so their keys are no operation's.
"""

from __future__ import annotations

import datetime as dt
import gzip
from typing import Any

import msgspec
from msgspec import Struct

from utils import environment
from utils.arns import Arn
from utils.aws import attribute, client, value_of
from utils.contracts.plan import FoundSnapshot
from utils.contracts.verification import Verification
from utils.state.operation import STATE_DAYS, OperationState
from utils.state.pieces import Pieces, keep_pieces, kept_pieces
from utils.state.values import epoch, iso


class BaselineItem(Struct, frozen=True, kw_only=True):
    """The last good run of a source: of which operation, and where its tables are."""

    operation_id: str
    pieces: Pieces


def keep_verification(verification: Verification, state: OperationState) -> None:
    """Write what was found. A later verification of the same operation takes its place."""
    _put(
        f"verified#{state.operation_id}",
        {"verification": gzip.compress(msgspec.json.encode(verification), mtime=0)},
        state,
    )


def kept_verification(operation_id: str) -> Verification | None:
    """Return what the operation's last verification has found, whether or not all held; None where there is none."""
    item = _item(f"verified#{operation_id}")
    if "verification" not in item:
        return None
    return msgspec.json.decode(gzip.decompress(bytes(item["verification"])), type=Verification)


def keep_progress(content: bytes, state: OperationState) -> Pieces:
    """Write what was found so far, and return what finds it. It counts once the operation's record names it."""
    return keep_pieces(f"verifying#{state.operation_id}", content, state)


def keep_baseline(content: bytes, snapshot: FoundSnapshot, masking: str, state: OperationState) -> None:
    """Write a good run, with which the next one of the same source under the same masking policy is compared.

    `masking` is the hash of the policy's text; empty without one.
    """
    key = _baseline_key(snapshot, masking)
    known = BaselineItem(operation_id=state.operation_id, pieces=keep_pieces(key, content, state))
    _put(key, {"baseline": msgspec.json.encode(known).decode()}, state)


def kept_baseline(snapshot: FoundSnapshot, masking: str) -> bytes | None:
    """Return the last good run; None where there is none, or where it can no longer be read."""
    item = _item(_baseline_key(snapshot, masking))
    if "baseline" not in item:
        return None
    try:
        known = msgspec.json.decode(item["baseline"], type=BaselineItem)
    except msgspec.MsgspecError:
        return None
    return kept_pieces(known.pieces)


def _baseline_key(snapshot: FoundSnapshot, masking: str) -> str:
    region, account = Arn.parse(snapshot.arn).place
    return f"baseline#{account}:{region}:{snapshot.cluster_identifier}#{masking}"


def _put(key: str, values: dict[str, Any], state: OperationState) -> None:
    item = {
        "operation_id": key,
        "execution_id": state.execution_id,
        "last_updated": iso(state.now),
        "expires_at": epoch(state.now + dt.timedelta(days=STATE_DAYS)),
        **values,
    }
    client("dynamodb").put_item(
        TableName=environment.text("STATE_TABLE"), Item={name: attribute(value) for name, value in item.items()}
    )


def _item(key: str) -> dict[str, Any]:
    answer = client("dynamodb").get_item(
        TableName=environment.text("STATE_TABLE"), Key={"operation_id": {"S": key}}, ConsistentRead=True
    )
    return {name: value_of(value) for name, value in answer.get("Item", {}).items()}
