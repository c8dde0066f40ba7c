"""How much of everything an account may have in a region, and what RDS answers when that is reached."""

from __future__ import annotations

from typing import Any

from scripts.local_aws.aurora import rules
from scripts.local_aws.aurora.region import AuroraBackend, operation


def check_clusters(region: AuroraBackend) -> None:
    """Refuse a cluster above the quota of the region."""
    most = region.world.quotas.clusters
    if len(region.clusters) >= most:
        rules.refuse("DBClusterQuotaExceededFault", f"You cannot create more than {most} DB clusters.")


def check_instances(region: AuroraBackend) -> None:
    """Refuse an instance above the quota of the region."""
    most = region.world.quotas.instances
    if len(region.instances) >= most:
        rules.refuse("InstanceQuotaExceeded", f"DB Instance quota exceeded: {most} instances.")


def check_manual_snapshots(region: AuroraBackend) -> None:
    """Refuse a manual snapshot above the quota of the region."""
    most = region.world.quotas.manual_cluster_snapshots
    if _manual_snapshots(region) >= most:
        rules.refuse("SnapshotQuotaExceeded", f"Cannot create more than {most} manual DB cluster snapshots.")


def check_copies(region: AuroraBackend) -> None:
    """Refuse a copy above the number that one region makes at a time, as RDS does.

    Source: https://github.com/pbudzon/aws-maintenance/issues/19
    """
    most = region.world.quotas.copies_in_progress
    copying = [each for each in region.cluster_snapshots.values() if each.status == "copying"]
    if len(copying) >= most:
        rules.refuse("SnapshotQuotaExceeded", f"Cannot copy more than {most} snapshots across regions")


def _manual_snapshots(region: AuroraBackend) -> int:
    """Count the manual snapshots: not the automated ones, and not AWS Backup's."""
    return sum(each.attributes["SnapshotType"] == "manual" for each in region.cluster_snapshots.values())


@operation("DescribeAccountAttributes")
def describe_account_attributes(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Describe the quotas of what is here. Copies in progress are not among them, nor are they on AWS."""
    quotas = region.world.quotas
    used = {
        "DBClusters": (len(region.clusters), quotas.clusters),
        "DBInstances": (len(region.instances), quotas.instances),
        "ManualClusterSnapshots": (_manual_snapshots(region), quotas.manual_cluster_snapshots),
        "DBClusterParameterGroups": (len(region.groups["cluster-pg"]), 50),
        "DBParameterGroups": (len(region.groups["pg"]), 50),
        "DBSubnetGroups": (len(region.groups["subgrp"]), 50),
    }
    return {
        "AccountQuotas": [
            {"AccountQuotaName": name, "Used": count, "Max": most} for name, (count, most) in sorted(used.items())
        ]
    }
