"""The door: the cluster's security groups, from the pipeline's alone to those that were asked for.

A restored cluster is in one group, the stack's own, which admits nobody but the functions that connect to PostgreSQL.
Once its users are set up, one change of the cluster's groups opens it, and it is open when RDS reports every group of
the cluster and of every member as active. The Data API bypasses security groups, so it is switched on only then. As in
a restore, what is due follows from what exists: a step that died is simply run again.
"""

from __future__ import annotations

import datetime as dt

from msgspec.structs import replace

from utils.aurora_utils.client import Aurora, AuroraReader, ClusterBusy
from utils.aurora_utils.door import beside_the_door
from utils.aurora_utils.ownership import prove_own_cluster
from utils.aurora_utils.resources import EXPIRY_TAG, Cluster, Instance
from utils.contracts.payloads import Opening
from utils.contracts.plan import ClusterPlan
from utils.errors import StepFailed
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.state.expiry import ExpiringCluster, ExpiryRegister, expiry_text
from utils.state.operation import OperationRecord, OperationState
from utils.state.unseen import is_gone
from utils.state.values import iso
from utils.steps.cluster_seen import (
    ClusterSeen,
    RestoreAction,
    RestoreDue,
    is_recent,
    note_unseen,
    observe,
    refuse_broken,
    refuse_renamed,
    unseen_cluster,
    until_up,
    wait,
)
from utils.steps.pace import Pace, took
from utils.steps.restore_progress import pause_of
from utils.steps.settings_compared import settled_differences
from utils.steps.unmasked import refuse_unmasked

# A change of groups takes minutes. RDS refuses it while the cluster is at work on something else, such as an upgrade.
DEADLINE = dt.timedelta(hours=4)


def due_opening(
    plan: ClusterPlan,
    observed: ClusterSeen,
    record: OperationRecord,
    now: dt.datetime,
    expires_after_hours: int | None = None,
) -> RestoreDue:
    """Decide what is due once the users are set up. Calls nothing. Raises StepFailed for what must not be opened."""
    cluster = observed.cluster
    if record.users_ready_at is None:
        raise StepFailed(
            f"The users are not set up, so cluster {plan.identifier} stays behind its door. Check the steps before "
            "this one, then resume this operation."
        )
    refuse_unmasked(record)
    if cluster is None:
        return unseen_cluster(plan, record.cluster_resource_id or plan.identifier, record, now)
    prove_own_cluster(cluster, record)
    refuse_renamed(plan, cluster, observed.region)
    refuse_broken(plan, cluster, observed, record)
    instances = {each.identifier: each for each in observed.instances}
    missing = [each.identifier for each in plan.instances if each.identifier not in instances]
    if lost := [each for each in missing if is_gone(record, each, now)]:
        raise StepFailed(
            f"Cluster {plan.identifier} has lost {', '.join(lost)}. Find out who deleted it (CloudTrail, "
            "DeleteDBInstance), then resume this operation, which creates it again."
        )
    if missing:
        return replace(wait(cluster, f"{', '.join(missing)}, which RDS does not show"), unseen=missing)
    # The groups become active also while RDS does something else to the cluster.
    not_yet = until_up(plan, cluster, instances) if record.door_opening_at is None else None
    return (
        not_yet
        or _until_open(plan, cluster, observed.instances, record)
        or _until_expiry(cluster, record, expires_after_hours)
        or _until_data_api(plan, cluster, record, now)
        or RestoreDue(
            action=RestoreAction.NOTHING, waiting_for="nothing", cluster=cluster, instances=observed.instances
        )
    )


def _until_open(
    plan: ClusterPlan, cluster: Cluster, instances: list[Instance], record: OperationRecord
) -> RestoreDue | None:
    """Return the opening that is due, or what it waits for; None once the cluster is open.

    Who has been let in once it is open is its owner's to say: it is not opened a second time.
    """
    if record.door_open_at is not None:
        return _until_pipeline_left(plan, cluster, instances)
    wanted = plan.vpc_security_group_ids
    if not cluster.security_groups.are_to_be(wanted):
        return _due_groups(cluster, wanted)
    members: list[Cluster | Instance] = [cluster, *instances]
    unsettled = [
        f"{each.identifier} ({', '.join(each.security_groups.unsettled or each.security_groups.ids)})"
        for each in members
        if not each.security_groups.are(wanted)
    ]
    if unsettled:
        return wait(cluster, f"the security groups of {', '.join(unsettled)}")
    return RestoreDue(action=RestoreAction.RECORD_OPEN_DOOR, waiting_for="the door", cluster=cluster)


def _until_pipeline_left(plan: ClusterPlan, cluster: Cluster, instances: list[Instance]) -> RestoreDue | None:
    """Return the change that takes the door's group away, or what it waits for; None where neither is due.

    The pipeline was let into an open cluster again, to set up users once more. A cluster that is in the door's group
    alone was shut by somebody since, and stays so.
    """
    door = plan.door_security_group_id
    others = beside_the_door(cluster, door)
    if others and door in cluster.security_groups.staying:
        return _due_groups(cluster, others)
    members: list[Cluster | Instance] = [cluster, *instances]
    still_in = [each.identifier for each in members if door in each.security_groups.ids]
    return wait(cluster, f"security group {door} to leave {', '.join(still_in)}") if others and still_in else None


def _until_expiry(cluster: Cluster, record: OperationRecord, expires_after_hours: int | None) -> RestoreDue | None:
    """Return that the cluster's expiry is to be set; None where it is, or the cluster never expires."""
    if not expires_after_hours or record.cluster_expires_at is not None:
        return None
    return RestoreDue(action=RestoreAction.SET_EXPIRY, waiting_for="the expiry", cluster=cluster)


def _due_groups(cluster: Cluster, groups: list[str]) -> RestoreDue:
    return RestoreDue(
        action=RestoreAction.OPEN_DOOR, waiting_for=f"security groups {', '.join(groups)}", cluster=cluster
    )


def _until_data_api(
    plan: ClusterPlan, cluster: Cluster, record: OperationRecord, now: dt.datetime
) -> RestoreDue | None:
    """Return the call that switches the Data API on, or the wait for it; None when neither is due.

    It is requested once. If it does not show even then, that is reported at the end.
    """
    if not plan.data_api or cluster.settings.value("data_api"):
        return None
    if record.data_api_enabled_at is None:
        return RestoreDue(action=RestoreAction.ENABLE_DATA_API, waiting_for="the Data API", cluster=cluster)
    return wait(cluster, "the Data API") if is_recent(record.data_api_enabled_at, now) else None


def advance(
    plan: ClusterPlan,
    aurora: Aurora,
    state: OperationState,
    record: OperationRecord,
    expires_after_hours: int | None = None,
) -> tuple[RestoreDue, OperationRecord]:
    """Take what is due. Return what there is to wait for, and the record with what was recorded on the way.

    What there is to wait for is NOTHING once it is open and as planned.
    """
    if (not_yet := _until_members(plan, aurora, record)) is not None:
        return not_yet, record
    observed, now = observe(plan, aurora, record, state.now), state.now
    due = due_opening(plan, observed, record, now, expires_after_hours)
    note_unseen(due, state, record)
    if due.action is RestoreAction.RECORD_OPEN_DOOR:
        state.audit("door", "open", _groups(plan))
        durations = took(record, now, {"open-door": record.door_opening_at})
        state.remember(door_open_at=iso(now), took=durations)
        record = replace(record, door_open_at=iso(now), took=durations)
        due = due_opening(plan, observed, record, now, expires_after_hours)
    if due.action is RestoreAction.SET_EXPIRY and due.cluster is not None and expires_after_hours:
        record = _set_expiry(due.cluster, expires_after_hours, aurora, state, record)
        due = due_opening(plan, observed, record, now, expires_after_hours)
    try:
        if due.action is RestoreAction.OPEN_DOOR and due.cluster is not None:
            _open(plan, due.cluster, aurora, state, record)
        elif due.action is RestoreAction.ENABLE_DATA_API and due.cluster is not None:
            aurora.enable_data_api(due.cluster)
            state.remember(data_api_enabled_at=iso(now))
    except ClusterBusy as busy:
        return replace(due, waiting_for=one_line(str(busy), MAX_SENTENCE)), record
    if due.action is RestoreAction.NOTHING and due.cluster is not None:
        return _report(plan, due, due.cluster, aurora, state, record)
    return due, record


def _until_members(plan: ClusterPlan, aurora: AuroraReader, record: OperationRecord) -> RestoreDue | None:
    """Return the wait for the members' groups after the call that opens; None where there is more to be seen than that.

    The members follow their cluster, which is looked at again before the door counts as open.
    """
    if record.door_opening_at is None or record.door_open_at is not None:
        return None
    wanted, members = plan.vpc_security_group_ids, aurora.instances_of(plan.identifier)
    are_all_there = {each.identifier for each in plan.instances} <= {each.identifier for each in members}
    unsettled = [each for each in members if not each.security_groups.are(wanted)]
    if not are_all_there or not unsettled:
        return None
    if not all(each.is_up and each.security_groups.are_to_be(wanted) for each in members):
        return None
    groups = ", ".join(f"{each.identifier} ({', '.join(each.security_groups.unsettled)})" for each in unsettled)
    return RestoreDue(action=RestoreAction.WAIT, waiting_for=f"the security groups of {groups}")


def _set_expiry(
    cluster: Cluster, hours: int, aurora: Aurora, state: OperationState, record: OperationRecord
) -> OperationRecord:
    """Register the cluster's expiry, tag the cluster with it, and record it. Repeated, it sets the same moment.

    It counts from the opening of the door. The record comes last: without it no cluster expires.
    """
    opened = dt.datetime.fromisoformat(record.door_open_at or iso(state.now))
    expires_at = expiry_text(opened + dt.timedelta(hours=hours))
    ExpiryRegister().add(
        ExpiringCluster(
            resource_id=cluster.resource_id,
            cluster_identifier=cluster.identifier,
            operation_id=state.operation_id,
            hours=hours,
        )
    )
    if EXPIRY_TAG not in cluster.tags:
        aurora.tag_expiry(cluster, expires_at)
    state.audit("expiry", "set", {"cluster": cluster.arn, "expires_at": expires_at})
    state.remember(cluster_expires_at=expires_at)
    return replace(record, cluster_expires_at=expires_at)


def _report(
    plan: ClusterPlan,
    due: RestoreDue,
    cluster: Cluster,
    aurora: AuroraReader,
    state: OperationState,
    record: OperationRecord,
) -> tuple[RestoreDue, OperationRecord]:
    """Record where RDS reports other settings than were asked for, and which changes its events call failed."""
    found = settled_differences(plan, due, cluster, aurora, record, record.door_open_at, state.now)
    if isinstance(found, RestoreDue):
        return found, record
    durations = took(record, state.now, {"enable-data-api": _seen_enabled(cluster, record)})
    if (found, durations) != (record.differences, record.took):
        state.remember(differences=found, took=durations)
    return due, replace(record, differences=found, took=durations)


def _open(plan: ClusterPlan, cluster: Cluster, aurora: Aurora, state: OperationState, record: OperationRecord) -> None:
    """Open the door. From before the call on the cluster may be open, even if the call's answer is lost."""
    if record.door_opening_at is None:
        state.audit("door", "opening", _groups(plan))
        state.remember(door_opening_at=iso(state.now))
    others = beside_the_door(cluster, plan.door_security_group_id)
    aurora.change_security_groups(plan, plan.vpc_security_group_ids if record.door_open_at is None else others)


def _seen_enabled(cluster: Cluster, record: OperationRecord) -> str | None:
    """Return when the Data API was requested; None where it never showed."""
    return record.data_api_enabled_at if cluster.settings.value("data_api") else None


def _groups(plan: ClusterPlan) -> dict[str, object]:
    return {"cluster": plan.identifier, "from": [plan.door_security_group_id], "to": plan.vpc_security_group_ids}


def after_opening(
    plan: ClusterPlan,
    due: RestoreDue,
    record: OperationRecord,
    now: dt.datetime,
    pace: Pace,
) -> Opening:
    """Return what Open Cluster answers. Raises StepFailed once the deadline has passed."""
    if due.action is RestoreAction.NOTHING:
        return Opening(
            answer="done",
            waiting_for="",
            wait_seconds=0,
            open_since=record.door_open_at,
            differences=record.differences,
        )
    if now - record.entered("open-cluster") >= DEADLINE:
        hours = round(DEADLINE.total_seconds() / 3600)
        raise StepFailed(
            f"After {hours} hours the opening of cluster {plan.identifier} still waits for {due.waiting_for}. "
            "Look at the cluster's events in RDS, then resume this operation."
        )
    phase, since = _working_on(due.action, record, now)
    bounded = pace.until(record.entered("open-cluster"), round(DEADLINE.total_seconds() / 3600))
    return Opening(
        answer="wait",
        waiting_for=due.waiting_for,
        wait_seconds=pause_of(due, bounded, phase, since, now),
        open_since=record.door_open_at,
        expected_end=pace.expected_end(phase, since, now),
    )


def _working_on(action: RestoreAction, record: OperationRecord, now: dt.datetime) -> tuple[str, dt.datetime]:
    """Return what AWS works on, and since when: what this call has requested, or what the record says was requested."""
    if action in (RestoreAction.OPEN_DOOR, RestoreAction.ENABLE_DATA_API):
        return action.label, now
    requested = {
        RestoreAction.ENABLE_DATA_API.label: record.data_api_enabled_at,
        RestoreAction.OPEN_DOOR.label: record.door_opening_at if record.door_open_at is None else None,
    }
    for phase, moment in requested.items():
        if (since := record.seen(moment)) is not None:
            return phase, since
    return RestoreAction.WAIT.label, record.entered("open-cluster")
