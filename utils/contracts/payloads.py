"""What travels between the steps. No secret ever does.

Unknown fields are ignored here (unlike in a request), so that an execution survives an update of the stack. Times are
ISO 8601 in UTC; durations are seconds. `expected_end` is when the operation is expected to end: at the earliest, and at
the latest as far as one can say; it is empty where that is unknown.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from utils.contracts.plan import (
    Archive,
    ClusterPlan,
    ComparedSource,
    FoundSnapshot,
    InheritedLogins,
    MaskingPlan,
    Plan,
    ReplacedCluster,
    RolledBack,
    SnapshotExport,
    SourceDeletion,
    VerificationPlan,
)
from utils.contracts.route import SnapshotCopy
from utils.contracts.stack_limits import StackLimits
from utils.contracts.swap import Side

# How a loop of the state machine continues: the next action is due, Aurora is at work, or everything is done.
Answer = Literal["advance", "wait", "done"]


class StepRun(Struct, frozen=True, kw_only=True):
    """Which operation a step belongs to, and what time it is for the state machine.

    `now` is when the state was entered (`$$.State.EnteredTime`): a step that is retried sees the same time.
    `redrive_count` distinguishes the attempts of an execution that was redriven (utils/state/attempts.py).
    `cleaning_up` marks the steps after a failure: they take away what the operation created and leave its state alone.
    """

    operation_id: str
    execution_id: str
    target_cluster_id: str
    now: dt.datetime
    redrive_count: int = 0
    cleaning_up: bool = False


class Execution(Struct, frozen=True, kw_only=True):
    """All that is known of an execution before its request has been read."""

    execution_id: str
    execution_name: str
    started_at: dt.datetime
    now: dt.datetime
    redrive_count: int = 0


class SnapshotCheckTask(Struct, frozen=True, kw_only=True):
    """The input of Snapshot Check: the request as it came, not yet read."""

    execution: Execution
    request: Any
    limits: StackLimits

    @property
    def operation(self) -> str:
        """Return the execution's name: the operation is not known yet."""
        return self.execution.execution_name


class Woken(Struct, frozen=True, kw_only=True):
    """How the wait before a look ended. `at`: when RDS reported the event that ended it; None where its time was up.

    `source`: the cluster or instance that the event is about.
    """

    at: Annotated[dt.datetime, Meta(tz=True)] | None = None
    event: str = ""
    source: str = ""


class CopyTask(Struct, frozen=True, kw_only=True):
    """The input of Copy Snapshot."""

    run: StepRun
    copy: SnapshotCopy
    limits: StackLimits


class CopyProgress(Struct, frozen=True, kw_only=True):
    """What Copy Snapshot did last, and what Check Copy Status makes of it, as in a restore.

    Copy Snapshot answers `done` itself where it has taken back the last of what was opened for the copy.
    `percent` is of the copy that is under way.
    """

    answer: Answer
    action: str
    waiting_for: str
    started_at: dt.datetime
    action_at: dt.datetime
    percent: int
    wait_seconds: int
    expected_end: list[dt.datetime] = []


class CheckCopyTask(Struct, frozen=True, kw_only=True):
    """The input of Check Copy Status."""

    run: StepRun
    copy: SnapshotCopy
    progress: CopyProgress


class RestoreTask(Struct, frozen=True, kw_only=True):
    """The input of Restore Snapshot. `after` is the look that calls for it; None where there was none."""

    run: StepRun
    cluster: ClusterPlan
    limits: StackLimits
    after: RestoreProgress | None = None


class RestoreProgress(Struct, frozen=True, kw_only=True):
    """What Restore Snapshot did last, and what Check Restore Status makes of it.

    It is done twice: once the users can be set up, and with the users, once every instance exists. `all_up`: every
    instance was up already when the users could be set up. `took`: how long phases took; `announced`: those whose end
    an event of RDS has announced. The step that comes next has to record both. `event_at`: when RDS has last announced
    the end of what it works on; `failure_at`: when it has reported a failure, of which nothing is to be seen yet.
    `seen_at`: when the step that answers this was entered.
    `wait_key` and `wait_expires_at`: where the wait after it keeps its token, and until when.
    """

    answer: Answer
    action: str
    waiting_for: str
    started_at: dt.datetime
    action_at: dt.datetime
    wait_seconds: int
    all_up: bool = False
    took: dict[str, float] = {}
    announced: list[str] = []
    event_at: dt.datetime | None = None
    failure_at: dt.datetime | None = None
    seen_at: dt.datetime | None = None
    wait_key: str = ""
    wait_expires_at: str = "0"
    expected_end: list[dt.datetime] = []


class CheckRestoreTask(Struct, frozen=True, kw_only=True):
    """The input of Check Restore Status. `woken`: how the wait before it ended, which anybody may have written."""

    run: StepRun
    cluster: ClusterPlan
    progress: RestoreProgress
    woken: Any = None


class TransformTask(Struct, frozen=True, kw_only=True):
    """The input of Transform Data. Without a masking policy in the plan, the state machine passes it by."""

    run: StepRun
    masking: MaskingPlan


class TransformProgress(Struct, frozen=True, kw_only=True):
    """How far the masking is: `done` once every database has passed the gate.

    `findings` says what the masking has left as it was, and `passed_checks` names the policy's own checks.
    """

    answer: Answer
    waiting_for: str
    wait_seconds: int
    database: str = ""
    tables: int = 0
    tables_done: int = 0
    rows: int = 0
    findings: list[str] = []
    passed_checks: list[str] = []
    expected_end: list[dt.datetime] = []


class SetupUsersTask(Struct, frozen=True, kw_only=True):
    """The input of Setup DB Users. The stack names the roles; the application secret may name them differently."""

    run: StepRun
    application_role: str
    read_only_role: str
    after: RestoreProgress | None = None
    inherited_logins: InheritedLogins = "lock"
    quarantine: bool = False


class UsersReady(Struct, frozen=True, kw_only=True):
    """Who can log in to what.

    `warnings` says what these roles cannot reach or should not, and why; `unfinished` are those that say that a role or
    a database is not as the application needs it. `roles` are all of them with what they may do; `disabled` are the
    jobs and subscriptions that no longer run.
    """

    endpoint: str
    port: int
    databases: list[str]
    application_role: str
    read_only_role: str
    inherited_logins: list[str]
    warnings: list[str]
    roles: list[str] = []
    locked_logins: list[str] = []
    disabled: list[str] = []
    unfinished: list[str] = []
    # ARNs of the secrets that hold the logins.
    master_secret: str = ""
    application_secret: str = ""


class LookAtSourceTask(Struct, frozen=True, kw_only=True):
    """The input of Look at Source, which is there for a verification that compares with the source."""

    run: StepRun
    source: ComparedSource

    @property
    def operation(self) -> str:
        """Return the operation, for the logs."""
        return self.run.operation_id


class SourceSeen(Struct, frozen=True, kw_only=True):
    """The instances of the source cluster, as RDS lists them for its name and resource id; or `why` it is not there.

    `at` distinguishes one look from another: a step that is retried is given the one before it again. `is_unseen`: RDS
    has shown no cluster of that name, which one look does not prove.
    """

    at: dt.datetime
    members: list[str] = []
    why: str | None = None
    is_unseen: bool = False


class VerifyTask(Struct, frozen=True, kw_only=True):
    """The input of Verify Data. Without a verification in the plan, the state machine passes it by.

    What was found is set against the last good run of the same source under the same masking policy, and against the
    source itself where the plan says so. `source_seen` is what RDS said of that right before.
    """

    run: StepRun
    verification: VerificationPlan
    snapshot: FoundSnapshot
    limits: StackLimits
    masking: MaskingPlan | None = None
    source_seen: SourceSeen | None = None


class VerifyProgress(Struct, frozen=True, kw_only=True):
    """How far the verification is: `done` once every check has come to an end, or was cut off.

    `findings` says what did not hold where the plan says to report it; else the step fails with it.
    """

    answer: Answer
    waiting_for: str
    wait_seconds: int
    held: int = 0
    failed: int = 0
    not_run: int = 0
    findings: list[str] = []
    expected_end: list[dt.datetime] = []


class OpenTask(Struct, frozen=True, kw_only=True):
    """The input of Open Cluster."""

    run: StepRun
    cluster: ClusterPlan
    limits: StackLimits
    expires_after_hours: int | None = None


class Opening(Struct, frozen=True, kw_only=True):
    """How far the restored cluster's door is.

    It is `done` once it is open; `differences` says then where RDS reports other settings than were asked for.
    """

    answer: Answer
    waiting_for: str
    wait_seconds: int
    open_since: str | None
    differences: list[str] = []
    expected_end: list[dt.datetime] = []


class SwapErrand(Struct, frozen=True, kw_only=True):
    """What has to be done from within the VPC before the swap can continue, with one of its two clusters.

    `members` are the addresses of all its instances, by their names, and `port` is theirs. `host` is the address that
    the target's name leads to. `version_id` is the login's in the target's admin secret. `fingerprint` stands in the
    names of the instances that the operation has created. `number` identifies the errand among those of its swap.
    """

    kind: Literal["end-sessions", "look-at-certificates", "prove"]
    side: Side
    number: int
    members: dict[str, str]
    host: str
    port: int
    version_id: str | None
    fingerprint: str


class SwapTask(Struct, frozen=True, kw_only=True):
    """The input of Swap Cluster. `cluster` is the one that gets the name: restored, or kept where that is rolled back.

    `finishing`: the swap has to end, also after a failure: back where nothing is lost by it, else forward.
    """

    run: StepRun
    cluster: ClusterPlan
    replaces: ReplacedCluster
    limits: StackLimits
    rolls_back: RolledBack | None = None
    finishing: bool = False


class SwapProgress(Struct, frozen=True, kw_only=True):
    """How far the swap is. `within`: the errand is due, which Check Swap does from within the VPC.

    `end` says once it is done which of the two clusters has the target's name: with `forward`, the restored one.
    """

    answer: Literal["wait", "within", "done"]
    waiting_for: str
    wait_seconds: int
    errand: SwapErrand | None = None
    end: Literal["", "forward", "back"] = ""
    expected_end: list[dt.datetime] = []


class CheckSwapTask(Struct, frozen=True, kw_only=True):
    """The input of Check Swap."""

    run: StepRun
    errand: SwapErrand


class SwapFindings(Struct, frozen=True, kw_only=True):
    """What an errand has come to. It is recorded, so that Swap Cluster finds it: this is for the reader.

    `ended` and `in_doubt` count sessions; `left` says what still is to be done, and is empty where nothing is.
    """

    kind: str
    side: Side
    left: list[str] = []
    ended: int = 0
    in_doubt: int = 0


class DeleteTask(Struct, frozen=True, kw_only=True):
    """The source cluster whose deletion was asked for twice; while cleaning up, what the operation created itself.

    `ends_drill`: it was restored to be deleted again, and all that a drill proves has been proved.
    """

    run: StepRun
    limits: StackLimits
    deletion: SourceDeletion | None = None
    ends_drill: bool = False


class DeleteProgress(Struct, frozen=True, kw_only=True):
    """`skipped` says why nothing was deleted; None otherwise.

    `doing` is what RDS was asked to do last, and `doing_since` when; or that its own work is waited for before that, or
    a second look at a cluster that it does not show. `is_accepted`: RDS has accepted the deletion: nothing undoes that.
    """

    cluster_identifier: str
    region: str
    cluster_resource_id: str | None
    final_snapshot_identifier: str | None
    started_at: dt.datetime
    answer: Answer
    wait_seconds: int
    skipped: str | None = None
    doing: Literal["deleting", "switching-protection-off", "waiting-to-delete"] = "deleting"
    is_accepted: bool = False
    final_snapshot_arn: str | None = None
    # None where an earlier execution asked for it, or one of an older version.
    doing_since: dt.datetime | None = None
    # When RDS has announced its end, and when the step that answers this was entered.
    event_at: dt.datetime | None = None
    seen_at: dt.datetime | None = None
    # As in a restore.
    wait_key: str = ""
    wait_expires_at: str = "0"
    expected_end: list[dt.datetime] = []


class CheckDeleteTask(Struct, frozen=True, kw_only=True):
    """`deletion` as in DeleteTask, and `woken` as in a restore."""

    run: StepRun
    progress: DeleteProgress
    deletion: SourceDeletion | None = None
    woken: Any = None


class ArchiveTask(Struct, frozen=True, kw_only=True):
    """`copy` is None when the snapshot was restored directly. `begins_export`: nothing else is to be done yet."""

    run: StepRun
    archive_snapshot: Archive
    limits: StackLimits
    copy: SnapshotCopy | None = None
    export: SnapshotExport | None = None
    begins_export: bool = False


class Archived(Struct, frozen=True, kw_only=True):
    """What became of the copy. Only an export is waited for; `percent` is RDS's estimate of how far it is.

    Without a copy and an export the state machine passes Archive Snapshot by. `warnings`: what of the route was not
    taken back, each with the command that does it.
    """

    deleted_snapshot_arn: str | None = None
    why: str = "the snapshot was restored directly, there is no copy"
    warnings: list[str] = []
    answer: Answer = "done"
    percent: int = 100
    wait_seconds: int = 0
    exported_to: str | None = None
    expected_end: list[dt.datetime] = []


class ReportedEvent(Struct, frozen=True, kw_only=True, rename="pascal"):
    """Name the cluster or instance of which RDS reports something, with the event's id and when it happened."""

    source_identifier: str
    source_type: str
    date: dt.datetime
    event_id: str = field(name="EventID", default="")


class RdsEvent(Struct, frozen=True, kw_only=True):
    """An event of RDS as EventBridge delivers it (Aurora User Guide, "Creating a rule that triggers on an event")."""

    region: str
    detail: ReportedEvent


class WaitEnded(Struct, frozen=True, kw_only=True):
    """Say whether an event has ended a wait for what it is about."""

    source_identifier: str
    was_waiting: bool


class ExpiryProgress(Struct, frozen=True, kw_only=True):
    """What a sweep has done so far about clusters that expire; names of clusters, or sentences that begin with one.

    `failed` has those that could not be deleted, by resource id: this sweep leaves them alone.
    """

    answer: Answer = "wait"
    wait_seconds: int = 0
    waiting_for: list[str] = []
    warned: list[str] = []
    kept: list[str] = []
    deleted: list[str] = []
    failed: dict[str, str] = {}


class ExpiryTask(Struct, frozen=True, kw_only=True):
    """The input of Expire Clusters: what the looks before this one have done.

    `given` is the input of the execution, which anybody may have written (utils/expiry/asked.py).
    """

    execution: Execution
    progress: ExpiryProgress
    given: Any = None


class ExecutionError(Struct, frozen=True, kw_only=True, rename="pascal"):
    """What a Catch hands on: the error's name and its cause, for a Lambda function a JSON text."""

    error: str
    cause: str = ""


class NotificationTask(Struct, frozen=True, kw_only=True):
    """`planned` and `succeeded` carry the plan, `failed` the error and what became of the clean-up.

    `stopped`: the execution ended while a step may have been at work, which nobody waited for. `died`: it ended, as
    EventBridge says, which may be without any of its own states having reported that; `ended_as` is the status then.
    """

    execution: Execution
    outcome: Literal["planned", "succeeded", "failed"]
    request: Any = None
    plan: Plan | None = None
    users: UsersReady | None = None
    archive: Archived | None = None
    error: ExecutionError | None = None
    clean_up: Any = None
    stopped: bool = False
    died: bool = False
    ended_as: str = ""


class ExecutionDetail(Struct, frozen=True, kw_only=True, rename="camel"):
    """The execution as EventBridge describes it, in the event's own names."""

    execution_arn: str
    name: str
    status: str
    start_date: int
    redrive_count: int = 0
    input: str | None = None
    error: str | None = None
    cause: str | None = None


class ExecutionStatusChange(Struct, frozen=True, kw_only=True):
    """EventBridge's event of an execution that no Catch could see end: timed out, aborted, or broken in itself."""

    detail: ExecutionDetail
    time: dt.datetime


class Notified(Struct, frozen=True, kw_only=True):
    """`message_id` is None when the message had been sent before."""

    message_id: str | None
    subject: str
