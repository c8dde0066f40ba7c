"""aurora-restore-snapshot-check: a good request becomes a plan, a bad one changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from msgspec import convert

from tests.unit.conftest import LogLines
from tests.unit.fakes.machine import FakeMachine
from tests.unit.fakes.rds import FakeRds
from tests.unit.support import (
    ACCOUNT,
    AUDIT_TABLE,
    EXECUTION,
    NOW,
    OPERATION,
    OTHER_EXECUTION,
    SOURCE_REGION,
    STATE_TABLE,
    TARGET,
    calling,
    lost_answer,
)
from utils.aws import client
from utils.contracts.plan import FoundSnapshot
from utils.errors import RequestRefused, StepFailed, TemporaryFailure
from utils.state.durations import SourceDurations
from utils.state.lock import TargetLock
from utils.state.operation import OperationState

pytestmark = pytest.mark.usefixtures("surroundings")

check = calling("snapshot-check")


def asking(request: Any, execution_id: str = EXECUTION) -> dict[str, Any]:
    return {
        "execution": {
            "execution_id": execution_id,
            "execution_name": execution_id.rsplit(":", 1)[-1],
            "started_at": NOW.isoformat(),
            "now": NOW.isoformat(),
        },
        "request": request,
    }


@pytest.fixture(autouse=True)
def production(rds: FakeRds) -> None:
    rds.add_snapshot("rds:prod-orders-2026-03-10")
    rds.add_cluster("prod-orders")


def lock_is_free() -> bool:
    return TargetLock(TARGET, "another", OTHER_EXECUTION).take(NOW) is None


def items(table: str) -> list[Any]:
    return list(client("dynamodb").scan(TableName=table)["Items"])


def test_an_empty_request_becomes_the_plan_of_the_configured_refresh(rds: FakeRds) -> None:
    plan = check(asking({}))
    assert plan["operation_id"] == OPERATION
    assert plan["target_cluster_id"] == TARGET
    assert plan["snapshot"]["identifier"] == "rds:prod-orders-2026-03-10"
    assert plan["copy_needed"] is False
    assert plan["delete_source"] is False
    assert plan["dry_run"] is False
    assert rds.changes() == []


def test_what_was_seen_of_the_source_is_in_the_plan_and_in_the_first_state() -> None:
    source = check(asking({"dry_run": True}))["snapshot"]
    SourceDurations(convert(source, FoundSnapshot)).add({"create-cluster": 1200.0}, NOW, NOW)
    plan = check(asking({}, OTHER_EXECUTION))
    record = OperationState(plan["operation_id"], OTHER_EXECUTION, NOW).recall()
    assert record is not None
    assert plan["expected_seconds"] == record.expected == {"create-cluster": 1200}
    assert plan["phases"] == record.phases == ["create-cluster", "modify-cluster", "create-instances", "open-door"]
    assert len(plan["expected_minutes"]) == len(record.expected_end) == 2


def test_the_operations_first_state_holds_request_and_plan_and_the_lock_is_taken() -> None:
    plan = check(asking({"instance_count": 3}))
    record = OperationState(OPERATION, EXECUTION, NOW).recall()
    assert record is not None
    assert (record.state, record.status) == ("snapshot-check", "running")
    assert record.parameters["instance_count"] == 3
    assert record.plan["cluster"]["identifier"] == plan["cluster"]["identifier"]
    assert not lock_is_free()
    (event,) = items(AUDIT_TABLE)
    assert event["event_type"] == {"S": "snapshot-check"}


def test_an_operation_may_have_a_name_of_its_own() -> None:
    assert check(asking({"operation_id": "drill-7"}))["operation_id"] == "drill-7"


def test_a_dry_run_plans_and_holds_nothing() -> None:
    assert check(asking({"dry_run": True}))["dry_run"] is True
    assert lock_is_free()
    record = OperationState(OPERATION, EXECUTION, NOW).recall()
    assert record is not None
    assert record.status == "planned"


def test_a_snapshot_of_another_region_is_looked_for_there(source_rds: FakeRds) -> None:
    source_rds.add_snapshot("prod-orders-weekly")
    plan = check(asking({"source_region": SOURCE_REGION}))
    assert plan["copy_needed"] is True
    assert SOURCE_REGION in plan["copy"]["steps"][0]["source_arn"]


def test_an_arn_of_another_region_wins_over_the_stacks_own(source_rds: FakeRds) -> None:
    arn = f"arn:aws:rds:{SOURCE_REGION}:{ACCOUNT}:cluster-snapshot:prod-orders-weekly"
    source_rds.add_snapshot("prod-orders-weekly")
    assert check(asking({"snapshot_identifier": arn}))["snapshot"]["arn"] == arn


@pytest.mark.parametrize(
    "request_given",
    [
        "no object",
        {"prot": 1},
        {"target_cluster_id": "prod-orders"},
        {"target_cluster_id": "taken"},
        {"snapshot_identifier": "no-such-snapshot"},
        {"snapshot_date": "2026-01-01"},
        {"max_snapshot_age_hours": 1},
        {"delete_source": True},
        {"delete_source": True, "confirm_delete_source": "prod"},
    ],
)
def test_rule_10_a_refused_request_leaves_no_trace_but_its_refusal(rds: FakeRds, request_given: Any) -> None:
    rds.add_cluster("taken")
    with pytest.raises(RequestRefused):
        check(asking(request_given))
    assert rds.changes() == []
    assert items(STATE_TABLE) == []
    assert lock_is_free()


def test_rule_6_a_second_run_for_the_same_target_is_refused_and_told_who_is_first() -> None:
    check(asking({}))
    with pytest.raises(
        RequestRefused, match=f"target_cluster_id: another execution is working on '{TARGET}': {EXECUTION}"
    ) as refused:
        check(asking({}, OTHER_EXECUTION))
    assert f"aws stepfunctions stop-execution --execution-arn {EXECUTION} --region us-east-1" in str(refused.value)
    assert OperationState("somebody-elses", OTHER_EXECUTION, NOW).recall() is None


def test_rule_6_the_lock_of_a_run_that_died_is_taken_over_and_that_is_in_the_audit(machine: FakeMachine) -> None:
    check(asking({}))
    machine.statuses[EXECUTION] = "ABORTED"
    assert check(asking({}, OTHER_EXECUTION))["operation_id"] == "somebody-elses"
    taken = [each for each in items(AUDIT_TABLE) if each["status"] == {"S": "taken-over"}]
    assert [each["event_details"]["M"]["execution_id"]["S"] for each in taken] == [EXECUTION]


def test_an_operation_id_whose_run_is_at_work_is_refused() -> None:
    check(asking({"operation_id": "drill-7"}))
    with pytest.raises(RequestRefused, match="operation_id: 'drill-7' was used before by another execution, which is"):
        check(asking({"operation_id": "drill-7", "target_cluster_id": "drill-orders"}, OTHER_EXECUTION))
    assert TargetLock("drill-orders", "x", "y").take(NOW) is None, "the refused run holds no lock"


def test_rule_5_checking_again_is_as_good_as_once() -> None:
    assert check(asking({})) == check(asking({}))


def test_rule_5_checking_again_after_a_lost_answer_succeeds() -> None:
    with lost_answer(client("dynamodb"), "dynamodb", "PutItem"), pytest.raises(TemporaryFailure):
        check(asking({}))
    assert check(asking({}))["operation_id"] == OPERATION


@pytest.mark.parametrize(("code", "error"), [("Throttling", TemporaryFailure), ("AccessDenied", StepFailed)])
def test_an_rds_that_doesnt_answer_refuses_no_request(rds: FakeRds, code: str, error: type[Exception]) -> None:
    rds.refuse("DescribeDBClusterSnapshots", code, times=5)
    with pytest.raises(error):
        check(asking({}))


def test_a_refusal_is_logged_with_its_reason(logs: LogLines) -> None:
    with pytest.raises(RequestRefused):
        check(asking({"port": 80}))
    (line,) = logs.entries()
    assert line["error"] == "RequestRefused"
    assert line["cause"].startswith("port: 80 is out of range")
    assert line["operation_id"] == OPERATION


def test_the_source_may_be_where_nobody_answers(source_rds: FakeRds) -> None:
    source_rds.add_snapshot("weekly")
    source_rds.lose_answer("DescribeDBClusterSnapshots")
    with pytest.raises(TemporaryFailure, match="AWS could not be reached") as failed:
        check(asking({"source_region": SOURCE_REGION}))
    assert isinstance(failed.value.__cause__, ReadTimeoutError)
