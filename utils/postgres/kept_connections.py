"""Connections that wait for their next transaction: to open one costs the server as much as some work of a small table.

They are of one login to one database, and of a role as which nothing of the data runs.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import connection

# A network forgets an idle connection without reporting it, after 60 seconds at the earliest (Amazon EC2 API
# Reference, ConnectionTrackingSpecificationResponse).
MOST_IDLE_SECONDS = 30


class KeptConnections:
    """The kept connections of one login to one database."""

    def __init__(self) -> None:
        self._idle: list[tuple[connection, float]] = []
        self._is_keeping = False

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep connections for the length of the block."""
        self._is_keeping = True
        try:
            yield
        finally:
            self._is_keeping = False
            while self._idle:
                self._idle.pop()[0].close()

    def take_idle(self) -> connection | None:
        """Return a connection that is as it was when it was opened, or None where none waits."""
        while self._idle:
            connected, since = self._idle.pop()
            if time.monotonic() - since < MOST_IDLE_SECONDS and _renewed(connected):
                return connected
            connected.close()
        return None

    def keep_idle(self, connected: connection) -> bool:
        """Keep a connection without a transaction, and return whether that is done now."""
        if self._is_keeping:
            self._idle.append((connected, time.monotonic()))
        return self._is_keeping


def _renewed(connected: connection) -> bool:
    """Return whether the session is as new: with the settings of its start options, which are pinned."""
    try:
        connected.autocommit = True
        with connected.cursor() as cursor:
            cursor.execute("DISCARD ALL")
        connected.autocommit = False
    except psycopg2.Error:
        return False
    return True
