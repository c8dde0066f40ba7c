"""Privileges in one database: what exists, what will come, and the proof that they are there.

A grant needs the owner's rights. The master user of Aurora is no superuser; so for the length of one transaction it
becomes a member of the owning roles and leaves them again before the commit. Objects whose owner can't be joined are
reported, never passed over: a GRANT on them would only warn and do nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from psycopg2 import sql

from utils.errors import StepFailed
from utils.postgres import Session

BATCH = 500
NAMED_IN_WARNING = 5

# Everything people made: no system schema, nothing that belongs to an extension.
_OBJECTS = sql.SQL("""
    SELECT c.oid, n.nspname, c.relname, c.relkind, c.relrowsecurity, pg_get_userbyid(c.relowner) AS owner,
           pg_has_role(current_user, c.relowner, 'USAGE') AS reachable
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
""")
_SCHEMAS = sql.SQL("""
    SELECT n.oid, n.nspname, pg_get_userbyid(n.nspowner) AS owner,
           pg_has_role(current_user, n.nspowner, 'USAGE') AS reachable
      FROM pg_namespace n
     WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
""")
_ROUTINES = sql.SQL("""
    SELECT p.oid, p.oid::regprocedure::text AS signature, p.prosecdef, pg_get_userbyid(p.proowner) AS owner,
           pg_has_role(current_user, p.proowner, 'USAGE') AS reachable
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
""")


def grant_in_database(opened: Session, application: str, read_only: str) -> list[str]:
    """Give both roles their privileges in this database. Answers what they lack, or have too much of, and why."""
    owners = _owners(opened)
    with borrowed_owners(opened, owners) as unreachable:
        _grant_on_schemas(opened, application, read_only)
        _grant_on_relations(opened, application, "TABLE", "SELECT, INSERT, UPDATE, DELETE")
        _grant_on_relations(opened, read_only, "TABLE", "SELECT")
        _grant_on_relations(opened, application, "SEQUENCE", "USAGE, SELECT, UPDATE")
        _grant_on_relations(opened, read_only, "SEQUENCE", "SELECT")
        _grant_on_routines(opened, application)
        _grant_on_future_objects(opened, owners - unreachable, application, read_only)
        _prove(opened, application, read_only)
        return list(_warnings(opened, application, read_only))


@contextlib.contextmanager
def borrowed_owners(opened: Session, owners: Iterable[str]) -> Iterator[set[str]]:
    """Be a member of the owners within the block; yields those that can't be joined.

    All inside the session's transaction: a crash leaves no membership behind. Before PostgreSQL 16 a revoke takes away
    a membership whoever granted it, so there an existing one without inheritance isn't touched.
    """
    borrowed, unreachable = [], set()
    for owner in sorted(owners):
        ((usable, member),) = opened.rows(
            sql.SQL("SELECT pg_has_role(current_user, %s, 'USAGE'), pg_has_role(current_user, %s, 'MEMBER')"),
            (owner, owner),
        )
        if usable:
            continue
        if (opened.version >= 160000 or not member) and opened.try_run(
            sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(owner))
        ):
            borrowed.append(owner)
        else:
            unreachable.add(owner)
    yield unreachable
    for owner in borrowed:
        opened.run(sql.SQL("REVOKE {} FROM CURRENT_USER").format(sql.Identifier(owner)))


def _owners(opened: Session) -> set[str]:
    found = opened.rows(
        _query(
            "SELECT owner FROM ({objects}) o UNION SELECT owner FROM ({schemas}) s"
            " UNION SELECT owner FROM ({routines}) r UNION SELECT current_user"
            " UNION SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        )
    )
    return {owner for (owner,) in found if owner != "rdsadmin" and not owner.startswith("pg_")}


def _grant_on_schemas(opened: Session, *roles: str) -> None:
    for role in roles:
        lacking = opened.rows(
            _query("SELECT nspname FROM ({schemas}) s WHERE reachable AND NOT has_schema_privilege(%s, oid, 'USAGE')"),
            (role,),
        )
        _in_batches(opened, "USAGE", "SCHEMA", [sql.Identifier(name) for (name,) in lacking], role)


def _grant_on_relations(opened: Session, role: str, object_type: str, privileges: str) -> None:
    """Only where something is lacking, so that a second run has nothing to do."""
    has = "has_sequence_privilege" if object_type == "SEQUENCE" else "has_table_privilege"
    lacking = opened.rows(
        _query(
            # CASE keeps the planner from asking has_sequence_privilege about a table, which is an error.
            "SELECT nspname, relname FROM ({objects}) o"
            " WHERE reachable AND CASE WHEN (relkind = 'S') = %s THEN NOT ({has_all}) ELSE false END",
            has_all=_all_of(has, privileges),
        ),
        [object_type == "SEQUENCE"] + [role] * len(privileges.split(", ")),
    )
    _in_batches(opened, privileges, object_type, [sql.Identifier(*names) for names in lacking], role)


def _grant_on_routines(opened: Session, role: str) -> None:
    """What runs with its caller's rights. A SECURITY DEFINER routine that is closed to PUBLIC was closed on purpose."""
    lacking = opened.rows(
        _query(
            "SELECT signature FROM ({routines}) r"
            " WHERE reachable AND NOT prosecdef AND NOT has_function_privilege(%s, oid, 'EXECUTE')"
        ),
        (role,),
    )
    # PostgreSQL itself wrote the signatures, quoted where that is needed.
    _in_batches(opened, "EXECUTE", "ROUTINE", [sql.SQL(signature) for (signature,) in lacking], role)


def _in_batches(opened: Session, privileges: str, object_type: str, objects: list[sql.Composable], role: str) -> None:
    for start in range(0, len(objects), BATCH):
        opened.run(
            sql.SQL("GRANT {} ON {} {} TO {}").format(
                sql.SQL(privileges),
                sql.SQL(object_type),
                sql.SQL(", ").join(objects[start : start + BATCH]),
                sql.Identifier(role),
            )
        )


def _grant_on_future_objects(opened: Session, owners: set[str], application: str, read_only: str) -> None:
    """Default privileges hold for what a role creates later, so they are set for every role that owns anything here."""
    for_roles = sql.SQL(", ").join(map(sql.Identifier, sorted(owners)))
    for privileges, object_type, role in (
        ("USAGE", "SCHEMAS", application),
        ("USAGE", "SCHEMAS", read_only),
        ("SELECT, INSERT, UPDATE, DELETE", "TABLES", application),
        ("SELECT", "TABLES", read_only),
        ("USAGE, SELECT, UPDATE", "SEQUENCES", application),
        ("SELECT", "SEQUENCES", read_only),
    ):
        opened.run(
            sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT {} ON {} TO {}").format(
                for_roles, sql.SQL(privileges), sql.SQL(object_type), sql.Identifier(role)
            )
        )


def _prove(opened: Session, application: str, read_only: str) -> None:
    """Ask PostgreSQL whether both roles can do what they were given. Raises StepFailed when one can't."""
    wanted = "SELECT, INSERT, UPDATE, DELETE"
    lacking = opened.rows(
        _query(
            "SELECT nspname, relname FROM ({objects}) o WHERE reachable AND relkind <> 'S'"
            " AND NOT (has_table_privilege(%s, oid, 'SELECT') AND {has_all}) LIMIT 5",
            has_all=_all_of("has_table_privilege", wanted),
        ),
        [read_only] + [application] * 4,
    )
    if lacking:
        raise StepFailed(
            f"Privileges on {_named(lacking)} were granted to {application!r} and {read_only!r}, but don't show. "
            "Look for event triggers that undo grants, then start again."
        )


def _warnings(opened: Session, application: str, read_only: str) -> Iterator[str]:
    unreached = opened.rows(
        _query(
            "SELECT owner, nspname, relname FROM ({objects}) o"
            " WHERE NOT reachable AND relkind <> 'S' AND NOT has_table_privilege(%s, oid, 'SELECT, INSERT')"
            " ORDER BY 1, 2, 3"
        ),
        (application,),
    )
    for owner in sorted({row[0] for row in unreached}):
        names = [row[1:] for row in unreached if row[0] == owner]
        yield f"no privileges on {_named(names)}: the master user can't act for their owner {owner!r}"
    closed = opened.rows(
        _query(
            "SELECT signature FROM ({routines}) r"
            " WHERE prosecdef AND NOT has_function_privilege(%s, oid, 'EXECUTE') ORDER BY 1"
        ),
        (application,),
    )
    if closed:
        yield f"{application!r} may not execute {_named(closed)}: SECURITY DEFINER and closed to PUBLIC"
    writable = opened.rows(
        _query(
            "SELECT nspname, relname FROM ({objects}) o"
            " WHERE relkind <> 'S' AND has_table_privilege(%s, oid, 'INSERT, UPDATE, DELETE, TRUNCATE') ORDER BY 1, 2"
        ),
        (read_only,),
    )
    if writable:
        yield f"{read_only!r} can write to {_named(writable)}, through PUBLIC or a role it belongs to"
    creatable = opened.rows(
        _query("SELECT nspname FROM ({schemas}) s WHERE has_schema_privilege(%s, oid, 'CREATE') ORDER BY 1"),
        (read_only,),
    )
    if creatable:
        yield f"{read_only!r} can create objects in {_named(creatable)}, through PUBLIC or a role it belongs to"
    secured = opened.rows(_query("SELECT nspname, relname FROM ({objects}) o WHERE relrowsecurity ORDER BY 1, 2"))
    if secured:
        yield f"row security limits what both roles see in {_named(secured)}"


def _query(text: str, **parts: sql.Composable) -> sql.Composed:
    return sql.SQL(text).format(objects=_OBJECTS, schemas=_SCHEMAS, routines=_ROUTINES, **parts)


def _all_of(function: str, privileges: str) -> sql.Composable:
    """PostgreSQL takes a list of privileges as any of them; here all are wanted."""
    return sql.SQL(" AND ").join(
        sql.SQL("{}(%s, oid, {})").format(sql.SQL(function), sql.Literal(privilege))
        for privilege in privileges.split(", ")
    )


def _named(rows: list[tuple[str, ...]]) -> str:
    """The first few names and how many more there are: a warning has to stay readable."""
    names = [".".join(row) for row in rows]
    more = len(names) - NAMED_IN_WARNING
    return ", ".join(names[:NAMED_IN_WARNING]) + (f" and {more} more" if more > 0 else "")
