"""Roles of the pipeline's own, each a login with no rights but what it is given, and a new password in every slice.

Such a role is nobody's member and logs in itself. So the data's code, which runs when it reads or writes, can become
nobody else: there is no role behind it to return to with RESET ROLE.
"""

from __future__ import annotations

from typing import NamedTuple

from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from utils.errors import StepFailed
from utils.logins.master import new_password
from utils.postgres.borrowed_owners import borrowed_owners
from utils.postgres.databases import DatabaseCluster, owner_of
from utils.postgres.session import Session
from utils.postgres.tle_hooks import refuse_tle_hooks

# Those of one slice, and what an earlier one has left running.
_CONNECTIONS = 10
_NOT_PLAIN = sql.SQL(
    "SELECT 1 FROM pg_roles r WHERE rolname = %(name)s AND ("
    " rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
    " OR EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid)"
    " OR EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles o ON o.oid = m.member"
    "             WHERE m.roleid = r.oid AND o.rolname <> current_user)"
    " OR EXISTS (SELECT FROM pg_db_role_setting WHERE setrole = r.oid))"
)


class OwnLogin(NamedTuple):
    """A role of the pipeline's own and the password that it has during one slice."""

    name: str
    password: str

    def __repr__(self) -> str:
        return f"OwnLogin({self.name})"


def open_own_role(cluster: DatabaseCluster, name: str) -> OwnLogin:
    """Create the role unless it exists, and return its login. Raises StepFailed where it is not ours alone."""
    login = OwnLogin(name, new_password())
    with cluster.maintenance() as maintenance:
        exists = maintenance.rows(sql.SQL("SELECT 1 FROM pg_roles WHERE rolname = %s"), (login.name,))
        if exists and maintenance.rows(_NOT_PLAIN, {"name": login.name}):
            raise StepFailed(
                f"The role {login.name!r}, which is the pipeline's own, has rights, members or settings of its own. "
                "Drop it in the source, then start a new operation, from a snapshot that was taken since."
            )
        refuse_tle_hooks(maintenance)
        verifier = encrypt_password(login.password, login.name, scope=maintenance.connection, algorithm="scram-sha-256")
        maintenance.run(
            sql.SQL("{} ROLE {} LOGIN CONNECTION LIMIT {} PASSWORD {} VALID UNTIL 'infinity'").format(
                sql.SQL("ALTER" if exists else "CREATE"),
                sql.Identifier(login.name),
                sql.Literal(_CONNECTIONS),
                sql.Literal(verifier),
            )
        )
    return login


def admit_own_role(maintenance: Session, database: str, role: str) -> None:
    """Let the role enter the database, and have temporary tables there, where its owner has closed it to PUBLIC."""
    owner = owner_of(maintenance, database)
    with borrowed_owners(maintenance, [owner] if owner else []):
        maintenance.try_run(
            sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(
                sql.Identifier(database), sql.Identifier(role)
            )
        )
    admitted = sql.SQL(
        "SELECT 1 WHERE has_database_privilege(%(role)s, %(database)s, 'CONNECT')"
        " AND has_database_privilege(%(role)s, %(database)s, 'TEMPORARY')"
    )
    if not maintenance.rows(admitted, {"role": role, "database": database}):
        raise StepFailed(
            f"Role {role!r} cannot enter database {database!r}: the master user cannot act for its owner {owner!r}. "
            "Make the master user able to grant that role in the source, then start a new operation, from a snapshot "
            "that was taken since."
        )


def dismiss_own_role(maintenance: Session, database: str, role: str) -> None:
    """Take back what `admit_own_role` granted."""
    owner = owner_of(maintenance, database)
    with borrowed_owners(maintenance, [owner] if owner else []):
        maintenance.run(
            sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(sql.Identifier(database), sql.Identifier(role))
        )


def drop_own_role(maintenance: Session, role: str) -> None:
    """Drop the role if it exists. PostgreSQL refuses that while anything belongs to it."""
    maintenance.run(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
