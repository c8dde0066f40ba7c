"""Resuming an operation whose execution has ended: when that is allowed, and what is done already.

What the operation has created is proved by each step itself, as always: by tag and recorded id. Here it is only decided
which of it still counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from utils.arns import Arn, state_machine_of
from utils.aurora_utils import AuroraReader
from utils.aurora_utils.exports import Exports, renewed
from utils.aurora_utils.ownership import is_recorded_cluster, owns_cluster, owns_snapshot
from utils.aurora_utils.resources import Cluster, Snapshot
from utils.aurora_utils.source_account import Source, open_source
from utils.contracts.payloads import Execution
from utils.contracts.plan import Plan, ReplacedCluster, RolledBack, SnapshotExport, SourceDeletion
from utils.contracts.route import RouteStep, SnapshotCopy, StepName
from utils.contracts.stack_limits import StackLimits
from utils.errors import RequestRefused
from utils.logins.masking_salt import is_salt_lost, salt_secret_name
from utils.operation.finishing import is_finishing
from utils.operation.resumed_request import other_wishes
from utils.preflight.creation import creation_problems
from utils.preflight.export import destination_problems
from utils.preflight.kept import busy_problems, kept_problems, unmasked_problems
from utils.preflight.limits import deletion_limit_problems, planned_limit_problems
from utils.preflight.masking import resumed_masking_problems
from utils.preflight.quarantine import quarantine_problems
from utils.preflight.secrets import secret_problems
from utils.preflight.tle_hooks import tle_hook_problems
from utils.request.corrections import START_ANEW, TAKE_ANOTHER
from utils.request.fields import RestoreRequest
from utils.request.reading import refuse_if_any
from utils.state.executions import are_of_one_machine, has_ended
from utils.state.operation import NO_CLUSTER, OperationRecord
from utils.state.restored import restored_cluster


class Resumption(Struct, frozen=True, kw_only=True):
    """The operation's own plan, with what is done in `plan.resumed`; `facts` to record, or to forget, with it."""

    plan: Plan
    facts: dict[str, Any]


def resume(
    request: RestoreRequest,
    given: Mapping[str, Any],
    record: OperationRecord,
    execution: Execution,
    limits: StackLimits,
) -> Resumption:
    """Return what is left to do, or raise RequestRefused. `given` is what the request says itself. Changes nothing."""
    _refuse_unless_ended(record, execution)
    plan = _recorded_plan(record)
    refuse_if_any(other_wishes(request, given, record, plan))
    target = AuroraReader(Arn.parse(execution.execution_id).region)
    if record.is_swapping:
        # Nothing else counts before that: names are between two clusters, and clients may be locked out.
        resumed = [f"{record.operation_id} of {record.started_at} is resumed to finish its swap"]
        return Resumption(plan=replace(plan, finishes_swap=True, resumed=resumed), facts={})
    if record.is_drill_ended:
        # The drill is over: what it has left must not cost money until somebody has time for it.
        resumed = [f"{record.operation_id} of {record.started_at} is resumed to delete what the drill has left"]
        # Messages and evidence continue to name the step in which the drill has ended.
        facts = {"state": record.drill_ended_by["step"]}
        return Resumption(plan=replace(plan, finishes_drill=True, resumed=resumed), facts=facts)
    if plan.rolls_back is not None:
        return _rollback_again(plan, plan.rolls_back, record, target, execution, limits)
    plan = _after_swap(plan, record)
    facts = _outdated_facts(record, plan, target, execution)
    made = replace(record, **facts)
    copy_needed = plan.copy is not None and made.cluster_resource_id is None
    refuse_if_any(_problems_since(made, plan, target, execution, limits))
    resumed = [f"{record.operation_id} of {record.started_at} is resumed", *_what_is_done(made, plan)]
    export = renewed(plan.export, target.region) if plan.export else None
    deletion = _with_backups_kept(plan.source_deletion, given)
    plan = replace(plan, copy_needed=copy_needed, export=export, source_deletion=deletion, resumed=resumed)
    return Resumption(plan=plan, facts=facts)


def _rollback_again(
    plan: Plan,
    undone: RolledBack,
    record: OperationRecord,
    target: AuroraReader,
    execution: Execution,
    limits: StackLimits,
) -> Resumption:
    """Return the rollback as it was planned: its swap was turned back, or has not begun."""
    if record.swap_end == "forward":
        raise RequestRefused(
            f"operation_id: {record.operation_id!r} has rolled {plan.target_cluster_id!r} back: only its report is "
            "missing. There is nothing to resume."
        )
    kept = target.cluster_with_id(undone.resource_id)
    refuse_if_any(
        [
            # Where the swap was turned back it has the name that the plan says, which the steps look it up by.
            *kept_problems(kept, undone.resource_id, [plan.cluster.identifier], target),
            *busy_problems(kept),
            *unmasked_problems(kept, execution, limits),
            *(_problems_of_replaced(plan.replaces, plan, target) if plan.replaces is not None else ()),
        ]
    )
    resumed = [f"{record.operation_id} of {record.started_at} is resumed"]
    return Resumption(plan=replace(plan, finishes_swap=False, resumed=resumed), facts={})


def _after_swap(plan: Plan, record: OperationRecord) -> Plan:
    """Return the plan that is left once the cluster has replaced the other one: it has the target's name then."""
    plan = replace(plan, finishes_swap=False)
    if record.swap_end != "forward":
        return plan
    done = plan.replaces or plan.replaced
    return replace(plan, replaces=None, replaced=done, cluster=replace(plan.cluster, identifier=plan.target_cluster_id))


def _with_backups_kept(deletion: SourceDeletion | None, given: Mapping[str, Any]) -> SourceDeletion | None:
    """Keep the automated backups where the request omits them: each request asks for its own deletions."""
    keeps = deletion is not None and not given.get("delete_automated_backups")
    return replace(deletion, delete_automated_backups=False) if deletion is not None and keeps else deletion


def refuse_if_unknown(request: RestoreRequest, operation_id: str, execution: Execution) -> None:
    """Raise RequestRefused where `resume` asks for an operation that is not known: a mistyped id, or an old one."""
    if request.resume:
        machine = state_machine_of(execution.execution_id)
        raise RequestRefused(
            f"operation_id: no operation {operation_id!r} is known, so there is nothing to resume. Correct it, or "
            "omit resume to start a new operation of that name. An operation has its first execution's name, "
            f"unless it was given another: aws stepfunctions list-executions --state-machine-arn {machine} "
            f"--status-filter FAILED --region {machine.region}"
        )


def _refuse_unless_ended(record: OperationRecord, execution: Execution) -> None:
    """Raise RequestRefused unless it has failed: one that died before it could record that has failed as well."""
    known = f"operation_id: {record.operation_id!r} was used before by another execution"
    if record.status == "succeeded":
        raise RequestRefused(f"{known} and has succeeded: there is nothing to resume. {START_ANEW}")
    if record.status == "planned":
        raise RequestRefused(f"{known}, a dry run: there is nothing to resume. {START_ANEW}")
    if not record.plan:
        raise RequestRefused(f"{known} that was refused and created nothing: there is nothing to resume. {START_ANEW}")
    if record.execution_id == execution.execution_id:
        return
    if not are_of_one_machine(record.execution_id, execution.execution_id):
        raise RequestRefused(f"{known}, of another state machine ({record.execution_id}). {START_ANEW}")
    if not has_ended(record.execution_id):
        running = f"{known}, which is still running: {record.execution_id}."
        if is_finishing(record.execution_id):
            raise RequestRefused(f"{running} It finishes what was stopped: wait until it ends, and do not stop it.")
        raise RequestRefused(
            f"{running} Wait until it ends, or stop it: aws stepfunctions stop-execution --execution-arn "
            f"{record.execution_id} --region {Arn.parse(record.execution_id).region}"
        )


def _recorded_plan(record: OperationRecord) -> Plan:
    try:
        return msgspec.convert(record.plan, Plan)
    except msgspec.ValidationError as error:
        raise RequestRefused(
            f"operation_id: {record.operation_id!r} was planned by another version of this stack ({error}) and cannot "
            f"be resumed. What it created has its id as a tag. {START_ANEW}"
        ) from None


def _outdated_facts(record: OperationRecord, plan: Plan, target: AuroraReader, execution: Execution) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if record.clean_up_at is not None:
        cluster = restored_cluster(record, target, plan.target_cluster_id)
        if cluster is None and record.cluster_resource_id is not None:
            # What is forgotten here would never be deleted: RDS is asked in another way as well.
            cluster = target.cluster_with_id(record.cluster_resource_id)
        ours = is_recorded_cluster(cluster, record)
        if cluster is not None and ours:
            _refuse_while_going([cluster, *target.instances_of(cluster.identifier)], plan, target)
        facts = {"clean_up_at": None} if ours else dict(NO_CLUSTER)
    has_cluster = facts.get("cluster_resource_id", record.cluster_resource_id) is not None
    if plan.copy is not None and (record.copy_clean_up_at is not None or not has_cluster):
        gone = _copies_gone(plan.copy, record, execution)
        facts |= _route_again(plan.copy, record, gone) | {"copy_clean_up_at": None}
    if record.password_reset_at and record.login_proven_at is None:
        # Perhaps RDS never carried it out: the same password is set again.
        facts |= {"password_reset_at": None, "password_resets": 0}
    if (record.users or {}).get("unfinished") and record.source_deletion_at is None:
        # What was skipped may have been fixed since: the users are set up again. They stay ready meanwhile, so that
        # nothing cleans up a cluster on which people may rely; and a door that is open stays open.
        facts |= {"users": None}
    if record.verified_at is None and "held" in record.verification:
        # The checks that did not hold are made again.
        facts |= {"verification": {}}
    if record.drill_ended_by:
        # A redrive of that execution has gone on with the drill since.
        facts |= {"drill_ended_by": {}}
    return facts | {"shortage": None}


def _copies_gone(copy: SnapshotCopy, record: OperationRecord, execution: Execution) -> list[StepName]:
    """Return which copies somebody has deleted, behind the last one that exists: they are made again.

    A message asks for that where a copy cannot be used. Raises RequestRefused for one that still has to go.
    """
    gone: list[StepName] = []
    taken_back = [copy.undone_by(each) for each in copy.steps if each.takes_back and each.name in record.route_times]
    for step in reversed(copy.steps):
        if not step.is_copy or step.name not in record.made_snapshots or step in taken_back:
            continue
        found, can_tell = _look_for(step, record, execution)
        if found is not None and found.is_broken and owns_snapshot(found, step, record):
            raise RequestRefused(
                f"operation_id: the copy of {record.operation_id!r}, {found.arn}, is {found.status}. Delete it in "
                f"account {step.place[1]}, then resume: {step.command}"
            )
        if found is not None or not can_tell:
            break
        gone.append(step.name)
    return gone


def _look_for(step: RouteStep, record: OperationRecord, execution: Execution) -> tuple[Snapshot | None, bool]:
    """Return a copy, and whether it can be seen where it is: what was shared by hand shows nothing else."""
    (region, account), own = step.place, Arn.parse(execution.execution_id).account_id
    if account == own:
        return AuroraReader(region).snapshot(step.snapshot_name), True
    source = open_source(account, region, execution.execution_id, record.operation_id, execution.now)
    return (source.snapshot(step.snapshot_name), True) if source.access == "role" else (None, False)


def _route_again(copy: SnapshotCopy, record: OperationRecord, gone: Collection[StepName] = ()) -> dict[str, Any]:
    """Return what is left of the snapshot's way: what was taken back behind the last copy that exists is done again.

    What could not be taken back stands still, and so does its record: it is taken back this time. `gone`: the copies
    that no longer exist.
    """
    times, made = record.route_times, dict(record.made_snapshots)
    taken_back = [(copy.undone_by(step), step) for step in copy.steps if step.takes_back and step.name in times]
    for first, _ in taken_back:
        made.pop(first.name, None)
    for name in gone:
        made.pop(name, None)
    last = max((number for number, step in enumerate(copy.steps) if step.name in made), default=-1)
    dropped = {step.gave_up for step in copy.steps}
    # What is still shared is shared once more, in case somebody has ended that by hand.
    dropped |= {step.name for number, step in enumerate(copy.steps) if step.effect == "share" and number > last}
    for first, step in taken_back:
        if copy.steps.index(first) > last:
            dropped |= {step.name, *first.names}
    for number, step in enumerate(copy.steps):
        if step.is_copy and number > last:
            dropped |= step.names
    return {"made_snapshots": made, "route_times": {name: at for name, at in times.items() if name not in dropped}}


def _refuse_while_going(members: list[Any], plan: Plan, target: AuroraReader) -> None:
    going = [each.identifier for each in members if each.is_being_deleted]
    if going:
        raise RequestRefused(
            f"operation_id: the clean-up of {plan.operation_id!r} is still deleting {', '.join(going)}. Resume it once "
            "this no longer finds the cluster: aws rds describe-db-clusters --db-cluster-identifier "
            f"{plan.cluster.identifier} --region {target.region}"
        )


def _problems_since(
    record: OperationRecord, plan: Plan, target: AuroraReader, execution: Execution, limits: StackLimits
) -> Iterator[str]:
    """Yield what prevents the steps that are left: much may have changed since the plan was made."""
    if record.users_ready_at is None:
        yield from secret_problems(plan.snapshot.master_username, plan.cluster, plan.target_secrets, execution.now)
    if record.door_opening_at is None and record.masked_at is None:
        yield from resumed_masking_problems(plan, limits)
        if record.salt_version_id is not None and is_salt_lost(plan.operation_id):
            yield (
                f"operation_id: the masking of {plan.target_cluster_id} has begun, and secret "
                f"{salt_secret_name(plan.operation_id)} with its salt is gone. What is masked already would no longer "
                f"match the rest. Delete the cluster. {START_ANEW}"
            )
    if plan.source_deletion is not None and record.source_deletion_at is None:
        yield from deletion_limit_problems(plan.source_deletion, limits)
    if plan.export is not None:
        yield from destination_problems(plan.export, target.region)
        if record.cluster_resource_id is not None:
            yield from _export_problems(plan.export, plan, target)
    if plan.replaces is not None:
        yield from _problems_of_replaced(plan.replaces, plan, target)
    made = restored_cluster(record, target, plan.target_cluster_id)
    if record.cluster_resource_id is not None and (made is None or not _is_as_recorded(made, record, plan)):
        yield (
            f"operation_id: cluster {plan.cluster.identifier} ({record.cluster_resource_id}), which "
            f"{plan.operation_id!r} created, was deleted or renamed since. {START_ANEW}"
        )
    if record.cluster_resource_id is not None or (made is not None and owns_cluster(made, record)):
        return
    yield from planned_limit_problems(plan, limits)
    copied = record.copied_snapshot_arn
    source = None if copied else _source_of(plan, execution)
    snapshot = source.snapshot(plan.snapshot.identifier) if source else target.snapshot(copied or "")
    if snapshot is not None:
        yield from creation_problems(plan.cluster, None if copied else plan.copy, snapshot, target.region)
    elif copied or not record.made_snapshots:  # else the route continues from the snapshots that it has created
        why = f" ({source.why_no_role})" if source and source.why_no_role else ""
        yield (
            f"operation_id: the snapshot that {plan.operation_id!r} restores, {copied or plan.snapshot.arn}, no longer "
            f"exists, or is not visible{why}. {TAKE_ANOTHER}"
        )
    if plan.quarantine:
        yield from quarantine_problems(plan.cluster, target.region)
    yield from tle_hook_problems(plan.cluster, target.region)


def _is_as_recorded(made: Cluster, record: OperationRecord, plan: Plan) -> bool:
    """Return whether the cluster is the recorded one, and has the name under which the steps continue with it."""
    return is_recorded_cluster(made, record) and made.identifier == plan.cluster.identifier


def _problems_of_replaced(replaces: ReplacedCluster, plan: Plan, target: AuroraReader) -> Iterator[str]:
    """Yield that the target is no longer the cluster that is to be replaced, before hours are spent on the other."""
    holder = target.cluster(plan.target_cluster_id)
    if holder is None or holder.resource_id != replaces.resource_id:
        now = "no cluster has that name now" if holder is None else f"now it is {holder.resource_id}"
        yield (
            f"operation_id: {plan.operation_id!r} was to replace cluster {plan.target_cluster_id} "
            f"({replaces.resource_id}), and {now}. {START_ANEW}"
        )


def _export_problems(export: SnapshotExport, plan: Plan, target: AuroraReader) -> Iterator[str]:
    """Yield that the snapshot to be exported is gone, unless its export was begun before: RDS has all of it then."""
    begun = Exports(target.region).task(export.identifier)
    if (begun is None or begun.is_broken) and target.snapshot(export.source_arn) is None:
        yield (
            f"archive_snapshot: {plan.operation_id!r} exports snapshot {export.source_arn}, which no longer exists. "
            f"The operation cannot be finished. Its cluster {plan.target_cluster_id} stays as it is. {TAKE_ANOTHER}"
        )


def _source_of(plan: Plan, execution: Execution) -> Source:
    """Return the account and region in which the snapshot was found."""
    region, account = Arn.parse(plan.snapshot.arn).place
    return open_source(account, region, execution.execution_id, plan.operation_id, execution.now)


def _what_is_done(record: OperationRecord, plan: Plan) -> Iterator[str]:
    if record.copied_snapshot_arn is not None:
        yield f"already copied: {record.copied_snapshot_arn}"
    if record.cluster_resource_id is not None:
        yield f"cluster already created: {plan.cluster.identifier} ({record.cluster_resource_id})"
    if record.login_proven_at is not None:
        yield f"new master password already proved, at {record.login_proven_at}"
    if record.masked_at is not None:
        yield f"data already masked, at {record.masked_at}"
    if record.users_ready_at is not None:
        yield f"users already set up, at {record.users_ready_at}"
    if record.verified_at is not None:
        yield f"data already verified, at {record.verified_at}"
    if record.door_open_at is not None:
        yield f"door already opened, at {record.door_open_at}"
    if record.source_deletion_at is not None:
        yield f"deletion of the source already begun, at {record.source_deletion_at}"
