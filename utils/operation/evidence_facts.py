"""The evidence of an operation's end, put together from what its record, its plan and RDS say of it.

Nothing is asked here: the closing step has asked already, and what it does not know is written as unknown.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

import utils
from utils import environment
from utils.arns import Arn
from utils.aurora_utils.door import is_door_shut, is_shut
from utils.contracts.evidence import (
    Change,
    Checked,
    Evidence,
    EvidenceExecution,
    EvidenceKind,
    EvidenceOutcome,
    EvidenceSnapshot,
    EvidenceTarget,
    Isolation,
    Objective,
    Objectives,
    Requested,
    Software,
    Summary,
    TimelineEntry,
)
from utils.contracts.payloads import Archived, Execution, ExecutionError
from utils.contracts.plan import Plan
from utils.contracts.verification import Verification
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.messages.drill import how_drill_ended, what_ended_drill_has_left
from utils.messages.failure import cause_lines
from utils.messages.remains import Remains
from utils.operation.evidence_changes import changes_of, moment
from utils.operation.starter import Starter
from utils.redaction import without_secrets
from utils.state.executions import STOPPED
from utils.state.operation import OperationRecord
from utils.state.timeline import phases_of

PRODUCT = "aurora-restore-pipeline"
MAX_REQUEST = 20_000
# What an operation that came to its end has not shown, whichever it was.
ALWAYS_OPEN = (
    "That an application works with these data was not tried, nor a failover to another instance.",
    "Times are those of AWS and of the pipeline's functions. Nobody else has measured them.",
)


class Known(Struct, frozen=True, kw_only=True):
    """What the closing step knows. `exists` says whether RDS still reports the cluster, None where it was not asked.

    `left`: what could not be taken back or cleaned up, a sentence each.
    """

    operation_id: str
    execution: Execution
    succeeded: bool
    stopped: bool
    request: Any
    record: OperationRecord | None
    starter: Starter
    remains: Remains
    exists: bool | None
    error: ExecutionError | None = None
    archive: Archived | None = None
    left: list[str] = []
    verification: Verification | None = None
    next: list[str] = []


def evidence_of(known: Known) -> Evidence:
    """Return the evidence. Every foreign text in it is on one line and bounded."""
    record, execution = known.record, known.execution
    plan = _plan_of(record)
    # The record of an operation without a plan is written at its end.
    started = dt.datetime.fromisoformat(record.started_at) if record and plan else execution.started_at
    objectives = _objectives(plan, known, started)
    outcome = outcome_of(known, objectives)
    return Evidence(
        operation_id=known.operation_id,
        kind=_kind(plan, known.request),
        outcome=outcome,
        started_at=_whole(started),
        ended_at=_whole(execution.now),
        summary=Summary(
            worked=known.succeeded,
            sentence=_sentence(known, plan, outcome),
            next=[one_line(line, MAX_SENTENCE) for line in known.next],
        ),
        error="\n".join(cause_lines(known.error)) if known.error is not None and not known.succeeded else None,
        requested=_requested(known, plan),
        snapshot=_snapshot(plan, record) if plan is not None else None,
        target=_target(plan, known, record) if plan is not None and record is not None else None,
        isolation=_isolation(plan, known, record) if plan is not None and record is not None else None,
        objectives=objectives,
        timeline=list(_timeline(known)),
        checks=_checked(known.verification),
        findings=list(_findings(known, objectives)),
        changes=_changes(known, plan),
        execution=EvidenceExecution(
            arn=execution.execution_id,
            redrive_count=execution.redrive_count,
            earlier=record.earlier_executions if record is not None else [],
        ),
        software=Software(
            name=PRODUCT,
            function_version=environment.optional("AWS_LAMBDA_FUNCTION_VERSION") or "unknown",
            code_sha256=code_sha256(),
        ),
        limits=list(_limits(known, plan)),
    )


def outcome_of(known: Known, objectives: Objectives) -> EvidenceOutcome:
    """Return how the operation has ended, in the evidence's words. An objective that was missed is a finding."""
    if known.succeeded:
        checks_held = known.verification is None or known.verification.all_held
        missed = False in (objectives.rpo_seconds.held, objectives.rto_seconds.held)
        return "passed" if checks_held and not missed and not known.left else "findings"
    ended = known.record.drill_ended_by if known.record is not None and known.record.is_drill_ended else {}
    if known.stopped or ended.get("status") in STOPPED:
        return "stopped"
    failed: dict[str, EvidenceOutcome] = {"RequestRefused": "refused", "ChecksFailed": "findings"}
    return failed.get(known.error.error if known.error is not None else "", "failed")


@functools.cache
def code_sha256() -> str:
    """Return the hash of the deployed utils: of each source file's path and hash, in the order of the paths."""
    root = Path(utils.__file__ or "").parent
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(root).as_posix()}\n"
        for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix())
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _plan_of(record: OperationRecord | None) -> Plan | None:
    """Return the plan; None where there was none, or where another version of the stack has written it."""
    if record is None or not record.plan:
        return None
    try:
        return msgspec.convert(record.plan, Plan)
    except msgspec.ValidationError:
        return None


def _kind(plan: Plan | None, request: Any) -> EvidenceKind:
    if plan is None:
        asked = request if isinstance(request, dict) else {}
        return "drill" if asked.get("drill") is True else "rollback" if asked.get("rollback") is True else "restore"
    if plan.rolls_back is not None:
        return "rollback"
    if plan.drill:
        return "drill"
    return "refresh" if plan.replaces is not None or plan.replaced is not None else "restore"


def _sentence(known: Known, plan: Plan | None, outcome: EvidenceOutcome) -> str:
    """Return in one sentence what happened, of a drill whose execution has died in two."""
    if known.record is not None and known.record.is_drill_ended:
        finisher = known.remains.finished_by
        left = what_ended_drill_has_left(known.record, exists=known.exists)
        left = left if finisher is None else f"Execution {finisher} deletes what it has left."
        return one_line(f"{how_drill_ended(known.record)} {left}", MAX_SENTENCE)
    if outcome in ("failed", "stopped", "refused") and known.error is not None:
        return one_line(cause_lines(known.error)[0], MAX_SENTENCE)
    if plan is None:
        return "The operation has ended."
    source, target = plan.snapshot.cluster_identifier, plan.target_cluster_id
    taken = f"{plan.snapshot.created_at:%Y-%m-%d %H:%M} UTC"
    if plan.rolls_back is not None:
        return f"{target} leads to cluster {plan.rolls_back.resource_id} again."
    what = f"{source} was restored as {target}, from the snapshot of {taken}"
    if plan.drill:
        what += ", and the restored cluster was deleted again"
    return f"{what}." if known.verification is not None else f"{what}. No check looked at the data."


def _requested(known: Known, plan: Plan | None) -> Requested:
    starter = known.starter
    scheduled = known.request.get("scheduled_at") if isinstance(known.request, dict) else None
    source: Literal["cloudtrail", "claimed", "unknown"] = "unknown"
    by = f"unknown: {starter.unknown}"
    if starter.known_from == "cloudtrail":
        source, by = "cloudtrail", starter.who
    elif scheduled:
        source, by = "claimed", f"the schedule of {one_line(scheduled)}, as the request says, which anybody can write"
    asked = json.dumps(without_secrets(known.request), ensure_ascii=True, sort_keys=True, default=str)
    return Requested(
        by=one_line(by, MAX_SENTENCE),
        by_source=source,
        event_id=starter.event_id or None,
        plan_sha256=plan_sha256(plan) if plan is not None else None,
        request=asked[:MAX_REQUEST],
    )


def plan_sha256(plan: Plan) -> str:
    """Return the hash of a plan: of its JSON with sorted keys."""
    return hashlib.sha256(msgspec.json.encode(plan, order="sorted")).hexdigest()


def _snapshot(plan: Plan, record: OperationRecord | None) -> EvidenceSnapshot:
    found = plan.snapshot
    arn = Arn.parse(found.arn)
    was_used = record is not None and (record.cluster_resource_id is not None or bool(record.removed_here))
    return EvidenceSnapshot(
        arn=one_line(found.arn, MAX_SENTENCE),
        identifier=one_line(found.identifier),
        created_at=_whole(found.created_at),
        encryption=found.encryption,
        kms_key_id=found.kms_key_id,
        cluster_identifier=one_line(found.cluster_identifier),
        region=arn.region,
        account=arn.account_id,
        copied_to=plan.copy.arn if plan.copy is not None and was_used else None,
        engine_version=found.engine_version,
        allocated_gib=found.allocated_gib or None,
    )


def _target(plan: Plan, known: Known, record: OperationRecord) -> EvidenceTarget | None:
    """Return the cluster that the operation is about; None where it has created none."""
    resource_id = record.cluster_resource_id or record.removed_here.get("resource_id")
    if resource_id is None:
        return None
    own = Arn.parse(known.execution.execution_id)
    return EvidenceTarget(
        identifier=plan.target_cluster_id,
        resource_id=resource_id,
        region=own.region,
        account=own.account_id,
        endpoint=record.endpoint or (record.users or record.removed_here).get("endpoint"),
        instances=[each.identifier for each in plan.cluster.instances],
        settings=_settings(known, record),
        exists=known.exists,
    )


def _settings(known: Known, record: OperationRecord) -> Literal["as_planned", "differ", "not_compared"]:
    """Return how the settings were. A drill compares them before its end, another operation when its door is open.

    A rollback compares none: its cluster is of an earlier operation.
    """
    if _differences(record):
        return "differ"
    compared = record.settings_compared_at or record.removed_here.get("settings_compared_at")
    has_opened = known.succeeded or "delete-rds" in record.step_times
    are_compared = compared is not None if record.is_drill else has_opened and not record.plan.get("rolls_back")
    return "as_planned" if are_compared else "not_compared"


def _differences(record: OperationRecord) -> list[str]:
    """Return where RDS reported other settings than were planned, also of a cluster that was deleted again."""
    return record.differences or record.removed_here.get("differences", [])


def _isolation(plan: Plan, known: Known, record: OperationRecord) -> Isolation:
    exists = record.cluster_resource_id is not None
    masked = record.masked_at if exists else record.removed_here.get("masked_at")
    return Isolation(
        door=_door(known, record),
        door_security_group=plan.cluster.door_security_group_id,
        opened_at=moment(record.door_open_at),
        security_groups=[] if record.is_drill else plan.cluster.vpc_security_group_ids,
        inherited_logins=plan.inherited_logins,
        locked_logins=record.logins_locked if exists else int(record.removed_here.get("locked_logins", 0)),
        masking_policy=f"{plan.masking.policy}, version {plan.masking.version_id}" if plan.masking else None,
        masked_at=moment(masked),
    )


def _door(known: Known, record: OperationRecord) -> Literal["never", "opened", "unknown"]:
    """Return whether anybody was let in. A person may have opened the door of a cluster that was kept."""
    if record.door_open_at is not None:
        return "opened"
    cluster = known.remains.cluster
    groups = record.removed_here.get("security_groups", [])
    opened_by_hand = (cluster is not None and not is_door_shut(cluster, record.door_group_id)) or (
        bool(groups) and not is_shut(groups, record.door_group_id)
    )
    return "unknown" if record.door_opening_at is not None or opened_by_hand else "never"


def _objectives(plan: Plan | None, known: Known, started: dt.datetime) -> Objectives:
    newest = known.verification.newest_row_at if known.verification is not None else None
    data_of = None if plan is None or plan.rolls_back is not None else newest or plan.snapshot.created_at
    record = known.record
    usable = None
    if record is not None and known.succeeded:
        usable = moment(record.removed_here.get("ready_at") if record.is_drill else record.door_open_at)
    return Objectives(
        rpo_seconds=_objective(environment.optional("RPO_TARGET_MINUTES"), data_of, started),
        rpo_from=None if data_of is None else "newest_row" if newest is not None else "snapshot",
        rto_seconds=_objective(environment.optional("RTO_TARGET_MINUTES"), started, usable),
    )


def _objective(target_minutes: str, since: dt.datetime | None, until: dt.datetime | None) -> Objective:
    minutes = int(target_minutes or 0)
    actual = None if since is None or until is None else max(round((until - since).total_seconds()), 0)
    return Objective(target=minutes * 60 or None, actual=actual)


def _timeline(known: Known) -> Iterator[TimelineEntry]:
    """Yield the phases of this execution. The last one of a failure has not come to its end."""
    phases = phases_of(known.record, known.execution.now) if known.record is not None else []
    for number, (phase, began, ended) in enumerate(phases, start=1):
        broke_off = number == len(phases) and not known.succeeded
        yield TimelineEntry(
            phase=phase,
            began_at=_whole(began),
            ended_at=None if broke_off else _whole(ended),
            outcome="failed" if broke_off else "done",
        )


def _checked(found: Verification | None) -> Checked | None:
    if found is None:
        return None
    return Checked(
        policy=found.policy,
        held=found.held,
        failed=found.failed,
        not_run=found.not_run,
        not_listed=found.not_listed,
        tables=found.tables,
        tables_counted=found.tables_counted,
        rows=found.rows,
        fingerprint=found.fingerprint,
        newest_row_at=_whole(found.newest_row_at) if found.newest_row_at else None,
        compared_with=found.compared_with,
        compared_with_source=found.compared_with_source,
        results=found.checks,
    )


def _findings(known: Known, objectives: Objectives) -> Iterator[str]:
    for what, objective in (
        ("The data was older than its target when the operation began", objectives.rpo_seconds),
        ("It took longer than its target until the cluster was usable", objectives.rto_seconds),
    ):
        if objective.held is False:
            yield f"{what}: {objective.actual} seconds, and the target is {objective.target}"
    for check in known.verification.checks if known.verification is not None else []:
        if check.held is False:
            yield f"{one_line(check.name)}, {one_line(check.scope)}: expected {check.expected}, found {check.actual}"
        elif check.held is None:
            yield f"{one_line(check.name)}, {one_line(check.scope)}: not run ({one_line(check.error or 'no reason')})"
    yield from (one_line(each, MAX_SENTENCE) for each in known.left)
    for each in (*_differences(known.record), *_of_masking(known.record)) if known.record is not None else ():
        yield one_line(each, MAX_SENTENCE)


def _of_masking(record: OperationRecord) -> list[str]:
    """Return what the masking has reported, also of a cluster that was deleted again."""
    findings: list[str] = record.masking.get("findings") or record.removed_here.get("masking_findings", [])
    return findings


def _changes(known: Known, plan: Plan | None) -> list[Change]:
    if plan is None or known.record is None:
        return []
    return changes_of(plan, known.record, known.archive, source_is_gone=_source_is_gone(known))


def _source_is_gone(known: Known) -> bool:
    """Return whether RDS has reported that the source cluster is gone: the last step did, or it was looked at."""
    source = known.remains.source
    return known.succeeded or (source is not None and source.is_gone)


def _limits(known: Known, plan: Plan | None) -> Iterator[str]:
    """Yield what this does not show."""
    restored = plan is not None and plan.rolls_back is None
    if restored and known.verification is None:
        yield "No check looked at the data: that a login worked, and RDS's word, are all that is known of them."
    elif restored and known.verification is not None:
        guessed = known.verification.tables - known.verification.tables_counted
        if guessed > 0:
            yield f"The rows of {guessed} of {known.verification.tables} tables were estimated, not counted."
    record = known.record
    has_cluster = record is not None and (record.cluster_resource_id is not None or bool(record.removed_here))
    if restored and record is not None and has_cluster and _settings(known, record) == "not_compared":
        yield "The settings of the cluster were not compared with the plan: the operation did not come so far."
    if known.record is not None and known.record.earlier_executions:
        yield "The timeline is the last execution's. The earlier ones have evidence of their own."
    yield from ALWAYS_OPEN


def _whole(at: dt.datetime) -> dt.datetime:
    """Return a moment in UTC to the millisecond, as the state table has it."""
    utc = at.astimezone(dt.UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)
