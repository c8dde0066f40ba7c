"""The roles of a restored cluster in all its databases: background work is disabled, and every login is known.

Roles belong to the whole cluster, privileges to one database. A repeated step finds everything done and changes
nothing. Passwords reach PostgreSQL as SCRAM verifiers only, so that no server log ever shows one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from msgspec import Struct
from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from utils.errors import StepFailed, TemporaryFailure
from utils.logins.master import MasterLogin
from utils.logins.roles import ApplicationLogins, RoleWanted
from utils.postgres.background import Background, background_work
from utils.postgres.borrowed_owners import borrowed_owners
from utils.postgres.catalog import named
from utils.postgres.databases import (
    ATTEMPTS,
    PAUSE_SECONDS,
    DatabaseCluster,
    DatabaseLeftOut,
    databases_to_enter,
    enter_cluster,
    owner_of,
)
from utils.postgres.grants import grant_in_database
from utils.postgres.inherited_logins import InheritedLogins, inherited_logins, lock_inherited_logins
from utils.postgres.role_attributes import reset_what_came_along, settings_left_behind
from utils.postgres.session import CONNECT_TIMEOUT_SECONDS, Server, Session, can_log_in
from utils.postgres.tle_hooks import refuse_tle_hooks

MAX_IN_FAILURE = 5


class RolesReport(Struct, frozen=True, kw_only=True):
    """Who can log in where, what was locked and disabled, and what is wrong."""

    databases: list[str]
    roles: list[str] = []
    inherited_logins: list[str]
    locked_logins: list[str] = []
    disabled: list[str] = []
    warnings: list[str]
    # Of the warnings those that report a role or a database that is not as the application needs it.
    unfinished: list[str] = []


def prove_login(server: Server, master: MasterLogin) -> None:
    """Prove that the master's new password opens the cluster. Raises TemporaryFailure until it does."""
    enter_cluster(server, master)


def check_names(logins: ApplicationLogins, master: str) -> None:
    """Refuse names that are not valid, before anything is changed: the secret may have changed since the first step."""
    if wrong := list(logins.wrong(master)):
        raise StepFailed(
            f"The application secret is not valid: {'; '.join(wrong)}. Correct it, then resume this operation."
        )


def set_up_roles(
    server: Server,
    master: MasterLogin,
    logins: ApplicationLogins,
    *,
    lock: bool = False,
    quarantine: bool = False,
    locked_before: Sequence[str] = (),
    on_locked: Callable[[list[str]], None] = lambda names: None,
) -> RolesReport:
    """Set up the roles, with the secret's passwords and their privileges wherever that is possible.

    Production's own logins are locked first, and looked for again at the end (`lock`); then background work is disabled
    (`quarantine`); without these options both are only reported. What is wrong with one database or role is reported,
    and the rest is done. Raises StepFailed where no role can log in to any database.

    A locked login cannot be found later: `on_locked` keeps their names for the next attempt's `locked_before`.
    """
    check_names(logins, master.username)
    cluster = enter_cluster(server, master)
    roles = logins.everyone()
    with cluster.maintenance() as maintenance:
        entered, left_out, warnings = databases_to_enter(cluster, maintenance)
    locked = sorted({*locked_before, *(_locked(cluster, roles) if lock else [])})
    if locked:
        on_locked(locked)
    background: dict[str, Background] = {}
    for database in entered:
        try:
            background[database] = cluster.within(database, partial(background_work, quarantine=quarantine))
        except DatabaseLeftOut as error:
            left_out[database] = f"{error}" + (" Its background work could not be checked." if quarantine else "")
    made, failed = _made(cluster, roles, warnings)
    admitted: dict[str, list[RoleWanted]] = {}
    for database in background:
        try:
            admitted[database], found = cluster.maintain(partial(_admitted, database=database, roles=made))
            warnings += found
        except DatabaseLeftOut as error:
            left_out[database] = str(error)
    schemas: dict[str, set[str]] = {}
    for database, present in admitted.items():
        try:
            granted = cluster.within(database, partial(grant_in_database, roles=present))
        except DatabaseLeftOut as error:
            left_out[database] = str(error)
        else:
            schemas[database] = granted.schemas
            warnings += [f"{database}: {warning}" for warning in granted.warnings]
    admitted = {database: present for database, present in admitted.items() if database in schemas}
    roles, closed = _proved(cluster, made, admitted)
    inherited = _inherited(cluster, made, locked, lock)
    if inherited.locked != locked:
        on_locked(inherited.locked)
    warnings += _settings_left_behind(cluster, made)
    unfinished = [*failed, *closed, *(f"{name}: {why}" for name, why in left_out.items())]
    # What matters most comes first: only so many are passed on.
    warnings = [
        *unfinished,
        *_lock_warnings(background, inherited),
        *_background_warnings(background, quarantine),
        *warnings,
        *(each for role in roles for each in _missing_places(role, schemas)),
    ]
    if not any(admitted.values()) or not roles:
        raise StepFailed(
            "The master user and the application's roles can connect to no database of the restored cluster. Check its "
            f"roles, and who owns its databases: {'; '.join(warnings[:MAX_IN_FAILURE])}"
        )
    return RolesReport(
        databases=[database for database, present in admitted.items() if present],
        roles=[_described(role) for role in roles],
        inherited_logins=inherited.open,
        locked_logins=inherited.locked,
        disabled=[f"{database}: {text}" for database, each in background.items() for text in each.disabled],
        warnings=warnings,
        unfinished=unfinished,
    )


def _locked(cluster: DatabaseCluster, roles: list[RoleWanted]) -> list[str]:
    """Lock production's logins before anything else: none of them then adds to what is going to be checked."""
    return lock_inherited_logins(cluster, _known(cluster, roles)).locked


def _inherited(cluster: DatabaseCluster, roles: list[RoleWanted], locked: list[str], lock: bool) -> InheritedLogins:
    """Look for logins again at the end, also for our own roles that could not be taken over."""
    if not lock:
        with cluster.maintenance() as maintenance:
            return inherited_logins(maintenance, _known(cluster, roles))
    last = lock_inherited_logins(cluster, _known(cluster, roles))
    return InheritedLogins(open=last.open, locked=sorted({*locked, *last.locked}), refused=last.refused)


def _settings_left_behind(cluster: DatabaseCluster, roles: list[RoleWanted]) -> list[str]:
    try:
        with cluster.maintenance() as maintenance:
            return settings_left_behind(maintenance, _known(cluster, roles))
    except StepFailed as error:
        return [f"the settings of production's logins could not be checked: {error}"]


def _known(cluster: DatabaseCluster, roles: list[RoleWanted]) -> list[str]:
    return [*(role.name for role in roles), cluster.master.username]


def _made(
    cluster: DatabaseCluster, wanted: list[RoleWanted], warnings: list[str]
) -> tuple[list[RoleWanted], list[str]]:
    """Return the roles that exist with the secret's passwords, and what is wrong with the others."""
    made, failed = [], []
    for role in wanted:
        try:
            why, found = cluster.maintain(partial(_ensure_role, cluster=cluster, role=role))
            warnings += found
        except DatabaseLeftOut as error:
            why = str(error)
        if why is None:
            made.append(role)
        else:
            failed.append(f"{role.name!r} was not set up: {why}")
    return made, failed


def _ensure_role(maintenance: Session, cluster: DatabaseCluster, role: RoleWanted) -> tuple[str | None, list[str]]:
    """Create the role, or take over the one of that name that came with the snapshot, with our password.

    Returns why that is not possible, or None, and what the role brought along.
    """
    exists = maintenance.rows(sql.SQL("SELECT 1 FROM pg_roles WHERE rolname = %s"), (role.name,))
    if not exists or not _has_our_password(cluster, role):
        refuse_tle_hooks(maintenance)
        verifier = encrypt_password(role.password, role.name, scope=maintenance.connection, algorithm="scram-sha-256")
        why = maintenance.why_not(
            sql.SQL("{verb} ROLE {name} LOGIN PASSWORD {verifier} VALID UNTIL 'infinity'").format(
                verb=sql.SQL("ALTER" if exists else "CREATE"),
                name=sql.Identifier(role.name),
                verifier=sql.Literal(verifier),
            )
        )
        if why is not None:
            return f"the master user may not {'alter' if exists else 'create'} it ({why})", []
    return None, list(reset_what_came_along(maintenance, role)) if exists else []


def _has_our_password(cluster: DatabaseCluster, role: RoleWanted) -> bool:
    """Return whether that is certain: an event trigger on login may answer anything, or never."""
    try:
        return can_log_in(cluster.server, cluster.maintenance_database, role.name, role.password)
    except TemporaryFailure:
        return False


def _admitted(maintenance: Session, database: str, roles: list[RoleWanted]) -> tuple[list[RoleWanted], list[str]]:
    """Return those of the roles that are for this database and may enter it, and warnings on the others."""
    wanting = [role for role in roles if role.includes(database)]
    if not wanting:
        return [], []
    owner = owner_of(maintenance, database)
    grants = [("CONNECT, TEMPORARY", wanting)]
    # The owner of all schemas creates new ones too.
    grants += [("CREATE", [role for role in wanting if role.profile == "owner" and role.schemas is None])]
    with borrowed_owners(maintenance, [owner] if owner else []):
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
    names = named([(repr(role.name),) for role in outside])
    warnings = [f"{database}: its owner {owner!r} does not admit {names}"] if outside else []
    return [role for role in wanting if role not in outside], warnings


def _proved(
    cluster: DatabaseCluster, roles: list[RoleWanted], admitted: dict[str, list[RoleWanted]]
) -> tuple[list[RoleWanted], list[str]]:
    """Return the roles that can log in where they are admitted, and what is wrong with the others.

    A role for databases that do not exist has nowhere to log in to.
    """
    proved, closed = [], []
    for role in roles:
        places = [database for database, present in admitted.items() if role in present]
        shut = list(_shut(cluster, role, places[:MAX_IN_FAILURE]))
        if len(shut) < len(places[:MAX_IN_FAILURE]) or not places:
            proved.append(role)
            closed += shut
        else:
            closed += shut[:1]  # the cause is the role then, and no database
    return proved, closed


def _shut(cluster: DatabaseCluster, role: RoleWanted, places: list[str]) -> Iterator[str]:
    """Yield where the role cannot log in, until it can: a database's owner may have closed that one alone."""
    for place in places:
        why = _why_no_login(cluster, place, role)
        if why is None:
            return
        yield (
            f"{role.name!r} was set up, but cannot log in to {place!r} with the application secret's password{why}. "
            "Check what came with it: a membership in rds_iam, which replaces the password, a connection limit, an "
            "event trigger on login, or a setting of the database"
        )


def _why_no_login(cluster: DatabaseCluster, database: str, role: RoleWanted) -> str | None:
    """Return None where the role can log in. Raises TemporaryFailure where the server does not answer at all."""
    began = time.monotonic()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return None if can_log_in(cluster.server, database, role.name, role.password) else ""
        except TemporaryFailure as error:
            # A trigger on login may imitate the server's own words, and it may never answer.
            if attempt == ATTEMPTS or time.monotonic() - began > CONNECT_TIMEOUT_SECONDS:
                with cluster.maintenance():
                    return f" ({error})"
            time.sleep(PAUSE_SECONDS)
    return None


def _missing_places(role: RoleWanted, schemas: dict[str, set[str]]) -> Iterator[str]:
    """Yield the databases and schemas that the snapshot lacks: the secret outlives many snapshots."""
    if absent := [(database,) for database in role.databases or [] if database not in schemas]:
        yield f"{role.name!r} is for the database {named(absent)}, which is not in the cluster or cannot be entered"
    everywhere = set().union(*(found for database, found in schemas.items() if role.includes(database)))
    if absent := [(schema,) for schema in role.schemas or [] if schema not in everywhere]:
        yield f"{role.name!r} is for the schema {named(absent)}, which is in none of its databases"


def _background_warnings(background: dict[str, Background], quarantine: bool) -> Iterator[str]:
    for database, each in background.items():
        for text in each.active:
            yield (
                f"{database}: NOT DISABLED: {text}. It runs as soon as the cluster's parameters allow it: disable or "
                "drop it before you change them"
                if quarantine
                else f"{database}: {text} came with the data and may run in the restored cluster"
            )
        yield from (f"{database}: could not be checked: {text}" for text in each.unknown)
        yield from (f"{database}: {text}" for text in each.reaches)


def _lock_warnings(background: dict[str, Background], inherited: InheritedLogins) -> Iterator[str]:
    yield from inherited.refused
    locked = set(inherited.locked)
    for database, each in background.items():
        for name in each.runs_as:
            if name in locked:
                yield f"{database}: {name!r} was locked, and jobs or subscriptions run as it: they will fail"


def _described(role: RoleWanted) -> str:
    """Return the role, what it may do, and where, as people read it."""
    profile = {"read_only": "read only", "read_write": "read and write", "owner": "owner"}[role.profile]
    places = [
        f"{what} {named([(name,) for name in names])}"
        for what, names in (("databases", role.databases), ("schemas", role.schemas))
        if names is not None
    ]
    return f"{role.name} ({', '.join([profile, *places])})"
