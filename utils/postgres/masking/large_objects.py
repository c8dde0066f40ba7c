"""Large objects: all of them are deleted where the policy says so, and none is masked."""

from __future__ import annotations

from psycopg2 import sql

from utils.postgres.borrowed_owners import borrowed_owners
from utils.postgres.masking.sessions import Place
from utils.postgres.slice_clock import SliceClock

LARGE_OBJECTS_AT_ONCE = 1000


def unlink_large_objects(place: Place, clock: SliceClock) -> None:
    """Delete all large objects where the policy says so. Only their owners may."""
    with place.as_master() as opened:
        wanted = opened.rows(sql.SQL("SELECT empty_large_objects FROM {}").format(place.state("policy"))) == [(True,)]
    while wanted:
        clock.remaining()
        with place.as_master() as opened:
            found = opened.rows(
                sql.SQL(
                    "SELECT oid, pg_get_userbyid(lomowner) FROM pg_largeobject_metadata ORDER BY oid LIMIT {}"
                ).format(sql.Literal(LARGE_OBJECTS_AT_ONCE))
            )
            with borrowed_owners(opened, {owner for _, owner in found}):
                opened.rows(
                    sql.SQL("SELECT lo_unlink(object) FROM unnest({}::oid[]) AS object").format(
                        sql.Literal([number for number, _ in found])
                    )
                )
        wanted = len(found) == LARGE_OBJECTS_AT_ONCE
