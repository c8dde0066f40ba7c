"""Every call with a role's credentials is checked against its policies, resource by resource, as on AWS."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.core.credentials import Credentials, aws_client
from scripts.local_aws.iam.gate import NotAuthorized
from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora_support import create

ACCOUNT = "123456789012"
RDS = f"arn:aws:rds:us-east-1:{ACCOUNT}"
_numbers = itertools.count(1)

Statement = dict[str, Any]


def allow(action: str | list[str], resource: str | list[str] = "*", **elements: Any) -> Statement:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **elements}


class Caller:
    """A role of its own for one test, and clients that act as it."""

    def __init__(self, aws: LocalAws, *statements: Statement, trust: str = "lambda.amazonaws.com") -> None:
        self.aws = aws
        self.name = f"caller-{next(_numbers)}"
        iam = aws.client("iam")
        document = policy({"Effect": "Allow", "Principal": {"Service": trust}, "Action": "sts:AssumeRole"})
        self.arn: str = iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        if statements:
            iam.put_role_policy(RoleName=self.name, PolicyName="p", PolicyDocument=policy(*statements))

    def client(self, service: str, region: str = "us-east-1") -> Any:
        credentials = self.aws.permissions.assume(
            self.arn, service="lambda.amazonaws.com", session_name="test", region=region
        )
        return aws_client(service, region, self.aws.endpoint_url, credentials, attempts=1)


def policy(*statements: Statement) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def refusal(call: Callable[..., Any], **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call(**parameters)
    return refused.value.response["Error"]["Code"], refused.value.response["Error"]["Message"]


def denied(call: Callable[..., Any], **parameters: Any) -> str | None:
    """The action and resource that were refused; None when something other than permissions stopped the call."""
    try:
        call(**parameters)
    except ClientError as error:
        message = error.response["Error"]["Message"]
        if "is not authorized to perform: " in message:
            return message.split("is not authorized to perform: ")[1].split(" because")[0].split(" with")[0]
    return None


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "code", "status"),
    [
        ("rds", "describe_db_clusters", {}, "AccessDenied", 403),
        ("sns", "list_topics", {}, "AuthorizationError", 403),
        ("dynamodb", "list_tables", {}, "AccessDeniedException", 400),
        ("secretsmanager", "get_secret_value", {"SecretId": "s"}, "AccessDeniedException", 400),
        ("stepfunctions", "list_state_machines", {}, "AccessDeniedException", 400),
        ("lambda", "invoke", {"FunctionName": "f"}, "AccessDeniedException", 403),
        ("scheduler", "list_schedules", {}, "AccessDeniedException", 403),
        ("ec2", "describe_vpcs", {}, "UnauthorizedOperation", 403),
        ("s3", "list_buckets", {}, "AccessDenied", 403),
    ],
)
def test_a_refusal_has_the_shape_of_its_protocol(
    aws: LocalAws, service: str, operation: str, parameters: dict[str, str], code: str, status: int
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(Caller(aws).client(service), operation)(**parameters)
    assert refused.value.response["Error"]["Code"] == code
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_a_refusal_names_the_session_the_action_and_the_resource(aws: LocalAws) -> None:
    caller = Caller(aws)
    _, message = refusal(caller.client("rds").describe_db_clusters, DBClusterIdentifier="Orders")
    assert message == (
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/{caller.name}/test is not authorized to perform: "
        f"rds:DescribeDBClusters on resource: {RDS}:cluster:orders because no identity-based policy allows the "
        "rds:DescribeDBClusters action"
    )


def test_an_explicit_deny_says_so(aws: LocalAws) -> None:
    caller = Caller(aws, allow("rds:*"), {**allow("rds:DeleteDBCluster"), "Effect": "Deny"})
    _, message = refusal(caller.client("rds").delete_db_cluster, DBClusterIdentifier="x", SkipFinalSnapshot=True)
    assert message.endswith("with an explicit deny in an identity-based policy")


def test_the_operator_may_do_everything_and_strangers_nothing(aws: LocalAws) -> None:
    aws.client("rds").describe_db_clusters()
    for service, operation, code in (
        ("rds", "describe_db_clusters", "InvalidClientTokenId"),
        ("dynamodb", "list_tables", "UnrecognizedClientException"),
    ):
        unknown = Credentials("AKIA" + "A" * 16, "wrong")
        stranger = aws_client(service, "us-east-1", aws.endpoint_url, unknown, attempts=1)
        assert refusal(getattr(stranger, operation))[0] == code


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "code"),
    [
        ("rds", "describe_db_clusters", {"DBClusterIdentifier": "arn:x"}, "DBClusterNotFoundFault"),
        (
            "rds",
            "restore_db_cluster_from_snapshot",
            {"SnapshotIdentifier": "arn:aws:rds", "DBClusterIdentifier": "new", "Engine": "aurora-postgresql"},
            "DBClusterSnapshotNotFoundFault",
        ),
        (
            "rds",
            "delete_db_cluster",
            {"DBClusterIdentifier": "arn:aws:rds:x", "FinalDBSnapshotIdentifier": "final"},
            "DBClusterNotFoundFault",
        ),
        ("sts", "assume_role", {"RoleArn": "arn:aws:iam::123456789012", "RoleSessionName": "test"}, "AccessDenied"),
    ],
)
def test_what_is_no_whole_arn_is_refused_and_breaks_nothing(
    aws: LocalAws, service: str, operation: str, parameters: dict[str, str], code: str
) -> None:
    assert refusal(getattr(aws.client(service), operation), **parameters)[0] == code


def test_a_restore_needs_all_five_kinds_of_resource(aws: LocalAws) -> None:
    """Cluster, snapshot, subnet group, cluster parameter group and option group (Service Authorization Reference)."""
    needed = {
        "cluster": f"{RDS}:cluster:staging",
        "cluster-snapshot": f"{RDS}:cluster-snapshot:nightly",
        "subgrp": f"{RDS}:subgrp:db",
        "cluster-pg": f"{RDS}:cluster-pg:custom",
        "og": f"{RDS}:og:default:aurora-postgresql-16",
    }
    request = {
        "DBClusterIdentifier": "staging",
        "SnapshotIdentifier": "nightly",
        "Engine": "aurora-postgresql",
        "EngineVersion": "16.4",
        "DBSubnetGroupName": "db",
        "DBClusterParameterGroupName": "custom",
    }
    action = "rds:RestoreDBClusterFromSnapshot"
    for missing, arn in needed.items():
        others = [other for kind, other in needed.items() if kind != missing]
        restore = Caller(aws, allow(action, others)).client("rds").restore_db_cluster_from_snapshot
        assert denied(restore, **request) == f"{action} on resource: {arn}"
    restore = Caller(aws, allow(action, list(needed.values()))).client("rds").restore_db_cluster_from_snapshot
    assert denied(restore, **request) is None
    tagged = {**request, "Tags": [{"Key": "a", "Value": "b"}]}
    assert denied(restore, **tagged) == f"rds:AddTagsToResource on resource: {needed['cluster']}"


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("describe_db_proxies", "db-proxy"),
        ("describe_blue_green_deployments", "deployment"),
        ("describe_integrations", "integration"),
    ],
)
def test_a_list_needs_all_of_its_kind(aws: LocalAws, operation: str, kind: str) -> None:
    action = f"rds:{aws.client('rds').meta.method_to_api_mapping[operation]}"
    assert denied(getattr(Caller(aws, allow(action, f"{RDS}:{kind}:*")).client("rds"), operation)) is None
    one = Caller(aws, allow(action, f"{RDS}:{kind}:one")).client("rds")
    assert denied(getattr(one, operation)) == f"{action} on resource: {RDS}:{kind}:*"


def test_a_look_at_a_proxys_targets_needs_the_proxy_and_its_group(aws: LocalAws) -> None:
    action, kinds = "rds:DescribeDBProxyTargets", ("db-proxy", "target-group")
    for kind, missing in (kinds, kinds[::-1]):
        look = Caller(aws, allow(action, f"{RDS}:{kind}:*")).client("rds").describe_db_proxy_targets
        assert denied(look, DBProxyName="any") == f"{action} on resource: {RDS}:{missing}:*"
    both = Caller(aws, allow(action, [f"{RDS}:{kind}:*" for kind in kinds])).client("rds")
    assert denied(both.describe_db_proxy_targets, DBProxyName="any") is None


def test_a_look_at_maintenance_needs_the_resource_that_it_names(aws: LocalAws) -> None:
    action, arn = "rds:DescribePendingMaintenanceActions", f"{RDS}:cluster:orders"
    look = Caller(aws, allow(action, f"{RDS}:db:*")).client("rds").describe_pending_maintenance_actions
    assert denied(look, ResourceIdentifier=arn) == f"{action} on resource: {arn}"


def test_a_copy_needs_its_source_and_its_target_wherever_the_source_lives(aws: LocalAws) -> None:
    source = "arn:aws:rds:us-west-2:999999999999:cluster-snapshot:rds:orders-1"
    copy = Caller(aws, allow("rds:CopyDBClusterSnapshot", f"{RDS}:cluster-snapshot:copy")).client("rds")
    request = {"SourceDBClusterSnapshotIdentifier": source, "TargetDBClusterSnapshotIdentifier": "copy"}
    assert denied(copy.copy_db_cluster_snapshot, **request) == f"rds:CopyDBClusterSnapshot on resource: {source}"


def test_a_deletion_needs_the_cluster_and_its_final_snapshot(aws: LocalAws) -> None:
    client = Caller(aws, allow("rds:DeleteDBCluster", f"{RDS}:cluster:old")).client("rds")
    final = f"{RDS}:cluster-snapshot:old-final"
    request = {"DBClusterIdentifier": "old", "FinalDBSnapshotIdentifier": "old-final"}
    assert denied(client.delete_db_cluster, **request) == f"rds:DeleteDBCluster on resource: {final}"
    assert denied(client.delete_db_cluster, DBClusterIdentifier="old", SkipFinalSnapshot=True) is None


def test_a_final_snapshot_needs_the_right_to_take_one_of_the_cluster_and_under_its_name(aws: LocalAws) -> None:
    cluster, final = f"{RDS}:cluster:old", f"{RDS}:cluster-snapshot:old-final"
    request = {"DBClusterIdentifier": "old", "FinalDBSnapshotIdentifier": "old-final"}
    deletes = allow("rds:DeleteDBCluster", [cluster, final])
    for may_take_of, missing in (([], cluster), ([cluster], final), ([final], cluster), ([cluster, final], None)):
        takes = [allow("rds:CreateDBClusterSnapshot", may_take_of)] if may_take_of else []
        delete = Caller(aws, deletes, *takes).client("rds").delete_db_cluster
        refusal = missing and f"rds:CreateDBClusterSnapshot on resource: {missing}"
        assert denied(delete, **request) == refusal


@pytest.mark.parametrize("copies_tags", [True, False])
def test_only_a_final_snapshot_that_gets_the_clusters_tags_needs_the_right_to_tag_it(
    aws: LocalAws, copies_tags: bool
) -> None:
    """AWS's notice of a change on 15 August 2024 (convox/convox#856, aws-solutions/instance-scheduler-on-aws#572)."""
    identifier = f"tagged-{next(_numbers)}"
    cluster, final = f"{RDS}:cluster:{identifier}", f"{RDS}:cluster-snapshot:{identifier}-final"
    create(aws, identifier, CopyTagsToSnapshot=copies_tags)
    deletes = allow(["rds:DeleteDBCluster", "rds:CreateDBClusterSnapshot"], [cluster, final])
    request = {"DBClusterIdentifier": identifier, "FinalDBSnapshotIdentifier": f"{identifier}-final"}
    refusal = f"rds:AddTagsToResource on resource: {final}" if copies_tags else None
    for tags_what, expected in ((cluster, refusal), (final, None)):
        delete = Caller(aws, deletes, allow("rds:AddTagsToResource", tags_what)).client("rds").delete_db_cluster
        assert denied(delete, **request) == expected


def test_a_policy_can_ask_for_tags_of_the_request_and_of_the_resource(aws: LocalAws) -> None:
    topics = aws.client("sns")
    ours = topics.create_topic(Name="ours", Tags=[{"Key": "Owner", "Value": "pipeline"}])["TopicArn"]
    theirs = topics.create_topic(Name="theirs")["TopicArn"]
    owned = {"StringEquals": {"aws:ResourceTag/owner": "pipeline"}}
    sns = Caller(aws, allow("sns:Publish", Condition=owned)).client("sns")
    sns.publish(TopicArn=ours, Message="x")
    assert denied(sns.publish, TopicArn=theirs, Message="x") == f"SNS:Publish on resource: {theirs}"

    marked = {
        "StringEquals": {"aws:RequestTag/operation": "1"},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["operation"]},
    }
    rds = Caller(aws, allow(["rds:CreateDBClusterSnapshot", "rds:AddTagsToResource"], Condition=marked)).client("rds")
    request = {"DBClusterIdentifier": "none", "DBClusterSnapshotIdentifier": "s"}
    assert denied(rds.create_db_cluster_snapshot, **request, Tags=[{"Key": "operation", "Value": "1"}]) is None
    assert denied(rds.create_db_cluster_snapshot, **request, Tags=[{"Key": "operation", "Value": "2"}])
    assert denied(rds.create_db_cluster_snapshot, **request)


def test_a_grant_for_one_region_is_none_for_another(aws: LocalAws) -> None:
    caller = Caller(aws, allow("rds:*", Condition={"StringEquals": {"aws:RequestedRegion": "us-west-2"}}))
    caller.client("rds", "us-west-2").describe_db_clusters()
    assert denied(caller.client("rds").describe_db_clusters)


def test_a_list_is_granted_by_a_pattern_that_covers_all(aws: LocalAws) -> None:
    assert denied(
        Caller(aws, allow("rds:DescribeDBClusters", f"{RDS}:cluster:prod-*")).client("rds").describe_db_clusters
    )
    Caller(aws, allow("rds:DescribeDBClusters", f"{RDS}:cluster:*")).client("rds").describe_db_clusters()


def test_a_transaction_needs_the_permission_of_each_of_its_parts(aws: LocalAws) -> None:
    table = "transactions"
    aws.client("dynamodb").create_table(
        TableName=table,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    arn = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/{table}"
    own = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["run-*"]}}
    client = Caller(aws, allow("dynamodb:PutItem", arn, Condition=own)).client("dynamodb")

    def put(key: str) -> dict[str, Any]:
        return {"Put": {"TableName": table, "Item": {"id": {"S": key}}}}

    client.transact_write_items(TransactItems=[put("run-1")])
    assert denied(client.transact_write_items, TransactItems=[put("run-2"), put("lock")])
    delete = {"Delete": {"TableName": table, "Key": {"id": {"S": "run-1"}}}}
    assert denied(client.transact_write_items, TransactItems=[delete]) == f"dynamodb:DeleteItem on resource: {arn}"
    with pytest.raises(ClientError, match="NotImplementedByLocalAws"):
        client.execute_statement(Statement="SELECT 1")


def test_a_secret_is_known_by_name_and_by_arn(aws: LocalAws) -> None:
    arn = aws.client("secretsmanager").create_secret(Name="known", SecretString="x")["ARN"]
    staged = {"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}}
    client = Caller(aws, allow("secretsmanager:GetSecretValue", arn, Condition=staged)).client("secretsmanager")
    for identifier in ("known", arn):
        client.get_secret_value(SecretId=identifier, VersionStage="AWSCURRENT")
        assert denied(client.get_secret_value, SecretId=identifier)


class TestKeys:
    """What a service does with a customer managed key it does in the caller's name."""

    @staticmethod
    def key(aws: LocalAws, *statements: Statement) -> str:
        root = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        delegation = allow("kms:*", Principal=root)
        arn: str = aws.client("kms").create_key(Policy=policy(*(statements or (delegation,))))["KeyMetadata"]["Arn"]
        return arn

    def test_a_secret_needs_decrypt_on_its_key_through_secrets_manager(self, aws: LocalAws) -> None:
        key = self.key(aws)
        arn = aws.client("secretsmanager").create_secret(Name="encrypted", SecretString="x", KmsKeyId=key)["ARN"]
        read = allow("secretsmanager:GetSecretValue")
        through = {"StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}}
        elsewhere = {"StringEquals": {"kms:ViaService": "rds.us-east-1.amazonaws.com"}}
        # Secrets Manager User Guide, "Secret encryption and decryption", "Encryption context".
        for_this = {"StringEquals": {"kms:EncryptionContext:SecretARN": arn}}
        for_another = {"StringEquals": {"kms:EncryptionContext:SecretARN": f"{arn}x"}}
        for grants, works in (
            ([read], False),
            ([read, allow("kms:Decrypt", key, Condition=elsewhere)], False),
            ([read, allow("kms:Decrypt", key, Condition=through)], True),
            ([read, allow("kms:Decrypt", "*", Condition=for_this)], True),
            ([read, allow("kms:Decrypt", "*", Condition=for_another)], False),
        ):
            client = Caller(aws, *grants).client("secretsmanager")
            if works:
                client.get_secret_value(SecretId="encrypted")
            else:
                code, message = refusal(client.get_secret_value, SecretId="encrypted")
                assert (code, message) == ("AccessDeniedException", "Access to KMS is not allowed")

    def test_a_key_policy_that_does_not_delegate_outweighs_the_role(self, aws: LocalAws) -> None:
        key = self.key(aws, allow("kms:*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:role/somebody"}))
        client = Caller(aws, allow("kms:*")).client("kms")
        _, message = refusal(client.describe_key, KeyId=key)
        assert "no resource-based policy allows" in message

    def test_who_may_look_at_the_accounts_keys_hears_which_dont_exist(self, aws: LocalAws) -> None:
        """An alias leads to a key, and the right to the key is what counts."""
        aws.client("kms").create_alias(AliasName="alias/found", TargetKeyId=self.key(aws))
        may = Caller(aws, allow("kms:DescribeKey", f"arn:aws:kms:us-east-1:{ACCOUNT}:key/*")).client("kms")
        assert may.describe_key(KeyId="alias/found")["KeyMetadata"]["KeyState"] == "Enabled"
        for missing in ("alias/lost", "00000000-0000-4000-8000-000000000000"):
            assert refusal(may.describe_key, KeyId=missing)[0] == "NotFoundException"
        for key in ("alias/found", "00000000-0000-4000-8000-000000000000"):
            assert "kms:DescribeKey" in str(denied(Caller(aws).client("kms").describe_key, KeyId=key))

    def test_a_topic_hides_a_refused_key_behind_its_own_code(self, aws: LocalAws) -> None:
        topic = aws.client("sns").create_topic(Name="enc", Attributes={"KmsMasterKeyId": self.key(aws)})["TopicArn"]
        sns = Caller(aws, allow("sns:Publish")).client("sns")
        assert refusal(sns.publish, TopicArn=topic, Message="x")[0] == "KMSAccessDenied"

    def test_rds_says_that_the_key_is_not_accessible(self, aws: LocalAws) -> None:
        rds = Caller(aws, allow("rds:*")).client("rds")
        request = {"SourceDBClusterSnapshotIdentifier": "a", "TargetDBClusterSnapshotIdentifier": "b"}
        code, _ = refusal(rds.copy_db_cluster_snapshot, **request, KmsKeyId=self.key(aws))
        assert code == "KMSKeyNotAccessibleFault"

    def test_an_encrypted_copy_needs_four_rights_to_the_key_through_rds(self, aws: LocalAws) -> None:
        key = self.key(aws)
        through = {"StringEquals": {"kms:ViaService": "rds.us-east-1.amazonaws.com"}}
        needed = ["kms:DescribeKey", "kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKey"]
        request = {"SourceDBClusterSnapshotIdentifier": "a", "TargetDBClusterSnapshotIdentifier": "b", "KmsKeyId": key}
        for missing in (*needed, None):
            granted = [action for action in needed if action != missing]
            rds = Caller(aws, allow("rds:*"), allow(granted, key, Condition=through)).client("rds")
            code, _ = refusal(rds.copy_db_cluster_snapshot, **request)
            assert code == ("KMSKeyNotAccessibleFault" if missing else "DBClusterSnapshotNotFoundFault")

    def test_a_key_policy_that_denies_the_account_denies_its_roles(self, aws: LocalAws) -> None:
        root = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        never = {**allow("kms:Decrypt", Principal=root), "Effect": "Deny"}
        key = self.key(aws, allow("kms:*", Principal=root), never)
        client = Caller(aws, allow("kms:*")).client("kms")
        client.describe_key(KeyId=key)
        _, message = refusal(client.decrypt, CiphertextBlob=b"x", KeyId=key)
        assert message.endswith("with an explicit deny in a resource-based policy")

    def test_a_service_may_use_a_key_only_as_its_policy_says(self, aws: LocalAws) -> None:
        only_ours = {
            "ArnLike": {"kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:*:{ACCOUNT}:log-group:/aws/ours*"}
        }
        logs = "logs.us-east-1.amazonaws.com"
        key = self.key(aws, allow("kms:Encrypt*", Principal={"Service": logs}, Condition=only_ours))
        for group, may in (("/aws/ours-1", True), ("/aws/theirs", False)):
            source = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{group}"
            assert aws.permissions.service_may(logs, "kms:Encrypt", key, source_arn=source) is may


class TestRoles:
    def test_only_a_trusted_service_can_take_on_a_role(self, aws: LocalAws) -> None:
        caller = Caller(aws, trust="states.amazonaws.com")
        for arn in (caller.arn, caller.arn + "-that-is-not-there"):
            with pytest.raises(NotAuthorized):
                aws.permissions.assume(arn, service="lambda.amazonaws.com", session_name="s", region="us-east-1")

    def test_assuming_a_role_needs_its_trust(self, aws: LocalAws) -> None:
        iam, caller = aws.client("iam"), Caller(aws, allow("sts:AssumeRole"))
        trusts = {
            "names-the-role": {"AWS": caller.arn},
            "delegates": {"AWS": ACCOUNT},
            "names-another": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/another"},
        }
        arns = {
            name: iam.create_role(
                RoleName=name,
                AssumeRolePolicyDocument=policy({"Effect": "Allow", "Principal": who, "Action": "sts:AssumeRole"}),
            )["Role"]["Arn"]
            for name, who in trusts.items()
        }
        for assuming, allowed in ((caller, {"names-the-role", "delegates"}),):
            for name, arn in arns.items():
                refused = denied(assuming.client("sts").assume_role, RoleArn=arn, RoleSessionName="test")
                assert (refused is None) == (name in allowed)

    def test_a_boundary_limits_what_policies_grant(self, aws: LocalAws) -> None:
        iam, caller = aws.client("iam"), Caller(aws, allow("*"))
        boundary = iam.create_policy(PolicyName="boundary", PolicyDocument=policy(allow("sns:*")))["Policy"]["Arn"]
        iam.put_role_permissions_boundary(RoleName=caller.name, PermissionsBoundary=boundary)
        caller.client("sns").list_topics()
        assert denied(caller.client("rds").describe_db_clusters)

    def test_a_session_token_of_someone_else_is_refused(self, aws: LocalAws) -> None:
        one, other = (
            aws.permissions.assume(
                Caller(aws, allow("*")).arn, service="lambda.amazonaws.com", session_name="s", region="us-east-1"
            )
            for _ in range(2)
        )
        mixed = Credentials(one.access_key_id, one.secret_access_key, other.session_token)
        client = aws_client("sns", "us-east-1", aws.endpoint_url, mixed, attempts=1)
        assert refusal(client.list_topics)[0] == "InvalidClientTokenId"


def test_decisions_are_recorded_with_the_statement_that_made_them(aws: LocalAws) -> None:
    caller = Caller(aws, allow("rds:DescribeDBClusters", Sid="Look"), allow("rds:DeleteDBCluster", Sid="Unused"))
    caller.client("rds").describe_db_clusters()
    denied(caller.client("sns").list_topics)
    used = {decision.statement for decision in aws.permissions.used if decision.role_arn == caller.arn}
    refused = [(d.action, d.statement) for d in aws.permissions.denied if d.role_arn == caller.arn]
    assert used == {"p#Look"}
    assert refused == [("sns:ListTopics", "")]


class TestWhetherARightRestsOnOneStatementAlone:
    """Only such a use shows that without the statement something fails."""

    @staticmethod
    def alone(caller: Caller) -> set[bool]:
        return {decision.alone for decision in caller.aws.permissions.used if decision.role_arn == caller.arn}

    def test_a_second_statement_that_allows_the_same(self, aws: LocalAws) -> None:
        look = allow("rds:DescribeDBClusters", Sid="Look")
        for statements, expected in (((look,), True), ((look, allow("rds:*", f"{RDS}:cluster:*")), False)):
            caller = Caller(aws, *statements)
            caller.client("rds").describe_db_clusters()
            assert self.alone(caller) == {expected}

    def test_a_resource_whose_own_policy_allows_it_by_itself(self, aws: LocalAws) -> None:
        caller, sqs = Caller(aws, allow("sqs:SendMessage")), aws.client("sqs")
        url = sqs.create_queue(QueueName=caller.name)["QueueUrl"]
        caller.client("sqs").send_message(QueueUrl=url, MessageBody="x")
        assert self.alone(caller) == {True}
        arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{caller.name}"
        admits = allow("sqs:SendMessage", arn, Principal={"AWS": caller.arn})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy(admits)})
        caller.client("sqs").send_message(QueueUrl=url, MessageBody="x")
        assert self.alone(caller) == {True, False}

    def test_a_key_that_only_opens_the_way_to_iam(self, aws: LocalAws) -> None:
        root = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        for opened, expected in ((root, True), ("*", False)):
            key = aws.client("kms").create_key(Policy=policy(allow("kms:*", Principal=opened)))["KeyMetadata"]["Arn"]
            caller = Caller(aws, allow("kms:DescribeKey", key))
            caller.client("kms").describe_key(KeyId=key)
            assert self.alone(caller) == {expected}


def test_an_unknown_condition_stops_the_call_loudly(aws: LocalAws) -> None:
    strange = allow("rds:*", Condition={"StringEquals": {"rds:Vpc": "true"}})
    code, message = refusal(Caller(aws, strange).client("rds").describe_db_clusters)
    assert code == "NotImplementedByLocalAws"
    assert "rds:Vpc" in message


def test_a_version_of_an_object_is_an_action_and_a_condition_of_its_own(aws: LocalAws) -> None:
    """Service Authorization Reference, S3: GetObjectVersion, and the condition key s3:VersionId."""
    s3, bucket = aws.client("s3"), f"versions-{next(_numbers)}"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first, second = (s3.put_object(Bucket=bucket, Key="k", Body=body)["VersionId"] for body in (b"1", b"2"))
    condition = {"StringEquals": {"s3:VersionId": [first]}}
    caller = Caller(aws, allow("s3:GetObjectVersion", f"arn:aws:s3:::{bucket}/k", Condition=condition)).client("s3")
    assert caller.get_object(Bucket=bucket, Key="k", VersionId=first)["Body"].read() == b"1"
    for other in ({"VersionId": second}, {}):
        assert refusal(caller.get_object, Bucket=bucket, Key="k", **other)[0] == "AccessDenied"
    newest = Caller(aws, allow("s3:GetObject", f"arn:aws:s3:::{bucket}/k")).client("s3")
    assert newest.get_object(Bucket=bucket, Key="k")["Body"].read() == b"2"
    assert refusal(newest.get_object, Bucket=bucket, Key="k", VersionId=first)[0] == "AccessDenied"
