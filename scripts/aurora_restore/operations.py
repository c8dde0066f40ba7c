"""The stack's operations, as its state table and its audit trail have them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from .exits import NOT_FOUND, CommandError
from .published import Event, Expiring, Record, read_item
from .stack import Stack

SHORTEST_PREFIX = 6
LATEST, LAST_FAILED, RUNNING = "latest", "last-failed", "running"

# What a list shows of an operation and of its plan; a plan's item has the key that begins so.
_OF_OPERATION = "operation_id execution_id started_at last_updated plan_item"
_LISTED = f"{_OF_OPERATION} source_deletion_at outcome evidence verification removed".split()
_OF_PLAN = (
    "target_cluster_id snapshot.cluster_identifier snapshot.created_at dry_run drill replaces replaced rolls_back"
)
_OF_REQUEST = "target_cluster_id dry_run"
_PLAN_KEY = "plan#"
# The item with an entry for each cluster that expires, by its resource id.
REGISTER_KEY = "expiry#register"


class Operations:
    """Finds operations by what a person types, and reads them."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._tables = stack.client("dynamodb")

    def all(self) -> list[Record]:
        """Return every operation that the state table knows, the latest first, with what a list shows of its plan."""
        items = list(self._scanned())
        plans = {item["operation_id"]: _planned(item) for item in items if _is_plan(item)}
        records = [
            msgspec.convert(item | plans.get(item.get("plan_item"), {}), Record)
            for item in items
            if "#" not in item["operation_id"] and "started_at" in item
        ]
        return sorted(records, key=lambda each: str(each.started_at), reverse=True)

    def find(self, typed: str) -> Record:
        """Return the operation of this id, of this unique beginning of one, or of one of the words for it."""
        if (exact := self.read(typed)) is not None:
            return exact
        return self._read_again(self._chosen(typed).operation_id)

    def read(self, operation_id: str) -> Record | None:
        """Return an operation with its plan, read consistently; None where the state table has none of this id."""
        item = self._item(operation_id)
        if item is None or "started_at" not in item:
            return None
        if (key := item.get("plan_item")) is not None:
            item |= _planned(self._item(key) or {})
        return msgspec.convert(item, Record)

    def events(self, operation_id: str) -> list[Event]:
        """Return the operation's audit trail."""
        pages = self._tables.get_paginator("query").paginate(
            TableName=self._stack.outputs["AuditTableName"],
            KeyConditionExpression="operation_id = :id",
            ExpressionAttributeValues={":id": {"S": operation_id}},
        )
        return [msgspec.convert(read_item(item), Event) for page in pages for item in page["Items"]]

    def expiring(self, operation_id: str) -> list[Expiring]:
        """Return the clusters of an operation that expire, as the register of the state table has them."""
        register = self._item(REGISTER_KEY) or {}
        register.pop("operation_id", None)
        entries = (msgspec.convert({**entry, "resource_id": name}, Expiring) for name, entry in register.items())
        found = [each for each in entries if each.operation_id == operation_id]
        return sorted(found, key=lambda each: each.cluster_identifier)

    def _read_again(self, operation_id: str) -> Record:
        found = self.read(operation_id)
        if found is None:
            raise CommandError("OperationNotFound", f"Operation {operation_id} is no longer there.", NOT_FOUND)
        return found

    def _chosen(self, typed: str) -> Record:
        known = self.all()
        found = {
            LATEST: known[:1],
            LAST_FAILED: [each for each in known if each.status == "failed"][:1],
            RUNNING: [each for each in known if each.status == "running"],
        }.get(typed)
        if found is None:
            found = [each for each in known if each.operation_id.startswith(typed)]
            if len(typed) < SHORTEST_PREFIX:
                found = []
        if len(found) == 1:
            return found[0]
        if not found:
            raise CommandError(
                "OperationNotFound",
                f"No operation of stack {self._stack.name} is {typed!r}. Type its id, at least {SHORTEST_PREFIX} "
                f"characters of its beginning, or {LATEST}, {LAST_FAILED} or {RUNNING}.",
                NOT_FOUND,
                next_commands=["aurora-restore list"],
            )
        raise CommandError(
            "OperationAmbiguous",
            f"{typed!r} is {len(found)} operations: {', '.join(each.operation_id for each in found[:10])}. Type more "
            "of the id.",
            NOT_FOUND,
        )

    def _item(self, key: str) -> dict[str, Any] | None:
        answer = self._tables.get_item(
            TableName=self._stack.outputs["StateTableName"], Key={"operation_id": {"S": key}}, ConsistentRead=True
        )
        return read_item(answer["Item"]) if "Item" in answer else None

    def _scanned(self) -> Iterator[dict[str, Any]]:
        """Yield the items of operations and of plans. The table has no index: a page is up to 1 MB of it."""
        parts = [f"#plan.{part}" for part in _OF_PLAN.split()] + [f"#asked.{part}" for part in _OF_REQUEST.split()]
        pages = self._tables.get_paginator("scan").paginate(
            TableName=self._stack.outputs["StateTableName"],
            ConsistentRead=True,
            FilterExpression="attribute_exists(started_at) OR begins_with(operation_id, :plan)",
            ProjectionExpression=", ".join([*_LISTED, "#status", "#state", *parts]),
            ExpressionAttributeNames={"#status": "status", "#state": "state", "#plan": "plan", "#asked": "parameters"},
            ExpressionAttributeValues={":plan": {"S": _PLAN_KEY}},
        )
        for page in pages:
            yield from (read_item(item) for item in page["Items"])


def _planned(item: dict[str, Any]) -> dict[str, Any]:
    """Return what a plan's item adds to its operation."""
    return {name: item[name] for name in ("plan", "parameters") if name in item}


def _is_plan(item: dict[str, Any]) -> bool:
    return str(item["operation_id"]).startswith(_PLAN_KEY)
