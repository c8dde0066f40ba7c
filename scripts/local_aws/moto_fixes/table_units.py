"""How many request units a call of DynamoDB's consumes: by the size of the item, not by the call.

A write takes a unit for each kilobyte, of the item before or after it, whichever is larger; a read one for every four
kilobytes, half of it where it needs no consistency; of several items in a call each counts by itself. See "DynamoDB
read and write operations" in its developer guide.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType

WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem"})
_OF_ONE_ITEM = WRITES | {"GetItem"}


def stored_bytes(operation: str, body: bytes, account: str, region: str) -> list[int]:
    """Return the sizes of the items that the call is about, as the table has them now; 0 for one that is not there."""
    document = json.loads(body)
    if operation == "BatchGetItem":
        asked = [(name, key) for name, part in document["RequestItems"].items() for key in part["Keys"]]
    elif operation in _OF_ONE_ITEM:
        asked = [(document.get("TableName", ""), document.get("Key") or document.get("Item") or {})]
    else:
        return []
    tables = dynamodb_backends[account][region].tables
    return [_size(tables.get(str(name).rpartition("/")[2]), key) for name, key in asked]


def _size(table: Any, named: Mapping[str, Any]) -> int:
    if table is None:
        return 0
    keys = [DynamoType(named[name]) for name in (table.hash_key_attr, table.range_key_attr) if name in named]
    if len(keys) < 1 + bool(table.range_key_attr):
        return 0  # the call is about to be refused
    item = table.get_item(*keys)
    return int(item.size()) if item else 0


def units(operation: str, body: bytes, sizes: Iterable[int]) -> float:
    """Return the units for items of so many bytes; an item that is not there is the smallest one."""
    if operation in WRITES:
        return sum(max(1.0, math.ceil(size / 1024)) for size in sizes)
    whole = sum(max(1.0, math.ceil(size / 4096)) for size in sizes)
    document = json.loads(body)
    parts = document.get("RequestItems", {"": document}).values()
    return whole if all(part.get("ConsistentRead") for part in parts) else whole / 2
