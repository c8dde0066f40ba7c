"""The statements of the policy's author: run as the masking role, which owns the tables, when their columns are masked.

Each entry is one transaction, which ends by itself like an index that is built.
"""

from __future__ import annotations

from functools import partial

import msgspec
from psycopg2 import sql

from utils.errors import StepFailed
from utils.foreign_text import listed, one_line
from utils.masking.policy import Check, OwnSql
from utils.postgres.masking.lending import lend_only
from utils.postgres.masking.sessions import Place
from utils.postgres.masking.state import ADDED, pass_stage
from utils.postgres.masking.transactions import run_outlasting
from utils.postgres.session import Session
from utils.postgres.slice_clock import SliceClock

# Sequences of lent tables are parts of these, and what is temporary goes with its session: also in the middle of this
# query, which then finds it without an identity.
_MADE = sql.SQL("""
    SELECT i.type, i.identity FROM pg_shdepend d, pg_identify_object(d.classid, d.objid, d.objsubid) i
     WHERE d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND d.deptype = 'o'
       AND d.refclassid = 'pg_authid'::regclass AND d.refobjid = (SELECT oid FROM pg_roles WHERE rolname = %s)
       AND i.identity IS NOT NULL AND coalesce(i.schema, '') !~ '^pg_temp'
       AND NOT EXISTS (SELECT FROM {lent} l WHERE d.classid = 'pg_class'::regclass AND l.rel = d.objid)
       AND NOT EXISTS (SELECT FROM pg_depend o JOIN {lent} l ON l.rel = o.refobjid
                        WHERE o.classid = d.classid AND o.objid = d.objid AND o.refclassid = 'pg_class'::regclass
                          AND o.deptype IN ('a', 'i'))
     ORDER BY 1, 2
""")


def run_own_sql(place: Place, clock: SliceClock) -> None:
    """Run each entry that has not been run."""
    with place.as_master() as opened:
        entries = own_sql(opened, place)
    for number, entry in enumerate(entries):
        lend_only(place, clock, [entry.owner] if entry.owner else ())
        run_outlasting(
            place,
            sql.SQL(entry.text),
            clock,
            -1 - number,
            done=partial(_is_done, place=place, number=number),
            mark=sql.SQL("INSERT INTO {} VALUES ({})").format(place.state("own_done"), sql.Literal(number)),
        )
    if entries:
        _refuse_what_nobody_owns(place)
    with place.as_master() as opened:
        pass_stage(opened, place, ADDED)


def _refuse_what_nobody_owns(place: Place) -> None:
    """Raise StepFailed where the masking role owns what is no table's part: the role is dropped, which leaves no owner.

    Given to a table's owner, its code would run with that role's rights, and code of the data may have made it.
    """
    with place.as_master() as opened:
        made = [
            f"{kind} {one_line(name)}"
            for kind, name in opened.rows(_MADE.format(lent=place.state("lent")), (place.masker.name,))
        ]
    if made:
        raise StepFailed(
            f"In database {one_line(place.database)!r} the policy's statements, or code of the data that they call, "
            f"created {listed(made)}. They may create indexes, constraints and temporary tables. Create all "
            "else in the source, or after the restore, then start a new operation."
        )


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
