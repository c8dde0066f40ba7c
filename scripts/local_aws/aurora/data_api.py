"""The Data API of a cluster, switched on and off. The API itself is not here: nothing answers at it."""

from __future__ import annotations

from typing import Any

from scripts.local_aws.aurora import rules
from scripts.local_aws.aurora.modifications import rest
from scripts.local_aws.aurora.region import AuroraBackend, operation


@operation("EnableHttpEndpoint", "ResourceArn")
def enable_http_endpoint(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    return _switch(region, parameters["ResourceArn"], True)


@operation("DisableHttpEndpoint", "ResourceArn")
def disable_http_endpoint(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    return _switch(region, parameters["ResourceArn"], False)


def _switch(region: AuroraBackend, arn: str, enabled: bool) -> dict[str, Any]:
    """Begin to switch it. The answer has the new state at once, a description when the cluster is `available` again."""
    cluster = region.clusters.get(region.local_name(arn)) if arn.startswith("arn:") else None
    if cluster is None:
        rules.refuse("ResourceNotFoundFault", f"The resource {arn} was not found.")
    if cluster.status != "available":
        message = f"DB cluster {cluster.identifier} is not in available state: it is {cluster.status}."
        rules.refuse("InvalidResourceStateFault", message)

    def switched() -> None:
        cluster.attributes["HttpEndpointEnabled"] = enabled
        cluster.data_api_is_stale = False
        rest(cluster)

    if cluster.attributes["HttpEndpointEnabled"] is not enabled:
        cluster.password_reset_begun = False
        cluster.enter("modifying", region.world.durations.modify_cluster, then=switched)
    return {"ResourceArn": cluster.arn, "HttpEndpointEnabled": enabled}
