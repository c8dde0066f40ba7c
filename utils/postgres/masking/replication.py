"""Logical replication that came with the data: publications are dropped and subscriptions disabled, both for good."""

from __future__ import annotations

from psycopg2 import sql

from utils.foreign_text import one_line
from utils.postgres.borrowed_owners import borrowed_owners
from utils.postgres.session import Session, SqlRefused


def drop_publications(opened: Session) -> list[str]:
    """Drop all publications: they have no subscribers here, and refuse UPDATEs of tables without an identity.

    Return what the run's report is to say.
    """
    found = opened.rows(sql.SQL("SELECT pubname, pg_get_userbyid(pubowner) FROM pg_publication ORDER BY pubname"))
    with borrowed_owners(opened, {owner for _, owner in found}):
        for name, _ in found:
            if why := opened.why_not(sql.SQL("DROP PUBLICATION {}").format(sql.Identifier(name))):
                raise SqlRefused(f"The publication {one_line(name)!r} cannot be dropped ({why}).")
    return [f"publication {one_line(name)!r} of {one_line(owner)!r} was dropped" for name, owner in found]


def disable_subscriptions(opened: Session) -> list[str]:
    """Disable those that would continue to fetch rows that nobody masks. Return what the run's report is to say."""
    found = opened.rows(
        sql.SQL(
            "SELECT subname, pg_get_userbyid(subowner) FROM pg_subscription"
            " WHERE subenabled AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " ORDER BY subname"
        )
    )
    with borrowed_owners(opened, {owner for _, owner in found}):
        for name, _ in found:
            if why := opened.why_not(sql.SQL("ALTER SUBSCRIPTION {} DISABLE").format(sql.Identifier(name))):
                raise SqlRefused(f"The subscription {one_line(name)!r} cannot be disabled ({why}).")
    return [f"subscription {one_line(name)!r} of {one_line(owner)!r} was disabled" for name, owner in found]
