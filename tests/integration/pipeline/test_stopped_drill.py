"""A drill whose execution was stopped: another one deletes what it has left, and people hear of both."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.local_run.production import Production
from scripts.local_run.stage import OTHER_REGION, Stage
from tests.integration.pipeline.support import Pipeline, Run, settle, until

TARGETS = (f"target-stopped-drill-{number}" for number in itertools.count(1))
# What verify-data writes when it has found something.
VERIFYING = {"operation": "dynamodb:PutItem", "parameters": {"Item": '*"verified#*'}}

pytestmark = pytest.mark.usefixtures("production")


@pytest.fixture
def pipeline(place: Stage) -> Iterator[Pipeline]:
    made = Pipeline(place)
    yield made
    made.aws.faults.clear()


def stopped(pipeline: Pipeline, target: str, call: dict[str, Any], **asked: Any) -> Run:
    """A drill that is stopped while a call is held, which AWS carries out all the same."""
    pipeline.place.received_messages()
    pipeline.aws.faults.add(**call, answer="held")
    arn = pipeline.start({"drill": True, "target_cluster_id": target, **asked})
    until(lambda: pipeline.aws.faults.held, "that the drill's call is held")
    stop(pipeline, arn)
    run = pipeline.end(arn)
    assert run.status == "ABORTED"
    return run


def stop(pipeline: Pipeline, arn: str) -> None:
    pipeline.aws.client("stepfunctions").stop_execution(executionArn=arn, error="Stopped", cause="by a test")


def finisher_of(pipeline: Pipeline, run: Run) -> str:
    """The ARN of the execution that was started to end the drill."""

    def found() -> str | None:
        item = pipeline.state(run.operation_id) or {}
        return item["finished_by"]["S"] if "S" in item.get("finished_by", {}) else None

    name = until(found, "that an execution is named which ends the drill")
    arn = f"{run.execution_arn.rpartition(':')[0]}:{name}"

    def is_started() -> bool:
        """It is named first, so that a function that dies in between starts it when it is called again."""
        listed = pipeline.aws.client("stepfunctions").list_executions(stateMachineArn=pipeline.place.state_machine_arn)
        return arn in [each["executionArn"] for each in listed["executions"]]

    until(is_started, "that the execution is started which ends the drill")
    return arn


def finished(pipeline: Pipeline, run: Run) -> Run:
    """Return what the execution did that has ended the drill."""
    finisher, last = finisher_of(pipeline, run), pipeline.last_call()
    pipeline.aws.faults.release()
    return pipeline.end(finisher, last)


def assert_nothing_is_left(pipeline: Pipeline, run: Run, target: str) -> None:
    assert pipeline.cluster(target) is None
    assert pipeline.copies_of(run.operation_id) == []
    assert pipeline.holder(target) is None
    listed = pipeline.aws.client("secretsmanager").list_secrets()["SecretList"]
    assert [each["Name"] for each in listed if target in each["Name"]] == []


def test_a_drill_that_is_stopped_while_rds_creates_its_cluster_leaves_none(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stopped function's call comes after the stop, and RDS takes longer than the wait for that function."""
    target, slow = next(TARGETS), dataclasses.replace(pipeline.aws.aurora.durations, restore_cluster=3600)
    monkeypatch.setattr(pipeline.aws.aurora, "durations", slow)
    run = stopped(pipeline, target, {"operation": "rds:RestoreDBClusterFromSnapshot"})
    second = finished(pipeline, run)
    assert (second.status, second.followed.error) == ("FAILED", "DrillStopped")
    assert second.states().count("Clean Up Cluster") == 2, "once to see it created, once to delete it"
    assert_nothing_is_left(pipeline, run, target)
    evidence = pipeline.evidence(run.operation_id)
    assert (evidence.outcome, evidence.execution.arn) == ("stopped", second.execution_arn)
    assert run.execution_arn in evidence.summary.sentence
    assert second.execution_arn in evidence.summary.sentence
    assert [each.what for each in evidence.changes] == ["created", "deleted"]
    (first,) = run.messages
    assert second.execution_arn in first["message"]
    assert "aws rds delete" not in first["message"]
    assert "was deleted; at" in second.message
    assert "To drill again, start a new operation:" in second.message


@pytest.mark.full
def test_a_drill_that_is_stopped_while_it_verifies_leaves_no_cluster(pipeline: Pipeline) -> None:
    target = next(TARGETS)
    run = stopped(pipeline, target, VERIFYING)
    cluster = pipeline.cluster(target)
    assert cluster is not None
    second = finished(pipeline, run)
    assert second.status == "FAILED"
    assert f"has ended in verify-data, because its execution was stopped: {run.execution_arn}" in second.message
    assert cluster["DbClusterResourceId"] in second.message
    assert_nothing_is_left(pipeline, run, target)
    # Whoever resumes it all the same has nothing restored.
    third = pipeline.run({"operation_id": run.operation_id, "resume": True})
    assert third.status == "FAILED"
    assert third.changes == []


@pytest.mark.full
def test_a_drill_that_is_stopped_within_its_deletion_is_deleted(pipeline: Pipeline) -> None:
    target = next(TARGETS)
    run = stopped(pipeline, target, {"operation": "rds:DeleteDBCluster"})
    second = finished(pipeline, run)
    assert second.status == "FAILED"
    assert "RDS reported no cluster of that id" in second.message
    assert_nothing_is_left(pipeline, run, target)


@pytest.mark.full
def test_a_drill_that_is_stopped_while_its_snapshot_is_copied_leaves_no_copy(
    pipeline: Pipeline, distant_production: Production, key: str
) -> None:
    target = next(TARGETS)
    copied = {"source_region": OTHER_REGION, "source_cluster_id": distant_production.cluster, "kms_key_id": key}
    run = stopped(pipeline, target, {"operation": "rds:CopyDBClusterSnapshot"}, **copied)
    second = finished(pipeline, run)
    assert second.status == "FAILED"
    assert "It has left no cluster." in second.message
    assert_nothing_is_left(pipeline, run, target)


@pytest.mark.full
def test_what_ends_a_drill_deletes_no_cluster_that_somebody_has_protected(pipeline: Pipeline) -> None:
    target = next(TARGETS)
    run = stopped(pipeline, target, VERIFYING)
    cluster = pipeline.cluster(target)
    assert cluster is not None
    tag = {"Key": "aurora-restore:protected", "Value": "true"}
    pipeline.rds().add_tags_to_resource(ResourceName=cluster["DBClusterArn"], Tags=[tag])
    second = finished(pipeline, run)
    assert second.status == "FAILED"
    assert "The drill's cluster was not deleted:" in second.message
    assert not {"DeleteDBCluster", "DeleteDBInstance"} & set(second.changes)
    assert "It deletes what the drill has left, and does nothing else:" in second.message
    assert "Its cluster still exists, and costs money." in second.message
    pipeline.rds().remove_tags_from_resource(ResourceName=cluster["DBClusterArn"], TagKeys=[tag["Key"]])
    third = pipeline.run({"operation_id": run.operation_id, "resume": True})
    assert third.followed.error == "DrillStopped"
    assert "Restore Snapshot" not in third.states()
    assert_nothing_is_left(pipeline, run, target)


@pytest.mark.full
def test_a_redrive_of_a_stopped_drill_leaves_it_to_what_ends_it(pipeline: Pipeline) -> None:
    """Both would work on the same cluster."""
    target = next(TARGETS)
    run = stopped(pipeline, target, VERIFYING)
    finisher = finisher_of(pipeline, run)
    until(lambda: pipeline.holder(target) == finisher, "that the drill is the other one's")
    pipeline.aws.client("stepfunctions").redrive_execution(executionArn=run.execution_arn)
    second = finished(pipeline, run)
    redriven = pipeline.end(run.execution_arn)
    assert (redriven.status, second.followed.error) == ("FAILED", "DrillStopped")
    assert_nothing_is_left(pipeline, run, target)


@pytest.mark.full
def test_a_drill_that_has_timed_out_leaves_no_cluster(pipeline: Pipeline) -> None:
    """The machine has the same states, and a quarter of an hour."""
    target, states = next(TARGETS), pipeline.aws.client("stepfunctions")
    machine = pipeline.place.state_machine_arn
    definition = states.describe_state_machine(stateMachineArn=machine)["definition"]
    quick = json.dumps(json.loads(definition) | {"TimeoutSeconds": 900})
    pipeline.place.received_messages()
    states.update_state_machine(stateMachineArn=machine, definition=quick)
    try:
        arn = pipeline.start({"drill": True, "target_cluster_id": target})
    finally:
        states.update_state_machine(stateMachineArn=machine, definition=definition)
    run = pipeline.end(arn)
    assert run.status == "TIMED_OUT"
    second = finished(pipeline, run)
    assert second.followed.error == "DrillStopped"
    assert f"because its execution has timed out: {run.execution_arn}" in second.message
    assert pipeline.evidence(run.operation_id).outcome == "stopped"
    assert_nothing_is_left(pipeline, run, target)


@pytest.mark.full
def test_what_ends_a_drill_and_is_stopped_itself_is_left_to_a_person(pipeline: Pipeline) -> None:
    target = next(TARGETS)
    run = stopped(pipeline, target, VERIFYING)
    finisher = finisher_of(pipeline, run)
    pipeline.aws.faults.add(operation="rds:DeleteDBInstance", answer="held", times=1)
    pipeline.aws.faults.release()
    until(lambda: pipeline.aws.faults.held, "that the call of the end is held")
    stop(pipeline, finisher)
    second = pipeline.end(finisher)
    pipeline.aws.faults.release()
    settle(pipeline)
    assert second.status == "ABORTED"
    assert f'"operation_id": "{run.operation_id}", "resume": true' in second.message
    listed = pipeline.aws.client("stepfunctions").list_executions(
        stateMachineArn=pipeline.place.state_machine_arn, maxResults=5
    )["executions"]
    assert listed[0]["executionArn"] == finisher, "nothing is started against a person"
    third = pipeline.run({"operation_id": run.operation_id, "resume": True})
    assert third.followed.error == "DrillStopped"
    assert_nothing_is_left(pipeline, run, target)
