"""A client of the restored cluster that writes without end, and remembers what it was promised."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import psycopg2

from scripts.local_aws.server import LocalAws

_numbers = itertools.count(1)
_INSERT = "INSERT INTO sales.customers (name, email) VALUES (%s, 'a client''s')"
_PAUSE_SECONDS = 0.02


@dataclass
class Written:
    """A row that a client has sent: acknowledged, or in doubt. Both times are the clock's."""

    key: str
    sent_at: float
    acknowledged_at: float | None = None
    error: str = ""


@dataclass
class Client:
    """A thread that writes one row after another through the target's name, each with a COMMIT of its own.

    `pooled` keeps its session for as long as that lives; else each row comes by a new one.
    """

    aws: LocalAws
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    pooled: bool = True
    statement: str = _INSERT
    rows: list[Written] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._name = f"client-{next(_numbers)}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name=self._name, daemon=True)

    def __enter__(self) -> Client:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def acknowledged(self) -> list[Written]:
        """Return the rows whose COMMIT was answered."""
        return [row for row in self.rows if row.acknowledged_at is not None]

    def wait_for_a_row(self, seconds: float) -> None:
        """Wait, by the machine's own clock, until a row is acknowledged, at most for so long."""
        deadline = time.monotonic() + seconds
        while not self.acknowledged and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)

    def _connect(self) -> Any:
        return psycopg2.connect(
            host=self.host,
            port=self.port,
            dbname="orders",
            user=self.user,
            password=self.password,
            sslmode="verify-full",
            sslrootcert=str(self.aws.rds_ca_bundle),
            connect_timeout=2,
        )

    def _write_on(self) -> None:
        session: Any = None
        for number in itertools.count():
            if self._stop.wait(_PAUSE_SECONDS):
                break
            row = Written(f"{self._name}-{number}", self.aws.clock.time())
            try:
                if session is None:
                    session = self._connect()
                row.sent_at = self.aws.clock.time()
                with session, session.cursor() as cursor:
                    cursor.execute(self.statement, (row.key,))
                row.acknowledged_at = self.aws.clock.time()
            except psycopg2.Error as error:
                row.error = f"{error.pgcode or ''} {str(error).strip()}"
                session = None
            self.rows.append(row)
            if session is not None and not self.pooled:
                session.close()
                session = None
        if session is not None:
            session.close()
