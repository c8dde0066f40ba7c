"""Cluster snapshots: taken, found, shared with other accounts (which may then copy and restore them), deleted.

What a description holds is what was recorded of AWS (Cloud Custodian's repository, tests/data/placebo; the AWS CLI's
examples):

- `Port` is 0 and `AllocatedStorage` mostly 0, not the cluster's (16 of 16 recorded answers of Aurora's and
  DocumentDB's own, such as test_rds_cluster_snapshot_cross_account_everyone_only; describe-db-cluster-snapshots.rst).
- `StorageType` is in none of them. That one of an I/O-Optimized cluster says so is not recorded; clusters do.
- `SnapshotCreateTime` is there while a snapshot is `creating` (test_rdscluster_snapshot,
  create-db-cluster-snapshot.rst).
- A deletion answers with the status that the snapshot had (test_rdscluster_snapshot_delete,
  delete-db-cluster-snapshot.rst).
"""

from __future__ import annotations

import re
from typing import Any

from moto.kms.models import kms_backends

from scripts.local_aws.aurora import quotas, rules
from scripts.local_aws.aurora.records import Cluster, Snapshot
from scripts.local_aws.aurora.region import AuroraBackend, all_backends, backend, operation
from scripts.local_aws.core.arns import Arn

# MasterUserSecret is not described with a snapshot, but comes back with a restore.
_TAKEN_FROM_CLUSTER = (
    "AvailabilityZones BackupRetentionPeriod DatabaseName DbClusterResourceId Engine EngineMode EngineVersion "
    "IAMDatabaseAuthenticationEnabled KmsKeyId MasterUsername MasterUserSecret PreferredBackupWindow StorageEncrypted "
    "StorageEncryptionType StorageType"
).split()
_TYPES = ("manual", "automated", "awsbackup")
_MADE_BY_AWS = ("rds:", "awsbackup:")
_NOT_FOUND = "DBClusterSnapshotNotFoundFault"
EXISTS = "DBClusterSnapshotAlreadyExistsFault"
WRONG_STATE = "InvalidDBClusterSnapshotStateFault"


def find_snapshot(region: AuroraBackend, name_or_arn: str, *, elsewhere: bool = False) -> Snapshot:
    """Return a snapshot of this account, or shared with it; of this region, unless a copy takes an ARN `elsewhere`."""
    found: Snapshot | None
    if arn := Arn.parse_or_none(name_or_arn):
        there = backend(arn.account_id, arn.region) if arn.kind == Snapshot.kind else None
        found = there.cluster_snapshots.get(arn.name.lower()) if there else None
    else:
        found = region.cluster_snapshots.get(name_or_arn.lower())
    place = found.region if found else region
    reachable = place.region_name == region.region_name or (elsewhere and place.partition == region.partition)
    if found is None or not (reachable and may_see(found, region)):
        rules.refuse(_NOT_FOUND, f"DBClusterSnapshot not found: {name_or_arn}")
    return found


def may_see(snapshot: Snapshot, region: AuroraBackend) -> bool:
    """Return whether the snapshot is the account's own, or shared with it."""
    ours = snapshot.region.account_id == region.account_id
    return ours or bool({region.account_id, "all"} & snapshot.shared_with)


def snapshot_of(cluster: Cluster, identifier: str, kind: str, tags: dict[str, str]) -> Snapshot:
    """Start to take a snapshot of what the cluster holds now."""
    region = cluster.region
    if identifier in region.cluster_snapshots:
        message = f"Cannot create the snapshot because a snapshot with the identifier {identifier} already exists."
        rules.refuse(EXISTS, message)
    if not cluster.is_restorable:
        # Aurora user guide, "Backup storage and restore": no backup while either time is NULL. The code is unverified.
        cluster.refuse("cannot be backed up yet: its LatestRestorableTime is null.")
    if kind == "manual":
        quotas.check_manual_snapshots(region)
    attributes = {name: cluster.attributes[name] for name in _TAKEN_FROM_CLUSTER if name in cluster.attributes}
    attributes |= {
        "AllocatedStorage": 0,
        "ClusterCreateTime": cluster.created_at,
        "DBClusterIdentifier": cluster.identifier,
        "LicenseModel": "postgresql-license",
        "Port": 0,
        "SnapshotType": kind,
        "VpcId": region.subnet_group(cluster.attributes["DBSubnetGroup"])["VpcId"],
    }
    inherited = cluster.tags if cluster.attributes["CopyTagsToSnapshot"] else {}
    snapshot = Snapshot(region, identifier, attributes, {**inherited, **tags})
    snapshot.volume = region.world.servers.new_volume()
    snapshot.port = cluster.postgres.port
    region.cluster_snapshots[identifier] = snapshot
    snapshot.enter(
        "creating",
        region.world.durations.create_snapshot,
        then=snapshot.rest,
        work=lambda: cluster.postgres.copy_to(snapshot.volume),
    )
    return snapshot


@operation("CreateDBClusterSnapshot", "DBClusterSnapshotIdentifier DBClusterIdentifier Tags")
def create_db_cluster_snapshot(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    cluster = region.cluster(parameters["DBClusterIdentifier"])
    identifier = rules.identifier(parameters, "DBClusterSnapshotIdentifier")
    cluster.require_status("available")
    return {"DBClusterSnapshot": snapshot_of(cluster, identifier, "manual", rules.tags(parameters)).describe()}


@operation(
    "DescribeDBClusterSnapshots",
    "DBClusterIdentifier DBClusterSnapshotIdentifier SnapshotType DbClusterResourceId Filters IncludeShared "
    "IncludePublic MaxRecords Marker",
)
def describe_db_cluster_snapshots(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Describe snapshots in no order of time. A named one must exist; an automated one, be asked for as such."""
    cluster, name = parameters.get("DBClusterIdentifier"), parameters.get("DBClusterSnapshotIdentifier")
    if cluster and name:
        rules.refuse_combination("You cannot specify both DBClusterIdentifier and DBClusterSnapshotIdentifier.")
    found = _by_type(region, parameters)
    if name:
        wanted = find_snapshot(region, name)
        if wanted not in found:
            rules.refuse(_NOT_FOUND, f"DBClusterSnapshot not found: {name}")
        found = [wanted]
    if cluster:
        found = [each for each in found if each.attributes["DBClusterIdentifier"] == region.local_name(cluster)]
    if "DbClusterResourceId" in parameters:
        resource = parameters["DbClusterResourceId"]
        found = [each for each in found if each.attributes.get("DbClusterResourceId") == resource]
    filters = {
        "db-cluster-id": lambda each: (
            each.attributes["DBClusterIdentifier"],
            each.region.arn("cluster", each.attributes["DBClusterIdentifier"]),
        ),
        "db-cluster-snapshot-id": lambda each: (each.identifier, each.arn),
        "snapshot-type": lambda each: (each.attributes["SnapshotType"],),
        "engine": lambda each: (each.attributes["Engine"],),
    }
    return rules.listing("DBClusterSnapshots", found, parameters, filters, lambda each: _described(each, region))


def _described(snapshot: Snapshot, region: AuroraBackend) -> dict[str, Any]:
    """Describe a snapshot. Only its owner sees its tags."""
    described = snapshot.describe()
    if snapshot.region.account_id != region.account_id:
        del described["TagList"]
    return described


def _by_type(region: AuroraBackend, parameters: rules.Parameters) -> list[Snapshot]:
    kind, name = parameters.get("SnapshotType"), parameters.get("DBClusterSnapshotIdentifier", "")
    own = sorted(region.cluster_snapshots.values(), key=lambda each: each.identifier)
    if kind in _TYPES:
        return [each for each in own if each.attributes["SnapshotType"] == kind]
    elsewhere = [each for each in all_backends() if each.region_name == region.region_name and each is not region]
    others = [snapshot for each in elsewhere for snapshot in each.cluster_snapshots.values()]
    shared = [each for each in others if region.account_id in each.shared_with]
    public = [each for each in others if "all" in each.shared_with]
    if kind in ("shared", "public"):
        return shared if kind == "shared" else public
    if kind is not None:
        rules.refuse_value(f"Unknown snapshot type: {kind}")
    if name.lower().startswith(_MADE_BY_AWS):
        return [each for each in own if each.attributes["SnapshotType"] == "manual"]
    own += shared if parameters.get("IncludeShared") else []
    return own + (public if parameters.get("IncludePublic") else [])


@operation("DescribeDBClusterSnapshotAttributes", "DBClusterSnapshotIdentifier")
def describe_db_cluster_snapshot_attributes(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    snapshot = region.snapshot(parameters["DBClusterSnapshotIdentifier"])
    restore = {"AttributeName": "restore", "AttributeValues": sorted(snapshot.shared_with)}
    return {
        "DBClusterSnapshotAttributesResult": {
            "DBClusterSnapshotIdentifier": snapshot.identifier,
            "DBClusterSnapshotAttributes": [restore],
        }
    }


@operation("ModifyDBClusterSnapshotAttribute", "DBClusterSnapshotIdentifier AttributeName ValuesToAdd ValuesToRemove")
def modify_db_cluster_snapshot_attribute(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    snapshot = region.snapshot(parameters["DBClusterSnapshotIdentifier"])
    if parameters["AttributeName"] != "restore":
        rules.refuse_value(f"Unknown attribute: {parameters['AttributeName']}")
    added = set(parameters.get("ValuesToAdd", []))
    for each in added:
        if each != "all" and not re.fullmatch(r"\d{12}", each):
            rules.refuse_value(f"Invalid account: {each}")
    if added and (snapshot.attributes["SnapshotType"] != "manual" or snapshot.status != "available"):
        rules.refuse(WRONG_STATE, "Only available manual DB cluster snapshots can be shared.")
    key = snapshot.kms_key_id
    if added and key:
        aliases = kms_backends[region.account_id][region.region_name].describe_key(key).aliases
        if "all" in added or "alias/aws/rds" in aliases:
            message = "A DB cluster snapshot that is encrypted cannot be public, nor shared with the default key."
            rules.refuse_combination(message)
    shared = (snapshot.shared_with | added) - set(parameters.get("ValuesToRemove", []))
    if len(shared) > 20:
        rules.refuse("SharedSnapshotQuotaExceeded", "A snapshot can be shared with at most 20 accounts.")
    snapshot.shared_with = shared
    return describe_db_cluster_snapshot_attributes(region, parameters)


@operation("DeleteDBClusterSnapshot", "DBClusterSnapshotIdentifier")
def delete_db_cluster_snapshot(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Delete a snapshot. To delete a copy in progress is to cancel it."""
    snapshot = region.snapshot(parameters["DBClusterSnapshotIdentifier"])
    if (kind := snapshot.attributes["SnapshotType"]) != "manual":
        rules.refuse(WRONG_STATE, f"A DB cluster snapshot of type {kind} cannot be deleted by this operation.")
    if snapshot.status == "creating":
        rules.refuse(WRONG_STATE, f"DB cluster snapshot {snapshot.identifier} is creating, not available.")
    answer = snapshot.describe()
    snapshot.discard()
    return {"DBClusterSnapshot": answer}
