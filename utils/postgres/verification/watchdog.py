"""Ending a check's session from outside once its time is over.

The error of a statement timeout can be caught by code of the data, which then continues, and no second one comes
(PostgreSQL's documentation, "Trapping Errors": QUERY_CANCELED may be trapped by its name). The end of a session cannot.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from types import TracebackType

from psycopg2 import sql

from utils.errors import StepFailed, TemporaryFailure
from utils.postgres.databases import DatabaseCluster
from utils.postgres.session import Session

# A process's number may be another's now, so the role is compared as well.
_END = sql.SQL(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %(role)s AND (pid = %(pid)s OR %(pid)s = 0)"
)


class Watchdog:
    """Ends a session that is still open after so many seconds, by the master user, who may end those of others."""

    def __init__(self, cluster: DatabaseCluster, opened: Session, seconds: float) -> None:
        self.has_ended_it = False
        self._cluster, self._role = cluster, opened.user
        self._pid = opened.connection.info.backend_pid
        # One of its own: that of the connection may be closed, and its number another's, when it is used.
        self._socket = socket.socket(fileno=os.dup(opened.connection.fileno()))
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Watchdog:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._timer.join()
        self._socket.close()

    def _end(self) -> None:
        self.has_ended_it = True
        try:
            with contextlib.suppress(TemporaryFailure, StepFailed), self._cluster.maintenance() as maintenance:
                end_sessions(maintenance, self._role, self._pid)
        finally:
            # Also where nobody could end it: what waits for its answer waits no longer.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def end_sessions(maintenance: Session, role: str, pid: int = 0) -> None:
    """End a session of the role, or all of them. `rds_superuser` may (Amazon Aurora User Guide, as in `fence`)."""
    maintenance.rows(_END, {"role": role, "pid": pid})
