"""Whole runs in which RDS does not show for a moment what exists: its answers are eventually consistent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.pipeline.support import Pipeline, Run, until

LOOK = "rds:DescribeDBClusters"
DELETIONS = ["DeleteDBInstance", "DeleteDBCluster"]


def out_of_sight(pipeline: Pipeline, times: int = 1, **parameters: str) -> None:
    """The next looks at clusters find none."""
    pipeline.aws.faults.add(operation=LOOK, parameters=parameters, answer="empty", times=times)


def run_with_empty_looks(
    pipeline: Pipeline, request: dict[str, Any], function: str, times: int = 1, **parameters: str
) -> Run:
    """A run in which the next looks find no cluster from when a function is called for the first time."""
    faults = pipeline.aws.faults
    faults.add(operation="lambda:Invoke", parameters={"FunctionName": f"*-{function}*"}, answer="held")
    mark = pipeline.last_call()
    arn = pipeline.start(request)
    until(lambda: faults.held, function)
    out_of_sight(pipeline, times, **parameters)
    faults.release()
    return pipeline.end(arn, mark)


def secrets_of(pipeline: Pipeline, target: str) -> set[str]:
    pages = pipeline.aws.client("secretsmanager").get_paginator("list_secrets").paginate()
    return {
        each["Name"].rsplit("/", 1)[-1]
        for page in pages
        for each in page["SecretList"]
        if f"/{target}/" in each["Name"]
    }


def unseen(pipeline: Pipeline, run: Run) -> dict[str, Any]:
    item = pipeline.state(run.operation_id)
    assert item is not None
    return dict(item.get("unseen", {"M": {}})["M"])


def test_a_cluster_that_one_look_misses_is_restored(pipeline: Pipeline, target: str) -> None:
    """The first one is before it is created, the second while it is."""
    out_of_sight(pipeline, 2, DBClusterIdentifier=target)
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "SUCCEEDED", run.reason
    assert run.changes.count("RestoreDBClusterFromSnapshot") == 1
    assert not set(DELETIONS) & set(run.changes)
    assert unseen(pipeline, run) == {}


@pytest.mark.full
def test_a_cluster_that_has_its_id_is_there_whatever_its_name_is_asked_for(pipeline: Pipeline, target: str) -> None:
    out_of_sight(pipeline, 3, DBClusterIdentifier=target)
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "SUCCEEDED", run.reason


@pytest.mark.full
def test_a_door_is_opened_of_a_cluster_that_one_look_misses(pipeline: Pipeline, target: str) -> None:
    run = run_with_empty_looks(pipeline, {"target_cluster_id": target}, "open-cluster")
    assert run.status == "SUCCEEDED", run.reason
    assert "Wait for Opening" in run.states()


@pytest.mark.full
def test_a_cluster_that_rds_never_shows_again_is_gone_at_the_second_look(pipeline: Pipeline, target: str) -> None:
    """It is like one that somebody has deleted."""
    run = run_with_empty_looks(pipeline, {"target_cluster_id": target}, "open-cluster", times=20)
    assert run.status == "FAILED"
    assert "was deleted by somebody else: RDS has shown it under no name since " in run.reason
    assert run.states().count("Open Cluster") == 2
    assert "which this operation created, no longer exists" in run.message
    assert secrets_of(pipeline, target) == set(), "that two looks have missed it is a proof"


@pytest.mark.full
def test_a_clean_up_deletes_a_cluster_that_one_look_misses(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(lifecycle="create-instance", status="incompatible-network")
    run = run_with_empty_looks(pipeline, {"target_cluster_id": target}, "delete-rds")
    assert run.status == "FAILED"
    assert run.states().count("Clean Up Cluster") == 2
    assert f"Cleaned up: cluster {target} (cluster-" in run.message
    assert (pipeline.cluster(target), secrets_of(pipeline, target)) == (None, set())


@pytest.mark.full
def test_a_clean_up_waits_until_its_cluster_is_created(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(
        operation="lambda:Invoke",
        parameters={"FunctionName": "*-check-restore-status*"},
        code="InvalidRequestContentException",
    )
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "FAILED"
    assert run.changes == ["RestoreDBClusterFromSnapshot", "DeleteDBCluster"]
    assert f"Cleaned up: cluster {target} (cluster-" in run.message
    assert pipeline.cluster(target) is None


@pytest.mark.full
def test_the_logins_of_a_kept_cluster_stay_when_the_last_look_misses_it(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(lifecycle="create-instance", status="incompatible-network")
    request = {"target_cluster_id": target, "on_failure": "keep"}
    run = run_with_empty_looks(pipeline, request, "sns-notification", times=2)
    assert run.status == "FAILED"
    assert secrets_of(pipeline, target) == {"admin", "application"}
    assert "does not prove that it is gone, so the secrets with its logins were not changed." in run.message
    assert f"aws secretsmanager delete-secret --secret-id aurora-restore/targets/{target}/admin" in run.message
    assert f"RDS did not report whether cluster {target} exists." in run.message
    assert "no longer exists" not in run.message
    resumed = pipeline.run({"target_cluster_id": target, "operation_id": run.operation_id, "resume": True})
    assert "was deleted" not in resumed.reason


@pytest.mark.full
def test_a_drill_ends_although_a_look_misses_its_cluster(pipeline: Pipeline, target: str) -> None:
    run = run_with_empty_looks(pipeline, {"target_cluster_id": target, "drill": True}, "delete-rds", times=2)
    assert run.status == "SUCCEEDED", run.reason
    assert run.states().count("End Drill") == 2
    assert pipeline.cluster(target) is None
