"""Whatever goes wrong, a run ends red, says who acts, and leaves nothing that it was to take away."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from scripts.local_run.production import CLUSTER, Production
from scripts.local_run.stage import OTHER_REGION
from tests.integration.pipeline.support import Pipeline
from tests.integration.tiers import one_and_the_rest


def test_a_failed_copy_stops_the_restore_and_is_taken_away(
    pipeline: Pipeline, distant_production: Production, key: str, target: str
) -> None:
    pipeline.aws.faults.add(lifecycle="copy-snapshot", status="failed", at_percent=40)
    run = pipeline.run({"target_cluster_id": target, "source_region": OTHER_REGION, "kms_key_id": key})
    assert run.status == "FAILED"
    assert run.followed.error == "StepFailed"
    assert "failed and will not become available" in run.reason
    assert "Restore Snapshot" not in run.states()
    assert pipeline.cluster(target) is None
    assert pipeline.copies_of(run.operation_id) == []
    (message,) = run.messages
    assert "at check-copy-status" in message["subject"]


@pytest.mark.full
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
    one_and_the_rest(
        [
            ("restore-cluster", "incompatible-restore"),
            ("restore-cluster", "failed"),
            ("create-instance", "incompatible-network"),
        ]
    ),
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
    assert "no cluster and no copied snapshot" in message["message"]


def test_scarce_capacity_leads_to_other_zones_and_classes(
    pipeline: Pipeline, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS's own words: "Please try the request again at a later time"."""
    monkeypatch.setattr(pipeline.aws.aurora, "accepts_instances_while_modifying", True)
    pipeline.aws.faults.add(operation="rds:CreateDBInstance", code="InsufficientDBInstanceCapacity", times=4)
    run = pipeline.run({"target_cluster_id": target, "alternative_instance_classes": ["db.r7g.large"]})
    assert run.status == "SUCCEEDED", run.reason
    assert run.changes.count("CreateDBInstance") == 5, "in no zone and each of three, then of the other class"
    (message,) = run.messages
    assert "db_instance_class: asked for db.r6g.large, RDS reports db.r7g.large" in message["message"]


@pytest.mark.full
def test_capacity_that_never_comes_keeps_what_exists_for_a_resume(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(operation="rds:CreateDBInstance", code="InsufficientDBInstanceCapacity", times=100_000)
    run = pipeline.run({"target_cluster_id": target})
    pipeline.aws.faults.clear()
    assert (run.status, run.followed.error) == ("FAILED", "CapacityShortage")
    assert "What exists is kept" in run.reason
    assert "Clean Up Cluster" not in run.states()
    assert pipeline.cluster(target) is not None
    resumed = pipeline.run({"operation_id": run.operation_id})
    assert resumed.status == "SUCCEEDED", resumed.reason
    assert "RestoreDBClusterFromSnapshot" not in resumed.changes


@pytest.mark.full
def test_the_planned_writer_leads_where_the_instances_differ(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(lifecycle="create-instance", identifier=f"{target}-*-1", status="available", at_percent=200)
    run = pipeline.run({"target_cluster_id": target, "instance_count": 2, "reader_instance_class": "db.t4g.medium"})
    assert run.status == "SUCCEEDED", run.reason
    # RDS may find the cluster busy at first.
    done = [call for call in run.calls if call.operation == "FailoverDBCluster" and call.error is None]
    assert len(done) == 1
    assert "Differs" not in run.messages[0]["message"]


@pytest.mark.full
def test_what_was_made_is_kept_when_that_is_asked_for(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(lifecycle="create-instance", status="incompatible-network")
    run = pipeline.run({"target_cluster_id": target, "on_failure": "keep"})
    assert run.status == "FAILED"
    assert pipeline.cluster(target) is not None
    (message,) = run.messages
    assert f"Cluster {target}" in message["message"]
    assert f"aws rds delete-db-cluster --db-cluster-identifier {target}" in message["message"]


@pytest.mark.full
def test_a_password_that_rds_lost_is_set_once_more(pipeline: Pipeline, target: str) -> None:
    """Nobody has seen RDS call one applied that isn't; one that didn't come into force has been (aws/aws-cdk#20434)."""
    pipeline.aws.faults.add(lifecycle="reset-master-password", status="lost")
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "SUCCEEDED", run.reason
    assert run.changes.count("ModifyDBCluster") == 3  # the door opens by the last one
    assert run.states().count("Setup DB Users") == 2


@pytest.mark.full
def test_a_password_reset_that_never_happens_ends_at_the_login(pipeline: Pipeline, target: str) -> None:
    """RDS says that everything is settled; only the login can tell."""
    pipeline.aws.faults.add(lifecycle="reset-master-password")
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "FAILED"
    assert pipeline.cluster(target) is None


@pytest.mark.full
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


@pytest.mark.full
def test_a_topic_that_refuses_doesnt_hide_the_first_error(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(lifecycle="restore-cluster", status="failed")
    pipeline.aws.faults.add(operation="sns:Publish", code="InvalidParameter", times=3)
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "FAILED"
    assert run.followed.error == "StepFailed"
    assert "will not become available" in run.reason
    assert pipeline.holder(target) is None


@pytest.mark.full
def test_a_clean_up_that_fails_doesnt_hide_the_first_error(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(lifecycle="create-instance", status="incompatible-network")
    pipeline.aws.faults.add(operation="rds:DeleteDBCluster", code="InvalidParameterValue", message="no", times=3)
    run = pipeline.run({"target_cluster_id": target})
    assert "incompatible-network" in run.reason
    (message,) = run.messages
    assert "The clean-up failed as well" in message["message"]
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
    assert pipeline.holder(target) is None
    state = pipeline.state(run.operation_id)
    assert state is not None
    assert state["status"]["S"] == "failed"


@pytest.mark.full
def test_throttling_is_waited_out_and_costs_nobody_the_restored_cluster(pipeline: Pipeline, target: str) -> None:
    """Also a quarter of an hour of it: the pauses of a step's retries add up to more, whatever chance makes of them."""
    pipeline.aws.faults.add(operation="rds:RestoreDBClusterFromSnapshot", code="Throttling", times=7)
    pipeline.aws.faults.add(operation="dynamodb:UpdateItem", code="ThrottlingException", times=4)
    pipeline.aws.faults.add(operation="lambda:Invoke", code="TooManyRequestsException", http_status=429, times=2)
    pipeline.aws.faults.add(operation="rds:CreateDBInstance", code="Throttling", message="Rate exceeded", seconds=900)
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "SUCCEEDED", run.reason
    assert run.changes.count("RestoreDBClusterFromSnapshot") == 8
    assert run.changes.count("CreateDBInstance") > 9
    assert not any(change.startswith("Delete") for change in run.changes)


# What people have seen on the first call of a function that nobody had called for weeks. It takes up to 106 seconds:
# https://github.com/aws-solutions-library-samples/accelerated-intelligent-document-processing-on-aws/issues/801,
# https://github.com/boto/boto3/issues/3788. For a function in a VPC, Invoke's reference names the other two.
IDLE = "CodeArtifactUserPendingException"


def fall_asleep(pipeline: Pipeline, function: str, code: str = IDLE) -> None:
    """The function's next calls fail until 106 seconds after the first."""
    pipeline.aws.faults.add(
        operation="lambda:Invoke", parameters={"FunctionName": f"*-{function}*"}, code=code, seconds=106
    )


@pytest.mark.parametrize(
    ("function", "code"),
    one_and_the_rest(
        [
            ("snapshot-check", IDLE),
            ("setup-db-users", "ResourceNotReadyException"),
            ("setup-db-users", "ENINotReadyException"),
            ("sns-notification", IDLE),
        ]
    ),
)
def test_a_function_that_was_idle_for_weeks_is_woken(pipeline: Pipeline, target: str, function: str, code: str) -> None:
    fall_asleep(pipeline, function, code)
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "SUCCEEDED", run.reason
    assert pipeline.cluster(target) is not None
    assert len([call for call in run.calls if call.operation == "Invoke" and call.error == code]) > 1
    (message,) = run.messages
    assert "SUCCEEDED" in message["subject"]


@pytest.mark.full
def test_a_pipeline_that_was_idle_for_weeks_wakes_function_by_function(pipeline: Pipeline, target: str) -> None:
    """As the embedded AWS's functions do by themselves after two weeks without a call."""
    pipeline.aws.clock.sleep(15 * 86_400)
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "SUCCEEDED", run.reason
    woken = {
        call.parameters["FunctionName"].split(":")[6]
        for call in run.calls
        if call.operation == "Invoke" and call.error in (IDLE, "ResourceNotReadyException")
    }
    assert {name.removeprefix("aurora-restore-") for name in woken} >= {
        "snapshot-check",
        "restore-snapshot",
        "check-restore-status",
        "setup-db-users",
        "open-cluster",
        "sns-notification",
    }


@pytest.mark.full
def test_a_failure_is_cleaned_up_and_reported_though_the_functions_for_it_were_idle(
    pipeline: Pipeline, target: str
) -> None:
    for function in ("delete-rds", "check-delete-status", "archive-snapshot", "sns-notification"):
        fall_asleep(pipeline, function)
    pipeline.aws.faults.add(lifecycle="create-instance", status="incompatible-network")
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "FAILED"
    assert "incompatible-network" in run.reason
    assert pipeline.cluster(target) is None
    assert pipeline.holder(target) is None
    (message,) = run.messages
    assert "at check-restore-status" in message["subject"]
    assert "The clean-up failed" not in message["message"]


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
