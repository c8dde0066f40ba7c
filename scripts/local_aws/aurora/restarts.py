"""Instances that are rebooted, clusters that are stopped and started: what ends sessions and renews certificates.

The writer's reboot leaves the readers alone: they are rebooted with it up to 13.9, 14.6 and before 15.2 only (Aurora
User Guide, "Rebooting an Aurora cluster without read availability"), of which nothing can be created here. Statuses and
codes are those of the API's model and of "Viewing DB cluster status"; messages are not verified. A rebooted instance's
sessions end, and its server's memory stays, because the members share a server.
"""

from __future__ import annotations

from typing import Any

from scripts.local_aws.aurora import rules
from scripts.local_aws.aurora.addresses import publish, serve
from scripts.local_aws.aurora.events import CLUSTER_STARTED, CLUSTER_STOPPED, INSTANCE_RESTARTED, announce, report
from scripts.local_aws.aurora.modifications import rest
from scripts.local_aws.aurora.records import Cluster, Instance
from scripts.local_aws.aurora.region import AuroraBackend, operation

_LONGEST_STOP_SECONDS = 7 * 86_400.0
"""A stopped cluster is started by itself then (Aurora User Guide, "Stopping and starting an Aurora DB cluster")."""


@operation("RebootDBInstance", "DBInstanceIdentifier")
def reboot_db_instance(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Begin to reboot an instance. A failover that is forced with it is not known here."""
    instance = region.instance(parameters["DBInstanceIdentifier"])
    _require_available(instance)
    durations = region.world.durations
    _take_down(instance, "rebooting")

    def start() -> None:
        instance.enter("rebooting", 0, then=started, work=lambda: serve(instance))

    def started() -> None:
        _bring_up(instance)
        report(instance, INSTANCE_RESTARTED)

    announce(instance, INSTANCE_RESTARTED)
    instance.enter("rebooting", durations.reboot_instance, then=start, work=lambda: _end_sessions(instance))
    return {"DBInstance": instance.describe()}


@operation("StopDBCluster", "DBClusterIdentifier")
def stop_db_cluster(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Begin to stop a cluster with all its members.

    The user guide's limitations: no cluster of a global database, and none with a replica in another region.
    """
    cluster = region.cluster(parameters["DBClusterIdentifier"])
    cluster.require_status("available")
    for member in cluster.members:
        _require_available(member)
    if cluster.global_cluster or cluster.attributes.get("ReadReplicaIdentifiers"):
        cluster.refuse("is part of a global database or has read replicas: it cannot be stopped.")

    def stopped() -> None:
        for member in cluster.members:
            member.rest("stopped")
        cluster.enter("stopped", _LONGEST_STOP_SECONDS, then=lambda: _start(cluster))
        report(cluster, CLUSTER_STOPPED)

    announce(cluster, CLUSTER_STOPPED)
    cluster.enter("stopping", region.world.durations.stop_cluster, then=stopped, work=cluster.postgres.stop)
    for member in cluster.members:
        _take_down(member, "stopping")
    return {"DBCluster": cluster.describe()}


@operation("StartDBCluster", "DBClusterIdentifier")
def start_db_cluster(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Begin to start a cluster that is stopped."""
    cluster = region.cluster(parameters["DBClusterIdentifier"])
    if cluster.status != "stopped":
        cluster.refuse(f"is not in stopped state: it is {cluster.status}.")
    if cluster.attributes.get("KmsKeyId"):
        region.key(cluster.attributes["KmsKeyId"])  # KMSKeyNotAccessibleFault is among the operation's errors
    _start(cluster)
    return {"DBCluster": cluster.describe()}


def _start(cluster: Cluster) -> None:
    def serve_all() -> None:
        for member in cluster.members:
            serve(member)

    def start() -> None:
        cluster.enter("starting", 0, then=started, work=serve_all)

    def started() -> None:
        rest(cluster)
        for member in cluster.members:
            _bring_up(member)
        report(cluster, CLUSTER_STARTED)

    for member in cluster.members:
        member.rest("starting")
    announce(cluster, CLUSTER_STARTED)
    cluster.enter("starting", cluster.region.world.durations.start_cluster, then=start)


def _require_available(instance: Instance) -> None:
    if instance.status != "available":
        message = f"DB instance {instance.identifier} is not in available state: it is {instance.status}."
        rules.refuse("InvalidDBInstanceState", message)


def _take_down(instance: Instance, status: str) -> None:
    instance.is_up = False
    instance.rest(status)
    publish(instance.cluster)


def _bring_up(instance: Instance) -> None:
    instance.is_up = True
    rest(instance)
    instance.cluster.elect_writer()
    publish(instance.cluster)


def _end_sessions(instance: Instance) -> None:
    instance.cluster.postgres.end_sessions(instance.place)
