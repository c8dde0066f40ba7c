"""Background work that came with the data: pg_cron's jobs and logical subscriptions.

Only the extension's own table and functions are pg_cron: who may create a schema can create others of that name. Jobs
are visible only to the roles that they run as (row security), so they are looked for as each role that may have any;
roles that cannot be joined are reported. In pg_cron's source: only the owner's role or a superuser may alter a job, and
nobody can while the library is not preloaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace
from psycopg2 import sql

from utils.postgres.borrowed_owners import borrowed_owners
from utils.postgres.catalog import AWS_ROLES
from utils.postgres.event_triggers import event_triggers, refuse_dangerous_triggers
from utils.postgres.foreign_servers import drop_user_mappings, foreign_servers
from utils.postgres.session import Session

# Of the extension, of an owner with no lesser rights than ours, with no trigger or policy but the extension's.
_PROBED = sql.SQL("""
    WITH extensions AS (
        SELECT e.oid FROM pg_extension e JOIN pg_roles o ON o.oid = e.extowner
         WHERE extname = 'pg_cron' AND (o.rolsuper OR o.rolname = ANY(%(trusted)s))
    ), members AS (
        SELECT d.classid, d.objid FROM pg_depend d JOIN extensions e ON e.oid = d.refobjid
         WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
    )
    SELECT row_security_active(c.oid),
           has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
           (c.tableoid, c.oid) IN (SELECT classid, objid FROM members)
           AND (o.rolsuper OR o.rolname = ANY(%(trusted)s))
           AND NOT EXISTS (
               SELECT FROM pg_proc p WHERE p.pronamespace = n.oid AND p.proname = 'alter_job'
                  AND (p.tableoid, p.oid) NOT IN (SELECT classid, objid FROM members))
           AND NOT EXISTS (
               SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
                  AND ('pg_proc'::regclass, t.tgfoid) NOT IN (SELECT classid, objid FROM members))
           AND NOT EXISTS (
               SELECT FROM pg_depend d JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
                WHERE p.polrelid = c.oid AND (d.refclassid, d.refobjid) <> (c.tableoid, c.oid))
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
     WHERE n.nspname = 'cron' AND c.relname = 'job'
""")
_MAY_HAVE_JOBS = sql.SQL("""
    SELECT rolname FROM pg_roles
     WHERE has_schema_privilege(oid, 'cron', 'USAGE') AND rolname <> current_user
       AND rolname <> ALL(%s) AND rolname !~ '^pg_' ORDER BY rolname
""")
# Columns that an old pg_cron does not have yet are missing in the row, not in the statement.
_JOBS = sql.SQL("""
    SELECT jobid, coalesce(to_jsonb(job) ->> 'jobname', ''), username, database FROM cron.job
     WHERE coalesce((to_jsonb(job) ->> 'active')::boolean, true) ORDER BY jobid
""")
_ALTER_JOB = sql.SQL("SELECT cron.alter_job(job_id := %(job)s, active := false)")
_STILL_ACTIVE = sql.SQL("SELECT active FROM cron.job WHERE jobid = %(job)s")
_UPDATE_JOB = sql.SQL("UPDATE cron.job SET active = false WHERE jobid = %(job)s")
# Its own subscriptions are neither read nor disabled: what prevents them is a group that does not preload the library.
_PGLOGICAL = sql.SQL("SELECT 1 FROM pg_extension WHERE extname = 'pglogical'")
_UNREAD_PGLOGICAL = (
    "pglogical's subscriptions, which run where shared_preload_libraries has pglogical, and the logins in "
    "pglogical.node_interface"
)


class Background(Struct, frozen=True, kw_only=True):
    """Jobs and subscriptions: those that may run, those that were disabled, what was not seen, and as whom they run."""

    active: list[str] = []
    disabled: list[str] = []
    unknown: list[str] = []
    runs_as: list[str] = []
    # What the restored cluster reaches, or does by itself at every change, in whole sentences.
    reaches: list[str] = []


class _Found(Struct, frozen=True, kw_only=True):
    """A job or subscription: left `active`, `disabled` in quarantine, or `refused` there with PostgreSQL's `reason`."""

    text: str
    runs_as: str
    state: Literal["active", "disabled", "refused"] = "active"
    reason: str = ""

    @property
    def description(self) -> str:
        return f"{self.text} ({self.reason})" if self.reason else self.text


def background_work(opened: Session, quarantine: bool) -> Background:
    """Find this database's jobs, subscriptions, foreign servers and event triggers, and disable them in quarantine.

    Event triggers stay as they are: they belong to the application. Repeatable. Raises SqlRefused where one of them
    makes it dangerous to change anything.
    """
    refuse_dangerous_triggers(opened)
    unknown: list[str] = []
    found = [*_jobs(opened, quarantine, unknown), *_subscriptions(opened, quarantine)]
    if opened.rows(_PGLOGICAL):
        unknown.append(_UNREAD_PGLOGICAL)
    dropped, kept = drop_user_mappings(opened) if quarantine else ([], [])
    return Background(
        active=[each.description for each in found if each.state != "disabled"],
        disabled=[*(each.text for each in found if each.state == "disabled"), *dropped],
        unknown=unknown,
        runs_as=sorted({each.runs_as for each in found}),
        reaches=[
            *(f"{text}, came with the data" for text in event_triggers(opened).found),
            *foreign_servers(opened),
            *(f"NOT DROPPED: {text}" for text in kept),
        ],
    )


def _subscriptions(opened: Session, quarantine: bool) -> Iterator[_Found]:
    found = opened.rows(
        sql.SQL(
            "SELECT subname, pg_get_userbyid(subowner) FROM pg_subscription"
            " WHERE subenabled AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " ORDER BY subname"
        )
    )
    with borrowed_owners(opened, {owner for _, owner in found} if quarantine else ()):
        for name, owner in found:
            disable = sql.SQL("ALTER SUBSCRIPTION {} DISABLE").format(sql.Identifier(name))
            found_one = _Found(text=f"subscription {name!r} of {owner!r}", runs_as=owner)
            yield _quarantined(found_one, opened.why_not(disable)) if quarantine else found_one


def _jobs(opened: Session, quarantine: bool, unknown: list[str]) -> Iterator[_Found]:
    probed = opened.rows(_PROBED, {"trusted": [*AWS_ROLES, opened.user]})
    if not probed:
        return
    ((hidden, readable, genuine),) = probed
    if not genuine:
        unknown.append("cron.job: it is not the extension pg_cron's, or it was changed, and was not read")
        return
    if not readable:
        unknown.append("pg_cron's jobs: the master user may not read cron.job")
        return
    others = [name for (name,) in opened.rows(_MAY_HAVE_JOBS, (list(AWS_ROLES),))] if hidden else []
    with borrowed_owners(opened, others) as unreachable:
        unknown += [f"pg_cron's jobs of {name!r}: the master user cannot act for it" for name in sorted(unreachable)]
        jobs = {row[0]: row for row in opened.rows(_JOBS)}
        for role in others:
            if role not in unreachable:
                jobs |= {row[0]: row for row in _as(opened, role, _JOBS)}
        for job, name, username, database in sorted(jobs.values()):
            shown = f"pg_cron job {job}{f' {name!r}' if name else ''} of {username!r} in {database!r}"
            found_one = _Found(text=shown, runs_as=username)
            if not quarantine:
                yield found_one
                continue
            with opened.triggers():
                why = _why_not_disabled(opened, job, username)
            yield _quarantined(found_one, why)


def _quarantined(found: _Found, why_not: str | None) -> _Found:
    if why_not is None:
        return replace(found, state="disabled")
    return replace(found, state="refused", reason=why_not)


def _as(opened: Session, role: str, statement: sql.Composable) -> list[tuple[int, str, str, str]]:
    """Return the rows as one of the roles sees them; nothing where that role may not read them either."""
    take = sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role))
    if not opened.try_run(take):
        return []
    found = opened.rows(statement)
    opened.run(sql.SQL("RESET ROLE"))
    return found


def _why_not_disabled(opened: Session, job: int, username: str) -> str | None:
    """Disable a job and return why that failed, or None.

    Tried with pg_cron's own function, as ourselves or as the role that the job runs as; then in the table.
    """
    reasons: list[str] = []
    for statement in (_ALTER_JOB, _UPDATE_JOB):
        for role in (None, username):
            take = sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)) if role else sql.SQL("RESET ROLE")
            if (refused := opened.why_not(take)) is None:
                refused = opened.why_not(statement, {"job": job})
                still = opened.rows(_STILL_ACTIVE, {"job": job}) if refused is None else [(True,)]
                opened.run(sql.SQL("RESET ROLE"))
                if still == [(False,)]:
                    return None
            reasons.append(refused or "nothing changed")
    return reasons[0]
