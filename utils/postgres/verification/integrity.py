"""What a database can have wrong without an error: indexes, sequences, foreign keys and extensions."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial

from msgspec import Struct
from psycopg2 import sql

from utils.contracts.verification import CheckResult
from utils.foreign_text import listed, one_line
from utils.policies.patterns import Pattern, matches
from utils.postgres.foreign_keys import FOREIGN_KEYS, ForeignKeyConditions
from utils.postgres.session import Session
from utils.postgres.verification.foreign_tables import FOREIGN_BELOW
from utils.postgres.verification.reader import Answer, CutShort, Question, Reader
from utils.postgres.verification.rows import LAST_SIZE, SIZE

BATCH = 50
# Of what a database has wrong, so many have a result of their own.
MAX_EACH = 100
_INVALID = sql.SQL("""
    SELECT n.nspname, t.relname, c.relname, i.indisvalid, i.indisready
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
      JOIN pg_namespace n ON n.oid = t.relnamespace
     WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) AND n.nspname !~ '^pg_'
     ORDER BY 1, 2, 3
""")
_EXTENSIONS = sql.SQL("""
    SELECT e.extname, e.extversion, a.default_version,
           EXISTS (SELECT FROM pg_available_extension_versions v
                    WHERE v.name = e.extname AND v.version = e.extversion)
      FROM pg_extension e LEFT JOIN pg_available_extensions a ON a.name = e.extname ORDER BY 1
""")
# Sequences of identity columns, and those that a default takes its value from as it is: what a default makes of it
# otherwise says nothing of where the sequence should be. One that begins again never falls behind. A partitioned table
# is not read where one of its partitions is foreign, nor is a big table whose column no index answers for.
_SEQUENCES = sql.SQL("""
    SELECT DISTINCT sn.nspname, s.relname, tn.nspname, t.relname, a.attname, q.seqincrement,
           t.relkind = 'p',
           t.relrowsecurity OR {foreign_below} OR CASE WHEN EXISTS (
               SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
                WHERE i.indrelid = t.oid AND i.indkey[0] = a.attnum AND i.indisvalid AND i.indpred IS NULL
                  AND m.amname = 'btree') THEN false
             ELSE coalesce((SELECT sum({size}) FROM pg_class c
                             WHERE c.oid IN (SELECT t.oid UNION SELECT relid FROM pg_partition_tree(t.oid)))
                           > {count_below}, false) END
           OR NOT (has_table_privilege(t.oid, 'SELECT') AND has_sequence_privilege(s.oid, 'SELECT')
                   AND has_schema_privilege(tn.oid, 'USAGE') AND has_schema_privilege(sn.oid, 'USAGE'))
      FROM pg_class s JOIN pg_namespace sn ON sn.oid = s.relnamespace JOIN pg_sequence q ON q.seqrelid = s.oid
      JOIN (SELECT objid AS sequence, refobjid AS rel, refobjsubid AS number FROM pg_depend
             WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
               AND deptype = 'i' AND refobjsubid > 0
            UNION
            SELECT d.refobjid, x.adrelid, x.adnum FROM pg_attrdef x
              JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = x.oid
               AND d.refclassid = 'pg_class'::regclass
             WHERE pg_get_expr(x.adbin, x.adrelid)
                   ~ '^[(]?nextval[(]E?''([^'']|'''')+''::regclass[)]+(::(smallint|integer|bigint))?$') u
        ON u.sequence = s.oid
      JOIN pg_class t ON t.oid = u.rel AND t.relkind IN ('r', 'p') JOIN pg_namespace tn ON tn.oid = t.relnamespace
      JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = u.number
       AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
     WHERE s.relkind = 'S' AND NOT q.seqcycle AND sn.nspname !~ '^pg_'
       AND NOT EXISTS (SELECT FROM pg_depend e
                        WHERE e.classid = 'pg_class'::regclass AND e.objid = t.oid AND e.deptype = 'e')
     ORDER BY 1, 2, 3, 4, 5
""")
_HIDDEN = "row security, an owner that cannot be acted for, a foreign partition, or a big column without an index"


class Use(Struct, frozen=True):
    """A sequence and a column that it feeds."""

    sequence_schema: str
    sequence: str
    schema: str
    table: str
    column: str
    increment: int
    is_partitioned: bool
    hidden: bool

    @property
    def question(self) -> sql.Composed:
        """Return the query: whether it has been used, where it is, and the furthest value of its column."""
        return sql.SQL("SELECT is_called, last_value, (SELECT {}({}) FROM {} {}) FROM {}").format(
            sql.SQL("max" if self.increment > 0 else "min"),
            sql.Identifier(self.column),
            sql.SQL("" if self.is_partitioned else "ONLY"),
            sql.Identifier(self.schema, self.table),
            sql.Identifier(self.sequence_schema, self.sequence),
        )

    def is_behind(self, is_called: bool, last: int, furthest: int | None) -> bool:
        """Return whether the sequence gives values that the column has already."""
        if furthest is None:
            return False
        following = last + self.increment if is_called else last
        return following <= furthest if self.increment > 0 else following >= furthest


def invalid_indexes(reader: Reader) -> Iterator[CheckResult]:
    """Yield a result for each invalid index, or one for all."""
    expected = "every index valid and ready"
    found: list[tuple[str, str, str, bool, bool]] = []

    def work(opened: Session) -> Answer:
        found.extend(opened.rows(_INVALID))
        return Answer(held=not found, actual=f"{len(found)} invalid indexes")

    whole = reader.ask(Question(name="indexes", kind="indexes", scope=reader.database, expected=expected), work)
    yield whole
    for schema, table, index, is_valid, is_ready in found[:MAX_EACH]:
        scope = f"{reader.database}.{schema}.{table}"
        state = "not valid" if not is_valid else "not ready" if not is_ready else "being dropped"
        question = Question(name=index, kind="indexes", scope=scope, expected="valid and ready")
        yield reader.result(question, Answer(held=False, actual=state), None, time.monotonic())


def extensions(reader: Reader) -> CheckResult:
    """Return whether the server has every extension that the database uses. A newer version is only mentioned."""

    def work(opened: Session) -> Answer:
        found = opened.rows(_EXTENSIONS)
        missing = [f"{name} {version}" for name, version, default, _ in found if default is None]
        if missing:
            return Answer(held=False, actual=f"this server does not offer {listed(missing)}")
        newer = [f"{name} {version} ({default})" for name, version, default, _ in found if default != version]
        said = f"; of another version than the server's default: {listed(newer, 10)}" if newer else ""
        return Answer(held=True, actual=f"{len(found)} extensions{said}")

    expected = "every extension offered by the server"
    return reader.ask(Question(name="extensions", kind="extensions", scope=reader.database, expected=expected), work)


def sequence_uses(reader: Reader, count_below: int) -> list[Use]:
    """Return the sequences with the columns that they feed. Raises CutShort.

    Tables up to so many bytes are read also where no index answers.
    """
    foreign_below = FOREIGN_BELOW.format(table=sql.SQL("t.oid"))
    asked = partial(_SEQUENCES.format, foreign_below=foreign_below, count_below=sql.Literal(count_below))
    try:
        with reader.quick.reading() as opened:
            rows = opened.rows(asked(size=SIZE))
    except CutShort:
        with reader.reading() as opened:
            rows = opened.rows(asked(size=LAST_SIZE))
    return [Use(*row) for row in rows]


def sequences_behind(reader: Reader, uses: Sequence[Use]) -> Iterator[CheckResult]:
    """Yield a result for each of these sequences that is behind its column. Raises CutShort where one is odd."""
    for use, (is_called, last, furthest) in zip(uses, _look(reader.quick, uses), strict=True):
        if use.is_behind(is_called, last, furthest):
            at = f"at {last}" + ("" if is_called else ", not used yet")
            answer = Answer(held=False, actual=f"{at}; the column has {furthest}")
            yield reader.result(_of_sequence(reader, use), answer, None, time.monotonic())


def sequence_behind(reader: Reader, use: Use) -> Iterator[CheckResult]:
    """Yield a result where one sequence is behind its column, or could not be looked at."""
    began = time.monotonic()
    try:
        ((is_called, last, furthest),) = _look(reader, [use])
    except CutShort as error:
        yield reader.result(_of_sequence(reader, use), None, str(error), began)
    else:
        if use.is_behind(is_called, last, furthest):
            answer = Answer(held=False, actual=f"at {last}; the column has {furthest}")
            yield reader.result(_of_sequence(reader, use), answer, None, began)


def _of_sequence(reader: Reader, use: Use) -> Question:
    return Question(
        name=f"{use.sequence_schema}.{use.sequence}",
        kind="sequences",
        scope=f"{reader.database}.{use.schema}.{use.table}",
        expected=f"beyond every value of {one_line(use.column)}",
    )


def all_sequences(reader: Reader, uses: Sequence[Use], wrong: int) -> CheckResult:
    """Return the result over all sequences of the database, of which so many have one of their own."""
    hidden = sum(use.hidden for use in uses)
    said = f"{len(uses) - hidden} sequences looked at, {wrong} behind or unknown"
    said += f"; {hidden} not looked at ({_HIDDEN})" if hidden else ""
    expected = "every sequence beyond its column's values"
    question = Question(name="sequences", kind="sequences", scope=reader.database, expected=expected)
    return reader.result(question, Answer(held=not wrong, actual=said, exact=not hidden), None, time.monotonic())


_Seen = tuple[bool, int, int | None]


def _look(reader: Reader, uses: Sequence[Use]) -> list[_Seen]:
    numbered = [
        sql.SQL("SELECT {} AS number, u.* FROM ({}) AS u (is_called, last, furthest)").format(
            sql.Literal(number), use.question
        )
        for number, use in enumerate(uses)
    ]
    with reader.reading() as opened:
        found = opened.rows(sql.SQL(" UNION ALL ").join(numbered))
    by_number = {number: (is_called, last, furthest) for number, is_called, last, furthest in found}
    return [by_number[number] for number in range(len(uses))]


def foreign_keys(reader: Reader, wanted: Sequence[Pattern]) -> list[ForeignKeyConditions]:
    """Return the foreign keys of the tables that the policy names. Raises CutShort."""
    question = sql.SQL(
        "SELECT n.nspname, c.relname, k.conname, k.child, k.child_alone, k.parent, k.parent_alone, k.same,"
        " k.given FROM ({}) k"
        " JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 1, 2, 3"
    ).format(FOREIGN_KEYS)
    with reader.reading() as opened:
        return [
            ForeignKeyConditions(*key)
            for schema, table, *key in opened.rows(question)
            if any(matches(each, (schema, table)) for each in wanted)
        ]


def orphans(reader: Reader, key: ForeignKeyConditions) -> CheckResult:
    """Return whether every row refers to one that exists."""

    def work(opened: Session) -> Answer:
        ((number,),) = opened.rows(key.orphans)
        return Answer(held=number == 0, actual=f"{number} rows")

    scope = f"{reader.database}.{key.child}"
    expected = "0 rows that refer to none"
    return reader.ask(Question(name=key.name, kind="foreign_keys", scope=scope, expected=expected), work)
