"""The messages to people: what happened, what exists now, and which command comes next."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from utils.arns import Arn, execution_name
from utils.contracts.payloads import Archived, ExecutionError, UsersReady
from utils.contracts.plan import Plan, SourceDeletion
from utils.foreign_text import MAX_SENTENCE, listed, one_line
from utils.messages.cluster import cost, summary
from utils.messages.drill import drilled_rows
from utils.messages.expiry import expiry_rows
from utils.messages.failure import cause_lines, remains_lines, state_lines
from utils.messages.message import Message, compose
from utils.messages.next_steps import next_lines
from utils.messages.plan import expected_range, not_taken_over_lines, plan_lines
from utils.messages.remains import Remains
from utils.messages.rollback import parts_of, rolled_back_rows
from utils.messages.swap import ReplacedNow, end_of_kept, fence_sentences, undone_sentences
from utils.messages.units import age, duration
from utils.planning.calls import call_lines
from utils.redaction import without_secrets
from utils.request.next_command import anew, start_command
from utils.state.operation import OperationRecord
from utils.state.timeline import phase_seconds, total_seconds

# How the sentence begins on secrets that could not be cleaned up.
NOT_SETTLED = "Not all secrets of the operation were cleaned up"

_LABEL_WIDTH = 11
# A label and its text.
Row = tuple[str, str]
_CONSOLES = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}


def planned(plan: Plan, execution_id: str, request: object, started_by: str = "") -> Message:
    """Return the message of a dry run. `request` is its input, which without dry_run asks for the real operation."""
    lines = [
        "This was a dry run: nothing was created, changed or deleted. A real operation would",
        *(f"  {number}. {line}" for number, line in enumerate(plan_lines(plan), start=1)),
        "",
        "by these calls, in this order (beside those for its own state, audit trail and message):",
        *(f"  {line}" for line in call_lines(plan.calls, Arn.parse(execution_id).account_id)),
        "",
        *_beside_the_plan(plan),
        *_expected_rows(plan),
        *(
            []
            if plan.rolls_back
            else [f"Costs      The new cluster {cost(plan.cluster, Arn.parse(execution_id).region)}"]
        ),
        *_execution_lines(execution_id, started_by),
        *_for_real(request, execution_id),
    ]
    target, snapshot = plan.target_cluster_id, plan.snapshot.identifier
    what = f"{target} back to {plan.cluster.identifier}" if plan.rolls_back else f"{target} from {snapshot}"
    return compose(f"PLANNED: {what}", lines)


def rolled_back(
    plan: Plan,
    record: OperationRecord,
    execution_id: str,
    now: dt.datetime,
    corrects: str | None = None,
    about_secrets: Iterable[str] = (),
    started_by: str = "",
    replaced: ReplacedNow | None = None,
) -> Message:
    """Return the message of a rollback that has succeeded. `replaced` is the cluster that was rolled back."""
    undone, _ = parts_of(plan)
    rows = [
        *_corrects_rows(corrects),
        *rolled_back_rows(plan, record, replaced),
        *(("Secrets", line) for line in about_secrets),
        ("Took", duration(total_seconds(record, now))),
    ]
    lines = [*_columns(rows), "", f"Operation  {plan.operation_id}", *_execution_lines(execution_id, started_by)]
    return compose(f"SUCCEEDED: {plan.target_cluster_id} rolled back to {undone.resource_id}", lines)


def succeeded(
    plan: Plan,
    users: UsersReady,
    archive: Archived,
    record: OperationRecord,
    execution_id: str,
    now: dt.datetime,
    corrects: str | None = None,
    about_secrets: Iterable[str] = (),
    started_by: str = "",
    replaced: ReplacedNow | None = None,
) -> Message:
    """Return the message of a success. `corrects` is when a failure was reported that was none.

    `replaced` is the cluster that was replaced, where RDS could be asked for it.
    """
    snapshot, cluster = plan.snapshot, plan.cluster
    rows = [
        *_lost_rows(plan, replaced),
        *_corrects_rows(corrects),
        ("Restored", f"{plan.target_cluster_id} ({record.cluster_resource_id})"),
        *_replaced_rows(plan, record, replaced),
        *(("Resumed", line) for line in plan.resumed),
        ("Endpoint", f"{users.endpoint}:{users.port}"),
        *_door_rows(plan, record),
        *expiry_rows(record, plan.expires_after_hours),
        ("From", f"{snapshot.identifier}, {snapshot.why}, of {snapshot.cluster_identifier}"),
        ("Data of", f"{snapshot.created_at:%Y-%m-%d %H:%M} UTC, {age(now - snapshot.created_at)} old"),
        *_masking_rows(plan, record),
        *_verification_rows(plan, record.verified_at, record.verification),
        ("Settings", f"{summary(cluster)}, PostgreSQL {cluster.engine_version}"),
        ("Costs", f"while it exists, it {cost(cluster, Arn.parse(execution_id).region)}"),
        *_role_rows(users),
        ("Databases", listed(users.databases)),
        ("Took", duration(total_seconds(record, now)) + _expected_instead(plan)),
        *(("", f"  {name:15} {duration(seconds)}") for name, seconds in phase_seconds(record, now).items()),
        ("Deleted", _deleted(plan.source_deletion)),
        _archive_row(archive),
        *_secret_rows(users, record),
        *(("Secrets", line) for line in about_secrets),
        *(("Differs", _bounded(difference)) for difference in record.differences),
        *_login_rows(plan, users),
        *(
            ("Warning", _bounded(warning))
            for warning in (
                *snapshot.notes,
                *plan.warnings,
                *undone_sentences(replaced),
                *fence_sentences(replaced),
                *record.masking.get("findings", []),
                *(record.verification.get("findings", []) if record.verified_at else ()),
                *users.warnings,
                *archive.warnings,
            )
        ),
    ]
    lines = [
        *_columns(rows),
        *not_taken_over_lines(plan),
        "",
        f"Operation  {plan.operation_id}",
        *_execution_lines(execution_id, started_by),
    ]
    return compose(
        f"SUCCEEDED: {plan.target_cluster_id} restored from {snapshot.cluster_identifier}, "
        f"data {age(now - snapshot.created_at)} old",
        lines,
    )


def drilled(
    plan: Plan,
    users: UsersReady,
    archive: Archived,
    record: OperationRecord,
    execution_id: str,
    now: dt.datetime,
    corrects: str | None = None,
    about_secrets: Iterable[str] = (),
    started_by: str = "",
) -> Message:
    """Return the message of a drill that has come to its end: what it has proved, and that nothing of it is left."""
    about_secrets = list(about_secrets)
    snapshot, found = plan.snapshot, record.removed_here.get("verification", {})
    rows = [
        *_corrects_rows(corrects),
        *drilled_rows(plan, record),
        *_verification_rows(plan, record.removed_here.get("verified_at"), found),
        *(("Resumed", line) for line in plan.resumed),
        ("From", f"{snapshot.identifier}, {snapshot.why}, of {snapshot.cluster_identifier}"),
        ("Data of", f"{snapshot.created_at:%Y-%m-%d %H:%M} UTC, {age(now - snapshot.created_at)} old"),
        ("Settings", f"{summary(plan.cluster)}, PostgreSQL {plan.cluster.engine_version}"),
        ("Databases", listed(users.databases)),
        *(("Differs", _bounded(difference)) for difference in record.removed_here.get("differences", [])),
        ("Took", duration(total_seconds(record, now)) + _expected_instead(plan)),
        *(("", f"  {name:15} {duration(seconds)}") for name, seconds in phase_seconds(record, now).items()),
        _archive_row(archive),
        *(("Secrets", line) for line in about_secrets),
        *(
            ("Warning", _bounded(warning))
            for warning in (
                *snapshot.notes,
                *plan.warnings,
                *record.removed_here.get("masking_findings", []),
                *found.get("findings", []),
                *users.warnings,
                *archive.warnings,
            )
        ),
    ]
    lines = [*_columns(rows), "", f"Operation  {plan.operation_id}", *_execution_lines(execution_id, started_by)]
    is_unsettled = any(line.startswith(NOT_SETTLED) for line in about_secrets)
    left = "SOMETHING IS LEFT" if archive.warnings or is_unsettled else "nothing is left"
    how_old = age(now - snapshot.created_at)
    status = "WITH FINDINGS" if found.get("failed") or found.get("not_run") else "SUCCEEDED"
    return compose(f"{status}: drill of {snapshot.cluster_identifier}, data {how_old} old, {left}", lines)


def failed(
    error: ExecutionError,
    record: OperationRecord | None,
    request: Any,
    remains: Remains,
    clean_up: Mapping[str, Any],
    execution_id: str,
    asked_before: Mapping[str, Any] | None = None,
    started_by: str = "",
) -> Message:
    """Return the message of a failure: how production is, which step failed and why, what exists now, what to do."""
    step = record.state if record and record.status != "planned" else "snapshot-check"
    target = target_of(record, request)
    lines = [
        *state_lines(error, record, remains),
        "",
        f"Step       {step}",
        f"Error      {one_line(error.error)}",
        *(f"           {line}" for line in cause_lines(error)),
        f"Operation  {record.operation_id if record else execution_name(execution_id)}",
        *_execution_lines(execution_id, started_by),
        "",
        "What exists now:",
        *(f"  {line}" for line in remains_lines(record, remains, clean_up)),
        "",
        "What to do next:",
        *(f"  {line}" for line in next_lines(error, record, request, remains, execution_id, asked_before or {})),
    ]
    return compose(f"FAILED: {target} at {step}: {error.error}", lines)


def _execution_lines(execution_id: str, started_by: str) -> list[str]:
    """Return the lines on the execution. `started_by` is here, because people look for the next command at the end."""
    return [f"Execution  {console_link(execution_id)}", *([started_by] if started_by else [])]


def _for_real(request: object, execution_id: str) -> Iterable[str]:
    """Yield the command of the real operation. A request that may not be shown cannot be repeated."""
    if not isinstance(request, dict) or without_secrets(request) != request:
        return
    real = {name: value for name, value in anew(request).items() if name != "dry_run"}
    yield from ("", "To carry it out:")
    yield from (f"  {line}" for line in start_command(execution_id, real))


def _expected_rows(plan: Plan) -> Iterator[str]:
    """Yield how long it is expected to take, and what that is known from."""
    if not plan.expected_minutes:
        return
    learned = [phase for phase in plan.phases if phase in plan.expected_seconds]
    known = f"as seen before of {', '.join(learned)}" if learned else "by public figures, as nothing was seen yet"
    yield f"Expected   {expected_range(plan)}, {known}"


def _beside_the_plan(plan: Plan) -> list[str]:
    """Return what a person should know before approving the plan, with an empty line behind it."""
    lines = [*(f"Warning    {warning}" for warning in plan.warnings), *not_taken_over_lines(plan)]
    return [*lines, ""] if lines else []


def _columns(rows: Iterable[Row]) -> Iterator[str]:
    """Yield a line for each label and its text."""
    yield from (f"{label:{_LABEL_WIDTH}}{text}" for label, text in rows)


def _archive_row(archive: Archived) -> Row:
    if archive.exported_to:
        return "Archive", archive.why
    return "Copy", f"{archive.deleted_snapshot_arn or 'nothing deleted'}: {archive.why}"


def _secret_rows(users: UsersReady, record: OperationRecord) -> Iterator[Row]:
    if record.master_secret_arn:
        yield "Login", f"RDS keeps the master login in {record.master_secret_arn}"
    elif users.master_secret:
        yield "Login", f"the master login is in secret {users.master_secret}"
    if users.application_secret:
        yield "", f"the application's logins are in secret {users.application_secret}"


def _login_rows(plan: Plan, users: UsersReady) -> Iterator[Row]:
    """Yield what became of the logins and the background work that came with the data."""
    if users.locked_logins:
        yield "Locked", f"logins that came with the data: {listed(users.locked_logins)}"
    yield from (("Disabled", _bounded(text)) for text in users.disabled)
    if users.inherited_logins:
        asked = ", as asked (inherited_logins: report)" if plan.inherited_logins == "report" else ""
        yield "Warning", f"logins that came with the data still work{asked}: {listed(users.inherited_logins)}"


def console_link(execution_id: str) -> str:
    """Return the address of the execution in the console."""
    execution = Arn.parse(execution_id)
    region, domain = execution.region, _CONSOLES.get(execution.partition, "console.aws.amazon.com")
    return f"https://{region}.{domain}/states/home?region={region}#/v2/executions/details/{execution_id}"


def target_of(record: OperationRecord | None, request: Any) -> str:
    """Return the target's name as far as it is known."""
    if record and "target_cluster_id" in record.plan:
        return str(record.plan["target_cluster_id"])
    given = request.get("target_cluster_id") if isinstance(request, dict) else None
    return given if isinstance(given, str) else "restore"


def _corrects_rows(corrects: str | None) -> Iterator[Row]:
    if corrects:
        yield "Corrects", f"the message FAILED of {corrects}: the operation has succeeded"


def _lost_rows(plan: Plan, replaced: ReplacedNow | None) -> Iterator[Row]:
    """Yield that the cluster which had the target's name before is gone, although it was to be kept."""
    planned = plan.replaces or plan.replaced
    if planned is not None and replaced is not None and replaced.identifier is None:
        yield (
            "Lost",
            f"{planned.resource_id}, which was {plan.target_cluster_id} before, was deleted by somebody else: "
            "there is no way back to it",
        )


def _replaced_rows(plan: Plan, record: OperationRecord, replaced: ReplacedNow | None) -> Iterator[Row]:
    """Yield what became of the cluster that had the target's name before, by the name that it has now."""
    planned = plan.replaces or plan.replaced
    if planned is None or record.door_open_at is None or (replaced is not None and replaced.identifier is None):
        return
    name = (replaced.identifier if replaced is not None else None) or planned.other_names[0]
    end = end_of_kept(planned, record.door_open_at, replaced)
    yield "Replaced", f"{planned.resource_id}, which is kept as {name} behind the stack's door, {end}"
    costs = replaced.costs if replaced is not None and replaced.costs else "its instances cost what they did before"
    yield "", f"while it exists, {costs}"
    yield "", f'to go back: an execution with the input {{"operation_id": "{plan.operation_id}", "rollback": true}}'


def _door_rows(plan: Plan, record: OperationRecord) -> Iterator[Row]:
    """Yield when the door was opened, perhaps by hand, as the message of an earlier failure says."""
    until = f"shut until {record.door_opening_at}" if record.door_opening_at else "shut until it was opened by hand"
    yield "Door", f"{until}: only the pipeline got into {plan.cluster.door_security_group_id}"
    yield "", f"open since {record.door_open_at}: {', '.join(plan.cluster.vpc_security_group_ids)}"


def _masking_rows(plan: Plan, record: OperationRecord) -> Iterator[Row]:
    """Yield by which policy the data were masked, and what still holds them as they were.

    Automated backups allow a restore to any moment of their retention period (Aurora User Guide, "Restoring a DB
    cluster to a specified time"): also to one before the masking.
    """
    if plan.masking is None or record.masked_at is None:
        return
    done = record.masking
    yield "Masked", f"by policy {plan.masking.policy}, version {plan.masking.version_id}, at {record.masked_at}"
    yield "", f"{done.get('rows', 0)} rows in {done.get('tables', 0)} tables of {listed(done.get('databases', []))}"
    if checks := done.get("passed_checks"):
        yield "", f"checks that found nothing unmasked: {_bounded(listed(checks))}"
    until = dt.datetime.fromisoformat(record.masked_at) + dt.timedelta(days=plan.cluster.backup_retention_days)
    yield "Unmasked", f"the cluster's automated backups of before that time, which expire by {until:%Y-%m-%d %H:%M} UTC"
    yield "", f"snapshot {plan.snapshot.identifier}, which is as it was found"


def _verification_rows(plan: Plan, verified_at: str | None, found: Mapping[str, Any]) -> Iterator[Row]:
    """Yield by which checks the data were verified, and how many of them did not hold."""
    if plan.verification is None or verified_at is None:
        return
    held, failed, not_run = (found.get(name, 0) for name in ("held", "failed", "not_run"))
    yield "Verified", f"by policy {plan.verification.policy}, at {verified_at}: {held} checks held"
    if source := found.get("compared_with_source"):
        yield "", f"compared with {source} itself, as it was then"
    if failed or not_run:
        yield "", f"{failed} did not hold and {not_run} could not be run: the warnings below say which"


def _role_rows(users: UsersReady) -> Iterator[Row]:
    """Yield the application's two roles on one line, each further one on its own."""
    two = [f"{users.application_role} (read and write)", f"{users.read_only_role} (read only)"]
    yield "Roles", listed(two)
    yield from (("", _bounded(role)) for role in users.roles if role not in two)


def _deleted(deletion: SourceDeletion | None) -> str:
    """Return which source cluster was deleted, and what is left of it."""
    if deletion is None:
        return "no cluster"
    final = deletion.final_snapshot_identifier
    snapshot = f"final snapshot {final}" if final else "without a final snapshot, as asked"
    backups = "automated backups as well" if deletion.delete_automated_backups else "automated backups kept"
    return f"{deletion.cluster_identifier} ({deletion.cluster_resource_id}) in {deletion.region}, {snapshot}, {backups}"


def _expected_instead(plan: Plan) -> str:
    """Return how long the plan said that it would take."""
    return f"; {expected_range(plan)} were expected" if plan.expected_minutes else ""


def _bounded(text: str) -> str:
    """Return a sentence with names from the data in it, on one line of bounded length."""
    return one_line(text, MAX_SENTENCE)
