"""GovCloud and China: other partitions have ARNs, users and roles of their own, and nothing leaves them."""

from __future__ import annotations

import pathlib

import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.core.credentials import Credentials, aws_client
from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.account_support import MAIN
from tests.integration.local_aws.aurora_support import name, new_cluster, refused, snapshot, take_snapshot

PARTITIONS = [("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")]
TEMPLATE = """
AWSTemplateFormatVersion: "2010-09-09"
Resources:
  Machine:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: { AWS: !Sub "arn:${AWS::Partition}:iam::${AWS::AccountId}:root" }
            Action: sts:AssumeRole
      Policies:
        - PolicyName: look
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              - Effect: Allow
                Action: rds:DescribeDBClusters
                Resource: !Sub "arn:${AWS::Partition}:rds:${AWS::Region}:${AWS::AccountId}:cluster:*"
Outputs:
  RoleArn: { Value: !GetAtt Machine.Arn }
  Suffix: { Value: !Ref AWS::URLSuffix }
"""


@pytest.mark.parametrize(("region", "partition"), PARTITIONS)
def test_every_arn_names_its_partition(aws: LocalAws, region: str, partition: str) -> None:
    made = new_cluster(aws, name("far"), region)
    assert made["DBClusterArn"].startswith(f"arn:{partition}:rds:{region}:{MAIN}:cluster:")
    taken = snapshot(aws, take_snapshot(aws, made["DBClusterIdentifier"], region), region)
    assert taken["DBClusterSnapshotArn"].startswith(f"arn:{partition}:rds:{region}:")
    assert aws.client("kms", region).create_key()["KeyMetadata"]["Arn"].startswith(f"arn:{partition}:kms:{region}:")
    assert aws.client("sts", region).get_caller_identity()["Arn"] == f"arn:{partition}:iam::{MAIN}:user/operator"


def test_govcloud_wants_a_signed_url_only_from_one_region_to_another(aws: LocalAws) -> None:
    """Elsewhere it is ignored (API reference of CopyDBClusterSnapshot). The SDK makes one wherever SourceRegion is."""
    for region, far, is_refused in (("us-gov-west-1", "us-gov-east-1", True), ("us-east-1", "us-west-2", False)):
        source = take_snapshot(aws, new_cluster(aws, name("signed"), region)["DBClusterIdentifier"], region)
        arn = snapshot(aws, source, region)["DBClusterSnapshotArn"]
        request = {"SourceDBClusterSnapshotIdentifier": arn, "SourceRegion": region}
        if is_refused:
            with refused("InvalidParameterCombination", "does not require the preSignedUrl"):
                copy(aws, region, **request)
        else:
            copy(aws, region, **request)
        copy(aws, far, **request)
        copy(aws, region, SourceDBClusterSnapshotIdentifier=source)
        aws.clock.sleep(aws.aurora.durations.copy_snapshot + 1)


def copy(aws: LocalAws, region: str, **request: str) -> None:
    aws.client("rds", region).copy_db_cluster_snapshot(TargetDBClusterSnapshotIdentifier=name("copy"), **request)


@pytest.mark.parametrize(("region", "partition"), PARTITIONS)
def test_a_role_of_a_template_works_in_its_partition(
    aws: LocalAws, tmp_path: pathlib.Path, region: str, partition: str
) -> None:
    template = tmp_path / "role.yaml"
    template.write_text(TEMPLATE)
    stack = aws.deploy(template, stack_name=name("stack"), region=region, parameters={})
    assert stack.outputs["RoleArn"].startswith(f"arn:{partition}:iam::{MAIN}:role/")
    assert stack.outputs["Suffix"] == ("amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com")
    sts = aws.client("sts", region)
    given = sts.assume_role(RoleArn=stack.outputs["RoleArn"], RoleSessionName="test")["Credentials"]
    credentials = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    rds = aws_client("rds", region, aws.endpoint_url, credentials, attempts=1)
    rds.describe_db_clusters()
    with refused("AccessDenied", f"arn:{partition}:sts::{MAIN}:assumed-role/", status=403):
        rds.describe_db_instances()


def test_no_snapshot_leaves_its_partition_and_none_a_region_of_china(aws: LocalAws) -> None:
    for region, elsewhere, code in (
        ("us-gov-west-1", "us-east-1", "DBClusterSnapshotNotFoundFault"),
        ("cn-north-1", "cn-northwest-1", "InvalidParameterCombination"),
    ):
        made = new_cluster(aws, name("staying"), region)["DBClusterIdentifier"]
        taken = snapshot(aws, take_snapshot(aws, made, region), region)
        with pytest.raises(ClientError) as caught:
            aws.client("rds", elsewhere).copy_db_cluster_snapshot(
                SourceDBClusterSnapshotIdentifier=taken["DBClusterSnapshotArn"],
                TargetDBClusterSnapshotIdentifier=name("copy"),
            )
        assert caught.value.response["Error"]["Code"] == code
