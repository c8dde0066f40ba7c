"""What the new cluster needs is looked at first: a restore that couldn't work is refused before anything is made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.local_run.production import SNAPSHOT, Production
from scripts.local_run.stage import OTHER_REGION, REGION
from tests.integration.pipeline.support import Pipeline, Run, settle
from tests.integration.tiers import one_and_the_rest


def refused(pipeline: Pipeline, **given: Any) -> str:
    """The reason of a refusal that cost nothing, and that people were told."""
    run = pipeline.run(given)
    assert run.followed.error == "RequestRefused"
    assert run.changes == []
    (message,) = run.messages
    assert "Nothing was created, changed or deleted" in message["message"]
    reason = run.reason.removeprefix("RequestRefused: ")
    assert reason.splitlines()[0] in message["message"]
    assert pipeline.holder(str(given.get("target_cluster_id"))) is None
    return reason


def test_a_subnet_group_that_doesnt_exist(pipeline: Pipeline, target: str) -> None:
    reason = refused(pipeline, target_cluster_id=target, db_subnet_group_name="other-nowhere")
    assert reason.startswith(f"db_subnet_group_name: 'other-nowhere' does not exist in {REGION}.")
    assert "aws rds describe-db-subnet-groups" in reason


def test_a_subnet_group_whose_other_zone_is_gone(pipeline: Pipeline, target: str) -> None:
    everywhere = pipeline.aws.client("ec2").describe_subnets()["Subnets"]
    subnets = [each for each in everywhere if each["VpcId"] == everywhere[0]["VpcId"]]
    pipeline.rds().create_db_subnet_group(
        DBSubnetGroupName="other-zones",
        DBSubnetGroupDescription="two zones",
        SubnetIds=[each["SubnetId"] for each in subnets],
    )
    group = pipeline.aws.aurora.region(REGION).subnet_group("other-zones")
    del group["Subnets"][1:]
    reason = refused(pipeline, target_cluster_id=target, db_subnet_group_name="other-zones")
    assert reason.startswith("db_subnet_group_name: 'other-zones' covers only us-east-1")
    assert "aws rds modify-db-subnet-group --db-subnet-group-name other-zones" in reason


def test_security_groups_that_dont_exist_or_are_in_another_vpc(pipeline: Pipeline, target: str) -> None:
    ec2 = pipeline.aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    elsewhere = ec2.create_security_group(GroupName="elsewhere", Description="elsewhere", VpcId=vpc)["GroupId"]
    reason = refused(pipeline, target_cluster_id=target, vpc_security_group_ids=["sg-00000000", elsewhere])
    missing, wrong = reason.splitlines()
    assert missing.startswith(f"vpc_security_group_ids: 'sg-00000000' does not exist in {REGION}.")
    assert wrong.startswith(f"vpc_security_group_ids: '{elsewhere}' is in {vpc}, but the subnet group")


@pytest.mark.parametrize("kind", one_and_the_rest(["db_cluster_parameter_group", "db_parameter_group"]))
def test_a_parameter_group_that_doesnt_exist_or_doesnt_fit(pipeline: Pipeline, target: str, kind: str) -> None:
    reason = refused(pipeline, target_cluster_id=target, **{f"{kind}_name": "tuned-for-nothing"})
    assert reason.startswith(f"{kind}_name: 'tuned-for-nothing' does not exist in {REGION}.")
    reason = refused(pipeline, target_cluster_id=target, **{f"{kind}_name": "default.aurora-postgresql16"})
    assert reason.startswith(f"{kind}_name: 'default.aurora-postgresql16' is of family aurora-postgresql16")
    assert "such as default.aurora-postgresql17" in reason


@pytest.mark.parametrize(
    ("version", "words"),
    one_and_the_rest(
        [
            ("16.9", "'16.9' is lower than the snapshot's 17.5, and a restore cannot lower it"),
            ("17.99", f"a snapshot of 17.5 cannot be restored to '17.99' in {REGION}"),
            ("17", f"a snapshot of 17.5 cannot be restored to '17' in {REGION}"),
        ]
    ),
)
def test_a_version_that_the_snapshot_cant_become(pipeline: Pipeline, target: str, version: str, words: str) -> None:
    assert f"engine_version: {words}" in refused(pipeline, target_cluster_id=target, engine_version=version)


def test_a_class_that_cant_be_had(pipeline: Pipeline, target: str) -> None:
    reason = refused(pipeline, target_cluster_id=target, db_instance_class="db.r9z.large")
    assert reason.startswith("db_instance_class: 'db.r9z.large' is not available with aurora-postgresql 17.5")
    assert "aws rds describe-orderable-db-instance-options" in reason


@pytest.fixture
def disabled_key(pipeline: Pipeline) -> str:
    kms = pipeline.aws.client("kms")
    key = kms.create_key(Description="out of use")["KeyMetadata"]
    kms.disable_key(KeyId=key["KeyId"])
    return str(key["Arn"])


def test_a_key_that_doesnt_exist_or_is_disabled(pipeline: Pipeline, target: str, disabled_key: str) -> None:
    for key in ("alias/nobody-knows", "00000000-0000-4000-8000-000000000000"):
        reason = refused(pipeline, target_cluster_id=target, kms_key_id=key)
        assert reason.startswith(f"kms_key_id: '{key}' does not exist in {REGION}.")
    reason = refused(pipeline, target_cluster_id=target, kms_key_id=disabled_key)
    assert reason.startswith(f"kms_key_id: '{disabled_key}' is Disabled, not Enabled. Enable it: aws kms enable-key")


def test_a_copy_under_a_key_that_aws_manages(pipeline: Pipeline, distant_production: Production, target: str) -> None:
    reason = refused(pipeline, target_cluster_id=target, source_region=OTHER_REGION, kms_key_id="alias/aws/rds")
    assert reason.startswith("kms_key_id: 'alias/aws/rds' is a key that AWS manages")


def test_the_snapshots_own_key_is_disabled(pipeline: Pipeline, target: str) -> None:
    (snapshot,) = pipeline.rds().describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=SNAPSHOT)[
        "DBClusterSnapshots"
    ]
    kms, key_id = pipeline.aws.client("kms"), snapshot["KmsKeyId"].rpartition("/")[2]
    kms.disable_key(KeyId=key_id)
    try:
        reason = refused(pipeline, target_cluster_id=target, snapshot_identifier=SNAPSHOT)
    finally:
        kms.enable_key(KeyId=key_id)
    assert reason.startswith(f"snapshot_identifier: the key of '{SNAPSHOT}' ({snapshot['KmsKeyId']}) is Disabled")


@pytest.fixture
def application_secret(pipeline: Pipeline) -> Iterator[str]:
    """The secret's ARN; its value afterwards is what it was before."""
    secrets, arn = pipeline.aws.client("secretsmanager"), pipeline.place.stack.outputs["AppSecretArn"]
    before = secrets.get_secret_value(SecretId=arn)["SecretString"]
    yield arn
    secrets.put_secret_value(SecretId=arn, SecretString=before)


@pytest.mark.parametrize(
    ("content", "words"),
    one_and_the_rest(
        [
            ({"app_username": ["app"]}, "is not a JSON object with the texts app_username"),
            (
                {"app_username": "rdsadmin", "readonly_user": "report"},
                "app_username is 'rdsadmin', which cannot be a role",
            ),
            (
                {"app_username": "prod_master", "readonly_user": "report"},
                "app_username is 'prod_master', which cannot be",
            ),
            ({"app_username": "app", "readonly_user": "app"}, "readonly_user is 'app', as is its app_username"),
        ]
    ),
)
def test_an_application_secret_that_cant_be_used(
    pipeline: Pipeline, target: str, application_secret: str, content: dict[str, object], words: str
) -> None:
    secrets = pipeline.aws.client("secretsmanager")
    secrets.put_secret_value(SecretId=application_secret, SecretString=json.dumps(content))
    reason = refused(pipeline, target_cluster_id=target)
    assert reason.startswith(f"application_secret: '{application_secret}'")
    assert words in reason
    assert "aws secretsmanager put-secret-value --secret-id" in reason


@pytest.mark.parametrize("output", ["AdminSecretArn", "AppSecretArn"])
def test_a_secret_that_is_about_to_be_deleted(pipeline: Pipeline, output: str) -> None:
    """Of the stack's own target. Another one has secrets of its own."""
    secrets, arn = pipeline.aws.client("secretsmanager"), pipeline.place.stack.outputs[output]
    secrets.delete_secret(SecretId=arn, RecoveryWindowInDays=7)
    try:
        reason = refused(pipeline)
    finally:
        secrets.restore_secret(SecretId=arn)
    assert f"is scheduled for deletion. Keep it: aws secretsmanager restore-secret --secret-id {arn}" in reason


def test_all_of_it_is_said_at_once(pipeline: Pipeline, target: str, disabled_key: str) -> None:
    # Production is at rest, whatever the tests before have begun.
    settle(pipeline)
    reason = refused(
        pipeline,
        target_cluster_id=target,
        max_snapshot_age_hours=0.0001,
        db_subnet_group_name="other-nowhere",
        vpc_security_group_ids=["sg-00000000"],
        db_parameter_group_name="tuned-for-nothing",
        db_instance_class="db.r9z.large",
        kms_key_id=disabled_key,
        delete_source=True,
        confirm_delete_source="another",
    )
    assert [line.split(":")[0] for line in reason.splitlines()] == [
        "max_snapshot_age_hours",
        "db_subnet_group_name",
        "vpc_security_group_ids",
        "db_parameter_group_name",
        "db_instance_class",
        "kms_key_id",
        "confirm_delete_source",
    ]


@pytest.mark.parametrize(
    ("operation", "code"),
    one_and_the_rest(
        [
            ("rds:DescribeDBSubnetGroups", "AccessDenied"),
            ("rds:DescribeDBClusterParameterGroups", "AccessDenied"),
            ("rds:DescribeDBParameterGroups", "AccessDenied"),
            ("rds:DescribeDBEngineVersions", "AccessDenied"),
            ("rds:DescribeDBMajorEngineVersions", "AccessDenied"),
            ("rds:DescribeOrderableDBInstanceOptions", "AccessDenied"),
            ("ec2:DescribeSecurityGroups", "UnauthorizedOperation"),
            ("kms:DescribeKey", "AccessDeniedException"),
            ("secretsmanager:DescribeSecret", "AccessDeniedException"),
        ]
    ),
)
def test_a_permission_that_is_missing_is_named(pipeline: Pipeline, target: str, operation: str, code: str) -> None:
    pipeline.aws.faults.add(operation=operation, code=code, message=f"not authorized to perform: {operation}")
    # RDS's default groups aren't looked for.
    named = {"db_cluster_parameter_group_name": "tuned", "db_parameter_group_name": "tuned"}
    run: Run = pipeline.run({"target_cluster_id": target, **(named if "ParameterGroups" in operation else {})})
    assert run.followed.error == "StepFailed"
    call = operation.split(":")[1]
    assert f"{call} is not allowed: not authorized to perform: {operation}" in run.reason
    assert run.changes == []
