"""A deletion that is on its way: what it still waits for, and what it will never come to."""

from __future__ import annotations

import datetime as dt
from typing import Any

from msgspec.structs import replace

from utils import environment
from utils.aurora_utils.resources import Cluster
from utils.contracts.payloads import DeleteProgress
from utils.contracts.plan import SourceDeletion
from utils.errors import StepFailed
from utils.state.operation import OperationRecord, OperationState
from utils.state.unseen import PAUSE_SECONDS, is_gone, note_looks
from utils.steps.announcements import announcement
from utils.steps.final_snapshot import LAG_SECONDS
from utils.steps.pace import Pace, since_seen, took
from utils.steps.wait_keys import wait_fields


def deletion_begun(
    deletion: SourceDeletion,
    record: OperationRecord,
    now: dt.datetime,
    pace: Pace,
    *,
    switching: bool,
    is_accepted: bool,
) -> DeleteProgress:
    """Return what to wait for. `is_accepted`: RDS has accepted the deletion; else it did not show the cluster.

    It is never done at once: the next step checks whether the cluster is gone and its final snapshot is available.
    """
    progress = DeleteProgress(
        cluster_identifier=deletion.cluster_identifier,
        region=deletion.region,
        cluster_resource_id=deletion.cluster_resource_id,
        final_snapshot_identifier=deletion.final_snapshot_identifier,
        started_at=record.entered("delete-rds"),
        answer="wait",
        wait_seconds=0,
        doing="switching-protection-off" if switching else "deleting",
        is_accepted=is_accepted,
        doing_since=record.seen(record.source_deletion_at) if record.source_deletion_at else now,
    )
    return waited_for(progress, now, pace)


def waited_for(progress: DeleteProgress, now: dt.datetime, pace: Pace) -> DeleteProgress:
    """Return the progress with the pause before the next look, and when all is expected to end."""
    phase, moment = phase_of(progress), since(progress)
    bounded = pace.until(progress.started_at, environment.whole_number("DELETE_DEADLINE_HOURS"))
    pause = bounded.pause(phase, moment, now, event_at=progress.event_at)
    return replace(
        progress,
        wait_seconds=pause,
        expected_end=pace.expected_end(phase, moment, now),
        seen_at=now,
        **wait_fields(progress.region, progress.cluster_identifier, now),
    )


def look_again(progress: DeleteProgress, record: OperationRecord, state: OperationState) -> DeleteProgress | None:
    """Return what follows where RDS does not show the cluster; None once it is gone for certain.

    One look suffices where RDS has accepted the deletion. Before that the step that deletes decides, or a second look.
    """
    if progress.doing == "waiting-to-delete":
        return replace(progress, answer="advance")
    resource_id = progress.cluster_resource_id or ""
    if progress.is_accepted or is_gone(record, resource_id, state.now):
        return None
    note_looks(state, record, missed=[resource_id])
    return replace(progress, wait_seconds=PAUSE_SECONDS)


def is_there(progress: DeleteProgress, cluster: Cluster) -> bool:
    """Return whether the cluster is to be deleted still: what was waited for is over, or an earlier look missed it."""
    if progress.doing == "waiting-to-delete":
        return not cluster.is_busy
    if progress.doing == "switching-protection-off":
        return cluster.is_available and not cluster.deletion_protection
    return not progress.is_accepted and not cluster.is_being_deleted


def phase_of(progress: DeleteProgress) -> str:
    """Return what RDS is working on: a final snapshot, which it takes before the deletion, or the deletion."""
    if progress.doing == "switching-protection-off":
        return "switch-protection-off"
    return "delete-cluster" if progress.final_snapshot_identifier is None else "final-snapshot"


def since(progress: DeleteProgress) -> dt.datetime:
    """Return since when RDS is working on it."""
    return progress.doing_since or progress.started_at


def with_event(progress: DeleteProgress, woken: Any) -> DeleteProgress:
    """Return the progress with the event of RDS that has ended the wait, if it announces the cluster's end."""
    event_at = announcement(woken, phase_of(progress), progress.seen_at or since(progress))
    return progress if event_at is None else replace(progress, event_at=event_at)


def end_seen(progress: DeleteProgress, record: OperationRecord, now: dt.datetime, pace: Pace) -> dict[str, Any]:
    """Return what is to be recorded of a phase that has ended: how long it took, and whether RDS has announced it."""
    phase = phase_of(progress)
    return {
        "took": took(
            record, now, {phase: progress.doing_since}, since_seen(progress.seen_at, progress.wait_seconds, now)
        ),
        "announced": pace.announced_with(phase, progress.event_at, now, record.announced),
    }


def raise_if_never_gone(
    cluster: Cluster, progress: DeleteProgress, elapsed_seconds: float, deadline_hours: int
) -> None:
    """Raise StepFailed for a cluster that is broken, or still there after the deadline.

    RDS may keep reporting `available`, or that it takes the final snapshot: neither is a failure by itself.
    """
    broken = cluster.is_broken and not cluster.is_being_deleted and elapsed_seconds >= LAG_SECONDS
    if not broken and elapsed_seconds < deadline_hours * 3600:
        return
    renamed = cluster.identifier != progress.cluster_identifier
    called = f" (renamed to {cluster.identifier})" if renamed else ""
    began = {
        "deleting": "its deletion",
        "switching-protection-off": "the end of its deletion protection",
        "waiting-to-delete": "the wait for its deletion",
    }[progress.doing]
    raise StepFailed(
        f"Cluster {progress.cluster_identifier}{called} is {cluster.status} {elapsed_seconds / 3600:.1f} hours after "
        f"{began} began. Look at it: aws rds describe-db-clusters --region {progress.region} "
        f"--db-cluster-identifier {cluster.identifier}"
    )
