"""The settings of the cluster to create: each one explicit, whoever it comes from."""

from __future__ import annotations

from collections.abc import Iterator

from utils.aurora_shapes import Snapshot
from utils.plans import ClusterPlan, SnapshotCopy
from utils.request import own_tags
from utils.restore_request import RestoreRequest
from utils.surroundings import family_of

# The settings that have no sensible value of their own: the request or the stack must give them.
REQUIRED = ("db_subnet_group_name", "vpc_security_group_ids", "db_instance_class")


def cluster_plan(
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
        tags=own_tags(request, operation_id),
    )


def missing_settings(request: RestoreRequest) -> Iterator[str]:
    for name in REQUIRED:
        if not getattr(request, name):
            yield f"{name}: missing. RDS's own default is never used: give it, or set the stack's parameter for it."
