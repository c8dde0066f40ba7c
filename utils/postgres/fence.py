"""Ending every client's session on one member of a cluster: security groups cut no session that they have let in.

A session is with one instance, whose own sessions alone are seen there, so each member has to be connected to under its
own address. `rds_superuser` sees all sessions and may end any (Amazon Aurora User Guide, "Understanding the
rds_superuser role"), but for those of AWS's own superuser. Not ended are sessions of AWS's own logins, and background
workers, which no network reaches: `utils.postgres.background` finds jobs and subscriptions.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from msgspec import Struct
from psycopg2 import sql

from utils.foreign_text import one_line
from utils.postgres.catalog import AWS_LOGINS, decoded
from utils.postgres.session import Session

# Between two looks that both have to find nobody: a client that reconnects does so at once, or after a short pause.
APART_SECONDS = 5
# A backend ends when it next looks at its signals; one that holds on for longer is looked for again later.
ENDS_WITHIN_SECONDS = 10
POLL_SECONDS = 0.2

# Within a transaction pg_stat_activity holds still (PostgreSQL's documentation, "The Cumulative Statistics System").
_LOOK_AFRESH = sql.SQL("SELECT pg_stat_clear_snapshot()")
# Who may not see all of a session sees its role and no type. Such a session counts as a client's, and as one at work.
_CLIENTS = sql.SQL(r"""
    SELECT pid, coalesce(state, '') <> 'idle', replace(usename::text, '\', '\\')::bytea
      FROM pg_stat_activity
     WHERE coalesce(backend_type, 'client backend') IN ('client backend', 'walsender')
       AND usename IS NOT NULL AND usename <> ALL(%(aws)s) AND pid <> pg_backend_pid()
     ORDER BY pid
""")
_TERMINATE = sql.SQL("SELECT pg_terminate_backend(%(pid)s)")
_PREPARED = sql.SQL("SELECT count(*) FROM pg_prepared_xacts")


class Fence(Struct, frozen=True, kw_only=True):
    """What ending the sessions of one member has come to."""

    # How many were ended, and how many of them were at work: their clients do not know whether a COMMIT counts.
    ended: int = 0
    in_doubt: int = 0
    # Whose sessions were still found at the last look, each with their number. Empty once nobody is left.
    left: list[str] = []
    # Prepared transactions of the whole cluster. They outlive their sessions, and hold their locks until somebody
    # commits them or rolls them back.
    prepared_transactions: int = 0


class _Client(Struct, frozen=True):
    pid: int
    at_work: bool
    role: str


def end_client_sessions(opened: Session, sleep: Callable[[float], None] = time.sleep) -> Fence:
    """End every client's session with this member, and look twice whether any is left or has come back.

    Takes some seconds. What the second look finds is ended as well and reported as left: the member is fenced only when
    a later call finds nobody at both looks. Repeatable.
    """
    ended: dict[int, _Client] = {}
    _end(opened, ended, sleep)
    sleep(APART_SECONDS)
    returned = _clients(opened)
    if returned:
        _end(opened, ended, sleep)
    ((prepared,),) = opened.rows(_PREPARED)
    return Fence(
        ended=len(ended),
        in_doubt=sum(each.at_work for each in ended.values()),
        left=_by_role(returned),
        prepared_transactions=prepared,
    )


def _end(opened: Session, ended: dict[int, _Client], sleep: Callable[[float], None]) -> None:
    """End the sessions that there are, and wait until they have ended. `ended` gets those that did."""
    asked: dict[int, _Client] = {}
    for _ in range(round(ENDS_WITHIN_SECONDS / POLL_SECONDS)):
        found = {each.pid: each for each in _clients(opened)}
        ended.update({pid: client for pid, client in asked.items() if pid not in found})
        for pid, client in found.items():
            # A superuser's session is refused to everybody else; it is found again at the next look.
            if pid not in asked and opened.why_not(_TERMINATE, {"pid": pid}) is None:
                asked[pid] = client
        if not found:
            return
        sleep(POLL_SECONDS)


def _clients(opened: Session) -> list[_Client]:
    opened.run(_LOOK_AFRESH)
    rows = opened.rows(_CLIENTS, {"aws": list(AWS_LOGINS)})
    return [
        _Client(pid, at_work, one_line(decoded(role) or "a role whose name is not UTF-8 text"))
        for pid, at_work, role in rows
    ]


def _by_role(clients: list[_Client]) -> list[str]:
    counted = Counter(each.role for each in clients)
    return [f"{number} of {role!r}" for role, number in sorted(counted.items())]
