"""Targets other than the stack's own have secrets of their own: named, checked, made once, found again."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from msgspec.structs import replace

from tests.unit.support import (
    ADMIN_SECRET,
    APP_SECRET,
    EXECUTION,
    NOW,
    OPERATION,
    TARGET,
    a_plan,
    a_record,
    an_execution,
    lost_answer,
    set_defaults,
)
from utils.aurora_utils.resources import OPERATION_TAG
from utils.aws import client, value_of
from utils.changes import asking_once
from utils.contracts.plan import Plan, TargetSecrets
from utils.errors import StepFailed, TemporaryFailure
from utils.logins.application import ApplicationSecret
from utils.logins.master import AdminSecret
from utils.logins.secret_choice import admin_secret_of, application_secret_of
from utils.logins.target_secrets import (
    make_secrets,
    plan_secrets,
    secret_with_roles,
    secrets_of_source,
    target_secret_problems,
)
from utils.state.operation import OperationRecord, OperationState

pytestmark = pytest.mark.usefixtures("account")

DRILL = "drill-orders"
NAMES = TargetSecrets(
    admin=f"aurora-restore/targets/{DRILL}/admin", application=f"aurora-restore/targets/{DRILL}/application"
)
TAGS = {"application": "aurora-restore", OPERATION_TAG: OPERATION, "aurora-restore:target": DRILL}


def a_drill(**changes: Any) -> Plan:
    return a_plan(target_cluster_id=DRILL, target_secrets=NAMES, **changes)


@pytest.fixture
def state() -> OperationState:
    state = OperationState(OPERATION, EXECUTION, NOW)
    state.open("snapshot-check", {}, a_drill(), "running")
    return state


def record(state: OperationState) -> OperationRecord:
    found = state.recall()
    assert found is not None
    return found


def described(name: str) -> dict[str, Any]:
    return dict(client("secretsmanager").describe_secret(SecretId=name))


def content(name: str) -> Any:
    return json.loads(client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])


def exists(name: str) -> bool:
    listed = client("secretsmanager").list_secrets()["SecretList"]
    return name in {each["Name"] for each in listed}


def make(name: str, value: str = "{}", **tags: str) -> str:
    kept: list[Any] = [{"Key": key, "Value": each} for key, each in (TAGS | tags).items() if each]
    return str(client("secretsmanager").create_secret(Name=name, SecretString=value, Tags=kept)["ARN"])


# Which secrets


def test_the_stacks_own_target_keeps_the_stacks_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plan_secrets(TARGET, an_execution(), "pipeline") is None
    set_defaults(monkeypatch, target_cluster_id="Staging-{date}")
    assert plan_secrets("staging-20260310", an_execution(), "pipeline") is None
    another_day = plan_secrets("staging-20260309", an_execution(), "pipeline")
    assert another_day is not None
    assert another_day.admin == "aurora-restore/targets/staging-20260309/admin"


def test_every_other_target_has_its_own() -> None:
    assert plan_secrets(DRILL, an_execution(), "pipeline") == NAMES
    kept_by_rds = plan_secrets(DRILL, an_execution(), "rds_managed")
    assert kept_by_rds == replace(NAMES, admin=None)


def test_a_stack_without_a_target_has_none_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    set_defaults(monkeypatch, target_cluster_id="")
    assert plan_secrets(DRILL, an_execution(), "pipeline") == NAMES


# Making them


def test_both_are_made_tagged_and_encrypted_and_recorded(state: OperationState) -> None:
    make_secrets(a_drill(), state)
    for name in (NAMES.admin, NAMES.application):
        assert name is not None
        found = described(name)
        assert {tag["Key"]: tag["Value"] for tag in found["Tags"]} == TAGS
        assert found["KmsKeyId"].startswith("arn:aws:kms:")
    assert record(state).admin_secret_arn == admin_secret_of(record(state)) == described(NAMES.admin or "")["ARN"]
    assert application_secret_of(record(state)) == described(NAMES.application)["ARN"]


def test_the_admin_secret_has_no_value_and_the_other_names_with_new_passwords(state: OperationState) -> None:
    given = content(APP_SECRET) | {
        "roles": [{"name": "etl", "password": "an-etl-password", "profile": "read_only", "databases": ["orders"]}],
        "somebody's": "own-note",
    }
    client("secretsmanager").put_secret_value(SecretId=APP_SECRET, SecretString=json.dumps(given))
    make_secrets(a_drill(), state)
    assert "VersionIdsToStages" not in described(NAMES.admin or "")
    made = content(NAMES.application)
    passwords = [made["app_password"], made["readonly_pwd"], made["roles"][0].pop("password")]
    assert made == {
        "app_username": "orders_app",
        "readonly_user": "orders_report",
        "app_password": passwords[0],
        "readonly_pwd": passwords[1],
        "roles": [{"name": "etl", "profile": "read_only", "databases": ["orders"]}],
    }
    logins = ApplicationSecret(NAMES.application).logins()
    assert [role.password for role in logins.everyone()] == passwords
    assert len(set(passwords)) == 3
    assert all(passwords)
    assert not {"an-etl-password", given["app_password"], given["readonly_pwd"]} & set(passwords)


def test_a_role_that_the_stacks_secret_doesnt_name_keeps_the_stacks_name(state: OperationState) -> None:
    client("secretsmanager").put_secret_value(SecretId=APP_SECRET, SecretString='{"app_password": "x"}')
    make_secrets(a_drill(), state)
    made = content(NAMES.application)
    assert made.keys() == {"app_password", "readonly_pwd", "roles"}
    assert made["app_password"] not in ("", "x")


def test_no_admin_secret_where_rds_keeps_the_login(state: OperationState) -> None:
    make_secrets(replace(a_drill(), target_secrets=replace(NAMES, admin=None)), state)
    assert not exists(NAMES.admin or "")
    assert record(state).admin_secret_arn is None


def test_the_stacks_own_target_makes_nothing(state: OperationState) -> None:
    make_secrets(a_plan(), state)
    assert record(state).application_secret_arn is None
    assert len(client("secretsmanager").list_secrets()["SecretList"]) == 2


def test_rule_5_a_step_that_died_after_making_them_finds_them(state: OperationState) -> None:
    with lost_answer(client("secretsmanager"), "secrets-manager", "CreateSecret"), pytest.raises(ReadTimeoutError):
        make_secrets(a_drill(), state)
    first = described(NAMES.application)["ARN"]
    make_secrets(a_drill(), state)
    assert record(state).application_secret_arn == first


def test_an_earlier_operations_are_used_as_they_are(state: OperationState) -> None:
    arn = make(NAMES.application, '{"app_username": "own"}', **{OPERATION_TAG: "last-week"})
    make_secrets(a_drill(), state)
    assert record(state).application_secret_arn == arn
    assert content(NAMES.application) == {"app_username": "own"}
    assert secret_with_roles(NAMES, DRILL) == arn


def test_the_list_of_roles_is_the_stacks_where_the_target_has_none() -> None:
    assert secret_with_roles(NAMES, DRILL) == APP_SECRET
    make(NAMES.application, application="another-stack")
    assert secret_with_roles(NAMES, DRILL) == APP_SECRET


# What is in the way


@pytest.mark.parametrize("tag", TAGS)
def test_a_secret_of_that_name_that_isnt_ours_is_left_alone(tag: str, state: OperationState) -> None:
    make(NAMES.application, "not ours", **{tag: "" if tag == OPERATION_TAG else "another"})
    (problem,) = target_secret_problems(NAMES, DRILL, NOW)
    assert problem.startswith(f"application_secret: '{NAMES.application}' exists and is not this stack's for {DRILL}")
    assert f"aws secretsmanager describe-secret --secret-id {NAMES.application} --region us-east-1" in problem
    with pytest.raises(StepFailed, match="is not this stack's"):
        make_secrets(a_drill(), state)
    assert client("secretsmanager").get_secret_value(SecretId=NAMES.application)["SecretString"] == "not ours"


def going(name: str, at: dt.datetime) -> None:
    """Delete it as of then: moto dates a deletion by the machine's clock."""
    from moto.secretsmanager.models import secretsmanager_backends

    make(name)
    secretsmanager_backends["123456789012"]["us-east-1"].secrets[name].delete(at.timestamp())  # type: ignore[union-attr]


@pytest.mark.parametrize("at", [NOW + dt.timedelta(days=30), NOW - dt.timedelta(hours=1)])
def test_one_that_can_be_restored_is_refused_with_the_command(at: dt.datetime, state: OperationState) -> None:
    """Whichever of its two meanings the date of a deletion has."""
    going(NAMES.admin or "", at)
    (problem,) = target_secret_problems(NAMES, DRILL, NOW)
    assert f"aws secretsmanager restore-secret --secret-id {NAMES.admin} --region us-east-1" in problem
    with pytest.raises(StepFailed, match="restore-secret"):
        make_secrets(a_drill(), state)


def test_one_that_was_removed_a_moment_ago_is_waited_for(state: OperationState) -> None:
    going(NAMES.admin or "", NOW)
    assert list(target_secret_problems(NAMES, DRILL, NOW)) == []
    with pytest.raises(TemporaryFailure, match="deleted a moment ago"):
        make_secrets(a_drill(), state)


@contextmanager
def create_answers(code: str, *, after: int = 0) -> Iterator[None]:
    calls = itertools.count()

    def refuse(**_: Any) -> None:
        if next(calls) < after:
            return
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "CreateSecret")

    events = client("secretsmanager").meta.events
    events.register("before-call.secrets-manager.CreateSecret", refuse)
    try:
        yield
    finally:
        events.unregister("before-call.secrets-manager.CreateSecret", refuse)


@pytest.mark.parametrize("code", ["InvalidRequestException", "ResourceExistsException"])
def test_a_name_that_is_taken_although_nothing_was_seen_is_asked_again(code: str, state: OperationState) -> None:
    with create_answers(code), pytest.raises(TemporaryFailure):
        make_secrets(a_drill(), state)


def test_any_other_refusal_is_what_it_is(state: OperationState) -> None:
    with create_answers("LimitExceededException"), pytest.raises(ClientError, match="LimitExceeded"):
        make_secrets(a_drill(), state)


def made_events() -> list[list[str]]:
    events = [value_of({"M": each}) for each in client("dynamodb").scan(TableName="AuroraRestoreAudit")["Items"]]
    return [each["event_details"]["secrets"] for each in events if each["event_type"] == "secret"]


def test_what_was_created_is_told_and_audited_at_once_where_the_second_is_refused(state: OperationState) -> None:
    with create_answers("LimitExceededException", after=1), pytest.raises(ClientError, match="LimitExceeded"):
        make_secrets(a_drill(), state)
    application = described(NAMES.application)["ARN"]
    assert made_events() == [[application]]
    assert make_secrets(a_drill(), state) == [described(NAMES.admin or "")["ARN"]]
    assert make_secrets(a_drill(), state) == []
    assert made_events() == [[application]], "what the step tells itself is audited with it"


def test_both_are_told(state: OperationState) -> None:
    assert make_secrets(a_drill(), state) == [described(name)["ARN"] for name in (NAMES.application, NAMES.admin or "")]


def test_the_stacks_secret_is_read_once_where_it_was_checked_before(state: OperationState) -> None:
    read: list[str] = []
    events = client("secretsmanager").meta.events
    events.register("before-call.secrets-manager.GetSecretValue", lambda **_: read.append("read"), unique_id="counting")
    try:
        with asking_once():
            assert ApplicationSecret(APP_SECRET).whats_wrong("postgres") == []
            make_secrets(a_drill(), state)
    finally:
        events.unregister("before-call.secrets-manager.GetSecretValue", unique_id="counting")
    assert read == ["read"]
    assert content(NAMES.application)["app_username"] == "orders_app"


# Of a source


def test_a_sources_secrets_are_those_that_this_stack_made_for_it() -> None:
    assert secrets_of_source(DRILL) == []
    make(NAMES.admin or "")
    make(NAMES.application, application="another-stack")
    assert secrets_of_source(DRILL) == [NAMES.admin]


# In the steps


def test_a_record_that_lost_its_secrets_never_falls_back_on_the_stacks() -> None:
    lost = a_record(plan={"target_cluster_id": DRILL, "target_secrets": {"admin": "a", "application": "b"}})
    for find in (admin_secret_of, application_secret_of):
        with pytest.raises(StepFailed, match="Resume it instead of redriving"):
            find(lost)
    assert admin_secret_of(a_record()) == ADMIN_SECRET
    assert application_secret_of(a_record()) == APP_SECRET


# A label that another run moves meanwhile


def test_a_lost_race_for_a_label_is_run_again() -> None:
    """Ten runs for ten targets shared one secret once: who came second failed, and its cluster was deleted."""
    secrets = client("secretsmanager")
    mine, another = (AdminSecret.version_for(f"cluster-{number}") for number in (1, 2))
    for version in (mine, another):
        AdminSecret(ADMIN_SECRET).stage(version, "postgres", "host", 5432, TARGET)
    seen: list[dict[str, str]] = []

    def be_quicker(labels: Any) -> None:
        seen.append(dict(labels))
        if len(seen) == 1:
            moved = {"RemoveFromVersionId": labels["AWSCURRENT"], "MoveToVersionId": another}
            secrets.update_secret_version_stage(SecretId=ADMIN_SECRET, VersionStage="AWSCURRENT", **moved)

    AdminSecret(ADMIN_SECRET).promote(mine, be_quicker)
    assert described(ADMIN_SECRET)["VersionIdsToStages"][mine] == ["AWSCURRENT"]
    assert seen[1]["AWSCURRENT"] == another


def test_races_that_never_end_are_asked_again_later() -> None:
    secrets = client("secretsmanager")
    mine, *others = (AdminSecret.version_for(f"cluster-{number}") for number in range(3))
    for version in (mine, *others):
        AdminSecret(ADMIN_SECRET).stage(version, "postgres", "host", 5432, TARGET)

    def be_quicker(labels: Any) -> None:
        to = next(each for each in others if each != labels["AWSCURRENT"])
        moved = {"RemoveFromVersionId": labels["AWSCURRENT"], "MoveToVersionId": to}
        secrets.update_secret_version_stage(SecretId=ADMIN_SECRET, VersionStage="AWSCURRENT", **moved)

    with pytest.raises(TemporaryFailure, match="Other executions keep moving AWSCURRENT"):
        AdminSecret(ADMIN_SECRET).promote(mine, be_quicker)
