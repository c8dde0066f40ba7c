"""What prevents that a cluster which was replaced, and is kept, gets its target's name back.

The plan of a rollback asks it, its resumption, and its swap once more before the fence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from utils.aurora_utils import AuroraReader, Cluster
from utils.aurora_utils.resources import ROLE_TAG
from utils.contracts.payloads import Execution
from utils.contracts.stack_limits import StackLimits
from utils.preflight.replaceable import has_operation_tag, lasting_refusals, waiting_refusals
from utils.state.expiry import ExpiryRegister
from utils.state.maker import maker_of


def kept_problems(
    kept: Cluster | None, resource_id: str, names: Collection[str], target: AuroraReader
) -> Iterator[str]:
    """Yield why the cluster cannot have its name back, apart from a status that passes.

    `names` are those that the swap which has replaced it could give it.
    """
    if kept is None or kept.resource_id != resource_id:
        yield f"Cluster {resource_id}, which was replaced, no longer exists. {_INSTEAD}"
        return
    named = f"Cluster {kept.identifier} ({kept.resource_id})"
    if kept.is_being_deleted or _is_expiring(kept.resource_id):
        yield f"{named} is being deleted. {_INSTEAD}"
        return
    if not kept.is_previous:
        yield f"{named} is no longer kept as a replaced cluster: its tag {ROLE_TAG} is {kept.shown_role}, not previous."
    if kept.identifier not in names:
        yield (
            f"{named} was renamed since, and only a replaced cluster's own names are taken back. Rename it to "
            f"{next(iter(names))} first."
        )
    if not kept.member_identifiers:
        yield f"{named} has no instances any longer. Create one in it, then start again."
    yield from (f"{named} {why}" for why in (*lasting_refusals(kept, target), *waiting_refusals(kept)))


def busy_problems(kept: Cluster | None) -> Iterator[str]:
    """Yield that it cannot have its name back now. Its swap waits for what passes, and starts a stopped one."""
    if kept is not None and not kept.is_being_deleted and not kept.is_available and not kept.is_stopped:
        yield f"Cluster {kept.identifier} ({kept.resource_id}) is {kept.status}, not available. Start again once it is."


def unmasked_problems(kept: Cluster | None, execution: Execution, limits: StackLimits) -> Iterator[str]:
    """Yield that the cluster was not masked, where the stack lets nobody into one that is not.

    What another team's cluster holds is its owner's to say.
    """
    if limits.require_masking != "true" or kept is None or not has_operation_tag(kept):
        return
    record = maker_of(kept, execution.execution_id, execution.now)
    if record is None or record.masked_at is None:
        yield (
            f"Cluster {kept.identifier} ({kept.resource_id}) was not masked, and this stack lets nobody into a cluster "
            f"that is not (RequireMasking). {_INSTEAD}"
        )


_INSTEAD = "Restore an older snapshot by a new operation instead."


def _is_expiring(resource_id: str) -> bool:
    entry = ExpiryRegister().entry(resource_id)
    return entry is not None and entry.deletion_began_at is not None
