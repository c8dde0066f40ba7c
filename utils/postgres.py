"""Sessions with the restored cluster: over verified TLS, with limits, and with errors that give nothing away."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.errors
from msgspec import Struct
from psycopg2 import sql

from utils.errors import StepFailed, TemporaryFailure
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.sqlstates import passes, refuses_the_login

if TYPE_CHECKING:
    from psycopg2.extensions import connection, cursor

# A paused serverless instance takes up to half a minute to resume, and holds the first connection meanwhile.
CONNECT_TIMEOUT_SECONDS = 35
_OPTIONS = "-c statement_timeout=600000 -c lock_timeout=30000 -c idle_in_transaction_session_timeout=600000"
_NOT_PERMITTED = (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.InvalidGrantOperation)


# For the placeholders of one statement. Identifiers never are: they are composed into it.
Values = Sequence[Any] | Mapping[str, Any]


class Server(Struct, frozen=True, kw_only=True):
    """Where the cluster answers, and the certificates that prove it."""

    host: str
    port: int
    ca_bundle: str


class Session:
    """One transaction in one database."""

    def __init__(self, connected: connection, open_cursor: cursor) -> None:
        self.connection = connected
        self._cursor = open_cursor

    @property
    def version(self) -> int:
        """As PostgreSQL counts it: 170005 is 17.5."""
        return self.connection.server_version

    def run(self, statement: sql.Composable, values: Values = ()) -> None:
        self._cursor.execute(statement, values or None)

    def rows(self, statement: sql.Composable, values: Values = ()) -> list[tuple[Any, ...]]:
        self._cursor.execute(statement, values or None)
        return self._cursor.fetchall()

    def try_run(self, statement: sql.Composable) -> bool:
        """Run a statement that may not be permitted; if it isn't, nothing has happened and the session goes on.

        A grant that would close a circle of memberships isn't permitted either.
        """
        return self._attempt(statement, (), _NOT_PERMITTED) is None

    def why_not(self, statement: sql.Composable, values: Values = ()) -> str | None:
        """Run a statement that may fail for any reason of its own: None when it is done, else PostgreSQL's reason."""
        return self._attempt(statement, values, (psycopg2.Error,))

    def _attempt(
        self, statement: sql.Composable, values: Values, expected: tuple[type[psycopg2.Error], ...]
    ) -> str | None:
        self._cursor.execute(sql.SQL("SAVEPOINT attempt"))
        try:
            self._cursor.execute(statement, values or None)
        except expected as error:
            if _may_pass(error):
                raise  # a lock, a timeout, a lost connection: the whole work may succeed in a moment
            self._cursor.execute(sql.SQL("ROLLBACK TO SAVEPOINT attempt"))
            return one_line(error.diag.message_primary or type(error).__name__, MAX_SENTENCE)
        self._cursor.execute(sql.SQL("RELEASE SAVEPOINT attempt"))
        return None


@contextlib.contextmanager
def session(server: Server, database: str, user: str, password: str) -> Iterator[Session]:
    """A transaction that commits at the end of the block, or rolls back.

    Raises TemporaryFailure while the server doesn't let us in, and StepFailed for what SQL refuses. Neither carries the
    statement: its text could hold a password's verifier.
    """
    connected = _connect(server, database, user, password)
    try:
        with connected, connected.cursor() as open_cursor:
            yield Session(connected, open_cursor)
    except psycopg2.Error as error:
        state = error.pgcode or ""
        message = one_line(error.diag.message_primary or type(error).__name__, MAX_SENTENCE)
        text = (
            f"PostgreSQL refused work in database {database!r} of {server.host}: {message} (SQLSTATE {state or '?'})."
        )
        if _may_pass(error):
            raise TemporaryFailure(text) from None
        raise StepFailed(f"{text} Mend that in the database's snapshot or roles, then start again.") from None
    finally:
        connected.close()


def _may_pass(error: psycopg2.Error) -> bool:
    """Return whether the same work may succeed in a moment. A connection that broke leaves no SQLSTATE."""
    if error.pgcode is None:
        return isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError))
    return passes(error.pgcode, error.diag.message_primary or "")


def can_log_in(server: Server, database: str, user: str, password: str) -> bool:
    """Whether exactly this password opens the door. Raises TemporaryFailure when nobody answers to tell."""
    try:
        _open(server, database, user, password).close()
    except psycopg2.OperationalError as error:
        if refuses_the_login(str(error)):
            return False
        raise _no_login(server, database, user, error) from None
    return True


def _connect(server: Server, database: str, user: str, password: str) -> connection:
    try:
        return _open(server, database, user, password)
    except psycopg2.OperationalError as error:
        raise _no_login(server, database, user, error) from None


def _open(server: Server, database: str, user: str, password: str) -> connection:
    return psycopg2.connect(
        host=server.host,
        port=server.port,
        dbname=database,
        user=user,
        password=password,
        sslmode="verify-full",
        sslrootcert=server.ca_bundle,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        application_name="aurora-restore",
        # Names and passwords are Unicode here, whatever a database's own encoding is.
        client_encoding="UTF8",
        options=_OPTIONS,
    )


def _no_login(server: Server, database: str, user: str, error: psycopg2.OperationalError) -> TemporaryFailure:
    reason = one_line(str(error).strip().replace("\n", " "), MAX_SENTENCE)
    where = f"{server.host}:{server.port}/{one_line(database)}"
    return TemporaryFailure(f"No login as {user!r} to {where} yet: {reason}")
