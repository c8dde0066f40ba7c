"""An application role that came with the data: what it brought along, and what of that is removed.

The roles of the application secret belong to the pipeline, so what contradicts their profile is reset: attributes, the
settings that decide as whom they work and whether they may write, and memberships in the system's roles (of a read-only
role, in any). The application may rely on everything else, which is reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from psycopg2 import sql

from utils.logins.roles import RoleWanted
from utils.postgres.catalog import AWS_ROLES, is_systems, named
from utils.postgres.session import Session

GRANTED_BY_OTHERS_FROM = 160000
MAX_VALUE = 200
MAX_ROLES = 5
# Column of pg_roles, what it means, and how it is taken away. Each on its own: naming one that the master user may not
# change is an error even where nothing changes.
_ATTRIBUTES = (
    (sql.SQL("rolsuper"), "SUPERUSER", sql.SQL("NOSUPERUSER")),
    (sql.SQL("rolcreaterole"), "CREATEROLE", sql.SQL("NOCREATEROLE")),
    (sql.SQL("rolcreatedb"), "CREATEDB", sql.SQL("NOCREATEDB")),
    (sql.SQL("rolreplication"), "REPLICATION", sql.SQL("NOREPLICATION")),
    (sql.SQL("rolbypassrls"), "BYPASSRLS", sql.SQL("NOBYPASSRLS")),
    (sql.SQL("rolconnlimit = 0"), "CONNECTION LIMIT 0", sql.SQL("CONNECTION LIMIT -1")),
)
_RESET = ("role", "session_authorization", "session_replication_role")
# A read-only role may keep these: they promise what its profile does.
_RESET_FOR_WRITERS = ("default_transaction_read_only", "transaction_read_only")


def reset_what_came_along(maintenance: Session, role: RoleWanted) -> Iterator[str]:
    """Remove what contradicts the role's profile. Yields what it brought along, and what became of that."""
    yield from _attributes(maintenance, role.name)
    yield from _settings(maintenance, role)
    yield from _memberships(maintenance, role)
    yield from _members(maintenance, role.name)


def _attributes(maintenance: Session, role: str) -> Iterator[str]:
    columns = sql.SQL(", ").join(column for column, _, _ in _ATTRIBUTES)
    (found,) = maintenance.rows(sql.SQL("SELECT {} FROM pg_roles WHERE rolname = %s").format(columns), (role,))
    taken: list[tuple[str]] = []
    kept: list[tuple[str]] = []
    for has, (_, attribute, without) in zip(found, _ATTRIBUTES, strict=True):
        if has:
            why = maintenance.why_not(sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(role), without))
            (kept if why else taken).append((f"{attribute} ({why})" if why else attribute,))
    if taken:
        yield f"{role!r} came with {named(taken)}, which was removed"
    if kept:
        yield f"{role!r} came with {named(kept)}, which the master user cannot remove"


def _settings(maintenance: Session, role: RoleWanted) -> Iterator[str]:
    found = maintenance.rows(
        sql.SQL(
            "SELECT coalesce(d.datname, ''), split_part(setting, '=', 1) FROM pg_db_role_setting s"
            " JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase,"
            " unnest(s.setconfig) AS setting WHERE r.rolname = %s ORDER BY 1, 2"
        ),
        (role.name,),
    )
    wrong = _RESET if role.profile == "read_only" else (*_RESET, *_RESET_FOR_WRITERS)
    reset: list[tuple[str]] = []
    kept: list[tuple[str]] = []
    for database, setting in found:
        shown = f"{setting} in {database}" if database else setting
        why = _reset(maintenance, role.name, database, setting) if setting in wrong else ""
        (reset if why is None else kept).append((f"{shown} ({why})" if why else shown,))
    if reset:
        yield f"{role.name!r} came with settings of its own that were reset: {named(reset)}"
    if kept:
        yield f"{role.name!r} came with settings of its own and keeps them: {named(kept)}"


def _reset(maintenance: Session, role: str, database: str, setting: str) -> str | None:
    within = sql.SQL(" IN DATABASE {}").format(sql.Identifier(database)) if database else sql.SQL("")
    return maintenance.why_not(
        sql.SQL("ALTER ROLE {}{} RESET {}").format(sql.Identifier(role), within, sql.Identifier(setting))
    )


def _memberships(maintenance: Session, role: RoleWanted) -> Iterator[str]:
    for group, grantor, through in _groups(maintenance, role.name):
        if role.profile == "read_only" or is_systems(group) or group == maintenance.user or through:
            by: sql.Composable = sql.SQL("")
            if maintenance.version >= GRANTED_BY_OTHERS_FROM:
                by = sql.SQL(" GRANTED BY {}").format(sql.Identifier(grantor))
            maintenance.try_run(
                sql.SQL("REVOKE {} FROM {}{}").format(sql.Identifier(group), sql.Identifier(role.name), by)
            )
            own = is_systems(group) or group == maintenance.user or not through
            whose = repr(group) if own else f"{group!r} and through it {through!r}"
            if (group, grantor, through) in _groups(maintenance, role.name):
                yield f"{role.name!r} belongs to {whose}, with all its rights, and the master user cannot end that"
            else:
                yield f"{role.name!r} came as a member of {whose}, which was ended"
        else:
            yield f"{role.name!r} belongs to {group!r}, with all its rights, as in production"


def _groups(maintenance: Session, role: str) -> list[tuple[Any, ...]]:
    """Return the groups of the role, who granted each, and one of the system's roles, or the master, beyond it.

    A member of a role that is a member of another may become that one as well (PostgreSQL's documentation, "Role
    Membership").
    """
    return maintenance.rows(
        sql.SQL(
            "SELECT pg_get_userbyid(roleid), pg_get_userbyid(grantor), ("
            "  SELECT min(rolname) FROM pg_roles s WHERE s.oid <> m.roleid AND rolname <> 'pg_database_owner'"
            "     AND (rolname = ANY(%(aws)s) OR rolname ~ '^pg_' OR rolname = current_user)"
            "     AND pg_has_role(m.roleid, s.oid, 'MEMBER'))"
            " FROM pg_auth_members m WHERE member = (SELECT oid FROM pg_roles WHERE rolname = %(role)s) ORDER BY 1, 2"
        ),
        {"role": role, "aws": list(AWS_ROLES)},
    )


def _members(maintenance: Session, role: str) -> Iterator[str]:
    """Yield who may act as the role, or set its password. The master user may, for every role that it creates."""
    found = maintenance.rows(
        sql.SQL(
            "SELECT DISTINCT m.rolname FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member"
            " WHERE a.roleid = (SELECT oid FROM pg_roles WHERE rolname = %(role)s)"
            " AND NOT m.rolsuper AND m.rolname <> current_user AND m.rolname <> ALL(%(aws)s) ORDER BY 1"
        ),
        {"role": role, "aws": list(AWS_ROLES)},
    )
    if found:
        yield f"other roles can act as {role!r}, as in production: {named([(repr(name),) for (name,) in found])}"


def settings_left_behind(maintenance: Session, known: list[str]) -> list[str]:
    """Return the settings of production's own logins (`ALTER ROLE ... SET`), which the pipeline's roles lack.

    Mostly it is a search path, without which an application does not find its tables.
    """
    found = maintenance.rows(
        sql.SQL(
            "SELECT r.rolname, coalesce(d.datname, ''), setting FROM pg_db_role_setting s"
            " JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase,"
            " unnest(s.setconfig) AS setting WHERE r.rolname <> ALL(%s) AND NOT r.rolsuper AND r.rolname !~ '^pg_'"
            " ORDER BY 1, 2, 3"
        ),
        ([*known, *AWS_ROLES],),
    )
    theirs: dict[str, list[tuple[str, ...]]] = {}
    for role, database, setting in found:
        name, _, value = setting.partition("=")
        shown = f"{name} = {value[:MAX_VALUE]!r}" if name == "search_path" else name
        theirs.setdefault(role, []).append((f"{shown} in {database}" if database else shown,))
    shown_roles = [
        f"{role!r} has settings of its own in production, which the new roles lack: {named(settings)}"
        for role, settings in list(theirs.items())[:MAX_ROLES]
    ]
    more = len(theirs) - len(shown_roles)
    return [*shown_roles, *([f"{more} more logins of production's have settings of their own"] if more else [])]
