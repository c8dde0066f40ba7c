"""expire: what it names, what it has typed, what it starts, and how it says that it was refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.session import Session
from click.testing import CliRunner, Result
from msgspec.structs import replace

from scripts.aurora_restore import calling, expiring
from scripts.aurora_restore.commands import cli
from scripts.aurora_restore.executions import Execution
from scripts.aurora_restore.stack import Stack
from tests.unit.support import AUDIT_TABLE, EXECUTION, NOW, OPERATION, REGION, STATE_TABLE, TARGET, a_plan
from utils.contracts.plan import ReplacedDeletion
from utils.request.fields import RestoreRequest
from utils.state.expiry import ExpiringCluster, ExpiryRegister, Replaced
from utils.state.operation import OperationState
from utils.state.values import iso

OLD = f"{TARGET}-old-0123456789ab"
MACHINE = f"arn:aws:states:{REGION}:123456789012:stateMachine:aurora-restore-expiry"
BEGUN = {"deletion_began_at": iso(NOW)}


class Expiry:
    """The expiry machine as the command sees it, and a person who types."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started: list[tuple[Any, Any]] = []
        self.register = ExpiryRegister()
        self.answers = Execution(arn="arn:sweep", status="RUNNING", started_at=NOW)
        self.begins = True
        outputs = {
            "StateMachineArn": f"arn:aws:states:{REGION}:123456789012:stateMachine:aurora-restore",
            "ExpiryMachineArn": MACHINE,
            "StateTableName": STATE_TABLE,
            "AuditTableName": AUDIT_TABLE,
        }
        session = Session()
        session.set_config_variable("region", REGION)
        monkeypatch.setattr(calling, "find_stack", lambda *_: Stack("aurora-restore", session, outputs, {}, NOW))
        monkeypatch.setattr(expiring, "start", self.start)
        monkeypatch.setattr(expiring, "describe", lambda *_: self.answers)
        state = OperationState(OPERATION, EXECUTION, NOW)
        state.open("snapshot-check", RestoreRequest(target_cluster_id=TARGET), a_plan(), "succeeded")
        state.remember(cluster_expires_at="2026-03-13T03:00:00Z")

    def registered(self, name: str = TARGET, operation: str = OPERATION, replaced: Replaced | None = None) -> None:
        self.register.add(
            ExpiringCluster(
                resource_id=f"cluster-{name}",
                cluster_identifier=name,
                operation_id=operation,
                hours=72,
                replaced=replaced,
            )
        )

    def start(self, _: Stack, request: Any, machine_arn: str | None = None) -> str:
        self.started.append((request, machine_arn))
        if self.begins:
            self.register.note(f"cluster-{request['expire']['cluster']}", **BEGUN)
        return "arn:sweep"

    def type(self, *arguments: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(cli, ["expire", *arguments, "--every", "0.01"], input=typed)


@pytest.fixture
def expiry(account: None, monkeypatch: pytest.MonkeyPatch) -> Expiry:
    return Expiry(monkeypatch)


def a_replaced_one() -> Replaced:
    return Replaced(
        target_cluster_id=TARGET, expires_at="2026-03-11T03:00:00Z", is_ours=True, deletion_protection=False
    )


def test_one_of_others_is_said_to_leave_a_final_snapshot(expiry: Expiry) -> None:
    deletion = ReplacedDeletion(final_snapshot_identifier="orders-final-1", instance_identifiers=[], tags={})
    expiry.registered(OLD, replaced=replace(a_replaced_one(), is_ours=False, deletion=deletion))
    told = expiry.type(OPERATION)
    assert told.stdout.rstrip().endswith("; before its deletion, the final snapshot orders-final-1 is taken")
    told = expiry.type(OPERATION, "--now")
    assert told.exit_code == 9
    assert f"after a final snapshot orders-final-1, the cluster {OLD}" in told.stderr


def test_without_now_it_only_says_what_expires_and_when(expiry: Expiry) -> None:
    expiry.registered()
    expiry.registered(OLD, replaced=a_replaced_one())
    expiry.registered("another", operation="another-operation")
    told = expiry.type(OPERATION)
    assert told.exit_code == 0
    assert told.stdout.splitlines() == [
        f"{TARGET} expires at 2026-03-13T03:00:00Z, unless its tag has a later moment",
        f"{OLD} expires at 2026-03-11T03:00:00Z, unless its tag has a later moment (it was replaced, and is kept until "
        "then)",
    ]
    assert f"aurora-restore expire {OPERATION} --now" in told.stderr
    assert expiry.started == []


def test_without_a_terminal_the_cluster_is_named_and_the_whole_command_that_deletes_it(expiry: Expiry) -> None:
    expiry.registered()
    told = expiry.type(OPERATION, "--now")
    assert told.exit_code == 9
    assert f"without a final snapshot, the cluster {TARGET} (Account 123456789012, {REGION}" in told.stderr
    assert f"Where that is meant: aurora-restore expire {OPERATION} --now --confirm {TARGET}" in told.stderr
    assert expiry.started == []


@pytest.mark.parametrize("typed", ["y", TARGET.upper(), f"{TARGET}-2", ""])
def test_another_name_deletes_nothing(expiry: Expiry, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    expiry.registered()
    assert expiry.type(OPERATION, "--now", "--confirm", typed).exit_code == 9
    monkeypatch.setattr(calling, "at_terminal", lambda: True)
    assert expiry.type(OPERATION, "--now", typed=f"{typed}\n").exit_code != 0
    assert expiry.started == []


def test_the_name_has_the_expiry_machine_started_for_that_cluster_alone(
    expiry: Expiry, monkeypatch: pytest.MonkeyPatch
) -> None:
    expiry.registered()
    told = expiry.type(OPERATION, "--now", "--confirm", TARGET)
    assert (told.exit_code, told.stdout) == (0, f"{TARGET}\n")
    assert f"The deletion of {TARGET} has begun" in told.stderr
    monkeypatch.setattr(calling, "at_terminal", lambda: True)
    assert expiry.type(OPERATION, "--now", typed=f"{TARGET}\n").exit_code == 0
    asked = ({"expire": {"operation_id": OPERATION, "cluster": TARGET}}, MACHINE)
    assert expiry.started == [asked, asked]


def test_where_several_expire_one_has_to_be_named(expiry: Expiry) -> None:
    expiry.registered()
    expiry.registered(OLD, replaced=a_replaced_one())
    told = expiry.type(OPERATION, "--now")
    assert told.exit_code == 2
    assert f"{TARGET}, {OLD}" in told.stderr
    assert expiry.type(OPERATION, "--now", "--cluster", OLD).exit_code == 9
    assert expiry.type(OPERATION, "--now", "--cluster", OLD, "--confirm", TARGET).exit_code == 9
    assert expiry.type(OPERATION, "--now", "--confirm", "another").exit_code == 7
    assert expiry.started == []
    assert expiry.type(OPERATION, "--now", "--confirm", OLD).exit_code == 0
    assert expiry.started[0][0]["expire"]["cluster"] == OLD


def test_what_does_not_expire_by_itself_is_not_deleted_earlier(expiry: Expiry) -> None:
    expiry.registered("another", operation="another-operation")
    told = expiry.type(OPERATION, "--now", "--confirm", TARGET, "--json")
    assert (told.exit_code, json.loads(told.stdout)["error"]["code"]) == (7, "NothingExpires")
    assert expiry.type("no-such-operation").exit_code == 7
    assert expiry.started == []


def test_a_refusal_of_the_pipeline_has_its_reason_and_its_exit_code(expiry: Expiry) -> None:
    expiry.registered()
    expiry.begins = False
    why = f"expire: cluster '{TARGET}' of operation '{OPERATION}' is protected by a tag. Nothing was deleted."
    expiry.answers = Execution(
        arn="arn:sweep",
        status="FAILED",
        started_at=NOW,
        error="RequestRefused",
        cause=json.dumps({"errorMessage": why}),
    )
    told = expiry.type(OPERATION, "--now", "--confirm", TARGET, "--json")
    assert told.exit_code == 3
    assert json.loads(told.stdout)["error"]["problems"] == [{"field": "expire", "message": why}]


def test_a_deletion_that_failed_is_no_refusal(expiry: Expiry) -> None:
    expiry.registered()
    expiry.begins = False
    expiry.answers = Execution(arn="arn:sweep", status="FAILED", started_at=NOW, error="StepFailed", cause="Why.")
    told = expiry.type(OPERATION, "--now", "--confirm", TARGET, "--json")
    error = json.loads(told.stdout)["error"]
    assert (told.exit_code, error["code"], error["problems"][0]["message"]) == (4, "StepFailed", "Why.")


def test_what_was_started_and_not_seen_is_named(expiry: Expiry, monkeypatch: pytest.MonkeyPatch) -> None:
    expiry.registered()
    expiry.begins = False
    monkeypatch.setattr(expiring, "BEGUN_WITHIN_SECONDS", 0.05)
    told = expiry.type(OPERATION, "--now", "--confirm", TARGET)
    assert told.exit_code == 8
    assert "arn:sweep was started" in told.stderr
