"""Event triggers that came with the data: functions that would run with the master user's rights when it grants.

They are silenced where the server allows the master user to do that. Where it does not, nothing is done in a database
with one whose function belongs to a role with lesser rights.
"""

from __future__ import annotations

from msgspec import Struct
from psycopg2 import sql

from utils.postgres.catalog import AWS_ROLES
from utils.postgres.session import Session, SqlRefused


class EventTriggers(Struct, frozen=True, kw_only=True):
    """The enabled event triggers, in words, and those that would give the master user's rights to another role."""

    found: list[str]
    dangerous: list[str]


def event_triggers(opened: Session) -> EventTriggers:
    """Return this database's event triggers. Those of the master user, AWS and superusers are not dangerous."""
    found = opened.rows(
        sql.SQL(
            "SELECT evtname, evtevent, evtenabled, evtfoid::regproc::text, o.rolname,"
            " NOT o.rolsuper AND o.rolname <> current_user AND o.rolname <> ALL(%s)"
            " FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid JOIN pg_roles o ON o.oid = p.proowner"
            " WHERE evtenabled <> 'D' ORDER BY evtname"
        ),
        (list(AWS_ROLES),),
    )
    silenced = opened.silenced
    return EventTriggers(
        found=[
            f"event trigger {name!r} ({event}) runs {function}, which belongs to {owner!r}"
            for name, event, _, function, owner, _ in found
        ],
        dangerous=[name for name, _, enabled, _, _, lesser in found if lesser and enabled not in silenced],
    )


def refuse_dangerous_triggers(opened: Session) -> None:
    """Raise SqlRefused before anything is changed where a user's function would run with the master user's rights."""
    if dangerous := event_triggers(opened).dangerous:
        raise SqlRefused(
            f"Nothing was set up: the event trigger {dangerous[0]!r} would run another role's function with the master "
            "user's rights, and this server allows nobody to silence it. Drop or disable it, and GRANT by hand."
        )
