"""What a request says about the end of a replaced cluster that the pipeline did not create: refused, or planned.

Its expiry proves all of it again (`utils.expiry.due`, `utils.expiry.final_snapshot`), days after the plan.
"""

from __future__ import annotations

from collections.abc import Iterator

from utils import environment
from utils.aurora_utils import AuroraReader
from utils.aurora_utils.resources import Cluster, in_order_of_deletion
from utils.contracts.plan import ReplacedCluster, ReplacedDeletion
from utils.contracts.stack_limits import StackLimits, replaced_deletion_problems
from utils.names import name_for
from utils.preflight.deletion import backup_obstacles
from utils.preflight.final_snapshot import final_snapshot_name_obstacles, final_snapshot_obstacles
from utils.preflight.replaceable import without_consent
from utils.request.fields import RestoreRequest
from utils.request.reading import own_tags


def end_of_replaced_problems(
    request: RestoreRequest,
    target_id: str,
    replaced: Cluster | None,
    planned: ReplacedCluster | None,
    operation_id: str,
    target: AuroraReader,
    limits: StackLimits,
) -> Iterator[str]:
    """Yield why the replaced cluster must not, or could not, be deleted after its time as the request says."""
    if not request.delete_replaced:
        return
    yield from replaced_deletion_problems(limits)
    if not request.replace_target:
        yield "delete_replaced: True is given, but replace_target is not true. Drop it: nothing is replaced."
    if request.confirm_delete_replaced != target_id:
        yield (
            f"confirm_delete_replaced: {request.confirm_delete_replaced!r} is not the target's name ({target_id}). To "
            f"have the cluster that is {target_id} now deleted after its time, repeat that name exactly; else drop "
            "delete_replaced."
        )
    if not environment.optional("EXPIRY_SCHEDULE"):
        yield (
            "delete_replaced: True is given, and the stack's ExpirySchedule is empty, so nothing would delete the "
            "replaced cluster. Drop it, or set the stack's ExpirySchedule."
        )
    if replaced is None or planned is None:
        if request.replace_target:
            yield f"delete_replaced: no cluster is called {target_id!r}, so none is replaced. Drop it."
        return
    if planned.is_ours:
        yield (
            f"delete_replaced: {target_id!r} was created by this stack, which deletes it after keep_previous_hours in "
            "any case, without a final snapshot. Drop it."
        )
        return
    yield from (f"delete_replaced: {why}" for why in _of_the_cluster(replaced, operation_id, target))


def _of_the_cluster(replaced: Cluster, operation_id: str, target: AuroraReader) -> Iterator[str]:
    name, members = replaced.identifier, target.instances_of(replaced.identifier)
    if untagged := without_consent(replaced, members):
        # Without the pipeline's tag it would not be replaced either. With that of another stack, it would be.
        yield (
            f"{', '.join(untagged)} has no tag of its owner's that lets it be replaced, and nothing of others goes "
            "without that. Drop it, or have its owner set the tag."
        )
    if replaced.deletion_protection:
        yield (
            f"{name!r} has deletion protection, by which its owner keeps it. Drop it, or have its owner switch that "
            f"off: aws rds modify-db-cluster --db-cluster-identifier {name} --no-deletion-protection "
            f"--apply-immediately --region {target.region}"
        )
    yield from final_snapshot_obstacles(replaced, target.region)
    yield from final_snapshot_name_obstacles(_final_snapshot(name, operation_id), replaced, target, has_begun=False)
    yield from backup_obstacles(replaced, target, deletes_them=False)


def plan_end_of_replaced(
    request: RestoreRequest, replaced: Cluster, operation_id: str, target: AuroraReader
) -> ReplacedDeletion:
    """Return what is deleted after its time, and the name and the tags of its final snapshot."""
    return ReplacedDeletion(
        final_snapshot_identifier=_final_snapshot(replaced.identifier, operation_id),
        instance_identifiers=[
            each.identifier for each in in_order_of_deletion(replaced, target.instances_of(replaced.identifier))
        ],
        tags=own_tags(request, operation_id),
    )


def _final_snapshot(target_id: str, operation_id: str) -> str:
    """Return the final snapshot's name: of the name that the cluster had for its clients, and of the operation.

    It is at most 63 characters long, where a snapshot's may have 255, and no hyphen ends it or follows another (API
    reference, DeleteDBCluster, FinalDBSnapshotIdentifier; CreateDBClusterSnapshot).
    """
    return name_for("final", target_id, operation_id)
