"""Rule 6: two runs for one target can't overlap."""

from __future__ import annotations

import datetime as dt

import pytest
from botocore.exceptions import ReadTimeoutError

from tests.unit.fakes.machine import FakeMachine
from tests.unit.support import EXECUTION, NOW, OPERATION, OTHER_EXECUTION, STATE_TABLE, TARGET, lost_answer
from utils.aws import client
from utils.errors import StepFailed
from utils.state.lock import LOCK_SECONDS, LockHolder, TargetLock

pytestmark = pytest.mark.usefixtures("account", "machine")

LATER = NOW + dt.timedelta(hours=1)
EXPIRED = NOW + dt.timedelta(seconds=LOCK_SECONDS + 1)


def ours(target: str = TARGET) -> TargetLock:
    return TargetLock(target, OPERATION, EXECUTION)


def theirs() -> TargetLock:
    return TargetLock(TARGET, "another-operation", OTHER_EXECUTION)


def test_a_free_lock_is_taken() -> None:
    assert ours().take(NOW) is None


def test_rule_6_a_lock_that_somebody_holds_is_refused_and_its_holder_named() -> None:
    ours().take(NOW)
    assert theirs().take(LATER) == LockHolder(
        execution_id=EXECUTION, operation_id=OPERATION, expires_at=NOW + dt.timedelta(seconds=LOCK_SECONDS)
    )


def test_each_step_renews_the_lock() -> None:
    ours().take(NOW)
    assert ours().take(LATER) is None
    holder = theirs().take(LATER)
    assert holder is not None
    assert holder.expires_at == LATER + dt.timedelta(seconds=LOCK_SECONDS)


def test_rule_5_taking_the_lock_again_after_a_lost_answer_succeeds() -> None:
    with lost_answer(client("dynamodb"), "dynamodb", "PutItem"), pytest.raises(ReadTimeoutError):
        ours().take(NOW)
    assert ours().take(NOW) is None


@pytest.mark.parametrize("status", ["RUNNING", "PENDING_REDRIVE"])
def test_rule_6_a_run_that_is_at_work_keeps_its_lock_even_when_it_has_expired(
    machine: FakeMachine, status: str
) -> None:
    ours().take(NOW)
    machine.statuses[EXECUTION] = status
    taking = theirs().claim(EXPIRED)
    assert taking.held_by is not None
    assert taking.held_by.execution_id == EXECUTION
    assert ours().take(EXPIRED) is None


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED", "SUCCEEDED", None])
def test_a_dead_runs_lock_is_taken_over_at_once(machine: FakeMachine, status: str | None) -> None:
    """None: Step Functions doesn't know the execution any more."""
    ours().take(NOW)
    del machine.statuses[EXECUTION]
    if status:
        machine.statuses[EXECUTION] = status
    taking = theirs().claim(NOW)
    assert taking.held_by is None
    assert taking.taken_from is not None
    assert taking.taken_from.execution_id == EXECUTION
    assert theirs().take(NOW) is None


def test_rule_6_of_two_that_find_a_dead_run_one_gets_its_lock(machine: FakeMachine) -> None:
    ours().take(NOW)
    machine.statuses[EXECUTION] = "FAILED"
    third = EXECUTION.replace(OPERATION, "third")
    machine.statuses[third] = "RUNNING"

    def be_quicker(**_: object) -> None:
        client("stepfunctions").meta.events.unregister("before-call.sfn.DescribeExecution", be_quicker)
        assert TargetLock(TARGET, "third", third).claim(NOW).held_by is None

    client("stepfunctions").meta.events.register_first("before-call.sfn.DescribeExecution", be_quicker)
    taking = theirs().claim(NOW)
    assert taking.held_by is not None
    assert taking.held_by.execution_id == third


def test_a_step_that_isnt_the_first_takes_over_nothing(machine: FakeMachine) -> None:
    """Its role may not ask who is dead; and a run that lost its lock has nothing to go on with."""
    ours().take(NOW)
    machine.statuses[EXECUTION] = "FAILED"
    assert theirs().take(EXPIRED) is not None
    assert machine.operations() == []


def test_the_lock_of_another_machines_run_is_respected_until_it_expires(machine: FakeMachine) -> None:
    """Which of its executions are at work can't be asked."""
    foreign = EXECUTION.replace(":aurora-restore:", ":another-machine:")
    TargetLock(TARGET, "theirs", foreign).take(NOW)
    held_by = ours().claim(LATER).held_by
    assert held_by is not None
    assert held_by.execution_id == foreign
    assert ours().claim(EXPIRED).held_by is None
    assert machine.operations() == []


def test_rule_6_a_run_that_lost_its_lock_doesnt_get_it_back(machine: FakeMachine) -> None:
    ours().take(NOW)
    machine.statuses[EXECUTION] = "TIMED_OUT"
    theirs().claim(EXPIRED)
    holder = ours().take(EXPIRED)
    assert holder is not None
    assert holder.execution_id == OTHER_EXECUTION


def test_a_released_lock_is_free() -> None:
    ours().take(NOW)
    ours().release(NOW)
    assert theirs().take(NOW) is None


def test_releasing_twice_is_as_good_as_once() -> None:
    ours().take(NOW)
    ours().release(NOW)
    ours().release(NOW)


def test_rule_6_nobody_can_release_anothers_lock() -> None:
    ours().take(NOW)
    theirs().release(NOW)
    assert theirs().take(NOW) is not None


def test_locks_of_two_targets_are_two() -> None:
    ours().take(NOW)
    assert TargetLock("drill-orders", "another-operation", OTHER_EXECUTION).take(NOW) is None


def test_a_lock_that_vanished_while_it_was_looked_at_still_has_a_name() -> None:
    ours().take(NOW)

    def vanish(**_: object) -> None:
        client("dynamodb").delete_item(TableName=STATE_TABLE, Key={"operation_id": {"S": f"lock#{TARGET}"}})

    client("dynamodb").meta.events.register("before-call.dynamodb.GetItem", vanish)
    try:
        holder = theirs().take(NOW)
    finally:
        client("dynamodb").meta.events.unregister("before-call.dynamodb.GetItem", vanish)
    assert holder is not None
    assert holder.execution_id == "an execution that has just ended"


# The step that was at work when its execution was stopped


def redriven() -> TargetLock:
    return TargetLock(TARGET, OPERATION, EXECUTION, redrive_count=1)


def is_ours(holder: LockHolder | None) -> bool:
    return holder is not None and holder.execution_id == EXECUTION


def test_rule_6_an_execution_that_released_its_lock_doesnt_take_it_again() -> None:
    ours().take(NOW)
    ours().release(NOW)
    assert is_ours(ours().hold(LATER))
    assert is_ours(ours().take(LATER))
    with pytest.raises(StepFailed, match="was closed while this step was still running"):
        ours().claim(LATER)
    assert theirs().take(LATER) is None


def test_nor_once_another_run_has_come_and_gone() -> None:
    ours().take(NOW)
    ours().release(NOW)
    theirs().take(LATER)
    theirs().release(LATER)
    holder = ours().hold(LATER)
    assert holder is not None
    assert holder.execution_id == OTHER_EXECUTION


def test_a_redriven_execution_takes_its_lock_again_and_shuts_the_attempt_before_out() -> None:
    ours().take(NOW)
    ours().release(NOW)
    assert redriven().hold(LATER) is None
    assert is_ours(ours().hold(LATER))
    ours().release(LATER)
    assert theirs().take(LATER) is not None
    redriven().release(LATER)
    assert theirs().take(LATER) is None


def test_a_redriven_execution_doesnt_wait_for_the_word_on_its_stop() -> None:
    """EventBridge may tell of it only after the redrive."""
    ours().take(NOW)
    assert redriven().hold(LATER) is None
    ours().release(LATER)
    assert redriven().hold(LATER) is None


def test_a_lock_that_was_given_back_may_be_taken_by_whom_it_was() -> None:
    ours().take(NOW)
    ours().give_back(NOW)
    assert ours().take(LATER) is None
    ours().give_back(NOW)
    assert theirs().take(LATER) is None


def test_a_released_lock_is_kept_longer_than_its_execution_can_be_redriven() -> None:
    ours().take(NOW)
    ours().release(NOW)
    (item,) = client("dynamodb").scan(TableName=STATE_TABLE)["Items"]
    assert int(item["expires_at"]["N"]) - NOW.timestamp() > dt.timedelta(days=14).total_seconds()
