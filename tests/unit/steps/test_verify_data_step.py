"""aurora-restore-verify-data: slice by slice, what is recorded, and what becomes of findings, in a real PostgreSQL."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import types
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import psycopg2
import pytest

from scripts.local_aws.postgres.gateway import Place
from scripts.local_aws.postgres.servers import Postgres, Servers
from tests.unit.support import ADMIN_SECRET, EXECUTION, LIMITS, NOW, OPERATION, a_plan, a_run, calling
from utils.aws import client
from utils.contracts.payloads import SourceSeen, VerifyTask
from utils.contracts.plan import ComparedSource, MaskingPlan, VerificationPlan
from utils.contracts.verification import CheckResult, OnFindings
from utils.errors import ChecksFailed, StepFailed
from utils.logins.master import AdminSecret
from utils.state.operation import OperationRecord, OperationState
from utils.state.policy_text import keep_policy, policy_hash
from utils.state.verification import kept_baseline, kept_verification
from utils.steps import slices

pytestmark = pytest.mark.usefixtures("account")

verify = calling("verify-data")
VERSION = AdminSecret.version_for("cluster-C0FFEE")
POLICY = """
version: 1
check_seconds: 20
databases:
  orders:
    checks: {"no nameless people": "SELECT 1 FROM public.people WHERE name IS NULL"}
"""
PEOPLE = 30
SNAPSHOT = a_plan().snapshot


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    running = Servers(tmp_path_factory.mktemp("servers"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def server(servers: Servers) -> Postgres:
    made = servers.new(5432)
    made.create("boss", "Productions-password-1", None)
    made.start()
    return made


@pytest.fixture
def postgres(server: Postgres) -> Postgres:
    """One server for all, since they leave no role in it, and for each a database without anything."""
    with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
        # Since version 15 all of it would be written a second time, into the log.
        copied = " STRATEGY file_copy" if connection.server_version >= 150000 else ""
        cursor.execute("DROP DATABASE IF EXISTS orders WITH (FORCE)")
        cursor.execute(f"CREATE DATABASE orders OWNER boss{copied}")
    return server


@pytest.fixture(autouse=True)
def state(account: None, servers: Servers, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> OperationState:
    """An operation whose cluster can be entered with the staged login, and has people in it."""
    monkeypatch.setenv("RDS_CA_BUNDLE", str(servers.authority.bundle))
    staged = AdminSecret(ADMIN_SECRET).stage(VERSION, "boss", postgres.address, postgres.port, "staging-orders")
    postgres.set_password("boss", staged.password)
    run(postgres, servers, "CREATE TABLE public.people (id serial PRIMARY KEY, name text)")
    run(postgres, servers, f"INSERT INTO public.people (name) SELECT 'Jane ' || n FROM generate_series(1, {PEOPLE}) n")
    made = OperationState(OPERATION, EXECUTION, NOW)
    made.open("snapshot-check", {}, a_plan(verification=planned()), "running")
    made.remember(password_version_id=VERSION)
    keep_policy(POLICY, made, "verification")
    return made


@pytest.fixture
def sql(servers: Servers, postgres: Postgres) -> Any:
    return lambda statement: run(postgres, servers, statement)


def run(postgres: Postgres, servers: Servers, statement: str) -> None:
    login = AdminSecret(ADMIN_SECRET).staged(VERSION)
    connection = psycopg2.connect(
        host=postgres.address, port=postgres.port, dbname="orders", user=login.username, password=login.password,
        sslmode="verify-full", sslrootcert=str(servers.authority.bundle),
    )  # fmt: skip
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


def planned(on_findings: OnFindings = "fail") -> VerificationPlan:
    return VerificationPlan(policy="nightly", location="s3://b/k", sha256=policy_hash(POLICY), on_findings=on_findings)


def task(on_findings: OnFindings = "fail", **changes: Any) -> VerifyTask:
    return VerifyTask(run=a_run(**changes), verification=planned(on_findings), snapshot=SNAPSHOT, limits=LIMITS)


def record() -> OperationRecord:
    found = OperationState(OPERATION, EXECUTION, NOW).recall()
    assert found is not None
    return found


def test_a_cluster_whose_checks_hold_is_what_the_next_run_is_compared_with() -> None:
    answer = verify(task())
    assert (answer["answer"], answer["failed"], answer["not_run"], answer["findings"]) == ("done", 0, 0, [])
    assert record().verified_at is not None
    assert "verify-data" in record().took
    found = kept_verification(OPERATION)
    assert found is not None
    assert found.all_held
    assert (found.policy, found.rows, found.compared_with) == ("nightly", PEOPLE, None)
    assert kept_baseline(SNAPSHOT, "") is not None
    assert kept_baseline(SNAPSHOT, "staging") is None


def test_a_cluster_that_has_passed_is_not_checked_again(sql: Any) -> None:
    first = verify(task())
    sql("DROP TABLE public.people")
    assert verify(task()) == first


def test_the_basic_checks_need_no_policy() -> None:
    basic = VerifyTask(run=a_run(), verification=VerificationPlan(policy="basic"), snapshot=SNAPSHOT, limits=LIMITS)
    assert verify(basic)["answer"] == "done"


def test_a_finding_fails_the_step_is_kept_and_is_no_baseline(sql: Any) -> None:
    sql("UPDATE public.people SET name = NULL WHERE id < 3")
    with pytest.raises(ChecksFailed, match=r"no nameless people.*orders: expected 0 rows, found 2 rows") as failure:
        verify(task())
    assert "Jane" not in str(failure.value)
    found = kept_verification(OPERATION)
    assert found is not None
    assert (found.failed, found.checks[0].name) == (1, "no nameless people")
    assert record().verified_at is None
    assert record().verification["failed"] == 1, "what the command shows"
    assert kept_baseline(SNAPSHOT, "") is None
    # Somebody has corrected it: a resumed operation looks again.
    sql("UPDATE public.people SET name = 'John' WHERE name IS NULL")
    assert verify(task())["answer"] == "done"
    found = kept_verification(OPERATION)
    assert found is not None
    assert found.all_held


def test_a_finding_that_is_only_to_be_reported_is_reported(sql: Any) -> None:
    sql("UPDATE public.people SET name = NULL WHERE id < 3")
    answer = verify(task("report"))
    assert (answer["answer"], answer["failed"]) == ("done", 1)
    assert answer["findings"] == ["no nameless people (own_rows) of orders: expected 0 rows, found 2 rows"]
    assert record().verified_at is not None
    assert record().verification["findings"] == answer["findings"]
    assert kept_baseline(SNAPSHOT, "") is None


def test_rows_that_were_lost_since_the_last_good_run_are_found(state: OperationState, sql: Any) -> None:
    verify(task())
    state.remember(verified_at=None, verification={})
    sql("DELETE FROM public.people WHERE id > 10")
    with pytest.raises(ChecksFailed, match=r"of orders\.public\.people: expected at least 15 of 30 rows, found"):
        verify(task())
    found = kept_verification(OPERATION)
    assert found is not None
    assert found.compared_with == OPERATION


def again(state: OperationState, on_findings: OnFindings = "fail", **changes: Any) -> Any:
    """Verify the cluster as the next run would."""
    state.remember(verified_at=None, verification={})
    return verify(msgspec.structs.replace(task(on_findings), **changes))


def test_what_is_different_is_accepted_by_a_run_that_only_reports_it(state: OperationState, sql: Any) -> None:
    sql("CREATE TABLE public.etl (id int)")
    verify(task())
    sql("DROP TABLE public.etl")
    with pytest.raises(ChecksFailed, match="To accept what is different from now on, run once with on_findings 'repor"):
        again(state)
    sql("UPDATE public.people SET name = NULL WHERE id < 3")
    # Not where anything else did not hold.
    assert again(state, "report")["failed"] == 2
    with pytest.raises(ChecksFailed) as failure:
        again(state)
    assert "To accept" not in str(failure.value)
    sql("UPDATE public.people SET name = 'John' WHERE name IS NULL")
    assert again(state, "report")["failed"] == 1
    assert again(state)["failed"] == 0


def test_a_run_of_an_older_snapshot_is_neither_compared_nor_what_others_are_compared_with(
    state: OperationState, sql: Any
) -> None:
    verify(task())
    sql("DELETE FROM public.people WHERE id > 10")
    older = msgspec.structs.replace(SNAPSHOT, created_at=SNAPSHOT.created_at - dt.timedelta(days=30))
    assert again(state, snapshot=older)["failed"] == 0
    with pytest.raises(ChecksFailed, match="expected at least 15 of 30 rows"):
        again(state)


def test_a_run_under_another_text_of_the_masking_policy_is_not_compared(state: OperationState, sql: Any) -> None:
    policy = MaskingPlan(policy="staging", bucket="b", key="k", version_id="1", sha256="1" * 64)
    again(state, masking=policy)
    sql("DELETE FROM public.people WHERE id > 10")
    with pytest.raises(ChecksFailed):
        again(state, masking=policy)
    assert again(state, masking=msgspec.structs.replace(policy, sha256="2" * 64))["failed"] == 0


def test_a_slice_without_time_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
    answer = verify(task())
    assert (answer["answer"], answer["wait_seconds"]) == ("wait", 1)
    assert answer["waiting_for"] == "the verification: 0 tables and 0 other checks so far"
    assert record().verified_at is None
    monkeypatch.setattr(slices, "SLICE_SECONDS", 720.0)
    assert verify(task())["answer"] == "done"


def test_progress_that_is_gone_is_made_again(state: OperationState) -> None:
    state.remember(verification={"pieces": {"key": "gone", "count": 1, "sha256": "0" * 64}})
    assert verify(task())["answer"] == "done"


def test_a_verification_that_takes_too_long_fails_and_can_be_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
    assert verify(task())["answer"] == "wait"
    with pytest.raises(StepFailed, match="After 24 hours the cluster still waits for the verification"):
        verify(task(now=NOW + slices.DEADLINE))


CLUSTER = "arn:aws:rds:us-east-1:111122223333:cluster:prod-orders"


@pytest.fixture
def against_source(servers: Servers, postgres: Postgres, state: OperationState, sql: Any) -> VerifyTask:
    """A policy that has the restored cluster compared with a live source, which has what was in the snapshot."""
    policy = f"{POLICY}source: {{schema_changes: fail}}\n"
    keep_policy(policy, state, "verification")
    volume, source = servers.new_volume(), servers.new(5432)
    postgres.copy_to(volume)
    source.create_from(volume)
    source.start()
    with source.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT host(inet_client_addr())")
        ((address,),) = cursor.fetchall()
    source.name_member(cast(Place, types.SimpleNamespace(address=address)), MEMBER)
    with source.connect("orders") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE ROLE reader LOGIN PASSWORD 'Readers-password-1'")
        cursor.execute("GRANT SELECT ON public.people TO reader")
    login = json.dumps({"username": "reader", "password": "Readers-password-1"})
    name = f"reader-{source.port}"
    secret = client("secretsmanager").create_secret(Name=name, SecretString=login)["ARN"]
    compared = ComparedSource(
        cluster_arn=CLUSTER, cluster_resource_id="cluster-1", host=source.address, port=source.port, secret_arn=secret
    )
    plan = msgspec.structs.replace(planned(), sha256=policy_hash(policy), source=compared)
    limits = msgspec.structs.replace(LIMITS, source_reader_secrets=f"{CLUSTER}={secret}")
    return msgspec.structs.replace(task(), verification=plan, limits=limits)


MEMBER = "prod-orders-1"
HERE = SourceSeen(at=NOW, members=[MEMBER])


def looked(task: VerifyTask, minutes: int, seen: SourceSeen = HERE) -> Any:
    """Call the step with what RDS said of the source so many minutes later."""
    at = NOW + dt.timedelta(minutes=minutes)
    seen = msgspec.structs.replace(seen, at=at)
    return verify(msgspec.structs.replace(task, source_seen=seen, run=a_run(now=at)))


def compared(task: VerifyTask) -> Any:
    """Verify as the state machine does: the look after the checks decides whether they count."""
    assert looked(task, 1)["answer"] == "wait"
    return looked(task, 2)


def of_source() -> list[CheckResult]:
    found = kept_verification(OPERATION)
    assert found is not None
    return [each for each in found.checks if each.kind == "source"]


def test_a_copy_that_equals_its_source_says_with_what_it_was_compared(against_source: VerifyTask) -> None:
    answer = compared(against_source)
    assert (answer["answer"], answer["findings"]) == ("done", [])
    assert record().verification["compared_with_source"] == "prod-orders"
    assert {each.name for each in of_source()} == {
        "databases as in the source",
        "schema as in the source",
        "rows as in the source",
    }
    assert "Readers-password" not in str(record())


def test_what_the_source_has_and_the_copy_has_not_is_a_finding_and_no_baseline(
    against_source: VerifyTask, sql: Any
) -> None:
    sql("DELETE FROM public.people WHERE id > 10")
    said = "at most 10 % more or fewer than the 30 rows of the source, found 10 rows"
    with pytest.raises(ChecksFailed, match=said) as failure:
        compared(against_source)
    assert "To accept what is different" not in str(failure.value)
    assert kept_baseline(SNAPSHOT, "") is None


def test_tables_that_the_masking_has_emptied_are_not_compared(
    against_source: VerifyTask, state: OperationState, sql: Any
) -> None:
    sql("TRUNCATE public.people")
    masking = "version: 1\ndatabases: {orders: {tables: {public.people: empty}}}\n"
    keep_policy(masking, state)
    plan = MaskingPlan(policy="staging", bucket="b", key="k", version_id="1", sha256=policy_hash(masking))
    assert compared(msgspec.structs.replace(against_source, masking=plan))["failed"] == 0


def test_by_which_login_is_the_stacks_to_say_also_after_the_plan(against_source: VerifyTask) -> None:
    with pytest.raises(
        ChecksFailed, match=r"login \(source\) of prod-orders was not run: SourceReaderSecrets no longer"
    ):
        looked(msgspec.structs.replace(against_source, limits=LIMITS), 1)
    assert [each.held for each in of_source()] == [None]
    found = kept_verification(OPERATION)
    assert found is not None
    assert found.compared_with_source is None


ANOTHER = SourceSeen(at=NOW, why="'prod-orders' is now cluster-2, and not cluster-1")
NOT_RUN = r"cluster \(source\) of prod-orders was not run: "


@pytest.mark.parametrize("checked", [False, True])
def test_a_source_that_another_cluster_has_replaced_before_or_after_the_checks_was_not_compared(
    against_source: VerifyTask, checked: bool
) -> None:
    if checked:
        assert looked(against_source, 1)["answer"] == "wait"
    with pytest.raises(ChecksFailed, match=NOT_RUN + "'prod-orders' is now cluster-2, and not cluster-1"):
        looked(against_source, 2, ANOTHER)
    assert [each.held for each in of_source()] == [None]
    found = kept_verification(OPERATION)
    assert found is not None
    assert found.compared_with_source is None


UNSEEN = SourceSeen(at=NOW, why="there is no cluster 'prod-orders' in us-east-1", is_unseen=True)


@pytest.mark.parametrize("checked", [False, True])
def test_a_source_that_one_look_does_not_show_is_looked_for_again(against_source: VerifyTask, checked: bool) -> None:
    if checked:
        assert looked(against_source, 1)["answer"] == "wait"
    answer = looked(against_source, 2, UNSEEN)
    assert (answer["answer"], answer["wait_seconds"]) == ("wait", 60)
    assert looked(against_source, 2, UNSEEN)["answer"] == "wait", "the same look, after a lost answer"
    if not checked:
        assert looked(against_source, 3)["answer"] == "wait", "the checks"
    assert looked(against_source, 4)["answer"] == "done"
    assert record().verification["compared_with_source"] == "prod-orders"


def test_a_source_that_two_looks_do_not_show_was_not_compared(against_source: VerifyTask) -> None:
    assert looked(against_source, 1, UNSEEN)["answer"] == "wait"
    with pytest.raises(ChecksFailed, match=NOT_RUN + "there is no cluster 'prod-orders' in us-east-1"):
        looked(against_source, 2, UNSEEN)


def test_a_retry_after_a_lost_answer_does_not_take_the_look_before_the_checks_for_the_one_after_them(
    against_source: VerifyTask,
) -> None:
    assert looked(against_source, 1)["answer"] == "wait"
    assert looked(against_source, 1)["answer"] == "wait"
    assert record().verified_at is None
    assert looked(against_source, 2)["answer"] == "done"


def test_an_instance_that_rds_does_not_list_is_looked_for_again_and_then_not_compared_with(
    against_source: VerifyTask,
) -> None:
    others = SourceSeen(at=NOW, members=["prod-orders-2"])
    assert looked(against_source, 1, others)["answer"] == "wait"
    with pytest.raises(ChecksFailed, match=r"leads to the instance 'prod-orders-1', which RDS does not list"):
        looked(against_source, 2, others)


def test_a_source_at_which_nobody_has_looked_is_not_compared(against_source: VerifyTask) -> None:
    """An execution that began before the state machine had this state goes on, and says so."""
    with pytest.raises(ChecksFailed, match=NOT_RUN + "nobody has asked RDS whether it is still the planned cluster"):
        verify(against_source)
