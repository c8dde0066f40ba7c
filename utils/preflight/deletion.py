"""Why a source cluster must not, or could not, be deleted: checked by the plan, and again right before the first call.

No request may delete what is tagged as protected, what the stack's pattern leaves out, or what others depend on. The
role's policy says the same. But IAM judges each call by itself, and instances are deleted before their cluster: RDS
deletes no cluster with instances that are not being deleted. So IAM or RDS would refuse the cluster's own deletion
when production has no instances any longer. RDS's reasons are those that botocore's model lists as errors of
DeleteDBCluster, and the states in which RDS's guide says that it refuses.

What the request has to say first is in `utils.planning.deletion`, and the proof that comes before the first call, with
the restored cluster's, in `utils.steps.deletion_proof`.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from utils import environment
from utils.aurora_utils import AuroraReader
from utils.aurora_utils.ownership import why_protected
from utils.aurora_utils.replication import global_membership, replicas_fed
from utils.aurora_utils.resources import Cluster
from utils.contracts.plan import SourceDeletion
from utils.preflight.final_snapshot import final_snapshot_name_obstacles, final_snapshot_obstacles
from utils.request.corrections import KEEP_BACKUPS


def why_not_deletable(cluster: Cluster, aurora: AuroraReader) -> str | None:
    """Return why a source cluster must not be deleted, even if the request asks for it; None if it may be."""
    pattern = environment.text("DELETABLE_CLUSTER_PATTERN")
    if not fnmatchcase(cluster.identifier, pattern):
        return f"does not match the stack's DeletableClusterPattern ({pattern}), so it must not be deleted"
    names = environment.text("DELETABLE_INSTANCE_PATTERN")
    if others := [each for each in cluster.member_identifiers if not fnmatchcase(each, names)]:
        return (
            f"has instances ({', '.join(others)}) that do not match the stack's DeletableInstancePattern ({names}), so "
            "they must not be deleted"
        )
    if (member := global_membership(cluster)) is not None:
        return f"{member}, and has to be removed from it first"
    if (feeding := replicas_fed(cluster)) is not None:
        return f"{feeding}, which have to be promoted or deleted first"
    if cluster.replication_source:
        return f"is a replica of {cluster.replication_source}, and has to be promoted first"
    return why_protected(cluster, aurora.instances_of(cluster.identifier))


def why_stopped(cluster: Cluster) -> str | None:
    """Return that RDS deletes no stopped cluster, as a clause about this one; None where it is not stopped."""
    return "is stopped, and RDS deletes no stopped cluster" if cluster.is_stopped else None


def deletion_obstacles(
    deletion: SourceDeletion, cluster: Cluster, source: AuroraReader, *, has_begun: bool
) -> Iterator[str]:
    """Yield what prevents the planned deletion now, each with its remedy."""
    name, region = cluster.identifier, source.region
    if (why := why_not_deletable(cluster, source)) is not None:
        yield f"{name!r} {why}. Delete it yourself, if that is still wanted."
    if (why := why_stopped(cluster)) is not None:
        yield (f"{name!r} {why}. Start it: aws rds start-db-cluster --db-cluster-identifier {name} --region {region}")
    if deletion.final_snapshot_identifier is not None:
        yield from final_snapshot_obstacles(cluster, region)
        yield from final_snapshot_name_obstacles(
            deletion.final_snapshot_identifier, cluster, source, has_begun=has_begun
        )
    yield from backup_obstacles(cluster, source, deletes_them=deletion.delete_automated_backups)


def backup_obstacles(cluster: Cluster, source: AuroraReader, *, deletes_them: bool) -> Iterator[str]:
    """Yield why the automated backups cannot be deleted with the cluster, or cannot outlive it."""
    if deletes_them:
        if cluster.backup_recovery_point is not None:
            # RDS's answer is in cloudposse/terraform-aws-rds-cluster's pull request 283: "NoDeleteAutomatedBackups
            # must be specified".
            yield (
                f"{cluster.identifier!r} has a continuous backup of AWS Backup's ({cluster.backup_recovery_point}), "
                f"which RDS does not delete with a cluster. {KEEP_BACKUPS}"
            )
        return
    room = source.room_for_retained_backups()
    if room is not None and room < 1:
        yield (
            f"the automated backups of {cluster.identifier!r} could not be kept: {source.region} retains those of as "
            "many deleted clusters as its quota of clusters allows. Look at what is retained: `aws rds "
            "describe-db-cluster-automated-backups --filters Name=status,Values=retained --region "
            f"{source.region}`. Delete what nobody needs, by its DbClusterResourceId: aws rds "
            f"delete-db-cluster-automated-backup --db-cluster-resource-id ID --region {source.region}"
        )
