"""Sessions of the masking: the master user's for the catalogue, the masking role's for everything that reads rows.

Nothing of the data runs with the master user's rights: its CHECKs, generated columns, expression indexes, casts and
policies run only where the masking role updates, and that role has no rights but the tables that it is lent.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
from msgspec import Struct, field
from psycopg2 import sql

from utils.errors import StepFailed, TemporaryFailure
from utils.foreign_text import one_line
from utils.postgres.databases import DatabaseCluster
from utils.postgres.kept_connections import KeptConnections
from utils.postgres.own_roles import OwnLogin
from utils.postgres.session import Server, Session, SqlRefused, refusable_session
from utils.postgres.slice_clock import OutOfTime, SliceClock
from utils.sqlstates import passes

_NOT_IN_REPERTOIRE = "22021"
# PostgreSQL's documentation, "Client Connection Defaults": since 14.
CHECKS_THE_CONNECTION_SINCE = 140000


# What the master user may do with the masking role's tables it does as its member. Since 16 that has options.
_AS_MEMBER = sql.SQL(
    "DO $member$ BEGIN EXECUTE 'GRANT ' || {member} || ' TO CURRENT_USER'"
    " || CASE WHEN current_setting('server_version_num')::int >= 160000 THEN ' WITH INHERIT TRUE, SET TRUE'"
    " ELSE '' END;"
    " EXECUTE {text}; EXECUTE 'REVOKE ' || {member} || ' FROM CURRENT_USER'; END $member$"
)


class Place(Struct, frozen=True, kw_only=True):
    """One database of the restored cluster, and who works there."""

    cluster: DatabaseCluster
    # The masking role is refused other options than the master user, so it has a memory of its own for them.
    server: Server
    database: str
    encoding: str
    masker: OwnLogin
    salt: str
    schema: str
    """The schema with the state of the masking."""
    canaries: tuple[str, ...] = ()
    """Values of production that the gate looks for. They are kept in no table of the database."""
    kept: KeptConnections = field(default_factory=KeptConnections)
    """The master user's. What code of the data leaves in a session of the masking role's ends with its work."""

    def __repr__(self) -> str:
        return f"Place({self.database})"

    @contextlib.contextmanager
    def as_master(self) -> Iterator[Session]:
        """Yield a transaction of the master user's, that commits at the end of the block. Nothing of it reads rows."""
        with self._opened(as_master=True) as opened:
            yield opened
            opened.connection.commit()  # here, because what a deferred trigger raises has values as well

    @contextlib.contextmanager
    def as_masker(self) -> Iterator[Session]:
        """Yield a transaction of the masking role's, that commits at the end of the block.

        It ends within a second after this process has died.
        """
        with self._opened(as_master=False) as opened:
            if opened.version >= CHECKS_THE_CONNECTION_SINCE:
                opened.why_not(sql.SQL("SET client_connection_check_interval = '1s'"))  # not every system can
            opened.connection.commit()
            yield opened
            opened.connection.commit()

    @contextlib.contextmanager
    def autocommitting(self, *, as_master: bool) -> Iterator[Session]:
        """Yield a session each of whose statements is a transaction, which ends by itself when this process is gone."""
        with self._opened(as_master=as_master, autocommit=True) as opened:
            opened.run(sql.SQL("SET statement_timeout = 0"))
            opened.run(sql.SQL("SET lock_timeout = 0"))
            yield opened

    @contextlib.contextmanager
    def _opened(self, *, as_master: bool, autocommit: bool = False) -> Iterator[Session]:
        master = self.cluster.master
        server = self.cluster.server if as_master else self.server
        login = OwnLogin(master.username, master.password) if as_master else self.masker
        kept = self.kept if as_master else None
        try:
            with (
                refusable_session(
                    server, self.database, *login, self.encoding, autocommit=autocommit, kept=kept
                ) as opened,
                self.without_values(),
            ):
                if not as_master:
                    # Of relations and types, the session's temporary ones would be found first otherwise.
                    opened.run(sql.SQL("SET search_path = pg_catalog, pg_temp"))
                    # Rows that a policy hides are an error.
                    opened.run(sql.SQL("SET row_security = off"))
                yield opened
        except SqlRefused as error:
            if error.unreadable:
                raise
            raise StepFailed(str(error)) from None

    @contextlib.contextmanager
    def without_values(self) -> Iterator[None]:
        """Raise PostgreSQL's errors without their texts, as these show rows: only what it names of the schema."""
        try:
            yield
        except psycopg2.Error as error:
            state = error.pgcode or ""
            if state == _NOT_IN_REPERTOIRE:
                raise SqlRefused("a text is not valid in the session's encoding", unreadable=True) from None
            where = self.described(error)
            lost = not state and isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError))
            if lost or (state and passes(state, error.diag.message_primary or "")):
                raise TemporaryFailure(f"Masking was interrupted {where}.") from None
            raise StepFailed(
                f"PostgreSQL refused a statement of the masking {where}. Correct the policy, or what it names in the "
                "source, then start a new operation. The door of the restored cluster stays shut."
            ) from None

    def described(self, error: psycopg2.Error) -> str:
        """Return where an error happened, with its SQLSTATE and nothing of a row."""
        named = [
            f"{what} {one_line(name)!r}"
            for what, name in (
                ("schema", error.diag.schema_name),
                ("table", error.diag.table_name),
                ("column", error.diag.column_name),
                ("type", error.diag.datatype_name),
                ("constraint", error.diag.constraint_name),
            )
            if name
        ]
        inside = ", ".join([f"in database {one_line(self.database)!r}", *named])
        return f"{inside} (SQLSTATE {error.pgcode or '?'})"

    def state(self, table: str) -> sql.Identifier:
        """Return one of the tables that keep the state of the masking."""
        return sql.Identifier(self.schema, table)

    def outlasting(
        self, statements: sql.Composable, clock: SliceClock, key: int, *, done: sql.Composable, mark: sql.Composable
    ) -> None:
        """Run statements and their mark as the master user in one transaction, also when this process is gone.

        What they call of the data's runs as the masking role, which owns the tables. An index of a big table takes
        longer than a slice. So all of it is one DO, which PostgreSQL finishes and commits without a client. The
        next slice waits at the lock, and finds it `done`. Raises OutOfTime where it still runs when the slice ends.
        """
        member = as_text(sql.Identifier(self.masker.name))
        text = as_text(_AS_MEMBER.format(member=member, text=as_text(statements)))
        body = sql.SQL("BEGIN PERFORM {lock}; IF {done} THEN RETURN; END IF; EXECUTE {text}; {mark}; END").format(
            lock=_locking(self.schema, key), done=done, text=text, mark=mark
        )

        def work() -> None:
            with self.autocommitting(as_master=True) as opened:
                opened.run(sql.SQL("DO {}").format(as_text(body)))

        self.unattended(work, clock)

    def unattended(self, work: Callable[[], None], clock: SliceClock) -> None:
        """Do work whose last statement continues when this slice ends and OutOfTime is raised."""
        run = _Run(work)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(clock.remaining())
        if thread.is_alive():
            raise OutOfTime
        if run.error is not None:
            raise run.error


def read_only(opened: Session, clock: SliceClock) -> None:
    """Let the transaction that begins write nothing, and each of its statements end with the slice."""
    opened.run(sql.SQL("SET TRANSACTION READ ONLY"))
    milliseconds = int(clock.remaining() * 1000)
    opened.run(sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(milliseconds)))


def end_with_slice(opened: Session, clock: SliceClock) -> None:
    """Let each statement of the session end with the slice. Raises OutOfTime where that has no time left."""
    milliseconds = int(clock.remaining() * 1000)
    opened.run(sql.SQL("SET statement_timeout = {}").format(sql.Literal(milliseconds)))


def lock(opened: Session, place: Place, key: int = 0) -> None:
    """Wait for another session that works at the same, such as one of a slice that was killed."""
    opened.run(sql.SQL("SELECT {}").format(_locking(place.schema, key)))


def hold(opened: Session, place: Place, key: int) -> None:
    """Wait as `lock` does, and hold it as long as the session: VACUUM refuses to be in a transaction."""
    held = sql.SQL("SELECT pg_advisory_lock({})")
    opened.run(held.format(_lock_key(place.schema, key)))


def _locking(schema: str, key: int) -> sql.Composed:
    return sql.SQL("pg_advisory_xact_lock({})").format(_lock_key(schema, key))


def _lock_key(schema: str, key: int) -> sql.Composed:
    # The lock's second half is an integer with a sign, and an oid has none.
    signed = key - 2**32 if key >= 2**31 else key
    return sql.SQL("hashtext({}), {}").format(sql.Literal(schema), sql.Literal(signed))


def as_text(statements: sql.Composable) -> sql.Composable:
    """Return statements as a literal within another one."""
    return _Text(statements)


class _Text(sql.Composable):
    def __init__(self, statements: sql.Composable) -> None:
        super().__init__(statements)
        self._statements = statements

    def as_string(self, context: Any) -> str:
        return sql.Literal(self._statements.as_string(context)).as_string(context)


class _Run:
    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self.error: Exception | None = None

    def __call__(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
            self.error = error
