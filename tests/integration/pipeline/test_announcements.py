"""Whole runs in which RDS's events come, are lost, come late or too early: they end waits and decide nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from scripts.local_aws.aurora.service import EventDelivery
from scripts.local_aws.server import LocalAws
from scripts.local_run.production import make_production
from scripts.local_run.stage import REGION
from tests.integration.pipeline.support import Pipeline, Repeated, Run, numbers, settle, until

Deliver = Callable[[EventDelivery], None]
# What a restore waits for and RDS announces.
ANNOUNCED = {"create-cluster", "create-instances"}


@pytest.fixture
def deliver(aws: LocalAws) -> Iterator[Deliver]:
    before = aws.aurora.event_delivery
    yield lambda delivery: setattr(aws.aurora, "event_delivery", delivery)
    aws.aurora.event_delivery = before


@pytest.fixture
def source(aws: LocalAws) -> str:
    """A source that nobody has restored before."""
    name = f"prod-announced-{next(numbers)}"
    make_production(aws, REGION, cluster=name)
    return name


def restore(pipeline: Pipeline, source: str) -> Run:
    target = f"target-{next(numbers)}"
    run = pipeline.run({"source_cluster_id": source, "target_cluster_id": target, "instance_count": 2})
    assert run.status == "SUCCEEDED", run.reason
    pipeline.remove(target)
    return run


def announced(pipeline: Pipeline, run: Run) -> set[str]:
    """The phases of which the run has recorded that an event announced their end."""
    item = pipeline.state(run.operation_id)
    assert item is not None
    return {each["S"] for each in item["announced"]["L"]}


@pytest.mark.full
def test_once_events_have_announced_its_ends_a_run_looks_seldom_and_loses_no_time(
    pipeline: Pipeline, repeated: Repeated
) -> None:
    _, first, learned = repeated
    assert announced(pipeline, first) == announced(pipeline, learned) == ANNOUNCED
    assert first.output["plan"]["announced"] == []
    assert set(learned.output["plan"]["announced"]) == ANNOUNCED
    looks = [run.states().count("Check Restore Status") for run in (first, learned)]
    assert looks[1] <= 6 < looks[0]
    # The embedded AWS takes as long each time.
    assert learned.followed.virtual_seconds <= first.followed.virtual_seconds + 30


@pytest.mark.full
def test_events_that_are_lost_once_cost_some_time_and_are_not_relied_on_the_next_time(
    pipeline: Pipeline, repeated: Repeated, deliver: Deliver
) -> None:
    """The waits end by time, and the next run looks as often as if there had never been any event."""
    source, _, learned = repeated
    assert set(learned.output["plan"]["announced"]) == ANNOUNCED
    deliver(EventDelivery(lost=True))
    missed = restore(pipeline, source)
    assert announced(pipeline, missed) == set()
    assert 0 <= missed.followed.virtual_seconds / learned.followed.virtual_seconds - 1 < 0.35
    after = restore(pipeline, source)
    assert after.output["plan"]["announced"] == []
    assert after.followed.virtual_seconds < missed.followed.virtual_seconds


@pytest.mark.full
def test_an_event_that_comes_before_its_end_costs_some_looks_and_is_not_relied_on(
    pipeline: Pipeline, source: str, deliver: Deliver
) -> None:
    """When RDS sends the event of a restored cluster is nowhere published."""
    deliver(EventDelivery(early=True))
    first, second = restore(pipeline, source), restore(pipeline, source)
    assert announced(pipeline, first) == announced(pipeline, second) == set()
    assert second.output["plan"]["announced"] == []
    assert second.followed.state_transitions < 120


@pytest.mark.full
def test_an_event_that_comes_late_ends_another_wait_and_no_harm_is_done(
    pipeline: Pipeline, source: str, deliver: Deliver
) -> None:
    first = restore(pipeline, source)
    deliver(EventDelivery(late_seconds=240))
    late = restore(pipeline, source)
    # Each of two ends is seen when its event comes at the latest, which the first run has learned to wait for.
    assert 0 < late.followed.virtual_seconds - first.followed.virtual_seconds < 2 * 240 + 60
    assert late.states().count("Wait for Restore by Time") == 0


@pytest.mark.full
def test_where_no_token_can_be_kept_the_wait_ends_by_its_time(pipeline: Pipeline, source: str) -> None:
    pipeline.aws.faults.add(
        operation="dynamodb:PutItem",
        parameters={"Item": "*task_token*"},
        code="ProvisionedThroughputExceededException",
        times=100,
    )
    run = restore(pipeline, source)
    pipeline.aws.faults.clear()
    waits = run.states()
    assert waits.count("Wait for Restore by Time") == waits.count("Wait for Restore") > 5
    assert waits.count("Wait for Instances by Time") == waits.count("Wait for Instances")
    assert announced(pipeline, run) == set()


@pytest.mark.full
def test_a_function_that_cannot_end_waits_delays_a_run_and_fails_none(pipeline: Pipeline, source: str) -> None:
    pipeline.aws.faults.add(function="*-end-wait", die="before", times=100)
    run = restore(pipeline, source)
    pipeline.aws.faults.clear()
    assert announced(pipeline, run) == set()


@pytest.mark.full
def test_a_run_that_is_stopped_while_it_waits_is_redriven_and_waits_anew(pipeline: Pipeline) -> None:
    """The token that it leaves is of no use any more. The stack's own target needs no secrets of its own."""
    pipeline.remove("target-orders")
    faults = pipeline.aws.faults
    faults.add(operation="dynamodb:PutItem", parameters={"Item": "*task_token*"}, answer="held")
    arn = pipeline.start({"target_cluster_id": "target-orders"})
    until(lambda: faults.held, "that the wait's call is held")
    states = pipeline.aws.client("stepfunctions")
    states.stop_execution(executionArn=arn, error="Stopped", cause="by a test")
    stopped = pipeline.end(arn)
    assert (stopped.status, stopped.states()[-1]) == ("ABORTED", "Wait for Restore")
    faults.release()
    settle(pipeline)
    mark = pipeline.last_call()
    states.redrive_execution(executionArn=arn)
    run = pipeline.end(arn, mark)
    assert run.status == "SUCCEEDED", run.reason
    assert run.changes.count("RestoreDBClusterFromSnapshot") == 0
    assert announced(pipeline, run) >= {"create-instances"}
    pipeline.remove("target-orders")
