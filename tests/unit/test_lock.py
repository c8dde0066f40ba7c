"""Rule 6: two runs for one target can't overlap."""

from __future__ import annotations

import datetime as dt

import pytest
from botocore.exceptions import ReadTimeoutError

from tests.unit.support import EXECUTION, NOW, OPERATION, OTHER_EXECUTION, STATE_TABLE, TARGET, lost_answer
from utils.aws import client
from utils.lock import LOCK_SECONDS, LockHolder, TargetLock

pytestmark = pytest.mark.usefixtures("account")

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
    assert theirs().hold(EXPIRED) is not None


def test_rule_5_taking_the_lock_again_after_a_lost_answer_succeeds() -> None:
    with lost_answer(client("dynamodb"), "dynamodb", "PutItem"), pytest.raises(ReadTimeoutError):
        ours().hold(NOW)
    assert ours().hold(NOW) is None


def test_a_dead_runs_lock_expires_by_itself() -> None:
    """DynamoDB removes expired items days late; that must not matter."""
    ours().hold(NOW)
    assert theirs().hold(EXPIRED) is None


def test_rule_6_a_run_that_lost_its_lock_doesnt_get_it_back() -> None:
    ours().hold(NOW)
    theirs().hold(EXPIRED)
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
