"""One run for a target cluster at a time.

The lock is an item of the state table, taken by an execution's first step, renewed by each further one and released at
its end. A run that died without releasing it is looked up in Step Functions: only of an execution that has ended is the
lock taken over. The item's own expiry decides where that can't be asked, for an execution of another state machine;
DynamoDB's TTL removes items days late, so it only tidies up. A run that lost its lock stops at its next step, before it
touches anything.

A released lock stays as an item that every other execution may take, and a redrive of its own one: the step that was at
work when its execution was stopped may not (utils/state/attempts.py).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from msgspec import Struct

from utils import environment
from utils.aws import client, error_code
from utils.state.attempts import AT_WORK, OWN, ended
from utils.state.executions import are_of_one_machine, has_ended
from utils.state.operation import epoch, iso

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Values = Mapping[str, AttributeValueTypeDef]

# Longer than any pause between two steps with all their retries; short enough that a dead run blocks nobody for long.
LOCK_SECONDS = 2 * 3600
# Longer than an execution can be redriven after its end (RedriveExecution: 14 days).
KEPT_SECONDS = 15 * 24 * 3600
_NEVER_TAKEN, _LEFT = "attribute_not_exists(operation_id)", "execution_id <> :mine AND attribute_exists(released_at)"
_OURS = f"{_NEVER_TAKEN} OR ({AT_WORK})"
_FREE = f"{_OURS} OR ({_LEFT})"


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

    def __init__(self, target_cluster_id: str, operation_id: str, execution_id: str, redrive_count: int = 0) -> None:
        self.target_cluster_id = target_cluster_id
        self._key = {"operation_id": {"S": f"lock#{target_cluster_id}"}}
        self._operation_id = operation_id
        self._execution_id = execution_id
        self._redrive_count = redrive_count
        self._tables: DynamoDBClient = client("dynamodb")
        self._table = environment.text("STATE_TABLE")

    def claim(self, now: dt.datetime) -> Taking:
        """Take the lock if it is free, ours, or a dead run's. For a run's first step: only that may ask who is dead.

        Raises StepFailed when this execution was closed meanwhile.
        """
        holder = self.take(now)
        if holder is None:
            return Taking()
        if holder.execution_id == self._execution_id:
            raise ended(self._operation_id, self._execution_id)
        if not self._is_dead(holder, now):
            return Taking(held_by=holder)
        # Somebody else may have found the same dead run: the condition lets one of us in.
        if self._renew(now, f"{_FREE} OR execution_id = :dead", dead={":dead": {"S": holder.execution_id}}):
            return Taking(taken_from=holder)
        return Taking(held_by=self._holder())

    def take(self, now: dt.datetime) -> LockHolder | None:
        """Take the lock if it is free, or renew it. Answers who holds it when that is somebody else, else None.

        The condition admits our own earlier call, so that a call whose answer was lost doesn't lock us out.
        """
        return None if self._renew(now, _FREE) else self._holder()

    def hold(self, now: dt.datetime) -> LockHolder | None:
        """Renew the lock that the first step has taken. Answers whose it is when that is no longer ours, else None.

        It may answer this execution itself: then its operation was closed, and the step is one that outlived it.
        """
        return None if self._renew(now, _OURS) else self._holder()

    def give_back(self, now: dt.datetime) -> None:
        """Release the lock, if it is still ours, of an execution that goes on: it may take it again."""
        self._put(now, OWN, {"released_at": {"S": iso(now)}})

    def release(self, now: dt.datetime) -> None:
        """Release the lock, if it is still ours, at the end of this execution."""
        ending: Values = {"released_at": {"S": iso(now)}, "ended_redrive_count": {"N": str(self._redrive_count)}}
        self._put(now, OWN, ending)

    def _renew(self, now: dt.datetime, condition: str, dead: Values | None = None) -> bool:
        return self._put(now, condition, {"lock_expires_at": {"N": str(epoch(now) + LOCK_SECONDS)}}, dead)

    def _put(self, now: dt.datetime, condition: str, attributes: Values, values: Values | None = None) -> bool:
        """Write the lock's item, and return whether the condition let us."""
        own = {":mine": {"S": self._execution_id}, ":redrive": {"N": str(self._redrive_count)}}
        try:
            self._tables.put_item(
                TableName=self._table,
                Item={
                    **self._key,
                    "execution_id": {"S": self._execution_id},
                    "owner_operation_id": {"S": self._operation_id},
                    "redrive_count": {"N": str(self._redrive_count)},
                    "last_updated": {"S": iso(now)},
                    "expires_at": {"N": str(epoch(now) + KEPT_SECONDS)},
                    **attributes,
                },
                ConditionExpression=condition,
                ExpressionAttributeValues={**own, **(values or {})},
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
