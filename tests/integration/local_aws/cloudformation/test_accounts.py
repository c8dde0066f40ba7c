"""Several accounts in one AWS: apart by default, and open to each other only through roles that trust."""

from __future__ import annotations

import pathlib

import pytest

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.account_support import MAIN, OTHER, Caller, allow, make_role, root, trusts
from tests.integration.local_aws.aurora_support import name, new_cluster, refused

SOURCE_ROLE = """
AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  PipelineRoleArn: { Type: String, AllowedPattern: "arn:.+" }
  ExternalId: { Type: String, MinLength: 8, NoEcho: true }
Resources:
  SourceRole:
    Type: AWS::IAM::Role
    Properties:
      RoleName: restore-source
      MaxSessionDuration: 3600
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: { AWS: !Ref PipelineRoleArn }
            Action: sts:AssumeRole
            Condition: { StringEquals: { sts:ExternalId: !Ref ExternalId } }
      Policies:
        - PolicyName: find
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              - Effect: Allow
                Action: rds:DescribeDBClusterSnapshots
                Resource: !Sub "arn:${AWS::Partition}:rds:*:${AWS::AccountId}:cluster-snapshot:*"
Outputs:
  RoleArn: { Value: !GetAtt SourceRole.Arn }
"""


def test_accounts_have_nothing_in_common(aws: LocalAws) -> None:
    identifier = new_cluster(aws, name("ours"))["DBClusterIdentifier"]
    key = aws.client("kms").create_key()["KeyMetadata"]["KeyId"]
    aws.client("iam").create_role(RoleName=(role := name("ours")), AssumeRolePolicyDocument="{}")
    with refused("DBClusterNotFoundFault", status=404):
        aws.client("rds", account=OTHER).describe_db_clusters(DBClusterIdentifier=identifier)
    with refused("NotFoundException"):
        aws.client("kms", account=OTHER).describe_key(KeyId=key)
    with refused("NoSuchEntity", status=404):
        aws.client("iam", account=OTHER).get_role(RoleName=role)
    vpcs = [aws.client("ec2", account=each).describe_vpcs()["Vpcs"][0]["VpcId"] for each in (MAIN, OTHER)]
    assert len(set(vpcs)) == 2
    made = new_cluster(aws, identifier, account=OTHER)
    assert made["DBClusterArn"] == f"arn:aws:rds:us-east-1:{OTHER}:cluster:{identifier}"


def test_every_account_has_an_operator(aws: LocalAws) -> None:
    for account in (MAIN, OTHER):
        identity = aws.client("sts", account=account).get_caller_identity()
        assert (identity["Account"], identity["Arn"]) == (account, f"arn:aws:iam::{account}:user/operator")
    with pytest.raises(ValueError, match="twelve digits"):
        aws.account("other")


def test_a_role_of_another_account_is_assumed_and_acts_there(aws: LocalAws) -> None:
    caller = Caller(aws, allow("sts:AssumeRole", f"arn:aws:iam::{OTHER}:role/*"))
    role = make_role(aws, OTHER, trusts(caller.arn), allow("rds:DescribeDBClusters"))
    identity = caller.assume(role, "sts").get_caller_identity()
    assert identity["Account"] == OTHER
    assert identity["Arn"] == f"arn:aws:sts::{OTHER}:assumed-role/{role.rpartition('/')[2]}/restore"
    theirs = new_cluster(aws, name("theirs"), account=OTHER)["DBClusterArn"]
    rds = caller.assume(role, "rds")
    assert theirs in [each["DBClusterArn"] for each in rds.describe_db_clusters()["DBClusters"]]
    with refused("AccessDenied", "rds:DescribeDBInstances", status=403):
        rds.describe_db_instances()


def test_both_accounts_must_agree_that_a_role_is_assumed(aws: LocalAws) -> None:
    silent, willing = Caller(aws), Caller(aws, allow("sts:AssumeRole"))
    for_all, for_nobody = make_role(aws, OTHER, trusts(root(MAIN))), make_role(aws, OTHER, trusts(root("111122223333")))
    missing = f"arn:aws:iam::{OTHER}:role/missing"
    willing.assume(for_all, "sts").get_caller_identity()
    named = make_role(aws, OTHER, trusts(silent.arn))
    for caller, role in ((silent, for_all), (silent, named), (willing, for_nobody), (willing, missing)):
        session = f"arn:aws:sts::{MAIN}:assumed-role/{caller.arn.rpartition('/')[2]}/function"
        text = f"User: {session} is not authorized to perform: sts:AssumeRole on resource: {role}"
        with refused("AccessDenied", text, status=403):
            caller.assume(role, "sts")
    with refused("AccessDenied", f"User: arn:aws:iam::{MAIN}:user/operator is not authorized", status=403):
        aws.client("sts").assume_role(RoleArn=for_nobody, RoleSessionName="operator")


@pytest.mark.parametrize(
    ("condition", "given", "allowed"),
    [
        ({"StringEquals": {"sts:ExternalId": "agreed"}}, {"ExternalId": "agreed"}, True),
        ({"StringEquals": {"sts:ExternalId": "agreed"}}, {"ExternalId": "guessed"}, False),
        ({"StringEquals": {"sts:ExternalId": "agreed"}}, {}, False),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{MAIN}:role/role-*"}}, {}, True),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{MAIN}:role/other-*"}}, {}, False),
        ({"StringEquals": {"aws:PrincipalAccount": MAIN}}, {}, True),
    ],
)
def test_a_trust_policy_can_ask_for_more(
    aws: LocalAws, condition: dict[str, dict[str, str]], given: dict[str, str], allowed: bool
) -> None:
    caller = Caller(aws, allow("sts:AssumeRole"))
    role = make_role(aws, OTHER, trusts(root(MAIN), **condition))
    if allowed:
        caller.assume(role, "sts", **given).get_caller_identity()
    else:
        with refused("AccessDenied", "sts:AssumeRole", status=403):
            caller.assume(role, "sts", **given)


def test_a_session_lasts_no_longer_than_chained_roles_and_the_role_may(aws: LocalAws) -> None:
    caller = Caller(aws, allow("sts:AssumeRole"))
    generous = make_role(aws, OTHER, trusts(root(MAIN)), MaxSessionDuration=43_200)
    with refused("ValidationError", "role chaining"):
        caller.assume(generous, "sts", DurationSeconds=3601)
    operator = aws.client("sts")
    operator.assume_role(RoleArn=generous, RoleSessionName="long", DurationSeconds=43_200)
    with refused("ValidationError", "MaxSessionDuration"):
        role = make_role(aws, OTHER, trusts(root(MAIN)))
        operator.assume_role(RoleArn=role, RoleSessionName="long", DurationSeconds=7200)
    with refused("ValidationError", "roleSessionName"):
        operator.assume_role(RoleArn=generous, RoleSessionName="two words")


def test_a_template_with_only_a_role_is_deployed_into_the_other_account(aws: LocalAws, tmp_path: pathlib.Path) -> None:
    template = tmp_path / "role.yaml"
    template.write_text(SOURCE_ROLE)
    caller = Caller(aws, allow("sts:AssumeRole"))
    stack = aws.account(OTHER).deploy(
        template,
        stack_name="source-role",
        region="us-east-1",
        parameters={"PipelineRoleArn": caller.arn, "ExternalId": "between us"},
    )
    role = stack.outputs["RoleArn"]
    assert role == f"arn:aws:iam::{OTHER}:role/restore-source"
    rds = caller.assume(role, "rds", ExternalId="between us")
    assert isinstance(rds.describe_db_cluster_snapshots()["DBClusterSnapshots"], list)
    with refused("AccessDenied", status=403):
        rds.describe_db_clusters()
    with refused("AccessDenied", status=403):
        caller.assume(role, "rds")
