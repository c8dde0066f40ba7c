"""Each role of the stack means what its statements say: asked request by request, as IAM would decide.

Every Deny and every condition refuses something here, every resource's narrowness too, and every action of a statement
allows something that a step needs. Whatever is loosened, widened or taken out shows.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.checks.expansion import translated
from scripts.checks.policies import as_list, resolved
from scripts.local_aws.iam.policy import Context, Policy, Request, Verdict, evaluate

OWN, OWNER, STRANGER = "111122223333", "444455556666", "999999999999"
HERE, THERE = "eu-central-1", "eu-west-1"
SOURCE = "prod-orders"
GIVEN = {
    "SourceClusterId": SOURCE,
    "SourceRegion": "",
    "SourceAccountId": OWNER,
    "RestorableClusterPattern": "prod-*",
    "RestorableSnapshotPattern": "weekly-*",
    "TargetClusterPattern": "*-orders",
    "AllowedSubnetGroupPattern": "team-*",
    "AllowedKmsKeyPattern": "data-*",
    "AllowedTagKeyPattern": "team:*",
    "CostTags": ",".join(f"Own{number}=x" for number in range(9)),
    "DeletableClusterPattern": "retired-*",
    "DeletableInstancePattern": "retiring-*",
    "ExportKmsKeyId": f"arn:aws:kms:{HERE}:{OWN}:key/exports",
    "ExportRoleArn": f"arn:aws:iam::{OWN}:role/export",
    "MonitoringRoleArn": f"arn:aws:iam::{OWN}:role/rds-monitoring-role",
    "MaskingPolicies": ",".join(f"no{n}=s3://policies/masking/{n}.yaml?versionId=v{n}" for n in range(5)),
    "VerificationPolicies": ",".join(f"no{n}=s3://policies/checks/{n}.yaml?versionId=c{n}" for n in range(5)),
    "SourceReaderSecrets": ",".join(
        f"arn:aws:rds:{HERE}:{OWN}:cluster:prod-{n}=arn:aws:secretsmanager:{HERE}:{OWN}:secret:readers/{n}-a1b2c3"
        for n in range(5)
    ),
}

Asked = tuple[str, str, Context]

MARKED: dict[str, str | tuple[str, ...]] = {"aws:requesttag/aurora-restore:operation-id": "op-1"}
OWN_KEYS = ("aurora-restore:operation-id", *(f"Own{number}" for number in range(9)))
OURS = {"aws:resourcetag/aurora-restore:operation-id": "op-1"}
PROTECTED = {"aws:resourcetag/aurora-restore:protected": "true"}
UNPROTECTED = {"aws:resourcetag/aurora-restore:protected": "false"}


def rds(kind: str, name: str, account: str = OWN, region: str = HERE) -> str:
    return f"arn:aws:rds:{region}:{account}:{kind}:{name}"


def cluster(name: str, account: str = OWN, region: str = HERE) -> str:
    return rds("cluster", name, account, region)


def instance(name: str, account: str = OWN, region: str = HERE) -> str:
    return rds("db", name, account, region)


def snapshot(name: str, account: str = OWN, region: str = HERE) -> str:
    return rds("cluster-snapshot", name, account, region)


def key(name: str, account: str = OWN, region: str = HERE) -> str:
    return f"arn:aws:kms:{region}:{account}:key/{name}"


def secret(name: str, account: str = OWN, region: str = HERE) -> str:
    return f"arn:aws:secretsmanager:{region}:{account}:secret:{name}-a1b2c3"


def for_secret(arn: str, service: str = "secretsmanager") -> Context:
    """Return the context in which Secrets Manager uses a key for a secret."""
    return {"kms:viaservice": f"{service}.{HERE}.amazonaws.com", "kms:encryptioncontext:secretarn": arn}


def table(name: str) -> str:
    return f"arn:aws:dynamodb:{HERE}:{OWN}:table/{name}"


def function(name: str) -> str:
    return f"arn:aws:lambda:{HERE}:{OWN}:function:{name}"


def iam_role(name: str, account: str = OWN) -> str:
    return f"arn:aws:iam::{account}:role/{name}"


def log_stream(group: str) -> str:
    return f"arn:aws:logs:{HERE}:{OWN}:log-group:{group}:log-stream:today"


def evidence(name: str) -> str:
    return f"arn:aws:s3:::EvidenceBucket/{name}"


def chain(key_of_item: str) -> Context:
    return {"dynamodb:leadingkeys": (key_of_item,)}


def signed(message_type: str = "RAW", algorithm: str = "ECDSA_SHA_256") -> Context:
    return {"kms:messagetype": message_type, "kms:signingalgorithm": algorithm}


def announced(source: str = "aurora-restore", detail_type: str = "OperationFinished") -> Context:
    return {"events:source": source, "events:detail-type": detail_type}


def via(service: str, region: str = HERE) -> dict[str, str]:
    return {"kms:viaservice": f"{service}.{region}.amazonaws.com"}


def passed_to(service: str) -> dict[str, str]:
    return {"iam:passedtoservice": f"{service}.amazonaws.com"}


def kept_by_rds(of: str, owning_service: str | None = "rds") -> dict[str, str]:
    """The tags of a secret in which RDS keeps a cluster's master login."""
    tags = {"aws:resourcetag/aws:rds:primarydbclusterarn": of}
    return tags | ({"aws:resourcetag/aws:secretsmanager:owningservice": owning_service} if owning_service else {})


def each(actions: str, resource: str, context: Context | None = None) -> list[Asked]:
    """Several actions of one service, such as "rds:DeleteDBCluster DeleteDBInstance", on one resource."""
    service, _, names = actions.partition(":")
    return [(f"{service}:{name}", resource, context or {}) for name in names.split()]


def log_writing(role: str) -> tuple[list[Asked], list[Asked]]:
    group = f"{role.removesuffix('Role')}Logs"
    actions = "logs:CreateLogStream PutLogEvents"
    return each(actions, log_stream(group)), each(actions, log_stream("SomebodyElses"))


def reading(region: str = THERE) -> list[Asked]:
    """What a step that looks at clusters and their instances asks."""
    return [
        *each("rds:DescribeDBClusters", cluster("any", region=region)),
        *each("rds:DescribeDBInstances", instance("any", region=region)),
        *each("rds:DescribeDBInstances", cluster("any", region=region)),
    ]


STRANGERS_THINGS = [
    *each("rds:DescribeDBClusters", cluster("any", STRANGER)),
    *each("rds:DescribeDBInstances", instance("any", STRANGER)),
    *each("rds:DescribeDBClusterSnapshots", snapshot("any", STRANGER)),
]
TAGS: list[dict[str, str | tuple[str, ...]]] = [{"aws:tagkeys": ("team:data", tag)} for tag in OWN_KEYS]
OTHER_TAG: dict[str, str | tuple[str, ...]] = {"aws:tagkeys": ("aurora-restore:operation-id", "access")}
SNAPSHOTS = [
    *each("rds:DescribeDBClusterSnapshots", snapshot("any", region=THERE)),
    *each("rds:DescribeDBClusterSnapshots", cluster("any", region=THERE)),
]
FINAL = snapshot("retired-1-final-0123456789ab", region=THERE)
FINAL_SNAPSHOTS = [
    *each("rds:DescribeDBClusterSnapshots", FINAL),
    *each("rds:DescribeDBClusterSnapshots", cluster("any", region=THERE)),
]
NO_OTHER_SNAPSHOTS = each("rds:DescribeDBClusterSnapshots", snapshot("orders-monthly"))
COPY = snapshot("prod-orders-copy-0123456789ab", region=THERE)
# All that may be copied or restored. The others are named as no pattern has it.
FOUND = ("rds:prod-orders-2026-11-27-02-00", "awsbackup:job-0d1f3c5e", "weekly-orders", "prod-orders-copy-0123456789ab")
NOT_FOUND = (
    "rds:billing-2026-11-27-02-00", "rds:prod-orders-2026-11-27", "billing-monthly", "prod-orders-copy-1",
    "prod-orders-copy-0123456789abc",
)  # fmt: skip
LINK = evidence("evidence/prod-orders/2026/op-1/first/link.json")
MACHINE = f"arn:aws:states:{HERE}:{OWN}:stateMachine:aurora-restore-pipeline"
BUS = f"arn:aws:events:{HERE}:{OWN}:event-bus/default"
MEMBER = instance("staging-orders-0123456789ab-1")
ASSUMED = each("sts:AssumeRole", iam_role("aurora-restore-source", OWNER))
NOT_ASSUMED = [
    *each("sts:AssumeRole", iam_role("admin", OWNER)),
    *each("sts:AssumeRole", iam_role("aurora-restore-source", STRANGER)),
    *each("sts:AssumeRole", iam_role("aurora-restore-source", OWN)),
]
# A released lock stays as an item, and so does all that is known of an operation.
NO_ITEMS_DELETED = each("dynamodb:DeleteItem", table("StateTable"))
REMOVED_COPIES = each("rds:DeleteDBClusterSnapshot", COPY, OURS)
NOT_REMOVED = [
    *each("rds:DeleteDBClusterSnapshot", COPY),
    *each("rds:DeleteDBClusterSnapshot", snapshot("prod-orders-monthly"), OURS),
    *each("rds:DeleteDBClusterSnapshot", snapshot("prod-orders-copy-1"), OURS),
    *each("rds:DeleteDBClusterSnapshot", snapshot("x-copy-0123456789ab", STRANGER), OURS),
]
THROUGH_RDS = "kms:CreateGrant Decrypt GenerateDataKey"
OF_OTHERS = f"{THROUGH_RDS} DescribeKey Encrypt ReEncryptFrom ReEncryptTo"
LOOKED_AT = each("kms:DescribeKey", key("any", region=THERE))
NOT_LOOKED_AT = each("kms:DescribeKey", key("any", STRANGER))
KEYS = each(THROUGH_RDS, key("data-1", region=THERE), via("rds", THERE))
NO_KEYS = [
    *each(THROUGH_RDS, key("data-1", region=THERE)),
    *each(THROUGH_RDS, key("data-1", region=THERE), via("s3", THERE)),
    *each(THROUGH_RDS, key("data-1", STRANGER), via("rds")),
    *each(THROUGH_RDS, key("payroll", region=THERE), via("rds", THERE)),
]
ADMIN, APPLICATION, OTHER_SECRET = secret("AdminSecret"), secret("AppSecret"), secret("production/orders")
RDS_SECRET = secret("rds!cluster-0d1f3c5e")
FROM_ITS_CODE = {"lambda:sourcefunctionarn": function("aurora-restore-setup-db-users")}
FROM_CHECKINGS_CODE = {"lambda:sourcefunctionarn": function("aurora-restore-verify-data")}
FROM_MASKINGS_CODE = {"lambda:sourcefunctionarn": function("aurora-restore-transform-data")}
FROM_SWAPS_CODE = {"lambda:sourcefunctionarn": function("aurora-restore-check-swap")}
POLICY_FILE = "arn:aws:s3:::policies/masking/1.yaml"
CHECKS_FILE = "arn:aws:s3:::policies/checks/1.yaml"
SALT = secret("aurora-restore/masking/0123456789ab")
OTHERS_SALT = secret("another-stack/masking/0123456789ab")
SALT_NOT_MADE_YET = SALT.removesuffix("-a1b2c3")
TARGETS_ADMIN = secret("aurora-restore/targets/drill-orders/admin")
TARGETS_APPLICATION = secret("aurora-restore/targets/drill-orders/application")
NOT_MADE_YET = TARGETS_ADMIN.removesuffix("-a1b2c3")
OTHERS_ADMIN = secret("another-stack/targets/drill-orders/admin")
OTHERS_APPLICATION = secret("another-stack/targets/drill-orders/application")
TARGET_TAGS = {"application": "aurora-restore", "aurora-restore:operation-id": "op-1", "aurora-restore:target": "drill"}


def tagged(kind: str, *without: str) -> Context:
    """The tags that a stack gives to the secrets of a target, in the request or on the resource."""
    return {f"aws:{kind}/{name}": value for name, value in TARGET_TAGS.items() if name not in without}


def lacking_one(actions: str, resource: str, kind: str) -> list[Asked]:
    """The same with one of the tags missing, or those of another stack."""
    fewer = [tagged(kind, name) for name in TARGET_TAGS]
    others = [dict(tagged(kind)) | {f"aws:{kind}/application": "another-stack"}]
    return [asked for context in [*fewer, *others] for asked in each(actions, resource, context)]


# Of the sources, exactly the logins that the stack names, and their keys for nothing else.
READERS = [
    *(asked for n in range(5) for asked in each("secretsmanager:GetSecretValue", secret(f"readers/{n}"))),
    *(
        asked
        for n in range(5)
        for asked in each("kms:Decrypt", key("any", account=STRANGER), for_secret(secret(f"readers/{n}")))
    ),
]
NO_OTHER_READERS = [
    *each("secretsmanager:GetSecretValue", secret("readers/5")),
    *each("secretsmanager:PutSecretValue DescribeSecret", secret("readers/1")),
    *each("kms:Decrypt", key("any"), for_secret(secret("readers/5"))),
    *each("kms:Decrypt", key("any"), for_secret(secret("readers/1"), service="s3")),
    *each("kms:Decrypt", key("any", region=THERE), for_secret(secret("readers/1"))),
    *each("kms:Decrypt", key("any"), {"kms:viaservice": f"secretsmanager.{HERE}.amazonaws.com"}),
    *each("kms:GenerateDataKey", key("any"), for_secret(secret("readers/1"))),
]
TOUCHING = "rds:CreateDBInstance FailoverDBCluster ModifyDBCluster"
OPENING = "rds:EnableHttpEndpoint ModifyDBCluster"
# What a swap changes; a name may be given to what has no tags, because nothing is called so.
SWAPPING = "rds:DisableHttpEndpoint EnableHttpEndpoint ModifyDBCluster StartDBCluster StopDBCluster"
SWAPPING_BY_TAG = "rds:DisableHttpEndpoint EnableHttpEndpoint StartDBCluster StopDBCluster"
TEMPORARY = cluster("staging-orders-new-0123456789ab")
REPLACEABLE = {"aws:resourcetag/aurora-restore:replaceable": "true"}
NOT_REPLACEABLE = {"aws:resourcetag/aurora-restore:replaceable": "false"}
ROLES = ("aurora-restore:role", "aurora-restore:expires-at")
ROLES_SET: dict[str, str | tuple[str, ...]] = {"aws:tagkeys": ROLES, "aws:requesttag/aurora-restore:role": "previous"}
# What expires has two tags, and the second is set when the door has opened.
EXPIRY_SET: dict[str, str | tuple[str, ...]] = {
    "aws:requesttag/aurora-restore:expires-at": "2026-12-04T14:00:00Z",
    "aws:tagkeys": ("aurora-restore:expires-at",),
}
EXPIRES: dict[str, str | tuple[str, ...]] = {"aws:resourcetag/aurora-restore:expires-at": "2026-12-04T14:00:00Z"}
ROLE = "aws:resourcetag/aurora-restore:role"
# What another cluster has replaced, and the name that it has since.
REPLACED, PREVIOUS = {ROLE: "previous"}, "staging-orders-old-0123456789ab"
ENDING = "rds:DeleteDBCluster ModifyDBCluster"
# One that others created goes with a final snapshot, for which IAM asks of the cluster and of the snapshot.
ENDING_OF_OTHERS = "rds:CreateDBClusterSnapshot DeleteDBCluster"
THEIR_FINAL = snapshot("staging-orders-final-0123456789ab")
DELETING = "rds:DeleteDBCluster DeleteDBInstance"
STEPS = (
    "CopySnapshotFunction",
    "CheckCopyStatusFunction",
    "RestoreSnapshotFunction",
    "CheckRestoreStatusFunction",
    "TransformDataFunction",
    "SwapClusterFunction",
    "CheckSwapFunction",
    "SetupDbUsersFunction",
    "VerifyDataFunction",
    "OpenClusterFunction",
    "DeleteRdsFunction",
    "CheckDeleteStatusFunction",
    "ArchiveSnapshotFunction",
    "SnsNotificationFunction",
)

# Who depends on a cluster that is replaced, and what AWS plans for it.
SEEING_DEPENDENTS = [
    *each("rds:DescribeDBProxies DescribeDBProxyTargets", rds("db-proxy", "any")),
    *each("rds:DescribeDBProxyTargets", rds("target-group", "any")),
    *each("rds:DescribeBlueGreenDeployments", rds("deployment", "any")),
    *each("rds:DescribeIntegrations", rds("integration", "any")),
    *each("rds:DescribePendingMaintenanceActions", cluster("any")),
    *each("rds:DescribePendingMaintenanceActions", instance("any")),
    *each("application-autoscaling:DescribeScalableTargets", "*"),
    *each("ram:GetResourceShareAssociations", "*"),
]

NOT_SEEN = [
    asked
    for account, region in ((STRANGER, HERE), (OWN, THERE))
    for kind, actions in (
        ("db-proxy", "rds:DescribeDBProxies DescribeDBProxyTargets"),
        ("target-group", "rds:DescribeDBProxyTargets"),
        ("deployment", "rds:DescribeBlueGreenDeployments"),
        ("integration", "rds:DescribeIntegrations"),
        ("cluster", "rds:DescribePendingMaintenanceActions"),
        ("db", "rds:DescribePendingMaintenanceActions"),
    )
    for asked in each(actions, rds(kind, "any", account, region))
]

ALLOWED: dict[str, list[Asked]] = {
    "SnapshotCheckRole": [
        *SNAPSHOTS,
        *reading(),
        *ASSUMED,
        *each("rds:DescribeDBClusterSnapshots", snapshot("shared", OWNER)),
        *each("kms:DescribeKey", key("any", OWNER)),
        *each("kms:DescribeKey", key("any", region=THERE)),
        *each("rds:DescribeDBSubnetGroups", rds("subgrp", "any")),
        *each("rds:DescribeDBClusterParameterGroups DescribeDBClusterParameters", rds("cluster-pg", "any")),
        *each("rds:DescribeDBParameterGroups DescribeDBParameters", rds("pg", "any")),
        *SEEING_DEPENDENTS,
        *each("ec2:DescribeSecurityGroups", "*"),
        *each("rds:DescribeAccountAttributes DescribeDBClusterAutomatedBackups DescribeDBEngineVersions", "*"),
        *each("rds:DescribeDBMajorEngineVersions DescribeOrderableDBInstanceOptions DescribeExportTasks", "*"),
        *each("s3:GetBucketLocation", "arn:aws:s3:::exports"),
        *each("iam:GetRole", GIVEN["ExportRoleArn"]),
        *each("iam:GetRole", GIVEN["MonitoringRoleArn"]),
        *each("states:DescribeExecution", f"arn:aws:states:{HERE}:{OWN}:execution:aurora-restore-pipeline:op-1"),
        *each("secretsmanager:DescribeSecret", ADMIN),
        *each("secretsmanager:GetSecretValue", APPLICATION),
        *each("secretsmanager:GetSecretValue", TARGETS_APPLICATION),
        *each("secretsmanager:DescribeSecret", NOT_MADE_YET),
        *each("secretsmanager:DescribeSecret", TARGETS_APPLICATION),
        *each("secretsmanager:CreateSecret TagResource", TARGETS_ADMIN, tagged("requesttag")),
        *each("secretsmanager:CreateSecret TagResource", TARGETS_APPLICATION, tagged("requesttag")),
        *each("secretsmanager:DescribeSecret", SALT_NOT_MADE_YET),
        *each("secretsmanager:CreateSecret TagResource", SALT, tagged("requesttag")),
        *(
            ("s3:GetObjectVersion", f"arn:aws:s3:::policies/masking/{number}.yaml", {"s3:versionid": f"v{number}"})
            for number in range(5)
        ),
        *(
            ("s3:GetObjectVersion", f"arn:aws:s3:::policies/checks/{number}.yaml", {"s3:versionid": f"c{number}"})
            for number in range(5)
        ),
        *READERS,
    ],
    "CopySnapshotRole": [
        *SNAPSHOTS,
        *ASSUMED,
        *REMOVED_COPIES,
        *KEYS,
        *LOOKED_AT,
        *(asked for name in FOUND for asked in each("rds:CopyDBClusterSnapshot", snapshot(name, region=THERE))),
        *each("rds:DescribeDBClusterSnapshots", snapshot("shared", OWNER)),
        *each("rds:CopyDBClusterSnapshot", snapshot("weekly-orders", OWNER, THERE)),
        *each("rds:CopyDBClusterSnapshot", snapshot("prod-orders-copy-0123456789ab", OWNER, THERE)),
        *(asked for tag in TAGS for asked in each("rds:AddTagsToResource CopyDBClusterSnapshot", COPY, MARKED | tag)),
        *each("rds:AddTagsToResource", COPY, MARKED),
        *each("rds:DescribeAccountAttributes", "*"),
        *each(OF_OTHERS, key("any", OWNER, THERE), via("rds", THERE)),
    ],
    "CheckCopyStatusRole": [*SNAPSHOTS, *ASSUMED],
    "RestoreSnapshotRole": [
        *reading(HERE),
        *KEYS,
        *LOOKED_AT,
        *each("rds:DescribeDBClusterSnapshots", snapshot("any")),
        *each("rds:DescribeDBClusterSnapshots", cluster("any")),
        *(
            asked
            for tag in TAGS
            for asked in (
                *each("rds:RestoreDBClusterFromSnapshot AddTagsToResource", cluster("staging-orders"), MARKED | tag),
                *each("rds:RestoreDBClusterFromSnapshot AddTagsToResource", TEMPORARY, MARKED | tag),
                *each("rds:CreateDBInstance AddTagsToResource", MEMBER, MARKED | tag),
            )
        ),
        *(
            asked
            for kind, name in (
                *(("cluster-pg", "any"), ("pg", "any"), ("og", "any")),
                *(("subgrp", "SubnetGroup"), ("subgrp", "team-orders")),
            )
            for asked in each("rds:RestoreDBClusterFromSnapshot CreateDBInstance", rds(kind, name))
        ),
        *(asked for name in FOUND for asked in each("rds:RestoreDBClusterFromSnapshot", snapshot(name))),
        *each(TOUCHING, cluster("staging-orders"), OURS),
        *each(TOUCHING, cluster("staging-orders"), OURS | UNPROTECTED),
        *each(TOUCHING, TEMPORARY, OURS),
        *each("secretsmanager:CreateSecret TagResource", RDS_SECRET),
        *each(THROUGH_RDS, key("Key"), via("secretsmanager")),
        *each(THROUGH_RDS, key("Key"), via("rds")),
        *each("secretsmanager:GetSecretValue PutSecretValue", ADMIN),
        *each("secretsmanager:GetSecretValue PutSecretValue", TARGETS_ADMIN),
        *each("iam:PassRole", GIVEN["MonitoringRoleArn"], passed_to("monitoring.rds")),
    ],
    "CheckRestoreStatusRole": [*reading(HERE), *each("rds:DescribeEvents", "*")],
    "EndWaitRole": [
        *each("states:SendTaskSuccess", MACHINE),
        *each("dynamodb:GetItem", table("StateTable"), chain("waiting#eu-central-1#staging-orders")),
        *each("kms:Decrypt GenerateDataKey", key("Key"), via("dynamodb")),
        *each("xray:PutTelemetryRecords PutTraceSegments", "*"),
    ],
    "OpenClusterRole": [
        *reading(HERE),
        *each("rds:DescribeEvents", "*"),
        *each(OPENING, cluster("staging-orders"), OURS),
        *each(OPENING, cluster("staging-orders"), OURS | UNPROTECTED),
        *each("rds:AddTagsToResource", cluster("staging-orders"), OURS | EXPIRY_SET),
    ],
    "SwapClusterRole": [
        *reading(HERE),
        *each("rds:DescribeEvents", "*"),
        *SEEING_DEPENDENTS,
        *(
            asked
            for name in (cluster("staging-orders"), TEMPORARY, cluster(PREVIOUS), cluster(f"{PREVIOUS}-2"))
            for asked in (
                *each(SWAPPING, name, OURS),
                *each("rds:ModifyDBCluster", name),
                *each("rds:AddTagsToResource", name, OURS | ROLES_SET),
            )
        ),
        *each(SWAPPING, TEMPORARY + "-2", OURS | UNPROTECTED),
        *each("rds:ModifyDBCluster", TEMPORARY + "-2"),
        *each("rds:AddTagsToResource", TEMPORARY + "-2", OURS | ROLES_SET),
        *(
            asked
            for name in (cluster("staging-orders"), cluster(PREVIOUS))
            for asked in (
                *each(SWAPPING, name, REPLACEABLE | UNPROTECTED),
                *each("rds:AddTagsToResource", name, REPLACEABLE | ROLES_SET),
            )
        ),
        *each("rds:RebootDBInstance", MEMBER, OURS | UNPROTECTED),
        *each("rds:RebootDBInstance", instance("billing-1"), REPLACEABLE),
        *each("secretsmanager:DescribeSecret UpdateSecretVersionStage", ADMIN),
        *each("secretsmanager:DescribeSecret UpdateSecretVersionStage", TARGETS_ADMIN),
    ],
    "CheckSwapRole": [
        *each("secretsmanager:GetSecretValue", ADMIN),
        *each("secretsmanager:GetSecretValue", TARGETS_ADMIN),
        *each("ec2:AssignPrivateIpAddresses CreateNetworkInterface DeleteNetworkInterface", "*"),
        *each("ec2:DescribeNetworkInterfaces DescribeSubnets UnassignPrivateIpAddresses", "*"),
    ],
    "ExpireClustersRole": [
        *reading(HERE),
        *each(ENDING, cluster("staging-orders"), OURS | EXPIRES),
        *each(ENDING, cluster(PREVIOUS), OURS | EXPIRES | REPLACED),
        *each(ENDING, cluster(f"{PREVIOUS}-2"), OURS | EXPIRES | REPLACED),
        *each("rds:DeleteDBInstance", MEMBER, OURS | UNPROTECTED),
        *each(ENDING_OF_OTHERS, cluster(PREVIOUS), REPLACEABLE | EXPIRES | REPLACED),
        *each(ENDING_OF_OTHERS, cluster(f"{PREVIOUS}-2"), REPLACEABLE | EXPIRES | REPLACED | UNPROTECTED),
        *each(ENDING_OF_OTHERS, THEIR_FINAL),
        *each("rds:DeleteDBInstance", instance("billing-1"), REPLACEABLE | UNPROTECTED),
        *each("rds:DescribeDBClusterSnapshots", THEIR_FINAL),
        *each("rds:DescribeDBClusterSnapshots", cluster("any")),
        *each("rds:AddTagsToResource", THEIR_FINAL, MARKED),
        *each("rds:DescribeAccountAttributes DescribeDBClusterAutomatedBackups", "*"),
        *each("kms:DescribeKey", key("any")),
        *each("states:DescribeExecution", f"arn:aws:states:{HERE}:{OWN}:execution:aurora-restore-expiry:sweep-1"),
        *each("secretsmanager:DescribeSecret", NOT_MADE_YET),
        *each("secretsmanager:DescribeSecret", TARGETS_APPLICATION),
        *each("secretsmanager:DeleteSecret", TARGETS_ADMIN, tagged("resourcetag")),
        *each("secretsmanager:DeleteSecret", TARGETS_APPLICATION, tagged("resourcetag")),
        *each("sns:Publish", f"arn:aws:sns:{HERE}:{OWN}:Topic"),
    ],
    "TransformDataRole": [
        *each("secretsmanager:GetSecretValue", ADMIN),
        *each("secretsmanager:GetSecretValue", TARGETS_ADMIN),
        *each("secretsmanager:DescribeSecret GetSecretValue", RDS_SECRET, kept_by_rds(cluster("staging-orders"))),
        *each("secretsmanager:DeleteSecret GetSecretValue", SALT, tagged("resourcetag")),
        *each("ec2:AssignPrivateIpAddresses CreateNetworkInterface DeleteNetworkInterface", "*"),
        *each("ec2:DescribeNetworkInterfaces DescribeSubnets UnassignPrivateIpAddresses", "*"),
    ],
    "VerifyDataRole": [
        *each("secretsmanager:GetSecretValue", ADMIN),
        *each("secretsmanager:GetSecretValue", TARGETS_ADMIN),
        *READERS,
        *each("secretsmanager:DescribeSecret GetSecretValue", RDS_SECRET, kept_by_rds(cluster("staging-orders"))),
        *each("ec2:AssignPrivateIpAddresses CreateNetworkInterface DeleteNetworkInterface", "*"),
        *each("ec2:DescribeNetworkInterfaces DescribeSubnets UnassignPrivateIpAddresses", "*"),
    ],
    "SetupDbUsersRole": [
        *each("secretsmanager:DescribeSecret GetSecretValue UpdateSecretVersionStage", ADMIN),
        *each("secretsmanager:DescribeSecret GetSecretValue UpdateSecretVersionStage", TARGETS_ADMIN),
        *each("secretsmanager:DescribeSecret GetSecretValue", RDS_SECRET, kept_by_rds(cluster("staging-orders"))),
        *each("secretsmanager:GetSecretValue PutSecretValue", APPLICATION),
        *each("secretsmanager:GetSecretValue PutSecretValue", TARGETS_APPLICATION),
        *each("ec2:AssignPrivateIpAddresses CreateNetworkInterface DeleteNetworkInterface", "*"),
        *each("ec2:DescribeNetworkInterfaces DescribeSubnets UnassignPrivateIpAddresses", "*"),
    ],
    "DeleteRdsRole": [
        *reading(),
        *FINAL_SNAPSHOTS,
        *each("rds:DescribeAccountAttributes DescribeDBClusterAutomatedBackups", "*"),
        *each("kms:DescribeKey", key("any", region=THERE)),
        *each("rds:DeleteDBCluster", cluster("staging-orders"), OURS),
        *each("rds:DeleteDBCluster", TEMPORARY, OURS),
        *each("rds:DeleteDBInstance", MEMBER, OURS | UNPROTECTED),
        *each("rds:DeleteDBCluster CreateDBClusterSnapshot ModifyDBCluster", cluster("retired-1", region=THERE)),
        *each("rds:DeleteDBCluster CreateDBClusterSnapshot AddTagsToResource", FINAL),
        *each("rds:DeleteDBInstance", instance("retiring-1", region=THERE)),
    ],
    "CheckDeleteStatusRole": [
        *each("rds:DescribeDBClusters", cluster("any", region=THERE)),
        *FINAL_SNAPSHOTS,
        *each("rds:AddTagsToResource", FINAL, MARKED),
    ],
    "ArchiveSnapshotRole": [
        *SNAPSHOTS,
        *reading(HERE),
        *ASSUMED,
        *REMOVED_COPIES,
        *each("rds:CancelExportTask DescribeExportTasks", "*"),
        *(asked for name in FOUND for asked in each("rds:StartExportTask", snapshot(name))),
        *each("iam:PassRole", GIVEN["ExportRoleArn"], passed_to("export.rds")),
        *each("kms:CreateGrant DescribeKey", GIVEN["ExportKmsKeyId"], via("rds")),
    ],
    "SnsNotificationRole": [
        *SNAPSHOTS,
        *reading(),
        *each("cloudtrail:LookupEvents", "*"),
        *each("sns:Publish", f"arn:aws:sns:{HERE}:{OWN}:Topic"),
        *each("secretsmanager:DescribeSecret UpdateSecretVersionStage", ADMIN),
        *each("secretsmanager:DescribeSecret UpdateSecretVersionStage", TARGETS_ADMIN),
        *each("secretsmanager:DescribeSecret", NOT_MADE_YET),
        *each("secretsmanager:DeleteSecret", TARGETS_ADMIN, tagged("resourcetag")),
        *each("secretsmanager:DeleteSecret", TARGETS_APPLICATION, tagged("resourcetag")),
        *each("secretsmanager:DescribeSecret", SALT_NOT_MADE_YET),
        *each("secretsmanager:DeleteSecret", SALT, tagged("resourcetag")),
        *each("states:StartExecution", f"arn:aws:states:{HERE}:{OWN}:stateMachine:aurora-restore-pipeline"),
        *each("s3:PutObject GetObject", LINK),
        *each("s3:PutObject", evidence("keys/0123.pem")),
        *each("s3:PutObject", evidence("index.html")),
        *each("kms:Decrypt GenerateDataKey", key("Key"), via("s3")),
        *each("kms:Sign", key("EvidenceKey"), signed()),
        *each("kms:GetPublicKey", key("EvidenceKey")),
        *each("dynamodb:PutItem Query", table("AuditTable"), chain("evidence#chain")),
        *each("events:PutEvents", BUS, announced()),
    ],
    "StatePolicy": [
        *each("dynamodb:BatchGetItem GetItem PutItem UpdateItem", table("StateTable")),
        *each("dynamodb:PutItem", table("AuditTable")),
        *each("dynamodb:PutItem", table("AuditTable"), chain("op-1")),
        *each("xray:PutTelemetryRecords PutTraceSegments", "*"),
        *(
            asked
            for service in ("dynamodb", "secretsmanager", "sns")
            for asked in each("kms:Decrypt GenerateDataKey", key("Key"), via(service))
        ),
    ],
    "StateMachineRole": [
        *each("lambda:InvokeFunction", function("SnapshotCheckFunction")),
        *(asked for name in STEPS for asked in each("lambda:InvokeFunction", f"{function(name)}:live")),
        *each("dynamodb:PutItem", table("StateTable"), chain("waiting#eu-central-1#staging-orders")),
        *each("kms:Decrypt GenerateDataKey", key("Key"), via("dynamodb")),
        *each("logs:CreateLogDelivery DeleteLogDelivery DescribeLogGroups DescribeResourcePolicies", "*"),
        *each("logs:GetLogDelivery ListLogDeliveries PutResourcePolicy UpdateLogDelivery", "*"),
        *each("xray:GetSamplingRules GetSamplingTargets PutTelemetryRecords PutTraceSegments", "*"),
    ],
    "ScheduleRole": [
        *each("states:StartExecution", f"arn:aws:states:{HERE}:{OWN}:stateMachine:StateMachine"),
        *each("sqs:SendMessage", f"arn:aws:sqs:{HERE}:{OWN}:DeadLetters"),
    ],
    "ExpiryMachineRole": [
        *each("lambda:InvokeFunction", f"{function('ExpireClustersFunction')}:live"),
        *each("logs:CreateLogDelivery DeleteLogDelivery DescribeLogGroups DescribeResourcePolicies", "*"),
        *each("logs:GetLogDelivery ListLogDeliveries PutResourcePolicy UpdateLogDelivery", "*"),
        *each("xray:GetSamplingRules GetSamplingTargets PutTelemetryRecords PutTraceSegments", "*"),
    ],
    "ExpirySweepsRole": [
        *each("states:StartExecution", f"arn:aws:states:{HERE}:{OWN}:stateMachine:ExpiryMachine"),
        *each("sqs:SendMessage", f"arn:aws:sqs:{HERE}:{OWN}:DeadLetters"),
    ],
}

REFUSED: dict[str, list[Asked]] = {
    "SnapshotCheckRole": [
        *STRANGERS_THINGS,
        *NOT_SEEN,
        *NOT_ASSUMED,
        *NO_ITEMS_DELETED,
        *each("kms:DescribeKey", key("any", STRANGER)),
        *each("rds:DescribeDBSubnetGroups", rds("subgrp", "any", region=THERE)),
        *each("rds:DescribeDBClusterParameterGroups DescribeDBClusterParameters", rds("cluster-pg", "any", STRANGER)),
        *each("rds:DescribeDBParameterGroups DescribeDBParameters", rds("pg", "any", STRANGER)),
        *each("s3:GetBucketLocation", "arn:aws:s3:::another"),
        *each("iam:GetRole", iam_role("admin")),
        *each("states:DescribeExecution", f"arn:aws:states:{HERE}:{OWN}:execution:payroll:op-1"),
        *each("secretsmanager:DescribeSecret", OTHER_SECRET),
        *each("secretsmanager:GetSecretValue", OTHER_SECRET),
        # Whether a master login is staged is all that it has to know.
        *each("secretsmanager:GetSecretValue", ADMIN),
        *each("secretsmanager:GetSecretValue", TARGETS_ADMIN),
        *each("secretsmanager:DescribeSecret GetSecretValue", OTHERS_APPLICATION),
        # What isn't marked as this stack's, for a target, isn't made; nor is anything else.
        *lacking_one("secretsmanager:CreateSecret TagResource", TARGETS_ADMIN, "requesttag"),
        *each("secretsmanager:CreateSecret TagResource", OTHERS_ADMIN, tagged("requesttag")),
        *each("secretsmanager:PutSecretValue UpdateSecret DeleteSecret", TARGETS_ADMIN, tagged("resourcetag")),
        # The salt is made here and read elsewhere.
        *each("secretsmanager:GetSecretValue DeleteSecret", SALT, tagged("resourcetag")),
        *lacking_one("secretsmanager:CreateSecret TagResource", SALT, "requesttag"),
        *each("secretsmanager:CreateSecret TagResource DescribeSecret", OTHERS_SALT, tagged("requesttag")),
        # Nothing of S3 but the masking policies, in their one version.
        *each("s3:GetObjectVersion", POLICY_FILE, {"s3:versionid": "another"}),
        *each("s3:GetObjectVersion", CHECKS_FILE, {"s3:versionid": "another"}),
        *each("s3:PutObject DeleteObjectVersion", CHECKS_FILE, {"s3:versionid": "c1"}),
        *each("s3:GetObjectVersion", POLICY_FILE),
        *each("s3:GetObject", POLICY_FILE),
        *each("s3:GetObjectVersion", "arn:aws:s3:::policies/other.yaml", {"s3:versionid": "v1"}),
        *each("s3:GetObjectVersion", "arn:aws:s3:::policies/other.yaml", {"s3:versionid": "c1"}),
        *each("s3:PutObject DeleteObjectVersion", POLICY_FILE, {"s3:versionid": "v1"}),
        *NO_OTHER_READERS,
    ],
    "CopySnapshotRole": [
        *STRANGERS_THINGS,
        *NOT_ASSUMED,
        *NOT_REMOVED,
        *NO_KEYS,
        *NOT_LOOKED_AT,
        *each("rds:CopyDBClusterSnapshot", snapshot("weekly-orders", STRANGER)),
        *(asked for name in NOT_FOUND for asked in each("rds:CopyDBClusterSnapshot", snapshot(name))),
        *each("rds:CopyDBClusterSnapshot", snapshot("billing-monthly", OWNER)),
        *each("rds:AddTagsToResource CopyDBClusterSnapshot", COPY, MARKED | OTHER_TAG),
        *each("rds:AddTagsToResource", snapshot("prod-orders-copy-1"), MARKED),
        # Nothing but copies is marked, and with the operation's id.
        *each("rds:AddTagsToResource", COPY),
        *each("rds:AddTagsToResource", snapshot("prod-orders-monthly"), MARKED),
        *each("rds:AddTagsToResource", cluster(SOURCE), MARKED),
        *each("rds:CopyDBClusterSnapshot", cluster(SOURCE), MARKED),
        *each(OF_OTHERS, key("any", OWNER, THERE)),
    ],
    "CheckCopyStatusRole": [*STRANGERS_THINGS, *NOT_ASSUMED],
    "RestoreSnapshotRole": [
        *STRANGERS_THINGS,
        *NO_KEYS,
        *NOT_LOOKED_AT,
        # What isn't marked as ours while it is made isn't made; what exists isn't marked.
        *each("rds:RestoreDBClusterFromSnapshot AddTagsToResource", cluster("staging-orders")),
        *each("rds:CreateDBInstance AddTagsToResource", MEMBER),
        # Nor what isn't named as the stack names it, from what isn't, with other tags, in other networks.
        *each("rds:RestoreDBClusterFromSnapshot AddTagsToResource", cluster("billing"), MARKED),
        *each("rds:CreateDBInstance AddTagsToResource", instance("billing-1"), MARKED),
        *each("rds:RestoreDBClusterFromSnapshot AddTagsToResource", cluster("staging-orders"), MARKED | OTHER_TAG),
        *each("rds:CreateDBInstance AddTagsToResource", MEMBER, MARKED | OTHER_TAG),
        *(asked for name in NOT_FOUND for asked in each("rds:RestoreDBClusterFromSnapshot", snapshot(name))),
        *each("rds:RestoreDBClusterFromSnapshot", snapshot("weekly-orders", OWNER)),
        *each("rds:RestoreDBClusterFromSnapshot CreateDBInstance", rds("subgrp", "public")),
        *each("rds:RestoreDBClusterFromSnapshot CreateDBInstance", rds("cluster-pg", "any", STRANGER)),
        *each("rds:DescribeDBClusterSnapshots", snapshot("any", region=THERE)),
        *each(TOUCHING, cluster("billing"), OURS),
        *each("rds:RestoreDBClusterFromSnapshot AddTagsToResource", cluster("staging-orders", region=THERE), MARKED),
        *each(
            "rds:CreateDBInstance AddTagsToResource", instance("staging-orders-0123456789ab-1", region=THERE), MARKED
        ),
        *each("rds:AddTagsToResource", snapshot("prod-orders-tuesday"), MARKED),
        # Nobody is let in before the users are set up.
        *each("rds:EnableHttpEndpoint", cluster("staging-orders"), OURS),
        # What isn't ours isn't changed, wherever it is.
        *each(TOUCHING, cluster("other-orders")),
        *each(TOUCHING, cluster("staging-orders", region=THERE), OURS),
        # The source not even with our tag on it.
        *each(TOUCHING, cluster(SOURCE), OURS),
        *each("rds:AddTagsToResource", cluster(SOURCE), MARKED),
        # And what is protected neither.
        *each(TOUCHING, cluster("staging-orders"), OURS | PROTECTED),
        *each("rds:AddTagsToResource", cluster("staging-orders"), MARKED | PROTECTED),
        *each("rds:AddTagsToResource", MEMBER, MARKED | PROTECTED),
        *each("secretsmanager:CreateSecret TagResource", OTHER_SECRET),
        *each(THROUGH_RDS, key("Key")),
        *each("kms:CreateGrant", key("another"), via("secretsmanager")),
        *each("secretsmanager:GetSecretValue PutSecretValue", OTHER_SECRET),
        *each("secretsmanager:GetSecretValue PutSecretValue", APPLICATION),
        *each("secretsmanager:GetSecretValue PutSecretValue", TARGETS_APPLICATION),
        *each("secretsmanager:GetSecretValue PutSecretValue", OTHERS_ADMIN),
        *each("iam:PassRole", iam_role("admin"), passed_to("monitoring.rds")),
        *each("iam:PassRole", GIVEN["MonitoringRoleArn"], passed_to("ec2")),
    ],
    "CheckRestoreStatusRole": STRANGERS_THINGS,
    "EndWaitRole": [
        # No other machine's waits, and none by a failure.
        *each("states:SendTaskSuccess", f"arn:aws:states:{HERE}:{OWN}:stateMachine:payroll"),
        *each("states:SendTaskFailure", MACHINE),
        # Of the tables it reads nothing but tokens, and writes nothing.
        *each("dynamodb:GetItem", table("StateTable"), chain("op-1")),
        *each("dynamodb:GetItem", table("StateTable"), chain("lock#staging-orders")),
        *each("dynamodb:GetItem", table("StateTable")),
        *each("dynamodb:GetItem", table("AuditTable"), chain("waiting#eu-central-1#staging-orders")),
        *each("dynamodb:PutItem UpdateItem", table("StateTable"), chain("waiting#eu-central-1#staging-orders")),
        *each("dynamodb:PutItem", table("AuditTable"), chain("op-1")),
        *each("kms:Decrypt GenerateDataKey", key("Key")),
        *each("kms:Decrypt GenerateDataKey", key("Key"), via("secretsmanager")),
        *each("kms:Decrypt GenerateDataKey", key("another"), via("dynamodb")),
    ],
    "OpenClusterRole": [
        *STRANGERS_THINGS,
        # What isn't ours isn't opened, the source not even with our tag on it, and what is protected neither.
        *each(OPENING, cluster("other-orders")),
        *each(OPENING, cluster("billing"), OURS),
        *each(OPENING, cluster("staging-orders", region=THERE), OURS),
        *each(OPENING, cluster(SOURCE), OURS),
        *each(OPENING, cluster("staging-orders"), OURS | PROTECTED),
        *each("rds:CreateDBInstance FailoverDBCluster DeleteDBCluster", cluster("staging-orders"), OURS),
        *each("rds:AddTagsToResource", cluster("staging-orders"), MARKED),
        *each("secretsmanager:GetSecretValue", ADMIN),
        # What it tags is ours, with the moment of expiry and with nothing else.
        *each("rds:AddTagsToResource", cluster("staging-orders"), EXPIRY_SET),
        *each("rds:AddTagsToResource", cluster("billing"), OURS | EXPIRY_SET),
        *each("rds:AddTagsToResource", cluster(SOURCE), OURS | EXPIRY_SET),
        *each("rds:AddTagsToResource", cluster("staging-orders"), OURS | EXPIRY_SET | PROTECTED),
        *each("rds:AddTagsToResource", cluster("staging-orders"), OURS | {"aws:tagkeys": ()}),
        *each(
            "rds:AddTagsToResource",
            cluster("staging-orders"),
            OURS | EXPIRY_SET | {"aws:tagkeys": ("aurora-restore:expires-at", "aurora-restore:protected")},
        ),
    ],
    "SwapClusterRole": [
        *STRANGERS_THINGS,
        *NOT_SEEN,
        # What is neither ours nor replaceable by its owner's word stays, and so does what is named otherwise.
        *each(SWAPPING_BY_TAG, cluster("staging-orders")),
        *each(SWAPPING_BY_TAG, cluster("staging-orders"), {"aws:resourcetag/aurora-restore:replaceable": "no"}),
        *each(SWAPPING, cluster("billing"), OURS),
        *each(SWAPPING, cluster("billing"), REPLACEABLE),
        *each("rds:ModifyDBCluster", cluster("billing-old-0123456789ab")),
        *each(SWAPPING, cluster("staging-orders", region=THERE), OURS),
        # The source not even with our tag on it, and what is protected neither.
        *each(SWAPPING, cluster(SOURCE), OURS),
        *each("rds:AddTagsToResource", cluster(SOURCE), OURS | ROLES_SET),
        *each(SWAPPING, cluster("staging-orders"), OURS | PROTECTED),
        *each("rds:AddTagsToResource", cluster("staging-orders"), OURS | ROLES_SET | PROTECTED),
        *each("rds:RebootDBInstance", MEMBER, OURS | PROTECTED),
        *each("rds:RebootDBInstance", MEMBER),
        *each("rds:RebootDBInstance", instance("billing-1"), OURS),
        *each("rds:RebootDBInstance", instance("staging-orders-0123456789ab-1", region=THERE), OURS),
        *each("rds:RebootDBInstance", instance("billing-1", region=THERE), REPLACEABLE),
        # It tags roles and moments of expiry, of what it may swap, and nothing else.
        *each("rds:AddTagsToResource", cluster("staging-orders"), ROLES_SET),
        *each("rds:AddTagsToResource", cluster("billing"), OURS | ROLES_SET),
        *each("rds:AddTagsToResource", cluster("billing"), REPLACEABLE | ROLES_SET),
        *(
            asked
            for whose in (OURS, REPLACEABLE)
            for asked in (
                *each("rds:AddTagsToResource", cluster("staging-orders"), whose | EXPIRY_SET),
                *each("rds:AddTagsToResource", cluster("staging-orders"), whose | {"aws:tagkeys": ()}),
                *each(
                    "rds:AddTagsToResource",
                    cluster("staging-orders"),
                    whose | ROLES_SET | {"aws:tagkeys": (*ROLES, "aurora-restore:protected")},
                ),
            )
        ),
        *each("rds:DeleteDBCluster CreateDBInstance FailoverDBCluster", cluster("staging-orders"), OURS),
        # It moves labels, and sees no login.
        *each("secretsmanager:GetSecretValue PutSecretValue DeleteSecret", ADMIN),
        *each("secretsmanager:GetSecretValue PutSecretValue DeleteSecret", TARGETS_ADMIN),
        *each("secretsmanager:DescribeSecret UpdateSecretVersionStage", OTHERS_ADMIN),
        *each("secretsmanager:DescribeSecret UpdateSecretVersionStage", TARGETS_APPLICATION),
    ],
    "CheckSwapRole": [
        *each("secretsmanager:GetSecretValue", OTHER_SECRET),
        *each("secretsmanager:GetSecretValue", OTHERS_ADMIN),
        *each("secretsmanager:PutSecretValue UpdateSecretVersionStage", ADMIN),
        *each("secretsmanager:PutSecretValue UpdateSecretVersionStage", TARGETS_ADMIN),
        *each("secretsmanager:GetSecretValue PutSecretValue", APPLICATION),
        *each("secretsmanager:GetSecretValue PutSecretValue", TARGETS_APPLICATION),
        *each("ec2:AssignPrivateIpAddresses CreateNetworkInterface DeleteNetworkInterface", "*", FROM_SWAPS_CODE),
        *each("ec2:DescribeNetworkInterfaces DescribeSubnets UnassignPrivateIpAddresses", "*", FROM_SWAPS_CODE),
    ],
    "ExpireClustersRole": [
        *STRANGERS_THINGS,
        *NO_ITEMS_DELETED,
        # What lacks one of the two tags stays, and so does what is protected, and what the stack does not create.
        *each(ENDING, cluster("staging-orders"), OURS),
        *each(ENDING, cluster("staging-orders"), EXPIRES),
        *each(ENDING, cluster("billing"), OURS | EXPIRES),
        *each(ENDING, cluster("staging-orders", region=THERE), OURS | EXPIRES),
        *each(ENDING, cluster(SOURCE), OURS | EXPIRES),
        *each(ENDING, cluster("staging-orders"), OURS | EXPIRES | PROTECTED),
        # Names move between clusters: what is live is refused under any, and what has an old one's has to be one.
        *each(ENDING, cluster("staging-orders"), OURS | EXPIRES | {ROLE: "live"}),
        *each(ENDING, cluster("staging-orders"), OURS | EXPIRES | {ROLE: "swapping"}),
        *each(ENDING, cluster("billing-old-0123456789ab"), OURS | EXPIRES | REPLACED),
        *each(ENDING, cluster("billing"), OURS | EXPIRES | REPLACED),
        *each(ENDING, cluster(PREVIOUS), OURS | EXPIRES),
        *each(ENDING, cluster(PREVIOUS), OURS | EXPIRES | {ROLE: "live"}),
        *each(ENDING, cluster(PREVIOUS), OURS | EXPIRES | {ROLE: "swapping"}),
        *each(ENDING, cluster(PREVIOUS), OURS | REPLACED),
        *each(ENDING, cluster(PREVIOUS), EXPIRES | REPLACED),
        *each(ENDING, cluster(PREVIOUS), OURS | EXPIRES | REPLACED | PROTECTED),
        # Those of others: all three tags, an old one's name, nothing that is protected or live. They are not changed.
        *each(ENDING_OF_OTHERS, cluster(PREVIOUS), REPLACEABLE | EXPIRES),
        *each(ENDING_OF_OTHERS, cluster(PREVIOUS), REPLACEABLE | REPLACED),
        *each("rds:CreateDBClusterSnapshot", cluster(PREVIOUS), EXPIRES | REPLACED),
        *each(ENDING_OF_OTHERS, cluster(PREVIOUS), NOT_REPLACEABLE | EXPIRES | REPLACED),
        *each(ENDING_OF_OTHERS, cluster("staging-orders"), REPLACEABLE | EXPIRES | REPLACED),
        *each(ENDING_OF_OTHERS, cluster("billing-old-0123456789ab"), REPLACEABLE | EXPIRES | REPLACED),
        *each(ENDING_OF_OTHERS, cluster(PREVIOUS, region=THERE), REPLACEABLE | EXPIRES | REPLACED),
        *each("rds:DeleteDBCluster", cluster(PREVIOUS), REPLACEABLE | EXPIRES | REPLACED | PROTECTED),
        *each(ENDING_OF_OTHERS, cluster(PREVIOUS), REPLACEABLE | EXPIRES | {ROLE: "live"}),
        *each("rds:ModifyDBCluster", cluster(PREVIOUS), REPLACEABLE | EXPIRES | REPLACED),
        *each("rds:DeleteDBInstance", instance("billing-1"), NOT_REPLACEABLE),
        *each("rds:DeleteDBInstance", instance("billing-1"), REPLACEABLE | PROTECTED),
        *each("rds:DeleteDBInstance", instance("billing-1", region=THERE), REPLACEABLE),
        *each(ENDING_OF_OTHERS, snapshot("staging-orders-monthly")),
        *each(ENDING_OF_OTHERS, snapshot("staging-orders-final-0123456789ab", region=THERE)),
        *each("rds:DescribeDBClusterSnapshots", snapshot("staging-orders-monthly")),
        *each("rds:AddTagsToResource", snapshot("staging-orders-monthly"), MARKED),
        *each("rds:AddTagsToResource", snapshot("staging-orders-final-0123456789ab", region=THERE), MARKED),
        *each("rds:DeleteDBClusterSnapshot", THEIR_FINAL, OURS),
        *each("kms:DescribeKey", key("any", STRANGER)),
        *each("kms:DescribeKey", key("any", region=THERE)),
        *each("rds:DeleteDBInstance", MEMBER, EXPIRES),
        *each("rds:DeleteDBInstance", MEMBER, OURS | PROTECTED),
        *each("rds:DeleteDBInstance", instance("billing-1"), OURS),
        *each("rds:DeleteDBInstance", instance("staging-orders-0123456789ab-1", region=THERE), OURS),
        # It neither gives a cluster the tags that it needs, nor takes away the one that protects.
        *each("rds:AddTagsToResource RemoveTagsFromResource", cluster("staging-orders"), OURS | EXPIRY_SET),
        *each("rds:CreateDBClusterSnapshot", cluster("staging-orders"), OURS | EXPIRES),
        *each("states:DescribeExecution", f"arn:aws:states:{HERE}:{OWN}:execution:payroll:op-1"),
        *each("sns:Publish", f"arn:aws:sns:{HERE}:{OWN}:payroll"),
        *each("secretsmanager:GetSecretValue PutSecretValue", TARGETS_ADMIN, tagged("resourcetag")),
        *each("secretsmanager:DescribeSecret", OTHERS_ADMIN),
        *each("secretsmanager:DeleteSecret", ADMIN, tagged("resourcetag")),
        *each("secretsmanager:DeleteSecret", OTHERS_ADMIN, tagged("resourcetag")),
        *lacking_one("secretsmanager:DeleteSecret", TARGETS_ADMIN, "resourcetag"),
    ],
    "TransformDataRole": [
        *each("secretsmanager:GetSecretValue", OTHER_SECRET),
        *each("secretsmanager:GetSecretValue", OTHERS_ADMIN),
        # It masks, and gives nobody a login.
        *each("secretsmanager:PutSecretValue UpdateSecretVersionStage", ADMIN),
        *each("secretsmanager:PutSecretValue UpdateSecretVersionStage", TARGETS_ADMIN),
        *each("secretsmanager:GetSecretValue PutSecretValue", APPLICATION),
        *each("secretsmanager:GetSecretValue PutSecretValue", TARGETS_APPLICATION),
        # Of the salts this stack's alone, by name and tag; and what is no salt stays.
        *each("secretsmanager:DeleteSecret GetSecretValue", OTHERS_SALT, tagged("resourcetag")),
        *each("secretsmanager:DeleteSecret GetSecretValue", SALT, tagged("resourcetag", "application")),
        *each("secretsmanager:DeleteSecret GetSecretValue", SALT, tagged("resourcetag", "aurora-restore:operation-id")),
        *each("secretsmanager:DeleteSecret GetSecretValue", secret("aurora-restore/masking/x"), tagged("resourcetag")),
        *each("secretsmanager:DeleteSecret", TARGETS_ADMIN, tagged("resourcetag")),
        *each("secretsmanager:CreateSecret TagResource", SALT, tagged("requesttag")),
        *each(
            "secretsmanager:DescribeSecret GetSecretValue",
            RDS_SECRET,
            kept_by_rds(cluster("staging-orders"), owning_service=None),
        ),
        *each(
            "secretsmanager:DescribeSecret GetSecretValue",
            RDS_SECRET,
            kept_by_rds(cluster("staging-orders", region=THERE)),
        ),
        *each("secretsmanager:DescribeSecret GetSecretValue", RDS_SECRET, kept_by_rds(cluster("billing"))),
        *each("secretsmanager:DescribeSecret GetSecretValue", OTHER_SECRET, kept_by_rds(cluster("staging-orders"))),
        *each("secretsmanager:GetSecretValue", RDS_SECRET, kept_by_rds(cluster(SOURCE))),
        *each("ec2:AssignPrivateIpAddresses CreateNetworkInterface DeleteNetworkInterface", "*", FROM_MASKINGS_CODE),
        *each("ec2:DescribeNetworkInterfaces DescribeSubnets UnassignPrivateIpAddresses", "*", FROM_MASKINGS_CODE),
        *each("s3:GetObjectVersion", POLICY_FILE, {"s3:versionid": "v1"}),
    ],
    "VerifyDataRole": [
        *NO_OTHER_READERS,
        *each("secretsmanager:GetSecretValue", OTHER_SECRET),
        *each("secretsmanager:GetSecretValue", OTHERS_ADMIN),
        # It checks, and gives nobody a login.
        *each("secretsmanager:PutSecretValue UpdateSecretVersionStage", ADMIN),
        *each("secretsmanager:PutSecretValue UpdateSecretVersionStage", TARGETS_ADMIN),
        *each("secretsmanager:GetSecretValue PutSecretValue", APPLICATION),
        *each("secretsmanager:GetSecretValue PutSecretValue", TARGETS_APPLICATION),
        *each("secretsmanager:DeleteSecret GetSecretValue", SALT, tagged("resourcetag")),
        *each("secretsmanager:DeleteSecret", TARGETS_ADMIN, tagged("resourcetag")),
        *each(
            "secretsmanager:DescribeSecret GetSecretValue",
            RDS_SECRET,
            kept_by_rds(cluster("staging-orders"), owning_service=None),
        ),
        *each(
            "secretsmanager:DescribeSecret GetSecretValue",
            RDS_SECRET,
            kept_by_rds(cluster("staging-orders", region=THERE)),
        ),
        *each("secretsmanager:DescribeSecret GetSecretValue", RDS_SECRET, kept_by_rds(cluster("billing"))),
        *each("secretsmanager:DescribeSecret GetSecretValue", OTHER_SECRET, kept_by_rds(cluster("staging-orders"))),
        *each("secretsmanager:GetSecretValue", RDS_SECRET, kept_by_rds(cluster(SOURCE))),
        *each("ec2:AssignPrivateIpAddresses CreateNetworkInterface DeleteNetworkInterface", "*", FROM_CHECKINGS_CODE),
        *each("ec2:DescribeNetworkInterfaces DescribeSubnets UnassignPrivateIpAddresses", "*", FROM_CHECKINGS_CODE),
        *each("s3:GetObjectVersion", POLICY_FILE, {"s3:versionid": "v1"}),
    ],
    "SetupDbUsersRole": [
        *each("secretsmanager:DescribeSecret GetSecretValue UpdateSecretVersionStage", OTHER_SECRET),
        *each("secretsmanager:PutSecretValue", ADMIN),
        *each("secretsmanager:PutSecretValue", TARGETS_ADMIN),
        *each("secretsmanager:GetSecretValue", OTHERS_ADMIN),
        *each("secretsmanager:GetSecretValue PutSecretValue", OTHERS_APPLICATION),
        # Only RDS's own secrets, of clusters of this region and account, and never the source's.
        *each(
            "secretsmanager:DescribeSecret GetSecretValue",
            RDS_SECRET,
            kept_by_rds(cluster("staging-orders"), owning_service=None),
        ),
        *each(
            "secretsmanager:DescribeSecret GetSecretValue",
            RDS_SECRET,
            kept_by_rds(cluster("staging-orders", region=THERE)),
        ),
        *each("secretsmanager:DescribeSecret GetSecretValue", RDS_SECRET, kept_by_rds(cluster("billing"))),
        *each("secretsmanager:DescribeSecret GetSecretValue", OTHER_SECRET, kept_by_rds(cluster("staging-orders"))),
        *each("secretsmanager:GetSecretValue", RDS_SECRET, kept_by_rds(cluster(SOURCE))),
        # What Lambda does in the role's name, the function's code doesn't.
        *each("ec2:AssignPrivateIpAddresses CreateNetworkInterface DeleteNetworkInterface", "*", FROM_ITS_CODE),
        *each("ec2:DescribeNetworkInterfaces DescribeSubnets UnassignPrivateIpAddresses", "*", FROM_ITS_CODE),
    ],
    "DeleteRdsRole": [
        *STRANGERS_THINGS,
        *NO_OTHER_SNAPSHOTS,
        *each("kms:DescribeKey", key("any", STRANGER)),
        # What is neither ours nor named as deletable stays.
        *each(DELETING, cluster(SOURCE)),
        *each(DELETING, instance("prod-orders-1")),
        *each(DELETING, cluster("staging-orders")),
        *each(DELETING, cluster("billing"), OURS),
        *each(DELETING, instance("billing-1"), OURS),
        *each(DELETING, cluster("staging-orders", region=THERE), OURS),
        *each(DELETING, instance("staging-orders-0123456789ab-1", region=THERE), OURS),
        *each("rds:CreateDBClusterSnapshot ModifyDBCluster", cluster(SOURCE)),
        *each("rds:CreateDBClusterSnapshot", snapshot("retired-1-monthly")),
        *each("rds:ModifyDBCluster", cluster("staging-orders"), OURS),
        # Protection holds whatever else is said of it.
        *each("rds:DeleteDBCluster ModifyDBCluster", cluster("retired-1"), PROTECTED),
        *each("rds:DeleteDBCluster", cluster("staging-orders"), OURS | PROTECTED),
        *each("rds:DeleteDBInstance", instance("retiring-1"), PROTECTED),
        *each("rds:DeleteDBInstance", MEMBER, OURS | PROTECTED),
        # It can't lift it itself either, nor make something its own.
        *each("rds:AddTagsToResource RemoveTagsFromResource", cluster("retired-1"), MARKED),
        *each("rds:AddTagsToResource RemoveTagsFromResource", instance("retiring-1"), MARKED),
        *each("rds:AddTagsToResource", snapshot("retired-1-monthly"), MARKED),
    ],
    "CheckDeleteStatusRole": [
        *STRANGERS_THINGS,
        *NO_OTHER_SNAPSHOTS,
        *each("rds:AddTagsToResource", FINAL),
        *each("rds:AddTagsToResource", snapshot("retired-1-monthly"), MARKED),
        *each("rds:AddTagsToResource", cluster("retired-1"), MARKED),
    ],
    "ArchiveSnapshotRole": [
        *STRANGERS_THINGS,
        *NOT_ASSUMED,
        *NOT_REMOVED,
        *each("rds:StartExportTask", snapshot("weekly-orders", STRANGER)),
        *(asked for name in NOT_FOUND for asked in each("rds:StartExportTask", snapshot(name))),
        *each("iam:PassRole", iam_role("admin"), passed_to("export.rds")),
        *each("iam:PassRole", GIVEN["ExportRoleArn"], passed_to("ec2")),
        *each("kms:CreateGrant DescribeKey", GIVEN["ExportKmsKeyId"]),
        *each("kms:CreateGrant DescribeKey", key("another"), via("rds")),
    ],
    "SnsNotificationRole": [
        *STRANGERS_THINGS,
        *NO_ITEMS_DELETED,
        *each("sns:Publish", f"arn:aws:sns:{HERE}:{OWN}:payroll"),
        # It never reads what is in a secret, and removes only what carries all the tags of a target's.
        *each("secretsmanager:GetSecretValue PutSecretValue", ADMIN),
        *each("secretsmanager:GetSecretValue PutSecretValue", TARGETS_ADMIN, tagged("resourcetag")),
        *each("secretsmanager:DescribeSecret UpdateSecretVersionStage", OTHERS_ADMIN),
        *each("secretsmanager:UpdateSecretVersionStage", TARGETS_APPLICATION),
        *each("secretsmanager:DeleteSecret", ADMIN, tagged("resourcetag")),
        *each("secretsmanager:DeleteSecret", OTHERS_ADMIN, tagged("resourcetag")),
        *lacking_one("secretsmanager:DeleteSecret", TARGETS_ADMIN, "resourcetag"),
        # It starts what finishes a swap, stops nothing, and sweeps nothing.
        *each("states:StartExecution", f"arn:aws:states:{HERE}:{OWN}:stateMachine:aurora-restore-expiry"),
        *each("states:StartExecution", f"arn:aws:states:{HERE}:{OWN}:stateMachine:payroll"),
        *each("states:StopExecution", f"arn:aws:states:{HERE}:{OWN}:execution:aurora-restore-pipeline:op-1"),
        # It writes evidence and reads its own, and deletes none.
        *each("s3:PutObject GetObject", evidence("another/file")),
        *each("s3:GetObject", evidence("index.html")),
        *each("s3:DeleteObject DeleteObjectVersion BypassGovernanceRetention PutObjectRetention", LINK),
        *each("kms:Decrypt GenerateDataKey", key("another"), via("s3")),
        *each("kms:Decrypt GenerateDataKey", key("Key")),
        # It signs links, and nothing that it could pass off as somebody else's.
        *each("kms:Sign", key("another"), signed()),
        *each("kms:Sign", key("EvidenceKey"), signed(message_type="DIGEST")),
        *each("kms:Sign", key("EvidenceKey"), signed(algorithm="ECDSA_SHA_384")),
        *each("kms:GetPublicKey", key("another")),
        *each("kms:ScheduleKeyDeletion DisableKey PutKeyPolicy", key("EvidenceKey")),
        *each("dynamodb:Query", table("AuditTable"), chain("op-1")),
        *each("dynamodb:Query", table("AuditTable")),
        *each("dynamodb:PutItem", table("AuditTable"), chain("evidence#another")),
        *each("dynamodb:Query", table("StateTable"), chain("evidence#chain")),
        *each("events:PutEvents", BUS, announced(source="payroll")),
        *each("events:PutEvents", BUS, announced(detail_type="Paid")),
        *each("events:PutEvents", f"{BUS}-payroll", announced()),
    ],
    "StatePolicy": [
        *each("dynamodb:PutItem", table("AuditTable"), chain("evidence#chain")),
        *each("dynamodb:BatchGetItem GetItem PutItem UpdateItem", table("payroll")),
        *NO_ITEMS_DELETED,
        # What was written into the audit is neither changed nor read again.
        *each("dynamodb:BatchGetItem GetItem UpdateItem DeleteItem", table("AuditTable")),
        *each("kms:Decrypt GenerateDataKey", key("Key")),
        *each("kms:Decrypt GenerateDataKey", key("Key"), via("s3")),
        *each("kms:Decrypt GenerateDataKey", key("another"), via("secretsmanager")),
    ],
    "StateMachineRole": [
        *each("lambda:InvokeFunction", f"{function('payroll')}:live"),
        # Of the state table it writes nothing but tokens.
        *each("dynamodb:PutItem", table("StateTable"), chain("op-1")),
        *each("dynamodb:PutItem", table("StateTable"), chain("lock#staging-orders")),
        *each("dynamodb:PutItem", table("StateTable")),
        *each("dynamodb:PutItem", table("AuditTable"), chain("waiting#eu-central-1#staging-orders")),
        *each("kms:Decrypt GenerateDataKey", key("Key")),
        *each("kms:Decrypt GenerateDataKey", key("another"), via("dynamodb")),
    ],
    "ScheduleRole": [
        *each("states:StartExecution", f"arn:aws:states:{HERE}:{OWN}:stateMachine:payroll"),
        *each("states:StopExecution", f"arn:aws:states:{HERE}:{OWN}:stateMachine:StateMachine"),
        *each("sqs:SendMessage", f"arn:aws:sqs:{HERE}:{OWN}:payroll"),
    ],
    "ExpiryMachineRole": each("lambda:InvokeFunction", f"{function('payroll')}:live"),
    "ExpirySweepsRole": [
        *each("states:StartExecution", f"arn:aws:states:{HERE}:{OWN}:stateMachine:payroll"),
        *each("states:StopExecution", f"arn:aws:states:{HERE}:{OWN}:stateMachine:ExpiryMachine"),
        *each("sqs:SendMessage", f"arn:aws:sqs:{HERE}:{OWN}:payroll"),
    ],
}
OF_FUNCTIONS = ALLOWED.keys() - {
    "StatePolicy",
    "StateMachineRole",
    "ScheduleRole",
    "ExpiryMachineRole",
    "ExpirySweepsRole",
}
# What works in no operation has nothing of what the steps share.
OF_STEPS = OF_FUNCTIONS - {"EndWaitRole"}
for name in OF_FUNCTIONS:
    written, refused = log_writing(name)
    ALLOWED[name] += written
    REFUSED[name] = [*REFUSED[name], *refused]

# What can be taken out or widened without a request that shows it, and why it is there all the same.
REDUNDANT: dict[tuple[str, str], str] = {
    (role, "NeverReadTheSourcesLogin for everything"): (
        "Only secrets that RDS keeps bear the tag that it asks for, and those alone are named so."
    )
    for role in ("SetupDbUsersRole", "TransformDataRole", "VerifyDataRole")
}


def filled(value: Any, given: dict[str, str]) -> Any:
    """The template's value with the parameters of this file in it, before `resolved` puts in its own examples."""
    match value:
        case {"Ref": str(name)} if name in given:
            return given[name]
        case dict():
            return {each: filled(inner, given) for each, inner in value.items()}
        case list():
            return [filled(inner, given) for inner in value]
        case str():
            for name, text in given.items():
                value = value.replace(f"${{{name}}}", text)
    return value


def statements(name: str, **given: str) -> list[dict[str, Any]]:
    """All of a role's own, or of the managed policy."""
    properties = translated()["Resources"][name]["Properties"]
    documents = [each["PolicyDocument"] for each in properties.get("Policies", [properties])]
    return [statement for document in documents for statement in resolved(filled(document, GIVEN | given))["Statement"]]


def parsed(name: str, written: list[dict[str, Any]]) -> Policy:
    return Policy.parse(name, {"Version": "2012-10-17", "Statement": written})


@functools.cache
def of_all_steps() -> list[dict[str, Any]]:
    return statements("StatePolicy")


def policies_of(name: str, own: list[dict[str, Any]]) -> list[Policy]:
    """A role's own, with what all steps share."""
    return [parsed(name, own), *([parsed("StatePolicy", of_all_steps())] if name in OF_STEPS else [])]


def asked_of(name: str, own: list[dict[str, Any]], asked: Asked) -> Verdict:
    """Ask the role with all its policies, as IAM does."""
    return evaluate(policies_of(name, own), Request(*asked))


def test_every_role_and_policy_of_the_stack_is_asked() -> None:
    found = translated()["Resources"].items()
    kinds = ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy")
    assert set(ALLOWED) == set(REFUSED) == {name for name, resource in found if resource["Type"] in kinds}
    shared = {name for name, resource in found if "ManagedPolicyArns" in resource.get("Properties", {})}
    assert shared == OF_STEPS


# Hundreds of requests are asked one after the other: a test of its own for each would cost more than the question.


def allowed_of(table: dict[str, list[Asked]]) -> Iterator[tuple[str, bool]]:
    """Yield each request of the table, and whether its role may make it."""
    for name, requests in table.items():
        policies = policies_of(name, statements(name))
        for asked in requests:
            yield f"{name}: {asked}", evaluate(policies, Request(*asked)).allowed


def test_what_a_step_does_is_allowed() -> None:
    refused = [request for request, allowed in allowed_of(ALLOWED) if not allowed]
    assert not refused, "\n".join(refused)


def test_what_a_step_must_not_do_is_refused() -> None:
    granted = [request for request, allowed in allowed_of(REFUSED) if allowed]
    assert not granted, "\n".join(granted)


DENIES = {
    (name, statement["Sid"]): statement
    for name in ALLOWED
    for statement in statements(name)
    if statement["Effect"] == "Deny"
}


def test_these_are_the_denies() -> None:
    assert {key: set(as_list(statement["Action"])) for key, statement in DENIES.items()} == {
        ("CopySnapshotRole", "NeverSetOtherTags"): {"rds:AddTagsToResource", "rds:CopyDBClusterSnapshot"},
        ("RestoreSnapshotRole", "NeverSetOtherTags"): {
            "rds:AddTagsToResource", "rds:CreateDBInstance", "rds:RestoreDBClusterFromSnapshot",
        },
        ("RestoreSnapshotRole", "NeverTouchTheSource"): {
            "rds:AddTagsToResource",
            "rds:CreateDBInstance",
            "rds:FailoverDBCluster",
            "rds:ModifyDBCluster",
        },
        ("RestoreSnapshotRole", "NeverTouchProtected"): {
            "rds:AddTagsToResource",
            "rds:CreateDBInstance",
            "rds:FailoverDBCluster",
            "rds:ModifyDBCluster",
        },
        ("TransformDataRole", "NeverReadTheSourcesLogin"): {"secretsmanager:GetSecretValue"},
        ("TransformDataRole", "NeverFromTheFunctionsCode"): {
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
        },
        ("VerifyDataRole", "NeverReadTheSourcesLogin"): {"secretsmanager:GetSecretValue"},
        ("VerifyDataRole", "NeverFromTheFunctionsCode"): {
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
        },
        ("OpenClusterRole", "NeverTouchTheSource"): {
            "rds:AddTagsToResource", "rds:EnableHttpEndpoint", "rds:ModifyDBCluster",
        },
        ("OpenClusterRole", "NeverTouchProtected"): {
            "rds:AddTagsToResource", "rds:EnableHttpEndpoint", "rds:ModifyDBCluster",
        },
        ("SwapClusterRole", "NeverTouchTheSource"): {
            "rds:AddTagsToResource",
            "rds:DisableHttpEndpoint",
            "rds:EnableHttpEndpoint",
            "rds:ModifyDBCluster",
            "rds:StartDBCluster",
            "rds:StopDBCluster",
        },
        ("SwapClusterRole", "NeverTouchProtected"): {
            "rds:AddTagsToResource",
            "rds:DisableHttpEndpoint",
            "rds:EnableHttpEndpoint",
            "rds:ModifyDBCluster",
            "rds:RebootDBInstance",
            "rds:StartDBCluster",
            "rds:StopDBCluster",
        },
        ("CheckSwapRole", "NeverFromTheFunctionsCode"): {
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
        },
        ("ExpireClustersRole", "NeverTouchTheSource"): {"rds:DeleteDBCluster", "rds:ModifyDBCluster"},
        ("ExpireClustersRole", "NeverTouchTheLive"): {"rds:DeleteDBCluster", "rds:ModifyDBCluster"},
        ("ExpireClustersRole", "NeverTouchProtected"): {
            "rds:DeleteDBCluster", "rds:DeleteDBInstance", "rds:ModifyDBCluster",
        },
        ("SetupDbUsersRole", "NeverReadTheSourcesLogin"): {"secretsmanager:GetSecretValue"},
        ("SetupDbUsersRole", "NeverFromTheFunctionsCode"): {
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
        },
        ("DeleteRdsRole", "NeverTouchProtected"): {
            "rds:DeleteDBCluster", "rds:DeleteDBInstance", "rds:ModifyDBCluster",
        },
    }  # fmt: skip


@pytest.mark.parametrize(("name", "sid"), DENIES)
def test_a_deny_decides_alone_for_each_of_its_actions(name: str, sid: str) -> None:
    """Without it the request would be allowed: so it isn't another statement's silence that refuses."""
    kept = [statement for statement in statements(name) if statement["Sid"] != sid]
    for action in as_list(DENIES[name, sid]["Action"]):
        asked = [each for each in REFUSED[name] if each[0] == action]
        assert any(asked_of(name, kept, each).allowed for each in asked), action


def changed(statement: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """The statement with one thing less in it, or with one thing wider. None is no statement at all."""
    sid = statement["Sid"]
    yield f"no {sid}", None
    actions = as_list(statement["Action"])
    for action in actions if len(actions) > 1 else []:
        yield f"{sid} without {action}", statement | {"Action": [each for each in actions if each != action]}
    resources = as_list(statement["Resource"])
    if resources != ["*"]:
        yield f"{sid} for everything", statement | {"Resource": "*"}
    for resource in resources if len(resources) > 1 else []:
        yield f"{sid} without {resource}", statement | {"Resource": [each for each in resources if each != resource]}
    conditions = statement.get("Condition", {})
    for operator, tests in conditions.items():
        for key_asked in tests:
            less = copy.deepcopy(conditions)
            del less[operator][key_asked]
            yield f"{sid} without {key_asked}", statement | {"Condition": less}
            for other in mistaken(tests[key_asked]):
                turned = copy.deepcopy(conditions)
                turned[operator][key_asked] = other
                yield f"{sid} with {other} as {key_asked}", statement | {"Condition": turned}


def mistaken(value: str | list[str]) -> Iterator[str | list[str]]:
    """The value of a condition turned round, and one less of several."""
    if value in ("true", "false"):
        yield "true" if value == "false" else "false"
    if isinstance(value, list):
        yield from ([each for each in value if each != left_out] for left_out in value)


def mistakes() -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    for name in ALLOWED:
        own = statements(name)
        for number, statement in enumerate(own):
            for what, other in changed(statement):
                yield name, what, [*own[:number], *([other] if other else []), *own[number + 1 :]]


@functools.cache
def applying(name: str, statement: str) -> tuple[bool, ...]:
    """To which of a role's requests a statement applies: the others are the same in each mistake."""
    (one,) = parsed(name, [json.loads(statement)]).statements
    return tuple(one.applies_to(Request(*asked)) for asked in (*REFUSED[name], *ALLOWED[name]))


def shows(name: str, own: list[dict[str, Any]]) -> bool:
    shared = of_all_steps() if name in OF_STEPS else []
    found: dict[str, list[tuple[bool, ...]]] = {"Allow": [], "Deny": []}
    for each in (*own, *shared):
        found[each["Effect"]].append(applying(name, json.dumps(each)))
    nothing = (False,) * len((*REFUSED[name], *ALLOWED[name]))
    allowed, denied = (map(any, zip(*(found[effect] or [nothing]), strict=True)) for effect in ("Allow", "Deny"))
    answers = [allows and not denies for allows, denies in zip(allowed, denied, strict=True)]
    return answers != [False] * len(REFUSED[name]) + [True] * len(ALLOWED[name])


def test_no_mistake_in_a_policy_goes_unnoticed() -> None:
    """None but those that are called redundant, each of which is."""
    unnoticed = {(name, what) for name, what, own in mistakes() if not shows(name, own)}
    wrong = sorted(f"{name}: {what}" for name, what in unnoticed - REDUNDANT.keys())
    assert not wrong, "\n".join(wrong)
    assert unnoticed == REDUNDANT.keys()


# The source may be in another region, and then it is the cluster there that is meant.


def test_a_source_of_another_region_is_meant_there() -> None:
    own = statements("RestoreSnapshotRole", SourceRegion=THERE)
    for action in DENIES["RestoreSnapshotRole", "NeverTouchTheSource"]["Action"]:
        both = MARKED | OURS
        assert asked_of("RestoreSnapshotRole", own, (action, cluster(SOURCE, region=THERE), both)).explicitly_denied
        # A copy may be called as its source is.
        assert asked_of("RestoreSnapshotRole", own, (action, cluster(SOURCE), both)).allowed


def test_a_login_of_a_source_of_another_region_is_meant_there() -> None:
    def read(of: str) -> Verdict:
        asked = ("secretsmanager:GetSecretValue", RDS_SECRET, kept_by_rds(of))
        return asked_of("SetupDbUsersRole", statements("SetupDbUsersRole", SourceRegion=THERE), asked)

    assert read(cluster(SOURCE, region=THERE)).explicitly_denied
    assert read(cluster(SOURCE)).allowed


def test_by_default_no_source_may_be_deleted() -> None:
    """The pattern's default is a name that no cluster can have, and instances go by it where nothing else is said."""
    default = translated()["Parameters"]["DeletableClusterPattern"]["Default"]
    own = statements("DeleteRdsRole", DeletableClusterPattern=default, DeletableInstancePattern="")
    for action, resource in (
        ("rds:DeleteDBCluster", cluster(SOURCE)),
        ("rds:ModifyDBCluster", cluster(SOURCE)),
        ("rds:DeleteDBInstance", instance("prod-orders-1")),
    ):
        assert not asked_of("DeleteRdsRole", own, (action, resource, {})).allowed
