"""The masking gate: whether a database really is masked. It believes no mark of the masking's, and looks at every row.

All of it reads, as the masking role, in transactions that cannot write. What it reports are counts and names.
"""

from __future__ import annotations

import csv
import io

from psycopg2 import sql

from utils.errors import MaskingGateFailed
from utils.foreign_text import listed, one_line
from utils.postgres.databases import ANY_BYTES
from utils.postgres.foreign_keys import FOREIGN_KEYS, ForeignKey
from utils.postgres.masking.lending import lend_only
from utils.postgres.masking.listed_values import values_of_no_row
from utils.postgres.masking.own_sql import own_checks, own_sql
from utils.postgres.masking.sessions import Clock, Place, read_only
from utils.postgres.masking.state import EXAMINED, Task, columns_with_rows, masked_rows, pass_stage, record, tasks
from utils.postgres.session import Session

PAGES = 32768

# Foreign keys of the tables at work, which PostgreSQL validated when they were restored.
_FOREIGN_KEYS = sql.SQL("""
    SELECT conname, child, child_alone, parent, parent_alone, same, given FROM ({keys}) k
     WHERE convalidated
       AND (conrelid IN (SELECT rel FROM {work}) OR confrelid IN (SELECT rel FROM {work})
            OR EXISTS (SELECT FROM pg_partition_tree(conrelid) t JOIN {work} w ON w.rel = t.relid)
            OR EXISTS (SELECT FROM pg_partition_tree(confrelid) t JOIN {work} w ON w.rel = t.relid))
     ORDER BY 1, 2
""")
# Tables and materialized views that we may read, with their columns of texts and documents, and arrays and domains of
# them. Nothing but these is cast: a cast from a type that a user created may be a function of that user's.
_TEXTS = sql.SQL("""
    WITH RECURSIVE made_of AS (
        SELECT oid AS type, oid AS of FROM pg_type
        UNION ALL
        SELECT made_of.type, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END
          FROM made_of JOIN pg_type t ON t.oid = made_of.of
         WHERE t.typtype = 'd' OR (t.typcategory = 'A' AND t.typelem <> 0)
    )
    SELECT n.nspname, c.relname, c.relkind = 'r', array_agg(a.attname::text ORDER BY a.attnum)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND n.nspname !~ '^pg_' AND n.nspname <> {schema}
       AND n.nspname <> 'information_schema' AND pg_has_role(c.relowner, 'USAGE')
       AND EXISTS (SELECT FROM made_of m WHERE m.type = a.atttypid
                      AND m.of IN ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'name'::regtype,
                                   'json'::regtype, 'jsonb'::regtype, 'xml'::regtype))
     GROUP BY c.oid, 1, 2, 3 ORDER BY 1, 2
""")
# What is no data of rows, and yet may hold it. Built-in objects have lower numbers (PostgreSQL's source, transam.h).
_WRITTEN = sql.SQL("""
    SELECT 'a comment on ' || pg_describe_object(classoid, objoid, objsubid) AS place, description AS said
      FROM pg_description WHERE objoid >= 16384
    UNION ALL
    SELECT pg_describe_object('pg_attrdef'::regclass, oid, 0), pg_get_expr(adbin, adrelid) FROM pg_attrdef
    UNION ALL
    SELECT pg_describe_object('pg_class'::regclass, attrelid, attnum) || ' (value of older rows)', attmissingval::text
      FROM pg_attribute WHERE atthasmissing
    UNION ALL
    SELECT pg_describe_object('pg_constraint'::regclass, oid, 0), pg_get_constraintdef(oid)
      FROM pg_constraint WHERE oid >= 16384
    UNION ALL
    SELECT pg_describe_object('pg_class'::regclass, indexrelid, 0), pg_get_indexdef(indexrelid)
      FROM pg_index WHERE indexrelid >= 16384
    UNION ALL
    SELECT pg_describe_object('pg_rewrite'::regclass, oid, 0), pg_get_ruledef(oid) FROM pg_rewrite WHERE oid >= 16384
    UNION ALL
    SELECT pg_describe_object('pg_trigger'::regclass, oid, 0), pg_get_triggerdef(oid)
      FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT pg_describe_object('pg_policy'::regclass, oid, 0),
           concat_ws(' ', pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) FROM pg_policy
    UNION ALL
    SELECT pg_describe_object('pg_proc'::regclass, oid, 0), prosrc FROM pg_proc WHERE oid >= 16384
    UNION ALL
    SELECT pg_describe_object('pg_statistic_ext'::regclass, oid, 0), pg_get_statisticsobjdef(oid) FROM pg_statistic_ext
    UNION ALL
    SELECT 'a label of ' || pg_describe_object('pg_type'::regclass, enumtypid, 0), enumlabel FROM pg_enum
    UNION ALL
    SELECT 'the bounds of ' || pg_describe_object('pg_class'::regclass, oid, 0), pg_get_expr(relpartbound, oid)
      FROM pg_class WHERE relispartition
    UNION ALL
    SELECT format('statistics of column %s of %s.%s', attname, schemaname, tablename),
           concat_ws(' ', most_common_vals::text, histogram_bounds::text, most_common_elems::text)
      FROM pg_stats WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
""")
_CANARIES = sql.Identifier("pg_temp", "aurora_restore_canary")


def examine(place: Place, clock: Clock) -> None:
    """Raise MaskingGateFailed where the database is not masked as the policy asks."""
    with place.as_master() as opened:
        todo = tasks(opened, place)
        changed_since = bool(own_sql(opened, place))
        checks = own_checks(opened, place)
        new = opened.rows(
            sql.SQL("{} EXCEPT SELECT * FROM {} ORDER BY 1, 2, 3").format(
                columns_with_rows(place), place.state("known_column")
            )
        )
    if new:
        names = listed(".".join(row) for row in new)
        raise MaskingGateFailed(
            f"{_in(place)} columns appeared meanwhile, which nothing classifies: {names}. Check the policy's "
            "own statements, and what in the data creates tables."
        )
    lend_only(place, clock, None)
    for task in todo:
        _examine_rows(place, clock, task, may_differ=changed_since)
    _examine_keys(place, clock)
    _examine_statistics(place, clock, todo)
    _examine_canaries(place, clock)
    for check in checks:
        with place.as_masker() as opened:
            read_only(opened, clock)
            text = check.text.strip().rstrip(";")
            ((found,),) = opened.rows(sql.SQL("SELECT count(*) FROM (\n{}\n) AS found").format(sql.SQL(text)))
        if found:
            raise MaskingGateFailed(
                f"{_in(place)} the policy's check {one_line(check.name)!r} found {found} rows. Correct the policy, "
                "then start again."
            )
        with place.as_master() as opened:
            _note_passed(opened, place, check.name)
    with place.as_master() as opened:
        pass_stage(opened, place, EXAMINED)


def _examine_rows(place: Place, clock: Clock, task: Task, *, may_differ: bool) -> None:
    """Look at each value of the columns that have a masked form, and count the rows that were masked.

    The policy's statements may add and delete rows, so their number is reported then.
    """
    forms = [(column.name, column.not_masked) for column in task.columns if column.not_masked is not None]
    while True:
        with place.as_master() as opened:
            at, counted, done = _position(opened, place, task)
            masked = masked_rows(opened, place, task)
        if done:
            return
        with place.as_masker() as opened:
            read_only(opened, clock)
            ((pages,),) = opened.rows(
                sql.SQL("SELECT pg_relation_size({}) / current_setting('block_size')::bigint").format(
                    sql.Literal(task.rel)
                )
            )
            if pages is None:
                if may_differ:
                    return
                raise MaskingGateFailed(f"{_in(place)} {_shown(task)} was dropped. Check what in the data does that.")
            until = pages if task.moves else min(at + PAGES, pages)
            ((rows, *unmasked),) = opened.rows(_scan(task, [form for _, form in forms], at, until))
        for (name, _), wrong in zip(forms, unmasked, strict=True):
            if wrong:
                raise MaskingGateFailed(
                    f"{_in(place)} {wrong} rows of {_shown(task)}.{one_line(name)} do not have the masked form. "
                    "Check the policy's own statements, and what in the data writes to that column."
                )
        counted += rows
        done = task.moves or until >= pages
        different = f"{_shown(task)} has {counted} rows, of which {masked} were masked"
        if done and counted != masked and not may_differ:
            raise MaskingGateFailed(f"{_in(place)} {different}. Check what in the data writes to that table.")
        with place.as_master() as opened:
            if done and counted != masked:
                record(opened, place, [different])
            opened.run(
                sql.SQL(
                    "INSERT INTO {} VALUES (%s, %s, %s, %s) ON CONFLICT (rel) DO UPDATE"
                    " SET next = excluded.next, counted = excluded.counted, done = excluded.done"
                ).format(place.state("examined")),
                (task.rel, until, counted, done),
            )


def _position(opened: Session, place: Place, task: Task) -> tuple[int, int, bool]:
    found = opened.rows(
        sql.SQL("SELECT next, counted, done FROM {} WHERE rel = {}").format(
            place.state("examined"), sql.Literal(task.rel)
        )
    )
    return found[0] if found else (0, 0, False)


def _scan(task: Task, forms: list[str], low: int, high: int) -> sql.Composed:
    counts = [sql.SQL("count(*) FILTER (WHERE {})").format(sql.SQL(form)) for form in forms]
    within: sql.Composable = sql.SQL("")
    if not task.moves:
        within = sql.SQL(" WHERE ctid >= {}::tid AND ctid < {}::tid").format(
            sql.Literal(f"({low},0)"), sql.Literal(f"({high},0)")
        )
    return sql.SQL("SELECT {} FROM {} {}{}").format(
        sql.SQL(", ").join([sql.SQL("count(*)"), *counts]), sql.SQL("" if task.moves else "ONLY"), task.name, within
    )


def _examine_keys(place: Place, clock: Clock) -> None:
    """Look for rows whose foreign key leads nowhere."""
    with place.as_master() as opened:
        keys = [
            ForeignKey(*row) for row in opened.rows(_FOREIGN_KEYS.format(keys=FOREIGN_KEYS, work=place.state("work")))
        ]
    for key in keys:
        with place.as_masker() as opened:
            read_only(opened, clock)
            ((orphans,),) = opened.rows(key.orphans)
        if orphans:
            raise MaskingGateFailed(
                f"{_in(place)} {orphans} rows of {one_line(key.child)} refer by {one_line(key.name)!r} to none of "
                f"{one_line(key.parent)}. Give both columns the same action and group in the policy, then start again."
            )


def _examine_statistics(place: Place, clock: Clock, todo: list[Task]) -> None:
    if stale := values_of_no_row(place, clock, todo):
        raise MaskingGateFailed(
            f"{_in(place)} pg_stats still shows values that no row has, as ANALYZE did not replace them: "
            f"{listed(stale)}. Drop an index or a materialized view by the policy's own statements; for any other "
            "column insert rows without personal data in the source, ANALYZE, and delete them. Then start again."
        )


def _examine_canaries(place: Place, clock: Clock) -> None:
    """Look for the policy's canaries in everything that is text, wherever they stand in it."""
    if not place.canaries:
        return
    with place.as_masker() as opened:
        relations = opened.rows(_TEXTS.format(schema=sql.Literal(place.schema)))
    for schema, name, is_table, columns in relations:
        with place.as_masker() as opened:
            _give_canaries(opened, place)
            read_only(opened, clock)
            counts = [
                sql.SQL(
                    "count(*) FILTER (WHERE EXISTS"
                    ' (SELECT FROM {} k WHERE strpos(r.{}::text COLLATE "C", k.value) > 0))'
                ).format(_CANARIES, sql.Identifier(column))
                for column in columns
            ]
            (found,) = opened.rows(
                sql.SQL("SELECT {} FROM {} {} r").format(
                    sql.SQL(", ").join(counts), sql.SQL("ONLY" if is_table else ""), sql.Identifier(schema, name)
                )
            )
        for column, rows in zip(columns, found, strict=True):
            if rows:
                raise MaskingGateFailed(
                    f"{_in(place)} the policy's canaries stand in {rows} rows of "
                    f"{'.'.join(one_line(part) for part in (schema, name, column))}. Give that column an action in the "
                    "policy, then start again."
                )
    _examine_written(place, clock)
    with place.as_master() as opened:
        _note_passed(opened, place, "canaries")


def _examine_written(place: Place, clock: Clock) -> None:
    """Look for them in comments, defaults, definitions and statistics."""
    with place.as_masker() as opened:
        _give_canaries(opened, place)
        read_only(opened, clock)
        found = opened.rows(
            sql.SQL(
                "SELECT DISTINCT place FROM ({}) w WHERE EXISTS"
                ' (SELECT FROM {} k WHERE strpos(w.said COLLATE "C", k.value) > 0) ORDER BY 1'
            ).format(_WRITTEN, _CANARIES)
        )
    if found:
        raise MaskingGateFailed(
            f"{_in(place)} the policy's canaries stand in {listed(one_line(each) for (each,) in found)}. Change that "
            "in the source, or by the policy's own statements, then start again."
        )


def _give_canaries(opened: Session, place: Place) -> None:
    """Write the canaries where no log and no backup has them, as the salt is."""
    create = sql.SQL('CREATE TEMPORARY TABLE {} (value pg_catalog.text COLLATE "C" NOT NULL)').format(_CANARIES)
    opened.run(create)
    lines = io.StringIO()
    # The session of a database without an encoding reads any bytes as characters of one byte each.
    in_session = (each.encode().decode(ANY_BYTES) if place.encoding == ANY_BYTES else each for each in place.canaries)
    csv.writer(lines, quoting=csv.QUOTE_ALL).writerows([each] for each in in_session)
    lines.seek(0)
    with opened.connection.cursor() as cursor:
        cursor.copy_expert(sql.SQL("COPY {} FROM STDIN WITH (FORMAT csv)").format(_CANARIES), lines)


def _note_passed(opened: Session, place: Place, check: str) -> None:
    opened.run(
        sql.SQL("INSERT INTO {} VALUES (%s) ON CONFLICT DO NOTHING").format(place.state("passed_check")), (check,)
    )


def _shown(task: Task) -> str:
    return f"{one_line(task.schema)}.{one_line(task.table)}"


def _in(place: Place) -> str:
    return f"Masking failed in database {one_line(place.database)!r}, and the door of the restored cluster stays shut:"
