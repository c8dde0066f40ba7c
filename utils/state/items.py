"""Reading several items of a table at once, and one that was read so before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from utils.aws import client
from utils.changes import asked_once
from utils.errors import TemporaryFailure

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Item = Mapping[str, AttributeValueTypeDef]


def read_items(table: str, keys: Iterable[str]) -> dict[str, Item]:
    """Return by their keys those of the items that exist, each read consistently, in one call.

    The call is no transaction: one item may be read before a write and another after it. Raises TemporaryFailure where
    DynamoDB leaves some out for lack of throughput (API reference, BatchGetItem, UnprocessedKeys).
    """
    answer = client("dynamodb").batch_get_item(
        RequestItems={table: {"Keys": [{"operation_id": {"S": key}} for key in keys], "ConsistentRead": True}}
    )
    if answer.get("UnprocessedKeys"):
        raise TemporaryFailure(f"BatchGetItem left items of table {table} out: its throughput is used up.")
    return {item["operation_id"]["S"]: item for item in answer["Responses"].get(table, [])}


def read_beside(table: str, key: str, *others: str) -> Item | None:
    """Return an item, and have `read_once` know others, which are read in the same call."""
    items = read_items(table, [key, *others])
    for other in others:
        asked_once(partial(items.get, other), *_question(table, other))
    return items.get(key)


def read_once(table: str, key: str) -> Item | None:
    """Return an item as it was read in this run of the function, or is read now, consistently."""
    return asked_once(lambda: read_item(table, key), *_question(table, key))


def read_item(table: str, key: str) -> Item | None:
    """Return an item as it is now, read consistently."""
    answer = client("dynamodb").get_item(TableName=table, Key={"operation_id": {"S": key}}, ConsistentRead=True)
    return answer.get("Item")


def _question(table: str, key: str) -> tuple[str, str, str]:
    return "GetItem", table, key
