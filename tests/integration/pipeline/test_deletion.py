"""The end of a source cluster: what it needs, what it leaves, and how a run that died in the middle finishes it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from scripts.local_run.production import CLUSTER
from scripts.local_run.stage import REGION
from tests.integration.pipeline.support import Pipeline, deletion_of, settle, until
from tests.integration.tiers import one_and_the_rest


def tags_of(pipeline: Pipeline, snapshot: str) -> dict[str, str]:
    (found,) = pipeline.rds().describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=snapshot)["DBClusterSnapshots"]
    return {each["Key"]: each["Value"] for each in found["TagList"]}


def protect(pipeline: Pipeline, name: str) -> None:
    pipeline.rds().modify_db_cluster(DBClusterIdentifier=name, DeletionProtection=True, ApplyImmediately=True)
    settle(pipeline)


def copy_tags(pipeline: Pipeline, name: str, **tags: str) -> None:
    """Have the cluster's snapshots get these tags of its own, for which RDS wants a right of the role that deletes."""
    rds = pipeline.rds()
    described = rds.modify_db_cluster(DBClusterIdentifier=name, CopyTagsToSnapshot=True, ApplyImmediately=True)
    own = [{"Key": key, "Value": value} for key, value in tags.items()]
    rds.add_tags_to_resource(ResourceName=described["DBCluster"]["DBClusterArn"], Tags=own)


def test_protection_is_overridden_when_asked_and_the_final_snapshot_carries_the_operations_tags(
    pipeline: Pipeline, doomed: str, target: str
) -> None:
    protect(pipeline, doomed)
    copy_tags(pipeline, doomed, of="prod")
    run = pipeline.run(deletion_of(doomed, target, override_deletion_protection=True, tags={"team": "orders"}))
    assert run.status == "SUCCEEDED", run.reason
    assert pipeline.cluster(doomed) is None
    assert run.states().index("Setup DB Users") < run.states().index("Delete RDS")
    ends = [each for each in run.changes if each.startswith(("Delete", "AddTags"))]
    assert ends == ["DeleteDBInstance", "DeleteDBInstance", "DeleteDBCluster", "AddTagsToResource"]
    assert run.changes.index("DeleteDBInstance") - 1 == len(run.changes) - 1 - run.changes[::-1].index(
        "ModifyDBCluster"
    )
    final = run.output["plan"]["source_deletion"]["final_snapshot_identifier"]
    own = {"aurora-restore:operation-id": run.operation_id, "team": "orders"}
    assert tags_of(pipeline, final) == {"of": "prod", **own}
    assert run.output["deletion"]["final_snapshot_arn"].endswith(f":cluster-snapshot:{final}")
    audited = pipeline.audit(run.operation_id)
    assert ("delete-rds", "switching-protection-off") in audited
    assert ("final-snapshot", "available") in audited


def test_protection_that_isnt_to_be_overridden_refuses_the_request(
    pipeline: Pipeline, doomed: str, target: str
) -> None:
    protect(pipeline, doomed)
    run = pipeline.run(deletion_of(doomed, target))
    assert run.followed.error == "RequestRefused"
    assert "override_deletion_protection" in run.reason
    assert run.changes == []


@pytest.mark.full
def test_a_member_of_a_global_database_isnt_deleted(pipeline: Pipeline, doomed: str, target: str) -> None:
    rds = pipeline.rds()
    arn = rds.describe_db_clusters(DBClusterIdentifier=doomed)["DBClusters"][0]["DBClusterArn"]
    rds.create_global_cluster(GlobalClusterIdentifier="world", SourceDBClusterIdentifier=arn)
    run = pipeline.run(deletion_of(doomed, target))
    rds.remove_from_global_cluster(GlobalClusterIdentifier="world", DbClusterIdentifier=arn)
    settle(pipeline)
    rds.delete_global_cluster(GlobalClusterIdentifier="world")
    assert run.followed.error == "RequestRefused"
    assert "belongs to the global database world" in run.reason
    assert run.changes == []


@pytest.mark.full
def test_a_source_that_others_replicate_isnt_deleted(pipeline: Pipeline, doomed: str, target: str) -> None:
    """Another cluster's replication ends with it."""
    rds, replica = pipeline.rds(), f"{doomed}-replica"
    login = {"MasterUsername": "boss", "MasterUserPassword": "not-a-secret-1"}
    rds.create_db_cluster(DBClusterIdentifier=replica, Engine="aurora-postgresql", **login)
    settle(pipeline)
    pipeline.aws.aurora.replicate((doomed, REGION), (replica, REGION))
    run = pipeline.run(deletion_of(doomed, target))
    rds.promote_read_replica_db_cluster(DBClusterIdentifier=replica)
    settle(pipeline)
    pipeline.remove(replica)
    assert run.followed.error == "RequestRefused"
    assert f"{doomed}-replica" in run.reason
    assert run.changes == []


@pytest.mark.full
def test_a_deletion_that_died_in_the_middle_is_finished_by_resuming(
    pipeline: Pipeline, doomed: str, target: str
) -> None:
    """The instances have gone; RDS refuses the cluster until somebody has made room for its final snapshot."""
    pipeline.aws.faults.add(operation="rds:DeleteDBCluster", code="SnapshotQuotaExceeded", times=3)
    request = deletion_of(doomed, target)
    first = pipeline.run(request)
    assert first.status == "FAILED"
    (message,) = first.messages
    assert "it finishes the deletion of the source cluster" in message["message"]
    pipeline.aws.faults.clear()

    second = pipeline.run({**request, "operation_id": first.operation_id})
    assert second.status == "SUCCEEDED", second.reason
    assert pipeline.cluster(doomed) is None
    assert "RestoreDBClusterFromSnapshot" not in second.changes
    assert any("deletion of the source already begun" in line for line in second.output["plan"]["resumed"])
    final = second.output["plan"]["source_deletion"]["final_snapshot_identifier"]
    assert tags_of(pipeline, final)["aurora-restore:operation-id"] == first.operation_id


@pytest.mark.full
def test_a_run_that_was_stopped_while_the_source_was_going_is_finished_too(
    pipeline: Pipeline, doomed: str, target: str
) -> None:
    request = deletion_of(doomed, target)
    arn = pipeline.start(request)
    until(lambda: "source_deletion_at" in (pipeline.state(arn.rsplit(":", 1)[-1]) or {}), "the source's deletion")
    pipeline.aws.client("stepfunctions").stop_execution(executionArn=arn, error="Stopped", cause="by a test")
    assert pipeline.end(arn).status == "ABORTED"
    time.sleep(1)
    settle(pipeline)
    second = pipeline.run({**request, "operation_id": arn.rsplit(":", 1)[-1]})
    assert second.status == "SUCCEEDED", second.reason
    assert pipeline.cluster(doomed) is None
    final = second.output["plan"]["source_deletion"]["final_snapshot_identifier"]
    assert tags_of(pipeline, final)["aurora-restore:operation-id"] == arn.rsplit(":", 1)[-1]


@pytest.mark.parametrize(
    ("call", "arguments"),
    one_and_the_rest(
        [
            ("delete_db_instance", {"DBInstanceIdentifier": "{cluster}-1", "SkipFinalSnapshot": True}),
            ("modify_db_cluster", {"DBClusterIdentifier": "{cluster}", "DeletionProtection": False}),
            ("delete_db_cluster", {"DBClusterIdentifier": "{cluster}", "SkipFinalSnapshot": True}),
        ]
    ),
)
def test_rule_1_in_iam_what_is_protected_is_out_of_the_roles_reach(
    pipeline: Pipeline, doomed: str, call: str, arguments: dict[str, Any]
) -> None:
    found = pipeline.cluster(doomed)
    assert found is not None
    arns = [found["DBClusterArn"], found["DBClusterArn"].replace(":cluster:", ":db:") + "-1"]
    for arn in arns:
        pipeline.rds().add_tags_to_resource(
            ResourceName=arn, Tags=[{"Key": "aurora-restore:protected", "Value": "true"}]
        )
    rds = pipeline.as_role("DeleteRdsRole", "rds")
    given = {key: value.format(cluster=doomed) if isinstance(value, str) else value for key, value in arguments.items()}
    with pytest.raises(rds.exceptions.ClientError) as refusal:
        getattr(rds, call)(**given)
    assert refusal.value.response["Error"]["Code"] == "AccessDenied"
    for arn in arns:
        pipeline.rds().remove_tags_from_resource(ResourceName=arn, TagKeys=["aurora-restore:protected"])


def test_rule_1_in_iam_only_final_snapshots_can_be_tagged(pipeline: Pipeline) -> None:
    rds = pipeline.as_role("CheckDeleteStatusRole", "rds")
    found = pipeline.cluster(CLUSTER)
    assert found is not None
    with pytest.raises(rds.exceptions.ClientError) as refusal:
        rds.add_tags_to_resource(
            ResourceName=found["DBClusterArn"], Tags=[{"Key": "aurora-restore:operation-id", "Value": "x"}]
        )
    assert refusal.value.response["Error"]["Code"] == "AccessDenied"
