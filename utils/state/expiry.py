"""The register of clusters that expire: one item of the state table, with an entry for each of them.

An entry is found by the cluster's resource id, which no other cluster ever has, so that a cluster is found under any
name, and with any tags or none. One item, because a sweep that finds it empty has to read nothing else. Open Cluster
adds an entry, and Swap Cluster one for the cluster that it has replaced; the sweep (utils/expiry) writes down what it
has done, and removes the entry with its cluster.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError
from msgspec import Struct

from utils import environment
from utils.aws import attribute, client, value_of
from utils.aws_errors import error_code
from utils.contracts.plan import ReplacedDeletion
from utils.state.values import plain, unstored

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEY = "expiry#register"


class Replaced(Struct, frozen=True, kw_only=True):
    """What is registered of a cluster that was replaced.

    `target_cluster_id` is the name that it had. `is_ours`: an operation of this stack has created it.
    `deletion_protection`: that operation has given it deletion protection, which its expiry switches off. `deletion`:
    nobody here has created it, and it goes all the same, as the operation that replaced it was asked for twice.
    """

    target_cluster_id: str
    expires_at: str
    is_ours: bool
    deletion_protection: bool
    deletion: ReplacedDeletion | None = None


class ExpiringCluster(Struct, frozen=True, kw_only=True):
    """An entry of the register: a cluster that expires, and what the sweep has done about it.

    The operation is the one that restored the cluster, or the one that replaced it: then it has `replaced`.
    """

    resource_id: str
    cluster_identifier: str
    operation_id: str
    # How long the cluster was to exist after its door opened, or after it was replaced.
    hours: int
    replaced: Replaced | None = None
    # When its target was replaced once more, so that an older cluster is of no use.
    superseded_at: str | None = None
    # The moment of expiry that people were warned of, and when they were.
    warned_of: str | None = None
    warned_at: str | None = None
    # Why the cluster is kept or could not be deleted, as it was reported last, and when.
    reported: str | None = None
    reported_at: str | None = None
    # Written before the first call of the cluster's deletion.
    deletion_began_at: str | None = None
    # Since when RDS has not shown the cluster, and since when none of its target's name. One look proves nothing
    # (utils/state/unseen.py), and the final snapshot of a cluster of others may show later.
    gone_at: str | None = None
    name_free_at: str | None = None
    # Written with the beginning, where a person has asked for the deletion before the cluster's time; forgotten once it
    # is kept.
    asked_at: str | None = None

    @property
    def target_cluster_id(self) -> str:
        """Return the target whose lock protects the cluster."""
        return self.cluster_identifier if self.replaced is None else self.replaced.target_cluster_id

    @property
    def deletion_of_others(self) -> ReplacedDeletion | None:
        """Return how a replaced cluster of others is deleted; None for every other cluster, and where it stays."""
        return self.replaced.deletion if self.replaced is not None and not self.replaced.is_ours else None

    @property
    def is_left_to_its_owner(self) -> bool:
        """Return whether it is a replaced cluster of others which nobody has asked to delete."""
        return self.replaced is not None and not self.replaced.is_ours and self.replaced.deletion is None


class ExpiryRegister:
    """The register, read and written entry by entry, so that two writers do not undo each other's work."""

    def __init__(self) -> None:
        self._tables: DynamoDBClient = client("dynamodb")
        self._table = environment.text("STATE_TABLE")

    def entries(self) -> list[ExpiringCluster]:
        """Return all entries, read consistently, those of the oldest operations first."""
        answer = self._tables.get_item(TableName=self._table, Key=_key(), ConsistentRead=True)
        item = {name: unstored(value_of(value)) for name, value in answer.get("Item", {}).items()}
        item.pop("operation_id", None)
        found = [msgspec.convert({**entry, "resource_id": name}, ExpiringCluster) for name, entry in item.items()]
        return sorted(found, key=lambda each: (each.operation_id, each.resource_id))

    def entry(self, resource_id: str) -> ExpiringCluster | None:
        """Return the entry of one cluster as it is now."""
        return next((each for each in self.entries() if each.resource_id == resource_id), None)

    def add(self, entry: ExpiringCluster) -> None:
        """Add an entry. The same operation's is left as it is; another's, which restored the cluster, is replaced."""
        fields = {name: value for name, value in plain(entry).items() if value is not None and name != "resource_id"}
        values = {":entry": attribute(fields), ":operation": attribute(entry.operation_id)}
        others = "attribute_not_exists(#id) OR #id.operation_id <> :operation"
        self._update_if("SET #id = :entry", entry.resource_id, values, others)

    def supersede(self, target_cluster_id: str, but: str, at: str) -> None:
        """Write into the entries of a target's replaced clusters, but one, that another was replaced since."""
        for entry in self.entries():
            of_target = entry.replaced is not None and entry.replaced.target_cluster_id == target_cluster_id
            if of_target and entry.resource_id != but and entry.superseded_at is None:
                self.note(entry.resource_id, superseded_at=at)

    def note(self, resource_id: str, **facts: str) -> None:
        """Write facts into an entry. One that was removed meanwhile stays removed."""
        sets = ", ".join(f"#id.{name} = :{name}" for name in facts)
        values = {f":{name}": attribute(value) for name, value in facts.items()}
        self._update_if(f"SET {sets}", resource_id, values, "attribute_exists(#id)")

    def withdraw(self, resource_id: str) -> None:
        """Forget that a person has asked for a cluster's deletion before its time."""
        self._update_if("REMOVE #id.asked_at", resource_id, {}, "attribute_exists(#id)")

    def show(self, resource_id: str) -> None:
        """Forget that RDS did not show a cluster, which it shows again."""
        self._update_if("REMOVE #id.gone_at, #id.name_free_at", resource_id, {}, "attribute_exists(#id)")

    def remove(self, resource_id: str) -> None:
        """Remove an entry, unless it is gone already."""
        self._update("REMOVE #id", resource_id, {})

    def _update_if(self, expression: str, resource_id: str, values: dict[str, Any], condition: str) -> None:
        try:
            self._update(expression, resource_id, values, condition)
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise

    def _update(self, expression: str, resource_id: str, values: dict[str, Any], condition: str = "") -> None:
        optional: dict[str, Any] = {"ConditionExpression": condition} if condition else {}
        if values:
            optional["ExpressionAttributeValues"] = values
        self._tables.update_item(
            TableName=self._table,
            Key=_key(),
            UpdateExpression=expression,
            ExpressionAttributeNames={"#id": resource_id},
            **optional,
        )


def _key() -> dict[str, Any]:
    return {"operation_id": {"S": KEY}}


def expiry_text(moment: dt.datetime) -> str:
    """Return a moment of expiry as tag and record have it: in UTC, to the second."""
    return f"{moment.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
