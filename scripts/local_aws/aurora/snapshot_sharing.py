"""Snapshots are shared with other accounts, which may then copy and restore them."""

from __future__ import annotations

import re
from typing import Any

from moto.kms.models import kms_backends

from scripts.local_aws.aurora import rules
from scripts.local_aws.aurora.region import AuroraBackend, operation
from scripts.local_aws.aurora.snapshots import WRONG_STATE, own_snapshot


@operation("DescribeDBClusterSnapshotAttributes", "DBClusterSnapshotIdentifier")
def describe_db_cluster_snapshot_attributes(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    snapshot = own_snapshot(region, parameters)
    restore = {"AttributeName": "restore", "AttributeValues": sorted(snapshot.shared_with)}
    return {
        "DBClusterSnapshotAttributesResult": {
            "DBClusterSnapshotIdentifier": snapshot.identifier,
            "DBClusterSnapshotAttributes": [restore],
        }
    }


@operation("ModifyDBClusterSnapshotAttribute", "DBClusterSnapshotIdentifier AttributeName ValuesToAdd ValuesToRemove")
def modify_db_cluster_snapshot_attribute(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    snapshot = own_snapshot(region, parameters)
    if parameters["AttributeName"] != "restore":
        rules.refuse_value(f"Unknown attribute: {parameters['AttributeName']}")
    added = set(parameters.get("ValuesToAdd", []))
    for each in added:
        if each != "all" and not re.fullmatch(r"\d{12}", each):
            rules.refuse_value(f"Invalid account: {each}")
    if added and (snapshot.attributes["SnapshotType"] != "manual" or snapshot.status != "available"):
        rules.refuse(WRONG_STATE, "Only available manual DB cluster snapshots can be shared.")
    key = snapshot.attributes.get("KmsKeyId")
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
