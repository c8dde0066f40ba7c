"""The errands of a swap on a real server: what each stores, and what it leaves for the next look."""

from __future__ import annotations

import datetime as dt
import types
import uuid
from collections.abc import Iterator
from typing import Any, cast

import psycopg2
import pytest
from msgspec.structs import replace

import utils.aws
from scripts.local_aws.postgres import servers as local_postgres
from scripts.local_aws.postgres.gateway import Place
from scripts.local_aws.postgres.servers import Servers
from scripts.local_aws.server import LocalAws
from tests.integration.postgres.cluster_support import MASTER, MASTER_PASSWORD, Cluster, started
from utils.aws import client
from utils.contracts.payloads import SwapErrand, SwapFindings
from utils.contracts.swap import RecordedCluster, SwapRecord
from utils.logins.master import AdminSecret
from utils.postgres import fence
from utils.state.operation import OperationState
from utils.state.swap import Asked, StoredSwap, Within, keep_swap, stored_swap
from utils.steps.swap_within import NAME_PATIENCE, Errands

OPERATION, EXECUTION = "a-night", "arn:aws:states:us-east-1:123456789012:execution:pipeline:a-night"
NOW = dt.datetime(2026, 3, 10, 3, 0, tzinfo=dt.UTC)
MEMBER, VERSION, WRONG_VERSION = "night-0123456789ab-1", "0" * 32, "1" * 32
NEW = RecordedCluster(resource_id="cluster-NEW", other_names=("target-new",))
OLD = RecordedCluster(resource_id="cluster-OLD", other_names=("target-old",))
RECORD = SwapRecord(live_name="target", old=OLD, new=NEW, began_at=NOW)


@pytest.fixture(scope="module")
def cluster(servers: Servers) -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(local_postgres._SETTINGS, "max_prepared_transactions", "4")
        running = started(servers)
    ((address,),) = running.as_master("orders", "select host(inet_client_addr())")
    running.postgres.name_member(cast(Place, types.SimpleNamespace(address=address)), MEMBER)
    yield running
    running.postgres.destroy()


class Swapping:
    """A swap that has asked for an errand, and what is stored of it."""

    def __init__(self, cluster: Cluster, admin: AdminSecret) -> None:
        self._cluster, self._admin = cluster, admin
        self.host, self.port = cluster.server.host, cluster.server.port

    def errand(self, kind: Any, **changes: Any) -> SwapErrand:
        return replace(
            SwapErrand(
                kind=kind, side="old", number=1, members={MEMBER: self.host}, host=self.host, port=self.port,
                version_id=VERSION, fingerprint="0123456789ab",
            ),
            **changes,
        )  # fmt: skip

    def do(self, errand: SwapErrand, after: dt.timedelta = dt.timedelta(0)) -> SwapFindings:
        state = OperationState(OPERATION, EXECUTION, NOW + after)
        return Errands(self._admin, state, self._cluster.server.ca_bundle).do(errand)

    @property
    def stored(self) -> StoredSwap:
        found = stored_swap(OPERATION)
        assert found is not None
        return found

    def within(self) -> Within:
        return self.stored.within.get("old", Within())


@pytest.fixture
def swapping(aws: LocalAws, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Swapping]:
    """The state and the secret are in the embedded AWS that these tests share, under names of their own."""
    monkeypatch.setattr(fence, "APART_SECONDS", 0.3)
    own = uuid.uuid4().hex[:8]
    tables = {"STATE_TABLE": f"State-{own}", "AUDIT_TABLE": f"Audit-{own}"}
    place = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": aws.endpoint_url}
    for name, value in (tables | place | aws.operator.environment()).items():
        monkeypatch.setenv(name, value)
    _forget_clients()
    for setting, keys in (("STATE_TABLE", ["operation_id"]), ("AUDIT_TABLE", ["operation_id", "timestamp"])):
        client("dynamodb").create_table(
            TableName=tables[setting],
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": each, "AttributeType": "S"} for each in keys],
            KeySchema=[
                {"AttributeName": each, "KeyType": "HASH" if each == "operation_id" else "RANGE"} for each in keys
            ],
        )
    arn = client("secretsmanager").create_secret(Name=f"admin-{own}", SecretString="{}")["ARN"]
    for version, password in ((VERSION, MASTER_PASSWORD), (WRONG_VERSION, "Another-password-1")):
        login = f'{{"username": "{MASTER}", "password": "{password}", "host": "", "port": 5432}}'
        client("secretsmanager").put_secret_value(
            SecretId=arn, ClientRequestToken=version, SecretString=login, VersionStages=[f"of-{version[0]}"]
        )
    keep_swap(StoredSwap(record=RECORD, asked=Asked(1, "", NOW)), OperationState(OPERATION, EXECUTION, NOW))
    yield Swapping(cluster, AdminSecret(arn))
    _forget_clients()


def _forget_clients() -> None:
    """Functions keep their clients, which have the place and the keys that they were made with."""
    for cached in (cast(Any, utils.aws.client), utils.aws._session):
        cached.cache_clear()


def a_client(cluster: Cluster) -> Any:
    found = psycopg2.connect(
        host=cluster.server.host, port=cluster.server.port, dbname="orders", user=MASTER, password=MASTER_PASSWORD
    )
    found.cursor().execute("select 1")
    return found


def test_sessions_are_ended_counted_and_the_members_noted(swapping: Swapping, cluster: Cluster) -> None:
    somebody = a_client(cluster)
    found = swapping.do(swapping.errand("end-sessions"))
    assert (found.left, found.ended, found.in_doubt) == ([], 1, 1)
    with pytest.raises(psycopg2.OperationalError):
        somebody.cursor().execute("select 1")
    assert swapping.within().sessions_ended == [MEMBER]
    assert (swapping.stored.sessions_ended, swapping.stored.no_login) == (1, False)
    assert swapping.do(swapping.errand("end-sessions")).ended == 0, "a second one has the effect of one"


def test_the_prepared_transactions_that_stay_are_counted(swapping: Swapping, cluster: Cluster) -> None:
    somebody = a_client(cluster)
    # psycopg2 has begun a transaction with its first statement.
    for statement in ("create table kept ()", "prepare transaction 'kept'"):
        somebody.cursor().execute(statement)
    swapping.do(swapping.errand("end-sessions"))
    assert swapping.stored.prepared_transactions == 1
    cluster.as_master("orders", "rollback prepared 'kept'")
    swapping.do(swapping.errand("end-sessions"))
    assert swapping.stored.prepared_transactions == 0


def test_a_member_that_does_not_answer_proves_nothing(swapping: Swapping) -> None:
    both = {MEMBER: swapping.host, "another": "127.255.255.253"}
    found = swapping.do(swapping.errand("end-sessions", members=both))
    assert [each.split(":")[0] for each in found.left] == ["another"]
    assert (swapping.within().sessions_ended, swapping.stored.no_login) == (None, False)


@pytest.mark.parametrize("version", [WRONG_VERSION, "2" * 32, None])
def test_a_login_that_does_not_open_it_leaves_its_restart(swapping: Swapping, version: str | None) -> None:
    found = swapping.do(swapping.errand("end-sessions", version_id=version))
    assert found.left
    assert MASTER_PASSWORD not in str(found)
    assert (swapping.stored.no_login, swapping.within().sessions_ended) == (True, None)


@pytest.mark.parametrize(("name", "has"), [(None, True), ("target.cluster-c0ffee.us-east-1.rds.amazonaws.com", False)])
def test_a_certificate_has_the_name_or_is_stale(swapping: Swapping, name: str | None, has: bool) -> None:
    swapping.do(swapping.errand("look-at-certificates", host=name or swapping.host))
    assert (swapping.within().has_live_name, swapping.within().certificates_of) == (has, [MEMBER])


@pytest.mark.parametrize("has", [True, False])
def test_the_restart_that_has_renewed_a_certificate_is_the_one_that_is_tried_first(
    swapping: Swapping, has: bool
) -> None:
    stored = replace(swapping.stored, restarted={"old": "stopped-and-started"})
    keep_swap(stored, OperationState(OPERATION, EXECUTION, NOW))
    swapping.do(swapping.errand("look-at-certificates", host=swapping.host if has else "elsewhere.example"))
    assert swapping.stored.record.restart_that_renews == ("stopped-and-started" if has else "rebooted")


def test_one_member_with_a_stale_certificate_is_enough_and_one_that_is_away_is_waited_for(swapping: Swapping) -> None:
    both = {MEMBER: swapping.host, "another": "127.255.255.253"}
    assert swapping.do(swapping.errand("look-at-certificates", members=both)).left
    assert swapping.within().has_live_name is None


def test_the_name_that_leads_to_a_member_is_proved(swapping: Swapping) -> None:
    assert swapping.do(swapping.errand("prove")).left == []
    assert swapping.stored.record.proven == "old"


def test_the_name_that_leads_to_another_instance_is_not(swapping: Swapping) -> None:
    found = swapping.do(swapping.errand("prove", members={"somebody-elses-1": swapping.host}))
    assert found.left == [f"{swapping.host} leads to instance {MEMBER}"]
    assert (swapping.stored.record.proven, swapping.stored.record.failed_proofs) == (None, 1)


def test_a_login_that_the_name_refuses_is_no_proof(swapping: Swapping) -> None:
    swapping.do(swapping.errand("prove", version_id=WRONG_VERSION))
    assert (swapping.stored.record.proven, swapping.stored.record.failed_proofs) == (None, 1)


def test_a_name_that_does_not_resolve_yet_is_waited_for_as_long_as_resolvers_keep_that(swapping: Swapping) -> None:
    nowhere = swapping.errand("prove", host="target.cluster-c0ffee.us-east-1.rds.invalid")
    assert swapping.do(nowhere).left
    assert (swapping.stored.record.proven, swapping.stored.record.failed_proofs) == (None, 0)
    swapping.do(nowhere, after=NAME_PATIENCE)
    assert swapping.stored.record.failed_proofs == 1


def test_without_a_login_the_certificate_behind_the_name_has_to_have_a_member(swapping: Swapping) -> None:
    assert swapping.do(swapping.errand("prove", version_id=None, members={"a": "127.255.255.253"})).left
    assert swapping.stored.record.failed_proofs == 1
    swapping.do(swapping.errand("prove", version_id=None))
    assert swapping.stored.record.proven == "old"


def test_an_errand_that_the_swap_no_longer_waits_for_does_nothing(swapping: Swapping, cluster: Cluster) -> None:
    somebody, before = a_client(cluster), swapping.stored
    assert swapping.do(swapping.errand("end-sessions", number=2)).left
    somebody.cursor().execute("select 1")
    somebody.close()
    assert swapping.stored == before
