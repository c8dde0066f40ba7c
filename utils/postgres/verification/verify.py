"""All checks of a restored cluster, one database after the other, for as long as a slice lasts.

What is wrong with one database or table is a result, and the rest is checked.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from msgspec.structs import replace
from psycopg2 import sql

from utils.contracts.verification import CheckKind, CheckResult
from utils.errors import StepFailed, TemporaryFailure
from utils.foreign_text import MAX_SENTENCE, listed, one_line
from utils.policies.patterns import matches
from utils.postgres.databases import (
    ANY_BYTES,
    DatabaseCluster,
    DatabaseLeftOut,
    database_names,
    databases_to_enter,
)
from utils.postgres.foreign_keys import ForeignKeyConditions
from utils.postgres.own_roles import admit_own_role, dismiss_own_role, open_own_role
from utils.postgres.session import HELD, Server, Session, SqlRefused
from utils.postgres.slice_clock import OutOfTime, SliceClock
from utils.postgres.verification.fingerprint import schema_fingerprint
from utils.postgres.verification.integrity import (
    BATCH,
    Use,
    all_sequences,
    extensions,
    foreign_keys,
    invalid_indexes,
    orphans,
    sequence_behind,
    sequence_uses,
    sequences_behind,
)
from utils.postgres.verification.own import newest_row, own_check
from utils.postgres.verification.reader import (
    Answer,
    CutShort,
    Question,
    Reader,
    let_read,
    let_read_no_more,
    reader_role,
)
from utils.postgres.verification.rows import count_tables, tables_here, unmatched
from utils.postgres.verification.source import EnteredSource, LiveSource, SourceDatabase, StrangerMet, enter_source
from utils.postgres.verification.watchdog import end_sessions
from utils.verification.found import DatabaseFound, VerificationFound
from utils.verification.policy import MIB, DatabaseChecks, NewestRow, OwnCheck, VerificationPolicy
from utils.verification.source import databases_compared

_OTHERS, _DATABASES = "/others", "/source databases"
# What has to be left of a slice beside all the time that a check has: its end, its answer, and taking the role's
# rights back.
MARGIN_SECONDS = 60.0


def verify_slice(
    cluster: DatabaseCluster,
    policy: VerificationPolicy,
    found: VerificationFound,
    fingerprint: str,
    snapshot_at: dt.datetime,
    time_left: Callable[[], float],
    source: LiveSource | None = None,
) -> bool:
    """Check until everything is done or no time is left, and return whether it is done. `found` is added to.

    `source` is the cluster with which the restored one is compared, where the policy says so. Raises TemporaryFailure
    where the server admits nobody. What was found before that is not lost: the slice ends.
    """
    before = _size(found)
    try:
        return _checked(cluster, policy, found, fingerprint, snapshot_at, time_left, source)
    except TemporaryFailure:
        if _size(found) == before:
            raise
        return False


def _size(found: VerificationFound) -> int:
    return len(found.done) + sum(len(each.tables) for each in found.databases.values())


def _checked(
    cluster: DatabaseCluster,
    policy: VerificationPolicy,
    found: VerificationFound,
    fingerprint: str,
    snapshot_at: dt.datetime,
    time_left: Callable[[], float],
    source: LiveSource | None,
) -> bool:
    """Check as `verify_slice` says. The role that reads exists for the length of a slice."""
    clock = SliceClock(time_left, policy.check_seconds + MARGIN_SECONDS)
    role = reader_role(fingerprint)
    with cluster.maintenance() as maintenance:
        entered, left_out, warnings = databases_to_enter(cluster, maintenance)
        names = database_names(maintenance)
    _remove(cluster, entered, role)
    login = open_own_role(cluster, role)
    server = Server(host=cluster.server.host, port=cluster.server.port, ca_bundle=cluster.server.ca_bundle)
    try:
        if _OTHERS not in found.done:
            found.results += _not_entered(policy, names, entered, left_out, warnings)
            found.results += _unknown_databases(policy, entered)
            found.done.add(_OTHERS)
        entered_source = _source(source, policy, found, names, clock) if source is not None else None
        for name in entered:
            if not _is_left_out(policy, name) and f"{name}/" not in found.done:
                clock.remaining()
                reader = Reader(
                    cluster=cluster, server=server, login=login, database=name, limit_seconds=policy.check_seconds
                )
                _Database(cluster, reader, policy, found, snapshot_at, clock, entered_source).run_checks()
    except (OutOfTime, StrangerMet):
        return False
    finally:
        _remove(cluster, entered, role)
    return True


class _Database:
    """The checks of one database. Each is noted as done together with its result."""

    def __init__(
        self,
        cluster: DatabaseCluster,
        reader: Reader,
        policy: VerificationPolicy,
        found: VerificationFound,
        snapshot_at: dt.datetime,
        clock: SliceClock,
        source: EnteredSource | None,
    ) -> None:
        self._cluster, self._reader, self._policy, self._found = cluster, reader, policy, found
        self._snapshot_at, self._clock, self._source = snapshot_at, clock, source
        self._name = reader.database
        self._rules = _rules_for(policy, self._name)

    def run_checks(self) -> None:
        """Run what was not run yet."""
        if (why := self._why_closed()) is None:
            self._found.databases.setdefault(self._name, DatabaseFound(database=self._name))
            self._once("schema", self._schema)
            self._rows()
            self._once("indexes", partial(invalid_indexes, self._reader))
            self._once("extensions", lambda: [extensions(self._reader)])
            self._sequences()
            for number, wanted in enumerate(self._rules.newest_rows):
                self._once(f"newest/{number}", partial(self._newest, number, wanted))
            self._foreign_keys()
            for number, check in enumerate(self._rules.own):
                self._once(f"own/{number}", partial(self._own, check))
            self._compare_with_source()
        else:
            self._found.results.append(_not_run(self._name, why, self._reader.limit_ms))
        self._found.done.add(f"{self._name}/")

    def _why_closed(self) -> str | None:
        """Let the role in, and return why it cannot get in."""
        role = self._reader.login.name
        try:
            with self._cluster.maintenance() as maintenance:
                admit_own_role(maintenance, self._name, role)
            self._not_granted(self._cluster.within(self._name, partial(let_read, role=role)))
            self._reader = _readable(self._reader)
        except (StepFailed, DatabaseLeftOut, CutShort) as error:
            return str(error)
        except SqlRefused:
            return "its names cannot be read in any encoding"
        except TemporaryFailure as error:
            with self._cluster.maintenance():  # raises where not only this database admits nobody
                return str(error)
        return None

    def _not_granted(self, objects: list[str]) -> None:
        for each in objects:
            key = f"{self._name}/held/{each}"
            if key not in self._found.done:
                scope = f"{self._name}.{each}"
                question = Question(name="access", kind="rows", scope=scope, expected="the role that reads may read it")
                self._found.results.append(self._reader.result(question, None, HELD, time.monotonic()))
                self._found.done.add(key)

    def _once(self, key: str, work: Callable[[], Iterable[CheckResult]]) -> None:
        if (whole := f"{self._name}/{key}") not in self._found.done:
            self._clock.remaining()
            self._found.results += list(work())
            self._found.done.add(whole)

    def _schema(self) -> Iterator[CheckResult]:
        database = self._found.databases[self._name]

        def work(opened: Session) -> Answer:
            database.fingerprint = schema_fingerprint(opened)
            kinds = listed(f"{kind} {digest[:12]}" for kind, digest in sorted(database.fingerprint.items()))
            return Answer(held=True, actual=kinds or "an empty schema")

        yield self._reader.ask(self._question("schema", "schema", "a fingerprint"), work)

    def _rows(self) -> None:
        database, key = self._found.databases[self._name], f"{self._name}/rows"
        if key in self._found.done:
            return
        try:
            tables = tables_here(self._reader, self._rules.count, self._policy.count_below_mb * MIB)
        except CutShort as error:
            question = self._question("tables", "rows", "a list of them")
            self._found.results.append(self._reader.result(question, None, str(error), time.monotonic()))
            self._found.done.add(key)
            return
        done = {(each.schema, each.table) for each in database.tables}
        for each in count_tables(self._reader, tables, done, self._clock.remaining):
            database.tables.append(each)
        for name in unmatched(self._rules.count, tables):
            question = Question(name="rows", kind="rows", scope=f"{self._name}.{name}", expected="a table")
            answer = Answer(held=False, actual="it does not exist")
            self._found.results.append(self._reader.result(question, answer, None, time.monotonic()))
        self._found.done.add(key)

    def _sequences(self) -> None:
        if f"{self._name}/sequences" in self._found.done:
            return
        try:
            uses = sequence_uses(self._reader, self._policy.count_below_mb * MIB)
        except CutShort as error:
            question = self._question("sequences", "sequences", "a list of them")
            self._found.results.append(self._reader.result(question, None, str(error), time.monotonic()))
        else:
            seen = [use for use in uses if not use.hidden]
            for first in range(0, len(seen), BATCH):
                batch = seen[first : first + BATCH]
                self._batch_of_sequences(f"sequences/{first}", batch)
            wrong = sum(
                each.kind == "sequences" and each.scope.startswith(f"{one_line(self._name)}.")
                for each in self._found.results
            )
            self._found.results.append(all_sequences(self._reader, uses, wrong))
        self._found.done.add(f"{self._name}/sequences")

    def _batch_of_sequences(self, key: str, batch: list[Use]) -> None:
        try:
            self._once(key, partial(sequences_behind, self._reader, batch))
        except CutShort:
            # One of them is odd, or its column has no index: each by itself.
            for use in batch:
                one = f"{key}/{use.sequence_schema}.{use.sequence}/{use.schema}.{use.table}.{use.column}"
                self._once(one, partial(sequence_behind, self._reader, use))
            self._found.done.add(f"{self._name}/{key}")

    def _newest(self, number: int, wanted: NewestRow) -> Iterator[CheckResult]:
        result, moment = newest_row(self._reader, wanted, self._snapshot_at)
        if moment is not None:
            self._found.newest_row_at = max(moment, self._found.newest_row_at or moment)
            self._found.databases[self._name].newest[number] = moment
        yield result

    def _own(self, check: OwnCheck) -> Iterator[CheckResult]:
        yield own_check(self._reader, check)

    def _orphans(self, key: ForeignKeyConditions) -> Iterator[CheckResult]:
        yield orphans(self._reader, key)

    def _foreign_keys(self) -> None:
        if not self._rules.foreign_keys or f"{self._name}/keys" in self._found.done:
            return
        try:
            keys = foreign_keys(self._reader, self._rules.foreign_keys)
        except CutShort as error:
            question = self._question("foreign keys", "foreign_keys", "a list of them")
            self._found.results.append(self._reader.result(question, None, str(error), time.monotonic()))
        else:
            for key in keys:
                self._once(f"keys/{key.child}/{key.name}", partial(self._orphans, key))
        self._found.done.add(f"{self._name}/keys")

    def _compare_with_source(self) -> None:
        """Set this database against the same one of the source. What is wrong there stops nothing here."""
        rules, key = self._policy.source, f"{self._name}/source"
        if self._source is None or rules is None or self._name not in self._source.databases or key in self._found.done:
            return
        database = self._found.databases[self._name]
        compared = SourceDatabase(self._source, self._reader, self._rules, self._policy, rules, database)
        self._clock.remaining()
        try:
            if (why := compared.why_unfit()) is None:
                self._once("source/schema", compared.schema)
                for number, wanted in enumerate(self._rules.newest_rows):
                    self._once(f"source/newest/{number}", partial(compared.newest, number, wanted))
                self._once("source/rows", partial(compared.rows, self._clock.remaining))
        except CutShort as error:
            why = str(error)
        if why is not None:
            self._found.results.append(compared.not_run(why))
        self._found.done.add(key)

    def _question(self, name: str, kind: CheckKind, expected: str) -> Question:
        return Question(name=name, kind=kind, scope=self._name, expected=expected)


def _readable(reader: Reader) -> Reader:
    """Return the reader in the encoding in which the database's names can be read. Raises CutShort, SqlRefused."""
    try:
        _read_names(reader)
    except (SqlRefused, CutShort):
        # A server that has no encoding of its own refuses names that are not valid in the session's. Any other has
        # refused something else.
        if not _has_any_bytes(reader):
            raise
        reader = replace(reader, encoding=ANY_BYTES)
        _read_names(reader)
    return reader


def _has_any_bytes(reader: Reader) -> bool:
    with reader.reading() as opened:
        ((encoding,),) = opened.rows(sql.SQL("SELECT getdatabaseencoding()"))
    return bool(encoding == "SQL_ASCII")


def _read_names(reader: Reader) -> None:
    with reader.reading() as opened:
        opened.rows(sql.SQL("SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"))


def _rules_for(policy: VerificationPolicy, database: str) -> DatabaseChecks:
    """Return all rules that are for this database, as one."""
    of_it = [each for each in policy.databases if any(matches(pattern, (database,)) for pattern in each.patterns)]
    return DatabaseChecks(
        patterns=[],
        count=[pattern for each in of_it for pattern in each.count],
        foreign_keys=[pattern for each in of_it for pattern in each.foreign_keys],
        newest_rows=[wanted for each in of_it for wanted in each.newest_rows],
        own=[check for each in of_it for check in each.own],
    )


def _is_left_out(policy: VerificationPolicy, database: str) -> bool:
    return any(matches(pattern, (database,)) for pattern in policy.leave_out)


def _not_entered(
    policy: VerificationPolicy, names: list[str], entered: list[str], left_out: dict[str, str], warnings: list[str]
) -> Iterator[CheckResult]:
    for name in names:
        if name not in entered and not _is_left_out(policy, name):
            said = [each.removeprefix(f"{name}: ") for each in warnings if each.startswith(f"{name}: ")]
            why = left_out.get(name) or next(iter(said), "its name is not UTF-8 text")
            yield _not_run(name, why, policy.check_seconds * 1000)


def _unknown_databases(policy: VerificationPolicy, entered: list[str]) -> Iterator[CheckResult]:
    """Yield the databases that the policy names and the cluster does not have."""
    for name in {pattern.name[0]: None for each in policy.databases for pattern in each.patterns if pattern.name}:
        if name not in entered:
            yield CheckResult(
                name="database",
                kind="schema",
                scope=one_line(name),
                expected="a database that can be entered, as the policy names it",
                actual="there is none",
                held=False,
                took_ms=0,
                limit_ms=policy.check_seconds * 1000,
            )


def _source(
    source: LiveSource, policy: VerificationPolicy, found: VerificationFound, names: list[str], clock: SliceClock
) -> EnteredSource | None:
    """Return the source once it was entered, and report once which databases only one of the clusters has."""
    clock.remaining()
    entered = enter_source(source, found)
    if entered is not None and policy.source is not None and _DATABASES not in found.done:
        here, there = (
            [each for each in every if not _is_left_out(policy, each)] for every in (names, entered.databases)
        )
        found.results.append(databases_compared(source.identifier, here, there, policy.source))
        found.done.add(_DATABASES)
    return entered


def _not_run(database: str, why: str, limit_ms: int) -> CheckResult:
    return CheckResult(
        name="database",
        kind="schema",
        scope=one_line(database),
        expected="a database that can be entered",
        actual="unknown",
        held=None,
        took_ms=0,
        limit_ms=limit_ms,
        error=one_line(why, MAX_SENTENCE),
    )


def _remove(cluster: DatabaseCluster, entered: list[str], role: str) -> None:
    """Drop the role with all that it was granted, if it exists: also what a slice that died has left."""
    with cluster.maintenance() as maintenance:
        if not maintenance.rows(sql.SQL("SELECT 1 FROM pg_roles WHERE rolname = %s"), (role,)):
            return
        # What an earlier slice has left running, or what nobody could end.
        end_sessions(maintenance, role)
    for database in entered:
        with contextlib.suppress(DatabaseLeftOut):
            cluster.within(database, partial(let_read_no_more, role=role))
    with cluster.maintenance() as maintenance:
        for database in entered:
            dismiss_own_role(maintenance, database, role)
        if maintenance.why_not(sql.SQL("DROP ROLE {}").format(sql.Identifier(role))) is not None:
            # An odd database keeps what it was granted there. Nobody logs in by it from here on.
            maintenance.run(sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(sql.Identifier(role)))
