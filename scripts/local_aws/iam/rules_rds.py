"""Which resources AWS checks for an RDS call: every one that the request names, and some that it does not."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.local_aws.core.arns import Arn
from scripts.local_aws.iam import stored_resources as stored
from scripts.local_aws.iam.calls import Call, Need

_NAMED_BY = {
    "cluster": "DBClusterIdentifier NewDBClusterIdentifier SourceDBClusterIdentifier DbClusterIdentifier",
    "db": "DBInstanceIdentifier",
    "cluster-snapshot": "DBClusterSnapshotIdentifier SourceDBClusterSnapshotIdentifier SnapshotIdentifier "
    "TargetDBClusterSnapshotIdentifier FinalDBSnapshotIdentifier",
    "subgrp": "DBSubnetGroupName",
    "cluster-pg": "DBClusterParameterGroupName",
    "pg": "DBParameterGroupName",
    "og": "OptionGroupName",
    "": "ResourceName ResourceArn ResourceIdentifier SourceArn",
}
"""The parameters that name a resource, by its kind; those of no kind have ARNs."""
_RDS_TYPES = {name: kind for kind, names in _NAMED_BY.items() for name in names.split()}
_RDS_LISTS = {
    "DescribeDBClusters": "cluster",
    "DescribeDBClusterAutomatedBackups": "cluster-auto-backup",
    "DescribeDBInstances": "db",
    "DescribeDBClusterSnapshots": "cluster-snapshot",
    "DescribeDBSubnetGroups": "subgrp",
    "DescribeDBClusterParameterGroups": "cluster-pg",
    "DescribeDBParameterGroups": "pg",
    "DescribeBlueGreenDeployments": "deployment",
    "DescribeDBProxies": "db-proxy",
    "DescribeIntegrations": "integration",
}
_RDS_TAGGED_ON_CREATION = {
    "CopyDBClusterSnapshot": "TargetDBClusterSnapshotIdentifier",
    "CreateDBClusterSnapshot": "DBClusterSnapshotIdentifier",
    "CreateDBInstance": "DBInstanceIdentifier",
    "CreateDBCluster": "DBClusterIdentifier",
    "RestoreDBClusterFromSnapshot": "DBClusterIdentifier",
    "CreateGlobalCluster": "GlobalClusterIdentifier",
}


def rds_needs(call: Call) -> Iterator[Need]:
    """Yield the needs of an RDS call, one for each resource that AWS checks."""
    parameters = dict(call.parameters)
    if call.operation == "RestoreDBClusterFromSnapshot":
        major = str(parameters.get("EngineVersion", "*")).partition(".")[0]
        engine = parameters.get("Engine", "*")
        parameters.setdefault("DBSubnetGroupName", "default")
        parameters.setdefault("DBClusterParameterGroupName", f"default.{engine}{major}")
        parameters.setdefault("OptionGroupName", f"default:{engine}-{major}")
    elif call.operation == "DescribeExportTasks":
        parameters.pop("SourceArn", None)  # selects, and is not checked
    named = {
        name: value if value.startswith("arn:") else call.arn(f"{_RDS_TYPES[name]}:{value.lower()}")
        for name, value in parameters.items()
        if name in _RDS_TYPES and value
    }
    if name := parameters.get("GlobalClusterIdentifier"):
        named["GlobalClusterIdentifier"] = f"arn:aws:rds::{call.account}:global-cluster:{name.lower()}"
    listed = _RDS_LISTS.get(call.operation)
    if listed and listed not in {arn.kind for arn in map(Arn.parse_or_none, named.values()) if arn}:
        named[""] = call.arn(f"{listed}:*")
    context = {
        key: str(call.parameters[name])
        for key, name in (("rds:databaseengine", "Engine"), ("rds:databaseclass", "DBInstanceClass"))
        if name in call.parameters
    }
    if call.operation == "DescribeDBProxyTargets":
        # Both are required; a proxy's ARN has an id of its own, and its group is not named in the call.
        named = {kind: call.arn(f"{kind}:*") for kind in ("db-proxy", "target-group")}
    for resource in named.values() or ["*"]:
        yield Need(f"rds:{call.operation}", resource, context)
    created = named.get(_RDS_TAGGED_ON_CREATION.get(call.operation, ""))
    if created and call.parameters.get("Tags"):
        yield Need("rds:AddTagsToResource", created)
    if call.operation == "ModifyDBCluster" and call.parameters.get("ManageMasterUserPassword"):
        yield from _managed_secret(call, named["DBClusterIdentifier"])
    if call.operation == "StartExportTask":
        passed = {"iam:passedtoservice": "export.rds.amazonaws.com"}
        yield Need("iam:PassRole", str(parameters["IamRoleArn"]), passed)
    final = named.get("FinalDBSnapshotIdentifier")
    if final and call.operation == "DeleteDBCluster":
        yield from _final_snapshot(named["DBClusterIdentifier"], final)


def _final_snapshot(cluster: str, final: str) -> Iterator[Need]:
    """Yield what a final snapshot needs: RDS creates and tags it in the caller's name since 15 August 2024.

    Sources: AWS's notice, as quoted in convox/convox#856, and the dependent actions of DeleteDBCluster in the service
    authorization reference. Which tags a policy's conditions see of the request then is not verified: here none.
    """
    yield Need("rds:CreateDBClusterSnapshot", cluster)
    yield Need("rds:CreateDBClusterSnapshot", final)
    if stored.copies_tags_to_snapshots(cluster):
        yield Need("rds:AddTagsToResource", final)


def _managed_secret(call: Call, cluster: str) -> Iterator[Need]:
    """Yield what RDS's own secret needs: RDS creates it in the caller's name, whose permissions must allow it."""
    name = "rds!cluster-00000000-0000-0000-0000-000000000000"
    context = {
        "secretsmanager:name": name,
        "aws:requesttag/aws:rds:primarydbclusterarn": cluster,
        "aws:viaawsservice": "true",
    }
    for action in ("CreateSecret", "TagResource"):  # six characters end a secret's ARN, which nobody knows yet
        yield Need(f"secretsmanager:{action}", call.arn(f"secret:{name}-XXXXXX", "secretsmanager"), context)
