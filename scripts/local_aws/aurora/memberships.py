"""The security groups that clusters and their members are in: changed at the cluster, which its members follow.

The statuses of a group are not documented (API reference, VpcSecurityGroupMembership), but CloudFormation's handler
waits until every group of an instance is `active` (aws-cloudformation-resource-providers-rds,
DBInstancePredicates.isVpcSecurityGroupsActive). Here groups are `adding` and `removing` meanwhile, and members come
later than their cluster: it is wrong to look at the cluster alone, or at ids alone.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from scripts.local_aws.aurora.addresses import end_sessions
from scripts.local_aws.aurora.records import Cluster, Instance

Memberships = list[dict[str, Any]]


class GroupsOnRecord(NamedTuple):
    """The groups of a cluster or an instance from one moment on: statuses by the group's id."""

    since: dt.datetime
    resource_id: str
    groups: dict[str, str]


def put_into(resource: Cluster | Instance, memberships: Memberships) -> None:
    """Put a cluster or an instance into these groups, and record since when."""
    resource.attributes = {**resource.attributes, "VpcSecurityGroups": memberships}
    world = resource.region.world
    own_id = str(resource.attributes["DbClusterResourceId" if isinstance(resource, Cluster) else "DbiResourceId"])
    groups = {each["VpcSecurityGroupId"]: each["Status"] for each in memberships}
    world.groups_on_record[resource.identifier].append(GroupsOnRecord(world.clock.now(), own_id, groups))


def settled(groups: list[str]) -> Memberships:
    """Return the memberships in groups of which no change is under way."""
    return [{"VpcSecurityGroupId": each, "Status": "active"} for each in groups]


def change_groups(cluster: Cluster, groups: list[str]) -> None:
    """Change the groups of the cluster, then those of its members. A later change takes an earlier one's place."""
    cluster.wanted_groups = groups
    _change(cluster, cluster, groups)


def _change(resource: Cluster | Instance, cluster: Cluster, groups: list[str]) -> None:
    world = cluster.region.world
    before = {each["VpcSecurityGroupId"]: each["Status"] for each in resource.attributes["VpcSecurityGroups"]}
    begun = {each: "active" if before.get(each) == "active" else "adding" for each in groups}
    begun |= {each: "removing" for each in before if each not in groups}
    put_into(resource, [{"VpcSecurityGroupId": each, "Status": status} for each, status in begun.items()])
    if world.faults.lifecycle("change-groups", resource.identifier):
        return

    def finish() -> None:
        with world.lock:
            if cluster.wanted_groups is not groups:
                return
            put_into(resource, settled(groups))
            if isinstance(resource, Instance) and before.keys() - set(groups) & world.untracked:
                end_sessions(resource)
            if resource is cluster:
                for member in cluster.members:
                    _change(member, cluster, groups)

    world.clock.call_at(world.clock.time() + world.durations.change_groups, finish)
