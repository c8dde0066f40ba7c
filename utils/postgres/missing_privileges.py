"""The privileges of each profile, and which roles lack some of them: one reading of the catalog for all."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct
from psycopg2 import sql

from utils.logins.roles import Profile, RoleWanted
from utils.postgres.catalog import query
from utils.postgres.session import Session

# By profile and kind of object. A kind that is not named gets nothing: a reader executes what PUBLIC may. A foreign
# table's data is elsewhere, mostly in production, and production's user mappings came along: nobody writes there.
PRIVILEGES: dict[Profile, dict[str, str]] = {
    "read_only": {"SCHEMA": "USAGE", "TABLE": "SELECT", "FOREIGN": "SELECT", "SEQUENCE": "SELECT"},
    "read_write": {
        "SCHEMA": "USAGE",
        "TABLE": "SELECT, INSERT, UPDATE, DELETE",
        "FOREIGN": "SELECT",
        "SEQUENCE": "USAGE, SELECT, UPDATE",
        "ROUTINE": "EXECUTE",
    },
    "owner": {
        "SCHEMA": "USAGE, CREATE",
        "TABLE": "SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER",
        "FOREIGN": "SELECT",
        "SEQUENCE": "USAGE, SELECT, UPDATE",
        "ROUTINE": "EXECUTE",
    },
}
BATCH = 1000
_ASKING = {
    "SCHEMA": "has_schema_privilege",
    "TABLE": "has_table_privilege",
    "FOREIGN": "has_table_privilege",
    "SEQUENCE": "has_sequence_privilege",
    "ROUTINE": "has_function_privilege",
}


class Lack(Struct, frozen=True, kw_only=True):
    """An object on which a role lacks privileges of its profile. `name` is None for a schema or a routine."""

    kind: str
    schema: str
    name: str | None
    owner: str
    reachable: bool
    profile: Profile
    role: str


class Grantable(Struct, frozen=True, kw_only=True):
    """Up to so many objects on which the same roles lack something of their profile, in PostgreSQL's own quoting."""

    kind: str
    profile: Profile
    roles: list[str]
    objects: str


# One row for each object and role. CASE keeps the planner from asking has_sequence_privilege about a table, which is an
# error. A SECURITY DEFINER routine that is closed to PUBLIC was closed on purpose.
_FOUND = """
    SELECT 'SCHEMA' AS kind, nspname AS schema, NULL AS name, format('%%I', nspname) AS quoted,
           owner, reachable, profile, role
      FROM ({schemas}) o JOIN wanted ON named IS NULL OR nspname = ANY(named) WHERE NOT {has_schema}
    UNION ALL
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN' ELSE 'TABLE' END, nspname, relname,
           format('%%I.%%I', nspname, relname), owner, reachable, profile, role
      FROM ({relations}) o JOIN wanted ON named IS NULL OR nspname = ANY(named)
     WHERE NOT CASE relkind WHEN 'S' THEN {has_sequence} WHEN 'f' THEN {has_foreign} ELSE {has_table} END
    UNION ALL
    SELECT 'ROUTINE', signature, NULL, signature, owner, reachable, profile, role
      FROM ({routines}) o JOIN wanted ON named IS NULL OR nspname = ANY(named)
     WHERE NOT prosecdef AND NOT {has_routine}
"""


def lacks_here(opened: Session, roles: Iterable[RoleWanted]) -> list[Lack]:
    """Return every privilege that a role lacks in this database; empty where all is done."""
    found = opened.rows(
        _lacking("SELECT kind, schema, name, owner, reachable, profile, role FROM found"), _wanted(roles)
    )
    return [
        Lack(kind=kind, schema=schema, name=name, owner=owner, reachable=reachable, profile=profile, role=role)
        for kind, schema, name, owner, reachable, profile, role in found
    ]


def grantable_here(opened: Session, roles: Iterable[RoleWanted], batch: int = BATCH) -> list[Grantable]:
    """Return what can be granted, put together by the server: ten thousand tables are a few long texts."""
    found = opened.rows(
        _lacking(
            "SELECT kind, profile, roles, string_agg(quoted, ', ') FROM ("
            " SELECT *, row_number() OVER (PARTITION BY kind, profile, roles) / %(batch)s AS batch FROM ("
            "  SELECT kind, profile, quoted, array_agg(role ORDER BY role) AS roles FROM found WHERE reachable"
            "  GROUP BY kind, profile, quoted) each) numbered"
            " GROUP BY kind, profile, roles, batch"
        ),
        _wanted(roles) | {"batch": batch},
    )
    return [
        Grantable(kind=kind, profile=profile, roles=grantees, objects=objects)
        for kind, profile, grantees, objects in found
    ]


def _wanted(roles: Iterable[RoleWanted]) -> dict[str, object]:
    return {"wanted": msgspec.json.encode([_as_wanted(role) for role in roles]).decode()}


def _as_wanted(role: RoleWanted) -> dict[str, object]:
    return {"name": role.name, "profile": role.profile, "named": role.schemas}


def _lacking(text: str) -> sql.Composed:
    wanted = sql.SQL(
        "WITH wanted AS MATERIALIZED (SELECT r.oid AS role_oid, name AS role, profile, named"
        " FROM jsonb_to_recordset(%(wanted)s) AS w(name text, profile text, named text[])"
        " JOIN pg_roles r ON r.rolname = name), found AS ({}) "
    )
    asked = {f"has_{kind.lower()}": _has_all(kind) for kind in _ASKING}
    return wanted.format(query(_FOUND, **asked)) + sql.SQL(text)


def _has_all(kind: str) -> sql.Composable:
    """Compose a check of all privileges: PostgreSQL takes a list of them as any of them."""
    cases = [
        sql.SQL("WHEN {} THEN {}").format(
            sql.Literal(profile),
            sql.SQL(" AND ").join(
                sql.SQL("{}(role_oid, o.oid, {})").format(sql.SQL(_ASKING[kind]), sql.Literal(privilege))
                for privilege in given.get(kind, "").split(", ")
                if privilege
            )
            if kind in given
            else sql.SQL("true"),
        )
        for profile, given in PRIVILEGES.items()
    ]
    return sql.SQL("CASE profile {} END").format(sql.SQL(" ").join(cases))
