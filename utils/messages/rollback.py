"""What people read about a rollback: which cluster has the name again, and which writes are lost but still kept."""

from __future__ import annotations

from collections.abc import Iterator

from utils.contracts.plan import Plan, ReplacedCluster, RolledBack
from utils.messages.swap import (
    ReplacedNow,
    TargetNow,
    end_of_kept,
    fence_line,
    fence_sentences,
    planned_end,
    undone_sentences,
)
from utils.plurals import counted
from utils.state.operation import OperationRecord

# A label and its text.
Row = tuple[str, str]


def parts_of(plan: Plan) -> tuple[RolledBack, ReplacedCluster]:
    """Return what a rollback undoes, and the cluster that it takes the name from."""
    if plan.rolls_back is None or plan.replaces is None:
        raise ValueError(f"operation {plan.operation_id} is no rollback")
    return plan.rolls_back, plan.replaces


def rollback_lines(plan: Plan) -> Iterator[str]:
    """Yield what a rollback would do, step by step, and what is lost by it."""
    undone, replaced = parts_of(plan)
    target, old = plan.target_cluster_id, replaced.other_names[0]
    yield fence_line(target, replaced)
    yield (
        f"rename it to {old}, rename {plan.cluster.identifier} ({undone.resource_id}) to {target}, have its "
        f"certificates name {target}, and prove by that name that clients reach it"
    )
    yield (
        f"open the door of the new {target}: security groups {', '.join(plan.cluster.vpc_security_group_ids)}. Until "
        "here, any failure ends with the present one under its name, and nothing is lost"
    )
    yield (
        f"LOSE for {target} what was written to it since {undone.replaced_at:%Y-%m-%d %H:%M} UTC: nothing copies it "
        f"back. It stays in {old}, which is kept for {counted(replaced.keep_hours, 'hour')} behind the stack's door, "
        f"{planned_end(replaced)}"
    )


def rolled_back_rows(plan: Plan, record: OperationRecord, kept: ReplacedNow | None) -> Iterator[Row]:
    """Yield what a rollback has done. `kept` is the cluster that was rolled back, as RDS has it now."""
    undone, replaced = parts_of(plan)
    target = plan.target_cluster_id
    yield "Leads to", f"{undone.resource_id} again, which operation {undone.operation_id} had replaced"
    yield from (("Resumed", line) for line in plan.resumed)
    yield "Endpoint", f"{replaced.endpoint}:{replaced.port}"
    yield "Door", f"open since {record.door_open_at}: {', '.join(plan.cluster.vpc_security_group_ids)}"
    end = end_of_kept(replaced, record.door_open_at or "", kept)
    yield (
        "Lost",
        f"what was written to {target} from {undone.replaced_at:%Y-%m-%d %H:%M} UTC until this rollback. Nothing "
        "copies it back",
    )
    if kept is not None and kept.identifier is None:
        yield "", f"{replaced.resource_id}, in which it was, was deleted by somebody else"
    else:
        old = (kept.identifier if kept is not None else None) or replaced.other_names[0]
        yield "", f"it is in {replaced.resource_id}, which is kept as {old} behind the stack's door, {end}"
        if kept is not None and kept.costs:
            yield "", f"while it exists, {kept.costs}"
    if undone.login_version_id is not None and undone.admin_secret_arn:
        yield "Login", f"the master login is in secret {undone.admin_secret_arn}"
    if undone.application_secret_arn:
        yield "", f"the application's logins are in secret {undone.application_secret_arn}"
    yield from (("Warning", warning) for warning in (*plan.warnings, *undone_sentences(kept), *fence_sentences(kept)))


def state_after_failure(record: OperationRecord, now: TargetNow | None) -> str:
    """Return how a rollback has ended that has failed, and whose swap is not under way.

    Where RDS has not reported who has the name, the end that was recorded says where it leads.
    """
    target = record.plan["target_cluster_id"]
    parts = record.plan["rolls_back" if record.swap_end == "forward" else "replaces"]
    leads = f": it leads to cluster {parts['resource_id']}" if now is None else ""
    if record.swap_end == "forward":
        return f"{target} was rolled back{leads}."
    before = ", as before" if leads else ""
    return f"{target} was not rolled back{leads}{before}. Nothing was deleted, and nothing is lost."
