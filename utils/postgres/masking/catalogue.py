"""Read from a database's catalogue what masking needs to know of its tables."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from psycopg2 import sql

from utils.masking.columns import Catalogue, Column, ForeignKey, Relation
from utils.postgres.session import Session

# Tables of extensions are among them: what they hold is data, too, such as the commands of pg_cron's jobs.
_RELATIONS = sql.SQL("""
    SELECT c.oid, n.nspname, c.relname, c.relkind, pg_get_userbyid(c.relowner),
           coalesce(pg_partition_root(c.oid)::oid, c.oid),
           ARRAY(SELECT inhparent FROM pg_inherits WHERE inhrelid = c.oid AND NOT c.relispartition ORDER BY inhseqno),
           coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::bigint,
           EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND n.nspname <> %(without_schema)s
     ORDER BY n.nspname, c.relname
""")
# `resolved`: what a domain is made of in the end, the type modifier that applies, and whether it takes NULL.
# `part_of`: the columns that an index has, or a table is partitioned by. Those of expressions are in pg_depend alone,
# where an index depends on them, and they on their partitioned table (PostgreSQL's source, StorePartitionKey).
_COLUMNS = sql.SQL("""
    WITH RECURSIVE chain(type, oid, typmod, not_null) AS (
        SELECT oid, oid, -1, false FROM pg_type
        UNION ALL
        SELECT chain.type, t.typbasetype, CASE chain.typmod WHEN -1 THEN t.typtypmod ELSE chain.typmod END,
               chain.not_null OR t.typnotnull
          FROM chain JOIN pg_type t ON t.oid = chain.oid WHERE t.typtype = 'd'
    ), resolved AS (
        SELECT chain.*, CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END AS element
          FROM chain JOIN pg_type t ON t.oid = chain.oid WHERE t.typtype <> 'd'
    ), indexed AS (
        SELECT i.indrelid, i.indexrelid, i.indisunique, i.indisexclusion, i.indkey[position] AS attnum
          FROM pg_index i, generate_series(0, i.indnkeyatts - 1) position
         WHERE i.indisunique OR i.indisexclusion
    ), part_of(relation, attnum, is_unique, is_exclusion, strategy) AS (
        SELECT indrelid, attnum, indisunique, indisexclusion, NULL::"char" FROM indexed WHERE attnum <> 0
        UNION ALL
        SELECT indrelid, d.refobjsubid, indisunique, indisexclusion, NULL
          FROM indexed JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = indexrelid
           AND d.refclassid = 'pg_class'::regclass AND d.refobjid = indrelid AND d.refobjsubid > 0
         WHERE attnum = 0
        UNION ALL
        SELECT p.partrelid, p.partattrs[position], false, false, p.partstrat
          FROM pg_partitioned_table p, generate_series(0, p.partnatts - 1) position
         WHERE p.partattrs[position] <> 0
        UNION ALL
        SELECT p.partrelid, d.objsubid, false, false, p.partstrat
          FROM pg_partitioned_table p
          JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = p.partrelid AND d.objsubid > 0
           AND d.refclassid = 'pg_class'::regclass AND d.refobjid = p.partrelid AND d.refobjsubid = 0
         WHERE p.partexprs IS NOT NULL AND d.deptype = 'i'
    ), parts AS (
        SELECT relation, attnum, bool_or(is_unique) AS is_unique, bool_or(is_exclusion) AS is_exclusion,
               string_agg(DISTINCT strategy::text, '') AS strategies
          FROM part_of GROUP BY 1, 2
    )
    SELECT a.attrelid, a.attname,
           format_type(CASE WHEN whole.element <> 0 THEN t.typarray ELSE whole.oid END,
                       CASE WHEN a.atttypmod <> -1 THEN a.atttypmod WHEN whole.typmod <> -1 THEN whole.typmod
                            ELSE coalesce(single.typmod, -1) END),
           t.typname,
           t.typtype = 'b' OR t.typtype IN ('r', 'm') AND t.typnamespace = 'pg_catalog'::regnamespace,
           whole.element <> 0,
           CASE WHEN t.typtype = 'e'
                THEN ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder) END,
           CASE WHEN a.atttypmod <> -1 THEN a.atttypmod WHEN whole.typmod <> -1 THEN whole.typmod
                ELSE coalesce(single.typmod, -1) END,
           coalesce((SELECT collisdeterministic FROM pg_collation WHERE oid = a.attcollation), true),
           a.attnotnull OR whole.not_null, coalesce(parts.is_unique, false), coalesce(parts.is_exclusion, false),
           a.attgenerated <> '', a.attidentity = 'a', coalesce(parts.strategies, '')
      FROM pg_attribute a
      JOIN resolved whole ON whole.type = a.atttypid
      LEFT JOIN resolved single ON single.type = whole.element AND whole.element <> 0
      JOIN pg_type t ON t.oid = coalesce(single.oid, whole.oid)
      LEFT JOIN parts ON parts.relation = a.attrelid AND parts.attnum = a.attnum
     WHERE a.attrelid = ANY(%(relations)s) AND a.attnum > 0 AND NOT a.attisdropped
     ORDER BY a.attrelid, a.attnum
""")
# Those of a partition that its table has as well are its table's.
_FOREIGN_KEYS = sql.SQL("""
    SELECT k.conname, k.conrelid, k.confrelid,
           ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(attnum, place)
                   JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum ORDER BY place),
           ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(attnum, place)
                   JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum ORDER BY place)
      FROM pg_constraint k
     WHERE k.contype = 'f' AND k.conparentid = 0
       AND k.conrelid = ANY(%(relations)s) AND k.confrelid = ANY(%(relations)s)
     ORDER BY k.conrelid, k.conname
""")
# What a type modifier holds beside its value (PostgreSQL's source, VARHDRSZ).
_HEADER = 4


def read_catalogue(opened: Session, without_schema: str = "") -> Catalogue:
    """Return the tables of this database, but for those of one schema, which is the pipeline's own."""
    found = opened.rows(_RELATIONS, {"without_schema": without_schema})
    oids = {"relations": [oid for oid, *_ in found]}
    columns: dict[int, list[Column]] = defaultdict(list)
    for oid, *row in opened.rows(_COLUMNS, oids) if found else ():
        columns[oid].append(_column(row))
    ((database, large_objects),) = opened.rows(
        sql.SQL("SELECT current_database(), EXISTS (SELECT FROM pg_largeobject_metadata)")
    )
    return Catalogue(
        database=database,
        relations=[_relation(row, columns[row[0]]) for row in found],
        foreign_keys=[
            ForeignKey(name=name, table=table, columns=names, referenced=referenced, referenced_columns=others)
            for name, table, referenced, names, others in (opened.rows(_FOREIGN_KEYS, oids) if found else ())
        ],
        foreign_servers=[
            name for (name,) in opened.rows(sql.SQL("SELECT srvname FROM pg_foreign_server ORDER BY srvname"))
        ],
        large_objects=large_objects,
    )


def _relation(row: tuple[Any, ...], columns: list[Column]) -> Relation:
    oid, schema, name, kind, owner, root, parents, pages, of_extension = row
    return Relation(
        oid=oid,
        schema=schema,
        name=name,
        kind=kind,
        owner=owner,
        root=root,
        parents=parents,
        of_extension=of_extension,
        pages=pages,
        columns=columns,
    )


def _column(row: list[Any]) -> Column:
    name, declared, base, trusted, array, labels, modifier, deterministic, not_null, unique, excluded, *last = row
    generated, identity_always, strategies = last
    limited = modifier >= _HEADER
    is_numeric = limited and base == "numeric"
    return Column(
        name=name,
        type=declared,
        base=base,
        trusted=trusted,
        array=array,
        labels=labels,
        length=modifier - _HEADER if limited and base in ("varchar", "bpchar") else None,
        precision=(modifier - _HEADER) >> 16 if is_numeric else None,
        # Eleven bits with a sign (PostgreSQL's source, numeric_typmod_scale).
        scale=(((modifier - _HEADER) & 0x7FF) ^ 0x400) - 0x400 if is_numeric else None,
        deterministic=deterministic,
        not_null=not_null,
        unique=unique,
        excluded=excluded,
        generated=generated,
        identity_always=identity_always,
        partition_strategies=strategies,
    )
