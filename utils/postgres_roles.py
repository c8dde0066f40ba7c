"""The roles of a restored cluster, in every database of it: what ran by itself is quiet, who logs in is known.

Roles belong to the whole cluster, privileges to one database. A run that is repeated finds everything done and changes
nothing. Passwords reach PostgreSQL as SCRAM verifiers only, so that no server log ever shows one.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct
from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from utils.application_logins import ApplicationLogins, RoleWanted
from utils.credentials import MasterLogin
from utils.errors import StepFailed
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.postgres import Server, Session, can_log_in, session
from utils.postgres_background import Background, background_work
from utils.postgres_catalog import named
from utils.postgres_grants import grant_in_database
from utils.postgres_inherited import InheritedLogins, end_their_sessions, inherited_logins
from utils.postgres_owners import borrowed_owners

MAINTENANCE_DATABASE = "postgres"
# An execution whose data outgrow 256 KiB dies where no Catch can see it; a cluster may hold a role for each customer.
MAX_LISTED = 50
MAX_LISTED_BYTES = 16 * 1024


class RolesReport(Struct, frozen=True, kw_only=True):
    databases: list[str]
    roles: list[str] = []
    inherited_logins: list[str]
    locked_logins: list[str] = []
    disabled: list[str] = []
    warnings: list[str]


def shortened(texts: list[str]) -> list[str]:
    """The first ones, and how many more there are, each on one line. Bytes count as they travel: escaped."""
    texts = [one_line(text, MAX_SENTENCE) for text in texts]
    room, kept = MAX_LISTED_BYTES, 0
    for text in texts[:MAX_LISTED]:
        room -= len(msgspec.json.encode(text))
        if room < 0:
            break
        kept += 1
    more = len(texts) - kept
    return [*texts[:kept], f"and {more} more"] if more else texts


def prove_login(server: Server, master: MasterLogin) -> None:
    """The master's new password opens the cluster. Raises TemporaryFailure while it doesn't."""
    with session(server, MAINTENANCE_DATABASE, master.username, master.password) as opened:
        opened.rows(sql.SQL("SELECT 1"))


def check_names(logins: ApplicationLogins, master: str) -> None:
    """The secret may have changed since the first step looked at it: refused before anything is changed."""
    for wrong in logins.wrong(master):
        raise StepFailed(f"The application secret's {wrong}. Correct the secret, start again.")


def set_up_roles(
    server: Server, master: MasterLogin, logins: ApplicationLogins, *, lock: bool = False, quarantine: bool = False
) -> RolesReport:
    """The roles exist, can log in with the secret's passwords, and have their privileges wherever that is possible.

    What runs by itself is disabled first (`quarantine`), then production's own logins are locked (`lock`); without
    them both are only reported. Raises StepFailed when a role can't be made or a privilege that was granted doesn't
    show.
    """
    check_names(logins, master.username)
    roles = logins.everyone()
    known = [*(role.name for role in roles), master.username]
    with session(server, MAINTENANCE_DATABASE, master.username, master.password) as maintenance:
        entered, warnings = _entered(maintenance)
    background: dict[str, Background] = {}
    for database in entered:
        with session(server, database, master.username, master.password) as opened:
            background[database] = background_work(opened, quarantine)
    with session(server, MAINTENANCE_DATABASE, master.username, master.password) as maintenance:
        for role in roles:
            _ensure_role(maintenance, server, role)
        inherited = inherited_logins(maintenance, known, lock)
        admitted = {database: _admitted(maintenance, database, roles, warnings) for database in entered}
    warnings += [*_background_warnings(background, quarantine), *_lock_warnings(background, inherited)]
    if lock:
        with session(server, MAINTENANCE_DATABASE, master.username, master.password) as maintenance:
            warnings += end_their_sessions(maintenance, known)
    if not any(roles[0] in present for present in admitted.values()):
        raise StepFailed(
            "The master user and the application's role can connect to no database of the restored cluster. "
            "Check its roles, and who owns its databases."
        )
    schemas: dict[str, set[str]] = {}
    for database, present in admitted.items():
        with session(server, database, master.username, master.password) as opened:
            granted = grant_in_database(opened, present)
        schemas[database] = granted.schemas
        warnings += [f"{database}: {warning}" for warning in granted.warnings]
    for role in roles:
        _prove_login(server, role, [database for database, present in admitted.items() if role in present])
        warnings += _missing_places(role, schemas)
    return RolesReport(
        databases=[database for database, present in admitted.items() if present],
        roles=[_described(role) for role in roles],
        inherited_logins=inherited.open,
        locked_logins=inherited.locked,
        disabled=[f"{database}: {text}" for database, each in background.items() for text in each.disabled],
        warnings=warnings,
    )


def _ensure_role(maintenance: Session, server: Server, role: RoleWanted) -> None:
    """Create the role, or take over the one of that name that came with the snapshot, with our password."""
    exists = maintenance.rows(sql.SQL("SELECT 1 FROM pg_roles WHERE rolname = %s"), (role.name,))
    if exists and can_log_in(server, MAINTENANCE_DATABASE, role.name, role.password):
        return
    verifier = encrypt_password(role.password, role.name, scope=maintenance.connection, algorithm="scram-sha-256")
    maintenance.run(
        sql.SQL("{verb} ROLE {name} LOGIN PASSWORD {verifier} VALID UNTIL 'infinity'").format(
            verb=sql.SQL("ALTER" if exists else "CREATE"),
            name=sql.Identifier(role.name),
            verifier=sql.Literal(verifier),
        )
    )


def _entered(maintenance: Session) -> tuple[list[str], list[str]]:
    """The databases that the master user can enter, and what is wrong with the others."""
    found = maintenance.rows(
        sql.SQL(
            "SELECT datname, pg_get_userbyid(datdba), has_database_privilege(oid, 'CONNECT') FROM pg_database"
            " WHERE datallowconn AND NOT datistemplate AND datname <> 'rdsadmin' ORDER BY datname"
        )
    )
    closed = [(database, owner) for database, owner, enters in found if not enters]
    with borrowed_owners(maintenance, {owner for _, owner in closed}):
        for database, _ in closed:
            connect = sql.SQL("GRANT CONNECT ON DATABASE {} TO CURRENT_USER").format(sql.Identifier(database))
            maintenance.try_run(connect)
    # Asked once the owners' rights are given back: a GRANT that nobody may make only warns.
    still_closed = {
        database: owner
        for database, owner in closed
        if not maintenance.rows(sql.SQL("SELECT 1 WHERE has_database_privilege(%s, 'CONNECT')"), (database,))
    }
    warnings = [
        f"{database}: its owner {owner!r} admits neither the master user nor the new roles"
        for database, owner in still_closed.items()
    ]
    entered = [database for database, *_ in found if database not in still_closed]
    if not entered:
        raise StepFailed("The master user can connect to no database of the restored cluster. Check its roles.")
    return entered, warnings


def _admitted(maintenance: Session, database: str, roles: list[RoleWanted], warnings: list[str]) -> list[RoleWanted]:
    """Those of the roles that are for this database and may enter it."""
    wanting = [role for role in roles if role.wants(database)]
    if not wanting:
        return []
    ((owner,),) = maintenance.rows(
        sql.SQL("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s"), (database,)
    )
    grants = [("CONNECT, TEMPORARY", wanting)]
    # Who owns all schemas makes new ones too.
    grants += [("CREATE", [role for role in wanting if role.profile == "owner" and role.schemas is None])]
    with borrowed_owners(maintenance, {owner}):
        for privileges, grantees in grants:
            if grantees:
                maintenance.try_run(
                    sql.SQL("GRANT {} ON DATABASE {} TO {}").format(
                        sql.SQL(privileges),
                        sql.Identifier(database),
                        sql.SQL(", ").join(sql.Identifier(role.name) for role in grantees),
                    )
                )
    inside = maintenance.rows(
        sql.SQL("SELECT name FROM unnest(%s::text[]) AS name WHERE has_database_privilege(name, %s, 'CONNECT')"),
        ([role.name for role in wanting], database),
    )
    outside = [role for role in wanting if (role.name,) not in inside]
    if outside:
        names = named([(repr(role.name),) for role in outside])
        warnings.append(f"{database}: its owner {owner!r} doesn't admit {names}")
    return [role for role in wanting if role not in outside]


def _prove_login(server: Server, role: RoleWanted, databases: list[str]) -> None:
    """A role for databases that don't exist has nowhere to log in to."""
    if databases and not can_log_in(server, databases[0], role.name, role.password):
        raise StepFailed(
            f"Role {role.name!r} was set up, but can't log in to {databases[0]!r} with the application secret's "
            "password. Look at what came with the role: a membership in rds_iam, which takes the password's "
            "place, or a connection limit."
        )


def _missing_places(role: RoleWanted, schemas: dict[str, set[str]]) -> Iterator[str]:
    """The secret outlives many snapshots; a database or schema that today's lacks is no reason to have no copy."""
    if absent := [(database,) for database in role.databases or [] if database not in schemas]:
        yield f"{role.name!r} is for the database {named(absent)}, which isn't in the cluster or can't be entered"
    everywhere = set().union(*(found for database, found in schemas.items() if role.wants(database)))
    if absent := [(schema,) for schema in role.schemas or [] if schema not in everywhere]:
        yield f"{role.name!r} is for the schema {named(absent)}, which is in none of its databases"


def _background_warnings(background: dict[str, Background], quarantine: bool) -> Iterator[str]:
    for database, each in background.items():
        for text in each.active:
            yield (
                f"{database}: NOT DISABLED: {text}. It runs as soon as the cluster's parameters let it: disable or "
                "drop it before you change them"
                if quarantine
                else f"{database}: {text} came with the data and may run in the copy"
            )
        yield from (f"{database}: nobody could look at {text}" for text in each.unknown)


def _lock_warnings(background: dict[str, Background], inherited: InheritedLogins) -> Iterator[str]:
    yield from inherited.refused
    locked = set(inherited.locked)
    for database, each in background.items():
        for name in each.runs_as:
            if name in locked:
                yield f"{database}: {name!r} was locked, and jobs or subscriptions run as it: they will fail"


def _described(role: RoleWanted) -> str:
    """For people: the role, what it may do, and where."""
    profile = {"read_only": "read only", "read_write": "read and write", "owner": "owner"}[role.profile]
    places = [
        f"{what} {named([(name,) for name in names])}"
        for what, names in (("databases", role.databases), ("schemas", role.schemas))
        if names is not None
    ]
    return f"{role.name} ({', '.join([profile, *places])})"
