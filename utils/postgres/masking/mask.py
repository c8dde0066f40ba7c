"""The masking of a restored cluster, in slices of some minutes, each of which continues where the last one ended.

All databases are looked at before the first row is changed. What has been done stands in the databases themselves, in
the same transactions that did it: a slice may be killed anywhere, and nothing is then masked twice or missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace
from psycopg2 import sql

from utils.errors import StepFailed, TemporaryFailure
from utils.foreign_text import listed, one_line
from utils.masking.classification import rules_for, unmatched_databases
from utils.masking.policy import MaskingPolicy
from utils.postgres.borrowed_owners import borrowed_owners
from utils.postgres.catalog import owners_here
from utils.postgres.databases import ANY_BYTES, DatabaseCluster
from utils.postgres.event_triggers import event_triggers
from utils.postgres.masking.attached import remember_attached
from utils.postgres.masking.catalogue import read_catalogue
from utils.postgres.masking.chunks import mask_tables
from utils.postgres.masking.dependents import take_dependents_away
from utils.postgres.masking.gate import examine
from utils.postgres.masking.leftovers import analyze_tables, refresh_views
from utils.postgres.masking.lending import close_schemas, database_owner, return_relations
from utils.postgres.masking.masked_databases import databases_to_mask
from utils.postgres.masking.own_sql import run_own_sql
from utils.postgres.masking.restoring import restore_dependents, restore_event_triggers
from utils.postgres.masking.sessions import Place
from utils.postgres.masking.state import (
    ADDED,
    ANALYZED,
    BARED,
    EXAMINED,
    MASKED,
    PASSED,
    REFRESHED,
    RESTORED,
    TRIED,
    create_state,
    drop_state,
    findings_in,
    has_state,
    is_past,
    pass_stage,
    prove_state,
    state_schema,
)
from utils.postgres.masking.trial import try_tables
from utils.postgres.masking.work import PolicyRefused, plan_work
from utils.postgres.own_roles import OwnLogin, admit_own_role, dismiss_own_role, drop_own_role, open_own_role
from utils.postgres.session import UNICODE, Server, Session, SqlRefused
from utils.postgres.slice_clock import OutOfTime, SliceClock

T = TypeVar("T")
# What is left of a slice when no further statement begins: its end, its answer and the closing of its sessions.
MARGIN_SECONDS = 30.0

# What happens in each database, in this order. All of them are through the first two before the first row is changed.
_BEFORE: tuple[tuple[str, Callable[[Place, SliceClock], None]], ...] = (
    (BARED, lambda place, clock: take_dependents_away(place)),
    (TRIED, lambda place, clock: _staged(place, TRIED, try_tables, clock)),
)
_THEN: tuple[tuple[str, Callable[[Place, SliceClock], None]], ...] = (
    (MASKED, mask_tables),
    (RESTORED, restore_dependents),
    (ADDED, run_own_sql),
    (ANALYZED, analyze_tables),
    (REFRESHED, refresh_views),
    (EXAMINED, examine),
    (PASSED, lambda place, clock: _staged(place, PASSED, _give_back, clock)),
)


class MaskingProgress(Struct, frozen=True, kw_only=True):
    """How far the masking is."""

    done: bool
    """Whether every database has passed the gate. Then `remove_masking_state` is due."""
    database: str = ""
    """The database at work."""
    tables: int = 0
    tables_done: int = 0
    rows: int = 0
    chunks: int = 0
    findings: list[str] = []
    databases: list[str] = []
    passed_checks: list[str] = []


def masking_role(fingerprint: str) -> str:
    """Return the name of the role that masks."""
    return f"aurora_restore_masker_{fingerprint}"


def mask_slice(
    cluster: DatabaseCluster,
    policy: MaskingPolicy,
    salt: str,
    fingerprint: str,
    time_left: Callable[[], float],
) -> MaskingProgress:
    """Mask until everything is done or no time is left: call it again until the progress says `done`.

    `salt`: letters and digits, the same in every slice. `time_left`: the seconds until this slice must have ended.
    When all is done, a further call does nothing and reports the same again, until `remove_masking_state` was called.

    Raises MaskingGateFailed where the databases are not masked as the policy requires, StepFailed for what a person has
    to act on, which is found before the first row is changed wherever that is possible, and TemporaryFailure.
    """
    clock = SliceClock(time_left, MARGIN_SECONDS)
    databases, findings = databases_to_mask(cluster)
    if faults := unmatched_databases(policy, databases):
        raise StepFailed(f"The masking policy does not fit the cluster, and nothing was changed: {listed(faults)}")
    login = open_own_role(cluster, masking_role(fingerprint))
    server = Server(host=cluster.server.host, port=cluster.server.port, ca_bundle=cluster.server.ca_bundle)
    places: list[Place] = []
    at = ""
    try:
        for at in databases:
            rules, _ = rules_for(policy, at)
            place = Place(
                cluster=cluster,
                server=server,
                database=at,
                encoding=UNICODE,
                masker=login,
                salt=salt,
                schema=state_schema(fingerprint),
                canaries=tuple(rules.canaries) if rules is not None else (),
            )
            places.append(_readably(place, partial(_plan, policy=policy)))
        for stages in (_BEFORE, _THEN):
            for place in places:
                at = place.database
                _advance(place, clock, stages)
    except OutOfTime:
        return _progress(places, findings, done=False, database=at)
    except TemporaryFailure:
        # A statement that the end of the slice interrupted, or one that the next slice meets in a better moment.
        if time_left() > MARGIN_SECONDS:
            raise
        return _progress(places, findings, done=False, database=at)
    return _progress(places, findings, done=True, database="")


def remove_masking_state(cluster: DatabaseCluster, fingerprint: str) -> None:
    """Drop the state of the masking in all databases and its role, once the caller has recorded that it is done.

    Not before: it is what keeps a repeated `mask_slice` from masking everything a second time. Calling it twice has
    the effect of once.
    """
    databases, _ = databases_to_mask(cluster)
    role, schema = masking_role(fingerprint), state_schema(fingerprint)
    with cluster.maintenance() as maintenance:
        if not maintenance.rows(sql.SQL("SELECT 1 FROM pg_roles WHERE rolname = %s"), (role,)):
            return
    for database in databases:
        place = Place(
            cluster=cluster,
            server=cluster.server,
            database=database,
            encoding=UNICODE,
            masker=OwnLogin(role, ""),
            salt="",
            schema=schema,
        )
        _readably(place, _remove_state)
    with cluster.maintenance() as maintenance:
        for database in databases:
            dismiss_own_role(maintenance, database, role)
        drop_own_role(maintenance, role)


def _remove_state(place: Place) -> None:
    role = place.masker.name
    with place.as_master() as opened:
        if has_state(opened, place.schema) and not is_past(opened, place, PASSED):
            raise StepFailed(f"Database {one_line(place.database)!r} is not masked yet: its state was kept.")
        drop_state(opened, place.schema)
        with borrowed_owners(opened, {*owners_here(opened), role}):
            close_schemas(opened, role)
            # Everything that was lent has been returned. What is left, the policy's statements have created, or code of
            # the data: as the master user's, a function with its owner's rights, or one that autovacuum calls for an
            # index, would have the master user's rights.
            opened.run(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(role)))


def _advance(
    place: Place, clock: SliceClock, stages: tuple[tuple[str, Callable[[Place, SliceClock], None]], ...]
) -> None:
    """Bring a database through the stages that it has not passed."""
    with place.kept.keeping():
        for stage, work in stages:
            with place.as_master() as opened:
                past = is_past(opened, place, stage)
            if not past:
                clock.remaining()
                work(place, clock)


def _give_back(place: Place, clock: SliceClock) -> None:
    restore_event_triggers(place)
    return_relations(place, clock)


def _staged(place: Place, stage: str, work: Callable[[Place, SliceClock], None], clock: SliceClock) -> None:
    work(place, clock)
    with place.as_master() as opened:
        pass_stage(opened, place, stage)


def _readably(place: Place, work: Callable[[Place], T]) -> T:
    """Return what the work returns, in the encoding in which the database's names can be read."""
    try:
        return work(place)
    except SqlRefused as error:
        if not error.unreadable:
            raise
    try:
        return work(replace(place, encoding=ANY_BYTES))
    except SqlRefused as error:
        raise StepFailed(f"Names in database {one_line(place.database)!r} cannot be read: {error}.") from None


def _plan(place: Place, policy: MaskingPolicy) -> Place:
    """Plan the work of a database once, and keep the plan there: later the catalogue lacks what was dropped."""
    with place.cluster.maintenance() as maintenance:
        admit_own_role(maintenance, place.database, place.masker.name)
    with place.as_master() as opened:
        if not has_state(opened, place.schema):
            try:
                work = plan_work(policy, read_catalogue(opened, place.schema))
            except PolicyRefused as error:
                raise StepFailed(
                    f"The masking policy does not fit database {one_line(place.database)!r}, and nothing was changed: "
                    f"{listed([fault.rstrip('.') for fault in error.faults])}. Correct the policy, then start a new "
                    "operation."
                ) from None
            with borrowed_owners(opened, database_owner(opened)):
                create_state(opened, place, work, _findings(opened, work.unclassified))
                remember_attached(opened, place)
        else:
            prove_state(opened, place)
            opened.rows(sql.SQL("SELECT relname, attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"))
    return place


def _findings(opened: Session, unclassified: list[str]) -> Iterator[str]:
    yield from (f"not classified, and left as it is: {one_line(name)}" for name in unclassified)
    yield from event_triggers(opened).found
    # Since it was analyzed, it has a number of rows.
    for schema, name in opened.rows(
        sql.SQL(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'f' AND c.reltuples > 0 ORDER BY 1, 2"
        )
    ):
        yield f"pg_stats shows what ANALYZE read from the server of foreign table {one_line(schema)}.{one_line(name)}"


def _progress(places: list[Place], findings: list[str], *, done: bool, database: str) -> MaskingProgress:
    tables = tables_done = rows = chunks = 0
    found, checks = list(findings), list[str]()
    for place in places:
        with place.as_master() as opened:
            ((all_of_them, finished, masked, steps),) = opened.rows(
                sql.SQL(
                    "SELECT count(*), count(*) FILTER (WHERE done), coalesce(sum(masked_rows), 0)::bigint,"
                    " coalesce(sum(chunks), 0)::bigint FROM {}"
                ).format(place.state("progress"))
            )
            found += [f"{one_line(place.database)}: {text}" for text in findings_in(opened, place)]
            passed = opened.rows(sql.SQL("SELECT name FROM {} ORDER BY name").format(place.state("passed_check")))
        checks += [f"{one_line(place.database)}: {one_line(name)}" for (name,) in passed]
        tables, tables_done = tables + all_of_them, tables_done + finished
        rows, chunks = rows + masked, chunks + steps
    return MaskingProgress(
        done=done,
        database=database,
        tables=tables,
        tables_done=tables_done,
        rows=rows,
        chunks=chunks,
        findings=found,
        databases=[place.database for place in places],
        passed_checks=checks,
    )
