"""Reading several items of a table at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from utils.aws import client
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
