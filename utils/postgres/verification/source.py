"""The source cluster itself, with which the restored one is compared: entered as a role that may only read there.

It is production, and others work in it. So a login that may do more than read is refused; each session is unable to
write, has little memory, waits five seconds for a lock that others hold, and ends with its check.

Its address is a name, which another cluster may have taken since the plan. So nothing is read in a session before the
instance that it is with has proved to be one of those that RDS has just listed for the source's resource id.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Callable, Iterator

from msgspec import Struct
from psycopg2 import sql

from utils.contracts.verification import CheckResult
from utils.errors import StepFailed, TemporaryFailure
from utils.foreign_text import listed, one_line
from utils.logins.master import MasterLogin
from utils.masking.classification import rules_for
from utils.masking.policy import MaskingPolicy
from utils.postgres.databases import DatabaseCluster, database_names, enter_cluster
from utils.postgres.member import member_of
from utils.postgres.own_roles import OwnLogin
from utils.postgres.session import Server, Session, SqlRefused
from utils.postgres.verification.fingerprint import schema_fingerprint
from utils.postgres.verification.own import NO_ROW, newest_row
from utils.postgres.verification.reader import CutShort, Reader
from utils.postgres.verification.rows import Table, count_tables, tables_here
from utils.verification.found import DatabaseFound, VerificationFound
from utils.verification.policy import MIB, DatabaseChecks, NewestRow, SourceRules, VerificationPolicy
from utils.verification.source import (
    MAX_NAMED,
    ROWS,
    SCHEMA,
    Columns,
    changes,
    comparable,
    newest_compared,
    rows_compared,
    schema_compared,
    source_result,
)

# What a session there begins with. The master user's settings in the restored cluster would be refused there, or of no
# use.
OPTIONS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "60000",
    "lock_timeout": "5000",
    "idle_in_transaction_session_timeout": "60000",
    "work_mem": "4MB",
    "max_parallel_workers_per_gather": "0",
}
ATTEMPTS, PAUSE_SECONDS = 2, 5
NOT_ENTERED = "/source not entered"
# Members of these may write or administer (PostgreSQL's documentation, "Predefined Roles"; Aurora User Guide,
# "Understanding the rds_superuser role").
_POWERS = (
    "rds_superuser",
    "rds_replication",
    "pg_write_all_data",
    "pg_write_server_files",
    "pg_execute_server_program",
    "pg_create_subscription",
    "pg_maintain",
    "pg_signal_backend",
)
_POWERFUL = sql.SQL("""
    SELECT rolname FROM pg_roles
     WHERE pg_has_role(oid, 'MEMBER')
       AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolname = ANY(%(powers)s))
     ORDER BY array_position(%(powers)s, rolname::text) NULLS FIRST, rolname LIMIT 1
""")
# What PUBLIC may is what this login may as well, but for the schema public, in which everybody may create before 15,
# and for what extensions give to all: pg_cron's script has GRANT DELETE ON cron.job_run_details TO public.
_WRITABLE = sql.SQL("""
    SELECT 'database', current_database() WHERE has_database_privilege(current_database(), 'CREATE')
    UNION ALL
    (SELECT 'schema', nspname FROM pg_namespace n
      WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        AND (pg_has_role(nspowner, 'MEMBER') OR (nspname <> 'public' AND has_schema_privilege(oid, 'CREATE')))
      ORDER BY nspname LIMIT 1)
    UNION ALL
    (SELECT CASE relkind WHEN 'S' THEN 'sequence' ELSE 'relation' END, nspname || '.' || relname
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        AND NOT EXISTS (SELECT FROM pg_depend d
                         WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
        AND (pg_has_role(relowner, 'MEMBER')
             OR CASE relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'USAGE, UPDATE')
                ELSE has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')
                     OR has_any_column_privilege(c.oid, 'INSERT, UPDATE') END)
      ORDER BY nspname, relname LIMIT 1)
""")
_COLUMNS = sql.SQL("""
    SELECT n.nspname, c.relname, array_agg(a.attname::text) FILTER (WHERE a.attname IS NOT NULL)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
     GROUP BY n.nspname, c.relname
""")
_READ_ONLY = "Put a login into its secret that may do nothing but read, as the page on verification has it."
_UNREACHABLE = (
    "Check the login in its secret, and that the functions reach the source: a route, the functions' security group, "
    "and the source's, which has to admit it"
)
_AWAY = "the source has stopped admitting its login"


class LiveSource(Struct, frozen=True, kw_only=True):
    """The source cluster as RDS described it, and how its login is read, which raises StepFailed where it cannot be.

    `members` are its instances, or `why_away` says why RDS no longer has it under its name. `masking` is the policy by
    which the restored databases were masked.
    """

    identifier: str
    server: Server
    members: frozenset[str]
    why_away: str | None
    read_login: Callable[[], OwnLogin]
    masking: MaskingPolicy | None
    now: dt.datetime


class EnteredSource(Struct, frozen=True, kw_only=True):
    """The source cluster, once its login has opened it, with the names of its databases."""

    live: LiveSource
    strangers: list[str]
    cluster: DatabaseCluster
    login: OwnLogin
    databases: list[str]


class StrangerMet(Exception):
    """A session was with an instance that RDS had not listed: another look at RDS decides. Never leaves a step.

    Aurora Auto Scaling may have added a reader since.
    """


def source_server(host: str, port: int, ca_bundle: str) -> Server:
    """Return the source at an address. No setting is tried there that it may refuse, which its log would show."""
    return Server(host=host, port=port, ca_bundle=ca_bundle, options=OPTIONS, tried={})


def enter_source(live: LiveSource, found: VerificationFound) -> EnteredSource | None:
    """Return the source once its login opens it. Where it does not, the comparison counts as not run, for good."""
    if NOT_ENTERED in found.done:
        return None
    if live.why_away is not None:
        disown_source(live, live.why_away, found)
        return None
    try:
        return _entered(live, found.strangers)
    except (StepFailed, CutShort) as error:
        why = str(error)
    except TemporaryFailure as error:
        why = f"{error}. {_UNREACHABLE}"
    found.results.append(_not_run(live.identifier, why))
    found.done.add(NOT_ENTERED)
    return None


def disown_source(live: LiveSource, why: str, found: VerificationFound) -> None:
    """Note that the source is not the planned cluster, or no longer: what was compared with it counts as not run."""
    found.drop_comparison()
    expected = "compared with the cluster that was planned"
    found.results.append(source_result(live.identifier, "cluster", expected, "unknown", held=None, error=why))
    found.done.add(NOT_ENTERED)


def _prove_member(opened: Session, live: LiveSource, strangers: list[str]) -> None:
    """Prove that the session is with an instance of the source. Raises CutShort, or StrangerMet the first time."""
    instance = member_of(opened)
    if instance in live.members:
        return
    if instance not in strangers:
        strangers.append(instance)
        raise StrangerMet
    raise CutShort(
        f"{live.server.host} leads to the instance {instance!r}, which RDS does not list among those of "
        f"{live.identifier!r}. Check what this name is resolved to in the functions' VPC"
    )


def _entered(live: LiveSource, strangers: list[str]) -> EnteredSource:
    login = live.read_login()
    master = MasterLogin(username=login.name, password=login.password, host=live.server.host, port=live.server.port)
    try:
        cluster = enter_cluster(live.server, master)
    except TemporaryFailure:
        time.sleep(PAUSE_SECONDS)
        cluster = enter_cluster(live.server, master)
    with cluster.maintenance() as opened:
        _prove_member(opened, live, strangers)
        for (role,) in opened.rows(_POWERFUL, {"powers": list(_POWERS)}):
            what = f"it is, or may become, {one_line(role)}"
            raise StepFailed(f"its login {login.name!r} may do more than read: {what}. {_READ_ONLY}")
        names = database_names(opened)
    return EnteredSource(live=live, strangers=strangers, cluster=cluster, login=login, databases=names)


def _not_run(scope: str, why: str) -> CheckResult:
    expected = "compared with the source by a login that may only read"
    return source_result(scope, "login", expected, "unknown", held=None, error=why)


class SourceReader(Reader, frozen=True, kw_only=True):
    """The login in one database of the source. What it cannot enter there stops nothing else."""

    source: EnteredSource

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a transaction in the source, within a check's time. Raises CutShort, or StrangerMet."""
        if self.shut:
            # Where it has gone, each of many checks would wait for it.
            raise CutShort(_AWAY)
        try:
            with super().reading() as opened:
                _prove_member(opened, self.source.live, self.source.strangers)
                yield opened
        except TemporaryFailure as error:
            self.shut.add(self.database)
            raise CutShort(str(error)) from None
        except SqlRefused:
            raise CutShort("a name there is not valid in the encoding of this database") from None


class SourceDatabase:
    """A database of the restored cluster, and the same one of its source."""

    def __init__(
        self,
        source: EnteredSource,
        restored: Reader,
        checks: DatabaseChecks,
        policy: VerificationPolicy,
        rules: SourceRules,
        found: DatabaseFound,
    ) -> None:
        self._restored, self._checks, self._policy, self._rules, self._found = restored, checks, policy, rules, found
        self._now = source.live.now
        self._masking = (
            rules_for(source.live.masking, restored.database)[0] if source.live.masking is not None else None
        )
        self._reader = SourceReader(
            source=source,
            cluster=source.cluster,
            server=source.cluster.server,
            login=source.login,
            database=restored.database,
            limit_seconds=restored.limit_seconds,
            encoding=restored.encoding,
            attempts=ATTEMPTS,
        )

    def not_run(self, why: str) -> CheckResult:
        """Return that this database is not compared."""
        return _not_run(self._restored.database, why)

    def why_unfit(self) -> str | None:
        """Return why nothing is read by this login; None where it may do nothing but read. Raises CutShort."""
        with self._reader.quick.reading() as opened:
            writable = opened.rows(_WRITABLE)
        for kind, name in writable:
            login = self._reader.login.name
            return f"its login {login!r} may do more than read: it may change the {kind} {one_line(name)}. {_READ_ONLY}"
        return None

    def schema(self) -> Iterator[CheckResult]:
        """Yield how the schemas differ. Definitions are the catalogue's, and nothing of them is called."""
        with self._answering(SCHEMA) as results:
            with self._restored.reading() as opened:
                here = _columns(opened)
            with self._reader.reading() as opened:
                there, fingerprint = _columns(opened), schema_fingerprint(opened)
            results.append(schema_compared(self._found, fingerprint, here, there, self._rules))
        yield from results

    def newest(self, number: int, wanted: NewestRow) -> Iterator[CheckResult]:
        """Yield how far the restored newest row is behind the source's, unless the masking has changed the column."""
        column = wanted.column.name or ("", "", "")
        if changes(self._masking, column):
            return
        there, moment = newest_row(self._reader, wanted, self._now)
        scope = ".".join((self._restored.database, *column[:2]))
        if there.held is None or (moment is None and there.actual != NO_ROW):
            error = there.error or f"the source has {there.actual}"
            yield source_result(scope, column[2], "how far behind the source", "unknown", held=None, error=error)
        else:
            yield newest_compared(scope, column[2], self._found.newest.get(number), moment, self._rules)

    def rows(self, prove_time: Callable[[], float]) -> Iterator[CheckResult]:
        """Count what can be compared, and yield how the numbers differ. `prove_time` may raise between two tables."""
        with self._answering(ROWS) as results:
            tables = self._tables(results)
            done = {(each.schema, each.table) for each in self._found.source_tables}
            for each in count_tables(self._reader, tables, done, prove_time):
                self._found.source_tables.append(each)
        yield from results
        if self._found.source_tables or not results:
            yield from rows_compared(self._found, self._masking, self._rules)

    def _tables(self, results: list[CheckResult]) -> list[Table]:
        """Return the source's tables to count: every part of those that were counted in the restored database."""
        wanted = comparable(self._found, self._masking)
        tables = tables_here(self._reader, self._checks.count, self._policy.count_below_mb * MIB)
        here = [each for each in tables if f"{each.parent_schema}.{each.parent}" in wanted]
        if closed := [f"{each.schema}.{each.name}" for each in here if each.is_closed]:
            error = f"its login may not read {listed(closed, MAX_NAMED)}. GRANT it SELECT there"
            results.append(self._unknown(ROWS, error))
        partly = {(each.parent_schema, each.parent) for each in here if not each.to_count}
        return [each for each in here if (each.parent_schema, each.parent) not in partly]

    @contextlib.contextmanager
    def _answering(self, name: str) -> Iterator[list[CheckResult]]:
        """Yield a list of results, which has one that was not run where the work was cut short."""
        results: list[CheckResult] = []
        try:
            yield results
        except CutShort as error:
            results.append(self._unknown(name, str(error)))

    def _unknown(self, name: str, error: str) -> CheckResult:
        return source_result(self._restored.database, name, "as in the source", "unknown", held=None, error=error)


def _columns(opened: Session) -> Columns:
    return {(schema, table): frozenset(columns or ()) for schema, table, columns in opened.rows(_COLUMNS)}
