"""One run for a target cluster at a time.

The lock is an item of the state table, held by an execution and renewed by each of its steps. It carries its own
expiry: DynamoDB's TTL removes items days late, so it only tidies up. A run that lost its lock stops at its next step,
before it touches anything.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from msgspec import Struct

from utils import settings
from utils.aws import client, error_code
from utils.state import epoch, iso

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Longer than any pause between two steps with all their retries; short enough that a dead run blocks nobody for long.
LOCK_SECONDS = 2 * 3600


class LockHolder(Struct, frozen=True, kw_only=True):
    execution_id: str
    operation_id: str
    expires_at: dt.datetime


class TargetLock:
    """The lock on one target cluster, as seen by one execution."""

    def __init__(self, target_cluster_id: str, operation_id: str, execution_id: str) -> None:
        self.target_cluster_id = target_cluster_id
        self._key = {"operation_id": {"S": f"lock#{target_cluster_id}"}}
        self._operation_id = operation_id
        self._execution_id = execution_id
        self._tables: DynamoDBClient = client("dynamodb")
        self._table = settings.text("STATE_TABLE")

    def hold(self, now: dt.datetime) -> LockHolder | None:
        """Take the lock, or renew it. Answers who holds it when that is somebody else, and None when it is ours.

        The condition admits our own earlier call, so that a call whose answer was lost doesn't lock us out.
        """
        expires = epoch(now) + LOCK_SECONDS
        try:
            self._tables.put_item(
                TableName=self._table,
                Item={
                    **self._key,
                    "execution_id": {"S": self._execution_id},
                    "owner_operation_id": {"S": self._operation_id},
                    "last_updated": {"S": iso(now)},
                    "lock_expires_at": {"N": str(expires)},
                    "expires_at": {"N": str(expires + 7 * 24 * 3600)},
                },
                ConditionExpression=(
                    "attribute_not_exists(operation_id) OR execution_id = :mine OR lock_expires_at < :now"
                ),
                ExpressionAttributeValues={":mine": {"S": self._execution_id}, ":now": {"N": str(epoch(now))}},
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            return self._holder()
        return None

    def release(self) -> None:
        """Give the lock back, if it is still ours."""
        try:
            self._tables.delete_item(
                TableName=self._table,
                Key=self._key,
                ConditionExpression="execution_id = :mine",
                ExpressionAttributeValues={":mine": {"S": self._execution_id}},
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise

    def _holder(self) -> LockHolder:
        item = self._tables.get_item(TableName=self._table, Key=self._key, ConsistentRead=True).get("Item", {})
        return LockHolder(
            execution_id=item.get("execution_id", {}).get("S", "an execution that has just ended"),
            operation_id=item.get("owner_operation_id", {}).get("S", "unknown"),
            expires_at=dt.datetime.fromtimestamp(int(item.get("lock_expires_at", {}).get("N", "0")), dt.UTC),
        )
