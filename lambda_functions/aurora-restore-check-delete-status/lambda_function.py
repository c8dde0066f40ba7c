"""Ask Aurora whether the cluster that is being deleted is gone, and its final snapshot there."""

from msgspec.structs import replace

from utils import environment
from utils.common import Work, step
from utils.contracts.payloads import CheckDeleteTask, DeleteProgress
from utils.state.operation import NO_CLUSTER, iso
from utils.steps.delete_watch import durations_seen, raise_if_never_gone, waited_for
from utils.steps.final_snapshot import FinalSnapshot, settled_snapshot


@step("check-delete-status", CheckDeleteTask, looks=True)
def lambda_handler(task: CheckDeleteTask, work: Work) -> DeleteProgress:
    """Return whether the cluster is gone.

    It is identified by its resource id: a renamed one is not deleted, and a new one with the old name does not count.
    """
    progress = task.progress
    if progress.answer == "done" or progress.cluster_resource_id is None:
        return progress
    record, now = work.record(), task.run.now
    elapsed_seconds = (now - progress.started_at).total_seconds()
    deadline_hours = environment.whole_number("DELETE_DEADLINE_HOURS")
    waiting = waited_for(progress, now, work.pace(record))
    durations = durations_seen(progress, record, now)
    aurora = work.aurora(progress.region)
    cluster = aurora.cluster_with_id(progress.cluster_resource_id)
    if cluster is not None:
        if progress.doing == "waiting-to-delete" and not cluster.is_busy:
            return replace(progress, answer="advance")
        if progress.doing == "switching-protection-off" and cluster.is_available and not cluster.deletion_protection:
            work.state.remember(took=durations)
            return replace(progress, answer="advance")
        raise_if_never_gone(cluster, progress, elapsed_seconds, deadline_hours)
        return waiting
    if task.run.cleaning_up:
        work.state.remember(**NO_CLUSTER, removed=record.removed | {"gone_at": iso(now)})
    if progress.final_snapshot_identifier is None:
        work.state.remember(took=durations)
        return replace(progress, answer="done")
    final = FinalSnapshot(
        identifier=progress.final_snapshot_identifier,
        cluster_identifier=progress.cluster_identifier,
        cluster_resource_id=progress.cluster_resource_id,
        tags=task.deletion.tags if task.deletion else {},
    )
    snapshot = settled_snapshot(final, aurora, elapsed_seconds, deadline_hours)
    if snapshot is None:
        return waiting
    work.state.remember(final_snapshot_arn=snapshot.arn, took=durations)
    work.state.audit("final-snapshot", "available", {"snapshot": snapshot.arn, "of": progress.cluster_resource_id})
    return replace(progress, answer="done", final_snapshot_arn=snapshot.arn)
