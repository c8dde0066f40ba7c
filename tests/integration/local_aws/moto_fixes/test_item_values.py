"""Items come back as they were written, whatever is in them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from scripts.local_aws.server import LocalAws

VALUES: dict[str, Any] = {
    "text": {"S": "text"},
    "no text": {"S": ""},
    "number": {"N": "1.5"},
    "truth": {"BOOL": False},
    "nothing": {"NULL": True},
    "set": {"SS": ["a", "b"]},
    "numbers": {"NS": ["1", "2"]},
    "nested": {"M": {"list": {"L": [{"S": "a"}, {"M": {}}, {"L": []}]}}},
    "bytes": {"B": b"\x00\x01"},
    "bytes in a list in a map": {"M": {"list": {"L": [{"S": "a"}, {"B": b"\xff"}]}}},
    "set of bytes": {"BS": [b"\x00", b"\x01"]},
}


@pytest.fixture(scope="module")
def table(aws: LocalAws) -> str:
    name = f"items-{uuid.uuid4().hex[:8]}"
    aws.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    return name


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_comes_back_as_it_was_written(aws: LocalAws, table: str, kind: str) -> None:
    tables, key = aws.client("dynamodb"), {"id": {"S": kind}}
    written = {**key, "value": VALUES[kind]}
    tables.put_item(TableName=table, Item=written)
    asked = {"KeyConditionExpression": "id = :id", "ExpressionAttributeValues": {":id": {"S": kind}}}
    assert tables.get_item(TableName=table, Key=key)["Item"] == written
    assert tables.query(TableName=table, **asked)["Items"] == [written]
    updated = tables.update_item(
        TableName=table,
        Key=key,
        UpdateExpression="SET again = :value",
        ExpressionAttributeValues={":value": VALUES[kind]},
        ReturnValues="ALL_NEW",
    )
    assert updated["Attributes"] == {**written, "again": VALUES[kind]}
