"""Where a canary may stand, as queries: in columns of rows, and in what people write into the catalogues.

Both are for a session of the masking role's, in a transaction that cannot write: they show values by the output
functions of their types, and pg_tle lets its users write one of these
(github.com/aws/pg_tle/blob/main/docs/09_datatypes.md).
"""

from __future__ import annotations

from psycopg2 import sql

# Tables and materialized views with the columns whose types may hold a text: all but PostgreSQL's own numbers, times,
# shapes, addresses, bits and bytes, enums, whose labels are in the catalogue, and arrays, domains and ranges of these.
# And whose they are, and whether we may read them.
TEXTS = sql.SQL("""
    WITH RECURSIVE made_of AS (
        SELECT oid AS type, oid AS of FROM pg_type
        UNION ALL
        SELECT made_of.type, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END
          FROM made_of JOIN pg_type t ON t.oid = made_of.of
         WHERE t.typtype = 'd' OR (t.typcategory = 'A' AND t.typelem <> 0)
    ), without_text(type) AS (
        SELECT oid FROM pg_type
         WHERE typtype = 'e'
            OR (typnamespace = 'pg_catalog'::regnamespace AND oid < 16384
                AND (typcategory IN ('B', 'D', 'G', 'I', 'N', 'R', 'T', 'V')
                     OR typname IN ('bytea', 'uuid', 'macaddr', 'macaddr8', 'pg_lsn', 'tid', 'xid', 'xid8', 'cid',
                                    'pg_snapshot', 'txid_snapshot', 'oidvector', 'int2vector', 'char')))
    ), with_text(type) AS (
        SELECT m.type FROM made_of m
          JOIN pg_type t ON t.oid = m.of AND t.typtype <> 'd' AND NOT (t.typcategory = 'A' AND t.typelem <> 0)
         WHERE m.of NOT IN (SELECT type FROM without_text)
    )
    SELECT n.nspname, c.relname, pg_get_userbyid(c.relowner), pg_has_role(c.relowner, 'USAGE'), c.relkind = 'r',
           array_agg(a.attname::text ORDER BY a.attnum)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND n.nspname !~ '^pg_' AND n.nspname <> {schema}
       AND n.nspname <> 'information_schema' AND a.atttypid IN (SELECT type FROM with_text)
     GROUP BY c.oid, 1, 2, 3 ORDER BY 1, 2
""")

# What is no data of rows, and yet may hold it: each text with what it belongs to. `class` is 0 where `what` says all.
# Built-in objects have lower numbers (PostgreSQL's source, transam.h), but anybody's comment may stand on one. A whole
# row of a catalogue is its texts and names; what people write as expressions is in it as a tree, without the letters
# of its constants, and is written out by PostgreSQL's own functions. What each catalogue has is listed, with what
# cannot be read, in tests/integration/postgres/test_masking_canaries.py.
_WRITTEN = sql.SQL("""
    SELECT classoid, objoid, objsubid, 'a comment on ', description FROM pg_description
    UNION ALL SELECT classoid, objoid, 0, 'a comment on ', description FROM pg_shdescription
    UNION ALL SELECT classoid, objoid, objsubid, 'a security label of ', label FROM pg_seclabel
    UNION ALL SELECT classoid, objoid, 0, 'a security label of ', label FROM pg_shseclabel
    UNION ALL SELECT 0, 0, 0,
                     'the settings' || coalesce(' of role ' || quote_ident(pg_get_userbyid(nullif(setrole, 0))), '')
                     || coalesce(' in database ' || quote_ident(d.datname), ''), concat(setconfig)
                FROM pg_db_role_setting LEFT JOIN pg_database d ON d.oid = setdatabase
    UNION ALL SELECT 'pg_authid'::regclass, oid, 0, '', rolname FROM pg_roles WHERE oid >= 16384
    UNION ALL SELECT 'pg_database'::regclass, oid, 0, '', concat(c) FROM pg_database c
    UNION ALL SELECT 'pg_tablespace'::regclass, oid, 0, '', concat(c) FROM pg_tablespace c
    UNION ALL SELECT 0, 0, 0, 'a replication origin', roname FROM pg_replication_origin
    UNION ALL SELECT 0, 0, 0, 'subscription ' || quote_ident(subname),
                     concat_ws(' ', subname, subslotname, subpublications)
                FROM pg_subscription
    UNION ALL SELECT 'pg_proc'::regclass, aggfnoid, 0, '', concat_ws(' ', agginitval, aggminitval)
                FROM pg_aggregate WHERE aggfnoid >= 16384
    UNION ALL SELECT 'pg_am'::regclass, oid, 0, '', concat(c) FROM pg_am c WHERE oid >= 16384
    UNION ALL SELECT 'pg_attrdef'::regclass, oid, 0, '', pg_get_expr(adbin, adrelid) FROM pg_attrdef
    UNION ALL SELECT 'pg_class'::regclass, attrelid, attnum, '', concat_ws(' ', attname, attoptions, attfdwoptions)
                FROM pg_attribute WHERE attrelid >= 16384 AND attnum > 0 AND NOT attisdropped
    UNION ALL SELECT 'pg_class'::regclass, attrelid, attnum, 'the value of older rows of ', concat(attmissingval)
                FROM pg_attribute WHERE atthasmissing AND NOT attisdropped
    UNION ALL SELECT 'pg_class'::regclass, oid, 0, '', concat_ws(' ', relname, reloptions)
                FROM pg_class WHERE oid >= 16384 AND relkind <> 't'
    UNION ALL SELECT 'pg_class'::regclass, oid, 0, 'the bounds of ', pg_get_expr(relpartbound, oid)
                FROM pg_class WHERE relispartition
    UNION ALL SELECT 'pg_collation'::regclass, oid, 0, '', concat(c) FROM pg_collation c WHERE oid >= 16384
    UNION ALL SELECT 'pg_constraint'::regclass, oid, 0, '', conname || ' ' || pg_get_constraintdef(oid)
                FROM pg_constraint WHERE oid >= 16384
    UNION ALL SELECT 'pg_conversion'::regclass, oid, 0, '', concat(c) FROM pg_conversion c WHERE oid >= 16384
    UNION ALL SELECT 'pg_type'::regclass, enumtypid, 0, 'a label of ', enumlabel FROM pg_enum
    UNION ALL SELECT 'pg_event_trigger'::regclass, oid, 0, '', concat(c) FROM pg_event_trigger c
    UNION ALL SELECT 'pg_extension'::regclass, oid, 0, '', concat(c) FROM pg_extension c
    UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid, 0, '', concat(c) FROM pg_foreign_data_wrapper c
    UNION ALL SELECT 'pg_foreign_server'::regclass, oid, 0, '', concat(c) FROM pg_foreign_server c
    UNION ALL SELECT 'pg_class'::regclass, ftrelid, 0, 'the options of ', concat(ftoptions) FROM pg_foreign_table
    UNION ALL SELECT 'pg_class'::regclass, indexrelid, 0, '', pg_get_indexdef(indexrelid)
                FROM pg_index WHERE indexrelid >= 16384
    UNION ALL SELECT 'pg_language'::regclass, oid, 0, '', concat(c) FROM pg_language c WHERE oid >= 16384
    UNION ALL SELECT 'pg_namespace'::regclass, oid, 0, '', concat(c) FROM pg_namespace c WHERE oid >= 16384
    UNION ALL SELECT 'pg_opclass'::regclass, oid, 0, '', concat(c) FROM pg_opclass c WHERE oid >= 16384
    UNION ALL SELECT 'pg_operator'::regclass, oid, 0, '', concat(c) FROM pg_operator c WHERE oid >= 16384
    UNION ALL SELECT 'pg_opfamily'::regclass, oid, 0, '', concat(c) FROM pg_opfamily c WHERE oid >= 16384
    UNION ALL SELECT 'pg_class'::regclass, partrelid, 0, 'the partition key of ', pg_get_partkeydef(partrelid)
                FROM pg_partitioned_table
    UNION ALL SELECT 'pg_policy'::regclass, oid, 0, '', concat_ws(' ', polname, pg_get_expr(polqual, polrelid),
                                                                pg_get_expr(polwithcheck, polrelid)) FROM pg_policy
    UNION ALL SELECT 'pg_proc'::regclass, oid, 0, '',
                     CASE prokind WHEN 'a' THEN concat_ws(' ', proname, pg_get_function_arguments(oid), proconfig)
                                  ELSE pg_get_functiondef(oid) END FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT 'pg_publication'::regclass, oid, 0, '', concat(c) FROM pg_publication c
    UNION ALL SELECT 'pg_rewrite'::regclass, oid, 0, '', pg_get_ruledef(oid) FROM pg_rewrite WHERE oid >= 16384
    UNION ALL SELECT 'pg_statistic_ext'::regclass, oid, 0, '', pg_get_statisticsobjdef(oid) FROM pg_statistic_ext
    UNION ALL SELECT 'pg_trigger'::regclass, oid, 0, '', pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'pg_ts_config'::regclass, oid, 0, '', concat(c) FROM pg_ts_config c WHERE oid >= 16384
    UNION ALL SELECT 'pg_ts_dict'::regclass, oid, 0, '', concat(c) FROM pg_ts_dict c WHERE oid >= 16384
    UNION ALL SELECT 'pg_ts_parser'::regclass, oid, 0, '', concat(c) FROM pg_ts_parser c WHERE oid >= 16384
    UNION ALL SELECT 'pg_ts_template'::regclass, oid, 0, '', concat(c) FROM pg_ts_template c WHERE oid >= 16384
    UNION ALL SELECT 'pg_type'::regclass, oid, 0, '', concat_ws(' ', typname, typdefault)
                FROM pg_type WHERE oid >= 16384 AND typrelid = 0 AND typcategory <> 'A'
    UNION ALL SELECT 0, 0, 0, format('statistics of column %s of %s.%s', attname, schemaname, tablename), concat(s)
                FROM pg_stats s WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
    UNION ALL SELECT 0, 0, 0, format('statistics %s.%s', statistics_schemaname, statistics_name), concat(s)
                FROM pg_stats_ext s
""")
# By the version as PostgreSQL counts it (PostgreSQL's documentation, "System Catalogs" and "System Views" of each).
_WRITTEN_SINCE = {
    140000: sql.SQL("""
    UNION ALL SELECT 0, 0, 0, format('statistics %s.%s', statistics_schemaname, statistics_name), concat(s)
                FROM pg_stats_ext_exprs s
"""),
    150000: sql.SQL("""
    UNION ALL SELECT 'pg_parameter_acl'::regclass, oid, 0, '', concat(c) FROM pg_parameter_acl c
    UNION ALL SELECT 'pg_publication_rel'::regclass, oid, 0, '', pg_get_expr(prqual, prrelid) FROM pg_publication_rel
"""),
}


def written(version: int) -> sql.Composable:
    """Return the query for `class`, `id`, `sub`, `what` and `said` of each text of the catalogues."""
    since = [text for least, text in _WRITTEN_SINCE.items() if version >= least]
    return sql.SQL("SELECT * FROM ({}) w(class, id, sub, what, said)").format(sql.SQL("").join([_WRITTEN, *since]))
