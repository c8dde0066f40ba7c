"""Default privileges: without them, nobody else may use what a role creates later.

They apply to the objects of one owner each, so they are set for every role that owns anything here; only where they are
missing, so that a repeated step changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from psycopg2 import sql

from utils.logins.roles import RoleWanted
from utils.postgres.missing_privileges import PRIVILEGES
from utils.postgres.session import Session

_TYPES = {"SCHEMA": ("n", "SCHEMAS"), "TABLE": ("r", "TABLES"), "SEQUENCE": ("S", "SEQUENCES")}
# Owner, kind of object, privileges, grantee, and the schema it is for (empty: all of them).
Missing = tuple[str, str, str, str, str]


def grant_on_future_objects(opened: Session, owners: Iterable[str], roles: list[RoleWanted], schemas: set[str]) -> None:
    """Set default privileges for `owners`, for whom we can act, in the `schemas` of this database."""
    grouped: dict[tuple[str, str, tuple[str, ...], str], list[str]] = {}
    for (owner, kind, privileges, schema), grantees in _grantees(opened, owners, roles, schemas).items():
        grouped.setdefault((kind, privileges, grantees, schema), []).append(owner)
    for (kind, privileges, grantees, schema), for_owners in grouped.items():
        opened.run(
            sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {}{} GRANT {} ON {} TO {}").format(
                _listed(for_owners),
                sql.SQL(" IN SCHEMA {}").format(sql.Identifier(schema)) if schema else sql.SQL(""),
                sql.SQL(privileges),
                sql.SQL(_TYPES[kind][1]),
                _listed(grantees),
            )
        )


def _grantees(
    opened: Session, owners: Iterable[str], roles: list[RoleWanted], schemas: set[str]
) -> dict[tuple[str, str, str, str], tuple[str, ...]]:
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for owner, kind, privileges, grantee, schema in _missing(_existing(opened), sorted(owners), roles, schemas):
        found.setdefault((owner, kind, privileges, schema), []).append(grantee)
    return {key: tuple(grantees) for key, grantees in found.items()}


def _missing(
    existing: set[tuple[str, str, str, str, str]], owners: list[str], roles: list[RoleWanted], schemas: set[str]
) -> Iterator[Missing]:
    for role in roles:
        given = PRIVILEGES[role.profile]
        places = [""] if role.schemas is None else sorted(schemas.intersection(role.schemas))
        for kind, (letter, _) in _TYPES.items():
            # Schemas are in no schema: a role for some of them gets no later one.
            for place in places if kind != "SCHEMA" or role.schemas is None else []:
                for owner in owners:
                    wanted = ((owner, letter, privilege, role.name, place) for privilege in given[kind].split(", "))
                    if owner != role.name and not all(each in existing for each in wanted):
                        yield owner, kind, given[kind], role.name, place


def _existing(opened: Session) -> set[tuple[str, str, str, str, str]]:
    return {
        (owner, letter, privilege, grantee, schema)
        for owner, letter, privilege, grantee, schema in opened.rows(
            sql.SQL(
                "SELECT pg_get_userbyid(d.defaclrole), d.defaclobjtype, a.privilege_type,"
                " pg_get_userbyid(a.grantee), coalesce(n.nspname, '')"
                " FROM pg_default_acl d CROSS JOIN aclexplode(d.defaclacl) a"
                " LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace"
            )
        )
    }


def _listed(names: Iterable[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, names))
