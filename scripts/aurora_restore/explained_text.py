"""What is known of an operation, or of several, as a person reads it: the first screen, the details, the list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .answers import DrilledSource, EndedDrill, KeptCluster, Shown, Status, Summary
from .explained import asking_again, next_commands
from .published import Checks
from .words import age, duration, moment, one_line


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
    yield from asking_again(shown)
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
