"""The source cluster as it is now, for what neither the request nor the stack says about the new one."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from msgspec import Struct

from utils import environment
from utils.aurora_utils import ENGINE
from utils.aurora_utils.reader_scaling import ReaderScaling
from utils.aurora_utils.reported_settings import ClusterSettings, InstanceSettings
from utils.aurora_utils.resources import Cluster, Instance
from utils.aurora_utils.source_account import Source
from utils.aurora_utils.source_attributes import listed, shortened
from utils.aws_errors import error_code
from utils.contracts.settings import BY_NAME, SETTINGS
from utils.error_codes import DENIED_CODES
from utils.request.fields import RestoreRequest

# What has to be given: by the source, where the request and the stack do not.
REQUIRED = tuple(each.name for each in SETTINGS if each.from_source == "required")
# How the names begin that Application Auto Scaling gives to the readers that it adds. AWS's guide does not say it;
# RDS's own events do ("RDS detected deletion of DB instance application-autoscaling-...").
AUTOSCALED_PREFIX = "application-autoscaling-"


class SourceSettings(Struct, frozen=True, kw_only=True):
    """`instances`: the writer first, without the readers that Aurora Auto Scaling added, which are `autoscaled`.

    `own_keys` is what the ARN of a key contains if the key works for the new cluster as well. It is empty for a source
    in another account or region. `scaling` is None where the number of readers is fixed. `unknown` says what could not
    be read.
    """

    cluster: ClusterSettings
    instances: list[InstanceSettings]
    names: list[str] = []
    tags: dict[str, str] = {}
    left_behind: list[str] = []
    autoscaled: list[str] = []
    scaling: ReaderScaling | None = None
    own_keys: str = ""
    unknown: list[str] = []

    def value(self, name: str) -> Any:
        """Return what a new cluster takes over of a setting; None where the source says nothing."""
        writer = self.instances[0] if self.instances else None
        if name == "db_instance_class":
            return writer.db_instance_class if writer else None
        if name == "instance_count":
            return len(self.instances) or None
        if name == "performance_insights_retention_days":
            # In an older cluster only the instances have this value, and the cluster reports that it has none.
            of_cluster = self.cluster.value(name)
            return of_cluster or (writer.value(name) if writer else None) or of_cluster
        if name == "performance_insights_kms_key_id":
            key = writer.value(name) if writer else None
            return key if key and self.own_keys and self.own_keys in key else None
        if BY_NAME[name].of_cluster:
            return self.cluster.value(name)
        return writer.value(name) if writer else None


class UnreadableSource(Struct, frozen=True, kw_only=True):
    """Why nothing can be taken from the source cluster."""

    why: str


def source_settings(
    request: RestoreRequest, source: Source, identifier: str
) -> SourceSettings | UnreadableSource | None:
    """Return what the source has, or None where it must not be read.

    It is also read where the request and the stack say everything that a new cluster can take from it, so that what it
    has beyond that is reported.
    """
    if not request.like_source or not identifier:
        return None
    if source.access == "shared":
        return UnreadableSource(why=f"of account {source.account_id} cannot be seen ({source.why_no_role})")
    try:
        cluster = source.cluster(identifier)
        if cluster is None:
            return UnreadableSource(why=f"no longer exists in {source.region}")
        if cluster.engine != ENGINE:
            return UnreadableSource(why=f"is of {cluster.engine} today")
        members = sorted(source.instances_of(identifier), key=lambda each: each.identifier)
    except ClientError as error:
        if error_code(error) not in DENIED_CODES:
            raise
        return UnreadableSource(why=f"cannot be read ({error.operation_name} is not allowed)")
    writer_first = sorted(members, key=lambda each: each.identifier != cluster.writer_identifier)
    added = [
        each
        for each in writer_first
        if each.identifier.startswith(AUTOSCALED_PREFIX) and each.identifier != cluster.writer_identifier
    ]
    fixed = [each for each in writer_first if each not in added] or writer_first[:1]
    scaling, unknown = _scaling(source, identifier)
    is_here = source.is_own_in(environment.region())
    return SourceSettings(
        cluster=cluster.settings,
        instances=[each.settings for each in fixed],
        names=[each.identifier for each in fixed],
        tags=cluster.tags,
        left_behind=[*cluster.left_behind, *_of_instances(cluster, fixed)],
        autoscaled=[each.identifier for each in added],
        scaling=scaling,
        own_keys=f":kms:{source.region}:{source.account_id}:key/" if is_here else "",
        unknown=unknown,
    )


def _scaling(source: Source, identifier: str) -> tuple[ReaderScaling | None, list[str]]:
    """Return how the readers scale, and what is not known about it."""
    try:
        return source.reader_scaling(identifier), []
    except ClientError as error:
        if error_code(error) not in DENIED_CODES:
            raise
        return None, [
            "whether Aurora Auto Scaling changes the number of its readers is not known: "
            f"application-autoscaling:{error.operation_name} is not allowed"
        ]


def _of_instances(cluster: Cluster, instances: list[Instance]) -> list[str]:
    """Return what no new instance gets, one text for all that have it, without what the cluster itself has."""
    owners: dict[str, list[str]] = {}
    for each in instances:
        keys = sorted(key for key in each.tags.keys() - cluster.tags.keys() if not key.startswith("aws:"))
        tags = [f"tags: {listed(keys)}"] if keys else []
        for text in (*each.left_behind, *tags):
            if text not in cluster.left_behind:
                owners.setdefault(text, []).append(each.identifier)
    return [shortened(f"{text} (of {listed(names)})") for text, names in owners.items()]


def open_settings(request: RestoreRequest) -> list[str]:
    """Return the settings that only the source can give. Capacity matters to serverless instances only."""
    provisioned = request.db_instance_class not in (None, "db.serverless") and request.reader_instance_class in (
        None,
        request.db_instance_class,
    )
    return [
        name
        for name in REQUIRED
        if getattr(request, name) is None and not (provisioned and name.startswith("serverless_v2_"))
    ]
