"""Whether the snapshot that was found is what the request describes, and can be restored."""

from __future__ import annotations

from collections.abc import Iterator

from utils.aurora_utils import ENGINE, AuroraReader
from utils.aurora_utils.resources import Snapshot
from utils.contracts.payloads import Execution
from utils.request.fields import RestoreRequest


def snapshot_problems(
    request: RestoreRequest, snapshot: Snapshot, source: AuroraReader, execution: Execution
) -> Iterator[str]:
    """Yield why the found snapshot must not or cannot be restored."""
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
    if limit is not None and (age := snapshot.age_hours(execution.now)) is not None and age > limit:
        yield (
            f"max_snapshot_age_hours: {name!r} in {source.region} is {age:.1f} hours old, more than the {limit:g} "
            "allowed. Take a fresh snapshot, or raise the limit if older data will do."
        )
