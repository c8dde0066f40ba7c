"""A plan as a person reads it before it happens: what is going to be created, changed and deleted, in this order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from utils.contracts.plan import Plan, TargetSecrets, VerificationPlan
from utils.messages.cluster import alternative_lines, first_change_line, instance_lines, opening_lines, setting_lines
from utils.messages.expiry import plan_expiry_lines
from utils.messages.rollback import rollback_lines
from utils.messages.swap import fence_line, planned_end
from utils.plurals import counted

# A message is read by people; the plan has them all.
MAX_NOT_TAKEN_OVER = 20


def plan_lines(plan: Plan) -> Iterable[str]:
    """Yield what a real operation would do, step by step."""
    if plan.rolls_back:
        yield from rollback_lines(plan)
        return
    snapshot, cluster = plan.snapshot, plan.cluster
    taken = f"{snapshot.created_at:%Y-%m-%d %H:%M} UTC, {snapshot.age_hours:.1f} hours old"
    rather = f"; rather than {'; '.join(snapshot.others)}" if snapshot.others else ""
    yield f"use snapshot {snapshot.identifier} of {snapshot.cluster_identifier} ({snapshot.why}; {taken}{rather})"
    yield from (f"note that {note}" for note in snapshot.notes)
    if plan.target_secrets:
        yield f"create the secrets {_secrets_in_words(plan.target_secrets)}, or use them if they exist"
    if plan.copy:
        yield from (step.planned for step in plan.copy.steps)
    yield "\n".join([f"create cluster {cluster.identifier} with", *(f"     {line}" for line in setting_lines(cluster))])
    yield first_change_line(cluster)
    yield from instance_lines(cluster)
    yield from alternative_lines(cluster)
    if plan.masking:
        yield (
            f"mask every database by policy {plan.masking.policy}, version {plan.masking.version_id}, with a salt that "
            "is deleted afterwards; before its checks have passed, nobody is let in and no role is set up"
        )
    quiet = (
        ["disable production's pg_cron jobs, subscriptions and logins to foreign servers"] if plan.quarantine else []
    )
    left = "lock" if plan.inherited_logins == "lock" else "LEAVE OPEN, as asked,"
    proof = "prove a login with the new master password"
    yield ", ".join([proof, f"{left} production's own logins", *quiet, "set up the application's roles"])
    if plan.verification:
        yield _verification_line(plan.verification)
    if plan.drill:
        yield (
            f"DELETE cluster {cluster.identifier} again with all its instances, WITHOUT a final snapshot, and prove "
            "that it is gone: this is a drill, which opens the door to nobody, also where it fails"
        )
    else:
        yield from swap_lines(plan) if plan.replaces else opening_lines(cluster)
    yield from plan_expiry_lines(plan)
    if plan.source_deletion and plan.source_deletion.switches_protection_off:
        yield f"switch the deletion protection of {plan.source_deletion.cluster_identifier} OFF, as asked"
    if plan.source_deletion:
        final = plan.source_deletion.final_snapshot_identifier
        yield (
            f"DELETE the source cluster {plan.source_deletion.cluster_identifier} "
            f"({plan.source_deletion.cluster_resource_id}) in {plan.source_deletion.region} with all its instances, "
            + (f"after a final snapshot {final}" if final else "WITHOUT a final snapshot")
            + (", and its automated backups" if plan.source_deletion.delete_automated_backups else "")
        )
        if plan.source_deletion.secrets:
            yield f"delete its secrets {', '.join(plan.source_deletion.secrets)}, which can be kept within 30 days"
    if plan.export:
        yield (
            f"export {plan.export.source_arn} to s3://{plan.export.bucket}/{plan.export.prefix}/"
            f"{plan.export.identifier}/ as Parquet, and keep the snapshot: an export cannot be restored"
        )
    elif plan.copy:
        yield f"{plan.archive_snapshot} the copy {plan.copy.identifier}"


def _verification_line(verification: VerificationPlan) -> str:
    named = f"policy {verification.policy} ({verification.location})"
    by = named if verification.location else "the built-in checks"
    then = "FAILS the operation" if verification.on_findings == "fail" else "is reported"
    source = verification.source
    beside = f", compare it with {source.cluster_arn} itself by the login in {source.secret_arn}" if source else ""
    return f"check every database by {by}{beside}, before anybody is let in; what does not hold {then}"


def swap_lines(plan: Plan) -> Iterator[str]:
    """Yield what happens to the cluster that is replaced, and what its clients see."""
    replaced, target = plan.replaces, plan.target_cluster_id
    if replaced is None:
        return
    yield fence_line(target, replaced)
    yield (
        f"rename it to {replaced.other_names[0]}, rename {plan.cluster.identifier} to {target}, have its certificates "
        f"name {target}, and prove by that name that clients reach it"
    )
    yield (
        f"open the door of the new {target}. Until here, any failure ends with the present one under its name; from "
        "here on the new one has the clients' data"
    )
    yield (
        f"have {replaced.other_names[0]} kept for {counted(replaced.keep_hours, 'hour')} behind the stack's door, "
        f"{planned_end(replaced)}"
    )


def expected_range(plan: Plan) -> str:
    """Return how long the operation is expected to take, as people read it."""
    least, most = (
        f"{minutes // 60} h {minutes % 60} min" if minutes >= 120 else f"{minutes} min"
        for minutes in plan.expected_minutes
    )
    return f"{least} to {most}"


def _secrets_in_words(secrets: TargetSecrets) -> str:
    return " and ".join(name for name in (secrets.admin, secrets.application) if name)


def not_taken_over_lines(plan: Plan) -> Iterator[str]:
    """Yield what the source cluster has and the restored cluster does not get."""
    if not plan.not_taken_over:
        return
    yield f"Not taken over from {plan.snapshot.cluster_identifier}:"
    yield from (f"  {sentence}" for sentence in plan.not_taken_over[:MAX_NOT_TAKEN_OVER])
    if (more := len(plan.not_taken_over) - MAX_NOT_TAKEN_OVER) > 0:
        yield f"  and {more} more: the plan in the execution's output lists them as not_taken_over"
