"""The policy's own checks, and the newest rows of its columns.

A check's SQL is opened as a cursor by PL/pgSQL, which PostgreSQL refuses for more than one statement and for anything
that returns no rows (PostgreSQL's source, SPI_cursor_open_with_args: "cannot open multi-query plan as cursor"). So no
text ends the transaction that cannot write, nor the time of its check.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from decimal import Decimal
from typing import Any

from psycopg2 import sql

from utils.contracts.verification import CheckResult
from utils.foreign_text import one_line
from utils.postgres.masking.sessions import as_text
from utils.postgres.session import Session
from utils.postgres.verification.foreign_tables import FOREIGN_BELOW
from utils.postgres.verification.reader import Answer, CutShort, Question, Reader
from utils.verification.policy import NewestRow, OwnCheck

_CURSOR = sql.Identifier("aurora_restore_check")
_OPEN = sql.SQL("DECLARE found refcursor := 'aurora_restore_check'; BEGIN OPEN found FOR EXECUTE {}; END")
# Of rows that should not be there, at most so many are looked for.
MAX_ROWS = 1_000_000
MAX_NUMBER = 60
NO_ROW = "no row"
# The oids of smallint, integer, bigint, real, double precision and numeric (PostgreSQL's source, pg_type.dat).
_NUMBERS = frozenset({21, 23, 20, 700, 701, 1700})
_MOMENTS = ("timestamptz", "timestamp", "date")
# A snapshot may have what was written until shortly after the time that RDS says. What lies later would hide the age of
# the data.
_TOLERANCE = dt.timedelta(minutes=10)
_NEWEST = sql.SQL("SELECT extract(epoch FROM max({0}))::float8 FROM {1} WHERE {0} <= {2} AND {0} > '-infinity'")
_TYPE = sql.SQL("""
    SELECT t.typname, {foreign_below} FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
       AND t.typnamespace = 'pg_catalog'::regnamespace
      JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p') JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = %s AND c.relname = %s AND a.attname = %s AND a.attnum > 0 AND NOT a.attisdropped
""").format(foreign_below=FOREIGN_BELOW.format(table=sql.SQL("c.oid")))


def own_check(reader: Reader, check: OwnCheck) -> CheckResult:
    """Run a check of the policy's author."""
    question = Question(
        name=check.name,
        kind="own_number" if check.is_number else "own_rows",
        scope=reader.database,
        expected=_range(check) if check.is_number else "0 rows",
        text_sha256=hashlib.sha256(check.text.encode()).hexdigest(),
    )

    def work(opened: Session) -> Answer:
        body = _OPEN.format(sql.Literal(check.text.strip().rstrip(";")))
        opened.run(sql.SQL("DO LANGUAGE plpgsql {}").format(as_text(body)))
        # What was evaluated while it was planned may have changed it.
        reader.limit(opened)
        return _number(opened, check) if check.is_number else _rows(opened)

    return reader.ask(question, work)


def _rows(opened: Session) -> Answer:
    """Count the rows in the server: none of them is sent."""
    with opened.connection.cursor() as cursor:
        cursor.execute(sql.SQL("MOVE FORWARD {} FROM {}").format(sql.Literal(MAX_ROWS), _CURSOR))
        number = cursor.rowcount
    at_least = "at least " if number >= MAX_ROWS else ""
    return Answer(held=number == 0, actual=f"{at_least}{number} rows")


def _number(opened: Session, check: OwnCheck) -> Answer:
    _prove_number(opened)
    rows = opened.rows(sql.SQL("FETCH FORWARD 2 FROM {}").format(_CURSOR))
    if len(rows) != 1:
        raise CutShort("it did not return one row with one number")
    ((value,),) = rows
    if value is None:
        raise CutShort("it returned NULL")
    number = Decimal(str(value))
    if not number.is_finite():
        raise CutShort("what it returned is not a finite number")
    held = (check.least is None or number >= Decimal(check.least)) and (
        check.most is None or number <= Decimal(check.most)
    )
    return Answer(held=held, actual=one_line(number, MAX_NUMBER))


def _prove_number(opened: Session) -> None:
    """Raise CutShort unless one number will come. A value of another type, which may be as long as a GB, is not sent.

    PostgreSQL itself limits a numeric to 131072 digits before its point and 16383 after it ("Numeric Types").
    """
    with opened.connection.cursor() as cursor:
        # Before its first row a cursor has none to fetch again; what its columns are is said all the same.
        cursor.execute(sql.SQL("FETCH FORWARD 0 FROM {}").format(_CURSOR))
        types = [column.type_code for column in cursor.description or ()]
    if len(types) != 1:
        raise CutShort("it did not return one row with one number")
    if types[0] not in _NUMBERS:
        raise CutShort("what it returned is not a number")


def _range(check: OwnCheck) -> str:
    if check.least is None:
        return f"at most {check.most}"
    return f"at least {check.least}" if check.most is None else f"{check.least} to {check.most}"


def newest_row(reader: Reader, wanted: NewestRow, snapshot_at: dt.datetime) -> tuple[CheckResult, dt.datetime | None]:
    """Return whether the newest row of a column is new enough, and its moment.

    What lies later than the snapshot does not count.
    """
    schema, table, column = wanted.column.name or ("", "", "")
    limit = wanted.max_hours
    expected = "a row" if limit is None else f"a row of at most {limit} hours before the snapshot"
    found: list[dt.datetime] = []

    def work(opened: Session) -> Answer:
        types = opened.rows(_TYPE, (schema, table, column))
        kind, foreign_below = types[0] if types else (None, False)
        if kind not in _MOMENTS:
            actual = "no such column" if kind is None else f"a column of type {kind}, which is no moment"
            return Answer(held=False, actual=actual)
        if foreign_below:
            raise CutShort("it has a foreign table among its partitions or children, and those are not read")
        # Infinity is no moment; without it and what is later, an index on the column answers. For a type without a time
        # zone, PostgreSQL ignores that of the literal ("Date/Time Types").
        latest = sql.Literal(f"{(snapshot_at + _TOLERANCE).astimezone(dt.UTC):%Y-%m-%d %H:%M:%S+00}")
        ((seconds,),) = opened.rows(_NEWEST.format(sql.Identifier(column), sql.Identifier(schema, table), latest))
        return _age(seconds, limit, snapshot_at, found)

    question = Question(name=column, kind="newest_row", scope=f"{reader.database}.{schema}.{table}", expected=expected)
    return reader.ask(question, work), found[0] if found else None


def _age(seconds: Any, limit: int | None, snapshot_at: dt.datetime, found: list[dt.datetime]) -> Answer:
    if seconds is None:
        return Answer(held=False, actual=NO_ROW)
    try:
        moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (ValueError, OverflowError, OSError):
        return Answer(held=False, actual="a moment before the year 1")
    found.append(moment)
    held = limit is None or snapshot_at - moment <= dt.timedelta(hours=limit)
    return Answer(held=held, actual=f"{moment:%Y-%m-%d %H:%M:%S} UTC")
