"""A restore, as a series of actions of which one at a time is due.

RDS creates a cluster without instances and without a password of ours, and each of these takes minutes. So the state
machine alternates: one step takes the action that is due, the other observes and says when the next one is. Both ask
the same question here, `due_action`, and what answers it is only what exists: a step that died is simply run again.
"""

from __future__ import annotations

import datetime as dt
from enum import Enum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from utils.aurora_utils import AuroraReader
from utils.aurora_utils.door import admits_pipeline, beside_the_door
from utils.aurora_utils.ownership import prove_own_cluster
from utils.aurora_utils.reported_settings import MOST_SECURITY_GROUPS, MasterSecret
from utils.aurora_utils.resources import STOPPED, Cluster, Instance
from utils.contracts.payloads import Answer, RestoreProgress
from utils.contracts.plan import ClusterPlan, PlannedInstance
from utils.errors import CapacityShortage, StepFailed
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.state.operation import OperationRecord, OperationState
from utils.state.unseen import PAUSE_SECONDS, is_gone, note_looks
from utils.steps.differences import unsafe_differences, writer_differs
from utils.steps.pace import Pace, announcement, reported_failure, since_seen, took

# How long a change may take to show. One that never does can only be reported.
PATIENCE = dt.timedelta(minutes=15)
# Its cluster has unmasked data, and nobody may come to resume it.
_NOTHING_IS_KEPT = (
    "A drill keeps nothing for that: start it again later, or with another class, or with alternative_instance_classes."
)
# In units: capacity comes back when somebody else gives some up, which is nothing to ask about every minute.
PAUSE_FOR_ROOM = 5


class Action(Enum):
    """What is due next. What AWS works on for minutes after it is the phase of the same name."""

    CREATE_CLUSTER = "create-cluster"
    MODIFY_CLUSTER = "modify-cluster"
    CREATE_INSTANCES = "create-instances"
    CHANGE_WRITER = "change-writer"
    SET_UP_USERS = "set-up-users"
    ADMIT_PIPELINE = "admit-pipeline"
    OPEN_DOOR = "open-door"
    RECORD_OPEN_DOOR = "record-open-door"
    SET_EXPIRY = "set-expiry"
    ENABLE_DATA_API = "enable-data-api"
    WAIT = "wait"
    NOTHING = "nothing"

    @property
    def label(self) -> str:
        """Return the action's name as the progress shows it."""
        return self.value


class Observed(Struct, frozen=True, kw_only=True):
    """What exists of the plan's cluster at one moment, as RDS describes it, and what its events say has failed."""

    region: str
    cluster: Cluster | None = None
    instances: list[Instance] = []
    failures: list[str] = []


class Situation(Struct, frozen=True, kw_only=True):
    """Which action is due, and what is being waited for, in words for a person.

    `creating`: the instances that are waited for, if it is these alone. `unseen` is what is there by the record and RDS
    did not show: it is looked for again a minute later.
    """

    due: Action
    waiting_for: str
    cluster: Cluster | None = None
    instances: list[Instance] = []
    missing_instances: list[PlannedInstance] = []
    creating: list[str] = []
    unseen: list[str] = []
    all_up: bool = False


def assess(
    plan: ClusterPlan, aurora: AuroraReader, record: OperationRecord, now: dt.datetime, *, are_requested: bool = True
) -> Situation:
    """Observe the cluster and its instances and say what is due. Raises StepFailed for what can never become usable.

    `are_requested`: RDS has taken the request for the instances, which are looked at first then. Nothing is let in
    before they are up, so the cluster is not looked at until then.
    """
    not_up = _until_instances(plan, aurora.instances_of(plan.identifier), record) if are_requested else None
    if not_up is not None:
        return not_up
    observed = observe(plan, aurora, record, now, are_requested=are_requested)
    cluster = observed.cluster
    if cluster is not None and (cluster.is_broken or any(each.is_broken for each in observed.instances)):
        # A drill's cluster is deleted before anybody can look.
        failures = aurora.reported_failures(cluster, record.entered("snapshot-check"))
        observed = replace(observed, failures=failures)
    return due_action(plan, observed, record, now)


def observe(
    plan: ClusterPlan, aurora: AuroraReader, record: OperationRecord, now: dt.datetime, *, are_requested: bool = True
) -> Observed:
    """Ask RDS what exists under the plan's name. Before a cluster counts as gone, ask for its resource id as well.

    Instances are not looked for before they can have been requested. A cluster lists its members, so that one that
    lists none has none while it is being changed.
    """
    cluster, known = aurora.cluster(plan.identifier), record.cluster_resource_id
    if cluster is None and known is not None and is_gone(record, known, now):
        cluster = aurora.cluster_with_id(known)
    if cluster is None or cluster.is_being_created:
        return Observed(region=aurora.region, cluster=cluster)
    may_exist = are_requested and record.password_reset_at is not None and cluster.is_available
    instances = aurora.instances_of(plan.identifier) if cluster.member_identifiers or may_exist else []
    return Observed(region=aurora.region, cluster=cluster, instances=instances)


def _until_instances(plan: ClusterPlan, found: list[Instance], record: OperationRecord) -> Situation | None:
    """Return the wait for instances that are all being created; None where there is more to be seen than that.

    Until the users are set up one of them is enough, and all of them afterwards.
    """
    instances = {each.identifier: each for each in found}
    planned = [instances[each.identifier] for each in plan.instances if each.identifier in instances]
    creating = [each for each in planned if each.status == "creating"]
    enough = len(planned) == len(plan.instances) and all(each.is_up or each in creating for each in found)
    if not enough or not creating or (record.users is None and len(creating) < len(planned)):
        return None
    busy = ", ".join(f"instance {each.identifier} ({each.status})" for each in creating)
    return Situation(due=Action.WAIT, waiting_for=busy, creating=[each.identifier for each in creating])


def due_action(plan: ClusterPlan, observed: Observed, record: OperationRecord, now: dt.datetime) -> Situation:
    """Decide what is due from what exists and what was asked for already, until the door may open. Calls nothing.

    The order is that of AWS's own CloudFormation handler: the cluster; one change of it while it has no instance, which
    also replaces production's master password; then its instances. The users are due as soon as the writer is usable
    and the new password in force: readers may still be created then. Raises StepFailed for what can never become
    usable.
    """
    cluster = observed.cluster
    if cluster is None:
        if record.cluster_resource_id is not None:
            return unseen_cluster(plan, record.cluster_resource_id, record, now)
        return Situation(due=Action.CREATE_CLUSTER, waiting_for="the cluster")
    prove_own_cluster(cluster, record)
    refuse_renamed(plan, cluster, observed.region)
    refuse_broken(plan, cluster, observed, record)
    if record.password_reset_at is None:
        if not cluster.is_available:
            return wait(cluster, f"cluster {plan.identifier} ({cluster.status})")
        return Situation(due=Action.MODIFY_CLUSTER, waiting_for="the cluster's own settings", cluster=cluster)
    instances = {each.identifier: each for each in observed.instances}
    missing = [each for each in plan.instances if each.identifier not in instances]
    if missing:
        names = ", ".join(each.identifier for each in missing)
        if not cluster.is_available:
            # They were requested right after the change, and RDS has refused that while it modifies the cluster.
            return wait(cluster, f"cluster {plan.identifier} ({cluster.status})")
        return Situation(due=Action.CREATE_INSTANCES, waiting_for=names, cluster=cluster, missing_instances=missing)
    not_up = until_up(plan, cluster, instances)
    if record.users is None:
        return (
            _until_led(plan, cluster, instances, record, now)
            or _until_login(plan, cluster, record)
            or _until_admitted(plan, cluster, instances, record, observed.region)
            or Situation(due=Action.SET_UP_USERS, waiting_for="the users", cluster=cluster, all_up=not_up is None)
        )
    return not_up or Situation(
        due=Action.NOTHING, waiting_for="nothing", cluster=cluster, instances=observed.instances, all_up=True
    )


def wait(cluster: Cluster, waiting_for: str) -> Situation:
    """Return that no action is due, and what is waited for."""
    return Situation(due=Action.WAIT, waiting_for=waiting_for, cluster=cluster)


def unseen_cluster(plan: ClusterPlan, resource_id: str, record: OperationRecord, now: dt.datetime) -> Situation:
    """Return the wait for a second look at a cluster that RDS does not show. Raises StepFailed once it is gone."""
    name = f"{plan.identifier} ({resource_id})"
    if is_gone(record, resource_id, now):
        raise StepFailed(
            f"Cluster {name}, which this operation made, was deleted by somebody else: RDS has shown it under no name "
            f"since {record.unseen[resource_id]}. Find out who deleted it (CloudTrail, DeleteDBCluster), then start "
            "again."
        )
    return Situation(due=Action.WAIT, waiting_for=f"cluster {name}, which RDS does not show", unseen=[resource_id])


def refuse_renamed(plan: ClusterPlan, cluster: Cluster, region: str) -> None:
    """Raise StepFailed where somebody has renamed the cluster: the calls that are due would not reach it."""
    if cluster.identifier != plan.identifier:
        raise StepFailed(
            f"Cluster {plan.identifier} ({cluster.resource_id}), which this operation made, was renamed to "
            f"{cluster.identifier} by somebody else (CloudTrail, ModifyDBCluster). Give it its name back, then resume "
            f"this operation: aws rds modify-db-cluster --db-cluster-identifier {cluster.identifier} "
            f"--new-db-cluster-identifier {plan.identifier} --apply-immediately --region {region}"
        )


def note_unseen(situation: Situation, state: OperationState, record: OperationRecord) -> None:
    """Have recorded what this look has missed, and that it has shown what an earlier one had missed."""
    shown = [each for each in record.unseen if each not in situation.unseen] if situation.cluster is not None else []
    note_looks(state, record, missed=situation.unseen, shown=shown)


def refuse_broken(plan: ClusterPlan, cluster: Cluster, observed: Observed, record: OperationRecord) -> None:
    """Raise StepFailed or CapacityShortage for what can never become usable, or is not safe to be used."""
    said = (
        f"RDS reports: {one_line('; '.join(each.rstrip('.') for each in observed.failures), MAX_SENTENCE)}. "
        if observed.failures
        else ""
    )
    for instance in observed.instances:
        if instance.lacks_capacity and record.is_drill:
            raise StepFailed(
                f"AWS had no capacity for instance {instance.identifier} ({instance.status}). {said}{_NOTHING_IS_KEPT}"
            )
        if instance.lacks_capacity:
            raise CapacityShortage(
                f"AWS had no capacity for instance {instance.identifier} ({instance.status}). What exists is kept. "
                "Delete the instance, then resume this operation, which creates it again: aws rds delete-db-instance "
                f"--db-instance-identifier {instance.identifier} --region {observed.region}"
            )
    # An instance that is being deleted is not broken for good: once it is gone it is missing, and created again.
    staying = [each for each in observed.instances if not each.is_being_deleted]
    found: list[tuple[str, Cluster | Instance]] = [("cluster", cluster), *(("instance", each) for each in staying)]
    for kind, each in found:
        name = each.identifier
        if each.status in STOPPED:
            raise StepFailed(
                f"{kind.capitalize()} {name} was stopped while it was being restored. Find out by whom or by what "
                "(CloudTrail, StopDBCluster), and see to it that nothing stops a cluster that is being restored."
            )
        if each.is_broken:
            raise StepFailed(
                f"{kind.capitalize()} {name} is {each.status} and will not become available. {said}Look at its events: "
                f"aws rds describe-events --source-type db-{kind} --source-identifier {name} "
                f"--duration 1440 --region {observed.region}"
            )
    unsafe = unsafe_differences(plan, cluster, observed.instances, record.recorded_door) if cluster.is_available else []
    if unsafe:
        raise StepFailed(
            f"Nobody is let in to cluster {plan.identifier}, which is not what was asked for: {'; '.join(unsafe)}. "
            "Find out who changed it (CloudTrail), then start again."
        )


def until_up(plan: ClusterPlan, cluster: Cluster, instances: dict[str, Instance]) -> Situation | None:
    """Return what is waited for until the cluster is available and all its instances are created; None once they are.

    What RDS configures right after their creation does not keep the door from opening.
    """
    busy = [
        f"instance {each.identifier} ({instances[each.identifier].status})"
        for each in plan.instances
        if not instances[each.identifier].is_up
    ]
    if busy:
        return wait(cluster, ", ".join(busy))
    return None if cluster.is_available else wait(cluster, f"cluster {plan.identifier} ({cluster.status})")


def _until_login(plan: ClusterPlan, cluster: Cluster, record: OperationRecord) -> Situation | None:
    """Return what is waited for until a master password of the copy's own is in force.

    It is kept by the keeper that the plan names. Production's no longer opens the cluster then.
    """
    if cluster.pending_changes:
        return wait(cluster, f"changes of the cluster ({', '.join(cluster.pending_changes)})")
    if plan.master_login != "rds_managed":
        return None
    secret = managed_secret(cluster, record)
    if secret is not None and secret.is_broken:
        raise StepFailed(
            f"The secret {secret.arn}, in which RDS keeps the master login of {plan.identifier}, is {secret.status}. "
            "Look at its key's policy, then start again."
        )
    if secret is None or not secret.is_ready:
        return wait(cluster, f"the master login's secret ({secret.status if secret else 'not there yet'})")
    return None


def managed_secret(cluster: Cluster, record: OperationRecord) -> MasterSecret | None:
    """Return the secret that RDS created for this cluster, not the one that came with the data from its source."""
    secret = cluster.master_secret
    return secret if secret is not None and secret.arn != record.inherited_secret_arn else None


def _until_led(
    plan: ClusterPlan, cluster: Cluster, instances: dict[str, Instance], record: OperationRecord, now: dt.datetime
) -> Situation | None:
    """Return the wait for a writer that is usable, or the change of the writer; None where the right instance leads.

    The instance that is ready first becomes the writer. It is changed once, and only where that matters.
    """
    differs = writer_differs(plan, cluster)
    writer = plan.instances[0].identifier if differs else cluster.writer_identifier
    found = instances.get(writer or "")
    if found is None:
        return wait(cluster, f"a writer of cluster {plan.identifier}")
    if not found.is_up:
        return wait(cluster, f"instance {found.identifier} ({found.status})")
    if not cluster.is_available:
        return wait(cluster, f"cluster {plan.identifier} ({cluster.status})")
    if not differs:
        return None
    waiting_for = f"{plan.instances[0].identifier} as the writer (it is {cluster.writer_identifier})"
    if record.writer_changed_at is None:
        return Situation(due=Action.CHANGE_WRITER, waiting_for=waiting_for, cluster=cluster)
    return wait(cluster, waiting_for) if is_recent(record.writer_changed_at, now) else None


def _until_admitted(
    plan: ClusterPlan, cluster: Cluster, instances: dict[str, Instance], record: OperationRecord, region: str
) -> Situation | None:
    """Return what lets the pipeline in again, for users that are set up once more; None where that is not due.

    The cluster's door has been opened since. The pipeline is let in beside everybody who is in already: people may rely
    on the cluster then. Opening it again takes the door's group away. Raises StepFailed where there is no room beside
    them.
    """
    if record.users_ready_at is None or record.users is not None:
        return None
    door = plan.door_security_group_id
    if door not in cluster.security_groups.ids:
        _refuse_without_room(plan, cluster, region)
        return Situation(due=Action.ADMIT_PIPELINE, waiting_for=f"security group {door}", cluster=cluster)
    members: list[Cluster | Instance] = [cluster, *instances.values()]
    unsettled = [each.identifier for each in members if not admits_pipeline(each, door)]
    return wait(cluster, f"security group {door} of {', '.join(unsettled)}") if unsettled else None


def _refuse_without_room(plan: ClusterPlan, cluster: Cluster, region: str) -> None:
    """Raise StepFailed where the cluster is in as many groups as RDS allows. Who loses theirs is its owner's to say."""
    groups = beside_the_door(cluster, plan.door_security_group_id)
    if len(groups) < MOST_SECURITY_GROUPS:
        return
    raise StepFailed(
        f"Users of cluster {plan.identifier} are to be set up again, and the pipeline cannot be let in beside "
        f"{', '.join(groups)}: RDS allows {MOST_SECURITY_GROUPS} security groups. Take one away, for example "
        f"{groups[-1]}, resume this operation, and give it back afterwards: aws rds modify-db-cluster "
        f"--db-cluster-identifier {plan.identifier} --vpc-security-group-ids "
        f"{' '.join(groups[: MOST_SECURITY_GROUPS - 1])} --apply-immediately --region {region}"
    )


def until_settled(
    cluster: Cluster, instances: list[Instance], told: list[str], since: str | None, now: dt.datetime
) -> Situation | None:
    """Return the wait for instances that RDS still configures; None where that is over, or nothing differs.

    Right after their creation RDS still configures instances. That is waited for only where something differs, and
    only as long as it may pass: `since` is when they were up.
    """
    settling = [f"{each.identifier} ({each.status})" for each in instances if not each.is_settled]
    may_pass = told and settling and since is not None and is_recent(since, now)
    return wait(cluster, f"{', '.join(settling)} to settle") if may_pass else None


def is_recent(moment: str, now: dt.datetime) -> bool:
    """Return whether the moment is so recent that the change asked for then may still show."""
    return now - dt.datetime.fromisoformat(moment) < PATIENCE


class Refusal(Struct, frozen=True, kw_only=True):
    """Why RDS did not take an action for now, in words for a person. `shortage`: AWS has no room for it."""

    why: str
    shortage: bool = False


def after_action(
    situation: Situation, record: OperationRecord, now: dt.datetime, pace: Pace, refusal: Refusal | None = None
) -> RestoreProgress:
    """Return what Restore Snapshot hands to the wait after it. What was refused for now is due again then."""
    phase, since = _working_on(situation.due, record, now, refusal)
    pause = pause_of(situation, pace, phase, since, now)
    if refusal is not None and refusal.shortage:
        pause = pace.within(PAUSE_FOR_ROOM * pace.unit_seconds, now)
    return RestoreProgress(
        answer="wait",
        action=phase,
        waiting_for=refusal.why if refusal else situation.waiting_for,
        started_at=record.entered("restore-snapshot"),
        action_at=since,
        seen_at=now,
        wait_seconds=pause,
        expected_end=pace.expected_end(phase, since, now),
    )


def pause_of(
    situation: Situation,
    pace: Pace,
    phase: str,
    since: dt.datetime,
    now: dt.datetime,
    event_at: dt.datetime | None = None,
) -> int:
    """Return how many seconds to wait before the next look. `event_at`: when RDS last reported something of it."""
    return PAUSE_SECONDS if situation.unseen else pace.pause(phase, since, now, event_at=event_at)


def _working_on(
    due: Action, record: OperationRecord, now: dt.datetime, refusal: Refusal | None
) -> tuple[str, dt.datetime]:
    """Return what AWS works on after an action, and since when.

    It refuses instances while it sets the master password, and that is waited for then. Where nothing was due, they
    were requested by an earlier call, soon after that password.
    """
    if refusal is None:
        asked = record.seen(record.password_reset_at) if due is Action.WAIT else None
        return (Action.CREATE_INSTANCES.label, asked) if asked else (due.label, now)
    if due is not Action.CREATE_INSTANCES or refusal.shortage:
        return Action.WAIT.label, now
    return Action.MODIFY_CLUSTER.label, record.seen(record.password_reset_at) or now


def with_event(before: RestoreProgress, woken: Any, situation: Situation) -> RestoreProgress:
    """Return the progress with the event of RDS that has ended the wait, if it announces what is waited for.

    A failure may show in a status later than in an event. It is remembered apart from what announces an end.
    One that came before the last look is known: no wait stands between that and the first look at all the instances.
    """
    event_at = announcement(woken, before.action, before.seen_at or before.action_at, situation.creating)
    failure_at = reported_failure(woken, before.seen_at or before.action_at)
    return replace(before, event_at=event_at or before.event_at, failure_at=failure_at or before.failure_at)


def _last_heard(before: RestoreProgress) -> dt.datetime | None:
    return max((each for each in (before.event_at, before.failure_at) if each is not None), default=None)


def durations_seen(
    situation: Situation, before: RestoreProgress, record: OperationRecord, now: dt.datetime
) -> dict[str, float]:
    """Return how long phases took, with the one that has ended: unless it is waited for, or has to be repeated.

    That readers exist, which is the last that is waited for, says nothing new: the writer has been there since.
    """
    if _goes_on(situation, before):
        return record.took
    paused = since_seen(before.seen_at, before.wait_seconds, now)
    return took(record, now, {before.action: before.action_at}, paused)


def announced_ends(
    situation: Situation, before: RestoreProgress, record: OperationRecord, now: dt.datetime, pace: Pace
) -> list[str]:
    """Return the phases whose end an event of RDS has announced, with the one that has ended."""
    if _goes_on(situation, before):
        return record.announced
    return pace.announced_with(before.action, before.event_at, now, record.announced)


def _goes_on(situation: Situation, before: RestoreProgress) -> bool:
    return situation.due in (Action.WAIT, Action.NOTHING) or situation.due.label == before.action


def note_seen(look: RestoreProgress | None, state: OperationState, record: OperationRecord) -> None:
    """Have recorded, with the next write, how long phases took that the look before this step has seen end."""
    if look is not None and (durations := record.took | look.took) != record.took:
        state.note(took=durations, announced=look.announced, expected_end=look.expected_end)


def after_check(
    situation: Situation,
    before: RestoreProgress,
    now: dt.datetime,
    pace: Pace,
    deadline_hours: int,
    shortage: str | None = None,
    *,
    is_drill: bool = False,
) -> RestoreProgress:
    """Return what Check Restore Status answers: advance, wait or done.

    Once the deadline has passed it raises CapacityShortage where AWS lacked capacity on the way (`shortage`), even if
    there is some again, and StepFailed otherwise. In a drill it is always StepFailed, after which nothing is kept.
    """
    answers: dict[Action, Answer] = {Action.SET_UP_USERS: "done", Action.NOTHING: "done", Action.WAIT: "wait"}
    answer = answers.get(situation.due, "advance")
    if answer != "done" and now - before.started_at >= dt.timedelta(hours=deadline_hours):
        if shortage and is_drill:
            raise StepFailed(
                f"After {deadline_hours} hours the restore is not done, for lack of {shortage}. {_NOTHING_IS_KEPT}"
            )
        if shortage:
            raise CapacityShortage(
                f"After {deadline_hours} hours the restore is not done, for lack of {shortage}. What exists is kept. "
                "Resume this operation later, or start again with another class or other zones."
            )
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
        wait_seconds=pause_of(situation, pace, before.action, before.action_at, now, _last_heard(before)),
        event_at=before.event_at if answer == "wait" else None,
        failure_at=before.failure_at if answer == "wait" else None,
        seen_at=now,
        all_up=situation.all_up,
        expected_end=pace.expected_end(before.action, before.action_at, now),
    )
