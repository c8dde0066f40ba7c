"""A request that can't work costs nothing: it is refused in the first step, in words that help."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from scripts.local_aws.core.faults import ApiFault
from scripts.local_run.production import CLUSTER, SNAPSHOT, Production
from scripts.local_run.stage import OTHER_REGION
from tests.integration.pipeline.support import Pipeline

REFUSALS: list[tuple[str, Any, tuple[str, ...]]] = [
    ("an unknown field", {"delete_sauce": True}, ("delete_sauce", "unknown field", "Did you mean delete_source?")),
    ("a date that doesn't exist", {"snapshot_date": "2026-02-30"}, ("snapshot_date", "2026-02-30", "YYYY-MM-DD")),
    (
        "both a name and a date",
        {"snapshot_identifier": SNAPSHOT, "snapshot_date": "2026-01-01"},
        ("snapshot_identifier", "snapshot_date", "Drop one"),
    ),
    ("an illegal name", {"target_cluster_id": "1-bad--name-"}, ("target_cluster_id", "1-bad--name-", "Choose")),
    ("too long a name", {"target_cluster_id": "a" * 64}, ("target_cluster_id", "64 characters")),
    ("no such snapshot", {"snapshot_identifier": "no-such"}, ("snapshot_identifier", "no-such", "does not exist")),
    ("no such cluster", {"source_cluster_id": "prod-no"}, ("source_cluster_id", "prod-no", "no available snapshot")),
    ("a day without a snapshot", {"snapshot_date": "2020-01-01"}, ("snapshot_date", "2020-01-01", "Choose a day")),
    (
        "a snapshot that is too old",
        {"snapshot_identifier": SNAPSHOT, "max_snapshot_age_hours": 0.001},
        ("max_snapshot_age_hours", SNAPSHOT, "hours old"),
    ),
    ("the source as its own target", {"target_cluster_id": CLUSTER}, ("target_cluster_id", CLUSTER, "'*target-*'")),
    (
        "a deletion that isn't confirmed",
        {"delete_source": True},
        ("confirm_delete_source", "Repeat the source cluster's name"),
    ),
    (
        "a deletion of another name",
        {"delete_source": True, "confirm_delete_source": "prod-order"},
        ("confirm_delete_source", "prod-order", CLUSTER),
    ),
    ("a wrong type", {"instance_count": "two"}, ("instance_count", "'two'", "expected a whole number")),
    ("another account", {"source_account_id": "999999999999"}, ("source_account_id", "999999999999", "own")),
    ("a list", [1], ("JSON object",)),
    ("a text", "text", ("JSON object",)),
    ("an operation id with spaces", {"operation_id": "my run"}, ("operation_id", "my run")),
    ("a group that isn't one", {"vpc_security_group_ids": ["default"]}, ("vpc_security_group_ids", "default")),
]


@pytest.mark.parametrize(("given", "words"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS])
def test_a_request_is_refused_for(given: Any, words: tuple[str, ...], pipeline: Pipeline) -> None:
    run = pipeline.run(json.dumps(given))
    assert run.status == "FAILED"
    assert run.followed.error == "RequestRefused"
    for word in words:
        assert word in run.reason
    assert run.changes == []
    (message,) = run.messages
    assert "FAILED" in message["subject"]
    assert run.reason.removeprefix("RequestRefused: ").splitlines()[0] in message["message"]
    assert "Nothing was created, changed or deleted" in message["message"]
    state = pipeline.state(run.operation_id)
    assert state is not None
    assert state["status"]["S"] == "failed"


def test_an_encrypted_snapshot_of_another_region_needs_a_key_of_this_one(
    pipeline: Pipeline, distant_production: Production, target: str
) -> None:
    run = pipeline.run({"target_cluster_id": target, "source_region": OTHER_REGION})
    assert run.followed.error == "RequestRefused"
    assert "kms_key_id: missing" in run.reason
    assert run.changes == []


def test_a_cluster_group_that_switches_babelfish_on_is_refused_by_name(pipeline: Pipeline, target: str) -> None:
    rds, group = pipeline.rds(), "speaks-tds"
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName=group, DBParameterGroupFamily="aurora-postgresql17", Description="for a test"
    )
    on = {"ParameterName": "rds.babelfish_status", "ParameterValue": "on", "ApplyMethod": "pending-reboot"}
    rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName=group, Parameters=[on])
    run = pipeline.run({"target_cluster_id": target, "db_cluster_parameter_group_name": group})
    assert run.followed.error == "RequestRefused"
    assert "'speaks-tds' switches Babelfish on" in run.reason
    assert run.changes == []


def test_a_snapshot_of_a_limitless_database_is_refused_by_name(
    pipeline: Pipeline, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its version is all that the local Aurora has of one."""
    snapshot = pipeline.aws.aurora.region("us-east-1").cluster_snapshots[SNAPSHOT]
    monkeypatch.setitem(snapshot.attributes, "EngineVersion", "16.4-limitless")
    run = pipeline.run({"target_cluster_id": target, "snapshot_identifier": SNAPSHOT})
    assert run.followed.error == "RequestRefused"
    assert "(16.4-limitless) is of an Aurora Limitless Database" in run.reason
    assert run.changes == []


def test_a_cluster_that_exists_is_never_taken_over(pipeline: Pipeline) -> None:
    rds = pipeline.rds()
    rds.create_db_cluster(
        DBClusterIdentifier="target-somebodys",
        Engine="aurora-postgresql",
        MasterUsername="boss",
        MasterUserPassword="not-a-secret-1",
    )
    pipeline.aws.clock.sleep(600)
    run = pipeline.run({"target_cluster_id": "target-somebodys"})
    assert run.followed.error == "RequestRefused"
    assert "target-somebodys" in run.reason
    assert run.changes == []
    pipeline.remove("target-somebodys")


def test_everything_wrong_is_said_at_once(pipeline: Pipeline) -> None:
    run = pipeline.run({"target_cluster_id": "-", "snapshot_date": "yesterday", "port": 1, "colour": "red"})
    for field in ("target_cluster_id", "snapshot_date", "port", "colour"):
        assert f"{field}: " in run.reason


def test_an_operation_id_is_used_once(pipeline: Pipeline, target: str) -> None:
    first = pipeline.run({"target_cluster_id": target, "operation_id": "only-once", "dry_run": True})
    second = pipeline.run({"target_cluster_id": target, "operation_id": "only-once"})
    assert first.status == "SUCCEEDED"
    assert second.followed.error == "RequestRefused"
    assert "only-once" in second.reason
    assert second.changes == []
    state = pipeline.state("only-once")
    assert state is not None
    assert state["execution_id"]["S"] == first.execution_arn


def test_an_operation_id_that_is_taken_meanwhile_leaves_no_lock(
    pipeline: Pipeline, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another execution writes the operation's first state while this one still looks at what it is going to need."""
    faults, table = pipeline.aws.faults, pipeline.place.stack.outputs["StateTableName"]
    known = {
        "operation_id": "taken-meanwhile",
        "execution_id": "another",
        "state": "snapshot-check",
        "status": "running",
    }
    known |= {"started_at": "2026-03-10T03:00:00.000Z", "last_updated": "2026-03-10T03:00:00.000Z"}
    item = {name: {"S": text} for name, text in known.items()}
    strike = faults.api

    def another_is_faster(operation: str, region: str, parameters: Mapping[str, str]) -> ApiFault | None:
        if operation == "rds:DescribeDBSubnetGroups":
            pipeline.aws.client("dynamodb").put_item(TableName=table, Item=item)
        return strike(operation, region, parameters)

    monkeypatch.setattr(faults, "api", another_is_faster)
    run = pipeline.run({"target_cluster_id": target, "operation_id": "taken-meanwhile"})
    assert run.followed.error == "RequestRefused", run.reason
    assert "'taken-meanwhile' was used before by another execution" in run.reason
    assert run.changes == []
    assert pipeline.holder(target) is None


def test_a_protected_source_is_not_deleted(pipeline: Pipeline, production: Production, target: str) -> None:
    rds = pipeline.rds()
    rds.modify_db_cluster(DBClusterIdentifier=CLUSTER, DeletionProtection=True, ApplyImmediately=True)
    pipeline.aws.clock.sleep(300)
    run = pipeline.run({"target_cluster_id": target, "delete_source": True, "confirm_delete_source": CLUSTER})
    rds.modify_db_cluster(DBClusterIdentifier=CLUSTER, DeletionProtection=False, ApplyImmediately=True)
    pipeline.aws.clock.sleep(300)
    assert run.followed.error == "RequestRefused"
    assert "deletion protection" in run.reason
    assert run.changes == []
