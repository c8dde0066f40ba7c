"""What the command reads is what the pipeline writes: the names of its fields, and the items of its own writer."""

from __future__ import annotations

import ast
import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.session import Session

from scripts.aurora_restore import executions, operations, published, starting
from scripts.aurora_restore.exits import CommandError
from scripts.aurora_restore.operations import Operations
from scripts.aurora_restore.stack import Stack
from tests.unit.messages.test_rollback import UNDONE
from tests.unit.operation.test_finishing import REPLACES
from tests.unit.support import (
    AUDIT_TABLE,
    EXECUTION,
    NOW,
    OPERATION,
    REGION,
    SOURCE,
    STATE_TABLE,
    TARGET,
    a_copy,
    a_plan,
)
from utils import errors
from utils.contracts import evidence
from utils.contracts import plan as contract
from utils.contracts.route import RouteStep, SnapshotCopy
from utils.request.fields import FIELDS, NEVER_BY_DEFAULT, RestoreRequest
from utils.state import expiry
from utils.state.operation import OperationRecord, OperationState

PACKAGE = Path(published.__file__).parent
CONTRACTS = [
    (published.Record, OperationRecord),
    (published.Plan, contract.Plan),
    (published.Snapshot, contract.FoundSnapshot),
    (published.PlannedCluster, contract.ClusterPlan),
    (published.PlannedInstance, contract.PlannedInstance),
    (published.PlannedCopy, SnapshotCopy),
    (published.RouteStep, RouteStep),
    (published.SourceDeletion, contract.SourceDeletion),
    (published.Masking, contract.MaskingPlan),
    (published.Verification, contract.VerificationPlan),
    (published.ComparedSource, contract.ComparedSource),
    (published.Replaced, contract.ReplacedCluster),
    (published.Call, contract.PlannedCall),
    (published.Sealed, evidence.Sealed),
    (published.Expiring, expiry.ExpiringCluster),
    (published.ExpiringReplaced, expiry.Replaced),
]


def names(struct: type[msgspec.Struct]) -> set[str]:
    return {each.encode_name for each in msgspec.structs.fields(struct)}


@pytest.mark.parametrize(("read", "written"), CONTRACTS, ids=[read.__name__ for read, _ in CONTRACTS])
def test_the_command_reads_no_field_that_the_pipeline_does_not_write(
    read: type[msgspec.Struct], written: type[msgspec.Struct]
) -> None:
    assert names(read) - names(written) == set()


def test_the_fields_that_a_resume_repeats_are_those_that_no_operation_keeps() -> None:
    assert set(starting.DELETING) == NEVER_BY_DEFAULT - {"scheduled_at", "resume", "rollback"}
    assert set(starting.DELETING) <= set(FIELDS)


def test_the_register_of_what_expires_is_the_pipelines() -> None:
    assert operations.REGISTER_KEY == expiry.KEY


def test_a_refusal_has_the_name_of_an_error_of_the_pipeline() -> None:
    assert [name for name in executions.REFUSALS if not hasattr(errors, name)] == []


@pytest.fixture
def stack(account: None) -> Stack:
    outputs = {
        "StateMachineArn": f"arn:aws:states:{REGION}:123456789012:stateMachine:aurora-restore",
        "StateTableName": STATE_TABLE,
        "AuditTableName": AUDIT_TABLE,
    }
    session = Session()
    session.set_config_variable("region", REGION)
    return Stack("aurora-restore", session, outputs, {}, NOW)


def opened(
    operation_id: str, status: Any = "running", minutes: int = 0, plan: contract.Plan | dict[str, Any] | None = None
) -> OperationState:
    state = OperationState(
        operation_id, EXECUTION.replace(OPERATION, operation_id), NOW + dt.timedelta(minutes=minutes)
    )
    request = RestoreRequest(target_cluster_id=TARGET, delete_source=True)
    state.open("snapshot-check", request, a_plan() if plan is None else plan, status)
    return state


def test_an_operation_is_read_with_its_plan_and_its_trail(stack: Stack) -> None:
    state = opened(OPERATION)
    state.remember(cluster_resource_id="cluster-ABC", differences=["a", "b"], took={"create-cluster": 61.5})
    state.audit("door", "open", {"group": "sg-1"})
    found = Operations(stack).find(OPERATION)
    assert (found.status, found.cluster_resource_id, found.differences) == ("running", "cluster-ABC", ["a", "b"])
    assert found.plan.target_cluster_id == TARGET
    assert found.plan.snapshot.created_at == a_plan().snapshot.created_at
    assert found.parameters == {"target_cluster_id": TARGET, "delete_source": True}
    assert [(each.event_type, each.status) for each in Operations(stack).events(OPERATION)] == [("door", "open")]


def test_a_list_has_every_operation_the_latest_first_with_what_it_shows_of_the_plan(stack: Stack) -> None:
    opened("nightly-1", minutes=1)
    opened("nightly-2", minutes=2)
    opened("refused-1", "failed", minutes=3, plan={})
    found = Operations(stack).all()
    assert [each.operation_id for each in found] == ["refused-1", "nightly-2", "nightly-1"]
    assert found[1].plan.target_cluster_id == TARGET
    assert found[1].plan.snapshot.cluster_identifier == SOURCE
    assert found[0].raw_plan == {}


@pytest.mark.parametrize("field", ["replaces", "replaced", "rolls_back", "drill", "dry_run", "copy"])
def test_an_operation_in_a_list_is_of_the_same_kind_and_data_as_the_one_that_is_read(stack: Stack, field: str) -> None:
    values: dict[str, Any] = {
        "replaces": REPLACES,
        "replaced": REPLACES,
        "rolls_back": UNDONE,
        "drill": True,
        "dry_run": True,
        "copy": a_copy(),
    }
    opened(OPERATION, plan=a_plan(**{field: values[field]}))
    (listed,), read = Operations(stack).all(), Operations(stack).find(OPERATION)
    assert listed.plan.kind == read.plan.kind
    assert listed.plan.data_taken_at == read.plan.data_taken_at


def test_an_operation_is_found_by_a_unique_beginning_and_by_words(stack: Stack) -> None:
    opened("nightly-monday", "succeeded", minutes=1)
    opened("nightly-tuesday", "failed", minutes=2)
    opened("hourly-1", minutes=3)
    operations = Operations(stack)
    assert operations.find("nightly-m").operation_id == "nightly-monday"
    assert operations.find("latest").operation_id == "hourly-1"
    assert operations.find("last-failed").operation_id == "nightly-tuesday"
    assert operations.find("running").operation_id == "hourly-1"


@pytest.mark.parametrize(("typed", "code"), [("nightly", "OperationAmbiguous"), ("night", "OperationNotFound")])
def test_what_means_no_operation_or_several_is_refused(stack: Stack, typed: str, code: str) -> None:
    opened("nightly-monday")
    opened("nightly-tuesday")
    with pytest.raises(CommandError) as refused:
        Operations(stack).find(typed)
    assert (refused.value.code, refused.value.exit_code) == (code, 7)


def test_fields_that_are_not_known_are_ignored() -> None:
    item = {"operation_id": {"S": "one"}, "tomorrows": {"M": {"a": {"L": [{"N": "1.5"}, {"NULL": True}]}}}}
    assert published.read_item(item)["tomorrows"] == {"a": [1.5, None]}
    assert msgspec.convert(published.read_item(item), published.Record).operation_id == "one"


def test_numbers_are_read_as_what_they_are() -> None:
    assert published.read_item({"n": {"N": str(Decimal(5))}, "b": {"BOOL": False}}) == {"n": 5, "b": False}


def test_modules_of_the_package_import_each_other_relatively_so_that_it_can_be_installed() -> None:
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [str(node.module)]
            assert not {each.partition(".")[0] for each in modules} & {"scripts", "utils", "tests"}, path.name
