"""What prevents that a cluster is replaced: those who depend on more than its name would stay with the old one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from utils import environment
from utils.aurora_utils import AuroraReader, Cluster
from utils.aurora_utils.ownership import why_protected
from utils.aurora_utils.reader_scaling import reader_scaling_of
from utils.aurora_utils.replication import global_membership
from utils.aurora_utils.resources import EXPIRY_TAG, OPERATION_TAG, REPLACEABLE_TAG, Instance
from utils.aurora_utils.windows import minutes_until
from utils.foreign_text import MAX_TAG_SHOWN, one_line
from utils.logins.secret_store import look_at_secret
from utils.preflight.dependents import dependent_refusals
from utils.preflight.maintenance import maintenance_refusals

# RDS refuses a rename during a backup: "not available for modification with status backing-up"
# (hashicorp/terraform-provider-aws#18). So long before a window, nothing is begun that could meet it.
LONGEST_AHEAD = dt.timedelta(minutes=45)


def replaceable_problems(replaced: Cluster, admin_secret: str, target: AuroraReader, now: dt.datetime) -> Iterator[str]:
    """Yield why a cluster must not be replaced, each with its remedy. `admin_secret` is its target's."""
    every = (*refusals_before_fence(replaced, target), *_of_its_state(replaced, target, now))
    yield from (f"replace_target: {replaced.identifier!r} {why}" for why in every)
    yield from _rotation_problems(admin_secret)


def has_operation_tag(replaced: Cluster) -> bool:
    """Return whether the cluster carries the tag of some operation, perhaps of another stack's.

    That proves nothing (`utils/state/maker.py` does); it only decides whether the owner's tag is needed as well.
    """
    return OPERATION_TAG in replaced.tags


def refusals_before_fence(replaced: Cluster, target: AuroraReader) -> Iterator[str]:
    """Yield why this cluster may not be replaced, apart from what passes by itself, as a predicate.

    The plan asks it, and the swap once more before its fence: between the two are the hours of a restore.
    """
    yield from lasting_refusals(replaced, target)
    yield from waiting_refusals(replaced)
    yield from _of_others(replaced, target)


def lasting_refusals(replaced: Cluster, target: AuroraReader) -> Iterator[str]:
    """Yield why the name of this cluster may not be changed in any state, as a predicate."""
    members = target.instances_of(replaced.identifier)
    if not has_operation_tag(replaced) and (untagged := without_consent(replaced, members)):
        here = f"--region {target.region}"
        commands = [
            f"aws rds add-tags-to-resource --resource-name {arn} --tags Key={REPLACEABLE_TAG},Value=true {here}"
            for arn in untagged
        ]
        yield (
            f"was not created by the pipeline, and its owner has not tagged it, or not all of its instances, as "
            f"{REPLACEABLE_TAG} = true. If you own it and it may be replaced: {' && '.join(commands)}"
        )
    if (why := why_protected(replaced, members)) is not None:
        yield f"{why}. Choose another target_cluster_id, or have its owner remove the tag."
    if replaced.master_secret is not None:
        yield "has its master login kept by RDS, in a secret that belongs to it alone. Keep it in a secret of your own."
    yield from dependent_refusals(replaced, target.region)


def without_consent(replaced: Cluster, members: Sequence[Instance]) -> list[str]:
    """Return the ARNs of the cluster and its instances, which are restarted, as far as they lack their owner's tag."""
    own = {replaced.arn: replaced.tags} | {replaced.member_arn(each.identifier): each.tags for each in members}
    return [arn for arn, tags in own.items() if tags.get(REPLACEABLE_TAG) != "true"]


def _of_its_state(replaced: Cluster, target: AuroraReader, now: dt.datetime) -> Iterator[str]:
    """Yield why it may not be replaced now, although it may be later."""
    if not replaced.is_available:
        yield f"is {replaced.status}, not available. Start again once it is."
    for near in near_windows(replaced, now):
        yield f"has a {near}, and RDS renames no cluster in it. Start again after it, or move the window."
    yield from maintenance_refusals(replaced, target.instances_of(replaced.identifier), now, target.region)


def waiting_refusals(cluster: Cluster) -> Iterator[str]:
    """Yield that a rename would carry out what somebody has asked of RDS for later.

    "ApplyImmediately ... the modifications in this request and any pending modifications" (API reference,
    ModifyDBCluster).
    """
    if cluster.waiting_changes:
        yield (
            f"has changes that wait for its maintenance window ({', '.join(cluster.waiting_changes)}), and a rename "
            "would apply them. Apply them, or take them back, then start again."
        )


def near_windows(cluster: Cluster, now: dt.datetime) -> Iterator[str]:
    """Yield the cluster's windows that are open, or open so soon that a swap could meet them, as a clause."""
    for kind in ("backup", "maintenance"):
        window = str(cluster.settings.value(f"preferred_{kind}_window") or "")
        minutes = minutes_until(window, now) if window else None
        if minutes is not None and minutes <= LONGEST_AHEAD.total_seconds() / 60:
            when = "is open" if minutes == 0 else f"opens in {minutes} minutes"
            yield f"{kind} window, {window} UTC, which {when}"


def _of_others(replaced: Cluster, target: AuroraReader) -> Iterator[str]:
    """Yield who depends on the cluster itself, and would not follow its name."""
    if replaced.custom_endpoints:
        yield (
            f"has custom endpoints ({', '.join(replaced.custom_endpoints)}), which stay with the old cluster. Delete "
            "them, and have their clients use the cluster's own endpoints."
        )
    if (member := global_membership(replaced)) is not None:
        yield f"{member}. Remove it from there first."
    if replaced.replicas or replaced.replication_source:
        others = filter(None, [*replaced.replicas, replaced.replication_source])
        yield f"replicates with {', '.join(others)}. End that first."
    if reader_scaling_of(replaced.identifier, target.region) is not None:
        yield (
            "has readers that Application Auto Scaling adds and removes, by the name that another cluster would have "
            "then. Deregister its target first: aws application-autoscaling deregister-scalable-target "
            "--service-namespace rds --scalable-dimension rds:cluster:ReadReplicaCount "
            f"--resource-id cluster:{replaced.identifier} --region {target.region}"
        )


def _rotation_problems(admin_secret: str) -> Iterator[str]:
    """Yield that Secrets Manager changes the password of whichever cluster the secret leads to, also amid a swap."""
    found = look_at_secret(admin_secret)
    if found is not None and found.is_rotated:
        yield (
            f"replace_target: the admin secret {found.name!r} is rotated by Secrets Manager, which may change the "
            "password of either cluster meanwhile. Each replacement has a new password anyway. Cancel the rotation."
        )


def replacement_warnings(replaced: Cluster, clusters: Sequence[Cluster]) -> Iterator[str]:
    """Yield what no call shows, and which earlier cluster of the target is still kept."""
    yield (
        f"What uses more of {replaced.identifier} than the cluster's endpoints does not follow the name to the "
        "restored cluster, and is not looked for: clients at the endpoints of single instances, replication slots, "
        "tasks of AWS DMS, alarms and dashboards that name its instances or its resource ID."
    )
    if has_operation_tag(replaced) and not environment.optional("EXPIRY_SCHEDULE"):
        yield (
            f"The cluster that is {replaced.identifier} now will be kept after its time, because the stack's "
            "ExpirySchedule is empty. Set it, or delete that cluster yourself."
        )
    for kept in clusters:
        if kept.is_previous and kept.identifier.startswith(f"{replaced.identifier}-old-"):
            until = one_line(kept.tags.get(EXPIRY_TAG, "somebody deletes it"), MAX_TAG_SHOWN)
            yield (
                f"{kept.identifier}, which {replaced.identifier} has replaced, is still kept, until {until}. It is "
                f"deleted soon after this replacement, unless somebody has set its tag {EXPIRY_TAG} to a later moment."
            )
