"""A privilege is believed when the catalog shows it, and not when PostgreSQL has taken the GRANT.

What undoes a grant without an error is an event trigger of the server's own roles, which is let through (see
`refuse_dangerous_triggers`). Here a server that forgets stands for it, beside one that keeps what it is told.
"""

from __future__ import annotations

from typing import Any

import pytest
from psycopg2 import sql

from utils.logins.roles import RoleWanted
from utils.postgres.grants import Granted, grant_in_database
from utils.postgres.session import Session, SqlRefused

READER = RoleWanted(name="orders_report", profile="read_only")
Lacked = tuple[str, str, str | None, str, bool, str, str]
TABLE: Lacked = ("TABLE", "public", "orders", "boss", True, "read_only", "orders_report")
FOREIGN: Lacked = ("TABLE", "hidden", "orders", "stranger", False, "read_only", "orders_report")
GRANT = 'GRANT SELECT ON TABLE "public"."orders" TO "orders_report"'


def text_of(statement: sql.Composable) -> str:
    """What psycopg2 makes of a statement, without the connection that it asks how to quote."""
    match statement:
        case sql.Composed():
            return "".join(map(text_of, statement.seq))
        case sql.SQL():
            return statement.string
        case sql.Identifier():
            return ".".join(f'"{each}"' for each in statement.strings)
    return repr(statement)


class Server:
    """One table that the reader lacks, and one that the master user can't reach. It tells what it was asked for."""

    server_version = 170005

    def __init__(self, *, forgets: bool) -> None:
        self.forgets = forgets
        self.lacking = [TABLE, FOREIGN]
        self.granted: list[str] = []
        self._found: list[tuple[Any, ...]] = []

    def execute(self, statement: sql.Composable, values: Any = None) -> None:
        asked = text_of(statement)
        self._found = []
        if asked.startswith("GRANT SELECT"):
            self.granted.append(asked)
            if not self.forgets:
                self.lacking.remove(TABLE)
        elif "string_agg(quoted" in asked:
            reachable = [each for each in self.lacking if each[4]]
            self._found = [(each[0], each[5], [each[6]], f'"{each[1]}"."{each[2]}"') for each in reachable]
        elif asked.endswith("FROM found"):
            self._found = list(self.lacking)
        elif "current_setting" in asked:
            self._found = [(None, "origin")]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._found


def granting(server: Any) -> Granted:
    return grant_in_database(Session(server, server), [READER])


def test_a_grant_that_doesnt_show_afterwards_is_no_success() -> None:
    server = Server(forgets=True)
    with pytest.raises(SqlRefused, match=r"public\.orders were granted to 'orders_report', but are still missing"):
        granting(server)
    assert server.granted == [GRANT]


def test_a_grant_that_shows_is_one_and_what_cant_be_reached_is_told_instead() -> None:
    """The same reading, so that the other test can't be passed by a server that nothing is ever right for."""
    server = Server(forgets=False)
    assert granting(server).warnings == [
        "no privileges on hidden.orders: the master user cannot act for their owner 'stranger'"
    ]
    assert server.granted == [GRANT]


def test_what_was_forgotten_is_asked_for_again_and_still_refused() -> None:
    """A second run doesn't take the first one's GRANT for the privilege."""
    server = Server(forgets=True)
    for _ in range(2):
        with pytest.raises(SqlRefused):
            granting(server)
    assert server.granted == [GRANT, GRANT]
