"""A plan as a person reads it before it happens: what is going to be made, changed and deleted, in this order."""

from __future__ import annotations

from collections.abc import Iterable

from utils.cluster_text import instance_lines, later_lines, login_line, setting_lines
from utils.plans import Plan


def plan_lines(plan: Plan) -> Iterable[str]:
    snapshot, cluster = plan.snapshot, plan.cluster
    taken = f"{snapshot.created_at:%Y-%m-%d %H:%M} UTC, {snapshot.age_hours:.1f} hours old"
    yield f"take snapshot {snapshot.identifier} of {snapshot.cluster_identifier} ({snapshot.why}; {taken})"
    if plan.copy:
        key = f" under key {plan.copy.kms_key_id}" if plan.copy.kms_key_id else ""
        yield f"copy it from {plan.copy.source_region} as {plan.copy.identifier}{key}"
    yield "\n".join([f"create cluster {cluster.identifier} with", *(f"     {line}" for line in setting_lines(cluster))])
    yield from instance_lines(cluster)
    yield login_line(cluster)
    yield from later_lines(cluster)
    yield "prove a login with the new master password, set up the application's roles"
    if plan.source_deletion:
        final = plan.source_deletion.final_snapshot_identifier
        yield (
            f"DELETE the source cluster {plan.source_deletion.cluster_identifier} "
            f"({plan.source_deletion.cluster_resource_id}) in {plan.source_deletion.region} with all its instances, "
            + (f"after a final snapshot {final}" if final else "WITHOUT a final snapshot")
        )
    if plan.copy:
        yield f"{plan.archive_snapshot} the copy {plan.copy.identifier}"
