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
from .published import Checks, Record
from .stack import Stack
from .words import age, duration, moment, one_line

# The pipeline's tags (utils/aurora_utils/resources.py): the part that a cluster plays for its target, and its end.
ROLE_TAG, EXPIRY_TAG = "aurora-restore:role", "aurora-restore:expires-at"
# What a refusal says where RDS keeps automated backups from being deleted (utils/request/next_command.py), and the
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
        return list(_again(shown))
    keeps = f" {KEEPING}" if any(KEEP_BACKUPS in each for each in shown.reasons) else ""
    return [f"aurora-restore resume {operation}{keeps}"]


def _again(shown: Shown) -> Iterator[str]:
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


def first_screen(shown: Shown) -> Iterator[str]:
    """Yield what a person needs first. Ids stand last on their lines, whole."""
    operation = shown.operation
    what = f"{operation.kind} of {operation.target or 'nothing'}"
    took = f", took {duration(operation.took_seconds)}" if operation.took_seconds is not None else ""
    yield f"{operation.status:9} {what}, started {moment(operation.started_at)}{took}"
    answer = {True: "Yes.", False: "No.", None: ""}[shown.worked]
    yield _row("Did it work?", f"{answer} {shown.sentence}".strip())
    yield from (_row("", each) for each in shown.reasons[1:])
    if operation.checks is not None:
        yield _row("Checks", _checks_line(operation.checks))
    yield _row("Data", _data_line(shown))
    yield _row("Exists now", _exists_line(shown))
    if shown.kept is not None:
        yield _row("", _kept_line(shown.kept))
    yield from (
        _row("Do now" if number == 0 else "", each) for number, each in enumerate(_what_now(shown, operation.status))
    )
    if shown.evidence is not None:
        yield _row("Evidence", f"{shown.evidence.short}  aurora-restore report {operation.operation_id} --open")
    yield _row("Operation", operation.operation_id)


def details(shown: Shown) -> Iterator[str]:
    """Yield what the second screen has: the way there, what differs, and the trail."""
    if shown.started_by:
        yield _row("Started by", one_line(str(shown.started_by.get("who") or shown.started_by.get("unknown") or "")))
    yield _row("Execution", shown.operation.execution_arn)
    yield from (_row("Earlier", each) for each in shown.earlier_executions)
    for title, lines in (
        ("Differs from the plan", shown.differences),
        ("Not taken over", shown.plan.get("not_taken_over", [])),
        ("Warnings", shown.plan.get("warnings", [])),
        ("The trail", [f"{each.at}  {each.event_type:22} {each.status}" for each in shown.events]),
    ):
        if lines:
            yield ""
            yield title
            yield from (f"  {one_line(str(line))}" for line in lines)


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


def drilled_lines(drilled: Iterable[DrilledSource]) -> Iterator[str]:
    """Yield a line for each source of which there were drills."""
    for each in drilled:
        if each.age_seconds is None:
            ran = "1 drill has" if each.drills == 1 else f"{each.drills} drills have"
            yield f"No good drill of {each.source}: {ran} ended."
        else:
            yield f"Last good drill of {each.source}: {age(each.age_seconds)} ago, {each.operation_id}"


def listing_lines(summaries: list[Summary]) -> Iterator[str]:
    """Yield a table of operations; the id comes last, so that nothing cuts it."""
    targets = max([len("TARGET"), *(len(each.target or "-") for each in summaries)])
    row = f"{{:9}}  {{:16}}  {{:7}}  {{:{targets}}}  {{:>8}}  {{:>12}}  {{:>9}}  {{}}"
    yield row.format("STATUS", "STARTED (UTC)", "KIND", "TARGET", "DATA AGE", "TOOK", "CHECKS", "OPERATION")
    for each in summaries:
        yield row.format(
            each.status,
            f"{each.started_at:%Y-%m-%d %H:%M}" if each.started_at else "-",
            each.kind,
            each.target or "-",
            age(each.data_age_seconds) if each.data_age_seconds is not None else "-",
            duration(each.took_seconds) if each.took_seconds is not None else "-",
            f"{each.checks.held}/{each.checks.total}" if each.checks is not None else "-",
            each.operation_id,
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


def _checks_line(checks: Checks) -> str:
    if checks.all_held:
        return f"all {checks.held} held"
    return f"{checks.failed} did NOT hold, {checks.not_run} were not run, {checks.held} held: the report says which"


def _data_line(shown: Shown) -> str:
    operation = shown.operation
    if operation.kind == "rollback":
        return "as they were when the cluster was replaced; what was written since is in the one that is kept now"
    if operation.data_taken_at is None or shown.data_age_now_seconds is None:
        return "No snapshot was chosen."
    started = f", {age(operation.data_age_seconds)} old when it started" if operation.data_age_seconds else ""
    snapshot = one_line(str(shown.plan.get("snapshot", {}).get("identifier", "")))
    return (
        f"{age(shown.data_age_now_seconds)} old: as of {moment(operation.data_taken_at)}{started} "
        f"(snapshot {snapshot} of {operation.source})"
    )


def _exists_line(shown: Shown) -> str:
    cluster = shown.cluster
    if cluster is None:
        return "no cluster of this operation"
    if cluster.exists is None:
        return f"unknown: RDS did not say whether {cluster.resource_id} exists"
    if not cluster.exists:
        return f"nothing: its cluster {cluster.resource_id} is gone"
    expiry = f", expires at {cluster.expires_at}" if cluster.expires_at else ""
    return f"cluster {cluster.identifier} ({cluster.status}), door {cluster.door}{expiry}; it costs money"


def _kept_line(kept: KeptCluster) -> str:
    until = f"until {kept.expires_at}" if kept.expires_at else "until somebody deletes it"
    return f"the cluster of before is kept as {kept.identifier} ({kept.status}) {until}; it costs money, too"


def _what_now(shown: Shown, status: Status) -> Iterator[str]:
    cluster = shown.cluster
    if status == "RUNNING":
        until = f" The end is expected by {shown.expected_end[-1]}." if shown.expected_end else ""
        yield f"Nothing.{until} Follow it:"
    elif status == "PLANNED":
        yield "Start what was planned:"
    elif status == "REFUSED":
        yield "Correct the request, and start it again. Nothing has to be cleaned up."
    elif status == "SUCCEEDED" and cluster is not None and cluster.identifier not in (None, shown.operation.target):
        yield f"Nothing. Its cluster no longer has the name {shown.operation.target}."
    elif status == "SUCCEEDED" and cluster is not None and cluster.exists:
        yield f"Connect: {cluster.endpoint}:{cluster.port}"
        if shown.application_secret:
            yield f"The logins are in secret {shown.application_secret}"
        if shown.kept is not None and shown.operation.kind == "refresh":
            yield "To go back to the cluster of before, without what was written since:"
            yield f"aurora-restore rollback {shown.operation.operation_id}"
    elif status == "SUCCEEDED":
        yield "Nothing."
    elif shown.ended_drill is not None:
        yield from _after_ended_drill(shown.ended_drill)
    elif shown.swap_finished_by is not None:
        yield "Change neither of the two clusters. This execution finishes the swap, and its message says how:"
        yield shown.swap_finished_by
    elif status in ("FAILED", "STOPPED", "TIMED_OUT") and not shown.plan:
        yield "Nothing was created. Fix the cause, and start it again:"
    elif status in ("FAILED", "STOPPED", "TIMED_OUT"):
        yield "Fix the cause, and resume it. To give it up instead, the message of its end has the commands."
    yield from next_commands(shown)
    if status in ("FAILED", "STOPPED", "TIMED_OUT") and shown.ended_drill is None:
        yield from _policy_lines(shown)


def _policy_lines(shown: Shown) -> Iterator[str]:
    """Yield what a resume masks by, as long as the masking has not passed its gate.

    An operator who has corrected the policy would otherwise resume, and be refused (utils/preflight/masking.py).
    """
    masking = shown.plan.get("masking")
    if not masking or shown.masked_at is not None or shown.operation.kind == "rollback":
        return
    policy, version = one_line(str(masking.get("policy", ""))), one_line(str(masking.get("version_id", "")))
    yield f"A resume masks by the version of policy {policy} that was planned: {version}."
    yield "With a corrected policy, set the stack's MaskingPolicies to its new version, and start a new operation:"
    yield from _again(shown)
    if shown.cluster is not None and shown.cluster.exists:
        yield "The cluster has the target's name until you delete it: the message of the end has the commands."


def _after_ended_drill(drill: EndedDrill) -> Iterator[str]:
    if drill.is_cleaned_up:
        yield "Nothing: what the drill had left is deleted. To drill again, start a new operation."
    elif drill.finished_by is not None:
        yield "Nothing. This execution deletes what the drill has left, and its message says how that has ended:"
        yield drill.finished_by
    else:
        yield "Fix the cause, and resume it. That deletes what the drill has left, and does nothing else:"


def _row(label: str, text: str) -> str:
    return f"{label:12}  {text}"
