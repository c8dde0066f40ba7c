"""Snapshots are copied: to another name, key, region or account, or several of these at once."""

from __future__ import annotations

from typing import Any

from scripts.local_aws.aurora import quotas, rules
from scripts.local_aws.aurora.records import Snapshot
from scripts.local_aws.aurora.region import AuroraBackend, operation
from scripts.local_aws.aurora.snapshots import EXISTS, WRONG_STATE, find_snapshot, may_see


@operation(
    "CopyDBClusterSnapshot",
    "SourceDBClusterSnapshotIdentifier TargetDBClusterSnapshotIdentifier KmsKeyId PreSignedUrl CopyTags Tags",
)
def copy_db_cluster_snapshot(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Begin a copy. The answer comes at once, the data in time.

    A source that is deleted meanwhile lets the copy fail, and so does one that is no longer shared. (The latter is not
    verified against AWS.) A copy has its original's SnapshotCreateTime and ClusterCreateTime, and no
    DbClusterResourceId: recorded in test_rds_cluster_snapshot_cross_account_everyone_only (within a region) and
    test_rds_cluster_snapshot_region_copy (across) of Cloud Custodian's tests/data/placebo.
    """
    source = find_snapshot(region, parameters["SourceDBClusterSnapshotIdentifier"], elsewhere=True)
    _refuse_needless_url(region, parameters, source)
    identifier = rules.identifier(parameters, "TargetDBClusterSnapshotIdentifier")
    if source.status != "available":
        message = f"Cannot copy DB cluster snapshot {source.identifier}: it is {source.status}, not available."
        rules.refuse(WRONG_STATE, message)
    if identifier in region.cluster_snapshots:
        message = f"Cannot create the snapshot because a snapshot with the identifier {identifier} already exists."
        rules.refuse(EXISTS, message)
    if source.region is not region and region.partition == "aws-cn" and source.region.region_name != region.region_name:
        message = "Copying a DB cluster snapshot from one region to another is not available in the China regions."
        rules.refuse_combination(message)
    quotas.check_manual_snapshots(region)
    quotas.check_copies(region)
    tags = rules.tags(parameters)
    if parameters.get("CopyTags") and not tags and source.region.account_id == region.account_id:
        tags = dict(source.tags)
        rules.check_tags(tags)
    attributes = {
        **{name: value for name, value in source.attributes.items() if name != "DbClusterResourceId"},
        **_encryption_of_copy(region, parameters, source),
        "SnapshotType": "manual",
        "SourceDBClusterSnapshotArn": source.arn,
    }
    copy = Snapshot(region, identifier, attributes, tags)
    copy.created_at, copy.port, copy.volume = source.created_at, source.port, source.volume.share()
    region.cluster_snapshots[identifier] = copy

    def ended() -> None:
        complete = source.region.cluster_snapshots.get(source.identifier) is source and may_see(source, region)
        copy.rest("available" if complete else "failed")

    seconds = region.world.durations.copy_snapshot
    fault = region.world.faults.lifecycle("copy-snapshot", identifier)
    if fault:
        copy.reaches_percent = fault.at_percent
        copy.enter("copying", seconds * fault.at_percent / 100, then=lambda: copy.rest(fault.status))
    else:
        copy.enter("copying", seconds, then=ended)
    return {"DBClusterSnapshot": copy.describe()}


def _refuse_needless_url(region: AuroraBackend, parameters: rules.Parameters, source: Snapshot) -> None:
    """Refuse PreSignedUrl where the API's reference says not to send it: within a region, where GovCloud looks at it.

    The text is the one that CreateDBInstanceReadReplica answers (github.com/aws/aws-cli/issues/3156).
    """
    within = source.region.region_name == region.region_name
    if within and region.partition == "aws-us-gov" and parameters.get("PreSignedUrl"):
        rules.refuse_combination(
            "Your request does not require the preSignedUrl parameter. Please remove the preSignedUrl parameter and "
            "try your request again."
        )


def _encryption_of_copy(region: AuroraBackend, parameters: rules.Parameters, source: Snapshot) -> dict[str, Any]:
    """Return the copy's encryption. The codes of the refusals are not verified; that AWS refuses is documented."""
    wanted, current = parameters.get("KmsKeyId"), source.kms_key_id
    if current is None:
        if wanted:
            message = "You cannot specify a KMS key to copy a DB cluster snapshot that is not encrypted with one."
            rules.refuse_combination(message)
        return {}
    if source.region is not region and not wanted:  # another region, another account, or both
        message = f"DB cluster snapshot {source.arn} is encrypted: KmsKeyId must name a key of {region.region_name}."
        rules.refuse_combination(message)
    source.region.key(current)
    return {"KmsKeyId": region.key(wanted or current)}
