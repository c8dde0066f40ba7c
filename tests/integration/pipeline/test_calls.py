"""What the default run asks of AWS once an earlier one of its source has been seen: a table, and its limits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.pipeline.counts import calls_by_operation, calls_of_evidence, table_of_calls, write_units
from tests.integration.pipeline.support import Repeated, Run


@pytest.fixture(scope="module")
def learned(repeated: Repeated) -> Run:
    # It stands beside the test's failure.
    print(table_of_calls({"first": repeated.first.calls, "learned": repeated.learned.calls}))  # noqa: T201
    return repeated.learned


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
