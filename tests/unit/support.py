"""What the unit tests build on: one operation, its plan and record, its handlers, and the world that they meet."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import pathlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ReadTimeoutError
from msgspec.structs import replace

from utils import environment
from utils.aurora_utils.resources import OPERATION_TAG
from utils.contracts.payloads import Archived, Execution, StepRun, UsersReady
from utils.contracts.plan import (
    ClusterPlan,
    FoundSnapshot,
    Plan,
    PlannedInstance,
    SourceDeletion,
)
from utils.contracts.route import RouteStep, SnapshotCopy
from utils.contracts.stack_limits import StackLimits
from utils.names import instance_name
from utils.state.operation import OperationRecord

ROOT = pathlib.Path(__file__).resolve().parents[2]
ACCOUNT = "123456789012"
REGION = "us-east-1"
SOURCE_REGION = "us-west-2"
OWNER = "999999999999"
SOURCE_ROLE, EXTERNAL_ID = "aurora-restore-source", "an-external-id"
NOW = dt.datetime(2026, 3, 10, 3, 0, tzinfo=dt.UTC)
OPERATION = "nightly-2026-03-10"
MACHINE = "aurora-restore"
EXECUTION = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{MACHINE}:{OPERATION}"
OTHER_EXECUTION = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{MACHINE}:somebody-elses"
TARGET = "staging-orders"
SOURCE = "prod-orders"
OWN_TAGS = [{"Key": OPERATION_TAG, "Value": OPERATION}]

KEY_ID = "0d1f3c5e-0000-4000-8000-000000000000"
SECURITY_GROUP = "sg-0123456789abcdef0"
# The stack's door.
DOOR = "sg-0d00d00d00d00d000"

STATE_TABLE, AUDIT_TABLE = "AuroraRestoreState", "AuroraRestoreAudit"
ADMIN_SECRET, APP_SECRET = "aurora-restore/admin", "aurora-restore/application"


def as_lines(defaults: dict[str, str]) -> str:
    """Return defaults as the function's environment has them."""
    return "".join(f"{name}={value}\n" for name, value in defaults.items())


# What the stack says of fields that a request leaves out.
DEFAULTS = {
    "target_cluster_id": TARGET,
    "source_cluster_id": SOURCE,
    "source_region": REGION,
    "db_subnet_group_name": "databases",
    "vpc_security_group_ids": SECURITY_GROUP,
    "db_instance_class": "db.r6g.large",
}
STACK = {
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "STATE_TABLE": STATE_TABLE,
    "AUDIT_TABLE": AUDIT_TABLE,
    "POLL_SECONDS": "60",
    "DELETABLE_CLUSTER_PATTERN": "*",
    "DELETABLE_INSTANCE_PATTERN": "*",
    "COPY_DEADLINE_HOURS": "60",
    "RESTORE_DEADLINE_HOURS": "12",
    "DELETE_DEADLINE_HOURS": "12",
    "EXPORT_DEADLINE_HOURS": "12",
    "NAME_PREFIX": "aurora-restore",
    "ADMIN_SECRET_ARN": ADMIN_SECRET,
    "MASTER_SECRET_KEY": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{KEY_ID}",
    "APP_SECRET_ARN": APP_SECRET,
    "RDS_CA_BUNDLE": "/opt/rds-ca.pem",
    "DOOR_SECURITY_GROUP_ID": DOOR,
    "REQUEST_DEFAULTS": as_lines(DEFAULTS),
}


# Wide where a test isn't about them; what they refuse is in test_stack_limits.py and test_limits_asked_again.py.
LIMITS = StackLimits(
    restorable_clusters="*",
    restorable_snapshots="*",
    source_region=REGION,
    restorable_regions="*",
    targets="*",
    security_groups=SECURITY_GROUP,
    allowed_security_groups="*",
    subnet_group="databases",
    allowed_subnet_groups="*",
    kms_key="",
    insights_kms_key="",
    source_kms_key="",
    allowed_kms_keys="*",
    cost_tags="",
    allowed_tag_keys="*",
    master_login="rds_managed",
    deletion_without_final_snapshot="true",
    masking_policies="",
    require_masking="false",
    deletion_of_replaced="true",
)


def set_defaults(monkeypatch: pytest.MonkeyPatch, **changed: str) -> None:
    """Give the stack other values for fields that a request leaves out."""
    monkeypatch.setenv("REQUEST_DEFAULTS", as_lines(environment.request_defaults() | changed))


class Context:
    """What Lambda hands to a handler beside the event."""

    aws_request_id = "5f0c3a52-9f4c-4f0b-8f1e-1f6f7d1c2b3a"


def handler(function: str) -> ModuleType:
    """The module of a deployed function. Its folder is named as deployed, which no import statement can spell."""
    path = ROOT / "lambda_functions" / function / "lambda_function.py"
    spec = importlib.util.spec_from_file_location(function.replace("-", "_"), path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def calling(function: str) -> Callable[[object], Any]:
    """The handler of a function, called as the state machine does: JSON in, JSON out.

    The state machine hands the stack's limits to those that ask for them; the others ignore them.
    """
    handle = handler(f"aurora-restore-{function}").lambda_handler

    def call(event: object) -> Any:
        given = json.loads(msgspec.json.encode(event))
        with_limits = {"limits": msgspec.to_builtins(LIMITS), **given} if isinstance(given, dict) else given
        return json.loads(json.dumps(handle(with_limits, Context())))

    return call


def a_run(now: dt.datetime = NOW, **changes: Any) -> StepRun:
    return replace(
        StepRun(operation_id=OPERATION, execution_id=EXECUTION, target_cluster_id=TARGET, now=now), **changes
    )


def an_execution(now: dt.datetime = NOW, **changes: Any) -> Execution:
    return replace(Execution(execution_id=EXECUTION, execution_name=OPERATION, started_at=NOW, now=now), **changes)


def a_snapshot_found(**changes: Any) -> FoundSnapshot:
    return replace(
        FoundSnapshot(
            arn=f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:prod-orders-tuesday",
            identifier="prod-orders-tuesday",
            cluster_identifier=SOURCE,
            created_at=NOW - dt.timedelta(hours=3),
            age_hours=3.0,
            engine_version="16.4",
            encryption="none",
            kms_key_id=None,
            master_username="postgres",
            port=5432,
            storage_type="aurora",
            allocated_gib=100,
            why="named in the request",
        ),
        **changes,
    )


def a_copy(name: str = "prod-orders-copy-0123456789ab", kms_key_id: str | None = None, **changes: Any) -> SnapshotCopy:
    """Within the stack's account, out of another region."""
    step = RouteStep(
        name="copy",
        snapshot_arn=f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:{name}",
        source_arn=f"arn:aws:rds:{SOURCE_REGION}:{ACCOUNT}:cluster-snapshot:prod-orders-tuesday",
        kms_key_id=kms_key_id,
    )
    return replace(SnapshotCopy(steps=[step], tags={OPERATION_TAG: OPERATION}), **changes)


def some_instances(count: int, instance_class: str = "db.r6g.large") -> list[PlannedInstance]:
    return [
        PlannedInstance(
            identifier=instance_name(TARGET, number, OPERATION),
            db_instance_class=instance_class,
            availability_zone=None,
            promotion_tier=1,
        )
        for number in range(1, count + 1)
    ]


def a_cluster_plan(**changes: Any) -> ClusterPlan:
    return replace(
        ClusterPlan(
            identifier=TARGET,
            snapshot_arn=f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:prod-orders-tuesday",
            engine_version="16.4",
            port=5432,
            db_subnet_group_name="databases",
            vpc_security_group_ids=[SECURITY_GROUP],
            door_security_group_id=DOOR,
            db_cluster_parameter_group_name="default.aurora-postgresql16",
            db_parameter_group_name="default.aurora-postgresql16",
            kms_key_id=None,
            data_key_id=None,
            storage_type="aurora",
            network_type="IPV4",
            enabled_cloudwatch_logs_exports=["postgresql"],
            instances=some_instances(2),
            serverless_v2_min_capacity=None,
            serverless_v2_max_capacity=None,
            serverless_v2_seconds_until_auto_pause=None,
            deletion_protection=False,
            backup_retention_days=1,
            preferred_backup_window=None,
            preferred_maintenance_window=None,
            auto_minor_version_upgrade=True,
            extended_support=False,
            iam_database_authentication=False,
            performance_insights_retention_days=7,
            database_insights_mode="standard",
            data_api=False,
            master_login="pipeline",
            master_secret_kms_key_id=None,
            tags={OPERATION_TAG: OPERATION},
        ),
        **changes,
    )


def a_deletion(resource_id: str = "cluster-PROD", **changes: Any) -> SourceDeletion:
    return replace(
        SourceDeletion(
            cluster_identifier=SOURCE,
            cluster_resource_id=resource_id,
            region=REGION,
            final_snapshot_identifier="prod-orders-final-0123456789ab",
            tags={OPERATION_TAG: OPERATION, "team": "orders"},
        ),
        **changes,
    )


def a_plan(**changes: Any) -> Plan:
    return replace(
        Plan(
            operation_id=OPERATION,
            target_cluster_id=TARGET,
            snapshot=a_snapshot_found(),
            copy_needed=False,
            copy=None,
            cluster=a_cluster_plan(),
            delete_source=False,
            source_deletion=None,
            archive_snapshot="delete",
            on_failure="clean_up",
            dry_run=False,
        ),
        **changes,
    )


def a_record(**changes: Any) -> OperationRecord:
    if "plan" in changes:
        changes["plan_read"] = changes.pop("plan")
    return replace(
        OperationRecord(
            operation_id=OPERATION,
            execution_id=EXECUTION,
            state="restore-snapshot",
            status="running",
            started_at="2026-03-10T03:00:00.000Z",
            last_updated="2026-03-10T03:00:00.000Z",
            step_times={"snapshot-check": "2026-03-10T03:00:00.000Z", "restore-snapshot": "2026-03-10T03:00:05.000Z"},
            plan_read={"target_cluster_id": TARGET},
            cluster_asked_at="2026-03-10T03:00:05.000Z",
        ),
        **changes,
    )


def some_users(**changes: Any) -> UsersReady:
    return replace(
        UsersReady(
            endpoint=f"{TARGET}.cluster-c0ffee.{REGION}.rds.amazonaws.com",
            port=5432,
            databases=["orders", "postgres"],
            application_role="orders_app",
            read_only_role="orders_report",
            inherited_logins=[],
            warnings=[],
        ),
        **changes,
    )


def nothing_archived() -> Archived:
    return Archived(deleted_snapshot_arn=None, why="the snapshot was restored directly, there is no copy")


@contextmanager
def out_of_sight(rds: Any, name: str) -> Iterator[None]:
    """Within the block RDS does not show this cluster, as one of its answers may for a moment."""
    hidden = rds.clusters.pop(name)
    try:
        yield
    finally:
        rds.clusters[name] = hidden


@contextmanager
def lost_answer(client: Any, service: str, operation: str) -> Iterator[None]:
    """Within the block the operation's first call takes effect, but the caller never hears of it."""
    lost: list[str] = []

    def cut(**_: Any) -> None:
        if not lost:
            lost.append(operation)
            raise ReadTimeoutError(endpoint_url=f"https://{service}.{REGION}.amazonaws.com/")

    event = f"after-call.{service}.{operation}"
    client.meta.events.register(event, cut)
    try:
        yield
    finally:
        client.meta.events.unregister(event, cut)
    assert lost, f"{operation} was never called"
