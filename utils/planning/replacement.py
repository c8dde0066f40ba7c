"""Which cluster the restored one replaces, and everything for which it must not, before anything is created.

A name that nobody has is no replacement: the first night restores under the target's name as any other operation does.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from utils import environment
from utils.aurora_utils import AuroraReader, Cluster
from utils.contracts.payloads import Execution
from utils.contracts.plan import ClusterPlan, ReplacedCluster, TargetSecrets
from utils.errors import StepFailed
from utils.logins.master import AdminSecret
from utils.logins.secret_store import look_at_secret
from utils.names import MAX_IDENTIFIER, name_for
from utils.preflight.replaceable import has_operation_tag
from utils.request.fields import RestoreRequest
from utils.request.reading import said_by
from utils.state.maker import has_given_protection, maker_of

# The ending of the longest name that is given beside the target's: what a policy of IAM's expects is never shortened.
LONGEST_ENDING = len("-old-0123456789ab-2")
KEPT_HOURS = 24


def cluster_to_replace(request: RestoreRequest, target_id: str, target: AuroraReader) -> Cluster | None:
    """Return the cluster that has the target's name, where the request replaces it; None where nobody has it."""
    return target.cluster(target_id) if request.replace_target else None


def replacement_problems(request: RestoreRequest, target_id: str) -> Iterator[str]:
    """Yield why what is asked for beside a replacement, or its name, does not go with one."""
    if not request.replace_target:
        return
    if len(target_id) + LONGEST_ENDING > MAX_IDENTIFIER:
        yield (
            f"target_cluster_id: {target_id!r} has {len(target_id)} characters, and one that is replaced may have "
            f"{MAX_IDENTIFIER - LONGEST_ENDING}: beside it, clusters have its name with an ending. Shorten it."
        )
    if request.master_login == "rds_managed":
        yield (
            "master_login: 'rds_managed' is given with replace_target. RDS's own secret belongs to one cluster and "
            "would change with each night. Give 'pipeline'."
        )
    if request.delete_source:
        yield "delete_source: it cannot be given with replace_target. Delete the source by an operation of its own."
    if request.expires_after_hours and said_by(request, "expires_after_hours") == "request":
        yield (
            f"expires_after_hours: {request.expires_after_hours} is given with replace_target, and a live target never "
            "expires: the cluster that it replaces does, after keep_previous_hours. Give 0."
        )


def plan_replacement(
    request: RestoreRequest,
    replaced: Cluster | None,
    operation_id: str,
    admin_secret: str,
    execution: Execution,
) -> ReplacedCluster | None:
    """Return what the plan says of the cluster that is replaced; None where there is none.

    `admin_secret` is its target's.
    """
    if replaced is None:
        return None
    if replaced.endpoint is None:
        raise StepFailed(f"RDS reports no endpoint of cluster {replaced.identifier}. Start again once it does.")
    names = [name_for("old", replaced.identifier, operation_id, end) for end in ("", "-2")]
    hours = request.keep_previous_hours
    maker = maker_of(replaced, execution.execution_id, execution.now)
    return ReplacedCluster(
        resource_id=replaced.resource_id,
        is_ours=maker is not None,
        login_version_id=login_of(replaced, admin_secret),
        other_names=names,
        endpoint=replaced.endpoint,
        port=replaced.port,
        security_group_ids=list(replaced.security_groups.staying),
        data_api=bool(replaced.settings.value("data_api")),
        deletion_protection=replaced.deletion_protection,
        protection_is_ours=replaced.deletion_protection and has_given_protection(maker),
        is_swept=bool(environment.optional("EXPIRY_SCHEDULE")),
        keep_hours=KEPT_HOURS if hours is None else hours,
    )


def planned_admin_secret(secrets: TargetSecrets | None) -> str:
    """Return the admin secret of the target: the stack's, or one of the target's own."""
    return (secrets.admin if secrets else None) or environment.text("ADMIN_SECRET_ARN")


def renamed_for(cluster: ClusterPlan, replaces: ReplacedCluster | None, operation_id: str) -> ClusterPlan:
    """Return the cluster's plan with the name under which it is restored beside the one that it replaces."""
    if replaces is None:
        return cluster
    return replace(
        cluster,
        identifier=name_for("new", cluster.identifier, operation_id),
        live_identifier=cluster.identifier,
        live_endpoint=replaces.endpoint,
    )


def login_of(replaced: Cluster, secret: str) -> str | None:
    """Return the version of the target's admin secret that has the cluster's login; None where there is none."""
    if not has_operation_tag(replaced):
        return None
    version, found = AdminSecret.version_for(replaced.resource_id), look_at_secret(secret)
    return version if found is not None and version in found.labels.values() else None
