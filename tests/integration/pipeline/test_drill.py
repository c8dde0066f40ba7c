"""A drill as a whole run: restored, proved, deleted again with proof, and nobody was let in."""

from __future__ import annotations

import itertools

import pytest

from scripts.local_run.stage import Stage
from tests.integration.pipeline.support import Pipeline, numbers

TARGETS = (f"target-drill-{number}" for number in itertools.count(1))


pytestmark = pytest.mark.usefixtures("production")


@pytest.fixture
def pipeline(place: Stage) -> Pipeline:
    return Pipeline(place)


def test_a_drill_leaves_nothing_but_its_word(pipeline: Pipeline) -> None:
    target = next(TARGETS)
    secrets = pipeline.aws.client("secretsmanager")
    before = {each["Name"] for each in secrets.list_secrets()["SecretList"]}
    snapshots = pipeline.snapshots()
    run = pipeline.run({"drill": True, "target_cluster_id": target, "instance_count": 2})
    assert run.status == "SUCCEEDED", run.reason
    assert pipeline.cluster(target) is None
    assert pipeline.snapshots() == snapshots
    assert {each["Name"] for each in secrets.list_secrets()["SecretList"]} == before
    assert not {"Open Cluster", "Swap Cluster", "Delete RDS"} & set(run.states())
    # The master password, and nothing that opens the door.
    assert run.changes.count("ModifyDBCluster") == 1
    assert run.changes.count("DeleteDBInstance") == 2
    assert run.changes[-1] == "DeleteDBCluster"
    assert pipeline.holder(target) is None
    assert "Door       never opened" in run.message
    assert "RDS reported no cluster of that id" in run.message
    found = pipeline.evidence(run.operation_id)
    assert found.target is not None
    assert found.target.settings == "as_planned"
    assert not any("compared with the plan" in each for each in found.limits)


@pytest.mark.full
def test_a_drill_that_fails_leaves_nothing_either(pipeline: Pipeline) -> None:
    target = next(TARGETS)
    pipeline.aws.faults.add(operation="rds:CreateDBInstance", code="InvalidParameterCombination", times=1)
    run = pipeline.run({"drill": True, "target_cluster_id": target})
    assert run.status == "FAILED"
    assert pipeline.cluster(target) is None
    assert "Clean Up Cluster" in run.states()
    assert pipeline.copies_of(run.operation_id) == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            {"lifecycle": "create-instance", "status": "incompatible-network"},
            "DB instance put into incompatible-network",
        ),
        ({"lifecycle": "restore-cluster", "status": "failed"}, "You can't create the DB cluster because of"),
    ],
    ids=["an instance", "the cluster"],
)
def test_a_drill_that_fails_because_rds_has_says_why_since_nobody_can_look_afterwards(
    pipeline: Pipeline, fault: dict[str, str], said: str
) -> None:
    target = next(TARGETS)
    pipeline.aws.faults.add(**fault)
    run = pipeline.run({"drill": True, "target_cluster_id": target})
    assert run.status == "FAILED"
    assert f"will not become available. RDS reports: {target}" in run.message
    assert said in run.message
    assert pipeline.cluster(target) is None


@pytest.mark.full
def test_a_drill_without_capacity_leaves_nothing_either(pipeline: Pipeline) -> None:
    """Nobody may come to resume it, and its data is not masked."""
    target = next(TARGETS)
    pipeline.aws.faults.add(lifecycle="create-instance", status="insufficient-capacity")
    run = pipeline.run({"drill": True, "target_cluster_id": target})
    pipeline.aws.faults.clear()
    assert (run.status, run.followed.error) == ("FAILED", "StepFailed")
    assert "A drill keeps nothing for that" in run.message
    assert pipeline.cluster(target) is None


def test_a_drill_of_an_existing_name_or_one_that_is_to_stay_is_refused(pipeline: Pipeline) -> None:
    run = pipeline.run({"drill": True, "target_cluster_id": f"target-{next(numbers)}", "on_failure": "keep"})
    assert run.status == "FAILED"
    assert run.changes == []
    assert "on_failure: 'keep' is given, and drill is true" in run.message
