"""One run for a target, and none of its work lost: takeover, resumption, duplicates, end to end."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.aurora_restore.executions import events_after
from scripts.local_run.production import Production
from scripts.local_run.stage import OTHER_REGION
from tests.integration.pipeline.support import Pipeline, Run, until
from tests.integration.tiers import one_and_the_rest

MADE_ONCE = ("RestoreDBClusterFromSnapshot", "CreateDBInstance", "CopyDBClusterSnapshot")


def ended(run: Run, status: str = "FAILED") -> Run:
    assert run.status == status, run.reason
    return run


def stop_when(pipeline: Pipeline, arn: str, state: str) -> Run:
    """Stop the execution by hand once it is in the state, as somebody on call would."""
    states, seen = pipeline.aws.client("stepfunctions"), list[dict[str, Any]]()

    def has_come() -> bool:
        new = events_after(states, arn, known=len(seen))
        seen.extend(new)
        return any(each.get("stateEnteredEventDetails", {}).get("name") == state for each in new)

    until(has_come, f"that the execution comes to {state}")
    states.stop_execution(executionArn=arn, error="Stopped", cause="by a test")
    return pipeline.end(arn)


def final_word(pipeline: Pipeline, arn: str) -> dict[str, Any]:
    """How an execution ended of which nobody is told."""
    states = pipeline.aws.client("stepfunctions")
    until(lambda: states.describe_execution(executionArn=arn)["status"] != "RUNNING", "the execution's end")
    pipeline.aws.events.settle()
    return dict(states.describe_execution(executionArn=arn))


def await_item(pipeline: Pipeline, key: str) -> None:
    until(lambda: pipeline.state(key), f"the state table's item {key}")


def test_a_run_that_failed_is_resumed_with_what_it_has_made(
    pipeline: Pipeline, distant_production: Production, key: str, target: str
) -> None:
    """Copy and cluster are made; then the function that sets up users dies until somebody has mended it."""
    request = {"target_cluster_id": target, "source_region": OTHER_REGION, "kms_key_id": key, "on_failure": "keep"}
    pipeline.aws.faults.add(function="aurora-restore-setup-db-users", die="before", times=4)
    first = ended(pipeline.run(request))
    (message,) = first.messages
    assert f'"operation_id": "{first.operation_id}"' in message["message"]
    # A look that is refused is told as well, instead of what it would have found.
    assert "Copied snapshot " in message["message"]

    second = ended(pipeline.run({**request, "operation_id": first.operation_id}), "SUCCEEDED")
    assert [change for change in second.changes if change in MADE_ONCE] == []
    assert "Copy Snapshot" not in second.states()
    assert any("already copied" in line for line in second.output["plan"]["resumed"])
    assert any("cluster already created" in line for line in second.output["plan"]["resumed"])
    (message,) = second.messages
    assert "Resumed    " in message["message"]
    assert ("snapshot-check", "resumed") in pipeline.audit(first.operation_id)
    assert pipeline.copies_of(first.operation_id) == []
    found = pipeline.state(first.operation_id)
    assert found is not None
    assert (found["status"]["S"], found["execution_id"]["S"]) == ("succeeded", second.execution_arn)
    assert pipeline.holder(target) is None


@pytest.mark.full
def test_what_the_clean_up_took_away_is_made_anew(
    pipeline: Pipeline, distant_production: Production, key: str, target: str
) -> None:
    request = {"target_cluster_id": target, "source_region": OTHER_REGION, "kms_key_id": key}
    pipeline.aws.faults.add(lifecycle="create-instance", status="incompatible-network")
    first = ended(pipeline.run(request))
    assert pipeline.cluster(target) is None
    second = ended(pipeline.run({"operation_id": first.operation_id}), "SUCCEEDED")
    # The instance is requested at once, and again when the cluster has been changed.
    assert [change for change in second.changes if change in MADE_ONCE] == [
        "CopyDBClusterSnapshot",
        "RestoreDBClusterFromSnapshot",
        "CreateDBInstance",
        "CreateDBInstance",
    ]


@pytest.mark.full
def test_a_run_that_was_stopped_by_hand_is_resumed_where_it_was(
    pipeline: Pipeline, distant_production: Production, key: str, target: str
) -> None:
    """While it waits for the copy; and what resumes it, while it waits for the cluster."""
    request = {"target_cluster_id": target, "source_region": OTHER_REGION, "kms_key_id": key}
    first = stop_when(pipeline, pipeline.start(request), "Wait for Copy")
    assert first.status == "ABORTED"
    resumed = {**request, "operation_id": first.operation_id}
    mark = pipeline.last_call()
    second = stop_when(pipeline, pipeline.start(resumed), "Wait for Restore")
    assert second.status == "ABORTED"
    asked = [call.operation for call in pipeline.calls_since(mark)]
    third = ended(pipeline.run(resumed), "SUCCEEDED")
    assert asked.count("RestoreDBClusterFromSnapshot") <= 1
    assert third.changes.count("RestoreDBClusterFromSnapshot") <= 1
    assert pipeline.cluster(target) is not None
    assert pipeline.copies_of(first.operation_id) == []


@pytest.mark.full
def test_a_run_that_fails_again_can_be_resumed_again(pipeline: Pipeline, target: str) -> None:
    request = {"target_cluster_id": target, "on_failure": "keep"}
    pipeline.aws.faults.add(function="aurora-restore-setup-db-users", die="before", times=8)
    first = ended(pipeline.run(request))
    resumed = {"operation_id": first.operation_id}
    ended(pipeline.run(resumed))
    third = ended(pipeline.run(resumed), "SUCCEEDED")
    assert [change for change in third.changes if change in MADE_ONCE] == []


@pytest.mark.parametrize(
    ("different", "named"), one_and_the_rest([({"instance_count": 2}, "instance_count"), ({"port": 6000}, "port")])
)
def test_a_request_for_something_else_isnt_a_resumption(
    pipeline: Pipeline, target: str, different: dict[str, Any], named: str
) -> None:
    pipeline.aws.faults.add(lifecycle="create-instance", status="incompatible-network")
    first = ended(pipeline.run({"target_cluster_id": target, "port": 5555, "instance_count": 1}))
    second = ended(pipeline.run({"operation_id": first.operation_id, "target_cluster_id": target, **different}))
    assert second.followed.error == "RequestRefused"
    assert second.reason.startswith(f"RequestRefused: {named}: ")
    assert "leave operation_id out" in second.reason
    assert second.changes == []


@pytest.mark.full
def test_an_operation_that_is_at_work_or_has_succeeded_isnt_resumed(pipeline: Pipeline, target: str) -> None:
    arn = pipeline.start({"target_cluster_id": target})
    name = arn.rsplit(":", 1)[-1]
    await_item(pipeline, name)
    during = ended(pipeline.run({"operation_id": name, "target_cluster_id": target}))
    assert f"still running: {arn}" in during.reason
    assert pipeline.end(arn).status == "SUCCEEDED"
    after = ended(pipeline.run({"operation_id": name, "target_cluster_id": target}))
    assert after.followed.error == "RequestRefused"
    assert "has succeeded" in after.reason
    assert pipeline.cluster(target) is not None


@pytest.mark.full
def test_a_cluster_that_somebody_deleted_in_between_isnt_made_again(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(lifecycle="create-instance", status="incompatible-network")
    first = ended(pipeline.run({"target_cluster_id": target, "on_failure": "keep"}))
    pipeline.remove(target)
    second = ended(pipeline.run({"operation_id": first.operation_id}))
    assert "was deleted or renamed since" in second.reason
    assert second.changes == []


# The lock


def test_a_dead_runs_lock_is_taken_over_at_once(pipeline: Pipeline, target: str) -> None:
    """Its execution ended without giving the lock back: neither the machine nor EventBridge could."""
    pipeline.aws.faults.add(function="aurora-restore-sns-notification", die="before", times=100)
    arn = pipeline.start({"target_cluster_id": target})
    await_item(pipeline, f"lock#{target}")
    pipeline.aws.client("stepfunctions").stop_execution(executionArn=arn, error="Stopped", cause="by a test")
    final_word(pipeline, arn)
    # Lambda tries an event again after minutes; by then that is over.
    pipeline.aws.clock.sleep(900)
    pipeline.aws.faults.clear()
    lock = pipeline.state(f"lock#{target}")
    assert lock is not None
    assert lock["execution_id"]["S"] == arn
    pipeline.remove(target)

    second = ended(pipeline.run({"target_cluster_id": target}), "SUCCEEDED")
    assert ("lock", "taken-over") in pipeline.audit(second.operation_id)
    assert pipeline.holder(target) is None


@pytest.mark.full
def test_the_lock_of_a_run_that_is_at_work_is_kept_even_when_it_has_expired(pipeline: Pipeline, target: str) -> None:
    arn = pipeline.start({"target_cluster_id": target})
    tables, table = pipeline.aws.client("dynamodb"), pipeline.place.stack.outputs["StateTableName"]
    await_item(pipeline, f"lock#{target}")
    tables.update_item(
        TableName=table,
        Key={"operation_id": {"S": f"lock#{target}"}},
        UpdateExpression="SET lock_expires_at = :long_ago",
        ExpressionAttributeValues={":long_ago": {"N": "1"}},
    )
    second = ended(pipeline.run({"target_cluster_id": target}))
    assert second.followed.error == "RequestRefused"
    assert target in second.reason
    assert pipeline.end(arn).status == "SUCCEEDED"


# The schedule


def event_of_now(pipeline: Pipeline, target: str) -> tuple[dict[str, Any], str]:
    """What a schedule brings at this moment, and the operation that it names."""
    moment = pipeline.aws.clock.now()
    event = {"target_cluster_id": target, "scheduled_at": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}
    return event, f"scheduled-{moment:%Y%m%dT%H%M%SZ}"


def test_a_schedules_second_event_is_refused_without_a_word_and_the_first_run_goes_on(
    pipeline: Pipeline, target: str
) -> None:
    event, operation = event_of_now(pipeline, target)
    pipeline.place.received_messages()
    first = pipeline.start(event)
    await_item(pipeline, operation)
    found = final_word(pipeline, pipeline.start(event))
    assert (found["status"], found["error"]) == ("FAILED", "DuplicateRefused")
    assert first in found["cause"]
    done = ended(pipeline.end(first), "SUCCEEDED")
    assert len(done.messages) == 1
    assert pipeline.state(found["name"]) is None

    before = (pipeline.state(operation), pipeline.audit(operation))
    assert final_word(pipeline, pipeline.start(event))["error"] == "DuplicateRefused"
    assert pipeline.place.received_messages() == []
    assert (pipeline.state(operation), pipeline.audit(operation)) == before


@pytest.mark.full
def test_a_scheduled_run_that_failed_is_resumed_by_hand(pipeline: Pipeline, target: str) -> None:
    event, operation = event_of_now(pipeline, target)
    pipeline.aws.faults.add(lifecycle="create-instance", status="incompatible-network")
    first = ended(pipeline.run(event))
    (message,) = first.messages
    assert f'"operation_id": "{operation}"' in message["message"]
    assert "scheduled_at" not in message["message"]
    second = ended(pipeline.run({"operation_id": operation}), "SUCCEEDED")
    assert second.output["plan"]["cluster"]["identifier"] == target
