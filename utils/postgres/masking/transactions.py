"""Transactions of the masking role's, and what is recorded of them: PostgreSQL says whether each was committed.

Code of the data runs in these transactions and may do what the masking role may, so that role records nothing itself.
Before one of them commits, the master user notes its number, and what to record; that is recorded when PostgreSQL says
that it was committed (PostgreSQL's documentation, "System Information Functions": pg_xact_status). After a death in
between, the next slice finds the note.
"""

from __future__ import annotations

from collections.abc import Callable

from psycopg2 import sql

from utils.errors import StepFailed, TemporaryFailure
from utils.foreign_text import one_line
from utils.postgres.masking.sessions import Place, as_text, lock
from utils.postgres.masking.state import prove_seal, seal
from utils.postgres.session import Session
from utils.postgres.slice_clock import SliceClock


def begin(opened: Session, known: Session, place: Place, key: int) -> int:
    """Begin the masking role's transaction for a piece of work, and return its number.

    Waits for an earlier transaction for the same, and records what became of it. `known`: a session of the master's.
    """
    lock(opened, place, key)
    ((number,),) = opened.rows(sql.SQL("SELECT pg_current_xact_id()::text::bigint"))
    settle(known, place, key)
    return int(number)


def note(known: Session, place: Place, key: int, number: int, mark: sql.Composable) -> None:
    """Note what to record when the transaction is committed, which is the next thing that the caller does."""
    text = mark.as_string(known.connection)
    known.run(
        sql.SQL("INSERT INTO {} VALUES (%s, %s::text::xid8, %s, %s)").format(place.state("begun")),
        (key, str(number), text, seal(place, "begun", key, str(number), text)),
    )
    known.connection.commit()


def settle(known: Session, place: Place, key: int) -> None:
    """Record the work of a noted transaction if it was committed. It has to have ended: its lock is released."""
    found = known.rows(
        sql.SQL("DELETE FROM {} WHERE key = {} RETURNING pg_xact_status(number), number::text, mark, seal").format(
            place.state("begun"), sql.Literal(key)
        )
    )
    for status, number, mark, sealed in found:
        prove_seal(place, sealed, "begun", key, number, mark)
        if status == "in progress":
            raise TemporaryFailure(f"Masking in database {one_line(place.database)!r} is still at work.")
        if status is None:
            raise StepFailed(
                f"PostgreSQL no longer knows whether a transaction of the masking in database "
                f"{one_line(place.database)!r} was committed. Start a new operation."
            )
        if status == "committed":
            known.run(sql.SQL(mark))
    known.connection.commit()


def run_outlasting(
    place: Place,
    statements: sql.Composable,
    clock: SliceClock,
    key: int,
    *,
    done: Callable[[Session], bool],
    mark: sql.Composable,
) -> None:
    """Run statements as the masking role in one transaction that ends by itself, also when this process is gone.

    The statements cannot end it: inside DO PostgreSQL refuses COMMIT and ROLLBACK. The COMMIT that follows them in the
    same message PostgreSQL runs without a client. Raises OutOfTime where it still runs when the slice ends.
    """

    def work() -> None:
        with place.as_master() as known, place.autocommitting(as_master=False) as opened:
            opened.run(sql.SQL("BEGIN"))
            number = begin(opened, known, place, key)
            if done(known):
                return
            note(known, place, key, number, mark)
            body = sql.SQL("BEGIN EXECUTE {}; END").format(as_text(statements))
            opened.run(sql.SQL("DO {}; COMMIT").format(as_text(body)))
            settle(known, place, key)

    place.unattended(work, clock)
