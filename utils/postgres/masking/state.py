"""The state of the masking in each database: a schema of the master user's, dropped in the end.

The master user executes what stands in it, so nobody else may write it: not by default privileges that came with the
data, which are the pipeline's own where the source was once restored by it. A role of the data's may all the same, as a
member of pg_write_all_data; so statements are sealed by the salt, which no code of the data meets. The masking role may
write none of it but which rows of the table at work have moved, since code of the data may do what that role may. The
gate believes none of it where the rows show it.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Any

import msgspec
from psycopg2 import sql

from utils.errors import StepFailed
from utils.foreign_text import listed, one_line
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
    owners text[] NOT NULL, is_empty boolean NOT NULL, moves boolean NOT NULL, shape text NOT NULL);
CREATE TABLE {schema}.masked_column (
    rel oid NOT NULL, position int NOT NULL, name text NOT NULL, value text NOT NULL, not_masked text, refused text,
    distinct_by text, seal text NOT NULL, PRIMARY KEY (rel, position));
CREATE TABLE {schema}.progress (
    rel oid PRIMARY KEY, tried boolean NOT NULL DEFAULT false, bound bigint, next bigint NOT NULL DEFAULT 0,
    masked_rows bigint NOT NULL DEFAULT 0, chunks int NOT NULL DEFAULT 0, done boolean NOT NULL DEFAULT false);
CREATE TABLE {schema}.begun (key bigint PRIMARY KEY, number xid8 NOT NULL, mark text NOT NULL,
    seal text NOT NULL);
CREATE TABLE {schema}.moved (tid tid PRIMARY KEY);
CREATE TABLE {schema}.computed (rel oid NOT NULL, name text NOT NULL, expressions text, condition text);
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
    number int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, turn int NOT NULL, rels oid[] NOT NULL,
    by_masker boolean NOT NULL, statement text NOT NULL, still text NOT NULL, seal text NOT NULL,
    dropped_at timestamptz NOT NULL DEFAULT now(), restored_at timestamptz)
""")
# PostgreSQL's documentation, "ALTER DEFAULT PRIVILEGES": what a role creates gets its default privileges.
_GRANTED_TO_OTHERS = sql.SQL("""
    SELECT DISTINCT of, name, CASE WHEN grantee <> 0 THEN pg_get_userbyid(grantee)::text END FROM (
        SELECT 'SCHEMA', nspname::text, nspowner, (aclexplode(nspacl)).grantee FROM pg_namespace
         WHERE nspname = {schema}
        UNION ALL
        SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, relname::text, relowner,
               (aclexplode(relacl)).grantee
          FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = {schema})
        UNION ALL
        SELECT 'TABLE', relname::text, relowner, (aclexplode(attacl)).grantee
          FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
         WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = {schema})
    ) AS granted (of, name, owner, grantee) WHERE grantee <> owner
""")
_PARTS = sql.SQL("""
    WITH RECURSIVE parts(rel) AS (
        SELECT {rel}::oid UNION SELECT inhrelid FROM parts JOIN pg_inherits ON inhparent = parts.rel WHERE {moves}
    )
""")
_SHAPE = sql.SQL("""
    {parts}
    SELECT md5(coalesce(string_agg(format('%s %s %s %L', rel, attnum, atttypid, attname), ',' ORDER BY rel, attnum),
                        ''))
      FROM parts JOIN pg_attribute ON attrelid = rel AND attnum > 0 AND NOT attisdropped
""")
_KINDS = {"SCHEMA": sql.SQL("SCHEMA"), "SEQUENCE": sql.SQL("SEQUENCE"), "TABLE": sql.SQL("TABLE")}
_ADMIT = sql.SQL("GRANT USAGE ON SCHEMA {schema} TO {masker}; GRANT SELECT, INSERT ON {moved} TO {masker}")


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
            "a new operation."
        )
    return bool(found)


def create_state(opened: Session, place: Place, work: DatabaseWork, findings: Iterable[str]) -> None:
    """Create the schema with the plan in it, in the caller's transaction."""
    schema, masker = sql.Identifier(place.schema), sql.Identifier(place.masker.name)
    opened.run(_CREATE.format(schema=schema))
    for of, name, role in _granted_to_others(opened, place.schema):
        named = schema if of == "SCHEMA" else place.state(name)
        grantee = sql.SQL("PUBLIC") if role is None else sql.Identifier(role)
        opened.run(sql.SQL("REVOKE ALL ON {} {} FROM {} CASCADE").format(_KINDS[of], named, grantee))
    opened.run(_ADMIT.format(schema=schema, moved=place.state("moved"), masker=masker))
    prove_state(opened, place)
    own = [msgspec.to_builtins(each) for each in work.own_sql]
    checks = [msgspec.to_builtins(each) for each in work.checks]
    opened.run(
        sql.SQL("INSERT INTO {} VALUES (%s, %s, %s)").format(place.state("policy")),
        (msgspec.json.encode(own).decode(), msgspec.json.encode(checks).decode(), work.empty_large_objects),
    )
    for position, table in enumerate(work.tables):
        shape = shape_of(opened, table.oid, moves=table.moves)
        opened.run(
            sql.SQL("INSERT INTO {} SELECT %s, %s, %s, %s, {}, %s, %s, %s").format(
                place.state("work"), _owners_of(table)
            ),
            (table.oid, position, table.schema, table.table, table.empty, table.moves, shape),
        )
        opened.run(sql.SQL("INSERT INTO {} (rel) VALUES (%s)").format(place.state("progress")), (table.oid,))
        for number, column in enumerate(table.columns):
            parts = (column.value, column.not_masked, column.refused, column.distinct_by)
            texts = (column.name, *(_as_text(opened, part) for part in parts))
            opened.run(
                sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, %s, %s, %s, %s, %s)").format(place.state("masked_column")),
                (table.oid, number, *texts, seal(place, "masked", table.oid, shape, *texts)),
            )
    opened.run(sql.SQL("INSERT INTO {} {}").format(place.state("known_column"), columns_with_rows(place)))
    opened.run(sql.SQL("INSERT INTO {} {}").format(place.state("called"), _CALLED))
    record(opened, place, findings)


def prove_state(opened: Session, place: Place) -> None:
    """Raise StepFailed where anybody but the master user, and the masking role as far as it has to, may use it."""
    admitted = {("SCHEMA", place.schema, place.masker.name), ("TABLE", "moved", place.masker.name)}
    others = [each for each in _granted_to_others(opened, place.schema) if each not in admitted]
    if others:
        told = listed(f"{one_line(role or 'PUBLIC')!r} on {of.lower()} {one_line(name)}" for of, name, role in others)
        raise StepFailed(
            f"Masking failed in database {one_line(place.database)!r}, and the restored cluster's door stays shut: the "
            f"masking's own schema {place.schema} has rights of others: {told}. No default privilege gives them. Find "
            "out what of the data does, then start a new operation."
        )


def seal(place: Place, *parts: object) -> str:
    """Return what proves that the pipeline has written these parts of a row: their HMAC by the salt."""
    return hmac.new(place.salt.encode(), repr(parts).encode(), "sha256").hexdigest()


def prove_seal(place: Place, sealed: str, *parts: object) -> None:
    """Raise StepFailed where somebody else has written a row whose text is to be executed."""
    if not hmac.compare_digest(sealed, seal(place, *parts)):
        raise StepFailed(
            f"Masking failed in database {one_line(place.database)!r}, and the restored cluster's door stays shut: "
            f"somebody has changed the masking's own schema {place.schema}, such as code of a role that may write "
            "every table (pg_write_all_data). Find out what of the data does, then start a new operation."
        )


def _granted_to_others(opened: Session, schema: str) -> list[tuple[str, str, str | None]]:
    """Return on what somebody else than its owner has rights, and who; None is PUBLIC."""
    return list(opened.rows(_GRANTED_TO_OTHERS.format(schema=sql.Literal(schema))))


def shape_of(opened: Session, rel: int, *, moves: bool) -> str:
    """Return a digest of the columns and types of a table, and of its partitions where its rows `move`."""
    ((shape,),) = opened.rows(_SHAPE.format(parts=parts_of(rel, moves=moves)))
    return str(shape)


def parts_of(rel: int, *, moves: bool) -> sql.Composed:
    """Return the beginning of a query over `parts (rel)`: a table, and its partitions where its rows `move`."""
    return _PARTS.format(rel=sql.Literal(rel), moves=sql.Literal(moves))


def _owners_of(table: TableWork) -> sql.Composed:
    """Return the query for the owners of a table and of all of its partitions."""
    return sql.SQL(
        "({} SELECT array_agg(DISTINCT pg_get_userbyid(relowner)::text) FROM parts JOIN pg_class ON oid = rel)"
    ).format(parts_of(table.oid, moves=table.moves))


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
    shape: str
    """Which columns it had, and of which types, before anything of the data could run (`shape_of`)."""
    columns: list[MaskedText]

    @property
    def name(self) -> sql.Identifier:
        """Return the table's name as a statement writes it."""
        return sql.Identifier(self.schema, self.table)

    @property
    def only(self) -> sql.SQL:
        """Return ONLY, as a statement writes it before the name; nothing where rows move, since parts are no tasks."""
        return sql.SQL("" if self.moves else "ONLY")


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
    for rel, shape, *texts, sealed in opened.rows(
        sql.SQL(
            "SELECT m.rel, w.shape, name, value, not_masked, refused, distinct_by, seal"
            " FROM {} m JOIN {} w ON w.rel = m.rel ORDER BY m.rel, m.position"
        ).format(place.state("masked_column"), place.state("work"))
    ):
        prove_seal(place, sealed, "masked", rel, shape, *texts)
        columns.setdefault(rel, []).append(MaskedText(**dict(zip(MaskedText.__struct_fields__, texts, strict=True))))
    rows: list[tuple[Any, ...]] = opened.rows(
        sql.SQL(
            "SELECT rel, schema_name, table_name, is_empty, moves, owners, shape FROM {} ORDER BY owners, position"
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
            shape=shape,
            columns=columns.get(rel, []),
        )
        for rel, schema, table, is_empty, moves, owners, shape in rows
    ]


def marked(place: Place, task: Task, values: sql.Composable) -> sql.Composed:
    """Return the statement that records something of a table."""
    return sql.SQL("UPDATE {} SET {} WHERE rel = {}").format(place.state("progress"), values, sql.Literal(task.rel))


def masked_rows(opened: Session, place: Place, task: Task) -> int:
    """Return how many rows of the table have been masked."""
    question = sql.SQL("SELECT masked_rows FROM {} WHERE rel = {}")
    ((count,),) = opened.rows(question.format(place.state("progress"), sql.Literal(task.rel)))
    return int(count)


def drop_state(opened: Session, schema: str) -> None:
    """Drop the schema if it exists."""
    if has_state(opened, schema):
        opened.run(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
