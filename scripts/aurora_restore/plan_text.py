"""A plan as somebody signs it: what is taken, created and deleted, one line each, and then every call."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator

from .published import Plan, Replaced
from .words import age, moment, one_line

_VERB, _WHAT = 8, 40


def plan_lines(plan: Plan, digest: str, now: dt.datetime) -> Iterator[str]:
    """Yield the plan. What it destroys is in capitals in the second line, or that it destroys nothing."""
    what = f"{plan.snapshot.cluster_identifier} into {plan.target_cluster_id}"
    if plan.rolls_back:
        what = f"{plan.target_cluster_id} back to {plan.rolls_back.resource_id}"
    what = f"DRILL of {what}" if plan.drill else what
    yield f"Plan {digest} of {plan.operation_id}: {what}, by {len(plan.calls)} calls"
    destroyed = ", ".join(plan.destroys)
    yield f"DESTROYS OR REPLACES {destroyed}" if destroyed else "Nothing that exists is changed or deleted."
    for verb, thing, how in _steps(plan, now):
        yield f"  {verb:{_VERB}}{thing:{_WHAT}}  {how}".rstrip()
    for title, lines in (
        ("Note:", plan.snapshot.notes),
        (f"Not taken over from {plan.snapshot.cluster_identifier}:", plan.not_taken_over),
        ("Warnings:", plan.warnings),
        ("The calls, in this order:", list(_calls(plan))),
    ):
        if lines:
            yield title
            yield from (f"  {one_line(line)}" for line in lines)
    if plan.expected_minutes:
        yield f"Expected to take {plan.expected_minutes[0]} to {plan.expected_minutes[-1]} minutes."


def _steps(plan: Plan, now: dt.datetime) -> Iterator[tuple[str, str, str]]:
    if plan.rolls_back is None:
        yield from _restored(plan, now)
    elif plan.rolls_back.replaced_at:
        yield "LOSE", f"what was written since {moment(plan.rolls_back.replaced_at)}", "nothing copies it back"
    yield from _renamed(plan)
    if plan.expires_after_hours:
        yield "EXPIRE", f"cluster {plan.target_cluster_id}", f"{plan.expires_after_hours} h after its door opened"
    if plan.source_deletion:
        final = plan.source_deletion.final_snapshot_identifier
        after = f"after the final snapshot {final}" if final else "WITHOUT a final snapshot"
        yield "DELETE", f"SOURCE CLUSTER {plan.source_deletion.cluster_identifier}", after
    if plan.copy:
        yield {"delete": "DELETE", "keep": "KEEP"}.get(plan.archive_snapshot, "EXPORT"), "the copy", "at the end"


def _restored(plan: Plan, now: dt.datetime) -> Iterator[tuple[str, str, str]]:
    snapshot, cluster = plan.snapshot, plan.cluster
    taken = snapshot.created_at
    how_old = f", {age((now - taken).total_seconds())} old" if taken else ""
    yield "TAKE", f"snapshot {snapshot.identifier}", f"{moment(taken)}{how_old} ({snapshot.why})"
    if plan.copy:
        yield "COPY", "it", f"as {plan.copy.identifier}"
    classes = Counter(each.db_instance_class for each in cluster.instances)
    members = ", ".join(f"{number} x {name}" for name, number in classes.items())
    yield "CREATE", f"cluster {cluster.identifier}", f"{members}, PostgreSQL {cluster.engine_version}, door shut"
    if plan.masking:
        yield "MASK", "every database", f"by policy {plan.masking.policy}, version {plan.masking.version_id}"
    if plan.inherited_logins == "lock":
        yield "LOCK", "production's own logins", "no password of production opens the restored cluster"
    else:
        yield "LEAVE", "production's own logins", "OPEN, as the request says"
    if plan.verification:
        then = "fails the run" if plan.verification.on_findings == "fail" else "is reported"
        source = plan.verification.source
        beside = f", and against {source.cluster_arn} as it is then" if source else ""
        yield "CHECK", "every database", f"by policy {plan.verification.policy}{beside}; what does not hold {then}"


def _renamed(plan: Plan) -> Iterator[tuple[str, str, str]]:
    cluster = plan.cluster
    if plan.replaces:
        old_name = next(iter(plan.replaces.other_names), "another name")
        yield "RENAME", f"the present {plan.target_cluster_id}", f"to {old_name}; its sessions end"
        yield "RENAME", cluster.identifier, f"to {plan.target_cluster_id}"
    if plan.drill:
        yield "DELETE", f"cluster {cluster.identifier}", "which this operation created; nobody is let in before"
        return
    yield "OPEN", "the door", f"to {', '.join(cluster.vpc_security_group_ids)}"
    if plan.replaces:
        kept = plan.replaces
        yield "KEEP", "the replaced cluster", f"kept for {kept.keep_hours} h, {_end_of(kept)}"


def _end_of(kept: Replaced) -> str:
    if not kept.expires:
        return "and not deleted then"
    after = f" after the final snapshot {kept.deletion.final_snapshot_identifier}" if kept.deletion else ""
    return f"then DELETED{after}"


def _calls(plan: Plan) -> Iterator[str]:
    for number, call in enumerate(plan.calls, start=1):
        only = f" ({call.only})" if call.only else ""
        yield f"{number:2}  {call.call} {call.on} in {call.region} of {call.account}{only}"
