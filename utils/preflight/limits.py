"""The stack's limits, asked twice: of a request in the first step, and of what is about to be used by who acts.

Whoever acts doesn't believe the plan: the snapshot is described once more, and what it is of decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from utils import environment
from utils.aurora_utils import Aurora
from utils.aurora_utils.offers import EncryptionKey, encryption_key
from utils.aurora_utils.resources import OPERATION_TAG, Snapshot
from utils.aurora_utils.source_account import Source
from utils.contracts.plan import ClusterPlan, Plan, RouteStep, SnapshotCopy, SnapshotExport, SourceDeletion
from utils.contracts.stack_limits import (
    StackLimits,
    final_snapshot_problems,
    key_problem,
    login_problems,
    region_problems,
    security_group_problems,
    snapshot_problems,
    source_problems,
    subnet_group_problems,
    tag_problems,
    target_problems,
)
from utils.errors import StepFailed
from utils.names import OWN_DEFAULT_KEY
from utils.preflight.keys import MANAGED_ALIAS
from utils.request.fields import RestoreRequest

Look = Callable[[str], EncryptionKey | None]


def request_limit_problems(
    request: RestoreRequest, target_id: str, source_region: str, own_region: str, limits: StackLimits
) -> Iterator[str]:
    """Of a request by itself, before anything is looked at."""
    yield from target_problems(limits, target_id)
    yield from source_problems(limits, (request.source_cluster_id or "").lower())
    yield from region_problems(limits, source_region, own_region)
    yield from security_group_problems(limits, request.vpc_security_group_ids or [])
    yield from subnet_group_problems(limits, request.db_subnet_group_name or "")
    yield from tag_problems(limits, request.tags or {})
    yield from login_problems(limits, request.master_login)
    if request.delete_source:
        yield from final_snapshot_problems(limits, takes_one=request.final_snapshot is not False)


def found_limit_problems(snapshot: Snapshot, limits: StackLimits) -> Iterator[str]:
    """Of the snapshot that was found, whoever made it and whatever it is called."""
    yield from source_problems(limits, snapshot.cluster_identifier)
    yield from snapshot_problems(limits, snapshot.identifier)


def planned_limit_problems(plan: Plan, limits: StackLimits) -> Iterator[str]:
    """Of a plan that is gone on with: the stack's owner may have thought otherwise since."""
    yield from target_problems(limits, plan.target_cluster_id)
    yield from source_problems(limits, plan.snapshot.cluster_identifier)
    yield from region_problems(limits, plan.snapshot.arn.split(":")[3], environment.region())
    yield from snapshot_problems(limits, plan.snapshot.identifier)
    yield from _cluster_problems(plan.cluster, limits)


def deletion_limit_problems(deletion: SourceDeletion, limits: StackLimits) -> Iterator[str]:
    """Of the source's deletion, and of what its final snapshot is tagged with once nothing else is left of it."""
    takes_one = deletion.final_snapshot_identifier is not None
    yield from final_snapshot_problems(limits, takes_one=takes_one)
    if takes_one:
        yield from tag_problems(limits, _without_own(deletion.tags))


def key_limit_problems(
    cluster: ClusterPlan, source_key: str | None, snapshot: Snapshot, source: Source, region: str, limits: StackLimits
) -> Iterator[str]:
    """Of every key: those that a request chooses, and with a pattern those that come with snapshot and source too."""
    own_account = cluster.snapshot_arn.split(":")[4]
    here = _look_in(region)
    own_key = snapshot.kms_key_id or ""
    yield from _key_problems("kms_key_id", cluster.kms_key_id, limits.kms_key, own_account, here, limits, own_key)
    yield from _key_problems(
        "source_kms_key_id", source_key, limits.source_kms_key, source.account_id, source.key, limits
    )
    insights, of_source = cluster.performance_insights_kms_key_id, limits.insights_kms_key
    if cluster.origins.get("performance_insights_kms_key_id") == "source" and insights:
        of_source = insights
    yield from _key_problems("performance_insights_kms_key_id", insights, of_source, own_account, here, limits)
    if limits.allowed_kms_keys and own_key and source.access == "own" and _is_customers(own_key, source):
        yield from _key_problems("snapshot_identifier", own_key, "", own_account, source.key, limits)


def prove_copy_allowed(
    step: RouteStep, tags: Mapping[str, str], source: Source, own_account: str, limits: StackLimits
) -> None:
    """Raise StepFailed where the stack may not make this copy, or share this snapshot.

    IAM sees a manual snapshot's name and not of which cluster it is, and not with whom it is shared.
    """
    arn = step.source_arn or step.snapshot_arn
    snapshot = source.snapshot(arn)
    problems = [
        *region_problems(limits, arn.split(":")[3], environment.region()),
        *_snapshot_problems(snapshot, limits),
        *tag_problems(limits, _without_own(tags)),
    ]
    if step.shared_with not in (None, own_account):
        problems.append(
            f"snapshot_identifier: {arn} would be shared with account {step.shared_with}, which isn't the stack's own "
            f"({own_account}). Start again."
        )
    region, account = step.snapshot_arn.split(":")[3:5]
    here = account == own_account
    in_between = step.name == "copy_into_account" and step.kms_key_id == OWN_DEFAULT_KEY
    # An alias in another account can't be looked at from here: there the first step alone has asked.
    unknown = not here and not limits.allowed_kms_keys and "alias/" in limits.source_kms_key
    if step.kms_key_id is not None and not in_between and not unknown:
        field, own = ("kms_key_id", limits.kms_key) if here else ("source_kms_key_id", limits.source_kms_key)
        look, own_key = _look_in(region) if here else source.key, (snapshot.kms_key_id if snapshot else None) or ""
        problems += _key_problems(field, step.kms_key_id, own, account, look, limits, own_key)
    _refuse_if_any(problems, "Nothing was copied or shared by this step.")


def prove_restore_allowed(cluster: ClusterPlan, target: Aurora, limits: StackLimits) -> None:
    """Raise StepFailed where the stack may not create this cluster from this snapshot."""
    snapshot, account = target.snapshot(cluster.snapshot_arn), cluster.snapshot_arn.split(":")[4]
    own_key, here = (snapshot.kms_key_id if snapshot else None) or "", _look_in(target.region)
    insights, own_insights = cluster.performance_insights_kms_key_id, limits.insights_kms_key
    if snapshot is not None and _is_insights_key_of(snapshot.cluster_identifier, insights, target):
        own_insights = insights or ""
    problems = [
        *target_problems(limits, cluster.identifier),
        *_snapshot_problems(snapshot, limits),
        *_cluster_problems(cluster, limits),
        *_key_problems("kms_key_id", cluster.kms_key_id, limits.kms_key, account, here, limits, own_key),
        *_key_problems("performance_insights_kms_key_id", insights, own_insights, account, here, limits),
    ]
    _refuse_if_any(problems, "No cluster was created.")


def prove_opening_allowed(cluster: ClusterPlan, limits: StackLimits) -> None:
    """Raise StepFailed where the stack may not put the cluster into these groups, which IAM can't say at all."""
    problems = [
        *target_problems(limits, cluster.identifier),
        *security_group_problems(limits, cluster.vpc_security_group_ids),
    ]
    _refuse_if_any(problems, "The cluster's security groups were left as they are.")


def prove_deletion_allowed(deletion: SourceDeletion, limits: StackLimits) -> None:
    """Raise StepFailed where the source may not go without a final snapshot, or that one not be tagged so."""
    _refuse_if_any(deletion_limit_problems(deletion, limits), "Nothing was deleted by this step.")


def prove_export_allowed(
    export: SnapshotExport, copy: SnapshotCopy | None, operation_id: str, target: Aurora, limits: StackLimits
) -> None:
    """Raise StepFailed where the stack may not export this snapshot. Copies of this operation's own may have any name.

    IAM sees a manual snapshot's name and not of which cluster it is.
    """
    snapshot = target.snapshot(export.source_arn)
    problems = list(_snapshot_problems(snapshot, limits))
    if snapshot is not None:
        is_own_copy = copy is not None and snapshot.arn == copy.arn and snapshot.belongs_to(operation_id)
        problems += [] if is_own_copy else snapshot_problems(limits, snapshot.identifier)
    _refuse_if_any(problems, "Nothing was exported.")


def _snapshot_problems(snapshot: Snapshot | None, limits: StackLimits) -> Iterator[str]:
    """One that is gone is for RDS to refuse. What a copy is of, it says itself."""
    if snapshot is not None:
        yield from source_problems(limits, snapshot.cluster_identifier)


def _cluster_problems(cluster: ClusterPlan, limits: StackLimits) -> Iterator[str]:
    yield from security_group_problems(limits, cluster.vpc_security_group_ids)
    yield from subnet_group_problems(limits, cluster.db_subnet_group_name)
    yield from tag_problems(limits, _without_own(cluster.tags))
    yield from login_problems(limits, cluster.master_login)


def _key_problems(
    field: str, key: str | None, own: str, account: str, look: Look, limits: StackLimits, snapshots_own: str = ""
) -> Iterator[str]:
    """Of one key of one account. One that doesn't exist is reported elsewhere; the snapshot's own changes nothing."""
    if key is None or (not limits.allowed_kms_keys and key in (own, snapshots_own)):
        return
    wanted = _id_of(key, account, look)
    if wanted is None:
        return
    names = {wanted}
    if not limits.allowed_kms_keys:
        known = {_id_of(each, account, look) for each in (own, snapshots_own) if each}
        names = {own} if wanted in known else names
    problem = key_problem(limits, field, key, own, names)
    if problem is not None:
        yield problem


def _is_insights_key_of(cluster_identifier: str, key: str | None, here: Aurora) -> bool:
    """Whether the source's Performance Insights is under the key, as RDS reports it and not as the plan says.

    Only a source beside the new cluster hands its key on, so it is seen from here.
    """
    if key is None:
        return False
    members = here.instances_of(cluster_identifier)
    return key in {each.settings.value("performance_insights_kms_key_id") for each in members}


def _id_of(key: str, account: str, look: Look) -> str | None:
    """Return a key's id, which tells it from all others of its account; None for an alias that leads nowhere.

    AWS's own aliases stand for themselves: to ask for one makes the key. So does a key of another account.
    """
    if key.startswith("arn:") and key.split(":")[4] != account:
        return f"of-account-{key.split(':')[4]}"
    alias = key.rpartition(":")[2]
    if not alias.startswith("alias/"):
        return alias.removeprefix("key/")
    if alias.startswith(MANAGED_ALIAS):
        return alias
    found = look(key)
    return found.key_id if found else None


def _look_in(region: str) -> Look:
    return lambda key: encryption_key(key, region)


def _is_customers(key: str, source: Source) -> bool:
    """RDS's own key of the account admits everybody of it through RDS, and no pattern has to."""
    there = key.split(":")[3] if key.startswith("arn:") else source.region
    found = encryption_key(key, there)
    return found is not None and found.is_customers


def _without_own(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key != OPERATION_TAG}


def _refuse_if_any(problems: Iterable[str], so_far: str) -> None:
    found = list(problems)
    if found:
        raise StepFailed("\n".join([*found, so_far]))
