"""Acting for the roles that own objects: Aurora's master user is no superuser, and a grant needs the owner's rights.

For the length of one transaction it becomes a member of the owning roles, and leaves them again before the commit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from psycopg2 import sql

from utils.postgres.session import Session

INHERIT_AND_SET_FROM = 160000


@contextlib.contextmanager
def borrowed_owners(opened: Session, owners: Iterable[str]) -> Iterator[set[str]]:
    """Join the owners for the length of the block; yields those that cannot be joined.

    All of it is inside the session's transaction: a crash leaves no membership behind. Before PostgreSQL 16 a revoke
    removes a membership that others granted as well, so there an existing one without inheritance is not changed.
    """
    joinable = [
        owner
        for owner, member in opened.rows(
            sql.SQL(
                "SELECT owner, pg_has_role(owner, 'MEMBER') FROM unnest(%s::text[]) AS owner"
                " WHERE NOT pg_has_role(owner, 'USAGE') ORDER BY owner"
            ),
            (list(owners),),
        )
        if opened.version >= INHERIT_AND_SET_FROM or not member
    ]
    borrowed = _joined(opened, joinable)
    yield _still_without(opened, owners)
    if borrowed:
        opened.run(sql.SQL("REVOKE {} FROM CURRENT_USER").format(_listed(borrowed)))


def _joined(opened: Session, owners: list[str]) -> list[str]:
    """Join all in one statement, as there may be an owner for each customer; else one by one. Return who was joined."""
    if not owners or opened.try_run(_join(opened, owners)):
        return owners
    return [owner for owner in owners if opened.try_run(_join(opened, [owner]))]


def _join(opened: Session, owners: list[str]) -> sql.Composed:
    options = " WITH INHERIT TRUE, SET TRUE" if opened.version >= INHERIT_AND_SET_FROM else ""
    return sql.SQL("GRANT {} TO CURRENT_USER{}").format(_listed(owners), sql.SQL(options))


def _listed(names: list[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _still_without(opened: Session, owners: Iterable[str]) -> set[str]:
    found = opened.rows(
        sql.SQL("SELECT owner FROM unnest(%s::text[]) AS owner WHERE NOT pg_has_role(owner, 'USAGE')"), (list(owners),)
    )
    return {owner for (owner,) in found}
