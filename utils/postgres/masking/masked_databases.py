"""The databases of the cluster, all of which have to be masked: what cannot be entered fails the masking.

Setting up users skips an odd database and reports it. Here that would leave production's data unmasked.
"""

from __future__ import annotations

from psycopg2 import sql

from utils.errors import StepFailed
from utils.foreign_text import listed
from utils.postgres.borrowed_owners import borrowed_owners
from utils.postgres.catalog import RAW_DATABASE_NAME, decoded
from utils.postgres.databases import INVALID, DatabaseCluster, owner_of
from utils.postgres.session import EVENT_TRIGGERS, EVENT_TRIGGERS_SINCE, Session

# AWS's own, which no master user enters; and the one that PostgreSQL lets nobody into until somebody changes that.
_AWS_DATABASE, _PRISTINE = "rdsadmin", "template0"
# The master user's at work, another one's that lends tables meanwhile, and the masking role's. A limit holds for all
# but superusers (PostgreSQL's documentation, CREATE DATABASE, "CONNECTION LIMIT").
_CONNECTIONS = 3


def databases_to_mask(cluster: DatabaseCluster) -> tuple[list[str], list[str]]:
    """Return the databases, and findings. Raises StepFailed with all that cannot be entered, before any change."""
    databases: list[str] = []
    findings: list[str] = []
    faults: list[str] = []
    with cluster.maintenance() as maintenance:
        for raw, limit, allowed, prepared, login_trigger in _databases(maintenance):
            name = decoded(raw)
            if name == _AWS_DATABASE or (name == _PRISTINE and not allowed):
                continue
            if limit == INVALID:
                findings.append(f"{raw_shown(raw)}: its DROP DATABASE was interrupted, so nobody can enter it")
            elif name is None:
                faults.append(f"{raw_shown(raw)}: its name is not UTF-8 text; rename it")
            elif not allowed:
                faults.append(f"{name!r} admits nobody (ALLOW_CONNECTIONS is false); its owner could open it again")
            elif limit == 0:
                faults.append(f"{name!r} admits nobody (CONNECTION LIMIT is 0); its owner could open it again")
            elif 0 < limit < _CONNECTIONS:
                faults.append(
                    f"{name!r} admits {limit} connection{'s' * (limit > 1)} at once (CONNECTION LIMIT), and masking "
                    f"needs {_CONNECTIONS}; its owner could raise it by ALTER DATABASE ... CONNECTION LIMIT"
                )
            elif prepared:
                faults.append(
                    f"{name!r} has {prepared} prepared transactions, which could still commit production's rows: check "
                    "pg_prepared_xacts, and finish them"
                )
            elif login_trigger and EVENT_TRIGGERS in cluster.server.refused_options:
                faults.append(f"{name!r} has an event trigger on login, which this server does not let anybody silence")
            elif not _open_to_us(maintenance, name):
                faults.append(f"{name!r} does not admit the master user, who cannot act for its owner")
            else:
                databases.append(name)
    if faults:
        raise StepFailed(
            f"Some databases cannot be masked, and nothing was changed: {listed(faults)}. Fix that in the source, or "
            "drop them there, then start a new operation."
        )
    return databases, findings


def raw_shown(raw: bytes | memoryview) -> str:
    """Return a database's name for a message, with its bytes escaped where they are not UTF-8."""
    return repr(bytes(raw).decode(errors="backslashreplace"))


def _databases(maintenance: Session) -> list[tuple[bytes, int, bool, int, bool]]:
    login_trigger = sql.SQL("dathasloginevt" if maintenance.version >= EVENT_TRIGGERS_SINCE else "false")
    return maintenance.rows(
        sql.SQL(
            "SELECT {}, datconnlimit, datallowconn,"
            " (SELECT count(*) FROM pg_prepared_xacts WHERE database = datname), {} FROM pg_database ORDER BY datname"
        ).format(RAW_DATABASE_NAME, login_trigger)
    )


def _open_to_us(maintenance: Session, database: str) -> bool:
    may = sql.SQL("SELECT 1 WHERE has_database_privilege(%s, 'CONNECT')")
    if maintenance.rows(may, (database,)):
        return True
    owner = owner_of(maintenance, database)
    with borrowed_owners(maintenance, [owner] if owner else []):
        connect = sql.SQL("GRANT CONNECT ON DATABASE {} TO CURRENT_USER").format(sql.Identifier(database))
        maintenance.why_not(connect, waiting=False)
    return bool(maintenance.rows(may, (database,)))
