"""What the pipeline publishes of an operation, as far as the command reads it: the state item, the plan, the trail.

Every field has a default and unknown ones are ignored, so that an older and a newer stack can be read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from .arns import execution_beside, name_in

Kind = Literal["plan", "restore", "refresh", "drill", "rollback"]


class Snapshot(Struct, frozen=True, kw_only=True):
    """The snapshot that was found."""

    arn: str = ""
    identifier: str = ""
    cluster_identifier: str = ""
    created_at: dt.datetime | None = None
    why: str = ""
    notes: list[str] = []


class PlannedInstance(Struct, frozen=True, kw_only=True):
    """A member of the cluster."""

    db_instance_class: str = ""


class PlannedCluster(Struct, frozen=True, kw_only=True):
    """The cluster to create."""

    identifier: str = ""
    engine_version: str = ""
    vpc_security_group_ids: list[str] = []
    instances: list[PlannedInstance] = []


class RouteStep(Struct, frozen=True, kw_only=True):
    """One call on the snapshot's way."""

    name: str = ""
    snapshot_arn: str = ""


class PlannedCopy(Struct, frozen=True, kw_only=True):
    """The way of the snapshot, at whose end is the copy that is restored."""

    steps: list[RouteStep] = []

    @property
    def identifier(self) -> str:
        """Return the name of the copy that is restored."""
        return next((name_in(each.snapshot_arn) for each in self.steps if each.name == "copy"), "")


class SourceDeletion(Struct, frozen=True, kw_only=True):
    """The source cluster that is to be deleted."""

    cluster_identifier: str = ""
    cluster_resource_id: str = ""
    region: str = ""
    final_snapshot_identifier: str | None = None
    instance_identifiers: list[str] | None = None


class Masking(Struct, frozen=True, kw_only=True):
    """The masking policy."""

    policy: str = ""
    version_id: str = ""


class ComparedSource(Struct, frozen=True, kw_only=True):
    """The source cluster with which the restored data are compared."""

    cluster_arn: str = ""


class Verification(Struct, frozen=True, kw_only=True):
    """The checks of the restored data."""

    policy: str = ""
    on_findings: str = ""
    source: ComparedSource | None = None


class ReplacedDeletion(Struct, frozen=True, kw_only=True):
    """How a replaced cluster goes that the pipeline did not create."""

    final_snapshot_identifier: str = ""


class Replaced(Struct, frozen=True, kw_only=True):
    """The cluster that has the target's name and gives it to the new one."""

    resource_id: str = ""
    is_ours: bool = False
    other_names: list[str] = []
    keep_hours: int = 0
    deletion_protection: bool = False
    protection_is_ours: bool = False
    is_swept: bool = True
    deletion: ReplacedDeletion | None = None

    @property
    def expires(self) -> bool:
        """Return whether it is deleted once it was kept for as long as the plan says."""
        is_protected = self.deletion_protection and not self.protection_is_ours
        return (self.is_ours or self.deletion is not None) and self.is_swept and not is_protected


class RolledBack(Struct, frozen=True, kw_only=True):
    """The replacement that is undone, and the cluster that gets its target's name back."""

    operation_id: str = ""
    resource_id: str = ""
    replaced_at: dt.datetime | None = None


class Call(Struct, frozen=True, kw_only=True):
    """One call that changes something."""

    call: str
    on: str = ""
    region: str = ""
    account: str = ""
    only: str | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """What an operation is going to do."""

    operation_id: str = ""
    target_cluster_id: str = ""
    snapshot: Snapshot = Snapshot()
    copy: PlannedCopy | None = None
    cluster: PlannedCluster = PlannedCluster()
    source_deletion: SourceDeletion | None = None
    archive_snapshot: str = ""
    inherited_logins: str = "lock"
    masking: Masking | None = None
    verification: Verification | None = None
    replaces: Replaced | None = None
    replaced: Replaced | None = None
    rolls_back: RolledBack | None = None
    drill: bool = False
    expires_after_hours: int | None = None
    dry_run: bool = False
    calls: list[Call] = []
    not_taken_over: list[str] = []
    warnings: list[str] = []
    expected_minutes: list[int] = []

    @property
    def destroys(self) -> list[str]:
        """Return the clusters that exist, and lose their data or their name by the operation."""
        deleted = [self.source_deletion.cluster_identifier] if self.source_deletion else []
        return [*deleted, *([self.target_cluster_id] if self.replaces else [])]

    @property
    def data_taken_at(self) -> dt.datetime | None:
        """Return the moment that the data are of. A rollback has no snapshot: its plan's is the undone operation's."""
        return None if self.rolls_back else self.snapshot.created_at

    @property
    def kind(self) -> Kind:
        """Return what kind of operation it is."""
        if self.dry_run:
            return "plan"
        if self.rolls_back:
            return "rollback"
        if self.drill:
            return "drill"
        return "refresh" if self.replaces or self.replaced else "restore"


class Sealed(Struct, frozen=True, kw_only=True):
    """Where an operation's evidence is: the number and the hash of its link, and the folder of its files in S3."""

    sequence: int
    sha256: str
    bucket: str
    folder: str

    @property
    def short(self) -> str:
        """Return the link as messages name it, such as #42 3f9a1c77."""
        return f"#{self.sequence} {self.sha256[:8]}"


class Checks(Struct, frozen=True, kw_only=True):
    """How many checks of the data held, did not hold, or did not come to an end."""

    held: int = 0
    failed: int = 0
    not_run: int = 0

    @property
    def total(self) -> int:
        """Return how many there were."""
        return self.held + self.failed + self.not_run

    @property
    def all_held(self) -> bool:
        """Return whether nothing is wrong with the data, as far as it was looked at."""
        return self.held > 0 and self.failed == self.not_run == 0


class Record(Struct, frozen=True, kw_only=True):
    """An operation's item of the state table, with its plan where that was read."""

    operation_id: str
    execution_id: str = ""
    state: str = ""
    status: str = ""
    started_at: dt.datetime | None = None
    last_updated: dt.datetime | None = None
    step_times: dict[str, dt.datetime] = {}
    plan_item: str | None = None
    parameters: dict[str, Any] = {}
    raw_plan: dict[str, Any] = field(name="plan", default={})
    expected_end: list[str] = []
    made_snapshots: dict[str, str] = {}
    cluster_asked_at: str | None = None
    cluster_arn: str | None = None
    cluster_resource_id: str | None = None
    endpoint: str | None = None
    port: int | None = None
    users_ready_at: str | None = None
    users: dict[str, Any] | None = None
    door_opening_at: dt.datetime | None = None
    door_open_at: dt.datetime | None = None
    masked_at: str | None = None
    cluster_expires_at: str | None = None
    source_deletion_at: str | None = None
    # What the verification found, and what was known of a cluster that was deleted again.
    verification: dict[str, Any] = {}
    removed: dict[str, Any] = {}
    swap_began_at: str | None = None
    swap_end: str | None = None
    # Which execution of a drill has died, and at which redrive; and the name of the one that was started to end it.
    redrive_count: int = 0
    drill_ended_by: dict[str, Any] = {}
    finished_by: str | None = None
    locked_logins: list[str] = []
    differences: list[str] = []
    earlier_executions: list[str] = []
    started_by: dict[str, Any] = {}
    # How it has ended, in the evidence's words, and where that is.
    outcome: str | None = None
    evidence: Sealed | None = None

    @property
    def plan(self) -> Plan:
        """Return the plan, empty where the operation was refused before it had one."""
        return msgspec.convert(self.raw_plan, Plan)

    @property
    def checks(self) -> Checks | None:
        """Return how the checks of the data ended, also of a deleted cluster; None where there were none."""
        found = self.verification or self.removed.get("verification") or {}
        return msgspec.convert(found, Checks, strict=False) if "held" in found else None

    @property
    def is_drill_ended(self) -> bool:
        """Return whether nothing is left to do of a drill but to delete its cluster, because its execution has died."""
        ended = self.drill_ended_by
        of_this = ended.get("execution_id") == self.execution_id
        return bool(ended) and (not of_this or ended.get("redrive_count") == self.redrive_count)

    @property
    def finisher(self) -> str | None:
        """Return the ARN of the execution that ends the drill of the one that has died; None where none was started."""
        return self._finishing if self.is_drill_ended else None

    @property
    def is_swapping(self) -> bool:
        """Return whether an exchange of names has begun and not ended."""
        return self.swap_began_at is not None and self.swap_end is None

    @property
    def swap_finisher(self) -> str | None:
        """Return the ARN of the execution that finishes the swap which another one has left; None where none does."""
        return self._finishing if self.is_swapping else None

    @property
    def _finishing(self) -> str | None:
        return None if self.finished_by is None else execution_beside(self.execution_id, self.finished_by)

    @property
    def has_left_something(self) -> bool:
        """Return whether a cluster or a copy may still exist that it has asked for: what is gone is forgotten."""
        return bool(self.cluster_asked_at or self.cluster_resource_id or self.made_snapshots)

    @property
    def is_good_drill(self) -> bool:
        """Return whether it is a drill that has passed, with evidence of that."""
        return self.plan.kind == "drill" and self.outcome == "passed" and self.evidence is not None

    @property
    def is_in_danger_if_stopped(self) -> bool:
        """Return whether the source's deletion has begun, or an exchange of names that has not ended."""
        return self.source_deletion_at is not None or self.is_swapping


class ExpiringReplaced(Struct, frozen=True, kw_only=True):
    """What is registered of a cluster that was replaced, and expires."""

    expires_at: str = ""
    deletion: ReplacedDeletion | None = None


class Expiring(Struct, frozen=True, kw_only=True):
    """An entry of the register of clusters that expire. The operation has restored it, or replaced it."""

    resource_id: str
    cluster_identifier: str
    operation_id: str
    replaced: ExpiringReplaced | None = None
    deletion_began_at: str | None = None

    @property
    def final_snapshot(self) -> str | None:
        """Return the snapshot that is taken before the cluster is deleted; None where none is."""
        deletion = self.replaced.deletion if self.replaced else None
        return deletion.final_snapshot_identifier if deletion else None


class Event(Struct, frozen=True, kw_only=True):
    """One event of the audit trail."""

    timestamp: str
    event_type: str = ""
    status: str = ""

    @property
    def at(self) -> str:
        """Return when the event happened: the key has a suffix that makes it unique."""
        return self.timestamp.partition("#")[0]


def read_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item of DynamoDB as plain values."""
    return {name: _value(each) for name, each in item.items()}


def _value(attribute: Mapping[str, Any]) -> Any:
    """Return an attribute's value (DynamoDB API reference, AttributeValue). Sets become lists."""
    [(kind, value)] = attribute.items()
    match kind:
        case "N":
            number = Decimal(value)
            return int(number) if number == number.to_integral_value() else float(number)
        case "M":
            return read_item(value)
        case "L":
            return [_value(each) for each in value]
        case "NULL":
            return None
        case _:
            return value
