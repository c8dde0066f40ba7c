"""Whatever goes wrong, a run ends red, says who acts, and leaves nothing that it was to take away."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from scripts.local_run.production import CLUSTER, Production
from scripts.local_run.stage import OTHER_REGION
from tests.integration.pipeline.support import Pipeline


def test_a_failed_copy_stops_the_restore_and_is_taken_away(
    pipeline: Pipeline, distant_production: Production, key: str, target: str
) -> None:
    pipeline.aws.faults.add(lifecycle="copy-snapshot", status="failed", at_percent=40)
    run = pipeline.run({"target_cluster_id": target, "source_region": OTHER_REGION, "kms_key_id": key})
    assert run.status == "FAILED"
    assert run.followed.error == "StepFailed"
    assert "failed and won't become available" in run.reason
    assert "Restore Snapshot" not in run.states()
    assert pipeline.cluster(target) is None
    assert not any("-copy-" in name for name in pipeline.snapshots())
    (message,) = run.messages
    assert "at check-copy-status" in message["subject"]


def test_a_copy_that_rds_has_no_room_for_yet_is_waited_for(
    pipeline: Pipeline, distant_production: Production, key: str, target: str
) -> None:
    """RDS has one code for too many copies at a time and for too many snapshots: only the account's quotas can tell."""
    pipeline.aws.faults.add(operation="rds:CopyDBClusterSnapshot", code="SnapshotQuotaExceeded", times=2)
    run = pipeline.run({"target_cluster_id": target, "source_region": OTHER_REGION, "kms_key_id": key})
    assert run.status == "SUCCEEDED", run.reason
    assert run.changes.count("CopyDBClusterSnapshot") == 3


@pytest.mark.parametrize(
    ("lifecycle", "status"),
    [
        ("restore-cluster", "incompatible-restore"),
        ("restore-cluster", "failed"),
        ("create-instance", "incompatible-network"),
    ],
)
def test_what_can_never_become_usable_fails_the_run_and_is_cleaned_up(
    lifecycle: str, status: str, pipeline: Pipeline, target: str
) -> None:
    pipeline.aws.faults.add(lifecycle=lifecycle, status=status)
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "FAILED"
    assert status in run.reason
    assert "aws rds describe-events" in run.reason
    assert pipeline.cluster(target) is None
    assert pipeline.cluster(CLUSTER) is not None
    (message,) = run.messages
    assert "at check-restore-status" in message["subject"]
    assert "no cluster, no copied snapshot" in message["message"]


def test_what_was_made_is_kept_when_that_is_asked_for(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(lifecycle="create-instance", status="incompatible-network")
    run = pipeline.run({"target_cluster_id": target, "on_failure": "keep"})
    assert run.status == "FAILED"
    assert pipeline.cluster(target) is not None
    (message,) = run.messages
    assert f"Cluster {target}" in message["message"]
    assert f"aws rds delete-db-cluster --db-cluster-identifier {target}" in message["message"]


def test_a_password_reset_that_never_happens_ends_at_the_login(pipeline: Pipeline, target: str) -> None:
    """RDS says that everything is settled; only the login can tell."""
    pipeline.aws.faults.add(lifecycle="reset-master-password")
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "FAILED"
    assert pipeline.cluster(target) is None


def test_a_secret_that_is_no_use_fails_with_its_remedy(pipeline: Pipeline, target: str) -> None:
    secrets = pipeline.aws.client("secretsmanager")
    arn = pipeline.place.stack.outputs["AppSecretArn"]
    before = secrets.get_secret_value(SecretId=arn)["SecretString"]
    secrets.put_secret_value(SecretId=arn, SecretString='{"app_username": ["x"]}')
    try:
        run = pipeline.run({"target_cluster_id": target})
    finally:
        secrets.put_secret_value(SecretId=arn, SecretString=before)
    assert run.status == "FAILED"
    assert "app_username" in run.reason
    assert pipeline.cluster(target) is None


def test_a_topic_that_refuses_doesnt_hide_the_first_error(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(lifecycle="restore-cluster", status="failed")
    pipeline.aws.faults.add(operation="sns:Publish", code="InvalidParameter", times=3)
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "FAILED"
    assert run.followed.error == "StepFailed"
    assert "won't become available" in run.reason
    assert pipeline.state(f"lock#{target}") is None


def test_a_clean_up_that_fails_doesnt_hide_the_first_error(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(lifecycle="create-instance", status="incompatible-network")
    pipeline.aws.faults.add(operation="rds:DeleteDBCluster", code="InvalidParameterValue", message="no", times=3)
    run = pipeline.run({"target_cluster_id": target})
    assert "incompatible-network" in run.reason
    (message,) = run.messages
    assert "Cleaning up failed as well" in message["message"]
    assert "at check-restore-status" in message["subject"]


def test_a_run_that_is_stopped_by_hand_is_reported_and_gives_back_its_lock(pipeline: Pipeline, target: str) -> None:
    pipeline.place.received_messages()
    arn = pipeline.start({"target_cluster_id": target, "on_failure": "keep"})
    _until(lambda: pipeline.cluster(target))
    pipeline.aws.client("stepfunctions").stop_execution(executionArn=arn, error="Changed", cause="my mind")
    run = pipeline.end(arn)
    assert run.status == "ABORTED"
    (message,) = run.messages
    assert f"FAILED: {target} at" in message["subject"]
    assert f"Cluster {target}" in message["message"]
    assert "my mind" in message["message"]
    assert "may still be finishing" in message["message"]
    assert pipeline.state(f"lock#{target}") is None
    state = pipeline.state(run.operation_id)
    assert state is not None
    assert state["status"]["S"] == "failed"


def test_throttling_is_waited_out(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(operation="rds:RestoreDBClusterFromSnapshot", code="Throttling", times=7)
    pipeline.aws.faults.add(operation="dynamodb:UpdateItem", code="ThrottlingException", times=4)
    pipeline.aws.faults.add(operation="lambda:Invoke", code="TooManyRequestsException", http_status=429, times=2)
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "SUCCEEDED", run.reason


def test_a_missing_permission_is_named_and_never_tried_again(pipeline: Pipeline, target: str) -> None:
    iam, role = pipeline.aws.client("iam"), pipeline.place.stack.resources["RestoreSnapshotRole"]
    document = iam.get_role_policy(RoleName=role, PolicyName="restore-snapshot")["PolicyDocument"]
    without = {**document, "Statement": [each for each in document["Statement"] if each["Sid"] != "RestoreTagged"]}
    iam.put_role_policy(RoleName=role, PolicyName="restore-snapshot", PolicyDocument=json.dumps(without))
    try:
        run = pipeline.run({"target_cluster_id": target})
    finally:
        iam.put_role_policy(RoleName=role, PolicyName="restore-snapshot", PolicyDocument=json.dumps(document))
    assert run.followed.error == "StepFailed"
    assert "RestoreDBClusterFromSnapshot is not allowed" in run.reason
    assert "rds:RestoreDBClusterFromSnapshot" in run.reason
    assert run.states().count("Restore Snapshot") == 1


def _until(arrived: Any) -> None:
    for _ in range(200):
        if arrived():
            return
        time.sleep(0.05)
    raise AssertionError("it never happened")
