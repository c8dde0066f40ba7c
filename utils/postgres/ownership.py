"""The profile `owner`: schemas, and what is in them, get a new owner, who may create, alter and drop there.

A membership in the old owners would be less work, and too much: they own other schemas too, and one of them may be the
master user itself. The old owners keep every privilege on what was theirs, so that what worked in production still
works; only altering and dropping passes to the new owner. What runs with its owner's rights, and would break or change
its meaning, keeps its owner:
- a view, or a table with a rule, that reaches beyond the schemas, or objects of another owner: its owner's rights
  decide what it may read and write (PostgreSQL's documentation, "Rules and Privileges"), and a role without rights may
  create one;
- a SECURITY DEFINER routine;
- a relation whose index, statistics, generated column, partition key or range type calls a function of a user, which
  ANALYZE and REINDEX run as the relation's owner (as in CVE-2020-25695), or a materialized view that does, which a role
  with MAINTAIN may refresh, since 17;
- a foreign table: its owner may write on the foreign server.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from psycopg2 import sql

from utils.logins.roles import RoleWanted
from utils.postgres.catalog import named, query
from utils.postgres.session import Session

Scope = dict[str, object]
BATCH = 500

_REACHES_BEYOND = sql.SQL("""(EXISTS (
    SELECT FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
      JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND c.oid = d.refobjid
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE r.ev_class = o.oid AND c.oid <> o.oid AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND (c.relowner <> o.relowner OR NOT %(all)s AND n.nspname <> ALL(%(named)s))
       AND NOT EXISTS (SELECT FROM pg_depend e
                        WHERE e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e'
                          AND (%(all)s OR n.nspname = ANY(%(named)s)))))""")

# What is neither PostgreSQL's own nor an extension's: PostgreSQL's own has no row as a dependency, being pinned. Of a
# materialized view, the queries of all views that it reads; of a column, the range types that its type is made of.
_RUNS_CODE = sql.SQL("""(o.relkind IN ('r', 'p', 'm') AND o.oid IN (
    WITH RECURSIVE viewed(relation, oid) AS (
        SELECT oid, oid FROM pg_class WHERE relkind = 'm'
        UNION SELECT viewed.relation, v.refobjid FROM viewed JOIN pg_rewrite w ON w.ev_class = viewed.oid
                JOIN pg_depend v ON v.classid = 'pg_rewrite'::regclass AND v.objid = w.oid
                 AND v.refclassid = 'pg_class'::regclass
    ), typed(relation, oid) AS (
        SELECT objid, refobjid FROM pg_depend
         WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_type'::regclass
        UNION SELECT typed.relation, y.refobjid FROM typed JOIN pg_depend y
                  ON y.classid = 'pg_type'::regclass AND y.objid = typed.oid AND y.refclassid = 'pg_type'::regclass
    ), parts(relation, classid, objid, types) AS (
        SELECT oid, 'pg_class'::regclass, oid, false FROM pg_class
        UNION ALL SELECT indrelid, 'pg_class'::regclass, indexrelid, true FROM pg_index
        UNION ALL SELECT stxrelid, 'pg_statistic_ext'::regclass, oid, true FROM pg_statistic_ext
        UNION ALL SELECT f.adrelid, 'pg_attrdef'::regclass, f.oid, true FROM pg_attrdef f
                    JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum WHERE a.attgenerated <> ''
        UNION ALL SELECT relation, 'pg_rewrite'::regclass, w.oid, true
                    FROM viewed JOIN pg_rewrite w ON w.ev_class = viewed.oid
        UNION ALL SELECT relation, 'pg_type'::regclass, rngtypid, false FROM typed JOIN pg_range ON rngtypid = typed.oid
    )
    SELECT relation FROM parts p JOIN pg_depend d ON d.classid = p.classid AND d.objid = p.objid
     WHERE (d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass)
            OR p.types AND d.refclassid = 'pg_type'::regclass)
       AND NOT EXISTS (SELECT FROM pg_depend e
                        WHERE e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e')))""")


def take_ownership(opened: Session, role: RoleWanted) -> list[str]:
    """Give the role its schemas here and what is in them, and return what it does not own.

    The caller is a member of the old owners and of the new one.
    """
    scope = {"all": role.schemas is None, "named": role.schemas or [], "role": role.name}
    new_owner = sql.Identifier(role.name)
    _take_schemas(opened, scope, new_owner)
    _take_relations(opened, scope, new_owner)
    _take_routines(opened, scope, new_owner)
    _take_types(opened, scope, new_owner)
    return list(_not_owned(opened, role, scope))


def _take_schemas(opened: Session, scope: Scope, new_owner: sql.Identifier) -> None:
    schemas = opened.rows(
        query("SELECT nspname, owner FROM ({schemas}) s WHERE {in_scope} AND reachable AND owner <> %(role)s"), scope
    )
    for schema, owner in schemas:
        moved = opened.try_run(sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(sql.Identifier(schema), new_owner))
        # Without the schema itself its objects can still change hands: their new owner must be able to create here.
        keeps = sql.Identifier(owner) if moved else new_owner
        opened.run(sql.SQL("GRANT USAGE, CREATE ON SCHEMA {} TO {}").format(sql.Identifier(schema), keeps))


def _take_relations(opened: Session, scope: Scope, new_owner: sql.Identifier) -> None:
    """Take relations. Sequences of serial and identity columns follow their table; its old owner keeps its rights."""
    relations = opened.rows(
        query(
            "SELECT relkind = 'S' AND EXISTS ("
            "  SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = o.oid"
            "     AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')) AS follows,"
            " nspname, relname, owner FROM ({relations}) o"
            " WHERE {in_scope} AND reachable AND owner <> %(role)s AND relkind <> 'f'"
            " AND NOT {reaches_beyond} AND NOT {runs_code}",
            reaches_beyond=_REACHES_BEYOND,
            runs_code=_RUNS_CODE,
        ),
        scope,
    )
    alone = [sql.Identifier(*name) for follows, *name, _ in relations if not follows]
    # ALTER TABLE takes every kind of relation.
    _in_batches(opened, "ALTER TABLE {} OWNER TO {}", alone, new_owner)
    for owner, names in _by_owner([row[1:] for row in relations]).items():
        _in_lists(opened, "GRANT ALL ON TABLE {} TO {}", [sql.Identifier(*each) for each in names], owner)


def _take_routines(opened: Session, scope: Scope, new_owner: sql.Identifier) -> None:
    routines = opened.rows(
        query(
            "SELECT signature, owner FROM ({routines}) r"
            " WHERE {in_scope} AND reachable AND NOT prosecdef AND owner <> %(role)s"
        ),
        scope,
    )
    for owner, signatures in _by_owner(routines).items():
        # PostgreSQL itself wrote the signatures, quoted where that is needed.
        listed: list[sql.Composable] = [sql.SQL(signature) for (signature,) in signatures]
        _in_batches(opened, "ALTER ROUTINE {} OWNER TO {}", listed, new_owner)
        _in_lists(opened, "GRANT EXECUTE ON ROUTINE {} TO {}", listed, owner)


def _take_types(opened: Session, scope: Scope, new_owner: sql.Identifier) -> None:
    """Take domains, enums, ranges and composite types; those of tables, arrays and multiranges follow their own."""
    types = opened.rows(
        query(
            "SELECT nspname, typname, pg_get_userbyid(typowner)"
            "  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace"
            " WHERE {in_scope} AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
            "   AND typtype IN ('c', 'd', 'e', 'r')"
            "   AND (typrelid = 0 OR EXISTS (SELECT FROM pg_class c WHERE c.oid = typrelid AND c.relkind = 'c'))"
            "   AND pg_has_role(typowner, 'USAGE') AND pg_get_userbyid(typowner) <> %(role)s"
            "   AND NOT EXISTS (SELECT FROM pg_depend d"
            "                    WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')"
        ),
        scope,
    )
    for owner, names in _by_owner(types).items():
        listed = [sql.Identifier(*name) for name in names]
        _in_batches(opened, "ALTER TYPE {} OWNER TO {}", listed, new_owner)
        _in_lists(opened, "GRANT USAGE ON TYPE {} TO {}", listed, owner)


def _not_owned(opened: Session, role: RoleWanted, scope: Scope) -> Iterator[str]:
    kept = opened.rows(
        query(
            "SELECT what, nspname, name FROM ("
            " SELECT 'schema' AS what, nspname, '' AS name, owner FROM ({schemas}) s"
            " UNION ALL SELECT CASE WHEN NOT reachable THEN 'relation' WHEN relkind = 'f' THEN 'foreign'"
            "                  WHEN relkind = 'S' THEN 'with its table'"
            "                  WHEN {runs_code} THEN 'code' WHEN {reaches_beyond} THEN 'beyond' ELSE 'relation' END,"
            "                  nspname, relname, owner FROM ({relations}) o"
            " UNION ALL SELECT CASE WHEN reachable THEN 'routine' ELSE 'relation' END,"
            "                  nspname, signature, owner FROM ({routines}) r"
            ") kept WHERE {in_scope} AND owner <> %(role)s ORDER BY 1, 2, 3",
            reaches_beyond=_REACHES_BEYOND,
            runs_code=_RUNS_CODE,
        ),
        scope,
    )
    for what, text in (
        ("schema", "{} does not own schema {}: the master user cannot hand it over"),
        ("relation", "{} does not own {}: the master user cannot act for the owner"),
        (
            "beyond",
            "{} does not own {}, which reaches, with its owner's rights, beyond the schemas or another owner's objects",
        ),
        ("foreign", "{} does not own {}, a foreign table: its owner may write on the foreign server"),
        (
            "code",
            "{} does not own {}, whose index, statistics, generated column, partition key, range type or query calls"
            " a user's function: it would run with the new owner's rights",
        ),
        ("routine", "{} does not own {}, which is SECURITY DEFINER: it would run with other rights"),
    ):
        if names := [row[2:] if what == "routine" else row[1:] for row in kept if row[0] == what]:
            yield text.format(repr(role.name), named([tuple(filter(None, each)) for each in names]))


def _by_owner(rows: list[tuple[Any, ...]]) -> dict[str, list[tuple[str, ...]]]:
    found: dict[str, list[tuple[str, ...]]] = {}
    for *name, owner in rows:
        found.setdefault(owner, []).append(tuple(name))
    return found


def _in_batches(opened: Session, form: str, objects: Sequence[sql.Composable], role: sql.Identifier) -> None:
    """Send many statements in one message: PostgreSQL alters one object at a time."""
    for start in range(0, len(objects), BATCH):
        opened.run(sql.SQL("; ").join(sql.SQL(form).format(each, role) for each in objects[start : start + BATCH]))


def _in_lists(opened: Session, form: str, objects: Sequence[sql.Composable], owner: str) -> None:
    for start in range(0, len(objects), BATCH):
        listed = sql.SQL(", ").join(objects[start : start + BATCH])
        opened.run(sql.SQL(form).format(listed, sql.Identifier(owner)))
