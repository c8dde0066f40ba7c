"""The member of its cluster that a session is connected to."""

from __future__ import annotations

from psycopg2 import sql

from utils.foreign_text import one_line
from utils.postgres.session import Session

# Amazon Aurora User Guide, "Aurora PostgreSQL functions reference": it reports the name of the DB instance to which one
# is connected.
_WHERE = sql.SQL("SELECT aurora_db_instance_identifier()")


def member_of(opened: Session) -> str:
    """Return the name of the instance that the session is with."""
    ((instance,),) = opened.rows(_WHERE)
    return one_line(str(instance))
