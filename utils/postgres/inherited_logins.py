"""Production's own logins: they came with the snapshot, with their passwords, and open its cluster until locked.

A role that is logged in meanwhile can create further logins. So locking, and ending all sessions but ours, is repeated
until neither is found.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

from msgspec import Struct
from psycopg2 import sql

from utils.postgres.catalog import AWS_LOGINS, AWS_ROLES, RAW_ROLE_NAME, decoded
from utils.postgres.databases import DatabaseCluster
from utils.postgres.session import HELD, Session

BATCH = 200
ROUNDS = 20
PAUSE_SECONDS = 0.5
# A role that somebody else is changing (its password, say) stays locked against us until that transaction ends. With
# the sessions ended only a prepared one is left, which came with the data: nobody will end it.
HELD_ROUNDS, HELD_TIMEOUT = 3, "1s"
# AWS's own logins, unless another role administers one: since PostgreSQL 16 the creator of a role does, and AWS creates
# its own as the superuser.
_NOT_AWSS = sql.SQL("""(rolname <> ALL(%(aws_logins)s) OR EXISTS (
    SELECT FROM pg_auth_members m JOIN pg_roles a ON a.oid = m.member
     WHERE m.roleid = r.oid AND m.admin_option AND NOT a.rolsuper AND a.rolname <> ALL(%(aws_roles)s)))""")


class InheritedLogins(Struct, frozen=True, kw_only=True):
    """The inherited logins that still work, those that were locked now, and why others were not."""

    open: list[str]
    locked: list[str] = []
    refused: list[str] = []


class _Login(Struct, frozen=True, kw_only=True):
    oid: int
    # None when it is no UTF-8 text, and no statement can have it.
    name: str | None
    shown: str


def inherited_logins(maintenance: Session, known: Iterable[str]) -> InheritedLogins:
    """Return what can log in beside the pipeline's own roles (`known`, the master among them) and the system's."""
    return InheritedLogins(open=[login.shown for login in _logins(maintenance, known)])


def lock_inherited_logins(cluster: DatabaseCluster, known: Iterable[str]) -> InheritedLogins:
    """Lock all of them, and end every session but the master user's and the system's."""
    locked: dict[int, str] = {}
    refused: dict[int, tuple[str, str]] = {}
    busy: Counter[int] = Counter()
    sessions: list[str] = []
    for _ in range(ROUNDS):
        with cluster.maintenance() as maintenance:
            # Who is in the middle of changing a role holds it, and keeps it from being locked.
            _end_sessions(maintenance, cluster.master.username, list(refused))
            found = [login for login in _logins(maintenance, known) if login.oid not in refused]
            refusals = _lock(maintenance, found)
        busy.update(oid for oid, why in refusals.items() if why == HELD)
        final = {oid: why for oid, why in refusals.items() if why != HELD or busy[oid] == HELD_ROUNDS}
        refused |= {login.oid: (login.shown, final[login.oid]) for login in found if login.oid in final}
        locked |= {login.oid: login.shown for login in found if login.oid not in refusals}
        # In a transaction of its own: a session that ends sees the lock.
        with cluster.maintenance() as maintenance:
            sessions = _end_sessions(maintenance, cluster.master.username, list(refused))
        if not found and not sessions:
            break
        time.sleep(PAUSE_SECONDS)
    return InheritedLogins(
        open=[shown for shown, _ in refused.values()],
        locked=sorted(locked.values()),
        refused=[
            *(f"{shown!r} can still log in, because it could not be locked: {why}" for shown, why in refused.values()),
            *(f"a session of {session} is still open, because it could not be ended" for session in sessions),
        ],
    )


def _logins(maintenance: Session, known: Iterable[str]) -> list[_Login]:
    found = maintenance.rows(
        sql.SQL(
            "SELECT r.oid, {} FROM pg_roles r WHERE rolcanlogin AND rolname <> ALL(%(known)s)"
            " AND rolname <> current_user AND rolname !~ '^pg_' AND {} ORDER BY rolname"
        ).format(RAW_ROLE_NAME, _NOT_AWSS),
        {"known": list(known), "aws_logins": list(AWS_LOGINS), "aws_roles": list(AWS_ROLES)},
    )
    return [_Login(oid=oid, name=decoded(raw), shown=decoded(raw) or repr(bytes(raw))) for oid, raw in found]


def _lock(maintenance: Session, logins: list[_Login]) -> dict[int, str]:
    """Lock many logins in one message, or one by one where one of them cannot be altered; return the refusals."""
    refusals: dict[int, str] = {}
    maintenance.run(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(HELD_TIMEOUT)))
    for start in range(0, len(logins), BATCH):
        batch = logins[start : start + BATCH]
        if maintenance.why_not(sql.SQL("; ").join(map(_locking, batch)), waiting=False) is None:
            continue
        for login in batch:
            if (why := maintenance.why_not(_locking(login), waiting=False)) is not None:
                refusals[login.oid] = why
    return refusals


def _locking(login: _Login) -> sql.Composed:
    if login.name is not None:
        return sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(login.name))
    # The server itself can say a name that no client can.
    return sql.SQL(
        "DO $do$ BEGIN EXECUTE format('ALTER ROLE %I NOLOGIN', (SELECT rolname FROM pg_roles WHERE oid = {})); END $do$"
    ).format(sql.Literal(login.oid))


def _end_sessions(maintenance: Session, master: str, spared: list[int]) -> list[str]:
    """End all sessions but ours, AWS's and those of logins that cannot be locked, which would come back.

    Returns whose sessions there were. A role that is dropped while it is logged in stays logged in. Sessions of an
    application role are ended as well: the password that opened them may be production's. Replication has its own kind
    (`walsender`); jobs and subscriptions are handled elsewhere.
    """
    found = maintenance.rows(
        sql.SQL(
            "SELECT a.pid, {} FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid"
            " WHERE coalesce(a.backend_type, 'client backend') IN ('client backend', 'walsender')"
            " AND a.pid <> pg_backend_pid() AND a.usesysid IS NOT NULL AND (r.oid IS NULL"
            " OR r.rolname <> %(master)s AND NOT r.oid = ANY(%(spared)s::oid[]) AND {}) ORDER BY 2, 1"
        ).format(RAW_ROLE_NAME, _NOT_AWSS),
        {
            "master": master,
            "spared": spared,
            "aws_logins": list(AWS_LOGINS),
            "aws_roles": list(AWS_ROLES),
        },
    )
    named = []
    for pid, raw in found:
        why = maintenance.why_not(sql.SQL("SELECT pg_terminate_backend(%s)"), (pid,))
        shown = "a role that was dropped meanwhile" if raw is None else decoded(raw) or repr(bytes(raw))
        named.append(shown + (f" ({why})" if why else ""))
    return sorted(set(named))
