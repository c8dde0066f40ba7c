"""The masking gate: whether a database really is masked. It believes no mark of the masking's, and looks at every row.

All of it reads, as the masking role, in transactions that cannot write. What it reports are counts and names.
"""

from __future__ import annotations

import csv
import io

from psycopg2 import sql

from utils.errors import MaskingGateFailed
from utils.foreign_text import listed, one_line
from utils.postgres.borrowed_owners import borrowed_owners
from utils.postgres.databases import ANY_BYTES
from utils.postgres.foreign_keys import FOREIGN_KEYS, ForeignKeyConditions
from utils.postgres.masking.canary_places import TEXTS, written
from utils.postgres.masking.lending import lend_only
from utils.postgres.masking.listed_values import values_of_no_row
from utils.postgres.masking.own_sql import own_checks, own_sql
from utils.postgres.masking.sessions import Place, read_only
from utils.postgres.masking.state import (
    EXAMINED,
    Task,
    columns_with_rows,
    findings_in,
    masked_rows,
    pass_stage,
    record,
    tasks,
)
from utils.postgres.session import Session
from utils.postgres.slice_clock import SliceClock

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
_CANARIES = sql.Identifier("pg_temp", "aurora_restore_canary")
# How each text is compared: as it is, and without what definitions, arrays and documents write before, or double.
_HAS_CANARY = sql.SQL("""
    EXISTS (SELECT FROM {canaries} k WHERE strpos({text}, k.value) > 0
               OR CASE WHEN k.bare <> '' THEN strpos(translate({text}, {quotes}, ''), k.bare) > 0 END)
""")
_QUOTES = "'\"\\"
_LEAST_BARE = 6
_HIDDEN = "[a canary]"


def examine(place: Place, clock: SliceClock) -> None:
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
                "then start a new operation."
            )
        with place.as_master() as opened:
            _note_passed(opened, place, check.name)
    with place.as_master() as opened:
        pass_stage(opened, place, EXAMINED)


def _examine_rows(place: Place, clock: SliceClock, task: Task, *, may_differ: bool) -> None:
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
        sql.SQL(", ").join([sql.SQL("count(*)"), *counts]), task.only, task.name, within
    )


def _examine_keys(place: Place, clock: SliceClock) -> None:
    """Look for rows whose foreign key leads nowhere."""
    with place.as_master() as opened:
        keys = [
            ForeignKeyConditions(*row)
            for row in opened.rows(_FOREIGN_KEYS.format(keys=FOREIGN_KEYS, work=place.state("work")))
        ]
    for key in keys:
        with place.as_masker() as opened:
            read_only(opened, clock)
            ((orphans,),) = opened.rows(key.orphans)
        if orphans:
            raise MaskingGateFailed(
                f"{_in(place)} {orphans} rows of {one_line(key.child)} refer by {one_line(key.name)!r} to none of "
                f"{one_line(key.parent)}. Give both columns the same action and group in the policy, then start a new "
                "operation."
            )


def _examine_statistics(place: Place, clock: SliceClock, todo: list[Task]) -> None:
    if stale := values_of_no_row(place, clock, todo):
        raise MaskingGateFailed(
            f"{_in(place)} pg_stats still shows values that no row has, as ANALYZE did not replace them: "
            f"{listed(stale)}. Drop an index or a materialized view by the policy's own statements; for any other "
            "column insert rows without personal data in the source, ANALYZE, and delete them. Then start a new "
            "operation."
        )


def _examine_canaries(place: Place, clock: SliceClock) -> None:
    """Look for the policy's canaries in everything that is text, wherever they stand in it."""
    if not place.canaries:
        return
    with place.as_masker() as opened:
        relations = opened.rows(TEXTS.format(schema=sql.Literal(place.schema)))
    unread = []
    for schema, name, owner, readable, is_table, columns in relations:
        if not readable:
            unread.append(f"{one_line(schema)}.{one_line(name)} of {one_line(owner)!r}")
            continue
        with place.as_masker() as opened:
            _give_canaries(opened, place)
            read_only(opened, clock)
            (found,) = opened.rows(_count_canaries(schema, name, columns, only=is_table))
        for column, rows in zip(columns, found, strict=True):
            if rows:
                raise MaskingGateFailed(
                    f"{_in(place)} the policy's canaries stand in {rows} rows of "
                    f"{_without_canaries(place, '.'.join((schema, name, column)))}. Give that column an action in the "
                    "policy, then start a new operation."
                )
    unread += _examine_written(place, clock)
    with place.as_master() as opened:
        known = findings_in(opened, place)
        unsearched = [f"not searched for canaries: {each}" for each in unread]
        record(opened, place, [text for text in unsearched if text not in known])
        _note_passed(opened, place, "canaries")


def _count_canaries(schema: str, name: str, columns: list[str], *, only: bool) -> sql.Composed:
    """Return the query for how many rows of each column have one.

    concat() shows a value by its type's output function (PostgreSQL's source, concat_internal), and not by a cast,
    which may be a function of the type's owner. OFFSET 0 has each value shown once, not for each canary.
    """
    aliases = [sql.Identifier(f"column_{number}") for number in range(len(columns))]
    return sql.SQL("SELECT {counts} FROM (SELECT {texts} FROM {only} {table} r OFFSET 0) t ({aliases})").format(
        counts=sql.SQL(", ").join(
            sql.SQL("count(*) FILTER (WHERE {})").format(_has_canary(sql.SQL("t.{}").format(alias)))
            for alias in aliases
        ),
        texts=sql.SQL(", ").join(
            sql.SQL('concat(r.{}) COLLATE "C"').format(sql.Identifier(column)) for column in columns
        ),
        only=sql.SQL("ONLY" if only else ""),
        table=sql.Identifier(schema, name),
        aliases=sql.SQL(", ").join(aliases),
    )


def _has_canary(text: sql.Composable) -> sql.Composed:
    return _HAS_CANARY.format(canaries=_CANARIES, text=text, quotes=sql.Literal(_QUOTES))


def _examine_written(place: Place, clock: SliceClock) -> list[str]:
    """Look for them in names, comments, defaults, definitions, options and statistics. Return what cannot be read."""
    with place.as_masker() as opened:
        _give_canaries(opened, place)
        read_only(opened, clock)
        found = [
            where
            for (where,) in opened.rows(
                sql.SQL(
                    "SELECT DISTINCT what || CASE WHEN class = 0 THEN ''"
                    " ELSE coalesce(pg_describe_object(class, id, sub), '?') END FROM ({}) w WHERE {} ORDER BY 1"
                ).format(written(opened.version), _has_canary(sql.SQL('(w.said COLLATE "C")')))
            )
        ]
    in_mappings, unread = _examine_user_mappings(place)
    if found := [_without_canaries(place, where) for where in [*found, *in_mappings]]:
        raise MaskingGateFailed(
            f"{_in(place)} the policy's canaries stand in {listed(found)}. Change that in the source, or by the "
            "policy's own statements, then start a new operation."
        )
    return unread


def _examine_user_mappings(place: Place) -> tuple[list[str], list[str]]:
    """Return the user mappings whose options have a canary, and those whose options nobody shows us.

    PostgreSQL shows them to a server's owner where they are PUBLIC's, else to the mapped user (its documentation,
    "pg_user_mappings"). They are compared here, as a parameter with a canary could stand in the log.
    """
    with place.as_master() as opened:
        owners = opened.rows(sql.SQL("SELECT DISTINCT pg_get_userbyid(srvowner) FROM pg_foreign_server"))
        with borrowed_owners(opened, {owner for (owner,) in owners}):
            mappings = opened.rows(
                sql.SQL(
                    "SELECT format('the options of the user mapping for %s on server %s', usename, srvname), umoptions"
                    " FROM pg_user_mappings ORDER BY 1"
                )
            )
    canaries = _in_session(place)
    found = [where for where, options in mappings if any(each in text for each in canaries for text in options or ())]
    return found, [one_line(where) for where, options in mappings if options is None]


def _without_canaries(place: Place, where: str) -> str:
    """Return a place's name for a message, without the canaries that may stand in it."""
    for canary in _in_session(place):
        for written_so in (canary, canary.replace('"', '""')):
            where = where.replace(written_so, _HIDDEN)
    return one_line(where)


def _in_session(place: Place) -> list[str]:
    """Return the canaries as the session has them.

    The session of a database without an encoding reads any bytes as characters of one byte each.
    """
    return [each.encode().decode(ANY_BYTES) if place.encoding == ANY_BYTES else each for each in place.canaries]


def _give_canaries(opened: Session, place: Place) -> None:
    """Write the canaries where no log and no backup has them, as the salt is.

    A document of `json` may have the other letters than ASCII's as escapes, and often has (RFC 8259, section 7).
    """
    create = sql.SQL(
        'CREATE TEMPORARY TABLE {} (value pg_catalog.text COLLATE "C" NOT NULL,'
        ' bare pg_catalog.text COLLATE "C" NOT NULL)'
    )
    opened.run(create.format(_CANARIES))
    escaped = {
        form
        for each in place.canaries
        if not each.isascii()
        for form in (_json_escaped(each), _json_escaped(each, "X"))
    }
    lines = io.StringIO()
    csv.writer(lines, quoting=csv.QUOTE_ALL).writerows(
        (each, _bare(each)) for each in [*_in_session(place), *sorted(escaped)]
    )
    lines.seek(0)
    with opened.connection.cursor() as cursor:
        cursor.copy_expert(sql.SQL("COPY {} FROM STDIN WITH (FORMAT csv)").format(_CANARIES), lines)


def _json_escaped(canary: str, digits: str = "x") -> str:
    """Return the canary as `json` has it where all but ASCII is escaped, with digits of this case."""
    units = canary.encode("utf-16-be")
    codes = [int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)]
    return "".join(chr(code) if code < 128 else f"\\u{code:04{digits}}" for code in codes)


def _bare(canary: str) -> str:
    """Return the canary without quotes and backslashes; nothing where it has none, or where too little is left."""
    bare = canary.translate(dict.fromkeys(map(ord, _QUOTES)))
    return bare if bare != canary and len(bare) >= _LEAST_BARE else ""


def _note_passed(opened: Session, place: Place, check: str) -> None:
    opened.run(
        sql.SQL("INSERT INTO {} VALUES (%s) ON CONFLICT DO NOTHING").format(place.state("passed_check")), (check,)
    )


def _shown(task: Task) -> str:
    return f"{one_line(task.schema)}.{one_line(task.table)}"


def _in(place: Place) -> str:
    return f"Masking failed in database {one_line(place.database)!r}, and the door of the restored cluster stays shut:"
