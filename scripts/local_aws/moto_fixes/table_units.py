"""How many request units a call of DynamoDB's consumes: by the size of the item, not by the call.

A write takes a unit for each kilobyte, of the item before or after it, whichever is larger; a read one for every four
kilobytes, half of it where it needs no consistency. See "DynamoDB read and write operations" in its developer guide.
"""

from __future__ import annotations

import json
import math
from typing import Any

from moto.dynamodb.models import dynamodb_backends

WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem"})
_OF_ONE_ITEM = WRITES | {"GetItem"}


def stored_bytes(operation: str, body: bytes, account: str, region: str) -> int:
    """Return the size of the item that the call is about, as the table has it now; 0 where there is none."""
    if operation not in _OF_ONE_ITEM:
        return 0
    document = json.loads(body)
    table = dynamodb_backends[account][region].tables.get(str(document.get("TableName", "")).rpartition("/")[2])
    named: dict[str, Any] = document.get("Key") or document.get("Item") or {}
    if table is None:
        return 0
    keys = [name for name in (table.hash_key_attr, table.range_key_attr) if name]
    for item in table.all_items():
        if all(item.attrs[name].to_json() == named.get(name) for name in keys):
            return int(item.size())
    return 0


def units(operation: str, body: bytes, size: int) -> float:
    """Return the units for an item of so many bytes; an item that is not there is the smallest one."""
    if operation not in _OF_ONE_ITEM:
        return 0.0
    if operation in WRITES:
        return max(1.0, math.ceil(size / 1024))
    whole = max(1.0, math.ceil(size / 4096))
    return whole if json.loads(body).get("ConsistentRead") else whole / 2
