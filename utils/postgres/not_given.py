"""Privileges that no profile gives, although the application may need them, where the data show that they were used."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg2 import sql

from utils.logins.roles import RoleWanted
from utils.postgres.catalog import AWS_ROLES, named, query
from utils.postgres.session import Session


def not_given(opened: Session, roles: list[RoleWanted]) -> Iterator[str]:
    """Yield what the roles do not get in this database: large objects, extensions' tables, TRUNCATE."""
    names = [role.name for role in roles]
    yield from _large_objects(opened, names)
    yield from _extensions_tables(opened, names)
    yield from _truncate(opened, names)


def _large_objects(opened: Session, roles: list[str]) -> Iterator[str]:
    """Yield large objects by owner: there may be millions, and each has its own access control list."""
    found = opened.rows(
        sql.SQL(
            "SELECT pg_get_userbyid(lomowner), count(*) FROM pg_largeobject_metadata"
            " WHERE pg_get_userbyid(lomowner) <> ALL(%s) GROUP BY 1 ORDER BY 1"
        ),
        (roles,),
    )
    for owner, number in found:
        yield (
            f"the roles cannot read {number} large objects of {owner!r}: to allow it, as their owner, "
            "GRANT SELECT ON LARGE OBJECT with their numbers in pg_largeobject_metadata"
        )


def _extensions_tables(opened: Session, roles: list[str]) -> Iterator[str]:
    """Yield extensions' tables where production uses them: a role that is not the system's owns or was granted one."""
    found = opened.rows(
        sql.SQL(
            "SELECT DISTINCT e.extname FROM pg_extension e JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass"
            " AND d.refobjid = e.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'"
            " JOIN pg_class c ON c.oid = d.objid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
            " JOIN pg_roles r ON r.rolname = ANY(%(roles)s) JOIN pg_roles o ON o.oid = c.relowner"
            " WHERE NOT (has_schema_privilege(r.oid, c.relnamespace, 'USAGE')"
            " AND has_table_privilege(r.oid, c.oid, 'SELECT'))"
            " AND (NOT o.rolsuper AND o.rolname <> ALL(%(aws)s) OR EXISTS (SELECT FROM aclexplode(c.relacl) a"
            " JOIN pg_roles g ON g.oid = a.grantee AND g.oid <> c.relowner"
            " WHERE NOT g.rolsuper AND g.rolname <> ALL(%(aws)s) AND g.rolname !~ '^pg_')) ORDER BY 1"
        ),
        {"roles": roles, "aws": list(AWS_ROLES)},
    )
    if found:
        yield f"tables of extensions are not changed, and the roles cannot read some of these: {named(found)}"


def _truncate(opened: Session, roles: list[str]) -> Iterator[str]:
    """Yield who beside the owner may TRUNCATE. On tables that our roles own, it is by our own grant."""
    found = opened.rows(
        query(
            "SELECT DISTINCT pg_get_userbyid(a.grantee), count(*) FROM ({relations}) o"
            " JOIN pg_class c ON c.oid = o.oid, aclexplode(c.relacl) a"
            " WHERE a.privilege_type = 'TRUNCATE' AND a.grantee <> o.relowner AND o.owner <> ALL(%(roles)s)"
            " AND a.grantee <> 0 AND pg_get_userbyid(a.grantee) <> ALL(%(roles)s) GROUP BY 1 ORDER BY 1"
        ),
        {"roles": roles},
    )
    for grantee, number in found:
        yield f"{grantee!r} may TRUNCATE {number} tables, which the profiles read_only and read_write do not give"
