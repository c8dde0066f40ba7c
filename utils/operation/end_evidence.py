"""The evidence of an operation's end: what is known of it then, from its record, its task and from AWS."""

from __future__ import annotations

from collections.abc import Iterator

from utils.contracts.payloads import NotificationTask
from utils.contracts.verification import Verification
from utils.messages.failure import failed_clean_up_lines
from utils.messages.outcome import NOT_SETTLED
from utils.messages.remains import Remains
from utils.operation.close import OperationEnd
from utils.operation.evidence_facts import Known, evidence_of
from utils.operation.sealing import Witness, seal_end
from utils.operation.starter import Starter
from utils.state.operation import OperationRecord
from utils.state.verification import kept_verification


def seal_evidence(end: OperationEnd, starter: Starter, left: Remains) -> Witness | None:
    """Write the evidence of an end; None for a dry run, of which there is nothing to show."""
    if end.task.outcome == "planned":
        return None
    # What is asked of AWS for it may fail as any of the evidence.
    return seal_end(
        lambda: evidence_of(_known(end, starter, left)),
        end.state.operation_id,
        end.attempt,
        end.begun,
        lambda begun: end.state.remember_at_end(evidence_begun=begun),
    )


def _known(end: OperationEnd, starter: Starter, left: Remains) -> Known:
    """Return what the evidence is put together from."""
    task, has_failed = end.task, end.task.outcome == "failed"
    return Known(
        operation_id=end.state.operation_id,
        execution=task.execution,
        succeeded=task.outcome == "succeeded",
        stopped=task.stopped,
        request=task.request,
        record=end.record,
        starter=starter,
        remains=left,
        exists=_exists(task, end.record, left),
        error=end.error if has_failed else None,
        archive=task.archive,
        left=[
            *_warnings_of(task),
            *(_still_open(left) if has_failed else ()),
            *failed_clean_up_lines(end.record, end.clean_up),
            *(each for each in end.about_secrets if each.startswith(NOT_SETTLED)),
        ],
        verification=_verification(end.record),
        next=list(end.next_lines(left)) if has_failed else [],
    )


def _verification(record: OperationRecord | None) -> Verification | None:
    """Return what the checks of the cluster have found; None where none were made of this one.

    What an earlier execution has found counts where its cluster passed: a resumed operation may have another one.
    """
    if record is None or not record.plan.get("verification"):
        return None
    found = kept_verification(record.operation_id)
    of_this = "verify-data" in record.step_times and found is not None
    if of_this and found is not None and found.finished_at >= record.entered("verify-data"):
        return found
    gone = record.cluster_resource_id is None and record.removed_here.get("verified_at")
    return found if record.verified_at or gone else None


def _exists(task: NotificationTask, record: OperationRecord | None, left: Remains) -> bool | None:
    """Return whether RDS had the operation's cluster when it was looked at last; None where that is not known.

    Of a success, the last step has looked: asking once more could use up the time that the message needs.
    """
    if record is None or left.unknown:
        return None
    if task.outcome == "succeeded" or left.cluster is not None:
        return not record.is_drill or left.cluster is not None
    return None if record.cluster_resource_id is not None else False


def _still_open(left: Remains) -> Iterator[str]:
    """Yield what a failed operation has left on the snapshot's way, which a success has as warnings of its archive."""
    yield from (step.still_there for step in left.on_the_way)
    if left.unseen_copy is not None:
        yield f"RDS did not show the copied snapshot {left.unseen_copy}, so it was not deleted."


def _warnings_of(task: NotificationTask) -> list[str]:
    """Return what of the snapshot's route could not be taken back."""
    return task.archive.warnings if task.archive is not None else []
