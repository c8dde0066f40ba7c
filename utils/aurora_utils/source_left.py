"""What is left of a source cluster whose deletion may have begun, compared with the instances that the plan names."""

from __future__ import annotations

from msgspec import Struct

from utils.aurora_utils.client import AuroraReader
from utils.contracts.plan import SourceDeletion


class SourceLeft(Struct, frozen=True, kw_only=True):
    """The source cluster as RDS describes it now; no status: it is gone. `others` are members that the plan lacks."""

    cluster_identifier: str
    region: str
    status: str | None
    is_being_deleted: bool = False
    deletion_protection: bool = False
    there: list[str] = []
    others: list[str] = []
    going: list[str] = []
    gone: list[str] = []

    @property
    def is_gone(self) -> bool:
        """Return whether RDS no longer has the cluster."""
        return self.status is None

    @property
    def is_whole(self) -> bool:
        """Return whether nothing that the plan names has gone or is going."""
        return self.status is not None and not self.is_being_deleted and not self.going and not self.gone

    @property
    def is_without_instances(self) -> bool:
        """Return whether the cluster is there, with no instance that stays."""
        return not self.is_whole and not self.there and not self.others


def what_is_left_of_source(deletion: SourceDeletion, source: AuroraReader) -> SourceLeft:
    """Return what is left of the source cluster, which its resource id identifies: it may have been renamed."""
    planned = deletion.instance_identifiers or []
    cluster = source.cluster_with_id(deletion.cluster_resource_id)
    if cluster is None:
        return SourceLeft(
            cluster_identifier=deletion.cluster_identifier, region=source.region, status=None, gone=list(planned)
        )
    members = {each.identifier: each for each in source.instances_of(cluster.identifier)}
    staying = [name for name, each in members.items() if not each.is_being_deleted]
    return SourceLeft(
        cluster_identifier=cluster.identifier,
        region=source.region,
        status=cluster.status,
        is_being_deleted=cluster.is_being_deleted,
        deletion_protection=cluster.deletion_protection,
        there=[name for name in staying if name in planned],
        others=[name for name in staying if name not in planned],
        going=[name for name, each in members.items() if each.is_being_deleted],
        gone=[name for name in planned if name not in members],
    )
