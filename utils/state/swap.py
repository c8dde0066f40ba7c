"""How far a swap is, in an item of its own of the state table: its decisions, and what was found from within the VPC.

The item has a number that grows with each write, and a write replaces only the item with the number that was read. So a
swap is either turned back or committed, by one step alone. Before that, each step
proves that its execution has the operation and the lock.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
from botocore.exceptions import ClientError
from msgspec import Struct
from msgspec.structs import replace

from utils import environment
from utils.aws import attribute, client, value_of
from utils.aws_errors import error_code
from utils.contracts.swap import Restart, Side, SwapRecord
from utils.errors import TemporaryFailure
from utils.state.operation import STATE_DAYS, OperationState
from utils.state.values import epoch, iso


class Within(Struct, frozen=True, kw_only=True):
    """What was found of one cluster from within the VPC, and of which members, by name.

    `sessions_ended`: nobody was left on any of them. `has_live_name`: each certificate has the target's name.
    """

    sessions_ended: list[str] | None = None
    has_live_name: bool | None = None
    certificates_of: list[str] = []


class NameSeen(Struct, frozen=True):
    """The name under which a cluster was last seen, and since when it has had that."""

    name: str
    since: dt.datetime


class Asked(Struct, frozen=True):
    """The errand that was requested last."""

    number: int
    kind: str
    at: dt.datetime


class StoredSwap(Struct, frozen=True, kw_only=True):
    """The swap's record, and what belongs to it. `number` counts the writes; 0: nothing is stored.

    `attempt` is the execution that began the swap, or to finish it, and its redrive. `restarted` and `restarting_since`
    are of the time since a cluster has had the name that it has. `new_was_open`: somebody but the pipeline may have got
    into the new cluster. `no_login`: the cluster that is replaced has refused ours. `turned_because` is for the reader.
    """

    number: int = 0
    attempt: str = ""
    record: SwapRecord
    within: dict[Side, Within] = {}
    named: dict[Side, NameSeen] = {}
    restarted: dict[Side, Restart] = {}
    restarting_since: dict[Side, dt.datetime] = {}
    new_was_open: bool = False
    no_login: bool = False
    asked: Asked | None = None
    # When the live name was first tried, after a rename that resolvers may not know of yet.
    proving_since: dt.datetime | None = None
    turned_because: str = ""
    sessions_ended: int = 0
    sessions_in_doubt: int = 0
    prepared_transactions: int = 0

    def is_of(self, execution_id: str) -> bool:
        """Return whether this execution, or a redrive of it, has begun the swap or begun to finish it."""
        return self.attempt.partition(" ")[0] == execution_id


def attempt_of(state: OperationState) -> str:
    """Return an execution and its redrive, as a swap has who has begun it."""
    return f"{state.execution_id} {state.redrive_count}"


def stored_swap(operation_id: str) -> StoredSwap | None:
    """Return the swap as it was last written, read consistently; None where it has not begun."""
    answer = client("dynamodb").get_item(
        TableName=environment.text("STATE_TABLE"), Key={"operation_id": {"S": _key(operation_id)}}, ConsistentRead=True
    )
    item = answer.get("Item")
    return msgspec.json.decode(value_of(item["swap"]), type=StoredSwap) if item else None


def keep_swap(swap: StoredSwap, state: OperationState) -> StoredSwap:
    """Write the swap that follows from the one that was read, and return it as it is stored.

    Raises TemporaryFailure where another write has come in between: then both clusters are observed again.
    """
    following = replace(swap, number=swap.number + 1)
    item: dict[str, Any] = {
        "operation_id": _key(state.operation_id),
        "execution_id": state.execution_id,
        "last_updated": iso(state.now),
        "number": following.number,
        "swap": msgspec.json.encode(following).decode(),
        "expires_at": epoch(state.now + dt.timedelta(days=STATE_DAYS)),
    }
    try:
        client("dynamodb").put_item(
            TableName=environment.text("STATE_TABLE"),
            Item={name: attribute(value) for name, value in item.items()},
            **_only_after(swap.number),
        )
    except ClientError as error:
        if error_code(error) != "ConditionalCheckFailedException":
            raise
        raise TemporaryFailure(
            f"The swap of operation {state.operation_id} was written by another step in between. Both clusters will be "
            "observed again."
        ) from error
    return following


def _only_after(number: int) -> dict[str, Any]:
    """Return the condition that nothing was written since the item had this number; 0: that there is no item."""
    if number == 0:
        return {"ConditionExpression": "attribute_not_exists(operation_id)"}
    return {
        "ConditionExpression": "#number = :read",
        "ExpressionAttributeNames": {"#number": "number"},
        "ExpressionAttributeValues": {":read": {"N": str(number)}},
    }


def _key(operation_id: str) -> str:
    return f"swap#{operation_id}"
