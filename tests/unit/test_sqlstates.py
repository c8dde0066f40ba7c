"""What passes by itself in PostgreSQL and what a person has to end: in tables, and in a real server."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import psycopg2.errorcodes
import pytest
from psycopg2 import sql

from scripts.local_aws.postgres.servers import Postgres, Servers
from utils.errors import StepFailed, TemporaryFailure
from utils.postgres.session import Server, Session, can_log_in, session
from utils.sqlstates import (
    BUSY_SERVER_TEXTS,
    PASSING_CLASSES,
    PASSING_STATES,
    passes,
    refuses_the_login,
    refuses_the_password,
)

BOSS, PASSWORD = "boss", "Productions-password-1"

# https://www.postgresql.org/docs/current/errcodes-appendix.html
MORE_THAN_IT_TAKES = 1000
"""Connections that are asked for at once; postgres/servers.py allows far fewer."""

EXPECTED = {
    "08000": True,  # connection exception
    "08006": True,  # connection failure
    "40001": True,  # serialization failure
    "40P01": True,  # deadlock detected
    "53100": True,  # disk full
    "53200": True,  # out of memory
    "53300": True,  # too many connections
    "55006": True,  # object in use
    "55P03": True,  # lock not available
    "57014": True,  # query canceled: statement_timeout
    "57P01": True,  # admin shutdown
    "57P02": True,  # crash shutdown
    "57P03": True,  # cannot connect now
    "58030": True,  # I/O error
    "25P03": True,  # idle in transaction session timeout
    "25P04": True,  # transaction timeout
    "0A000": False,  # feature not supported
    "22023": False,  # invalid parameter value
    "23505": False,  # unique violation
    "25006": False,  # read only SQL transaction
    "28000": False,  # invalid authorization specification
    "28P01": False,  # invalid password
    "3D000": False,  # the database doesn't exist
    "42501": False,  # insufficient privilege
    "42601": False,  # syntax error
    "42704": False,  # undefined object
    "42710": False,  # duplicate object
    "54000": False,  # program limit exceeded, which psycopg2 takes for operational
    "55000": False,  # object not in prerequisite state, likewise
    "57P04": False,  # database dropped
    "58P01": False,  # undefined file
    "XX000": False,  # internal error
    "XX001": False,  # data corrupted
}


@pytest.mark.parametrize("state", EXPECTED)
def test_each_state_is_classified_as_the_manual_describes_it(state: str) -> None:
    assert passes(state, "no") is EXPECTED[state]


def test_the_tables_name_classes_and_states_that_exist() -> None:
    known = {value for name, value in vars(psycopg2.errorcodes).items() if name.isupper()}
    assert known >= PASSING_CLASSES
    assert known >= PASSING_STATES - {"25P04"}  # since PostgreSQL 17


@pytest.mark.parametrize("text", ["tuple concurrently updated", "tuple concurrently deleted"])
def test_two_sessions_that_change_one_thing_at_once_are_no_lasting_error(text: str) -> None:
    assert passes("XX000", text)


FAILED = 'connection to server at "10.0.0.7", port 5432 failed: FATAL:  '


@pytest.mark.parametrize(
    "text",
    [
        "the database system is starting up",
        "the database system is shutting down",
        "the database system is in recovery mode",
        "the database system is not yet accepting connections\nDETAIL:  Consistent recovery state hasn't been reached.",
        "the database system is not accepting connections\nDETAIL:  Hot standby mode is disabled.",
        "sorry, too many clients already",
        "remaining connection slots are reserved for non-replication superuser connections",
        "remaining connection slots are reserved for roles with the SUPERUSER attribute",
        'too many connections for database "orders"',
        "canceling authentication due to timeout",
        "canceling statement due to lock timeout",
        "terminating connection due to administrator command",
        "out of memory",
    ],
)
def test_a_server_that_lets_nobody_in_now_refuses_nobody_s_password(text: str) -> None:
    assert not refuses_the_login(FAILED + text)


@pytest.mark.parametrize(
    "text",
    [
        'password authentication failed for user "boss"',
        'role "boss" is not permitted to log in',
        'role "boss" does not exist',
        'PAM authentication failed for user "boss"',
        'no pg_hba.conf entry for host "10.0.0.9", user "boss", database "orders", no encryption',
        'permission denied for database "orders"\nDETAIL:  User does not have CONNECT privilege.',
        'database "orders" does not exist',
        'database "out of memory" does not exist',
        'too many connections for role "boss"',
    ],
)
def test_a_login_that_is_turned_away_is_one(text: str) -> None:
    assert refuses_the_login(FAILED + text)


@pytest.mark.parametrize(
    "text",
    [
        'connection to server at "10.0.0.7", port 5432 failed: Connection refused',
        'could not translate host name "x.rds.amazonaws.com" to address: Name or service not known',
        'connection to server at "10.0.0.7", port 5432 failed: timeout expired',
        'connection to server at "10.0.0.7", port 5432 failed: server closed the connection unexpectedly',
    ],
)
def test_a_server_that_says_nothing_refuses_nobody(text: str) -> None:
    assert not refuses_the_login(text)
    assert not refuses_the_password(text)


def test_a_wrong_password_is_told_from_everything_else_at_the_door() -> None:
    assert refuses_the_password(FAILED + 'password authentication failed for user "boss"')
    for other in (
        'role "boss" is not permitted to log in',
        'PAM authentication failed for user "boss"',
        'database "password authentication failed" does not exist',
    ):
        assert not refuses_the_password(FAILED + other)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    running = Servers(tmp_path_factory.mktemp("servers"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def postgres(servers: Servers) -> Postgres:
    server = servers.new(5432)
    server.create(BOSS, PASSWORD, "orders")
    server.start()
    return server


@pytest.fixture(scope="module")
def server(servers: Servers, postgres: Postgres) -> Server:
    return Server(host=postgres.address, port=postgres.port, ca_bundle=str(servers.authority.bundle))


@pytest.fixture
def superuser(postgres: Postgres) -> Iterator[Callable[[str], None]]:
    with contextlib.closing(postgres.connect("orders")) as connected, connected.cursor() as cursor:
        yield cursor.execute


Step = str | Callable[[Session], object]


def work(server: Server, *steps: Step) -> None:
    """A transaction of the master user's: statements, and what happens between them."""
    with session(server, "orders", BOSS, PASSWORD) as opened:
        for step in steps:
            if isinstance(step, str):
                opened.run(sql.SQL(step))
            else:
                step(opened)


@contextlib.contextmanager
def in_another_session(postgres: Postgres, *statements: str) -> Iterator[threading.Thread]:
    """A superuser's transaction that has run the first statement and runs the others on a thread once it is started."""
    with contextlib.closing(postgres.connect("orders")) as connected, connected.cursor() as cursor:
        connected.autocommit = False
        cursor.execute(statements[0])

        def go_on() -> None:
            with contextlib.suppress(psycopg2.Error):
                for statement in statements[1:]:
                    cursor.execute(statement)
                connected.commit()

        thread = threading.Thread(target=go_on)
        yield thread
        if thread.ident is not None:
            thread.join()
        connected.rollback()


@pytest.fixture
def tables(superuser: Callable[[str], None]) -> None:
    superuser("create table if not exists public.first (); create table if not exists public.second ()")
    superuser(f"grant all on public.first, public.second to {BOSS}")


@pytest.mark.usefixtures("tables")
def test_a_deadlock_is_worth_another_attempt(server: Server, postgres: Postgres) -> None:
    theirs = ("set local deadlock_timeout = '60s'; lock public.second", "lock public.first")
    with in_another_session(postgres, *theirs) as other, pytest.raises(TemporaryFailure, match="SQLSTATE 40P01"):
        work(server, "lock public.first", lambda _: other.start(), "lock public.second")


@pytest.mark.usefixtures("tables")
def test_a_lock_that_is_not_given_in_time_is_worth_another_attempt(server: Server, postgres: Postgres) -> None:
    with in_another_session(postgres, "lock public.first"), pytest.raises(TemporaryFailure, match="SQLSTATE 55P03"):
        work(server, "set local lock_timeout = '50ms'", "lock public.first")


def test_a_statement_that_takes_too_long_is_worth_another_attempt(server: Server) -> None:
    with pytest.raises(TemporaryFailure, match="SQLSTATE 57014"):
        work(server, "set local statement_timeout = '50ms'", "select pg_sleep(30)")


def test_a_session_that_is_ended_from_outside_is_worth_another_attempt(
    server: Server, superuser: Callable[[str], None]
) -> None:
    def end(opened: Session) -> None:
        superuser(f"select pg_terminate_backend({opened.connection.info.backend_pid})")

    with pytest.raises(TemporaryFailure):
        work(server, end, "select 1")


def test_two_changes_of_one_role_at_once_are_worth_another_attempt(
    server: Server, postgres: Postgres, superuser: Callable[[str], None]
) -> None:
    superuser("create role shared; alter role boss createrole; grant shared to boss with admin option")
    theirs = ("alter role shared valid until '2030-01-01'", "select pg_sleep(0.5)")
    with (
        in_another_session(postgres, *theirs) as other,
        pytest.raises(TemporaryFailure, match="tuple concurrently updated"),
    ):
        work(server, lambda _: other.start(), "alter role shared valid until '2031-01-01'")


@pytest.mark.parametrize(
    "statement",
    ["selekt", "select * from nowhere", "create temporary sequence mine; select currval('mine')"],
)
def test_a_statement_that_can_never_succeed_is_for_a_person(server: Server, statement: str) -> None:
    with pytest.raises(StepFailed, match="SQLSTATE"):
        work(server, statement)


@pytest.mark.usefixtures("tables")
def test_what_may_fail_is_reported_unless_another_attempt_may_help(server: Server, postgres: Postgres) -> None:
    """A reason of its own is one; a lock that wasn't given in time would be none."""
    reasons: list[str | None] = []
    currval = sql.SQL("select currval('mine')")
    work(server, "create temporary sequence mine", lambda opened: reasons.append(opened.why_not(currval)))
    assert reasons == ['currval of sequence "mine" is not yet defined in this session']
    lock = sql.SQL("lock public.first")
    with in_another_session(postgres, "lock public.first"), pytest.raises(TemporaryFailure, match="SQLSTATE 55P03"):
        work(server, "set local lock_timeout = '50ms'", lambda opened: opened.why_not(lock))


def test_a_wrong_password_is_told_from_a_server_that_is_full(
    server: Server, postgres: Postgres, superuser: Callable[[str], None]
) -> None:
    assert can_log_in(server, "orders", BOSS, PASSWORD)
    assert not can_log_in(server, "orders", BOSS, "another")
    superuser("alter database orders connection limit 0")
    try:
        with pytest.raises(TemporaryFailure, match="too many connections for database"):
            can_log_in(server, "orders", BOSS, PASSWORD)
    finally:
        superuser("alter database orders connection limit -1")
    with contextlib.ExitStack() as opened:
        with contextlib.suppress(psycopg2.OperationalError):
            for _ in range(MORE_THAN_IT_TAKES):
                opened.enter_context(contextlib.closing(postgres.connect()))
        with pytest.raises(TemporaryFailure, match=r"too many clients|remaining connection slots"):
            can_log_in(server, "orders", BOSS, PASSWORD)


def test_a_server_that_is_down_is_asked_again(servers: Servers, server: Server, postgres: Postgres) -> None:
    postgres.stop()
    try:
        with pytest.raises(TemporaryFailure):
            can_log_in(server, "orders", BOSS, PASSWORD)
    finally:
        postgres.start()
    for _ in range(100):
        with contextlib.suppress(TemporaryFailure):
            assert can_log_in(server, "orders", BOSS, PASSWORD)
            return
        time.sleep(0.05)
    pytest.fail("the server didn't come back")


def test_the_texts_of_a_busy_server_are_its_own() -> None:
    """None of them is part of what it says of a login that it turns away."""
    turned_away = "password authentication failed for user, role is not permitted to log in, does not exist"
    assert not any(text in turned_away for text in BUSY_SERVER_TEXTS)
