"""What was taken away from the tables at work is restored, by the statements that were recorded then.

What only changes the catalogue the master user restores at once; what reads rows, one by one, with the masking role as
the owner of the tables meanwhile.
"""

from __future__ import annotations

import re
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from psycopg2 import sql

from utils.errors import StepFailed
from utils.foreign_text import one_line
from utils.postgres.borrowed_owners import borrowed_owners
from utils.postgres.catalog import owners_here
from utils.postgres.event_triggers import refuse_dangerous_triggers
from utils.postgres.masking.dependents import (
    AFTER_THE_GATE,
    FOREIGN_KEYS,
    IN_THE_END,
    INDEXES,
    event_trigger_owners,
    statistics_owners,
)
from utils.postgres.masking.lending import lend_only, owners_of
from utils.postgres.masking.sessions import Place, lock
from utils.postgres.masking.state import RESTORED, pass_stage, prove_seal
from utils.postgres.masking.transactions import run_outlasting
from utils.postgres.session import Session
from utils.postgres.slice_clock import SliceClock

_NAME = r'(?:"(?:[^"]|"")+"|[^\s."]+)'
_RESTORES = (
    re.compile(rf"CREATE (?:UNIQUE )?(?P<kind>INDEX) (?P<name>{_NAME}) ON (?:ONLY )?(?P<table>{_NAME}\.{_NAME})"),
    re.compile(rf"CREATE (?P<kind>STATISTICS) (?P<name>{_NAME}\.{_NAME})(?P<table>)"),
    re.compile(rf"ALTER TABLE (?:ONLY )?(?P<table>{_NAME}\.{_NAME}) \w+ (?P<kind>CONSTRAINT) (?P<name>{_NAME})"),
)


def restore_dependents(place: Place, clock: SliceClock) -> None:
    """Restore everything but what waits for the policy's statements and ANALYZE, and what takes long one by one."""
    for turn in range(IN_THE_END):
        if turn in (INDEXES, FOREIGN_KEYS):
            _build(place, clock, turn)
        else:
            _alter(place, turn)
    with place.as_master() as opened:
        pass_stage(opened, place, RESTORED)


def restore_the_rest(place: Place) -> None:
    """Restore what fires, and the columns that ANALYZE is to pass over."""
    _alter(place, IN_THE_END)


def restore_event_triggers(place: Place) -> None:
    """Enable them again: sessions of the masking role, which create temporary tables, come to an end with the gate."""
    _alter(place, AFTER_THE_GATE)


def _alter(place: Place, turn: int) -> None:
    """Restore what only changes the catalogue, so that nothing of the data runs."""
    with place.as_master() as opened:
        lock(opened, place)
        refuse_dangerous_triggers(opened)
        left = _left(opened, place, turn)
        owners = owners_of(opened, place, {rel for each in left for rel in each.rels})
        owners |= {*owners_here(opened), *statistics_owners(opened, place), *event_trigger_owners(opened)}
        owners.add(place.masker.name)
        with borrowed_owners(opened, owners):
            for each in left:
                if opened.rows(sql.SQL("SELECT {}").format(sql.SQL(each.still))) == [(True,)]:
                    opened.run(sql.SQL(each.statement))
        opened.run(sql.SQL("UPDATE {} SET restored_at = now() WHERE turn = %s").format(place.state("undo")), (turn,))


def _build(place: Place, clock: SliceClock, turn: int) -> None:
    """Restore what reads rows, as it has to be recreated, while the masking role owns these tables.

    An index is created in a session of the master user's, which silences event triggers; what it calls runs as the
    table's owner (PostgreSQL's source, DefineIndex and index_build: SetUserIdAndSecContext), so as the masking role. A
    foreign key is created by the masking role itself: its rows are compared as the role that creates it, perhaps with
    the data's casts.
    """
    with place.as_master() as opened:
        refuse_dangerous_triggers(opened)
        left = _left(opened, place, turn)
        owned = [(sorted(owners_of(opened, place, each.rels)), each) for each in left]
    owned.sort(key=itemgetter(0))
    for owners, of_these in groupby(owned, key=itemgetter(0)):
        lend_only(place, clock, owners)
        for _, each in of_these:
            try:
                _build_one(place, clock, each)
            except StepFailed as error:
                raise StepFailed(f"{_named(each.statement)} cannot be restored. {error}") from None


def _named(statement: str) -> str:
    """Return what a statement restores, without its expressions, in which a value may stand."""
    for form in _RESTORES:
        if found := form.match(statement):
            kind, name, table = found["kind"].lower(), one_line(found["name"]), one_line(found["table"])
            return f"The {kind} {name} of {table}" if table else f"The {kind} {name}"
    return "What was dropped"


def _build_one(place: Place, clock: SliceClock, each: _Left) -> None:
    undo, statement, number = place.state("undo"), sql.SQL(each.statement), sql.Literal(each.number)
    mark = sql.SQL("UPDATE {} SET restored_at = now() WHERE number = {}").format(undo, number)
    if each.by_masker:
        run_outlasting(place, statement, clock, each.number, done=partial(_is_restored, each, place), mark=mark)
    else:
        place.outlasting(
            statement,
            clock,
            each.number,
            done=sql.SQL("EXISTS (SELECT FROM {} WHERE number = {} AND restored_at IS NOT NULL)").format(undo, number),
            mark=mark,
        )


def _is_restored(each: _Left, place: Place, known: Session) -> bool:
    restored = sql.SQL("SELECT 1 FROM {} WHERE number = {} AND restored_at IS NOT NULL")
    return bool(known.rows(restored.format(place.state("undo"), sql.Literal(each.number))))


class _Left(NamedTuple):
    number: int
    statement: str
    by_masker: bool
    still: str
    rels: list[int]


def _left(opened: Session, place: Place, turn: int) -> list[_Left]:
    question = sql.SQL(
        "SELECT seal, number, statement, by_masker, still, rels FROM {} WHERE restored_at IS NULL AND turn = {}"
        " ORDER BY number"
    ).format(place.state("undo"), sql.Literal(turn))
    found = []
    for sealed, *row in opened.rows(question):
        left = _Left(*row)
        prove_seal(place, sealed, "undo", turn, left.by_masker, left.statement, left.still)
        found.append(left)
    return found
