"""Foreign servers that came with the data: their user mappings let it into production's other databases."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg2 import sql

from utils.postgres.borrowed_owners import borrowed_owners
from utils.postgres.catalog import named
from utils.postgres.session import Session


def foreign_servers(opened: Session) -> Iterator[str]:
    """Yield what this database reaches, and as whom. The logins themselves are never read."""
    found = opened.rows(
        sql.SQL(
            "SELECT s.srvname, w.fdwname, coalesce(array_agg(m.usename::text ORDER BY m.usename::text)"
            " FILTER (WHERE m.srvid IS NOT NULL), '{{}}')"
            " FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw"
            " LEFT JOIN pg_user_mappings m ON m.srvid = s.oid GROUP BY 1, 2 ORDER BY 1"
        ).format()
    )
    for server, wrapper, users in found:
        logins = f"logins for {named([(_whose(user),) for user in users])}" if users else "no logins"
        came = f"foreign server {server!r} ({wrapper}) with {logins} came with the data"
        yield f"{came}: the restored cluster may reach it"


def drop_user_mappings(opened: Session) -> tuple[list[str], list[str]]:
    """Drop production's logins to other servers. Returns what was dropped, and what was not and why."""
    found = opened.rows(
        sql.SQL(
            "SELECT m.srvname, m.umuser = 0, m.usename, pg_get_userbyid(s.srvowner)"
            " FROM pg_user_mappings m JOIN pg_foreign_server s ON s.oid = m.srvid ORDER BY 1, 3"
        )
    )
    dropped: list[str] = []
    kept: list[str] = []
    with borrowed_owners(opened, {owner for *_, owner in found}):
        for server, public, user, _ in found:
            why = opened.why_not(
                sql.SQL("DROP USER MAPPING FOR {} SERVER {}").format(
                    sql.SQL("PUBLIC") if public else sql.Identifier(user), sql.Identifier(server)
                )
            )
            text = f"login for {_whose(None if public else user)} to the foreign server {server!r}"
            (kept if why else dropped).append(f"{text} ({why})" if why else text)
    return dropped, kept


def _whose(user: str | None) -> str:
    return "PUBLIC" if user in (None, "public") else repr(user)
