"""aurora-restore-transform-data: slice by slice, what is recorded before what goes, in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from scripts.local_aws.postgres.servers import Postgres, Servers
from tests.unit.support import (
    ADMIN_SECRET,
    EXECUTION,
    NOW,
    OPERATION,
    a_plan,
    a_run,
    calling,
    lost_answer,
)
from utils.aws import client
from utils.contracts.payloads import TransformTask
from utils.contracts.plan import MaskingPlan
from utils.errors import MaskingGateFailed, StepFailed
from utils.logins.masking_salt import salt_secret_name
from utils.logins.master import AdminSecret, MasterLogin
from utils.logins.target_secrets import make_secrets
from utils.state.operation import OperationRecord, OperationState
from utils.state.policy_text import keep_policy, policy_hash
from utils.steps import slices
from utils.steps.unmasked import refuse_unmasked

pytestmark = pytest.mark.usefixtures("account")

transform = calling("transform-data")
VERSION = AdminSecret.version_for("cluster-C0FFEE")
POLICY = """
version: 1
types: {integer: keep}
databases:
  orders:
    columns: {public.people.name: name}
    checks: {all_are_masked: "SELECT 1 FROM public.people WHERE name NOT LIKE 'Person %'"}
"""
FAILING = POLICY.replace("NOT LIKE", "LIKE")
PEOPLE = 30


def planned(text: str) -> MaskingPlan:
    return MaskingPlan(policy="staging", bucket="b", key="k", version_id="v", sha256=policy_hash(text))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    running = Servers(tmp_path_factory.mktemp("servers"))
    yield running
    running.close()


@pytest.fixture
def postgres(servers: Servers) -> Postgres:
    """One for each test: what a masking has begun stays in it."""
    server = servers.new(5432)
    server.create("boss", "Productions-password-1", "orders")
    server.start()
    return server


@pytest.fixture(autouse=True)
def state(account: None, servers: Servers, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> OperationState:
    """An operation whose cluster can be entered with the staged login, and has people in it."""
    monkeypatch.setenv("RDS_CA_BUNDLE", str(servers.authority.bundle))
    staged = AdminSecret(ADMIN_SECRET).stage(VERSION, "boss", postgres.address, postgres.port, "staging-orders")
    postgres.set_password("boss", staged.password)
    with entered(servers, postgres, staged) as cursor:
        cursor.execute("CREATE TABLE public.people (id int PRIMARY KEY, name text)")
        cursor.execute("INSERT INTO public.people SELECT n, 'Jane Doe ' || n FROM generate_series(1, %s) n", (PEOPLE,))
    made = OperationState(OPERATION, EXECUTION, NOW)
    made.open("snapshot-check", {}, a_plan(masking=planned(POLICY)), "running")
    made.remember(password_version_id=VERSION)
    for text in (POLICY, FAILING):
        keep_policy(text, made)
    make_secrets(a_plan(masking=planned(POLICY)), made)
    return made


class entered:  # noqa: N801 - it is used as a function
    """A transaction of the master user's in the database that is masked."""

    def __init__(self, servers: Servers, postgres: Postgres, login: MasterLogin) -> None:
        import psycopg2

        self._connection = psycopg2.connect(
            host=postgres.address, port=postgres.port, dbname="orders", user=login.username, password=login.password,
            sslmode="verify-full", sslrootcert=str(servers.authority.bundle),
        )  # fmt: skip

    def __enter__(self) -> Any:
        return self._connection.cursor()

    def __exit__(self, *failure: object) -> None:
        self._connection.commit()
        self._connection.close()


def record() -> OperationRecord:
    found = OperationState(OPERATION, EXECUTION, NOW).recall()
    assert found is not None
    return found


def task(text: str = POLICY, **changes: Any) -> TransformTask:
    return TransformTask(run=a_run(**changes), masking=planned(text))


def has_salt() -> bool:
    names = {each["Name"] for each in client("secretsmanager").list_secrets()["SecretList"]}
    return salt_secret_name(OPERATION) in names


def names(servers: Servers, postgres: Postgres) -> list[str]:
    with entered(servers, postgres, AdminSecret(ADMIN_SECRET).staged(VERSION)) as cursor:
        cursor.execute("SELECT name FROM public.people ORDER BY id")
        return [name for (name,) in cursor.fetchall()]


def test_a_cluster_is_masked_and_its_salt_is_gone(servers: Servers, postgres: Postgres) -> None:
    assert has_salt()
    with pytest.raises(StepFailed, match="is not masked"):
        refuse_unmasked(record())
    answer = transform(task())
    assert (answer["answer"], answer["rows"], answer["tables"]) == ("done", PEOPLE, 1)
    assert answer["passed_checks"] == ["orders: all_are_masked"]
    assert all(name.startswith("Person ") for name in names(servers, postgres))
    found = record()
    assert found.masked_at is not None
    assert found.login_proven_at is not None
    assert found.salt_secret_arn is None
    assert "mask-data" in found.took
    assert not has_salt()
    refuse_unmasked(found)
    # It masks, and leaves the login to the step that sets up the users.
    stages = client("secretsmanager").describe_secret(SecretId=ADMIN_SECRET)["VersionIdsToStages"]
    assert stages[VERSION] == ["AWSPENDING"]


def test_a_slice_without_time_is_followed_by_another(
    servers: Servers, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
    answer = transform(task())
    assert (answer["answer"], answer["wait_seconds"]) == ("wait", 1)
    assert answer["waiting_for"].startswith("the masking of database ")
    assert record().masked_at is None
    assert has_salt()
    monkeypatch.setattr(slices, "SLICE_SECONDS", 720.0)
    assert transform(task())["answer"] == "done"
    assert all(name.startswith("Person ") for name in names(servers, postgres))


def test_a_step_that_died_between_its_record_and_the_salts_end_finishes_it(
    servers: Servers, postgres: Postgres
) -> None:
    with (
        pytest.raises(Exception, match="could not be reached"),
        lost_answer(client("secretsmanager"), "secrets-manager", "DeleteSecret"),
    ):
        transform(task())
    masked = names(servers, postgres)
    assert record().masked_at is not None
    assert transform(task())["answer"] == "done"
    assert names(servers, postgres) == masked, "masked a second time"
    assert record().salt_secret_arn is None
    assert not has_salt()


def test_a_gate_that_finds_something_fails_and_says_no_value(servers: Servers, postgres: Postgres) -> None:
    with pytest.raises(MaskingGateFailed, match="all_are_masked") as failure:
        transform(task(FAILING))
    assert "Jane" not in str(failure.value)
    assert "Person" not in str(failure.value)
    assert record().masked_at is None
    assert has_salt()


def test_another_salt_than_the_one_it_began_with_masks_nothing(state: OperationState) -> None:
    state.remember(salt_version_id="another-version")
    with pytest.raises(StepFailed, match="is gone: its secret was replaced"):
        transform(task())


def test_a_policy_that_was_not_kept_masks_nothing(servers: Servers, postgres: Postgres) -> None:
    with pytest.raises(StepFailed, match="no longer has the masking policy"):
        transform(task(POLICY + "\n"))
    assert names(servers, postgres)[0] == "Jane Doe 1"


def test_a_masking_that_takes_too_long_fails_and_can_be_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
    assert transform(task())["answer"] == "wait"
    with pytest.raises(StepFailed, match="After 24 hours the cluster still waits for the masking of database"):
        transform(task(now=NOW + slices.DEADLINE))
    assert has_salt()
