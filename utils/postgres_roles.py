"""The application's and the read-only role of a restored cluster, in every database of it.

Roles belong to the whole cluster, privileges to one database. A run that is repeated finds everything done and changes
nothing. Passwords reach PostgreSQL as SCRAM verifiers only, so that no server log ever shows one.
"""

from __future__ import annotations

from msgspec import Struct
from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from utils.credentials import ApplicationLogins, MasterLogin
from utils.errors import StepFailed
from utils.postgres import Server, Session, can_log_in, session
from utils.postgres_grants import borrowed_owners, grant_in_database

MAINTENANCE_DATABASE = "postgres"
# An execution whose data outgrow 256 KiB dies where no Catch can see it; a cluster may hold a role for each customer.
MAX_LISTED = 50


class RolesReport(Struct, frozen=True, kw_only=True):
    databases: list[str]
    inherited_logins: list[str]
    warnings: list[str]


def shortened(texts: list[str]) -> list[str]:
    """The first ones, and how many more there are."""
    more = len(texts) - MAX_LISTED
    return [*texts[:MAX_LISTED], f"and {more} more"] if more > 0 else texts


def prove_login(server: Server, master: MasterLogin) -> None:
    """The master's new password opens the cluster. Raises TemporaryFailure while it doesn't."""
    with session(server, MAINTENANCE_DATABASE, master.username, master.password) as opened:
        opened.rows(sql.SQL("SELECT 1"))


def check_names(logins: ApplicationLogins, master: str) -> None:
    """The secret may have changed since the first step looked at it: refused before anything is changed."""
    for wrong in logins.wrong_names(master):
        raise StepFailed(f"The application secret's {wrong}. Correct the secret, start again.")


def set_up_roles(server: Server, master: MasterLogin, logins: ApplicationLogins) -> RolesReport:
    """Both roles exist, can log in with the secret's passwords, and have their privileges wherever that is possible.

    Raises StepFailed when a role can't be made or a privilege that was granted doesn't show.
    """
    check_names(logins, master.username)
    roles = (logins.app_username, logins.readonly_user)
    with session(server, MAINTENANCE_DATABASE, master.username, master.password) as maintenance:
        for name, password in zip(roles, (logins.app_password, logins.readonly_pwd), strict=True):
            _ensure_role(maintenance, server, name, password)
        databases, warnings = _open_databases(maintenance, roles)
        inherited = _inherited_logins(maintenance, (*roles, master.username))
    for database in databases:
        with session(server, database, master.username, master.password) as opened:
            warnings += [f"{database}: {warning}" for warning in grant_in_database(opened, *roles)]
    for name, password in zip(roles, (logins.app_password, logins.readonly_pwd), strict=True):
        if not can_log_in(server, databases[0], name, password):
            raise StepFailed(
                f"Role {name!r} was set up, but can't log in to {databases[0]!r} with the application secret's "
                "password. Look at what came with the role: a membership in rds_iam, which takes the password's "
                "place, or a connection limit."
            )
    return RolesReport(databases=databases, inherited_logins=inherited, warnings=warnings)


def _ensure_role(maintenance: Session, server: Server, name: str, password: str) -> None:
    """Create the role, or take over the one of that name that came with the snapshot, with our password."""
    exists = maintenance.rows(sql.SQL("SELECT 1 FROM pg_roles WHERE rolname = %s"), (name,))
    if exists and can_log_in(server, MAINTENANCE_DATABASE, name, password):
        return
    verifier = encrypt_password(password, name, scope=maintenance.connection, algorithm="scram-sha-256")
    maintenance.run(
        sql.SQL("{verb} ROLE {name} LOGIN PASSWORD {verifier} VALID UNTIL 'infinity'").format(
            verb=sql.SQL("ALTER" if exists else "CREATE"), name=sql.Identifier(name), verifier=sql.Literal(verifier)
        )
    )


def _open_databases(maintenance: Session, roles: tuple[str, str]) -> tuple[list[str], list[str]]:
    """The databases the master user can enter, both roles admitted to each; and what is wrong with the others."""
    found = maintenance.rows(
        sql.SQL(
            "SELECT datname, pg_get_userbyid(datdba) FROM pg_database"
            " WHERE datallowconn AND NOT datistemplate AND datname <> 'rdsadmin' ORDER BY datname"
        )
    )
    databases, warnings = [], []
    with borrowed_owners(maintenance, {owner for _, owner in found}):
        for database, owner in found:
            admitted = sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}, CURRENT_USER").format(
                sql.Identifier(database), sql.SQL(", ").join(map(sql.Identifier, roles))
            )
            maintenance.try_run(admitted)
            able = maintenance.rows(
                sql.SQL("SELECT bool_and(has_database_privilege(name, %s, 'CONNECT')) FROM unnest(%s) AS name"),
                (database, [*roles, maintenance.connection.info.user]),
            )
            if able == [(True,)]:
                databases.append(database)
            else:
                warnings.append(f"{database}: its owner {owner!r} admits neither the master user nor the new roles")
    if not databases:
        raise StepFailed("The master user can connect to no database of the restored cluster. Check its roles.")
    return databases, warnings


def _inherited_logins(maintenance: Session, known: tuple[str, ...]) -> list[str]:
    """Production's own logins: they came with the snapshot, passwords and all."""
    found = maintenance.rows(
        sql.SQL(
            "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname <> ALL(%s)"
            " AND rolname !~ '^(pg_|rds)' ORDER BY rolname"
        ),
        (list(known),),
    )
    return [name for (name,) in found]
