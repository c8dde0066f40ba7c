"""Production's own logins: they came with the snapshot, passwords and all, and open the copy unless they are locked."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from psycopg2 import sql

from utils.postgres import Session

BATCH = 200


class InheritedLogins(Struct, frozen=True, kw_only=True):
    """Those that still work, those that were locked now, and why others weren't."""

    open: list[str]
    locked: list[str]
    refused: list[str]


def inherited_logins(maintenance: Session, known: Iterable[str], lock: bool) -> InheritedLogins:
    """Never touched: the pipeline's own roles (`known`, the master among them) and the system's."""
    found = [
        name
        for (name,) in maintenance.rows(
            sql.SQL(
                "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname <> ALL(%s) AND rolname <> current_user"
                " AND rolname !~ '^(pg_|rds)' ORDER BY rolname"
            ),
            (list(known),),
        )
    ]
    if not lock:
        return InheritedLogins(open=found, locked=[], refused=[])
    refusals = _lock(maintenance, found)
    return InheritedLogins(
        open=list(refusals),
        locked=[name for name in found if name not in refusals],
        refused=[f"{name!r} can still log in, it couldn't be locked: {why}" for name, why in refusals.items()],
    )


def _lock(maintenance: Session, names: list[str]) -> dict[str, str]:
    """Many in one message; one by one where one of them can't be altered. Only the option that changes is named."""
    refusals: dict[str, str] = {}
    for start in range(0, len(names), BATCH):
        batch = names[start : start + BATCH]
        if maintenance.why_not(sql.SQL("; ").join(map(_locking, batch))) is None:
            continue
        for name in batch:
            if (why := maintenance.why_not(_locking(name))) is not None:
                refusals[name] = why
    return refusals


def _locking(name: str) -> sql.Composed:
    return sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(name))


def end_their_sessions(maintenance: Session, known: Iterable[str]) -> list[str]:
    """A role without a login keeps the sessions it has. Answers what couldn't be ended; call it after the commit."""
    found = maintenance.rows(
        sql.SQL(
            "SELECT a.pid, r.rolname FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid"
            " WHERE NOT r.rolcanlogin AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()"
            " AND r.rolname <> ALL(%s) AND r.rolname !~ '^(pg_|rds)' ORDER BY 2, 1"
        ),
        (list(known),),
    )
    return [
        f"a session of {name!r} goes on, it couldn't be ended: {why}"
        for pid, name in found
        if (why := maintenance.why_not(sql.SQL("SELECT pg_terminate_backend(%s)"), (pid,))) is not None
    ]
