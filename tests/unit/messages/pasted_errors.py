"""Refusals of AWS as people have pasted them, each with where it can be read, and what it means for a step.

Accounts, people and resources are changed where they stood in the open. `asked_again` is what a step has to do: ask
again, or leave it to a person. Where a text was pasted without its code, it stands with the code that RDS declares.
"""

from __future__ import annotations

from typing import NamedTuple


class PastedError(NamedTuple):
    """One answer of AWS and its source."""

    operation: str
    code: str
    http_status: int
    message: str
    source: str
    asked_again: bool


PASTED_ERRORS = [
    PastedError(
        "CopyDBClusterSnapshot",
        "KMSKeyNotAccessibleFault",
        400,
        (
            "The source snapshot KMS key [arn:aws:kms:eu-west-1:accountnumber:key/keynumber] does not exist, is "
            "not enabled or you do not have permissions to access it."
        ),
        "https://github.com/awslabs/aurora-snapshot-tool/issues/29",
        asked_again=False,
    ),
    PastedError(
        "CopyDBClusterSnapshot",
        "KMSKeyNotAccessibleFault",
        400,
        ("Specified KMS key [None] does not exist, is not enabled or you do not have permissions to access it."),
        "https://github.com/awslabs/aurora-snapshot-tool/issues/25",
        asked_again=False,
    ),
    PastedError(
        "CopyDBClusterSnapshot",
        "SnapshotQuotaExceeded",
        400,
        "Cannot create more than 100 manual snapshots",
        "https://github.com/pbudzon/aws-maintenance/issues/12",
        asked_again=False,
    ),
    PastedError(
        "CopyDBSnapshot",
        "SnapshotQuotaExceeded",
        400,
        "Cannot copy more than 5 snapshots across regions",
        "https://github.com/pbudzon/aws-maintenance/issues/19",
        asked_again=True,
    ),
    PastedError(
        "CopyDBSnapshot",
        "DBSnapshotAlreadyExists",
        400,
        (
            "Cannot create the snapshot because a snapshot with the identifier rds-originb-2016-12-26-09-14 "
            "already exists."
        ),
        (
            "https://github.com/cloud-custodian/cloud-custodian/tree/main/tests/data/placebo/test_rds_snapshot_re"
            "gion_copy_many"
        ),
        asked_again=False,
    ),
    PastedError(
        "DeleteDBInstance",
        "InvalidDBClusterStateFault",
        400,
        (
            "Cannot delete the last instance of the master cluster. Delete the replica cluster before deleting "
            "the last master cluster instance."
        ),
        "https://github.com/awslabs/amazon-documentdb-tools/issues/126",
        asked_again=False,
    ),
    PastedError(
        "DeleteDBCluster",
        "InvalidDBClusterStateFault",
        400,
        "Cluster cannot be deleted, it still contains DB instances in non-deleting state.",
        "https://github.com/localstack/localstack/issues/10215",
        asked_again=True,
    ),
    PastedError(
        "DeleteDBCluster",
        "InvalidDBClusterStateFault",
        400,
        "Can't create a snapshot because the database cluster x isn't currently in the available state.",
        "https://github.com/hashicorp/terraform-provider-aws/pull/40333",
        asked_again=True,
    ),
    PastedError(
        "DescribeDBInstances",
        "AccessDenied",
        403,
        (
            "User: arn:aws:sts::xxx:assumed-role/xxxAssumeRoleRoot is not authorized to perform: "
            "rds:DescribeDBInstances on resource: arn:aws:rds:ap-south-1:xxx:db:* with an explicit deny in a "
            "service control policy"
        ),
        "https://github.com/awslabs/aws-well-architected-labs/issues/854",
        asked_again=False,
    ),
    PastedError(
        "CreateDBInstance",
        "AccessDenied",
        403,
        (
            "User: arn:aws:sts::111122223333:assumed-role/Administrator/somebody is not authorized to perform: "
            "rds:CreateDBInstance on resource: arn:aws:rds:eu-west-2:111122223333:db:test-unencrypted with an "
            "explicit deny in a service control policy: "
            "arn:aws:organizations::111122223333:policy/o-b2fpbzyd95/service_control_policy/p-v4qqk7we"
        ),
        "https://github.com/ministryofjustice/aws-root-account/pull/1494",
        asked_again=False,
    ),
    PastedError(
        "RestoreDBClusterFromSnapshot",
        "AccessDenied",
        403,
        (
            "User: arn:aws:iam::111122223333:user/mattermost-database-factory-test is not authorized to perform: "
            "rds:RestoreDBClusterFromSnapshot on resource: "
            "arn:aws:rds:us-east-1:111122223333:cluster:rds-cluster-multitenant-06e028b33eb814076-4e13fec3 "
            "because no identity-based policy allows the rds:RestoreDBClusterFromSnapshot action"
        ),
        "https://github.com/mattermost/mattermost-cloud-monitoring/pull/446",
        asked_again=False,
    ),
    PastedError(
        "DescribeDBClusterSnapshots",
        "AccessDenied",
        403,
        "Unknown",
        "https://github.com/pbudzon/aws-maintenance/issues/17",
        asked_again=False,
    ),
    PastedError(
        "AddTagsToResource",
        "AccessDenied",
        403,
        (
            "User: x/XXXX is not authorized to perform: rds:AddTagsToResource on resource: "
            "arn:aws:rds:<region>:<account>:db:sanitize-XXXX because no identity-based policy allows the "
            "rds:AddTagsToResource action"
        ),
        "https://github.com/CloudSnorkel/cdk-rds-sanitized-snapshots/issues/110",
        asked_again=False,
    ),
    PastedError(
        "AssumeRole",
        "AccessDenied",
        403,
        (
            "User: arn:aws:sts::111122223333:assumed-role/domain-protect-lambda-default/x is not authorized to "
            "perform: sts:AssumeRole on resource: arn:aws:iam:::role/domain-protect-audit"
        ),
        "https://github.com/domain-protect/domain-protect/issues/13",
        asked_again=False,
    ),
    PastedError(
        "DescribeDBInstances",
        "Throttling",
        400,
        "Rate exceeded",
        "https://github.com/boto/boto3/issues/860",
        asked_again=True,
    ),
    PastedError(
        "DescribeDBInstances",
        "Throttling",
        400,
        "Rate exceeded",
        "https://github.com/cloud-custodian/cloud-custodian/issues/3340",
        asked_again=True,
    ),
    PastedError(
        "ListTagsForResource",
        "Throttling",
        400,
        "Rate exceeded",
        "https://github.com/aws-samples/aws-rds-snapshot-management/pull/3",
        asked_again=True,
    ),
    PastedError(
        "RestoreDBClusterFromSnapshot",
        "InternalFailure",
        500,
        "An internal error has occurred. Please try your query again at a later time.",
        "https://github.com/aws/aws-cli/issues/3732",
        asked_again=True,
    ),
    PastedError(
        "RestoreDBClusterToPointInTime",
        "InvalidParameterCombination",
        400,
        (
            "You can enable Performance Insights or set the Enhanced Monitoring interval only when restoring from"
            " a source Aurora Limitless DB cluster"
        ),
        "https://github.com/boto/boto3/issues/4634",
        asked_again=False,
    ),
    PastedError(
        "CreateDBInstance",
        "InsufficientDBInstanceCapacity",
        400,
        (
            "Cannot create a db.t2.micro database instance because there are no availability zones with "
            "sufficient capacity for non-VPC and storage type : gp2 for db.t2.micro. Please try the request again"
            " at a later time."
        ),
        "https://github.com/Fraudmarc/fraudmarc-ce/issues/50",
        asked_again=True,
    ),
    PastedError(
        "CreateDBInstance",
        "InvalidParameterCombination",
        400,
        (
            "RDS does not support creating a DB instance with the following combination: "
            "DBInstanceClass=db.r4.large, Engine=aurora-postgresql, EngineVersion=14.4, "
            "LicenseModel=postgresql-license. For supported combinations of instance class and database engine "
            "version, see the documentation."
        ),
        "https://github.com/cn-terraform/terraform-aws-sonarqube/issues/88",
        asked_again=False,
    ),
    PastedError(
        "CreateDBInstance",
        "InvalidParameterCombination",
        400,
        "MonitoringInterval conflicts with cluster level parameter.",
        "https://github.com/terraform-aws-modules/terraform-aws-rds-aurora/issues/518",
        asked_again=False,
    ),
    PastedError(
        "ModifyDBCluster",
        "InvalidParameterCombination",
        400,
        (
            "To enable the Advanced mode of Database Insights, modify your cluster to enable Performance Insights"
            " and set the retention period for Performance Insights to at least 465 days."
        ),
        "https://github.com/pulumi/pulumi-aws/issues/5286",
        asked_again=False,
    ),
    PastedError(
        "ModifyDBCluster",
        "InvalidDBClusterStateFault",
        400,
        "DB cluster is not available for modification with status modifying",
        "https://github.com/aws-controllers-k8s/community/issues/1107",
        asked_again=True,
    ),
    PastedError(
        "RebootDBInstance",
        "InvalidDBInstanceState",
        400,
        "Instance cannot currently reboot due to an in-progress management operation.",
        "https://github.com/hashicorp/terraform-provider-aws/issues/27325",
        asked_again=True,
    ),
    PastedError(
        "DeleteDBClusterSnapshot",
        "InvalidDBClusterSnapshotStateFault",
        400,
        "Only manual snapshots may be deleted.",
        "https://github.com/rebuy-de/aws-nuke/issues/511",
        asked_again=False,
    ),
    PastedError(
        "RestoreDBClusterFromSnapshot",
        "DBClusterSnapshotNotFoundFault",
        404,
        "DBClusterSnapshot not found: hmpps-pin-phone-dev-pre-migration-20210723-1436",
        "https://github.com/ministryofjustice/cloud-platform-environments/pull/5192",
        asked_again=False,
    ),
    PastedError(
        "RestoreDBClusterFromSnapshot",
        "InvalidParameterCombination",
        400,
        (
            "The engine version you requested for your restored DB cluster (8.0.mysql_aurora.3.08.0) is earlier "
            "than the engine version of the DB cluster snapshot (8.0.mysql_aurora.3.08.2)."
        ),
        "https://github.com/aws-samples/redcap-on-aws/issues/99",
        asked_again=False,
    ),
    PastedError(
        "ModifyDBCluster",
        "InvalidParameterCombination",
        400,
        "Cannot upgrade aurora-postgresql from 12.11 to 13.6",
        "https://github.com/terraform-aws-modules/terraform-aws-rds-aurora/issues/308",
        asked_again=False,
    ),
    PastedError(
        "CreateDBInstance",
        "InstanceQuotaExceeded",
        400,
        "DB Instance quota exceeded",
        "https://github.com/elastic/beats/issues/38059",
        asked_again=False,
    ),
    PastedError(
        "ModifyDBInstance",
        "StorageQuotaExceeded",
        400,
        (
            "The operation cannot be completed. The storage quota for this account has been exceeded by 7068; "
            "requested iops: 16000; computed size: 500. You can use the Service Quotas console to request an "
            "increase in total storage for this account"
        ),
        "https://github.com/ministryofjustice/cloud-platform/issues/6424",
        asked_again=False,
    ),
    PastedError(
        "RestoreDBClusterFromSnapshot",
        "InvalidVPCNetworkStateFault",
        400,
        (
            "The DB instance and EC2 security group are in different VPCs. The DB instance is in vpc-xxxxxxxx and"
            " the EC2 security group is in vpc-xxxxxxxx"
        ),
        "https://github.com/aws-quickstart/quickstart-atlassian-bitbucket/issues/15",
        asked_again=False,
    ),
    PastedError(
        "CreateDBInstance",
        "InvalidSubnet",
        400,
        "No default subnet detected in VPC. Please contact AWS Support to recreate default Subnets.",
        "https://github.com/hashicorp/terraform/issues/3699",
        asked_again=False,
    ),
    PastedError(
        "CreateDBCluster",
        "DBSubnetGroupDoesNotCoverEnoughAZs",
        400,
        (
            "DB Subnet Group doesn't meet availability zone coverage requirement. Please add subnets to cover at "
            "least 2 availability zones. Current coverage: 1"
        ),
        "https://github.com/keithadavidson/ansible-mezzanine/issues/1",
        asked_again=False,
    ),
    PastedError(
        "CreateSecret",
        "InvalidRequestException",
        400,
        "You can't create this secret because a secret with this name is already scheduled for deletion.",
        "https://github.com/aws-ia/terraform-aws-eks-blueprints/issues/1733",
        asked_again=False,
    ),
    PastedError(
        "GetSecretValue",
        "InvalidRequestException",
        400,
        "You can't perform this operation on the secret because it was marked for deletion.",
        "https://github.com/external-secrets/kubernetes-external-secrets/issues/114",
        asked_again=False,
    ),
    PastedError(
        "GetSecretValue",
        "AccessDeniedException",
        400,
        (
            "User: arn:aws:sts::123456789012:assumed-role/batch-keydra/keydra is not authorized to perform: "
            "secretsmanager:GetSecretValue on resource: keydra/github"
        ),
        "https://github.com/Athena-Home-Loans/keydra/issues/28",
        asked_again=False,
    ),
    PastedError(
        "CreateKey",
        "LimitExceededException",
        400,
        "Key quota for this account in this region is 101 but the current number is 101",
        "https://github.com/convox/rack/pull/337",
        asked_again=False,
    ),
    PastedError(
        "CreateDBInstance",
        "KMSKeyNotAccessibleFault",
        400,
        (
            "The specified performanceInsightsKMSKeyId arn:aws:kms:us-east-1:xxx doesn't exist, isn't enabled, or"
            " isn't accessible with your permissions."
        ),
        "https://github.com/MiniMax-AI/MiniMax-M2.5/issues/23",
        asked_again=False,
    ),
    PastedError(
        "DescribeDBInstances",
        "DBInstanceNotFound",
        404,
        "DBInstance mxtest not found.",
        "https://github.com/cloud-custodian/cloud-custodian/tree/main/tests/data/placebo/test_rds_restore",
        asked_again=False,
    ),
    PastedError(
        "DescribeDBClusterParameterGroups",
        "DBParameterGroupNotFound",
        404,
        "DBClusterParameterGroup not found: pg-cluster-test",
        (
            "https://github.com/cloud-custodian/cloud-custodian/tree/main/tests/data/placebo/test_rdsclusterparam"
            "group_delete"
        ),
        asked_again=False,
    ),
    PastedError(
        "CreateDBCluster",
        "InvalidParameterCombination",
        400,
        "DBClusterInstanceClass isn't supported for DB engine aurora-postgresql.",
        "https://github.com/hashicorp/terraform-provider-aws/issues/30596",
        asked_again=False,
    ),
]
