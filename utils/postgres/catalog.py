"""What people created in one database: schemas, relations and routines; nothing of the system or of an extension."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import sql

from utils.postgres.session import Session

NAMED_IN_WARNING = 5

# AWS's own roles, each by its exact name: a prefix would include every role that production calls rds...
# The logins: pg_dumpall of a database on RDS (15.3: rdsadmin, rdstopmgr), Aurora's write forwarding
# (rdswriteforwarduser, as in Amazon's own pg_dump for Babelfish), RDS Proxy's documentation (rdsproxyadmin).
AWS_LOGINS = ("rdsadmin", "rdstopmgr", "rdswriteforwarduser", "rdsproxyadmin")
# Those of that dump which cannot log in, and rds_extension (Aurora's documentation, "delegated extension support").
AWS_GROUPS = ("rds_superuser", "rds_replication", "rds_iam", "rds_password", "rds_ad", "rds_extension", "rdsrepladmin")
AWS_ROLES = (*AWS_LOGINS, *AWS_GROUPS)

RELATIONS = sql.SQL("""
    SELECT c.oid, n.oid AS schema_oid, n.nspname, c.relname, c.relkind, c.relrowsecurity, c.relowner,
           pg_get_userbyid(c.relowner) AS owner, pg_has_role(c.relowner, 'USAGE') AS reachable
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
""")
SCHEMAS = sql.SQL("""
    SELECT n.oid, n.nspname, n.nspowner, pg_get_userbyid(n.nspowner) AS owner,
           pg_has_role(n.nspowner, 'USAGE') AS reachable
      FROM pg_namespace n
     WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e')
""")
ROUTINES = sql.SQL("""
    SELECT p.oid, n.nspname, p.oid::regprocedure::text AS signature, p.prosecdef, p.proowner,
           pg_get_userbyid(p.proowner) AS owner, pg_has_role(p.proowner, 'USAGE') AS reachable
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
""")
# What belongs to a role for some schemas only: "all" is true or "named" has them.
_IN_SCOPE = sql.SQL("(%(all)s OR nspname = ANY(%(named)s))")


def query(text: str, **parts: sql.Composable) -> sql.Composed:
    """Compose a query over the relations, schemas and routines of a database."""
    return sql.SQL(text).format(relations=RELATIONS, schemas=SCHEMAS, routines=ROUTINES, in_scope=_IN_SCOPE, **parts)


def schemas_here(opened: Session) -> set[str]:
    """Return the schemas of this database."""
    return {name for (name,) in opened.rows(query("SELECT nspname FROM ({schemas}) s"))}


def owners_here(opened: Session) -> set[str]:
    """Return the roles that own something here, or may come to, without the system's own."""
    found = opened.rows(
        query(
            "SELECT pg_get_userbyid(owner) FROM (SELECT relowner AS owner FROM ({relations}) o"
            " UNION SELECT nspowner FROM ({schemas}) s UNION SELECT proowner FROM ({routines}) r"
            " UNION SELECT datdba FROM pg_database WHERE datname = current_database()) owners"
            " UNION SELECT current_user"
        )
    )
    return {owner for (owner,) in found if not is_systems(owner)}


# A role's or a database's name as bytes: all databases share these names, each in the encoding in which it was written,
# and a text that is not UTF-8 could not even be read.
RAW_ROLE_NAME = sql.SQL(r"replace(rolname::text, '\', '\\')::bytea")
RAW_DATABASE_NAME = sql.SQL(r"replace(datname::text, '\', '\\')::bytea")


def decoded(raw: bytes | memoryview) -> str | None:
    """Return the name, or None where it is not UTF-8 text."""
    try:
        return bytes(raw).decode()
    except UnicodeDecodeError:
        return None


def is_systems(role: str) -> bool:
    """Return whether a role is AWS's, or PostgreSQL's, which allows nobody else a name that begins with pg_."""
    return role in AWS_ROLES or role.startswith("pg_")


def named(rows: Sequence[tuple[str, ...]]) -> str:
    """Return the first few names and how many more there are: a warning has to stay readable."""
    names = [".".join(row) for row in rows]
    more = len(names) - NAMED_IN_WARNING
    return ", ".join(names[:NAMED_IN_WARNING]) + (f" and {more} more" if more > 0 else "")
