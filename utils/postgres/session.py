"""Sessions with the restored cluster: over verified TLS, with limits, and with errors that give nothing away.

Who can change production's roles and databases also chooses the defaults of a session there: its search path, its role,
whether it may write. So each session of the master user's sets all of that itself, as start options, which take
precedence over `ALTER DATABASE`, `ALTER ROLE` and `ALTER SYSTEM` (PostgreSQL's documentation, "Setting Parameters"): no
function, operator or type from the data is ever found by its name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.errors
from msgspec import Struct, field
from psycopg2 import sql

from utils.errors import StepFailed, TemporaryFailure
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.postgres.kept_connections import KeptConnections
from utils.sqlstates import LOCK_NOT_AVAILABLE, passes, refuses_the_login

if TYPE_CHECKING:
    from psycopg2.extensions import connection, cursor

# A paused serverless instance takes up to half a minute to resume, and holds the first connection meanwhile.
CONNECT_TIMEOUT_SECONDS = 35
# What a session of the master user's begins with, against all settings in the data. Every version since 13 knows these.
PINNED = {
    "search_path": "pg_catalog",
    "role": "none",
    "default_transaction_read_only": "off",
    "default_transaction_isolation": "read\\ committed",
    "default_transaction_deferrable": "off",
    "row_security": "on",
    "client_min_messages": "error",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    # What is created again stays where it was, and needs no right on a tablespace (PostgreSQL's documentation, "Client
    # Connection Defaults").
    "default_tablespace": "",
    "temp_tablespaces": "",
    # Neither may a database's owner end every login there with a library that does not exist, and choose a part of what
    # the refusal says (PostgreSQL's documentation, "Client Connection Defaults"); nor have any error end the session.
    "local_preload_libraries": "",
    "exit_on_error": "off",
    "statement_timeout": "600000",
    "lock_timeout": "30000",
    "idle_in_transaction_session_timeout": "600000",
}
# What not every server knows, or lets its master user set. One that it refuses is omitted from then on: an unknown or
# forbidden start option means no login at all. The first two silence event triggers; RDS lets a member of rds_superuser
# set both (github.com/neondatabase/neon/pull/10624, github.com/dotCMS/core/issues/21065), PostgreSQL only superusers.
EVENT_TRIGGERS, REPLICATION_ROLE = "event_triggers", "session_replication_role"
EVENT_TRIGGERS_SINCE = 170000
TRIED = {
    EVENT_TRIGGERS: "off",  # since 17
    REPLICATION_ROLE: "replica",
    "idle_session_timeout": "0",  # since 14
    "createrole_self_grant": "",  # since 16
    # Older versions, where loaded, read `hint_plan.hints` without asking whose it is, and a view runs what it calls
    # (pg_hint_plan 1.3 to 1.5, get_hints_from_table). Where it is not loaded, PostgreSQL accepts the setting from
    # everybody.
    "pg_hint_plan.enable_hint_table": "off",
    "transaction_timeout": "0",  # since 17
}
UNICODE = "UTF8"
NOT_IN_REPERTOIRE = "22021"
HELD = "another transaction, perhaps a prepared one, is changing it and does not end"
# What libpq says of a certificate that is not the host's (fe-secure-common.c).
_OTHER_NAME = "does not match host name"
# What RDS answers to a member of rds_iam, and what any server's own access rules answer.
_PASSWORD_DOESNT_COUNT = ("PAM authentication failed", "pg_hba.conf rejects")
_NOT_PERMITTED = (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.InvalidGrantOperation)


# For the placeholders of one statement. Identifiers never are: they are composed into it.
Values = Sequence[Any] | Mapping[str, Any]


class Server(Struct, frozen=True, kw_only=True):
    """The cluster's address, and the certificates that prove it.

    `options` are what its sessions begin with beside PINNED, or in its place. `tried` is what they begin with where the
    server takes it.
    """

    host: str
    port: int
    ca_bundle: str
    options: Mapping[str, str] = field(default_factory=dict)
    tried: Mapping[str, str] = field(default_factory=lambda: TRIED)
    # Those of `tried` that the server has refused to the master user, and those that it has taken once.
    refused_options: set[str] = field(default_factory=set)
    accepted_options: set[str] = field(default_factory=set)


class Session:
    """One transaction in one database."""

    def __init__(self, connected: connection, open_cursor: cursor) -> None:
        self.connection = connected
        self._cursor = open_cursor

    @property
    def version(self) -> int:
        """Return the server's version as PostgreSQL counts it: 170005 is 17.5."""
        return self.connection.server_version

    @property
    def user(self) -> str:
        """Return the role that is logged in."""
        return str(self.connection.info.user)

    @property
    def silenced(self) -> str:
        """Return the values of `evtenabled` with which event triggers are enabled and do not run in this session."""
        ((off, role),) = self.rows(
            sql.SQL("SELECT current_setting(%s, true), current_setting(%s)"), (EVENT_TRIGGERS, REPLICATION_ROLE)
        )
        if off == "off":
            return "OAR"
        return "O" if role == "replica" else "R"

    def silence_event_triggers(self, refused_options: set[str]) -> None:
        """Silence event triggers within the session where that was refused as a start option: after those on login."""
        for name in refused_options.intersection((EVENT_TRIGGERS, REPLICATION_ROLE)):
            if name != EVENT_TRIGGERS or self.version >= EVENT_TRIGGERS_SINCE:
                self.try_run(sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(TRIED[name])))

    @contextlib.contextmanager
    def triggers(self) -> Iterator[None]:
        """Let ordinary triggers fire within the block, also where they are silenced together with event triggers."""
        silenced = "O" in self.silenced
        if silenced:
            self.try_run(sql.SQL("SET LOCAL session_replication_role = origin"))
        yield
        if silenced:
            self.try_run(sql.SQL("SET LOCAL session_replication_role = replica"))

    def run(self, statement: sql.Composable, values: Values = ()) -> None:
        """Run a statement."""
        self._cursor.execute(statement, values or None)

    def rows(self, statement: sql.Composable, values: Values = ()) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""
        self._cursor.execute(statement, values or None)
        return self._cursor.fetchall()

    def try_run(self, statement: sql.Composable) -> bool:
        """Run a statement and return whether it was permitted. If not, nothing was changed and the session can be used.

        A grant that would close a circle of memberships is not permitted either.
        """
        return self._attempt(statement, (), _NOT_PERMITTED) is None

    def why_not(self, statement: sql.Composable, values: Values = (), *, waiting: bool = True) -> str | None:
        """Run a statement that may fail, and return PostgreSQL's reason if it does, else None.

        Unless `waiting` is set, a lock that was not granted is such a reason as well.
        """
        return self._attempt(statement, values, (psycopg2.Error,), waiting=waiting)

    def _attempt(
        self,
        statement: sql.Composable,
        values: Values,
        expected: tuple[type[psycopg2.Error], ...],
        *,
        waiting: bool = True,
    ) -> str | None:
        self._cursor.execute(sql.SQL("SAVEPOINT attempt"))
        try:
            self._cursor.execute(statement, values or None)
        except expected as error:
            held = error.pgcode == LOCK_NOT_AVAILABLE
            if _may_pass(error) and (waiting or not held):
                raise  # a lock, a timeout, a lost connection: the whole work may succeed in a moment
            self._cursor.execute(sql.SQL("ROLLBACK TO SAVEPOINT attempt"))
            if held:
                return HELD
            return one_line(error.diag.message_primary or type(error).__name__, MAX_SENTENCE)
        self._cursor.execute(sql.SQL("RELEASE SAVEPOINT attempt"))
        return None


class SqlRefused(Exception):
    """What PostgreSQL refuses for good, with a reason that shows nothing of the statement. Never leaves a step.

    `unreadable`: a name is not text in the session's encoding.
    """

    def __init__(self, reason: str, *, unreadable: bool = False) -> None:
        super().__init__(reason)
        self.unreadable = unreadable


@contextlib.contextmanager
def session(server: Server, database: str, user: str, password: str) -> Iterator[Session]:
    """Yield a transaction that commits at the end of the block, or rolls back.

    Raises TemporaryFailure while the server admits no session, and StepFailed for what PostgreSQL refuses. Neither has
    the statement: its text could hold a password's verifier.
    """
    try:
        with refusable_session(server, database, user, password) as opened:
            yield opened
    except SqlRefused as error:
        raise StepFailed(
            f"{error} Fix that in the source, then start a new operation, from a snapshot that was taken since."
        ) from None


@contextlib.contextmanager
def refusable_session(
    server: Server,
    database: str,
    user: str,
    password: str,
    encoding: str = UNICODE,
    *,
    autocommit: bool = False,
    kept: KeptConnections | None = None,
) -> Iterator[Session]:
    """Yield the same as `session`, for work that continues after a refusal: raises SqlRefused, not StepFailed.

    With `autocommit` each statement is a transaction of its own, and none of the session's methods that try things
    can be used. `kept`: connections of this login to this database, of which one is used if there is any.
    """
    # psycopg2 does not learn of an encoding that is reset.
    reused = kept if encoding == UNICODE else None
    connected = (reused and reused.take_idle()) or _connect(server, database, user, password)
    is_kept = False
    try:
        if encoding != UNICODE:
            connected.set_client_encoding(encoding)
        with contextlib.nullcontext() if autocommit else _transaction(connected), connected.cursor() as open_cursor:
            opened = Session(connected, open_cursor)
            opened.silence_event_triggers(server.refused_options)
            if autocommit:
                connected.commit()
                connected.autocommit = True
            yield opened
        is_kept = reused is not None and reused.keep_idle(connected)
    except psycopg2.Error as error:
        state = error.pgcode or ""
        message = one_line(error.diag.message_primary or type(error).__name__, MAX_SENTENCE)
        text = (
            f"PostgreSQL refused work in database {database!r} of {server.host}: {message} (SQLSTATE {state or '?'})."
        )
        if _may_pass(error):
            raise TemporaryFailure(text) from None
        raise SqlRefused(text, unreadable=state == NOT_IN_REPERTOIRE) from None
    except UnicodeError:
        text = f"Database {database!r} of {server.host} has names that are not UTF-8 text and could not be read."
        raise SqlRefused(text, unreadable=True) from None
    finally:
        if not is_kept:
            connected.close()


@contextlib.contextmanager
def _transaction(connected: connection) -> Iterator[None]:
    """Commit at the end of the block, or roll back: a connection that is lost has nothing to roll back."""
    try:
        yield
    except BaseException:
        if not connected.closed:
            connected.rollback()
        raise
    connected.commit()


def _may_pass(error: psycopg2.Error) -> bool:
    """Return whether the same work may succeed in a moment. A connection that broke leaves no SQLSTATE."""
    if error.pgcode is None:
        return isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError))
    return passes(error.pgcode, error.diag.message_primary or "")


def can_log_in(server: Server, database: str, user: str, password: str) -> bool:
    """Return whether this very password opens the database. Raises TemporaryFailure while that is not known.

    None of our options is set: the role's users will log in without them.
    """
    try:
        _open(server, database, user, password).close()
    except psycopg2.OperationalError as error:
        if refuses_the_login(str(error)):
            return False
        raise _no_login(server, database, user, error) from None
    return True


def _connect(server: Server, database: str, user: str, password: str) -> connection:
    while True:
        tried = {name: value for name, value in server.tried.items() if name not in server.refused_options}
        try:
            opened = _open(server, database, user, password, {**PINNED, **server.options, **tried})
        except psycopg2.OperationalError as error:
            # What the message says beside that is the data's to choose, the database's name at least. So an option that
            # was accepted once is never omitted: event triggers on login would run with the master user's rights.
            named = {name for name in tried if name in str(error) and name not in database}
            refused = named - server.accepted_options
            if not refused:
                raise _no_login(server, database, user, error) from None
            server.refused_options.update(refused)
        else:
            server.accepted_options.update(tried)
            return opened


def _open(
    server: Server, database: str, user: str, password: str, options: Mapping[str, str] = MappingProxyType({})
) -> connection:
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
        # Names and passwords are Unicode here, also where a database's own encoding is another.
        client_encoding=UNICODE,
        options=" ".join(f"-c {name}={value}" for name, value in options.items()),
    )


def _no_login(server: Server, database: str, user: str, error: psycopg2.OperationalError) -> TemporaryFailure:
    reason = one_line(str(error).strip().replace("\n", " "), MAX_SENTENCE)
    if any(refusal in reason for refusal in _PASSWORD_DOESNT_COUNT):
        reason += (
            f". If {user!r} is a member of rds_iam, no password opens it: REVOKE rds_iam FROM it where it came from"
        )
    if _OTHER_NAME in reason:
        reason += ". A cluster that was renamed has its new name in its certificate once its instances were restarted"
    where = f"{server.host}:{server.port}/{one_line(database)}"
    return TemporaryFailure(f"No login as {user!r} to {where} yet: {reason}")
