"""The roles of a restored cluster, in every database of it: what ran by itself is quiet, who logs in is known.

Roles belong to the whole cluster, privileges to one database. A run that is repeated finds everything done and changes
nothing. Passwords reach PostgreSQL as SCRAM verifiers only, so that no server log ever shows one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import msgspec
from msgspec import Struct
from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from utils.errors import StepFailed, TemporaryFailure
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.logins.master import MasterLogin
from utils.logins.roles import ApplicationLogins, RoleWanted
from utils.postgres.background import Background, background_work
from utils.postgres.borrowed_owners import borrowed_owners
from utils.postgres.catalog import named
from utils.postgres.databases import (
    ATTEMPTS,
    PAUSE_SECONDS,
    Cluster,
    DatabaseLeftOut,
    databases_to_enter,
    open_cluster,
    owner_of,
)
from utils.postgres.grants import grant_in_database
from utils.postgres.inherited_logins import InheritedLogins, inherited_logins, lock_inherited_logins
from utils.postgres.role_attributes import reset_what_came_along, settings_left_behind
from utils.postgres.session import CONNECT_TIMEOUT_SECONDS, Server, Session, can_log_in

MAX_IN_FAILURE = 5
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
    # Of the warnings those that say that a role or a database isn't as the application needs it.
    unfinished: list[str] = []


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
    open_cluster(server, master)


def check_names(logins: ApplicationLogins, master: str) -> None:
    """The secret may have changed since the first step looked at it: refused before anything is changed."""
    for wrong in logins.wrong(master):
        raise StepFailed(f"The application secret's {wrong}. Correct the secret, start again.")


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
    """The roles exist, can log in with the secret's passwords, and have their privileges wherever that is possible.

    Production's own logins are locked first, and looked for again at the end (`lock`); then what runs by itself is
    disabled (`quarantine`); without them both are only reported. What is wrong with one database or role is reported,
    and the rest is done. Raises StepFailed when no role can log in to any database.

    A locked login doesn't show any more: `on_locked` keeps their names for the next attempt's `locked_before`.
    """
    check_names(logins, master.username)
    cluster = open_cluster(server, master)
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
            left_out[database] = f"{error}" + (" Nobody could look at what runs in it." if quarantine else "")
    made, failed = _made(cluster, roles, warnings)
    admitted: dict[str, list[RoleWanted]] = {}
    for database in background:
        try:
            admitted[database], told = cluster.maintain(partial(_admitted, database=database, roles=made))
            warnings += told
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
    warnings += _settings_left_behind(cluster, made)
    unfinished = [*failed, *closed, *(f"{name}: {why}" for name, why in left_out.items())]
    # What matters most stands first: only so many are handed on.
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


def _locked(cluster: Cluster, roles: list[RoleWanted]) -> list[str]:
    """Lock before anything else is done: nobody of production's looks on or adds to what is about to be looked at."""
    return lock_inherited_logins(cluster, _known(cluster, roles)).locked


def _inherited(cluster: Cluster, roles: list[RoleWanted], locked: list[str], lock: bool) -> InheritedLogins:
    """Look once more at the end, also at those of our own roles that couldn't be made ours."""
    if not lock:
        with cluster.maintenance() as maintenance:
            return inherited_logins(maintenance, _known(cluster, roles))
    last = lock_inherited_logins(cluster, _known(cluster, roles))
    return InheritedLogins(open=last.open, locked=sorted({*locked, *last.locked}), refused=last.refused)


def _settings_left_behind(cluster: Cluster, roles: list[RoleWanted]) -> list[str]:
    try:
        with cluster.maintenance() as maintenance:
            return settings_left_behind(maintenance, _known(cluster, roles))
    except StepFailed as error:
        return [f"nobody could look at the settings of production's logins: {error}"]


def _known(cluster: Cluster, roles: list[RoleWanted]) -> list[str]:
    return [*(role.name for role in roles), cluster.master.username]


def _made(cluster: Cluster, wanted: list[RoleWanted], warnings: list[str]) -> tuple[list[RoleWanted], list[str]]:
    """Return the roles that exist with the secret's passwords, and what is wrong with the others."""
    made, failed = [], []
    for role in wanted:
        try:
            why, told = cluster.maintain(partial(_ensure_role, cluster=cluster, role=role))
            warnings += told
        except DatabaseLeftOut as error:
            why = str(error)
        if why is None:
            made.append(role)
        else:
            failed.append(f"{role.name!r} was not set up: {why}")
    return made, failed


def _ensure_role(maintenance: Session, cluster: Cluster, role: RoleWanted) -> tuple[str | None, list[str]]:
    """Create the role, or take over the one of that name that came with the snapshot, with our password.

    Returns why not, where it can't be, and what the role brought along.
    """
    exists = maintenance.rows(sql.SQL("SELECT 1 FROM pg_roles WHERE rolname = %s"), (role.name,))
    if not exists or not _has_our_password(cluster, role):
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


def _has_our_password(cluster: Cluster, role: RoleWanted) -> bool:
    """Return whether that is certain. An event trigger on login may say whatever it likes, or nothing for ever."""
    try:
        return can_log_in(cluster.server, cluster.maintenance_database, role.name, role.password)
    except TemporaryFailure:
        return False


def _admitted(maintenance: Session, database: str, roles: list[RoleWanted]) -> tuple[list[RoleWanted], list[str]]:
    """Return those of the roles that are for this database and may enter it, and who doesn't."""
    wanting = [role for role in roles if role.wants(database)]
    if not wanting:
        return [], []
    owner = owner_of(maintenance, database)
    grants = [("CONNECT, TEMPORARY", wanting)]
    # Who owns all schemas makes new ones too.
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
    warnings = [f"{database}: its owner {owner!r} doesn't admit {names}"] if outside else []
    return [role for role in wanting if role not in outside], warnings


def _proved(
    cluster: Cluster, roles: list[RoleWanted], admitted: dict[str, list[RoleWanted]]
) -> tuple[list[RoleWanted], list[str]]:
    """Return the roles that can log in where they are admitted, and what is wrong with the others.

    A role for databases that don't exist has nowhere to log in to.
    """
    proved, closed = [], []
    for role in roles:
        places = [database for database, present in admitted.items() if role in present]
        shut = list(_shut(cluster, role, places[:MAX_IN_FAILURE]))
        if len(shut) < len(places[:MAX_IN_FAILURE]) or not places:
            proved.append(role)
            closed += shut
        else:
            closed += shut[:1]  # it is the role's fault then, and no database's
    return proved, closed


def _shut(cluster: Cluster, role: RoleWanted, places: list[str]) -> Iterator[str]:
    """Yield where the role can't log in, until it can: a database's owner may have shut that one alone."""
    for place in places:
        why = _why_no_login(cluster, place, role)
        if why is None:
            return
        yield (
            f"{role.name!r} was set up, but can't log in to {place!r} with the application secret's password{why}. "
            "Look at what came with it: a membership in rds_iam, which takes the password's place, a connection limit, "
            "an event trigger on login, or a setting of the database"
        )


def _why_no_login(cluster: Cluster, database: str, role: RoleWanted) -> str | None:
    """Return None when the role can log in. Raises TemporaryFailure where the server answers nobody."""
    began = time.monotonic()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return None if can_log_in(cluster.server, database, role.name, role.password) else ""
        except TemporaryFailure as error:
            # What a trigger on login says may sound like the server's own words, and it may say nothing for ever.
            if attempt == ATTEMPTS or time.monotonic() - began > CONNECT_TIMEOUT_SECONDS:
                with cluster.maintenance():
                    return f" ({error})"
            time.sleep(PAUSE_SECONDS)
    return None


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
        yield from (f"{database}: {text}" for text in each.reaches)


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
