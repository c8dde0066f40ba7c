"""Content that may be too long for one item of the state table: compressed, in as many items as it takes.

An item of DynamoDB's has at most 400 KB (Developer Guide, "Service, account, and table quotas"). The items' keys have
the content's hash in them, so that none is ever changed; what names them is written after all of them.
"""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib

from msgspec import Struct

from utils import environment
from utils.aws import attribute, client, value_of
from utils.state.operation import STATE_DAYS, OperationState
from utils.state.values import epoch, iso

PIECE_BYTES = 350 * 1024


class Pieces(Struct, frozen=True, kw_only=True):
    """Where the content is, and its hash."""

    key: str
    count: int
    sha256: str


def keep_pieces(key: str, content: bytes, state: OperationState) -> Pieces:
    """Write the items, and return what finds them. Doing it twice has the effect of one."""
    sha256, packed = hashlib.sha256(content).hexdigest(), gzip.compress(content, mtime=0)
    parts = [packed[start : start + PIECE_BYTES] for start in range(0, len(packed), PIECE_BYTES)]
    for number, part in enumerate(parts):
        item = {
            "operation_id": _key(key, sha256, number),
            "execution_id": state.execution_id,
            "last_updated": iso(state.now),
            "content": part,
            "expires_at": epoch(state.now + dt.timedelta(days=STATE_DAYS)),
        }
        client("dynamodb").put_item(
            TableName=environment.text("STATE_TABLE"), Item={name: attribute(value) for name, value in item.items()}
        )
    return Pieces(key=key, count=len(parts), sha256=sha256)


def kept_pieces(pieces: Pieces) -> bytes | None:
    """Return the content; None where some of it is gone, or is not what was written."""
    packed = b""
    for number in range(pieces.count):
        answer = client("dynamodb").get_item(
            TableName=environment.text("STATE_TABLE"),
            Key={"operation_id": {"S": _key(pieces.key, pieces.sha256, number)}},
            ConsistentRead=True,
        )
        if "content" not in answer.get("Item", {}):
            return None
        packed += bytes(value_of(answer["Item"]["content"]))
    try:
        content = gzip.decompress(packed)
    except (OSError, EOFError):
        return None
    return content if hashlib.sha256(content).hexdigest() == pieces.sha256 else None


def _key(key: str, sha256: str, number: int) -> str:
    return f"{key}#{sha256[:12]}#{number}"
