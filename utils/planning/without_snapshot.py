"""Problems that do not depend on the snapshot, reported together with why none was found, to be fixed in one round."""

from __future__ import annotations

from collections.abc import Iterator

from utils.aurora_utils import AuroraReader
from utils.aurora_utils.offers import Surroundings
from utils.aurora_utils.resources import Snapshot
from utils.contracts.payloads import Execution
from utils.contracts.stack_limits import StackLimits
from utils.logins.target_secrets import plan_secrets
from utils.planning.cluster import cluster_plan, missing_places
from utils.planning.export import plan_export
from utils.preflight.cluster import named_group_problems, network_problems, room_problems, version_problems
from utils.preflight.export import destination_problems
from utils.preflight.keys import given_key_problems
from utils.preflight.masking import plan_masking
from utils.preflight.secrets import secret_problems
from utils.preflight.taken_names import target_name_problems
from utils.preflight.verification import plan_verification
from utils.request.fields import RestoreRequest

# It stands where a plan needs a snapshot, and has no value of its own.
_UNKNOWN = Snapshot(
    identifier="",
    status="",
    tags={},
    arn="",
    cluster_identifier="",
    cluster_resource_id=None,
    kind="manual",
    percent=0,
    engine="",
    engine_version="",
    encryption="none",
    kms_key_id=None,
    master_username="",
    port=None,
    storage_type="",
    allocated_gib=0,
    created_at=None,
)


def early_problems(
    request: RestoreRequest,
    target_id: str,
    operation_id: str,
    target: AuroraReader,
    execution: Execution,
    limits: StackLimits,
) -> Iterator[str]:
    """Yield problems of what the request and the stack say. Only reads. What the source could add is not required."""
    cluster = cluster_plan(request, target_id, _UNKNOWN, None, operation_id)
    around = Surroundings(target.region)
    yield from missing_places(cluster)
    if not request.replace_target:
        yield from target_name_problems(cluster, target)
    yield from network_problems(cluster, around)
    yield from named_group_problems(cluster, around)
    if request.engine_version is not None:
        yield from version_problems(cluster, around)
    yield from room_problems(cluster, target.region)
    if request.kms_key_id is not None:
        yield from given_key_problems(request.kms_key_id, copied_under_it=False, region=target.region)
    if (export := plan_export(request, cluster, _UNKNOWN.cluster_identifier, operation_id)) is not None:
        yield from destination_problems(export, target.region)
    yield from plan_masking(request.masking_policy, limits)[1]
    yield from plan_verification(request.verification, request.on_findings, limits)[1]
    secrets = plan_secrets(target_id, execution, cluster.master_login)
    yield from secret_problems(_UNKNOWN.master_username, cluster, secrets, execution.now)
