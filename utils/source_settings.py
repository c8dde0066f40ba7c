"""The source cluster as it is now, for what neither the request nor the stack says about the new one."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from msgspec import Struct

from utils.aurora_settings import ClusterSettings, InstanceSettings
from utils.aurora_utils import ENGINE
from utils.aws import error_code
from utils.error_codes import DENIED_CODES
from utils.restore_request import RestoreRequest
from utils.source_account import Source

# What a new cluster takes from its source. Deletion protection is not among it: a protected production would have
# copies that nobody can take away. Neither is Extended Support, which costs, nor the Data API, which opens a door.
LIKE_SOURCE = (
    "engine_version",
    "db_instance_class",
    "instance_count",
    "serverless_v2_min_capacity",
    "serverless_v2_max_capacity",
    "serverless_v2_seconds_until_auto_pause",
    "storage_type",
    "network_type",
    "port",
    "db_cluster_parameter_group_name",
    "db_parameter_group_name",
    "enabled_cloudwatch_logs_exports",
    "iam_database_authentication",
    "backup_retention_days",
    "preferred_backup_window",
    "preferred_maintenance_window",
    "auto_minor_version_upgrade",
    "performance_insights_retention_days",
    "database_insights_mode",
)


class SourceSettings(Struct, frozen=True, kw_only=True):
    """`instances`: the writer first."""

    cluster: ClusterSettings
    instances: list[InstanceSettings]

    def value(self, name: str) -> Any:
        """Of a setting under the name that a request has for it; None where the source says nothing."""
        writer = self.instances[0] if self.instances else None
        if name == "performance_insights_retention_days":
            of_cluster = self.cluster.performance_insights_retention_days
            return of_cluster if of_cluster is not None or writer is None else getattr(writer, name)
        if name in ("auto_minor_version_upgrade", "db_parameter_group_name", "db_instance_class"):
            return getattr(writer, name) if writer else None
        if name == "instance_count":
            return len(self.instances) or None
        return getattr(self.cluster, name)


class UnreadableSource(Struct, frozen=True, kw_only=True):
    """Why nothing can be taken from the source cluster."""

    why: str


def source_settings(
    request: RestoreRequest, source: Source, identifier: str
) -> SourceSettings | UnreadableSource | None:
    """None where the source isn't to be asked, or has nothing left to say."""
    if not request.like_source or not identifier or not open_settings(request):
        return None
    if source.access == "shared":
        return UnreadableSource(why=f"of account {source.account_id} can't be seen ({source.why_no_role})")
    try:
        cluster = source.cluster(identifier)
        if cluster is None:
            return UnreadableSource(why=f"doesn't exist in {source.region} any more")
        if cluster.engine != ENGINE:
            return UnreadableSource(why=f"is of {cluster.engine} today")
        members = sorted(source.instances_of(identifier), key=lambda each: each.identifier)
    except ClientError as error:
        if error_code(error) not in DENIED_CODES:
            raise
        return UnreadableSource(why=f"can't be read ({error.operation_name} is not allowed)")
    writer_first = sorted(members, key=lambda each: each.identifier != cluster.writer_identifier)
    return SourceSettings(cluster=cluster.settings, instances=[each.settings for each in writer_first])


def open_settings(request: RestoreRequest) -> list[str]:
    """What the source would have to say. Capacity matters to serverless instances only."""
    provisioned = request.db_instance_class not in (None, "db.serverless") and request.reader_instance_class in (
        None,
        request.db_instance_class,
    )
    return [
        name
        for name in LIKE_SOURCE
        if getattr(request, name) is None and not (provisioned and name.startswith("serverless_v2_"))
    ]
