"""The first step and the last one mean the same operation, and an execution without one takes no other's name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.support import EXECUTION, NOW, OPERATION, OTHER_EXECUTION, a_plan, an_execution
from utils.operation.identity import is_scheduled, operation_at_end, operation_id_of
from utils.request.fields import RestoreRequest
from utils.state.operation import OperationState

MOMENT = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
SCHEDULED = NOW.strftime("scheduled-%Y%m%dT%H%M%SZ")

pytestmark = pytest.mark.usefixtures("surroundings")


def opened(operation_id: str, execution: str = EXECUTION) -> None:
    OperationState(operation_id, execution, NOW).open("snapshot-check", {}, a_plan(), "running")


@pytest.mark.parametrize(
    ("request_given", "operation_id"),
    [
        ({}, OPERATION),
        ({"operation_id": "drill"}, "drill"),
        ({"scheduled_at": MOMENT}, SCHEDULED),
        ({"scheduled_at": MOMENT, "operation_id": "drill"}, SCHEDULED),
        ({"scheduled_at": MOMENT, "dry_run": True}, OPERATION),
        ({"scheduled_at": MOMENT, "operation_id": "drill", "dry_run": True}, "drill"),
    ],
)
def test_both_ends_mean_the_same_operation(request_given: dict[str, Any], operation_id: str) -> None:
    assert operation_id_of(RestoreRequest(**request_given), an_execution()) == operation_id
    opened(operation_id)
    found = operation_at_end(request_given, an_execution(), stopped=False)
    assert found.record is not None
    assert (found.record.operation_id, found.named) == (operation_id, None)


@pytest.mark.parametrize(
    "request_given", ["x", [], None, {"operation_id": 7}, {"scheduled_at": "never"}, {"operation_id": "#"}]
)
def test_an_execution_without_an_operation_is_recorded_under_its_name(request_given: Any) -> None:
    found = operation_at_end(request_given, an_execution(), stopped=True)
    assert (found.state.operation_id, found.record, found.named) == (OPERATION, None, None)


def test_another_executions_operation_is_named_and_not_taken() -> None:
    opened("drill", OTHER_EXECUTION)
    found = operation_at_end({"operation_id": "drill"}, an_execution(), stopped=False)
    assert (found.state.operation_id, found.record) == (OPERATION, None)
    assert found.named is not None
    assert found.named.execution_id == OTHER_EXECUTION


def test_a_name_that_is_taken_gets_a_record_beside_it() -> None:
    opened(OPERATION, OTHER_EXECUTION)
    found = operation_at_end({}, an_execution(), stopped=False)
    assert (found.state.operation_id, found.record) == (f"execution#{OPERATION}", None)


@pytest.mark.parametrize(
    ("changed", "stopped", "operation_id"),
    [
        ({}, True, SCHEDULED),
        ({}, False, OPERATION),
        ({"dry_run": True}, True, OPERATION),
        ({"scheduled_at": "2020-01-01T00:00:00Z"}, True, OPERATION),
    ],
)
def test_a_moment_is_closed_only_for_a_first_step_that_may_outlive_its_execution(
    changed: dict[str, Any], stopped: bool, operation_id: str
) -> None:
    found = operation_at_end({"scheduled_at": MOMENT, **changed}, an_execution(), stopped=stopped)
    assert found.state.operation_id == operation_id


def test_a_request_is_a_schedules_by_its_moment() -> None:
    assert is_scheduled({"scheduled_at": MOMENT})
    assert not any(map(is_scheduled, ({}, None, {"scheduled_at": 7}, {"scheduled_at": "soon"})))
