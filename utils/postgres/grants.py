"""Privileges in one database, on what exists and on what will be created, and the proof of them.

A privilege is granted only where it is missing, and the same reading of the catalog afterwards is the proof. Objects
whose owner cannot be joined are reported, never skipped in silence: a GRANT on them would only warn and do nothing.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterator, Sequence

import msgspec
from msgspec import Struct
from psycopg2 import sql

from utils.logins.roles import RoleWanted
from utils.postgres.borrowed_owners import borrowed_owners
from utils.postgres.catalog import named, owners_here, query, schemas_here
from utils.postgres.default_privileges import grant_on_future_objects
from utils.postgres.event_triggers import refuse_dangerous_triggers
from utils.postgres.missing_privileges import BATCH, PRIVILEGES, Grantable, Lack, grantable_here, lacks_here
from utils.postgres.not_given import not_given
from utils.postgres.ownership import take_ownership
from utils.postgres.session import HELD, PINNED, Session, SqlRefused

# How long a grant waits for another transaction, where work continues without it, and how long all of them together.
HELD_MS, HELD_SECONDS = 300, 120
# The last one names what has failed.
_PARTS = (BATCH, 30, 1)
_LOCK_TIMEOUT = sql.SQL("SET LOCAL lock_timeout = {}")


class Granted(Struct, frozen=True, kw_only=True):
    """The schemas of this database, and what the roles lack in it, or have too much of, and why."""

    schemas: set[str]
    warnings: list[str]


def grant_in_database(opened: Session, roles: list[RoleWanted]) -> Granted:
    """Give the roles their privileges in this database. Raises SqlRefused where a grant has no effect."""
    refuse_dangerous_triggers(opened)
    new_owners = [role for role in roles if role.profile == "owner"]
    owners = owners_here(opened) | {role.name for role in new_owners}
    schemas = schemas_here(opened)
    with borrowed_owners(opened, owners) as unreachable:
        warnings = [warning for role in new_owners for warning in take_ownership(opened, role)]
        grant(opened, grantable_here(opened, roles))
        lacks = lacks_here(opened, roles)
        _prove(lacks)
        grant_on_future_objects(opened, owners - unreachable, roles, schemas)
        warnings += [*_unreached(lacks), *_left_closed(opened, roles), *_too_much(opened, roles)]
        warnings += not_given(opened, roles)
        return Granted(schemas=schemas, warnings=warnings)


def grant(opened: Session, lacking: list[Grantable]) -> None:
    """Grant with one statement for many objects and all roles that lack the same on them."""
    for each in lacking:
        opened.run(_granting(each))


def grant_unless_held(opened: Session, roles: list[RoleWanted], but: Container[str] = ()) -> list[str]:
    """Grant, and return what another transaction holds, in PostgreSQL's quoting.

    One such table fails the statement for a thousand others, so what has failed is granted in smaller parts. Nothing is
    granted on the kinds of `but`.
    """
    until = time.monotonic() + HELD_SECONDS
    failed: list[str] = []
    opened.run(_LOCK_TIMEOUT.format(sql.Literal(HELD_MS)))
    for size in _PARTS:
        failed = [
            each.objects
            for each in grantable_here(opened, roles, size)
            if each.kind not in but and (time.monotonic() > until or _is_held(opened, each))
        ]
        if not failed:
            break
    opened.run(_LOCK_TIMEOUT.format(sql.Literal(PINNED["lock_timeout"])))
    return failed


def _is_held(opened: Session, each: Grantable) -> bool:
    """Grant, and return whether another transaction holds any of it. Raises SqlRefused for every other refusal."""
    why = opened.why_not(_granting(each), waiting=False)
    if why not in (None, HELD):
        raise SqlRefused("PostgreSQL refused a grant. Check for event triggers that forbid it.")
    return why is not None


def _granting(each: Grantable) -> sql.Composed:
    return sql.SQL("GRANT {} ON {} {} TO {}").format(
        sql.SQL(PRIVILEGES[each.profile][each.kind]),
        sql.SQL("TABLE" if each.kind == "FOREIGN" else each.kind),
        # PostgreSQL itself wrote the names, quoted where that is needed.
        sql.SQL(each.objects),
        sql.SQL(", ").join(map(sql.Identifier, each.roles)),
    )


def _prove(lacks: list[Lack]) -> None:
    """Raise SqlRefused where a privilege that was granted is still missing."""
    failed = [lack for lack in lacks if lack.reachable]
    if failed:
        roles = ", ".join(repr(role) for role in sorted({lack.role for lack in failed})[:5])
        raise SqlRefused(
            f"Privileges on {named(_names(failed))} were granted to {roles}, but are still missing. "
            "Check for event triggers that undo grants."
        )


def _unreached(lacks: list[Lack]) -> Iterator[str]:
    for owner in sorted({lack.owner for lack in lacks if not lack.reachable}):
        theirs = [lack for lack in lacks if lack.owner == owner and not lack.reachable]
        # The objects say more than the schema around them.
        inside = [lack for lack in theirs if lack.kind != "SCHEMA"] or theirs
        yield f"no privileges on {named(_names(inside))}: the master user cannot act for their owner {owner!r}"


def _names(lacks: list[Lack]) -> list[tuple[str, ...]]:
    return sorted({tuple(filter(None, (lack.schema, lack.name))) for lack in lacks})


def _left_closed(opened: Session, roles: list[RoleWanted]) -> Iterator[str]:
    closed = opened.rows(
        query(
            "SELECT role, signature FROM ({routines}) r"
            " JOIN jsonb_to_recordset(%(wanted)s) AS w(role text, named text[])"
            " ON named IS NULL OR nspname = ANY(named)"
            " WHERE prosecdef AND NOT has_function_privilege(role, oid, 'EXECUTE') ORDER BY 1, 2"
        ),
        _scopes(role for role in roles if "ROUTINE" in PRIVILEGES[role.profile]),
    )
    for role, names in _by_role(closed):
        yield f"{role!r} may not execute {named(names)}: SECURITY DEFINER and closed to PUBLIC"


def _too_much(opened: Session, roles: list[RoleWanted]) -> Iterator[str]:
    """Yield privileges beyond the profiles, which came with the data."""
    readers = _scopes(role for role in roles if role.profile == "read_only")
    writable = opened.rows(
        query(
            "SELECT role, nspname, relname FROM ({relations}) o"
            " JOIN jsonb_to_recordset(%(wanted)s) AS w(role text, named text[]) ON true WHERE relkind <> 'S'"
            " AND has_table_privilege(role, oid, 'INSERT, UPDATE, DELETE, TRUNCATE') ORDER BY 1, 2, 3"
        ),
        readers,
    )
    for role, names in _by_role(writable):
        yield f"{role!r} can write to {named(names)}, through PUBLIC or a role it belongs to"
    creatable = opened.rows(
        query(
            "SELECT role, nspname FROM ({schemas}) s JOIN jsonb_to_recordset(%(wanted)s) AS w(role text) ON true"
            " WHERE has_schema_privilege(role, oid, 'CREATE') ORDER BY 1, 2"
        ),
        readers,
    )
    for role, names in _by_role(creatable):
        yield f"{role!r} can create objects in {named(names)}, through PUBLIC or a role it belongs to"
    for (role,) in opened.rows(
        sql.SQL(
            "SELECT role FROM jsonb_to_recordset(%(wanted)s) AS w(role text)"
            " WHERE has_database_privilege(role, current_database(), 'CREATE') ORDER BY 1"
        ),
        readers,
    ):
        yield f"{role!r} can create schemas in the database, through PUBLIC or a role it belongs to"
    later = opened.rows(
        sql.SQL(
            "SELECT DISTINCT role, pg_get_userbyid(defaclrole)"
            " FROM pg_default_acl d CROSS JOIN aclexplode(defaclacl) a"
            " JOIN jsonb_to_recordset(%(wanted)s) AS w(role text)"
            " ON a.grantee = 0 OR pg_has_role(role, a.grantee, 'USAGE')"
            " WHERE defaclobjtype = 'r' AND privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE') ORDER BY 1, 2"
        ),
        readers,
    )
    for role, names in _by_role(later):
        yield f"{role!r} will be able to write to tables that {named(names)} creates later, by default privileges"
    beyond = opened.rows(
        query(
            "SELECT role, nspname, relname FROM ({relations}) o"
            " JOIN jsonb_to_recordset(%(wanted)s) AS w(role text, named text[]) ON nspname <> ALL(named)"
            " WHERE relkind <> 'S' AND has_schema_privilege(role, schema_oid, 'USAGE')"
            " AND has_table_privilege(role, oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE') ORDER BY 1, 2, 3"
        ),
        _scopes(role for role in roles if role.schemas is not None),
    )
    for role, names in _by_role(beyond):
        yield f"{role!r} reaches {named(names)} outside its schemas, through PUBLIC or a role it belongs to"
    secured = opened.rows(query("SELECT nspname, relname FROM ({relations}) o WHERE relrowsecurity ORDER BY 1, 2"))
    if secured:
        yield f"row security limits what the roles see in {named(secured)}"


def _scopes(roles: Iterator[RoleWanted]) -> dict[str, str]:
    scopes = [{"role": role.name, "named": role.schemas} for role in roles]
    return {"wanted": msgspec.json.encode(scopes).decode()}


def _by_role(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, list[tuple[str, ...]]]]:
    found: dict[str, list[tuple[str, ...]]] = {}
    for role, *names in rows:
        found.setdefault(role, []).append(tuple(names))
    return list(found.items())
