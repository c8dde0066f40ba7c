"""The beginning of a swap, and its continuation by a later step, a later execution, or one that only finishes it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from utils.aurora_utils import AuroraReader, Cluster
from utils.aurora_utils.ownership import prove_own_cluster
from utils.contracts.payloads import SwapProgress, SwapTask
from utils.contracts.plan import RolledBack
from utils.contracts.swap import RecordedCluster, SwapRecord
from utils.errors import StepFailed, TemporaryFailure
from utils.preflight.kept import kept_problems
from utils.preflight.maintenance import due_maintenance
from utils.preflight.replaceable import LONGEST_AHEAD, near_windows, refusals_before_fence
from utils.state.operation import OperationRecord, OperationState
from utils.state.swap import StoredSwap, attempt_of, keep_swap, stored_swap
from utils.state.values import iso
from utils.steps.swap import resumed, turned_back

STEP = "swap-cluster"
WINDOW_PAUSE_SECONDS = 300
WINDOW_PATIENCE = dt.timedelta(hours=12)


def begin_or_continue(
    task: SwapTask,
    record: OperationRecord,
    state: OperationState,
    aurora: AuroraReader,
    prove_at_work: Callable[[], None],
) -> StoredSwap:
    """Return the swap as it is stored, or begin it; one that only has to be finished is turned back where it may be.

    A swap that was turned back to its end begins again when the operation is resumed. Raises StepFailed where one of
    the clusters is not what was planned.
    """
    stored = stored_swap(state.operation_id)
    attempt = attempt_of(state)
    if task.finishing:
        return _to_be_finished(stored, attempt, state, prove_at_work)
    if stored is not None and record.is_swapping:
        return stored
    _prove_both(task, record, aurora)
    prove_at_work()
    first = _first_record(task, record, state)
    state.audit("swap", "begun", {"old": task.replaces.resource_id, "new": record.cluster_resource_id})
    # Before the item is written: from here on neither cluster is cleaned up.
    state.remember(swap_began_at=iso(state.now), swap_end=None)
    number = stored.number if stored is not None else 0
    return keep_swap(StoredSwap(number=number, attempt=attempt, record=first), state)


def until_windows_are_over(
    task: SwapTask, record: OperationRecord, aurora: AuroraReader, now: dt.datetime
) -> SwapProgress | None:
    """Return the wait for a window of either cluster, or for maintenance; None where none is near.

    The restore has taken its time since the windows were looked at. Nobody is locked out yet while this is waited for.
    Raises StepFailed where it takes too long: AWS may be days late with maintenance that it forces.
    """
    for name in (task.run.target_cluster_id, task.cluster.identifier):
        cluster = aurora.cluster(name)
        for near in _near(cluster, aurora, now) if cluster is not None else ():
            if now - record.entered(STEP) >= WINDOW_PATIENCE:
                hours = round(WINDOW_PATIENCE.total_seconds() / 3600)
                raise StepFailed(
                    f"After {hours} hours {task.run.target_cluster_id} still waits for the {near} ({name}). Nothing "
                    "was swapped, and nobody was locked out. Resume this operation once it is over."
                )
            return SwapProgress(answer="wait", waiting_for=f"the {near} ({name})", wait_seconds=WINDOW_PAUSE_SECONDS)
    return None


def _near(cluster: Cluster, aurora: AuroraReader, now: dt.datetime) -> Iterator[str]:
    yield from near_windows(cluster, now)
    members = aurora.instances_of(cluster.identifier)
    yield from (each.sentence for each in due_maintenance(cluster, members, LONGEST_AHEAD, now, aurora.region))


def _to_be_finished(
    stored: StoredSwap | None, attempt: str, state: OperationState, prove_at_work: Callable[[], None]
) -> StoredSwap:
    if stored is None:
        raise StepFailed(
            f"Nothing is stored of the swap of operation {state.operation_id}, so nothing was changed by it. Both "
            "clusters are as they were."
        )
    record = turned_back(stored.record, state.now)
    if stored.attempt != attempt:
        record = resumed(record, state.now)
    if record == stored.record:
        return stored
    prove_at_work()
    because = stored.turned_because or "one of its steps has failed, or its execution was stopped"
    if record.end != stored.record.end:
        state.audit("swap", "turned-back", {"why": because})
    return keep_swap(replace(stored, attempt=attempt, record=record, turned_because=because), state)


def _first_record(task: SwapTask, record: OperationRecord, state: OperationState) -> SwapRecord:
    temporary, undone = task.cluster.identifier, task.rolls_back
    beside = [temporary, f"{temporary}-2"] if undone is None else [temporary, *undone.other_names]
    return SwapRecord(
        live_name=task.run.target_cluster_id,
        old=RecordedCluster(
            resource_id=task.replaces.resource_id,
            other_names=tuple(task.replaces.other_names),
            security_group_ids=tuple(task.replaces.security_group_ids),
        ),
        new=RecordedCluster(
            resource_id=record.cluster_resource_id or "",
            other_names=tuple(dict.fromkeys(beside)),
            security_group_ids=tuple(task.cluster.vpc_security_group_ids),
            role_beside="failed" if undone is None else "previous",
        ),
        began_at=state.now,
    )


def _prove_both(task: SwapTask, record: OperationRecord, aurora: AuroraReader) -> None:
    """Raise StepFailed unless the target's name is of the planned cluster, and the other one may have it."""
    target, replaces = task.run.target_cluster_id, task.replaces
    holder = aurora.cluster(target)
    if holder is None:
        raise _not_shown(target, replaces.resource_id)
    if holder.resource_id != replaces.resource_id:
        raise StepFailed(
            f"{target} was the name of cluster {replaces.resource_id} when this was planned, and now "
            f"{holder.resource_id} has it. Nothing was swapped. Start a new operation."
        )
    if refusals := list(refusals_before_fence(holder, aurora)):
        raise StepFailed(
            f"Cluster {target} may no longer be replaced: it {' It '.join(refusals)} Nothing was swapped. Once nothing "
            "prevents it, resume this operation."
        )
    restored = aurora.cluster(task.cluster.identifier)
    if restored is None:
        known = record.cluster_resource_id if task.rolls_back is None else task.rolls_back.resource_id
        raise _not_shown(task.cluster.identifier, known)
    if task.rolls_back is not None:
        _prove_kept(restored, task.rolls_back, aurora)
        return
    if record.cluster_resource_id is None:
        raise StepFailed(
            f"Nothing is recorded of the restored cluster {task.cluster.identifier}. Nothing was swapped. Start a new "
            "operation."
        )
    prove_own_cluster(restored, record)


def _not_shown(name: str, resource_id: str | None) -> TemporaryFailure:
    return TemporaryFailure(
        f"RDS does not show cluster {name} ({resource_id}) at the moment. Nothing was swapped. If that lasts, find out "
        "who deleted or renamed it (CloudTrail, DeleteDBCluster, ModifyDBCluster), then start a new operation."
    )


def _prove_kept(kept: Cluster | None, rolls_back: RolledBack, aurora: AuroraReader) -> None:
    """Raise StepFailed unless the cluster may have its name back, by the plan's own decision."""
    if problems := list(kept_problems(kept, rolls_back.resource_id, rolls_back.other_names, aurora)):
        raise StepFailed(f"{' '.join(problems)} Nothing was swapped. Once nothing prevents it, resume this operation.")
