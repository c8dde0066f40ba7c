"""StopExecution ends an execution, not the function that its last step is in: that finds everything closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.pipeline.support import Pipeline, Run, settle, until

# Between the first step's first state and the next one: the last that the first step writes.
LAST_OF_THE_FIRST_STEP = {"operation": "dynamodb:PutItem", "parameters": {"TableName": "AuroraRestoreAudit"}}


@pytest.fixture
def target(pipeline: Pipeline) -> Iterator[str]:
    """The stack's own, for which the first step makes no secrets: a redrive needs those that its run has made."""
    pipeline.remove("target-orders")
    yield "target-orders"
    pipeline.aws.faults.clear()
    pipeline.remove("target-orders")


def lock_of(target: str) -> dict[str, Any]:
    return {"operation": "dynamodb:PutItem", "parameters": {"Item": f'*"lock#{target}"*'}}


def stopped_while_at_work(pipeline: Pipeline, arn: str, at: str = "Restore Snapshot") -> Run:
    """Stop the execution while a call of its step is held, and let the call go on when everything is closed."""
    faults = pipeline.aws.faults
    until(lambda: faults.held, "that the step's call is held")
    history = pipeline.aws.client("stepfunctions").get_execution_history(executionArn=arn)["events"]
    assert [each["stateEnteredEventDetails"]["name"] for each in history if "stateEnteredEventDetails" in each][
        -1
    ] == at
    pipeline.aws.client("stepfunctions").stop_execution(executionArn=arn, error="Stopped", cause="by a test")
    run = pipeline.end(arn)
    assert run.status == "ABORTED"
    faults.release()
    settle(pipeline)
    return run


def assert_closed(pipeline: Pipeline, target: str, operation_id: str) -> None:
    assert pipeline.holder(target) is None
    state = pipeline.state(operation_id)
    assert state is not None
    assert state["status"]["S"] == "failed"


def held_at_its_lock(pipeline: Pipeline, target: str) -> str:
    """Start a run whose second step is at work and hasn't yet renewed its lock."""
    faults = pipeline.aws.faults
    faults.add(**LAST_OF_THE_FIRST_STEP, answer="held")
    arn = pipeline.start({"target_cluster_id": target})
    until(lambda: faults.held, "that the first step's call is held")
    faults.add(**lock_of(target), answer="held")
    faults.release()
    return arn


def test_a_step_that_outlived_its_execution_doesnt_take_the_lock_back(pipeline: Pipeline, target: str) -> None:
    last = pipeline.last_call()
    run = stopped_while_at_work(pipeline, held_at_its_lock(pipeline, target))
    assert_closed(pipeline, target, run.operation_id)
    assert not [call for call in pipeline.calls_since(last) if call.operation == "RestoreDBClusterFromSnapshot"]


@pytest.mark.full
def test_a_step_that_had_its_lock_writes_no_state_any_more(pipeline: Pipeline, target: str) -> None:
    last = pipeline.last_call()
    pipeline.aws.faults.add(operation="dynamodb:UpdateItem", answer="held")
    run = stopped_while_at_work(pipeline, pipeline.start({"target_cluster_id": target}))
    assert_closed(pipeline, target, run.operation_id)
    assert not [call for call in pipeline.calls_since(last) if call.operation == "RestoreDBClusterFromSnapshot"]


@pytest.mark.full
def test_a_look_that_outlived_its_execution_changes_nothing_any_more(pipeline: Pipeline, target: str) -> None:
    """Open Cluster has looked while everything was in order, and was about to open the door."""
    last, faults = pipeline.last_call(), pipeline.aws.faults
    faults.add(operation="dynamodb:PutItem", parameters={"Item": '*"event_type": {"S": "door"}*'}, answer="held")
    arn = pipeline.start({"target_cluster_id": target})
    until(lambda: faults.held, "that the call before the door's is held")
    faults.add(**lock_of(target), answer="held")
    faults.release()
    run = stopped_while_at_work(pipeline, arn, "Open Cluster")
    assert_closed(pipeline, target, run.operation_id)
    modified = [call for call in pipeline.calls_since(last) if call.operation == "ModifyDBCluster"]
    assert len(modified) == 1, "the master password's, and no other"


@pytest.mark.full
def test_a_first_step_that_outlived_its_execution_begins_nothing(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(**lock_of(target), answer="held")
    run = stopped_while_at_work(pipeline, pipeline.start({"target_cluster_id": target}), "Check Snapshot Exists")
    assert_closed(pipeline, target, run.operation_id)


@pytest.mark.full
def test_a_first_step_that_outlived_its_execution_takes_no_operation_over(pipeline: Pipeline, target: str) -> None:
    first = stopped_while_at_work(pipeline, held_at_its_lock(pipeline, target))
    pipeline.aws.faults.add(**lock_of(target), answer="held")
    resumed = {"operation_id": first.operation_id, "resume": True}
    stopped_while_at_work(pipeline, pipeline.start(resumed), "Check Snapshot Exists")
    assert_closed(pipeline, target, first.operation_id)
    state = pipeline.state(first.operation_id)
    assert state is not None
    assert state["execution_id"]["S"] == first.execution_arn
    third = pipeline.run(resumed)
    assert third.status == "SUCCEEDED", third.reason


def test_a_run_that_was_stopped_is_redriven_and_holds_its_lock_again(pipeline: Pipeline, target: str) -> None:
    run = stopped_while_at_work(pipeline, held_at_its_lock(pipeline, target))
    pipeline.aws.client("stepfunctions").redrive_execution(executionArn=run.execution_arn)
    until(lambda: pipeline.holder(target) == run.execution_arn, "that the redriven run holds its lock")
    states = pipeline.aws.client("stepfunctions")
    until(
        lambda: states.describe_execution(executionArn=run.execution_arn)["status"] != "RUNNING",
        "that the redriven run ends",
    )
    again = pipeline.end(run.execution_arn)
    assert again.status == "SUCCEEDED", again.reason
    assert pipeline.holder(target) is None


@pytest.mark.full
def test_another_run_takes_the_lock_that_a_stopped_one_left(pipeline: Pipeline, target: str) -> None:
    stopped_while_at_work(pipeline, held_at_its_lock(pipeline, target))
    second = pipeline.run({"target_cluster_id": target})
    assert second.status == "SUCCEEDED", second.reason
