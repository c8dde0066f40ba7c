"""Connections of the master user that wait for their next transaction, and what is left of the last one: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
from psycopg2 import sql

from scripts.local_aws.postgres.servers import Servers
from tests.integration.postgres.cluster_support import MASTER, MASTER_PASSWORD, Cluster, started
from utils.postgres import kept_connections
from utils.postgres.databases import ANY_BYTES
from utils.postgres.kept_connections import KeptConnections
from utils.postgres.session import UNICODE, Session, SqlRefused, refusable_session


@pytest.fixture(scope="module")
def cluster(servers: Servers) -> Iterator[Cluster]:
    running = started(servers)
    yield running
    running.postgres.destroy()


def entered(
    cluster: Cluster, kept: KeptConnections, encoding: str = UNICODE, *, autocommit: bool = False
) -> AbstractContextManager[Session]:
    return refusable_session(
        cluster.server, "postgres", MASTER, MASTER_PASSWORD, encoding, autocommit=autocommit, kept=kept
    )


def process(opened: Session) -> int:
    return opened.connection.info.backend_pid


def is_closed(opened: Session) -> bool:
    return bool(opened.connection.closed)


def test_a_kept_connection_has_nothing_of_its_last_transaction(cluster: Cluster) -> None:
    kept = KeptConnections()
    with kept.keeping():
        with entered(cluster, kept, autocommit=True) as opened:
            first = process(opened)
            for statement in (
                "SET search_path = public",
                "SET statement_timeout = 0",
                "SET ROLE pg_monitor",
                "CREATE TEMPORARY TABLE pg_class (oid oid)",
                "SELECT pg_advisory_lock(1)",
            ):
                opened.run(sql.SQL(statement))
        with entered(cluster, kept) as opened:
            assert process(opened) == first
            assert opened.rows(
                sql.SQL(
                    "SELECT current_setting('search_path'), current_setting('statement_timeout'), current_user,"
                    " to_regclass('pg_temp.pg_class'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
                )
            ) == [("pg_catalog", "10min", MASTER, None, 0)]


def test_who_works_within_the_transaction_of_another_has_a_connection_of_its_own(cluster: Cluster) -> None:
    kept = KeptConnections()
    with kept.keeping():
        with entered(cluster, kept) as outer, entered(cluster, kept) as inner:
            both = {process(outer), process(inner)}
            assert len(both) == 2
        with entered(cluster, kept) as outer, entered(cluster, kept) as inner:
            assert {process(outer), process(inner)} == both


def test_no_connection_is_kept_after_an_error_or_for_long_or_without_need(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KeptConnections()
    with kept.keeping():
        with pytest.raises(SqlRefused), entered(cluster, kept) as opened:
            opened.run(sql.SQL("SELECT 1 / 0"))
        assert kept.take_idle() is None
        with entered(cluster, kept, ANY_BYTES):
            pass
        assert kept.take_idle() is None, "its encoding would be another one"
        with entered(cluster, kept) as opened:
            pass
        monkeypatch.setattr(kept_connections, "MOST_IDLE_SECONDS", 0)
        assert kept.take_idle() is None
        assert is_closed(opened)
        with entered(cluster, kept) as opened:
            assert not is_closed(opened)
    assert is_closed(opened)
    with entered(cluster, kept) as opened:
        pass
    assert is_closed(opened)


def test_a_connection_that_ended_meanwhile_is_replaced(cluster: Cluster) -> None:
    kept = KeptConnections()
    with kept.keeping():
        with entered(cluster, kept) as opened:
            first = process(opened)
        cluster.superuser("postgres", f"select pg_terminate_backend({first}, 10000)")
        with entered(cluster, kept) as opened:
            assert opened.rows(sql.SQL("SELECT 1")) == [(1,)]
            assert process(opened) != first
