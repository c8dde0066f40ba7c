"""What an operation has come to: did it work, how old is the data, what exists now, what comes next."""

from __future__ import annotations

import datetime as dt
import json
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from .answers import AuditEvent, ClusterNow, Door, DrilledSource, EndedDrill, KeptCluster, Shown, Status, Summary
from .executions import Execution, describe
from .exits import DONE, FAILED, FINDINGS, REFUSED, STILL_RUNNING
from .operations import Operations
from .published import Record
from .stack import Stack

# The pipeline's tags (utils/aurora_utils/resources.py): the part that a cluster plays for its target, and its end.
ROLE_TAG, EXPIRY_TAG = "aurora-restore:role", "aurora-restore:expires-at"
# What a refusal says where RDS keeps automated backups from being deleted (utils/request/corrections.py), and the
# option of `resume` that leaves them.
KEEP_BACKUPS, KEEPING = "Leave delete_automated_backups out", "--keep-backups"
_BY_EXECUTION: dict[str, Status] = {"ABORTED": "STOPPED", "TIMED_OUT": "TIMED_OUT", "FAILED": "FAILED"}
_BY_RECORD: dict[str, Status] = {
    "planned": "PLANNED",
    "running": "RUNNING",
    "succeeded": "SUCCEEDED",
    "failed": "FAILED",
}


def status_of(record: Record, execution: Execution | None) -> Status:
    """Return the operation's status. The execution decides what the state item, written by its steps, cannot know."""
    recorded = _BY_RECORD.get(record.status, "UNKNOWN")
    if execution is None and recorded == "RUNNING":
        return "UNKNOWN"
    if execution is None or execution.arn != record.execution_id or recorded in ("SUCCEEDED", "PLANNED"):
        # Only an operation that was refused before it had a plan has none.
        return "REFUSED" if recorded == "FAILED" and not record.raw_plan else recorded
    if execution.is_running:
        return "RUNNING"
    if execution.was_refused:
        return "REFUSED"
    return _BY_EXECUTION.get(execution.status, recorded)


def summaries(stack: Stack, records: Iterable[Record]) -> list[Summary]:
    """Return operations as a list shows them. Only those are looked up whose record alone does not say how they are."""
    return [
        summary_of(each, describe(stack, each.execution_id) if each.status == "running" or not each.raw_plan else None)
        for each in records
    ]


def summary_of(record: Record, execution: Execution | None) -> Summary:
    """Return the operation as a list shows it."""
    plan, status = record.plan, status_of(record, execution)
    ended_at = None if status == "RUNNING" else record.last_updated
    began, taken_at = record.started_at, plan.data_taken_at
    return Summary(
        operation_id=record.operation_id,
        status=status,
        kind="plan" if record.parameters.get("dry_run") else plan.kind,
        source=plan.snapshot.cluster_identifier or None,
        target=plan.target_cluster_id or record.parameters.get("target_cluster_id"),
        started_at=began,
        ended_at=ended_at,
        took_seconds=round((ended_at - began).total_seconds()) if ended_at and began else None,
        data_taken_at=taken_at,
        data_age_seconds=round((began - taken_at).total_seconds()) if began and taken_at else None,
        checks=record.checks,
        execution_arn=record.execution_id,
    )


def explain(stack: Stack, record: Record, now: dt.datetime) -> Shown:
    """Return all that is known of an operation: from its record, its execution, its trail and RDS.

    Data do not get younger: where our clock is behind the stack's, the stack's last word counts as now.
    """
    now = max(now, record.last_updated or now)
    execution = describe(stack, record.execution_id)
    summary = summary_of(record, execution)
    taken_at = record.plan.data_taken_at
    reasons = execution.reasons if execution is not None and summary.status != "RUNNING" else []
    return Shown(
        operation=summary,
        worked=_worked(summary.status),
        sentence=_sentence(record, summary, reasons),
        data_age_now_seconds=max(0, round((now - taken_at).total_seconds())) if taken_at else None,
        cluster=_cluster_now(stack, record),
        kept=kept_cluster(stack, record),
        ended_drill=_ended_drill(stack, record, summary),
        swap_finished_by=record.swap_finisher if summary.status != "RUNNING" else None,
        application_secret=(record.raw_plan.get("target_secrets") or {}).get("application")
        or stack.outputs.get("AppSecretArn"),
        differences=record.differences,
        expected_end=record.expected_end,
        reasons=reasons,
        error=execution.error if execution else None,
        earlier_executions=record.earlier_executions,
        started_by=record.started_by,
        step_times=record.step_times,
        masked_at=record.masked_at,
        events=[
            AuditEvent(at=each.at, event_type=each.event_type, status=each.status)
            for each in Operations(stack).events(record.operation_id)
        ],
        evidence=record.evidence,
        parameters=record.parameters,
        plan=record.raw_plan,
    )


def exit_code_of(shown: Shown) -> int:
    """Return the exit code of a command that ends as the operation does. Data that did not pass have their own."""
    if shown.operation.status == "SUCCEEDED" and (found := shown.operation.checks) is not None and not found.all_held:
        return FINDINGS
    return {"SUCCEEDED": DONE, "PLANNED": DONE, "RUNNING": STILL_RUNNING, "REFUSED": REFUSED}.get(
        shown.operation.status, FAILED
    )


def next_commands(shown: Shown) -> list[str]:
    """Return the commands of this program that come next."""
    operation, short = shown.operation.operation_id, shown.operation.status
    if short == "RUNNING":
        return [f"aurora-restore watch {operation}"]
    if short == "PLANNED":
        return [f"aurora-restore start --plan {operation}"]
    if shown.ended_drill is not None and shown.ended_drill.is_cleaned_up:
        return []
    if shown.ended_drill is not None and shown.ended_drill.finished_by is not None:
        return [f"aurora-restore show {operation}"]
    if shown.swap_finished_by is not None:
        return [f"aurora-restore show {operation}"]
    if short not in ("FAILED", "STOPPED", "TIMED_OUT"):
        return []
    if not shown.plan:
        return list(asking_again(shown))
    keeps = f" {KEEPING}" if any(KEEP_BACKUPS in each for each in shown.reasons) else ""
    return [f"aurora-restore resume {operation}{keeps}"]


def asking_again(shown: Shown) -> Iterator[str]:
    """Yield the command that starts an operation which asks for the same, or resumes the one that was to be resumed.

    Of one that had no plan, its record has the request as a text, which may be cut: then there is no command.
    """
    asked: Any = {name: value for name, value in shown.parameters.items() if value is not None}
    try:
        asked = json.loads(asked["request"]) if "request" in asked else asked
    except ValueError:
        return
    if not isinstance(asked, dict):
        return
    if asked.get("resume") and asked.get("operation_id"):
        yield f"aurora-restore resume {shlex.quote(str(asked['operation_id']))}"
        return
    if not asked.get("rollback"):
        asked = {name: value for name, value in asked.items() if name not in ("operation_id", "resume", "scheduled_at")}
    yield f"aurora-restore start --input {shlex.quote(json.dumps(asked))}" if asked else "aurora-restore start"


def drilled_sources(records: Iterable[Record], now: dt.datetime) -> list[DrilledSource]:
    """Return the sources of which there were drills, those without a good one first, then the longest ago."""
    drills: dict[str, list[Record]] = defaultdict(list)
    for each in records:
        # One that runs is none yet.
        if each.plan.kind == "drill" and each.status in ("succeeded", "failed"):
            drills[each.plan.snapshot.cluster_identifier].append(each)
    found = [_drilled(source, each, now) for source, each in sorted(drills.items())]
    return sorted(found, key=lambda each: (each.age_seconds is not None, -(each.age_seconds or 0)))


def _drilled(source: str, drills: list[Record], now: dt.datetime) -> DrilledSource:
    ends = [(each.last_updated, each) for each in drills if each.is_good_drill and each.last_updated is not None]
    ended_at, good = max(ends, key=lambda end: end[0], default=(None, None))
    return DrilledSource(
        source=source,
        drills=len(drills),
        operation_id=good.operation_id if good is not None else None,
        ended_at=ended_at,
        age_seconds=max(0, round((now - ended_at).total_seconds())) if ended_at is not None else None,
    )


def _worked(status: Status) -> bool | None:
    return {"SUCCEEDED": True, "RUNNING": None, "PLANNED": None, "UNKNOWN": None}.get(status, False)


def _sentence(record: Record, summary: Summary, reasons: list[str]) -> str:
    target = summary.target or "the target"
    step = record.state or "the first step"
    is_finished = record.finisher is not None and record.execution_id == record.drill_ended_by["execution_id"]
    cleaned_up = "Another execution deletes what it has left." if is_finished else "Nothing was cleaned up."
    if record.swap_finisher is not None:
        cleaned_up = "Another execution finishes the swap."
    why = f"{step}: {reasons[0]}" if reasons else f"It ended in {step}; the message of its end says why."
    if summary.kind == "rollback" and summary.status == "SUCCEEDED":
        return f"{target} leads to the cluster again that it led to before, and its door is open."
    if summary.kind == "drill" and summary.status == "SUCCEEDED":
        return f"{summary.source} was restored as {target} and deleted again. Nobody was let in."
    return {
        "SUCCEEDED": f"{target} is restored, its users can log in, and its door is open.",
        "PLANNED": "This was a plan: nothing was created, changed or deleted.",
        "RUNNING": f"It is running ({step}). Nothing has failed.",
        "REFUSED": "The request was refused, and nothing was touched: "
        + (reasons[0] if reasons else "see its message."),
        "STOPPED": f"It was stopped in {step}. {cleaned_up}",
        "TIMED_OUT": f"It ran out of time in {step}. {cleaned_up}",
    }.get(summary.status, why)


def _cluster_now(stack: Stack, record: Record) -> ClusterNow | None:
    """Return the operation's cluster, found by the id that no other cluster ever has."""
    resource_id = record.cluster_resource_id or record.removed.get("resource_id")
    if resource_id is None:
        return None
    door: Door = "open" if record.door_open_at else "opening" if record.door_opening_at else "shut"
    exists, found = _described(stack, resource_id)
    if _tags(found).get(ROLE_TAG) == "previous":
        door = "shut"  # by the operation that has replaced it
    return ClusterNow(
        resource_id=resource_id,
        exists=exists,
        identifier=found.get("DBClusterIdentifier"),
        status=found.get("Status"),
        door=door,
        endpoint=found.get("Endpoint"),
        port=found.get("Port"),
        expires_at=record.cluster_expires_at,
    )


def kept_cluster(stack: Stack, record: Record) -> KeptCluster | None:
    """Return the cluster that the operation has replaced; None once that has its name back, or is gone."""
    replaced = record.plan.replaces or record.plan.replaced
    if replaced is None or record.swap_end != "forward":
        return None
    _, found = _described(stack, replaced.resource_id)
    tags = _tags(found)
    if tags.get(ROLE_TAG) != "previous":
        return None
    return KeptCluster(
        resource_id=replaced.resource_id,
        identifier=found["DBClusterIdentifier"],
        status=found["Status"],
        expires_at=tags.get(EXPIRY_TAG) if replaced.expires else None,
    )


def _ended_drill(stack: Stack, record: Record, summary: Summary) -> EndedDrill | None:
    """Return what becomes of a drill whose execution has died; None where the operation is none."""
    if not record.is_drill_ended:
        return None
    ended, finisher = record.drill_ended_by, record.finisher
    execution = describe(stack, finisher) if finisher is not None else None
    is_over = record.execution_id != ended["execution_id"] and summary.status != "RUNNING"
    return EndedDrill(
        execution_arn=ended["execution_id"],
        status=ended["status"],
        step=ended["step"],
        finished_by=execution.arn if execution is not None and execution.is_running else None,
        is_cleaned_up=is_over and not record.has_left_something,
    )


def _tags(found: dict[str, Any]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in found.get("TagList", [])}


def _described(stack: Stack, resource_id: str) -> tuple[bool | None, dict[str, Any]]:
    filters = [{"Name": "db-cluster-resource-id", "Values": [resource_id]}]
    try:
        clusters = stack.client("rds").describe_db_clusters(Filters=filters)["DBClusters"]
    except (ClientError, BotoCoreError):
        # Who may read the operation need not have the right to look at clusters.
        return None, {}
    return (True, clusters[0]) if clusters else (False, {})
