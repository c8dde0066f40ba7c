"""Decide whether a cluster, an instance or a snapshot is this operation's own: none is changed or deleted otherwise.

Two things prove it together: the tag that the operation gives to what it creates, and what was recorded when it was
created. A name proves nothing, and others may set a tag too. The record is missing only where the step that created the
thing died before it could record that: then the tag, the planned name and the request to RDS, which was recorded
before, stand for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from utils.aurora_utils.resources import PROTECTED_TAG
from utils.contracts.route import FINAL
from utils.errors import StepFailed, TemporaryFailure

if TYPE_CHECKING:
    from utils.aurora_utils.resources import Cluster, Instance, Snapshot
    from utils.contracts.route import RouteStep


class Recorded(Protocol):
    """What an operation has recorded of what it created (utils/state/operation.py)."""

    @property
    def operation_id(self) -> str:
        """Return the operation's id."""

    @property
    def made_snapshots(self) -> Mapping[str, str]:
        """Return the ARN of each snapshot that it created, by the name of the route's step."""

    @property
    def cluster_asked_at(self) -> str | None:
        """Return when it asked RDS for its cluster; None before that."""

    @property
    def cluster_resource_id(self) -> str | None:
        """Return the resource id of the cluster that it created; None where none is recorded."""


def why_not_own_cluster(cluster: Cluster, record: Recorded) -> str | None:
    """Return why a cluster is not the one that the operation created, as a clause about it; None where it is."""
    if not cluster.belongs_to(record.operation_id):
        return "is not tagged as this operation's"
    made = record.cluster_resource_id
    if made != cluster.resource_id and (made is not None or record.cluster_asked_at is None):
        return f"is {cluster.resource_id}, this operation made {made or 'none'}"
    return None


def owns_cluster(cluster: Cluster, record: Recorded) -> bool:
    """Return whether the operation created the cluster."""
    return why_not_own_cluster(cluster, record) is None


def was_made_by(instance: Instance, operation_id: str) -> bool:
    """Return whether an instance has the tag of the operation that created its cluster, which is proved beside it."""
    return instance.belongs_to(operation_id)


def is_recorded_cluster(cluster: Cluster | None, record: Recorded) -> bool:
    """Return whether a cluster is the one that the operation has recorded: by its resource id, under any name."""
    return cluster is not None and cluster.resource_id == record.cluster_resource_id


def why_protected(cluster: Cluster, instances: Iterable[Instance]) -> str | None:
    """Return that the protecting tag is on a cluster or its instances, as a clause about the cluster; None if not."""
    protected = [each.identifier for each in (cluster, *instances) if each.is_protected]
    return f"is protected by the tag {PROTECTED_TAG} = true on {', '.join(protected)}" if protected else None


def prove_own_cluster(cluster: Cluster, record: Recorded) -> None:
    """Raise StepFailed unless the operation created the cluster."""
    if not owns_cluster(cluster, record):
        raise StepFailed(
            f"Cluster {cluster.identifier} ({cluster.resource_id}) is not the one that operation "
            f"{record.operation_id} made ({record.cluster_resource_id or 'none recorded'}). It was left alone. "
            "Find out who created it, then start a new operation with another target_cluster_id."
        )


def owns_snapshot(found: Snapshot, step: RouteStep, record: Recorded) -> bool:
    """Return whether a step of the operation's route created the snapshot: by the planned name and place, too."""
    is_recorded = record.made_snapshots.get(step.name) in (None, found.arn)
    return is_recorded and found.arn == step.snapshot_arn and found.belongs_to(record.operation_id)


def owns_recorded_copy(found: Snapshot, record: Recorded) -> bool:
    """Return whether the snapshot is the copy that the operation has recorded as the end of its route."""
    return found.arn == record.made_snapshots.get(FINAL) and found.belongs_to(record.operation_id)


def prove_own_snapshot(found: Snapshot, step: RouteStep, record: Recorded) -> None:
    """Raise StepFailed unless a step of the operation's route created the snapshot."""
    if not owns_snapshot(found, step, record):
        region, account = step.place
        raise StepFailed(
            f"Snapshot {found.arn} is not the copy that operation {record.operation_id} made "
            f"({record.made_snapshots.get(step.name, 'none recorded')}). It was left alone. Look at it in account "
            f"{account}, and delete it if nobody needs it: aws rds describe-db-cluster-snapshots "
            f"--db-cluster-snapshot-identifier {found.identifier} --region {region}"
        )


# What RDS answers with "already exists": the name belongs to the operation's own thing where an earlier call, whose
# answer was lost, has made it. Nothing of it can be recorded yet. What exists by one answer and is not shown by the
# next is looked for again: whose it is cannot be said before.


def own_existing_snapshot(found: Snapshot | None, name: str, region: str, operation_id: str) -> Snapshot:
    """Return the snapshot that has the name of a copy. Raises StepFailed where it is not this operation's."""
    if found is None:
        look = f"aws rds describe-db-cluster-snapshots --db-cluster-snapshot-identifier {name} --region {region}"
        raise _not_shown_yet(f"snapshot {name}", region, look)
    if not found.belongs_to(operation_id):
        raise StepFailed(
            f"A snapshot named {name} exists in {region} and is not this operation's. "
            "Look at it, delete it if it is not needed, and resume this operation."
        )
    return found


def own_existing_cluster(found: Cluster | None, name: str, region: str, operation_id: str) -> Cluster:
    """Return the cluster that has the target's name. Raises StepFailed where it is not this operation's."""
    if found is None:
        look = f"aws rds describe-db-clusters --db-cluster-identifier {name} --region {region}"
        raise _not_shown_yet(f"cluster {name}", region, look)
    if not found.belongs_to(operation_id):
        raise StepFailed(
            f"A cluster named {name} exists in {region} and this operation did not create it. "
            "It was left alone. Choose another target_cluster_id."
        )
    return found


def prove_own_existing_instance(
    found: Instance | None, name: str, cluster_identifier: str, region: str, operation_id: str
) -> None:
    """Raise StepFailed where the instance of that name is not this operation's, or another cluster's."""
    if found is None:
        look = f"aws rds describe-db-instances --db-instance-identifier {name} --region {region}"
        raise _not_shown_yet(f"instance {name}", region, look)
    if not found.belongs_to(operation_id) or found.cluster_identifier != cluster_identifier:
        raise StepFailed(
            f"An instance named {name} exists in {region} and this operation did not create it. "
            "It was left alone. Choose another target_cluster_id."
        )


def _not_shown_yet(what: str, region: str, command: str) -> TemporaryFailure:
    return TemporaryFailure(
        f"RDS answers that {what} exists in {region}, and does not show it at this moment. If that lasts, look at it: "
        f"{command}"
    )
