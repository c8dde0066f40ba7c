"""The databases of the restored cluster, and what is wrong with a single one of them.

One odd database never stops the work on the others: it is reported, and the rest is done.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from msgspec import Struct
from psycopg2 import sql

from utils.errors import StepFailed, TemporaryFailure
from utils.logins.master import MasterLogin
from utils.logins.roles import SYSTEM_DATABASES
from utils.postgres.borrowed_owners import borrowed_owners
from utils.postgres.catalog import RAW_DATABASE_NAME, RAW_ROLE_NAME, decoded
from utils.postgres.session import (
    EVENT_TRIGGERS,
    EVENT_TRIGGERS_SINCE,
    UNICODE,
    Server,
    Session,
    SqlRefused,
    refusable_session,
    session,
)

T = TypeVar("T")

# Where work on roles is done. `postgres` may have been dropped, renamed or closed; every cluster has template1.
MAINTENANCE_DATABASES = ("postgres", "template1")
ATTEMPTS = 3
PAUSE_SECONDS = 2
# A second attempt is not begun after so long: the function has a quarter of an hour for all databases.
ATTEMPTS_UNTIL_SECONDS = 120
# Of a database without an encoding (SQL_ASCII) any bytes are text in this one, and go back as they came.
ANY_BYTES = "LATIN1"
# What pg_database says of a database whose DROP was interrupted (PostgreSQL's source, DATCONNLIMIT_INVALID_DB).
INVALID = -2


class DatabaseLeftOut(Exception):
    """What is wrong with one database, while the server itself answers. Never leaves a step."""


class DatabaseCluster(Struct, frozen=True, kw_only=True):
    """What PostgreSQL calls a database cluster: all databases of a server, as the master user enters them.

    Roles are managed in its maintenance database.
    """

    server: Server
    master: MasterLogin
    maintenance_database: str

    @contextlib.contextmanager
    def maintenance(self) -> Iterator[Session]:
        """Yield a transaction in the maintenance database. Raises as `session` does."""
        with session(self.server, self.maintenance_database, self.master.username, self.master.password) as opened:
            yield opened

    def maintain(self, work: Callable[[Session], T]) -> T:
        """Do the work in one transaction of the maintenance database, as `within` does, for a single role."""
        return self.within(self.maintenance_database, work)

    def within(self, database: str, work: Callable[[Session], T]) -> T:
        """Do the work in one transaction of this database, with retries.

        Raises DatabaseLeftOut for a failure of this database alone, and TemporaryFailure when the server is away.
        """
        began, reason, encoding = time.monotonic(), "", UNICODE
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with refusable_session(
                    self.server, database, self.master.username, self.master.password, encoding
                ) as opened:
                    return work(opened)
            except SqlRefused as error:
                reason = str(error)
                if not error.unreadable or encoding != UNICODE:
                    raise DatabaseLeftOut(reason) from None
                encoding = ANY_BYTES
                continue
            except TemporaryFailure as error:
                reason = str(error)
            if attempt == ATTEMPTS or time.monotonic() - began > ATTEMPTS_UNTIL_SECONDS:
                break
            time.sleep(PAUSE_SECONDS)
        with self.maintenance():  # raises where not only this database admits nobody
            raise DatabaseLeftOut(reason)


def enter_cluster(server: Server, master: MasterLogin) -> DatabaseCluster:
    """Return the cluster once the master's password opens it. Raises TemporaryFailure until then."""
    refusals = []
    for database in MAINTENANCE_DATABASES:
        try:
            with session(server, database, master.username, master.password) as opened:
                opened.rows(sql.SQL("SELECT 1"))
            return DatabaseCluster(server=server, master=master, maintenance_database=database)
        except TemporaryFailure as error:
            refusals.append(error)
            if "FATAL:" not in str(error):
                break  # there is no answer: another database would not answer either
    raise refusals[0]


def databases_to_enter(cluster: DatabaseCluster, maintenance: Session) -> tuple[list[str], dict[str, str], list[str]]:
    """Return the databases to enter, those that are skipped for our own sake and why, and what is wrong with others.

    The others admit nobody, as in production, or not the master user.
    """
    warnings: list[str] = []
    left_out: dict[str, str] = {}
    candidates = []
    for raw, enters, limit, allowed, prepared, login_trigger in _databases(maintenance):
        database = decoded(raw)
        if database is None:
            warnings.append(f"{bytes(raw)!r}: skipped: this database's name is not UTF-8 text; rename it")
        elif limit == INVALID:
            warnings.append(f"{database}: skipped: its DROP DATABASE was interrupted, and it can only be dropped")
        elif not allowed:
            warnings.append(f"{database}: skipped: it admits nobody (ALLOW_CONNECTIONS is false)")
        elif limit == 0:
            warnings.append(f"{database}: skipped: it admits nobody (CONNECTION LIMIT is 0)")
        elif login_trigger and EVENT_TRIGGERS in cluster.server.refused_options:
            left_out[database] = (
                "skipped: it has an event trigger on login, which would run with the master user's rights, and this "
                "server does not allow the master user to set event_triggers to off"
            )
        else:
            candidates.append((database, enters))
        if database is not None and prepared:
            warnings.append(
                f"{database}: {prepared} prepared transactions came with the data and hold their locks: check "
                "pg_prepared_xacts, and ROLLBACK PREPARED those that nobody will finish"
            )
    closed = {database: owner_of(maintenance, database) for database, enters in candidates if not enters}
    with borrowed_owners(maintenance, {owner for owner in closed.values() if owner is not None}):
        for database in closed:
            connect = sql.SQL("GRANT CONNECT ON DATABASE {} TO CURRENT_USER").format(sql.Identifier(database))
            maintenance.why_not(connect, waiting=False)
    # Asked once the owners' rights are given back: a GRANT that nobody may make only warns.
    still_closed = {
        database: owner
        for database, owner in closed.items()
        if not maintenance.rows(sql.SQL("SELECT 1 WHERE has_database_privilege(%s, 'CONNECT')"), (database,))
    }
    warnings += [
        f"{database}: its owner {owner!r} admits neither the master user nor the new roles"
        for database, owner in still_closed.items()
    ]
    entered = [database for database, _ in candidates if database not in still_closed]
    if not entered:
        raise StepFailed("The master user can connect to no database of the restored cluster. Check its roles.")
    return entered, left_out, warnings


def database_names(opened: Session) -> list[str]:
    """Return all databases but the system's; a name that is no text with its bytes escaped."""
    found = opened.rows(
        sql.SQL("SELECT {} FROM pg_database WHERE datname <> ALL(%s) ORDER BY datname").format(RAW_DATABASE_NAME),
        (sorted(SYSTEM_DATABASES),),
    )
    return [bytes(raw).decode(errors="backslashreplace") for (raw,) in found]


def owner_of(maintenance: Session, database: str) -> str | None:
    """Return the owner's name, or None where it is not UTF-8 text, so that nobody can act for it."""
    ((raw,),) = maintenance.rows(
        sql.SQL("SELECT {} FROM pg_roles r WHERE oid = (SELECT datdba FROM pg_database WHERE datname = %s)").format(
            RAW_ROLE_NAME
        ),
        (database,),
    )
    return decoded(raw)


def _databases(maintenance: Session) -> list[tuple[Any, ...]]:
    login_trigger = sql.SQL("dathasloginevt" if maintenance.version >= EVENT_TRIGGERS_SINCE else "false")
    return maintenance.rows(
        sql.SQL(
            "SELECT {}, has_database_privilege(oid, 'CONNECT'), datconnlimit, datallowconn,"
            " (SELECT count(*) FROM pg_prepared_xacts WHERE database = datname), {}"
            " FROM pg_database WHERE datname <> ALL(%s) ORDER BY datname"
        ).format(RAW_DATABASE_NAME, login_trigger),
        # By name: an owner may declare any database a template (ALTER DATABASE ... IS_TEMPLATE).
        (sorted(SYSTEM_DATABASES),),
    )
