"""A source cluster whose deletion has begun: what is left of it, which a message says first, and how to restore it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from utils.aurora_utils import ENGINE, AuroraReader
from utils.contracts.plan import SourceDeletion, SourceInstance
from utils.foreign_text import listed


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
    def is_whole(self) -> bool:
        """Whether nothing that the plan names has gone or is going."""
        return self.status is not None and not self.is_being_deleted and not self.going and not self.gone

    @property
    def is_without_instances(self) -> bool:
        """Whether the cluster is there, with no instance that stays."""
        return not self.is_whole and not self.there and not self.others


def look_at_source(deletion: SourceDeletion, source: AuroraReader) -> SourceLeft:
    """Return what RDS reports. The cluster is identified by its resource id: it may have been renamed."""
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


def state_of_source(left: SourceLeft) -> str:
    """Return the state of production, the first thing that somebody who is woken has to know."""
    name = left.cluster_identifier
    if left.status is None:
        return f"Source cluster {name} is deleted."
    if left.is_being_deleted:
        return f"Source cluster {name} is being deleted by RDS, and nothing can stop that."
    if left.is_whole:
        return f"Source cluster {name} exists with all its instances: nothing of it was deleted."
    if left.is_without_instances:
        return (
            f"Source cluster {name} is WITHOUT INSTANCES, so nobody can connect to it. None of its data is lost: the "
            f"cluster's volume exists. {_what_went(left)}."
        )
    return (
        f"Source cluster {name} is PARTLY deleted. {_what_went(left)}. Still there: "
        f"{listed([*left.there, *left.others])}. None of its data is lost: the cluster's volume exists."
    )


def bring_back_lines(left: SourceLeft, deletion: SourceDeletion) -> Iterator[str]:
    """Yield the commands that restore the source cluster's instances and protection."""
    if left.status is None or left.is_being_deleted:
        return
    here = f"--region {left.region}"
    name = left.cluster_identifier
    for each in left.going:
        yield f"aws rds wait db-instance-deleted --db-instance-identifier {each} {here}"
    # The writer was the last to be deleted, and the first one created becomes the writer.
    for instance in reversed(deletion.instances):
        if instance.identifier in (*left.going, *left.gone):
            yield _creation(instance, name, here)
    if deletion.switches_protection_off and not left.deletion_protection:
        yield (
            f"aws rds modify-db-cluster --db-cluster-identifier {name} --deletion-protection --apply-immediately {here}"
        )


def _what_went(left: SourceLeft) -> str:
    parts = [("deleted", left.gone), ("being deleted", left.going)]
    return "Instances " + "; ".join(f"{what}: {listed(names)}" for what, names in parts if names)


def _creation(instance: SourceInstance, cluster: str, here: str) -> str:
    options = {
        "--db-instance-class": instance.db_instance_class,
        "--db-parameter-group-name": instance.db_parameter_group_name,
        "--availability-zone": instance.availability_zone,
        "--promotion-tier": instance.promotion_tier,
    }
    given = " ".join(f"{option} {value}" for option, value in options.items() if value is not None)
    return (
        f"aws rds create-db-instance --db-instance-identifier {instance.identifier} --db-cluster-identifier {cluster} "
        f"--engine {ENGINE} {given} {here}"
    )
