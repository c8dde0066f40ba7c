"""Another writer: one of the readers takes over, as FailoverDBCluster asks."""

from __future__ import annotations

from typing import Any

from scripts.local_aws.aurora import rules
from scripts.local_aws.aurora.addresses import publish
from scripts.local_aws.aurora.events import CLUSTER_FAILED_OVER, announce, report
from scripts.local_aws.aurora.region import AuroraBackend, operation


@operation("FailoverDBCluster", "DBClusterIdentifier TargetDBInstanceIdentifier")
def failover_db_cluster(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Begin a failover. The codes are those that the API's model declares; the messages are not verified."""
    cluster = region.cluster(parameters["DBClusterIdentifier"])
    cluster.require_status("available")
    readers = [each for each in cluster.members if each is not cluster.writer and each.status == "available"]
    if not readers:
        cluster.refuse("has no available reader that could become its writer.")
    target = min(readers, key=lambda each: each.attributes["PromotionTier"])
    if "TargetDBInstanceIdentifier" in parameters:
        wanted = region.local_name(parameters["TargetDBInstanceIdentifier"])
        if wanted not in {each.identifier for each in readers}:
            message = f"DB instance {wanted} is no available reader of DB cluster {cluster.identifier}."
            rules.refuse("InvalidDBInstanceState", message)
        target = region.instances[wanted]

    def promoted() -> None:
        cluster.rest()
        cluster.writer = target
        publish(cluster)
        report(cluster, CLUSTER_FAILED_OVER, target.identifier)

    announce(cluster, CLUSTER_FAILED_OVER, target.identifier)
    cluster.enter("failing-over", region.world.durations.failover, then=promoted)
    return {"DBCluster": cluster.describe()}
