"""What the default run asks of AWS once an earlier one of its source has been seen: a table, and its limits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scripts.local_aws.server import LocalAws
from scripts.local_run.production import make_production
from scripts.local_run.stage import REGION, Stage
from tests.integration.pipeline.counts import calls_by_operation, calls_of_evidence, table_of_calls, write_units
from tests.integration.pipeline.support import Pipeline, Run, numbers

SOURCE = "prod-counted"


@pytest.fixture(scope="module")
def learned(aws: LocalAws, place: Stage) -> Run:
    """The second of two default runs of a source that nobody else restores."""
    make_production(aws, REGION, cluster=SOURCE)
    pipeline, runs = Pipeline(place), {}
    for kind in ("first", "learned"):
        target = f"target-{next(numbers)}"
        runs[kind] = pipeline.run({"source_cluster_id": SOURCE, "target_cluster_id": target, "instance_count": 2})
        assert runs[kind].status == "SUCCEEDED", runs[kind].reason
        pipeline.remove(target)
    print(table_of_calls({kind: run.calls for kind, run in runs.items()}))  # noqa: T201 it stands beside the test's failure
    return runs["learned"]


@pytest.mark.full
@pytest.mark.parametrize(
    ("number", "most"),
    [
        pytest.param(lambda run: calls_by_operation(run.calls).total(), 120, id="calls"),
        pytest.param(lambda run: calls_of_evidence(run.calls), 12, id="calls-of-evidence"),
        pytest.param(lambda run: write_units(run.calls), 58, id="write-units"),
        pytest.param(lambda run: run.followed.state_transitions, 39, id="transitions"),
    ],
)
def test_a_learned_run_asks_no_more_than_it_may(learned: Run, number: Callable[[Run], float], most: int) -> None:
    assert 0 < number(learned) <= most
