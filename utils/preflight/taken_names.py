"""Whether the names that the operation gives to what it creates are free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from utils.aurora_utils import AuroraReader
from utils.contracts.plan import ClusterPlan


def target_name_problems(cluster: ClusterPlan, target: AuroraReader) -> Iterator[str]:
    """Yield each name of the new cluster that is taken.

    Something with this operation's tag takes it as well: before the operation begins, it has created nothing.
    """
    target_id = cluster.identifier
    if target.cluster(target_id) is not None and cluster.live_identifier is not None:
        yield (
            f"operation_id: a cluster {target_id!r} exists in {target.region}, under the name that this operation "
            "would restore beside the replaced one. It was left alone. Give another operation_id."
        )
    elif target.cluster(target_id) is not None:
        yield (
            f"target_cluster_id: a cluster {target_id!r} exists in {target.region} and this operation did not create "
            "it. It was left alone. Choose another name, or give replace_target to replace it, or delete that cluster "
            "yourself if it is not needed."
        )
    for instance in target.instances_named([target_id, *(each.identifier for each in cluster.instances)]):
        yield (
            f"target_cluster_id: an instance {instance.identifier!r} exists in {target.region}, and the new cluster "
            "needs that name. Choose another target_cluster_id."
        )


def previous_name_problems(names: Sequence[str], operation_id: str, target: AuroraReader) -> Iterator[str]:
    """Yield each name that is taken of those for the replaced cluster, among clusters and among instances.

    RDS refuses a cluster's new name also where an instance has it: ModifyDBCluster declares DBInstanceAlreadyExists
    (API reference).
    """
    taken = [name for name in names if target.cluster(name) is not None]
    taken += [instance.identifier for instance in target.instances_named(names)]
    for name in taken:
        yield (
            f"operation_id: {operation_id!r} was used before: {name!r} exists in {target.region}, which the replaced "
            "cluster would be called. It was left alone. Start under another name, or give another operation_id."
        )


def snapshot_name_problems(name: str, operation_id: str, where: AuroraReader) -> Iterator[str]:
    """Yield a problem if a snapshot has this operation's name already.

    An execution's name is free again after 90 days. A snapshot of that name then holds older data.
    """
    if where.snapshot(name) is not None:
        yield (
            f"operation_id: {operation_id!r} was used before: its snapshot {name!r} exists in {where.region}. "
            "It was left alone. Start the execution under another name, or give another operation_id."
        )
