"""A restore, as a series of actions of which one at a time is due.

RDS creates a cluster without instances and without a password of ours, and each of these takes minutes. So the state
machine alternates: one step takes the action that is due, the other observes and says when the next one is. Both ask
the same question here, and what answers it is only what exists: a step that died is simply asked again.
"""

from __future__ import annotations

import datetime as dt
from enum import Enum
from typing import Literal

from msgspec import Struct

from utils.aurora_settings import MasterSecret
from utils.aurora_shapes import Cluster, Instance
from utils.aurora_utils import Aurora
from utils.differences import differences, later_differences, unsafe_differences
from utils.errors import StepFailed
from utils.payloads import RestoreProgress
from utils.plans import ClusterPlan, PlannedInstance
from utils.state import OperationRecord
from utils.waiting import seconds_to_wait

# Statuses repeat themselves while a cluster settles: two observations in a row have to agree that nothing is left.
SETTLED_CHECKS = 2
# How long a setting that was changed may take to show. Nothing can be done about one that never does but to tell.
PATIENCE = dt.timedelta(minutes=15)


class Action(Enum):
    """What is due next, with the pause after it in units of the stack's PollSeconds: none of these ends sooner."""

    CREATE_CLUSTER = ("create-cluster", 4)
    CREATE_WRITER = ("create-writer", 4)
    CREATE_READERS = ("create-readers", 4)
    RESET_MASTER_PASSWORD = ("reset-master-password", 1)
    MANAGE_MASTER_PASSWORD = ("manage-master-password", 1)
    CHANGE_SETTINGS = ("change-settings", 1)
    ENABLE_DATA_API = ("enable-data-api", 1)
    WAIT = ("wait", 1)
    NOTHING = ("nothing", 1)

    @property
    def label(self) -> str:
        return self.value[0]

    @property
    def first_pause_units(self) -> int:
        return self.value[1]


class Situation(Struct, frozen=True, kw_only=True):
    """Which action is due, and what is being waited for, in words for a person."""

    due: Action
    waiting_for: str
    cluster: Cluster | None = None
    instances: list[Instance] = []
    missing_instances: list[PlannedInstance] = []


def assess(plan: ClusterPlan, aurora: Aurora, record: OperationRecord, now: dt.datetime) -> Situation:
    """Observe the cluster and its instances and say what is due. Raises StepFailed for what can never become usable."""
    cluster = aurora.cluster(plan.identifier)
    if cluster is None:
        if record.cluster_resource_id is not None:
            raise StepFailed(
                f"Cluster {plan.identifier} ({record.cluster_resource_id}), which this operation made, was deleted by "
                "somebody else. Find out who deleted it (CloudTrail, DeleteDBCluster), then start again."
            )
        return Situation(due=Action.CREATE_CLUSTER, waiting_for="the cluster")
    prove_ownership(cluster, record)
    if cluster.is_broken:
        raise StepFailed(
            f"Cluster {plan.identifier} is {cluster.status} and won't become available. Look at its events: "
            f"aws rds describe-events --source-type db-cluster --source-identifier {plan.identifier} "
            f"--duration 1440 --region {aurora.region}"
        )
    waiting = Situation(due=Action.WAIT, waiting_for=f"cluster {plan.identifier} ({cluster.status})", cluster=cluster)
    if not cluster.is_available:
        return waiting
    instances = {each.identifier: each for each in aurora.instances_of(plan.identifier)}
    return (
        _assess_instances(plan, cluster, instances, aurora.region)
        or _assess_login(plan, cluster, record)
        or _assess_later_settings(plan, cluster, record, now)
        or _assess_rest(plan, cluster, instances)
    )


def _assess_instances(
    plan: ClusterPlan, cluster: Cluster, instances: dict[str, Instance], region: str
) -> Situation | None:
    for due, wanted in ((Action.CREATE_WRITER, plan.instances[:1]), (Action.CREATE_READERS, plan.instances[1:])):
        missing = [each for each in wanted if each.identifier not in instances]
        if missing:
            names = ", ".join(each.identifier for each in missing)
            return Situation(due=due, waiting_for=names, cluster=cluster, missing_instances=missing)
        for name in (each.identifier for each in wanted):
            instance = instances[name]
            if instance.is_broken:
                raise StepFailed(
                    f"Instance {name} is {instance.status} and won't become available. Look at its events: "
                    f"aws rds describe-events --source-type db-instance --source-identifier {name} "
                    f"--duration 1440 --region {region}"
                )
            if not instance.is_usable:
                return Situation(due=Action.WAIT, waiting_for=f"instance {name} ({instance.status})", cluster=cluster)
    unsafe = unsafe_differences(plan, cluster, list(instances.values()))
    if unsafe:
        raise StepFailed(
            f"Nobody is let in to cluster {plan.identifier}, which isn't what was asked for: {'; '.join(unsafe)}. "
            "Find out who changed it (CloudTrail), then start again."
        )
    return None


def _assess_login(plan: ClusterPlan, cluster: Cluster, record: OperationRecord) -> Situation | None:
    """Until somebody keeps a master password that isn't production's."""
    managed = plan.master_login == "rds_managed"
    if record.password_reset_at is None:
        due = Action.MANAGE_MASTER_PASSWORD if managed else Action.RESET_MASTER_PASSWORD
        return Situation(due=due, waiting_for="the master password", cluster=cluster)
    if cluster.password_change_pending:
        return Situation(due=Action.WAIT, waiting_for="the master password", cluster=cluster)
    if not managed:
        return None
    secret = managed_secret(cluster, record)
    if secret is not None and secret.is_broken:
        raise StepFailed(
            f"The secret {secret.arn}, in which RDS keeps the master login of {plan.identifier}, is {secret.status}. "
            "Look at its key's policy, then start again."
        )
    if secret is None or not secret.is_ready:
        status = secret.status if secret else "not there yet"
        return Situation(due=Action.WAIT, waiting_for=f"the master login's secret ({status})", cluster=cluster)
    return None


def managed_secret(cluster: Cluster, record: OperationRecord) -> MasterSecret | None:
    """The secret that RDS made for this cluster. What the cluster brought along from its source is not ours."""
    secret = cluster.master_secret
    return secret if secret is not None and secret.arn != record.inherited_secret_arn else None


def _assess_later_settings(
    plan: ClusterPlan, cluster: Cluster, record: OperationRecord, now: dt.datetime
) -> Situation | None:
    """Each is asked for once, where RDS has it otherwise. What doesn't show even then is told at the end."""
    if later_differences(plan, cluster):
        if record.settings_changed_at is None:
            return Situation(due=Action.CHANGE_SETTINGS, waiting_for="the cluster's settings", cluster=cluster)
        if _is_recent(record.settings_changed_at, now):
            return Situation(due=Action.WAIT, waiting_for="the cluster's settings", cluster=cluster)
    if plan.data_api and not cluster.settings.data_api:
        if record.data_api_enabled_at is None:
            return Situation(due=Action.ENABLE_DATA_API, waiting_for="the Data API", cluster=cluster)
        if _is_recent(record.data_api_enabled_at, now):
            return Situation(due=Action.WAIT, waiting_for="the Data API", cluster=cluster)
    return None


def _is_recent(moment: str, now: dt.datetime) -> bool:
    return now - dt.datetime.fromisoformat(moment) < PATIENCE


def _assess_rest(plan: ClusterPlan, cluster: Cluster, instances: dict[str, Instance]) -> Situation:
    names = [each.identifier for each in plan.instances]
    settling = [f"{name} ({instances[name].status})" for name in names if not instances[name].is_available]
    if settling:
        return Situation(due=Action.WAIT, waiting_for=", ".join(settling), cluster=cluster)
    return Situation(
        due=Action.NOTHING,
        waiting_for="everything to settle",
        cluster=cluster,
        instances=list(instances.values()),
    )


def prove_ownership(cluster: Cluster, record: OperationRecord) -> None:
    """By our tag and by the resource id recorded at its creation: a name alone proves nothing.

    The id is missing only when the step that created the cluster died before it could write it down.
    """
    same = record.cluster_resource_id in (None, cluster.resource_id)
    if not same or not cluster.belongs_to(record.operation_id):
        raise StepFailed(
            f"Cluster {cluster.identifier} ({cluster.resource_id}) isn't the one that operation {record.operation_id} "
            f"made ({record.cluster_resource_id or 'none recorded'}). It was left alone. "
            "Find out who made it, then start again with another target_cluster_id."
        )


def after_action(situation: Situation, record: OperationRecord, now: dt.datetime, unit: int) -> RestoreProgress:
    """What Restore Snapshot hands to the wait behind it."""
    return RestoreProgress(
        answer="wait",
        action=situation.due.label,
        waiting_for=situation.waiting_for,
        started_at=dt.datetime.fromisoformat(record.step_times["restore-snapshot"]),
        action_at=now,
        settled_checks=0,
        wait_seconds=situation.due.first_pause_units * unit,
    )


class Outcome(Struct, frozen=True, kw_only=True):
    """What a finished restore leaves to the steps behind it."""

    differences: list[str]
    master_secret_arn: str | None


def outcome_of(plan: ClusterPlan, situation: Situation, record: OperationRecord, region: str) -> Outcome:
    cluster = situation.cluster
    if cluster is None:
        return Outcome(differences=[], master_secret_arn=None)
    secret = managed_secret(cluster, record) if plan.master_login == "rds_managed" else None
    return Outcome(
        differences=differences(plan, cluster, situation.instances, region),
        master_secret_arn=secret.arn if secret else None,
    )


def after_check(
    situation: Situation, before: RestoreProgress, now: dt.datetime, unit: int, deadline_hours: int
) -> RestoreProgress:
    """What Check Restore Status answers: advance, wait or done. Raises StepFailed once the deadline has passed."""
    answer: Literal["advance", "wait", "done"]
    settled = before.settled_checks + 1 if situation.due is Action.NOTHING else 0
    elapsed = (now - before.action_at).total_seconds()
    if settled >= SETTLED_CHECKS:
        answer = "done"
    elif situation.due not in (Action.WAIT, Action.NOTHING):
        answer = "advance"
    else:
        answer = "wait"
    if answer != "done" and now - before.started_at >= dt.timedelta(hours=deadline_hours):
        raise StepFailed(
            f"After {deadline_hours} hours the restore still waits for {situation.waiting_for}. "
            "Look at the cluster's events in RDS; raise the stack's RestoreDeadlineHours if it is only slow."
        )
    return RestoreProgress(
        answer=answer,
        action=before.action,
        waiting_for=situation.waiting_for,
        started_at=before.started_at,
        action_at=before.action_at,
        settled_checks=settled,
        wait_seconds=unit if settled else seconds_to_wait(elapsed, unit),
    )
