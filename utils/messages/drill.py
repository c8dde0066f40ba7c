"""What people read about a drill: what it has proved, and that its cluster is gone."""

from __future__ import annotations

from collections.abc import Iterator

from utils.contracts.plan import Plan
from utils.foreign_text import one_line
from utils.state.operation import OperationRecord

# A label and its text.
Row = tuple[str, str]


def drilled_rows(plan: Plan, record: OperationRecord) -> Iterator[Row]:
    """Yield what the drill has restored, that nobody was let in, and how the cluster's end is known."""
    known = {name: one_line(value) for name, value in record.removed_here.items()}
    yield "Drilled", f"{plan.snapshot.cluster_identifier} was restored as {known['identifier']}"
    yield "Usable", f"at {known['ready_at']}, with all its instances; a login with a new master password had worked"
    if plan.masking is not None and record.removed["masked_at"] is not None:
        yield "Masked", f"by policy {plan.masking.policy}, version {plan.masking.version_id}, at {known['masked_at']}"
    yield "Door", f"never opened: only the pipeline got into {plan.cluster.door_security_group_id}"
    yield "Gone", f"{known['resource_id']}: its deletion began at {known['began_at']}, and RDS reported none of that id"
    yield "", f"at {known.get('gone_at', 'no time')}; with it went its instances and its automated backups"
