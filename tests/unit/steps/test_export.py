"""archive_snapshot: export. Looked at before anything is made, begun once, waited for, and never taken for a backup."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from tests.unit.fakes.groups import FakeKeys
from tests.unit.fakes.rds import FakeRds
from tests.unit.fakes.service import Refusal
from tests.unit.support import (
    ACCOUNT,
    EXECUTION,
    KEY_ID,
    LIMITS,
    NOW,
    OPERATION,
    OWN_TAGS,
    REGION,
    TARGET,
    a_copy,
    a_plan,
    a_record,
    a_run,
    an_execution,
    calling,
    some_instances,
)
from utils.aurora_utils import Aurora
from utils.aurora_utils.exports import renewed
from utils.aurora_utils.source_account import Source
from utils.aws import client
from utils.contracts.payloads import ArchiveTask
from utils.contracts.plan import SnapshotExport
from utils.errors import RequestRefused, StepFailed, TemporaryFailure
from utils.planning.restore import plan_restore
from utils.request.reading import read_request
from utils.state.operation import OperationState
from utils.state.values import iso

archive = calling("archive-snapshot")
BUCKET, ROLE = "exports", f"arn:aws:iam::{ACCOUNT}:role/export"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{KEY_ID}"
COPY = a_copy()
EXPORT = SnapshotExport(
    identifier="prod-orders-export-0123456789ab",
    source_arn=COPY.arn,
    bucket=BUCKET,
    prefix="aurora-restore",
    role_arn=ROLE,
    kms_key_id=KEY,
)
DEFAULTS = {
    "source_cluster_id": "prod-orders",
    "target_cluster_id": TARGET,
    "db_subnet_group_name": "databases",
    "vpc_security_group_ids": "sg-0123456789abcdef0",
    "db_instance_class": "db.r6g.large",
}


# Before anything is made


@pytest.fixture
def configured(surroundings: None, rds: FakeRds, keys: FakeKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bucket, role and key of the stack, and a snapshot."""
    for name, value in (("BUCKET", BUCKET), ("ROLE_ARN", ROLE), ("KMS_KEY_ID", KEY)):
        monkeypatch.setenv(f"EXPORT_{name}", value)
    rds.add_snapshot("tuesday")
    client("s3", REGION).create_bucket(Bucket=BUCKET)
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "export.rds.amazonaws.com"}}]}
    client("iam").create_role(RoleName="export", AssumeRolePolicyDocument=json.dumps(trust))


def planned() -> SnapshotExport | None:
    request = read_request({"archive_snapshot": "export"}, DEFAULTS)
    return plan_restore(request, OPERATION, an_execution(), Source(ACCOUNT, REGION), Aurora(REGION), LIMITS).export


def refusal() -> str:
    with pytest.raises(RequestRefused) as refused:
        planned()
    return str(refused.value)


@pytest.mark.usefixtures("configured")
def test_the_snapshot_that_is_restored_directly_is_exported_itself() -> None:
    export = planned()
    assert export is not None
    assert export.source_arn == f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:tuesday"
    assert export.identifier.startswith("prod-orders-export-")
    assert len(export.identifier) <= 57
    assert (export.bucket, export.role_arn, export.kms_key_id) == (BUCKET, ROLE, KEY)


@pytest.mark.usefixtures("configured")
def test_a_stack_that_names_no_bucket_role_or_key_refuses_an_export(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORT_BUCKET", "")
    monkeypatch.delenv("EXPORT_KMS_KEY_ID")
    assert refusal() == (
        "archive_snapshot: 'export' needs the stack's ExportBucketName, ExportKmsKeyId. "
        "Set them and update the stack, or give delete or keep."
    )


@pytest.mark.usefixtures("configured")
def test_a_bucket_that_doesnt_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORT_BUCKET", "no-such-bucket")
    assert "'no-such-bucket', does not exist. Create it: aws s3 mb s3://no-such-bucket" in refusal()


@pytest.mark.usefixtures("configured")
def test_a_bucket_of_another_region_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    client("s3", REGION).create_bucket(
        Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    monkeypatch.setenv("EXPORT_BUCKET", "far-away")
    assert "is in eu-central-1; RDS exports only within us-east-1" in refusal()


@pytest.mark.usefixtures("configured")
def test_a_role_that_doesnt_exist_or_trusts_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORT_ROLE_ARN", f"{ROLE}-not")
    assert "ExportRoleArn, 'arn:aws:iam::123456789012:role/export-not', does not exist" in refusal()
    monkeypatch.setenv("EXPORT_ROLE_ARN", ROLE)
    allowed = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [allowed]}
    client("iam").update_assume_role_policy(RoleName="export", PolicyDocument=json.dumps(trust))
    assert "does not allow export.rds.amazonaws.com to assume it" in refusal()


@pytest.mark.usefixtures("configured")
def test_an_export_of_its_name_refuses_the_operations_id(rds: FakeRds) -> None:
    export = planned()
    assert export is not None
    rds.exports[export.identifier] = {"ExportTaskIdentifier": export.identifier, "Status": "COMPLETE"}
    assert f"operation_id: it was used before: its export '{export.identifier}' exists" in refusal()


# Afterwards


@pytest.fixture
def restored(account: None, rds: FakeRds) -> OperationState:
    state = OperationState(OPERATION, EXECUTION, NOW)
    state.open("snapshot-check", {}, a_plan(copy=COPY, copy_needed=True, export=EXPORT), "running")
    for each in some_instances(2):
        rds.add_instance(each.identifier, TARGET, TagList=OWN_TAGS)
    cluster = rds.add_cluster(TARGET, TagList=OWN_TAGS)
    rds.add_snapshot(COPY.identifier, TagList=OWN_TAGS)
    state.remember(
        cluster_resource_id=cluster["DbClusterResourceId"],
        login_proven_at="2026-03-10T03:40:00.000Z",
        door_open_at="2026-03-10T03:50:00.000Z",
    )
    return state


def exporting(hours: float = 0, **changes: Any) -> ArchiveTask:
    known: dict[str, Any] = {
        "run": a_run(now=NOW + dt.timedelta(hours=hours)),
        "archive_snapshot": "export",
        "limits": LIMITS,
        "copy": COPY,
        "export": EXPORT,
    }
    return ArchiveTask(**known | changes)


def test_an_export_is_begun_once_and_waited_for(rds: FakeRds, restored: OperationState) -> None:
    answer = archive(exporting())
    assert (answer["answer"], answer["percent"]) == ("wait", 0)
    rds.exports[EXPORT.identifier].update(Status="IN_PROGRESS", PercentProgress=60)
    answer = archive(exporting(hours=0.5))
    assert (answer["answer"], answer["percent"]) == ("wait", 60)
    assert 30 <= answer["wait_seconds"] <= 900
    began, ended = NOW + dt.timedelta(minutes=1), NOW + dt.timedelta(minutes=41)
    rds.exports[EXPORT.identifier].update(
        Status="COMPLETE", PercentProgress=100, TaskStartTime=began, TaskEndTime=ended
    )
    answer = archive(exporting(hours=1))
    assert answer["answer"] == "done"
    assert (restored.recall() or a_record()).took == {"export": 2400.0}, "as long as RDS says, not as it was waited for"
    assert answer["exported_to"] == f"s3://exports/aurora-restore/{EXPORT.identifier}/"
    assert "is kept, since no cluster can be restored from an export" in answer["why"]
    assert rds.changes() == ["StartExportTask"]
    assert COPY.identifier in rds.snapshots


@pytest.mark.parametrize("status", ["FAILED", "CANCELED"])
def test_an_export_that_failed_fails_the_run_with_its_cause(
    rds: FakeRds, restored: OperationState, status: str
) -> None:
    archive(exporting())
    rds.exports[EXPORT.identifier].update(Status=status, FailureCause="The bucket is full.")
    with pytest.raises(StepFailed, match=rf"is {status.lower()}: The bucket is full\..*is kept"):
        archive(exporting(hours=1))
    assert COPY.identifier in rds.snapshots


def test_an_export_past_its_deadline_fails_the_run(rds: FakeRds, restored: OperationState) -> None:
    archive(exporting())
    with pytest.raises(StepFailed, match=r"After 12 hours: export .* is starting at 0 %"):
        archive(exporting(hours=12))


def test_an_export_has_its_time_from_its_own_beginning(rds: FakeRds, restored: OperationState) -> None:
    """RDS refused it beside the restore, which took as long as an export may."""
    rds.refuse("StartExportTask", "InvalidExportSourceState", "five at a time", times=2)
    archive(exporting(begins_export=True))
    restored.remember(door_open_at=iso(NOW + dt.timedelta(hours=13)))
    assert archive(exporting(hours=13.5))["answer"] == "wait", "refused once more, half an hour after the restore"
    rds.clock.pass_seconds(14 * 3600)
    assert archive(exporting(hours=14))["answer"] == "wait"
    assert archive(exporting(hours=25.9))["answer"] == "wait"
    with pytest.raises(StepFailed, match="After 12 hours"):
        archive(exporting(hours=26))


@pytest.mark.parametrize("code", ["ExportTaskLimitReachedFault", "InvalidExportSourceState"])
def test_room_for_an_export_is_waited_for(rds: FakeRds, restored: OperationState, code: str) -> None:
    rds.refuse("StartExportTask", code, "five at a time")
    answer = archive(exporting())
    assert answer["answer"] == "wait"
    assert "five at a time" in answer["why"]
    archive(exporting(hours=0.1))
    assert EXPORT.identifier in rds.exports


def test_rule_5_an_export_whose_answer_was_lost_is_one(rds: FakeRds, restored: OperationState) -> None:
    rds.lose_answer("StartExportTask")
    with pytest.raises(TemporaryFailure):
        archive(exporting())
    assert archive(exporting())["answer"] == "wait"
    assert rds.changes() == ["StartExportTask"]


def test_rule_5_an_export_of_its_name_that_is_of_another_snapshot_isnt_taken_for_ours(
    rds: FakeRds, restored: OperationState
) -> None:
    rds.exports[EXPORT.identifier] = {
        "ExportTaskIdentifier": EXPORT.identifier,
        "SourceArn": "arn:aws:rds:us-east-1:123456789012:cluster-snapshot:another",
        "Status": "COMPLETE",
    }
    with pytest.raises(StepFailed, match="is not of arn"):
        archive(exporting())


def test_nothing_is_exported_before_the_restored_cluster_has_proved_itself(
    rds: FakeRds, restored: OperationState
) -> None:
    restored.remember(login_proven_at=None)
    with pytest.raises(StepFailed, match="No login to staging-orders has worked yet"):
        archive(exporting())
    assert rds.changes() == []


def test_a_clean_up_exports_nothing(rds: FakeRds, restored: OperationState) -> None:
    archive(exporting(run=a_run(cleaning_up=True)))
    assert rds.changes() == ["DeleteDBClusterSnapshot"]


def test_an_export_begins_before_there_is_a_cluster_and_is_followed_at_the_end(
    rds: FakeRds, restored: OperationState
) -> None:
    restored.remember(login_proven_at=None)
    begun = archive(exporting(begins_export=True))
    assert (begun["answer"], rds.changes()) == ("wait", ["StartExportTask"])
    restored.remember(login_proven_at="2026-03-10T03:40:00.000Z")
    rds.exports[EXPORT.identifier].update(Status="COMPLETE", PercentProgress=100)
    assert archive(exporting(hours=1))["answer"] == "done"
    assert rds.changes() == ["StartExportTask"]
    rds.exports[EXPORT.identifier].update(Status="IN_PROGRESS")
    with pytest.raises(StepFailed, match="After 12 hours"):
        archive(exporting(hours=12))


@pytest.mark.parametrize(
    ("status", "source_arn", "cancelled", "is_said"),
    [
        ("STARTING", EXPORT.source_arn, ["CancelExportTask"], True),
        ("IN_PROGRESS", EXPORT.source_arn, ["CancelExportTask"], True),
        ("COMPLETE", EXPORT.source_arn, [], False),
        # The answer to an earlier call was lost.
        ("CANCELING", EXPORT.source_arn, [], True),
        ("CANCELED", EXPORT.source_arn, [], True),
        ("IN_PROGRESS", f"{EXPORT.source_arn}-of-another", [], False),
    ],
)
def test_the_export_of_a_restore_that_failed_is_cancelled_and_no_other(
    rds: FakeRds, restored: OperationState, status: str, source_arn: str, cancelled: list[str], is_said: bool
) -> None:
    rds.exports[EXPORT.identifier] = {
        "ExportTaskIdentifier": EXPORT.identifier,
        "SourceArn": source_arn,
        "Status": status,
    }
    archive(exporting(run=a_run(cleaning_up=True)))
    assert rds.changes() == [*cancelled, "DeleteDBClusterSnapshot"]
    assert ((restored.recall() or a_record()).export_cancelled_at is not None) is is_said


def test_an_export_that_ends_while_it_is_being_cancelled_is_left_as_it_is(
    rds: FakeRds, restored: OperationState
) -> None:
    archive(exporting(begins_export=True))
    rds.refuse("CancelExportTask", "InvalidExportTaskStateFault", "it is complete")
    assert archive(exporting(run=a_run(cleaning_up=True)))["answer"] == "done"
    assert (restored.recall() or a_record()).export_cancelled_at is None, "it is complete"


def test_an_export_whose_cancellation_the_client_has_repeated_is_known_to_be_cancelled(
    rds: FakeRds, restored: OperationState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call's answer was lost, and the client's own repetition is refused: it is being cancelled."""
    cancel = rds._cancel_export_task

    def repeated(given: dict[str, Any]) -> None:
        cancel(given)
        raise Refusal("InvalidExportTaskStateFault")

    archive(exporting(begins_export=True))
    monkeypatch.setattr(rds, "_cancel_export_task", repeated)
    archive(exporting(run=a_run(cleaning_up=True)))
    assert (restored.recall() or a_record()).export_cancelled_at is not None


def test_a_resumed_operation_exports_under_a_new_name_once_the_old_one_has_failed(rds: FakeRds, account: None) -> None:
    assert renewed(EXPORT, REGION) == EXPORT
    rds.exports[EXPORT.identifier] = {"ExportTaskIdentifier": EXPORT.identifier, "Status": "IN_PROGRESS"}
    assert renewed(EXPORT, REGION) == EXPORT
    rds.exports[EXPORT.identifier]["Status"] = "FAILED"
    assert renewed(EXPORT, REGION).identifier == f"{EXPORT.identifier}-2"
