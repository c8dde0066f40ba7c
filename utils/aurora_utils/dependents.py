"""Who depends on a cluster itself and not on its name, as AWS reports it: DescribeDBClusters has nothing of it.

Members of requests and answers are those of botocore's models (rds 2014-10-31, ram 2018-01-04). A look that is refused
raises ClientError: what a refusal means is decided by who asks.
"""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError
from msgspec import Struct

from utils.aurora_utils.resources import Cluster
from utils.aws import client
from utils.aws_errors import error_code, none_when

# What was deleted between two looks has no targets.
_NO_PROXY = frozenset({"DBProxyNotFoundFault", "DBProxyTargetGroupNotFoundFault", "DBProxyTargetNotFoundFault"})
_ENDED = frozenset({"DISASSOCIATED", "FAILED"})


class Dependent(Struct, frozen=True, kw_only=True):
    """Something of AWS's that a cluster is part of. `identifier` is what its API asks for: an ARN, or an id."""

    identifier: str
    name: str


def proxies_of(cluster: Cluster, region: str) -> list[str]:
    """Return the names of the RDS proxies that have the cluster, or a member, as their target.

    A proxy has one target group at present (API reference, DBProxyTargetGroup, IsDefault): its groups are not asked
    for. Proxies of other engines are omitted.
    """
    paginator = client("rds", region).get_paginator("describe_db_proxies")
    names = [
        each["DBProxyName"]
        for page in paginator.paginate()
        for each in page["DBProxies"]
        if each.get("EngineFamily") == "POSTGRESQL"
    ]
    of_cluster = {cluster.arn, cluster.identifier, cluster.resource_id, *cluster.member_identifiers}
    return [name for name in names if not of_cluster.isdisjoint(_targets_of(name, region))]


def _targets_of(proxy: str, region: str) -> Iterator[str]:
    """Yield all by which a proxy's targets are named (API reference, DBProxyTarget)."""
    paginator = client("rds", region).get_paginator("describe_db_proxy_targets")
    try:
        for page in paginator.paginate(DBProxyName=proxy):
            for target in page["Targets"]:
                yield target.get("TrackedClusterId", "")
                yield target.get("RdsResourceId", "")
                yield target.get("TargetArn", "")
    except ClientError as error:
        if error_code(error) not in _NO_PROXY:
            raise


def blue_green_deployments_of(cluster: Cluster, region: str) -> list[Dependent]:
    """Return the blue/green deployments that the cluster is part of, in any status.

    All are looked at: the reference does not say whether the filters `source` and `target` expect names or ARNs.
    """
    paginator = client("rds", region).get_paginator("describe_blue_green_deployments")
    return [
        Dependent(identifier=each["BlueGreenDeploymentIdentifier"], name=each.get("BlueGreenDeploymentName", ""))
        for page in paginator.paginate()
        for each in page["BlueGreenDeployments"]
        if cluster.arn in (each.get("Source"), each.get("Target"))
        or any(cluster.arn in part.values() for part in each.get("SwitchoverDetails", []))
    ]


def shares_of(cluster: Cluster, region: str) -> list[Dependent]:
    """Return the resource shares of AWS RAM that the cluster is in.

    Whether RAM knows a cluster that was never shared is not documented: one that it does not know is in no share.
    """
    paginator = client("ram", region).get_paginator("get_resource_share_associations")
    pages = paginator.paginate(associationType="RESOURCE", resourceArn=cluster.arn)
    found = none_when("UnknownResourceException", lambda: list(pages)) or []
    return [
        Dependent(identifier=each["resourceShareArn"], name=each.get("resourceShareName", ""))
        for page in found
        for each in page["resourceShareAssociations"]
        if each.get("status") not in _ENDED
    ]


def integrations_of(cluster: Cluster, region: str) -> list[Dependent]:
    """Return the zero-ETL integrations that read from the cluster.

    All are looked at: the reference names no filter.
    """
    paginator = client("rds", region).get_paginator("describe_integrations")
    return [
        Dependent(identifier=each["IntegrationArn"], name=each.get("IntegrationName", ""))
        for page in paginator.paginate()
        for each in page["Integrations"]
        if each.get("SourceArn") == cluster.arn
    ]
