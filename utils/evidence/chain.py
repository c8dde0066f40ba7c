"""The chain of links: items of the audit table, one after the other, each signed and naming the hash of the one before.

Their partition is no operation's, because no operation's id has a # in it; their sort key is the link's number in
twelve digits. They have no expiry. A link is added by one conditional write, so of two closers with the same number one
loses, reads the new head and signs again: the chain has no gap and no fork.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError
from msgspec import Struct

from utils import environment
from utils.aws import client
from utils.aws_errors import error_code
from utils.contracts.evidence import IndexEntry, Link, written
from utils.errors import StepFailed
from utils.foreign_text import one_line

if TYPE_CHECKING:
    from utils.state.items import Item

KEY = "evidence#chain"
# A link with its entry has two or three kilobytes, and a page of DynamoDB's at most 1 MB.
PAGE = 100

# Made once: msgspec 0.22 crashes where several threads use a type for the first time at once.
_LINK, _ENTRY = msgspec.json.Decoder(Link), msgspec.json.Decoder(IndexEntry)


class ChainedLink(Struct, frozen=True, kw_only=True):
    """A link as the chain keeps it: the bytes that were signed, the signature in DER, and what the index says of it."""

    link: bytes
    signature: bytes
    entry: IndexEntry

    @property
    def content(self) -> Link:
        """Return what the link says."""
        return _LINK.decode(self.link)

    @property
    def sha256(self) -> str:
        """Return the hash by which the next link names this one."""
        return hashlib.sha256(self.link).hexdigest()


def newest() -> list[ChainedLink]:
    """Return the newest link; nothing where there is none."""
    return [_chained(item) for item in _newest(1)]


def number_of(links: list[ChainedLink]) -> int:
    """Return the number of the last of some links, 0 where there is none."""
    return links[-1].content.sequence if links else 0


def links_from(number: int, most: int | None = None) -> list[ChainedLink]:
    """Return the links from a number on, the oldest first."""
    pages = {"MaxItems": most, "PageSize": most} if most else {}
    return [_chained(item) for item in _items(number, PaginationConfig=pages)]


def entries(most: int) -> tuple[list[IndexEntry], int]:
    """Return what the index says of the newest links, the newest first, and how many older ones there are."""
    found = [_chained(item).entry for item in _newest(most)]
    return found, found[-1].sequence - 1 if found else 0


def append(chained: ChainedLink) -> bool:
    """Add a link. Return False where another one has its number: then nothing was written.

    That other one may be this very link: the client repeats a call whose answer was lost.
    """
    link = chained.content
    item: dict[str, Any] = {
        "operation_id": {"S": KEY},
        "timestamp": {"S": _sort_key(link.sequence)},
        "event_type": {"S": "evidence-link"},
        "status": {"S": chained.entry.outcome},
        "execution_id": {"S": link.execution_id},
        "link": {"B": chained.link},
        "signature": {"B": chained.signature},
        "entry": {"S": written(chained.entry).decode()},
    }
    try:
        client("dynamodb").put_item(
            TableName=environment.text("AUDIT_TABLE"),
            Item=item,
            ConditionExpression="attribute_not_exists(operation_id)",
        )
    except ClientError as error:
        if error_code(error) != "ConditionalCheckFailedException":
            raise
        return False
    return True


def _newest(most: int) -> Iterator[Item]:
    return _items(0, ScanIndexForward=False, PaginationConfig={"MaxItems": most, "PageSize": min(most, PAGE)})


def _items(number: int, **how: Any) -> Iterator[Item]:
    """Yield the chain's items from a number on, read consistently."""
    query = client("dynamodb").get_paginator("query")
    pages = query.paginate(
        TableName=environment.text("AUDIT_TABLE"),
        KeyConditionExpression="operation_id = :chain AND #number >= :first",
        ExpressionAttributeNames={"#number": "timestamp"},
        ExpressionAttributeValues={":chain": {"S": KEY}, ":first": {"S": _sort_key(number)}},
        ConsistentRead=True,
        **how,
    )
    for page in pages:
        yield from page["Items"]


def _sort_key(number: int) -> str:
    return f"{number:012}"


def _chained(item: Item) -> ChainedLink:
    """Return an item's link. Raises StepFailed for one that the pipeline has not written."""
    number = item["timestamp"]["S"]
    try:
        chained = ChainedLink(
            link=bytes(item["link"]["B"]),
            signature=bytes(item["signature"]["B"]),
            entry=_ENTRY.decode(item["entry"]["S"]),
        )
        if _sort_key(chained.content.sequence) == number == _sort_key(chained.entry.sequence):
            return chained
    except (KeyError, msgspec.DecodeError):
        pass
    raise StepFailed(
        f"The item {one_line(number)} of {KEY} in the audit table is not as the pipeline wrote it, so no evidence can "
        "follow it. Find out who changed it (CloudTrail data events of the table), and give the item its earlier state."
    )
