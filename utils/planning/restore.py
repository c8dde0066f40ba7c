"""Turn a request into a plan: which snapshot, whether a copy is needed, what is created, and what may be deleted.

Everything that can be known before the first side effect is checked here, and all problems are reported at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from msgspec.structs import replace

from utils.arns import Arn
from utils.aurora_utils import AuroraReader
from utils.aurora_utils.offers import Surroundings
from utils.aurora_utils.resources import Snapshot
from utils.aurora_utils.source_account import Source
from utils.contracts.payloads import Execution
from utils.contracts.plan import ClusterPlan, FoundSnapshot, Plan
from utils.contracts.stack_limits import StackLimits
from utils.errors import RequestRefused
from utils.logins.target_secrets import plan_secrets
from utils.names import dated
from utils.planning.calls import planned_calls
from utils.planning.cluster import cluster_plan, plan_problems
from utils.planning.cluster_kinds import babelfish_problems, kind_problems
from utils.planning.crossing import plan_crossing, quota_problems
from utils.planning.deletion import deletion_problems, plan_deletion
from utils.planning.expiry import expiry_problems, plan_expiry
from utils.planning.export import plan_export
from utils.planning.like_source import source_settings
from utils.planning.not_taken_over import not_taken_over
from utils.planning.replaced_deletion import end_of_replaced_problems, plan_end_of_replaced
from utils.planning.replacement import (
    cluster_to_replace,
    plan_replacement,
    planned_admin_secret,
    renamed_for,
    replacement_problems,
)
from utils.planning.snapshot_choice import find_snapshot
from utils.planning.snapshot_place import place_problems
from utils.planning.without_snapshot import early_problems
from utils.preflight.cluster import support_warnings
from utils.preflight.compared_source import plan_comparison
from utils.preflight.creation import creation_problems
from utils.preflight.door import door_warnings
from utils.preflight.export import export_problems
from utils.preflight.limits import found_limit_problems, key_limit_problems, request_limit_problems
from utils.preflight.masking import plan_masking
from utils.preflight.quarantine import quarantine_problems
from utils.preflight.replaceable import replaceable_problems, replacement_warnings
from utils.preflight.secrets import secret_problems
from utils.preflight.snapshot import snapshot_problems
from utils.preflight.taken_names import previous_name_problems, target_name_problems
from utils.preflight.tle_hooks import tle_hook_problems
from utils.preflight.verification import plan_verification
from utils.request.fields import RestoreRequest
from utils.request.reading import refusal, refuse_if_any


def plan_restore(
    request: RestoreRequest,
    operation_id: str,
    execution: Execution,
    source: Source,
    target: AuroraReader,
    limits: StackLimits,
) -> Plan:
    """Return the plan, or raise RequestRefused with everything that prevents it. Only reads."""
    account = Arn.parse(execution.execution_id).account_id
    target_id = target_identifier(request, execution)
    try:
        beyond = request_limit_problems(request, target_id, source.region, target.region, limits)
        refuse_if_any([*place_problems(request, source, execution), *beyond])
        is_here = source.is_own_in(target.region)
        if request.source_cluster_id and request.snapshot_identifier is None and is_here:
            target.look_at_clusters([request.source_cluster_id.lower(), target_id])
        found = find_snapshot(request, source, execution.now)
        refuse_if_any(found_limit_problems(found.snapshot, limits))
        refuse_if_any(kind_problems(found.snapshot, found.living, target.region))
    except RequestRefused as refused:
        early = early_problems(request, target_id, operation_id, target, execution, limits)
        raise refusal([*str(refused).splitlines(), *early]) from None
    snapshot = found.snapshot
    source_cluster = source.cluster(snapshot.cluster_identifier) if request.delete_source else None
    crossing = plan_crossing(request, snapshot, operation_id, account, source, target)
    copy = crossing.copy
    takes_final_snapshot = source_cluster is not None and request.final_snapshot is not False
    like = source_settings(request, source, snapshot.cluster_identifier)
    refuse_if_any(_source_as_target_problems(target_id, snapshot, source, target))
    replaced = cluster_to_replace(request, target_id, target)
    cluster = cluster_plan(request, target_id, snapshot, copy, operation_id, like)
    export = plan_export(request, cluster, snapshot.cluster_identifier, operation_id)
    secrets = plan_secrets(target_id, execution, cluster.master_login)
    admin_secret = planned_admin_secret(secrets)
    obstacles = replaceable_problems(replaced, admin_secret, target, execution.now) if replaced else ()
    refuse_if_any([*replacement_problems(request, target_id), *obstacles])
    replaces = plan_replacement(request, replaced, operation_id, admin_secret, execution)
    cluster = renamed_for(cluster, replaces, operation_id)
    masking, masking_problems = plan_masking(request.masking_policy, limits)
    checks, check_problems = plan_verification(request.verification, request.on_findings, limits)
    verification, comparison_problems = plan_comparison(checks, snapshot, found.living, source, limits)
    refuse_if_any(
        [
            *snapshot_problems(request, snapshot, source, execution),
            *plan_problems(request, cluster, like, snapshot.cluster_identifier),
            *target_name_problems(cluster, target),
            *(previous_name_problems(replaces.other_names, operation_id, target) if replaces else ()),
            *babelfish_problems(
                cluster,
                found.living,
                Surroundings(target.region),
                is_here=source.is_own_in(target.region),
            ),
            *crossing.problems,
            *key_limit_problems(cluster, request.source_kms_key_id, snapshot, source, target.region, limits),
            *quota_problems(copy, takes_final_snapshot, account, source, target),
            *creation_problems(cluster, copy, snapshot, target.region),
            *secret_problems(snapshot.master_username, cluster, secrets, execution.now),
            *export_problems(export, target.region),
            *(quarantine_problems(cluster, target.region) if request.quarantine else ()),
            *tle_hook_problems(cluster, target.region),
            *masking_problems,
            *check_problems,
            *comparison_problems,
            *deletion_problems(request, snapshot, source_cluster, operation_id, source),
            *end_of_replaced_problems(request, target_id, replaced, replaces, operation_id, target, limits),
            *expiry_problems(request),
        ]
    )
    if request.delete_replaced and replaced is not None and replaces is not None:
        replaces = replace(replaces, deletion=plan_end_of_replaced(request, replaced, operation_id, target))
    plan = Plan(
        operation_id=operation_id,
        target_cluster_id=target_id,
        snapshot=FoundSnapshot(
            arn=snapshot.arn,
            identifier=snapshot.identifier,
            cluster_identifier=snapshot.cluster_identifier,
            created_at=snapshot.created_at or execution.now,
            age_hours=snapshot.age_hours(execution.now) or 0.0,
            engine_version=snapshot.engine_version,
            encryption=snapshot.encryption,
            kms_key_id=snapshot.kms_key_id,
            master_username=snapshot.master_username,
            port=snapshot.port,
            storage_type=snapshot.storage_type,
            allocated_gib=snapshot.allocated_gib,
            why=found.why,
            notes=found.notes,
            others=found.others,
        ),
        copy_needed=copy is not None,
        copy=copy,
        cluster=cluster,
        delete_source=source_cluster is not None,
        source_deletion=plan_deletion(request, source_cluster, operation_id, source) if source_cluster else None,
        archive_snapshot=request.archive_snapshot or "delete",
        export=export,
        replaces=replaces,
        drill=bool(request.drill),
        expires_after_hours=plan_expiry(request),
        on_failure=request.on_failure or "clean_up",
        dry_run=bool(request.dry_run),
        inherited_logins=request.inherited_logins or "lock",
        quarantine=bool(request.quarantine),
        masking=masking,
        verification=verification,
        target_secrets=secrets,
        not_taken_over=not_taken_over(request, cluster, like, snapshot.cluster_identifier),
        warnings=[
            *_warnings(cluster, Surroundings(target.region), execution.now),
            *(replacement_warnings(replaced, target.clusters()) if replaced else ()),
        ],
    )
    return replace(plan, calls=planned_calls(plan, account, target.region))


def _warnings(cluster: ClusterPlan, around: Surroundings, now: dt.datetime) -> list[str]:
    return [*support_warnings(cluster, around, now), *door_warnings(cluster, around)]


def target_identifier(request: RestoreRequest, execution: Execution) -> str:
    """Return the new cluster's name, with the date of the start in it where the request has a place for one."""
    return dated(request.target_cluster_id or "", execution.started_at)


def _source_as_target_problems(
    target_id: str, snapshot: Snapshot, source: Source, target: AuroraReader
) -> Iterator[str]:
    """Yield that the target is the source, which is neither overwritten nor replaced."""
    if target_id == snapshot.cluster_identifier and source.is_own_in(target.region):
        yield (
            f"target_cluster_id: {target_id!r} is the source cluster itself. "
            "Choose another name: a restore always creates a new cluster."
        )
