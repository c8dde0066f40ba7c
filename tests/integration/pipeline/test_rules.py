"""The ten rules that no run may break, each by name."""

from __future__ import annotations

import json

import pytest

from scripts.local_run.production import CLUSTER, SNAPSHOT, Production
from scripts.local_run.proof import Proof
from scripts.local_run.stage import OTHER_REGION, REGION
from tests.integration.pipeline.support import Pipeline, Run, deletion_of, until
from utils.names import instance_name


def test_rule_1_nothing_is_deleted_that_wasnt_named_or_made(pipeline: Pipeline, target: str) -> None:
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "SUCCEEDED", run.reason
    assert not [change for change in run.changes if change.startswith("Delete")]
    assert pipeline.cluster(CLUSTER) is not None


@pytest.mark.full
def test_rule_1_a_cluster_that_lost_our_tag_is_not_cleaned_up(pipeline: Pipeline, target: str) -> None:
    """Somebody took the cluster over while it was being restored."""
    pipeline.aws.faults.add(lifecycle="create-instance", status="incompatible-network")
    arn = pipeline.start({"target_cluster_id": target})
    found = until(lambda: pipeline.cluster(target), "the restored cluster")
    pipeline.rds().remove_tags_from_resource(
        ResourceName=found["DBClusterArn"], TagKeys=["aurora-restore:operation-id"]
    )
    run = pipeline.end(arn)
    assert run.status == "FAILED"
    assert "is not the one that operation" in run.reason
    assert pipeline.cluster(target) is not None


def test_rule_1_and_again_in_iam(pipeline: Pipeline) -> None:
    """With the role's own credentials, a cluster and a snapshot without our tag can't be deleted or changed."""
    for function, call, arguments in (
        ("ArchiveSnapshotRole", "delete_db_cluster_snapshot", {"DBClusterSnapshotIdentifier": SNAPSHOT}),
        ("RestoreSnapshotRole", "modify_db_cluster", {"DBClusterIdentifier": CLUSTER, "DeletionProtection": True}),
        ("OpenClusterRole", "modify_db_cluster", {"DBClusterIdentifier": CLUSTER, "DeletionProtection": True}),
        ("SnapshotCheckRole", "delete_db_cluster", {"DBClusterIdentifier": CLUSTER, "SkipFinalSnapshot": True}),
    ):
        rds = pipeline.as_role(function, "rds")
        with pytest.raises(rds.exceptions.ClientError) as refusal:
            getattr(rds, call)(**arguments)
        assert refusal.value.response["Error"]["Code"] == "AccessDenied"


def test_rule_2_the_snapshot_that_was_found_is_never_deleted(
    pipeline: Pipeline, distant_production: Production, key: str, target: str
) -> None:
    run = pipeline.run({"target_cluster_id": target, "source_region": OTHER_REGION, "kms_key_id": key})
    assert run.status == "SUCCEEDED", run.reason
    assert SNAPSHOT in pipeline.snapshots(OTHER_REGION)
    assert SNAPSHOT in pipeline.snapshots(REGION)


def test_rule_3_the_source_goes_after_the_login_and_leaves_a_final_snapshot(
    pipeline: Pipeline, doomed: str, target: str
) -> None:
    run = pipeline.run(deletion_of(doomed, target))
    assert run.status == "SUCCEEDED", run.reason
    assert pipeline.cluster(doomed) is None
    assert run.states().index("Setup DB Users") < run.states().index("Delete RDS")
    deletes = [change for change in run.changes if change.startswith("Delete")]
    assert deletes == ["DeleteDBInstance", "DeleteDBInstance", "DeleteDBCluster"]
    assert run.output["plan"]["source_deletion"]["final_snapshot_identifier"] in pipeline.snapshots()
    assert f"{doomed}-snapshot" in pipeline.snapshots()
    (message,) = run.messages
    assert doomed in message["message"]


@pytest.mark.full
def test_rule_3_without_a_final_snapshot_only_when_that_is_said(pipeline: Pipeline, doomed: str, target: str) -> None:
    before = pipeline.snapshots()
    run = pipeline.run(deletion_of(doomed, target, final_snapshot=False))
    assert run.status == "SUCCEEDED", run.reason
    assert pipeline.cluster(doomed) is None
    assert pipeline.snapshots() == before


@pytest.mark.full
def test_rule_3_a_source_whose_copy_lets_nobody_in_is_kept(pipeline: Pipeline, doomed: str, target: str) -> None:
    pipeline.aws.faults.add(lifecycle="reset-master-password")
    run = pipeline.run(deletion_of(doomed, target))
    assert run.status == "FAILED"
    found = pipeline.cluster(doomed)
    assert found is not None
    assert found["Status"] == "available"
    assert len(found["DBClusterMembers"]) == 2


@pytest.mark.full
def test_rule_3_protection_switched_on_meanwhile_keeps_the_source_and_the_copy(
    pipeline: Pipeline, doomed: str, target: str
) -> None:
    arn = pipeline.start(deletion_of(doomed, target))
    until(lambda: pipeline.cluster(target), "that the target is there")
    pipeline.rds().modify_db_cluster(DBClusterIdentifier=doomed, DeletionProtection=True, ApplyImmediately=True)
    run = pipeline.end(arn)
    assert run.status == "FAILED"
    assert "deletion protection" in run.reason
    for name in (doomed, target):
        found = pipeline.cluster(name)
        assert found is not None
        assert found["Status"] == "available"


def test_rule_3_the_tag_of_protection_stops_even_the_role(pipeline: Pipeline, doomed: str) -> None:
    found = pipeline.cluster(doomed)
    assert found is not None
    pipeline.rds().add_tags_to_resource(
        ResourceName=found["DBClusterArn"], Tags=[{"Key": "aurora-restore:protected", "Value": "true"}]
    )
    rds = pipeline.as_role("DeleteRdsRole", "rds")
    with pytest.raises(rds.exceptions.ClientError) as refusal:
        rds.delete_db_cluster(DBClusterIdentifier=doomed, SkipFinalSnapshot=True)
    assert refusal.value.response["Error"]["Code"] == "AccessDenied"


@pytest.mark.full
def test_rule_3_once_the_source_is_going_nothing_is_cleaned_up(pipeline: Pipeline, doomed: str, target: str) -> None:
    pipeline.aws.faults.add(operation="rds:DeleteDBCluster", code="SnapshotQuotaExceeded", times=3)
    run = pipeline.run(deletion_of(doomed, target))
    assert run.status == "FAILED"
    assert "SnapshotQuotaExceeded" in run.reason
    found = pipeline.cluster(target)
    assert found is not None
    assert found["Status"] == "available"
    (message,) = run.messages
    assert "Keep the restored cluster" in message["message"]


def test_rule_4_a_cluster_that_appears_meanwhile_isnt_adopted(
    pipeline: Pipeline, distant_production: Production, key: str, target: str
) -> None:
    """Somebody makes a cluster of the target's name while the snapshot is being copied."""
    arn = pipeline.start({"target_cluster_id": target, "source_region": OTHER_REGION, "kms_key_id": key})
    until(lambda: pipeline.copies_of(arn.rsplit(":", 1)[-1]), "the copy")
    pipeline.rds().create_db_cluster(
        DBClusterIdentifier=target,
        Engine="aurora-postgresql",
        MasterUsername="boss",
        MasterUserPassword="not-a-secret-1",
    )
    run = pipeline.end(arn)
    assert run.status == "FAILED"
    assert "It was left alone" in run.reason
    found = pipeline.cluster(target)
    assert found is not None
    assert found["MasterUsername"] == "boss"


def test_rule_5_a_step_whose_function_dies_after_its_work_has_worked_once(
    pipeline: Pipeline, distant_production: Production, key: str, target: str
) -> None:
    """Every function that changes something dies once after its work, all in one run."""
    for name in ("copy-snapshot", "restore-snapshot", "setup-db-users", "open-cluster", "archive-snapshot"):
        pipeline.aws.faults.add(function=f"aurora-restore-{name}", die="after", times=2)
    run = pipeline.run(
        {"target_cluster_id": target, "source_region": OTHER_REGION, "kms_key_id": key, "instance_count": 2}
    )
    assert run.status == "SUCCEEDED", run.reason
    _assert_made_once(pipeline, run, target)


@pytest.mark.full
def test_rule_5_a_call_whose_answer_is_lost_has_worked_once(
    pipeline: Pipeline, distant_production: Production, key: str, target: str
) -> None:
    for operation in (
        "rds:CopyDBClusterSnapshot",
        "rds:RestoreDBClusterFromSnapshot",
        "rds:CreateDBInstance",
        "rds:ModifyDBCluster",
        "rds:DeleteDBClusterSnapshot",
        "secretsmanager:PutSecretValue",
        "secretsmanager:UpdateSecretVersionStage",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
    ):
        pipeline.aws.faults.add(operation=operation, answer="lost")
    run = pipeline.run(
        {"target_cluster_id": target, "source_region": OTHER_REGION, "kms_key_id": key, "instance_count": 2}
    )
    assert run.status == "SUCCEEDED", run.reason
    _assert_made_once(pipeline, run, target)


@pytest.mark.full
def test_rule_5_a_deletion_whose_answers_are_lost_has_worked_once(pipeline: Pipeline, doomed: str, target: str) -> None:
    for operation in ("rds:DeleteDBInstance", "rds:DeleteDBCluster"):
        pipeline.aws.faults.add(operation=operation, answer="lost")
    pipeline.aws.faults.add(function="aurora-restore-delete-rds", die="after")
    run = pipeline.run(deletion_of(doomed, target))
    assert run.status == "SUCCEEDED", run.reason
    assert pipeline.cluster(doomed) is None
    finals = [name for name in pipeline.snapshots() if name.startswith(f"{doomed}-final-")]
    assert finals == [run.output["plan"]["source_deletion"]["final_snapshot_identifier"]]


def _assert_made_once(pipeline: Pipeline, run: Run, target: str) -> None:
    found = pipeline.cluster(target)
    assert found is not None
    members = [each["DBInstanceIdentifier"] for each in found["DBClusterMembers"]]
    assert sorted(members) == [instance_name(target, number, run.operation_id) for number in (1, 2)]
    assert pipeline.copies_of(run.operation_id) == []
    versions = pipeline.aws.client("secretsmanager").describe_secret(SecretId=run.output["users"]["master_secret"])[
        "VersionIdsToStages"
    ]
    assert sum("AWSCURRENT" in labels for labels in versions.values()) == 1
    assert not any("AWSPENDING" in labels for labels in versions.values())
    assert len(run.messages) == 1


def test_rule_6_two_runs_for_one_target_dont_overlap(pipeline: Pipeline, target: str) -> None:
    first = pipeline.start({"target_cluster_id": target})
    while pipeline.state(f"lock#{target}") is None:
        pass
    second = pipeline.run({"target_cluster_id": target})
    assert second.status == "FAILED"
    assert second.followed.error == "RequestRefused"
    assert second.changes.count("RestoreDBClusterFromSnapshot") <= 1
    assert target in second.reason
    assert pipeline.end(first).status == "SUCCEEDED"
    assert pipeline.holder(target) is None


def test_rule_7_a_failed_run_says_step_reason_remains_and_next_command(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(lifecycle="create-instance", status="insufficient-capacity")
    run = pipeline.run({"target_cluster_id": target, "on_failure": "keep"})
    assert run.status == "FAILED"
    (message,) = run.messages
    for words in (
        "Step       check-restore-status",
        "insufficient-capacity",
        "What exists now:",
        f"Cluster {target}",
        "What to do next:",
        "aws stepfunctions start-execution",
        run.execution_arn,
    ):
        assert words in message["message"]
    assert ("check-restore-status", "failed") in pipeline.audit(run.operation_id)


@pytest.mark.full
def test_rule_8_every_setting_is_sent(pipeline: Pipeline, target: str) -> None:
    mark = pipeline.last_call()
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "SUCCEEDED", run.reason
    (restore,) = [call for call in pipeline.calls_since(mark) if call.operation == "RestoreDBClusterFromSnapshot"]
    sent = set(restore.parameters)
    wanted = {
        "EngineVersion",
        "Port",
        "DBSubnetGroupName",
        "StorageType",
        "DeletionProtection",
        "EnableIAMDatabaseAuthentication",
        "EngineLifecycleSupport",
        "CopyTagsToSnapshot",
    }
    assert wanted <= sent
    assert any(name.startswith("VpcSecurityGroupIds") for name in sent)
    assert any(name.startswith("Tags") for name in sent)


def test_rule_9_productions_password_doesnt_open_the_copy_and_none_is_written_anywhere(
    pipeline: Pipeline, production: Production, target: str
) -> None:
    run = pipeline.run({"target_cluster_id": target})
    checks = Proof(pipeline.place, production, run.followed, run.messages, run.calls).checks()
    assert checks["production_master_password_refused"]
    assert checks["no_password_anywhere"]


def test_rule_10_names_are_checked_before_the_first_side_effect(pipeline: Pipeline) -> None:
    run = pipeline.run(json.dumps({"target_cluster_id": "no_underscores", "source_cluster_id": "-x"}))
    assert run.followed.error == "RequestRefused"
    assert run.changes == []
    assert "target_cluster_id" in run.reason
    assert "source_cluster_id" in run.reason
