"""The errors of PostgreSQL's that pass by themselves.

The states are those of https://www.postgresql.org/docs/current/errcodes-appendix.html. psycopg2's classes are of no
use for this: its OperationalError is a deadlock as well as a limit of the program that stays (class 54).
"""

from __future__ import annotations

import re

LOCK_NOT_AVAILABLE = "55P03"
PASSING_CLASSES = frozenset(
    {
        "08",  # connection exception
        "40",  # transaction rollback: serialization failure, deadlock
        "53",  # insufficient resources: too many connections, no memory, no disk
        "57",  # operator intervention: starting, shutting down, cancelled by a timeout
        "58",  # system error outside of PostgreSQL, such as the storage's
    }
)
PASSING_STATES = frozenset(
    {
        "25P03",  # the session was idle for too long in its transaction
        "25P04",  # the transaction took too long
        "55006",  # object in use
        LOCK_NOT_AVAILABLE,
    }
)
STAYING_STATES = frozenset(
    {
        "57P04",  # the database was dropped
        "58P01",  # a file of an extension's is missing
        "58P02",
    }
)
# An internal error (XX000) that only means that two sessions changed the same object or role at once.
PASSING_TEXTS = ("tuple concurrently updated", "tuple concurrently deleted")

# What a server answers to a login while it admits nobody. libpq has no SQLSTATE for a connection
# that failed, so the words decide; they are those of PostgreSQL's src/backend/tcop/backend_startup.c, utils/init/
# postinit.c, storage/lmgr/proc.c and tcop/postgres.c. Everything else that it answers there is about the login.
BUSY_SERVER_TEXTS = (
    "the database system is starting up",
    "the database system is not yet accepting connections",
    "the database system is not accepting connections",
    "the database system is shutting down",
    "the database system is in recovery mode",
    "too many clients already",
    "remaining connection slots are reserved",
    "too many connections for database",
    "canceling authentication due to timeout",
    "terminating connection",
    "canceling statement due to",
    "could not fork new process",
    "could not open file",
    "could not read",
    "could not write",
    "out of memory",
)


def passes(state: str, message: str) -> bool:
    """Return whether the same work may succeed in a moment."""
    if state in STAYING_STATES:
        return False
    if state == "XX000":
        return any(text in message for text in PASSING_TEXTS)
    return state in PASSING_STATES or state[:2] in PASSING_CLASSES


def refuses_the_password(text: str) -> bool:
    """Return whether the server knows the user and refuses this password. `text` is what libpq reports."""
    return "password authentication failed" in re.sub(r'"[^"]*"', '""', text)


def refuses_the_login(text: str) -> bool:
    """Return whether the server itself turned this user away, rather than everybody. `text` is what libpq reports."""
    said = re.sub(r'"[^"]*"', '""', text)  # names are the data's, and might be any of those words
    return "FATAL:" in said and not any(busy in said for busy in BUSY_SERVER_TEXTS)
