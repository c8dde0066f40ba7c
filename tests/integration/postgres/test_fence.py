"""Every client's session is ended, whatever it is doing, and nobody is said to be out who isn't."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg2
import psycopg2.errors
import pytest

from scripts.local_aws.postgres import servers as local_postgres
from scripts.local_aws.postgres.servers import Servers
from tests.integration.postgres.cluster_support import MASTER, MASTER_PASSWORD, Cluster, started
from utils.postgres import fence
from utils.postgres.fence import Fence, end_client_sessions
from utils.postgres.session import Server, session

APP, APP_PASSWORD = "shop_app", "Shops-password-1"


@pytest.fixture(scope="module")
def cluster(servers: Servers) -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(local_postgres._SETTINGS, "max_prepared_transactions", "4")
        running = started(servers)
        running.as_master("orders", f"create role {APP} login password '{APP_PASSWORD}'", "create table t (n int)",
                          f"grant insert, select on t to {APP}")  # fmt: skip
        yield running
        running.postgres.destroy()


@contextmanager
def client(cluster: Cluster, user: str = APP, password: str = APP_PASSWORD) -> Iterator[psycopg2.extensions.connection]:
    with closing(
        psycopg2.connect(
            host=cluster.server.host, port=cluster.server.port, dbname="orders", user=user, password=password
        )
    ) as connected:
        yield connected


def ended(cluster: Cluster, sleep: Callable[[float], None] = time.sleep) -> Fence:
    with session(cluster.server, "orders", MASTER, MASTER_PASSWORD) as opened:
        return end_client_sessions(opened, sleep)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "APART_SECONDS", 0.3)


def test_sessions_end_whatever_they_are_doing(cluster: Cluster) -> None:
    """Idle, idle in a transaction that has written, and the master user's own in another place."""
    with client(cluster) as idle, client(cluster) as writing, client(cluster, MASTER, MASTER_PASSWORD) as other:
        idle.autocommit = other.autocommit = True
        for each in (idle, other):
            each.cursor().execute("select 1")
        writing.cursor().execute("insert into t values (1)")
        assert ended(cluster) == Fence(ended=3, in_doubt=1)
        for each in (idle, writing, other):
            with pytest.raises((psycopg2.errors.AdminShutdown, psycopg2.OperationalError)):
                each.cursor().execute("select 1")
    assert cluster.superuser("orders", "select count(*) from t") == [(0,)]


def test_nobody_there_is_proved_at_once(cluster: Cluster) -> None:
    found = ended(cluster)
    assert found == Fence()


def test_a_client_that_comes_back_between_the_looks_is_no_proof(cluster: Cluster) -> None:
    """It is ended as well, so that the next call finds nobody."""
    came: list[psycopg2.extensions.connection] = []

    def sleep(seconds: float) -> None:
        if seconds == fence.APART_SECONDS:
            came.append(psycopg2.connect(host=cluster.server.host, port=cluster.server.port, dbname="orders", user=APP,
                                         password=APP_PASSWORD))  # fmt: skip
        else:
            time.sleep(seconds)

    found = ended(cluster, sleep)
    assert (found.left, found.ended) == ([f"1 of '{APP}'"], 1)
    with pytest.raises(psycopg2.OperationalError):
        came[0].cursor().execute("select 1")
    assert ended(cluster).left == []


def test_a_session_that_may_not_be_ended_is_left_and_named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a superuser's would be that is not AWS's."""
    monkeypatch.setattr(fence, "ENDS_WITHIN_SECONDS", 0.4)
    cluster.superuser("postgres", "create role root login superuser password 'Roots-password-1'")
    with client(cluster, "root", "Roots-password-1") as superusers:
        found = ended(cluster)
        assert (found.left, found.ended) == (["1 of 'root'"], 0)
        superusers.cursor().execute("select 1")
    cluster.superuser("postgres", "drop role root")


def test_awss_own_sessions_are_left_alone(cluster: Cluster) -> None:
    with closing(cluster.postgres.connect("postgres")) as rdsadmin:
        assert ended(cluster) == Fence()
        rdsadmin.cursor().execute("select 1")


def test_who_may_see_little_takes_no_client_for_none(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pg_monitor a session shows neither its type nor what it does."""
    monkeypatch.setattr(fence, "ENDS_WITHIN_SECONDS", 0.4)
    cluster.superuser("postgres", "create role small login password 'Smalls-password-1'")
    with client(cluster) as connected:
        connected.cursor().execute("select 1")
        server = Server(host=cluster.server.host, port=cluster.server.port, ca_bundle=cluster.server.ca_bundle)
        with session(server, "orders", "small", "Smalls-password-1") as opened:
            found = end_client_sessions(opened)
        assert (found.left, found.ended) == ([f"1 of '{APP}'"], 0)
    cluster.superuser("postgres", "drop role small")


def test_prepared_transactions_are_counted(cluster: Cluster) -> None:
    """They outlive the sessions that have prepared them."""
    with client(cluster) as connected:
        connected.autocommit = True
        for statement in ("begin", "insert into t values (2)", "prepare transaction 'kept'"):
            connected.cursor().execute(statement)
        assert ended(cluster).prepared_transactions == 1
    cluster.as_user(APP, APP_PASSWORD, "orders", "rollback prepared 'kept'")
    assert ended(cluster).prepared_transactions == 0
