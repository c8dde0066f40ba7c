"""What `--json` prints: one object for success and for failure alike, by a schema that is committed.

New fields may come within `aurora-restore.cli/1`; none changes its meaning or goes. Times are UTC; numbers have their
unit in their name.
"""

from __future__ import annotations

import datetime as dt
import inspect
import json
from typing import Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct

from .progress import AttemptFailed, PhaseEnded, StateEntered
from .published import Checks, Kind, Sealed
from .verifying import Verified

Status = Literal["PLANNED", "RUNNING", "SUCCEEDED", "FAILED", "REFUSED", "STOPPED", "TIMED_OUT", "UNKNOWN"]
Door = Literal["shut", "opening", "open"]
Data = TypeVar("Data")


class Summary(Struct, frozen=True, kw_only=True):
    """One operation. `data_age_seconds` is the snapshot's age when the operation started."""

    operation_id: str
    status: Status
    kind: Kind
    source: str | None
    target: str | None
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    took_seconds: int | None
    data_taken_at: dt.datetime | None
    data_age_seconds: int | None
    checks: Checks | None
    execution_arn: str


class DrilledSource(Struct, frozen=True, kw_only=True):
    """A source of which there were drills, and the last good one: all of it held, and there is evidence of that.

    `operation_id`, `ended_at` and `age_seconds` are null where none of the `drills` was good.
    """

    source: str
    drills: int
    operation_id: str | None
    ended_at: dt.datetime | None
    age_seconds: int | None


class Listing(Struct, frozen=True, kw_only=True):
    """The operations that were asked for, the latest first, and how many there are in all.

    `last_good` is the latest restore or refresh that succeeded, and `drilled` has each source with a drill, those
    without a good one first, then those whose good one is the oldest; both of all operations that match.
    """

    operations: list[Summary]
    matching: int
    known: int
    last_good: Summary | None
    drilled: list[DrilledSource]


class Planned(Struct, frozen=True, kw_only=True):
    """A plan: the operation that planned it, what it would destroy, and the plan as the pipeline publishes it.

    `digest` is equal as long as the same request leads to the same plan.
    """

    operation_id: str
    execution_arn: str
    digest: str
    destroys: list[str]
    plan: dict[str, Any]


class Started(Struct, frozen=True, kw_only=True):
    """An operation that was started or resumed: its request was accepted."""

    operation_id: str
    execution_arn: str


class Stopped(Struct, frozen=True, kw_only=True):
    """An execution that was stopped."""

    operation_id: str
    execution_arn: str


class ExpiringCluster(Struct, frozen=True, kw_only=True):
    """A cluster of an operation that expires, or was replaced and is kept for a time.

    `expires_at` is as recorded; a later moment in the cluster's tag extends it. `final_snapshot` is taken before a
    replaced cluster goes that the pipeline did not create.
    """

    cluster: str
    resource_id: str
    was_replaced: bool
    final_snapshot: str | None
    expires_at: str | None
    deletion_began_at: str | None


class Expired(Struct, frozen=True, kw_only=True):
    """The clusters of an operation that expire; with `--now` the one whose deletion was started, and by what."""

    operation_id: str
    clusters: list[ExpiringCluster]
    deleting: str | None
    execution_arn: str | None


class ClusterNow(Struct, frozen=True, kw_only=True):
    """The restored cluster as RDS describes it now. `exists` is null where RDS could not be asked."""

    resource_id: str
    exists: bool | None
    identifier: str | None
    status: str | None
    door: Door
    endpoint: str | None
    port: int | None
    expires_at: str | None


class KeptCluster(Struct, frozen=True, kw_only=True):
    """The cluster that the operation has replaced, for as long as it is kept, as RDS describes it now.

    `expires_at` is what its tag says; null where it is not deleted then.
    """

    resource_id: str
    identifier: str
    status: str
    expires_at: str | None


class AuditEvent(Struct, frozen=True, kw_only=True):
    """One event of the audit trail."""

    at: str
    event_type: str
    status: str


class EndedDrill(Struct, frozen=True, kw_only=True):
    """A drill whose execution was stopped, has timed out or died, and what becomes of its cluster and copies.

    `status` is that execution's. `finished_by` is the execution that deletes what the drill has left, while it is at
    work; null where it has not begun, or is over. `is_cleaned_up`: nothing is left.
    """

    execution_arn: str
    status: str
    step: str
    finished_by: str | None
    is_cleaned_up: bool


class Shown(Struct, frozen=True, kw_only=True):
    """One operation: whether it worked, how old its data are, what exists now, and how it went.

    `worked` is null while that is open, and for a plan. `kept` is null where the operation has replaced no cluster that
    is still kept. `ended_drill` is null unless the execution of a drill has died. `swap_finished_by` is the execution
    that finishes a swap which another one has left, null where none does.
    `application_secret` has the application's logins. `masked_at` is when the masking passed its gate, null before and
    where nothing is masked. `plan` and `parameters` are as the pipeline publishes them.
    """

    operation: Summary
    worked: bool | None
    sentence: str
    data_age_now_seconds: int | None
    cluster: ClusterNow | None
    kept: KeptCluster | None
    ended_drill: EndedDrill | None = None
    swap_finished_by: str | None = None
    application_secret: str | None
    differences: list[str]
    expected_end: list[str]
    reasons: list[str]
    error: str | None
    earlier_executions: list[str]
    started_by: dict[str, Any]
    step_times: dict[str, dt.datetime]
    masked_at: str | None
    events: list[AuditEvent]
    evidence: Sealed | None
    parameters: dict[str, Any]
    plan: dict[str, Any]


class Reported(Struct, frozen=True, kw_only=True):
    """Evidence that was downloaded and verified: of one operation, or with `--bundle` of all of them.

    `evidence` is as the pipeline has written it, and follows the version that it names. `page` is the report's file.
    """

    operation_id: str | None
    sequence: int | None
    sha256: str | None
    directory: str
    page: str | None
    verified: Verified
    evidence: dict[str, Any] | None


class Problem(Struct, frozen=True, kw_only=True):
    """One thing that is wrong; `field` is the request's field, where it is of one."""

    field: str | None
    message: str


class Failure(Struct, frozen=True, kw_only=True):
    """Why the command did not do what it was asked for."""

    code: str
    message: str
    problems: list[Problem]


class Envelope(Struct, Generic[Data], frozen=True, kw_only=True):
    """The answer of one command. `next` are commands that a person would type next."""

    schema: Literal["aurora-restore.cli/1"] = "aurora-restore.cli/1"
    command: str
    exit_code: int
    data: Data | None
    error: Failure | None
    next: list[str]


class Ended(Struct, frozen=True, kw_only=True, tag_field="event", tag="end"):
    """The last line of `watch --json`: the answer of the command."""

    at: dt.datetime
    answer: Envelope[Shown]


WatchLine = PhaseEnded | AttemptFailed | StateEntered | Ended
BY_COMMAND: dict[str, Any] = {
    "plan": Envelope[Planned],
    "start": Envelope[Started],
    "watch": WatchLine,
    "resume": Envelope[Started],
    "rollback": Envelope[Started],
    "stop": Envelope[Stopped],
    "expire": Envelope[Expired],
    "list": Envelope[Listing],
    "show": Envelope[Shown],
    "report": Envelope[Reported],
    "verify-report": Envelope[Verified],
}


def schema() -> str:
    """Return the JSON Schema of what each command prints with `--json`, as it is committed."""
    roots, parts = msgspec.json.schema_components(BY_COMMAND.values(), ref_template="#/$defs/{name}")
    for part in parts.values():
        if "description" in part:
            part["description"] = inspect.cleandoc(part["description"])
    commands = dict(zip(BY_COMMAND, roots, strict=True))
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", "commands": commands, "$defs": parts}
    return json.dumps(made, indent=2) + "\n"
