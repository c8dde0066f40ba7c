"""aurora-restore-setup-db-users: a login first, then the secret, then the roles; in a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from msgspec.structs import replace

from scripts.local_aws.postgres.servers import Postgres, Servers
from tests.unit.conftest import LogLines
from tests.unit.support import (
    ADMIN_SECRET,
    APP_SECRET,
    AUDIT_TABLE,
    EXECUTION,
    NOW,
    OPERATION,
    STATE_TABLE,
    a_plan,
    a_run,
    calling,
    lost_answer,
)
from utils.aws import client
from utils.contracts.payloads import RestoreProgress, SetupUsersTask
from utils.contracts.plan import MaskingPlan
from utils.errors import MasterLoginRefused, StepFailed, TemporaryFailure
from utils.logins.master import AdminSecret, MasterLogin
from utils.postgres.session import Server, can_log_in
from utils.state.operation import OperationRecord, OperationState

pytestmark = pytest.mark.usefixtures("account")

set_up = calling("setup-db-users")
VERSION = AdminSecret.version_for("cluster-C0FFEE")
APP_PASSWORD, REPORT_PASSWORD = "an-application-password", "a-reporting-password"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    running = Servers(tmp_path_factory.mktemp("servers"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def postgres(servers: Servers) -> Postgres:
    server = servers.new(5432)
    server.create("boss", "Productions-password-1", "orders")
    server.start()
    return server


@pytest.fixture(autouse=True)
def operation(account: None, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> OperationState:
    monkeypatch.setenv("RDS_CA_BUNDLE", str(servers.authority.bundle))
    state = OperationState(OPERATION, EXECUTION, NOW)
    state.open("snapshot-check", {}, a_plan(), "running")
    state.remember(password_version_id=VERSION)
    return state


@pytest.fixture
def login(postgres: Postgres) -> MasterLogin:
    """The operation's login, as the restore staged it and RDS has set it."""
    secret = AdminSecret(ADMIN_SECRET)
    staged = secret.stage(VERSION, "boss", postgres.address, postgres.port, "staging-orders")
    postgres.set_password("boss", staged.password)
    return staged


def task(**changes: Any) -> SetupUsersTask:
    return SetupUsersTask(run=a_run(**changes), application_role="app_user", read_only_role="app_readonly")


def record() -> OperationRecord:
    found = OperationState(OPERATION, EXECUTION, NOW).recall()
    assert found is not None
    return found


def current_secret() -> Any:
    answer = client("secretsmanager").get_secret_value(SecretId=ADMIN_SECRET, VersionStage="AWSCURRENT")
    return json.loads(answer["SecretString"])


def test_a_password_that_the_server_refuses_is_set_once_more_and_then_only_waited_for(
    operation: OperationState, postgres: Postgres, login: MasterLogin
) -> None:
    """RDS may call a password set that isn't; with the second one no more is asked of it."""
    postgres.set_password("boss", "Productions-password-1")
    operation.remember(password_reset_at="2026-03-10T03:00:00.000Z", password_resets=1)
    with pytest.raises(MasterLoginRefused, match="RDS sets the master password a second time"):
        set_up(task())
    assert record().password_reset_at is None
    operation.remember(password_reset_at="2026-03-10T03:10:00.000Z", password_resets=2)
    with pytest.raises(TemporaryFailure, match="password authentication failed"):
        set_up(task())
    assert record().password_reset_at is not None
    assert record().login_proven_at is None


def after_a_look() -> RestoreProgress:
    return RestoreProgress(
        answer="done",
        action="create-instances",
        waiting_for="the users",
        started_at=NOW,
        action_at=NOW,
        wait_seconds=10,
        took={"create-instances": 540.0},
    )


def test_what_the_look_before_has_seen_is_recorded_also_where_the_step_fails(
    operation: OperationState, postgres: Postgres, login: MasterLogin
) -> None:
    operation.remember(took={"create-cluster": 1200.0}, password_resets=2)
    postgres.set_password("boss", "Productions-password-1")
    with pytest.raises(TemporaryFailure):
        set_up(replace(task(), after=after_a_look()))
    both = {"create-cluster": 1200.0, "create-instances": 540.0}
    assert record().took == both
    operation.remember(took={"create-cluster": 1200.0})
    postgres.set_password("boss", login.password)
    set_up(replace(task(), after=after_a_look()))
    assert record().took == both


def test_a_proven_login_becomes_current_and_both_roles_can_log_in(
    servers: Servers, postgres: Postgres, login: MasterLogin
) -> None:
    answer = set_up(task())
    assert answer == {
        "endpoint": postgres.address,
        "port": postgres.port,
        "databases": ["orders", "postgres"],
        "application_role": "orders_app",
        "read_only_role": "orders_report",
        "inherited_logins": [],
        "warnings": [],
        "roles": ["orders_app (read and write)", "orders_report (read only)"],
        "locked_logins": [],
        "disabled": [],
        "unfinished": [],
        "master_secret": ADMIN_SECRET,
        "application_secret": APP_SECRET,
    }
    assert current_secret()["password"] == login.password
    assert record().login_proven_at == record().users_ready_at == "2026-03-10T03:00:00.000Z"
    server = Server(host=postgres.address, port=postgres.port, ca_bundle=str(servers.authority.bundle))
    assert can_log_in(server, "orders", "orders_app", APP_PASSWORD)
    assert can_log_in(server, "orders", "orders_report", REPORT_PASSWORD)
    assert not can_log_in(server, "orders", "boss", "Productions-password-1")


def test_logins_that_an_earlier_attempt_locked_are_still_reported(
    postgres: Postgres, login: MasterLogin, operation: OperationState
) -> None:
    with closing(postgres.connect()) as connected, connected.cursor() as cursor:
        cursor.execute("create role alice login; grant alice to boss with admin option")
    operation.remember(locked_logins=["bob"], locked_count=700)
    assert set_up(task())["locked_logins"] == ["alice", "bob"]
    assert (record().locked_logins, record().locked_count) == (["alice", "bob"], 701), "not all names have room"


CLUSTER_ARN = "arn:aws:rds:us-east-1:123456789012:cluster:staging-orders"


@pytest.fixture
def kept_by_rds(postgres: Postgres, operation: OperationState) -> str:
    """The operation's login, as RDS has set it and keeps it; what the record says of it."""
    postgres.set_password("boss", "What-RDS-made-up-1")
    secret = client("secretsmanager").create_secret(
        Name="rds!cluster-5a1e",
        SecretString=json.dumps({"username": "boss", "password": "What-RDS-made-up-1"}),
        Tags=[{"Key": "aws:rds:primaryDBClusterArn", "Value": CLUSTER_ARN}],
    )["ARN"]
    operation.remember(
        password_version_id=None,
        master_secret_arn=secret,
        cluster_arn=CLUSTER_ARN,
        endpoint=postgres.address,
        port=postgres.port,
    )
    return secret


def test_a_login_that_rds_keeps_is_proved_and_used_and_the_stacks_secret_left_alone(
    postgres: Postgres, kept_by_rds: str
) -> None:
    answer = set_up(task())
    assert (answer["endpoint"], answer["port"]) == (postgres.address, postgres.port)
    assert record().login_proven_at is not None
    assert current_secret() == {}


def test_a_target_of_its_own_whose_login_rds_keeps_has_no_admin_secret_and_needs_none(
    kept_by_rds: str, operation: OperationState
) -> None:
    secrets = {"admin": None, "application": "aurora-restore/targets/staging-orders/application"}
    operation.remember(
        plan_item=None, own_secrets=None, plan={"target_secrets": secrets}, application_secret_arn=APP_SECRET
    )
    assert set_up(task())["master_secret"] == kept_by_rds


def test_rule_9_a_secret_of_another_cluster_is_not_even_read(kept_by_rds: str, operation: OperationState) -> None:
    operation.remember(cluster_arn=f"{CLUSTER_ARN}-other")
    with pytest.raises(StepFailed, match="It was not read"):
        set_up(task())
    assert record().login_proven_at is None


def test_a_login_that_nobody_keeps_is_for_a_person(operation: OperationState) -> None:
    operation.remember(password_version_id=None)
    with pytest.raises(StepFailed, match="The master password was not reset"):
        set_up(task())


def test_rule_5_setting_up_twice_is_as_good_as_once(postgres: Postgres, login: MasterLogin) -> None:
    """Also when somebody has changed the password since: what is set up is in use, and isn't touched again."""
    first = set_up(task())
    postgres.set_password("boss", "Somebodys-own-password-1")
    assert set_up(task()) == first


def test_rule_5_setting_up_again_after_a_lost_answer_succeeds(login: MasterLogin) -> None:
    secrets = client("secretsmanager")
    with lost_answer(secrets, "secrets-manager", "UpdateSecretVersionStage"), pytest.raises(TemporaryFailure):
        set_up(task())
    set_up(task())
    assert current_secret()["password"] == login.password
    assert record().users_ready_at is not None


def test_rule_9_a_password_that_doesnt_work_yet_never_becomes_current(postgres: Postgres, login: MasterLogin) -> None:
    postgres.set_password("boss", "Productions-password-1")
    with pytest.raises(TemporaryFailure, match="No login as 'boss'"):
        set_up(task())
    assert current_secret() == {}
    assert record().login_proven_at is None


def test_a_password_that_was_never_staged_is_for_a_person() -> None:
    with pytest.raises(StepFailed, match=f"no longer has the version {VERSION}"):
        set_up(task())


def test_an_unusable_application_secret_stops_the_run_after_the_proof_of_the_login(login: MasterLogin) -> None:
    client("secretsmanager").put_secret_value(SecretId=APP_SECRET, SecretString='["x"]')
    with pytest.raises(StepFailed, match="is not a JSON object with"):
        set_up(task())
    assert record().login_proven_at is not None
    assert record().users_ready_at is None


def test_rule_9_no_password_leaves_the_step(
    postgres: Postgres, login: MasterLogin, logs: LogLines, capsys: pytest.CaptureFixture[str]
) -> None:
    postgres.set_password("boss", "Productions-password-1")
    with pytest.raises(TemporaryFailure) as failed:
        set_up(task())
    postgres.set_password("boss", login.password)
    answer = set_up(task(now=NOW + dt.timedelta(minutes=1)))
    tables = [client("dynamodb").scan(TableName=table)["Items"] for table in (STATE_TABLE, AUDIT_TABLE)]
    for place in (
        answer,
        failed.value,
        logs.text.getvalue(),
        capsys.readouterr().out,
        tables,
        postgres.log.read_text(),
    ):
        for password in (login.password, APP_PASSWORD, REPORT_PASSWORD):
            assert password not in str(place)


def test_no_login_is_made_in_a_cluster_that_is_not_masked(operation: OperationState, login: MasterLogin) -> None:
    masking = MaskingPlan(policy="staging", bucket="b", key="k", version_id="v", sha256="0" * 64)
    operation.open("snapshot-check", {}, a_plan(masking=masking), "running", facts={"password_version_id": VERSION})
    with pytest.raises(StepFailed, match="has a masking policy, and its cluster is not masked"):
        set_up(task())
    assert record().users_ready_at is None
