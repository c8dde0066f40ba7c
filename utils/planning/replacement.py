"""Which cluster the restored one replaces, and everything for which it must not, before anything is created.

A name that nobody has is no replacement: the first night restores under the target's name as any other operation does.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from utils.aurora_utils import AuroraReader, Cluster
from utils.aurora_utils.resources import OPERATION_TAG, REPLACEABLE_TAG
from utils.aurora_utils.source_account import reader_scaling_of
from utils.contracts.plan import ClusterPlan, ReplacedCluster, TargetSecrets
from utils.errors import StepFailed
from utils.logins.master import AdminSecret
from utils.logins.secret_store import look_at_secret
from utils.names import MAX_IDENTIFIER, name_for
from utils.request.fields import RestoreRequest

# The ending of the longest name that is given beside the target's: what a policy of IAM's expects is never shortened.
LONGEST_ENDING = len("-old-0123456789ab-2")
KEPT_HOURS = 24


def cluster_to_replace(request: RestoreRequest, target_id: str, target: AuroraReader) -> Cluster | None:
    """Return the cluster that has the target's name, where the request replaces it; None where nobody has it."""
    return target.cluster(target_id) if request.replace_target else None


def replacement_problems(
    request: RestoreRequest, replaced: Cluster | None, target_id: str, source_id: str, target: AuroraReader
) -> Iterator[str]:
    """Yield why the target must not be replaced. Whoever depends on more than its name is named."""
    if not request.replace_target:
        return
    if target_id == source_id:
        yield (
            f"target_cluster_id: {target_id!r} has the name of the source cluster, and a source is never replaced. "
            "Choose another name."
        )
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
    if request.expires_after_hours:
        yield (
            f"expires_after_hours: {request.expires_after_hours} is given with replace_target, and a live target never "
            "expires: the cluster that it replaces does, after keep_previous_hours. Give 0."
        )
    if replaced is not None:
        yield from (f"replace_target: {target_id!r} {why}" for why in _obstacles(replaced, target))


def _obstacles(replaced: Cluster, target: AuroraReader) -> Iterator[str]:
    here = f"--region {target.region}"
    if not is_ours(replaced) and (untagged := _without_consent(replaced, target)):
        commands = [
            f"aws rds add-tags-to-resource --resource-name {arn} --tags Key={REPLACEABLE_TAG},Value=true {here}"
            for arn in untagged
        ]
        yield (
            f"was not created by the pipeline, and its owner has not tagged it, or not all of its instances, as "
            f"{REPLACEABLE_TAG} = true. If you own it and it may be replaced: {' && '.join(commands)}"
        )
    if replaced.is_protected:
        yield "is protected by its tag. Choose another target_cluster_id, or have its owner remove the tag."
    if not replaced.is_available:
        yield f"is {replaced.status}, not available. Start again once it is."
    if replaced.waiting_changes:
        yield (
            f"has changes that wait for its maintenance window ({', '.join(replaced.waiting_changes)}), and a rename "
            "would apply them. Apply them, or take them back, then start again."
        )
    if replaced.master_secret is not None:
        yield "has its master login kept by RDS, in a secret of that one cluster. Have it kept in a secret of yours."
    if replaced.custom_endpoints:
        yield (
            f"has custom endpoints ({', '.join(replaced.custom_endpoints)}), which stay with the old cluster. Delete "
            "them, and have their clients use the cluster's own endpoints."
        )
    if replaced.global_cluster:
        yield f"belongs to the global database {replaced.global_cluster}. Remove it from there first."
    if replaced.replicas or replaced.replication_source:
        others = filter(None, [*replaced.replicas, replaced.replication_source])
        yield f"replicates with {', '.join(others)}. End that first."
    if reader_scaling_of(replaced.identifier, target.region) is not None:
        yield (
            "has readers that Application Auto Scaling adds and removes, by the name that another cluster would have "
            "then. Deregister its target first: aws application-autoscaling deregister-scalable-target "
            f"--service-namespace rds --scalable-dimension rds:cluster:ReadReplicaCount "
            f"--resource-id cluster:{replaced.identifier} {here}"
        )


def _without_consent(replaced: Cluster, target: AuroraReader) -> list[str]:
    """Return the ARNs of the cluster and its instances, which are restarted, as far as they lack their owner's tag."""
    own = {replaced.arn: replaced.tags}
    place = replaced.arn.rpartition(":cluster:")[0]
    own |= {f"{place}:db:{each.identifier}": each.tags for each in target.instances_of(replaced.identifier)}
    return [arn for arn, tags in own.items() if tags.get(REPLACEABLE_TAG) != "true"]


def is_ours(replaced: Cluster) -> bool:
    """Return whether the pipeline has created the cluster."""
    return OPERATION_TAG in replaced.tags


def plan_replacement(
    request: RestoreRequest, replaced: Cluster | None, operation_id: str, secrets: TargetSecrets | None, own_secret: str
) -> ReplacedCluster | None:
    """Return what the plan says of the cluster that is replaced; None where there is none.

    `own_secret` is the stack's admin secret, which its own target uses.
    """
    if replaced is None:
        return None
    if replaced.endpoint is None:
        raise StepFailed(f"RDS reports no endpoint of cluster {replaced.identifier}. Start again once it does.")
    names = [name_for("old", replaced.identifier, operation_id, end) for end in ("", "-2")]
    hours = request.keep_previous_hours
    return ReplacedCluster(
        resource_id=replaced.resource_id,
        is_ours=is_ours(replaced),
        login_version_id=_login_of(replaced, (secrets.admin if secrets else None) or own_secret),
        other_names=names,
        endpoint=replaced.endpoint,
        port=replaced.port,
        security_group_ids=list(replaced.security_groups.staying),
        data_api=bool(replaced.settings.value("data_api")),
        deletion_protection=replaced.deletion_protection,
        keep_hours=KEPT_HOURS if hours is None else hours,
    )


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


def _login_of(replaced: Cluster, secret: str) -> str | None:
    """Return the version of the target's admin secret that has the cluster's login; None where there is none."""
    if not is_ours(replaced):
        return None
    version, found = AdminSecret.version_for(replaced.resource_id), look_at_secret(secret)
    return version if found is not None and version in found.labels.values() else None
