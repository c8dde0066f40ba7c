"""Custom endpoints of clusters: they belong to a cluster, no snapshot has them, and no restored cluster gets them.

Source: Aurora User Guide, "Custom endpoints for Amazon Aurora": their names are unique in an account and
region, not in their cluster. Here they do not lead anywhere.
"""

from __future__ import annotations

from typing import Any

from scripts.local_aws.aurora import rules
from scripts.local_aws.aurora.records import Cluster
from scripts.local_aws.aurora.region import AuroraBackend, operation

_MOST_OF_A_CLUSTER = 5


@operation("CreateDBClusterEndpoint", "DBClusterIdentifier DBClusterEndpointIdentifier EndpointType StaticMembers")
def create_db_cluster_endpoint(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    cluster = region.cluster(parameters["DBClusterIdentifier"])
    name = rules.identifier(parameters, "DBClusterEndpointIdentifier")
    kind = parameters["EndpointType"]
    if kind not in ("READER", "ANY"):
        rules.refuse_value(f"Invalid endpoint type: {kind}")
    if any(address.startswith(f"{name}.") for each in region.clusters.values() for address in _addresses(each)):
        rules.refuse("DBClusterEndpointAlreadyExistsFault", f"DB cluster endpoint {name} already exists.")
    if len(_addresses(cluster)) >= _MOST_OF_A_CLUSTER:
        message = f"DB cluster {cluster.identifier} has {_MOST_OF_A_CLUSTER} custom endpoints already."
        rules.refuse("DBClusterEndpointQuotaExceededFault", message)
    address = f"{name}.cluster-custom-c0local.{region.region_name}.rds.amazonaws.com"
    cluster.attributes["CustomEndpoints"] = [*_addresses(cluster), address]
    return {
        "DBClusterEndpointIdentifier": name,
        "DBClusterIdentifier": cluster.identifier,
        "Endpoint": address,
        "Status": "creating",
        "EndpointType": "CUSTOM",
        "CustomEndpointType": kind,
        "StaticMembers": parameters.get("StaticMembers", []),
    }


def _addresses(cluster: Cluster) -> list[str]:
    return list(cluster.attributes.get("CustomEndpoints", []))
