"""What a request says about deleting the source cluster: why it is refused, or what exactly would be deleted."""

from __future__ import annotations

from collections.abc import Iterator

from utils import environment
from utils.aurora_utils import AuroraReader
from utils.aurora_utils.resources import Cluster, Snapshot, in_order_of_deletion
from utils.aurora_utils.source_account import Source
from utils.contracts.plan import SourceDeletion, SourceInstance
from utils.logins.target_secrets import secrets_of_source
from utils.names import name_for
from utils.planning.snapshot_choice import other_cluster
from utils.preflight.deletion import backup_obstacles, why_not_deletable, why_stopped
from utils.preflight.final_snapshot import final_snapshot_obstacles
from utils.preflight.taken_names import snapshot_name_problems
from utils.request.fields import RestoreRequest
from utils.request.reading import own_tags


def deletion_problems(
    request: RestoreRequest, snapshot: Snapshot, cluster: Cluster | None, operation_id: str, source: Source
) -> Iterator[str]:
    """Yield why the source cluster must not be deleted as the request says."""
    if not request.delete_source:
        return
    name = snapshot.cluster_identifier
    if request.confirm_delete_source != name:
        yield (
            f"confirm_delete_source: {request.confirm_delete_source!r} is not the source cluster's name ({name}). "
            f"To have {name} deleted after the restore, repeat its name exactly; else drop delete_source."
        )
    if request.delete_automated_backups and snapshot.kind == "automated":
        yield (
            f"delete_automated_backups: the snapshot that is restored, {snapshot.identifier!r}, is one of them, and "
            "what was found is never deleted. Omit it, or restore from a manual snapshot."
        )
    if request.final_snapshot is not False:
        yield from snapshot_name_problems(name_for("final", name, operation_id), operation_id, source)
    if cluster is None:
        yield f"delete_source: the source cluster {name!r} no longer exists. Drop delete_source."
        return
    if cluster.deletion_protection and not request.override_deletion_protection:
        yield (
            f"delete_source: {name!r} has deletion protection, which is switched off only when "
            "override_deletion_protection is true as well. Give that, or switch it off yourself: "
            f"aws rds modify-db-cluster --db-cluster-identifier {name} --no-deletion-protection --apply-immediately "
            f"--region {source.region}"
        )
    if (why := why_stopped(cluster)) is not None:
        yield (
            f"delete_source: {name!r} {why}. Drop delete_source, or start it: "
            f"aws rds start-db-cluster --db-cluster-identifier {name} --region {source.region}"
        )
    elif not cluster.is_available:
        yield f"delete_source: {name!r} is {cluster.status}, not available. Start again once it is."
    if snapshot.is_of(cluster) is False:
        yield (
            f"delete_source: {snapshot.identifier!r} is not of today's {name!r} ({cluster.resource_id}) but of "
            f"{other_cluster(snapshot)}, so the restored cluster would not have today's data. Drop delete_source."
        )
    if (why := why_not_deletable(cluster, source)) is not None:
        yield f"delete_source: {name!r} {why}. Drop delete_source, or have its protection removed by its owner."
    if request.final_snapshot is not False:
        yield from (f"final_snapshot: {why}" for why in final_snapshot_obstacles(cluster, source.region))
    for why in backup_obstacles(cluster, source, deletes_them=bool(request.delete_automated_backups)):
        yield f"delete_automated_backups: {why}"


def plan_deletion(request: RestoreRequest, cluster: Cluster, operation_id: str, source: AuroraReader) -> SourceDeletion:
    """Return what is going to be deleted, with what is needed to create its instances again."""
    members = in_order_of_deletion(cluster, source.instances_of(cluster.identifier))
    return SourceDeletion(
        cluster_identifier=cluster.identifier,
        cluster_resource_id=cluster.resource_id,
        region=source.region,
        final_snapshot_identifier=(
            None if request.final_snapshot is False else name_for("final", cluster.identifier, operation_id)
        ),
        instance_identifiers=[each.identifier for each in members],
        instances=[
            SourceInstance(
                identifier=each.identifier,
                db_instance_class=each.settings.db_instance_class or "",
                db_parameter_group_name=each.settings.value("db_parameter_group_name"),
                availability_zone=each.settings.availability_zone,
                promotion_tier=each.settings.promotion_tier,
            )
            for each in members
        ],
        tags=own_tags(request, operation_id),
        delete_automated_backups=bool(request.delete_automated_backups),
        switches_protection_off=cluster.deletion_protection,
        secrets=secrets_of_source(cluster.identifier) if source.region == environment.region() else [],
    )
