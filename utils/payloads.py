"""What travels between the steps. No secret ever does.

Unknown fields are ignored here (unlike in a request), so that an execution survives an update of the stack.
Times are ISO 8601 in UTC; durations are seconds.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

from msgspec import Struct


class Run(Struct, frozen=True, kw_only=True):
    """Which operation a step belongs to, and what time it is for the state machine.

    `now` is when the state was entered (`$$.State.EnteredTime`): a step that is tried again sees the same time.
    `cleaning_up` marks the steps after a failure: they take away what the operation made and leave its state alone.
    """

    operation_id: str
    execution_id: str
    target_cluster_id: str
    now: dt.datetime
    cleaning_up: bool = False


class Execution(Struct, frozen=True, kw_only=True):
    """All that is known of an execution before its request has been read."""

    execution_id: str
    execution_name: str
    started_at: dt.datetime
    now: dt.datetime


class FoundSnapshot(Struct, frozen=True, kw_only=True):
    """The snapshot that the request means, as RDS describes it."""

    arn: str
    identifier: str
    cluster_identifier: str
    created_at: dt.datetime
    age_hours: float
    engine_version: str
    encryption: Literal["none", "sse-rds", "sse-kms"]
    kms_key_id: str | None
    master_username: str
    port: int
    storage_type: str
    allocated_gib: int
    why: str


class SnapshotCopy(Struct, frozen=True, kw_only=True):
    """A copy to make in the target region."""

    source_arn: str
    source_region: str
    identifier: str
    arn: str
    kms_key_id: str | None
    tags: dict[str, str]


class ClusterPlan(Struct, frozen=True, kw_only=True):
    """The cluster to create: every setting explicit, so that nothing falls back to RDS's defaults."""

    identifier: str
    snapshot_arn: str
    engine_version: str
    port: int
    db_subnet_group_name: str
    vpc_security_group_ids: list[str]
    db_cluster_parameter_group_name: str
    db_parameter_group_name: str
    kms_key_id: str | None
    storage_type: str
    db_instance_class: str
    instance_count: int
    serverless_v2_min_capacity: float | None
    serverless_v2_max_capacity: float | None
    deletion_protection: bool
    backup_retention_days: int
    iam_database_authentication: bool
    tags: dict[str, str]


class SourceDeletion(Struct, frozen=True, kw_only=True):
    """The source cluster, by its name and by the id that no other cluster will ever have."""

    cluster_identifier: str
    cluster_resource_id: str
    region: str
    final_snapshot_identifier: str | None


class Plan(Struct, frozen=True, kw_only=True):
    """Everything this operation is going to do, decided before its first side effect."""

    operation_id: str
    target_cluster_id: str
    snapshot: FoundSnapshot
    copy_needed: bool
    copy: SnapshotCopy | None
    cluster: ClusterPlan
    delete_source: bool
    source_deletion: SourceDeletion | None
    archive_snapshot: Literal["delete", "keep"]
    on_failure: Literal["clean_up", "keep"]
    dry_run: bool


class SnapshotCheckTask(Struct, frozen=True, kw_only=True):
    run: Execution
    request: Any


class CopyTask(Struct, frozen=True, kw_only=True):
    run: Run
    copy: SnapshotCopy


class CopyProgress(Struct, frozen=True, kw_only=True):
    """How far the copy is. `wait_seconds` is how long to wait before asking again."""

    started_at: dt.datetime
    ready: bool
    percent: int
    wait_seconds: int


class CheckCopyTask(Struct, frozen=True, kw_only=True):
    run: Run
    copy: SnapshotCopy
    progress: CopyProgress


class RestoreTask(Struct, frozen=True, kw_only=True):
    run: Run
    cluster: ClusterPlan


class RestoreProgress(Struct, frozen=True, kw_only=True):
    """What Restore Snapshot did last, and what Check Restore Status makes of it.

    `answer`: `advance` when the next action is due, `wait` while Aurora works, `done` when everything is settled.
    """

    answer: Literal["advance", "wait", "done"]
    action: str
    waiting_for: str
    started_at: dt.datetime
    action_at: dt.datetime
    settled_checks: int
    wait_seconds: int


class CheckRestoreTask(Struct, frozen=True, kw_only=True):
    run: Run
    cluster: ClusterPlan
    progress: RestoreProgress


class SetupUsersTask(Struct, frozen=True, kw_only=True):
    run: Run


class UsersReady(Struct, frozen=True, kw_only=True):
    """Who can log in to what. `warnings` says what these roles can't reach or shouldn't, and why."""

    endpoint: str
    port: int
    databases: list[str]
    application_role: str
    read_only_role: str
    inherited_logins: list[str]
    warnings: list[str]


class DeleteTask(Struct, frozen=True, kw_only=True):
    """The source cluster that was asked for twice; while cleaning up, whatever the failed operation made itself."""

    run: Run
    deletion: SourceDeletion | None = None


class DeleteProgress(Struct, frozen=True, kw_only=True):
    """`skipped` says why nothing was deleted; None otherwise."""

    cluster_identifier: str
    region: str
    cluster_resource_id: str | None
    final_snapshot_identifier: str | None
    started_at: dt.datetime
    ready: bool
    wait_seconds: int
    skipped: str | None = None


class CheckDeleteTask(Struct, frozen=True, kw_only=True):
    run: Run
    progress: DeleteProgress


class ArchiveTask(Struct, frozen=True, kw_only=True):
    """`copy` is None when the snapshot was restored directly."""

    run: Run
    archive_snapshot: Literal["delete", "keep"]
    copy: SnapshotCopy | None = None


class Archived(Struct, frozen=True, kw_only=True):
    deleted_snapshot_arn: str | None
    why: str


class ExecutionError(Struct, frozen=True, kw_only=True, rename="pascal"):
    """What a Catch hands on: the error's name and its cause, for a Lambda function a JSON text."""

    error: str
    cause: str = ""


class NotificationTask(Struct, frozen=True, kw_only=True):
    """`planned` and `succeeded` carry the plan, `failed` the error and what became of the clean-up."""

    run: Execution
    outcome: Literal["planned", "succeeded", "failed"]
    request: Any = None
    plan: Plan | None = None
    users: UsersReady | None = None
    archive: Archived | None = None
    error: ExecutionError | None = None
    clean_up: Any = None


class ExecutionDetail(Struct, frozen=True, kw_only=True, rename="camel"):
    execution_arn: str
    name: str
    status: str
    start_date: int
    input: str | None = None
    error: str | None = None
    cause: str | None = None


class ExecutionStatusChange(Struct, frozen=True, kw_only=True):
    """EventBridge's word on an execution that no Catch could see end: timed out, aborted, or broken in itself."""

    detail: ExecutionDetail
    time: dt.datetime


class Notified(Struct, frozen=True, kw_only=True):
    """`message_id` is None when people had been told before."""

    message_id: str | None
    subject: str
