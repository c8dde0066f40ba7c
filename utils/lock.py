"""One run for a target cluster at a time.

The lock is an item of the state table, held by an execution, renewed by each of its steps and released at its end. A
run that died without releasing it is looked up in Step Functions: only of an execution that has ended is the lock taken
over. The item's own expiry decides where that can't be asked, for an execution of another state machine; DynamoDB's TTL
removes items days late, so it only tidies up. A run that lost its lock stops at its next step, before it touches
anything.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from msgspec import Struct

from utils import settings
from utils.aws import client, error_code
from utils.executions import are_of_one_machine, has_ended
from utils.state import epoch, iso

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Longer than any pause between two steps with all their retries; short enough that a dead run blocks nobody for long.
LOCK_SECONDS = 2 * 3600


class LockHolder(Struct, frozen=True, kw_only=True):
    execution_id: str
    operation_id: str
    expires_at: dt.datetime


class Taking(Struct, frozen=True, kw_only=True):
    """How taking the lock ended: it is ours unless `held_by` says whose it is. `taken_from` is a run that was dead."""

    held_by: LockHolder | None = None
    taken_from: LockHolder | None = None


class TargetLock:
    """The lock on one target cluster, as seen by one execution."""

    def __init__(self, target_cluster_id: str, operation_id: str, execution_id: str) -> None:
        self.target_cluster_id = target_cluster_id
        self._key = {"operation_id": {"S": f"lock#{target_cluster_id}"}}
        self._operation_id = operation_id
        self._execution_id = execution_id
        self._tables: DynamoDBClient = client("dynamodb")
        self._table = settings.text("STATE_TABLE")

    def claim(self, now: dt.datetime) -> Taking:
        """Take the lock if it is free, ours, or a dead run's. For a run's first step: only that may ask who is dead."""
        holder = self.hold(now)
        if holder is None:
            return Taking()
        if not self._is_dead(holder, now):
            return Taking(held_by=holder)
        # Somebody else may have found the same dead run: the condition lets one of us in.
        if self._put(now, or_from=holder.execution_id):
            return Taking(taken_from=holder)
        return Taking(held_by=self._holder())

    def hold(self, now: dt.datetime) -> LockHolder | None:
        """Take the lock if it is free, or renew it. Answers who holds it when that is somebody else, else None.

        The condition admits our own earlier call, so that a call whose answer was lost doesn't lock us out.
        """
        return None if self._put(now) else self._holder()

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

    def _put(self, now: dt.datetime, or_from: str | None = None) -> bool:
        """Whether the lock is ours now. `or_from`: an execution that it may be taken from."""
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
                ConditionExpression="attribute_not_exists(operation_id) OR execution_id IN (:mine, :dead)",
                ExpressionAttributeValues={
                    ":mine": {"S": self._execution_id},
                    ":dead": {"S": or_from or self._execution_id},
                },
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def _is_dead(self, holder: LockHolder, now: dt.datetime) -> bool:
        if are_of_one_machine(holder.execution_id, self._execution_id):
            return has_ended(holder.execution_id)
        return holder.expires_at < now

    def _holder(self) -> LockHolder:
        item = self._tables.get_item(TableName=self._table, Key=self._key, ConsistentRead=True).get("Item", {})
        return LockHolder(
            execution_id=item.get("execution_id", {}).get("S", "an execution that has just ended"),
            operation_id=item.get("owner_operation_id", {}).get("S", "unknown"),
            expires_at=dt.datetime.fromtimestamp(int(item.get("lock_expires_at", {}).get("N", "0")), dt.UTC),
        )
