"""From a request to a plan: which snapshot, whether a copy is needed, what is created, and what may be deleted.

Everything that can be known before the first side effect is checked here; all that is wrong is reported at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from utils.aurora_shapes import OPERATION_TAG, Cluster, Snapshot
from utils.aurora_utils import ENGINE, Aurora
from utils.aws import knows_region
from utils.errors import RequestRefused
from utils.identifiers import instance_name, name_for, parse_snapshot_arn
from utils.payloads import ClusterPlan, Execution, FoundSnapshot, Plan, SnapshotCopy, SourceDeletion
from utils.preflight import preflight_problems
from utils.protection import why_not_deletable
from utils.request import RestoreRequest, refuse_if_any
from utils.surroundings import family_of

# The settings that have no sensible value of their own: the request or the stack must give them.
REQUIRED = ("db_subnet_group_name", "vpc_security_group_ids", "db_instance_class")


def plan_restore(request: RestoreRequest, operation_id: str, run: Execution, source: Aurora, target: Aurora) -> Plan:
    """The plan, or RequestRefused with everything that stands in its way. Only reads."""
    account = _account_of(run)
    refuse_if_any(_wrong_place(request, account, source))
    snapshot, why = find_snapshot(request, source, run.now)
    target_id = target_identifier(request, run)
    source_cluster = source.cluster(snapshot.cluster_identifier) if request.delete_source else None
    copy = _copy(request, snapshot, operation_id, source, target) if source.region != target.region else None
    cluster = _cluster(request, target_id, snapshot, copy, operation_id)
    refuse_if_any(
        [
            *_snapshot_problems(request, snapshot, source, run),
            *_missing_settings(request),
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
            age_hours=_age_hours(created_at, run.now),
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


def source_region(request: RestoreRequest, own_region: str) -> str:
    """An ARN says its region itself. Raises RequestRefused for one that isn't there: calls to it would never end."""
    parsed = parse_snapshot_arn(request.snapshot_identifier or "")
    region = parsed[1] if parsed else request.source_region or own_region
    if region != own_region and not knows_region(region, own_region):
        field = "snapshot_identifier" if parsed else "source_region"
        raise RequestRefused(
            f"{field}: RDS has no region {region!r} that can be reached from {own_region}. "
            "Correct it, such as us-east-1; regions of other partitions can't be reached."
        )
    return region


def target_identifier(request: RestoreRequest, run: Execution) -> str:
    day = run.started_at.astimezone(dt.UTC).strftime("%Y%m%d")
    return (request.target_cluster_id or "").replace("{date}", day).lower()


def find_snapshot(request: RestoreRequest, source: Aurora, now: dt.datetime) -> tuple[Snapshot, str]:
    """The snapshot that the request means, and why it is that one."""
    if request.snapshot_identifier is not None:
        name = request.snapshot_identifier.split(":cluster-snapshot:")[-1].lower()
        named = source.snapshot(name)
        if named is None:
            raise RequestRefused(
                f"snapshot_identifier: {request.snapshot_identifier!r} doesn't exist in {source.region}. List what "
                f"does: aws rds describe-db-cluster-snapshots --region {source.region}"
            )
        return named, "named in the request"
    return _newest(request, source, now)


def _newest(request: RestoreRequest, source: Aurora, now: dt.datetime) -> tuple[Snapshot, str]:
    cluster = (request.source_cluster_id or "").lower()
    candidates = [each for each in source.snapshots_of(cluster) if each.is_available and each.created_at]
    listing = f"aws rds describe-db-cluster-snapshots --region {source.region} --db-cluster-identifier {cluster}"
    if not candidates:
        raise RequestRefused(
            f"source_cluster_id: {cluster!r} has no available snapshot in {source.region}. "
            f"Take one, or correct the name or source_region. What exists: {listing}"
        )
    if request.snapshot_date is None:
        return candidates[0], f"the latest of {len(candidates)} available"
    day = dt.date.fromisoformat(request.snapshot_date)
    of_that_day = [each for each in candidates if each.created_at and each.created_at.astimezone(dt.UTC).date() == day]
    if not of_that_day:
        newest = candidates[0].created_at
        raise RequestRefused(
            f"snapshot_date: {request.snapshot_date!r} has no available snapshot of {cluster} (days are UTC; the "
            f"newest of {len(candidates)} is of {newest:%Y-%m-%d}). Choose a day of this list: {listing}"
        )
    return of_that_day[0], f"the last of {len(of_that_day)} available on {request.snapshot_date}"


def _wrong_place(request: RestoreRequest, account: str, source: Aurora) -> Iterator[str]:
    parsed = parse_snapshot_arn(request.snapshot_identifier or "")
    wanted = parsed[2] if parsed else request.source_account_id
    if parsed and request.source_account_id not in (None, parsed[2]):
        yield (
            f"source_account_id: {request.source_account_id!r} isn't the account in snapshot_identifier's ARN "
            f"({parsed[2]}). Drop source_account_id, the ARN says it."
        )
    elif wanted not in (None, account):
        field = "snapshot_identifier" if parsed else "source_account_id"
        yield (
            f"{field}: account {wanted} isn't the stack's own ({account}), and other accounts aren't supported yet. "
            f"Copy the snapshot into account {account} first, then name the copy."
        )
    if parsed and request.source_region not in (None, source.region):
        yield (
            f"source_region: {request.source_region!r} isn't the region in snapshot_identifier's ARN "
            f"({source.region}). Drop source_region, the ARN says it."
        )


def _snapshot_problems(request: RestoreRequest, snapshot: Snapshot, source: Aurora, run: Execution) -> Iterator[str]:
    name = snapshot.identifier
    wanted = (request.source_cluster_id or "").lower()
    if wanted and snapshot.cluster_identifier != wanted:
        yield (
            f"snapshot_identifier: {name!r} is a snapshot of {snapshot.cluster_identifier}, not of {wanted}. "
            f'Give "source_cluster_id": "{snapshot.cluster_identifier}" with it, or choose another snapshot.'
        )
    if snapshot.engine != ENGINE:
        yield f"snapshot_identifier: {name!r} is of {snapshot.engine}; this pipeline restores {ENGINE} only."
    if not snapshot.is_available:
        yield (
            f"snapshot_identifier: {name!r} is {snapshot.status}, not available. "
            "Wait until it is available, or choose another snapshot."
        )
    limit = request.max_snapshot_age_hours
    if limit is not None and snapshot.created_at and (age := _age_hours(snapshot.created_at, run.now)) > limit:
        yield (
            f"max_snapshot_age_hours: {name!r} in {source.region} is {age:.1f} hours old, more than the {limit:g} "
            "allowed. Take a fresh snapshot, or raise the limit if older data will do."
        )


def _missing_settings(request: RestoreRequest) -> Iterator[str]:
    for name in REQUIRED:
        if not getattr(request, name):
            yield f"{name}: missing. RDS's own default is never used: give it, or set the stack's parameter for it."


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
        tags=_own_tags(request, operation_id),
    )


def _cluster(
    request: RestoreRequest, target_id: str, snapshot: Snapshot, copy: SnapshotCopy | None, operation_id: str
) -> ClusterPlan:
    version = request.engine_version or snapshot.engine_version
    default_group = f"default.{family_of(version)}"
    return ClusterPlan(
        identifier=target_id,
        snapshot_arn=copy.arn if copy else snapshot.arn,
        engine_version=version,
        port=request.port or snapshot.port,
        db_subnet_group_name=request.db_subnet_group_name or "",
        vpc_security_group_ids=request.vpc_security_group_ids or [],
        db_cluster_parameter_group_name=request.db_cluster_parameter_group_name or default_group,
        db_parameter_group_name=request.db_parameter_group_name or default_group,
        kms_key_id=request.kms_key_id,
        storage_type=snapshot.storage_type,
        db_instance_class=request.db_instance_class or "",
        instance_count=request.instance_count or 1,
        serverless_v2_min_capacity=request.serverless_v2_min_capacity,
        serverless_v2_max_capacity=request.serverless_v2_max_capacity,
        deletion_protection=bool(request.deletion_protection),
        backup_retention_days=request.backup_retention_days or 1,
        iam_database_authentication=bool(request.iam_database_authentication),
        master_username=snapshot.master_username,
        tags=_own_tags(request, operation_id),
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


def _own_tags(request: RestoreRequest, operation_id: str) -> dict[str, str]:
    return {**(request.tags or {}), OPERATION_TAG: operation_id}


def _age_hours(created_at: dt.datetime, now: dt.datetime) -> float:
    return round((now - created_at).total_seconds() / 3600, 3)


def _account_of(run: Execution) -> str:
    """The stack's account: it is the execution's (arn:partition:states:region:account:execution:machine:name)."""
    return run.execution_id.split(":")[4]
