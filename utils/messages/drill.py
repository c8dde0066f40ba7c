"""What people read about a drill: what it has proved, how it was ended otherwise, and that its cluster is gone."""

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
    yield "Gone", f"{known['resource_id']}, with its instances and its automated backups: deleted from"
    gone_at = known.get("gone_at")
    seen = "its end was not recorded" if gone_at is None else f"RDS reported no cluster of that id at {gone_at}"
    yield "", f"{known['began_at']} on; {seen}"


# How an execution has ended, by the status that Step Functions gives it.
_ENDS = {"ABORTED": "was stopped", "TIMED_OUT": "has timed out"}


def how_drill_ended(record: OperationRecord) -> str:
    """Return how a drill has ended whose execution has died, as a sentence."""
    ended = {name: one_line(value) for name, value in record.drill_ended_by.items()}
    how = _ENDS.get(ended["status"], "has died")
    return f"The drill has ended in {ended['step']}, because its execution {how}: {ended['execution_id']}."


def what_ended_drill_has_left(record: OperationRecord, *, exists: bool | None) -> str:
    """Return what became of the cluster of such a drill, as a sentence.

    `exists`: whether RDS still reports it, None where that is not known.
    """
    known = {name: one_line(value) for name, value in record.removed_here.items()}
    if "gone_at" in known:
        gone = f"{known['identifier']} ({known['resource_id']})"
        seen = f"at {known['gone_at']} RDS reported no cluster of that id"
        if record.removed_here["began_at"] is None:
            return f"Its cluster {gone} was deleted by somebody else: {seen}."
        return f"Its cluster {gone} was deleted; {seen} to execution {one_line(record.execution_id)}."
    if exists is None:
        return "Whether it has left a cluster is not known."
    return "Its cluster still exists, and costs money." if exists else "It has left no cluster."
