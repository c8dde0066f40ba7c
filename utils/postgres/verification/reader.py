"""The role that reads: what it is granted, its sessions, and how one check is run by it.

It may read every table and do nothing else, and logs in itself, so that all that a check calls of the data's
(functions, operators, views, expressions of indexes, which PostgreSQL evaluates while it plans) runs without the master
user's rights. Each check has a session of its own: what such code sets there is gone with it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import psycopg2
from msgspec import Struct, field
from msgspec.structs import replace
from psycopg2 import sql

from utils.contracts.verification import CheckKind, CheckResult
from utils.errors import TemporaryFailure
from utils.foreign_text import one_line
from utils.logins.roles import RoleWanted
from utils.postgres.borrowed_owners import borrowed_owners
from utils.postgres.catalog import owners_here
from utils.postgres.databases import DatabaseCluster
from utils.postgres.event_triggers import refuse_dangerous_triggers
from utils.postgres.grants import grant_unless_held
from utils.postgres.masking.sessions import CHECKS_THE_CONNECTION_SINCE
from utils.postgres.own_roles import OwnLogin
from utils.postgres.session import HELD, NOT_IN_REPERTOIRE, UNICODE, Server, Session, SqlRefused, refusable_session
from utils.postgres.verification.watchdog import Watchdog
from utils.sqlstates import LOCK_NOT_AVAILABLE, passes

# A server that a check has brought down admits somebody again after so many attempts, or is away.
ATTEMPTS, PAUSE_SECONDS = 6, 5
# What is left of a slice after it is enough for one question of its own.
QUICK_SECONDS = 60
NO_LOGIN = "this database refuses the login of the role that reads, while its server admits others"
# How much longer a session lasts than its check: the timeout of its statement comes first.
GRACE_SECONDS = 5
_CUT_OFF = "57014"
_SECURED = "42501"
_ENDED = "57P01"
_LOST = "its session was lost"


def reader_role(fingerprint: str) -> str:
    """Return the role's name."""
    return f"aurora_restore_verifier_{fingerprint}"


class Question(Struct, frozen=True, kw_only=True):
    """A check before it is run."""

    name: str
    kind: CheckKind
    scope: str
    expected: str
    text_sha256: str | None = None


class Answer(Struct, frozen=True, kw_only=True):
    """What a check has found."""

    held: bool
    actual: str
    exact: bool = True


class CutShort(Exception):
    """Why a check did not come to its end, without a value of the data. Never leaves a step."""


class Reader(Struct, frozen=True, kw_only=True):
    """The reading role's login in one database."""

    cluster: DatabaseCluster
    """As its master user enters it, who ends what does not end by itself; the source, as the role that reads does."""
    # It is refused other options than the master user, so it has a memory of its own for them.
    server: Server
    login: OwnLogin
    database: str
    limit_seconds: int
    encoding: str = UNICODE
    attempts: int = ATTEMPTS
    shut: set[str] = field(default_factory=set)
    """The database, once its login was refused while the server admitted the master user."""

    def __repr__(self) -> str:
        return f"Reader({self.database})"

    @property
    def quick(self) -> Reader:
        """Return a reader with less time, for many small questions at once. Each is asked alone where that fails."""
        return replace(self, limit_seconds=min(self.limit_seconds, QUICK_SECONDS))

    @property
    def limit_ms(self) -> int:
        """Return the time that a check may take."""
        return self.limit_seconds * 1000

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a transaction that cannot write, in a session of its own. Raises CutShort, or TemporaryFailure.

        TemporaryFailure is for a server that still admits nobody after a while: a check may have brought it down.
        """
        is_open = False
        try:
            with contextlib.ExitStack() as stack:
                opened = self._entered(stack)
                is_open = True
                watchdog = stack.enter_context(Watchdog(self.cluster, opened, self.limit_seconds + GRACE_SECONDS))
                try:
                    # Of relations and types, the session's temporary ones would be found first otherwise.
                    opened.run(sql.SQL("SET search_path = pg_catalog, pg_temp"))
                    # Rows that a policy hides are an error.
                    opened.run(sql.SQL("SET row_security = off"))
                    if opened.version >= CHECKS_THE_CONNECTION_SINCE:
                        # It ends soon after this process has died. Not every system can.
                        opened.why_not(sql.SQL("SET client_connection_check_interval = '1s'"))
                    opened.connection.commit()
                    opened.run(sql.SQL("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
                    self.limit(opened)
                    yield opened
                    opened.connection.rollback()
                except psycopg2.Error as error:
                    raise CutShort(self._cut_off if watchdog.has_ended_it else self._why(error)) from None
        except SqlRefused as error:
            if error.unreadable:
                raise
            raise CutShort("PostgreSQL refused its session") from None
        except TemporaryFailure:
            if not is_open:
                raise
            raise CutShort(_LOST) from None

    def _entered(self, stack: contextlib.ExitStack) -> Session:
        """Log in. Raises CutShort where the role alone is refused, and TemporaryFailure where the server admits nobody.

        Nothing of the refusal is repeated: a trigger on login raises what it likes, also rows.
        """
        refused = 0
        for _ in range(self.attempts):
            with contextlib.suppress(TemporaryFailure):
                return stack.enter_context(self._session())
            refused += self._admits_others()
            # Perhaps the server was coming back just then. A role that was refused twice once is not waited for again.
            if refused == 2 or (refused and self.shut):
                self.shut.add(self.database)
                raise CutShort(NO_LOGIN)
            time.sleep(PAUSE_SECONDS)
        with self.cluster.maintenance():
            raise CutShort(NO_LOGIN)

    def _admits_others(self) -> bool:
        try:
            with self.cluster.maintenance():
                return True
        except TemporaryFailure:
            return False

    def _session(self) -> contextlib.AbstractContextManager[Session]:
        return refusable_session(self.server, self.database, *self.login, self.encoding)

    def limit(self, opened: Session) -> None:
        """Give the next statement the time of a check."""
        opened.run(sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(self.limit_ms)))

    def ask(self, question: Question, work: Callable[[Session], Answer]) -> CheckResult:
        """Return the result of a check, also where it did not come to its end."""
        began = time.monotonic()
        answer, error = None, None
        try:
            with self.reading() as opened:
                answer = work(opened)
        except CutShort as cut:
            error = str(cut)
        except SqlRefused:
            error = "a name or a text is not valid in the encoding of this database"
        return self.result(question, answer, error, began)

    def result(self, question: Question, answer: Answer | None, error: str | None, began: float) -> CheckResult:
        """Return a result, of a check that began then by the monotonic clock."""
        return CheckResult(
            name=one_line(question.name),
            kind=question.kind,
            scope=one_line(question.scope),
            expected=question.expected,
            actual=answer.actual if answer else "unknown",
            exact=answer.exact if answer else True,
            held=answer.held if answer else None,
            took_ms=int((time.monotonic() - began) * 1000),
            limit_ms=self.limit_ms,
            text_sha256=question.text_sha256,
            error=error,
        )

    @property
    def _cut_off(self) -> str:
        return f"it was cut off after {self.limit_seconds} seconds"

    def _why(self, error: psycopg2.Error) -> str:
        """Return PostgreSQL's reason by its class alone: its text may show a row, or be the data's to choose."""
        state = error.pgcode
        if state == _CUT_OFF:
            return self._cut_off
        if state == LOCK_NOT_AVAILABLE:
            return HELD
        if state in (None, _ENDED):
            return _LOST
        hint = ": its role may not read that, or row security would hide rows from it" if state == _SECURED else ""
        return f"PostgreSQL refused it: {type(error).__name__} (SQLSTATE {state}){hint}"


def let_read(opened: Session, role: str) -> list[str]:
    """Let the role read every table, sequence and view of this database whose owner can be acted for.

    A foreign table's rows are elsewhere, mostly in production, so it may not read those. Returns what could not be
    granted, mostly because a transaction that came with the data holds it.
    """
    with _without_texts():
        refuse_dangerous_triggers(opened)
        with borrowed_owners(opened, owners_here(opened)):
            return grant_unless_held(opened, [RoleWanted(name=role, profile="read_only")], but={"FOREIGN"})


@contextlib.contextmanager
def _without_texts() -> Iterator[None]:
    """Raise PostgreSQL's errors by their SQLSTATE alone: their texts are kept as findings, and may show rows."""
    try:
        yield
    except psycopg2.Error as error:
        state = error.pgcode
        text = f"PostgreSQL refused to let the role read (SQLSTATE {state or '?'})"
        if state is None or passes(state, error.diag.message_primary or ""):
            raise TemporaryFailure(text) from None
        raise SqlRefused(text, unreadable=state == NOT_IN_REPERTOIRE) from None


def let_read_no_more(opened: Session, role: str) -> None:
    """Take back what `let_read` has granted: only the owners can."""
    refuse_dangerous_triggers(opened)
    with borrowed_owners(opened, {*owners_here(opened), role}):
        opened.run(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(role)))
