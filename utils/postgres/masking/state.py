"""The state of the masking in each database: a schema of the master user's, dropped in the end.

The masking role may write none of it but which rows of the table at work have moved, since code of the data may do what
that role may. The gate believes none of it where the rows show it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from psycopg2 import sql

from utils.errors import StepFailed
from utils.postgres.masking.sessions import Place
from utils.postgres.masking.work import DatabaseWork, TableWork
from utils.postgres.session import Session

# In the order in which the slices pass them.
BARED, TRIED = "bared", "tried"
MASKED, RESTORED, ADDED, ANALYZED = "masked", "restored", "added", "analyzed"
REFRESHED, EXAMINED, PASSED = "refreshed", "examined", "passed"

_CREATE = sql.SQL("""
CREATE SCHEMA {schema};
CREATE TABLE {schema}.stage (name text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE {schema}.finding (number int GENERATED ALWAYS AS IDENTITY, text text NOT NULL);
CREATE TABLE {schema}.policy (own_sql jsonb NOT NULL, checks jsonb NOT NULL, empty_large_objects boolean NOT NULL);
CREATE TABLE {schema}.work (
    rel oid PRIMARY KEY, position int NOT NULL, schema_name text NOT NULL, table_name text NOT NULL,
    owners text[] NOT NULL, is_empty boolean NOT NULL, moves boolean NOT NULL);
CREATE TABLE {schema}.masked_column (
    rel oid NOT NULL, position int NOT NULL, name text NOT NULL, value text NOT NULL, not_masked text, refused text,
    distinct_by text, PRIMARY KEY (rel, position));
CREATE TABLE {schema}.progress (
    rel oid PRIMARY KEY, tried boolean NOT NULL DEFAULT false, bound bigint, next bigint NOT NULL DEFAULT 0,
    masked_rows bigint NOT NULL DEFAULT 0, chunks int NOT NULL DEFAULT 0, done boolean NOT NULL DEFAULT false);
CREATE TABLE {schema}.begun (key bigint PRIMARY KEY, number xid8 NOT NULL, mark text NOT NULL);
CREATE TABLE {schema}.moved (tid tid PRIMARY KEY);
CREATE TABLE {schema}.own_done (number int PRIMARY KEY);
CREATE TABLE {schema}.lent (rel oid PRIMARY KEY, owner text NOT NULL, forced boolean NOT NULL);
CREATE TABLE {schema}.attached (rel oid NOT NULL, kind text NOT NULL, name text NOT NULL, definition text NOT NULL);
CREATE TABLE {schema}.called (rel oid, routine oid, PRIMARY KEY (rel, routine));
CREATE TABLE {schema}.known_column (
    schema_name text, table_name text, name text, PRIMARY KEY (schema_name, table_name, name));
CREATE TABLE {schema}.passed_check (name text PRIMARY KEY);
CREATE TABLE {schema}.examined (rel oid PRIMARY KEY, next bigint NOT NULL DEFAULT 0, counted bigint NOT NULL DEFAULT 0,
    done boolean NOT NULL DEFAULT false);
CREATE TABLE {schema}.listed (
    listing text PRIMARY KEY, rel oid NOT NULL, page bigint NOT NULL, unseen bigint[] NOT NULL);
CREATE TABLE {schema}.vacuumed (rel oid PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE {schema}.analyzed (rel oid PRIMARY KEY);
CREATE TABLE {schema}.statistics_owner (name text PRIMARY KEY);
CREATE TABLE {schema}.undo (
    number int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, phase int NOT NULL, rels oid[] NOT NULL,
    by_masker boolean NOT NULL, statement text NOT NULL, still text NOT NULL,
    dropped_at timestamptz NOT NULL DEFAULT now(), restored_at timestamptz);
GRANT USAGE ON SCHEMA {schema} TO {masker};
GRANT SELECT, INSERT ON {schema}.moved TO {masker}
""")


# The routines that each table's or view's CHECKs, domains, generated columns, indexes, statistics, triggers and query
# call, before some of these are dropped. PostgreSQL's own are no dependencies.
_CALLED = sql.SQL("""
    WITH parts(rel, classid, objid) AS (
        SELECT conrelid, 'pg_constraint'::regclass, oid FROM pg_constraint WHERE conrelid <> 0
        UNION ALL SELECT a.attrelid, 'pg_constraint'::regclass, c.oid FROM pg_constraint c
                    JOIN pg_attribute a ON a.atttypid = c.contypid
        UNION ALL SELECT adrelid, 'pg_attrdef'::regclass, oid FROM pg_attrdef
        UNION ALL SELECT indrelid, 'pg_class'::regclass, indexrelid FROM pg_index
        UNION ALL SELECT stxrelid, 'pg_statistic_ext'::regclass, oid FROM pg_statistic_ext
        UNION ALL SELECT tgrelid, 'pg_trigger'::regclass, oid FROM pg_trigger
        UNION ALL SELECT ev_class, 'pg_rewrite'::regclass, oid FROM pg_rewrite
    )
    SELECT DISTINCT p.rel, d.refobjid FROM parts p
      JOIN pg_depend d ON d.classid = p.classid AND d.objid = p.objid AND d.refclassid = 'pg_proc'::regclass
""")


def state_schema(fingerprint: str) -> str:
    """Return the schema's name."""
    return f"aurora_restore_mask_{fingerprint}"


def has_state(opened: Session, schema: str) -> bool:
    """Return whether the schema exists. Raises StepFailed where it is not the master user's."""
    found = opened.rows(
        sql.SQL("SELECT pg_get_userbyid(nspowner) = current_user FROM pg_namespace WHERE nspname = %s"), (schema,)
    )
    if found == [(False,)]:
        raise StepFailed(
            f"The schema {schema!r}, which is the masking's, came with the data. Drop it in the source, then start "
            "again."
        )
    return bool(found)


def create_state(opened: Session, place: Place, work: DatabaseWork, findings: Iterable[str]) -> None:
    """Create the schema with the plan in it, in the caller's transaction."""
    opened.run(_CREATE.format(schema=sql.Identifier(place.schema), masker=sql.Identifier(place.masker.name)))
    own = [msgspec.to_builtins(each) for each in work.own_sql]
    checks = [msgspec.to_builtins(each) for each in work.checks]
    opened.run(
        sql.SQL("INSERT INTO {} VALUES (%s, %s, %s)").format(place.state("policy")),
        (msgspec.json.encode(own).decode(), msgspec.json.encode(checks).decode(), work.empty_large_objects),
    )
    for position, table in enumerate(work.tables):
        opened.run(
            sql.SQL("INSERT INTO {} SELECT %s, %s, %s, %s, {}, %s, %s").format(place.state("work"), _owners_of(table)),
            (table.oid, position, table.schema, table.table, table.empty, table.moves),
        )
        opened.run(sql.SQL("INSERT INTO {} (rel) VALUES (%s)").format(place.state("progress")), (table.oid,))
        for number, column in enumerate(table.columns):
            texts = (column.value, column.not_masked, column.refused, column.distinct_by)
            opened.run(
                sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, %s, %s, %s, %s)").format(place.state("masked_column")),
                (table.oid, number, column.name, *(_as_text(opened, text) for text in texts)),
            )
    opened.run(sql.SQL("INSERT INTO {} {}").format(place.state("known_column"), columns_with_rows(place)))
    opened.run(sql.SQL("INSERT INTO {} {}").format(place.state("called"), _CALLED))
    record(opened, place, findings)


def _owners_of(table: TableWork) -> sql.Composed:
    """Return the query for the owners of a table and of all of its partitions."""
    return sql.SQL(
        "(WITH RECURSIVE parts(rel) AS (SELECT {}::oid UNION SELECT inhrelid FROM parts JOIN pg_inherits"
        " ON inhparent = parts.rel WHERE {}) SELECT array_agg(DISTINCT pg_get_userbyid(c.relowner)::text)"
        " FROM parts JOIN pg_class c ON c.oid = parts.rel)"
    ).format(sql.Literal(table.oid), sql.Literal(table.moves))


def columns_with_rows(place: Place) -> sql.Composed:
    """Return the query for the columns of everything that has rows here."""
    return sql.SQL(
        "SELECT n.nspname::text, c.relname::text, a.attname::text FROM pg_attribute a"
        " JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'm')"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE a.attnum > 0 AND NOT a.attisdropped"
        " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> {}"
    ).format(sql.Literal(place.schema))


def _as_text(opened: Session, part: sql.Composable | None) -> str | None:
    return None if part is None else part.as_string(opened.connection)


def record(opened: Session, place: Place, findings: Iterable[str]) -> None:
    """Record what the run's report is to say."""
    for text in findings:
        opened.run(sql.SQL("INSERT INTO {} (text) VALUES (%s)").format(place.state("finding")), (text,))


def findings_in(opened: Session, place: Place) -> list[str]:
    """Return what was recorded."""
    found = opened.rows(sql.SQL("SELECT text FROM {} ORDER BY number").format(place.state("finding")))
    return [text for (text,) in found]


def is_past(opened: Session, place: Place, stage: str) -> bool:
    """Return whether the database has passed the stage."""
    return bool(opened.rows(sql.SQL("SELECT 1 FROM {} WHERE name = %s").format(place.state("stage")), (stage,)))


def pass_stage(opened: Session, place: Place, stage: str) -> None:
    """Record that the database has passed the stage."""
    opened.run(
        sql.SQL("INSERT INTO {} (name) VALUES (%s) ON CONFLICT DO NOTHING").format(place.state("stage")), (stage,)
    )


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One table of the plan, as it stands in the state."""

    rel: int
    schema: str
    table: str
    is_empty: bool
    moves: bool
    owners: list[str]
    columns: list[MaskedText]

    @property
    def name(self) -> sql.Identifier:
        """The table's name in a statement."""
        return sql.Identifier(self.schema, self.table)


class MaskedText(msgspec.Struct, frozen=True, kw_only=True):
    """One column of the plan, with the text of its SQL."""

    name: str
    value: str
    not_masked: str | None
    refused: str | None
    distinct_by: str | None


def tasks(opened: Session, place: Place) -> list[Task]:
    """Return the plan's tables, those of one owner after another, and of each the biggest first."""
    columns: dict[int, list[MaskedText]] = {}
    for rel, *texts in opened.rows(
        sql.SQL("SELECT rel, name, value, not_masked, refused, distinct_by FROM {} ORDER BY rel, position").format(
            place.state("masked_column")
        )
    ):
        columns.setdefault(rel, []).append(MaskedText(**dict(zip(MaskedText.__struct_fields__, texts, strict=True))))
    rows: list[tuple[Any, ...]] = opened.rows(
        sql.SQL(
            "SELECT rel, schema_name, table_name, is_empty, moves, owners FROM {} ORDER BY owners, position"
        ).format(place.state("work"))
    )
    return [
        Task(
            rel=rel,
            schema=schema,
            table=table,
            is_empty=is_empty,
            moves=moves,
            owners=owners,
            columns=columns.get(rel, []),
        )
        for rel, schema, table, is_empty, moves, owners in rows
    ]


def masked_rows(opened: Session, place: Place, task: Task) -> int:
    """Return how many rows of the table have been masked."""
    question = sql.SQL("SELECT masked_rows FROM {} WHERE rel = {}")
    ((count,),) = opened.rows(question.format(place.state("progress"), sql.Literal(task.rel)))
    return int(count)


def drop_state(opened: Session, schema: str) -> None:
    """Drop the schema if it exists."""
    if has_state(opened, schema):
        opened.run(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
