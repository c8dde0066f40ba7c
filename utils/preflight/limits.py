"""The stack's limits, checked twice: by the first step for the request, and by the step that acts.

The step that acts does not trust the plan: it describes the snapshot again, and that decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from utils import environment
from utils.arns import Arn, resource_of
from utils.aurora_utils import AuroraReader
from utils.aurora_utils.offers import EncryptionKey, encryption_key
from utils.aurora_utils.ownership import Recorded, owns_snapshot
from utils.aurora_utils.resources import OPERATION_TAG, Snapshot
from utils.aurora_utils.source_account import Source
from utils.contracts.plan import ClusterPlan, Plan, SnapshotExport, SourceDeletion
from utils.contracts.route import RouteStep, SnapshotCopy
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
from utils.preflight.keys import is_managed_alias
from utils.request.fields import RestoreRequest

Look = Callable[[str], EncryptionKey | None]


def request_limit_problems(
    request: RestoreRequest, target_id: str, source_region: str, own_region: str, limits: StackLimits
) -> Iterator[str]:
    """Yield what a request asks for beyond the limits, before anything is looked at."""
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
    """Yield why the snapshot that was found is beyond the limits."""
    yield from source_problems(limits, snapshot.cluster_identifier)
    yield from snapshot_problems(limits, snapshot.identifier)


def planned_limit_problems(plan: Plan, limits: StackLimits) -> Iterator[str]:
    """Yield what in a resumed plan is beyond the limits: the stack's owner may have changed them since."""
    yield from target_problems(limits, plan.target_cluster_id)
    yield from source_problems(limits, plan.snapshot.cluster_identifier)
    yield from region_problems(limits, Arn.parse(plan.snapshot.arn).region, environment.region())
    yield from snapshot_problems(limits, plan.snapshot.identifier)
    yield from _cluster_problems(plan.cluster, limits)


def deletion_limit_problems(deletion: SourceDeletion, limits: StackLimits) -> Iterator[str]:
    """Yield what in the source's deletion, and in its final snapshot's tags, is beyond the limits."""
    takes_one = deletion.final_snapshot_identifier is not None
    yield from final_snapshot_problems(limits, takes_one=takes_one)
    if takes_one:
        yield from tag_problems(limits, _without_own(deletion.tags))


def key_limit_problems(
    cluster: ClusterPlan, source_key: str | None, snapshot: Snapshot, source: Source, region: str, limits: StackLimits
) -> Iterator[str]:
    """Yield the keys beyond the limits: the request's own and, with a pattern, those of snapshot and source too."""
    own_account = Arn.parse(cluster.snapshot_arn).account_id
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
        *region_problems(limits, Arn.parse(arn).region, environment.region()),
        *_snapshot_problems(snapshot, limits),
        *tag_problems(limits, _without_own(tags)),
    ]
    if step.shared_with not in (None, own_account):
        problems.append(
            f"snapshot_identifier: {arn} would be shared with account {step.shared_with}, which is not the stack's own "
            f"({own_account}). Start a new operation."
        )
    region, account = step.place
    here = account == own_account
    in_between = here and step.is_in_between and step.kms_key_id == OWN_DEFAULT_KEY
    # An alias in another account cannot be looked up from here: only the first step has asked there.
    unknown = not here and not limits.allowed_kms_keys and "alias/" in limits.source_kms_key
    if step.kms_key_id is not None and not in_between and not unknown:
        field, own = ("kms_key_id", limits.kms_key) if here else ("source_kms_key_id", limits.source_kms_key)
        look, own_key = _look_in(region) if here else source.key, (snapshot.kms_key_id if snapshot else None) or ""
        problems += _key_problems(field, step.kms_key_id, own, account, look, limits, own_key)
    _refuse_if_any(problems, "Nothing was copied or shared by this step.")


def prove_restore_allowed(cluster: ClusterPlan, target: AuroraReader, limits: StackLimits) -> None:
    """Raise StepFailed where the stack may not create this cluster from this snapshot."""
    snapshot, account = target.snapshot(cluster.snapshot_arn), Arn.parse(cluster.snapshot_arn).account_id
    own_key, here = (snapshot.kms_key_id if snapshot else None) or "", _look_in(target.region)
    insights, own_insights = cluster.performance_insights_kms_key_id, limits.insights_kms_key
    if snapshot is not None and _is_insights_key_of(snapshot.cluster_identifier, insights, target):
        own_insights = insights or ""
    problems = [
        *target_problems(limits, cluster.target_identifier),
        *_snapshot_problems(snapshot, limits),
        *_cluster_problems(cluster, limits),
        *_key_problems("kms_key_id", cluster.kms_key_id, limits.kms_key, account, here, limits, own_key),
        *_key_problems("performance_insights_kms_key_id", insights, own_insights, account, here, limits),
    ]
    _refuse_if_any(problems, "No cluster was created.")


def prove_opening_allowed(cluster: ClusterPlan, limits: StackLimits) -> None:
    """Raise StepFailed where the stack may not put the cluster into these groups, which IAM cannot refuse."""
    problems = [
        *target_problems(limits, cluster.target_identifier),
        *security_group_problems(limits, cluster.vpc_security_group_ids),
    ]
    _refuse_if_any(problems, "The cluster's security groups were not changed.")


def prove_deletion_allowed(deletion: SourceDeletion, limits: StackLimits) -> None:
    """Raise StepFailed where the source may not be deleted without a final snapshot, or that not be tagged so."""
    _refuse_if_any(deletion_limit_problems(deletion, limits), "Nothing was deleted by this step.")


def prove_export_allowed(
    export: SnapshotExport, copy: SnapshotCopy | None, record: Recorded, target: AuroraReader, limits: StackLimits
) -> None:
    """Raise StepFailed where the stack may not export this snapshot. Copies of this operation's own may have any name.

    IAM sees a manual snapshot's name and not of which cluster it is.
    """
    snapshot = target.snapshot(export.source_arn)
    problems = list(_snapshot_problems(snapshot, limits))
    if snapshot is not None:
        is_own_copy = copy is not None and owns_snapshot(snapshot, copy.final, record)
        problems += [] if is_own_copy else snapshot_problems(limits, snapshot.identifier)
    _refuse_if_any(problems, "Nothing was exported.")


def _snapshot_problems(snapshot: Snapshot | None, limits: StackLimits) -> Iterator[str]:
    """Yield why the snapshot is beyond the limits. RDS refuses one that is gone."""
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
    """Yield why one key of one account is beyond the limits. A key that does not exist is reported elsewhere."""
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


def _is_insights_key_of(cluster_identifier: str, key: str | None, here: AuroraReader) -> bool:
    """Return whether the source's Performance Insights uses the key, as RDS reports it and not as the plan says.

    Only a source in the new cluster's account and region passes its key on, so it can be seen from here.
    """
    if key is None:
        return False
    members = here.instances_of(cluster_identifier)
    return key in {each.settings.value("performance_insights_kms_key_id") for each in members}


def _id_of(key: str, account: str, look: Look) -> str | None:
    """Return a key's id, unique within its account; None for an alias without a key.

    AWS's own aliases are their own ids, because describing one creates its key. So is a key of another account.
    """
    arn = Arn.parse_or_none(key)
    if arn is not None and arn.account_id != account:
        return f"of-account-{arn.account_id}"
    named = resource_of(key)
    if not named.startswith("alias/"):
        return named.removeprefix("key/")
    if is_managed_alias(key):
        return named
    found = look(key)
    return found.key_id if found else None


def _look_in(region: str) -> Look:
    return lambda key: encryption_key(key, region)


def _is_customers(key: str, source: Source) -> bool:
    """Return whether the key is a customer's. RDS's own key admits everybody of the account, so no pattern has to."""
    arn = Arn.parse_or_none(key)
    found = encryption_key(key, arn.region if arn else source.region)
    return found is not None and found.is_customers


def _without_own(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key != OPERATION_TAG}


def _refuse_if_any(problems: Iterable[str], so_far: str) -> None:
    found = list(problems)
    if found:
        raise StepFailed("\n".join([*found, so_far]))
