"""A session policy narrows what an assumed role may do in one session, and can't widen it.

Sources: STS API reference, "AssumeRole"; IAM user guide, "Session policies" and "Troubleshoot access denied error
messages".
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.local_aws.core.credentials import aws_client
from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.account_support import MAIN, OTHER, Caller, allow, make_role, policy, root, trusts
from tests.integration.local_aws.aurora_support import name, new_cluster, refused, take_snapshot

READ = policy(allow("rds:DescribeDBClusterSnapshots"))
SHARE = allow("rds:ModifyDBClusterSnapshotAttribute")
BY_RDS = {"StringLike": {"kms:ViaService": "rds.*.amazonaws.com"}}


@pytest.fixture(scope="module")
def snapshot(aws: LocalAws) -> str:
    """The name of a manual snapshot of the other account."""
    return take_snapshot(aws, new_cluster(aws, name("theirs"), account=OTHER)["DBClusterIdentifier"], account=OTHER)


@pytest.fixture(scope="module")
def caller(aws: LocalAws) -> Caller:
    return Caller(aws, allow("sts:AssumeRole"))


@pytest.fixture(scope="module")
def role(aws: LocalAws) -> str:
    """It may do all that RDS knows, and look at parameter groups never."""
    never = {"Effect": "Deny", "Action": "rds:DescribeDBClusterParameterGroups", "Resource": "*"}
    return make_role(aws, OTHER, trusts(root(MAIN)), allow(["rds:*", "kms:*"]), never)


def share(rds: Any, snapshot: str) -> Any:
    return rds.modify_db_cluster_snapshot_attribute(
        DBClusterSnapshotIdentifier=snapshot, AttributeName="restore", ValuesToAdd=["all"]
    )


def test_a_session_may_do_what_both_its_policy_and_its_role_allow(caller: Caller, role: str, snapshot: str) -> None:
    reader = caller.assume(role, "rds", Policy=READ)
    assert reader.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=snapshot)["DBClusterSnapshots"]
    session = f"arn:aws:sts::{OTHER}:assumed-role/{role.rpartition('/')[2]}/restore"
    arn = f"arn:aws:rds:us-east-1:{OTHER}:cluster-snapshot:{snapshot}"
    action = "rds:ModifyDBClusterSnapshotAttribute"
    said = f"User: {session} is not authorized to perform: {action} on resource: {arn} because no session policy allows"
    with refused("AccessDenied", f"{said} the {action} action", status=403):
        share(reader, snapshot)
    share(caller.assume(role, "rds"), snapshot)


def test_a_session_policy_gives_nothing_that_the_role_lacks(caller: Caller, role: str) -> None:
    everything = caller.assume(role, "rds", Policy=policy(allow("*")))
    everything.describe_db_clusters()
    with refused("AccessDenied", "with an explicit deny in an identity-based policy", status=403):
        everything.describe_db_cluster_parameter_groups()
    with refused("AccessDenied", "because no identity-based policy allows the iam:ListRoles action", status=403):
        caller.assume(role, "iam", Policy=policy(allow("*"))).list_roles()


def test_a_session_policy_can_deny(caller: Caller, role: str) -> None:
    never = {"Effect": "Deny", "Action": "rds:DescribeDBClusters", "Resource": "*"}
    rds = caller.assume(role, "rds", Policy=policy(allow("rds:*"), never))
    with refused("AccessDenied", "with an explicit deny in a session policy", status=403):
        rds.describe_db_clusters()


def test_keys_that_a_service_uses_in_the_sessions_name_are_bound_as_well(
    aws: LocalAws, caller: Caller, role: str
) -> None:
    """AWS said so of S3 (apache/polaris: "not authorized to perform: kms:Decrypt … because no session policy")."""
    key = aws.client("kms", account=OTHER).create_key()["KeyMetadata"]["Arn"]
    cluster = new_cluster(aws, name("theirs"), account=OTHER, StorageEncrypted=True, KmsKeyId=key)
    snapshot = take_snapshot(aws, cluster["DBClusterIdentifier"], account=OTHER)
    copying = allow("rds:CopyDBClusterSnapshot")
    through_rds = allow(["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"], Condition=BY_RDS)
    for statements, allowed in ([copying], False), ([copying, through_rds], True):
        rds = caller.assume(role, "rds", Policy=policy(*statements))
        asked = {
            "SourceDBClusterSnapshotIdentifier": snapshot,
            "TargetDBClusterSnapshotIdentifier": name("copy"),
            "KmsKeyId": key,
        }
        if allowed:
            rds.copy_db_cluster_snapshot(**asked)
        else:
            with refused("KMSKeyNotAccessibleFault", key):
                rds.copy_db_cluster_snapshot(**asked)


def test_what_is_too_long_is_refused(caller: Caller, role: str) -> None:
    """The plaintext of a session policy can't exceed 2,048 characters."""

    def of_length(length: int) -> str:
        return READ + " " * (length - len(READ))

    caller.assume(role, "rds", Policy=of_length(2048)).describe_db_cluster_snapshots()
    with refused("ValidationError", "at 'policy' failed to satisfy constraint: Member must have length less than"):
        caller.assume(role, "rds", Policy=of_length(2049))


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[]",
        "{}",
        '"Allow"',
        json.dumps({"Version": "2012-10-17", "Statement": []}),
        json.dumps({"Version": "2015-01-01", "Statement": [allow("rds:*")]}),
        policy({"Effect": "Allow", "Action": "rds:*"}),
        policy({"Effect": "Permit", "Action": "rds:*", "Resource": "*"}),
        policy({"Effect": "Allow", "Resource": "*"}),
        policy(allow("rds:*", Effects="Allow")),
        policy(allow("rds:*", Principal="*")),
        policy("Allow"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_policy_is_refused(caller: Caller, role: str, document: str) -> None:
    with refused("MalformedPolicyDocument"):
        caller.assume(role, "rds", Policy=document)


def test_a_policy_holds_latin_characters_alone(caller: Caller, role: str) -> None:
    with refused("ValidationError", "at 'policy' failed to satisfy constraint"):
        caller.assume(role, "rds", Policy=READ.replace("}", ', "Sid": "\u0394"}', 1))


def test_the_next_session_has_a_policy_of_its_own(aws: LocalAws, caller: Caller, role: str, snapshot: str) -> None:
    caller.assume(role, "rds", Policy=READ).describe_db_cluster_snapshots()
    share(caller.assume(role, "rds", Policy=policy(SHARE)), snapshot)


def test_a_policy_may_go_by_the_sessions_name(aws: LocalAws, caller: Caller) -> None:
    """IAM user guide, "Principal key values": aws:userid of an assumed role is the role's id and the session's name."""
    named = {"StringLike": {"aws:userid": "*:restore"}}
    other = {"StringLike": {"aws:userid": "*:another"}}
    trust = trusts(root(MAIN), StringLike={"sts:RoleSessionName": "rest*"})
    may = make_role(aws, OTHER, trust, allow("rds:DescribeDBClusters", Condition=named))
    mustnt = make_role(aws, OTHER, trust, allow("rds:DescribeDBClusters", Condition=other))
    caller.assume(may, "rds").describe_db_clusters()
    with refused("AccessDenied", "because no identity-based policy allows", status=403):
        caller.assume(mustnt, "rds").describe_db_clusters()


def test_a_functions_own_calls_bear_its_arn(aws: LocalAws) -> None:
    """Lambda developer guide, "Working with Lambda execution environment credentials": lambda:SourceFunctionArn."""
    function = f"arn:aws:lambda:us-east-1:{MAIN}:function:restore"
    never = {"Effect": "Deny", "Action": "rds:*", "Resource": "*"}
    caller = Caller(aws, allow("rds:*"), never | {"Condition": {"ArnEquals": {"lambda:SourceFunctionArn": function}}})
    caller.client("rds").describe_db_clusters()
    session = aws.permissions.assume(
        caller.arn, service="lambda.amazonaws.com", session_name="s", region="us-east-1", function_arn=function
    )
    with refused("AccessDenied", "with an explicit deny in an identity-based policy", status=403):
        aws_client("rds", "us-east-1", aws.endpoint_url, session, attempts=1).describe_db_clusters()
