"""The lock on a target cluster: one execution works on it at a time.

The lock is an item of the state table. An execution's first step takes it, each further step renews it before it
changes anything in AWS, and the last one releases it. A step that only looks reads it, and renews it where it would run
out before the next look. Where an execution died without releasing it, Step Functions is asked: the lock is taken over
only from an execution that has ended, and only by its own operation where that has left a swap. An execution of another
state machine cannot be looked up, so there the item's own expiry decides; DynamoDB's TTL removes items days late and
only tidies up. An execution that lost its lock stops at its next step, before it changes anything.

A released lock stays as an item that every other execution may take, and so may a redrive of its own one; the step that
was running when its execution was stopped may not (utils/state/attempts.py).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from msgspec import Struct

from utils import environment
from utils.aws import client
from utils.aws_errors import error_code
from utils.state.attempts import ATTEMPT_AT_WORK, OWN, ended
from utils.state.executions import are_of_one_machine, has_ended
from utils.state.operation import OperationState
from utils.state.values import epoch, iso

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from utils.state.items import Item

    Values = Mapping[str, AttributeValueTypeDef]

# Beyond the pause after a step: longer than that step takes with all its retries, and short enough that a dead run
# blocks nobody for long.
LOCK_SECONDS = 2 * 3600
# What is left of it when a step begins.
SPARE_SECONDS = 3600
# Longer than an execution can be redriven after its end (RedriveExecution: 14 days).
KEPT_SECONDS = 15 * 24 * 3600
_NEVER_TAKEN, _LEFT = "attribute_not_exists(operation_id)", "execution_id <> :mine AND attribute_exists(released_at)"
_OURS = f"{_NEVER_TAKEN} OR ({ATTEMPT_AT_WORK})"
_FREE = f"{_OURS} OR ({_LEFT})"
_FREE_OR_OF_THE_DEAD = f"{_FREE} OR execution_id = :dead"


class LockHolder(Struct, frozen=True, kw_only=True):
    """The execution that has the lock, its operation, and when the lock expires."""

    execution_id: str
    operation_id: str
    expires_at: dt.datetime


class Taking(Struct, frozen=True, kw_only=True):
    """How taking the lock ended: it is ours unless `held_by` says whose it is. `taken_from` had died without it.

    `is_swapping`: the holder has ended, and the swap of its operation has not.
    """

    held_by: LockHolder | None = None
    is_swapping: bool = False
    taken_from: LockHolder | None = None


class TargetLock:
    """The lock on one target cluster, as seen by one execution."""

    def __init__(self, target_cluster_id: str, operation_id: str, execution_id: str, redrive_count: int = 0) -> None:
        self.target_cluster_id = target_cluster_id
        self.key = f"lock#{target_cluster_id}"
        self._key = {"operation_id": {"S": self.key}}
        self._operation_id = operation_id
        self._execution_id = execution_id
        self._redrive_count = redrive_count
        self._tables: DynamoDBClient = client("dynamodb")
        self._table = environment.text("STATE_TABLE")

    def claim(self, now: dt.datetime) -> Taking:
        """Take the lock if it is free, ours, or a dead execution's. Only a first step may look up who is dead.

        Raises StepFailed when this execution was closed meanwhile.
        """
        holder = self.take(now)
        if holder is None:
            return Taking()
        if holder.execution_id == self._execution_id:
            raise ended(self._operation_id, self._execution_id)
        if not self._is_dead(holder, now):
            return Taking(held_by=holder)
        if holder.operation_id != self._operation_id and self._has_unfinished_swap(holder, now):
            return Taking(held_by=holder, is_swapping=True)
        # Another execution may have found the same dead one: the condition admits one of us.
        if self._renew(now, _FREE_OR_OF_THE_DEAD, dead={":dead": {"S": holder.execution_id}}):
            return Taking(taken_from=holder)
        return Taking(held_by=self._holder())

    def take(self, now: dt.datetime) -> LockHolder | None:
        """Take the lock if it is free, or renew it. Return who holds it where that is another execution, else None.

        The condition admits our own earlier call, so that a call whose answer was lost does not lock us out.
        """
        return None if self._renew(now, _FREE) else self._holder()

    def hold(self, now: dt.datetime, pause_seconds: int = 0) -> LockHolder | None:
        """Renew the lock that the first step has taken. Return who holds it where that is no longer us, else None.

        It may return this execution itself: then its operation was closed, and this step has outlived it. The lock
        lasts beyond the pause after this step.
        """
        return None if self._renew(now, _OURS, pause_seconds=pause_seconds) else self._holder()

    def held_until(self, item: Item | None) -> dt.datetime | None:
        """Return until when this attempt holds the lock, by its item as it was read; None where that is in doubt.

        The caller that is in doubt holds it, which is refused where it is another's.
        """
        if item is None or "released_at" in item or "lock_expires_at" not in item:
            return None
        of_attempt = (item["execution_id"]["S"], int(item["redrive_count"]["N"]))
        if of_attempt != (self._execution_id, self._redrive_count):
            return None
        return dt.datetime.fromtimestamp(int(item["lock_expires_at"]["N"]), dt.UTC)

    def give_back(self, now: dt.datetime) -> None:
        """Release the lock, if it is still ours, of an execution that keeps running: it may take it again."""
        self._put(now, OWN, {"released_at": {"S": iso(now)}})

    def release(self, now: dt.datetime) -> None:
        """Release the lock, if it is still ours, at the end of this execution."""
        ending: Values = {"released_at": {"S": iso(now)}, "ended_redrive_count": {"N": str(self._redrive_count)}}
        self._put(now, OWN, ending)

    def _renew(self, now: dt.datetime, condition: str, dead: Values | None = None, pause_seconds: int = 0) -> bool:
        expires_at = epoch(now) + pause_seconds + LOCK_SECONDS
        return self._put(now, condition, {"lock_expires_at": {"N": str(expires_at)}}, dead)

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

    def _has_unfinished_swap(self, holder: LockHolder, now: dt.datetime) -> bool:
        """Return whether the holder's operation has left the target between two clusters, which it alone may end."""
        record = OperationState(holder.operation_id, self._execution_id, now).recall()
        return record is not None and record.is_swapping

    def _holder(self) -> LockHolder:
        item = self._tables.get_item(TableName=self._table, Key=self._key, ConsistentRead=True).get("Item", {})
        return LockHolder(
            execution_id=item.get("execution_id", {}).get("S", "an execution that has just ended"),
            operation_id=item.get("owner_operation_id", {}).get("S", "unknown"),
            expires_at=dt.datetime.fromtimestamp(int(item.get("lock_expires_at", {}).get("N", "0")), dt.UTC),
        )
