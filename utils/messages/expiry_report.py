"""What people read of a cluster that expires, before its end and after it, or why it has none.

Each message that announces an end has the command that prevents it, which works as it is typed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence

from utils.arns import Arn
from utils.aurora_utils.resources import Cluster, Instance
from utils.contracts.expiry import KeptKind, WhyKept
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.messages.cluster import cost_now
from utils.messages.expiry import extend_command, keep_command, later_than, spoken
from utils.messages.message import Message, compose
from utils.names import name_for
from utils.state.expiry import ExpiringCluster, expiry_text
from utils.state.operation import OperationRecord


def warning(
    entry: ExpiringCluster, record: OperationRecord, cluster: Cluster, members: Sequence[Instance], expires_at: str
) -> Message:
    """Return the message that comes before a cluster's end."""
    region = Arn.parse(cluster.arn).region
    deletion = entry.deletion_of_others
    how = f"after a final snapshot {deletion.final_snapshot_identifier}" if deletion else "WITHOUT a final snapshot"
    lines = [
        f"Cluster {cluster.identifier} expires at {spoken(expires_at)}. It is deleted then, {how}:",
        f"with its instances, {_what_goes(entry)}. Recovery points of AWS Backup stay.",
        "",
        *_about(entry, record, cluster),
        f"Costs      {_costs(cluster, members)}",
        "",
        "To keep it longer, give it a later moment, such as",
        f"  {extend_command(cluster.arn, later_than(expires_at, entry.hours), region)}",
        "To keep it for good:",
        f"  {keep_command(cluster.arn, region)}",
    ]
    return compose(f"EXPIRES: {cluster.identifier} at {spoken(expires_at)}", lines)


def expired(entry: ExpiringCluster, about_secrets: Iterable[str], final_snapshot_arn: str | None = None) -> Message:
    """Return the message that a cluster has expired and is gone. Its final snapshot is named where it has one."""
    early = entry.asked_at is not None
    why = "before its time, because somebody has asked for that" if early else "as planned, because it has expired"
    lines = [
        f"Cluster {entry.cluster_identifier} was deleted {why}:",
        *_what_went(final_snapshot_arn),
        "",
        *_facts(entry),
        *_snapshot_rows(final_snapshot_arn),
        *(f"Secrets    {line}" for line in about_secrets),
    ]
    return compose(f"EXPIRED: {entry.cluster_identifier} was deleted", lines)


def snapshot_lost(entry: ExpiringCluster, why: str, region: str) -> Message:
    """Return the message that a cluster of others has gone and its final snapshot is not there."""
    lines = [
        f"Cluster {entry.cluster_identifier} has expired and is gone, and there is NO usable final snapshot of it.",
        "The request asked for one. The pipeline can do nothing more, and does not report this again.",
        "",
        *(one_line(line, MAX_SENTENCE) for line in why.splitlines()),
        "",
        *_facts(entry),
        "Backups    its automated backups stay until their retention ends. Look for them:",
        "  aws rds describe-db-cluster-automated-backups --db-cluster-resource-id "
        f"{entry.resource_id} --region {region}",
    ]
    return compose(f"FAILED: {entry.cluster_identifier} is gone without its final snapshot", lines)


def _what_went(final_snapshot_arn: str | None) -> Iterator[str]:
    """Yield what went with a cluster. The automated backups of one with a final snapshot were its owner's, and stay."""
    if final_snapshot_arn is None:
        backups = "its automated backups, without a final snapshot. Recovery points of AWS Backup stay."
        yield f"with its instances and {backups}"
    else:
        yield "with its instances, after a final snapshot. Its automated backups stay until their retention ends."


def _snapshot_rows(final_snapshot_arn: str | None) -> Iterator[str]:
    """Yield what is left, what it costs, and who ends that.

    Unlike retained automated backups, a final snapshot does not expire (Aurora User Guide, "Retaining automated
    backups"). Both cost backup storage ("Understanding Amazon Aurora backup storage usage").
    """
    if final_snapshot_arn is None:
        return
    arn = Arn.parse(final_snapshot_arn)
    yield f"Snapshot   {final_snapshot_arn}"
    yield "           It costs backup storage until somebody deletes it; the pipeline never does:"
    yield (
        f"           aws rds delete-db-cluster-snapshot --db-cluster-snapshot-identifier {arn.name} "
        f"--region {arn.region}"
    )


def kept(
    entry: ExpiringCluster,
    cluster: Cluster,
    members: Sequence[Instance],
    why: WhyKept,
    expires_at: str,
    now: dt.datetime,
) -> Message:
    """Return the message that a cluster is not deleted, although it was to expire."""
    name, here = cluster.identifier, f"--region {Arn.parse(cluster.arn).region}"
    when = f" at {spoken(expires_at)}" if expires_at else ""
    lines = [
        f"Cluster {name} was to expire{when} and is NOT deleted: it {one_line(why.clause, MAX_SENTENCE)}.",
        "It stays until the reason is gone or somebody deletes it. This is reported once.",
        "",
        *_facts(entry),
        f"Costs      {_costs(cluster, members)}",
        "",
        "Look at it:",
        f"  aws rds describe-db-clusters --db-cluster-identifier {name} {here}",
        *_if_it_is_to_stay(cluster, why.kind),
        *_if_it_may_go(entry, cluster, why.kind, now, here),
    ]
    return compose(f"KEPT: {name} was to expire", lines)


def _costs(cluster: Cluster, members: Sequence[Instance]) -> str:
    return f"while it exists, {cost_now(cluster, members)}"


def _if_it_is_to_stay(cluster: Cluster, kind: KeptKind) -> Iterator[str]:
    """Yield what keeps the cluster for good: a reason that passes does not."""
    if kind is KeptKind.STOPPED:
        yield "RDS starts a stopped cluster after seven days, and then it is deleted. To keep it for good:"
    elif kind is KeptKind.EXTENDED:
        yield "It is deleted after that. To keep it for good:"
    else:
        yield "If it is to be kept for good, nothing more is needed."
        return
    yield f"  {keep_command(cluster.arn, Arn.parse(cluster.arn).region)}"


def _if_it_may_go(
    entry: ExpiringCluster, cluster: Cluster, kind: KeptKind, now: dt.datetime, here: str
) -> Iterator[str]:
    """Yield who acts where the cluster is not wanted any longer, as far as a command does it."""
    name = cluster.identifier
    protection_off = "--no-deletion-protection --apply-immediately"
    unprotected = f"  aws rds modify-db-cluster --db-cluster-identifier {name} {protection_off} {here}"
    if entry.is_left_to_its_owner:
        final = name_for("final", name, entry.operation_id)
        yield "If it may be deleted, its owner does that, with a final snapshot:"
        if cluster.deletion_protection:
            yield unprotected
        for member in cluster.member_identifiers:
            yield f"  aws rds delete-db-instance --db-instance-identifier {member} {here}"
        yield (
            f"  aws rds delete-db-cluster --db-cluster-identifier {name} --final-db-snapshot-identifier {final} {here}"
        )
    elif kind is KeptKind.DELETION_PROTECTION:
        yield "If it may be deleted, the person who has switched its deletion protection on switches it off. A later"
        yield "look deletes it, after a warning where there was none:"
        yield unprotected
    elif kind is KeptKind.STOPPED:
        yield "If it may be deleted, start it. A later look deletes it, after a warning where there was none:"
        yield f"  aws rds start-db-cluster --db-cluster-identifier {name} {here}"
    elif kind in (KeptKind.EXTENDED, KeptKind.NO_MOMENT):
        moment = expiry_text(now + dt.timedelta(hours=entry.hours))
        yield "To have it expire after all:"
        yield f"  {extend_command(cluster.arn, moment, Arn.parse(cluster.arn).region)}"


def not_deleted(entry: ExpiringCluster, error: Exception, region: str) -> Message:
    """Return the message that the deletion of an expired cluster has failed."""
    name = entry.cluster_identifier
    lines = [
        f"Cluster {name} has expired and could not be deleted. It is tried again at each time of ExpirySchedule.",
        "",
        f"Error      {type(error).__name__}",
        *(f"           {one_line(line, MAX_SENTENCE)}" for line in str(error).splitlines()),
        *_facts(entry),
        "",
        "What is left of it:",
        f"  aws rds describe-db-clusters --db-cluster-identifier {name} --region {region}",
        f"  aws rds describe-db-instances --filters Name=db-cluster-id,Values={name} --region {region}",
    ]
    return compose(f"FAILED: {name} has expired and could not be deleted", lines)


def _what_goes(entry: ExpiringCluster) -> str:
    """Return what a cluster's expiry removes beside its instances. A replaced one's secrets are another cluster's."""
    backups = "its automated backups"
    if entry.deletion_of_others is not None:
        return f"while {backups} stay until their retention ends"
    return f"{backups} and the secrets of its target" if entry.replaced is None else f"and {backups}"


def _about(entry: ExpiringCluster, record: OperationRecord, cluster: Cluster) -> Iterator[str]:
    yield from _facts(entry)
    # What the operation has restored, which a cluster that it replaced does not have.
    snapshot = (record.plan.get("snapshot") or {}) if entry.replaced is None else {}
    if snapshot:
        taken = dt.datetime.fromisoformat(str(snapshot["created_at"]))
        yield f"Data of    {taken:%Y-%m-%d %H:%M} UTC, from {snapshot['cluster_identifier']}"
    if cluster.deletion_protection:
        yield "Protection its deletion protection is switched off first, as it was planned"


def _facts(entry: ExpiringCluster) -> Iterator[str]:
    yield f"Cluster    {entry.cluster_identifier} ({entry.resource_id})"
    yield f"Operation  {entry.operation_id}"
    if entry.replaced is not None:
        yield f"Was        {entry.replaced.target_cluster_id}, until that operation replaced it"
