"""Ask Aurora whether the cluster that is being deleted is gone, and its final snapshot there."""

from msgspec.structs import replace

from utils import environment
from utils.common import Work, step
from utils.contracts.payloads import CheckDeleteTask, DeleteProgress
from utils.state.operation import NO_CLUSTER
from utils.state.unseen import note_looks
from utils.state.values import iso
from utils.steps.delete_watch import end_seen, is_there, look_again, raise_if_never_gone, waited_for, with_event
from utils.steps.final_snapshot import final_snapshot_of, settled_snapshot


@step("check-delete-status", CheckDeleteTask, looks=True)
def lambda_handler(task: CheckDeleteTask, work: Work) -> DeleteProgress:
    """Return whether the cluster is gone.

    It is identified by its resource id: a renamed one is not deleted, and a new one with the old name does not count.
    One that RDS was not asked to delete is gone only once a second look has not found it either.
    """
    progress, resource_id = with_event(task.progress, task.woken), task.progress.cluster_resource_id
    if progress.answer == "done" or resource_id is None:
        return replace(progress, answer="advance" if progress.answer == "wait" else "done")
    record, now = work.record(), task.run.now
    elapsed_seconds = (now - progress.started_at).total_seconds()
    deadline_hours = environment.whole_number("DELETE_DEADLINE_HOURS")
    pace = work.pace(record, progress.region)
    waiting = waited_for(progress, now, pace)
    ended = end_seen(progress, record, now, pace)
    aurora = work.aurora(progress.region)
    cluster = aurora.cluster_with_id(resource_id)
    if cluster is not None:
        note_looks(work.state, record, shown=[resource_id])
        if is_there(progress, cluster):
            if progress.doing == "switching-protection-off":
                work.state.remember(**ended)
            return replace(progress, answer="advance")
        raise_if_never_gone(cluster, progress, elapsed_seconds, deadline_hours)
        return waiting
    if (unproved := look_again(progress, record, work.state)) is not None:
        return unproved
    if task.run.cleaning_up:
        work.state.remember(**NO_CLUSTER, removed=record.removed | {"gone_at": iso(now)})
    elif record.source_gone_at is None:
        work.state.note(source_gone_at=iso(now))
    final = final_snapshot_of(progress, task.deletion)
    if final is None:
        work.state.remember(**ended)
        return replace(progress, answer="done")
    snapshot = settled_snapshot(final, aurora, elapsed_seconds, deadline_hours)
    if snapshot is None:
        return waiting
    work.state.remember(final_snapshot_arn=snapshot.arn, **ended)
    work.state.audit("final-snapshot", "available", {"snapshot": snapshot.arn, "of": resource_id})
    return replace(progress, answer="done", final_snapshot_arn=snapshot.arn)
