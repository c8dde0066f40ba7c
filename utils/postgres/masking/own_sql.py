"""The statements of the policy's author: run as the masking role, which owns the tables, when their columns are masked.

Each entry is one transaction, which ends by itself like an index that is built.
"""

from __future__ import annotations

from functools import partial

import msgspec
from psycopg2 import sql

from utils.masking.policy import Check, OwnSql
from utils.postgres.masking.lending import lend_only
from utils.postgres.masking.sessions import Clock, Place
from utils.postgres.masking.state import ADDED, pass_stage
from utils.postgres.masking.transactions import run_outlasting
from utils.postgres.session import Session


def run_own_sql(place: Place, clock: Clock) -> None:
    """Run each entry that has not been run."""
    with place.as_master() as opened:
        entries = own_sql(opened, place)
    if entries:
        lend_only(place, clock, None)
    for number, entry in enumerate(entries):
        run_outlasting(
            place,
            sql.SQL(entry.text),
            clock,
            -1 - number,
            done=partial(_is_done, place=place, number=number),
            mark=sql.SQL("INSERT INTO {} VALUES ({})").format(place.state("own_done"), sql.Literal(number)),
        )
    with place.as_master() as opened:
        pass_stage(opened, place, ADDED)


def _is_done(known: Session, *, place: Place, number: int) -> bool:
    done = sql.SQL("SELECT 1 FROM {} WHERE number = {}").format(place.state("own_done"), sql.Literal(number))
    return bool(known.rows(done))


def own_sql(opened: Session, place: Place) -> list[OwnSql]:
    """Return the policy's own statements for this database."""
    ((found,),) = opened.rows(sql.SQL("SELECT own_sql FROM {}").format(place.state("policy")))
    return msgspec.convert(found, list[OwnSql])


def own_checks(opened: Session, place: Place) -> list[Check]:
    """Return the policy's checks for this database."""
    ((found,),) = opened.rows(sql.SQL("SELECT checks FROM {}").format(place.state("policy")))
    return msgspec.convert(found, list[Check])
