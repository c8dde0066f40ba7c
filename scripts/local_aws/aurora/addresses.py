"""Where the endpoints of clusters and instances lead, and which names their server's certificate has.

A cluster's endpoint follows its name (Aurora User Guide, "Amazon Aurora endpoint connections": the endpoints do not
change unless the cluster is renamed); an instance's endpoint is its own. A certificate follows the name at a restart
only ("Modifying an Amazon Aurora DB cluster": after a change of the identifier, stop and restart the cluster to update
the SSL endpoints). That a reboot is enough is not verified. The members share a server, hence a certificate: it has the
cluster's name once every member has been restarted under it.
"""

from __future__ import annotations

from scripts.local_aws.aurora.records import Cluster, Instance
from scripts.local_aws.postgres.gateway import Connection, Place, Route

NOWHERE = frozenset({"renaming", "stopping", "stopped", "starting"})
"""States in which a cluster's name leads nowhere, while its sessions continue."""


def publish(cluster: Cluster) -> None:
    """Let the endpoints of the cluster and its members lead where its state says."""
    gateway = cluster.region.world.servers.gateway
    writer = cluster.writer
    if writer and writer.is_up and cluster.status not in NOWHERE and not _is_hidden(cluster):
        gateway.listen(cluster.place, lambda client: _route(_behind_name(cluster), client))
    else:
        gateway.leave(cluster.place)
    for member in cluster.members:
        if member.is_up:
            gateway.listen(member.place, lambda client, member=member: _route(member, client))  # type: ignore[misc]
        else:
            gateway.leave(member.place)


def _is_hidden(cluster: Cluster) -> bool:
    """Return whether a fault has the cluster's name lead nowhere. Once it is over, the name leads where it should."""
    world = cluster.region.world
    found = world.faults.name(cluster.identifier)
    if found is None:
        return False

    def over() -> None:
        with world.lock:
            publish(cluster)

    world.clock.call_at(found[1], over)
    return not found[0].leads


def _behind_name(cluster: Cluster) -> Instance | None:
    """Return the instance that the cluster's name leads to: its writer, or another's where a fault says so."""
    found = cluster.region.world.faults.name(cluster.identifier)
    other = cluster.region.clusters.get(found[0].leads) if found else None
    return (other or cluster).writer


def withdraw(instance: Instance) -> None:
    """Remove the endpoint of an instance that was deleted."""
    instance.is_up = False
    instance.region.world.servers.gateway.leave(instance.place)


def end_sessions(instance: Instance) -> None:
    """End every session with an instance, as where the group of an untracked rule goes.

    Sessions stay when a group goes. Those of a rule that lets in all addresses, beside one that lets all traffic out,
    are not tracked, and interrupted at once (EC2 User Guide, "Security group connection tracking"). Which group has let
    a session in is not known here, so that all of them end.
    """
    instance.region.world.servers.gateway.cut(instance.place)


def _route(member: Instance | None, client: Connection) -> Route | None:
    """Return the way to a member, or None while none of its security groups lets the client in.

    A group counts until it is removed, and not before it is added: that is not verified.
    """
    if member is None:
        return None
    world, server = member.region.world, member.cluster.postgres
    in_force = {
        each["VpcSecurityGroupId"] for each in member.attributes["VpcSecurityGroups"] if each["Status"] != "adding"
    }
    if in_force <= world.doors and not world.is_function(client):
        return None
    return Route(Place(server.address, server.port), member.place)


def serve(instance: Instance) -> None:
    """Start an instance's server, with the names that the instance's certificate has from now on. Takes real time."""
    cluster = instance.cluster
    fault = cluster.region.world.faults.lifecycle("renew-certificate", instance.identifier)
    if not fault:
        instance.certified = cluster.place.address
    cluster.postgres.name_member(instance.place, instance.identifier)
    certify(cluster)
    cluster.postgres.start()


def certify(cluster: Cluster) -> None:
    """Issue the certificate that the members have together. This takes real time."""
    members = [each for each in cluster.members if each.certified]
    names = {each.certified for each in members}
    shared = [name for name in names if name and len(names) == 1]
    cluster.postgres.certify(sorted({*shared, *(each.place.address for each in members)}))
