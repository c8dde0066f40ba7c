"""What hangs on tables and views and runs code or gives rights: of that, nothing may have been added meanwhile.

While the masking role owns them, code of the data and the policy's statements can hang anything on them. As soon as
they belong to their owners again, what hangs there runs with these owners' rights, the master user's among them:
autovacuum calls the functions of an index as the table's owner. So they are compared before they are returned.
"""

from __future__ import annotations

from collections.abc import Collection

from psycopg2 import sql

from utils.errors import MaskingGateFailed
from utils.foreign_text import listed, one_line
from utils.postgres.masking.sessions import Place
from utils.postgres.session import Session

# `plain`: an index, a constraint, a default or statistics of PostgreSQL's and its extensions' functions alone: those of
# its own have no entry in pg_depend, as nobody can drop them.
_ATTACHED = sql.SQL("""
    WITH here AS (
        SELECT c.*, n.nspname, coalesce(l.owner, pg_get_userbyid(c.relowner)) AS owner
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN {lent} l ON l.rel = c.oid
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
           AND n.nspname <> {schema} AND ({everything} OR c.oid = ANY({rels}::oid[]))
    ), attached(classid, objid, rel, kind, name, definition) AS (
        SELECT 'pg_trigger'::regclass, oid, tgrelid, 'trigger', tgname::text,
               pg_get_triggerdef(oid) || ' ' || tgenabled::text
          FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'
        UNION ALL
        SELECT 'pg_rewrite'::regclass, oid, ev_class, 'rule', rulename::text,
               pg_get_ruledef(oid) || ' ' || ev_enabled::text
          FROM pg_rewrite WHERE ev_enabled <> 'D'
        UNION ALL
        SELECT 'pg_policy'::regclass, oid, polrelid, 'policy', polname::text,
               concat_ws(' ', polcmd, polpermissive, polroles::text, pg_get_expr(polqual, polrelid), '|',
                         pg_get_expr(polwithcheck, polrelid)) FROM pg_policy
        UNION ALL
        SELECT 'pg_constraint'::regclass, oid, conrelid, 'constraint', conname::text, pg_get_constraintdef(oid)
          FROM pg_constraint WHERE conrelid <> 0
        UNION ALL
        SELECT 'pg_class'::regclass, indexrelid, indrelid, 'index', indexrelid::regclass::text,
               pg_get_indexdef(indexrelid) FROM pg_index
        UNION ALL
        SELECT 'pg_attrdef'::regclass, d.oid, adrelid, 'default', attname::text, pg_get_expr(adbin, adrelid)
          FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = adrelid AND a.attnum = adnum
        UNION ALL
        SELECT 'pg_statistic_ext'::regclass, oid, stxrelid, 'statistics', stxname::text, pg_get_statisticsobjdef(oid)
          FROM pg_statistic_ext
        UNION ALL
        SELECT 0, 0, inhrelid, 'inheritance', inhparent::regclass::text, '' FROM pg_inherits
        UNION ALL
        SELECT 0, 0, oid, 'row level security', relrowsecurity::text, '' FROM here
        UNION ALL
        SELECT 0, 0, oid, 'privilege', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee)::text END,
               privilege_type || ' ' || is_grantable
          FROM here, aclexplode(relacl)
         WHERE grantee = 0 OR pg_get_userbyid(grantee) NOT IN (owner, {masker})
        UNION ALL
        SELECT 0, 0, here.oid, 'privilege', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee)::text END,
               attname || ' ' || privilege_type || ' ' || is_grantable
          FROM here JOIN pg_attribute ON attrelid = here.oid AND NOT attisdropped, aclexplode(attacl)
         WHERE grantee = 0 OR pg_get_userbyid(grantee) NOT IN (owner, {masker})
    )
    SELECT t.rel, t.kind, t.name::text, t.definition, here.nspname || '.' || here.relname AS table_name,
           t.kind IN ('constraint', 'index', 'default', 'statistics') AND NOT EXISTS (
               SELECT FROM pg_depend d
                WHERE d.classid = t.classid AND d.objid = t.objid AND d.deptype <> 'e'
                  AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass,
                                       'pg_type'::regclass)
                  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.refclassid AND e.objid = d.refobjid
                                     AND e.deptype = 'e')) AS plain
      FROM attached t JOIN here ON here.oid = t.rel
""")


def remember_attached(opened: Session, place: Place) -> None:
    """Record what hangs on everything, before anything of it is dropped."""
    opened.run(
        sql.SQL("INSERT INTO {} SELECT rel, kind, name, definition FROM ({}) a").format(
            place.state("attached"), _attached(place, None)
        )
    )


def refuse_what_was_added(opened: Session, place: Place, rels: Collection[int]) -> None:
    """Raise MaskingGateFailed where anything was added or changed, but for what runs only PostgreSQL's own code."""
    found = opened.rows(
        sql.SQL(
            "SELECT DISTINCT kind, name, table_name FROM ({}) a WHERE NOT plain AND NOT EXISTS (SELECT FROM {} b"
            " WHERE (b.rel, b.kind, b.name, b.definition) = (a.rel, a.kind, a.name, a.definition)) ORDER BY 3, 1, 2"
        ).format(_attached(place, rels), place.state("attached"))
    )
    if found:
        added = listed(f"{kind} {one_line(name)!r} of {one_line(table)}" for kind, name, table in found)
        raise MaskingGateFailed(
            f"Masking failed in database {one_line(place.database)!r}, and the restored cluster's door stays shut: "
            f"what runs code or gives rights was added or changed meanwhile: {added}. The policy's statements may drop "
            "such things, and create indexes, constraints and defaults of PostgreSQL's own functions. If they did not "
            "do this, code of the data did."
        )


def _attached(place: Place, rels: Collection[int] | None) -> sql.Composed:
    return _ATTACHED.format(
        lent=place.state("lent"),
        schema=sql.Literal(place.schema),
        masker=sql.Literal(place.masker.name),
        everything=sql.Literal(rels is None),
        rels=sql.Literal(sorted(rels or ())),
    )
