"""What runs in the copy without anybody's login: pg_cron's jobs and logical subscriptions, which came with the data.

Jobs show only to those whom they run as (row security), so they are looked for as each role that may have any; those
that can't be joined are named. In pg_cron's source: only the owner's role or a superuser may alter a job, and nobody
can while the library isn't preloaded.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from psycopg2 import sql

from utils.postgres import Session
from utils.postgres_owners import borrowed_owners

_PROBED = sql.SQL("""
    SELECT row_security_active(c.oid),
           has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'cron' AND c.relname = 'job' AND c.relkind = 'r'
""")
_MAY_HAVE_JOBS = sql.SQL("""
    SELECT rolname FROM pg_roles
     WHERE has_schema_privilege(oid, 'cron', 'USAGE') AND rolname <> current_user
       AND rolname <> 'rdsadmin' AND rolname !~ '^(pg_|rds_)' ORDER BY rolname
""")
# Columns that an old pg_cron doesn't have yet are missing in the row, not in the statement.
_JOBS = sql.SQL("""
    SELECT jobid, coalesce(to_jsonb(job) ->> 'jobname', ''), username, database FROM cron.job
     WHERE coalesce((to_jsonb(job) ->> 'active')::boolean, true) ORDER BY jobid
""")
_ALTER_JOB = sql.SQL("SELECT cron.alter_job(job_id := %(job)s, active := false)")
_STILL_ACTIVE = sql.SQL("SELECT active FROM cron.job WHERE jobid = %(job)s")
_UPDATE_JOB = sql.SQL("UPDATE cron.job SET active = false WHERE jobid = %(job)s")


class Background(Struct, frozen=True, kw_only=True):
    """Jobs and subscriptions: those that may run, those that don't any more, what wasn't seen, and as whom they run."""

    active: list[str] = []
    disabled: list[str] = []
    unknown: list[str] = []
    runs_as: list[str] = []


class _Found(Struct, frozen=True, kw_only=True):
    text: str
    runs_as: str
    why_active: str | None


def background_work(opened: Session, quarantine: bool) -> Background:
    """Look at this database's jobs and subscriptions, and disable them in quarantine. Repeatable."""
    unknown: list[str] = []
    found = [*_jobs(opened, quarantine, unknown), *_subscriptions(opened, quarantine)]
    return Background(
        active=[f"{each.text}{each.why_active}" for each in found if each.why_active is not None],
        disabled=[each.text for each in found if each.why_active is None],
        unknown=unknown,
        runs_as=sorted({each.runs_as for each in found}),
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
            why = opened.why_not(disable) if quarantine else ""
            yield _Found(
                text=f"subscription {name!r} of {owner!r}",
                runs_as=owner,
                why_active=f" ({why})" if why else why,
            )


def _jobs(opened: Session, quarantine: bool, unknown: list[str]) -> Iterator[_Found]:
    probed = opened.rows(_PROBED)
    if not probed:
        return
    ((hidden, readable),) = probed
    if not readable:
        unknown.append("pg_cron's jobs: the master user may not read cron.job")
        return
    others = [name for (name,) in opened.rows(_MAY_HAVE_JOBS)] if hidden else []
    with borrowed_owners(opened, others) as unreachable:
        unknown += [f"pg_cron's jobs of {name!r}: the master user can't act for it" for name in sorted(unreachable)]
        jobs = {row[0]: row for row in opened.rows(_JOBS)}
        for role in others:
            if role not in unreachable:
                jobs |= {row[0]: row for row in _as(opened, role, _JOBS)}
        for job, name, username, database in sorted(jobs.values()):
            why = _why_not_disabled(opened, job, username) if quarantine else ""
            yield _Found(
                text=f"pg_cron job {job}{f' {name!r}' if name else ''} of {username!r} in {database!r}",
                runs_as=username,
                why_active=f" ({why})" if why else why,
            )


def _as(opened: Session, role: str, statement: sql.Composable) -> list[tuple[int, str, str, str]]:
    """As one of the roles whose rows the master user doesn't see; nothing when it may not look either."""
    take = sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role))
    if not opened.try_run(take):
        return []
    found = opened.rows(statement)
    opened.run(sql.SQL("RESET ROLE"))
    return found


def _why_not_disabled(opened: Session, job: int, username: str) -> str | None:
    """With pg_cron's own function, as ourselves or as whom the job runs; then in the table, where that is allowed."""
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
