"""A hash over everything that a database's schema is made of, in an order that depends on nothing else.

Definitions are PostgreSQL's own (pg_get_constraintdef and its like), which only write down what the catalogue has and
call nothing of it. They are hashed in the server: of ten thousand tables, that is a few hashes.
"""

from __future__ import annotations

from psycopg2 import sql

from utils.postgres.session import Session

# What a line says, by kind. None has an owner or a privilege: these the pipeline itself sets up.
_LINES = sql.SQL("""
    SELECT 'tables' AS kind, concat_ws(' ', quote_ident(nspname), quote_ident(relname), relkind, relpersistence,
           relrowsecurity, relforcerowsecurity, pg_get_expr(relpartbound, oid), pg_get_partkeydef(oid)) AS line
      FROM relations WHERE relkind IN ('r', 'p', 'f')
    UNION ALL
    SELECT 'columns', concat_ws(' ', quote_ident(nspname), quote_ident(relname), a.attnum, quote_ident(a.attname),
           format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
           a.attcollation::regcollation, pg_get_expr(d.adbin, d.adrelid))
      FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE relkind IN ('r', 'p', 'f')
    UNION ALL
    SELECT 'constraints', concat_ws(' ', quote_ident(nspname), quote_ident(relname), quote_ident(c.conname),
           pg_get_constraintdef(c.oid), c.convalidated)
      FROM relations r JOIN pg_constraint c ON c.conrelid = r.oid AND c.contype <> 'n'
    UNION ALL
    SELECT 'indexes', concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisvalid)
      FROM relations r JOIN pg_index i ON i.indrelid = r.oid
    UNION ALL
    SELECT 'views', concat_ws(' ', quote_ident(nspname), quote_ident(relname), relkind, pg_get_viewdef(oid))
      FROM relations WHERE relkind IN ('v', 'm')
    UNION ALL
    SELECT 'sequences', concat_ws(' ', quote_ident(nspname), quote_ident(relname), seqtypid::regtype, seqstart,
           seqincrement, seqmin, seqmax, seqcycle)
      FROM relations r JOIN pg_sequence s ON s.seqrelid = r.oid
    UNION ALL
    SELECT 'triggers', concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
      FROM relations r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT 'policies', concat_ws(' ', quote_ident(nspname), quote_ident(relname), quote_ident(polname), polcmd,
           polpermissive, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
      FROM relations r JOIN pg_policy p ON p.polrelid = r.oid
    UNION ALL
    SELECT 'routines', CASE prokind WHEN 'a' THEN p.oid::regprocedure::text ELSE pg_get_functiondef(p.oid) END
      FROM pg_proc p JOIN schemas n ON n.oid = p.pronamespace
     WHERE NOT EXISTS (SELECT FROM members m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid)
    UNION ALL
    SELECT 'types', concat_ws(' ', quote_ident(nspname), quote_ident(typname), typtype, typnotnull,
           format_type(typbasetype, typtypmod), typdefault,
           (SELECT string_agg(quote_literal(enumlabel), ',' ORDER BY enumsortorder) FROM pg_enum
             WHERE enumtypid = t.oid),
           (SELECT string_agg(pg_get_constraintdef(c.oid), ',' ORDER BY conname) FROM pg_constraint c
             WHERE c.contypid = t.oid))
      FROM pg_type t JOIN schemas n ON n.oid = t.typnamespace
     WHERE typtype IN ('d', 'e', 'r')
       AND NOT EXISTS (SELECT FROM members m WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
    UNION ALL
    SELECT 'extensions', concat_ws(' ', quote_ident(extname), extversion) FROM pg_extension
""")
# Lines are sorted by their hashes, which no collation changes, and hashed as they are stored, in any encoding.
_HASHED = sql.SQL("""
    WITH members AS MATERIALIZED (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
    schemas AS MATERIALIZED (
        SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
    relations AS MATERIALIZED (
        SELECT c.*, n.nspname FROM pg_class c JOIN schemas n ON n.oid = c.relnamespace
         WHERE NOT EXISTS (SELECT FROM members m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid)),
    hashed AS (
        SELECT kind, encode(sha256(convert_to(line, getdatabaseencoding())), 'hex') AS hash FROM ({lines}) l)
    SELECT kind, encode(sha256(string_agg(hash, '' ORDER BY hash COLLATE "C")::bytea), 'hex') FROM hashed GROUP BY kind
""").format(lines=_LINES)


def schema_fingerprint(opened: Session) -> dict[str, str]:
    """Return a hash by kind: tables, columns, constraints, and so on. What a database has none of has no hash."""
    return dict(opened.rows(_HASHED))
