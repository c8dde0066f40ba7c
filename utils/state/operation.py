"""The state of an operation (state table) and everything that happened in it (audit table).

The state item outlives the execution: it holds what proves ownership later (resource ids recorded when they were made)
and how far the operation came. It is written often, and DynamoDB bills each write by the whole item's size, so the plan
and the request are in an item of their own (`plan#<operation>#<hash>`). That one is never changed: each execution
that plans or resumes writes another, and the state item names the one that counts. The audit table is append-only; its
sort key is the time and a suffix that makes it unique. Secrets enter none of them.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from botocore.exceptions import ClientError
from msgspec import Struct, field
from msgspec.structs import replace

from utils import environment
from utils.aws import attribute, client, value_of
from utils.aws_errors import error_code
from utils.contracts.evidence import Sealed
from utils.contracts.plan import DoorPhase
from utils.contracts.route import FINAL, SnapshotCopy
from utils.errors import RequestRefused, StepFailed
from utils.state.attempts import ATTEMPT_AT_WORK, NONE_ENDED, OWN, ended
from utils.state.items import read_beside, read_item, read_items, read_once
from utils.state.values import epoch, iso, plain, unstored

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from utils.state.items import Item

Status = Literal["planned", "running", "succeeded", "failed"]
STATE_DAYS = 400
AUDIT_DAYS = 800


class OperationRecord(Struct, frozen=True, kw_only=True):
    """The state item. The fields from `made_snapshots` on are facts, each recorded as soon as it became true."""

    operation_id: str
    execution_id: str
    state: str
    status: Status
    started_at: str
    last_updated: str
    # Of the attempt that wrote last, and of the one at which the operation was closed.
    redrive_count: int = 0
    ended_redrive_count: int = NONE_ENDED
    step_times: dict[str, str] = {}
    # The key of the plan's item. An operation that was planned before there was one has its plan in the state item.
    plan_item: str | None = None
    parameters: dict[str, Any] = {}
    # Whether the plan gives the target secrets of its own. None where that has to be asked of the plan itself.
    own_secrets: bool | None = None
    # Whether the plan has a masking policy. None as above.
    is_to_be_masked: bool | None = None
    # Whether the cluster is restored to be deleted again.
    is_drill: bool = False
    # The name under which the cluster is restored where it is going to replace another one; None otherwise.
    temporary_name: str | None = None
    # None where it was not read.
    plan_read: dict[str, Any] | None = field(name="plan", default=None)
    # By the step of the route: the ARN of the snapshot that it made, and when it was begun and done.
    made_snapshots: dict[str, str] = {}
    route_times: dict[str, str] = {}
    # What AWS has to work on (utils/contracts/phases.py), and how many seconds it took before and in this execution.
    phases: list[str] = []
    expected: dict[str, float] = {}
    took: dict[str, float] = {}
    # The phases whose end an event of RDS has announced, before and in this execution.
    announced_before: list[str] = []
    announced: list[str] = []
    # The earliest and the latest end, as they were expected when the item was last written for another reason.
    expected_end: list[str] = []
    # None: the stack's own two. Forgotten again where a failed run has removed them.
    admin_secret_arn: str | None = None
    application_secret_arn: str | None = None
    secrets_removed: list[str] = []
    # The secret with the masking's salt, until it is deleted, and its version with which the masking of the present
    # cluster began.
    salt_secret_arn: str | None = None
    salt_version_id: str | None = None
    # How far the masking is, and when it passed its gate.
    masking: dict[str, Any] = {}
    masked_at: str | None = None
    # The version of the admin secret that has the new master login, and which version bore each label before it. They
    # are known until another is stored: the labels go back after the cluster is forgotten.
    staged_version_id: str | None = None
    labels_before: dict[str, str] = {}
    # When RDS was asked for the cluster: written down before the call.
    cluster_asked_at: str | None = None
    cluster_arn: str | None = None
    cluster_resource_id: str | None = None
    password_version_id: str | None = None
    # When the change was requested that sets the master password, or lets RDS manage it, with the settings that a
    # restore does not accept (MODIFY_CLUSTER in utils/steps/cluster_seen.py). It is due while this is None: before
    # there are instances, again once the server has refused the login, and again in a resume whose login was never
    # proved. `password_resets` counts how often the pipeline has set the password, from 0 again in such a resume; it
    # stays 0 where RDS manages the login.
    password_reset_at: str | None = None
    password_resets: int = 0
    inherited_secret_arn: str | None = None
    master_secret_arn: str | None = None
    endpoint: str | None = None
    port: int | None = None
    writer_changed_at: str | None = None
    # What AWS had no capacity for when it was last asked.
    shortage: str | None = None
    data_api_enabled_at: str | None = None
    # Where RDS reports other settings than were asked for, and when that was looked for in a drill.
    differences: list[str] = []
    settings_compared_at: str | None = None
    login_proven_at: str | None = None
    # Those of production that were locked, also by an attempt that did not come to its end: names, as many as there is
    # room for, and how many they are.
    locked_logins: list[str] = []
    locked_count: int = 0
    users_ready_at: str | None = None
    users: dict[str, Any] | None = None
    # How far the verification is, and when every check had come to an end and the run could continue (what it has found
    # is kept by utils/state/verification.py).
    verification: dict[str, Any] = {}
    verified_at: str | None = None
    # From when on the cluster may have been open, and since when it is.
    door_opening_at: str | None = None
    door_open_at: str | None = None
    # When the swap with the cluster that is replaced began, and how it has ended: `forward` or `back`
    # (utils/state/swap.py has the rest).
    swap_began_at: str | None = None
    swap_end: str | None = None
    # The name of the execution that is started to finish the swap, or the drill, which the one that the item names has
    # left.
    finished_by: str | None = None
    # The execution of a drill that was stopped, has timed out or died without a Catch: its ARN (`execution_id`), its
    # `redrive_count`, the `status` that Step Functions gave it, the `step` it was in, and when it was closed (`at`).
    drill_ended_by: dict[str, Any] = {}
    # When the cluster expires, if it does: it is registered and tagged by then (utils/state/expiry.py).
    cluster_expires_at: str | None = None
    # The export that RDS has taken on, by its name, and continues by itself.
    export_begun: str | None = None
    export_cancelled_at: str | None = None
    clean_up_at: str | None = None
    # The cluster that the operation created and has deleted again, as it was known then (utils/steps/removed.py). It
    # stays known where the rest of the cluster is forgotten.
    removed: dict[str, Any] = {}
    # What RDS did not show when it was last looked for, and since when (utils/state/unseen.py).
    unseen: dict[str, str] = {}
    protection_off_at: str | None = None
    copy_clean_up_at: str | None = None
    source_deletion_at: str | None = None
    # When the source was seen to be gone for certain.
    source_gone_at: str | None = None
    final_snapshot_arn: str | None = None
    resumed_from: str | None = None
    earlier_executions: list[str] = []
    # Of the end that is being sealed: which attempt, and the link that the chain ended with before.
    evidence_begun: dict[str, Any] = {}
    notified_at: str | None = None
    # Who started the execution that the item names, or why that is unknown (utils/operation/starter.py).
    started_by: dict[str, Any] = {}
    # Where its evidence is, once that is sealed, and how the operation has ended, in the evidence's words.
    evidence: Sealed | None = None
    outcome: str | None = None

    @property
    def plan(self) -> dict[str, Any]:
        """Return the plan as it was stored: empty where the operation was refused before it had one."""
        if self.plan_read is None:
            raise LookupError("The record was read without its plan. Read it by OperationState.with_plan first.")
        return self.plan_read

    @property
    def has_own_secrets(self) -> bool:
        """Return whether the target has secrets of its own, by the plan."""
        return bool(self.plan.get("target_secrets")) if self.own_secrets is None else self.own_secrets

    @property
    def has_masking(self) -> bool:
        """Return whether the cluster has to be masked before anybody gets in, by the plan."""
        return bool(self.plan.get("masking")) if self.is_to_be_masked is None else self.is_to_be_masked

    def named(self, target_cluster_id: str) -> str:
        """Return the name that the operation has given to its cluster: the target's, once that was replaced."""
        return target_cluster_id if self.temporary_name is None or self.swap_end == "forward" else self.temporary_name

    @property
    def is_swapping(self) -> bool:
        """Return whether a swap has begun and not ended: then neither of its clusters may be deleted."""
        return self.swap_began_at is not None and self.swap_end is None

    @property
    def is_drill_ended(self) -> bool:
        """Return whether nothing is left to do of a drill but to delete its cluster, because its execution has died.

        A redrive of that execution continues the drill. Every other one that has it since only ends it.
        """
        ended = self.drill_ended_by
        known = (ended.get("execution_id"), ended.get("redrive_count"))
        return bool(ended) and (known[0] != self.execution_id or known[1] == self.redrive_count)

    @property
    def planned_copy(self) -> SnapshotCopy | None:
        """Return the planned route, with the copy at its end; None where the snapshot is restored from where it is."""
        planned = self.plan.get("copy")
        return msgspec.convert(planned, SnapshotCopy) if planned else None

    @property
    def copied_snapshot_arn(self) -> str | None:
        """Return the copy at the end of the route, from when it was made until this operation deletes it."""
        return self.made_snapshots.get(FINAL)

    @property
    def planned_instances(self) -> list[str]:
        """Return the members of the cluster that the operation creates, as its plan names them."""
        return [each["identifier"] for each in self.plan.get("cluster", {}).get("instances", [])]

    @property
    def removed_here(self) -> dict[str, Any]:
        """Return what is known of a cluster that this execution deleted or saw gone; empty where an earlier one did."""
        last = self.removed.get("gone_at") or self.removed.get("began_at")
        return self.removed if self.seen(last) is not None else {}

    @property
    def logins_locked(self) -> int:
        """Return how many logins were locked. An older version has recorded their names alone."""
        return max(self.locked_count, len(self.locked_logins))

    @property
    def is_unmasked(self) -> bool:
        """Return whether the plan has a masking policy, and the masking has not passed its gate."""
        return self.has_masking and self.masked_at is None

    @property
    def door_group_id(self) -> str:
        """Return the security group that admits the pipeline alone to the planned cluster; empty before the plan."""
        return str(self.plan.get("cluster", {}).get("door_security_group_id", ""))

    @property
    def recorded_door(self) -> DoorPhase:
        """Return how far the door may be open. Only the pipeline is admitted before the users are set up."""
        if self.users_ready_at is None:
            return "shut"
        return "opening" if self.door_open_at is None else "open"

    def entered(self, step: str) -> dt.datetime:
        """Return when this execution, or a redrive of it, first entered a step: its deadline counts from there."""
        return dt.datetime.fromisoformat(self.step_times[step])

    def seen(self, moment: dt.datetime | str | None) -> dt.datetime | None:
        """Return a recorded moment; None where it was before this execution, which has not seen what came of it."""
        known = dt.datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return known if known is not None and known >= self.entered("snapshot-check") else None


# What is forgotten of a cluster that this operation's own clean-up has deleted: a resumed run makes another.
NO_CLUSTER: dict[str, Any] = {
    "cluster_asked_at": None,
    "cluster_arn": None,
    "cluster_resource_id": None,
    "password_version_id": None,
    "password_reset_at": None,
    "password_resets": 0,
    "inherited_secret_arn": None,
    "master_secret_arn": None,
    "endpoint": None,
    "port": None,
    "writer_changed_at": None,
    "shortage": None,
    "locked_logins": [],
    "locked_count": 0,
    "data_api_enabled_at": None,
    "differences": [],
    "settings_compared_at": None,
    "login_proven_at": None,
    "salt_version_id": None,
    "masking": {},
    "masked_at": None,
    "users_ready_at": None,
    "users": None,
    "verification": {},
    "verified_at": None,
    "door_opening_at": None,
    "door_open_at": None,
    "cluster_expires_at": None,
    "clean_up_at": None,
    "unseen": {},
}


# A stopped execution's first step may still be at work on taking the operation over. One that is ours already was taken
# over by this very call: the client repeats it when its answer is lost.
_HANDED_OVER = "execution_id = :former AND (attribute_not_exists(shut_out) OR shut_out <> :successor)"


class OperationState:
    """One operation's item in the state table and its trail in the audit table."""

    def __init__(self, operation_id: str, execution_id: str, now: dt.datetime, redrive_count: int = 0) -> None:
        self.operation_id = operation_id
        self.execution_id = execution_id
        self.now = now
        self.redrive_count = redrive_count
        self.has_audited = False
        # The step that the next write records as running; None where that is recorded, or is not to be.
        self.entering: str | None = None
        self._noted: dict[str, Any] = {}
        self._tables: DynamoDBClient = client("dynamodb")
        self._state_table = environment.text("STATE_TABLE")
        self._audit_table = environment.text("AUDIT_TABLE")

    def open(
        self,
        step: str,
        parameters: object,
        plan: object,
        status: Status,
        *,
        facts: Mapping[str, Any] | None = None,
        closed: bool = False,
    ) -> None:
        """Write the operation's first state. An operation id belongs to one execution until another one resumes it.

        `facts` are what is to be recorded with it. `closed`: it is the last state as well, of an execution that ended
        before it had one. Raises RequestRefused where another execution has used the id, StepFailed where this one's
        operation was closed meanwhile.
        """
        item = {
            "operation_id": self.operation_id,
            "execution_id": self.execution_id,
            "state": step,
            "status": status,
            "started_at": iso(self.now),
            "last_updated": iso(self.now),
            "step_times": {step: iso(self.now)},
            **self._write_plan(parameters, plan),
            "redrive_count": self.redrive_count,
            "ended_redrive_count": self.redrive_count if closed else NONE_ENDED,
            "expires_at": epoch(self.now + dt.timedelta(days=STATE_DAYS)),
            **plain(facts or {}),
        }
        try:
            self._tables.put_item(
                TableName=self._state_table,
                Item={name: attribute(value) for name, value in item.items()},
                ConditionExpression=f"attribute_not_exists(operation_id) OR ({OWN if closed else ATTEMPT_AT_WORK})",
                ExpressionAttributeValues=self._attempt,
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            if self._is_own():
                raise ended(self.operation_id, self.execution_id) from error
            raise RequestRefused(
                f"operation_id: {self.operation_id!r} was used before by another execution. "
                "Choose a new one, or omit it to use the execution's name."
            ) from error

    def hand_over(self, record: OperationRecord, plan: object, facts: Mapping[str, Any]) -> None:
        """Give this execution the operation of another one, which has ended.

        `facts` are what is to be recorded or forgotten with it. Times of steps are reset: deadlines count from here.
        Raises StepFailed where the operation is no longer that execution's, or where this one was stopped meanwhile.
        """
        former = record.execution_id if record.execution_id != self.execution_id else None
        self._write(
            {
                "execution_id": self.execution_id,
                "state": "snapshot-check",
                "status": "running",
                **self._write_plan(record.parameters, plan),
                "step_times": {"snapshot-check": iso(self.now)},
                "notified_at": None,
                "started_by": {},
                "ended_redrive_count": NONE_ENDED,
                "resumed_from": former or record.resumed_from,
                "earlier_executions": [*record.earlier_executions, *([former] if former else [])],
                **facts,
            },
            f"({_HANDED_OVER}) OR ({ATTEMPT_AT_WORK})" if former else ATTEMPT_AT_WORK,
            self._attempt | ({":former": {"S": former}, ":successor": {"S": self._successor}} if former else {}),
        )

    def shut_out(self, owner: str) -> bool:
        """Keep this execution, which was stopped, from taking over the operation that `owner` has.

        Its first step may still be doing so. Returns False where the operation is no longer the owner's.
        """
        try:
            self._tables.update_item(
                TableName=self._state_table,
                Key={"operation_id": {"S": self.operation_id}},
                UpdateExpression="SET shut_out = :successor",
                ConditionExpression="execution_id = :owner",
                ExpressionAttributeValues={":owner": {"S": owner}, ":successor": {"S": self._successor}},
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def enter(self, step: str) -> OperationRecord:
        """Record that a step is running, and since when. Return the record without its plan.

        Raises StepFailed once the operation was closed.
        """
        self.entering = step
        return _record_of(self._write({}, ATTEMPT_AT_WORK, self._attempt))

    def is_at_work(self, record: OperationRecord) -> bool:
        """Return whether a record that was just read is of this attempt, which is running."""
        of_attempt = (record.execution_id, record.redrive_count) == (self.execution_id, self.redrive_count)
        return of_attempt and record.status == "running" and record.ended_redrive_count < self.redrive_count

    def remember(self, **facts: Any) -> None:
        """Record facts at once; a step that dies afterwards finds them when it is retried. None forgets one.

        Raises StepFailed once the operation was closed.
        """
        self._write(facts, ATTEMPT_AT_WORK, self._attempt)

    def note(self, **facts: Any) -> None:
        """Keep facts for the next write of this call. If there is none until its end, they are written then."""
        self._noted |= facts

    @property
    def has_unwritten(self) -> bool:
        """Return whether noted facts are not recorded yet."""
        return bool(self._noted)

    def close(self, status: Status, **facts: Any) -> None:
        """Record how the operation ended, after which its steps cannot write. Closing twice has the effect of one.

        Raises StepFailed where the execution was redriven since.
        """
        ended_at = {"status": status, "ended_redrive_count": self.redrive_count}
        # Only waiting needs these, and a resumption writes them again.
        self.remember_at_end(**ended_at, phases=[], expected={}, announced_before=[], expected_end=[], **facts)

    def remember_at_end(self, **facts: Any) -> None:
        """Record facts of the closing step, which alone may write once the operation is closed."""
        self._write(facts, OWN, self._attempt)

    def recall(self, *beside: str) -> OperationRecord | None:
        """Return the operation's record, read consistently: a step acts on what the step before it wrote.

        `beside`: other items of the table, of which `read_once` knows then.
        """
        table, key = self._state_table, self.operation_id
        item = read_beside(table, key, *beside) if beside else read_item(table, key)
        return self.with_plan(_record_of(item)) if item else None

    def recall_beside(self, key: str) -> tuple[OperationRecord | None, Item | None]:
        """Return the operation's record without its plan, and another item of the table, read in one call."""
        items = read_items(self._state_table, [self.operation_id, key])
        item = items.get(self.operation_id)
        return _record_of(item) if item else None, items.get(key)

    def with_plan(self, record: OperationRecord) -> OperationRecord:
        """Return a record with its plan and the request's parameters."""
        if record.plan_item is None:
            return replace(record, plan_read=record.plan_read or {})
        table, key = self._state_table, record.plan_item
        # Such an item never changes; one that was not there beside the record has been written since.
        stored = _values_of(read_once(table, key) or read_item(table, key) or {})
        return replace(record, plan_read=stored.get("plan", {}), parameters=stored.get("parameters", {}))

    def _write_plan(self, parameters: object, plan: object) -> dict[str, Any]:
        """Write the plan's item, and return what the state item has of it. Nobody reads it before that names it.

        Parameters that were not given are omitted, as most are.
        """
        key, planned = plan_key(self.operation_id, self.execution_id, plan), plain(plan)
        item = {
            "operation_id": key,
            "execution_id": self.execution_id,
            "last_updated": iso(self.now),
            "parameters": {name: value for name, value in plain(parameters).items() if value is not None},
            "plan": planned,
            "expires_at": epoch(self.now + dt.timedelta(days=STATE_DAYS)),
        }
        self._tables.put_item(
            TableName=self._state_table, Item={name: attribute(value) for name, value in item.items()}
        )
        return {
            "plan_item": key,
            "own_secrets": bool(planned.get("target_secrets")),
            "is_to_be_masked": bool(planned.get("masking")),
            "is_drill": bool(planned.get("drill")),
            **({"temporary_name": planned["cluster"]["identifier"]} if planned.get("replaces") else {}),
        }

    def audit(self, event_type: str, status: str, details: Mapping[str, Any]) -> None:
        """Append one event to the audit trail. The key's suffix keeps two events of one moment apart."""
        self.has_audited = True
        item = {
            "operation_id": self.operation_id,
            "timestamp": f"{iso(self.now)}#{uuid.uuid4().hex[:12]}",
            "event_type": event_type,
            "event_details": plain(details),
            "status": status,
            "execution_id": self.execution_id,
            "expires_at": epoch(self.now + dt.timedelta(days=AUDIT_DAYS)),
        }
        try:
            self._tables.put_item(
                TableName=self._audit_table,
                Item={name: attribute(value) for name, value in item.items()},
                ConditionExpression="attribute_not_exists(operation_id)",
            )
        except ClientError as error:
            # The key is this event's alone: the client has repeated a call whose answer was lost.
            if error_code(error) != "ConditionalCheckFailedException":
                raise

    @property
    def _attempt(self) -> dict[str, Any]:
        return {":mine": {"S": self.execution_id}, ":redrive": {"N": str(self.redrive_count)}}

    @property
    def _successor(self) -> str:
        return f"{self.execution_id} {self.redrive_count}"

    def _is_own(self) -> bool:
        found = read_item(self._state_table, self.operation_id)
        return found is not None and found["execution_id"]["S"] == self.execution_id

    def _write(
        self,
        values: Mapping[str, Any],
        condition: str,
        condition_values: Mapping[str, Any],
    ) -> Item:
        """Change the item where the condition lets this attempt of this execution do so, and return it.

        That it is returned is not billed (API reference, UpdateItem, ReturnValues).
        """
        names: dict[str, str] = {}
        written = {**self._noted, **values, "redrive_count": self.redrive_count}
        assignments = ["last_updated = :now"]
        if self.entering is not None:
            written |= {"state": self.entering, "status": "running"}
            assignments.append("step_times.#step = if_not_exists(step_times.#step, :now)")
            names["#step"] = self.entering
        assignments += [f"#{name} = :{name}" for name in written]
        try:
            answer = self._tables.update_item(
                TableName=self._state_table,
                Key={"operation_id": {"S": self.operation_id}},
                ReturnValues="ALL_NEW",
                UpdateExpression="SET " + ", ".join(assignments),
                ConditionExpression=condition,
                ExpressionAttributeNames={f"#{name}": name for name in written} | names,
                ExpressionAttributeValues={f":{name}": attribute(plain(value)) for name, value in written.items()}
                | {":now": {"S": iso(self.now)}, **condition_values},
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            if self._is_own():
                raise ended(self.operation_id, self.execution_id) from error
            raise StepFailed(
                f"The state table has nothing of this execution on operation {self.operation_id}, so nothing proves "
                "what it created. Check the stack's state table, and what exists in RDS, before you start a new "
                "operation."
            ) from error
        self.entering, self._noted = None, {}
        return answer["Attributes"]


def _record_of(item: Item) -> OperationRecord:
    return msgspec.convert(_values_of(item), OperationRecord)


def _values_of(item: Item) -> dict[str, Any]:
    return {name: unstored(value_of(value)) for name, value in item.items() if name != "expires_at"}


def plan_key(operation_id: str, execution_id: str, plan: object) -> str:
    """Return under which key an execution stores a plan. Another plan has another key, and that of another execution.

    A reader that has the plan can so read its item together with the operation's.
    """
    content = msgspec.json.encode([execution_id, plan], order="sorted")
    return f"plan#{operation_id}#{hashlib.sha256(content).hexdigest()[:12]}"
