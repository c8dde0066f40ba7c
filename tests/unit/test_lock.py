"""Rule 6: two runs for one target can't overlap."""

from __future__ import annotations

import datetime as dt

import pytest
from botocore.exceptions import ReadTimeoutError

from tests.unit.fake_machine import FakeMachine
from tests.unit.support import EXECUTION, NOW, OPERATION, OTHER_EXECUTION, STATE_TABLE, TARGET, lost_answer
from utils.aws import client
from utils.lock import LOCK_SECONDS, LockHolder, TargetLock

pytestmark = pytest.mark.usefixtures("account", "machine")

LATER = NOW + dt.timedelta(hours=1)
EXPIRED = NOW + dt.timedelta(seconds=LOCK_SECONDS + 1)


def ours(target: str = TARGET) -> TargetLock:
    return TargetLock(target, OPERATION, EXECUTION)


def theirs() -> TargetLock:
    return TargetLock(TARGET, "another-operation", OTHER_EXECUTION)


def test_a_free_lock_is_taken() -> None:
    assert ours().hold(NOW) is None


def test_rule_6_a_lock_that_somebody_holds_is_refused_and_its_holder_named() -> None:
    ours().hold(NOW)
    assert theirs().hold(LATER) == LockHolder(
        execution_id=EXECUTION, operation_id=OPERATION, expires_at=NOW + dt.timedelta(seconds=LOCK_SECONDS)
    )


def test_each_step_renews_the_lock() -> None:
    ours().hold(NOW)
    assert ours().hold(LATER) is None
    holder = theirs().hold(LATER)
    assert holder is not None
    assert holder.expires_at == LATER + dt.timedelta(seconds=LOCK_SECONDS)


def test_rule_5_taking_the_lock_again_after_a_lost_answer_succeeds() -> None:
    with lost_answer(client("dynamodb"), "dynamodb", "PutItem"), pytest.raises(ReadTimeoutError):
        ours().hold(NOW)
    assert ours().hold(NOW) is None


@pytest.mark.parametrize("status", ["RUNNING", "PENDING_REDRIVE"])
def test_rule_6_a_run_that_is_at_work_keeps_its_lock_even_when_it_has_expired(
    machine: FakeMachine, status: str
) -> None:
    ours().hold(NOW)
    machine.statuses[EXECUTION] = status
    taking = theirs().claim(EXPIRED)
    assert taking.held_by is not None
    assert taking.held_by.execution_id == EXECUTION
    assert ours().hold(EXPIRED) is None


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED", "SUCCEEDED", None])
def test_a_dead_runs_lock_is_taken_over_at_once(machine: FakeMachine, status: str | None) -> None:
    """None: Step Functions doesn't know the execution any more."""
    ours().hold(NOW)
    del machine.statuses[EXECUTION]
    if status:
        machine.statuses[EXECUTION] = status
    taking = theirs().claim(NOW)
    assert taking.held_by is None
    assert taking.taken_from is not None
    assert taking.taken_from.execution_id == EXECUTION
    assert theirs().hold(NOW) is None


def test_rule_6_of_two_that_find_a_dead_run_one_gets_its_lock(machine: FakeMachine) -> None:
    ours().hold(NOW)
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
    ours().hold(NOW)
    machine.statuses[EXECUTION] = "FAILED"
    assert theirs().hold(EXPIRED) is not None
    assert machine.operations() == []


def test_the_lock_of_another_machines_run_is_respected_until_it_expires(machine: FakeMachine) -> None:
    """Which of its executions are at work can't be asked."""
    foreign = EXECUTION.replace(":aurora-restore:", ":another-machine:")
    TargetLock(TARGET, "theirs", foreign).hold(NOW)
    held_by = ours().claim(LATER).held_by
    assert held_by is not None
    assert held_by.execution_id == foreign
    assert ours().claim(EXPIRED).held_by is None
    assert machine.operations() == []


def test_rule_6_a_run_that_lost_its_lock_doesnt_get_it_back(machine: FakeMachine) -> None:
    ours().hold(NOW)
    machine.statuses[EXECUTION] = "TIMED_OUT"
    theirs().claim(EXPIRED)
    holder = ours().hold(EXPIRED)
    assert holder is not None
    assert holder.execution_id == OTHER_EXECUTION


def test_a_released_lock_is_free() -> None:
    ours().hold(NOW)
    ours().release()
    assert theirs().hold(NOW) is None


def test_releasing_twice_is_as_good_as_once() -> None:
    ours().hold(NOW)
    ours().release()
    ours().release()


def test_rule_6_nobody_can_release_anothers_lock() -> None:
    ours().hold(NOW)
    theirs().release()
    assert theirs().hold(NOW) is not None


def test_locks_of_two_targets_are_two() -> None:
    ours().hold(NOW)
    assert TargetLock("drill-orders", "another-operation", OTHER_EXECUTION).hold(NOW) is None


def test_a_lock_that_vanished_while_it_was_looked_at_still_has_a_name() -> None:
    ours().hold(NOW)

    def vanish(**_: object) -> None:
        client("dynamodb").delete_item(TableName=STATE_TABLE, Key={"operation_id": {"S": f"lock#{TARGET}"}})

    client("dynamodb").meta.events.register("before-call.dynamodb.GetItem", vanish)
    try:
        holder = theirs().hold(NOW)
    finally:
        client("dynamodb").meta.events.unregister("before-call.dynamodb.GetItem", vanish)
    assert holder is not None
    assert holder.execution_id == "an execution that has just ended"
