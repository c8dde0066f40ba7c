"""DynamoDB bills by the size of items: an item of 5.8 KB is six units a write, whatever of it is changed."""

from __future__ import annotations

from scripts.local_aws.core.credentials import aws_client
from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.conftest import MakeRole, allow


def test_units_are_those_of_the_item_before_or_after_whichever_is_larger(aws: LocalAws, make_role: MakeRole) -> None:
    aws.client("dynamodb").create_table(
        TableName="units",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    role = make_role("lambda", allow("dynamodb:*"))
    session = aws.permissions.assume(role, service="lambda.amazonaws.com", session_name="s", region="us-east-1")
    tables = aws_client("dynamodb", "us-east-1", aws.endpoint_url, session, attempts=1)
    key = {"id": {"S": "1"}}

    def units() -> float:
        return aws.stats.calls[-1].units

    tables.get_item(TableName="units", Key=key)
    assert units() == 0.5
    tables.put_item(TableName="units", Item={**key, "text": {"S": "x" * 5_930}})
    assert units() == 6
    tables.update_item(
        TableName="units", Key=key, UpdateExpression="SET n = :n", ExpressionAttributeValues={":n": {"N": "1"}}
    )
    assert units() == 6
    tables.get_item(TableName="units", Key=key, ConsistentRead=True)
    assert units() == 2
    tables.get_item(TableName="units", Key=key)
    assert units() == 1
    both = [key, {"id": {"S": "not there"}}]
    tables.batch_get_item(RequestItems={"units": {"Keys": both, "ConsistentRead": True}})
    assert units() == 2 + 1
    tables.batch_get_item(RequestItems={"units": {"Keys": both}})
    assert units() == (2 + 1) / 2
    tables.update_item(
        TableName="units", Key=key, UpdateExpression="REMOVE #t", ExpressionAttributeNames={"#t": "text"}
    )
    assert units() == 6
    tables.delete_item(TableName="units", Key=key)
    assert units() == 1
    aws.client("dynamodb").get_item(TableName="units", Key=key)
    assert units() == 0  # a person's call is on no run's bill
