"""The state and audit tables, against DynamoDB's own rules."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.unit.support import (
    AUDIT_TABLE,
    EXECUTION,
    NOW,
    OPERATION,
    OTHER_EXECUTION,
    STATE_TABLE,
    a_plan,
    lost_answer,
)
from utils.aws import attribute, client, value_of
from utils.errors import RequestRefused, StepFailed, TemporaryFailure
from utils.request.fields import RestoreRequest
from utils.state.operation import OperationRecord, OperationState
from utils.state.values import iso, plain, unstored

pytestmark = pytest.mark.usefixtures("account")


def state_at(minutes: float = 0, execution_id: str = EXECUTION) -> OperationState:
    return OperationState(OPERATION, execution_id, NOW + dt.timedelta(minutes=minutes))


def opened() -> OperationState:
    state = state_at()
    state.open("snapshot-check", RestoreRequest(target_cluster_id="staging-orders"), a_plan(), "running")
    return state


def record() -> OperationRecord:
    found = state_at().recall()
    assert found is not None
    return found


def audit_trail() -> list[dict[str, Any]]:
    return client("dynamodb").scan(TableName=AUDIT_TABLE)["Items"]


def test_an_operation_nobody_opened_is_unknown() -> None:
    assert state_at().recall() is None


def test_what_was_opened_is_recalled_in_full() -> None:
    opened()
    found = record()
    assert found.execution_id == EXECUTION
    assert (found.state, found.status) == ("snapshot-check", "running")
    assert found.started_at == found.last_updated == found.step_times["snapshot-check"] == "2026-03-10T03:00:00.000Z"
    assert found.parameters["target_cluster_id"] == "staging-orders"
    assert found.plan["snapshot"]["age_hours"] == Decimal("3.0")
    assert found.plan["cluster"]["vpc_security_group_ids"] == ["sg-0123456789abcdef0"]


def test_an_operation_id_belongs_to_one_execution_for_good() -> None:
    opened()
    with pytest.raises(RequestRefused, match=f"operation_id: '{OPERATION}' was used before by another execution"):
        state_at(60, OTHER_EXECUTION).open("snapshot-check", {}, {}, "running")
    assert record().execution_id == EXECUTION


def test_rule_5_opening_again_after_a_lost_answer_succeeds() -> None:
    with lost_answer(client("dynamodb"), "dynamodb", "PutItem"), pytest.raises(ReadTimeoutError):
        opened()
    opened()
    assert record().status == "running"


def test_entering_a_step_notes_when_it_first_was() -> None:
    opened()
    state_at(5).enter("restore-snapshot")
    state_at(9).enter("restore-snapshot")
    found = record()
    assert found.state == "restore-snapshot"
    assert found.step_times["restore-snapshot"] == "2026-03-10T03:05:00.000Z"
    assert found.last_updated == "2026-03-10T03:09:00.000Z"


def test_facts_are_remembered_one_by_one() -> None:
    opened()
    state_at(1).remember(cluster_arn="arn:cluster", cluster_resource_id="cluster-OURS")
    state_at(2).remember(login_proven_at="2026-03-10T03:02:00.000Z")
    found = record()
    assert found.cluster_resource_id == "cluster-OURS"
    assert found.login_proven_at == "2026-03-10T03:02:00.000Z"
    assert found.users_ready_at is None


def test_another_execution_can_change_nothing() -> None:
    opened()
    other = state_at(1, OTHER_EXECUTION)
    changes: list[Callable[[], object]] = [
        lambda: other.enter("delete-rds"),
        lambda: other.remember(cluster_arn="x"),
        lambda: other.close("failed"),
    ]
    for change in changes:
        with pytest.raises(StepFailed, match="nothing of this execution"):
            change()
    assert (record().state, record().status, record().cluster_arn) == ("snapshot-check", "running", None)


def test_facts_of_an_operation_that_was_never_opened_are_not_stored() -> None:
    with pytest.raises(StepFailed, match="nothing of this execution"):
        state_at().remember(cluster_arn="x")


def test_closing_says_how_it_ended() -> None:
    opened()
    state_at(50).close("succeeded")
    assert (record().status, record().last_updated) == ("succeeded", "2026-03-10T03:50:00.000Z")


def test_rule_5_an_event_whose_call_the_client_repeats_is_written_once() -> None:
    """The answer of the first attempt is lost on its way to the client, which then sends the same once more."""
    state, sent = opened(), list[Any]()
    events: Any = client("dynamodb").meta.events

    def lose_the_first(attempts: int, caught_exception: Any = None, **_: Any) -> float | None:
        sent.append(caught_exception)
        return 0.0 if attempts == 1 else None

    events.register_first("needs-retry.dynamodb.PutItem", lose_the_first)
    try:
        state.audit("snapshot-check", "done", {})
    finally:
        events.unregister("needs-retry.dynamodb.PutItem", lose_the_first)
    assert len(sent) == 2
    assert len(audit_trail()) == 1


def test_state_and_audit_expire_by_themselves_and_the_audit_later() -> None:
    opened().audit("snapshot-check", "done", {})
    items = client("dynamodb").scan(TableName=STATE_TABLE)["Items"]
    (event,) = audit_trail()
    assert sorted(item["operation_id"]["S"].split("#")[0] for item in items) == [OPERATION, "plan"]
    assert {int(item["expires_at"]["N"]) for item in items} == {int((NOW + dt.timedelta(days=400)).timestamp())}
    assert int(event["expires_at"]["N"]) == int((NOW + dt.timedelta(days=800)).timestamp())


def test_a_field_of_a_later_version_doesnt_stop_a_running_execution() -> None:
    opened()
    client("dynamodb").update_item(
        TableName=STATE_TABLE,
        Key={"operation_id": {"S": OPERATION}},
        UpdateExpression="SET later_field = :value",
        ExpressionAttributeValues={":value": {"S": "x"}},
    )
    assert record().operation_id == OPERATION


# The plan's item


def state_item() -> dict[str, Any]:
    return client("dynamodb").get_item(TableName=STATE_TABLE, Key={"operation_id": {"S": OPERATION}})["Item"]


def test_the_plan_has_an_item_of_its_own_so_that_each_write_of_the_state_is_one_unit() -> None:
    opened()
    assert {"plan", "parameters"}.isdisjoint(state_item())
    assert len(str(state_item())) < 1024


def test_a_resume_writes_another_plan_and_the_state_names_the_one_that_counts() -> None:
    opened()
    first = record()
    successor = state_at(60, OTHER_EXECUTION)
    successor.hand_over(first, replace(a_plan(), warnings=["resumed"]), {})
    found = record()
    assert found.plan_item != first.plan_item
    assert found.plan["warnings"] == ["resumed"]
    assert found.parameters == first.parameters
    assert successor.with_plan(first).plan == first.plan, "which is left as it was"


def test_the_plan_of_an_execution_that_is_refused_counts_for_nobody() -> None:
    opened()
    with pytest.raises(RequestRefused):
        state_at(60, OTHER_EXECUTION).open("snapshot-check", {}, replace(a_plan(), warnings=["theirs"]), "running")
    assert record().plan["warnings"] == a_plan().warnings


def test_an_operation_that_was_planned_before_plans_had_items_is_still_read() -> None:
    opened().remember(plan_item=None, own_secrets=None, plan=a_plan(), parameters={"port": 5544})
    assert record().plan["target_cluster_id"] == record().plan["cluster"]["identifier"] == "staging-orders"
    assert record().parameters == {"port": 5544}


def test_a_record_that_was_read_without_its_plan_says_so() -> None:
    state = opened()
    found, beside = state.recall_beside("lock#nothing")
    assert found is not None
    assert beside is None
    with pytest.raises(LookupError, match="read without its plan"):
        _ = found.plan
    assert state.with_plan(found) == record()


def test_items_that_dynamodb_leaves_out_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    state = opened()
    answer = {"Responses": {}, "UnprocessedKeys": {STATE_TABLE: {"Keys": [{"operation_id": {"S": OPERATION}}]}}}
    monkeypatch.setattr(client("dynamodb"), "batch_get_item", lambda **_: answer)
    with pytest.raises(TemporaryFailure, match="left items of table"):
        state.recall_beside("lock#nothing")


# The audit trail


def test_events_of_one_moment_are_kept_apart() -> None:
    state = opened()
    for number in range(5):
        state.audit("restore-snapshot", "waiting", {"number": number})
    assert len(audit_trail()) == 5


def test_an_event_is_never_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if two events got one key, which otherwise only a repeat of the same call has."""

    class OneNumber:
        hex = "0123456789ab0000"

    monkeypatch.setattr("utils.state.operation.uuid.uuid4", OneNumber)
    state = opened()
    state.audit("restore-snapshot", "done", {"first": True})
    state.audit("restore-snapshot", "done", {"first": False})
    (event,) = audit_trail()
    assert event["event_details"] == {"M": {"first": {"BOOL": True}}}


def test_an_event_says_what_when_whose_and_how() -> None:
    opened().audit("copy-snapshot", "failed", {"error": "StepFailed"})
    (event,) = audit_trail()
    assert event["operation_id"] == {"S": OPERATION}
    assert event["execution_id"] == {"S": EXECUTION}
    assert event["timestamp"]["S"].startswith("2026-03-10T03:00:00.000Z#")
    assert event["event_type"] == {"S": "copy-snapshot"}
    assert event["status"] == {"S": "failed"}


# As DynamoDB takes it

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(values)
def test_no_float_is_left_in_what_goes_to_dynamodb(value: object) -> None:
    def floats(each: object) -> bool:
        if isinstance(each, dict):
            return any(map(floats, each.values()))
        return any(map(floats, each)) if isinstance(each, list) else isinstance(each, float)

    assert not floats(plain(value))


@given(values)
def test_whatever_a_request_holds_can_be_stored(value: object) -> None:
    attribute(plain(value))


def test_what_is_stored_comes_back_as_it_was() -> None:
    """Whole numbers as whole numbers: names and counts are made of them."""
    value = {"days": 7, "age": 26.5, "on": True, "none": None, "list": ["a", ""], "inner": [{"days": 0, "off": False}]}
    again = unstored(value_of(attribute(plain(value))))
    assert again == value
    assert [type(each) for each in (again["days"], again["inner"][0]["days"], again["on"])] == [int, int, bool]


def test_floats_are_stored_as_they_are_written() -> None:
    assert plain({"age": 0.1, "list": [2.5]}) == {"age": Decimal("0.1"), "list": [Decimal("2.5")]}


@given(st.datetimes(timezones=st.timezones()), st.datetimes(timezones=st.timezones()))
def test_written_times_sort_like_times(one: dt.datetime, other: dt.datetime) -> None:
    first, second = sorted((one.astimezone(dt.UTC), other.astimezone(dt.UTC)))
    assert iso(first) <= iso(second)
    assert len(iso(one)) == len("2026-03-10T03:00:00.000Z")
