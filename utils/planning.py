"""From a request to a plan: which snapshot, whether a copy is needed, what is created, and what may be deleted.

Everything that can be known before the first side effect is checked here; all that is wrong is reported at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from utils.aurora_shapes import Cluster, Snapshot
from utils.aurora_utils import Aurora
from utils.cluster_settings import cluster_plan, missing_settings
from utils.finding import account_of, age_hours, find_snapshot, place_problems, snapshot_problems
from utils.identifiers import instance_name, name_for, parse_snapshot_arn
from utils.payloads import Execution
from utils.plans import FoundSnapshot, Plan, SnapshotCopy, SourceDeletion
from utils.preflight import preflight_problems
from utils.protection import why_not_deletable
from utils.request import RestoreRequest, own_tags, refuse_if_any


def plan_restore(request: RestoreRequest, operation_id: str, run: Execution, source: Aurora, target: Aurora) -> Plan:
    """The plan, or RequestRefused with everything that stands in its way. Only reads."""
    account = account_of(run)
    refuse_if_any(place_problems(request, account, source))
    snapshot, why = find_snapshot(request, source, run.now)
    target_id = target_identifier(request, run)
    source_cluster = source.cluster(snapshot.cluster_identifier) if request.delete_source else None
    copy = _copy(request, snapshot, operation_id, source, target) if source.region != target.region else None
    cluster = cluster_plan(request, target_id, snapshot, copy, operation_id)
    refuse_if_any(
        [
            *snapshot_problems(request, snapshot, source, run),
            *missing_settings(request),
            *_target_problems(request, target_id, snapshot, source, target),
            *_reused_name_problems(request, snapshot, operation_id, source, target),
            *preflight_problems(cluster, copy, snapshot, target.region),
            *_deletion_problems(request, snapshot, source_cluster, source),
        ]
    )
    created_at = snapshot.created_at or run.now
    return Plan(
        operation_id=operation_id,
        target_cluster_id=target_id,
        snapshot=FoundSnapshot(
            arn=snapshot.arn,
            identifier=snapshot.identifier,
            cluster_identifier=snapshot.cluster_identifier,
            created_at=created_at,
            age_hours=age_hours(created_at, run.now),
            engine_version=snapshot.engine_version,
            encryption=snapshot.encryption,
            kms_key_id=snapshot.kms_key_id,
            master_username=snapshot.master_username,
            port=snapshot.port,
            storage_type=snapshot.storage_type,
            allocated_gib=snapshot.allocated_gib,
            why=why,
        ),
        copy_needed=copy is not None,
        copy=copy,
        cluster=cluster,
        delete_source=source_cluster is not None,
        source_deletion=_deletion(request, source_cluster, operation_id, source) if source_cluster else None,
        archive_snapshot=request.archive_snapshot or "delete",
        on_failure=request.on_failure or "clean_up",
        dry_run=bool(request.dry_run),
    )


def target_identifier(request: RestoreRequest, run: Execution) -> str:
    day = run.started_at.astimezone(dt.UTC).strftime("%Y%m%d")
    return (request.target_cluster_id or "").replace("{date}", day).lower()


def _target_problems(
    request: RestoreRequest, target_id: str, snapshot: Snapshot, source: Aurora, target: Aurora
) -> Iterator[str]:
    """The names have to be free, whatever tags stand on what bears them: this operation can't have made it yet."""
    if target_id == snapshot.cluster_identifier and source.region == target.region:
        yield (
            f"target_cluster_id: {target_id!r} is the source cluster itself. "
            "Choose another name: a restore always makes a new cluster."
        )
        return
    if target.cluster(target_id) is not None:
        yield (
            f"target_cluster_id: a cluster {target_id!r} exists in {target.region} and this operation didn't make it. "
            "It was left alone. Choose another name, or delete that cluster yourself if it isn't needed."
        )
    for number in range((request.instance_count or 1) + 1):
        name = instance_name(target_id, number) if number else target_id
        if target.instance(name) is not None:
            yield (
                f"target_cluster_id: an instance {name!r} exists in {target.region}, and the new cluster needs that "
                "name. Choose another target_cluster_id."
            )


def _reused_name_problems(
    request: RestoreRequest, snapshot: Snapshot, operation_id: str, source: Aurora, target: Aurora
) -> Iterator[str]:
    """An execution's name is free again after 90 days: what bears this operation's name then holds older data."""
    own: list[tuple[str, Aurora]] = []
    if source.region != target.region:
        own.append((name_for("copy", snapshot.cluster_identifier, operation_id), target))
    if request.delete_source and request.final_snapshot is not False:
        own.append((name_for("final", snapshot.cluster_identifier, operation_id), source))
    for name, where in own:
        if where.snapshot(name) is not None:
            yield (
                f"operation_id: {operation_id!r} was used before: its snapshot {name!r} exists in {where.region}. "
                "It was left alone. Start the execution under another name, or give another operation_id."
            )


def _deletion_problems(
    request: RestoreRequest, snapshot: Snapshot, cluster: Cluster | None, source: Aurora
) -> Iterator[str]:
    if not request.delete_source:
        return
    name = snapshot.cluster_identifier
    if request.confirm_delete_source != name:
        yield (
            f"confirm_delete_source: {request.confirm_delete_source!r} isn't the source cluster's name ({name}). "
            f"To have {name} deleted after the restore, repeat its name exactly; else drop delete_source."
        )
    if cluster is None:
        yield f"delete_source: the source cluster {name!r} doesn't exist any more. Drop delete_source."
    elif cluster.deletion_protection:
        yield (
            f"delete_source: {name!r} has deletion protection, which this pipeline never switches off. Do it yourself: "
            f"aws rds modify-db-cluster --db-cluster-identifier {name} --no-deletion-protection --apply-immediately "
            f"--region {source.region}"
        )
    elif not cluster.is_available:
        yield f"delete_source: {name!r} is {cluster.status}, not available. Start again once it is."
    elif snapshot.cluster_resource_id not in (None, cluster.resource_id):
        yield (
            f"delete_source: {snapshot.identifier!r} isn't of today's {name!r} ({cluster.resource_id}) but of an "
            f"earlier cluster of that name ({snapshot.cluster_resource_id}): today's data would be nowhere. "
            "Drop delete_source."
        )
    elif (why := why_not_deletable(cluster, source)) is not None:
        yield f"delete_source: {name!r} {why}. Drop delete_source, or have the protection lifted by whoever set it."


def _copy(
    request: RestoreRequest, snapshot: Snapshot, operation_id: str, source: Aurora, target: Aurora
) -> SnapshotCopy:
    name = name_for("copy", snapshot.cluster_identifier, operation_id)
    partition, _, account, _ = parse_snapshot_arn(snapshot.arn) or ("aws", "", "", "")
    return SnapshotCopy(
        source_arn=snapshot.arn,
        source_region=source.region,
        identifier=name,
        arn=f"arn:{partition}:rds:{target.region}:{account}:cluster-snapshot:{name}",
        # RDS refuses a key for a snapshot that no customer key encrypts; such data is encrypted at the restore.
        kms_key_id=request.kms_key_id if snapshot.encryption == "sse-kms" else None,
        tags=own_tags(request, operation_id),
    )


def _deletion(request: RestoreRequest, cluster: Cluster, operation_id: str, source: Aurora) -> SourceDeletion:
    return SourceDeletion(
        cluster_identifier=cluster.identifier,
        cluster_resource_id=cluster.resource_id,
        region=source.region,
        final_snapshot_identifier=(
            None if request.final_snapshot is False else name_for("final", cluster.identifier, operation_id)
        ),
    )
