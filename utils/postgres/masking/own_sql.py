"""The statements of the policy's author: run as the masking role, which owns the tables, when their columns are masked.

Each entry is one transaction, and ends by itself like an index that is built. It cannot end its transaction: inside DO
PostgreSQL refuses COMMIT and ROLLBACK.
"""

from __future__ import annotations

import msgspec
from psycopg2 import sql

from utils.masking.policy import Check, OwnSql
from utils.postgres.masking.lending import lend_only
from utils.postgres.masking.sessions import Clock, Place
from utils.postgres.masking.state import ADDED, pass_stage
from utils.postgres.session import Session


def run_own_sql(place: Place, clock: Clock) -> None:
    """Run each entry that has not been run."""
    with place.as_master() as opened:
        entries = own_sql(opened, place)
    if entries:
        lend_only(place, clock, None)
    for number, entry in enumerate(entries):
        mark = place.state("own_done")
        place.outlasting(
            sql.SQL(entry.text),
            clock,
            -1 - number,
            done=sql.SQL("EXISTS (SELECT FROM {} WHERE number = {})").format(mark, sql.Literal(number)),
            mark=sql.SQL("INSERT INTO {} VALUES ({})").format(mark, sql.Literal(number)),
        )
    with place.as_master() as opened:
        pass_stage(opened, place, ADDED)


def own_sql(opened: Session, place: Place) -> list[OwnSql]:
    """Return the policy's own statements for this database."""
    ((found,),) = opened.rows(sql.SQL("SELECT own_sql FROM {}").format(place.state("policy")))
    return msgspec.convert(found, list[OwnSql])


def own_checks(opened: Session, place: Place) -> list[Check]:
    """Return the policy's checks for this database."""
    ((found,),) = opened.rows(sql.SQL("SELECT checks FROM {}").format(place.state("policy")))
    return msgspec.convert(found, list[Check])
